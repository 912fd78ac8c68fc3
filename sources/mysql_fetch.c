/*
 * mysql_fetch.c - the rows of one SELECT as they come, by prepared statement
 *
 * The second file that knows the library.  To run a statement waits for its answer, of which MariaDB's Connector says
 * nothing in between; its table of functions is public, so the one that reads the answer is made to wait in slices
 * first.  Oracle's library has no such thing: there a stop waits until the answer has begun.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "binlog_client_private.h"
#include "mysql_fetch.h"

#define ROOM_LEAST 64
#define ROOM_MOST  4096 /* at first; a longer value gets more */

#ifdef LIBMARIADB
typedef my_bool library_bool;
#else
typedef bool library_bool;
#endif

struct column {
	char *room; /* MYSQL_DATUM_ROOM and `size` bytes; NULL: it is not bytes */
	size_t size;
	unsigned long length;
	library_bool null;
	float single;
	MYSQL_TIME time;
};

struct mysql_fetch {
	struct mysql_conn *conn;
	const atomic_bool *stopping;
	MYSQL_STMT *stmt;
	MYSQL_BIND *binds;
	struct column *columns;
	struct mysql_datum *row;
	size_t n;
	bool reading; /* rows may be on their way */
	bool cut;     /* the answer may be on its way */
};

/* --- waiting --- */

#ifdef LIBMARIADB

/* Of the statement that this thread runs. */
static _Thread_local struct {
	struct mysql_conn *conn;
	const struct st_mariadb_methods *own;
	const atomic_bool *stopping;
	bool stopped;
} running;

static int read_result(MYSQL *mysql)
{
	struct error ignored;

	running.stopped = mysql_conn_wait(running.conn, running.stopping, &ignored) != 0;
	return running.stopped ? 1 : running.own->db_read_stmt_result(mysql);
}

static int execute(struct mysql_fetch *f)
{
	MYSQL *mysql = f->conn->mysql;
	struct st_mariadb_methods waiting = *mysql->methods;

	waiting.db_read_stmt_result = read_result;
	running.conn = f->conn;
	running.own = mysql->methods;
	running.stopping = f->stopping;
	running.stopped = false;
	mysql->methods = &waiting;
	int rc = mysql_stmt_execute(f->stmt);

	mysql->methods = running.own;
	return rc;
}

static bool stopped(void)
{
	return running.stopped;
}

#else

static int execute(struct mysql_fetch *f)
{
	return mysql_stmt_execute(f->stmt);
}

static bool stopped(void)
{
	return false;
}

#endif

/* --- columns --- */

static void bind_bytes(MYSQL_BIND *b, struct column *c, size_t size)
{
	c->room = xrealloc(c->room, MYSQL_DATUM_ROOM + size);
	c->size = size;
	b->buffer_type = MYSQL_TYPE_BLOB;
	b->buffer = c->room + MYSQL_DATUM_ROOM;
	b->buffer_length = size;
}

static void bind_column(struct mysql_fetch *f, size_t i, const MYSQL_FIELD *field)
{
	MYSQL_BIND *b = &f->binds[i];
	struct column *c = &f->columns[i];

	b->length = &c->length;
	b->is_null = &c->null;
	switch (field->type) {
	case MYSQL_TYPE_TINY:
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG:
	case MYSQL_TYPE_YEAR:
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = &f->row[i].i;
		b->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
		return;
	case MYSQL_TYPE_FLOAT:
		b->buffer_type = MYSQL_TYPE_FLOAT;
		b->buffer = &c->single;
		return;
	case MYSQL_TYPE_DOUBLE:
		b->buffer_type = MYSQL_TYPE_DOUBLE;
		b->buffer = &f->row[i].d;
		return;
	case MYSQL_TYPE_TIME:
	case MYSQL_TYPE_DATE:
		b->buffer_type = field->type;
		b->buffer = &c->time;
		return;
	case MYSQL_TYPE_NEWDATE:
		b->buffer_type = MYSQL_TYPE_DATE;
		b->buffer = &c->time;
		return;
	case MYSQL_TYPE_DATETIME:
	case MYSQL_TYPE_TIMESTAMP:
		b->buffer_type = MYSQL_TYPE_DATETIME;
		b->buffer = &c->time;
		return;
	default:
		break;
	}
	bind_bytes(b, c,
		   field->length < ROOM_LEAST  ? ROOM_LEAST
		   : field->length > ROOM_MOST ? ROOM_MOST
					       : field->length);
}

static int stmt_fail(struct mysql_fetch *f, const char *what, struct error *err)
{
	return mysql_conn_fail(f->conn, mysql_stmt_errno(f->stmt), mysql_stmt_error(f->stmt), what,
			       err);
}

