/*
 * pg_target_work.c - statements of the postgres sink
 *
 * Rows travel as one array a column, which unnest() makes rows of again: one statement and one round
 * trip for any number of rows, no temporary table, nothing left in the target's catalog. (Measured: 4.3
 * us a row, against 5.3 for COPY into a temporary table and INSERT from there; for new rows 3.1,
 * against 2.9 for COPY into the table itself.)
 *
 * Statements are prepared and kept for each version, kind and set of columns; beyond a number those
 * used longest ago go.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sources/pg_connection.h"
#include "pg_target.h"

#define MOST_STATEMENTS 256
#define KEEP_PARAMS     ((size_t)4 << 20)

/* Where a parameter's values come from. */
enum from {
	FROM_AFTER,
	FROM_AFTER_TEXT,
	FROM_BEFORE,
	FROM_BEFORE_TEXT,
	FROM_KEY,
	FROM_TIME,
	FROM_DELETED,
	FROM_UNTIL
};

struct param {
	uint16_t from, column;
	struct pg_form form;
};

struct pg_statement {
	struct pg_statement *newer, *older; /* of the sink */
	struct pg_statement *next;          /* of the version */
	struct sql_version *version;
	enum sql_kind kind;
	bool matched, loose;
	struct str shape; /* bitmaps: absent columns, then columns that travel as text */
	char *shape_bytes;
	char name[24];
	struct param *params;
	size_t nparams, room;
};

/* A statement's text while it is put together. */
struct text {
	struct buf sql;
	struct pg_target *k;
	const struct sql_version *v;
	const struct sql_work *w;
	struct str as_text; /* bitmap: these columns travel as text */
	struct pg_statement *out;
};

static void add(struct text *t, const char *z)
{
	buf_adds(&t->sql, z);
}

static void add_column(struct text *t, size_t i)
{
	sql_ident(&t->sql, t->v->table->columns[i].name, '"');
}

static void add_text_column(struct text *t, size_t i)
{
	AUTO(buf) struct buf name = { 0 };
	struct str s = t->v->table->columns[i].name;

	buf_add(&name, s.p, s.n);
	buf_adds(&name, SQL_TEXT_SUFFIX);
	sql_ident(&t->sql, (struct str){ name.p, name.n }, '"');
}

static const struct sql_column *have(const struct text *t, size_t i)
{
	return &t->v->place->columns[t->v->at[i]];
}

static bool is_written(const struct text *t, size_t i)
{
	return !have(t, i)->generated;
}

static struct pg_form form_of(const struct text *t, enum from from, size_t column)
{
	switch (from) {
	case FROM_AFTER:
	case FROM_BEFORE:
		return pg_target_form(&t->v->table->columns[column], have(t, column),
				      event_bit(t->as_text, column));
	case FROM_KEY:
		column = t->v->table->key[column];
		return pg_target_form(&t->v->table->columns[column], have(t, column), false);
	case FROM_AFTER_TEXT:
	case FROM_BEFORE_TEXT:
		return (struct pg_form){ "text", 25, true };
	default:
		return (struct pg_form){ "timestamptz", 1184, false };
	}
}

/* Declares a parameter and says its value in a row: u.a7, cast where it travels as text. */
static void add_value(struct text *t, enum from from, size_t column)
{
	struct pg_statement *s = t->out;
	struct pg_form form = form_of(t, from, column);
	size_t i = 0;

	while (i < s->nparams && (s->params[i].from != from || s->params[i].column != column))
		i++;
	if (i == s->nparams) {
		if (s->nparams == s->room) {
			s->room = s->room ? 2 * s->room : 16;
			s->params = xrealloc(s->params, s->room * sizeof *s->params);
		}
		s->params[s->nparams++] = (struct param){ (uint16_t)from, (uint16_t)column, form };
	}
	buf_addf(&t->sql, "u.a%zu", i + 1);
	if (!form.text || from == FROM_AFTER_TEXT || from == FROM_BEFORE_TEXT)
		return;
	if (from == FROM_KEY)
		column = t->v->table->key[column];
	buf_addf(&t->sql, "::%s", have(t, column)->cast);
}

