/*
 * pg_target_value.c - values for a PostgreSQL target: elements of binary arrays
 *
 * The form is that of the server's send and receive functions (array_recv() and those of the types):
 *
 *	array	i32 dimensions, i32 has nulls, u32 OID of the element, i32 elements, i32 lower bound,
 *		then each element: i32 length (-1: NULL), bytes; all big-endian
 *	numeric	i16 digits, i16 weight of the first, u16 sign, u16 scale, then digits to the base 10000
 *	date	i32 days since 2000-01-01	timestamp, timestamptz	i64 microseconds since then
 *	jsonb	u8 version (1), text
 *
 * What has no such form here, or only its text says what it is, goes as text, which the
 * statement casts.  Text is the bytes themselves: nothing is quoted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "pg_target.h"
#include "value_text.h"

/* OIDs of PostgreSQL's catalog/pg_type.dat; they never change. */
enum {
	BOOL = 16,
	BYTEA = 17,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	OID = 26,
	JSON = 114,
	FLOAT4 = 700,
	FLOAT8 = 701,
	BPCHAR = 1042,
	VARCHAR = 1043,
	DATE = 1082,
	TIME = 1083,
	TIMESTAMP = 1114,
	TIMESTAMPTZ = 1184,
	NUMERIC = 1700,
	UUID = 2950,
	JSONB = 3802,
};

#define EPOCH_DAYS 10957 /* 2000-01-01 in days since 1970-01-01 */
#define EPOCH_US   (EPOCH_DAYS * INT64_C(86400000000))

static const struct {
	enum column_type type;
	uint32_t target;
	const char *name;
} forms[] = {
	{ COL_BOOL, BOOL, "bool" },
	{ COL_INT32, INT4, "int4" },
	{ COL_INT32, INT2, "int2" },
	{ COL_INT32, INT8, "int8" },
	{ COL_INT64, INT8, "int8" },
	{ COL_INT64, OID, "oid" },
	{ COL_UINT64, NUMERIC, "numeric" },
	{ COL_FLOAT, FLOAT4, "float4" },
	{ COL_DOUBLE, FLOAT8, "float8" },
	{ COL_DECIMAL, NUMERIC, "numeric" },
	{ COL_TEXT, TEXT, "text" },
	{ COL_TEXT, VARCHAR, "varchar" },
	{ COL_TEXT, BPCHAR, "bpchar" },
	{ COL_BYTES, BYTEA, "bytea" },
	{ COL_DATE, DATE, "date" },
	{ COL_TIME, TIME, "time" },
	{ COL_TIMESTAMP, TIMESTAMP, "timestamp" },
	{ COL_TIMESTAMPTZ, TIMESTAMPTZ, "timestamptz" },
	{ COL_UUID, UUID, "uuid" },
	{ COL_JSON, JSON, "json" },
	{ COL_JSON, JSONB, "jsonb" },
	{ COL_JSON, TEXT, "text" },
};

struct pg_form pg_target_form(const struct column *c, const struct sql_column *have, bool text)
{
	for (size_t i = 0; !text && i < COUNT(forms); i++) {
		if (forms[i].type != c->type || forms[i].target != have->type_id)
			continue;
		/* where it might not fit, the cast from text says so */
		if ((have->type_id == INT2 && !str_eqz(c->native, "smallint")) ||
		    (have->type_id == OID && !str_eqz(c->native, "oid")))
			break;
		return (struct pg_form){ forms[i].name, forms[i].target, false };
	}
	return (struct pg_form){ "text", TEXT, true };
}

bool pg_target_exact(const struct column *c, const struct sql_column *have)
{
	switch (have->type_id) {
	case NUMERIC: /* 1.0 and 1.00 are equal, but not the same without a fixed scale */
		return c->type == COL_DECIMAL || c->type == COL_UINT64;
	case JSON:
	case JSONB:
	case FLOAT4: /* 0 and -0 */
	case FLOAT8:
		return false;
	default:
		return !pg_target_form(c, have, false).text;
	}
}

/* --- numbers --- */

static void put_u16(struct buf *out, unsigned v)
{
	uint16_t be = htobe16((uint16_t)v);

	buf_add(out, &be, sizeof be);
}

static void put_u32(struct buf *out, uint32_t v)
{
	v = htobe32(v);
	buf_add(out, &v, sizeof v);
}

static void put_u64(struct buf *out, uint64_t v)
{
	v = htobe64(v);
	buf_add(out, &v, sizeof v);
}

static void put_sized_u32(struct buf *out, uint32_t v)
{
	put_u32(out, 4);
	put_u32(out, v);
}

static void put_sized_u64(struct buf *out, uint64_t v)
{
	put_u32(out, 8);
	put_u64(out, v);
}

static void put_bytes(struct buf *out, struct str s)
{
	put_u32(out, (uint32_t)s.n);
	buf_add(out, s.p, s.n);
}

