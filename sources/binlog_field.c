/*
 * binlog_field.c - a column of a table map, and its definition if there is one, compiled for reading
 *
 * The map says type and metadata, always; signedness, charset, names and labels come from its optional part or
 * from the definition.  What neither says is an error, not a guess.
 */
#include "binlog_cell.h"

/* Everything that is known of the column at hand. */
struct source {
	const struct binlog_map *map;
	const struct binlog_map_column *column;
	size_t i;
	const struct mysql_column *def; /* or NULL */
	struct arena *a;
	struct error *err;
	struct binlog_field *out;
	struct column *shape;
};

static int refuse(const struct source *s, const char *why)
{
	return fail(s->err, ERR_FATAL,
		    "table %.*s.%.*s, column %zu (%.*s), type code %u: %s; leave the table out of "
		    "source.tables, or report this with the server's version",
		    STR_FMT(s->map->db), STR_FMT(s->map->name), s->i + 1, STR_FMT(s->out->name),
		    (unsigned)s->column->type, why);
}

static void give(const struct source *s, enum binlog_cell how, enum column_type type,
		 struct str native)
{
	s->out->how = (uint8_t)how;
	s->shape->type = type;
	s->out->native = s->shape->native = native;
}

/* --- charset --- */

/*
 * Where the text's charset comes from.  1: *out is it, or NULL: bytes.  0: neither the map nor a definition says.
 */
static int find_charset(const struct source *s, bool has, const struct charset **out)
{
	const struct binlog_map_column *c = s->column;

	*out = NULL;
	if (has && c->collation) {
		if (c->collation == 63)
			return 1;
		*out = charset_by_collation(c->collation);
		return *out ? 1 : refuse(s, "its collation is not known");
	}
	if (!s->def)
		return 0;
	if (!s->def->charset.n || str_eqz(s->def->charset, "binary"))
		return 1;
	*out = charset_by_name(s->def->charset);
	return *out ? 1 : refuse(s, "its character set is not known");
}

static int text_charset(const struct source *s, bool *is_text)
{
	int found = find_charset(s, s->map->has_charset, &s->out->charset);

	if (found == 0)
		return refuse(s,
			      "the log does not say its character set and there is no definition");
	*is_text = s->out->charset != NULL;
	return found < 0 ? -1 : 0;
}

static bool is_utf8(const struct charset *c)
{
	return strncmp(charset_name(c), "utf8mb", 6) == 0;
}

/* --- characters and bytes --- */

static bool definition_is(const struct source *s, const char *type)
{
	return s->def && str_eqz(s->def->data_type, type);
}

/* MariaDB's types that look like BINARY(n) in the log. */
static bool make_fixed(const struct source *s)
{
	static const struct {
		const char *name;
		uint8_t size;
		enum binlog_cell how;
		enum column_type type;
	} types[] = {
		{ "uuid", 16, CELL_UUID, COL_UUID },
		{ "inet6", 16, CELL_INET6, COL_TEXT },
		{ "inet4", 4, CELL_INET4, COL_TEXT },
	};

	for (size_t i = 0; i < COUNT(types); i++) {
		if (s->column->meta != types[i].size || !definition_is(s, types[i].name))
			continue;
		s->out->size = types[i].size;
		give(s, types[i].how, types[i].type, str_z(types[i].name));
		return true;
	}
	return false;
}

/* CHAR and BINARY, VARCHAR and VARBINARY; meta is their length in bytes. */
static int make_string(const struct source *s, bool fixed, bool compressed)
{
	unsigned length = s->column->meta;
	const char *suffix = compressed ? " compressed" : "";
	bool is_text = false;

	s->out->prefix = length > 255 ? 2 : 1;
	if (fixed && make_fixed(s))
		return 0;
	if (text_charset(s, &is_text))
		return -1;
	if (compressed) /* the header of a compressed value counts */
		length--;
	if (!is_text) {
		s->out->size = length;
		give(s,
		     compressed ? CELL_COMPRESSED_BYTES
		     : fixed    ? CELL_PADDED
				: CELL_BYTES,
		     COL_BYTES,
		     str_z(arena_printf(s->a, "%sbinary(%u)%s", fixed ? "" : "var", length,
					suffix)));
		return 0;
	}
	const struct charset *c = s->out->charset;

	give(s,
	     compressed   ? CELL_COMPRESSED_TEXT
	     : is_utf8(c) ? CELL_UTF8
			  : CELL_TEXT,
	     COL_TEXT,
	     str_z(arena_printf(s->a, "%schar(%u) %s%s", fixed ? "" : "var",
				length / charset_max_bytes(c), charset_name(c), suffix)));
	return 0;
}

/* Metadata is the number of bytes of the length. */
static int length_bytes(const struct source *s)
{
	if (s->column->meta < 1 || s->column->meta > 4)
		return refuse(s, "its metadata is not what the type has");
	s->out->prefix = (uint8_t)s->column->meta;
	return 0;
}

