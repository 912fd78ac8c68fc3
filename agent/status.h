/*
 * status.h - what the running agent says about itself, and how it is printed
 *
 * The agent fills a struct agent_status (status_collect in run.c: copies of plain values, never
 * waits for a thread that works); the rest reads it.  Unknown is -1 for integers, NAN for
 * seconds, NULL for text, all zero for positions: printed as null, and as a missing metric.
 * Strings in the struct are owned by it: status_set() copies.
 */
#ifndef STATUS_H
#define STATUS_H

#include "position.h"

enum agent_state {
	AGENT_STARTING,
	AGENT_SNAPSHOT,
	AGENT_STREAMING,
	AGENT_WAITING,		/* waiting_for says for what */
	AGENT_STOPPING,
};

struct source_status {
	char		*type, *server, *error;		/* error: the last one, until it is cured */
	bool		connected;
	struct position	position;			/* the last change read */
	double		lag_seconds;			/* against the source's current position: 0 when idle */
	int64_t		lag_bytes, retained_bytes;
	int64_t		seconds_until_lost;
};

struct spool_view {
	int64_t		bytes, max_bytes;
	struct position	oldest, newest, synced;
	int64_t		seconds_until_full;		/* at the present rate; -1: it does not grow */
};

enum sink_state { SINK_OK, SINK_WAITING, SINK_STOPPED, SINK_DETACHED };
struct sink_status {
	char		*name, *type, *error;
	enum sink_state	state;
	bool		connected;			/* open, its checkpoint loaded */
	struct position	position;			/* its last commit */
	double		lag_seconds;			/* age of the oldest event it has not committed; 0: none */
	int64_t		lag_events, commits, retries;
};

enum table_state {
	TABLE_STREAMING, TABLE_SNAPSHOT, TABLE_EXCLUDED, TABLE_NEW, TABLE_STOPPED, TABLE_NEEDS_RELOAD,
};
struct snapshot_status {
	const char		*state;			/* static: "running"; NULL: the table has none */
	int64_t			rows, estimate, seconds_left;
	double			rate;			/* rows per second */
};
struct table_status {
	char			*schema, *name, *reason;
	unsigned		version;		/* 0: none yet */
	enum table_state	state;
	struct snapshot_status	snapshot;
};

struct agent_status {
	char			*pipeline;
	int64_t			pid;
	int64_t			started_us;		/* wall clock */
	enum agent_state	state;
	char			*waiting_for;		/* "slot tailrace_erp, held by pid 4711 (psql at 10.0.0.7)" */
	int64_t			progress_us;		/* CLOCK_MONOTONIC: when the agent last got on with its work, or
							 * found that there was none */
	struct source_status	source;
	struct spool_view	spool;
	struct sink_status	*sinks;
	size_t			nsinks;
	struct table_status	*tables;
	size_t			ntables;
	int64_t			quarantine_rows, quarantine_tables;
};

/* Called on the main thread for every /status, /metrics, /healthz, /readyz. */
typedef void status_collect_fn(struct agent_status *out, void *arg);

void status_init(struct agent_status *s);		/* everything unknown, version and pid filled */
void status_free(struct agent_status *s);
void status_set(char **field, const char *text);	/* replaces a string by a copy; NULL is fine */
struct sink_status  *status_add_sink(struct agent_status *s, const char *name, const char *type);
struct table_status *status_add_table(struct agent_status *s, struct str schema, struct str name);
struct table_status *status_find_table(struct agent_status *s, struct str schema, struct str name);	/* adds it where it is not */

/* The contract's JSON (INTERFACE.md, "status"), one line without its end. */
void status_json(struct buf *out, const struct agent_status *s);
/*
 * Prometheus text: sets the gauges build_info, source_*, spool_*, sink_connected, sink_lag_*,
 * tables_stopped, snapshot_rows_* and schema_versions_total from *s, then renders all metrics.  events_total,
 * transactions_total, sink_commits_total, sink_commit_seconds, sink_retries_total and end_to_end_seconds belong to
 * reader and delivery.
 */
void status_metrics(struct buf *out, const struct agent_status *s);

/* Progress within 60 s, or a named wait.  now_us: CLOCK_MONOTONIC. */
bool status_healthy(const struct agent_status *s, int64_t now_us);
/* NULL when the source streams and every sink has loaded its checkpoint; else what is waited for, malloced. */
char *status_unready(const struct agent_status *s);

#endif
