/*
 * pg_types.c - PostgreSQL's types as Avro shapes (INTERFACE.md, "Row image")
 *
 * Built-in types are known by OID, their array types too; others are asked of the catalog, domains
 * followed to their base.  A type that the catalog does not know any more is text: the server goes
 * on printing its old values.
 */
#include <stdio.h>

#include "pg_values.h"

#define DOMAIN_DEPTH 64 /* a domain of domains; the catalog changes under us, so bounded */

enum modifier { MOD_NONE, MOD_LENGTH, MOD_BITS, MOD_NUMERIC, MOD_TIME, MOD_INTERVAL };

struct builtin {
	uint32_t oid, array;
	enum column_type type;
	enum modifier modifier;
	const char *name;   /* in pg_type */
	const char *before; /* native: before the modifier, ... */
	const char *after;  /* ... after it */
};

static const struct builtin builtins[] = {
	{ PG_BOOL, 1000, COL_BOOL, MOD_NONE, "bool", "boolean", "" },
	{ PG_BYTEA, 1001, COL_BYTES, MOD_NONE, "bytea", "bytea", "" },
	{ PG_CHAR, PG_CHAR_ARRAY, COL_TEXT, MOD_NONE, "char", "\"char\"", "" },
	{ PG_NAME, 1003, COL_TEXT, MOD_NONE, "name", "name", "" },
	{ PG_INT8, 1016, COL_INT64, MOD_NONE, "int8", "bigint", "" },
	{ PG_INT2, 1005, COL_INT32, MOD_NONE, "int2", "smallint", "" },
	{ PG_INT4, 1007, COL_INT32, MOD_NONE, "int4", "integer", "" },
	{ PG_TEXT, 1009, COL_TEXT, MOD_NONE, "text", "text", "" },
	{ PG_OID, 1028, COL_INT64, MOD_NONE, "oid", "oid", "" },
	{ PG_JSON, 199, COL_JSON, MOD_NONE, "json", "json", "" },
	{ PG_XML, 143, COL_TEXT, MOD_NONE, "xml", "xml", "" },
	{ PG_BOX, 1020, COL_TEXT, MOD_NONE, "box", "box", "" },
	{ PG_CIDR, 651, COL_TEXT, MOD_NONE, "cidr", "cidr", "" },
	{ PG_FLOAT4, 1021, COL_FLOAT, MOD_NONE, "float4", "real", "" },
	{ PG_FLOAT8, 1022, COL_DOUBLE, MOD_NONE, "float8", "double precision", "" },
	{ PG_MACADDR8, 775, COL_TEXT, MOD_NONE, "macaddr8", "macaddr8", "" },
	{ PG_MONEY, 791, COL_TEXT, MOD_NONE, "money", "money", "" },
	{ PG_MACADDR, 1040, COL_TEXT, MOD_NONE, "macaddr", "macaddr", "" },
	{ PG_INET, 1041, COL_TEXT, MOD_NONE, "inet", "inet", "" },
	{ PG_BPCHAR, 1014, COL_TEXT, MOD_LENGTH, "bpchar", "character", "" },
	{ PG_VARCHAR, 1015, COL_TEXT, MOD_LENGTH, "varchar", "character varying", "" },
	{ PG_DATE, 1182, COL_DATE, MOD_NONE, "date", "date", "" },
	{ PG_TIME, 1183, COL_TIME, MOD_TIME, "time", "time", " without time zone" },
	{ PG_TIMESTAMP, 1115, COL_TIMESTAMP, MOD_TIME, "timestamp", "timestamp",
	  " without time zone" },
	{ PG_TIMESTAMPTZ, 1185, COL_TIMESTAMPTZ, MOD_TIME, "timestamptz", "timestamp",
	  " with time zone" },
	{ PG_INTERVAL, 1187, COL_TEXT, MOD_INTERVAL, "interval", "interval", "" },
	{ PG_TIMETZ, 1270, COL_TEXT, MOD_TIME, "timetz", "time", " with time zone" },
	{ PG_BIT, 1561, COL_TEXT, MOD_BITS, "bit", "bit", "" },
	{ PG_VARBIT, 1563, COL_TEXT, MOD_BITS, "varbit", "bit varying", "" },
	{ PG_NUMERIC, 1231, COL_TEXT, MOD_NUMERIC, "numeric", "numeric", "" },
	{ PG_UUID, 2951, COL_UUID, MOD_NONE, "uuid", "uuid", "" },
	{ PG_JSONB, 3807, COL_JSON, MOD_NONE, "jsonb", "jsonb", "" },
	/* Their category is A, but they print without braces. */
	{ PG_INT2VECTOR, 1006, COL_TEXT, MOD_NONE, "int2vector", "int2vector", "" },
	{ PG_OIDVECTOR, 1013, COL_TEXT, MOD_NONE, "oidvector", "oidvector", "" },
};

