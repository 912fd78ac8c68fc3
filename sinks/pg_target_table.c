/*
 * pg_target_table.c - tables at a PostgreSQL target: its catalog, types of new columns, what fits
 *
 * A column that comes from PostgreSQL keeps its type where that is built in; others are text, which
 * reads back the same. Those of MySQL and MariaDB get the type that holds all of their values.
 */
#include <stdlib.h>
#include <string.h>

#include "../sources/pg_connection.h"
#include "pg_target.h"

/* OIDs of PostgreSQL's catalog/pg_type.dat; they never change. */
enum {
	BOOL = 16,
	BYTEA = 17,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	JSON = 114,
	FLOAT4 = 700,
	FLOAT8 = 701,
	BPCHAR = 1042,
	VARCHAR = 1043,
	DATE = 1082,
	TIME = 1083,
	TIMESTAMP = 1114,
	TIMESTAMPTZ = 1184,
	TIMETZ = 1266,
	BIT = 1560,
	VARBIT = 1562,
	NUMERIC = 1700,
	UUID = 2950,
	ANYENUM = 3500,
	FIRST_OWN = 16384,
};

static bool from_postgres(const struct sql_sink *k)
{
	return strcmp(tables_connector(k->ctx.tables), "postgresql") == 0;
}

/* --- the catalog --- */

static const char columns_sql[] =
	"SELECT c.oid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, "
	"a.atttypmod, pg_catalog.format_type(a.atttypid, -1), "
	"pg_catalog.to_jsonb(a)->>'attgenerated' IN ('s', 'v'), "
	"a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', "
	"EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND "
	"(f.conrelid = c.oid OR f.confrelid = c.oid)), "
	"c.relkind NOT IN ('r', 'p') OR NOT pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') OR "
	"EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND "
	"f.confrelid = c.oid), c.relkind <> 'r' OR c.relhassubclass "
	"FROM pg_catalog.pg_namespace n "
	"JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2 "
	"AND c.relkind IN ('r', 'p', 'f', 'v') "
	"JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
	"AND NOT a.attisdropped WHERE n.nspname = $1 ORDER BY a.attnum";

static int make_schema(struct sql_sink *k, const struct sql_place *p, struct error *err)
{
	struct pg_target *t = (struct pg_target *)k;
	const char *const params[] = { p->schema };
	AUTO(PGresult)
	PGresult *r = pg_target_ask(t, "cannot look for the schema",
				    "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", 1,
				    params, err);
	AUTO(buf) struct buf sql = { 0 };

	if (!r)
		return -1;
	if (PQntuples(r))
		return 0;
	buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
	pg_ident(&sql, p->schema);
	return k->dialect->run(k, buf_z(&sql), err);
}

int pg_target_look(struct sql_sink *k, struct sql_place *p, struct error *err)
{
	struct pg_target *t = (struct pg_target *)k;
	const char *const params[] = { p->schema, p->name };
	AUTO(PGresult)
	PGresult *r =
		pg_target_ask(t, "cannot read the columns of a table", columns_sql, 2, params, err);

	if (!r)
		return -1;
	p->ncolumns = (size_t)PQntuples(r);
	if (!p->ncolumns)
		return make_schema(k, p, err);
	p->columns = xcalloc(p->ncolumns, sizeof *p->columns);
	for (int i = 0; i < PQntuples(r); i++)
		p->columns[i] = (struct sql_column){
			.name = xstrdup(PQgetvalue(r, i, 1)),
			.type = xstrdup(PQgetvalue(r, i, 2)),
			.type_id = (uint32_t)pg_get_u64(r, i, 3),
			.type_mod = (int32_t)strtol(PQgetvalue(r, i, 4), NULL, 10),
			.cast = xstrdup(PQgetvalue(r, i, 5)),
			.generated = pg_get_bool(r, i, 6),
			.required = pg_get_bool(r, i, 7),
		};
	p->linked = pg_get_bool(r, 0, 8);
	p->keeps = pg_get_bool(r, 0, 9);
	p->parted = pg_get_bool(r, 0, 10);
	return 0;
}

