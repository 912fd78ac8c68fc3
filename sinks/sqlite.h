/*
 * sqlite.h - the parts of the sqlite sink (private to sinks/sqlite*.c)
 *
 * sqlite.c           ops: open, fence, transactions, checkpoint
 * sqlite_apply.c     one event to statements
 * sqlite_move.c      rows that change their key onto one that another row still holds
 * sqlite_statement.c text of the statements, and the cache of prepared ones
 * sqlite_table.c     tables at the target: made, compared, widened
 * sqlite_value.c     a value as SQLite keeps it
 */
#ifndef SINK_SQLITE_H
#define SINK_SQLITE_H

#include <sqlite3.h>

#include "avro.h"
#include "settings.h"
#include "sql.h"
#include "value_text.h"

/* A table at the target.  Versions of one table share it. */
struct sqlite_place {
	struct sqlite_place *next;
	char		*name;
	const struct table *owner;	/* the version it was first seen with: messages */
	char		**columns;	/* what stands there now, generated columns left out */
	size_t		ncolumns;
	const char	*rowid;		/* a name of the rowid that no column hides */
	unsigned	id;		/* of its temporary table of parked rows */
	bool		parking;	/* that table is there */
	size_t		parked;		/* rows in it */
	bool		indexed;		/* rows without a key are found by an index */
	bool		told_skipped, told_null;
	struct metric	*skipped;
};

enum sqlite_statement_kind {
	/* by key */
	STATEMENT_UPSERT, STATEMENT_ADD, STATEMENT_UPDATE, STATEMENT_MOVE, STATEMENT_REMOVE, STATEMENT_MARK,
	/* the whole table */
	STATEMENT_TRUNCATE, STATEMENT_MARK_ALL,
	/* by the complete old row; LOOSE: columns that are younger than the row may be NULL */
	STATEMENT_UPDATE_MATCH, STATEMENT_REMOVE_MATCH, STATEMENT_MARK_MATCH,
	STATEMENT_UPDATE_LOOSE, STATEMENT_REMOVE_LOOSE, STATEMENT_MARK_LOOSE,
	/* parked rows */
	STATEMENT_PARK, STATEMENT_PARKED_FIND, STATEMENT_PARKED_MATCH, STATEMENT_CURRENT_MATCH, STATEMENT_UNPARK,
	STATEMENT_PARKED_UPDATE, STATEMENT_PARKED_REMOVE, STATEMENT_PARKED_FORGET,
};

/* Where a parameter's value comes from. */
enum sqlite_param_from {
	PARAM_AFTER, PARAM_AFTER_TEXT, PARAM_BEFORE, PARAM_BEFORE_TEXT, PARAM_KEY, PARAM_TIME, PARAM_ROWID
};
struct sqlite_param { uint16_t from, column; };

struct sqlite_statement {
	struct sqlite_statement *next;		/* of one version, last used first */
	struct sqlite_statement *newer, *older;	/* of the sink */
	struct sqlite_version *version;
	enum sqlite_statement_kind kind;
	struct str	shape;			/* bitmap of the columns that are left out */
	char		*shape_bytes;
	sqlite3_stmt	*stmt;
	struct sqlite_param *params;
	size_t		nparams, room, memory;
};

/* A table version, compared with its place. */
struct sqlite_version {
	const struct table *table;
	struct sqlite_place *place;
	bool		*text;		/* per column: NAME_text is there */
	bool		*late;		/* per column: not in the table's first version */
	bool		any_late, ready;/* ready: compared since the place last changed */
	struct sqlite_statement *statements;
};

struct sqlite {
	struct sink	sink;
	struct sink_context ctx;
	const struct sqlite_settings *set;
	sqlite3		*db;
	int64_t		fence;
	bool		writing;		/* a transaction is open, the fence was checked in it */
	struct sqlite_version **versions;	/* by table id */
	size_t		nversions;
	struct sqlite_place *places;
	unsigned	nplaces;
	size_t		parked;			/* rows in all places */
	struct sqlite_statement *newest, *oldest;
	size_t		nstatements, memory;
	/* the event at hand */
	struct arena	arena;
	struct buf	scratch;
	struct value	*after, *before, *key;	/* key: what PARAM_KEY takes */
	size_t		room;			/* columns that these hold */
	int64_t		time, rowid;		/* PARAM_TIME, PARAM_ROWID */
};

