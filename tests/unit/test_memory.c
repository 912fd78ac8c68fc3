/*
 * test_memory.c - slices, arena, buffer, cursor
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory.h"

static void slices(void **state)
{
	(void)state;
	assert_null(str_z(NULL).p);
	assert_int_equal(str_z("abc").n, 3);
	assert_true(str_eq(STR("a\0b"), (struct str){ "a\0b", 3 }));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_false(str_eq(STR("ab"), STR("abc")));
	assert_true(str_eq((struct str){ NULL, 0 }, STR("")));
	assert_true(str_eqz(STR("ab"), "ab"));
	assert_false(str_eqz(STR("ab"), "abc"));
	assert_false(str_eqz(STR("ab"), "a"));
	AUTO(free) char *copy = xstrndup("abc", 2);
	AUTO(free) char *none = xstrndup(NULL, 0);
	AUTO(free) char *text = xasprintf("%d-%s", 7, "x");
	AUTO(free) char *nothing = xmalloc(0);

	assert_string_equal(copy, "ab");
	assert_string_equal(none, "");
	assert_string_equal(text, "7-x");
	assert_non_null(nothing);
}

static void arena_gives_aligned_memory(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	size_t used = 0;

	(void)state;
	for (size_t n = 0; n < 3000; n++) {
		char *p = arena_alloc(&a, n);

		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xff, n);
		assert_true(a.used >= used + n);
		used = a.used;
	}
	char *zero = arena_zalloc(&a, 100);

	for (int i = 0; i < 100; i++)
		assert_int_equal(zero[i], 0);
	char *big = arena_alloc(&a, 5 << 20);

	memset(big, 1, 5 << 20);
	assert_string_equal(arena_printf(&a, "%s/%d", "x", 7), "x/7");
	struct str s = arena_copy(&a, STR("a\0b"));

	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "a\0b\0", 4);
	assert_null(arena_copy(&a, str_z(NULL)).p);
	assert_non_null(arena_copy(&a, STR("")).p);
}

static void arena_reset_keeps_one_block(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	char *first = arena_alloc(&a, 100);

	(void)state;
	arena_alloc(&a, 2 << 20); /* too large to be kept */
	arena_alloc(&a, 2 << 20);
	arena_reset(&a);
	assert_int_equal(a.used, 0);
	assert_ptr_equal(arena_alloc(&a, 100), first);
	arena_free(&a);
	assert_null(a.head);
	arena_reset(&a); /* of an empty one */
	assert_non_null(arena_alloc(&a, 1));
}

static int released;

static void count_release(void *p)
{
	released += *(int *)p;
	free(p);
}

static int *adopted(int value)
{
	int *p = xmalloc(sizeof *p);

	*p = value;
	return p;
}

static void arena_frees_what_it_adopts(void **state)
{
	struct arena a = { 0 };

	(void)state;
	released = 0;
	arena_adopt(&a, adopted(1), 1000, count_release);
	arena_adopt(&a, adopted(10), 1000, count_release);
	assert_true(a.used >= 2000);
	arena_reset(&a);
	assert_int_equal(released, 11);
	arena_adopt(&a, adopted(100), 1, count_release);
	arena_free(&a);
	assert_int_equal(released, 111);
}

static void buffers_grow(void **state)
{
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	assert_string_equal(buf_z(&b), "");
	for (int i = 0; i < 10000; i++)
		buf_addf(&b, "%d,", i % 10);
	assert_int_equal(b.n, 20000);
	assert_memory_equal(b.p, "0,1,2,", 6);
	buf_clear(&b);
	buf_add(&b, "a\0b", 3);
	buf_add(&b, NULL, 0);
	buf_addc(&b, 'c');
	buf_adds(&b, "d");
	assert_int_equal(b.n, 5);
	assert_memory_equal(buf_z(&b), "a\0bcd", 6);
	assert_int_equal(b.n, 5); /* the NUL does not count */
	assert_false(b.overflow);
}

static void buffers_have_a_maximum(void **state)
{
	AUTO(buf) struct buf b = { .max = 10 };

	(void)state;
	buf_adds(&b, "0123456789");
	assert_false(b.overflow);
	assert_string_equal(buf_z(&b), "0123456789"); /* the NUL is beyond it */
	buf_addc(&b, 'x');
	assert_true(b.overflow);
	assert_int_equal(b.n, 10);
	assert_string_equal(buf_z(&b), "0123456789");
	assert_true(b.overflow); /* stays */
	buf_clear(&b);
	assert_false(b.overflow);
	assert_null(buf_more(&b, 11));
	assert_null(buf_more(&b, 1)); /* after an overflow nothing is added */
	buf_free(&b);
	assert_int_equal(b.max, 10);
	buf_adds(&b, "01234567890");
	assert_true(b.overflow);
	assert_int_equal(b.n, 0);
}

static void numbers(void **state)
{
	static const uint64_t values[] = { 0, 9, 10, 4294967296, UINT64_MAX };
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		buf_addu(&b, values[i]);
		buf_addc(&b, ' ');
	}
	assert_string_equal(buf_z(&b), "0 9 10 4294967296 18446744073709551615 ");
}

static void json_is(struct str text, const char *want)
{
	AUTO(buf) struct buf b = { 0 };

	buf_json(&b, text);
	assert_string_equal(buf_z(&b), want);
}

