/*
 * sources.c - the types of sources; in the order of the choices of [source] type
 */
#include "sources.h"

const struct source_type source_types[] = {
	{ "postgres", &postgres_source },
	{ "mysql", &mysql_source },
	{ 0 },
};
