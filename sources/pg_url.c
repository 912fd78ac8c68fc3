/*
 * pg_url.c - the database's name in a libpq connection URL
 */
#include <libpq-fe.h>
#include <stdlib.h>

#include "pg_url.h"

/* As libpq decides: the URL, the environment, the user's name. */
char *pg_database_name(const struct source_config *c)
{
	PQconninfoOption *options = PQconninfoParse(c->url, NULL);
	const char *database = NULL, *user = NULL;

	for (PQconninfoOption *o = options; o && o->keyword; o++) {
		if (str_eqz(str_z(o->keyword), "dbname"))
			database = o->val;
		else if (str_eqz(str_z(o->keyword), "user"))
			user = o->val;
	}
	if (!database)
		database = getenv("PGDATABASE");
	if (!database)
		database = user;
	char *copy = xstrdup(database ? database : "");

	PQconninfoFree(options);
	return copy;
}
