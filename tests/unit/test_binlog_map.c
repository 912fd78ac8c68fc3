/*
 * test_binlog_map.c - table maps with all optional metadata of both families (EDGE 59, 68, 69, 79, 80)
 */
#include "binlog_fixture.h"

#include "../../sources/binlog_map.h"

static const struct binlog_format *hurt_format;

static int parse(const struct binlog_event *e, struct arena *a, struct error *err)
{
	struct binlog_map m;

	return binlog_map_parse(e, hurt_format, a, &m, err) ||
			       binlog_map_peek(e, hurt_format, &m, err)
		       ? -1
		       : 0;
}

/* What is expected of one column. */
struct want {
	const char *name;
	uint8_t type;
	uint16_t meta, collation;
	bool is_unsigned;
};

static void check_columns(const struct binlog_map *m, const struct want *want, size_t n)
{
	assert_int_equal(m->ncolumns, n);
	for (size_t i = 0; i < n; i++) {
		const struct binlog_map_column *c = &m->columns[i];

		assert_str(c->name, want[i].name);
		if (c->type != want[i].type || c->meta != want[i].meta ||
		    c->collation != want[i].collation || c->is_unsigned != want[i].is_unsigned)
			FAIL("%s: type %u meta %u collation %u unsigned %d", want[i].name, c->type,
			     c->meta, c->collation, c->is_unsigned);
	}
}

/* The columns that all of the recorded tables begin with. */
#define COMMON(utf8)                                                                               \
	{ "id", MYSQL_LONG, 0, 0, true }, { "y", MYSQL_YEAR, 0, 0, false },                        \
		{ "c1", MYSQL_STRING, 10, 8, false }, { "b", MYSQL_BIT, 1 << 8 | 2, 0, false },

#define COMMON_2(utf8)                                                                             \
	{ "f", MYSQL_FLOAT, 4, 0, true }, { "vc", MYSQL_VARCHAR, 1200, utf8, false },              \
		{ "bl", MYSQL_BLOB, 2, 63, false }, { "tx", MYSQL_BLOB, 2, 8, false },             \
		{ "e", MYSQL_ENUM, 1, 8, false }, { "s", MYSQL_SET, 1, utf8, false },

#define COMMON_3(utf8)                                                                             \
	{ "d", MYSQL_NEWDECIMAL, 10 | 2 << 8, 0, true }, { "bin16", MYSQL_STRING, 16, 63, false }, \
		{ "vb", MYSQL_VARCHAR, 10, 63, false },                                            \
		{ "big", MYSQL_STRING, 1020, utf8, false }, { "ti", MYSQL_TINY, 0, 0, false },     \
		{ "dt", MYSQL_DATETIME2, 3, 0, false }, { "ts", MYSQL_TIMESTAMP2, 6, 0, false },   \
		{ "tm", MYSQL_TIME2, 2, 0, false }, { "da", MYSQL_DATE, 0, 0, false },             \
		{ "lb", MYSQL_BLOB, 4, 63, false },

static void check_labels(const struct binlog_map *m)
{
	assert_int_equal(m->columns[9].nlabels, 2);
	assert_str(m->columns[9].labels[0], "a");
	assert_str(m->columns[9].labels[1], "\366"); /* in latin1 */
	assert_int_equal(m->columns[10].nlabels, 2);
	assert_str(m->columns[10].labels[1], "y");
}

