/*
 * binlog_cell.h - what the readers of cells share
 */
#ifndef BINLOG_CELL_H
#define BINLOG_CELL_H

#include "binlog_value.h"
#include "mysql_charset.h"

/* The form of a cell, settled once for each column: type, length and charset make no difference after that. */
enum binlog_cell {
	CELL_I8, CELL_U8, CELL_I16, CELL_U16, CELL_I24, CELL_U24, CELL_I32, CELL_U32, CELL_I64,	/* and BIGINT UNSIGNED */
	CELL_YEAR, CELL_FLOAT, CELL_DOUBLE, CELL_DECIMAL, CELL_BIT, CELL_BITS, CELL_ENUM, CELL_SET,
	CELL_UTF8, CELL_TEXT, CELL_BYTES, CELL_PADDED, CELL_COMPRESSED_TEXT, CELL_COMPRESSED_BYTES,
	CELL_GEOMETRY, CELL_JSON, CELL_UUID, CELL_INET4, CELL_INET6,
	/* binlog_temporal.c */
	CELL_DATE, CELL_TIME, CELL_TIME_OLD, CELL_TIME_HIRES, CELL_DATETIME, CELL_DATETIME_OLD, CELL_DATETIME_HIRES,
	CELL_TIMESTAMP, CELL_TIMESTAMP_OLD, CELL_TIMESTAMP_HIRES,
};

/* n bytes (at most 8), big-endian; little-endian. */
static inline uint64_t cell_be(struct cursor *c, size_t n)
{
	struct str s = get_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

static inline uint64_t cell_le(struct cursor *c, size_t n)
{
	struct str s = get_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = s.n; i-- > 0;)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

/* "the cell's bytes are not those of a %s": malformed or cut off.  Returns -1. */
int binlog_malformed(const struct binlog_field *f, struct error *err);

/* Dates and times; false: malformed. */
bool binlog_temporal(const struct binlog_field *f, struct cursor *c, struct arena *a, struct value *out);

/* Bytes of a fraction of so many digits in the formats since 5.6. */
static inline unsigned binlog_fraction_bytes(unsigned digits)
{
	return (digits + 1) / 2 & 3; /* digits <= 6 */
}

/* A decimal's cell, most significant digit first; false: malformed. */
bool binlog_decimal(struct cursor *c, unsigned precision, unsigned scale, struct arena *a, struct str *out);
/* The same as the server prints it. */
bool binlog_decimal_text(struct cursor *c, unsigned precision, unsigned scale, struct arena *a, struct str *out);

/* binlog_json_text(); bare: without the .0 of a double that is a whole number. */
MUST_CHECK int binlog_json_print(struct str binary, bool bare, struct arena *a, struct str *out, struct error *err);

/* A packed DATETIME or TIME of MySQL 5.6 and later, as in cells and in JSON; how many digits are to be printed. */
struct str binlog_print_datetime(int64_t packed, bool date_only, unsigned digits, struct arena *a);
struct str binlog_print_time(int64_t packed, unsigned digits, struct arena *a);

#endif
