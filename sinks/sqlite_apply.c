/*
 * sqlite_apply.c - one event to statements
 *
 * insert and full update: upsert by key; update with absent columns: UPDATE of the others; change
 * of key: the row moves; without a key: one row that equals the complete old image.
 */
#include <string.h>

#include "loading.h"
#include "log.h"
#include "metric.h"
#include "sqlite.h"

#define ALL ((struct str){ NULL, 0 })

#define KEEP_SCRATCH ((size_t)1 << 20)

static bool is_soft(const struct sqlite *k)
{
	return k->set->deletes == DELETES_SOFT;
}

/* The typed key in k->key: what PARAM_KEY binds. */
static int use_key(struct sqlite *k, const struct table *t, struct str key, struct error *err)
{
	if (!key.p)
		return fail(
			err, ERR_REJECT,
			"a row of %.*s.%.*s comes without its key: a key column is not in the log "
			"or holds a value that its type cannot hold",
			STR_FMT(t->schema), STR_FMT(t->name));
	return avro_get_key(key, t, &k->arena, k->key, err);
}

/* --- values that cannot be represented --- */

static int refuse(const struct table *t, size_t i, const struct value *v, struct error *err)
{
	return fail(err, ERR_REJECT,
		    "column %.*s of %.*s.%.*s (%.*s) holds %.*s, which cannot be "
		    "represented%s",
		    STR_FMT(t->columns[i].name), STR_FMT(t->schema), STR_FMT(t->name),
		    STR_FMT(t->columns[i].native), v->s.n > 80 ? 80 : (int)v->s.n, v->s.p,
		    t->columns[i].key ? " as part of the key" : "; see unrepresentable =");
}

static int check_values(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct table *t = v->table;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (k->after[i].state != VALUE_UNREPRESENTABLE)
			continue;
		if (k->set->unrepresentable == UNREPRESENTABLE_REJECT || t->columns[i].key)
			return refuse(t, i, &k->after[i], err);
		if (k->set->unrepresentable == UNREPRESENTABLE_TEXT) {
			if (!v->text[i] && sqlite_add_text(k, v, i, err))
				return -1;
		} else if (!v->place->told_null) {
			AUTO(buf) struct buf name = { 0 };

			v->place->told_null = true;
			buf_add(&name, t->columns[i].name.p, t->columns[i].name.n);
			log_warning("value cannot be represented and becomes NULL", "sink",
				    k->ctx.sink->name, "table", v->place->name, "column",
				    buf_z(&name), NULL);
		}
	}
	return 0;
}

/* k->after from the event; key columns that the log left out of the image come from the key. */
static int use_after(struct sqlite *k, struct sqlite_version *v, const struct event *e,
		     struct error *err)
{
	const struct table *t = v->table;

	if (avro_get_row(e->after, t, e->absent, e->unrepresentable, &k->arena, k->after, err))
		return -1;
	for (size_t j = 0; e->key.p && j < t->nkey; j++) {
		if (k->after[t->key[j]].state != VALUE_ABSENT)
			continue;
		if (use_key(k, t, e->key, err))
			return -1;
		for (size_t i = 0; i < t->nkey; i++)
			k->after[t->key[i]] = k->key[i];
		break;
	}
	return e->unrepresentable.n ? check_values(k, v, err) : 0;
}

/* Is something left out that is not part of the key? */
static bool is_partial(const struct table *t, const struct event *e)
{
	for (size_t i = 0; e->absent.n && i < t->ncolumns; i++)
		if (event_bit(e->absent, i) && !t->columns[i].key)
			return true;
	return false;
}

/* --- rows with a key --- */

/* A row in the way of a moving one: another live row, or a stale copy. */
static int clear_way(struct sqlite *k, struct sqlite_version *v, const struct event *e,
		     struct error *err)
{
	if (sqlite_full_before(v, e) && k->set->deletes != DELETES_IGNORE)
		return sqlite_park(k, v, err);
	return sqlite_do(k, v, STATEMENT_REMOVE, ALL, err) < 0 ? -1 : 0;
}

static int insert_row(struct sqlite *k, struct sqlite_version *v, const struct event *e,
		      struct error *err)
{
	const struct table *t = v->table;
	int64_t n;

	if (use_after(k, v, e, err))
		return -1;
	if (is_partial(t, e))
		return fail(err, ERR_REJECT,
			    "a new row of %.*s.%.*s comes without all of its columns",
			    STR_FMT(t->schema), STR_FMT(t->name));
	if (t->nkey && !e->key.p)
		return use_key(k, t, e->key, err);
	if (!t->nkey || e->op != CHANGE_INSERT || k->set->deletes == DELETES_IGNORE)
		return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
	if ((n = sqlite_do(k, v, STATEMENT_ADD, ALL, err)) != 0)
		return n < 0 ? -1 : 0;
	if (use_key(k, t, e->key, err) || sqlite_park(k, v, err))
		return -1;
	return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
}

