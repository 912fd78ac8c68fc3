/*
 * mysql_catalog.c - definitions of captured tables, by their place in the log
 *
 * A place that the stream comes to lies behind what the server is now.  So a definition that is read now may
 * already be that of a later statement, and it is used only where it could have written the table map at hand;
 * and when the later statement comes, that is said.  Each statement that touches a captured table ends the definition
 * it had and reads another one at once.  A RENAME takes definitions along, from left to right.
 *
 * Rows that a statement changes, brings or takes away without events leave a note: the table's copies are to be
 * loaded again.
 */
#include <stdlib.h>

#include "log.h"
#include "mysql_catalog.h"
#include "mysql_history.h"
#include "mysql_schema.h"

struct mysql_catalog {
	const struct config *config;
	const struct list *patterns; /* source.tables as of the last connect() */
	struct tables *tables;
	const struct source *source;
	struct mysql_history *history;
	bool opened; /* the history was read from state.db */
	int names;   /* lower_case_table_names */
	struct mysql_conn *conn;
	const struct mysql_server *server;
	struct mysql_schema live; /* as it was at connect() */
	bool *wanted;             /* of `live` */
	struct position at;       /* the last place that was asked for */
};

struct mysql_catalog *mysql_catalog_new(const struct config *config, struct tables *t,
					const struct source *s)
{
	struct mysql_catalog *c = xcalloc(1, sizeof *c);

	c->config = config;
	c->patterns = config_tables(config);
	c->tables = t;
	c->source = s;
	c->history = mysql_history_new();
	return c;
}

void mysql_catalog_disconnect(struct mysql_catalog *c)
{
	c->conn = NULL;
	c->server = NULL;
}

void mysql_catalog_free(struct mysql_catalog *c)
{
	if (!c)
		return;
	mysql_history_free(c->history);
	mysql_schema_release(&c->live);
	free(c->wanted);
	free(c);
}

/* --- the start --- */

static int check_names(const struct mysql_catalog *c, struct error *err)
{
	AUTO(free) struct table *drafts = xcalloc(c->live.n, sizeof *drafts);
	AUTO(arena) struct arena a = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < c->live.n; i++) {
		const struct mysql_table *t = &c->live.items[i];
		struct table *d = &drafts[n];

		if (!c->wanted[i])
			continue;
		n++;
		d->schema = t->schema;
		d->name = t->name;
		d->ncolumns = t->ncolumns;
		d->columns = arena_zalloc(&a, t->ncolumns * sizeof *d->columns);
		for (size_t k = 0; k < t->ncolumns; k++)
			d->columns[k].name = t->columns[k].name;
	}
	return tables_check_names(c->tables, drafts, n, err);
}

