/*
 * check.h - findings of the preflight
 */
#ifndef CHECK_H
#define CHECK_H

#include "error.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };
struct finding { char *id; enum severity severity; char *object, *message, *fix_sql, *undo_sql; };	/* sql may be NULL */
struct findings { struct finding *items; size_t n; };

/* id: "wal_level", stable, for scripts.  object: "public.orders".  Copies everything. */
void findings_add(struct findings *f, const char *id, enum severity severity, const char *object, const char *message,
		  const char *fix_sql, const char *undo_sql);
void findings_free(struct findings *f);

#endif
