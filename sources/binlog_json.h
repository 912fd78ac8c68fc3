/*
 * binlog_json.h - MySQL's binary JSON: reading it in place
 *
 * Any thread.  Everything points into the document.  Source of the format: the server's json_binary.h.
 */
#ifndef BINLOG_JSON_H
#define BINLOG_JSON_H

#include "memory.h"

enum json_type {
	JSON_SMALL_OBJECT = 0, JSON_LARGE_OBJECT = 1, JSON_SMALL_ARRAY = 2, JSON_LARGE_ARRAY = 3, JSON_LITERAL = 4,
	JSON_INT16 = 5, JSON_UINT16 = 6, JSON_INT32 = 7, JSON_UINT32 = 8, JSON_INT64 = 9, JSON_UINT64 = 10,
	JSON_DOUBLE = 11, JSON_STRING = 12, JSON_OPAQUE = 15,
};
enum json_literal { JSON_NULL = 0, JSON_TRUE = 1, JSON_FALSE = 2 };

#define JSON_DEPTH 128	/* the server's limit is 100 */

struct json_value {
	uint8_t		type;		/* enum json_type */
	uint8_t		field_type;	/* of an opaque value: enum mysql_type */
	struct str	data;		/* scalar: exactly its bytes, without a length; container: all of it */
};
struct json_container {
	struct str	data;
	bool		object, large;
	uint32_t	count;
};

static inline bool json_is_container(uint8_t type)
{
	return type <= JSON_LARGE_ARRAY;
}

/* A whole document; false: malformed.  An empty one is null, as the server takes it. */
bool json_document(struct str binary, struct json_value *out);
bool json_open(const struct json_value *v, struct json_container *out);
/* Item i < count; the key of an object's member ({ NULL, 0 } in an array). */
bool json_item(const struct json_container *c, uint32_t i, struct str *key, struct json_value *out);

#endif
