/*
 * sqlite_table.c - tables at an SQLite target: made at first sight, compared with each new version, widened
 *
 * DDL runs inside the data's transaction, which SQLite allows.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metric.h"
#include "sqlite.h"

#define INDEX_COLUMNS 4

/* What stands at the target, read from its catalog. */
struct found {
	size_t nkey, matching;
}; /* columns of the PRIMARY KEY, those that are in ours */

static struct str text_name(struct buf *out, struct str column)
{
	buf_clear(out);
	buf_add(out, column.p, column.n);
	buf_adds(out, SQL_TEXT_SUFFIX);
	return (struct str){ out->p, out->n };
}

static bool has_column(const struct sqlite_place *p, struct str name)
{
	for (size_t i = 0; i < p->ncolumns; i++)
		if (sql_same_name(str_z(p->columns[i]), name))
			return true;
	return false;
}

static void columns_release(struct sqlite_place *p)
{
	for (size_t i = 0; i < p->ncolumns; i++)
		free(p->columns[i]);
	free(p->columns);
	p->columns = NULL;
	p->ncolumns = 0;
}

static bool is_key(const struct table *t, struct str name)
{
	for (size_t j = 0; j < t->nkey; j++)
		if (sql_same_name(t->columns[t->key[j]].name, name))
			return true;
	return false;
}

static const char *rowid_name(const struct sqlite_place *p)
{
	static const char *const names[] = { "rowid", "_rowid_", "oid" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (!has_column(p, str_z(names[i])))
			return names[i];
	return NULL;
}

static int read_columns(struct sqlite *k, struct sqlite_place *p, const struct table *t,
			struct found *found, struct error *err)
{
	static const char sql[] = "SELECT name, pk, hidden FROM pragma_table_xinfo(?)";
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(k->db, sql, sizeof sql, &stmt, NULL);

	columns_release(p);
	*found = (struct found){ 0 };
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, p->name, -1, SQLITE_STATIC);
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		rc = SQLITE_OK;
		if (!name || sqlite3_column_int(stmt, 2))
			continue;
		p->columns = xrealloc(p->columns, (p->ncolumns + 1) * sizeof *p->columns);
		p->columns[p->ncolumns++] = xstrdup(name);
		if (sqlite3_column_int(stmt, 1) > 0) {
			found->nkey++;
			found->matching += is_key(t, str_z(name));
		}
	}
	if (rc != SQLITE_DONE)
		sqlite_fail(k, err, p->name);
	sqlite3_finalize(stmt);
	p->rowid = rowid_name(p);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* Is there a complete unique index over exactly the key columns? */
static int unique_index(struct sqlite *k, const struct sqlite_place *p, const struct table *t,
			bool *found, struct error *err)
{
	static const char sql[] = "SELECT l.name, i.name FROM pragma_index_list(?) AS l, "
				  "pragma_index_info(l.name) AS i "
				  "WHERE l.\"unique\" AND NOT l.partial ORDER BY l.name";
	AUTO(free) char *index = NULL;
	size_t columns = 0, matching = 0;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(k->db, sql, sizeof sql, &stmt, NULL);

	*found = false;
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, p->name, -1, SQLITE_STATIC);
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		const char *column = (const char *)sqlite3_column_text(stmt, 1);

		rc = SQLITE_OK;
		if (!index || !name || strcmp(index, name) != 0) {
			*found |= columns == t->nkey && matching == columns;
			columns = matching = 0;
			free(index);
			index = xstrdup(name ? name : "");
		}
		columns++;
		matching += column && is_key(t, str_z(column));
	}
	*found |= columns == t->nkey && matching == columns;
	if (rc != SQLITE_DONE)
		sqlite_fail(k, err, p->name);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int check_key(struct sqlite *k, const struct sqlite_place *p, const struct table *t,
		     const struct found *found, struct error *err)
{
	AUTO(buf) struct buf cure = { 0 };
	AUTO(buf) struct buf index = { 0 };
	bool unique;

	if (!t->nkey || (found->nkey == t->nkey && found->matching == t->nkey))
		return 0;
	if (unique_index(k, p, t, &unique, err))
		return -1;
	if (unique)
		return 0;
	buf_adds(&index, p->name);
	buf_adds(&index, "_key");
	buf_adds(&cure, "CREATE UNIQUE INDEX ");
	sql_ident(&cure, (struct str){ index.p, index.n }, '"');
	buf_adds(&cure, " ON ");
	sql_ident(&cure, str_z(p->name), '"');
	buf_adds(&cure, " (");
	sql_key_list(&cure, t, '"');
	buf_addc(&cure, ')');
	return fail(err, ERR_REJECT,
		    "the key of %.*s.%.*s (version %u) is not the PRIMARY KEY of table %s, and no "
		    "unique index stands for it; drop the table and load it again, or, where the "
		    "old key still holds: %s",
		    STR_FMT(t->schema), STR_FMT(t->name), t->version, p->name, buf_z(&cure));
}

