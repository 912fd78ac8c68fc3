/*
 * sql_apply.c - events to batches, batches to work for the dialect
 *
 * What waits for a table is sent in this order: rows that go, columns that change, rows that may be there,
 * new rows.  A table's batch is sent before a change that cannot wait in it, and before another table's
 * where foreign keys are looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "loading.h"
#include "log.h"
#include "metric.h"
#include "sql_sink.h"

#define ALL ((struct str){ NULL, 0 })

/* One event on its way. */
struct apply {
	struct sql_sink *k;
	struct sql_version *v;
	struct sql_place *p;
	struct sql_change c;
};

static bool is_soft(const struct sql_sink *k)
{
	return k->set->deletes == DELETES_SOFT;
}

/* --- values --- */

static int refuse(const struct table *t, size_t i, const struct value *v, struct error *err)
{
	return fail(err, ERR_REJECT,
		    "column %.*s of %.*s.%.*s (%.*s) holds %.*s, which cannot be "
		    "represented%s",
		    STR_FMT(t->columns[i].name), STR_FMT(t->schema), STR_FMT(t->name),
		    STR_FMT(t->columns[i].native), v->s.n > 80 ? 80 : (int)v->s.n, v->s.p,
		    t->columns[i].key ? " as part of the key" : "; see unrepresentable =");
}

static void tell_null(struct apply *a, size_t i)
{
	AUTO(buf) struct buf name = { 0 };
	struct str column = a->v->table->columns[i].name;

	if (a->p->told_null)
		return;
	a->p->told_null = true;
	buf_add(&name, column.p, column.n);
	log_warning("value cannot be represented and becomes NULL", "sink", a->k->ctx.sink->name,
		    "table", a->p->full, "column", buf_z(&name), NULL);
}

/* Values that Avro could not hold: as the target's column can take them, or by policy. */
static int check_values(struct apply *a, struct value *values, struct error *err)
{
	struct sql_sink *k = a->k;
	const struct table *t = a->v->table;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (values[i].state != VALUE_UNREPRESENTABLE || k->dialect->takes_text(k, a->v, i))
			continue;
		if (k->set->unrepresentable == UNREPRESENTABLE_REJECT || t->columns[i].key)
			return refuse(t, i, &values[i], err);
		if (k->set->unrepresentable == UNREPRESENTABLE_TEXT) {
			if (!a->v->text[i] && sql_add_text(k, a->v, i, err))
				return -1;
		} else {
			tell_null(a, i);
		}
	}
	return 0;
}

/* Text with NULs where the target has none of it: its text shows them as \\0. */
static bool hide_nuls(struct apply *a, struct value *values)
{
	const struct table *t = a->v->table;
	bool found = false;

	for (size_t i = 0; a->k->dialect->no_nul && i < t->ncolumns; i++) {
		struct value *v = &values[i];
		bool is_text = t->columns[i].type == COL_TEXT || t->columns[i].type == COL_JSON;
		size_t n = 0;

		if (!is_text || v->state != VALUE_SET || !memchr(v->s.p, '\0', v->s.n))
			continue;
		char *shown = arena_alloc(&a->k->arena, 2 * v->s.n);

		for (size_t j = 0; j < v->s.n; j++) {
			if (!v->s.p[j])
				shown[n++] = '\\';
			shown[n++] = v->s.p[j] ? v->s.p[j] : '0';
		}
		*v = (struct value){ .state = VALUE_UNREPRESENTABLE, .s = { shown, n } };
		found = true;
	}
	return found;
}

static int need_key(const struct table *t, struct str key, struct arena *arena,
		    const struct value **out, struct error *err)
{
	if (!key.p)
		return fail(
			err, ERR_REJECT,
			"a row of %.*s.%.*s comes without its key: a key column is not in the log "
			"or holds a value that its type cannot hold",
			STR_FMT(t->schema), STR_FMT(t->name));
	struct value *values = arena_alloc(arena, t->nkey * sizeof *values);

	*out = values;
	return avro_get_key(key, t, arena, values, err);
}

