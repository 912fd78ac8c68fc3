/*
 * test_gtid_set.c - sets of GTIDs: text, bytes, union, holes (EDGE 107, 108, 109)
 */
#include "binlog_fixture.h"

#include "../../sources/binlog_gtid.h"

#define A "00000000-0000-0000-0000-00000000000a"
#define B "b0000000-0000-0000-0000-00000000000b"

static void assert_set(const struct gtid_set *s, const char *want)
{
	AUTO(buf) struct buf text = { 0 };

	gtid_set_format(s, &text);
	assert_string_equal(buf_z(&text), want);
}

static struct gtid_set *set_of(bool mariadb, const char *text)
{
	struct error err = { 0 };
	struct gtid_set *s = gtid_set_parse(mariadb, text, &err);

	if (!s)
		FAIL("%s", err.text);
	return s;
}

static struct gtid gtid_of(uint8_t last, const char *tag, uint64_t number)
{
	struct gtid g = { .number = number };

	g.uuid[0] = last == 0xb ? 0xb0 : 0;
	g.uuid[15] = last;
	memcpy(g.tag, tag, strlen(tag));
	return g;
}

static void texts(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ " \n", "" },
		{ A ":1", A ":1" },
		{ A ":1-3:5", A ":1-3:5" },
		{ A ":5:1-3:4", A ":1-5" },
		{ A ":7-9:1-3:2-8", A ":1-9" },
		{ B ":1,\n" A ":2", A ":2," B ":1" },
		{ " " A " : 1 - 3 : 5 , " B ":4 ", A ":1-3:5," B ":4" },
		{ "0000000000-0000-0000-0000-00000000000A:1", NULL },
		{ "B0000000-0000-0000-0000-00000000000B:1", B ":1" },
		{ A ":1," A ":2", A ":1-2" },
		{ A ":9223372036854775806", A ":9223372036854775806" },
		{ A ":tag_1:1-2", A ":tag_1:1-2" },
		{ A ":1-2:TAG:3:a:4-5", A ":1-2:a:4-5:tag:3" },
		{ A ":b:1," A ":a:2," A ":3", A ":3:a:2:b:1" },
		{ A ":abcdefghijklmnopqrstuvwxyz012345:1",
		  A ":abcdefghijklmnopqrstuvwxyz012345:1" },
		{ A ":abcdefghijklmnopqrstuvwxyz0123456:1", NULL },
		{ A, NULL },
		{ A ":", NULL },
		{ A ":0", NULL },
		{ A ":3-2", NULL },
		{ A ":1-", NULL },
		{ A ":9223372036854775807", NULL },
		{ A ":99999999999999999999", NULL },
		{ A ":1 " B ":1", NULL },
		{ A ":tag", NULL },
		{ A ":a:b:1", NULL },
		{ A ":1:a", NULL },
		{ A ":1a", NULL },
		{ "00000000-0000-0000-0000-0000000000g0:1", NULL },
		{ "00000000-0000-0000-0000", NULL },
		{ "0-1-2", NULL },
		{ ",", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error err = { 0 };
		AUTO(gtid_set) struct gtid_set *s = gtid_set_parse(false, cases[i].in, &err);

		if (!s != !cases[i].out)
			FAIL("\"%s\": %s", cases[i].in, s ? "was accepted" : err.text);
		if (s)
			assert_set(s, cases[i].out);
		assert_true(s || (err.kind == ERR_FATAL && strstr(err.text, "not a set of GTIDs")));
	}
}

static void positions(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "0-1-100", "0-1-100" },
		{ "7-2-3, 0-1-100", "0-1-100,7-2-3" },
		{ "4294967295-4294967295-18446744073709551614",
		  "4294967295-4294967295-18446744073709551614" },
		{ "4294967296-1-1", NULL },
		{ "0-1", NULL },
		{ "0-1-", NULL },
		{ "0-1-1,0-2-1", NULL },
		{ "0-1-1 7-1-1", NULL },
		{ A ":1", NULL },
		{ "-1-1-1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error err = { 0 };
		AUTO(gtid_set) struct gtid_set *s = gtid_set_parse(true, cases[i].in, &err);

		if (!s != !cases[i].out)
			FAIL("\"%s\": %s", cases[i].in, s ? "was accepted" : err.text);
		if (s)
			assert_set(s, cases[i].out);
	}
}

