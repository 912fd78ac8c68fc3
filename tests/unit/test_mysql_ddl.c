/*
 * test_mysql_ddl.c - statements of the log: what they are and which tables they touch
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error */
#include "../../sources/mysql_ddl.h"

static const char *const kinds[] = { "create",  "alter",         "drop",
				     "rename",  "truncate",      "partition",
				     "rewrite", "drop database", "alter database" };
static const char *const whats[] = { "begin",       "commit",    "rollback",    "savepoint",
				     "rollback to", "release",   "xa start",    "xa end",
				     "xa prepare",  "xa commit", "xa rollback", "ddl",
				     "dml",         "ignored",   "unknown" };

static void describe(const struct mysql_statement_info *s, struct buf *out)
{
	buf_adds(out, whats[s->what]);
	if (s->name.n)
		buf_addf(out, " %.*s", STR_FMT(s->name));
	if (s->one_phase)
		buf_adds(out, " one phase");
	if (s->temporary)
		buf_adds(out, " temporary");
	for (size_t i = 0; i < s->nitems; i++) {
		const struct mysql_ddl_item *t = &s->items[i];

		buf_addf(out, "%s %s %.*s%s%.*s", i ? "," : ":", kinds[t->kind], STR_FMT(t->db),
			 t->table.n ? "." : "", STR_FMT(t->table));
		if (t->to.n)
			buf_addf(out, " -> %.*s.%.*s", STR_FMT(t->to_db), STR_FMT(t->to));
		if (t->same_columns)
			buf_adds(out, " (same)");
		if (t->sequence)
			buf_adds(out, " (sequence)");
		if (t->unlogged)
			buf_addf(out, " (%s)",
				 strstr(t->unlogged, "value for")    ? "filled"
				 : strstr(t->unlogged, "other name") ? "renamed"
								     : "replaced");
	}
}

struct example {
	const char *sql, *says;
	uint64_t mode;
};

static void check(const struct example *e)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf text = { 0 };
	struct mysql_statement_info s;

	mysql_statement_read(str_z(e->sql), STR("shop"), e->mode, &a, &s);
	describe(&s, &text);
	if (strcmp(buf_z(&text), e->says) != 0)
		print_error("%s\n", e->sql);
	assert_string_equal(buf_z(&text), e->says);
}

static void check_all(const struct example *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&e[i]);
}

