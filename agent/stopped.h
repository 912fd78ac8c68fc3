/*
 * stopped.h - the tables that stopped at a sink, with the position of their first undelivered change
 *
 * Kept in the sink's checkpoint as JSON: {"public.orders":"1/0/16B3748/7"}.  One thread.
 */
#ifndef STOPPED_H
#define STOPPED_H

#include "event.h"

struct stopped_table {
	char *name; /* "public.orders" */
	struct position first;
	char *reason; /* of this process; NULL after a restart */
	int loading; /* at `first` the table was being loaded: 1, 0, -1: not known, after a restart */
};

struct stopped {
	struct stopped_table *items;
	size_t n;
};

MUST_CHECK int stopped_parse(const char *json, struct stopped *out, struct error *err);
char *stopped_format(const struct stopped *s); /* malloced JSON; NULL when there is none */
bool stopped_is(const struct stopped_table *s, const struct table *t);
const struct stopped_table *stopped_find(const struct stopped *s, const struct table *t);
void stopped_add(struct stopped *s, const struct table *t, const struct position *first,
		 const char *reason);
void stopped_remove(struct stopped *s, size_t index);
void stopped_release(struct stopped *s);

#endif
