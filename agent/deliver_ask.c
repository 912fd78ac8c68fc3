/*
 * deliver_ask.c - what the other threads ask of a sink's thread: all of it under its lock
 */
#include <stdio.h>
#include <stdlib.h>

#include "deliver_private.h"
#include "log.h"

void deliver_view(struct deliver *d, struct deliver_view *out)
{
	pthread_mutex_lock(&d->lock);
	*out = (struct deliver_view){ .name = d->context.sink->name,
				      .attempted = d->attempted,
				      .loaded = d->loaded,
				      .known = d->known,
				      .detached = d->detached };
	checkpoint_copy(&out->floor, &d->floor);
	pthread_mutex_unlock(&d->lock);
}

bool deliver_floor(struct deliver *d, struct checkpoint *out)
{
	pthread_mutex_lock(&d->lock);
	bool counts = !d->detached;

	if (counts)
		checkpoint_copy(out, &d->floor);
	pthread_mutex_unlock(&d->lock);
	return counts;
}

bool deliver_at_end(struct deliver *d)
{
	struct spool_status spool;

	spool_status(d->agent->spool, &spool);
	pthread_mutex_lock(&d->lock);
	bool end = d->detached || position_cmp(&d->committed.pos, &spool.newest) >= 0;

	pthread_mutex_unlock(&d->lock);
	return end;
}

void deliver_verify(struct deliver *d)
{
	pthread_mutex_lock(&d->lock);
	d->verify_wanted++;
	pthread_cond_broadcast(&d->begun_cond);
	pthread_mutex_unlock(&d->lock);
	spool_wake(d->agent->spool);
}

bool deliver_verified(struct deliver *d)
{
	pthread_mutex_lock(&d->lock);
	bool verified = d->detached || !d->open || d->verify_done == d->verify_wanted;

	pthread_mutex_unlock(&d->lock);
	return verified;
}

bool deliver_fenced(struct deliver *d)
{
	pthread_mutex_lock(&d->lock);
	bool fenced = d->detached || (d->open && d->verify_done == d->verify_wanted);

	pthread_mutex_unlock(&d->lock);
	return fenced;
}

bool deliver_drained(struct deliver *d)
{
	const struct position *end = &d->agent->drain_position;

	pthread_mutex_lock(&d->lock);
	bool tried = !d->frozen || d->tried; /* a table stopped earlier gets its chance first */
	bool done = d->loaded && tried && position_cmp(&d->committed.pos, end) >= 0;
	bool drained = d->detached || done;

	pthread_mutex_unlock(&d->lock);
	return drained;
}

bool deliver_finished(struct deliver *d)
{
	pthread_mutex_lock(&d->lock);
	bool finished = d->finished;

	pthread_mutex_unlock(&d->lock);
	return finished;
}

bool deliver_has_stopped(struct deliver *d, char *text, size_t n)
{
	pthread_mutex_lock(&d->lock);
	bool any = d->stopped.n > 0;

	if (any)
		snprintf(text, n, "sink %s: table %s is stopped: %s", d->context.sink->name,
			 d->stopped.items[0].name,
			 d->stopped.items[0].reason ? d->stopped.items[0].reason : "see the log");
	pthread_mutex_unlock(&d->lock);
	return any;
}

void deliver_detach(struct deliver *d)
{
	struct error err;
	const char *name = d->context.sink->name;

	pthread_mutex_lock(&d->lock);
	d->detached = true;
	d->state = SINK_DETACHED;
	pthread_mutex_unlock(&d->lock);
	log_error("sink is given up because the spool is full: it needs to be loaded again", "sink",
		  name, "option", "spool.on_full = detach", NULL);
	if (state_put_sink_detached(d->agent->state, name, &err) < 0)
		agent_fail(d->agent, &err);
}

int deliver_begin(struct deliver *d, const struct checkpoint *start, struct error *err)
{
	const char *name = d->context.sink->name;
	int failed = 0;

	pthread_mutex_lock(&d->lock);
	bool fresh = !d->begun && !d->committed.resume;

	pthread_mutex_unlock(&d->lock);
	if (fresh)
		failed = state_put_sink_start(d->agent->state, name, start, err);
	pthread_mutex_lock(&d->lock);
	if (fresh && !failed) {
		checkpoint_copy(&d->committed, start);
		checkpoint_copy(&d->floor, start);
	}
	d->begun = !failed;
	pthread_cond_broadcast(&d->begun_cond);
	pthread_mutex_unlock(&d->lock);
	return failed;
}

void deliver_status(struct deliver *d, struct sink_status *out)
{
	struct spool_status spool;

	spool_status(d->agent->spool, &spool);
	pthread_mutex_lock(&d->lock);
	bool end = position_cmp(&d->committed.pos, &spool.newest) >= 0;
	int64_t since = spool_oldest_after(d->agent->spool, &d->committed.pos);

	out->state = d->state == SINK_OK && d->stopped.n ? SINK_STOPPED : d->state;
	out->connected = d->open;
	out->position = d->committed.pos;
	out->commits = d->commits;
	out->retries = d->retries;
	out->lag_events = end           ? 0
			  : d->counting ? (int64_t)(spool.events - d->delivered_base - d->delivered)
					: -1;
	out->lag_seconds = since ? (double)(wall_clock_us() - since) / 1e6 : 0;
	status_set(&out->error, d->error);
	pthread_mutex_unlock(&d->lock);
}

void deliver_table_status(struct deliver *d, struct agent_status *out)
{
	pthread_mutex_lock(&d->lock);
	for (size_t k = 0; k < out->ntables; k++) {
		struct table_status *t = &out->tables[k];
		const struct table named = { .schema = str_z(t->schema), .name = str_z(t->name) };
		const struct stopped_table *s = stopped_find(&d->stopped, &named);

		if (s) {
			t->state = TABLE_STOPPED;
			status_set(&t->reason, s->reason);
		}
	}
	pthread_mutex_unlock(&d->lock);
}
