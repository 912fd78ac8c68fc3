/*
 * avro_private.h - what the Avro files share: bytes written into room that is already there
 *
 * A put_* function of this file writes at p, which has the room, and returns the place after it.
 */
#ifndef AVRO_PRIVATE_H
#define AVRO_PRIVATE_H

#include <endian.h>
#include <string.h>

#include "avro.h"

#define LONG_ROOM   10 /* bytes of the longest varint */
#define VARINT_MORE UINT64_C(0x8080808080808080)

/* Writes over LONG_ROOM bytes.  Up to eight bytes at once: the bits are moved apart by halves. */
static inline char *put_long(char *p, int64_t v)
{
	uint64_t u = (uint64_t)v << 1 ^ (0 - (uint64_t)(v < 0));

	if (u < 0x80) {
		*p++ = (char)u;
		return p;
	}
	if (u >> 56) {
		while (u >= 0x80) {
			*p++ = (char)(u | 0x80);
			u >>= 7;
		}
		*p++ = (char)u;
		return p;
	}
	unsigned n = (unsigned)(70 - __builtin_clzll(u)) / 7;

	u = (u & 0x0fffffff) | (u & 0xfffffff0000000) << 4;
	u = (u & 0x00003fff00003fff) | (u & 0x0fffc0000fffc000) << 2;
	u = (u & 0x007f007f007f007f) | (u & 0x3f803f803f803f80) << 1;
	u = htole64(u | (VARINT_MORE >> (72 - 8 * n)));
	memcpy(p, &u, sizeof u);
	return p + n;
}

/* Most strings of rows are short: two overlapping moves are sooner done than a call. */
static inline char *put_bytes(char *p, struct str s)
{
	uint64_t first, last;
	uint32_t head, tail;

	if (s.n > 16) {
		memcpy(p, s.p, s.n);
	} else if (s.n >= 8) {
		memcpy(&first, s.p, 8);
		memcpy(&last, s.p + s.n - 8, 8);
		memcpy(p, &first, 8);
		memcpy(p + s.n - 8, &last, 8);
	} else if (s.n >= 4) {
		memcpy(&head, s.p, 4);
		memcpy(&tail, s.p + s.n - 4, 4);
		memcpy(p, &head, 4);
		memcpy(p + s.n - 4, &tail, 4);
	} else {
		for (size_t i = 0; i < s.n; i++)
			p[i] = s.p[i];
	}
	return p + s.n;
}

/* Length and bytes; needs LONG_ROOM + s.n. */
static inline char *put_str(char *p, struct str s)
{
	return put_bytes(put_long(p, (int64_t)s.n), s);
}

static inline char *put_float(char *p, double v)
{
	float f = (float)v;
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	bits = htole32(bits);
	memcpy(p, &bits, sizeof bits);
	return p + sizeof bits;
}

static inline char *put_double(char *p, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	bits = htole64(bits);
	memcpy(p, &bits, sizeof bits);
	return p + sizeof bits;
}

/* As put_long(), backwards. */
static inline int64_t get_long(struct cursor *c)
{
	uint64_t u, last;

	if (!c->bad && c->p < c->end && *c->p < 0x80) {
		u = *c->p++;
		return (int64_t)(u >> 1 ^ (0 - (u & 1)));
	}
	if (c->bad || c->end - c->p < 8)
		return avro_get_long(c);
	memcpy(&u, c->p, sizeof u);
	u = le64toh(u);
	last = ~u & VARINT_MORE; /* the lowest bit is in the last byte */
	if (!last)
		return avro_get_long(c);
	unsigned n = (unsigned)__builtin_ctzll(last) / 8 + 1;

	u &= ~VARINT_MORE & (UINT64_MAX >> (64 - 8 * n));
	u = (u & 0x007f007f007f007f) | (u & 0x7f007f007f007f00) >> 1;
	u = (u & 0x00003fff00003fff) | (u & 0x3fff00003fff0000) >> 2;
	u = (u & 0x0fffffff) | (u & 0x0fffffff00000000) >> 4;
	c->p += n;
	return (int64_t)(u >> 1 ^ (0 - (u & 1)));
}

static inline struct str get_str(struct cursor *c)
{
	int64_t n = get_long(c);

	/* A negative length is past any end. */
	return get_bytes(c, (uint64_t)n > SIZE_MAX ? SIZE_MAX : (size_t)n);
}

/* The source block of this connector's events has an LSN. */
static inline bool avro_source_has_lsn(const char *connector)
{
	return connector[0] == 'p'; /* postgresql; not mysql, not mariadb */
}

/* GTID, file and offset. */
static inline bool avro_source_has_file(const char *connector)
{
	return connector[0] == 'm';
}

/* A column's name as its Avro field: length, then what avro_name() makes of it. */
void avro_put_field(struct buf *b, struct str column);
bool avro_field_is(struct str column, struct str field);

/* Reads over a map<string>; gives its bytes. */
struct str avro_get_map(struct cursor *c);
/* The next pair of a map<string>; false at its end or when c goes bad.  *left begins as 0. */
bool avro_get_pair(struct cursor *c, int64_t *left, struct str *key, struct str *value);

#endif
