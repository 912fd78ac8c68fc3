/*
 * source.h - what a database must provide to be tailed
 *
 * All functions of a source run on the reader thread unless said otherwise.  Each returns 0, or
 * -1 with *err filled in.  A source decodes in place: what it appends to a batch lives in that
 * batch's arena.  No function blocks on the network for longer than its timeout.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "change.h"
#include "config.h"
#include "copier.h"

struct state;
struct source {				/* first member of every source */
	const struct source_ops	*ops;
	/*
	 * Set by the reader after open().  creating: called before the source makes what marks the first start's place
	 * (the slot); durable when it returns.  interrupted: a process ended between that call and the place
	 * being stored: what it left is made anew, so that nothing between is missed.
	 */
	int			(*creating)(void *arg, struct error *err);
	void			*creating_arg;
	bool			interrupted;
	struct state		*state;		/* small values of the source's own, by name */
};
struct findings;

/* What connect() found out. */
struct source_start {
	struct checkpoint	oldest;		/* the oldest place the source can still give: resume only matters */
	bool			created;	/* the slot was made just now: oldest is the very start */
};

/* Measured at most every second or so, never waited for; unknown numbers are -1. */
struct source_extent {
	char		server[128];		/* "PostgreSQL 15.18 at 127.0.0.1:5432/erp" */
	bool		connected;
	int64_t		retained_bytes;		/* log kept for us: current position minus what we confirmed */
	int64_t		lag_bytes;		/* current position minus the last one read */
	int64_t		seconds_until_lost;	/* at the present rate, until the server's own limit cuts the log */
	int64_t		measured_us;		/* wall clock of the measurement, 0 = never */
};

struct source_ops {
	const char	*name, *summary;
	const char	*connector;	/* in events: postgresql, mysql (connect() finds out that it is mariadb) */

	/* The database's name as events carry it, from the URL; malloced. */
	char *(*database)(const struct source_config *c);

	/* Preflight: adds what is wrong to `out`, with the SQL that cures it.  Any thread, own connection. */
	MUST_CHECK int (*check)(const struct config *c, struct findings *out, struct error *err);

	/* No connection yet.  `instance` names this process in application_name. */
	struct source *(*open)(const struct config *c, struct tables *tables, const char *instance, struct error *err);

	/*
	 * Connects (waiting at most timeout_ms), compares the server's identity with `known` (resume JSON
	 * of what is durable, or NULL at the first start; ERR_FATAL EXIT_LOG_GONE when it is another
	 * one), makes publication and slot where they are missing and `known` is NULL, takes over a slot that an
	 * older process of this pipeline left when may_take is set.  ERR_RETRY: call again later; a slot whose
	 * creation waits for the application's transactions goes on being created meanwhile, until close().
	 */
	MUST_CHECK int (*connect)(struct source *s, const char *known, bool may_take, int timeout_ms,
				  struct source_start *out, struct error *err);

	/* Compares two resume tokens: <0, 0, >0 as a is before, at or after b. */
	int (*resume_cmp)(const char *a, const char *b);

	/* May two tokens be compared: are they of one log, or of two of which one goes on where the other ended? */
	bool (*same_log)(const char *a, const char *b);

	/* Is this transaction (its id, as BEGIN's prefix has it) within what `resume` covers?  NULL: ids say nothing. */
	bool (*resume_has)(const char *resume, struct str id);

	/* Begin after `from` (resume required). */
	MUST_CHECK int (*start)(struct source *s, const struct checkpoint *from, struct error *err);

	/* Wait at most timeout_ms, append whatever is there.  An empty batch is fine; an idle log gives
	 * HEARTBEATs.  Transactions may span batches. */
	MUST_CHECK int (*read)(struct source *s, struct batch *b, int timeout_ms, struct error *err);

	/*
	 * The log up to `durable` may be forgotten.  Called at least once a second, also while sinks are
	 * stuck or the spool is full (then read() is not called), so it doubles as the keepalive.
	 */
	MUST_CHECK int (*ack)(struct source *s, const struct checkpoint *durable, struct error *err);

	/* Everything that was committed before connect() returned has been given by read(). */
	bool (*caught_up)(const struct source *s);

	/* The server asks for replies though nothing is left to send: it wants to shut down. */
	bool (*server_stopping)(const struct source *s);

	void (*extent)(struct source *s, struct source_extent *out);

	/* Ask the server where its log ends, so that read() soon gives a HEARTBEAT though nothing happens.  NULL: not needed. */
	void (*hasten)(struct source *s);

	/* Reading tables beside the log. */
	const struct copier_ops *copier;

	/*
	 * A file of this kind of log, without a server; NULL: there is none.  Its changes in order, each given to fn:
	 * 0 go on, 1 it is enough, -1 error.  memory: bytes for what must be held back.  Any thread.
	 */
	bool (*archive_is)(const char *path);
	int (*archive_read)(const char *path, struct tables *tables, int64_t memory,
			    int (*fn)(void *arg, const struct change *c, struct error *err), void *arg,
			    struct error *err);

	void (*disconnect)(struct source *s);	/* connect() may follow */
	void (*close)(struct source *s);
};

struct source_type { const char *name; const struct source_ops *ops; };
extern const struct source_type source_types[];	/* sources/sources.c; ends with a NULL name; ops NULL: not there yet */

#endif
