/*
 * binlog_map.c - table maps
 *
 *	table map (19)	u48 table id (u32 where the post-header is 6 long), u16 flags,
 *			u8 n, n bytes database, NUL, u8 n, n bytes table, NUL,
 *			lenenc columns, u8 type of each, lenenc n, n bytes metadata of the types, bitmap of
 *			those that may be null (column i is bit i%8 of byte i/8),
 *			fields of u8 type, lenenc length, value (MySQL 8.0.1, MariaDB 10.5):
 *
 *	1 signedness	bit of each numeric column, the first is the highest bit: unsigned
 *	2 charset	lenenc default, then pairs of lenenc number (of character columns), lenenc collation
 *	3 charset	lenenc collation of each character column
 *	4 names		u8 n (lenenc), n bytes, of each column
 *	5 labels	of each SET: lenenc number, that many of lenenc n, n bytes
 *	6 labels	of each ENUM
 *	7 geometry	lenenc kind of each geometry column
 *	8 primary key	lenenc columns (from 0)
 *	9 primary key	pairs of lenenc column, lenenc characters that are in the key (0 all)
 *	10, 11		as 2 and 3, of ENUM and SET columns
 *	12 visibility	bit of each column, the first is the highest bit: visible
 *	13 vectors	lenenc dimension of each vector column
 *
 * ENUM, SET and CHAR are all sent as STRING: the first byte of its metadata is the real type, the second the
 * length; of a CHAR longer than 255 bytes bits 8 and 9 of the length are in the type's byte, inverted.
 *
 * YEAR is one of the numeric columns (unsigned) in MariaDB and MySQL since somewhere after 8.0.20.  Among the character columns are MySQL's VECTOR, and MariaDB's
 * geometry, UUID, INET4, INET6 (they are STRING), all as binary, and compressed columns.
 */
#include "binlog_map.h"
#include "binlog_private.h"

enum field {
	FIELD_SIGNEDNESS = 1,
	FIELD_DEFAULT_CHARSET,
	FIELD_COLUMN_CHARSET,
	FIELD_NAMES,
	FIELD_SET_LABELS,
	FIELD_ENUM_LABELS,
	FIELD_GEOMETRY,
	FIELD_KEY,
	FIELD_KEY_PREFIX,
	FIELD_LABEL_DEFAULT_CHARSET,
	FIELD_LABEL_CHARSET,
	FIELD_VISIBILITY,
	FIELD_DIMENSIONS,
};

enum {
	TYPED_ARRAY = 20
}; /* MySQL: of a functional index on an array; never in an image, sometimes in a map */

/* A table map on its way. */
struct map_reader {
	const struct binlog_event *e;
	struct binlog_map *m;
	struct arena *a;
	bool mariadb;
	uint32_t version;
	bool skip_year;    /* it is not one of the numeric columns */
	bool unsure_signs; /* signedness can be read in two ways */
	bool seen[FIELD_DIMENSIONS + 1];
	struct error *err;
};

typedef bool column_test(const struct map_reader *r, const struct binlog_map_column *c);

static bool is_numeric(const struct map_reader *r, const struct binlog_map_column *c)
{
	switch (c->type) {
	case MYSQL_TINY:
	case MYSQL_SHORT:
	case MYSQL_INT24:
	case MYSQL_LONG:
	case MYSQL_LONGLONG:
	case MYSQL_NEWDECIMAL:
	case MYSQL_FLOAT:
	case MYSQL_DOUBLE:
		return true;
	case MYSQL_YEAR:
		return !r->skip_year;
	default:
		return false;
	}
}

static bool is_character(const struct map_reader *r, const struct binlog_map_column *c)
{
	switch (c->type) {
	case MYSQL_STRING:
	case MYSQL_VAR_STRING:
	case MYSQL_VARCHAR:
	case MYSQL_TINY_BLOB:
	case MYSQL_MEDIUM_BLOB:
	case MYSQL_LONG_BLOB:
	case MYSQL_BLOB:
	case MYSQL_VARCHAR_COMPRESSED:
	case MYSQL_BLOB_COMPRESSED:
	case MYSQL_VECTOR:
		return true;
	case MYSQL_GEOMETRY:
		return r->mariadb;
	default:
		return false;
	}
}

