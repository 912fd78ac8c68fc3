/*
 * sqlite_move.c - rows that change their key onto one that another row still holds
 *
 * `UPDATE t SET id = id + 1` under a deferrable key comes as 1 -> 2, 2 -> 3, 3 -> 4: until the end of
 * the statement or the transaction two rows have one key.  The row in the way is put aside in a
 * temporary table (SQLite keeps it on disk when it grows) and is the one that a later event
 * with that key means, unless that event's old row says otherwise.
 */
#include "sqlite.h"

static int parking_make(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	struct sqlite_place *p = v->place;
	const struct table *t = v->table;
	AUTO(buf) struct buf sql = { 0 };

	if (p->parking)
		return 0;
	buf_adds(&sql, "CREATE TEMPORARY TABLE ");
	buf_addf(&sql, "parked_%u AS SELECT ", p->id);
	for (size_t i = 0; i < p->ncolumns; i++) {
		buf_adds(&sql, i ? ", " : "");
		sql_ident(&sql, str_z(p->columns[i]), '"');
	}
	buf_adds(&sql, " FROM main.");
	sql_ident(&sql, str_z(p->name), '"');
	buf_addf(&sql, " LIMIT 0; CREATE INDEX temp.parked_%u_key ON parked_%u (", p->id, p->id);
	sql_key_list(&sql, t, '"');
	buf_addc(&sql, ')');
	if (sqlite_exec(k, buf_z(&sql), err))
		return -1;
	p->parking = true;
	return 0;
}

int sqlite_park(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct str all = { NULL, 0 };
	int64_t n;

	if (parking_make(k, v, err) || (n = sqlite_do(k, v, STATEMENT_PARK, all, err)) < 0)
		return -1;
	v->place->parked += (size_t)n;
	k->parked += (size_t)n;
	return sqlite_do(k, v, STATEMENT_REMOVE, all, err) < 0 ? -1 : 0;
}

/* 1: a row, its id in k->rowid */
static int find(struct sqlite *k, struct sqlite_version *v, enum sqlite_statement_kind kind,
		struct error *err)
{
	const struct str all = { NULL, 0 };
	struct sqlite_statement *s = sqlite_prepare(k, v, kind, all, err);
	int64_t rowid = 0;

	if (!s)
		return -1;
	switch (sqlite_run(k, s, &rowid, err)) {
	case SQLITE_ROW:
		k->rowid = rowid;
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return -1;
	}
}

bool sqlite_full_before(const struct sqlite_version *v, const struct event *e)
{
	for (size_t i = 0; e->absent_before.n && i < v->table->ncolumns; i++)
		if (event_bit(e->absent_before, i))
			return false;
	return e->before.p != NULL;
}

/* Rows parked at a key that holds at all times were stale copies. */
static int forget(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct str all = { NULL, 0 };
	int64_t n = sqlite_do(k, v, STATEMENT_PARKED_FORGET, all, err);

	if (n < 0)
		return -1;
	v->place->parked -= (size_t)n;
	k->parked -= (size_t)n;
	return 0;
}

int sqlite_parked(struct sqlite *k, struct sqlite_version *v, const struct event *e,
		  struct error *err)
{
	const struct table *t = v->table;
	int64_t oldest;
	int rc;

	if (!v->place->parked)
		return 0;
	if (!sqlite_full_before(v, e))
		return forget(k, v, err);
	if ((rc = find(k, v, STATEMENT_PARKED_FIND, err)) == 0)
		return 0;
	if (rc < 0)
		return -1;
	oldest = k->rowid;
	if (avro_get_row(e->before, t, e->absent_before, e->unrepresentable_before, &k->arena,
			 k->before, err))
		return -1;
	if ((rc = find(k, v, STATEMENT_PARKED_MATCH, err)) != 0)
		return rc;
	if ((rc = find(k, v, STATEMENT_CURRENT_MATCH, err)) != 0)
		return rc < 0 ? -1 : 0;
	k->rowid = oldest;
	return 1;
}

int sqlite_parked_remove(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct str all = { NULL, 0 };
	int64_t n = sqlite_do(k, v, STATEMENT_PARKED_REMOVE, all, err);

	if (n < 0)
		return -1;
	v->place->parked -= (size_t)n;
	k->parked -= (size_t)n;
	return 0;
}

int sqlite_unpark(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct str all = { NULL, 0 };

	if (sqlite_do(k, v, STATEMENT_UNPARK, all, err) < 0)
		return -1;
	return sqlite_parked_remove(k, v, err);
}

int sqlite_parked_clear(struct sqlite *k, struct sqlite_place *p, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	if (!p->parked)
		return 0;
	buf_adds(&sql, "DELETE FROM ");
	sqlite_parked_name(&sql, p);
	k->parked -= p->parked;
	p->parked = 0;
	return sqlite_exec(k, buf_z(&sql), err);
}

int sqlite_parked_end(struct sqlite *k, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	for (struct sqlite_place *p = k->places; p && k->parked; p = p->next) {
		if (!p->parked)
			continue;
		buf_clear(&sql);
		buf_adds(&sql, "INSERT OR IGNORE INTO main.");
		sql_ident(&sql, str_z(p->name), '"');
		buf_adds(&sql, " (");
		for (size_t i = 0; i < p->ncolumns; i++) {
			buf_adds(&sql, i ? ", " : "");
			sql_ident(&sql, str_z(p->columns[i]), '"');
		}
		buf_adds(&sql, ") SELECT ");
		for (size_t i = 0; i < p->ncolumns; i++) {
			buf_adds(&sql, i ? ", " : "");
			sql_ident(&sql, str_z(p->columns[i]), '"');
		}
		buf_adds(&sql, " FROM ");
		sqlite_parked_name(&sql, p);
		buf_addf(&sql, " ORDER BY %s", p->rowid);
		if (sqlite_exec(k, buf_z(&sql), err) || sqlite_parked_clear(k, p, err))
			return -1;
	}
	return 0;
}
