/*
 * avro_decode.c - Avro back to typed values: primitives, row images, keys
 *
 * The format is that of avro_encode.c.  Input may come from a damaged or foreign file: everything
 * is checked, nothing is believed, and what is allocated is bounded by the bytes that are there.
 */
#include "avro_private.h"

int64_t avro_get_long(struct cursor *c)
{
	uint64_t u = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = get_u8(c);

		if (shift == 63 && byte > 1)
			break;
		u |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return c->bad ? 0 : (int64_t)(u >> 1 ^ (0 - (u & 1)));
	}
	c->bad = true;
	return 0;
}

struct str avro_get_bytes(struct cursor *c)
{
	return get_str(c);
}

bool avro_get_pair(struct cursor *c, int64_t *left, struct str *key, struct str *value)
{
	if (*left == 0) {
		*left = get_long(c);
		if (*left < 0) { /* then the block's size follows */
			get_long(c);
			*left = *left == INT64_MIN ? 0 : -*left;
			c->bad |= *left == 0;
		}
		if (*left == 0)
			return false;
	}
	(*left)--;
	*key = get_str(c);
	*value = get_str(c);
	return !c->bad;
}

struct str avro_get_map(struct cursor *c)
{
	const uint8_t *start = c->p;
	struct str key, value;
	int64_t left = 0;

	while (avro_get_pair(c, &left, &key, &value))
		;
	return c->bad ? (struct str){ NULL, 0 }
		      : (struct str){ (const char *)start, (size_t)(c->p - start) };
}

/* Bytes that the two's complement of so many digits can need. */
static size_t decimal_bytes(int precision)
{
	return (size_t)precision * 4153 / 10000 + 2;
}

