/*
 * mysql_archive.h - a binlog file on disk, as changes; for `tailrace events mysql-bin.000042`
 */
#ifndef MYSQL_ARCHIVE_H
#define MYSQL_ARCHIVE_H

#include "source.h"

bool mysql_archive_is(const char *path);	/* begins as a binary log does */
/* source_ops.archive_read.  Tables need full metadata in the log: there is no server to ask. */
int mysql_archive_read(const char *path, struct tables *tables, int64_t memory,
		       int (*fn)(void *arg, const struct change *c, struct error *err), void *arg, struct error *err);

#endif
