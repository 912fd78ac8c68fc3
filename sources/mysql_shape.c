/*
 * mysql_shape.c - a table of a live server as snapshots read it
 */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "binlog_cell.h"
#include "binlog_plan.h"
#include "mysql_schema.h"
#include "mysql_shape.h"

#define TRIES         5
#define UNKNOWN_DB    1049
#define NO_SUCH_TABLE 1146

/* Columns of SHOW INDEX, the same in all versions. */
enum {
	INDEX_NON_UNIQUE = 1,
	INDEX_NAME = 2,
	INDEX_COLUMN = 4,
	INDEX_PREFIX = 7,
	INDEX_NULL = 9,
	INDEX_TYPE = 10,
};

void mysql_shape_free(struct mysql_shape *s)
{
	if (!s)
		return;
	arena_free(&s->arena);
	free(s->table);
	free(s->select);
	free(s->index);
	free(s->create);
	free(s);
}

static void add_name(struct buf *out, struct str name)
{
	AUTO(free) char *z = xstrndup(name.p, name.n);

	mysql_name(out, z);
}

static char *table_name(struct str db, struct str name)
{
	AUTO(buf) struct buf b = { 0 };

	add_name(&b, db);
	buf_addc(&b, '.');
	add_name(&b, name);
	return xstrdup(buf_z(&b));
}

bool mysql_shape_in_snapshot(struct str engine)
{
	static const char *const names[] = { "InnoDB", "ROCKSDB", "TokuDB" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (engine.n == strlen(names[i]) && strncasecmp(engine.p, names[i], engine.n) == 0)
			return true;
	return false;
}

/* --- the key --- */

int mysql_shape_full(struct mysql_conn *c, bool *full, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c, "SHOW GLOBAL VARIABLES LIKE 'binlog_row_metadata'", &r, err))
		return -1;
	*full = str_eqz(mysql_cell(&r, 0, 1), "FULL");
	return 0;
}

static struct mysql_column *column_named(struct mysql_table *t, struct str name)
{
	for (size_t i = 0; name.p && i < t->ncolumns; i++)
		if (str_eq(t->columns[i].name, name))
			return &t->columns[i];
	return NULL;
}

/* The rows of one index begin at `row`: how many, and can the server take it for a primary key? */
static size_t index_rows(const struct mysql_rows *r, size_t row, struct mysql_table *t, bool *fits)
{
	struct str name = mysql_cell(r, row, INDEX_NAME);
	bool hashed =
		str_eqz(mysql_cell(r, row, INDEX_TYPE), "HASH") && !str_eqz(t->engine, "MEMORY");
	size_t n = 0;

	*fits = str_eqz(mysql_cell(r, row, INDEX_NON_UNIQUE), "0") && !hashed;
	for (; row + n < r->n && str_eq(mysql_cell(r, row + n, INDEX_NAME), name); n++)
		*fits = *fits && !mysql_cell(r, row + n, INDEX_PREFIX).p &&
			!str_eqz(mysql_cell(r, row + n, INDEX_NULL), "YES") &&
			column_named(t, mysql_cell(r, row + n, INDEX_COLUMN));
	return n;
}

/* A table without a primary key: the first index that the server itself takes in its place. */
static int unique_key(struct mysql_conn *c, struct mysql_table *t, char **index, struct error *err)
{
	AUTO(free) char *table = table_name(t->schema, t->name);
	AUTO(free) char *sql = xasprintf("SHOW INDEX FROM %s", table);
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	bool fits;

	if (mysql_query_rows(c, sql, &r, err))
		return -1;
	for (size_t i = 0, n; i < r.n; i += n) {
		n = index_rows(&r, i, t, &fits);
		if (!fits)
			continue;
		for (size_t k = 0; k < n; k++)
			column_named(t, mysql_cell(&r, i + k, INDEX_COLUMN))->key = (int)k + 1;
		*index = xstrndup(mysql_cell(&r, i, INDEX_NAME).p, mysql_cell(&r, i, INDEX_NAME).n);
		return 0;
	}
	return 0;
}