static void mysql_full(void **state)
{
	static const struct want want[] = {
		COMMON(255){ "g", MYSQL_GEOMETRY, 4, 0, false },
		COMMON_2(255){ "p", MYSQL_GEOMETRY, 4, 0, false },
		COMMON_3(255){ "si", MYSQL_SHORT, 0, 0, true },
		{ "jn", MYSQL_JSON, 4, 0, false },
		{ "inv", MYSQL_LONG, 0, 0, false },
		{ "fi", MYSQL_JSON, 4, 0, false },
		{ "ve", MYSQL_VECTOR, 4, 63, false },
		{ "c7", MYSQL_STRING, 5, 7, false },
	};
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_MAP);
	struct binlog_map m, peek;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_map_parse(&e, &f, &a, &m, &err), 0);
	assert_str(m.db, "t");
	assert_str(m.name, "a");
	assert_int_equal(m.id, 85);
	check_columns(&m, want, COUNT(want));
	check_labels(&m);
	assert_true(m.has_signedness && m.has_charset && m.has_names && m.has_labels &&
		    m.has_label_charset && m.has_key && m.has_visibility);
	assert_int_equal(m.columns[0].key, 1);
	assert_false(m.columns[0].nullable);
	assert_true(m.columns[1].nullable && m.columns[27].nullable);
	assert_int_equal(m.columns[4].geometry, 0);
	assert_int_equal(m.columns[11].geometry, 1);
	assert_int_equal(m.columns[26].dimension, 3);
	for (size_t i = 0; i < m.ncolumns; i++)
		assert_int_equal(m.columns[i].invisible, i == 24);

	assert_int_equal(binlog_map_peek(&e, &f, &peek, &err), 0);
	assert_int_equal(peek.id, 85);
	assert_true(str_eq(peek.name, m.name) && str_eq(peek.db, m.db));
	assert_true(str_eq(peek.content, m.content));
	assert_int_equal(m.content.n, e.body.n - 8);
	hurt_format = &f;
	fixture_hurt(&e, parse);
}

/* 8.0.15 gives YEAR no bit of signedness. */
static void mysql_8_0_15(void **state)
{
	static const struct want want[] = {
		COMMON(255){ "g", MYSQL_GEOMETRY, 4, 0, false },
		COMMON_2(255){ "p", MYSQL_GEOMETRY, 4, 0, false },
		COMMON_3(255){ "si", MYSQL_SHORT, 0, 0, true },
		{ "jn", MYSQL_JSON, 4, 0, false },
	};
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL8015_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL8015_MAP);
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_map_parse(&e, &f, &a, &m, &err), 0);
	check_columns(&m, want, COUNT(want));
	check_labels(&m);
	assert_true(m.has_signedness);
	assert_false(m.has_visibility);
	/* It is not known which of them 8.0.25 would be. */
	f.version = 8000025;
	assert_int_equal(binlog_map_parse(&e, &f, &a, &m, &err), 0);
	assert_false(m.has_signedness);
	assert_true(m.has_names);
}

static void mariadb_full(void **state)
{
	static const struct want want[] = {
		COMMON(2304){ "g", MYSQL_GEOMETRY, 4, 63, false },
		COMMON_2(2304){ "p", MYSQL_GEOMETRY, 4, 63, false },
		COMMON_3(2304){ "jn", MYSQL_BLOB, 4, 46, false },
		{ "u", MYSQL_STRING, 16, 63, false },
		{ "i4", MYSQL_STRING, 4, 63, false },
		{ "i6", MYSQL_STRING, 16, 63, false },
		{ "c2", MYSQL_STRING, 21, 2048, false },
		{ "vcc", MYSQL_VARCHAR_COMPRESSED, 501, 9, false },
		{ "txc", MYSQL_BLOB_COMPRESSED, 2, 2304, false },
		{ "blc", MYSQL_BLOB_COMPRESSED, 2, 63, false },
		{ "inv", MYSQL_LONG, 0, 0, false },
		{ "ve", MYSQL_VARCHAR, 12, 63, false },
		{ "cz", MYSQL_STRING, 5, 7, false },
	};
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MARIA_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MARIA_MAP);
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_map_parse(&e, &f, &a, &m, &err), 0);
	check_columns(&m, want, COUNT(want));
	check_labels(&m);
	assert_int_equal(m.columns[11].geometry, 1);
	assert_int_equal(m.columns[0].key, 1);
	assert_false(m.has_visibility);
	hurt_format = &f;
	fixture_hurt(&e, parse);
}

static void keys(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_KEY_MAP);
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(binlog_map_parse(&e, &f, &a, &m, &err), 0);
	assert_int_equal(m.ncolumns, 4);
	assert_int_equal(m.columns[0].key, 3);
	assert_int_equal(m.columns[0].key_prefix, 3);
	assert_int_equal(m.columns[1].key, 2);
	assert_int_equal(m.columns[1].key_prefix, 0);
	assert_int_equal(m.columns[2].key, 1);
	assert_int_equal(m.columns[2].key_prefix, 7);
	assert_int_equal(m.columns[3].key, 0);
	hurt_format = &f;
	fixture_hurt(&e, parse);
}

