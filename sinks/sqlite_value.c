/*
 * sqlite_value.c - a value as SQLite keeps it (INTERFACE.md, "SQL targets")
 *
 * Integers and booleans INTEGER; floats REAL, with NaN and the infinities as text; bytes BLOB;
 * everything else TEXT.  A float goes in as the double of its shortest text, so that it reads as
 * the source prints it and still rounds to the same float.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite.h"

const char *sqlite_type(const struct column *c)
{
	switch (c->type) {
	case COL_BOOL:
	case COL_INT32:
	case COL_INT64:
		return "INTEGER";
	case COL_FLOAT:
	case COL_DOUBLE:
		return "REAL";
	case COL_BYTES:
		return "BLOB";
	default:
		return "TEXT";
	}
}

void sqlite_timestamp(int64_t us, char out[VALUE_TEXT])
{
	value_time(COL_TIMESTAMPTZ, us, ' ', "+00:00", out);
}

static int bind_text(sqlite3_stmt *stmt, int index, struct str s)
{
	return sqlite3_bind_text64(stmt, index, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* Text made in a buffer that is used again. */
static int bind_made(sqlite3_stmt *stmt, int index, struct str s, struct arena *arena)
{
	return bind_text(stmt, index, arena_copy(arena, s));
}

static int bind_float(sqlite3_stmt *stmt, int index, double d, bool single)
{
	char text[VALUE_TEXT];
	struct str s;

	if (value_is_finite(d) && (!single || (fabs(d) < 1e6 && rint(d) == d)))
		return sqlite3_bind_double(stmt, index,
					   d); /* a whole number reads the same either way */
	s = value_float(d, single, text);
	if (value_is_finite(d))
		return sqlite3_bind_double(stmt, index, strtod(s.p, NULL));
	return sqlite3_bind_text(stmt, index, s.p, (int)s.n, SQLITE_TRANSIENT);
}

int sqlite_bind(sqlite3_stmt *stmt, int index, const struct column *c, const struct value *v,
		struct arena *arena, struct buf *scratch)
{
	char text[VALUE_TEXT];

	if (v->state != VALUE_SET)
		return sqlite3_bind_null(stmt, index);
	buf_clear(scratch);
	switch (c->type) {
	case COL_BOOL:
		return sqlite3_bind_int(stmt, index, v->b);
	case COL_INT32:
	case COL_INT64:
		return sqlite3_bind_int64(stmt, index, v->i);
	case COL_FLOAT:
	case COL_DOUBLE:
		return bind_float(stmt, index, v->d, c->type == COL_FLOAT);
	case COL_BYTES:
		return sqlite3_bind_blob64(stmt, index, v->s.n ? v->s.p : "", v->s.n,
					   SQLITE_STATIC);
	case COL_UINT64:
		buf_addf(scratch, "%" PRIu64, v->u);
		break;
	case COL_DECIMAL:
		decimal_format(v->s, c->scale, scratch);
		break;
	case COL_ARRAY:
		value_json(scratch, c, v);
		break;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		return bind_made(stmt, index, value_time(c->type, v->i, ' ', "+00:00", text),
				 arena);
	case COL_TEXT:
	case COL_JSON:
	case COL_UUID:
		return bind_text(stmt, index, v->s);
	}
	return bind_made(stmt, index, (struct str){ scratch->p, scratch->n }, arena);
}
