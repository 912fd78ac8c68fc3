/*
 * test_binlog_event.c - header, checksum and the small events of the binlog (EDGE 111, EDGE 113, EDGE 114)
 */
#include <zlib.h>

#include "../../sources/binlog_crc.h"
#include "binlog_fixture.h"

static void formats(void **state)
{
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);

	(void)state;
	assert_string_equal(f.server, "9.7.4-2");
	assert_int_equal(f.version, 9007004);
	assert_false(f.mariadb);
	assert_true(f.checksum);
	assert_int_equal(f.npost, 42);
	assert_int_equal(f.post[BINLOG_TABLE_MAP - 1], 8);
	f = fixture_format(MARIA_FORMAT);
	assert_true(f.mariadb && f.checksum);
	assert_int_equal(f.version, 10011019);
	assert_int_equal(f.npost, 171);
	f = fixture_format(MYSQL56_FORMAT);
	assert_int_equal(f.version, 5006024);
	assert_int_equal(f.npost, 35);
	f = fixture_format(MYSQL8015_FORMAT);
	assert_int_equal(f.version, 8000015);
}

/* What a format description of that server, checksum and CRC gives; NULL: it is refused. */
static const char *format_refused(const char *server, uint8_t kind, size_t npost, size_t cut,
				  bool crc, struct binlog_format *f)
{
	static struct error err;
	AUTO(buf) struct buf body = { 0 }, bytes = { 0 };
	struct binlog_event e;

	err = (struct error){ 0 };
	add_format_body(&body, server, kind, npost);
	body.n -= cut;
	add_event(&bytes, BINLOG_FORMAT, 0, str_of(&body), crc, 4);
	if (binlog_event_parse(NULL, str_of(&bytes), &e, &err) || binlog_format_parse(&e, f, &err))
		return err.text;
	return NULL;
}

static void formats_made(void **state)
{
	struct binlog_format f;

	(void)state;
	assert_null(format_refused("10.4.34-MariaDB-log", 0, 171, 0, true, &f));
	assert_true(f.mariadb && !f.checksum);
	assert_null(format_refused("8.4.0-custom", 1, 42, 0, true, &f));
	assert_true(!f.mariadb && f.checksum);
	/* A vendor's name without the family's: only MariaDB has that many types. */
	assert_null(format_refused("11.4.5-ACME", 1, 171, 0, true, &f));
	assert_true(f.mariadb);
	/* Before 5.6.1 and MariaDB 5.3 there is no checksum, and no field for its kind. */
	assert_null(format_refused("5.5.62-log", 0, 27, 1, false, &f));
	assert_true(!f.checksum && f.npost == 27);
	assert_null(format_refused("5.2.14-MariaDB", 0, 27, 1, false, &f));
	assert_true(!f.checksum && f.npost == 27);

	assert_non_null(strstr(format_refused("8.0.31", 2, 41, 0, true, &f), "kind of checksum"));
	assert_non_null(
		strstr(format_refused("8.0.31", 1, 300, 0, true, &f), "post-header lengths"));
	assert_non_null(strstr(format_refused("5.5.1", 0, 0, 10, false, &f), "truncated"));
	assert_non_null(strstr(format_refused("8.0.31", 0, 0, 0, false, &f), "truncated"));
}

static void format_version(void **state)
{
	AUTO(buf) struct buf body = { 0 }, bytes = { 0 };
	struct binlog_format f;
	struct binlog_event e;
	struct error err = { 0 };

	(void)state;
	add_format_body(&body, "4.1.0", 0, 13);
	body.p[0] = 3;
	add_event(&bytes, BINLOG_FORMAT, 0, str_of(&body), false, 4);
	assert_int_equal(binlog_event_parse(NULL, str_of(&bytes), &e, &err), 0);
	assert_fatal(binlog_format_parse(&e, &f, &err), &err, "not of format 4");
}

static void headers(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct str bytes = unhex(&a, MYSQL97_GTID);
	struct binlog_event e;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_event_parse(&f, bytes, &e, &err), 0);
	assert_int_equal(e.type, BINLOG_GTID);
	assert_int_equal(e.time, 0x6b078f07);
	assert_int_equal(e.server_id, 1);
	assert_int_equal(e.size, bytes.n);
	assert_int_equal(e.log_pos, 0x9fa);
	assert_int_equal(e.body.n, bytes.n - BINLOG_HEADER - 4);

	for (size_t n = 0; n < bytes.n; n++)
		assert_int_equal(binlog_event_parse(&f, (struct str){ bytes.p, n }, &e, &err), -1);
	assert_fatal(binlog_event_parse(&f, (struct str){ bytes.p, 18 }, &e, &err), &err,
		     "shorter than its header");
	assert_fatal(binlog_event_parse(&f, (struct str){ bytes.p, 40 }, &e, &err), &err,
		     "says that it has 79 bytes, there are 40");
}

