/*
 * pg_slot.c - the replication slot
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_slot.h"

/* Columns that tell of an invalid slot came in 13, 16 and 17. */
static void slot_sql(int version, struct buf *out)
{
	buf_adds(out, "SELECT s.plugin, s.slot_type, s.database, s.temporary, s.active_pid,"
		      " s.restart_lsn, s.confirmed_flush_lsn,");
	if (version >= 170000)
		buf_adds(out, " coalesce(s.invalidation_reason,"
			      " CASE WHEN s.wal_status = 'lost' THEN 'wal_removed' END),"
			      " s.safe_wal_size, s.synced,");
	else if (version >= 160000)
		buf_adds(out, " CASE WHEN s.conflicting THEN 'conflict with recovery'"
			      " WHEN s.wal_status = 'lost' THEN 'wal_removed' END,"
			      " s.safe_wal_size, false,");
	else if (version >= 130000)
		buf_adds(out, " CASE WHEN s.wal_status = 'lost' THEN 'wal_removed' END,"
			      " s.safe_wal_size, false,");
	else
		buf_adds(out, " NULL, NULL, false,");
	buf_adds(out,
		 " a.application_name, coalesce(pg_catalog.host(a.client_addr), 'local'), a.usename"
		 " FROM pg_catalog.pg_replication_slots s"
		 " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid"
		 " WHERE s.slot_name = $1");
}

static void copy(char *to, size_t n, const char *from)
{
	snprintf(to, n, "%s", from ? from : "");
}

int pg_slot_load(PGconn *conn, int64_t deadline, const char *name, int version, struct pg_slot *out,
		 struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	*out = (struct pg_slot){ .safe_bytes = -1 };
	slot_sql(version, &sql);
	AUTO(PGresult)
	PGresult *r = pg_query_params(conn, deadline, "cannot look up the replication slot",
				      buf_z(&sql), 1, &name, err);

	if (!r)
		return -1;
	if (PQntuples(r) == 0)
		return 0;
	out->exists = true;
	copy(out->plugin, sizeof out->plugin, pg_get(r, 0, 0));
	copy(out->type, sizeof out->type, pg_get(r, 0, 1));
	copy(out->database, sizeof out->database, pg_get(r, 0, 2));
	out->temporary = pg_get_bool(r, 0, 3);
	out->pid = (int)pg_get_u64(r, 0, 4);
	out->active = out->pid != 0;
	out->restart = pg_get_lsn(r, 0, 5);
	out->confirmed = pg_get_lsn(r, 0, 6);
	copy(out->lost, sizeof out->lost, pg_get(r, 0, 7));
	if (pg_get(r, 0, 8))
		out->safe_bytes = (int64_t)strtoll(pg_get(r, 0, 8), NULL, 10);
	out->synced = pg_get_bool(r, 0, 9);
	copy(out->application, sizeof out->application, pg_get(r, 0, 10));
	copy(out->address, sizeof out->address, pg_get(r, 0, 11));
	copy(out->user, sizeof out->user, pg_get(r, 0, 12));
	return 0;
}

int pg_slot_judge(const struct pg_slot *s, const char *name, const char *database,
		  struct error *err)
{
	if (strcmp(s->type, "logical") != 0)
		return fail(
			err, ERR_FATAL,
			"slot \"%s\" is a %s slot, not one of logical decoding; name another in "
			"source.slot",
			name, s->type);
	if (strcmp(s->plugin, "pgoutput") != 0)
		return fail(
			err, ERR_FATAL,
			"slot \"%s\" decodes with \"%s\", not with \"pgoutput\"; name another in "
			"source.slot",
			name, s->plugin);
	if (strcmp(s->database, database) != 0)
		return fail(
			err, ERR_FATAL,
			"slot \"%s\" belongs to database \"%s\", not to \"%s\"; name another in "
			"source.slot, or that database in source.url",
			name, s->database, database);
	if (*s->lost)
		return fail_exit(
			err, EXIT_LOG_GONE,
			"slot \"%s\" was invalidated by the server (%s): log that it needs is "
			"gone; "
			"drop it (SELECT pg_drop_replication_slot('%s')) and load the tables anew",
			name, s->lost, name);
	return 0;
}

#define AGAIN_US 1000000

