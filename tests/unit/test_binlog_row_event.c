/*
 * test_binlog_row_event.c - events of rows of all versions, MariaDB's compressed ones (EDGE 76, 84, 116)
 */
#include "binlog_fixture.h"

static int parse(const struct binlog_event *e, struct arena *a, struct error *err)
{
	struct binlog_rows r;

	return binlog_rows_parse(e, &fixture_plain, a, 1 << 20, &r, err);
}

static void recorded(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format mysql = fixture_format(MYSQL97_FORMAT);
	struct binlog_format maria = fixture_format(MARIA_FORMAT);
	struct binlog_event e = fixture_event(&a, &mysql, MYSQL97_PARTIAL);
	struct binlog_rows r;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_rows_parse(&e, &mysql, &a, 0, &r, &err), 0);
	assert_int_equal(r.kind, BINLOG_ROWS_PARTIAL);
	assert_int_equal(r.table_id, 90);
	assert_true(r.flags & BINLOG_STMT_END);
	assert_int_equal(r.ncolumns, 2);
	assert_int_equal(r.present.n, 1);
	assert_int_equal((uint8_t)r.present.p[0] & 3, 3);
	assert_int_equal(r.present_after.n, 1);
	assert_int_equal(r.rows.n, 86);
	fixture_hurt(&e, parse);

	e = fixture_event(&a, &maria, MARIA_INSERT);
	assert_int_equal(binlog_rows_parse(&e, &maria, &a, 0, &r, &err), 0);
	assert_int_equal(r.kind, BINLOG_ROWS_INSERT);
	assert_int_equal(r.ncolumns, 3);
	assert_null(r.present_after.p);
	/* null bitmap, 'abc', 5, 1 */
	assert_int_equal(r.rows.n, 13);
	assert_memory_equal(r.rows.p + 1, "\003abc\005\000\000\000\001\000\000\000", 12);
	fixture_hurt(&e, parse);

	e = fixture_event(&a, &maria, MARIA_UPDATE);
	assert_int_equal(binlog_rows_parse(&e, &maria, &a, 68, &r, &err), 0);
	assert_int_equal(r.kind, BINLOG_ROWS_UPDATE);
	assert_int_equal(r.rows.n, 68);
	assert_non_null(r.present_after.p);
	assert_fatal(binlog_rows_parse(&e, &maria, &a, 67, &r, &err), &err, "source.max_row");
	fixture_hurt(&e, parse);
}

/* Every type: kind, head, bitmaps. */
static void kinds(void **state)
{
	static const struct {
		uint8_t type;
		enum binlog_rows_kind kind;
		bool v2, two;
	} cases[] = {
		{ 23, BINLOG_ROWS_INSERT, false, false }, { 24, BINLOG_ROWS_UPDATE, false, true },
		{ 25, BINLOG_ROWS_DELETE, false, false }, { 30, BINLOG_ROWS_INSERT, true, false },
		{ 31, BINLOG_ROWS_UPDATE, true, true },   { 32, BINLOG_ROWS_DELETE, true, false },
		{ 39, BINLOG_ROWS_PARTIAL, true, true },
	};
	AUTO(arena) struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(buf) struct buf body = { 0 };
		struct binlog_rows r;
		struct error err = { 0 };

		add_u48(&body, UINT64_C(0x123456789abc));
		add_u16(&body, 1);
		if (cases[i].v2) {
			add_u16(&body, 5);
			buf_adds(&body, "xyz");
		}
		add_u8(&body, 9);
		buf_add(&body, "\377\001", 2);
		if (cases[i].two)
			buf_add(&body, "\200\000", 2);
		buf_adds(&body, "rows");
		struct binlog_event e = { .type = cases[i].type, .body = str_of(&body) };

		if (binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err))
			FAIL("%s", err.text);
		assert_int_equal(r.kind, cases[i].kind);
		assert_true(r.table_id == UINT64_C(0x123456789abc));
		assert_int_equal(r.ncolumns, 9);
		assert_true(str_eq(r.present, ((struct str){ "\377\001", 2 })));
		if (cases[i].two)
			assert_true(str_eq(r.present_after, ((struct str){ "\200\000", 2 })));
		assert_str(r.rows, "rows");
		fixture_hurt(&e, parse);
	}
}

