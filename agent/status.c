/*
 * status.c - the agent's status as JSON, as metrics, and as a verdict on its health
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "metric.h"
#include "status.h"

#define STALLED_US INT64_C(60000000) /* without progress and without a named wait: not healthy */

static const char *const agent_states[] = { "starting", "snapshot", "streaming", "waiting",
					    "stopping" };
static const char *const sink_states[] = { "ok", "waiting", "stopped", "detached" };
static const char *const table_states[] = { "streaming", "snapshot", "excluded",
					    "new",       "stopped",  "needs_reload" };

void status_init(struct agent_status *s)
{
	*s = (struct agent_status){ .pid = getpid(), .started_us = -1 };
	s->source = (struct source_status){
		.lag_seconds = NAN, .lag_bytes = -1, .retained_bytes = -1, .seconds_until_lost = -1
	};
	s->spool = (struct spool_view){ .bytes = -1, .max_bytes = -1, .seconds_until_full = -1 };
}

void status_set(char **field, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;

	free(*field);
	*field = copy;
}

void status_free(struct agent_status *s)
{
	free(s->pipeline);
	free(s->waiting_for);
	free(s->source.type);
	free(s->source.server);
	free(s->source.error);
	for (size_t i = 0; i < s->nsinks; i++) {
		free(s->sinks[i].name);
		free(s->sinks[i].type);
		free(s->sinks[i].error);
	}
	free(s->sinks);
	for (size_t i = 0; i < s->ntables; i++) {
		free(s->tables[i].schema);
		free(s->tables[i].name);
		free(s->tables[i].reason);
	}
	free(s->tables);
	*s = (struct agent_status){ 0 };
}

struct sink_status *status_add_sink(struct agent_status *s, const char *name, const char *type)
{
	s->sinks = xrealloc(s->sinks, (s->nsinks + 1) * sizeof(s->sinks[0]));
	s->sinks[s->nsinks] = (struct sink_status){
		.name = xstrdup(name),
		.type = xstrdup(type),
		.lag_seconds = NAN,
		.lag_events = -1,
	};
	return &s->sinks[s->nsinks++];
}

/* Grows by doubling: there may be thousands of tables. */
struct table_status *status_add_table(struct agent_status *s, struct str schema, struct str name)
{
	if ((s->ntables & (s->ntables - 1)) == 0)
		s->tables = xrealloc(s->tables,
				     (s->ntables ? 2 * s->ntables : 1) * sizeof(s->tables[0]));
	s->tables[s->ntables] = (struct table_status){
		.schema = xstrndup(schema.p, schema.n),
		.name = xstrndup(name.p, name.n),
	};
	return &s->tables[s->ntables++];
}

struct table_status *status_find_table(struct agent_status *s, struct str schema, struct str name)
{
	for (size_t i = 0; i < s->ntables; i++)
		if (str_eqz(name, s->tables[i].name) && str_eqz(schema, s->tables[i].schema))
			return &s->tables[i];
	return status_add_table(s, schema, name);
}

/* --- JSON: each put_ writes "name":value, and the comma before it if it is not the first --- */

static void put_name(struct buf *out, const char *name)
{
	char last = out->n ? out->p[out->n - 1] : '{';

	if (last != '{' && last != '[')
		buf_addc(out, ',');
	if (name)
		buf_addf(out, "\"%s\":", name);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	put_name(out, name);
	if (text)
		buf_json(out, str_z(text));
	else
		buf_adds(out, "null");
}

static void put_integer(struct buf *out, const char *name, int64_t v)
{
	put_name(out, name);
	if (v >= 0)
		buf_addf(out, "%" PRId64, v);
	else
		buf_adds(out, "null");
}

static void put_seconds(struct buf *out, const char *name, double v)
{
	put_name(out, name);
	if (isfinite(v))
		buf_addf(out, "%.3f", v);
	else
		buf_adds(out, "null");
}

static bool position_known(const struct position *p)
{
	return p->epoch || p->file || p->offset || p->row;
}

static void put_position(struct buf *out, const char *name, const struct position *p)
{
	char text[POSITION_TEXT];

	put_text(out, name, position_known(p) ? position_text(p, text) : NULL);
}

static void put_time(struct buf *out, const char *name, int64_t us)
{
	char text[64];
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	if (us < 0 || !gmtime_r(&seconds, &tm)) {
		put_text(out, name, NULL);
		return;
	}
	size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);

	snprintf(text + n, sizeof text - n, ".%06dZ", (int)(us % 1000000));
	put_text(out, name, text);
}