/* The table of parked rows gets the column too. */
static int add_parked_column(struct sqlite *k, const struct sqlite_place *p, struct str column,
			     const char *type, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	if (!p->parking)
		return 0;
	buf_adds(&sql, "ALTER TABLE ");
	sqlite_parked_name(&sql, p);
	buf_adds(&sql, " ADD COLUMN ");
	sql_ident(&sql, column, '"');
	buf_addf(&sql, " %s", type);
	return sqlite_exec(k, buf_z(&sql), err);
}

static int add_column(struct sqlite *k, const struct sqlite_place *p, const struct table *t,
		      struct str column, const char *type, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	sql_add_column(&sql, str_z(p->name), column, type, '"');
	if (k->set->evolve == EVOLVE_NONE)
		return fail(err, ERR_REJECT,
			    "table %s has no column %.*s, which %.*s.%.*s (version %u) needs, and "
			    "evolve = none; run: %s",
			    p->name, STR_FMT(column), STR_FMT(t->schema), STR_FMT(t->name),
			    t->version, buf_z(&sql));
	if (sqlite_exec(k, buf_z(&sql), err))
		return error_prefix(err, "cannot add column %.*s to table %s", STR_FMT(column),
				    p->name);
	log_info("column added", "sink", k->ctx.sink->name, "sql", buf_z(&sql), NULL);
	return add_parked_column(k, p, column, type, err);
}

static int create_table(struct sqlite *k, const struct sqlite_place *p, const struct table *t,
			struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	sql_create_table(&sql, str_z(p->name), t, k->set->deletes == DELETES_SOFT, sqlite_type,
			 '"');
	if (sqlite_exec(k, buf_z(&sql), err))
		return error_prefix(err, "cannot make table %s", p->name);
	log_info("table made", "sink", k->ctx.sink->name, "table", p->name, NULL);
	return 0;
}

/* What every version of the place knew about it no longer holds. */
static void place_changed(struct sqlite *k, const struct sqlite_place *p)
{
	for (size_t i = 0; i < k->nversions; i++) {
		struct sqlite_version *v = k->versions[i];

		if (v && v->place == p) {
			sqlite_forget(k, v);
			v->ready = false;
		}
	}
}

static int widen(struct sqlite *k, struct sqlite_place *p, const struct table *t, struct error *err)
{
	const struct column *time = &(struct column){ .type = COL_TIMESTAMPTZ };
	struct found found;
	bool changed = false;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (has_column(p, c->name))
			continue;
		if (add_column(k, p, t, c->name, sqlite_type(c), err))
			return -1;
		changed = true;
	}
	if (k->set->deletes == DELETES_SOFT && !has_column(p, STR(SQL_DELETED_AT))) {
		if (add_column(k, p, t, STR(SQL_DELETED_AT), sqlite_type(time), err))
			return -1;
		changed = true;
	}
	if (!changed)
		return 0;
	place_changed(k, p);
	return read_columns(k, p, t, &found, err);
}

