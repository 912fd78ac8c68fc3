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
#include "../../sources/binlog_value.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
