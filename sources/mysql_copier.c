/*
 * mysql_copier.c - the tables of MySQL and MariaDB read beside the binary log: which there are, how the server fares
 *
 * How a read is opened and what it sees of the log: mysql_copy_begin.c; its rows: mysql_copy_read.c, mysql_copy_rows.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mysql_catalog.h"
#include "mysql_copier.h"
#include "mysql_copier_private.h"
#include "mysql_schema.h"
#include "mysql_visibility.h"

#define OPEN_MS       10000
#define UNKNOWN_DB    1049
#define NO_SUCH_TABLE 1146

/* --- connections --- */

struct mysql_conn *copier_connect(const struct copier *c, struct error *err)
{
	int64_t most = c->config->source.connect_timeout / 1000;

	return mysql_open(&c->url, c->program, most < OPEN_MS ? (int)most : OPEN_MS, err);
}

/* What a server's defaults could make of a statement that is to give all rows, exactly, however long it takes. */
static int pin(struct copier *c, struct error *err)
{
	const struct mysql_server *s = &c->server;
	const char *each[] = {
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 2, "
		"net_write_timeout = 86400, wait_timeout = 28800, sql_big_selects = 1, "
		"sql_select_limit = 18446744073709551615, sql_auto_is_null = 0, "
		"character_set_results = NULL",
		s->mariadb            ? "SET SESSION max_statement_time = 0"
		: s->version >= 50708 ? "SET SESSION max_execution_time = 0"
				      : NULL,
		s->mariadb && s->version >= 100304 ? "SET SESSION system_versioning_asof = DEFAULT"
						   : NULL,
	};

	if (mysql_schema_session(c->conn, s, err))
		return -1;
	for (size_t i = 0; i < COUNT(each); i++)
		if (each[i] && mysql_command(c->conn, each[i], err))
			return -1;
	return 0;
}

void copier_disconnect(struct copier *c)
{
	mysql_close_conn(c->conn);
	mysql_close_conn(c->lock);
	c->conn = c->lock = NULL;
	c->reading = c->locked = false;
}

int copier_need_connection(struct copier *c, struct error *err)
{
	if (atomic_load(c->stopping))
		return fail(err, ERR_RETRY, "stopping");
	if (c->conn)
		return 0;
	c->conn = copier_connect(c, err);
	if (c->conn && mysql_server_load(c->conn, &c->server, err) == 0 && pin(c, err) == 0)
		return 0;
	copier_disconnect(c);
	return -1;
}

static void copier_close(struct copier *c)
{
	if (!c)
		return;
	copier_disconnect(c);
	mysql_shape_free(c->shape);
	mysql_server_release(&c->server);
	mysql_url_release(&c->url);
	arena_free(&c->row);
	free(c->prepared);
	free(c->where);
	free(c->program);
	free(c);
}

static struct copier *copier_open(const struct config *config, const char *instance,
				  const atomic_bool *stopping, struct error *err)
{
	struct copier *c = xcalloc(1, sizeof *c);

	c->config = config;
	c->stopping = stopping;
	c->program = xasprintf("tailrace/%s/%s", config->pipeline.name, instance);
	if (mysql_url_parse(config->source.url, config->source.password, &c->url, err) == 0 &&
	    copier_need_connection(c, err) == 0)
		return c;
	copier_close(c);
	return NULL;
}

/* --- errors --- */

int copier_fail_dropped(const char *schema, const char *name, struct error *err)
{
	return fail(err, ERR_REJECT, "table %s.%s was dropped", schema, name);
}

/* What a refusal means for the table. */
int copier_judge(const struct copier *c, const char *schema, const char *name, struct error *err)
{
	int code = err->code;
	AUTO(free) char *text = xstrdup(err->text);

	if (code == NO_SUCH_TABLE || code == UNKNOWN_DB)
		return copier_fail_dropped(schema, name, err);
	if (code == MYSQL_TABLE_ALTERED) {
		(void)fail(err, ERR_RETRY, "table %s.%s was altered while it was opened", schema,
			   name);
		err->code = code;
		return -1;
	}
	if (mysql_lacks_right(err))
		return fail(err, ERR_REJECT,
			    "%s may not read table %s.%s: run GRANT SELECT ON `%s`.`%s` TO %s",
			    c->server.account, schema, name, schema, name, c->server.account);
	if (err->kind == ERR_FATAL)
		return fail(err, ERR_REJECT, "table %s.%s cannot be read: %s", schema, name, text);
	return -1;
}

/* --- tables --- */

static int name_cmp(const void *a, const void *b)
{
	const struct copy_table *x = a, *y = b;
	int d = strcmp(x->schema, y->schema);

	return d ? d : strcmp(x->name, y->name);
}

static int64_t number_at(const struct mysql_rows *r, size_t row, size_t column)
{
	struct str s = mysql_cell(r, row, column);

	return s.n ? strtoll(s.p, NULL, 10) : -1;
}

