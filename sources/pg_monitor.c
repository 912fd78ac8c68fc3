/*
 * pg_monitor.c - asynchronous queries on the control connection
 *
 * The heartbeat is a transactional message: its commit is flushed, and its transaction id makes the
 * server log the running transactions again, at which restart_lsn moves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_monitor.h"

#define SECOND           INT64_C(1000000)
#define BORROW_TIMEOUT   (5 * SECOND)
#define ANSWER_TIMEOUT   (30 * SECOND)
#define PUBLICATION_EACH (3 * SECOND)
#define BACKOFF_MAX      (30 * SECOND)
#define HEARTBEAT_BYTES  (UINT64_C(1) << 20)

void pg_monitor_start(struct pg_monitor *m, PGconn *conn)
{
	pg_monitor_stop(m);
	m->conn = conn;
	m->state = PG_MONITOR_IDLE;
	m->backoff = 0;
	m->next_extent = 0;
	m->next_publication = monotonic_us() + PUBLICATION_EACH;
	m->next_partitions = m->next_publication;
	m->rate_since = m->still_since = 0;
	m->failure = (struct error){ 0 };
}

void pg_monitor_stop(struct pg_monitor *m)
{
	if (m->attempt.conn)
		pg_attempt_drop(&m->attempt);
	PQfinish(m->conn);
	m->conn = NULL;
	m->state = PG_MONITOR_LOST;
}

void pg_monitor_release(struct pg_monitor *m)
{
	pg_monitor_stop(m);
	free(m->members);
	m->members = NULL;
	pg_partitions_release(&m->partitions);
}

static void lost(struct pg_monitor *m, const char *why)
{
	m->backoff = m->backoff ? m->backoff * 2 : SECOND;
	if (m->backoff > BACKOFF_MAX)
		m->backoff = BACKOFF_MAX;
	if (!m->warned)
		log_warning("control connection lost; streaming goes on, measurements do not",
			    "reason", why, NULL);
	m->warned = true;
	pg_monitor_stop(m);
	m->retry_at = monotonic_us() + m->backoff;
}

static void reopen(struct pg_monitor *m)
{
	struct error err;
	int rc = m->state == PG_MONITOR_LOST ? pg_attempt_start(&m->attempt, &m->params, &err) : 0;

	if (m->state == PG_MONITOR_LOST)
		m->sent = monotonic_us();
	m->state = PG_MONITOR_CONNECTING;
	if (rc == 0)
		rc = pg_attempt_step(&m->attempt, &err);
	if (rc == 0 && monotonic_us() - m->sent > ANSWER_TIMEOUT)
		rc = fail(&err, ERR_RETRY, "no answer in time");
	if (rc < 0) {
		lost(m, err.text);
	} else if (rc > 0) {
		m->conn = m->attempt.conn;
		m->attempt.conn = NULL;
		m->state = PG_MONITOR_IDLE;
		if (m->warned)
			log_info("control connection is back", NULL);
		m->warned = false;
		m->backoff = 0;
	}
}

/* How much of a slot is safe is told from 13 on. */
#define EXTENT_SQL(safe)                                                                           \
	"SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"                                          \
	" THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() "    \
	"END,"                                                                                     \
	" s.restart_lsn, s.confirmed_flush_lsn, " safe                                             \
	" FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1"

/* One row while the publication is there; the last column names tables that are gone from it. */
static const char publication_sql[] =
	"SELECT p.pubinsert AND p.pubupdate AND p.pubdelete,"
	" (SELECT pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ')"
	"  FROM pg_catalog.unnest($2::pg_catalog.oid[]) m(oid)"
	"  JOIN pg_catalog.pg_class c ON c.oid = m.oid"
	"  WHERE NOT p.puballtables AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r"
	"  WHERE r.prpubid = p.oid AND r.prrelid = m.oid))"
	" FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

static void send_query(struct pg_monitor *m, enum pg_monitor_state state, const char *sql, int n,
		       const char *const *values)
{
	if (!PQsendQueryParams(m->conn, sql, n, NULL, values, NULL, NULL, 0)) {
		lost(m, PQerrorMessage(m->conn));
		return;
	}
	m->state = state;
	m->sent = monotonic_us();
	(void)PQflush(m->conn);
}

