/*
 * memory.c - arena, buffer, cursor, slice
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

#define ARENA_BLOCK ((size_t)64 * 1024)
#define ARENA_KEEP  ((size_t)1024 * 1024) /* a block larger than this is not kept for reuse */

struct arena_block {
	struct arena_block *next;
	size_t room, used;
	_Alignas(16) char data[];
};

struct arena_owned {
	struct arena_owned *next;
	void *p;
	void (*release)(void *);
};

struct str str_z(const char *z)
{
	return z ? (struct str){ z, strlen(z) } : (struct str){ NULL, 0 };
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eqz(struct str a, const char *z)
{
	return str_eq(a, str_z(z));
}

static void *must(void *p)
{
	if (!p) {
		static const char text[] = "tailrace: out of memory\n";
		ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);

		(void)ignored;
		abort();
	}
	return p;
}

void *xmalloc(size_t n)
{
	return must(malloc(n ? n : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return must(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n)
{
	return must(realloc(p, n ? n : 1));
}

char *xstrdup(const char *z)
{
	return must(strdup(z));
}

char *xstrndup(const char *p, size_t n)
{
	char *copy = xmalloc(n + 1);

	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *xasprintf(const char *format, ...)
{
	va_list ap;
	char *out;

	va_start(ap, format);
	if (vasprintf(&out, format, ap) < 0)
		out = NULL;
	va_end(ap);
	return must(out);
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	size_t want = (n + 15) & ~(size_t)15;

	if (!b || b->room - b->used < want) {
		size_t room = want > ARENA_BLOCK ? want : ARENA_BLOCK;

		b = xmalloc(sizeof *b + room);
		b->room = room;
		b->used = 0;
		b->next = a->head;
		a->head = b;
	}
	void *p = b->data + b->used;

	b->used += want;
	a->used += want;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

struct str arena_copy(struct arena *a, struct str s)
{
	if (!s.p)
		return s;
	char *p = arena_alloc(a, s.n + 1);

	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	size_t n = strlen(must(text)) + 1;
	char *copy = memcpy(arena_alloc(a, n), text, n);

	free(text);
	return copy;
}

void arena_adopt(struct arena *a, void *p, size_t n, void (*release)(void *))
{
	struct arena_owned *o = arena_alloc(a, sizeof *o);

	*o = (struct arena_owned){ a->owned, p, release };
	a->owned = o;
	a->used += n;
}

static void arena_disown(struct arena *a)
{
	for (struct arena_owned *o = a->owned; o; o = o->next)
		o->release(o->p);
	a->owned = NULL;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	arena_disown(a);
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		if (!keep && b->room <= ARENA_KEEP) {
			keep = b;
			keep->used = 0;
			keep->next = NULL;
		} else {
			free(b);
		}
	}
	a->head = keep;
	a->used = 0;
}

void arena_free(struct arena *a)
{
	arena_disown(a);
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){ 0 };
}

char *buf_more(struct buf *b, size_t n)
{
	if (b->overflow || (b->max && (n > b->max || b->n > b->max - n))) {
		b->overflow = true;
		return NULL;
	}
	if (!b->p || b->room - b->n < n) {
		size_t room = b->room ? b->room : 256;

		while (room - b->n < n)
			room += room / 2 + 64;
		b->p = xrealloc(b->p, room);
		b->room = room;
	}
	return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = n ? buf_more(b, n) : NULL;

	if (to) {
		memcpy(to, p, n);
		b->n += n;
	}
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

void buf_addu(struct buf *b, uint64_t v)
{
	char digits[20], *end = digits + sizeof digits, *p = end;

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	buf_add(b, p, (size_t)(end - p));
}

void buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	buf_adds(b, must(text));
	free(text);
}

/* Overlong forms and surrogates are not valid. */
size_t utf8_length(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t want = p[0] < 0x80   ? 1
		      : p[0] < 0xc2 ? 0
		      : p[0] < 0xe0 ? 2
		      : p[0] < 0xf0 ? 3
		      : p[0] < 0xf5 ? 4
				    : 0;
	uint32_t code = want > 1 ? p[0] & (0x7fu >> want) : p[0];

	if (!want || want > n)
		return 0;
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (want > 1 &&
	    (code < least[want] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)))
		return 0;
	return want;
}

size_t ascii_length(const uint8_t *p, size_t n)
{
	size_t i = 0;

	for (uint64_t eight; n - i >= 8; i += 8) {
		memcpy(&eight, p + i, 8);
		if (eight & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < n && p[i] < 0x80)
		i++;
	return i;
}

bool utf8_valid(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p, *end = s.n ? p + s.n : p;

	while (p != end) {
		p += ascii_length(p, (size_t)(end - p));
		if (p == end)
			return true;
		/* Letters with marks, Greek, Cyrillic ... are two bytes. */
		while (end - p >= 2 && p[0] >= 0xc2 && p[0] < 0xe0 && (p[1] & 0xc0) == 0x80)
			p += 2;
		/* Most of the three-byte ones, but for those that could be overlong or surrogates. */
		while (end - p >= 3 && p[0] > 0xe0 && p[0] < 0xf0 && p[0] != 0xed &&
		       (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
			p += 3;
		if (p == end)
			return true;
		size_t length = utf8_length(p, (size_t)(end - p));

		if (!length)
			return false;
		p += length;
	}
	return true;
}

void buf_json(struct buf *b, struct str text)
{
	const uint8_t *p = (const uint8_t *)text.p, *end = p + text.n;

	buf_addc(b, '"');
	while (p < end) {
		const uint8_t *plain = p;

		while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')
			p++;
		buf_add(b, plain, (size_t)(p - plain));
		if (p == end)
			break;
		size_t n = utf8_length(p, (size_t)(end - p));

		if (n == 0) {
			buf_adds(b, "\xef\xbf\xbd");
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			buf_addc(b, '\\');
		if (*p < 0x20 || *p == 0x7f)
			buf_addf(b, "\\u%04x", *p);
		else
			buf_add(b, p, n);
		p += n;
	}
	buf_addc(b, '"');
}

char *buf_z(struct buf *b)
{
	size_t max = b->max;

	b->max = 0; /* the NUL does not count */
	bool overflow = b->overflow;
	b->overflow = false;
	*buf_more(b, 1) = '\0';
	b->max = max;
	b->overflow = overflow;
	return b->p;
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

struct str get_cstr(struct cursor *c)
{
	const uint8_t *end =
		c->bad || c->p == c->end ? NULL : memchr(c->p, 0, (size_t)(c->end - c->p));

	if (!end) {
		c->bad = true;
		return (struct str){ NULL, 0 };
	}
	struct str s = { (const char *)c->p, (size_t)(end - c->p) };

	c->p = end + 1;
	return s;
}

void free_cleanup(void *p)
{
	free(*(void **)p);
}

void buf_cleanup(struct buf *b)
{
	buf_free(b);
}

void arena_cleanup(struct arena *a)
{
	arena_free(a);
}

void fd_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
