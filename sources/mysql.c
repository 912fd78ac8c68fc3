/*
 * mysql.c - the source `mysql`: the binary log of MySQL or MariaDB, row events
 *
 * connect() opens two connections: one for control (what the server is, definitions, measurements), one for the
 * dump.  Nothing is written to the server.  The parts: binlog_client (the library), mysql_server and
 * mysql_identity (which server and which log), mysql_catalog (tables), mysql_stream (reading), mysql_monitor
 * (the control connection while streaming), binlog (events to changes).
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "mysql_archive.h"
#include "mysql_catalog.h"
#include "mysql_check.h"
#include "mysql_copier.h"
#include "mysql_monitor.h"
#include "mysql_stream.h"
#include "sources.h"

#define SECOND    INT64_C(1000000)
#define OPEN_MS   10000 /* longest wait for one connection: a stop waits that long too */
#define HOLD_PART 8     /* of [pipeline] memory, for a transaction that is held back */

struct mysql {
	struct source source;
	const struct config *config;
	struct tables *tables;
	char *program; /* "tailrace/erp/host-71" */
	char *side_dir;
	struct mysql_url url;
	struct mysql_server server;
	struct mysql_catalog *catalog;
	struct mysql_monitor monitor;
	struct mysql_stream stream;

	struct mysql_conn *control; /* until connect() is done: then the monitor has it */
	struct mysql_conn *dump;    /* until start(): then the stream has it */
	char *known;                /* the token that connect() compared; NULL: a first start */
	struct mysql_resume from;   /* what it means on this server */
	uint32_t server_id;
	char uuid[37];
	bool streaming, announced;
	char extent_server[128];
};

static struct mysql *self(struct source *s)
{
	return (struct mysql *)s;
}

static const struct source_config *settings(const struct mysql *m)
{
	return &m->config->source;
}

static void mysql_disconnect(struct source *s)
{
	struct mysql *m = self(s);

	m->streaming = false;
	mysql_stream_stop(&m->stream);
	mysql_monitor_stop(&m->monitor);
	mysql_catalog_disconnect(m->catalog);
	mysql_close_conn(m->control);
	mysql_close_conn(m->dump);
	m->control = m->dump = NULL;
}

/* --- connect --- */

static int open_one(struct mysql *m, struct mysql_conn **out, struct error *err)
{
	int64_t most = settings(m)->connect_timeout / 1000;

	*out = mysql_open(&m->url, m->program, most < OPEN_MS ? (int)most : OPEN_MS, err);
	return *out ? 0 : -1;
}

static int open_control(struct mysql *m, struct error *err)
{
	if (open_one(m, &m->control, err) || mysql_server_load(m->control, &m->server, err))
		return -1;
	if (!mysql_conn_loopback(m->control) && !mysql_conn_encrypted(m->control) && !m->announced)
		log_warning(
			"the connection is not encrypted; use sslmode=verify-full in source.url",
			NULL);
	mysql_server_name(&m->server, m->control, m->extent_server);
	tables_set_connector(m->tables, m->server.mariadb ? "mariadb" : "mysql");
	return 0;
}

static struct position position_of(const struct mysql_resume *r)
{
	return (struct position){ r->epoch, binlog_file_number(str_z(r->file)), r->pos - 1,
				  POSITION_BETWEEN };
}

/* The place is taken first; what is visible after that and was not there before it is streamed. */
static int first_start(struct mysql *m, struct source_start *out, struct error *err)
{
	struct position place;

	if (m->source.creating && m->source.creating(m->source.creating_arg, err))
		return -1;
	if (mysql_server_start_place(m->control, &m->server, &m->from, err))
		return -1;
	if (mysql_command(m->control, "ROLLBACK", err))
		return -1;
	place = position_of(&m->from);
	out->created = true;
	return mysql_catalog_begin(m->catalog, &place, err);
}

static int find_place(struct mysql *m, const char *known, struct source_start *out,
		      struct error *err)
{
	AUTO(mysql_resume) struct mysql_resume oldest = { 0 };
	AUTO(buf) struct buf json = { 0 };

