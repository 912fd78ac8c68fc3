/*
 * avro_record.c - records of the spool (schemas/spool_record.avsc), written and read in place
 *
 * Runs for every change: what is written goes into room reserved once, what is read points into
 * the block.  An optional field is a union: 0, or 2 and the value.
 */
#include <inttypes.h>

#include "avro_private.h"

/* Symbols of the enum Kind. */
enum kind {
	KIND_BEGIN,
	KIND_ROW,
	KIND_TRUNCATE,
	KIND_SCHEMA,
	KIND_MESSAGE,
	KIND_HEARTBEAT,
	KIND_GAP,
	KIND_COMMIT,
	KIND_ABORT,
	KIND_END
};

/* Symbols of the enum Op. */
enum op { OP_NONE, OP_C, OP_U, OP_D, OP_R, OP_T, OP_M, OP_END };

static const struct kind_op {
	enum kind kind;
	enum op op;
} of_change[] = {
	[CHANGE_BEGIN] = { KIND_BEGIN, OP_NONE },
	[CHANGE_INSERT] = { KIND_ROW, OP_C },
	[CHANGE_UPDATE] = { KIND_ROW, OP_U },
	[CHANGE_DELETE] = { KIND_ROW, OP_D },
	[CHANGE_TRUNCATE] = { KIND_TRUNCATE, OP_T },
	[CHANGE_READ] = { KIND_ROW, OP_R },
	[CHANGE_SCHEMA] = { KIND_SCHEMA, OP_NONE },
	[CHANGE_MESSAGE] = { KIND_MESSAGE, OP_M },
	[CHANGE_HEARTBEAT] = { KIND_HEARTBEAT, OP_NONE },
	[CHANGE_GAP] = { KIND_GAP, OP_NONE },
	[CHANGE_COMMIT] = { KIND_COMMIT, OP_NONE },
	[CHANGE_ABORT] = { KIND_ABORT, OP_NONE },
};

/* The optional parts of one record. */
struct parts {
	struct str key, old_key, before, after, absent, absent_before, unrepresentable,
		unrepresentable_before, resume, prefix, content;
};

static char *put_optional(char *p, struct str s)
{
	if (!s.p) {
		*p++ = 0;
		return p;
	}
	*p++ = 2;
	return put_str(p, s);
}

/* A map is there in its Avro form. */
static char *put_map(char *p, struct str map)
{
	if (!map.n) {
		*p++ = 0;
		return p;
	}
	*p++ = 2;
	memcpy(p, map.p, map.n);
	return p + map.n;
}

static void put_record(struct buf *out, struct kind_op what, const struct position *pos,
		       const struct change *c, uint32_t table, const struct parts *s)
{
	size_t room = s->key.n + s->old_key.n + s->before.n + s->after.n + s->absent.n +
		      s->absent_before.n + s->unrepresentable.n + s->unrepresentable_before.n +
		      s->resume.n + s->prefix.n + s->content.n + 20 * (LONG_ROOM + 1);
	char *p = buf_more(out, room);

	if (!p)
		return;
	p = put_long(p, (int32_t)pos->epoch);
	p = put_long(p, (int32_t)pos->file);
	p = put_long(p, (int64_t)pos->offset);
	p = put_long(p, (int64_t)pos->row);
	p = put_long(p, what.kind);
	p = put_long(p, what.op);
	p = put_long(p, table);
	p = put_long(p, c ? c->commit_us : 0);
	p = put_long(p, c ? (int64_t)c->xid : 0);
	p = put_optional(p, s->key);
	p = put_optional(p, s->old_key);
	p = put_optional(p, s->before);
	p = put_optional(p, s->after);
	p = put_optional(p, s->absent);
	p = put_optional(p, s->absent_before);
	p = put_map(p, s->unrepresentable);
	p = put_map(p, s->unrepresentable_before);
	p = put_optional(p, s->resume);
	p = put_optional(p, s->prefix);
	p = put_optional(p, s->content);
	out->n = (size_t)(p - out->p);
}

static struct str some(const struct buf *b)
{
	return b->n ? (struct str){ b->p, b->n } : (struct str){ NULL, 0 };
}

/* An image is there even when its table has no columns. */
static struct str image(const struct buf *b)
{
	return (struct str){ b->p ? b->p : "", b->n };
}

