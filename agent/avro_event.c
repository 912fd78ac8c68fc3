/*
 * avro_event.c - output events, put together by copying row images
 *
 * The envelope and the flat form of INTERFACE.md's "Events"; their schemas are made in
 * avro_schema.c, and the order of the members here is the order there.  This runs for every event
 * of a sink: one reservation, no formatted printing.
 */
#include <time.h>

#include "avro_private.h"
#include "clock.h"

#define DIGITS_ROOM   20 /* of an unsigned 64-bit number */
#define POSITION_ROOM (4 * DIGITS_ROOM + 3)

/* Members of fixed size, numbers at their longest: 12 numbers, unions, position, transaction id. */
#define FIXED_ROOM (12 * (LONG_ROOM + 1) + 2 * POSITION_ROOM + 64)

char event_op(const struct event *e)
{
	switch (e->op) {
	case CHANGE_INSERT:
		return 'c';
	case CHANGE_UPDATE:
		return 'u';
	case CHANGE_DELETE:
		return 'd';
	case CHANGE_READ:
		return 'r';
	case CHANGE_TRUNCATE:
		return 't';
	case CHANGE_MESSAGE:
		return 'm';
	default:
		return 0;
	}
}

static char *put_decimal(char *p, uint64_t v)
{
	char digits[DIGITS_ROOM], *end = digits + sizeof digits, *d = end;

	do
		*--d = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(p, d, (size_t)(end - d));
	return p + (end - d);
}

static char *put_hexadecimal(char *p, uint64_t v)
{
	unsigned digits = v ? (67 - (unsigned)__builtin_clzll(v)) / 4 : 1;

	for (unsigned i = digits; i-- > 0; v >>= 4)
		p[i] = "0123456789ABCDEF"[v & 15];
	return p + digits;
}

/* A string that was written behind its length's single byte: at most 63 bytes. */
static char *short_string(char *start, char *end)
{
	*start = (char)((end - start - 1) * 2);
	return end;
}

static char *put_char(char *p, char c)
{
	*p++ = 2;
	*p++ = c;
	return p;
}

static char *put_some_long(char *p, int64_t v)
{
	*p++ = 2;
	return put_long(p, v);
}

static char *put_image(char *p, struct str image)
{
	*p++ = 2;
	if (image.n)
		memcpy(p, image.p, image.n);
	return p + image.n;
}

/* Milliseconds of microseconds, downwards. */
static int64_t milliseconds(int64_t us)
{
	return (us - (us < 0 ? 999 : 0)) / 1000;
}

static char *put_some_str(char *p, struct str s)
{
	if (!s.p) {
		*p++ = 0;
		return p;
	}
	*p++ = 2;
	return put_str(p, s);
}

/* --- the source block: but for the row it is the same for all rows of a table in a transaction --- */

static char *put_head(char *p, const struct event *e, bool snapshot, const struct str *names,
		      const struct avro_source *src)
{
	struct str none = STR("");

	p = put_str(p, STR(TAILRACE_VERSION));
	p = put_str(p, names[0]);
	p = put_str(p, names[1]);
	p = put_long(p, milliseconds(e->commit_us));
	p = put_some_long(p, e->commit_us);
	p = put_str(p, snapshot ? STR("incremental") : STR("false"));
	p = put_str(p, names[2]);
	p = put_str(p, e->table ? e->table->schema : none);
	p = put_str(p, e->table ? e->table->name : none);
	if (e->xid)
		p = put_some_long(p, (int64_t)e->xid);
	else
		*p++ = 0;
	if (avro_source_has_lsn(src->connector))
		p = put_some_long(p, (int64_t)e->pos.offset);
	if (avro_source_has_file(src->connector)) {
		p = put_some_str(p, src->gtid);
		p = put_some_str(p, src->file);
		p = put_some_long(p, (int64_t)e->pos.offset);
	}
	return p;
}

