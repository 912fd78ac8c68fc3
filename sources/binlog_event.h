/*
 * binlog_event.h - the events of a MySQL or MariaDB binary log, one struct for each kind, by bytes
 *
 * No I/O and no state: bytes in, structs that point into them out.  Sources of the format: MySQL's
 * libbinlogevents/libs/mysql binlog_event headers and the MariaDB server's log_event.h, checked against
 * files that real servers wrote (tests/data/binlog).  Everything is little-endian unless said otherwise.
 * All parsers: 0, or -1 with ERR_FATAL when the bytes are not what the format says.  Any thread.
 */
#ifndef BINLOG_EVENT_H
#define BINLOG_EVENT_H

#include "error.h"
#include "memory.h"

#define BINLOG_MAGIC		"\xfe" "bin"
#define BINLOG_HEADER		19	/* bytes of the common header */
#define BINLOG_FIRST		4	/* offset of a file's first event */

enum binlog_type {
	BINLOG_QUERY = 2, BINLOG_STOP = 3, BINLOG_ROTATE = 4, BINLOG_INTVAR = 5, BINLOG_RAND = 13,
	BINLOG_USER_VAR = 14, BINLOG_FORMAT = 15, BINLOG_XID = 16, BINLOG_BEGIN_LOAD = 17, BINLOG_EXECUTE_LOAD = 18,
	BINLOG_TABLE_MAP = 19, BINLOG_WRITE_V1 = 23, BINLOG_UPDATE_V1 = 24, BINLOG_DELETE_V1 = 25,
	BINLOG_INCIDENT = 26, BINLOG_HEARTBEAT = 27, BINLOG_IGNORABLE = 28, BINLOG_ROWS_QUERY = 29,
	BINLOG_WRITE = 30, BINLOG_UPDATE = 31, BINLOG_DELETE = 32, BINLOG_GTID = 33, BINLOG_ANONYMOUS_GTID = 34,
	BINLOG_PREVIOUS_GTIDS = 35, BINLOG_TRANSACTION_CONTEXT = 36, BINLOG_VIEW_CHANGE = 37, BINLOG_XA_PREPARE = 38,
	BINLOG_PARTIAL_UPDATE = 39, BINLOG_PAYLOAD = 40, BINLOG_HEARTBEAT_V2 = 41, BINLOG_GTID_TAGGED = 42,
	/* MariaDB */
	BINLOG_ANNOTATE = 160, BINLOG_CHECKPOINT = 161, BINLOG_MARIA_GTID = 162, BINLOG_GTID_LIST = 163,
	BINLOG_START_ENCRYPTION = 164, BINLOG_QUERY_COMPRESSED = 165, BINLOG_WRITE_COMPRESSED_V1 = 166,
	BINLOG_UPDATE_COMPRESSED_V1 = 167, BINLOG_DELETE_COMPRESSED_V1 = 168, BINLOG_WRITE_COMPRESSED = 169,
	BINLOG_UPDATE_COMPRESSED = 170, BINLOG_DELETE_COMPRESSED = 171,
};
const char *binlog_type_name(uint8_t type);	/* "Table_map"; "unknown" */

#define BINLOG_FLAG_THREAD	0x04	/* a statement for which a temporary table was opened; in routines, also those after it */
#define BINLOG_FLAG_ARTIFICIAL	0x20	/* made by the dump thread: not in the file */
#define BINLOG_FLAG_IGNORABLE	0x80	/* whoever does not know the type may skip it */

/* What the format description event of a file says; valid until the next one. */
struct binlog_format {
	char		server[51];	/* "10.11.19-MariaDB-log" */
	uint32_t	version;	/* 8.0.31: 8000031 */
	bool		mariadb;
	bool		checksum;	/* each event ends with a CRC-32, 4 bytes */
	bool		started;	/* the first of a server's run */
	uint8_t		post[256];	/* post-header length of type i + 1, npost of them */
	size_t		npost;
};

struct binlog_event {
	uint32_t	time;		/* seconds since 1970, start of the statement */
	uint8_t		type;
	uint32_t	server_id;
	uint32_t	size;		/* whole event: header, body, checksum */
	uint32_t	log_pos;	/* end of the event in the file, low 32 bits; 0: artificial, in a payload, or
					   MariaDB 11 inside a group: all but its first and last event */
	uint16_t	flags;
	struct str	body;		/* after the common header, without the checksum; points into the bytes */
};

/*
 * One whole event.  Its checksum, if `format` says there is one, is verified (a format description event says it
 * itself; an artificial rotate before the first one may carry one: `format` NULL, it is found out).
 */
