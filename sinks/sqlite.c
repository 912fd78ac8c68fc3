/*
 * sqlite.c - the sqlite sink: an embedded copy of the tables, with its checkpoint in the same file
 *
 * One SQLite transaction holds what lies between two commits: it begins by touching the checkpoint
 * row WHERE fence = mine and ends by writing the position there.  WAL with synchronous = FULL: a
 * COMMIT that has returned survives a power cut, readers are never in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "folder.h"
#include "sqlite.h"

#define BUSY_MS 1000

static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
			       "PRAGMA cache_size = -6144; PRAGMA wal_autocheckpoint = 4000; "
			       "PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = FILE; "
			       "PRAGMA foreign_keys = OFF";

static enum error_kind kind_of(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_PROTOCOL:
	case SQLITE_NOMEM:
	case SQLITE_INTERRUPT:
		return ERR_RETRY;
	case SQLITE_CANTOPEN:
		return errno_kind(db ? sqlite3_system_errno(db) : 0);
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return ERR_REJECT;
	default: /* READONLY, CORRUPT, NOTADB, and what is not classified */
		return ERR_FATAL;
	}
}

static int fail_sqlite(struct error *err, sqlite3 *db, const char *path, const char *what)
{
	int rc = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	int system = db ? sqlite3_system_errno(db) : 0;
	const char *more = (rc & 0xff) == SQLITE_BUSY ? "; another process is writing to it" : "";

	fail(err, kind_of(db, rc), "sqlite %s: %s%s%s%s%s%s%s", path, what ? what : "",
	     what ? ": " : "", db ? sqlite3_errmsg(db) : "out of memory", more, system ? " (" : "",
	     system ? strerror(system) : "", system ? ")" : "");
	err->code = rc;
	return -1;
}

int sqlite_fail(const struct sqlite *k, struct error *err, const char *what)
{
	return fail_sqlite(err, k->db, k->set->path, what);
}

