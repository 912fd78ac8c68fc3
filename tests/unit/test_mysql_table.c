/*
 * test_mysql_table.c - definitions against table maps, against each other, and as JSON
 */
#include "mysql_fixture.h"

#define UTF8MB4 45 /* utf8mb4_general_ci */
#define LATIN1  8

static bool matches(const struct mysql_table *t, const struct binlog_map *m, const char *says)
{
	AUTO(buf) struct buf why = { 0 };
	bool yes = mysql_table_matches(t, m, &why);

	if (says && !strstr(buf_z(&why), says))
		FAIL("\"%s\" does not say \"%s\"", buf_z(&why), says);
	return yes;
}

/* Types as each family of servers writes them in table maps. */
static void test_types(void **state)
{
	static const struct {
		const char *type, *charset;
		uint8_t code;
		uint16_t meta;
		bool fits;
	} cases[] = {
		{ "tinyint(1)", "", MYSQL_TINY, 0, true },
		{ "smallint(5) unsigned", "", MYSQL_SHORT, 0, true },
		{ "mediumint(9)", "", MYSQL_INT24, 0, true },
		{ "bigint(20) unsigned", "", MYSQL_LONGLONG, 0, true },
		{ "bigint", "", MYSQL_LONG, 0, false },
		{ "float", "", MYSQL_FLOAT, 4, true },
		{ "double", "", MYSQL_DOUBLE, 8, true },
		{ "decimal(10,2)", "", MYSQL_NEWDECIMAL, 10 | 2 << 8, true },
		{ "decimal(10,2)", "", MYSQL_NEWDECIMAL, 10 | 3 << 8, false },
		{ "decimal(10,2) unsigned zerofill", "", MYSQL_NEWDECIMAL, 10 | 2 << 8, true },
		{ "bit(3)", "", MYSQL_BIT, 3, true },
		{ "bit(20)", "", MYSQL_BIT, 2 << 8 | 4, true },
		{ "bit(20)", "", MYSQL_BIT, 2 << 8 | 5, false },
		{ "year(4)", "", MYSQL_YEAR, 0, true },
		{ "date", "", MYSQL_DATE, 0, true },
		{ "time", "", MYSQL_TIME2, 0, true },
		{ "time(6)", "", MYSQL_TIME2, 6, true },
		{ "time", "", MYSQL_TIME, 0, true },
		{ "datetime(3)", "", MYSQL_DATETIME2, 3, true },
		{ "datetime(3)", "", MYSQL_DATETIME2, 2, false },
		{ "datetime(3)", "", MYSQL_DATETIME, 0, true },
		{ "datetime", "", MYSQL_TIMESTAMP2, 0, false },
		{ "timestamp", "", MYSQL_TIMESTAMP2, 0, true },
		{ "char(10)", "latin1", MYSQL_STRING, 10, true },
		{ "char(10)", "utf8mb4", MYSQL_STRING, 40, true },
		{ "char(255)", "utf8mb4", MYSQL_STRING, 1020, true },
		{ "char(10)", "utf8mb4", MYSQL_STRING, 10, false },
		{ "varchar(20)", "utf8mb3", MYSQL_VARCHAR, 60, true },
		{ "varchar(20)", "utf8mb4", MYSQL_VARCHAR, 84, false },
		{ "varchar(10) /*M!100301 COMPRESSED*/", "utf8mb4", MYSQL_VARCHAR_COMPRESSED, 41,
		  true },
		{ "varchar(20)", "klingon", MYSQL_VARCHAR, 20, true },
		{ "binary(16)", "", MYSQL_STRING, 16, true },
		{ "binary(16)", "", MYSQL_STRING, 17, false },
		{ "varbinary(5)", "", MYSQL_VARCHAR, 5, true },
		{ "tinyblob", "", MYSQL_BLOB, 1, true },
		{ "blob", "", MYSQL_BLOB, 2, true },
		{ "mediumtext", "utf8mb4", MYSQL_BLOB, 3, true },
		{ "longtext", "utf8mb4", MYSQL_BLOB, 4, true },
		{ "text", "utf8mb4", MYSQL_BLOB, 4, false },
		{ "text", "utf8mb4", MYSQL_BLOB_COMPRESSED, 2, true },
		{ "json", "", MYSQL_JSON, 4, true },
		{ "json", "", MYSQL_BLOB, 4, false },
		{ "enum('a','b')", "utf8mb4", MYSQL_ENUM, 1, true },
		{ "set('a','b')", "utf8mb4", MYSQL_SET, 1, true },
		{ "set('a','b')", "utf8mb4", MYSQL_ENUM, 1, false },
		{ "uuid", "", MYSQL_STRING, 16, true },
		{ "inet6", "", MYSQL_STRING, 16, true },
		{ "inet4", "", MYSQL_STRING, 4, true },
		{ "uuid", "", MYSQL_STRING, 32, false },
		{ "vector(3)", "", MYSQL_VECTOR, 4, true },
		{ "point", "", MYSQL_GEOMETRY, 4, true },
		{ "geometry", "", MYSQL_BLOB, 4, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct two_columns t;
		struct two_mapped m;
		bool yes =
			matches(table_with(&t, "t", column("c", cases[i].type, cases[i].charset)),
				map_with(&m, "t", cases[i].code, cases[i].meta),
				cases[i].fits ? NULL : "column 2");

		if (yes != cases[i].fits)
			FAIL("%s in %s against %u, %u", cases[i].type, cases[i].charset,
			     cases[i].code, cases[i].meta);
	}
}

/* EDGE 79, 81: what the map says beyond types is compared where it says it. */
static void test_metadata(void **state)
{
	struct two_columns t;
	struct two_mapped m;
	struct str labels[] = { STR("a"), STR("\xe9") };

	(void)state;
	table_with(&t, "t", column("c", "int(10) unsigned", ""));
	map_with(&m, "t", MYSQL_LONG, 0);
	assert_true(matches(&t.table, &m.map, NULL));
	m.map.ncolumns = 1;
	assert_false(matches(&t.table, &m.map, "1 columns in the log, 2 in the definition"));
	m.map.ncolumns = 2;
	m.columns[1].nullable = false;
	assert_false(matches(&t.table, &m.map, "NULL"));
	m.columns[1].nullable = true;
	m.map.has_signedness = true;
	assert_false(matches(&t.table, &m.map, "sign of column 2"));
	m.columns[1].is_unsigned = true;
	assert_true(matches(&t.table, &m.map, NULL));
	m.map.has_names = true;
	m.columns[0].name = STR("id");
	m.columns[1].name = STR("d");
	assert_false(matches(&t.table, &m.map, "name of column 2, which is c"));
	m.columns[1].name = STR("c");
	assert_true(matches(&t.table, &m.map, NULL));

	table_with(&t, "t", column("c", "varchar(4)", "utf8mb4"));
	map_with(&m, "t", MYSQL_VARCHAR, 16);
	m.map.has_charset = true;
	m.columns[1].collation = UTF8MB4;
	assert_true(matches(&t.table, &m.map, NULL));
	m.columns[1].collation = LATIN1;
	assert_false(matches(&t.table, &m.map, "character set"));

	/* labels are in the column's own character set there */
	table_with(&t, "t", column("c", "enum('a','\xc3\xa9')", "latin1"));
	map_with(&m, "t", MYSQL_ENUM, 1);
	m.map.has_labels = true;
	m.columns[1].labels = labels;
	m.columns[1].nlabels = 2;
	assert_true(matches(&t.table, &m.map, NULL));
	labels[0] = STR("b");
	assert_false(matches(&t.table, &m.map, "labels"));
	labels[0] = STR("a");
	m.columns[1].nlabels = 1;
	assert_false(matches(&t.table, &m.map, "labels"));
}

static void test_labels(void **state)
{
	static const char *const wanted[] = { "a", "b'c", "d,e", "f)g", "\\", "h\ni", "" };
	AUTO(arena) struct arena a = { 0 };
	struct str *labels;

	(void)state;
	assert_int_equal(mysql_labels(STR("enum('a','b''c','d,e','f)g','\\\\','h\\ni','')"), &a,
				      &labels),
			 7);
	for (size_t i = 0; i < COUNT(wanted); i++)
		assert_true(str_eqz(labels[i], wanted[i]));
	assert_int_equal(mysql_labels(STR("set('x\\0y')"), &a, &labels), 1);
	assert_true(str_eq(labels[0], STR("x\0y")));
	assert_int_equal(mysql_labels(STR("varchar(4)"), &a, &labels), 0);
	/* cut short */
	assert_int_equal(mysql_labels(STR("enum('a','b"), &a, &labels), 1);
	assert_int_equal(mysql_labels(STR("enum('a','b\\"), &a, &labels), 1);
	assert_int_equal(mysql_labels(STR("enum("), &a, &labels), 0);
	assert_int_equal(mysql_labels(STR("set()"), &a, &labels), 0);
	assert_int_equal(mysql_labels((struct str){ NULL, 0 }, &a, &labels), 0);
}

/* EDGE 98: which ALTERs leave rows as they were */
static void test_rewritten(void **state)
{
	static const struct {
		const char *from, *from_charset, *to, *to_charset;
		bool rewritten;
	} cases[] = {
		{ "int(11)", "", "int(11)", "", false },
		{ "int(11)", "", "bigint(20)", "", false },
		{ "bigint(20)", "", "int(11)", "", true },
		{ "int(10) unsigned", "", "int(11)", "", true },
		{ "int(10) unsigned", "", "bigint(20)", "", false },
		{ "int(11)", "", "bigint(20) unsigned", "", true },
		{ "int(11)", "", "varchar(20)", "utf8mb4", true },
		{ "decimal(10,2)", "", "decimal(12,3)", "", false },
		{ "decimal(10,2)", "", "decimal(10,3)", "", true },
		{ "decimal(10,2)", "", "decimal(10,1)", "", true },
		{ "float", "", "double", "", true },
		{ "varchar(10)", "latin1", "varchar(20)", "latin1", false },
		{ "varchar(10)", "latin1", "varchar(10)", "utf8mb4", false },
		{ "varchar(10)", "utf8mb4", "varchar(10)", "latin1", true },
		{ "varchar(20)", "utf8mb4", "varchar(10)", "utf8mb4", true },
		{ "char(5)", "utf8mb4", "varchar(5)", "utf8mb4", false },
		{ "varchar(5)", "utf8mb4", "char(5)", "utf8mb4", true },
		{ "varchar(5)", "utf8mb4", "text", "utf8mb4", false },
		{ "text", "utf8mb4", "mediumtext", "utf8mb4", false },
		{ "mediumtext", "utf8mb4", "text", "utf8mb4", true },
		{ "varbinary(5)", "", "varchar(5)", "utf8mb4", true },
		{ "enum('a','b')", "utf8mb4", "enum('c','b','a')", "utf8mb4", false },
		{ "enum('a','b')", "utf8mb4", "enum('a','c')", "utf8mb4", true },
		{ "set('a','b')", "utf8mb4", "set('b','a')", "utf8mb4", true },
		{ "datetime", "", "datetime(3)", "", false },
		{ "datetime(3)", "", "datetime", "", true },
		{ "datetime", "", "timestamp", "", true },
	};
	struct two_columns from, to;
	AUTO(buf) struct buf why = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		table_with(&from, "t", column("c", cases[i].from, cases[i].from_charset));
		/* also where it got another name in the same statement */
		table_with(&to, "t", column(i % 2 ? "c" : "d", cases[i].to, cases[i].to_charset));
		if (mysql_table_rewritten(&from.table, &to.table, &why) != cases[i].rewritten)
			FAIL("%s to %s", cases[i].from, cases[i].to);
	}
	table_with(&from, "t", column("c", "int(11)", ""));
	table_with(&to, "t", column("c", "int(11)", ""));
	to.columns[1].nullable = false;
	buf_clear(&why);
	assert_true(mysql_table_rewritten(&from.table, &to.table, &why));
	assert_string_equal(buf_z(&why), "column c was int(11) and is int(11) NOT NULL");
	/* one that came and one that went */
	to.table.ncolumns = 1;
	assert_false(mysql_table_rewritten(&from.table, &to.table, &why));
	assert_false(mysql_table_rewritten(&to.table, &from.table, &why));
}

static void test_json(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf json = { 0 };
	struct two_columns t;
	struct mysql_table back;
	struct error err;

	(void)state;
	table_with(&t, "a\"b`c\\", column("sch\xc3\xb6n", "enum('x','''y')", "latin1"));
	t.table.versioned = true;
	mysql_table_json(&t.table, &json);
	assert_int_equal(mysql_table_parse((struct str){ json.p, json.n }, &a, &back, &err), 0);
	assert_true(str_eq(back.schema, t.table.schema));
	assert_true(str_eq(back.name, t.table.name));
	assert_true(mysql_table_equal(&back, &t.table));
	assert_true(back.transactional && back.versioned && !back.sequence);
	assert_int_equal(back.columns[0].key, 1);
	back.columns[1].charset = STR("utf8mb4");
	assert_false(mysql_table_equal(&back, &t.table));

	/* cut anywhere it is refused */
	for (size_t n = 0; n < json.n; n++) {
		assert_int_equal(mysql_table_parse((struct str){ json.p, n }, &a, &back, &err), -1);
		assert_int_equal(err.kind, ERR_FATAL);
	}
	assert_int_equal(mysql_table_parse(STR("{\"schema\":1}"), &a, &back, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),  cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_labels), cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
