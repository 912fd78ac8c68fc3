/*
 * sql_table.c - tables at an SQL server: made at first sight, compared with each new version, evolved
 *
 *	evolve = none	the table must fit as it is
 *	evolve = add	missing columns are added
 *	evolve = follow	and columns that the source dropped go, types that are too narrow are changed,
 *			renamed columns are renamed where the log leaves no doubt
 *
 * What may not or cannot be done stops the table, with the SQL that would cure it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metric.h"
#include "sql_sink.h"

static bool same_name(const struct sql_sink *k, struct str a, struct str b)
{
	return k->dialect->folds ? sql_same_name(a, b) : str_eq(a, b);
}

static struct str text_name(struct buf *out, struct str column)
{
	buf_clear(out);
	buf_add(out, column.p, column.n);
	buf_adds(out, SQL_TEXT_SUFFIX);
	return (struct str){ out->p, out->n };
}

static const struct sql_column *find_column(const struct sql_sink *k, const struct sql_place *p,
					    struct str name)
{
	for (size_t i = 0; i < p->ncolumns; i++)
		if (same_name(k, str_z(p->columns[i].name), name))
			return &p->columns[i];
	return NULL;
}

static bool in_table(const struct sql_sink *k, const struct table *t, struct str name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (same_name(k, t->columns[i].name, name))
			return true;
	return false;
}

static void columns_release(struct sql_place *p)
{
	for (size_t i = 0; i < p->ncolumns; i++) {
		free(p->columns[i].name);
		free(p->columns[i].type);
		free(p->columns[i].cast);
	}
	free(p->columns);
	p->columns = NULL;
	p->ncolumns = 0;
}

static int look(struct sql_sink *k, struct sql_place *p, struct error *err)
{
	columns_release(p);
	return k->dialect->look(k, p, err);
}

/* What every version of the place knew about it no longer holds. */
static void place_changed(struct sql_sink *k, const struct sql_place *p)
{
	for (size_t i = 0; i < k->nversions; i++) {
		struct sql_version *v = k->versions[i];

		if (v && v->place == p) {
			k->dialect->forget(k, v);
			v->ready = false;
		}
	}
}

void sql_tables_forget(struct sql_sink *k)
{
	for (struct sql_place *p = k->places; p; p = p->next) {
		p->newest = 0;
		place_changed(k, p);
	}
}

/* --- DDL --- */

static void put_name(struct sql_sink *k, struct buf *out, struct str name)
{
	sql_ident(out, name, k->dialect->quote);
}

static void alter_table(struct sql_sink *k, const struct sql_place *p, struct buf *out)
{
	buf_clear(out);
	buf_adds(out, "ALTER TABLE ");
	buf_adds(out, p->full);
	buf_addc(out, ' ');
	(void)k;
}

/*
 * Where DDL commits, it runs between transactions only: what this one has written is given up, and
 * comes again.
 */
static int ddl(struct sql_sink *k, const struct sql_place *p, const char *sql, struct error *err)
{
	bool dirty = k->dirty;

	if (!k->dialect->ddl_commits) {
		if (k->dialect->run(k, sql, err))
			return error_prefix(err, "table %s: %.300s", p->full, sql);
	} else {
		if (k->dialect->run(k, "ROLLBACK", err))
			return -1;
		k->writing = false;
		if (k->dialect->run(k, sql, err))
			return error_prefix(err, "table %s: %.300s", p->full, sql);
	}
	log_info("target changed", "sink", k->ctx.sink->name, "sql", sql, NULL);
	if (!k->dialect->ddl_commits)
		return 0;
	if (dirty)
		return fail(err, ERR_RETRY,
			    "table %s was changed; what this transaction had written comes again",
			    p->full);
	return sql_begin(k, err);
}

static int refuse_ddl(struct sql_sink *k, const struct sql_place *p, const struct table *t,
		      const char *why, const char *sql, struct error *err)
{
	static const char *const names[] = { "none", "add", "follow" };

	return fail(err, ERR_REJECT,
		    "table %s does not fit %.*s.%.*s (version %u): %s, and evolve = %s; run: %s",
		    p->full, STR_FMT(t->schema), STR_FMT(t->name), t->version, why,
		    names[k->set->evolve], sql);
}