int mysql_shape_key(struct mysql_conn *c, bool full, struct mysql_table *t, char **index,
		    struct error *err)
{
	*index = NULL;
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (t->columns[i].key) {
			*index = xstrdup("PRIMARY");
			return 0;
		}
	}
	return full ? unique_key(c, t, index, err) : 0;
}

char *mysql_shape_refusal(const struct mysql_table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *c = &t->columns[i];

		if (c->key && (str_eqz(c->data_type, "float") || str_eqz(c->data_type, "double")))
			return xasprintf("column %.*s of its key is a %.*s: such keys cannot be "
					 "compared exactly, so rows cannot be read by them",
					 STR_FMT(c->name), STR_FMT(c->data_type));
	}
	return NULL;
}

/* --- columns --- */

/* How the cell of a result differs from the one in the log. */
static void make_cell(struct binlog_field *f)
{
	switch ((enum binlog_cell)f->how) {
	case CELL_COMPRESSED_TEXT:
		f->how = CELL_TEXT;
		break;
	case CELL_JSON:
		f->how = CELL_UTF8;
		f->charset = charset_by_name(STR("utf8mb4"));
		break;
	case CELL_COMPRESSED_BYTES:
	case CELL_UUID: /* they come as text */
	case CELL_INET4:
	case CELL_INET6:
		f->how = CELL_BYTES;
		break;
	case CELL_UTF8:
	case CELL_TEXT:
	case CELL_BYTES:
	case CELL_PADDED:
	case CELL_GEOMETRY:
		break;
	default:
		return;
	}
	f->prefix = 4;
}

static void add_expression(struct buf *out, const struct binlog_field *f, struct str name)
{
	bool number = f->how == CELL_ENUM || f->how == CELL_SET;
	bool vector = f->type == MYSQL_VECTOR;

	buf_adds(out, number ? "CAST(" : vector ? "CAST(" : "");
	add_name(out, name);
	buf_adds(out, number ? " AS UNSIGNED)" : vector ? " AS BINARY)" : "");
}

static void sign_key(struct mysql_shape *s)
{
	uLong sum = crc32(0, NULL, 0);

	for (size_t i = 0; i < s->draft.nkey; i++) {
		const struct column *c = &s->draft.columns[s->draft.key[i]];

		sum = crc32(sum, (const Bytef *)c->name.p, (uInt)c->name.n + 1);
		sum = crc32(sum, (const Bytef *)c->native.p, (uInt)c->native.n);
	}
	snprintf(s->sign, sizeof s->sign, "%08lx", sum & 0xffffffff);
}

/* Where the image's columns went; what the server hides is not read. */
static void take_places(struct mysql_shape *s, const struct mysql_table *t,
			const struct binlog_field *fields, const uint16_t *place)
{
	AUTO(buf) struct buf list = { 0 };

	s->fields = arena_zalloc(&s->arena, t->ncolumns * sizeof *s->fields);
	s->cells = arena_zalloc(&s->arena, t->ncolumns * sizeof *s->cells);
	s->charsets = arena_zalloc(&s->arena, t->ncolumns * sizeof *s->charsets);
	for (size_t i = 0; i < t->ncolumns; i++) {
		uint16_t at = place[i];

		if (at == PLAN_HIDDEN)
			continue;
		s->fields[at] = s->cells[at] = fields[i];
		s->charsets[at] = arena_copy(&s->arena, t->columns[i].charset);
		make_cell(&s->cells[at]);
		buf_adds(&list, list.n ? ", " : "");
		add_expression(&list, &fields[i], t->columns[i].name);
	}
	s->select = xstrdup(buf_z(&list));
}

