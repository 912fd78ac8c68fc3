/*
 * test_binlog_payload.c - transaction payloads, opened piece by piece (EDGE 115)
 */
#include "binlog_fixture.h"

#include <zstd.h>

static void add_lenenc(struct buf *b, uint64_t v)
{
	add_u8(b, 254);
	add_u64(b, v);
}

static void add_field(struct buf *b, uint8_t type, uint64_t v)
{
	add_u8(b, type);
	add_u8(b, 9);
	add_lenenc(b, v);
}

/* The body of a payload of `content`: `frames` zstd frames, 0: not compressed. */
static void add_payload(struct buf *body, struct str content, unsigned frames)
{
	AUTO(buf) struct buf packed = { 0 };

	for (unsigned i = 0; i < frames; i++) {
		size_t from = content.n * i / frames, to = content.n * (i + 1) / frames;
		size_t room = ZSTD_compressBound(to - from);
		size_t n = ZSTD_compress(buf_more(&packed, room), room, content.p + from, to - from,
					 3);

		assert_false(ZSTD_isError(n));
		packed.n += n;
	}
	if (frames == 0)
		add_str(&packed, content);
	add_field(body, 2, frames ? 0 : 255);
	add_field(body, 3, content.n);
	add_field(body, 9, 77);
	add_field(body, 1, packed.n);
	add_u8(body, 0);
	add_str(body, str_of(&packed));
}

static struct binlog_event event_of(const struct buf *body)
{
	return (struct binlog_event){ .type = BINLOG_PAYLOAD,
				      .log_pos = 500,
				      .body = str_of(body) };
}

/* Opens and goes through all; the number of events or -1. */
static int count(const struct binlog_event *e, size_t max, struct error *err)
{
	struct binlog_payload *p = binlog_payload_open(e, max, err);
	struct binlog_event inner;
	int n = 0, r;
	volatile char last;

	if (!p)
		return -1;
	while ((r = binlog_payload_next(p, &inner, err)) > 0) {
		for (size_t i = 0; i < inner.body.n; i++)
			last = inner.body.p[i];
		n++;
	}
	(void)last;
	binlog_payload_close(p);
	return r < 0 ? -1 : n;
}

static int parse(const struct binlog_event *e, struct arena *a, struct error *err)
{
	(void)a;
	return count(e, 1 << 20, err) < 0 ? -1 : 0;
}

static void recorded(void **state)
{
	static const uint8_t types[] = { BINLOG_QUERY, BINLOG_ROWS_QUERY, BINLOG_TABLE_MAP,
					 BINLOG_WRITE, BINLOG_XID };
	AUTO(arena) struct arena a = { 0 };
	struct binlog_format f = fixture_format(MYSQL97_FORMAT);
	struct binlog_event e = fixture_event(&a, &f, MYSQL97_PAYLOAD), inner;
	struct error err = { 0 };
	struct binlog_payload *p = binlog_payload_open(&e, 0, &err);

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		assert_int_equal(binlog_payload_next(p, &inner, &err), 1);
		assert_int_equal(inner.type, types[i]);
	}
	assert_int_equal(inner.body.n, 8);
	assert_int_equal(binlog_payload_next(p, &inner, &err), 0);
	assert_int_equal(binlog_payload_next(p, &inner, &err), 0);
	binlog_payload_close(p);
	fixture_hurt(&e, parse);

	e = fixture_event(&a, &f, MYSQL97_LARGE_PAYLOAD);
	assert_int_equal(count(&e, 0, &err), 9);
	assert_int_equal(count(&e, 8208, &err), 9);
	assert_fatal(count(&e, 8207, &err), &err, "Update_rows event (type 31) of 8208 bytes");
	fixture_hurt(&e, parse);
	binlog_payload_close(NULL);
}

