/*
 * pg_fixture.h - a catalog of types for the tests of PostgreSQL's decoders
 */
#ifndef PG_FIXTURE_H
#define PG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error; a test fails with FAIL() */
#include "../../sources/pg_values.h"

#define FAIL(...)                                                     \
	do {                                                          \
		print_error(__VA_ARGS__);                             \
		print_error("\n");                                    \
		_fail(__FILE__, __LINE__);                            \
	} while (0)

/* How pg_vectors.h names the two types that the server numbered. */
#define VECTOR_MOOD  100001
#define VECTOR_PRICE 100003

enum {
	T_MOOD = VECTOR_MOOD, /* enum public.mood */
	T_COST = 100002,      /* domain over numeric(12,2) */
	T_PRICE = VECTOR_PRICE, /* domain over T_COST */
	T_MOODS = 100004,     /* mood[] */
	T_COSTS = 100005,     /* cost[] */
	T_TAGS = 100006,      /* domain over text[] */
	T_TAGSES = 100007,    /* tags[] */
	T_POINT = 100008,     /* composite public.pair */
	T_GEOMETRY = 100009,  /* base type with delimiter ':' */
	T_GEOMETRIES = 100010,
	T_LOOP = 100011,      /* domain over itself */
	T_FEELING = 100012,   /* domain over mood */
	T_GONES = 100013,     /* array whose element type is gone */
	T_RANGE = 3904,       /* int4range: not in our own list */
	T_GONE = 199999,
};

static const struct pg_type fixture_types[] = {
	{ T_MOOD, "public.mood", 'e', 0, -1, 0, ',' },
	{ T_COST, "public.cost", 'd', PG_NUMERIC, (12 << 16 | 2) + 4, 0, ',' },
	{ T_PRICE, "public.price", 'd', T_COST, -1, 0, ',' },
	{ T_MOODS, "public._mood", 'b', 0, -1, T_MOOD, ',' },
	{ T_COSTS, "public._cost", 'b', 0, -1, T_COST, ',' },
	{ T_TAGS, "public.tags", 'd', 1009, -1, 0, ',' },
	{ T_TAGSES, "public._tags", 'b', 0, -1, T_TAGS, ',' },
	{ T_POINT, "public.pair", 'c', 0, -1, 0, ',' },
	{ T_GEOMETRY, "gis.geometry", 'b', 0, -1, 0, ':' },
	{ T_GEOMETRIES, "gis._geometry", 'b', 0, -1, T_GEOMETRY, ':' },
	{ T_LOOP, "public.loop", 'd', T_LOOP, -1, 0, ',' },
	{ T_FEELING, "public.feeling", 'd', T_MOOD, -1, 0, ',' },
	{ T_GONES, "public._gone", 'b', 0, -1, T_GONE, ',' },
	{ T_RANGE, "int4range", 'r', 0, -1, 0, ',' },
};

/* What the catalog answers besides; zero is a healthy catalog where everything is captured. */
struct fixture_catalog {
	bool down;		 /* every question: ERR_RETRY */
	uint32_t not_selected;	 /* relation OID */
	const char *primary_key; /* one column's name, or NULL: none */
	unsigned asked;
};

static inline int fixture_type(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	struct fixture_catalog *f = ctx;

	f->asked++;
	if (f->down)
		return fail(err, ERR_RETRY, "catalog down");
	for (size_t i = 0; i < COUNT(fixture_types); i++) {
		if (fixture_types[i].oid == oid) {
			*out = fixture_types[i];
			return 1;
		}
	}
	return 0;
}

static inline int fixture_primary_key(void *ctx, uint32_t relation, const struct str *names, size_t n,
				      bool *key, struct error *err)
{
	struct fixture_catalog *f = ctx;
	int found = 0;

	(void)relation;
	if (f->down)
		return fail(err, ERR_RETRY, "catalog down");
	for (size_t i = 0; i < n; i++) {
		key[i] = f->primary_key && str_eqz(names[i], f->primary_key);
		found |= key[i];
	}
	return found;
}

static inline int fixture_selected(void *ctx, uint32_t relation, struct str schema, struct str name,
				   struct error *err)
{
	struct fixture_catalog *f = ctx;

	(void)schema;
	(void)name;
	if (f->down)
		return fail(err, ERR_RETRY, "catalog down");
	return relation != f->not_selected;
}

static inline struct pgoutput_catalog fixture_catalog(struct fixture_catalog *f)
{
	return (struct pgoutput_catalog){ f, fixture_type, fixture_primary_key, fixture_selected };
}

/* The column of a type, in `a`. */
static inline struct column fixture_column(uint32_t oid, int32_t mod, struct arena *a)
{
	struct fixture_catalog f = { 0 };
	struct pgoutput_catalog catalog = fixture_catalog(&f);
	struct column c = { .name = STR("x") };
	struct error err = { 0 };

	if (pg_column_type(&catalog, oid, mod, STR(""), a, &c, &err))
		FAIL("%s", err.text);
	return c;
}

static inline void assert_str(struct str got, const char *want)
{
	if (got.n != strlen(want) || memcmp(got.p, want, got.n) != 0)
		FAIL("got \"%.*s\", expected \"%s\"", (int)got.n, got.p, want);
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		FAIL("\"%s\" does not contain \"%s\"", text, part);
}

#endif
