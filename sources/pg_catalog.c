/*
 * pg_catalog.c - tables asked for, their replica identities; types and keys for the decoder
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_catalog.h"

/* A replica identity index counts as RelationGetIndexList() counts it. */
static const char tables_sql[] =
	"SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.relpersistence,"
	" coalesce((SELECT i.inhparent FROM pg_catalog.pg_inherits i"
	"  WHERE i.inhrelid = c.oid AND c.relispartition), 0),"
	" EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary"
	"  AND i.indimmediate AND i.indisvalid),"
	" EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident"
	"  AND i.indimmediate AND i.indisvalid AND i.indisunique AND i.indpred IS NULL),"
	" pg_catalog.pg_get_userbyid(c.relowner), pg_catalog.pg_has_role(c.relowner, 'USAGE')"
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"
	" AND n.nspname !~ '^(pg_|tailrace_|information_schema$)' AND c.relname !~ '^tailrace_'"
	" ORDER BY c.oid";

int pg_tables_load(PGconn *conn, int64_t deadline, struct pg_tables *out, struct error *err)
{
	AUTO(PGresult)
	PGresult *r = pg_query(conn, deadline, "cannot read the list of tables", tables_sql, err);

	if (!r)
		return -1;
	out->n = (size_t)PQntuples(r);
	out->items = xcalloc(out->n, sizeof *out->items);
	for (int i = 0; i < PQntuples(r); i++) {
		struct pg_table *t = &out->items[i];

		t->oid = (uint32_t)pg_get_u64(r, i, 0);
		t->schema = xstrdup(PQgetvalue(r, i, 1));
		t->name = xstrdup(PQgetvalue(r, i, 2));
		t->kind = *PQgetvalue(r, i, 3);
		t->identity = *PQgetvalue(r, i, 4);
		t->unlogged = *PQgetvalue(r, i, 5) == 'u';
		t->parent = (uint32_t)pg_get_u64(r, i, 6);
		t->key_usable = pg_get_bool(r, i, 7);
		t->index_usable = pg_get_bool(r, i, 8);
		t->owner = xstrdup(PQgetvalue(r, i, 9));
		t->owned = pg_get_bool(r, i, 10);
	}
	return 0;
}

static int by_oid(const void *a, const void *b)
{
	const struct pg_table *x = a, *y = b;

	return (x->oid > y->oid) - (x->oid < y->oid);
}

static struct pg_table *find(const struct pg_tables *t, uint32_t oid)
{
	struct pg_table key = { .oid = oid };

	return t->n && oid ? bsearch(&key, t->items, t->n, sizeof key, by_oid) : NULL;
}

const struct pg_table *pg_tables_find(const struct pg_tables *t, uint32_t oid)
{
	return find(t, oid);
}

void pg_tables_free(struct pg_tables *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->items[i].schema);
		free(t->items[i].name);
		free(t->items[i].owner);
	}
	free(t->items);
	*t = (struct pg_tables){ 0 };
}

/* The patterns' last word on this name is an exclusion. */
static bool excluded(const struct list *patterns, struct str schema, struct str name)
{
	static char everything[] = "*";
	struct list all = { xcalloc(patterns->n + 1, sizeof *all.items), patterns->n + 1 };

	all.items[0] = everything;
	memcpy(all.items + 1, patterns->items, patterns->n * sizeof *all.items);
	bool no = !patterns_match(&all, schema, name);

	free(all.items);
	return no;
}

static bool matches(const struct list *patterns, const struct pg_table *t)
{
	return patterns_match(patterns, str_z(t->schema), str_z(t->name));
}

static enum pg_problem own_problem(const struct pg_table *t)
{
	if (t->unlogged)
		return PG_UNLOGGED;
	switch (t->identity) {
	case 'f':
		return PG_FINE;
	case 'n':
		return PG_NOTHING;
	case 'i':
		return t->index_usable ? PG_FINE : PG_BAD_INDEX;
	default:
		return t->key_usable ? PG_FINE : PG_NO_KEY;
	}
}

static int check_patterns(const struct pg_tables *t, const struct list *patterns, struct error *err)
{
	for (size_t p = 0; p < patterns->n; p++) {
		struct list one = { &patterns->items[p], 1 };
		bool found = patterns->items[p][0] == '!';

		for (size_t i = 0; i < t->n && !found; i++)
			found = matches(&one, &t->items[i]);
		if (!found)
			return fail_exit(err, EXIT_USAGE,
					 "source.tables: \"%s\" matches no table of this database; "
					 "correct the pattern (schema.table, with * and ?) or "
					 "create the table",
					 patterns->items[p]);
	}
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].wanted)
			return 0;
	return fail_exit(err, EXIT_USAGE,
			 "source.tables selects no table of this database: all are excluded");
}

