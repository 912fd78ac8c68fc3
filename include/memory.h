/*
 * memory.h - arena, buffer, cursor, slice
 *
 * Running out of memory aborts: the agent may be killed at any instant anyway and restarts from
 * its checkpoint.  Sizes that come from a wire are bounded by the caller before they get here.
 * Nothing here is shared between threads without the caller's own lock.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <endian.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PRINTF(f, a)	__attribute__((format(printf, f, a)))
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Borrowed bytes, not NUL-terminated.  p == NULL means "not there", which differs from empty. */
struct str { const char *p; size_t n; };
#define STR(literal)	((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_FMT(s)	(int)(s).n, (s).p	/* for "%.*s" */

struct str str_z(const char *z);		/* borrows a C string; NULL gives { NULL, 0 } */
bool	   str_eq(struct str a, struct str b);
bool	   str_eqz(struct str a, const char *z);

void *xmalloc(size_t n);			/* abort when there is no memory */
void *xcalloc(size_t count, size_t size);	/* zeroed */
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *z);
char *xstrndup(const char *p, size_t n);	/* NUL-terminated copy */
char *xasprintf(const char *format, ...) PRINTF(1, 2);

/* Many small allocations that are freed together.  Zero-initialised is a valid empty arena. */
struct arena {
	struct arena_block	*head;
	struct arena_owned	*owned;
	size_t			used;		/* bytes handed out and adopted since the last reset */
};
void	  *arena_alloc(struct arena *a, size_t n);	/* 16-byte aligned, not zeroed */
void	  *arena_zalloc(struct arena *a, size_t n);
struct str arena_copy(struct arena *a, struct str s);	/* adds a NUL after the copy */
char	  *arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
/* The arena frees p with release(p) on reset: bytes of a library are used in place. */
void	   arena_adopt(struct arena *a, void *p, size_t n, void (*release)(void *));
void	   arena_reset(struct arena *a);	/* everything goes, one block is kept for reuse */
void	   arena_free(struct arena *a);

/* Grows up to max (0: no limit); past it nothing is added and overflow stays set. */
struct buf { char *p; size_t n, room, max; bool overflow; };
char *buf_more(struct buf *b, size_t n);	/* room for n more bytes; NULL on overflow; the caller adds to b->n */
void  buf_add(struct buf *b, const void *p, size_t n);
void  buf_addc(struct buf *b, char c);
void  buf_adds(struct buf *b, const char *z);
void  buf_addu(struct buf *b, uint64_t v);	/* in decimal */
void  buf_addf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void  buf_json(struct buf *b, struct str text);	/* a quoted JSON string; invalid UTF-8 becomes U+FFFD */
char *buf_z(struct buf *b);			/* NUL-terminated view, owned by the buffer */
void  buf_clear(struct buf *b);			/* keeps the room */
void  buf_free(struct buf *b);

/*
 * Reads wire bytes.  After the first read past the end every getter returns 0 and cursor->bad
 * stays set, so a decoder is straight-line code with one check at the end of each message.
 */
struct cursor { const uint8_t *p, *end; bool bad; };
struct str get_cstr(struct cursor *c);			/* up to and over a NUL */

/* Inline, as are the numbers below: a decoder reads a few for each value. */
static inline struct cursor cursor_of(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;

	return (struct cursor){ p, s.n ? p + s.n : p, false };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->bad ? 0 : (size_t)(c->end - c->p);
}

/* { NULL, 0 } past the end. */
static inline struct str get_bytes(struct cursor *c, size_t n)
{
	if (c->bad || n > (size_t)(c->end - c->p)) {
		c->bad = true;
		return (struct str){ NULL, 0 };
	}
	struct str s = { (const char *)c->p, n };

	c->p += n;
	return s;
}

#define CURSOR_GETTER(name, type, to_host)				\
	static inline type name(struct cursor *c)			\
	{								\
		type v = 0;						\
		struct str s = get_bytes(c, sizeof v);			\
									\
		if (s.p)						\
			memcpy(&v, s.p, sizeof v);			\
		return (type)to_host(v);				\
	}
CURSOR_GETTER(get_u8, uint8_t, )
CURSOR_GETTER(get_u16be, uint16_t, be16toh)
CURSOR_GETTER(get_u16le, uint16_t, le16toh)
CURSOR_GETTER(get_u32be, uint32_t, be32toh)
CURSOR_GETTER(get_u32le, uint32_t, le32toh)
CURSOR_GETTER(get_u64be, uint64_t, be64toh)
CURSOR_GETTER(get_u64le, uint64_t, le64toh)
#undef CURSOR_GETTER

/* Length of the valid UTF-8 sequence at p (n > 0 bytes are there); 0: none. */
size_t utf8_length(const uint8_t *p, size_t n);
bool   utf8_valid(struct str s);			/* fast on what is mostly ASCII */
size_t ascii_length(const uint8_t *p, size_t n);	/* how many of the bytes from p on are ASCII */

/* AUTO(free) char *p: released when it goes out of scope. */
#define AUTO(type)	__attribute__((cleanup(type##_cleanup)))
void free_cleanup(void *p);		/* AUTO(free) char *p */
void buf_cleanup(struct buf *b);	/* AUTO(buf) struct buf b = { 0 } */
void arena_cleanup(struct arena *a);
void fd_cleanup(int *fd);		/* AUTO(fd) int fd = -1 */

#endif
