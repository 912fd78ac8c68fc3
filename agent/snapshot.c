/*
 * snapshot.c - the coordinator of snapshots: which tables are loaded, requests, the ledger
 *
 * Truth is in the ledger (state.db), and beyond it in the spool: what was emitted gets into the
 * ledger once the spool has synced it.  Whatever is in flight at a crash is read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "snapshot_private.h"

#define TICK_MS   100
#define SECOND    INT64_C(1000000)
#define SET_SHARE 32 /* of memory: keys that one window may note */

void snapshot_wait(struct snapshot *s, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

void snapshot_say_waiting(struct snapshot *s, const char *text)
{
	if (text && (!s->waiting || strcmp(s->waiting, text) != 0))
		log_info("snapshot waits", "for", text, NULL);
	free(s->waiting);
	s->waiting = text ? xstrdup(text) : NULL;
}

/* --- jobs and loads (with the lock held) --- */

void load_free_keys(struct load *l)
{
	free(l->keys); /* the keys' bytes are in the same piece */
	l->keys = NULL;
	l->nkeys = 0;
}

void job_free(struct job *j)
{
	if (j->keys) { /* they are read again */
		load_free_keys(j->load);
		j->load->maybe_rereads = true;
	}
	j->load->refs--;
	free(j->after);
	free(j->last);
	free(j);
}

void job_drop(struct snapshot *s, struct job *j)
{
	struct range *g = j->range;
	struct job **p = &g->jobs;

	while (*p && *p != j)
		p = &(*p)->next;
	*p = NULL; /* the range ends before it */
	if (g->id != RANGE_REREAD) {
		free(g->after);
		g->after = j->after ? xstrdup(j->after) : NULL;
	}
	g->at_end = false;
	g->reading = false;
	while (j) {
		struct job *next = j->next;

		j->next = NULL;
		j->dead = true;
		if (s->exact == j)
			s->exact = NULL;
		s->broken = s->broken || j->begun;
		if (j->state == JOB_READ) { /* nobody else has it */
			window_close(j->window);
			job_free(j);
		}
		j = next;
	}
}

bool load_ranges_done(const struct load *l)
{
	for (size_t i = 0; i < l->nranges; i++)
		if (!l->ranges[i].done)
			return false;
	return l->nranges > 0;
}

void load_drop_jobs(struct snapshot *s, struct load *l)
{
	for (size_t i = 0; i < l->nranges; i++)
		if (l->ranges[i].jobs)
			job_drop(s, l->ranges[i].jobs);
	if (l->reread.jobs)
		job_drop(s, l->reread.jobs);
}

struct load *load_new(const char *schema, const char *name, const char *where, const char *sink)
{
	struct load *l = xcalloc(1, sizeof *l);

	l->schema = xstrdup(schema);
	l->name = xstrdup(name);
	l->where = where ? xstrdup(where) : NULL;
	l->sink = sink ? xstrdup(sink) : NULL;
	l->estimate = l->bytes = -1;
	l->reread = (struct range){ .load = l, .id = RANGE_REREAD };
	return l;
}

static void free_load(struct load *l)
{
	for (size_t i = 0; i < l->nranges; i++) {
		free(l->ranges[i].after);
		free(l->ranges[i].upto);
	}
	load_free_keys(l);
	free(l->ranges);
	free(l->schema);
	free(l->name);
	free(l->where);
	free(l->sink);
	free(l->refusal);
	free(l->reason);
	free(l);
}

struct load *load_restart(struct snapshot *s, struct load *l, const char *why)
{
	struct load *n = load_new(l->schema, l->name, l->where, l->sink);

	log_warning("a table's load begins anew", "schema", l->schema, "table", l->name, "reason",
		    why, NULL);
	n->by_name = l->by_name;
	n->keyless = l->keyless;
	n->refusal = l->refusal ? xstrdup(l->refusal) : NULL;
	n->bytes = l->bytes;
	n->estimate = l->estimate;
	n->last = l->last;
	n->state = LOAD_RUNNING;
	n->phase = PHASE_FRESH;
	n->begun_us = monotonic_us();
	l->retired = true;
	load_drop_jobs(s, l);
	n->next = s->loads;
	s->loads = n;
	return n;
}

void load_end(struct snapshot *s, struct load *l, enum snapshot_state state, const char *reason)
{
	free(l->reason);
	l->reason = reason ? xstrdup(reason) : NULL;
	l->state = state;
	l->put = true;
	l->given_up = true;
	l->phase = l->splice ? PHASE_END : PHASE_ENDED;
	load_drop_jobs(s, l);
	if (state == LOAD_FAILED)
		log_error("a table cannot be loaded", "schema", l->schema, "table", l->name,
			  "reason", reason ? reason : "", NULL);
	else
		log_info("a table's load ends", "schema", l->schema, "table", l->name, NULL);
}

struct load *load_find(struct snapshot *s, const char *schema, const char *name)
{
	for (struct load *l = s->loads; l; l = l->next)
		if (!l->retired && strcmp(l->schema, schema) == 0 && strcmp(l->name, name) == 0)
			return l;
	return NULL;
}

/* --- the ledger follows the spool --- */

static void forget_settled(struct snapshot *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct settled *e = &s->settled[i];

		if (e->reread)
			load_free_keys(e->load);
		if (e->begin && e->load->phase == PHASE_BEGUN)
			e->load->phase = PHASE_WAITING;
		e->load->refs--;
		free(e->note);
	}
	s->nsettled -= n;
	if (n && s->nsettled)
		memmove(s->settled, s->settled + n, s->nsettled * sizeof *s->settled);
}