/* source.tables has changed: what it asks for, and asked for under `was`, is said where it differs. */
static void say_change(struct mysql_catalog *c, const struct list *was)
{
	for (size_t i = 0; i < c->live.n; i++) {
		const struct mysql_table *t = &c->live.items[i];
		bool before = !t->sequence && mysql_captured(was, c->names, t->schema, t->name);
		AUTO(free)
		char *name = xasprintf("%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));

		if (c->wanted[i] && !before) {
			tables_forget_note(c->tables, TABLE_NOTE_EXCLUDED, t->schema, t->name);
			log_info("table is selected now", "table", name, NULL);
		} else if (before && !c->wanted[i]) {
			tables_note(c->tables, TABLE_NOTE_EXCLUDED, t->schema, t->name,
				    "source.tables no longer selects it");
			log_warning("table is no longer selected: its changes are not carried from "
				    "here on; sinks keep what they have",
				    "table", name, NULL);
		}
	}
}

static int read_live(struct mysql_catalog *c, bool strict, struct error *err)
{
	const struct list *was = c->patterns;
	struct error unmatched;

	c->patterns = config_tables(c->config);
	mysql_schema_release(&c->live);
	if (mysql_schema_list(c->conn, &c->live, err))
		return -1;
	free(c->wanted);
	c->wanted = xcalloc(c->live.n, sizeof *c->wanted);
	if (mysql_choose(c->patterns, c->names, c->live.items, c->live.n, c->wanted,
			 strict ? err : &unmatched)) {
		if (strict)
			return -1;
		if (was != c->patterns)
			log_warning("a change of source.tables does not do what it says", "reason",
				    unmatched.text, NULL);
	}
	if (!strict) {
		if (was != c->patterns)
			say_change(c, was);
		return 0;
	}
	if (mysql_schema_columns(c->conn, c->server, &c->live, c->wanted, err))
		return -1;
	return check_names(c, err);
}

int mysql_catalog_connect(struct mysql_catalog *c, struct mysql_conn *conn,
			  const struct mysql_server *server, bool strict, struct error *err)
{
	c->conn = conn;
	c->server = server;
	if (!c->opened && mysql_history_open(c->history, c->source->state, err))
		return -1;
	c->opened = true;
	if (mysql_schema_session(conn, server, err) || mysql_names_rule(conn, &c->names, err))
		return -1;
	return read_live(c, strict, err);
}

/* Equal before and after the place: it was so at the place, as whoever altered a table was waited for. */
int mysql_catalog_begin(struct mysql_catalog *c, const struct position *place, struct error *err)
{
	AUTO(mysql_schema) struct mysql_schema again = { 0 };

	AUTO(free) bool *kept = xcalloc(c->live.n, sizeof *kept);

	c->at = *place;
	for (size_t i = 0; i < c->live.n; i++) {
		struct mysql_table *t = &c->live.items[i];

		if (c->wanted[i] && mysql_schema_settled(c->conn, t->schema, t->name, err) < 0)
			return -1;
		/* of a sequence only the name counts */
		kept[i] = c->wanted[i] || (t->sequence && mysql_captured(c->patterns, c->names,
									 t->schema, t->name));
	}
	if (mysql_schema_list(c->conn, &again, err))
		return -1;
	bool same = again.n == c->live.n;

	for (size_t i = 0; i < again.n && same; i++)
		same = str_eq(again.items[i].name, c->live.items[i].name) &&
		       str_eq(again.items[i].schema, c->live.items[i].schema);
	if (same && mysql_schema_columns(c->conn, c->server, &again, c->wanted, err))
		return -1;
	for (size_t i = 0; i < again.n && same; i++)
		same = !c->wanted[i] || again.items[i].sequence ||
		       mysql_table_equal(&again.items[i], &c->live.items[i]);
	if (!same)
		return fail(err, ERR_RETRY,
			    "tables were created or altered while their "
			    "definitions were read: starting again");
	return mysql_history_start(c->history, place, c->live.items, kept, c->live.n, err);
}

void mysql_catalog_resume(struct mysql_catalog *c, const struct position *after)
{
	c->at = *after;
}

/* --- looking up --- */

/* Names as the history has them. */
static struct str folded(const struct mysql_catalog *c, struct str name, struct arena *a)
{
	return c->names ? mysql_lower(name, a) : name;
}

/*
 * The last version of the table there, unless a statement about its whole database, or one that could not be
 * read, came after it.
 */
static int version_at(struct mysql_catalog *c, struct str db, struct str table,
		      const struct position *at, struct mysql_version *out, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };
	struct str d = folded(c, db, &a), t = folded(c, table, &a), none = { NULL, 0 };
	struct str over[2] = { d, none };
	int found = mysql_history_at(c->history, d, t, at, out, err);

	for (size_t i = 0; i < 2 && found > 0; i++) {
		struct mysql_version wide;
		int rc = mysql_history_at(c->history, over[i], none, at, &wide, err);

		if (rc < 0)
			return -1;
		if (rc > 0 && position_cmp(&wide.from, &out->from) > 0)
			*out = wide;
	}
	return found;
}

static int put(struct mysql_catalog *c, struct str db, struct str table,
	       const struct mysql_version *v, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };

	return mysql_history_put(c->history, folded(c, db, &a), folded(c, table, &a), v, err);
}

