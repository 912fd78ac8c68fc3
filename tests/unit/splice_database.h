/*
 * splice_database.h - the database of the model test of the splice, and what a read of it knows of its log
 *
 * One table of a few keys.  Transactions lock what they change, get into the log, and are visible
 * some time after that (synchronous replication).  Two flavours of what a read knows of the log:
 * PostgreSQL's (a set of transaction ids, which do not follow the log's order) and MySQL's (a set
 * that may be older than what the read sees).
 */
#ifndef SPLICE_DATABASE_H
#define SPLICE_DATABASE_H

#include <stdio.h>
#include <stdlib.h>

#include "../../agent/splice.h"

#define KEYS     10 /* at most */
#define TXNS     60
#define OPS      5
#define WORKERS  3
#define RANGES   3
#define VERSIONS 4
#define AHEAD    2
#define STEPS    60000

enum flavour { POSTGRES, MYSQL };

/* What the splice's caller promises; the tests leave one out. */
enum promise {
	PROMISE_REOPEN = 1,  /* copiers are opened anew when the generation has changed */
	PROMISE_RECHECK = 2, /* ... which is looked at again when the window is opened */
	PROMISE_KEEP =
		4, /* keys to read again are kept before rows are emitted, and before the end */
	PROMISE_RESET = 8, /* splice_reset() where the stream begins to be told */
	PROMISES = 15,
};

enum outcome { MODEL_RIGHT, MODEL_WRONG, MODEL_STUCK };

struct model_config {
	enum flavour flavour;
	unsigned rules, promises;
	uint64_t seed;
};

struct model_counts { /* what happened: a model in which nothing does proves nothing */
	uint64_t steps, emitted, dropped, spoiled, rereads, refused, full, resets, generations,
		moved, restarts, passed;
};

struct row {
	bool there;
	int64_t a, t; /* t: updates may leave it out */
};

enum op_kind { OP_INSERT, OP_UPDATE, OP_DELETE, OP_TRUNCATE, OP_ALTER, OP_OTHER };
struct op {
	enum op_kind kind;
	int key, old; /* old: -1, or the key before it */
	bool absent;
	struct row row;
	int version;
};

enum txn_state { TXN_ACTIVE, TXN_LOGGED, TXN_VISIBLE, TXN_ABORTED };
struct txn {
	enum txn_state state;
	struct op ops[OPS];
	int nops;
	bool touched[KEYS]; /* locks */
	struct row own[KEYS];
	bool shared, exclusive; /* locks of the table; the second is waited for, or had */
	bool ddl;
};

struct visibility {
	bool seen[TXNS];
	int end; /* of the log */
};

struct model_range;
struct model_job {
	struct model_job *next;
	uint64_t load; /* of a load that has begun again since: nobody's */
	struct model_range *range;
	struct window *window;
	bool read, dead, end;
	int after, last; /* -1 after: from the first; last -1: none */
	int nrows, keys[KEYS];
	struct row rows[KEYS];
	int version;
};

struct model_range {
	int after, upto; /* after < key <= upto */
	bool reread, reading, at_end, done;
	struct model_job *jobs;
};

enum worker_state { IDLE, TASK, OPENING, ASKED, SNAP, SEEN };
struct model_worker {
	enum worker_state state;
	bool open; /* its copier */
	uint64_t generation;
	int horizon;
	struct model_range *range;
	struct model_job *job;
	struct visibility *asked; /* what the read knows of the log */
	bool locked;
	struct row rows[KEYS]; /* as the read sees them */
	int version;
};

struct model {
	const struct model_config *config;
	uint64_t random;
	struct table tables[VERSIONS + 1];
	/* the database */
	struct txn txns[TXNS];
	int ntxns, most_txns, keys, version, ddl;
	int log[TXNS], nlog;
	struct row rows[KEYS]; /* that are visible */
	int64_t value;
	/* the stream */
	int place, at;          /* in the log; in the transaction: -1 before its BEGIN */
	struct row truth[KEYS]; /* at the last boundary */
	char resume[32];
	bool told, boundary;
	/* the sink */
	struct row copy[KEYS], kept[KEYS];
	int sink_version, kept_version;
	/* the load */
	struct splice *splice;
	struct splice_table *table;
	struct model_range ranges[RANGES], reread;
	int nranges, chunk_rows, nworkers, load_version;
	size_t set_bytes, earlier_most;
	bool ledger[KEYS], maybe_rereads;
	bool key[KEYS], again[KEYS];
	int nkeys;
	bool loading, ended;
	struct model_worker workers[WORKERS];
	int crashes;
	const char *wrong;
	struct model_counts *counts;
};