/* A position up to its row. */
static char *put_place(char *p, const struct position *pos)
{
	p = put_decimal(p, pos->epoch);
	*p++ = '/';
	p = put_decimal(p, pos->file);
	*p++ = '/';
	p = put_hexadecimal(p, pos->offset);
	*p++ = '/';
	return p;
}

static char *put_transaction_id(char *p, const struct event *e)
{
	p = put_decimal(p, e->xid);
	*p++ = ':';
	return put_decimal(p, e->pos.offset);
}

static bool head_is_of(const struct avro_source_head *h, const struct event *e, bool snapshot)
{
	return h->bytes.n && h->table == e->table && h->pos.offset == e->pos.offset &&
	       h->pos.file == e->pos.file && h->pos.epoch == e->pos.epoch && h->xid == e->xid &&
	       h->commit_us == e->commit_us && h->snapshot == snapshot;
}

static const struct avro_source_head *source_head(struct avro_source *src, const struct event *e,
						  bool snapshot)
{
	struct avro_source_head *h = &src->head;

	if (head_is_of(h, e, snapshot))
		return h;
	bool by_schema = avro_source_has_file(src->connector) && e->table;
	const struct str names[] = { str_z(src->connector), str_z(src->pipeline),
				     by_schema ? e->table->schema : str_z(src->database) };
	size_t room = sizeof TAILRACE_VERSION + names[0].n + names[1].n + names[2].n + src->gtid.n +
		      src->file.n + (e->table ? e->table->schema.n + e->table->name.n : 0) +
		      7 * LONG_ROOM + FIXED_ROOM;

	buf_clear(&h->bytes);
	char *start = buf_more(&h->bytes, room), *p = put_head(start, e, snapshot, names, src);

	h->place = (size_t)(p - start);
	p = put_place(p, &e->pos);
	h->transaction = (size_t)(p - start);
	p = put_transaction_id(p, e);
	h->bytes.n = (size_t)(p - start);
	h->table = e->table;
	h->pos = e->pos;
	h->xid = e->xid;
	h->commit_us = e->commit_us;
	h->snapshot = snapshot;
	return h;
}

static char *put_part(char *p, const struct avro_source_head *h, size_t from, size_t to)
{
	memcpy(p, h->bytes.p + from, to - from);
	return p + (to - from);
}

static char *put_source(char *p, const struct event *e, const struct avro_source_head *h)
{
	p = put_part(p, h, 0, h->place);
	p = put_long(p, (int64_t)(e->pos.row & ~POSITION_BETWEEN));
	char *start = p++;

	p = put_part(p, h, h->place, h->transaction);
	return short_string(start, put_decimal(p, e->pos.row));
}

static char *put_transaction(char *p, const struct avro_source_head *h, int64_t total_order,
			     int64_t collection_order)
{
	if (total_order < 0) {
		*p++ = 0;
		return p;
	}
	*p++ = 2;
	char *start = p++;

	p = short_string(start, put_part(p, h, h->transaction, h->bytes.n));
	p = put_long(p, total_order);
	return put_long(p, collection_order);
}

/* The columns of a bitmap by name, or null. */
static void put_names(struct buf *out, const struct table *t, struct str bitmap)
{
	size_t count = 0;

	for (size_t i = 0; bitmap.n && i < t->ncolumns; i++)
		count += event_bit(bitmap, i);
	if (count == 0) {
		buf_addc(out, 0);
		return;
	}
	buf_addc(out, 2);
	avro_put_long(out, (int64_t)count);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (event_bit(bitmap, i))
			avro_put_field(out, t->columns[i].name);
	buf_addc(out, 0);
}

static void put_map(struct buf *out, struct str map)
{
	buf_addc(out, map.n ? 2 : 0);
	buf_add(out, map.p, map.n);
}

/* Which images an event of this operation shows: both halves of a moved key are events of their own. */
static bool shows_before(const struct event *e, char op)
{
	return (op == 'u' || op == 'd') && e->before.p;
}

