/*
 * ocf.c - Avro object container files
 *
 *	file   = "Obj" 1, map<bytes> metadata, 16 bytes marker, block*
 *	block  = long count, long size, size bytes (compressed records), 16 bytes marker
 *
 * metadata: avro.schema, avro.codec (null, deflate, zstandard) and what the writer adds.  Files are
 * read with pread; nothing that they say about sizes is believed before it is compared with what
 * is there and with the caller's bound.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "avro_private.h"
#include "ocf.h"

#define SYNC       16
#define HEADER_MAX ((size_t)64 * 1024 * 1024)
#define STEP       ((size_t)16 * 1024)

static const char *const codec_names[] = {
	[OCF_ZSTANDARD] = "zstandard",
	[OCF_DEFLATE] = "deflate",
	[OCF_NULL] = "null",
};

/* Contexts are made at first use: a writer needs other ones than a reader. */
struct ocf_codec_state {
	enum ocf_codec codec;
	int level;
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	z_stream *deflate, *inflate;
	struct buf in; /* a block as it is in the file */
};

struct ocf_codec_state *ocf_codec_new(enum ocf_codec codec, int level)
{
	struct ocf_codec_state *c = xcalloc(1, sizeof *c);

	c->codec = codec;
	c->level = level;
	return c;
}

void ocf_codec_free(struct ocf_codec_state *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->compress);
	ZSTD_freeDCtx(c->decompress);
	if (c->deflate)
		deflateEnd(c->deflate);
	if (c->inflate)
		inflateEnd(c->inflate);
	free(c->deflate);
	free(c->inflate);
	buf_free(&c->in);
	free(c);
}

void ocf_header(struct buf *out, const char *schema, enum ocf_codec codec,
		const struct ocf_meta *extra, size_t nextra, uint8_t sync[16])
{
	for (size_t got = 0; got < SYNC;) {
		ssize_t n = getrandom(sync + got, SYNC - got, 0);

		if (n < 0 && errno != EINTR)
			abort(); /* the kernel has had getrandom since 3.17 */
		got += n > 0 ? (size_t)n : 0;
	}
	buf_add(out, "Obj\1", 4);
	avro_put_long(out, (int64_t)nextra + 2);
	avro_put_bytes(out, STR("avro.schema"));
	avro_put_bytes(out, str_z(schema));
	avro_put_bytes(out, STR("avro.codec"));
	avro_put_bytes(out, str_z(codec_names[codec]));
	for (size_t i = 0; i < nextra; i++) {
		avro_put_bytes(out, str_z(extra[i].key));
		avro_put_bytes(out, extra[i].value);
	}
	avro_put_long(out, 0);
	buf_add(out, sync, SYNC);
}

/* --- writing --- */

/*
 * A row repeats the one before it: a table of places that stays in the first cache finds that as well as a large one
 * does, in three quarters of the time.  A targetLength leaves literals as they are, which saves their Huffman table.
 */
static ZSTD_CCtx *zstandard_new(int level)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	if (!z)
		return NULL;
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level == OCF_QUICK ? 1 : level);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 1);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	if (level <= 1) {
		ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, 11);
		ZSTD_CCtx_setParameter(z, ZSTD_c_minMatch, level == OCF_QUICK ? 5 : 6);
	}
	if (level == OCF_QUICK)
		ZSTD_CCtx_setParameter(z, ZSTD_c_targetLength, 1);
	return z;
}

static int compress_zstandard(struct ocf_codec_state *c, char *to, size_t room, struct str in,
			      size_t *size, struct error *err)
{
	if (!c->compress && !(c->compress = zstandard_new(c->level)))
		return fail(err, ERR_FATAL, "zstandard: out of memory");
	*size = ZSTD_compress2(c->compress, to, room, in.p, in.n);
	if (ZSTD_isError(*size))
		return fail(err, ERR_FATAL, "zstandard: %s", ZSTD_getErrorName(*size));
	return 0;
}

