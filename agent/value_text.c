/*
 * value_text.c - typed values as text: times, floats, JSON
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "value_text.h"

#define DAY_US INT64_C(86400000000)

static char *put_digits(char *p, unsigned v, int n)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

/* Gregorian date of a day (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static char *put_date(char *p, int64_t days)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	int64_t year = (int64_t)yoe + era * 400 + (mp >= 10);

	if (year >= 0 && year <= 9999)
		p = put_digits(p, (unsigned)year, 4);
	else
		p += snprintf(p, 24, "%" PRId64, year);
	*p++ = '-';
	p = put_digits(p, mp < 10 ? mp + 3 : mp - 9, 2);
	*p++ = '-';
	return put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
}

static char *put_clock(char *p, int64_t us)
{
	unsigned s = (unsigned)(us / 1000000);

	p = put_digits(p, s / 3600, 2);
	*p++ = ':';
	p = put_digits(p, s / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, s % 60, 2);
	*p++ = '.';
	return put_digits(p, (unsigned)(us % 1000000), 6);
}

struct str value_time(enum column_type type, int64_t v, char between, const char *zone,
		      char out[VALUE_TEXT])
{
	int64_t days = v / DAY_US, rest = v % DAY_US;
	char *p = out;

	if (rest < 0) {
		days--;
		rest += DAY_US;
	}
	if (type == COL_DATE) {
		p = put_date(p, v);
	} else if (type == COL_TIME) {
		p = put_clock(p, rest);
	} else {
		p = put_date(p, days);
		*p++ = between;
		p = put_clock(p, rest);
		if (type == COL_TIMESTAMPTZ)
			p = stpcpy(p, zone);
	}
	*p = '\0';
	return (struct str){ out, (size_t)(p - out) };
}

bool value_is_finite(double d)
{
	return isfinite(d);
}

struct str value_float(double d, bool single, char out[VALUE_TEXT])
{
	int most = single ? 9 : 17;
	/* So many digits always come back, but near zero fewer are there. */
	int least = fabs(d) < (single ? (double)FLT_MIN : DBL_MIN) ? 1 : single ? 6 : 15;

	if (!isfinite(d))
		return str_z(isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
	for (int digits = least;; digits++) {
		int n = snprintf(out, VALUE_TEXT, "%.*g", digits, d);

		if (digits == most ||
		    (single ? strtof(out, NULL) == (float)d : strtod(out, NULL) == d))
			return (struct str){ out, (size_t)n };
	}
}

void value_base64(struct buf *out, struct str bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes.n; i += 3) {
		const uint8_t *p = (const uint8_t *)bytes.p + i;
		size_t left = bytes.n - i;
		unsigned v = (unsigned)p[0] << 16 | (left > 1 ? (unsigned)p[1] << 8 : 0) |
			     (left > 2 ? p[2] : 0u);
		char four[4] = { digits[v >> 18], digits[v >> 12 & 63],
				 left > 1 ? digits[v >> 6 & 63] : '=',
				 left > 2 ? digits[v & 63] : '=' };

		buf_add(out, four, sizeof four);
	}
}

static void put_quoted(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	buf_add(out, s.p, s.n);
	buf_addc(out, '"');
}

static void put_scalar(struct buf *out, enum column_type type, int scale, const struct value *v)
{
	char text[VALUE_TEXT];
	struct str s;

	switch (type) {
	case COL_BOOL:
		buf_adds(out, v->b ? "true" : "false");
		break;
	case COL_INT32:
	case COL_INT64:
		buf_addf(out, "%" PRId64, v->i);
		break;
	case COL_UINT64: /* a decimal in Avro, so a string like them */
		buf_addf(out, "\"%" PRIu64 "\"", v->u);
		break;
	case COL_FLOAT:
	case COL_DOUBLE:
		s = value_float(v->d, type == COL_FLOAT, text);
		if (value_is_finite(v->d))
			buf_add(out, s.p, s.n);
		else
			put_quoted(out, s);
		break;
	case COL_DECIMAL:
		buf_addc(out, '"');
		decimal_format(v->s, scale, out);
		buf_addc(out, '"');
		break;
	case COL_BYTES:
		buf_addc(out, '"');
		value_base64(out, v->s);
		buf_addc(out, '"');
		break;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		put_quoted(out, value_time(type, v->i, 'T', "Z", text));
		break;
	default:
		buf_json(out, v->s);
	}
}

void value_json(struct buf *out, const struct column *c, const struct value *v)
{
	if (v->state != VALUE_SET) {
		buf_adds(out, "null");
		return;
	}
	if (c->type != COL_ARRAY) {
		put_scalar(out, c->type, c->scale, v);
		return;
	}
	buf_addc(out, '[');
	for (size_t i = 0; i < v->a->n; i++) {
		const struct value *item = &v->a->items[i];

		if (i)
			buf_addc(out, ',');
		if (item->state == VALUE_SET)
			put_scalar(out, c->element, c->scale, item);
		else
			buf_adds(out, "null");
	}
	buf_addc(out, ']');
}
