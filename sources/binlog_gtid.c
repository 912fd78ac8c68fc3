/*
 * binlog_gtid.c - the events that begin a transaction and name it
 *
 *	Gtid (33), Anonymous_Gtid (34)	u8 flags, uuid, u64 number; since 5.7: u8 2, i64 last committed,
 *			i64 sequence; since 8.0: u56 commit time here (bit 55: u56 original one follows),
 *			lenenc length of the transaction, u32 version here (bit 31: u32 original one follows);
 *			since 8.3: u64 ticket
 *	Gtid_tagged (42) a message of mysql::serialization: numbers are of variable length, their first byte has
 *			as many low 1-bits as bytes follow; a signed one has its sign in the lowest bit.
 *			version, size of the message, last id that a reader must know, then id and value:
 *			0 flags, 1 uuid (16 numbers), 2 signed number, 3 tag (length, bytes),
 *			4 last committed, 5 sequence (both signed), 6 commit time here, 7 the original one
 *			(if another), 8 length of the transaction, 9 version, 10 original version, 11 ticket
 *	MariaDB's Gtid (162)	u64 sequence, u32 domain, u8 flags (1 standalone, 2 group commit,
 *			4 transactional, 8 allows parallel, 0x10 waited, 0x20 DDL, 0x40 XA prepared,
 *			0x80 XA completed), with 2: u64 commit id, with XA: u32 format, u8 n, u8 m, bytes;
 *			u8 more flags (2 start, 4 commit, 8 rollback of an ALTER), zeros; server in the header
 */
#include <stdio.h>

#include "binlog_gtid.h"
#include "binlog_private.h"

enum { STANDALONE = 1, GROUP_COMMIT = 2, DDL = 0x20, XA_PREPARED = 0x40, XA_COMPLETED = 0x80 };

#define ORIGINAL_TIME (UINT64_C(1) << 55)
#define XID_PART_MAX  64

const char *gtid_text(const struct gtid *g, char out[GTID_TEXT])
{
	const uint8_t *u = g->uuid;

	if (g->mariadb) {
		snprintf(out, GTID_TEXT, "%u-%u-%llu", g->domain, g->server,
			 (unsigned long long)g->number);
		return out;
	}
	snprintf(out, GTID_TEXT,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x:%s%s%llu",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
		 u[13], u[14], u[15], g->tag, g->tag[0] ? ":" : "", (unsigned long long)g->number);
	return out;
}

static uint64_t get_u56le(struct cursor *c)
{
	uint64_t low = get_u32le(c);

	low |= (uint64_t)get_u16le(c) << 32;
	return low | (uint64_t)get_u8(c) << 48;
}

/* What servers since 8.0 add; before that nothing is there. */
static void parse_times(struct cursor *c, struct binlog_gtid *out)
{
	uint64_t here, original;

	if (!cursor_left(c))
		return;
	here = original = get_u56le(c);
	if (here & ORIGINAL_TIME)
		original = get_u56le(c);
	out->commit_us = (int64_t)(original & (ORIGINAL_TIME - 1));
	if (cursor_left(c))
		out->length = binlog_lenenc(c);
}

static int parse_mysql(const struct binlog_event *e, struct binlog_gtid *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	get_u8(&c);
	struct str uuid = get_bytes(&c, sizeof out->gtid.uuid);

	if (uuid.p)
		memcpy(out->gtid.uuid, uuid.p, uuid.n);
	out->gtid.number = get_u64le(&c);
	out->anonymous = e->type == BINLOG_ANONYMOUS_GTID;
	if (cursor_left(&c) && get_u8(&c) == 2) {
		get_u64le(&c);
		get_u64le(&c);
		parse_times(&c, out);
	}
	if (binlog_end(e, &c, err))
		return -1;
	if (!out->anonymous && (out->gtid.number == 0 || out->gtid.number >= INT64_MAX))
		return binlog_bad(e, err, "has an impossible number");
	return 0;
}

/* --- tagged --- */

static uint64_t get_varint(struct cursor *c)
{
	uint8_t first = get_u8(c);
	unsigned more = first == 0xff ? 8 : (unsigned)__builtin_ctz(~(unsigned)first);
	uint64_t v = 0;

	for (unsigned i = 0; i < more; i++)
		v |= (uint64_t)get_u8(c) << 8 * i;
	/* Of the first byte what is above the 1-bits and the 0 that ends them. */
	if (more < 7)
		v = v << (7 - more) | (uint64_t)(first >> (more + 1));
	return v;
}