int mysql_shape_make(struct mysql_shape *s, const struct mysql_table *t, bool mariadb,
		     int invalid_bytes, struct error *err)
{
	struct arena *a = &s->arena;
	struct binlog_map map = { .db = arena_copy(a, t->schema),
				  .name = arena_copy(a, t->name),
				  .ncolumns = t->ncolumns };
	struct column *columns = arena_zalloc(a, t->ncolumns * sizeof *columns);
	struct binlog_field *fields = arena_zalloc(a, t->ncolumns * sizeof *fields);
	uint16_t *place = arena_zalloc(a, t->ncolumns * sizeof *place);

	map.columns = arena_zalloc(a, t->ncolumns * sizeof *map.columns);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *c = &t->columns[i];

		if (!mysql_table_column(c, mariadb, &map.columns[i]))
			return fail(err, ERR_FATAL,
				    "table %.*s.%.*s: the type %.*s of column %.*s is not known to "
				    "this version; leave the table out of source.tables",
				    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(c->column_type),
				    STR_FMT(c->name));
		if (binlog_field_make(&map, i, c, invalid_bytes, a, &columns[i], &fields[i], err))
			return -1;
	}
	binlog_plan_draft(map.db, map.name, columns, t->ncolumns, mariadb, 0, place, a, &s->draft);
	s->engine = arena_copy(a, t->engine);
	s->in_snapshot = mysql_shape_in_snapshot(t->engine);
	s->table = table_name(t->schema, t->name);
	take_places(s, t, fields, place);
	sign_key(s);
	return 0;
}

/* --- reading --- */

/* Takes " AUTO_INCREMENT=123" out of the line of options. */
static void without_counter(char *create)
{
	static const char mark[] = " AUTO_INCREMENT=";
	char *line = strrchr(create, '\n'), *at;

	for (char *p = strstr(create, "\n) ENGINE="); p; p = strstr(p + 1, "\n) ENGINE="))
		line = p;
	at = line ? strstr(line, mark) : NULL;
	if (!at)
		return;
	char *rest = at + sizeof mark - 1;

	while (*rest >= '0' && *rest <= '9')
		rest++;
	memmove(at, rest, strlen(rest) + 1);
}

/* 1, 0: no such table, -1. */
static int show_create(struct mysql_conn *c, const char *table, char **out, struct error *err)
{
	AUTO(free) char *sql = xasprintf("SHOW CREATE TABLE %s", table);
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	*out = NULL;
	if (mysql_query_rows(c, sql, &r, err))
		return err->code == NO_SUCH_TABLE || err->code == UNKNOWN_DB ? 0 : -1;
	struct str text = mysql_cell(&r, 0, 1);

	*out = xstrndup(text.n ? text.p : "", text.n);
	without_counter(*out);
	return 1;
}

int mysql_shape_holds(struct mysql_conn *c, const struct mysql_shape *s, struct error *err)
{
	AUTO(free) char *create = NULL;
	int there = show_create(c, s->table, &create, err);

	return there <= 0 ? there : strcmp(create, s->create) == 0;
}

static int load_once(struct mysql_conn *c, const struct mysql_server *server, struct str db,
		     struct str name, int invalid_bytes, struct mysql_shape *s, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(free) char *table = table_name(db, name);
	struct mysql_table t;
	int there = show_create(c, table, &s->create, err);

	if (there > 0)
		there = mysql_schema_read(c, server, db, name, &a, &t, err);
	if (there <= 0)
		return there;
	if (mysql_shape_full(c, &s->full, err) || mysql_shape_key(c, s->full, &t, &s->index, err))
		return -1;
	s->primary = s->index && strcmp(s->index, "PRIMARY") == 0;
	return mysql_shape_make(s, &t, server->mariadb, invalid_bytes, err) ? -1 : 1;
}

int mysql_shape_load(struct mysql_conn *c, const struct mysql_server *server, struct str db,
		     struct str name, int invalid_bytes, struct mysql_shape **out,
		     struct error *err)
{
	*out = NULL;
	for (int i = 0; i < TRIES; i++) {
		struct mysql_shape *s = xcalloc(1, sizeof *s);
		int rc = load_once(c, server, db, name, invalid_bytes, s, err);
		int same = rc > 0 ? mysql_shape_holds(c, s, err) : 0;

		if (rc > 0 && same > 0) {
			*out = s;
			return 1;
		}
		mysql_shape_free(s);
		if (rc <= 0 || same < 0)
			return rc <= 0 ? rc : -1;
	}
	return fail(err, ERR_RETRY, "table %.*s.%.*s is being altered", STR_FMT(db), STR_FMT(name));
}
