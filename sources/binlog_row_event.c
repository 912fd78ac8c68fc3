/*
 * binlog_row_event.c - events of rows, up to the rows; MariaDB's compression
 *
 *	rows		u48 table id, u16 flags, since version 2 u16 n (itself included) and n - 2 bytes,
 *			lenenc columns, bitmap of those that are there (update: and another, of the image
 *			after), rows
 *	compressed	the same, its rows as: u8 0x80 | n, n bytes length (big-endian), zlib stream
 *
 *	extra of version 2: nothing that rows need (partition ids, NDB)
 */
#include <zlib.h>

#include "binlog_private.h"

#define ZLIB_RATIO 1032 /* no stream of zlib grows more than that */

/* What a type is, and where its post-header length stands. */
struct row_type {
	enum binlog_rows_kind kind;
	bool v2, compressed;
};

static bool row_type(uint8_t type, struct row_type *out)
{
	static const struct row_type types[] = {
		[BINLOG_WRITE_V1] = { BINLOG_ROWS_INSERT, false, false },
		[BINLOG_UPDATE_V1] = { BINLOG_ROWS_UPDATE, false, false },
		[BINLOG_DELETE_V1] = { BINLOG_ROWS_DELETE, false, false },
		[BINLOG_WRITE] = { BINLOG_ROWS_INSERT, true, false },
		[BINLOG_UPDATE] = { BINLOG_ROWS_UPDATE, true, false },
		[BINLOG_DELETE] = { BINLOG_ROWS_DELETE, true, false },
		[BINLOG_PARTIAL_UPDATE] = { BINLOG_ROWS_PARTIAL, true, false },
		[BINLOG_WRITE_COMPRESSED_V1] = { BINLOG_ROWS_INSERT, false, true },
		[BINLOG_UPDATE_COMPRESSED_V1] = { BINLOG_ROWS_UPDATE, false, true },
		[BINLOG_DELETE_COMPRESSED_V1] = { BINLOG_ROWS_DELETE, false, true },
		[BINLOG_WRITE_COMPRESSED] = { BINLOG_ROWS_INSERT, true, true },
		[BINLOG_UPDATE_COMPRESSED] = { BINLOG_ROWS_UPDATE, true, true },
		[BINLOG_DELETE_COMPRESSED] = { BINLOG_ROWS_DELETE, true, true },
	};
	bool known = (type >= BINLOG_WRITE_V1 && type <= BINLOG_DELETE_V1) ||
		     (type >= BINLOG_WRITE && type <= BINLOG_DELETE) ||
		     type == BINLOG_PARTIAL_UPDATE ||
		     (type >= BINLOG_WRITE_COMPRESSED_V1 && type <= BINLOG_DELETE_COMPRESSED);

	if (known)
		*out = types[type];
	return known;
}

int binlog_table_id(const struct binlog_event *e, const struct binlog_format *format,
		    struct cursor *c, uint64_t *id, struct error *err)
{
	struct row_type t = { 0 };
	uint8_t length = e->type && e->type <= format->npost ? format->post[e->type - 1] : 0;

	row_type(e->type, &t);
	if (t.v2 ? length != 10 : length != 8 && length != 6)
		return binlog_bad(e, err, "has a post-header of an unknown length");
	*id = length == 6 ? get_u32le(c) : get_u48le(c);
	return 0;
}

/* The length that the stream says it has; 0: its first byte is not one of these. */
static uint32_t inflated_length(struct cursor *c)
{
	uint8_t first = get_u8(c);
	size_t n = first & 0x07;
	uint32_t length = 0;

	if ((first & 0xf8) != 0x80 || n < 1 || n > 4)
		return 0;
	while (n--)
		length = length << 8 | get_u8(c);
	return length;
}

int binlog_inflate(const struct binlog_event *e, struct str in, struct arena *a, size_t max,
		   struct str *out, struct error *err)
{
	struct cursor c = cursor_of(in);
	uLongf length = inflated_length(&c);
	struct str stream = get_bytes(&c, cursor_left(&c));
	uLong used = stream.n;

	if (c.bad || length == 0 || length / ZLIB_RATIO > stream.n)
		return binlog_bad(e, err, "has a damaged compression header");
	if (max && length > max)
		return fail(
			err, ERR_FATAL,
			"%s event (type %u) that ends at %u (low 32 bits) has %lu bytes when it is "
			"inflated, more than source.max_row allows (%zu): raise that",
			binlog_type_name(e->type), e->type, e->log_pos, (unsigned long)length, max);
	uLongf got = length;
	char *p = arena_alloc(a, length);

	if (uncompress2((Bytef *)p, &got, (const Bytef *)stream.p, &used) != Z_OK || got != length)
		return binlog_bad(e, err, "does not inflate");
	*out = (struct str){ p, length };
	return 0;
}

int binlog_rows_parse(const struct binlog_event *e, const struct binlog_format *format,
		      struct arena *a, size_t max, struct binlog_rows *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);
	struct row_type t;

	*out = (struct binlog_rows){ 0 };
	if (!row_type(e->type, &t))
		return binlog_bad(e, err, "is not an event of rows");
	out->kind = t.kind;
	if (binlog_table_id(e, format, &c, &out->table_id, err))
		return -1;
	out->flags = get_u16le(&c);
	if (t.v2) {
		uint16_t extra = get_u16le(&c);

		if (!c.bad && extra < 2)
			return binlog_bad(e, err, "has extra data of an impossible length");
		if (!c.bad)
			get_bytes(&c, extra - 2u);
	}
	if (out->table_id == BINLOG_DUMMY_TABLE && (out->flags & BINLOG_STMT_END))
		return binlog_end(e, &c, err);
	out->ncolumns = binlog_lenenc(&c);
	if (out->ncolumns / 8 > cursor_left(&c))
		return binlog_bad(e, err, "has more columns than bytes for them");
	size_t bitmap = (size_t)(out->ncolumns + 7) / 8;

	out->present = get_bytes(&c, bitmap);
	if (t.kind == BINLOG_ROWS_UPDATE || t.kind == BINLOG_ROWS_PARTIAL)
		out->present_after = get_bytes(&c, bitmap);
	out->rows = get_bytes(&c, cursor_left(&c));
	if (binlog_end(e, &c, err))
		return -1;
	if (t.compressed)
		return binlog_inflate(e, out->rows, a, max, &out->rows, err);
	return 0;
}
