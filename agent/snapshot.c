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

void job_free(struct job *j)
{
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

static void free_keys(struct load *l)
{
	for (size_t i = 0; i < l->nkeys; i++)
		free((char *)(uintptr_t)l->keys[i].key.p);
	free(l->keys);
	free(l->keys_again);
	l->keys = NULL;
	l->keys_again = NULL;
	l->nkeys = 0;
}

static void drop_jobs(struct snapshot *s, struct load *l)
{
	for (size_t i = 0; i < l->nranges; i++)
		if (l->ranges[i].jobs)
			job_drop(s, l->ranges[i].jobs);
	if (l->reread.jobs)
		job_drop(s, l->reread.jobs);
}

static struct load *new_load(const char *schema, const char *name, const char *where,
			     const char *sink)
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
	free_keys(l);
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
	struct load *n = new_load(l->schema, l->name, l->where, l->sink);

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
	drop_jobs(s, l);
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
	drop_jobs(s, l);
	if (state == LOAD_FAILED)
		log_error("a table cannot be loaded", "schema", l->schema, "table", l->name,
			  "reason", reason ? reason : "", NULL);
	else
		log_info("a table's load ends", "schema", l->schema, "table", l->name, NULL);
}

static struct load *find_load(struct snapshot *s, const char *schema, const char *name)
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
			free_keys(e->load);
		if (e->begin && e->load->phase == PHASE_BEGUN)
			e->load->phase = PHASE_WAITING;
		e->load->refs--;
		free(e->note);
	}
	memmove(s->settled, s->settled + n, (s->nsettled - n) * sizeof *s->settled);
	s->nsettled -= n;
}

/* Keys whose chunk is in the spool, and which no change has asked for again since. */
static int settle_keys(struct snapshot *s, struct load *l, struct error *err)
{
	AUTO(free) struct str *done = xcalloc(l->nkeys + 1, sizeof *done);
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < l->nkeys; i++)
		if (!l->keys_again[i])
			done[n++] = l->keys[i].key;
	pthread_mutex_unlock(&s->lock);
	return n ? ledger_drop_rereads(s->agent->state, l->schema, l->name, done, n, err) : 0;
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
			rc = settle_keys(s, done[i].load, err);
	pthread_mutex_lock(&s->lock);
	if (rc == 0)
		forget_settled(s, n);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* --- the plan --- */

void copy_tables_free(struct copy_table *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].schema);
		free(t[i].name);
		free(t[i].refusal);
	}
	free(t);
}

#define LOAD_FOR                                                                                   \
	"load_for" /* state.db: whom the tables are to be loaded for: "*" or a sink; set with the place itself */

int snapshot_first(struct agent *a, const char *sink, struct error *err)
{
	struct state *state = a->state;
	AUTO(free) char *have = NULL;

	pthread_mutex_lock(&a->snapshot->lock);
	a->snapshot->first = true;
	pthread_mutex_unlock(&a->snapshot->lock);

	if (state_get(state, LOAD_FOR, &have, err) < 0)
		return -1;
	/* For more than one: for all. */
	return state_put(state, LOAD_FOR,
			 have && sink && strcmp(have, sink) != 0 ? "*"
			 : sink                                  ? sink
								 : "*",
			 err);
}

struct plan {
	struct copy_table *tables;
	struct ledger_table *known;
	size_t ntables, nknown;
	char *load_for;
};

static void plan_release(struct plan *p)
{
	copy_tables_free(p->tables, p->ntables);
	ledger_tables_free(p->known, p->nknown);
	free(p->load_for);
}

static const struct ledger_table *known_table(const struct plan *p, const struct copy_table *t)
{
	for (size_t i = 0; i < p->nknown; i++)
		if (strcmp(p->known[i].schema, t->schema) == 0 &&
		    strcmp(p->known[i].name, t->name) == 0)
			return &p->known[i];
	return NULL;
}

/* Does a sink's checkpoint say that the table is being loaded, which the ledger has lost? */
static bool sinks_await(struct snapshot *s, const struct copy_table *t)
{
	const struct table named = { .schema = str_z(t->schema), .name = str_z(t->name) };
	struct loading loading = { 0 };

	for (size_t i = 0; i < s->agent->nsinks; i++)
		deliver_loading(s->agent->sinks[i], &loading);
	bool has = loading_has(&loading, &named);

	loading_release(&loading);
	return has;
}

