/*
 * pg_copy_table.c - what a table is to one who reads its rows
 */
#include <stdio.h>
#include <stdlib.h>

#include "pg_copy_table.h"

/* Columns of the result below. */
enum {
	AT_OID,
	AT_SCHEMA,
	AT_NAME,
	AT_KIND,
	AT_IDENTITY,
	AT_FILTER,
	AT_SECURED,
	AT_COLUMN,
	AT_TYPE,
	AT_MOD,
	AT_NOT_NULL,
	AT_WIDTH,
	AT_PLACE,
	AT_PLAIN,
	AT_BASE,
	AT_COLLATION,
	AT_COLLATE,
	AT_OPERATORS,
};

/*
 * The key: the replica identity as RelationGetIndexList() finds it, the primary key where that is every
 * column or none.  An index's order is its operators' and its collation's.
 */
#define KEY_INDEX(width)                                                                           \
	"(SELECT i.indkey, i.indcollation, i.indclass, " width " AS width"                         \
	" FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND CASE c.relreplident"             \
	" WHEN 'i' THEN i.indisreplident AND i.indimmediate AND i.indisvalid AND i.indisunique"    \
	"  AND i.indpred IS NULL"                                                                  \
	" WHEN 'd' THEN i.indisprimary AND i.indimmediate AND i.indisvalid"                        \
	" ELSE i.indisprimary END LIMIT 1)"

#define BASE_TYPE                                                                                  \
	"(WITH RECURSIVE b(oid) AS (SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM b"       \
	" JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')"                       \
	" SELECT pg_catalog.format_type(b.oid, -1) FROM b JOIN pg_catalog.pg_type t"               \
	" ON t.oid = b.oid WHERE t.typtype <> 'd')"

/* The schema of a default operator class's operators, which have their usual names. */
#define OPERATORS                                                                                  \
	"(SELECT CASE WHEN pg_catalog.count(*) = 5 AND pg_catalog.count(DISTINCT n.oid) = 1"       \
	" THEN pg_catalog.min(pg_catalog.quote_ident(n.nspname)) END FROM pg_catalog.pg_amop m"    \
	" JOIN pg_catalog.pg_operator p ON p.oid = m.amopopr"                                      \
	" JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace"                                \
	" WHERE m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype"                       \
	" AND m.amoprighttype = o.opcintype AND m.amopmethod = 403"                                \
	" AND (m.amopstrategy, p.oprname::pg_catalog.text)"                                        \
	" IN ((1, '<'), (2, '<='), (3, '='), (4, '>='), (5, '>')))"

#define KEY_COLUMN                                                                                 \
	"(SELECT s.place, CASE WHEN o.opcdefault THEN " OPERATORS                                  \
	" WHEN o.opcname ~ '^(text|varchar|bpchar|name)_(pattern_)?ops$'"                          \
	" AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN 'pg_catalog' END"        \
	" AS operators,"                                                                           \
	" " BASE_TYPE " AS base,"                                                                  \
	" (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || "                                   \
	"pg_catalog.quote_ident(co.collname)"                                                      \
	"  FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn"                        \
	"  ON cn.oid = co.collnamespace WHERE co.oid = x.indcollation[s.place]) AS collation,"     \
	" x.indcollation[s.place] <> a.attcollation AS collate"                                    \
	" FROM pg_catalog.generate_series(0, x.width - 1) s(place)"                                \
	" JOIN pg_catalog.pg_opclass o ON o.oid = x.indclass[s.place]"                             \
	" WHERE x.indkey[s.place] = a.attnum ORDER BY s.place LIMIT 1)"

