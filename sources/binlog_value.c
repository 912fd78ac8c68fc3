/*
 * binlog_value.c - the cells of a row event as typed values
 *
 * Cells, without an alignment, of the columns that are present and not NULL; little-endian unless said:
 *
 *	integers	1, 2, 3, 4 or 8 bytes
 *	YEAR		1 byte: 0 is 0000, otherwise years since 1900
 *	FLOAT, DOUBLE	IEEE 754
 *	NEWDECIMAL	groups of nine digits in 4 bytes, big-endian, on both sides of the point; what is left over at the
 *			outer ends in as few bytes as hold it; the sign is the top bit, inverted; of a negative number all
 *			other bits are inverted too
 *	BIT(n)		(n + 7) / 8 bytes, big-endian
 *	ENUM, SET	1 or 2 bytes: the label's number from 1, 0 is ''; 1 to 8 bytes: a bit for each label
 *	CHAR, BINARY	length in 1 byte (2 if it can pass 255), bytes without the trailing blanks or zeros
 *	VARCHAR ..	the same
 *	BLOB, TEXT, GEOMETRY, JSON, VECTOR	length in 1 to 4 bytes, as the column's metadata says
 *	GEOMETRY	u32 SRID, then WKB
 *	compressed	(MariaDB) u8: method << 4 | 8 if without zlib's wrapping | n, the length in n bytes, big-endian,
 *			then the data; method 0: as it is, 8: zlib
 *	UUID, INET6	(MariaDB) as BINARY(16): the bytes in the order of print
 *	INET4		(MariaDB) as BINARY(4)
 *
 * Dates and times: binlog_temporal.c; JSON: binlog_json.c.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#define ZLIB_CONST /* its input is not written to */
#include <zlib.h>

#include "avro.h"
#include "binlog_cell.h"
#include "config.h"

#define WKB_SRID  UINT32_C(0x20000000) /* the flag of EWKB's type */
#define WKB_LEAST 9                    /* byte order, type, a number */

int binlog_malformed(const struct binlog_field *f, struct error *err)
{
	return fail(
		err, ERR_FATAL,
		"column %.*s: these are not the bytes of a %.*s, or they are cut off; the log is "
		"damaged, or the definition of the table is not the one that it was written under",
		STR_FMT(f->name), STR_FMT(f->native));
}

/* --- decimals --- */

static const uint8_t digit_bytes[] = { 0, 1, 1, 2, 2, 3, 3, 4, 4, 4 };
static const uint32_t power10[] = { 1,      10,      100,      1000,      10000,
				    100000, 1000000, 10000000, 100000000, 1000000000 };

#define GROUP         9
#define DECIMAL_SHORT 10 /* bytes of 18 digits, whichever way the point divides them */

/* The groups of a decimal, one after the other, from a copy in which the sign is taken out. */
struct groups {
	uint8_t bytes[40]; /* DECIMAL(65, 30) has 30 */
	const uint8_t *p;
	unsigned whole, fraction;
	bool negative;
};

static bool start_groups(struct cursor *c, unsigned precision, unsigned scale, struct groups *g)
{
	g->whole = precision - scale;
	g->fraction = scale;
	size_t n = g->whole / GROUP * 4 + digit_bytes[g->whole % GROUP] + scale / GROUP * 4 +
		   digit_bytes[scale % GROUP];
	struct str s = get_bytes(c, n);

	if (!s.p || n == 0 || n > sizeof g->bytes)
		return false;
	memcpy(g->bytes, s.p, n);
	g->negative = !(g->bytes[0] & 0x80);
	g->bytes[0] ^= 0x80;
	for (size_t i = 0; g->negative && i < n; i++)
		g->bytes[i] = (uint8_t)~g->bytes[i];
	g->p = g->bytes;
	return true;
}

/* The next group of so many digits. */
static uint32_t next_group(struct groups *g, unsigned digits)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digit_bytes[digits]; i++)
		v = v << 8 | *g->p++;
	return v;
}

