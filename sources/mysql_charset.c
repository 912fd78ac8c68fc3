/*
 * mysql_charset.c - MySQL's and MariaDB's character sets, to UTF-8
 *
 * The tables are the servers' own (mysql_charset_single.c and its neighbours), not the C library's: those differ in
 * hundreds of codes, from release to release, and are not installed everywhere.  They are kept as text and
 * unfolded when a set is first looked up.
 *
 * Several threads may look up: `lock` guards the making of the maps, which are never changed or freed after it.
 */
#include <pthread.h>

#include "mysql_charset_table.h"

#define REPLACEMENT 0xfffd
#define BAD         UINT32_MAX

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct charset algorithmic[] = {
	{ .name = "utf8mb4", .max = 4, .kind = CHARSET_UTF8 },
	{ .name = "utf8mb3", .max = 3, .kind = CHARSET_UTF8 },
	{ .name = "ascii", .max = 1, .kind = CHARSET_ASCII },
	{ .name = "ucs2", .max = 2, .kind = CHARSET_UCS2 },
	{ .name = "utf16", .max = 4, .kind = CHARSET_UTF16 },
	{ .name = "utf16le", .max = 4, .kind = CHARSET_UTF16LE },
	{ .name = "utf32", .max = 4, .kind = CHARSET_UTF32 },
	{ .name = NULL },
};

static struct charset *const families[] = { algorithmic, charset_single, charset_chinese,
					    charset_japanese };

static struct charset *find(struct str name)
{
	if (str_eqz(name, "utf8"))
		name = STR("utf8mb3");
	for (size_t i = 0; i < COUNT(families); i++) {
		for (struct charset *c = families[i]; c->name; c++) {
			if (str_eqz(name, c->name))
				return c;
		}
	}
	return NULL;
}

/* --- making a map --- */

static void set_code(struct charset_map *m, uint32_t code, uint32_t character)
{
	uint16_t **table = code > 0xffff ? &m->three : &m->two;

	if (code < 0x100) {
		m->one[code] = (uint16_t)character;
		return;
	}
	if (!*table)
		*table = xcalloc(0x8000, sizeof **table);
	(*table)[code & 0x7fff] = (uint16_t)character;
}

