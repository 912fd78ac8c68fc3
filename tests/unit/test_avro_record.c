/*
 * test_avro_record.c - spool records: what a change becomes and what comes back; damage
 */
#include "avro_fixture.h"

static struct tables *tables;
static const struct table *table;
static struct avro_scratch scratch;
static struct buf out;
static struct error err;

static int setup(void **state)
{
	struct column c[] = { fixture_column("id", COL_INT64, 1), fixture_column("a", COL_TEXT, 0),
			      fixture_column("b", COL_DATE, 0) };
	struct table draft = fixture_draft("public", "t", c, 3);

	(void)state;
	tables = tables_new(&fixture_config);
	table = fixture_define(tables, &draft);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tables_free(tables);
	avro_scratch_free(&scratch);
	buf_free(&out);
	memset(&scratch, 0, sizeof scratch);
	return 0;
}

static struct value number(int64_t i)
{
	return (struct value){ .state = VALUE_SET, .i = i };
}

static struct value text(const char *s)
{
	return (struct value){ .state = VALUE_SET, .s = str_z(s) };
}

/* Written and read again; every shorter piece of it is an error. */
static struct event through(const struct change *c)
{
	struct event e;

	buf_clear(&out);
	spool_record_put(&out, c, &scratch);
	for (size_t n = 0; n < out.n; n++) {
		struct cursor part = cursor_of((struct str){ out.p, n });

		assert_int_equal(spool_record_get(&part, tables, &e, &err), -1);
		assert_int_equal(err.kind, ERR_FATAL);
	}
	struct cursor whole = cursor_of((struct str){ out.p, out.n });

	if (spool_record_get(&whole, tables, &e, &err) < 0)
		test_failed("%s\n", err.text);
	assert_ptr_equal(whole.p, whole.end);
	assert_int_equal(e.op, c->op);
	assert_int_equal(position_cmp(&e.pos, &c->pos), 0);
	assert_true(e.xid == c->xid);
	assert_true(e.commit_us == c->commit_us);
	assert_ptr_equal(e.table, c->table);
	return e;
}

static struct change change(enum change_op op)
{
	return (struct change){ .op = op,
				.table = table,
				.pos = { 1, 0, 0x16B3748, 7 },
				.xid = 4000000000,
				.commit_us = 1700000000000000 };
}

static void assert_str(struct str s, const char *bytes, size_t n)
{
	assert_non_null(s.p);
	assert_int_equal(s.n, n);
	assert_memory_equal(s.p, bytes, n);
}

static void insert(void **state)
{
	struct value row[] = { number(1), text("x"), { .state = VALUE_NULL } };
	struct change c = change(CHANGE_INSERT);

	(void)state;
	c.after = row;
	struct event e = through(&c);

	assert_str(e.key, "\2", 1);
	assert_str(e.after, "\2\2\2\2x\0", 6);
	assert_null(e.old_key.p);
	assert_null(e.before.p);
	assert_int_equal(e.absent.n + e.unrepresentable.n, 0);
	assert_null(e.resume.p);
	c.op = CHANGE_READ;
	c.pos.row = POSITION_BETWEEN + 5;
	e = through(&c);
	assert_int_equal(event_op(&e), 'r');
}

/* EDGE 1: unchanged TOAST without an old row. */
static void update_with_absent_column(void **state)
{
	struct value row[] = { number(1), { .state = VALUE_ABSENT }, number(3) };
	struct change c = change(CHANGE_UPDATE);

	(void)state;
	c.after = row;
	struct event e = through(&c);

	assert_str(e.after, "\2\2\0\2\6", 5);
	assert_str(e.absent, "\2", 1);
	assert_true(event_bit(e.absent, 1));
	assert_false(event_bit(e.absent, 0));
	assert_false(event_bit(e.absent, 100));
	assert_null(e.before.p);
	assert_null(e.old_key.p);
}

/* EDGE 5: the old key is there exactly when the key moved.  EDGE 4: an old key tuple alone says nothing. */
static void update_of_the_key(void **state)
{
	struct value before[] = { number(1), { .state = VALUE_ABSENT }, { .state = VALUE_ABSENT } };
	struct value after[] = { number(2), text("x"), number(3) };
	struct change c = change(CHANGE_UPDATE);

	(void)state;
	c.before = before;
	c.after = after;
	struct event e = through(&c);

	assert_str(e.key, "\4", 1);
	assert_str(e.old_key, "\2", 1);
	assert_str(e.before, "\2\2\0\0", 4);
	assert_str(e.absent_before, "\6", 1);
	assert_int_equal(e.absent.n, 0);
	after[0] = number(1);
	e = through(&c);
	assert_str(e.key, "\2", 1);
	assert_null(e.old_key.p);
	assert_non_null(e.before.p);
}