static const struct mysql_table *live_table(const struct mysql_catalog *c, struct str db,
					    struct str table)
{
	for (size_t i = 0; i < c->live.n; i++)
		if (str_eq(c->live.items[i].schema, db) && str_eq(c->live.items[i].name, table))
			return &c->live.items[i];
	return NULL;
}

/* Rows of a sequence are in the log, like a table's. */
static bool is_sequence(struct mysql_catalog *c, struct str db, struct str table)
{
	struct mysql_version v;
	struct error ignored;
	int found = version_at(c, db, table, &c->at, &v, &ignored);

	if (found > 0)
		return v.definition && v.definition->sequence;
	const struct mysql_table *t = live_table(c, db, table);

	return t && t->sequence;
}

static int selected(void *ctx, struct str db, struct str table)
{
	struct mysql_catalog *c = ctx;

	return mysql_captured(c->patterns, c->names, db, table) && !is_sequence(c, db, table);
}

static int log_end(struct mysql_catalog *c, uint32_t epoch, struct position *out, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	bool renamed = !c->server->mariadb && c->server->version >= 80200;

	if (mysql_query_rows(c->conn, renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", &r,
			     err))
		return -1;
	struct str offset = mysql_cell(&r, 0, 1);
	AUTO(free) char *text = xstrndup(offset.n ? offset.p : "", offset.n);

	*out = (struct position){ epoch, binlog_file_number(mysql_cell(&r, 0, 0)),
				  strtoull(text, NULL, 10), 0 };
	return 0;
}

/* What the table is now, as a version from `at` on; definition NULL: it is not there.  Strings in `a`. */
static int read_now(struct mysql_catalog *c, struct str db, struct str table,
		    const struct position *at, struct arena *a, struct mysql_version *out,
		    struct error *err)
{
	struct mysql_table *t = arena_zalloc(a, sizeof *t);

	*out = (struct mysql_version){ .from = *at };
	if (!c->conn)
		return fail(err, ERR_RETRY, "the source is not connected");
	int there = mysql_schema_read(c->conn, c->server, db, table, a, t, err);

	if (there < 0)
		return -1;
	if (there > 0)
		out->definition = t;
	return log_end(c, at->epoch, &out->read, err);
}

static int fail_unknown(const struct binlog_map *m, const struct position *at, const char *why,
			struct error *err)
{
	char text[POSITION_TEXT];

	return fail(err, ERR_FATAL,
		    "table %.*s.%.*s at %s: which columns it had there is not known (%s). It was "
		    "altered more than once, or outside the log, and the log names no columns. Set "
		    "binlog_row_metadata = FULL on the server (MySQL 8.0, MariaDB 10.5 and later) "
		    "for "
		    "what comes; to go on past this place leave the table out of source.tables, "
		    "and "
		    "load it anew afterwards",
		    STR_FMT(m->db), STR_FMT(m->name), position_text(at, text), why);
}

/* What these versions make for an index over an expression is in maps, and in no definition. */
static bool logs_expressions(const struct mysql_server *s)
{
	return !s->mariadb && s->version >= 80013 && s->version <= 80017;
}

/* Read again where what was known cannot have written the map. */
static int definition_now(struct mysql_catalog *c, const struct position *at,
			  const struct binlog_map *m, bool known, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf why = { 0 };
	AUTO(free) char *table = xasprintf("%.*s.%.*s", STR_FMT(m->db), STR_FMT(m->name));
	struct mysql_version now;

	if (read_now(c, m->db, m->name, at, &a, &now, err))
		return -1;
	if (!now.definition) {
		(void)fail_unknown(m, at, "it is gone", err);
		return 0;
	}
	if (m->ncolumns > now.definition->ncolumns && logs_expressions(c->server)) {
		(void)fail(
			err, ERR_FATAL,
			"table %s: the log has %zu columns, the table %zu: MySQL 8.0.13 to 8.0.17 "
			"log what they make for an index over an expression. Set "
			"binlog_row_metadata = FULL, with which it is told apart, or drop the "
			"index; to go on past this place leave the table out of source.tables, "
			"and load it anew afterwards",
			table, m->ncolumns, now.definition->ncolumns);
		return 0;
	}
	if (!mysql_table_matches(now.definition, m, &why)) {
		(void)fail_unknown(m, at, buf_z(&why), err);
		return 0;
	}
	if (known)
		log_warning("a table's columns differ from what the log said of it: altered with "
			    "sql_log_bin = 0?",
			    "table", table, NULL);
	return put(c, m->db, m->name, &now, err) ? -1 : 1;
}

