/*
 * snapshot_worker.c - a worker: looks how a table can be read, and reads chunks of it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "failpoint.h"
#include "log.h"
#include "snapshot_private.h"

#define AHEAD      2 /* chunks of one range that are read or wait */
#define SPLIT_ROWS 4 /* a range has at least so many chunks */
/* Of one chunk's rows, with two workers; there may be twice as many chunks as workers. */
#define MEMORY_SHARE 32
#define RETRY_MS     50
#define LONG_US      600000000
#define HEALTH_US    1000000
#define REPLICA_US   30000000 /* a physical replica further behind than this holds the reading */
#define CROWDED      9 / 10   /* of max_connections */
#define GENTLE_MOST  4        /* sessions at work that a worker makes room for */

enum task_kind { TASK_NONE, TASK_PREPARE, TASK_CHUNK, TASK_REREAD };
struct task {
	enum task_kind kind;
	struct load *load;
	struct range *range;
	bool handed; /* to a job, which says when the range is no longer read */
};

/* --- what to do next (with the lock held) --- */

static size_t jobs_of(const struct range *g)
{
	size_t n = 0;

	for (const struct job *j = g->jobs; j; j = j->next)
		n++;
	return n;
}

static struct range *next_range(struct load *l)
{
	struct range *best = NULL;
	size_t least = l->keyless ? 1 : AHEAD;

	for (size_t i = 0; i < l->nranges; i++) {
		struct range *g = &l->ranges[i];

		if (g->done || g->at_end || g->reading || jobs_of(g) >= least)
			continue;
		least = jobs_of(g);
		best = g;
	}
	return best;
}

/* Chunks in memory: so many that no worker has to wait for the stream, and no more. */
static size_t jobs_of_all(const struct snapshot *s)
{
	size_t n = 0;

	for (const struct load *l = s->loads; l; l = l->next)
		for (size_t i = 0; i < l->nranges; i++)
			n += jobs_of(&l->ranges[i]);
	return n;
}

static struct task next_task(struct snapshot *s)
{
	struct task t = { TASK_NONE, NULL, NULL, false };
	bool full = jobs_of_all(s) >= AHEAD * s->nworkers;

	for (struct load *l = s->loads; l; l = l->next) {
		if (l->state == LOAD_PAUSED)
			continue;
		if (l->phase == PHASE_WAITING) {
			l->phase = PHASE_PREPARING;
			return (struct task){ TASK_PREPARE, l, NULL, false };
		}
		if (l->phase != PHASE_READING)
			continue;
		t.range = full ? NULL : next_range(l);
		if (t.range)
			return (struct task){ TASK_CHUNK, l, t.range, false };
		if (load_ranges_done(l) && l->maybe_rereads && !l->reread.reading &&
		    !l->reread.jobs && !l->nkeys)
			return (struct task){ TASK_REREAD, l, &l->reread, false };
	}
	return t;
}

/* --- the copier --- */

static void close_copier(struct worker *w)
{
	if (w->copier)
		w->snapshot->copy->close(w->copier);
	w->copier = NULL;
}

static int open_copier(struct worker *w, struct error *err)
{
	struct snapshot *s = w->snapshot;

	pthread_mutex_lock(&s->lock);
	uint64_t generation = splice_generation(s->splice);

	pthread_mutex_unlock(&s->lock);
	if (w->copier && w->generation == generation)
		return 0;
	close_copier(w);
	w->generation = generation;
	w->copier = s->copy->open(s->config, s->agent->instance, &s->agent->stopping, err);
	return w->copier ? 0 : -1;
}

/* Passing trouble is said and waited for; a table that cannot be read ends its load; anything else ends the agent. */
static void trouble(struct worker *w, struct load *l, struct error *err)
{
	struct snapshot *s = w->snapshot;

	if (err->code == ENOTCONN || err->kind != ERR_RETRY)
		close_copier(w);
	pthread_mutex_lock(&s->lock);
	if (s->agent->stopping)
		;
	else if (err->kind == ERR_RETRY && err->code == ESTALE && !l->retired)
		(void)load_restart(s, l, err->text);
	else if (err->kind == ERR_RETRY)
		snapshot_say_waiting(s, err->text);
	else if (err->kind == ERR_REJECT)
		load_end(s, l, LOAD_FAILED, err->text);
	else {
		error_prefix(err, "snapshot of %s.%s", l->schema, l->name);
		agent_fail(s->agent, err);
	}
	snapshot_wait(s, RETRY_MS);
	pthread_mutex_unlock(&s->lock);
}

/* --- the source comes first --- */