static bool is_labelled(const struct map_reader *r, const struct binlog_map_column *c)
{
	(void)r;
	return c->type == MYSQL_ENUM || c->type == MYSQL_SET;
}

static bool is_enum(const struct map_reader *r, const struct binlog_map_column *c)
{
	(void)r;
	return c->type == MYSQL_ENUM;
}

static bool is_set(const struct map_reader *r, const struct binlog_map_column *c)
{
	(void)r;
	return c->type == MYSQL_SET;
}

static bool is_geometry(const struct map_reader *r, const struct binlog_map_column *c)
{
	(void)r;
	return c->type == MYSQL_GEOMETRY;
}

static bool is_vector(const struct map_reader *r, const struct binlog_map_column *c)
{
	(void)r;
	return c->type == MYSQL_VECTOR;
}

/* The next column from *i on that is one of these; NULL: there is none. */
static struct binlog_map_column *next_column(const struct map_reader *r, column_test *is, size_t *i)
{
	for (; *i < r->m->ncolumns; (*i)++)
		if (is(r, &r->m->columns[*i]))
			return &r->m->columns[(*i)++];
	return NULL;
}

static int bad_field(const struct map_reader *r, int field)
{
	return fail(
		r->err, ERR_FATAL,
		"the table map of %.*s.%.*s that ends at %u (low 32 bits) has optional metadata of "
		"kind %d that does not fit its %zu columns: the log is damaged or of a server "
		"version that is not known",
		STR_FMT(r->m->db), STR_FMT(r->m->name), r->e->log_pos, field, r->m->ncolumns);
}

/* --- types --- */

static void string_type(struct binlog_map_column *col, uint8_t type, uint8_t length)
{
	if ((type & 0x30) == 0x30 || type == 0) {
		col->type = type ? type : MYSQL_STRING;
		col->meta = length;
		return;
	}
	col->type = type | 0x30;
	col->meta = (uint16_t)(length | ((type & 0x30) ^ 0x30) << 4);
}

/* Reads what the type has; false: it is not known how much that is. */
static bool type_meta(struct cursor *c, uint8_t type, struct binlog_map_column *col)
{
	uint8_t first;

	col->type = type;
	switch (type) {
	case MYSQL_FLOAT:
	case MYSQL_DOUBLE:
	case MYSQL_TIMESTAMP2:
	case MYSQL_DATETIME2:
	case MYSQL_TIME2:
	case MYSQL_BLOB_COMPRESSED:
	case MYSQL_VECTOR:
	case MYSQL_JSON:
	case MYSQL_TINY_BLOB:
	case MYSQL_MEDIUM_BLOB:
	case MYSQL_LONG_BLOB:
	case MYSQL_BLOB:
	case MYSQL_GEOMETRY:
		col->meta = get_u8(c);
		return true;
	case MYSQL_VARCHAR:
	case MYSQL_VARCHAR_COMPRESSED:
	case MYSQL_BIT:
	case MYSQL_NEWDECIMAL:
	case MYSQL_VAR_STRING:
		col->meta = get_u16le(c);
		return true;
	case MYSQL_STRING:
	case MYSQL_ENUM:
	case MYSQL_SET:
		first = get_u8(c);
		string_type(col, first, get_u8(c));
		return true;
	case MYSQL_DECIMAL:
	case MYSQL_TINY:
	case MYSQL_SHORT:
	case MYSQL_LONG:
	case MYSQL_NULL:
	case MYSQL_TIMESTAMP:
	case MYSQL_LONGLONG:
	case MYSQL_INT24:
	case MYSQL_DATE:
	case MYSQL_TIME:
	case MYSQL_DATETIME:
	case MYSQL_YEAR:
	case MYSQL_NEWDATE:
		return true;
	default:
		return false;
	}
}