static int held(const struct pg_slot *s, const char *name, const char *more, struct error *err)
{
	return fail(
		err, ERR_RETRY,
		"slot \"%s\" is in use by pid %d, application \"%s\", user \"%s\", address %s%s",
		name, s->pid, s->application, s->user, s->address, more);
}

static int terminate(PGconn *conn, int64_t deadline, const char *name, const struct pg_slot *s,
		     bool first, struct error *err)
{
	char pid[16];
	const char *const value = pid;

	snprintf(pid, sizeof pid, "%d", s->pid);
	if (first)
		log_info("ending the walsender that an older process of this pipeline left", "slot",
			 name, "pid", pid, "application", s->application, "address", s->address,
			 NULL);
	AUTO(PGresult)
	PGresult *r = pg_query_params(conn, deadline, "cannot end the old walsender",
				      "SELECT pg_catalog.pg_terminate_backend($1::pg_catalog.int4)",
				      1, &value, err);

	if (r)
		return 0;
	/* not ours to end: it is waited for, like anybody else's */
	return err->kind == ERR_RETRY ? -1 : held(s, name, "; our role may not end it", err);
}

int pg_slot_take(PGconn *conn, int64_t deadline, const char *name, int version, const char *ours,
		 bool may_take, struct pg_slot *s, struct error *err)
{
	int64_t told = 0;

	while (s->active) {
		bool own = strncmp(s->application, ours, strlen(ours)) == 0;

		if (!own || !may_take)
			return held(s, name, own ? " (an instance of this pipeline)" : "", err);
		/*
		 * Told once, a walsender whose client sleeps can stand still with its farewell in
		 * a full socket: told again, it goes without.
		 */
		if (monotonic_us() - told >= AGAIN_US) {
			if (terminate(conn, deadline, name, s, !told, err))
				return -1;
			told = monotonic_us();
		}
		if (monotonic_us() + 20000 >= deadline)
			return held(s, name, "; it was told to end", err);
		(void)poll(NULL, 0, 20);
		if (pg_slot_load(conn, deadline, name, version, s, err))
			return -1;
		if (!s->exists)
			return fail(err, ERR_RETRY, "slot \"%s\" vanished while it was taken over",
				    name);
	}
	return 0;
}

int pg_slot_create(PGconn *replication, const char *name, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	/* the grammar of 10, which all later versions still read */
	buf_adds(&sql, "CREATE_REPLICATION_SLOT ");
	pg_ident(&sql, name);
	buf_adds(&sql, " LOGICAL pgoutput NOEXPORT_SNAPSHOT");
	if (!PQsendQuery(replication, buf_z(&sql)))
		return pg_fail(NULL, replication, "cannot create the replication slot", err);
	return 0;
}

void pg_slot_awaited(PGconn *conn, int64_t deadline, int walsender, char out[160])
{
	struct error ignored;
	char pid[16];
	const char *const value = pid;

	out[0] = '\0';
	snprintf(pid, sizeof pid, "%d", walsender);
	AUTO(PGresult)
	PGresult *r = pg_query_params(
		conn, deadline, "cannot look up open transactions",
		"SELECT pid, application_name,"
		" extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)::pg_catalog.int8"
		" FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL"
		" AND pid <> $1::pg_catalog.int4 ORDER BY xact_start LIMIT 1",
		1, &value, &ignored);

	if (r && PQntuples(r))
		snprintf(out, 160, "transaction of pid %s (%s), open for %s s", PQgetvalue(r, 0, 0),
			 PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
}

int pg_slot_advance(PGconn *conn, int64_t deadline, const char *name, uint64_t lsn,
		    struct error *err)
{
	char text[PG_LSN_TEXT];
	const char *const values[] = { name, pg_lsn_text(lsn, text) };
	AUTO(PGresult)
	PGresult *r = pg_query_params(
		conn, deadline, "cannot advance the replication slot",
		"SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_catalog.pg_lsn)", 2,
		values, err);

	return r ? 0 : -1;
}

int pg_slot_drop(PGconn *conn, int64_t deadline, const char *name, struct error *err)
{
	AUTO(PGresult)
	PGresult *r =
		pg_query_params(conn, deadline, "cannot drop the replication slot",
				"SELECT pg_catalog.pg_drop_replication_slot($1)", 1, &name, err);

	return r ? 0 : -1;
}