int sqlite_exec(struct sqlite *k, const char *sql, struct error *err)
{
	if (sqlite3_exec(k->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_fail(k, err, NULL);
	return 0;
}

/* --- the checkpoint row --- */

/* One parameter of a checkpoint statement: text, or a number where text is NULL and number set. */
struct param {
	const char *text;
	const int64_t *number;
};

/*
 * Runs one of the sql_checkpoint statements.  Changes of a write; of a SELECT 1 if there is a row, which stays
 * in *row for the caller to read and finalize.
 */
static int checkpoint_run(struct sqlite *k, const char *sql, const struct param *params, size_t n,
			  sqlite3_stmt **row, struct error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(k->db, sql, -1, &stmt, NULL);

	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = params[i].number ? sqlite3_bind_int64(stmt, (int)i + 1, *params[i].number)
				      : sqlite3_bind_text(stmt, (int)i + 1, params[i].text, -1,
							  SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && row) {
		*row = stmt;
		return 1;
	}
	if (rc != SQLITE_DONE)
		sqlite_fail(k, err, "tailrace_checkpoint");
	sqlite3_finalize(stmt);
	return rc != SQLITE_DONE ? -1 : row ? 0 : sqlite3_changes(k->db);
}

static void now_text(char out[VALUE_TEXT])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	sqlite_timestamp((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, out);
}

#define PIPELINE(k)                                                                                \
	{ (k)->ctx.config->pipeline.name, NULL },                                                  \
	{                                                                                          \
		(k)->ctx.sink->name, NULL                                                          \
	}

/* The fence in the checkpoint row: 1 and *fence, 0 if there is no row. */
static int fence_read(struct sqlite *k, int64_t *fence, struct error *err)
{
	const struct param params[] = { PIPELINE(k) };
	sqlite3_stmt *row = NULL;
	int rc = checkpoint_run(k, sql_checkpoint_fence, params, COUNT(params), &row, err);

	if (rc == 1) {
		*fence = sqlite3_column_int64(row, 0);
		sqlite3_finalize(row);
	}
	return rc;
}

static int fail_fenced(struct sqlite *k, struct error *err)
{
	int64_t fence = 0;
	int rc = fence_read(k, &fence, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || fence < k->fence)
		return fail(
			err, ERR_FATAL,
			"sqlite %s: the checkpoint of this pipeline is gone or older than this "
			"process: the file was replaced or restored; restart to go on from what "
			"it holds",
			k->set->path);
	return fail_exit(err, EXIT_FENCED,
			 "sqlite %s: fenced by another instance of pipeline %s (fence %" PRId64
			 ", mine is %" PRId64 ")",
			 k->set->path, k->ctx.config->pipeline.name, fence, k->fence);
}

static int fence_raise(struct sqlite *k, struct error *err)
{
	char now[VALUE_TEXT];
	int64_t fence = 0;
	int rc;

	now_text(now);
	if (sqlite_exec(k, "BEGIN IMMEDIATE", err) || sqlite_exec(k, sql_checkpoint_create, err) ||
	    (rc = fence_read(k, &fence, err)) < 0)
		return -1;
	fence++;

	const struct param raise[] = { { NULL, &fence }, { now, NULL }, PIPELINE(k) };
	const struct param insert[] = { PIPELINE(k), { NULL, &fence }, { now, NULL } };

	if (rc == 1)
		rc = checkpoint_run(k, sql_checkpoint_raise, raise, COUNT(raise), NULL, err);
	else
		rc = checkpoint_run(k, sql_checkpoint_insert, insert, COUNT(insert), NULL, err);
	k->fence = fence;
	return rc < 0 ? -1 : sqlite_exec(k, "COMMIT", err);
}

/* Checks in a transaction of its own: a row that is still mine, or who took it. */
static int fence_check(struct sqlite *k, struct error *err)
{
	int64_t fence = 0;
	int rc;

	if (sqlite_exec(k, sql_checkpoint_create, err) || (rc = fence_read(k, &fence, err)) < 0)
		return -1;
	return rc == 1 && fence == k->fence ? 0 : fail_fenced(k, err);
}

/* --- transactions --- */

static int begin(struct sqlite *k, struct error *err)
{
	const struct param hold[] = { PIPELINE(k), { NULL, &k->fence } };
	int n;

	if (k->writing)
		return 0;
	if (sqlite_exec(k, "BEGIN IMMEDIATE", err) ||
	    (n = checkpoint_run(k, sql_checkpoint_hold, hold, COUNT(hold), NULL, err)) < 0)
		return -1;
	if (n != 1)
		return fail_fenced(k, err);
	k->writing = true;
	return 0;
}

/* Data written to a file that nobody can find any more is not durable. */
static int still_there(struct sqlite *k, struct error *err)
{
	int moved = 0;

	if (sqlite3_file_control(k->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	    moved)
		return fail(err, ERR_FATAL,
			    "sqlite %s: the file was moved or removed while it was written to; put "
			    "it back, or restart to begin a new one",
			    k->set->path);
	return 0;
}

static int sqlite_commit(struct sink *sink, const struct checkpoint *upto, struct error *err)
{
	struct sqlite *k = (struct sqlite *)sink;
	char position[POSITION_TEXT], now[VALUE_TEXT];
	int n;

	if (begin(k, err) || (k->parked && sqlite_parked_end(k, err)))
		return -1;
	now_text(now);

	const struct param save[] = {
		{ position_text(&upto->pos, position), NULL },
		{ upto->resume, NULL },
		{ upto->snapshot, NULL },
		{ upto->stopped, NULL },
		{ now, NULL },
		PIPELINE(k),
		{ NULL, &k->fence },
	};

	if ((n = checkpoint_run(k, sql_checkpoint_save, save, COUNT(save), NULL, err)) < 0)
		return -1;
	if (n != 1)
		return fail_fenced(k, err);
	if (still_there(k, err) || sqlite_exec(k, "COMMIT", err))
		return -1;
	k->writing = false;
	return 0;
}

static int sqlite_write(struct sink *sink, const struct event *e, size_t n, struct error *err)
{
	struct sqlite *k = (struct sqlite *)sink;

	if (n && begin(k, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (sqlite_apply(k, &e[i], err)) {
			err->item = i;
			return -1;
		}
	return 0;
}

static char *column_copy(sqlite3_stmt *row, int i)
{
	const char *text = (const char *)sqlite3_column_text(row, i);

	return text ? xstrdup(text) : NULL;
}

static int sqlite_load(struct sink *sink, struct checkpoint *out, struct error *err)
{
	struct sqlite *k = (struct sqlite *)sink;
	const struct param params[] = { PIPELINE(k) };
	sqlite3_stmt *row = NULL;

	if (!k->writing && fence_check(k, err)) /* inside a transaction nobody else can raise it */
		return -1;
	int rc = checkpoint_run(k, sql_checkpoint_load, params, COUNT(params), &row, err);

	checkpoint_release(out);
	*out = (struct checkpoint){ 0 };
	if (rc != 1)
		return rc;

	const char *position = (const char *)sqlite3_column_text(row, 0);

	if (position && position_parse(str_z(position), &out->pos)) {
		fail(err, ERR_FATAL,
		     "sqlite %s: tailrace_checkpoint holds a position that is none: %s",
		     k->set->path, position);
		sqlite3_finalize(row);
		return -1;
	}
	out->resume = column_copy(row, 1);
	out->snapshot = column_copy(row, 2);
	out->stopped = column_copy(row, 3);
	sqlite3_finalize(row);
	return 0;
}

/* --- open, close, check --- */

static void sqlite_close(struct sink *sink)
{
	struct sqlite *k = (struct sqlite *)sink;

	sqlite_tables_free(k);
	sqlite3_close(k->db); /* rolls back what is open */
	arena_free(&k->arena);
	buf_free(&k->scratch);
	free(k->after);
	free(k->before);
	free(k->key);
	free(k);
}

static int check_settings(const struct sqlite_settings *set, struct error *err)
{
	if (!set->path || !*set->path || strcmp(set->path, ":memory:") == 0)
		return fail_exit(
			err, EXIT_USAGE,
			"path of a sqlite sink is the name of a file: a copy in memory would "
			"lose its checkpoint");
	if (set->schema)
		return fail_exit(err, EXIT_USAGE,
				 "schema = %s: SQLite has no schemas; set table = {schema}_{table} "
				 "to keep them apart",
				 set->schema);
	if (set->history)
		return fail_exit(err, EXIT_USAGE, "history = on is not available for sqlite yet");
	return 0;
}

static int connect_to(struct sqlite *k, struct error *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(k->set->path, &k->db, flags, NULL) != SQLITE_OK)
		return fail_sqlite(err, k->db, k->set->path, NULL);
	sqlite3_extended_result_codes(k->db, 1);
	sqlite3_busy_timeout(k->db, BUSY_MS);
	return sqlite_exec(k, settings, err);
}

static struct sink *sqlite_open(const struct sink_context *c, int64_t *fence, struct error *err)
{
	const struct sqlite_settings *set = c->sink->settings;

	if (check_settings(set, err) || folder_make_for(set->path, err))
		return NULL;

	struct sqlite *k = xcalloc(1, sizeof *k);

	k->sink.ops = &sqlite_sink;
	k->ctx = *c;
	k->set = set;
	k->fence = c->fence;
	if (connect_to(k, err) || (c->fenced ? fence_check(k, err) : fence_raise(k, err))) {
		sqlite_close(&k->sink);
		return NULL;
	}
	*fence = k->fence;
	return &k->sink;
}

/* An existing file is opened for reading only: a preflight changes nothing. */
static int check_file(const char *path, struct error *err)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);

	sqlite3_busy_timeout(db, BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA query_only = ON; SELECT count(*) FROM sqlite_master",
				  NULL, NULL, NULL);
	if (rc == SQLITE_OK && sqlite3_db_readonly(db, "main")) {
		fail(err, ERR_FATAL, "sqlite %s: no right to write to the file", path);
		rc = SQLITE_READONLY;
	} else if (rc != SQLITE_OK) {
		fail_sqlite(err, db, path, NULL);
	}
	sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : -1;
}

static int check_path(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return check_file(path, err);

	const char *slash = strrchr(path, '/');
	AUTO(free) char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");

	return folder_check(folder, err);
}

static int sqlite_check(const struct sink_context *c, struct findings *out, struct error *err)
{
	const struct sqlite_settings *set = c->sink->settings;
	struct error found;

	if (check_settings(set, err))
		return -1;
	if (check_path(set->path, &found))
		findings_add(out, "sink_unreachable", SEVERITY_ERROR, c->sink->name, found.text,
			     NULL, NULL);
	return 0;
}

const struct sink_ops sqlite_sink = {
	.name = "sqlite",
	.summary = "an embedded copy of the tables in one file",
	.check = sqlite_check,
	.open = sqlite_open,
	.load = sqlite_load,
	.write = sqlite_write,
	.commit = sqlite_commit,
	.close = sqlite_close,
};
