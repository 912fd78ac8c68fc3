/*
 * avro_encode.c - typed values to Avro: primitives, row images, keys
 *
 * Avro 1.11 binary encoding: int and long are zig-zag varints, string and bytes a length and the
 * bytes, float and double little-endian, an array blocks of { count, items } that end with a
 * count of 0, a union the index of its branch and then the value.  A row's fields are unions of
 * null (0) and the column's type (1); a key's fields are the types themselves.
 */
#include "avro_private.h"

/* Writes through: what a fixed-size value needs is always there. */
#define VALUE_ROOM (1 + 1 + LONG_ROOM)

void avro_put_long(struct buf *b, int64_t v)
{
	char *p = buf_more(b, LONG_ROOM);

	if (p)
		b->n += (size_t)(put_long(p, v) - p);
}

void avro_put_bytes(struct buf *b, struct str s)
{
	char *p = buf_more(b, LONG_ROOM + s.n);

	if (p)
		b->n += (size_t)(put_str(p, s) - p);
}

void avro_put_double(struct buf *b, double v)
{
	char *p = buf_more(b, sizeof v);

	if (p)
		b->n += (size_t)(put_double(p, v) - p);
}

void avro_put_float(struct buf *b, float v)
{
	char *p = buf_more(b, sizeof v);

	if (p)
		b->n += (size_t)(put_float(p, (double)v) - p);
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Writes the name and returns its end; p has room for text.n + 1. */
static char *put_name(char *p, struct str text)
{
	char *start = p;

	if (text.n == 0 || (text.p[0] >= '0' && text.p[0] <= '9'))
		*p++ = '_';
	for (size_t i = 0; i < text.n; i++) {
		if (name_char(text.p[i]))
			*p++ = text.p[i];
		else if (((uint8_t)text.p[i] & 0xc0) != 0x80 || p == start)
			*p++ = '_'; /* one for each character, however many bytes it has */
	}
	return p;
}

void avro_name(struct str text, struct buf *out)
{
	char *p = buf_more(out, text.n + 1);

	if (p)
		out->n += (size_t)(put_name(p, text) - p);
}

void avro_put_field(struct buf *b, struct str column)
{
	char *p = buf_more(b, LONG_ROOM + column.n + 1);

	if (!p)
		return;
	char *name = p + LONG_ROOM;
	size_t n = (size_t)(put_name(name, column) - name);
	char *to = put_long(p, (int64_t)n);

	memmove(to, name, n);
	b->n += (size_t)(to - p) + n;
}

bool avro_field_is(struct str column, struct str field)
{
	if (str_eq(column, field))
		return true;
	if (field.n > column.n + 1)
		return false;
	AUTO(buf) struct buf name = { 0 };

	avro_name(column, &name);
	return str_eq((struct str){ name.p, name.n }, field);
}

/* p moved to where n more bytes fit; NULL on overflow. */
static char *room_for(struct buf *b, char *p, size_t n)
{
	b->n = (size_t)(p - b->p);
	return buf_more(b, n);
}

static inline bool room_left(const struct buf *b, const char *p, size_t n)
{
	return b->room - (size_t)(p - b->p) >= n;
}

static inline char *put_uint64(char *p, uint64_t v)
{
	char bytes[9];
	int first = 8;

	for (int i = 8; i >= 1; i--, v >>= 8) {
		bytes[i] = (char)v;
		if (bytes[i])
			first = i;
	}
	bytes[0] = 0;
	if (bytes[first] & (char)0x80)
		first--; /* it is a signed number */
	size_t n = (size_t)(9 - first);

	p = put_long(p, (int64_t)n);
	memcpy(p, bytes + first, n);
	return p + n;
}

/* A value of any type but array.  VALUE_ROOM bytes are there; NULL on overflow. */
static inline __attribute__((always_inline)) char *
put_scalar(struct buf *b, char *p, enum column_type type, const struct value *v)
{
	switch (type) {
	case COL_BOOL:
		*p++ = (char)v->b;
		return p;
	case COL_INT32:
	case COL_INT64:
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		return put_long(p, v->i);
	case COL_UINT64:
		return put_uint64(p, v->u);
	case COL_FLOAT:
		return put_float(p, v->d);
	case COL_DOUBLE:
		return put_double(p, v->d);
	default:
		if (!room_left(b, p, LONG_ROOM + v->s.n)) {
			p = room_for(b, p, LONG_ROOM + v->s.n);
			if (!p)
				return NULL;
		}
		return put_str(p, v->s);
	}
}

static char *put_array(struct buf *b, char *p, enum column_type element, const struct array *a)
{
	if (a->n)
		p = put_long(p, (int64_t)a->n);
	for (size_t i = 0; i < a->n; i++) {
		if (!room_left(b, p, VALUE_ROOM) && !(p = room_for(b, p, VALUE_ROOM)))
			return NULL;
		bool set = a->items[i].state == VALUE_SET;

		*p++ = set ? 2 : 0;
		if (set && !(p = put_scalar(b, p, element, &a->items[i])))
			return NULL;
	}
	if (!room_left(b, p, 1) && !(p = room_for(b, p, 1)))
		return NULL;
	*p++ = 0;
	return p;
}

static inline char *put_value(struct buf *b, char *p, const struct column *c, const struct value *v)
{
	if (c->type == COL_ARRAY)
		return put_array(b, p, c->element, v->a);
	return put_scalar(b, p, c->type, v);
}

/* What was written from `start` on counts, or nothing of it. */
static bool finish(struct buf *b, size_t start, const char *p)
{
	size_t n = p ? (size_t)(p - b->p) : 0;

	if (p && !(b->max && n > b->max)) {
		b->n = n;
		return true;
	}
	b->n = start;
	b->overflow = true;
	return false;
}

static void put_absent(struct buf *bitmap, const struct table *t, const struct value *row)
{
	size_t n = (t->ncolumns + 7) / 8;
	char *p = buf_more(bitmap, n);

	if (!p)
		return;
	memset(p, 0, n);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (row[i].state == VALUE_ABSENT)
			p[i / 8] = (char)(p[i / 8] | 1 << i % 8);
	bitmap->n += n;
}

static void put_unrepresentable(struct buf *map, const struct table *t, const struct value *row,
				size_t count)
{
	avro_put_long(map, (int64_t)count);
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (row[i].state == VALUE_UNREPRESENTABLE) {
			avro_put_field(map, t->columns[i].name);
			avro_put_bytes(map, row[i].s);
		}
	}
	avro_put_long(map, 0);
}

