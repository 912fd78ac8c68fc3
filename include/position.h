/*
 * position.h - where we are in a source's log, and what is safe to forget
 *
 * A position names one change.  Positions of one source are totally ordered and the same change
 * gets the same position every time the log is read: that is all the agent needs to drop
 * duplicates after a rewind.
 */
#ifndef POSITION_H
#define POSITION_H

#include "memory.h"

struct position {
	uint32_t	epoch;	/* grows where the log forks (failover past the switch point, RESET) */
	uint32_t	file;	/* binlog number; 0 for Postgres */
	uint64_t	offset;	/* names the transaction: commit LSN, or offset of its GTID event */
	uint64_t	row;	/* 1 BEGIN; then one per thing the server sends again each time (counted
				 * before routing and filters); last COMMIT; POSITION_BETWEEN and up:
				 * between transactions */
};

/*
 * Heartbeats and snapshot chunks stand between transactions: offset = end of the log read so
 * far - 1, row = POSITION_BETWEEN for a heartbeat, chunk rows count up from POSITION_BETWEEN + 1.
 * A schema record carries the position of the row that it precedes.
 */
#define POSITION_BETWEEN	(UINT64_C(1) << 63)

/*
 * Everything up to and including `pos` is durable in whoever holds this.  A value: the strings
 * are owned by it, checkpoint_copy() makes another.  Zero-initialised means "none".
 */
struct checkpoint {
	struct position	pos;
	char		*resume;	/* JSON: what the source needs to start after pos, and which log it is
					 * ({"system":"7301...","timeline":1,"lsn":"0/16B3798"}); NULL: none */
	char		*snapshot;	/* JSON array of tables still being loaded; NULL: none */
	char		*stopped;	/* JSON object: table -> position of its first undelivered change; NULL: none */
};

int  position_cmp(const struct position *a, const struct position *b);	/* <0, 0, >0 */
bool position_same_transaction(const struct position *a, const struct position *b);	/* epoch, file, offset; within a transaction or
														 * between two */
void position_format(const struct position *pos, struct buf *out);	/* "1/0/16B3748/7" */
int  position_parse(struct str text, struct position *out);		/* 0, or -1 if it is not one */
#define POSITION_TEXT	64
const char *position_text(const struct position *pos, char out[POSITION_TEXT]);	/* returns out */
const char *position_filename(const struct position *pos, char out[POSITION_TEXT]);	/* %02x-%06x-%016x-%016x */

void checkpoint_copy(struct checkpoint *to, const struct checkpoint *from);	/* frees what `to` held */
void checkpoint_release(struct checkpoint *c);
void checkpoint_cleanup(struct checkpoint *c);

#endif
