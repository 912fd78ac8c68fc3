/*
 * pg_binary.c - PostgreSQL's binary form (the types' send functions) to typed values
 *
 * All numbers big-endian.
 *
 *	bool		1 byte, 0 or 1
 *	int2 4 8, oid	2, 4, 8, 4 bytes
 *	float4, float8	IEEE 754
 *	numeric		u16 ndigits, i16 weight, u16 sign, u16 dscale, then ndigits base 10000 digits;
 *			the first digit counts 10000^weight.  sign: 0000 +, 4000 -, C000 NaN,
 *			D000 Infinity, F000 -Infinity.  dscale: digits after the point in print
 *	text, varchar, bpchar, name, json, xml, "char", enum	the characters
 *	jsonb		1 byte version (1), the text
 *	uuid		16 bytes
 *	bytea		the bytes
 *	bit, varbit	i32 number of bits, then the bits, most significant first
 *	date		i32 days since 2000-01-01; extremes: infinity
 *	time		i64 microseconds
 *	timetz		i64 microseconds, i32 zone in seconds west of UTC
 *	timestamp[tz]	i64 microseconds since 2000-01-01 (UTC); extremes: infinity
 *	interval	i64 microseconds, i32 days, i32 months
 *	inet, cidr	u8 family (2: IPv4, 3: IPv6), u8 bits, u8 is cidr, u8 length, address
 *	macaddr[8]	6 or 8 bytes
 *
 * What is kept as text, or cannot be held, is printed as the server prints it, so that both forms of
 * a value give the same result.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "pg_values.h"

#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_NAN      0xC000
#define NUMERIC_PLUS     0xD000 /* Infinity */
#define NUMERIC_MINUS    0xF000 /* -Infinity */
#define NUMERIC_DSCALE   0x3FFF

bool pg_binary_known(uint32_t base_oid)
{
	switch (base_oid) {
	case PG_BOOL:
	case PG_BYTEA:
	case PG_CHAR:
	case PG_NAME:
	case PG_INT8:
	case PG_INT2:
	case PG_INT4:
	case PG_TEXT:
	case PG_OID:
	case PG_JSON:
	case PG_XML:
	case PG_CIDR:
	case PG_FLOAT4:
	case PG_FLOAT8:
	case PG_MACADDR8:
	case PG_MACADDR:
	case PG_INET:
	case PG_BPCHAR:
	case PG_VARCHAR:
	case PG_DATE:
	case PG_TIME:
	case PG_TIMESTAMP:
	case PG_TIMESTAMPTZ:
	case PG_INTERVAL:
	case PG_TIMETZ:
	case PG_BIT:
	case PG_VARBIT:
	case PG_NUMERIC:
	case PG_UUID:
	case PG_JSONB:
	case PG_ANYENUM:
		return true;
	default:
		return false;
	}
}

static void set_text(struct value *out, struct str text)
{
	out->state = VALUE_SET;
	out->s = text;
}

static void set_number(struct value *out, int64_t i)
{
	out->state = VALUE_SET;
	out->i = i;
}

static void set_outside(struct value *out, struct str text)
{
	out->state = VALUE_UNREPRESENTABLE;
	out->s = text;
}

/* --- numeric --- */

struct numeric {
	size_t n;
	int weight, dscale;
	unsigned sign;
	const uint8_t *digits; /* base 10000, two bytes each */
};

static unsigned digit_at(const struct numeric *v, int i)
{
	return i < 0 || (size_t)i >= v->n ? 0 : v->digits[2 * i] * 256u + v->digits[2 * i + 1];
}

static bool read_numeric(struct cursor *c, struct numeric *v)
{
	v->n = get_u16be(c);
	v->weight = (int16_t)get_u16be(c);
	v->sign = get_u16be(c);
	v->dscale = get_u16be(c);
	v->digits = c->p;
	get_bytes(c, 2 * v->n);
	if (c->bad || v->dscale > NUMERIC_DSCALE ||
	    (v->sign != 0 && v->sign != NUMERIC_NEGATIVE && v->sign != NUMERIC_NAN &&
	     v->sign != NUMERIC_PLUS && v->sign != NUMERIC_MINUS))
		return false;
	for (size_t i = 0; i < v->n; i++) {
		if (digit_at(v, (int)i) > 9999)
			return false;
	}
	return true;
}

