/*
 * binlog_json.c - MySQL's binary JSON to the text that the server prints
 *
 * Document: u8 type, value.  All numbers are little-endian; `word` is u16 in small containers, u32 in large ones.
 *
 *	object	word count, word bytes in all, a key entry of each (word offset, u16 length), a value entry of each (u8
 *		type, word offset, or the value itself where it fits: literals, 16-bit integers, in large containers 32-bit
 *		integers too), the keys, the values.  Offsets count from the container's first word
 *	array	the same without keys
 *	literal	u8: 0 null, 1 true, 2 false
 *	numbers	i16, u16, i32, u32, i64, u64, IEEE 754 double
 *	string	length in 7-bit groups, the first is the lowest, 0x80: one more; UTF-8
 *	opaque	u8 column type, length as of a string, bytes
 *
 * Opaque: a decimal is u8 precision, u8 scale and the decimal of binlog_value.c; dates and times are i64, packed as in
 * binlog_temporal.c (integer part << 24 | microseconds); anything else is shown in base 64.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "binlog_cell.h"
#include "binlog_json.h"
#include "value_text.h"

#define LENGTH_BYTES 5
#define BASE64_LINE  57 /* bytes: 76 characters */
/* Most that one byte of a document becomes: a control character "\u0001"; for what is less than that, some more. */
#define TEXT_FACTOR 16
#define TEXT_LEAST  1024

/* --- reading --- */

static bool read_length(struct cursor *c, size_t *out)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < LENGTH_BYTES; i++) {
		uint8_t b = get_u8(c);

		v |= (uint64_t)(b & 0x7f) << 7 * i;
		if (!(b & 0x80)) {
			*out = (size_t)v;
			return !c->bad && v <= UINT32_MAX;
		}
	}
	return false;
}

/* The bytes of a scalar of fixed size; 0: it is another. */
static size_t scalar_size(uint8_t type)
{
	switch (type) {
	case JSON_LITERAL:
		return 1;
	case JSON_INT16:
	case JSON_UINT16:
		return 2;
	case JSON_INT32:
	case JSON_UINT32:
		return 4;
	case JSON_INT64:
	case JSON_UINT64:
	case JSON_DOUBLE:
		return 8;
	default:
		return 0;
	}
}

/* `rest`: from the value's first byte on. */
static bool read_value(uint8_t type, struct str rest, struct json_value *out)
{
	struct cursor c = cursor_of(rest);
	size_t n = scalar_size(type);

	*out = (struct json_value){ .type = type };
	if (json_is_container(type)) {
		bool large = type & 1;

		get_bytes(&c, large ? 4 : 2);
		n = large ? get_u32le(&c) : get_u16le(&c);
		c = cursor_of(rest);
	} else if (type == JSON_STRING || type == JSON_OPAQUE) {
		if (type == JSON_OPAQUE)
			out->field_type = get_u8(&c);
		if (!read_length(&c, &n))
			return false;
	} else if (!n) {
		return false;
	}
	out->data = get_bytes(&c, n);
	return !c.bad;
}

bool json_document(struct str binary, struct json_value *out)
{
	if (binary.n == 0) {
		*out = (struct json_value){ .type = JSON_LITERAL, .data = { "", 1 } };
		return true;
	}
	return read_value((uint8_t)binary.p[0], (struct str){ binary.p + 1, binary.n - 1 }, out);
}

bool json_open(const struct json_value *v, struct json_container *out)
{
	struct cursor c = cursor_of(v->data);

	*out = (struct json_container){ .data = v->data,
					.object = v->type <= JSON_LARGE_OBJECT,
					.large = v->type & 1 };
	out->count = out->large ? get_u32le(&c) : get_u16le(&c);
	size_t word = out->large ? 4 : 2;
	uint64_t entry = 1 + word + (out->object ? word + 2 : 0);

	return !c.bad && out->count * entry + 2 * word <= v->data.n;
}

static bool is_inlined(uint8_t type, bool large)
{
	return type == JSON_LITERAL || type == JSON_INT16 || type == JSON_UINT16 ||
	       (large && (type == JSON_INT32 || type == JSON_UINT32));
}

static struct cursor cursor_at(const struct json_container *c, uint64_t offset)
{
	struct cursor in = cursor_of(c->data);

	get_bytes(&in, offset);
	return in;
}