static int not_found(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct table *t = v->table;

	if (!loading_has(k->ctx.loading, t))
		return fail(err, ERR_REJECT,
			    "an update of %.*s.%.*s does not carry all columns and table %s has no "
			    "such row; load the table again",
			    STR_FMT(t->schema), STR_FMT(t->name), v->place->name);
	metric_add(v->place->skipped, 1);
	if (!v->place->told_skipped)
		log_warning("updates without all columns skipped: their rows are not at the target",
			    "sink", k->ctx.sink->name, "table", v->place->name, NULL);
	v->place->told_skipped = true;
	return 0;
}

/* The event names a row that is parked. */
static int update_parked(struct sqlite *k, struct sqlite_version *v, const struct event *e,
			 struct error *err)
{
	bool partial = is_partial(v->table, e);
	int64_t rowid = k->rowid, n = 0;
	struct sqlite_statement *s;
	int rc;

	if (!e->old_key.p)
		return sqlite_do(k, v, STATEMENT_PARKED_UPDATE, e->absent, err) < 0 ? -1 : 0;
	if (use_key(k, v->table, e->key, err) ||
	    !(s = sqlite_prepare(k, v, STATEMENT_UNPARK, ALL, err)))
		return -1;
	rc = sqlite_run(k, s, &n, err);
	if (rc == SQLITE_CONSTRAINT) {
		if (clear_way(k, v, e, err))
			return -1;
		k->rowid = rowid;
		if (sqlite_do(k, v, STATEMENT_UNPARK, ALL, err) < 0)
			return -1;
	} else if (rc != SQLITE_DONE) {
		return -1;
	}
	k->rowid = rowid;
	if (sqlite_parked_remove(k, v, err))
		return -1;
	if (partial)
		return sqlite_do(k, v, STATEMENT_UPDATE, e->absent, err) < 0 ? -1 : 0;
	return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
}

/* k->key is the old key.  The statement is undone when a row stands at the new one: it makes way. */
static int move_row(struct sqlite *k, struct sqlite_version *v, const struct event *e,
		    struct error *err)
{
	struct sqlite_statement *s = sqlite_prepare(k, v, STATEMENT_MOVE, e->absent, err);
	int64_t n = 0;
	int rc;

	if (!s)
		return -1;
	rc = sqlite_run(k, s, &n, err);
	if (rc == SQLITE_CONSTRAINT) {
		if (use_key(k, v->table, e->key, err) || clear_way(k, v, e, err) ||
		    use_key(k, v->table, e->old_key, err))
			return -1;
		n = sqlite_do(k, v, STATEMENT_MOVE, e->absent, err);
	} else if (rc != SQLITE_DONE) {
		return -1;
	}
	if (n != 0)
		return n < 0 ? -1 : 0;
	if (is_partial(v->table, e))
		return not_found(k, v, err);
	return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
}

static int update_keyed(struct sqlite *k, struct sqlite_version *v, const struct event *e,
			struct error *err)
{
	bool partial = is_partial(v->table, e);
	int64_t n;

	if (use_after(k, v, e, err))
		return -1;
	if (v->place->parked || partial || e->old_key.p || !e->key.p) {
		int parked;

		if (use_key(k, v->table, e->old_key.p ? e->old_key : e->key, err) ||
		    (parked = sqlite_parked(k, v, e, err)) < 0)
			return -1;
		if (parked)
			return update_parked(k, v, e, err);
	}
	if (e->old_key.p)
		return move_row(k, v, e, err);
	if (!partial)
		return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
	n = sqlite_do(k, v, STATEMENT_UPDATE, e->absent, err);
	return n < 0 ? -1 : n == 0 ? not_found(k, v, err) : 0;
}

static int delete_keyed(struct sqlite *k, struct sqlite_version *v, const struct event *e,
			struct error *err)
{
	int parked;

	if (use_key(k, v->table, e->key, err) || (parked = sqlite_parked(k, v, e, err)) < 0)
		return -1;
	if (parked)
		return sqlite_parked_remove(k, v, err);
	return sqlite_do(k, v, is_soft(k) ? STATEMENT_MARK : STATEMENT_REMOVE, ALL, err) < 0 ? -1
											     : 0;
}

/* --- rows without a key --- */

