/*
 * pg_monitor.h - the control connection: what is asked of the server while its log is streamed
 *
 * Once a second it measures how much log the server keeps for us, every few seconds it compares the
 * publication with what it was at connect, and it writes the heartbeat message where the slot's
 * restart_lsn stands still.  All of that is sent without waiting, its results are picked up by the
 * next pg_monitor_step(); a lost connection is made anew in the background.  One thread.
 */
#ifndef PG_MONITOR_H
#define PG_MONITOR_H

#include "pg_partitions.h"

enum pg_monitor_state {
	PG_MONITOR_LOST, PG_MONITOR_CONNECTING, PG_MONITOR_IDLE,
	PG_MONITOR_EXTENT, PG_MONITOR_PUBLICATION, PG_MONITOR_PARTITIONS, PG_MONITOR_HEARTBEAT,	/* that query is under way */
};

struct pg_monitor {
	/* set by the owner */
	struct pg_params	params;
	const char		*slot, *publication;
	char			*members;	/* OIDs of the tables the publication names: {1,2}; owned */
	struct pg_partitions	partitions;	/* its roots are owned here */
	int			version;
	bool			standby;
	int64_t			heartbeat;	/* microseconds, 0: off */

	/* what was measured, 0 or -1: unknown */
	uint64_t		flushed, restart, confirmed;
	int64_t			safe_bytes;	/* until the slot is lost; -1: no limit or not known */
	double			rate;		/* bytes of log a second */
	int64_t			measured;	/* monotonic_us(); 0: never */
	struct error		failure;	/* kind != ERR_NONE: streaming must not go on */

	/* its own */
	PGconn			*conn;
	struct pg_attempt	attempt;
	enum pg_monitor_state	state;
	int64_t			sent, next_extent, next_publication, next_partitions, retry_at, backoff;
	uint64_t		rate_from, still_from;
	int64_t			rate_since, still_since, beaten;
	bool			heartbeat_refused, warned;
};

/* Takes over a connection that is idle; pg_monitor_stop() closes it. */
void pg_monitor_start(struct pg_monitor *m, PGconn *conn);
void pg_monitor_stop(struct pg_monitor *m);
void pg_monitor_step(struct pg_monitor *m);	/* never blocks; cheap when nothing is due */
void pg_monitor_release(struct pg_monitor *m);

/* A query of our own on this connection, waiting at most five seconds for it.  NULL: ERR_RETRY or ERR_FATAL. */
PGresult *pg_monitor_query(struct pg_monitor *m, const char *what, const char *sql, int n,
			   const char *const *values, struct error *err);

#endif