/* How many digits the next group has: of the whole part the left one is the odd one, of the fraction the last. */
static unsigned take_digits(struct groups *g)
{
	unsigned n = g->whole ? (g->whole % GROUP ? g->whole % GROUP : GROUP)
			      : (g->fraction < GROUP ? g->fraction : GROUP);

	if (g->whole)
		g->whole -= n;
	else
		g->fraction -= n;
	return n;
}

/* Digits without a point; false: a group has more digits than it may. */
static bool put_groups(struct groups *g, char *p, unsigned point)
{
	unsigned done = 0;

	while (g->whole || g->fraction) {
		unsigned n = take_digits(g);
		uint32_t v = next_group(g, n);

		if (v >= power10[n])
			return false;
		if (done == point && point)
			*p++ = '.';
		done += n;
		for (unsigned i = n; i-- > 0; v /= 10)
			p[i] = (char)('0' + v % 10);
		p += n;
	}
	return true;
}

bool binlog_decimal_text(struct cursor *c, unsigned precision, unsigned scale, struct arena *a,
			 struct str *out)
{
	struct groups g;
	char *text = arena_alloc(a, precision + 3), *p = text + 2,
	     *end = p + precision + (scale > 0);

	if (precision < scale || precision == 0 || !start_groups(c, precision, scale, &g))
		return false;
	if (precision == scale) { /* no whole part: the server prints a zero for it */
		text[0] = '-';
		text[1] = '0';
		text[2] = '.';
		if (!put_groups(&g, p + 1, 0))
			return false;
		*out = (struct str){ text + !g.negative, (size_t)(end - text) - !g.negative };
		return true;
	}
	if (!put_groups(&g, p, scale ? precision - scale : 0))
		return false;
	while (*p == '0' && p + 1 < end && p[1] != '.')
		p++;
	if (g.negative)
		*--p = '-';
	*out = (struct str){ p, (size_t)(end - p) };
	return true;
}

/*
 * The next group of at most 18 digits, onto *v.  `top`: the sign's bit if this is the first group; `flip`: all bits of a
 * negative number.
 */
static inline bool add_group(const uint8_t **p, unsigned digits, uint32_t *top, uint32_t flip,
			     int64_t *v)
{
	unsigned n = digit_bytes[digits];
	uint32_t group;

	memcpy(&group, *p, sizeof group);
	group = (be32toh(group) ^ flip ^ *top) >> (32 - 8 * n);
	*p += n;
	*top = 0;
	if (group >= power10[digits])
		return false;
	*v = *v * power10[digits] + group;
	return true;
}

bool binlog_decimal(struct cursor *c, unsigned precision, unsigned scale, struct arena *a,
		    struct str *out)
{
	if (precision > 18) {
		struct str text;

		return binlog_decimal_text(c, precision, scale, a, &text) &&
		       decimal_parse(text, (int)precision, (int)scale, a, out);
	}
	if (precision < scale || precision == 0)
		return false;
	unsigned whole = precision - scale;
	struct str s = get_bytes(c, whole / GROUP * 4 + digit_bytes[whole % GROUP] +
					    scale / GROUP * 4 + digit_bytes[scale % GROUP]);

	if (!s.p)
		return false;
	/* A group is read with four bytes. */
	uint8_t copy[DECIMAL_SHORT + sizeof(uint32_t)] = { 0 };
	const uint8_t *p =
		cursor_left(c) >= sizeof(uint32_t) ? (const uint8_t *)s.p : memcpy(copy, s.p, s.n);
	uint32_t top = UINT32_C(1) << 31, flip = *p & 0x80 ? 0 : UINT32_MAX;
	int64_t v = 0;

