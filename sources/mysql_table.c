/*
 * mysql_table.c - a table as information_schema describes it: does it fit a table map, as JSON
 */
#include <jansson.h>
#include <stdlib.h>

#include "mysql_charset.h"
#include "mysql_table.h"

/* --- types --- */

enum shape { SHAPE_NUMBER, SHAPE_TEXT, SHAPE_BLOB, SHAPE_TIME, SHAPE_OTHER };

/* What information_schema calls a type, and the codes that table maps may give it. */
static const struct type {
	const char *name;
	enum shape shape;
	unsigned rank; /* a type holds all that one of a lower rank of its shape does */
	uint8_t codes[5];
	size_t ncodes;
	int meta; /* the low byte; -1: varies */
} types[] = {
	{ "tinyint", SHAPE_NUMBER, 1, { MYSQL_TINY }, 1, -1 },
	{ "smallint", SHAPE_NUMBER, 2, { MYSQL_SHORT }, 1, -1 },
	{ "mediumint", SHAPE_NUMBER, 3, { MYSQL_INT24 }, 1, -1 },
	{ "int", SHAPE_NUMBER, 4, { MYSQL_LONG }, 1, -1 },
	{ "bigint", SHAPE_NUMBER, 5, { MYSQL_LONGLONG }, 1, -1 },
	{ "float", SHAPE_NUMBER, 0, { MYSQL_FLOAT }, 1, 4 },
	{ "double", SHAPE_NUMBER, 0, { MYSQL_DOUBLE }, 1, 8 },
	{ "decimal", SHAPE_NUMBER, 0, { MYSQL_NEWDECIMAL, MYSQL_DECIMAL }, 2, -1 },
	{ "bit", SHAPE_OTHER, 0, { MYSQL_BIT }, 1, -1 },
	{ "year", SHAPE_OTHER, 0, { MYSQL_YEAR }, 1, -1 },
	{ "date", SHAPE_OTHER, 0, { MYSQL_DATE, MYSQL_NEWDATE }, 2, -1 },
	{ "time", SHAPE_TIME, 0, { MYSQL_TIME2, MYSQL_TIME }, 2, -1 },
	{ "datetime", SHAPE_TIME, 0, { MYSQL_DATETIME2, MYSQL_DATETIME }, 2, -1 },
	{ "timestamp", SHAPE_TIME, 0, { MYSQL_TIMESTAMP2, MYSQL_TIMESTAMP }, 2, -1 },
	{ "char", SHAPE_TEXT, 1, { MYSQL_STRING, MYSQL_VAR_STRING }, 2, -1 },
	{ "varchar",
	  SHAPE_TEXT,
	  2,
	  { MYSQL_VARCHAR, MYSQL_VAR_STRING, MYSQL_VARCHAR_COMPRESSED },
	  3,
	  -1 },
	{ "binary", SHAPE_TEXT, 0, { MYSQL_STRING, MYSQL_VAR_STRING }, 2, -1 },
	{ "varbinary",
	  SHAPE_TEXT,
	  2,
	  { MYSQL_VARCHAR, MYSQL_VAR_STRING, MYSQL_VARCHAR_COMPRESSED },
	  3,
	  -1 },
	{ "tinytext", SHAPE_BLOB, 3, { MYSQL_BLOB, MYSQL_TINY_BLOB, MYSQL_BLOB_COMPRESSED }, 3, 1 },
	{ "text", SHAPE_BLOB, 4, { MYSQL_BLOB, MYSQL_BLOB_COMPRESSED }, 2, 2 },
	{ "mediumtext",
	  SHAPE_BLOB,
	  5,
	  { MYSQL_BLOB, MYSQL_MEDIUM_BLOB, MYSQL_BLOB_COMPRESSED },
	  3,
	  3 },
	{ "longtext", SHAPE_BLOB, 6, { MYSQL_BLOB, MYSQL_LONG_BLOB, MYSQL_BLOB_COMPRESSED }, 3, 4 },
	{ "tinyblob", SHAPE_BLOB, 3, { MYSQL_BLOB, MYSQL_TINY_BLOB, MYSQL_BLOB_COMPRESSED }, 3, 1 },
	{ "blob", SHAPE_BLOB, 4, { MYSQL_BLOB, MYSQL_BLOB_COMPRESSED }, 2, 2 },
	{ "mediumblob",
	  SHAPE_BLOB,
	  5,
	  { MYSQL_BLOB, MYSQL_MEDIUM_BLOB, MYSQL_BLOB_COMPRESSED },
	  3,
	  3 },
	{ "longblob", SHAPE_BLOB, 6, { MYSQL_BLOB, MYSQL_LONG_BLOB, MYSQL_BLOB_COMPRESSED }, 3, 4 },
	{ "json", SHAPE_OTHER, 0, { MYSQL_JSON }, 1, 4 },
	{ "enum", SHAPE_OTHER, 0, { MYSQL_ENUM }, 1, -1 },
	{ "set", SHAPE_OTHER, 0, { MYSQL_SET }, 1, -1 },
	{ "uuid", SHAPE_OTHER, 0, { MYSQL_STRING }, 1, 16 },
	{ "inet6", SHAPE_OTHER, 0, { MYSQL_STRING }, 1, 16 },
	{ "inet4", SHAPE_OTHER, 0, { MYSQL_STRING }, 1, 4 },
	{ "vector", SHAPE_OTHER, 0, { MYSQL_VECTOR, MYSQL_VARCHAR, MYSQL_BLOB }, 3, -1 },
	{ "geometry", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "point", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "linestring", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "polygon", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "multipoint", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "multilinestring", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "multipolygon", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "geometrycollection", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
	{ "geomcollection", SHAPE_OTHER, 0, { MYSQL_GEOMETRY }, 1, 4 },
};

static const struct type *type_of(const struct mysql_column *c)
{
	for (size_t i = 0; i < COUNT(types); i++)
		if (str_eqz(c->data_type, types[i].name))
			return &types[i];
	return NULL;
}

/* The numbers in "decimal(10,2) unsigned", "datetime(3)"; how many. */
static size_t arguments(struct str column_type, uint64_t out[2])
{
	const char *p = column_type.n ? memchr(column_type.p, '(', column_type.n) : NULL;
	const char *end = column_type.p + column_type.n;
	size_t n = 0;

	out[0] = out[1] = 0;
	if (!p)
		return 0;
	for (p++; p < end && n < 2; p++, n++) {
		const char *first = p;

		for (; p < end && *p >= '0' && *p <= '9' && out[n] < UINT32_MAX; p++)
			out[n] = out[n] * 10 + (uint64_t)(*p - '0');
		if (p == first)
			return n;
		if (p == end || *p != ',')
			return n + 1;
	}
	return n;
}

static bool starts(struct str s, const char *with)
{
	return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static char unescaped(char c)
{
	switch (c) {
	case '0':
		return '\0';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	default:
		return c;
	}
}

/* One quoted label, in place in `to`; the byte after it, or NULL. */
static const char *label(const char *p, const char *end, char **to, struct str *out)
{
	if (p == end || *p != '\'')
		return NULL;
	out->p = *to;
	for (p++; p < end; p++) {
		if (*p == '\'' && (p + 1 == end || p[1] != '\'')) {
			out->n = (size_t)(*to - out->p);
			return p + 1;
		}
		if (*p == '\\' && p + 1 < end)
			*(*to)++ = unescaped(*++p);
		else
			*(*to)++ = *p == '\'' ? *++p : *p;
	}
	return NULL;
}

/* The server prints '' for a quote and, whatever sql_mode says, backslashes before \, NUL, newline and return. */
size_t mysql_labels(struct str column_type, struct arena *a, struct str **out)
{
	size_t skip = starts(column_type, "enum(") ? 5 : starts(column_type, "set(") ? 4 : 0;
	const char *p = column_type.p + skip, *end = column_type.p + column_type.n;
	size_t n = 0, room = 1;

	if (!skip)
		return 0;
	for (const char *c = p; c < end; c++)
		room += *c == ',';
	char *to = arena_alloc(a, column_type.n);

	*out = arena_alloc(a, room * sizeof **out);
	while (n < room && (p = label(p, end, &to, &(*out)[n])) != NULL) {
		n++;
		if (p == end || *p++ != ',')
			break;
	}
	return n;
}

/* --- a definition and a map --- */

/* Bytes of n characters; 0: not known. */
static uint64_t text_bytes(const struct mysql_column *c, uint64_t characters)
{
	if (c->charset.n == 0 || str_eqz(c->charset, "binary"))
		return characters;
	const struct charset *set = charset_by_name(c->charset);

	return set ? characters * charset_max_bytes(set) : 0;
}

static bool size_matches(const struct type *type, const struct mysql_column *c,
			 const struct binlog_map_column *m)
{
	uint64_t n[2];
	size_t got = arguments(c->column_type, n);

	switch (m->type) {
	case MYSQL_NEWDECIMAL:
		return got == 0 || m->meta == (n[0] | n[1] << 8);
	case MYSQL_BIT:
		return got == 0 || (uint64_t)(m->meta >> 8) * 8 + (m->meta & 0xff) == n[0];
	case MYSQL_TIME2:
	case MYSQL_DATETIME2:
	case MYSQL_TIMESTAMP2:
		return m->meta == n[0];
	case MYSQL_VARCHAR:
	case MYSQL_STRING:
		if (type->shape != SHAPE_TEXT)
			return type->meta < 0 || m->meta == type->meta;
		return text_bytes(c, n[0]) == 0 || m->meta == text_bytes(c, n[0]);
	case MYSQL_VARCHAR_COMPRESSED: /* and its length */
		return text_bytes(c, n[0]) == 0 || m->meta == text_bytes(c, n[0]) + 1;
	case MYSQL_BLOB:
	case MYSQL_BLOB_COMPRESSED:
	case MYSQL_FLOAT:
	case MYSQL_DOUBLE:
	case MYSQL_GEOMETRY:
	case MYSQL_JSON:
		return type->meta < 0 || m->meta == type->meta;
	default:
		return true;
	}
}

/* information_schema has a ? for each character beyond the BMP, which is four bytes in UTF-8. */
static bool label_is(struct str text, struct str told)
{
	size_t k = 0;

	for (size_t i = 0; i < text.n; i++, k++) {
		bool beyond = (uint8_t)text.p[i] >= 0xf0 && text.n - i >= 4;

		if (k == told.n)
			return false;
		if (beyond && told.p[k] == '?')
			i += 3;
		else if (text.p[i] != told.p[k])
			return false;
	}
	return k == told.n;
}

static bool labels_match(const struct mysql_column *c, const struct binlog_map_column *m)
{
	const struct charset *set = charset_by_name(c->charset);
	AUTO(arena) struct arena a = { 0 };
	struct str *labels, text;
	size_t n = mysql_labels(c->column_type, &a, &labels);

	if (n != m->nlabels)
		return false;
	for (size_t i = 0; set && i < n; i++)
		if (charset_to_utf8(set, m->labels[i], &a, &text) && !label_is(text, labels[i]))
			return false;
	return true;
}

static bool charset_matches(const struct mysql_column *c, const struct binlog_map_column *m)
{
	const struct charset *ours = charset_by_name(c->charset),
			     *theirs = charset_by_collation(m->collation);

	return !ours || !theirs || strcmp(charset_name(ours), charset_name(theirs)) == 0;
}

static bool has_sign(uint8_t type)
{
	static const uint8_t numbers[] = { MYSQL_TINY,   MYSQL_SHORT,     MYSQL_INT24,
					   MYSQL_LONG,   MYSQL_LONGLONG,  MYSQL_FLOAT,
					   MYSQL_DOUBLE, MYSQL_NEWDECIMAL };

	return memchr(numbers, type, sizeof numbers) != NULL;
}

/* The first thing in which they differ, or NULL. */
static const char *difference(const struct binlog_map *map, const struct mysql_column *c,
			      const struct binlog_map_column *m)
{
	const struct type *type = type_of(c);
	bool labelled = m->type == MYSQL_ENUM || m->type == MYSQL_SET;

	if (map->has_names && !str_eq(m->name, c->name))
		return "name";
	if (!type)
		return NULL; /* not known here: the decoder says so */
	if (!memchr(type->codes, m->type, type->ncodes))
		return "type";
	if (!size_matches(type, c, m))
		return "length, precision or fraction digits";
	if (m->nullable != c->nullable)
		return "NULL or NOT NULL";
	if (map->has_signedness && has_sign(m->type) && m->is_unsigned != c->is_unsigned)
		return "sign";
	if ((labelled ? map->has_label_charset : map->has_charset) && !charset_matches(c, m))
		return "character set";
	if (map->has_labels && labelled && !labels_match(c, m))
		return "labels";
	return NULL;
}

bool mysql_table_matches(const struct mysql_table *t, const struct binlog_map *m, struct buf *why)
{
	if (t->ncolumns != m->ncolumns) {
		buf_addf(why, "%zu columns in the log, %zu in the definition", m->ncolumns,
			 t->ncolumns);
		return false;
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *c = &t->columns[i];
		const char *what = difference(m, c, &m->columns[i]);

		if (!what)
			continue;
		buf_addf(why,
			 "%s of column %zu, which is %.*s %.*s in the definition and of type %u "
			 "with %u in the log",
			 what, i + 1, STR_FMT(c->name), STR_FMT(c->column_type), m->columns[i].type,
			 m->columns[i].meta);
		return false;
	}
	return true;
}

/* --- a definition as a map --- */

static uint16_t label_bytes(const struct mysql_column *c, bool set)
{
	AUTO(arena) struct arena a = { 0 };
	struct str *labels;
	size_t n = mysql_labels(c->column_type, &a, &labels);

	if (!set)
		return n > 255 ? 2 : 1;
	return n > 32 ? 8 : (uint16_t)((n + 7) / 8);
}

static bool is_compressed(const struct mysql_column *c, const struct type *type)
{
	static const char mark[] = " COMPRESSED";

	return (type->shape == SHAPE_TEXT || type->shape == SHAPE_BLOB) &&
	       memmem(c->column_type.p, c->column_type.n, mark, sizeof mark - 1);
}

static void text_column(const struct mysql_column *c, const struct type *type,
			struct binlog_map_column *out)
{
	bool compressed = is_compressed(c, type);
	uint64_t n[2];

	arguments(c->column_type, n);
	if (type->shape == SHAPE_BLOB) {
		out->type = compressed ? MYSQL_BLOB_COMPRESSED : MYSQL_BLOB;
		out->meta = (uint16_t)type->meta;
		return;
	}
	if (compressed)
		out->type = MYSQL_VARCHAR_COMPRESSED;
	out->meta = (uint16_t)(text_bytes(c, n[0]) + compressed);
}

bool mysql_table_column(const struct mysql_column *c, bool mariadb, struct binlog_map_column *out)
{
	const struct type *type = type_of(c);
	uint64_t n[2];

	if (!type)
		return false;
	arguments(c->column_type, n);
	*out = (struct binlog_map_column){ .type = type->codes[0],
					   .meta = type->meta < 0 ? 0 : (uint16_t)type->meta,
					   .nullable = c->nullable };
	if (type->shape == SHAPE_TEXT || type->shape == SHAPE_BLOB) {
		text_column(c, type, out);
		return true;
	}
	switch (out->type) {
	case MYSQL_NEWDECIMAL:
		out->meta = (uint16_t)(n[0] | n[1] << 8);
		break;
	case MYSQL_BIT:
		out->meta = (uint16_t)(n[0] / 8 << 8 | n[0] % 8);
		break;
	case MYSQL_TIME2:
	case MYSQL_DATETIME2:
	case MYSQL_TIMESTAMP2:
		out->meta = (uint16_t)n[0];
		break;
	case MYSQL_ENUM:
	case MYSQL_SET:
		out->meta = label_bytes(c, out->type == MYSQL_SET);
		break;
	case MYSQL_VECTOR: /* MariaDB's is a VARBINARY in the log */
		out->type = mariadb ? MYSQL_VARCHAR : MYSQL_VECTOR;
		out->meta = (uint16_t)(mariadb ? 4 * n[0] : 4);
		break;
	default:
		break;
	}
	return true;
}

/* --- two definitions --- */

static bool labels_kept(const struct mysql_column *from, const struct mysql_column *to)
{
	AUTO(arena) struct arena a = { 0 };
	struct str *before, *after;
	size_t n = mysql_labels(from->column_type, &a, &before);
	size_t m = mysql_labels(to->column_type, &a, &after);

	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < m && !str_eq(before[i], after[at]))
			at++;
		if (at == m)
			return false;
	}
	return true;
}