/* The type of the elements, then its metadata; a VARCHAR's length has three bytes. */
static bool array_meta(struct cursor *c, struct binlog_map_column *col)
{
	struct binlog_map_column element = { 0 };
	uint8_t type = get_u8(c);

	col->type = TYPED_ARRAY;
	if (type != MYSQL_VARCHAR)
		return type_meta(c, type, &element);
	get_bytes(c, 3);
	return true;
}

static int read_types(struct map_reader *r, struct str types, struct str meta, struct str nullable)
{
	struct cursor c = cursor_of(meta);

	for (size_t i = 0; i < types.n; i++) {
		struct binlog_map_column *col = &r->m->columns[i];
		uint8_t type = (uint8_t)types.p[i];

		if (!(type == TYPED_ARRAY ? array_meta(&c, col) : type_meta(&c, type, col)))
			return fail(
				r->err, ERR_FATAL,
				"column %zu of %.*s.%.*s in the table map that ends at %u (low 32 "
				"bits) has type %u, which is not known: leave the table out of "
				"source.tables, or report it with the server's version",
				i + 1, STR_FMT(r->m->db), STR_FMT(r->m->name), r->e->log_pos, type);
		col->nullable = ((uint8_t)nullable.p[i / 8] >> i % 8 & 1) != 0;
	}
	if (c.bad || c.p != c.end)
		return binlog_bad(r->e, r->err, "has metadata of another length than its types");
	return 0;
}

/* --- optional metadata --- */

enum signs { SIGNS_MISFIT, SIGNS_DIFFER, SIGNS_SAME };

/* Goes through the bits of the numeric columns; `set`: stores them, otherwise compares them with what is stored. */
static enum signs signs(struct map_reader *r, struct str bits, bool skip_year, bool set)
{
	struct binlog_map_column *col;
	enum signs found = SIGNS_SAME;
	size_t n = 0;

	r->skip_year = skip_year;
	for (size_t i = 0; (col = next_column(r, is_numeric, &i)); n++) {
		if (n / 8 >= bits.n)
			return SIGNS_MISFIT;
		bool is_unsigned = ((uint8_t)bits.p[n / 8] >> (7 - n % 8) & 1) != 0;

		if (col->type == MYSQL_YEAR)
			continue;
		if (set)
			col->is_unsigned = is_unsigned;
		else if (col->is_unsigned != is_unsigned)
			found = SIGNS_DIFFER;
	}
	return bits.n == (n + 7) / 8 ? found : SIGNS_MISFIT;
}

/*
 * Whether YEAR has a bit is known of MySQL up to 8.0.20 (no) and from 8.0.29 on, and of MariaDB (yes).  In
 * between both are tried; where they differ the map does not say what is unsigned.
 */
static bool read_signedness(struct map_reader *r, struct cursor *c)
{
	struct str bits = get_bytes(c, cursor_left(c));
	bool skip_year = !r->mariadb && r->version < 8000021;

	if (r->mariadb || r->version < 8000021 || r->version >= 8000029)
		return signs(r, bits, skip_year, true) != SIGNS_MISFIT;
	if (signs(r, bits, true, true) == SIGNS_MISFIT)
		return signs(r, bits, false, true) != SIGNS_MISFIT;
	r->unsure_signs = signs(r, bits, false, false) == SIGNS_DIFFER;
	return true;
}

static bool read_visibility(struct map_reader *r, struct cursor *c)
{
	struct str bits = get_bytes(c, cursor_left(c));

	if (!bits.p || bits.n != (r->m->ncolumns + 7) / 8)
		return false;
	for (size_t i = 0; i < r->m->ncolumns; i++)
		r->m->columns[i].invisible = ((uint8_t)bits.p[i / 8] >> (7 - i % 8) & 1) == 0;
	return true;
}

static bool get_collation(struct cursor *c, uint16_t *out)
{
	uint64_t id = binlog_lenenc(c);

	*out = (uint16_t)id;
	return !c->bad && id <= UINT16_MAX;
}

/* One of each column. */
static bool read_collations(struct map_reader *r, struct cursor *c, column_test *is)
{
	struct binlog_map_column *col;

	for (size_t i = 0; (col = next_column(r, is, &i));)
		if (!get_collation(c, &col->collation))
			return false;
	return true;
}

