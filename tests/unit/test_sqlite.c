/*
 * test_sqlite.c - the sqlite sink on a real file: events as the spool gives them, rows as another
 * connection reads them
 */
#include <math.h>

#include "sqlite_fixture.h"

static void test_upserts_and_deletes(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));
	put_read(&f->h, t, V_INT(2), V_TEXT("two"), V_NULL);
	put_insert(&f->h, t, V_INT(2), V_TEXT("again"), V_INT(20));
	put_update(&f->h, t, NULL, V_INT(3), V_TEXT("new here"), V_INT(30));
	put_delete(&f->h, t, V_INT(1), V_ABSENT,
		   V_ABSENT); /* EDGE 11: the old row is its key only */
	put_delete(&f->h, t, V_INT(99), V_ABSENT, V_ABSENT);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "2|again|20;3|new here|30");
	assert_query(f, "SELECT name, type, pk FROM pragma_table_info('orders')",
		     "id|INTEGER|1;note|TEXT|0;amount|INTEGER|0");
	assert_query(f,
		     "SELECT pipeline, sink, fence, position, resume, snapshot, stopped, "
		     "length(updated_at) FROM tailrace_checkpoint",
		     "erp|copy|1|1/0/1100/8|{\"lsn\":\"0/16B3798\"}|null|null|32");
	assert_query(f, "PRAGMA journal_mode", "wal");
}

/* EDGE 25, 26, 38: what the table version lists is what is written, as text where it is text. */
static void test_every_type(void **state)
{
	struct fixture *f = *state;
	const struct table *t =
		TABLE(&f->h, "public", "t", 'd', C_KEY("id", COL_UUID, 1), C("b", COL_BOOL),
		      C("i", COL_INT32), C("l", COL_INT64), C("u", COL_UINT64), C("f", COL_FLOAT),
		      C("d", COL_DOUBLE),
		      ((struct column){
			      .name = STR("n"), .type = COL_DECIMAL, .precision = 12, .scale = 3 }),
		      C("t", COL_TEXT), C("y", COL_BYTES), C("dt", COL_DATE), C("tm", COL_TIME),
		      C("ts", COL_TIMESTAMP), C("tz", COL_TIMESTAMPTZ), C("j", COL_JSON));

	put_begin(&f->h);
	put_insert(&f->h, t, V_TEXT("0b1b3d0a-0000-4000-8000-000000000001"), V_BOOL(true),
		   V_INT(-32768), V_INT(INT64_MIN), V_UINT(UINT64_MAX), V_REAL(0.1f), V_REAL(0.1),
		   v_decimal(&f->h, "-1234.5", 12, 3), V_TEXT("a\xc3\xa4 "), V_TEXT("\x01\xff"),
		   V_INT(-1), V_INT(INT64_C(86399999999)), V_INT(-1),
		   V_INT(INT64_C(253402300799999999)), V_TEXT("{\"a\": 1e400}"));
	put_insert(&f->h, t, V_TEXT("0b1b3d0a-0000-4000-8000-000000000002"), V_BOOL(false), V_NULL,
		   V_NULL, V_UINT(0), V_REAL(NAN), V_REAL(-INFINITY),
		   v_decimal(&f->h, "0.001", 12, 3), V_TEXT(""), V_TEXT(""), V_INT(-719162),
		   V_INT(0), V_INT(0), V_INT(0), V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(
		f,
		"SELECT id, b, i, l, u, f, d, n, t, hex(y), dt, tm, ts, tz, j FROM t ORDER BY id",
		"0b1b3d0a-0000-4000-8000-000000000001|1|-32768|-9223372036854775808|"
		"18446744073709551615|0.1|0.1|-1234.500|a\xc3\xa4 |01FF|1969-12-31|"
		"23:59:59.999999|1969-12-31 23:59:59.999999|9999-12-31 23:59:59.999999+00:00|"
		"{\"a\": 1e400};"
		"0b1b3d0a-0000-4000-8000-000000000002|0|null|null|0|NaN|-Infinity|0.001|||"
		"0001-01-01|00:00:00.000000|1970-01-01 00:00:00.000000|"
		"1970-01-01 00:00:00.000000+00:00|null");
	assert_query(f, "SELECT DISTINCT typeof(b), typeof(u), typeof(n), typeof(y) FROM t",
		     "integer|text|text|blob");
	assert_query(f, "SELECT typeof(f), typeof(d) FROM t ORDER BY id", "real|real;text|text");
}

#define ELEMENTS(...)                                                                              \
	((struct value){ .state = VALUE_SET,                                                       \
			 .a = &(struct array){ sizeof((struct value[]){ __VA_ARGS__ }) /           \
						       sizeof(struct value),                       \
					       (struct value[]){ __VA_ARGS__ } } })

/* EDGE 35 */
static void test_arrays_are_json(void **state)
{
	struct fixture *f = *state;
	struct column c[] = {
		C_KEY("id", COL_INT32, 1), C("a", COL_ARRAY), C("b", COL_ARRAY), C("c", COL_ARRAY),
		C("d", COL_ARRAY),         C("e", COL_ARRAY), C("f", COL_ARRAY), C("g", COL_ARRAY),
	};
	const struct array empty = { 0, NULL };

	c[1].element = COL_TEXT;
	c[2].element = COL_INT64;
	c[3].element = COL_DECIMAL;
	c[3].precision = 5;
	c[3].scale = 2;
	c[4].element = COL_FLOAT;
	c[5].element = COL_BYTES;
	c[6].element = COL_TIMESTAMPTZ;
	c[7].element = COL_BOOL;

	const struct table *t = events_table(&f->h, "public", "a", 'd', c, COUNT(c));

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), ELEMENTS(V_NULL, V_TEXT("NULL"), V_TEXT("q\"\\;")),
		   ELEMENTS(V_INT(INT64_MAX)), ELEMENTS(v_decimal(&f->h, "1.5", 5, 2)),
		   ELEMENTS(V_REAL(0.1f), V_REAL(NAN), V_REAL(1e30f)),
		   ELEMENTS(V_TEXT("a"), V_TEXT("ab"), V_TEXT("abc")), ELEMENTS(V_INT(1)),
		   ((struct value){ .state = VALUE_SET, .a = &empty }));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM a",
		     "1|[null,\"NULL\",\"q\\\"\\\\;\"]|[9223372036854775807]|[\"1.50\"]|"
		     "[0.1,\"NaN\",1e+30]|[\"YQ==\",\"YWI=\",\"YWJj\"]|"
		     "[\"1970-01-01T00:00:00.000001Z\"]|[]");
	assert_query(f, "SELECT json_valid(a) + json_valid(d) FROM a", "2");
}

