/*
 * splice.c - rules of the splice: see splice.h
 *
 * Until what a read could see is known, a window keeps each change with its transaction; from then
 * on only those keys that an unseen transaction changed, in a set; once the rows are there a
 * change marks the rows themselves.
 */
#include <stdlib.h>

#include "splice.h"

struct txn {
	struct change begin; /* xid, position, prefix: what sees() looks at */
};

struct noted {
	size_t key, nkey;
	size_t txn;                /* in the window's, until what the read sees is known */
	const struct table *table; /* the version that the change was of */
	bool keyed, absent, truncate;
};

struct window {
	struct splice *splice;
	struct splice_table *table;
	struct window *next;
	bool open;
	const char *spoiled;
	char *opened_at;
	uint64_t known,
		earlier; /* streamed before the window: the first of them that it has to see, their end */
	struct txn *txns;
	size_t ntxns, txns_room;
	struct noted *noted;
	size_t nnoted, noted_room;
	struct buf keys;
	uint32_t *slots; /* over noted, by key, once `seen` is known */
	size_t nslots;
	const struct table *version; /* of unseen changes */
	struct visibility *seen;
	struct chunk *rows;
};

struct splice_table {
	struct splice_table *next;
	struct splice *splice;
	char *schema, *name;
	struct window *windows;
	struct buf rereads; /* two size_t, key and old key, again and again */
};

struct splice {
	const struct copier_ops *ops;
	size_t set_bytes, earlier_most;
	unsigned rules;
	uint64_t generation;
	bool inside;         /* a transaction */
	bool told;           /* its BEGIN */
	struct buf resume;   /* empty: no boundary yet */
	struct change begin; /* of the transaction at hand */
	struct buf begin_prefix;
	/*
	 * Transactions streamed since the generation began, of whatever table: one that is loaded later is read by
	 * a copier that was opened earlier.  Counted from 0; those before `freed` are no longer kept, those before
	 * `known` are visible to every read that begins from now on.
	 */
	struct txn *streamed;
	size_t nstreamed, streamed_room;
	uint64_t freed, known;
	struct splice_table *tables;
	struct buf key, old_key;
};

struct splice *splice_new(const struct copier_ops *ops, size_t set_bytes, size_t earlier_most,
			  unsigned rules)
{
	struct splice *s = xcalloc(1, sizeof *s);

	s->ops = ops;
	s->set_bytes = set_bytes;
	s->earlier_most = earlier_most;
	s->rules = rules;
	s->generation = 1;
	s->inside = true; /* until the first boundary */
	return s;
}

static bool rule(const struct splice *s, enum splice_rule r)
{
	return s->rules & r;
}

static void txns_free(struct txn *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)t[i].begin.prefix.p);
}

void splice_free(struct splice *s)
{
	if (!s)
		return;
	while (s->tables)
		splice_remove(s, s->tables);
	txns_free(s->streamed, s->nstreamed);
	free(s->streamed);
	buf_free(&s->begin_prefix);
	buf_free(&s->resume);
	buf_free(&s->key);
	buf_free(&s->old_key);
	free(s);
}

/* --- tables --- */

struct splice_table *splice_add(struct splice *s, struct str schema, struct str name)
{
	struct splice_table *t = xcalloc(1, sizeof *t);

	t->splice = s;
	t->schema = xstrndup(schema.p, schema.n);
	t->name = xstrndup(name.p, name.n);
	t->next = s->tables;
	s->tables = t;
	return t;
}

struct splice_table *splice_find(const struct splice *s, struct str schema, struct str name)
{
	for (struct splice_table *t = s->tables; t; t = t->next)
		if (str_eqz(name, t->name) && str_eqz(schema, t->schema))
			return t;
	return NULL;
}

