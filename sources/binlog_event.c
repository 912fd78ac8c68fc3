/*
 * binlog_event.c - the common header, checksums, and the events that are small
 *
 * All numbers little-endian.  An event is
 *
 *	header		u32 time, u8 type, u32 server id, u32 size, u32 end in the file, u16 flags
 *	body
 *	checksum	u32 CRC-32 of header and body, if the format description says so
 *
 *	format (15)	u16 4, char[50] server, u32 time, u8 19, u8 post-header lengths[],
 *			since MySQL 5.6.1 and MariaDB 5.3: u8 checksum (0 none, 1 CRC-32), u32 CRC
 *	rotate (4)	u64 position, name
 *	heartbeat (27)	name
 *	heartbeat (41)	fields of lenenc type, lenenc length, value: 1 name, 2 lenenc position; 0 ends
 *	XA prepare (38)	u8 one phase, u32 format, u32 n, u32 m, n bytes global, m bytes branch
 *	incident (26)	u16 number, u8 n, n bytes of text
 *	rows query (29)	u8 (of no use), text
 *	annotate (160)	text
 */
#include "binlog_crc.h"
#include "binlog_private.h"

#define CHECKSUM     4
#define IN_USE       0x0001 /* flag of a format description: the file was not closed */
#define FLAGS_OFFSET 17
#define FORMAT_FIXED (2 + 50 + 4 + 1)

const char *binlog_type_name(uint8_t type)
{
	static const char *const names[256] = {
		[BINLOG_QUERY] = "Query",
		[BINLOG_STOP] = "Stop",
		[BINLOG_ROTATE] = "Rotate",
		[BINLOG_INTVAR] = "Intvar",
		[BINLOG_RAND] = "RAND",
		[BINLOG_USER_VAR] = "User_var",
		[BINLOG_FORMAT] = "Format_desc",
		[BINLOG_XID] = "Xid",
		[BINLOG_BEGIN_LOAD] = "Begin_load_query",
		[BINLOG_EXECUTE_LOAD] = "Execute_load_query",
		[BINLOG_TABLE_MAP] = "Table_map",
		[BINLOG_WRITE_V1] = "Write_rows_v1",
		[BINLOG_UPDATE_V1] = "Update_rows_v1",
		[BINLOG_DELETE_V1] = "Delete_rows_v1",
		[BINLOG_INCIDENT] = "Incident",
		[BINLOG_HEARTBEAT] = "Heartbeat",
		[BINLOG_IGNORABLE] = "Ignorable",
		[BINLOG_ROWS_QUERY] = "Rows_query",
		[BINLOG_WRITE] = "Write_rows",
		[BINLOG_UPDATE] = "Update_rows",
		[BINLOG_DELETE] = "Delete_rows",
		[BINLOG_GTID] = "Gtid",
		[BINLOG_ANONYMOUS_GTID] = "Anonymous_Gtid",
		[BINLOG_PREVIOUS_GTIDS] = "Previous_gtids",
		[BINLOG_TRANSACTION_CONTEXT] = "Transaction_context",
		[BINLOG_VIEW_CHANGE] = "View_change",
		[BINLOG_XA_PREPARE] = "XA_prepare",
		[BINLOG_PARTIAL_UPDATE] = "Update_rows_partial",
		[BINLOG_PAYLOAD] = "Transaction_payload",
		[BINLOG_HEARTBEAT_V2] = "Heartbeat_v2",
		[BINLOG_GTID_TAGGED] = "Gtid_tagged",
		[BINLOG_ANNOTATE] = "Annotate_rows",
		[BINLOG_CHECKPOINT] = "Binlog_checkpoint",
		[BINLOG_MARIA_GTID] = "Gtid",
		[BINLOG_GTID_LIST] = "Gtid_list",
		[BINLOG_START_ENCRYPTION] = "Start_encryption",
		[BINLOG_QUERY_COMPRESSED] = "Query_compressed",
		[BINLOG_WRITE_COMPRESSED_V1] = "Write_rows_compressed_v1",
		[BINLOG_UPDATE_COMPRESSED_V1] = "Update_rows_compressed_v1",
		[BINLOG_DELETE_COMPRESSED_V1] = "Delete_rows_compressed_v1",
		[BINLOG_WRITE_COMPRESSED] = "Write_rows_compressed",
		[BINLOG_UPDATE_COMPRESSED] = "Update_rows_compressed",
		[BINLOG_DELETE_COMPRESSED] = "Delete_rows_compressed",
	};

	return names[type] ? names[type] : "unknown";
}

int binlog_bad(const struct binlog_event *e, struct error *err, const char *what)
{
	return fail(err, ERR_FATAL,
		    "%s event (type %u) of %u bytes that ends at %u (low 32 bits) %s: the log is "
		    "damaged "
		    "or of a server version that is not known",
		    binlog_type_name(e->type), e->type, e->size, e->log_pos, what);
}

int binlog_end(const struct binlog_event *e, const struct cursor *c, struct error *err)
{
	return c->bad ? binlog_bad(e, err, "is truncated") : 0;
}

