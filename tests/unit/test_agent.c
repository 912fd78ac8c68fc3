/*
 * test_agent.c - reader, writer and delivery against a source and targets that fail at random
 *
 * The source is a log of numbered transactions; it breaks off inside transactions and refuses to
 * give what it was told to forget.  The targets lose connections before, in and after a commit.  The
 * agent is stopped and started on the same folders.  Whatever happens, each target ends with every row
 * once, in order, and the source was never told to forget what a target or the spool lacked.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "../../agent/agent.h"
#include "../../agent/snapshot.h"
#include "avro.h"
#include "log.h"

#define TRANSACTIONS 300
#define SINKS        2

static unsigned seed;
static int percent_fail; /* how often a call fails */
static pthread_mutex_t random_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned dice(unsigned n)
{
	pthread_mutex_lock(&random_lock);
	unsigned v = (unsigned)rand_r(&seed) % n;

	pthread_mutex_unlock(&random_lock);
	return v;
}

static bool unlucky(void)
{
	return dice(100) < (unsigned)percent_fail;
}

/* --- the log --- */

static uint64_t lsn_of(size_t tx)
{
	return 1000 + tx * 100;
}

static uint64_t rows_of(size_t tx)
{
	return tx % 97 == 50 ? 9000 : tx % 7; /* some are larger than a block, some empty */
}

struct fake_source {
	struct source base;
	struct tables *tables;
	const struct table *table;
	size_t tx;
	uint64_t row; /* next to give; 1: BEGIN */
	bool connected;
};
static uint64_t forgotten; /* resume LSN up to which the source has dropped its log */
static size_t available;   /* transactions in the log by now */

static struct str resume_at(struct arena *a, uint64_t lsn)
{
	return str_z(arena_printf(a, "{\"system\":\"7\",\"lsn\":%llu}", (unsigned long long)lsn));
}

static uint64_t lsn_in(const char *resume)
{
	return strtoull(strstr(resume, "\"lsn\":") + 6, NULL, 10);
}

static struct source *source_open(const struct config *c, struct tables *tables,
				  const char *instance, struct error *err)
{
	struct fake_source *s = xcalloc(1, sizeof *s);
	struct column columns[] = {
		{ .name = STR("id"), .type = COL_INT64, .key = 1, .native = STR("bigint") }
	};
	struct table draft = {
		.schema = STR("public"), .name = STR("t"), .columns = columns, .ncolumns = 1
	};

	(void)c, (void)instance;
	s->tables = tables;
	s->table = tables_define(tables, &draft, err);
	assert_non_null(s->table);
	return &s->base;
}

static int source_connect(struct source *base, const char *known, bool may_take, int timeout_ms,
			  struct source_start *out, struct error *err)
{
	(void)base, (void)known, (void)may_take, (void)timeout_ms;
	if (unlucky())
		return fail(err, ERR_RETRY, "no answer");
	uint64_t oldest = forgotten ? forgotten : 1000;
	char text[64];

	snprintf(text, sizeof text, "{\"system\":\"7\",\"lsn\":%llu}", (unsigned long long)oldest);
	out->oldest.pos = (struct position){ 1, 0, oldest - 1, POSITION_BETWEEN };
	out->oldest.resume = xstrdup(text);
	return 0;
}

static int source_resume_cmp(const char *a, const char *b)
{
	return lsn_in(a) < lsn_in(b) ? -1 : lsn_in(a) > lsn_in(b);
}

/* Another server's log is one of another "system". */
static bool source_same_log(const char *a, const char *b)
{
	const char *x = strstr(a, "\"system\":"), *y = strstr(b, "\"system\":");

	return x && y && strtoull(x + 10, NULL, 10) == strtoull(y + 10, NULL, 10);
}

static int source_start(struct source *base, const struct checkpoint *from, struct error *err)
{
	struct fake_source *s = (struct fake_source *)base;
	uint64_t lsn = lsn_in(from->resume);

	if (lsn < forgotten) {
		print_error("asked for %llu, forgotten up to %llu\n", (unsigned long long)lsn,
			    (unsigned long long)forgotten);
		abort();
	}
	(void)err;
	for (s->tx = 0; lsn_of(s->tx) < lsn; s->tx++)
		;
	s->row = 1;
	return 0;
}

