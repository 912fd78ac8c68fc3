/*
 * change.h - one event of a source's log, as typed values, and the batch that owns it
 */
#ifndef CHANGE_H
#define CHANGE_H

#include "position.h"
#include "table.h"

enum change_op {
	CHANGE_BEGIN, CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_TRUNCATE,
	CHANGE_READ,		/* a row of a snapshot chunk */
	CHANGE_SCHEMA,		/* `table` is a version used below; the spool writes it, sources do not */
	CHANGE_MESSAGE,		/* logical message: prefix, content */
	CHANGE_HEARTBEAT,	/* the log moved, nothing for us */
	CHANGE_GAP,		/* the log was lost here and every sink is past it */
	CHANGE_COMMIT, CHANGE_ABORT,
};

enum value_state {
	VALUE_ABSENT,		/* not in the log: unchanged TOAST, minimal row image */
	VALUE_NULL,
	VALUE_SET,
	VALUE_UNREPRESENTABLE,	/* its Avro type cannot hold it; `s` is the source's text */
};

struct array;
struct value {				/* the column's type says which member is in use */
	enum value_state	state;
	union {
		bool		b;
		int64_t		i;	/* integers; days; microseconds */
		uint64_t	u;
		double		d;	/* float and double */
		struct str	s;	/* text, uuid, JSON, bytes; decimal: two's complement, big-endian,
					 * shortest form of the unscaled number */
		const struct array *a;
	};
};
struct array { size_t n; const struct value *items; };	/* items are NULL or SET */

/* Shortest big-endian two's complement, what COL_DECIMAL holds. */
struct str value_decimal(struct arena *a, int64_t unscaled);
/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar; year 0 is 1 BC. */
int64_t	   value_days(int64_t year, unsigned month, unsigned day);
unsigned   value_month_days(int64_t year, unsigned month);

struct change {
	enum change_op		op;
	const struct table	*table;		/* NULL for BEGIN, COMMIT, MESSAGE, ... */
	struct position		pos;
	uint64_t		xid;
	int64_t			commit_us;	/* source commit time, microseconds since 1970 */
	const struct value	*before;	/* ncolumns values, or NULL */
	const struct value	*after;		/* ncolumns values, or NULL */
	struct str		prefix, content;/* MESSAGE; BEGIN of MySQL: the GTID, the binlog's name */
	struct str		resume;		/* COMMIT, HEARTBEAT, GAP: the checkpoint's resume JSON */
};

/*
 * What one read() of a source gave.  It owns every byte its changes point to; the reader encodes
 * it and empties it.  One thread: no count.
 */
struct batch {
	struct arena	arena;
	struct change	*changes;	/* grows; kept over batch_empty */
	size_t		nchanges, room;
};

struct change *batch_add(struct batch *b, enum change_op op, const struct table *t, struct position pos);
struct value  *batch_row(struct batch *b, const struct table *t);	/* ncolumns ABSENT values */
void	       batch_empty(struct batch *b);
void	       batch_free(struct batch *b);

#endif
