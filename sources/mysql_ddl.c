/*
 * mysql_ddl.c - which tables a data definition statement touches, and how
 *
 * There is no grammar of SQL here: the words at a statement's beginning and those that begin the clauses of
 * ALTER TABLE say enough.  What does not read as expected is MYSQL_UNKNOWN, never a guess.
 */
#include "mysql_stmt.h"

static enum mysql_statement ddl_if(bool understood)
{
	return understood ? MYSQL_DDL : MYSQL_UNKNOWN;
}

static void skip_if_exists(struct stmt *r)
{
	if (stmt_accept(r, "IF")) {
		stmt_accept(r, "NOT");
		stmt_accept(r, "EXISTS");
	}
}

/* WAIT 5, NOWAIT */
static void skip_wait(struct stmt *r)
{
	if (stmt_accept(r, "WAIT"))
		stmt_next(r);
	else
		stmt_accept(r, "NOWAIT");
}

/* DEFINER = `u`@`h`, u@h, CURRENT_USER(), 'u' */
static void skip_definer(struct stmt *r)
{
	stmt_accept_mark(r, '=');
	stmt_next(r);
	if (stmt_accept_mark(r, '@'))
		stmt_next(r);
	else if (stmt_mark(r, '('))
		stmt_skip_thing(r);
}

/* Does a query fill the table?  In row format the server logs the plain CREATE, and the rows. */
static bool has_query(struct stmt *r)
{
	size_t depth = 0;
	bool first = true; /* of a parenthesis, or after AS */

	for (; !stmt_end(r); stmt_next(r)) {
		bool opens = stmt_mark(r, '(');

		if (stmt_is(r, "SELECT") || ((first || !depth) && stmt_is(r, "VALUES")) ||
		    (!depth && stmt_is(r, "TABLE")))
			return true;
		depth += opens;
		depth -= depth && stmt_mark(r, ')');
		first = (opens && depth == 1) || stmt_is(r, "AS");
	}
	return false;
}

static enum mysql_statement create_table(struct stmt *r, bool replace, bool temporary,
					 bool sequence)
{
	struct str db, table;

	skip_if_exists(r);
	if (!stmt_name(r, &db, &table))
		return MYSQL_UNKNOWN;
	struct mysql_ddl_item *item = stmt_add(r, MYSQL_CREATE, db, table);

	item->sequence = sequence;
	item->unlogged = replace && !sequence ? "it was replaced by an empty one" : NULL;
	r->out->temporary = temporary;
	if (temporary)
		return MYSQL_IGNORED;
	return !sequence && has_query(r) ? MYSQL_DML : MYSQL_DDL;
}

/* ... INDEX name [type] ON t (...) */
static enum mysql_statement index_on(struct stmt *r, bool drop)
{
	static const char *const on[] = { "ON", NULL };
	struct str db, table, index = { 0 };

	if (drop) {
		skip_if_exists(r);
		stmt_word(r, &index);
	}
	if (!stmt_skip_to(r, on))
		return MYSQL_UNKNOWN;
	stmt_next(r);
	if (!stmt_name(r, &db, &table))
		return MYSQL_UNKNOWN;
	stmt_add(r, MYSQL_ALTER, db, table)->same_columns =
		!str_eq(stmt_lower(index, r->a), STR("primary"));
	return MYSQL_DDL;
}

/* A database made anew in the place of another takes its tables away. */
static enum mysql_statement create_database(struct stmt *r, bool replace)
{
	struct str name;

	if (!replace)
		return MYSQL_IGNORED;
	if (!stmt_word(r, &name))
		return MYSQL_UNKNOWN;
	stmt_add(r, MYSQL_DROP_DATABASE, name, (struct str){ 0 });
	return MYSQL_DDL;
}

/* Kinds of objects that hold no rows of tables. */
static const char *const harmless[] = {
	"VIEW",    "PROCEDURE", "FUNCTION", "TRIGGER",       "EVENT",     "USER",     "ROLE",
	"SERVER",  "INSTANCE",  "LOGFILE",  "TABLESPACE",    "PACKAGE",   "RESOURCE", "REFERENCE",
	"LIBRARY", "PREPARE",   "CATALOG",  "AUTHORIZATION", "COMPONENT", "MASKING",  NULL,
};

/* ALGORITHM = MERGE, DEFINER = u@h, SQL SECURITY INVOKER; false: something else */
static bool skip_option(struct stmt *r)
{
	if (stmt_accept(r, "DEFINER")) {
		skip_definer(r);
		return true;
	}
	if (!stmt_is(r, "ALGORITHM") && !stmt_is(r, "SQL"))
		return false;
	stmt_next(r);
	if (!stmt_accept_mark(r, '='))
		stmt_accept(r, "SECURITY");
	stmt_next(r);
	return true;
}

