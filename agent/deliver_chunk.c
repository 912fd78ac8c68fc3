/*
 * deliver_chunk.c - the notes of snapshot chunks, as a sink's thread meets them
 *
 * A chunk stands between transactions and its BEGIN carries a note (ledger.h): which table is being
 * loaded from here on or is complete, and which sink the chunk is meant for.  The sink's own thread.
 */
#include <stdlib.h>

#include "deliver_private.h"
#include "ledger.h"

bool deliver_is_note(const struct event *e)
{
	return e->op == CHANGE_BEGIN && e->pos.row > POSITION_BETWEEN;
}

int deliver_note(struct deliver *d, const struct event *e, struct error *err)
{
	AUTO(arena) struct arena arena = { 0 };
	struct load_note n;
	char pos[POSITION_TEXT];

	if (load_note_parse(e->content, &arena, &n, err) < 0)
		return error_prefix(err, "spool record %s", position_text(&e->pos, pos));
	d->foreign = n.sink.p && !str_eqz(n.sink, d->context.sink->name);
	if (d->foreign)
		return 0;
	if (n.kind == NOTE_BEGIN && !n.reload)
		loading_add(&d->loading, n.schema, n.name);
	else if (n.kind == NOTE_END && !n.given_up && !n.partial)
		loading_remove(&d->loading, n.schema, n.name);
	return 0;
}

/* What the note says of the stopped table: 1: it is being loaded, 0: it was not, -1: nothing, -2 an error. */
static int told(struct deliver *d, const struct event *e, const struct stopped_table *s,
		struct error *err)
{
	AUTO(arena) struct arena arena = { 0 };
	struct load_note n;

	if (load_note_parse(e->content, &arena, &n, err) < 0)
		return -2;
	const struct table named = { .schema = n.schema, .name = n.name };
	bool ours = !n.sink.p || str_eqz(n.sink, d->context.sink->name);

	if (!ours || !stopped_is(s, &named) || (n.kind == NOTE_BEGIN && n.reload) || n.given_up ||
	    n.partial)
		return -1;
	return n.kind != NOTE_BEGIN;
}

int deliver_loading_at(struct deliver *d, const struct stopped_table *s, struct error *err)
{
	struct spool_cursor *c = spool_seek(d->agent->spool, &s->first, err);
	int found = c ? -1 : -2;

	while (found == -1) {
		struct block *b;
		int got = spool_next(c, 0, &b, err);

		if (got <= 0) {
			found = got < 0 ? -2 : found;
			break;
		}
		bool past = position_cmp(&b->events[b->nevents - 1].pos, &d->committed.pos) >= 0;

		for (size_t i = 0; found == -1 && i < b->nevents; i++) {
			const struct event *e = &b->events[i];

			if (deliver_is_note(e) && position_cmp(&e->pos, &s->first) >= 0 &&
			    position_cmp(&e->pos, &d->committed.pos) <= 0)
				found = told(d, e, s, err);
		}
		block_drop(b);
		if (past)
			break;
	}
	spool_cursor_close(c);
	if (found == -1) { /* nothing was said since: it is as it is now */
		found = 0;
		for (size_t i = 0; i < d->loading.n && !found; i++)
			found = str_eqz(str_z(s->name), d->loading.names[i]);
	}
	return found < 0 ? -1 : found;
}

void deliver_loading(struct deliver *d, struct loading *out)
{
	struct loading listed = { 0 };
	struct error unread;

	pthread_mutex_lock(&d->lock);
	/* It was parsed when it was loaded: an error has stopped the agent there. */
	if (loading_parse(d->committed.snapshot, &listed, &unread) == 0)
		for (size_t i = 0; i < listed.n; i++)
			loading_add_name(out, str_z(listed.names[i]));
	pthread_mutex_unlock(&d->lock);
	loading_release(&listed);
}