/* --- made here: types, metadata, bitmap of NULLs and optional fields in hexadecimal digits --- */

static int made(struct arena *a, const char *types, const char *meta, const char *nulls,
		const char *optional, struct binlog_map *m, struct error *err)
{
	struct buf *b = arena_zalloc(a, sizeof *b);
	struct str t = unhex(a, types), mt = unhex(a, meta);

	add_u48(b, 3);
	add_u16(b, 1);
	buf_add(b, "\001d\000\001t\000", 6);
	add_u8(b, (uint8_t)t.n);
	add_str(b, t);
	add_u8(b, (uint8_t)mt.n);
	add_str(b, mt);
	add_str(b, unhex(a, nulls));
	add_str(b, unhex(a, optional));
	struct str body = arena_copy(a, str_of(b));
	struct binlog_event e = {
		.type = BINLOG_TABLE_MAP, .size = 99, .log_pos = 1000, .body = body
	};

	buf_free(b);
	return binlog_map_parse(&e, &fixture_plain, a, m, err);
}

static void types(void **state)
{
	static const struct {
		const char *type, *meta;
		uint8_t real;
		uint16_t value;
	} cases[] = {
		{ "01", "", MYSQL_TINY, 0 },
		{ "07", "", MYSQL_TIMESTAMP, 0 },
		{ "0b", "", MYSQL_TIME, 0 },
		{ "0c", "", MYSQL_DATETIME, 0 },
		{ "05", "08", MYSQL_DOUBLE, 8 },
		{ "f6", "411e", MYSQL_NEWDECIMAL, 65 | 30 << 8 },
		{ "10", "0708", MYSQL_BIT, 7 | 8 << 8 },
		{ "0f", "ffff", MYSQL_VARCHAR, 65535 },
		{ "fd", "0a00", MYSQL_VAR_STRING, 10 },
		{ "8d", "0201", MYSQL_VARCHAR_COMPRESSED, 258 },
		{ "fe", "feff", MYSQL_STRING, 255 },
		{ "fe", "ee00", MYSQL_STRING, 256 },
		{ "fe", "eefc", MYSQL_STRING, 508 },
		{ "fe", "cefc", MYSQL_STRING, 1020 }, /* EDGE 68 */
		{ "fe", "defd", MYSQL_STRING, 765 },
		{ "fe", "f702", MYSQL_ENUM, 2 },
		{ "fe", "f808", MYSQL_SET, 8 },
		{ "f7", "f701", MYSQL_ENUM, 1 },
		{ "f5", "04", MYSQL_JSON, 4 },
		{ "f2", "04", MYSQL_VECTOR, 4 },
		{ "ff", "04", MYSQL_GEOMETRY, 4 },
		{ "8c", "03", MYSQL_BLOB_COMPRESSED, 3 },
		{ "14", "0f010203", 20, 0 },
		{ "14", "f60a02", 20, 0 },
		{ "14", "08", 20, 0 },
	};
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (made(&a, cases[i].type, cases[i].meta, "01", "", &m, &err))
			FAIL("%s %s: %s", cases[i].type, cases[i].meta, err.text);
		if (m.columns[0].type != cases[i].real || m.columns[0].meta != cases[i].value)
			FAIL("%s %s: %u %u", cases[i].type, cases[i].meta, m.columns[0].type,
			     m.columns[0].meta);
	}
	assert_fatal(made(&a, "0103f0", "", "00", "", &m, &err), &err, "column 3 of d.t");
	assert_fatal(made(&a, "f4", "", "00", "", &m, &err), &err, "type 244");
	assert_fatal(made(&a, "14", "f4", "00", "", &m, &err), &err, "type 20");
	assert_fatal(made(&a, "01", "00", "00", "", &m, &err), &err,
		     "another length than its types");
	assert_fatal(made(&a, "0f", "01", "00", "", &m, &err), &err,
		     "another length than its types");
	assert_fatal(made(&a, "", "", "", "", &m, &err), &err, "no columns");
	assert_fatal(made(&a, "010101010101010101", "", "00", "", &m, &err), &err, "truncated");
}