static void load_sql(int version, struct buf *out)
{
	const char *generated = version >= 180000   ? "(a.attgenerated = '' OR (a.attgenerated = "
						      "'s' AND p.pubgencols = 's'))"
				: version >= 120000 ? "a.attgenerated = ''"
						    : "true";

	buf_addf(out,
		 "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, %s,"
		 " pg_catalog.row_security_active(c.oid), a.attname, a.atttypid, a.atttypmod,"
		 " a.attnotnull, x.width, k.place, k.operators IS NOT NULL, k.base, k.collation, "
		 "k.collate,"
		 " k.operators"
		 " FROM pg_catalog.pg_class c"
		 " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		 " LEFT JOIN pg_catalog.pg_publication p ON p.pubname = $2",
		 version >= 150000 ? "pg_catalog.pg_get_expr(r.prqual, r.prrelid)" : "NULL");
	/* a table that is published with all of its schema has neither a filter nor a list */
	if (version >= 150000)
		buf_adds(out, " LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid"
			      " AND r.prrelid = c.oid AND NOT p.puballtables AND NOT EXISTS"
			      " (SELECT 1 FROM pg_catalog.pg_publication_namespace s"
			      " WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)");
	buf_adds(out, " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
		      " AND NOT a.attisdropped AND ");
	if (version >= 150000)
		buf_addf(out,
			 "CASE WHEN r.prattrs IS NULL THEN %s"
			 " ELSE a.attnum = ANY (r.prattrs::pg_catalog.int2[]) END",
			 generated);
	else
		buf_adds(out, generated);
	buf_addf(out,
		 " LEFT JOIN LATERAL %s x ON true LEFT JOIN LATERAL " KEY_COLUMN " k ON true"
		 " WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.relkind IN ('r', 'p')"
		 " ORDER BY c.oid, a.attnum",
		 version >= 110000 ? KEY_INDEX("i.indnkeyatts") : KEY_INDEX("i.indnatts"));
}

/* --- one table --- */

struct rows { /* of the result that are one table's */
	const PGresult *r;
	int first, n;
	struct pgoutput_catalog types;
};

static int type_of(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	const struct rows *rows = ctx;

	return rows->types.type(rows->types.ctx, oid, out, err);
}

static int width_of_key(const struct rows *rows)
{
	return (int)pg_get_u64(rows->r, rows->first, AT_WIDTH);
}

static bool in_key(const struct rows *rows, size_t i)
{
	return pg_get(rows->r, rows->first + (int)i, AT_PLACE) != NULL;
}

/* As pg_catalog.c has it for the stream: a key of which a column is not published is none. */
static int primary_key(void *ctx, uint32_t relation, const struct str *names, size_t n, bool *key,
		       struct error *err)
{
	const struct rows *rows = ctx;
	int found = 0;

	(void)relation;
	(void)names;
	(void)err;
	for (size_t i = 0; i < n; i++) {
		key[i] = in_key(rows, i);
		found += key[i];
	}
	return found && found == width_of_key(rows);
}

static struct str text_at(const PGresult *r, int row, int column, struct arena *a)
{
	return arena_copy(a, (struct str){ PQgetvalue(r, row, column),
					   (size_t)PQgetlength(r, row, column) });
}

static struct pg_relation *relation_of(const struct rows *rows)
{
	struct pg_relation *rel = xcalloc(1, sizeof *rel);
	const PGresult *r = rows->r;

	rel->oid = (uint32_t)pg_get_u64(r, rows->first, AT_OID);
	rel->schema = text_at(r, rows->first, AT_SCHEMA, &rel->arena);
	rel->name = text_at(r, rows->first, AT_NAME, &rel->arena);
	rel->replica_identity = *PQgetvalue(r, rows->first, AT_IDENTITY);
	rel->ncolumns = (size_t)rows->n;
	if (rows->n == 1 && !pg_get(r, rows->first, AT_COLUMN))
		rel->ncolumns = 0;
	rel->said = arena_zalloc(&rel->arena, rel->ncolumns * sizeof *rel->said);
	for (size_t i = 0; i < rel->ncolumns; i++) {
		int row = rows->first + (int)i;
		struct pg_relation_column *c = &rel->said[i];

		c->name = text_at(r, row, AT_COLUMN, &rel->arena);
		c->type = (uint32_t)pg_get_u64(r, row, AT_TYPE);
		c->mod = (int32_t)strtol(PQgetvalue(r, row, AT_MOD), NULL, 10);
		c->identity = in_key(rows, i); /* where it decides: identity d and i */
	}
	return rel;
}