static void adding(void **state)
{
	AUTO(gtid_set) struct gtid_set *s = gtid_set_new(false);
	static const uint64_t order[] = { 5, 7, 6, 1, 3, 2, 10, 4, 4, 9 };

	(void)state;
	assert_true(gtid_set_empty(s));
	for (size_t i = 0; i < COUNT(order); i++) {
		struct gtid g = gtid_of(0xa, "", order[i]);

		gtid_set_add(s, &g);
		assert_true(gtid_set_has(s, &g));
	}
	assert_set(s, A ":1-7:9-10");
	assert_false(gtid_set_empty(s));
	struct gtid other = gtid_of(0xb, "", 3), tag = gtid_of(0xa, "t", 3),
		    eight = gtid_of(0xa, "", 8);

	assert_false(gtid_set_has(s, &other) || gtid_set_has(s, &tag) || gtid_set_has(s, &eight));
	gtid_set_add(s, &other);
	gtid_set_add(s, &tag);
	assert_set(s, A ":1-7:9-10:t:3," B ":3");
	gtid_set_add(s, &eight);
	assert_set(s, A ":1-10:t:3," B ":3");
}

static void removing(void **state)
{
	AUTO(gtid_set) struct gtid_set *s = set_of(false, A ":1-5:9," B ":2");
	struct gtid g = gtid_of(0xa, "", 3);

	(void)state;
	gtid_set_remove(s, &g);
	assert_set(s, A ":1-2:4-5:9," B ":2");
	gtid_set_remove(s, &g);
	g.number = 1;
	gtid_set_remove(s, &g);
	g.number = 5;
	gtid_set_remove(s, &g);
	assert_set(s, A ":2:4:9," B ":2");
	g.number = 9;
	gtid_set_remove(s, &g);
	g.number = 2;
	gtid_set_remove(s, &g);
	assert_set(s, A ":4," B ":2");
	g.number = 4;
	gtid_set_remove(s, &g);
	assert_set(s, B ":2");
	gtid_set_remove(s, &g);
	g = gtid_of(0xb, "", 2);
	gtid_set_remove(s, &g);
	assert_true(gtid_set_empty(s));
}

/* Against a plain array of what is in it. */
static void random_walk(void **state)
{
	enum { ROOM = 200 };
	AUTO(gtid_set) struct gtid_set *s = gtid_set_new(false);
	bool in[ROOM + 2] = { false };
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		struct gtid g = gtid_of(0xa, "", 1 + seed / 65536 % ROOM);
		bool add = seed / 7 % 3 != 0;

		if (add)
			gtid_set_add(s, &g);
		else
			gtid_set_remove(s, &g);
		in[g.number] = add;
		if (i % 97)
			continue;
		AUTO(buf) struct buf text = { 0 }, want = { 0 };

		for (size_t k = 1; k <= ROOM; k++) {
			size_t end = k;

			g.number = k;
			assert_int_equal(gtid_set_has(s, &g), in[k]);
			if (!in[k])
				continue;
			while (in[end + 1])
				end++;
			buf_addf(&want, end > k ? ":%zu-%zu" : ":%zu", k, end);
			k = end;
		}
		gtid_set_format(s, &text);
		assert_string_equal(buf_z(&text) + (want.n ? strlen(A) : 0), buf_z(&want));
	}
}

static bool contains(bool mariadb, const char *big, const char *small)
{
	AUTO(gtid_set) struct gtid_set *b = set_of(mariadb, big);
	AUTO(gtid_set) struct gtid_set *s = set_of(mariadb, small);

	return gtid_set_contains(b, s);
}

static void containing(void **state)
{
	(void)state;
	assert_true(contains(false, "", ""));
	assert_true(contains(false, A ":1", ""));
	assert_false(contains(false, "", A ":1"));
	assert_true(contains(false, A ":1-10", A ":1-10"));
	assert_true(contains(false, A ":1-10:12," B ":1", A ":2-3:12"));
	assert_false(contains(false, A ":1-10:12", A ":10-12"));
	assert_false(contains(false, A ":1-10", A ":11"));
	assert_false(contains(false, A ":1-10", B ":1"));
	assert_false(contains(false, A ":1-10", A ":t:1"));
	assert_true(contains(false, A ":1-10:t:1-4", A ":t:1"));
	assert_true(contains(true, "0-1-10,1-1-5", "0-2-10"));
	assert_true(contains(true, "0-1-10,1-1-5", "1-1-4,0-1-1"));
	assert_false(contains(true, "0-1-10", "0-1-11"));
	assert_false(contains(true, "0-1-10", "1-1-1"));
}

