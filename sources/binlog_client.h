/*
 * binlog_client.h - the next raw event of a server's binary log, by MariaDB Connector/C or Oracle's libmysqlclient
 *
 * The one file that knows which library it is (MYSQL_CLIENT=libmysqlclient in the Makefile builds the second).
 * One thread a connection, but for interrupt().
 */
#ifndef BINLOG_CLIENT_H
#define BINLOG_CLIENT_H

#include "config.h"

struct mysql_url {		/* mysql://user@host:port/database?sslmode=...&sslrootcert=...; strings owned */
	char		*user, *password, *host, *database, *sslrootcert, *socket;
	unsigned	port;		/* 3306 */
	int		sslmode;	/* enum mysql_sslmode */
};
enum mysql_sslmode { MYSQL_SSL_DISABLE, MYSQL_SSL_PREFER, MYSQL_SSL_REQUIRE, MYSQL_SSL_VERIFY_CA, MYSQL_SSL_VERIFY_FULL };
/* `password`, if not NULL, goes before the one in the URL.  ERR_FATAL EXIT_USAGE says what is wrong, without the URL. */
MUST_CHECK int mysql_url_parse(const char *url, const char *password, struct mysql_url *out, struct error *err);
void mysql_url_release(struct mysql_url *u);
void mysql_url_cleanup(struct mysql_url *u);	/* AUTO(mysql_url) struct mysql_url u = { 0 } */

/*
 * A connection for queries, in UTF-8, with settings that change text output pinned.  TLS as sslmode says: with
 * require and above the cipher is checked by us.  Waits at most timeout_ms (rounded up to seconds) for each
 * answer; only the resolution of a name blocks longer.  ERR_FATAL: wrong password or right; ERR_RETRY: no answer.
 */
struct mysql_conn;
struct mysql_conn *mysql_open(const struct mysql_url *u, const char *program, int timeout_ms, struct error *err);
void mysql_close_conn(struct mysql_conn *c);	/* NULL is fine; never waits */
bool mysql_conn_encrypted(const struct mysql_conn *c);
bool mysql_conn_loopback(const struct mysql_conn *c);
const char *mysql_conn_where(const struct mysql_conn *c);	/* "127.0.0.1:3306" or the socket's path */
const char *mysql_conn_server(const struct mysql_conn *c);	/* the version, as the server's greeting has it */

/* Rows of text; NULL values are { NULL, 0 }.  Valid until freed. */
struct mysql_rows { size_t n, ncolumns; struct str *values; struct arena arena; };
/*
 * An answer takes 25 s at most.  ERR_RETRY: the connection broke, or a passing condition of the server; ERR_FATAL:
 * the statement was refused.  err->code is the server's or the library's number.
 */
MUST_CHECK int mysql_query_rows(struct mysql_conn *c, const char *sql, struct mysql_rows *out, struct error *err);
MUST_CHECK int mysql_command(struct mysql_conn *c, const char *sql, struct error *err);
void mysql_rows_free(struct mysql_rows *r);
void mysql_rows_cleanup(struct mysql_rows *r);
struct str mysql_cell(const struct mysql_rows *r, size_t row, size_t column);
void mysql_quote(struct mysql_conn *c, struct buf *out, const char *text);	/* 'text', escaped */
void mysql_name(struct buf *out, const char *name);				/* `name` */
bool mysql_lacks_right(const struct error *err);	/* the server refused for want of a privilege */

/*
 * The same without waiting: send, then receive() until it is not 0.  1: *out is filled; 0: no answer yet; -1.  A query
 * in between takes the answer away: then nothing is pending any more.
 */
MUST_CHECK int mysql_send_sql(struct mysql_conn *c, const char *sql, struct error *err);
MUST_CHECK int mysql_receive_rows(struct mysql_conn *c, struct mysql_rows *out, struct error *err);
bool mysql_pending(const struct mysql_conn *c);

/* Turns the connection into a stream.  gtid: encoded set (MySQL) or p NULL; then file and pos. */
struct binlog_dump {
	uint32_t	server_id;
	const char	*file;		/* "" with MariaDB's GTID start (@slave_connect_state is set by the caller) */
	uint64_t	pos;		/* by file: at most UINT32_MAX, the protocol has no more */
	struct str	gtid;		/* p NULL: by file and position */
	bool		non_blocking;	/* end at the end of the log */
};
#define BINLOG_HEARTBEAT_MS 500	/* an idle server says so at least this often */
MUST_CHECK int binlog_dump_start(struct mysql_conn *c, const struct binlog_dump *d, struct error *err);
/*
 * Waits at most timeout_ms (a library that does not tell what it has buffered: 50 ms at least): 1 an event (valid
 * until the next call), 0 none yet, 2 the end of the log (non_blocking).
 * ERR_RETRY: the connection broke; ERR_FATAL EXIT_LOG_GONE: the server no longer has what is asked for (1236).
 */
MUST_CHECK int binlog_dump_next(struct mysql_conn *c, int timeout_ms, struct str *event, struct error *err);
void binlog_dump_interrupt(struct mysql_conn *c);	/* any thread: next() returns soon with ERR_RETRY */
/* What the server's words at the end of a dump mean. */
int binlog_dump_judge(unsigned code, const char *text, const char *where, struct error *err);

#endif
