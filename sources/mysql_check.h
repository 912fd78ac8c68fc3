/*
 * mysql_check.h - the preflight of the source `mysql`
 */
#ifndef MYSQL_CHECK_H
#define MYSQL_CHECK_H

#include "binlog_client.h"
#include "check.h"
#include "config.h"
#include "mysql_server.h"
#include "mysql_table.h"

/* source_ops.check. */
MUST_CHECK int mysql_check(const struct config *c, struct findings *out, struct error *err);

/* Between mysql_check.c, which looks at the server, and mysql_check_tables.c. */
struct mysql_checking {
	const struct config	*config;
	struct findings		*out;
	struct mysql_conn	*conn;
	struct mysql_server	server;		/* mariadb, version, text and account only */
	struct mysql_rows	variables;	/* SHOW GLOBAL VARIABLES */
};
struct str mysql_variable(const struct mysql_checking *c, const char *name);	/* { NULL, 0 }: this version has none */
void mysql_finding(struct mysql_checking *c, const char *id, enum severity severity, const char *object,
		   const char *message, const char *fix, const char *undo);	/* SQL: NULL or "" is none */
MUST_CHECK int mysql_check_tables(struct mysql_checking *c, struct error *err);
/* What keeps the rows of those tables from being loaded, unless snapshot.mode is never.  Fills keys that the log has. */
MUST_CHECK int mysql_check_snapshot(struct mysql_checking *c, struct mysql_table *tables, const bool *wanted, size_t n,
				    struct error *err);

#endif