static void give(struct fake_source *s, struct batch *b)
{
	uint64_t rows = rows_of(s->tx);
	struct position pos = { 1, 0, lsn_of(s->tx), s->row };
	enum change_op op = s->row == 1          ? CHANGE_BEGIN
			    : s->row == rows + 2 ? CHANGE_COMMIT
						 : CHANGE_INSERT;

	if (rows == 0) { /* nothing for us: the log moved */
		op = CHANGE_HEARTBEAT;
		pos = (struct position){ 1, 0, lsn_of(s->tx) + 49, POSITION_BETWEEN };
	}
	struct change *c = batch_add(b, op, op == CHANGE_INSERT ? s->table : NULL, pos);

	c->commit_us = wall_clock_us();
	if (op == CHANGE_INSERT) {
		struct value *v = batch_row(b, s->table);

		v[0] = (struct value){ .state = VALUE_SET,
				       .i = (int64_t)(pos.offset * 10000 + pos.row) };
		b->changes[b->nchanges - 1].after = v;
		s->row++;
	} else if (op == CHANGE_BEGIN) {
		s->row++;
	} else {
		b->changes[b->nchanges - 1].resume = resume_at(&b->arena, lsn_of(s->tx) + 50);
		s->tx++;
		s->row = 1;
	}
}

static int source_read(struct source *base, struct batch *b, int timeout_ms, struct error *err)
{
	struct fake_source *s = (struct fake_source *)base;

	if (dice(400) < (unsigned)percent_fail)
		return fail(err, ERR_RETRY, "connection lost");
	if (s->tx >= available) {
		usleep((unsigned)timeout_ms * 20);
		if (dice(3) == 0 && available < TRANSACTIONS)
			available++;
		return 0;
	}
	for (unsigned n = dice(500); n > 0 && s->tx < available; n--)
		give(s, b);
	return 0;
}

/* --- the targets --- */

struct target {
	int64_t *rows;
	size_t n, room;
	struct checkpoint checkpoint;
	int64_t fence;
	bool refuse; /* rows of this target's table are refused */
};
static struct target targets[SINKS];
static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;

struct fake_sink {
	struct sink base;
	struct target *target;
	struct arena arena;
	int64_t *pending;
	size_t n, room;
};

static void source_ack_check(const struct checkpoint *durable)
{
	pthread_mutex_lock(&target_lock);
	for (size_t i = 0; i < SINKS; i++) {
		uint64_t have =
			targets[i].checkpoint.resume ? lsn_in(targets[i].checkpoint.resume) : 1000;

		if (lsn_in(durable->resume) > have) {
			print_error("told to forget %s, target %zu is at %llu\n", durable->resume,
				    i, (unsigned long long)have);
			abort();
		}
	}
	pthread_mutex_unlock(&target_lock);
	if (lsn_in(durable->resume) > forgotten)
		forgotten = lsn_in(durable->resume);
}

static int source_ack(struct source *base, const struct checkpoint *durable, struct error *err)
{
	(void)base, (void)err;
	if (durable->resume)
		source_ack_check(durable);
	return 0;
}

static bool source_caught_up(const struct source *base)
{
	const struct fake_source *s = (const struct fake_source *)base;

	return s->tx >= TRANSACTIONS;
}

static bool source_server_stopping(const struct source *base)
{
	(void)base;
	return false;
}

static void source_extent(struct source *base, struct source_extent *out)
{
	(void)base;
	*out = (struct source_extent){ .retained_bytes = -1,
				       .lag_bytes = -1,
				       .seconds_until_lost = -1 };
}

static void source_disconnect(struct source *base)
{
	(void)base;
}

static void source_close(struct source *base)
{
	free(base);
}

static char *source_database(const struct source_config *c)
{
	(void)c;
	return xstrdup("d");
}

static const struct source_ops fake_source_ops = {
	.name = "fake",
	.connector = "postgresql",
	.database = source_database,
	.open = source_open,
	.connect = source_connect,
	.resume_cmp = source_resume_cmp,
	.same_log = source_same_log,
	.start = source_start,
	.read = source_read,
	.ack = source_ack,
	.caught_up = source_caught_up,
	.server_stopping = source_server_stopping,
	.extent = source_extent,
	.disconnect = source_disconnect,
	.close = source_close,
};
const struct source_type source_types[] = { { "fake", &fake_source_ops }, { NULL, NULL } };

static struct sink *sink_open(const struct sink_context *c, int64_t *fence, struct error *err)
{
	if (unlucky()) {
		fail(err, ERR_RETRY, "target does not answer");
		return NULL;
	}
	struct fake_sink *k = xcalloc(1, sizeof *k);

	k->target = &targets[c->index];
	pthread_mutex_lock(&target_lock);
	if (!c->fenced)
		*fence = ++k->target->fence;
	pthread_mutex_unlock(&target_lock);
	return &k->base;
}

