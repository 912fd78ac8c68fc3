/*
 * test_binlog_value.c - thousands of cells that real servers wrote: each is what the server's SELECT says, whether
 * read by the table map's own metadata or by the table's definition
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error; a test fails with FAIL() */
#include "../../sources/binlog_cell.h"
#include "avro.h"
#include "config.h"
#include "value_text.h"
#include "mysql_vectors.h"

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

#define MAX_ROW (1 << 24)

/* One vector opened: its map, the definition, and the rows that are left. */
struct table_case {
	struct arena a;
	struct error err;
	struct binlog_format format;
	struct binlog_map map;
	struct mysql_column def;
	struct column column;
	struct binlog_field field;
	size_t i;
};

static void open_case(struct table_case *t, size_t i)
{
	struct binlog_event e = { .type = BINLOG_FORMAT,
				  .body = formats[vectors[i].format].format };

	*t = (struct table_case){ .i = i };
	if (binlog_format_parse(&e, &t->format, &t->err))
		FAIL("%s: %s", formats[vectors[i].format].server, t->err.text);
	e = (struct binlog_event){ .type = BINLOG_TABLE_MAP, .body = vectors[i].map };
	if (binlog_map_parse(&e, &t->format, &t->a, &t->map, &t->err))
		FAIL("%s: %s", vectors[i].column, t->err.text);
	assert_int_equal(t->map.ncolumns, 1);
	t->def = (struct mysql_column){
		.name = STR("c"),
		.data_type = str_z(vectors[i].data_type),
		.column_type = str_z(vectors[i].column_type),
		.charset = str_z(vectors[i].charset),
		.is_unsigned = strstr(vectors[i].column_type, "unsigned") != NULL,
		.nullable = true,
	};
}

/* As a server without optional metadata writes it. */
static void forget_metadata(struct binlog_map *m)
{
	m->has_signedness = m->has_charset = m->has_names = m->has_labels = m->has_label_charset =
		m->has_key = m->has_visibility = false;
	for (size_t i = 0; i < m->ncolumns; i++) {
		struct binlog_map_column *c = &m->columns[i];

		*c = (struct binlog_map_column){ .type = c->type,
						 .meta = c->meta,
						 .nullable = c->nullable };
	}
}

static void make_field(struct table_case *t, const struct mysql_column *def)
{
	if (binlog_field_make(&t->map, 0, def, INVALID_BYTES_STOP, &t->a, &t->column, &t->field,
			      &t->err))
		FAIL("%s: %s", vectors[t->i].column, t->err.text);
	assert_true(str_eqz(t->column.name, "c"));
	t->field.json_bare = strncmp(t->format.server, "5.7", 3) == 0;
}

/* Digits after the point of "time(3)". */
static size_t time_digits(const struct column *c)
{
	const char *open = memchr(c->native.p, '(', c->native.n);

	return open ? (size_t)(open[1] - '0') : 0;
}

static void print_value(const struct column *c, const struct value *v, struct buf *out)
{
	char text[VALUE_TEXT];
	struct str s;
	size_t digits;

	switch (c->type) {
	case COL_BOOL:
		buf_adds(out, v->b ? "1" : "0");
		break;
	case COL_INT32:
	case COL_INT64:
		buf_addf(out, str_eqz(c->native, "year") ? "%04" PRId64 : "%" PRId64, v->i);
		break;
	case COL_UINT64:
		buf_addf(out, "%" PRIu64, v->u);
		break;
	case COL_DECIMAL:
		decimal_format(v->s, c->scale, out);
		break;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		s = value_time(c->type, v->i, ' ', "", text);
		digits = time_digits(c);
		if (c->type != COL_DATE)
			s.n -= digits ? 6 - digits : 7;
		buf_add(out, s.p, s.n);
		break;
	default:
		buf_add(out, v->s.p, v->s.n);
	}
}

