/*
 * postgres.c - the source `postgres`: a slot of logical decoding, read by pgoutput
 *
 * connect() opens two connections: one for control (catalog, publication, slot, measurements), one
 * for replication.  Everything that can be refused is looked at before anything is changed on the
 * server; the publication is committed before the slot is made.  The parts: pg_connection (libpq),
 * pg_timeline (which log is it), pg_catalog (tables and types), pg_publication, pg_slot, pg_stream
 * (reading and feedback), pg_monitor (the control connection while streaming).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_catalog.h"
#include "pg_copier.h"
#include "pg_monitor.h"
#include "pg_names.h"
#include "pg_publication.h"
#include "pg_server.h"
#include "pg_slot.h"
#include "pg_stream.h"
#include "pg_url.h"
#include "sources.h"

#define SECOND        INT64_C(1000000)
#define QUERY_TIMEOUT (15 * SECOND) /* for all that connect() asks of a server that answers */
#define OPEN_TIMEOUT  (60 * SECOND) /* for one connection, over as many connect() as it takes */

struct postgres {
	struct source source;
	const struct config *config;
	struct tables *tables;
	char *application; /* "tailrace/erp/host-71" */
	char *ours;        /* "tailrace/erp/": application names of this pipeline */

	struct pg_server server;
	struct pg_log log;
	struct pg_tables found;
	struct pg_publication publication;
	struct pg_slot slot;
	struct pg_catalog catalog;
	struct pg_monitor monitor;
	struct pg_stream stream;

	int64_t slice; /* until when this connect() may wait for what the next one can go on with */
	struct pg_attempt opening; /* a connection in the making, over several connect() */
	int64_t opening_since;
	PGconn *control;     /* until start(): then the monitor has it */
	PGconn *replication; /* until start(): then the stream has it */
	bool streaming;
	bool creating;               /* CREATE_REPLICATION_SLOT was sent and is awaited */
	bool slot_is_older;          /* than the publication, which was made by this connect() */
	bool announced;              /* left out tables were named */
	const struct list *patterns; /* that the publication follows; NULL: none yet */
	bool *were; /* of found: listed under those, where source.tables has changed since; or NULL */
	bool binary, text_only;
	char extent_server[128];
};

static struct postgres *self(struct source *s)
{
	return (struct postgres *)s;
}

static const struct source_config *settings(const struct postgres *p)
{
	return &p->config->source;
}

static struct pg_params params(const struct postgres *p, bool replication)
{
	return (struct pg_params){ .url = settings(p)->url,
				   .password = settings(p)->password,
				   .application = p->application,
				   .encoding = p->server.raw ? "SQL_ASCII" : "UTF8",
				   .replication = replication };
}

/* A walsender that waits does not notice that we are gone, and would leave the slot behind. */
static void cancel_creation(struct postgres *p)
{
	PGcancel *cancel = p->creating ? PQgetCancel(p->replication) : NULL;
	char why[256];

	if (cancel && !PQcancel(cancel, why, sizeof why))
		log_warning("cannot cancel the creation of the slot", "reason", why, NULL);
	PQfreeCancel(cancel);
	p->creating = false;
}

static void drop_connections(struct postgres *p)
{
	pg_stream_stop(&p->stream);
	pg_monitor_stop(&p->monitor);
	if (p->opening.conn)
		pg_attempt_drop(&p->opening);
	PQfinish(p->replication);
	PQfinish(p->control);
	p->replication = p->control = NULL;
	p->streaming = false;
}

/*
 * A connection or a slot in the making stays: begun anew at each try, a distant server would never
 * be reached, nor would the transactions be outlasted that a new slot waits for.
 */
static void postgres_disconnect(struct source *s)
{
	struct postgres *p = self(s);

	if (!p->creating && !p->opening.conn)
		drop_connections(p);
}

/* --- connect --- */

static int open_one(struct postgres *p, bool replication, int64_t deadline, PGconn **out,
		    struct error *err)
{
	struct pg_params what = params(p, replication);
	char where[192];

	if (!p->opening.conn) {
		if (pg_attempt_start(&p->opening, &what, err))
			return -1;
		p->opening_since = monotonic_us();
	}
	int rc = pg_attempt_run(&p->opening, p->slice, err);