/* A root is published as a whole, so one bad partition keeps the whole of it out. */
static void blame_roots(struct pg_tables *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct pg_table *leaf = &t->items[i];

		if (leaf->kind != 'r' || leaf->problem == PG_FINE || leaf->problem == PG_UNLOGGED)
			continue;
		for (struct pg_table *up = find(t, leaf->parent); up; up = find(t, up->parent)) {
			if (up->problem == PG_FINE) {
				up->problem = PG_PARTITION;
				up->culprit = leaf;
			}
		}
	}
}

static bool ancestor_wanted(const struct pg_tables *t, const struct pg_table *leaf)
{
	for (const struct pg_table *up = find(t, leaf->parent); up; up = find(t, up->parent))
		if (up->wanted)
			return true;
	return false;
}

int pg_tables_choose(struct pg_tables *t, const struct list *patterns, int version, bool strict,
		     struct error *err)
{
	bool roots = version >= 130000;

	for (size_t i = 0; i < t->n; i++) {
		t->items[i].wanted = matches(patterns, &t->items[i]);
		/* before 13 only the partitions are published, each with an identity of its own */
		t->items[i].problem =
			roots || t->items[i].kind == 'r' ? own_problem(&t->items[i]) : PG_FINE;
	}
	if (roots)
		blame_roots(t);
	for (size_t i = 0; i < t->n; i++) {
		struct pg_table *x = &t->items[i];
		bool above = x->parent && ancestor_wanted(t, x);

		if (above && !excluded(patterns, str_z(x->schema), str_z(x->name)))
			x->wanted = true;
		x->listed = x->wanted && x->problem == PG_FINE && (roots ? !above : x->kind == 'r');
	}
	return strict ? check_patterns(t, patterns, err) : 0;
}

void pg_problem_text(const struct pg_table *t, struct buf *out)
{
	switch (t->problem) {
	case PG_FINE:
		break;
	case PG_UNLOGGED:
		buf_adds(out, "it is UNLOGGED: its changes are not in the log");
		break;
	case PG_NO_KEY:
		buf_adds(out, "it has no usable primary key: once published, the application's own "
			      "UPDATE and DELETE would fail");
		break;
	case PG_NOTHING:
		buf_adds(out,
			 "it has REPLICA IDENTITY NOTHING: once published, the application's own "
			 "UPDATE and DELETE would fail");
		break;
	case PG_BAD_INDEX:
		buf_adds(out, "the index of its replica identity is gone or not valid: once "
			      "published, the "
			      "application's own UPDATE and DELETE would fail");
		break;
	case PG_PARTITION:
		buf_addf(out, "of its partition %s.%s: ", t->culprit->schema, t->culprit->name);
		pg_problem_text(t->culprit, out);
		break;
	}
}

void pg_problem_sql(const struct pg_table *t, struct buf *fix, struct buf *undo)
{
	AUTO(buf) struct buf name = { 0 };

	if (t->problem == PG_PARTITION) {
		pg_problem_sql(t->culprit, fix, undo);
		return;
	}
	pg_name(&name, t->schema, t->name);
	switch (t->problem) {
	case PG_UNLOGGED:
		buf_addf(fix, "ALTER TABLE %s SET LOGGED;", buf_z(&name));
		buf_addf(undo, "ALTER TABLE %s SET UNLOGGED;", buf_z(&name));
		break;
	case PG_NO_KEY:
		buf_addf(fix, "ALTER TABLE %s REPLICA IDENTITY FULL;", buf_z(&name));
		buf_addf(undo, "ALTER TABLE %s REPLICA IDENTITY DEFAULT;", buf_z(&name));
		break;
	case PG_NOTHING:
	case PG_BAD_INDEX:
		buf_addf(fix, "ALTER TABLE %s REPLICA IDENTITY %s;", buf_z(&name),
			 t->key_usable ? "DEFAULT" : "FULL");
		buf_addf(undo, "ALTER TABLE %s REPLICA IDENTITY NOTHING;", buf_z(&name));
		break;
	case PG_FINE:
	case PG_PARTITION:
		break;
	}
}

/* --- for the decoder --- */

/*
 * Columns of pg_type as struct pg_type has them.  A true array is read by array_in; int2vector and
 * oidvector are not: they print without braces.
 */
#define TYPE_COLUMNS                                                                               \
	"t.oid, CASE WHEN n.nspname = 'pg_catalog' THEN t.typname::text"                           \
	" ELSE n.nspname || '.' || t.typname END, t.typtype, t.typbasetype, t.typtypmod,"          \
	" CASE WHEN t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc THEN t.typelem"         \
	" ELSE 0 END, t.typdelim FROM pg_catalog.pg_type t"                                        \
	" JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"