static void put_source(struct buf *out, const struct source_status *s)
{
	put_name(out, "source");
	buf_addc(out, '{');
	put_text(out, "type", s->type);
	put_text(out, "server", s->server);
	put_name(out, "connected");
	buf_adds(out, s->connected ? "true" : "false");
	put_position(out, "position", &s->position);
	put_seconds(out, "lag_seconds", s->lag_seconds);
	put_integer(out, "lag_bytes", s->lag_bytes);
	put_integer(out, "retained_bytes", s->retained_bytes);
	put_integer(out, "seconds_until_lost", s->seconds_until_lost);
	put_text(out, "error", s->error);
	buf_addc(out, '}');
}

static void put_spool(struct buf *out, const struct spool_view *s)
{
	put_name(out, "spool");
	buf_addc(out, '{');
	put_integer(out, "bytes", s->bytes);
	put_integer(out, "max_bytes", s->max_bytes);
	put_position(out, "oldest", &s->oldest);
	put_position(out, "newest", &s->newest);
	put_position(out, "synced", &s->synced);
	put_integer(out, "seconds_until_full", s->seconds_until_full);
	buf_addc(out, '}');
}

static void put_sink(struct buf *out, const struct sink_status *s)
{
	put_name(out, NULL);
	buf_addc(out, '{');
	put_text(out, "name", s->name);
	put_text(out, "type", s->type);
	put_text(out, "state", sink_states[s->state]);
	put_position(out, "position", &s->position);
	put_seconds(out, "lag_seconds", s->lag_seconds);
	put_integer(out, "lag_events", s->lag_events);
	put_integer(out, "commits", s->commits);
	put_integer(out, "retries", s->retries);
	put_text(out, "error", s->error);
	buf_addc(out, '}');
}

static void put_snapshot(struct buf *out, const struct snapshot_status *s)
{
	if (!s->state) {
		put_text(out, "snapshot", NULL);
		return;
	}
	put_name(out, "snapshot");
	buf_addc(out, '{');
	put_text(out, "state", s->state);
	put_integer(out, "rows", s->rows);
	put_integer(out, "estimate", s->estimate);
	put_seconds(out, "rate", s->rate);
	put_integer(out, "seconds_left", s->seconds_left);
	buf_addc(out, '}');
}

static void put_table(struct buf *out, const struct table_status *t)
{
	put_name(out, NULL);
	buf_addc(out, '{');
	put_text(out, "schema", t->schema);
	put_text(out, "name", t->name);
	put_integer(out, "version", t->version ? (int64_t)t->version : -1);
	put_text(out, "state", table_states[t->state]);
	put_text(out, "reason", t->reason);
	put_snapshot(out, &t->snapshot);
	buf_addc(out, '}');
}

void status_json(struct buf *out, const struct agent_status *s)
{
	buf_addc(out, '{');
	put_text(out, "pipeline", s->pipeline);
	put_text(out, "version", TAILRACE_VERSION);
	put_integer(out, "pid", s->pid);
	put_time(out, "started", s->started_us);
	put_text(out, "state", agent_states[s->state]);
	put_text(out, "waiting_for", s->waiting_for);
	put_source(out, &s->source);
	put_spool(out, &s->spool);
	put_name(out, "sinks");
	buf_addc(out, '[');
	for (size_t i = 0; i < s->nsinks; i++)
		put_sink(out, &s->sinks[i]);
	buf_addc(out, ']');
	put_name(out, "tables");
	buf_addc(out, '[');
	for (size_t i = 0; i < s->ntables; i++)
		put_table(out, &s->tables[i]);
	buf_addc(out, ']');
	put_name(out, "quarantine");
	buf_addc(out, '{');
	put_integer(out, "rows", s->quarantine_rows);
	put_integer(out, "tables", s->quarantine_tables);
	buf_adds(out, "}}");
}

/* --- metrics --- */

static void gauge(const char *name, const char *labels, const char *help, double v)
{
	metric_set(metric_get(METRIC_GAUGE, name, labels, help), v);
}

static double known(int64_t v)
{
	return v < 0 ? NAN : (double)v;
}

static void sink_metrics(const struct sink_status *s)
{
	AUTO(buf) struct buf labels = { 0 };

	metric_label(&labels, "sink", str_z(s->name));
	const char *l = buf_z(&labels);

	gauge("sink_connected", l, "1 while the sink is open and its checkpoint is loaded.",
	      s->connected);
	gauge("sink_lag_seconds", l, "Age of the oldest change that the sink has not committed.",
	      s->lag_seconds);
	gauge("sink_lag_events", l, "Changes in the spool that the sink has not committed.",
	      known(s->lag_events));
}

