/*
 * splice_model.h - the splice between a database's log, workers that read chunks and a sink, in random order
 *
 * The splice is the real one; what is done with it here is what snapshot.c, its workers and the reader do.
 */
#ifndef SPLICE_MODEL_H
#define SPLICE_MODEL_H

#include "splice_database.h"

/* --- the sink --- */

static void wrong(struct model *m, const char *why)
{
	if (!m->wrong)
		m->wrong = why;
}

static void sink_version(struct model *m, int version)
{
	if (version < m->sink_version)
		wrong(m, "a row of an older version comes after one of a newer");
	m->sink_version = version;
}

static void apply(struct row *rows, int keys, const struct op *op)
{
	switch (op->kind) {
	case OP_INSERT:
		rows[op->key] = op->row;
		break;
	case OP_UPDATE: {
		struct row *from = &rows[op->old >= 0 ? op->old : op->key];
		struct row had = *from;

		if (op->old >= 0)
			from->there = false;
		if (!op->absent)
			rows[op->key] = op->row;
		else if (had.there)
			rows[op->key] = (struct row){ true, op->row.a, had.t };
		break;
	}
	case OP_DELETE:
		rows[op->key].there = false;
		break;
	case OP_TRUNCATE:
		for (int k = 0; k < keys; k++)
			rows[k].there = false;
		break;
	case OP_ALTER:
	case OP_OTHER:
		break;
	}
}

/* --- the load --- */

static bool ranges_done(const struct model *m)
{
	for (int i = 0; i < m->nranges; i++)
		if (!m->ranges[i].done)
			return false;
	return true;
}

static int number_of(struct model *m, struct str key)
{
	struct arena arena = { 0 };
	struct value v;
	struct error err;

	if (avro_get_key(key, &m->tables[0], &arena, &v, &err) < 0)
		abort();
	arena_free(&arena);
	return (int)v.i / 1000;
}

static void take_key(void *arg, struct str key, struct str old)
{
	struct model *m = arg;
	int k = number_of(m, key);

	m->counts->passed += old.p && ranges_done(m) && !m->ledger[number_of(m, old)];
	if (old.p && ranges_done(m) && !m->ledger[number_of(m, old)])
		return;
	m->ledger[k] = m->again[k] = m->maybe_rereads = true;
	m->counts->rereads++;
}

static void keep_rereads(struct model *m)
{
	if (!m->loading || !splice_has_rereads(m->table))
		return;
	splice_take_rereads(m->table, take_key, m);
}

/* Keys that were not read after all are still to be read. */
static void free_job(struct model *m, struct model_job *j)
{
	if (j->range->reread && j->load == m->counts->restarts) {
		memset(m->key, 0, sizeof m->key);
		m->nkeys = 0;
		m->maybe_rereads = true;
	}
	window_close(j->window);
	free(j);
}

static void drop_job(struct model *m, struct model_job *j)
{
	struct model_range *g = j->range;
	struct model_job **p = &g->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = NULL;
	g->after = j->after;
	g->at_end = g->reading = false;
	while (j) {
		struct model_job *next = j->next;

		j->next = NULL;
		j->dead = true;
		if (j->read)
			free_job(m, j);
		j = next;
	}
}

static void drop_jobs(struct model *m)
{
	for (int i = 0; i < m->nranges; i++)
		if (m->ranges[i].jobs)
			drop_job(m, m->ranges[i].jobs);
	if (m->reread.jobs)
		drop_job(m, m->reread.jobs);
}

static void begin_load(struct model *m)
{
	int upto[RANGES];

	m->loading = true;
	m->load_version = -1;
	m->table = splice_add(m->splice, STR("public"), STR("t"));
	for (int i = 0; i < m->nranges; i++)
		upto[i] = i == m->nranges - 1 ? m->keys - 1 : m->keys * (i + 1) / m->nranges - 1;
	for (int i = 0; i < m->nranges; i++)
		m->ranges[i] =
			(struct model_range){ .after = i ? upto[i - 1] : -1, .upto = upto[i] };
	m->reread = (struct model_range){ .reread = true };
	memset(m->ledger, 0, sizeof m->ledger);
	memset(m->key, 0, sizeof m->key);
	m->nkeys = 0;
	m->maybe_rereads = false;
}

