/*
 * pg_publication.c - creates, completes and checks the publication
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_publication.h"
#include "pg_server.h"

static int oids(PGconn *conn, int64_t deadline, const char *sql, const char *name, uint32_t **out,
		size_t *n, struct error *err)
{
	AUTO(PGresult)
	PGresult *r = pg_query_params(conn, deadline, "cannot read the publication's tables", sql,
				      1, &name, err);

	if (!r)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = xcalloc(*n, sizeof **out);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = (uint32_t)pg_get_u64(r, (int)i, 0);
	return 0;
}

int pg_publication_load(PGconn *conn, int64_t deadline, const char *name, int version,
			struct pg_publication *out, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	*out = (struct pg_publication){ 0 };
	buf_addf(&sql,
		 "SELECT oid, puballtables, pg_catalog.pg_has_role(pubowner, 'USAGE')"
		 " AND NOT pg_catalog.pg_is_in_recovery(),"
		 " pubinsert AND pubupdate AND pubdelete, %s, %s"
		 " FROM pg_catalog.pg_publication WHERE pubname = $1",
		 version >= 110000 ? "pubtruncate" : "true",
		 version >= 130000 ? "pubviaroot" : "false");
	AUTO(PGresult)
	PGresult *r = pg_query_params(conn, deadline, "cannot look up the publication", buf_z(&sql),
				      1, &name, err);

	if (!r)
		return -1;
	if (PQntuples(r) == 0)
		return 0;
	out->oid = (uint32_t)pg_get_u64(r, 0, 0);
	out->all_tables = pg_get_bool(r, 0, 1);
	out->owned = pg_get_bool(r, 0, 2);
	out->complete = pg_get_bool(r, 0, 3);
	out->truncates = pg_get_bool(r, 0, 4);
	out->via_root = pg_get_bool(r, 0, 5);
	if (oids(conn, deadline,
		 "SELECT prrelid FROM pg_catalog.pg_publication_rel r JOIN "
		 "pg_catalog.pg_publication p"
		 " ON p.oid = r.prpubid WHERE p.pubname = $1 ORDER BY 1",
		 name, &out->members, &out->nmembers, err))
		return -1;
	return oids(conn, deadline,
		    "SELECT DISTINCT t.relid FROM pg_catalog.pg_get_publication_tables($1) t ORDER "
		    "BY 1",
		    name, &out->covered, &out->ncovered, err);
}

void pg_publication_release(struct pg_publication *p)
{
	free(p->members);
	free(p->covered);
	*p = (struct pg_publication){ 0 };
}

static int oid_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool has(const uint32_t *sorted, size_t n, uint32_t oid)
{
	return n && bsearch(&oid, sorted, n, sizeof oid, oid_cmp);
}

/* A table is covered by itself or by a table that it is a partition of. */
bool pg_publication_covers(const struct pg_publication *p, const struct pg_tables *tables,
			   const struct pg_table *t)
{
	for (; t; t = pg_tables_find(tables, t->parent))
		if (has(p->members, p->nmembers, t->oid) || has(p->covered, p->ncovered, t->oid))
			return true;
	return p->all_tables;
}

/* ONLY: not the tables that inherit from it, unless they are selected too. */
static void add_table(const struct pg_table *t, struct buf *out)
{
	if (t->kind == 'r')
		buf_adds(out, "ONLY ");
	pg_name(out, t->schema, t->name);
}

void pg_publication_create_sql(const char *name, const struct pg_tables *tables, int version,
			       struct buf *out)
{
	bool roots = false;
	const char *between = " FOR TABLE ";

	buf_adds(out, "CREATE PUBLICATION ");
	pg_ident(out, name);
	for (size_t i = 0; i < tables->n; i++) {
		if (!tables->items[i].listed)
			continue;
		roots = roots || tables->items[i].kind == 'p';
		buf_adds(out, between);
		add_table(&tables->items[i], out);
		between = ", ";
	}
	buf_addf(out, " WITH (publish = 'insert, update, delete%s'%s)",
		 version >= 110000 ? ", truncate" : "",
		 roots && version >= 130000 ? ", publish_via_partition_root = true" : "");
}

