/*
 * state.c - state.db: table versions, sinks' places, small values
 *
 * Threads: any; `lock` is held over each call.  Every put is one transaction with a rollback
 * journal that is truncated and synced at its end (journal_mode = TRUNCATE, synchronous = FULL):
 * it is durable when it returns and cannot come undone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_private.h"

#define STATE_VERSION 2
#define BUSY_MS       10000 /* a command may be reading */

extern const char *const state_schema; /* schemas/state.sql */

static int make_folders(const char *dir, struct error *err)
{
	AUTO(free) char *path = xstrdup(dir);

	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(path, c && p[1] ? 0755 : 0700) < 0 && errno != EEXIST)
			return fail(err, ERR_FATAL, "cannot make folder %s: %s", path,
				    strerror(errno));
		*p = c;
		if (!c)
			return 0;
	}
}

/* The lock is the open file's, so it goes with the process however that ends. */
static int take_lock(struct state *s, const char *dir, struct error *err)
{
	AUTO(free) char *path = xasprintf("%s/lock", dir);
	char pid[32] = "";

	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fail(err, ERR_FATAL, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int code = errno;
		ssize_t n = pread(s->lock_fd, pid, sizeof pid - 1, 0);

		if (code != EWOULDBLOCK)
			return fail(err, ERR_FATAL, "cannot lock %s: %s", path, strerror(code));
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		return fail(
			err, ERR_FATAL,
			"state_dir %s is in use by pid %s: stop that process first, or give this "
			"pipeline a state_dir of its own",
			dir, *pid ? pid : "unknown");
	}
	int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n)
		return fail(err, ERR_FATAL, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

int state_failed(struct state *s, const char *what, struct error *err)
{
	fail(err, ERR_FATAL, "%s: cannot %s: %s", s->path, what, sqlite3_errmsg(s->db));
	err->code = sqlite3_extended_errcode(s->db);
	return -1;
}

static int get_version(struct state *s, int *out, struct error *err)
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
		return state_failed(s, "read its version", err);
	*out = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int(q, 0) : -1;
	if (sqlite3_finalize(q) != SQLITE_OK || *out < 0)
		return state_failed(s, "read its version", err);
	if (*out > STATE_VERSION)
		return fail(err, ERR_FATAL,
			    "%s has version %d; this program knows version %d: run the version of "
			    "tailrace that wrote it",
			    s->path, *out, STATE_VERSION);
	return 0;
}

