/*
 * snapshot_plan.c - which tables are to be loaded: what is new, what is unfinished, what was asked for
 */
#include <stdlib.h>

#include "loading.h"
#include "snapshot_private.h"

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
	bool *reload; /* by table: complete, and loaded again on request */
	size_t ntables, nknown;
	char *load_for;
};

static void plan_release(struct plan *p)
{
	copy_tables_free(p->tables, p->ntables);
	ledger_tables_free(p->known, p->nknown);
	free(p->load_for);
	free(p->reload);
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

#define GONE "the table is gone, or no longer selected"

/* What changed while it was away is lost: it is loaded again. */
static bool came_back(const struct ledger_table *known)
{
	return known && known->reason && strcmp(known->reason, GONE) == 0;
}

/* What the ledger is to say of a table that it does not know, or that is to be loaded anew. */
static int enter_table(struct snapshot *s, const struct plan *p, const struct copy_table *t,
		       struct error *err)
{
	const struct ledger_table *known = known_table(p, t);
	bool never = s->config->snapshot.mode == SNAPSHOT_NEVER;
	bool wanted = p->load_for || p->nknown > 0 || sinks_await(s, t);
	bool all = p->load_for && strcmp(p->load_for, "*") == 0;

	if (known && (never || !(p->load_for || came_back(known))))
		return 0;
	const char *reason = never     ? "snapshot.mode = never"
			     : !wanted ? "it was carried before"
				       : NULL;
	bool running = known && (known->state == LOAD_RUNNING || known->state == LOAD_WAITING);
	struct ledger_table entry = { .schema = t->schema,
				      .name = t->name,
				      .state = never || !wanted ? LOAD_CANCELLED : LOAD_WAITING,
				      .sink = known && !running && !all && !came_back(known)
						      ? p->load_for
						      : NULL,
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
	struct load *l = load_new(t->schema, t->name, t->where, t->sink);

	l->state = t->state == LOAD_WAITING ? LOAD_RUNNING : t->state;
	l->by_name = t->by_name;
	l->rows = t->rows;
	l->version = t->version ? tables_by_id(s->agent->tables, t->version) : NULL;
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

static bool is_open(const struct ledger_table *t)
{
	return t->state == LOAD_WAITING || t->state == LOAD_RUNNING || t->state == LOAD_PAUSED;
}

/* The source carries it no longer. */
static int leave_table(struct snapshot *s, const struct ledger_table *t, struct load *l,
		       struct error *err)
{
	if (l && l->phase != PHASE_ENDED && l->phase != PHASE_END) {
		load_end(s, l, LOAD_FAILED, GONE);
		return 0;
	}
	return came_back(t)
		       ? 0
		       : ledger_put_state(s->agent->state, t->schema, t->name,
					  is_open(t) ? LOAD_FAILED : LOAD_CANCELLED, GONE, err);
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
		struct load *old = load_find(s, t->schema, t->name);

		for (size_t k = 0; k < p->ntables && !found; k++)
			if (strcmp(p->tables[k].schema, t->schema) == 0 &&
			    strcmp(p->tables[k].name, t->name) == 0)
				found = &p->tables[k];
		bool at_work = old && old->phase != PHASE_ENDED && old->phase != PHASE_KNOWN;

		if (!found) {
			rc = leave_table(s, t, old, err);
		} else if (is_open(t) && !at_work) {
			if (old && old->phase == PHASE_ENDED)
				old->retired = true;
			if (!old || old->retired)
				take_up(s, t);
			old = load_find(s, t->schema, t->name);
			old->reload = p->reload && p->reload[found - p->tables];
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

/* With the lock held.  What was begun earlier is known to the splice before the stream goes on. */
int snapshot_take_up_begun(struct snapshot *s, struct error *err)
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
	s->busy = s->told = true; /* until requests were looked for */
	ledger_tables_free(known, n);
	return 0;
}

int snapshot_plan(struct snapshot *s, struct error *err)
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
		       const struct list *patterns, struct plan *p, const struct copy_table *t,
		       struct error *err)
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
	const struct ledger_table *known = known_table(p, t);

	pthread_mutex_lock(&s->lock);
	struct load *old = load_find(s, t->schema, t->name);

	if (old) {
		entry.position = old->last;
		old->retired = true;
		load_drop_jobs(s, old);
	}
	pthread_mutex_unlock(&s->lock);
	p->reload[t - p->tables] = known && known->state == LOAD_DONE && !known->where;
	return ledger_put_table(s->agent->state, &entry, err);
}

static int start_tables(struct snapshot *s, const struct load_request *r,
			const struct list *patterns, struct plan *p, struct error *err)
{
	if (list_tables(s, p, err) < 0 ||
	    ledger_load(s->agent->state, &p->known, &p->nknown, err) < 0)
		return -1;
	p->reload = xcalloc(p->ntables + 1, sizeof *p->reload);
	for (size_t i = 0; i < p->ntables; i++) {
		const struct copy_table *t = &p->tables[i];

		if ((!r->tables || patterns_match(patterns, str_z(t->schema), str_z(t->name))) &&
		    start_table(s, r, patterns, p, t, err) < 0)
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

int snapshot_requests(struct snapshot *s, struct error *err)
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
