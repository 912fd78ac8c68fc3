/*
 * chunk.c - rows of a snapshot, encoded where they are read
 *
 * Key, image and unrepresentable values of each row follow each other in one buffer; an open
 * addressing table over the keys finds the rows that a change concerns.
 */
#include <stdlib.h>

#include "chunk.h"

struct chunk *chunk_new(const struct table *t)
{
	struct chunk *c = xcalloc(1, sizeof *c);

	c->table = t;
	return c;
}

void chunk_free(struct chunk *c)
{
	if (!c)
		return;
	buf_free(&c->bytes);
	avro_scratch_free(&c->scratch);
	free(c->rows);
	free(c->slots);
	free(c);
}

void chunk_add(struct chunk *c, const struct value *row)
{
	struct avro_scratch *s = &c->scratch;

	if (c->nrows == c->room) {
		c->room = c->room ? c->room * 2 : 1024;
		c->rows = xrealloc(c->rows, c->room * sizeof *c->rows);
	}
	buf_clear(&s->key);
	buf_clear(&s->after);
	avro_put_row(&s->after, c->table, row, &s->after_extra);
	struct chunk_row *r = &c->rows[c->nrows++];

	*r = (struct chunk_row){ .keyed = avro_put_key(&s->key, c->table, row) };
	r->at = (uint32_t)c->bytes.n;
	r->nkey = r->keyed ? (uint32_t)s->key.n : 0;
	buf_add(&c->bytes, s->key.p, r->nkey);
	r->nimage = (uint32_t)s->after.n;
	buf_add(&c->bytes, s->after.p, s->after.n);
	r->nextra = (uint32_t)s->after_extra.unrepresentable.n;
	buf_add(&c->bytes, s->after_extra.unrepresentable.p, r->nextra);
}

/* FNV-1a with a last mix: keys are short. */
uint64_t key_hash(struct str key)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (uint8_t)key.p[i]) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

void chunk_index(struct chunk *c)
{
	c->nslots = 16;
	while (c->nslots < c->nrows * 2)
		c->nslots *= 2;
	c->slots = xcalloc(c->nslots, sizeof *c->slots);
	for (size_t i = 0; i < c->nrows; i++) {
		const struct chunk_row *r = &c->rows[i];

		if (!r->keyed)
			continue;
		size_t at = key_hash(chunk_key(c, r)) & (c->nslots - 1);

		while (c->slots[at])
			at = (at + 1) & (c->nslots - 1);
		c->slots[at] = (uint32_t)i + 1;
	}
}

bool chunk_drop(struct chunk *c, struct str key)
{
	bool dropped = false;

	for (size_t at = key_hash(key) & (c->nslots - 1); c->slots[at];
	     at = (at + 1) & (c->nslots - 1)) {
		struct chunk_row *r = &c->rows[c->slots[at] - 1];

		if (r->dropped || !str_eq(chunk_key(c, r), key))
			continue;
		r->dropped = dropped = true;
		c->ndropped++;
	}
	return dropped;
}
