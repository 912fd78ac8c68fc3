/*
 * block.h - builds spool blocks from changes; counts who holds them
 *
 * A builder belongs to one thread.  A sealed block is immutable; its references may be dropped by
 * any thread.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include "avro.h"

#define BLOCK_TARGET ((size_t)256 * 1024) /* bytes of records at which a block is sealed */

struct block_builder {
	struct buf bytes;
	size_t cut; /* bytes up to the end of the last COMMIT, HEARTBEAT or GAP; 0: none inside */
	struct avro_scratch scratch;
};

void block_builder_release(struct block_builder *bb);
void block_builder_clear(struct block_builder *bb); /* forget what was not sealed */
void block_builder_add(struct block_builder *bb, const struct change *c);
/* A row whose images are encoded already (key, after, unrepresentable). */
void block_builder_add_encoded(struct block_builder *bb, const struct event *e);

/*
 * Takes the complete transactions out of the builder, or all of it (an unfinished transaction's
 * part) when there is none.  NULL when the builder is empty.  The block has no index yet.
 */
struct block *block_seal(struct block_builder *bb);

/* Wraps records read from disk; takes over bytes->p. */
struct block *block_of(struct buf *bytes);

/* Parses the records into block->events.  `tables` gets versions that schema records bring. */
MUST_CHECK int block_index(struct block *b, struct tables *tables, struct error *err);

/* Memory held by the block, its index included. */
size_t block_weight(const struct block *b);

#endif