/* Columns that rows of the first version cannot have. */
static void find_late(const struct sqlite *k, struct sqlite_version *v)
{
	const struct table *t = v->table, *first = t;

	for (uint32_t id = 1; id <= tables_count(k->ctx.tables); id++) {
		const struct table *o = tables_by_id(k->ctx.tables, id);

		if (o && o->version < first->version && str_eq(o->schema, t->schema) &&
		    str_eq(o->name, t->name))
			first = o;
	}
	v->any_late = false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		v->late[i] = true;
		for (size_t j = 0; j < first->ncolumns && v->late[i]; j++)
			v->late[i] = !sql_same_name(first->columns[j].name, t->columns[i].name);
		v->any_late |= v->late[i];
	}
}

/* A column NAME_text holds source text, unless the source has a column of that name itself. */
static void find_text(const struct sqlite *k, struct sqlite_version *v)
{
	const struct table *t = v->table;
	AUTO(buf) struct buf name = { 0 };

	for (size_t i = 0; i < t->ncolumns; i++) {
		struct str text = text_name(&name, t->columns[i].name);

		v->text[i] = k->set->unrepresentable == UNREPRESENTABLE_TEXT &&
			     has_column(v->place, text);
		for (size_t j = 0; j < t->ncolumns && v->text[i]; j++)
			v->text[i] = !sql_same_name(t->columns[j].name, text);
	}
}

static int compare(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	struct sqlite_place *p = v->place;
	struct found found;

	if (read_columns(k, p, v->table, &found, err))
		return -1;
	if (!p->ncolumns &&
	    (create_table(k, p, v->table, err) || read_columns(k, p, v->table, &found, err)))
		return -1;
	if (widen(k, p, v->table, err) || check_key(k, p, v->table, &found, err))
		return -1;
	if (!p->rowid)
		return fail(
			err, ERR_REJECT,
			"table %s has columns rowid, _rowid_ and oid, which leaves no name for a "
			"row of SQLite; leave it out with tables =",
			p->name);
	find_text(k, v);
	find_late(k, v);
	v->ready = true;
	return 0;
}

static struct sqlite_place *place_get(struct sqlite *k, const char *name, const struct table *t)
{
	AUTO(buf) struct buf labels = { 0 };
	AUTO(buf) struct buf full = { 0 };
	struct sqlite_place *p = k->places;

	while (p && !sql_same_name(str_z(p->name), str_z(name)))
		p = p->next;
	if (p)
		return p;
	p = xcalloc(1, sizeof *p);
	p->name = xstrdup(name);
	p->owner = t;
	p->id = ++k->nplaces;
	buf_addf(&full, "%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));
	metric_label(&labels, "sink", str_z(k->ctx.sink->name));
	metric_label(&labels, "table", (struct str){ full.p, full.n });
	p->skipped = metric_get(METRIC_COUNTER, "sink_updates_skipped_total", buf_z(&labels),
				"Updates without all columns whose row is not at the target.");
	p->next = k->places;
	k->places = p;
	return p;
}

static int check_name(const char *name, const struct table *t, struct error *err)
{
	struct str s = str_z(name);

	if (!s.n || (s.n >= 7 && sql_same_name((struct str){ name, 7 }, STR("sqlite_"))) ||
	    sql_same_name(s, STR("tailrace_checkpoint")))
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s would be written to table \"%s\", a name that is reserved; "
			    "set table = {schema}_{table}, or leave it out with tables =",
			    STR_FMT(t->schema), STR_FMT(t->name), name);
	if (!t->ncolumns)
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s has no columns, which SQLite does not know; leave it out "
			    "with tables =",
			    STR_FMT(t->schema), STR_FMT(t->name));
	return 0;
}

static struct sqlite_version *version_new(struct sqlite *k, const struct table *t,
					  struct error *err)
{
	const char *template = k->set->table ? k->set->table : "{table}";
	AUTO(buf) struct buf name = { 0 };