/* EDGE 11: of a deleted row only the key was in the log. */
static void delete (void **state)
{
	struct value before[] = { number(-1),
				  { .state = VALUE_ABSENT },
				  { .state = VALUE_ABSENT } };
	struct change c = change(CHANGE_DELETE);

	(void)state;
	c.before = before;
	struct event e = through(&c);

	assert_str(e.key, "\1", 1);
	assert_str(e.before, "\2\1\0\0", 4);
	assert_str(e.absent_before, "\6", 1);
	assert_null(e.after.p);
	assert_null(e.old_key.p);
}

/* EDGE 31: a value that the type cannot hold. */
static void unrepresentable(void **state)
{
	struct value before[] = { number(1),
				  text(""),
				  { .state = VALUE_UNREPRESENTABLE, .s = STR("-infinity") } };
	struct value after[] = { { .state = VALUE_UNREPRESENTABLE, .s = STR("?") },
				 text(""),
				 { .state = VALUE_UNREPRESENTABLE, .s = STR("infinity") } };
	struct change c = change(CHANGE_UPDATE);

	(void)state;
	c.before = before;
	c.after = after;
	struct event e = through(&c);

	assert_str(e.unrepresentable_before, "\2\2b\x12-infinity\0", 14);
	assert_str(e.unrepresentable, "\4\4id\2?\2b\x10infinity\0", 18);
	assert_null(e.key.p); /* what cannot be told is no key */
	assert_null(e.old_key.p);
}

static void without_a_row(void **state)
{
	static const enum change_op ops[] = { CHANGE_BEGIN,     CHANGE_ABORT, CHANGE_COMMIT,
					      CHANGE_HEARTBEAT, CHANGE_GAP,   CHANGE_MESSAGE };

	(void)state;
	for (size_t i = 0; i < COUNT(ops); i++) {
		struct change c = change(ops[i]);

		c.table = NULL;
		c.pos = (struct position){ 2147483647, 3, UINT64_MAX, UINT64_MAX };
		c.resume = STR("{\"lsn\":\"0/1\"}");
		c.prefix = STR("audit");
		c.content = STR("a\0b");
		struct event e = through(&c);
		bool ends = ops[i] == CHANGE_COMMIT || ops[i] == CHANGE_HEARTBEAT ||
			    ops[i] == CHANGE_GAP;

		assert_true(ends == (e.resume.p != NULL));
		bool texts = ops[i] == CHANGE_MESSAGE || ops[i] == CHANGE_BEGIN;

		assert_true(texts == (e.prefix.p != NULL));
		if (ends)
			assert_true(str_eq(e.resume, c.resume));
		if (texts)
			assert_true(str_eq(e.content, c.content) && str_eq(e.prefix, c.prefix));
	}
	struct change empty = change(CHANGE_MESSAGE);

	empty.table = NULL;
	assert_int_equal(through(&empty).content.n, 0);
	struct change truncate = change(CHANGE_TRUNCATE);

	assert_int_equal(event_op(&(struct event){ .op = through(&truncate).op }), 't');
}

static void schema_records(void **state)
{
	struct tables *others = tables_new(&fixture_config);
	struct change nothing = change(CHANGE_SCHEMA);
	struct position pos = { 1, 0, 5, 2 };
	struct event e;

	(void)state;
	spool_record_put(&out, &nothing, &scratch);
	assert_int_equal(out.n, 0);
	spool_record_put_schema(&out, table, &pos);
	struct cursor c = cursor_of((struct str){ out.p, out.n });

	assert_int_equal(spool_record_get(&c, tables, &e, &err), 0);
	assert_int_equal(e.op, CHANGE_SCHEMA);
	assert_ptr_equal(e.table, table);
	c = cursor_of((struct str){ out.p, out.n });
	assert_int_equal(spool_record_get(&c, others, &e, &err), 0);
	assert_ptr_equal(e.table, tables_by_id(others, table->id));
	assert_string_equal(e.table->schemas.row, table->schemas.row);
	tables_free(others);
}