	if (rc < 0)
		return -1;
	if (rc == 0) {
		(void)fail(err, ERR_RETRY, "cannot connect to PostgreSQL at %s: no answer yet",
			   pg_where(p->opening.conn, where));
		if (monotonic_us() - p->opening_since > OPEN_TIMEOUT)
			pg_attempt_drop(&p->opening);
		return -1;
	}
	*out = p->opening.conn;
	p->opening.conn = NULL;
	return pg_pins_check(*out, deadline, err);
}

static int open_connections(struct postgres *p, int64_t deadline, struct error *err)
{
	if (!p->control && open_one(p, false, deadline, &p->control, err))
		return -1;
	if (pg_server_load(p->control, deadline, &p->server, err) ||
	    pg_server_judge(&p->server, err))
		return -1;
	/* names need not be UTF-8 either */
	if (p->server.raw && pg_command(p->control, deadline, "cannot set client_encoding",
					"SET client_encoding = 'SQL_ASCII'", err))
		return -1;
	if (!p->replication && open_one(p, true, deadline, &p->replication, err))
		return -1;
	if (!pg_is_loopback(p->control) && !PQsslInUse(p->control) && !p->announced)
		log_warning(
			"the connection is not encrypted; use sslmode=verify-full in source.url",
			NULL);
	pg_server_name(&p->server, p->control, p->extent_server);
	return 0;
}

/* Which log is it, and does it hold what was delivered? */
static int compare_log(struct postgres *p, const char *known, int64_t deadline, struct error *err)
{
	if (pg_log_identify(p->replication, deadline, &p->log, err))
		return -1;
	return known ? pg_log_compare(&p->log, known, p->server.end, p->server.standby, err) : 0;
}

static int choose_tables(struct postgres *p, int64_t deadline, struct error *err)
{
	const struct list *now = config_tables(p->config);
	bool changed = p->patterns && p->patterns != now;
	int version = p->server.version;
	struct error unmatched;

	pg_tables_free(&p->found);
	free(p->were);
	p->were = NULL;
	if (pg_tables_load(p->control, deadline, &p->found, err))
		return -1;
	p->catalog.patterns = now;
	if (!changed)
		return pg_tables_choose(&p->found, now, version, !p->announced, err);
	if (pg_tables_choose(&p->found, p->patterns, version, false, err))
		return -1;
	p->were = xcalloc(p->found.n + 1, sizeof *p->were);
	for (size_t i = 0; i < p->found.n; i++)
		p->were[i] = p->found.items[i].listed;
	if (pg_tables_choose(&p->found, now, version, true, &unmatched))
		log_warning("a change of source.tables does not do what it says", "reason",
			    unmatched.text, NULL);
	return 0;
}

/* After a change of source.tables: what is let go of is said, and what is taken up is no longer left out. */
static int follow_change(struct postgres *p, int64_t deadline, struct error *err)
{
	const char *publication = settings(p)->publication;

	for (size_t i = 0; p->were && i < p->found.n; i++) {
		const struct pg_table *t = &p->found.items[i];
		AUTO(free) char *name = xasprintf("%s.%s", t->schema, t->name);

		if (!p->were[i] && t->listed) {
			tables_forget_note(p->tables, TABLE_NOTE_EXCLUDED, str_z(t->schema),
					   str_z(t->name));
			log_info("table is selected now", "table", name, NULL);
		} else if (p->were[i] && !t->wanted) {
			tables_note(p->tables, TABLE_NOTE_EXCLUDED, str_z(t->schema),
				    str_z(t->name), "source.tables no longer selects it");
			log_warning("table is no longer selected: its changes are not carried from "
				    "here on; sinks keep what they have",
				    "table", name, NULL);
		}
	}
	if (p->were && pg_publication_drop(p->control, deadline, publication, p->server.version,
					   &p->found, p->were, &p->publication, err))
		return -1;
	free(p->were);
	p->were = NULL;
	p->patterns = p->catalog.patterns;
	return 0;
}

/*
 * A first start that was killed after it made the slot, before its place was kept: nobody has used it.  It is
 * made anew.
 */
static int drop_interrupted(struct postgres *p, int64_t deadline, struct error *err)
{
	const char *name = settings(p)->slot;

	if (p->slot.active)
		return fail(err, ERR_RETRY,
			    "slot \"%s\", left by an interrupted first start, is still in use",
			    name);
	log_info("making the slot of an interrupted first start anew", "slot", name, NULL);
	if (pg_slot_drop(p->control, deadline, name, err))
		return -1;
	p->slot.exists = false;
	return 0;
}