/* The server's cell again: SRID and WKB. */
static void print_geometry(const struct value *v, struct buf *out)
{
	uint32_t type, srid = 0;

	if (v->s.n < 9) {
		buf_add(out, v->s.p, v->s.n);
		return;
	}
	memcpy(&type, v->s.p + 1, 4);
	bool has_srid = type & 0x20000000;

	type &= ~UINT32_C(0x20000000);
	if (has_srid)
		memcpy(&srid, v->s.p + 5, 4);
	buf_add(out, &srid, 4);
	buf_add(out, v->s.p, 1);
	buf_add(out, &type, 4);
	buf_add(out, v->s.p + (has_srid ? 9 : 5), v->s.n - (has_srid ? 9 : 5));
}

static bool is_geometry(const struct binlog_field *f)
{
	return f->type == MYSQL_GEOMETRY;
}

/* MySQL 5.7 breaks base 64 with newlines and forgets to escape them, which makes it no JSON any more. */
static struct str escape_newlines(struct table_case *t, struct str text)
{
	AUTO(buf) struct buf b = { 0 };

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			buf_adds(&b, "\\n");
		else
			buf_addc(&b, text.p[i]);
	}
	return arena_copy(&t->a, (struct str){ b.p, b.n });
}

static void check_value(struct table_case *t, const struct value *v, const struct expected *says)
{
	AUTO(buf) struct buf out = { 0 };

	if ((v->state == VALUE_UNREPRESENTABLE) != (says->what == '-'))
		FAIL("%s %s: %s is %s", formats[vectors[t->i].format].server, vectors[t->i].column,
		     says->text.p, v->state == VALUE_SET ? "taken" : "not taken");
	if (v->state == VALUE_UNREPRESENTABLE) {
		buf_add(&out, v->s.p, v->s.n);
	} else if (t->column.type == COL_FLOAT || t->column.type == COL_DOUBLE) {
		double d = strtod(says->text.p, NULL);

		if (memcmp(&d, &v->d, sizeof d) != 0 && !(d == 0 && v->d == 0))
			FAIL("%s: %.17g is not %s", vectors[t->i].column, v->d, says->text.p);
		return;
	} else if (is_geometry(&t->field)) {
		print_geometry(v, &out);
	} else {
		print_value(&t->column, v, &out);
	}
	struct str want = t->field.json_bare && t->column.type == COL_JSON
				  ? escape_newlines(t, says->text)
				  : says->text;

	if (!str_eq((struct str){ out.p, out.n }, want))
		FAIL("%s %s (%.*s): %s is not %s", formats[vectors[t->i].format].server,
		     vectors[t->i].column, STR_FMT(t->column.native), buf_z(&out), says->text.p);
}

static size_t check_event(struct table_case *t, struct str event, size_t n)
{
	struct binlog_rows rows;
	struct binlog_event e = { .type = (uint8_t)vectors[t->i].kind, .body = event };

	if (binlog_rows_parse(&e, &t->format, &t->a, MAX_ROW, &rows, &t->err))
		FAIL("%s: %s", vectors[t->i].column, t->err.text);
	struct cursor c = cursor_of(rows.rows);

	for (; cursor_left(&c); n++) {
		const struct expected *says = &vectors[t->i].expected[n];
		struct value v;

		assert_true(n < vectors[t->i].n);
		bool null = get_u8(&c) & 1;

		if (null != (says->what == 'n'))
			FAIL("%s: row %zu is NULL", vectors[t->i].column, n);
		if (null)
			continue;
		if (binlog_value(&t->field, &c, &t->a, &v, &t->err))
			FAIL("%s, row %zu: %s", vectors[t->i].column, n, t->err.text);
		check_value(t, &v, says);
	}
	return n;
}

static void check_rows(struct table_case *t)
{
	size_t n = 0;

	for (size_t k = 0; k < vectors[t->i].nrows; k++)
		n = check_event(t, vectors[t->i].rows[k], n);
	assert_int_equal(n, vectors[t->i].n);
}

