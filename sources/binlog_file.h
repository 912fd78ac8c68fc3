/*
 * binlog_file.h - a binary log file as it lies on disk: its events, one after the other
 *
 * Bounded memory: one event at a time.  Nothing but an event's size is looked at, and whether what follows is
 * encrypted; checksums are binlog_event_parse()'s.  Every error names the file and the offset.  One thread.
 */
#ifndef BINLOG_FILE_H
#define BINLOG_FILE_H

#include "binlog_event.h"

struct binlog_file;

/* max_event: bytes, a longer event is refused; 0: no limit.  ERR_FATAL: no such file, not a binary log, encrypted. */
struct binlog_file *binlog_file_open(const char *path, size_t max_event, struct error *err);
/*
 * 1: the next event's bytes (valid until the next call) and where it begins; 0: the end of the file.
 * ERR_RETRY: the file ends within an event: it is being written, and the next call tries again, or its server
 * crashed.  ERR_FATAL: damaged, encrypted, an event that is too long.
 */
MUST_CHECK int binlog_file_next(struct binlog_file *f, struct str *event, uint64_t *offset, struct error *err);
void binlog_file_close(struct binlog_file *f);	/* NULL is fine */
void binlog_file_cleanup(struct binlog_file **f);

#endif
