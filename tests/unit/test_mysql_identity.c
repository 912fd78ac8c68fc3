/*
 * test_mysql_identity.c - whether a server's log is the one that was read, and how much of it there is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error */
#include "../../sources/mysql_server.h"

static void complain(const char *what, const char *text)
{
	print_error("%s: %s\n", what, text);
	assert_true(false);
}

#define UUID  "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define OTHER "5b1f2c6e-71ca-11e1-9e33-c80aa9429562"
#define TOKEN(server, gtid, file, pos)                                                             \
	"{\"server\":\"" server "\",\"epoch\":3," gtid "\"file\":\"" file "\",\"pos\":" pos "}"
#define GTIDS(set) "\"gtid\":\"" set "\","

static char name3[] = "binlog.000003", name4[] = "binlog.000004", name5[] = "binlog.000005";
static struct mysql_log_file files[] = { { name3, 1000 }, { name4, 2000 }, { name5, 500 } };
static char identity[] = UUID, number[] = "7", executed[] = UUID ":1-100", purged[] = UUID ":1-10",
	    position[] = "0-1-100", position_first[] = "0-1-10";

static struct mysql_server mysql(bool gtids)
{
	return (struct mysql_server){ .identity = identity,
				      .version = 80031,
				      .file = name5,
				      .pos = 500,
				      .files = files,
				      .nfiles = COUNT(files),
				      .gtids = gtids,
				      .set = gtids ? executed : NULL,
				      .purged = gtids ? purged : NULL };
}

static struct mysql_server mariadb(void)
{
	struct mysql_server s = mysql(true);

	s.mariadb = true;
	s.identity = number;
	s.set = position;
	s.purged = position_first;
	return s;
}

/* The epoch in which it goes on; 0: exit 5, and err has these words. */
static uint32_t goes_on(struct mysql_server s, const char *token, const char *words)
{
	AUTO(mysql_resume) struct mysql_resume r = { 0 };
	struct error err = { 0 };

	if (mysql_server_compare(&s, token, &r, &err) == 0) {
		assert_string_equal(r.server, s.identity);
		return r.epoch;
	}
	assert_int_equal(error_exit(&err), EXIT_LOG_GONE);
	if (!strstr(err.text, words))
		complain(token, err.text);
	return 0;
}

static void test_same_server(void **state)
{
	(void)state;
	assert_int_equal(goes_on(mysql(false), TOKEN(UUID, "", "binlog.000004", "2000"), ""), 3);
	assert_int_equal(goes_on(mysql(true),
				 TOKEN(UUID, GTIDS(UUID ":1-50"), "binlog.000004", "77"), ""),
			 3);
	/* purged, which is not for compare() to say */
	assert_int_equal(goes_on(mysql(false), TOKEN(UUID, "", "binlog.000002", "77"), ""), 3);
	/* reset, or cut */
	assert_int_equal(goes_on(mysql(false), TOKEN(UUID, "", "binlog.000004", "2001"),
				 "RESET MASTER"),
			 0);
	assert_int_equal(goes_on(mysql(false), TOKEN(UUID, "", "binlog.000006", "4"),
				 "RESET MASTER"),
			 0);
	assert_int_equal(goes_on(mysql(true),
				 TOKEN(UUID, GTIDS(UUID ":1-50"), "binlog.000006", "4"), "RESET"),
			 0);
	assert_int_equal(goes_on(mysql(true),
				 TOKEN(UUID, GTIDS(UUID ":1-101"), "binlog.000005", "4"), "lacks"),
			 0);
	/* the files have another name: only GTIDs go on, and positions begin anew */
	assert_int_equal(goes_on(mysql(true), TOKEN(UUID, GTIDS(UUID ":1-50"), "log.000009", "4"),
				 ""),
			 4);
	assert_int_equal(goes_on(mysql(false), TOKEN(UUID, "", "log.000009", "4"), "GTID"), 0);
	/* GTIDs were switched off */
	assert_int_equal(goes_on(mysql(false),
				 TOKEN(UUID, GTIDS(UUID ":1-50"), "binlog.000004", "7"), ""),
			 3);
}

static void test_other_server(void **state)
{
	(void)state;
	assert_int_equal(goes_on(mysql(true), TOKEN(OTHER, GTIDS(UUID ":1-50"), "b.000009", "4"),
				 ""),
			 4);
	assert_int_equal(goes_on(mysql(true), TOKEN(OTHER, GTIDS(OTHER ":1"), "b.000009", "4"),
				 "lacks"),
			 0);
	assert_int_equal(goes_on(mysql(false), TOKEN(OTHER, GTIDS(UUID ":1"), "binlog.000004", "4"),
				 "another"),
			 0);
	assert_int_equal(goes_on(mysql(true), TOKEN(OTHER, "", "binlog.000004", "4"), "another"),
			 0);
	assert_int_equal(goes_on(mysql(true), "{\"system\":\"7\",\"lsn\":\"0/1\"}",
				 "not of a MySQL"),
			 0);
	assert_int_equal(goes_on(mysql(true), TOKEN("7", GTIDS("0-1-5"), "binlog.000004", "4"),
				 "kind"),
			 0);
}

