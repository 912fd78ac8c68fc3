/*
 * pg_check.h - parts of the preflight of the source `postgres`
 */
#ifndef PG_CHECK_H
#define PG_CHECK_H

#include "pg_catalog.h"
#include "pg_server.h"

struct pg_check_context {
	const struct config	*config;
	struct findings		*out;
	PGconn			*conn;
	int64_t			deadline;
	int			version;
	const char		*role;	/* quoted */
};

/* What keeps the rows of the tables that are to be published from being loaded, unless snapshot.mode is never. */
MUST_CHECK int pg_check_snapshot(const struct pg_check_context *c, const struct pg_tables *tables, struct error *err);

#endif
