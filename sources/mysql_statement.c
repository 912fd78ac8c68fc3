/*
 * mysql_statement.c - what a statement in the log is: a transaction's bounds, data, definitions, or neither
 */
#include "mysql_stmt.h"

/* --- transactions --- */

static enum mysql_statement savepoint(struct stmt *r, enum mysql_statement what)
{
	struct str name;

	if (!stmt_word(r, &name))
		return MYSQL_UNKNOWN;
	r->out->name = stmt_lower(name, r->a);
	return what;
}

static enum mysql_statement read_rollback(struct stmt *r)
{
	stmt_accept(r, "WORK");
	if (!stmt_accept(r, "TO"))
		return MYSQL_ROLLBACK;
	stmt_accept(r, "SAVEPOINT");
	return savepoint(r, MYSQL_ROLLBACK_TO);
}

static enum mysql_statement read_commit(struct stmt *r)
{
	(void)r;
	return MYSQL_COMMIT;
}

static enum mysql_statement read_savepoint(struct stmt *r)
{
	return savepoint(r, MYSQL_SAVEPOINT);
}

static enum mysql_statement read_release(struct stmt *r)
{
	return stmt_accept(r, "SAVEPOINT") ? savepoint(r, MYSQL_RELEASE) : MYSQL_UNKNOWN;
}

static enum mysql_statement read_begin(struct stmt *r)
{
	stmt_accept(r, "WORK");
	return stmt_end(r) ? MYSQL_BEGIN : MYSQL_UNKNOWN;
}

static enum mysql_statement read_start(struct stmt *r)
{
	static const char *const replication[] = { "SLAVE", "REPLICA", "GROUP_REPLICATION", "ALL",
						   NULL };

	if (stmt_is(r, "TRANSACTION"))
		return MYSQL_BEGIN;
	return stmt_one_of(r, replication) ? MYSQL_IGNORED : MYSQL_UNKNOWN;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool unhex(struct str hex, struct arena *a, struct str *out)
{
	char *to = arena_zalloc(a, hex.n / 2 + 1);
	size_t odd = hex.n % 2;

	for (size_t i = 0; i < hex.n; i++) {
		int v = nibble(hex.p[i]);

		if (v < 0)
			return false;
		size_t at = (i + odd) / 2;

		to[at] = (char)((i + odd) % 2 ? (unsigned char)to[at] << 4 | v : v);
	}
	*out = (struct str){ to, (hex.n + odd) / 2 };
	return true;
}

/* 'a', X'61' or 0x61 */
static bool read_bytes(struct stmt *r, struct str *out)
{
	struct str text = r->t.raw;

	if (r->t.kind == MYSQL_TOKEN_STRING) {
		*out = mysql_token_text(&r->t, r->tokens.sql_mode, r->a);
		stmt_next(r);
		return true;
	}
	if (r->t.kind != MYSQL_TOKEN_WORD)
		return false;
	stmt_next(r);
	if (str_eqz(text, "x") || str_eqz(text, "X")) {
		if (r->t.kind != MYSQL_TOKEN_STRING || r->t.spaced)
			return false;
		text = r->t.raw;
		stmt_next(r);
		return text.n % 2 == 0 && unhex(text, r->a, out);
	}
	if (text.n < 3 || text.p[0] != '0' || text.p[1] != 'x')
		return false;
	return unhex((struct str){ text.p + 2, text.n - 2 }, r->a, out);
}

static bool read_number(struct stmt *r, uint32_t *out)
{
	uint64_t n = 0;
	struct str s = r->t.raw;

	if (r->t.kind != MYSQL_TOKEN_WORD)
		return false;
	if (s.n > 2 && s.p[0] == '0' && s.p[1] == 'x') {
		for (size_t i = 2; i < s.n && n <= UINT32_MAX; i++) {
			if (nibble(s.p[i]) < 0)
				return false;
			n = n * 16 + (unsigned)nibble(s.p[i]);
		}
	} else {
		for (size_t i = 0; i < s.n && n <= UINT32_MAX; i++) {
			if (s.p[i] < '0' || s.p[i] > '9')
				return false;
			n = n * 10 + (unsigned)(s.p[i] - '0');
		}
	}
	*out = (uint32_t)n;
	stmt_next(r);
	return n <= UINT32_MAX;
}

static bool read_xid(struct stmt *r, struct str *out)
{
	struct str global, branch = { "", 0 };
	uint32_t format = 1;

	if (!read_bytes(r, &global))
		return false;
	if (stmt_accept_mark(r, ',') && !read_bytes(r, &branch))
		return false;
	if (stmt_accept_mark(r, ',') && !read_number(r, &format))
		return false;
	*out = mysql_xid_text(format, global, branch, r->a);
	return true;
}

static void hex(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addf(out, "%02x", (unsigned char)s.p[i]);
}

struct str mysql_xid_text(uint32_t format, struct str global, struct str branch, struct arena *a)
{
	AUTO(buf) struct buf text = { 0 };