static struct str print_numeric(const struct numeric *v, struct arena *a)
{
	if (v->sign == NUMERIC_NAN)
		return STR("NaN");
	if (v->sign == NUMERIC_PLUS)
		return STR("Infinity");
	if (v->sign == NUMERIC_MINUS)
		return STR("-Infinity");
	size_t whole = v->weight < 0 ? 1 : (size_t)(v->weight + 1) * 4;
	char *text = arena_alloc(a, whole + (size_t)v->dscale + 8), *p = text;

	if (v->sign == NUMERIC_NEGATIVE)
		*p++ = '-';
	char *start = p;

	for (int i = 0; i <= v->weight; i++) {
		unsigned d = digit_at(v, i);

		for (unsigned unit = 1000; unit; unit /= 10) {
			if (p > start || d / unit % 10)
				*p++ = (char)('0' + d / unit % 10);
		}
	}
	if (p == start)
		*p++ = '0';
	if (v->dscale)
		*p++ = '.';
	for (int i = 0; i < v->dscale; i++)
		*p++ = (char)('0' + digit_at(v, v->weight + 1 + i / 4) / pg_pow10[3 - i % 4] % 10);
	return (struct str){ text, (size_t)(p - text) };
}

/* The usual case, up to 18 digits; false: by way of the text. */
static bool small_decimal(const struct column *c, const struct numeric *v, int64_t *out)
{
	int64_t sum = 0;

	if ((v->sign != 0 && v->sign != NUMERIC_NEGATIVE) || v->dscale > c->scale || v->n > 8 ||
	    v->weight < -8 || 4 * (v->weight + 1) + c->scale > 18)
		return false;
	for (int i = 0; i < (int)v->n; i++) {
		int power = 4 * (v->weight - i) + c->scale; /* of the digit's unit */
		int64_t d = digit_at(v, i);

		if (power >= 0) {
			sum += d * pg_pow10[power];
			continue;
		}
		if (power <= -4 || d % pg_pow10[-power]) {
			if (d)
				return false;
			continue;
		}
		sum += d / pg_pow10[-power];
	}
	if (c->precision < 18 && sum >= pg_pow10[c->precision])
		return false;
	*out = v->sign ? -sum : sum;
	return true;
}

static int decode_numeric(const struct column *c, struct cursor *in, struct arena *a,
			  struct value *out, struct error *err)
{
	struct numeric v;
	int64_t small;

	if (!read_numeric(in, &v)) {
		in->bad = true;
		return 0;
	}
	if (c->type == COL_DECIMAL && small_decimal(c, &v, &small)) {
		set_text(out, value_decimal(a, small));
		return 0;
	}
	struct str text = print_numeric(&v, a);

	if (c->type == COL_DECIMAL)
		return pg_value_text(c, text, a, out, err);
	set_text(out, text);
	return 0;
}

/* --- dates and times --- */

static void decode_date(struct cursor *in, struct arena *a, struct value *out)
{
	int32_t wire = (int32_t)get_u32be(in);
	int64_t days = (int64_t)wire + PG_EPOCH_DAYS;

	if (wire == INT32_MAX || wire == INT32_MIN)
		set_outside(out, wire < 0 ? STR("-infinity") : STR("infinity"));
	else if (days < PG_FIRST_DAY || days > PG_LAST_DAY)
		set_outside(out, pg_print_date(a, days));
	else
		set_number(out, days);
}