static int compress_deflate(struct ocf_codec_state *c, char *to, size_t room, struct str in,
			    size_t *size, struct error *err)
{
	if (!c->deflate) {
		int level = c->level < 1 ? 1 : c->level > 9 ? 9 : c->level;

		c->deflate = xcalloc(1, sizeof *c->deflate);
		if (deflateInit2(c->deflate, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			return fail(err, ERR_FATAL, "deflate: out of memory");
	}
	z_stream *z = c->deflate;

	deflateReset(z);
	z->next_in = (Bytef *)(uintptr_t)in.p; /* zlib's pointer is not const; it only reads */
	z->avail_in = (uInt)in.n;
	z->next_out = (Bytef *)to;
	z->avail_out = (uInt)room;
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return fail(err, ERR_FATAL, "deflate: %s", z->msg ? z->msg : "no room");
	*size = room - z->avail_out;
	return 0;
}

static size_t compressed_room(const struct ocf_codec_state *c, size_t n)
{
	if (c->codec == OCF_ZSTANDARD)
		return ZSTD_compressBound(n);
	return c->codec == OCF_DEFLATE ? n + n / 1000 + 1024 : n;
}

int ocf_block(struct buf *out, struct ocf_codec_state *c, const uint8_t sync[16], uint64_t count,
	      struct str records, struct error *err)
{
	size_t room = compressed_room(c, records.n), size = records.n;
	char *p = records.n <= INT32_MAX ? buf_more(out, 2 * LONG_ROOM + room + SYNC) : NULL;

	if (!p)
		return fail(err, ERR_FATAL, "an Avro block of %zu bytes is too large", records.n);
	/* Compressed behind where it will stand: the size before it has no fixed width. */
	char *data = p + 2 * LONG_ROOM;

	if (c->codec == OCF_ZSTANDARD) {
		if (compress_zstandard(c, data, room, records, &size, err) < 0)
			return -1;
	} else if (c->codec == OCF_DEFLATE) {
		if (compress_deflate(c, data, room, records, &size, err) < 0)
			return -1;
	} else if (records.n) {
		memcpy(data, records.p, records.n);
	}
	char *to = put_long(p, (int64_t)count);

	to = put_long(to, (int64_t)size);
	memmove(to, data, size);
	memcpy(to + size, sync, SYNC);
	out->n += (size_t)(to - p) + size + SYNC;
	return 0;
}

/* --- reading --- */

static const char too_large[] = "an Avro block larger than its bound";
static const char cut_short[] = "an Avro block cut short";

/* A damaged or torn part: the spool may cut it off at the end of its last segment. */
static int torn(struct error *err, uint64_t offset, const char *why, const char *detail)
{
	fail(err, ERR_FATAL, "%s at offset %" PRIu64 "%s%s", why, offset, detail ? ": " : "",
	     detail ? detail : "");
	err->code = EILSEQ;
	return -1;
}

/* Reads up to n bytes at offset onto b; gives how many there were. */
static int read_at(int fd, uint64_t offset, size_t n, struct buf *b, struct error *err)
{
	size_t got = 0;
	char *to = buf_more(b, n + 1); /* never none: NULL means overflow */

	while (to && got < n) {
		ssize_t r = pread(fd, to + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			int code = errno;

			fail(err, ERR_FATAL, "cannot read at offset %" PRIu64 ": %s", offset,
			     strerror(code));
			err->code = code;
			return -1;
		}
		if (r == 0)
			break;
		got += (size_t)r;
	}
	b->n += got;
	return 0;
}

static int file_size(int fd, uint64_t *out, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(err, ERR_FATAL, "cannot stat the file: %s", strerror(errno));
	*out = (uint64_t)st.st_size;
	return 0;
}

static void add_meta(struct ocf_file *f, struct str key, struct str value)
{
	f->meta = xrealloc(f->meta, (f->nmeta + 1) * sizeof *f->meta);
	f->meta[f->nmeta++] = (struct ocf_meta){ xstrndup(key.p, key.n),
						 { xstrndup(value.p, value.n), value.n } };
}

/* Fills meta, marker and size from what is there of the header; false: it is not all there. */
static bool parse_header(struct str bytes, struct ocf_file *f)
{
	struct cursor c = cursor_of(bytes);
	struct str magic = get_bytes(&c, 4), map = avro_get_map(&c), sync = get_bytes(&c, SYNC);
	struct str key, value;
	int64_t left = 0;

	if (!magic.p || !sync.p)
		return false;
	memcpy(f->sync, sync.p, SYNC);
	f->header_size = (uint64_t)(c.p - (const uint8_t *)bytes.p);
	c = cursor_of(map);
	while (avro_get_pair(&c, &left, &key, &value))
		add_meta(f, key, value);
	return true;
}

static int check_header(struct ocf_file *f, struct error *err)
{
	static const uint8_t none[SYNC];
	const struct ocf_meta *schema = ocf_meta_find(f, "avro.schema");
	const struct ocf_meta *codec = ocf_meta_find(f, "avro.codec");

	if (!schema || !schema->value.n || memchr(schema->value.p, 0, schema->value.n) ||
	    memcmp(f->sync, none, SYNC) == 0)
		return torn(err, 0, "a damaged header of an Avro file", NULL);
	f->schema = xstrndup(schema->value.p, schema->value.n);
	f->codec = OCF_NULL;
	for (size_t i = 0; codec; i++) {
		if (i == COUNT(codec_names))
			return fail(
				err, ERR_FATAL,
				"the Avro file has codec %s; known are zstandard, deflate and null",
				codec->value.p);
		if (str_eqz(codec->value, codec_names[i])) {
			f->codec = (enum ocf_codec)i;
			break;
		}
	}
	return 0;
}

static int read_header(int fd, struct ocf_file *out, struct error *err)
{
	AUTO(buf) struct buf b = { 0 };
	uint64_t size = 0;

	if (file_size(fd, &size, err) < 0)
		return -1;
	for (size_t want = STEP;; want *= 4) {
		buf_clear(&b);
		if (read_at(fd, 0, want < size ? want : (size_t)size, &b, err) < 0)
			return -1;
		if (b.n < 4 || memcmp(b.p, "\0\0\0\0", 4) == 0)
			return torn(err, 0, "no header of an Avro file", NULL);
		if (memcmp(b.p, "Obj\1", 4) != 0)
			return fail(err, ERR_FATAL, "not an Avro container file");
		if (parse_header((struct str){ b.p, b.n }, out))
			return check_header(out, err);
		if (b.n == size || want >= HEADER_MAX)
			return torn(err, 0, "a damaged or short header of an Avro file", NULL);
	}
}

int ocf_read_header(int fd, struct ocf_file *out, struct error *err)
{
	*out = (struct ocf_file){ 0 };
	if (read_header(fd, out, err) < 0) {
		ocf_file_release(out);
		return -1;
	}
	return 0;
}

const struct ocf_meta *ocf_meta_find(const struct ocf_file *f, const char *key)
{
	for (size_t i = 0; i < f->nmeta; i++)
		if (strcmp(f->meta[i].key, key) == 0)
			return &f->meta[i];
	return NULL;
}

void ocf_file_release(struct ocf_file *f)
{
	for (size_t i = 0; i < f->nmeta; i++) {
		free((void *)(uintptr_t)f->meta[i].key);
		free((void *)(uintptr_t)f->meta[i].value.p);
	}
	free(f->meta);
	free(f->schema);
	*f = (struct ocf_file){ 0 };
}

/* Room for more decompressed bytes: doubles, up to max. */
static char *more_room(struct buf *records, size_t max, size_t *room)
{
	size_t want = records->n < STEP ? STEP : records->n;

	if (want > max - records->n)
		want = max - records->n;
	*room = want;
	return buf_more(records, want + 1); /* never none: NULL means overflow */
}

static int decompress_zstandard(struct ocf_codec_state *c, struct str in, size_t max,
				struct buf *records, uint64_t offset, struct error *err)
{
	ZSTD_inBuffer from = { in.p, in.n, 0 };
	unsigned long long content = ZSTD_getFrameContentSize(in.p, in.n);
	size_t left = 1;

	if (!c->decompress && !(c->decompress = ZSTD_createDCtx()))
		return fail(err, ERR_FATAL, "zstandard: out of memory");
	ZSTD_DCtx_reset(c->decompress, ZSTD_reset_session_only);
	/* A hint only, and no more than such input could plausibly give. */
	if (content <= max && content / 64 <= in.n)
		buf_more(records, (size_t)content + 1);
	while (from.pos < from.size || left) {
		size_t room = records->room - records->n, before = from.pos, written = records->n;
		char *to = room && room <= max - records->n ? records->p + records->n
							    : more_room(records, max, &room);
		ZSTD_outBuffer out = { to, to ? room : 0, 0 };

		left = ZSTD_decompressStream(c->decompress, &out, &from);
		if (ZSTD_isError(left))
			return torn(err, offset, "a damaged Avro block", ZSTD_getErrorName(left));
		records->n += out.pos;
		if (from.pos == before && records->n == written)
			return torn(err, offset,
				    from.pos < from.size || records->n == max ? too_large
									      : cut_short,
				    NULL);
	}
	return 0;
}

static int decompress_deflate(struct ocf_codec_state *c, struct str in, size_t max,
			      struct buf *records, uint64_t offset, struct error *err)
{
	if (!c->inflate) {
		c->inflate = xcalloc(1, sizeof *c->inflate);
		if (inflateInit2(c->inflate, -15) != Z_OK)
			return fail(err, ERR_FATAL, "deflate: out of memory");
	}
	z_stream *z = c->inflate;

	inflateReset(z);
	z->next_in = (Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.n;
	for (int rc = Z_OK; rc != Z_STREAM_END;) {
		size_t room;
		char *to = more_room(records, max, &room);

		z->next_out = (Bytef *)to;
		z->avail_out = to ? (uInt)room : 0;
		rc = inflate(z, Z_NO_FLUSH);
		records->n += (size_t)((char *)z->next_out - to);
		if (rc == Z_BUF_ERROR && records->n == max)
			return torn(err, offset, too_large, NULL);
		if (rc != Z_OK && rc != Z_STREAM_END)
			return torn(err, offset, "a damaged Avro block", z->msg);
	}
	return 0;
}

static int decompress(struct ocf_codec_state *c, enum ocf_codec codec, struct str in, size_t max,
		      struct buf *records, uint64_t offset, struct error *err)
{
	if (codec == OCF_ZSTANDARD)
		return decompress_zstandard(c, in, max, records, offset, err);
	if (codec == OCF_DEFLATE)
		return decompress_deflate(c, in, max, records, offset, err);
	if (in.n > max)
		return torn(err, offset, too_large, NULL);
	buf_add(records, in.p, in.n);
	return 0;
}

int ocf_read_block(int fd, const struct ocf_file *f, struct ocf_codec_state *c, uint64_t offset,
		   size_t max, struct buf *records, uint64_t *count, uint64_t *next,
		   struct error *err)
{
	uint64_t size = 0;

	buf_clear(records);
	if (max > INT32_MAX)
		max = INT32_MAX;
	if (file_size(fd, &size, err) < 0)
		return -1;
	if (offset == size)
		return 0;
	buf_clear(&c->in);
	/* Most blocks come with their head in one read. */
	if (read_at(fd, offset, STEP, &c->in, err) < 0)
		return -1;
	if (!c->in.n)
		return torn(err, offset, "the end of the file before an Avro block", NULL);
	struct cursor head = cursor_of((struct str){ c->in.p, c->in.n });
	int64_t n = avro_get_long(&head), bytes = avro_get_long(&head);
	size_t at = (size_t)(head.p - (const uint8_t *)c->in.p);

	if (head.bad || n < 0 || bytes < 0)
		return torn(err, offset, "a damaged head of an Avro block", NULL);
	if ((uint64_t)bytes > size - offset || size - offset - (uint64_t)bytes < at + SYNC)
		return torn(err, offset, cut_short, NULL);
	if ((uint64_t)bytes > (uint64_t)max + max / 128 + 1024)
		return torn(err, offset, too_large, NULL);
	size_t all = at + (size_t)bytes + SYNC;

	if (c->in.n < all && read_at(fd, offset + c->in.n, all - c->in.n, &c->in, err) < 0)
		return -1;
	if (c->in.n < all || memcmp(c->in.p + all - SYNC, f->sync, SYNC) != 0)
		return torn(err, offset, "an Avro block without the file's marker", NULL);
	if (decompress(c, f->codec, (struct str){ c->in.p + at, (size_t)bytes }, max, records,
		       offset, err) < 0)
		return -1;
	*count = (uint64_t)n;
	*next = offset + all;
	return 1;
}