static void row_parts(const struct change *c, struct avro_scratch *s, struct parts *out)
{
	bool new_key = false, old_key = false;

	buf_clear(&s->key);
	buf_clear(&s->old_key);
	if (c->after && c->op != CHANGE_DELETE) {
		buf_clear(&s->after);
		avro_put_row(&s->after, c->table, c->after, &s->after_extra);
		out->after = image(&s->after);
		out->absent = some(&s->after_extra.absent);
		out->unrepresentable = some(&s->after_extra.unrepresentable);
		new_key = avro_put_key(&s->key, c->table, c->after);
	}
	if (c->before) {
		buf_clear(&s->before);
		avro_put_row(&s->before, c->table, c->before, &s->before_extra);
		out->before = image(&s->before);
		out->absent_before = some(&s->before_extra.absent);
		out->unrepresentable_before = some(&s->before_extra.unrepresentable);
		old_key = avro_put_key(&s->old_key, c->table, c->before);
	}
	if (c->op == CHANGE_DELETE) {
		if (old_key)
			out->key = image(&s->old_key);
		return;
	}
	if (new_key)
		out->key = image(&s->key);
	if (new_key && old_key && !str_eq(image(&s->key), image(&s->old_key)))
		out->old_key = image(&s->old_key);
}

void spool_record_put(struct buf *out, const struct change *c, struct avro_scratch *scratch)
{
	struct parts parts = { 0 };

	switch (c->op) {
	case CHANGE_SCHEMA:
		return;
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_DELETE:
	case CHANGE_READ:
		row_parts(c, scratch, &parts);
		break;
	case CHANGE_MESSAGE:
		parts.prefix = (struct str){ c->prefix.p ? c->prefix.p : "", c->prefix.n };
		parts.content = (struct str){ c->content.p ? c->content.p : "", c->content.n };
		break;
	case CHANGE_COMMIT:
	case CHANGE_HEARTBEAT:
	case CHANGE_GAP:
		parts.resume = c->resume;
		break;
	case CHANGE_BEGIN:
		parts.prefix = c->prefix;
		parts.content = c->content;
		break;
	case CHANGE_TRUNCATE:
	case CHANGE_ABORT:
		break;
	}
	put_record(out, of_change[c->op], &c->pos, c, c->table ? c->table->id : 0, &parts);
}

void spool_record_put_encoded(struct buf *out, const struct event *e)
{
	const struct parts parts = { .key = e->key,
				     .after = e->after,
				     .unrepresentable = e->unrepresentable };
	const struct change c = { .commit_us = e->commit_us, .xid = e->xid };

	put_record(out, of_change[e->op], &e->pos, &c, e->table->id, &parts);
}

void spool_record_put_schema(struct buf *out, const struct table *t, const struct position *pos)
{
	struct parts parts = { .content = t->definition };

	put_record(out, of_change[CHANGE_SCHEMA], pos, NULL, t->id, &parts);
}

void avro_scratch_free(struct avro_scratch *s)
{
	buf_free(&s->key);
	buf_free(&s->old_key);
	buf_free(&s->before);
	buf_free(&s->after);
	buf_free(&s->before_extra.absent);
	buf_free(&s->before_extra.unrepresentable);
	buf_free(&s->after_extra.absent);
	buf_free(&s->after_extra.unrepresentable);
}

static inline bool get_there(struct cursor *c)
{
	uint8_t branch = get_u8(c);

	c->bad |= branch != 0 && branch != 2;
	return branch == 2;
}

static inline struct str get_optional(struct cursor *c)
{
	return get_there(c) ? get_str(c) : (struct str){ NULL, 0 };
}

static inline struct str get_map(struct cursor *c)
{
	return get_there(c) ? avro_get_map(c) : (struct str){ NULL, 0 };
}

static int64_t get_int(struct cursor *c)
{
	int64_t v = get_long(c);

	c->bad |= v < INT32_MIN || v > INT32_MAX;
	return v;
}

#define LAST_OPTIONAL 7

/* None of the last optional fields is there: as of nearly every row. */
static inline bool skip_absent(struct cursor *c)
{
	uint64_t next;

	if (c->bad || (size_t)(c->end - c->p) < sizeof next)
		return false;
	memcpy(&next, c->p, sizeof next);
	if (le64toh(next) << (64 - 8 * LAST_OPTIONAL))
		return false;
	c->p += LAST_OPTIONAL;
	return true;
}

