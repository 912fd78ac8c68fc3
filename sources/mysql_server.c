/*
 * mysql_server.c - what a MySQL or MariaDB server is, and where its binary log ends and begins
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mysql_server.h"

#define DAY INT64_C(86400)

void mysql_server_release(struct mysql_server *s)
{
	for (size_t i = 0; i < s->nfiles; i++)
		free(s->files[i].name);
	free(s->files);
	free(s->identity);
	free(s->account);
	free(s->file);
	free(s->set);
	free(s->purged);
	*s = (struct mysql_server){ 0 };
}

void mysql_server_name(const struct mysql_server *s, struct mysql_conn *c, char out[128])
{
	snprintf(out, 128, "%s %.60s at %.50s", s->mariadb ? "MariaDB" : "MySQL", s->text,
		 mysql_conn_where(c));
}

const char *mysql_right_monitor(const struct mysql_server *s)
{
	return s->mariadb && s->version >= 100502 ? "BINLOG MONITOR" : "REPLICATION CLIENT";
}

int mysql_ask(struct mysql_conn *c, const struct mysql_server *s, const char *right,
	      const char *sql, struct mysql_rows *out, struct error *err)
{
	if (mysql_query_rows(c, sql, out, err) == 0)
		return 0;
	if (!mysql_lacks_right(err))
		return -1;
	int code = err->code;

	(void)fail(err, ERR_FATAL, "%s may not run %s; run GRANT %s ON *.* TO %s", s->account, sql,
		   right, s->account);
	err->code = code;
	return -1;
}

static char *copy(struct str s)
{
	return xstrndup(s.n ? s.p : "", s.n);
}

/* --- what it is --- */

