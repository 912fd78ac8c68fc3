/*
 * deliver.c - one thread a sink: from its own checkpoint through the spool into the target
 *
 * One path whatever fails: close the sink, wait, open it, load its checkpoint, go on from there and
 * skip by position.  Commits happen at transaction ends only: grouped while there is more to
 * read, at once when there is not.  A change that the target refuses stops its table: the
 * checkpoint lists it, and retention and acknowledgement stay before it until it is cured.
 *
 * Threads: d->lock guards what others read (state, committed, floor, counters); the fields under
 * "the thread's own" are touched by the sink's thread alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "block.h"
#include "deliver_private.h"
#include "failpoint.h"
#include "log.h"

#define GROUP_ROWS   20000
#define GROUP_BYTES  ((size_t)8 * 1024 * 1024)
#define GROUP_US     1000000
#define HEARTBEAT_US 10000000 /* a heartbeat alone is committed at most so often */
#define REOPEN       1        /* of stream(): open the sink again, nothing is wrong */

static void set_error(struct deliver *d, enum sink_state state, const char *text)
{
	pthread_mutex_lock(&d->lock);
	if (!d->detached)
		d->state = state;
	status_set(&d->error, text);
	pthread_mutex_unlock(&d->lock);
}

/* --- commit --- */

static bool commits_on_roll(const struct deliver *d)
{
	return d->ops->flags & SINK_COMMITS_ON_ROLL;
}

static void observe(struct deliver *d, int64_t began)
{
	int64_t now = wall_clock_us();

	metric_add(d->m_commits, 1);
	metric_observe(d->m_commit_seconds, (double)(monotonic_us() - began) / 1e6);
	for (size_t i = 0; i < d->nlatencies; i++)
		metric_observe(d->m_end_to_end, (double)(now - d->latencies[i]) / 1e6);
	d->nlatencies = 0;
}

int deliver_commit(struct deliver *d, struct error *err)
{
	int64_t began = monotonic_us();
	bool rows = d->pending_rows;

	free(d->upto.stopped);
	d->upto.stopped = stopped_format(&d->stopped);
	if (d->ops->commit(d->sink, &d->upto, err) < 0)
		return -1;
	failpoint("committed");
	d->pending = d->pending_rows = d->must_commit = false;
	d->group_rows = d->group_bytes = 0;
	d->last_commit = monotonic_us();
	d->failing_since = 0;
	if (rows)
		observe(d, began);
	pthread_mutex_lock(&d->lock);
	checkpoint_copy(&d->committed, &d->upto);
	if (!d->stopped.n)
		d->frozen = false;
	if (!d->frozen)
		checkpoint_copy(&d->floor, &d->upto);
	d->commits += rows;
	d->delivered += d->uncommitted;
	pthread_mutex_unlock(&d->lock);
	d->uncommitted = 0;
	agent_progress(d->agent);
	return 0;
}

static bool commit_due(struct deliver *d, bool idle)
{
	struct agent *a = d->agent;

	if (!d->pending && !d->must_commit)
		return false;
	if (d->must_commit || a->hurry || a->stopping ||
	    (a->draining && position_cmp(&d->upto.pos, &a->drain_position) >= 0))
		return true;
	if (commits_on_roll(d))
		return d->ops->due(d->sink);
	int64_t now = monotonic_us();

	if (!d->pending_rows)
		return now - d->last_commit >= HEARTBEAT_US;
	const struct sink *k = d->sink;
	size_t rows = k->commit_rows ? k->commit_rows : GROUP_ROWS;
	size_t bytes = k->commit_bytes ? k->commit_bytes : GROUP_BYTES;
	int64_t most = k->commit_us ? k->commit_us : GROUP_US;

	return idle || d->group_rows >= rows || d->group_bytes >= bytes ||
	       now - d->group_since >= most;
}

/* --- write --- */

/*
 * A sink may be ahead of the spool when the source fails over: what comes again from the new server has a new
 * epoch, so its position says nothing; its GTID does.
 */
