/*
 * pg_copier.c - a connection that reads tables beside the log: open, tables, health
 *
 * What is published is looked at once, before the horizon is taken: changes that a transaction made
 * before its table was published are not streamed, so a read must see every transaction that was open
 * then.  A table published later needs a copier opened later.
 */
#include <errno.h>
#include <stdlib.h>

#include "pg_copier.h"

#define SECOND       INT64_C(1000000)
#define OPEN_TIMEOUT (20 * SECOND)

struct pg_copy_context pg_copier_context(struct copier *c)
{
	return (struct pg_copy_context){ .ask = &c->ask,
					 .types = &c->types,
					 .publication = c->config->source.publication,
					 .version = c->server.version,
					 .raw_text = c->server.raw };
}

struct pg_params pg_copier_params(const struct copier *c, bool replication)
{
	return (struct pg_params){ .url = c->config->source.url,
				   .password = c->config->source.password,
				   .application = c->application,
				   .encoding = c->server.raw ? "SQL_ASCII" : "UTF8",
				   .replication = replication };
}

/* --- open --- */

/*
 * A read must not wait in line for a table, be parallel, or be left behind by an agent that hangs.
 * Chunks are small: compiling their plans costs more than running them.
 */
static int settle_in(struct copier *c, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SET lock_timeout = '2s'; SET max_parallel_workers_per_gather = 0;"
		       " SET idle_in_transaction_session_timeout = '60s'");
	if (c->server.version >= 110000)
		buf_adds(&sql, "; SET jit = off");
	if (c->server.raw)
		buf_adds(&sql, "; SET client_encoding = 'SQL_ASCII'");
	return pg_ask_command(&c->ask, "cannot set up the session", buf_z(&sql), err);
}

static bool published_above(const struct copier *c, const struct pg_table *t)
{
	for (t = pg_tables_find(&c->found, t->parent); t; t = pg_tables_find(&c->found, t->parent))
		for (size_t i = 0; i < c->publication.ncovered; i++)
			if (c->publication.covered[i] == t->oid)
				return true;
	return false;
}

/* The tables under whose names rows are streamed: what the decoder captures of what is published. */
static void choose_carried(struct copier *c)
{
	const struct pg_publication *p = &c->publication;

	c->carried = xcalloc(p->ncovered, sizeof *c->carried);
	for (size_t i = 0; i < p->ncovered; i++) {
		const struct pg_table *t = pg_tables_find(&c->found, p->covered[i]);

		if (t && t->wanted && !(p->via_root && published_above(c, t)))
			c->carried[c->ncarried++] = t->oid;
	}
}

/* Whoever writes holds a lock of its own id. */
static int read_horizon(struct copier *c, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	struct pg_snapshot s;

	buf_addf(&sql,
		 "SELECT pg_catalog.%s(), (SELECT pg_catalog.string_agg("
		 "l.transactionid::pg_catalog.text, ',') FROM pg_catalog.pg_locks l"
		 " WHERE l.locktype = 'transactionid' AND l.granted)",
		 c->server.version >= 130000 ? "pg_current_snapshot" : "txid_current_snapshot");
	AUTO(PGresult) PGresult *r = pg_ask(&c->ask, "cannot take a snapshot", buf_z(&sql), err);

	if (!r)
		return -1;
	if (!pg_snapshot_parse(pg_get(r, 0, 0), &s))
		return fail(err, ERR_FATAL, "not a snapshot: %.100s", PQgetvalue(r, 0, 0));
	c->horizon = pg_snapshot_horizon(&s, pg_get(r, 0, 1));
	return 0;
}

static int look(struct copier *c, int64_t deadline, struct error *err)
{
	const struct source_config *source = &c->config->source;

	if (pg_server_load(c->ask.conn, deadline, &c->server, err) || settle_in(c, err) ||
	    pg_publication_load(c->ask.conn, deadline, source->publication, c->server.version,
				&c->publication, err) ||
	    pg_tables_load(c->ask.conn, deadline, &c->found, err) ||
	    pg_tables_choose(&c->found, config_tables(c->config), c->server.version, false, err))
		return -1;
	if (!c->publication.oid)
		return fail(err, ERR_RETRY, "publication \"%s\" is not there", source->publication);
	choose_carried(c);
	return read_horizon(c, err);
}