size_t pg_publication_add_sql(const char *name, const struct pg_publication *p,
			      const struct pg_tables *tables, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < tables->n; i++) {
		const struct pg_table *t = &tables->items[i];

		if (!t->listed || pg_publication_covers(p, tables, t))
			continue;
		if (n++ == 0) {
			buf_adds(out, "ALTER PUBLICATION ");
			pg_ident(out, name);
			buf_adds(out, " ADD TABLE ");
		} else {
			buf_adds(out, ", ");
		}
		add_table(t, out);
	}
	return n;
}

static void name_left_out(const struct pg_tables *tables, const struct pg_publication *p)
{
	for (size_t i = 0; i < tables->n; i++) {
		const struct pg_table *t = &tables->items[i];
		AUTO(buf) struct buf name = { 0 }, why = { 0 }, fix = { 0 }, undo = { 0 };

		if (!t->wanted || t->problem == PG_FINE || pg_publication_covers(p, tables, t))
			continue;
		buf_addf(&name, "%s.%s", t->schema, t->name);
		pg_problem_text(t, &why);
		pg_problem_sql(t, &fix, &undo);
		log_warning("TABLE LEFT OUT: its changes are not carried", "table", buf_z(&name),
			    "reason", buf_z(&why), "fix", buf_z(&fix), NULL);
	}
}

static bool any_listed(const struct pg_tables *tables)
{
	for (size_t i = 0; i < tables->n; i++)
		if (tables->items[i].listed)
			return true;
	return false;
}

/* What a DBA is asked to run where our role may not. */
static int run_or_ask(PGconn *conn, int64_t deadline, const char *what, const char *sql,
		      struct error *err)
{
	char why[256];

	if (pg_command(conn, deadline, what, sql, err) == 0)
		return 0;
	if (err->kind == ERR_RETRY)
		return -1;
	log_warning("SQL to run as a role that may", "sql", sql, NULL);
	memcpy(why, err->text, sizeof why);
	why[sizeof why - 1] = '\0';
	return fail(err, ERR_FATAL, "%s. Run as a role that may: %s;", why, sql);
}

static int create(PGconn *conn, int64_t deadline, const char *name, int version,
		  const struct pg_tables *tables, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	if (!any_listed(tables))
		return fail(err, ERR_FATAL,
			    "none of the selected tables can be published; see the warnings above, "
			    "or run "
			    "tailrace check for the SQL that admits them");
	pg_publication_create_sql(name, tables, version, &sql);
	if (run_or_ask(conn, deadline, "cannot create the publication", buf_z(&sql), err))
		return -1;
	log_info("publication created", "publication", name, "sql", buf_z(&sql), NULL);
	return 0;
}

/* Tables that match but are not published: added to our own publication, named for a DBA's. */
static int complete(PGconn *conn, int64_t deadline, const char *name, int version,
		    const struct pg_tables *tables, bool first, struct pg_publication *p,
		    struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	if (pg_publication_add_sql(name, p, tables, &sql) == 0)
		return 0;
	if (!p->owned) {
		log_warning("TABLES NOT PUBLISHED: selected, but the publication leaves them out "
			    "and is not ours",
			    "publication", name, "fix", buf_z(&sql), NULL);
		return 0;
	}
	if (run_or_ask(conn, deadline, "cannot add tables to the publication", buf_z(&sql), err)) {
		if (first || err->kind == ERR_RETRY)
			return -1;
		/* The others go on. */
		log_warning("TABLES NOT PUBLISHED: selected, but they cannot be added",
			    "publication", name, "reason", err->text, NULL);
		return 0;
	}
	log_info("tables added to the publication", "publication", name, "sql", buf_z(&sql), NULL);
	if (pg_server_adds_unsafely(version))
		log_warning("this minor version of the server can lose changes of transactions "
			    "that wrote to "
			    "these tables while they were added: update the server",
			    "publication", name, NULL);
	pg_publication_release(p);
	return pg_publication_load(conn, deadline, name, version, p, err);
}