static int open_db(struct state *s, bool create, struct error *err)
{
	int version = 0, flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
	int rc = sqlite3_open_v2(s->path, &s->db, flags | (create ? SQLITE_OPEN_CREATE : 0), NULL);

	if (rc != SQLITE_OK)
		return state_failed(s, "open it", err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (get_version(s, &version, err) < 0)
		return -1;
	if (!create && version == 0)
		return fail(err, ERR_FATAL, "%s holds nothing yet", s->path);
	if (sqlite3_exec(s->db, "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL", NULL,
			 NULL, NULL) != SQLITE_OK)
		return state_failed(s, "set it up", err);
	if (version == STATE_VERSION)
		return 0;
	if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, state_schema, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return state_failed(s, "create its tables", err);
	return 0;
}

static struct state *state_new(const char *dir)
{
	struct state *s = xcalloc(1, sizeof *s);

	pthread_mutex_init(&s->lock, NULL);
	s->lock_fd = -1;
	s->path = xasprintf("%s/state.db", dir);
	return s;
}

struct state *state_open(const char *dir, struct error *err)
{
	struct state *s = state_new(dir);

	if (make_folders(dir, err) < 0 || take_lock(s, dir, err) < 0 || open_db(s, true, err) < 0) {
		state_close(s);
		return NULL;
	}
	return s;
}

struct state *state_open_shared(const char *dir, struct error *err)
{
	struct state *s = state_new(dir);

	if (open_db(s, false, err) < 0) {
		state_close(s);
		return NULL;
	}
	return s;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* A statement with its text parameters; NULL binds NULL.  The lock is held until end(). */
static sqlite3_stmt *begin(struct state *s, const char *sql, const char *const *texts, int ntexts)
{
	sqlite3_stmt *q = NULL;

	pthread_mutex_lock(&s->lock);
	if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 0; i < ntexts; i++)
		sqlite3_bind_text(q, i + 1, texts[i], -1, SQLITE_STATIC);
	return q;
}

static int end(struct state *s, sqlite3_stmt *q, const char *what, struct error *err)
{
	int rc = !q || sqlite3_finalize(q) != SQLITE_OK ? state_failed(s, what, err) : 0;

	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int put(struct state *s, const char *sql, const char *const *texts, int ntexts,
	       const char *what, struct error *err)
{
	sqlite3_stmt *q = begin(s, sql, texts, ntexts);

	if (q)
		sqlite3_step(q); /* its error comes back from finalize */
	return end(s, q, what, err);
}

int state_put_table(struct state *s, const struct table *t, struct error *err)
{
	sqlite3_stmt *q = begin(s,
				"INSERT INTO table_version (id, schema, name, version, definition)"
				" VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
				" SET definition = excluded.definition"
				" WHERE schema = excluded.schema AND name = excluded.name"
				" AND version = excluded.version",
				NULL, 0);

	if (q) {
		sqlite3_bind_int64(q, 1, t->id);
		sqlite3_bind_text(q, 2, t->schema.p, (int)t->schema.n, SQLITE_STATIC);
		sqlite3_bind_text(q, 3, t->name.p, (int)t->name.n, SQLITE_STATIC);
		sqlite3_bind_int64(q, 4, t->version);
		sqlite3_bind_text(q, 5, t->definition.p, (int)t->definition.n, SQLITE_STATIC);
		sqlite3_step(q);
	}
	bool other = q && sqlite3_errcode(s->db) == SQLITE_DONE && sqlite3_changes(s->db) == 0;

	if (end(s, q, "store a table version", err) < 0)
		return -1;
	if (other)
		return fail(err, ERR_FATAL, "%s: table version %" PRIu32 " is not %.*s.%.*s there",
			    s->path, t->id, STR_FMT(t->schema), STR_FMT(t->name));
	return 0;
}

int state_restore_tables(struct state *s, struct tables *t, struct error *err)
{
	sqlite3_stmt *q = begin(s, "SELECT definition FROM table_version ORDER BY id", NULL, 0);
	int bad = 0;

	while (!bad && q && sqlite3_step(q) == SQLITE_ROW) {
		struct str definition = { (const char *)sqlite3_column_text(q, 0), 0 };

		definition.n = (size_t)sqlite3_column_bytes(q, 0);
		if (!tables_restore(t, definition, err))
			bad = error_prefix(err, "%s", s->path);
	}
	struct error unread;

	return end(s, q, "read the table versions", bad ? &unread : err) < 0 || bad ? -1 : 0;
}

static char *column_text(sqlite3_stmt *q, int i)
{
	const char *text = (const char *)sqlite3_column_text(q, i);

	return text ? xstrdup(text) : NULL;
}

static bool column_position(sqlite3_stmt *q, int i, struct position *out)
{
	struct str text = str_z((const char *)sqlite3_column_text(q, i));

	return !text.p || position_parse(text, out) == 0;
}

int state_get_sink(struct state *s, const char *name, struct state_sink *out, struct error *err)
{
	sqlite3_stmt *q =
		begin(s,
		      "SELECT detached, start_position, start_resume, last_position,"
		      " last_resume, last_snapshot, last_stopped FROM sink WHERE name = ?",
		      &name, 1);
	bool valid = true;

	*out = (struct state_sink){ 0 };
	if (q && sqlite3_step(q) == SQLITE_ROW) {
		out->known = true;
		out->detached = sqlite3_column_int(q, 0) != 0;
		valid = column_position(q, 1, &out->start.pos) &&
			column_position(q, 3, &out->last.pos);
		out->start.resume = column_text(q, 2);
		out->last.resume = column_text(q, 4);
		out->last.snapshot = column_text(q, 5);
		out->last.stopped = column_text(q, 6);
	}
	if (end(s, q, "read a sink's place", err) < 0 || !valid) {
		state_sink_release(out);
		return valid ? -1
			     : fail(err, ERR_FATAL, "%s: the position of sink %s is damaged",
				    s->path, name);
	}
	return 0;
}

int state_put_sink_start(struct state *s, const char *name, const struct checkpoint *start,
			 struct error *err)
{
	char pos[POSITION_TEXT];
	const char *texts[] = { name, position_text(&start->pos, pos), start->resume };

	return put(s,
		   "INSERT INTO sink (name, start_position, start_resume) VALUES (?1, ?2, ?3)"
		   " ON CONFLICT (name) DO UPDATE SET start_position = ?2, start_resume = ?3",
		   texts, COUNT(texts), "store a sink's start", err);
}

int state_put_sink_last(struct state *s, const char *name, const struct checkpoint *last,
			struct error *err)
{
	char pos[POSITION_TEXT];
	const char *texts[] = { name, position_text(&last->pos, pos), last->resume, last->snapshot,
				last->stopped };

	return put(
		s,
		"INSERT INTO sink (name, start_position, start_resume, last_position, last_resume,"
		" last_snapshot, last_stopped) VALUES (?1, ?2, ?3, ?2, ?3, ?4, ?5)"
		" ON CONFLICT (name) DO UPDATE SET last_position = ?2, last_resume = ?3,"
		" last_snapshot = ?4, last_stopped = ?5",
		texts, COUNT(texts), "store a sink's place", err);
}

int state_put_sink_detached(struct state *s, const char *name, struct error *err)
{
	return put(s,
		   "INSERT INTO sink (name, start_position, detached) VALUES (?1, '0/0/0/0', 1)"
		   " ON CONFLICT (name) DO UPDATE SET detached = 1",
		   &name, 1, "store that a sink is detached", err);
}

void state_sink_release(struct state_sink *s)
{
	checkpoint_release(&s->start);
	checkpoint_release(&s->last);
	*s = (struct state_sink){ 0 };
}

int state_get(struct state *s, const char *name, char **out, struct error *err)
{
	sqlite3_stmt *q = begin(s, "SELECT value FROM value WHERE name = ?", &name, 1);

	*out = q && sqlite3_step(q) == SQLITE_ROW ? column_text(q, 0) : NULL;
	if (end(s, q, "read a value", err) < 0) {
		free(*out);
		*out = NULL;
		return -1;
	}
	return 0;
}

int state_put(struct state *s, const char *name, const char *value, struct error *err)
{
	const char *texts[] = { name, value };

	if (!value)
		return put(s, "DELETE FROM value WHERE name = ?1", texts, 1, "remove a value", err);
	return put(s,
		   "INSERT INTO value (name, value) VALUES (?1, ?2)"
		   " ON CONFLICT (name) DO UPDATE SET value = ?2",
		   texts, COUNT(texts), "store a value", err);
}
