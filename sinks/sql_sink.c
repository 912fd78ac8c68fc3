/*
 * sql_sink.c - what SQL servers as targets share: fence, checkpoint row, transactions
 *
 * One transaction of the target holds what lies between two commits: its first statement locks the
 * checkpoint row WHERE fence = mine, its last writes the position there.  Events are applied in
 * batches; a batch that the target refuses is rolled back to the savepoint before it and applied event
 * by event, so that the refused one is known.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "sql_sink.h"
#include "value_text.h"

/* A chunk of events is decoded at once: bounds of its memory. */
#define CHUNK_VALUES ((size_t)64 * 1024)

static void now_text(char out[VALUE_TEXT])
{
	value_time(COL_TIMESTAMPTZ, wall_clock_us(), ' ', "+00:00", out);
}

static void row_release(struct sql_row *row)
{
	for (size_t i = 0; i < SQL_ROW_MOST; i++)
		free(row->text[i]);
}

#define PIPELINE(k)                                                                                \
	{ (k)->ctx.config->pipeline.name, NULL },                                                  \
	{                                                                                          \
		(k)->ctx.sink->name, NULL                                                          \
	}

/* --- the fence --- */

/* The fence in the checkpoint row: 1 and *fence, 0 if there is no row. */
static int fence_read(struct sql_sink *k, int64_t *fence, struct error *err)
{
	const struct sql_param params[] = { PIPELINE(k) };
	struct sql_row row = { 0 };
	int rc = k->dialect->checkpoint(k, sql_checkpoint_fence, params, COUNT(params), &row, err);

	if (rc == 1)
		*fence = row.text[0] ? strtoll(row.text[0], NULL, 10) : 0;
	row_release(&row);
	return rc;
}

static int fail_fenced(struct sql_sink *k, struct error *err)
{
	int64_t fence = 0;
	int rc = fence_read(k, &fence, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || fence < k->fence)
		return fail(err, ERR_FATAL,
			    "%s %s: the checkpoint of this pipeline is gone or older than this "
			    "process: the database was replaced or restored; restart to go on from "
			    "what "
			    "it holds",
			    k->dialect->name, k->where);
	return fail_exit(err, EXIT_FENCED,
			 "%s %s: fenced by another instance of pipeline %s (fence %" PRId64
			 ", mine is %" PRId64 ")",
			 k->dialect->name, k->where, k->ctx.config->pipeline.name, fence, k->fence);
}

/* Raised and committed, before anything is loaded. */
static int fence_raise(struct sql_sink *k, struct error *err)
{
	char now[VALUE_TEXT];
	int64_t fence = 0, old;
	int rc;

	now_text(now);

	const struct sql_param insert[] = { PIPELINE(k), { NULL, &fence }, { now, NULL } };

	if (k->dialect->run(k, "BEGIN", err) || (rc = fence_read(k, &fence, err)) < 0)
		return -1;
	old = fence++;
	if (rc == 0) {
		rc = k->dialect->checkpoint(k, sql_checkpoint_insert, insert, COUNT(insert), NULL,
					    err);
	} else {
		const struct sql_param raise[] = {
			{ NULL, &fence }, { now, NULL }, PIPELINE(k), { NULL, &old }
		};

		rc = k->dialect->checkpoint(k, sql_checkpoint_raise_from, raise, COUNT(raise), NULL,
					    err);
	}
	if (rc < 0)
		return -1;
	if (rc != 1)
		return fail(err, ERR_RETRY,
			    "%s %s: another instance of pipeline %s starts at the same time",
			    k->dialect->name, k->where, k->ctx.config->pipeline.name);
	k->fence = fence;
	return k->dialect->run(k, "COMMIT", err);
}

static int fence_check(struct sql_sink *k, struct error *err)
{
	int64_t fence = 0;
	int rc = fence_read(k, &fence, err);

	if (rc < 0)
		return -1;
	return rc == 1 && fence == k->fence ? 0 : fail_fenced(k, err);
}

int sql_fence(struct sql_sink *k, int64_t *fence, struct error *err)
{
	k->fence = k->ctx.fence;
	if (k->ctx.fenced ? fence_check(k, err) : fence_raise(k, err))
		return -1;
	*fence = k->fence;
	return 0;
}

/* --- transactions --- */

int sql_begin(struct sql_sink *k, struct error *err)
{
	const struct sql_param hold[] = { PIPELINE(k), { NULL, &k->fence } };
	struct sql_row row = { 0 };
	int n;

	if (k->writing)
		return 0;
	if (k->dialect->run(k, "BEGIN", err) ||
	    (n = k->dialect->checkpoint(k, sql_checkpoint_lock, hold, COUNT(hold), &row, err)) < 0)
		return -1;
	row_release(&row);
	if (n != 1)
		return fail_fenced(k, err);
	k->writing = true;
	k->dirty = false;
	return 0;
}

