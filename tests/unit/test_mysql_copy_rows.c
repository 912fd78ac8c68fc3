/*
 * test_mysql_copy_rows.c - the shape of a definition; keys as text, ranges as SQL, values of what a result holds
 */
#include "mysql_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "../../sources/mysql_copy_rows.h"

static const struct {
	const char *type, *charset;
} kinds[] = {
	{ "tinyint(4)", "" },
	{ "smallint(5) unsigned", "" },
	{ "mediumint(8) unsigned zerofill", "" },
	{ "int", "" },
	{ "bigint(20) unsigned", "" },
	{ "float", "" },
	{ "double", "" },
	{ "decimal(30,10)", "" },
	{ "bit(9)", "" },
	{ "year(4)", "" },
	{ "date", "" },
	{ "time(3)", "" },
	{ "datetime(6)", "" },
	{ "timestamp", "" },
	{ "char(10)", "utf8mb4" },
	{ "varchar(70)", "latin1" },
	{ "binary(16)", "" },
	{ "varbinary(300)", "" },
	{ "tinytext", "utf8" },
	{ "longtext", "utf16" },
	{ "mediumblob", "" },
	{ "json", "" },
	{ "enum('a','b')", "utf8mb4" },
	{ "set('a','b','c','d','e','f','g','h','i')", "latin1" },
	{ "point", "" },
	{ "uuid", "" },
	{ "inet6", "" },
};

static void a_map_of_each_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct two_columns t;
		struct binlog_map_column columns[2];
		struct binlog_map map = { .columns = columns, .ncolumns = 2 };
		AUTO(buf) struct buf why = { 0 };
		const struct mysql_table *def =
			table_with(&t, "t", column("c", kinds[i].type, kinds[i].charset));

		for (size_t k = 0; k < 2; k++)
			assert_true(mysql_table_column(&def->columns[k], true, &columns[k]));
		if (!mysql_table_matches(def, &map, &why))
			FAIL("%s: %s", kinds[i].type, buf_z(&why));
	}
}

static void an_unknown_type(void **state)
{
	(void)state;
	struct two_columns t;
	struct mysql_shape s = { 0 };
	struct error err;

	assert_int_equal(mysql_shape_make(&s, table_with(&t, "t", column("c", "xmltype", "")),
					  false, 0, &err),
			 -1);
	assert_non_null(strstr(err.text, "xmltype"));
	arena_free(&s.arena);
	free(s.table);
	free(s.select);
}

/* PRIMARY KEY (b, a), of an INT and a latin1 text. */
static struct mysql_shape *two_keys(const char *a, const char *b)
{
	struct mysql_shape *s = xcalloc(1, sizeof *s);
	struct mysql_column columns[] = { column("a", a, ""), column("b", b, "latin1"),
					  column("it`s", "set('x','y')", "utf8mb4") };
	struct mysql_table t = { .schema = STR("shop"),
				 .name = STR("t"),
				 .engine = STR("InnoDB"),
				 .columns = columns,
				 .ncolumns = 3 };
	struct error err;

	columns[0].key = 2;
	columns[1].key = 1;
	if (mysql_shape_make(s, &t, false, 0, &err))
		FAIL("%s", err.text);
	s->index = xstrdup("PRIMARY");
	return s;
}

static char text[] = "\0\0\0\0\xc4,'";
static struct mysql_datum row[] = { { .i = -5 }, { .p = text + 4, .n = 3 }, { .i = 3 } };

static void keys_and_ranges(void **state)
{
	(void)state;
	struct mysql_shape *s = two_keys("int(11)", "varchar(20)");
	AUTO(free) char *key = mysql_copy_key(s, row);
	AUTO(free) char *want = xasprintf("%s:_latin1 X'C42C27',-5", s->sign);
	AUTO(free) char *bound = mysql_copy_bound(s, "7");
	AUTO(buf) struct buf sql = { 0 };
	struct error err;

	assert_string_equal(key, want);
	assert_int_equal(mysql_copy_sql(s, "a > 1 -- so",
					&(struct copy_range){ .after = key, .upto = bound }, 20,
					&sql, &err),
			 0);
	assert_string_equal(
		buf_z(&sql),
		"SELECT `a`, `b`, CAST(`it``s` AS UNSIGNED) FROM `shop`.`t` FORCE INDEX (`PRIMARY`)"
		" WHERE (a > 1 -- so\n) AND (`b` > _latin1 X'C42C27' OR (`b` = _latin1 X'C42C27' "
		"AND"
		" (`a` > -5))) AND (`b` <= 7) ORDER BY `b`, `a` LIMIT 20");
	buf_clear(&sql);
	assert_int_equal(mysql_copy_sql(s, NULL, &(struct copy_range){ .upto = key }, 0, &sql,
					&err),
			 0);
	assert_non_null(strstr(buf_z(&sql),
			       " WHERE (`b` < _latin1 X'C42C27' OR (`b` = _latin1 X'C42C27' AND"
			       " (`a` <= -5))) ORDER BY `b`, `a`"));
	assert_null(strstr(buf_z(&sql), "LIMIT"));
	mysql_shape_free(s);
}