static uint64_t get_uint64(struct cursor *c)
{
	struct str s = get_str(c);
	uint64_t v = 0;

	if (s.n == 0 || s.n > 9 || (s.p[0] & (char)0x80) || (s.n == 9 && s.p[0])) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

static struct str get_decimal(struct cursor *c, int precision)
{
	struct str s = get_str(c);

	c->bad |= s.n == 0 || s.n > decimal_bytes(precision);
	return s;
}

static int64_t get_range(struct cursor *c, int64_t min, int64_t max)
{
	int64_t v = get_long(c);

	c->bad |= v < min || v > max;
	return v;
}

static bool get_bool(struct cursor *c)
{
	uint8_t byte = get_u8(c);

	c->bad |= byte > 1;
	return byte == 1;
}

static double get_float(struct cursor *c)
{
	uint32_t bits = get_u32le(c);
	float f;

	memcpy(&f, &bits, sizeof f);
	return (double)f;
}

static double get_double(struct cursor *c)
{
	uint64_t bits = get_u64le(c);
	double d;

	memcpy(&d, &bits, sizeof d);
	return d;
}

/* Any type but array. */
static inline void get_scalar(struct cursor *c, const struct column *col, enum column_type type,
			      struct value *v)
{
	v->state = VALUE_SET;
	switch (type) {
	case COL_BOOL:
		v->b = get_bool(c);
		break;
	case COL_INT32:
	case COL_DATE:
		v->i = get_range(c, INT32_MIN, INT32_MAX);
		break;
	case COL_INT64:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		v->i = get_long(c);
		break;
	case COL_UINT64:
		v->u = get_uint64(c);
		break;
	case COL_FLOAT:
		v->d = get_float(c);
		break;
	case COL_DOUBLE:
		v->d = get_double(c);
		break;
	case COL_DECIMAL:
		v->s = get_decimal(c, col->precision);
		break;
	default:
		v->s = get_str(c);
	}
}

/* The branch of a union of null and something. */
static inline bool get_branch(struct cursor *c)
{
	uint8_t branch = get_u8(c);

	c->bad |= branch != 0 && branch != 2;
	return branch == 2;
}

struct block_of_items {
	struct value *items;
	size_t n, room;
};

/* Adds the items of one block of an array; false at the block that ends it. */
static bool get_items(struct cursor *c, const struct column *col, struct arena *arena,
		      struct block_of_items *b)
{
	int64_t count = get_long(c);

	if (count < 0) {
		get_long(c);
		count = count == INT64_MIN ? INT64_MAX : -count;
	}
	if ((uint64_t)count > cursor_left(c)) /* an item is a byte at least */
		c->bad = true;
	if (c->bad || count == 0)
		return false;
	if (b->room - b->n < (size_t)count) {
		struct value *more = arena_alloc(arena, (b->n + (size_t)count) * 2 * sizeof *more);

		if (b->n)
			memcpy(more, b->items, b->n * sizeof *more);
		b->items = more;
		b->room = (b->n + (size_t)count) * 2;
	}
	for (int64_t i = 0; i < count && !c->bad; i++) {
		struct value *v = &b->items[b->n++];

		if (get_branch(c))
			get_scalar(c, col, col->element, v);
		else
			*v = (struct value){ .state = VALUE_NULL };
	}
	return !c->bad;
}

static inline void get_value(struct cursor *c, const struct column *col, struct arena *arena,
			     struct value *v)
{
	if (col->type != COL_ARRAY) {
		get_scalar(c, col, col->type, v);
		return;
	}
	struct block_of_items b = { 0 };

	while (get_items(c, col, arena, &b))
		;
	struct array *a = arena_alloc(arena, sizeof *a);

	*a = (struct array){ b.n, b.items };
	v->state = VALUE_SET;
	v->a = a;
}

static int damaged(struct error *err, const struct table *t, const char *what,
		   const struct cursor *c)
{
	return fail(err, ERR_FATAL,
		    "%s of table %.*s.%.*s version %u is damaged, %td bytes before its end", what,
		    STR_FMT(t->schema), STR_FMT(t->name), t->version, c->end - c->p);
}

static bool restore_unrepresentable(const struct table *t, struct cursor *c, struct value *out)
{
	struct str key, text;
	int64_t left = 0;

	while (avro_get_pair(c, &left, &key, &text)) {
		size_t i = 0;

		while (i < t->ncolumns && !avro_field_is(t->columns[i].name, key))
			i++;
		if (i == t->ncolumns || out[i].state == VALUE_SET)
			return false;
		out[i] = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = text };
	}
	return !c->bad && c->p == c->end;
}

static bool restore_absent(const struct table *t, struct str absent, struct value *out)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!event_bit(absent, i))
			continue;
		if (out[i].state == VALUE_SET)
			return false;
		out[i].state = VALUE_ABSENT;
	}
	return true;
}

int avro_get_row(struct str image, const struct table *t, struct str absent,
		 struct str unrepresentable, struct arena *arena, struct value *out,
		 struct error *err)
{
	struct cursor c = cursor_of(image);

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (get_branch(&c))
			get_value(&c, &t->columns[i], arena, &out[i]);
		else
			out[i] = (struct value){ .state = VALUE_NULL };
	}
	if (c.bad || c.p != c.end)
		return damaged(err, t, "a row image", &c);
	if (absent.n && !restore_absent(t, absent, out)) {
		c = cursor_of(absent);
		return damaged(err, t, "the bitmap of absent columns", &c);
	}
	if (!unrepresentable.n)
		return 0;
	c = cursor_of(unrepresentable);
	if (!restore_unrepresentable(t, &c, out))
		return damaged(err, t, "the map of unrepresentable values", &c);
	return 0;
}

int avro_get_key(struct str key, const struct table *t, struct arena *arena, struct value *out,
		 struct error *err)
{
	struct cursor c = cursor_of(key);

	for (size_t k = 0; k < t->nkey; k++)
		get_value(&c, &t->columns[t->key[k]], arena, &out[k]);
	if (c.bad || c.p != c.end)
		return damaged(err, t, "a key", &c);
	return 0;
}
