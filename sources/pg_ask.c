/*
 * pg_ask.c - statements that end when the agent stops
 */
#include <errno.h>
#include <stdio.h>

#include "log.h"
#include "pg_ask.h"

#define SECOND         INT64_C(1000000)
#define ANSWER_TIMEOUT (60 * SECOND)
#define LOOK_EACH      (SECOND / 10) /* whether the agent stops */

void pg_ask_cancel(struct pg_ask *a)
{
	PGcancel *cancel = PQgetCancel(a->conn);
	char why[256];

	if (cancel && !PQcancel(cancel, why, sizeof why))
		log_debug("cannot cancel a statement", "reason", why, NULL);
	PQfreeCancel(cancel);
}

int pg_ask_fail(struct pg_ask *a, const PGresult *r, const char *what, struct error *err)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

	snprintf(a->state, sizeof a->state, "%s", state ? state : "");
	(void)pg_fail(r, a->conn, what, err);
	if (!r || PQstatus(a->conn) == CONNECTION_BAD) {
		err->kind = ERR_RETRY;
		err->code = ENOTCONN;
	}
	return -1;
}

static int given_up(const char *what, const char *why, struct error *err)
{
	(void)fail(err, ERR_RETRY, "%s: %s", what, why);
	err->code = ENOTCONN;
	return -1;
}

PGconn *pg_ask_connect(const struct pg_params *p, int64_t timeout, const atomic_bool *stopping,
		       struct error *err)
{
	int64_t deadline = monotonic_us() + timeout, now;
	struct pg_attempt attempt;
	char where[192];

	if (pg_attempt_start(&attempt, p, err))
		return NULL;
	int rc;

	do {
		now = monotonic_us();
		rc = pg_attempt_run(&attempt, now + LOOK_EACH, err);
	} while (rc == 0 && now < deadline && !atomic_load(stopping));
	if (rc < 0)
		return NULL;
	if (rc == 0)
		(void)fail(err, ERR_RETRY, "cannot connect to PostgreSQL at %s: no answer in time",
			   pg_where(attempt.conn, where));
	if (rc == 0 || pg_pins_check(attempt.conn, deadline, err)) {
		pg_attempt_drop(&attempt);
		return NULL;
	}
	return attempt.conn;
}

int pg_ask_wait(struct pg_ask *a, const char *what, struct error *err)
{
	int ready;

	do {
		if (atomic_load(a->stopping)) {
			pg_ask_cancel(a);
			return given_up(what, "the agent stops", err);
		}
		ready = pg_wait(a->conn, monotonic_us() + LOOK_EACH);
	} while (ready == 0);
	if (ready < 0 || !PQconsumeInput(a->conn))
		return pg_ask_fail(a, NULL, what, err);
	return 0;
}

/* The next result; 1: *r is it or NULL, -1. */
static int next_result(struct pg_ask *a, int64_t deadline, const char *what, PGresult **r,
		       struct error *err)
{
	while (PQisBusy(a->conn)) {
		if (atomic_load(a->stopping)) {
			pg_ask_cancel(a);
			return given_up(what, "the agent stops", err);
		}
		int64_t now = monotonic_us();

		if (deadline && now >= deadline) {
			pg_ask_cancel(a);
			return given_up(what, "no answer in time", err);
		}
		int ready = pg_wait(a->conn, now + LOOK_EACH);

		if (ready < 0 || (ready > 0 && !PQconsumeInput(a->conn)))
			return pg_ask_fail(a, NULL, what, err);
	}
	*r = PQgetResult(a->conn);
	return 0;
}

PGresult *pg_ask_await(struct pg_ask *a, int64_t timeout, const char *what, struct error *err)
{
	int64_t deadline = timeout ? monotonic_us() + timeout : 0;
	PGresult *last = NULL, *r;

	a->state[0] = '\0';
	for (;;) {
		if (next_result(a, deadline, what, &r, err)) {
			PQclear(last);
			return NULL;
		}
		if (!r)
			break;
		PQclear(last);
		last = r;
		if (PQresultStatus(r) == PGRES_COPY_OUT)
			break;
	}
	ExecStatusType status = PQresultStatus(last);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_OUT)
		return last;
	(void)pg_ask_fail(a, last, what, err);
	PQclear(last);
	return NULL;
}

PGresult *pg_ask(struct pg_ask *a, const char *what, const char *sql, struct error *err)
{
	if (!PQsendQuery(a->conn, sql)) {
		(void)pg_ask_fail(a, NULL, what, err);
		return NULL;
	}
	return pg_ask_await(a, ANSWER_TIMEOUT, what, err);
}

PGresult *pg_ask_params(struct pg_ask *a, const char *what, const char *sql, int n,
			const char *const *values, struct error *err)
{
	if (!PQsendQueryParams(a->conn, sql, n, NULL, values, NULL, NULL, 0)) {
		(void)pg_ask_fail(a, NULL, what, err);
		return NULL;
	}
	return pg_ask_await(a, ANSWER_TIMEOUT, what, err);
}

int pg_ask_command(struct pg_ask *a, const char *what, const char *sql, struct error *err)
{
	PGresult *r = pg_ask(a, what, sql, err);

	PQclear(r);
	return r ? 0 : -1;
}