static int definition(void *ctx, const struct position *at, const struct binlog_map *m,
		      const struct mysql_table **out, struct error *err)
{
	struct mysql_catalog *c = ctx;
	AUTO(buf) struct buf why = { 0 };
	struct mysql_version v;
	int found = version_at(c, m->db, m->name, at, &v, err);

	c->at = *at;
	if (found < 0)
		return -1;
	if (!found || !v.definition || !mysql_table_matches(v.definition, m, &why)) {
		int rc = definition_now(c, at, m, found && v.definition, err);

		if (rc <= 0)
			return rc;
		if (version_at(c, m->db, m->name, at, &v, err) < 0)
			return -1;
	}
	if (!m->has_names) {
		AUTO(arena) struct arena a = { 0 };

		mysql_history_used(c->history, folded(c, m->db, &a), folded(c, m->name, &a), at);
	}
	*out = v.definition;
	return 1;
}

/* --- what statements do --- */

/* A name during one statement, and the definition that it has. */
struct moved {
	struct str db, table;
	const struct mysql_table *definition; /* NULL: not known, or gone */
	const struct mysql_table *had;        /* of the table that was renamed away */
	bool taken;                           /* its table was renamed away */
	bool copy;                            /* a changed copy of the table has its name now */
};

struct change_of {
	struct mysql_catalog *c;
	const struct position *at;
	struct arena arena;
	struct moved *names;
	size_t n;
};

static void note(struct change_of *x, struct str db, struct str table, const char *what)
{
	char place[POSITION_TEXT];
	AUTO(free) char *name = xasprintf("%.*s.%.*s", STR_FMT(db), STR_FMT(table));
	AUTO(free) char *reason = xasprintf("%s, at %s", what, position_text(x->at, place));

	tables_note(x->c->tables, TABLE_NOTE_RELOAD, db, table, reason);
	log_warning("rows changed with no event for them: load the table again", "table", name,
		    "reason", reason, NULL);
}

static struct position just_before(const struct position *at)
{
	struct position p = *at;

	if (p.row)
		p.row--;
	else if (p.offset--)
		p.row = UINT64_MAX;
	return p;
}

/* Was it put at this very place when the log was read before? */
static int done_before(struct change_of *x, struct str db, struct str table, struct error *err)
{
	struct mysql_version v;
	int found = version_at(x->c, db, table, x->at, &v, err);

	if (found < 0)
		return -1;
	return found && position_cmp(&v.from, x->at) == 0 && v.definition;
}

/*
 * The definition that ends here was read when this statement had run already: until here it was used for rows
 * that were older than it.
 */
static void doubt(struct change_of *x, struct str db, struct str table,
		  const struct mysql_version *before)
{
	if (!before->used || !before->read.file || position_cmp(&before->read, x->at) <= 0)
		return;
	note(x, db, table,
	     "altered twice before its definition could be read: columns of the same type may have "
	     "been taken for each other before the second time; binlog_row_metadata = FULL "
	     "prevents "
	     "it");
}

enum touched { TOUCHED, REWRITTEN, COPIED };

/* What became of the rows where a changed copy takes the table's place. */
static bool copy_differs(const struct mysql_table *was, const struct mysql_table *copy,
			 struct buf *why)
{
	if (!was || !copy) {
		buf_adds(why, "a changed copy was renamed to it, of which it is not known what it "
			      "holds");
		return true;
	}
	return mysql_table_rewritten(was, copy, why) || mysql_table_grown(was, copy, why);
}