	if (whole % GROUP && !add_group(&p, whole % GROUP, &top, flip, &v))
		return false;
	for (unsigned i = 0; i < whole / GROUP + scale / GROUP; i++)
		if (!add_group(&p, GROUP, &top, flip, &v))
			return false;
	if (scale % GROUP && !add_group(&p, scale % GROUP, &top, flip, &v))
		return false;
	*out = value_decimal(a, flip ? -v : v);
	return true;
}

/* --- text --- */

static inline struct str cell_bytes(const struct binlog_field *f, struct cursor *c)
{
	return get_bytes(c, f->prefix == 1 ? get_u8(c) : (size_t)cell_le(c, f->prefix));
}

static char *put_hex(char *to, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 15];
	return to;
}

static struct str hex_text(struct str s, struct arena *a)
{
	char *text = arena_alloc(a, 2 * s.n + 2), *to = text;

	*to++ = '\\';
	*to++ = 'x';
	for (size_t i = 0; i < s.n; i++)
		to = put_hex(to, (uint8_t)s.p[i]);
	return (struct str){ text, 2 * s.n + 2 };
}

/* Bytes that are not in the charset; `replaced` has U+FFFD in their place. */
static int invalid_text(const struct binlog_field *f, struct str bytes, struct str replaced,
			struct arena *a, struct value *out, struct error *err)
{
	switch ((enum invalid_bytes)f->invalid_bytes) {
	case INVALID_BYTES_STOP:
		break;
	case INVALID_BYTES_REPLACE:
		out->s = replaced;
		return 0;
	case INVALID_BYTES_BYTES:
		*out = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = hex_text(bytes, a) };
		return 0;
	}
	return fail(err, ERR_FATAL,
		    "column %.*s: the text is not valid in its character set %s; set "
		    "source.invalid_bytes to replace or bytes, if only until this place is passed",
		    STR_FMT(f->name), f->charset ? charset_name(f->charset) : "utf8mb4");
}

static int give_text(const struct binlog_field *f, struct str s, struct arena *a, struct value *out,
		     struct error *err)
{
	if (!s.p || charset_to_utf8(f->charset, s, a, &out->s))
		return 0;
	return invalid_text(f, s, out->s, a, out, err);
}

/* Puts back the zero bytes that the log leaves out. */
static struct str padded(const struct binlog_field *f, struct str s, struct arena *a)
{
	if (!s.p || s.n >= f->size)
		return s;
	char *p = arena_zalloc(a, f->size);

	memcpy(p, s.p, s.n);
	return (struct str){ p, f->size };
}

/* Labels that are not known: the number. */
static bool give_number(uint64_t number, struct arena *a, struct value *out)
{
	out->state = VALUE_UNREPRESENTABLE;
	out->s = str_z(arena_printf(a, "%" PRIu64, number));
	return true;
}

/* A copy of the label: a later statement may take the field away before the value is written. */
static bool give_enum(const struct binlog_field *f, uint64_t number, struct arena *a,
		      struct value *out)
{
	if (number > f->nlabels)
		return false;
	if (number && !f->labels[number - 1].p)
		return give_number(number, a, out);
	out->s = number ? arena_copy(a, f->labels[number - 1]) : STR("");
	return true;
}

static bool give_set(const struct binlog_field *f, uint64_t bits, struct arena *a,
		     struct value *out)
{
	size_t n = 0;

	if (f->nlabels < 64 && bits >> f->nlabels)
		return false;
	for (uint64_t left = bits; left; left &= left - 1) {
		struct str label = f->labels[__builtin_ctzll(left)];

		if (!label.p)
			return give_number(bits, a, out);
		n += label.n + 1;
	}
	char *text = arena_alloc(a, n + 1), *p = text;

	for (uint64_t left = bits; left; left &= left - 1) {
		struct str label = f->labels[__builtin_ctzll(left)];

		if (p > text)
			*p++ = ',';
		memcpy(p, label.p, label.n);
		p += label.n;
	}
	out->s = (struct str){ text, (size_t)(p - text) };
	return true;
}

