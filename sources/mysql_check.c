/*
 * mysql_check.c - the preflight of the source `mysql`, with the SQL that cures and that takes back: the server
 *
 * Read-only, on a connection of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "mysql_check.h"

#define CHECK_MS 60000
#define DAY      UINT64_C(86400)

struct str mysql_variable(const struct mysql_checking *c, const char *name)
{
	for (size_t i = 0; i < c->variables.n; i++)
		if (str_eqz(mysql_cell(&c->variables, i, 0), name))
			return mysql_cell(&c->variables, i, 1);
	return (struct str){ NULL, 0 };
}

static bool same(struct str a, const char *z)
{
	return a.n == strlen(z) && strncasecmp(a.n ? a.p : "", z, a.n) == 0;
}

static bool is_on(struct str value)
{
	return same(value, "ON") || same(value, "1");
}

static uint64_t number(struct str s)
{
	char text[32];

	snprintf(text, sizeof text, "%.*s", STR_FMT(s));
	return strtoull(text, NULL, 10);
}

void mysql_finding(struct mysql_checking *c, const char *id, enum severity severity,
		   const char *object, const char *message, const char *fix, const char *undo)
{
	findings_add(c->out, id, severity, object, message, fix && *fix ? fix : NULL,
		     undo && *undo ? undo : NULL);
}

/* SET for good where the server can remember it. */
static void set_sql(const struct mysql_checking *c, struct buf *out, const char *name,
		    struct str value)
{
	bool persists = !c->server.mariadb && c->server.version >= 80011;
	bool digits = value.n > 0;

	for (size_t i = 0; i < value.n; i++)
		digits &= value.p[i] >= '0' && value.p[i] <= '9';
	buf_addf(out, "SET %s %s = %s%.*s%s;", persists ? "PERSIST" : "GLOBAL", name,
		 digits ? "" : "'", STR_FMT(value), digits ? "" : "'");
}

/* A variable that should be something else. */
static void find_variable(struct mysql_checking *c, const char *id, enum severity severity,
			  const char *name, const char *should, const char *message)
{
	struct str is = mysql_variable(c, name);
	AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };

	buf_addf(&text, "%s is %.*s: %s", name, STR_FMT(is), message);
	if (!c->server.mariadb && c->server.version >= 80011)
		buf_adds(&text, "");
	else
		buf_addf(&text, "; put %s = %s into its configuration too", name, should);
	set_sql(c, &fix, name, str_z(should));
	set_sql(c, &undo, name, is);
	mysql_finding(c, id, severity, "server", buf_z(&text), buf_z(&fix), buf_z(&undo));
}

/* --- the log --- */

static void check_version(struct mysql_checking *c)
{
	int least = c->server.mariadb ? 100100 : 50600;
	AUTO(buf) struct buf text = { 0 };

	if (c->server.version >= least)
		return;
	buf_addf(&text, "%s is too old: MySQL 5.6 or MariaDB 10.1 and later can be tailed",
		 c->server.text);
	mysql_finding(c, "version", SEVERITY_ERROR, "server", buf_z(&text), NULL, NULL);
}

static void check_log(struct mysql_checking *c)
{
	struct str format = mysql_variable(c, "binlog_format");

	if (!is_on(mysql_variable(c, "log_bin")))
		mysql_finding(
			c, "log_bin", SEVERITY_ERROR, "server",
			"the server keeps no binary log: put log_bin, binlog_format = ROW and "
			"a server_id of its own into its configuration and restart it",
			NULL, NULL);
	if (number(mysql_variable(c, "server_id")) == 0)
		mysql_finding(c, "server_id", SEVERITY_ERROR, "server",
			      "server_id is 0: the server gives its log to nobody; put another one "
			      "into its configuration",
			      "SET GLOBAL server_id = 1;", "SET GLOBAL server_id = 0;");
	if (format.p && !same(format, "ROW"))
		find_variable(c, "binlog_format", SEVERITY_ERROR, "binlog_format", "ROW",
			      "changes may be logged as statements, of which no rows can be told; "
			      "sessions that are open keep the old value until they reconnect");
}

#define ABSENT                                                                                     \
	"columns that a change does not touch are not in the log; they are listed as absent, and " \
	"a new row without all of its columns stops the table in a sqlite sink"
