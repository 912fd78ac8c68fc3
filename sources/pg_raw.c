/*
 * pg_raw.c - values of a database without an encoding (SQL_ASCII)
 */
#include "pgoutput.h"

struct str pg_raw_replaced(struct str s, struct arena *a)
{
	const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
	size_t bad = 0, n;

	for (const uint8_t *q = p; q < end; q += n ? n : 1) {
		n = utf8_length(q, (size_t)(end - q));
		bad += n == 0;
	}
	char *text = arena_alloc(a, s.n + 2 * bad), *to = text;

	for (; p < end; p += n ? n : 1) {
		n = utf8_length(p, (size_t)(end - p));
		memcpy(to, n ? (const char *)p : "\xef\xbf\xbd", n ? n : 3);
		to += n ? n : 3;
	}
	return (struct str){ text, (size_t)(to - text) };
}

struct str pg_raw_hex(struct str s, struct arena *a)
{
	static const char digits[] = "0123456789abcdef";
	char *text = arena_alloc(a, 2 * s.n + 2), *to = text;

	*to++ = '\\';
	*to++ = 'x';
	for (size_t i = 0; i < s.n; i++) {
		*to++ = digits[(uint8_t)s.p[i] >> 4];
		*to++ = digits[(uint8_t)s.p[i] & 15];
	}
	return (struct str){ text, 2 * s.n + 2 };
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

struct str pg_raw_unhex(struct str s, struct arena *a)
{
	if (s.n < 2 || s.n % 2 || memcmp(s.p, "\\x", 2) != 0)
		return s;
	char *to = arena_alloc(a, s.n / 2);

	for (size_t i = 1; i < s.n / 2; i++)
		to[i - 1] = (char)(hex_digit(s.p[2 * i]) << 4 | hex_digit(s.p[2 * i + 1]));
	return (struct str){ to, s.n / 2 - 1 };
}

static int decode(const struct column *c, bool binary, struct str wire, struct arena *a,
		  struct value *v, struct error *err)
{
	return binary ? pg_value_binary(c, wire, a, v, err) : pg_value_text(c, wire, a, v, err);
}

static bool holds_text(const struct column *c, const struct value *v)
{
	return v->state == VALUE_UNREPRESENTABLE ||
	       (v->state == VALUE_SET && (c->type == COL_TEXT || c->type == COL_JSON));
}

int pg_value_raw(const struct column *c, bool binary, struct str wire, int invalid_bytes,
		 struct arena *a, struct value *v, struct error *err)
{
	if (c->type == COL_ARRAY && !utf8_valid(wire)) {
		*v = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = wire };
		if (invalid_bytes == INVALID_BYTES_REPLACE)
			return decode(c, binary, pg_raw_replaced(wire, a), a, v, err);
	} else if (decode(c, binary, wire, a, v, err)) {
		return -1;
	}
	if (!holds_text(c, v) || utf8_valid(v->s))
		return 0;
	switch ((enum invalid_bytes)invalid_bytes) {
	case INVALID_BYTES_STOP:
		break;
	case INVALID_BYTES_REPLACE:
		v->s = pg_raw_replaced(v->s, a);
		return 0;
	case INVALID_BYTES_BYTES:
		*v = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = pg_raw_hex(v->s, a) };
		return 0;
	}
	return fail(
		err, ERR_FATAL,
		"column %.*s: the text is not UTF-8 (the database has no encoding, SQL_ASCII); set "
		"source.invalid_bytes to replace or bytes, if only until this place is passed",
		STR_FMT(c->name));
}