static void one_row(void **state)
{
	(void)state;
	struct mysql_shape *s = two_keys("bigint(20) unsigned", "varchar(20)");
	const struct value key[] = { { .state = VALUE_SET, .s = STR("\xc3\x84'") },
				     { .state = VALUE_SET, .u = UINT64_MAX } };
	AUTO(buf) struct buf sql = { 0 };
	struct error err;

	assert_int_equal(mysql_copy_sql(s, NULL, &(struct copy_range){ .key = key }, 1, &sql, &err),
			 0);
	assert_non_null(strstr(buf_z(&sql),
			       " WHERE `b` = _utf8mb4 X'C38427' AND `a` = 18446744073709551615 "));
	mysql_shape_free(s);
}

static void years_of_zero(void **state)
{
	(void)state;
	struct mysql_shape *s = two_keys("year(4)", "varchar(20)");
	struct mysql_datum zero[] = { { .i = 0 }, { .p = text + 4, .n = 1 }, { .null = true } };
	AUTO(free) char *key = mysql_copy_key(s, zero);
	AUTO(buf) struct buf sql = { 0 };
	struct error err;

	assert_int_equal(mysql_copy_sql(s, NULL, &(struct copy_range){ .after = key }, 0, &sql,
					&err),
			 0);
	assert_non_null(strstr(buf_z(&sql), "CAST(`a` AS UNSIGNED) > 0"));
	mysql_shape_free(s);
}

static void keys_of_another_table(void **state)
{
	(void)state;
	struct mysql_shape *s = two_keys("int(11)", "varchar(20)"),
			   *other = two_keys("int(11)", "varchar(21)");
	AUTO(free) char *key = mysql_copy_key(other, row);
	AUTO(free) char *many = xasprintf("%s:1,2,3", s->sign);
	AUTO(free) char *none = xasprintf("%s:", s->sign);
	AUTO(free) char *hole = xasprintf("%s:1,", s->sign);
	const char *const bad[] = { key, many, none, hole, "", "1,2" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		AUTO(buf) struct buf sql = { 0 };
		struct error err = { 0 };

		assert_int_equal(mysql_copy_sql(s, NULL, &(struct copy_range){ .after = bad[i] }, 0,
						&sql, &err),
				 -1);
		assert_int_equal(err.kind, ERR_RETRY);
		assert_int_equal(err.code, ESTALE);
	}
	mysql_shape_free(s);
	mysql_shape_free(other);
}

static void values(void **state)
{
	(void)state;
	struct mysql_shape *s = two_keys("time(2)", "varchar(20)");
	AUTO(arena) struct arena a = { 0 };
	struct value v;
	struct error err;
	struct mysql_datum d = { .when = { .hour = 12, .minute = 34, .second = 56, .us = 780000 } };

	assert_int_equal(mysql_copy_value(s, 0, &d, &a, &v, &err), 0);
	assert_int_equal(v.state, VALUE_SET);
	assert_int_equal(v.i, (((12 * 60) + 34) * 60 + 56) * INT64_C(1000000) + 780000);
	d.when = (struct mysql_moment){
		.hour = 838, .minute = 59, .second = 58, .us = 990000, .negative = true
	};
	assert_int_equal(mysql_copy_value(s, 0, &d, &a, &v, &err), 0);
	assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
	assert_true(str_eqz(v.s, "-838:59:58.99"));
	assert_int_equal(mysql_copy_value(s, 1, &row[1], &a, &v, &err), 0);
	assert_true(str_eqz(v.s, "\xc3\x84,'"));
	assert_int_equal(mysql_copy_value(s, 2, &row[2], &a, &v, &err), 0);
	assert_true(str_eqz(v.s, "x,y"));
	assert_int_equal(mysql_copy_value(s, 2, &(struct mysql_datum){ .null = true }, &a, &v,
					  &err),
			 0);
	assert_int_equal(v.state, VALUE_NULL);
	mysql_shape_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_of_each_type),
		cmocka_unit_test(an_unknown_type),
		cmocka_unit_test(keys_and_ranges),
		cmocka_unit_test(one_row),
		cmocka_unit_test(years_of_zero),
		cmocka_unit_test(keys_of_another_table),
		cmocka_unit_test(values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
