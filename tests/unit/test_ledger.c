/*
 * test_ledger.c - what state.db knows of snapshots: tables, notes, keys to read again, requests
 */
#include "avro_fixture.h"

#include <sqlite3.h>
#include <unistd.h>

#include "../../agent/ledger.h"
#include "../../agent/block.h"
#include "spool.h"

static char dir[64];
static struct error err;
static struct state *s;

static void reopen(void)
{
	state_close(s);
	s = state_open(dir, &err);
	if (!s)
		test_failed("%s\n", err.text);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/tailrace-ledger-XXXXXX");
	assert_non_null(mkdtemp(dir));
	err = (struct error){ 0 };
	s = NULL;
	reopen();
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "state.db", "state.db-journal", "lock", "" };

	(void)state;
	state_close(s);
	for (size_t i = 0; i < COUNT(files); i++) {
		AUTO(free) char *path = xasprintf("%s/%s", dir, files[i]);

		(void)!remove(path);
	}
	return 0;
}

static void sql(const char *text)
{
	AUTO(free) char *path = xasprintf("%s/state.db", dir);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#define TEXT(literal) ((char[]){ literal })

/* The only table there is. */
static struct ledger_table only(void)
{
	struct ledger_table *all;
	size_t n;

	if (ledger_load(s, &all, &n, &err) < 0)
		test_failed("%s\n", err.text);
	assert_int_equal(n, 1);
	struct ledger_table t = all[0];

	free(all);
	return t;
}

static struct ledger_range two_ranges[] = {
	{ .id = 0, .upto = (char[]){ "(500)" } },
	{ .id = 1, .after = (char[]){ "(500)" } },
};

static struct ledger_table orders(void)
{
	static char schema[] = "public", name[] = "or'ders";

	return (struct ledger_table){
		.schema = schema,
		.name = name,
		.estimate = 1000,
		.asked_us = 11,
		.ranges = two_ranges,
		.nranges = COUNT(two_ranges),
	};
}

static void put_orders(void)
{
	struct ledger_table t = orders();

	assert_int_equal(ledger_put_table(s, &t, &err), 0);
}

static void apply(struct load_note n, uint64_t row)
{
	n.schema = STR("public");
	n.name = STR("or'ders");
	AUTO(free) char *json = load_note_format(&n);
	struct ledger_entry e = { str_z(json), { 1, 0, 0x100, row } };

	if (ledger_apply(s, &e, 1, &err) < 0)
		test_failed("%s\n", err.text);
}

static void tables(void **state)
{
	struct ledger_table *all, a = orders(), b = orders();
	size_t n;

	(void)state;
	assert_int_equal(ledger_load(s, &all, &n, &err), 0);
	assert_int_equal(n, 0);
	free(all);

	b.schema = TEXT("app");
	b.sink = TEXT("lake");
	b.where = TEXT("year >= 2024");
	b.reason = TEXT("asked");
	b.state = LOAD_PAUSED;
	b.by_name = true;
	b.rows = INT64_C(1) << 40;
	b.estimate = -1;
	b.begun_us = 12;
	b.ended_us = 13;
	b.position = (struct position){ 2, 3, UINT64_MAX, POSITION_BETWEEN + 5 };
	b.ranges = NULL;
	b.nranges = 0;
	assert_int_equal(ledger_put_table(s, &a, &err), 0);
	assert_int_equal(ledger_put_table(s, &b, &err), 0);
	reopen();
	assert_int_equal(ledger_load(s, &all, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(all[0].schema, "app");
	assert_string_equal(all[0].sink, "lake");
	assert_string_equal(all[0].where, "year >= 2024");
	assert_string_equal(all[0].reason, "asked");
	assert_int_equal(all[0].state, LOAD_PAUSED);
	assert_true(all[0].by_name);
	assert_int_equal(all[0].rows, INT64_C(1) << 40);
	assert_int_equal(all[0].estimate, -1);
	assert_int_equal(all[0].begun_us, 12);
	assert_int_equal(all[0].ended_us, 13);
	assert_int_equal(position_cmp(&all[0].position, &b.position), 0);
	assert_int_equal(all[0].nranges, 0);
	assert_string_equal(all[1].name, "or'ders");
	assert_null(all[1].sink);
	assert_null(all[1].where);
	assert_int_equal(all[1].state, LOAD_WAITING);
	assert_int_equal(all[1].nranges, 2);
	assert_null(all[1].ranges[0].after);
	assert_string_equal(all[1].ranges[0].upto, "(500)");
	assert_string_equal(all[1].ranges[1].after, "(500)");
	assert_null(all[1].ranges[1].upto);
	assert_int_equal(all[1].ranges[1].id, 1);
	ledger_tables_free(all, n);

	/* Another time: nothing is left of the first. */
	a.nranges = 1;
	assert_int_equal(ledger_put_table(s, &a, &err), 0);
	assert_int_equal(ledger_load(s, &all, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(all[1].nranges, 1);
	ledger_tables_free(all, n);
}

static void states(void **state)
{
	(void)state;
	put_orders();
	assert_int_equal(ledger_put_state(s, "public", "or'ders", LOAD_FAILED, "no key", &err), 0);
	struct ledger_table t = only();

	assert_int_equal(t.state, LOAD_FAILED);
	assert_string_equal(t.reason, "no key");
	assert_true(t.ended_us > 0);
	assert_int_equal(t.nranges, 2);
	ledger_table_release(&t);
	assert_int_equal(ledger_put_state(s, "public", "or'ders", LOAD_RUNNING, NULL, &err), 0);
	t = only();
	assert_int_equal(t.state, LOAD_RUNNING);
	assert_null(t.reason);
	assert_int_equal(t.ended_us, 0);
	ledger_table_release(&t);
	assert_int_equal(ledger_put_state(s, "public", "other", LOAD_PAUSED, NULL, &err), -1);
	assert_non_null(strstr(err.text, "public.other"));
}

static void notes_to_and_fro(void **state)
{
	const struct load_note notes[] = {
		{ .kind = NOTE_BEGIN, .schema = STR("public"), .name = STR("a\"b\\\xc3\xa4") },
		{ .kind = NOTE_ROWS,
		  .schema = STR(""),
		  .name = STR("x"),
		  .sink = STR("lake"),
		  .range = -1,
		  .rows = INT64_MAX,
		  .done = true },
		{ .kind = NOTE_ROWS,
		  .schema = STR("s"),
		  .name = STR("x"),
		  .range = 7,
		  .last = STR("(1,\"a\nb\")") },
		{ .kind = NOTE_ROWS,
		  .schema = STR("s"),
		  .name = STR("x"),
		  .range = 7,
		  .last = STR("\xff\x00\xfe") },
		{ .kind = NOTE_ROWS, .schema = STR("s"), .name = STR("x"), .last = STR("") },
		{ .kind = NOTE_END, .schema = STR("s"), .name = STR("x"), .given_up = true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(notes); i++) {
		AUTO(arena) struct arena arena = { 0 };
		AUTO(free) char *json = load_note_format(&notes[i]);
		const struct load_note *n = &notes[i];
		struct load_note back;

		assert_int_equal(load_note_parse(str_z(json), &arena, &back, &err), 0);
		assert_int_equal(back.kind, n->kind);
		assert_true(str_eq(back.schema, n->schema) && str_eq(back.name, n->name));
		assert_int_equal(!back.sink.p, !n->sink.p);
		assert_int_equal(!back.last.p, !n->last.p);
		assert_true(str_eq(back.sink, n->sink) && str_eq(back.last, n->last));
		assert_int_equal(back.range, n->range);
		assert_int_equal(back.rows, n->rows);
		assert_int_equal(back.done, n->done);
		assert_int_equal(back.given_up, n->given_up);
	}
}

static void notes_that_are_none(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"load\":\"begin\"}",
		"{\"load\":\"other\",\"schema\":\"a\",\"name\":\"b\"}",
		"{\"load\":\"begin\",\"schema\":\"a\",\"name\":1}",
		"{\"load\":\"rows\",\"schema\":\"a\",\"name\":\"b\"}",
		"{\"load\":\"rows\",\"schema\":\"a\",\"name\":\"b\",\"range\":1,\"rows\":\"1\"}",
		"{\"load\":\"rows\",\"schema\":\"a\",\"name\":\"b\",\"range\":1,\"rows\":1,"
		"\"last_hex\":\"0g\"}",
		"{\"load\":\"rows\",\"schema\":\"a\",\"name\":\"b\",\"range\":1,\"rows\":1,"
		"\"last_hex\":\"012\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		AUTO(arena) struct arena arena = { 0 };
		struct load_note n;
		struct ledger_entry e = { str_z(bad[i]), { 1, 0, 1, 1 } };

		err = (struct error){ 0 };
		assert_int_equal(load_note_parse(str_z(bad[i]), &arena, &n, &err), -1);
		assert_int_equal(err.kind, ERR_FATAL);
		assert_int_equal(ledger_apply(s, &e, 1, &err), -1);
	}
}

static void a_load(void **state)
{
	struct ledger_table t;

	(void)state;
	put_orders();
	apply((struct load_note){ .kind = NOTE_BEGIN }, POSITION_BETWEEN + 1);
	t = only();
	assert_int_equal(t.state, LOAD_RUNNING);
	assert_true(t.begun_us > 0);
	ledger_table_release(&t);
	apply((struct load_note){ NOTE_ROWS, .rows = 300, .last = STR("(300)") },
	      POSITION_BETWEEN + 10);
	/* Told again, as a start does with what the spool holds: nothing comes twice. */
	apply((struct load_note){ NOTE_ROWS, .rows = 300, .last = STR("(300)") },
	      POSITION_BETWEEN + 10);
	apply((struct load_note){ NOTE_ROWS, .rows = 100, .last = STR("(250)") },
	      POSITION_BETWEEN + 9);
	apply((struct load_note){ NOTE_ROWS, .range = 1, .rows = 20, .done = true },
	      POSITION_BETWEEN + 20);
	apply((struct load_note){ NOTE_ROWS, .range = -1, .rows = 1 }, POSITION_BETWEEN + 30);
	reopen();
	t = only();
	assert_int_equal(t.rows, 321);
	assert_string_equal(t.ranges[0].after, "(300)");
	assert_string_equal(t.ranges[0].upto, "(500)");
	assert_false(t.ranges[0].done);
	assert_string_equal(t.ranges[1].after, "(500)"); /* nothing was there */
	assert_true(t.ranges[1].done);
	assert_int_equal(t.position.row, POSITION_BETWEEN + 30);
	ledger_table_release(&t);
	apply((struct load_note){ .kind = NOTE_END }, POSITION_BETWEEN + 40);
	t = only();
	assert_int_equal(t.state, LOAD_DONE);
	assert_true(t.ended_us >= t.begun_us);
	ledger_table_release(&t);
}

/* A pause holds while chunks at hand arrive; an end that the ledger knows keeps its name. */
static void states_that_stay(void **state)
{
	struct ledger_table t;

	(void)state;
	put_orders();
	assert_int_equal(ledger_put_state(s, "public", "or'ders", LOAD_PAUSED, NULL, &err), 0);
	apply((struct load_note){ .kind = NOTE_BEGIN }, 1);
	apply((struct load_note){ NOTE_ROWS, .rows = 5, .last = STR("(5)") }, 2);
	t = only();
	assert_int_equal(t.state, LOAD_PAUSED);
	assert_int_equal(t.rows, 5);
	ledger_table_release(&t);
	assert_int_equal(ledger_put_state(s, "public", "or'ders", LOAD_CANCELLED, "asked", &err),
			 0);
	apply((struct load_note){ .kind = NOTE_END, .given_up = true }, 3);
	t = only();
	assert_int_equal(t.state, LOAD_CANCELLED);
	assert_string_equal(t.reason, "asked");
	ledger_table_release(&t);

	/* Begun anew: what is still told of the earlier load only moves the position. */
	put_orders();
	apply((struct load_note){ NOTE_ROWS, .rows = 5, .last = STR("(7)") }, 4);
	apply((struct load_note){ .kind = NOTE_END, .given_up = true }, 5);
	t = only();
	assert_int_equal(t.state, LOAD_WAITING);
	assert_int_equal(t.rows, 0);
	assert_null(t.ranges[0].after);
	assert_int_equal(t.position.row, 5);
	ledger_table_release(&t);
	apply((struct load_note){ .kind = NOTE_BEGIN }, 6);
	apply((struct load_note){ .kind = NOTE_END, .given_up = true }, 7);
	t = only();
	assert_int_equal(t.state, LOAD_FAILED);
	assert_non_null(t.reason);
	ledger_table_release(&t);
}

/* state.db was lost: what the spool tells starts the table anew, and rows without a BEGIN tell nothing. */
static void a_lost_ledger(void **state)
{
	struct ledger_table *all, t;
	size_t n;

	(void)state;
	apply((struct load_note){ NOTE_ROWS, .rows = 5, .last = STR("(5)") }, 1);
	assert_int_equal(ledger_load(s, &all, &n, &err), 0);
	assert_int_equal(n, 0);
	free(all);
	apply((struct load_note){ .kind = NOTE_BEGIN, .sink = STR("lake") }, 2);
	apply((struct load_note){ NOTE_ROWS, .rows = 5, .last = STR("(5)") }, 3);
	t = only();
	assert_int_equal(t.state, LOAD_RUNNING);
	assert_string_equal(t.sink, "lake");
	assert_int_equal(t.rows, 5);
	assert_int_equal(t.nranges, 0);
	assert_int_equal(t.estimate, -1);
	ledger_table_release(&t);
}

/* All notes of a call or none. */
static void one_transaction(void **state)
{
	(void)state;
	put_orders();
	struct load_note n = { .schema = STR("public"), .name = STR("or'ders") };
	AUTO(free) char *begin = load_note_format(&n);
	const struct ledger_entry e[] = {
		{ str_z(begin), { 1, 0, 1, 1 } },
		{ STR("{"), { 1, 0, 1, 2 } },
	};

	assert_int_equal(ledger_apply(s, e, COUNT(e), &err), -1);
	struct ledger_table t = only();

	assert_int_equal(t.state, LOAD_WAITING);
	ledger_table_release(&t);
	assert_int_equal(ledger_apply(s, e, 1, &err), 0);
	assert_int_equal(ledger_apply(s, NULL, 0, &err), 0);
}

static bool put_keys(const char *name, const struct str *keys, size_t n, const struct str *old)
{
	struct ledger_reread put[3];
	bool any;

	for (size_t i = 0; i < n; i++)
		put[i] = (struct ledger_reread){ keys[i], old ? *old : (struct str){ NULL, 0 } };
	assert_int_equal(ledger_put_rereads(s, STR("public"), str_z(name), put, n, &any, &err), 0);
	return any;
}

static void rereads(void **state)
{
	const struct str keys[] = { STR("\x02\x00"), STR(""), STR("\x02\x00z") };
	struct ledger_key *got;
	size_t n;

	(void)state;
	put_orders();
	put_keys("or'ders", keys, 3, NULL);
	put_keys("or'ders", keys, 1, NULL);
	put_keys("others", keys, 1, NULL);
	reopen();
	assert_int_equal(ledger_get_rereads(s, "public", "or'ders", 2, &got, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(str_eq(got[0].key, keys[0]));
	assert_int_equal(got[0].tries, 1);
	assert_int_equal(got[1].key.n, 0);
	assert_int_equal(got[1].tries, 0);
	struct ledger_table t = only();

	assert_int_equal(t.nrereads, 3);
	ledger_table_release(&t);
	/* One that is asked for again meanwhile stays. */
	put_keys("or'ders", keys, 1, NULL);
	assert_int_equal(ledger_drop_rereads(s, got, 2, &err), 0);
	free(got);
	assert_int_equal(ledger_get_rereads(s, "public", "or'ders", 9, &got, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(str_eq(got[0].key, keys[0]));
	assert_int_equal(got[0].tries, 2);
	assert_int_equal(ledger_drop_rereads(s, got, 1, &err), 0);
	free(got);
	/* A row that comes from a key that is not to be read again is whole. */
	const struct str moved = STR("moved");

	assert_false(put_keys("or'ders", &moved, 1, &keys[1]));
	assert_true(put_keys("or'ders", &moved, 1, &keys[2]));
	assert_int_equal(ledger_get_rereads(s, "public", "or'ders", 9, &got, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(str_eq(got[1].key, moved));
	assert_int_equal(ledger_drop_rereads(s, got + 1, 1, &err), 0);
	free(got);
	assert_int_equal(ledger_get_rereads(s, "public", "or'ders", 9, &got, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_true(str_eq(got[0].key, keys[2]));
	free(got);

	put_orders(); /* begun anew */
	assert_int_equal(ledger_get_rereads(s, "public", "or'ders", 9, &got, &n, &err), 0);
	assert_int_equal(n, 0);
	free(got);
	assert_int_equal(ledger_get_rereads(s, "public", "others", 9, &got, &n, &err), 0);
	assert_int_equal(n, 1);
	free(got);
}

static void requests(void **state)
{
	struct state *command = state_open_shared(dir, &err);
	struct load_request *got;
	size_t n;

	(void)state;
	assert_non_null(command);
	assert_true(ledger_asked(s)); /* nobody knows what was asked before */
	assert_false(ledger_asked(s));
	put_orders(); /* its own */
	assert_false(ledger_asked(s));
	struct load_request first = { 0, REQUEST_START, TEXT("public.*"), TEXT("a = 'b'"),
				      TEXT("lake") },
			    second = { .kind = REQUEST_CANCEL };

	assert_int_equal(ledger_put_request(command, &first, &err), 0);
	assert_true(ledger_asked(s));
	assert_false(ledger_asked(s));
	assert_int_equal(ledger_put_request(command, &second, &err), 0);
	assert_int_equal(ledger_get_requests(s, &got, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(got[0].id, first.id);
	assert_int_equal(got[1].id, second.id);
	assert_int_equal(got[0].kind, REQUEST_START);
	assert_string_equal(got[0].tables, "public.*");
	assert_string_equal(got[0].where, "a = 'b'");
	assert_string_equal(got[0].sink, "lake");
	assert_int_equal(got[1].kind, REQUEST_CANCEL);
	assert_null(got[1].tables);
	assert_null(got[1].where);
	assert_null(got[1].sink);
	assert_int_equal(ledger_drop_request(s, got[0].id, &err), 0);
	load_requests_free(got, n);
	assert_int_equal(ledger_get_requests(command, &got, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(got[0].kind, REQUEST_CANCEL);
	load_requests_free(got, n);
	state_close(command);
}

static void damage(void **state)
{
	struct ledger_table *all;
	struct load_request *requested;
	size_t n;

	(void)state;
	put_orders();
	sql("UPDATE load_table SET position = 'x'");
	assert_int_equal(ledger_load(s, &all, &n, &err), -1);
	assert_non_null(strstr(err.text, "position of public.or'ders"));
	assert_null(all);
	sql("UPDATE load_table SET position = '1/0/1/1', state = 'dancing'");
	assert_int_equal(ledger_load(s, &all, &n, &err), -1);
	assert_non_null(strstr(err.text, "state of public.or'ders"));
	sql("INSERT INTO load_request (kind) VALUES ('dance')");
	assert_int_equal(ledger_get_requests(s, &requested, &n, &err), -1);
	assert_non_null(strstr(err.text, "kind"));
	sql("DROP TABLE load_range");
	sql("UPDATE load_table SET state = 'done'");
	assert_int_equal(ledger_load(s, &all, &n, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
}

/* --- the spool is ahead of the ledger --- */

static const struct tables_config tables_config = { .pipeline = "t",
						    .connector = "postgresql",
						    .database = "d" };
static const struct spool_config spool_config = {
	.sync = 100000, .segment = 1000, .max_bytes = 1 << 20, .compression_level = 1
};

static void spool_note(struct spool *spool, struct load_note n, uint64_t lsn, uint64_t row)
{
	AUTO(free) char *json = load_note_format(&n);
	struct block_builder bb = { 0 };
	struct change c = { .op = CHANGE_BEGIN,
			    .pos = { 1, 0, lsn, POSITION_BETWEEN + row },
			    .content = str_z(json) };

	block_builder_add(&bb, &c);
	c = (struct change){ .op = CHANGE_COMMIT,
			     .pos = { 1, 0, lsn, POSITION_BETWEEN + row + 1 },
			     .resume = STR("{}") };
	block_builder_add(&bb, &c);
	if (spool_append(spool, block_seal(&bb), &err) < 0)
		test_failed("%s\n", err.text);
	block_builder_release(&bb);
}

static void catching_up(void **state)
{
	AUTO(free) char *path = xasprintf("%s/spool", dir);
	AUTO(free) char *clean = xasprintf("rm -r '%s'", path);
	struct tables *known = tables_new(&tables_config);
	struct spool *spool = spool_open(path, "t", &spool_config, 0, known, &err);
	struct load_note n = { .schema = STR("public"), .name = STR("or'ders") };

	(void)state;
	assert_non_null(spool);
	put_orders();
	assert_int_equal(ledger_catch_up(s, spool, &err), 0); /* nothing there yet */
	spool_note(spool, n, 100, 1);
	n.kind = NOTE_ROWS;
	n.rows = 10;
	n.last = STR("(10)");
	spool_note(spool, n, 100, 3);
	assert_int_equal(ledger_catch_up(s, spool, &err), 0);
	for (int i = 0; i < 600; i++) /* more than one transaction of state.db takes */
		spool_note(spool, n, 200, 3 + 2 * (uint64_t)i);
	assert_int_equal(ledger_catch_up(s, spool, &err), 0);
	assert_int_equal(ledger_catch_up(s, spool, &err), 0);
	struct ledger_table t = only();

	assert_int_equal(t.rows, 6010);
	assert_int_equal(t.state, LOAD_RUNNING);
	assert_int_equal(t.position.row, POSITION_BETWEEN + 3 + 2 * 599);
	ledger_table_release(&t);

	/* The ledger asks for more than retention has kept: what is there is taken up. */
	struct position upto = { 1, 0, 200, POSITION_BETWEEN + 900 };

	put_orders();
	assert_int_equal(spool_forget(spool, &upto, &err), 0);
	n.kind = NOTE_BEGIN;
	spool_note(spool, n, 300, 1);
	n.kind = NOTE_END;
	spool_note(spool, n, 300, 3);
	assert_int_equal(ledger_catch_up(s, spool, &err), 0);
	t = only();
	assert_int_equal(t.state, LOAD_DONE);
	assert_int_equal(t.rows, 0); /* those before the BEGIN are an earlier load's */
	ledger_table_release(&t);
	spool_note(spool, n, 300, 5);
	assert_int_equal(ledger_catch_up(s, spool, &err), 0); /* all have ended: not read */
	t = only();
	assert_int_equal(t.position.row, POSITION_BETWEEN + 3);
	ledger_table_release(&t);
	spool_close(spool);
	tables_free(known);
	assert_int_equal(system(clean), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tables),           TEST(states),
		TEST(notes_to_and_fro), TEST(notes_that_are_none),
		TEST(a_load),           TEST(states_that_stay),
		TEST(a_lost_ledger),    TEST(one_transaction),
		TEST(rereads),          TEST(requests),
		TEST(damage),           TEST(catching_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
