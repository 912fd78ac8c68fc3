/*
 * sql.h - what SQL sinks share: quoting, table names, the shape of tables, the checkpoint table
 *
 * Text only: nothing here talks to a database.  Values are always parameters, never part of a text.
 */
#ifndef SQL_H
#define SQL_H

#include "sink.h"

#define SQL_DELETED_AT "_deleted_at" /* deletes = soft */
#define SQL_TEXT_SUFFIX "_text"	     /* unrepresentable = text */

/* A quoted identifier: quote characters inside are doubled. */
void sql_ident(struct buf *out, struct str name, char quote);
/* "a", "b": the names of the key columns, in key order. */
void sql_key_list(struct buf *out, const struct table *t, char quote);

/* Names that SQL compares without regard to case (ASCII). */
bool sql_same_name(struct str a, struct str b);

/*
 * The target's table for `t`: the sink's `table` template with {pipeline}, {schema} and {table}
 * filled in.  ERR_FATAL EXIT_USAGE on another placeholder.
 */
MUST_CHECK int sql_table_name(const char *template, const char *pipeline, const struct table *t,
			      struct buf *out, struct error *err);
/* ERR_FATAL EXIT_USAGE when another table that goes to this sink would be written to the same target table. */
MUST_CHECK int sql_table_alone(const struct sink_context *c, const char *template,
			       const struct table *t, struct error *err);
/* ERR_REJECT when two columns (those of `deletes` included) have one name in a target that ignores case. */
MUST_CHECK int sql_columns_distinct(const struct table *t, bool soft, struct error *err);

/* The column type of a dialect. */
typedef const char *sql_type_name(const struct column *c);

/* CREATE TABLE with the columns in order, those of `deletes`, and PRIMARY KEY. */
void sql_create_table(struct buf *out, struct str name, const struct table *t, bool soft,
		      sql_type_name *type, char quote);
void sql_add_column(struct buf *out, struct str table, struct str column, const char *type,
		    char quote);

/* tailrace_checkpoint: its DDL and its statements, parameters as `?` in the order of the names. */
extern const char sql_checkpoint_create[];
extern const char sql_checkpoint_fence[];  /* pipeline, sink -> fence */
extern const char sql_checkpoint_insert[]; /* pipeline, sink, fence, updated_at */
extern const char sql_checkpoint_raise[];  /* fence, updated_at, pipeline, sink */
extern const char sql_checkpoint_raise_from[]; /* fence, updated_at, pipeline, sink, fence as it was read */
extern const char sql_checkpoint_lock[];   /* pipeline, sink, fence -> fence: locks the row that is mine */
extern const char sql_checkpoint_hold[];   /* pipeline, sink, fence: touches the row that is mine, or none */
extern const char sql_checkpoint_save[];   /* position, resume, snapshot, stopped, updated_at, pipeline, sink, fence */
extern const char sql_checkpoint_load[];   /* pipeline, sink -> position, resume, snapshot, stopped */

#endif