enum mysql_statement ddl_create(struct stmt *r)
{
	static const char *const flags[] = { "OR",       "AGGREGATE",    "UNIQUE",     "FULLTEXT",
					     "SPATIAL",  "VECTOR",       "ONLINE",     "OFFLINE",
					     "UNDO",     "JSON",         "RELATIONAL", "DUALITY",
					     "EXTERNAL", "MATERIALIZED", NULL };
	bool replace = false, temporary = false;

	while (!stmt_one_of(r, harmless)) {
		if (stmt_accept(r, "TABLE"))
			return create_table(r, replace, temporary, false);
		if (stmt_accept(r, "SEQUENCE"))
			return create_table(r, replace, temporary, true);
		if (stmt_accept(r, "INDEX"))
			return index_on(r, false);
		if (stmt_accept(r, "DATABASE") || stmt_accept(r, "SCHEMA"))
			return create_database(r, replace);
		if (stmt_accept(r, "REPLACE"))
			replace = true;
		else if (stmt_accept(r, "TEMPORARY"))
			temporary = true;
		else if (stmt_one_of(r, flags))
			stmt_next(r);
		else if (!skip_option(r))
			return MYSQL_UNKNOWN;
	}
	return MYSQL_IGNORED;
}

static enum mysql_statement drop_tables(struct stmt *r, bool temporary, bool sequence)
{
	struct str db, table;

	skip_if_exists(r);
	do {
		if (!stmt_name(r, &db, &table))
			return MYSQL_UNKNOWN;
		stmt_add(r, MYSQL_DROP, db, table)->sequence = sequence;
	} while (stmt_accept_mark(r, ','));
	r->out->temporary = temporary;
	if (temporary)
		return MYSQL_IGNORED;
	skip_wait(r);
	if (!stmt_accept(r, "RESTRICT"))
		stmt_accept(r, "CASCADE");
	skip_wait(r);
	return ddl_if(stmt_end(r));
}

enum mysql_statement ddl_drop(struct stmt *r)
{
	static const char *const flags[] = { "ONLINE",  "OFFLINE",      "UNDO",
					     "SPATIAL", "MATERIALIZED", NULL };
	bool temporary = stmt_accept(r, "TEMPORARY");
	struct str name;

	stmt_skip_words(r, flags);
	if (stmt_accept(r, "TABLE") || stmt_accept(r, "TABLES"))
		return drop_tables(r, temporary, false);
	if (stmt_accept(r, "SEQUENCE"))
		return drop_tables(r, temporary, true);
	if (stmt_accept(r, "INDEX"))
		return index_on(r, true);
	if (stmt_accept(r, "DATABASE") || stmt_accept(r, "SCHEMA")) {
		skip_if_exists(r);
		if (!stmt_word(r, &name))
			return MYSQL_UNKNOWN;
		stmt_add(r, MYSQL_DROP_DATABASE, name, (struct str){ 0 });
		return ddl_if(stmt_end(r));
	}
	return stmt_one_of(r, harmless) ? MYSQL_IGNORED : MYSQL_UNKNOWN;
}

enum mysql_statement ddl_rename(struct stmt *r)
{
	if (stmt_is(r, "USER"))
		return MYSQL_IGNORED;
	if (!stmt_accept(r, "TABLE") && !stmt_accept(r, "TABLES"))
		return MYSQL_UNKNOWN;
	skip_if_exists(r);
	do {
		struct str db, table, to_db, to;

		if (!stmt_name(r, &db, &table))
			return MYSQL_UNKNOWN;
		skip_wait(r);
		if (!stmt_accept(r, "TO") || !stmt_name(r, &to_db, &to))
			return MYSQL_UNKNOWN;
		struct mysql_ddl_item *item = stmt_add(r, MYSQL_RENAME, db, table);

		item->to_db = to_db;
		item->to = to;
	} while (stmt_accept_mark(r, ','));
	return ddl_if(stmt_end(r));
}

enum mysql_statement ddl_truncate(struct stmt *r)
{
	struct str db, table;

	stmt_accept(r, "TABLE");
	if (!stmt_name(r, &db, &table))
		return MYSQL_UNKNOWN;
	stmt_add(r, MYSQL_TRUNCATE, db, table);
	skip_wait(r);
	return ddl_if(stmt_end(r));
}

/* What the clauses of one ALTER TABLE come to. */
struct alter {
	struct str db, table, to_db, to; /* to.n: renamed */
	struct str other_db, other;      /* EXCHANGE, CONVERT: rows went to or came from there */
	enum mysql_ddl_kind other_kind;
	bool other_columns, partition, rewrite, columns;
	const char *unlogged; /* as of an item */
};

