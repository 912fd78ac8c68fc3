/*
 * test_pg_types.c - which Avro shape a PostgreSQL type has
 */
#include "pg_fixture.h"

static void check(uint32_t oid, int32_t mod, enum column_type type, const char *native)
{
	AUTO(arena) struct arena a = { 0 };
	struct column c = fixture_column(oid, mod, &a);

	assert_int_equal(c.type, type);
	assert_str(c.native, native);
}

static void test_scalars(void **state)
{
	(void)state;
	check(PG_BOOL, -1, COL_BOOL, "boolean");
	check(PG_INT2, -1, COL_INT32, "smallint");
	check(PG_OID, -1, COL_INT64, "oid");
	check(PG_FLOAT4, -1, COL_FLOAT, "real");
	check(PG_JSONB, -1, COL_JSON, "jsonb");
	check(PG_BYTEA, -1, COL_BYTES, "bytea");
	check(PG_UUID, -1, COL_UUID, "uuid");
	check(PG_TIMETZ, -1, COL_TEXT, "time with time zone");
	check(PG_TIMETZ, 3, COL_TEXT, "time(3) with time zone");
	check(PG_TIME, -1, COL_TIME, "time without time zone");
	check(PG_VARCHAR, 36, COL_TEXT, "character varying(32)");
	check(PG_BPCHAR, 7, COL_TEXT, "character(3)");
	check(PG_BPCHAR, -1, COL_TEXT, "bpchar");
	check(PG_MONEY, -1, COL_TEXT, "money");
}

/* EDGE 29 */
static void test_numeric(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct column c = fixture_column(PG_NUMERIC, (12 << 16 | 2) + 4, &a);

	(void)state;
	assert_int_equal(c.type, COL_DECIMAL);
	assert_int_equal(c.precision, 12);
	assert_int_equal(c.scale, 2);
	assert_str(c.native, "numeric(12,2)");
	check(PG_NUMERIC, -1, COL_TEXT, "numeric");
	check(PG_NUMERIC, (3 << 16 | (-2 & 0x7ff)) + 4, COL_TEXT, "numeric(3,-2)");
	check(PG_NUMERIC, (2 << 16 | 4) + 4, COL_TEXT, "numeric(2,4)");
	check(PG_NUMERIC, (5 << 16 | 5) + 4, COL_DECIMAL, "numeric(5,5)");
}

/* EDGE 34 */
static void test_domains_and_user_types(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct column c = fixture_column(T_PRICE, -1, &a);

	(void)state;
	assert_int_equal(c.type, COL_DECIMAL);
	assert_int_equal(c.scale, 2);
	assert_int_equal(c.native_id, PG_NUMERIC);
	assert_int_equal(c.native_mod, (12 << 16 | 2) + 4);
	c = fixture_column(T_FEELING, -1, &a);
	assert_int_equal(c.native_id, PG_ANYENUM);
	assert_str(c.native, "public.mood");
	check(T_POINT, -1, COL_TEXT, "public.pair");
	check(T_RANGE, -1, COL_TEXT, "int4range");
	assert_true(pg_binary_known(fixture_column(T_MOOD, -1, &a).native_id));
	assert_false(pg_binary_known(fixture_column(T_POINT, -1, &a).native_id));
	assert_false(pg_binary_known(fixture_column(1007, -1, &a).native_id));
}

/* EDGE 34, EDGE 35 */
static void test_arrays(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct column c = fixture_column(1231, (12 << 16 | 2) + 4, &a);

	(void)state;
	assert_int_equal(c.type, COL_ARRAY);
	assert_int_equal(c.element, COL_DECIMAL);
	assert_int_equal(c.precision, 12);
	assert_str(c.native, "numeric(12,2)[]");
	c = fixture_column(T_COSTS, -1, &a);
	assert_int_equal(c.element, COL_DECIMAL);
	assert_int_equal(c.scale, 2);
	c = fixture_column(T_TAGS, -1, &a); /* a domain over an array is one */
	assert_int_equal(c.type, COL_ARRAY);
	assert_int_equal(c.element, COL_TEXT);
	assert_str(c.native, "text[]");
	assert_int_equal(fixture_column(1020, -1, &a).delimiter, ';');
	assert_int_equal(fixture_column(T_GEOMETRIES, -1, &a).delimiter, ':');
	check(1007, -1, COL_ARRAY, "integer[]");
	check(1015, 36, COL_ARRAY, "character varying(32)[]");
	check(T_MOODS, -1, COL_ARRAY, "public.mood[]");
	check(T_TAGSES, -1, COL_TEXT, "public._tags"); /* elements that are arrays */
	check(T_GONES, -1, COL_ARRAY, "type with OID 199999[]");
	check(PG_INT2VECTOR, -1, COL_TEXT, "int2vector"); /* prints without braces */
}