/* unnest($1::int8[], $2::text[]) AS u(a1, a2): all parameters declared so far. */
static void add_rows(struct text *t)
{
	const struct pg_statement *s = t->out;

	add(t, "unnest("); /* of several arrays: only by its bare name */
	for (size_t i = 0; i < s->nparams; i++)
		buf_addf(&t->sql, "%s$%zu::%s[]", i ? ", " : "", i + 1, s->params[i].form.name);
	add(t, ") AS u(");
	for (size_t i = 0; i < s->nparams; i++)
		buf_addf(&t->sql, "%sa%zu", i ? ", " : "", i + 1);
	add(t, ")");
}

/* What was put together so far, for a later place: parameters are numbered as they are met. */
static struct buf take(struct text *t)
{
	struct buf taken = t->sql;

	t->sql = (struct buf){ 0 };
	return taken;
}

/* --- parts --- */

static void where_key(struct text *t)
{
	const struct table *table = t->v->table;

	for (size_t j = 0; j < table->nkey; j++) {
		add(t, j ? " AND t." : "t.");
		add_column(t, table->key[j]);
		add(t, " = ");
		add_value(t, FROM_KEY, j);
	}
}

/* The row equals the complete old image. */
static void where_same(struct text *t, const char *alias)
{
	const struct table *table = t->v->table;
	bool any = false;

	for (size_t i = 0; i < table->ncolumns; i++) {
		const char *cast =
			pg_target_exact(&table->columns[i], have(t, i)) && !event_bit(t->as_text, i)
				? ""
				: "::text";
		bool or_null = t->w->loose && t->v->late[i];

		if (!is_written(t, i))
			continue;
		add(t, any ? " AND " : "");
		any = true;
		buf_addf(&t->sql, "%s%s.", or_null ? "(" : "", alias);
		add_column(t, i);
		buf_addf(&t->sql, "%s IS NOT DISTINCT FROM ", cast);
		add_value(t, FROM_BEFORE, i);
		add(t, cast);
		if (or_null) {
			buf_addf(&t->sql, " OR %s.", alias);
			add_column(t, i);
			add(t, " IS NULL)");
		}
		if (t->v->text[i]) {
			buf_addf(&t->sql, " AND %s.", alias);
			add_text_column(t, i);
			add(t, " IS NOT DISTINCT FROM ");
			add_value(t, FROM_BEFORE_TEXT, i);
		}
	}
	if (!any)
		add(t, "true");
}

/* Names of all columns that are written, then their values: `values` false, true. */
static void add_columns(struct text *t, bool values)
{
	const struct table *table = t->v->table;
	bool any = false;

	for (size_t i = 0; i < table->ncolumns; i++) {
		if (!is_written(t, i))
			continue;
		add(t, any ? ", " : "");
		any = true;
		if (values)
			add_value(t, FROM_AFTER, i);
		else
			add_column(t, i);
		if (!t->v->text[i])
			continue;
		add(t, ", ");
		if (values)
			add_value(t, FROM_AFTER_TEXT, i);
		else
			add_text_column(t, i);
	}
}

static bool is_soft(const struct text *t)
{
	const struct sql_settings *set = t->k->sql.set;

	return set->deletes == DELETES_SOFT && !set->history;
}

/* --- statements --- */

static void add_conflict(struct text *t)
{
	const struct table *table = t->v->table;
	bool any = false;

	add(t, " ON CONFLICT (");
	sql_key_list(&t->sql, table, '"');
	add(t, ") DO ");
	for (size_t i = 0; i < table->ncolumns; i++) {
		if (table->columns[i].key || !is_written(t, i))
			continue;
		add(t, any ? ", " : "UPDATE SET ");
		any = true;
		add_column(t, i);
		add(t, " = excluded.");
		add_column(t, i);
		if (t->v->text[i]) {
			add(t, ", ");
			add_text_column(t, i);
			add(t, " = excluded.");
			add_text_column(t, i);
		}
	}
	if (is_soft(t)) {
		add(t, any ? ", " : "UPDATE SET ");
		any = true;
		add(t, "\"" SQL_DELETED_AT "\" = excluded.\"" SQL_DELETED_AT "\"");
	}
	add(t, any ? "" : "NOTHING");
}