static void put_special(struct sql_sink *k, struct buf *out, const char *name, bool *any)
{
	buf_adds(out, *any ? ", " : "");
	*any = true;
	put_name(k, out, str_z(name));
	buf_addc(out, ' ');
	k->dialect->type(k, &(struct column){ .type = COL_TIMESTAMPTZ }, out);
}

static int create_table(struct sql_sink *k, struct sql_place *p, const struct table *t,
			struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	AUTO(buf) struct buf name = { 0 };
	bool any = false;

	buf_adds(&sql, "CREATE TABLE ");
	buf_adds(&sql, p->full);
	buf_adds(&sql, " (");
	for (size_t i = 0; i < t->ncolumns; i++, any = true) {
		const struct column *c = &t->columns[i];

		buf_adds(&sql, i ? ", " : "");
		put_name(k, &sql, c->name);
		buf_addc(&sql, ' ');
		k->dialect->type(k, c, &sql);
		buf_adds(&sql, c->key ? " NOT NULL" : "");
	}
	if (k->set->history) {
		put_special(k, &sql, SQL_VALID_FROM, &any);
		put_special(k, &sql, SQL_VALID_TO, &any);
	} else if (k->set->deletes == DELETES_SOFT) {
		put_special(k, &sql, SQL_DELETED_AT, &any);
	}
	if (t->nkey && !k->set->history) {
		buf_adds(&sql, ", PRIMARY KEY (");
		sql_key_list(&sql, t, k->dialect->quote);
		buf_addc(&sql, ')');
	}
	buf_addc(&sql, ')');
	if (ddl(k, p, buf_z(&sql), err))
		return -1;
	if (!k->set->history || !t->nkey)
		return look(k, p, err);
	/* The open version of a key is looked for by every change. */
	buf_clear(&sql);
	buf_addf(&name, "%s_versions", p->name);
	buf_adds(&sql, "CREATE INDEX ");
	put_name(k, &sql, (struct str){ name.p, name.n });
	buf_addf(&sql, " ON %s", p->full);
	buf_adds(&sql, " (");
	sql_key_list(&sql, t, k->dialect->quote);
	buf_addc(&sql, ')');
	if (ddl(k, p, buf_z(&sql), err))
		return -1;
	return look(k, p, err);
}

static int add_column(struct sql_sink *k, struct sql_place *p, const struct table *t,
		      struct str column, const struct column *like, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	char why[160];

	alter_table(k, p, &sql);
	buf_adds(&sql, "ADD COLUMN ");
	put_name(k, &sql, column);
	buf_addc(&sql, ' ');
	k->dialect->type(k, like, &sql);
	snprintf(why, sizeof why, "it has no column %.*s", STR_FMT(column));
	if (k->set->evolve == EVOLVE_NONE)
		return refuse_ddl(k, p, t, why, buf_z(&sql), err);
	return ddl(k, p, buf_z(&sql), err);
}

/* --- what changed from one version to the next --- */

/* The version before, as far as it is known. */
static const struct table *version_before(const struct sql_sink *k, const struct table *t)
{
	const struct table *best = NULL;

	for (uint32_t id = 1; id <= tables_count(k->ctx.tables); id++) {
		const struct table *o = tables_by_id(k->ctx.tables, id);

		if (o && o->version < t->version && str_eq(o->schema, t->schema) &&
		    str_eq(o->name, t->name) && (!best || o->version > best->version))
			best = o;
	}
	return best;
}

/*
 * The column of the version before that column i may be under a new name: it stood in the same
 * place and is gone.  PostgreSQL appends what is added, so anywhere but in the last place it is the same
 * column for sure; elsewhere it may be if it has the same type.
 */