	buf_adds(&text, "X'");
	hex(&text, global);
	buf_adds(&text, "',X'");
	hex(&text, branch);
	buf_addf(&text, "',%u", format);
	return arena_copy(a, (struct str){ text.p, text.n });
}

static enum mysql_statement read_xa(struct stmt *r)
{
	static const struct {
		const char *word;
		enum mysql_statement what;
	} kinds[] = {
		{ "START", MYSQL_XA_START },   { "BEGIN", MYSQL_XA_START },
		{ "END", MYSQL_XA_END },       { "PREPARE", MYSQL_XA_PREPARE },
		{ "COMMIT", MYSQL_XA_COMMIT }, { "ROLLBACK", MYSQL_XA_ROLLBACK },
	};

	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (!stmt_accept(r, kinds[i].word))
			continue;
		if (!read_xid(r, &r->out->name))
			return MYSQL_UNKNOWN;
		r->out->one_phase = stmt_accept(r, "ONE");
		return kinds[i].what;
	}
	return MYSQL_UNKNOWN;
}

/* --- DML in statement format --- */

static const char *const modifiers[] = { "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED",
					 "QUICK",        "IGNORE",        "INTO",
					 "CONCURRENT",   "LOCAL",         NULL };

static enum mysql_statement read_insert(struct stmt *r)
{
	struct str db, table;

	stmt_skip_words(r, modifiers);
	if (!stmt_name(r, &db, &table))
		return MYSQL_UNKNOWN;
	stmt_add(r, MYSQL_ALTER, db, table);
	return MYSQL_DML;
}

/* JOIN ... USING (id) goes on */
static bool stops(const struct stmt *r, const char *const *stop)
{
	struct stmt after = *r;

	if (!stmt_one_of(r, stop))
		return false;
	stmt_next(&after);
	return !stmt_is(r, "USING") || !mysql_token_mark(&after.t, '(');
}

/*
 * The tables of a list with joins, up to one of these words: names stand at its beginning, after commas, after
 * JOIN and after parentheses that hold no query.  All of them count as written to: which ones are depends on
 * the columns.
 */
static enum mysql_statement read_targets(struct stmt *r, const char *const *stop)
{
	bool expected = true;
	struct str db, table;

	while (!stmt_end(r) && !stops(r, stop)) {
		if (stmt_mark(r, '(')) {
			stmt_next(r);
			if (!expected || stmt_is(r, "SELECT") || stmt_is(r, "WITH")) {
				for (size_t depth = 1; depth && !stmt_end(r); stmt_next(r)) {
					depth += stmt_mark(r, '(');
					depth -= stmt_mark(r, ')');
				}
				expected = false;
			}
		} else if (expected && !stmt_is(r, "LATERAL") && mysql_token_named(&r->t)) {
			if (!stmt_name(r, &db, &table))
				return MYSQL_UNKNOWN;
			stmt_add(r, MYSQL_ALTER, db, table);
			expected = false;
		} else {
			expected = stmt_mark(r, ',') || stmt_is(r, "JOIN") ||
				   stmt_is(r, "STRAIGHT_JOIN") ||
				   (expected && stmt_is(r, "LATERAL"));
			stmt_next(r);
		}
	}
	return r->out->nitems ? MYSQL_DML : MYSQL_UNKNOWN;
}

static enum mysql_statement read_update(struct stmt *r)
{
	static const char *const stop[] = { "SET", NULL };

	stmt_skip_words(r, modifiers);
	return read_targets(r, stop);
}

/* DELETE FROM t ..., DELETE a, b FROM t a JOIN ..., DELETE FROM a, b USING t a JOIN ... */
static enum mysql_statement read_delete(struct stmt *r)
{
	static const char *const from[] = { "FROM", NULL };
	static const char *const stop[] = { "USING",     "WHERE",  "ORDER", "LIMIT",
					    "RETURNING", "BEFORE", "FOR",   NULL };
	static const char *const last[] = { "WHERE", "ORDER", "LIMIT", NULL };

	if (!stmt_skip_to(r, from))
		return MYSQL_UNKNOWN;
	stmt_next(r);
	enum mysql_statement what = read_targets(r, stop);

	return stmt_accept(r, "USING") ? read_targets(r, last) : what;
}

static enum mysql_statement read_load(struct stmt *r)
{
	static const char *const table[] = { "TABLE", NULL };