static bool is_float(const struct column *c)
{
	enum column_type type = c->type == COL_ARRAY ? c->element : c->type;

	return type == COL_FLOAT || type == COL_DOUBLE;
}

static void take_key_column(struct pg_copy_table *t, const struct rows *rows, size_t i)
{
	int row = rows->first + (int)i;
	struct pg_key_column *k = &t->key.columns[pg_get_u64(rows->r, row, AT_PLACE)];

	k->index = i;
	k->as = t->rel->columns[i];
	k->type = text_at(rows->r, row, AT_BASE, &t->arena);
	if (pg_get(rows->r, row, AT_COLLATION))
		k->collation = text_at(rows->r, row, AT_COLLATION, &t->arena);
	if (pg_get(rows->r, row, AT_OPERATORS))
		k->operators = text_at(rows->r, row, AT_OPERATORS, &t->arena);
	k->collate = k->collation.p && pg_get_bool(rows->r, row, AT_COLLATE);
	if (is_float(&k->as))
		t->refusal = "a column of its key is a floating-point number, whose values have "
			     "no order and no equality to rely on";
}

/* A key to read by: all of its columns published and never null, in an order that equality belongs to. */
static void take_key(struct pg_copy_table *t, const struct rows *rows)
{
	size_t n = 0, width = (size_t)width_of_key(rows);

	t->key.table = t->draft.name;
	t->key.columns = arena_zalloc(&t->arena, width * sizeof *t->key.columns);
	for (size_t i = 0; i < t->draft.ncolumns; i++) {
		int row = rows->first + (int)i;

		if (!in_key(rows, i))
			continue;
		take_key_column(t, rows, i);
		if (t->draft.columns[i].key && pg_get_bool(rows->r, row, AT_NOT_NULL) &&
		    pg_get_bool(rows->r, row, AT_PLAIN))
			n++;
	}
	t->nkey = t->draft.nkey == width ? width : 0;
	t->key.n = n == width ? t->nkey : 0;
}

static int take_table(const struct pg_copy_context *c, struct rows *rows, struct pg_copy_table *t,
		      struct error *err)
{
	struct pgoutput_catalog catalog = { rows, type_of, primary_key, NULL };
	const char *filter = pg_get(rows->r, rows->first, AT_FILTER);

	t->rel = relation_of(rows);
	t->oid = t->rel->oid;
	t->kind = *PQgetvalue(rows->r, rows->first, AT_KIND);
	t->secured = pg_get_bool(rows->r, rows->first, AT_SECURED);
	if (filter)
		t->filter = arena_printf(&t->arena, "%s", filter);
	if (pg_relation_describe(t->rel, &catalog, c->raw_text, &t->draft, err))
		return error_prefix(err, "table %.*s.%.*s", STR_FMT(t->rel->schema),
				    STR_FMT(t->rel->name));
	take_key(t, rows);
	return 0;
}

/* --- all of them --- */

static char *oid_list(const uint32_t *oids, size_t n)
{
	AUTO(buf) struct buf text = { 0 };

	buf_addc(&text, '{');
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%s%u", i ? "," : "", oids[i]);
	buf_addc(&text, '}');
	return xstrdup(buf_z(&text));
}

int pg_copy_tables_load(const struct pg_copy_context *c, const uint32_t *oids, size_t n,
			struct pg_copy_tables *out, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	AUTO(free) char *list = oid_list(oids, n);
	const char *const values[] = { list, c->publication };

	*out = (struct pg_copy_tables){ xcalloc(n, sizeof *out->items), 0 };
	load_sql(c->version, &sql);
	AUTO(PGresult)
	PGresult *r = pg_ask_params(c->ask, "cannot read the definition of a table", buf_z(&sql), 2,
				    values, err);

	if (!r)
		return -1;
	struct rows rows = { .r = r, .types = pg_catalog_callbacks(c->types) };

	for (; rows.first < PQntuples(r) && out->n < n; rows.first += rows.n) {
		uint64_t oid = pg_get_u64(r, rows.first, AT_OID);

		for (rows.n = 1; rows.first + rows.n < PQntuples(r) &&
				 pg_get_u64(r, rows.first + rows.n, AT_OID) == oid;)
			rows.n++;
		if (take_table(c, &rows, &out->items[out->n++], err))
			return -1;
	}
	return 0;
}