static void put_insert(struct text *t)
{
	bool history = t->w->kind == SQL_APPEND;

	add(t, "INSERT INTO ");
	add(t, t->v->place->full);
	add(t, " (");
	add_columns(t, false);
	if (history)
		add(t, ", \"" SQL_VALID_FROM "\", \"" SQL_VALID_TO "\"");
	else if (is_soft(t))
		add(t, ", \"" SQL_DELETED_AT "\"");
	add(t, ") OVERRIDING SYSTEM VALUE SELECT ");
	add_columns(t, true);
	if (history) {
		add(t, ", ");
		add_value(t, FROM_TIME, 0);
		add(t, ", ");
		add_value(t, FROM_UNTIL, 0);
	} else if (is_soft(t)) {
		add(t, ", ");
		add_value(t, FROM_DELETED, 0);
	}
	add(t, " FROM ");
	add_rows(t);
	if (t->w->kind == SQL_UPSERT)
		add_conflict(t);
}

/* SET of the columns that the log carried; those of the key only when the row moves. */
static void put_set(struct text *t, bool keys)
{
	const struct table *table = t->v->table;
	bool any = false;

	add(t, " SET ");
	for (size_t i = 0; i < table->ncolumns; i++) {
		if (event_bit(t->w->absent, i) || (table->columns[i].key && !keys) ||
		    !is_written(t, i))
			continue;
		add(t, any ? ", " : "");
		any = true;
		add_column(t, i);
		add(t, " = ");
		add_value(t, FROM_AFTER, i);
		if (t->v->text[i]) {
			add(t, ", ");
			add_text_column(t, i);
			add(t, " = ");
			add_value(t, FROM_AFTER_TEXT, i);
		}
	}
	if (any)
		return;
	add_column(t, 0); /* nothing to change, but is the row there? */
	add(t, " = t.");
	add_column(t, 0);
}

static void put_update(struct text *t)
{
	put_set(t, t->w->kind == SQL_MOVE);
	AUTO(buf) struct buf set = take(t);

	where_key(t);
	AUTO(buf) struct buf condition = take(t);

	buf_addf(&t->sql, "UPDATE %s AS t%s FROM ", t->v->place->full, buf_z(&set));
	add_rows(t);
	buf_addf(&t->sql, " WHERE %s", buf_z(&condition));
}

/* One column of every row of a key: the time of its end. */
static void put_time(struct text *t, const char *column)
{
	add_value(t, FROM_TIME, 0);
	AUTO(buf) struct buf value = take(t);

	where_key(t);
	AUTO(buf) struct buf condition = take(t);

	buf_addf(&t->sql, "UPDATE %s AS t SET \"%s\" = %s FROM ", t->v->place->full, column,
		 buf_z(&value));
	add_rows(t);
	buf_addf(&t->sql, " WHERE %s AND t.\"%s\" IS NULL", buf_z(&condition), column);
}

static void put_remove(struct text *t)
{
	where_key(t);
	if (t->w->matched) {
		add(t, " AND ");
		where_same(t, "t");
	}
	AUTO(buf) struct buf condition = take(t);

	buf_addf(&t->sql, "DELETE FROM %s AS t USING ", t->v->place->full);
	add_rows(t);
	buf_addf(&t->sql, " WHERE %s", buf_z(&condition));
}

/* One row that equals the old image, among those that are not ended. */
static void put_match(struct text *t)
{
	const char *column = t->w->kind == SQL_MATCH_CLOSE ? SQL_VALID_TO : SQL_DELETED_AT;
	const char *table = t->v->place->full;

	if (t->w->kind == SQL_MATCH_UPDATE) {
		put_set(t, true);
	} else if (t->w->kind != SQL_MATCH_REMOVE) {
		buf_addf(&t->sql, " SET \"%s\" = ", column);
		add_value(t, FROM_TIME, 0);
	}
	AUTO(buf) struct buf set = take(t);

	where_same(t, "s");
	AUTO(buf) struct buf condition = take(t);

	buf_addf(&t->sql, "%s %s AS t%s", set.n ? "UPDATE" : "DELETE FROM", table, buf_z(&set));
	if (set.n) {
		add(t, " FROM ");
		add_rows(t);
	}
	if (t->v->place->parted)
		buf_addf(&t->sql,
			 " WHERE (t.tableoid, t.ctid) = (SELECT s.tableoid, s.ctid FROM %s AS s, ",
			 table);
	else
		buf_addf(&t->sql, " WHERE t.ctid = (SELECT s.ctid FROM %s AS s, ", table);
	add_rows(t);
	buf_addf(&t->sql, " WHERE %s", buf_z(&condition));
	if (t->k->sql.set->history)
		add(t, " AND s.\"" SQL_VALID_TO "\" IS NULL");
	else if (is_soft(t))
		add(t, " AND s.\"" SQL_DELETED_AT "\" IS NULL");
	add(t, " LIMIT 1)");
}

