/*
 * mysql_table.h - a table as information_schema describes it, and the history of such definitions
 *
 * Needed where the table map lacks metadata (binlog_row_metadata below FULL, servers before it), and for what
 * no table map says (UUID and INET of MariaDB, the engine).
 */
#ifndef MYSQL_TABLE_H
#define MYSQL_TABLE_H

#include "binlog_map.h"

struct mysql_column {
	struct str	name;		/* UTF-8 */
	struct str	data_type;	/* "varchar", "enum", "uuid" */
	struct str	column_type;	/* "enum('a','b')", "int(10) unsigned", "decimal(10,2)" */
	struct str	charset;	/* "latin1"; n == 0: none */
	bool		is_unsigned, nullable;
	int		key;		/* 1-based place in the primary key; 0 */
};

/*
 * The columns are those of a row image, in its order: also generated and invisible ones, and what MariaDB
 * hides from information_schema (row_start and row_end of WITH SYSTEM VERSIONING, DB_ROW_HASH_1 of a UNIQUE over
 * long values).  What MySQL makes for an index over an expression is in neither.
 */
struct mysql_table {
	struct str		schema, name, engine;
	bool			transactional;	/* the engine's */
	bool			sequence;	/* MariaDB: rows are logged, but it is no table */
	bool			versioned;	/* MariaDB, WITH SYSTEM VERSIONING: rows of the past are logged too */
	struct mysql_column	*columns;
	size_t			ncolumns;
};

/*
 * Could this definition have written that table map?  Column count, types, and whatever metadata the map has
 * (lengths, precisions, signedness, names ...).  If not, `why` names the first difference.
 */
bool mysql_table_matches(const struct mysql_table *t, const struct binlog_map *m, struct buf *why);

/*
 * The column as a table map of today's server has it, without metadata: what mysql_table_matches() accepts.  false: the
 * type is not known.
 */
bool mysql_table_column(const struct mysql_column *c, bool mariadb, struct binlog_map_column *out);

/* The labels of "enum('a','b''c')" or "set(...)", unquoted, UTF-8, in `a`; their number; 0: it is neither. */
size_t mysql_labels(struct str column_type, struct arena *a, struct str **out);

/*
 * Would an ALTER from the one to the other have changed what existing rows say, other than by columns that came or
 * went?  For that no events are logged.  false: types only grew, labels were added or moved.  `why` names the column.
 */
bool mysql_table_rewritten(const struct mysql_table *from, const struct mysql_table *to, struct buf *why);

/* Has `to` a column that `from` has not?  `why` names it. */
bool mysql_table_grown(const struct mysql_table *from, const struct mysql_table *to, struct buf *why);

bool mysql_table_equal(const struct mysql_table *a, const struct mysql_table *b);	/* names of the tables aside */

void mysql_table_json(const struct mysql_table *t, struct buf *out);
/* Strings are copied to `a`.  ERR_FATAL when it is not what mysql_table_json() wrote. */
MUST_CHECK int mysql_table_parse(struct str json, struct arena *a, struct mysql_table *out, struct error *err);

#endif
