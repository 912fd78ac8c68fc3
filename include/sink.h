/*
 * sink.h - what a target must provide to be written to
 *
 * All functions of a sink run on its own thread.  close() without commit() throws away everything
 * written since the last commit(): there is no abort().
 */
#ifndef SINK_H
#define SINK_H

#include "config.h"
#include "event.h"

/* First member of every sink. */
struct sink {
	const struct sink_ops	*ops;
	/* Set by open(): a commit is due at the first of these; 0: as the agent thinks best. */
	int64_t			commit_us;
	size_t			commit_rows, commit_bytes;
};
struct findings;
struct loading;

enum {
	SINK_COMMITS_ON_ROLL = 1 << 0,	/* does not commit when idle, but when due() says so, at a stop and at --until-idle */
};

struct sink_context {
	const struct config	*config;
	const struct sink_config *sink;		/* name, settings */
	const struct tables	*tables;
	size_t			index;		/* bit in table->sinks */
	bool			fenced;		/* this process raised the fence before: only check it (ERR_FATAL, EXIT_FENCED) */
	int64_t			fence;		/* the fence it raised, when `fenced` */
	const struct loading	*loading;	/* loading_has() (agent/loading.h): the table's copy is not complete yet, and an
						 * update with absent columns that finds no row is skipped, not rejected;
						 * as of the event at hand.  NULL: every table is complete */
	const atomic_bool	*stopping;	/* long waits end with ERR_RETRY once it is set; NULL: never */
};

struct sink_ops {
	const char	*name, *summary;
	unsigned	flags;

	/* Preflight: is the target reachable and writable?  Any thread. */
	MUST_CHECK int (*check)(const struct sink_context *c, struct findings *out, struct error *err);

	/*
	 * Fences off older instances of the same pipeline before it returns: raises the fence once per
	 * process (last + 1, committed with the checkpoint), afterwards only checks it.
	 */
	struct sink *(*open)(const struct sink_context *c, int64_t *fence, struct error *err);

	/* The checkpoint of the last commit(); out->resume NULL if there is none.  Also checks the fence:
	 * called again in the middle of a life, after the source was lost. */
	MUST_CHECK int (*load)(struct sink *k, struct checkpoint *out, struct error *err);

	/*
	 * Apply events of whole transactions, in order (BEGIN and COMMIT included; one transaction may
	 * come in several calls).  The caller has left out what is not routed here.  Nothing
	 * counts before commit().  On ERR_REJECT, err->item is the index of the event.
	 */
	MUST_CHECK int (*write)(struct sink *k, const struct event *e, size_t n, struct error *err);

	/* Make all writes durable together with `upto`, atomically.  Always called at a transaction's end. */
	MUST_CHECK int (*commit)(struct sink *k, const struct checkpoint *upto, struct error *err);

	/* SINK_COMMITS_ON_ROLL: time or size says that a commit is due.  NULL otherwise. */
	bool (*due)(struct sink *k);

	void (*close)(struct sink *k);
};

#endif