/* EDGE 1, 3: columns that the log did not carry stay as they are. */
static void test_absent_columns_stay(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("long text"), V_INT(10));
	put_update(&f->h, t, NULL, V_INT(1), V_ABSENT, V_INT(11));
	put_update(&f->h, t, NULL, V_INT(1), V_ABSENT, V_ABSENT);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders", "1|long text|11");
}

/* EDGE 4: the key column itself is toasted and left out of the new row. */
static void test_absent_key_column(void **state)
{
	struct fixture *f = *state;
	const struct table *t =
		TABLE(&f->h, "public", "k", 'd', C_KEY("id", COL_TEXT, 1), C("n", COL_INT32));
	struct event e;

	put_begin(&f->h);
	put_insert(&f->h, t, V_TEXT("long key"), V_INT(1));
	put_update(&f->h, t, NULL, V_TEXT("long key"), V_INT(2));
	events_take(&f->h);
	e = f->h.items[2];
	e.absent = STR("\x01");
	e.after = STR("\x00\x02\x04"); /* id: null, n: 2 */
	assert_int_equal(sqlite_sink.write(f->sink, f->h.items, 2, &f->err), 0);
	if (sqlite_sink.write(f->sink, &e, 1, &f->err))
		broken("%s", f->err.text);

	struct checkpoint upto = events_checkpoint(&f->h);

	assert_int_equal(sqlite_sink.commit(f->sink, &upto, &f->err), 0);
	assert_query(f, "SELECT * FROM k", "long key|2");
}

