/*
 * pg_key.h - keys of tables as SQL: their order, and bounds between their rows
 *
 * Order and equality are the database's own: a bound holds each column's value as its type prints it,
 * and is cast back by the server.  Pure functions; any thread.
 */
#ifndef PG_KEY_H
#define PG_KEY_H

#include "pg_values.h"

struct pg_key_column {		/* strings are borrowed */
	size_t		index;		/* in the table */
	struct column	as;		/* its shape there */
	struct str	type;		/* as SQL names it, domains resolved to their base: "bigint", "public.mood" */
	struct str	collation;	/* as SQL names it; p NULL: the type has none */
	bool		collate;	/* it is not the column's own, and is to be said */
	struct str	operators;	/* the schema that its <, <=, =, >= and > are in, as SQL names it */
};
struct pg_key { struct str table; struct pg_key_column *columns; size_t n; };	/* in the order of the index */

/* As the type's input function takes it.  Not for NULL and ABSENT. */
void pg_value_print(const struct column *c, const struct value *v, struct buf *out);
/* A string constant, whatever standard_conforming_strings says; any bytes but NUL. */
void pg_quote(struct str text, struct buf *out);

/*
 * What the snapshot's ledger keeps, JSON: ["\"id\" bigint, \"name\" text COLLATE ...", "5", "x"], the order first and
 * then the values of its first columns, at least one; {"hex":"ff"} where the bytes are not UTF-8.  Malloced.
 */
char *pg_bound_make(const struct pg_key *k, const struct str *texts, size_t n);
/*
 * The values, in *arena.  ERR_RETRY with ESTALE when the bound is of another order: the key was changed since.
 */
MUST_CHECK int pg_bound_read(const char *bound, const struct pg_key *k, struct arena *a, struct str *texts, size_t *n,
			     struct error *err);

/*
 * ("t"."a", "t"."b") > ('5'::bigint, 'x'::text): the first n columns; operator is ">", "<=" or "=".  The operators of an
 * extension's type are named: with an empty search_path there are others, of text.
 */
void pg_key_compare(const struct pg_key *k, const struct str *texts, size_t n, const char *operator, struct buf *out);
void pg_key_order(const struct pg_key *k, struct buf *out);	/* "t"."a", "t"."b" */
/* One column as it is compared. */
void pg_key_column(const struct pg_key *k, size_t i, struct buf *out);

/* Integers that cut lowest..highest into parts of about the same size: at most parts - 1 of them; how many. */
size_t pg_cut_integers(int64_t lowest, int64_t highest, size_t parts, int64_t *out);

#endif
