/*
 * pg_stream.h - the replication stream: messages in, feedback out
 *
 * Reads CopyData messages without blocking, has them decoded into a batch, answers keepalives at
 * once with what was acknowledged and never more.  One thread.
 */
#ifndef PG_STREAM_H
#define PG_STREAM_H

#include "pg_connection.h"
#include "pg_timeline.h"
#include "pgoutput.h"

struct pg_stream {
	/* set by the owner before pg_stream_start() */
	PGconn			*conn;		/* replication connection; owned here, NULL when closed */
	const struct pg_log	*log;
	int64_t			server_timeout;	/* wal_sender_timeout, microseconds; 0: none */
	uint64_t		target;		/* everything before it was committed when we connected */
	uint64_t		acked;		/* what may be forgotten; kept over connections */

	/* its own */
	struct pgoutput		*decoder;
	char			*where;		/* "slot \"tailrace_erp\"": begins errors */
	uint64_t		from;		/* where this connection began */
	uint64_t		seen;		/* everything before it was read */
	uint64_t		given;		/* the greatest LSN of a resume token handed out */
	uint64_t		told;		/* the last `acked` that the server was told */
	uint64_t		last_lsn;	/* of the last message, for errors */
	int64_t			server_us;	/* the server's clock in the last keepalive, since 1970 */
	int64_t			told_at, asked_at, beat_at, data_at, quiet_since, read_at;
	int64_t			patience;	/* silence after which the server counts as gone */
	size_t			drained;	/* bytes that the last read() took */
	bool			hastened;	/* the next place read is to be told of at once */
	int64_t			hastened_at;
	bool			skipping;	/* the server leaves changes out: its publication is gone */
	unsigned		begged;		/* replies asked for in a row, nothing new in between */
	int64_t			begged_at;
	uint64_t		begged_end;
};

struct pg_stream_options {
	const char	*slot, *publication;
	uint64_t	lsn;
	int		version;
	bool		binary;
};
/* START_REPLICATION text; version decides which options are there. */
void pg_stream_sql(const struct pg_stream_options *o, struct buf *out);
MUST_CHECK int pg_stream_start(struct pg_stream *s, const struct pg_stream_options *o,
			       const struct pgoutput_config *decoder, int64_t deadline, struct error *err);
/* One round: appends to b what is there, waiting until `deadline` for the first of it. */
MUST_CHECK int pg_stream_read(struct pg_stream *s, struct batch *b, int64_t deadline, struct error *err);
/* Remembers `lsn` and tells the server when that is due.  Never waits. */
MUST_CHECK int pg_stream_ack(struct pg_stream *s, uint64_t lsn, struct error *err);
/* Asks the server where its log ends; what it answers is a HEARTBEAT at once.  Never waits; seldom acts. */
void pg_stream_hasten(struct pg_stream *s);
bool pg_stream_caught_up(const struct pg_stream *s);
bool pg_stream_stopping(const struct pg_stream *s);
/* A last status, the end of the copy, and the connection is closed. */
void pg_stream_stop(struct pg_stream *s);
void pg_stream_release(struct pg_stream *s);

#endif