static void test_update_without_its_row(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_update(&f->h, t, NULL, V_INT(7), V_ABSENT, V_INT(1));
	put_update(&f->h, t, ROW(V_INT(8), V_ABSENT, V_ABSENT), V_INT(9), V_ABSENT, V_INT(1));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT count(*) FROM orders", "0");

	/* Table by table, and as it is when the event comes. */
	f->loading.never = false;
	loading_add(&f->loading, t->schema, t->name);
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL, V_NULL);
	put_update(&f->h, t, NULL, V_INT(7), V_ABSENT, V_INT(1));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	loading_remove(&f->loading, t->schema, t->name);
	put_begin(&f->h);
	put_update(&f->h, t, NULL, V_INT(1), V_ABSENT, V_INT(1));
	put_update(&f->h, t, NULL, V_INT(7), V_ABSENT, V_INT(1));
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 2, "public.orders");
}

/* Rows of a snapshot: whatever stands there is replaced, in the middle of the stream and again. */
static void test_rows_of_a_chunk(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	const struct table *unkeyed = readings(f, 'f');

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("old"), V_INT(10));
	put_commit(&f->h);
	put_chunk(&f->h, STR("{}"));
	put_read(&f->h, t, V_INT(1), V_TEXT("read"), V_NULL);
	put_read(&f->h, t, V_INT(2), V_TEXT("two"), V_INT(20));
	put_read(&f->h, unkeyed, V_INT(1), V_REAL(0.5), V_NULL);
	put_read(&f->h, unkeyed, V_INT(1), V_REAL(0.5), V_NULL);
	put_commit(&f->h);
	put_chunk(&f->h, STR("{}"));
	put_read(&f->h, t, V_INT(2), V_TEXT("again"), V_INT(20));
	put_commit(&f->h);
	put_begin(&f->h);
	put_update(&f->h, t, NULL, V_INT(2), V_ABSENT, V_INT(21));
	put_update(&f->h, t, ROW(V_INT(1), V_ABSENT, V_ABSENT), V_INT(3), V_ABSENT, V_INT(30));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "2|again|21;3|read|30");
	assert_query(f, "SELECT a, b FROM readings", "1|0.5;1|0.5");
	assert_query(f, "SELECT position FROM tailrace_checkpoint", "1/0/1200/4");
}

/* EDGE 5 */
static void test_change_of_key(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));
	put_insert(&f->h, t, V_INT(2), V_TEXT("two"), V_INT(20));
	put_update(&f->h, t, ROW(V_INT(1), V_ABSENT, V_ABSENT), V_INT(5), V_ABSENT, V_INT(11));
	put_update(&f->h, t, ROW(V_INT(2), V_ABSENT, V_ABSENT), V_INT(6), V_TEXT("six"), V_INT(60));
	put_update(&f->h, t, ROW(V_INT(70), V_ABSENT, V_ABSENT), V_INT(7), V_TEXT("seven"),
		   V_INT(7));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "5|one|11;6|six|60;7|seven|7");

	/* A stale row at the new key gives way. */
	meddle(f, "INSERT INTO orders VALUES (8, 'stale', 0)");
	put_begin(&f->h);
	put_update(&f->h, t, ROW(V_INT(5), V_ABSENT, V_ABSENT), V_INT(8), V_ABSENT, V_INT(12));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "6|six|60;7|seven|7;8|one|12");
}

/* --- EDGE 6: keys that pass each other in one transaction; the key is deferrable, so the identity is full --- */

static const struct table *seats(struct fixture *f, size_t n)
{
	const struct table *t =
		TABLE(&f->h, "public", "seats", 'f', C_KEY("id", COL_INT64, 1), C("who", COL_TEXT));
	static const char *const names[] = { "a", "b", "c", "d" };

	put_begin(&f->h);
	for (size_t i = 0; i < n; i++) {
		struct value who = { .state = VALUE_SET, .s = str_z(names[i]) };

		put_insert(&f->h, t, V_INT((int64_t)i + 1), who);
	}
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	return t;
}

#define MOVE(f, t, from, to, who)                                                                  \
	put_update(&(f)->h, t, ROW(V_INT(from), V_TEXT(who)), V_INT(to), V_TEXT(who))