static int sink_load(struct sink *base, struct checkpoint *out, struct error *err)
{
	struct fake_sink *k = (struct fake_sink *)base;

	if (unlucky())
		return fail(err, ERR_RETRY, "cannot load");
	pthread_mutex_lock(&target_lock);
	checkpoint_copy(out, &k->target->checkpoint);
	pthread_mutex_unlock(&target_lock);
	return 0;
}

static void push_row(int64_t **rows, size_t *n, size_t *room, int64_t v)
{
	if (*n == *room) {
		*room = *room ? *room * 2 : 1024;
		*rows = xrealloc(*rows, *room * sizeof **rows);
	}
	(*rows)[(*n)++] = v;
}

static int sink_write(struct sink *base, const struct event *e, size_t n, struct error *err)
{
	struct fake_sink *k = (struct fake_sink *)base;
	struct value v;

	if (dice(200) < (unsigned)percent_fail)
		return fail(err, ERR_RETRY, "write failed");
	for (size_t i = 0; i < n; i++) {
		if (e[i].op != CHANGE_INSERT)
			continue;
		if (k->target->refuse) {
			fail(err, ERR_REJECT, "no such column");
			err->item = i;
			return -1;
		}
		if (avro_get_row(e[i].after, e[i].table, e[i].absent, e[i].unrepresentable,
				 &k->arena, &v, err) < 0)
			return -1;
		push_row(&k->pending, &k->n, &k->room, v.i);
	}
	arena_reset(&k->arena);
	return 0;
}

static int sink_commit(struct sink *base, const struct checkpoint *upto, struct error *err)
{
	struct fake_sink *k = (struct fake_sink *)base;
	struct target *t = k->target;

	if (unlucky())
		return fail(err, ERR_RETRY, "commit failed");
	pthread_mutex_lock(&target_lock);
	for (size_t i = 0; i < k->n; i++)
		push_row(&t->rows, &t->n, &t->room, k->pending[i]);
	checkpoint_copy(&t->checkpoint, upto);
	pthread_mutex_unlock(&target_lock);
	k->n = 0;
	if (unlucky())
		return fail(err, ERR_RETRY, "commit's answer was lost");
	return 0;
}

static void sink_close(struct sink *base)
{
	struct fake_sink *k = (struct fake_sink *)base;

	free(k->pending);
	arena_free(&k->arena);
	free(k);
}

static const struct sink_ops fake_sink_ops = {
	.name = "fake",
	.open = sink_open,
	.load = sink_load,
	.write = sink_write,
	.commit = sink_commit,
	.close = sink_close,
};
static const struct sink_type fake_sink_type = { .name = "fake", .ops = &fake_sink_ops };

/* --- one life of the agent --- */

static char dir[64];

static struct config *make_config(void)
{
	static char every[] = "*";
	static char *patterns[] = { every };
	static struct sink_config sinks[SINKS];
	static struct config c;

	for (size_t i = 0; i < SINKS; i++)
		sinks[i] = (struct sink_config){
			.name = i ? (char[]){ "two" } : (char[]){ "one" },
			.type = &fake_sink_type,
			.tables = { patterns, 1 },
		};
	static char one[] = "one", two[] = "two", name[] = "t";

	sinks[0].name = one;
	sinks[1].name = two;
	c = (struct config){
		.pipeline = { .name = name,
			      .state_dir = dir,
			      .memory = 64 << 20,
			      .stop_timeout = 30000000 },
		.source = { .ack = ACK_SINK,
			    .on_error = ON_ERROR_STOP,
			    .retain_max = INT64_MAX,
			    .connect_timeout = 60000000 },
		.snapshot = { .mode = SNAPSHOT_NEVER },
		.spool = { .sync = 2000,
			   .sync_bytes = 1 << 20,
			   .segment = 100000,
			   .max_bytes = 1 << 30,
			   .compression_level = 1 },
		.sinks = sinks,
		.nsinks = SINKS,
	};
	return &c;
}

static void open_agent(struct agent *a, const struct config *c)
{
	static struct list lists[SINKS];
	struct error err;
	char spool[96];

	*a = (struct agent){ .config = c, .until_idle = true, .wake_fd = -1, .nsinks = SINKS };
	pthread_mutex_init(&a->lock, NULL);
	a->wake_fd = open("/dev/null", O_WRONLY);
	a->state = state_open(dir, &err);
	assert_non_null(a->state);
	for (size_t i = 0; i < SINKS; i++)
		lists[i] = c->sinks[i].tables;
	a->tables = tables_new(&(struct tables_config){ "t", "postgresql", "d", lists, SINKS });
	assert_int_equal(state_restore_tables(a->state, a->tables, &err), 0);
	a->stored_versions = (uint32_t)tables_count(a->tables);
	snprintf(spool, sizeof spool, "%s/spool", dir);
	a->spool = spool_open(spool, "t", &c->spool, 1 << 20, a->tables, &err);
	if (!a->spool)
		print_error("%s\n", err.text);
	assert_non_null(a->spool);
	a->sinks = xcalloc(SINKS, sizeof(struct deliver *));
	for (size_t i = 0; i < SINKS; i++)
		a->sinks[i] = deliver_new(a, i, &err);
}

