/*
 * pg_connection.h - connections to PostgreSQL that never block for longer than they are told
 *
 * Everything goes through libpq's asynchronous calls and poll(); only the resolution of a host
 * name blocks.  Deadlines are values of monotonic_us().  One thread per connection.
 */
#ifndef PG_CONNECTION_H
#define PG_CONNECTION_H

#include <libpq-fe.h>

#include "clock.h"
#include "error.h"

struct pg_params {		/* strings are borrowed */
	const char	*url, *password;	/* password NULL or "": the URL's, PGPASSWORD, .pgpass */
	const char	*application;
	const char	*encoding;		/* client_encoding; NULL: UTF8 */
	bool		replication;
};


/* ERR_FATAL with EXIT_USAGE when the URL is none; the text never repeats it. */
MUST_CHECK int pg_url_check(const char *url, struct error *err);

/* A connection in the making. step(): 1 connected (take a->conn), 0 not yet, -1 failed and freed. */
struct pg_attempt { PGconn *conn; PostgresPollingStatusType want; bool replication; };
MUST_CHECK int pg_attempt_start(struct pg_attempt *a, const struct pg_params *p, struct error *err);
MUST_CHECK int pg_attempt_step(struct pg_attempt *a, struct error *err);
MUST_CHECK int pg_attempt_run(struct pg_attempt *a, int64_t deadline, struct error *err);	/* steps until then */
void	       pg_attempt_drop(struct pg_attempt *a);

/* Connects, with settings that change text output pinned and checked.  NULL on error. */
PGconn *pg_connect(const struct pg_params *p, int64_t deadline, struct error *err);
/* Do the pinned settings hold?  ERR_FATAL names the one that does not. */
MUST_CHECK int pg_pins_check(PGconn *conn, int64_t deadline, struct error *err);

/*
 * One statement and its result (tuples or command), NULL on error.  `what` begins the error: "cannot
 * read pg_class".  After a timeout (ERR_RETRY, err->code ETIMEDOUT) the connection must be closed.
 */
PGresult *pg_query(PGconn *conn, int64_t deadline, const char *what, const char *sql, struct error *err);
PGresult *pg_query_params(PGconn *conn, int64_t deadline, const char *what, const char *sql, int n,
			  const char *const *values, struct error *err);
MUST_CHECK int pg_command(PGconn *conn, int64_t deadline, const char *what, const char *sql, struct error *err);
/* The result of a statement that was sent: NULL and ETIMEDOUT when it is not there at the deadline. */
PGresult *pg_await(PGconn *conn, int64_t deadline, const char *what, struct error *err);
/* Sockets: waits for input (and for room, if output is pending).  1 ready, 0 deadline, -1 failed. */
int pg_wait(PGconn *conn, int64_t deadline);

/* Fills *err from a failed result, or from the connection when r is NULL.  err->text begins with `what`. */
int  pg_fail(const PGresult *r, PGconn *conn, const char *what, struct error *err);
bool pg_error_is(const PGresult *r, const char *sqlstate);
enum error_kind pg_state_kind(const char *sqlstate);	/* ERR_RETRY or ERR_FATAL */
/* Kind of a failed connection attempt by libpq's verbose text; *state gets the SQLSTATE or "". */
enum error_kind pg_connect_kind(const char *text, char state[6]);

bool	    pg_is_loopback(PGconn *conn);
const char *pg_where(PGconn *conn, char out[192]);	/* "127.0.0.1:5432/erp"; returns out */

/* Identifiers and literals for statements that take no parameters. */
void pg_ident(struct buf *out, const char *name);
void pg_name(struct buf *out, const char *schema, const char *name);	/* "a"."b" */
void pg_literal(struct buf *out, const char *text);

bool pg_lsn_parse(const char *text, uint64_t *lsn);	/* "16/B374D848" */
#define PG_LSN_TEXT	20
const char *pg_lsn_text(uint64_t lsn, char out[PG_LSN_TEXT]);
/*
 * Where the log read so far ends when it was written up to `lsn`: right behind a page's header (24
 * bytes, 40 in a segment's first page) the reader of the log still stands at the page's start.
 */
uint64_t pg_lsn_page_start(uint64_t lsn, uint64_t block, uint64_t segment);

/* Column of a result as text; NULL for SQL NULL. */
static inline const char *pg_get(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}
static inline bool pg_get_bool(const PGresult *r, int row, int column)
{
	return PQgetvalue(r, row, column)[0] == 't';
}
uint64_t pg_get_u64(const PGresult *r, int row, int column);	/* 0 for NULL */
uint64_t pg_get_lsn(const PGresult *r, int row, int column);	/* 0 for NULL */

static inline void PGresult_cleanup(PGresult **r) { PQclear(*r); }	/* AUTO(PGresult) PGresult *r */
static inline void PGconn_cleanup(PGconn **c) { PQfinish(*c); }

#endif