/* What the ledger is to say of a table that it does not know, or that is to be loaded anew. */
static int enter_table(struct snapshot *s, const struct plan *p, const struct copy_table *t,
		       struct error *err)
{
	const struct ledger_table *known = known_table(p, t);
	bool never = s->config->snapshot.mode == SNAPSHOT_NEVER;
	bool wanted = p->load_for || p->nknown > 0 || sinks_await(s, t);
	bool all = p->load_for && strcmp(p->load_for, "*") == 0;

	if (known && (never || !p->load_for))
		return 0;
	const char *reason = never     ? "snapshot.mode = never"
			     : !wanted ? "it was carried before"
				       : NULL;
	bool running = known && (known->state == LOAD_RUNNING || known->state == LOAD_WAITING);
	struct ledger_table entry = { .schema = t->schema,
				      .name = t->name,
				      .state = never || !wanted ? LOAD_CANCELLED : LOAD_WAITING,
				      .sink = known && !running && !all ? p->load_for : NULL,
				      .reason = (char *)(uintptr_t)reason,
				      .estimate = t->rows,
				      .asked_us = wall_clock_us() };

	if (known)
		entry.position = known->position;
	return ledger_put_table(s->agent->state, &entry, err);
}

static void take_ranges(struct load *l, const struct ledger_table *t)
{
	l->nranges = t->nranges;
	l->ranges = xcalloc(t->nranges, sizeof *l->ranges);
	for (size_t i = 0; i < t->nranges; i++) {
		const struct ledger_range *from = &t->ranges[i];

		l->ranges[i] = (struct range){ .load = l,
					       .id = from->id,
					       .after = from->after ? xstrdup(from->after) : NULL,
					       .upto = from->upto ? xstrdup(from->upto) : NULL,
					       .at_end = from->done,
					       .done = from->done };
	}
}

#define GONE "the table is gone, or no longer selected"

/* A load that the ledger has not finished becomes one of this process. */
static void fill_in(struct load *l, const struct copy_table *found)
{
	l->keyless = found->keyless;
	l->refusal = found->refusal ? xstrdup(found->refusal) : NULL;
	l->bytes = found->bytes;
	l->estimate = l->where ? -1 : found->rows;
}

static bool was_begun(const struct ledger_table *t)
{
	return (t->state == LOAD_RUNNING || t->state == LOAD_PAUSED) && t->begun_us > 0;
}

static void take_up(struct snapshot *s, const struct ledger_table *t)
{
	struct load *l = new_load(t->schema, t->name, t->where, t->sink);

	l->state = t->state == LOAD_WAITING ? LOAD_RUNNING : t->state;
	l->by_name = t->by_name;
	l->rows = t->rows;
	l->last = t->position;
	l->begun_us = monotonic_us();
	l->maybe_rereads = true;
	if (was_begun(t)) {
		take_ranges(l, t);
		l->splice = splice_add(s->splice, str_z(l->schema), str_z(l->name));
	}
	l->phase = was_begun(t) ? PHASE_KNOWN : PHASE_BEGIN;
	struct load **p = &s->loads;

	while (*p)
		p = &(*p)->next;
	*p = l;
}