/* EDGE 105: savepoints.  EDGE 106: a group that ends with the statement COMMIT. */
static void test_transactions(void **state)
{
	static const struct example examples[] = {
		{ "BEGIN", "begin", 0 },
		{ "begin work", "begin", 0 },
		{ "START TRANSACTION", "begin", 0 },
		{ "START TRANSACTION WITH CONSISTENT SNAPSHOT", "begin", 0 },
		{ "COMMIT", "commit", 0 },
		{ "COMMIT WORK", "commit", 0 },
		{ "ROLLBACK", "rollback", 0 },
		{ "ROLLBACK WORK", "rollback", 0 },
		{ "ROLLBACK TO `S1`", "rollback to s1", 0 },
		{ "rollback work to savepoint s1", "rollback to s1", 0 },
		{ "SAVEPOINT `a b``c`", "savepoint a b`c", 0 },
		{ "SAVEPOINT \"q\"", "savepoint q", MYSQL_MODE_ANSI_QUOTES },
		{ "RELEASE SAVEPOINT s1", "release s1", 0 },
		{ "/* hello */ BEGIN -- now\n", "begin", 0 },
		{ "BEGIN;", "begin", 0 },
		{ "BEGIN NOT ATOMIC", "unknown", 0 },
		{ "SAVEPOINT", "unknown", 0 },
		{ "ROLLBACK TO", "unknown", 0 },
		{ "START SLAVE", "ignored", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 104: how XIDs are written */
static void test_xa(void **state)
{
	static const struct example examples[] = {
		{ "XA START X'6162',X'',1", "xa start X'6162',X'',1", 0 },
		{ "xa begin 'ab'", "xa start X'6162',X'',1", 0 },
		{ "XA END 'a\\'b','c''d',7", "xa end X'612762',X'632764',7", 0 },
		{ "XA END 'a\\b'", "xa end X'615c62',X'',1", MYSQL_MODE_NO_BACKSLASH_ESCAPES },
		{ "XA PREPARE 0x6162, 0x0, 4294967295", "xa prepare X'6162',X'00',4294967295", 0 },
		{ "XA PREPARE 0x123", "xa prepare X'0123',X'',1", 0 },
		{ "XA COMMIT x'AB',X'CD',0x10 ONE PHASE", "xa commit X'ab',X'cd',16 one phase", 0 },
		{ "XA COMMIT 'ab'", "xa commit X'6162',X'',1", 0 },
		{ "XA ROLLBACK X'61',X'62',1", "xa rollback X'61',X'62',1", 0 },
		{ "XA ROLLBACK X'6'", "unknown", 0 },
		{ "XA ROLLBACK X 'ab'", "unknown", 0 },
		{ "XA ROLLBACK X'6g'", "unknown", 0 },
		{ "XA COMMIT 'a',", "unknown", 0 },
		{ "XA COMMIT 'a','b',4294967296", "unknown", 0 },
		{ "XA COMMIT 'a','b',0xgg", "unknown", 0 },
		{ "XA RECOVER", "unknown", 0 },
		{ "XA COMMIT 'a", "unknown", 0 },
	};
	AUTO(arena) struct arena a = { 0 };
	struct str text = mysql_xid_text(1, STR("\xff\x00z"), STR(""), &a);

	(void)state;
	check_all(examples, COUNT(examples));
	assert_true(str_eqz(text, "X'ff007a',X'',1"));
}

/* EDGE 93, 94, 95, 103 */
static void test_create(void **state)
{
	static const struct example examples[] = {
		{ "CREATE TABLE t (a int)", "ddl: create shop.t", 0 },
		{ "create table if not exists `shop`.`t` (a int)", "ddl: create shop.t", 0 },
		{ "CREATE OR REPLACE TABLE a.t (a int)", "ddl: create a.t (replaced)", 0 },
		{ "CREATE TABLE t LIKE u", "ddl: create shop.t", 0 },
		{ "CREATE TABLE t(LIKE b.u)", "ddl: create shop.t", 0 },
		{ "CREATE TABLE `t` (\n  `a` int(11) NOT NULL\n) START TRANSACTION",
		  "ddl: create shop.t", 0 },
		{ "CREATE TABLE t (`select` int, b text DEFAULT 'x select y') COMMENT='select'",
		  "ddl: create shop.t", 0 },
		{ "CREATE TABLE t (a int) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN "
		  "(5), PARTITION q VALUES IN (1))",
		  "ddl: create shop.t", 0 },
		{ "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1)) WITH SYSTEM "
		  "VERSIONING",
		  "ddl: create shop.t", 0 },
		{ "CREATE TABLE t SELECT * FROM u", "dml: create shop.t", 0 },
		{ "CREATE TABLE t (a int) AS (SELECT 1 AS a)", "dml: create shop.t", 0 },
		{ "CREATE TABLE t AS WITH c AS (SELECT 1) SELECT * FROM c", "dml: create shop.t",
		  0 },
		{ "CREATE TABLE t AS TABLE u", "dml: create shop.t", 0 },
		{ "CREATE TABLE t TABLE u", "dml: create shop.t", 0 },
		{ "CREATE TABLE t AS VALUES ROW(1)", "dml: create shop.t", 0 },
		{ "CREATE TABLE t AS (VALUES (1))", "dml: create shop.t", 0 },
		{ "CREATE TEMPORARY TABLE t (a int)", "ignored temporary: create shop.t", 0 },
		{ "CREATE OR REPLACE TEMPORARY TABLE IF NOT EXISTS t SELECT 1",
		  "ignored temporary: create shop.t (replaced)", 0 },
		{ "CREATE SEQUENCE s START WITH 5", "ddl: create shop.s (sequence)", 0 },
		{ "CREATE UNIQUE INDEX i ON t (a)", "ddl: alter shop.t (same)", 0 },
		{ "CREATE INDEX `on` USING BTREE ON `b` . `t` (a)", "ddl: alter b.t (same)", 0 },
		{ "CREATE OR REPLACE INDEX IF NOT EXISTS i ON t (a)", "ddl: alter shop.t (same)",
		  0 },
		{ "CREATE DATABASE d", "ignored", 0 },
		{ "CREATE OR REPLACE DATABASE d", "ddl: drop database d", 0 },
		{ "CREATE TABLE", "unknown", 0 },
		{ "CREATE TABLE 't' (a int)", "unknown", 0 },
		{ "CREATE TABLE \"t\" (a int)", "unknown", 0 },
		{ "CREATE TABLE \"t\" (a int)", "ddl: create shop.t", MYSQL_MODE_ANSI_QUOTES },
		{ "CREATE TABLE \"a\"\"b\" (a int)", "ddl: create shop.a\"b",
		  MYSQL_MODE_ANSI_QUOTES },
		{ "CREATE TABLE a.b.c (a int)", "unknown", 0 },
		{ "CREATE TABLE a. (a int)", "unknown", 0 },
		{ "CREATE TABLE .t (a int)", "ddl: create shop.t", 0 },
		{ "CREATE TABLE t (a varchar(9) DEFAULT 'it''s \\' SELECT')", "ddl: create shop.t",
		  0 },
		{ "CREATE TABLE t (a varchar(9) DEFAULT '\\', b int COMMENT ' select ')",
		  "ddl: create shop.t", MYSQL_MODE_NO_BACKSLASH_ESCAPES },
		{ "CREATE SOMETHING x", "unknown", 0 },
		{ "CREATE", "unknown", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 94, 95 */
static void test_drop(void **state)
{
	static const struct example examples[] = {
		{ "DROP TABLE t", "ddl: drop shop.t", 0 },
		{ "DROP TABLE IF EXISTS `a`,`b`.`c` , d /* generated by server */",
		  "ddl: drop shop.a, drop b.c, drop shop.d", 0 },
		{ "DROP TABLES a, b CASCADE", "ddl: drop shop.a, drop shop.b", 0 },
		{ "DROP TABLE a WAIT 5 RESTRICT", "ddl: drop shop.a", 0 },
		{ "DROP TEMPORARY TABLE IF EXISTS `shop`.`t`", "ignored temporary: drop shop.t",
		  0 },
		{ "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`,`u`",
		  "ignored temporary: drop shop.t, drop shop.u", 0 },
		{ "DROP SEQUENCE IF EXISTS s", "ddl: drop shop.s (sequence)", 0 },
		{ "DROP DATABASE IF EXISTS `my``db`", "ddl: drop database my`db", 0 },
		{ "drop schema d", "ddl: drop database d", 0 },
		{ "DROP INDEX i ON t", "ddl: alter shop.t (same)", 0 },
		{ "DROP INDEX `PRIMARY` ON t ALGORITHM=COPY", "ddl: alter shop.t", 0 },
		{ "DROP VIEW IF EXISTS v", "ignored", 0 },
		{ "DROP TABLE a b", "unknown", 0 },
		{ "DROP TABLE a,", "unknown", 0 },
		{ "DROP", "unknown", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 96: left to right */
static void test_rename(void **state)
{
	static const struct example examples[] = {
		{ "RENAME TABLE a TO b", "ddl: rename shop.a -> shop.b", 0 },
		{ "rename /* gh-ost */ table `shop`.`orders` to `shop`.`_orders_del`, "
		  "`shop`.`_orders_gho` to `shop`.`orders`",
		  "ddl: rename shop.orders -> shop._orders_del, rename shop._orders_gho -> "
		  "shop.orders",
		  0 },
		{ "RENAME TABLE `shop`.`t` TO `shop`.`_t_old`, `shop`.`_t_new` TO `shop`.`t`",
		  "ddl: rename shop.t -> shop._t_old, rename shop._t_new -> shop.t", 0 },
		{ "RENAME TABLES IF EXISTS a WAIT 3 TO x.b", "ddl: rename shop.a -> x.b", 0 },
		{ "RENAME USER a TO b", "ignored", 0 },
		{ "RENAME TABLE a b", "unknown", 0 },
		{ "RENAME TABLE a TO b,", "unknown", 0 },
		{ "ALTER TABLE a RENAME TO b", "ddl: alter shop.a, rename shop.a -> shop.b", 0 },
		{ "ALTER TABLE a RENAME b.c", "ddl: alter shop.a, rename shop.a -> b.c", 0 },
		{ "ALTER TABLE a RENAME = b", "ddl: alter shop.a, rename shop.a -> shop.b", 0 },
		{ "ALTER TABLE a ADD b int, RENAME AS `c`",
		  "ddl: alter shop.a, rename shop.a -> shop.c", 0 },
		{ "ALTER TABLE a RENAME COLUMN x TO y", "ddl: alter shop.a (renamed)", 0 },
		{ "ALTER TABLE a RENAME INDEX x TO y", "ddl: alter shop.a (same)", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 98: what rows that are there get without an event. */
static void test_unlogged(void **state)
{
	static const struct example examples[] = {
		{ "ALTER TABLE t ADD c int", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD COLUMN c int DEFAULT NULL FIRST", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD c varchar(5) NULL COMMENT 'NOT NULL DEFAULT 1'",
		  "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD (c int, d int)", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD `default` int", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD c int DEFAULT 5", "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD COLUMN IF NOT EXISTS c int NOT NULL",
		  "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD (c int, d decimal(5,2) DEFAULT '1.5', e int)",
		  "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD c int GENERATED ALWAYS AS (a + 1) STORED",
		  "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD c int AS (a)", "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD id2 int AUTO_INCREMENT, ADD KEY (id2)",
		  "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD ts TIMESTAMP", "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD ts TIMESTAMP NULL", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p (a) ON DELETE SET "
		  "DEFAULT",
		  "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD INDEX i (a), ADD c int DEFAULT 1",
		  "ddl: alter shop.t (filled)", 0 },
		{ "ALTER TABLE t ADD c int, DROP d", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t CHANGE a A bigint", "ddl: alter shop.t, rewrite shop.t", 0 },
		{ "ALTER TABLE t CHANGE COLUMN a b bigint",
		  "ddl: alter shop.t (renamed), rewrite shop.t", 0 },
		{ "ALTER TABLE t RENAME INDEX a TO b", "ddl: alter shop.t (same)", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 92, 97, 98, 103 */
static void test_alter(void **state)
{
	static const struct example examples[] = {
		{ "ALTER TABLE t ADD COLUMN x int FIRST, DROP y", "ddl: alter shop.t", 0 },
		{ "ALTER ONLINE IGNORE TABLE IF EXISTS t NOWAIT ADD (x int, y int)",
		  "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD INDEX (a), ADD UNIQUE KEY u (b), DROP KEY c, "
		  "ALGORITHM=INPLACE, "
		  "LOCK = NONE",
		  "ddl: alter shop.t (same)", 0 },
		{ "ALTER TABLE t ADD INDEX i (a), ADD PRIMARY KEY (a)", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t ADD CONSTRAINT c PRIMARY KEY (a)", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t DROP PRIMARY KEY", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t DROP INDEX `primary`", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t AUTO_INCREMENT = 5", "ddl: alter shop.t (same)", 0 },
		{ "ALTER TABLE t AUTO_INCREMENT = 5 ENGINE=MyISAM", "ddl: alter shop.t", 0 },
		{ "/*!40000 ALTER TABLE `t` DISABLE KEYS */", "ddl: alter shop.t (same)", 0 },
		{ "ALTER TABLE t ENGINE=InnoDB", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
		  "ddl: alter shop.t, rewrite shop.t", 0 },
		{ "ALTER TABLE t MODIFY e ENUM('a','b,c')", "ddl: alter shop.t, rewrite shop.t",
		  0 },
		{ "ALTER TABLE t ADD x int COMMENT ', MODIFY', CHANGE a b bigint",
		  "ddl: alter shop.t (renamed), rewrite shop.t", 0 },
		{ "ALTER TABLE t COMMENT=', RENAME TO u'", "ddl: alter shop.t", 0 },
		{ "ALTER TABLE t TRUNCATE PARTITION p0", "ddl: partition shop.t", 0 },
		{ "ALTER TABLE t DROP PARTITION p0, p1", "ddl: alter shop.t, partition shop.t", 0 },
		{ "ALTER TABLE t DROP PARTITION p0", "ddl: partition shop.t", 0 },
		{ "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (9))",
		  "ddl: alter shop.t (same)", 0 },
		{ "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE x.u WITHOUT VALIDATION",
		  "ddl: partition shop.t, partition x.u", 0 },
		{ "ALTER TABLE t CONVERT PARTITION p TO TABLE u",
		  "ddl: partition shop.t, create shop.u, partition shop.u", 0 },
		{ "ALTER TABLE t CONVERT TABLE u TO PARTITION p VALUES LESS THAN (5)",
		  "ddl: partition shop.t, drop shop.u", 0 },
		{ "ALTER TABLE t IMPORT TABLESPACE", "ddl: partition shop.t", 0 },
		{ "ALTER SEQUENCE s RESTART 5", "ddl: alter shop.s (same) (sequence)", 0 },
		{ "TRUNCATE t", "ddl: truncate shop.t", 0 },
		{ "TRUNCATE TABLE `x`.`t` WAIT 1", "ddl: truncate x.t", 0 },
		{ "TRUNCATE TABLE", "unknown", 0 },
		{ "ALTER DATABASE CHARACTER SET latin1", "ddl: alter database shop", 0 },
		{ "ALTER SCHEMA `d` COLLATE = utf8mb4_bin", "ddl: alter database d", 0 },
		{ "ALTER DATABASE `#mysql50#a-b` UPGRADE DATA DIRECTORY NAME",
		  "ddl: alter database #mysql50#a-b", 0 },
		{ "ALTER USER u IDENTIFIED BY 'x'", "ignored", 0 },
		{ "ALTER DEFINER=`root`@`localhost` EVENT e ENABLE", "ignored", 0 },
		{ "ALTER ALGORITHM=MERGE VIEW v AS SELECT 1", "ignored", 0 },
		{ "ALTER TABLE t EXCHANGE PARTITION p", "unknown", 0 },
		{ "ALTER TABLE t RENAME TO", "unknown", 0 },
		{ "ALTER", "unknown", 0 },
		{ "SET STATEMENT max_statement_time=10, sort_buffer_size=(1+2) FOR ALTER TABLE t "
		  "ADD x "
		  "int",
		  "ddl: alter shop.t", 0 },
		{ "SET STATEMENT a=1 FOR SET STATEMENT b=2 FOR DROP TABLE t", "ddl: drop shop.t",
		  0 },
		{ "SET STATEMENT a=1 FOR SET PASSWORD = 'x'", "ignored", 0 },
		{ "SET STATEMENT a=1", "unknown", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 89, 90 */
static void test_dml(void **state)
{
	static const struct example examples[] = {
		{ "INSERT INTO t VALUES (1)", "dml: alter shop.t", 0 },
		{ "INSERT LOW_PRIORITY IGNORE `x`.`t` (a) SELECT a FROM u", "dml: alter x.t", 0 },
		{ "REPLACE DELAYED t SET a = 1", "dml: alter shop.t", 0 },
		{ "UPDATE t SET a = 1 WHERE b IN (SELECT c FROM d)", "dml: alter shop.t", 0 },
		{ "UPDATE IGNORE t AS x, (SELECT * FROM z) y JOIN b.u ON (x.a = u.a), (v) SET a = "
		  "1",
		  "dml: alter shop.t, alter b.u, alter shop.v", 0 },
		{ "UPDATE t PARTITION (p0, p1) SET a = 1", "dml: alter shop.t", 0 },
		{ "DELETE FROM t WHERE a = 1", "dml: alter shop.t", 0 },
		{ "DELETE QUICK a, b.* FROM t1 a JOIN t2 b USING (id) LEFT JOIN t3 ON 1 WHERE 1",
		  "dml: alter shop.t1, alter shop.t2, alter shop.t3", 0 },
		{ "DELETE FROM a, b USING t1 a INNER JOIN t2 b WHERE 1",
		  "dml: alter shop.a, alter shop.b, alter shop.t1, alter shop.t2", 0 },
		{ "DELETE HISTORY FROM t BEFORE SYSTEM_TIME NOW()", "dml: alter shop.t", 0 },
		{ "DELETE FROM t FOR PORTION OF p FROM 1 TO 2", "dml: alter shop.t", 0 },
		{ "LOAD DATA INFILE '/tmp/x' REPLACE INTO TABLE `t` FIELDS TERMINATED BY ','",
		  "dml: alter shop.t", 0 },
		{ "WITH c AS (SELECT 1), d (x) AS (SELECT 2) UPDATE t JOIN c SET a = 1",
		  "dml: alter shop.t, alter shop.c", 0 },
		{ "WITH c AS (SELECT 1) DELETE FROM t", "dml: alter shop.t", 0 },
		{ "WITH c AS (SELECT 1) SELECT f()", "dml", 0 },
		{ "CALL p(1)", "dml", 0 },
		{ "SELECT `shop`.`f`(1)", "dml", 0 },
		{ "(SELECT f())", "dml", 0 },
		{ "DO f()", "dml", 0 },
		{ "INSERT INTO", "unknown", 0 },
		{ "UPDATE SET", "unknown", 0 },
		{ "DELETE t", "unknown", 0 },
		{ "LOAD DATA INFILE 'x'", "unknown", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* EDGE 102 */
static void test_ignored(void **state)
{
	static const char *const statements[] = {
		"GRANT ALL ON *.* TO u@h IDENTIFIED BY 'secret'",
		"REVOKE SELECT ON t FROM u",
		"CREATE USER u IDENTIFIED BY PASSWORD '*ABC'",
		"SET PASSWORD FOR 'u'@'h'='*ABC'",
		"SET DEFAULT ROLE r FOR u",
		"DROP USER u",
		"DROP ROLE r",
		"FLUSH TABLES t",
		"ANALYZE TABLE t",
		"OPTIMIZE TABLE t",
		"REPAIR TABLE t",
		"CHECK TABLE t",
		"CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS "
		"select 1",
		"CREATE OR REPLACE DEFINER = CURRENT_USER() SQL SECURITY INVOKER VIEW v AS SELECT "
		"1",
		"CREATE DEFINER='a'@'b' PROCEDURE p() BEGIN INSERT INTO t VALUES (1); END",
		"CREATE DEFINER=r FUNCTION f() RETURNS int RETURN 1",
		"CREATE AGGREGATE FUNCTION f RETURNS STRING SONAME 'x.so'",
		"CREATE DEFINER=`a`@`b` TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = "
		"'it''s'",
		"CREATE DEFINER=`a`@`b` EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t",
		"CREATE SPATIAL REFERENCE SYSTEM 4120 NAME 'x'",
		"CREATE UNDO TABLESPACE u ADD DATAFILE 'u.ibu'",
		"CREATE RESOURCE GROUP g TYPE = USER",
		"CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u')",
		"CREATE PACKAGE BODY b AS END",
		"INSTALL PLUGIN p SONAME 'x.so'",
		"",
		"   \n",
		"# Dummy event replacing event type 163 that slave cannot handle.",
		"-- nothing",
		"/* DROP TABLE t */",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(statements); i++)
		check(&(struct example){ statements[i], "ignored", 0 });
}

/* EDGE 100: comments, quotes, names */
static void test_lexical(void **state)
{
	static const struct example examples[] = {
		{ "/*!50100 CREATE */ /*!80023TABLE*/ t/**/(/*!80023 a*/ int)",
		  "ddl: create shop.t", 0 },
		{ "/*M!100100 DROP TABLE */ t", "ddl: drop shop.t", 0 },
		{ "/*! DROP /* inner */ TABLE */ t", "ddl: drop shop.t", 0 },
		{ "/*!100100 DROP TABLE t*/", "ddl: drop shop.t", 0 },
		{ "/* 99999 DROP TABLE u */ DROP TABLE t", "ddl: drop shop.t", 0 },
		{ "DROP--\nTABLE# x\r\nt -- u", "ddl: drop shop.t", 0 },
		{ "DROP TABLE t--", "ddl: drop shop.t", 0 },
		{ "DROP\tTABLE\r\n`a``b` . `c.d`", "ddl: drop a`b.c.d", 0 },
		{ "DROP TABLE `-- x`, `/* y */`, `#z`, `'`",
		  "ddl: drop shop.-- x, drop shop./* y */, drop shop.#z, drop shop.'", 0 },
		{ "DROP TABLE 1a.2b", "ddl: drop 1a.2b", 0 },
		{ "DROP TABLE \xc3\xa9t\xc3\xa9, $x",
		  "ddl: drop shop.\xc3\xa9t\xc3\xa9, drop shop.$x", 0 },
		{ "DROP TABLE `#mysql50#a-b`", "ddl: drop shop.#mysql50#a-b", 0 },
		{ "DROP TABLE ``", "unknown", 0 },
		{ "DROP TABLE `t", "unknown", 0 },
		{ "DROP TABLE t /* open", "unknown", 0 },
		{ "DROP TABLE t /*", "unknown", 0 },
		{ "DROP TABLE t /*/", "unknown", 0 },
		{ "/*!50000 DROP TABLE t", "unknown", 0 },
		{ "DROP TABLE t */", "unknown", 0 },
		{ "CREATE TABLE t (a int COMMENT 'x\\')", "unknown", 0 },
		{ "CREATE TABLE t (a int COMMENT 'x\\')", "ddl: create shop.t",
		  MYSQL_MODE_NO_BACKSLASH_ESCAPES },
		{ "CREATE TABLE t (a int DEFAULT \"it's\")", "ddl: create shop.t", 0 },
		{ "CREATE TABLE t (a int COMMENT \"\\\"select\")", "ddl: create shop.t", 0 },
		{ "DROPTABLE t", "unknown", 0 },
		{ "\xff\xfe", "unknown", 0 },
		{ "*/", "unknown", 0 },
	};

	(void)state;
	check_all(examples, COUNT(examples));
}

/* Statements cut anywhere, and with any byte changed: read within their bounds, to some answer. */
static void test_hostile(void **state)
{
	static const char *const seeds[] = {
		"ALTER TABLE `a`.`b` ADD (x int, y enum('a','\\'b')), EXCHANGE PARTITION p WITH "
		"TABLE `q`",
		"/*!50100 DROP */ TABLE IF EXISTS a, `b``c`.d -- x",
		"XA COMMIT X'6162','c\\0d',0x10 ONE PHASE",
		"DELETE FROM a USING (b JOIN c USING (d)) WHERE e",
		"CREATE DEFINER=`a`@'b' SQL SECURITY INVOKER VIEW v AS SELECT (1)",
	};
	static const char bytes[] = "\0'`\"(),.;/*!\\x \xff";

	(void)state;
	for (size_t i = 0; i < COUNT(seeds); i++) {
		size_t n = strlen(seeds[i]);

		for (size_t cut = 0; cut <= n; cut++) {
			/* just as large, so that a sanitizer sees a read past it */
			char *copy = malloc(cut ? cut : 1);
			struct mysql_statement_info s;

			assert_non_null(copy);
			memcpy(copy, seeds[i], cut);
			for (size_t b = 0; b < sizeof bytes; b++) {
				AUTO(arena) struct arena a = { 0 };

				if (b && cut)
					copy[cut - 1] = bytes[b - 1];
				mysql_statement_read((struct str){ copy, cut }, STR("shop"), 0, &a,
						     &s);
				assert_in_range(s.what, MYSQL_BEGIN, MYSQL_UNKNOWN);
			}
			free(copy);
		}
	}
}

/* A statement of many tables keeps them all, in order. */
static void test_many(void **state)
{
	AUTO(buf) struct buf sql = { 0 };
	AUTO(arena) struct arena a = { 0 };
	struct mysql_statement_info s;

	(void)state;
	buf_adds(&sql, "RENAME TABLE ");
	for (int i = 0; i < 1000; i++)
		buf_addf(&sql, "%st%d TO u%d", i ? ", " : "", i, i);
	mysql_statement_read((struct str){ sql.p, sql.n }, (struct str){ NULL, 0 }, 0, &a, &s);
	assert_int_equal(s.what, MYSQL_DDL);
	assert_int_equal(s.nitems, 1000);
	assert_true(str_eqz(s.items[999].table, "t999"));
	assert_true(str_eqz(s.items[999].to, "u999"));
	assert_int_equal(s.items[999].db.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transactions), cmocka_unit_test(test_xa),
		cmocka_unit_test(test_create),       cmocka_unit_test(test_drop),
		cmocka_unit_test(test_rename),       cmocka_unit_test(test_alter),
		cmocka_unit_test(test_unlogged),     cmocka_unit_test(test_dml),
		cmocka_unit_test(test_ignored),      cmocka_unit_test(test_lexical),
		cmocka_unit_test(test_hostile),      cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