static const struct column *renamed_from(const struct sql_sink *k, const struct table *t, size_t i,
					 bool *sure)
{
	const struct table *old = version_before(k, t);

	if (!old || old->ncolumns != t->ncolumns || in_table(k, old, t->columns[i].name) ||
	    in_table(k, t, old->columns[i].name))
		return NULL;
	*sure = i + 1 < t->ncolumns && strcmp(tables_connector(k->ctx.tables), "postgresql") == 0;
	return *sure || str_eq(old->columns[i].native, t->columns[i].native) ? &old->columns[i]
									     : NULL;
}

static int rename_column(struct sql_sink *k, struct sql_place *p, const struct table *t, size_t i,
			 const struct column *old, bool sure, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	AUTO(buf) struct buf why = { 0 };

	alter_table(k, p, &sql);
	buf_adds(&sql, "RENAME COLUMN ");
	put_name(k, &sql, old->name);
	buf_adds(&sql, " TO ");
	put_name(k, &sql, t->columns[i].name);
	if (sure && k->set->evolve == EVOLVE_FOLLOW)
		return ddl(k, p, buf_z(&sql), err);
	buf_addf(&why, "column %.*s seems to be renamed to %.*s%s", STR_FMT(old->name),
		 STR_FMT(t->columns[i].name),
		 sure ? "" : " (if it is another column, add that one instead)");
	return refuse_ddl(k, p, t, buf_z(&why), buf_z(&sql), err);
}

/* A column that the target lacks. */
static int supply_column(struct sql_sink *k, struct sql_place *p, const struct table *t, size_t i,
			 struct error *err)
{
	bool sure = false;
	const struct column *old = renamed_from(k, t, i, &sure);
	int failed;

	if (old && find_column(k, p, old->name))
		failed = rename_column(k, p, t, i, old, sure, err);
	else
		failed = add_column(k, p, t, t->columns[i].name, &t->columns[i], err);
	return failed ? -1 : look(k, p, err); /* what was renamed must not be taken for missing */
}

static bool changed_type(const struct sql_sink *k, const struct table *t, size_t i)
{
	const struct table *old = version_before(k, t);

	for (size_t j = 0; old && j < old->ncolumns; j++)
		if (same_name(k, old->columns[j].name, t->columns[i].name))
			return !str_eq(old->columns[j].native, t->columns[i].native);
	return false;
}

/* 1: the table was changed. */
static int fit_column(struct sql_sink *k, struct sql_place *p, const struct table *t, size_t i,
		      struct error *err)
{
	const struct column *c = &t->columns[i];
	const struct sql_column *have = find_column(k, p, c->name);
	AUTO(buf) struct buf type = { 0 };
	AUTO(buf) struct buf sql = { 0 };
	AUTO(buf) struct buf why = { 0 };
	enum sql_fit fit = k->dialect->fit(k, have, c);

	if (fit == SQL_FITS ||
	    (fit == SQL_DIFFERS && (k->set->evolve != EVOLVE_FOLLOW || !changed_type(k, t, i))))
		return 0;
	k->dialect->type(k, c, &type);
	alter_table(k, p, &sql);
	k->dialect->alter_type(&sql, c->name, buf_z(&type));
	buf_addf(&why, "column %.*s is %s, too narrow for %.*s", STR_FMT(c->name), have->type,
		 STR_FMT(c->native));
	if (k->set->evolve != EVOLVE_FOLLOW || p->newest > t->version)
		return refuse_ddl(k, p, t, buf_z(&why), buf_z(&sql), err);
	return ddl(k, p, buf_z(&sql), err) ? -1 : 1;
}

/* Was it a column of an earlier version, rather than one of the target's own? */
static bool was_ours(const struct sql_sink *k, const struct table *t, struct str name)
{
	for (uint32_t id = 1; id <= tables_count(k->ctx.tables); id++) {
		const struct table *o = tables_by_id(k->ctx.tables, id);

		if (o && o->version < t->version && str_eq(o->schema, t->schema) &&
		    str_eq(o->name, t->name) && in_table(k, o, name))
			return true;
	}
	return false;
}