static void look_at_health(struct worker *w)
{
	struct snapshot *s = w->snapshot;
	struct source_health h = { -1, -1, -1, -1, -1 };
	struct error err;
	char text[160] = "";

	if (s->copy->health(w->copier, &h, &err) < 0) {
		if (err.code == ENOTCONN)
			close_copier(w);
		return;
	}
	if (h.connections > 0 && h.connections >= h.max_connections * CROWDED)
		snprintf(text, sizeof text, "%lld of the source's %lld connections are in use",
			 (long long)h.connections, (long long)h.max_connections);
	else if (h.replica_lag_us > REPLICA_US)
		snprintf(text, sizeof text, "a replica of the source is %lld s behind",
			 (long long)(h.replica_lag_us / 1000000));
	pthread_mutex_lock(&s->lock);
	bool said = s->held != NULL;

	free(s->held);
	s->held = *text ? xstrdup(text) : NULL;
	/* A long transaction holds back the server's own cleaning: no time to add to its work. */
	s->active = (h.active > 0 ? h.active : 0) + (h.oldest_us > LONG_US);
	s->health_us = monotonic_us();
	if (*text && !said)
		log_warning("snapshots hold", "reason", text, NULL);
	else if (!*text && said)
		log_info("snapshots go on", NULL);
	pthread_mutex_unlock(&s->lock);
}

/* true: a chunk may be read now. */
static bool may_read(struct worker *w)
{
	struct snapshot *s = w->snapshot;

	if (monotonic_us() - s->health_us >= HEALTH_US)
		look_at_health(w);
	if (!w->copier)
		return false;
	pthread_mutex_lock(&s->lock);
	const char *why = s->held         ? s->held
			  : s->behind     ? "the stream is more than 10 s behind"
			  : !s->streaming ? "the source"
					  : NULL;
	bool may = !why && monotonic_us() >= s->next_read_us;

	if (why)
		snapshot_say_waiting(s, why);
	if (!may)
		snapshot_wait(s, RETRY_MS);
	pthread_mutex_unlock(&s->lock);
	return may;
}

/* Sessions that are at work get their share: a worker sleeps as long as they would if all took turns. */
static void make_room(struct worker *w, int64_t took, int64_t rows)
{
	struct snapshot *s = w->snapshot;
	int64_t rate = s->config->snapshot.rate, now = monotonic_us();

	pthread_mutex_lock(&s->lock);
	int64_t active = s->active < GENTLE_MOST ? s->active : GENTLE_MOST;
	int64_t until = now + took * active / (int64_t)s->nworkers;

	if (rate) {
		int64_t from = s->next_read_us > now - took ? s->next_read_us : now - took;

		s->next_read_us = from + rows * 1000000 / rate;
	}
	while (monotonic_us() < until && !s->agent->stopping)
		snapshot_wait(s, 1 + (int)((until - monotonic_us()) / 1000));
	pthread_mutex_unlock(&s->lock);
}

/* --- how a table is read --- */

static int64_t parts_of(const struct load *l, const struct snapshot_config *c)
{
	int64_t chunks = l->estimate / c->chunk_rows;
	int64_t parts = c->workers * 2;

	if (parts > chunks / SPLIT_ROWS)
		parts = chunks / SPLIT_ROWS;
	return l->keyless || l->where || parts < 1 ? 1 : parts;
}

/* The reader looks at them: they are there with the lock, whole. */
static void make_ranges(struct snapshot *s, struct load *l, char **bounds, size_t n)
{
	struct range *ranges = xcalloc(n + 1, sizeof *ranges), *old;

	for (size_t i = 0; i <= n; i++) {
		struct range *g = &ranges[i];

		g->load = l;
		g->id = (int64_t)i;
		g->after = i ? xstrdup(bounds[i - 1]) : NULL;
		g->upto = i < n ? bounds[i] : NULL;
	}
	pthread_mutex_lock(&s->lock);
	size_t nold = l->nranges;

	old = l->ranges;
	l->ranges = ranges;
	l->nranges = n + 1;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < nold; i++) { /* of a try whose ledger could not be written */
		free(old[i].after);
		free(old[i].upto);
	}
	free(old);
}

static int put_ledger(struct snapshot *s, struct load *l, struct error *err)
{
	struct ledger_table t = { .schema = l->schema,
				  .name = l->name,
				  .sink = l->sink,
				  .where = l->where,
				  .state = LOAD_RUNNING,
				  .by_name = l->by_name,
				  .estimate = l->estimate,
				  .asked_us = wall_clock_us(),
				  .begun_us = wall_clock_us(),
				  .position = l->last,
				  .nranges = l->nranges };
	AUTO(free) struct ledger_range *ranges = xcalloc(l->nranges, sizeof *ranges);

	for (size_t i = 0; i < l->nranges; i++)
		ranges[i] = (struct ledger_range){ .id = l->ranges[i].id,
						   .after = l->ranges[i].after,
						   .upto = l->ranges[i].upto };
	t.ranges = ranges;
	return ledger_put_table(s->agent->state, &t, err);
}

