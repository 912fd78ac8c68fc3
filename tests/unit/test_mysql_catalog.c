/*
 * test_mysql_catalog.c - definitions by their place in the log, with a scripted server for information_schema
 */
#include <stdio.h>
#include <stdlib.h>

#include "mysql_fixture.h"

#include "../../sources/mysql_catalog.h"
#include "../../sources/mysql_history.h"

/* --- the server: its tables are what a test makes them --- */

static struct {
	struct two_columns tables[8];
	size_t n;
	int names; /* lower_case_table_names */
	/* the end of the log; 0: it is the last statement that the stream has passed */
	uint64_t end, passed;
	/* SELECT 1 FROM this table changes its column first */
	const char *alter_at;
} server;

static struct two_columns *server_table(const char *name)
{
	for (size_t i = 0; i < server.n; i++)
		if (str_eqz(server.tables[i].table.name, name))
			return &server.tables[i];
	return NULL;
}

static void server_create(const char *name, const char *column_name, const char *type)
{
	assert_true(server.n < COUNT(server.tables));
	table_with(&server.tables[server.n++], name, column(column_name, type, ""));
}

static void server_drop(const char *name)
{
	struct two_columns *t = server_table(name);

	assert_non_null(t);
	*t = server.tables[--server.n];
	t->table.columns = t->columns;
	server.tables[server.n].table.columns = NULL;
}

static void server_rename(const char *name, const char *to)
{
	server_table(name)->table.name = str_z(to);
}

static void server_alter(const char *name, const char *column_name, const char *type)
{
	server_table(name)->columns[1] = column(column_name, type, "");
}

/* The members of the client that the catalog uses. */

struct str mysql_cell(const struct mysql_rows *r, size_t row, size_t col)
{
	return row < r->n ? r->values[row * r->ncolumns + col] : (struct str){ NULL, 0 };
}

void mysql_rows_free(struct mysql_rows *r)
{
	free(r->values);
	arena_free(&r->arena);
	*r = (struct mysql_rows){ 0 };
}

void mysql_rows_cleanup(struct mysql_rows *r)
{
	mysql_rows_free(r);
}

void mysql_quote(struct mysql_conn *c, struct buf *out, const char *text)
{
	(void)c;
	buf_addf(out, "'%s'", text);
}

void mysql_name(struct buf *out, const char *name)
{
	buf_addf(out, "`%s`", name);
}

int mysql_command(struct mysql_conn *c, const char *sql, struct error *err)
{
	(void)c;
	(void)err;
	assert_non_null(strstr(sql, "SET SESSION"));
	return 0;
}

static void add_row(struct mysql_rows *r, size_t n, const struct str *values)
{
	r->values = xrealloc(r->values, (r->n + 1) * n * sizeof *r->values);
	r->ncolumns = n;
	for (size_t i = 0; i < n; i++)
		r->values[r->n * n + i] = arena_copy(&r->arena, values[i]);
	r->n++;
}

/* Does this query ask for that table: TABLE_NAME = 'x', or `db`.`x` */
static bool asked(const char *sql, const struct mysql_table *t)
{
	AUTO(free) char *equal = xasprintf("TABLE_NAME = '%.*s'", STR_FMT(t->name));
	AUTO(free) char *from = xasprintf("`.`%.*s`", STR_FMT(t->name));

	return strstr(sql, equal) || strstr(sql, from) ||
	       (!strstr(sql, "TABLE_NAME =") && !strstr(sql, "`.`"));
}

static void add_columns(struct mysql_rows *r, const struct mysql_table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *c = &t->columns[i];
		struct str row[] = { t->schema,
				     t->name,
				     c->name,
				     c->data_type,
				     c->column_type,
				     c->charset,
				     c->nullable ? STR("YES") : STR("NO"),
				     STR("") };

		add_row(r, COUNT(row), row);
	}
}

