/*
 * test_sql_batch.c - changes put together one a key, against a source and a target that are simple maps
 *
 * Random transactions run against a source of a few keys; their events go through batches of random
 * length into a target.  Whenever a batch has been sent at a transaction's end, both must be equal.
 * With a deferrable key two rows share one key inside a transaction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail
#include "../../sinks/sql_batch.h"
#include "avro.h"

#define KEYS 8
#define ROWS 16

static struct column columns[] = {
	{ .name = { "id", 2 }, .type = COL_INT32, .key = 1 },
	{ .name = { "a", 1 }, .type = COL_INT32 },
	{ .name = { "b", 1 }, .type = COL_INT32 },
};
static uint16_t key_columns[] = { 0 };
static const struct table table = {
	.id = 1, .version = 1, .columns = columns, .ncolumns = 3, .nkey = 1, .key = key_columns
};

struct row {
	bool live;
	int64_t id, a, b;
};

struct world {
	struct row source[ROWS];
	struct row target[KEYS + 1]; /* by id */
	struct sql_batch batch;
	struct sql_batch_rules rules;
	struct arena arena;
	bool deferrable, moving, moved;
	unsigned seed;
	int64_t serial;
};

static unsigned dice(struct world *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

/* --- the target --- */

static bool same_row(const struct row *r, const struct value *v)
{
	return r->live && v[0].i == r->id && v[1].i == r->a && v[2].i == r->b;
}

static void put(struct world *w, const struct value *v)
{
	w->target[v[0].i] = (struct row){ true, v[0].i, v[1].i, v[2].i };
}

static void patch(struct row *r, const struct value *v)
{
	assert_true(r->live);
	if (v[1].state == VALUE_SET)
		r->a = v[1].i;
	if (v[2].state == VALUE_SET)
		r->b = v[2].i;
}

static void send(struct world *w)
{
	for (size_t i = 0; i < w->batch.nslots; i++) {
		const struct sql_slot *s = &w->batch.slots[i];
		const struct sql_item *item = &s->below;

		if (s->has_top || s->base == BASE_THERE)
			continue;
		struct row *r = &w->target[item->key[0].i];

		if (s->base == BASE_PATCHED)
			patch(r, item->after);
		else if (!w->moved || !item->before || same_row(r, item->before))
			r->live = false;
	}
	for (size_t i = 0; i < w->batch.nslots; i++) {
		const struct sql_slot *s = &w->batch.slots[i];

		if (!s->has_top)
			continue;
		if (s->fresh)
			assert_false(w->target[s->top.after[0].i].live);
		for (size_t j = 0; j < 3; j++)
			assert_int_equal(s->top.after[j].state, VALUE_SET);
		put(w, s->top.after);
	}
	sql_batch_clear(&w->batch);
	w->moved |= w->moving;
	w->moving = false;
}

/* What could not wait: straight at the target, which is up to date. */
static void apply_alone(struct world *w, const struct sql_change *c)
{
	struct row *old = &w->target[c->item.key[0].i];
	struct row r = *old;

	patch(&r, c->item.after);
	old->live = false;
	r.id = c->item.after[0].i;
	w->target[r.id] = r;
}

/* --- events --- */

static struct value integer(int64_t i)
{
	return (struct value){ .state = VALUE_SET, .i = i };
}

static const struct value *values_of(struct world *w, const struct row *r)
{
	struct value *v = arena_alloc(&w->arena, 3 * sizeof *v);

	v[0] = integer(r->id);
	v[1] = integer(r->a);
	v[2] = integer(r->b);
	return v;
}

static struct str image_of(struct world *w, const struct value *v, bool key)
{
	AUTO(buf) struct buf out = { 0 };
	struct avro_extra extra = { 0 };

	if (key)
		avro_put_key(&out, &table, v);
	else
		avro_put_row(&out, &table, v, &extra);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
	return arena_copy(&w->arena, (struct str){ out.p, out.n });
}

static void give(struct world *w, enum change_op op, const struct row *old, const struct row *new,
		 bool partial)
{
	struct event *e = arena_zalloc(&w->arena, sizeof *e);
	struct sql_change c = { .e = e, .partial = partial, .full_before = w->deferrable };

	e->op = op;
	e->table = &table;
	c.item.time = ++w->serial;
	if (old) {
		const struct value *before = values_of(w, old);

		e->before = image_of(w, before, false);
		e->key = image_of(w, before, true);
		c.item.key = before;
		c.item.before = w->deferrable ? before : NULL;
	}
	if (new) {
		struct value *after = arena_alloc(&w->arena, 3 * sizeof *after);
		struct str key;

		memcpy(after, values_of(w, new), 3 * sizeof *after);
		key = image_of(w, after, true);
		e->after = image_of(w, after, false);
		if (partial)
			after[2] = (struct value){ .state = VALUE_ABSENT };
		if (old && !str_eq(key, e->key))
			e->old_key = e->key;
		e->key = key;
		c.item.after = after;
	}
	w->moving |= e->old_key.p && w->deferrable;
	switch (sql_batch_add(&w->batch, &w->rules, &c)) {
	case SQL_AGAIN:
		w->moving |= w->deferrable;
		send(w);
		assert_int_equal(sql_batch_add(&w->batch, &w->rules, &c), SQL_ADDED);
		break;
	case SQL_ALONE:
		send(w);
		apply_alone(w, &c);
		break;
	case SQL_MISSING:
		assert_true(false);
		break;
	case SQL_ADDED:
		break;
	}
	if (dice(w, 12) == 0)
		send(w);
}

/* --- the source --- */

static struct row *some_row(struct world *w, bool live)
{
	size_t at = dice(w, ROWS);

	for (size_t i = 0; i < ROWS; i++, at = (at + 1) % ROWS)
		if (w->source[at].live == live)
			return &w->source[at];
	return NULL;
}

static bool is_taken(const struct world *w, int64_t id)
{
	for (size_t i = 0; i < ROWS; i++)
		if (w->source[i].live && w->source[i].id == id)
			return true;
	return false;
}

/* 0: every key is taken. */
static int64_t free_key(struct world *w)
{
	int64_t id = 1 + dice(w, KEYS);

	for (int i = 0; i < KEYS; i++, id = id % KEYS + 1)
		if (!is_taken(w, id))
			return id;
	return 0;
}

static void change(struct world *w)
{
	struct row *r = some_row(w, true), old;
	int64_t id = free_key(w);
	unsigned what = dice(w, 10);
	bool partial = !w->deferrable && dice(w, 3) == 0;

	if (!r || (what < 3 && id)) {
		if (!id || !(r = some_row(w, false)))
			return;
		*r = (struct row){ true, id, ++w->serial, ++w->serial };
		give(w, CHANGE_INSERT, NULL, r, false);
		return;
	}
	old = *r;
	if (what < 5) {
		r->live = false;
		give(w, CHANGE_DELETE, &old, NULL, false);
		return;
	}
	r->a = ++w->serial;
	if (!partial)
		r->b = ++w->serial;
	if (what >= 8 && id)
		r->id = id;
	give(w, CHANGE_UPDATE, &old, r, partial);
}

/* UPDATE t SET id = id % KEYS + 1: in any order, and every row moves onto another. */
static void rotate(struct world *w)
{
	size_t at = dice(w, ROWS);

	for (size_t i = 0; i < ROWS; i++, at = (at + 1) % ROWS) {
		struct row *r = &w->source[at], old = *r;

		if (!r->live)
			continue;
		r->id = r->id % KEYS + 1;
		give(w, CHANGE_UPDATE, &old, r, false);
	}
}

static void compare(struct world *w)
{
	for (int64_t id = 1; id <= KEYS; id++) {
		const struct row *r = NULL;

		for (size_t i = 0; i < ROWS; i++)
			if (w->source[i].live && w->source[i].id == id)
				r = &w->source[i];
		assert_int_equal(w->target[id].live, r != NULL);
		if (!r)
			continue;
		assert_int_equal(w->target[id].a, r->a);
		assert_int_equal(w->target[id].b, r->b);
	}
}

static void run(bool deferrable, unsigned seed)
{
	struct world w = { .deferrable = deferrable, .seed = seed };

	w.rules = (struct sql_batch_rules){ .table = &table, .plain = true, .arena = &w.arena };
	for (int transaction = 0; transaction < 200; transaction++) {
		if (deferrable && dice(&w, 3) == 0)
			rotate(&w);
		else
			for (unsigned n = dice(&w, 12); n > 0; n--)
				change(&w);
		if (dice(&w, 2))
			continue;
		send(&w);
		compare(&w);
		w.moved = false;
		arena_reset(&w.arena);
	}
	sql_batch_free(&w.batch);
	arena_free(&w.arena);
}

/* EDGE 5 */
static void test_keys_that_hold(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++)
		run(false, seed);
}

/* EDGE 6 */
static void test_deferrable_keys(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++)
		run(true, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_that_hold),
		cmocka_unit_test(test_deferrable_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
