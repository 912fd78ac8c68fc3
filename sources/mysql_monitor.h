/*
 * mysql_monitor.h - the control connection while the log is read: how much of it there is
 *
 * Once a second the list of the server's files is asked for, without waiting for the answer.  One thread.
 */
#ifndef MYSQL_MONITOR_H
#define MYSQL_MONITOR_H

#include "mysql_server.h"
#include "source.h"

struct mysql_monitor {
	struct mysql_conn	*conn;
	struct mysql_server	*server;	/* its list of files is kept up to date; borrowed */
	struct error		failure;	/* kind != ERR_NONE: the connection is of no use any more */
	int64_t			measured;	/* monotonic_us(); 0: never */
	/* its own */
	bool			waiting, refused;
	int64_t			sent, next;
	char			*file;		/* up to there the log may be forgotten */
	uint64_t		pos;
	uint32_t		mark_file;	/* the log's end as it was at mark_at */
	uint64_t		mark_pos;
	int64_t			mark_at, current_at;	/* current_at: what is acknowledged was the end then */
};

/* Takes over an idle connection; stop() closes it. */
void mysql_monitor_start(struct mysql_monitor *m, struct mysql_conn *conn, struct mysql_server *server);
void mysql_monitor_stop(struct mysql_monitor *m);
void mysql_monitor_release(struct mysql_monitor *m);
void mysql_monitor_step(struct mysql_monitor *m);	/* never waits; cheap when nothing is due */
void mysql_monitor_ack(struct mysql_monitor *m, const struct mysql_resume *upto);
/* place: where reading is.  Fills retained_bytes, lag_bytes, seconds_until_lost, measured_us. */
void mysql_monitor_extent(const struct mysql_monitor *m, struct str file, uint64_t pos, struct source_extent *out);

#endif