/* The open version ends, and goes on with what has changed. */
static void put_carry(struct text *t)
{
	const struct table *table = t->v->table;

	for (size_t i = 0; i < table->ncolumns; i++) {
		if (!is_written(t, i))
			continue;
		add(t, t->sql.n ? ", " : "");
		if (event_bit(t->w->absent, i)) {
			add(t, "o.");
			add_column(t, i);
		} else {
			add_value(t, FROM_AFTER, i);
		}
		if (!t->v->text[i])
			continue;
		add(t, ", ");
		if (event_bit(t->w->absent, i)) {
			add(t, "o.");
			add_text_column(t, i);
		} else {
			add_value(t, FROM_AFTER_TEXT, i);
		}
	}
	add(t, ", ");
	add_value(t, FROM_TIME, 0);
	AUTO(buf) struct buf values = take(t);

	where_key(t);
	AUTO(buf) struct buf condition = take(t);

	buf_addf(&t->sql,
		 "WITH o AS (UPDATE %s AS t SET \"" SQL_VALID_TO "\" = ", t->v->place->full);
	add_value(t, FROM_TIME, 0);
	add(t, " FROM ");
	add_rows(t);
	buf_addf(&t->sql,
		 " WHERE %s AND t.\"" SQL_VALID_TO "\" IS NULL RETURNING t.*) INSERT INTO %s (",
		 buf_z(&condition), t->v->place->full);
	add_columns(t, false);
	buf_addf(&t->sql, ", \"" SQL_VALID_FROM "\") OVERRIDING SYSTEM VALUE SELECT %s FROM o, ",
		 buf_z(&values));
	add_rows(t);
}

static void put_whole(struct text *t)
{
	const char *column = t->w->kind == SQL_MARK_ALL ? SQL_DELETED_AT : SQL_VALID_TO;

	if (t->w->kind == SQL_TRUNCATE) {
		add(t, t->v->place->keeps ? "DELETE FROM " : "TRUNCATE ");
		add(t, t->v->place->full);
		return;
	}
	buf_addf(&t->sql, "UPDATE %s AS t SET \"%s\" = ", t->v->place->full, column);
	add_value(t, FROM_TIME, 0);
	add(t, " FROM ");
	add_rows(t);
	buf_addf(&t->sql, " WHERE t.\"%s\" IS NULL", column);
}

static void put_statement(struct text *t)
{
	switch (t->w->kind) {
	case SQL_INSERT:
	case SQL_UPSERT:
	case SQL_APPEND:
		put_insert(t);
		break;
	case SQL_UPDATE:
	case SQL_MOVE:
		put_update(t);
		break;
	case SQL_REMOVE:
		put_remove(t);
		break;
	case SQL_MARK:
		put_time(t, SQL_DELETED_AT);
		break;
	case SQL_CLOSE:
		put_time(t, SQL_VALID_TO);
		break;
	case SQL_MATCH_UPDATE:
	case SQL_MATCH_REMOVE:
	case SQL_MATCH_MARK:
	case SQL_MATCH_CLOSE:
		put_match(t);
		break;
	case SQL_CARRY:
		put_carry(t);
		break;
	case SQL_TRUNCATE:
	case SQL_MARK_ALL:
	case SQL_CLOSE_ALL:
		put_whole(t);
		break;
	}
}

/* --- the cache --- */

static void statement_drop(struct pg_target *k, struct pg_statement *s)
{
	struct pg_statement **at = (struct pg_statement **)&s->version->own;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	*(s->newer ? &s->newer->older : &k->newest) = s->older;
	*(s->older ? &s->older->newer : &k->oldest) = s->newer;
	k->nstatements--;
	free(s->params);
	free(s->shape_bytes);
	free(s);
}

