/*
 * test_binlog_json.c - MySQL's binary JSON: partial updates as servers wrote them, large documents, damage
 *
 * (The text of some fifty documents of each server is among the vectors of test_binlog_value.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error; a test fails with FAIL() */
#include "../../sources/binlog_value.h"

#include "mysql_vectors.h"

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

static struct str text_of(struct str binary, struct arena *a)
{
	struct error err = { 0 };
	struct str text;

	if (binlog_json_text(binary, a, &text, &err))
		FAIL("%s", err.text);
	return text;
}

/* EDGE 72 */
static void test_partial_updates(void **state)
{
	(void)state;
	assert_true(COUNT(partials) > 10);
	for (size_t i = 0; i < COUNT(partials); i++) {
		AUTO(arena) struct arena a = { 0 };
		struct error err = { 0 };
		struct str after;

		if (binlog_json_apply(partials[i].before, partials[i].diffs, &a, &after, &err))
			FAIL("%s: %s", partials[i].change, err.text);
		struct str text = text_of(after, &a);

		if (!str_eq(text, partials[i].after))
			FAIL("%s %s: %.*s is not %s", partials[i].server, partials[i].change,
			     STR_FMT(text), partials[i].after.p);
	}
}

static void add_diff(struct buf *b, char op, const char *path, struct str value)
{
	buf_addc(b, op);
	buf_addc(b, (char)strlen(path));
	buf_adds(b, path);
	if (op == 2)
		return;
	buf_addc(b, (char)value.n);
	buf_add(b, value.p, value.n);
}

#define ONE STR("\5\1\0")

static struct str applied(struct str binary, char op, const char *path, struct str value,
			  struct arena *a)
{
	AUTO(buf) struct buf b = { 0 };
	struct error err = { 0 };
	struct str out;

	add_diff(&b, op, path, value);
	if (binlog_json_apply(binary, (struct str){ b.p, b.n }, a, &out, &err)) {
		assert_int_equal(err.kind, ERR_FATAL);
		return (struct str){ NULL, 0 };
	}
	return out;
}

static void check(struct str binary, char op, const char *path, struct str value, const char *want)
{
	AUTO(arena) struct arena a = { 0 };
	struct str out = applied(binary, op, path, value, &a);

	if (!want) {
		if (out.p)
			FAIL("%s: %.*s, not refused", path, STR_FMT(text_of(out, &a)));
		return;
	}
	if (!out.p)
		FAIL("%s: refused", path);
	out = text_of(out, &a);
	if (!str_eqz(out, want))
		FAIL("%s: %.*s is not %s", path, STR_FMT(out), want);
}

enum { REPLACE, INSERT, REMOVE };

static void test_paths(void **state)
{
	/* {"a": [1, 2], "bb": "x"}: count 2, size 37; key entries at 4, value entries at 12, keys at 18, the array at 21, "x" at 35 */
	static const char bytes[] = "\0"
				    "\2\0\45\0"
				    "\22\0\1\0\23\0\2\0"
				    "\2\25\0\14\43\0"
				    "abb"
				    "\2\0\12\0\5\1\0\5\2\0\0\0\0\0"
				    "\1x";
	struct str d = { bytes, sizeof bytes - 1 };

	(void)state;
	check(d, REPLACE, "$.bb", ONE, "{\"a\": [1, 2], \"bb\": 1}");
	check(d, REPLACE, "$", ONE, "1");
	check(d, REPLACE, "$[0].bb", ONE, "{\"a\": [1, 2], \"bb\": 1}");
	check(d, REPLACE, "$.bb[0]", ONE, "{\"a\": [1, 2], \"bb\": 1}");
	check(d, REPLACE, "$.a[last]", ONE, "{\"a\": [1, 1], \"bb\": \"x\"}");
	check(d, REPLACE, "$.a[last-1]", ONE, "{\"a\": [1, 2], \"bb\": \"x\"}");
	check(d, REPLACE, "$.\"\\u0062b\"", ONE, "{\"a\": [1, 2], \"bb\": 1}");
	check(d, INSERT, "$.\"a\\\"\\\\/\\n\"", ONE,
	      "{\"a\": [1, 2], \"bb\": \"x\", \"a\\\"\\\\/\\n\": 1}");
	check(d, INSERT, "$.b", ONE, "{\"a\": [1, 2], \"b\": 1, \"bb\": \"x\"}");
	check(d, INSERT, "$.a[0]", ONE, "{\"a\": [1, 1, 2], \"bb\": \"x\"}");
	check(d, INSERT, "$.a[9]", ONE, "{\"a\": [1, 2, 1], \"bb\": \"x\"}");
	check(d, REMOVE, "$.a[1]", ONE, "{\"a\": [1], \"bb\": \"x\"}");
	check(d, REMOVE, "$.a", ONE, "{\"bb\": \"x\"}");
	/* What is not there, there already, or no path. */
	check(d, REPLACE, "$.c", ONE, NULL);
	check(d, REPLACE, "$.a[2]", ONE, NULL);
	check(d, REPLACE, "$.a.b", ONE, NULL);
	check(d, INSERT, "$.a", ONE, NULL);
	check(d, INSERT, "$.bb.c", ONE, NULL);
	check(d, INSERT, "$.bb[1]", ONE, NULL);
	check(d, REMOVE, "$", ONE, NULL);
	check(d, REMOVE, "$.c", ONE, NULL);
	for (size_t i = 0; i < 11; i++) {
		static const char *const bad[] = { "",
						   "a",
						   "$.",
						   "$a",
						   "$.a[",
						   "$.a[x]",
						   "$.\"a",
						   "$.\"\\x\"",
						   "$[1-2]",
						   "$.a[last",
						   "$.a[99999999999]" };

		check(d, REPLACE, bad[i], ONE, NULL);
	}
	check(d, 3, "$.a", ONE, NULL);
	check(d, REPLACE, "$.a", STR("\6"), NULL);
}