/* Runs until drained, or is stopped after `ms`; returns whether it failed. */
static bool run_agent(int ms, char *text, size_t n)
{
	struct agent a;
	struct error err;

	open_agent(&a, make_config());
	for (size_t i = 0; i < SINKS; i++)
		deliver_start(a.sinks[i]);
	a.writer = writer_start(&a, 1 << 20);
	a.snapshot = snapshot_start(&a, &err);
	assert_non_null(a.snapshot);
	a.reader = reader_start(&a);
	for (int waited = 0; !a.stopping && (ms < 0 || waited < ms); waited++)
		usleep(1000);
	*text = '\0';
	for (size_t i = 0; i < SINKS && !*text; i++)
		deliver_has_stopped(a.sinks[i], text, n);
	agent_stop(&a);
	reader_join(a.reader);
	snapshot_join(a.snapshot);
	writer_stop(a.writer);
	spool_wake(a.spool);
	for (size_t i = 0; i < SINKS; i++)
		deliver_join(a.sinks[i]);
	spool_close(a.spool);
	state_close(a.state);
	tables_free(a.tables);
	for (size_t i = 0; i < WAIT_SLOTS; i++)
		free(a.waiting[i]);
	free(a.sinks);
	close(a.wake_fd);
	if (a.failed)
		print_error("%s\n", a.error.text);
	return a.failed;
}

static void check_target(const struct target *t)
{
	size_t at = 0;

	for (size_t tx = 0; tx < TRANSACTIONS; tx++)
		for (uint64_t r = 0; r < rows_of(tx); r++, at++) {
			assert_true(at < t->n);
			assert_int_equal(t->rows[at], lsn_of(tx) * 10000 + 2 + r);
		}
	assert_int_equal(at, t->n);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/tailrace-agent-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < SINKS; i++) {
		free(targets[i].rows);
		checkpoint_release(&targets[i].checkpoint);
		targets[i] = (struct target){ 0 };
	}
	forgotten = 0;
	available = 0;
	return 0;
}

static int teardown(void **state)
{
	AUTO(free) char *command = xasprintf("rm -rf '%s'", dir);

	(void)state;
	return system(command);
}

static void test_without_trouble(void **state)
{
	char text[256];

	(void)state;
	percent_fail = 0;
	seed = 1;
	assert_false(run_agent(-1, text, sizeof text));
	for (size_t i = 0; i < SINKS; i++)
		check_target(&targets[i]);
}

static void test_random_trouble(void **state)
{
	char text[256];

	for (unsigned round = 1; round <= 4; round++) {
		setup(state);
		percent_fail = 3;
		seed = round;
		for (int lives = 0; lives < 4; lives++)
			assert_false(run_agent((int)dice(120), text, sizeof text));
		percent_fail = 1;
		assert_false(run_agent(-1, text, sizeof text));
		for (size_t i = 0; i < SINKS; i++)
			check_target(&targets[i]);
		teardown(state);
	}
	setup(state);
}

/* A table that one target refuses stops there alone; nothing of it is forgotten; cured, it arrives. */
static void test_stopped_table_is_kept(void **state)
{
	char text[256];

	(void)state;
	percent_fail = 0;
	seed = 3;
	targets[0].refuse = true;
	assert_false(run_agent(-1, text, sizeof text));
	assert_non_null(strstr(text, "public.t"));
	assert_int_equal(targets[0].n, 0);
	assert_non_null(strstr(targets[0].checkpoint.stopped, "\"public.t\":\"1/0/"));
	check_target(&targets[1]);
	assert_true(forgotten <= lsn_of(1) + 50);
	targets[0].refuse = false;
	assert_false(run_agent(-1, text, sizeof text));
	assert_string_equal(text, "");
	check_target(&targets[0]);
	assert_null(targets[0].checkpoint.stopped);
	check_target(&targets[1]);
	assert_true(forgotten > lsn_of(TRANSACTIONS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_trouble, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_trouble, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_table_is_kept, setup, teardown),
	};

	log_setup(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "t");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
