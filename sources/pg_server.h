/*
 * pg_server.h - what a server is and how it is set, read once at connect
 */
#ifndef PG_SERVER_H
#define PG_SERVER_H

#include "check.h"
#include "config.h"
#include "pg_connection.h"

struct pg_server {
	int		version;		/* 150018 */
	char		version_text[64];	/* "15.18" */
	char		database[64], wal_level[16];
	bool		standby;
	bool		raw;			/* SQL_ASCII: nobody knows what its bytes mean */
	uint64_t	end;			/* LSN: the log's end; on a standby as far as it was replayed */
	uint64_t	target;			/* what a reader of the log must have seen to have seen all before `end` */
	uint64_t	block, segment;		/* bytes of a WAL page and of a segment */
	int64_t		sender_timeout;		/* wal_sender_timeout, microseconds; 0: none */
	int64_t		flush_delay;		/* until what was written has been flushed, microseconds */
	int64_t		read_at;		/* monotonic_us() */
};

MUST_CHECK int pg_server_load(PGconn *control, int64_t deadline, struct pg_server *out, struct error *err);
/* Can it be tailed at all?  ERR_FATAL with the SQL if not. */
MUST_CHECK int pg_server_judge(const struct pg_server *s, struct error *err);
/* Can it lose changes that are under way when a table is added to a publication?  (Fixed in May 2025.) */
bool	 pg_server_adds_unsafely(int version);
uint64_t pg_server_page_start(const struct pg_server *s, uint64_t lsn);
void	 pg_server_name(const struct pg_server *s, PGconn *conn, char out[128]);

int pg_resume_cmp(const char *a, const char *b);	/* source_ops.resume_cmp */
bool pg_same_log(const char *a, const char *b);		/* source_ops.same_log */

/* source_ops.check (pg_check.c). */
MUST_CHECK int pg_check(const struct config *c, struct findings *out, struct error *err);

#endif