/* Events larger than what is inflated at a time, small ones between them, one frame and several. */
static void made(void **state)
{
	AUTO(buf) struct buf content = { 0 }, big = { 0 };
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < 700000; i++)
		add_u8(&big, (uint8_t)(i * i >> 7));
	for (size_t i = 0; i < 5; i++) {
		add_event(&content, BINLOG_WRITE, 0, str_of(&big), false, 0);
		for (size_t k = 0; k < 3000; k++)
			add_event(&content, BINLOG_ROWS_QUERY, 0, (struct str){ big.p, k % 50 },
				  false, 0);
	}
	for (unsigned frames = 0; frames < 4; frames++) {
		AUTO(buf) struct buf body = { 0 };

		add_payload(&body, str_of(&content), frames);
		struct binlog_event e = event_of(&body), inner;
		struct binlog_payload *p = binlog_payload_open(&e, 700019, &err);
		size_t i = 0;

		for (; binlog_payload_next(p, &inner, &err) == 1; i++) {
			size_t k = i % 3001;

			assert_int_equal(inner.type, k ? BINLOG_ROWS_QUERY : BINLOG_WRITE);
			assert_int_equal(inner.body.n, k ? (k - 1) % 50 : big.n);
			assert_memory_equal(inner.body.p, big.p, inner.body.n);
		}
		assert_int_equal(i, 15005);
		binlog_payload_close(p);
	}
}

/* 1 GiB of zeros in 40 kB: an event that claims so much is refused at its header. */
static void bomb(void **state)
{
	AUTO(buf) struct buf content = { 0 }, body = { 0 };
	struct error err = { 0 };

	(void)state;
	add_event(&content, BINLOG_WRITE, 0, STR(""), false, 0);
	content.p[12] = 0x40; /* of 1 GiB and 19 bytes */
	size_t n = content.n + ((size_t)1 << 26);
	char *p = xcalloc(n, 1);

	memcpy(p, content.p, content.n);
	add_payload(&body, (struct str){ p, n }, 1);
	free(p);
	struct binlog_event e = event_of(&body);

	assert_fatal(count(&e, 1 << 20, &err), &err, "source.max_row");
	/* Without a limit: not what it claims is taken, but what there is. */
	assert_fatal(count(&e, 0, &err), &err, "there are 67108883");
}

static void refused(void **state)
{
	AUTO(buf) struct buf content = { 0 }, nested = { 0 };
	struct error err = { 0 };

	(void)state;
	add_event(&content, BINLOG_XID, 0, STR("12345678"), false, 0);
	for (unsigned frames = 0; frames < 3; frames++) {
		AUTO(buf) struct buf body = { 0 };

		add_payload(&body, str_of(&content), frames);
		struct binlog_event e = event_of(&body);

		assert_int_equal(count(&e, 0, &err), 1);
		for (e.body.n = 0; e.body.n < body.n; e.body.n++)
			assert_int_equal(count(&e, 0, &err), -1);
	}
	add_event(&nested, BINLOG_PAYLOAD, 0, STR(""), false, 0);
	static const struct {
		const char *hex, *why;
	} cases[] = {
		{ "020101"
		  "010100"
		  "00",
		  "in a way that is not known" },
		{ "010101"
		  "020100"
		  "00",
		  "has a payload of another size" },
		{ "020100"
		  "00",
		  "has a payload of another size" },
		{ "0201fc"
		  "00",
		  "damaged field" },
		{ "fb", "truncated" },
		{ "020100", "truncated" },
	};
	AUTO(arena) struct arena a = { 0 };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct binlog_event e = fixture_body(&a, BINLOG_PAYLOAD, cases[i].hex);

		assert_fatal(count(&e, 0, &err), &err, cases[i].why);
	}
	AUTO(buf) struct buf body = { 0 };

	add_payload(&body, str_of(&nested), 1);
	struct binlog_event e = event_of(&body);

	assert_fatal(count(&e, 0, &err), &err, "cannot be in a payload");
	body.n = 0;
	add_payload(&body, (struct str){ content.p, content.n - 1 }, 1);
	e = event_of(&body);
	assert_fatal(count(&e, 0, &err), &err, "in the transaction payload that ends at 500");
	body.n = 0;
	add_payload(&body, (struct str){ content.p, 10 }, 0);
	e = event_of(&body);
	assert_fatal(count(&e, 0, &err), &err, "middle of an event");
	/* Not zstd at all. */
	body.n = 0;
	add_payload(&body, str_of(&content), 1);
	memset(body.p + body.n - 36, 0x55, 36);
	e = event_of(&body);
	assert_int_equal(count(&e, 0, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded),
		cmocka_unit_test(made),
		cmocka_unit_test(bomb),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
