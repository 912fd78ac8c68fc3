/*
 * test_deliver.c - sinks' threads and snapshot chunks: who gets which, and what a sink is told about
 * tables that are being loaded
 *
 * Two sinks that write down what they get read a spool that the test writes itself.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "../../agent/agent.h"
#include "../../agent/block.h"
#include "../../agent/ledger.h"
#include "log.h"

enum { SINKS = 2 };

struct target {
	struct buf pending,
		text; /* "c1 r2+ ": operation, number, + while the table is being loaded */
	struct checkpoint checkpoint;
	int64_t refuse; /* the row with this number; 0: none */
	const struct loading *loading;
};

struct world {
	char dir[64];
	struct config config;
	struct sink_config sinks[SINKS];
	struct agent agent;
	const struct table *orders, *items;
	struct position last;
};

static struct target targets[SINKS];
static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;
static struct error err;

static void broken(const char *what)
{
	print_error("%s: %s\n", what, err.text);
	assert_true(false);
}

/* --- a sink that writes down what it gets --- */

struct noting_sink {
	struct sink base;
	struct target *target;
};

static struct sink *noting_open(const struct sink_context *c, int64_t *fence, struct error *e)
{
	struct noting_sink *k = xcalloc(1, sizeof *k);

	(void)e;
	*fence = 1;
	k->target = &targets[c->index];
	pthread_mutex_lock(&target_lock);
	k->target->loading = c->loading;
	buf_clear(&k->target->pending);
	pthread_mutex_unlock(&target_lock);
	return &k->base;
}

static int noting_load(struct sink *base, struct checkpoint *out, struct error *e)
{
	(void)e;
	pthread_mutex_lock(&target_lock);
	checkpoint_copy(out, &((struct noting_sink *)base)->target->checkpoint);
	pthread_mutex_unlock(&target_lock);
	return 0;
}

static int noting_write(struct sink *base, const struct event *e, size_t n, struct error *error)
{
	struct target *t = ((struct noting_sink *)base)->target;

	for (size_t i = 0; i < n; i++) {
		struct value v;
		AUTO(arena) struct arena arena = { 0 };

		if (!e[i].table)
			continue;
		if (avro_get_row(e[i].after, e[i].table, e[i].absent, e[i].unrepresentable, &arena,
				 &v, error) < 0)
			return -1;
		if (v.i == t->refuse) {
			fail(error, ERR_REJECT, "row %d is refused", (int)v.i);
			error->item = i;
			return -1;
		}
		buf_addf(&t->pending, "%c%d%s ", event_op(&e[i]), (int)v.i,
			 loading_has(t->loading, e[i].table) ? "+" : "");
	}
	return 0;
}

static int noting_commit(struct sink *base, const struct checkpoint *upto, struct error *e)
{
	struct target *t = ((struct noting_sink *)base)->target;

	(void)e;
	pthread_mutex_lock(&target_lock);
	buf_add(&t->text, t->pending.p, t->pending.n);
	buf_clear(&t->pending);
	checkpoint_copy(&t->checkpoint, upto);
	pthread_mutex_unlock(&target_lock);
	return 0;
}

static void noting_close(struct sink *base)
{
	free(base);
}

static const struct sink_ops noting_sink_ops = {
	.name = "noting",
	.open = noting_open,
	.load = noting_load,
	.write = noting_write,
	.commit = noting_commit,
	.close = noting_close,
};
static const struct sink_type noting_type = { .name = "noting", .ops = &noting_sink_ops };

/* --- one life of the sinks --- */

static const struct table *define(struct world *w, const char *name)
{
	struct column column = { .name = STR("id"),
				 .type = COL_INT64,
				 .key = 1,
				 .native = STR("bigint"),
				 .native_mod = -1 };
	struct table draft = {
		.schema = STR("public"), .name = str_z(name), .columns = &column, .ncolumns = 1
	};
	const struct table *t = tables_define(w->agent.tables, &draft, &err);

	if (!t)
		broken("define");
	return t;
}

