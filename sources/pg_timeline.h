/*
 * pg_timeline.h - which log this is: system identifier, timeline, and where its timelines forked
 *
 * A timeline's number is the epoch of the positions on it.  A commit before the point where a
 * timeline was left belongs to the timeline that was left, whoever sends it.
 */
#ifndef PG_TIMELINE_H
#define PG_TIMELINE_H

#include "pg_connection.h"

struct pg_fork { uint32_t timeline; uint64_t end; };	/* the timeline was left at this LSN */
struct pg_log {
	uint64_t	system;
	uint32_t	timeline;
	struct pg_fork	*forks;		/* in order, older ones first; empty on timeline 1 */
	size_t		nforks;
};

/* IDENTIFY_SYSTEM and TIMELINE_HISTORY on a replication connection. */
MUST_CHECK int pg_log_identify(PGconn *replication, int64_t deadline, struct pg_log *out, struct error *err);
/* A history file's text; appends to out->forks. */
MUST_CHECK int pg_log_parse_history(const char *text, struct pg_log *out, struct error *err);
/*
 * Is what `known` (a resume token) stands for part of this log?  `end`: where the log ends now.
 * ERR_FATAL with EXIT_LOG_GONE if not; ERR_RETRY for a standby that is not there yet.
 */
MUST_CHECK int pg_log_compare(const struct pg_log *log, const char *known, uint64_t end, bool standby,
			      struct error *err);
uint32_t pg_log_epoch(const struct pg_log *log, uint64_t commit_lsn);
void	 pg_log_release(struct pg_log *log);

#endif
