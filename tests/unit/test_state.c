/*
 * test_state.c - state.db: what is put comes back, one process at a time, damage is told
 */
#include "avro_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state.h"

static char root[64], *dir;
static struct error err;

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/tailrace-state-XXXXXX");
	assert_non_null(mkdtemp(root));
	dir = xasprintf("%s/made/erp", root);
	err = (struct error){ 0 };
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "made/erp/state.db",
					     "made/erp/state.db-journal",
					     "made/erp/lock",
					     "made/erp",
					     "made",
					     "" };

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++) {
		AUTO(free) char *path = xasprintf("%s/%s", root, files[i]);

		(void)!remove(path);
	}
	free(dir);
	return 0;
}

static struct state *opened(void)
{
	struct state *s = state_open(dir, &err);

	if (!s)
		test_failed("%s\n", err.text);
	return s;
}

static void folders_are_made(void **state)
{
	struct stat st;

	(void)state;
	state_close(opened());
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	state_close(opened());
}

static void values(void **state)
{
	struct state *s = opened();
	char *value;

	(void)state;
	assert_int_equal(state_get(s, "slot_intent", &value, &err), 0);
	assert_null(value);
	assert_int_equal(state_put(s, "slot_intent", "a", &err), 0);
	assert_int_equal(state_put(s, "slot_intent", "it's", &err), 0);
	state_close(s);
	s = opened();
	assert_int_equal(state_get(s, "slot_intent", &value, &err), 0);
	assert_string_equal(value, "it's");
	free(value);
	assert_int_equal(state_put(s, "slot_intent", NULL, &err), 0);
	assert_int_equal(state_get(s, "slot_intent", &value, &err), 0);
	assert_null(value);
	state_close(s);
}

static void sinks(void **state)
{
	struct checkpoint start = {
		{ 1, 0, 0xff, 9 }, (char[]){ "{\"lsn\":\"0/1\"}" }, NULL, NULL
	};
	struct checkpoint last = { { 1, 0, UINT64_MAX, UINT64_MAX },
				   (char[]){ "{}" },
				   (char[]){ "[\"public.a\"]" },
				   (char[]){ "{\"public.b\":\"1/0/1/2\"}" } };
	struct state *s = opened();
	struct state_sink sink;

	(void)state;
	assert_int_equal(state_get_sink(s, "lake", &sink, &err), 0);
	assert_false(sink.known);
	assert_int_equal(state_put_sink_start(s, "lake", &start, &err), 0);
	assert_int_equal(state_get_sink(s, "lake", &sink, &err), 0);
	assert_true(sink.known);
	assert_false(sink.detached);
	assert_int_equal(position_cmp(&sink.start.pos, &start.pos), 0);
	assert_string_equal(sink.start.resume, start.resume);
	assert_null(sink.last.resume);
	state_sink_release(&sink);

	assert_int_equal(state_put_sink_last(s, "lake", &last, &err), 0);
	assert_int_equal(state_put_sink_last(s, "other", &last, &err), 0);
	assert_int_equal(state_put_sink_detached(s, "other", &err), 0);
	state_close(s);
	s = opened();
	assert_int_equal(state_get_sink(s, "lake", &sink, &err), 0);
	assert_int_equal(position_cmp(&sink.start.pos, &start.pos), 0);
	assert_int_equal(position_cmp(&sink.last.pos, &last.pos), 0);
	assert_string_equal(sink.last.snapshot, last.snapshot);
	assert_string_equal(sink.last.stopped, last.stopped);
	assert_false(sink.detached);
	state_sink_release(&sink);
	assert_int_equal(state_get_sink(s, "other", &sink, &err), 0);
	assert_true(sink.detached);
	assert_string_equal(sink.start.resume, "{}"); /* the first place known of it */
	state_sink_release(&sink);
	state_close(s);
}

