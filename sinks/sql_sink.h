/*
 * sql_sink.h - the part of a sink that all SQL servers share, and what a dialect provides for it
 *
 * sql_sink.c   fence, checkpoint row, transactions
 * sql_table.c  tables at the target: made at first sight, compared with each version, widened
 * sql_batch.c  changes of one table put together, one a key (no database)
 * sql_apply.c  events to batches, batches to work for the dialect, and back to single rows when refused
 *
 * Everything runs on the sink's thread.  Statements are the dialect's: the shared part says what is to be
 * done with which rows, the dialect says how.
 */
#ifndef SQL_SINK_H
#define SQL_SINK_H

#include "settings.h"
#include "sql.h"
#include "sql_batch.h"

#define SQL_VALID_FROM "_valid_from" /* history = on */
#define SQL_VALID_TO   "_valid_to"

struct sql_sink;
struct sql_version;

/* A column as the target's catalog has it. */
struct sql_column {
	char		*name, *type;		/* "numeric(12,2)", as DDL takes it */
	uint32_t	type_id;		/* these two and `cast` are the dialect's own */
	int32_t		type_mod;
	char		*cast;
	bool		generated;		/* never written */
	bool		required;		/* NOT NULL without a default */
};

/* A table at the target.  Versions of one table share it. */
struct sql_place {
	struct sql_place *next;
	char		*schema, *name;		/* schema NULL: the connection's own */
	char		*full;			/* both, quoted: what statements say */
	const struct table *owner;		/* the version it was first seen with: messages */
	struct sql_column *columns;		/* what stands there now; none: the table is not there */
	size_t		ncolumns;
	bool		linked;			/* foreign keys: the order across tables counts */
	bool		parted;			/* a row's place in it is not unique */
	bool		keeps;			/* TRUNCATE is not for us: referenced, or no right to it */
	bool		rejects_plain;		/* rows that came as new were there: upsert from now on in this life */
	unsigned	newest;			/* highest version compared: older ones change nothing but what they need */
	struct sql_version *current;		/* whose changes wait in `batch` */
	struct sql_batch batch;
	bool		moving;			/* rows of the batch moved under a key that need not hold at all times ... */
	uint64_t	moved_in;		/* ... or did in this transaction, and were sent */
	uint64_t	began;			/* the transaction of the batch's first change */
	bool		told_skipped, told_null;
	struct metric	*skipped;
};

/* A table version, compared with its place. */
struct sql_version {
	const struct table *table;
	struct sql_place *place;
	uint16_t	*at;		/* per column: index in place->columns */
	bool		*text;		/* per column: NAME_text is there */
	bool		*late;		/* per column: not in the table's first version */
	bool		any_late, any_text, ready;
	void		*own;		/* the dialect's: prepared statements */
};

enum sql_kind {
	SQL_INSERT,		/* new rows; where a key is there: rejects_plain and again are set, ERR_REJECT */
	SQL_UPSERT,
	SQL_UPDATE,		/* by key, without the columns in `absent` */
	SQL_REMOVE, SQL_MARK,	/* by key; matched: only where the row equals the complete old image */
	SQL_MOVE,		/* one row from `key` to the key in `after`, without the columns in `absent` */
	/* one row that equals the complete old image */
	SQL_MATCH_UPDATE, SQL_MATCH_REMOVE, SQL_MATCH_MARK,
	/* history: rows appended; the open version of a key ended; both for one row, absent columns carried over;
	 * the open version of one row without a key ended */
	SQL_APPEND, SQL_CLOSE, SQL_CARRY, SQL_MATCH_CLOSE,
	/* the whole table; `items` has one for the time */
	SQL_TRUNCATE, SQL_MARK_ALL, SQL_CLOSE_ALL,
};

struct sql_work {
	enum sql_kind	kind;
	const struct sql_item *const *items;	/* n > 0; what a kind needs of them is set */
	size_t		n;
	struct str	absent;			/* bitmap: columns left out of SET */
	bool		matched;
	bool		loose;			/* MATCH: a late column may be NULL at the target */
};

enum sql_fit { SQL_FITS, SQL_TOO_NARROW, SQL_DIFFERS };

/* A parameter of a checkpoint statement: text (NULL: NULL), or a number where `number` is set. */
struct sql_param { const char *text; const int64_t *number; };
#define SQL_ROW_MOST 4
struct sql_row { char *text[SQL_ROW_MOST]; };	/* owned; NULL: NULL */

/*
 * What mysql.c and postgres.c provide.  Errors are classified: a row that the target cannot take is
 * ERR_REJECT, and only then does the shared part try row by row.
 */