/* --- chance --- */

static uint64_t model_random(struct model *m)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return (m->random * UINT64_C(2685821657736338717)) >> 16;
}

static int below(struct model *m, int n)
{
	return (int)(model_random(m) % (uint64_t)n);
}

static bool one_in(struct model *m, int n)
{
	return below(m, n) == 0;
}

/* --- what the splice asks --- */

static int txn_of(const struct model_config *c, const struct change *begin)
{
	int n = 0;

	for (size_t i = 0; c->flavour == MYSQL && i < begin->prefix.n; i++)
		n = n * 10 + begin->prefix.p[i] - '0';
	return c->flavour == MYSQL ? n : (int)begin->xid - 100;
}

static const struct model_config *asked_by; /* ops have no argument: one model runs at a time */

static bool model_sees(const struct visibility *v, const struct change *begin)
{
	return v->seen[txn_of(asked_by, begin)];
}

static const struct model *asked_of;

static int resume_place(const char *resume)
{
	return (int)strtol(resume, NULL, 10);
}

static bool model_holds(const struct visibility *v, const char *resume)
{
	for (int i = 0, n = resume_place(resume); i < n; i++)
		if (!v->seen[asked_of->log[i]])
			return false;
	return true;
}

static bool model_reached(const struct visibility *v, const char *resume)
{
	return resume_place(resume) >= v->end;
}

static void model_visibility_free(struct visibility *v)
{
	free(v);
}

static const struct copier_ops model_ops[] = {
	[POSTGRES] = { .sees = model_sees,
		       .reached = model_reached,
		       .visibility_free = model_visibility_free },
	[MYSQL] = { .sees = model_sees,
		    .holds = model_holds,
		    .reached = model_reached,
		    .visibility_free = model_visibility_free },
};

/* --- the table --- */

static struct column model_columns[] = {
	{ .name = STR("id"), .type = COL_INT64, .key = 1 },
	{ .name = STR("a"), .type = COL_INT64 },
	{ .name = STR("t"), .type = COL_INT64 },
};
static uint16_t model_key[] = { 0 };

static void make_tables(struct model *m)
{
	for (int v = 0; v <= VERSIONS; v++)
		m->tables[v] = (struct table){ .id = (uint32_t)v + 1,
					       .schema = STR("public"),
					       .name = v < VERSIONS ? STR("t") : STR("other"),
					       .columns = model_columns,
					       .ncolumns = 3,
					       .nkey = 1,
					       .key = model_key };
}

static void to_values(int key, const struct row *row, bool absent, struct value out[3])
{
	out[0] = (struct value){ .state = VALUE_SET, .i = key * 1000 };
	out[1] = (struct value){ .state = VALUE_SET, .i = row->a };
	out[2] = (struct value){ .state = absent ? VALUE_ABSENT : VALUE_SET, .i = row->t };
}

/* --- transactions --- */

static bool table_locked(const struct model *m, int by, bool exclusive)
{
	for (int i = 0; i < m->ntxns; i++) {
		const struct txn *t = &m->txns[i];

		if (i != by && (t->state == TXN_ACTIVE || t->state == TXN_LOGGED) &&
		    (t->exclusive || (exclusive && t->shared)))
			return true;
	}
	for (int i = 0; exclusive && i < m->nworkers; i++)
		if (m->workers[i].locked)
			return true;
	return false;
}

static bool key_locked(const struct model *m, int by, int key)
{
	for (int i = 0; i < m->ntxns; i++)
		if (i != by && m->txns[i].state <= TXN_LOGGED && m->txns[i].touched[key])
			return true;
	return false;
}