#define REPLACED                                                                                   \
	"; and a REPLACE of a row that is there puts defaults back that are not logged: copies "   \
	"keep the old values"

static void check_image(struct mysql_checking *c)
{
	struct str image = mysql_variable(c, "binlog_row_image");
	struct str options = mysql_variable(c, "binlog_row_value_options");
	bool whole = same(image, "FULL") || same(image, "FULL_NODUP") || !image.p;

	if (!whole)
		find_variable(c, "row_image", SEVERITY_WARNING, "binlog_row_image", "FULL",
			      c->server.mariadb ? ABSENT REPLACED : ABSENT);
	if (same(options, "PARTIAL_JSON") && !whole)
		find_variable(c, "row_value_options", SEVERITY_ERROR, "binlog_row_value_options",
			      "",
			      "with such row images the log has neither the old JSON document "
			      "nor the "
			      "new one: such an update stops the agent");
	else if (same(options, "PARTIAL_JSON"))
		mysql_finding(c, "row_value_options", SEVERITY_INFO, "server",
			      "binlog_row_value_options is PARTIAL_JSON: updates of JSON documents "
			      "are put together from the old document and what changed",
			      NULL, NULL);
}

static void check_metadata(struct mysql_checking *c)
{
	struct str metadata = mysql_variable(c, "binlog_row_metadata");

	if (!metadata.p)
		mysql_finding(c, "row_metadata", SEVERITY_INFO, "server",
			      "the log of this version does not name columns: definitions are kept "
			      "by "
			      "position; run DDL while tailrace is running and not behind",
			      NULL, NULL);
	else if (!same(metadata, "FULL"))
		find_variable(c, "row_metadata", SEVERITY_WARNING, "binlog_row_metadata", "FULL",
			      "the log does not name columns: if tables are altered while tailrace "
			      "is stopped or behind, it may have to stop and ask");
}

static void check_gtids(struct mysql_checking *c)
{
	struct str mode = mysql_variable(c, "gtid_mode");
	bool online = c->server.version >= 50706;

	if (c->server.mariadb || is_on(mode))
		return;
	mysql_finding(
		c, "gtid_mode", SEVERITY_WARNING, "server",
		online ? "gtid_mode is not ON: after a failover tailrace cannot go on at the new "
			 "server, and what stands beyond 4 GiB in one file of the log cannot be "
			 "resumed; run the statements one by one, with those of the same number on "
			 "all replicas before the next"
		       : "gtid_mode is not ON: after a failover tailrace cannot go on at the new "
			 "server, and what stands beyond 4 GiB in one file of the log cannot be "
			 "resumed; 5.6 needs gtid_mode, enforce_gtid_consistency and "
			 "log_slave_updates in its configuration, and a restart",
		online ? "SET GLOBAL enforce_gtid_consistency = WARN; "
			 "SET GLOBAL enforce_gtid_consistency = ON; "
			 "SET GLOBAL gtid_mode = OFF_PERMISSIVE; "
			 "SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = ON;"
		       : NULL,
		online ? "SET GLOBAL gtid_mode = ON_PERMISSIVE; "
			 "SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = OFF; "
			 "SET GLOBAL enforce_gtid_consistency = OFF;"
		       : NULL);
}

/* Seconds that files are kept; 0: they are never purged. */
static uint64_t retention(const struct mysql_checking *c, const char **name)
{
	struct str seconds = mysql_variable(c, "binlog_expire_logs_seconds");
	char days[32];

	*name = seconds.p ? "binlog_expire_logs_seconds" : "expire_logs_days";
	if (same(mysql_variable(c, "binlog_expire_logs_auto_purge"), "OFF"))
		return 0;
	if (number(seconds))
		return number(seconds);
	snprintf(days, sizeof days, "%.*s", STR_FMT(mysql_variable(c, "expire_logs_days")));
	double d = strtod(days, NULL);

	return d > 0 ? (uint64_t)(d * (double)DAY) : 0;
}

