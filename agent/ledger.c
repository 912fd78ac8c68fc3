/*
 * ledger.c - what state.db knows of snapshots (schemas/state.sql: load_*)
 *
 * Threads: any; the lock of state.db is held over each call.  Each put is one transaction, durable
 * when it returns.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ledger.h"
#include "state_private.h"

static const char *const states[] = {
	[LOAD_WAITING] = "waiting", [LOAD_RUNNING] = "running", [LOAD_PAUSED] = "paused",
	[LOAD_DONE] = "done",       [LOAD_FAILED] = "failed",   [LOAD_CANCELLED] = "cancelled",
};
static const char *const kinds[] = {
	[REQUEST_START] = "start",
	[REQUEST_PAUSE] = "pause",
	[REQUEST_RESUME] = "resume",
	[REQUEST_CANCEL] = "cancel",
};

const char *load_state_name(enum snapshot_state state)
{
	return states[state];
}

const char *request_kind_name(enum request_kind kind)
{
	return kinds[kind];
}

static int find(const char *const *names, size_t n, const char *text)
{
	for (size_t i = 0; text && i < n; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -1;
}

/* --- statements: the caller holds the lock --- */

static sqlite3_stmt *prepare(struct state *s, const char *sql)
{
	sqlite3_stmt *q = NULL;

	return sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK ? q : NULL;
}

