/*
 * event.h - a change as the spool keeps it and the sinks get it: Avro bytes
 *
 * Sinks get whole transactions only.  A row image is plain Avro of the table version's row schema,
 * so a sink builds its message by copying: header + before + after + source block.  Sinks that
 * need typed values decode with avro_get_row().
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdatomic.h>
#include "change.h"

struct event {
	enum change_op		op;
	const struct table	*table;		/* NULL for BEGIN, COMMIT, MESSAGE, HEARTBEAT, GAP */
	struct position		pos;
	uint64_t		xid;
	int64_t			commit_us;	/* source commit time, microseconds since 1970 */
	struct str		key;		/* Avro, the key columns, of the row as it is after the change
						 * (of the deleted row for a delete); p == NULL: no key */
	struct str		old_key;	/* set only where the change moved the row to another key */
	struct str		before, after;	/* Avro row images; p == NULL: not there */
	struct str		absent, absent_before;	/* bitmaps, bit i of byte i/8: column i was not in the log; n == 0: none */
	struct str		unrepresentable, unrepresentable_before; /* Avro map<string>: column to source text; n == 0: none */
	struct str		prefix, content;/* MESSAGE; BEGIN of MySQL: the GTID, the binlog's name */
	struct str		resume;		/* COMMIT, HEARTBEAT, GAP: JSON */
};

static inline bool event_bit(struct str bitmap, size_t column)
{
	return column / 8 < bitmap.n && ((uint8_t)bitmap.p[column / 8] >> column % 8 & 1);
}

/*
 * A spool block in memory: encoded records and an index over them.  Immutable once sealed, shared
 * by the sinks that are caught up, freed by the last one to let go of it.
 */
struct block {
	atomic_int	refs;
	char		*bytes;		/* nbytes of spool_record.avsc records; owned */
	size_t		nbytes;
	struct event	*events;	/* point into bytes; owned */
	size_t		nevents;
	bool		only_copy;	/* ends a gap or a snapshot's chunk, which the log cannot give again */
	bool		has_boundary;	/* the last event is a COMMIT, HEARTBEAT or GAP: a sink may commit after it */
};

void block_hold(struct block *b);
void block_drop(struct block *b);	/* frees on the last */

#endif
