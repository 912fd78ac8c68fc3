/*
 * view.h - what commands draw for people: colours on a terminal, plain text elsewhere
 */
#ifndef VIEW_H
#define VIEW_H

#include <jansson.h>

#include "memory.h"

struct view {
	struct buf	out;
	bool		colour;
};

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WAIT, TONE_BAD, TONE_DIM, TONE_BOLD };

void view_put(struct view *v, enum tone tone, const char *format, ...) PRINTF(3, 4);

/* Of JSON: "" and NAN where the agent said null. */
const char *view_text(const json_t *object, const char *key);
double	    view_number(const json_t *object, const char *key);

/* Numbers as text; "?" when unknown (NAN). */
#define VIEW_SHORT	24
const char *view_bytes(double v, char out[VIEW_SHORT]);	/* "12 kB", "3.4 GB" */
const char *view_span(double s, char out[VIEW_SHORT]);	/* "0.2 s", "3 min", "4 h 10 min", "12 days" */
const char *view_count(double v, char out[VIEW_SHORT]);	/* "1234567" */
const char *view_rows(double v, char out[VIEW_SHORT]);	/* "9999", "12.3 k", "4.5 M": for many */

/* Columns of the terminal; 80 where it does not say.  COLUMNS goes first. */
size_t view_width(int fd);
/* A bar of `width` columns, `share` of it (0..1; NAN: nothing) filled; UTF-8 where the locale says so. */
void view_bar(struct buf *out, double share, size_t width);

#endif