/* --- MariaDB's compressed columns --- */

static bool inflate_cell(struct str s, struct arena *a, struct str *out)
{
	struct cursor c = cursor_of(s);
	uint8_t head = get_u8(&c);

	*out = s;
	if (s.n == 0) /* an empty value has no header */
		return s.p != NULL;
	if (head >> 4 == 0) {
		*out = get_bytes(&c, cursor_left(&c));
		return (head & 15) == 0;
	}
	size_t size = (size_t)cell_be(&c, head & 7);

	/* zlib makes at most about a thousand of one. */
	if (head >> 4 != 8 || c.bad || size > 1040 * (s.n + 16) || size > UINT32_MAX ||
	    s.n > UINT32_MAX)
		return false;
	struct str packed = get_bytes(&c, cursor_left(&c));
	char *p = arena_alloc(a, size + 1);
	z_stream z = { .next_in = (const Bytef *)packed.p,
		       .avail_in = (uInt)packed.n,
		       .next_out = (Bytef *)p,
		       .avail_out = (uInt)size + 1 };

	if (inflateInit2(&z, head & 8 ? -MAX_WBITS : MAX_WBITS) != Z_OK)
		return false;
	int done = inflate(&z, Z_FINISH);

	inflateEnd(&z);
	*out = (struct str){ p, size };
	return done == Z_STREAM_END && z.total_out == size;
}

static int give_compressed(const struct binlog_field *f, struct str s, struct arena *a,
			   struct value *out, struct error *err)
{
	struct str plain;

	if (!s.p)
		return 0;
	if (!inflate_cell(s, a, &plain))
		return binlog_malformed(f, err);
	if (f->how == CELL_COMPRESSED_TEXT)
		return give_text(f, plain, a, out, err);
	out->s = plain;
	return 0;
}

/* --- the rest --- */

/* SRID and WKB: the bytes in place where there is no SRID, otherwise EWKB. */
static bool give_geometry(struct str s, struct arena *a, struct value *out)
{
	struct cursor c = cursor_of(s);
	uint32_t srid = get_u32le(&c);
	struct str wkb = get_bytes(&c, cursor_left(&c));

	out->s = s.n ? wkb : s; /* nothing at all is what IGNORE makes of no geometry */
	if (s.n == 0)
		return s.p != NULL;
	if (wkb.n < WKB_LEAST || (uint8_t)wkb.p[0] > 1)
		return false;
	if (!srid)
		return true;
	bool little = wkb.p[0] == 1;
	uint32_t type;
	char *p = arena_alloc(a, wkb.n + 4);

	memcpy(&type, wkb.p + 1, 4);
	type |= little ? htole32(WKB_SRID) : htobe32(WKB_SRID);
	srid = little ? htole32(srid) : htobe32(srid);
	p[0] = wkb.p[0];
	memcpy(p + 1, &type, 4);
	memcpy(p + 5, &srid, 4);
	memcpy(p + 9, wkb.p + 5, wkb.n - 5);
	out->s = (struct str){ p, wkb.n + 4 };
	return true;
}

/* In the order of print; only MariaDB's tables turn some versions round. */
static void give_uuid(struct str stored, struct arena *a, struct value *out)
{
	char *text = arena_alloc(a, 36), *p = text;

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p = put_hex(p, (uint8_t)stored.p[i]);
	}
	out->s = (struct str){ text, 36 };
}

/* The longest run of zero words, the first of equals: inet_ntop() of the C library leaves a single one alone. */
static size_t zero_run(const uint16_t *words, size_t *length)
{
	size_t best = 8;

	*length = 0;
	for (size_t i = 0, n; i < 8; i += n + 1) {
		for (n = 0; i + n < 8 && !words[i + n]; n++)
			;
		if (n > *length) {
			*length = n;
			best = i;
		}
	}
	return best;
}

