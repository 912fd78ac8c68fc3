/*
 * binlog_map.h - TABLE_MAP: what the log says of a table, with all optional metadata
 *
 * Any thread.  Everything points into the event or into the arena given.
 */
#ifndef BINLOG_MAP_H
#define BINLOG_MAP_H

#include "binlog_event.h"

/* Column type codes, as table maps carry them (field_types.h of both families). */
enum mysql_type {
	MYSQL_DECIMAL = 0, MYSQL_TINY = 1, MYSQL_SHORT = 2, MYSQL_LONG = 3, MYSQL_FLOAT = 4, MYSQL_DOUBLE = 5,
	MYSQL_NULL = 6, MYSQL_TIMESTAMP = 7, MYSQL_LONGLONG = 8, MYSQL_INT24 = 9, MYSQL_DATE = 10, MYSQL_TIME = 11,
	MYSQL_DATETIME = 12, MYSQL_YEAR = 13, MYSQL_NEWDATE = 14, MYSQL_VARCHAR = 15, MYSQL_BIT = 16,
	MYSQL_TIMESTAMP2 = 17, MYSQL_DATETIME2 = 18, MYSQL_TIME2 = 19,
	MYSQL_BLOB_COMPRESSED = 140, MYSQL_VARCHAR_COMPRESSED = 141,	/* MariaDB */
	MYSQL_VECTOR = 242, MYSQL_JSON = 245, MYSQL_NEWDECIMAL = 246, MYSQL_ENUM = 247, MYSQL_SET = 248,
	MYSQL_TINY_BLOB = 249, MYSQL_MEDIUM_BLOB = 250, MYSQL_LONG_BLOB = 251, MYSQL_BLOB = 252,
	MYSQL_VAR_STRING = 253, MYSQL_STRING = 254, MYSQL_GEOMETRY = 255,
};

struct binlog_map_column {
	uint8_t		type;		/* the real one: STRING that holds an ENUM or SET is that */
	uint16_t	meta;		/* as the type defines it: length, precision | scale << 8, fraction digits ... (CHAR: bytes) */
	bool		nullable;
	/* optional metadata; has_... of the map says whether they are known */
	bool		is_unsigned;
	uint16_t	collation;	/* character columns, enum, set: collation id; 0 not known (63: binary) */
	struct str	name;
	struct str	*labels;	/* enum and set, in the column's charset */
	size_t		nlabels;
	uint8_t		geometry;	/* geometry type */
	uint32_t	dimension;	/* vector */
	bool		invisible;
	int		key;		/* 1-based place in the primary key; if there is none, the servers take the first
					   UNIQUE index over columns that are all NOT NULL */
	uint32_t	key_prefix;	/* characters of it that are in the key; 0: all */
};

struct binlog_map {
	uint64_t			id;		/* u48 */
	uint16_t			flags;
	struct str			db, name;
	struct binlog_map_column	*columns;	/* in `a` */
	size_t				ncolumns;
	bool				has_signedness, has_charset, has_names, has_labels, has_label_charset, has_key,
					has_visibility;
	struct str			content;	/* all bytes after the id and flags: equal content, equal map */
};

MUST_CHECK int binlog_map_parse(const struct binlog_event *e, const struct binlog_format *format, struct arena *a,
				struct binlog_map *out, struct error *err);

/* Only id, db, name and content: what a lookup needs. */
MUST_CHECK int binlog_map_peek(const struct binlog_event *e, const struct binlog_format *format, struct binlog_map *out,
			       struct error *err);

#endif
