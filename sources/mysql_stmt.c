/*
 * mysql_stmt.c - reading a statement token by token
 */
#include "mysql_stmt.h"

void stmt_next(struct stmt *r)
{
	r->t = mysql_token_next(&r->tokens);
}

bool stmt_mark(const struct stmt *r, char mark)
{
	return mysql_token_mark(&r->t, mark);
}

bool stmt_end(const struct stmt *r)
{
	return r->t.kind == MYSQL_TOKEN_END || stmt_mark(r, ';');
}

bool stmt_is(const struct stmt *r, const char *word)
{
	return mysql_token_is(&r->t, word);
}

bool stmt_accept(struct stmt *r, const char *word)
{
	if (!stmt_is(r, word))
		return false;
	stmt_next(r);
	return true;
}

bool stmt_accept_mark(struct stmt *r, char mark)
{
	if (!stmt_mark(r, mark))
		return false;
	stmt_next(r);
	return true;
}

bool stmt_one_of(const struct stmt *r, const char *const *words)
{
	for (; *words; words++)
		if (stmt_is(r, *words))
			return true;
	return false;
}

void stmt_skip_words(struct stmt *r, const char *const *words)
{
	while (stmt_one_of(r, words))
		stmt_next(r);
}

/* Over one thing, which a parenthesis is with all that it holds. */
void stmt_skip_thing(struct stmt *r)
{
	size_t depth = 0;

	do {
		if (stmt_mark(r, '('))
			depth++;
		else if (stmt_mark(r, ')') && depth)
			depth--;
		stmt_next(r);
	} while (depth && !stmt_end(r));
}

/* To the first of these words outside parentheses; false: there is none. */
bool stmt_skip_to(struct stmt *r, const char *const *words)
{
	while (!stmt_end(r) && !stmt_one_of(r, words))
		stmt_skip_thing(r);
	return !stmt_end(r);
}

bool stmt_word(struct stmt *r, struct str *out)
{
	if (!mysql_token_named(&r->t))
		return false;
	*out = mysql_token_text(&r->t, r->tokens.sql_mode, r->a);
	stmt_next(r);
	return out->n > 0;
}

/* `table`, `db`.`table` with blanks wherever, or .`table` */
bool stmt_name(struct stmt *r, struct str *db, struct str *table)
{
	*db = r->db;
	if (stmt_accept_mark(r, '.'))
		return stmt_word(r, table);
	if (!stmt_word(r, table))
		return false;
	if (!stmt_accept_mark(r, '.'))
		return true;
	*db = *table;
	return stmt_word(r, table) && !stmt_mark(r, '.');
}

struct mysql_ddl_item *stmt_add(struct stmt *r, enum mysql_ddl_kind kind, struct str db,
				struct str table)
{
	struct mysql_statement_info *out = r->out;

	if (out->nitems == r->room) {
		struct mysql_ddl_item *more;

		r->room = r->room ? 2 * r->room : 4;
		more = arena_alloc(r->a, r->room * sizeof *more);
		if (out->nitems)
			memcpy(more, out->items, out->nitems * sizeof *more);
		out->items = more;
	}
	out->items[out->nitems] = (struct mysql_ddl_item){ .kind = kind, .db = db, .table = table };
	return &out->items[out->nitems++];
}

struct str stmt_lower(struct str s, struct arena *a)
{
	char *to = arena_alloc(a, s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		to[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + ('a' - 'A') : s.p[i]);
	return (struct str){ to, s.n };
}
