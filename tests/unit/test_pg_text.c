/*
 * test_pg_text.c - what is refused as text, and what the recorded values (test_pg_binary.c) do not show
 */
#include "pg_fixture.h"

static int decode(uint32_t oid, int32_t mod, const char *text, struct arena *a, struct value *v,
		  struct error *err)
{
	struct column c = fixture_column(oid, mod, a);

	return pg_value_text(&c, str_z(text), a, v, err);
}

/* EDGE 32: settings that leak into the output are found out, never guessed at */
static void test_refused(void **state)
{
	static const struct {
		uint32_t oid;
		const char *text;
	} cases[] = {
		{ PG_BOOL, "true" },
		{ PG_BOOL, "" },
		{ PG_INT4, "" },
		{ PG_INT4, "-" },
		{ PG_INT4, "1.0" },
		{ PG_INT4, "2147483648" },
		{ PG_INT8, "9223372036854775808" },
		{ PG_INT8, "99999999999999999999" },
		{ PG_INT4, "12a" },
		{ PG_FLOAT8, "" },
		{ PG_FLOAT8, "1,5" },
		{ PG_FLOAT8, "0x10" },
		{ PG_FLOAT8, "nan" },
		{ PG_FLOAT8, "-inf" },
		{ PG_FLOAT8, " 1" },
		{ PG_FLOAT8, "1e" },
		{ PG_FLOAT4, "1.2.3" },
		{ PG_BYTEA, "abc" },
		{ PG_BYTEA, "\\000" },
		{ PG_BYTEA, "\\x0" },
		{ PG_BYTEA, "\\xGG" },
		{ PG_DATE, "31/01/2024" },
		{ PG_DATE, "2024-1-31" },
		{ PG_DATE, "2024-02-30" },
		{ PG_DATE, "2023-02-29" },
		{ PG_DATE, "2024-13-01" },
		{ PG_DATE, "2024-01-31 " },
		{ PG_DATE, "12345678-01-01" },
		{ PG_DATE, "" },
		{ PG_DATE, " BC" },
		{ PG_TIME, "1:02:03" },
		{ PG_TIME, "12:60:00" },
		{ PG_TIME, "24:00:01" },
		{ PG_TIME, "12:00:00." },
		{ PG_TIME, "12:00:00.1234567" },
		{ PG_TIMESTAMP, "2024-01-31T12:00:00" },
		{ PG_TIMESTAMP, "2024-01-31" },
		{ PG_TIMESTAMP, "2024-01-31 24:00:00" },
		{ PG_TIMESTAMP, "2024-01-31 12:00:00+00" },
		{ PG_TIMESTAMPTZ, "2024-01-31 12:00:00" },
		{ PG_TIMESTAMPTZ, "2024-01-31 12:00:00+02" },
		{ PG_TIMESTAMPTZ, "2024-01-31 12:00:00+00:30" },
		{ PG_UUID, "a0eebc99" },
		{ PG_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11....." },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		if (decode(cases[i].oid, -1, cases[i].text, &a, &v, &err) == 0)
			FAIL("taken: %s", cases[i].text);
		assert_int_equal(err.kind, ERR_FATAL);
		assert_int_equal(v.state, VALUE_ABSENT);
		assert_contains(err.text, "column x");
	}
}

/* EDGE 29, EDGE 31: told as they are, not clamped */
static void test_unrepresentable(void **state)
{
	static const struct {
		uint32_t oid;
		const char *text;
	} cases[] = {
		{ PG_NUMERIC, "NaN" },
		{ PG_NUMERIC, "Infinity" },
		{ PG_NUMERIC, "-Infinity" },
		{ PG_NUMERIC, "100.00" },
		{ PG_NUMERIC, "-100" },
		{ PG_NUMERIC, "0.001" },
		{ PG_NUMERIC, "123456789012345678901234567890" },
		{ PG_DATE, "infinity" },
		{ PG_DATE, "10000-01-01" },
		{ PG_DATE, "5874897-12-31" },
		{ PG_DATE, "0001-01-01 BC" },
		{ PG_TIME, "24:00:00" },
		{ PG_TIMESTAMP, "-infinity" },
		{ PG_TIMESTAMP, "294276-12-31 23:59:59.999999" },
		{ PG_TIMESTAMPTZ, "4714-11-24 00:00:00+00 BC" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		/* the numbers against numeric(4,2) */
		if (decode(cases[i].oid, cases[i].oid == PG_NUMERIC ? (4 << 16 | 2) + 4 : -1,
			   cases[i].text, &a, &v, &err))
			FAIL("%s", err.text);
		assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
		assert_str(v.s, cases[i].text);
	}
}

static void test_decimal_forms(void **state)
{
	static const struct {
		const char *text;
		struct str bytes;
	} cases[] = {
		{ "0.00", STR("\0") },        { "-0.01", STR("\377") },
		{ "1.27", STR("\177") },      { "1.28", STR("\0\200") },
		{ "-1.28", STR("\200") },     { "-1.29", STR("\377\177") },
		{ "99.99", STR("\047\017") }, { "5", STR("\001\364") },
		{ "5.5", STR("\002\046") },   { "007.00", STR("\002\274") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		assert_int_equal(decode(PG_NUMERIC, (4 << 16 | 2) + 4, cases[i].text, &a, &v, &err),
				 0);
		assert_int_equal(v.state, VALUE_SET);
		if (!str_eq(v.s, cases[i].bytes))
			FAIL("%s", cases[i].text);
	}
}

static void test_text_is_kept_in_place(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct column c = fixture_column(PG_TEXT, -1, &a);
	struct str wire = STR("as it is");
	struct error err = { 0 };
	struct value v = { 0 };
	size_t used = a.used;

	(void)state;
	assert_int_equal(pg_value_text(&c, wire, &a, &v, &err), 0);
	assert_ptr_equal(v.s.p, wire.p);
	assert_int_equal(a.used, used);
	/* "char" of a server before 16: the byte itself */
	assert_int_equal(decode(PG_CHAR, -1, "\351", &a, &v, &err), 0);
	assert_str(v.s, "\\351");
}

/* EDGE 18, EDGE 36: composites, ranges and labels that came later are what the server printed */
static void test_other_types(void **state)
{
	static const struct {
		uint32_t oid;
		const char *text;
	} cases[] = {
		{ T_RANGE, "empty" },         { T_RANGE, "[1,)" },
		{ T_RANGE, "(,)" },           { T_POINT, "(,\"a \"\"b\"\"\",)" },
		{ T_POINT, "(1,2)" },         { T_MOOD, "a label that no catalog told" },
		{ T_GEOMETRY, "0101000000" }, { PG_MONEY, "-$1,234.50" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct value v = { 0 };
		struct error err = { 0 };

		assert_int_equal(decode(cases[i].oid, -1, cases[i].text, &a, &v, &err), 0);
		assert_int_equal(v.state, VALUE_SET);
		assert_str(v.s, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unrepresentable),
		cmocka_unit_test(test_decimal_forms),
		cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_text_is_kept_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
