/*
 * avro_fixture.h - tables and rows of every type, from a seeded generator
 */
#ifndef AVRO_FIXTURE_H
#define AVRO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* ours is another */

#include "avro.h"

#define test_failed(...)                                                                           \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

static const struct tables_config fixture_config = { "erp", "postgresql", "shop", NULL, 0 };

/* A column as a draft has it. */
static inline struct column fixture_column(const char *name, enum column_type type, int key)
{
	return (struct column){ .name = str_z(name),
				.type = type,
				.key = key,
				.native = str_z("some type"),
				.native_mod = -1,
				.nullable = true };
}

static inline struct table fixture_draft(const char *schema, const char *name,
					 struct column *columns, size_t n)
{
	return (struct table){ .schema = str_z(schema),
			       .name = str_z(name),
			       .columns = columns,
			       .ncolumns = n,
			       .replica_identity = 'd' };
}

static inline const struct table *fixture_define(struct tables *t, const struct table *draft)
{
	struct error err = { 0 };
	const struct table *v = tables_define(t, draft, &err);

	if (!v)
		test_failed("%s\n", err.text);
	return v;
}

/* A table whose columns are of random types, the first n_key of them its key. */
static inline const struct table *fixture_random_table(struct tables *t, struct rng *r,
						       struct arena *a, unsigned number)
{
	size_t n = 1 + rng_below(r, 20), n_key = rng_below(r, 4);
	struct column *columns = arena_zalloc(a, n * sizeof *columns);

	for (size_t i = 0; i < n; i++) {
		struct column *c = &columns[i];

		*c = fixture_column(arena_printf(a, "c%zu", i), (enum column_type)rng_below(r, 16),
				    0);
		c->key = i < n_key ? (int)i + 1 : 0;
		c->element = (enum column_type)rng_below(r, 15);
		c->precision = 1 + (int)rng_below(r, 60);
		c->scale = (int)rng_below(r, (uint64_t)c->precision + 1);
	}
	struct table draft =
		fixture_draft("public", arena_printf(a, "random_%u", number), columns, n);

	return fixture_define(t, &draft);
}

static inline struct str fixture_text(struct rng *r, struct arena *a)
{
	static const char *const pieces[] = {
		"a", "Z", " ", "\"", "\\", "\n", "0", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x98"
	};
	struct buf b = { 0 };

	for (uint64_t n = rng_below(r, 4) ? rng_below(r, 12) : rng_below(r, 400); n; n--)
		buf_adds(&b, pieces[rng_below(r, COUNT(pieces))]);
	struct str s = arena_copy(a, (struct str){ b.p ? b.p : "", b.n });

	buf_free(&b);
	return s;
}

static inline struct str fixture_decimal_text(struct rng *r, struct arena *a, int precision,
					      int scale)
{
	struct buf b = { 0 };
	int digits = (int)rng_below(r, (uint64_t)(precision - scale) + 1);

	if (rng_below(r, 2))
		buf_addc(&b, '-');
	buf_addc(&b, '0');
	for (int i = 0; i < digits; i++)
		buf_addc(&b, (char)('0' + rng_below(r, 10)));
	if (scale)
		buf_addc(&b, '.');
	for (int i = 0; i < scale; i++)
		buf_addc(&b, (char)('0' + rng_below(r, 10)));
	struct str s = arena_copy(a, (struct str){ b.p, b.n });

	buf_free(&b);
	return s;
}

/* Integers of every length, the extremes among them. */
static inline int64_t fixture_int(struct rng *r, int64_t min, int64_t max)
{
	uint64_t bits = rng_below(r, 65);
	int64_t v = bits == 0 ? 0 : (int64_t)(rng_next(r) >> (64 - bits));

	if (bits == 64)
		return rng_below(r, 2) ? min : max;
	if (rng_below(r, 2))
		v = -v;
	return v < min || v > max ? min + (int64_t)(rng_next(r) % (uint64_t)(max - min)) : v;
}

