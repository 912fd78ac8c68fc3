/*
 * test_view.c - what commands draw for people
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "../../agent/view.h"

static void assert_bar(double share, size_t width, const char *want)
{
	AUTO(buf) struct buf out = { 0 };

	view_bar(&out, share, width);
	assert_string_equal(buf_z(&out), want);
}

static void bars(void **state)
{
	(void)state;
	setenv("LC_ALL", "C", 1);
	assert_bar(0, 4, "----");
	assert_bar(NAN, 4, "----");
	assert_bar(0.5, 4, "##--");
	assert_bar(0.999, 4, "###-");
	assert_bar(1, 4, "####");
	assert_bar(17, 4, "####");
	assert_bar(-1, 4, "----");
	setenv("LC_ALL", "", 1);
	setenv("LC_CTYPE", "de_DE.UTF-8", 1);
	assert_bar(0.5, 2, "\xe2\x96\x88\xe2\x96\x91");
}

static void numbers(void **state)
{
	static const struct {
		double v;
		const char *rows, *bytes, *span, *count;
	} cases[] = {
		{ NAN, "?", "?", "?", "?" },
		{ 0, "0", "0 B", "0.0 s", "0" },
		{ 9999, "9999", "9.8 kB", "2 h 46 min", "9999" },
		{ 12345, "12.3 k", "12 kB", "3 h 25 min", "12345" },
		{ 9876543, "9877 k", "9.4 MB", "114 days", "9876543" },
		{ 12345678, "12.3 M", "12 MB", "143 days", "12345678" },
	};
	char text[VIEW_SHORT];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(view_rows(cases[i].v, text), cases[i].rows);
		assert_string_equal(view_bytes(cases[i].v, text), cases[i].bytes);
		assert_string_equal(view_span(cases[i].v, text), cases[i].span);
		assert_string_equal(view_count(cases[i].v, text), cases[i].count);
	}
}

static void width(void **state)
{
	(void)state;
	setenv("COLUMNS", "132", 1);
	assert_int_equal(view_width(STDOUT_FILENO), 132);
	setenv("COLUMNS", "wide", 1);
	assert_int_equal(view_width(-1), 80);
	unsetenv("COLUMNS");
	assert_int_equal(view_width(-1), 80);
}

/* Text of a server does not steer the terminal. */
static void text(void **state)
{
	struct view v = { .colour = true };

	(void)state;
	view_put(&v, TONE_BAD, "a\033[2Jb\n");
	view_put(&v, TONE_PLAIN, "%d", 7);
	assert_string_equal(buf_z(&v.out), "\033[31ma?[2Jb\n\033[0m7");
	buf_free(&v.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bars),
		cmocka_unit_test(numbers),
		cmocka_unit_test(width),
		cmocka_unit_test(text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