/* EDGE 6 */
static void test_shift_up_and_down(void **state)
{
	struct fixture *f = *state;
	const struct table *t = seats(f, 3);

	put_begin(&f->h);
	MOVE(f, t, 1, 2, "a");
	MOVE(f, t, 2, 3, "b");
	MOVE(f, t, 3, 4, "c");
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "2|a;3|b;4|c");

	put_begin(&f->h);
	MOVE(f, t, 4, 3, "c");
	MOVE(f, t, 3, 2, "b");
	MOVE(f, t, 2, 1, "a");
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|a;2|b;3|c");
	assert_query(f, "SELECT count(*) FROM sqlite_master WHERE name LIKE '%parked%'", "0");
}

/* EDGE 6 */
static void test_swap_cycle_and_updates(void **state)
{
	struct fixture *f = *state;
	const struct table *t = seats(f, 3);

	put_begin(&f->h);
	MOVE(f, t, 1, 2, "a");
	put_update(&f->h, t, ROW(V_INT(2), V_TEXT("b")), V_INT(2),
		   V_TEXT("B")); /* still the second */
	put_update(&f->h, t, ROW(V_INT(2), V_TEXT("a")), V_INT(2),
		   V_TEXT("A")); /* the one that came */
	MOVE(f, t, 2, 1, "B");
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|B;2|A;3|c");

	put_begin(&f->h);
	MOVE(f, t, 1, 2, "B");
	MOVE(f, t, 2, 3, "A");
	MOVE(f, t, 3, 1, "c");
	put_update(&f->h, t, ROW(V_INT(1), V_TEXT("c")), V_INT(1), V_TEXT("C"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|C;2|B;3|A");
}

/* EDGE 6: three rows on one key for a while; which one leaves is told by the old rows. */
static void test_rows_that_meet_on_one_key(void **state)
{
	struct fixture *f = *state;
	const struct table *t = seats(f, 3);

	put_begin(&f->h);
	MOVE(f, t, 1, 9, "a");
	MOVE(f, t, 2, 9, "b");
	MOVE(f, t, 3, 9, "c");
	MOVE(f, t, 9, 2, "c"); /* the one in the table, not a parked one */
	MOVE(f, t, 9, 1, "b");
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|b;2|c;9|a");

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("new"));
	put_delete(&f->h, t, V_INT(1), V_TEXT("b"));
	put_delete(&f->h, t, V_INT(2), V_TEXT("c"));
	put_insert(&f->h, t, V_INT(2), V_TEXT("two"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|new;2|two;9|a");
}

/* A transaction that comes twice ends the same: what is still parked at its end was a copy. */
static void test_insert_twice(void **state)
{
	struct fixture *f = *state;
	const struct table *t = seats(f, 2);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("x"));
	put_update(&f->h, t, ROW(V_INT(1), V_TEXT("x")), V_INT(1), V_TEXT("y"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|y;2|b");

	/* Old rows that are a key only are of a key that holds at all times: the copy is gone for good. */
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("z"));
	put_insert(&f->h, t, V_INT(2), V_TEXT("c"));
	put_update(&f->h, t, NULL, V_INT(2), V_TEXT("d"));
	put_delete(&f->h, t, V_INT(1), V_ABSENT);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "2|d");
}

/* EDGE 6, with a version change between and a truncate at the end. */
static void test_parked_rows_meet_ddl_and_truncate(void **state)
{
	struct fixture *f = *state;
	const struct table *t = seats(f, 2);

	put_begin(&f->h);
	MOVE(f, t, 1, 2, "a");

	const struct table *t2 = TABLE(&f->h, "public", "seats", 'f', C_KEY("id", COL_INT64, 1),
				       C("who", COL_TEXT), C("row_nr", COL_INT32));

	put_update(&f->h, t2, ROW(V_INT(2), V_TEXT("b"), V_NULL), V_INT(1), V_TEXT("b"), V_INT(7));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "1|b|7;2|a|null");

	put_begin(&f->h);
	put_update(&f->h, t2, ROW(V_INT(1), V_TEXT("b"), V_INT(7)), V_INT(2), V_TEXT("b"),
		   V_INT(7));
	put_truncate(&f->h, t2);
	put_insert(&f->h, t2, V_INT(4), V_TEXT("d"), V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats", "4|d|null");
}

/* --- tables without a key --- */

/* EDGE 8 */
static void test_duplicates_go_one_by_one(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'f');

	put_begin(&f->h);
	for (int i = 0; i < 3; i++)
		put_insert(&f->h, t, V_INT(1), V_REAL(2), V_TEXT("{}"));
	put_delete(&f->h, t, V_INT(1), V_REAL(2), V_TEXT("{}"));
	put_update(&f->h, t, ROW(V_INT(1), V_REAL(2), V_TEXT("{}")), V_INT(5), V_REAL(2),
		   V_TEXT("{}"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM readings ORDER BY a", "1|2.0|{};5|2.0|{}");
}

/* EDGE 9 */
static void test_null_nan_and_json_match(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'f');

	put_begin(&f->h);
	put_insert(&f->h, t, V_NULL, V_REAL(NAN), V_TEXT("{\"a\": 1, \"a\": 2}"));
	put_insert(&f->h, t, V_NULL, V_REAL(NAN), V_TEXT("{\"a\":1,\"a\":2}"));
	put_insert(&f->h, t, V_INT(1), V_REAL(-0.0), V_NULL);
	put_update(&f->h, t, ROW(V_NULL, V_REAL(NAN), V_TEXT("{\"a\":1,\"a\":2}")), V_INT(3),
		   V_REAL(NAN), V_NULL);
	put_delete(&f->h, t, V_INT(1), V_REAL(-0.0), V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM readings ORDER BY a",
		     "null|NaN|{\"a\": 1, \"a\": 2};3|NaN|null");
}

/* EDGE 7: without a full old row there is nothing to find the row by. */
static void test_no_key_and_no_old_row(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'n');

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL, V_NULL);
	put_delete(&f->h, t, V_INT(1), V_ABSENT, V_ABSENT);
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 2,
		       "ALTER TABLE \"public\".\"readings\" REPLICA IDENTITY FULL");
}