static uint64_t number(struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && n < UINT64_MAX / 16; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

/* Microseconds; MariaDB takes fractions of days. */
static int64_t days(struct str s)
{
	char text[32];

	snprintf(text, sizeof text, "%.*s", STR_FMT(s));
	return (int64_t)(strtod(text, NULL) * (double)DAY * 1e6);
}

static void take_version(struct mysql_server *s, struct str text)
{
	unsigned major = 0, minor = 0, patch = 0;

	snprintf(s->text, sizeof s->text, "%.*s", STR_FMT(text));
	s->mariadb = strcasestr(s->text, "mariadb") != NULL;
	if (sscanf(s->text, "%3u.%3u.%3u", &major, &minor, &patch) >= 2)
		s->version = (int)(major * 10000 + minor * 100 + patch);
}

static void take_variable(struct mysql_server *s, struct str name, struct str value)
{
	bool on = str_eqz(value, "ON") || str_eqz(value, "1");

	if (str_eqz(name, "version"))
		take_version(s, value);
	else if (str_eqz(name, "server_uuid"))
		s->identity = copy(value);
	else if (str_eqz(name, "server_id"))
		s->server_id = (uint32_t)number(value);
	else if (str_eqz(name, "log_bin"))
		s->log_bin = on;
	else if (str_eqz(name, "gtid_mode"))
		s->gtids = on;
	else if (str_eqz(name, "binlog_format"))
		snprintf(s->format, sizeof s->format, "%.*s", STR_FMT(value));
	else if (str_eqz(name, "expire_logs_days") && !s->expire)
		s->expire = days(value);
	else if (str_eqz(name, "binlog_expire_logs_seconds") && number(value))
		s->expire = (int64_t)number(value) * 1000000;
}

static int load_variables(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(mysql_rows) struct mysql_rows who = { 0 };
	bool purges = true;

	if (mysql_query_rows(c,
			     "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', "
			     "'server_uuid', 'server_id', 'log_bin', 'gtid_mode', "
			     "'binlog_format', 'expire_logs_days', 'binlog_expire_logs_seconds', "
			     "'binlog_expire_logs_auto_purge')",
			     &r, err) ||
	    mysql_query_rows(c, "SELECT CURRENT_USER()", &who, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		struct str name = mysql_cell(&r, i, 0), value = mysql_cell(&r, i, 1);

		take_variable(s, name, value);
		if (str_eqz(name, "binlog_expire_logs_auto_purge") && str_eqz(value, "OFF"))
			purges = false;
	}
	if (!purges)
		s->expire = 0;
	if (s->mariadb) {
		s->gtids = true;
		free(s->identity);
		s->identity = xasprintf("%" PRIu32, s->server_id);
	}
	if (!s->identity)
		s->identity = xstrdup("");

	struct str account = mysql_cell(&who, 0, 0);
	const char *at = account.n ? memrchr(account.p, '@', account.n) : NULL;

	s->account = at ? xasprintf("'%.*s'@'%.*s'", (int)(at - account.p), account.p,
				    (int)(account.p + account.n - at - 1), at + 1)
			: xstrdup("the user of source.url");
	return 0;
}

int mysql_server_judge(const struct mysql_server *s, struct error *err)
{
	int least = s->mariadb ? 100100 : 50600;

	if (s->version < least)
		return fail(err, ERR_FATAL, "%s %s is too old: %s and later can be tailed",
			    s->mariadb ? "MariaDB" : "MySQL", s->text,
			    s->mariadb ? "MariaDB 10.1" : "MySQL 5.6");
	if (!s->log_bin)
		return fail(err, ERR_FATAL,
			    "the server keeps no binary log: set log_bin (and binlog_format = ROW, "
			    "server_id) in its configuration and restart it");
	if (s->server_id == 0)
		return fail(err, ERR_FATAL,
			    "the server has server_id = 0 and gives its log to nobody: run SET "
			    "GLOBAL server_id = 1 (or another number of its own), and set it in "
			    "its configuration");
	if (*s->format && strcasecmp(s->format, "ROW") != 0)
		return fail(err, ERR_FATAL,
			    "the server has binlog_format = %s: what its log says of changes is "
			    "statements, not rows; run SET GLOBAL binlog_format = 'ROW' (sessions "
			    "that are open keep the old one), and set it in its configuration",
			    s->format);
	return 0;
}

/* --- where its log ends and begins --- */

int mysql_log_end(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	const char *sql = !s->mariadb && s->version >= 80200 ? "SHOW BINARY LOG STATUS"
							     : "SHOW MASTER STATUS";

	if (mysql_ask(c, s, mysql_right_monitor(s), sql, &r, err))
		return -1;
	if (!r.n)
		return fail(err, ERR_FATAL, "the server keeps no binary log: %s gives nothing",
			    sql);
	free(s->file);
	s->file = copy(mysql_cell(&r, 0, 0));
	s->pos = number(mysql_cell(&r, 0, 1));
	return 0;
}

void mysql_server_take_files(struct mysql_server *s, const struct mysql_rows *r)
{
	for (size_t i = 0; i < s->nfiles; i++)
		free(s->files[i].name);
	s->nfiles = r->n;
	s->files = xrealloc(s->files, (r->n + 1) * sizeof *s->files);
	for (size_t i = 0; i < r->n; i++)
		s->files[i] = (struct mysql_log_file){ copy(mysql_cell(r, i, 0)),
						       number(mysql_cell(r, i, 1)) };
}

static int load_files(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_ask(c, s, mysql_right_monitor(s), MYSQL_SHOW_FILES, &r, err))
		return -1;
	mysql_server_take_files(s, &r);
	return s->nfiles ? 0 : fail(err, ERR_RETRY, "the server lists no binary log");
}

int mysql_text(struct mysql_conn *c, const char *sql, char **out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c, sql, &r, err))
		return -1;
	char *to = copy(mysql_cell(&r, 0, 0));

	free(*out);
	*out = to;
	for (const char *p = to; *p; p++)
		if (*p != '\n')
			*to++ = *p;
	*to = '\0';
	return 0;
}