uint64_t binlog_lenenc(struct cursor *c)
{
	uint8_t first = get_u8(c);
	uint64_t v;

	switch (first) {
	case 252:
		return get_u16le(c);
	case 253:
		v = get_u16le(c);
		return v | (uint64_t)get_u8(c) << 16;
	case 254:
		return get_u64le(c);
	case 251:
	case 255:
		c->bad = true;
		return 0;
	default:
		return first;
	}
}

uint64_t binlog_offset(uint64_t last_end, uint32_t log_pos)
{
	uint64_t place = (last_end & ~(uint64_t)UINT32_MAX) | log_pos;

	return place < last_end ? place + (UINT64_C(1) << 32) : place;
}

/* --- header and checksum --- */

int binlog_header(struct str bytes, struct binlog_event *out, struct error *err)
{
	struct cursor c = cursor_of(bytes);

	*out = (struct binlog_event){ 0 };
	out->time = get_u32le(&c);
	out->type = get_u8(&c);
	out->server_id = get_u32le(&c);
	out->size = get_u32le(&c);
	out->log_pos = get_u32le(&c);
	out->flags = get_u16le(&c);
	if (c.bad)
		return fail(err, ERR_FATAL,
			    "a binlog event of %zu bytes is shorter than its header: the log is "
			    "damaged",
			    bytes.n);
	if (out->size < BINLOG_HEADER || out->size > bytes.n)
		return fail(
			err, ERR_FATAL,
			"%s event (type %u) says that it has %u bytes, there are %zu: the log is "
			"damaged",
			binlog_type_name(out->type), out->type, out->size, bytes.n);
	out->body = get_bytes(&c, out->size - BINLOG_HEADER);
	return 0;
}

static uint32_t stored_checksum(struct str bytes)
{
	struct cursor c = cursor_of((struct str){ bytes.p + bytes.n - CHECKSUM, CHECKSUM });

	return get_u32le(&c);
}

/* The in-use flag of a format description is set in the file after the checksum was made. */
static uint32_t computed_checksum(const struct binlog_event *e, struct str bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	size_t n = bytes.n - CHECKSUM;
	uint8_t header[BINLOG_HEADER];

	if (e->type != BINLOG_FORMAT)
		return binlog_crc(0, p, n);
	memcpy(header, p, sizeof header);
	header[FLAGS_OFFSET] &= (uint8_t)~IN_USE;
	return binlog_crc(binlog_crc(0, header, sizeof header), p + BINLOG_HEADER,
			  n - BINLOG_HEADER);
}

static bool checksum_is_right(const struct binlog_event *e, struct str bytes)
{
	return e->body.n >= CHECKSUM && stored_checksum(bytes) == computed_checksum(e, bytes);
}

static int verify(struct binlog_event *e, struct str bytes, struct error *err)
{
	if (e->body.n < CHECKSUM)
		return binlog_bad(e, err, "has no room for its checksum");
	if (!checksum_is_right(e, bytes))
		return fail(
			err, ERR_FATAL,
			"%s event (type %u) of %u bytes that ends at %u (low 32 bits) has checksum "
			"%08x, its bytes give %08x: the log was damaged on disk or on the way; "
			"mysqlbinlog --verify-binlog-checksum on the server tells which",
			binlog_type_name(e->type), e->type, e->size, e->log_pos,
			stored_checksum(bytes), computed_checksum(e, bytes));
	e->body.n -= CHECKSUM;
	return 0;
}

/* --- format description --- */

/* Of "8.0.31-log": 8000031. */
static uint32_t server_version(const char *server)
{
	uint32_t version = 0;
	const char *p = server;

	for (int part = 0; part < 3; part++) {
		uint32_t number = 0;

		for (; *p >= '0' && *p <= '9' && number < 100; p++)
			number = number * 10 + (uint32_t)(*p - '0');
		version = version * 1000 + number;
		if (*p == '.')
			p++;
	}
	return version;
}

/* Does a server of that name end its format descriptions with a checksum's kind and a checksum? */
static bool has_checksum_fields(const char *server)
{
	return server_version(server) >= (strstr(server, "MariaDB") ? 5003000 : 5006001);
}

/* `body` without the CRC. */
static int format_read(const struct binlog_event *e, struct str body, struct binlog_format *out,
		       struct error *err)
{
	struct cursor c = cursor_of(body);
	uint16_t version = get_u16le(&c);
	struct str server = get_bytes(&c, 50);

	*out = (struct binlog_format){ 0 };
	out->started = get_u32le(&c) != 0;
	uint8_t header = get_u8(&c);
	if (!server.p || c.bad)
		return binlog_bad(e, err, "is truncated");
	memcpy(out->server, server.p, server.n);
	out->version = server_version(out->server);
	if (version != 4 || header != BINLOG_HEADER)
		return binlog_bad(e, err, "is not of format 4 (MySQL 5.0 and later)");
	bool fields = has_checksum_fields(out->server);
	size_t left = cursor_left(&c);