static int make_blob(const struct source *s, bool compressed)
{
	static const char *const sizes[] = { "tiny", "", "medium", "long" };
	const char *suffix = compressed ? " compressed" : "";
	bool is_text = false;

	if (length_bytes(s) || text_charset(s, &is_text))
		return -1;
	const char *size = sizes[s->out->prefix - 1];

	if (!is_text) {
		give(s, compressed ? CELL_COMPRESSED_BYTES : CELL_BYTES, COL_BYTES,
		     str_z(arena_printf(s->a, "%sblob%s", size, suffix)));
		return 0;
	}
	const struct charset *c = s->out->charset;

	give(s,
	     compressed   ? CELL_COMPRESSED_TEXT
	     : is_utf8(c) ? CELL_UTF8
			  : CELL_TEXT,
	     COL_TEXT, str_z(arena_printf(s->a, "%stext %s%s", size, charset_name(c), suffix)));
	return 0;
}

static int make_geometry(const struct source *s)
{
	static const char *const names[] = { "geometry",     "point",
					     "linestring",   "polygon",
					     "multipoint",   "multilinestring",
					     "multipolygon", "geometrycollection" };
	size_t kind = s->column->geometry < COUNT(names) ? s->column->geometry : 0;

	for (size_t i = 0; s->def && i < COUNT(names); i++) {
		if (str_eqz(s->def->data_type, names[i]))
			kind = i;
	}
	if (definition_is(s, "geomcollection")) /* MySQL 8 */
		kind = 7;
	give(s, CELL_GEOMETRY, COL_BYTES, str_z(names[kind]));
	return length_bytes(s);
}

/* The number in "vector(3)", "datetime(6)"; 0: there is none. */
static unsigned type_argument(const struct mysql_column *def)
{
	struct str t = def ? def->column_type : STR("");
	const char *p = t.n ? memchr(t.p, '(', t.n) : NULL;
	unsigned v = 0;

	for (p = p ? p + 1 : t.p + t.n; p < t.p + t.n && *p >= '0' && *p <= '9' && v < 100000; p++)
		v = v * 10 + (unsigned)(*p - '0');
	return v;
}

static int make_vector(const struct source *s)
{
	unsigned n = s->column->dimension ? s->column->dimension : type_argument(s->def);

	if (!n)
		return refuse(s, "neither the log nor a definition says its dimension");
	give(s, CELL_BYTES, COL_BYTES, str_z(arena_printf(s->a, "vector(%u)", n)));
	return length_bytes(s);
}

/* --- labels --- */

static int map_labels(const struct source *s)
{
	const struct binlog_map_column *c = s->column;
	struct str *labels = arena_alloc(s->a, c->nlabels * sizeof *labels + 1);

	for (size_t i = 0; i < c->nlabels; i++) {
		struct str utf8 = c->labels[i];

		if (s->out->charset ? !charset_to_utf8(s->out->charset, c->labels[i], s->a, &utf8)
				    : !utf8_valid(utf8))
			return refuse(s, "a label is not valid in its character set");
		labels[i] = arena_copy(s->a, utf8);
	}
	s->out->labels = labels;
	s->out->nlabels = c->nlabels;
	return 0;
}

static struct str labels_text(const struct source *s, const char *type)
{
	AUTO(buf) struct buf b = { 0 };

	buf_adds(&b, type);
	for (size_t i = 0; i < s->out->nlabels; i++) {
		struct str l = s->out->labels[i];

		buf_adds(&b, i ? ",'" : "('");
		for (size_t k = 0; k < l.n; k++) {
			if (l.p[k] == '\'')
				buf_addc(&b, '\'');
			buf_addc(&b, l.p[k]);
		}
		buf_addc(&b, '\'');
	}
	buf_adds(&b, ") ");
	buf_adds(&b, s->out->charset ? charset_name(s->out->charset) : "binary");
	return arena_copy(s->a, (struct str){ b.p, b.n });
}

/*
 * information_schema of every server has a ? in place of a character beyond the BMP, and no other text of the server
 * says more.  So a label of a definition in which there is one is not known, if its column could have such characters:
 * that its charset has characters of four bytes says so.
 */
static void doubt_labels(const struct source *s, struct str *labels)
{
	if (!s->out->charset || charset_max_bytes(s->out->charset) < 4)
		return;
	for (size_t i = 0; i < s->out->nlabels; i++)
		if (labels[i].n && memchr(labels[i].p, '?', labels[i].n))
			labels[i] = (struct str){ NULL, 0 };
}