static const struct builtin *builtin_by_oid(uint32_t oid)
{
	for (size_t i = 0; i < COUNT(builtins); i++) {
		if (builtins[i].oid == oid)
			return &builtins[i];
	}
	return NULL;
}

/* 1 found, 0 gone, -1 error. */
static int type_by_oid(const struct pgoutput_catalog *catalog, uint32_t oid, struct pg_type *out,
		       struct error *err)
{
	*out = (struct pg_type){ .oid = oid, .kind = 'b', .base_mod = -1, .delimiter = ',' };
	for (size_t i = 0; i < COUNT(builtins); i++) {
		const struct builtin *b = &builtins[i];

		if (b->oid != oid && b->array != oid)
			continue;
		snprintf(out->name, sizeof out->name, "%s%s", b->array == oid ? "_" : "", b->name);
		out->element = b->array == oid ? b->oid : 0;
		out->delimiter = b->oid == PG_BOX ? ';' : ',';
		return 1;
	}
	return catalog->type(catalog->ctx, oid, out, err);
}

/*
 * Follows domains to the base type; *mod becomes the innermost domain's, the only one that can have
 * one.  1, 0, -1 as above.
 */
static int base_type(const struct pgoutput_catalog *catalog, uint32_t oid, int32_t *mod,
		     struct pg_type *out, struct error *err)
{
	for (int depth = 0; depth < DOMAIN_DEPTH; depth++) {
		int r = type_by_oid(catalog, oid, out, err);

		if (r <= 0 || out->kind != 'd')
			return r;
		*mod = out->base_mod;
		oid = out->base;
	}
	return fail(err, ERR_FATAL, "the domain with OID %u is not based on any type in %d steps",
		    oid, DOMAIN_DEPTH);
}

/* Precision and scale of numeric(p,s); the scale has 11 bits with a sign since PostgreSQL 15. */
static void numeric_modifier(int32_t mod, int *precision, int *scale)
{
	*precision = (int)((uint32_t)(mod - 4) >> 16);
	*scale = (((mod - 4) & 0x7ff) ^ 1024) - 1024;
}

/* "day to second(3)": the fields of an interval, a bit each (MASK() of the server's timestamp.h). */
static const char *interval_fields(int32_t mod)
{
	static const struct {
		int32_t mask;
		const char *text;
	} fields[] = {
		{ 0x0004, " year" },
		{ 0x0002, " month" },
		{ 0x0008, " day" },
		{ 0x0400, " hour" },
		{ 0x0800, " minute" },
		{ 0x1000, " second" },
		{ 0x0006, " year to month" },
		{ 0x0408, " day to hour" },
		{ 0x0c08, " day to minute" },
		{ 0x1c08, " day to second" },
		{ 0x0c00, " hour to minute" },
		{ 0x1c00, " hour to second" },
		{ 0x1800, " minute to second" },
	};

	for (size_t i = 0; i < COUNT(fields); i++) {
		if (fields[i].mask == (mod >> 16 & 0x7fff))
			return fields[i].text;
	}
	return "";
}

/* As format_type() of the server prints it. */
static char *native_text(const struct builtin *b, int32_t mod, const char *brackets,
			 struct arena *a)
{
	int precision, scale;

	if (b->oid == PG_BPCHAR && mod < 4)
		return arena_printf(a, "bpchar%s", brackets);
	if (mod < 0 || b->modifier == MOD_NONE)
		return arena_printf(a, "%s%s%s", b->before, b->after, brackets);
	switch (b->modifier) {
	case MOD_NUMERIC:
		numeric_modifier(mod, &precision, &scale);
		return arena_printf(a, "%s(%d,%d)%s", b->before, precision, scale, brackets);
	case MOD_INTERVAL:
		if ((mod & 0xffff) == 0xffff)
			return arena_printf(a, "interval%s%s", interval_fields(mod), brackets);
		return arena_printf(a, "interval%s(%d)%s", interval_fields(mod), mod & 0xffff,
				    brackets);
	case MOD_LENGTH:
		mod -= 4; /* the length's own header, as the server counts */
		break;
	case MOD_NONE:
	case MOD_BITS:
	case MOD_TIME:
		break;
	}
	return arena_printf(a, "%s(%d)%s%s", b->before, mod, b->after, brackets);
}