static void copier_close(struct copier *c)
{
	free(c->where);
	pg_copy_tables_release(&c->reading);
	pg_catalog_release(&c->types);
	pg_publication_release(&c->publication);
	pg_tables_free(&c->found);
	PQfinish(c->ask.conn);
	free(c->carried);
	free(c->application);
	free(c->ours);
	free(c);
}

static PGresult *ask(void *ctx, const char *what, const char *sql, int n, const char *const *values,
		     struct error *err)
{
	return pg_ask_params(ctx, what, sql, n, values, err);
}

static struct copier *copier_open(const struct config *config, const char *instance,
				  const atomic_bool *stopping, struct error *err)
{
	struct copier *c = xcalloc(1, sizeof *c);
	int64_t deadline = monotonic_us() + OPEN_TIMEOUT;

	c->config = config;
	c->ours = xasprintf("tailrace/%s/", config->pipeline.name);
	c->application = xasprintf("%s%s", c->ours, instance);
	c->ask.stopping = stopping;
	c->types.query = ask;
	c->types.ctx = &c->ask;
	struct pg_params params = pg_copier_params(c, false);

	c->ask.conn = pg_ask_connect(&params, OPEN_TIMEOUT, stopping, err);
	if (!c->ask.conn || look(c, deadline, err)) {
		if (err->kind == ERR_RETRY)
			err->code = ENOTCONN;
		copier_close(c);
		return NULL;
	}
	return c;
}

/* --- tables --- */

static int copier_tables(struct copier *c, struct copy_table **out, size_t *n, struct error *err)
{
	struct pg_copy_context context = pg_copier_context(c);
	struct pg_copy_tables t;
	int rc = pg_copy_tables_load(&context, c->carried, c->ncarried, &t, err);
	AUTO(free) int64_t *rows = xcalloc(t.n, sizeof *rows);
	AUTO(free) int64_t *bytes = xcalloc(t.n, sizeof *bytes);

	if (rc == 0)
		rc = pg_copy_estimate(&context, &t, rows, bytes, err);
	*n = rc ? 0 : t.n;
	*out = xcalloc(*n, sizeof **out);
	for (size_t i = 0; i < *n; i++) {
		const struct pg_copy_table *from = &t.items[i];

		(*out)[i] = (struct copy_table){
			.schema = xstrndup(from->draft.schema.p, from->draft.schema.n),
			.name = xstrndup(from->draft.name.p, from->draft.name.n),
			.keyless = from->key.n == 0,
			.refusal = from->refusal ? xstrdup(from->refusal) : NULL,
			.rows = rows[i],
			.bytes = bytes[i],
		};
	}
	pg_copy_tables_release(&t);
	return rc;
}

static bool has(const uint32_t *oids, size_t n, uint32_t oid)
{
	for (size_t i = 0; i < n; i++)
		if (oids[i] == oid)
			return true;
	return false;
}

static int renewed(const char *schema, const char *name, const char *what, struct error *err)
{
	(void)fail(err, ERR_RETRY, "table %s.%s %s", schema, name, what);
	err->code = ENOTCONN; /* a copier opened now knows it as it is */
	return -1;
}

/* Why a table is not among those that were there to be read. */
static int judge_missing(struct copier *c, const char *schema, const char *name, struct error *err)
{
	const char *const values[] = { schema, name, c->config->source.publication };
	AUTO(PGresult)
	PGresult *r = pg_ask_params(
		&c->ask, "cannot look for a table",
		"SELECT c.oid, EXISTS (SELECT 1 FROM pg_catalog.pg_get_publication_tables($3) p"
		" WHERE p.relid = c.oid) FROM pg_catalog.pg_class c"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
		3, values, err);

	if (!r)
		return -1;
	if (PQntuples(r) == 0)
		return fail(err, ERR_REJECT, "table %s.%s was dropped or renamed", schema, name);
	uint32_t oid = (uint32_t)pg_get_u64(r, 0, 0);
	bool was_published = has(c->publication.covered, c->publication.ncovered, oid);

	if (pg_get_bool(r, 0, 1) && (!was_published || has(c->carried, c->ncarried, oid)))
		return renewed(schema, name,
			       "was published or renamed after this connection looked", err);
	if (was_published && pg_tables_find(&c->found, oid) &&
	    !pg_tables_find(&c->found, oid)->wanted)
		return fail(err, ERR_REJECT, "table %s.%s is not selected by source.tables", schema,
			    name);
	return fail(err, ERR_REJECT,
		    "table %s.%s is not published by \"%s\" under this name: the stream does not "
		    "carry its changes",
		    schema, name, c->config->source.publication);
}

