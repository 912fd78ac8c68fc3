/*
 * test_binlog_gtid.c - the events that begin transactions (EDGE 103, 104, 107, 108, 109)
 */
#include "binlog_fixture.h"

#include "../../sources/binlog_gtid.h"

static int parse(const struct binlog_event *e, struct arena *a, struct error *err)
{
	struct binlog_gtid g;

	(void)a;
	return binlog_gtid_parse(e, &g, err);
}

/* A recorded event of a file with that format. */
static struct binlog_gtid recorded(struct arena *a, const char *format, const char *hex)
{
	struct binlog_format f = fixture_format(format);
	struct binlog_event e = fixture_event(a, &f, hex);
	struct binlog_gtid g;
	struct error err = { 0 };

	if (binlog_gtid_parse(&e, &g, &err))
		FAIL("%s", err.text);
	fixture_hurt(&e, parse);
	return g;
}

static void assert_gtid(const struct binlog_gtid *g, const char *want)
{
	char text[GTID_TEXT];

	assert_string_equal(gtid_text(&g->gtid, text), want);
}

static void mysql(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_gtid g = recorded(&a, MYSQL97_FORMAT, MYSQL97_GTID);

	(void)state;
	assert_gtid(&g, "eef06390-e93a-11f1-aa02-02fc00000001:6");
	assert_true(g.commit_us == 1795657479170536);
	assert_int_equal(g.length, 378);
	assert_false(g.anonymous || g.gtid.mariadb);
	g = recorded(&a, MYSQL97_FORMAT, MYSQL97_TAGGED);
	assert_gtid(&g, "eef06390-e93a-11f1-aa02-02fc00000001:tag1:2");
	assert_true(g.commit_us == 1795657479312177);
	assert_int_equal(g.length, 188);
	g = recorded(&a, MYSQL56_FORMAT, MYSQL57_GTID);
	assert_gtid(&g, "1d2bcfc2-e93b-11f1-afd2-02fc00000001:1");
	assert_int_equal(g.commit_us, 0);
	assert_int_equal(g.length, 0);
	g = recorded(&a, MYSQL56_FORMAT, MYSQL56_GTID);
	assert_gtid(&g, "1f3bc6fd-e93b-11f1-be61-02fc00000001:1");
}

#define UUID      "00112233445566778899aabbccddeeff"
#define UUID_TEXT "00112233-4455-6677-8899-aabbccddeeff"
static void mysql_made(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_gtid g;
	struct error err = { 0 };
	/* Of a replica: the original commit was earlier; a long transaction. */
	struct binlog_event e = fixture_body(&a, BINLOG_GTID,
					     "01" UUID "feffffffffffff7f"
					     "02"
					     "0000000000000000"
					     "0100000000000000"
					     "00000000000080"
					     "01000000000000"
					     "fe0000000001000000"
					     "a0380180"
					     "39380100"
					     "0500000000000000");

	(void)state;
	assert_int_equal(binlog_gtid_parse(&e, &g, &err), 0);
	assert_gtid(&g, UUID_TEXT ":9223372036854775806");
	assert_int_equal(g.commit_us, 1);
	assert_true(g.length == UINT64_C(1) << 32);

	/* EDGE 107 */
	e = fixture_body(&a, BINLOG_ANONYMOUS_GTID,
			 "00"
			 "00000000000000000000000000000000"
			 "0000000000000000"
			 "02"
			 "0000000000000000"
			 "0100000000000000"
			 "ffffffffffff7f"
			 "05");
	assert_int_equal(binlog_gtid_parse(&e, &g, &err), 0);
	assert_true(g.anonymous);
	assert_true(g.commit_us == (INT64_C(1) << 55) - 1);
	assert_int_equal(g.length, 5);
	e.type = BINLOG_GTID;
	assert_fatal(binlog_gtid_parse(&e, &g, &err), &err, "impossible number");
	e = fixture_body(&a, BINLOG_GTID, "00" UUID "ffffffffffffff7f");
	assert_fatal(binlog_gtid_parse(&e, &g, &err), &err, "impossible number");
	/* An early 5.7 has another kind of clock there. */
	e = fixture_body(&a, BINLOG_GTID,
			 "00" UUID "0100000000000000"
			 "01"
			 "0000");
	assert_int_equal(binlog_gtid_parse(&e, &g, &err), 0);
	e = fixture_body(&a, BINLOG_XID, "0000000000000000");
	assert_fatal(binlog_gtid_parse(&e, &g, &err), &err, "names no transaction");
}