static void json_strings(void **state)
{
	(void)state;
	json_is(STR(""), "\"\"");
	json_is(STR("a\"\\/b"), "\"a\\\"\\\\/b\"");
	json_is(STR("\n\t\x01\x7f"), "\"\\u000a\\u0009\\u0001\\u007f\"");
	json_is(STR("a\0b"), "\"a\\u0000b\"");
	json_is(STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	json_is(STR("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* overlong */
	json_is(STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* surrogate */
	json_is(STR("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* cut */
	json_is(STR("\xf4\x90\x80\x80x"),
		"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""); /* past U+10FFFF */
	json_is(STR("\xff"), "\"\xef\xbf\xbd\"");
}

static void utf8_lengths(void **state)
{
	static const struct {
		const char *p;
		size_t n, length;
	} cases[] = {
		{ "a", 1, 1 },
		{ "\0", 1, 1 },
		{ "\x7f", 1, 1 },
		{ "\x80", 1, 0 },
		{ "\xc2\x80", 2, 2 },
		{ "\xc1\xbf", 2, 0 },
		{ "\xc2\x7f", 2, 0 },
		{ "\xe0\xa0\x80", 3, 3 },
		{ "\xe0\x9f\xbf", 3, 0 },
		{ "\xed\x9f\xbf", 3, 3 },
		{ "\xed\xa0\x80", 3, 0 },
		{ "\xee\x80\x80", 3, 3 },
		{ "\xef\xbf\xbf", 3, 3 },
		{ "\xef\xbf\xbf", 2, 0 },
		{ "\xf0\x90\x80\x80", 4, 4 },
		{ "\xf0\x8f\xbf\xbf", 4, 0 },
		{ "\xf4\x8f\xbf\xbf", 4, 4 },
		{ "\xf4\x90\x80\x80", 4, 0 },
		{ "\xf5\x80\x80\x80", 4, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(utf8_length((const uint8_t *)cases[i].p, cases[i].n),
				 cases[i].length);
}

static void cursors_read_numbers(void **state)
{
	struct cursor c =
		cursor_of(STR("\x01\x01\x02\x01\x02\x01\x02\x03\x04\x01\x02\x03\x04"
			      "\xf1\x02\x03\x04\x05\x06\x07\x08\xf1\x02\x03\x04\x05\x06\x07\x08"
			      "abc\0rest"));

	(void)state;
	assert_int_equal(get_u8(&c), 1);
	assert_int_equal(get_u16be(&c), 0x0102);
	assert_int_equal(get_u16le(&c), 0x0201);
	assert_int_equal(get_u32be(&c), 0x01020304);
	assert_int_equal(get_u32le(&c), 0x04030201);
	assert_int_equal(get_u64be(&c), UINT64_C(0xf102030405060708));
	assert_int_equal(get_u64le(&c), UINT64_C(0x08070605040302f1));
	assert_true(str_eqz(get_cstr(&c), "abc"));
	assert_int_equal(cursor_left(&c), 4);
	assert_true(str_eqz(get_bytes(&c, 4), "rest"));
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(get_bytes(&c, 0).n, 0);
	assert_false(c.bad);
}

static void cursors_are_sticky(void **state)
{
	struct cursor c = cursor_of(STR("\x01\x02\x03"));

	(void)state;
	assert_int_equal(get_u32be(&c), 0);
	assert_true(c.bad);
	assert_int_equal(get_u8(&c), 0); /* though a byte is there */
	assert_int_equal(cursor_left(&c), 0);
	assert_null(get_bytes(&c, 0).p);
	assert_null(get_cstr(&c).p);
	c = cursor_of(STR("abc")); /* no NUL */
	assert_null(get_cstr(&c).p);
	assert_true(c.bad);
	c = cursor_of(STR("abc"));
	assert_null(get_bytes(&c, SIZE_MAX).p);
	assert_true(c.bad);
	c = cursor_of(STR(""));
	assert_int_equal(get_u8(&c), 0);
	assert_true(c.bad);
}

static void descriptors_are_closed(void **state)
{
	int copy;

	(void)state;
	{
		AUTO(fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		AUTO(fd) int none = -1;

		(void)none;
		copy = fd;
		assert_int_not_equal(fcntl(copy, F_GETFD), -1);
	}
	assert_int_equal(fcntl(copy, F_GETFD), -1);
}

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
/* No memory: one line on stderr, then abort().  A sanitizer needs more than any limit. */
static void running_out_aborts(void **state)
{
	int pipes[2], status;
	char text[64] = "";

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit core = { 0, 0 }, memory = { 64 << 20, 64 << 20 };

		dup2(pipes[1], STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &core);
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_AS, &memory);
		free(xmalloc((size_t)128 << 20));
		_exit(0);
	}
	close(pipes[1]);
	assert_true(read(pipes[0], text, sizeof text - 1) > 0);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(text, "tailrace: out of memory\n");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices),
		cmocka_unit_test(arena_gives_aligned_memory),
		cmocka_unit_test(arena_reset_keeps_one_block),
		cmocka_unit_test(arena_frees_what_it_adopts),
		cmocka_unit_test(buffers_grow),
		cmocka_unit_test(buffers_have_a_maximum),
		cmocka_unit_test(numbers),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(utf8_lengths),
		cmocka_unit_test(cursors_read_numbers),
		cmocka_unit_test(cursors_are_sticky),
		cmocka_unit_test(descriptors_are_closed),
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
		cmocka_unit_test(running_out_aborts),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