struct sql_dialect {
	const char	*name;			/* begins messages: "postgres" */
	char		quote;
	bool		ddl_commits;		/* DDL ends the transaction (MySQL) */
	bool		folds;			/* names that differ in case only are one */
	bool		no_nul;			/* text cannot hold a NUL */
	size_t		longest_name;		/* bytes of an identifier */
	/* DDL and transaction control: no parameters, no result. */
	MUST_CHECK int (*run)(struct sql_sink *k, const char *sql, struct error *err);
	/* One of the sql_checkpoint statements.  `out` NULL: rows changed; otherwise 1 and the row, or 0. */
	MUST_CHECK int (*checkpoint)(struct sql_sink *k, const char *sql, const struct sql_param *params, size_t n,
				     struct sql_row *out, struct error *err);
	/* Schema and quoted name of a place: p->schema and p->full from p->name and the source's schema. */
	void (*name_place)(struct sql_sink *k, struct sql_place *p, const struct table *t);
	/* p->columns (none if there is no table) and p->linked from the catalog. */
	MUST_CHECK int (*look)(struct sql_sink *k, struct sql_place *p, struct error *err);
	/* Is there a complete unique key over exactly the key columns of `t`? */
	MUST_CHECK int (*unique)(struct sql_sink *k, const struct sql_place *p, const struct table *t, bool *found,
				 struct error *err);
	void (*type)(const struct sql_sink *k, const struct column *c, struct buf *out);	/* "numeric(12,2)" */
	enum sql_fit (*fit)(const struct sql_sink *k, const struct sql_column *have, const struct column *want);
	/* "ALTER COLUMN c TYPE t": the part of ALTER TABLE after the name. */
	void (*alter_type)(struct buf *out, struct str column, const char *type);
	/* The source's own text of a value that Avro cannot hold can be given to the target's column. */
	bool (*takes_text)(const struct sql_sink *k, const struct sql_version *v, size_t column);
	/* Rows touched, or -1. */
	MUST_CHECK int64_t (*work)(struct sql_sink *k, struct sql_version *v, const struct sql_work *w,
				   struct error *err);
	void (*forget)(struct sql_sink *k, struct sql_version *v);	/* v->own: the table has changed */
};

struct sql_sink {
	struct sink	sink;			/* first */
	const struct sql_dialect *dialect;
	struct sink_context ctx;
	const struct sql_settings *set;
	char		*where;			/* "db2:5432/copy": messages */
	int64_t		fence;
	bool		writing;		/* a transaction is open, the fence was checked in it */
	bool		dirty;			/* rows were written in it */
	bool		bulk;			/* the chunk at hand can be undone, and done again row by row */
	bool		again;			/* it was refused for a row that was there: worth another try as a whole */
	bool		unordered;		/* constraints are not looked at: tables may be written in any order */
	struct sql_version **versions;		/* by table id */
	size_t		nversions;
	struct sql_place *places;
	struct sql_place **touched;		/* places with something waiting, in the order of their first change */
	size_t		ntouched, touched_room;
	uint64_t	transactions;		/* BEGINs seen: tells one source transaction from the next */
	struct arena	arena;			/* of the chunk at hand */
	const struct sql_item **list;		/* scratch of flush */
	size_t		list_room;
};

/* --- sql_sink.c: the sink's ops; `open` is the dialect's: connect, then sql_fence() --- */

MUST_CHECK int sql_fence(struct sql_sink *k, int64_t *fence, struct error *err);
MUST_CHECK int sql_begin(struct sql_sink *k, struct error *err);	/* and checks the fence; no effect inside a transaction */
MUST_CHECK int sql_load(struct sink *sink, struct checkpoint *out, struct error *err);
MUST_CHECK int sql_write(struct sink *sink, const struct event *e, size_t n, struct error *err);
MUST_CHECK int sql_commit(struct sink *sink, const struct checkpoint *upto, struct error *err);
void sql_release(struct sql_sink *k);	/* everything that is not the dialect's */

/* --- sql_table.c --- */

/* The version, its table made or compared.  NULL on error: ERR_REJECT where `evolve` forbids what is needed. */
bool sql_version_ready(const struct sql_sink *k, const struct table *t);
struct sql_version *sql_version_get(struct sql_sink *k, const struct table *t, struct error *err);
/* unrepresentable = text: adds NAME_text for a column. */
MUST_CHECK int sql_add_text(struct sql_sink *k, struct sql_version *v, size_t column, struct error *err);
/* What was looked up may no longer hold: DDL was rolled back. */
void sql_tables_forget(struct sql_sink *k);
void sql_tables_free(struct sql_sink *k);

/* --- sql_apply.c --- */

/* Events [from, to) of the call.  What was sent before an error is for the caller to roll back. */
MUST_CHECK int sql_apply(struct sql_sink *k, const struct event *e, size_t from, size_t to, struct error *err);
void sql_apply_forget(struct sql_sink *k);	/* what waits */

#endif
