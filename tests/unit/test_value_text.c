/*
 * test_value_text.c - times, floats, base64 and JSON of values
 */
#include "avro_fixture.h"

#include <math.h>

#include "value_text.h"

static void assert_time(enum column_type type, int64_t v, const char *want)
{
	char out[VALUE_TEXT];
	struct str s = value_time(type, v, 'T', "Z", out);

	assert_string_equal(out, want);
	assert_int_equal(s.n, strlen(want));
}

static void times(void **state)
{
	(void)state;
	assert_time(COL_DATE, 0, "1970-01-01");
	assert_time(COL_DATE, -1, "1969-12-31");
	assert_time(COL_DATE, 11016, "2000-02-29");
	assert_time(COL_DATE, 19782, "2024-02-29");
	assert_time(COL_DATE, 19783, "2024-03-01");
	assert_time(COL_DATE, FIXTURE_DAY_0, "0001-01-01");
	assert_time(COL_DATE, FIXTURE_DAY_N, "9999-12-31");
	assert_time(COL_TIME, 0, "00:00:00.000000");
	assert_time(COL_TIME, FIXTURE_DAY_US - 1, "23:59:59.999999");
	assert_time(COL_TIMESTAMP, -1, "1969-12-31T23:59:59.999999");
	assert_time(COL_TIMESTAMP, 1767323045678901, "2026-01-02T03:04:05.678901");
	assert_time(COL_TIMESTAMPTZ, 1767323045678901, "2026-01-02T03:04:05.678901Z");

	/* What no column holds still ends inside its room. */
	char out[VALUE_TEXT];

	assert_true(value_time(COL_TIMESTAMPTZ, INT64_MIN, ' ', "+00:00", out).n < VALUE_TEXT);
	assert_true(value_time(COL_TIMESTAMPTZ, INT64_MAX, ' ', "+00:00", out).n < VALUE_TEXT);
	assert_true(value_time(COL_DATE, INT32_MIN, ' ', "", out).n < VALUE_TEXT);
}

/* Every day from 0001 to 9999 follows the one before. */
static void calendar(void **state)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t day = FIXTURE_DAY_0;
	char out[VALUE_TEXT], want[VALUE_TEXT];

	(void)state;
	for (int y = 1; y <= 9999; y++) {
		bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);

		for (int m = 1; m <= 12; m++) {
			int n = lengths[m - 1] + (m == 2 && leap);

			for (int d = 1; d <= n; d += d == 1 || d >= n - 1 ? 1 : n - 2 - d + 1) {
				snprintf(want, sizeof want, "%04d-%02d-%02d", y, m, d);
				value_time(COL_DATE, day + d - 1, 'T', "", out);
				assert_string_equal(out, want);
			}
			day += n;
		}
	}
	assert_int_equal(day, FIXTURE_DAY_N + 1);
}

static void assert_float(double d, bool single, const char *want)
{
	char out[VALUE_TEXT];
	struct str s = value_float(d, single, out);

	assert_true(str_eqz(s, want));
}

/* EDGE 30 */
static void floats(void **state)
{
	struct rng r = { 8 };
	char out[VALUE_TEXT];

	(void)state;
	assert_float(0.1, false, "0.1");
	assert_float((double)0.1f, true, "0.1");
	assert_float((double)0.1f, false, "0.10000000149011612");
	assert_float((double)16777216.0f, true, "16777216");
	assert_float(-0.0, false, "-0");
	assert_float(5e-324, false, "5e-324");
	assert_float((double)1e-45f, true, "1e-45");
	assert_float((double)NAN, false, "NaN");
	assert_float((double)INFINITY, true, "Infinity");
	assert_float((double)-INFINITY, true, "-Infinity");
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = rng_next(&r);
		double d;

		memcpy(&d, &bits, sizeof d);
		if (!value_is_finite(d))
			continue;
		value_float(d, false, out);
		assert_true(strtod(out, NULL) == d);
		value_float((double)(float)d, true, out);
		assert_true(strtof(out, NULL) == (float)d);
	}
}

static void assert_json(struct column c, struct value v, const char *want)
{
	AUTO(buf) struct buf b = { 0 };

	value_json(&b, &c, &v);
	assert_string_equal(buf_z(&b), want);
}

#define SET .state = VALUE_SET

/* EDGE 35: a NULL in an array is not 'NULL'.  EDGE 37: JSON stays the text that it is. */
static void json(void **state)
{
	static const struct value items[] = { { SET, .s = STR("NULL") },
					      { .state = VALUE_NULL },
					      { SET, .s = STR("a,\"b\"") } };
	static const struct array array = { COUNT(items), items }, none = { 0, NULL };
	struct column c = { .scale = 2, .precision = 10 };

	(void)state;
	c.type = COL_BOOL;
	assert_json(c, (struct value){ SET, .b = true }, "true");
	assert_json(c, (struct value){ .state = VALUE_NULL }, "null");
	assert_json(c, (struct value){ .state = VALUE_UNREPRESENTABLE, .s = STR("x") }, "null");
	c.type = COL_INT64;
	assert_json(c, (struct value){ SET, .i = INT64_MIN }, "-9223372036854775808");
	c.type = COL_UINT64;
	assert_json(c, (struct value){ SET, .u = UINT64_MAX }, "\"18446744073709551615\"");
	c.type = COL_DECIMAL;
	assert_json(c, (struct value){ SET, .s = STR("\xff") }, "\"-0.01\"");
	c.type = COL_DOUBLE;
	assert_json(c, (struct value){ SET, .d = 1e300 }, "1e+300");
	assert_json(c, (struct value){ SET, .d = (double)NAN }, "\"NaN\"");
	c.type = COL_FLOAT;
	assert_json(c, (struct value){ SET, .d = (double)-INFINITY }, "\"-Infinity\"");
	c.type = COL_BYTES;
	assert_json(c, (struct value){ SET, .s = STR("") }, "\"\"");
	assert_json(c, (struct value){ SET, .s = STR("f") }, "\"Zg==\"");
	assert_json(c, (struct value){ SET, .s = STR("fo") }, "\"Zm8=\"");
	assert_json(c, (struct value){ SET, .s = STR("foobar\xff\xfe") }, "\"Zm9vYmFy//4=\"");
	c.type = COL_JSON;
	assert_json(c, (struct value){ SET, .s = STR("{\"a\": 1e400}") }, "\"{\\\"a\\\": 1e400}\"");
	c.type = COL_TIMESTAMPTZ;
	assert_json(c, (struct value){ SET, .i = 0 }, "\"1970-01-01T00:00:00.000000Z\"");
	c.type = COL_ARRAY;
	c.element = COL_TEXT;
	assert_json(c, (struct value){ SET, .a = &array }, "[\"NULL\",null,\"a,\\\"b\\\"\"]");
	assert_json(c, (struct value){ SET, .a = &none }, "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(calendar),
		cmocka_unit_test(floats),
		cmocka_unit_test(json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