/* The server forgets too; inside an aborted transaction it cannot, and the name is never used again. */
static void statement_forget(struct pg_target *k, struct pg_statement *s)
{
	char sql[64];

	snprintf(sql, sizeof sql, "DEALLOCATE %s", s->name);
	if (k->conn && PQtransactionStatus(k->conn) != PQTRANS_INERROR)
		PQclear(PQexec(k->conn, sql));
	statement_drop(k, s);
}

void pg_target_forget(struct sql_sink *sql, struct sql_version *v)
{
	struct pg_target *k = (struct pg_target *)sql;

	while (v->own)
		statement_forget(k, v->own);
}

static void link_newest(struct pg_target *k, struct pg_statement *s)
{
	s->newer = NULL;
	s->older = k->newest;
	*(k->newest ? &k->newest->newer : &k->oldest) = s;
	k->newest = s;
}

static struct str shape_of(struct pg_target *k, const struct sql_version *v,
			   const struct sql_work *w, struct str as_text)
{
	size_t n = (v->table->ncolumns + 7) / 8;
	char *shape = arena_zalloc(&k->sql.arena, 2 * n);

	for (size_t i = 0; i < n && i < w->absent.n; i++)
		shape[i] = w->absent.p[i];
	for (size_t i = 0; i < n && i < as_text.n; i++)
		shape[n + i] = as_text.p[i];
	return (struct str){ shape, 2 * n };
}

static struct pg_statement *find(struct pg_target *k, struct sql_version *v,
				 const struct sql_work *w, struct str shape)
{
	for (struct pg_statement *s = v->own; s; s = s->next) {
		if (s->kind != w->kind || s->matched != w->matched || s->loose != w->loose ||
		    !str_eq(s->shape, shape))
			continue;
		if (s != k->newest) {
			s->newer->older = s->older;
			*(s->older ? &s->older->newer : &k->oldest) = s->newer;
			link_newest(k, s);
		}
		return s;
	}
	return NULL;
}

static struct pg_statement *prepare(struct pg_target *k, struct sql_version *v,
				    const struct sql_work *w, struct str as_text, struct error *err)
{
	struct str shape = shape_of(k, v, w, as_text);
	struct pg_statement *s = find(k, v, w, shape);

	if (s)
		return s;
	while (k->nstatements >= MOST_STATEMENTS)
		statement_forget(k, k->oldest);
	s = xcalloc(1, sizeof *s);
	*s = (struct pg_statement){ .version = v,
				    .kind = w->kind,
				    .matched = w->matched,
				    .loose = w->loose,
				    .shape_bytes = xmalloc(shape.n + 1) };
	memcpy(s->shape_bytes, shape.p, shape.n);
	s->shape = (struct str){ s->shape_bytes, shape.n };
	snprintf(s->name, sizeof s->name, "t%" PRIu64, ++k->serial);
	s->next = v->own;
	v->own = s;
	link_newest(k, s);
	k->nstatements++;

	struct text text = { .k = k, .v = v, .w = w, .as_text = as_text, .out = s };

	put_statement(&text);
	int sent = PQsendPrepare(k->conn, s->name, buf_z(&text.sql), 0, NULL);
	AUTO(buf) struct buf sql = text.sql;
	AUTO(PGresult) PGresult *r = sent ? pg_target_await(k, v->place->full, err) : NULL;

	if (!sent)
		(void)pg_fail(NULL, k->conn, v->place->full, err);
	if (r)
		return s;
	statement_drop(k, s);
	return NULL;
}

/* --- running --- */

/* false: a value that only its text can say, in a form that has none. */
static bool put_param(struct pg_target *k, const struct sql_version *v, const struct param *p,
		      const struct sql_item *item)
{
	const struct table *t = v->table;
	size_t column = p->from == FROM_KEY ? t->key[p->column] : p->column;
	const struct column *c = &t->columns[column];
	const struct value *value = NULL;

	switch ((enum from)p->from) {
	case FROM_AFTER:
	case FROM_AFTER_TEXT:
		value = &item->after[column];
		break;
	case FROM_BEFORE:
	case FROM_BEFORE_TEXT:
		value = &item->before[column];
		break;
	case FROM_KEY:
		value = item->key ? &item->key[p->column] : &item->after[column];
		break;
	case FROM_TIME:
	case FROM_DELETED:
	case FROM_UNTIL:
		if (p->from == FROM_TIME || (p->from == FROM_DELETED && item->deleted))
			pg_target_put_time(&k->params, item->time);
		else if (p->from == FROM_UNTIL && item->until != SQL_OPEN)
			pg_target_put_time(&k->params, item->until);
		else
			pg_target_put_null(&k->params);
		return true;
	}
	if (p->from == FROM_AFTER_TEXT || p->from == FROM_BEFORE_TEXT) {
		if (value->state == VALUE_UNREPRESENTABLE)
			pg_target_put(&k->params, c, p->form, value, &k->scratch);
		else
			pg_target_put_null(&k->params);
		return true;
	}
	if (value->state == VALUE_UNREPRESENTABLE && !pg_target_takes_text(&k->sql, v, column)) {
		pg_target_put_null(&k->params); /* by policy, which was asked before */
		return true;
	}
	pg_target_put(&k->params, c, p->form, value, &k->scratch);
	return value->state != VALUE_UNREPRESENTABLE || p->form.text;
}

