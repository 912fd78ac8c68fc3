/*
 * writer.c - the thread that writes and syncs the spool and state.db
 *
 * Fed by a bounded queue, so that the reader does no file I/O and a stalled disk stops nothing but
 * the flow.  Group sync every spool.sync or spool.sync_bytes.  Once a second: retention, and what
 * state.db remembers of the sinks' checkpoints.
 * Threads: the queue is shared with the reader under its mutex; the rest is the writer's own.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "block.h"
#include "failpoint.h"
#include "log.h"

enum { DETACH_US = 5000000 };

struct item {
	struct item *next;
	struct block *block; /* NULL: rewind */
};

struct writer {
	struct agent *agent;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct item *first, **last;
	size_t bytes, max;
	bool busy, stop, dirty; /* dirty: written, not synced */
	unsigned rewinds;       /* queued and not done */

	/* The thread's own. */
	int64_t dirty_since, second;
	size_t dirty_bytes;
	uint32_t stored_versions; /* ids up to here are in state.db */
	struct position *stored;  /* per sink: what state.db remembers */
	bool said_full, said_huge;
};

static struct item *queue_take(struct writer *w)
{
	struct item *i = w->first;

	w->first = i->next;
	if (!w->first)
		w->last = &w->first;
	if (i->block)
		w->bytes -= i->block->nbytes;
	pthread_cond_broadcast(&w->changed);
	return i;
}

static void queue_put(struct writer *w, struct block *b)
{
	struct item *i = xcalloc(1, sizeof *i);

	i->block = b;
	*w->last = i;
	w->last = &i->next;
	if (b)
		w->bytes += b->nbytes;
	pthread_cond_broadcast(&w->changed);
}

static void deadline(struct timespec *t, int64_t us)
{
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_sec += us / 1000000;
	t->tv_nsec += us % 1000000 * 1000;
	if (t->tv_nsec >= 1000000000L) {
		t->tv_nsec -= 1000000000L;
		t->tv_sec++;
	}
}

bool writer_push(struct writer *w, struct block *b, int timeout_ms)
{
	struct timespec until;
	bool room;

	deadline(&until, (int64_t)timeout_ms * 1000);
	pthread_mutex_lock(&w->lock);
	while (!(room = w->bytes == 0 || w->bytes + b->nbytes <= w->max) && timeout_ms > 0)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != 0)
			timeout_ms = 0;
	if (room)
		queue_put(w, b);
	pthread_mutex_unlock(&w->lock);
	return room;
}

void writer_rewind(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	queue_put(w, NULL);
	w->rewinds++;
	while (w->rewinds && !w->agent->stopping) {
		struct timespec until;

		deadline(&until, 100000);
		pthread_cond_timedwait(&w->changed, &w->lock, &until);
	}
	pthread_mutex_unlock(&w->lock);
}

bool writer_has_nothing(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	bool nothing = !w->first && !w->busy;

	pthread_mutex_unlock(&w->lock);
	return nothing;
}

bool writer_synced(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	bool synced = !w->first && !w->busy && !w->dirty;

	pthread_mutex_unlock(&w->lock);
	return synced;
}

/* Every sink's floor, and whether all of them have everything that is published. */
static bool lowest_floor(struct agent *a, struct position *out)
{
	bool any = false, at_end = true;

	for (size_t i = 0; i < a->nsinks; i++) {
		AUTO(checkpoint) struct checkpoint floor = { 0 };

		if (!deliver_floor(a->sinks[i], &floor))
			continue;
		if (!any || position_cmp(&floor.pos, out) < 0)
			*out = floor.pos;
		any = true;
		at_end = at_end && deliver_at_end(a->sinks[i]);
	}
	if (!any)
		*out = (struct position){ UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX };
	return at_end;
}

static void detach_furthest(struct agent *a)
{
	struct deliver *behind = NULL;
	struct position lowest = { 0 };

	for (size_t i = 0; i < a->nsinks; i++) {
		AUTO(checkpoint) struct checkpoint floor = { 0 };

		if (deliver_floor(a->sinks[i], &floor) &&
		    (!behind || position_cmp(&floor.pos, &lowest) < 0)) {
			behind = a->sinks[i];
			lowest = floor.pos;
		}
	}
	if (behind)
		deliver_detach(behind);
}

