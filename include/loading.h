/*
 * loading.h - the tables that a sink is getting loaded: their copies are not complete yet
 *
 * Kept in the sink's checkpoint as JSON, ["public.orders"], and changed by the notes of snapshot
 * chunks (ledger.h) in the order of the spool, so that reading the spool again gives the same.  One thread.
 */
#ifndef LOADING_H
#define LOADING_H

#include "error.h"
#include "table.h"

struct loading {
	char **names;	/* "public.orders", owned */
	size_t n;
	bool never;	/* snapshot.mode = never: no table is ever known to be complete */
};

MUST_CHECK int loading_parse(const char *json, struct loading *out, struct error *err);	/* NULL: none */
char *loading_format(const struct loading *l);	/* malloced JSON; NULL when there is none */
bool loading_has(const struct loading *l, const struct table *t);	/* l NULL: every table is complete */
void loading_add(struct loading *l, struct str schema, struct str name);	/* once */
void loading_add_name(struct loading *l, struct str name);	/* "public.orders" */
void loading_remove(struct loading *l, struct str schema, struct str name);
void loading_remove_name(struct loading *l, struct str name);
void loading_release(struct loading *l);	/* keeps `never` */

#endif