/* The new row; key columns that the log left out of the image come from the key. */
static int read_after(struct apply *a, struct error *err)
{
	const struct event *e = a->c.e;
	const struct table *t = a->v->table;
	struct arena *arena = &a->k->arena;
	struct value *values = arena_alloc(arena, (t->ncolumns + 1) * sizeof *values);
	const struct value *key;

	if (avro_get_row(e->after, t, e->absent, e->unrepresentable, arena, values, err))
		return -1;
	for (size_t i = 0; e->absent.n && i < t->ncolumns; i++)
		a->c.partial |= event_bit(e->absent, i) && !t->columns[i].key;
	for (size_t j = 0; e->absent.n && e->key.p && j < t->nkey; j++) {
		if (values[t->key[j]].state != VALUE_ABSENT)
			continue;
		if (need_key(t, e->key, arena, &key, err))
			return -1;
		for (size_t i = 0; i < t->nkey; i++)
			values[t->key[i]] = key[i];
		break;
	}
	a->c.item.after = values;
	if (hide_nuls(a, values) || e->unrepresentable.n)
		return check_values(a, values, err);
	return 0;
}

static bool has_full_before(const struct event *e, const struct table *t)
{
	for (size_t i = 0; e->absent_before.n && i < t->ncolumns; i++)
		if (event_bit(e->absent_before, i))
			return false;
	return e->before.p != NULL;
}

static int read_before(struct apply *a, struct error *err)
{
	const struct event *e = a->c.e;
	const struct table *t = a->v->table;
	struct value *values = arena_alloc(&a->k->arena, (t->ncolumns + 1) * sizeof *values);

	a->c.item.before = values;
	if (avro_get_row(e->before, t, e->absent_before, e->unrepresentable_before, &a->k->arena,
			 values, err))
		return -1;
	hide_nuls(a, values);
	return 0;
}

/* The event's old and new row, typed. */
static int decode(struct apply *a, struct error *err)
{
	const struct event *e = a->c.e;
	const struct table *t = a->v->table;
	bool is_new = e->op == CHANGE_INSERT || e->op == CHANGE_READ;
	bool full = !is_new && has_full_before(e, t);
	bool postgres = strcmp(tables_connector(a->k->ctx.tables), "postgresql") == 0;

	if (e->op != CHANGE_DELETE && read_after(a, err))
		return -1;
	if (is_new && a->c.partial)
		return fail(err, ERR_REJECT,
			    "a new row of %.*s.%.*s comes without all of its columns",
			    STR_FMT(t->schema), STR_FMT(t->name));
	if (!t->nkey && !is_new && !full)
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s has no key and the log does not carry its old rows; run at "
			    "the source: ALTER TABLE \"%.*s\".\"%.*s\" REPLICA IDENTITY FULL",
			    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(t->schema),
			    STR_FMT(t->name));
	/* A deferrable key is never a replica identity: its rows come complete.  Other servers have none. */
	a->c.full_before = postgres && (full || e->op == CHANGE_INSERT);
	if (full && (!t->nkey || postgres) && read_before(a, err))
		return -1;
	if (!t->nkey)
		return 0;
	if (is_new)
		return e->key.p ? 0 : need_key(t, e->key, &a->k->arena, &a->c.item.key, err);
	return need_key(t, e->old_key.p ? e->old_key : e->key, &a->k->arena, &a->c.item.key, err);
}

/* --- work --- */

static int64_t work(struct sql_sink *k, struct sql_version *v, enum sql_kind kind,
		    const struct sql_item *const *items, size_t n, struct str absent,
		    struct error *err)
{
	const struct sql_work w = { .kind = kind, .items = items, .n = n, .absent = absent };

	if (n == 0)
		return 0;
	k->dirty = true;
	return k->dialect->work(k, v, &w, err);
}

static int not_found(struct sql_sink *k, struct sql_version *v, uint64_t n, struct error *err)
{
	const struct table *t = v->table;

	if (!loading_has(k->ctx.loading, t))
		return fail(err, ERR_REJECT,
			    "an update of %.*s.%.*s does not carry all columns and table %s has no "
			    "such row; load the table again",
			    STR_FMT(t->schema), STR_FMT(t->name), v->place->full);
	metric_add(v->place->skipped, n);
	if (!v->place->told_skipped)
		log_warning("updates without all columns skipped: their rows are not at the target",
			    "sink", k->ctx.sink->name, "table", v->place->full, NULL);
	v->place->told_skipped = true;
	return 0;
}

static void list_room(struct sql_sink *k, size_t n)
{
	if (k->list_room >= n)
		return;
	k->list_room = n;
	k->list = xrealloc(k->list, n * sizeof *k->list);
}

enum pick { PICK_REMOVE, PICK_MARK, PICK_UPSERT, PICK_INSERT };