/* A counter, but its cause is the number of the newest version. */
static void version_metric(const struct table_status *t)
{
	AUTO(buf) struct buf labels = { 0 };
	AUTO(free) char *name = xasprintf("%s.%s", t->schema, t->name);

	metric_label(&labels, "table", str_z(name));
	struct metric *m = metric_get(METRIC_COUNTER, "schema_versions_total", buf_z(&labels),
				      "Versions of a table's definition seen so far.");
	double have = metric_value(m);

	if ((double)t->version > have)
		metric_add(m, (uint64_t)((double)t->version - have));
}

/*
 * A counter whose cause is what the ledger says; a load that begins anew counts on from where the earlier
 * one was.  Main thread.
 */
static void snapshot_metric(const struct table_status *t)
{
	static struct seen {
		struct metric *metric;
		int64_t rows;
	} * seen;
	static size_t nseen;
	AUTO(buf) struct buf labels = { 0 };
	AUTO(free) char *name = xasprintf("%s.%s", t->schema, t->name);
	size_t i = 0;

	metric_label(&labels, "table", str_z(name));
	struct metric *m = metric_get(METRIC_COUNTER, "snapshot_rows_total", buf_z(&labels),
				      "Rows of the table that snapshots have loaded.");

	gauge("snapshot_rows_estimate", buf_z(&labels),
	      "Rows of the table by the source's catalog when its snapshot began.",
	      known(t->snapshot.estimate));
	while (i < nseen && seen[i].metric != m)
		i++;
	if (i == nseen) {
		seen = xrealloc(seen, (nseen + 1) * sizeof *seen);
		seen[nseen++] = (struct seen){ m, 0 };
	}
	metric_add(m, (uint64_t)(t->snapshot.rows -
				 (t->snapshot.rows < seen[i].rows ? 0 : seen[i].rows)));
	seen[i].rows = t->snapshot.rows;
}

void status_metrics(struct buf *out, const struct agent_status *s)
{
	char text[POSITION_TEXT];
	size_t stopped = 0;

	gauge("build_info", "version=\"" TAILRACE_VERSION "\"", "Always 1.", 1);
	gauge("source_connected", "", "1 while the source is connected.", s->source.connected);
	gauge("source_lag_seconds", "", "Age of the oldest change not read yet; 0 when idle.",
	      s->source.lag_seconds);
	gauge("source_lag_bytes", "", "Log of the source that is not read yet.",
	      known(s->source.lag_bytes));
	gauge("source_retained_bytes", "", "Log that the source keeps for this pipeline.",
	      known(s->source.retained_bytes));
	gauge("source_seconds_until_lost", "",
	      "Until the source's own limit cuts the log, at the present rate.",
	      known(s->source.seconds_until_lost));
	gauge("spool_bytes", "", "Size of the spool on disk.", known(s->spool.bytes));
	gauge("spool_seconds_until_full", "",
	      "Until the spool reaches max_bytes, at the present rate.",
	      known(s->spool.seconds_until_full));
	for (size_t i = 0; i < s->nsinks; i++)
		sink_metrics(&s->sinks[i]);
	for (size_t i = 0; i < s->ntables; i++) {
		stopped += s->tables[i].state == TABLE_STOPPED;
		version_metric(&s->tables[i]);
		if (s->tables[i].snapshot.state)
			snapshot_metric(&s->tables[i]);
	}
	gauge("tables_stopped", "", "Tables that are stopped and need somebody.", (double)stopped);
	metrics_render(out);
	/* Its label changes with every sync, so it is no registered metric. */
	if (position_known(&s->spool.synced))
		buf_addf(out,
			 "# HELP tailrace_spool_synced_position_info Always 1.\n"
			 "# TYPE tailrace_spool_synced_position_info gauge\n"
			 "tailrace_spool_synced_position_info{position=\"%s\"} 1\n",
			 position_text(&s->spool.synced, text));
}

/* --- health --- */

bool status_healthy(const struct agent_status *s, int64_t now_us)
{
	return s->waiting_for || now_us - s->progress_us <= STALLED_US;
}

char *status_unready(const struct agent_status *s)
{
	/* A snapshot that waits holds nothing up: the stream goes on. */
	if (s->waiting_for && s->state != AGENT_SNAPSHOT)
		return xstrdup(s->waiting_for);
	if (!s->source.connected)
		return s->source.error ? xasprintf("the source: %s", s->source.error)
				       : xstrdup("the source to be connected");
	for (size_t i = 0; i < s->nsinks; i++) {
		const struct sink_status *k = &s->sinks[i];

		if (!k->connected && k->state != SINK_DETACHED)
			return k->error ? xasprintf("sink %s: %s", k->name, k->error)
					: xasprintf("sink %s to load its checkpoint", k->name);
	}
	if (s->state != AGENT_STREAMING && s->state != AGENT_SNAPSHOT)
		return xasprintf("the agent is %s", agent_states[s->state]);
	return NULL;
}
