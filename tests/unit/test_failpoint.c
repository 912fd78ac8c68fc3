/*
 * test_failpoint.c - failpoints kill, or fail a call, at exactly the passing that was asked for
 *
 * Built with FAILPOINTS whatever the rest is built with: the module's own text is included.
 */
#ifndef FAILPOINTS
#define FAILPOINTS
#endif
#include "../../agent/failpoint.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Runs f in a child of its own, since the list is read once a process; gives wait()'s status. */
static int in_child(const char *list, int (*f)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (list)
			setenv("TAILRACE_FAILPOINT", list, 1);
		else
			unsetenv("TAILRACE_FAILPOINT");
		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		_exit(f());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int pass_synced_four_times(void)
{
	for (int i = 0; i < 4; i++) {
		failpoint("appended");
		failpoint("synced");
	}
	return 7;
}

static int pass_synced_twice(void)
{
	failpoint("synced");
	failpoint("synced");
	return 7;
}

static int calls(void)
{
	int bits = 0;

	for (int i = 0; i < 5; i++)
		if (failpoint_errno("spool_write") == ENOSPC)
			bits |= 1 << i;
	return bits;
}

static int both_kinds_of_one_name(void)
{
	return failpoint_errno("synced") == EIO ? 7 : 8;
}

static bool killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_kills_at_the_nth_passing(void **state)
{
	(void)state;
	assert_true(killed(in_child("synced:3", pass_synced_four_times)));
	assert_true(killed(in_child("synced:2", pass_synced_twice)));
	assert_int_equal(WEXITSTATUS(in_child("synced:3", pass_synced_twice)), 7);
}

static void test_first_passing_is_the_default(void **state)
{
	(void)state;
	assert_true(killed(in_child("appended", pass_synced_four_times)));
	assert_true(killed(in_child("renamed:1,synced", pass_synced_twice)));
}

static void test_nothing_without_the_variable(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(in_child(NULL, pass_synced_four_times)), 7);
	assert_int_equal(WEXITSTATUS(in_child("", pass_synced_four_times)), 7);
	assert_int_equal(WEXITSTATUS(in_child("renamed", pass_synced_four_times)), 7);
}

static void test_calls_fail_once_or_onwards(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(in_child("spool_write=ENOSPC", calls)), 1);
	assert_int_equal(WEXITSTATUS(in_child("spool_write=ENOSPC:2", calls)), 2);
	assert_int_equal(WEXITSTATUS(in_child("spool_write=ENOSPC:3+", calls)), 4 + 8 + 16);
	assert_int_equal(WEXITSTATUS(in_child("spool_write=EIO:1+", calls)), 0);
}

static void test_kill_and_failure_do_not_mix(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(in_child("synced:1", both_kinds_of_one_name)), 8);
	assert_int_equal(WEXITSTATUS(in_child("synced=EIO", both_kinds_of_one_name)), 7);
	assert_int_equal(WEXITSTATUS(in_child("synced=EIO", pass_synced_twice)), 7);
}

/* Asleep at the second passing, awake again by SIGCONT, and asleep no more. */
static void test_stops(void **state)
{
	(void)state;
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		setenv("TAILRACE_FAILPOINT", "synced=STOP:2", 1);
		_exit(pass_synced_four_times());
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_unreadable_list_aborts(void **state)
{
	static const char *const bad[] = { "synced:0",        "synced:x", "synced:2x", "synced:2+",
					   "synced=ENOTHING", "=EIO",     ":2" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int status = in_child(bad[i], pass_synced_twice);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_at_the_nth_passing),
		cmocka_unit_test(test_first_passing_is_the_default),
		cmocka_unit_test(test_nothing_without_the_variable),
		cmocka_unit_test(test_calls_fail_once_or_onwards),
		cmocka_unit_test(test_kill_and_failure_do_not_mix),
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_unreadable_list_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