static uint32_t decode_three(const uint8_t *p, size_t n)
{
	return n == 1   ? p[0]
	       : n == 2 ? (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f)
			: (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 |
				  (p[2] & 0x3f);
}

static void add_run(struct charset_map *m, const struct charset_run *run)
{
	const uint8_t *p = (const uint8_t *)run->text, *end = p + strlen(run->text);

	for (uint32_t code = run->code; p < end; code++) {
		size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : 3;

		if (*p != ' ')
			set_code(m, code, decode_three(p, n));
		p += n;
	}
}

static void fill(struct charset_map *m, const struct charset *c)
{
	const struct charset *base = c->base ? find(str_z(c->base)) : NULL;

	if (base)
		fill(m, base);
	for (const struct charset_run *r = c->runs; r->text; r++)
		add_run(m, r);
	for (const struct charset_span *s = c->spans; s && s->n; s++) {
		for (uint32_t i = 0; i < s->n; i++)
			set_code(m, s->code + i, s->first + i);
	}
	if (c->four)
		m->four = xcalloc(CHARSET_FOUR, sizeof *m->four);
	for (const struct charset_span *s = c->four; s && s->n; s++) {
		for (uint32_t i = 0; i < s->n; i++)
			m->four[s->code + i] = (uint16_t)(s->first + i);
	}
}

static struct charset_map *make_map(const struct charset *c)
{
	struct charset_map *m = xcalloc(1, sizeof *m);

	for (unsigned b = 0; b < 0x80; b++)
		m->one[b] = (uint16_t)b;
	m->one[c->lacks] = 0;
	fill(m, c);
	m->ascii = true;
	for (unsigned b = 0; b < 0x80; b++)
		m->ascii &= m->one[b] == b;
	return m;
}

const struct charset *charset_by_name(struct str name)
{
	struct charset *c = find(name);

	if (!c || c->kind != CHARSET_TABLE)
		return c;
	pthread_mutex_lock(&lock);
	if (!c->map)
		c->map = make_map(c);
	pthread_mutex_unlock(&lock);
	return c;
}

const struct charset *charset_by_collation(uint16_t id)
{
	/* MariaDB's collations that count trailing blanks have the id of their twins plus 1024. */
	unsigned plain = id > 1024 && id < 2048 ? id - 1024u : id;

	for (const struct charset_id *i = charset_ids; i->name; i++) {
		if (plain >= i->first && plain <= i->last)
			return charset_by_name(str_z(i->name));
	}
	return NULL;
}

const char *charset_name(const struct charset *c)
{
	return c->name;
}

unsigned charset_max_bytes(const struct charset *c)
{
	return c->max;
}

/* --- converting --- */

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* GB18030's codes of four bytes: b0 81-fe, b1 30-39, b2 81-fe, b3 30-39. */
static uint32_t next_four(const struct charset_map *m, const uint8_t *p)
{
	if (p[0] < 0x81 || p[0] > 0xfe || p[1] < 0x30 || p[1] > 0x39 || p[2] < 0x81 ||
	    p[2] > 0xfe || p[3] < 0x30 || p[3] > 0x39)
		return BAD;
	uint32_t place = (p[0] - 0x81u) * 12600 + (p[1] - 0x30u) * 1260 + (p[2] - 0x81u) * 10 +
			 (p[3] - 0x30u);

	if (place < CHARSET_FOUR)
		return m->four[place] ? m->four[place] : BAD;
	place -= 15 * 12600; /* 90308130 is U+10000 */
	return place < 0x100000 ? 0x10000 + place : BAD;
}

/* The character at *p, which moves behind it; BAD: behind one byte, of UCS-2 and its like behind one unit. */
static uint32_t next_table(const struct charset_map *m, const uint8_t **p, const uint8_t *end)
{
	const uint8_t *b = *p;
	size_t left = (size_t)(end - b);
	uint32_t c = m->one[b[0]];

	*p += 1;
	if (c || !b[0])
		return c;
	if (b[0] < 0x80 || left < 2 || !m->two)
		return BAD;
	c = m->two[(b[0] & 0x7fu) << 8 | b[1]];
	if (c) {
		*p += 1;
		return c;
	}
	if (left >= 3 && m->three && b[0] == 0x8f && b[1] >= 0x80)
		c = m->three[(b[1] & 0x7fu) << 8 | b[2]];
	if (c) {
		*p += 2;
		return c;
	}
	c = left >= 4 && m->four ? next_four(m, b) : BAD;
	*p += c == BAD ? 0 : 3;
	return c;
}

static uint32_t next_utf16(const uint8_t **p, const uint8_t *end, bool little, bool pairs)
{
	const uint8_t *b = *p;
	size_t left = (size_t)(end - b), low = little ? 0 : 1, high = 1 - low;

	*p += 1;
	if (left < 2)
		return BAD;
	uint32_t c = (uint32_t)b[high] << 8 | b[low];

	if (c < 0xd800 || c > 0xdfff) {
		*p += 1;
		return c;
	}
	*p += 1;
	if (!pairs || c > 0xdbff || left < 4 || (b[2 + high] & 0xfc) != 0xdc)
		return BAD;
	*p += 2;
	return 0x10000 + ((c & 0x3ff) << 10) + ((b[2 + high] & 3u) << 8 | b[2 + low]);
}

static uint32_t next_utf32(const uint8_t **p, const uint8_t *end)
{
	const uint8_t *b = *p;
	uint32_t c;

	*p += 1;
	if (end - b < 4)
		return BAD;
	*p += 3;
	memcpy(&c, b, 4);
	c = be32toh(c);
	return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? BAD : c;
}

static uint32_t next_utf8(const uint8_t **p, const uint8_t *end, bool ascii)
{
	const uint8_t *b = *p;
	size_t n = ascii ? *b < 0x80 : utf8_length(b, (size_t)(end - b));

	*p += n ? n : 1;
	if (n <= 3)
		return n ? decode_three(b, n) : BAD;
	return (b[0] & 7u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
}

static uint32_t next(const struct charset *c, const uint8_t **p, const uint8_t *end)
{
	switch (c->kind) {
	case CHARSET_TABLE:
		return next_table(c->map, p, end);
	case CHARSET_UCS2:
		return next_utf16(p, end, false, false);
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
		return next_utf16(p, end, c->kind == CHARSET_UTF16LE, true);
	case CHARSET_UTF32:
		return next_utf32(p, end);
	case CHARSET_ASCII:
	case CHARSET_UTF8:
		break;
	}
	return next_utf8(p, end, c->kind == CHARSET_ASCII);
}

static bool is_utf8_already(const struct charset *c, struct str in)
{
	switch (c->kind) {
	case CHARSET_UTF8:
		return utf8_valid(in);
	case CHARSET_ASCII:
		break;
	case CHARSET_TABLE:
		if (c->map->ascii)
			break;
		return in.n == 0;
	case CHARSET_UCS2:
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
	case CHARSET_UTF32:
		return in.n == 0;
	}
	return ascii_length((const uint8_t *)in.p, in.n) == in.n;
}

bool charset_to_utf8(const struct charset *c, struct str in, struct arena *a, struct str *out)
{
	bool valid = true;

	*out = in;
	if (is_utf8_already(c, in))
		return true;
	/* A byte becomes three at the most: U+FFFD, or one of the basic plane. */
	char *text = arena_alloc(a, 3 * in.n), *to = text;
	const uint8_t *p = (const uint8_t *)in.p, *end = p + in.n;

	while (p < end) {
		uint32_t code = next(c, &p, end);

		valid &= code != BAD;
		to = put_utf8(to, code == BAD ? REPLACEMENT : code);
	}
	*out = (struct str){ text, (size_t)(to - text) };
	return valid;
}
