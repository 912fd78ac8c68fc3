/*
 * test_pg_slot.c - judging a slot; partitions that came and went
 */
#include <stdlib.h>

#include "pg_fixture.h"

#include "../../sources/pg_partitions.h"
#include "../../sources/pg_slot.h"

/* EDGE 55: other plugin, kind or database.  EDGE 56: invalidated. */
static void test_judge(void **state)
{
	static const struct {
		const char *type, *plugin, *database, *lost, *says;
		int exit;
	} cases[] = {
		{ "logical", "pgoutput", "erp", "", NULL, 0 },
		{ "physical", "", "", "", "physical", EXIT_FAILED },
		{ "logical", "wal2json", "erp", "", "wal2json", EXIT_FAILED },
		{ "logical", "pgoutput", "crm", "", "\"crm\", not to \"erp\"", EXIT_FAILED },
		{ "logical", "pgoutput", "erp", "wal_removed",
		  "invalidated by the server (wal_removed)", EXIT_LOG_GONE },
		{ "logical", "pgoutput", "erp", "idle_timeout", "idle_timeout", EXIT_LOG_GONE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pg_slot s = { .exists = true };
		struct error err;

		snprintf(s.type, sizeof(s.type), "%s", cases[i].type);
		snprintf(s.plugin, sizeof(s.plugin), "%s", cases[i].plugin);
		snprintf(s.database, sizeof(s.database), "%s", cases[i].database);
		snprintf(s.lost, sizeof(s.lost), "%s", cases[i].lost);
		int rc = pg_slot_judge(&s, "tailrace_erp", "erp", &err);

		assert_int_equal(rc, cases[i].says ? -1 : 0);
		if (!rc)
			continue;
		assert_int_equal(err.kind, ERR_FATAL);
		assert_int_equal(error_exit(&err), cases[i].exit);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_non_null(strstr(err.text, "tailrace_erp"));
	}
}

struct seen_partition {
	const char *oid, *file, *name, *attached;
};

static void compare(struct pg_partitions *seen, const struct seen_partition *rows, int n)
{
	struct error err;
	static char names[7][8] = { "oid", "file", "s", "name", "rs", "root", "late" };
	PGresAttDesc columns[7] = { 0 };
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	for (int i = 0; i < 7; i++)
		columns[i].name = names[i];
	assert_true(PQsetResultAttrs(r, 7, columns));
	for (int i = 0; i < n; i++) {
		const char *values[] = { rows[i].oid, rows[i].file, "public",        rows[i].name,
					 "public",    "events",     rows[i].attached };

		for (int c = 0; c < 7; c++) {
			AUTO(free) char *copy = xstrdup(values[c]);

			assert_true(PQsetvalue(r, i, c, copy, (int)strlen(copy)));
		}
	}
	assert_int_equal(pg_partitions_compare(seen, r, &err), 0);
	PQclear(r);
}

static void take_note(void *arg, enum table_note kind, struct str schema, struct str name,
		      const char *reason)
{
	assert_int_equal(kind, TABLE_NOTE_RELOAD);
	buf_addf(arg, "%.*s.%.*s: %s; ", STR_FMT(schema), STR_FMT(name), reason);
}

static void noted(struct tables *tables, const char *table, const char *reason)
{
	AUTO(buf) struct buf notes = { 0 }, want = { 0 };

	tables_each_note(tables, take_note, &notes);
	buf_addf(&want, "%s: partition %s", table, reason);
	assert_non_null(strstr(buf_z(&notes), buf_z(&want)));
}

/* EDGE 24: rows that appear or vanish with no events. */
static void test_partitions(void **state)
{
	static const struct tables_config config = { "erp", "postgresql", "erp", NULL, 0 };
	static const struct seen_partition start[] = { { "10", "10", "e1", "f" },
						       { "12", "12", "e3", "f" } };
	static const struct seen_partition made[] = { { "10", "10", "e1", "f" },
						      { "11", "11", "e2", "f" },
						      { "12", "12", "e3", "f" } };
	static const struct seen_partition attached[] = { { "9", "9", "e0", "t" },
							  { "10", "10", "e1", "f" },
							  { "11", "11", "e2", "f" },
							  { "12", "12", "e3", "f" } };
	static const struct seen_partition truncated[] = { { "9", "9", "e0", "t" },
							   { "10", "70", "e1", "f" },
							   { "11", "11", "e2", "f" },
							   { "12", "12", "e3", "f" } };
	static const struct seen_partition gone[] = { { "9", "9", "e0", "t" },
						      { "10", "80", "e1", "f" } };
	struct tables *tables = tables_new(&config);
	char dir[] = "/tmp/tailrace-partitions-XXXXXX";
	struct error err;

	assert_non_null(mkdtemp(dir));
	struct state *store = state_open(dir, &err);

	assert_non_null(store);
	struct pg_partitions seen = {
		.roots = xstrdup("{1}"), .via_root = true, .tables = tables, .state = store
	};
	AUTO(buf) struct buf notes = { 0 };

	(void)state;
	compare(&seen, start, 2);
	compare(&seen, start, 2);
	compare(&seen, made, 3);
	tables_each_note(tables, take_note, &notes);
	assert_int_equal(notes.n, 0);
	compare(&seen, attached, 4);
	noted(tables, "public.events", "public.e0 was attached");
	compare(&seen, truncated, 4);
	noted(tables, "public.events", "public.e1 was truncated or rewritten");
	/* under its own name its TRUNCATE is an event, and it is the table */
	seen.via_root = false;
	compare(&seen, gone, 2);
	noted(tables, "public.e2", "public.e2 was detached or dropped");
	noted(tables, "public.e3", "public.e3 was detached or dropped");
	seen.via_root = true;
	compare(&seen, gone, 0);
	noted(tables, "public.events", "public.e1 was detached or dropped");
	pg_partitions_release(&seen);
	AUTO(free) char *kept = NULL;

	assert_int_equal(state_get(store, "partitions", &kept, &err), 0);
	assert_string_equal(kept, "{\"roots\":\"{1}\",\"partitions\":[]}");
	state_close(store);
	AUTO(free) char *remove = xasprintf("rm -r %s", dir);

	assert_int_equal(system(remove), 0);
	tables_free(tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_partitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
