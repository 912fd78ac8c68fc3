/*
 * option.h - every setting is declared once
 *
 * The same row drives the parser, the range check, `--help`, the man page, docs/options.md, the
 * sample configuration and secret masking in logs.
 */
#ifndef OPTION_H
#define OPTION_H

#include "error.h"

enum option_type {
	OPTION_STRING,	/* char * */
	OPTION_BOOL,	/* bool: on|off, true|false, yes|no, 1|0 */
	OPTION_INT,	/* int64_t */
	OPTION_SIZE,	/* int64_t, bytes: 64MB, 1GB, 512kB, 4096 */
	OPTION_TIME,	/* int64_t, microseconds: 100ms, 10s, 5m, 24h, 7d; 0 */
	OPTION_ENUM,	/* int: index into choices */
	OPTION_LIST,	/* struct list: comma separated, blanks trimmed */
};
enum {
	OPTION_REQUIRED = 1,	/* no default: its absence is an error */
	OPTION_SECRET	= 2,	/* ${ENV} and file:PATH are resolved; never printed */
	OPTION_RELOAD	= 4,	/* takes effect on SIGHUP */
	OPTION_LATER	= 8,	/* parses, but no code uses it yet: every value but the default is refused */
};

struct list { char **items; size_t n; };

struct option {
	const char		*name;
	enum option_type	type;
	size_t			offset;
	const char		*initial, *min, *max;	/* as the user would write them: "64MB", "1s" */
	const char *const	*choices;		/* OPTION_ENUM: NULL-terminated */
	unsigned		flags;
	const char		*help;			/* one sentence; units and consequences */
	const char *const	*later;			/* values that parse but whose code is not there: refused by name */
};

/* The field's type is checked by the compiler: an OPT_INT on a bool does not build. */
#define OPT_FIELD(s, f, t)	(offsetof(struct s, f) + 0 * sizeof(char[_Generic(((struct s *)0)->f, t: 1)]))
#define OPT_STRING(s, f, n, def, fl, h)		{ n, OPTION_STRING, OPT_FIELD(s, f, char *), def, 0, 0, 0, fl, h, 0 }
#define OPT_BOOL(s, f, n, def, fl, h)		{ n, OPTION_BOOL, OPT_FIELD(s, f, bool), def, 0, 0, 0, fl, h, 0 }
#define OPT_INT(s, f, n, def, lo, hi, fl, h)	{ n, OPTION_INT, OPT_FIELD(s, f, int64_t), def, lo, hi, 0, fl, h, 0 }
#define OPT_SIZE(s, f, n, def, lo, hi, fl, h)	{ n, OPTION_SIZE, OPT_FIELD(s, f, int64_t), def, lo, hi, 0, fl, h, 0 }
#define OPT_TIME(s, f, n, def, lo, hi, fl, h)	{ n, OPTION_TIME, OPT_FIELD(s, f, int64_t), def, lo, hi, 0, fl, h, 0 }
#define OPT_ENUM(s, f, n, def, ch, fl, h)	{ n, OPTION_ENUM, OPT_FIELD(s, f, int), def, 0, 0, ch, fl, h, 0 }
#define OPT_ENUM_LATER(s, f, n, def, ch, lt, fl, h) { n, OPTION_ENUM, OPT_FIELD(s, f, int), def, 0, 0, ch, fl, h, lt }
#define OPT_LIST(s, f, n, def, fl, h)		{ n, OPTION_LIST, OPT_FIELD(s, f, struct list), def, 0, 0, 0, fl, h, 0 }
#define OPT_END					{ 0 }

const struct option *option_find(const struct option *options, struct str name);	/* NULL: none */

/*
 * Sets the field of `o` in `base` to `value`, the text behind "=" with its quotes and without a
 * comment; strings live in `a`.  An empty string is NULL.  The error names the option and what it
 * takes, not the place in the file.
 */
MUST_CHECK int option_set(const struct option *o, void *base, struct str value, struct arena *a, struct error *err);
/* Sets every field that has a default; a default out of its own range aborts. */
void option_defaults(const struct option *options, void *base, struct arena *a);
bool option_same(const struct option *o, const void *a, const void *b);
/* Was the field left at, or set to, the default? */
bool option_is_default(const struct option *o, const void *base);

/* The one of `names` that the user most likely meant, NULL if none is near. */
const char *nearest_name(const char *wrong, const char *const *names, size_t n);

/* `tailrace options`: every section with its options. */
enum option_format { OPTIONS_TEXT, OPTIONS_MAN, OPTIONS_MARKDOWN, OPTIONS_CONF };
void options_print(enum option_format format, struct buf *out);

#endif
