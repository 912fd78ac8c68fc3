/*
 * test_charset.c - every code of every character set is what real servers say; what is no text is told
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error; a test fails with FAIL() */
#include "../../sources/mysql_charset.h"
#include "charset_vectors.h"

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
	for (const uint8_t *p = bytes; n--; p++)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	return h;
}

struct sum {
	unsigned codes;
	uint64_t hash;
};

/* Adds the code if it is one character. */
static void add_code(struct sum *sum, const struct charset *c, uint32_t code, size_t n,
		     struct arena *a)
{
	uint32_t be = htobe32(code);
	struct str in = { (const char *)&be + 4 - n, n }, out;

	if (!charset_to_utf8(c, in, a, &out) || utf8_length((const uint8_t *)out.p, out.n) != out.n)
		return;
	sum->codes++;
	sum->hash = fnv(fnv(sum->hash, &be, 4), out.p, out.n);
}

static void check_charset(const char *name, unsigned codes, uint64_t hash)
{
	AUTO(arena) struct arena a = { 0 };
	const struct charset *c = charset_by_name(str_z(name));
	struct sum sum = { 0, UINT64_C(0xcbf29ce484222325) };

	assert_non_null(c);
	assert_string_equal(charset_name(c), name);
	for (uint32_t code = 0; code < 0x100; code++)
		add_code(&sum, c, code, 1, &a);
	for (uint32_t code = 0x8000; code < 0x10000 && charset_max_bytes(c) > 1; code++)
		add_code(&sum, c, code, 2, &a);
	for (uint32_t code = 0x8f8000; code < 0x900000 && charset_max_bytes(c) > 2; code++)
		add_code(&sum, c, code, 3, &a);
	for (uint32_t i = 0; i < 39420 && strcmp(name, "gb18030") == 0; i++)
		add_code(&sum, c,
			 (0x81 + i / 12600) << 24 | (0x30 + i / 1260 % 10) << 16 |
				 (0x81 + i / 10 % 126) << 8 | (0x30 + i % 10),
			 4, &a);
	if (sum.codes != codes || sum.hash != hash)
		FAIL("%s: %u codes, not %u, or other characters", name, sum.codes, codes);
}

/* EDGE 69 */
static void test_every_code(void **state)
{
	(void)state;
	assert_int_equal(COUNT(charset_hashes), 33);
	for (size_t i = 0; i < COUNT(charset_hashes); i++)
		check_charset(charset_hashes[i].name, charset_hashes[i].codes,
			      charset_hashes[i].hash);
}

static void test_every_collation(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(collations); i++) {
		const struct charset *c = charset_by_collation(collations[i].id);

		if (strcmp(collations[i].name, "binary") == 0) {
			assert_null(c);
			continue;
		}
		if (!c || strcmp(charset_name(c), collations[i].name) != 0)
			FAIL("collation %u: %s", collations[i].id, c ? charset_name(c) : "none");
	}
	assert_null(charset_by_collation(0));
	assert_null(charset_by_collation(17));
	assert_null(charset_by_collation(1024));
	assert_null(charset_by_collation(1024 + 63));
	assert_null(charset_by_collation(65535));
}

static void check(const char *name, struct str in, bool valid, const char *want)
{
	AUTO(arena) struct arena a = { 0 };
	struct str out;

	if (charset_to_utf8(charset_by_name(str_z(name)), in, &a, &out) != valid)
		FAIL("%s: %s is %s", name, want, valid ? "refused" : "taken");
	if (!str_eqz(out, want))
		FAIL("%s: %.*s is not %s", name, STR_FMT(out), want);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(charset_name(charset_by_name(STR("utf8"))), "utf8mb3");
	assert_int_equal(charset_max_bytes(charset_by_name(STR("utf8"))), 3);
	assert_int_equal(charset_max_bytes(charset_by_name(STR("utf8mb4"))), 4);
	assert_int_equal(charset_max_bytes(charset_by_name(STR("gb18030"))), 4);
	assert_int_equal(charset_max_bytes(charset_by_name(STR("ujis"))), 3);
	assert_null(charset_by_name(STR("binary")));
	assert_null(charset_by_name(STR("klingon")));
	assert_null(charset_by_name(STR("")));
}

static void test_unicode(void **state)
{
	(void)state;
	check("ucs2", STR("\0a\0\374\145\345"), true, "aü日");
	check("utf16", STR("\0a\145\345\330\75\336\0"), true, "a日😀");
	check("utf16le", STR("a\0\345\145\75\330\0\336"), true, "a日😀");
	check("utf32", STR("\0\0\0a\0\1\366\0"), true, "a😀");
	check("gb18030", STR("\224\71\374\66"), true, "😀");
	check("latin1", STR("\200\201\374"), true, "€\302\201ü");
	check("swe7", STR("}{|"), true, "åäö");
	check("sjis", STR("\225\134\134"), true, "表\\");
	check("ujis", STR("\216\261\217\260\241"), true, "ｱ丂");
}

#define BAD "\357\277\275"

/* EDGE 70 */
static void test_invalid(void **state)
{
	(void)state;
	check("utf8mb4", STR("a\377b"), false, "a" BAD "b");
	check("utf8mb4", STR("\303"), false, BAD);
	check("utf8mb3", STR("\355\240\200"), false, BAD BAD BAD);
	check("ascii", STR("a\303\274"), false, "a" BAD BAD);
	check("gbk", STR("\326\320\377a"), false, "中" BAD "a");
	check("gbk", STR("\326"), false, BAD);
	check("cp1250", STR("\201x"), false, BAD "x");
	check("ucs2", STR("\0a\0"), false, "a" BAD);
	check("ucs2", STR("\330\75\336\0\0a"), false, BAD BAD "a");
	check("utf16", STR("\330\75\0a"), false, BAD "a");
	check("utf16", STR("\330\75"), false, BAD);
	check("utf32", STR("\0\21\0\0\0\0\0a"), false, BAD "a");
	check("utf32", STR("\0\0\0"), false, BAD BAD BAD);
	check("gb18030", STR("\377\60\201\60"), false, BAD "0" BAD "0");
	check("gb18030", STR("\343\62\232\66"), false, BAD "2" BAD "6");
	check("ujis", STR("\217\260"), false, BAD BAD);
}

/* What needs no change is not copied; blocks of eight bytes end where they may. */
static void test_in_place(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	char text[64];
	struct str out;

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t n = 0; n < 40; n++) {
		struct str in = { text, n };

		assert_true(charset_to_utf8(charset_by_name(STR("latin1")), in, &a, &out));
		assert_ptr_equal(out.p, text);
		assert_true(utf8_valid(in));
		for (size_t i = 0; i < n; i++) {
			text[i] = (char)0xff;
			assert_false(utf8_valid(in));
			if (i + 1 < n) {
				memcpy(text + i, "\303\274", 2);
				assert_true(utf8_valid(in));
			}
			if (i + 2 < n) {
				memcpy(text + i, "\346\227\245", 3);
				assert_true(utf8_valid(in));
				assert_false(utf8_valid((struct str){ text, i + 2 }));
			}
			memset(text, 'x', sizeof text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code), cmocka_unit_test(test_every_collation),
		cmocka_unit_test(test_names),      cmocka_unit_test(test_unicode),
		cmocka_unit_test(test_invalid),    cmocka_unit_test(test_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