	if (stmt_is(r, "INDEX"))
		return MYSQL_IGNORED;
	if ((!stmt_accept(r, "DATA") && !stmt_accept(r, "XML")) || !stmt_skip_to(r, table))
		return MYSQL_UNKNOWN;
	stmt_next(r);
	return read_insert(r);
}

/* CALL, SELECT f(), DO f(): what the routine wrote is not said. */
static enum mysql_statement read_call(struct stmt *r)
{
	(void)r;
	return MYSQL_DML;
}

static enum mysql_statement read_with(struct stmt *r)
{
	static const char *const verbs[] = {
		"UPDATE", "DELETE", "INSERT", "REPLACE", "SELECT", NULL
	};

	if (!stmt_skip_to(r, verbs))
		return MYSQL_UNKNOWN;
	if (stmt_accept(r, "UPDATE"))
		return read_update(r);
	if (stmt_accept(r, "DELETE"))
		return read_delete(r);
	return stmt_accept(r, "SELECT") ? MYSQL_DML : (stmt_next(r), read_insert(r));
}

/* --- which is it? --- */

static enum mysql_statement read_ignored(struct stmt *r)
{
	(void)r;
	return MYSQL_IGNORED;
}

static enum mysql_statement read_import(struct stmt *r)
{
	return stmt_is(r, "TABLE") ? MYSQL_UNKNOWN : MYSQL_IGNORED;
}

static const struct {
	const char *word;
	enum mysql_statement (*read)(struct stmt *r);
} statements[] = {
	{ "BEGIN", read_begin },
	{ "COMMIT", read_commit },
	{ "ROLLBACK", read_rollback },
	{ "SAVEPOINT", read_savepoint },
	{ "RELEASE", read_release },
	{ "START", read_start },
	{ "XA", read_xa },
	{ "CREATE", ddl_create },
	{ "ALTER", ddl_alter },
	{ "DROP", ddl_drop },
	{ "RENAME", ddl_rename },
	{ "TRUNCATE", ddl_truncate },
	{ "INSERT", read_insert },
	{ "REPLACE", read_insert },
	{ "UPDATE", read_update },
	{ "DELETE", read_delete },
	{ "LOAD", read_load },
	{ "WITH", read_with },
	{ "CALL", read_call },
	{ "SELECT", read_call },
	{ "DO", read_call },
	{ "IMPORT", read_import },
	{ "SET", read_ignored },
	{ "GRANT", read_ignored },
	{ "REVOKE", read_ignored },
	{ "ANALYZE", read_ignored },
	{ "OPTIMIZE", read_ignored },
	{ "REPAIR", read_ignored },
	{ "CHECK", read_ignored },
	{ "CHECKSUM", read_ignored },
	{ "CACHE", read_ignored },
	{ "FLUSH", read_ignored },
	{ "INSTALL", read_ignored },
	{ "UNINSTALL", read_ignored },
	{ "LOCK", read_ignored },
	{ "UNLOCK", read_ignored },
	{ "USE", read_ignored },
	{ "SHOW", read_ignored },
	{ "PURGE", read_ignored },
	{ "RESET", read_ignored },
	{ "CHANGE", read_ignored },
	{ "STOP", read_ignored },
	{ "KILL", read_ignored },
};

/* SET STATEMENT a = 1, b = (2) FOR statement */
static bool skip_set_statement(struct stmt *r)
{
	static const char *const until[] = { "FOR", NULL };

	for (;;) {
		struct stmt before = *r;

		if (!stmt_accept(r, "SET") || !stmt_accept(r, "STATEMENT")) {
			*r = before;
			return true;
		}
		if (!stmt_skip_to(r, until))
			return false;
		stmt_next(r);
	}
}

static enum mysql_statement read_statement(struct stmt *r)
{
	if (stmt_end(r))
		return MYSQL_IGNORED; /* comments alone: a server's filler */
	if (!skip_set_statement(r))
		return MYSQL_UNKNOWN;
	if (stmt_mark(r, '('))
		return MYSQL_DML; /* (SELECT f()) */
	for (size_t i = 0; i < COUNT(statements); i++)
		if (stmt_accept(r, statements[i].word))
			return statements[i].read(r);
	return MYSQL_UNKNOWN;
}

void mysql_statement_read(struct str sql, struct str default_db, uint64_t sql_mode, struct arena *a,
			  struct mysql_statement_info *out)
{
	struct stmt r = {
		.tokens = mysql_tokens_of(sql, sql_mode), .a = a, .db = default_db, .out = out
	};

	*out = (struct mysql_statement_info){ 0 };
	stmt_next(&r);
	enum mysql_statement what = read_statement(&r);

	if (r.tokens.broken)
		what = MYSQL_UNKNOWN;
	if (what == MYSQL_UNKNOWN)
		*out = (struct mysql_statement_info){ 0 };
	out->what = what;
}
