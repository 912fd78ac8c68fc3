/*
 * test_mysql_url.c - mysql:// URLs, what is said of bad ones without repeating them, and what a server's last words mean
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error */
#include "../../sources/binlog_client.h"

static void complain(const char *what, const char *text)
{
	print_error("%s: %s\n", what, text);
	assert_true(false);
}

static void good(const char *url, const char *user, const char *password, const char *host,
		 unsigned port, const char *database, int sslmode)
{
	AUTO(mysql_url) struct mysql_url u = { 0 };
	struct error err = { 0 };

	if (mysql_url_parse(url, NULL, &u, &err))
		complain(url, err.text);
	assert_string_equal(u.user, user);
	assert_string_equal(u.password ? u.password : "", password);
	assert_string_equal(u.host, host);
	assert_int_equal(u.port, port);
	assert_string_equal(u.database, database);
	assert_int_equal(u.sslmode, sslmode);
}

static void test_good(void **state)
{
	(void)state;
	good("mysql://t@db1/erp", "t", "", "db1", 3306, "erp", MYSQL_SSL_PREFER);
	good("mysql://t@db1", "t", "", "db1", 3306, "", MYSQL_SSL_PREFER);
	good("mariadb://t:secret@db1:3307/", "t", "secret", "db1", 3307, "", MYSQL_SSL_PREFER);
	good("mysql://a%40b:p%3A%2f%25@h/d%20e?sslmode=require", "a@b", "p:/%", "h", 3306, "d e",
	     MYSQL_SSL_REQUIRE);
	good("mysql://t:p@ss@h/d?sslmode=disable", "t", "p@ss", "h", 3306, "d", MYSQL_SSL_DISABLE);
	good("mysql://t@[::1]:65535/d?sslmode=verify-full&sslrootcert=/ca", "t", "", "::1", 65535,
	     "d", MYSQL_SSL_VERIFY_FULL);
	good("mysql://t@[fe80::1]/d?sslrootcert=%2Fca&sslmode=verify-ca", "t", "", "fe80::1", 3306,
	     "d", MYSQL_SSL_VERIFY_CA);
	good("mysql://t@localhost/d?socket=/run/mysqld/mysqld.sock", "t", "", "localhost", 3306,
	     "d", MYSQL_SSL_PREFER);
}

static void test_password_beside(void **state)
{
	AUTO(mysql_url) struct mysql_url u = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(mysql_url_parse("mysql://t:old@h/d", "new", &u, &err), 0);
	assert_string_equal(u.password, "new");
	mysql_url_release(&u);
	assert_int_equal(mysql_url_parse("mysql://t:old@h/d", "", &u, &err), 0);
	assert_string_equal(u.password, "old");
}

/* The exit code is that of a wrong configuration; nothing of the password is told. */
static void test_bad(void **state)
{
	static const char *const urls[][2] = {
		{ "mysql:", "mysql://" },
		{ "mysql://hush@", "host" },
		{ "mysql://h/hush", "user" },
		{ "mysql://t:hush%@h/d", "%25" },
		{ "mysql://t:hush%4@h/d", "%25" },
		{ "mysql://t:hush%zz@h/d", "%25" },
		{ "mysql://t:hush%00@h/d", "%25" },
		{ "mysql://t:hu/sh@h/d", "port" },
		{ "mysql://t:hush@h:0/d", "port" },
		{ "mysql://t:hush@h:65536/d", "port" },
		{ "mysql://t:hush@h:/d", "port" },
		{ "mysql://t:hush@h:99999999999999999999/d", "port" },
		{ "mysql://t:hush@[::1/d", "IPv6" },
		{ "mysql://t:hush@[::1]x/d", "IPv6" },
		{ "mysql://t:hush@h/d?sslmode=on", "sslmode" },
		{ "mysql://t:hush@h/d?compress=1", "compress" },
		{ "mysql://t:hush@h/d?sslmode=verify-full", "sslrootcert" },
		{ "mysql://t:hush@h/d?sslrootcert=/ca", "verify" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(urls); i++) {
		struct mysql_url u;
		struct error err = { 0 };

		if (!mysql_url_parse(urls[i][0], NULL, &u, &err))
			complain(urls[i][0], "was taken");
		assert_int_equal(error_exit(&err), EXIT_USAGE);
		if (!strstr(err.text, urls[i][1]) || strstr(err.text, "hush"))
			complain(urls[i][0], err.text);
	}
}

/* Words of real servers, 5.6 to 9.7 and MariaDB 10.1 to 11.8. */
static void test_last_words(void **state)
{
	static const struct {
		unsigned code;
		const char *text;
		enum error_kind kind;
		int exit;
	} words[] = {
		{ 1236, "Could not find first log file name in binary log index file", ERR_FATAL,
		  EXIT_LOG_GONE },
		{ 1236,
		  "The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but "
		  "the master has "
		  "purged binary logs containing GTIDs that the slave requires.",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236, "Cannot replicate because the source purged required binary logs.",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236,
		  "Replica has more GTIDs than the source has, using the source's SERVER_UUID. "
		  "This may indicate "
		  "that the end of the binary log was truncated",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236,
		  "Error: connecting slave requested to start from GTID 0-1-5, which is not in the "
		  "master's binlog",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236,
		  "Could not find GTID state requested by slave in any binlog files. Probably the "
		  "slave state is "
		  "too old and required binlog files have been purged.",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236, "Client requested master to start replication from position > file size",
		  ERR_FATAL, EXIT_LOG_GONE },
		{ 1236,
		  "A slave with the same server_uuid/server_id as this slave has connected to the "
		  "master",
		  ERR_RETRY, EXIT_FAILED },
		{ 1236, "bogus data in log event; the first event 'b.000001' at 4", ERR_FATAL,
		  EXIT_FAILED },
		{ 1227,
		  "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s)",
		  ERR_FATAL, EXIT_FAILED },
		{ 2013, "Lost connection to server during query", ERR_RETRY, EXIT_FAILED },
		{ 2026, "TLS/SSL error: unexpected eof while reading", ERR_RETRY, EXIT_FAILED },
		{ 1053, "Server shutdown in progress", ERR_RETRY, EXIT_FAILED },
		{ 1927, "Connection was killed", ERR_RETRY, EXIT_FAILED },
		{ 4242, "something new", ERR_FATAL, EXIT_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		struct error err = { 0 };

		assert_int_equal(binlog_dump_judge(words[i].code, words[i].text, "db1:3306", &err),
				 -1);
		if (err.kind != words[i].kind || error_exit(&err) != words[i].exit)
			complain(words[i].text, "is of another kind");
		assert_non_null(strstr(err.text, "db1:3306"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_password_beside),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
