/*
 * mysql_schema.c - definitions of tables as a live server's information_schema has them
 */
#include <stdlib.h>

#include "mysql_schema.h"

#define UNKNOWN_DATABASE 1049
#define NO_SUCH_TABLE    1146

bool mysql_schema_system(struct str db)
{
	static const char *const names[] = { "mysql", "sys", "information_schema",
					     "performance_schema" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (str_eqz(db, names[i]))
			return true;
	return false;
}

int mysql_schema_session(struct mysql_conn *c, const struct mysql_server *s, struct error *err)
{
	if (mysql_command(c, "SET SESSION lock_wait_timeout = 5", err))
		return -1;
	if (s->mariadb || s->version < 80030)
		return 0;
	/* A primary key that the server made is in row images. */
	return mysql_command(c, "SET SESSION show_gipk_in_create_table_and_information_schema = ON",
			     err);
}

void mysql_schema_release(struct mysql_schema *s)
{
	free(s->items);
	arena_free(&s->arena);
	*s = (struct mysql_schema){ 0 };
}

void mysql_schema_cleanup(struct mysql_schema *s)
{
	mysql_schema_release(s);
}

static void quote(struct mysql_conn *c, struct buf *out, struct str text)
{
	AUTO(free) char *z = xstrndup(text.n ? text.p : "", text.n);

	mysql_quote(c, out, z);
}

/* --- reading --- */

static int by_name(const void *a, const void *b)
{
	const struct mysql_table *x = a, *y = b;
	struct str pairs[2][2] = { { x->schema, y->schema }, { x->name, y->name } };

	for (size_t i = 0; i < 2; i++) {
		struct str p = pairs[i][0], q = pairs[i][1];
		int d = memcmp(p.p, q.p, p.n < q.n ? p.n : q.n);

		if (d || p.n != q.n)
			return d ? d : p.n < q.n ? -1 : 1;
	}
	return 0;
}

static struct mysql_table *find(const struct mysql_schema *s, struct str db, struct str name)
{
	struct mysql_table key = { .schema = db, .name = name };

	return s->n && db.p && name.p ? bsearch(&key, s->items, s->n, sizeof key, by_name) : NULL;
}

/* Which tables: conditions on TABLE_SCHEMA and, or NULL, on TABLE_NAME. */
struct filter {
	const char *schema, *name;
};

static void where(struct buf *sql, const char *alias, const struct filter *f)
{
	buf_addf(sql, " %s.TABLE_SCHEMA %s", alias, f->schema);
	if (f->name)
		buf_addf(sql, " AND %s.TABLE_NAME %s", alias, f->name);
}

static int read_tables(struct mysql_conn *c, const struct filter *f, struct mysql_schema *out,
		       struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, t.TABLE_TYPE, e.TRANSACTIONS"
		       " FROM information_schema.TABLES t"
		       " LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
		       " WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') AND");
	where(&sql, "t", f);
	if (mysql_query_rows(c, buf_z(&sql), &r, err))
		return -1;
	out->n = r.n;
	out->items = xcalloc(r.n, sizeof *out->items);
	for (size_t i = 0; i < r.n; i++) {
		struct mysql_table *t = &out->items[i];

		t->schema = arena_copy(&out->arena, mysql_cell(&r, i, 0));
		t->name = arena_copy(&out->arena, mysql_cell(&r, i, 1));
		t->engine = arena_copy(&out->arena, mysql_cell(&r, i, 2));
		t->sequence = str_eqz(mysql_cell(&r, i, 3), "SEQUENCE");
		t->versioned = str_eqz(mysql_cell(&r, i, 3), "SYSTEM VERSIONED");
		t->transactional = str_eqz(mysql_cell(&r, i, 4), "YES");
	}
	if (r.n)
		qsort(out->items, out->n, sizeof *out->items, by_name);
	return 0;
}

