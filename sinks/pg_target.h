/*
 * pg_target.h - the parts of the postgres sink (private to sinks/postgres.c and sinks/pg_target*.c)
 *
 * postgres.c          ops: connection, statements sent and awaited, error classes, preflight
 * pg_target_table.c   tables at the target as its catalog has them, types of new columns
 * pg_target_work.c    text of the statements, and the cache of prepared ones
 * pg_target_value.c   values as elements of binary arrays
 */
#ifndef PG_TARGET_H
#define PG_TARGET_H

#include <libpq-fe.h>

#include "sql_sink.h"

struct pg_statement;

struct pg_target {
	struct sql_sink	sql;		/* first */
	PGconn		*conn;
	char		*name;		/* application_name: pipeline and sink */
	char		*checkpoint;	/* quoted name of tailrace_checkpoint */
	struct pg_statement *newest, *oldest;	/* prepared, over all versions */
	size_t		nstatements;
	uint64_t	serial;		/* names of prepared statements */
	struct buf	params;		/* of the statement at hand, one after the other */
	struct buf	scratch;
};

/* --- postgres.c --- */

/*
 * Sends nothing, awaits the result of what was sent (PQsend...): NULL and a classified error.  Gives up
 * some seconds after a stop was asked for.
 */
PGresult *pg_target_await(struct pg_target *k, const char *what, struct error *err);
/* One statement with text parameters. */
PGresult *pg_target_ask(struct pg_target *k, const char *what, const char *sql, size_t n,
			const char *const *params, struct error *err);

/* --- pg_target_table.c --- */

MUST_CHECK int pg_target_look(struct sql_sink *k, struct sql_place *p, struct error *err);
MUST_CHECK int pg_target_unique(struct sql_sink *k, const struct sql_place *p, const struct table *t, bool *found,
				struct error *err);
void pg_target_type(const struct sql_sink *k, const struct column *c, struct buf *out);
enum sql_fit pg_target_fit(const struct sql_sink *k, const struct sql_column *have, const struct column *want);
void pg_target_alter_type(struct buf *out, struct str column, const char *type);
bool pg_target_takes_text(const struct sql_sink *k, const struct sql_version *v, size_t column);

/* --- pg_target_value.c --- */

/* How values of a column travel: elements of an array of `element`, in binary form. */
struct pg_form {
	const char	*name;		/* "int8": the element's type */
	uint32_t	element;	/* its OID */
	bool		text;		/* as text, which the statement casts to the column's type */
};
/* text: values that only their text can say are among them. */
struct pg_form pg_target_form(const struct column *c, const struct sql_column *have, bool text);
/* Can two values be told apart by `=`?  Otherwise their texts are compared. */
bool pg_target_exact(const struct column *c, const struct sql_column *have);
/*
 * Appends one element: length and bytes; -1 for what is not SET (UNREPRESENTABLE: its text, if the form is text).
 */
void pg_target_put(struct buf *out, const struct column *c, struct pg_form form, const struct value *v,
		   struct buf *scratch);
void pg_target_put_time(struct buf *out, int64_t us);		/* of timestamptz */
void pg_target_put_null(struct buf *out);
void pg_target_put_header(struct buf *out, uint32_t element, size_t n);

/* --- pg_target_work.c --- */

MUST_CHECK int64_t pg_target_work(struct sql_sink *k, struct sql_version *v, const struct sql_work *w,
				  struct error *err);
void pg_target_forget(struct sql_sink *k, struct sql_version *v);

#endif
