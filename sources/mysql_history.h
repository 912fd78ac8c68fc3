/*
 * mysql_history.h - which definition a table had at which place of the log
 *
 * Kept in state.db, each put durable when it returns: a log that is read again finds the definitions it was read
 * with.  No table, or neither: a version of all tables of the database, or of all.  "mysql.tables": what there was at the first start; "mysql.table.`db`.`t`": what came after.  One thread.
 */
#ifndef MYSQL_HISTORY_H
#define MYSQL_HISTORY_H

#include "mysql_table.h"
#include "state.h"

struct mysql_history;
struct mysql_history *mysql_history_new(void);
void mysql_history_free(struct mysql_history *h);
/* Before anything else, once; NULL: nothing is kept. */
MUST_CHECK int mysql_history_open(struct mysql_history *h, struct state *state, struct error *err);

struct mysql_version {
	struct position			from;		/* in force from there on */
	const struct mysql_table	*definition;	/* NULL: not known, to be read */
	struct position			read;		/* the log ended there when it was read; file 0: it was in force at `from` */
	bool				used;		/* rows were read by its names, in this process */
};

/* The last version at or before `at`: 1; 0: none; -1.  *out lives until the table's next put or prune. */
MUST_CHECK int mysql_history_at(struct mysql_history *h, struct str db, struct str table, const struct position *at,
				struct mysql_version *out, struct error *err);

void mysql_history_used(struct mysql_history *h, struct str db, struct str table, const struct position *at);

/* Copies the definition.  A version of the same place is replaced. */
MUST_CHECK int mysql_history_put(struct mysql_history *h, struct str db, struct str table,
				 const struct mysql_version *v, struct error *err);

/* The first start: these were in force there.  Once. */
MUST_CHECK int mysql_history_start(struct mysql_history *h, const struct position *from, const struct mysql_table *tables,
				   const bool *wanted, size_t n, struct error *err);

/* The log is not read again before `upto`: versions that ended before it go. */
MUST_CHECK int mysql_history_prune(struct mysql_history *h, const struct position *upto, struct error *err);

#endif