/* 1: the table was changed. */
static int drop_columns(struct sql_sink *k, struct sql_place *p, const struct table *t,
			struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	int changed = 0;

	if (k->set->evolve != EVOLVE_FOLLOW || p->newest > t->version)
		return 0;
	for (size_t i = 0; i < p->ncolumns; i++) {
		struct str name = str_z(p->columns[i].name);

		if (in_table(k, t, name) || !was_ours(k, t, name))
			continue;
		alter_table(k, p, &sql);
		buf_adds(&sql, "DROP COLUMN ");
		put_name(k, &sql, name);
		if (ddl(k, p, buf_z(&sql), err))
			return -1;
		changed = 1;
	}
	return changed;
}

/* 1: the table was changed. */
static int add_special(struct sql_sink *k, struct sql_place *p, const struct table *t,
		       struct error *err)
{
	static const char *const soft[] = { SQL_DELETED_AT, NULL };
	static const char *const history[] = { SQL_VALID_FROM, SQL_VALID_TO, NULL };
	const struct column *time = &(struct column){ .type = COL_TIMESTAMPTZ };
	const char *const *names = k->set->history                   ? history
				   : k->set->deletes == DELETES_SOFT ? soft
								     : soft + 1;
	int changed = 0;

	for (; *names; names++) {
		if (find_column(k, p, str_z(*names)))
			continue;
		if (add_column(k, p, t, str_z(*names), time, err))
			return -1;
		changed = 1;
	}
	return changed;
}

static int evolve(struct sql_sink *k, struct sql_place *p, const struct table *t, struct error *err)
{
	int changed = 0, rc;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!find_column(k, p, t->columns[i].name)) {
			if (supply_column(k, p, t, i, err))
				return -1;
			changed = 1;
		}
		if ((rc = fit_column(k, p, t, i, err)) < 0 || (rc && look(k, p, err)))
			return -1;
		changed |= rc;
	}
	if ((rc = add_special(k, p, t, err)) < 0)
		return -1;
	changed |= rc;
	if ((rc = drop_columns(k, p, t, err)) < 0)
		return -1;
	if (!(changed | rc))
		return 0;
	place_changed(k, p);
	return look(k, p, err);
}

/* --- versions --- */

static int check_key(struct sql_sink *k, const struct sql_place *p, const struct table *t,
		     struct error *err)
{
	AUTO(buf) struct buf cure = { 0 };
	bool unique = true;

	if (!t->nkey || k->set->history)
		return 0;
	if (k->dialect->unique(k, p, t, &unique, err))
		return -1;
	if (unique)
		return 0;
	buf_adds(&cure, "CREATE UNIQUE INDEX ON ");
	buf_adds(&cure, p->full);
	buf_adds(&cure, " (");
	sql_key_list(&cure, t, k->dialect->quote);
	buf_addc(&cure, ')');
	return fail(err, ERR_REJECT,
		    "the key of %.*s.%.*s (version %u) is not the PRIMARY KEY of table %s, and no "
		    "unique index stands for it; drop the table and load it again, or, where the "
		    "old key still holds: %s",
		    STR_FMT(t->schema), STR_FMT(t->name), t->version, p->full, buf_z(&cure));
}

/* Columns that rows of the first version cannot have. */
static void find_late(const struct sql_sink *k, struct sql_version *v)
{
	const struct table *t = v->table, *first = t;

	for (const struct table *o = t; o; o = version_before(k, o))
		first = o;
	v->any_late = false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		v->late[i] = !in_table(k, first, t->columns[i].name);
		v->any_late |= v->late[i];
	}
}

/* A column NAME_text holds source text, unless the source has a column of that name itself. */
static void find_text(const struct sql_sink *k, struct sql_version *v)
{
	const struct table *t = v->table;
	AUTO(buf) struct buf name = { 0 };

	for (size_t i = 0; i < t->ncolumns; i++) {
		struct str text = text_name(&name, t->columns[i].name);

		v->text[i] = k->set->unrepresentable == UNREPRESENTABLE_TEXT &&
			     find_column(k, v->place, text) && !in_table(k, t, text);
		v->any_text |= v->text[i];
	}
}