static int find_slot(struct postgres *p, const char *known, int64_t deadline, struct error *err)
{
	const char *name = settings(p)->slot;

	if (pg_slot_load(p->control, deadline, name, p->server.version, &p->slot, err))
		return -1;
	if (p->slot.exists && !known && p->source.interrupted &&
	    strcmp(p->slot.plugin, "pgoutput") == 0 &&
	    strcmp(p->slot.database, p->server.database) == 0 && drop_interrupted(p, deadline, err))
		return -1;
	p->source.interrupted = false; /* what is made from here on is this process's */
	if (p->slot.exists)
		return pg_slot_judge(&p->slot, name, p->server.database, err);
	if (!known)
		return 0;
	return fail_exit(
		err, EXIT_LOG_GONE,
		"slot \"%s\" is gone (dropped, or lost in a failover): what was committed since it "
		"was last read cannot be had from it; load the tables anew",
		name);
}

/* Begins to create the slot, or goes on waiting for it: a creation waits for open transactions. */
static int create_slot(struct postgres *p, struct source_start *out, struct error *err)
{
	const char *name = settings(p)->slot;
	char awaited[160];

	if (!p->creating && p->source.creating && p->source.creating(p->source.creating_arg, err))
		return -1;
	if (!p->creating && pg_slot_create(p->replication, name, err))
		return -1;
	p->creating = true;
	AUTO(PGresult)
	PGresult *r = pg_await(p->replication, p->slice, "cannot create the replication slot", err);

	if (!r && err->code == ETIMEDOUT) {
		pg_slot_awaited(p->control, monotonic_us() + 2 * SECOND,
				PQbackendPID(p->replication), awaited);
		return fail(err, ERR_RETRY, "slot \"%s\" is being created: the server waits for %s",
			    name, *awaited ? awaited : "open transactions");
	}
	p->creating = false;
	if (!r)
		return -1;
	p->slot.confirmed = pg_get_lsn(r, 0, 1);
	out->created = true;
	log_info("replication slot created", "slot", name, "at", PQgetvalue(r, 0, 1), NULL);
	return 0;
}

/* Log from before the publication cannot be decoded for it: a slot made earlier begins after it. */
static int pass_older_log(struct postgres *p, int64_t deadline, struct error *err)
{
	const char *name = settings(p)->slot;
	char lsn[PG_LSN_TEXT];

	if (p->server.version < 110000 || p->server.standby)
		return 0;
	if (pg_slot_advance(p->control, deadline, name, p->server.end, err) ||
	    pg_slot_load(p->control, deadline, name, p->server.version, &p->slot, err))
		return -1;
	log_warning(
		"the slot is older than the publication: it was moved forward to begin after it",
		"slot", name, "at", pg_lsn_text(p->slot.confirmed, lsn), NULL);
	return 0;
}

/* The reader decides who lacks what is between; how much it is only we can say. */
static void say_gap(struct postgres *p, const char *known)
{
	uint64_t system, lsn;
	uint32_t timeline;
	char from[PG_LSN_TEXT], to[PG_LSN_TEXT], size[32];

	if (!pg_resume_parse(known, &system, &timeline, &lsn) || lsn >= p->slot.confirmed)
		return;
	snprintf(size, sizeof size, "%" PRIu64 " bytes", p->slot.confirmed - lsn);
	log_warning("GAP: the slot begins after what is durable here", "slot", settings(p)->slot,
		    "gap", size, "from", pg_lsn_text(lsn, from), "to",
		    pg_lsn_text(p->slot.confirmed, to), NULL);
}

static int ready_slot(struct postgres *p, const char *known, bool may_take, int64_t deadline,
		      struct source_start *out, struct error *err)
{
	const char *name = settings(p)->slot;
	char lsn[PG_LSN_TEXT];

	if (!p->slot.exists)
		return create_slot(p, out, err);
	if (pg_slot_take(p->control, deadline, name, p->server.version, p->ours, may_take, &p->slot,
			 err))
		return -1;
	if (!p->slot.confirmed)
		return fail(err, ERR_RETRY, "slot \"%s\" is still being created by somebody", name);
	if (p->slot_is_older && pass_older_log(p, deadline, err))
		return -1;
	if (known)
		say_gap(p, known);
	else
		log_info("starting at the existing slot's position", "slot", name, "at",
			 pg_lsn_text(p->slot.confirmed, lsn), NULL);
	return 0;
}