static bool is_picked(const struct sql_slot *s, enum pick what)
{
	switch (what) {
	case PICK_REMOVE:
		return s->base == BASE_GONE && !s->has_top;
	case PICK_MARK:
		return s->base == BASE_MARKED && !s->has_top;
	case PICK_UPSERT:
		return s->has_top && !s->fresh;
	case PICK_INSERT:
		return s->has_top && s->fresh;
	}
	return false;
}

static size_t pick(struct sql_sink *k, const struct sql_batch *b, enum pick what)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nslots; i++) {
		const struct sql_slot *s = &b->slots[i];

		if (is_picked(s, what))
			k->list[n++] = s->has_top ? &s->top : &s->below;
	}
	return n;
}

static struct str absent_of(struct sql_sink *k, const struct sql_version *v,
			    const struct sql_item *item)
{
	size_t bytes = (v->table->ncolumns + 7) / 8;
	char *bits = arena_zalloc(&k->arena, bytes);

	for (size_t i = 0; i < v->table->ncolumns; i++)
		if (item->after[i].state == VALUE_ABSENT)
			bits[i / 8] |= (char)(1 << i % 8);
	return (struct str){ bits, bytes };
}

static bool same_absent(const struct sql_version *v, struct str absent, const struct sql_item *item)
{
	for (size_t i = 0; i < v->table->ncolumns; i++)
		if (event_bit(absent, i) != (item->after[i].state == VALUE_ABSENT))
			return false;
	return true;
}

/* Rows of which some columns change: one statement for each set of columns. */
static int send_updates(struct sql_sink *k, struct sql_version *v, struct error *err)
{
	struct sql_batch *b = &v->place->batch;

	for (size_t i = 0; i < b->nslots; i++) {
		struct sql_slot *s = &b->slots[i];
		size_t n = 0;

		if (s->base != BASE_PATCHED || s->has_top)
			continue;
		struct str absent = absent_of(k, v, &s->below);

		for (size_t j = i; j < b->nslots; j++) {
			struct sql_slot *o = &b->slots[j];

			if (o->base != BASE_PATCHED || o->has_top ||
			    !same_absent(v, absent, &o->below))
				continue;
			k->list[n++] = &o->below;
			o->base = BASE_THERE;
		}
		int64_t found = work(k, v, SQL_UPDATE, k->list, n, absent, err);

		if (found < 0)
			return -1;
		if ((size_t)found < n && not_found(k, v, n - (size_t)found, err))
			return -1;
	}
	return 0;
}

static int send_removals(struct sql_sink *k, struct sql_version *v, struct error *err)
{
	struct sql_place *p = v->place;
	size_t n = pick(k, &p->batch, PICK_REMOVE), plain = 0;
	bool matched = p->moved_in && p->moved_in >= p->began;
	struct sql_work w = { .kind = SQL_REMOVE, .items = k->list, .n = 1, .matched = true };

	/* Rows of an earlier part of this transaction may stand at these keys by now. */
	for (size_t i = 0; i < n; i++) {
		const struct sql_item *item = k->list[i];

		if (!matched || !item->before) {
			k->list[plain++] = item;
			continue;
		}
		w.items = &item;
		if (k->dialect->work(k, v, &w, err) < 0)
			return -1;
	}
	return work(k, v, SQL_REMOVE, k->list, plain, ALL, err) < 0 ? -1 : 0;
}

static int send_history(struct sql_sink *k, struct sql_version *v, struct error *err)
{
	struct sql_batch *b = &v->place->batch;
	size_t n = 0;

	for (size_t i = 0; i < b->nslots; i++)
		if (b->slots[i].base == BASE_GONE)
			k->list[n++] = &b->slots[i].below;
	if (work(k, v, SQL_CLOSE, k->list, n, ALL, err) < 0)
		return -1;
	for (n = 0; n < b->nrows; n++)
		k->list[n] = &b->rows[n];
	return work(k, v, SQL_APPEND, k->list, n, ALL, err) < 0 ? -1 : 0;
}

static int send_batch(struct sql_sink *k, struct sql_version *v, struct error *err)
{
	struct sql_batch *b = &v->place->batch;

	list_room(k, b->nslots + b->nrows + 1);
	if (k->set->history)
		return send_history(k, v, err);
	for (size_t i = 0; i < b->nrows; i++)
		k->list[i] = &b->rows[i];
	if (work(k, v, SQL_INSERT, k->list, b->nrows, ALL, err) < 0 || send_removals(k, v, err) ||
	    work(k, v, SQL_MARK, k->list, pick(k, b, PICK_MARK), ALL, err) < 0 ||
	    send_updates(k, v, err) ||
	    work(k, v, SQL_UPSERT, k->list, pick(k, b, PICK_UPSERT), ALL, err) < 0 ||
	    work(k, v, SQL_INSERT, k->list, pick(k, b, PICK_INSERT), ALL, err) < 0)
		return -1;
	return 0;
}

