/*
 * binlog_hold.h - events of a transaction that is not to be passed on yet
 *
 * XA transactions wait for their XA COMMIT, a group with a rollback in it for its end.  Events are kept in
 * memory up to a limit, then all of it in an unlinked file.  One thread.
 */
#ifndef BINLOG_HOLD_H
#define BINLOG_HOLD_H

#include "binlog_event.h"

struct hold {
	const char	*dir;		/* where the file goes; borrowed */
	size_t		memory;		/* bytes that stay in memory */
	struct buf	bytes;		/* records: u32 length, event without checksum; only while fd is -1 */
	int		fd;
	uint64_t	end;		/* bytes kept */
};

void hold_init(struct hold *h, const char *dir, size_t memory);
void hold_release(struct hold *h);
MUST_CHECK int hold_add(struct hold *h, const struct binlog_event *e, struct error *err);
/*
 * The event at *at (0, or a former h->end), which moves past it: 1 with *out in `room`, valid until the next call; 0 at
 * the end.
 */
MUST_CHECK int hold_next(struct hold *h, uint64_t *at, struct buf *room, struct binlog_event *out, struct error *err);
void hold_cut(struct hold *h, uint64_t end);	/* forgets what was added after that h->end */

#endif