	if (sql_table_name(template, k->ctx.config->pipeline.name, t, &name, err) ||
	    check_name(buf_z(&name), t, err) || sql_table_alone(&k->ctx, template, t, err) ||
	    sql_columns_distinct(t, k->set->deletes == DELETES_SOFT, err))
		return NULL;

	struct sqlite_version *v = xcalloc(1, sizeof *v);

	v->table = t;
	v->place = place_get(k, buf_z(&name), t);
	v->text = xcalloc(t->ncolumns, sizeof *v->text);
	v->late = xcalloc(t->ncolumns, sizeof *v->late);
	if (t->ncolumns > k->room) {
		k->room = t->ncolumns;
		k->after = xrealloc(k->after, k->room * sizeof *k->after);
		k->before = xrealloc(k->before, k->room * sizeof *k->before);
		k->key = xrealloc(k->key, k->room * sizeof *k->key);
	}
	return v;
}

struct sqlite_version *sqlite_version_get(struct sqlite *k, const struct table *t,
					  struct error *err)
{
	if (t->id >= k->nversions) {
		size_t n = (size_t)t->id + 16;

		k->versions = xrealloc(k->versions, n * sizeof(struct sqlite_version *));
		memset(k->versions + k->nversions, 0,
		       (n - k->nversions) * sizeof(struct sqlite_version *));
		k->nversions = n;
	}
	struct sqlite_version *v = k->versions[t->id];

	if (!v)
		v = k->versions[t->id] = version_new(k, t, err);
	if (!v || (!v->ready && compare(k, v, err)))
		return NULL;
	return v;
}

int sqlite_add_text(struct sqlite *k, struct sqlite_version *v, size_t column, struct error *err)
{
	const struct table *t = v->table;
	AUTO(buf) struct buf name = { 0 };
	struct str text = text_name(&name, t->columns[column].name);

	for (size_t j = 0; j < t->ncolumns; j++)
		if (sql_same_name(t->columns[j].name, text))
			return fail(err, ERR_REJECT,
				    "%.*s.%.*s has a column %.*s itself, which unrepresentable = "
				    "text needs for %.*s; set unrepresentable = null or reject",
				    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(text),
				    STR_FMT(t->columns[column].name));
	if (add_column(k, v->place, t, text, "TEXT", err))
		return -1;
	place_changed(k, v->place);
	return compare(k, v, err);
}

int sqlite_index_rows(struct sqlite *k, struct sqlite_version *v, struct error *err)
{
	const struct table *t = v->table;
	AUTO(buf) struct buf sql = { 0 };
	AUTO(buf) struct buf name = { 0 };
	size_t n = 0;

	if (v->place->indexed)
		return 0;
	v->place->indexed = true;
	buf_addf(&name, "tailrace_%s", v->place->name);
	buf_adds(&sql, "CREATE INDEX IF NOT EXISTS ");
	sql_ident(&sql, (struct str){ name.p, name.n }, '"');
	buf_adds(&sql, " ON ");
	sql_ident(&sql, str_z(v->place->name), '"');
	for (size_t i = 0; i < t->ncolumns && n < INDEX_COLUMNS; i++) {
		enum column_type type = t->columns[i].type;

		if (v->late[i] || type == COL_BYTES || type == COL_JSON || type == COL_ARRAY)
			continue;
		buf_adds(&sql, n++ ? ", " : " (");
		sql_ident(&sql, t->columns[i].name, '"');
	}
	buf_addc(&sql, ')');
	return n ? sqlite_exec(k, buf_z(&sql), err) : 0;
}

void sqlite_tables_free(struct sqlite *k)
{
	for (size_t i = 0; i < k->nversions; i++) {
		struct sqlite_version *v = k->versions[i];

		if (!v)
			continue;
		sqlite_forget(k, v);
		free(v->text);
		free(v->late);
		free(v);
	}
	free(k->versions);
	while (k->places) {
		struct sqlite_place *p = k->places;

		k->places = p->next;
		columns_release(p);
		free(p->name);
		free(p);
	}
}
