/*
 * mysql_check_tables.c - the preflight of the source `mysql`: its tables
 */
#include <stdlib.h>
#include <strings.h>

#include "mysql_catalog.h"
#include "mysql_charset.h"
#include "mysql_check.h"
#include "mysql_schema.h"
#include "mysql_tokens.h"

struct captured {
	struct mysql_schema list;
	bool *wanted;
	int names;
};

static void table_name(struct buf *out, const struct mysql_table *t)
{
	AUTO(free) char *schema = xstrndup(t->schema.p, t->schema.n);
	AUTO(free) char *name = xstrndup(t->name.p, t->name.n);

	mysql_name(out, schema);
	buf_addc(out, '.');
	mysql_name(out, name);
}

static void check_engine(struct mysql_checking *c, const struct mysql_table *t, const char *object)
{
	AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };

	if (t->transactional)
		return;
	buf_addf(&text,
		 "its engine %.*s has no transactions: its changes are delivered even where the "
		 "statement or transaction around them failed or was rolled back",
		 STR_FMT(t->engine));
	buf_adds(&fix, "ALTER TABLE ");
	table_name(&fix, t);
	buf_adds(&undo, buf_z(&fix));
	buf_adds(&fix, " ENGINE = InnoDB;");
	buf_addf(&undo, " ENGINE = %.*s;", STR_FMT(t->engine));
	mysql_finding(c, "engine", SEVERITY_WARNING, object, buf_z(&text), buf_z(&fix),
		      buf_z(&undo));
}

static void check_key(struct mysql_checking *c, const struct mysql_table *t, const char *object)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].key)
			return;
	mysql_finding(c, "primary_key", SEVERITY_WARNING, object,
		      "it has no primary key: its updates and deletes carry no key and are applied "
		      "row by row, by all columns (which needs binlog_row_image = FULL)",
		      NULL, NULL);
}

static void check_charsets(struct mysql_checking *c, const struct mysql_table *t,
			   const char *object)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct mysql_column *column = &t->columns[i];
		AUTO(buf) struct buf text = { 0 };

		if (!column->charset.n || str_eqz(column->charset, "binary") ||
		    charset_by_name(column->charset))
			continue;
		buf_addf(
			&text,
			"column %.*s is in character set %.*s, which this version does not know: a "
			"change of the table stops the agent",
			STR_FMT(column->name), STR_FMT(column->charset));
		mysql_finding(c, "charset", SEVERITY_ERROR, object, buf_z(&text), NULL, NULL);
	}
}

static int check_select(struct mysql_checking *c, const struct mysql_table *t, const char *object,
			struct error *err)
{
	AUTO(buf) struct buf fix = { 0 }, undo = { 0 };

	if (mysql_schema_settled(c->conn, t->schema, t->name, err) >= 0)
		return 0;
	if (!mysql_lacks_right(err))
		return -1;
	buf_adds(&fix, "GRANT SELECT ON ");
	table_name(&fix, t);
	buf_addf(&fix, " TO %s;", c->server.account);
	buf_adds(&undo, "REVOKE SELECT ON ");
	table_name(&undo, t);
	buf_addf(&undo, " FROM %s;", c->server.account);
	mysql_finding(c, "select_privilege", SEVERITY_ERROR, object,
		      "the user may not read the table: its definition cannot be read either",
		      buf_z(&fix), buf_z(&undo));
	return 0;
}