static bool delivered_elsewhere(struct deliver *d, const struct event *e)
{
	const struct source_ops *source = source_types[d->agent->config->source.type].ops;

	if (e->op == CHANGE_BEGIN)
		d->delivered_elsewhere = e->pos.epoch > d->committed.pos.epoch && e->prefix.p &&
					 d->committed.resume && source->resume_has &&
					 source->resume_has(d->committed.resume, e->prefix);
	bool was = d->delivered_elsewhere;

	if (e->op == CHANGE_COMMIT)
		d->delivered_elsewhere = false;
	return was;
}

static bool wanted(struct deliver *d, const struct event *e)
{
	bool foreign = d->foreign;

	if (e->op == CHANGE_COMMIT)
		d->foreign = false;
	if (foreign || position_cmp(&e->pos, &d->committed.pos) <= 0 || delivered_elsewhere(d, e))
		return false;
	if (!e->table)
		return true;
	if (!(e->table->sinks >> d->context.index & 1))
		return false;
	const struct stopped_table *s = d->stopped.n ? stopped_find(&d->stopped, e->table) : NULL;

	return !s || position_cmp(&e->pos, &s->first) < 0;
}

struct event *deliver_room(struct deliver *d, size_t n)
{
	if (d->filtered_room < n) {
		d->filtered_room = n;
		d->filtered = xrealloc(d->filtered, n * sizeof *d->filtered);
	}
	return d->filtered;
}

/* Those of *n events that this sink is to get: the array itself where nothing is left out. */
static const struct event *select_events(struct deliver *d, const struct event *events, size_t *n)
{
	size_t first = 0, all = *n;

	while (first < all && wanted(d, &events[first]))
		first++;
	*n = first;
	if (first == all)
		return events;
	struct event *kept = deliver_room(d, all);

	memcpy(kept, events, first * sizeof *kept);
	for (size_t i = first + 1; i < all; i++)
		if (wanted(d, &events[i]))
			kept[(*n)++] = events[i];
	return kept;
}

static int write_events(struct deliver *d, const struct event *e, size_t n, struct error *err)
{
	if (n == 0)
		return 0;
	int failed = d->ops->write(d->sink, e, n, err);

	if (failed && err->kind == ERR_REJECT) {
		if (err->item >= n || !e[err->item].table) {
			err->kind = ERR_FATAL;
			return -1;
		}
		deliver_stop_table(d, &e[err->item], err->text);
	}
	if (!failed)
		failpoint("written");
	return failed;
}

static void note_written(struct deliver *d, const struct event *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].table || e[i].op == CHANGE_MESSAGE) {
			if (!d->pending_rows)
				d->group_since = monotonic_us();
			d->pending_rows = true;
			d->group_rows++;
		} else if (e[i].op == CHANGE_COMMIT && e[i].pos.row < POSITION_BETWEEN &&
			   d->nlatencies < LATENCIES) {
			d->latencies[d->nlatencies++] = e[i].commit_us;
		}
	}
}

static uint64_t rows_of(const struct block *b)
{
	uint64_t rows = 0;

	for (size_t i = 0; i < b->nevents; i++)
		rows += b->events[i].table || b->events[i].op == CHANGE_MESSAGE;
	return rows;
}

/* What comes after a note is written under what it says. */
static int write_part(struct deliver *d, const struct event *events, size_t n, struct error *err)
{
	if (deliver_is_note(events) && position_cmp(&events->pos, &d->committed.pos) > 0 &&
	    deliver_note(d, events, err) < 0)
		return -1;
	const struct event *e = select_events(d, events, &n);

	if (write_events(d, e, n, err) < 0)
		return -1;
	note_written(d, e, n);
	return 0;
}

