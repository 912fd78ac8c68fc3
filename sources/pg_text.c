/*
 * pg_text.c - PostgreSQL's text form to typed values
 *
 * What the types' output functions print under datestyle ISO, intervalstyle iso_8601, timezone UTC
 * and bytea_output hex:
 *
 *	boolean		t | f
 *	numbers		-12, -12.50, 1e-05, NaN, -Infinity
 *	bytea		\x0badcafe
 *	date		2024-01-31, 294276-12-31, 0044-03-15 BC, infinity
 *	time		12:34:56.789, 24:00:00
 *	timestamp	2024-01-31 12:34:56.789, 0044-03-15 12:00:00 BC, infinity
 *	timestamptz	2024-01-31 12:34:56.789+00, 0044-03-15 12:00:00+00 BC, infinity
 *	uuid		36 characters
 *
 * Other types are kept as they are printed; arrays: pg_array.c.
 */
#include <stdlib.h>

#include "avro.h"
#include "pg_values.h"

enum parsed {
	PARSED,
	OUTSIDE,
	MALFORMED
}; /* OUTSIDE: well formed, but Avro's type cannot hold it */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Two digits at p, which the caller knows to be there; 100 and more: they are none. */
static unsigned two_digits(const char *p)
{
	unsigned a = (unsigned)(uint8_t)p[0] - '0', b = (unsigned)(uint8_t)p[1] - '0';

	return a > 9 || b > 9 ? 100 : a * 10 + b;
}

static enum parsed parse_integer(struct str s, int64_t min, int64_t max, int64_t *out)
{
	const char *p = s.p, *end = s.p + s.n;
	bool minus = p < end && *p == '-';
	uint64_t v = 0;

	p += minus;
	if (p == end || end - p > 19)
		return MALFORMED;
	for (; p < end; p++) {
		if (!is_digit(*p))
			return MALFORMED;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (v > (uint64_t)INT64_MAX + minus)
		return MALFORMED;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return *out < min || *out > max ? MALFORMED : PARSED;
}

/*
 * [-]digits[.digits] of at most 18 digits, read as one number without its point.  MALFORMED: not
 * of this form, or longer.
 */
static enum parsed parse_digits(struct str s, int64_t *unscaled, int *scale, bool *minus)
{
	const char *p = s.p, *end = s.p + s.n, *point = NULL;
	int64_t v = 0;

	*minus = p < end && *p == '-';
	p += *minus;
	if (p == end || !is_digit(*p) || end - p > 19)
		return MALFORMED;
	for (const char *start = p; p < end; p++) {
		if (*p == '.' && !point)
			point = p;
		else if (is_digit(*p) && p - start < 18 + (point != NULL))
			v = v * 10 + (*p - '0');
		else
			return MALFORMED;
	}
	*scale = point ? (int)(end - point - 1) : 0;
	*unscaled = v;
	return PARSED;
}

/* An ordinary number of any length, which the server prints without an exponent. */
static bool is_decimal(struct str s)
{
	const char *p = s.p, *end = s.p + s.n;
	bool point = false;

	p += p < end && *p == '-';
	if (p == end || !is_digit(*p))
		return false;
	for (; p < end; p++) {
		if (*p == '.' && !point)
			point = true;
		else if (!is_digit(*p))
			return false;
	}
	return true;
}

static bool is_not_finite(struct str s)
{
	return str_eqz(s, "NaN") || str_eqz(s, "Infinity") || str_eqz(s, "-Infinity");
}

static enum parsed parse_decimal(const struct column *c, struct str s, struct arena *a,
				 struct str *out)
{
	int64_t v;
	int scale;
	bool minus;

	if (parse_digits(s, &v, &scale, &minus) == PARSED && scale <= c->scale) {
		int pad = c->scale - scale;
		int room = (c->precision < 18 ? c->precision : 18) - pad;

		if (room >= 0 && v < pg_pow10[room]) {
			v *= pg_pow10[pad];
			*out = value_decimal(a, minus ? -v : v);
			return PARSED;
		}
	}
	if (is_decimal(s))
		return decimal_parse(s, c->precision, c->scale, a, out) ? PARSED : OUTSIDE;
	return is_not_finite(s) ? OUTSIDE : MALFORMED;
}

/* Up to 15 digits and a small power of ten are exact in a double, and so is their quotient's rounding. */
static enum parsed parse_float(struct str s, bool single, double *out)
{
	char text[64], *end;
	int64_t v;
	int scale;
	bool minus;