/* Of tables in the order of their names. */
static int estimate(struct copier *c, struct copy_table *out, size_t n, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn,
			     "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, DATA_LENGTH FROM "
			     "information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', "
			     "'information_schema', 'performance_schema')",
			     &r, err))
		return -1;
	for (size_t i = 0; i < r.n && n; i++) {
		AUTO(free) char *schema = xstrndup(mysql_cell(&r, i, 0).p, mysql_cell(&r, i, 0).n);
		AUTO(free) char *name = xstrndup(mysql_cell(&r, i, 1).p, mysql_cell(&r, i, 1).n);
		const struct copy_table key = { .schema = schema, .name = name };
		struct copy_table *t = bsearch(&key, out, n, sizeof *out, name_cmp);

		if (!t)
			continue;
		t->rows = number_at(&r, i, 2);
		t->bytes = number_at(&r, i, 3);
	}
	return 0;
}

static int add_table(struct copier *c, struct mysql_table *t, bool full, struct copy_table *out,
		     struct error *err)
{
	AUTO(free) char *index = NULL;

	if (mysql_shape_key(c->conn, full, t, &index, err))
		return -1;
	*out = (struct copy_table){ .schema = xstrndup(t->schema.p, t->schema.n),
				    .name = xstrndup(t->name.p, t->name.n),
				    .keyless = !index,
				    .refusal = mysql_shape_refusal(t),
				    .rows = -1,
				    .bytes = -1 };
	return 0;
}

static int list_tables(struct copier *c, struct mysql_schema *list, const bool *wanted,
		       struct copy_table **out, size_t *n, struct error *err)
{
	bool full;

	if (mysql_schema_columns(c->conn, &c->server, list, wanted, err) ||
	    mysql_shape_full(c->conn, &full, err))
		return -1;
	*out = xcalloc(list->n + 1, sizeof **out);
	for (size_t i = 0; i < list->n; i++) {
		if (!wanted[i] || !list->items[i].columns)
			continue;
		if (add_table(c, &list->items[i], full, &(*out)[*n], err))
			return -1;
		++*n;
	}
	return estimate(c, *out, *n, err);
}

static int copier_tables(struct copier *c, struct copy_table **out, size_t *n, struct error *err)
{
	AUTO(mysql_schema) struct mysql_schema list = { 0 };
	const struct list *patterns = config_tables(c->config);
	struct error unmatched;
	int names;

	*out = NULL;
	*n = 0;
	if (copier_need_connection(c, err) || mysql_names_rule(c->conn, &names, err) ||
	    mysql_schema_list(c->conn, &list, err))
		return -1;
	AUTO(free) bool *wanted = xcalloc(list.n + 1, sizeof *wanted);

	/* A pattern without a match is the stream's to refuse. */
	(void)!mysql_choose(patterns, names, list.items, list.n, wanted, &unmatched);
	if (list_tables(c, &list, wanted, out, n, err) == 0)
		return 0;
	copy_tables_free(*out, *n);
	*out = NULL;
	*n = 0;
	return -1;
}

/* --- a table's shape --- */

/* The one that was read last is known still; whether it holds is seen when the table is touched. */
int copier_need_shape(struct copier *c, const char *schema, const char *name, struct error *err)
{
	const struct mysql_shape *s = c->shape;
	bool full;

	if (s && str_eqz(s->draft.schema, schema) && str_eqz(s->draft.name, name)) {
		if (s->primary)
			return 0;
		if (mysql_shape_full(c->conn, &full, err))
			return -1;
		if (full == s->full)
			return 0;
	} else {
		c->most = 0;
	}
	copier_forget(c);
	switch (mysql_shape_load(c->conn, &c->server, str_z(schema), str_z(name),
				 c->config->source.invalid_bytes, &c->shape, err)) {
	case 1:
		return 0;
	case 0:
		return copier_fail_dropped(schema, name, err);
	default:
		return copier_judge(c, schema, name, err);
	}
}

void copier_forget(struct copier *c)
{
	mysql_shape_free(c->shape);
	c->shape = NULL;
}

/* --- split --- */

static bool is_integer(const struct mysql_shape *s, bool *is_unsigned)
{
	const struct column *c = s->draft.nkey ? &s->draft.columns[s->draft.key[0]] : NULL;

	*is_unsigned = c && c->type == COL_UINT64;
	if (c && str_eqz(c->native, "year")) /* not every number is one */
		return false;
	return c && (c->type == COL_INT32 || c->type == COL_INT64 || c->type == COL_UINT64);
}