static int flush(struct sql_sink *k, struct sql_place *p, struct error *err)
{
	int failed = sql_batch_empty(&p->batch) ? 0 : send_batch(k, p->current, err);

	sql_batch_clear(&p->batch);
	p->current = NULL;
	if (p->moving)
		p->moved_in = k->transactions;
	p->moving = false;
	return failed;
}

static int flush_all(struct sql_sink *k, struct error *err)
{
	for (size_t i = 0; i < k->ntouched; i++)
		if (flush(k, k->touched[i], err))
			return -1;
	k->ntouched = 0;
	return 0;
}

void sql_apply_forget(struct sql_sink *k)
{
	for (struct sql_place *p = k->places; p; p = p->next) {
		sql_batch_clear(&p->batch);
		p->current = NULL;
	}
	k->ntouched = 0;
}

/* --- one by one --- */

/* Rows that are older than a column have NULL there where the source shows its default. */
static int64_t match(struct apply *a, enum sql_kind kind, struct str absent, struct error *err)
{
	const struct sql_item *item = &a->c.item;
	struct sql_work w = { .kind = kind, .items = &item, .n = 1, .absent = absent };
	int64_t n;

	a->k->dirty = true;
	n = a->k->dialect->work(a->k, a->v, &w, err);
	w.loose = true;
	if (n == 0 && a->v->any_late)
		n = a->k->dialect->work(a->k, a->v, &w, err);
	return n;
}

static int update_unkeyed(struct apply *a, struct error *err)
{
	struct sql_sink *k = a->k;
	const struct table *t = a->v->table;
	const struct sql_item *item = &a->c.item;
	bool history = k->set->history;
	int64_t n = match(a, history ? SQL_MATCH_CLOSE : SQL_MATCH_UPDATE,
			  history ? ALL : a->c.e->absent, err);

	if (n < 0)
		return -1;
	if (n > 0 && !history)
		return 0;
	if (a->c.partial)
		return not_found(k, a->v, 1, err);
	if (n == 0 && !loading_has(k->ctx.loading, t))
		return fail(
			err, ERR_REJECT,
			"an update of %.*s.%.*s finds no row in table %s that equals the old one; "
			"load the table again",
			STR_FMT(t->schema), STR_FMT(t->name), a->p->full);
	return work(k, a->v, history ? SQL_APPEND : SQL_INSERT, &item, 1, ALL, err) < 0 ? -1 : 0;
}

static int delete_unkeyed(struct apply *a, struct error *err)
{
	enum sql_kind kind = a->k->set->history ? SQL_MATCH_CLOSE
			     : is_soft(a->k)    ? SQL_MATCH_MARK
						: SQL_MATCH_REMOVE;

	return match(a, kind, ALL, err) < 0 ? -1 : 0;
}

/* What could not wait with others of its table. */
static int apply_alone(struct apply *a, struct error *err)
{
	struct sql_sink *k = a->k;
	const struct sql_item *item = &a->c.item;
	const struct event *e = a->c.e;
	int64_t n;

	a->c.item.until = SQL_OPEN;
	if (!e->table->nkey)
		return e->op == CHANGE_DELETE ? delete_unkeyed(a, err) : update_unkeyed(a, err);
	if (e->op == CHANGE_DELETE)
		return work(k, a->v, SQL_MARK, &item, 1, ALL, err) < 0 ? -1 : 0;
	if (!a->c.partial)
		return work(k, a->v, SQL_UPSERT, &item, 1, ALL, err) < 0 ? -1 : 0;
	if (!k->set->history) { /* the row at the new key, if there is one, is a stale copy */
		const struct value *new_key;

		if (need_key(e->table, e->key, &k->arena, &new_key, err))
			return -1;
		struct sql_item stale = { .index = item->index, .key = new_key };
		const struct sql_item *way = &stale;

		if (work(k, a->v, SQL_REMOVE, &way, 1, ALL, err) < 0)
			return -1;
	}
	n = work(k, a->v, k->set->history ? SQL_CARRY : SQL_MOVE, &item, 1, e->absent, err);
	return n < 0 ? -1 : n == 0 ? not_found(k, a->v, 1, err) : 0;
}