static void test_mariadb(void **state)
{
	(void)state;
	assert_int_equal(goes_on(mariadb(), TOKEN("7", GTIDS("0-1-50"), "binlog.000004", "4"), ""),
			 3);
	assert_int_equal(goes_on(mariadb(), TOKEN("8", GTIDS("0-8-50"), "x.000004", "4"), ""), 4);
	assert_int_equal(goes_on(mariadb(), TOKEN("7", GTIDS("0-1-101"), "binlog.000004", "4"),
				 "lacks"),
			 0);
	assert_int_equal(goes_on(mariadb(), TOKEN("7", GTIDS("0-1-5,2-1-1"), "binlog.000004", "4"),
				 "lacks"),
			 0);
	assert_int_equal(goes_on(mariadb(), TOKEN("7", GTIDS("0-1-50"), "binlog.000005", "501"),
				 "RESET"),
			 0);
}

static void oldest(struct mysql_server s, const char *token, const char *file, uint64_t pos,
		   int cmp)
{
	AUTO(mysql_resume) struct mysql_resume from = { 0 }, out = { 0 };
	AUTO(buf) struct buf json = { 0 };
	struct error err = { 0 };

	assert_true(mysql_resume_parse(token, &from));
	assert_int_equal(mysql_server_oldest(&s, &from, &out, &err), 0);
	assert_string_equal(out.file, file);
	assert_int_equal(out.pos, pos);
	mysql_resume_json(&out, &json);
	assert_int_equal(mysql_resume_cmp(buf_z(&json), token) > 0, cmp);
	assert_true(mysql_same_log(buf_z(&json), token));
}

/* What decides is whether anything that is wanted was purged, not which files there are. */
static void test_oldest(void **state)
{
	(void)state;
	oldest(mysql(false), TOKEN(UUID, "", "binlog.000004", "77"), name3, 4, 0);
	oldest(mysql(false), TOKEN(UUID, "", "binlog.000002", "77"), name3, 4, 1);
	oldest(mysql(true), TOKEN(UUID, GTIDS(UUID ":1-10"), "binlog.000002", "77"),
	       "binlog.000002", 77, 0);
	oldest(mysql(true), TOKEN(UUID, GTIDS(UUID ":1-9"), "binlog.000002", "77"), name3, 4, 1);
	oldest(mariadb(), TOKEN("7", GTIDS("0-1-10"), "binlog.000002", "77"), "binlog.000002", 77,
	       0);
	oldest(mariadb(), TOKEN("7", GTIDS("0-1-9"), "binlog.000002", "77"), name3, 4, 1);
}

static void test_same_log(void **state)
{
	(void)state;
	assert_true(mysql_same_log(TOKEN(UUID, "", "b.1", "4"), TOKEN(UUID, "", "b.2", "4")));
	assert_false(mysql_same_log(TOKEN(UUID, "", "b.1", "4"), TOKEN(OTHER, "", "b.1", "4")));
	assert_true(mysql_same_log(TOKEN(UUID, GTIDS(UUID ":1"), "b.1", "4"),
				   TOKEN(OTHER, GTIDS(UUID ":1"), "b.1", "4")));
	assert_false(mysql_same_log(TOKEN(UUID, "", "b.1", "4"), "{\"system\":\"7\"}"));
}

static void test_behind(void **state)
{
	struct mysql_server s = mysql(false);

	(void)state;
	assert_int_equal(mysql_server_behind(&s, "binlog.000005", 500), 0);
	assert_int_equal(mysql_server_behind(&s, "binlog.000005", 600), 0);
	assert_int_equal(mysql_server_behind(&s, "binlog.000004", 1500), 1000);
	assert_int_equal(mysql_server_behind(&s, "binlog.000001", 4), 3500);
	assert_int_equal(mysql_server_behind(&s, "binlog.000006", 4), 0);
}

static void refused(struct mysql_server s, const char *words)
{
	struct error err = { 0 };

	assert_int_equal(mysql_server_judge(&s, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_FAILED);
	if (!strstr(err.text, words))
		complain("refused", err.text);
}

static void test_judge(void **state)
{
	struct mysql_server s = mysql(true);
	struct error err;

	(void)state;
	s.server_id = 1;
	s.log_bin = true;
	snprintf(s.format, sizeof s.format, "ROW");
	assert_int_equal(mysql_server_judge(&s, &err), 0);
	s.version = 50564;
	refused(s, "too old");
	s.version = 50600;
	s.log_bin = false;
	refused(s, "log_bin");
	s.log_bin = true;
	s.server_id = 0;
	refused(s, "server_id");
	s.server_id = 1;
	snprintf(s.format, sizeof s.format, "MIXED");
	refused(s, "SET GLOBAL binlog_format = 'ROW'");
}

/* Of the pipeline's name and nothing else: the next process ends the dump of the one before it. */
static void test_names(void **state)
{
	char a[37], b[37], spare[37];

	(void)state;
	mysql_pipeline_uuid("erp", false, a);
	mysql_pipeline_uuid("erp", false, b);
	mysql_pipeline_uuid("erp", true, spare);
	assert_string_equal(a, b);
	assert_string_not_equal(a, spare);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
	mysql_pipeline_uuid("erp2", false, b);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_server), cmocka_unit_test(test_other_server),
		cmocka_unit_test(test_mariadb),     cmocka_unit_test(test_oldest),
		cmocka_unit_test(test_same_log),    cmocka_unit_test(test_behind),
		cmocka_unit_test(test_judge),       cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