static int take_up_all(struct snapshot *s, struct plan *p, struct error *err)
{
	int rc = 0;

	ledger_tables_free(p->known, p->nknown);
	p->known = NULL;
	p->nknown = 0;
	if (ledger_load(s->agent->state, &p->known, &p->nknown, err) < 0)
		return -1;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < p->nknown && rc == 0; i++) {
		const struct ledger_table *t = &p->known[i];
		const struct copy_table *found = NULL;
		struct load *old = find_load(s, t->schema, t->name);

		for (size_t k = 0; k < p->ntables && !found; k++)
			if (strcmp(p->tables[k].schema, t->schema) == 0 &&
			    strcmp(p->tables[k].name, t->name) == 0)
				found = &p->tables[k];
		if (t->state == LOAD_DONE || t->state == LOAD_FAILED ||
		    t->state == LOAD_CANCELLED ||
		    (old && old->phase != PHASE_ENDED && old->phase != PHASE_KNOWN))
			continue;
		if (!found && old && old->phase == PHASE_KNOWN) {
			load_end(s, old, LOAD_FAILED, GONE);
		} else if (!found) {
			rc = ledger_put_state(s->agent->state, t->schema, t->name, LOAD_FAILED,
					      GONE, err);
		} else {
			if (old && old->phase == PHASE_ENDED)
				old->retired = true;
			if (!old || old->retired)
				take_up(s, t);
			old = find_load(s, t->schema, t->name);
			fill_in(old, found);
			if (old->phase == PHASE_KNOWN)
				old->phase = old->nranges ? PHASE_READING : PHASE_WAITING;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int list_tables(struct snapshot *s, struct plan *p, struct error *err)
{
	struct copier *c = s->copy->open(s->config, s->agent->instance, &s->agent->stopping, err);
	int rc = c ? s->copy->tables(c, &p->tables, &p->ntables, err) : -1;

	if (c)
		s->copy->close(c);
	return rc;
}

static int make_plan(struct snapshot *s, struct plan *p, struct error *err)
{
	struct state *state = s->agent->state;

	if (state_get(state, LOAD_FOR, &p->load_for, err) < 0 ||
	    ledger_load(state, &p->known, &p->nknown, err) < 0)
		return -1;
	if (list_tables(s, p, err) < 0)
		return -1;
	for (size_t i = 0; i < p->ntables; i++)
		if (enter_table(s, p, &p->tables[i], err) < 0)
			return -1;
	if (p->load_for && state_put(state, LOAD_FOR, NULL, err) < 0)
		return -1;
	return take_up_all(s, p, err);
}

/* --- requests --- */

static bool is_name(const char *pattern)
{
	return strchr(pattern, '.') && !strpbrk(pattern, "*?[!");
}

static int split_patterns(const char *text, struct list *out)
{
	char *copy = xstrdup(text), *save = NULL;

	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		while (*p == ' ')
			p++;
		out->items = xrealloc(out->items, (out->n + 1) * sizeof *out->items);
		out->items[out->n++] = xstrdup(p);
	}
	free(copy);
	return 0;
}

static void free_patterns(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
}

static int start_table(struct snapshot *s, const struct load_request *r,
		       const struct list *patterns, const struct copy_table *t, struct error *err)
{
	struct ledger_table entry = { .schema = t->schema,
				      .name = t->name,
				      .where = r->where,
				      .sink = r->sink,
				      .state = LOAD_WAITING,
				      .estimate = t->rows,
				      .asked_us = wall_clock_us() };
	AUTO(free) char *full = xasprintf("%s.%s", t->schema, t->name);

	for (size_t i = 0; i < patterns->n; i++)
		entry.by_name = entry.by_name || (is_name(patterns->items[i]) &&
						  strcmp(patterns->items[i], full) == 0);
	pthread_mutex_lock(&s->lock);
	struct load *old = find_load(s, t->schema, t->name);

	if (old) {
		entry.position = old->last;
		old->retired = true;
		drop_jobs(s, old);
	}
	pthread_mutex_unlock(&s->lock);
	return ledger_put_table(s->agent->state, &entry, err);
}

static int start_tables(struct snapshot *s, const struct load_request *r,
			const struct list *patterns, struct plan *p, struct error *err)
{
	if (list_tables(s, p, err) < 0)
		return -1;
	for (size_t i = 0; i < p->ntables; i++) {
		const struct copy_table *t = &p->tables[i];

		if ((!r->tables || patterns_match(patterns, str_z(t->schema), str_z(t->name))) &&
		    start_table(s, r, patterns, t, err) < 0)
			return -1;
	}
	return take_up_all(s, p, err);
}

static int change_load(struct snapshot *s, struct load *l, enum request_kind kind,
		       struct error *err)
{
	enum snapshot_state to = kind == REQUEST_PAUSE    ? LOAD_PAUSED
				 : kind == REQUEST_CANCEL ? LOAD_CANCELLED
							  : LOAD_RUNNING;
	pthread_mutex_lock(&s->lock);
	bool open = l->phase != PHASE_ENDED && l->phase != PHASE_END;

	if (open && kind == REQUEST_CANCEL)
		load_end(s, l, LOAD_CANCELLED, "cancelled");
	else if (open)
		l->state = to;
	enum snapshot_state put =
		to == LOAD_RUNNING && l->phase < PHASE_READING ? LOAD_WAITING : to;

	pthread_mutex_unlock(&s->lock);
	return open ? ledger_put_state(s->agent->state, l->schema, l->name, put,
				       kind == REQUEST_CANCEL ? "cancelled" : NULL, err)
		    : 0;
}

static int handle_request(struct snapshot *s, const struct load_request *r, struct error *err)
{
	struct list patterns = { NULL, 0 };
	struct plan p = { 0 };
	int rc = 0;

	split_patterns(r->tables ? r->tables : "*", &patterns);
	if (r->kind == REQUEST_START)
		rc = start_tables(s, r, &patterns, &p, err);
	for (struct load *l = s->loads; l && rc == 0 && r->kind != REQUEST_START; l = l->next)
		if (!l->retired && patterns_match(&patterns, str_z(l->schema), str_z(l->name)))
			rc = change_load(s, l, r->kind, err);
	free_patterns(&patterns);
	plan_release(&p);
	return rc;
}

static int handle_requests(struct snapshot *s, struct error *err)
{
	struct load_request *r = NULL;
	size_t n = 0;
	int rc;

	if (!ledger_asked(s->agent->state) && s->requests_seen)
		return 0;
	rc = ledger_get_requests(s->agent->state, &r, &n, err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = handle_request(s, &r[i], err);
		if (rc == 0)
			rc = ledger_drop_request(s->agent->state, r[i].id, err);
	}
	s->requests_seen = rc == 0;
	load_requests_free(r, n);
	return rc;
}

/* --- the coordinator --- */

static bool ranges_done(const struct load *l)
{
	for (size_t i = 0; i < l->nranges; i++)
		if (!l->ranges[i].done)
			return false;
	return true;
}

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
	bool busy = false;

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
		if (l->phase == PHASE_READING && l->state == LOAD_RUNNING && ranges_done(l) &&
		    !l->maybe_rereads && !l->reread.jobs && !l->nkeys)
			l->phase = PHASE_END;
		bool open = l->state == LOAD_RUNNING || l->state == LOAD_WAITING ||
			    l->phase == PHASE_END;

		busy = busy || (open && l->phase != PHASE_ENDED);
		if (passed_us >= SECOND) {
			double now = (double)(l->rows - l->rows_said) * SECOND / (double)passed_us;

			l->rate = l->rate > 0 ? l->rate * 0.7 + now * 0.3 : now;
			l->rows_said = l->rows;
		}
	}
	s->busy = busy || s->nsettled || !s->planned;
}

