/*
 * sqlite_statement.c - text of the sqlite sink's statements, and the cache of prepared ones
 *
 * A statement is kept for each table version, kind and set of columns that are left out.  Past a
 * bound of number and memory those used longest ago go.
 */
#include <stdlib.h>
#include <string.h>

#include "sqlite.h"

#define MOST_STATEMENTS 256
#define MOST_MEMORY     ((size_t)3 << 20)

/* A statement's text while it is put together, with its parameters. */
struct text {
	struct buf sql;
	const struct sqlite_version *v;
	const struct sqlite *k;
	struct sqlite_statement *out;
};

static void add(struct text *t, const char *z)
{
	buf_adds(&t->sql, z);
}

static void add_ident(struct text *t, struct str name)
{
	sql_ident(&t->sql, name, '"');
}

static void add_column(struct text *t, size_t i)
{
	add_ident(t, t->v->table->columns[i].name);
}

static void add_text_column(struct text *t, size_t i)
{
	AUTO(buf) struct buf name = { 0 };
	struct str s = t->v->table->columns[i].name;

	buf_add(&name, s.p, s.n);
	buf_adds(&name, SQL_TEXT_SUFFIX);
	add_ident(t, (struct str){ name.p, name.n });
}

static void add_param(struct text *t, enum sqlite_param_from from, size_t column)
{
	struct sqlite_statement *s = t->out;

	buf_addc(&t->sql, '?');
	if (s->nparams == s->room) {
		s->room = s->room ? 2 * s->room : 16;
		s->params = xrealloc(s->params, s->room * sizeof *s->params);
	}
	s->params[s->nparams++] =
		(struct sqlite_param){ .from = (uint16_t)from, .column = (uint16_t)column };
}

static void add_main(struct text *t)
{
	add(t, "main.");
	add_ident(t, str_z(t->v->place->name));
}

void sqlite_parked_name(struct buf *out, const struct sqlite_place *p)
{
	buf_addf(out, "temp.parked_%u", p->id);
}

static void add_place_columns(struct text *t)
{
	const struct sqlite_place *p = t->v->place;

	for (size_t i = 0; i < p->ncolumns; i++) {
		add(t, i ? ", " : "");
		add_ident(t, str_z(p->columns[i]));
	}
}

static bool is_soft(const struct text *t)
{
	return t->k->set->deletes == DELETES_SOFT;
}

/* --- conditions --- */

static void where_key(struct text *t)
{
	const struct table *table = t->v->table;

	add(t, " WHERE ");
	for (size_t j = 0; j < table->nkey; j++) {
		add(t, j ? " AND " : "");
		add_column(t, table->key[j]);
		add(t, " = ");
		add_param(t, PARAM_KEY, j);
	}
}

static void where_rowid(struct text *t)
{
	buf_addf(&t->sql, " WHERE %s = ", t->v->place->rowid);
	add_param(t, PARAM_ROWID, 0);
}

/* Every column is the same: IS, never =, so that NULL meets NULL. */
static void add_match(struct text *t, bool loose)
{
	const struct table *table = t->v->table;

	for (size_t i = 0; i < table->ncolumns; i++) {
		bool or_null = loose && t->v->late[i];

		add(t, i ? " AND " : "");
		add(t, or_null ? "(" : "");
		add_column(t, i);
		add(t, " IS ");
		add_param(t, PARAM_BEFORE, i);
		if (or_null) {
			add(t, " OR ");
			add_column(t, i);
			add(t, " IS NULL)");
		}
		if (t->v->text[i]) {
			add(t, " AND ");
			add_text_column(t, i);
			add(t, " IS ");
			add_param(t, PARAM_BEFORE_TEXT, i);
		}
	}
}

/* One row that equals the old image, among those that are not marked as deleted. */
static void where_match(struct text *t, bool loose)
{
	buf_addf(&t->sql, " WHERE %s = (SELECT %s FROM ", t->v->place->rowid, t->v->place->rowid);
	add_main(t);
	add(t, " WHERE ");
	add_match(t, loose);
	add(t, is_soft(t) ? " AND \"" SQL_DELETED_AT "\" IS NULL LIMIT 1)" : " LIMIT 1)");
}

/* --- statements --- */

