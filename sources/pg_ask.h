/*
 * pg_ask.h - statements that end when the agent stops
 *
 * As pg_query() and its kin, but a set `stopping` cancels the statement.  A connection that is lost,
 * that gave no answer in time or was cancelled is of no more use: err->code is ENOTCONN.  One thread.
 */
#ifndef PG_ASK_H
#define PG_ASK_H

#include <stdatomic.h>

#include "pg_connection.h"

struct pg_ask {
	PGconn			*conn;
	const atomic_bool	*stopping;
	char			state[6];	/* SQLSTATE of the last statement that failed, or "" */
};

/* As pg_connect().  NULL on error. */
PGconn *pg_ask_connect(const struct pg_params *p, int64_t timeout, const atomic_bool *stopping, struct error *err);
/* The last result of what was sent.  timeout in microseconds; 0: none.  NULL on error. */
PGresult *pg_ask_await(struct pg_ask *a, int64_t timeout, const char *what, struct error *err);
PGresult *pg_ask(struct pg_ask *a, const char *what, const char *sql, struct error *err);
PGresult *pg_ask_params(struct pg_ask *a, const char *what, const char *sql, int n,
			const char *const *values, struct error *err);
MUST_CHECK int pg_ask_command(struct pg_ask *a, const char *what, const char *sql, struct error *err);
/* Waits for bytes of the server's.  -1: lost, or stopping. */
MUST_CHECK int pg_ask_wait(struct pg_ask *a, const char *what, struct error *err);
/* Fills *err for a statement that failed; r NULL: the connection did. */
int  pg_ask_fail(struct pg_ask *a, const PGresult *r, const char *what, struct error *err);
/* Asks the server to end the statement under way. */
void pg_ask_cancel(struct pg_ask *a);

#endif