/* All arrays one after the other, `offsets` where each begins.  false as above. */
static bool put_params(struct pg_target *k, const struct sql_version *v,
		       const struct pg_statement *s, const struct sql_work *w, size_t *offsets)
{
	buf_clear(&k->params);
	for (size_t i = 0; i < s->nparams; i++) {
		offsets[i] = k->params.n;
		pg_target_put_header(&k->params, s->params[i].form.element, w->n);
		for (size_t j = 0; j < w->n; j++)
			if (!put_param(k, v, &s->params[i], w->items[j]))
				return false;
	}
	offsets[s->nparams] = k->params.n;
	return true;
}

/* The columns of which a value can only be said by its text. */
static struct str text_columns(struct pg_target *k, const struct sql_version *v,
			       const struct sql_work *w)
{
	size_t n = v->table->ncolumns;
	char *bits = arena_zalloc(&k->sql.arena, (n + 7) / 8);

	for (size_t j = 0; j < w->n; j++)
		for (size_t i = 0; i < n; i++) {
			const struct sql_item *item = w->items[j];
			bool after = item->after && item->after[i].state == VALUE_UNREPRESENTABLE;
			bool before =
				item->before && item->before[i].state == VALUE_UNREPRESENTABLE;

			if (after || before)
				bits[i / 8] |= (char)(1 << i % 8);
		}
	return (struct str){ bits, (n + 7) / 8 };
}

static int64_t run(struct pg_target *k, const struct sql_version *v, const struct pg_statement *s,
		   const size_t *offsets, struct error *err)
{
	const char **values = arena_alloc(&k->sql.arena, (s->nparams + 1) * sizeof *values);
	int *lengths = arena_alloc(&k->sql.arena, (s->nparams + 1) * sizeof *lengths);
	int *formats = arena_alloc(&k->sql.arena, (s->nparams + 1) * sizeof *formats);

	for (size_t i = 0; i < s->nparams; i++) {
		values[i] = k->params.p + offsets[i];
		lengths[i] = (int)(offsets[i + 1] - offsets[i]);
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(k->conn, s->name, (int)s->nparams, values, lengths, formats, 0))
		return pg_fail(NULL, k->conn, v->place->full, err);
	AUTO(PGresult) PGresult *r = pg_target_await(k, v->place->full, err);

	return r ? strtoll(PQcmdTuples(r), NULL, 10) : -1;
}

int64_t pg_target_work(struct sql_sink *sql, struct sql_version *v, const struct sql_work *w,
		       struct error *err)
{
	struct pg_target *k = (struct pg_target *)sql;
	struct pg_statement *s = prepare(k, v, w, (struct str){ NULL, 0 }, err);
	size_t *offsets = s ? arena_alloc(&sql->arena, (s->nparams + 1) * sizeof *offsets) : NULL;

	if (s && !put_params(k, v, s, w, offsets)) {
		s = prepare(k, v, w, text_columns(k, v, w), err);
		if (s && !put_params(k, v, s, w, offsets))
			return fail(err, ERR_FATAL, "table %s: a value is lost", v->place->full);
	}
	if (!s)
		return -1;
	int64_t n = run(k, v, s, offsets, err);

	if (n < 0 && w->kind == SQL_INSERT && v->table->nkey && strstr(err->text, "(23505)"))
		v->place->rejects_plain = sql->again = true;
	if (k->params.room > KEEP_PARAMS)
		buf_free(&k->params);
	return n;
}
