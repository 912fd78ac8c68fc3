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
	uint8_t			how;		/* enum binlog_cell: which reader (binlog_cell.h) */
	uint8_t			prefix;		/* bytes of the length before the cell; 0: none */
	uint8_t			digits;		/* after the point: decimals, times */
	uint8_t			precision;	/* of a decimal */
	bool			is_unsigned;
	uint8_t			type;		/* enum mysql_type */
	uint16_t		meta;
	uint32_t		size;		/* bytes of the cell; BINARY(n), UUID, INET: n, to which it is padded */
	int			invalid_bytes;	/* enum invalid_bytes: text that is not in its charset */
	bool			json_bare;	/* the caller sets it: MySQL before 8.0 prints the double 1 as 1, not 1.0 */
	const struct charset	*charset;	/* text, labels; NULL: bytes */
	const struct str	*labels;	/* enum, set: UTF-8; p NULL: not known */
	size_t			nlabels;
	struct str		name, native;	/* the column's, for messages */
};

/*
 * Compiles column i of a map.  `def`: its definition, matched with the map; NULL where the map has names (then
 * signedness, charset, labels come from the map).  What both say is taken from the map.  Fills *column (name, type,
 * precision, scale, nullable, key, native; strings in `a`) and *out (which points into `a` too).
 *
 * The native text says everything that reading depends on and is the same whether it was made of a map or of a
 * definition:
 *
 *	tinyint, smallint, mediumint, int, bigint, decimal(10,2), float, double, each with " unsigned" or without;
 *	year, date, time, time(3), datetime(6), timestamp, bit(7); json
 *	char(10) latin1, varchar(20) utf8mb4, tinytext utf8mb4, text .., mediumtext .., longtext ..: characters
 *	binary(16), varbinary(20), tinyblob, blob, mediumblob, longblob: bytes
 *	... compressed: MariaDB's compressed columns
 *	enum('a','it''s') utf8mb4, set(..) latin1: the labels in UTF-8
 *	geometry, point, linestring, polygon, multipoint, multilinestring, multipolygon, geometrycollection
 *	vector(3): MySQL's.  MariaDB's map shows a varbinary, and so it is called, whatever the definition says
 *	uuid, inet4, inet6: MariaDB's; only a definition tells them from binary(16) and binary(4)
 *
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
 * `a`; nothing points into *f.  A value its Avro type cannot hold is VALUE_UNREPRESENTABLE with the server's own text: zero and partial
 * dates, years outside 1..9999, a TIME outside of a day, with invalid_bytes = bytes also text that is not in its
 * charset ("\\x" and hexadecimal digits).  A label that only information_schema knows, with a ? in place of what may be
 * a character beyond the BMP, is VALUE_UNREPRESENTABLE with the number of the ENUM's label or of the SET's bits.
 *
 * A geometry is WKB as ST_AsBinary() gives it where its SRID is 0.  With another SRID, which WKB has no place for, it
 * is EWKB: the type has the flag 0x20000000 and the SRID follows it, so that nothing of the server's cell (SRID and
 * WKB) is lost.  The order of the axes is that of the cell, x before y, also where ST_AsBinary() of MySQL 8 swaps
 * them for a geographic SRID.
 *
 * ERR_FATAL: truncated, or not what the type's format allows; with invalid_bytes = stop: bytes not in the charset.
 */
MUST_CHECK int binlog_value(const struct binlog_field *f, struct cursor *c, struct arena *a, struct value *out,
			    struct error *err);

/*
 * All cells of a row image that has every column: out[i] of f[i], NULL where bit i of `nulls` (n bits) is set.  On an
 * error *at is the column.
 */
MUST_CHECK int binlog_values(const struct binlog_field *f, size_t n, struct str nulls, struct cursor *c, struct arena *a,
			     struct value *out, size_t *at, struct error *err);

/* MySQL's binary JSON as the server prints it (8.0 and later).  In `a`. */
MUST_CHECK int binlog_json_text(struct str binary, struct arena *a, struct str *out, struct error *err);
/*
 * Applies the diffs of a partial update to the before image's binary JSON; *out is binary JSON, in `a`.
 */
MUST_CHECK int binlog_json_apply(struct str binary, struct str diffs, struct arena *a, struct str *out,
				 struct error *err);
/* The bytes of a JSON cell (length prefix taken off); for partial updates. */
MUST_CHECK int binlog_json_cell(const struct binlog_field *f, struct cursor *c, struct str *out, struct error *err);

#endif
