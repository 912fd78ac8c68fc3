/*
 * postgres.c - the postgres sink: a copy of the tables in another PostgreSQL database
 *
 * The shared part (sql_sink.h) decides what is done; here is the connection, what its errors mean,
 * and the preflight. Settings that change how text is read are pinned; a commit that has returned is durable.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "log.h"
#include "../sources/pg_connection.h"
#include "pg_target.h"

#define CONNECT_US INT64_C(30000000)
#define LAST_US    INT64_C(10000000) /* for a statement that runs when a stop is asked for */

static const char pinned[] =
	"-c datestyle=ISO -c intervalstyle=iso_8601 -c timezone=UTC -c lc_monetary=C "
	"-c search_path= -c statement_timeout=0 -c lock_timeout=5s "
	"-c idle_in_transaction_session_timeout=60s "
	/* rows are looked for by key, however small a table was when the statement was planned */
	"-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off";

/* --- errors --- */

/* What a statement's failure means for the sink (SQLSTATE classes: PostgreSQL, appendix A). */
static enum error_kind kind_of(const char *state)
{
	static const struct {
		const char *prefix;
		enum error_kind kind;
	} kinds[] = {
		{ "25006", ERR_RETRY }, /* read-only: a standby, or failing over */
		{ "25P03", ERR_RETRY }, /* we were idle for too long */
		{ "42P01", ERR_RETRY }, /* a table or ... */
		{ "42703", ERR_RETRY }, /* ... a column has gone: looked at again */
		{ "3F000", ERR_RETRY }, /* ... or a schema */
		{ "26000", ERR_RETRY }, /* a prepared statement has gone: a pooler */
		{ "42501", ERR_FATAL }, /* no right to it */
		{ "21", ERR_REJECT },   /* two rows for one key */
		{ "22", ERR_REJECT },   /* a value that the type does not take */
		{ "23", ERR_REJECT },   /* a constraint */
		{ "27", ERR_REJECT },   /* triggers */
		{ "38", ERR_REJECT },    { "39", ERR_REJECT },
		{ "42", ERR_REJECT }, /* types that do not go together, columns that are not written to */
		{ "44", ERR_REJECT },    /* WITH CHECK OPTION */
		{ "54", ERR_REJECT },    /* a row that is too large for its index */
		{ "55000", ERR_REJECT }, /* a view that is not updatable */
		{ "0A", ERR_REJECT },    { "P0", ERR_REJECT }, /* RAISE in a trigger */
		{ "2BP01", ERR_REJECT },                       /* other things depend on a column */
	};

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strncmp(state, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return pg_state_kind(state);
}

static int fail_result(struct pg_target *k, const PGresult *r, const char *what, struct error *err)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	(void)pg_fail(r, k->conn, what, err);
	if (state)
		err->kind = kind_of(state);
	if (state && strncmp(state, "53100", 5) == 0)
		return error_prefix(err, "the target's disk is full");
	if (state && strcmp(state, "25006") == 0)
		return error_prefix(err, "the target is read-only for now");
	return -1;
}

/* --- statements --- */

static int wait_input(struct pg_target *k, const char *what, struct error *err)
{
	int64_t stop = 0;

	while (PQisBusy(k->conn)) {
		struct pollfd fd = { PQsocket(k->conn), POLLIN, 0 };
		bool stopping = k->sql.ctx.stopping && *k->sql.ctx.stopping;

		if (PQflush(k->conn) > 0)
			fd.events |= POLLOUT;
		if (stopping && !stop)
			stop = monotonic_us() + LAST_US;
		if (stop && monotonic_us() > stop)
			return fail(err, ERR_RETRY, "%s: given up, since the agent stops", what);
		if (poll(&fd, 1, 200) < 0 && errno != EINTR)
			return fail(err, ERR_RETRY, "%s: %s", what, strerror(errno));
		if (!PQconsumeInput(k->conn))
			return pg_fail(NULL, k->conn, what, err);
	}
	return 0;
}

PGresult *pg_target_await(struct pg_target *k, const char *what, struct error *err)
{
	PGresult *last = NULL, *r;

	for (;;) {
		if (wait_input(k, what, err)) {
			PQclear(last);
			return NULL;
		}
		if (!(r = PQgetResult(k->conn)))
			break;
		PQclear(last);
		last = r;
	}
	ExecStatusType status = PQresultStatus(last);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return last;
	(void)fail_result(k, last, what, err);
	PQclear(last);
	return NULL;
}

PGresult *pg_target_ask(struct pg_target *k, const char *what, const char *sql, size_t n,
			const char *const *params, struct error *err)
{
	if (!PQsendQueryParams(k->conn, sql, (int)n, NULL, params, NULL, NULL, 0)) {
		(void)pg_fail(NULL, k->conn, what, err);
		return NULL;
	}
	return pg_target_await(k, what, err);
}