static int check_each(struct mysql_checking *c, const struct captured *x, struct error *err)
{
	for (size_t i = 0; i < x->list.n; i++) {
		const struct mysql_table *t = &x->list.items[i];
		AUTO(buf) struct buf object = { 0 };

		if (!x->wanted[i])
			continue;
		buf_addf(&object, "%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));
		if (check_select(c, t, buf_z(&object), err))
			return -1;
		check_engine(c, t, buf_z(&object));
		check_key(c, t, buf_z(&object));
		check_charsets(c, t, buf_z(&object));
		if (t->versioned)
			mysql_finding(
				c, "versioned", SEVERITY_INFO, buf_z(&object),
				"it is WITH SYSTEM VERSIONING: its log holds rows of the past "
				"too; an UPDATE is an update and an insert, a DELETE is an "
				"update of row_end",
				NULL, NULL);
	}
	return 0;
}

static const struct mysql_table *wanted_table(const struct captured *x, struct str schema,
					      struct str name)
{
	for (size_t i = 0; i < x->list.n; i++)
		if (x->wanted[i] && str_eq(x->list.items[i].schema, schema) &&
		    str_eq(x->list.items[i].name, name))
			return &x->list.items[i];
	return NULL;
}

/* ON DELETE CASCADE, ON UPDATE SET NULL ... in a table's CREATE; `name`: of the foreign key. */
static bool next_cascade(struct mysql_tokens *t, struct str *name, struct buf *rule)
{
	struct mysql_token token;

	while ((token = mysql_token_next(t)).kind != MYSQL_TOKEN_END) {
		if (mysql_token_is(&token, "CONSTRAINT"))
			*name = mysql_token_next(t).raw;
		if (!mysql_token_is(&token, "ON"))
			continue;
		struct mysql_token when = mysql_token_next(t), what = mysql_token_next(t);
		bool sets = mysql_token_is(&what, "SET");

		if (!sets && !mysql_token_is(&what, "CASCADE"))
			continue;
		buf_clear(rule);
		buf_addf(rule, "ON %.*s %.*s", STR_FMT(when.raw), STR_FMT(what.raw));
		if (sets)
			buf_addf(rule, " %.*s", STR_FMT(mysql_token_next(t).raw));
		return true;
	}
	return false;
}

/* What a foreign key does to the rows that refer to a row is done inside InnoDB. */
static int check_foreign_keys(struct mysql_checking *c, const struct mysql_table *t,
			      struct error *err)
{
	AUTO(buf) struct buf sql = { 0 }, object = { 0 }, rule = { 0 };
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	struct str name = { NULL, 0 };

	buf_adds(&sql, "SHOW CREATE TABLE ");
	table_name(&sql, t);
	if (mysql_query_rows(c->conn, buf_z(&sql), &r, err))
		return mysql_lacks_right(err) ? 0 : -1; /* it was said */
	struct mysql_tokens tokens = mysql_tokens_of(mysql_cell(&r, 0, 1), 0);

	buf_addf(&object, "%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));
	while (next_cascade(&tokens, &name, &rule)) {
		AUTO(buf) struct buf text = { 0 };

		buf_addf(
			&text,
			"foreign key %.*s, %s: rows that it deletes or changes are not in the log, "
			"so copies keep them; let the application or a trigger do it instead, or "
			"compare the copies from time to time",
			STR_FMT(name), buf_z(&rule));
		mysql_finding(c, "cascade", SEVERITY_WARNING, buf_z(&object), buf_z(&text), NULL,
			      NULL);
	}
	return 0;
}

/* By CREATE TABLE: MariaDB shows REFERENTIAL_CONSTRAINTS only to those who may change the table. */
static int check_cascades(struct mysql_checking *c, const struct captured *x, struct error *err)
{
	struct str native = mysql_variable(c, "innodb_native_foreign_keys");
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (!c->server.mariadb && c->server.version >= 90600 && !str_eqz(native, "ON"))
		return 0;
	if (mysql_query_rows(
		    c->conn,
		    "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM "
		    "information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT "
		    "NULL",
		    &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		const struct mysql_table *t =
			wanted_table(x, mysql_cell(&r, i, 0), mysql_cell(&r, i, 1));

		if (t && check_foreign_keys(c, t, err))
			return -1;
	}
	return 0;
}

static bool is_wanted(const struct captured *x, struct str schema, struct str name)
{
	for (size_t i = 0; i < x->list.n; i++)
		if (x->wanted[i] && str_eq(x->list.items[i].schema, schema) &&
		    str_eq(x->list.items[i].name, name))
			return true;
	return false;
}

/* What the server leaves out of the log of generated columns; NULL: nothing. */
static const char *unlogged_generated(const struct mysql_checking *c, struct str extra)
{
	struct str image = mysql_variable(c, "binlog_row_image");
	bool is_virtual = extra.n >= 7 && strncasecmp(extra.p, "VIRTUAL", 7) == 0;

	if (!c->server.mariadb)
		return NULL;
	if (c->server.version < 100300)
		return is_virtual ? "is VIRTUAL: this version logs NULL for it, so copies have "
				    "NULL; PERSISTENT columns are logged"
				  : NULL;
	if (c->server.version >= 110800 || str_eqz(image, "FULL_NODUP"))
		return "is generated: updates are logged without it, so copies keep what it was "
		       "when the row was inserted";
	return NULL;
}

static int check_generated(struct mysql_checking *c, const struct captured *x, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (!c->server.mariadb)
		return 0;
	if (mysql_query_rows(c->conn,
			     "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, EXTRA FROM "
			     "information_schema.COLUMNS WHERE EXTRA LIKE '%VIRTUAL%' OR EXTRA "
			     "LIKE '%PERSISTENT%' OR EXTRA LIKE '%STORED%'",
			     &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		struct str schema = mysql_cell(&r, i, 0), name = mysql_cell(&r, i, 1);
		const char *what = unlogged_generated(c, mysql_cell(&r, i, 3));
		AUTO(buf) struct buf object = { 0 }, text = { 0 };

		if (!what || !is_wanted(x, schema, name))
			continue;
		buf_addf(&object, "%.*s.%.*s", STR_FMT(schema), STR_FMT(name));
		buf_addf(&text, "column %.*s %s", STR_FMT(mysql_cell(&r, i, 2)), what);
		mysql_finding(c, "generated_column", SEVERITY_WARNING, buf_z(&object), buf_z(&text),
			      NULL, NULL);
	}
	return 0;
}

/* Labels with what information_schema has no characters for, where the log does not have the labels. */
static int check_labels(struct mysql_checking *c, const struct captured *x, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (str_eqz(mysql_variable(c, "binlog_row_metadata"), "FULL"))
		return 0;
	if (mysql_query_rows(c->conn,
			     "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM "
			     "information_schema.COLUMNS WHERE DATA_TYPE IN ('enum', 'set') AND "
			     "COLUMN_TYPE LIKE '%?%' AND CHARACTER_SET_NAME IN "
			     "('utf8mb4', 'utf16', 'utf16le', 'utf32', 'gb18030')",
			     &r, err))
		return -1;
	for (size_t i = 0; i < r.n; i++) {
		struct str schema = mysql_cell(&r, i, 0), name = mysql_cell(&r, i, 1);
		AUTO(buf) struct buf object = { 0 }, text = { 0 };

		if (!is_wanted(x, schema, name))
			continue;
		buf_addf(&object, "%.*s.%.*s", STR_FMT(schema), STR_FMT(name));
		buf_addf(&text,
			 "column %.*s has a label with a ?, or with a character beyond the BMP, "
			 "which the server tells as a ?: values with it are unrepresentable and "
			 "are given as numbers",
			 STR_FMT(mysql_cell(&r, i, 2)));
		mysql_finding(c, "labels", SEVERITY_WARNING, buf_z(&object), buf_z(&text), NULL,
			      NULL);
	}
	return 0;
}

/* Is the name one of "a,b,c"? */
static bool listed(struct str list, struct str name)
{
	for (size_t from = 0; from < list.n;) {
		const char *comma = memchr(list.p + from, ',', list.n - from);
		size_t to = comma ? (size_t)(comma - list.p) : list.n;

		if (to - from == name.n && strncasecmp(list.p + from, name.p, name.n) == 0)
			return true;
		from = to + 1;
	}
	return false;
}

static int check_filters(struct mysql_checking *c, const struct captured *x, struct error *err)
{
	bool new_words = !c->server.mariadb && c->server.version >= 80200;
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c->conn, new_words ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
			     &r, err))
		return mysql_lacks_right(err) ? 0 : -1; /* it was said */
	struct str only = mysql_cell(&r, 0, 2), ignored = mysql_cell(&r, 0, 3);
	struct str last = { NULL, 0 };

	for (size_t i = 0; r.n && i < x->list.n; i++) {
		struct str db = x->list.items[i].schema;
		AUTO(buf) struct buf object = { 0 };

		if (!x->wanted[i] || (last.p && str_eq(last, db)))
			continue;
		last = db;
		if (only.n ? listed(only, db) : !listed(ignored, db))
			continue;
		buf_addf(&object, "database %.*s", STR_FMT(db));
		mysql_finding(
			c, "binlog_filter", SEVERITY_ERROR, buf_z(&object),
			"binlog_do_db or binlog_ignore_db leaves it out of the binary log: take "
			"the setting out of the server's configuration and restart it",
			NULL, NULL);
	}
	return 0;
}

static int check_captured(struct mysql_checking *c, struct captured *x, struct error *err)
{
	struct error why;

	if (mysql_schema_session(c->conn, &c->server, err) ||
	    mysql_names_rule(c->conn, &x->names, err) || mysql_schema_list(c->conn, &x->list, err))
		return -1;
	x->wanted = xcalloc(x->list.n, sizeof *x->wanted);
	if (mysql_choose(&c->config->source.tables, x->names, x->list.items, x->list.n, x->wanted,
			 &why))
		mysql_finding(c, "tables", SEVERITY_ERROR, "source.tables", why.text, NULL, NULL);
	if (mysql_schema_columns(c->conn, &c->server, &x->list, x->wanted, err) ||
	    check_each(c, x, err) || check_cascades(c, x, err) || check_generated(c, x, err) ||
	    check_labels(c, x, err) ||
	    mysql_check_snapshot(c, x->list.items, x->wanted, x->list.n, err))
		return -1;
	return check_filters(c, x, err);
}

int mysql_check_tables(struct mysql_checking *c, struct error *err)
{
	struct captured x = { 0 };
	int rc = check_captured(c, &x, err);

	mysql_schema_release(&x.list);
	free(x.wanted);
	return rc;
}