static const char *unreadable(const struct load *l, const struct config *c, char *text, size_t room)
{
	if (l->refusal)
		return l->refusal;
	if (!l->keyless || l->by_name || l->bytes <= c->snapshot.keyless_max)
		return NULL;
	snprintf(
		text, room,
		"it has no key to read it by and %.1f GB, more than snapshot.keyless_max: it would "
		"be read in one transaction; ask for it by name (tailrace snapshot start %s.%s)",
		(double)l->bytes / 1e9, l->schema, l->name);
	return text;
}

static void prepare(struct worker *w, struct load *l)
{
	struct snapshot *s = w->snapshot;
	char **bounds = NULL, text[400];
	size_t n = 0;
	struct error err;
	int64_t parts = parts_of(l, &s->config->snapshot);
	const char *why = unreadable(l, s->config, text, sizeof text);

	if (why) {
		pthread_mutex_lock(&s->lock);
		load_end(s, l, LOAD_FAILED, why);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	int rc = parts > 1 ? s->copy->split(w->copier, l->schema, l->name, (size_t)parts, &bounds,
					    &n, &err)
			   : 0;

	if (rc == 0) {
		make_ranges(s, l, bounds, n);
		rc = put_ledger(s, l, &err);
	}
	free(bounds);
	pthread_mutex_lock(&s->lock);
	if (l->phase == PHASE_PREPARING) {
		l->begun_us = monotonic_us();
		l->state = LOAD_RUNNING;
		l->phase = rc == 0 ? PHASE_READING : PHASE_WAITING;
	} else {
		l->put = true; /* it ended meanwhile, which the ledger may have forgotten */
	}
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		trouble(w, l, &err);
	else
		log_info("table is being loaded", "schema", l->schema, "table", l->name, NULL);
}

/* --- a chunk --- */

struct reading {
	struct worker *worker;
	struct job *job;
	struct chunk *chunk;
	size_t most; /* bytes */
	int64_t rows;
};

static int take_row(void *arg, const struct value *values, struct error *err)
{
	struct reading *r = arg;

	(void)err;
	chunk_add(r->chunk, values);
	r->rows++;
	return r->chunk->bytes.n >= r->most;
}

/* Hands over a piece of an exact read and waits until it was emitted. */
static int give_piece(struct reading *r, struct error *err)
{
	struct snapshot *s = r->worker->snapshot;
	struct job *j = r->job;
	const struct table *t = r->chunk->table;

	chunk_index(r->chunk);
	pthread_mutex_lock(&s->lock);
	window_rows(j->window, r->chunk);
	r->chunk = NULL;
	j->state = JOB_READ;
	pthread_cond_broadcast(&s->changed);
	while (j->state != JOB_READING && !j->dead && !s->agent->stopping)
		snapshot_wait(s, 100);
	bool lost = j->dead || s->agent->stopping;

	pthread_mutex_unlock(&s->lock);
	r->chunk = chunk_new(t);
	return lost ? fail(err, ERR_RETRY, "the source was lost while a table was read") : 0;
}

static int take_piece_row(void *arg, const struct value *values, struct error *err)
{
	struct reading *r = arg;

	return take_row(arg, values, err) ? give_piece(r, err) : 0;
}

/* Waits until the window is open; an exact read also until the stream halts. */
static bool wait_open(struct worker *w, struct job *j)
{
	struct snapshot *s = w->snapshot;

	pthread_mutex_lock(&s->lock);
	s->halt = s->halt || j->exact;
	while (!j->dead && !s->agent->stopping &&
	       (!window_is_open(j->window) || (j->exact && !s->halted)))
		snapshot_wait(s, 100);
	bool open = !j->dead && !s->agent->stopping;

	pthread_mutex_unlock(&s->lock);
	return open;
}

/* The stream goes on: an exact read's up to its place. */
static void end_halt(struct worker *w, struct job *j, bool found)
{
	struct snapshot *s = w->snapshot;

	if (!j->exact)
		return;
	pthread_mutex_lock(&s->lock);
	s->halt = s->halted = false;
	s->exact = found && !j->dead ? j : NULL;
	pthread_mutex_unlock(&s->lock);
}

/* A read that sees all that was streamed before the window: its table version, or NULL (err->kind 0: the job is dead). */
static const struct table *begin(struct worker *w, struct job *j, struct error *err)
{
	struct snapshot *s = w->snapshot;
	const struct load *l = j->load;

	*err = (struct error){ 0 };
	while (wait_open(w, j)) {
		const struct table *draft;
		struct visibility *seen = NULL;

		if (s->copy->begin(w->copier, l->schema, l->name, l->where, j->exact, &draft, &seen,
				   err) < 0)
			return NULL;
		pthread_mutex_lock(&s->lock);
		bool counts = window_sees(j->window, seen);

		pthread_mutex_unlock(&s->lock);
		if (counts) {
			failpoint("chunk_begun");
			return tables_define(s->agent->tables, draft, err);
		}
		if (s->copy->end(w->copier, err) < 0)
			return NULL;
		pthread_mutex_lock(&s->lock);
		snapshot_wait(s, 5);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static int read_keys(struct reading *r, struct error *err)
{
	struct snapshot *s = r->worker->snapshot;
	struct load *l = r->job->load;

	for (size_t i = 0; i < l->nkeys; i++) {
		AUTO(arena) struct arena arena = { 0 };
		struct value *key = arena_zalloc(&arena, r->chunk->table->nkey * sizeof *key);
		const struct copy_range one = { .key = key };
		AUTO(free) char *last = NULL;
		bool end;

		if (avro_get_key(l->keys[i].key, r->chunk->table, &arena, key, err) < 0) {
			err->kind = ERR_RETRY;
			err->code = ESTALE; /* the table has another key now */
			return -1;
		}
		if (s->copy->rows(r->worker->copier, &one, 0, take_row, r, &last, &end, err) < 0)
			return -1;
	}
	r->job->end = true;
	return 0;
}

static int read_rows(struct reading *r, struct error *err)
{
	const struct snapshot *s = r->worker->snapshot;
	struct job *j = r->job;

	if (j->range->id == RANGE_REREAD)
		return read_keys(r, err);
	const struct copy_range range = { .after = j->after, .upto = j->range->upto };

	return s->copy->rows(r->worker->copier, &range,
			     j->exact ? 0 : s->config->snapshot.chunk_rows,
			     j->exact ? take_piece_row : take_row, r, &j->last, &j->end, err);
}

/* Versions that differ within a load: rows of the first may have been rewritten without an event. */
static bool version_holds(struct load *l, const struct table *t)
{
	if (!l->version)
		l->version = t;
	return l->version == t;
}

/* Bounds and keys of another version are not even good to read by. */
static bool is_another(struct worker *w, struct job *j, const struct table *t)
{
	struct snapshot *s = w->snapshot;

	pthread_mutex_lock(&s->lock);
	bool differs = !j->dead && !version_holds(j->load, t);

	if (differs)
		(void)load_restart(s, j->load, "its definition changed");
	pthread_mutex_unlock(&s->lock);
	return differs;
}

static void hand_over(struct worker *w, struct job *j, struct reading *r)
{
	struct snapshot *s = w->snapshot;
	struct range *g = j->range;

	chunk_index(r->chunk);
	pthread_mutex_lock(&s->lock);
	if (!j->dead) {
		window_rows(j->window, r->chunk);
		r->chunk = NULL;
		j->state = JOB_READ;
		g->reading = false;
		g->at_end = j->end;
		if (j->last && g->id != RANGE_REREAD) {
			free(g->after);
			g->after = xstrdup(j->last);
		}
		snapshot_say_waiting(s, NULL);
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static struct job *new_job(struct snapshot *s, const struct task *t)
{
	struct job *j = xcalloc(1, sizeof *j), **p = &t->range->jobs;

	j->load = t->load;
	j->load->refs++;
	j->range = t->range;
	j->after = t->range->after ? xstrdup(t->range->after) : NULL;
	j->exact = t->load->keyless;
	j->keys = t->kind == TASK_REREAD;
	for (size_t i = 0; t->kind == TASK_REREAD && i < t->load->nkeys; i++)
		j->exact = j->exact || t->load->keys[i].tries >= REREAD_TRIES;
	j->window = window_open(s->splice, t->load->splice);
	t->range->reading = true;
	while (*p)
		p = &(*p)->next;
	*p = j;
	return j;
}

/* With the lock held: a job that came to nothing is read again. */
static void give_back(struct snapshot *s, struct job *j)
{
	if (!j->dead)
		job_drop(s, j); /* marks it dead, as it is ours */
	if (s->exact == j)
		s->exact = NULL;
	window_close(j->window);
	job_free(j);
}

static void read_chunk(struct worker *w, struct job *j)
{
	struct snapshot *s = w->snapshot;
	struct load *l = j->load;
	struct reading r = { .worker = w, .job = j };
	struct error err;
	const struct table *t = begin(w, j, &err);
	int64_t began = monotonic_us(); /* what was waited for is no work of the server's */
	int rc = t && !is_another(w, j, t) ? 0 : -1;

	end_halt(w, j, rc == 0);
	if (rc == 0) {
		r.chunk = chunk_new(t);
		r.chunk->read_us = wall_clock_us();
		r.most = (size_t)(s->config->pipeline.memory / MEMORY_SHARE);
		if (s->nworkers > 2)
			r.most = r.most * 2 / s->nworkers;
		rc = read_rows(&r, &err);
		failpoint("chunk_read");
	}
	struct error ignored;

	if (w->copier && s->copy->end(w->copier, rc ? &ignored : &err) < 0)
		rc = -1;
	if (rc == 0)
		hand_over(w, j, &r);
	bool mine = r.chunk != NULL || rc;

	chunk_free(r.chunk);
	if (!mine) {
		make_room(w, monotonic_us() - began, r.rows);
		return;
	}
	pthread_mutex_lock(&s->lock);
	l->refs++;
	give_back(s, j);
	pthread_mutex_unlock(&s->lock);
	if (rc && err.kind)
		trouble(w, l, &err);
	pthread_mutex_lock(&s->lock);
	l->refs--;
	pthread_mutex_unlock(&s->lock);
}

/* --- keys to read again --- */

static bool get_keys(struct worker *w, struct load *l)
{
	struct snapshot *s = w->snapshot;
	struct error err;

	pthread_mutex_lock(&s->lock);
	l->maybe_rereads = false; /* what comes from here on says so */
	pthread_mutex_unlock(&s->lock);
	struct ledger_key *keys = NULL;
	size_t n = 0;

	if (ledger_get_rereads(s->agent->state, l->schema, l->name, REREAD_KEYS, &keys, &n, &err) <
	    0) {
		trouble(w, l, &err);
		n = 0;
	}
	pthread_mutex_lock(&s->lock);
	l->keys = keys;
	l->nkeys = n;
	l->maybe_rereads = l->maybe_rereads || n > 0;
	if (!n)
		load_free_keys(l);
	pthread_mutex_unlock(&s->lock);
	return n > 0;
}

/* --- the thread --- */

static void run_task(struct worker *w, struct task *t)
{
	struct snapshot *s = w->snapshot;

	if (t->kind == TASK_PREPARE) {
		prepare(w, t->load);
		return;
	}
	pthread_mutex_lock(&s->lock);
	/* What may have happened while the lock was not held. */
	bool still = t->load->phase == PHASE_READING && !t->load->retired && s->streaming &&
		     w->generation == splice_generation(s->splice);
	struct job *j = still ? new_job(s, t) : NULL;

	t->handed = j != NULL;
	if (!j && t->kind == TASK_REREAD)
		load_free_keys(t->load);

	pthread_mutex_unlock(&s->lock);
	if (j)
		read_chunk(w, j);
}

/* With the lock held: nothing came of it where nobody else has taken it on. */
static void end_task(struct task *t)
{
	if (t->kind == TASK_PREPARE && t->load->phase == PHASE_PREPARING)
		t->load->phase = PHASE_WAITING;
	if (t->range && !t->handed)
		t->range->reading = false;
	t->load->refs--;
}

void *snapshot_worker(void *arg)
{
	struct worker *w = arg;
	struct snapshot *s = w->snapshot;
	struct error err;

	pthread_setname_np(pthread_self(), "snapshot");
	while (!s->agent->stopping) {
		pthread_mutex_lock(&s->lock);
		struct task t =
			s->streaming ? next_task(s) : (struct task){ TASK_NONE, NULL, NULL, false };

		if (t.range)
			t.range->reading = true;
		if (t.load)
			t.load->refs++;
		else
			snapshot_wait(s, 200);
		pthread_mutex_unlock(&s->lock);
		if (t.kind == TASK_NONE)
			continue;
		bool ready = open_copier(w, &err) == 0;

		if (!ready)
			trouble(w, t.load, &err);
		while (ready && t.kind != TASK_PREPARE && !may_read(w)) {
			ready = w->copier && !s->agent->stopping && s->streaming;
		}
		if (ready && t.kind == TASK_REREAD)
			ready = get_keys(w, t.load);
		if (ready)
			run_task(w, &t);
		pthread_mutex_lock(&s->lock);
		end_task(&t);
		pthread_mutex_unlock(&s->lock);
	}
	close_copier(w);
	return NULL;
}
