/*
 * mysql_catalog.h - which tables of a server are captured, and the definition each has at a place of the log
 *
 * binlog_catalog (binlog.h) on a live server.  Definitions are read at the first start and after each statement that
 * touches a table; state.db keeps them by place (mysql_history.h).  One thread.
 *
 * Order of calls: new; connect, at a first start then the place is taken and begin; resume; callbacks, prune; disconnect.
 */
#ifndef MYSQL_CATALOG_H
#define MYSQL_CATALOG_H

#include "binlog.h"
#include "mysql_server.h"
#include "source.h"

struct mysql_catalog;
/* All are borrowed; s->state is looked at from connect() on. */
struct mysql_catalog *mysql_catalog_new(const struct config *c, struct tables *t, const struct source *s);
void mysql_catalog_free(struct mysql_catalog *c);	/* NULL is fine */

/*
 * Borrows both until disconnect().  Reads the list of tables.  `strict`, at the process's start: ERR_FATAL EXIT_USAGE
 * for a pattern without a match and for names that meet outside the database.
 */
MUST_CHECK int mysql_catalog_connect(struct mysql_catalog *c, struct mysql_conn *conn, const struct mysql_server *server,
				     bool strict, struct error *err);
/*
 * At a first start, after connect() and after the place was taken where reading will begin: what connect() read was in
 * force there.  Outside of a transaction.  ERR_RETRY when a table was altered meanwhile: connect again and take another place.
 */
MUST_CHECK int mysql_catalog_begin(struct mysql_catalog *c, const struct position *place, struct error *err);
/* The stream goes on after this place: what was a sequence there is known. */
void mysql_catalog_resume(struct mysql_catalog *c, const struct position *after);
void mysql_catalog_disconnect(struct mysql_catalog *c);

struct binlog_catalog mysql_catalog_callbacks(struct mysql_catalog *c);

/* The log is not read again before `upto`. */
MUST_CHECK int mysql_catalog_prune(struct mysql_catalog *c, const struct position *upto, struct error *err);

/*
 * Does this list of patterns ask for the table?  names: lower_case_table_names.  Never system databases, never
 * tailrace_*.
 */
bool mysql_captured(const struct list *patterns, int names, struct str db, struct str table);
struct str mysql_lower(struct str s, struct arena *a);	/* as names are compared where lower_case_table_names is not 0 */
/* Wanted tables of the list; ERR_FATAL EXIT_USAGE names a pattern without a match. */
MUST_CHECK int mysql_choose(const struct list *patterns, int names, const struct mysql_table *tables, size_t n,
			    bool *wanted, struct error *err);
MUST_CHECK int mysql_names_rule(struct mysql_conn *c, int *names, struct error *err);	/* @@lower_case_table_names */

#endif
