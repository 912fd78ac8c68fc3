/*
 * test_pg_timeline.c - timelines, forks, whether what was delivered is part of the log; server versions
 */
#include "pg_fixture.h"

#include "../../sources/pg_server.h"
#include "../../sources/pg_timeline.h"

static const char history[] = "1\t0/3000060\tno recovery target specified\n"
			      "\n# a comment\n"
			      "2\t1/50\tbefore 2026-01-02\n";

static struct pg_log three(void)
{
	struct pg_log log = { .system = 7, .timeline = 3 };
	struct error err;

	assert_int_equal(pg_log_parse_history(history, &log, &err), 0);
	assert_int_equal(log.nforks, 2);
	return log;
}

/* EDGE 57: a commit before the switch keeps the epoch it had. */
static void test_epochs(void **state)
{
	struct pg_log log = three(), first = { .system = 7, .timeline = 1 };

	(void)state;
	assert_int_equal(pg_log_epoch(&log, 0x300005f), 1);
	assert_int_equal(pg_log_epoch(&log, 0x3000060), 2);
	assert_int_equal(pg_log_epoch(&log, UINT64_C(0x10000004f)), 2);
	assert_int_equal(pg_log_epoch(&log, UINT64_C(0x100000050)), 3);
	assert_int_equal(pg_log_epoch(&first, 5), 1);
	pg_log_release(&log);
}

/* EDGE 57, EDGE 55: other server, other fork, ahead of the promoted server, restored from a backup. */
static void test_compare(void **state)
{
	static const struct {
		const char *known;
		int exit;
		const char *says;
	} cases[] = {
		{ "{\"system\":\"7\",\"timeline\":3,\"lsn\":\"2/0\"}", 0, NULL },
		{ "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/3000060\"}", 0, NULL },
		{ "{\"system\":\"7\",\"timeline\":2,\"lsn\":\"1/50\"}", 0, NULL },
		{ "{\"system\":\"8\",\"timeline\":3,\"lsn\":\"2/0\"}", EXIT_LOG_GONE,
		  "another server" },
		{ "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/3000061\"}", EXIT_LOG_GONE,
		  "lacks what was delivered: timeline 1 was left at 0/3000060" },
		{ "{\"system\":\"7\",\"timeline\":2,\"lsn\":\"1/51\"}", EXIT_LOG_GONE, "promoted" },
		{ "{\"system\":\"7\",\"timeline\":4,\"lsn\":\"0/1\"}", EXIT_LOG_GONE,
		  "does not descend" },
		{ "{\"system\":\"7\",\"timeline\":3,\"lsn\":\"2/1\"}", EXIT_LOG_GONE,
		  "ends at 2/0" },
	};
	struct pg_log log = three();
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int rc = pg_log_compare(&log, cases[i].known, UINT64_C(0x200000000), false, &err);

		assert_int_equal(rc, cases[i].exit ? -1 : 0);
		if (!rc)
			continue;
		assert_int_equal(err.kind, ERR_FATAL);
		assert_int_equal(error_exit(&err), cases[i].exit);
		assert_non_null(strstr(err.text, cases[i].says));
	}
	/* a standby may still get there */
	assert_int_equal(pg_log_compare(&log, "{\"system\":\"7\",\"timeline\":3,\"lsn\":\"2/1\"}",
					UINT64_C(0x200000000), true, &err),
			 -1);
	assert_int_equal(err.kind, ERR_RETRY);
	pg_log_release(&log);
}

/* EDGE 19: servers that lose changes under way while a table is added to a publication. */
static void test_adds_unsafely(void **state)
{
	static const struct {
		int version;
		bool unsafe;
	} cases[] = { { 100023, true },  { 120022, true },  { 130020, true }, { 130021, false },
		      { 150012, true },  { 150013, false }, { 160008, true }, { 170004, true },
		      { 170005, false }, { 180000, false } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(pg_server_adds_unsafely(cases[i].version), cases[i].unsafe);
}

static void test_resume_cmp(void **state)
{
	static const char a[] = "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/FFFFFFFF\"}";
	static const char b[] = "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"1/0\"}";

	(void)state;
	assert_true(pg_resume_cmp(a, b) < 0);
	assert_true(pg_resume_cmp(b, a) > 0);
	assert_int_equal(pg_resume_cmp(a, a), 0);
	assert_true(pg_resume_cmp(NULL, a) < 0);
}

/* A server without logical WAL, an old standby. */
static void test_judge_server(void **state)
{
	struct pg_server s = { .version = 150000, .wal_level = "replica", .version_text = "15.0" };
	struct error err;

	(void)state;
	assert_int_equal(pg_server_judge(&s, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_FAILED);
	assert_non_null(strstr(err.text, "ALTER SYSTEM SET wal_level = 'logical'"));
	strncpy(s.wal_level, "logical", sizeof s.wal_level);
	assert_int_equal(pg_server_judge(&s, &err), 0);
	s.standby = true;
	assert_int_equal(pg_server_judge(&s, &err), -1);
	assert_non_null(strstr(err.text, "standby"));
	s.version = 160000;
	assert_int_equal(pg_server_judge(&s, &err), 0);
}

static void test_bad_history(void **state)
{
	struct pg_log log = { .timeline = 2 };
	struct error err;

	(void)state;
	assert_int_equal(pg_log_parse_history("1 at the beginning\n", &log, &err), -1);
	assert_non_null(strstr(err.text, "1 at the beginning"));
	pg_log_release(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epochs),      cmocka_unit_test(test_compare),
		cmocka_unit_test(test_bad_history), cmocka_unit_test(test_adds_unsafely),
		cmocka_unit_test(test_resume_cmp),  cmocka_unit_test(test_judge_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
