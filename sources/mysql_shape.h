/*
 * mysql_shape.h - a table of a live server as snapshots read it: its columns as the binary log has them, its key
 *
 * Made of information_schema by way of a table map such as the server writes for it, so that types and values are
 * those of the stream.  One thread.
 */
#ifndef MYSQL_SHAPE_H
#define MYSQL_SHAPE_H

#include "binlog_value.h"
#include "mysql_server.h"

struct mysql_shape {			/* all of it is its own */
	struct table		draft;		/* what tables_define() makes the stream's version of */
	struct str		engine;
	bool			in_snapshot;	/* a consistent snapshot shows its rows as they were at one moment */
	struct binlog_field	*fields;	/* of each column of the draft */
	struct binlog_field	*cells;		/* the same as a result has them: bytes after a length of 4 bytes */
	struct str		*charsets;	/* as the server calls them; n == 0: none */
	char			*table;		/* `db`.`table` */
	char			*select;	/* an expression for each column */
	char			*index;		/* the key's; NULL: none */
	bool			full, primary;	/* binlog_row_metadata is FULL; the key is the primary key */
	char			sign[9];	/* of the key's columns and their types */
	char			*create;	/* SHOW CREATE TABLE, without what rows change */
	struct arena		arena;
};
void mysql_shape_free(struct mysql_shape *s);	/* NULL is fine */

/*
 * Reads the definition: 1, in *out; 0: there is no such table.  -1: ERR_RETRY when it was altered meanwhile; ERR_FATAL
 * for a type that is not known.
 */
MUST_CHECK int mysql_shape_load(struct mysql_conn *c, const struct mysql_server *server, struct str db, struct str name,
				int invalid_bytes, struct mysql_shape **out, struct error *err);
/* The shape of a definition whose key is filled, but for index and create.  Pure. */
MUST_CHECK int mysql_shape_make(struct mysql_shape *s, const struct mysql_table *t, bool mariadb, int invalid_bytes,
				struct error *err);
/* Is it still what it was?  1, 0: it was altered, or is gone; -1.  One statement. */
MUST_CHECK int mysql_shape_holds(struct mysql_conn *c, const struct mysql_shape *s, struct error *err);

/*
 * Fills the key of a table that has no primary key as the log has it: with binlog_row_metadata = FULL (`full`) the first
 * UNIQUE index over whole columns that are all NOT NULL.  *index is malloced; NULL: it has no key.
 */
MUST_CHECK int mysql_shape_key(struct mysql_conn *c, bool full, struct mysql_table *t, char **index, struct error *err);
MUST_CHECK int mysql_shape_full(struct mysql_conn *c, bool *full, struct error *err);

/* Why rows cannot be read in the order of the key; malloced; NULL: they can. */
char *mysql_shape_refusal(const struct mysql_table *t);
bool mysql_shape_in_snapshot(struct str engine);

#endif
