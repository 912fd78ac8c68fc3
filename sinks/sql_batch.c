/*
 * sql_batch.c - changes of one table put together before they are sent: one a key
 */
#include <stdlib.h>
#include <string.h>

#include "sql_batch.h"

/* FNV-1a; keys are short. */
static uint64_t hash_of(struct str key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (uint8_t)key.p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static void index_put(struct sql_batch *b, uint32_t slot)
{
	size_t i = b->slots[slot].hash & (b->index_room - 1);

	while (b->index[i])
		i = (i + 1) & (b->index_room - 1);
	b->index[i] = slot + 1;
}

static void index_grow(struct sql_batch *b)
{
	b->index_room = b->index_room ? 2 * b->index_room : 64;
	free(b->index);
	b->index = xcalloc(b->index_room, sizeof *b->index);
	for (size_t i = 0; i < b->nslots; i++)
		index_put(b, (uint32_t)i);
}

/* The key's slot; a new one says nothing of the key. */
static struct sql_slot *slot_get(struct sql_batch *b, struct str key)
{
	uint64_t hash = hash_of(key);

	if (b->index_room < 2 * (b->nslots + 1))
		index_grow(b);
	for (size_t i = hash & (b->index_room - 1); b->index[i];
	     i = (i + 1) & (b->index_room - 1)) {
		struct sql_slot *s = &b->slots[b->index[i] - 1];

		if (s->hash == hash && str_eq(s->key, key))
			return s;
	}
	if (b->nslots == b->room) {
		b->room = b->room ? 2 * b->room : 32;
		b->slots = xrealloc(b->slots, b->room * sizeof *b->slots);
	}
	b->slots[b->nslots] = (struct sql_slot){ .key = key, .hash = hash };
	index_put(b, (uint32_t)b->nslots);
	return &b->slots[b->nslots++];
}

static struct sql_item *row_add(struct sql_batch *b, const struct sql_item *item)
{
	if (b->nrows == b->rows_room) {
		b->rows_room = b->rows_room ? 2 * b->rows_room : 32;
		b->rows = xrealloc(b->rows, b->rows_room * sizeof *b->rows);
	}
	b->rows[b->nrows] = *item;
	return &b->rows[b->nrows++];
}

/* `after` with what it lacks taken from an older row. */
static const struct value *merge(const struct sql_batch_rules *r, const struct value *after,
				 const struct value *older)
{
	size_t n = r->table->ncolumns;
	struct value *out = arena_alloc(r->arena, n * sizeof *out);

	for (size_t i = 0; i < n; i++)
		out[i] = after[i].state == VALUE_ABSENT ? older[i] : after[i];
	return out;
}

/* Does the event's old row mean the top, rather than the base that it covers? */
static bool means_top(const struct sql_slot *s, const struct sql_change *c)
{
	if (!s->has_top || !c->full_before || !s->image.p)
		return s->has_top;
	return str_eq(s->image, c->e->before);
}

/* A second row that stood under the key at the target: one was sent over the other earlier. */
static bool second_base(const struct sql_slot *s, const struct sql_change *c)
{
	return c->full_before && s->base == BASE_GONE && !means_top(s, c);
}

static void put_top(struct sql_slot *s, const struct sql_change *c, bool fresh)
{
	s->top = c->item;
	s->top.key = NULL;
	s->image = c->partial ? (struct str){ NULL, 0 } : c->e->after;
	s->has_top = true;
	s->fresh = fresh;
}

/* The base is the row that the top shows now: it goes when the top goes. */
static void consume(struct sql_slot *s, const struct sql_change *c)
{
	s->base = BASE_GONE;
	s->below = c->item;
}

/* Would a row come over another that is live, and known here only? */
static bool covers(const struct sql_slot *s, const struct sql_change *c)
{
	return c->full_before && s->has_top && !s->top.deleted;
}

/* The old row leaves its key, by a delete or a move. */
static void take_away(struct sql_slot *s, const struct sql_change *c)
{
	if (means_top(s, c)) {
		s->has_top = false;
		/* Under a key that holds at all times nothing else can stand there. */
		if (c->full_before)
			return;
	}
	s->fresh = false;
	consume(s, c);
}

static enum sql_added add_new(struct sql_batch *b, const struct sql_batch_rules *r,
			      const struct sql_change *c)
{
	struct sql_slot *s = slot_get(b, c->e->key);
	bool fresh = r->plain && c->e->op == CHANGE_INSERT && s->base == BASE_THERE && !s->has_top;

	if (covers(s, c))
		return SQL_AGAIN;
	put_top(s, c, fresh);
	if (c->e->op == CHANGE_READ) /* that row itself, as it is by now */
		consume(s, c);
	return SQL_ADDED;
}

static enum sql_added add_delete(struct sql_batch *b, const struct sql_batch_rules *r,
				 const struct sql_change *c)
{
	struct sql_slot *s = slot_get(b, c->e->key);

	if (second_base(s, c))
		return SQL_AGAIN;
	if (!r->soft) {
		take_away(s, c);
		return SQL_ADDED;
	}
	if (s->base == BASE_PATCHED && !s->has_top)
		return SQL_ALONE; /* what was changed before stays to be seen */
	if (means_top(s, c)) {
		s->top.deleted = true;
		s->top.time = c->item.time;
		s->top.index = c->item.index;
		return SQL_ADDED;
	}
	s->base = BASE_MARKED;
	s->below = c->item;
	return SQL_ADDED;
}

static enum sql_added move(struct sql_batch *b, const struct sql_batch_rules *r,
			   const struct sql_change *c)
{
	struct sql_slot *old = slot_get(b, c->e->old_key);
	struct sql_change whole = *c;

	if (c->partial) {
		if (!means_top(old, c))
			return old->base == BASE_GONE ? SQL_MISSING : SQL_ALONE;
		whole.item.after = merge(r, c->item.after, old->top.after);
	}
	if (second_base(old, c) || covers(slot_get(b, c->e->key), c))
		return SQL_AGAIN;
	old = slot_get(b, c->e->old_key);

	bool fresh = means_top(old, c) && old->fresh && !c->full_before;

	take_away(old, c);

	struct sql_slot *s = slot_get(b, c->e->key);

	put_top(s, &whole, fresh && s->base == BASE_THERE && !s->has_top);
	return SQL_ADDED;
}

static enum sql_added add_update(struct sql_batch *b, const struct sql_batch_rules *r,
				 const struct sql_change *c)
{
	if (c->e->old_key.p)
		return move(b, r, c);

	struct sql_slot *s = slot_get(b, c->e->key);
	bool top = means_top(s, c);

	if (second_base(s, c))
		return SQL_AGAIN;
	if (s->has_top && !top)
		return SQL_ALONE; /* both rows live on under one key for now */
	if (!c->partial) {
		put_top(s, c, top && s->fresh);
		if (!top)
			consume(s, c);
		return SQL_ADDED;
	}
	if (top) {
		struct sql_change whole = *c;

		whole.item.after = merge(r, c->item.after, s->top.after);
		put_top(s, &whole, s->fresh);
		return SQL_ADDED;
	}
	if (s->base == BASE_GONE || s->base == BASE_MARKED)
		return SQL_MISSING;
	const struct value *older = s->base == BASE_PATCHED ? s->below.after : NULL;

	s->below = c->item;
	if (older)
		s->below.after = merge(r, c->item.after, older);
	s->base = BASE_PATCHED;
	return SQL_ADDED;
}

/* --- history: nothing is put together, each version ends where the next begins --- */

static void end_version(struct sql_batch *b, struct str key, const struct sql_change *c)
{
	struct sql_slot *s = slot_get(b, key);

	if (s->has_top) {
		b->rows[s->top.index].until = c->item.time;
		s->has_top = false;
	} else if (s->base != BASE_GONE) {
		s->base = BASE_GONE;
		s->below = c->item;
	}
}

static enum sql_added add_version(struct sql_batch *b, const struct sql_batch_rules *r,
				  const struct sql_change *c)
{
	struct str old = c->e->old_key.p ? c->e->old_key : c->e->key;
	struct sql_item item = c->item;

	if (c->e->op == CHANGE_DELETE) {
		end_version(b, old, c);
		return SQL_ADDED;
	}
	if (c->partial) {
		struct sql_slot *s = slot_get(b, old);

		if (!s->has_top)
			return s->base == BASE_GONE ? SQL_MISSING : SQL_ALONE;
		item.after = merge(r, c->item.after, b->rows[s->top.index].after);
	}
	end_version(b, old, c);
	if (c->e->old_key.p)
		end_version(b, c->e->key, c);

	struct sql_slot *s = slot_get(b, c->e->key);

	item.key = NULL;
	item.until = SQL_OPEN;
	s->has_top = true;
	s->top.index = b->nrows; /* here: of the row, not of the event */
	row_add(b, &item);
	return SQL_ADDED;
}

enum sql_added sql_batch_add(struct sql_batch *b, const struct sql_batch_rules *r,
			     const struct sql_change *c)
{
	bool fresh = c->e->op == CHANGE_INSERT || c->e->op == CHANGE_READ;

	if (c->e->op == CHANGE_DELETE && r->ignore)
		return SQL_ADDED;
	if (!r->table->nkey) {
		if (!fresh)
			return SQL_ALONE;
		row_add(b, &c->item)->until = SQL_OPEN;
		return SQL_ADDED;
	}
	if (r->history)
		return add_version(b, r, c);
	if (fresh)
		return add_new(b, r, c);
	return c->e->op == CHANGE_DELETE ? add_delete(b, r, c) : add_update(b, r, c);
}

bool sql_batch_empty(const struct sql_batch *b)
{
	return b->nslots == 0 && b->nrows == 0;
}

void sql_batch_clear(struct sql_batch *b)
{
	b->nslots = b->nrows = 0;
	if (b->index_room)
		memset(b->index, 0, b->index_room * sizeof *b->index);
}

void sql_batch_free(struct sql_batch *b)
{
	free(b->slots);
	free(b->index);
	free(b->rows);
	*b = (struct sql_batch){ 0 };
}