static int postgres_run(struct sql_sink *sql, const char *text, struct error *err)
{
	struct pg_target *k = (struct pg_target *)sql;

	if (!PQsendQuery(k->conn, text))
		return pg_fail(NULL, k->conn, sql->where, err);
	AUTO(PGresult) PGresult *r = pg_target_await(k, sql->where, err);

	return r ? 0 : -1;
}

/* --- the checkpoint row --- */

/* The shared text with the table's full name and numbered parameters. */
static void checkpoint_text(const struct pg_target *k, const char *sql, struct buf *out)
{
	static const char table[] = "tailrace_checkpoint";
	int n = 0;

	while (*sql) {
		if (*sql == '?') {
			buf_addf(out, "$%d", ++n);
			sql++;
		} else if (strncmp(sql, table, sizeof table - 1) == 0) {
			buf_adds(out, k->checkpoint);
			sql += sizeof table - 1;
		} else {
			buf_addc(out, *sql++);
		}
	}
}

static int postgres_checkpoint(struct sql_sink *sql, const char *statement,
			       const struct sql_param *params, size_t n, struct sql_row *out,
			       struct error *err)
{
	struct pg_target *k = (struct pg_target *)sql;
	const char *values[8] = { NULL };
	char numbers[8][24];
	AUTO(buf) struct buf text = { 0 };

	for (size_t i = 0; i < n && i < COUNT(values); i++) {
		values[i] = params[i].text;
		if (!params[i].number)
			continue;
		snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)*params[i].number);
		values[i] = numbers[i];
	}
	checkpoint_text(k, statement, &text);
	AUTO(PGresult)
	PGresult *r = pg_target_ask(k, "tailrace_checkpoint", buf_z(&text), n, values, err);

	if (!r)
		return -1;
	if (!out)
		return (int)strtol(PQcmdTuples(r), NULL, 10);
	for (int i = 0; PQntuples(r) && i < PQnfields(r) && i < SQL_ROW_MOST; i++)
		out->text[i] = pg_get(r, 0, i) ? xstrdup(PQgetvalue(r, 0, i)) : NULL;
	return PQntuples(r) > 0;
}

static int checkpoint_make(struct pg_target *k, const char *schema, struct error *err)
{
	const char *const params[] = { schema };
	AUTO(buf) struct buf sql = { 0 };
	AUTO(PGresult)
	PGresult *r = pg_target_ask(
		k, "cannot look for tailrace_checkpoint",
		"SELECT c.oid FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c "
		"ON c.relnamespace = n.oid AND c.relname = 'tailrace_checkpoint' "
		"WHERE n.nspname = $1",
		1, params, err);

	if (!r)
		return -1;
	if (PQntuples(r) && pg_get(r, 0, 0))
		return 0;
	if (!PQntuples(r)) {
		buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
		pg_ident(&sql, schema);
		if (postgres_run(&k->sql, buf_z(&sql), err))
			return -1;
		buf_clear(&sql);
	}
	checkpoint_text(k, sql_checkpoint_create, &sql);
	return postgres_run(&k->sql, buf_z(&sql), err);
}

/* --- connection --- */

static int fail_connect(struct pg_target *k, struct error *err)
{
	char state[6];
	const char *text = PQerrorMessage(k->conn);
	enum error_kind kind = pg_connect_kind(text, state);
	const char *cure = "";

	if (PQconnectionNeedsPassword(k->conn))
		kind = ERR_FATAL;
	if (kind == ERR_FATAL)
		cure = "; see to url and password of the sink, and to the target's pg_hba.conf";
	return fail(err, kind, "cannot connect to the target %s: %.*s%s", k->sql.where,
		    (int)strcspn(text, "\n"), text, cure);
}

static char *own_options(const char *url)
{
	PQconninfoOption *all = PQconninfoParse(url, NULL);
	char *own = NULL;

	for (PQconninfoOption *o = all; o && o->keyword; o++)
		if (strcmp(o->keyword, "options") == 0 && o->val)
			own = xstrdup(o->val);
	PQconninfoFree(all);
	return own;
}

static void start(struct pg_target *k)
{
	const struct sql_settings *set = k->sql.set;
	AUTO(free) char *own = own_options(set->url);
	AUTO(free) char *options = xasprintf("%s %s", own ? own : "", pinned);
	const char *names[] = { "keepalives",
				"keepalives_idle",
				"keepalives_interval",
				"keepalives_count",
				"tcp_user_timeout",
				"dbname",
				"application_name",
				"client_encoding",
				"options",
				"password",
				NULL };
	const char *values[] = { "1",     "15",
				 "5",     "3",
				 "30000", set->url,
				 k->name, "UTF8",
				 options, set->password && *set->password ? set->password : NULL,
				 NULL };

	k->conn = PQconnectStartParams(names, values, 1);
}

