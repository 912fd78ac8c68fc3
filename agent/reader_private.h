/*
 * reader_private.h - what the reader's files share: reader.c (the loop), reader_splice.c (rows of snapshots)
 */
#ifndef READER_PRIVATE_H
#define READER_PRIVATE_H

#include "agent.h"
#include "block.h"

#define OPS CHANGE_ABORT

struct reader {
	struct agent *agent;
	const struct source_ops *ops;
	pthread_t thread;

	pthread_mutex_t lock;
	bool connected, streaming;
	char *error;
	struct position position;
	struct source_extent extent;
	int64_t lag_since; /* commit time of the newest transaction read; 0: none */

	/* The reader's own. */
	struct source *source;
	struct batch batch;
	size_t next; /* of the batch: not handled yet */
	bool inside; /* a transaction */
	bool in_chunk; /* a chunk's first piece was emitted, its last was not */
	struct position chunk_at; /* of its next record */
	int64_t last_hasten;
	struct block_builder builder;
	struct checkpoint heartbeat; /* newest one not written yet; resume NULL: none */
	int64_t last_heartbeat;
	struct checkpoint last; /* newest transaction end handed over, or where reading starts */
	struct position confirmed, retained_at; /* acknowledged; where `retained` was last looked at */
	int64_t last_ack, last_push, failing_since, stopping_since, last_said;
	uint64_t rows, rows_said;
	int64_t escalated_said;
	bool caught_up_said, fences_checked;
	struct metric *m_transactions;
	struct metric **m_events; /* [version id * OPS + op] */
	size_t n_events;
};

/* Notes what goes into the builder: counts, the newest transaction end. */
void reader_note(struct reader *r, const struct change *c);
struct metric *reader_metric(struct reader *r, const struct table *t, enum change_op op);
MUST_CHECK int reader_push(struct reader *r, struct block *b, struct error *err);
/* Acknowledges what source.ack allows; with nothing to say it keeps the connection alive. */
MUST_CHECK int reader_acknowledge(struct reader *r, struct error *err);
void reader_write_heartbeat(struct reader *r, bool now);

/*
 * Between transactions, before `next` (a BEGIN that the stream halts at; NULL): emits what belongs here.  *halts: the
 * stream is to stay here.
 */
MUST_CHECK int reader_splice(struct reader *r, const struct change *next, bool *halts, struct error *err);
/* Where the stream is, between transactions. */
const char *reader_resume(const struct reader *r);

#endif