static int bind_all(struct mysql_fetch *f, struct error *err)
{
	MYSQL_RES *meta = mysql_stmt_result_metadata(f->stmt);

	if (!meta)
		return stmt_fail(f, "a statement gives no rows", err);
	f->n = mysql_num_fields(meta);
	f->binds = xcalloc(f->n, sizeof *f->binds);
	f->columns = xcalloc(f->n, sizeof *f->columns);
	f->row = xcalloc(f->n, sizeof *f->row);
	for (size_t i = 0; i < f->n; i++)
		bind_column(f, i, mysql_fetch_field_direct(meta, (unsigned)i));
	mysql_free_result(meta);
	return mysql_stmt_bind_result(f->stmt, f->binds)
		       ? stmt_fail(f, "rows cannot be received", err)
		       : 0;
}

/* --- the whole --- */

static int start(struct mysql_fetch *f, const char *sql, struct error *err)
{
	if (mysql_stmt_prepare(f->stmt, sql, strlen(sql)))
		return stmt_fail(f, "the server refused a statement", err);
	f->reading = execute(f) == 0;
	if (f->reading)
		return bind_all(f, err);
	f->cut = stopped();
	return f->cut ? fail(err, ERR_RETRY, "stopping")
		      : stmt_fail(f, "the server refused a statement", err);
}

struct mysql_fetch *mysql_fetch_open(struct mysql_conn *c, const char *sql,
				     const atomic_bool *stopping, struct error *err)
{
	struct mysql_fetch *f = xcalloc(1, sizeof *f);

	f->conn = c;
	f->stopping = stopping;
	f->stmt = mysql_stmt_init(c->mysql);
	if (!f->stmt)
		abort(); /* no memory */
	if (start(f, sql, err) == 0)
		return f;
	(void)mysql_fetch_close(f, 0);
	return NULL;
}

/* Values that did not fit their room; the rooms stay as large. */
static int take_long(struct mysql_fetch *f, struct error *err)
{
	bool grown = false;

	for (size_t i = 0; i < f->n; i++) {
		struct column *c = &f->columns[i];

		if (!c->room || c->null || c->length <= c->size)
			continue;
		bind_bytes(&f->binds[i], c, c->length);
		grown = true;
		if (mysql_stmt_fetch_column(f->stmt, &f->binds[i], (unsigned)i, 0))
			return stmt_fail(f, "a long value cannot be received", err);
	}
	return grown && mysql_stmt_bind_result(f->stmt, f->binds)
		       ? stmt_fail(f, "rows cannot be received", err)
		       : 0;
}

static struct mysql_moment moment_of(const MYSQL_TIME *t, bool time)
{
	return (struct mysql_moment){ .year = time ? 0 : t->year,
				      .month = time ? 0 : t->month,
				      .day = time ? 0 : t->day,
				      .hour = t->hour + (time ? t->day * 24 : 0),
				      .minute = t->minute,
				      .second = t->second,
				      .us = (unsigned)t->second_part,
				      .negative = t->neg };
}

static void take_row(struct mysql_fetch *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct column *c = &f->columns[i];
		struct mysql_datum *d = &f->row[i];

		d->null = c->null;
		if (d->null)
			continue;
		switch (f->binds[i].buffer_type) {
		case MYSQL_TYPE_LONGLONG:
		case MYSQL_TYPE_DOUBLE:
			break;
		case MYSQL_TYPE_FLOAT:
			d->d = (double)c->single;
			break;
		case MYSQL_TYPE_TIME:
		case MYSQL_TYPE_DATE:
		case MYSQL_TYPE_DATETIME:
			d->when = moment_of(&c->time, f->binds[i].buffer_type == MYSQL_TYPE_TIME);
			break;
		default:
			d->p = c->room + MYSQL_DATUM_ROOM;
			d->n = c->length;
		}
	}
}

int mysql_fetch_next(struct mysql_fetch *f, const struct mysql_datum **row, struct error *err)
{
	if (mysql_conn_wait(f->conn, f->stopping, err))
		return -1;
	switch (mysql_stmt_fetch(f->stmt)) {
	case 0:
	case MYSQL_DATA_TRUNCATED:
		break;
	case MYSQL_NO_DATA:
		f->reading = false;
		return 0;
	default:
		return stmt_fail(f, "rows cannot be read", err);
	}
	if (take_long(f, err))
		return -1;
	take_row(f);
	*row = f->row;
	return 1;
}

bool mysql_fetch_close(struct mysql_fetch *f, size_t most)
{
	struct error ignored;
	const struct mysql_datum *row;

	if (!f)
		return true;
	while (f->reading && most-- > 0)
		if (mysql_fetch_next(f, &row, &ignored) < 0)
			break;
	bool usable = !f->reading && !f->cut;

	if (!usable) /* what is left would be waited for */
		(void)shutdown(f->conn->fd, SHUT_RDWR);
	(void)mysql_stmt_close(f->stmt);
	for (size_t i = 0; f->columns && i < f->n; i++)
		free(f->columns[i].room);
	free(f->columns);
	free(f->binds);
	free(f->row);
	free(f);
	return usable;
}