bool json_item(const struct json_container *c, uint32_t i, struct str *key, struct json_value *out)
{
	uint64_t word = c->large ? 4 : 2, at = 2 * word, offset;

	*key = (struct str){ NULL, 0 };
	if (c->object) {
		struct cursor in = cursor_at(c, at + i * (word + 2));

		offset = cell_le(&in, word);
		size_t n = get_u16le(&in);

		in = cursor_at(c, offset);
		*key = get_bytes(&in, n);
		if (in.bad)
			return false;
		at += c->count * (word + 2);
	}
	struct cursor in = cursor_at(c, at + i * (1 + word));
	uint8_t type = get_u8(&in);

	if (in.bad)
		return false;
	if (is_inlined(type, c->large))
		return read_value(type, get_bytes(&in, word), out);
	offset = cell_le(&in, word);
	in = cursor_at(c, offset);
	return !in.bad && read_value(type, get_bytes(&in, cursor_left(&in)), out);
}

/* --- printing --- */

struct printer {
	struct buf b;
	struct arena *a;
	bool bare; /* no ".0" after a whole double */
};

static int put_value(struct printer *p, const struct json_value *v, unsigned depth);

static void put_string(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	const char *p = s.p, *end = s.p + s.n, *from = p;

	buf_addc(b, '"');
	for (; p < end; p++) {
		uint8_t c = (uint8_t)*p;
		const char *letter;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, from, (size_t)(p - from));
		from = p + 1;
		buf_addc(b, '\\');
		if (c >= 0x20) {
			buf_addc(b, *p);
		} else if ((letter = memchr("\bb\tt\nn\ff\rr", c, 10))) {
			buf_addc(b, letter[1]);
		} else {
			buf_adds(b, c < 0x10 ? "u000" : "u001");
			buf_addc(b, hex[c & 15]);
		}
	}
	buf_add(b, from, (size_t)(p - from));
	buf_addc(b, '"');
}

/* The next larger number of as many digits; false: they are all nines. */
static bool next_number(char *text)
{
	for (char *p = strchr(text, 'e') - 1; p >= text; p--) {
		if (*p == '.')
			continue;
		if (*p < '9') {
			++*p;
			return true;
		}
		*p = '0';
	}
	return false;
}

static bool comes_back(char *text, double d)
{
	int exponent;

	if (strtod(text, NULL) == d)
		return true;
	/* Below a power of two the doubles are twice as dense: the nearest may miss it where the next does not. */
	return fabs(frexp(d, &exponent)) == 0.5 && next_number(text) && strtod(text, NULL) == d;
}

