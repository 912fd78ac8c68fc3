/*
 * table.h - table definitions, one immutable object per version
 *
 * A row always points to the version it was written under, so a schema change needs no lock and
 * no flag: rows before it point to version n, rows after it to n + 1.  Versions are few and live
 * until the process exits: no counting.
 */
#ifndef TABLE_H
#define TABLE_H

#include "error.h"
#include "option.h"

enum column_type {
	COL_BOOL,
	COL_INT32,		/* 8 to 32 bits, unsigned up to 24, YEAR */
	COL_INT64,		/* 64 bits, unsigned 32, oid */
	COL_UINT64,		/* BIGINT UNSIGNED: Avro decimal(20,0) */
	COL_FLOAT, COL_DOUBLE,
	COL_DECIMAL,		/* precision and scale fixed, 0 <= scale <= precision */
	COL_TEXT,		/* as the server prints it */
	COL_BYTES,
	COL_DATE,		/* days since 1970-01-01 */
	COL_TIME,		/* microseconds of the day, 0 <= t < 24 h */
	COL_TIMESTAMP,		/* microseconds since 1970-01-01, no zone */
	COL_TIMESTAMPTZ,	/* microseconds since 1970-01-01 UTC */
	COL_UUID,		/* 36 characters */
	COL_JSON,
	COL_ARRAY,		/* of `element`, one dimension */
};

struct column {
	struct str		name;
	enum column_type	type, element;		/* element: of COL_ARRAY */
	int			precision, scale;	/* of COL_DECIMAL, or of its elements */
	bool			nullable;		/* today's catalog says so: a hint, never relied on */
	int			key;			/* 1-based place in the key; 0 = not part of it */
	struct str		native;			/* "numeric(12,2)": messages and the schema's doc */
	uint32_t		native_id;		/* type OID (domain resolved to its base); 0 elsewhere */
	int32_t			native_mod;		/* atttypmod; -1 */
	char			delimiter;		/* between elements of COL_ARRAY in the source's text; 0: a comma */
};

/* Avro schemas of one version under one topic name; JSON text and CRC-64-AVRO fingerprints. */
struct table_schemas {
	char		*key, *row, *envelope, *flat;	/* key: NULL for a table without one */
	uint64_t	fp_key, fp_row, fp_envelope, fp_flat;
};

struct table {
	uint32_t		id;		/* this version, unique in the pipeline: the spool's `table`; from 1 */
	unsigned		version;	/* of schema.name: 1, 2, ... */
	struct str		schema, name;
	struct column		*columns;
	size_t			ncolumns, nkey;
	uint16_t		*key;		/* nkey column indexes, in key order */
	char			replica_identity;	/* Postgres, in a draft: d, f, i, n; 0 in the registry (equal versions share one) */
	uint64_t		sinks;		/* bit i set: route to sink i (compiled from the config) */
	struct table_schemas	schemas;	/* under <pipeline>.<schema>.<table> */
	struct str		definition;	/* JSON, what state.db and schema records keep */
};

/* The registry of all versions.  Any thread may look up; only the reader defines. */
struct tables;

/* How the registry names things in schemas and routes; strings are borrowed for its lifetime. */
struct tables_config {
	const char	*pipeline;
	const char	*connector;	/* postgresql, mysql, mariadb; static */
	const char	*database;
	const struct list *sink_tables;	/* one pattern list per sink */
	size_t		nsinks;		/* at most 64 */
};

struct tables *tables_new(const struct tables_config *c);
void	       tables_free(struct tables *t);
const struct tables_config *tables_names(const struct tables *t);	/* what tables_new() was given */
/*
 * Which of several kinds of server a source reads (MySQL or MariaDB) is known when it has connected, or when a version is
 * restored: the connector may change until the first version is defined.  A static string.  Any thread.
 */
const char *tables_connector(const struct tables *t);
void	    tables_set_connector(struct tables *t, const char *connector);

/*
 * Returns the stored version equal to `draft` (schema, name, columns, key), or makes the next one
 * with its schemas, validated by Apache Avro C.  The draft's strings are copied.  Reader thread.
 * NULL on error: ERR_FATAL when two names meet after sanitising or a schema does not validate.
 */
const struct table *tables_define(struct tables *t, const struct table *draft, struct error *err);

/*
 * Would the names of these tables and of their columns stay apart in topics, Avro and files?  At the
 * start, before anything is read: ERR_FATAL EXIT_USAGE names the two that meet.  Any thread.
 */
MUST_CHECK int tables_check_names(const struct tables *t, const struct table *drafts, size_t n, struct error *err);

/*
 * Puts back a version from its definition JSON (state.db or a spool's schema record), under its id.  Idempotent.
 * Any thread.  NULL on error: ERR_FATAL when that id is another version here.
 */
const struct table *tables_restore(struct tables *t, struct str definition, struct error *err);

const struct table *tables_by_id(const struct tables *t, uint32_t id);		/* NULL if unknown; any thread */
const struct table *tables_latest(const struct tables *t, struct str schema, struct str name);
size_t		    tables_count(const struct tables *t);			/* the highest id; tables_by_id is NULL for
										 * one that was never restored */

/*
 * What is to be known of a table beyond its versions.  EXCLUDED: selected, but left out of the stream.
 * RELOAD: rows changed with no event for them, its copies are to be loaded again.  A later note of one
 * kind replaces the earlier.  Any thread.
 */
enum table_note { TABLE_NOTE_EXCLUDED, TABLE_NOTE_RELOAD };
void tables_note(struct tables *t, enum table_note kind, struct str schema, struct str name, const char *reason);
void tables_forget_note(struct tables *t, enum table_note kind, struct str schema, struct str name);
/* Calls fn for each note, under the registry's lock. */
void tables_each_note(struct tables *t,
		      void (*fn)(void *arg, enum table_note kind, struct str schema, struct str name,
				 const char *reason),
		      void *arg);
bool tables_superseded(const struct tables *t, uint32_t id);	/* a later version of the same table exists */

/* Globs of `schema.table`; ! excludes, the last match wins; without a dot: that table in any schema.  No pattern: no match. */
bool patterns_match(const struct list *patterns, struct str schema, struct str name);

#endif