static bool number_kept(const struct type *a, const struct type *b, const struct mysql_column *from,
			const struct mysql_column *to)
{
	uint64_t x[2], y[2];

	if (a->rank && b->rank) {
		if (from->is_unsigned == to->is_unsigned)
			return b->rank >= a->rank;
		return from->is_unsigned && b->rank > a->rank;
	}
	if (a != b || (!from->is_unsigned && to->is_unsigned))
		return false;
	arguments(from->column_type, x);
	arguments(to->column_type, y);
	return y[1] >= x[1] && y[0] >= x[0] && y[0] - y[1] >= x[0] - x[1];
}

static bool text_kept(const struct type *a, const struct type *b, const struct mysql_column *from,
		      const struct mysql_column *to)
{
	uint64_t x[2], y[2];

	if (!a->rank || b->rank < a->rank || (from->charset.n == 0) != (to->charset.n == 0) ||
	    (!str_eq(from->charset, to->charset) && !starts(to->charset, "utf8mb4")))
		return false;
	if (b->shape == SHAPE_BLOB)
		return a->shape == SHAPE_TEXT ? b->rank > 3 : true;
	arguments(from->column_type, x);
	arguments(to->column_type, y);
	return y[0] >= x[0];
}

/* Does every value of `from` say the same in `to`? */
static bool values_kept(const struct mysql_column *from, const struct mysql_column *to)
{
	const struct type *a = type_of(from), *b = type_of(to);
	uint64_t x[2], y[2];

	if (from->nullable && !to->nullable)
		return false;
	if (str_eq(from->column_type, to->column_type) && str_eq(from->charset, to->charset))
		return true;
	if (!a || !b)
		return false;
	if (a->shape == SHAPE_NUMBER && b->shape == SHAPE_NUMBER)
		return number_kept(a, b, from, to);
	if (a->rank && b->rank)
		return text_kept(a, b, from, to);
	if (a == b && str_eqz(from->data_type, "enum"))
		return labels_kept(from, to);
	if (a == b && a->shape == SHAPE_TIME) {
		arguments(from->column_type, x);
		arguments(to->column_type, y);
		return y[0] >= x[0];
	}
	return false;
}