static bool contains(struct str s, const char *what)
{
	return s.n && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static void column_of(const struct mysql_rows *r, size_t row, struct arena *a,
		      struct mysql_column *out)
{
	struct str type = arena_copy(a, mysql_cell(r, row, 4));

	out->name = arena_copy(a, mysql_cell(r, row, 2));
	out->data_type = arena_copy(a, mysql_cell(r, row, 3));
	out->column_type = type;
	out->charset = arena_copy(a, mysql_cell(r, row, 5));
	out->nullable = str_eqz(mysql_cell(r, row, 6), "YES");
	out->is_unsigned = !str_eqz(out->data_type, "enum") && !str_eqz(out->data_type, "set") &&
			   contains(type, " unsigned");
}

/* What MariaDB adds at the end when WITH SYSTEM VERSIONING names no columns. */
static void add_hidden(struct mysql_table *t, const char *name, const char *data_type,
		       const char *column_type, bool nullable)
{
	struct mysql_column *c = &t->columns[t->ncolumns++];

	*c = (struct mysql_column){ .name = str_z(name),
				    .data_type = str_z(data_type),
				    .column_type = str_z(column_type),
				    .charset = STR(""),
				    .nullable = nullable };
}

#define HIDDEN_MAX 66 /* two of versioning, and as many unique indexes as a table may have */

/* The rows are in order of their tables: the run that begins at `row`; its length. */
static size_t take_columns(const struct mysql_rows *r, size_t row, struct mysql_schema *list,
			   const bool *wanted)
{
	struct str db = mysql_cell(r, row, 0), name = mysql_cell(r, row, 1);
	struct mysql_table *t = find(list, db, name);
	bool named = false;
	size_t n = 1;

	while (row + n < r->n && str_eq(mysql_cell(r, row + n, 0), db) &&
	       str_eq(mysql_cell(r, row + n, 1), name))
		n++;
	if (!t || t->columns || (wanted && !wanted[t - list->items]))
		return n;
	t->columns = arena_zalloc(&list->arena, (n + HIDDEN_MAX) * sizeof *t->columns);
	t->ncolumns = n;
	for (size_t i = 0; i < n; i++) {
		column_of(r, row + i, &list->arena, &t->columns[i]);
		named |= str_eqz(mysql_cell(r, row + i, 7), "ROW START");
	}
	if (t->versioned && !named) {
		add_hidden(t, "row_start", "timestamp", "timestamp(6)", false);
		add_hidden(t, "row_end", "timestamp", "timestamp(6)", false);
	}
	return n;
}

static int read_columns(struct mysql_conn *c, const struct mysql_server *s, const struct filter *f,
			struct mysql_schema *list, const bool *wanted, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_addf(&sql,
		 "SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE,"
		 " c.CHARACTER_SET_NAME, c.IS_NULLABLE, %s FROM information_schema.COLUMNS c WHERE",
		 s->mariadb && s->version >= 100300 ? "c.GENERATION_EXPRESSION" : "NULL");
	where(&sql, "c", f);
	buf_adds(&sql, " ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION");
	if (mysql_query_rows(c, buf_z(&sql), &r, err))
		return -1;
	for (size_t i = 0; i < r.n;)
		i += take_columns(&r, i, list, wanted);
	return 0;
}

static int read_keys(struct mysql_conn *c, const struct filter *f, struct mysql_schema *list,
		     struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.COLUMN_NAME, k.ORDINAL_POSITION"
		       " FROM information_schema.KEY_COLUMN_USAGE k"
		       " WHERE k.CONSTRAINT_NAME = 'PRIMARY' AND");
	where(&sql, "k", f);
	if (mysql_query_rows(c, buf_z(&sql), &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		const struct mysql_table *t =
			find(list, mysql_cell(&r, i, 0), mysql_cell(&r, i, 1));
		AUTO(free) char *place = xstrndup(mysql_cell(&r, i, 3).p, mysql_cell(&r, i, 3).n);

		for (size_t j = 0; t && j < t->ncolumns; j++)
			if (str_eq(t->columns[j].name, mysql_cell(&r, i, 2)))
				t->columns[j].key = (int)strtol(place, NULL, 10);
	}
	return 0;
}

/* MariaDB keeps a UNIQUE over long values by a hash in a column of its own, which is in the row image. */
static int read_hashes(struct mysql_conn *c, const struct filter *f, struct mysql_schema *list,
		       struct error *err)
{
	static const char *const names[] = { "DB_ROW_HASH_1", "DB_ROW_HASH_2", "DB_ROW_HASH_3",
					     "DB_ROW_HASH_4", "DB_ROW_HASH_5", "DB_ROW_HASH_6",
					     "DB_ROW_HASH_7", "DB_ROW_HASH_8", "DB_ROW_HASH_9" };
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME FROM"
		       " information_schema.STATISTICS s WHERE s.INDEX_TYPE = 'HASH' AND"
		       " s.NON_UNIQUE = 0 AND s.SEQ_IN_INDEX = 1 AND");
	where(&sql, "s", f);
	if (mysql_query_rows(c, buf_z(&sql), &r, err))
		return -1;
	for (size_t i = 0, n = 0; i < r.n; i++) {
		struct mysql_table *t = find(list, mysql_cell(&r, i, 0), mysql_cell(&r, i, 1));

		n = i && str_eq(mysql_cell(&r, i, 1), mysql_cell(&r, i - 1, 1)) ? n + 1 : 0;
		if (t && t->columns && n < COUNT(names) && !str_eqz(t->engine, "MEMORY"))
			add_hidden(t, names[n], "bigint", "bigint(20)", true);
	}
	return 0;
}

