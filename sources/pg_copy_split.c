/*
 * pg_copy_split.c - keys that cut a table into parts
 *
 * Integers by the lowest and the highest, which an index knows; other types by the histogram of the last
 * ANALYZE.  Bounds of the key's first column alone: each stands behind all rows that have its value.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "pg_copier.h"

struct cuts {
	char **items;
	size_t n;
};

static void add_cut(struct cuts *cuts, const struct pg_key *k, const char *text)
{
	struct str value = str_z(text);

	cuts->items[cuts->n++] = pg_bound_make(k, &value, 1);
}

static int cut_integers(struct copier *c, const struct pg_copy_table *t, size_t parts,
			struct cuts *cuts, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 }, column = { 0 };
	AUTO(free) int64_t *at = xcalloc(parts, sizeof *at);
	char text[24];

	pg_key_column(&t->key, 0, &column);
	buf_addf(&sql, "SELECT pg_catalog.min(%s), pg_catalog.max(%s) FROM ", buf_z(&column),
		 buf_z(&column));
	pg_copy_from(t, &sql);
	AUTO(PGresult)
	PGresult *r = pg_ask(&c->ask, "cannot read a table's first and last key", buf_z(&sql), err);

	if (!r)
		return -1;
	if (PQgetisnull(r, 0, 0))
		return 0;
	size_t n = pg_cut_integers(strtoll(PQgetvalue(r, 0, 0), NULL, 10),
				   strtoll(PQgetvalue(r, 0, 1), NULL, 10), parts, at);

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "%lld", (long long)at[i]);
		add_cut(cuts, &t->key, text);
	}
	return 0;
}

/* In our own order, whatever the order of the statistics. */
static int cut_by_histogram(struct copier *c, const struct pg_copy_table *t, size_t parts,
			    struct cuts *cuts, struct error *err)
{
	const struct pg_key_column *k = &t->key.columns[0];
	AUTO(buf) struct buf sql = { 0 };
	AUTO(free) char *column = xstrndup(k->as.name.p, k->as.name.n);
	const char *const values[] = { t->draft.schema.p, t->draft.name.p, column };

	/* by subscripts: unnest() would take composite values apart */
	buf_addf(&sql,
		 "SELECT pg_catalog.format('%%s', v) FROM (SELECT DISTINCT h.bounds[i]%s%.*s AS v"
		 " FROM (SELECT s.histogram_bounds::pg_catalog.text::%.*s[] AS bounds"
		 " FROM pg_catalog.pg_stats s WHERE s.schemaname = $1 AND s.tablename = $2"
		 " AND s.attname = $3 AND s.inherited = %s) h,"
		 " pg_catalog.generate_subscripts(h.bounds, 1) i) d ORDER BY d.v",
		 k->collate ? " COLLATE " : "", k->collate ? (int)k->collation.n : 0,
		 k->collate ? k->collation.p : "", STR_FMT(k->type),
		 t->kind == 'p' ? "true" : "false");
	AUTO(PGresult)
	PGresult *r = pg_ask_params(&c->ask, "cannot read a column's statistics", buf_z(&sql), 3,
				    values, err);

	if (!r && err->kind == ERR_FATAL) {
		log_debug("no use of a column's statistics", "reason", err->text, NULL);
		return 0;
	}
	if (!r)
		return -1;
	size_t found = (size_t)PQntuples(r), last = 0;

	for (size_t i = 1; i < parts; i++) {
		size_t at = i * found / parts;

		if (at <= last || at + 1 >= found)
			continue;
		add_cut(cuts, &t->key, PQgetvalue(r, (int)at, 0));
		last = at;
	}
	return 0;
}

int pg_copy_split(struct copier *c, const char *schema, const char *name, size_t parts,
		  char ***bounds, size_t *n, struct error *err)
{
	const struct pg_table *known = pg_copier_find(c, schema, name, err);
	struct pg_copy_tables found = { 0 };
	struct cuts cuts = { xcalloc(parts, sizeof *cuts.items), 0 };
	int rc = known ? pg_copier_describe(c, known, &found, err) : -1;

	if (rc == 0 && found.items[0].key.n && parts > 1) {
		const struct pg_copy_table *t = &found.items[0];
		uint32_t type = t->key.columns[0].as.native_id;

		if (type == PG_INT2 || type == PG_INT4 || type == PG_INT8)
			rc = cut_integers(c, t, parts, &cuts, err);
		else if (t->key.columns[0].as.type != COL_ARRAY)
			rc = cut_by_histogram(c, t, parts, &cuts, err);
		if (rc)
			rc = pg_copier_judge(c, schema, name, err);
	}
	pg_copy_tables_release(&found);
	while (rc && cuts.n)
		free(cuts.items[--cuts.n]);
	*bounds = cuts.items;
	*n = cuts.n;
	return rc;
}