static const struct mysql_column *column_named(const struct mysql_table *t, struct str name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (str_eq(t->columns[i].name, name))
			return &t->columns[i];
	return NULL;
}

bool mysql_table_rewritten(const struct mysql_table *from, const struct mysql_table *to,
			   struct buf *why)
{
	for (size_t i = 0; i < from->ncolumns; i++) {
		const struct mysql_column *c = &from->columns[i], *d = column_named(to, c->name);

		/* A column that is gone may have another name now: then it is in the same place. */
		if (!d && from->ncolumns == to->ncolumns &&
		    !column_named(from, to->columns[i].name))
			d = &to->columns[i];
		if (!d || values_kept(c, d))
			continue;
		buf_addf(why, "column %.*s was %.*s%s%.*s and is %.*s%s%.*s%s", STR_FMT(c->name),
			 STR_FMT(c->column_type), c->charset.n ? " " : "", STR_FMT(c->charset),
			 STR_FMT(d->column_type), d->charset.n ? " " : "", STR_FMT(d->charset),
			 d->nullable ? "" : " NOT NULL");
		return true;
	}
	return false;
}

bool mysql_table_grown(const struct mysql_table *from, const struct mysql_table *to,
		       struct buf *why)
{
	for (size_t i = 0; i < to->ncolumns; i++) {
		const struct mysql_column *c = &to->columns[i];

		if (column_named(from, c->name))
			continue;
		buf_addf(why,
			 "column %.*s is new: what it holds for the rows that were there is not in "
			 "the log",
			 STR_FMT(c->name));
		return true;
	}
	return false;
}