/* As the server prints an IPv6 address; the last two words of a mapped or compatible one as IPv4. */
static void give_inet6(struct str stored, struct arena *a, struct value *out)
{
	struct cursor c = cursor_of(stored);
	uint16_t words[8];
	char *text = arena_alloc(a, INET6_ADDRSTRLEN), *p = text, *end = text + INET6_ADDRSTRLEN;
	size_t length;

	for (size_t i = 0; i < 8; i++)
		words[i] = get_u16be(&c);
	size_t gap = zero_run(words, &length);

	for (size_t i = 0; i < 8; i++) {
		if (i == gap) {
			p = stpcpy(p, i == 0 ? "::" : ":");
			i += length - 1;
		} else if (i == 6 && gap == 0 &&
			   (length == 6 || (length == 5 && words[5] == 0xffff))) {
			inet_ntop(AF_INET, stored.p + 12, p, (socklen_t)(end - p));
			p += strlen(p);
			break;
		} else {
			p += snprintf(p, (size_t)(end - p), i == 7 ? "%x" : "%x:", words[i]);
		}
	}
	out->s = (struct str){ text, (size_t)(p - text) };
}

static void give_inet4(struct str stored, struct arena *a, struct value *out)
{
	char *text = arena_alloc(a, INET_ADDRSTRLEN);

	inet_ntop(AF_INET, stored.p, text, INET_ADDRSTRLEN);
	out->s = str_z(text);
}

/* MariaDB's types of fixed size, whose zero bytes at the end are left out too. */
static bool give_fixed(const struct binlog_field *f, struct str s, struct arena *a,
		       struct value *out)
{
	s = padded(f, s, a);
	if (!s.p || s.n != f->size)
		return false;
	if (f->how == CELL_UUID)
		give_uuid(s, a, out);
	else if (f->how == CELL_INET6)
		give_inet6(s, a, out);
	else
		give_inet4(s, a, out);
	return true;
}

int binlog_json_cell(const struct binlog_field *f, struct cursor *c, struct str *out,
		     struct error *err)
{
	*out = cell_bytes(f, c);
	return c->bad ? binlog_malformed(f, err) : 0;
}

static int give_json(const struct binlog_field *f, struct cursor *c, struct arena *a,
		     struct value *out, struct error *err)
{
	struct str binary = cell_bytes(f, c);

	if (!binary.p)
		return 0;
	if (binlog_json_print(binary, f->json_bare, a, &out->s, err))
		return error_prefix(err, "column %.*s: ", STR_FMT(f->name));
	if (utf8_valid(out->s))
		return 0;
	struct str replaced;

	charset_to_utf8(charset_by_name(STR("utf8mb4")), out->s, a, &replaced);
	return invalid_text(f, out->s, replaced, a, out, err);
}

static bool give_bits(const struct binlog_field *f, struct cursor *c, struct value *out)
{
	unsigned over = f->meta & 0xff; /* bits in the first byte, 0: all of them */

	out->s = get_bytes(c, f->size);
	return !out->s.p || !out->s.n || !over || !((uint8_t)out->s.p[0] >> over);
}

/* What is not so common that its place in the first switch pays; -1: error set. */
static int give_other(const struct binlog_field *f, struct cursor *c, struct arena *a,
		      struct value *out, struct error *err)
{
	bool good = true;

	switch ((enum binlog_cell)f->how) {
	case CELL_BIT:
		out->i = 0;
		good = c->p < c->end && *c->p <= 1;
		out->b = get_u8(c) == 1;
		break;
	case CELL_BITS:
		good = give_bits(f, c, out);
		break;
	case CELL_ENUM:
		good = give_enum(f, cell_le(c, f->size), a, out);
		break;
	case CELL_SET:
		good = give_set(f, cell_le(c, f->size), a, out);
		break;
	case CELL_PADDED:
		out->s = padded(f, cell_bytes(f, c), a);
		break;
	case CELL_COMPRESSED_TEXT:
	case CELL_COMPRESSED_BYTES:
		return give_compressed(f, cell_bytes(f, c), a, out, err);
	case CELL_GEOMETRY:
		good = give_geometry(cell_bytes(f, c), a, out);
		break;
	case CELL_JSON:
		return give_json(f, c, a, out, err);
	case CELL_UUID:
	case CELL_INET4:
	case CELL_INET6:
		good = give_fixed(f, cell_bytes(f, c), a, out);
		break;
	default:
		good = binlog_temporal(f, c, a, out);
	}
	return good ? 0 : binlog_malformed(f, err);
}

