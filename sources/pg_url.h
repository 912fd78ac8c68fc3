/*
 * pg_url.h - the database's name in a libpq connection URL
 */
#ifndef PG_URL_H
#define PG_URL_H

#include "config.h"

/* Malloced; "" when nothing names one.  Any thread. */
char *pg_database_name(const struct source_config *c);

#endif