/* --- numeric --- */

#define NUMERIC_NEGATIVE 0x4000

/* Digits to the base 10000, the most significant first; `weight` of digits[0]. */
static void put_numeric_digits(struct buf *out, const uint16_t *digits, size_t n, int weight,
			       bool negative, int scale)
{
	while (n && digits[0] == 0)
		digits++, n--, weight--;
	while (n && digits[n - 1] == 0)
		n--;
	put_u32(out, (uint32_t)(8 + 2 * n));
	put_u16(out, (unsigned)n);
	put_u16(out, n ? (unsigned)(weight & 0xffff) : 0);
	put_u16(out, negative && n ? NUMERIC_NEGATIVE : 0);
	put_u16(out, (unsigned)scale);
	for (size_t i = 0; i < n; i++)
		put_u16(out, digits[i]);
}

/* An unscaled number of up to 64 bits. */
static void put_numeric_small(struct buf *out, uint64_t v, bool negative, int scale)
{
	static const unsigned powers[] = { 1, 1000, 100, 10 };
	unsigned __int128 rest = (unsigned __int128)v * powers[scale % 4];
	uint16_t digits[8];
	size_t at = COUNT(digits);

	while (rest && at) {
		digits[--at] = (uint16_t)(rest % 10000);
		rest /= 10000;
	}
	size_t n = COUNT(digits) - at;

	put_numeric_digits(out, digits + at, n, (int)n - (scale + 3) / 4 - 1, negative, scale);
}

/* From text: "-123.4500". */
static void put_numeric_text(struct buf *out, struct str text, int scale)
{
	bool negative = text.n && text.p[0] == '-';
	struct str s = { text.p + negative, text.n - negative };
	const char *point = memchr(s.p, '.', s.n);
	size_t whole = point ? (size_t)(point - s.p) : s.n;
	size_t fraction = point ? s.n - whole - 1 : 0;
	size_t groups = (whole + 3) / 4, n = groups + (fraction + 3) / 4;
	AUTO(free) uint16_t *digits = xcalloc(n + 1, sizeof *digits);

	for (size_t i = 0; i < whole; i++) {
		uint16_t *d = &digits[(i + 4 * groups - whole) / 4];

		*d = (uint16_t)(*d * 10 + (s.p[i] - '0'));
	}
	for (size_t i = 0; i < (fraction + 3) / 4 * 4; i++) {
		uint16_t *d = &digits[groups + i / 4];

		*d = (uint16_t)(*d * 10 + (i < fraction ? point[1 + i] - '0' : 0));
	}
	put_numeric_digits(out, digits, n, (int)groups - 1, negative, scale);
}

