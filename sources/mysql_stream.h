/*
 * mysql_stream.h - the binary log as it comes from the server, decoded
 *
 * The decoder outlives connections: it remembers which transaction has to be held when it is read again.  One thread.
 */
#ifndef MYSQL_STREAM_H
#define MYSQL_STREAM_H

#include "mysql_server.h"

struct mysql_stream {
	struct mysql_conn	*conn;		/* NULL: not streaming */
	struct binlog		*decoder;	/* owned */
	char			*file;		/* where the log ended at connect */
	uint64_t		pos;
	bool			begun;		/* something came over this connection: the place is of this server */
	int64_t			heard, read_at;	/* monotonic_us() */
};

struct mysql_stream_options {
	const struct mysql_server	*server;
	const struct mysql_resume	*from;
	const struct position		*skip;	/* known up to there */
	uint32_t			server_id;
	const char			*uuid;
};

/* Takes over an idle connection; mysql_stream_stop() closes it. */
MUST_CHECK int mysql_stream_start(struct mysql_stream *s, struct mysql_conn *conn,
				  const struct mysql_stream_options *o, struct error *err);
/* Waits until the deadline at most, appends what is there. */
MUST_CHECK int mysql_stream_read(struct mysql_stream *s, struct batch *b, int64_t deadline, struct error *err);
bool mysql_stream_caught_up(const struct mysql_stream *s);	/* with what was committed before the start */
void mysql_stream_stop(struct mysql_stream *s);
void mysql_stream_release(struct mysql_stream *s);

#endif
