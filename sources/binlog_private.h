/*
 * binlog_private.h - what the parsers of binlog events share
 */
#ifndef BINLOG_PRIVATE_H
#define BINLOG_PRIVATE_H

#include "binlog_event.h"

/* The error of an event whose bytes are not what its type says: "Table_map event of 90 bytes ... <what>". */
int binlog_bad(const struct binlog_event *e, struct error *err, const char *what);
/* The same, when c ran past the end; 0 otherwise. */
MUST_CHECK int binlog_end(const struct binlog_event *e, const struct cursor *c, struct error *err);
/* A table's id: 6 bytes, or 4 where the format's post-header length of the type is 6. */
MUST_CHECK int binlog_table_id(const struct binlog_event *e, const struct binlog_format *format, struct cursor *c,
			       uint64_t *id, struct error *err);
/* MariaDB's compressed tail of an event, inflated into `a`: at most max bytes (0: no limit). */
MUST_CHECK int binlog_inflate(const struct binlog_event *e, struct str in, struct arena *a, size_t max, struct str *out,
			      struct error *err);

/* The common header, all lengths checked; *out's body is what follows it. */
MUST_CHECK int binlog_header(struct str bytes, struct binlog_event *out, struct error *err);

static inline uint64_t get_u48le(struct cursor *c)
{
	uint64_t low = get_u32le(c);

	return low | (uint64_t)get_u16le(c) << 32;
}

#endif