MUST_CHECK int binlog_event_parse(const struct binlog_format *format, struct str bytes, struct binlog_event *out,
				  struct error *err);
/* An event inside a transaction payload: no checksum; `used` is its size. */
MUST_CHECK int binlog_event_inner(struct str bytes, struct binlog_event *out, size_t *used, struct error *err);
MUST_CHECK int binlog_format_parse(const struct binlog_event *e, struct binlog_format *out, struct error *err);

/* --- by kind; `e` is of that kind --- */

struct binlog_rotate { uint64_t pos; struct str file; };
MUST_CHECK int binlog_rotate_parse(const struct binlog_event *e, struct binlog_rotate *out, struct error *err);

struct binlog_query {
	uint32_t	thread;
	uint16_t	error_code;
	struct str	db, sql;		/* the default database; the statement, in its charset */
	uint64_t	sql_mode;
	bool		has_sql_mode;
	uint16_t	charset;		/* client's collation id, 0: not said */
	int32_t		microseconds;		/* of e->time, -1: not said */
};
/* BINLOG_QUERY, or BINLOG_QUERY_COMPRESSED (the text is inflated into `a`, at most max bytes; 0: no limit). */
MUST_CHECK int binlog_query_parse(const struct binlog_event *e, struct arena *a, size_t max, struct binlog_query *out,
				  struct error *err);

/* BINLOG_HEARTBEAT and BINLOG_HEARTBEAT_V2: `pos` is what the header or the field says; v2: all 64 bits. */
struct binlog_heartbeat { struct str file; uint64_t pos; bool wide; };
MUST_CHECK int binlog_heartbeat_parse(const struct binlog_event *e, struct binlog_heartbeat *out, struct error *err);

struct binlog_xid { uint32_t format; struct str global, branch; bool one_phase; };
MUST_CHECK int binlog_xa_prepare_parse(const struct binlog_event *e, struct binlog_xid *out, struct error *err);

MUST_CHECK int binlog_incident_parse(const struct binlog_event *e, uint16_t *number, struct str *message,
				     struct error *err);
MUST_CHECK int binlog_rows_query_parse(const struct binlog_event *e, struct str *sql, struct error *err); /* and ANNOTATE */

/*
 * Rows of any version, compressed or not, up to the rows themselves.  A dummy event (BINLOG_DUMMY_TABLE) has
 * no columns.  max: bytes of inflated rows, 0: no limit.
 */
enum binlog_rows_kind { BINLOG_ROWS_INSERT, BINLOG_ROWS_UPDATE, BINLOG_ROWS_DELETE, BINLOG_ROWS_PARTIAL };
struct binlog_rows {
	enum binlog_rows_kind	kind;
	uint64_t		table_id;
	uint16_t		flags;		/* 1: end of statement */
	uint64_t		ncolumns;
	struct str		present;	/* bitmap, column i is bit i%8 of byte i/8: of the only image, or of `before` */
	struct str		present_after;	/* of an update */
	struct str		rows;		/* inflated into `a` where the event is compressed */
};
#define BINLOG_STMT_END		0x0001
#define BINLOG_DUMMY_TABLE	UINT64_C(0x00ffffff)	/* with STMT_END: ends a statement, no data */
MUST_CHECK int binlog_rows_parse(const struct binlog_event *e, const struct binlog_format *format, struct arena *a,
				 size_t max, struct binlog_rows *out, struct error *err);

/*
 * A transaction payload (zstd or none), opened piece by piece: memory is bounded by the largest inner event
 * (and zstd's window, at most 128 MiB), never by what the payload claims.  The bytes of `e` must live until
 * close.  max_event 0: no limit.  next(): 1 an event (valid until the next call), 0 the end, -1 error.
 */
struct binlog_payload;
struct binlog_payload *binlog_payload_open(const struct binlog_event *e, size_t max_event, struct error *err);
MUST_CHECK int binlog_payload_next(struct binlog_payload *p, struct binlog_event *out, struct error *err);
void	       binlog_payload_close(struct binlog_payload *p);	/* NULL is fine */

/*
 * A 64-bit place from the 32 bits of it that headers carry (log_pos, the end of an event): the smallest value
 * >= last_end with those low 32 bits.  For log_pos 0 (artificial events) do not ask.
 */
uint64_t binlog_offset(uint64_t last_end, uint32_t log_pos);

/* Length-encoded integer; 0 and c->bad past the end.  251 (NULL) is bad too. */
uint64_t binlog_lenenc(struct cursor *c);

#endif