	if (parse_digits(s, &v, &scale, &minus) == PARSED) {
		if (single && v < 1 << 24 && scale <= 10) {
			*out = (double)((minus ? -(float)v : (float)v) / (float)pg_pow10[scale]);
			return PARSED;
		}
		if (!single && v < INT64_C(1) << 53) {
			*out = (minus ? -(double)v : (double)v) / (double)pg_pow10[scale];
			return PARSED;
		}
	}
	/* strtod() takes leading blanks, hexadecimal and its own spellings of NaN: not the server's. */
	bool number = s.n > 0 && is_digit(s.p[s.n > 1 && s.p[0] == '-']);

	if (s.n >= sizeof text || (!number && !is_not_finite(s)))
		return MALFORMED;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (strpbrk(text, "xXpP"))
		return MALFORMED;
	*out = single ? (double)strtof(text, &end) : strtod(text, &end);
	return end == text + s.n ? PARSED : MALFORMED;
}

/* Year, month and day; moves *p behind them.  A date before Christ is told by the text's end. */
static enum parsed parse_day(const char **p, const char *end, bool bc, int64_t *days)
{
	const char *year_start = *p;
	int64_t year = 0;

	for (; *p < end && is_digit(**p); (*p)++) {
		if (*p - year_start == 7)
			return MALFORMED;
		year = year * 10 + (**p - '0');
	}
	if (*p - year_start < 4 || end - *p < 6 || (*p)[0] != '-' || (*p)[3] != '-')
		return MALFORMED;
	unsigned month = two_digits(*p + 1), day = two_digits(*p + 4);

	if (bc)
		year = 1 - year;
	if (month < 1 || month > 12 || day < 1 || day > value_month_days(year, month))
		return MALFORMED;
	*p += 6;
	*days = value_days(year, month, day);
	return bc || year > 9999 || year < 1 ? OUTSIDE : PARSED;
}

/* 12:34:56[.789]; moves *p behind it. */
static enum parsed parse_clock(const char **p, const char *end, int64_t *us)
{
	const char *t = *p;

	if (end - t < 8 || t[2] != ':' || t[5] != ':')
		return MALFORMED;
	unsigned h = two_digits(t), m = two_digits(t + 3), s = two_digits(t + 6);

	if (h > 24 || m > 59 || s > 59)
		return MALFORMED;
	int64_t fraction = 0;

	t += 8;
	if (t < end && *t == '.') {
		int digits = 0;

		for (t++; t < end && is_digit(*t) && digits < 6; t++, digits++)
			fraction = fraction * 10 + (*t - '0');
		if (digits == 0)
			return MALFORMED;
		fraction *= pg_pow10[6 - digits];
	}
	*p = t;
	*us = ((int64_t)h * 3600 + m * 60 + s) * PG_SECOND + fraction;
	return *us < PG_DAY ? PARSED : *us == PG_DAY ? OUTSIDE : MALFORMED;
}

static bool is_infinity(struct str s)
{
	return str_eqz(s, "infinity") || str_eqz(s, "-infinity");
}

/* Takes a " BC" away from the end. */
static bool before_christ(struct str *s)
{
	if (s->n < 3 || memcmp(s->p + s->n - 3, " BC", 3) != 0)
		return false;
	s->n -= 3;
	return true;
}

static enum parsed parse_date(struct str s, int64_t *days)
{
	if (is_infinity(s))
		return OUTSIDE;
	bool bc = before_christ(&s);
	const char *p = s.p, *end = s.p + s.n;
	enum parsed r = parse_day(&p, end, bc, days);

	return p == end ? r : MALFORMED;
}

static enum parsed parse_time(struct str s, int64_t *us)
{
	const char *p = s.p, *end = s.p + s.n;
	enum parsed r = parse_clock(&p, end, us);

	return p == end ? r : MALFORMED;
}

static enum parsed parse_timestamp(struct str s, bool zone, int64_t *us)
{
	int64_t days, clock;