/* false: the identifier is out of the order of ids, or what it has is not possible. */
static bool tagged_field(struct cursor *c, uint64_t id, struct binlog_gtid *out)
{
	uint64_t v;
	struct str tag;

	switch (id) {
	case 1:
		for (size_t i = 0; i < sizeof out->gtid.uuid; i++) {
			v = get_varint(c);
			if (v > UINT8_MAX)
				return false;
			out->gtid.uuid[i] = (uint8_t)v;
		}
		return true;
	case 2:
		v = get_varint(c);
		out->gtid.number = v >> 1;
		return !(v & 1);
	case 3:
		tag = get_bytes(c, get_varint(c));
		if (tag.n >= sizeof out->gtid.tag)
			return false;
		if (tag.n)
			memcpy(out->gtid.tag, tag.p, tag.n);
		return true;
	case 6:
	case 7:
		out->commit_us = (int64_t)get_varint(c);
		return true;
	case 8:
		out->length = get_varint(c);
		return true;
	default:
		get_varint(c);
		return true;
	}
}

static bool is_tag(const char *tag)
{
	for (const char *p = tag; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || *p == '_' || (p > tag && *p >= '0' && *p <= '9')))
			return false;
	return true;
}

static int parse_tagged(const struct binlog_event *e, struct binlog_gtid *out, struct error *err)
{
	enum { LAST_KNOWN = 11 };
	struct cursor c = cursor_of(e->body);
	uint64_t version = get_varint(&c);
	uint64_t size = get_varint(&c);
	uint64_t must_know = get_varint(&c);
	uint64_t least = 0;
	unsigned seen = 0;

	if (c.bad || version != 1 || size > e->body.n || must_know > LAST_KNOWN)
		return binlog_bad(e, err, "is of a version that is not known");
	c.end = (const uint8_t *)e->body.p + size;
	while (!c.bad && c.p < c.end) {
		uint64_t id = get_varint(&c);

		if (id > LAST_KNOWN) /* what a later version adds and we need not know */
			break;
		if (id < least || !tagged_field(&c, id, out))
			return binlog_bad(e, err, "has a damaged field");
		least = id + 1;
		seen |= 1u << id;
	}
	if (c.bad)
		return binlog_bad(e, err, "is truncated");
	if ((seen & 0x6) != 0x6 || out->gtid.number == 0 || out->gtid.number >= INT64_MAX ||
	    strlen(out->gtid.tag) > 32 || !is_tag(out->gtid.tag))
		return binlog_bad(e, err, "does not name its transaction");
	return 0;
}

/* --- MariaDB --- */

static int parse_mariadb(const struct binlog_event *e, struct binlog_gtid *out, struct error *err)
{
	struct cursor c = cursor_of(e->body);

	out->gtid.mariadb = true;
	out->gtid.server = e->server_id;
	out->gtid.number = get_u64le(&c);
	out->gtid.domain = get_u32le(&c);
	uint8_t flags = get_u8(&c);

	out->standalone = (flags & STANDALONE) != 0;
	out->ddl = (flags & DDL) != 0;
	out->xa_prepared = (flags & XA_PREPARED) != 0;
	out->xa_completed = (flags & XA_COMPLETED) != 0;
	if (flags & GROUP_COMMIT)
		get_u64le(&c);
	if (out->xa_prepared || out->xa_completed) {
		out->xid.format = get_u32le(&c);
		uint8_t global = get_u8(&c);
		uint8_t branch = get_u8(&c);

		out->xid.global = get_bytes(&c, global);
		out->xid.branch = get_bytes(&c, branch);
		if (global > XID_PART_MAX || branch > XID_PART_MAX)
			return binlog_bad(e, err, "has an XA identifier that is too long");
	}
	if (cursor_left(&c)) {
		uint8_t more = get_u8(&c);

		out->alter_start = (more & 2) != 0;
		out->alter_commit = (more & 4) != 0;
		out->alter_rollback = (more & 8) != 0;
	}
	return binlog_end(e, &c, err);
}

int binlog_gtid_parse(const struct binlog_event *e, struct binlog_gtid *out, struct error *err)
{
	*out = (struct binlog_gtid){ 0 };
	switch (e->type) {
	case BINLOG_GTID:
	case BINLOG_ANONYMOUS_GTID:
		return parse_mysql(e, out, err);
	case BINLOG_GTID_TAGGED:
		return parse_tagged(e, out, err);
	case BINLOG_MARIA_GTID:
		return parse_mariadb(e, out, err);
	default:
		return binlog_bad(e, err, "names no transaction");
	}
}