static void start(struct world *w)
{
	static struct list lists[SINKS];
	struct agent *a = &w->agent;
	AUTO(free) char *spool = xasprintf("%s/spool", w->dir);
	struct checkpoint begin = { .pos = { .epoch = 1 }, .resume = (char[]){ "{}" } };

	*a = (struct agent){ .config = &w->config, .wake_fd = -1, .nsinks = SINKS };
	pthread_mutex_init(&a->lock, NULL);
	a->wake_fd = open("/dev/null", O_WRONLY);
	for (size_t i = 0; i < SINKS; i++)
		lists[i] = w->sinks[i].tables;
	a->tables = tables_new(&(struct tables_config){ "t", "postgresql", "d", lists, SINKS });
	w->orders = define(w, "orders");
	w->items = define(w, "items");
	a->state = state_open(w->dir, &err);
	a->spool = spool_open(spool, "t", &w->config.spool, 1 << 20, a->tables, &err);
	if (!a->state || !a->spool)
		broken("open");
	a->sinks = xcalloc(SINKS, sizeof(struct deliver *));
	for (size_t i = 0; i < SINKS; i++) {
		a->sinks[i] = deliver_new(a, i, &err);
		deliver_start(a->sinks[i]);
		if (deliver_begin(a->sinks[i], &begin, &err) < 0)
			broken("begin");
	}
}

/* Everything written so far is committed by both, then they end. */
static void stop(struct world *w)
{
	struct agent *a = &w->agent;
	bool drained = false;

	a->drain_position = w->last;
	a->draining = true;
	spool_wake(a->spool);
	for (int i = 0; i < 20000 && !drained && !a->failed; i++) {
		drained = true;
		for (size_t k = 0; k < SINKS; k++)
			drained = drained && deliver_drained(a->sinks[k]);
		usleep(1000);
	}
	if (a->failed)
		err = a->error;
	if (!drained)
		broken("not drained");
	agent_stop(a);
	spool_wake(a->spool);
	for (size_t i = 0; i < SINKS; i++)
		deliver_join(a->sinks[i]);
	free(a->sinks);
	spool_close(a->spool);
	state_close(a->state);
	tables_free(a->tables);
	for (size_t i = 0; i < WAIT_SLOTS; i++)
		free(a->waiting[i]);
	close(a->wake_fd);
	pthread_mutex_destroy(&a->lock);
}

