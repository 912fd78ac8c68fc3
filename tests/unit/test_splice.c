/*
 * test_splice.c - the splice in tens of thousands of random schedules, and with each rule left out
 *
 * MODEL=n runs n schedules of each flavour (make model: a million), and looks whether what is not needed never is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "splice_model.h"

#define SCHEDULES 10000
#define SEARCH    200000 /* at most so many until one goes wrong */

static uint64_t schedules(uint64_t otherwise)
{
	const char *text = getenv("MODEL");
	long n = text ? strtol(text, NULL, 10) : 0;

	return n > 0 ? (uint64_t)n : otherwise;
}

static void all_right(enum flavour flavour)
{
	struct model_counts n = { 0 };

	for (uint64_t seed = 1; seed <= schedules(SCHEDULES); seed++) {
		const struct model_config c = { flavour, RULES, PROMISES, seed };
		const char *why;

		if (model_run(&c, &n, &why) == MODEL_RIGHT)
			continue;
		print_error("flavour %d, seed %llu: %s\n", (int)flavour, (unsigned long long)seed,
			    why);
		_fail(__FILE__, __LINE__);
	}
	print_message("steps %llu: emitted %llu, left out %llu, spoiled %llu, to read again %llu, "
		      "refused %llu, halted %llu, lost %llu, moved %llu, anew %llu, "
		      "generations %llu\n",
		      (unsigned long long)n.steps, (unsigned long long)n.emitted,
		      (unsigned long long)n.dropped, (unsigned long long)n.spoiled,
		      (unsigned long long)n.rereads, (unsigned long long)n.refused,
		      (unsigned long long)n.full, (unsigned long long)n.resets,
		      (unsigned long long)n.moved, (unsigned long long)n.restarts,
		      (unsigned long long)n.generations);
	assert_true(n.emitted && n.dropped && n.spoiled && n.rereads && n.refused && n.full &&
		    n.resets && n.moved && n.restarts && n.passed &&
		    (n.generations || flavour == MYSQL));
}

static void test_postgres(void **state)
{
	(void)state;
	all_right(POSTGRES);
}

static void test_mysql(void **state)
{
	(void)state;
	all_right(MYSQL);
}

/* Some schedule goes wrong without it. */
static uint64_t needed(enum flavour flavour, unsigned rules, unsigned promises)
{
	struct model_counts n = { 0 };

	for (uint64_t seed = 1; seed <= SEARCH; seed++) {
		const struct model_config c = { flavour, rules, promises, seed };
		const char *why;

		if (model_run(&c, &n, &why) == MODEL_WRONG)
			return seed;
	}
	return 0;
}

static const struct {
	const char *name;
	unsigned rule, promise;
	bool postgres, mysql; /* needed there */
} left_out[] = {
	{ "EARLIER", RULE_EARLIER, 0, true, true },
	{ "CHANGED", RULE_CHANGED, 0, true, true },
	{ "REACHED", RULE_REACHED, 0, true, true },
	{ "SPOILED", RULE_SPOILED, 0, true, true },
	{ "REREAD", RULE_REREAD, 0, true, true },
	{ "OLD_KEY", RULE_OLD_KEY, 0, true, true },
	{ "OPEN", RULE_OPEN, 0, false, true },
	{ "copiers opened anew", 0, PROMISE_REOPEN, true, false },
	{ "copiers looked at again", 0, PROMISE_RECHECK, true, false },
	{ "keys kept before rows", 0, PROMISE_KEEP, true, true },
	{ "reset where it is told", 0, PROMISE_RESET, true, true },
};

static void test_left_out(void **state)
{
	bool missing = false;

	(void)state;
	for (size_t i = 0; i < COUNT(left_out); i++)
		for (int f = POSTGRES; f <= MYSQL; f++) {
			bool expected = f == MYSQL ? left_out[i].mysql : left_out[i].postgres;
			uint64_t seed = !expected && !getenv("MODEL")
						? 0
						: needed((enum flavour)f, RULES & ~left_out[i].rule,
							 PROMISES & ~left_out[i].promise);

			print_message("%s without %s: seed %llu\n",
				      f == MYSQL ? "MySQL" : "Postgres", left_out[i].name,
				      (unsigned long long)seed);
			missing = missing || (expected && !seed);
		}
	assert_false(missing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgres),
		cmocka_unit_test(test_mysql),
		cmocka_unit_test(test_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