bool mysql_table_equal(const struct mysql_table *a, const struct mysql_table *b)
{
	if (a->ncolumns != b->ncolumns || !str_eq(a->engine, b->engine) ||
	    a->sequence != b->sequence)
		return false;
	for (size_t i = 0; i < a->ncolumns; i++) {
		const struct mysql_column *x = &a->columns[i], *y = &b->columns[i];

		if (!str_eq(x->name, y->name) || !str_eq(x->data_type, y->data_type) ||
		    !str_eq(x->column_type, y->column_type) || !str_eq(x->charset, y->charset) ||
		    x->is_unsigned != y->is_unsigned || x->nullable != y->nullable ||
		    x->key != y->key)
			return false;
	}
	return true;
}

/* --- as JSON --- */

static void member(struct buf *out, const char *name, struct str value)
{
	buf_addf(out, "\"%s\":", name);
	buf_json(out, value);
	buf_addc(out, ',');
}

void mysql_table_json(const struct mysql_table *t, struct buf *out)
{
	buf_addc(out, '{');
	member(out, "schema", t->schema);
	member(out, "name", t->name);
	member(out, "engine", t->engine);
	buf_addf(out, "\"transactional\":%s,\"sequence\":%s,\"versioned\":%s,\"columns\":[",
		 t->transactional ? "true" : "false", t->sequence ? "true" : "false",
		 t->versioned ? "true" : "false");
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *c = &t->columns[i];

		buf_adds(out, i ? ",{" : "{");
		member(out, "name", c->name);
		member(out, "data", c->data_type);
		member(out, "type", c->column_type);
		member(out, "charset", c->charset);
		buf_addf(out, "\"unsigned\":%s,\"nullable\":%s,\"key\":%d}",
			 c->is_unsigned ? "true" : "false", c->nullable ? "true" : "false", c->key);
	}
	buf_adds(out, "]}");
}