/* A flipped bit anywhere is seen, and where. */
static void checksums(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct str bytes = unhex(&a, MYSQL97_MAP);
	struct binlog_event e;
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < bytes.n; i++) {
		char *copy = xmalloc(bytes.n);

		memcpy(copy, bytes.p, bytes.n);
		copy[i] = (char)(copy[i] ^ 0x10);
		assert_int_equal(binlog_event_parse(&f, (struct str){ copy, bytes.n }, &e, &err),
				 -1);
		assert_int_equal(err.kind, ERR_FATAL);
		free(copy);
	}
	assert_non_null(
		strstr(err.text, "Table_map event (type 19) of 241 bytes that ends at 1555"));
	assert_non_null(strstr(err.text, "checksum"));
	f.checksum = false;
	assert_int_equal(binlog_event_parse(&f, bytes, &e, &err), 0);
	assert_int_equal(e.body.n, bytes.n - BINLOG_HEADER);
}

/* A checksum that has no room. */
static void checksum_room(void **state)
{
	AUTO(buf) struct buf b = { 0 };
	struct binlog_format f = { .checksum = true };
	struct binlog_event e;
	struct error err = { 0 };

	(void)state;
	add_event(&b, BINLOG_STOP, 0, STR("ab"), false, 4);
	assert_fatal(binlog_event_parse(&f, str_of(&b), &e, &err), &err,
		     "no room for its checksum");
	assert_int_equal(binlog_event_parse(NULL, str_of(&b), &e, &err), 0);
	assert_int_equal(e.body.n, 2);
}

/* The dump thread's rotate: before any format, and between files of which one has checksums. */
static void artificial_rotate(void **state)
{
	AUTO(buf) struct buf body = { 0 };
	struct binlog_format plain = { .checksum = false }, summed = { .checksum = true };
	const struct binlog_format *formats[] = { NULL, &plain, &summed };
	struct error err = { 0 };

	(void)state;
	add_u64(&body, 4);
	buf_adds(&body, "mysql-bin.000001");
	for (size_t i = 0; i < COUNT(formats) * 2; i++) {
		AUTO(buf) struct buf b = { 0 };
		struct binlog_event e;
		struct binlog_rotate r;

		add_event(&b, BINLOG_ROTATE, BINLOG_FLAG_ARTIFICIAL, str_of(&body), i % 2 == 0, 4);
		int result = binlog_event_parse(formats[i / 2], str_of(&b), &e, &err);

		if (i == 5) { /* there should be one */
			assert_int_equal(result, -1);
			continue;
		}
		assert_int_equal(result, 0);
		assert_int_equal(binlog_rotate_parse(&e, &r, &err), 0);
		assert_int_equal(r.pos, 4);
		assert_str(r.file, "mysql-bin.000001");
	}
}

static void rotates(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_ROTATE);
	struct binlog_rotate r;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_rotate_parse(&e, &r, &err), 0);
	assert_int_equal(r.pos, 4);
	assert_str(r.file, "binlog.000002");
	e.body.n = 8;
	assert_fatal(binlog_rotate_parse(&e, &r, &err), &err, "names no file");
	e.body.n = 7;
	assert_fatal(binlog_rotate_parse(&e, &r, &err), &err, "truncated");
	e = fixture_body(&a, BINLOG_ROTATE,
			 "0400000000000000"
			 "6200"
			 "62");
	assert_fatal(binlog_rotate_parse(&e, &r, &err), &err, "names no file");
}

static void heartbeats(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_event e = fixture_body(&a, BINLOG_HEARTBEAT, "622e303031");
	struct binlog_heartbeat h;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_heartbeat_parse(&e, &h, &err), 0);
	assert_str(h.file, "b.001");
	assert_int_equal(h.pos, 1000);
	assert_false(h.wide);
	/* More than 32 bits; an unknown field in front. */
	e = fixture_body(&a, BINLOG_HEARTBEAT_V2,
			 "0902abcd"
			 "0105622e303031"
			 "0209fe0100000001000000"
			 "00");
	assert_int_equal(binlog_heartbeat_parse(&e, &h, &err), 0);
	assert_str(h.file, "b.001");
	assert_true(h.wide);
	assert_true(h.pos == UINT64_C(0x100000001));
	for (size_t n = 0; n < e.body.n; n++) {
		struct binlog_event cut = e;

		cut.body.n = n;
		assert_fatal(binlog_heartbeat_parse(&cut, &h, &err), &err, "truncated");
	}
}

static void small_events(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT),
			     maria = fixture_format(MARIA_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_XA_PREPARE);
	struct binlog_xid x;
	struct str text;
	struct error err = { 0 };
	uint16_t number;

	(void)state;
	assert_int_equal(binlog_xa_prepare_parse(&e, &x, &err), 0);
	assert_int_equal(x.format, 1);
	assert_false(x.one_phase);
	assert_str(x.global, "g1");
	assert_str(x.branch, "b1");
	e.body.n--;
	assert_fatal(binlog_xa_prepare_parse(&e, &x, &err), &err, "XA_prepare event (type 38)");

	e = fixture_event(&a, &f, MYSQL97_ROWS_QUERY);
	assert_int_equal(binlog_rows_query_parse(&e, &text, &err), 0);
	assert_str(text, "insert into dt values ('2020-01-01')");
	e = fixture_event(&a, &maria, MARIA_ANNOTATE);
	assert_int_equal(binlog_rows_query_parse(&e, &text, &err), 0);
	assert_str(text, "update nk set u=u+1");
	e = fixture_body(&a, BINLOG_ROWS_QUERY, "");
	assert_fatal(binlog_rows_query_parse(&e, &text, &err), &err, "truncated");

	e = fixture_body(&a, BINLOG_INCIDENT,
			 "0100"
			 "046c6f7374");
	assert_int_equal(binlog_incident_parse(&e, &number, &text, &err), 0);
	assert_int_equal(number, 1);
	assert_str(text, "lost");
	e.body.n--;
	assert_fatal(binlog_incident_parse(&e, &number, &text, &err), &err, "truncated");
}