static void leave_load(struct model *m)
{
	drop_jobs(m);
	for (int i = 0; i < m->nworkers; i++) { /* whoever reads lets go of it */
		struct model_worker *w = &m->workers[i];

		if (w->job)
			free_job(m, w->job);
		if (w->state == SNAP || w->state == ASKED)
			free(w->asked);
		w->asked = NULL;
		w->job = NULL;
		w->locked = false;
		w->state = IDLE;
	}
}

/* --- workers --- */

static void open_copier(struct model *m, struct model_worker *w)
{
	uint64_t generation = splice_generation(m->splice);

	if (w->open && (w->generation == generation || !(m->config->promises & PROMISE_REOPEN)))
		return;
	w->open = true;
	w->generation = generation;
	w->horizon = m->ntxns;
}

static int jobs_of(const struct model_range *g)
{
	int n = 0;

	for (const struct model_job *j = g->jobs; j; j = j->next)
		n++;
	return n;
}

static void pick_task(struct model *m, struct model_worker *w)
{
	struct model_range *g = &m->ranges[below(m, m->nranges)];

	if (!m->loading) {
		if (one_in(m, 4))
			open_copier(m, w); /* for another table */
		return;
	}
	if (ranges_done(m) && m->maybe_rereads && !m->reread.reading && !m->reread.jobs &&
	    !m->nkeys)
		g = &m->reread;
	else if (g->done || g->at_end || g->reading || jobs_of(g) >= AHEAD)
		return;
	g->reading = true;
	w->range = g;
	w->state = TASK;
	open_copier(m, w);
}

static void get_keys(struct model *m)
{
	m->maybe_rereads = false;
	m->nkeys = 0;
	memset(m->again, 0, sizeof m->again);
	for (int k = 0; k < m->keys; k++)
		if ((m->key[k] = m->ledger[k] && (m->nkeys < 2 || one_in(m, 2))))
			m->nkeys++;
	m->maybe_rereads = m->nkeys > 0;
}

static void new_job(struct model *m, struct model_worker *w)
{
	struct model_range *g = w->range;

	if (g->reread && !m->nkeys)
		get_keys(m);
	bool still = !(m->config->promises & PROMISE_RECHECK) ||
		     w->generation == splice_generation(m->splice) ||
		     !(m->config->promises & PROMISE_REOPEN);

	if (!still || (g->reread && !m->nkeys)) {
		if (g->reread) {
			memset(m->key, 0, sizeof m->key);
			m->nkeys = 0;
		}
		g->reading = false;
		w->state = IDLE;
		return;
	}
	struct model_job *j = xcalloc(1, sizeof *j), **p = &g->jobs;

	*j = (struct model_job){ .load = m->counts->restarts, .range = g, .after = g->after, .last = -1 };
	j->window = window_open(m->splice, m->table);
	while (*p)
		p = &(*p)->next;
	*p = j;
	w->job = j;
	w->state = OPENING;
}

/* What is visible now; of MySQL, at times what was a while ago. */
static struct visibility *look(struct model *m)
{
	struct visibility *v = xcalloc(1, sizeof *v);

	for (int i = 0; i < m->ntxns; i++)
		v->seen[i] = m->txns[i].state >= TXN_VISIBLE;
	v->end = m->nlog;
	return v;
}

static bool settled(const struct model *m, const struct model_worker *w)
{
	for (int i = 0; i < w->horizon; i++)
		if (m->txns[i].state <= TXN_LOGGED)
			return false;
	return true;
}

static void take_snapshot(struct model *m, struct model_worker *w)
{
	if (table_locked(m, -1, false))
		return;
	w->locked = true;
	memcpy(w->rows, m->rows, sizeof w->rows);
	w->version = m->version;
	if (m->config->flavour == MYSQL)
		w->asked->end = m->nlog;
	else
		w->asked = look(m);
	w->state = SNAP;
}

static void let_go(struct model *m, struct model_worker *w)
{
	struct model_job *j = w->job;

	if (!j->dead)
		drop_job(m, j);
	free_job(m, j);
	free(w->asked);
	w->asked = NULL;
	w->job = NULL;
	w->locked = false;
	w->state = IDLE;
}

