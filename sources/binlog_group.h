/*
 * binlog_group.h - the group at hand: rows, holding, rollbacks, XA; inside of the binlog decoder
 */
#ifndef BINLOG_GROUP_H
#define BINLOG_GROUP_H

#include "binlog_hold.h"
#include "binlog_plan.h"
#include "binlog_temporary.h"

#define STATEMENT_TABLES 64	/* table maps of one statement */

struct savepoint { char *name; uint64_t mark; };	/* mark: hold.end when it was set */

struct group {
	bool			open;
	bool			begun;		/* the log's own BEGIN was seen */
	bool			given;		/* our BEGIN is in a batch */
	bool			standalone;	/* MariaDB: no COMMIT follows */
	bool			unaltered;	/* MariaDB: its ALTER has only begun, or was rolled back */
	bool			skip;		/* known already */
	bool			holding;
	bool			has_gtid;
	struct gtid		gtid;
	struct position		pos;		/* row: counted so far */
	int64_t			commit_us;
	uint64_t		xid;
	char			*xa;		/* its XID; NULL: not XA */
	struct hold		hold;
	struct savepoint	*savepoints;
	size_t			nsavepoints;
};

/* An XA transaction that was prepared and waits for its COMMIT or ROLLBACK. */
struct pending {
	char		*xa;
	bool		has_gtid;
	struct gtid	gtid;
	char		*file, *before;	/* where it begins; MariaDB: the GTID position before it */
	uint64_t	start;
	struct hold	hold;
};

struct binlog {
	struct binlog_config	config;
	bool			mariadb, have_format;
	struct binlog_format	format;
	char			*server, *file;
	uint32_t		number, epoch;	/* of the file */
	uint64_t		start, end;	/* of the last event */
	struct position		skip;		/* groups up to there are known */
	struct gtid_set		*set;		/* what was read; NULL: the server has no GTIDs */
	struct binlog_plans	plans;
	struct { uint64_t id; const struct binlog_plan *plan; } maps[STATEMENT_TABLES];	/* of the statement at hand */
	size_t			nmaps;
	struct group		group;
	struct pending		*pending;	/* oldest first */
	size_t			npending;
	struct hold		replay;		/* being given */
	uint64_t		replay_at;
	bool			replaying;
	struct buf		replay_room;
	struct binlog_payload	*payload;	/* being opened; NULL: none */
	struct buf		payload_bytes;
	struct binlog_temporary	temporary;
	unsigned		hold_next;	/* groups after hold_at that are held too; 0: none is */
	struct position		hold_at;	/* the last that the log took rows back of: it is read again, held */
};

/* binlog.c: one event of a group, from the stream, a payload or a hold. */
MUST_CHECK int binlog_group_event(struct binlog *d, const struct binlog_event *e, struct batch *b, struct error *err);

/* binlog_group.c */
size_t binlog_event_limit(const struct binlog *d);	/* bytes of the largest event that a row of max_row may make */
void binlog_group_reset(struct binlog *d);	/* forgets the group and all that is pending */
void binlog_group_open(struct binlog *d, const struct binlog_event *e, const struct binlog_gtid *g);
MUST_CHECK int binlog_group_rows(struct binlog *d, const struct binlog_event *e, struct batch *b, struct error *err);
void binlog_group_end(struct binlog *d, struct batch *b);	/* it is committed: what is held is given, then its end */
void binlog_group_replay(struct binlog *d, struct hold *h);	/* takes what h holds; the group ends after it */
void binlog_group_begin_given(struct binlog *d, struct batch *b);
void binlog_group_close(struct binlog *d, struct batch *b);	/* COMMIT or heartbeat, and the group is over */
/* Puts the table of a map event among those of the statement at hand. */
MUST_CHECK int binlog_group_map(struct binlog *d, const struct binlog_event *e, struct error *err);
const struct binlog_plan *binlog_group_plan(const struct binlog *d, uint64_t table_id);	/* NULL: no such map */
uint64_t binlog_rows_table(const struct binlog_event *e, bool *last);	/* the table's id; last: of the statement */
void binlog_give_heartbeat(struct binlog *d, uint32_t time, struct batch *b);

/* binlog_undo.c: what the log takes back, and what waits */
MUST_CHECK int binlog_group_rollback(struct binlog *d, struct batch *b, struct error *err);
void binlog_savepoint(struct binlog *d, struct str name);
MUST_CHECK int binlog_rollback_to(struct binlog *d, struct str name, struct error *err);
void binlog_xa_start(struct binlog *d, struct str xid);
MUST_CHECK int binlog_xa_prepare(struct binlog *d, const struct binlog_event *e, struct batch *b, struct error *err);
MUST_CHECK int binlog_xa_commit(struct binlog *d, struct str xid, struct batch *b, struct error *err);
MUST_CHECK int binlog_xa_rollback(struct binlog *d, struct str xid, struct batch *b, struct error *err);
void binlog_pending_free(struct binlog *d);	/* all of it */

#endif
