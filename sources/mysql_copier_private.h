/*
 * mysql_copier_private.h - what the parts of the copier share
 */
#ifndef MYSQL_COPIER_PRIVATE_H
#define MYSQL_COPIER_PRIVATE_H

#include "mysql_copy_rows.h"

#define MYSQL_TABLE_ALTERED 1412

struct copier {
	const struct config	*config;
	const atomic_bool	*stopping;
	char			*program;
	struct mysql_url	url;
	struct mysql_conn	*conn;		/* NULL: the next read makes a new one */
	struct mysql_conn	*lock;		/* holds a table for us; NULL: none was needed yet */
	struct mysql_server	server;
	struct mysql_shape	*shape;		/* of the table that was read last; NULL: not known */
	char			*where;
	bool			reading, locked;
	int64_t			most;		/* rows: the caller wanted no more of a range the last time; 0: not known */
	struct arena		row;
	char			*prepared;	/* MariaDB: XA transactions as they were listed last, the same since: */
	int64_t			prepared_us;	/* monotonic_us() */
};

/* mysql_copier.c */
struct mysql_conn *copier_connect(const struct copier *c, struct error *err);
void copier_disconnect(struct copier *c);
MUST_CHECK int copier_need_connection(struct copier *c, struct error *err);
MUST_CHECK int copier_need_shape(struct copier *c, const char *schema, const char *name, struct error *err);
void copier_forget(struct copier *c);		/* the shape */
int copier_fail_dropped(const char *schema, const char *name, struct error *err);	/* -1 */
int copier_judge(const struct copier *c, const char *schema, const char *name, struct error *err);	/* -1: what a refusal means */

/* mysql_copy_begin.c */
struct visibility;
MUST_CHECK int copier_begin(struct copier *c, const char *schema, const char *name, const char *where, bool exact,
			    const struct table **draft, struct visibility **seen, struct error *err);
MUST_CHECK int copier_end(struct copier *c, struct error *err);

/* mysql_copy_read.c */
MUST_CHECK int copier_rows(struct copier *c, const struct copy_range *range, int64_t limit,
			   int (*row)(void *arg, const struct value *values, struct error *err), void *arg, char **last,
			   bool *end, struct error *err);

#endif
