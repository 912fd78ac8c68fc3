/*
 * test_pg_key.c - keys as SQL: values, quoting, comparisons, bounds, cuts
 */
#include "pg_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "../../sources/pg_key.h"

static struct pg_key_column columns[] = {
	{ .as = { .name = { "id", 2 }, .type = COL_INT64 }, .type = { "bigint", 6 } },
	{ .index = 3,
	  .as = { .name = { "na\"me", 5 }, .type = COL_TEXT },
	  .type = { "public.citext", 13 },
	  .collation = { "pg_catalog.\"C\"", 14 },
	  .collate = true },
};
static const struct pg_key key = { { "t", 1 }, columns, 2 };

static const char *printed(const struct column *c, struct value v, struct buf *out)
{
	buf_clear(out);
	pg_value_print(c, &v, out);
	return buf_z(out);
}

static void test_values(void **state)
{
	struct buf out = { 0 };
	struct arena a = { 0 };
	const struct value items[] = { { VALUE_SET, .s = STR("a\"b\\") },
				       { VALUE_NULL, .i = 0 },
				       { VALUE_SET, .s = STR("") } };
	const struct array array = { 3, items };
	const struct column text = { .type = COL_TEXT }, bytes = { .type = COL_BYTES },
			    stamp = { .type = COL_TIMESTAMPTZ }, date = { .type = COL_DATE },
			    flag = { .type = COL_BOOL }, number = { .type = COL_INT64 },
			    decimal = { .type = COL_DECIMAL, .precision = 12, .scale = 2 },
			    list = { .type = COL_ARRAY, .element = COL_TEXT };

	(void)state;
	assert_string_equal(printed(&number, (struct value){ VALUE_SET, .i = INT64_MIN }, &out),
			    "-9223372036854775808");
	assert_string_equal(printed(&flag, (struct value){ VALUE_SET, .b = true }, &out), "t");
	assert_string_equal(printed(&text, (struct value){ VALUE_SET, .s = STR("it's") }, &out),
			    "it's");
	assert_string_equal(printed(&bytes, (struct value){ VALUE_SET, .s = STR("\x01\xff") },
				    &out),
			    "\\x01ff");
	assert_string_equal(printed(&stamp, (struct value){ VALUE_SET, .i = 1000001 }, &out),
			    "1970-01-01 00:00:01.000001+00");
	assert_string_equal(printed(&date, (struct value){ VALUE_SET, .i = -1 }, &out),
			    "1969-12-31");
	assert_string_equal(printed(&date,
				    (struct value){ VALUE_UNREPRESENTABLE, .s = STR("infinity") },
				    &out),
			    "infinity");
	assert_string_equal(printed(&decimal,
				    (struct value){ VALUE_SET, .s = value_decimal(&a, -1205) },
				    &out),
			    "-12.05");
	assert_string_equal(printed(&list, (struct value){ VALUE_SET, .a = &array }, &out),
			    "{\"a\\\"b\\\\\",NULL,\"\"}");
	buf_free(&out);
	arena_free(&a);
}

static void test_quote(void **state)
{
	struct buf out = { 0 };

	(void)state;
	pg_quote(STR("it's"), &out);
	assert_string_equal(buf_z(&out), "'it''s'");
	buf_clear(&out);
	pg_quote(STR("a\\'b"), &out);
	assert_string_equal(buf_z(&out), " E'a\\\\''b'");
	buf_clear(&out);
	pg_quote((struct str){ NULL, 0 }, &out);
	assert_string_equal(buf_z(&out), "''");
	buf_free(&out);
}

static void test_sql(void **state)
{
	const struct str texts[] = { STR("5"), STR("x") };
	struct buf out = { 0 };

	(void)state;
	pg_key_compare(&key, texts, 2, ">", &out);
	assert_string_equal(buf_z(&out),
			    "(\"t\".\"id\", \"t\".\"na\"\"me\" COLLATE pg_catalog.\"C\") > "
			    "('5'::bigint, 'x'::public.citext)");
	buf_clear(&out);
	pg_key_compare(&key, texts, 1, "<=", &out);
	assert_string_equal(buf_z(&out), "(\"t\".\"id\") <= ('5'::bigint)");
	buf_clear(&out);
	pg_key_order(&key, &out);
	assert_string_equal(buf_z(&out),
			    "\"t\".\"id\", \"t\".\"na\"\"me\" COLLATE pg_catalog.\"C\"");
	buf_free(&out);
}