	if (left < (fields ? 1u : 0u) || left - (fields ? 1u : 0u) > sizeof out->post)
		return binlog_bad(e, err, "has an impossible number of post-header lengths");
	out->npost = left - (fields ? 1 : 0);
	struct str post = get_bytes(&c, out->npost);

	if (post.n)
		memcpy(out->post, post.p, post.n);
	out->mariadb =
		strstr(out->server, "MariaDB") != NULL || out->npost >= BINLOG_DELETE_COMPRESSED;
	uint8_t kind = fields ? get_u8(&c) : 0;

	if (kind > 1)
		return binlog_bad(e, err, "names a kind of checksum that is not known");
	out->checksum = kind == 1;
	return 0;
}

/* A format description says itself whether it has a checksum. */
static int format_verify(struct binlog_event *e, struct str bytes, struct error *err)
{
	char server[51] = { 0 };

	if (e->body.n < FORMAT_FIXED)
		return binlog_bad(e, err, "is truncated");
	memcpy(server, e->body.p + 2, 50);
	if (!has_checksum_fields(server))
		return 0;
	if (e->body.n < FORMAT_FIXED + 1 + CHECKSUM)
		return binlog_bad(e, err, "is truncated");
	/* With checksums off the field is there, and a dump thread leaves it as it was in the file. */
	if ((uint8_t)e->body.p[e->body.n - CHECKSUM - 1] == 1)
		return verify(e, bytes, err);
	e->body.n -= CHECKSUM;
	return 0;
}

int binlog_format_parse(const struct binlog_event *e, struct binlog_format *out, struct error *err)
{
	return format_read(e, e->body, out, err);
}

int binlog_event_parse(const struct binlog_format *format, struct str bytes,
		       struct binlog_event *out, struct error *err)
{
	if (binlog_header(bytes, out, err))
		return -1;
	if (out->size != bytes.n)
		return binlog_bad(out, err, "is followed by bytes that are not its own");
	if (out->type == BINLOG_FORMAT)
		return format_verify(out, bytes, err);
	if (format && format->checksum)
		return verify(out, bytes, err);
	/* A rotate that the dump thread made may have one whatever the file has. */
	bool made_up = !format ||
		       (out->type == BINLOG_ROTATE && (out->flags & BINLOG_FLAG_ARTIFICIAL) != 0);

	if (made_up && checksum_is_right(out, bytes))
		out->body.n -= CHECKSUM;
	return 0;
}

int binlog_event_inner(struct str bytes, struct binlog_event *out, size_t *used, struct error *err)
{
	if (binlog_header(bytes, out, err))
		return -1;
	*used = out->size;
	return 0;
}

/* --- small events --- */

int binlog_rotate_parse(const struct binlog_event *e, struct binlog_rotate *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	out->pos = get_u64le(&c);
	out->file = get_bytes(&c, cursor_left(&c));
	if (binlog_end(e, &c, err))
		return -1;
	if (out->file.n == 0 || out->file.n > 512 || memchr(out->file.p, '\0', out->file.n))
		return binlog_bad(e, err, "names no file");
	return 0;
}

static int heartbeat_fields(const struct binlog_event *e, struct binlog_heartbeat *out,
			    struct error *err)
{
	struct cursor c = cursor_of(e->body);

	for (;;) {
		uint64_t kind = binlog_lenenc(&c);

		if (c.bad)
			return binlog_bad(e, err, "is truncated");
		if (kind == 0)
			return 0;
		struct str value = get_bytes(&c, binlog_lenenc(&c));
		struct cursor v = cursor_of(value);

		if (kind == 1)
			out->file = value;
		if (kind == 2) {
			out->pos = binlog_lenenc(&v);
			out->wide = true;
		}
		if (c.bad || v.bad)
			return binlog_bad(e, err, "is truncated");
	}
}

int binlog_heartbeat_parse(const struct binlog_event *e, struct binlog_heartbeat *out,
			   struct error *err)
{
	*out = (struct binlog_heartbeat){ .pos = e->log_pos };
	if (e->type == BINLOG_HEARTBEAT_V2)
		return heartbeat_fields(e, out, err);
	out->file = e->body;
	return 0;
}

int binlog_xa_prepare_parse(const struct binlog_event *e, struct binlog_xid *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	out->one_phase = get_u8(&c) != 0;
	out->format = get_u32le(&c);
	uint32_t global = get_u32le(&c);
	uint32_t branch = get_u32le(&c);

	out->global = get_bytes(&c, global);
	out->branch = get_bytes(&c, branch);
	return binlog_end(e, &c, err);
}

int binlog_incident_parse(const struct binlog_event *e, uint16_t *number, struct str *message,
			  struct error *err)
{
	struct cursor c = cursor_of(e->body);

	*number = get_u16le(&c);
	*message = get_bytes(&c, get_u8(&c));
	return binlog_end(e, &c, err);
}

int binlog_rows_query_parse(const struct binlog_event *e, struct str *sql, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	/* The length is cut to a byte: the text goes to the end of the event. */
	if (e->type == BINLOG_ROWS_QUERY)
		get_u8(&c);
	*sql = get_bytes(&c, cursor_left(&c));
	return binlog_end(e, &c, err);
}