static void add_table(struct mysql_rows *r, const char *sql, const struct mysql_table *t)
{
	struct str type = t->sequence ? STR("SEQUENCE") : STR("BASE TABLE");

	if (strstr(sql, "information_schema.TABLES"))
		add_row(r, 5, (struct str[]){ t->schema, t->name, t->engine, type, STR("YES") });
	else if (strstr(sql, "information_schema.COLUMNS"))
		add_columns(r, t);
	else if (strstr(sql, "KEY_COLUMN_USAGE"))
		add_row(r, 4, (struct str[]){ t->schema, t->name, STR("id"), STR("1") });
	else
		add_row(r, 1, (struct str[]){ STR("1") });
}

static int other_query(const char *sql, struct mysql_rows *out)
{
	char text[24];

	if (strstr(sql, "@@lower_case_table_names")) {
		snprintf(text, sizeof text, "%d", server.names);
		add_row(out, 1, (struct str[]){ str_z(text) });
		return 1;
	}
	if (!strstr(sql, "SHOW MASTER STATUS"))
		return 0;
	snprintf(text, sizeof text, "%llu",
		 (unsigned long long)(server.end ? server.end : server.passed));
	add_row(out, 2, (struct str[]){ STR("binlog.000001"), str_z(text) });
	return 1;
}

int mysql_query_rows(struct mysql_conn *c, const char *sql, struct mysql_rows *out,
		     struct error *err)
{
	bool settles = strncmp(sql, "SELECT 1 FROM", 13) == 0, any = false;

	(void)c;
	*out = (struct mysql_rows){ 0 };
	if (other_query(sql, out))
		return 0;
	if (settles && server.alter_at && strstr(sql, server.alter_at)) {
		server_alter(server.alter_at, "altered", "int(11)");
		server.alter_at = NULL;
	}
	for (size_t i = 0; i < server.n; i++) {
		if (!asked(sql, &server.tables[i].table))
			continue;
		any = true;
		add_table(out, sql, &server.tables[i].table);
	}
	if (!settles || any)
		return 0;
	(void)fail(err, ERR_FATAL, "no such table");
	err->code = 1146;
	return -1;
}

/* --- a catalog, over processes --- */

static struct {
	char dir[32];
	struct state *state;
	struct tables *tables;
	struct config config;
	char *patterns[4];
	struct source source;
	struct mysql_server server;
	struct mysql_catalog *catalog;
	struct binlog_catalog calls;
	struct buf notes;
} it;

static struct mysql_conn *const some_conn = (struct mysql_conn *)&server;

static void start_process(void)
{
	struct error err;

	it.state = state_open(it.dir, &err);
	assert_non_null(it.state);
	it.source.state = it.state;
	it.catalog = mysql_catalog_new(&it.config, it.tables, &it.source);
	it.calls = mysql_catalog_callbacks(it.catalog);
}

static void end_process(void)
{
	mysql_catalog_free(it.catalog);
	state_close(it.state);
}

static void connect_strictly(void)
{
	struct error err;

	if (mysql_catalog_connect(it.catalog, some_conn, &it.server, true, &err))
		FAIL("%s", err.text);
}

static void restart(void)
{
	end_process();
	start_process();
	connect_strictly();
}

static struct position at(uint64_t offset)
{
	return (struct position){ 1, 1, offset, 1 };
}

static int set_up(void **state)
{
	static const struct tables_config names = { "erp", "mysql", "erp", NULL, 0 };
	static char everything[] = "shop.*";

	(void)state;
	memset(&server, 0, sizeof server);
	memset(&it, 0, sizeof it);

	snprintf(it.dir, sizeof it.dir, "/tmp/tailrace-catalog-XXXXXX");
	assert_non_null(mkdtemp(it.dir));
	it.tables = tables_new(&names);
	it.patterns[0] = everything;
	it.config.source.tables = (struct list){ it.patterns, 1 };
	it.server.version = 50744;
	start_process();
	return 0;
}

static int tear_down(void **state)
{
	AUTO(free) char *remove = xasprintf("rm -r %s", it.dir);

	(void)state;
	end_process();
	tables_free(it.tables);
	buf_free(&it.notes);
	return system(remove);
}

/* A first start with what the server has, at 100. */
static void first_start(void)
{
	struct position place = at(100);
	struct error err;

	connect_strictly();
	if (mysql_catalog_begin(it.catalog, &place, &err))
		FAIL("%s", err.text);
}

