/*
 * chunk.h - rows that a snapshot worker read, encoded, until the reader puts them into the stream
 *
 * Filled by one worker, then handed to the splice; whoever has it guards it.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include "avro.h"

/* Key, image and unrepresentable values follow each other.  A chunk is far smaller than 4 GB, one row of source.max_row included. */
struct chunk_row {
	uint32_t at; /* offset in bytes */
	uint32_t nkey, nimage, nextra;
	bool keyed, dropped;
};

struct chunk {
	const struct table *table; /* the version that the rows are of */
	struct buf bytes;
	struct chunk_row *rows;
	size_t nrows, room, ndropped;
	uint32_t *slots; /* by hash of the key: index + 1 */
	size_t nslots;	 /* a power of two; 0: not indexed */
	int64_t read_us; /* wall clock of the read */
	struct avro_scratch scratch;
};

struct chunk *chunk_new(const struct table *t);
void chunk_free(struct chunk *c);
/* Encodes ncolumns values. */
void chunk_add(struct chunk *c, const struct value *row);
/* After the last row: makes chunk_drop() find keys. */
void chunk_index(struct chunk *c);
/* A row with this key is not to be emitted; false: there is none (any more). */
bool chunk_drop(struct chunk *c, struct str key);

static inline struct str chunk_key(const struct chunk *c, const struct chunk_row *r)
{
	return (struct str){ c->bytes.p + r->at, r->nkey };
}

static inline struct str chunk_image(const struct chunk *c, const struct chunk_row *r)
{
	return (struct str){ c->bytes.p + r->at + r->nkey, r->nimage };
}

static inline struct str chunk_extra(const struct chunk *c, const struct chunk_row *r)
{
	return (struct str){ c->bytes.p + r->at + r->nkey + r->nimage, r->nextra };
}

uint64_t key_hash(struct str key);

#endif