static int truncate(struct apply *a, struct error *err)
{
	struct sql_sink *k = a->k;
	const struct sql_item *item = &a->c.item;
	enum sql_kind kind = k->set->history ? SQL_CLOSE_ALL
			     : is_soft(k)    ? SQL_MARK_ALL
					     : SQL_TRUNCATE;

	if (k->set->truncates == TRUNCATES_IGNORE)
		return 0;
	if (flush(k, a->p, err))
		return -1;
	return work(k, a->v, kind, &item, 1, ALL, err) < 0 ? -1 : 0;
}

/* --- events --- */

static bool may_be_plain(const struct sql_sink *k, const struct sql_place *p, const struct table *t)
{
	const struct loading *l = k->ctx.loading;

	return k->bulk && k->set->deletes == DELETES_APPLY && !p->rejects_plain &&
	       ((l && l->never) || !loading_has(l, t));
}

/* The place gets the change at hand next: what must stand before it is sent. */
static int take_turn(struct apply *a, struct error *err)
{
	struct sql_sink *k = a->k;
	struct sql_place *p = a->p;
	bool listed = p->current != NULL;

	if (listed && p->current != a->v) {
		if (flush(k, p, err))
			return -1;
	} else if (!listed && p->linked && !k->unordered) {
		if (flush_all(k, err))
			return -1;
	}
	if (!listed)
		p->began = k->transactions;
	p->current = a->v;
	for (size_t i = 0; !listed && i < k->ntouched; i++)
		listed = k->touched[i] == p;
	if (listed)
		return 0;
	if (k->ntouched == k->touched_room) {
		k->touched_room = k->touched_room ? 2 * k->touched_room : 16;
		k->touched = xrealloc(k->touched, k->touched_room * sizeof(struct sql_place *));
	}
	k->touched[k->ntouched++] = p;
	return 0;
}

static int add(struct apply *a, struct error *err)
{
	struct sql_sink *k = a->k;
	const struct table *t = a->v->table;
	const struct sql_batch_rules rules = {
		.table = t,
		.soft = is_soft(k) && !k->set->history,
		.ignore = k->set->deletes == DELETES_IGNORE,
		.history = k->set->history,
		.plain = may_be_plain(k, a->p, t),
		.arena = &k->arena,
	};
	enum sql_added added = sql_batch_add(&a->p->batch, &rules, &a->c);

	if (added == SQL_AGAIN) {
		a->p->moving = true;
		if (flush(k, a->p, err))
			return -1;
		a->p->current = a->v;
		added = sql_batch_add(&a->p->batch, &rules, &a->c);
	}
	if (added == SQL_ADDED)
		return 0;
	if (added == SQL_MISSING)
		return not_found(k, a->v, 1, err);
	if (flush(k, a->p, err))
		return -1;
	a->p->current = a->v;
	return apply_alone(a, err);
}

static int apply_row(struct sql_sink *k, const struct event *e, size_t index, struct error *err)
{
	struct apply a = { .k = k };

	/* a table is changed for a version when nothing of another waits */
	if (!sql_version_ready(k, e->table) && flush_all(k, err))
		return -1;
	a.v = sql_version_get(k, e->table, err);
	if (!a.v)
		return -1;
	a.p = a.v->place;
	a.c.e = e;
	a.c.item.index = index;
	a.c.item.time = e->commit_us;
	if (take_turn(&a, err))
		return -1;
	if (e->op == CHANGE_TRUNCATE)
		return truncate(&a, err);
	if (e->op == CHANGE_DELETE && k->set->deletes == DELETES_IGNORE)
		return 0;
	if (decode(&a, err))
		return -1;
	if (e->old_key.p && a.c.full_before)
		a.p->moving = true;
	return add(&a, err);
}

int sql_apply(struct sql_sink *k, const struct event *e, size_t from, size_t to, struct error *err)
{
	arena_reset(&k->arena);
	for (size_t i = from; i < to; i++) {
		switch (e[i].op) {
		case CHANGE_INSERT:
		case CHANGE_READ:
		case CHANGE_UPDATE:
		case CHANGE_DELETE:
		case CHANGE_TRUNCATE:
			if (apply_row(k, &e[i], i, err))
				return -1;
			break;
		case CHANGE_BEGIN:
			k->transactions++;
			break;
		case CHANGE_COMMIT:
		case CHANGE_SCHEMA:
		case CHANGE_MESSAGE:
		case CHANGE_HEARTBEAT:
		case CHANGE_GAP:
			break;
		default:
			return fail(err, ERR_FATAL, "an event of kind %d cannot be applied",
				    (int)e[i].op);
		}
	}
	return flush_all(k, err);
}
