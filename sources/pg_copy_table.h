/*
 * pg_copy_table.h - what a table is to one who reads its rows: columns, key, filter, size
 *
 * Made from the catalog in the shape of a Relation message of the stream, by the same code, so that
 * both give the same table version.  One thread.
 */
#ifndef PG_COPY_TABLE_H
#define PG_COPY_TABLE_H

#include "copier.h"
#include "pg_ask.h"
#include "pg_catalog.h"
#include "pg_key.h"
#include "pg_relation.h"

struct pg_copy_table {
	struct pg_relation	*rel;		/* its columns: how they are decoded */
	struct table		draft;		/* for tables_define(); borrows from rel */
	uint32_t		oid;
	char			kind;		/* r, p */
	struct pg_key		key;		/* n 0: it has none to read it by; the columns may be there all the same */
	size_t			nkey;		/* key.columns that are there: a row can be looked up by all of them */
	const char		*refusal;	/* why it cannot be read; NULL */
	char			*filter;	/* the publication's, SQL; NULL */
	bool			secured;	/* row security would hide rows from our role */
	struct arena		arena;
};
struct pg_copy_tables { struct pg_copy_table *items; size_t n; };

/* What is asked for whom. */
struct pg_copy_context {
	struct pg_ask		*ask;
	struct pg_catalog	*types;		/* asks on the same connection */
	const char		*publication;	/* whose column lists and row filters count */
	int			version;
	bool			raw_text;
};

/* Those of the oids that are there, by OID, within whatever transaction is open. */
MUST_CHECK int pg_copy_tables_load(const struct pg_copy_context *c, const uint32_t *oids, size_t n,
				   struct pg_copy_tables *out, struct error *err);
void pg_copy_tables_release(struct pg_copy_tables *t);

/* Rows and bytes of each of the tables, partitions summed up; -1: unknown. */
MUST_CHECK int pg_copy_estimate(const struct pg_copy_context *c, const struct pg_copy_tables *t, int64_t *rows,
				int64_t *bytes, struct error *err);

/* ONLY "s"."t", or "s"."t" of a partitioned one. */
void pg_copy_from(const struct pg_copy_table *t, struct buf *out);

#endif