/* MariaDB's GTID position at a place of the log. */
static int load_gtid_pos(struct mysql_conn *c, const char *file, uint64_t pos, char **out,
			 struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT BINLOG_GTID_POS(");
	mysql_quote(c, &sql, file);
	buf_addf(&sql, ", %" PRIu64 ")", pos);
	return mysql_text(c, buf_z(&sql), out, err);
}

static int load_sets(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	if (!s->gtids)
		return 0;
	if (s->mariadb)
		return mysql_text(c, "SELECT @@GLOBAL.gtid_binlog_pos", &s->set, err) ||
				       load_gtid_pos(c, s->files[0].name, 4, &s->purged, err)
			       ? -1
			       : 0;
	return mysql_text(c, "SELECT @@GLOBAL.gtid_executed", &s->set, err) ||
			       mysql_text(c, "SELECT @@GLOBAL.gtid_purged", &s->purged, err)
		       ? -1
		       : 0;
}

int mysql_server_load(struct mysql_conn *c, struct mysql_server *out, struct error *err)
{
	mysql_server_release(out);
	if (load_variables(c, out, err) || mysql_server_judge(out, err) ||
	    mysql_log_end(c, out, err) || load_files(c, out, err))
		return -1;
	return load_sets(c, out, err);
}

const struct mysql_log_file *mysql_server_file(const struct mysql_server *s, const char *name)
{
	for (size_t i = s->nfiles; i-- > 0;)
		if (strcmp(s->files[i].name, name) == 0)
			return &s->files[i];
	return NULL;
}

int64_t mysql_server_behind(const struct mysql_server *s, const char *file, uint64_t pos)
{
	uint32_t n = binlog_file_number(str_z(file));
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->nfiles; i++) {
		const struct mysql_log_file *f = &s->files[i];
		uint32_t m = binlog_file_number(str_z(f->name));

		if (m > n)
			bytes += f->size;
		else if (m == n)
			bytes += f->size > pos ? f->size - pos : 0;
	}
	return (int64_t)bytes;
}

/* --- the place of a first start --- */

/* MariaDB commits in the order of the log, and a snapshot knows its place in it. */
int mysql_snapshot_place(struct mysql_conn *c, char **file, uint64_t *pos, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c, "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'", &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		struct str name = mysql_cell(&r, i, 0), value = mysql_cell(&r, i, 1);

		if (strncasecmp(name.p, "binlog_snapshot_file", name.n) == 0 && value.n) {
			free(*file);
			*file = copy(value);
		} else if (strncasecmp(name.p, "binlog_snapshot_position", name.n) == 0) {
			*pos = number(value);
		}
	}
	return 0;
}

static int start_place_mariadb(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	if (mysql_command(c, "START TRANSACTION WITH CONSISTENT SNAPSHOT", err) ||
	    mysql_snapshot_place(c, &s->file, &s->pos, err))
		return -1;
	return load_gtid_pos(c, s->file, s->pos, &s->set, err);
}

/*
 * MySQL.  What stands in the log is not yet in gtid_executed, nor visible, until its commit is done: with GTIDs
 * the set decides, and the place is the beginning of the file that was the last before the set was read.
 */
static int start_place_mysql(struct mysql_conn *c, struct mysql_server *s, struct error *err)
{
	if (mysql_log_end(c, s, err))
		return -1;
	if (!s->gtids)
		return 0;
	s->pos = BINLOG_FIRST;
	return mysql_text(c, "SELECT @@GLOBAL.gtid_executed", &s->set, err);
}

int mysql_server_start_place(struct mysql_conn *c, struct mysql_server *s, struct mysql_resume *out,
			     struct error *err)
{
	struct mysql_server end = *s; /* the log's end stays the target of catching up */

	end.file = xstrdup(s->file);
	end.set = s->set ? xstrdup(s->set) : NULL;
	int rc = s->mariadb ? start_place_mariadb(c, &end, err) : start_place_mysql(c, &end, err);

	*out = (struct mysql_resume){ .epoch = 1 };
	if (rc == 0)
		*out = (struct mysql_resume){ .server = xstrdup(s->identity),
					      .epoch = 1,
					      .gtid = end.set ? xstrdup(end.set) : NULL,
					      .file = xstrdup(end.file),
					      .pos = end.pos };
	free(end.file);
	free(end.set);
	return rc;
}