/* Sixteen bytes of a uuid as numbers: each below 128 is one byte, doubled. */
#define TAGGED_UUID                                                                                \
	"02"                                                                                       \
	"02020202020202020202020202020202"
#define UUID_OF_1 "01010101-0101-0101-0101-010101010101"
static const struct {
	const char *hex, *text, *why;
} tagged_cases[] = {
	{ "02"
	  "34"
	  "00" TAGGED_UUID "0404"
	  "060274",
	  NULL, "not known" }, /* past the end */
	{ "02"
	  "32"
	  "00" TAGGED_UUID "0404"
	  "060274",
	  UUID_OF_1 ":t:1", NULL },
	{ "02"
	  "2c"
	  "00" TAGGED_UUID "0414",
	  UUID_OF_1 ":5", NULL },
	{ "02"
	  "30"
	  "00" TAGGED_UUID "0404"
	  "0600",
	  UUID_OF_1 ":1", NULL },
	{ "02"
	  "30"
	  "1a" TAGGED_UUID "0404"
	  "1a00",
	  NULL, "not known" }, /* a later field: must be known */
	{ "02"
	  "30"
	  "16" TAGGED_UUID "0404"
	  "1a00",
	  UUID_OF_1 ":1", NULL }, /* need not be */
	{ "04"
	  "2c"
	  "00" TAGGED_UUID "0414",
	  NULL, "not known" },
	{ "02"
	  "2c"
	  "00" TAGGED_UUID "0400",
	  NULL, "does not name" },
	{ "02"
	  "2c"
	  "00" TAGGED_UUID "0406",
	  NULL, "damaged field" }, /* negative */
	{ "02"
	  "06"
	  "00",
	  NULL, "does not name" },
	{ "02"
	  "0a"
	  "00"
	  "0404",
	  NULL, "does not name" },
	{ "02"
	  "30"
	  "00" TAGGED_UUID "0404"
	  "0404",
	  NULL, "damaged field" }, /* twice */
	{ "02"
	  "30"
	  "00" TAGGED_UUID "0404"
	  "0202",
	  NULL, "damaged field" }, /* not in order */
	{ "02"
	  "32"
	  "00" TAGGED_UUID "0404"
	  "060254",
	  NULL, "does not name" }, /* T */
	{ "02"
	  "32"
	  "00" TAGGED_UUID "0404"
	  "060231",
	  NULL, "does not name" }, /* 1 */
	{ "02"
	  "30"
	  "00" TAGGED_UUID "0404"
	  "0614",
	  NULL, "truncated" },
	{ "02"
	  "0c"
	  "00"
	  "02"
	  "0102",
	  NULL, "truncated" },
	{ "02"
	  "0e"
	  "00"
	  "02"
	  "0108"
	  "02",
	  NULL, "damaged field" }, /* more than a byte in the uuid */
	{ "", NULL, "not known" },
};

static void tagged(void **state)
{
	AUTO(arena) struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(tagged_cases); i++) {
		struct binlog_event e = fixture_body(&a, BINLOG_GTID_TAGGED, tagged_cases[i].hex);
		struct binlog_gtid g;
		struct error err = { 0 };
		int r = binlog_gtid_parse(&e, &g, &err);

		if (tagged_cases[i].text && r)
			FAIL("%s: %s", tagged_cases[i].hex, err.text);
		if (tagged_cases[i].text)
			assert_gtid(&g, tagged_cases[i].text);
		else if (!r || !strstr(err.text, tagged_cases[i].why))
			FAIL("%s: %s", tagged_cases[i].hex, r ? err.text : "was accepted");
	}
}