static void nullable(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(made(&a, "01010101010101010101", "", "0502", "", &m, &err), 0);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(m.columns[i].nullable, i == 0 || i == 2 || i == 9);
	/* Nothing is said of them; of what no column has, all is known. */
	assert_false(m.has_signedness || m.has_names || m.has_key || m.has_visibility);
	assert_true(m.has_charset && m.has_labels && m.has_label_charset);
}

static const char *const charsets_refused[] = {
	"0303"
	"01"
	"02"
	"03", /* one is missing */
	"0305"
	"01"
	"02"
	"03"
	"04"
	"05", /* one too many */
	"0203"
	"2d"
	"04"
	"08", /* an exception for a column that is not there */
	"0205"
	"2d"
	"01"
	"08"
	"00"
	"09", /* not ascending */
	"0205"
	"2d"
	"01"
	"08"
	"01"
	"09",
	"0202"
	"2d"
	"01", /* without its collation */
	"0200",
	"0204"
	"fd000001", /* more than 16 bits */
	"0201"
	"2d"
	"0201"
	"2d", /* twice */
};

static void charsets(void **state)
{
	/* VARCHAR, INT, BLOB, ENUM, VARCHAR, SET, VARCHAR */
	static const char all[] = "0f03fcfe0ffe0f", meta[] = "0a00"
							     "02"
							     "f701"
							     "0a00"
							     "f801"
							     "0a00";
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	/* All but the last of the character columns, which is column 6, have 255. */
	assert_int_equal(made(&a, all, meta, "00",
			      "0206"
			      "fcff00"
			      "03"
			      "08"
			      "00",
			      &m, &err),
			 -1);
	assert_int_equal(made(&a, all, meta, "00",
			      "0205"
			      "fcff00"
			      "03"
			      "08",
			      &m, &err),
			 0);
	assert_int_equal(m.columns[0].collation, 255);
	assert_int_equal(m.columns[1].collation, 0);
	assert_int_equal(m.columns[2].collation, 255);
	assert_int_equal(m.columns[3].collation, 0);
	assert_int_equal(m.columns[4].collation, 255);
	assert_int_equal(m.columns[6].collation, 8);
	assert_true(m.has_charset);
	assert_false(m.has_label_charset);
	/* Two exceptions; of the labels too. */
	assert_int_equal(made(&a, all, meta, "00",
			      "0205"
			      "2d"
			      "00"
			      "08"
			      "01"
			      "3f"
			      "0a03"
			      "21"
			      "01"
			      "1c",
			      &m, &err),
			 0);
	assert_int_equal(m.columns[0].collation, 8);
	assert_int_equal(m.columns[2].collation, 63);
	assert_int_equal(m.columns[4].collation, 45);
	assert_int_equal(m.columns[3].collation, 33);
	assert_int_equal(m.columns[5].collation, 28);
	assert_true(m.has_label_charset);
	assert_int_equal(made(&a, all, meta, "00",
			      "0304"
			      "01"
			      "02"
			      "03"
			      "04"
			      "0b02"
			      "05"
			      "06",
			      &m, &err),
			 0);
	assert_int_equal(m.columns[4].collation, 3);
	assert_int_equal(m.columns[6].collation, 4);
	assert_int_equal(m.columns[5].collation, 6);

	for (size_t i = 0; i < COUNT(charsets_refused); i++)
		if (made(&a, all, meta, "00", charsets_refused[i], &m, &err) != -1)
			FAIL("%s was not refused", charsets_refused[i]);
	assert_non_null(strstr(err.text, "d.t"));
	assert_non_null(strstr(err.text, "kind 2"));
}

static const char *const fields_refused[] = {
	"0100",
	"0102"
	"0000",
	"0402"
	"0161",
	"0403"
	"0161"
	"00",
	"0406"
	"0161"
	"0162"
	"0163",
	"0801"
	"02",
	"0802"
	"0000",
	"0901"
	"00",
	"0902"
	"00",
	"0c00",
	"0c02"
	"0000",
	"0601"
	"01",
	"0401"
	"05",
	"04",
	"0105"
	"80",
};