static int compare(struct sql_sink *k, struct sql_version *v, struct error *err)
{
	struct sql_place *p = v->place;
	const struct table *t = v->table;

	if (look(k, p, err) || (!p->ncolumns && create_table(k, p, t, err)) ||
	    evolve(k, p, t, err) || check_key(k, p, t, err))
		return -1;
	for (size_t i = 0; i < t->ncolumns; i++)
		v->at[i] = (uint16_t)(find_column(k, p, t->columns[i].name) - p->columns);
	find_text(k, v);
	find_late(k, v);
	if (t->version > p->newest)
		p->newest = t->version;
	v->ready = true;
	return 0;
}

static struct sql_place *place_get(struct sql_sink *k, struct sql_place *like,
				   const struct table *t)
{
	AUTO(buf) struct buf labels = { 0 };
	AUTO(buf) struct buf full = { 0 };
	struct sql_place *p = k->places;

	while (p && !same_name(k, str_z(p->full), str_z(like->full)))
		p = p->next;
	if (p)
		return p;
	p = xcalloc(1, sizeof *p);
	p->schema = like->schema;
	p->name = like->name;
	p->full = like->full;
	like->schema = like->name = like->full = NULL;
	p->owner = t;
	buf_addf(&full, "%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));
	metric_label(&labels, "sink", str_z(k->ctx.sink->name));
	metric_label(&labels, "table", (struct str){ full.p, full.n });
	p->skipped = metric_get(METRIC_COUNTER, "sink_updates_skipped_total", buf_z(&labels),
				"Updates without all columns whose row is not at the target.");
	p->next = k->places;
	k->places = p;
	return p;
}

static int too_long(const struct sql_sink *k, const struct table *t, struct str name,
		    struct error *err)
{
	if (name.n <= k->dialect->longest_name)
		return 0;
	return fail(err, ERR_REJECT,
		    "%.*s.%.*s: the name %.*s is longer than %zu bytes, which the target would "
		    "cut; leave the table out with tables =, or rename it with table =",
		    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(name), k->dialect->longest_name);
}

static int check_names(struct sql_sink *k, const char *name, const struct table *t,
		       struct error *err)
{
	static const char *const special[] = { SQL_DELETED_AT, SQL_VALID_FROM, SQL_VALID_TO };

	if (!*name || same_name(k, str_z(name), STR("tailrace_checkpoint")))
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s would be written to table \"%s\", a name that is reserved; "
			    "set table = {schema}_{table}, or leave it out with tables =",
			    STR_FMT(t->schema), STR_FMT(t->name), name);
	if (too_long(k, t, str_z(name), err))
		return -1;
	if (!t->ncolumns)
		return fail(err, ERR_REJECT, "%.*s.%.*s has no columns; leave it out with tables =",
			    STR_FMT(t->schema), STR_FMT(t->name));
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (too_long(k, t, t->columns[i].name, err))
			return -1;
		for (size_t j = 0; j < i; j++)
			if (same_name(k, t->columns[i].name, t->columns[j].name))
				return sql_columns_distinct(t, false, err);
	}
	for (size_t i = 0; i < COUNT(special); i++) {
		bool used = i ? k->set->history : k->set->deletes == DELETES_SOFT;

		if (used && in_table(k, t, str_z(special[i])))
			return fail(err, ERR_REJECT,
				    "%.*s.%.*s has a column %s itself, which %s needs",
				    STR_FMT(t->schema), STR_FMT(t->name), special[i],
				    i ? "history = on" : "deletes = soft");
	}
	return 0;
}

/* Two tables of the source that would be one at the target. */
static int check_alone(struct sql_sink *k, const char *template, const struct table *t,
		       struct error *err)
{
	AUTO(buf) struct buf mine = { 0 };
	AUTO(buf) struct buf other = { 0 };
	const char *pipeline = k->ctx.config->pipeline.name;