/* Exceptions come in ascending order. */
static bool read_default_collation(struct map_reader *r, struct cursor *c, column_test *is)
{
	struct binlog_map_column *col;
	uint16_t standard;
	uint64_t exception = UINT64_MAX;
	uint64_t n = 0;

	if (!get_collation(c, &standard))
		return false;
	if (cursor_left(c))
		exception = binlog_lenenc(c);
	for (size_t i = 0; (col = next_column(r, is, &i)); n++) {
		col->collation = standard;
		if (n != exception)
			continue;
		if (!get_collation(c, &col->collation))
			return false;
		exception = cursor_left(c) ? binlog_lenenc(c) : UINT64_MAX;
	}
	return exception == UINT64_MAX;
}

static bool read_names(struct map_reader *r, struct cursor *c)
{
	for (size_t i = 0; i < r->m->ncolumns; i++) {
		r->m->columns[i].name = get_bytes(c, binlog_lenenc(c));
		if (c->bad || r->m->columns[i].name.n == 0)
			return false;
	}
	return true;
}

static bool read_labels(struct map_reader *r, struct cursor *c, column_test *is)
{
	struct binlog_map_column *col;

	for (size_t i = 0; (col = next_column(r, is, &i));) {
		uint64_t n = binlog_lenenc(c);

		if (n > cursor_left(c)) /* each has a byte at least */
			return false;
		col->labels = arena_alloc(r->a, n * sizeof *col->labels);
		col->nlabels = n;
		for (size_t k = 0; k < n; k++)
			col->labels[k] = get_bytes(c, binlog_lenenc(c));
	}
	return true;
}

static bool read_geometry(struct map_reader *r, struct cursor *c)
{
	struct binlog_map_column *col;

	for (size_t i = 0; (col = next_column(r, is_geometry, &i));) {
		uint64_t kind = binlog_lenenc(c);

		if (kind > UINT8_MAX)
			return false;
		col->geometry = (uint8_t)kind;
	}
	return true;
}

static bool read_dimensions(struct map_reader *r, struct cursor *c)
{
	struct binlog_map_column *col;

	for (size_t i = 0; (col = next_column(r, is_vector, &i));) {
		uint64_t n = binlog_lenenc(c);

		if (n > UINT32_MAX)
			return false;
		col->dimension = (uint32_t)n;
	}
	return true;
}

static bool read_key(struct map_reader *r, struct cursor *c, bool prefixes)
{
	for (int place = 1; cursor_left(c); place++) {
		uint64_t i = binlog_lenenc(c);
		uint64_t prefix = prefixes ? binlog_lenenc(c) : 0;

		if (c->bad || i >= r->m->ncolumns || prefix > UINT32_MAX || r->m->columns[i].key)
			return false;
		r->m->columns[i].key = place;
		r->m->columns[i].key_prefix = (uint32_t)prefix;
	}
	return true;
}

static bool read_field(struct map_reader *r, enum field field, struct cursor *c)
{
	switch (field) {
	case FIELD_SIGNEDNESS:
		return read_signedness(r, c);
	case FIELD_DEFAULT_CHARSET:
		return read_default_collation(r, c, is_character);
	case FIELD_COLUMN_CHARSET:
		return read_collations(r, c, is_character);
	case FIELD_NAMES:
		return read_names(r, c);
	case FIELD_SET_LABELS:
		return read_labels(r, c, is_set);
	case FIELD_ENUM_LABELS:
		return read_labels(r, c, is_enum);
	case FIELD_GEOMETRY:
		return read_geometry(r, c);
	case FIELD_KEY:
		return read_key(r, c, false);
	case FIELD_KEY_PREFIX:
		return read_key(r, c, true);
	case FIELD_LABEL_DEFAULT_CHARSET:
		return read_default_collation(r, c, is_labelled);
	case FIELD_LABEL_CHARSET:
		return read_collations(r, c, is_labelled);
	case FIELD_VISIBILITY:
		return read_visibility(r, c);
	case FIELD_DIMENSIONS:
		return read_dimensions(r, c);
	}
	return false;
}