static void table_versions(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables *tables = tables_new(&fixture_config), *again = tables_new(&fixture_config);
	struct state *s = opened();
	struct rng r = { 7 };

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		const struct table *t = fixture_random_table(tables, &r, &arena, i / 3);

		assert_int_equal(state_put_table(s, t, &err), 0);
		assert_int_equal(state_put_table(s, t, &err), 0);
	}
	state_close(s);
	s = opened();
	assert_int_equal(state_restore_tables(s, again, &err), 0);
	assert_int_equal(state_restore_tables(s, again, &err), 0);
	assert_int_equal(tables_count(again), 12);
	for (uint32_t id = 1; id <= 12; id++)
		assert_true(str_eq(tables_by_id(again, id)->definition,
				   tables_by_id(tables, id)->definition));

	/* Another table under a known id is refused, and so is the same version under another one. */
	struct table other = *tables_by_id(tables, 1);

	other.name = STR("impostor");
	assert_int_equal(state_put_table(s, &other, &err), -1);
	other = *tables_by_id(tables, 1);
	other.id = 99;
	assert_int_equal(state_put_table(s, &other, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	state_close(s);
	tables_free(tables);
	tables_free(again);
}

static void sql(const char *text)
{
	AUTO(free) char *path = xasprintf("%s/state.db", dir);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void damage(void **state)
{
	struct tables *tables = tables_new(&fixture_config);
	struct state_sink sink;

	(void)state;
	state_close(opened());
	sql("INSERT INTO sink (name, start_position) VALUES ('bad', '1/2/x');"
	    "INSERT INTO table_version VALUES (1, 's', 't', 1, '{}')");
	struct state *s = opened();

	assert_int_equal(state_get_sink(s, "bad", &sink, &err), -1);
	assert_non_null(strstr(err.text, "sink bad"));
	assert_int_equal(state_restore_tables(s, tables, &err), -1);
	assert_non_null(strstr(err.text, "state.db"));
	state_close(s);

	sql("PRAGMA user_version = 3");
	assert_null(state_open(dir, &err));
	assert_non_null(strstr(err.text, "version 3"));
	assert_int_equal(err.kind, ERR_FATAL);
	sql("PRAGMA user_version = 2; DROP TABLE value");
	s = opened();
	assert_int_equal(state_put(s, "a", "b", &err), -1);
	assert_non_null(strstr(err.text, "value"));
	state_close(s);

	AUTO(free) char *path = xasprintf("%s/state.db", dir);
	FILE *f = fopen(path, "w");

	fputs("this is no database, however long one looks at it, and never was one at all", f);
	fclose(f);
	assert_null(state_open(dir, &err));
	assert_non_null(strstr(err.text, path));
	tables_free(tables);
}

/* What version 1 wrote is kept, and has the newer tables from then on. */
static void an_older_version(void **state)
{
	char *value;

	(void)state;
	struct state *s = opened();

	assert_int_equal(state_put(s, "a", "b", &err), 0);
	state_close(s);
	sql("DROP TABLE load_table; DROP TABLE load_range; DROP TABLE load_reread;"
	    "DROP TABLE load_request; PRAGMA user_version = 1");
	s = opened();
	assert_int_equal(state_get(s, "a", &value, &err), 0);
	assert_string_equal(value, "b");
	free(value);
	state_close(s);
	sql("INSERT INTO load_request (kind) VALUES ('start');"
	    "SELECT * FROM load_table, load_range, load_reread");
}

static void one_process_at_a_time(void **state)
{
	struct state *s = opened();
	char pid[32];

	(void)state;
	/* The lock is the open file's: another opening in this process meets it, too. */
	assert_null(state_open(dir, &err));
	snprintf(pid, sizeof pid, "pid %ld:", (long)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(error_exit(&err), EXIT_FAILED);

	struct state *reader = state_open_shared(dir, &err);
	char *value;

	assert_non_null(reader);
	assert_int_equal(state_put(s, "a", "b", &err), 0);
	assert_int_equal(state_get(reader, "a", &value, &err), 0);
	assert_string_equal(value, "b");
	free(value);
	state_close(reader);
	state_close(s);
	state_close(opened());
}

/* A process that was killed leaves no lock. */
static void the_lock_goes_with_the_process(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		if (state_open(dir, &err))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	state_close(opened());
}

static void nothing_to_read(void **state)
{
	(void)state;
	assert_null(state_open_shared(dir, &err));
	assert_int_equal(err.kind, ERR_FATAL);
}

static void no_folder(void **state)
{
	(void)state;
	assert_null(state_open("/proc/none/erp", &err));
	assert_non_null(strstr(err.text, "/proc/none"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(folders_are_made),
		TEST(values),
		TEST(sinks),
		TEST(table_versions),
		TEST(an_older_version),
		TEST(damage),
		TEST(one_process_at_a_time),
		TEST(the_lock_goes_with_the_process),
		TEST(nothing_to_read),
		TEST(no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
