/*
 * mysql_charset.h - MySQL's and MariaDB's character sets, to UTF-8
 */
#ifndef MYSQL_CHARSET_H
#define MYSQL_CHARSET_H

#include "error.h"
#include "memory.h"

struct charset;		/* immutable once it was looked up; any thread may look up and convert */

const struct charset *charset_by_collation(uint16_t id);	/* NULL: not known; 63: NULL too, it is bytes */
const struct charset *charset_by_name(struct str name);		/* "latin1"; NULL: not known or "binary" */
const char	     *charset_name(const struct charset *c);	/* "utf8mb4" (utf8 is utf8mb3) */
unsigned	      charset_max_bytes(const struct charset *c);	/* of one character: a VARCHAR's bytes / this = its length */

/*
 * UTF-8 out; points to `in` where that is UTF-8 already.  true: all of it was valid.  false: U+FFFD stands for
 * each invalid byte (UCS-2, UTF-16, UTF-32: unit) in *out.  latin1 is cp1252, with the five bytes that cp1252 lacks
 * as U+0081 ...
 */
bool charset_to_utf8(const struct charset *c, struct str in, struct arena *a, struct str *out);

#endif
