/*
 * mysql_ddl.h - what a statement in the log is, and which tables it touches; no grammar of SQL
 *
 * Reads tokens: comments (also executable ones), quotes by sql_mode (ANSI_QUOTES, NO_BACKSLASH_ESCAPES), back
 * quotes, qualified names.  Any thread.
 */
#ifndef MYSQL_DDL_H
#define MYSQL_DDL_H

#include "error.h"
#include "memory.h"

enum mysql_statement {
	MYSQL_BEGIN, MYSQL_COMMIT, MYSQL_ROLLBACK,
	MYSQL_SAVEPOINT, MYSQL_ROLLBACK_TO, MYSQL_RELEASE,	/* name */
	MYSQL_XA_START, MYSQL_XA_END, MYSQL_XA_PREPARE, MYSQL_XA_COMMIT, MYSQL_XA_ROLLBACK,	/* xid; XA COMMIT ... ONE PHASE: one_phase */
	MYSQL_DDL,		/* changes tables: items */
	/*
	 * INSERT, UPDATE, CREATE TABLE ... SELECT in statement format; items: the tables named as its targets (kind
	 * MYSQL_CREATE, otherwise of no meaning).  None: CALL, SELECT f(), which may have written anywhere.
	 */
	MYSQL_DML,
	MYSQL_IGNORED,		/* users, views, routines, events, ANALYZE, temporary tables ... */
	MYSQL_UNKNOWN,		/* not recognised: treated as touching every table of the database */
};

enum mysql_ddl_kind {
	MYSQL_CREATE,		/* also CREATE OR REPLACE, LIKE, SELECT */
	MYSQL_ALTER,		/* definition may differ from here on */
	MYSQL_DROP,
	MYSQL_RENAME,		/* `to` */
	MYSQL_TRUNCATE,
	MYSQL_PARTITION,	/* EXCHANGE, TRUNCATE, DROP PARTITION ...: rows went or came without events */
	MYSQL_REWRITE,		/* CONVERT TO CHARACTER SET, MODIFY of an enum ...: rows changed without events (ALTER as well) */
	MYSQL_DROP_DATABASE,	/* db only */
	MYSQL_ALTER_DATABASE,
};

struct mysql_ddl_item {
	enum mysql_ddl_kind	kind;
	struct str		db, table;	/* db: the default one where not qualified; n == 0: there is none */
	struct str		to_db, to;
	bool			same_columns;	/* of an ALTER: indexes only, columns and primary key are what they were */
	const char		*unlogged;	/* of an ALTER, CREATE OR REPLACE: what became of the rows that were there, without events; NULL */
	bool			sequence;	/* CREATE, ALTER, DROP SEQUENCE of MariaDB: not a table, though its rows are logged */
};

struct mysql_statement_info {
	enum mysql_statement	what;
	struct str		name;		/* savepoint, in lower case; xid as mysql_xid_text() has it */
	bool			one_phase;
	/*
	 * CREATE or DROP TEMPORARY TABLE, with its items (what: IGNORED, also with AS SELECT).  Until it is dropped,
	 * the thread that made it means this table, not a base table of the same name, in ALTER, TRUNCATE and DROP.
	 */
	bool			temporary;
	struct mysql_ddl_item	*items;		/* in the order of the statement (RENAME: left to right); in `a` */
	size_t			nitems;
};

/*
 * sql: in UTF-8, or in a charset in which no character holds a byte below 0x80 but as itself (not gbk, sjis);
 * sql_mode as in the event.  Names in *out are borrowed from sql and default_db, or in `a`.
 */
void mysql_statement_read(struct str sql, struct str default_db, uint64_t sql_mode, struct arena *a,
			  struct mysql_statement_info *out);
#define MYSQL_MODE_ANSI_QUOTES		UINT64_C(0x00000004)
#define MYSQL_MODE_NO_BACKSLASH_ESCAPES	UINT64_C(0x00100000)

/* "X'6162',X'',1": how XIDs are compared, from an event or from a statement; in `a`. */
struct str mysql_xid_text(uint32_t format, struct str global, struct str branch, struct arena *a);

#endif
