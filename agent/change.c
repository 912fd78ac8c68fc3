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
