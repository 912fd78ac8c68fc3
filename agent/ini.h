/*
 * ini.h - the text of a configuration file as sections and keys
 *
 *	; a comment, # too; only at the start of a line, or " ;" behind a value outside double quotes
 *	[kind name]
 *	key = value
 *
 * Everything is a view of the text, which must outlive it.  Values keep their double quotes: a
 * list takes them off by item.  A section or key that stands twice is an error.
 */
#ifndef INI_H
#define INI_H

#include "error.h"

struct ini_entry { struct str key, value; int line; };

struct ini_section {
	struct str		kind, name;	/* "sink", "lake"; name.n == 0: none */
	int			line;
	struct ini_entry	*entries;
	size_t			n;
};

struct ini { struct ini_section *sections; size_t n; };

/* Errors begin with "PATH:LINE: " and carry EXIT_USAGE. */
MUST_CHECK int ini_parse(const char *path, struct str text, struct arena *a, struct ini *out, struct error *err);

#endif