static void bind(sqlite3_stmt *q, int i, const char *text)
{
	if (q)
		sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static void bind_str(sqlite3_stmt *q, int i, struct str text)
{
	if (q)
		sqlite3_bind_text(q, i, text.p, (int)text.n, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *q, int i, int64_t value)
{
	if (q)
		sqlite3_bind_int64(q, i, value);
}

/* Of a table: its schema and name are always the first two parameters. */
static sqlite3_stmt *of_table(struct state *s, const char *sql, struct str schema, struct str name)
{
	sqlite3_stmt *q = prepare(s, sql);

	bind_str(q, 1, schema);
	bind_str(q, 2, name);
	return q;
}

static int finish(struct state *s, sqlite3_stmt *q, const char *what, struct error *err)
{
	return !q || sqlite3_finalize(q) != SQLITE_OK ? state_failed(s, what, err) : 0;
}

static int run(struct state *s, sqlite3_stmt *q, const char *what, struct error *err)
{
	if (q)
		sqlite3_step(q); /* its error comes back from finalize */
	return finish(s, q, what, err);
}

/* work() within one transaction. */
static int change(struct state *s, const char *what,
		  int (*work)(struct state *s, const void *arg, struct error *err), const void *arg,
		  struct error *err)
{
	int failed;

	pthread_mutex_lock(&s->lock);
	if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		failed = state_failed(s, what, err);
	else
		failed = work(s, arg, err);
	if (!failed && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		failed = state_failed(s, what, err);
	if (failed && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&s->lock);
	return failed;
}

static char *text(sqlite3_stmt *q, int i)
{
	const char *z = (const char *)sqlite3_column_text(q, i);

	return z ? xstrdup(z) : NULL;
}

/* --- tables --- */

void ledger_table_release(struct ledger_table *t)
{
	for (size_t i = 0; i < t->nranges; i++) {
		free(t->ranges[i].after);
		free(t->ranges[i].upto);
	}
	free(t->ranges);
	free(t->schema);
	free(t->name);
	free(t->sink);
	free(t->where);
	free(t->reason);
	*t = (struct ledger_table){ 0 };
}

void ledger_tables_free(struct ledger_table *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ledger_table_release(&t[i]);
	free(t);
}

static int damaged(struct state *s, const struct ledger_table *t, const char *what,
		   struct error *err)
{
	return fail(err, ERR_FATAL, "%s: the %s of %s.%s's snapshot is damaged", s->path, what,
		    t->schema, t->name);
}

static int read_table(struct state *s, sqlite3_stmt *q, struct ledger_table *t, struct error *err)
{
	int state = find(states, COUNT(states), (const char *)sqlite3_column_text(q, 5));

	*t = (struct ledger_table){
		.schema = text(q, 0),
		.name = text(q, 1),
		.sink = text(q, 2),
		.where = text(q, 3),
		.reason = text(q, 4),
		.state = state < 0 ? LOAD_FAILED : (enum snapshot_state)state,
		.by_name = sqlite3_column_int(q, 6) != 0,
		.rows = sqlite3_column_int64(q, 7),
		.estimate = sqlite3_column_int64(q, 8),
		.asked_us = sqlite3_column_int64(q, 9),
		.begun_us = sqlite3_column_int64(q, 10),
		.ended_us = sqlite3_column_int64(q, 11),
		.nrereads = (size_t)sqlite3_column_int64(q, 13),
		.version = (uint32_t)sqlite3_column_int64(q, 14),
	};
	if (state < 0)
		return damaged(s, t, "state", err);
	if (position_parse(str_z((const char *)sqlite3_column_text(q, 12)), &t->position) < 0)
		return damaged(s, t, "position", err);
	return 0;
}

static int read_ranges(struct state *s, struct ledger_table *t, struct error *err)
{
	sqlite3_stmt *q = of_table(s,
				   "SELECT id, after, upto, done FROM load_range"
				   " WHERE schema = ? AND name = ? ORDER BY id",
				   str_z(t->schema), str_z(t->name));

	while (q && sqlite3_step(q) == SQLITE_ROW) {
		t->ranges = xrealloc(t->ranges, (t->nranges + 1) * sizeof *t->ranges);
		t->ranges[t->nranges++] = (struct ledger_range){
			.id = sqlite3_column_int64(q, 0),
			.after = text(q, 1),
			.upto = text(q, 2),
			.done = sqlite3_column_int(q, 3) != 0,
		};
	}
	return finish(s, q, "read the ranges of a snapshot", err);
}

static int read_tables(struct state *s, struct ledger_table **out, size_t *n, struct error *err)
{
	sqlite3_stmt *q = prepare(
		s, "SELECT schema, name, sink, condition, reason, state, by_name, rows, estimate,"
		   " asked_us, begun_us, ended_us, position, (SELECT count(*) FROM load_reread r"
		   " WHERE r.schema = t.schema AND r.name = t.name), version"
		   " FROM load_table t ORDER BY schema, name");
	int failed = 0;

	while (!failed && q && sqlite3_step(q) == SQLITE_ROW) {
		*out = xrealloc(*out, (*n + 1) * sizeof **out);
		failed = read_table(s, q, &(*out)[(*n)++], err);
	}
	if (failed) {
		sqlite3_finalize(q);
		return -1;
	}
	if (finish(s, q, "read the snapshots", err) < 0)
		return -1;
	for (size_t i = 0; i < *n; i++)
		if (read_ranges(s, &(*out)[i], err) < 0)
			return -1;
	return 0;
}

int ledger_load(struct state *s, struct ledger_table **out, size_t *n, struct error *err)
{
	*out = NULL;
	*n = 0;
	pthread_mutex_lock(&s->lock);
	int failed = read_tables(s, out, n, err);

	pthread_mutex_unlock(&s->lock);
	if (failed) {
		ledger_tables_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return failed;
}

static int put_row(struct state *s, const struct ledger_table *t, struct error *err)
{
	char pos[POSITION_TEXT];
	sqlite3_stmt *q = of_table(s,
				   "INSERT OR REPLACE INTO load_table (schema, name, sink,"
				   " condition, reason, state, by_name, rows, estimate, asked_us,"
				   " begun_us, ended_us, position)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				   str_z(t->schema), str_z(t->name));

	bind(q, 3, t->sink);
	bind(q, 4, t->where);
	bind(q, 5, t->reason);
	bind(q, 6, states[t->state]);
	bind_number(q, 7, t->by_name);
	bind_number(q, 8, t->rows);
	bind_number(q, 9, t->estimate);
	bind_number(q, 10, t->asked_us);
	bind_number(q, 11, t->begun_us);
	bind_number(q, 12, t->ended_us);
	bind(q, 13, position_text(&t->position, pos));
	return run(s, q, "store a snapshot", err);
}

static int put_range(struct state *s, const struct ledger_table *t, const struct ledger_range *r,
		     struct error *err)
{
	sqlite3_stmt *q = of_table(s,
				   "INSERT INTO load_range (schema, name, id, after, upto, done)"
				   " VALUES (?, ?, ?, ?, ?, ?)",
				   str_z(t->schema), str_z(t->name));

	bind_number(q, 3, r->id);
	bind(q, 4, r->after);
	bind(q, 5, r->upto);
	bind_number(q, 6, r->done);
	return run(s, q, "store a snapshot's range", err);
}

static int put_table(struct state *s, const void *arg, struct error *err)
{
	const struct ledger_table *t = arg;
	struct str schema = str_z(t->schema), name = str_z(t->name);

	if (put_row(s, t, err) < 0 ||
	    run(s,
		of_table(s, "DELETE FROM load_range WHERE schema = ? AND name = ?", schema, name),
		"remove a snapshot's ranges", err) < 0)
		return -1;
	for (size_t i = 0; i < t->nranges; i++)
		if (put_range(s, t, &t->ranges[i], err) < 0)
			return -1;
	if (t->state != LOAD_WAITING)
		return 0;
	return run(s,
		   of_table(s, "DELETE FROM load_reread WHERE schema = ? AND name = ?", schema,
			    name),
		   "remove the keys to read again", err);
}

int ledger_put_table(struct state *s, const struct ledger_table *t, struct error *err)
{
	return change(s, "store a snapshot", put_table, t, err);
}

static bool is_end(enum snapshot_state state)
{
	return state == LOAD_DONE || state == LOAD_FAILED || state == LOAD_CANCELLED;
}

int ledger_put_state(struct state *s, const char *schema, const char *name,
		     enum snapshot_state state, const char *reason, struct error *err)
{
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = of_table(s,
				   "UPDATE load_table SET state = ?3, reason = ?4, ended_us = ?5"
				   " WHERE schema = ?1 AND name = ?2",
				   str_z(schema), str_z(name));

	bind(q, 3, states[state]);
	bind(q, 4, reason);
	bind_number(q, 5, is_end(state) ? wall_clock_us() : 0);
	int failed = run(s, q, "store a snapshot's state", err);

	if (!failed && sqlite3_changes(s->db) == 0)
		failed = fail(err, ERR_FATAL, "%s knows no snapshot of %s.%s", s->path, schema,
			      name);
	pthread_mutex_unlock(&s->lock);
	return failed;
}

/* --- notes --- */

/* What the note finds: 1 with the table's state and whether it has begun, 0: none, or as new as this note; -1. */
static int find_table(struct state *s, const struct load_note *n, const struct position *pos,
		      enum snapshot_state *state, bool *begun, bool *there, struct error *err)
{
	sqlite3_stmt *q = of_table(s,
				   "SELECT state, begun_us, position FROM load_table"
				   " WHERE schema = ? AND name = ?",
				   n->schema, n->name);
	struct position last = { 0 };
	int found = -1;

	*there = q && sqlite3_step(q) == SQLITE_ROW;
	if (*there) {
		found = find(states, COUNT(states), (const char *)sqlite3_column_text(q, 0));
		*begun = sqlite3_column_int64(q, 1) != 0;
		if (position_parse(str_z((const char *)sqlite3_column_text(q, 2)), &last) < 0)
			found = -1;
	}
	if (finish(s, q, "read a snapshot", err) < 0)
		return -1;
	if (*there && found < 0)
		return fail(err, ERR_FATAL, "%s: the snapshot of %.*s.%.*s is damaged", s->path,
			    STR_FMT(n->schema), STR_FMT(n->name));
	*state = *there ? (enum snapshot_state)found : LOAD_WAITING;
	return *there && position_cmp(pos, &last) > 0;
}

static int move_on(struct state *s, const struct load_note *n, const struct position *pos,
		   struct error *err)
{
	char at[POSITION_TEXT];
	sqlite3_stmt *q = of_table(s,
				   "UPDATE load_table SET position = ?3"
				   " WHERE schema = ?1 AND name = ?2",
				   n->schema, n->name);

	bind(q, 3, position_text(pos, at));
	return run(s, q, "store a snapshot's position", err);
}

/* A table that the ledger has lost is there again from its BEGIN on; its ranges are made anew. */
static int note_begin(struct state *s, const struct load_note *n, const struct position *pos,
		      enum snapshot_state state, bool there, struct error *err)
{
	char at[POSITION_TEXT];
	sqlite3_stmt *q;

	if (there && state != LOAD_WAITING && state != LOAD_PAUSED)
		return 0;
	if (there)
		q = of_table(s,
			     "UPDATE load_table SET begun_us = ?3, state = ?4"
			     " WHERE schema = ?1 AND name = ?2",
			     n->schema, n->name);
	else
		q = of_table(
			s,
			"INSERT INTO load_table (schema, name, begun_us, state, sink, position,"
			" by_name, rows, estimate, asked_us, ended_us)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, -1, ?3, 0)",
			n->schema, n->name);
	bind_number(q, 3, wall_clock_us());
	bind(q, 4, states[state == LOAD_PAUSED ? LOAD_PAUSED : LOAD_RUNNING]);
	if (!there) {
		bind_str(q, 5, n->sink);
		bind(q, 6, position_text(pos, at));
	}
	return run(s, q, "store that a snapshot has begun", err);
}

static int note_rows(struct state *s, const struct load_note *n, struct error *err)
{
	sqlite3_stmt *q = of_table(s,
				   "UPDATE load_table SET rows = rows + ?3,"
				   " version = CASE ?4 WHEN 0 THEN version ELSE ?4 END"
				   " WHERE schema = ?1 AND name = ?2",
				   n->schema, n->name);

	bind_number(q, 3, n->rows);
	bind_number(q, 4, n->version);
	if (run(s, q, "store a snapshot's rows", err) < 0)
		return -1;
	q = of_table(s,
		     "UPDATE load_range SET after = coalesce(?4, after), done = max(done, ?5)"
		     " WHERE schema = ?1 AND name = ?2 AND id = ?3",
		     n->schema, n->name);
	bind_number(q, 3, n->range);
	bind_str(q, 4, n->last);
	bind_number(q, 5, n->done);
	return run(s, q, "store a snapshot's range", err);
}

static int note_end(struct state *s, const struct load_note *n, enum snapshot_state state,
		    struct error *err)
{
	sqlite3_stmt *q;

	if (n->given_up && is_end(state)) /* the ledger says which of the two */
		return 0;
	q = of_table(s,
		     "UPDATE load_table SET state = ?3, reason = ?4, ended_us = ?5"
		     " WHERE schema = ?1 AND name = ?2",
		     n->schema, n->name);
	bind(q, 3, states[n->given_up ? LOAD_FAILED : LOAD_DONE]);
	bind(q, 4, n->given_up ? "it was given up" : NULL);
	bind_number(q, 5, wall_clock_us());
	return run(s, q, "store that a snapshot has ended", err);
}

static int apply_note(struct state *s, const struct load_note *n, const struct position *pos,
		      struct error *err)
{
	enum snapshot_state state = LOAD_WAITING;
	bool begun = false, there = false;
	int newer = find_table(s, n, pos, &state, &begun, &there, err);

	if (newer < 0)
		return -1;
	if (!there && n->kind == NOTE_BEGIN)
		return note_begin(s, n, pos, state, there, err);
	if (!newer)
		return 0;
	if (move_on(s, n, pos, err) < 0)
		return -1;
	if (n->kind == NOTE_BEGIN)
		return note_begin(s, n, pos, state, there, err);
	if (!begun) /* of an earlier load of this table */
		return 0;
	return n->kind == NOTE_ROWS ? note_rows(s, n, err) : note_end(s, n, state, err);
}

struct entries {
	const struct ledger_entry *e;
	size_t n;
};

static int apply(struct state *s, const void *arg, struct error *err)
{
	const struct entries *all = arg;
	AUTO(arena) struct arena arena = { 0 };

	for (size_t i = 0; i < all->n; i++) {
		struct load_note note;

		if (load_note_parse(all->e[i].note, &arena, &note, err) < 0 ||
		    apply_note(s, &note, &all->e[i].pos, err) < 0)
			return -1;
	}
	return 0;
}

int ledger_apply(struct state *s, const struct ledger_entry *e, size_t n, struct error *err)
{
	struct entries all = { e, n };

	return n ? change(s, "store what was loaded", apply, &all, err) : 0;
}

/* --- keys to read again --- */

struct keys {
	struct str schema, name;
	const struct ledger_reread *keys;
	size_t n;
	bool *any;
};

static const char put_key[] = "store a key to read again",
		  drop_key[] = "remove a key to read again";

static void bind_key(sqlite3_stmt *q, int i, struct str key)
{
	if (q)
		sqlite3_bind_blob(q, i, key.n ? key.p : "", (int)key.n, SQLITE_STATIC);
}

static int put_keys(struct state *s, const void *arg, struct error *err)
{
	const struct keys *k = arg;

	for (size_t i = 0; i < k->n; i++) {
		sqlite3_stmt *q = of_table(
			s,
			"INSERT INTO load_reread (schema, name, key, tries) SELECT ?1, ?2, ?3, 0"
			" WHERE ?4 IS NULL OR EXISTS (SELECT 1 FROM load_reread"
			"  WHERE schema = ?1 AND name = ?2 AND key = ?4)"
			" ON CONFLICT (schema, name, key) DO UPDATE SET tries = tries + 1",
			k->schema, k->name);

		bind_key(q, 3, k->keys[i].key);
		if (k->keys[i].old.p)
			bind_key(q, 4, k->keys[i].old);
		if (run(s, q, put_key, err) < 0)
			return -1;
		*k->any = *k->any || sqlite3_changes(s->db) > 0;
	}
	return 0;
}

int ledger_put_rereads(struct state *s, struct str schema, struct str name,
		       const struct ledger_reread *keys, size_t n, bool *any, struct error *err)
{
	struct keys all = { schema, name, keys, n, any };

	*any = false;
	return change(s, put_key, put_keys, &all, err);
}

struct got_keys {
	const struct ledger_key *keys;
	size_t n;
};

static int drop_keys(struct state *s, const void *arg, struct error *err)
{
	const struct got_keys *k = arg;

	for (size_t i = 0; i < k->n; i++) {
		sqlite3_stmt *q =
			prepare(s, "DELETE FROM load_reread WHERE id = ?1 AND tries = ?2");

		bind_number(q, 1, k->keys[i].id);
		bind_number(q, 2, k->keys[i].tries);
		if (run(s, q, drop_key, err) < 0)
			return -1;
	}
	return 0;
}

int ledger_drop_rereads(struct state *s, const struct ledger_key *keys, size_t n, struct error *err)
{
	struct got_keys all = { keys, n };

	return n ? change(s, drop_key, drop_keys, &all, err) : 0;
}

int ledger_get_rereads(struct state *s, const char *schema, const char *name, size_t most,
		       struct ledger_key **out, size_t *n, struct error *err)
{
	size_t bytes = 0, room = 0;
	AUTO(buf) struct buf text_of = { 0 };

	*out = NULL;
	*n = 0;
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = of_table(s,
				   "SELECT key, tries, id FROM load_reread"
				   " WHERE schema = ? AND name = ? ORDER BY id LIMIT ?",
				   str_z(schema), str_z(name));

	bind_number(q, 3, (int64_t)most);
	while (q && sqlite3_step(q) == SQLITE_ROW) {
		if (*n == room) {
			room = room ? 2 * room : 16;
			*out = xrealloc(*out, room * sizeof **out);
		}
		struct ledger_key *k = &(*out)[(*n)++];

		k->key.n = (size_t)sqlite3_column_bytes(q, 0);
		k->tries = sqlite3_column_int64(q, 1);
		k->id = sqlite3_column_int64(q, 2);
		if (k->key.n)
			buf_add(&text_of, sqlite3_column_blob(q, 0), k->key.n);
		bytes += k->key.n;
	}
	int failed = finish(s, q, "read the keys to read again", err);

	pthread_mutex_unlock(&s->lock);
	if (failed) {
		free(*out);
		*out = NULL;
		*n = 0;
		return -1;
	}
	/* One piece: the list, then the keys' bytes, so that one free() takes all. */
	*out = xrealloc(*out, *n * sizeof **out + bytes + 1);
	char *p = (char *)(*out + *n);

	if (bytes)
		memcpy(p, text_of.p, bytes);
	for (size_t i = 0; i < *n; p += (*out)[i++].key.n)
		(*out)[i].key.p = p;
	return 0;
}

/* --- requests --- */

int ledger_put_request(struct state *s, struct load_request *r, struct error *err)
{
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = prepare(s, "INSERT INTO load_request (kind, tables, condition, sink)"
				     " VALUES (?, ?, ?, ?)");

	bind(q, 1, kinds[r->kind]);
	bind(q, 2, r->tables);
	bind(q, 3, r->where);
	bind(q, 4, r->sink);
	int failed = run(s, q, "store a request", err);

	r->id = sqlite3_last_insert_rowid(s->db);
	pthread_mutex_unlock(&s->lock);
	return failed;
}

bool ledger_asked(struct state *s)
{
	int64_t version = 0;

	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = prepare(s, "PRAGMA data_version");

	if (q && sqlite3_step(q) == SQLITE_ROW)
		version = sqlite3_column_int64(q, 0);
	/* An error shows in what is read next. */
	bool asked = sqlite3_finalize(q) != SQLITE_OK || version != s->data_version;

	s->data_version = version;
	pthread_mutex_unlock(&s->lock);
	return asked;
}

int ledger_get_requests(struct state *s, struct load_request **out, size_t *n, struct error *err)
{
	int failed = 0;

	*out = NULL;
	*n = 0;
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = prepare(s, "SELECT id, kind, tables, condition, sink FROM load_request"
				     " ORDER BY id");

	while (!failed && q && sqlite3_step(q) == SQLITE_ROW) {
		int kind = find(kinds, COUNT(kinds), (const char *)sqlite3_column_text(q, 1));

		if (kind < 0) {
			failed = fail(err, ERR_FATAL, "%s: a request's kind is damaged", s->path);
			break;
		}
		*out = xrealloc(*out, (*n + 1) * sizeof **out);
		(*out)[(*n)++] =
			(struct load_request){ sqlite3_column_int64(q, 0), (enum request_kind)kind,
					       text(q, 2), text(q, 3), text(q, 4) };
	}
	struct error unread;

	if (finish(s, q, "read the requests", failed ? &unread : err) < 0)
		failed = -1;
	pthread_mutex_unlock(&s->lock);
	if (failed) {
		load_requests_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return failed;
}

int ledger_drop_request(struct state *s, int64_t id, struct error *err)
{
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *q = prepare(s, "DELETE FROM load_request WHERE id = ?");

	bind_number(q, 1, id);
	int failed = run(s, q, "remove a request", err);

	pthread_mutex_unlock(&s->lock);
	return failed;
}

void load_requests_free(struct load_request *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(r[i].tables);
		free(r[i].where);
		free(r[i].sink);
	}
	free(r);
}
