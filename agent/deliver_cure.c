/*
 * deliver_cure.c - a table that the target refuses: stopped, and cured later
 *
 * The checkpoint lists it with the position of its first undelivered change; retention and
 * acknowledgement stay before that until everything from there up to the checkpoint is delivered.
 * The sink's own thread.
 */
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "deliver_private.h"
#include "log.h"

void deliver_stop_table(struct deliver *d, const struct event *e, const char *reason)
{
	char pos[POSITION_TEXT];
	AUTO(free)
	char *table = xasprintf("%.*s.%.*s", STR_FMT(e->table->schema), STR_FMT(e->table->name));

	pthread_mutex_lock(&d->lock);
	if (!stopped_find(&d->stopped, e->table)) {
		stopped_add(&d->stopped, e->table, &e->pos, reason);
		d->stopped.items[d->stopped.n - 1].loading = loading_has(&d->loading, e->table);
	}
	d->tried = true;
	d->frozen = true; /* the floor stays where it is: before the change */
	pthread_mutex_unlock(&d->lock);
	d->must_commit = true;
	d->last_cure = monotonic_us();
	log_error("table stopped at a sink; its changes are kept and delivered from here once it "
		  "is cured",
		  "sink", d->context.sink->name, "table", table, "position",
		  position_text(&e->pos, pos), "reason", reason, NULL);
}

/* --- cure: what the table missed, from its first undelivered change up to the checkpoint --- */

/* What the block has of the table after the note that it begins with, or a whole block. */
static int cure_part(struct deliver *d, const struct event *events, size_t nevents,
		     const struct stopped_table *s, struct error *err)
{
	struct event *kept = deliver_room(d, nevents);
	size_t n = 0;

	for (size_t i = 0; i < nevents; i++) {
		const struct event *e = &events[i];
		bool mine = e->table && (e->table->sinks >> d->context.index & 1) &&
			    position_cmp(&e->pos, &s->first) >= 0 && stopped_is(s, e->table);

		if (!d->foreign && position_cmp(&e->pos, &d->committed.pos) <= 0 &&
		    (mine || e->op == CHANGE_BEGIN || e->op == CHANGE_COMMIT))
			kept[n++] = *e;
		if (e->op == CHANGE_COMMIT)
			d->foreign = false;
	}
	return n ? d->ops->write(d->sink, kept, n, err) : 0;
}

static int cure_block(struct deliver *d, const struct block *b, const struct stopped_table *s,
		      struct error *err)
{
	for (size_t i = 0, end; i < b->nevents; i = end) {
		const struct event *e = &b->events[i];

		/* Older notes count already in s->loading. */
		if (deliver_is_note(e) && position_cmp(&e->pos, &s->first) >= 0 &&
		    position_cmp(&e->pos, &d->committed.pos) <= 0 && deliver_note(d, e, err) < 0)
			return -1;
		for (end = i + 1; end < b->nevents && !deliver_is_note(&b->events[end]);)
			end++;
		if (cure_part(d, e, end - i, s, err) < 0)
			return -1;
	}
	return 0;
}

/* The list as it was when the table stopped. */
static int rewind_loading(struct deliver *d, struct stopped_table *s, struct error *err)
{
	if (s->loading < 0 && (s->loading = deliver_loading_at(d, s, err)) < 0)
		return -1;
	if (s->loading)
		loading_add_name(&d->loading, str_z(s->name));
	else
		loading_remove_name(&d->loading, str_z(s->name));
	d->foreign = false;
	return 0;
}

static int cure_table(struct deliver *d, size_t index, struct error *err)
{
	struct stopped_table *s = &d->stopped.items[index];
	struct spool_cursor *c = rewind_loading(d, s, err) < 0
					 ? NULL
					 : spool_seek(d->agent->spool, &d->floor.pos, err);
	bool done = !c;
	int failed = c ? 0 : -1;

	while (!failed && !done) {
		struct block *b;
		int got = spool_next(c, 0, &b, err);

		if (got <= 0) {
			failed = got;
			break;
		}
		failed = cure_block(d, b, s, err);
		done = position_cmp(&b->events[b->nevents - 1].pos, &d->committed.pos) >= 0;
		block_drop(b);
	}
	spool_cursor_close(c);
	if (failed)
		return -1;
	log_info("table delivers again", "sink", d->context.sink->name, "table", s->name, NULL);
	pthread_mutex_lock(&d->lock);
	stopped_remove(&d->stopped, index);
	pthread_mutex_unlock(&d->lock);
	checkpoint_copy(&d->upto, &d->committed);
	return deliver_commit(d, err);
}

int deliver_cure(struct deliver *d, struct error *err)
{
	if (!d->stopped.n || (d->last_cure && monotonic_us() - d->last_cure < CURE_US))
		return 0;
	d->last_cure = monotonic_us();
	while (d->stopped.n) {
		if (cure_table(d, 0, err) == 0)
			continue;
		if (err->kind == ERR_REJECT) {
			pthread_mutex_lock(&d->lock);
			d->tried = true;
			free(d->stopped.items[0].reason);
			d->stopped.items[0].reason = xstrdup(err->text);
			pthread_mutex_unlock(&d->lock);
			log_warning("table is still refused by the sink", "sink",
				    d->context.sink->name, "table", d->stopped.items[0].name,
				    "reason", err->text, NULL);
		}
		return -1;
	}
	return 0;
}
