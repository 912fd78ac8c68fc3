/*
 * sql_batch.h - changes of one table put together before they are sent: one a key
 *
 * No database: what is to be done is read off with sql_batch_each().  Values belong to the caller's
 * arena, which lives until the batch is cleared.  One thread.
 *
 * At the target stands, for each key, a row or none (the base).  A change puts a row over it (the top),
 * takes the base away, or changes some of its columns.  Under a key that need not hold at all times
 * (deferrable: then rows come with complete old images) two rows may share one until the transaction
 * ends: a change whose old image is not the top's means the base.
 */
#ifndef SQL_BATCH_H
#define SQL_BATCH_H

#include "event.h"

#define SQL_OPEN INT64_MAX	/* item.until: the row's last version */

/* One row to be written or removed. */
struct sql_item {
	size_t		index;		/* of the last event that went into it */
	const struct value *after;	/* ncolumns values; absent ones are left out */
	const struct value *before;	/* the complete old row, or NULL */
	const struct value *key;	/* nkey values: where it stands at the target; NULL: as in `after` */
	int64_t		time;		/* of the change, microseconds since 1970 */
	int64_t		until;		/* history: when the next version began */
	bool		deleted;	/* soft: marked as of `time` */
};

/* A change, decoded. */
struct sql_change {
	const struct event *e;
	struct sql_item	item;		/* after, before, key (of the old row where it moved) are set as the event has them */
	bool		partial;	/* columns outside the key are absent */
	bool		full_before;	/* the old row is complete, and its key need not hold at all times */
};

enum sql_base { BASE_THERE, BASE_PATCHED, BASE_GONE, BASE_MARKED };

struct sql_slot {
	struct str	key;		/* Avro */
	uint64_t	hash;
	enum sql_base	base;
	bool		has_top, fresh;	/* fresh: came as a new row */
	struct str	image;		/* of the top, Avro; p NULL: put together */
	struct sql_item	top, below;	/* below: what is done to the base */
};

struct sql_batch {
	struct sql_slot	*slots;
	size_t		nslots, room;
	uint32_t	*index;		/* open addressing: slot + 1 */
	size_t		index_room;
	struct sql_item	*rows;		/* appended whatever their key: no key, history */
	size_t		nrows, rows_room;
};

struct sql_batch_rules {
	const struct table *table;
	bool		soft;		/* deleted rows are marked */
	bool		ignore;		/* deletes are left out */
	bool		history;	/* every version is kept */
	bool		plain;		/* new rows may go in as such */
	struct arena	*arena;
};

enum sql_added {
	SQL_ADDED,
	SQL_ALONE,	/* first what waits, then this one by itself */
	SQL_AGAIN,	/* first what waits, then this one to an empty batch */
	SQL_MISSING,	/* an update with absent columns of a row that was deleted */
};

/* Not for TRUNCATE. */
enum sql_added sql_batch_add(struct sql_batch *b, const struct sql_batch_rules *r, const struct sql_change *c);
bool sql_batch_empty(const struct sql_batch *b);
void sql_batch_clear(struct sql_batch *b);	/* keeps the room */
void sql_batch_free(struct sql_batch *b);

#endif
