/*
 * pg_relation.h - what pgoutput's Relation and Type messages said, by OID
 *
 * A Relation message is only kept: the server sends one for each leaf of a partitioned table even
 * if its rows come under the root's name, so the catalog is asked and a table version made when the
 * first row needs it.
 */
#ifndef PG_RELATION_H
#define PG_RELATION_H

#include "pgoutput.h"

enum pg_relation_state { RELATION_UNRESOLVED, RELATION_NOT_CAPTURED, RELATION_CAPTURED };

struct pg_relation_column { struct str name; uint32_t type; int32_t mod; bool identity; };

struct pg_relation {
	uint32_t			oid;
	struct str			schema, name;
	char				replica_identity;	/* d f i n */
	size_t				ncolumns;
	struct pg_relation_column	*said;
	struct arena			arena;			/* of the above */

	enum pg_relation_state		state;
	const struct table		*table;			/* RELATION_CAPTURED */
	struct column			*columns;		/* ours: how to decode */
	bool				*binary;		/* by column: is its binary form known? */
	struct arena			plan;			/* of the above two */

	const struct table		*previous;		/* the version before this message; NULL */
	bool				warned;			/* of rows rewritten without events */
};

struct pg_relations;
struct pg_relations *pg_relations_new(void);
void		     pg_relations_free(struct pg_relations *r);

/* After the 'R'; NULL: the message is malformed, and c->bad if it is truncated. */
struct pg_relation *pg_relation_read(struct cursor *c);
void		    pg_relation_free(struct pg_relation *r);
/* Takes `rel` over; it replaces the one with its OID. */
void		    pg_relations_put(struct pg_relations *r, struct pg_relation *rel);
struct pg_relation *pg_relations_get(struct pg_relations *r, uint32_t oid);	/* NULL: unknown */
/* From a Type message; the strings are copied. */
void		    pg_relations_put_type(struct pg_relations *r, uint32_t oid, struct str schema, struct str name);

/*
 * Makes a RELATION_UNRESOLVED one captured, with its table version, or not captured.  Says once when the
 * change of a column's type may have rewritten rows that no event told of.  -1: nothing has changed.
 */
MUST_CHECK int pg_relation_resolve(struct pg_relations *r, struct pg_relation *rel,
				   const struct pgoutput_config *config, struct error *err);

/*
 * The same for a relation that the caller filled from the catalog (oid to said): fills its columns and binary, and
 * *draft, of which tables_define() makes the version that the relation's own message would.  *draft borrows
 * from rel.  raw_text: names that are not UTF-8 are refused.
 */
MUST_CHECK int pg_relation_describe(struct pg_relation *rel, const struct pgoutput_catalog *catalog, bool raw_text,
				    struct table *draft, struct error *err);

#endif