static void inner_events(void **state)
{
	AUTO(buf) struct buf b = { 0 };
	struct binlog_event e;
	struct error err = { 0 };
	size_t used;

	(void)state;
	add_event(&b, BINLOG_XID, 0, STR("12345678"), false, 0);
	add_event(&b, BINLOG_STOP, 0, STR(""), false, 0);
	assert_int_equal(binlog_event_inner(str_of(&b), &e, &used, &err), 0);
	assert_int_equal(used, BINLOG_HEADER + 8);
	assert_int_equal(e.body.n, 8);
	assert_int_equal(binlog_event_inner((struct str){ b.p, used - 1 }, &e, &used, &err), -1);
	assert_fatal(binlog_event_parse(NULL, str_of(&b), &e, &err), &err, "not its own");
	b.p[9] = 18;
	assert_fatal(binlog_event_inner(str_of(&b), &e, &used, &err), &err,
		     "says that it has 18 bytes");
}

static void lenencs(void **state)
{
	static const struct {
		const char *hex;
		uint64_t value;
		bool bad;
	} cases[] = {
		{ "00", 0, false },
		{ "fa", 250, false },
		{ "fb", 0, true },
		{ "fcfb00", 251, false },
		{ "fcffff", 65535, false },
		{ "fd000001", 65536, false },
		{ "fdffffff", 0xffffff, false },
		{ "fe0000000100000000", 0x1000000, false },
		{ "feffffffffffffffff", UINT64_MAX, false },
		{ "ff", 0, true },
		{ "fc00", 0, true },
		{ "fd0000", 0, true },
		{ "fe00000000000000", 0, true },
		{ "", 0, true },
	};
	AUTO(arena) struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cursor c = cursor_of(unhex(&a, cases[i].hex));
		uint64_t v = binlog_lenenc(&c);

		assert_int_equal(c.bad, cases[i].bad);
		assert_true(cases[i].bad || (v == cases[i].value && c.p == c.end));
	}
}

/* EDGE 111 */
static void offsets(void **state)
{
	static const uint64_t G4 = UINT64_C(1) << 32;

	(void)state;
	assert_true(binlog_offset(4, 120) == 120);
	assert_true(binlog_offset(120, 120) == 120);
	assert_true(binlog_offset(G4 - 1, UINT32_MAX) == G4 - 1);
	assert_true(binlog_offset(G4 - 50, 30) == G4 + 30);
	assert_true(binlog_offset(G4 + 30, 100) == G4 + 100);
	assert_true(binlog_offset(G4, 0) == G4);
	assert_true(binlog_offset(3 * G4 - 1, 1) == 3 * G4 + 1);
	assert_true(binlog_offset(3 * G4 + 7, 6) == 4 * G4 + 6);
}

/* Against zlib: every length around the steps of the folding, every alignment, in two parts, and one long run. */
static void crcs(void **state)
{
	static uint8_t bytes[1 << 16];
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		random = random * 1103515245 + 12345;
		bytes[i] = (uint8_t)(random >> 16);
	}
	assert_int_equal(binlog_crc(0, "123456789", 9), 0xcbf43926);
	for (size_t n = 0; n < 400; n++) {
		const uint8_t *p = bytes + n % 17;
		uint32_t want = (uint32_t)crc32(0, p, (uInt)n);

		assert_int_equal(binlog_crc(0, p, n), want);
		assert_int_equal(binlog_crc(binlog_crc(0, p, n / 3), p + n / 3, n - n / 3), want);
	}
	assert_int_equal(binlog_crc(0, bytes, sizeof bytes), crc32(0, bytes, sizeof bytes));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(binlog_type_name(BINLOG_TABLE_MAP), "Table_map");
	assert_string_equal(binlog_type_name(BINLOG_DELETE_COMPRESSED), "Delete_rows_compressed");
	assert_string_equal(binlog_type_name(0), "unknown");
	assert_string_equal(binlog_type_name(255), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(formats_made),
		cmocka_unit_test(format_version),
		cmocka_unit_test(headers),
		cmocka_unit_test(checksums),
		cmocka_unit_test(checksum_room),
		cmocka_unit_test(artificial_rotate),
		cmocka_unit_test(rotates),
		cmocka_unit_test(heartbeats),
		cmocka_unit_test(small_events),
		cmocka_unit_test(inner_events),
		cmocka_unit_test(lenencs),
		cmocka_unit_test(offsets),
		cmocka_unit_test(names),
		cmocka_unit_test(crcs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