static void show(struct model *m, struct model_worker *w)
{
	if (window_sees(w->job->window, w->asked)) {
		w->state = SEEN;
	} else {
		m->counts->refused++;
		w->locked = false;
		w->state = OPENING;
	}
	w->asked = NULL;
}

static struct chunk *read_rows(struct model *m, struct model_worker *w)
{
	struct model_job *j = w->job;
	struct chunk *c = chunk_new(&m->tables[w->version]);

	j->version = w->version;
	j->end = true;
	for (int k = j->range->reread ? 0 : j->after + 1;
	     k <= (j->range->reread ? m->keys - 1 : j->range->upto); k++) {
		struct value values[3];

		if (!w->rows[k].there || (j->range->reread && !m->key[k]))
			continue;
		if (!j->range->reread && j->nrows == m->chunk_rows) {
			j->end = false;
			break;
		}
		to_values(k, &w->rows[k], false, values);
		chunk_add(c, values);
		j->keys[j->nrows] = k;
		j->rows[j->nrows++] = w->rows[k];
		j->last = k;
	}
	/* The source cannot always tell that the last row wanted was the last one there is. */
	if (!j->range->reread && j->nrows == m->chunk_rows)
		j->end = false;
	chunk_index(c);
	return c;
}

/* Those who read go on for a while. */
static void begin_again(struct model *m)
{
	drop_jobs(m);
	for (int i = 0; i < m->nworkers; i++)
		if (m->workers[i].state == TASK)
			m->workers[i].state = IDLE;
	splice_remove(m->splice, m->table);
	m->counts->restarts++;
	begin_load(m);
}

static void hand_over(struct model *m, struct model_worker *w)
{
	struct model_job *j = w->job;

	if (j->dead) {
		let_go(m, w);
		return;
	}
	struct chunk *c = read_rows(m, w);

	if (m->load_version >= 0 && m->load_version != w->version) {
		chunk_free(c);
		begin_again(m);
		let_go(m, w);
		return;
	}
	m->load_version = w->version;
	window_rows(j->window, c);
	j->read = true;
	j->range->reading = false;
	j->range->at_end = j->end && !j->range->reread;
	if (j->last >= 0 && !j->range->reread)
		j->range->after = j->last;
	w->job = NULL;
	w->locked = false;
	w->state = IDLE;
}

static void step_worker(struct model *m)
{
	struct model_worker *w = &m->workers[below(m, m->nworkers)];

	if (w->job && w->job->dead && one_in(m, 3)) {
		let_go(m, w);
		return;
	}
	switch (w->state) {
	case IDLE:
		pick_task(m, w);
		break;
	case TASK:
		new_job(m, w);
		break;
	case OPENING:
		if (!window_is_open(w->job->window) || m->wrong)
			break;
		if (m->config->flavour == MYSQL) {
			w->asked = look(m);
			w->state = ASKED;
		} else if (settled(m, w)) {
			take_snapshot(m, w);
		}
		break;
	case ASKED:
		take_snapshot(m, w);
		break;
	case SNAP:
		if (w->job->dead)
			let_go(m, w);
		else
			show(m, w);
		break;
	case SEEN:
		hand_over(m, w);
		break;
	}
}

/* --- the stream --- */

static void tell_boundary(struct model *m)
{
	snprintf(m->resume, sizeof m->resume, "%d", m->place);
	if (m->told)
		splice_boundary(m->splice, m->resume);
	m->boundary = true;
}

static void tell_begin(struct model *m)
{
	char gtid[16];
	struct change c = { .op = CHANGE_BEGIN,
			    .pos = { 1, 0, (uint64_t)m->place + 1, 1 },
			    .xid = (uint64_t)m->log[m->place] + 100 };

	snprintf(gtid, sizeof gtid, "%d", m->log[m->place]);
	if (m->config->flavour == MYSQL) {
		c.prefix = str_z(gtid);
		c.xid = 0;
	}
	m->boundary = false;
	if (m->told)
		splice_begin(m->splice, &c);
}