static void set_oldest(struct postgres *p, struct source_start *out)
{
	AUTO(arena) struct arena a = { 0 };
	uint64_t lsn = p->slot.confirmed;
	struct str resume = pg_resume_format(&a, p->log.system, p->log.timeline, lsn);

	out->oldest.pos =
		(struct position){ pg_log_epoch(&p->log, lsn - 1), 0, lsn - 1, POSITION_BETWEEN };
	out->oldest.resume = xstrndup(resume.p, resume.n);
}

/* What comes before the slot: nothing here changes the server. */
static int look(struct postgres *p, const char *known, int64_t deadline, struct error *err)
{
	return open_connections(p, deadline, err) || compare_log(p, known, deadline, err) ||
			       choose_tables(p, deadline, err) || find_slot(p, known, deadline, err)
		       ? -1
		       : 0;
}

/* `status` names the tables that are selected and cannot be published. */
static void note_left_out(struct postgres *p)
{
	for (size_t i = 0; i < p->found.n; i++) {
		const struct pg_table *t = &p->found.items[i];
		AUTO(buf) struct buf why = { 0 };

		if (!t->wanted || t->problem == PG_FINE ||
		    pg_publication_covers(&p->publication, &p->found, t))
			continue;
		pg_problem_text(t, &why);
		tables_note(p->tables, TABLE_NOTE_EXCLUDED, str_z(t->schema), str_z(t->name),
			    buf_z(&why));
	}
}

/* The uppermost partitioned tables that are captured; NULL: there is none. */
static char *captured_roots(const struct postgres *p)
{
	AUTO(buf) struct buf text = { 0 };

	for (size_t i = 0; i < p->found.n; i++) {
		const struct pg_table *t = &p->found.items[i];
		const struct pg_table *up = pg_tables_find(&p->found, t->parent);

		if (t->kind == 'p' && t->wanted && !(up && up->wanted))
			buf_addf(&text, "%c%u", text.n ? ',' : '{', t->oid);
	}
	if (!text.n)
		return NULL;
	buf_addc(&text, '}');
	return xstrdup(buf_z(&text));
}

static int look_at_partitions(struct postgres *p, int64_t deadline, struct error *err)
{
	struct pg_partitions *x = &p->monitor.partitions;

	x->via_root = p->publication.via_root;
	x->tables = p->tables;
	x->state = p->source.state;
	return pg_partitions_load(x, captured_roots(p), p->control, deadline, err);
}

static int prepare(struct postgres *p, const char *known, bool may_take, int64_t deadline,
		   struct source_start *out, struct error *err)
{
	const char *publication = settings(p)->publication;
	bool made;

	if (!p->creating) {
		if (look(p, known, deadline, err))
			return -1;
		pg_publication_release(&p->publication);
		if (pg_publication_ensure(p->control, deadline, publication, p->server.version,
					  &p->found, !p->announced, !known, &made, &p->publication,
					  err))
			return -1;
		p->slot_is_older = made && p->slot.exists;
		if (made && pg_server_load(p->control, deadline, &p->server, err))
			return -1; /* its log's end, after the publication */
		p->announced = true;
		if (follow_change(p, deadline, err))
			return -1;
		note_left_out(p);
		if (pg_names_check(p->control, deadline, publication, p->tables, err))
			return -1; /* before there is a slot that would keep the log */
	}
	if (ready_slot(p, known, may_take, deadline, out, err) ||
	    look_at_partitions(p, deadline, err))
		return -1;
	p->catalog.version = p->server.version;
	return pg_catalog_load(&p->catalog, p->control, deadline, publication, &p->found,
			       &p->binary, err);
}

static void hand_over(struct postgres *p)
{
	struct pg_monitor *m = &p->monitor;

	m->params = params(p, false);
	m->version = p->server.version;
	m->standby = p->server.standby;
	free(m->members);
	m->members = pg_publication_members(&p->publication);
	m->confirmed = p->slot.confirmed;
	pg_monitor_start(m, p->control);
	p->control = NULL;
	p->stream.conn = p->replication;
	p->replication = NULL;
	p->stream.server_timeout = p->server.sender_timeout;
	p->stream.target = p->server.target;
}