void avro_put_row(struct buf *out, const struct table *t, const struct value *row,
		  struct avro_extra *extra)
{
	size_t start = out->n, absent = 0, unrepresentable = 0;
	char *p = buf_more(out, t->ncolumns * VALUE_ROOM + 1);

	buf_clear(&extra->absent);
	buf_clear(&extra->unrepresentable);
	for (size_t i = 0; p && i < t->ncolumns; i++) {
		const struct value *v = &row[i];

		if (!room_left(out, p, VALUE_ROOM) && !(p = room_for(out, p, VALUE_ROOM)))
			break;
		if (v->state == VALUE_SET) {
			*p++ = 2;
			p = put_value(out, p, &t->columns[i], v);
			continue;
		}
		*p++ = 0;
		absent += v->state == VALUE_ABSENT;
		unrepresentable += v->state == VALUE_UNREPRESENTABLE;
	}
	if (!finish(out, start, p))
		return;
	if (absent)
		put_absent(&extra->absent, t, row);
	if (unrepresentable)
		put_unrepresentable(&extra->unrepresentable, t, row, unrepresentable);
}

bool avro_put_key(struct buf *out, const struct table *t, const struct value *row)
{
	size_t start = out->n;

	if (t->nkey == 0)
		return false;
	for (size_t k = 0; k < t->nkey; k++)
		if (row[t->key[k]].state != VALUE_SET)
			return false;
	char *p = buf_more(out, t->nkey * VALUE_ROOM + 1);

	for (size_t k = 0; p && k < t->nkey; k++) {
		if (!room_left(out, p, VALUE_ROOM) && !(p = room_for(out, p, VALUE_ROOM)))
			break;
		p = put_value(out, p, &t->columns[t->key[k]], &row[t->key[k]]);
	}
	return finish(out, start, p);
}
