/*
 * test_pg_catalog.c - which tables are selected, and which may not be published
 */
#include "pg_fixture.h"

#include "../../sources/pg_catalog.h"
#include "../../sources/pg_publication.h"

#define LIST(...) ((struct list){ (char *[]){ __VA_ARGS__ }, COUNT(((char *[]){ __VA_ARGS__ })) })

static struct pg_table table(uint32_t oid, const char *name, char kind, uint32_t parent)
{
	return (struct pg_table){ .oid = oid,
				  .parent = parent,
				  .schema = xstrdup("public"),
				  .name = xstrdup(name),
				  .owner = xstrdup("erp"),
				  .kind = kind,
				  .identity = 'd',
				  .key_usable = true,
				  .owned = true };
}

/* orders; events with partitions events_1 and events_2; notes without a key. */
static struct pg_tables shop(void)
{
	struct pg_tables t = { xcalloc(5, sizeof(struct pg_table)), 5 };

	t.items[0] = table(10, "orders", 'r', 0);
	t.items[1] = table(11, "events", 'p', 0);
	t.items[2] = table(12, "events_1", 'r', 11);
	t.items[3] = table(13, "events_2", 'r', 11);
	t.items[4] = table(14, "notes", 'r', 0);
	t.items[4].key_usable = false;
	return t;
}

static void listed(const struct pg_tables *t, const char *want)
{
	AUTO(buf) struct buf names = { 0 };

	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].listed)
			buf_addf(&names, "%s%s", names.n ? " " : "", t->items[i].name);
	assert_string_equal(buf_z(&names), want);
}

static char all[] = "public.*", no_leaf[] = "!public.events_2", root[] = "public.events",
	    leaf[] = "public.events_1", none[] = "public.nothing", orders[] = "orders";

/* EDGE 23: a root is published as a whole.  EDGE 22: before version 13 each partition by itself. */
static void test_partitions(void **state)
{
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 150000, true, &err), 0);
	listed(&t, "orders events");
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 100000, true, &err), 0);
	listed(&t, "orders events_1 events_2");
	assert_int_equal(pg_tables_choose(&t, &LIST(root), 100000, true, &err), 0);
	listed(&t, "events_1 events_2");
	assert_int_equal(pg_tables_choose(&t, &LIST(root, no_leaf), 100000, true, &err), 0);
	listed(&t, "events_1");
	assert_int_equal(pg_tables_choose(&t, &LIST(leaf), 150000, true, &err), 0);
	listed(&t, "events_1");
	pg_tables_free(&t);
}

/* EDGE 7: publishing must not make the application's UPDATE fail. */
static void test_identity(void **state)
{
	static const struct {
		char identity;
		bool key, index;
		enum pg_problem problem;
	} cases[] = {
		{ 'd', true, false, PG_FINE },  { 'd', false, false, PG_NO_KEY },
		{ 'f', false, false, PG_FINE }, { 'n', true, false, PG_NOTHING },
		{ 'i', false, true, PG_FINE },  { 'i', true, false, PG_BAD_INDEX },
	};
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		t.items[0].identity = cases[i].identity;
		t.items[0].key_usable = cases[i].key;
		t.items[0].index_usable = cases[i].index;
		assert_int_equal(pg_tables_choose(&t, &LIST(orders), 150000, true, &err), 0);
		assert_int_equal(t.items[0].problem, cases[i].problem);
		assert_int_equal(t.items[0].listed, cases[i].problem == PG_FINE);
	}
	t.items[0].unlogged = true;
	assert_int_equal(pg_tables_choose(&t, &LIST(orders), 150000, true, &err), 0);
	assert_int_equal(t.items[0].problem, PG_UNLOGGED);
	pg_tables_free(&t);
}

/* EDGE 7: one partition without a key keeps its whole tree out, by name. */
static void test_bad_partition(void **state)
{
	AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	t.items[3].key_usable = false;
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 150000, true, &err), 0);
	listed(&t, "orders");
	assert_int_equal(t.items[1].problem, PG_PARTITION);
	pg_problem_text(&t.items[1], &text);
	assert_non_null(strstr(buf_z(&text), "public.events_2"));
	pg_problem_sql(&t.items[1], &fix, &undo);
	assert_string_equal(buf_z(&fix),
			    "ALTER TABLE \"public\".\"events_2\" REPLICA IDENTITY FULL;");
	assert_string_equal(buf_z(&undo),
			    "ALTER TABLE \"public\".\"events_2\" REPLICA IDENTITY DEFAULT;");
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 120000, true, &err), 0);
	listed(&t, "orders events_1");
	pg_tables_free(&t);
}

static void test_no_match(void **state)
{
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	assert_int_equal(pg_tables_choose(&t, &LIST(all, none), 150000, true, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_non_null(strstr(err.text, "public.nothing"));
	assert_int_equal(pg_tables_choose(&t, &LIST(all, none), 150000, false, &err), 0);
	assert_int_equal(pg_tables_choose(&t, &LIST(no_leaf), 150000, true, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	pg_tables_free(&t);
}

static void test_publication_sql(void **state)
{
	AUTO(buf) struct buf sql = { 0 };
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 150000, true, &err), 0);
	pg_publication_create_sql("p\"1", &t, 150000, &sql);
	assert_string_equal(
		buf_z(&sql),
		"CREATE PUBLICATION \"p\"\"1\" FOR TABLE ONLY \"public\".\"orders\", "
		"\"public\".\"events\" WITH (publish = 'insert, update, delete, truncate', "
		"publish_via_partition_root = true)");
	buf_clear(&sql);
	assert_int_equal(pg_tables_choose(&t, &LIST(orders), 100000, true, &err), 0);
	pg_publication_create_sql("p", &t, 100000, &sql);
	assert_string_equal(buf_z(&sql),
			    "CREATE PUBLICATION \"p\" FOR TABLE ONLY \"public\".\"orders\""
			    " WITH (publish = 'insert, update, delete')");
	pg_tables_free(&t);
}

/* New tables that match are added; partitions of a published root are covered by it. */
static void test_publication_add(void **state)
{
	AUTO(buf) struct buf sql = { 0 };
	uint32_t members[] = { 11 };
	struct pg_publication p = { .oid = 1, .members = members, .nmembers = 1 };
	struct pg_tables t = shop();
	struct error err;

	(void)state;
	assert_int_equal(pg_tables_choose(&t, &LIST(all), 150000, true, &err), 0);
	assert_true(pg_publication_covers(&p, &t, &t.items[1]));
	assert_true(pg_publication_covers(&p, &t, &t.items[2]));
	assert_false(pg_publication_covers(&p, &t, &t.items[0]));
	assert_int_equal(pg_publication_add_sql("p", &p, &t, &sql), 1);
	assert_string_equal(buf_z(&sql),
			    "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"public\".\"orders\"");
	p.all_tables = true;
	buf_clear(&sql);
	assert_int_equal(pg_publication_add_sql("p", &p, &t, &sql), 0);
	AUTO(free) char *text = pg_publication_members(&p);

	assert_string_equal(text, "{11}");
	pg_tables_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partitions),      cmocka_unit_test(test_identity),
		cmocka_unit_test(test_bad_partition),   cmocka_unit_test(test_no_match),
		cmocka_unit_test(test_publication_sql), cmocka_unit_test(test_publication_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
