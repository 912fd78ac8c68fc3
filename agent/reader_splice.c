/*
 * reader_splice.c - rows that snapshot workers read, put into the stream between transactions
 *
 * A chunk stands at the offset of the last transaction, its rows counted on from POSITION_BETWEEN;
 * its BEGIN carries the note for the ledger, its COMMIT the resume token of the place.
 */
#include <stdlib.h>

#include "chunk.h"
#include "failpoint.h"
#include "reader_private.h"
#include "snapshot.h"

const char *reader_resume(const struct reader *r)
{
	return r->heartbeat.resume ? r->heartbeat.resume : r->last.resume;
}

/* Chunks are emitted only past what every sink has: a sink would take one before that for delivered. */
static bool is_past(struct deliver *d, const struct position *pos)
{
	struct sink_status status = { 0 };

	deliver_status(d, &status);
	free(status.error);
	return position_cmp(&status.position, pos) > 0;
}

static bool past_sinks(void *arg)
{
	const struct reader *r = arg;
	const struct agent *a = r->agent;

	for (size_t i = 0; i < a->nsinks; i++)
		if (is_past(a->sinks[i], &r->last.pos))
			return false;
	return true;
}

static void between(struct position *pos)
{
	pos->row = pos->row >= POSITION_BETWEEN ? pos->row + 1 : POSITION_BETWEEN + 1;
}

static void put_change(struct reader *r, struct change *c)
{
	c->pos = r->chunk_at;
	between(&r->chunk_at);
	block_builder_add(&r->builder, c);
}

static void put_row(struct reader *r, const struct chunk *chunk, const struct chunk_row *row)
{
	const struct event e = {
		.op = CHANGE_READ,
		.table = chunk->table,
		.pos = r->chunk_at,
		.commit_us = chunk->read_us,
		.key = row->keyed ? chunk_key(chunk, row) : (struct str){ NULL, 0 },
		.after = chunk_image(chunk, row),
		.unrepresentable = chunk_extra(chunk, row),
	};

	between(&r->chunk_at);
	block_builder_add_encoded(&r->builder, &e);
}

/* The rest of what is in the builder, whatever its size: an emission is with the writer when this returns. */
static int push_all(struct reader *r, struct error *err)
{
	struct block *b;

	while ((b = block_seal(&r->builder)))
		if (reader_push(r, b, err) < 0 || r->agent->stopping)
			return r->agent->stopping ? fail(err, ERR_RETRY, "stopping") : -1;
	return 0;
}

static int put_rows(struct reader *r, const struct chunk *chunk, struct error *err)
{
	for (size_t i = 0; i < chunk->nrows; i++) {
		if (chunk->rows[i].dropped)
			continue;
		put_row(r, chunk, &chunk->rows[i]);
		if (r->builder.bytes.n >= BLOCK_TARGET && push_all(r, err) < 0)
			return -1;
	}
	metric_add(reader_metric(r, chunk->table, CHANGE_READ), chunk->nrows - chunk->ndropped);
	r->rows += chunk->nrows - chunk->ndropped;
	return 0;
}

static int emit(struct reader *r, const struct emission *e, struct error *err)
{
	int64_t when = e->chunk ? e->chunk->read_us : wall_clock_us();
	struct change begin = { .op = CHANGE_BEGIN, .commit_us = when, .content = str_z(e->note) };

	if (e->first) {
		reader_write_heartbeat(r, true);
		r->chunk_at = r->last.pos;
		between(&r->chunk_at);
		put_change(r, &begin);
		r->in_chunk = true;
	}
	if (e->clears &&
	    e->chunk) { /* without a key nothing tells the rows that were streamed before the read's place */
		struct change all = { .op = CHANGE_TRUNCATE,
				      .table = e->chunk->table,
				      .commit_us = when };

		put_change(r, &all);
	}
	if (e->chunk && put_rows(r, e->chunk, err) < 0)
		return -1;
	if (e->final) {
		struct change commit = { .op = CHANGE_COMMIT,
					 .commit_us = when,
					 .resume = str_z(r->last.resume) };

		put_change(r, &commit);
		r->last.pos = commit.pos;
		r->in_chunk = false;
	}
	failpoint("chunk_emitted");
	return push_all(r, err);
}

int reader_splice(struct reader *r, const struct change *next, bool *halts, struct error *err)
{
	struct snapshot *s = r->agent->snapshot;
	struct emission e;

	*halts = snapshot_boundary(s, reader_resume(r));
	if (r->in_chunk && snapshot_broken(s))
		return fail(
			err, ERR_RETRY,
			"a table could not be read to its end: what was read of it is taken back");
	int taken;

	while ((taken = snapshot_take(s, reader_resume(r), next, past_sinks, r, &e, err)) > 0) {
		int rc = emit(r, &e, err);

		snapshot_emitted(s, &e, rc == 0, &r->last.pos);
		if (rc < 0)
			return -1;
		*halts = snapshot_boundary(s, reader_resume(r));
	}
	return taken;
}
