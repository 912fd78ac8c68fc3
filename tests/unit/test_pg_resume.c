/*
 * test_pg_resume.c - the resume token of a PostgreSQL source
 */
#include "pg_fixture.h"

static void test_round_trip(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct str text = pg_resume_format(&a, UINT64_MAX, 3, UINT64_C(0x1016B3798));
	uint64_t system, lsn;
	uint32_t timeline;

	(void)state;
	assert_string_equal(
		text.p,
		"{\"system\":\"18446744073709551615\",\"timeline\":3,\"lsn\":\"1/16B3798\"}");
	assert_true(pg_resume_parse(text.p, &system, &timeline, &lsn));
	assert_true(system == UINT64_MAX && timeline == 3 && lsn == UINT64_C(0x1016B3798));
}

static void test_not_a_token(void **state)
{
	static const char *const cases[] = {
		"",
		"{}",
		"[]",
		"null",
		"x",
		"{\"system\":7,\"timeline\":1,\"lsn\":\"0/1\"}",
		"{\"system\":\"7x\",\"timeline\":1,\"lsn\":\"0/1\"}",
		"{\"system\":\"-7\",\"timeline\":1,\"lsn\":\"0/1\"}",
		"{\"system\":\"99999999999999999999\",\"timeline\":1,\"lsn\":\"0/1\"}",
		"{\"system\":\"7\",\"timeline\":-1,\"lsn\":\"0/1\"}",
		"{\"system\":\"7\",\"timeline\":4294967296,\"lsn\":\"0/1\"}",
		"{\"system\":\"7\",\"timeline\":\"1\",\"lsn\":\"0/1\"}",
		"{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0\"}",
		"{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/\"}",
		"{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/1/2\"}",
		"{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/123456789\"}",
		"{\"system\":\"7\",\"timeline\":1}",
	};
	uint64_t system, lsn;
	uint32_t timeline;

	(void)state;
	assert_false(pg_resume_parse(NULL, &system, &timeline, &lsn));
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (pg_resume_parse(cases[i], &system, &timeline, &lsn))
			FAIL("taken: %s", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_not_a_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
