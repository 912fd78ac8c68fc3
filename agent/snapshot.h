/*
 * snapshot.h - loads rows that tables hold already, spliced into the stream
 *
 * One coordinator thread (the plan, requests, the ledger) and snapshot.workers that read tables; the
 * reader calls the functions below at the places in the log where they belong.  splice.h has the rules.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "agent.h"
#include "ledger.h"

struct snapshot;

/*
 * Before the reader starts.  NULL on error.  snapshot_first(): the pipeline (sink NULL) or one sink begins
 * here; called before the place is stored, so that what it holds already is loaded whatever happens next.
 */
MUST_CHECK int	 snapshot_first(struct agent *a, const char *sink, struct error *err);
struct snapshot *snapshot_start(struct agent *a, struct error *err);
void		 snapshot_join(struct snapshot *s);	/* after agent_stop() */

/* For `status` and metrics: states, rows, rate (rows/s), seconds left of each table that has a snapshot.  Any thread. */
struct load_progress {
	char			*schema, *name, *reason;
	enum snapshot_state	state;
	int64_t			rows, estimate, seconds_left;	/* -1: unknown */
	double			rate;
};
void snapshot_progress(struct snapshot *s, struct load_progress **out, size_t *n);
void load_progress_free(struct load_progress *p, size_t n);
bool snapshot_failed(struct snapshot *s, char *text, size_t n);	/* a table that this process could not load: which and why */
bool snapshot_busy(struct snapshot *s);			/* some table is waiting or running: not idle */
char *snapshot_waiting_for(struct snapshot *s);		/* malloced; NULL: it gets on */

/* --- the reader's part (snapshot_stream.c) --- */

struct chunk;
struct job;
struct load;
struct emission {		/* one unit between transactions, or a piece of one */
	char		*note;	/* of its BEGIN */
	struct load	*load;
	struct job	*job;	/* NULL: the note alone */
	enum note_kind	kind;
	const struct chunk *chunk;	/* its rows; NULL: none */
	bool		first, final;	/* pieces: BEGIN comes before it, COMMIT after it */
	bool		clears;		/* all of a table without a key: it takes the place of what targets hold */
};

/* Tables are being loaded: the calls below matter.  Cheap. */
bool snapshot_loading(const struct snapshot *s);
void snapshot_streams(struct snapshot *s);	/* the reader has started, or started again */
void snapshot_lost(struct snapshot *s);		/* it has stopped: what was not emitted is read again */
/* Each BEGIN, row, TRUNCATE and COMMIT before it is handed over. */
MUST_CHECK int snapshot_change(struct snapshot *s, const struct change *c, struct error *err);
/*
 * Is the stream to halt before `next` (a BEGIN; NULL inside a transaction)?  At a boundary otherwise
 * (snapshot_boundary): acknowledgements go on, emissions too.
 */
bool snapshot_halts(struct snapshot *s, const struct change *next, const char *resume);
bool snapshot_boundary(struct snapshot *s, const char *resume);
/* What may be emitted between transactions, before `next` (a BEGIN that the stream halts at; NULL): 1; 0: nothing. */
MUST_CHECK int snapshot_take(struct snapshot *s, const char *resume, const struct change *next,
			     bool (*past_sinks)(void *arg), void *arg, struct emission *out, struct error *err);
/* ok: it is with the writer, its COMMIT at pos.  Otherwise it is read again. */
void snapshot_emitted(struct snapshot *s, struct emission *e, bool ok, const struct position *pos);
/* A table whose first rows were emitted cannot be read on: the unfinished piece must be taken back. */
bool snapshot_broken(struct snapshot *s);
void snapshot_reader_behind(struct snapshot *s, bool behind);	/* more than 10 s */

#endif
