/*
 * pg_names.h - do the names of what is published stay apart outside the database?
 */
#ifndef PG_NAMES_H
#define PG_NAMES_H

#include "pg_connection.h"
#include "table.h"

/* ERR_FATAL EXIT_USAGE when two tables or columns that the publication sends would get one name. */
MUST_CHECK int pg_names_check(PGconn *conn, int64_t deadline, const char *publication, const struct tables *tables,
			      struct error *err);

#endif