	if (k->set->schema)
		return sql_table_alone(&k->ctx, template, t, err);
	if (sql_table_name(template, pipeline, t, &mine, err))
		return -1;
	/* each schema of the source is one of the target's */
	for (uint32_t id = 1; id <= tables_count(k->ctx.tables); id++) {
		const struct table *o = tables_by_id(k->ctx.tables, id);

		if (!o || !(o->sinks >> k->ctx.index & 1) || !str_eq(o->schema, t->schema) ||
		    str_eq(o->name, t->name))
			continue;
		if (sql_table_name(template, pipeline, o, &other, err))
			return -1;
		if (same_name(k, str_z(buf_z(&mine)), str_z(buf_z(&other))))
			return sql_table_alone(&k->ctx, template, t, err);
	}
	return 0;
}

static struct sql_version *version_new(struct sql_sink *k, const struct table *t, struct error *err)
{
	const char *template = k->set->table ? k->set->table : "{table}";
	AUTO(buf) struct buf name = { 0 };

	if (sql_table_name(template, k->ctx.config->pipeline.name, t, &name, err) ||
	    check_names(k, buf_z(&name), t, err) || check_alone(k, template, t, err))
		return NULL;
	struct sql_place like = { .name = xstrdup(buf_z(&name)) };
	struct sql_version *v = xcalloc(1, sizeof *v);

	k->dialect->name_place(k, &like, t);
	v->table = t;
	v->place = place_get(k, &like, t);
	free(like.name);
	free(like.schema);
	free(like.full);
	v->at = xcalloc(t->ncolumns + 1, sizeof *v->at);
	v->text = xcalloc(t->ncolumns + 1, sizeof *v->text);
	v->late = xcalloc(t->ncolumns + 1, sizeof *v->late);
	return v;
}

bool sql_version_ready(const struct sql_sink *k, const struct table *t)
{
	return t->id < k->nversions && k->versions[t->id] && k->versions[t->id]->ready;
}

struct sql_version *sql_version_get(struct sql_sink *k, const struct table *t, struct error *err)
{
	if (t->id >= k->nversions) {
		size_t n = (size_t)t->id + 16;

		k->versions = xrealloc(k->versions, n * sizeof(struct sql_version *));
		memset(k->versions + k->nversions, 0,
		       (n - k->nversions) * sizeof(struct sql_version *));
		k->nversions = n;
	}
	struct sql_version *v = k->versions[t->id];

	if (!v)
		v = k->versions[t->id] = version_new(k, t, err);
	if (!v || (!v->ready && compare(k, v, err)))
		return NULL;
	return v;
}

int sql_add_text(struct sql_sink *k, struct sql_version *v, size_t column, struct error *err)
{
	const struct table *t = v->table;
	AUTO(buf) struct buf name = { 0 };
	struct str text = text_name(&name, t->columns[column].name);

	if (in_table(k, t, text))
		return fail(err, ERR_REJECT,
			    "%.*s.%.*s has a column %.*s itself, which unrepresentable = "
			    "text needs for %.*s; set unrepresentable = null or reject",
			    STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(text),
			    STR_FMT(t->columns[column].name));
	if (!find_column(k, v->place, text)) {
		if (add_column(k, v->place, t, text, &(struct column){ .type = COL_TEXT }, err))
			return -1;
		place_changed(k, v->place);
	}
	return compare(k, v, err);
}

void sql_tables_free(struct sql_sink *k)
{
	for (size_t i = 0; i < k->nversions; i++) {
		struct sql_version *v = k->versions[i];

		if (!v)
			continue;
		k->dialect->forget(k, v);
		free(v->at);
		free(v->text);
		free(v->late);
		free(v);
	}
	free(k->versions);
	while (k->places) {
		struct sql_place *p = k->places;

		k->places = p->next;
		columns_release(p);
		sql_batch_free(&p->batch);
		free(p->schema);
		free(p->name);
		free(p->full);
		free(p);
	}
}