/* Numbers of one to nine bytes, as a transaction's length. */
static void variable_lengths(void **state)
{
	static const struct {
		const char *hex;
		uint64_t value;
	} cases[] = {
		{ "00", 0 },
		{ "fe", 127 },
		{ "0102", 128 },
		{ "fdff", 16383 },
		{ "030002", 16384 },
		{ "07000002", 1 << 21 },
		{ "0f00000002", 1 << 28 },
		{ "1f0000000002", UINT64_C(1) << 35 },
		{ "3f000000000002", UINT64_C(1) << 42 },
		{ "7f00000000000002", UINT64_C(2) << 48 },
		{ "7fffffffffffffff", (UINT64_C(1) << 56) - 1 },
		{ "ff0000000000000080", UINT64_C(1) << 63 },
		{ "ffffffffffffffffff", UINT64_MAX },
	};
	AUTO(arena) struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(buf) struct buf b = { 0 };
		struct str number = unhex(&a, cases[i].hex);
		struct binlog_gtid g;
		struct error err = { 0 };

		add_u8(&b, 2);
		add_u8(&b, (uint8_t)(2 * (22 + 1 + number.n)));
		add_u8(&b, 0);
		add_str(&b, unhex(&a, TAGGED_UUID "0404"
						  "10"));
		b.p[1] = (char)(2 * (b.n + number.n));
		add_str(&b, number);
		struct binlog_event e = { .type = BINLOG_GTID_TAGGED, .body = str_of(&b) };

		if (binlog_gtid_parse(&e, &g, &err))
			FAIL("%s: %s", cases[i].hex, err.text);
		assert_true(g.length == cases[i].value);
	}
}

static void mariadb(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_gtid g = recorded(&a, MARIA_FORMAT, MARIA_GTID_DDL);

	(void)state;
	assert_gtid(&g, "0-1-2");
	assert_true(g.standalone && g.ddl && g.gtid.mariadb);
	assert_false(g.xa_prepared || g.xa_completed || g.alter_start);
	/* EDGE 104 */
	g = recorded(&a, MARIA_FORMAT, MARIA_GTID_XA);
	assert_gtid(&g, "0-1-11");
	assert_true(g.xa_prepared && !g.xa_completed && !g.standalone);
	assert_int_equal(g.xid.format, 1);
	assert_str(g.xid.global, "g1");
	assert_str(g.xid.branch, "b1");
	g = recorded(&a, MARIA_FORMAT, MARIA_GTID_XA_COMMIT);
	assert_true(g.xa_completed && !g.xa_prepared && g.standalone);
	assert_str(g.xid.branch, "b1");
	/* EDGE 103 */
	g = recorded(&a, MARIA_FORMAT, MARIA_START_ALTER);
	assert_true(g.alter_start && !g.alter_commit && !g.alter_rollback && g.ddl);
	g = recorded(&a, MARIA_FORMAT, MARIA_COMMIT_ALTER);
	assert_true(g.alter_commit && !g.alter_start && !g.alter_rollback);
}

static void mariadb_made(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_gtid g;
	struct error err = { 0 };
	/* Group commit, no room left for more flags. */
	struct binlog_event e = fixture_body(&a, BINLOG_MARIA_GTID,
					     "ffffffffffffffff"
					     "ffffffff"
					     "06"
					     "0100000000000000");

	(void)state;
	e.server_id = 4294967295;
	assert_int_equal(binlog_gtid_parse(&e, &g, &err), 0);
	assert_gtid(&g, "4294967295-4294967295-18446744073709551615");
	e.body.n--;
	assert_fatal(binlog_gtid_parse(&e, &g, &err), &err, "truncated");
	e = fixture_body(&a, BINLOG_MARIA_GTID,
			 "0100000000000000"
			 "00000000"
			 "46"
			 "0100000000000000"
			 "01000000"
			 "01"
			 "00"
			 "67"
			 "08"
			 "0900000000000000");
	assert_int_equal(binlog_gtid_parse(&e, &g, &err), 0);
	assert_str(g.xid.global, "g");
	assert_int_equal(g.xid.branch.n, 0);
	assert_true(g.alter_rollback);
	e = fixture_body(&a, BINLOG_MARIA_GTID,
			 "0100000000000000"
			 "00000000"
			 "40"
			 "01000000"
			 "41"
			 "00");
	assert_fatal(binlog_gtid_parse(&e, &g, &err), &err, "too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mysql),   cmocka_unit_test(mysql_made),
		cmocka_unit_test(tagged),  cmocka_unit_test(variable_lengths),
		cmocka_unit_test(mariadb), cmocka_unit_test(mariadb_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