	if (is_infinity(s))
		return OUTSIDE;
	bool bc = before_christ(&s);
	const char *p = s.p, *end = s.p + s.n;
	enum parsed r = parse_day(&p, end, bc, &days);

	if (r == MALFORMED || p == end || *p++ != ' ' || parse_clock(&p, end, &clock) != PARSED)
		return MALFORMED;
	if (zone) {
		if (end - p < 3 || memcmp(p, "+00", 3) != 0)
			return MALFORMED;
		p += 3;
	}
	if (r == PARSED)
		*us = days * PG_DAY + clock;
	return p == end ? r : MALFORMED;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum parsed parse_bytea(struct str s, struct arena *a, struct str *out)
{
	if (s.n < 2 || s.n % 2 || s.p[0] != '\\' || s.p[1] != 'x')
		return MALFORMED;
	size_t n = s.n / 2 - 1;
	char *to = arena_alloc(a, n);

	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(s.p[2 + 2 * i]), low = hex_digit(s.p[3 + 2 * i]);

		if (high < 0 || low < 0)
			return MALFORMED;
		to[i] = (char)(high << 4 | low);
	}
	*out = (struct str){ to, n };
	return PARSED;
}

/* A "char" beyond ASCII is printed as \ooo from PostgreSQL 16 on; before, as a byte that is no UTF-8. */
static struct str parse_char(struct str s, struct arena *a)
{
	if (s.n != 1 || (uint8_t)s.p[0] < 0x80)
		return s;
	return str_z(arena_printf(a, "\\%03o", (unsigned)(uint8_t)s.p[0]));
}

static enum parsed parse_value(const struct column *c, struct str s, struct arena *a,
			       struct value *out)
{
	switch (c->type) {
	case COL_BOOL:
		out->b = s.n == 1 && s.p[0] == 't';
		return s.n == 1 && (s.p[0] == 't' || s.p[0] == 'f') ? PARSED : MALFORMED;
	case COL_INT32:
		return parse_integer(s, INT32_MIN, INT32_MAX, &out->i);
	case COL_INT64:
		return parse_integer(s, INT64_MIN, INT64_MAX, &out->i);
	case COL_FLOAT:
	case COL_DOUBLE:
		return parse_float(s, c->type == COL_FLOAT, &out->d);
	case COL_DECIMAL:
		return parse_decimal(c, s, a, &out->s);
	case COL_BYTES:
		return parse_bytea(s, a, &out->s);
	case COL_DATE:
		return parse_date(s, &out->i);
	case COL_TIME:
		return parse_time(s, &out->i);
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		return parse_timestamp(s, c->type == COL_TIMESTAMPTZ, &out->i);
	case COL_UUID:
		out->s = s;
		return s.n == 36 && s.p[8] == '-' && s.p[23] == '-' ? PARSED : MALFORMED;
	case COL_TEXT:
		out->s = c->native_id == PG_CHAR ? parse_char(s, a) : s;
		return PARSED;
	case COL_JSON:
		out->s = s;
		return PARSED;
	case COL_ARRAY:
	case COL_UINT64: /* no PostgreSQL type */
		break;
	}
	return MALFORMED;
}

int pg_value_text(const struct column *c, struct str wire, struct arena *a, struct value *out,
		  struct error *err)
{
	if (c->type == COL_ARRAY)
		return pg_array_text(c, wire, a, out, err);
	switch (parse_value(c, wire, a, out)) {
	case PARSED:
		out->state = VALUE_SET;
		return 0;
	case OUTSIDE:
		out->state = VALUE_UNREPRESENTABLE;
		out->s = wire;
		return 0;
	case MALFORMED:
		break;
	}
	out->state = VALUE_ABSENT;
	return fail(err, ERR_FATAL,
		    "column %.*s: %.*s%s is not how PostgreSQL prints a %.*s under datestyle ISO, "
		    "intervalstyle iso_8601, timezone UTC and bytea_output hex; something between "
		    "us and the server (a pooler, ALTER ROLE) changes these settings",
		    STR_FMT(c->name), (int)(wire.n < 64 ? wire.n : 64), wire.p,
		    wire.n < 64 ? "" : "...", STR_FMT(c->native));
}