static void fields(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	/* Nine numeric columns: two bytes. */
	assert_int_equal(made(&a, "010203080904f6050103",
			      "04"
			      "0a02"
			      "08",
			      "0000",
			      "0102"
			      "aa40",
			      &m, &err),
			 0);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(m.columns[i].is_unsigned,
				 i == 0 || i == 2 || i == 4 || i == 6 || i == 9);
	assert_true(m.has_signedness);
	/* Unknown fields are passed over, names empty the table's doubts about its key. */
	assert_int_equal(made(&a, "0103", "", "00",
			      "6302abcd"
			      "0404"
			      "0161"
			      "0162"
			      "0800",
			      &m, &err),
			 0);
	assert_str(m.columns[1].name, "b");
	assert_true(m.has_names && m.has_key);
	assert_int_equal(made(&a, "0103", "", "00",
			      "0801"
			      "01",
			      &m, &err),
			 0);
	assert_true(m.has_key && !m.has_names);
	assert_int_equal(m.columns[1].key, 1);
	assert_int_equal(made(&a,
			      "01"
			      "0103",
			      "", "00",
			      "0c01"
			      "a0",
			      &m, &err),
			 0);
	assert_true(!m.columns[0].invisible && m.columns[1].invisible && !m.columns[2].invisible);
	/* An ENUM without labels yet, as of a table that has no rows. */
	assert_int_equal(made(&a, "fefe", "f701f801", "00",
			      "0601"
			      "00"
			      "0503"
			      "01"
			      "0178",
			      &m, &err),
			 0);
	assert_int_equal(m.columns[0].nlabels, 0);
	assert_str(m.columns[1].labels[0], "x");
	assert_true(m.has_labels);
	assert_int_equal(made(&a, "fefe", "f701f801", "00",
			      "0503"
			      "01"
			      "0178",
			      &m, &err),
			 0);
	assert_false(m.has_labels);

	for (size_t i = 0; i < COUNT(fields_refused); i++)
		if (made(&a, "0103", "", "00", fields_refused[i], &m, &err) != -1)
			FAIL("%s was not refused", fields_refused[i]);
}

static void field_lengths(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };

	(void)state;
	assert_fatal(made(&a, "fe", "f701", "00",
			  "0605"
			  "fe"
			  "00000001",
			  &m, &err),
		     &err, "kind 6");
	assert_fatal(made(&a, "fe", "f701", "00",
			  "0609"
			  "feffffffffffffff7f",
			  &m, &err),
		     &err, "kind 6");
	assert_fatal(made(&a, "ff", "04", "00",
			  "0703"
			  "fc0001",
			  &m, &err),
		     &err, "kind 7");
	assert_fatal(made(&a, "f2", "04", "00",
			  "0d09"
			  "fe0000000001000000",
			  &m, &err),
		     &err, "kind 13");
}

static void heads(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;
	struct error err = { 0 };
	struct binlog_event e = fixture_body(&a, BINLOG_TABLE_MAP,
					     "010000000000"
					     "0100"
					     "0164"
					     "01"
					     "0174"
					     "00");

	(void)state;
	assert_fatal(binlog_map_peek(&e, &fixture_plain, &m, &err), &err, "damaged name");
	e = fixture_body(&a, BINLOG_TABLE_MAP,
			 "010000000000"
			 "0100"
			 "0164"
			 "00"
			 "0574"
			 "00");
	assert_fatal(binlog_map_peek(&e, &fixture_plain, &m, &err), &err, "damaged name");
	e = fixture_body(&a, BINLOG_TABLE_MAP,
			 "ffffffffffff"
			 "0100"
			 "0164"
			 "00"
			 "0174"
			 "00");
	assert_int_equal(binlog_map_peek(&e, &fixture_plain, &m, &err), 0);
	assert_true(m.id == UINT64_C(0xffffffffffff)); /* EDGE 85 */
	assert_fatal(binlog_map_parse(&e, &fixture_plain, &a, &m, &err), &err, "truncated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mysql_full),    cmocka_unit_test(mysql_8_0_15),
		cmocka_unit_test(mariadb_full),  cmocka_unit_test(keys),
		cmocka_unit_test(types),         cmocka_unit_test(nullable),
		cmocka_unit_test(charsets),      cmocka_unit_test(fields),
		cmocka_unit_test(field_lengths), cmocka_unit_test(heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
