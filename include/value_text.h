/*
 * value_text.h - typed values as text: times, floats, JSON
 *
 * Pure functions; any thread.
 */
#ifndef VALUE_TEXT_H
#define VALUE_TEXT_H

#include "change.h"

#define VALUE_TEXT	48

/*
 * COL_DATE "2026-01-02", COL_TIME "03:04:05.000006", COL_TIMESTAMP "2026-01-02T03:04:05.678901" with `between` in
 * place of the T; COL_TIMESTAMPTZ the same and then `zone` ("Z", "+00:00").
 */
struct str value_time(enum column_type type, int64_t v, char between, const char *zone, char out[VALUE_TEXT]);

/* The shortest text that reads back as the same float (single) or double; "NaN", "Infinity", "-Infinity". */
struct str value_float(double d, bool single, char out[VALUE_TEXT]);
bool	   value_is_finite(double d);

void value_base64(struct buf *out, struct str bytes);

/* One value as in the JSON of `tailrace events`: null unless it is SET. */
void value_json(struct buf *out, const struct column *c, const struct value *v);

#endif
