/*
 * test_ocf.c - container files: what is written is read; anything cut or changed is told
 */
#include "avro_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ocf.h"

#define BOUND ((size_t)1 << 24)

static struct error err;

/* A file of three blocks. */
struct sample {
	struct buf bytes, records[3];
	size_t start[3];
	uint8_t sync[16];
};

static void fill(struct buf *b, struct rng *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)(rng_below(r, 3) ? 'a' : (char)rng_next(r)));
}

static void make(struct sample *s, enum ocf_codec codec, size_t size)
{
	struct ocf_codec_state *c = ocf_codec_new(codec, 1);
	struct ocf_meta meta[] = { { "tailrace.format", STR("1") }, { "other", STR("a\0b") } };
	struct rng r = { 6 };

	memset(s, 0, sizeof *s);
	ocf_header(&s->bytes, "\"string\"", codec, meta, 2, s->sync);
	for (size_t i = 0; i < COUNT(s->records); i++) {
		fill(&s->records[i], &r, i * size);
		s->start[i] = s->bytes.n;
		assert_int_equal(ocf_block(&s->bytes, c, s->sync, i + 1,
					   (struct str){ s->records[i].p ? s->records[i].p : "",
							 s->records[i].n },
					   &err),
				 0);
	}
	ocf_codec_free(c);
}

static void drop(struct sample *s)
{
	buf_free(&s->bytes);
	for (size_t i = 0; i < COUNT(s->records); i++)
		buf_free(&s->records[i]);
}

