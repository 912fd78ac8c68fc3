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

/* NULL when snapshot.mode and the ledger leave nothing to do and nothing can be asked for. */
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
bool snapshot_busy(struct snapshot *s);			/* some table is waiting or running: not idle */
char *snapshot_waiting_for(struct snapshot *s);		/* malloced; NULL: it gets on */

#endif
