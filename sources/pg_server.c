/*
 * pg_server.c - the facts about a server that decide how it is read
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_server.h"
#include "pgoutput.h"

static const char server_sql[] =
	"SELECT pg_catalog.current_setting('server_version_num'),"
	" pg_catalog.current_setting('server_version'), pg_catalog.current_database(),"
	" pg_catalog.current_setting('wal_level'), pg_catalog.pg_is_in_recovery(),"
	" pg_catalog.current_setting('server_encoding') = 'SQL_ASCII',"
	" CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
	" ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
	" pg_catalog.current_setting('wal_block_size'),"
	" pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')),"
	" (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),"
	" (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_writer_delay')";

int pg_server_load(PGconn *control, int64_t deadline, struct pg_server *out, struct error *err)
{
	if (PQserverVersion(control) < 100000)
		return fail(err, ERR_FATAL,
			    "PostgreSQL %d.%d is too old: version 10 or later is needed",
			    PQserverVersion(control) / 10000, PQserverVersion(control) / 100 % 100);
	AUTO(PGresult)
	PGresult *r =
		pg_query(control, deadline, "cannot read the server's settings", server_sql, err);

	if (!r)
		return -1;
	*out = (struct pg_server){ .version = (int)pg_get_u64(r, 0, 0), .read_at = monotonic_us() };
	/* "15.18 (Debian 15.18-1)" */
	snprintf(out->version_text, sizeof out->version_text, "%.*s",
		 (int)strcspn(PQgetvalue(r, 0, 1), " "), PQgetvalue(r, 0, 1));
	snprintf(out->database, sizeof out->database, "%s", PQgetvalue(r, 0, 2));
	snprintf(out->wal_level, sizeof out->wal_level, "%s", PQgetvalue(r, 0, 3));
	out->standby = pg_get_bool(r, 0, 4);
	out->raw = pg_get_bool(r, 0, 5);
	out->end = pg_get_lsn(r, 0, 6);
	out->block = pg_get_u64(r, 0, 7);
	out->segment = pg_get_u64(r, 0, 8);
	out->sender_timeout = (int64_t)pg_get_u64(r, 0, 9) * 1000;
	out->flush_delay = (int64_t)pg_get_u64(r, 0, 10) * 3000;
	out->target = pg_server_page_start(out, out->end);
	return 0;
}

int pg_server_judge(const struct pg_server *s, struct error *err)
{
	if (strcmp(s->wal_level, "logical") != 0)
		return fail(err, ERR_FATAL,
			    "wal_level is \"%s\": the server writes no log that can be decoded; "
			    "run ALTER "
			    "SYSTEM SET wal_level = 'logical' and restart the server",
			    s->wal_level);
	if (s->standby && s->version < 160000)
		return fail(err, ERR_FATAL,
			    "the server is a standby, and PostgreSQL %s cannot decode there (16 "
			    "and later can); "
			    "connect to the primary",
			    s->version_text);
	return 0;
}

bool pg_server_adds_unsafely(int version)
{
	static const int fixed[] = { 130021, 140018, 150013, 160009, 170005 };

	for (size_t i = 0; i < COUNT(fixed); i++)
		if (version / 10000 == fixed[i] / 10000)
			return version < fixed[i];
	return version < 130000;
}

uint64_t pg_server_page_start(const struct pg_server *s, uint64_t lsn)
{
	return pg_lsn_page_start(lsn, s->block, s->segment);
}

void pg_server_name(const struct pg_server *s, PGconn *conn, char out[128])
{
	char where[192];

	snprintf(out, 128, "PostgreSQL %.20s at %.90s", s->version_text, pg_where(conn, where));
}

int pg_resume_cmp(const char *a, const char *b)
{
	uint64_t system, x = 0, y = 0;
	uint32_t timeline;

	if (!a || !pg_resume_parse(a, &system, &timeline, &x))
		x = 0;
	if (!b || !pg_resume_parse(b, &system, &timeline, &y))
		y = 0;
	return (x > y) - (x < y);
}

bool pg_same_log(const char *a, const char *b)
{
	uint64_t x, y, lsn;
	uint32_t timeline;

	return pg_resume_parse(a, &x, &timeline, &lsn) && pg_resume_parse(b, &y, &timeline, &lsn) &&
	       x == y;
}
