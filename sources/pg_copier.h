/*
 * pg_copier.h - a connection that reads tables of PostgreSQL beside the log
 *
 * pg_copier.c: connection, the list of tables, the server's health.  pg_copy_begin.c: the transaction of
 * one read.  pg_copy_rows.c: its rows.  pg_copy_split.c: keys that cut a table.  One thread.
 */
#ifndef PG_COPIER_H
#define PG_COPIER_H

#include "pg_copy_table.h"
#include "pg_publication.h"
#include "pg_server.h"
#include "pg_visibility.h"

extern const struct copier_ops pg_copier;

#define PG_CHUNK_TIMEOUT INT64_C(3600000000)	/* microseconds: rows that few fit, or that no index serves, take long */

struct copier {
	const struct config	*config;
	char			*ours, *application;	/* "tailrace/erp/", "tailrace/erp/host-71" */
	struct pg_ask		ask;
	struct pg_server	server;

	/* As they were when the copier was opened: what came later may have changes that were not streamed. */
	struct pg_tables	found;
	struct pg_publication	publication;
	uint32_t		*carried;	/* by OID: published under their names, and selected */
	size_t			ncarried;
	uint64_t		horizon;	/* transactions below it began before; all of them must have ended */
	bool			settled;	/* they have */

	struct pg_catalog	types;

	/* the read under way */
	bool			begun;
	struct pg_copy_tables	reading;	/* one */
	char			*where;
	uint64_t		unflushed;	/* LSN that the snapshot saw and that is not on the disk yet; 0 */
};

struct pg_copy_context pg_copier_context(struct copier *c);
struct pg_params pg_copier_params(const struct copier *c, bool replication);
/* Of those known at open(); NULL and *err when it cannot be read (again) by this copier. */
const struct pg_table *pg_copier_find(struct copier *c, const char *schema, const char *name, struct error *err);
/* The definition as it is now, or as the open transaction sees it; one table in *out.  ERR_RETRY: it is another. */
MUST_CHECK int pg_copier_describe(struct copier *c, const struct pg_table *t, struct pg_copy_tables *out,
				  struct error *err);
/* Turns an error of a statement on the table into what the caller is to do: an ERR_REJECT says what the user is. */
int pg_copier_judge(struct copier *c, const char *schema, const char *name, struct error *err);

/* copier_ops */
MUST_CHECK int pg_copy_begin(struct copier *c, const char *schema, const char *name, const char *where, bool exact,
			     const struct table **draft, struct visibility **seen, struct error *err);
MUST_CHECK int pg_copy_end(struct copier *c, struct error *err);
MUST_CHECK int pg_copy_rows(struct copier *c, const struct copy_range *range, int64_t limit,
			    int (*row)(void *arg, const struct value *values, struct error *err), void *arg,
			    char **last, bool *end, struct error *err);
MUST_CHECK int pg_copy_split(struct copier *c, const char *schema, const char *name, size_t parts, char ***bounds,
			     size_t *n, struct error *err);

#endif
