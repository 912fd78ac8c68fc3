/*
 * event_file.h - the events of one Avro file: a segment of the spool, or a file of a files sink
 *
 * Read-only, block by block; for commands.  A spool that an agent is writing may be read.
 */
#ifndef EVENT_FILE_H
#define EVENT_FILE_H

#include "event.h"

/* 0: go on; 1: enough; -1: failed.  The event lives until it returns. */
typedef int event_fn(const struct event *e, void *arg, struct error *err);

/*
 * `last`: of its folder; a torn block at the very end of such a segment is no damage.  `tables`
 * takes up what the schema records of a segment define.  Returns as event_fn; errors name file and
 * offset.
 */
MUST_CHECK int event_file_read(const char *path, bool last, struct tables *tables, event_fn *each,
			       void *arg, struct error *err);

/* The position of its first record, from the name of a spool segment; false for other names. */
bool event_file_first(const char *path, struct position *first);

#endif