static void tell_change(struct model *m, const struct op *op)
{
	static const enum change_op ops[] = { [OP_INSERT] = CHANGE_INSERT,
					      [OP_UPDATE] = CHANGE_UPDATE,
					      [OP_DELETE] = CHANGE_DELETE,
					      [OP_TRUNCATE] = CHANGE_TRUNCATE,
					      [OP_OTHER] = CHANGE_INSERT };
	struct value before[3], after[3];
	struct change c = { .op = ops[op->kind],
			    .table = &m->tables[op->kind == OP_OTHER ? VERSIONS : op->version],
			    .pos = { 1, 0, (uint64_t)m->place + 1, (uint64_t)m->at + 2 } };

	to_values(op->key, &op->row, op->absent, after);
	to_values(op->old, &op->row, true, before);
	before[1].state = VALUE_ABSENT;
	if (op->kind != OP_DELETE && op->kind != OP_TRUNCATE)
		c.after = after;
	if (op->old >= 0)
		c.before = before;
	m->counts->moved += op->kind == OP_UPDATE && op->old >= 0;
	if (m->told)
		splice_change(m->splice, &c);
}

static void pass_commit(struct model *m)
{
	const struct txn *t = &m->txns[m->log[m->place]];

	for (int i = 0; i < t->nops; i++)
		apply(m->truth, m->keys, &t->ops[i]);
	memcpy(m->kept, m->copy, sizeof m->kept);
	m->kept_version = m->sink_version;
	keep_rereads(m);
	m->place++;
	m->at = -1;
	tell_boundary(m);
}

static void step_stream(struct model *m)
{
	uint64_t generation = splice_generation(m->splice);

	if (m->place == m->nlog)
		return;
	if (splice_full(m->splice)) {
		m->counts->full++;
		return;
	}
	const struct txn *t = &m->txns[m->log[m->place]];

	if (m->at < 0) {
		tell_begin(m);
		m->at = 0;
		return;
	}
	if (m->at == t->nops) {
		pass_commit(m);
		return;
	}
	const struct op *op = &t->ops[m->at++];

	if (op->kind == OP_ALTER)
		return;
	tell_change(m, op);
	apply(m->copy, m->keys, op);
	if (op->kind != OP_OTHER)
		sink_version(m, op->version);
	m->counts->generations += splice_generation(m->splice) != generation;
}

static bool emit(struct model *m, struct model_range *g)
{
	struct model_job *j = g->jobs;

	if (!j || !j->read)
		return false;
	if (window_spoiled(j->window)) {
		m->counts->spoiled++;
		drop_job(m, j);
		return false;
	}
	if (!window_ready(j->window))
		return false;
	const struct chunk *c = window_chunk(j->window);

	for (int i = 0; i < j->nrows; i++) {
		m->counts->dropped += c->rows[i].dropped;
		if (c->rows[i].dropped)
			continue;
		m->counts->emitted++;
		m->copy[j->keys[i]] = j->rows[i];
		sink_version(m, j->version);
	}
	memcpy(m->kept, m->copy, sizeof m->kept);
	m->kept_version = m->sink_version;
	g->jobs = j->next;
	g->done = j->end && !g->reread;
	window_close(j->window);
	free(j);
	if (!g->reread)
		return true;
	for (int k = 0; k < m->keys; k++) /* the ledger follows the spool */
		m->ledger[k] = m->ledger[k] && (!m->key[k] || m->again[k]);
	memset(m->key, 0, sizeof m->key);
	m->nkeys = 0;
	m->maybe_rereads = true;
	return true;
}

static void end_load(struct model *m)
{
	if (!ranges_done(m) || m->maybe_rereads || m->reread.jobs || m->reread.reading || m->nkeys)
		return;
	m->ended = true;
	for (int k = 0; k < m->keys; k++) {
		const struct row *is = &m->copy[k], *should = &m->truth[k];

		if (is->there != should->there)
			wrong(m, is->there ? "a row is left that was deleted" : "a row is missing");
		else if (is->there && (is->a != should->a || is->t != should->t))
			wrong(m, "a row is not the source's");
	}
}

/* Between transactions only. */
static void step_emit(struct model *m)
{
	if (!m->boundary || !m->loading)
		return;
	tell_boundary(m);
	if (m->config->promises & PROMISE_KEEP)
		keep_rereads(m);
	for (int i = 0; i < m->nranges; i++)
		if (emit(m, &m->ranges[i]))
			return;
	if (!emit(m, &m->reread))
		end_load(m);
}

