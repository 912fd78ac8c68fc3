/*
 * test_pg_connection.c - error classes of connections, LSNs, quoting; nothing here needs a server
 */
#include "pg_fixture.h"

#include "../../sources/pg_connection.h"

static void test_connect_kind(void **state)
{
	static const struct {
		const char *text, *state;
		enum error_kind kind;
	} cases[] = {
		{ "connection to server at \"h\", port 1 failed: FATAL:  28P01: "
		  "password\nLOCATION: x",
		  "28P01", ERR_FATAL },
		{ "... failed: FATAL:  28000: no pg_hba.conf entry\n", "28000", ERR_FATAL },
		{ "... failed: FATAL:  3D000: database \"x\" does not exist\n", "3D000",
		  ERR_FATAL },
		{ "... failed: FATAL:  42501: must be superuser\n", "42501", ERR_FATAL },
		{ "... failed: FATAL:  57P03: the database system is starting up\n", "57P03",
		  ERR_RETRY },
		{ "... failed: FATAL:  53300: sorry, too many clients already\n", "53300",
		  ERR_RETRY },
		/* another language */
		{ "... failed: FATAL:  28P01: Passwort-Authentifizierung fehlgeschlagen\n", "28P01",
		  ERR_FATAL },
		/* of two hosts one is starting up */
		{ "a failed: FATAL:  28P01: x\nb failed: FATAL:  57P03: y\n", "28P01", ERR_RETRY },
		{ "connection to server at \"h\" failed: Connection refused\n", "", ERR_RETRY },
		{ "could not translate host name \"h\" to address\n", "", ERR_RETRY },
		{ "server closed the connection unexpectedly\n", "", ERR_RETRY },
		{ "server does not support SSL, but SSL was required\n", "", ERR_FATAL },
		{ "SSL error: certificate verify failed\n", "", ERR_FATAL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char found[6];

		assert_int_equal(pg_connect_kind(cases[i].text, found), cases[i].kind);
		assert_string_equal(found, cases[i].state);
	}
}

static void test_state_kind(void **state)
{
	static const char *const retry[] = { "08006", "40001", "40P01", "53100", "55006",
					     "55P03", "57014", "57P01", "58030" };
	static const char *const fatal[] = { "42501", "42704", "22021", "53400",
					     "57P04", "58P01", "XX000", "" };

	(void)state;
	for (size_t i = 0; i < COUNT(retry); i++)
		assert_int_equal(pg_state_kind(retry[i]), ERR_RETRY);
	for (size_t i = 0; i < COUNT(fatal); i++)
		assert_int_equal(pg_state_kind(fatal[i]), ERR_FATAL);
}

static void test_url(void **state)
{
	static const char *const bad[] = {
		"postgresql://u:secret@[host/db",        "postgresql://u:secret@host/db?secret=1",
		"postgresql://u:secret%zz@host/db",      "postgresql://u:secret@host:54x/db",
		"postgresql://u:secret@host:0/db",       "postgresql://u:secret@host:65536/db",
		"postgresql://u:secret@h:1,h:secret/db", "nothing of secret",
	};
	struct error err;

	(void)state;
	assert_int_equal(pg_url_check("postgresql://u:p@host:5432/db?sslmode=require", &err), 0);
	assert_int_equal(pg_url_check("postgresql://u@a:5432,b:5433/db", &err), 0);
	assert_int_equal(pg_url_check("postgresql:///db?host=/run/postgresql", &err), 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(pg_url_check(bad[i], &err), -1);
		assert_int_equal(error_exit(&err), EXIT_USAGE);
		assert_null(strstr(err.text, "secret"));
	}
}

static void test_lsn(void **state)
{
	char text[PG_LSN_TEXT];
	uint64_t lsn;

	(void)state;
	assert_true(pg_lsn_parse("16/B374D848", &lsn));
	assert_true(lsn == UINT64_C(0x16B374D848));
	assert_string_equal(pg_lsn_text(lsn, text), "16/B374D848");
	assert_true(pg_lsn_parse("FFFFFFFF/FFFFFFFF", &lsn));
	assert_true(lsn == UINT64_MAX);
	assert_false(pg_lsn_parse("16/", &lsn));
	assert_false(pg_lsn_parse("16/B374D848x", &lsn));
	assert_false(pg_lsn_parse("", &lsn));
	assert_false(pg_lsn_parse(NULL, &lsn));
}

/* What follows a page's header counts as the page's start: the log's reader stands there. */
static void test_page_start(void **state)
{
	const uint64_t block = 8192, segment = 16 << 20;

	(void)state;
	assert_int_equal(pg_lsn_page_start(3 * block + 24, block, segment), 3 * block);
	assert_int_equal(pg_lsn_page_start(2 * segment + 40, block, segment), 2 * segment);
	assert_int_equal(pg_lsn_page_start(3 * block + 40, block, segment), 3 * block + 40);
	assert_int_equal(pg_lsn_page_start(3 * block, block, segment), 3 * block);
	assert_int_equal(pg_lsn_page_start(3 * block + 48, block, segment), 3 * block + 48);
}

/* EDGE 40: names with quotes, dots and blanks. */
static void test_quoting(void **state)
{
	AUTO(buf) struct buf out = { 0 };

	(void)state;
	pg_name(&out, "a.b", "we\"ird '");
	buf_addc(&out, ' ');
	pg_literal(&out, "it's \"\\");
	assert_string_equal(buf_z(&out), "\"a.b\".\"we\"\"ird '\" 'it''s \"\\'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_kind), cmocka_unit_test(test_state_kind),
		cmocka_unit_test(test_url),          cmocka_unit_test(test_lsn),
		cmocka_unit_test(test_page_start),   cmocka_unit_test(test_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