static void heads(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format format = fixture_plain;
	struct binlog_rows r;
	struct error err = { 0 };
	/* A table id of four bytes. */
	struct binlog_event e = fixture_body(&a, BINLOG_WRITE_V1,
					     "07000000"
					     "0100"
					     "01"
					     "ff"
					     "00"
					     "2a");

	(void)state;
	format.post[BINLOG_WRITE_V1 - 1] = 6;
	assert_int_equal(binlog_rows_parse(&e, &format, &a, 0, &r, &err), 0);
	assert_int_equal(r.table_id, 7);
	assert_int_equal(r.rows.n, 2);
	format.post[BINLOG_WRITE_V1 - 1] = 7;
	assert_fatal(binlog_rows_parse(&e, &format, &a, 0, &r, &err), &err, "post-header");
	format.post[BINLOG_WRITE_V1 - 1] = 6;
	format.npost = 22;
	assert_fatal(binlog_rows_parse(&e, &format, &a, 0, &r, &err), &err, "post-header");

	/* EDGE 84 */
	e = fixture_body(&a, BINLOG_WRITE,
			 "ffffff000000"
			 "0100"
			 "0200");
	assert_int_equal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), 0);
	assert_true(r.table_id == BINLOG_DUMMY_TABLE);
	assert_int_equal(r.ncolumns, 0);

	e = fixture_body(&a, BINLOG_WRITE,
			 "070000000000"
			 "0100"
			 "0100"
			 "01ff");
	assert_fatal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), &err, "extra data");
	e = fixture_body(&a, BINLOG_WRITE,
			 "070000000000"
			 "0100"
			 "0200"
			 "fe0000000000000080"
			 "ff");
	assert_fatal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), &err, "more columns");
	e = fixture_body(&a, BINLOG_WRITE,
			 "070000000000"
			 "0100"
			 "0200"
			 "feffffffffffffffff"
			 "ff");
	assert_fatal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), &err, "more columns");
	e.type = BINLOG_XID;
	assert_fatal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), &err,
		     "not an event of rows");
}

/* A compressed insert of `text`, whose header says `length` in n bytes. */
static void add_compressed(struct buf *body, const char *text, uint32_t length, unsigned n)
{
	uLongf room = compressBound(strlen(text));
	Bytef *p = xmalloc(room);

	assert_int_equal(compress(p, &room, (const Bytef *)text, strlen(text)), Z_OK);
	add_u48(body, 1);
	add_u16(body, 1);
	add_u8(body, 1);
	add_u8(body, 0xff);
	add_u8(body, (uint8_t)(0x80 | n));
	for (unsigned i = n; i-- > 0;)
		add_u8(body, (uint8_t)((uint64_t)length >> 8 * i));
	buf_add(body, p, room);
	free(p);
}

static void compressed(void **state)
{
	static const char text[] = "some rows, some rows, some rows, some rows";
	AUTO(arena) struct arena a = { 0 };
	struct binlog_rows r;
	struct error err = { 0 };

	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		AUTO(buf) struct buf body = { 0 };

		add_compressed(&body, text, sizeof text - 1, n);
		struct binlog_event e = { .type = BINLOG_DELETE_COMPRESSED_V1,
					  .body = str_of(&body) };

		assert_int_equal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), 0);
		assert_int_equal(r.kind, BINLOG_ROWS_DELETE);
		assert_str(r.rows, text);
	}
	static const struct {
		uint32_t length;
		unsigned n;
		const char *why;
	} refused[] = {
		{ sizeof text, 1, "does not inflate" },
		{ sizeof text - 2, 1, "does not inflate" },
		{ 0, 1, "compression header" },
		{ 0, 0, "compression header" },
		{ 1, 5, "compression header" },
		{ 0xffffffff, 4, "compression header" }, /* more than zlib can make of so little */
		{ 20000, 2, "does not inflate" },
	};
	for (size_t i = 0; i < COUNT(refused); i++) {
		AUTO(buf) struct buf body = { 0 };

		add_compressed(&body, text, refused[i].length, refused[i].n);
		struct binlog_event e = { .type = BINLOG_WRITE_COMPRESSED_V1,
					  .body = str_of(&body) };

		assert_fatal(binlog_rows_parse(&e, &fixture_plain, &a, 0, &r, &err), &err,
			     refused[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded),
		cmocka_unit_test(kinds),
		cmocka_unit_test(heads),
		cmocka_unit_test(compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