static int settle(struct snapshot *s, struct error *err)
{
	AUTO(checkpoint) struct checkpoint synced = { 0 };
	size_t n = 0;
	int rc = 0;

	spool_synced(s->agent->spool, &synced);
	pthread_mutex_lock(&s->lock);
	while (n < s->nsettled && position_cmp(&s->settled[n].pos, &synced.pos) <= 0)
		n++;
	AUTO(free) struct ledger_entry *e = xcalloc(n + 1, sizeof *e);
	AUTO(free) struct settled *done = xcalloc(n + 1, sizeof *done);

	for (size_t i = 0; i < n; i++) {
		done[i] = s->settled[i];
		e[i] = (struct ledger_entry){ str_z(done[i].note), done[i].pos };
	}
	pthread_mutex_unlock(&s->lock);
	if (n == 0)
		return 0;
	rc = ledger_apply(s->agent->state, e, n, err);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (done[i].reread)
			rc = ledger_drop_rereads(s->agent->state, done[i].load->keys,
						 done[i].load->nkeys, err);
	pthread_mutex_lock(&s->lock);
	if (rc == 0)
		forget_settled(s, n);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* --- the coordinator --- */

/* Rows were rewritten without events while the table was being loaded: what was read before is stale. */
static void note_reload(void *arg, enum table_note kind, struct str schema, struct str name,
			const char *reason)
{
	struct snapshot *s = arg;

	(void)reason;
	for (struct load *l = s->loads; l; l = l->next)
		if (kind == TABLE_NOTE_RELOAD && !l->retired && l->splice &&
		    str_eqz(name, l->name) && str_eqz(schema, l->schema))
			l->rewritten = true;
}

/* With the lock held: what each load is to do next. */
static void advance(struct snapshot *s, int64_t passed_us)
{
	bool busy = false, told = false;

	for (struct load *l = s->loads, *next; l; l = next) {
		next = l->next;
		if (l->retired)
			continue;
		if (l->rewritten && l->phase == PHASE_READING) {
			(void)load_restart(s, l, "rows were changed without events");
			busy = true;
			continue;
		}
		l->rewritten = false;
		if (l->phase == PHASE_READING && l->state == LOAD_RUNNING && load_ranges_done(l) &&
		    !l->maybe_rereads && !l->reread.reading && !l->reread.jobs && !l->nkeys)
			l->phase = PHASE_END;
		bool open = l->state == LOAD_RUNNING || l->state == LOAD_WAITING ||
			    l->phase == PHASE_END;

		busy = busy || (open && l->phase != PHASE_ENDED);
		told = told || l->phase != PHASE_ENDED; /* changes during a pause count, too */
		if (passed_us >= SECOND) {
			double now = (double)(l->rows - l->rows_said) * SECOND / (double)passed_us;

			l->rate = l->rate > 0 ? l->rate * 0.7 + now * 0.3 : now;
			l->rows_said = l->rows;
		}
	}
	s->busy = busy || s->nsettled || !s->planned || !s->requests_seen;
	told = told || s->busy;
	if (told && !s->told)
		splice_reset(s->splice); /* it does not know what was streamed meanwhile */
	s->told = told;
}

static void reap(struct snapshot *s)
{
	for (struct load **p = &s->loads; *p;) {
		struct load *l = *p;

		if (!l->retired || l->refs) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		if (l->splice)
			splice_remove(s->splice, l->splice);
		free_load(l);
	}
}

static int put_fresh(struct snapshot *s, const struct load *l, struct error *err)
{
	const struct ledger_table t = { .schema = l->schema,
					.name = l->name,
					.where = l->where,
					.sink = l->sink,
					.by_name = l->by_name,
					.state = LOAD_WAITING,
					.estimate = l->estimate,
					.asked_us = wall_clock_us(),
					.position = l->last };

	return ledger_put_table(s->agent->state, &t, err);
}

/* States that the ledger is to keep. */
static int put_states(struct snapshot *s, struct error *err)
{
	for (;;) {
		struct load *l;
		AUTO(free) char *reason = NULL;

		pthread_mutex_lock(&s->lock);
		for (l = s->loads; l && (l->retired || !(l->put || l->phase == PHASE_FRESH));
		     l = l->next)
			;
		bool fresh = l && l->phase == PHASE_FRESH;

		if (l) {
			l->put = false;
			l->phase = fresh ? PHASE_BEGIN : l->phase;
			reason = l->reason ? xstrdup(l->reason) : NULL;
		}
		pthread_mutex_unlock(&s->lock);
		if (!l)
			return 0;
		/* Loads are freed by this thread alone; the emission of its note comes after settle(), which is its own too. */
		if (fresh) {
			if (put_fresh(s, l, err) < 0)
				return -1;
		} else if (ledger_put_state(s->agent->state, l->schema, l->name, l->state, reason,
					    err) < 0)
			return -1;
	}
}

static int tick(struct snapshot *s, struct error *err)
{
	if (settle(s, err) < 0 || snapshot_plan(s, err) < 0 || put_states(s, err) < 0)
		return -1;
	return s->planned ? snapshot_requests(s, err) : 0;
}

static void *coordinator(void *arg)
{
	struct snapshot *s = arg;
	int64_t last = monotonic_us();
	struct error err;

	pthread_setname_np(pthread_self(), "snapshots");
	while (!s->agent->stopping) {
		int64_t now = monotonic_us();
		int rc = tick(s, &err);

		if (rc < 0 && err.kind != ERR_RETRY && !s->agent->stopping)
			agent_fail(s->agent, &err);
		pthread_mutex_lock(&s->lock);
		if (rc < 0)
			snapshot_say_waiting(s, err.text);
		tables_each_note(s->agent->tables, note_reload, s);
		advance(s, now - last);
		if (now - last >= SECOND)
			last = now;
		reap(s);
		snapshot_wait(s, rc < 0 ? 10 * TICK_MS : TICK_MS);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/* --- for status --- */

bool snapshot_busy(struct snapshot *s)
{
	return s->busy;
}

char *snapshot_waiting_for(struct snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	char *text = s->busy && s->waiting ? xstrdup(s->waiting) : NULL;

	pthread_mutex_unlock(&s->lock);
	return text;
}

void snapshot_progress(struct snapshot *s, struct load_progress **out, size_t *n)
{
	size_t room = 0;

	pthread_mutex_lock(&s->lock);
	for (const struct load *l = s->loads; l; l = l->next)
		room += !l->retired;
	*out = xcalloc(room + 1, sizeof **out);
	*n = 0;
	for (const struct load *l = s->loads; l; l = l->next) {
		if (l->retired)
			continue;
		struct load_progress *p = &(*out)[(*n)++];
		bool ended = l->phase == PHASE_ENDED;
		int64_t left = l->estimate - l->rows;

		*p = (struct load_progress){
			.schema = xstrdup(l->schema),
			.name = xstrdup(l->name),
			.reason = l->reason ? xstrdup(l->reason) : NULL,
			.state = ended && !l->given_up ? LOAD_DONE : l->state,
			.rows = l->rows,
			.estimate = l->estimate,
			.rate = ended ? 0 : l->rate,
			.seconds_left = -1,
		};
		if (ended)
			p->seconds_left = 0;
		else if (l->estimate >= 0 && l->rate >= 1 && left > 0)
			p->seconds_left = (int64_t)((double)left / l->rate) + 1;
	}
	pthread_mutex_unlock(&s->lock);
}

void load_progress_free(struct load_progress *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(p[i].schema);
		free(p[i].name);
		free(p[i].reason);
	}
	free(p);
}

bool snapshot_failed(struct snapshot *s, char *text, size_t room)
{
	bool any = false;

	pthread_mutex_lock(&s->lock);
	for (const struct load *l = s->loads; l && !any; l = l->next)
		if (!l->retired && l->state == LOAD_FAILED) {
			snprintf(text, room, "table %s.%s could not be loaded: %s", l->schema,
				 l->name, l->reason ? l->reason : "see the log");
			any = true;
		}
	pthread_mutex_unlock(&s->lock);
	return any;
}

/* --- start and end --- */

struct snapshot *snapshot_start(struct agent *a, struct error *err)
{
	if (ledger_catch_up(a->state, a->spool, err) < 0)
		return NULL;
	struct snapshot *s = xcalloc(1, sizeof *s);
	pthread_condattr_t attr;

	s->agent = a;
	s->config = a->config;
	s->ops = source_types[a->config->source.type].ops;
	s->copy = s->ops->copier;
	s->splice = splice_new(s->copy, (size_t)a->config->pipeline.memory / SET_SHARE,
			       SPLICE_EARLIER, RULES);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (snapshot_take_up_begun(s, err) < 0) {
		splice_free(s->splice);
		free(s);
		return NULL;
	}
	pthread_create(&s->coordinator, NULL, coordinator, s);
	s->nworkers = (size_t)a->config->snapshot.workers;
	s->workers = xcalloc(s->nworkers, sizeof *s->workers);
	for (size_t i = 0; i < s->nworkers; i++) {
		s->workers[i] = (struct worker){ .snapshot = s, .index = i };
		pthread_create(&s->workers[i].thread, NULL, snapshot_worker, &s->workers[i]);
	}
	return s;
}

void snapshot_join(struct snapshot *s)
{
	if (!s)
		return;
	pthread_join(s->coordinator, NULL);
	for (size_t i = 0; i < s->nworkers; i++)
		pthread_join(s->workers[i].thread, NULL);
	forget_settled(s, s->nsettled); /* it lets go of loads */
	for (struct load *l = s->loads; l; l = l->next) {
		load_drop_jobs(s, l);
		l->retired = true;
		l->refs = 0;
	}
	reap(s);
	splice_free(s->splice);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->settled);
	free(s->workers);
	free(s->waiting);
	free(s->held);
	free(s);
}