/* EDGE 59, EDGE 60, EDGE 61, EDGE 62, EDGE 63, EDGE 64, EDGE 65, EDGE 66, EDGE 67, EDGE 68, EDGE 69, EDGE 71, EDGE 73, EDGE 74 */
static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct table_case t;
		AUTO(buf) struct buf native = { 0 };

		open_case(&t, i);
		if (t.map.has_names && !binlog_field_ambiguous(&t.map, 0, t.format.mariadb)) {
			make_field(&t, NULL);
			check_rows(&t);
			buf_add(&native, t.column.native.p, t.column.native.n);
		}
		make_field(&t, &t.def);
		check_rows(&t);
		forget_metadata(&t.map);
		make_field(&t, &t.def);
		check_rows(&t);
		if (native.n && !str_eq(t.column.native, (struct str){ native.p, native.n }))
			FAIL("%s: %s by the map, %.*s by the definition", vectors[i].column,
			     buf_z(&native), STR_FMT(t.column.native));
		arena_free(&t.a);
	}
}

/* The last cell of each vector, cut by one byte. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct str event = vectors[i].rows[vectors[i].nrows - 1];
		const struct expected *last = &vectors[i].expected[vectors[i].n - 1];
		struct binlog_event e = { .type = (uint8_t)vectors[i].kind, .body = event };
		struct binlog_rows rows;
		struct table_case t;
		struct value v = { 0 };

		open_case(&t, i);
		make_field(&t, &t.def);
		assert_int_equal(binlog_rows_parse(&e, &t.format, &t.a, MAX_ROW, &rows, &t.err), 0);
		rows.rows.n--;
		struct cursor c = cursor_of(rows.rows);
		int failed = 0;

		while (last->what != 'n' && !failed && cursor_left(&c)) {
			if (!(get_u8(&c) & 1))
				failed = binlog_value(&t.field, &c, &t.a, &v, &t.err);
		}
		if (last->what != 'n' && !failed)
			FAIL("%s: a cell that is cut is taken", vectors[i].column);
		if (failed)
			assert_int_equal(t.err.kind, ERR_FATAL);
		arena_free(&t.a);
	}
}

/* --- columns and cells made by hand --- */

static struct binlog_map one_column(struct binlog_map_column *c)
{
	return (struct binlog_map){
		.db = STR("shop"), .name = STR("orders"), .columns = c, .ncolumns = 1
	};
}

static struct mysql_column definition(const char *data_type, const char *column_type,
				      const char *charset)
{
	return (struct mysql_column){ .name = STR("c"),
				      .data_type = str_z(data_type),
				      .column_type = str_z(column_type),
				      .charset = str_z(charset) };
}

static int read_cell(uint8_t type, uint16_t meta, const struct mysql_column *def, int invalid_bytes,
		     struct str cell, struct arena *a, struct value *v, struct error *err)
{
	struct binlog_map_column c = { .type = type, .meta = meta };
	struct binlog_map m = one_column(&c);
	struct cursor in = cursor_of(cell);
	struct column column;
	struct binlog_field f;

	if (binlog_field_make(&m, 0, def, invalid_bytes, a, &column, &f, err))
		FAIL("%s", err->text);
	return binlog_value(&f, &in, a, v, err);
}

/* EDGE 70 */
static void test_invalid_bytes(void **state)
{
	AUTO(arena) struct arena a = { 0 };
	struct mysql_column utf8 = definition("varchar", "varchar(10)", "utf8mb4"),
			    gbk = definition("text", "text", "gbk");
	struct error err = { 0 };
	struct value v;

	(void)state;
	assert_int_equal(read_cell(MYSQL_VARCHAR, 40, &utf8, INVALID_BYTES_STOP, STR("\2a\377"), &a,
				   &v, &err),
			 -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, "source.invalid_bytes"));
	assert_non_null(strstr(err.text, "utf8mb4"));
	assert_int_equal(read_cell(MYSQL_VARCHAR, 40, &utf8, INVALID_BYTES_REPLACE, STR("\2a\377"),
				   &a, &v, &err),
			 0);
	assert_int_equal(v.state, VALUE_SET);
	assert_true(str_eqz(v.s, "a\357\277\275"));
	assert_int_equal(read_cell(MYSQL_VARCHAR, 40, &utf8, INVALID_BYTES_BYTES, STR("\2a\377"),
				   &a, &v, &err),
			 0);
	assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
	assert_true(str_eqz(v.s, "\\x61ff"));
	assert_int_equal(read_cell(MYSQL_BLOB, 2, &gbk, INVALID_BYTES_BYTES, STR("\2\0\377a"), &a,
				   &v, &err),
			 0);
	assert_int_equal(v.state, VALUE_UNREPRESENTABLE);
	assert_true(str_eqz(v.s, "\\xff61"));
}

