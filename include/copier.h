/*
 * copier.h - what a database must provide for its tables to be read beside its log
 *
 * A copier is one connection of a snapshot worker; all its functions run on that worker's thread
 * and wait no longer than a statement of the server's may take; a set `stopping` ends a wait with ERR_RETRY.
 * Each returns 0, or -1 with *err: ERR_RETRY passing (begin again with the same copier; with err->code
 * ENOTCONN its connection is gone: with a new one; with ESTALE, of rows(), the bounds are of another key: the
 * table is read anew), ERR_REJECT this table cannot be read, the text says why and what to do; ERR_FATAL.
 * After an error, and after row() said that it was enough, end() comes next.
 */
#ifndef COPIER_H
#define COPIER_H

#include <stdatomic.h>

#include "change.h"
#include "config.h"

struct copier;

/* What a read of tables could see of the log.  Immutable, any thread. */
struct visibility;

struct copy_table {		/* one that is selected and published; strings are owned */
	char		*schema, *name;
	bool		keyless;	/* nothing orders its rows: it is read as a whole, at one place of the log */
	char		*refusal;	/* why it cannot be read by key nor as a whole (a float in its key), or NULL */
	int64_t		rows, bytes;	/* the catalog's estimate; -1: unknown */
};
void copy_tables_free(struct copy_table *t, size_t n);

/* Rows to read: those with after < key <= upto, in the order of the key; or one key; or, of a table without a key, all. */
struct copy_range {
	const char		*after, *upto;	/* keys in the source's own text, as rows() and split() gave them; NULL: open */
	const struct value	*key;		/* nkey values of the draft: this row alone; NULL */
};

/* Measured now; unknown numbers are -1. */
struct source_health {
	int64_t	active;			/* sessions at work, ours left out */
	int64_t	connections, max_connections;
	int64_t	replica_lag_us;		/* of the physical replica furthest behind */
	int64_t	oldest_us;		/* age of the oldest open transaction, ours left out */
};

struct copier_ops {
	/* Connects.  NULL on error. */
	struct copier *(*open)(const struct config *c, const char *instance, const atomic_bool *stopping,
			       struct error *err);

	/* The tables that the source carries now, as the stream names them.  *out is malloced. */
	MUST_CHECK int (*tables)(struct copier *c, struct copy_table **out, size_t *n, struct error *err);

	/* At most parts - 1 keys that cut a table into parts of about the same size, in order; *n may be 0.  Malloced. */
	MUST_CHECK int (*split)(struct copier *c, const char *schema, const char *name, size_t parts, char ***bounds,
				size_t *n, struct error *err);

	/*
	 * Begins a read of one table: lock, definition, snapshot.  where: SQL, or NULL.  *draft is what
	 * tables_define() takes and makes the same version of as the stream does; borrowed until end().
	 * exact: the snapshot is that of one place in the log, at or after where the log is now: sees() is
	 * true for a transaction exactly when it comes before that place.  *seen is the caller's.
	 */
	MUST_CHECK int (*begin)(struct copier *c, const char *schema, const char *name, const char *where, bool exact,
				const struct table **draft, struct visibility **seen, struct error *err);
	/*
	 * Calls row() for each row of the range, ncolumns values that live until it returns: 0 go on, 1 that was
	 * the last one wanted, -1 error.  *last: the key of the last row given, malloced, NULL without one; *end: the
	 * range holds no more.  At most `limit` rows (0: all).  May be called again before end().
	 */
	MUST_CHECK int (*rows)(struct copier *c, const struct copy_range *range, int64_t limit,
			       int (*row)(void *arg, const struct value *values, struct error *err), void *arg,
			       char **last, bool *end, struct error *err);
	/* Ends the read and its transaction: nothing stays open on the server. */
	MUST_CHECK int (*end)(struct copier *c, struct error *err);

	MUST_CHECK int (*health)(struct copier *c, struct source_health *out, struct error *err);
	void (*close)(struct copier *c);

	/* Was this transaction (its BEGIN) visible?  Never true for one that was not. */
	bool (*sees)(const struct visibility *v, const struct change *begin);
	/*
	 * Was everything visible that the log has up to `resume`?  NULL: the log's order says nothing about visibility;
	 * then begin() itself waits (ERR_RETRY naming what it waits for) until everything that was open when the
	 * copier was opened has ended.
	 */
	bool (*holds)(const struct visibility *v, const char *resume);
	/* Has a stream that is at `resume`, between transactions, passed everything that was visible? */
	bool (*reached)(const struct visibility *v, const char *resume);
	void (*visibility_free)(struct visibility *v);
};

#endif
