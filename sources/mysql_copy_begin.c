/*
 * mysql_copy_begin.c - opens a read of a table of MySQL or MariaDB, and says what it sees of the binary log
 *
 * How a read knows what of the log it saw:
 *	MariaDB		a consistent snapshot has its place in the log, while no XA transaction is being committed
 *	GTIDs		gtid_executed is read, then the snapshot is opened, then the log's end is asked for: what was in the
 *			set is visible, what is visible stands before that end
 *	otherwise	another connection locks the table against writers and asks for the log's end; the snapshot is opened
 *			under the lock.  Where the engine has no snapshots the lock stays until the read has ended
 * 5.6 puts a transaction into gtid_executed when it writes it to the log: what gtid_owned lists is not visible yet.
 *
 * The first statement that touches the table holds its definition in place until the transaction ends.  What it is was
 * found out before, and is compared then: of a snapshot that is older than the table's last ALTER nothing is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "mysql_copier_private.h"
#include "mysql_visibility.h"

#define TRIES     3
#define LOCKED_US 10000 /* 5.6 gives up a row's lock a moment before others see the row */
#define LOCK_WAIT 1205

#define PLACE_TRIES    5
#define PLACE_PAUSE_US 1000
#define COMMIT_US      15000000 /* no commit takes so long, semi-synchronous ones (10 s) included */

/* --- begin --- */

static int take_end(struct copier *c, struct mysql_conn *conn, struct visibility *v,
		    struct error *err)
{
	if (mysql_log_end(conn, &c->server, err))
		return -1;
	v->file = binlog_file_number(str_z(c->server.file));
	v->pos = c->server.pos;
	return 0;
}

/* Without autocommit InnoDB itself waits for those who have written and not committed. */
static int connect_lock(struct copier *c, struct error *err)
{
	struct mysql_conn *conn = copier_connect(c, err);

	if (conn &&
	    mysql_command(conn,
			  "SET SESSION lock_wait_timeout = 2, innodb_lock_wait_timeout = 2, "
			  "autocommit = 0, wait_timeout = 28800",
			  err) == 0) {
		c->lock = conn;
		return 0;
	}
	mysql_close_conn(conn);
	return -1;
}

/* Locks the table against writers and says where the log ends then. */
static int lock_table(struct copier *c, struct visibility *v, struct error *err)
{
	const struct mysql_shape *s = c->shape;
	AUTO(free) char *sql = xasprintf("LOCK TABLES %s READ", s->table);
	bool old = !c->server.mariadb && c->server.version < 50700;
	bool by_place = c->server.mariadb && s->in_snapshot;

	if (!c->lock && connect_lock(c, err))
		return -1;
	if (mysql_command(c->lock, sql, err)) {
		if (mysql_lacks_right(err))
			return fail(
				err, by_place ? ERR_RETRY : ERR_REJECT,
				"table %.*s.%.*s can only be read under a lock%s, and %s may not "
				"lock it: run GRANT LOCK TABLES ON `%.*s`.* TO %s",
				STR_FMT(s->draft.schema), STR_FMT(s->draft.name),
				by_place ? " while XA transactions are being committed" : "",
				c->server.account, STR_FMT(s->draft.schema), c->server.account);
		if (err->code == LOCK_WAIT)
			return error_prefix(err, "those who write to table %.*s.%.*s",
					    STR_FMT(s->draft.schema), STR_FMT(s->draft.name));
		return copier_judge(c, s->draft.schema.p, s->draft.name.p, err);
	}
	c->locked = true;
	if (old)
		usleep(LOCKED_US);
	return take_end(c, c->lock, v, err);
}

static int unlock(struct copier *c, struct error *err)
{
	if (!c->locked)
		return 0;
	c->locked = false;
	return mysql_command(c->lock, "UNLOCK TABLES", err);
}

static int take_set(struct copier *c, const char *sql, struct gtid_set **out, struct error *err)
{
	AUTO(free) char *text = NULL;

	if (mysql_text(c->conn, sql, &text, err))
		return -1;
	gtid_set_free(*out);
	*out = gtid_set_parse(false, text, err);
	return *out ? 0 : -1;
}

/* "uuid:5#17:6#18,...": GTIDs with the threads that have them. */
static int take_owned(struct copier *c, struct gtid_set *seen, struct error *err)
{
	AUTO(free) char *text = NULL;

	if (mysql_text(c->conn, "SELECT @@GLOBAL.gtid_owned", &text, err))
		return -1;
	char *to = text;

	for (const char *p = text; *p;) {
		if (*p == '#')
			p += 1 + strspn(p + 1, "0123456789");
		else
			*to++ = *p++;
	}
	*to = '\0';
	AUTO(gtid_set) struct gtid_set *owned = gtid_set_parse(false, text, err);

	if (!owned)
		return -1;
	gtid_set_subtract(seen, owned);
	return 0;
}

static int take_seen(struct copier *c, struct visibility *v, struct error *err)
{
	v->by_set = true;
	if (take_set(c, "SELECT @@GLOBAL.gtid_executed", &v->seen, err))
		return -1;
	return c->server.version < 50700 ? take_owned(c, v->seen, err) : 0;
}

static int start_snapshot(struct copier *c, struct error *err)
{
	if (mysql_command(c->conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err))
		return -1;
	c->reading = true;
	return 0;
}

/* --- MariaDB --- */

/* What there is of XA: commits that were begun since the server started, and transactions that are prepared. */
static int read_commits(struct copier *c, char **out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn, "SHOW GLOBAL STATUS LIKE 'Com_xa_commit'", &r, err))
		return -1;
	free(*out);
	*out = xstrndup(mysql_cell(&r, 0, 1).n ? mysql_cell(&r, 0, 1).p : "",
			mysql_cell(&r, 0, 1).n);
	return 0;
}