static void malformed(uint8_t type, uint16_t meta, struct mysql_column def, struct str cell)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct value v;

	if (read_cell(type, meta, &def, INVALID_BYTES_STOP, cell, &a, &v, &err) == 0)
		FAIL("type %u, %s: taken", type, def.column_type.p);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, "column c"));
	assert_int_equal(v.state, VALUE_ABSENT);
}

static void test_malformed(void **state)
{
	(void)state;
	malformed(MYSQL_ENUM, 1, definition("enum", "enum('a','b')", "utf8mb4"), STR("\3"));
	malformed(MYSQL_SET, 1, definition("set", "set('a','b')", "utf8mb4"), STR("\4"));
	malformed(MYSQL_NEWDECIMAL, 10 | 1 << 8, definition("decimal", "decimal(10,1)", ""),
		  STR("\377\377\377\377\5"));
	malformed(MYSQL_NEWDECIMAL, 20 | 9 << 8, definition("decimal", "decimal(20,9)", ""),
		  STR("\200\0\0\0\1\77\377\377\377"));
	malformed(MYSQL_STRING, 16, definition("inet6", "inet6", ""),
		  STR("\0210123456789abcdefg")); /* longer than such an address */
	malformed(MYSQL_STRING, 4, definition("inet4", "inet4", ""), STR("\00501234"));
	malformed(MYSQL_BIT, 1, definition("bit", "bit(1)", ""), STR("\2"));
	malformed(MYSQL_BIT, 3, definition("bit", "bit(3)", ""), STR("\10"));
	malformed(MYSQL_DATETIME2, 0, definition("datetime", "datetime", ""),
		  STR("\231\262\75\210\242")); /* hour 24 */
	malformed(MYSQL_DATETIME2, 0, definition("datetime", "datetime", ""),
		  STR("\177\377\377\377\377"));
	malformed(MYSQL_DATETIME2, 6, definition("datetime", "datetime(6)", ""),
		  STR("\231\262\74\310\242\17\102\100"));
	malformed(MYSQL_TIME2, 0, definition("time", "time", ""),
		  STR("\200\17\300"));                                               /* minute 63 */
	malformed(MYSQL_TIME, 0, definition("time", "time", ""), STR("\77\102\17")); /* second 99 */
	malformed(MYSQL_DATETIME, 0, definition("datetime", "datetime", ""),
		  STR("\377\377\377\377\377\377\0\0"));
	malformed(MYSQL_TIMESTAMP2, 6, definition("timestamp", "timestamp(6)", ""),
		  STR("\0\0\0\1\17\102\100"));
	malformed(MYSQL_GEOMETRY, 4, definition("geometry", "geometry", ""),
		  STR("\5\0\0\0\0\0\0\0\1"));
	malformed(MYSQL_JSON, 4, definition("json", "json", ""), STR("\1\0\0\0\15"));
	malformed(MYSQL_BLOB_COMPRESSED, 2, definition("blob", "blob", ""), STR("\3\0\201\5x"));
	malformed(MYSQL_BLOB_COMPRESSED, 2, definition("blob", "blob", ""), STR("\1\0\20"));
	malformed(MYSQL_BLOB_COMPRESSED, 2, definition("blob", "blob", ""),
		  STR("\6\0\204\377\377\377\377x"));
}