static void copies(void **state)
{
	AUTO(gtid_set) struct gtid_set *s = set_of(false, A ":1-5:t:9," B ":2");
	AUTO(gtid_set) struct gtid_set *copy = gtid_set_copy(s);
	AUTO(gtid_set) struct gtid_set *none = gtid_set_new(false);
	AUTO(gtid_set) struct gtid_set *copy_of_none = gtid_set_copy(none);
	struct gtid g = gtid_of(0xa, "", 6);

	(void)state;
	gtid_set_add(s, &g);
	gtid_set_add(copy_of_none, &g);
	g = gtid_of(0xb, "", 3);
	gtid_set_add(copy, &g);
	assert_set(s, A ":1-6:t:9," B ":2");
	assert_set(copy, A ":1-5:t:9," B ":2-3");
	assert_set(none, "");
	assert_set(copy_of_none, A ":6");
}

static void domains(void **state)
{
	AUTO(gtid_set) struct gtid_set *s = gtid_set_new(true);
	AUTO(gtid_set) struct gtid_set *copy = NULL;
	struct gtid g = { .mariadb = true, .domain = 5, .server = 1, .number = 10 };

	(void)state;
	gtid_set_add(s, &g);
	g.domain = 3;
	gtid_set_add(s, &g);
	copy = gtid_set_copy(s);
	/* EDGE 109: another server, a lower number: it is what was written last. */
	g.server = 2;
	g.number = 4;
	gtid_set_add(s, &g);
	assert_set(s, "3-2-4,5-1-10");
	assert_set(copy, "3-1-10,5-1-10");
	assert_true(gtid_set_has(s, &g));
	g.number = 5;
	assert_false(gtid_set_has(s, &g));
	gtid_set_remove(s, &g);
	assert_set(s, "3-2-4,5-1-10");
}

/* --- bytes --- */

static void recorded(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf bytes = { 0 };
	AUTO(gtid_set) struct gtid_set *s = gtid_set_new(false);
	AUTO(gtid_set) struct gtid_set *m = gtid_set_new(true);
	struct binlog_format f = fixture_format(MYSQL97_FORMAT),
			     maria = fixture_format(MARIA_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_PREVIOUS);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(gtid_set_add_event(s, &e, &err), 0);
	assert_set(s, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa:5,"
		      "eef06390-e93a-11f1-aa02-02fc00000001:1-24:tag1:1-2:z_2:1");
	gtid_set_encode(s, &bytes);
	assert_true(str_eq(str_of(&bytes), e.body));
	assert_fatal(gtid_set_add_event(m, &e, &err), &err, "of that family");

	e = fixture_event(&a, &maria, MARIA_GTID_LIST);
	assert_int_equal(gtid_set_add_event(m, &e, &err), 0);
	assert_set(m, "0-1-19,7-1-1");
	assert_fatal(gtid_set_add_event(s, &e, &err), &err, "of that family");
}

static int parse_previous(const struct binlog_event *e, struct arena *a, struct error *err)
{
	AUTO(gtid_set) struct gtid_set *s = set_of(false, A ":1-5");
	int r = gtid_set_add_event(s, e, err);

	(void)a;
	if (r)
		assert_set(s, A ":1-5");
	return r;
}

static int parse_list(const struct binlog_event *e, struct arena *a, struct error *err)
{
	AUTO(gtid_set) struct gtid_set *s = gtid_set_new(true);

	(void)a;
	return gtid_set_add_event(s, e, err);
}

static void hurt(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT),
			     maria = fixture_format(MARIA_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_PREVIOUS);

	(void)state;
	fixture_hurt(&e, parse_previous);
	e = fixture_event(&a, &maria, MARIA_GTID_LIST);
	fixture_hurt(&e, parse_list);
}