/* settled: none is prepared that could be committing now. */
static int read_prepared(struct copier *c, bool *settled, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf all = { 0 };
	int64_t now = monotonic_us();

	if (mysql_query_rows(c->conn, "XA RECOVER", &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++)
		for (size_t k = 0; k < r.ncolumns; k++)
			buf_json(&all, mysql_cell(&r, i, k));
	if (!c->prepared || strcmp(c->prepared, buf_z(&all)) != 0) {
		free(c->prepared);
		c->prepared = xstrdup(buf_z(&all));
		c->prepared_us = now;
	}
	*settled = !r.n || now - c->prepared_us > COMMIT_US;
	return 0;
}

/*
 * The snapshot's own place is that of the last commit before it; but of XA COMMIT, which the log has before others see
 * it.  So it counts when none went on: 1, 0: one did; -1.
 */
static int open_at_place(struct copier *c, struct visibility *v, struct error *err)
{
	AUTO(free) char *before = NULL;
	AUTO(free) char *after = NULL;
	bool settled;

	if (read_commits(c, &before, err) || read_prepared(c, &settled, err) ||
	    start_snapshot(c, err) ||
	    mysql_snapshot_place(c->conn, &c->server.file, &v->pos, err) ||
	    read_commits(c, &after, err))
		return -1;
	v->file = binlog_file_number(str_z(c->server.file));
	if (settled && strcmp(before, after) == 0)
		return 1;
	c->reading = false;
	return mysql_command(c->conn, "ROLLBACK", err) ? -1 : 0;
}

/* --- any --- */

static int open_locked(struct copier *c, struct visibility *v, struct error *err)
{
	if (lock_table(c, v, err) || start_snapshot(c, err))
		return -1;
	return c->shape->in_snapshot ? unlock(c, err) : 0;
}

/* The snapshot, and what it is known to see. */
static int open_snapshot(struct copier *c, bool exact, struct visibility *v, struct error *err)
{
	bool can = c->shape->in_snapshot;

	for (int i = 0; can && c->server.mariadb && i < PLACE_TRIES; i++) {
		int rc = open_at_place(c, v, err);

		if (rc)
			return rc < 0 ? -1 : 0;
		usleep(PLACE_PAUSE_US);
	}
	if (!can || c->server.mariadb || exact || !c->server.gtids)
		return open_locked(c, v, err);
	if (take_seen(c, v, err) || start_snapshot(c, err) || take_end(c, c->conn, v, err))
		return -1;
	return take_set(c, "SELECT @@GLOBAL.gtid_executed", &v->all, err);
}

/* The first touch: from here on nobody can alter the table.  Does the condition hold water? */
static int touch(struct copier *c, const char *schema, const char *name, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	buf_addf(&sql, "SELECT 1 FROM %s", c->shape->table);
	if (c->where)
		buf_addf(&sql, " WHERE (%s\n)", c->where);
	buf_adds(&sql, " LIMIT 0");
	if (mysql_command(c->conn, buf_z(&sql), err)) {
		bool refused = err->kind == ERR_FATAL && c->where;
		int rc = copier_judge(c, schema, name, err);

		return refused && err->kind == ERR_REJECT && !strstr(err->text, "GRANT ")
			       ? error_prefix(err, "with the condition %s", c->where)
			       : rc;
	}
	switch (mysql_shape_holds(c->conn, c->shape, err)) {
	case 1:
		return 0;
	case 0:
		copier_forget(c);
		(void)fail(err, ERR_RETRY, "table %s.%s was altered while it was opened", schema,
			   name);
		err->code = MYSQL_TABLE_ALTERED;
		return -1;
	default:
		return copier_judge(c, schema, name, err);
	}
}

static int finish(struct copier *c, struct error *err)
{
	bool open = c->reading;
	int rc = 0;

	c->reading = false;
	if (open && c->conn)
		rc = mysql_command(c->conn, "ROLLBACK", err);
	if (rc == 0)
		rc = unlock(c, err);
	if (rc)
		copier_disconnect(c); /* which ends both as well */
	return rc;
}

/* After an error: nothing of the read stays, and a broken connection goes. */
static int give_up(struct copier *c, struct error *err)
{
	struct error ignored;

	if (err->kind == ERR_RETRY && err->code != MYSQL_TABLE_ALTERED && err->code != LOCK_WAIT)
		copier_disconnect(c);
	(void)!finish(c, &ignored);
	return -1;
}

static int begin_once(struct copier *c, const char *schema, const char *name, bool exact,
		      struct visibility **seen, struct error *err)
{
	struct visibility *v = xcalloc(1, sizeof *v);

	if (copier_need_connection(c, err) || copier_need_shape(c, schema, name, err) ||
	    open_snapshot(c, exact, v, err) || touch(c, schema, name, err)) {
		mysql_visibility_free(v);
		return give_up(c, err);
	}
	v->server = xstrdup(c->server.identity);
	*seen = v;
	return 0;
}

int copier_begin(struct copier *c, const char *schema, const char *name, const char *where,
		 bool exact, const struct table **draft, struct visibility **seen,
		 struct error *err)
{
	struct error ignored;

	if (c->reading || c->locked)
		(void)!finish(c, &ignored);
	free(c->where);
	c->where = where && *where ? xstrdup(where) : NULL;
	for (int i = 0; i < TRIES; i++) {
		if (begin_once(c, schema, name, exact, seen, err) == 0) {
			*draft = &c->shape->draft;
			return 0;
		}
		if (err->kind != ERR_RETRY || err->code != MYSQL_TABLE_ALTERED)
			return -1;
	}
	return -1;
}

int copier_end(struct copier *c, struct error *err)
{
	return finish(c, err);
}