static int make_labelled(const struct source *s, bool set)
{
	struct str *told = NULL;
	int found = find_charset(s, s->map->has_label_charset, &s->out->charset);

	if (found < 0)
		return -1;
	if (!found)
		return refuse(s,
			      "the log does not say its character set and there is no definition");
	if (s->map->has_labels) {
		if (map_labels(s))
			return -1;
	} else {
		s->out->nlabels = s->def ? mysql_labels(s->def->column_type, s->a, &told) : 0;
		s->out->labels = told;
	}
	if (!s->out->nlabels)
		return refuse(s, "neither the log nor a definition says its labels");
	s->out->size = s->column->meta;
	if (s->out->size < 1 || s->out->size > (set ? 8u : 2u))
		return refuse(s, "its metadata is not what the type has");
	give(s, set ? CELL_SET : CELL_ENUM, COL_TEXT, labels_text(s, set ? "set" : "enum"));
	if (told)
		doubt_labels(s, told);
	return 0;
}

/* --- numbers --- */

static int make_integer(const struct source *s)
{
	static const struct {
		uint8_t type;
		enum binlog_cell with_sign, without;
		enum column_type column, column_without;
		const char *name;
	} types[] = {
		{ MYSQL_TINY, CELL_I8, CELL_U8, COL_INT32, COL_INT32, "tinyint" },
		{ MYSQL_SHORT, CELL_I16, CELL_U16, COL_INT32, COL_INT32, "smallint" },
		{ MYSQL_INT24, CELL_I24, CELL_U24, COL_INT32, COL_INT32, "mediumint" },
		{ MYSQL_LONG, CELL_I32, CELL_U32, COL_INT32, COL_INT64, "int" },
		{ MYSQL_LONGLONG, CELL_I64, CELL_I64, COL_INT64, COL_UINT64, "bigint" },
		{ MYSQL_FLOAT, CELL_FLOAT, CELL_FLOAT, COL_FLOAT, COL_FLOAT, "float" },
		{ MYSQL_DOUBLE, CELL_DOUBLE, CELL_DOUBLE, COL_DOUBLE, COL_DOUBLE, "double" },
	};
	bool without = s->out->is_unsigned;

	for (size_t i = 0; i < COUNT(types); i++) {
		if (types[i].type != s->column->type)
			continue;
		give(s, without ? types[i].without : types[i].with_sign,
		     without ? types[i].column_without : types[i].column,
		     str_z(arena_printf(s->a, "%s%s", types[i].name, without ? " unsigned" : "")));
		return 0;
	}
	return refuse(s, "the type is not known");
}

static int make_decimal(const struct source *s)
{
	unsigned precision = s->column->meta & 0xff, scale = s->column->meta >> 8;

	if (precision < 1 || precision > 65 || scale > precision)
		return refuse(s, "its metadata is not what the type has");
	s->out->precision = (uint8_t)precision;
	s->out->digits = (uint8_t)scale;
	s->shape->precision = (int)precision;
	s->shape->scale = (int)scale;
	give(s, CELL_DECIMAL, COL_DECIMAL,
	     str_z(arena_printf(s->a, "decimal(%u,%u)%s", precision, scale,
				s->out->is_unsigned ? " unsigned" : "")));
	return 0;
}

/* The sign is not in the map of a server that writes no optional metadata. */
static int find_sign(const struct source *s)
{
	if (!s->map->has_signedness && !s->def)
		return refuse(s, "the log does not say its sign and there is no definition");
	s->out->is_unsigned = s->map->has_signedness ? s->column->is_unsigned : s->def->is_unsigned;
	return 0;
}

static int make_number(const struct source *s)
{
	if (find_sign(s))
		return -1;
	return s->column->type == MYSQL_NEWDECIMAL ? make_decimal(s) : make_integer(s);
}

static int make_bit(const struct source *s)
{
	unsigned bits = (s->column->meta >> 8) * 8u + (s->column->meta & 0xff);

	if (bits < 1 || bits > 64 || (s->column->meta & 0xff) > 7)
		return refuse(s, "its metadata is not what the type has");
	s->out->size = (bits + 7) / 8;
	give(s, bits == 1 ? CELL_BIT : CELL_BITS, bits == 1 ? COL_BOOL : COL_BYTES,
	     str_z(arena_printf(s->a, "bit(%u)", bits)));
	return 0;
}

/* --- times --- */

/*
 * The map has the digits of the formats since 5.6.  Of the earlier ones it has none: they have no fraction, or are
 * MariaDB's own, which only a definition tells.
 */