static int read_parts(struct mysql_conn *c, const struct mysql_server *s, const struct filter *f,
		      struct mysql_schema *list, const bool *wanted, struct error *err)
{
	if (read_columns(c, s, f, list, wanted, err))
		return -1;
	if (s->mariadb && s->version >= 100400 && read_hashes(c, f, list, err))
		return -1;
	return read_keys(c, f, list, err);
}

int mysql_schema_list(struct mysql_conn *c, struct mysql_schema *out, struct error *err)
{
	static const struct filter users = {
		"NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')", NULL
	};

	*out = (struct mysql_schema){ 0 };
	return read_tables(c, &users, out, err);
}

int mysql_schema_columns(struct mysql_conn *c, const struct mysql_server *s,
			 struct mysql_schema *list, const bool *wanted, struct error *err)
{
	AUTO(buf) struct buf schemas = { 0 };
	struct str last = { NULL, 0 };

	for (size_t i = 0; i < list->n; i++) {
		const struct mysql_table *t = &list->items[i];

		if (!wanted[i] || (last.p && str_eq(last, t->schema)))
			continue;
		buf_adds(&schemas, last.p ? ", " : "IN (");
		quote(c, &schemas, t->schema);
		last = t->schema;
	}
	if (!last.p)
		return 0;
	buf_addc(&schemas, ')');
	return read_parts(c, s, &(struct filter){ buf_z(&schemas), NULL }, list, wanted, err);
}

/* The statement waits until whoever changes the table has made the change visible. */
int mysql_schema_settled(struct mysql_conn *c, struct str db, struct str table, struct error *err)
{
	AUTO(free) char *schema = xstrndup(db.p, db.n);
	AUTO(free) char *name = xstrndup(table.p, table.n);
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT 1 FROM ");
	mysql_name(&sql, schema);
	buf_addc(&sql, '.');
	mysql_name(&sql, name);
	buf_adds(&sql, " LIMIT 0");
	if (mysql_query_rows(c, buf_z(&sql), &r, err) == 0)
		return 1;
	if (err->code == NO_SUCH_TABLE || err->code == UNKNOWN_DATABASE)
		return 0;
	return error_prefix(err, "table %s.%s", schema, name);
}

int mysql_schema_read(struct mysql_conn *c, const struct mysql_server *s, struct str db,
		      struct str table, struct arena *a, struct mysql_table *out, struct error *err)
{
	AUTO(mysql_schema) struct mysql_schema list = { 0 };
	AUTO(buf) struct buf schema = { 0 }, name = { 0 }, json = { 0 };
	int there = mysql_schema_settled(c, db, table, err);

	if (there <= 0)
		return there;
	buf_adds(&schema, "= ");
	quote(c, &schema, db);
	buf_adds(&name, "= ");
	quote(c, &name, table);
	struct filter f = { buf_z(&schema), buf_z(&name) };

	if (read_tables(c, &f, &list, err))
		return -1;
	if (list.n != 1)
		return 0;
	if (read_parts(c, s, &f, &list, NULL, err))
		return -1;
	if (!list.items[0].columns)
		return 0;
	mysql_table_json(&list.items[0], &json); /* a copy of its strings */
	return mysql_table_parse((struct str){ json.p, json.n }, a, out, err) ? -1 : 1;
}
