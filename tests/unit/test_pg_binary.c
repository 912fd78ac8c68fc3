/*
 * test_pg_binary.c - hundreds of values that a real server printed in both forms: both decoders give
 * the same, and it is what the server says
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_fixture.h"
#include "avro.h"
#include "pg_vectors.h"

static bool same(const struct column *c, const struct value *a, const struct value *b)
{
	if (a->state != b->state)
		return false;
	if (a->state == VALUE_UNREPRESENTABLE)
		return str_eq(a->s, b->s);
	switch (c->type) {
	case COL_BOOL:
		return a->b == b->b;
	case COL_FLOAT:
	case COL_DOUBLE:
		/* By bits: -0 is not 0.  NaN has one meaning but many forms. */
		return memcmp(&a->d, &b->d, sizeof a->d) == 0 || (a->d != a->d && b->d != b->d);
	case COL_TEXT:
	case COL_DECIMAL:
	case COL_BYTES:
	case COL_UUID:
	case COL_JSON:
		return str_eq(a->s, b->s);
	default:
		return a->i == b->i;
	}
}

/* The value as the server said it: the number, or the characters. */
static void check_says(const struct column *c, const struct value *v, struct str text,
		       const char *says)
{
	AUTO(buf) struct buf out = { 0 };

	if (strcmp(says, "-") == 0) {
		assert_int_equal(v->state, VALUE_UNREPRESENTABLE);
		assert_true(str_eq(v->s, text));
		return;
	}
	assert_int_equal(v->state, VALUE_SET);
	if (strcmp(says, "=") != 0) {
		if (c->type == COL_DECIMAL)
			decimal_format(v->s, 0, &out);
		else
			buf_addf(&out, "%" PRId64, v->i);
		if (c->type == COL_DECIMAL && strncmp(says, "-0", 2) == 0)
			says++;
		assert_string_equal(buf_z(&out), says);
	} else if (c->type == COL_TEXT || c->type == COL_JSON || c->type == COL_UUID) {
		assert_true(str_eq(v->s, text));
	}
}

/* EDGE 29, EDGE 30, EDGE 31, EDGE 33, EDGE 37, EDGE 38 */
static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct column c = fixture_column(vectors[i].oid, vectors[i].mod, &a);
		struct value text = { 0 }, binary = { 0 };
		struct error err = { 0 };

		assert_str(c.native, vectors[i].native);
		assert_true(pg_binary_known(c.native_id));
		if (pg_value_text(&c, vectors[i].text, &a, &text, &err) ||
		    pg_value_binary(&c, vectors[i].binary, &a, &binary, &err))
			FAIL("%s %s: %s", vectors[i].native, vectors[i].text.p, err.text);
		if (!same(&c, &text, &binary))
			FAIL("%s %s: the decoders differ", vectors[i].native, vectors[i].text.p);
		check_says(&c, &text, vectors[i].text, vectors[i].says);
	}
}

/* A form that is cut off, or longer, is never a value. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct column c = fixture_column(vectors[i].oid, vectors[i].mod, &a);
		struct value v = { 0 };
		struct error err = { 0 };
		struct str cut = vectors[i].binary;
		bool any_length = c.type == COL_BYTES || c.type == COL_JSON ||
				  (c.type == COL_TEXT &&
				   (c.native_id == PG_TEXT || c.native_id == PG_VARCHAR ||
				    c.native_id == PG_BPCHAR || c.native_id == PG_NAME ||
				    c.native_id == PG_XML || c.native_id == PG_ANYENUM));

		if (any_length)
			continue;
		for (cut.n = 0; cut.n < vectors[i].binary.n && cut.n < 64; cut.n++) {
			assert_int_equal(pg_value_binary(&c, cut, &a, &v, &err), -1);
			assert_int_equal(err.kind, ERR_FATAL);
			assert_int_equal(v.state, VALUE_ABSENT);
		}
	}
}

static int decode(uint32_t oid, struct str wire, struct arena *a, struct value *v,
		  struct error *err)
{
	struct column c = fixture_column(oid, -1, a);

	return pg_value_binary(&c, wire, a, v, err);
}

static void refused(uint32_t oid, struct str wire)
{
	AUTO(arena) struct arena a = { 0 };
	struct value v = { 0 };
	struct error err = { 0 };

	if (decode(oid, wire, &a, &v, &err) == 0)
		FAIL("OID %u: taken", oid);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_contains(err.text, "column x");
}

static void test_refused(void **state)
{
	(void)state;
	refused(PG_BOOL, STR("\002"));
	refused(PG_INT4, STR("\0\0\0\0\0"));
	refused(PG_JSONB, STR("\002{}"));
	refused(PG_TIME, STR("\377\377\377\377\377\377\377\377"));
	refused(PG_TIME, STR("\0\0\0\024\035\327\140\001")); /* 24:00:00.000001 */
	refused(PG_TIMETZ, STR("\377\377\377\377\377\377\377\377\0\0\0\0"));
	refused(PG_NUMERIC, STR("\0\001\0\0\0\0\0\0\047\020")); /* digit 10000 */
	refused(PG_NUMERIC, STR("\0\0\0\0\022\064\0\0"));       /* sign */
	refused(PG_NUMERIC, STR("\0\0\0\0\0\0\100\0"));         /* dscale */
	refused(PG_INET, STR("\004\040\0\004\177\0\0\001"));
	refused(PG_INET, STR("\002\041\0\004\177\0\0\001"));
	refused(PG_INET, STR("\002\040\0\005\177\0\0\001"));
	refused(PG_BIT, STR("\377\377\377\377\0"));
	refused(PG_CHAR, STR("ab"));
	refused(T_POINT, STR("\0\0\0\0"));
	refused(1007, STR("\0\0\0\0\0\0\0\0\0\0\0\027"));
}

/* EDGE 29: the largest number there is has two bytes of digits and 131072 characters. */
static void test_largest_numeric(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct value v = { 0 };
	struct column c = fixture_column(PG_NUMERIC, (18 << 16 | 4) + 4, &a);

	(void)state;
	assert_int_equal(decode(PG_NUMERIC, STR("\0\001\177\377\0\0\0\0\003\350"), &a, &v, &err),
			 0);
	assert_int_equal(v.s.n, 131072);
	assert_int_equal(v.s.p[0], '1');
	assert_int_equal(v.s.p[131071], '0');
	/* As a decimal column it does not fit, and is told as text. */
	assert_int_equal(pg_value_binary(&c, STR("\0\001\177\377\0\0\0\0\003\350"), &a, &v, &err),
			 0);
	assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
	assert_int_equal(v.s.n, 131072);
}

/* EDGE 33: infinite intervals, PostgreSQL 17; "char" as PostgreSQL 16 prints it */
static void test_newer_servers(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct value v = { 0 };

	(void)state;
	assert_int_equal(
		decode(PG_INTERVAL,
		       STR("\177\377\377\377\377\377\377\377\177\377\377\377\177\377\377\377"), &a,
		       &v, &err),
		0);
	assert_str(v.s, "infinity");
	assert_int_equal(decode(PG_INTERVAL, STR("\200\0\0\0\0\0\0\0\200\0\0\0\200\0\0\0"), &a, &v,
				&err),
			 0);
	assert_str(v.s, "-infinity");
	assert_int_equal(decode(PG_CHAR, STR("\377"), &a, &v, &err), 0);
	assert_str(v.s, "\\377");
	assert_int_equal(decode(PG_CHAR, STR("\0"), &a, &v, &err), 0);
	assert_str(v.s, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),       cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_largest_numeric),
		cmocka_unit_test(test_newer_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