static int sync_spool(struct writer *w, struct error *err)
{
	if (spool_sync(w->agent->spool, err) < 0)
		return -1;
	w->dirty_bytes = 0;
	pthread_mutex_lock(&w->lock);
	w->dirty = false;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

/* state.db follows the sinks' checkpoints: the floor that holds retention after a restart. */
static int store_sinks(struct writer *w, struct error *err)
{
	struct agent *a = w->agent;

	for (size_t i = 0; i < a->nsinks; i++) {
		AUTO(checkpoint) struct checkpoint floor = { 0 };
		const char *name = a->config->sinks[i].name;

		if (!deliver_floor(a->sinks[i], &floor) || !floor.resume ||
		    position_cmp(&floor.pos, &w->stored[i]) == 0)
			continue;
		if (state_put_sink_last(a->state, name, &floor, err) < 0)
			return -1;
		w->stored[i] = floor.pos;
	}
	return 0;
}

static int each_second(struct writer *w, struct error *err)
{
	struct position floor = { 0 };
	int64_t now = monotonic_us();

	if (now - w->second < 1000000)
		return 0;
	w->second = now;
	if (store_sinks(w, err) < 0)
		return -1;
	lowest_floor(w->agent, &floor);
	return spool_forget(w->agent->spool, &floor, err);
}

/* A new version is in state.db before its first row is in the spool. */
static int store_tables(struct writer *w, struct error *err)
{
	struct agent *a = w->agent;
	size_t n = tables_count(a->tables);

	for (; w->stored_versions < n; w->stored_versions++) {
		const struct table *t = tables_by_id(a->tables, w->stored_versions + 1);

		if (t && state_put_table(a->state, t, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * Waits for room under spool.max_bytes: 1 when there is, 0 at a stop.  A sink is given up only when
 * no room came for DETACH_US: one that is merely a moment behind makes some.
 */
static int make_room(struct writer *w, size_t n, struct error *err)
{
	struct agent *a = w->agent;
	bool waited = false;
	int64_t full_since = 0;

	for (;;) {
		struct position floor = { 0 };
		bool at_end = lowest_floor(a, &floor);

		if (!spool_has_room(a->spool, n) && spool_forget(a->spool, &floor, err) < 0)
			return -1;
		if (spool_has_room(a->spool, n))
			break;
		if (at_end) { /* nobody can free anything: an unfinished transaction, or a last segment */
			if (!w->said_huge)
				log_warning(
					"spool exceeds spool.max_bytes: one transaction fills it",
					NULL);
			w->said_huge = true;
			break;
		}
		if (a->stopping)
			return 0;
		full_since = full_since ? full_since : monotonic_us();
		if (a->config->spool.on_full == ON_FULL_DETACH &&
		    monotonic_us() - full_since >= DETACH_US) {
			detach_furthest(a);
			full_since = 0;
			continue;
		}
		if (!w->said_full)
			log_warning("spool is full: reading holds until a sink catches up; the "
				    "source keeps its log meanwhile",
				    "option", "spool.max_bytes", NULL);
		w->said_full = waited = true;
		agent_waiting(a, WAIT_SPOOL, "room in the spool (spool.max_bytes)");
		agent_hurry(a, HURRY_SPOOL_FULL, true);
		if (sync_spool(w, err) < 0 || each_second(w, err) < 0)
			return -1;
		agent_sleep(a, 50000);
	}
	if (waited) {
		agent_waiting(a, WAIT_SPOOL, NULL);
		agent_hurry(a, HURRY_SPOOL_FULL, false);
		w->said_full = false;
		log_info("spool has room again", NULL);
	}
	return 1;
}

static int write_block(struct writer *w, struct block *b, struct error *err)
{
	struct agent *a = w->agent;
	size_t n = b->nbytes;
	int room = store_tables(w, err) < 0 ? -1 : make_room(w, n / 2, err);

	if (room <= 0) {
		block_drop(b);
		return room;
	}
	if (spool_append(a->spool, b, err) < 0)
		return -1;
	if (!w->dirty_bytes)
		w->dirty_since = monotonic_us();
	w->dirty_bytes += n;
	agent_progress(a);
	return 0;
}

static int handle(struct writer *w, struct item *i, struct error *err)
{
	if (i->block)
		return write_block(w, i->block, err);
	return spool_rewind(w->agent->spool, err);
}

/* The next item, or NULL when a sync or the second is due. */
static struct item *wait_item(struct writer *w, bool *stop)
{
	const struct spool_config *c = &w->agent->config->spool;
	struct timespec until;
	int64_t now = monotonic_us();
	int64_t wait = w->dirty_bytes ? w->dirty_since + c->sync - now : 200000;

	deadline(&until, wait > 0 ? wait : 0);
	pthread_mutex_lock(&w->lock);
	w->busy = false;
	w->dirty = w->dirty_bytes > 0;
	while (!w->first && !w->stop && wait > 0)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != 0)
			break;
	struct item *i = w->first && wait > 0 ? queue_take(w) : NULL;

	w->busy = i != NULL;
	w->dirty = w->dirty || i;
	*stop = w->stop && !w->first && !i;
	pthread_mutex_unlock(&w->lock);
	return i;
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	const struct spool_config *c = &w->agent->config->spool;
	struct error err;
	int failed = 0;

	pthread_setname_np(pthread_self(), "spool");
	for (bool stop = false; !failed && !stop;) {
		struct item *i = wait_item(w, &stop);

		if (i) {
			bool rewind = !i->block;

			failed = handle(w, i, &err);
			free(i);
			pthread_mutex_lock(&w->lock);
			w->rewinds -= rewind;
			pthread_cond_broadcast(&w->changed);
			pthread_mutex_unlock(&w->lock);
		}
		bool due = w->dirty_bytes && (stop || w->dirty_bytes >= (size_t)c->sync_bytes ||
					      monotonic_us() - w->dirty_since >= c->sync);

		if (!failed && due)
			failed = sync_spool(w, &err);
		if (!failed)
			failed = each_second(w, &err);
	}
	if (!failed)
		failed = store_sinks(w, &err);
	if (failed)
		agent_fail(w->agent, &err);
	return NULL;
}

struct writer *writer_start(struct agent *a, size_t queue_bytes)
{
	struct writer *w = xcalloc(1, sizeof *w);
	pthread_condattr_t attr;

	w->agent = a;
	w->max = queue_bytes;
	w->last = &w->first;
	w->stored = xcalloc(a->nsinks, sizeof *w->stored);
	w->stored_versions = a->stored_versions;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_create(&w->thread, NULL, writer_main, w);
	return w;
}

void writer_stop(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	while (w->first) {
		struct item *i = queue_take(w);

		block_drop(i->block);
		free(i);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w->stored);
	free(w);
}