void splice_remove(struct splice *s, struct splice_table *t)
{
	for (struct window *w = t->windows; w; w = w->next) { /* whoever reads closes it */
		w->table = NULL;
		w->spoiled = "the table is no longer loaded";
	}
	for (struct splice_table **p = &s->tables; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	buf_free(&t->rereads);
	free(t->schema);
	free(t->name);
	free(t);
}

static void add_txn(struct txn **items, size_t *n, size_t *room, const struct change *begin)
{
	if (*n && position_same_transaction(&(*items)[*n - 1].begin.pos, &begin->pos))
		return;
	if (*n == *room) {
		*room = *room ? *room * 2 : 16;
		*items = xrealloc(*items, *room * sizeof **items);
	}
	struct txn *t = &(*items)[(*n)++];

	t->begin = (struct change){ .op = CHANGE_BEGIN, .pos = begin->pos, .xid = begin->xid };
	if (begin->prefix.p)
		t->begin.prefix =
			(struct str){ xstrndup(begin->prefix.p, begin->prefix.n), begin->prefix.n };
}

/* --- keys to read again --- */

static const struct str none = { NULL, 0 };

static void reread(struct splice_table *t, struct str key, struct str old)
{
	if (!rule(t->splice, RULE_REREAD))
		return;
	buf_add(&t->rereads, &key.n, sizeof key.n);
	buf_add(&t->rereads, &old.n, sizeof old.n);
	buf_add(&t->rereads, key.p, key.n);
	buf_add(&t->rereads, old.p, old.n);
}

bool splice_has_rereads(const struct splice_table *t)
{
	return t->rereads.n > 0;
}

void splice_take_rereads(struct splice_table *t,
			 void (*give)(void *arg, struct str key, struct str old), void *arg)
{
	const char *p = t->rereads.p;

	while (p < t->rereads.p + t->rereads.n) {
		struct str key, old;

		memcpy(&key.n, p, sizeof key.n);
		memcpy(&old.n, p + sizeof key.n, sizeof old.n);
		key.p = p + sizeof key.n + sizeof old.n;
		p = key.p + key.n + old.n;
		old.p = old.n ? key.p + key.n : NULL;
		give(arg, key, old);
	}
	buf_clear(&t->rereads);
}

/* --- what a window notes --- */

static void spoil(struct window *w, const char *why)
{
	if (!w->spoiled && rule(w->splice, RULE_SPOILED))
		w->spoiled = why;
}

static struct noted *find_noted(const struct window *w, struct str key)
{
	if (!w->nslots)
		return NULL;
	for (size_t at = key_hash(key) & (w->nslots - 1); w->slots[at];
	     at = (at + 1) & (w->nslots - 1)) {
		struct noted *n = &w->noted[w->slots[at] - 1];

		if (str_eq((struct str){ w->keys.p + n->key, n->nkey }, key))
			return n;
	}
	return NULL;
}

static void slot_put(struct window *w, size_t i)
{
	const struct noted *n = &w->noted[i];
	size_t at = key_hash((struct str){ w->keys.p + n->key, n->nkey }) & (w->nslots - 1);

	while (w->slots[at])
		at = (at + 1) & (w->nslots - 1);
	w->slots[at] = (uint32_t)i + 1;
}

static void index_noted(struct window *w)
{
	while (w->nslots < w->nnoted * 2 || !w->nslots)
		w->nslots = w->nslots ? w->nslots * 2 : 1024;
	free(w->slots);
	w->slots = xcalloc(w->nslots, sizeof *w->slots);
	for (size_t i = 0; i < w->nnoted; i++)
		slot_put(w, i);
}

static struct noted *append(struct window *w, const struct noted *what, struct str key)
{
	if (w->nnoted == w->noted_room) {
		w->noted_room = w->noted_room ? w->noted_room * 2 : 64;
		w->noted = xrealloc(w->noted, w->noted_room * sizeof *w->noted);
	}
	struct noted *n = &w->noted[w->nnoted++];

	*n = *what;
	n->key = w->keys.n;
	n->nkey = key.n;
	buf_add(&w->keys, key.p, key.n);
	return n;
}

/* A change by a transaction that the read could not see. */
static void unseen(struct window *w, const struct noted *what, struct str key)
{
	if (w->version && w->version != what->table)
		spoil(w, "its definition changed twice");
	w->version = what->table;
	if (what->truncate)
		spoil(w, "it was truncated");
	else if (!what->keyed)
		spoil(w, "a row without its key was changed");
	if (w->spoiled || what->truncate || !what->keyed || !rule(w->splice, RULE_CHANGED))
		return;
	if (w->rows) {
		if (chunk_drop(w->rows, key) && what->absent)
			reread(w->table, key, none);
		return;
	}
	struct noted *old = find_noted(w, key);

	if (old) {
		old->absent = old->absent || what->absent;
		return;
	}
	append(w, what, key);
	if (w->nnoted * 2 > w->nslots)
		index_noted(w);
	else
		slot_put(w, w->nnoted - 1);
}

static void note(struct window *w, const struct noted *what, struct str key)
{
	struct splice *s = w->splice;

	if (!w->open || w->spoiled)
		return;
	if (w->seen) {
		if (!s->ops->sees(w->seen, &s->begin))
			unseen(w, what, key);
		return;
	}
	add_txn(&w->txns, &w->ntxns, &w->txns_room, &s->begin);
	append(w, what, key)->txn = w->ntxns - 1;
}

bool splice_full(const struct splice *s)
{
	for (const struct splice_table *t = s->tables; t; t = t->next)
		for (const struct window *w = t->windows; w; w = w->next)
			if (w->open && !w->spoiled && !w->rows &&
			    w->keys.n + w->nnoted * sizeof *w->noted > s->set_bytes)
				return true;
	return false;
}

/* --- the stream --- */

static void forget_streamed(struct splice *s, uint64_t upto)
{
	size_t n = (size_t)(upto - s->freed);

	if (n == 0)
		return;
	txns_free(s->streamed, n);
	s->nstreamed -= n;
	memmove(s->streamed, s->streamed + n, s->nstreamed * sizeof *s->streamed);
	s->freed = upto;
}

static void new_generation(struct splice *s, const char *why)
{
	s->generation++;
	s->known = s->freed + s->nstreamed;
	forget_streamed(s, s->known);
	for (struct splice_table *t = s->tables; t; t = t->next)
		for (struct window *w = t->windows; w; w = w->next)
			if (!w->spoiled)
				w->spoiled = why;
}

void splice_reset(struct splice *s)
{
	new_generation(s, "the source was lost");
	s->inside = true;
	s->told = false;
	buf_clear(&s->resume);
}

uint64_t splice_generation(const struct splice *s)
{
	return s->generation;
}

void splice_begin(struct splice *s, const struct change *begin)
{
	s->inside = s->told = true;
	buf_clear(&s->begin_prefix);
	s->begin = (struct change){ .op = CHANGE_BEGIN, .pos = begin->pos, .xid = begin->xid };
	if (begin->prefix.p) {
		buf_add(&s->begin_prefix, begin->prefix.p, begin->prefix.n);
		s->begin.prefix = (struct str){ s->begin_prefix.p, s->begin_prefix.n };
	}
}

static bool has_absent(const struct change *c)
{
	for (size_t i = 0; c->after && i < c->table->ncolumns; i++)
		if (c->after[i].state == VALUE_ABSENT)
			return true;
	return false;
}

static void note_all(struct splice_table *t, const struct noted *what, struct str key)
{
	for (struct window *w = t->windows; w; w = w->next)
		note(w, what, key);
}

static void note_row(struct splice *s, struct splice_table *t, const struct change *c)
{
	struct noted what = { .table = c->table,
			      .absent = c->op == CHANGE_UPDATE && has_absent(c) };

	buf_clear(&s->key);
	buf_clear(&s->old_key);
	bool new_key =
		c->after && c->op != CHANGE_DELETE && avro_put_key(&s->key, c->table, c->after);
	bool old_key = c->before && avro_put_key(&s->old_key, c->table, c->before);
	struct str key = { s->key.p, s->key.n }, old = { s->old_key.p, s->old_key.n };
	bool moved = new_key && old_key && !str_eq(key, old);

	what.keyed = c->op == CHANGE_DELETE ? old_key : new_key;
	if (moved && what.absent)
		reread(t, key, old);
	note_all(t, &what, c->op == CHANGE_DELETE ? old : key);
	if (!moved || !rule(s, RULE_OLD_KEY))
		return;
	what.absent = false; /* nothing is left under the old key */
	note_all(t, &what, old);
}

void splice_change(struct splice *s, const struct change *c)
{
	struct splice_table *t =
		s->tables ? splice_find(s, c->table->schema, c->table->name) : NULL;

	if (!s->told)
		return; /* of a transaction that began before the stream was told: no window is open */
	if (!s->ops->holds) {
		add_txn(&s->streamed, &s->nstreamed, &s->streamed_room, &s->begin);
		if (s->nstreamed > s->earlier_most)
			new_generation(s, "too many transactions were noted");
	}
	if (!t)
		return;
	if (c->op == CHANGE_TRUNCATE) {
		struct noted what = { .table = c->table, .truncate = true };

		note_all(t, &what, (struct str){ NULL, 0 });
	} else {
		note_row(s, t, c);
	}
}

static void open_here(struct window *w)
{
	w->open = true;
	w->opened_at = w->splice->resume.n ? xstrdup(buf_z(&w->splice->resume)) : NULL;
	w->known = w->splice->known;
	w->earlier = w->splice->freed + w->splice->nstreamed;
}

bool splice_boundary(struct splice *s, const char *resume)
{
	bool opened = false;

	s->inside = false;
	buf_clear(&s->resume);
	buf_adds(&s->resume, resume);
	for (struct splice_table *t = s->tables; t; t = t->next)
		for (struct window *w = t->windows; w; w = w->next)
			if (!w->open) {
				open_here(w);
				opened = true;
			}
	return opened;
}

/* --- a window --- */

struct window *window_open(struct splice *s, struct splice_table *t)
{
	struct window *w = xcalloc(1, sizeof *w);

	w->splice = s;
	w->table = t;
	w->next = t->windows;
	t->windows = w;
	if (!s->inside || !rule(s, RULE_OPEN))
		open_here(w);
	return w;
}

bool window_is_open(const struct window *w)
{
	return w->open;
}

/* Every later read sees what this one saw; one that has begun already may have seen less. */
static void forget_earlier(struct window *w)
{
	struct splice *s = w->splice;
	uint64_t upto;

	if (s->known < w->earlier)
		s->known = w->earlier;
	upto = s->known;
	for (struct splice_table *t = s->tables; t; t = t->next)
		for (const struct window *o = t->windows; o; o = o->next)
			if (o->open && !o->spoiled && !o->seen && o->known < upto)
				upto = o->known;
	if (upto > s->freed)
		forget_streamed(s, upto);
}

static bool sees_earlier(const struct window *w, const struct visibility *seen)
{
	const struct copier_ops *ops = w->splice->ops;

	if (!rule(w->splice, RULE_EARLIER))
		return true;
	if (ops->holds)
		return !w->opened_at || ops->holds(seen, w->opened_at);
	for (uint64_t i = w->known; i < w->earlier; i++)
		if (!ops->sees(seen, &w->splice->streamed[i - w->splice->freed].begin))
			return false;
	return true;
}

bool window_sees(struct window *w, struct visibility *seen)
{
	const struct copier_ops *ops = w->splice->ops;

	if (!w->spoiled && !sees_earlier(w, seen)) {
		w->known = w->splice->known < w->earlier ? w->splice->known : w->earlier;
		ops->visibility_free(seen);
		return false;
	}
	w->seen = seen;
	if (!w->spoiled)
		forget_earlier(w);

	struct noted *noted = w->noted;
	struct buf keys = w->keys;
	size_t n = w->nnoted;

	w->noted = NULL;
	w->nnoted = w->noted_room = 0;
	w->keys = (struct buf){ 0 };
	index_noted(w);
	for (size_t i = 0; i < n; i++)
		if (!ops->sees(seen, &w->txns[noted[i].txn].begin))
			unseen(w, &noted[i], (struct str){ keys.p + noted[i].key, noted[i].nkey });
	free(noted);
	buf_free(&keys);
	return true;
}

void window_rows(struct window *w, struct chunk *rows)
{
	w->rows = rows;
	for (size_t i = 0; rows && w->table && i < w->nnoted; i++) {
		struct str key = { w->keys.p + w->noted[i].key, w->noted[i].nkey };

		if (chunk_drop(rows, key) && w->noted[i].absent)
			reread(w->table, key, none);
	}
	w->nnoted = 0;
	buf_free(&w->keys);
	free(w->slots);
	w->slots = NULL;
	w->nslots = 0;
}

const char *window_spoiled(const struct window *w)
{
	if (!w->spoiled && w->rows && w->version && w->version != w->rows->table &&
	    rule(w->splice, RULE_SPOILED))
		return "its definition changed";
	return w->spoiled;
}

bool window_ready(const struct window *w)
{
	struct splice *s = w->splice;

	if (!w->rows || s->inside || window_spoiled(w))
		return false;
	return !rule(s, RULE_REACHED) ||
	       (s->resume.n && s->ops->reached(w->seen, buf_z(&s->resume)));
}

struct chunk *window_chunk(struct window *w)
{
	return w->rows;
}

const struct visibility *window_seen(const struct window *w)
{
	return w->seen;
}

void window_close(struct window *w)
{
	struct splice_table *t = w->table;

	for (struct window **p = t ? &t->windows : NULL; p && *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	if (w->seen)
		w->splice->ops->visibility_free(w->seen);
	chunk_free(w->rows);
	txns_free(w->txns, w->ntxns);
	free(w->txns);
	free(w->noted);
	free(w->slots);
	free(w->opened_at);
	buf_free(&w->keys);
	free(w);
}