#define RENAMED                                                                                    \
	"a column has another name: copies have it as a new one, without the old rows' values"
#define FILLED "a column was added with a value for the rows that were there"

static bool alter_rename(struct stmt *r, struct alter *a)
{
	static const char *const parts[] = { "COLUMN", "INDEX", "KEY", "CONSTRAINT", NULL };

	if (stmt_is(r, "COLUMN"))
		a->unlogged = RENAMED;
	if (stmt_one_of(r, parts)) {
		a->columns |= !stmt_is(r, "INDEX") && !stmt_is(r, "KEY");
		return true;
	}
	if (!stmt_accept(r, "TO") && !stmt_accept(r, "AS"))
		stmt_accept_mark(r, '=');
	a->columns = true;
	return stmt_name(r, &a->to_db, &a->to);
}

/* EXCHANGE PARTITION p WITH TABLE u; of MariaDB: CONVERT PARTITION p TO TABLE u, CONVERT TABLE u TO PARTITION p */
static bool alter_other(struct stmt *r, struct alter *a, enum mysql_ddl_kind kind)
{
	static const char *const table[] = { "TABLE", NULL };

	a->partition = true;
	a->other_kind = kind;
	if (!stmt_skip_to(r, table))
		return false;
	stmt_next(r);
	return stmt_name(r, &a->other_db, &a->other);
}

static bool alter_convert(struct stmt *r, struct alter *a)
{
	if (stmt_is(r, "PARTITION"))
		return alter_other(r, a, MYSQL_CREATE);
	if (stmt_is(r, "TABLE"))
		return alter_other(r, a, MYSQL_DROP);
	a->rewrite = a->columns = true;
	return true;
}

/* ADD and DROP of what is no column.  A primary key is as good as one. */
static bool alter_part(struct stmt *r)
{
	static const char *const parts[] = { "INDEX", "KEY",       "UNIQUE",  "FULLTEXT", "SPATIAL",
					     "CHECK", "PARTITION", "FOREIGN", NULL };

	if (!stmt_one_of(r, parts))
		return false;
	while (!stmt_end(r) && !stmt_mark(r, ',') && !stmt_mark(r, '(')) {
		struct str name = mysql_token_text(&r->t, r->tokens.sql_mode, r->a);

		if (mysql_token_named(&r->t) && str_eq(stmt_lower(name, r->a), STR("primary")))
			return false;
		stmt_next(r);
	}
	return true;
}

/* CHANGE [COLUMN] [IF EXISTS] old new ... */
static void alter_change(struct stmt *r, struct alter *a)
{
	struct str from, to;

	stmt_accept(r, "COLUMN");
	skip_if_exists(r);
	if (!stmt_word(r, &from) || !stmt_word(r, &to) ||
	    !str_eq(stmt_lower(from, r->a), stmt_lower(to, r->a)))
		a->unlogged = RENAMED;
}

/*
 * ADD [COLUMN] name type ..., ADD (name type ..., ...): do rows that are there get a value?  Yes, where it has a
 * default, may not be NULL, is computed or counted; an old TIMESTAMP without a word about NULL.
 */
static void alter_add(struct stmt *r, struct alter *a)
{
	static const char *const other[] = { "CONSTRAINT", "PRIMARY", "PERIOD", "SYSTEM", NULL };
	static const char *const valued[] = { "GENERATED", "AS",      "AUTO_INCREMENT",
					      "SERIAL",    "PRIMARY", NULL };
	bool filled = false, stamp = false, null = false;

	if (stmt_one_of(r, other))
		return;
	stmt_accept(r, "COLUMN");
	skip_if_exists(r);
	bool list = stmt_accept_mark(r, '(');

	while (!stmt_end(r) && !stmt_mark(r, list ? ')' : ',')) {
		bool may_not = stmt_accept(r, "NOT"), value = stmt_accept(r, "DEFAULT");

		if (stmt_accept(r, "NULL")) {
			filled |= may_not;
			null |= !may_not;
			continue;
		}
		filled |= value || stmt_one_of(r, valued);
		stamp |= stmt_is(r, "TIMESTAMP");
		stmt_skip_thing(r);
	}
	if (filled || (stamp && !null))
		a->unlogged = FILLED;
}