static int setup(void **state)
{
	static char every[] = "*", *patterns[] = { every }, one[] = "one", two[] = "two",
		    name[] = "t";
	struct world *w = xcalloc(1, sizeof *w);

	snprintf(w->dir, sizeof w->dir, "/tmp/tailrace-deliver-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (size_t i = 0; i < SINKS; i++)
		w->sinks[i] = (struct sink_config){ .name = i ? two : one,
						    .type = &noting_type,
						    .tables = { patterns, 1 } };
	w->config = (struct config){
		.pipeline = { .name = name, .state_dir = w->dir },
		.source = { .on_error = ON_ERROR_STOP },
		.spool = { .sync = 100000,
			   .segment = 1 << 20,
			   .max_bytes = 1 << 30,
			   .compression_level = 1 },
		.sinks = w->sinks,
		.nsinks = SINKS,
	};
	w->last = (struct position){ .epoch = 1 };
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	AUTO(free) char *command = xasprintf("rm -rf '%s'", w->dir);
	int rc = system(command);

	for (size_t i = 0; i < SINKS; i++) {
		buf_free(&targets[i].pending);
		buf_free(&targets[i].text);
		checkpoint_release(&targets[i].checkpoint);
		targets[i] = (struct target){ 0 };
	}
	free(w);
	return rc;
}

/* --- writing the spool --- */

static void put(struct world *w, struct block_builder *bb, enum change_op op, const struct table *t,
		int64_t id, struct str note)
{
	struct value v = { .state = VALUE_SET, .i = id };
	struct change c = { .op = op,
			    .table = t,
			    .pos = w->last,
			    .commit_us = 1,
			    .after = t ? &v : NULL,
			    .content = note };

	if (op == CHANGE_COMMIT)
		c.resume = STR("{\"at\":1}");
	c.pos.row = ++w->last.row;
	block_builder_add(bb, &c);
}

static void seal(struct world *w, struct block_builder *bb)
{
	if (spool_append(w->agent.spool, block_seal(bb), &err) < 0)
		broken("append");
}

static const struct str no_note = { NULL, 0 };

static void put_transaction(struct world *w, struct block_builder *bb, const struct table *t,
			    int64_t id)
{
	w->last.offset += 0x100;
	w->last.row = 0;
	put(w, bb, CHANGE_BEGIN, NULL, 0, no_note);
	put(w, bb, CHANGE_INSERT, t, id, no_note);
	put(w, bb, CHANGE_COMMIT, NULL, 0, no_note);
}

/* A chunk of one row, or of none: id 0. */
static void put_chunk(struct world *w, struct block_builder *bb, enum note_kind kind,
		      const struct table *t, const char *sink, int64_t id)
{
	struct load_note n = {
		.kind = kind, .schema = t->schema, .name = t->name, .sink = str_z(sink)
	};
	AUTO(free) char *note = load_note_format(&n);

	if (w->last.row < POSITION_BETWEEN)
		w->last.row = POSITION_BETWEEN;
	put(w, bb, CHANGE_BEGIN, NULL, 0, str_z(note));
	if (id)
		put(w, bb, CHANGE_READ, t, id, no_note);
	put(w, bb, CHANGE_COMMIT, NULL, 0, no_note);
}

static void transaction(struct world *w, const struct table *t, int64_t id)
{
	struct block_builder bb = { 0 };

	put_transaction(w, &bb, t, id);
	seal(w, &bb);
	block_builder_release(&bb);
}

static void chunk(struct world *w, enum note_kind kind, const struct table *t, const char *sink,
		  int64_t id)
{
	struct block_builder bb = { 0 };

	put_chunk(w, &bb, kind, t, sink, id);
	seal(w, &bb);
	block_builder_release(&bb);
}

static void assert_got(size_t sink, const char *want, const char *snapshot)
{
	const struct target *t = &targets[sink];
	const char *listed = t->checkpoint.snapshot;

	assert_string_equal(buf_z(&targets[sink].text), want);
	if (snapshot)
		assert_string_equal(listed ? listed : "none", snapshot);
	else
		assert_null(listed);
}

/* --- tests --- */

static void test_a_load(void **state)
{
	struct world *w = *state;

	transaction(w, w->orders, 1);
	chunk(w, NOTE_BEGIN, w->orders, NULL, 0);
	transaction(w, w->orders, 2);
	transaction(w, w->items, 3);
	chunk(w, NOTE_ROWS, w->orders, NULL, 4);
	stop(w);
	assert_got(0, "c1 c2+ c3 r4+ ", "[\"public.orders\"]");
	assert_got(1, "c1 c2+ c3 r4+ ", "[\"public.orders\"]");

	/* Another process goes on from the checkpoint. */
	start(w);
	transaction(w, w->orders, 5);
	chunk(w, NOTE_BEGIN, w->items, NULL, 0);
	chunk(w, NOTE_END, w->orders, NULL, 0);
	transaction(w, w->orders, 6);
	stop(w);
	assert_got(0, "c1 c2+ c3 r4+ c5+ c6 ", "[\"public.items\"]");
	start(w);
	struct loading listed = { 0 };

	for (size_t i = 0; i < SINKS; i++) {
		struct deliver_view v = { 0 };

		for (int tries = 0; !v.loaded && tries < 20000; tries++) {
			checkpoint_release(&v.floor);
			deliver_view(w->agent.sinks[i], &v);
			usleep(1000);
		}
		checkpoint_release(&v.floor);
		deliver_loading(w->agent.sinks[i], &listed);
	}
	assert_int_equal(listed.n, 1);
	assert_string_equal(listed.names[0], "public.items");
	loading_release(&listed);
	chunk(w, NOTE_END, w->items, NULL, 0);
	stop(w);
	assert_got(0, "c1 c2+ c3 r4+ c5+ c6 ", NULL);
	assert_int_equal(position_cmp(&targets[0].checkpoint.pos, &w->last), 0);
}

/* All of it in one block: each event comes under the notes before it, not under those behind. */
static void test_notes_within_a_block(void **state)
{
	struct world *w = *state;
	struct block_builder bb = { 0 };

	put_transaction(w, &bb, w->orders, 1);
	put_chunk(w, &bb, NOTE_BEGIN, w->orders, NULL, 0);
	put_transaction(w, &bb, w->orders, 2);
	put_chunk(w, &bb, NOTE_ROWS, w->orders, NULL, 3);
	put_chunk(w, &bb, NOTE_END, w->orders, NULL, 0);
	put_transaction(w, &bb, w->orders, 4);
	put_chunk(w, &bb, NOTE_BEGIN, w->items, NULL, 0);
	seal(w, &bb);
	block_builder_release(&bb);
	stop(w);
	assert_got(0, "c1 c2+ r3+ c4 ", "[\"public.items\"]");
}

/* What is loaded for one sink is nothing to the other, which passes it all the same. */
static void test_for_one_sink(void **state)
{
	struct world *w = *state;
	struct block_builder bb = { 0 };

	put_transaction(w, &bb, w->orders, 1);
	put_chunk(w, &bb, NOTE_BEGIN, w->orders, "two", 0);
	put_chunk(w, &bb, NOTE_ROWS, w->orders, "two", 2);
	put_transaction(w, &bb, w->orders, 3);
	put_chunk(w, &bb, NOTE_ROWS, w->orders, "two", 4);
	seal(w, &bb);
	block_builder_release(&bb);
	chunk(w, NOTE_ROWS, w->orders, "two", 5);
	struct position chunk_end = w->last;

	stop(w);
	assert_got(0, "c1 c3 ", NULL);
	assert_got(1, "c1 r2+ c3+ r4+ r5+ ", "[\"public.orders\"]");
	assert_int_equal(position_cmp(&targets[0].checkpoint.pos, &chunk_end), 0);
	start(w);
	chunk(w, NOTE_END, w->orders, "two", 0);
	transaction(w, w->orders, 6);
	stop(w);
	assert_got(0, "c1 c3 c6 ", NULL);
	assert_got(1, "c1 r2+ c3+ r4+ r5+ c6 ", NULL);
}

/* A chunk over several blocks that is another's. */
static void test_a_long_one_for_another(void **state)
{
	struct world *w = *state;
	struct block_builder bb = { 0 };
	struct load_note n = { .kind = NOTE_ROWS,
			       .schema = w->orders->schema,
			       .name = w->orders->name,
			       .sink = STR("two"),
			       .rows = 2 };
	AUTO(free) char *note = load_note_format(&n);

	transaction(w, w->orders, 1);
	w->last.row = POSITION_BETWEEN;
	put(w, &bb, CHANGE_BEGIN, NULL, 0, str_z(note));
	put(w, &bb, CHANGE_READ, w->orders, 2, no_note);
	seal(w, &bb);
	put(w, &bb, CHANGE_READ, w->orders, 3, no_note);
	seal(w, &bb);
	put(w, &bb, CHANGE_COMMIT, NULL, 0, no_note);
	put_transaction(w, &bb, w->orders, 4);
	seal(w, &bb);
	block_builder_release(&bb);
	stop(w);
	assert_got(0, "c1 c4 ", NULL);
	assert_got(1, "c1 r2 r3 c4 ", NULL);
}

static void test_mode_never(void **state)
{
	struct world *w = *state;

	stop(w);
	w->config.snapshot.mode = SNAPSHOT_NEVER;
	start(w);
	transaction(w, w->orders, 1);
	stop(w);
	assert_got(0, "c1+ ", NULL);
}

/*
 * A table that stopped in the middle of its load: what it missed comes under the notes as they stood,
 * in the same process and in the next one.
 */
static void test_cured_under_the_notes_of_then(void **state)
{
	struct world *w = *state;

	targets[0].refuse = 2;
	chunk(w, NOTE_BEGIN, w->orders, NULL, 0);
	chunk(w, NOTE_ROWS, w->orders, NULL, 1);
	transaction(w, w->orders, 2);
	transaction(w, w->items, 3);
	chunk(w, NOTE_ROWS, w->orders, NULL, 4);
	chunk(w, NOTE_ROWS, w->orders, "two", 5);
	chunk(w, NOTE_END, w->orders, NULL, 0);
	transaction(w, w->orders, 6);
	stop(w);
	assert_got(0, "r1+ c3 ", NULL);
	assert_non_null(targets[0].checkpoint.stopped);
	targets[0].refuse = 0;
	start(w);
	stop(w);
	assert_got(0, "r1+ c3 c2+ r4+ c6 ", NULL);
	assert_null(targets[0].checkpoint.stopped);
	assert_got(1, "r1+ c2+ c3 r4+ r5+ c6 ", NULL);
}

static void test_cured_before_the_load(void **state)
{
	struct world *w = *state;

	targets[0].refuse = 1;
	transaction(w, w->orders, 1);
	transaction(w, w->orders, 2);
	chunk(w, NOTE_BEGIN, w->orders, NULL, 0);
	transaction(w, w->orders, 3);
	stop(w);
	assert_got(0, "", "[\"public.orders\"]");
	targets[0].refuse = 0;
	start(w);
	stop(w);
	assert_got(0, "c1 c2 c3+ ", "[\"public.orders\"]");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_load),
		TEST(test_notes_within_a_block),
		TEST(test_for_one_sink),
		TEST(test_a_long_one_for_another),
		TEST(test_mode_never),
		TEST(test_cured_under_the_notes_of_then),
		TEST(test_cured_before_the_load),
	};

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "t");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
