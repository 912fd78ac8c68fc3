/*
 * test_command.c - flags and operands, help, mistakes on the command line
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../agent/command.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

static const char *path, *from;
static bool json;
static char *arguments[16];
static int first, count;
static char got[16384];

/* Runs command_flags() over the words; stdout and stderr go to `got`. */
static int flags(int most, const char *words)
{
	const struct flag table[] = { FLAG_CONFIG(path), FLAG_VALUE("from", "POS", from, "begin"),
				      FLAG_SWITCH("json", json, "as JSON"), FLAG_END };
	static char copy[256];
	char *rest;
	char name[] = "/tmp/test_command.XXXXXX";
	int out = mkstemp(name), keep[2] = { dup(1), dup(2) };

	path = "default";
	from = NULL;
	json = false;
	count = 0;
	snprintf(copy, sizeof copy, "%s", words);
	for (char *p = strtok_r(copy, " ", &rest); p; p = strtok_r(NULL, " ", &rest))
		arguments[count++] = p;
	assert_true(out >= 0 && keep[0] >= 0 && keep[1] >= 0);
	unlink(name);
	fflush(stdout);
	dup2(out, 1);
	dup2(out, 2);
	int rc = command_flags(count, arguments, table, most, &first);

	fflush(stdout);
	dup2(keep[0], 1);
	dup2(keep[1], 2);
	close(keep[0]);
	close(keep[1]);
	ssize_t n = pread(out, got, sizeof got - 1, 0);

	got[n > 0 ? n : 0] = '\0';
	close(out);
	return rc;
}

static void flags_are_read(void **state)
{
	(void)state;
	assert_int_equal(flags(0, "options"), -1);
	assert_string_equal(path, "default");
	assert_int_equal(first, count);
	assert_int_equal(flags(0, "options -c a.conf --json --from 1/0/2/3"), -1);
	assert_string_equal(path, "a.conf");
	assert_string_equal(from, "1/0/2/3");
	assert_true(json);
	assert_int_equal(flags(0, "options -ca.conf --from=x=y"), -1);
	assert_string_equal(path, "a.conf");
	assert_string_equal(from, "x=y");
	assert_int_equal(flags(0, "options --config a.conf --from --json"), -1);
	assert_string_equal(from, "--json"); /* an argument is whatever follows */
	assert_false(json);
}

static void operands_may_be_mixed_in(void **state)
{
	(void)state;
	assert_int_equal(flags(4, "options a --json b -c x - -- --from c"), EXIT_USAGE);
	assert_int_equal(flags(5, "options a --json b -c x - -- --from c"), -1);
	assert_true(json);
	assert_null(from);
	assert_int_equal(count - first, 5);
	static const char *const want[] = { "a", "b", "-", "--from", "c" };

	for (int i = 0; i < 5; i++)
		assert_string_equal(arguments[first + i], want[i]);
	assert_int_equal(flags(1, "options list --json"), -1);
	assert_string_equal(arguments[first], "list");
}

static void mistakes(void **state)
{
	static const char *const cases[][2] = {
		{ "options --jsn",
		  "tailrace: options: unknown option --jsn; the nearest is --json\n" },
		{ "options --verbose",
		  "tailrace: options: unknown option --verbose; see `tailrace options --help`\n" },
		{ "options -x",
		  "tailrace: options: unknown option -x; see `tailrace options --help`\n" },
		{ "options --json=1", "tailrace: options: --json takes no argument\n" },
		{ "options --from", "tailrace: options: --from needs an argument: POS\n" },
		{ "options -c", "tailrace: options: --config needs an argument: FILE\n" },
		{ "options a", "tailrace: options: unexpected argument 'a'; see `tailrace options "
			       "--help`\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(flags(0, cases[i][0]), EXIT_USAGE);
		assert_string_equal(got, cases[i][1]);
	}
}

static void help_has_usage_flags_and_example(void **state)
{
	(void)state;
	assert_int_equal(flags(0, "options --json --help --nonsense"), EXIT_DONE);
	assert_memory_equal(got, "usage: tailrace options [--format", 33);
	assert_non_null(strstr(got, "  -c, --config FILE         configuration file (default "
				    "/etc/tailrace/tailrace.conf)\n"));
	assert_non_null(strstr(got, "  --from POS                begin\n"));
	assert_non_null(strstr(got, "\nExample:\n  tailrace options --format conf"));
	assert_int_equal(flags(0, "options -h"), EXIT_DONE);
}

static void every_command_is_complete(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->name; c++) {
		assert_true(c->run && c->usage && *c->summary);
		assert_memory_equal(c->example, "tailrace ", 9);
		assert_memory_equal(c->example + 9, c->name, strlen(c->name));
		assert_ptr_equal(command_find(c->name), c);
	}
	assert_non_null(command_find("version"));
	assert_null(command_find("replay")); /* not there yet: unknown */
}

static void a_missing_configuration_is_said(void **state)
{
	struct error err;

	(void)state;
	assert_null(command_config("/nonexistent.conf"));
	fail_exit(&err, EXIT_FENCED, "fenced");
	assert_int_equal(command_failed(&err), EXIT_FENCED);
	assert_int_equal(command_usage("%d", 7), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_are_read),
		cmocka_unit_test(operands_may_be_mixed_in),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(help_has_usage_flags_and_example),
		cmocka_unit_test(every_command_is_complete),
		cmocka_unit_test(a_missing_configuration_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