static void check_retention(struct mysql_checking *c)
{
	const char *name;
	uint64_t seconds = retention(c, &name), size;
	AUTO(buf) struct buf text = { 0 };

	if (seconds == 0)
		mysql_finding(c, "retention", SEVERITY_INFO, "server",
			      "the server never purges its binary log: see that its disk does not "
			      "fill up",
			      NULL, NULL);
	else if (seconds < DAY)
		find_variable(c, "retention", SEVERITY_WARNING, name,
			      strstr(name, "days") ? "3" : "259200",
			      "the log is kept for less than a day: an outage of tailrace, or of "
			      "all its room, that lasts longer loses changes");
	size = number(mysql_variable(c, "max_binlog_total_size"));
	if (!size)
		return;
	buf_addf(&text,
		 "max_binlog_total_size is %" PRIu64
		 " bytes: log beyond it is purged, whether tailrace has read it or not (unless "
		 "slave_connections_needed_for_purge counts it)",
		 size);
	mysql_finding(c, "retention_size", SEVERITY_WARNING, "server", buf_z(&text), NULL, NULL);
}

/* --- rights --- */

static bool granted(const struct mysql_rows *grants, const char *right)
{
	for (size_t i = 0; i < grants->n; i++) {
		struct str g = mysql_cell(grants, i, 0);

		if (g.n && memmem(g.p, g.n, " ON *.* ", 8) &&
		    (memmem(g.p, g.n, right, strlen(right)) ||
		     memmem(g.p, g.n, "GRANT ALL PRIVILEGES", 20)))
			return true;
	}
	return false;
}

/* Rights may come by a role, which this list does not open. */
static bool has_roles(const struct mysql_rows *grants)
{
	for (size_t i = 0; i < grants->n; i++) {
		struct str g = mysql_cell(grants, i, 0);

		if (g.n && !memmem(g.p, g.n, " ON ", 4))
			return true;
	}
	return false;
}

static void need(struct mysql_checking *c, const struct mysql_rows *grants, const char *right,
		 const char *message)
{
	AUTO(buf) struct buf object = { 0 }, fix = { 0 }, undo = { 0 }, text = { 0 };

	if (granted(grants, right))
		return;
	buf_addf(&object, "user %s", c->server.account);
	buf_addf(&text, "%s%s", message,
		 has_roles(grants) ? " (unless one of its roles may, which was not looked into)"
				   : "");
	buf_addf(&fix, "GRANT %s ON *.* TO %s;", right, c->server.account);
	buf_addf(&undo, "REVOKE %s ON *.* FROM %s;", right, c->server.account);
	mysql_finding(c, "privilege", has_roles(grants) ? SEVERITY_WARNING : SEVERITY_ERROR,
		      buf_z(&object), buf_z(&text), buf_z(&fix), buf_z(&undo));
}

static int check_rights(struct mysql_checking *c, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows grants = { 0 };
	AUTO(buf) struct buf object = { 0 };

	if (mysql_query_rows(c->conn, "SHOW GRANTS", &grants, err))
		return -1;
	need(c, &grants, "REPLICATION SLAVE", "the user may not read the binary log");
	need(c, &grants, mysql_right_monitor(&c->server),
	     "the user may not ask where the binary log begins and ends");
	buf_addf(&object, "user %s", c->server.account);
	if (granted(&grants, "SUPER"))
		mysql_finding(c, "superuser", SEVERITY_INFO, buf_z(&object),
			      "the user may do more than is needed: REPLICATION SLAVE, REPLICATION "
			      "CLIENT (MariaDB 10.5 and later: BINLOG MONITOR) and SELECT on the "
			      "captured tables are enough",
			      NULL, NULL);
	return 0;
}

/* --- replication --- */

/* ERR_RETRY errors go on, a refusal for want of a right does not. */
static int ask(struct mysql_checking *c, const char *sql, struct mysql_rows *out, bool *known,
	       struct error *err)
{
	*known = mysql_query_rows(c->conn, sql, out, err) == 0;
	return *known || mysql_lacks_right(err) ? 0 : -1;
}

/* For those who may not ask for a replica's status: does one run, or did one? */
static int replicates(struct mysql_checking *c, bool *out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn, "SHOW GLOBAL STATUS LIKE 'Slave_running'", &r, err))
		return -1;
	*out = is_on(mysql_cell(&r, 0, 1)) || mysql_variable(c, "gtid_slave_pos").n > 0;
	return 0;
}