	mysql_resume_release(&m->from);
	free(m->known);
	m->known = known ? xstrdup(known) : NULL;
	if (known ? mysql_server_compare(&m->server, known, &m->from, err)
		  : first_start(m, out, err))
		return -1;
	if (known && mysql_server_oldest(&m->server, &m->from, &oldest, err))
		return -1;
	const struct mysql_resume *r = known ? &oldest : &m->from;

	mysql_resume_json(r, &json);
	out->oldest.resume = xstrdup(buf_z(&json));
	out->oldest.pos = position_of(r);
	return 0;
}

static int prepare(struct mysql *m, const char *known, bool may_take, struct source_start *out,
		   struct error *err)
{
	if (open_control(m, err) ||
	    mysql_catalog_connect(m->catalog, m->control, &m->server, !m->announced, err) ||
	    find_place(m, known, out, err))
		return -1;
	mysql_pipeline_uuid(m->config->pipeline.name, !may_take, m->uuid);
	if (mysql_server_pick_id(m->control, &m->server, m->config, !may_take, &m->server_id, err))
		return -1;
	m->announced = true;
	return open_one(m, &m->dump, err);
}

static int mysql_connect(struct source *s, const char *known, bool may_take, int timeout_ms,
			 struct source_start *out, struct error *err)
{
	struct mysql *m = self(s);

	(void)timeout_ms; /* an attempt cannot be gone on with later: it has its own limit */
	*out = (struct source_start){ 0 };
	mysql_disconnect(s);
	if (prepare(m, known, may_take, out, err)) {
		mysql_disconnect(s);
		return -1;
	}
	mysql_monitor_start(&m->monitor, m->control, &m->server);
	m->control = NULL;
	return 0;
}

static int mysql_start(struct source *s, const struct checkpoint *from, struct error *err)
{
	struct mysql *m = self(s);
	AUTO(mysql_resume) struct mysql_resume r = { 0 };
	char id[16];

	if (!from->resume || !mysql_resume_parse(from->resume, &r))
		return fail(err, ERR_FATAL, "not a resume token of a MySQL source: %.200s",
			    from->resume ? from->resume : "none");
	bool compared = m->known && strcmp(from->resume, m->known) == 0;
	struct mysql_conn *conn = m->dump;
	struct mysql_stream_options o = { .server = &m->server,
					  .from = compared ? &m->from : &r,
					  .skip = &from->pos,
					  .server_id = m->server_id,
					  .uuid = m->uuid };

	m->dump = NULL;
	mysql_catalog_resume(m->catalog, &from->pos);
	if (mysql_stream_start(&m->stream, conn, &o, err))
		return -1;
	m->streaming = true;
	snprintf(id, sizeof id, "%u", (unsigned)m->server_id);
	log_info("streaming", "server", m->extent_server, "server_id", id, "from",
		 o.from->gtid ? o.from->gtid : o.from->file, NULL);
	return 0;
}

/* --- streaming --- */

static int mysql_read(struct source *s, struct batch *b, int timeout_ms, struct error *err)
{
	struct mysql *m = self(s);

	if (!m->streaming)
		return fail(err, ERR_RETRY, "the source is not connected");
	mysql_monitor_step(&m->monitor);
	if (m->monitor.failure.kind != ERR_NONE) {
		*err = m->monitor.failure;
		return -1;
	}
	if (mysql_stream_read(&m->stream, b, monotonic_us() + timeout_ms * INT64_C(1000), err) == 0)
		return 0;
	if (!mysql_lacks_right(err))
		return -1;
	return fail(err, ERR_FATAL,
		    "%s may not read the binary log; run GRANT REPLICATION SLAVE ON *.* TO %s",
		    m->server.account, m->server.account);
}