static int touch(struct change_of *x, struct str db, struct str table, enum touched how,
		 struct error *err)
{
	struct mysql_catalog *c = x->c;
	struct position last = just_before(x->at);
	struct mysql_version before, now;
	AUTO(buf) struct buf why = { 0 };
	int done = done_before(x, db, table, err);

	if (done)
		return done < 0 ? -1 : 0;
	int found = version_at(c, db, table, &last, &before, err);

	if (found < 0 || read_now(c, db, table, x->at, &x->arena, &now, err))
		return -1;
	bool known = found && before.definition;

	if (known)
		doubt(x, db, table, &before);
	if (how == COPIED) {
		if (copy_differs(known ? before.definition : NULL, now.definition, &why))
			note(x, db, table, buf_z(&why));
	} else if (how == REWRITTEN && (!known || !now.definition))
		note(x, db, table, "columns were modified");
	else if (how == REWRITTEN && mysql_table_rewritten(before.definition, now.definition, &why))
		note(x, db, table, buf_z(&why));
	return put(c, db, table, &now, err);
}

static int forget(struct change_of *x, struct str db, struct str table, struct error *err)
{
	struct mysql_version none = { .from = *x->at };

	return put(x->c, db, table, &none, err);
}

static struct moved *moved_of(struct change_of *x, struct str db, struct str table,
			      struct error *err)
{
	struct position last = just_before(x->at);
	struct mysql_version v;

	for (size_t i = x->n; i > 0; i--)
		if (str_eq(x->names[i - 1].db, db) && str_eq(x->names[i - 1].table, table))
			return &x->names[i - 1];
	int found = version_at(x->c, db, table, &last, &v, err);

	if (found < 0)
		return NULL;
	struct moved *m = &x->names[x->n++];

	*m = (struct moved){ .db = db, .table = table };
	if (found && v.definition) {
		AUTO(buf) struct buf json = { 0 };
		struct mysql_table *copy = arena_zalloc(&x->arena, sizeof *copy);

		mysql_table_json(v.definition, &json);
		if (mysql_table_parse((struct str){ json.p, json.n }, &x->arena, copy, err))
			return NULL;
		m->definition = copy;
	}
	return m;
}

/* Is it what gh-ost, pt-online-schema-change, spirit, lhm or OSC call their copy of the table? */
static bool is_shadow(struct str name, struct str of)
{
	static const char *const before[] = { "_",  "__",  "___",   "_",
					      "__", "___", "lhmn_", "__osc_new_" };
	static const char *const after[] = {
		"_gho", "_gho", "_gho", "_new", "_new", "_new", "", ""
	};

	for (size_t i = 0; i < COUNT(before); i++) {
		AUTO(free) char *shadow = xasprintf("%s%.*s%s", before[i], STR_FMT(of), after[i]);

		if (str_eqz(name, shadow))
			return true;
	}
	return false;
}

/* The rows of a table under its new name. */
static void note_renamed(struct change_of *x, const struct mysql_ddl_item *i,
			 const struct moved *from, struct moved *to)
{
	AUTO(buf) struct buf why = { 0 };

	if (!selected(x->c, i->to_db, i->to) || (from->definition && from->definition->sequence))
		return;
	to->copy = to->taken && is_shadow(i->table, i->to);
	if (!to->copy)
		note(x, i->to_db, i->to, "another table was renamed to it, with the rows it has");
	else if (from->definition && copy_differs(to->had, from->definition, &why))
		note(x, i->to_db, i->to, buf_z(&why));
}

/*
 * A table that takes the name of one that the same statement put aside is, where it is called like their copy, that
 * table with other columns (gh-ost, pt-online-schema-change).  Otherwise its rows are new under this name.
 */