static int postgres_connect(struct source *s, const char *known, bool may_take, int timeout_ms,
			    struct source_start *out, struct error *err)
{
	struct postgres *p = self(s);
	int64_t now = monotonic_us(), deadline = now + QUERY_TIMEOUT;

	p->slice = now + timeout_ms * INT64_C(1000);
	if (deadline < p->slice)
		deadline = p->slice;
	*out = (struct source_start){ 0 };
	postgres_disconnect(s);
	if (prepare(p, known, may_take, deadline, out, err)) {
		/* a connection that was closed under an attempt for the other one is of no use */
		if (p->opening.conn && p->control && PQstatus(p->control) != CONNECTION_OK)
			pg_attempt_drop(&p->opening);
		postgres_disconnect(s);
		return -1;
	}
	set_oldest(p, out);
	hand_over(p);
	return 0;
}

static int postgres_start(struct source *s, const struct checkpoint *from, struct error *err)
{
	struct postgres *p = self(s);
	uint64_t system, lsn;
	uint32_t timeline;
	char asked[PG_LSN_TEXT], has[PG_LSN_TEXT];

	if (!from->resume || !pg_resume_parse(from->resume, &system, &timeline, &lsn))
		return fail(err, ERR_FATAL, "not a resume token of a PostgreSQL source: %.200s",
			    from->resume ? from->resume : "none");
	/* the server would begin later without a word */
	if (lsn < p->slot.confirmed)
		return fail_exit(err, EXIT_LOG_GONE,
				 "slot \"%s\" begins at %s, after %s, from which it is to be read",
				 settings(p)->slot, pg_lsn_text(p->slot.confirmed, has),
				 pg_lsn_text(lsn, asked));
	struct pgoutput_config decoder = {
		.tables = p->tables,
		.catalog = pg_catalog_callbacks(&p->catalog),
		.raw_text = p->server.raw,
		.invalid_bytes = settings(p)->invalid_bytes,
		.max_row = (size_t)settings(p)->max_row,
		.epoch = p->log.timeline,
		.system = p->log.system,
		.timeline = p->log.timeline,
	};
	struct pg_stream_options options = {
		.slot = settings(p)->slot,
		.publication = settings(p)->publication,
		.lsn = lsn,
		.version = p->server.version,
		.binary = p->binary && !p->text_only,
	};

	if (pg_stream_start(&p->stream, &options, &decoder, monotonic_us() + QUERY_TIMEOUT, err))
		return -1;
	p->streaming = true;
	log_info("streaming", "server", p->extent_server, "slot", options.slot, "from",
		 pg_lsn_text(lsn, asked), "format",
		 options.binary && options.version >= 140000 ? "binary" : "text", NULL);
	return 0;
}

/* --- streaming --- */

/*
 * Log that was written but not flushed is not streamed.  What was committed without waiting for the
 * disk is flushed within three rounds of the WAL writer; the rest of it belongs to nobody yet.
 */
static void lower_target(struct postgres *p)
{
	const struct pg_monitor *m = &p->monitor;

	if (pg_stream_caught_up(&p->stream) ||
	    m->measured < p->server.read_at + p->server.flush_delay)
		return;
	uint64_t flushed = pg_server_page_start(&p->server, m->flushed);

	if (flushed && flushed < p->stream.target)
		p->stream.target = flushed;
}

static int mind(struct postgres *p, struct error *err)
{
	pg_monitor_step(&p->monitor);
	if (p->monitor.failure.kind == ERR_NONE)
		return 0;
	*err = p->monitor.failure;
	return -1;
}

static int postgres_read(struct source *s, struct batch *b, int timeout_ms, struct error *err)
{
	struct postgres *p = self(s);
	int64_t deadline = monotonic_us() + timeout_ms * INT64_C(1000);

	if (!p->streaming)
		return fail(err, ERR_RETRY, "the source is not connected");
	if (mind(p, err))
		return -1;
	lower_target(p);
	if (pg_stream_read(&p->stream, b, deadline, err) == 0)
		return 0;
	if (pgoutput_wants_text(p->stream.decoder)) {
		log_info("a column's type has no known binary form: going on in text", NULL);
		p->text_only = true;
	}
	return -1;
}