/* EDGE 14: rows older than a column hold NULL, their old images show the default. */
static void test_fast_default_without_key(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'f');

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL, V_NULL);
	put_insert(&f->h, t, V_INT(2), V_NULL, V_NULL);

	const struct table *t2 = TABLE(&f->h, "public", "readings", 'f', C("a", COL_INT32),
				       C("b", COL_DOUBLE), C("j", COL_JSON), C("c", COL_INT32));

	put_delete(&f->h, t2, V_INT(1), V_NULL, V_NULL, V_INT(42));
	put_update(&f->h, t2, ROW(V_INT(2), V_NULL, V_NULL, V_INT(42)), V_INT(3), V_NULL, V_NULL,
		   V_INT(42));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM readings", "3|null|null|42");
}

static void test_no_row_like_the_old_one(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'f');
	const struct value *old = ROW(V_INT(1), V_NULL, V_NULL);

	put_begin(&f->h);
	put_update(&f->h, t, old, V_INT(2), V_NULL, V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT a FROM readings", "2");
	f->loading.never = false;
	put_begin(&f->h);
	put_update(&f->h, t, old, V_INT(2), V_NULL, V_NULL);
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 1, "finds no row");
}

/* --- versions --- */

/* EDGE 12, 13, 16: columns come, go and come again inside a transaction; a renamed table is a new one. */
static void test_versions_in_one_transaction(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));

	const struct table *dropped = TABLE(&f->h, "public", "orders", 'd',
					    C_KEY("id", COL_INT64, 1), C("amount", COL_INT32));

	put_insert(&f->h, dropped, V_INT(2), V_INT(20));
	put_update(&f->h, dropped, NULL, V_INT(1), V_INT(11));

	const struct table *again =
		TABLE(&f->h, "public", "orders", 'd', C_KEY("id", COL_INT64, 1),
		      C("amount", COL_INT32), C("note", COL_INT32), C("extra \"q\"", COL_BYTES));

	put_insert(&f->h, again, V_INT(3), V_INT(30), V_INT(5), V_TEXT("x"));
	put_insert(&f->h, t, V_INT(4), V_TEXT("four"), V_INT(40));

	const struct table *renamed =
		TABLE(&f->h, "public", "orders_new", 'd', C_KEY("id", COL_INT64, 1));

	put_insert(&f->h, renamed, V_INT(5));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id",
		     "1|one|11|null;2|null|20|null;3|5|30|x;4|four|40|null");
	assert_query(f, "SELECT * FROM orders_new", "5");
}