int pg_target_unique(struct sql_sink *k, const struct sql_place *p, const struct table *t,
		     bool *found, struct error *err)
{
	/* included columns: 11 and later */
	bool includes = PQserverVersion(((struct pg_target *)k)->conn) >= 110000;
	static const char sql[] =
		"SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname::text)::text "
		"FROM pg_catalog.pg_index i "
		"JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relname = $2 "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1 "
		"JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY "
		"((i.indkey::int2[])[0:(pg_catalog.to_jsonb(i)->>$4)::int - 1]) "
		"WHERE i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
		"AND i.indexprs IS NULL GROUP BY i.indexrelid "
		"HAVING pg_catalog.array_agg(a.attname::text ORDER BY a.attname::text) = "
		"(SELECT pg_catalog.array_agg(x ORDER BY x) FROM "
		"pg_catalog.json_array_elements_text"
		"($3::json) AS x)";
	AUTO(buf) struct buf names = { 0 };

	for (size_t i = 0; i < t->nkey; i++) {
		buf_addc(&names, i ? ',' : '[');
		buf_json(&names, t->columns[t->key[i]].name);
	}
	buf_addc(&names, ']');
	const char *const params[] = { p->schema, p->name, buf_z(&names),
				       includes ? "indnkeyatts" : "indnatts" };
	AUTO(PGresult)
	PGresult *r = pg_target_ask((struct pg_target *)k, "cannot read the indexes of a table",
				    sql, 4, params, err);

	*found = r && PQntuples(r) > 0;
	return r ? 0 : -1;
}

/* --- types --- */

static bool is_native(const struct sql_sink *k, const struct column *c)
{
	return from_postgres(k) && c->native_id && c->native_id < FIRST_OWN &&
	       c->native_id != ANYENUM && c->native.n;
}

static const char *plain_type(enum column_type type, struct str native)
{
	switch (type) {
	case COL_BOOL:
		return "boolean";
	case COL_INT32:
		return str_eqz(native, "tinyint") || str_eqz(native, "smallint") ? "smallint"
										 : "integer";
	case COL_INT64:
		return "bigint";
	case COL_UINT64:
		return "numeric(20,0)";
	case COL_FLOAT:
		return "real";
	case COL_DOUBLE:
		return "double precision";
	case COL_BYTES:
		return "bytea";
	case COL_DATE:
		return "date";
	case COL_TIME:
		return "time";
	case COL_TIMESTAMP:
		return "timestamp";
	case COL_TIMESTAMPTZ:
		return "timestamptz";
	case COL_UUID:
		return "uuid";
	case COL_JSON:
		return "json";
	default:
		return "text";
	}
}

void pg_target_type(const struct sql_sink *k, const struct column *c, struct buf *out)
{
	enum column_type type = c->type == COL_ARRAY ? c->element : c->type;

	if (is_native(k, c)) {
		buf_add(out, c->native.p, c->native.n);
		return;
	}
	if (type == COL_DECIMAL)
		buf_addf(out, "numeric(%d,%d)", c->precision, c->scale);
	else
		buf_adds(out, plain_type(type, c->native));
	buf_adds(out, c->type == COL_ARRAY ? "[]" : "");
}

/* The type that a column would get here: OID (0: a type of no concern) and modifier. */
static uint32_t natural(const struct sql_sink *k, const struct column *c, int32_t *mod)
{
	static const struct {
		enum column_type type;
		uint32_t oid;
	} types[] = {
		{ COL_BOOL, BOOL },       { COL_INT32, INT4 },
		{ COL_INT64, INT8 },      { COL_UINT64, NUMERIC },
		{ COL_FLOAT, FLOAT4 },    { COL_DOUBLE, FLOAT8 },
		{ COL_DECIMAL, NUMERIC }, { COL_TEXT, TEXT },
		{ COL_BYTES, BYTEA },     { COL_DATE, DATE },
		{ COL_TIME, TIME },       { COL_TIMESTAMP, TIMESTAMP },
		{ COL_UUID, UUID },       { COL_TIMESTAMPTZ, TIMESTAMPTZ },
		{ COL_JSON, JSON },
	};

	*mod = c->native_mod;
	if (is_native(k, c))
		return c->native_id;
	*mod = -1;
	if (c->type == COL_DECIMAL)
		*mod = (c->precision << 16 | c->scale) + 4;
	if (c->type == COL_UINT64)
		*mod = 20 << 16 | 4;
	if (c->type == COL_INT32 && strcmp(plain_type(c->type, c->native), "smallint") == 0)
		return INT2;
	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i].type == c->type)
			return types[i].oid;
	return 0;
}