static void measure_rate(struct pg_monitor *m, int64_t now)
{
	if (m->rate_since == 0 || m->flushed < m->rate_from) {
		m->rate_since = now;
		m->rate_from = m->flushed;
		return;
	}
	int64_t span = now - m->rate_since;

	if (span < 5 * SECOND)
		return;
	double rate = (double)(m->flushed - m->rate_from) / ((double)span / SECOND);

	m->rate = m->rate > 0 ? m->rate * 0.7 + rate * 0.3 : rate;
	m->rate_since = now;
	m->rate_from = m->flushed;
}

static void take_extent(struct pg_monitor *m, const PGresult *r)
{
	int64_t now = monotonic_us();

	if (PQntuples(r) == 0)
		return;
	uint64_t restart = pg_get_lsn(r, 0, 1);

	m->flushed = pg_get_lsn(r, 0, 0);
	m->confirmed = pg_get_lsn(r, 0, 2);
	m->safe_bytes = pg_get(r, 0, 3) ? (int64_t)strtoll(pg_get(r, 0, 3), NULL, 10) : -1;
	if (restart != m->restart || m->still_since == 0) {
		m->restart = restart;
		m->still_since = now;
		m->still_from = m->flushed;
	}
	m->measured = now;
	measure_rate(m, now);
	const char *status = pg_get(r, 0, 4);

	if (status && strcmp(status, "unreserved") == 0)
		log_warning("the server is about to remove log that the slot still needs; raise "
			    "max_slot_wal_keep_size",
			    "slot", m->slot, NULL);
}

static void take_publication(struct pg_monitor *m, const PGresult *r)
{
	const char *gone = PQntuples(r) ? pg_get(r, 0, 1) : NULL;

	if (PQntuples(r) == 0)
		(void)fail(&m->failure, ERR_FATAL,
			   "publication \"%s\" was dropped or renamed while it was streamed; put "
			   "it back "
			   "(ALTER PUBLICATION ... RENAME TO \"%s\"): changes made while it is "
			   "gone cannot be "
			   "read, their tables must be loaded anew",
			   m->publication, m->publication);
	else if (!pg_get_bool(r, 0, 0))
		(void)fail(&m->failure, ERR_FATAL,
			   "publication \"%s\" was narrowed while it was streamed: it no longer "
			   "publishes "
			   "insert, update and delete; run ALTER PUBLICATION \"%s\" SET (publish = "
			   "'insert, "
			   "update, delete%s') and load anew what changed meanwhile",
			   m->publication, m->publication,
			   m->version >= 110000 ? ", truncate" : "");
	else if (gone)
		(void)fail(&m->failure, ERR_FATAL,
			   "publication \"%s\" was narrowed while it was streamed: %.300s left it; "
			   "run ALTER "
			   "PUBLICATION \"%s\" ADD TABLE for it and load anew what changed "
			   "meanwhile, or "
			   "exclude it in source.tables",
			   m->publication, gone, m->publication);
}

static void take_result(struct pg_monitor *m, const PGresult *r)
{
	enum pg_monitor_state was = m->state;

	m->state = PG_MONITOR_IDLE;
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		struct error err;

		(void)pg_fail(r, m->conn, "control query failed", &err);
		if (was == PG_MONITOR_HEARTBEAT) {
			m->heartbeat_refused = true;
			log_warning("the heartbeat message cannot be written; GRANT EXECUTE ON "
				    "FUNCTION "
				    "pg_catalog.pg_logical_emit_message(boolean, text, text)",
				    "reason", err.text, NULL);
		} else {
			log_debug("control query failed", "reason", err.text, NULL);
		}
		return;
	}
	if (was == PG_MONITOR_EXTENT)
		take_extent(m, r);
	else if (was == PG_MONITOR_PUBLICATION)
		take_publication(m, r);
	else if (was == PG_MONITOR_PARTITIONS &&
		 pg_partitions_compare(&m->partitions, r, &m->failure))
		(void)error_prefix(&m->failure, "cannot remember the partitions");
}