static void decode_timestamp(struct cursor *in, bool zone, struct arena *a, struct value *out)
{
	int64_t wire = (int64_t)get_u64be(in);

	if (wire == INT64_MAX || wire == INT64_MIN)
		set_outside(out, wire < 0 ? STR("-infinity") : STR("infinity"));
	else if (wire < (PG_FIRST_DAY - PG_EPOCH_DAYS) * PG_DAY ||
		 wire >= (PG_LAST_DAY + 1 - PG_EPOCH_DAYS) * PG_DAY)
		set_outside(out, pg_print_timestamp(a, wire, zone));
	else
		set_number(out, wire + PG_EPOCH_DAYS * PG_DAY);
}

static void decode_time(struct cursor *in, struct value *out)
{
	int64_t us = (int64_t)get_u64be(in);

	if (us < 0 || us > PG_DAY)
		in->bad = true;
	else if (us == PG_DAY)
		set_outside(out, STR("24:00:00"));
	else
		set_number(out, us);
}

static void decode_timetz(struct cursor *in, struct arena *a, struct value *out)
{
	int64_t us = (int64_t)get_u64be(in);
	int32_t west = (int32_t)get_u32be(in);

	if (us < 0 || us > PG_DAY)
		in->bad = true;
	else
		set_text(out, pg_print_timetz(a, us, west));
}

static void decode_interval(struct cursor *in, struct arena *a, struct value *out)
{
	int64_t us = (int64_t)get_u64be(in);
	int32_t days = (int32_t)get_u32be(in);
	int32_t months = (int32_t)get_u32be(in);

	set_text(out, pg_print_interval(a, us, days, months));
}

/* --- the rest --- */

static char *put_hex(char *to, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 15];
	return to;
}

static void decode_uuid(struct cursor *in, struct arena *a, struct value *out)
{
	struct str s = get_bytes(in, 16);
	char *text = arena_alloc(a, 36), *p = text;

	for (size_t i = 0; s.p && i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p = put_hex(p, (uint8_t)s.p[i]);
	}
	set_text(out, (struct str){ text, 36 });
}

static void decode_macaddr(struct cursor *in, size_t n, struct arena *a, struct value *out)
{
	struct str s = get_bytes(in, n);
	char *text = arena_alloc(a, 3 * n), *p = text;

	for (size_t i = 0; s.p && i < n; i++) {
		if (i)
			*p++ = ':';
		p = put_hex(p, (uint8_t)s.p[i]);
	}
	set_text(out, (struct str){ text, 3 * n - 1 });
}

static void decode_bits(struct cursor *in, struct arena *a, struct value *out)
{
	size_t bits = get_u32be(in);
	struct str s = get_bytes(in, (bits + 7) / 8);

	if (!s.p)
		return;
	char *text = arena_alloc(a, bits);

	for (size_t i = 0; i < bits; i++)
		text[i] = (char)('0' + ((uint8_t)s.p[i / 8] >> (7 - i % 8) & 1));
	set_text(out, (struct str){ text, bits });
}

static void decode_inet(struct cursor *in, struct arena *a, struct value *out)
{
	uint8_t family = get_u8(in), bits = get_u8(in), cidr = get_u8(in), length = get_u8(in);
	size_t n = family == 2 ? 4 : 16;
	struct str address = get_bytes(in, n);
	char text[INET6_ADDRSTRLEN];

	if (!address.p || (family != 2 && family != 3) || length != n || bits > 8 * n ||
	    !inet_ntop(n == 4 ? AF_INET : AF_INET6, address.p, text, sizeof text)) {
		in->bad = true;
		return;
	}
	if (cidr || bits != 8 * n)
		set_text(out, str_z(arena_printf(a, "%s/%u", text, bits)));
	else
		set_text(out, arena_copy(a, str_z(text)));
}

static void decode_float(struct cursor *in, bool single, struct value *out)
{
	out->state = VALUE_SET;
	if (single) {
		uint32_t bits = get_u32be(in);
		float f;

		memcpy(&f, &bits, sizeof f);
		out->d = (double)f;
	} else {
		uint64_t bits = get_u64be(in);

		memcpy(&out->d, &bits, sizeof out->d);
	}
}