const struct pg_table *pg_copier_find(struct copier *c, const char *schema, const char *name,
				      struct error *err)
{
	for (size_t i = 0; i < c->found.n; i++) {
		const struct pg_table *t = &c->found.items[i];

		if (strcmp(t->name, name) == 0 && strcmp(t->schema, schema) == 0 &&
		    has(c->carried, c->ncarried, t->oid))
			return t;
	}
	(void)judge_missing(c, schema, name, err);
	return NULL;
}

int pg_copier_describe(struct copier *c, const struct pg_table *t, struct pg_copy_tables *out,
		       struct error *err)
{
	struct pg_copy_context context = pg_copier_context(c);

	if (pg_copy_tables_load(&context, &t->oid, 1, out, err))
		return -1;
	if (out->n == 1 && str_eqz(out->items[0].draft.schema, t->schema) &&
	    str_eqz(out->items[0].draft.name, t->name) && out->items[0].kind == t->kind)
		return 0;
	return renewed(t->schema, t->name, "was replaced by another", err);
}

int pg_copier_judge(struct copier *c, const char *schema, const char *name, struct error *err)
{
	const char *state = c->ask.state;
	struct error why = *err;
	AUTO(buf) struct buf full = { 0 };

	if (err->kind != ERR_FATAL || !*state)
		return -1;
	pg_name(&full, schema, name);
	if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
		return fail(err, ERR_REJECT, "table %s.%s was dropped or renamed", schema, name);
	if (strcmp(state, "42501") == 0)
		return fail(err, ERR_REJECT,
			    "%.600s; run GRANT USAGE ON SCHEMA \"%s\" TO \"%s\"; "
			    "GRANT SELECT ON %s TO \"%s\"",
			    why.text, schema, PQuser(c->ask.conn), buf_z(&full),
			    PQuser(c->ask.conn));
	return fail(err, ERR_REJECT, "%.900s", why.text);
}

/* --- health --- */

/* What other roles do is hidden from one without pg_monitor: then it is not known. */
static const char health_sql[] =
	"SELECT CASE WHEN pg_catalog.bool_or(backend_type IS NULL) THEN -1"
	"  ELSE pg_catalog.count(*) FILTER (WHERE state NOT IN ('idle', 'disabled')) END,"
	" pg_catalog.count(*), pg_catalog.current_setting('max_connections'),"
	" (SELECT coalesce(pg_catalog.max(extract(epoch FROM replay_lag)) * 1000000, -1)"
	"  ::pg_catalog.int8 FROM pg_catalog.pg_stat_replication"
	"  WHERE pg_catalog.left(application_name, pg_catalog.length($1)) <> $1),"
	" coalesce(greatest(pg_catalog.max(extract(epoch FROM"
	"  pg_catalog.clock_timestamp() - xact_start)),"
	"  (SELECT pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - prepared))"
	"  FROM pg_catalog.pg_prepared_xacts)) * 1000000, -1)::pg_catalog.int8"
	" FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL"
	" AND coalesce(backend_type, 'client backend') = 'client backend'"
	" AND pg_catalog.left(application_name, pg_catalog.length($1)) <> $1";

static int copier_health(struct copier *c, struct source_health *out, struct error *err)
{
	const char *const value = c->ours;
	AUTO(PGresult)
	PGresult *r = pg_ask_params(&c->ask, "cannot measure the server's health", health_sql, 1,
				    &value, err);

	*out = (struct source_health){ -1, -1, -1, -1, -1 };
	if (!r)
		return -1;
	int64_t *to[] = { &out->active, &out->connections, &out->max_connections,
			  &out->replica_lag_us, &out->oldest_us };

	for (int i = 0; i < (int)COUNT(to); i++)
		*to[i] = strtoll(PQgetvalue(r, 0, i), NULL, 10);
	return 0;
}

const struct copier_ops pg_copier = {
	.open = copier_open,
	.tables = copier_tables,
	.split = pg_copy_split,
	.begin = pg_copy_begin,
	.rows = pg_copy_rows,
	.end = pg_copy_end,
	.health = copier_health,
	.close = copier_close,
	.sees = pg_visibility_sees,
	.reached = pg_visibility_reached,
	.visibility_free = pg_visibility_free,
};