static int check(const char *name, int version, const struct pg_publication *p,
		 const struct pg_tables *tables, struct error *err)
{
	if (!p->complete)
		return fail(err, ERR_FATAL,
			    "publication \"%s\" does not publish all of insert, update and delete; "
			    "run ALTER "
			    "PUBLICATION \"%s\" SET (publish = 'insert, update, delete%s')",
			    name, name, version >= 110000 ? ", truncate" : "");
	if (!p->truncates)
		log_warning("the publication does not publish truncate: a TRUNCATE is not carried",
			    "publication", name, NULL);
	for (size_t i = 0; i < tables->n; i++)
		if (tables->items[i].wanted && pg_publication_covers(p, tables, &tables->items[i]))
			return 0;
	return fail(err, ERR_FATAL,
		    "publication \"%s\" publishes none of the selected tables; add them with ALTER "
		    "PUBLICATION \"%s\" ADD TABLE, or name another in source.publication",
		    name, name);
}

int pg_publication_ensure(PGconn *conn, int64_t deadline, const char *name, int version,
			  const struct pg_tables *tables, bool first, bool may_create,
			  bool *created, struct pg_publication *out, struct error *err)
{
	*created = false;
	if (pg_publication_load(conn, deadline, name, version, out, err))
		return -1;
	if (first)
		name_left_out(tables, out);
	if (!out->oid && !may_create)
		return fail(err, ERR_FATAL,
			    "publication \"%s\" is gone (dropped or renamed); put it back: if it "
			    "was renamed, "
			    "ALTER PUBLICATION ... RENAME TO \"%s\". Changes made while there is "
			    "none cannot be "
			    "read: their tables must be loaded anew",
			    name, name);
	if (!out->oid) {
		if (create(conn, deadline, name, version, tables, err) ||
		    pg_publication_load(conn, deadline, name, version, out, err))
			return -1;
		*created = true;
	} else if (complete(conn, deadline, name, version, tables, first, out, err)) {
		return -1;
	}
	return check(name, version, out, tables, err);
}

int pg_publication_drop(PGconn *conn, int64_t deadline, const char *name, int version,
			const struct pg_tables *tables, const bool *were, struct pg_publication *p,
			struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < tables->n; i++) {
		const struct pg_table *t = &tables->items[i];

		if (!were[i] || t->wanted || !has(p->members, p->nmembers, t->oid))
			continue;
		if (n++ == 0) {
			buf_adds(&sql, "ALTER PUBLICATION ");
			pg_ident(&sql, name);
			buf_adds(&sql, " DROP TABLE ");
		} else {
			buf_adds(&sql, ", ");
		}
		add_table(t, &sql);
	}
	if (n == 0)
		return 0;
	if (!p->owned) {
		log_warning("tables that are no longer selected stay in the publication, which is "
			    "not ours; their changes are passed over",
			    "publication", name, "fix", buf_z(&sql), NULL);
		return 0;
	}
	if (run_or_ask(conn, deadline, "cannot take tables out of the publication", buf_z(&sql),
		       err)) {
		if (err->kind == ERR_RETRY)
			return -1;
		log_warning("tables that are no longer selected stay in the publication; their "
			    "changes are passed over",
			    "publication", name, "reason", err->text, NULL);
		return 0;
	}
	log_info("tables taken out of the publication", "publication", name, "sql", buf_z(&sql),
		 NULL);
	pg_publication_release(p);
	return pg_publication_load(conn, deadline, name, version, p, err);
}

char *pg_publication_members(const struct pg_publication *p)
{
	AUTO(buf) struct buf text = { 0 };

	buf_addc(&text, '{');
	for (size_t i = 0; i < p->nmembers; i++)
		buf_addf(&text, "%s%u", i ? "," : "", p->members[i]);
	buf_addc(&text, '}');
	return xstrdup(buf_z(&text));
}