static void run(uint64_t offset, const char *sql)
{
	AUTO(arena) struct arena a = { 0 };
	struct mysql_statement_info s;
	struct position place = at(offset);
	struct error err;

	server.passed = offset;
	mysql_statement_read(str_z(sql), STR("shop"), 0, &a, &s);
	for (size_t i = 0; i < s.nitems; i++) { /* as the decoder does */
		s.items[i].db = it.calls.kept(it.calls.ctx, s.items[i].db, &a);
		s.items[i].table = it.calls.kept(it.calls.ctx, s.items[i].table, &a);
	}
	if (it.calls.changed(it.calls.ctx, &place, &s, &err))
		FAIL("%s: %s", sql, err.text);
}

/* The second column's name at that place, for a row whose second column is of that type. */
static const char *name_at(uint64_t offset, const char *table, uint8_t type, struct error *err)
{
	static char name[64];
	struct two_mapped m;
	const struct mysql_table *t;
	struct position place = at(offset);
	int rc = it.calls.definition(it.calls.ctx, &place, map_with(&m, table, type, 0), &t, err);

	if (rc < 0)
		FAIL("%s", err->text);
	if (rc == 0)
		return NULL;
	assert_true(str_eqz(t->name, table));
	assert_int_equal(t->columns[0].key, 1);
	snprintf(name, sizeof name, "%.*s", STR_FMT(t->columns[1].name));
	return name;
}

static void named(uint64_t offset, const char *table, uint8_t type, const char *name)
{
	struct error err = { 0 };
	const char *is = name_at(offset, table, type, &err);

	if (!is)
		FAIL("%s at %llu: %s", table, (unsigned long long)offset, err.text);
	assert_string_equal(is, name);
}

static void unknown(uint64_t offset, const char *table, uint8_t type, const char *says)
{
	struct error err = { 0 };

	assert_null(name_at(offset, table, type, &err));
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, says))
		FAIL("\"%s\" does not say \"%s\"", err.text, says);
}

static void take_note(void *arg, enum table_note kind, struct str schema, struct str name,
		      const char *reason)
{
	assert_int_equal(kind, TABLE_NOTE_RELOAD);
	buf_addf(arg, "%.*s.%.*s: %s; ", STR_FMT(schema), STR_FMT(name), reason);
}

static const char *notes(void)
{
	buf_clear(&it.notes);
	tables_each_note(it.tables, take_note, &it.notes);
	return buf_z(&it.notes);
}

static bool captured(const char *db, const char *table)
{
	return it.calls.selected(it.calls.ctx, str_z(db), str_z(table));
}

/* --- */