/* With the lock held.  What was begun earlier is known to the splice before the stream goes on. */
static int take_up_begun(struct snapshot *s, struct error *err)
{
	struct ledger_table *known = NULL;
	size_t n = 0;

	if (ledger_load(s->agent->state, &known, &n, err) < 0)
		return -1;
	AUTO(free) char *load_for = NULL;

	if (state_get(s->agent->state, LOAD_FOR, &load_for, err) < 0)
		return -1;
	s->first = load_for != NULL;
	s->planned = s->config->snapshot.mode == SNAPSHOT_NEVER;
	for (size_t i = 0; i < n; i++) {
		bool open = known[i].state == LOAD_RUNNING || known[i].state == LOAD_WAITING ||
			    known[i].state == LOAD_PAUSED;

		s->planned = s->planned && !open;
		if (was_begun(&known[i]))
			take_up(s, &known[i]);
	}
	s->busy = !s->planned || s->loads;
	ledger_tables_free(known, n);
	return 0;
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

static int plan_if_wanted(struct snapshot *s, struct error *err)
{
	struct plan p = { 0 };

	pthread_mutex_lock(&s->lock);
	bool wanted = s->streaming && s->plan_wanted &&
		      (!s->planned || s->config->snapshot.mode != SNAPSHOT_NEVER);

	pthread_mutex_unlock(&s->lock);
	if (!wanted)
		return 0;
	int rc = make_plan(s, &p, err);

	plan_release(&p);
	if (rc < 0)
		return -1;
	pthread_mutex_lock(&s->lock);
	s->plan_wanted = s->first = false;
	s->planned = true;
	snapshot_say_waiting(s, NULL);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int tick(struct snapshot *s, struct error *err)
{
	if (settle(s, err) < 0 || plan_if_wanted(s, err) < 0 || put_states(s, err) < 0)
		return -1;
	return s->planned ? handle_requests(s, err) : 0;
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
	s->splice = splice_new(s->copy, (size_t)a->config->pipeline.memory / SET_SHARE, RULES);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (take_up_begun(s, err) < 0) {
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
	for (struct load *l = s->loads; l; l = l->next) {
		drop_jobs(s, l);
		l->retired = true;
		l->refs = 0;
	}
	forget_settled(s, s->nsettled);
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