static int file_of(const char *p, size_t n)
{
	int fd = memfd_create("ocf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	return fd;
}

static void round_trip(enum ocf_codec codec, size_t size)
{
	struct ocf_codec_state *c = ocf_codec_new(codec, 1);
	AUTO(buf) struct buf records = { 0 };
	struct ocf_file f;
	struct sample s;
	uint64_t count, next;

	make(&s, codec, size);
	AUTO(fd) int fd = file_of(s.bytes.p, s.bytes.n);

	assert_int_equal(ocf_read_header(fd, &f, &err), 0);
	assert_int_equal(f.codec, codec);
	assert_string_equal(f.schema, "\"string\"");
	assert_memory_equal(f.sync, s.sync, 16);
	assert_true(str_eq(ocf_meta_find(&f, "other")->value, STR("a\0b")));
	assert_null(ocf_meta_find(&f, "another"));
	uint64_t offset = f.header_size;

	for (size_t i = 0; i < COUNT(s.records); i++) {
		if (ocf_read_block(fd, &f, c, offset, BOUND, &records, &count, &next, &err) != 1)
			test_failed("%s\n", err.text);
		assert_int_equal(count, i + 1);
		assert_true(str_eq((struct str){ records.p, records.n },
				   (struct str){ s.records[i].p, s.records[i].n }));
		offset = next;
	}
	assert_int_equal(offset, s.bytes.n);
	assert_int_equal(ocf_read_block(fd, &f, c, offset, BOUND, &records, &count, &next, &err),
			 0);
	assert_int_equal(ocf_read_block(fd, &f, c, offset + 1, BOUND, &records, &count, &next,
					&err),
			 -1);

	/* A bound below what a block holds. */
	offset = f.header_size;
	for (size_t i = 0; i < COUNT(s.records); i++) {
		int want = s.records[i].n > size ? -1 : 1;

		assert_int_equal(ocf_read_block(fd, &f, c, offset, size, &records, &count, &next,
						&err),
				 want);
		assert_true(records.n <= size);
		if (want == 1)
			offset = next;
	}
	ocf_file_release(&f);
	ocf_codec_free(c);
	drop(&s);
}

static void codecs(void **state)
{
	static const size_t sizes[] = { 1, 10, 1000, 100000, 3000000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		round_trip(OCF_NULL, sizes[i]);
		round_trip(OCF_DEFLATE, sizes[i]);
		round_trip(OCF_ZSTANDARD, sizes[i]);
	}
}

static uint64_t seen; /* a digest of what blocks_of() read */

/* Reads all of a file; the number of whole blocks, -1 if its header is bad. */
static int blocks_of(const char *p, size_t n)
{
	AUTO(fd) int fd = file_of(p, n);
	struct ocf_codec_state *c = ocf_codec_new(OCF_NULL, 1);
	AUTO(buf) struct buf records = { 0 };
	struct ocf_file f;
	uint64_t count, next;
	int blocks = -1;

	seen = 0;

	if (ocf_read_header(fd, &f, &err) == 0) {
		uint64_t offset = f.header_size;
		int got = 1;

		for (blocks = 0; got == 1; blocks += got == 1) {
			got = ocf_read_block(fd, &f, c, offset, 100000, &records, &count, &next,
					     &err);
			offset = next;
			if (got == 1)
				seen = seen * 31 + avro_crc64(records.p, records.n);
		}
		if (got == 0)
			err = (struct error){ 0 };
		ocf_file_release(&f);
	}
	ocf_codec_free(c);
	return blocks;
}

/* Cut at every byte: whole blocks are read, the rest is told with EILSEQ. */
static void cut_anywhere(void **state)
{
	(void)state;
	for (int codec = OCF_ZSTANDARD; codec <= OCF_NULL; codec++) {
		struct sample s;
		int at_last = -1;

		make(&s, (enum ocf_codec)codec, 300);
		for (size_t n = 0; n <= s.bytes.n; n++) {
			err = (struct error){ 0 };
			int blocks = blocks_of(s.bytes.p, n);

			assert_true(blocks >= at_last && blocks <= at_last + 1);
			if (err.kind)
				assert_int_equal(err.code, EILSEQ);
			else
				assert_true(blocks == at_last + 1); /* exactly at a block's end */
			at_last = blocks;
		}
		assert_int_equal(at_last, 3);
		drop(&s);
	}
}

/* Every byte changed in turn is found or changes nothing, but a block's count: no checksum covers that. */
static void any_byte_flipped(void **state)
{
	struct sample s;

	(void)state;
	make(&s, OCF_ZSTANDARD, 100);
	blocks_of(s.bytes.p, s.bytes.n);
	uint64_t whole = seen;

	for (size_t i = s.start[0] - 16; i < s.bytes.n; i++) {
		bool count = i == s.start[0] || i == s.start[1] || i == s.start[2];

		s.bytes.p[i] = (char)(s.bytes.p[i] ^ 0x40);
		err = (struct error){ 0 };
		int blocks = blocks_of(s.bytes.p, s.bytes.n);

		assert_true(blocks == 3 || err.code == EILSEQ);
		if (blocks == 3 && !count) /* a bit that zstandard's tables do not use */
			assert_true(seen == whole);
		s.bytes.p[i] = (char)(s.bytes.p[i] ^ 0x40);
	}
	assert_int_equal(blocks_of(s.bytes.p, s.bytes.n), 3);
	drop(&s);
}

static int header_code(const char *p, size_t n)
{
	err = (struct error){ 0 };
	assert_int_equal(blocks_of(p, n), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	return err.code;
}

static void headers(void **state)
{
	AUTO(buf) struct buf b = { 0 }, zeros = { 0 };
	uint8_t sync[16];

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_addc(&zeros, 0);
	assert_int_equal(header_code("", 0), EILSEQ);
	assert_int_equal(header_code(zeros.p, zeros.n), EILSEQ);
	assert_int_equal(header_code("SQLite format 3", 15), 0);
	assert_non_null(strstr(err.text, "not an Avro"));

	/* Its first page reached the disk, the rest did not. */
	ocf_header(&b, "\"a schema of some length\"", OCF_NULL, NULL, 0, sync);
	for (size_t n = 5; n < b.n; n++) {
		AUTO(buf) struct buf torn = { 0 };

		buf_add(&torn, b.p, n);
		buf_add(&torn, zeros.p, zeros.n);
		if (memcmp(b.p + n, zeros.p, b.n - n) && n <= b.n - 16)
			assert_int_equal(header_code(torn.p, torn.n), EILSEQ);
	}
	buf_clear(&b);
	buf_adds(&b, "Obj\1\4\x16"
		     "avro.schema\4\"\"\x14"
		     "avro.codec\x0csnappy");
	buf_addc(&b, 0);
	buf_add(&b, "0123456789abcdef", 16);
	assert_int_equal(header_code(b.p, b.n), 0);
	assert_non_null(strstr(err.text, "snappy"));
}

static void long_header(void **state)
{
	AUTO(buf) struct buf b = { 0 }, schema = { 0 };
	struct ocf_file f;
	uint8_t sync[16];

	(void)state;
	buf_addc(&schema, '"');
	for (int i = 0; i < 1000000; i++)
		buf_addc(&schema, 's');
	buf_addc(&schema, '"');
	ocf_header(&b, buf_z(&schema), OCF_NULL, NULL, 0, sync);
	AUTO(fd) int fd = file_of(b.p, b.n);

	assert_int_equal(ocf_read_header(fd, &f, &err), 0);
	assert_string_equal(f.schema, buf_z(&schema));
	assert_int_equal(f.header_size, b.n);
	ocf_file_release(&f);
}

/* Other writers leave out the codec, and the size and checksum of a frame; or write several frames. */
static void of_other_writers(void **state)
{
	static const char frame[] = "\x28\xb5\x2f\xfd\x00\x58\x19\x00\x00"
				    "abc"; /* no content size, one raw block */
	AUTO(buf) struct buf b = { 0 };
	uint8_t sync[16];

	(void)state;
	buf_adds(&b, "Obj\1\2\x16"
		     "avro.schema\4\"\"");
	buf_addc(&b, 0);
	buf_add(&b, "0123456789abcdef", 16);
	buf_adds(&b, "\2\6abc0123456789abcdef");
	assert_int_equal(blocks_of(b.p, b.n), 1);
	assert_int_equal(err.kind, ERR_NONE);

	buf_clear(&b);
	ocf_header(&b, "\"string\"", OCF_ZSTANDARD, NULL, 0, sync);
	avro_put_long(&b, 1);
	avro_put_long(&b, 2 * (sizeof frame - 1));
	buf_add(&b, frame, sizeof frame - 1);
	buf_add(&b, frame, sizeof frame - 1);
	buf_add(&b, sync, sizeof sync);
	assert_int_equal(blocks_of(b.p, b.n), 1);
	assert_int_equal(err.kind, ERR_NONE);
}

/* A small block that would unfold to gigabytes, and one whose frame says that it would. */
static void bombs(void **state)
{
	AUTO(buf) struct buf zeros = { 0 }, b = { 0 };
	uint8_t sync[16];

	(void)state;
	memset(buf_more(&zeros, 50000000), 0, 50000000);
	zeros.n = 50000000;
	for (int codec = OCF_ZSTANDARD; codec <= OCF_DEFLATE; codec++) {
		struct ocf_codec_state *c = ocf_codec_new((enum ocf_codec)codec, 1);

		buf_clear(&b);
		ocf_header(&b, "\"string\"", (enum ocf_codec)codec, NULL, 0, sync);
		assert_int_equal(ocf_block(&b, c, sync, 1, (struct str){ zeros.p, zeros.n }, &err),
				 0);
		assert_true(b.n < 1000000);
		assert_int_equal(blocks_of(b.p, b.n), 0);
		assert_non_null(strstr(err.text, "larger than its bound"));
		ocf_codec_free(c);
	}
	static const char liar[] =
		"\x28\xb5\x2f\xfd\xc0\xff\xff\xff\xff\xff\xff\xff\x0f\x58\x19\0\0abc";

	buf_clear(&b);
	ocf_header(&b, "\"string\"", OCF_ZSTANDARD, NULL, 0, sync);
	avro_put_long(&b, 1);
	avro_put_bytes(&b, (struct str){ liar, sizeof liar - 1 });
	buf_add(&b, sync, sizeof sync);
	assert_int_equal(blocks_of(b.p, b.n), 0);
	assert_int_equal(err.code, EILSEQ);
}

static void unreadable(void **state)
{
	struct ocf_file f;

	(void)state;
	assert_int_equal(ocf_read_header(-1, &f, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codecs),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(any_byte_flipped),
		cmocka_unit_test(headers),
		cmocka_unit_test(long_header),
		cmocka_unit_test(of_other_writers),
		cmocka_unit_test(bombs),
		cmocka_unit_test(unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
