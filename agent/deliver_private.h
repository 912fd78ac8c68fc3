/*
 * deliver_private.h - one sink's thread: what deliver.c, deliver_ask.c, deliver_cure.c and
 * deliver_chunk.c share
 */
#ifndef DELIVER_PRIVATE_H
#define DELIVER_PRIVATE_H

#include "agent.h"
#include "loading.h"
#include "stopped.h"

#define LATENCIES 1024	   /* transactions of one commit whose latency is observed */
#define CURE_US	  60000000 /* a stopped table is tried again so often */

struct deliver {
	struct agent *agent;
	struct sink_context context;
	const struct sink_ops *ops;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t begun_cond;
	bool attempted, loaded, known, detached, finished, begun, frozen;
	bool tried; /* this process tried the stopped tables */
	enum sink_state state;
	char *error;
	struct checkpoint committed; /* in the target, or where it begins */
	struct checkpoint
		floor; /* what retention keeps: committed, or older while a table is stopped */
	unsigned verify_wanted, verify_done;
	bool open; /* a sink that is closed checks its fence when it opens */
	uint64_t delivered, delivered_base;
	bool counting; /* lag in events is known: it was at the end once */
	int64_t commits, retries;
	struct stopped stopped;

	/* The thread's own. */
	struct sink *sink;
	struct spool_cursor *cursor;
	struct checkpoint upto; /* the last transaction end written, not committed */
	bool pending, pending_rows, must_commit;
	bool delivered_elsewhere; /* the transaction at hand came from the server before this one */
	bool foreign; /* the chunk at hand is meant for another sink */
	struct loading loading; /* as of the last note met; the sinks' context.loading */
	size_t group_rows, group_bytes;
	uint64_t uncommitted; /* rows written, those left out included */
	int64_t group_since, last_commit, last_cure, failing_since;
	int64_t latencies[LATENCIES];
	size_t nlatencies;
	struct event *filtered;
	size_t filtered_room;
	struct metric *m_commits, *m_retries, *m_commit_seconds, *m_end_to_end;
};

/* --- deliver.c --- */

MUST_CHECK int deliver_commit(struct deliver *d, struct error *err); /* makes what was written durable with d->upto */
struct event *deliver_room(struct deliver *d, size_t n); /* d->filtered, with room for n */

/* --- deliver_chunk.c --- */

bool deliver_is_note(const struct event *e); /* the BEGIN of a snapshot's chunk */
/* Takes up what the note says, before what follows it is written: d->foreign, d->loading. */
MUST_CHECK int deliver_note(struct deliver *d, const struct event *e, struct error *err);
/* Was the table being loaded at s->first?  1, 0, -1.  Reads the spool from there to its next note. */
MUST_CHECK int deliver_loading_at(struct deliver *d, const struct stopped_table *s, struct error *err);

/* --- deliver_cure.c --- */

/* The table of the refused event stops; everything else goes on from the checkpoint. */
void deliver_stop_table(struct deliver *d, const struct event *e, const char *reason);
/* 0, or -1 when the sink must be opened again; a table that is still refused stays stopped. */
MUST_CHECK int deliver_cure(struct deliver *d, struct error *err);

#endif