static void test_gone_and_failing(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct fixture_catalog f = { 0 };
	struct pgoutput_catalog catalog = fixture_catalog(&f);
	struct column c = { .name = STR("x") };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(pg_column_type(&catalog, T_GONE, -1, STR("old.type"), &a, &c, &err), 0);
	assert_int_equal(c.type, COL_TEXT);
	assert_str(c.native, "old.type");
	check(T_GONE, -1, COL_TEXT, "type with OID 199999");
	assert_int_equal(pg_column_type(&catalog, T_LOOP, -1, STR(""), &a, &c, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	f.down = true;
	assert_int_equal(pg_column_type(&catalog, T_PRICE, -1, STR(""), &a, &c, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	f.asked = 0;
	assert_int_equal(pg_column_type(&catalog, 1231, -1, STR(""), &a, &c, &err), 0);
	assert_int_equal(f.asked, 0); /* built-in types need no catalog */
}

/* EDGE 15: what leaves existing values as they are */
static void test_widening(void **state)
{
	static const struct {
		uint32_t from;
		int32_t from_mod;
		uint32_t to;
		int32_t to_mod;
		bool widens;
	} cases[] = {
		{ PG_INT4, -1, PG_INT4, -1, true },
		{ PG_INT2, -1, PG_INT8, -1, true },
		{ PG_INT8, -1, PG_INT4, -1, false },
		{ PG_INT4, -1, PG_TEXT, -1, false },
		{ PG_VARCHAR, 14, PG_VARCHAR, 24, true },
		{ PG_VARCHAR, 24, PG_VARCHAR, 14, false },
		{ PG_VARCHAR, 24, PG_VARCHAR, -1, true },
		{ PG_VARCHAR, -1, PG_VARCHAR, 24, false },
		{ PG_VARCHAR, 24, PG_TEXT, -1, true },
		{ PG_BPCHAR, 7, PG_BPCHAR, 9, false },
		{ PG_FLOAT4, -1, PG_FLOAT8, -1, true },
		{ PG_NUMERIC, (10 << 16 | 2) + 4, PG_NUMERIC, (12 << 16 | 2) + 4, true },
		{ PG_NUMERIC, (10 << 16 | 2) + 4, PG_NUMERIC, (12 << 16 | 4) + 4, true },
		{ PG_NUMERIC, (10 << 16 | 2) + 4, PG_NUMERIC, (10 << 16 | 4) + 4, false },
		{ PG_NUMERIC, (10 << 16 | 2) + 4, PG_NUMERIC, -1, true },
		{ PG_NUMERIC, -1, PG_NUMERIC, (10 << 16 | 2) + 4, false },
		{ PG_TIMESTAMP, 0, PG_TIMESTAMP, -1, true },
		{ PG_TIMESTAMP, -1, PG_TIMESTAMPTZ, -1, false },
		{ PG_TIMESTAMPTZ, 6, PG_TIMESTAMPTZ, 0, false },
		{ T_MOOD, -1, T_FEELING, -1, true },
		{ T_MOOD, -1, PG_TEXT, -1, false },
	};
	AUTO(arena) struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct column from = fixture_column(cases[i].from, cases[i].from_mod, &a);
		struct column to = fixture_column(cases[i].to, cases[i].to_mod, &a);

		if (pg_type_widens(&from, &to) != cases[i].widens)
			FAIL("%s to %s", from.native.p, to.native.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_domains_and_user_types),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_gone_and_failing),
		cmocka_unit_test(test_widening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