/* Without tags the form is that of every server since 5.6. */
static void encoding(void **state)
{
	static const char *const sets[] = { "", A ":1", A ":1-3:5," B ":9", A ":t:1",
					    A ":1-5:u_1:7-9:12," B ":3" };

	(void)state;
	for (size_t i = 0; i < COUNT(sets); i++) {
		AUTO(buf) struct buf bytes = { 0 };
		AUTO(gtid_set) struct gtid_set *s = set_of(false, sets[i]);
		AUTO(gtid_set) struct gtid_set *back = gtid_set_new(false);
		struct error err = { 0 };

		gtid_set_encode(s, &bytes);
		assert_int_equal((uint8_t)bytes.p[7], i >= 3);
		struct binlog_event e = { .type = BINLOG_PREVIOUS_GTIDS, .body = str_of(&bytes) };

		assert_int_equal(gtid_set_add_event(back, &e, &err), 0);
		assert_set(back, sets[i]);
	}
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf bytes = { 0 };
	AUTO(gtid_set) struct gtid_set *s = set_of(false, A ":2-3");

	gtid_set_encode(s, &bytes);
	assert_true(str_eq(str_of(&bytes), unhex(&a, "0100000000000000"
						     "0000000000000000000000000000000a"
						     "0100000000000000"
						     "0200000000000000"
						     "0400000000000000")));
}

#define N(n)   n "00000000000000"
#define UUID_A "0000000000000000000000000000000a"
static void refused(void **state)
{
	static const struct {
		const char *hex, *why;
	} cases[] = {
		{ "", "truncated" },
		{ N("02") UUID_A N("01") N("01") N("02"), "more sources" },
		{ N("09") UUID_A N("01") N("01") N("02"), "more sources" },
		{ "ffffffffffffff00", "more sources" },
		{ "01000000000000ff", "more sources" },
		{ N("01") UUID_A N("00") N("01") N("02"), "damaged source" },
		{ N("01") UUID_A N("02") N("01") N("02"), "damaged source" },
		{ N("01") UUID_A "ffffffffffffffff" N("01") N("02"), "damaged source" },
		{ N("01") UUID_A N("01") N("00") N("02"), "damaged source" },
		{ N("01") UUID_A N("01") N("02") N("02"), "damaged source" },
		{ N("01") UUID_A N("01") N("02") "0000000000000080", "damaged source" },
		{ N("01") UUID_A N("02") N("05") N("06") N("01") N("02"), "damaged source" },
		{ N("01") UUID_A N("01") N("01") N("02") "00", "after its end" },
		{ "0101000000000001" UUID_A "01" N("01") N("01") N("02"), "damaged source" },
		{ "0101000000000001" UUID_A "0241" N("01") N("01") N("02"), "damaged source" },
		{ "0101000000000001" UUID_A "0231" N("01") N("01") N("02"), "damaged source" },
		{ "0101000000000001" UUID_A "42"
		  "616161616161616161616161616161616161616161616161616161616161616161" N("01")
			  N("01") N("02"),
		  "damaged source" },
	};
	AUTO(arena) struct arena a = { 0 };
	AUTO(gtid_set) struct gtid_set *s = set_of(false, B ":1");
	AUTO(gtid_set) struct gtid_set *m = set_of(true, "9-9-9");
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct binlog_event e = fixture_body(&a, BINLOG_PREVIOUS_GTIDS, cases[i].hex);

		if (gtid_set_add_event(s, &e, &err) == 0 || !strstr(err.text, cases[i].why))
			FAIL("%s: %s", cases[i].hex, err.text);
		assert_set(s, B ":1");
	}
	struct binlog_event e = fixture_body(&a, BINLOG_GTID_LIST,
					     "02000010"
					     "00000000"
					     "01000000" N("05"));

	assert_fatal(gtid_set_add_event(m, &e, &err), &err, "more GTIDs");
	/* Flags in the number; of one domain the last counts. */
	e = fixture_body(&a, BINLOG_GTID_LIST,
			 "02000010"
			 "00000000"
			 "02000000" N("09") "00000000"
					    "01000000" N("05"));
	assert_int_equal(gtid_set_add_event(m, &e, &err), 0);
	assert_set(m, "0-1-5,9-9-9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),       cmocka_unit_test(positions),
		cmocka_unit_test(adding),      cmocka_unit_test(removing),
		cmocka_unit_test(random_walk), cmocka_unit_test(containing),
		cmocka_unit_test(copies),      cmocka_unit_test(domains),
		cmocka_unit_test(recorded),    cmocka_unit_test(hurt),
		cmocka_unit_test(encoding),    cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