static const struct row *sees_row(const struct model *m, const struct txn *t, int key)
{
	return t->touched[key] ? &t->own[key] : &m->rows[key];
}

static void touch(const struct model *m, struct txn *t, int key)
{
	if (!t->touched[key])
		t->own[key] = m->rows[key];
	t->touched[key] = t->shared = true;
}

static bool change_table(struct model *m, struct txn *t, struct op *op)
{
	int by = (int)(t - m->txns);

	if (!t->exclusive && table_locked(m, by, false))
		return false;
	t->exclusive = true; /* others wait behind it */
	if (table_locked(m, by, true))
		return false;
	t->ddl = false;
	op->kind = one_in(m, 2) && m->version + 1 < VERSIONS && !t->nops ? OP_ALTER : OP_TRUNCATE;
	for (int k = 0; op->kind == OP_TRUNCATE && k < m->keys; k++) {
		touch(m, t, k);
		t->own[k].there = false;
	}
	return true;
}

static bool move_row(struct model *m, struct txn *t, struct op *op)
{
	int to = below(m, m->keys);

	if (key_locked(m, (int)(t - m->txns), to) || sees_row(m, t, to)->there)
		return false;
	touch(m, t, to);
	op->old = op->key;
	op->key = to;
	t->own[to] = t->own[op->old];
	t->own[op->old].there = false;
	return true;
}

static bool change_row(struct model *m, struct txn *t, struct op *op)
{
	op->key = below(m, m->keys);
	op->old = -1;
	if (table_locked(m, (int)(t - m->txns), false) ||
	    key_locked(m, (int)(t - m->txns), op->key))
		return false;
	touch(m, t, op->key);
	struct row *row = &t->own[op->key];

	if (!row->there) {
		op->kind = OP_INSERT;
		*row = (struct row){ true, ++m->value, m->value };
	} else if (one_in(m, 4)) {
		op->kind = OP_DELETE;
		op->old = op->key;
		row->there = false;
	} else {
		op->kind = OP_UPDATE;
		if (one_in(m, 2) && !move_row(m, t, op))
			return false;
		row = &t->own[op->key];
		row->a = ++m->value;
		op->absent = one_in(m, 2);
		if (!op->absent)
			row->t = ++m->value;
	}
	op->row = *row;
	return true;
}

static void step_change(struct model *m)
{
	struct txn *t = m->ntxns ? &m->txns[below(m, m->ntxns)] : NULL;
	int active = 0;

	for (int i = 0; i < m->ntxns; i++)
		active += m->txns[i].state <= TXN_LOGGED;
	if (m->ntxns < m->most_txns && active < 4 && (!t || t->state != TXN_ACTIVE || one_in(m, 2)))
		(t = &m->txns[m->ntxns++])->ddl = one_in(m, m->ddl);
	if (!t || t->state != TXN_ACTIVE || t->nops == OPS)
		return;
	struct op op = { .old = -1 };
	bool done = true;

	if (one_in(m, 6))
		op.kind = OP_OTHER;
	else if (t->ddl)
		done = change_table(m, t, &op);
	else
		done = change_row(m, t, &op);
	op.version = m->version + (t->nops && t->ops[0].kind == OP_ALTER);
	if (done)
		t->ops[t->nops++] = op;
}

static void step_commit(struct model *m)
{
	struct txn *t = &m->txns[below(m, m->ntxns + 1)];

	if (t == &m->txns[m->ntxns] || t->state != TXN_ACTIVE)
		return;
	if (one_in(m, 10)) {
		t->state = TXN_ABORTED;
		return;
	}
	t->state = TXN_LOGGED;
	m->log[m->nlog++] = (int)(t - m->txns);
}

static void step_visible(struct model *m)
{
	struct txn *t = &m->txns[below(m, m->ntxns + 1)];

	if (t == &m->txns[m->ntxns] || t->state != TXN_LOGGED)
		return;
	t->state = TXN_VISIBLE;
	for (int k = 0; k < m->keys; k++)
		if (t->touched[k])
			m->rows[k] = t->own[k];
	if (t->nops && t->ops[0].kind == OP_ALTER)
		m->version++;
}

#endif