static bool alter_clause(struct stmt *r, struct alter *a)
{
	static const char *const partition[] = { "PARTITION", "TABLESPACE", NULL };

	if (stmt_accept(r, "RENAME"))
		return alter_rename(r, a);
	if (stmt_accept(r, "EXCHANGE"))
		return alter_other(r, a, MYSQL_PARTITION);
	if (stmt_accept(r, "CONVERT"))
		return alter_convert(r, a);
	bool change = stmt_accept(r, "CHANGE");

	if (change || stmt_accept(r, "MODIFY")) {
		a->rewrite = a->columns = true;
		if (change)
			alter_change(r, a);
		return true;
	}
	if (stmt_accept(r, "TRUNCATE") || stmt_accept(r, "DISCARD") || stmt_accept(r, "IMPORT")) {
		a->partition |= stmt_one_of(r, partition);
		return true;
	}
	bool drop = stmt_accept(r, "DROP");

	if (drop || stmt_accept(r, "ADD")) {
		a->partition |= drop && stmt_is(r, "PARTITION");
		bool part = alter_part(r);

		a->columns |= !part;
		if (!part && !drop)
			alter_add(r, a);
	} else if (stmt_accept(r, "AUTO_INCREMENT")) {
		stmt_accept_mark(r, '=');
		stmt_next(r);
		a->columns |= !stmt_end(r) && !stmt_mark(r, ',');
	} else if (stmt_accept(r, "ENABLE") || stmt_accept(r, "DISABLE")) {
		a->columns |= !stmt_accept(r, "KEYS");
	} else if (!stmt_end(r) && !stmt_is(r, "ALGORITHM") && !stmt_is(r, "LOCK")) {
		a->columns = true;
	}
	return true;
}

static void alter_items(struct stmt *r, const struct alter *a)
{
	if (a->columns || !a->partition) {
		struct mysql_ddl_item *item = stmt_add(r, MYSQL_ALTER, a->db, a->table);

		item->same_columns = !a->columns;
		item->unlogged = a->unlogged;
	}
	if (a->rewrite)
		stmt_add(r, MYSQL_REWRITE, a->db, a->table);
	if (a->partition)
		stmt_add(r, MYSQL_PARTITION, a->db, a->table);
	if (a->other.n)
		stmt_add(r, a->other_kind, a->other_db, a->other);
	if (a->other.n && a->other_kind == MYSQL_CREATE)
		stmt_add(r, MYSQL_PARTITION, a->other_db, a->other);
	if (a->to.n) {
		struct mysql_ddl_item *item = stmt_add(r, MYSQL_RENAME, a->db, a->table);

		item->to_db = a->to_db;
		item->to = a->to;
	}
}

static enum mysql_statement alter_table(struct stmt *r)
{
	struct alter a = { 0 };

	skip_if_exists(r);
	if (!stmt_name(r, &a.db, &a.table))
		return MYSQL_UNKNOWN;
	skip_wait(r);
	do {
		if (!alter_clause(r, &a))
			return MYSQL_UNKNOWN;
		while (!stmt_end(r) && !stmt_mark(r, ','))
			stmt_skip_thing(r);
	} while (stmt_accept_mark(r, ','));
	alter_items(r, &a);
	return MYSQL_DDL;
}

static enum mysql_statement alter_sequence(struct stmt *r)
{
	struct str db, table;

	skip_if_exists(r);
	if (!stmt_name(r, &db, &table))
		return MYSQL_UNKNOWN;
	struct mysql_ddl_item *item = stmt_add(r, MYSQL_ALTER, db, table);

	item->sequence = item->same_columns = true;
	return MYSQL_DDL;
}

/* ALTER DATABASE [name] CHARACTER SET ... */
static enum mysql_statement alter_database(struct stmt *r)
{
	static const char *const options[] = { "DEFAULT",    "CHARACTER", "CHARSET", "COLLATE",
					       "ENCRYPTION", "READ",      "COMMENT", NULL };
	struct str name = r->db;

	if (!stmt_one_of(r, options) && !stmt_word(r, &name))
		return MYSQL_UNKNOWN;
	stmt_add(r, MYSQL_ALTER_DATABASE, name, (struct str){ 0 });
	return MYSQL_DDL;
}

enum mysql_statement ddl_alter(struct stmt *r)
{
	static const char *const flags[] = { "ONLINE",  "OFFLINE",      "IGNORE",
					     "UNDO",    "JSON",         "RELATIONAL",
					     "DUALITY", "MATERIALIZED", NULL };

	while (!stmt_one_of(r, harmless)) {
		if (stmt_accept(r, "TABLE"))
			return alter_table(r);
		if (stmt_accept(r, "SEQUENCE"))
			return alter_sequence(r);
		if (stmt_accept(r, "DATABASE") || stmt_accept(r, "SCHEMA"))
			return alter_database(r);
		if (stmt_one_of(r, flags))
			stmt_next(r);
		else if (!skip_option(r))
			return MYSQL_UNKNOWN;
	}
	return MYSQL_IGNORED;
}
