/*
 * test_sql.c - text that SQL sinks share
 */
#include "events_helper.h"
#include "../../sinks/sql.h"

static const char *type_of(const struct column *c)
{
	return c->type == COL_TIMESTAMPTZ ? "WHEN" : c->key ? "KEY" : "VALUE";
}

/* EDGE 40: whatever stands in a name stays inside its quotes. */
static void test_identifiers(void **state)
{
	AUTO(buf) struct buf out = { 0 };

	(void)state;
	sql_ident(&out, STR("a\"b`c"), '"');
	buf_addc(&out, ' ');
	sql_ident(&out, STR("a\"b`c"), '`');
	assert_string_equal(buf_z(&out), "\"a\"\"b`c\" `a\"b``c`");
	assert_true(sql_same_name(STR("Stock"), STR("sTOCK")));
	assert_false(sql_same_name(STR("stock"), STR("stocks")));
}

static const struct table *lines(struct events *h)
{
	return TABLE(h, "erp", "lines", 'd', C_KEY("no", COL_INT32, 2),
		     C_KEY("order", COL_INT64, 1), C("x", COL_TEXT));
}

static void test_table_shape(void **state)
{
	AUTO(buf) struct buf out = { 0 };
	struct events h;

	(void)state;
	events_init(&h);
	sql_create_table(&out, STR("lines"), lines(&h), true, type_of, '"');
	assert_string_equal(buf_z(&out),
			    "CREATE TABLE \"lines\" (\"no\" KEY NOT NULL, \"order\" KEY NOT NULL, "
			    "\"x\" VALUE, \"_deleted_at\" WHEN, PRIMARY KEY (\"order\", \"no\"))");
	buf_clear(&out);
	sql_create_table(&out, STR("t"),
			 TABLE(&h, "erp", "unkeyed", 'f', C("a", COL_TEXT), C("b", COL_TEXT)),
			 false, type_of, '`');
	assert_string_equal(buf_z(&out), "CREATE TABLE `t` (`a` VALUE, `b` VALUE)");
	buf_clear(&out);
	sql_add_column(&out, STR("t"), STR("c"), "TEXT", '"');
	assert_string_equal(buf_z(&out), "ALTER TABLE \"t\" ADD COLUMN \"c\" TEXT");
	events_release(&h);
}

static void test_template(void **state)
{
	AUTO(buf) struct buf out = { 0 };
	struct events h;
	struct error err;

	(void)state;
	events_init(&h);
	assert_int_equal(sql_table_name("{pipeline}-{schema}-{table}x", "p", lines(&h), &out, &err),
			 0);
	assert_string_equal(buf_z(&out), "p-erp-linesx");
	assert_int_equal(sql_table_name("{table", "p", lines(&h), &out, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_int_equal(sql_table_name("{}", "p", lines(&h), &out, &err), -1);
	events_release(&h);
}

static void test_columns_distinct(void **state)
{
	struct events h;
	struct error err;

	(void)state;
	events_init(&h);

	const struct table *twins =
		TABLE(&h, "erp", "twins", 'd', C("a", COL_TEXT), C("A", COL_TEXT));
	const struct table *own =
		TABLE(&h, "erp", "own", 'd', C("a", COL_TEXT), C("_Deleted_at", COL_TEXT));

	assert_int_equal(sql_columns_distinct(twins, false, &err), -1);
	assert_int_equal(err.kind, ERR_REJECT);
	assert_int_equal(sql_columns_distinct(own, false, &err), 0);
	assert_int_equal(sql_columns_distinct(own, true, &err), -1);
	assert_int_equal(err.kind, ERR_REJECT);
	events_release(&h);
}

/* Only tables that go to the same sink can meet there. */
static void test_table_alone(void **state)
{
	struct config config = { 0 };
	static char name[] = "erp";
	struct events h;
	struct error err;

	(void)state;
	events_init(&h);
	config.pipeline.name = name;

	struct sink_context c = { .config = &config, .tables = h.tables };
	const struct table *a = TABLE(&h, "a", "stock", 'd', C_KEY("id", COL_INT64, 1));

	TABLE(&h, "a", "stock", 'd', C_KEY("id", COL_INT64, 1), C("more", COL_TEXT));
	assert_int_equal(sql_table_alone(&c, "{table}", a, &err), 0);
	TABLE(&h, "b", "STOCK", 'd', C_KEY("id", COL_INT64, 1));
	assert_int_equal(sql_table_alone(&c, "{table}", a, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_non_null(strstr(err.text, "a.stock"));
	assert_non_null(strstr(err.text, "b.STOCK"));
	assert_int_equal(sql_table_alone(&c, "{schema}.{table}", a, &err), 0);
	c.index = 1;
	assert_int_equal(sql_table_alone(&c, "{table}", a, &err), 0);
	events_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identifiers), cmocka_unit_test(test_table_shape),
		cmocka_unit_test(test_template),    cmocka_unit_test(test_columns_distinct),
		cmocka_unit_test(test_table_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
