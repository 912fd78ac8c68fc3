/*
 * snapshot_stream.c - the reader's part of snapshots: what it notes, where it halts, what it emits
 */
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "snapshot_private.h"

#define PLAN_US 5000000

bool snapshot_loading(const struct snapshot *s)
{
	return s->told;
}

void snapshot_streams(struct snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	s->streaming = true;
	s->past_sinks = false;
	s->plan_wanted = true;
	s->streams_us = monotonic_us();
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void snapshot_lost(struct snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	s->streaming = false;
	s->halt = s->halted = s->broken = false;
	splice_reset(s->splice);
	for (struct load *l = s->loads; l; l = l->next) {
		for (size_t i = 0; i < l->nranges; i++)
			if (l->ranges[i].jobs)
				job_drop(s, l->ranges[i].jobs);
		if (l->reread.jobs)
			job_drop(s, l->reread.jobs);
	}
	s->exact = NULL;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* --- keys to read again --- */

struct keys {
	struct ledger_reread *items;
	size_t n, room;
};

static void take_key(void *arg, struct str key, struct str old)
{
	struct keys *k = arg;

	if (k->n == k->room) {
		k->room = k->room ? k->room * 2 : 16;
		k->items = xrealloc(k->items, k->room * sizeof *k->items);
	}
	struct ledger_reread *to = &k->items[k->n++];

	to->key = (struct str){ xstrndup(key.p, key.n), key.n };
	to->old = old;
	if (old.p)
		to->old.p = xstrndup(old.p, old.n);
}

/*
 * They are in the ledger before the change, or the rows, that ask for them can be in the spool.  A row that moves is
 * whole at the sinks when all ranges are and its old key is not in the ledger.
 */
static int keep_rereads(struct snapshot *s, struct load *l, struct error *err)
{
	struct keys k = { 0 };
	bool any, all = !load_ranges_done(l);

	if (!l->splice || !splice_has_rereads(l->splice))
		return 0;
	splice_take_rereads(l->splice, take_key, &k);
	for (size_t i = 0; i < k.n && all; i++) {
		free((char *)(uintptr_t)k.items[i].old.p);
		k.items[i].old.p = NULL;
	}
	int rc = ledger_put_rereads(s->agent->state, str_z(l->schema), str_z(l->name), k.items, k.n,
				    &any, err);

	l->maybe_rereads = l->maybe_rereads || any;
	if (any && l->phase == PHASE_END && !l->given_up)
		l->phase = PHASE_READING; /* not complete after all */
	for (size_t i = 0; i < k.n; i++) {
		free((char *)(uintptr_t)k.items[i].key.p);
		free((char *)(uintptr_t)k.items[i].old.p);
	}
	free(k.items);
	return rc;
}

/* --- the stream --- */

int snapshot_change(struct snapshot *s, const struct change *c, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (c->op == CHANGE_BEGIN)
		splice_begin(s->splice, c);
	else if (c->table)
		splice_change(s->splice, c);
	else if (c->op == CHANGE_COMMIT)
		for (struct load *l = s->loads; l && rc == 0; l = l->next)
			rc = keep_rereads(s, l, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/*
 * Tables that are to be loaded are known as such to the sinks before the first change of theirs comes: they
 * tell a row that is not there yet from one that is missing.
 */
static bool awaits_plan(const struct snapshot *s)
{
	bool plans = s->plan_wanted && s->config->snapshot.mode != SNAPSHOT_NEVER;

	return plans && (s->first || monotonic_us() - s->streams_us < PLAN_US);
}

bool snapshot_halts(struct snapshot *s, const struct change *next, const char *resume)
{
	pthread_mutex_lock(&s->lock);
	const struct job *j = s->exact;
	bool halts = splice_full(s->splice) || (next && awaits_plan(s));

	if (next && next->op == CHANGE_BEGIN && !halts) {
		if (j && !j->dead)
			halts = !s->copy->sees(window_seen(j->window), next);
		else if (s->halt && !s->halted) {
			splice_boundary(s->splice, resume);
			s->halted = halts = true;
			pthread_cond_broadcast(&s->changed);
		} else {
			halts = s->halt;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return halts;
}

bool snapshot_boundary(struct snapshot *s, const char *resume)
{
	pthread_mutex_lock(&s->lock);
	bool opened = splice_boundary(s->splice, resume);

	if (s->halt && !s->halted) {
		s->halted = true;
		opened = true;
	}
	if (opened)
		pthread_cond_broadcast(&s->changed);
	const struct job *j = s->exact;
	bool halts = s->halt || awaits_plan(s) || splice_full(s->splice) ||
		     (j && !j->dead && s->copy->reached(window_seen(j->window), resume));

	pthread_mutex_unlock(&s->lock);
	return halts;
}

/* --- emission --- */

static bool emit_note(struct load *l, enum note_kind kind, struct emission *out)
{
	const struct load_note n = { .kind = kind,
				     .schema = str_z(l->schema),
				     .name = str_z(l->name),
				     .sink = str_z(l->sink),
				     .given_up = l->given_up,
				     .partial = kind == NOTE_END && l->where,
				     .reload = kind == NOTE_BEGIN && l->reload };

	*out = (struct emission){
		.note = load_note_format(&n), .load = l, .kind = kind, .first = true, .final = true
	};
	return true;
}

static bool emit_rows(struct job *j, struct emission *out)
{
	struct load *l = j->load;
	struct chunk *c = window_chunk(j->window);
	const struct load_note n = {
		.kind = NOTE_ROWS,
		.schema = str_z(l->schema),
		.name = str_z(l->name),
		.sink = str_z(l->sink),
		.range = j->range->id,
		.rows = (int64_t)(c->nrows - c->ndropped),
		.version = c->nrows ? c->table->id : 0,
		.last = str_z(j->last),
		.done = j->end,
	};

	*out = (struct emission){ .note = load_note_format(&n),
				  .load = l,
				  .job = j,
				  .kind = NOTE_ROWS,
				  .chunk = c,
				  .first = !j->begun,
				  .clears = l->keyless && !l->where && !j->begun &&
					    j->range->id != RANGE_REREAD,
				  .final = !j->exact || j->end };
	j->state = JOB_EMITTING;
	return true;
}

static bool head_ready(struct snapshot *s, struct range *g, const struct change *next)
{
	struct job *j = g->jobs;

	if (!j || j->state != JOB_READ || j->dead)
		return false;
	const char *spoiled = window_spoiled(j->window);

	if (spoiled) {
		log_info("a chunk of a table is read again", "schema", g->load->schema, "table",
			 g->load->name, "reason", spoiled, NULL);
		job_drop(s, j);
		return false;
	}
	if (j->exact && next)
		return !s->copy->sees(window_seen(j->window), next);
	return window_ready(j->window);
}

/* 1: there is something */
static int take_load(struct snapshot *s, struct load *l, const struct change *next,
		     struct emission *out, struct error *err)
{
	if (keep_rereads(s, l, err) < 0)
		return -1;
	if (l->phase == PHASE_END && l->maybe_rereads && !l->given_up)
		l->phase = PHASE_READING;
	if (l->phase == PHASE_BEGIN) {
		if (!l->splice)
			l->splice = splice_add(s->splice, str_z(l->schema), str_z(l->name));
		return emit_note(l, NOTE_BEGIN, out);
	}
	if (l->phase == PHASE_END)
		return emit_note(l, NOTE_END, out);
	if (l->phase != PHASE_READING)
		return false;
	for (size_t i = 0; i < l->nranges; i++)
		if (head_ready(s, &l->ranges[i], next))
			return emit_rows(l->ranges[i].jobs, out);
	return head_ready(s, &l->reread, next) && emit_rows(l->reread.jobs, out);
}

int snapshot_take(struct snapshot *s, const char *resume, const struct change *next,
		  bool (*past_sinks)(void *arg), void *arg, struct emission *out, struct error *err)
{
	int taken = 0;

	pthread_mutex_lock(&s->lock);
	if (splice_boundary(s->splice, resume))
		pthread_cond_broadcast(&s->changed);
	if (!s->past_sinks)
		s->past_sinks = past_sinks(arg);
	for (struct load *l = s->loads; l && !taken && s->past_sinks; l = l->next)
		taken = l->retired ? 0 : take_load(s, l, next, out, err);
	if (taken > 0)
		out->load->refs++;
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static void settle_later(struct snapshot *s, struct emission *e, const struct position *pos)
{
	if (s->nsettled == s->settled_room) {
		s->settled_room = s->settled_room ? s->settled_room * 2 : 16;
		s->settled = xrealloc(s->settled, s->settled_room * sizeof *s->settled);
	}
	bool reread = e->job && e->job->range->id == RANGE_REREAD;

	s->settled[s->nsettled++] =
		(struct settled){ e->note, *pos, e->load, e->kind == NOTE_BEGIN, reread };
	e->load->refs++;
	e->note = NULL;
}

/* Its rows are in the stream. */
static void job_done(struct snapshot *s, struct job *j)
{
	struct range *g = j->range;

	g->jobs = j->next;
	g->done = j->end && g->id != RANGE_REREAD;
	if (s->exact == j)
		s->exact = NULL;
	window_close(j->window);
	j->keys = false;
	job_free(j);
}

static void say_loaded(const struct load *l)
{
	char rows[32], seconds[32];

	if (l->given_up)
		return;
	snprintf(rows, sizeof rows, "%lld", (long long)l->rows);
	snprintf(seconds, sizeof seconds, "%.1f", (double)(monotonic_us() - l->begun_us) / 1e6);
	log_info("table is loaded", "schema", l->schema, "table", l->name, "rows", rows, "seconds",
		 seconds, NULL);
}

/* What was told of the table before is cured by this load; what is told from here on is not. */
static void begun(struct snapshot *s, struct load *l)
{
	l->phase = PHASE_BEGUN;
	if (!l->where)
		tables_forget_note(s->agent->tables, TABLE_NOTE_RELOAD, str_z(l->schema),
				   str_z(l->name));
}

void snapshot_emitted(struct snapshot *s, struct emission *e, bool ok, const struct position *pos)
{
	struct job *j = e->job;
	struct load *l = e->load;

	pthread_mutex_lock(&s->lock);
	if (ok && e->final)
		l->last = *pos;
	if (j && j->dead) { /* the table began anew meanwhile */
		s->broken = s->broken || !e->final;
		window_close(j->window);
		job_free(j);
	} else if (!ok) {
		if (j) {
			j->state = JOB_READ;
			j->begun = false;
			job_drop(s, j);
		}
	} else if (j && !e->final) {
		j->begun = true;
		j->state = JOB_READING;
		l->rows += (int64_t)e->chunk->nrows;
		chunk_free(window_chunk(j->window));
		window_rows(j->window, NULL);
	} else {
		settle_later(s, e, pos);
		if (j)
			l->rows += (int64_t)(e->chunk->nrows - e->chunk->ndropped);
		if (e->kind == NOTE_BEGIN && l->phase == PHASE_BEGIN)
			begun(s, l);
		if (j)
			job_done(s, j);
		if (e->kind == NOTE_END) {
			say_loaded(l);
			l->phase = PHASE_ENDED;
			splice_remove(s->splice, l->splice);
			l->splice = NULL;
		}
	}
	l->refs--;
	free(e->note);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool snapshot_broken(struct snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	bool broken = s->broken;

	pthread_mutex_unlock(&s->lock);
	return broken;
}

void snapshot_reader_behind(struct snapshot *s, bool behind)
{
	s->behind = behind;
}
