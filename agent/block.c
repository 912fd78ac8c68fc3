/*
 * block.c - builds spool blocks from changes; counts who holds them
 *
 * Threads: the reference count is atomic; everything else of a block is immutable once it is
 * indexed by the writer.
 */
#include <stdlib.h>
#include <string.h>

#include "block.h"

void block_builder_release(struct block_builder *bb)
{
	buf_free(&bb->bytes);
	avro_scratch_free(&bb->scratch);
	bb->cut = 0;
}

void block_builder_clear(struct block_builder *bb)
{
	buf_clear(&bb->bytes);
	bb->cut = 0;
}

void block_builder_add(struct block_builder *bb, const struct change *c)
{
	if (!bb->bytes.p)
		buf_more(&bb->bytes, BLOCK_TARGET + BLOCK_TARGET / 4);
	spool_record_put(&bb->bytes, c, &bb->scratch);
	if (bb->scratch.before.room + bb->scratch.after.room > 8 * BLOCK_TARGET)
		avro_scratch_free(&bb->scratch); /* one large row must not be paid for ever */
	if (c->op == CHANGE_COMMIT || c->op == CHANGE_HEARTBEAT || c->op == CHANGE_GAP)
		bb->cut = bb->bytes.n;
}

void block_builder_add_encoded(struct block_builder *bb, const struct event *e)
{
	if (!bb->bytes.p)
		buf_more(&bb->bytes, BLOCK_TARGET + BLOCK_TARGET / 4);
	spool_record_put_encoded(&bb->bytes, e);
}

struct block *block_of(struct buf *bytes)
{
	struct block *b = xcalloc(1, sizeof *b);

	atomic_init(&b->refs, 1);
	b->bytes = bytes->p;
	b->nbytes = bytes->n;
	*bytes = (struct buf){ .max = bytes->max };
	return b;
}

struct block *block_seal(struct block_builder *bb)
{
	if (bb->bytes.n == 0)
		return NULL;
	bool boundary = bb->cut > 0;
	size_t n = boundary ? bb->cut : bb->bytes.n;
	size_t rest = bb->bytes.n - n;
	struct buf next = { 0 };

	if (rest)
		buf_add(&next, bb->bytes.p + n, rest);
	bb->bytes.n = n;
	struct block *b = block_of(&bb->bytes);

	b->has_boundary = boundary;
	bb->bytes = next;
	bb->cut = 0;
	return b;
}

int block_index(struct block *b, struct tables *tables, struct error *err)
{
	struct cursor c = cursor_of((struct str){ b->bytes, b->nbytes });
	size_t room = b->nbytes / 128 + 16;

	b->events = xmalloc(room * sizeof *b->events);
	b->nevents = 0;
	while (cursor_left(&c)) {
		if (b->nevents == room) {
			room += room / 2;
			b->events = xrealloc(b->events, room * sizeof *b->events);
		}
		const struct event *e = &b->events[b->nevents];

		if (spool_record_get(&c, tables, &b->events[b->nevents], err) < 0)
			return -1;
		b->only_copy = b->only_copy || e->op == CHANGE_GAP ||
			       (e->op == CHANGE_COMMIT && e->pos.row > POSITION_BETWEEN);
		b->nevents++;
	}
	enum change_op last = b->nevents ? b->events[b->nevents - 1].op : CHANGE_SCHEMA;

	b->has_boundary = last == CHANGE_COMMIT || last == CHANGE_HEARTBEAT || last == CHANGE_GAP;
	return 0;
}

size_t block_weight(const struct block *b)
{
	return b->nbytes + b->nevents * sizeof *b->events;
}

void block_hold(struct block *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void block_drop(struct block *b)
{
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) {
		free(b->bytes);
		free(b->events);
		free(b);
	}
}
