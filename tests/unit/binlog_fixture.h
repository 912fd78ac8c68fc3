/*
 * binlog_fixture.h - binlog events for tests: recorded (binlog_samples.h) or made here
 */
#ifndef BINLOG_FIXTURE_H
#define BINLOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#undef fail /* ours, in error.h, fills an error; a test fails with FAIL() */
#include "../../sources/binlog_event.h"
#include "binlog_samples.h"

#define FAIL(...)                            \
	do {                                 \
		print_error(__VA_ARGS__);    \
		print_error("\n");           \
		_fail(__FILE__, __LINE__);   \
	} while (0)

static inline int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Bytes of lower-case hexadecimal digits, on the heap by themselves, so that a sanitizer sees a read past them. */
static inline struct str unhex(struct arena *a, const char *hex)
{
	size_t n = strlen(hex) / 2;
	char *p = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	arena_adopt(a, p, n, free);
	return (struct str){ p, n };
}

static inline void add_u8(struct buf *b, uint8_t v)
{
	buf_addc(b, (char)v);
}

static inline void add_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, sizeof v);
}

static inline void add_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof v);
}

static inline void add_u48(struct buf *b, uint64_t v)
{
	add_u32(b, (uint32_t)v);
	add_u16(b, (uint16_t)(v >> 32));
}

static inline void add_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof v);
}

static inline void add_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

static inline struct str str_of(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}

static inline void add_crc(struct buf *b, size_t from)
{
	add_u32(b, (uint32_t)crc32_z(0, (const Bytef *)b->p + from, b->n - from));
}

/* Adds a whole event that begins at `offset` of its file. */
static inline void add_event(struct buf *b, uint8_t type, uint16_t flags, struct str body, bool checksum,
			     uint64_t offset)
{
	size_t from = b->n;
	uint32_t size = (uint32_t)(BINLOG_HEADER + body.n + (checksum ? 4 : 0));

	add_u32(b, 1700000000);
	add_u8(b, type);
	add_u32(b, 7);
	add_u32(b, size);
	add_u32(b, (uint32_t)(offset + size));
	add_u16(b, flags);
	add_str(b, body);
	if (checksum)
		add_crc(b, from);
}

/* The body of a format description with the checksum's kind; no CRC yet. */
static inline void add_format_body(struct buf *b, const char *server, uint8_t checksum, size_t npost)
{
	char name[50] = { 0 };

	memcpy(name, server, strlen(server));
	add_u16(b, 4);
	buf_add(b, name, sizeof name);
	add_u32(b, 0);
	add_u8(b, BINLOG_HEADER);
	for (size_t i = 1; i <= npost; i++)
		add_u8(b, i == BINLOG_TABLE_MAP || (i >= 23 && i <= 25) || (i >= 166 && i <= 168) ? 8 :
			  (i >= 30 && i <= 32) || i == 39 || i >= 169			     ? 10 :
											       0);
	add_u8(b, checksum);
}

/* Without a checksum, as a payload's events are. */
static const struct binlog_format fixture_plain = {
	.server = "8.0.31",
	.version = 8000031,
	.post = { [18] = 8, [22] = 8, [23] = 8, [24] = 8, [29] = 10, [30] = 10, [31] = 10, [38] = 10,
		  [165] = 8, [166] = 8, [167] = 8, [168] = 10, [169] = 10, [170] = 10 },
	.npost = 171,
};

static inline struct binlog_format fixture_format(const char *hex)
{
	struct arena a = { 0 };
	struct binlog_format format;
	struct binlog_event e;
	struct error err = { 0 };

	if (binlog_event_parse(NULL, unhex(&a, hex), &e, &err) || binlog_format_parse(&e, &format, &err))
		FAIL("%s", err.text);
	arena_free(&a);
	return format;
}

/* A recorded event; `format`: of its file. */
static inline struct binlog_event fixture_event(struct arena *a, const struct binlog_format *format,
						const char *hex)
{
	struct binlog_event e;
	struct error err = { 0 };

	if (binlog_event_parse(format, unhex(a, hex), &e, &err))
		FAIL("%s", err.text);
	return e;
}

/* An event of a body that is made of hexadecimal digits; no checksum. */
static inline struct binlog_event fixture_body(struct arena *a, uint8_t type, const char *hex)
{
	struct str body = unhex(a, hex);

	return (struct binlog_event){
		.type = type, .size = (uint32_t)(BINLOG_HEADER + body.n), .log_pos = 1000, .body = body,
	};
}

#define assert_str(s, text)                                                                               \
	do {                                                                                              \
		struct str assert_str_got = (s);                                                          \
                                                                                                          \
		if (!str_eqz(assert_str_got, (text)))                                                     \
			FAIL("%s:%d: \"%.*s\", not \"%s\"", __FILE__, __LINE__, STR_FMT(assert_str_got), (text)); \
	} while (0)

#define assert_fatal(call, err, part)                                                                     \
	do {                                                                                              \
		(err)->text[0] = '\0';                                                                    \
		assert_int_equal((call), -1);                                                             \
		assert_int_equal((err)->kind, ERR_FATAL);                                                 \
		if (!strstr((err)->text, (part)))                                                         \
			FAIL("%s:%d: \"%s\" is not in: %s", __FILE__, __LINE__, (part), (err)->text);     \
	} while (0)

/*
 * The parser is given the body cut at each length, then with each byte changed: it has to refuse or accept, not
 * to read what is not there (a sanitizer's build sees that).  `parse`: 0 or -1.
 */
typedef int fixture_parser(const struct binlog_event *e, struct arena *a, struct error *err);
static inline void fixture_hurt(const struct binlog_event *e, fixture_parser *parse)
{
	for (size_t round = 0; round < e->body.n * 5; round++) {
		struct arena a = { 0 };
		struct error err = { 0 };
		struct binlog_event hurt = *e;
		size_t at = round % e->body.n;
		char *p = xmalloc(e->body.n);

		memcpy(p, e->body.p, e->body.n);
		switch (round / e->body.n) {
		case 0:
			hurt.body.n = at;
			break;
		case 1:
			p[at] = (char)0xff;
			break;
		case 2:
			p[at] = 0;
			break;
		case 3:
			p[at] = (char)(p[at] ^ 0x80);
			break;
		default:
			p[at] = (char)(p[at] + 1);
		}
		if (hurt.body.n < e->body.n)
			p = xrealloc(p, hurt.body.n);
		hurt.body.p = p;
		if (parse(&hurt, &a, &err) && (err.kind != ERR_FATAL || !err.text[0]))
			FAIL("no error was given");
		arena_free(&a);
		free(p);
	}
}

#endif
