/*
 * binlog_temporary.h - temporary tables that the log speaks of, by the thread that made them
 *
 * Only a log that is not all of rows (binlog_format = MIXED, STATEMENT) has their statements.  A thread that made one
 * means it, not the table of that name that all see.  What was made before the place where reading began is not known.
 * One thread.
 */
#ifndef BINLOG_TEMPORARY_H
#define BINLOG_TEMPORARY_H

#include "mysql_ddl.h"

struct binlog_temporary {
	struct temporary_table	*items;
	size_t			n, room;
};
void binlog_temporary_clear(struct binlog_temporary *t);	/* another server, or it was started anew */
/* A CREATE or DROP TEMPORARY TABLE. */
void binlog_temporary_note(struct binlog_temporary *t, uint32_t thread, const struct mysql_statement_info *s);
bool binlog_temporary_has(const struct binlog_temporary *t, uint32_t thread, struct str db, struct str table);
/* A statement of the thread that alters one: its new name, if it gives one. */
void binlog_temporary_altered(struct binlog_temporary *t, uint32_t thread, const struct mysql_statement_info *s);

#endif
