/*
 * test_avro_encode.c - primitives, decimals, row images and keys: exact bytes, round trips, damage
 */
#include "../../agent/avro_private.h"
#include "avro_fixture.h"

#include <math.h>

static struct error err;

static void assert_long(int64_t v, const char *bytes, size_t n)
{
	AUTO(buf) struct buf b = { 0 };

	avro_put_long(&b, v);
	assert_int_equal(b.n, n);
	assert_memory_equal(b.p, bytes, n);
	struct cursor c = cursor_of((struct str){ b.p, b.n });

	assert_true(avro_get_long(&c) == v);
	assert_false(c.bad);
	assert_ptr_equal(c.p, c.end);
}

/* Values of the Avro specification, and the ends. */
static void longs(void **state)
{
	(void)state;
	assert_long(0, "\x00", 1);
	assert_long(-1, "\x01", 1);
	assert_long(1, "\x02", 1);
	assert_long(-2, "\x03", 1);
	assert_long(-64, "\x7f", 1);
	assert_long(64, "\x80\x01", 2);
	assert_long(INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
	assert_long(INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

/* Every length, by a plain reading of the specification; with more bytes behind, and with none. */
static void every_long(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64 * 6; i++) {
		uint64_t u = (UINT64_C(1) << i / 6) + (uint64_t)(i % 3) - 1;
		int64_t v = i % 6 < 3 ? (int64_t)u : (int64_t)(0 - u);
		char want[10], after[32];
		size_t n = 0;

		u = (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
		for (; u >= 0x80; u >>= 7)
			want[n++] = (char)(0x80 | (u & 0x7f));
		want[n++] = (char)u;
		assert_long(v, want, n);
		for (size_t more = 0; more < 16; more++) {
			memset(after, 0xff, sizeof after);
			memcpy(after, want, n);
			struct cursor c = cursor_of((struct str){ after, n + more });

			assert_true(get_long(&c) == v);
			assert_false(c.bad);
			assert_ptr_equal(c.p, (uint8_t *)after + n);
		}
		for (size_t less = 0; less < n; less++) {
			struct cursor c = cursor_of((struct str){ want, less });

			assert_true(get_long(&c) == 0);
			assert_true(c.bad);
		}
	}
}

static void bad_longs(void **state)
{
	static const struct str bad[] = {
		{ "", 0 },
		{ "\x80", 1 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct cursor c = cursor_of(bad[i]);

		assert_true(avro_get_long(&c) == 0);
		assert_true(c.bad);
		c = cursor_of(bad[i]);
		assert_true(get_long(&c) == 0);
		assert_true(c.bad);
	}
}

static void bytes_and_floats(void **state)
{
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	avro_put_bytes(&b, STR("foo"));
	avro_put_float(&b, -1.5f);
	avro_put_double(&b, 1.5);
	assert_int_equal(b.n, 4 + 4 + 8);
	assert_memory_equal(b.p,
			    "\x06"
			    "foo\0\0\xc0\xbf\0\0\0\0\0\0\xf8\x3f",
			    b.n);
	struct cursor c = cursor_of((struct str){ b.p, b.n });

	assert_true(str_eqz(avro_get_bytes(&c), "foo"));
	c = cursor_of((struct str){ "\x08"
				    "foo",
				    4 });
	assert_null(avro_get_bytes(&c).p);
	c = cursor_of((struct str){ "\x01"
				    "foo",
				    4 });
	assert_null(avro_get_bytes(&c).p);
}

static void assert_decimal(const char *text, int precision, int scale, const char *bytes, size_t n,
			   const char *printed)
{
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf out = { 0 };
	struct str s;

	assert_true(decimal_parse(str_z(text), precision, scale, &arena, &s));
	if (bytes) {
		assert_int_equal(s.n, n);
		assert_memory_equal(s.p, bytes, n);
	}
	decimal_format(s, scale, &out);
	assert_string_equal(buf_z(&out), printed ? printed : text);
}

static void decimals(void **state)
{
	(void)state;
	assert_decimal("0", 1, 0, "\0", 1, NULL);
	assert_decimal("-0", 1, 0, "\0", 1, "0");
	assert_decimal("0.00", 5, 2, "\0", 1, NULL);
	assert_decimal("1.5", 5, 2, "\0\x96", 2, "1.50");
	assert_decimal("1.50000", 5, 2, "\0\x96", 2, "1.50");
	assert_decimal("-1.28", 5, 2, "\x80", 1, NULL);
	assert_decimal("-1.29", 5, 2, "\xff\x7f", 2, NULL);
	assert_decimal("1.27", 5, 2, "\x7f", 1, NULL);
	assert_decimal("000123", 3, 0, "\x7b", 1, "123");
	assert_decimal("+.5", 1, 1, "\x05", 1, "0.5");
	assert_decimal("5.", 1, 0, "\x05", 1, "5");
	assert_decimal("-0.005", 3, 3, "\xfb", 1, NULL);
	assert_decimal("999999999999999999", 18, 0, NULL, 0, NULL);
	assert_decimal("-999999999999999999", 18, 0, NULL, 0, NULL);
	assert_decimal("9223372036854775808", 19, 0, "\0\x80\0\0\0\0\0\0\0", 9, NULL);
	assert_decimal("-9223372036854775808", 19, 0, "\x80\0\0\0\0\0\0\0", 8, NULL);
	assert_decimal("18446744073709551615", 20, 0, "\0\xff\xff\xff\xff\xff\xff\xff\xff", 9,
		       NULL);
	assert_decimal("-18446744073709551616", 20, 0, "\xff\0\0\0\0\0\0\0\0", 9, NULL);
	assert_decimal("0.00000000000000000001", 20, 20, "\x01", 1, NULL);
	assert_decimal("-12345678901234567890.123456789012345678", 38, 18, NULL, 0, NULL);
}

static void decimals_of_any_length(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf text = { 0 }, out = { 0 };
	struct str s;

	(void)state;
	for (int n = 1; n <= 3000; n += n < 100 ? 1 : 97) {
		buf_clear(&text);
		buf_clear(&out);
		buf_addc(&text, '-');
		for (int i = 0; i < n; i++)
			buf_addc(&text, (char)('1' + i % 9));
		assert_true(decimal_parse((struct str){ text.p, text.n }, n, 0, &arena, &s));
		decimal_format(s, 0, &out);
		assert_true(str_eq((struct str){ out.p, out.n }, (struct str){ text.p, text.n }));
	}
}

static void not_decimals(void **state)
{
	static const char *const texts[] = { "",         "-",         "+",      ".",     "NaN",
					     "Infinity", "-Infinity", "1e5",    "1.2.3", "1,5",
					     " 1",       "1 ",        "--1",    "1000",  "1000.00",
					     "1.001",    "0x1",       "999.999" };
	AUTO(arena) struct arena arena = { 0 };
	struct str s;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		if (decimal_parse(str_z(texts[i]), 5, 2, &arena, &s))
			test_failed("%s\n", texts[i]);
}

/* One column of a type, its value, the bytes after the union's branch. */
static void assert_value(enum column_type type, struct value v, const char *bytes, size_t n)
{
	struct column c = fixture_column("a", type, 1);
	struct table t = fixture_draft("public", "t", &c, 1);
	struct avro_extra extra = { { 0 }, { 0 } };
	AUTO(buf) struct buf row = { 0 }, key = { 0 };
	uint16_t first = 0;

	t.key = &first;
	t.nkey = 1;
	v.state = VALUE_SET;
	avro_put_row(&row, &t, &v, &extra);
	assert_int_equal(row.n, n + 1);
	assert_int_equal(row.p[0], 2);
	assert_memory_equal(row.p + 1, bytes, n);
	assert_int_equal(extra.absent.n + extra.unrepresentable.n, 0);
	assert_true(avro_put_key(&key, &t, &v));
	assert_int_equal(key.n, n);
	assert_memory_equal(key.p, bytes, n);
}

static void values(void **state)
{
	static const struct value items[] = { { .state = VALUE_SET, .i = 1 },
					      { .state = VALUE_NULL } };
	static const struct array two = { 2, items }, none = { 0, NULL };
	struct column c = fixture_column("a", COL_ARRAY, 0);

	(void)state;
	assert_value(COL_BOOL, (struct value){ .b = true }, "\1", 1);
	assert_value(COL_INT32, (struct value){ .i = INT32_MIN }, "\xff\xff\xff\xff\x0f", 5);
	assert_value(COL_DATE, (struct value){ .i = -1 }, "\1", 1);
	assert_value(COL_UINT64, (struct value){ .u = 0 }, "\2\0", 2);
	assert_value(COL_UINT64, (struct value){ .u = 127 }, "\2\x7f", 2);
	assert_value(COL_UINT64, (struct value){ .u = 128 }, "\4\0\x80", 3);
	assert_value(COL_UINT64, (struct value){ .u = UINT64_MAX },
		     "\x12\0\xff\xff\xff\xff\xff\xff\xff\xff", 10);
	assert_value(COL_TEXT, (struct value){ .s = STR("") }, "\0", 1);
	assert_value(COL_BYTES, (struct value){ .s = STR("\0\1") }, "\4\0\1", 3);
	assert_value(COL_FLOAT, (struct value){ .d = (double)NAN }, "\0\0\xc0\x7f", 4);

	struct table t = fixture_draft("public", "t", &c, 1);
	struct avro_extra extra = { { 0 }, { 0 } };
	AUTO(buf) struct buf out = { 0 };

	c.element = COL_INT32;
	avro_put_row(&out, &t, &(struct value){ .state = VALUE_SET, .a = &two }, &extra);
	avro_put_row(&out, &t, &(struct value){ .state = VALUE_SET, .a = &none }, &extra);
	assert_int_equal(out.n, 8);
	assert_memory_equal(out.p, "\2\4\2\2\0\0\2\0", 8);
}

static bool same_scalar(enum column_type type, const struct value *a, const struct value *b)
{
	switch (type) {
	case COL_BOOL:
		return a->b == b->b;
	case COL_UINT64:
		return a->u == b->u;
	case COL_FLOAT:
	case COL_DOUBLE:
		return memcmp(&a->d, &b->d, sizeof a->d) == 0;
	case COL_INT32:
	case COL_INT64:
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		return a->i == b->i;
	default:
		return str_eq(a->s, b->s);
	}
}

static bool same_value(const struct column *c, const struct value *a, const struct value *b)
{
	if (a->state != b->state)
		return false;
	if (a->state != VALUE_SET)
		return a->state != VALUE_UNREPRESENTABLE || str_eq(a->s, b->s);
	if (c->type != COL_ARRAY)
		return same_scalar(c->type, a, b);
	if (a->a->n != b->a->n)
		return false;
	for (size_t i = 0; i < a->a->n; i++) {
		const struct value *x = &a->a->items[i], *y = &b->a->items[i];

		if (x->state != y->state ||
		    (x->state == VALUE_SET && !same_scalar(c->element, x, y)))
			return false;
	}
	return true;
}

static struct str view(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}

static void round_trip(const struct table *t, struct rng *r)
{
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf row = { 0 }, key = { 0 };
	struct avro_extra extra = { { 0 }, { 0 } };
	struct value *in = fixture_row(r, &arena, t, rng_below(r, 2));
	struct value *out = arena_zalloc(&arena, t->ncolumns * sizeof *out);

	avro_put_row(&row, t, in, &extra);
	assert_int_equal(avro_get_row(view(&row), t, view(&extra.absent),
				      view(&extra.unrepresentable), &arena, out, &err),
			 0);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (!same_value(&t->columns[i], &in[i], &out[i]))
			test_failed("column %zu of type %d\n", i, (int)t->columns[i].type);
	if (avro_put_key(&key, t, in)) {
		assert_int_equal(avro_get_key(view(&key), t, &arena, out, &err), 0);
		for (size_t k = 0; k < t->nkey; k++)
			assert_true(same_value(&t->columns[t->key[k]], &in[t->key[k]], &out[k]));
	}
	/* Cut anywhere, or with a byte too many, it is an error and no more. */
	for (size_t n = 0; n < row.n; n++)
		assert_int_equal(avro_get_row((struct str){ row.p, n }, t, (struct str){ 0 },
					      (struct str){ 0 }, &arena, out, &err),
				 -1);
	buf_addc(&row, 0);
	assert_int_equal(avro_get_row(view(&row), t, (struct str){ 0 }, (struct str){ 0 }, &arena,
				      out, &err),
			 -1);
	assert_int_equal(err.kind, ERR_FATAL);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
}

static void random_round_trips(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables *tables = tables_new(&fixture_config);
	struct rng r = { 4 };

	(void)state;
	for (unsigned i = 0; i < 150; i++) {
		const struct table *t = fixture_random_table(tables, &r, &arena, i);

		for (int k = 0; k < 5; k++)
			round_trip(t, &r);
	}
	tables_free(tables);
}

/* Absent, null and unrepresentable are three things.  EDGE 1 */
static void what_does_not_fit(void **state)
{
	struct column c[9];
	struct table t = fixture_draft("public", "t", c, COUNT(c));
	struct value row[COUNT(c)] = { 0 }, out[COUNT(c)];
	struct avro_extra extra = { { 0 }, { 0 } };
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf image = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(c); i++)
		c[i] = fixture_column(arena_printf(&arena, "sp\xc3\xa4t%zu", i), COL_DATE, 0);
	row[1].state = VALUE_NULL;
	row[2] = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = STR("infinity") };
	row[7] = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = STR("") };
	avro_put_row(&image, &t, row, &extra);
	assert_int_equal(image.n, 9);
	assert_memory_equal(image.p, "\0\0\0\0\0\0\0\0\0", 9);
	assert_int_equal(extra.absent.n, 2);
	assert_memory_equal(extra.absent.p, "\x79\x01", 2);
	assert_int_equal(extra.unrepresentable.n, 1 + 6 + 9 + 6 + 1 + 1);
	assert_memory_equal(extra.unrepresentable.p, "\4\x0asp_t2\x10infinity\x0asp_t7\0",
			    extra.unrepresentable.n);
	assert_int_equal(avro_get_row(view(&image), &t, view(&extra.absent),
				      view(&extra.unrepresentable), &arena, out, &err),
			 0);
	assert_int_equal(out[0].state, VALUE_ABSENT);
	assert_int_equal(out[8].state, VALUE_ABSENT);
	assert_int_equal(out[1].state, VALUE_NULL);
	assert_int_equal(out[2].state, VALUE_UNREPRESENTABLE);
	assert_true(str_eqz(out[2].s, "infinity"));
	assert_int_equal(out[7].s.n, 0);

	/* The next row has nothing of this one's. */
	row[0] = (struct value){ .state = VALUE_SET, .i = 5 };
	for (size_t i = 1; i < COUNT(c); i++)
		row[i] = row[0];
	buf_clear(&image);
	struct buf absent = extra.absent;

	avro_put_row(&image, &t, row, &extra);
	assert_int_equal(extra.absent.n + extra.unrepresentable.n, 0);

	/* A set column cannot be absent or unrepresentable as well, nor can one that is not there. */
	assert_int_equal(avro_get_row(view(&image), &t, (struct str){ absent.p, 1 },
				      (struct str){ 0 }, &arena, out, &err),
			 -1);
	assert_int_equal(avro_get_row(view(&image), &t, (struct str){ 0 }, STR("\2\x0asp_t2\0\0"),
				      &arena, out, &err),
			 -1);
	assert_int_equal(avro_get_row(STR("\0\0\0\0\0\0\0\0\0"), &t, (struct str){ 0 },
				      STR("\2\2x\0\0"), &arena, out, &err),
			 -1);
	assert_int_equal(avro_get_row(STR("\0\0\0\0\0\0\0\0\0"), &t, (struct str){ 0 },
				      STR("\1\x12\x0asp_t2\0\0"), &arena, out, &err),
			 0);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
}

static void assert_damaged(enum column_type type, struct str image)
{
	struct column c = fixture_column("a", type, 0);
	struct table t = fixture_draft("public", "t", &c, 1);
	AUTO(arena) struct arena arena = { 0 };
	struct value out;

	c.element = COL_TEXT;
	c.precision = 5;
	assert_int_equal(avro_get_row(image, &t, (struct str){ 0 }, (struct str){ 0 }, &arena, &out,
				      &err),
			 -1);
	assert_non_null(strstr(err.text, "public.t"));
	assert_true(arena.used < 100000);
}

static void damaged_images(void **state)
{
	(void)state;
	assert_damaged(COL_BOOL, STR("\2\2"));
	assert_damaged(COL_BOOL, STR("\4\1"));
	assert_damaged(COL_INT32, STR("\2\xff\xff\xff\xff\x7f"));
	assert_damaged(COL_UINT64, STR("\2\2\x80"));
	assert_damaged(COL_UINT64, STR("\2\0"));
	assert_damaged(COL_UINT64, STR("\2\x12\1\0\0\0\0\0\0\0\0"));
	assert_damaged(COL_DECIMAL, STR("\2\0"));
	assert_damaged(COL_DECIMAL, STR("\2\x0a\1\1\1\1\1"));
	assert_damaged(COL_TEXT, STR("\2\1"));
	assert_damaged(COL_TEXT, STR("\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01z"));
	assert_damaged(COL_ARRAY, STR("\2\xfe\xff\xff\xff\x0f\0\0"));
	assert_damaged(COL_ARRAY, STR("\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0"));
	assert_damaged(COL_ARRAY, STR("\2\2\3\0"));
}

static void arrays_in_blocks(void **state)
{
	struct column c = fixture_column("a", COL_ARRAY, 0);
	struct table t = fixture_draft("public", "t", &c, 1);
	AUTO(arena) struct arena arena = { 0 };
	struct value out;

	(void)state;
	c.element = COL_INT32;
	/* {1}, then a block with its size {null, 2}, then the end */
	assert_int_equal(avro_get_row(STR("\2\2\2\2\3\6\0\2\4\0"), &t, (struct str){ 0 },
				      (struct str){ 0 }, &arena, &out, &err),
			 0);
	assert_int_equal(out.a->n, 3);
	assert_int_equal(out.a->items[0].i, 1);
	assert_int_equal(out.a->items[1].state, VALUE_NULL);
	assert_int_equal(out.a->items[2].i, 2);
}

/* A bounded buffer holds a whole image or nothing of it. */
static void bounded(void **state)
{
	struct column c[] = { fixture_column("a", COL_TEXT, 1), fixture_column("b", COL_ARRAY, 0) };
	struct table t = fixture_draft("public", "t", c, 2);
	struct value items[200];
	struct array many = { COUNT(items), items };
	struct value row[] = { { .state = VALUE_SET, .s = STR("0123456789") },
			       { .state = VALUE_SET, .a = &many } };
	struct avro_extra extra = { { 0 }, { 0 } };
	uint16_t first = 0;

	(void)state;
	c[1].element = COL_TEXT;
	t.key = &first;
	t.nkey = 1;
	for (size_t i = 0; i < COUNT(items); i++)
		items[i] = (struct value){ .state = VALUE_SET, .s = STR("item") };
	size_t whole = 12 + 1 + 2 + 6 * COUNT(items) + 1;

	for (size_t max = 1; max < whole + 50; max++) {
		struct buf b = { .max = max };

		avro_put_row(&b, &t, row, &extra);
		assert_true(b.n == 0 || b.n == whole);
		assert_true(b.overflow == (b.n == 0));
		assert_true(b.n <= max);
		buf_free(&b);
	}
	struct buf small = { .max = 8 };

	assert_false(avro_put_key(&small, &t, row));
	assert_true(small.overflow);
	buf_free(&small);
}

static void keys(void **state)
{
	struct column c[] = { fixture_column("a", COL_INT32, 0),
			      fixture_column("b", COL_INT32, 0) };
	struct table t = fixture_draft("public", "t", c, 2);
	struct value row[] = { { .state = VALUE_SET, .i = 1 }, { .state = VALUE_NULL } };
	uint16_t order[] = { 1, 0 };
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf b = { 0 };
	struct value out[2];

	(void)state;
	assert_false(avro_put_key(&b, &t, row)); /* a table without one */
	t.key = order;
	t.nkey = 2;
	assert_false(avro_put_key(&b, &t, row));
	assert_int_equal(b.n, 0);
	row[1] = (struct value){ .state = VALUE_SET, .i = -1 };
	assert_true(avro_put_key(&b, &t, row));
	assert_memory_equal(b.p, "\1\2", 2);
	assert_int_equal(avro_get_key(STR("\1\2"), &t, &arena, out, &err), 0);
	assert_int_equal(out[0].i, -1);
	assert_int_equal(out[1].i, 1);
	assert_int_equal(avro_get_key(STR("\1"), &t, &arena, out, &err), -1);
	assert_int_equal(avro_get_key(STR("\1\2\3"), &t, &arena, out, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longs),
		cmocka_unit_test(every_long),
		cmocka_unit_test(bad_longs),
		cmocka_unit_test(bytes_and_floats),
		cmocka_unit_test(decimals),
		cmocka_unit_test(decimals_of_any_length),
		cmocka_unit_test(not_decimals),
		cmocka_unit_test(values),
		cmocka_unit_test(random_round_trips),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(damaged_images),
		cmocka_unit_test(arrays_in_blocks),
		cmocka_unit_test(bounded),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