/* Two's complement, big-endian. */
static void put_decimal(struct buf *out, struct str s, int scale, struct buf *scratch)
{
	uint64_t v = s.n && (s.p[0] & 0x80) ? UINT64_MAX : 0;

	if (s.n > 8) {
		buf_clear(scratch);
		decimal_format(s, scale, scratch);
		put_numeric_text(out, (struct str){ scratch->p, scratch->n }, scale);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	bool negative = v >> 63;

	put_numeric_small(out, negative ? 0 - v : v, negative, scale);
}

/* --- text --- */

static void put_text(struct buf *out, const struct column *c, enum column_type type,
		     const struct value *v);

/* {1,NULL,"a b"}: everything but numbers is quoted. */
static void put_array_text(struct buf *out, const struct column *c, const struct array *a)
{
	AUTO(buf) struct buf item = { 0 };
	char between = c->delimiter ? c->delimiter : ',';

	buf_addc(out, '{');
	for (size_t i = 0; i < a->n; i++) {
		if (i)
			buf_addc(out, between);
		if (a->items[i].state != VALUE_SET) {
			buf_adds(out, "NULL");
			continue;
		}
		buf_clear(&item);
		put_text(&item, c, c->element, &a->items[i]);
		buf_addc(out, '"');
		for (size_t j = 0; j < item.n; j++) {
			if (item.p[j] == '"' || item.p[j] == '\\')
				buf_addc(out, '\\');
			buf_addc(out, item.p[j]);
		}
		buf_addc(out, '"');
	}
	buf_addc(out, '}');
}

static void put_hex(struct buf *out, struct str s)
{
	static const char digits[] = "0123456789abcdef";

	buf_adds(out, "\\x");
	for (size_t i = 0; i < s.n; i++) {
		buf_addc(out, digits[(uint8_t)s.p[i] >> 4]);
		buf_addc(out, digits[(uint8_t)s.p[i] & 15]);
	}
}

static void put_str(struct buf *out, struct str s)
{
	buf_add(out, s.p, s.n);
}

/* As the type's input function takes it. */
static void put_text(struct buf *out, const struct column *c, enum column_type type,
		     const struct value *v)
{
	char text[VALUE_TEXT];

	switch (type) {
	case COL_BOOL:
		buf_addc(out, v->b ? 't' : 'f');
		break;
	case COL_INT32:
	case COL_INT64:
		buf_addf(out, "%" PRId64, v->i);
		break;
	case COL_UINT64:
		buf_addf(out, "%" PRIu64, v->u);
		break;
	case COL_FLOAT:
	case COL_DOUBLE:
		put_str(out, value_float(v->d, type == COL_FLOAT, text));
		break;
	case COL_DECIMAL:
		decimal_format(v->s, c->scale, out);
		break;
	case COL_BYTES:
		put_hex(out, v->s);
		break;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		put_str(out, value_time(type, v->i, ' ', "+00", text));
		break;
	case COL_ARRAY:
		put_array_text(out, c, v->a);
		break;
	case COL_TEXT:
	case COL_UUID:
	case COL_JSON:
		put_str(out, v->s);
		break;
	}
}

static void put_as_text(struct buf *out, const struct column *c, const struct value *v,
			struct buf *scratch)
{
	if (v->state == VALUE_UNREPRESENTABLE) {
		put_bytes(out, v->s);
		return;
	}
	buf_clear(scratch);
	put_text(scratch, c, c->type, v);
	put_bytes(out, (struct str){ scratch->p, scratch->n });
}

/* --- elements --- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* 36 characters to 16 bytes. */
static void put_uuid(struct buf *out, struct str s)
{
	put_u32(out, 16);
	for (size_t i = 0; i + 1 < s.n; i++) {
		if (s.p[i] == '-')
			continue;
		buf_addc(out, (char)(hex(s.p[i]) << 4 | hex(s.p[i + 1])));
		i++;
	}
}

static void put_float(struct buf *out, double d, bool single)
{
	float f = (float)d;
	uint64_t bits = 0;
	uint32_t small;

	memcpy(&small, &f, sizeof small);
	memcpy(&bits, &d, sizeof bits);
	if (single)
		put_sized_u32(out, small);
	else
		put_sized_u64(out, bits);
}

static void put_integer(struct buf *out, uint32_t element, int64_t i)
{
	if (element == INT2) {
		put_u32(out, 2);
		put_u16(out, (unsigned)i & 0xffff);
	} else if (element == INT4 || element == OID) {
		put_sized_u32(out, (uint32_t)i);
	} else {
		put_sized_u64(out, (uint64_t)i);
	}
}

static void put_binary(struct buf *out, const struct column *c, uint32_t element,
		       const struct value *v, struct buf *scratch)
{
	switch (c->type) {
	case COL_BOOL:
		put_u32(out, 1);
		buf_addc(out, (char)v->b);
		break;
	case COL_INT32:
	case COL_INT64:
		put_integer(out, element, v->i);
		break;
	case COL_UINT64:
		put_numeric_small(out, v->u, false, 0);
		break;
	case COL_FLOAT:
	case COL_DOUBLE:
		put_float(out, v->d, c->type == COL_FLOAT);
		break;
	case COL_DECIMAL:
		put_decimal(out, v->s, c->scale, scratch);
		break;
	case COL_DATE:
		put_sized_u32(out, (uint32_t)(v->i - EPOCH_DAYS));
		break;
	case COL_TIME:
		put_sized_u64(out, (uint64_t)v->i);
		break;
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		put_sized_u64(out, (uint64_t)(v->i - EPOCH_US));
		break;
	case COL_UUID:
		put_uuid(out, v->s);
		break;
	case COL_JSON:
		put_u32(out, (uint32_t)(v->s.n + (element == JSONB)));
		if (element == JSONB)
			buf_addc(out, 1);
		buf_add(out, v->s.p, v->s.n);
		break;
	case COL_TEXT:
	case COL_BYTES:
	case COL_ARRAY: /* never: its form is text */
		put_bytes(out, v->s);
		break;
	}
}

void pg_target_put_null(struct buf *out)
{
	put_u32(out, UINT32_MAX);
}

void pg_target_put(struct buf *out, const struct column *c, struct pg_form form,
		   const struct value *v, struct buf *scratch)
{
	if (v->state != VALUE_SET && !(form.text && v->state == VALUE_UNREPRESENTABLE))
		pg_target_put_null(out);
	else if (form.text)
		put_as_text(out, c, v, scratch);
	else
		put_binary(out, c, form.element, v, scratch);
}

void pg_target_put_time(struct buf *out, int64_t us)
{
	put_sized_u64(out, (uint64_t)(us - EPOCH_US));
}

void pg_target_put_header(struct buf *out, uint32_t element, size_t n)
{
	put_u32(out, 1);
	put_u32(out, 1);
	put_u32(out, element);
	put_u32(out, (uint32_t)n);
	put_u32(out, 1);
}
