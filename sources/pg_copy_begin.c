/*
 * pg_copy_begin.c - the transaction that one read of a table is
 *
 * The lock comes before the snapshot: TRUNCATE and rewrites are not MVCC, a snapshot older than one
 * sees an empty table.  LOCK TABLE takes no snapshot, the first query after it does.
 *
 * An exact read takes the snapshot that a new replication slot exports: it sees the commits before the
 * slot's consistent point in the log and no others.  The slot goes once the snapshot is ours.  It
 * may wait long for open transactions, so the lock comes after it, and then a look at whether the
 * table's file is still the one that the snapshot knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "pg_copier.h"
#include "pg_slot.h"

#define SECOND       INT64_C(1000000)
#define OPEN_TIMEOUT (20 * SECOND)
#define SLOT_TIMEOUT (60 * SECOND) /* for open transactions to end */

static const char failed[] = "cannot begin to read";

/* --- who is waited for --- */

/* Everybody may see pg_locks; what else there is of other roles needs pg_monitor. */
static int say_awaited(struct copier *c, uint64_t xid, struct error *err)
{
	char id[16], text[256] = "";
	const char *const value = id;
	struct error ignored;

	snprintf(id, sizeof id, "%u", (unsigned)(uint32_t)xid);
	AUTO(PGresult)
	PGresult *r = pg_ask_params(
		&c->ask, "cannot look for a transaction",
		"SELECT 'pid ' || l.pid, a.usename, a.xact_start, a.application_name"
		" FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
		" WHERE l.locktype = 'transactionid' AND l.granted"
		" AND l.transactionid::pg_catalog.text = $1"
		" UNION ALL SELECT 'prepared transaction ' || p.gid, p.owner, p.prepared, "
		"p.database"
		" FROM pg_catalog.pg_prepared_xacts p WHERE p.transaction::pg_catalog.text = $1",
		1, &value, &ignored);

	if (r && PQntuples(r))
		snprintf(text, sizeof text, ": %.80s (user %.40s, %.40s), open since %.30s",
			 PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 3),
			 pg_get(r, 0, 2) ? pg_get(r, 0, 2) : "a while ago");
	(void)fail(err, ERR_RETRY,
		   "waits for transaction %s, which was open when the tables to load were looked "
		   "at%s",
		   id, text);
	if (!r)
		err->code = ignored.code;
	return -1;
}

/* Have all ended that were open when the copier was? */
static int outlast(struct copier *c, struct error *err)
{
	struct pg_snapshot s;

	if (c->settled)
		return 0;
	AUTO(PGresult)
	PGresult *r =
		pg_ask(&c->ask, failed,
		       c->server.version >= 130000 ? "SELECT pg_catalog.pg_current_snapshot()"
						   : "SELECT pg_catalog.txid_current_snapshot()",
		       err);

	if (!r)
		return -1;
	if (!pg_snapshot_parse(pg_get(r, 0, 0), &s))
		return fail(err, ERR_FATAL, "not a snapshot: %.100s", PQgetvalue(r, 0, 0));
	if (s.xmin < c->horizon)
		return say_awaited(c, s.xmin, err);
	c->settled = true;
	return 0;
}