int sql_commit(struct sink *sink, const struct checkpoint *upto, struct error *err)
{
	struct sql_sink *k = (struct sql_sink *)sink;
	char position[POSITION_TEXT], now[VALUE_TEXT];
	int n;

	if (sql_begin(k, err))
		return -1;
	now_text(now);

	const struct sql_param save[] = {
		{ position_text(&upto->pos, position), NULL },
		{ upto->resume, NULL },
		{ upto->snapshot, NULL },
		{ upto->stopped, NULL },
		{ now, NULL },
		PIPELINE(k),
		{ NULL, &k->fence },
	};

	if ((n = k->dialect->checkpoint(k, sql_checkpoint_save, save, COUNT(save), NULL, err)) < 0)
		return -1;
	if (n != 1)
		return fail_fenced(k, err);
	failpoint("sql_saved");
	if (k->dialect->run(k, "COMMIT", err)) {
		/* a deferred constraint of the target's: no row can be named */
		if (err->kind == ERR_REJECT)
			err->kind = ERR_RETRY;
		return -1;
	}
	k->writing = false;
	return 0;
}

int sql_load(struct sink *sink, struct checkpoint *out, struct error *err)
{
	struct sql_sink *k = (struct sql_sink *)sink;
	const struct sql_param params[] = { PIPELINE(k) };
	struct sql_row row = { 0 };

	if (!k->writing && fence_check(k, err)) /* inside a transaction nobody else can raise it */
		return -1;
	int rc = k->dialect->checkpoint(k, sql_checkpoint_load, params, COUNT(params), &row, err);

	checkpoint_release(out);
	*out = (struct checkpoint){ 0 };
	if (rc != 1)
		return rc;
	if (row.text[0] && position_parse(str_z(row.text[0]), &out->pos)) {
		fail(err, ERR_FATAL, "%s %s: tailrace_checkpoint holds a position that is none: %s",
		     k->dialect->name, k->where, row.text[0]);
		row_release(&row);
		return -1;
	}
	free(row.text[0]);
	out->resume = row.text[1];
	out->snapshot = row.text[2];
	out->stopped = row.text[3];
	return 0;
}

/* --- events --- */

/* The end of the chunk that begins at `from`, and how many rows it has. */
static size_t chunk_end(const struct event *e, size_t from, size_t n, size_t *rows)
{
	size_t values = 0, i;

	*rows = 0;
	for (i = from; i < n && values < CHUNK_VALUES; i++) {
		if (!e[i].table)
			continue;
		values += e[i].table->ncolumns * 2;
		++*rows;
	}
	return i;
}

static int apply_one_by_one(struct sql_sink *k, const struct event *e, size_t from, size_t to,
			    struct error *err)
{
	for (size_t i = from; i < to; i++)
		if (sql_apply(k, e, i, i + 1, err)) {
			err->item = i;
			return -1;
		}
	return 0;
}

/* Nothing is lost by a refusal: what the chunk has done is undone, and done again event by event. */
static int apply_chunk(struct sql_sink *k, const struct event *e, size_t from, size_t to,
		       size_t rows, struct error *err)
{
	uint64_t transactions = k->transactions;
	int failed;

	if (rows <= 1)
		return apply_one_by_one(k, e, from, to, err);
	if (k->dialect->run(k, "SAVEPOINT chunk", err))
		return -1;
	do {
		k->bulk = true;
		k->again = false;
		failed = sql_apply(k, e, from, to, err);
		k->bulk = false;
		if (!failed)
			return k->dialect->run(k, "RELEASE SAVEPOINT chunk", err);
		sql_apply_forget(k);
		if (err->kind != ERR_REJECT)
			return -1;
		if (k->dialect->run(k, "ROLLBACK TO SAVEPOINT chunk", err))
			return -1;
		k->transactions = transactions;
		sql_tables_forget(k);
	} while (k->again);
	return apply_one_by_one(k, e, from, to, err);
}

int sql_write(struct sink *sink, const struct event *e, size_t n, struct error *err)
{
	struct sql_sink *k = (struct sql_sink *)sink;

	if (n && sql_begin(k, err))
		return -1;
	for (size_t i = 0, end, rows; i < n; i = end) {
		end = chunk_end(e, i, n, &rows);
		if (apply_chunk(k, e, i, end, rows, err))
			return -1;
		failpoint("sql_chunk");
	}
	return 0;
}

void sql_release(struct sql_sink *k)
{
	sql_tables_free(k);
	arena_free(&k->arena);
	free(k->touched);
	free(k->list);
	free(k->where);
}