/* Numbers that cut the range into equal parts. */
static void cut(const struct mysql_shape *s, __int128 least, __int128 most, size_t parts,
		bool is_unsigned, char **bounds, size_t *n)
{
	__int128 span = most - least;

	for (size_t i = 1; i < parts; i++) {
		__int128 at = least + span * (__int128)i / (__int128)parts;
		char text[32];

		if (at >= most || (i > 1 && span < (__int128)parts))
			break;
		if (is_unsigned)
			snprintf(text, sizeof text, "%" PRIu64, (uint64_t)at);
		else
			snprintf(text, sizeof text, "%" PRId64, (int64_t)at);
		bounds[(*n)++] = mysql_copy_bound(s, text);
	}
}

static int copier_split(struct copier *c, const char *schema, const char *name, size_t parts,
			char ***bounds, size_t *n, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 }, column = { 0 };
	bool is_unsigned;

	*bounds = NULL;
	*n = 0;
	if (copier_need_connection(c, err) || copier_need_shape(c, schema, name, err))
		return -1;
	const struct mysql_shape *s = c->shape;

	if (parts < 2 || !s || !s->draft.nkey || !is_integer(s, &is_unsigned))
		return 0;
	AUTO(free)
	char *first = xstrndup(s->draft.columns[s->draft.key[0]].name.p,
			       s->draft.columns[s->draft.key[0]].name.n);

	mysql_name(&column, first);
	buf_addf(&sql, "SELECT MIN(%s), MAX(%s) FROM %s", buf_z(&column), buf_z(&column), s->table);
	if (mysql_query_rows(c->conn, buf_z(&sql), &r, err))
		return copier_judge(c, schema, name, err);
	if (!mysql_cell(&r, 0, 0).n || !mysql_cell(&r, 0, 1).n)
		return 0; /* no rows */
	const char *least = mysql_cell(&r, 0, 0).p, *most = mysql_cell(&r, 0, 1).p;

	*bounds = xcalloc(parts, sizeof **bounds);
	if (is_unsigned)
		cut(s, (__int128)strtoull(least, NULL, 10), (__int128)strtoull(most, NULL, 10),
		    parts, true, *bounds, n);
	else
		cut(s, strtoll(least, NULL, 10), strtoll(most, NULL, 10), parts, false, *bounds, n);
	return 0;
}

/* --- health --- */

static int read_status(struct copier *c, struct source_health *out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn,
			     "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', "
			     "'Threads_running')",
			     &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		bool running = str_eqz(mysql_cell(&r, i, 0), "Threads_running");

		*(running ? &out->active : &out->connections) = number_at(&r, i, 1);
	}
	mysql_rows_free(&r);
	if (mysql_query_rows(c->conn, "SELECT @@GLOBAL.max_connections", &r, err))
		return -1;
	out->max_connections = number_at(&r, 0, 0);
	return 0;
}

/* Of those that run: our own, which each user may see, replicas that read the log, the scheduler of events. */
static int leave_out(struct copier *c, struct source_health *out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn,
			     "SELECT COUNT(*) + (@@GLOBAL.event_scheduler = 'ON') FROM "
			     "information_schema.PROCESSLIST WHERE COMMAND NOT IN ('Sleep', "
			     "'Daemon') AND (COMMAND LIKE 'Binlog Dump%' OR USER "
			     "= SUBSTRING_INDEX(USER(), '@', 1))",
			     &r, err))
		return -1;
	out->active -= number_at(&r, 0, 0);
	if (out->active < 0)
		out->active = 0;
	return 0;
}

/* For those who have the right PROCESS.  trx_started is in the zone of the server's system. */
static int read_oldest(struct copier *c, struct source_health *out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(
		    c->conn,
		    "SELECT COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, t.trx_started, "
		    "CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))), 0) FROM "
		    "information_schema.INNODB_TRX t LEFT JOIN information_schema.PROCESSLIST p "
		    "ON p.ID = t.trx_mysql_thread_id WHERE p.USER IS NULL OR p.USER <> "
		    "SUBSTRING_INDEX(USER(), '@', 1)",
		    &r, err))
		return mysql_lacks_right(err) ? 0 : -1;
	out->oldest_us = number_at(&r, 0, 0);
	if (out->oldest_us < 0)
		out->oldest_us = 0;
	return 0;
}

static int copier_health(struct copier *c, struct source_health *out, struct error *err)
{
	*out = (struct source_health){ -1, -1, -1, -1, -1 };
	if (copier_need_connection(c, err) == 0 && read_status(c, out, err) == 0 &&
	    leave_out(c, out, err) == 0 && read_oldest(c, out, err) == 0)
		return 0;
	if (err->kind == ERR_RETRY)
		copier_disconnect(c);
	return -1;
}

const struct copier_ops mysql_copier = {
	.open = copier_open,
	.tables = copier_tables,
	.split = copier_split,
	.begin = copier_begin,
	.rows = copier_rows,
	.end = copier_end,
	.health = copier_health,
	.close = copier_close,
	.sees = mysql_sees,
	.holds = mysql_sees_all,
	.reached = mysql_reached,
	.visibility_free = mysql_visibility_free,
};