#define FIXTURE_DAY_US INT64_C(86400000000)
#define FIXTURE_DAY_0  INT64_C(-719162) /* 0001-01-01 */
#define FIXTURE_DAY_N  INT64_C(2932896) /* 9999-12-31 */

static inline void fixture_scalar(struct rng *r, struct arena *a, const struct column *c,
				  enum column_type type, struct value *v)
{
	static const double doubles[] = { 0, -0.0, 1, -1.5, 1e300, 5e-324, 0.1, 1.0 / 3 };

	v->state = VALUE_SET;
	switch (type) {
	case COL_BOOL:
		v->b = rng_below(r, 2);
		break;
	case COL_INT32:
		v->i = fixture_int(r, INT32_MIN, INT32_MAX);
		break;
	case COL_INT64:
		v->i = fixture_int(r, -INT64_MAX / 2, INT64_MAX / 2);
		if (rng_below(r, 8) == 0)
			v->i = rng_below(r, 2) ? INT64_MIN : INT64_MAX;
		break;
	case COL_UINT64:
		v->u = rng_below(r, 8) ? rng_next(r) >> rng_below(r, 64) : UINT64_MAX;
		break;
	case COL_FLOAT:
		v->d = (double)(float)(rng_below(r, 2) ? (double)rng_next(r) / 1e9 : -0.1);
		break;
	case COL_DOUBLE:
		v->d = doubles[rng_below(r, COUNT(doubles))];
		break;
	case COL_DECIMAL:
		if (!decimal_parse(fixture_decimal_text(r, a, c->precision, c->scale), c->precision,
				   c->scale, a, &v->s))
			test_failed("a decimal does not fit\n");
		break;
	case COL_DATE:
		v->i = fixture_int(r, FIXTURE_DAY_0, FIXTURE_DAY_N);
		break;
	case COL_TIME:
		v->i = fixture_int(r, 0, FIXTURE_DAY_US - 1);
		break;
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		v->i = fixture_int(r, FIXTURE_DAY_0 * FIXTURE_DAY_US,
				   FIXTURE_DAY_N * FIXTURE_DAY_US);
		break;
	case COL_UUID:
		v->s = str_z(arena_printf(a, "%08x-0000-4000-8000-%012llx",
					  (unsigned)rng_below(r, UINT32_MAX),
					  (unsigned long long)rng_below(r, 1ull << 48)));
		break;
	default:
		v->s = fixture_text(r, a);
	}
}

static inline void fixture_value(struct rng *r, struct arena *a, const struct column *c,
				 struct value *v)
{
	if (c->type != COL_ARRAY) {
		fixture_scalar(r, a, c, c->type, v);
		return;
	}
	size_t n = rng_below(r, 6);
	struct value *items = arena_zalloc(a, n * sizeof *items);
	struct array *array = arena_alloc(a, sizeof *array);

	for (size_t i = 0; i < n; i++) {
		if (rng_below(r, 4))
			fixture_scalar(r, a, c, c->element, &items[i]);
		else
			items[i].state = VALUE_NULL;
	}
	*array = (struct array){ n, items };
	v->state = VALUE_SET;
	v->a = array;
}

/* whole: no column absent or unrepresentable, and the key's columns not null. */
static inline struct value *fixture_row(struct rng *r, struct arena *a, const struct table *t,
					bool whole)
{
	struct value *row = arena_zalloc(a, t->ncolumns * sizeof *row);

	for (size_t i = 0; i < t->ncolumns; i++) {
		uint64_t state = rng_below(r, 10);

		if (state < 2 && !(whole && t->columns[i].key)) {
			row[i].state = VALUE_NULL;
		} else if (state == 2 && !whole) {
			row[i].state = VALUE_ABSENT;
		} else if (state == 3 && !whole) {
			row[i].state = VALUE_UNREPRESENTABLE;
			row[i].s = fixture_text(r, a);
		} else {
			fixture_value(r, a, &t->columns[i], &row[i]);
		}
	}
	return row;
}

#endif