static void unknown_table(void **state)
{
	struct tables *others = tables_new(&fixture_config);
	struct value row[] = { number(1), text("x"), number(2) };
	struct change c = change(CHANGE_INSERT);
	struct event e;

	(void)state;
	c.after = row;
	spool_record_put(&out, &c, &scratch);
	struct cursor cursor = cursor_of((struct str){ out.p, out.n });

	assert_int_equal(spool_record_get(&cursor, others, &e, &err), -1);
	assert_non_null(strstr(err.text, "1/0/16B3748/7"));
	tables_free(others);
}

/* A record with one field changed: kind, op, table, and which optional parts are there. */
static struct str record(int kind, int op, int id, const char *parts)
{
	buf_clear(&out);
	for (int i = 0; i < 4; i++)
		avro_put_long(&out, 1);
	avro_put_long(&out, kind);
	avro_put_long(&out, op);
	avro_put_long(&out, id);
	avro_put_long(&out, 0);
	avro_put_long(&out, 0);
	for (int i = 0; i < 11; i++) {
		bool map = i == 6 || i == 7;

		buf_addc(&out, parts[i] == '1' ? 2 : 0);
		if (parts[i] == '1')
			avro_put_bytes(&out, map ? STR("") : STR("x"));
	}
	return (struct str){ out.p, out.n };
}

static void incomplete_or_unknown(void **state)
{
	static const struct {
		int kind, op, id;
		const char *
			parts; /* key old before after absent absent_b unrep unrep_b resume prefix content */
		bool good;
	} records[] = {
		{ 0, 0, 0, "00000000000", true }, /* begin */
		{ 0, 1, 0, "00000000000", false },
		{ 1, 1, 1, "00010000000", true }, /* row c */
		{ 1, 1, 1, "00000000000", false },
		{ 1, 1, 0, "00010000000", false },
		{ 1, 1, 2, "00010000000", false },
		{ 1, 1, -1, "00010000000", false },
		{ 1, 0, 1, "00010000000", false },
		{ 1, 5, 1, "00010000000", false },
		{ 1, 3, 1, "00100000000", true }, /* row d */
		{ 1, 3, 1, "00000000000", false },
		{ 1, 3, 1, "00110000000", false },
		{ 2, 5, 1, "00000000000", true }, /* truncate */
		{ 2, 5, 0, "00000000000", false },
		{ 3, 0, 1, "00000000000", false }, /* schema */
		{ 3, 0, 1, "00000000001", false },
		{ 4, 6, 0, "00000000011", true }, /* message */
		{ 4, 6, 0, "00000000010", false },
		{ 5, 0, 0, "00000000000", false }, /* heartbeat */
		{ 6, 0, 0, "00000000100", true },
		{ 7, 0, 0, "00000000000", false },
		{ 8, 0, 0, "00000000000", true },
		{ 9, 0, 0, "00000000000", false },
		{ -1, 0, 0, "00000000000", false },
		{ 0, 7, 0, "00000000000", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(records); i++) {
		struct cursor c = cursor_of(
			record(records[i].kind, records[i].op, records[i].id, records[i].parts));
		struct event e;
		int got = spool_record_get(&c, tables, &e, &err);

		if ((got == 0) != records[i].good)
			test_failed("record %zu: %s\n", i, got ? err.text : "accepted");
	}
}

static void random_records(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct rng r = { 5 };

	(void)state;
	for (unsigned i = 1; i < 60; i++) {
		table = fixture_random_table(tables, &r, &arena, i);
		for (int k = 0; k < 6; k++) {
			struct change c = change(CHANGE_UPDATE);

			c.before = fixture_row(&r, &arena, table, k % 2);
			c.after = fixture_row(&r, &arena, table, k % 3);
			struct event e = through(&c);

			assert_true(e.before.p && e.after.p);
			for (size_t n = 0; n < table->ncolumns; n++) {
				assert_true(event_bit(e.absent, n) ==
					    (c.after[n].state == VALUE_ABSENT));
				assert_true(event_bit(e.absent_before, n) ==
					    (c.before[n].state == VALUE_ABSENT));
			}
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(insert),
		TEST(update_with_absent_column),
		TEST(update_of_the_key),
		TEST(delete),
		TEST(unrepresentable),
		TEST(without_a_row),
		TEST(schema_records),
		TEST(unknown_table),
		TEST(incomplete_or_unknown),
		TEST(random_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