static bool shows_after(const struct event *e, char op)
{
	return (op == 'c' || op == 'u' || op == 'r' || op == 'm') && e->after.p;
}

void avro_source_begin(struct avro_source *src, const struct event *begin)
{
	if (src->tables)
		src->connector = tables_connector(src->tables);
	buf_clear(&src->head.bytes);
	buf_clear(&src->keep);
	src->gtid = src->file = (struct str){ NULL, 0 };
	if (begin->pos.row >=
	    POSITION_BETWEEN) /* a snapshot's chunk: its content is no file's name */
		return;
	buf_add(&src->keep, begin->prefix.p, begin->prefix.n);
	buf_add(&src->keep, begin->content.p, begin->content.n);
	src->gtid = begin->prefix.p ? (struct str){ src->keep.p, begin->prefix.n } : begin->prefix;
	src->file = begin->content.p
			    ? (struct str){ src->keep.p + begin->prefix.n, begin->content.n }
			    : begin->content;
}

void avro_source_release(struct avro_source *src)
{
	buf_free(&src->keep);
	buf_free(&src->head.bytes);
	src->gtid = src->file = (struct str){ NULL, 0 };
}

void avro_put_envelope(struct buf *out, const struct event *e, char op, struct avro_source *src,
		       int64_t total_order, int64_t collection_order)
{
	const struct avro_source_head *head = source_head(src, e, op == 'r');
	bool before = shows_before(e, op), after = shows_after(e, op);
	char *p = buf_more(out, e->before.n + e->after.n + head->bytes.n + FIXED_ROOM);
	int64_t now = src->now_us ? src->now_us : wall_clock_us();

	if (!p)
		return;
	if (before)
		p = put_image(p, e->before);
	else
		*p++ = 0;
	if (after)
		p = put_image(p, e->after);
	else
		*p++ = 0;
	p = put_source(p, e, head);
	p = put_char(p, op);
	p = put_some_long(p, milliseconds(now));
	p = put_some_long(p, now);
	p = put_transaction(p, head, total_order, collection_order);
	out->n = (size_t)(p - out->p);

	struct str none = { NULL, 0 };

	if (!e->absent.n && !e->absent_before.n && !e->unrepresentable.n &&
	    !e->unrepresentable_before.n) {
		memset(p, 0, 4);
		out->n += 4;
		return;
	}
	put_names(out, e->table, after ? e->absent : none);
	put_names(out, e->table, before ? e->absent_before : none);
	put_map(out, after ? e->unrepresentable : none);
	put_map(out, before ? e->unrepresentable_before : none);
}

/* A delete shows the row that it removed; a truncate has no row, so each column is null. */
void avro_put_flat(struct buf *out, const struct event *e, char op)
{
	bool before = op == 'd' && e->before.p, after = shows_after(e, op);
	struct str image = before ? e->before : e->after;
	size_t ncolumns = e->table->ncolumns;
	char *p = buf_more(out, e->before.n + e->after.n + ncolumns + FIXED_ROOM);

	if (!p)
		return;
	if (before || after) {
		memcpy(p, image.p, image.n);
		p += image.n;
	} else {
		memset(p, 0, ncolumns);
		p += ncolumns;
	}
	*p++ = 2;
	p = put_char(p, op);
	*p++ = 2;
	p = put_str(p, op == 'd' ? STR("true") : STR("false"));
	p = put_some_long(p, milliseconds(e->commit_us));
	*p++ = 2;
	char *start = p++;

	p = put_decimal(put_place(p, &e->pos), e->pos.row);
	p = short_string(start, p);
	out->n = (size_t)(p - out->p);

	struct str none = { NULL, 0 };

	put_names(out, e->table, before ? e->absent_before : after ? e->absent : none);
	put_map(out, before ? e->unrepresentable_before : after ? e->unrepresentable : none);
}