static int use_before(struct sqlite *k, const struct sqlite_version *v, const struct event *e,
		      struct error *err)
{
	const struct table *t = v->table;

	if (!sqlite_full_before(v, e))
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s has no key and the log does not carry its old rows; run at "
			    "the source: ALTER TABLE \"%.*s\".\"%.*s\" REPLICA IDENTITY FULL",
			    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(t->schema),
			    STR_FMT(t->name));
	return avro_get_row(e->before, t, e->absent_before, e->unrepresentable_before, &k->arena,
			    k->before, err);
}

/* Rows that are older than a column have NULL there where the source shows its default. */
static int64_t match(struct sqlite *k, struct sqlite_version *v, enum sqlite_statement_kind exact,
		     enum sqlite_statement_kind loose, struct str shape, struct error *err)
{
	int64_t n;

	if (sqlite_index_rows(k, v, err))
		return -1;
	n = sqlite_do(k, v, exact, shape, err);
	return n == 0 && v->any_late ? sqlite_do(k, v, loose, shape, err) : n;
}

static int update_unkeyed(struct sqlite *k, struct sqlite_version *v, const struct event *e,
			  struct error *err)
{
	const struct table *t = v->table;
	int64_t n;

	if (use_after(k, v, e, err) || use_before(k, v, e, err))
		return -1;
	n = match(k, v, STATEMENT_UPDATE_MATCH, STATEMENT_UPDATE_LOOSE, e->absent, err);
	if (n != 0)
		return n < 0 ? -1 : 0;
	if (is_partial(t, e))
		return not_found(k, v, err);
	if (!loading_has(k->ctx.loading, t))
		return fail(
			err, ERR_REJECT,
			"an update of %.*s.%.*s finds no row in table %s that equals the old one; "
			"load the table again",
			STR_FMT(t->schema), STR_FMT(t->name), v->place->name);
	return sqlite_do(k, v, STATEMENT_UPSERT, ALL, err) < 0 ? -1 : 0;
}

static int delete_unkeyed(struct sqlite *k, struct sqlite_version *v, const struct event *e,
			  struct error *err)
{
	int64_t n;

	if (use_before(k, v, e, err))
		return -1;
	if (is_soft(k))
		n = match(k, v, STATEMENT_MARK_MATCH, STATEMENT_MARK_LOOSE, ALL, err);
	else
		n = match(k, v, STATEMENT_REMOVE_MATCH, STATEMENT_REMOVE_LOOSE, ALL, err);
	return n < 0 ? -1 : 0;
}

/* --- events --- */

static int truncate(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	if (k->set->truncates == TRUNCATES_IGNORE)
		return 0;
	if (sqlite_parked_clear(k, v->place, err))
		return -1;
	return sqlite_do(k, v, is_soft(k) ? STATEMENT_MARK_ALL : STATEMENT_TRUNCATE, ALL, err) < 0
		       ? -1
		       : 0;
}

static int apply_row(struct sqlite *k, const struct event *e, struct error *err)
{
	struct sqlite_version *v = sqlite_version_get(k, e->table, err);
	bool keyed = e->table->nkey > 0;

	if (!v)
		return -1;
	k->time = e->commit_us;
	switch (e->op) {
	case CHANGE_INSERT:
	case CHANGE_READ:
		return insert_row(k, v, e, err);
	case CHANGE_UPDATE:
		return keyed ? update_keyed(k, v, e, err) : update_unkeyed(k, v, e, err);
	case CHANGE_DELETE:
		if (k->set->deletes == DELETES_IGNORE)
			return 0;
		return keyed ? delete_keyed(k, v, e, err) : delete_unkeyed(k, v, e, err);
	default:
		return truncate(k, v, err);
	}
}

int sqlite_apply(struct sqlite *k, const struct event *e, struct error *err)
{
	int rc;

	switch (e->op) {
	case CHANGE_INSERT:
	case CHANGE_READ:
	case CHANGE_UPDATE:
	case CHANGE_DELETE:
	case CHANGE_TRUNCATE:
		break;
	case CHANGE_COMMIT:
		return k->parked ? sqlite_parked_end(k, err) : 0;
	case CHANGE_BEGIN:
	case CHANGE_SCHEMA:
	case CHANGE_MESSAGE:
	case CHANGE_HEARTBEAT:
	case CHANGE_GAP:
		return 0;
	default:
		return fail(err, ERR_FATAL, "an event of kind %d cannot be applied", (int)e->op);
	}
	rc = apply_row(k, e, err);
	arena_reset(&k->arena);
	if (k->scratch.room > KEEP_SCRATCH)
		buf_free(&k->scratch);
	return rc;
}
