/*
 * table_definition.h - a table version as JSON: what state.db and the spool's schema records keep
 */
#ifndef TABLE_DEFINITION_H
#define TABLE_DEFINITION_H

#include "table.h"

/* The Avro schemas are not in the JSON: they are made again from what is. */
struct table_names {
	const char *pipeline, *connector, *database;
	unsigned suffix; /* of the Avro namespace; 0: none */
};

/* In the table's arena; p is NULL, with an error, where a name is not UTF-8. */
struct str table_definition_make(const struct table *t, const struct table_names *names,
				 struct arena *arena, struct error *err);

/*
 * Fills id, version, schema, name, columns and names, all in the arena.  Untrusted input: it may
 * come from a file that somebody else wrote.
 */
MUST_CHECK int table_definition_parse(struct str json, struct arena *arena, struct table *t,
				      struct table_names *names, struct error *err);

/* Fills key and nkey from the columns' key numbers, which must be 1..nkey. */
MUST_CHECK int table_key_make(struct table *t, struct arena *arena, struct error *err);

#define TABLE_COLUMNS_MAX 4096 /* MySQL; Postgres allows 1600 */

#endif
