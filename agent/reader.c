/*
 * reader.c - the thread that reads the source's log
 *
 * Starts when every sink was tried (fences first), finds where to go on, then: read, encode into
 * blocks, hand them to the writer, acknowledge.  It never waits for a sink nor for a disk: while
 * the queue is full it goes on answering the source.
 *
 * Threads: r->lock guards what status asks; the rest is the reader's own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "block.h"
#include "failpoint.h"
#include "log.h"
#include "reader_private.h"
#include "snapshot.h"

#define ACK_US       200000 /* acknowledge at least so often */
#define HEARTBEAT_US 200000 /* heartbeats are written at most so often */
#define BLOCK_CRUMB  ((size_t)64 * 1024)
#define CRUMB_US     3000 /* longest wait of a finished transaction for company */
#define DRAIN_MS     5    /* at the end of --until-idle: the sinks commit meanwhile */
#define READ_MS      50   /* longest wait for the source */
#define CONNECT_MS   1000 /* one try's slice: a stop is noticed in between */
#define SHUTDOWN_US                                                                                \
	5000000 /* a sink that cannot commit in this time does not hold up a server's shutdown */
#define FENCE_US     5000000 /* longest wait for the sinks to check their fences */
#define PROGRESS_US  10000000
#define ESCALATED_US 60000000 /* said at most so often */

/* --- status --- */

void reader_status(struct reader *r, struct source_status *out)
{
	pthread_mutex_lock(&r->lock);
	status_set(&out->type, r->ops->name);
	status_set(&out->server, r->extent.server[0] ? r->extent.server : NULL);
	status_set(&out->error, r->error);
	out->connected = r->connected;
	out->position = r->position;
	bool measured = r->extent.measured_us > 0;

	out->lag_bytes = measured ? r->extent.lag_bytes : -1;
	out->retained_bytes = measured ? r->extent.retained_bytes : -1;
	out->seconds_until_lost = measured ? r->extent.seconds_until_lost : -1;
	out->lag_seconds = !measured ? (double)NAN
			   : r->extent.lag_bytes == 0 || !r->lag_since
				   ? 0
				   : (double)(wall_clock_us() - r->lag_since) / 1e6;
	pthread_mutex_unlock(&r->lock);
}

bool reader_streaming(struct reader *r)
{
	pthread_mutex_lock(&r->lock);
	bool streaming = r->streaming;

	pthread_mutex_unlock(&r->lock);
	return streaming;
}

static void note(struct reader *r, bool connected, bool streaming, const char *error)
{
	pthread_mutex_lock(&r->lock);
	r->connected = connected;
	r->streaming = streaming;
	status_set(&r->error, error);
	pthread_mutex_unlock(&r->lock);
}

/* --- a first start that is interrupted --- */

#define SLOT_INTENT                                                                                \
	"slot_intent" /* in state.db from before the slot is made until its place is stored */

static int note_creating(void *arg, struct error *err)
{
	struct reader *r = arg;

	return state_put(r->agent->state, SLOT_INTENT, "made, place not stored", err);
}

static int look_for_intent(struct reader *r, struct error *err)
{
	AUTO(free) char *intent = NULL;

	if (state_get(r->agent->state, SLOT_INTENT, &intent, err) < 0)
		return -1;
	r->source->interrupted = intent != NULL && !r->last.resume;
	r->source->creating = note_creating;
	r->source->creating_arg = r;
	r->source->state = r->agent->state;
	return 0;
}

/* --- where to start --- */

/* Every sink was tried, and those that state.db does not know are loaded: only then is it known where to begin. */
static bool wait_sinks(struct reader *r)
{
	struct agent *a = r->agent;

	while (!a->stopping) {
		size_t ready = 0;

		for (size_t i = 0; i < a->nsinks; i++) {
			struct deliver_view v;

			deliver_view(a->sinks[i], &v);
			bool ok = v.detached || v.loaded ||
				  (v.attempted && v.known && v.floor.resume);

			if (!ok && v.attempted) {
				char text[128];

				snprintf(text, sizeof text, "the first answer of sink %s", v.name);
				agent_waiting(a, WAIT_READER, text);
			}
			ready += ok;
			checkpoint_release(&v.floor);
		}
		if (ready == a->nsinks) {
			agent_waiting(a, WAIT_READER, NULL);
			return true;
		}
		agent_sleep(a, 2000);
	}
	return false;
}

