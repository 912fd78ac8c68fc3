/*
 * test_pg_array.c - PostgreSQL's text of arrays (EDGE 35)
 */
#include "pg_fixture.h"

enum { INTS = 1007, TEXTS = 1009, BOXES = 1020, DATES = 1182 };

static int decode(uint32_t oid, const char *text, struct arena *a, struct value *v,
		  struct error *err)
{
	struct column c = fixture_column(oid, -1, a);

	return pg_value_text(&c, str_z(text), a, v, err);
}

/* Elements of a text array, NULL for null; ends with END. */
#define END "\001"
static void check_texts(uint32_t oid, const char *text, const char *const *want)
{
	AUTO(arena) struct arena a = { 0 };
	struct value v = { 0 };
	struct error err = { 0 };
	size_t n = 0;

	if (decode(oid, text, &a, &v, &err))
		FAIL("%s", err.text);
	assert_int_equal(v.state, VALUE_SET);
	for (; !want[n] || strcmp(want[n], END) != 0; n++) {
		assert_true(n < v.a->n);
		assert_int_equal(v.a->items[n].state, want[n] ? VALUE_SET : VALUE_NULL);
		if (want[n])
			assert_str(v.a->items[n].s, want[n]);
	}
	assert_int_equal(v.a->n, n);
}

static void test_texts(void **state)
{
	(void)state;
	check_texts(TEXTS, "{}", (const char *const[]){ END });
	check_texts(TEXTS, "{a}", (const char *const[]){ "a", END });
	check_texts(TEXTS, "{a,NULL,\"NULL\",null}",
		    (const char *const[]){ "a", NULL, "NULL", "null", END });
	check_texts(TEXTS, "{\"\",\" \",\"a,b\",\"{x}\"}",
		    (const char *const[]){ "", " ", "a,b", "{x}", END });
	check_texts(TEXTS, "{\"q\\\"q\",\"b\\\\\",\"\\\\\\\"\"}",
		    (const char *const[]){ "q\"q", "b\\", "\\\"", END });
	check_texts(BOXES, "{(1,1),(0,0);(2,2),(1,1)}",
		    (const char *const[]){ "(1,1),(0,0)", "(2,2),(1,1)", END });
	check_texts(T_GEOMETRIES, "{01A,b:02}", (const char *const[]){ "01A,b", "02", END });
	check_texts(T_MOODS, "{ok,\"very happy\"}",
		    (const char *const[]){ "ok", "very happy", END });
	check_texts(1002, "{a,\351}", (const char *const[]){ "a", "\\351", END });
}

static void test_typed(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct value v = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(decode(INTS, "{1,NULL,-3}", &a, &v, &err), 0);
	assert_int_equal(v.a->n, 3);
	assert_int_equal(v.a->items[2].i, -3);
	assert_int_equal(decode(DATES, "{1970-01-02,2000-01-01}", &a, &v, &err), 0);
	assert_int_equal(v.a->items[0].i, 1);
	assert_int_equal(v.a->items[1].i, 10957);
	assert_int_equal(decode(T_COSTS, "{1.27,-0.01}", &a, &v, &err), 0);
	assert_true(str_eq(v.a->items[0].s, STR("\177")));
}

static void test_unrepresentable(void **state)
{
	static const struct {
		uint32_t oid;
		const char *text;
	} cases[] = {
		{ INTS, "{{1,2},{3,4}}" },
		{ INTS, "[0:1]={1,2}" },
		{ INTS, "[2:2][3:4]={{1,2}}" },
		{ DATES, "{2000-01-01,infinity}" }, /* one element makes the whole so */
		{ T_COSTS, "{NaN}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		assert_int_equal(decode(cases[i].oid, cases[i].text, &a, &v, &err), 0);
		assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
		assert_str(v.s, cases[i].text);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = {
		"",      "{",    "}",    "{1",     "{1,",    "{1,}",     "{,1}",
		"{,}",   "1,2",  "{1}x", "{\"1",   "{\"1\\", "{\"1\\\"", "{\"1\"x}",
		"{1{2}", "{1}}", "{a}",  "{\"\"}", "{1;2}",  "[0:1]",    "{ 1}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		if (decode(INTS, cases[i], &a, &v, &err) == 0)
			FAIL("taken: %s", cases[i]);
		assert_int_equal(err.kind, ERR_FATAL);
		assert_contains(err.text, "column x");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_typed),
		cmocka_unit_test(test_unrepresentable),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