/* The shortest digits that come back as the same double; the point stands after `point` of them. */
static size_t shortest_digits(double d, char digits[20], int *point)
{
	char text[40];

	/* So many after the first always come back, but near zero fewer are there. */
	for (int n = d < 1e-300 ? 0 : 14; n <= 16; n++) {
		snprintf(text, sizeof text, "%.*e", n, d);
		if (comes_back(text, d))
			break;
	}
	size_t n = 0;
	const char *p = text;

	for (; *p != 'e'; p++) {
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	}
	*point = (int)strtol(p + 1, NULL, 10) + 1;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

/* As my_gcvt() of the server prints it. */
static void put_double(struct buf *b, double d, bool bare)
{
	char digits[20] = "";
	int point;

	if (!isfinite(d)) { /* the server lets none in */
		buf_adds(b, "null");
		return;
	}
	size_t n = shortest_digits(fabs(d), digits, &point);

	if (signbit(d))
		buf_addc(b, '-');
	if (d == 0.0) {
		buf_adds(b, bare ? "0" : "0.0");
	} else if (point < -14 || (point > 15 && n <= (size_t)point)) {
		buf_addc(b, digits[0]);
		if (n > 1)
			buf_addc(b, '.');
		buf_add(b, digits + 1, n - 1);
		buf_addf(b, "e%d", point - 1);
	} else if (point <= 0) {
		buf_adds(b, "0.");
		for (int i = point; i < 0; i++)
			buf_addc(b, '0');
		buf_add(b, digits, n);
	} else {
		size_t whole = (size_t)point < n ? (size_t)point : n;

		buf_add(b, digits, whole);
		for (size_t i = whole; i < (size_t)point; i++)
			buf_addc(b, '0');
		if (n > whole || !bare)
			buf_addc(b, '.');
		if (n > whole)
			buf_add(b, digits + whole, n - whole);
		else if (!bare)
			buf_addc(b, '0');
	}
}

/* In lines of 76 characters, as the server's own encoder makes them.  (5.7 forgets to escape the newlines.) */
static void put_base64(struct buf *b, struct str s)
{
	for (; s.n > BASE64_LINE; s.p += BASE64_LINE, s.n -= BASE64_LINE) {
		value_base64(b, (struct str){ s.p, BASE64_LINE });
		buf_adds(b, "\\n");
	}
	value_base64(b, s);
}

static int put_opaque(struct printer *p, const struct json_value *v)
{
	struct buf *b = &p->b;
	struct cursor c = cursor_of(v->data);
	struct str text;

	switch (v->field_type) {
	case MYSQL_NEWDECIMAL: {
		unsigned precision = get_u8(&c), scale = get_u8(&c);

		if (c.bad || !binlog_decimal_text(&c, precision, scale, p->a, &text))
			return -1;
		buf_add(b, text.p, text.n);
		return 0;
	}
	case MYSQL_DATE:
	case MYSQL_DATETIME:
	case MYSQL_TIMESTAMP:
		text = binlog_print_datetime((int64_t)get_u64le(&c), v->field_type == MYSQL_DATE, 6,
					     p->a);
		break;
	case MYSQL_TIME:
		text = binlog_print_time((int64_t)get_u64le(&c), 6, p->a);
		break;
	default:
		buf_addf(b, "\"base64:type%u:", v->field_type);
		put_base64(b, v->data);
		buf_addc(b, '"');
		return 0;
	}
	put_string(b, text);
	return c.bad ? -1 : 0;
}

static int put_container(struct printer *p, const struct json_value *v, unsigned depth)
{
	struct buf *b = &p->b;
	struct json_container c;
	struct json_value item;
	struct str key;

	if (depth > JSON_DEPTH || !json_open(v, &c))
		return -1;
	buf_addc(b, c.object ? '{' : '[');
	for (uint32_t i = 0; i < c.count; i++) {
		if (i)
			buf_add(b, ", ", 2);
		if (!json_item(&c, i, &key, &item))
			return -1;
		if (c.object) {
			put_string(b, key);
			buf_add(b, ": ", 2);
		}
		if (put_value(p, &item, depth + 1) || b->overflow)
			return -1;
	}
	buf_addc(b, c.object ? '}' : ']');
	return 0;
}

static int put_literal(struct buf *b, uint8_t literal)
{
	static const char *const names[] = { "null", "true", "false" };

	if (literal >= COUNT(names))
		return -1;
	buf_adds(b, names[literal]);
	return 0;
}

static void put_unsigned(struct buf *b, uint64_t v)
{
	char text[20], *end = text + sizeof text, *p = end;

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_add(b, p, (size_t)(end - p));
}

static void put_signed(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_addc(b, '-');
	put_unsigned(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static int put_value(struct printer *p, const struct json_value *v, unsigned depth)
{
	struct buf *b = &p->b;
	struct cursor c = cursor_of(v->data);
	uint64_t bits;
	double d;

	switch ((enum json_type)v->type) {
	case JSON_SMALL_OBJECT:
	case JSON_LARGE_OBJECT:
	case JSON_SMALL_ARRAY:
	case JSON_LARGE_ARRAY:
		return put_container(p, v, depth);
	case JSON_LITERAL:
		return put_literal(b, get_u8(&c));
	case JSON_INT16:
		put_signed(b, (int16_t)get_u16le(&c));
		return 0;
	case JSON_INT32:
		put_signed(b, (int32_t)get_u32le(&c));
		return 0;
	case JSON_INT64:
		put_signed(b, (int64_t)get_u64le(&c));
		return 0;
	case JSON_UINT16:
	case JSON_UINT32:
	case JSON_UINT64:
		put_unsigned(b, cell_le(&c, v->data.n));
		return 0;
	case JSON_DOUBLE:
		bits = get_u64le(&c);
		memcpy(&d, &bits, sizeof d);
		put_double(b, d, p->bare);
		return 0;
	case JSON_STRING:
		put_string(b, v->data);
		return 0;
	case JSON_OPAQUE:
		return put_opaque(p, v);
	}
	return -1;
}

int binlog_json_print(struct str binary, bool bare, struct arena *a, struct str *out,
		      struct error *err)
{
	struct json_value v;
	/* Items of a damaged document may share their bytes: without a bound the text would have none. */
	struct printer p = { .b = { .max = TEXT_FACTOR * binary.n + TEXT_LEAST },
			     .a = a,
			     .bare = bare };

	if (!json_document(binary, &v) || put_value(&p, &v, 1) || p.b.overflow) {
		buf_free(&p.b);
		return fail(err, ERR_FATAL,
			    "%zu bytes that are not a JSON document in the server's binary form; "
			    "the log is damaged, or of a server version that is not known",
			    binary.n);
	}
	arena_adopt(a, p.b.p, p.b.room, free);
	*out = (struct str){ p.b.p, p.b.n };
	return 0;
}

int binlog_json_text(struct str binary, struct arena *a, struct str *out, struct error *err)
{
	return binlog_json_print(binary, false, a, out, err);
}