/* --- sqlite.c --- */

/* The kind of an SQLite error: locked, full: ERR_RETRY; a constraint: ERR_REJECT; otherwise ERR_FATAL. */
int sqlite_fail(const struct sqlite *k, struct error *err, const char *what);
MUST_CHECK int sqlite_exec(struct sqlite *k, const char *sql, struct error *err);

/* --- sqlite_apply.c --- */

MUST_CHECK int sqlite_apply(struct sqlite *k, const struct event *e, struct error *err);

/* --- sqlite_move.c --- */

/*
 * A deferrable key may be held by two rows inside a transaction.  A row in the way is parked until an event names
 * it; rows still parked at the end go back if their key is free, and were stale copies if it is not.
 * Such a key is never a replica identity, so these events carry complete old rows; one that does not
 * is of a table whose key holds at all times, where a row in the way can only be a stale copy.
 */
bool sqlite_full_before(const struct sqlite_version *v, const struct event *e);
MUST_CHECK int sqlite_park(struct sqlite *k, struct sqlite_version *v, struct error *err);	/* the row at k->key */
/* Does the event mean a parked row at k->key rather than the one in the table?  1: k->rowid is set; 0; -1 */
MUST_CHECK int sqlite_parked(struct sqlite *k, struct sqlite_version *v, const struct event *e, struct error *err);
/* Puts the parked row k->rowid back under the key k->key. */
MUST_CHECK int sqlite_unpark(struct sqlite *k, struct sqlite_version *v, struct error *err);
MUST_CHECK int sqlite_parked_remove(struct sqlite *k, struct sqlite_version *v, struct error *err);	/* k->rowid */
/* TRUNCATE takes the parked rows along. */
MUST_CHECK int sqlite_parked_clear(struct sqlite *k, struct sqlite_place *p, struct error *err);
MUST_CHECK int sqlite_parked_end(struct sqlite *k, struct error *err);	/* end of a source transaction */

/* --- sqlite_statement.c --- */

/* `shape` (an absent bitmap) says which columns stay out of SET. */
struct sqlite_statement *sqlite_prepare(struct sqlite *k, struct sqlite_version *v, enum sqlite_statement_kind kind,
					struct str shape, struct error *err);
/*
 * Binds and steps once: SQLITE_ROW (first integer column in *out), SQLITE_DONE (changes in *out), or
 * SQLITE_CONSTRAINT with *err set and the statement undone; anything else is -1.
 */
MUST_CHECK int sqlite_run(struct sqlite *k, struct sqlite_statement *s, int64_t *out, struct error *err);
/* Both; a constraint is an error.  Returns changes or the row's integer, -1 on error, 0 for no row. */
MUST_CHECK int64_t sqlite_do(struct sqlite *k, struct sqlite_version *v, enum sqlite_statement_kind kind,
			     struct str shape, struct error *err);
void sqlite_forget(struct sqlite *k, struct sqlite_version *v);	/* its prepared statements */
void sqlite_parked_name(struct buf *out, const struct sqlite_place *p);

/* --- sqlite_table.c --- */

/* The version, its table made or compared.  NULL on error: ERR_REJECT where `evolve` forbids what is needed. */
struct sqlite_version *sqlite_version_get(struct sqlite *k, const struct table *t, struct error *err);
/* unrepresentable = text: adds NAME_text for a column. */
MUST_CHECK int sqlite_add_text(struct sqlite *k, struct sqlite_version *v, size_t column, struct error *err);
/* Rows without a key are looked for by their values: an index over a few columns, made when it is first needed. */
MUST_CHECK int sqlite_index_rows(struct sqlite *k, struct sqlite_version *v, struct error *err);
void sqlite_tables_free(struct sqlite *k);

/* --- sqlite_value.c --- */

const char *sqlite_type(const struct column *c);
/* Text that is made (in `scratch`) is kept in the arena; what the value points to is not copied.  An SQLite code. */
MUST_CHECK int sqlite_bind(sqlite3_stmt *stmt, int index, const struct column *c, const struct value *v,
			   struct arena *arena, struct buf *scratch);
void sqlite_timestamp(int64_t us, char out[VALUE_TEXT]);	/* YYYY-MM-DD HH:MM:SS.ffffff+00:00 */

#endif
