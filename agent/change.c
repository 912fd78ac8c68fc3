/*
 * change.c - the batch that owns what one read() of a source gave
 */
#include <stdlib.h>

#include "change.h"

struct change *batch_add(struct batch *b, enum change_op op, const struct table *t,
			 struct position pos)
{
	if (b->nchanges == b->room) {
		b->room = b->room ? b->room * 2 : 256;
		b->changes = xrealloc(b->changes, b->room * sizeof *b->changes);
	}
	struct change *c = &b->changes[b->nchanges++];

	*c = (struct change){ .op = op, .table = t, .pos = pos };
	return c;
}

struct value *batch_row(struct batch *b, const struct table *t)
{
	_Static_assert(VALUE_ABSENT == 0, "a zeroed value is absent");
	return arena_zalloc(&b->arena, t->ncolumns * sizeof(struct value));
}

void batch_empty(struct batch *b)
{
	arena_reset(&b->arena);
	b->nchanges = 0;
}

void batch_free(struct batch *b)
{
	arena_free(&b->arena);
	free(b->changes);
	*b = (struct batch){ 0 };
}

/* Years are counted from March, so that the leap day is a year's last. */
int64_t value_days(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

unsigned value_month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month];
}

struct str value_decimal(struct arena *a, int64_t unscaled)
{
	char *p = arena_alloc(a, sizeof unscaled);
	uint64_t wire = htobe64((uint64_t)unscaled);
	/* Whole bytes that repeat the sign, but for one bit of it. */
	size_t same = (size_t)__builtin_clrsbll(unscaled) / 8;

	memcpy(p, &wire, sizeof wire);
	return (struct str){ p + same, sizeof wire - same };
}
