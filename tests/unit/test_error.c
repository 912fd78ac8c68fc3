/*
 * test_error.c - errors are filled, prefixed, cut at their size
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

static void an_error_says_all(void **state)
{
	struct error err;

	(void)state;
	memset(&err, 'x', sizeof err);
	assert_int_equal(error_set(&err, ERR_RETRY, 0, "a.c", 7, "slot %s", "erp"), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_int_equal(err.code, 0);
	assert_int_equal(err.item, 0);
	assert_string_equal(err.file, "a.c");
	assert_int_equal(err.line, 7);
	assert_string_equal(err.text, "slot erp");
	assert_int_equal(error_exit(&err), EXIT_FAILED);
	assert_int_equal(fail_exit(&err, EXIT_FENCED, "fence %d", 7), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_int_equal(error_exit(&err), EXIT_FENCED);
	assert_true(err.line > 0 && err.line < __LINE__);
}

static void context_is_added_in_front(void **state)
{
	struct error err;

	(void)state;
	fail_exit(&err, EXIT_LOG_GONE, "it is gone");
	assert_int_equal(error_prefix(&err, "slot %s", "erp"), -1);
	assert_string_equal(err.text, "slot erp: it is gone");
	error_prefix(&err, "source");
	assert_string_equal(err.text, "source: slot erp: it is gone");
	assert_int_equal(error_exit(&err), EXIT_LOG_GONE);
}

static void long_texts_are_cut(void **state)
{
	struct error err;
	char big[3000];

	(void)state;
	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	fail_exit(&err, 1, "%s", big);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	error_prefix(&err, "front");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_memory_equal(err.text, "front: bbb", 10);
	/* A prefix longer than half of the room is cut: the place and what happened both stay. */
	big[0] = 'p';
	error_prefix(&err, "%s", big);
	assert_memory_equal(err.text, "pbb", 3);
	assert_memory_equal(err.text + sizeof err.text / 2 - 3, "...: front: bbb", 15);
	assert_true(strlen(err.text) < sizeof err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_says_all),
		cmocka_unit_test(context_is_added_in_front),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