static int connect_to(struct pg_target *k, struct error *err)
{
	PostgresPollingStatusType want = PGRES_POLLING_WRITING;
	int64_t deadline = monotonic_us() + CONNECT_US;
	char where[192];

	start(k);
	if (!k->conn)
		return fail(err, ERR_RETRY, "cannot connect to the target: libpq has no memory");
	PQsetErrorVerbosity(k->conn, PQERRORS_VERBOSE);
	k->sql.where = xstrdup(pg_where(k->conn, where));
	while (PQstatus(k->conn) != CONNECTION_BAD && want != PGRES_POLLING_OK &&
	       want != PGRES_POLLING_FAILED) {
		struct pollfd fd = { PQsocket(k->conn),
				     want == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0 };

		if (poll(&fd, 1, 200) > 0)
			want = PQconnectPoll(k->conn);
		if (monotonic_us() > deadline || (k->sql.ctx.stopping && *k->sql.ctx.stopping))
			return fail(err, ERR_RETRY, "cannot connect to the target %s: no answer",
				    k->sql.where);
	}
	if (PQstatus(k->conn) != CONNECTION_OK)
		return fail_connect(k, err);
	PQsetErrorVerbosity(k->conn, PQERRORS_DEFAULT);
	PQsetnonblocking(k->conn, 1);
	free(k->sql.where);
	k->sql.where = xstrdup(pg_where(k->conn, where));
	return 0;
}

/*
 * A transaction that an older instance left open, asleep or dead, holds the checkpoint row: its session is
 * ended, as it is to be fenced off anyway.
 */
static int end_older(struct pg_target *k, struct error *err)
{
	const char *const params[] = { k->name, k->checkpoint };
	AUTO(PGresult)
	PGresult *r = pg_target_ask(
		k, "cannot end the session of an older instance",
		"SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
		"WHERE a.application_name = pg_catalog.left($1, 63) AND a.usename = current_user "
		"AND a.pid <> pg_catalog.pg_backend_pid() AND EXISTS (SELECT FROM "
		"pg_catalog.pg_locks l "
		"WHERE l.pid = a.pid AND l.relation = $2::pg_catalog.regclass)",
		2, params, err);

	return r ? 0 : -1;
}

/* A commit that has returned must stay; constraints and triggers of a copy have been looked at at the source. */
static int prepare_session(struct pg_target *k, struct error *err)
{
	int version = PQserverVersion(k->conn);
	struct error refused;

	if ((version >= 110000 && postgres_run(&k->sql, "SET jit = off", err)) ||
	    (version >= 120000 &&
	     postgres_run(&k->sql, "SET plan_cache_mode = force_generic_plan", err)) ||
	    postgres_run(&k->sql,
			 "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) "
			 "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'",
			 err))
		return -1;
	k->sql.unordered =
		postgres_run(&k->sql, "SET session_replication_role = replica", &refused) == 0;
	if (!k->sql.unordered && refused.kind != ERR_FATAL && refused.kind != ERR_REJECT) {
		*err = refused;
		return -1;
	}
	return 0;
}

static int check_settings(const struct sql_settings *set, struct error *err)
{
	AUTO(free) char *why = NULL;
	PQconninfoOption *all = PQconninfoParse(set->url, &why);

	PQconninfoFree(all);
	if (!all || strncmp(set->url, "postgres", 8) != 0)
		return fail_exit(err, EXIT_USAGE,
				 "url of a postgres sink is no PostgreSQL URL; write "
				 "postgresql://USER@HOST:PORT/DATABASE, with special characters as "
				 "%%XX");
	return 0;
}

static void name_place(struct sql_sink *k, struct sql_place *p, const struct table *t)
{
	AUTO(buf) struct buf full = { 0 };

	p->schema = k->set->schema ? xstrdup(k->set->schema) : xstrndup(t->schema.p, t->schema.n);
	pg_name(&full, p->schema, p->name);
	p->full = xstrdup(buf_z(&full));
}

static const struct sql_dialect dialect = {
	.name = "postgres",
	.quote = '"',
	.no_nul = true,
	.longest_name = 63,
	.run = postgres_run,
	.checkpoint = postgres_checkpoint,
	.name_place = name_place,
	.look = pg_target_look,
	.unique = pg_target_unique,
	.type = pg_target_type,
	.fit = pg_target_fit,
	.alter_type = pg_target_alter_type,
	.takes_text = pg_target_takes_text,
	.work = pg_target_work,
	.forget = pg_target_forget,
};

