/*
 * pg_check_snapshot.c - the preflight of loading rows that tables hold already
 */
#include <stdio.h>
#include <stdlib.h>

#include "pg_check.h"
#include "pg_copy_table.h"

static int check_select(const struct pg_check_context *c, const struct pg_table *t,
			struct error *err)
{
	AUTO(buf) struct buf name = { 0 }, object = { 0 }, fix = { 0 }, undo = { 0 };
	char oid[16];
	const char *const value = oid;

	snprintf(oid, sizeof oid, "%u", t->oid);
	AUTO(PGresult)
	PGresult *r = pg_query_params(
		c->conn, c->deadline, "cannot read a table's privileges",
		"SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT') AND"
		" pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') FROM "
		"pg_catalog.pg_class c"
		" WHERE c.oid = $1::pg_catalog.oid",
		1, &value, err);

	if (!r)
		return -1;
	if (PQntuples(r) == 0 || pg_get_bool(r, 0, 0))
		return 0;
	pg_name(&name, t->schema, t->name);
	buf_addf(&object, "%s.%s", t->schema, t->name);
	buf_adds(&fix, "GRANT USAGE ON SCHEMA ");
	pg_ident(&fix, t->schema);
	buf_addf(&fix, " TO %s; GRANT SELECT ON %s TO %s;", c->role, buf_z(&name), c->role);
	buf_addf(&undo, "REVOKE SELECT ON %s FROM %s;", buf_z(&name), c->role);
	findings_add(c->out, "select_privilege", SEVERITY_ERROR, buf_z(&object),
		     "the role may not read the table: its rows cannot be loaded (snapshot.mode)",
		     buf_z(&fix), buf_z(&undo));
	return 0;
}

static void check_table(const struct pg_check_context *c, const struct pg_copy_table *t,
			int64_t bytes)
{
	AUTO(buf) struct buf object = { 0 }, text = { 0 }, fix = { 0 }, undo = { 0 };
	int64_t most = c->config->snapshot.keyless_max;

	buf_addf(&object, "%s.%s", t->draft.schema.p, t->draft.name.p);
	if (t->secured) {
		buf_addf(&fix, "ALTER ROLE %s BYPASSRLS;", c->role);
		buf_addf(&undo, "ALTER ROLE %s NOBYPASSRLS;", c->role);
		findings_add(c->out, "row_security", SEVERITY_ERROR, buf_z(&object),
			     "row security would hide rows of the table from the role: they cannot "
			     "be loaded",
			     buf_z(&fix), buf_z(&undo));
	}
	if (t->refusal) {
		buf_addf(&text,
			 "%s: the rows that it holds cannot be loaded, only what changes is "
			 "carried",
			 t->refusal);
		findings_add(c->out, "snapshot_key", SEVERITY_WARNING, buf_z(&object), buf_z(&text),
			     NULL, NULL);
	} else if (t->key.n == 0 && bytes > most) {
		buf_addf(&text,
			 "it has no key to read it by and %.1f GB, more than snapshot.keyless_max: "
			 "it would be read in one transaction, and is loaded only when it is asked "
			 "for by name (tailrace snapshot start %s)",
			 (double)bytes / 1e9, buf_z(&object));
		findings_add(c->out, "snapshot_keyless", SEVERITY_WARNING, buf_z(&object),
			     buf_z(&text), NULL, NULL);
	}
}

static PGresult *ask(void *ctx, const char *what, const char *sql, int n, const char *const *values,
		     struct error *err)
{
	return pg_ask_params(ctx, what, sql, n, values, err);
}

static int check_keys(const struct pg_check_context *c, const uint32_t *oids, size_t n,
		      struct error *err)
{
	static const atomic_bool never;
	struct pg_ask asking = { .conn = c->conn, .stopping = &never };
	struct pg_catalog types = { .query = ask, .ctx = &asking };
	const struct pg_copy_context context = { .ask = &asking,
						 .types = &types,
						 .publication = c->config->source.publication,
						 .version = c->version };
	struct pg_copy_tables t;
	int rc = pg_copy_tables_load(&context, oids, n, &t, err);
	AUTO(free) int64_t *rows = xcalloc(t.n, sizeof *rows);
	AUTO(free) int64_t *bytes = xcalloc(t.n, sizeof *bytes);

	if (rc == 0)
		rc = pg_copy_estimate(&context, &t, rows, bytes, err);
	for (size_t i = 0; rc == 0 && i < t.n; i++)
		check_table(c, &t.items[i], bytes[i]);
	pg_copy_tables_release(&t);
	pg_catalog_release(&types);
	return rc;
}

int pg_check_snapshot(const struct pg_check_context *c, const struct pg_tables *tables,
		      struct error *err)
{
	AUTO(free) uint32_t *oids = xcalloc(tables->n, sizeof *oids);
	size_t n = 0;

	if (c->config->snapshot.mode == SNAPSHOT_NEVER)
		return 0;
	for (size_t i = 0; i < tables->n; i++) {
		if (!tables->items[i].listed)
			continue;
		oids[n++] = tables->items[i].oid;
		if (check_select(c, &tables->items[i], err))
			return -1;
	}
	return n ? check_keys(c, oids, n, err) : 0;
}
