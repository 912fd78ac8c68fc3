/*
 * mysql_visibility.h - what a read of tables of MySQL or MariaDB could see of the binary log
 *
 * Two ways.  By set (MySQL with GTIDs): what was committed, and so visible, before the snapshot was opened; what is not
 * in it may be visible all the same and counts as not.  By place (MariaDB's snapshot knows it; elsewhere a lock makes
 * it): a transaction was visible exactly when it stands before the place.  Pure; any thread.
 */
#ifndef MYSQL_VISIBILITY_H
#define MYSQL_VISIBILITY_H

#include "binlog.h"

struct visibility {		/* strings and sets are owned */
	bool		by_set;
	struct gtid_set	*seen;		/* by_set: all of these were visible */
	struct gtid_set	*all;		/* everything visible is in it, for a stream of another server; NULL: not known */
	char		*server;	/* as resume tokens name it */
	uint32_t	file;		/* the place; by_set: everything visible stands before it */
	uint64_t	pos;
};

bool mysql_sees(const struct visibility *v, const struct change *begin);
bool mysql_sees_all(const struct visibility *v, const char *resume);	/* copier_ops.holds */
bool mysql_reached(const struct visibility *v, const char *resume);
void mysql_visibility_free(struct visibility *v);	/* NULL is fine */

#endif