/* The lowest checkpoint of all sinks into *out (resume NULL: none has one). */
static void lowest_checkpoint(struct agent *a, struct checkpoint *out)
{
	for (size_t i = 0; i < a->nsinks; i++) {
		struct deliver_view v;

		deliver_view(a->sinks[i], &v);
		if (!v.detached && v.floor.resume &&
		    (!out->resume || position_cmp(&v.floor.pos, &out->pos) < 0))
			checkpoint_copy(out, &v.floor);
		checkpoint_release(&v.floor);
	}
}

/* Has every sink seen, after what happened, that its fence is still its own?  One that is closed has not. */
static bool fences_certain(const struct agent *a)
{
	for (size_t i = 0; i < a->nsinks; i++)
		if (!deliver_fenced(a->sinks[i]))
			return false;
	return true;
}

/*
 * A gap after a reconnect may be the trace of another instance, which took over while this one slept: that
 * is for the sinks' fences to say.
 */
static int judge_gap(const struct reader *r, struct error *err)
{
	if (r->failing_since && err->exit == EXIT_LOG_GONE && !fences_certain(r->agent)) {
		err->kind = ERR_RETRY;
		error_prefix(err, "the source has gone on without us, and a sink cannot say "
				  "whether another instance has taken over");
	}
	return -1;
}

/* The source's log begins after the spool's end and after what a sink needs: exit 5 names it. */
static int check_gaps(struct reader *r, const struct checkpoint *oldest, struct error *err)
{
	struct agent *a = r->agent;
	bool past_spool = r->ops->resume_cmp(oldest->resume, r->last.resume) > 0;
	int failed = 0;

	for (size_t i = 0; i < a->nsinks && !failed; i++) {
		struct deliver_view v;
		char pos[POSITION_TEXT];

		deliver_view(a->sinks[i], &v);
		if (v.detached || !v.floor.resume)
			;
		else if (!r->ops->same_log(v.floor.resume, oldest->resume))
			failed = fail_exit(err, EXIT_LOG_GONE,
					   "sink %s holds data of another source: its checkpoint "
					   "says %s, the server "
					   "is %s",
					   v.name, v.floor.resume, oldest->resume);
		else if (past_spool && r->ops->resume_cmp(v.floor.resume, oldest->resume) < 0)
			failed = fail_exit(err, EXIT_LOG_GONE,
					   "the source's log no longer holds what sink %s needs: "
					   "it has %s (%s), the "
					   "source can give %s and later. The changes between are "
					   "lost to it: load "
					   "its tables again",
					   v.name, position_text(&v.floor.pos, pos), v.floor.resume,
					   oldest->resume);
		checkpoint_release(&v.floor);
	}
	return failed;
}

/* Sinks that have no checkpoint begin where the pipeline does. */
static int begin_sinks(struct reader *r, const struct checkpoint *start, struct error *err)
{
	struct agent *a = r->agent;

	for (size_t i = 0; i < a->nsinks; i++)
		if (deliver_begin(a->sinks[i], start, err) < 0)
			return -1;
	return 0;
}

static void begin_known_sinks(struct reader *r)
{
	struct agent *a = r->agent;
	struct error err;

	for (size_t i = 0; i < a->nsinks; i++) {
		struct deliver_view v;

		deliver_view(a->sinks[i], &v);
		if (v.floor.resume && deliver_begin(a->sinks[i], &v.floor, &err) < 0)
			agent_fail(a, &err);
		checkpoint_release(&v.floor);
	}
}

/*
 * The spool ends before what the source can give, and no sink needs what is between.  Reading goes on where the
 * last of the sinks is: what the source has before that may need what is lost (an XA COMMIT its rows).
 */
static void put_gap(struct reader *r, const struct checkpoint *oldest)
{
	AUTO(checkpoint) struct checkpoint to = { 0 };

	lowest_checkpoint(r->agent, &to);
	if (!to.resume)
		checkpoint_copy(&to, oldest);
	struct change c = {
		.op = CHANGE_GAP,
		.pos = to.pos,
		.commit_us = wall_clock_us(),
		.resume = str_z(to.resume),
	};

	log_warning("the log was lost between the spool's end and what the source still has; every "
		    "sink is past it",
		    "from", r->last.resume, "to", to.resume, NULL);
	block_builder_add(&r->builder, &c);
	struct block *b = block_seal(&r->builder);

	while (!writer_push(r->agent->writer, b, 100))
		if (r->agent->stopping) {
			block_drop(b);
			return;
		}
	checkpoint_copy(&r->last, &to);
}