static void give_float(struct cursor *c, struct value *out)
{
	uint32_t bits = get_u32le(c);
	float f;

	memcpy(&f, &bits, sizeof f);
	out->d = (double)f;
}

static void give_double(struct cursor *c, struct value *out)
{
	uint64_t bits = get_u64le(c);

	memcpy(&out->d, &bits, sizeof out->d);
}

static inline __attribute__((always_inline)) int give(const struct binlog_field *f,
						      struct cursor *c, struct arena *a,
						      struct value *out, struct error *err)
{
	struct str s;

	switch ((enum binlog_cell)f->how) {
	case CELL_I8:
		out->i = (get_u8(c) ^ 0x80) - 0x80;
		return 0;
	case CELL_U8:
		out->i = get_u8(c);
		return 0;
	case CELL_I16:
		out->i = (int16_t)get_u16le(c);
		return 0;
	case CELL_U16:
		out->i = get_u16le(c);
		return 0;
	case CELL_I24:
		out->i = (int32_t)(cell_le(c, 3) << 8) >> 8;
		return 0;
	case CELL_U24:
		out->i = (int64_t)cell_le(c, 3);
		return 0;
	case CELL_I32:
		out->i = (int32_t)get_u32le(c);
		return 0;
	case CELL_U32:
		out->i = get_u32le(c);
		return 0;
	case CELL_I64:
		out->u = get_u64le(c);
		return 0;
	case CELL_YEAR:
		out->i = get_u8(c);
		out->i += out->i ? 1900 : 0;
		return 0;
	case CELL_FLOAT:
		give_float(c, out);
		return 0;
	case CELL_DOUBLE:
		give_double(c, out);
		return 0;
	case CELL_DECIMAL:
		return binlog_decimal(c, f->precision, f->digits, a, &out->s)
			       ? 0
			       : binlog_malformed(f, err);
	case CELL_UTF8:
		s = cell_bytes(f, c);
		out->s = s;
		return utf8_valid(s) ? 0 : give_text(f, s, a, out, err);
	case CELL_TEXT:
		return give_text(f, cell_bytes(f, c), a, out, err);
	case CELL_BYTES:
		out->s = cell_bytes(f, c);
		return 0;
	default:
		return give_other(f, c, a, out, err);
	}
}

int binlog_value(const struct binlog_field *f, struct cursor *c, struct arena *a, struct value *out,
		 struct error *err)
{
	out->state = VALUE_SET;
	if (give(f, c, a, out, err)) {
		out->state = VALUE_ABSENT;
		return -1;
	}
	if (c->bad) {
		out->state = VALUE_ABSENT;
		return binlog_malformed(f, err);
	}
	return 0;
}

int binlog_values(const struct binlog_field *f, size_t n, struct str nulls, struct cursor *c,
		  struct arena *a, struct value *out, size_t *at, struct error *err)
{
	struct value *v = out;

	for (size_t i = 0; i < n; i++, v++) {
		if ((uint8_t)nulls.p[i / 8] >> i % 8 & 1) {
			v->state = VALUE_NULL;
			continue;
		}
		*v = (struct value){ .state = VALUE_SET };
		*at = i;
		if (give(&f[i], c, a, v, err))
			return -1;
		if (c->bad)
			return binlog_malformed(&f[i], err);
	}
	return 0;
}