static void put_insert(struct text *t, bool overwrite)
{
	const struct table *table = t->v->table;
	bool any = false;

	add(t, "INSERT INTO ");
	add_main(t);
	add(t, " (");
	for (size_t i = 0; i < table->ncolumns; i++) {
		add(t, i ? ", " : "");
		add_column(t, i);
		if (t->v->text[i]) {
			add(t, ", ");
			add_text_column(t, i);
		}
	}
	add(t, ") VALUES (");
	for (size_t i = 0; i < table->ncolumns; i++) {
		add(t, i ? ", " : "");
		add_param(t, PARAM_AFTER, i);
		if (t->v->text[i]) {
			add(t, ", ");
			add_param(t, PARAM_AFTER_TEXT, i);
		}
	}
	add(t, ")");
	if (!table->nkey)
		return;
	add(t, " ON CONFLICT (");
	sql_key_list(&t->sql, table, '"');
	add(t, ") DO ");
	for (size_t i = 0; overwrite && i < table->ncolumns; i++) {
		if (table->columns[i].key)
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
	if (overwrite && is_soft(t)) {
		add(t, any ? ", " : "UPDATE SET ");
		any = true;
		add(t, "\"" SQL_DELETED_AT "\" = NULL");
	}
	add(t, any ? "" : "NOTHING");
}

/* SET of the columns that the log carried; those of the key only when the row moves. */
static void put_set(struct text *t, bool keys)
{
	const struct table *table = t->v->table;
	bool any = false;

	for (size_t i = 0; i < table->ncolumns; i++) {
		if (event_bit(t->out->shape, i) || (table->columns[i].key && !keys))
			continue;
		add(t, any ? ", " : " SET ");
		any = true;
		add_column(t, i);
		add(t, " = ");
		add_param(t, PARAM_AFTER, i);
		if (t->v->text[i]) {
			add(t, ", ");
			add_text_column(t, i);
			add(t, " = ");
			add_param(t, PARAM_AFTER_TEXT, i);
		}
	}
	if (any)
		return;
	add(t, " SET "); /* nothing to change, but is the row there? */
	add_column(t, 0);
	add(t, " = ");
	add_column(t, 0);
}

static void put_update(struct text *t, enum sqlite_statement_kind kind)
{
	add(t, "UPDATE ");
	if (kind == STATEMENT_PARKED_UPDATE)
		sqlite_parked_name(&t->sql, t->v->place);
	else
		add_main(t);
	put_set(t, kind != STATEMENT_UPDATE && kind != STATEMENT_PARKED_UPDATE);
	if (kind == STATEMENT_UPDATE_MATCH || kind == STATEMENT_UPDATE_LOOSE)
		where_match(t, kind == STATEMENT_UPDATE_LOOSE);
	else if (kind == STATEMENT_PARKED_UPDATE)
		where_rowid(t);
	else
		where_key(t);
}

static void put_remove(struct text *t, enum sqlite_statement_kind kind)
{
	add(t, "DELETE FROM ");
	if (kind == STATEMENT_PARKED_REMOVE || kind == STATEMENT_PARKED_FORGET)
		sqlite_parked_name(&t->sql, t->v->place);
	else
		add_main(t);
	if (kind == STATEMENT_REMOVE || kind == STATEMENT_PARKED_FORGET)
		where_key(t);
	else if (kind == STATEMENT_PARKED_REMOVE)
		where_rowid(t);
	else if (kind != STATEMENT_TRUNCATE)
		where_match(t, kind == STATEMENT_REMOVE_LOOSE);
}

static void put_mark(struct text *t, enum sqlite_statement_kind kind)
{
	add(t, "UPDATE ");
	add_main(t);
	add(t, " SET \"" SQL_DELETED_AT "\" = ");
	add_param(t, PARAM_TIME, 0);
	if (kind == STATEMENT_MARK_MATCH || kind == STATEMENT_MARK_LOOSE) {
		where_match(t, kind == STATEMENT_MARK_LOOSE);
		return;
	}
	if (kind == STATEMENT_MARK)
		where_key(t);
	add(t, kind == STATEMENT_MARK ? " AND " : " WHERE ");
	add(t, "\"" SQL_DELETED_AT "\" IS NULL");
}

static void put_park(struct text *t)
{
	add(t, "INSERT INTO ");
	sqlite_parked_name(&t->sql, t->v->place);
	add(t, " (");
	add_place_columns(t);
	add(t, ") SELECT ");
	add_place_columns(t);
	add(t, " FROM ");
	add_main(t);
	where_key(t);
	add(t, is_soft(t) ? " AND \"" SQL_DELETED_AT "\" IS NULL" : "");
}

static void put_unpark(struct text *t)
{
	const struct sqlite_place *p = t->v->place;
	const struct table *table = t->v->table;

	add(t, "INSERT INTO ");
	add_main(t);
	add(t, " (");
	add_place_columns(t);
	add(t, ") SELECT ");
	for (size_t i = 0; i < p->ncolumns; i++) {
		size_t j = 0;

		while (j < table->nkey &&
		       !sql_same_name(table->columns[table->key[j]].name, str_z(p->columns[i])))
			j++;
		add(t, i ? ", " : "");
		if (j < table->nkey)
			add_param(t, PARAM_KEY, j);
		else
			add_ident(t, str_z(p->columns[i]));
	}
	add(t, " FROM ");
	sqlite_parked_name(&t->sql, p);
	where_rowid(t);
}

static void put_find(struct text *t, enum sqlite_statement_kind kind)
{
	if (kind == STATEMENT_CURRENT_MATCH) {
		add(t, "SELECT 1 FROM ");
		add_main(t);
	} else {
		buf_addf(&t->sql, "SELECT %s FROM ", t->v->place->rowid);
		sqlite_parked_name(&t->sql, t->v->place);
	}
	where_key(t);
	if (kind != STATEMENT_PARKED_FIND) {
		add(t, " AND ");
		add_match(t, false);
	}
	if (kind != STATEMENT_CURRENT_MATCH)
		buf_addf(&t->sql, " ORDER BY %s LIMIT 1", t->v->place->rowid);
}

static void put_statement(struct text *t, enum sqlite_statement_kind kind)
{
	switch (kind) {
	case STATEMENT_UPSERT:
	case STATEMENT_ADD:
		put_insert(t, kind == STATEMENT_UPSERT);
		break;
	case STATEMENT_UPDATE:
	case STATEMENT_MOVE:
	case STATEMENT_UPDATE_MATCH:
	case STATEMENT_UPDATE_LOOSE:
	case STATEMENT_PARKED_UPDATE:
		put_update(t, kind);
		break;
	case STATEMENT_REMOVE:
	case STATEMENT_REMOVE_MATCH:
	case STATEMENT_REMOVE_LOOSE:
	case STATEMENT_TRUNCATE:
	case STATEMENT_PARKED_REMOVE:
	case STATEMENT_PARKED_FORGET:
		put_remove(t, kind);
		break;
	case STATEMENT_MARK:
	case STATEMENT_MARK_ALL:
	case STATEMENT_MARK_MATCH:
	case STATEMENT_MARK_LOOSE:
		put_mark(t, kind);
		break;
	case STATEMENT_PARK:
		put_park(t);
		break;
	case STATEMENT_UNPARK:
		put_unpark(t);
		break;
	case STATEMENT_PARKED_FIND:
	case STATEMENT_PARKED_MATCH:
	case STATEMENT_CURRENT_MATCH:
		put_find(t, kind);
		break;
	}
}

/* --- the cache --- */

static void unlink_age(struct sqlite *k, struct sqlite_statement *s)
{
	if (s->newer)
		s->newer->older = s->older;
	else
		k->newest = s->older;
	if (s->older)
		s->older->newer = s->newer;
	else
		k->oldest = s->newer;
}

static void link_newest(struct sqlite *k, struct sqlite_statement *s)
{
	s->newer = NULL;
	s->older = k->newest;
	*(k->newest ? &k->newest->newer : &k->oldest) = s;
	k->newest = s;
}

static void statement_free(struct sqlite_statement *s)
{
	sqlite3_finalize(s->stmt);
	free(s->params);
	free(s->shape_bytes);
	free(s);
}

static void statement_drop(struct sqlite *k, struct sqlite_statement *s)
{
	struct sqlite_statement **at = &s->version->statements;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	unlink_age(k, s);
	k->nstatements--;
	k->memory -= s->memory;
	statement_free(s);
}

/* Into the cache, where those used longest ago make room. */
static void statement_keep(struct sqlite *k, struct sqlite_statement *s)
{
	s->memory = (size_t)sqlite3_stmt_status(s->stmt, SQLITE_STMTSTATUS_MEMUSED, 0);
	for (struct sqlite_statement *old = k->oldest, *newer; old; old = newer) {
		if (k->nstatements < MOST_STATEMENTS && k->memory + s->memory <= MOST_MEMORY)
			break;
		newer = old->newer;
		statement_drop(k, old);
	}
	s->next = s->version->statements;
	s->version->statements = s;
	link_newest(k, s);
	k->nstatements++;
	k->memory += s->memory;
}

void sqlite_forget(struct sqlite *k, struct sqlite_version *v)
{
	while (v->statements)
		statement_drop(k, v->statements);
}

static struct sqlite_statement *find(struct sqlite *k, struct sqlite_version *v,
				     enum sqlite_statement_kind kind, struct str shape)
{
	for (struct sqlite_statement **at = &v->statements; *at; at = &(*at)->next) {
		struct sqlite_statement *s = *at;

		if (s->kind != kind || s->shape.n != shape.n ||
		    (shape.n && memcmp(s->shape.p, shape.p, shape.n) != 0))
			continue;
		*at = s->next;
		s->next = v->statements;
		v->statements = s;
		if (s != k->newest) {
			unlink_age(k, s);
			link_newest(k, s);
		}
		return s;
	}
	return NULL;
}

struct sqlite_statement *sqlite_prepare(struct sqlite *k, struct sqlite_version *v,
					enum sqlite_statement_kind kind, struct str shape,
					struct error *err)
{
	struct sqlite_statement *s = find(k, v, kind, shape);

	if (s)
		return s;
	s = xcalloc(1, sizeof *s);
	s->version = v;
	s->kind = kind;
	s->shape_bytes = shape.n ? xmalloc(shape.n) : NULL;
	if (shape.n)
		memcpy(s->shape_bytes, shape.p, shape.n);
	s->shape = (struct str){ s->shape_bytes, shape.n };

	struct text text = { .v = v, .k = k, .out = s };

	put_statement(&text, kind);
	buf_z(&text.sql);
	int rc = sqlite3_prepare_v3(k->db, text.sql.p, (int)text.sql.n + 1,
				    SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
	buf_free(&text.sql);
	if (rc != SQLITE_OK) {
		sqlite_fail(k, err, v->place->name);
		statement_free(s);
		return NULL;
	}
	statement_keep(k, s);
	return s;
}

/* --- running --- */

static int bind_unrepresentable(sqlite3_stmt *stmt, int index, const struct value *v)
{
	if (v->state != VALUE_UNREPRESENTABLE)
		return sqlite3_bind_null(stmt, index);
	return sqlite3_bind_text64(stmt, index, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC,
				   SQLITE_UTF8);
}

static int bind_param(struct sqlite *k, const struct sqlite_statement *s, size_t i)
{
	const struct table *t = s->version->table;
	struct sqlite_param p = s->params[i];
	int index = (int)i + 1;
	char time[VALUE_TEXT];

	switch ((enum sqlite_param_from)p.from) {
	case PARAM_AFTER:
		return sqlite_bind(s->stmt, index, &t->columns[p.column], &k->after[p.column],
				   &k->arena, &k->scratch);
	case PARAM_BEFORE:
		return sqlite_bind(s->stmt, index, &t->columns[p.column], &k->before[p.column],
				   &k->arena, &k->scratch);
	case PARAM_KEY:
		return sqlite_bind(s->stmt, index, &t->columns[t->key[p.column]], &k->key[p.column],
				   &k->arena, &k->scratch);
	case PARAM_AFTER_TEXT:
		return bind_unrepresentable(s->stmt, index, &k->after[p.column]);
	case PARAM_BEFORE_TEXT:
		return bind_unrepresentable(s->stmt, index, &k->before[p.column]);
	case PARAM_ROWID:
		return sqlite3_bind_int64(s->stmt, index, k->rowid);
	case PARAM_TIME:
		break;
	}
	sqlite_timestamp(k->time, time);
	return sqlite3_bind_text(s->stmt, index, time, -1, SQLITE_TRANSIENT);
}

int sqlite_run(struct sqlite *k, struct sqlite_statement *s, int64_t *out, struct error *err)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < s->nparams && rc == SQLITE_OK; i++)
		rc = bind_param(k, s, i);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s->stmt);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(s->stmt, 0);
	else if (rc == SQLITE_DONE)
		*out = sqlite3_stmt_readonly(s->stmt) ? 0 : sqlite3_changes64(k->db);
	else
		sqlite_fail(k, err, s->version->place->name);
	sqlite3_reset(s->stmt);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return rc;
	return (rc & 0xff) == SQLITE_CONSTRAINT ? SQLITE_CONSTRAINT : -1;
}

int64_t sqlite_do(struct sqlite *k, struct sqlite_version *v, enum sqlite_statement_kind kind,
		  struct str shape, struct error *err)
{
	struct sqlite_statement *s = sqlite_prepare(k, v, kind, shape, err);
	int64_t out = 0;
	int rc;

	if (!s)
		return -1;
	rc = sqlite_run(k, s, &out, err);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? out : -1;
}