static void test_evolve_none(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	f->set.evolve = EVOLVE_NONE;
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink); /* first sight makes the table all the same */

	const struct table *wider =
		TABLE(&f->h, "public", "orders", 'd', C_KEY("id", COL_INT64, 1),
		      C("note", COL_TEXT), C("amount", COL_INT32), C("x", COL_DOUBLE));

	put_begin(&f->h);
	put_insert(&f->h, wider, V_INT(2), V_NULL, V_NULL, V_REAL(1));
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 1, "ALTER TABLE \"orders\" ADD COLUMN \"x\" REAL");
	fixture_reopen(f);
	meddle(f, "ALTER TABLE \"orders\" ADD COLUMN \"x\" REAL");
	put_begin(&f->h);
	put_insert(&f->h, wider, V_INT(2), V_NULL, V_NULL, V_REAL(1));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT x FROM orders ORDER BY id", "null;1.0");
}

static void test_another_key(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);

	const struct table *other = TABLE(&f->h, "public", "orders", 'i', C("id", COL_INT64),
					  C_KEY("note", COL_TEXT, 1), C("amount", COL_INT32));

	put_begin(&f->h);
	put_insert(&f->h, other, V_INT(2), V_TEXT("two"), V_INT(20));
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 1,
		       "CREATE UNIQUE INDEX \"orders_key\" ON \"orders\" (\"note\")");
	fixture_reopen(f);
	meddle(f, "CREATE UNIQUE INDEX \"orders_key\" ON \"orders\" (\"note\")");
	put_begin(&f->h);
	put_insert(&f->h, other, V_INT(2), V_TEXT("two"), V_INT(20));
	put_update(&f->h, other, NULL, V_INT(2), V_TEXT("two"), V_INT(21));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "1|one|10;2|two|21");
}

/* EDGE 40: names that need quotes, and names that SQLite cannot tell apart. */
static void test_names(void **state)
{
	struct fixture *f = *state;
	const struct table *t = TABLE(&f->h, "public", "Order \"Lines\" \xf0\x9f\x98\x80", 'd',
				      C_KEY("I\"D", COL_INT64, 2), C_KEY("a.b", COL_TEXT, 1),
				      C("select", COL_TEXT));
	const struct table *twins = TABLE(&f->h, "public", "twins", 'd', C_KEY("id", COL_INT64, 1),
					  C("a", COL_TEXT), C("A", COL_TEXT));
	const struct table *reserved =
		TABLE(&f->h, "public", "sqlite_x", 'd', C_KEY("id", COL_INT64, 1));

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("k"), V_TEXT("s"));
	put_update(&f->h, t, NULL, V_INT(1), V_TEXT("k"), V_ABSENT);
	put_update(&f->h, t, ROW(V_INT(1), V_TEXT("k"), V_ABSENT), V_INT(2), V_TEXT("k"), V_ABSENT);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM \"Order \"\"Lines\"\" \xf0\x9f\x98\x80\"", "2|k|s");
	put_insert(&f->h, twins, V_INT(1), V_NULL, V_NULL);
	assert_refused(f, ERR_REJECT, 0, "columns a and A");
	put_insert(&f->h, reserved, V_INT(1));
	assert_refused(f, ERR_REJECT, 0, "reserved");
}

static void test_two_tables_of_one_name(void **state)
{
	struct fixture *f = *state;
	static char both[] = "{schema}_{table}", wrong[] = "{tabel}";
	const struct table *a = TABLE(&f->h, "a", "stock", 'd', C_KEY("id", COL_INT64, 1));

	put_begin(&f->h);
	put_insert(&f->h, a, V_INT(1));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);

	const struct table *b = TABLE(&f->h, "b", "Stock", 'd', C_KEY("id", COL_INT64, 1));

	put_insert(&f->h, b, V_INT(2));
	assert_refused(f, ERR_FATAL, 0, "{schema}_{table}");
	assert_int_equal(error_exit(&f->err), EXIT_USAGE);

	f->set.table = both;
	fixture_reopen(f);
	put_begin(&f->h);
	put_insert(&f->h, a, V_INT(1));
	put_insert(&f->h, b, V_INT(2));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT a_stock.id, b_stock.id FROM a_stock, b_stock", "1|2");

	f->set.table = wrong;
	fixture_reopen(f);
	put_insert(&f->h, a, V_INT(1));
	assert_refused(f, ERR_FATAL, 0, "{tabel}");
}

