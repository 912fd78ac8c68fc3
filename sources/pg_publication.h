/*
 * pg_publication.h - the publication: made for exactly the selected tables, or followed as it is
 */
#ifndef PG_PUBLICATION_H
#define PG_PUBLICATION_H

#include "pg_catalog.h"

struct pg_publication {
	uint32_t	oid;		/* 0: there is none */
	bool		all_tables, owned, complete;	/* complete: insert, update and delete are published */
	bool		truncates, via_root;
	uint32_t	*members;	/* tables that it names; in order */
	size_t		nmembers;
	uint32_t	*covered;	/* tables that it publishes, by schema, root or FOR ALL TABLES too; in order */
	size_t		ncovered;
};

MUST_CHECK int pg_publication_load(PGconn *conn, int64_t deadline, const char *name, int version,
				   struct pg_publication *out, struct error *err);
void pg_publication_release(struct pg_publication *p);
bool pg_publication_covers(const struct pg_publication *p, const struct pg_tables *tables, const struct pg_table *t);

/* CREATE PUBLICATION for the listed tables. */
void pg_publication_create_sql(const char *name, const struct pg_tables *tables, int version, struct buf *out);
/* ALTER PUBLICATION ... ADD TABLE for listed tables that it does not cover; how many. */
size_t pg_publication_add_sql(const char *name, const struct pg_publication *p, const struct pg_tables *tables,
			      struct buf *out);

/*
 * Says loudly which tables are left out (if `first`), makes the publication (if may_create) or adds what is
 * missing to our own, and checks that it publishes what is needed.  *created: it was made now.
 */
MUST_CHECK int pg_publication_ensure(PGconn *conn, int64_t deadline, const char *name, int version,
				     const struct pg_tables *tables, bool first, bool may_create, bool *created,
				     struct pg_publication *out, struct error *err);
/*
 * Takes tables out of our own publication that the configuration no longer selects: were[i] says that tables->items[i]
 * was listed before.  A publication of somebody else's stays as it is.
 */
MUST_CHECK int pg_publication_drop(PGconn *conn, int64_t deadline, const char *name, int version,
				   const struct pg_tables *tables, const bool *were, struct pg_publication *p,
				   struct error *err);
/* Its members' OIDs as an array literal, malloced. */
char *pg_publication_members(const struct pg_publication *p);

#endif