static void refused(struct binlog_map m, const struct mysql_column *def, const char *why)
{
	AUTO(arena) struct arena a = { 0 };
	struct error err = { 0 };
	struct column column;
	struct binlog_field f;

	if (binlog_field_make(&m, 0, def, INVALID_BYTES_STOP, &a, &column, &f, &err) == 0)
		FAIL("taken: %s", why);
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, why) || !strstr(err.text, "shop.orders, column 1"))
		FAIL("%s: not because %s", err.text, why);
}

/* EDGE 73, EDGE 79 */
static void test_refused(void **state)
{
	struct mysql_column def = definition("varchar", "varchar(10)", "klingon");
	struct binlog_map_column c = { .type = MYSQL_VARCHAR, .meta = 10, .name = STR("c") };
	struct binlog_map m = one_column(&c);

	(void)state;
	refused(m, NULL, "name");
	refused(m, &def, "character set is not known");
	m.has_names = true;
	refused(m, NULL, "character set");
	m.has_charset = true;
	c.collation = 17;
	refused(m, NULL, "collation is not known");
	c.type = MYSQL_LONG;
	refused(m, NULL, "sign");
	c.type = 20;
	refused(m, NULL, "type is not known");
	c.type = MYSQL_ENUM;
	refused(m, NULL, "character set");
	def = definition("enum", "int", "latin1");
	refused(m, &def, "labels");
	def = definition("decimal", "decimal(10,2)", "");
	c.type = MYSQL_NEWDECIMAL;
	c.meta = 66;
	refused(m, &def, "metadata");
	c.type = MYSQL_BLOB;
	refused(m, &def, "metadata");
	c.type = MYSQL_TIME2;
	c.meta = 7;
	refused(m, &def, "metadata");
	c.type = MYSQL_BIT;
	c.meta = 0;
	refused(m, &def, "metadata");
}

static void test_ambiguous(void **state)
{
	struct binlog_map_column c = { .type = MYSQL_STRING, .meta = 16, .collation = 63 };
	struct binlog_map m = one_column(&c);

	(void)state;
	m.has_names = m.has_charset = true;
	assert_true(binlog_field_ambiguous(&m, 0, true));
	assert_false(binlog_field_ambiguous(&m, 0, false));
	c.collation = 8;
	assert_false(binlog_field_ambiguous(&m, 0, true));
	m.has_charset = false;
	assert_true(binlog_field_ambiguous(&m, 0, true));
	c.meta = 15;
	assert_false(binlog_field_ambiguous(&m, 0, true));
	c.type = MYSQL_DATETIME;
	assert_true(binlog_field_ambiguous(&m, 0, true));
	c.type = MYSQL_DATETIME2;
	assert_false(binlog_field_ambiguous(&m, 0, true));
}

/* The short way for up to 18 digits against the long one, at the end of the bytes and before others. */
static void test_short_decimals(void **state)
{
	uint32_t random = 1;
	size_t valid = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		AUTO(arena) struct arena a = { 0 };
		uint8_t bytes[16];
		unsigned precision = 1 + i % 18, scale = i / 18 % (precision + 1);

		for (size_t k = 0; k < sizeof bytes; k++) {
			random = random * 1103515245 + 12345;
			/* Digits at random are too large for most groups of nine. */
			bytes[k] = (uint8_t)((random >> 16) & (k % 2 ? 0xff : i % 3 ? 0x83 : 0xff));
			if (i % 7 == 0)
				bytes[k] = (uint8_t)~bytes[k];
		}
		struct cursor c = cursor_of((struct str){ (const char *)bytes, sizeof bytes }),
			      d = c;
		struct str text, want, got;
		bool good = binlog_decimal_text(&c, precision, scale, &a, &text) &&
			    decimal_parse(text, (int)precision, (int)scale, &a, &want);

		if (i % 2 && good) /* nothing behind it */
			d.end = c.p;
		assert_int_equal(binlog_decimal(&d, precision, scale, &a, &got), good);
		if (!good)
			continue;
		valid++;
		assert_ptr_equal(c.p, d.p);
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.p, want.p, got.n);
	}
	assert_true(valid > 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),        cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_invalid_bytes),  cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_ambiguous),
		cmocka_unit_test(test_short_decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
