/*
 * mysql_schema.h - definitions of tables as a live server's information_schema has them
 *
 * Ordinary SELECTs that each user may run who may read the table; no lock is held after one.  One thread.
 */
#ifndef MYSQL_SCHEMA_H
#define MYSQL_SCHEMA_H

#include "mysql_server.h"
#include "mysql_table.h"

/* A session in which information_schema hides no column and no statement waits for a lock for long. */
MUST_CHECK int mysql_schema_session(struct mysql_conn *c, const struct mysql_server *s, struct error *err);

/* Tables and sequences (no views) of other than system databases: names, engine, transactional, sequence; no columns. */
struct mysql_schema { struct mysql_table *items; size_t n; struct arena arena; };
MUST_CHECK int mysql_schema_list(struct mysql_conn *c, struct mysql_schema *out, struct error *err);
void mysql_schema_release(struct mysql_schema *s);
void mysql_schema_cleanup(struct mysql_schema *s);

/* Once a list: the columns of those items for which wanted[i]; one that is not there any more gets none. */
MUST_CHECK int mysql_schema_columns(struct mysql_conn *c, const struct mysql_server *s, struct mysql_schema *list,
				    const bool *wanted, struct error *err);

/*
 * One table: 1, in `a`; 0: there is none, or it is a view; -1.  What a statement that the log has already shown
 * has done is seen: it waits for that statement's lock (5 s, then ERR_RETRY).
 */
MUST_CHECK int mysql_schema_read(struct mysql_conn *c, const struct mysql_server *s, struct str db, struct str table,
				 struct arena *a, struct mysql_table *out, struct error *err);
/* Waits likewise and reads nothing.  1: the table is there, 0: it is not. */
MUST_CHECK int mysql_schema_settled(struct mysql_conn *c, struct str db, struct str table, struct error *err);

bool mysql_schema_system(struct str db);	/* mysql, sys, information_schema, performance_schema */

#endif