static void test_selected(void **state)
{
	static char tmp[] = "!*.*_tmp", all[] = "*.*", none[] = "shop.nothing*";
	struct error err;

	(void)state;
	server_create("t", "c", "int(11)");
	it.patterns[0] = all;
	it.patterns[1] = tmp;
	it.config.source.tables.n = 2;
	first_start();
	assert_true(captured("shop", "t"));
	assert_true(captured("other", "later"));
	assert_false(captured("shop", "t_tmp"));
	assert_false(captured("mysql", "user"));
	assert_false(captured("sys", "x"));
	assert_false(captured("shop", "tailrace_checkpoint"));
	assert_false(captured("tailrace_x", "t"));

	it.patterns[1] = none;
	assert_int_equal(mysql_catalog_connect(it.catalog, some_conn, &it.server, true, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_non_null(strstr(err.text, "\"shop.nothing*\" matches no table"));
	/* later on, a table that is gone is no reason to stop */
	assert_int_equal(mysql_catalog_connect(it.catalog, some_conn, &it.server, false, &err), 0);
}

/* EDGE 101 */
static void test_lower_case(void **state)
{
	static char upper[] = "SHOP.Caf\xc3\x89";

	(void)state;
	server_create("caf\xc3\xa9", "c", "int(11)");
	it.patterns[0] = upper;
	server.names = 1;
	first_start();
	assert_true(captured("shop", "caf\xc3\xa9"));
	server_alter("caf\xc3\xa9", "d", "int(11)");
	run(200, "ALTER TABLE Shop.CAF\xc3\x89 RENAME COLUMN c TO d");
	named(150, "caf\xc3\xa9", MYSQL_LONG, "c");
	named(250, "caf\xc3\xa9", MYSQL_LONG, "d");
	server.names = 0;
	struct error err;

	assert_int_equal(mysql_catalog_connect(it.catalog, some_conn, &it.server, true, &err), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_false(captured("shop", "caf\xc3\xa9"));
}

/* EDGE 79, 97: each row by its own definition, also when the log is read again by another process. */
static void test_alter(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	named(150, "t", MYSQL_LONG, "c");
	server_alter("t", "d", "int(11)");
	run(200, "ALTER TABLE t CHANGE c d int");
	named(250, "t", MYSQL_LONG, "d");
	server_alter("t", "e", "bigint(20)");
	run(300, "ALTER TABLE t CHANGE d e bigint");
	named(350, "t", MYSQL_LONGLONG, "e");
	named(150, "t", MYSQL_LONG, "c");
	named(250, "t", MYSQL_LONG, "d");

	restart();
	named(150, "t", MYSQL_LONG, "c");
	server_alter("t", "f", "bigint(20)"); /* while the log is read from before */
	run(200, "ALTER TABLE t CHANGE c d int");
	named(250, "t", MYSQL_LONG, "d");
	run(300, "ALTER TABLE t CHANGE d e bigint");
	named(350, "t", MYSQL_LONGLONG, "e");
	run(400, "ALTER TABLE t CHANGE e f bigint");
	named(450, "t", MYSQL_LONGLONG, "f");
	assert_non_null(strstr(notes(), "shop.t: a column has another name"));
	assert_null(strstr(notes(), "column d was"));
}

/* What is durable is not read again. */
static void test_prune(void **state)
{
	struct position upto = at(250);
	AUTO(free) char *kept = NULL;
	struct error err;

	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	server_alter("t", "d", "int(11)");
	run(200, "ALTER TABLE t CHANGE c d int");
	server_alter("t", "e", "int(11)");
	run(300, "ALTER TABLE t CHANGE d e int");
	assert_int_equal(mysql_catalog_prune(it.catalog, &upto, &err), 0);
	named(250, "t", MYSQL_LONG, "d");
	named(350, "t", MYSQL_LONG, "e");
	upto = at(350);
	assert_int_equal(mysql_catalog_prune(it.catalog, &upto, &err), 0);
	restart();
	named(350, "t", MYSQL_LONG, "e");
	assert_int_equal(state_get(it.state, "mysql.table.`shop`.`t`", &kept, &err), 0);
	assert_non_null(strstr(kept, "\"e\""));
	assert_null(strstr(kept, "\"d\""));
}

/* Statements that were passed while the server was further on already. */
static void test_behind(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	/* two of them: rows between them fit neither definition */
	server_alter("t", "e", "bigint(20)");
	run(200, "ALTER TABLE t ADD x int");
	unknown(250, "t", MYSQL_SHORT, "type of column 2, which is e bigint(20)");
	unknown(250, "t", MYSQL_SHORT, "binlog_row_metadata = FULL");
	run(300, "ALTER TABLE t ADD y int");
	named(350, "t", MYSQL_LONGLONG, "e");
	assert_string_equal(notes(), "");
	/* rows between two of them that fit: taken, and said at the second */
	server_alter("t", "g", "bigint(20)");
	server.end = 900;
	run(400, "ALTER TABLE t CHANGE e f bigint");
	named(450, "t", MYSQL_LONGLONG, "g");
	run(500, "ALTER TABLE t CHANGE f g bigint");
	assert_non_null(
		strstr(notes(), "shop.t: altered twice before its definition could be read"));
	/* gone by now */
	server_drop("t");
	run(600, "ALTER TABLE t ADD z int");
	unknown(650, "t", MYSQL_LONGLONG, "shop.t at 1/1/28A/1");
	unknown(650, "t", MYSQL_LONGLONG, "it is gone");
}

/* No history: a state.db that was lost, a table that came while nothing was written of it. */
static void test_nothing_known(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	connect_strictly();
	named(150, "t", MYSQL_LONG, "c");
	restart();
	server_alter("t", "d", "int(11)");
	named(150, "t", MYSQL_LONG, "c");
	unknown(120, "t", MYSQL_LONGLONG, "type");
}

/* Altered outside the log, with sql_log_bin = 0. */
static void test_unlogged(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	server_alter("t", "d", "bigint(20)");
	named(150, "t", MYSQL_LONG, "c");
	named(200, "t", MYSQL_LONGLONG, "d");
	named(150, "t", MYSQL_LONG, "c");
}

/* EDGE 96: gh-ost, pt-online-schema-change, with the shadow table captured or not */
static void test_swap(void **state)
{
	static char only[] = "shop.orders";

	(void)state;
	for (int all = 0; all < 2; all++) {
		if (!all)
			it.patterns[0] = only;
		server_create("orders", "c", "int(11)");
		first_start();
		server_create("_orders_gho", "c", "int(11)");
		run(200, "CREATE TABLE `shop`.`_orders_gho` LIKE `shop`.`orders`");
		server_alter("_orders_gho", "d", "bigint(20)");
		run(300, "ALTER TABLE `shop`.`_orders_gho` CHANGE c d bigint");
		named(350, "orders", MYSQL_LONG, "c");
		assert_int_equal(captured("shop", "_orders_gho"), all);
		if (all)
			named(350, "_orders_gho", MYSQL_LONGLONG, "d");
		server_rename("orders", "_orders_del");
		server_rename("_orders_gho", "orders");
		run(400, "RENAME TABLE `shop`.`orders` TO `shop`.`_orders_del`, "
			 "`shop`.`_orders_gho` TO `shop`.`orders`");
		named(450, "orders", MYSQL_LONGLONG, "d");
		if (all)
			named(450, "_orders_del", MYSQL_LONG, "c");
		named(350, "orders", MYSQL_LONG, "c");
		/* the same rows, but for what the copy has more */
		assert_null(strstr(notes(), "shop.orders: another table"));
		assert_non_null(strstr(notes(), "shop.orders: column d is new"));
		/* but that other name now has rows that were never delivered under it */
		assert_int_equal(strstr(notes(), "_orders_del: another table") != NULL, all);
		run(500, "DROP TABLE `shop`.`_orders_del`");
		assert_int_equal(strstr(notes(), "_orders_del: it was dropped") != NULL, all);
		/* once more, from before it */
		restart();
		named(350, "orders", MYSQL_LONG, "c");
		run(400, "RENAME TABLE orders TO _orders_del, _orders_gho TO orders");
		named(450, "orders", MYSQL_LONGLONG, "d");
		if (!all) {
			tear_down(NULL);
			set_up(NULL);
		}
	}
}

/* EDGE 96: a copy that grew in length only holds the same rows; a table that is not called like a copy may not. */
static void test_swap_of_the_same(void **state)
{
	(void)state;
	server_create("orders", "c", "int(11)");
	server_create("_orders_new", "c", "bigint(20)");
	first_start();
	server_rename("orders", "_orders_old");
	server_rename("_orders_new", "orders");
	run(200, "RENAME TABLE orders TO _orders_old, _orders_new TO orders");
	named(250, "orders", MYSQL_LONGLONG, "c");
	assert_null(strstr(notes(), "shop.orders:"));
	server_rename("orders", "x");
	server_rename("_orders_old", "orders");
	run(300, "RENAME TABLE orders TO x, _orders_old TO orders");
	assert_non_null(strstr(notes(), "shop.orders: another table was renamed to it"));
}

/* EDGE 96: names change places by way of a third one; definitions go along though the server is past it all. */
static void test_exchange(void **state)
{
	(void)state;
	server_create("a", "of_a", "int(11)");
	server_create("b", "of_b", "int(11)");
	first_start();
	server_rename("a", "x");
	server_rename("b", "a");
	server_rename("x", "b");
	server_alter("a", "later", "int(11)");
	run(200, "RENAME TABLE a TO tmp, b TO a, tmp TO b");
	named(250, "a", MYSQL_LONG, "of_b");
	named(250, "b", MYSQL_LONG, "of_a");
	run(300, "ALTER TABLE a CHANGE of_b later int");
	named(350, "a", MYSQL_LONG, "later");
	named(350, "b", MYSQL_LONG, "of_a");
	/* an ALTER that renames: what it was before says nothing */
	server_alter("b", "new", "int(11)");
	server_rename("b", "c");
	run(400, "ALTER TABLE b CHANGE of_a new int, RENAME TO c");
	named(450, "c", MYSQL_LONG, "new");
	unknown(450, "b", MYSQL_LONG, "gone");
	named(350, "b", MYSQL_LONG, "of_a");
}

/* EDGE 94 */
static void test_create_and_drop(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	server_drop("t");
	run(200, "DROP TABLE t, u");
	assert_non_null(strstr(notes(), "shop.t: it was dropped, at 1/1/C8/1"));
	assert_null(strstr(notes(), "shop.u"));
	server_create("t", "d", "int(11)");
	run(300, "CREATE TABLE t (id int primary key, d int)");
	named(350, "t", MYSQL_LONG, "d");
	run(400, "CREATE TABLE IF NOT EXISTS t (whatever int)");
	named(450, "t", MYSQL_LONG, "d");
	run(500, "CREATE INDEX i ON t (d)");
	server_alter("t", "e", "int(11)");
	named(550, "t", MYSQL_LONG, "d");
	/* a table with the name of another that is renamed to it, with rows of its own */
	server_create("staging", "s", "int(11)");
	run(600, "CREATE TABLE staging (id int primary key, s int)");
	server_drop("t");
	run(700, "DROP TABLE t");
	server_rename("staging", "t");
	run(800, "RENAME TABLE staging TO t");
	named(850, "t", MYSQL_LONG, "s");
	assert_non_null(strstr(notes(), "shop.t: another table was renamed to it"));
}

/* A statement about all tables of a database, or one that is not understood */
static void test_wide(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	server_alter("t", "d", "int(11)");
	run(200, "FROBNICATE TABLE t");
	named(150, "t", MYSQL_LONG, "c");
	named(250, "t", MYSQL_LONG, "d");
	restart();
	server_alter("t", "e", "int(11)");
	named(150, "t", MYSQL_LONG, "c");
	named(250, "t", MYSQL_LONG, "d");
	run(300, "DROP DATABASE other");
	named(350, "t", MYSQL_LONG, "d");
	run(400, "DROP DATABASE shop");
	assert_non_null(strstr(notes(), "shop.t: its database was dropped"));
	named(450, "t", MYSQL_LONG, "e");
	restart();
	server_alter("t", "f", "int(11)");
	named(420, "t", MYSQL_LONG, "f");
}

/* EDGE 92, 98: rows that changed, came or went with no event */
static void test_notes(void **state)
{
	(void)state;
	server_create("t", "c", "enum('a','b')");
	server_create("u", "c", "int(11)");
	first_start();
	server_alter("t", "c", "enum('b','a','c')");
	run(200, "ALTER TABLE t MODIFY c enum('b','a','c')");
	server_alter("u", "c", "bigint(20)");
	run(300, "ALTER TABLE u MODIFY c bigint");
	assert_string_equal(notes(), "");
	server_alter("t", "c", "enum('b','c')");
	run(400, "ALTER TABLE t MODIFY c enum('b','c')");
	assert_string_equal(notes(),
			    "shop.t: column c was enum('b','a','c') and is enum('b','c'), at "
			    "1/1/190/1; ");
	run(500, "ALTER TABLE u TRUNCATE PARTITION p0");
	assert_non_null(strstr(notes(), "shop.u: partitions came, went or were emptied"));
	run(600, "TRUNCATE TABLE t");
	run(700, "ALTER TABLE other.x TRUNCATE PARTITION p0");
	assert_null(strstr(notes(), "other"));
}

/* EDGE 89: a statement of which it cannot be told what it wrote to */
static void test_statement_format(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	server_create("other", "c", "int(11)");
	first_start();
	run(200, "INSERT INTO other VALUES (1, 1)");
	assert_string_equal(notes(), "");
	run(300, "SELECT f(1)");
	assert_non_null(strstr(notes(), "shop.t: a routine or view was written to"));
	assert_non_null(strstr(notes(), "at 1/1/12C/1"));
	run(400, "UPDATE v SET c = 1");
	assert_non_null(strstr(notes(), "at 1/1/190/1"));
}

/* EDGE 103: rows of a sequence are in the log, but it is no table */
static void test_sequence(void **state)
{
	(void)state;
	server_create("t", "c", "int(11)");
	server_create("s", "c", "int(11)");
	server_table("s")->table.sequence = true;
	first_start();
	assert_true(captured("shop", "t"));
	assert_false(captured("shop", "s"));
	run(200, "CREATE SEQUENCE s2");
	assert_false(captured("shop", "s2"));
	run(300, "RENAME TABLE s2 TO s3");
	assert_false(captured("shop", "s3"));
	server_drop("s");
	server_create("s", "d", "int(11)");
	run(400, "DROP SEQUENCE s");
	run(500, "CREATE TABLE s (id int primary key, d int)");
	assert_true(captured("shop", "s"));
	named(550, "s", MYSQL_LONG, "d");
	restart();
	mysql_catalog_resume(it.catalog, &(struct position){ 1, 1, 150, 1 });
	assert_false(captured("shop", "s"));
	assert_string_equal(notes(), "");
}

/* A table that is altered between the reading of definitions and the place: another start. */
static void test_start_race(void **state)
{
	struct position place = at(100);
	struct error err;

	(void)state;
	server_create("t", "c", "int(11)");
	connect_strictly();
	server.alter_at = "t";
	assert_int_equal(mysql_catalog_begin(it.catalog, &place, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	first_start();
	named(150, "t", MYSQL_LONG, "altered");
	/* no connection, no answer */
	mysql_catalog_disconnect(it.catalog);
	AUTO(arena) struct arena a = { 0 };
	struct mysql_statement_info s;

	mysql_statement_read(STR("ALTER TABLE t ADD x int"), STR("shop"), 0, &a, &s);
	place = at(200);
	assert_int_equal(it.calls.changed(it.calls.ctx, &place, &s, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
}

/* What is in state.db is not what was put there. */
static void test_damage(void **state)
{
	static const char *const bad[] = { "[", "{}", "[{}]",
					   "[{\"from\":\"1/1/1/1\",\"read\":null,"
					   "\"definition\":{\"schema\":\"shop\"}}]" };
	struct position place = at(150);
	const struct mysql_table *t;
	struct two_mapped m;
	struct error err;

	(void)state;
	server_create("t", "c", "int(11)");
	first_start();
	for (size_t i = 0; i < COUNT(bad); i++) {
		restart();
		assert_int_equal(state_put(it.state, "mysql.table.`shop`.`t`", bad[i], &err), 0);
		assert_int_equal(it.calls.definition(it.calls.ctx, &place,
						     map_with(&m, "t", MYSQL_LONG, 0), &t, &err),
				 -1);
		assert_int_equal(err.kind, ERR_FATAL);
		assert_non_null(strstr(err.text, "state.db"));
	}
	assert_int_equal(state_put(it.state, "mysql.tables", "{\"from\":\"x\"}", &err), 0);
	end_process();
	start_process();
	assert_int_equal(mysql_catalog_connect(it.catalog, some_conn, &it.server, true, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_selected),
		TEST(test_lower_case),
		TEST(test_alter),
		TEST(test_prune),
		TEST(test_behind),
		TEST(test_nothing_known),
		TEST(test_unlogged),
		TEST(test_swap),
		TEST(test_swap_of_the_same),
		TEST(test_exchange),
		TEST(test_create_and_drop),
		TEST(test_wide),
		TEST(test_notes),
		TEST(test_sequence),
		TEST(test_statement_format),
		TEST(test_start_race),
		TEST(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