/* EDGE 40: 1600 columns */
static void test_wide_table(void **state)
{
	struct fixture *f = *state;
	enum { WIDE = 1600 };
	struct column *c = xcalloc(WIDE, sizeof *c);
	struct value *row = xcalloc(WIDE, sizeof *row);
	const struct table *t;

	for (size_t i = 0; i < WIDE; i++) {
		c[i] = C("", COL_INT32);
		c[i].name = str_z(arena_printf(&f->h.arena, "column_number_%zu", i));
		row[i] = V_INT((int64_t)i);
	}
	c[0].key = 1;
	t = events_table(&f->h, "public", "wide", 'd', c, WIDE);
	put_begin(&f->h);
	events_put(&f->h, CHANGE_INSERT, t, NULL, row);
	row[1599] = V_ABSENT;
	row[1598] = V_INT(-1);
	events_put(&f->h, CHANGE_UPDATE, t, NULL, row);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT column_number_1, column_number_1598, column_number_1599 FROM wide",
		     "1|-1|1599");
	free(c);
	free(row);
}

/* More shapes than statements are kept: each still does what it says. */
static void test_many_shapes(void **state)
{
	struct fixture *f = *state;
	struct column c[11];
	struct value row[11];
	const struct table *t;

	for (size_t i = 0; i < COUNT(c); i++) {
		c[i] = C("", COL_INT32);
		c[i].name = str_z(arena_printf(&f->h.arena, "c%zu", i));
		row[i] = V_INT(0);
	}
	c[0].key = 1;
	t = events_table(&f->h, "public", "shapes", 'd', c, COUNT(c));
	put_begin(&f->h);
	events_put(&f->h, CHANGE_INSERT, t, NULL, row);
	for (unsigned shape = 0; shape < 1024; shape++) {
		for (size_t i = 1; i < COUNT(c); i++)
			row[i] = shape >> (i - 1) & 1 ? V_ABSENT : V_INT(shape);
		events_put(&f->h, CHANGE_UPDATE, t, NULL, row);
	}
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	/* the last shape without bit i is the largest number that lacks it */
	assert_query(f, "SELECT c1, c2, c5, c10 FROM shapes", "1022|1021|1007|511");
}

/* --- values that cannot be represented: EDGE 29, 31 --- */

static const struct table *terms(struct fixture *f)
{
	return TABLE(&f->h, "public", "terms", 'd', C_KEY("id", COL_INT64, 1), C("due", COL_DATE));
}

static void test_unrepresentable_null(void **state)
{
	struct fixture *f = *state;
	const struct table *t = terms(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_ODD("infinity"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM terms", "1|null");
}

static void test_unrepresentable_text(void **state)
{
	struct fixture *f = *state;
	const struct table *t = terms(f);

	f->set.unrepresentable = UNREPRESENTABLE_TEXT;
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_INT(0));
	put_insert(&f->h, t, V_INT(2), V_ODD("infinity"));
	put_update(&f->h, t, NULL, V_INT(1), V_ODD("4713-01-01 BC"));
	put_update(&f->h, t, NULL, V_INT(2), V_INT(1));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT id, due, due_text FROM terms ORDER BY id",
		     "1|null|4713-01-01 BC;2|1970-01-02|null");
	fixture_reopen(f);
	put_begin(&f->h);
	put_update(&f->h, t, NULL, V_INT(1), V_INT(2));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT id, due, due_text FROM terms ORDER BY id",
		     "1|1970-01-03|null;2|1970-01-02|null");

	const struct table *own = TABLE(&f->h, "public", "own", 'd', C_KEY("id", COL_INT64, 1),
					C("due", COL_DATE), C("due_text", COL_TEXT));

	put_insert(&f->h, own, V_INT(1), V_ODD("infinity"), V_TEXT("mine"));
	assert_refused(f, ERR_REJECT, 0, "due_text");
}