/* The lock was not had in time. */
static int say_locked(struct copier *c, const struct pg_table *t, struct error *err)
{
	char oid[16], text[200] = "";
	const char *const value = oid;
	struct error ignored;

	if (pg_copy_end(c, err))
		return -1;
	snprintf(oid, sizeof oid, "%u", t->oid);
	AUTO(PGresult)
	PGresult *r = pg_ask_params(
		&c->ask, "cannot look for a lock",
		"SELECT l.pid, a.usename, l.mode FROM pg_catalog.pg_locks l"
		" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
		" WHERE l.relation = $1::pg_catalog.oid AND l.mode = 'AccessExclusiveLock'"
		" AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
		"  WHERE d.datname = pg_catalog.current_database())"
		" ORDER BY l.granted DESC LIMIT 1",
		1, &value, &ignored);

	if (r && PQntuples(r))
		snprintf(text, sizeof text, ": pid %s (user %.60s) holds it or waits for it",
			 PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
	(void)fail(err, ERR_RETRY, "table %s.%s is locked%s", t->schema, t->name, text);
	if (!r)
		err->code = ignored.code;
	return -1;
}

/* --- the transaction --- */

static void lock_sql(const struct pg_table *t, int64_t timeout, struct buf *out)
{
	buf_addf(out,
		 "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
		 " SET LOCAL statement_timeout = %lld; SET LOCAL enable_sort = off; LOCK TABLE ",
		 (long long)timeout / 1000);
	/* a partitioned table's lock is its partitions' too */
	if (t->kind == 'r')
		buf_adds(out, "ONLY ");
	pg_name(out, t->schema, t->name);
	buf_adds(out, " IN ACCESS SHARE MODE");
}

static int judge_begin(struct copier *c, const struct pg_table *t, struct error *err)
{
	if (strcmp(c->ask.state, "55P03") == 0)
		return say_locked(c, t, err);
	return pg_copier_judge(c, t->schema, t->name, err);
}

static struct visibility *take_snapshot(struct copier *c, const struct pg_table *t,
					struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	const char *end = c->server.standby ? "pg_catalog.pg_last_wal_replay_lsn()"
					    : "pg_catalog.pg_current_wal_insert_lsn()";
	const char *flushed = c->server.standby ? "pg_catalog.pg_last_wal_replay_lsn()"
						: "pg_catalog.pg_current_wal_flush_lsn()";

	lock_sql(t, PG_CHUNK_TIMEOUT, &sql);
	buf_addf(&sql, "; SELECT pg_catalog.%s(), %s, %s",
		 c->server.version >= 130000 ? "pg_current_snapshot" : "txid_current_snapshot", end,
		 flushed);
	c->begun = true;
	AUTO(PGresult) PGresult *r = pg_ask(&c->ask, failed, buf_z(&sql), err);

	if (!r) {
		(void)judge_begin(c, t, err);
		return NULL;
	}
	uint64_t place = pg_server_page_start(&c->server, pg_get_lsn(r, 0, 1));
	struct visibility *v = pg_visibility_new(pg_get(r, 0, 0), c->server.standby, place);

	if (!v)
		(void)fail(err, ERR_FATAL, "not a snapshot: %.100s", PQgetvalue(r, 0, 0));
	c->unflushed = pg_get_lsn(r, 0, 2) < place ? place : 0;
	return v;
}

/* --- exact --- */

/* Creates the slot on its own connection; the result holds the point and the snapshot's name. */
static PGresult *create_slot(struct copier *c, struct pg_ask *slot, struct error *err)
{
	char awaited[160];
	AUTO(buf) struct buf sql = { 0 };

	buf_addf(&sql,
		 "CREATE_REPLICATION_SLOT \"tailrace_copy_%d\" TEMPORARY LOGICAL pgoutput "
		 "EXPORT_SNAPSHOT",
		 PQbackendPID(slot->conn));
	if (!PQsendQuery(slot->conn, buf_z(&sql))) {
		(void)pg_ask_fail(slot, NULL, "cannot create a temporary slot", err);
		return NULL;
	}
	PGresult *r = pg_ask_await(slot, SLOT_TIMEOUT, "cannot create a temporary slot", err);

	if (r)
		return r;
	err->code = 0; /* it is not the copier's connection */
	if (!*slot->state && !atomic_load(slot->stopping)) {
		pg_slot_awaited(c->ask.conn, monotonic_us() + 2 * SECOND, PQbackendPID(slot->conn),
				awaited);
		(void)fail(err, ERR_RETRY,
			   "a table without a key is read at one place of the log: the server "
			   "waits for %s",
			   *awaited ? awaited : "open transactions");
	} else if (err->kind == ERR_FATAL) {
		err->kind = ERR_REJECT;
	}
	return NULL;
}

static int import(struct copier *c, const struct pg_table *t, const char *snapshot,
		  struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	lock_sql(t, 0, &sql);
	buf_adds(&sql, "; SET TRANSACTION SNAPSHOT ");
	pg_literal(&sql, snapshot);
	c->begun = true;
	return pg_ask_command(&c->ask, failed, buf_z(&sql), err) ? judge_begin(c, t, err) : 0;
}

/* Does the snapshot know the files that are read? */
static int check_files(struct copier *c, const struct pg_table *t, struct error *err)
{
	char oid[16];
	const char *const value = oid;

	snprintf(oid, sizeof oid, "%u", t->oid);
	AUTO(PGresult)
	PGresult *r = pg_ask_params(
		&c->ask, failed,
		"WITH RECURSIVE tree(oid) AS (SELECT $1::pg_catalog.oid UNION ALL"
		" SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid"
		" AND c.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid)"
		" SELECT pg_catalog.bool_and(c.relfilenode IS NOT DISTINCT FROM"
		" pg_catalog.pg_relation_filenode(c.oid)) FROM tree"
		" JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind = 'r'",
		1, &value, err);

	if (!r)
		return -1;
	if (!PQgetisnull(r, 0, 0) && !pg_get_bool(r, 0, 0))
		return fail(err, ERR_RETRY,
			    "table %s.%s was truncated or rewritten just when it was to be read",
			    t->schema, t->name);
	return 0;
}

static struct visibility *take_exact(struct copier *c, const struct pg_table *t, struct error *err)
{
	struct pg_params params = pg_copier_params(c, true);

	if (c->server.standby) {
		(void)fail(
			err, ERR_REJECT,
			"table %s.%s has no key to read it by, and a standby exports no place of "
			"the log: connect to the primary",
			t->schema, t->name);
		return NULL;
	}
	AUTO(PGconn)
	PGconn *conn = pg_ask_connect(&params, OPEN_TIMEOUT, c->ask.stopping, err);

	if (!conn)
		return NULL;
	struct pg_ask slot = { .conn = conn, .stopping = c->ask.stopping };
	AUTO(PGresult) PGresult *r = create_slot(c, &slot, err);

	if (!r || import(c, t, PQgetvalue(r, 0, 2), err) || check_files(c, t, err))
		return NULL;
	return pg_visibility_exact(pg_get_lsn(r, 0, 1));
}

/* --- begin and end --- */

static int begin(struct copier *c, const struct pg_table *t, bool exact, struct visibility **seen,
		 struct error *err)
{
	*seen = exact ? take_exact(c, t, err) : take_snapshot(c, t, err);
	if (!*seen || pg_copier_describe(c, t, &c->reading, err))
		return -1;
	const struct pg_copy_table *now = &c->reading.items[0];

	if (now->secured)
		return fail(err, ERR_REJECT,
			    "row security would hide rows of table %s.%s; run ALTER ROLE \"%s\" "
			    "BYPASSRLS",
			    t->schema, t->name, PQuser(c->ask.conn));
	if (now->refusal)
		return fail(err, ERR_REJECT, "table %s.%s: %s", t->schema, t->name, now->refusal);
	if (!exact && now->key.n == 0)
		return fail(err, ERR_REJECT,
			    "table %s.%s has lost the key that it was read by: start its snapshot "
			    "again",
			    t->schema, t->name);
	return 0;
}

int pg_copy_begin(struct copier *c, const char *schema, const char *name, const char *where,
		  bool exact, const struct table **draft, struct visibility **seen,
		  struct error *err)
{
	struct error ignored;

	*seen = NULL;
	const struct pg_table *t = pg_copier_find(c, schema, name, err);

	if (!t || outlast(c, err))
		return -1;
	if (begin(c, t, exact, seen, err)) {
		pg_visibility_free(*seen);
		*seen = NULL;
		if (pg_copy_end(c, &ignored) && err->kind == ERR_RETRY)
			err->code = ENOTCONN;
		return -1;
	}
	c->where = where ? xstrdup(where) : NULL;
	*draft = &c->reading.items[0].draft;
	return 0;
}

/*
 * What the snapshot saw is passed by the stream only when it is on the disk, which may be long after
 * on a quiet server: the end of the log may be half a page of somebody's open transaction.  A
 * heartbeat's commit brings it there.
 */
static int flush_log(struct copier *c, struct error *err)
{
	uint64_t wanted = c->unflushed;

	c->unflushed = 0;
	if (!wanted || c->server.standby || c->config->source.heartbeat <= 0)
		return 0;
	AUTO(PGresult)
	PGresult *r = pg_ask(&c->ask, "cannot look at the log's end",
			     "SELECT pg_catalog.pg_current_wal_flush_lsn()", err);

	if (!r)
		return -1;
	if (pg_get_lsn(r, 0, 0) >= wanted)
		return 0;
	if (pg_ask_command(&c->ask, "cannot write a heartbeat",
			   "BEGIN; SET LOCAL synchronous_commit = local;"
			   " SELECT pg_catalog.pg_logical_emit_message(true, 'tailrace', '');"
			   " COMMIT",
			   err) == 0)
		return 0;
	if (err->code == ENOTCONN)
		return -1;
	log_debug("the log's end is not on the disk yet", "reason", err->text, NULL);
	return pg_ask_command(&c->ask, "cannot end a transaction", "ROLLBACK", err);
}

int pg_copy_end(struct copier *c, struct error *err)
{
	bool begun = c->begun;

	c->begun = false;
	free(c->where);
	c->where = NULL;
	pg_copy_tables_release(&c->reading);
	if (!begun)
		return 0;
	if (pg_ask_command(&c->ask, "cannot end a read", "COMMIT", err))
		return -1;
	return flush_log(c, err);
}
