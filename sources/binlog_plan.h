/*
 * binlog_plan.h - how the rows of a table map are read, compiled once for each content of a map
 *
 * Table ids say nothing: a plan is found by the map's whole content, so a change of the table, a restart or a
 * re-used id cannot give the wrong one.  One thread.
 */
#ifndef BINLOG_PLAN_H
#define BINLOG_PLAN_H

#include "binlog.h"
#include "binlog_value.h"

struct binlog_plan {
	struct binlog_plan	*next;		/* of the same bucket */
	uint64_t		hash;
	struct str		content;	/* the map's */
	struct str		db, name;
	const struct table	*table;		/* NULL: not captured, nothing below is set */
	struct binlog_field	*fields;	/* ncolumns, the map's */
	size_t			ncolumns;
	bool			plain;		/* field i is column i of the table, for all */
	bool			expressions;	/* hidden are columns that no row has */
	uint16_t		*place;		/* of field i among the table's columns; PLAN_HIDDEN: of none */
	struct arena		arena;
};

#define PLAN_HIDDEN UINT16_MAX

struct binlog_plans {
	const struct binlog_config	*config;
	struct binlog_plan		**buckets, *last;
	size_t				n, room;
};

void binlog_plans_free(struct binlog_plans *p);
/* The plan for this map event, at this transaction; NULL: err says why. */
struct binlog_plan *binlog_plan_find(struct binlog_plans *p, const struct binlog_event *e,
				     const struct binlog_format *format, const struct position *at, bool mariadb,
				     struct error *err);
/* The definitions of these tables may have changed.  db NULL: all; table NULL: all of the database. */
void binlog_plans_forget(struct binlog_plans *p, const struct str *db, const struct str *table);

/*
 * The draft of the table that `n` columns of an image make, out of which the server's own hidden ones are taken;
 * place[i]: where column i is in it, or PLAN_HIDDEN.  version: of a MySQL server whose maps these are; 0: as a query gives them.  Moves the columns; the key is in `a`, all else is borrowed.
 */
void binlog_plan_draft(struct str db, struct str name, struct column *columns, size_t n, bool mariadb,
		       uint32_t version, uint16_t *place, struct arena *a, struct table *out);

/*
 * Appends the changes of a rows event of a captured table.  Each is `like` with its own row, counted up in *rows;
 * a row longer than max_row bytes is refused (0: none is).  The event's bytes live as long as the batch.
 */
MUST_CHECK int binlog_rows_decode(const struct binlog_plan *plan, const struct binlog_rows *rows, size_t max_row,
				  const struct change *like, uint64_t *count, struct batch *b, struct error *err);

#endif