static const char types_sql[] =
	"WITH RECURSIVE used(oid) AS ("
	"SELECT DISTINCT a.atttypid FROM pg_catalog.pg_get_publication_tables($1) p"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = p.relid AND a.attnum > 0"
	" AND NOT a.attisdropped"
	" UNION SELECT x.oid FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid,"
	" LATERAL (VALUES (t.typbasetype), (t.typelem)) x(oid) WHERE x.oid <> 0)"
	" SELECT " TYPE_COLUMNS " JOIN used ON used.oid = t.oid ORDER BY t.oid";

static void type_of_row(const PGresult *r, int row, struct pg_type *out)
{
	const char *name = PQgetvalue(r, row, 1);

	*out = (struct pg_type){ 0 };
	out->oid = (uint32_t)pg_get_u64(r, row, 0);
	snprintf(out->name, sizeof out->name, "%s", name);
	out->kind = *PQgetvalue(r, row, 2);
	out->base = (uint32_t)pg_get_u64(r, row, 3);
	out->base_mod = (int32_t)strtol(PQgetvalue(r, row, 4), NULL, 10);
	out->element = (uint32_t)pg_get_u64(r, row, 5);
	out->delimiter = *PQgetvalue(r, row, 6);
}

static int type_by_oid(const void *a, const void *b)
{
	const struct pg_type *x = a, *y = b;

	return (x->oid > y->oid) - (x->oid < y->oid);
}

static const struct pg_type *cached_type(const struct pg_catalog *c, uint32_t oid)
{
	struct pg_type key = { .oid = oid };

	return c->ntypes ? bsearch(&key, c->types, c->ntypes, sizeof key, type_by_oid) : NULL;
}

static void cache_type(struct pg_catalog *c, const struct pg_type *t)
{
	size_t i = c->ntypes;

	c->types = xrealloc(c->types, (c->ntypes + 1) * sizeof *c->types);
	for (; i > 0 && c->types[i - 1].oid > t->oid; i--)
		c->types[i] = c->types[i - 1];
	c->types[i] = *t;
	c->ntypes++;
}

/* Is the binary form of every column's type understood, domains and enums resolved? */
static bool binary_known(const struct pg_catalog *c, const struct pg_type *t)
{
	for (int depth = 0; t && t->kind == 'd' && depth < 64; depth++)
		t = cached_type(c, t->base);
	if (!t)
		return false;
	return pg_binary_known(t->kind == 'e' ? PG_ANYENUM : t->oid);
}

static void load_wanted(struct pg_catalog *c, const struct pg_tables *tables)
{
	free(c->wanted);
	c->nwanted = 0;
	c->wanted = xcalloc(tables->n, sizeof *c->wanted);
	for (size_t i = 0; i < tables->n; i++)
		if (tables->items[i].wanted)
			c->wanted[c->nwanted++] = tables->items[i].oid;
}

/* Only types of columns themselves decide, not what they are made of: the column's own form counts. */
static int columns_binary(struct pg_catalog *c, PGconn *conn, int64_t deadline,
			  const char *publication, bool *binary, struct error *err)
{
	AUTO(PGresult)
	PGresult *r = pg_query_params(
		conn, deadline, "cannot read the types of the published columns",
		"SELECT DISTINCT a.atttypid FROM pg_catalog.pg_get_publication_tables($1) p"
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = p.relid AND a.attnum > 0"
		" AND NOT a.attisdropped",
		1, &publication, err);

	if (!r)
		return -1;
	*binary = true;
	for (int i = 0; i < PQntuples(r); i++) {
		const struct pg_type *t = cached_type(c, (uint32_t)pg_get_u64(r, i, 0));

		if (t && binary_known(c, t))
			continue;
		log_debug("published column of a type without a known binary form: reading text",
			  "type", t ? t->name : "?", NULL);
		*binary = false;
	}
	return 0;
}

int pg_catalog_load(struct pg_catalog *c, PGconn *conn, int64_t deadline, const char *publication,
		    const struct pg_tables *tables, bool *binary, struct error *err)
{
	AUTO(PGresult)
	PGresult *r =
		pg_query_params(conn, deadline, "cannot read the types of the published columns",
				types_sql, 1, &publication, err);

	if (!r)
		return -1;
	c->ntypes = (size_t)PQntuples(r);
	c->types = xrealloc(c->types, (c->ntypes + 1) * sizeof *c->types);
	for (int i = 0; i < PQntuples(r); i++)
		type_of_row(r, i, &c->types[i]);
	load_wanted(c, tables);
	return columns_binary(c, conn, deadline, publication, binary, err);
}

