/*
 * ledger_spool.c - takes up what the spool knows of snapshots beyond the ledger
 *
 * A chunk is synced in the spool before the ledger hears of it, so a crash can leave the ledger
 * behind; never ahead.  At the start, before the other threads.
 */
#include <stdlib.h>

#include "block.h"
#include "ledger.h"
#include "spool.h"

#define BATCH 256 /* notes of one transaction of state.db */

struct batch_of_notes {
	struct state *state;
	struct arena arena;
	struct ledger_entry entries[BATCH];
	size_t n;
};

static int flush(struct batch_of_notes *b, struct error *err)
{
	int failed = ledger_apply(b->state, b->entries, b->n, err);

	arena_reset(&b->arena);
	b->n = 0;
	return failed;
}

static int take(struct batch_of_notes *b, const struct block *block, struct error *err)
{
	for (size_t i = 0; i < block->nevents; i++) {
		const struct event *e = &block->events[i];

		if (e->op != CHANGE_BEGIN || e->pos.row <= POSITION_BETWEEN)
			continue;
		if (b->n == BATCH && flush(b, err) < 0)
			return -1;
		b->entries[b->n++] =
			(struct ledger_entry){ arena_copy(&b->arena, e->content), e->pos };
	}
	return 0;
}

/* Where to begin: false when every load has ended. */
static bool lowest(const struct ledger_table *t, size_t n, struct position *out)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (t[i].state != LOAD_WAITING && t[i].state != LOAD_RUNNING &&
		    t[i].state != LOAD_PAUSED)
			continue;
		if (!any || position_cmp(&t[i].position, out) < 0)
			*out = t[i].position;
		any = true;
	}
	return any;
}

static struct spool_cursor *seek(struct spool *spool, const struct position *from,
				 struct error *err)
{
	struct spool_cursor *c = spool_seek(spool, from, err);

	/* What retention has removed was taken up long ago, or never was a note. */
	return c || err->exit != EXIT_LOG_GONE ? c : spool_seek_oldest(spool);
}

int ledger_catch_up(struct state *s, struct spool *spool, struct error *err)
{
	struct batch_of_notes notes = { .state = s };
	struct ledger_table *tables;
	struct position from = { 0 };
	size_t n;

	if (ledger_load(s, &tables, &n, err) < 0)
		return -1;
	bool any = lowest(tables, n, &from);

	ledger_tables_free(tables, n);
	if (!any)
		return 0;
	struct spool_cursor *c = seek(spool, &from, err);
	int got = c ? 1 : -1;

	while (got > 0) {
		struct block *b;

		got = spool_next(c, 0, &b, err);
		if (got <= 0)
			break;
		if (take(&notes, b, err) < 0)
			got = -1;
		block_drop(b);
	}
	if (got == 0)
		got = flush(&notes, err);
	spool_cursor_close(c);
	arena_free(&notes.arena);
	return got;
}
