/*
 * test_log.c - form of a line, levels, journald, lines of several threads
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

static int out = -1, keep = -1;
static char got[1 << 20];

static void capture_begin(void)
{
	char path[] = "/tmp/test_log.XXXXXX";

	out = mkstemp(path);
	assert_true(out >= 0);
	unlink(path);
	keep = dup(STDERR_FILENO);
	dup2(out, STDERR_FILENO);
}

static char *capture_end(void)
{
	ssize_t n;

	dup2(keep, STDERR_FILENO);
	close(keep);
	n = pread(out, got, sizeof got - 1, 0);
	close(out);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

/* The line without its time, whose form is checked. */
static const char *without_time(const char *line)
{
	int year, month, day, hour, minute, second, ms, n = 0;

	assert_int_equal(sscanf(line, "ts=%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day,
				&hour, &minute, &second, &ms, &n),
			 7);
	assert_int_equal(n, 28);
	assert_true(year >= 2024 && month <= 12 && hour < 24);
	return line + n;
}

static void logfmt(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
	capture_begin();
	log_info("slot created", "slot", "x", NULL);
	assert_string_equal(without_time(capture_end()),
			    "level=info msg=\"slot created\" slot=x\n");
	capture_begin();
	log_error("a", "empty", "", "q", "a\"b\nc", "eq", "a=b", "bad", "\xff", "sql", "0/16B",
		  NULL);
	assert_string_equal(without_time(capture_end()),
			    "level=error msg=a empty=\"\" q=\"a\\\"b\\u000ac\" eq=\"a=b\" "
			    "bad=\"\xef\xbf\xbd\" sql=0/16B\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, "erp");
	capture_begin();
	log_warning("a>", NULL);
	assert_string_equal(without_time(capture_end()), "level=warning msg=a> pipeline=erp\n");
}

static void json(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, "erp");
	capture_begin();
	log_debug("a \"b\"", "key", "x\ny", NULL);
	char *line = capture_end();
	json_t *j = json_loads(line, 0, NULL);

	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "level")), "debug");
	assert_string_equal(json_string_value(json_object_get(j, "msg")), "a \"b\"");
	assert_string_equal(json_string_value(json_object_get(j, "key")), "x\ny");
	assert_string_equal(json_string_value(json_object_get(j, "pipeline")), "erp");
	assert_int_equal(strlen(json_string_value(json_object_get(j, "ts"))), 24);
	assert_int_equal(line[strlen(line) - 1], '\n');
	json_decref(j);
}

static void levels(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT, NULL);
	assert_false(log_enabled(LOG_LEVEL_INFO));
	assert_true(log_enabled(LOG_LEVEL_WARNING));
	capture_begin();
	log_debug("no", NULL);
	log_info("no", NULL);
	log_warning("yes", NULL);
	log_error("yes", NULL);
	char *text = capture_end();

	assert_null(strstr(text, "msg=no"));
	assert_non_null(strstr(text, "level=warning msg=yes"));
	assert_non_null(strstr(text, "level=error msg=yes"));
}

static void journald_gets_priorities(void **state)
{
	char value[64];
	struct stat st;

	(void)state;
	capture_begin();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(value, sizeof value, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", value, 1);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, NULL);
	log_debug("a", NULL);
	log_info("a", NULL);
	log_warning("a", NULL);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, NULL);
	log_error("a", NULL);
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but stderr goes elsewhere */
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, NULL);
	log_error("a", NULL);
	unsetenv("JOURNAL_STREAM");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
	char *text = capture_end();

	assert_memory_equal(text, "<7>ts=", 6);
	assert_non_null(strstr(text, "\n<6>ts="));
	assert_non_null(strstr(text, "\n<4>ts="));
	assert_non_null(strstr(text, "\n<3>{\"ts\":"));
	assert_non_null(strstr(text, "\nts="));
}

static void errno_survives(void **state)
{
	(void)state;
	capture_begin();
	errno = ENOSPC;
	log_info("a", NULL);
	assert_int_equal(errno, ENOSPC);
	capture_end();
}

static void *writer(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("line", "text", (const char *)arg, NULL);
	return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
	char text[4][201];
	pthread_t threads[4];
	int lines = 0;

	(void)state;
	capture_begin();
	for (int i = 0; i < 4; i++) {
		memset(text[i], 'a' + i, 200);
		text[i][200] = '\0';
		assert_int_equal(pthread_create(&threads[i], NULL, writer, text[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (char *p = capture_end(), *end; *p; p = end + 1, lines++) {
		end = strchr(p, '\n');
		assert_non_null(end);
		*end = '\0';
		const char *value = strstr(p, "text=");

		assert_non_null(value);
		assert_int_equal(strlen(value + 5), 200);
		assert_int_equal(strspn(value + 5, (char[]){ value[5], '\0' }), 200);
	}
	assert_int_equal(lines, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logfmt),         cmocka_unit_test(json),
		cmocka_unit_test(levels),         cmocka_unit_test(journald_gets_priorities),
		cmocka_unit_test(errno_survives), cmocka_unit_test(lines_of_threads_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