static int postgres_ack(struct source *s, const struct checkpoint *durable, struct error *err)
{
	struct postgres *p = self(s);
	uint64_t system, lsn = 0;
	uint32_t timeline;

	if (!p->streaming)
		return 0;
	if (durable->resume && (!pg_resume_parse(durable->resume, &system, &timeline, &lsn) ||
				system != p->log.system))
		return fail(err, ERR_FATAL, "acknowledged a position of another log: %.200s",
			    durable->resume);
	pg_monitor_step(&p->monitor);
	return pg_stream_ack(&p->stream, lsn, err);
}

static bool postgres_caught_up(const struct source *s)
{
	const struct postgres *p = (const struct postgres *)s;

	return p->streaming && pg_stream_caught_up(&p->stream);
}

static void postgres_hasten(struct source *s)
{
	struct postgres *p = self(s);

	if (p->streaming)
		pg_stream_hasten(&p->stream);
}

static bool postgres_server_stopping(const struct source *s)
{
	const struct postgres *p = (const struct postgres *)s;

	return p->streaming && pg_stream_stopping(&p->stream);
}

static int64_t behind(uint64_t end, uint64_t lsn)
{
	return end > lsn ? (int64_t)(end - lsn) : 0;
}

static void postgres_extent(struct source *s, struct source_extent *out)
{
	struct postgres *p = self(s);
	const struct pg_monitor *m = &p->monitor;

	*out = (struct source_extent){ .connected = p->streaming,
				       .retained_bytes = -1,
				       .lag_bytes = -1,
				       .seconds_until_lost = -1 };
	snprintf(out->server, sizeof out->server, "%s", p->extent_server);
	if (!m->measured)
		return;
	out->retained_bytes = behind(m->flushed, m->confirmed);
	out->lag_bytes = behind(m->flushed, p->stream.seen);
	if (m->safe_bytes >= 0 && m->rate >= 1)
		out->seconds_until_lost = (int64_t)((double)m->safe_bytes / m->rate);
	out->measured_us = wall_clock_us() - (monotonic_us() - m->measured);
}

/* --- open and close --- */

static PGresult *ask_monitor(void *ctx, const char *what, const char *sql, int n,
			     const char *const *values, struct error *err)
{
	return pg_monitor_query(ctx, what, sql, n, values, err);
}

static struct source *postgres_open(const struct config *c, struct tables *tables,
				    const char *instance, struct error *err)
{
	struct postgres *p;

	if (pg_url_check(c->source.url, err))
		return NULL;
	p = xcalloc(1, sizeof *p);
	p->source.ops = &postgres_source;
	p->config = c;
	p->tables = tables;
	p->ours = xasprintf("tailrace/%s/", c->pipeline.name);
	p->application = xasprintf("%s%s", p->ours, instance);
	p->catalog.query = ask_monitor;
	p->catalog.ctx = &p->monitor;
	p->catalog.patterns = config_tables(c);
	p->monitor.slot = c->source.slot;
	p->monitor.publication = c->source.publication;
	p->monitor.heartbeat = c->source.heartbeat;
	p->stream.log = &p->log;
	return &p->source;
}

static void postgres_close(struct source *s)
{
	struct postgres *p = self(s);

	cancel_creation(p);
	drop_connections(p);
	pg_stream_release(&p->stream);
	pg_monitor_release(&p->monitor);
	pg_catalog_release(&p->catalog);
	pg_publication_release(&p->publication);
	pg_tables_free(&p->found);
	free(p->were);
	pg_log_release(&p->log);
	free(p->application);
	free(p->ours);
	free(p);
}

const struct source_ops postgres_source = {
	.name = "postgres",
	.summary = "PostgreSQL 10 and later, by logical decoding with pgoutput",
	.connector = "postgresql",
	.database = pg_database_name,
	.check = pg_check,
	.open = postgres_open,
	.connect = postgres_connect,
	.resume_cmp = pg_resume_cmp,
	.same_log = pg_same_log,
	.start = postgres_start,
	.read = postgres_read,
	.ack = postgres_ack,
	.caught_up = postgres_caught_up,
	.server_stopping = postgres_server_stopping,
	.extent = postgres_extent,
	.hasten = postgres_hasten,
	.copier = &pg_copier,
	.disconnect = postgres_disconnect,
	.close = postgres_close,
};
