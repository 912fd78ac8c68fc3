/*
 * pg_partitions.h - partitions whose rows came or went without an event
 *
 * ATTACH of a filled table, DETACH and DROP of a partition, and TRUNCATE of a single partition that
 * is published under its root's name are not in the stream.  They are seen in the catalog, by
 * comparing the partitions of the published roots with what they were a moment ago.
 */
#ifndef PG_PARTITIONS_H
#define PG_PARTITIONS_H

#include "pg_connection.h"
#include "state.h"
#include "table.h"

struct pg_partition { uint32_t oid; uint64_t file; char *schema, *name, *root_schema, *root; };
struct pg_partitions {
	struct pg_partition	*items;		/* by OID */
	size_t			n;
	bool			known;
	char			*roots;		/* OIDs of the roots, {1,2}; owned; NULL: there are none */
	bool			via_root;	/* changes carry the root's name */
	struct tables		*tables;	/* where differences are noted; set by the owner */
	struct state		*state;		/* where they are kept over restarts; NULL: nowhere */
};

extern const char pg_partitions_sql[];	/* $1: OIDs of the roots */

/*
 * Compares with the result, then keeps the result, in state.db too.  Each difference that lost or
 * brought rows is logged and noted at the table that carries the changes: the root if via_root (then
 * a partition's own TRUNCATE is not published either), otherwise the partition.
 */
MUST_CHECK int pg_partitions_compare(struct pg_partitions *p, const PGresult *r, struct error *err);
/*
 * At connect: what is known from before, if it was about the same roots, then a comparison.  Takes over
 * `roots`, malloced.
 */
MUST_CHECK int pg_partitions_load(struct pg_partitions *p, char *roots, PGconn *conn, int64_t deadline,
				  struct error *err);
void	       pg_partitions_release(struct pg_partitions *p);

#endif
