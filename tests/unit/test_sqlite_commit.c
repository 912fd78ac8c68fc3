/*
 * test_sqlite_commit.c - the sqlite sink: what a commit covers, two instances, databases that fail
 */
#include <signal.h>
#include <sys/resource.h>

#include "sqlite_fixture.h"

static void test_close_without_commit(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	struct checkpoint at = { 0 };

	assert_int_equal(sqlite_sink.load(f->sink, &at, &f->err), 0);
	assert_null(at.resume);
	put_story(f, t);
	events_deliver(&f->h, f->sink);

	struct position committed = f->h.pos;

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(50), V_NULL, V_NULL);
	put_commit(&f->h);
	assert_int_equal(events_write(&f->h, f->sink, &f->err), ERR_NONE);
	fixture_reopen(f);
	assert_int_equal(f->fence, 2);
	assert_int_equal(sqlite_sink.load(f->sink, &at, &f->err), 0);
	assert_int_equal(position_cmp(&at.pos, &committed), 0);
	assert_string_equal(at.resume, "{\"lsn\":\"0/16B3798\"}");
	assert_query(f, "SELECT id FROM orders ORDER BY id", "2");
	checkpoint_release(&at);
}

static void test_checkpoint_lists(void **state)
{
	struct fixture *f = *state;
	struct checkpoint at = { 0 }, upto = events_checkpoint(&f->h);
	static char snapshot[] = "[\"public.a\"]", stopped[] = "{\"public.b\":\"1/0/1/2\"}";

	upto.snapshot = snapshot;
	upto.stopped = stopped;
	assert_int_equal(sqlite_sink.commit(f->sink, &upto, &f->err), 0);
	assert_int_equal(sqlite_sink.load(f->sink, &at, &f->err), 0);
	assert_string_equal(at.snapshot, snapshot);
	assert_string_equal(at.stopped, stopped);
	checkpoint_release(&at);
}

static void test_two_instances(void **state)
{
	struct fixture *f = *state;
	struct sink_context second = f->context;
	const struct table *t = orders(f);
	struct checkpoint upto;
	int64_t fence = 0;

	put_story(f, t);
	events_deliver(&f->h, f->sink);

	struct sink *other = sqlite_sink.open(&second, &fence, &f->err);

	assert_non_null(other);
	assert_int_equal(fence, 2);
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(5), V_NULL, V_NULL);
	put_commit(&f->h);
	assert_refused(f, ERR_FATAL, 0, "fenced by another instance");
	assert_int_equal(error_exit(&f->err), EXIT_FENCED);
	upto = events_checkpoint(&f->h);
	fixture_close(f);

	/* It looks again, as after a reconnect, and does not take the fence back. */
	f->context.fenced = true;
	f->context.fence = 1;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_FENCED);
	assert_int_equal(sqlite_sink.commit(other, &upto, &f->err), 0);
	sqlite_sink.close(other);
	second.fenced = true;
	second.fence = 2;
	other = sqlite_sink.open(&second, &fence, &f->err);
	assert_non_null(other);
	assert_int_equal(fence, 2);
	sqlite_sink.close(other);
	assert_query(f, "SELECT count(*) FROM orders", "1");
}

static void test_locked_database(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->set.path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	put_story(f, t);
	assert_refused(f, ERR_RETRY, 0, "database is locked");
	fixture_close(f);
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_RETRY);
	sqlite3_close(db);
	fixture_reopen(f);
	put_story(f, t);
	events_deliver(&f->h, f->sink);
}

/* The file system takes no more after so many bytes of a file: the copy stays as the checkpoint says. */
static void test_writes_that_fail_anywhere(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	struct rlimit all, some;
	unsigned failures = 0;
	int64_t committed = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	for (int64_t round = 1; round <= 60; round++) {
		struct checkpoint upto;
		char want[64];
		int rc;

		put_begin(&f->h);
		for (int64_t i = 0; i < 200; i++)
			put_insert(&f->h, t, V_INT(round * 1000 + i), V_TEXT("some text"),
				   V_INT(round));
		put_commit(&f->h);
		some = (struct rlimit){ .rlim_cur = (rlim_t)round * 4096,
					.rlim_max = all.rlim_max };
		setrlimit(RLIMIT_FSIZE, &some);
		rc = events_write(&f->h, f->sink, &f->err) != ERR_NONE;
		upto = events_checkpoint(&f->h);
		if (!rc)
			rc = sqlite_sink.commit(f->sink, &upto, &f->err);
		setrlimit(RLIMIT_FSIZE, &all);
		if (rc)
			assert_int_not_equal(f->err.kind, ERR_REJECT);
		failures += rc != 0;
		committed += rc == 0;
		fixture_reopen(f);
		snprintf(want, sizeof want, "%lld", (long long)committed * 200);
		if (committed)
			assert_query(f, "SELECT count(*) FROM orders", want);
	}
	assert_in_range(failures, 1, 59);
}