/* Has the answer come?  1 yes (and taken), 0 not yet, -1 the connection is lost. */
static int collect(struct pg_monitor *m)
{
	PGresult *r;

	if (PQflush(m->conn) < 0 || !PQconsumeInput(m->conn)) {
		lost(m, PQerrorMessage(m->conn));
		return -1;
	}
	while (!PQisBusy(m->conn)) {
		if (!(r = PQgetResult(m->conn))) {
			if (m->state != PG_MONITOR_IDLE && PQstatus(m->conn) == CONNECTION_BAD) {
				lost(m, PQerrorMessage(m->conn));
				return -1;
			}
			m->state = PG_MONITOR_IDLE;
			return 1;
		}
		take_result(m, r);
		PQclear(r);
		if (PQstatus(m->conn) == CONNECTION_BAD) {
			lost(m, "closed by the server");
			return -1;
		}
	}
	return 0;
}

static bool heartbeat_due(const struct pg_monitor *m, int64_t now)
{
	return m->heartbeat > 0 && !m->standby && !m->heartbeat_refused && m->still_since &&
	       now - m->still_since >= m->heartbeat && now - m->beaten >= m->heartbeat &&
	       m->flushed > m->still_from && m->flushed - m->still_from > HEARTBEAT_BYTES;
}

static void send_due(struct pg_monitor *m, int64_t now)
{
	const char *values[] = { m->slot, NULL };

	if (now >= m->next_extent) {
		m->next_extent = now + SECOND;
		send_query(m, PG_MONITOR_EXTENT,
			   m->version >= 130000 ? EXTENT_SQL("s.safe_wal_size, s.wal_status")
						: EXTENT_SQL("NULL, NULL"),
			   1, values);
	} else if (now >= m->next_publication) {
		m->next_publication = now + PUBLICATION_EACH;
		values[0] = m->publication;
		values[1] = m->members;
		send_query(m, PG_MONITOR_PUBLICATION, publication_sql, 2, values);
	} else if (m->partitions.roots && now >= m->next_partitions) {
		m->next_partitions = now + PUBLICATION_EACH;
		values[0] = m->partitions.roots;
		send_query(m, PG_MONITOR_PARTITIONS, pg_partitions_sql, 1, values);
	} else if (heartbeat_due(m, now)) {
		m->beaten = now;
		send_query(m, PG_MONITOR_HEARTBEAT,
			   "SELECT pg_catalog.pg_logical_emit_message(true, 'tailrace', '')", 0,
			   NULL);
	}
}

void pg_monitor_step(struct pg_monitor *m)
{
	int64_t now = monotonic_us();

	switch (m->state) {
	case PG_MONITOR_LOST:
		if (now >= m->retry_at)
			reopen(m);
		break;
	case PG_MONITOR_CONNECTING:
		reopen(m);
		break;
	case PG_MONITOR_IDLE:
		send_due(m, now);
		break;
	default:
		if (collect(m) == 0 && now - m->sent > ANSWER_TIMEOUT)
			lost(m, "no answer in time");
	}
}

/* Waits until nothing of ours is under way on the connection, opening it if need be. */
static int borrow(struct pg_monitor *m, int64_t deadline, struct error *err)
{
	if (m->state == PG_MONITOR_LOST || m->state == PG_MONITOR_CONNECTING) {
		pg_monitor_stop(m);
		m->conn = pg_connect(&m->params, deadline, err);
		if (!m->conn)
			return -1;
		m->state = PG_MONITOR_IDLE;
	}
	while (m->state != PG_MONITOR_IDLE) {
		int rc = collect(m);

		if (rc == 0 && pg_wait(m->conn, deadline) == 0)
			rc = -1;
		if (rc < 0)
			return fail(err, ERR_RETRY, "control connection: no answer in time");
	}
	return 0;
}

PGresult *pg_monitor_query(struct pg_monitor *m, const char *what, const char *sql, int n,
			   const char *const *values, struct error *err)
{
	int64_t deadline = monotonic_us() + BORROW_TIMEOUT;

	if (borrow(m, deadline, err)) {
		(void)error_prefix(err, "%s", what);
		return NULL;
	}
	PGresult *r = pg_query_params(m->conn, deadline, what, sql, n, values, err);

	if (!r && (err->code == ETIMEDOUT || PQstatus(m->conn) == CONNECTION_BAD))
		lost(m, err->text);
	return r;
}