static int check_replica(struct mysql_checking *c, struct error *err)
{
	bool new_words = !c->server.mariadb && c->server.version >= 80026, known, is;
	const char *name = new_words ? "log_replica_updates" : "log_slave_updates";
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (is_on(mysql_variable(c, name)))
		return 0;
	if (ask(c, new_words ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS", &r, &known, err))
		return -1;
	is = r.n > 0;
	if (!known && replicates(c, &is, err))
		return -1;
	if (is)
		mysql_finding(c, "log_replica_updates", SEVERITY_ERROR, "server",
			      "the server is a replica and does not log what it replicates: put "
			      "log_slave_updates (log_replica_updates) into its configuration and "
			      "restart it, or tail its source",
			      NULL, NULL);
	return 0;
}

/* Would an id that was configured push somebody aside? */
static int check_id(struct mysql_checking *c, struct error *err)
{
	const char *own = c->config->source.server_id;
	bool new_words = !c->server.mariadb && c->server.version >= 80022, known;
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (!own || strcmp(own, "auto") == 0)
		return 0;
	if (str_eqz(mysql_variable(c, "server_id"), own))
		mysql_finding(c, "server_id", SEVERITY_ERROR, "source.server_id",
			      "this is the server's own id: choose one that no server has, or auto",
			      NULL, NULL);
	if (ask(c, new_words ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS", &r, &known, err))
		return -1;
	for (size_t i = 0; known && i < r.n; i++)
		if (str_eqz(mysql_cell(&r, i, 0), own))
			mysql_finding(c, "server_id", SEVERITY_WARNING, "source.server_id",
				      "a replica with this id is connected: unless that is this "
				      "pipeline, the two will push each other out; choose another, "
				      "or auto",
				      NULL, NULL);
	return 0;
}

static void check_connection(struct mysql_checking *c)
{
	if (!mysql_conn_loopback(c->conn) && !mysql_conn_encrypted(c->conn))
		mysql_finding(c, "plaintext", SEVERITY_WARNING, "connection",
			      "the connection leaves this host and is not encrypted: use "
			      "sslmode=verify-full in source.url",
			      NULL, NULL);
}

/* --- all --- */

static int load_server(struct mysql_checking *c, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows who = { 0 };
	unsigned major = 0, minor = 0, patch = 0;

	if (mysql_query_rows(c->conn, "SHOW GLOBAL VARIABLES", &c->variables, err) ||
	    mysql_query_rows(c->conn, "SELECT CURRENT_USER()", &who, err))
		return -1;
	struct str account = mysql_cell(&who, 0, 0), version = mysql_variable(c, "version");
	const char *at = account.n ? memrchr(account.p, '@', account.n) : NULL;

	snprintf(c->server.text, sizeof c->server.text, "%.*s", STR_FMT(version));
	if (sscanf(c->server.text, "%3u.%3u.%3u", &major, &minor, &patch) < 2)
		return fail(err, ERR_FATAL, "the server's version is not one: %s", c->server.text);
	c->server.version = (int)(major * 10000 + minor * 100 + patch);
	c->server.mariadb = strcasestr(c->server.text, "mariadb") != NULL;
	c->server.account = at ? xasprintf("'%.*s'@'%.*s'", (int)(at - account.p), account.p,
					   (int)(account.p + account.n - at - 1), at + 1)
			       : xstrdup("the user of source.url");
	return 0;
}

static int check_all(struct mysql_checking *c, struct error *err)
{
	if (load_server(c, err))
		return -1;
	check_version(c);
	check_log(c);
	check_image(c);
	check_metadata(c);
	check_gtids(c);
	check_retention(c);
	check_connection(c);
	if (check_rights(c, err) || check_replica(c, err) || check_id(c, err))
		return -1;
	return mysql_check_tables(c, err);
}

int mysql_check(const struct config *config, struct findings *out, struct error *err)
{
	AUTO(mysql_url) struct mysql_url url = { 0 };
	int64_t timeout = config->source.connect_timeout / 1000;
	struct mysql_checking c = { .config = config, .out = out };

	if (mysql_url_parse(config->source.url, config->source.password, &url, err))
		return -1;
	c.conn = mysql_open(&url, "tailrace check",
			    timeout > 0 && timeout < CHECK_MS ? (int)timeout : CHECK_MS, err);
	if (!c.conn)
		return -1;
	int rc = check_all(&c, err);

	mysql_rows_free(&c.variables);
	mysql_server_release(&c.server);
	mysql_close_conn(c.conn);
	return rc;
}