/* The source is lost, or the process killed: what is unfinished comes again. */
static void step_lost(struct model *m)
{
	if (m->crashes == 0 || !one_in(m, 20))
		return;
	m->crashes--;
	m->counts->resets++;
	memcpy(m->copy, m->kept, sizeof m->copy);
	m->sink_version = m->kept_version;
	m->at = -1;
	m->boundary = true;
	m->told = true;
	if (one_in(m, 2)) {
		drop_jobs(m);
		splice_reset(m->splice);
		return;
	}
	leave_load(m);
	for (int i = 0; i < m->nworkers; i++)
		m->workers[i].open = false;
	splice_free(m->splice);
	m->splice = splice_new(&model_ops[m->config->flavour], m->set_bytes, m->earlier_most,
			       m->config->rules);
	if (m->loading)
		m->table = splice_add(m->splice, STR("public"), STR("t"));
	memset(m->key, 0, sizeof m->key);
	m->nkeys = 0;
	m->reread.reading = false;
	for (int i = 0; i < m->nranges; i++)
		m->ranges[i].reading = false;
	m->maybe_rereads = true;
}

/* Nobody listens to the stream while nothing is to be loaded. */
static void step_begin_load(struct model *m)
{
	if (m->loading || !one_in(m, 10))
		return;
	if (m->told && one_in(m, 2)) {
		m->told = false;
	} else if (m->told) {
		begin_load(m);
	} else {
		m->told = true;
		if (m->config->promises & PROMISE_RESET)
			splice_reset(m->splice);
	}
}

/* --- all of it --- */

static void begin_model(struct model *m)
{
	make_tables(m);
	m->random = m->config->seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	for (int i = 0; i < 4; i++)
		(void)model_random(m);
	m->keys = 3 + below(m, KEYS - 2);
	m->most_txns = 5 + below(m, TXNS - 4);
	m->ddl = one_in(m, 3) ? 6 : 40;
	m->chunk_rows = 1 + below(m, 4);
	m->nranges = 1 + below(m, m->keys < RANGES ? 1 : RANGES);
	m->nworkers = 1 + below(m, WORKERS);
	m->set_bytes = one_in(m, 3) ? 100 + (size_t)below(m, 200) : 1000000;
	m->earlier_most = one_in(m, 3) ? 1 + (size_t)below(m, 6) : 1000;
	m->crashes = below(m, 3);
	m->at = -1;
	for (int k = 0; k < m->keys; k++)
		if (one_in(m, 2))
			m->rows[k] = (struct row){ true, ++m->value, m->value };
	/* What was there before the stream began is in no log. */
	memcpy(m->truth, m->rows, sizeof m->truth);
	m->splice = splice_new(&model_ops[m->config->flavour], m->set_bytes, m->earlier_most,
			       m->config->rules);
	m->told = one_in(m, 2);
	asked_by = m->config;
	asked_of = m;
	tell_boundary(m);
}

static void end_model(struct model *m)
{
	if (m->loading)
		leave_load(m);
	splice_free(m->splice);
}

static void (*const model_steps[])(struct model *) = { step_change,     step_commit, step_visible,
						       step_stream,     step_worker, step_emit,
						       step_begin_load, step_lost };

static enum outcome model_run(const struct model_config *c, struct model_counts *counts,
			      const char **why)
{
	struct model m = { .config = c, .counts = counts };
	int weights[COUNT(model_steps)], sum = 0, steps = 0;

	begin_model(&m);
	for (size_t i = 0; i < COUNT(model_steps); i++)
		sum += weights[i] = 1 + below(&m, i == 4 || i == 3 ? 8 : 4);
	while (!m.ended && !m.wrong && steps++ < STEPS) {
		int at = below(&m, sum);
		size_t i = 0;

		while ((at -= weights[i]) >= 0)
			i++;
		model_steps[i](&m);
	}
	counts->steps += (uint64_t)steps;
	end_model(&m);
	*why = m.wrong ? m.wrong : m.ended ? "" : "the load does not end";
	return m.wrong ? MODEL_WRONG : m.ended ? MODEL_RIGHT : MODEL_STUCK;
}

#endif