static void test_unrepresentable_reject(void **state)
{
	struct fixture *f = *state;
	const struct table *t = terms(f);
	const struct table *keyed = TABLE(&f->h, "public", "days", 'd', C_KEY("day", COL_DATE, 1));

	put_insert(&f->h, keyed, V_ODD("infinity"));
	assert_refused(f, ERR_REJECT, 0, "part of the key");
	f->set.unrepresentable = UNREPRESENTABLE_REJECT;
	put_insert(&f->h, t, V_INT(1), V_ODD("infinity"));
	assert_refused(f, ERR_REJECT, 0, "due of public.terms (native) holds infinity");
}

/* --- deletes and truncates: EDGE 21 --- */

static void test_deletes_soft(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	f->set.deletes = DELETES_SOFT;
	put_story(f, t);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id",
		     "1|one|10|2026-01-02 03:04:05.678901+00:00;2|back|21|null");
	put_begin(&f->h);
	put_truncate(&f->h, t);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT count(*), count(_deleted_at) FROM orders", "2|2");

	const struct table *free_rows = readings(f, 'f');

	put_begin(&f->h);
	put_insert(&f->h, free_rows, V_INT(1), V_NULL, V_NULL);
	put_insert(&f->h, free_rows, V_INT(1), V_NULL, V_NULL);
	put_delete(&f->h, free_rows, V_INT(1), V_NULL, V_NULL);
	put_delete(&f->h, free_rows, V_INT(1), V_NULL, V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT count(*), count(_deleted_at) FROM readings", "2|2");
}

/* A row marked as deleted is never in the way of one that moves or comes again. */
static void test_deletes_soft_and_keys_that_move(void **state)
{
	struct fixture *f = *state;
	const struct table *t;

	f->set.deletes = DELETES_SOFT;
	t = seats(f, 3);
	put_begin(&f->h);
	put_delete(&f->h, t, V_INT(2), V_TEXT("b"));
	MOVE(f, t, 1, 2, "a");
	put_delete(&f->h, t, V_INT(3), V_TEXT("c"));
	put_insert(&f->h, t, V_INT(3), V_TEXT("new"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM seats ORDER BY id", "2|a|null;3|new|null");
}

static void test_deletes_ignored(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	f->set.deletes = DELETES_IGNORE;
	f->set.truncates = TRUNCATES_IGNORE;
	put_story(f, t);
	put_begin(&f->h);
	put_truncate(&f->h, t);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT * FROM orders ORDER BY id", "1|one|10;2|back|21");
}

static void test_truncate(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_story(f, t);
	put_begin(&f->h);
	put_truncate(&f->h, t);
	put_insert(&f->h, t, V_INT(7), V_NULL, V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT id FROM orders", "7");
}

/* --- checkpoint, fence, trouble --- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_upserts_and_deletes),
		T(test_every_type),
		T(test_arrays_are_json),
		T(test_absent_columns_stay),
		T(test_absent_key_column),
		T(test_update_without_its_row),
		T(test_rows_of_a_chunk),
		T(test_change_of_key),
		T(test_shift_up_and_down),
		T(test_swap_cycle_and_updates),
		T(test_rows_that_meet_on_one_key),
		T(test_insert_twice),
		T(test_parked_rows_meet_ddl_and_truncate),
		T(test_duplicates_go_one_by_one),
		T(test_null_nan_and_json_match),
		T(test_no_key_and_no_old_row),
		T(test_fast_default_without_key),
		T(test_no_row_like_the_old_one),
		T(test_versions_in_one_transaction),
		T(test_evolve_none),
		T(test_another_key),
		T(test_names),
		T(test_two_tables_of_one_name),
		T(test_wide_table),
		T(test_many_shapes),
		T(test_unrepresentable_null),
		T(test_unrepresentable_text),
		T(test_unrepresentable_reject),
		T(test_deletes_soft),
		T(test_deletes_soft_and_keys_that_move),
		T(test_deletes_ignored),
		T(test_truncate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
