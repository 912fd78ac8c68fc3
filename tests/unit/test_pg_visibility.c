/*
 * test_pg_visibility.c - what a snapshot sees of the log: ids around the wraparound, the log's end
 */
#include "pg_fixture.h"

#include "../../sources/pg_connection.h"
#include "../../sources/pg_visibility.h"

static bool sees(const struct visibility *v, uint32_t xid)
{
	const struct change begin = { .op = CHANGE_BEGIN, .xid = xid };

	return pg_visibility_sees(v, &begin);
}

static void test_snapshot_text(void **state)
{
	static const char *const bad[] = { "",       "1",     "1:2", "a:2:", "2:1:",
					   "1:9:2;", "1:9:,", ":1:", "-1:2:" };
	struct pg_snapshot s;

	(void)state;
	assert_true(pg_snapshot_parse("748:752:748,750", &s));
	assert_int_equal(s.xmin, 748);
	assert_int_equal(s.xmax, 752);
	assert_string_equal(s.open, "748,750");
	assert_true(pg_snapshot_parse("4294967296:4294967300:", &s));
	assert_int_equal(s.xmin, UINT64_C(4294967296));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_null(pg_visibility_new(bad[i], false, 1));
	assert_false(pg_snapshot_parse(NULL, &s));
}

static void test_in_progress(void **state)
{
	struct visibility *v = pg_visibility_new("748:755:753,748,750", false, 1);

	(void)state;
	assert_non_null(v);
	assert_true(sees(v, 747));
	assert_false(sees(v, 748));
	assert_true(sees(v, 749));
	assert_false(sees(v, 750));
	assert_true(sees(v, 751));
	assert_true(sees(v, 752));
	assert_false(sees(v, 753));
	assert_true(sees(v, 754));
	assert_false(sees(v, 755));
	assert_false(sees(v, 4000));
	assert_false(sees(v, 0)); /* a message of no transaction */
	pg_visibility_free(v);
}

/* The stream has 32 bits of an id. */
static void test_around_the_wraparound(void **state)
{
	/* xmax is 2^32 + 5: ids from before are huge, from after are small */
	struct visibility *v =
		pg_visibility_new("4294967290:4294967301:4294967290,4294967299", false, 1);

	(void)state;
	assert_true(sees(v, 4294967289U));
	assert_false(sees(v, 4294967290U));
	assert_true(sees(v, 4294967295U));
	assert_true(sees(v, 2));  /* 2^32 + 2 is not open */
	assert_false(sees(v, 3)); /* 2^32 + 3 is */
	assert_true(sees(v, 4));
	assert_false(sees(v, 5));
	assert_false(sees(v, 100));
	assert_true(sees(v, 4294967301U - 2147483000U)); /* long ago */
	pg_visibility_free(v);

	/* xmax just below 2^32: what comes after has small numbers */
	v = pg_visibility_new("4294967290:4294967294:", false, 1);
	assert_true(sees(v, 4294967293U));
	assert_false(sees(v, 4294967294U));
	assert_false(sees(v, 3));
	pg_visibility_free(v);

	/* far into a later epoch */
	v = pg_visibility_new("12884901998:12884902000:12884901998", false, 1); /* 3 * 2^32 + 112 */
	assert_true(sees(v, 109));
	assert_false(sees(v, 110));
	assert_true(sees(v, 111));
	assert_false(sees(v, 112));
	assert_true(sees(v, 4294967295U));
	pg_visibility_free(v);
}

/* Transaction 727 is open, the first after the last that ended: the snapshot's xmax is no further. */
static void test_horizon(void **state)
{
	struct pg_snapshot s;

	(void)state;
	assert_true(pg_snapshot_parse("727:727:", &s));
	assert_int_equal(pg_snapshot_horizon(&s, NULL), 727);
	assert_int_equal(pg_snapshot_horizon(&s, "727"), 728);
	assert_int_equal(pg_snapshot_horizon(&s, "700,731,728"), 732);
	assert_true(pg_snapshot_parse("4294967290:4294967295:", &s));
	assert_int_equal(pg_snapshot_horizon(&s, "4294967290,3"), UINT64_C(4294967300));
}

/* On a standby nothing says what is open: from xmin on nothing counts. */
static void test_standby(void **state)
{
	struct visibility *v = pg_visibility_new("748:755:", true, 1);

	(void)state;
	assert_true(sees(v, 747));
	assert_false(sees(v, 748));
	assert_false(sees(v, 754));
	pg_visibility_free(v);
}

static const char *resume(struct arena *a, uint64_t lsn)
{
	return pg_resume_format(a, 7301, 1, lsn).p;
}

static void test_reached(void **state)
{
	struct arena a = { 0 };
	/* the log ends right behind a page's header: its reader stands at the page's start */
	uint64_t end = pg_lsn_page_start(0x2000018, 8192, 16777216);
	struct visibility *v = pg_visibility_new("1:1:", false, end);

	(void)state;
	assert_false(pg_visibility_reached(v, resume(&a, 0x1ffffff)));
	assert_true(pg_visibility_reached(v, resume(&a, 0x2000000)));
	assert_true(pg_visibility_reached(v, resume(&a, 0x2000018)));
	assert_false(pg_visibility_reached(v, "{}"));
	pg_visibility_free(v);
	arena_free(&a);
}

/* A slot's snapshot sees the commits whose records begin before its point, whatever their ids. */
static void test_exact(void **state)
{
	struct arena a = { 0 };
	struct visibility *v = pg_visibility_exact(0x5000);
	struct change begin = { .op = CHANGE_BEGIN, .xid = 1 };

	(void)state;
	begin.pos.offset = 0x4fff;
	assert_true(pg_visibility_sees(v, &begin));
	begin.pos.offset = 0x5000;
	assert_false(pg_visibility_sees(v, &begin));
	assert_false(pg_visibility_reached(v, resume(&a, 0x4fff)));
	assert_true(pg_visibility_reached(v, resume(&a, 0x5000)));
	pg_visibility_free(v);
	pg_visibility_free(NULL);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_text),
		cmocka_unit_test(test_in_progress),
		cmocka_unit_test(test_around_the_wraparound),
		cmocka_unit_test(test_horizon),
		cmocka_unit_test(test_standby),
		cmocka_unit_test(test_reached),
		cmocka_unit_test(test_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