static int make_time(const struct source *s)
{
	static const struct {
		uint8_t type;
		enum binlog_cell how, hires;
		enum column_type column;
		const char *name;
	} types[] = {
		{ MYSQL_TIMESTAMP, CELL_TIMESTAMP_OLD, CELL_TIMESTAMP_HIRES, COL_TIMESTAMPTZ,
		  "timestamp" },
		{ MYSQL_TIMESTAMP2, CELL_TIMESTAMP, CELL_TIMESTAMP, COL_TIMESTAMPTZ, "timestamp" },
		{ MYSQL_DATETIME, CELL_DATETIME_OLD, CELL_DATETIME_HIRES, COL_TIMESTAMP,
		  "datetime" },
		{ MYSQL_DATETIME2, CELL_DATETIME, CELL_DATETIME, COL_TIMESTAMP, "datetime" },
		{ MYSQL_TIME, CELL_TIME_OLD, CELL_TIME_HIRES, COL_TIME, "time" },
		{ MYSQL_TIME2, CELL_TIME, CELL_TIME, COL_TIME, "time" },
	};
	size_t i = 0;

	while (i < COUNT(types) - 1 && types[i].type != s->column->type)
		i++;
	unsigned digits = types[i].how == types[i].hires ? s->column->meta : type_argument(s->def);

	if (digits > 6)
		return refuse(s, "its metadata is not what the type has");
	s->out->digits = (uint8_t)digits;
	give(s, digits ? types[i].hires : types[i].how, types[i].column,
	     digits ? str_z(arena_printf(s->a, "%s(%u)", types[i].name, digits))
		    : str_z(types[i].name));
	return 0;
}

/* --- all --- */

static int make(const struct source *s)
{
	switch ((enum mysql_type)s->column->type) {
	case MYSQL_TINY:
	case MYSQL_SHORT:
	case MYSQL_INT24:
	case MYSQL_LONG:
	case MYSQL_LONGLONG:
	case MYSQL_FLOAT:
	case MYSQL_DOUBLE:
	case MYSQL_NEWDECIMAL:
		return make_number(s);
	case MYSQL_YEAR:
		give(s, CELL_YEAR, COL_INT32, STR("year"));
		return 0;
	case MYSQL_BIT:
		return make_bit(s);
	case MYSQL_DATE:
	case MYSQL_NEWDATE:
		give(s, CELL_DATE, COL_DATE, STR("date"));
		return 0;
	case MYSQL_TIMESTAMP:
	case MYSQL_TIMESTAMP2:
	case MYSQL_DATETIME:
	case MYSQL_DATETIME2:
	case MYSQL_TIME:
	case MYSQL_TIME2:
		return make_time(s);
	case MYSQL_STRING:
		return make_string(s, true, false);
	case MYSQL_VARCHAR:
	case MYSQL_VAR_STRING:
		return make_string(s, false, false);
	case MYSQL_VARCHAR_COMPRESSED:
		return make_string(s, false, true);
	case MYSQL_TINY_BLOB:
	case MYSQL_MEDIUM_BLOB:
	case MYSQL_LONG_BLOB:
	case MYSQL_BLOB:
		return make_blob(s, false);
	case MYSQL_BLOB_COMPRESSED:
		return make_blob(s, true);
	case MYSQL_ENUM:
	case MYSQL_SET:
		return make_labelled(s, s->column->type == MYSQL_SET);
	case MYSQL_JSON:
		give(s, CELL_JSON, COL_JSON, STR("json"));
		return length_bytes(s);
	case MYSQL_GEOMETRY:
		return make_geometry(s);
	case MYSQL_VECTOR:
		return make_vector(s);
	case MYSQL_DECIMAL:
	case MYSQL_NULL:
		break;
	}
	return refuse(s, "the type is not known");
}

int binlog_field_make(const struct binlog_map *m, size_t i, const struct mysql_column *def,
		      int invalid_bytes, struct arena *a, struct column *column,
		      struct binlog_field *out, struct error *err)
{
	const struct binlog_map_column *c = &m->columns[i];
	struct source s = { m, c, i, def, a, err, out, column };

	*out = (struct binlog_field){ .type = c->type,
				      .meta = c->meta,
				      .invalid_bytes = invalid_bytes };
	*column = (struct column){ .native_mod = -1, .element = COL_TEXT, .nullable = c->nullable };
	if (!m->has_names && !def)
		return refuse(&s, "the log does not say its name and there is no definition");
	out->name = column->name = arena_copy(a, m->has_names ? c->name : def->name);
	column->key = m->has_key || !def ? c->key : def->key;
	return make(&s);
}

bool binlog_field_ambiguous(const struct binlog_map *m, size_t i, bool mariadb)
{
	const struct binlog_map_column *c = &m->columns[i];

	if (!mariadb)
		return false;
	switch (c->type) {
	case MYSQL_STRING: /* UUID, INET4, INET6 */
		return (c->meta == 4 || c->meta == 16) &&
		       (!m->has_charset || c->collation == 0 || c->collation == 63);
	case MYSQL_TIMESTAMP: /* with a fraction? */
	case MYSQL_DATETIME:
	case MYSQL_TIME:
		return true;
	default:
		return false;
	}
}
