/*
 * avro_decimal.c - decimal text to and from Avro's unscaled two's complement, big-endian
 *
 * Numbers of up to 18 digits take the short way in an int64_t; longer ones are arrays of 32-bit
 * limbs, least significant first.
 */
#include <stdlib.h>
#include <string.h>

#include "avro.h"

#define LIMBS      128         /* on the stack: 1232 digits */
#define CHUNK      1000000000u /* nine digits at a time */
#define CHUNK_SIZE 9

/* What stands in the text: both runs of digits, without zeros that say nothing. */
struct digits {
	bool negative;
	struct str whole, fraction;
};

static size_t digit_run(struct str text, size_t at)
{
	size_t n = 0;

	while (at + n < text.n && text.p[at + n] >= '0' && text.p[at + n] <= '9')
		n++;
	return n;
}

static bool split(struct str text, struct digits *out)
{
	size_t at = text.n && (text.p[0] == '-' || text.p[0] == '+');

	out->negative = at && text.p[0] == '-';
	out->whole = (struct str){ text.p + at, digit_run(text, at) };
	at += out->whole.n;
	out->fraction = (struct str){ text.p + at, 0 };
	if (at < text.n && text.p[at] == '.') {
		out->fraction = (struct str){ text.p + at + 1, digit_run(text, at + 1) };
		at += 1 + out->fraction.n;
	}
	if (at != text.n || out->whole.n + out->fraction.n == 0)
		return false;
	while (out->whole.n && out->whole.p[0] == '0') {
		out->whole.p++;
		out->whole.n--;
	}
	while (out->fraction.n && out->fraction.p[out->fraction.n - 1] == '0')
		out->fraction.n--;
	return true;
}

/* Digit i of the unscaled number, most significant first: whole, fraction, zeros up to the scale. */
static unsigned digit_at(const struct digits *d, size_t i)
{
	if (i < d->whole.n)
		return (unsigned)(d->whole.p[i] - '0');
	i -= d->whole.n;
	return i < d->fraction.n ? (unsigned)(d->fraction.p[i] - '0') : 0;
}

/* The shortest two's complement of a number whose n bytes at p are big-endian with a spare first one. */
static struct str shortest(char *p, size_t n)
{
	while (n > 1 && ((p[0] == 0 && !(p[1] & (char)0x80)) ||
			 (p[0] == (char)0xff && (p[1] & (char)0x80)))) {
		p++;
		n--;
	}
	return (struct str){ p, n };
}

static void negate(char *p, size_t n)
{
	unsigned carry = 1;

	for (size_t i = n; i-- > 0;) {
		carry += (uint8_t)~p[i];
		p[i] = (char)carry;
		carry >>= 8;
	}
}

static struct str parse_long(const struct digits *d, size_t n, struct arena *arena)
{
	size_t limbs = n / CHUNK_SIZE + 1, used = 0;
	uint32_t stack[LIMBS];
	uint32_t *limb = limbs <= LIMBS ? stack : arena_alloc(arena, limbs * sizeof *limb);

	for (size_t i = 0; i < n;) {
		uint64_t carry = 0, scale = 1;

		do {
			carry = carry * 10 + digit_at(d, i++);
			scale *= 10;
		} while (i < n && scale < CHUNK);
		for (size_t k = 0; k < used; k++) {
			carry += limb[k] * scale;
			limb[k] = (uint32_t)carry;
			carry >>= 32;
		}
		if (carry)
			limb[used++] = (uint32_t)carry;
	}
	size_t size = used * 4 + 1;
	char *p = arena_alloc(arena, size);

	p[0] = 0;
	for (size_t i = 0; i < used * 4; i++)
		p[size - 1 - i] = (char)(limb[i / 4] >> i % 4 * 8);
	if (d->negative)
		negate(p, size);
	return shortest(p, size);
}

bool decimal_parse(struct str text, int precision, int scale, struct arena *arena, struct str *out)
{
	struct digits d;

	if (!split(text, &d) || d.fraction.n > (size_t)scale ||
	    d.whole.n > (size_t)(precision - scale))
		return false;
	size_t n = d.whole.n + (size_t)scale;

	if (n > 18) {
		*out = parse_long(&d, n, arena);
		return true;
	}
	uint64_t v = 0;
	char *p = arena_alloc(arena, 9);

	for (size_t i = 0; i < n; i++)
		v = v * 10 + digit_at(&d, i);
	if (d.negative)
		v = 0 - v;
	p[0] = d.negative && v ? (char)0xff : 0;
	for (int i = 8; i >= 1; i--, v >>= 8)
		p[i] = (char)v;
	*out = shortest(p, 9);
	return true;
}

/* Writes the digits of the limbs backwards before `end`; gives where they begin. */
static char *digits_before(char *end, uint32_t *limb, size_t used)
{
	while (used) {
		uint64_t rest = 0;

		for (size_t k = used; k-- > 0;) {
			rest = rest << 32 | limb[k];
			limb[k] = (uint32_t)(rest / CHUNK);
			rest %= CHUNK;
		}
		while (used && !limb[used - 1])
			used--;
		for (int i = 0; i < CHUNK_SIZE; i++, rest /= 10)
			*--end = (char)('0' + rest % 10);
	}
	return end;
}

void decimal_format(struct str unscaled, int scale, struct buf *out)
{
	bool negative = unscaled.n && (unscaled.p[0] & (char)0x80);
	size_t used = unscaled.n / 4 + 1, size = used * 10 + CHUNK_SIZE;
	uint32_t stack[LIMBS];
	char text_stack[LIMBS * 10 + CHUNK_SIZE];
	uint32_t *limb = used <= LIMBS ? stack : xmalloc(used * sizeof *limb);
	char *text = used <= LIMBS ? text_stack : xmalloc(size);
	uint32_t carry = negative;

	memset(limb, 0, used * sizeof *limb);
	for (size_t i = 0; i < unscaled.n; i++) {
		uint8_t byte = (uint8_t)unscaled.p[unscaled.n - 1 - i];

		limb[i / 4] |= (uint32_t)(negative ? (uint8_t)~byte : byte) << i % 4 * 8;
	}
	for (size_t k = 0; carry && k < used; k++)
		carry = ++limb[k] == 0;
	while (used && !limb[used - 1])
		used--;
	char *end = text + size, *p = digits_before(end, limb, used);

	while (p < end && *p == '0')
		p++;
	size_t n = (size_t)(end - p), fraction = (size_t)scale;

	if (negative)
		buf_addc(out, '-');
	if (n <= fraction)
		buf_addc(out, '0');
	else
		buf_add(out, p, n - fraction);
	if (fraction)
		buf_addc(out, '.');
	for (size_t i = n; i < fraction; i++)
		buf_addc(out, '0');
	size_t shown = n < fraction ? n : fraction;

	buf_add(out, end - shown, shown);
	if (limb != stack)
		free(limb);
	if (text != text_stack)
		free(text);
}
