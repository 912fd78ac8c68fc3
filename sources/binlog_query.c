/*
 * binlog_query.c - statements in the log
 *
 *	query (2)	u32 thread, u32 seconds, u8 d, u16 error, u16 s, s bytes of variables,
 *			d bytes default database, NUL, statement
 *	compressed (165) the same, its statement compressed (binlog_row_event.c)
 *
 *	variables	u8 code, value by code; of each server those it knows, mostly in ascending order
 */
#include "binlog_private.h"

enum {
	VAR_FLAGS2 = 0,
	VAR_SQL_MODE = 1,
	VAR_CATALOG = 2,
	VAR_AUTO_INCREMENT = 3,
	VAR_CHARSET = 4,
	VAR_TIME_ZONE = 5,
	VAR_CATALOG_NZ = 6,
	VAR_LC_TIME_NAMES = 7,
	VAR_CHARSET_DATABASE = 8,
	VAR_TABLE_MAP_FOR_UPDATE = 9,
	VAR_MASTER_DATA_WRITTEN = 10,
	VAR_INVOKER = 11,
	VAR_UPDATED_DB_NAMES = 12,
	VAR_MICROSECONDS = 13,
	VAR_EXPLICIT_DEFAULTS = 16,
	VAR_DDL_XID = 17,
	VAR_COLLATION_UTF8MB4 = 18,
	VAR_REQUIRE_PRIMARY_KEY = 19,
	VAR_TABLE_ENCRYPTION = 20,
	/* MariaDB */
	VAR_HRNOW = 128,
	VAR_XID = 129,
	VAR_GTID_FLAGS3 = 130,
	VAR_COLLATIONS = 131,
};

#define TOO_MANY_DBS 254  /* in place of their number: none are listed */
#define ALTER_ENDS   0x0c /* of the flags: a u64 follows */

static uint32_t get_u24le(struct cursor *c)
{
	uint32_t low = get_u16le(c);

	return low | (uint32_t)get_u8(c) << 16;
}

static void skip_db_names(struct cursor *c)
{
	uint8_t n = get_u8(c);

	if (n == TOO_MANY_DBS)
		return;
	while (n-- && !c->bad)
		get_cstr(c);
}

/* Moves past a value that is of no use here; false: its length is not known. */
static bool skip_variable(struct cursor *c, uint8_t code)
{
	static const uint8_t fixed[] = {
		[VAR_FLAGS2] = 4,
		[VAR_AUTO_INCREMENT] = 4,
		[VAR_LC_TIME_NAMES] = 2,
		[VAR_CHARSET_DATABASE] = 2,
		[VAR_TABLE_MAP_FOR_UPDATE] = 8,
		[VAR_MASTER_DATA_WRITTEN] = 4,
		[VAR_EXPLICIT_DEFAULTS] = 1,
		[VAR_DDL_XID] = 8,
		[VAR_COLLATION_UTF8MB4] = 2,
		[VAR_REQUIRE_PRIMARY_KEY] = 1,
		[VAR_TABLE_ENCRYPTION] = 1,
		[VAR_XID] = 8,
	};

	switch (code) {
	case VAR_CATALOG:
		get_bytes(c, (size_t)get_u8(c) + 1);
		return true;
	case VAR_TIME_ZONE:
	case VAR_CATALOG_NZ:
		get_bytes(c, get_u8(c));
		return true;
	case VAR_INVOKER:
		get_bytes(c, get_u8(c));
		get_bytes(c, get_u8(c));
		return true;
	case VAR_UPDATED_DB_NAMES:
		skip_db_names(c);
		return true;
	case VAR_GTID_FLAGS3:
		if (get_u8(c) & ALTER_ENDS)
			get_u64le(c);
		return true;
	case VAR_COLLATIONS:
		get_bytes(c, (size_t)get_u8(c) * 4);
		return true;
	default:
		if (code >= COUNT(fixed) || !fixed[code])
			return false;
		get_bytes(c, fixed[code]);
		return true;
	}
}

/* Stops at a variable that is not known, as servers do: those that decide have the lowest codes. */
static bool read_variables(struct str variables, struct binlog_query *out)
{
	struct cursor c = cursor_of(variables);

	while (cursor_left(&c)) {
		uint8_t code = get_u8(&c);

		switch (code) {
		case VAR_SQL_MODE:
			out->sql_mode = get_u64le(&c);
			out->has_sql_mode = true;
			break;
		case VAR_CHARSET:
			out->charset = get_u16le(&c);
			get_u32le(&c); /* connection, server */
			break;
		case VAR_MICROSECONDS:
		case VAR_HRNOW:
			out->microseconds = (int32_t)get_u24le(&c);
			break;
		default:
			if (!skip_variable(&c, code))
				return true;
		}
	}
	return !c.bad;
}

int binlog_query_parse(const struct binlog_event *e, struct arena *a, size_t max,
		       struct binlog_query *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	*out = (struct binlog_query){ .microseconds = -1 };
	out->thread = get_u32le(&c);
	get_u32le(&c); /* how long it took */
	uint8_t db = get_u8(&c);

	out->error_code = get_u16le(&c);
	struct str variables = get_bytes(&c, get_u16le(&c));

	out->db = get_bytes(&c, db);
	uint8_t nul = get_u8(&c);

	out->sql = get_bytes(&c, cursor_left(&c));
	if (binlog_end(e, &c, err))
		return -1;
	if (nul)
		return binlog_bad(e, err, "has no NUL after the database's name");
	if (!read_variables(variables, out))
		return binlog_bad(e, err, "has a truncated status variable");
	if (e->type == BINLOG_QUERY_COMPRESSED)
		return binlog_inflate(e, out->sql, a, max, &out->sql, err);
	return 0;
}
