/*
 * ocf.h - Avro object container files, written and read block by block
 *
 * Format: Apache Avro 1.11, "Object Container Files": "Obj" 1, a map of metadata, a 16-byte sync
 * marker, then blocks { count, size, data, marker }.  Codecs null, deflate (raw) and zstandard
 * (one frame a block, with content size and checksum).
 * A codec object belongs to one thread.  The functions work on memory and on a file descriptor given by the
 * caller: who syncs and who renames is the caller's business.
 */
#ifndef OCF_H
#define OCF_H

#include "error.h"

enum ocf_codec { OCF_ZSTANDARD, OCF_DEFLATE, OCF_NULL };	/* order of the `compression` option's choices */

struct ocf_codec_state;			/* reusable compression and decompression contexts */
#define OCF_QUICK 0			/* a level of zstandard below 1, for files that do not stay */
/* level: the codec's own, of zstandard 1 to 19 or OCF_QUICK. */
struct ocf_codec_state *ocf_codec_new(enum ocf_codec codec, int level);
void ocf_codec_free(struct ocf_codec_state *c);

struct ocf_meta { const char *key; struct str value; };

/* Header bytes; sync is random per file and returned. */
void ocf_header(struct buf *out, const char *schema, enum ocf_codec codec, const struct ocf_meta *extra, size_t nextra,
		uint8_t sync[16]);
/* One block of `count` records. */
MUST_CHECK int ocf_block(struct buf *out, struct ocf_codec_state *c, const uint8_t sync[16], uint64_t count,
			 struct str records, struct error *err);

/* What a header says; strings are malloced. */
struct ocf_file {
	enum ocf_codec	codec;
	char		*schema;
	struct ocf_meta	*meta;		/* all pairs, keys and values malloced */
	size_t		nmeta;
	uint8_t		sync[16];
	uint64_t	header_size;	/* offset of the first block */
};
/* Parses the header of an open file.  ERR_FATAL: not an Avro file, or an unknown codec. */
MUST_CHECK int ocf_read_header(int fd, struct ocf_file *out, struct error *err);
const struct ocf_meta *ocf_meta_find(const struct ocf_file *f, const char *key);
void ocf_file_release(struct ocf_file *f);

/*
 * Reads the block at `offset` into `records` (cleared first, bounded by max bytes).  1: *count and *next set; 0: end of
 * file exactly at offset; -1: damaged (ERR_FATAL, text says how; a short or torn block has code EILSEQ).
 */
MUST_CHECK int ocf_read_block(int fd, const struct ocf_file *f, struct ocf_codec_state *c, uint64_t offset, size_t max,
			      struct buf *records, uint64_t *count, uint64_t *next, struct error *err);

#endif
