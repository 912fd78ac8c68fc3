/*
 * binlog_value.h - the cells of a row event as typed values
 *
 * A field is compiled once for each table version: from the table map, and from a definition where the map does
 * not say enough.  Then one call for each cell, in place.  One thread a field set.
 */
#ifndef BINLOG_VALUE_H
#define BINLOG_VALUE_H

#include "binlog_map.h"
#include "change.h"
#include "mysql_table.h"

struct charset;		/* mysql_charset.h */

struct binlog_field {
	uint8_t			type;		/* enum mysql_type */
	uint16_t		meta;
	bool			is_unsigned;
	enum column_type	column;		/* the Avro side, as in struct column */
	uint32_t		pad;		/* BINARY(n): n, stripped zero bytes are put back; 0: not one */
	const struct charset	*charset;	/* text, labels; NULL: bytes */
	const struct str	*labels;	/* enum, set: UTF-8 */
	size_t			nlabels;
	int			invalid_bytes;	/* enum invalid_bytes: text that is not in its charset */
	uint8_t			special;	/* enum binlog_special: what the type code does not tell */
};
enum binlog_special { BINLOG_PLAIN, BINLOG_UUID, BINLOG_INET4, BINLOG_INET6 };

/*
 * Compiles column i of a map.  `def`: its definition, matched with the map; NULL where the map has names (then
 * signedness, charset, labels come from the map).  Fills *column (name, type, precision, scale, nullable, key,
 * native; strings in `a`) and *out.  The native text says everything that reading depends on and is the same
 * whether it was made of a map or of a definition: "int unsigned", "varchar(20) latin1", "enum('a','b') utf8mb4",
 * "decimal(10,2)", "datetime(3)", "binary(16)", "uuid".
 * ERR_FATAL: an unknown type or charset: it names schema, table, column and number.
 */
MUST_CHECK int binlog_field_make(const struct binlog_map *m, size_t i, const struct mysql_column *def, int invalid_bytes,
				 struct arena *a, struct column *column, struct binlog_field *out, struct error *err);

/*
 * Does this map need a definition for column i even though it has names (MariaDB: BINARY(16) or UUID)?
 */
bool binlog_field_ambiguous(const struct binlog_map *m, size_t i, bool mariadb);

/*
 * Reads one cell (not NULL) and moves the cursor past it.  Strings point into the event where they can, else into
 * `a`.  A value its Avro type cannot hold is VALUE_UNREPRESENTABLE with the server's own text.
 * ERR_FATAL: truncated, or not what the type's format allows; with invalid_bytes = stop: bytes not in the charset.
 */
MUST_CHECK int binlog_value(const struct binlog_field *f, struct cursor *c, struct arena *a, struct value *out,
			    struct error *err);

/* MySQL's binary JSON as the server prints it.  In `a`. */
MUST_CHECK int binlog_json_text(struct str binary, struct arena *a, struct str *out, struct error *err);
/*
 * Applies the diffs of a partial update to the before image's binary JSON; *out is binary JSON, in `a`.
 */
MUST_CHECK int binlog_json_apply(struct str binary, struct str diffs, struct arena *a, struct str *out,
				 struct error *err);
/* The bytes of a JSON cell (length prefix taken off); for partial updates. */
MUST_CHECK int binlog_json_cell(const struct binlog_field *f, struct cursor *c, struct str *out, struct error *err);

#endif