static int mysql_ack(struct source *s, const struct checkpoint *durable, struct error *err)
{
	struct mysql *m = self(s);
	AUTO(mysql_resume) struct mysql_resume r = { 0 };

	if (!m->streaming)
		return 0;
	mysql_monitor_step(&m->monitor);
	if (!durable->resume)
		return 0;
	if (!mysql_resume_parse(durable->resume, &r))
		return fail(err, ERR_FATAL, "acknowledged a position of another log: %.200s",
			    durable->resume);
	mysql_monitor_ack(&m->monitor, &r);
	return mysql_catalog_prune(m->catalog, &durable->pos, err);
}

static bool mysql_caught_up(const struct source *s)
{
	const struct mysql *m = (const struct mysql *)s;

	return m->streaming && mysql_stream_caught_up(&m->stream);
}

/* A server that shuts down does not wait for those who read its log. */
static bool mysql_server_stopping(const struct source *s)
{
	(void)s;
	return false;
}

static void mysql_extent(struct source *s, struct source_extent *out)
{
	struct mysql *m = self(s);
	struct str file = { NULL, 0 };
	uint64_t pos = 0;

	*out = (struct source_extent){ .connected = m->streaming };
	snprintf(out->server, sizeof out->server, "%s", m->extent_server);
	binlog_place(m->stream.decoder, &file, &pos);
	mysql_monitor_extent(&m->monitor, file, pos, out);
}

/* --- open and close --- */

static void mysql_close_source(struct source *s)
{
	struct mysql *m = self(s);

	mysql_disconnect(s);
	mysql_stream_release(&m->stream);
	mysql_monitor_release(&m->monitor);
	mysql_catalog_free(m->catalog);
	mysql_server_release(&m->server);
	mysql_resume_release(&m->from);
	mysql_url_release(&m->url);
	free(m->known);
	free(m->program);
	free(m->side_dir);
	free(m);
}

static struct source *mysql_open_source(const struct config *c, struct tables *tables,
					const char *instance, struct error *err)
{
	struct mysql_url url;

	if (mysql_url_parse(c->source.url, c->source.password, &url, err))
		return NULL;
	struct mysql *m = xcalloc(1, sizeof *m);

	m->source.ops = &mysql_source;
	m->config = c;
	m->tables = tables;
	m->url = url;
	m->program = xasprintf("tailrace/%s/%s", c->pipeline.name, instance);
	m->side_dir = xasprintf("%s/spool", c->pipeline.state_dir);
	m->catalog = mysql_catalog_new(c, tables, &m->source);
	m->stream.decoder = binlog_new(&(struct binlog_config){
		.tables = tables,
		.catalog = mysql_catalog_callbacks(m->catalog),
		.invalid_bytes = c->source.invalid_bytes,
		.max_row = (size_t)c->source.max_row,
		.side_dir = m->side_dir,
		.hold_memory = (size_t)c->pipeline.memory / HOLD_PART,
	});
	return &m->source;
}

/* The database's name as events carry it; a table's own schema is its database. */
static char *mysql_database(const struct source_config *c)
{
	AUTO(mysql_url) struct mysql_url url = { 0 };
	struct error ignored;

	if (mysql_url_parse(c->url, NULL, &url, &ignored))
		return xstrdup("");
	return xstrdup(url.database);
}

const struct source_ops mysql_source = {
	.name = "mysql",
	.summary = "MySQL 5.6 and later, MariaDB 10.1 and later, by their binary log",
	.connector = "mysql",
	.database = mysql_database,
	.check = mysql_check,
	.open = mysql_open_source,
	.connect = mysql_connect,
	.resume_cmp = mysql_resume_cmp,
	.resume_has = mysql_resume_has,
	.same_log = mysql_same_log,
	.start = mysql_start,
	.read = mysql_read,
	.ack = mysql_ack,
	.caught_up = mysql_caught_up,
	.server_stopping = mysql_server_stopping,
	.extent = mysql_extent,
	.copier = &mysql_copier,
	.archive_is = mysql_archive_is,
	.archive_read = mysql_archive_read,
	.disconnect = mysql_disconnect,
	.close = mysql_close_source,
};