void pg_catalog_release(struct pg_catalog *c)
{
	free(c->types);
	free(c->wanted);
	*c = (struct pg_catalog){ 0 };
}

static int lookup_type(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	struct pg_catalog *c = ctx;
	const struct pg_type *known = cached_type(c, oid);
	char text[16];
	const char *const value = text;

	if (known) {
		*out = *known;
		return 1;
	}
	snprintf(text, sizeof text, "%u", oid);
	AUTO(PGresult)
	PGresult *r = c->query(c->ctx, "cannot look up a type",
			       "SELECT " TYPE_COLUMNS " WHERE t.oid = $1::pg_catalog.oid", 1,
			       &value, err);

	if (!r)
		return -1;
	if (PQntuples(r) == 0)
		return 0;
	type_of_row(r, 0, out);
	cache_type(c, out);
	return 1;
}

/* Not cached: a table's key may change, and the server repeats Relation messages only then. */
static int lookup_key(void *ctx, uint32_t relation, const struct str *names, size_t n, bool *key,
		      struct error *err)
{
	struct pg_catalog *c = ctx;
	char text[16];
	const char *const value = text;

	snprintf(text, sizeof text, "%u", relation);
	AUTO(PGresult)
	PGresult *r =
		c->query(c->ctx, "cannot look up a primary key",
			 c->version >= 110000
				 ? "SELECT a.attname FROM pg_catalog.pg_index i JOIN "
				   "pg_catalog.pg_attribute a"
				   " ON a.attrelid = i.indrelid AND a.attnum ="
				   " ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])"
				   " WHERE i.indrelid = $1::pg_catalog.oid AND i.indisprimary"
				 : "SELECT a.attname FROM pg_catalog.pg_index i JOIN "
				   "pg_catalog.pg_attribute a"
				   " ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
				   " WHERE i.indrelid = $1::pg_catalog.oid AND i.indisprimary",
			 1, &value, err);

	if (!r)
		return -1;
	for (int i = 0; i < PQntuples(r); i++) {
		size_t at = 0;

		while (at < n && !str_eqz(names[at], PQgetvalue(r, i, 0)))
			at++;
		if (at == n) { /* renamed meanwhile, or not published: then it is no key for us */
			memset(key, 0, n * sizeof *key);
			return 0;
		}
		key[at] = true;
	}
	return PQntuples(r) > 0;
}

static bool ours(struct str schema, struct str name)
{
	static const char system[] = "pg_", own[] = "tailrace_";

	return (schema.n >= 3 && memcmp(schema.p, system, 3) == 0) ||
	       str_eqz(schema, "information_schema") ||
	       (schema.n >= 9 && memcmp(schema.p, own, 9) == 0) ||
	       (name.n >= 9 && memcmp(name.p, own, 9) == 0);
}

/* Does a pattern ask for a table that this one is a partition of? */
static int ancestor_selected(struct pg_catalog *c, uint32_t relation, struct error *err)
{
	char text[16];
	const char *const value = text;

	snprintf(text, sizeof text, "%u", relation);
	AUTO(PGresult)
	PGresult *r = c->query(
		c->ctx, "cannot look up the table of a partition",
		"WITH RECURSIVE up(oid) AS (SELECT i.inhparent FROM pg_catalog.pg_inherits i"
		" JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition"
		" WHERE i.inhrelid = $1::pg_catalog.oid"
		" UNION SELECT i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = "
		"up.oid)"
		" SELECT n.nspname, c.relname FROM up JOIN pg_catalog.pg_class c ON c.oid = up.oid"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
		1, &value, err);

	if (!r)
		return -1;
	for (int i = 0; i < PQntuples(r); i++)
		if (patterns_match(c->patterns, str_z(PQgetvalue(r, i, 0)),
				   str_z(PQgetvalue(r, i, 1))))
			return 1;
	return 0;
}

static int oid_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A table asked for at connect stays captured when it is renamed or detached from its root. */
static int lookup_selected(void *ctx, uint32_t relation, struct str schema, struct str name,
			   struct error *err)
{
	struct pg_catalog *c = ctx;

	if (ours(schema, name))
		return 0;
	if (patterns_match(c->patterns, schema, name))
		return 1;
	if (excluded(c->patterns, schema, name))
		return 0;
	if (c->nwanted && bsearch(&relation, c->wanted, c->nwanted, sizeof relation, oid_cmp))
		return 1;
	return ancestor_selected(c, relation, err);
}

struct pgoutput_catalog pg_catalog_callbacks(struct pg_catalog *c)
{
	return (struct pgoutput_catalog){ c, lookup_type, lookup_key, lookup_selected };
}