static enum sql_fit fit_numeric(int32_t have, int32_t want)
{
	if (have < 4)
		return SQL_FITS;
	if (want < 4)
		return SQL_TOO_NARROW;
	int have_scale = (((have - 4) & 0x7ff) ^ 1024) - 1024;
	int want_scale = (((want - 4) & 0x7ff) ^ 1024) - 1024;
	int have_whole = (int)((uint32_t)(have - 4) >> 16) - have_scale;
	int want_whole = (int)((uint32_t)(want - 4) >> 16) - want_scale;

	return have_scale >= want_scale && have_whole >= want_whole ? SQL_FITS : SQL_TOO_NARROW;
}

static enum sql_fit fit_modifier(uint32_t type, int32_t have, int32_t want)
{
	if (type == NUMERIC)
		return fit_numeric(have, want);
	if (have == want || have < 0)
		return SQL_FITS;
	switch (type) {
	case VARCHAR:
	case VARBIT:
	case TIME:
	case TIMETZ:
	case TIMESTAMP:
	case TIMESTAMPTZ:
		return want >= 0 && have >= want ? SQL_FITS : SQL_TOO_NARROW;
	case BPCHAR: /* longer is padded: no longer the same value */
	case BIT:
		return SQL_TOO_NARROW;
	default:
		return SQL_DIFFERS;
	}
}

/* Place among the integers; 0: none. */
static int width(uint32_t type)
{
	return type == INT2 ? 2 : type == INT4 ? 4 : type == INT8 ? 8 : 0;
}

static bool is_text(uint32_t type)
{
	return type == TEXT || type == VARCHAR || type == BPCHAR;
}

enum sql_fit pg_target_fit(const struct sql_sink *k, const struct sql_column *have,
			   const struct column *want)
{
	int32_t mod;
	uint32_t type = natural(k, want, &mod);

	if (have->generated)
		return SQL_FITS;
	if (have->type_id == type)
		return fit_modifier(type, have->type_mod, mod);
	if (have->type_id == TEXT || (have->type_id == VARCHAR && have->type_mod < 0))
		return SQL_FITS;
	if (width(type) && have->type_id == NUMERIC)
		return fit_numeric(have->type_mod, (20 << 16) + 4);
	if (width(type) && width(have->type_id))
		return width(have->type_id) >= width(type) ? SQL_FITS : SQL_TOO_NARROW;
	if (is_text(type) && have->type_id == VARCHAR)
		return mod >= 0 && have->type_mod >= mod ? SQL_FITS : SQL_TOO_NARROW;
	if (is_text(type) && have->type_id == BPCHAR)
		return SQL_TOO_NARROW;
	if (type == FLOAT4 && have->type_id == FLOAT8)
		return SQL_FITS;
	if (type == FLOAT8 && have->type_id == FLOAT4)
		return SQL_TOO_NARROW;
	return SQL_DIFFERS;
}

void pg_target_alter_type(struct buf *out, struct str column, const char *type)
{
	buf_adds(out, "ALTER COLUMN ");
	sql_ident(out, column, '"');
	buf_addf(out, " TYPE %s USING ", type);
	sql_ident(out, column, '"');
	buf_addf(out, "::%s", type);
}

bool pg_target_takes_text(const struct sql_sink *k, const struct sql_version *v, size_t column)
{
	enum column_type type = v->table->columns[column].type;

	/* infinity, BC, NaN, arrays of arrays: all at home here; bytes that are no text are not */
	return from_postgres(k) && type != COL_TEXT && type != COL_JSON;
}