/* The type of an extension: its own operators, not those of text. */
static void test_operators(void **state)
{
	struct pg_key_column own[] = { columns[0], columns[1] };
	const struct pg_key mixed = { key.table, own, 2 };
	const struct str texts[] = { STR("5"), STR("x") };
	struct buf out = { 0 };

	(void)state;
	own[0].operators = STR("pg_catalog");
	own[1].operators = STR("ext");
	own[1].collate = false;
	pg_key_compare(&mixed, texts, 2, ">", &out);
	assert_string_equal(
		buf_z(&out),
		"(\"t\".\"id\" >= '5'::bigint AND (\"t\".\"id\" > '5'::bigint OR (\"t\".\"id\" = "
		"'5'::bigint AND (\"t\".\"na\"\"me\" OPERATOR(ext.>) 'x'::public.citext))))");
	buf_clear(&out);
	pg_key_compare(&mixed, texts, 2, "<=", &out);
	assert_string_equal(
		buf_z(&out),
		"(\"t\".\"id\" <= '5'::bigint AND (\"t\".\"id\" < '5'::bigint OR (\"t\".\"id\" = "
		"'5'::bigint AND (\"t\".\"na\"\"me\" OPERATOR(ext.<=) 'x'::public.citext))))");
	buf_clear(&out);
	own[0].operators = STR("ext");
	pg_key_compare(&mixed, texts, 2, "=", &out);
	assert_string_equal(buf_z(&out), "(\"t\".\"id\", \"t\".\"na\"\"me\") OPERATOR(ext.=) "
					 "('5'::bigint, 'x'::public.citext)");
	buf_free(&out);
}

static void test_bounds(void **state)
{
	static const struct str cases[] = {
		{ "x", 1 }, { "", 0 }, { "\xff\x01", 2 }, { "\"\\\n\x7f", 4 }, { "\xe2\x98\x83", 3 }
	};
	struct arena a = { 0 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct str texts[] = { STR("-5"), cases[i] };
		char *bound = pg_bound_make(&key, texts, 2);
		struct str back[2];
		size_t n;

		assert_true(utf8_valid(str_z(bound)));
		assert_int_equal(pg_bound_read(bound, &key, &a, back, &n, &err), 0);
		assert_int_equal(n, 2);
		assert_true(str_eqz(back[0], "-5"));
		assert_int_equal(back[1].n, cases[i].n);
		assert_memory_equal(back[1].p, cases[i].p, cases[i].n);
		free(bound);
	}
	arena_free(&a);
}

/* A bound of another key is none of this one: rows would be left out. */
static void test_other_bounds(void **state)
{
	static const char *const bad[] = { "",  "[]", "{}", "[\"\\\"id\\\" bigint\",\"5\"]",
					   "5", "[5]" };
	const struct str texts[] = { STR("5"), STR("x") };
	struct pg_key_column turned[] = { columns[1], columns[0] };
	const struct pg_key other = { key.table, turned, 2 };
	char *bound = pg_bound_make(&other, texts, 2);
	struct arena a = { 0 };
	struct error err;
	struct str back[2];
	size_t n;

	(void)state;
	assert_int_equal(pg_bound_read(bound, &key, &a, back, &n, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_int_equal(err.code, ESTALE);
	free(bound);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(pg_bound_read(bad[i], &key, &a, back, &n, &err), -1);
	/* the order alone, and one value too many */
	bound = pg_bound_make(&key, texts, 0);
	assert_int_equal(pg_bound_read(bound, &key, &a, back, &n, &err), -1);
	free(bound);
	const struct str three[] = { STR("1"), STR("2"), STR("3") };

	bound = pg_bound_make(&key, three, 3);
	assert_int_equal(pg_bound_read(bound, &key, &a, back, &n, &err), -1);
	free(bound);
	arena_free(&a);
}

static void test_cuts(void **state)
{
	int64_t at[8];

	(void)state;
	assert_int_equal(pg_cut_integers(0, 100, 4, at), 3);
	assert_int_equal(at[0], 25);
	assert_int_equal(at[2], 75);
	assert_int_equal(pg_cut_integers(INT64_MIN, INT64_MAX, 4, at), 3);
	assert_int_equal(at[1], -1);
	assert_true(at[0] < at[1] && at[1] < at[2]);
	assert_int_equal(pg_cut_integers(7, 7, 4, at), 0);
	assert_int_equal(pg_cut_integers(7, 8, 8, at), 1);
	assert_int_equal(at[0], 7);
	assert_int_equal(pg_cut_integers(0, 100, 1, at), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),    cmocka_unit_test(test_quote),
		cmocka_unit_test(test_sql),       cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_operators), cmocka_unit_test(test_other_bounds),
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