static bool has_any(const struct map_reader *r, column_test *is)
{
	size_t i = 0;

	return next_column(r, is, &i) != NULL;
}

/* What no column of the table needs is known without being said. */
static void set_known(struct map_reader *r)
{
	struct binlog_map *m = r->m;
	const bool *seen = r->seen;

	m->has_names = seen[FIELD_NAMES];
	m->has_signedness = (seen[FIELD_SIGNEDNESS] && !r->unsure_signs) || !has_any(r, is_numeric);
	m->has_charset = seen[FIELD_DEFAULT_CHARSET] || seen[FIELD_COLUMN_CHARSET] ||
			 !has_any(r, is_character);
	m->has_labels = (seen[FIELD_ENUM_LABELS] || !has_any(r, is_enum)) &&
			(seen[FIELD_SET_LABELS] || !has_any(r, is_set));
	m->has_label_charset = seen[FIELD_LABEL_DEFAULT_CHARSET] || seen[FIELD_LABEL_CHARSET] ||
			       !has_any(r, is_labelled);
	/* A table without a key has no such field: names tell that all would be there. */
	m->has_key = seen[FIELD_KEY] || seen[FIELD_KEY_PREFIX] || m->has_names;
	m->has_visibility = seen[FIELD_VISIBILITY];
}

static int read_optional(struct map_reader *r, struct cursor *c)
{
	while (cursor_left(c)) {
		uint8_t field = get_u8(c);
		struct str value = get_bytes(c, binlog_lenenc(c));
		struct cursor v = cursor_of(value);

		if (c->bad)
			break;
		/* Later servers may say more: how to read the rows has to be in the types. */
		if (field < FIELD_SIGNEDNESS || field > FIELD_DIMENSIONS)
			continue;
		if (r->seen[field] || !read_field(r, field, &v) || v.bad || v.p != v.end)
			return bad_field(r, field);
		r->seen[field] = true;
	}
	set_known(r);
	return binlog_end(r->e, c, r->err);
}

/* --- the whole --- */

static int read_name(const struct binlog_event *e, struct cursor *c, struct str *out,
		     struct error *err)
{
	*out = get_bytes(c, binlog_lenenc(c));
	uint8_t nul = get_u8(c);

	if (c->bad || nul)
		return binlog_bad(e, err, "has a damaged name");
	return 0;
}

static int read_head(const struct binlog_event *e, const struct binlog_format *format,
		     struct cursor *c, struct binlog_map *out, struct error *err)
{
	*out = (struct binlog_map){ 0 };
	if (binlog_table_id(e, format, c, &out->id, err))
		return -1;
	out->flags = get_u16le(c);
	if (!c->bad)
		out->content = (struct str){ (const char *)c->p, cursor_left(c) };
	if (read_name(e, c, &out->db, err) || read_name(e, c, &out->name, err))
		return -1;
	return 0;
}

int binlog_map_peek(const struct binlog_event *e, const struct binlog_format *format,
		    struct binlog_map *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	return read_head(e, format, &c, out, err);
}

int binlog_map_parse(const struct binlog_event *e, const struct binlog_format *format,
		     struct arena *a, struct binlog_map *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);
	struct map_reader r = {
		.e = e,
		.m = out,
		.a = a,
		.mariadb = format->mariadb,
		.version = format->version,
		.err = err,
	};

	if (read_head(e, format, &c, out, err))
		return -1;
	struct str types = get_bytes(&c, binlog_lenenc(&c));
	struct str meta = get_bytes(&c, binlog_lenenc(&c));
	struct str nullable = get_bytes(&c, (types.n + 7) / 8);

	if (c.bad)
		return binlog_bad(e, err, "is truncated");
	if (!nullable.p || types.n == 0)
		return binlog_bad(e, err, "has no columns");
	out->ncolumns = types.n;
	out->columns = arena_zalloc(a, types.n * sizeof *out->columns);
	if (read_types(&r, types, meta, nullable))
		return -1;
	return read_optional(&r, &c);
}
