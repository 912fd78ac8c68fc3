/*
 * mysql_fetch.h - the rows of one SELECT as they come, by prepared statement: in binary, none of them stored
 *
 * One thread a connection, which must do nothing else until the statement is closed.  Text comes as
 * character_set_results says: NULL for the column's own bytes.
 */
#ifndef MYSQL_FETCH_H
#define MYSQL_FETCH_H

#include <stdatomic.h>

#include "binlog_client.h"

struct mysql_moment { unsigned year, month, day, hour, minute, second, us; bool negative; };	/* hour: of a TIME up to 838 */

#define MYSQL_DATUM_ROOM 4	/* bytes in front of a datum's bytes that are the caller's to write to */
struct mysql_datum {
	bool			null;
	/* the result's column says which of them is in use; of integers the unsigned 64 bits are the same */
	int64_t			i;	/* integers, YEAR */
	double			d;	/* FLOAT, DOUBLE */
	struct mysql_moment	when;	/* dates and times */
	char			*p;	/* anything else: n bytes; DECIMAL as text */
	size_t			n;
};

struct mysql_fetch;
/*
 * Prepares and runs it.  Waits for the first row without a limit; a set `stopping` ends that and every later wait
 * (with Oracle's library: between rows only).  NULL: ERR_RETRY: the connection is of no use any more, or a passing
 * condition; ERR_FATAL: the statement was refused.  err->code as of mysql_query_rows().
 */
struct mysql_fetch *mysql_fetch_open(struct mysql_conn *c, const char *sql, const atomic_bool *stopping,
				     struct error *err);
/* 1: *row has a datum for each column, until the next call; 0: that was all; -1. */
MUST_CHECK int mysql_fetch_next(struct mysql_fetch *f, const struct mysql_datum **row, struct error *err);
/*
 * Ends it.  Rows that are left are passed over if they are few: `most` of them, otherwise the connection is cut.
 * true: the connection can go on.  NULL is fine.
 */
bool mysql_fetch_close(struct mysql_fetch *f, size_t most);

#endif