static int rename_one(struct change_of *x, const struct mysql_ddl_item *i, struct error *err)
{
	struct moved *from = moved_of(x, i->db, i->table, err);
	size_t at = from ? (size_t)(from - x->names) : 0;
	struct moved *to = from ? moved_of(x, i->to_db, i->to, err) : NULL;

	if (!to)
		return -1;
	from = &x->names[at];
	note_renamed(x, i, from, to);
	to->definition = from->definition;
	from->had = from->definition;
	from->definition = NULL;
	from->taken = true;
	to->taken = false;
	return 0;
}

static int settle_names(struct change_of *x, struct error *err)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct moved *m = &x->names[i];

		if (!mysql_captured(x->c->patterns, x->c->names, m->db, m->table))
			continue;
		int done = done_before(x, m->db, m->table, err);

		if (done < 0)
			return -1;
		if (done)
			continue;
		if (m->taken ? forget(x, m->db, m->table, err)
			     : !m->definition &&
				       touch(x, m->db, m->table, m->copy ? COPIED : TOUCHED, err))
			return -1;
		if (m->taken || !m->definition)
			continue;
		struct mysql_table named = *m->definition;

		named.schema = m->db;
		named.name = m->table;
		if (put(x->c, m->db, m->table,
			&(struct mysql_version){ .from = *x->at, .definition = &named }, err))
			return -1;
	}
	return 0;
}

/* DROP TABLE IF EXISTS often finds none. */
static int drop(struct change_of *x, const struct mysql_ddl_item *i, struct error *err)
{
	struct position last = just_before(x->at);
	struct mysql_version v;
	int found = version_at(x->c, i->db, i->table, &last, &v, err);

	if (found < 0)
		return -1;
	bool known = found && v.definition, sequence = known && v.definition->sequence;

	if (!sequence && (known || tables_latest(x->c->tables, i->db, i->table)))
		note(x, i->db, i->table, "it was dropped");
	return forget(x, i->db, i->table, err);
}

/* Of a table that is captured.  A sequence is put down as one, so that its rows are known for what they are. */
static int apply(struct change_of *x, const struct mysql_ddl_item *i, bool rewritten,
		 struct error *err)
{
	struct mysql_table sequence = {
		.schema = i->db, .name = i->table, .engine = STR(""), .sequence = true
	};

	switch (i->kind) {
	case MYSQL_CREATE:
		if (i->sequence)
			return put(x->c, i->db, i->table,
				   &(struct mysql_version){ .from = *x->at,
							    .definition = &sequence },
				   err);
		return touch(x, i->db, i->table, TOUCHED, err);
	case MYSQL_ALTER:
		return i->same_columns
			       ? 0
			       : touch(x, i->db, i->table, rewritten ? REWRITTEN : TOUCHED, err);
	case MYSQL_DROP:
		return drop(x, i, err);
	case MYSQL_PARTITION:
		note(x, i->db, i->table, "partitions came, went or were emptied");
		return 0;
	default:
		return 0;
	}
}

static int drop_database(struct change_of *x, struct str db, struct error *err)
{
	for (size_t i = 0; i < x->c->live.n; i++) {
		const struct mysql_table *t = &x->c->live.items[i];

		if (x->c->wanted[i] && str_eq(t->schema, db))
			note(x, t->schema, t->name, "its database was dropped");
	}
	return forget(x, db, (struct str){ NULL, 0 }, err);
}

/* An ALTER that renames too: nothing of the definition goes along. */
static int alter_and_rename(struct change_of *x, const struct mysql_ddl_item *i, bool rewritten,
			    struct error *err)
{
	struct moved *m = moved_of(x, i->db, i->table, err);

	if (!m)
		return -1;
	m->definition = NULL;
	if (rewritten && mysql_captured(x->c->patterns, x->c->names, i->db, i->table))
		note(x, i->db, i->table, "columns were modified");
	return 0;
}

static bool renamed_later(const struct mysql_statement_info *s, size_t at)
{
	for (size_t i = at + 1; i < s->nitems; i++)
		if (s->items[i].kind == MYSQL_RENAME && str_eq(s->items[i].db, s->items[at].db) &&
		    str_eq(s->items[i].table, s->items[at].table))
			return true;
	return false;
}

