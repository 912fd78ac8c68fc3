/*
 * pg_catalog.h - what the catalog of a PostgreSQL server says about tables and types
 *
 * Two parts: the tables that the configuration asks for and whether each can be published without
 * harm (at connect, and for `check`), and answers for the decoder (types, primary keys, is this
 * relation captured), cached by OID.  One thread.
 */
#ifndef PG_CATALOG_H
#define PG_CATALOG_H

#include "pg_connection.h"
#include "pgoutput.h"

enum pg_problem {
	PG_FINE,
	PG_UNLOGGED,		/* not in the log */
	PG_NO_KEY,		/* default identity without a usable primary key */
	PG_NOTHING,		/* REPLICA IDENTITY NOTHING */
	PG_BAD_INDEX,		/* REPLICA IDENTITY USING INDEX, and the index is gone or not valid */
	PG_PARTITION,		/* one of its partitions has one of these */
};

struct pg_table {
	uint32_t	oid, parent;	/* parent: of a partition; 0 */
	char		*schema, *name, *owner;
	char		kind;		/* pg_class.relkind: r, p */
	char		identity;	/* d n f i */
	bool		unlogged, key_usable, index_usable, owned;
	bool		wanted;		/* a pattern asks for it, or for the table it is a partition of */
	bool		listed;		/* to be named in the publication */
	enum pg_problem	problem;
	const struct pg_table *culprit;	/* PG_PARTITION: that partition */
};
struct pg_tables { struct pg_table *items; size_t n; };	/* by OID */

/* All ordinary and partitioned tables but those of the system, temporary ones and tailrace_*. */
MUST_CHECK int pg_tables_load(PGconn *conn, int64_t deadline, struct pg_tables *out, struct error *err);
/*
 * Fills wanted, listed, problem.  Partitions go by their root from version 13 on, before that each
 * by itself.  ERR_FATAL with EXIT_USAGE names a pattern that matches nothing, if `strict`.
 */
MUST_CHECK int pg_tables_choose(struct pg_tables *t, const struct list *patterns, int version, bool strict,
				struct error *err);
const struct pg_table *pg_tables_find(const struct pg_tables *t, uint32_t oid);	/* NULL if unknown */
void pg_tables_free(struct pg_tables *t);

/* Why a wanted table is left out, and the SQL that admits it and the SQL that takes that back. */
void pg_problem_text(const struct pg_table *t, struct buf *out);
void pg_problem_sql(const struct pg_table *t, struct buf *fix, struct buf *undo);	/* empty: there is none */

/* --- for the decoder --- */

/* Asks the server, waiting some seconds at most; NULL: ERR_RETRY or ERR_FATAL. */
typedef PGresult *pg_query_fn(void *ctx, const char *what, const char *sql, int n, const char *const *values,
			      struct error *err);
struct pg_catalog {
	pg_query_fn		*query;		/* set by the owner */
	void			*ctx;
	const struct list	*patterns;
	struct pg_type		*types;		/* by OID */
	size_t			ntypes;
	uint32_t		*wanted;	/* OIDs of the tables that were asked for at connect, in order */
	size_t			nwanted;
	int			version;
};
/* Types of all columns that the publication publishes, and what they are made of. */
MUST_CHECK int pg_catalog_load(struct pg_catalog *c, PGconn *conn, int64_t deadline, const char *publication,
			       const struct pg_tables *tables, bool *binary, struct error *err);
struct pgoutput_catalog pg_catalog_callbacks(struct pg_catalog *c);
void pg_catalog_release(struct pg_catalog *c);

#endif