/* Rows without a key are found by an index, whatever is NULL in them. */
static void test_index_over_rows_without_key(void **state)
{
	struct fixture *f = *state;
	const struct table *t = readings(f, 'f');

	put_begin(&f->h);
	for (int i = 0; i < 10; i++)
		put_insert(&f->h, t, V_INT(i), V_NULL, V_TEXT("{}"));
	put_delete(&f->h, t, V_INT(5), V_NULL, V_TEXT("{}"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_query(f, "SELECT count(*) FROM readings", "9");
	assert_query(f, "SELECT name FROM pragma_index_info('tailrace_readings')", "a;b");
	fixture_reopen(f);
	put_begin(&f->h);
	put_delete(&f->h, t, V_INT(6), V_NULL, V_TEXT("{}"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	query(f, "EXPLAIN QUERY PLAN SELECT rowid FROM readings WHERE a IS 1 AND b IS NULL AND j "
		 "IS '{}'");
	assert_non_null(strstr(f->answer, "USING INDEX tailrace_readings (a=? AND b=?)"));
}

static void test_file_moved_away(void **state)
{
	struct fixture *f = *state;
	char *away = xasprintf("%s.away", f->set.path);

	assert_int_equal(rename(f->set.path, away), 0);
	free(away);
	put_story(f, orders(f));
	assert_int_equal(events_write(&f->h, f->sink, &f->err), ERR_NONE);

	struct checkpoint upto = events_checkpoint(&f->h);

	assert_int_equal(sqlite_sink.commit(f->sink, &upto, &f->err), -1);
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_non_null(strstr(f->err.text, "moved or removed"));
	fixture_close(f);

	/* A new file does not hold what this process has committed. */
	f->context.fenced = true;
	f->context.fence = 1;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
}

static void test_no_database(void **state)
{
	struct fixture *f = *state;
	struct findings found = { 0 };
	FILE *file;

	assert_int_equal(sqlite_sink.check(&f->context, &found, &f->err), 0);
	assert_int_equal(found.n, 0);
	fixture_close(f);
	file = fopen(f->set.path, "w");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", file);
	fclose(file);
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_non_null(strstr(f->err.text, "not a database"));
	assert_int_equal(sqlite_sink.check(&f->context, &found, &f->err), 0);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.items[0].object, "copy");
	findings_free(&found);
}

static void test_settings_that_cannot_work(void **state)
{
	struct fixture *f = *state;
	struct sqlite_settings set = f->set;
	static char memory[] = ":memory:", file[] = "/proc/version/x.db", schema[] = "erp";
	struct findings found = { 0 };

	f->sink_config.settings = &set;
	set.path = memory;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_USAGE);
	set.path = f->set.path;
	set.schema = schema;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_USAGE);
	set.schema = NULL;
	set.history = true;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_USAGE);
	set.history = false;
	set.path = file;
	assert_null(sqlite_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_int_equal(sqlite_sink.check(&f->context, &found, &f->err), 0);
	assert_int_equal(found.n, 1);
	findings_free(&found);
}

/* A constraint that somebody added at the target stops the table, not the sink. */
static void test_foreign_constraint(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_story(f, t);
	events_deliver(&f->h, f->sink);
	meddle(f, "CREATE UNIQUE INDEX once ON orders (note)");
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(8), V_TEXT("same"), V_NULL);
	put_insert(&f->h, t, V_INT(9), V_TEXT("same"), V_NULL);
	put_commit(&f->h);
	assert_refused(f, ERR_REJECT, 2, "orders.note");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_close_without_commit),
		T(test_checkpoint_lists),
		T(test_two_instances),
		T(test_locked_database),
		T(test_writes_that_fail_anywhere),
		T(test_index_over_rows_without_key),
		T(test_file_moved_away),
		T(test_no_database),
		T(test_settings_that_cannot_work),
		T(test_foreign_constraint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