/* Avro's type of a scalar; fills precision and scale where it has them. */
static enum column_type scalar_shape(const struct builtin *b, int32_t mod, struct column *out)
{
	int precision, scale;

	if (!b)
		return COL_TEXT;
	if (b->oid == PG_NUMERIC && mod >= 4) {
		numeric_modifier(mod, &precision, &scale);
		if (scale >= 0 && scale <= precision) {
			out->precision = precision;
			out->scale = scale;
			return COL_DECIMAL;
		}
	}
	return b->type;
}

/* A type that is not built in, or is gone: by the best name there is. */
static char *foreign_name(int found, const struct pg_type *t, struct str type_name,
			  const char *brackets, struct arena *a)
{
	if (found && t->name[0])
		return arena_printf(a, "%s%s", t->name, brackets);
	if (type_name.n)
		return arena_printf(a, "%.*s%s", STR_FMT(type_name), brackets);
	return arena_printf(a, "type with OID %u%s", t->oid, brackets);
}

static int array_column(const struct pgoutput_catalog *catalog, const struct pg_type *array,
			int32_t mod, struct arena *a, struct column *out, struct error *err)
{
	struct pg_type element;
	int found = base_type(catalog, array->element, &mod, &element, err);

	if (found < 0)
		return -1;
	const struct builtin *b = builtin_by_oid(element.oid);

	/* An array of a domain of arrays has elements that no scalar holds. */
	if (found && element.element) {
		out->type = COL_TEXT;
		out->native = str_z(foreign_name(1, array, STR(""), "", a));
		return 0;
	}
	out->type = COL_ARRAY;
	out->element = scalar_shape(b, mod, out);
	out->native_mod = mod;
	out->delimiter = array->delimiter ? array->delimiter : ',';
	out->native = str_z(b ? native_text(b, mod, "[]", a)
			      : foreign_name(found, &element, STR(""), "[]", a));
	return 0;
}

int pg_column_type(const struct pgoutput_catalog *catalog, uint32_t oid, int32_t mod,
		   struct str type_name, struct arena *a, struct column *out, struct error *err)
{
	struct pg_type t;
	int found = base_type(catalog, oid, &mod, &t, err);

	if (found < 0)
		return -1;
	const struct builtin *b = builtin_by_oid(t.oid);

	out->type = out->element = COL_TEXT;
	out->precision = out->scale = 0;
	out->delimiter = 0;
	out->native_id = found && t.kind == 'e' ? PG_ANYENUM : t.oid;
	out->native_mod = mod;
	if (found && t.element)
		return array_column(catalog, &t, mod, a, out, err);
	out->type = scalar_shape(b, mod, out);
	out->native =
		str_z(b ? native_text(b, mod, "", a) : foreign_name(found, &t, type_name, "", a));
	return 0;
}

static bool is_wider(uint32_t from, uint32_t to)
{
	static const uint32_t wider[][2] = {
		{ PG_INT2, PG_INT4 },     { PG_INT2, PG_INT8 },    { PG_INT4, PG_INT8 },
		{ PG_FLOAT4, PG_FLOAT8 }, { PG_VARCHAR, PG_TEXT },
	};

	for (size_t i = 0; i < COUNT(wider); i++) {
		if (wider[i][0] == from && wider[i][1] == to)
			return true;
	}
	return false;
}

bool pg_type_widens(const struct column *from, const struct column *to)
{
	int from_precision, from_scale, precision, scale;

	if (from->native_id != to->native_id)
		return is_wider(from->native_id, to->native_id);
	if (from->native_mod == to->native_mod)
		return to->native_id != PG_ANYENUM || str_eq(from->native, to->native);
	switch (to->native_id) {
	case PG_NUMERIC:
		if (from->native_mod < 4 || to->native_mod < 4)
			return to->native_mod < 4;
		numeric_modifier(from->native_mod, &from_precision, &from_scale);
		numeric_modifier(to->native_mod, &precision, &scale);
		return scale >= from_scale && precision - scale >= from_precision - from_scale;
	case PG_VARCHAR:
	case PG_VARBIT:
	case PG_TIME:
	case PG_TIMETZ:
	case PG_TIMESTAMP:
	case PG_TIMESTAMPTZ:
		return to->native_mod < 0 ||
		       (from->native_mod >= 0 && to->native_mod > from->native_mod);
	default: /* char(n) is padded anew, an array's elements may be cut */
		return false;
	}
}
