/*
 * mysql_copy_rows.h - a table's rows: which SQL gives them, and their values as the binary log would give them
 *
 * A key as text, the copier's own: the sign of the key's columns, a colon, and a literal of SQL for each column, with
 * commas between them: "1f0c22aa:42,_latin1 X'C4'".  No literal holds a comma.  One that a split made may have fewer
 * literals than the key has columns: all keys that begin with them are meant.  Pure.
 */
#ifndef MYSQL_COPY_ROWS_H
#define MYSQL_COPY_ROWS_H

#include "copier.h"
#include "mysql_fetch.h"
#include "mysql_shape.h"

/*
 * The value of column i; strings point to the datum's bytes, or are in `a`.  ERR_FATAL: text that is not in its charset,
 * with invalid_bytes = stop.
 */
MUST_CHECK int mysql_copy_value(const struct mysql_shape *s, size_t i, const struct mysql_datum *d, struct arena *a,
				struct value *out, struct error *err);

/* The key of a row, malloced. */
char *mysql_copy_key(const struct mysql_shape *s, const struct mysql_datum *row);
/* A key that has this literal for its first column, malloced. */
char *mysql_copy_bound(const struct mysql_shape *s, const char *literal);

/* The SELECT of a range; limit 0: all.  ERR_RETRY, ESTALE when a key is of a table that had another key. */
MUST_CHECK int mysql_copy_sql(const struct mysql_shape *s, const char *where, const struct copy_range *range, int64_t limit,
			      struct buf *out, struct error *err);

#endif