void pg_copy_tables_release(struct pg_copy_tables *t)
{
	for (size_t i = 0; i < t->n; i++) {
		pg_relation_free(t->items[i].rel);
		arena_free(&t->items[i].arena);
	}
	free(t->items);
	*t = (struct pg_copy_tables){ 0 };
}

/* --- estimates --- */

/*
 * As the planner does: the density that was found last, times the pages there are now.  The pages
 * are asked of the file, which waits for whoever rewrites it; as they were otherwise.
 */
#define ESTIMATE(rows_pages, bytes)                                                                \
	"WITH RECURSIVE tree(root, oid) AS ("                                                      \
	"SELECT o, o FROM pg_catalog.unnest($1::pg_catalog.oid[]) o"                               \
	" UNION ALL SELECT tree.root, i.inhrelid FROM tree"                                        \
	" JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind = 'p'"                      \
	" JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid),"                                  \
	" leaf AS (SELECT tree.root, c.reltuples::pg_catalog.float8 AS tuples,"                    \
	" c.relpages AS pages, (" rows_pages ")::pg_catalog.float8 AS now, " bytes " AS bytes"     \
	" FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind = 'r'"            \
	" LEFT JOIN pg_catalog.pg_class x ON x.oid = c.reltoastrelid)"                             \
	" SELECT root, pg_catalog.sum(CASE WHEN now = 0 THEN 0 WHEN pages > 0 AND tuples >= 0"     \
	" THEN tuples / pages * now END)::pg_catalog.int8,"                                        \
	" pg_catalog.bool_or(now > 0 AND NOT (pages > 0 AND tuples >= 0)),"                        \
	" pg_catalog.sum(bytes)::pg_catalog.int8 FROM leaf GROUP BY root"
#define BLOCK "pg_catalog.current_setting('block_size')::pg_catalog.int8"

static const char from_files[] =
	ESTIMATE("coalesce(pg_catalog.pg_relation_size(c.oid), 0) / " BLOCK,
		 "coalesce(pg_catalog.pg_table_size(c.oid), 0)");
static const char from_catalog[] =
	ESTIMATE("c.relpages", "(c.relpages + coalesce(x.relpages, 0)) * " BLOCK);

int pg_copy_estimate(const struct pg_copy_context *c, const struct pg_copy_tables *t, int64_t *rows,
		     int64_t *bytes, struct error *err)
{
	AUTO(free) uint32_t *oids = xcalloc(t->n, sizeof *oids);

	for (size_t i = 0; i < t->n; i++)
		oids[i] = t->items[i].oid;
	AUTO(free) char *list = oid_list(oids, t->n);
	const char *const value = list;
	static const char what[] = "cannot estimate the tables' sizes";
	PGresult *r = pg_ask_params(c->ask, what, from_files, 1, &value, err);

	if (!r && strcmp(c->ask->state, "55P03") == 0)
		r = pg_ask_params(c->ask, what, from_catalog, 1, &value, err);
	if (!r)
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		rows[i] = bytes[i] = 0; /* a partitioned one without partitions */
		for (int k = 0; k < PQntuples(r); k++) {
			if (pg_get_u64(r, k, 0) != oids[i])
				continue;
			rows[i] = pg_get_bool(r, k, 2) ? -1 : (int64_t)pg_get_u64(r, k, 1);
			bytes[i] = (int64_t)pg_get_u64(r, k, 3);
		}
	}
	PQclear(r);
	return 0;
}

void pg_copy_from(const struct pg_copy_table *t, struct buf *out)
{
	if (t->kind == 'r')
		buf_adds(out, "ONLY ");
	pg_name(out, t->draft.schema.p, t->draft.name.p);
}
