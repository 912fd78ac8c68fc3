/*
 * spool_private.h - what spool.c, spool_segment.c and spool_cursor.c share
 */
#ifndef SPOOL_PRIVATE_H
#define SPOOL_PRIVATE_H

#include <pthread.h>

#include "block.h"
#include "ocf.h"
#include "spool.h"

#define SPOOL_FORMAT	"1"
#define SPOOL_BLOCK_MAX ((size_t)INT32_MAX) /* a longer block is damage */

/* The end of a block: everything up to here. */
struct mark {
	uint64_t seq, offset; /* {0, 0}: the start of an empty spool */
};

struct segment {
	uint64_t seq; /* order in memory, from 1 */
	char *path;
	struct position first; /* of its first record */
	struct position after; /* the last transaction end before its first record */
	bool inside;	       /* it begins in the middle of a transaction or chunk */
	struct position last;  /* at or past its last record; zero while it is being written */
	uint64_t size;	       /* up to the end of its last whole block */
	int64_t closed_us;     /* wall clock when it was finished */
};

struct recent {
	struct mark before, end; /* the block follows `before` */
	struct block *block;
};

/* When rows up to `pos` were committed in the source: how old what a sink lacks is. */
#define SPOOL_SAMPLES	 1024
#define SPOOL_SAMPLE_US	 100000
struct spool_sample {
	struct position pos;
	int64_t commit_us;
};

struct spool {
	char *dir, *pipeline;
	const struct spool_config *config;
	struct tables *tables;
	size_t recent_max;

	/* Under the lock; the writer changes them, cursors read them. */
	pthread_mutex_t lock;
	pthread_cond_t news, taken; /* something was published; the front moved while the writer waits for it */
	struct segment *segments;
	size_t nsegments, segments_room;
	struct mark written, published;
	struct mark front;   /* the furthest that a cursor has got */
	struct recent *ring; /* oldest first, nring from ring_start, room is a power of two */
	size_t ring_start, nring, ring_room, ring_bytes;
	struct checkpoint newest, synced;
	uint64_t events, pending; /* rows published; rows of the unfinished transaction */
	int64_t bytes;
	unsigned wakes;
	bool waiting; /* the writer, for a cursor */
	struct spool_sample samples[SPOOL_SAMPLES]; /* oldest first */
	size_t nsamples;

	/* The writer's own. */
	int fd; /* of the last segment; -1: the next block starts a new one */
	uint8_t sync[16];
	uint64_t synced_offset; /* in the last segment */
	struct ocf_codec_state *codec;
	struct buf out, schema_records;
	uint8_t *declared; /* bit a version: its schema record is in this segment */
	size_t declared_bytes;
	uint64_t next_seq;
	struct position last_written;
	int64_t patience_us, patience_at; /* how long it may still wait for a cursor; as of when */
};

struct segment *spool_segment_find(struct spool *s, uint64_t seq); /* under the lock; NULL: removed */
struct segment *spool_segment_push(struct spool *s, const struct segment *g);
void spool_segment_drop(struct spool *s, size_t index); /* out of the list; frees its path */

void spool_front(struct spool *s, const struct mark *m); /* under the lock: a cursor is there */

/* Reads the directory, cuts the tail, fills the list, marks and checkpoints. */
MUST_CHECK int spool_recover(struct spool *s, struct error *err);
MUST_CHECK int spool_sync_dir(const char *dir, struct error *err);

#endif