static void postgres_close(struct sink *sink)
{
	struct pg_target *k = (struct pg_target *)sink;

	PQfinish(k->conn); /* the server rolls back what is open */
	k->conn = NULL;
	sql_release(&k->sql);
	free(k->checkpoint);
	free(k->name);
	buf_free(&k->params);
	buf_free(&k->scratch);
	free(k);
}

static struct pg_target *target_new(const struct sink_context *c)
{
	struct pg_target *k = xcalloc(1, sizeof *k);

	k->sql.sink.ops = &postgres_sink;
	k->sql.dialect = &dialect;
	k->sql.ctx = *c;
	k->sql.set = c->sink->settings;
	k->name = xasprintf("tailrace/%s/%s", c->config->pipeline.name, c->sink->name);
	return k;
}

static struct sink *postgres_open(const struct sink_context *c, int64_t *fence, struct error *err)
{
	const struct sql_settings *set = c->sink->settings;
	AUTO(buf) struct buf name = { 0 };

	if (check_settings(set, err))
		return NULL;
	struct pg_target *k = target_new(c);
	const char *schema = set->schema ? set->schema : "public";

	pg_name(&name, schema, "tailrace_checkpoint");
	k->checkpoint = xstrdup(buf_z(&name));
	if (connect_to(k, err) || prepare_session(k, err) || checkpoint_make(k, schema, err) ||
	    (!c->fenced && end_older(k, err)) || sql_fence(&k->sql, fence, err)) {
		postgres_close(&k->sql.sink);
		return NULL;
	}
	return &k->sql.sink;
}

/* --- preflight --- */

static int check_rights(struct pg_target *k, struct findings *out, struct error *err)
{
	static const char sql[] =
		"SELECT pg_catalog.current_setting('transaction_read_only') = 'on', "
		"n.oid IS NOT NULL, CASE WHEN n.oid IS NULL THEN "
		"pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') "
		"ELSE pg_catalog.has_schema_privilege(n.oid, 'CREATE, USAGE') END, "
		"current_user, pg_catalog.current_database() "
		"FROM (VALUES ($1)) AS w(name) "
		"LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.name";
	const char *schema = k->sql.set->schema ? k->sql.set->schema : "public";
	const char *const params[] = { schema };
	AUTO(PGresult) PGresult *r = pg_target_ask(k, "cannot read rights", sql, 1, params, err);
	AUTO(buf) struct buf grant = { 0 };
	AUTO(buf) struct buf revoke = { 0 };
	AUTO(buf) struct buf why = { 0 };

	if (!r)
		return -1;
	if (pg_get_bool(r, 0, 0))
		findings_add(out, "sink_read_only", SEVERITY_ERROR, k->sql.ctx.sink->name,
			     "the target is read-only: name its primary", NULL, NULL);
	if (pg_get_bool(r, 0, 2))
		return 0;
	bool there = pg_get_bool(r, 0, 1);
	const char *user = PQgetvalue(r, 0, 3), *database = PQgetvalue(r, 0, 4);

	buf_addf(&grant, "GRANT %s ON %s ", there ? "USAGE, CREATE" : "CREATE",
		 there ? "SCHEMA" : "DATABASE");
	buf_addf(&revoke, "REVOKE CREATE ON %s ", there ? "SCHEMA" : "DATABASE");
	pg_ident(&grant, there ? schema : database);
	pg_ident(&revoke, there ? schema : database);
	buf_adds(&grant, " TO ");
	buf_adds(&revoke, " FROM ");
	pg_ident(&grant, user);
	pg_ident(&revoke, user);
	buf_addf(&why, "%s may not make tables in schema %s of the target", user, schema);
	findings_add(out, "sink_rights", SEVERITY_ERROR, k->sql.ctx.sink->name, buf_z(&why),
		     buf_z(&grant), buf_z(&revoke));
	return 0;
}

static int postgres_check(const struct sink_context *c, struct findings *out, struct error *err)
{
	struct error found;

	if (check_settings(c->sink->settings, err))
		return -1;
	struct pg_target *k = target_new(c);

	if (connect_to(k, &found) || check_rights(k, out, &found))
		findings_add(out, "sink_unreachable", SEVERITY_ERROR, c->sink->name, found.text,
			     NULL, NULL);
	postgres_close(&k->sql.sink);
	return 0;
}

const struct sink_ops postgres_sink = {
	.name = "postgres",
	.summary = "a copy of the tables in another PostgreSQL database",
	.check = postgres_check,
	.open = postgres_open,
	.load = sql_load,
	.write = sql_write,
	.commit = sql_commit,
	.close = postgres_close,
};