static void decode_bool(struct cursor *in, struct value *out)
{
	uint8_t b = get_u8(in);

	out->state = VALUE_SET;
	out->b = b == 1;
	in->bad |= b > 1;
}

/* "char": the text form of 0 is empty, beyond ASCII it is \ooo (pg_text.c). */
static int decode_char(const struct column *c, struct cursor *in, struct arena *a,
		       struct value *out, struct error *err)
{
	struct str s = get_bytes(in, 1);

	if (s.p && *s.p == '\0')
		s.n = 0;
	return s.p ? pg_value_text(c, s, a, out, err) : 0;
}

/* Fixed-size forms and characters; -1 without an error: not one of them. */
static int decode_common(const struct column *c, struct cursor *in, struct value *out)
{
	switch (c->native_id) {
	case PG_BOOL:
		decode_bool(in, out);
		return 0;
	case PG_INT2:
		set_number(out, (int16_t)get_u16be(in));
		return 0;
	case PG_INT4:
		set_number(out, (int32_t)get_u32be(in));
		return 0;
	case PG_INT8:
		set_number(out, (int64_t)get_u64be(in));
		return 0;
	case PG_OID:
		set_number(out, get_u32be(in));
		return 0;
	case PG_FLOAT4:
	case PG_FLOAT8:
		decode_float(in, c->native_id == PG_FLOAT4, out);
		return 0;
	case PG_JSONB:
		in->bad |= get_u8(in) != 1;
		set_text(out, get_bytes(in, cursor_left(in)));
		return 0;
	case PG_TEXT:
	case PG_VARCHAR:
	case PG_BPCHAR:
	case PG_NAME:
	case PG_JSON:
	case PG_XML:
	case PG_BYTEA:
	case PG_ANYENUM:
		set_text(out, get_bytes(in, cursor_left(in)));
		return 0;
	default:
		return -1;
	}
}

static int decode_other(const struct column *c, struct cursor *in, struct arena *a,
			struct value *out, struct error *err)
{
	switch (c->native_id) {
	case PG_CHAR:
		return decode_char(c, in, a, out, err);
	case PG_NUMERIC:
		return decode_numeric(c, in, a, out, err);
	case PG_DATE:
		decode_date(in, a, out);
		return 0;
	case PG_TIME:
		decode_time(in, out);
		return 0;
	case PG_TIMETZ:
		decode_timetz(in, a, out);
		return 0;
	case PG_TIMESTAMP:
	case PG_TIMESTAMPTZ:
		decode_timestamp(in, c->native_id == PG_TIMESTAMPTZ, a, out);
		return 0;
	case PG_INTERVAL:
		decode_interval(in, a, out);
		return 0;
	case PG_UUID:
		decode_uuid(in, a, out);
		return 0;
	case PG_MACADDR:
	case PG_MACADDR8:
		decode_macaddr(in, c->native_id == PG_MACADDR ? 6 : 8, a, out);
		return 0;
	case PG_INET:
	case PG_CIDR:
		decode_inet(in, a, out);
		return 0;
	case PG_BIT:
	case PG_VARBIT:
		decode_bits(in, a, out);
		return 0;
	default:
		return fail(err, ERR_FATAL,
			    "column %.*s: the binary form of type %.*s is not known; read the slot "
			    "in text form",
			    STR_FMT(c->name), STR_FMT(c->native));
	}
}

int pg_value_binary(const struct column *c, struct str wire, struct arena *a, struct value *out,
		    struct error *err)
{
	struct cursor in = cursor_of(wire);

	if (decode_common(c, &in, out) && decode_other(c, &in, a, out, err)) {
		out->state = VALUE_ABSENT;
		return -1;
	}
	if (in.bad || in.p != in.end) {
		out->state = VALUE_ABSENT;
		return fail(err, ERR_FATAL,
			    "column %.*s: %zu bytes that are not the binary form of a %.*s; report "
			    "this with the server's version",
			    STR_FMT(c->name), wire.n, STR_FMT(c->native));
	}
	return 0;
}