/* The rows of a table that was not there are none. */
static int note_unlogged(struct change_of *x, const struct mysql_ddl_item *i, struct error *err)
{
	struct position last = just_before(x->at);
	struct mysql_version before;

	if (!selected(x->c, i->db, i->table))
		return 0;
	int found = version_at(x->c, i->db, i->table, &last, &before, err);

	if (found < 0)
		return -1;
	if (i->kind != MYSQL_CREATE || (found && before.definition))
		note(x, i->db, i->table, i->unlogged);
	return 0;
}

static int apply_item(struct change_of *x, const struct mysql_statement_info *s, size_t at,
		      struct error *err)
{
	const struct mysql_ddl_item *i = &s->items[at];
	bool rewritten = at + 1 < s->nitems && i[1].kind == MYSQL_REWRITE;

	if (i->kind == MYSQL_DROP_DATABASE)
		return drop_database(x, i->db, err);
	if (i->unlogged && note_unlogged(x, i, err))
		return -1;
	if (i->kind == MYSQL_RENAME)
		return rename_one(x, i, err);
	if (i->kind == MYSQL_ALTER && !i->same_columns && renamed_later(s, at))
		return alter_and_rename(x, i, rewritten, err);
	if (!mysql_captured(x->c->patterns, x->c->names, i->db, i->table))
		return 0;
	return apply(x, i, rewritten, err);
}

/* Any of the captured tables may be meant. */
static void note_all(struct change_of *x, const char *why)
{
	const struct mysql_catalog *c = x->c;

	for (size_t i = 0; i < c->live.n; i++)
		if (c->wanted[i])
			note(x, c->live.items[i].schema, c->live.items[i].name, why);
}

/*
 * A statement in the log instead of its rows.  It names no captured table, but what it calls may write to one, or
 * what it names may be a view of one.
 */
static void statement_format(struct change_of *x, const struct mysql_statement_info *s)
{
	const struct mysql_catalog *c = x->c;
	bool tables = s->nitems > 0;

	for (size_t i = 0; i < s->nitems && tables; i++)
		tables = s->items[i].kind == MYSQL_CREATE ||
			 live_table(c, s->items[i].db, s->items[i].table);
	if (!tables)
		note_all(x, "a routine or view was written to in statement format (binlog_format "
			    "was not ROW in that session): its rows are not in the log");
}

static int changed(void *ctx, const struct position *at, const struct mysql_statement_info *s,
		   struct error *err)
{
	struct mysql_catalog *c = ctx;
	struct change_of x = { .c = c, .at = at };

	c->at = *at;
	if (s->what == MYSQL_DML) {
		statement_format(&x, s);
		return 0;
	}
	if (s->what == MYSQL_XA_COMMIT) {
		note_all(&x, "a transaction was committed that had been prepared (XA PREPARE) "
			     "before the log was read: it is not known what it changed");
		return 0;
	}
	if (s->what == MYSQL_UNKNOWN) {
		log_warning("a statement that is not understood: definitions are read again", NULL);
		return forget(&x, (struct str){ NULL, 0 }, (struct str){ NULL, 0 }, err);
	}
	int rc = 0;

	x.names = xcalloc(2 * s->nitems, sizeof *x.names);
	for (size_t i = 0; i < s->nitems && !rc; i++)
		rc = apply_item(&x, s, i, err);
	if (!rc)
		rc = settle_names(&x, err);
	free(x.names);
	arena_free(&x.arena);
	return rc;
}

static struct str kept(void *ctx, struct str name, struct arena *a)
{
	const struct mysql_catalog *c = ctx;

	return c->names == 1 ? mysql_lower(name, a) : name;
}

struct binlog_catalog mysql_catalog_callbacks(struct mysql_catalog *c)
{
	return (struct binlog_catalog){ c, selected, definition, changed, kept };
}

int mysql_catalog_prune(struct mysql_catalog *c, const struct position *upto, struct error *err)
{
	return mysql_history_prune(c->history, upto, err);
}