/* What begins here is to be loaded: everything at the first start, for one sink that is new later. */
static int note_first(struct reader *r, bool first, struct error *err)
{
	struct agent *a = r->agent;

	if (first)
		return snapshot_first(a, NULL, err);
	for (size_t i = 0; i < a->nsinks; i++) {
		struct deliver_view v;

		deliver_view(a->sinks[i], &v);
		bool fresh = !v.known && !v.detached && !v.floor.resume;

		checkpoint_release(&v.floor);
		if (fresh && snapshot_first(a, v.name, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * R is the spool's end, O the oldest place that the source can give.  With no spool R is the
 * lowest checkpoint of the sinks; with none of those, O itself: the first start.
 */
static int find_start(struct reader *r, const struct source_start *start, struct error *err)
{
	const struct checkpoint *oldest = &start->oldest;
	bool first = !r->last.resume;

	if (r->last.resume && check_gaps(r, oldest, err) < 0)
		return judge_gap(r, err);
	if (!r->last.resume)
		checkpoint_copy(&r->last, oldest);
	else if (r->ops->resume_cmp(oldest->resume, r->last.resume) > 0)
		put_gap(r, oldest);
	if (note_first(r, first, err) < 0)
		return -1;
	spool_begin(r->agent->spool, &r->last);
	if (begin_sinks(r, &r->last, err) < 0)
		return -1;
	return start->created ? state_put(r->agent->state, SLOT_INTENT, NULL, err) : 0;
}

/* --- the way to the writer --- */

struct metric *reader_metric(struct reader *r, const struct table *t, enum change_op op)
{
	static const char *const names[] = { [CHANGE_INSERT] = "c",
					     [CHANGE_UPDATE] = "u",
					     [CHANGE_DELETE] = "d",
					     [CHANGE_TRUNCATE] = "t",
					     [CHANGE_READ] = "r" };
	size_t i = (size_t)t->id * OPS + op;

	if (i >= r->n_events) {
		size_t n = i + 16 * OPS;

		r->m_events = xrealloc(r->m_events, n * sizeof(struct metric *));
		memset(r->m_events + r->n_events, 0, (n - r->n_events) * sizeof(struct metric *));
		r->n_events = n;
	}
	if (!r->m_events[i]) {
		AUTO(buf) struct buf label = { 0 };
		AUTO(free)
		char *table = xasprintf("%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));

		metric_label(&label, "table", str_z(table));
		metric_label(&label, "op", str_z(names[op]));
		r->m_events[i] = metric_get(METRIC_COUNTER, "events_total", buf_z(&label),
					    "Row changes read.");
	}
	return r->m_events[i];
}

/* What the log was read up to, as the source tells it. */
void reader_note(struct reader *r, const struct change *c)
{
	if (c->table && c->op < CHANGE_SCHEMA) {
		metric_add(reader_metric(r, c->table, c->op), 1);
		r->rows++;
	}
	if (c->op == CHANGE_COMMIT) {
		metric_add(r->m_transactions, 1);
		atomic_store(&r->agent->source_commit_us, (uint64_t)c->commit_us);
	}
	if (c->op == CHANGE_COMMIT || c->op == CHANGE_HEARTBEAT) {
		r->last.pos = c->pos;
		free(r->last.resume);
		r->last.resume = xstrndup(c->resume.p, c->resume.n);
	}
}

int reader_push(struct reader *r, struct block *b, struct error *err)
{
	while (!writer_push(r->agent->writer, b, READ_MS)) {
		if (r->agent->stopping || reader_acknowledge(r, err) < 0) {
			block_drop(b);
			return r->agent->stopping ? 0 : -1;
		}
	}
	return 0;
}

/*
 * A block goes when it is large, and otherwise when the writer has nothing to do and nothing more
 * came just now, or what there is has waited for a moment: a busy log is not cut into crumbs.
 */
static bool block_ready(struct reader *r, bool quiet)
{
	const struct block_builder *bb = &r->builder;

	if (bb->bytes.n >= BLOCK_TARGET)
		return true;
	if (!bb->cut || !writer_has_nothing(r->agent->writer))
		return false;
	return quiet || bb->cut >= BLOCK_CRUMB || monotonic_us() - r->last_push >= CRUMB_US;
}

static int push_ready(struct reader *r, bool quiet, struct error *err)
{
	struct block_builder *bb = &r->builder;

	while (block_ready(r, quiet)) {
		r->last_push = monotonic_us();
		struct block *b = block_seal(bb);

		if (reader_push(r, b, err) < 0)
			return -1;
	}
	return 0;
}

static void add_change(struct reader *r, const struct change *c)
{
	block_builder_add(&r->builder, c);
	reader_note(r, c);
}

/* A busy log that has nothing for us gives one heartbeat a transaction: the newest will do. */
static void keep_heartbeat(struct reader *r, const struct change *c)
{
	r->heartbeat.pos = c->pos;
	free(r->heartbeat.resume);
	r->heartbeat.resume = xstrndup(c->resume.p, c->resume.n);
}

void reader_write_heartbeat(struct reader *r, bool now)
{
	if (!r->heartbeat.resume || (!now && monotonic_us() - r->last_heartbeat < HEARTBEAT_US))
		return;
	struct change c = {
		.op = CHANGE_HEARTBEAT,
		.pos = r->heartbeat.pos,
		.commit_us = wall_clock_us(),
		.resume = str_z(r->heartbeat.resume),
	};

	if (position_cmp(&c.pos, &r->last.pos) > 0)
		add_change(r, &c);
	checkpoint_release(&r->heartbeat);
	r->last_heartbeat = monotonic_us();
}

/* While tables are loaded: rows of chunks are emitted between transactions, and the stream may have to stay before one. */
static int splice_before(struct reader *r, const struct change *c, bool *halts, struct error *err)
{
	struct snapshot *s = r->agent->snapshot;

	*halts = false;
	if (!snapshot_loading(s))
		return 0;
	if (c->op == CHANGE_BEGIN && snapshot_halts(s, c, reader_resume(r))) {
		int rc = reader_splice(r, c, halts, err);

		*halts = snapshot_halts(s, c, reader_resume(r));
		if (rc < 0 || *halts)
			return rc;
	}
	return snapshot_change(s, c, err);
}

static int handle(struct reader *r, const struct change *c, struct error *err)
{
	bool halts;

	if (c->op == CHANGE_HEARTBEAT) {
		keep_heartbeat(r, c);
	} else {
		checkpoint_release(&r->heartbeat); /* what follows it says more */
		add_change(r, c);
	}
	r->inside = c->op != CHANGE_HEARTBEAT && c->op != CHANGE_COMMIT;
	if (!r->inside && snapshot_loading(r->agent->snapshot) &&
	    reader_splice(r, NULL, &halts, err) < 0)
		return -1;
	return r->builder.bytes.n >= BLOCK_TARGET ? push_ready(r, false, err) : 0;
}

/* Up to the end of the batch, or to where the stream is to stay. */
static int encode(struct reader *r, struct error *err)
{
	struct batch *b = &r->batch;
	bool quiet = b->nchanges == 0, halts = false;

	while (r->next < b->nchanges) {
		const struct change *c = &b->changes[r->next];

		if (splice_before(r, c, &halts, err) < 0)
			return -1;
		if (halts)
			break;
		r->next++;
		if (handle(r, c, err) < 0)
			return -1;
	}
	if (r->next) {
		pthread_mutex_lock(&r->lock);
		r->position = b->changes[r->next - 1].pos;
		r->lag_since = b->changes[r->next - 1].commit_us;
		pthread_mutex_unlock(&r->lock);
	}
	agent_progress(r->agent); /* that there was nothing is progress too */
	if (!halts) {
		batch_empty(b);
		r->next = 0;
	}
	if (!r->inside)
		reader_write_heartbeat(r, false);
	return push_ready(r, quiet || halts, err);
}

/* --- acknowledgement --- */

/* What the sinks have not committed is in the spool alone from here on. */
static void say_escalated(struct reader *r)
{
	int64_t now = monotonic_us();
	char bytes[32];

	if (r->escalated_said && now - r->escalated_said < ESCALATED_US)
		return;
	r->escalated_said = now;
	snprintf(bytes, sizeof bytes, "%lld", (long long)r->extent.retained_bytes);
	log_warning("the source retains nearly source.retain_max for us: what the spool holds is "
		    "acknowledged ahead of the sinks",
		    "retained_bytes", bytes, NULL);
}

/*
 * What the source keeps for us: as it was measured, or what was read since the last acknowledgement, which is
 * known at once.  Twice what came since the last call is added: it comes before the answer is there.
 */
static int64_t retained(struct reader *r)
{
	const struct position *now = &r->last.pos, *then = &r->confirmed, *last = &r->retained_at;
	bool known = now->epoch == then->epoch && now->file == then->file;
	int64_t read = known && then->offset ? (int64_t)(now->offset - then->offset) : 0;
	int64_t more = known && last->file == now->file && last->offset
			       ? (int64_t)(now->offset - last->offset)
			       : 0;

	r->retained_at = *now;
	return (read > r->extent.retained_bytes ? read : r->extent.retained_bytes) + 2 * more;
}

/* The lowest of the spool's synced end and, by source.ack, of what every sink has committed. */
static void durable(struct reader *r, struct checkpoint *out)
{
	struct agent *a = r->agent;
	const struct source_config *c = &a->config->source;
	bool escalated = retained(r) > c->retain_max - c->retain_max / 4;

	spool_synced(a->spool, out);
	if (escalated && c->ack == ACK_SINK)
		say_escalated(r);
	if (c->ack == ACK_SPOOL || escalated)
		return;
	for (size_t i = 0; i < a->nsinks; i++) {
		AUTO(checkpoint) struct checkpoint floor = { 0 };

		if (!deliver_floor(a->sinks[i], &floor))
			continue;
		if (!floor.resume || position_cmp(&floor.pos, &out->pos) < 0)
			checkpoint_copy(out, &floor);
	}
}

/* After a reconnect nothing is acknowledged before every open sink has checked its fence. */
static bool fences_hold(struct reader *r)
{
	struct agent *a = r->agent;

	for (size_t i = 0; !r->fences_checked && i < a->nsinks; i++)
		if (!deliver_verified(a->sinks[i]))
			return false;
	r->fences_checked = true;
	return true;
}

int reader_acknowledge(struct reader *r, struct error *err)
{
	AUTO(checkpoint) struct checkpoint upto = { 0 };
	struct source_extent extent;

	r->ops->extent(r->source, &extent);
	pthread_mutex_lock(&r->lock);
	r->extent = extent;
	pthread_mutex_unlock(&r->lock);
	if (fences_hold(r))
		durable(r, &upto);
	if (r->ops->ack(r->source, &upto, err) < 0)
		return -1;
	if (upto.resume)
		r->confirmed = upto.pos;
	r->last_ack = monotonic_us();
	failpoint("acknowledged");
	return 0;
}

/* --- the loop --- */

/* --until-idle: everything committed before the start was read; the sinks are told up to where. */
static int until_idle(struct reader *r, struct error *err)
{
	struct agent *a = r->agent;

	if (!a->until_idle || a->draining || snapshot_busy(a->snapshot) ||
	    !r->ops->caught_up(r->source))
		return 0;
	reader_write_heartbeat(r, true);
	while (r->builder.cut) {
		struct block *b = block_seal(&r->builder);

		if (reader_push(r, b, err) < 0)
			return -1;
	}
	if (!writer_synced(a->writer))
		return 0;
	AUTO(checkpoint) struct checkpoint end = { 0 };

	spool_newest(a->spool, &end);
	a->drain_position = end.pos;
	a->draining = true;
	spool_wake(a->spool);
	return 0;
}

static bool drained(struct reader *r)
{
	struct agent *a = r->agent;

	if (!a->draining)
		return false;
	for (size_t i = 0; i < a->nsinks; i++)
		if (!deliver_drained(a->sinks[i]))
			return false;
	return true;
}

/* The server waits for us to confirm everything: the sinks get five seconds to commit. */
static int let_server_stop(struct reader *r, struct error *err)
{
	struct agent *a = r->agent;
	int64_t now = monotonic_us();

	if (!r->ops->server_stopping(r->source)) {
		agent_hurry(a, HURRY_SERVER_STOPS, false);
		r->stopping_since = 0;
		return 0;
	}
	if (!r->stopping_since) {
		log_info("the server is shutting down: sinks commit at once", NULL);
		r->stopping_since = now;
		agent_hurry(a, HURRY_SERVER_STOPS, true);
	}
	if (now - r->stopping_since < SHUTDOWN_US)
		return 0;
	agent_hurry(a, HURRY_SERVER_STOPS, false);
	r->stopping_since = 0;
	return fail(err, ERR_RETRY,
		    "the server is shutting down and a sink cannot commit: let go of the server");
}

static void say_progress(struct reader *r)
{
	int64_t now = monotonic_us();
	char rate[32], rows[32], lag[32];

	if (now - r->last_said < PROGRESS_US)
		return;
	if (r->rows != r->rows_said) {
		snprintf(rows, sizeof rows, "%llu", (unsigned long long)r->rows);
		snprintf(rate, sizeof rate, "%.0f",
			 (double)(r->rows - r->rows_said) * 1e6 / (double)(now - r->last_said));
		snprintf(lag, sizeof lag, "%lld", (long long)r->extent.lag_bytes);
		log_info("reading", "changes", rows, "per_second", rate, "lag_bytes", lag, NULL);
	}
	r->rows_said = r->rows;
	r->last_said = now;
}

#define BEHIND_US 10000000 /* the stream comes before snapshots */
#define HASTEN_US 5000
#define HALT_US   1000

static void say_behind(struct reader *r)
{
	int64_t since = r->lag_since;

	snapshot_reader_behind(r->agent->snapshot, r->extent.lag_bytes > 0 && since &&
							   wall_clock_us() - since > BEHIND_US);
}

/* What is there of the log, unless the stream is to stay where it is. */
static int read_on(struct reader *r, struct error *err)
{
	struct snapshot *s = r->agent->snapshot;
	bool loading = snapshot_loading(s), busy = snapshot_busy(s), halts = false;
	/* Rows that wait for their transaction's end do not shorten the wait; finished ones do, and chunks. */
	int wait = r->builder.cut || busy ? 1 : r->agent->draining ? DRAIN_MS : READ_MS;

	if (loading && !r->inside && reader_splice(r, NULL, &halts, err) < 0)
		return -1;
	if (loading && r->inside)
		halts = snapshot_halts(s, NULL, NULL);
	if (halts) {
		agent_sleep(r->agent, HALT_US);
		return r->next ? encode(r, err) : 0;
	}
	if (busy && r->ops->hasten && monotonic_us() - r->last_hasten >= HASTEN_US) {
		r->ops->hasten(r->source);
		r->last_hasten = monotonic_us();
	}
	if (!r->next && !r->batch.nchanges && r->ops->read(r->source, &r->batch, wait, err) < 0)
		return -1;
	return encode(r, err);
}

static int stream(struct reader *r, struct error *err)
{
	struct agent *a = r->agent;

	while (!a->stopping) {
		if (read_on(r, err) < 0)
			return -1;
		if (monotonic_us() - r->last_ack >= ACK_US) {
			if (reader_acknowledge(r, err) < 0 || let_server_stop(r, err) < 0)
				return -1;
			say_progress(r);
			say_behind(r);
		}
		if (until_idle(r, err) < 0)
			return -1;
		if (a->look_anew)
			return fail(err, ERR_RETRY, "looking for new tables");
		if (drained(r)) {
			if (reader_acknowledge(r, err) < 0)
				return -1;
			agent_stop(a);
		}
	}
	return 0;
}

/*
 * An older process of this pipeline may be ended (its walsender) only by one whose sinks are
 * fenced: at the start by opening them, at a reconnect by checking again.  A sink that is closed
 * does not know: another instance may have taken over.
 */
static bool may_take_slot(struct reader *r)
{
	struct agent *a = r->agent;
	int64_t until = monotonic_us() + FENCE_US;
	bool all = true;

	if (r->failing_since) {
		for (size_t i = 0; i < a->nsinks; i++)
			deliver_verify(a->sinks[i]);
		r->fences_checked = false;
		while (!fences_certain(a) && !a->stopping && monotonic_us() < until)
			agent_sleep(a, 10000);
		all = fences_certain(a);
	}
	for (size_t i = 0; i < a->nsinks; i++) {
		struct deliver_view v;

		deliver_view(a->sinks[i], &v);
		all = all && (v.loaded || v.detached);
		checkpoint_release(&v.floor);
	}
	return all;
}

/* One life of the connection. */
static int live(struct reader *r, struct error *err)
{
	struct agent *a = r->agent;
	struct source_start start = { 0 };
	bool first = !r->last.resume, may_take = may_take_slot(r);

	if (a->stopping)
		return 0;
	a->look_anew = false;
	if (r->ops->connect(r->source, r->last.resume, may_take, CONNECT_MS, &start, err) < 0) {
		checkpoint_release(&start.oldest);
		return -1;
	}
	int failed = find_start(r, &start, err);

	checkpoint_release(&start.oldest);
	if (failed || a->stopping)
		return failed;
	if (r->ops->start(r->source, &r->last, err) < 0)
		return -1;
	agent_waiting(a, WAIT_READER, NULL);
	note(r, true, true, NULL);
	log_info(first ? "streaming begins" : "streaming goes on", "after", r->last.resume, NULL);
	r->failing_since = 0;
	r->inside = r->in_chunk = false;
	r->next = 0;
	snapshot_streams(a->snapshot);
	return stream(r, err);
}

/* Passing trouble.  Under --until-idle not for ever. */
static void wait_retry(struct reader *r, unsigned *tries, struct error *err)
{
	struct agent *a = r->agent;
	int64_t now = monotonic_us();

	if (!r->failing_since)
		r->failing_since = now;
	if (a->until_idle && now - r->failing_since >= a->config->source.connect_timeout) {
		agent_fail(a, err);
		return;
	}
	note(r, false, false, err->text);
	agent_waiting(a, WAIT_READER, err->text);
	if (*tries < 3 || *tries % 20 == 0)
		log_warning("source is not available, trying again", "error", err->text, NULL);
	int64_t until = now + backoff_us((*tries)++);

	while (monotonic_us() < until && !a->stopping)
		agent_sleep(a, 20000);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct agent *a = r->agent;
	struct error err = { 0 };
	unsigned tries = 0;

	pthread_setname_np(pthread_self(), "reader");
	if (!wait_sinks(r))
		return NULL;
	spool_newest(a->spool, &r->last);
	if (r->last.resume)
		begin_known_sinks(
			r); /* they deliver what the spool holds, whether the source answers or not */
	else
		lowest_checkpoint(a, &r->last);
	if (look_for_intent(r, &err) < 0)
		agent_fail(a, &err);
	while (!a->stopping) {
		uint64_t rows = r->rows;
		int rc = live(r, &err);

		snapshot_lost(a->snapshot);
		r->ops->disconnect(r->source);
		batch_empty(&r->batch);
		block_builder_clear(&r->builder);
		checkpoint_release(&r->heartbeat);
		if (rc == 0)
			break;
		if (err.kind != ERR_RETRY) {
			agent_fail(a, &err);
			break;
		}
		if (r->rows != rows)
			tries = 0;
		if (atomic_exchange(&a->look_anew, false))
			log_info("connecting anew, to look for new tables", NULL);
		else if (!a->stopping)
			wait_retry(r, &tries, &err);
		writer_rewind(a->writer); /* the source sends an unfinished transaction again */
		spool_newest(a->spool, &r->last);
	}
	note(r, false, false, NULL);
	return NULL;
}

struct reader *reader_start(struct agent *a)
{
	struct error err;
	const struct source_ops *ops = source_types[a->config->source.type].ops;
	struct source *source = ops->open(a->config, a->tables, a->instance, &err);

	if (!source) {
		agent_fail(a, &err);
		return NULL;
	}
	struct reader *r = xcalloc(1, sizeof *r);

	r->agent = a;
	r->ops = ops;
	r->source = source;
	r->last_said = monotonic_us();
	r->extent = (struct source_extent){ .retained_bytes = -1,
					    .lag_bytes = -1,
					    .seconds_until_lost = -1 };
	r->m_transactions = metric_get(METRIC_COUNTER, "transactions_total", "",
				       "Transactions read with changes in them.");
	pthread_mutex_init(&r->lock, NULL);
	pthread_create(&r->thread, NULL, reader_main, r);
	return r;
}

void reader_join(struct reader *r)
{
	if (!r)
		return;
	pthread_join(r->thread, NULL);
	r->ops->close(r->source);
	batch_free(&r->batch);
	block_builder_release(&r->builder);
	checkpoint_release(&r->last);
	checkpoint_release(&r->heartbeat);
	pthread_mutex_destroy(&r->lock);
	free(r->m_events);
	free(r->error);
	free(r);
}