static int write_block(struct deliver *d, struct block *b, struct error *err)
{
	const struct event *last = &b->events[b->nevents - 1];

	for (size_t i = 0, end; i < b->nevents; i = end) {
		for (end = i + 1; end < b->nevents && !deliver_is_note(&b->events[end]);)
			end++;
		if (write_part(d, &b->events[i], end - i, err) < 0)
			return -1;
	}
	d->group_bytes += b->nbytes;
	d->uncommitted += rows_of(b);
	d->pending = d->pending || position_cmp(&last->pos, &d->committed.pos) > 0;
	if (b->has_boundary && position_cmp(&last->pos, &d->upto.pos) > 0) {
		d->upto.pos = last->pos;
		free(d->upto.resume);
		d->upto.resume = xstrndup(last->resume.p, last->resume.n);
		free(d->upto.snapshot);
		d->upto.snapshot = loading_format(&d->loading);
	}
	return 0;
}

/* --- the thread --- */

/* The checkpoint in the target, or where state.db says that the sink begins. */
static int load(struct deliver *d, struct error *err)
{
	AUTO(checkpoint) struct checkpoint found = { 0 };
	struct state_sink known = { 0 };
	struct stopped stopped = { 0 };
	const char *name = d->context.sink->name;

	if (d->ops->load(d->sink, &found, err) < 0 ||
	    stopped_parse(found.stopped, &stopped, err) < 0 ||
	    state_get_sink(d->agent->state, name, &known, err) < 0)
		return -1;
	int failed = 0;

	/* What state.db remembers beyond the start was committed in the target. */
	if (!found.resume && known.last.resume &&
	    position_cmp(&known.last.pos, &known.start.pos) > 0)
		failed = fail(err, ERR_FATAL,
			      "sink %s: the target holds no checkpoint, though one was committed "
			      "before: it was "
			      "emptied or replaced. Bring it back, or give the sink a new name to "
			      "start it anew",
			      name);
	if (!failed && !found.resume)
		checkpoint_copy(&found, &known.start);
	pthread_mutex_lock(&d->lock);
	if (!failed) {
		bool carry = d->stopped.n && !stopped.n; /* stopped since the last commit */
		bool first = !d->loaded;

		checkpoint_copy(&d->committed, &found);
		if (first && stopped.n && known.last.resume)
			checkpoint_copy(&d->floor, &known.last);
		else if (!stopped.n && !d->frozen)
			checkpoint_copy(&d->floor, &found);
		d->frozen = d->frozen || stopped.n > 0;
		d->loaded = true;
		if (first && !carry) {
			stopped_release(&d->stopped);
			d->stopped = stopped;
			stopped = (struct stopped){ 0 };
		}
	}
	pthread_mutex_unlock(&d->lock);
	checkpoint_copy(&d->upto, &d->committed);
	stopped_release(&stopped);
	state_sink_release(&known);
	d->foreign = false;
	loading_release(&d->loading);
	return failed ? -1 : loading_parse(d->committed.snapshot, &d->loading, err);
}