/* More than 64 kB, so with large containers; items of all kinds. */
static void test_large(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf diffs = { 0 };
	AUTO(buf) struct buf want = { 0 };
	static const char value[] = "\13\0\0\0\0\0\0\370\77"; /* 1.5 */
	struct error err = { 0 };
	struct str out;

	(void)state;
	buf_addc(&want, '[');
	for (int i = 0; i < 20000; i++) {
		add_diff(&diffs, INSERT, "$[99999]", i % 2 ? ONE : (struct str){ value, 9 });
		buf_adds(&want, i ? ", " : "");
		buf_adds(&want, i % 2 ? "1" : "1.5");
	}
	buf_addc(&want, ']');
	assert_int_equal(binlog_json_apply(STR("\2\0\0\4\0"), (struct str){ diffs.p, diffs.n }, &a,
					   &out, &err),
			 0);
	assert_true(out.n > 65536);
	out = text_of(out, &a);
	assert_true(str_eq(out, (struct str){ want.p, want.n }));
}

static void refused(struct str binary)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct str out;

	assert_int_equal(binlog_json_text(binary, &a, &out, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
}

static void test_damage(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct str out;

	(void)state;
	assert_true(str_eqz(text_of(STR(""), &a), "null"));
	refused(STR("\5\1"));                      /* half a number */
	refused(STR("\4\3"));                      /* no such literal */
	refused(STR("\15x"));                      /* no such type */
	refused(STR("\14\5abc"));                  /* a string past the end */
	refused(STR("\14\377\377\377\377\377\1")); /* a length without end */
	refused(STR("\2\1\0\4\0"));                /* an item where there is no room */
	refused(STR("\2\1\0\7\0\14\377\0"));       /* an offset past the end */
	refused(STR("\2\377\377\7\0\14\4\0"));     /* more items than bytes */
	refused(STR("\2\1\0\7\0\2\0\0"));          /* a container inside itself */
	refused(STR("\17\366\3\5\2\1"));           /* a decimal cut short */
	refused(STR("\17\14\3\0\0\0"));            /* a datetime too */
	assert_int_equal(binlog_json_apply(STR("\2\1\0\7\0\2\0\0"), STR("\2\1$"), &a, &out, &err),
			 -1);
	assert_int_equal(binlog_json_apply(STR("\5\1\0"), STR("\0\1"), &a, &out, &err), -1);
}

/* Each byte of real documents turned over, and each cut: refused or some text, never more than memory allows. */
static void test_every_damage(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * 8; i++) {
		struct str d = partials[0].before;
		AUTO(arena) struct arena a = { 0 };

		for (size_t k = 0; k < d.n; k++) {
			struct str copy = arena_copy(&a, d), out;
			struct error err = { 0 };
			char *p = arena_alloc(&a, d.n);

			memcpy(p, copy.p, d.n);
			p[k] = (char)(i < 8    ? (unsigned)p[k] ^ 1u << i
				      : i < 16 ? i * 17
					       : (unsigned)p[k] + i);
			if (binlog_json_text((struct str){ p, d.n }, &a, &out, &err) == 0)
				assert_true(out.n < 100000);
			if (binlog_json_text((struct str){ p, k }, &a, &out, &err) == 0)
				assert_true(out.n < 100000);
			if (binlog_json_apply((struct str){ p, d.n }, partials[0].diffs, &a, &out,
					      &err) == 0)
				assert_true(out.n < 100000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partial_updates), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_large),           cmocka_unit_test(test_damage),
		cmocka_unit_test(test_every_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
