/*
 * binlog_payload.c - transaction payloads: a transaction's events as one compressed event (MySQL 8.0.20)
 *
 *	payload (40)	fields of lenenc type, lenenc length, value; type 0, without the rest, ends them:
 *			1 lenenc bytes that follow, 2 lenenc compression (0 zstd, 255 none),
 *			3 lenenc bytes when inflated (not relied on)
 *			then the events, without checksums
 */
#include <stdlib.h>

#include <zstd.h>

#include "binlog_private.h"

enum { FIELD_END, FIELD_SIZE, FIELD_COMPRESSION };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

#define STEP ((size_t)128 * 1024) /* inflated at a time */

struct binlog_payload {
	struct binlog_event outer;
	struct str in;   /* what is still to be inflated; without compression: all that is left */
	ZSTD_DStream *z; /* NULL: not compressed */
	bool whole;      /* no frame is open */
	size_t max;      /* of one event; 0: no limit */
	struct buf out;
	size_t at; /* out: what is before it was given */
};

static int read_fields(const struct binlog_event *e, struct str *in, uint64_t *compression,
		       struct error *err)
{
	struct cursor c = cursor_of(e->body);
	uint64_t size = UINT64_MAX;

	*compression = COMPRESSION_NONE;
	for (;;) {
		uint64_t kind = binlog_lenenc(&c);

		if (c.bad)
			return binlog_bad(e, err, "is truncated");
		if (kind == FIELD_END)
			break;
		struct str value = get_bytes(&c, binlog_lenenc(&c));
		struct cursor v = cursor_of(value);

		if (kind == FIELD_SIZE)
			size = binlog_lenenc(&v);
		else if (kind == FIELD_COMPRESSION)
			*compression = binlog_lenenc(&v);
		if (c.bad || v.bad)
			return binlog_bad(e, err, "has a damaged field");
	}
	*in = get_bytes(&c, cursor_left(&c));
	if (size != in->n)
		return binlog_bad(e, err, "has a payload of another size than it says");
	return 0;
}

struct binlog_payload *binlog_payload_open(const struct binlog_event *e, size_t max_event,
					   struct error *err)
{
	uint64_t compression;
	struct str in;

	if (read_fields(e, &in, &compression, err))
		return NULL;
	if (compression != COMPRESSION_ZSTD && compression != COMPRESSION_NONE) {
		binlog_bad(e, err, "is compressed in a way that is not known");
		return NULL;
	}
	struct binlog_payload *p = xcalloc(1, sizeof *p);

	p->outer = *e;
	p->in = in;
	p->max = max_event;
	p->whole = true;
	if (compression == COMPRESSION_ZSTD) {
		p->z = ZSTD_createDStream();
		if (!p->z)
			abort(); /* out of memory */
	}
	return p;
}

void binlog_payload_close(struct binlog_payload *p)
{
	if (!p)
		return;
	ZSTD_freeDStream(p->z);
	buf_free(&p->out);
	free(p);
}

static int inflate_step(struct binlog_payload *p, size_t room, struct error *err)
{
	ZSTD_inBuffer in = { p->in.p, p->in.n, 0 };
	ZSTD_outBuffer out = { buf_more(&p->out, room), room, 0 };
	size_t r = ZSTD_decompressStream(p->z, &out, &in);

	if (ZSTD_isError(r))
		return binlog_bad(&p->outer, err, ZSTD_getErrorName(r));
	p->out.n += out.pos;
	p->in = (struct str){ p->in.p + in.pos, p->in.n - in.pos };
	p->whole = r == 0;
	if (in.pos == 0 && out.pos == 0)
		return binlog_bad(&p->outer, err, "ends in the middle of a compressed frame");
	return 0;
}

/* Inflates until `want` bytes are there or no more come. */
static int want_bytes(struct binlog_payload *p, size_t want, struct error *err)
{
	if (p->out.n - p->at >= want)
		return 0;
	if (p->at) {
		p->out.n -= p->at;
		memmove(p->out.p, p->out.p + p->at, p->out.n);
		p->at = 0;
	}
	/* Grown by what came, not by what an event's header claims. */
	while (p->out.n < want && (p->in.n || !p->whole))
		if (inflate_step(p, STEP, err))
			return -1;
	return 0;
}

static int check_inner(struct binlog_payload *p, const struct binlog_event *inner,
		       struct error *err)
{
	if (p->max && inner->size > p->max)
		return fail(
			err, ERR_FATAL,
			"%s event (type %u) of %u bytes in the transaction payload that ends at "
			"%u (low 32 bits) is longer than source.max_row allows (%zu): raise that",
			binlog_type_name(inner->type), inner->type, inner->size, p->outer.log_pos,
			p->max);
	if (inner->type == BINLOG_PAYLOAD || inner->type == BINLOG_FORMAT)
		return binlog_bad(&p->outer, err, "holds an event that cannot be in a payload");
	return 0;
}

int binlog_payload_next(struct binlog_payload *p, struct binlog_event *out, struct error *err)
{
	struct str bytes = p->in;
	size_t used;

	if (p->z) {
		if (want_bytes(p, BINLOG_HEADER, err))
			return -1;
		bytes = (struct str){ p->out.p + p->at, p->out.n - p->at };
	}
	if (bytes.n == 0)
		return 0;
	if (bytes.n < BINLOG_HEADER)
		return binlog_bad(&p->outer, err, "ends in the middle of an event");
	struct cursor c = cursor_of((struct str){ bytes.p + 9, 4 });
	struct binlog_event claim = { .type = (uint8_t)bytes.p[4], .size = get_u32le(&c) };

	if (check_inner(p, &claim, err))
		return -1;
	if (p->z) {
		if (want_bytes(p, claim.size, err))
			return -1;
		bytes = (struct str){ p->out.p + p->at, p->out.n - p->at };
	}
	if (binlog_event_inner(bytes, out, &used, err))
		return error_prefix(err,
				    "in the transaction payload that ends at %u (low 32 bits): ",
				    p->outer.log_pos);
	if (p->z)
		p->at += used;
	else
		p->in = (struct str){ p->in.p + used, p->in.n - used };
	return 1;
}