static bool text_of(json_t *from, const char *name, struct arena *a, struct str *out)
{
	json_t *v = json_object_get(from, name);

	if (!json_is_string(v))
		return false;
	*out = arena_copy(a, (struct str){ json_string_value(v), json_string_length(v) });
	return true;
}

static bool column_of(json_t *from, struct arena *a, struct mysql_column *out)
{
	json_t *is_unsigned = json_object_get(from, "unsigned");
	json_t *nullable = json_object_get(from, "nullable"), *key = json_object_get(from, "key");

	if (!json_is_boolean(is_unsigned) || !json_is_boolean(nullable) || !json_is_integer(key) ||
	    json_integer_value(key) < 0 || json_integer_value(key) > UINT16_MAX)
		return false;
	out->is_unsigned = json_is_true(is_unsigned);
	out->nullable = json_is_true(nullable);
	out->key = (int)json_integer_value(key);
	return text_of(from, "name", a, &out->name) && text_of(from, "data", a, &out->data_type) &&
	       text_of(from, "type", a, &out->column_type) &&
	       text_of(from, "charset", a, &out->charset);
}

static bool table_of(json_t *from, struct arena *a, struct mysql_table *out)
{
	json_t *columns = json_object_get(from, "columns");

	if (!text_of(from, "schema", a, &out->schema) || !text_of(from, "name", a, &out->name) ||
	    !text_of(from, "engine", a, &out->engine) || !json_is_array(columns))
		return false;
	out->transactional = json_is_true(json_object_get(from, "transactional"));
	out->sequence = json_is_true(json_object_get(from, "sequence"));
	out->versioned = json_is_true(json_object_get(from, "versioned"));
	out->ncolumns = json_array_size(columns);
	out->columns = arena_zalloc(a, out->ncolumns * sizeof *out->columns);
	for (size_t i = 0; i < out->ncolumns; i++)
		if (!column_of(json_array_get(columns, i), a, &out->columns[i]))
			return false;
	return true;
}

int mysql_table_parse(struct str json, struct arena *a, struct mysql_table *out, struct error *err)
{
	json_t *all = json_loadb(json.p, json.n, JSON_ALLOW_NUL, NULL);

	*out = (struct mysql_table){ 0 };
	bool fine = all && table_of(all, a, out);

	json_decref(all);
	return fine ? 0
		    : fail(err, ERR_FATAL,
			   "a table's definition in state.db is not one: it is damaged, or of "
			   "another version");
}
