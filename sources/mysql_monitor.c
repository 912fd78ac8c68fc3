/*
 * mysql_monitor.c - the control connection while the log is read: how much of it there is
 *
 * How long until a file is purged that is still needed: servers purge by age.  What is acknowledged is as old as
 * the last moment at which it was known to be the log's end.
 */
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "mysql_monitor.h"

#define SECOND     INT64_C(1000000)
#define EACH       SECOND
#define EACH_LONG  (5 * SECOND) /* with many files the list is dear */
#define MANY_FILES 500
#define PATIENCE   (20 * SECOND)
#define LONG_WAIT  (60 * SECOND)

void mysql_monitor_start(struct mysql_monitor *m, struct mysql_conn *conn,
			 struct mysql_server *server)
{
	int64_t now = monotonic_us();

	mysql_monitor_stop(m);
	m->conn = conn;
	m->server = server;
	m->failure = (struct error){ 0 };
	m->waiting = m->refused = false;
	m->measured = now; /* connect() has just asked */
	m->next = now + EACH;
	m->mark_at = 0;
	if (!m->current_at)
		m->current_at = now;
}

void mysql_monitor_stop(struct mysql_monitor *m)
{
	mysql_close_conn(m->conn);
	m->conn = NULL;
	m->measured = 0;
}

void mysql_monitor_release(struct mysql_monitor *m)
{
	mysql_monitor_stop(m);
	free(m->file);
	m->file = NULL;
}

static const struct mysql_log_file *last_file(const struct mysql_monitor *m)
{
	return m->server && m->server->nfiles ? &m->server->files[m->server->nfiles - 1] : NULL;
}

/* Is what is acknowledged at or past the mark?  Then it was the end at the mark's time. */
static void move_mark(struct mysql_monitor *m, int64_t now)
{
	const struct mysql_log_file *last = last_file(m);
	uint32_t acked = m->file ? binlog_file_number(str_z(m->file)) : 0;

	if (m->mark_at &&
	    (acked > m->mark_file || (acked == m->mark_file && m->pos >= m->mark_pos))) {
		m->current_at = m->mark_at;
		m->mark_at = 0;
	}
	if (!m->mark_at && last) {
		m->mark_at = now;
		m->mark_file = binlog_file_number(str_z(last->name));
		m->mark_pos = last->size;
	}
}

static void give_up(struct mysql_monitor *m, const struct error *err, int64_t now)
{
	if (err->kind == ERR_RETRY) {
		m->failure = *err;
		return;
	}
	if (!m->refused)
		log_warning("the size of the binary log cannot be measured", "error", err->text,
			    NULL);
	m->refused = true;
	m->measured = 0;
	m->next = now + LONG_WAIT;
}

static void receive(struct mysql_monitor *m, int64_t now)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	struct error err;

	m->waiting = mysql_pending(m->conn);
	int got = mysql_receive_rows(m->conn, &r, &err);

	if (got == 0 && m->waiting && now - m->sent > PATIENCE)
		got = fail(&err, ERR_RETRY, "the server at %s does not answer",
			   mysql_conn_where(m->conn));
	if (got == 0)
		return;
	m->waiting = false;
	if (got < 0) {
		give_up(m, &err, now);
		return;
	}
	mysql_server_take_files(m->server, &r);
	m->measured = now;
	m->refused = false;
	move_mark(m, now);
}

void mysql_monitor_step(struct mysql_monitor *m)
{
	int64_t now = monotonic_us();
	struct error err;

	if (!m->conn || m->failure.kind != ERR_NONE)
		return;
	if (m->waiting)
		receive(m, now);
	if (m->waiting || m->failure.kind != ERR_NONE || now < m->next)
		return;
	m->next = now + (m->server->nfiles > MANY_FILES ? EACH_LONG : EACH);
	m->sent = now;
	m->waiting = mysql_send_sql(m->conn, MYSQL_SHOW_FILES, &err) == 0;
	if (!m->waiting)
		give_up(m, &err, now);
}

void mysql_monitor_ack(struct mysql_monitor *m, const struct mysql_resume *upto)
{
	if (m->file && strcmp(m->file, upto->file) == 0 && m->pos == upto->pos)
		return;
	free(m->file);
	m->file = xstrdup(upto->file);
	m->pos = upto->pos;
	if (m->conn)
		move_mark(m, monotonic_us());
}

void mysql_monitor_extent(const struct mysql_monitor *m, struct str file, uint64_t pos,
			  struct source_extent *out)
{
	AUTO(free) char *place = xstrndup(file.p, file.n);
	int64_t now = monotonic_us();

	out->retained_bytes = out->lag_bytes = out->seconds_until_lost = -1;
	if (!m->conn || !m->measured)
		return;
	out->lag_bytes = mysql_server_behind(m->server, place, pos);
	out->retained_bytes =
		m->file ? mysql_server_behind(m->server, m->file, m->pos) : out->lag_bytes;
	if (m->server->expire > 0) {
		int64_t left = m->server->expire - (now - m->current_at);

		out->seconds_until_lost = left > 0 ? left / SECOND : 0;
	}
	out->measured_us = wall_clock_us() - (now - m->measured);
}