/* The fields of a record as they stand there; false if it is cut short or out of range. */
static bool get_fields(struct cursor *c, struct event *e, int64_t *kind, int64_t *op,
		       int64_t *table)
{
	const struct str none = { NULL, 0 };

	/* Each field is set below: to clear the whole first would cost as much again. */
	e->op = CHANGE_BEGIN;
	e->table = NULL;
	e->pos.epoch = (uint32_t)get_int(c);
	e->pos.file = (uint32_t)get_int(c);
	e->pos.offset = (uint64_t)get_long(c);
	e->pos.row = (uint64_t)get_long(c);
	*kind = get_long(c);
	*op = get_long(c);
	*table = get_int(c);
	e->commit_us = get_long(c);
	e->xid = (uint64_t)get_long(c);
	e->key = get_optional(c);
	e->old_key = get_optional(c);
	e->before = get_optional(c);
	e->after = get_optional(c);
	if (skip_absent(c)) {
		e->absent = e->absent_before = none;
		e->unrepresentable = e->unrepresentable_before = none;
		e->resume = e->prefix = e->content = none;
	} else {
		e->absent = get_optional(c);
		e->absent_before = get_optional(c);
		e->unrepresentable = get_map(c);
		e->unrepresentable_before = get_map(c);
		e->resume = get_optional(c);
		e->prefix = get_optional(c);
		e->content = get_optional(c);
	}
	return !c->bad && *kind >= 0 && *kind < KIND_END && *op >= 0 && *op < OP_END && *table >= 0;
}

static bool op_of(int64_t kind, int64_t op, enum change_op *out)
{
	for (size_t i = 0; i < COUNT(of_change); i++) {
		if (of_change[i].kind == kind && of_change[i].op == op) {
			*out = (enum change_op)i;
			return true;
		}
	}
	return false;
}

/* What an event of its kind must have. */
static bool complete(const struct event *e)
{
	switch (e->op) {
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_READ:
		return e->table && e->after.p;
	case CHANGE_DELETE:
		return e->table && e->before.p && !e->after.p;
	case CHANGE_TRUNCATE:
		return e->table != NULL;
	case CHANGE_COMMIT:
	case CHANGE_HEARTBEAT:
	case CHANGE_GAP:
		return e->resume.p != NULL;
	case CHANGE_MESSAGE:
		return e->prefix.p && e->content.p;
	default:
		return true;
	}
}

static int get_schema(struct event *e, struct tables *tables, uint32_t id, struct error *err)
{
	e->table = tables_by_id(tables, id);
	if (!e->table || !str_eq(e->table->definition, e->content)) {
		e->table = tables_restore(tables, e->content, err);
		if (!e->table)
			return -1;
	}
	if (e->table->id != id)
		return fail(err, ERR_FATAL,
			    "the spool's schema record for table version %" PRIu32
			    " holds version %" PRIu32,
			    id, e->table->id);
	return 0;
}

int spool_record_get(struct cursor *c, struct tables *tables, struct event *e, struct error *err)
{
	int64_t kind, op, table;
	char text[POSITION_TEXT];

	if (!get_fields(c, e, &kind, &op, &table))
		return fail(err, ERR_FATAL,
			    "a record of the spool is damaged or of another format (position %s)",
			    position_text(&e->pos, text));
	if (!op_of(kind, op, &e->op))
		return fail(err, ERR_FATAL,
			    "the spool's record at %s has kind %" PRId64 " with operation %" PRId64
			    ", which this version does not know",
			    position_text(&e->pos, text), kind, op);
	if (e->op == CHANGE_SCHEMA)
		return get_schema(e, tables, (uint32_t)table, err);
	if (table && !(e->table = tables_by_id(tables, (uint32_t)table)))
		return fail(err, ERR_FATAL,
			    "the spool's record at %s is of table version %" PRId64
			    ", whose definition is neither in state.db nor before it in the spool",
			    position_text(&e->pos, text), table);
	if (!complete(e))
		return fail(err, ERR_FATAL, "the spool's record at %s lacks a part of its kind",
			    position_text(&e->pos, text));
	return 0;
}