static int verify_fence(struct deliver *d, struct error *err)
{
	AUTO(checkpoint) struct checkpoint ignored = { 0 };

	pthread_mutex_lock(&d->lock);
	unsigned wanted_now = d->verify_wanted;
	bool due = wanted_now != d->verify_done;

	pthread_mutex_unlock(&d->lock);
	if (!due)
		return 0;
	if (d->ops->load(d->sink, &ignored, err) < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	d->verify_done = wanted_now;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

/*
 * Until the reader knows where to begin: 1, 0 at a stop, -1.  Meanwhile it may ask about the fence: it
 * takes the slot from an older process only while that holds.
 */
static int wait_begin(struct deliver *d, struct error *err)
{
	int failed = 0;

	pthread_mutex_lock(&d->lock);
	while (!failed && !d->begun && !d->agent->stopping && !d->detached) {
		if (d->verify_wanted != d->verify_done) {
			pthread_mutex_unlock(&d->lock);
			failed = verify_fence(d, err);
			pthread_mutex_lock(&d->lock);
			continue;
		}
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		pthread_cond_timedwait(&d->begun_cond, &d->lock, &until);
	}
	bool begun = !failed && d->begun && !d->detached;

	if (begun)
		checkpoint_copy(&d->upto, &d->committed);
	pthread_mutex_unlock(&d->lock);
	return failed ? -1 : begun;
}

/* What is counted from here on is all there is to come. */
static void start_counting(struct deliver *d)
{
	struct spool_status spool;

	if (d->counting)
		return;
	spool_status(d->agent->spool, &spool);
	pthread_mutex_lock(&d->lock);
	d->counting = true;
	d->delivered = 0;
	d->delivered_base = spool.events - d->uncommitted;
	pthread_mutex_unlock(&d->lock);
}

/* Nothing to read: commit what is due; REOPEN to try a stopped table again. */
static int when_idle(struct deliver *d, struct error *err)
{
	if (commit_due(d, true) && deliver_commit(d, err) < 0)
		return -1;
	if (spool_at_end(d->cursor))
		start_counting(d);
	if (!d->pending && d->stopped.n && monotonic_us() - d->last_cure >= CURE_US)
		return REOPEN;
	return 0;
}

static bool at_transaction_end(const struct deliver *d, bool boundary)
{
	return boundary || !d->pending;
}

/* 0 at a stop, REOPEN, or -1. */
static int stream(struct deliver *d, struct error *err)
{
	struct agent *a = d->agent;
	bool boundary = true; /* the last block ended a transaction */

	while (!a->stopping || !at_transaction_end(d, boundary)) {
		struct block *b;

		if (d->detached)
			return 0;
		if (boundary && verify_fence(d, err) < 0)
			return -1;
		bool wait = !boundary || !commit_due(d, true);
		int got = spool_next(d->cursor, wait ? 100 : 0, &b, err);

		if (got < 0)
			return -1;
		if (got == 0) {
			int rc = boundary ? when_idle(d, err) : 0;

			if (rc)
				return rc;
			continue;
		}
		boundary = b->has_boundary;
		int failed = write_block(d, b, err);

		block_drop(b);
		if (failed || (boundary && commit_due(d, false) && deliver_commit(d, err) < 0))
			return -1;
	}
	return d->pending ? deliver_commit(d, err) : 0;
}

static void close_sink(struct deliver *d)
{
	spool_cursor_close(d->cursor);
	d->cursor = NULL;
	if (d->sink)
		d->ops->close(d->sink);
	d->sink = NULL;
	d->pending = d->pending_rows = false;
	d->group_rows = d->group_bytes = d->nlatencies = 0;
	d->uncommitted = 0;
	pthread_mutex_lock(&d->lock);
	d->open = false;
	d->counting = false;
	pthread_mutex_unlock(&d->lock);
}

/* Open, load, cure, stream: one life of the sink. */
static int live(struct deliver *d, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	unsigned verified = d->verify_wanted; /* opening checks the fence */

	pthread_mutex_unlock(&d->lock);
	d->sink = d->ops->open(&d->context, &d->context.fence, err);
	if (!d->sink)
		return -1;
	d->context.fenced = true;
	if (load(d, err) < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	d->attempted = d->open = true;
	d->verify_done = verified;
	pthread_mutex_unlock(&d->lock);
	set_error(d, SINK_OK, NULL);
	int begun = wait_begin(d, err);

	if (begun <= 0)
		return begun;
	if (deliver_cure(d, err) < 0)
		return -1;
	d->cursor = spool_seek(d->agent->spool, &d->committed.pos, err);
	return d->cursor ? stream(d, err) : -1;
}

/* Passing trouble: said, counted, waited for.  Under --until-idle not for ever. */
static void wait_retry(struct deliver *d, unsigned *tries, struct error *err)
{
	const struct agent *a = d->agent;
	const char *name = d->context.sink->name;
	int64_t now = monotonic_us();

	if (!d->failing_since)
		d->failing_since = now;
	if (a->until_idle && now - d->failing_since >= a->config->source.connect_timeout) {
		error_prefix(err, "sink %s", name);
		agent_fail(d->agent, err);
		return;
	}
	set_error(d, SINK_WAITING, err->text);
	pthread_mutex_lock(&d->lock);
	d->attempted = true;
	d->retries++;
	pthread_mutex_unlock(&d->lock);
	metric_add(d->m_retries, 1);
	if (*tries < 3 || *tries % 20 == 0)
		log_warning("sink is not available, trying again", "sink", name, "error", err->text,
			    NULL);
	int64_t until = now + backoff_us((*tries)++);

	while (monotonic_us() < until && !a->stopping)
		agent_sleep(d->agent, 50000);
}

static void *deliver_main(void *arg)
{
	struct deliver *d = arg;
	struct agent *a = d->agent;
	unsigned tries = 0;
	int rc = -1;

	pthread_setname_np(pthread_self(), "sink");
	while (!a->stopping && !d->detached) {
		struct error err = { 0 };
		int64_t commits = d->last_commit;

		rc = live(d, &err);
		close_sink(d);
		if (d->last_commit != commits)
			tries = 0;
		if (rc == 0)
			break;
		if (rc == REOPEN || err.kind == ERR_REJECT)
			continue; /* the table has stopped, or is tried again */
		if (err.kind == ERR_RETRY) {
			wait_retry(d, &tries, &err);
			continue;
		}
		set_error(d, SINK_STOPPED, err.text);
		error_prefix(&err, "sink %s", d->context.sink->name);
		agent_fail(a, &err);
		break;
	}
	pthread_mutex_lock(&d->lock);
	d->finished = true;
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

struct deliver *deliver_new(struct agent *a, size_t index, struct error *err)
{
	struct deliver *d = xcalloc(1, sizeof *d);
	const struct sink_config *c = &a->config->sinks[index];
	struct state_sink known = { 0 };
	AUTO(buf) struct buf label = { 0 };

	d->agent = a;
	d->ops = c->type->ops;
	d->loading.never = a->config->snapshot.mode == SNAPSHOT_NEVER;
	d->context = (struct sink_context){
		.config = a->config,
		.sink = c,
		.tables = a->tables,
		.index = index,
		.loading = &d->loading,
		.stopping = &a->stopping,
	};
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->begun_cond, NULL);
	if (state_get_sink(a->state, c->name, &known, err) < 0) {
		free(d);
		return NULL;
	}
	d->known = known.known;
	d->detached = known.detached;
	d->state = known.detached ? SINK_DETACHED : SINK_WAITING;
	checkpoint_copy(&d->floor, known.last.resume ? &known.last : &known.start);
	checkpoint_copy(&d->committed, &d->floor);
	state_sink_release(&known);
	metric_label(&label, "sink", str_z(c->name));
	d->m_commits = metric_get(METRIC_COUNTER, "sink_commits_total", buf_z(&label),
				  "Commits that carried rows.");
	d->m_retries =
		metric_get(METRIC_COUNTER, "sink_retries_total", buf_z(&label),
			   "Times the sink was closed and opened again after passing trouble.");
	d->m_commit_seconds = metric_get(METRIC_HISTOGRAM, "sink_commit_seconds", buf_z(&label),
					 "Duration of a commit in the target.");
	d->m_end_to_end = metric_get(METRIC_HISTOGRAM, "end_to_end_seconds", buf_z(&label),
				     "From the source's commit to the target's, by transaction.");
	return d;
}

void deliver_start(struct deliver *d)
{
	pthread_create(&d->thread, NULL, deliver_main, d);
}

void deliver_join(struct deliver *d)
{
	pthread_join(d->thread, NULL);
	checkpoint_release(&d->committed);
	checkpoint_release(&d->floor);
	checkpoint_release(&d->upto);
	stopped_release(&d->stopped);
	loading_release(&d->loading);
	pthread_cond_destroy(&d->begun_cond);
	pthread_mutex_destroy(&d->lock);
	free(d->filtered);
	free(d->error);
	free(d);
}
