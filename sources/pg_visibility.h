/*
 * pg_visibility.h - which transactions of the log a snapshot of PostgreSQL sees
 *
 * By transaction ids, never by LSN: under synchronous replication a commit is streamed long before it
 * is visible, and what is visible need not be what comes first in the log.  Only the snapshot that a
 * replication slot exports is one place of the log.  Immutable; any thread.
 */
#ifndef PG_VISIBILITY_H
#define PG_VISIBILITY_H

#include "copier.h"

/* What pg_current_snapshot() and txid_current_snapshot() print: "xmin:xmax:xip,xip"; 64 bits each. */
struct pg_snapshot { uint64_t xmin, xmax; const char *open; };	/* open: borrows the list's text */
bool pg_snapshot_parse(const char *text, struct pg_snapshot *out);

/* The log, pg_locks and others have the lower 32 bits of an id; ids that live at one time lie within 2^31 of each other. */
uint64_t pg_xid_widen(uint32_t xid, uint64_t near);
/*
 * The least id that no transaction has yet that is under way: a snapshot's xmax is only behind the last one that ended.
 * locks: the ids of which pg_locks has locks, "727,730"; NULL: none.
 */
uint64_t pg_snapshot_horizon(const struct pg_snapshot *s, const char *locks);

/*
 * standby: its snapshots do not list what is open, so nothing from xmin on counts as visible.  end: the
 * log's end when the snapshot had been taken, as the log's reader sees it (pg_lsn_page_start).
 * NULL: not a snapshot's text.
 */
struct visibility *pg_visibility_new(const char *snapshot, bool standby, uint64_t end);
/* Of a slot's exported snapshot: commit records that begin before its consistent point. */
struct visibility *pg_visibility_exact(uint64_t consistent_point);

bool pg_visibility_sees(const struct visibility *v, const struct change *begin);	/* copier_ops.sees */
bool pg_visibility_reached(const struct visibility *v, const char *resume);		/* copier_ops.reached */
void pg_visibility_free(struct visibility *v);

#endif
