/*
 * ledger.h - what state.db knows of snapshots: tables, their ranges and keys to read again, requests
 *
 * What has been loaded is told by notes, JSON in the BEGIN record of each chunk, so that the spool
 * and the ledger say the same: the ledger is written after the chunk is synced in the spool, and at a
 * start it takes up what the spool holds beyond it.  Any thread; each put is durable when it returns.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "state.h"

enum snapshot_state {		/* of one table */
	LOAD_WAITING,		/* asked for, not begun */
	LOAD_RUNNING,
	LOAD_PAUSED,
	LOAD_DONE,
	LOAD_FAILED,		/* `reason`: it cannot go on; `snapshot start` begins it anew */
	LOAD_CANCELLED,
};
const char *load_state_name(enum snapshot_state state);	/* "waiting" */

struct ledger_range {		/* of a table's keys: after < key <= upto are still to be read */
	int64_t		id;	/* 0, 1, ... within the table; -1: the keys to read again */
	char		*after, *upto;	/* NULL: open */
	bool		done;
};

struct ledger_table {		/* strings are owned; NULL: none */
	char			*schema, *name;
	char			*sink;		/* meant for this sink alone */
	char			*where;		/* SQL; only these rows */
	char			*reason;
	enum snapshot_state	state;
	bool			by_name;	/* asked for by its own name: a table without a key may be large */
	int64_t			rows, estimate;	/* loaded so far; of the catalog, -1 unknown */
	int64_t			asked_us, begun_us, ended_us;	/* wall clock; 0: not yet */
	struct position		position;	/* of the newest note taken up */
	uint32_t		version;	/* of the table, that the rows so far are of; 0: none yet */
	struct ledger_range	*ranges;
	size_t			nranges, nrereads;
};

/* All of them, by schema and name; *out is the caller's. */
MUST_CHECK int ledger_load(struct state *s, struct ledger_table **out, size_t *n, struct error *err);
void ledger_tables_free(struct ledger_table *t, size_t n);
void ledger_table_release(struct ledger_table *t);

/*
 * Puts a table as it is here, in place of what there was, its ranges included; keys to read again go with a LOAD_WAITING.
 * begun_us 0 says that its NOTE_BEGIN has not come: notes before that are an earlier load's and only move the position.
 */
MUST_CHECK int ledger_put_table(struct state *s, const struct ledger_table *t, struct error *err);
/* ERR_FATAL for a table that is not there.  An end's ended_us is the clock's. */
MUST_CHECK int ledger_put_state(struct state *s, const char *schema, const char *name, enum snapshot_state state,
				const char *reason, struct error *err);

/*
 * A chunk's note.  BEGIN: the table is being loaded from here on; ROWS: these rows of this range are in; END: it is
 * complete, or given up (failed or cancelled).
 */
enum note_kind { NOTE_BEGIN, NOTE_ROWS, NOTE_END };
struct load_note {
	enum note_kind	kind;
	struct str	schema, name;
	struct str	sink;		/* p NULL: all */
	bool		given_up;	/* END: the copy stays incomplete, if it was */
	bool		partial;	/* END: some of its rows were wanted (--where): likewise */
	bool		reload;		/* BEGIN: the copy is complete, and counts as such meanwhile */
	uint32_t	version;	/* ROWS: that they are of; 0: none */
	int64_t		range, rows;	/* ROWS; range as in struct ledger_range */
	struct str	last;		/* ROWS: the range is read up to here; p NULL: nothing was there */
	bool		done;		/* ROWS: the range is complete */
};
/* JSON, malloced. */
char *load_note_format(const struct load_note *n);
/* The strings are owned by *arena. ERR_FATAL when it is none. */
MUST_CHECK int load_note_parse(struct str json, struct arena *a, struct load_note *out, struct error *err);

/*
 * Notes and their positions, in order, in one transaction; one at or before its table's position is left out.
 * BEGIN makes WAITING RUNNING and puts a table that is not there (its ranges are lost); END makes it DONE, or
 * with given_up FAILED where the ledger does not say already how it ended.
 */
struct ledger_entry { struct str note; struct position pos; };
MUST_CHECK int ledger_apply(struct state *s, const struct ledger_entry *e, size_t n, struct error *err);

/*
 * At the start: what the spool holds beyond the ledger is taken up, from the lowest position of a
 * table that is not finished; without such a table nothing is read.
 */
struct spool;
MUST_CHECK int ledger_catch_up(struct state *s, struct spool *spool, struct error *err);

/* Keys (Avro) to read again.  ledger_get_rereads: at most `most` of them, oldest first; malloced, each with its tries. */
struct ledger_key { struct str key; int64_t tries, id; };
/* One that is there already: tries + 1.  One with `old` is put only if that is there.  *any: was one? */
struct ledger_reread { struct str key, old; };
MUST_CHECK int ledger_put_rereads(struct state *s, struct str schema, struct str name, const struct ledger_reread *keys,
				  size_t n, bool *any, struct error *err);
MUST_CHECK int ledger_get_rereads(struct state *s, const char *schema, const char *name, size_t most,
				  struct ledger_key **out, size_t *n, struct error *err);
/* As they were got: one that was put again since stays. */
MUST_CHECK int ledger_drop_rereads(struct state *s, const struct ledger_key *keys, size_t n, struct error *err);

/* What `tailrace snapshot` asks of the agent, running or not. */
enum request_kind { REQUEST_START, REQUEST_PAUSE, REQUEST_RESUME, REQUEST_CANCEL };
struct load_request {
	int64_t			id;
	enum request_kind	kind;
	char			*tables;	/* comma-separated patterns as in source.tables; NULL: all */
	char			*where;
	char			*sink;
};
const char *request_kind_name(enum request_kind kind);	/* "start" */
MUST_CHECK int ledger_put_request(struct state *s, struct load_request *r, struct error *err);	/* sets r->id */
/* Cheap when nothing was asked: whether another process has written to state.db since the last call; true the first time. */
bool ledger_asked(struct state *s);
MUST_CHECK int ledger_get_requests(struct state *s, struct load_request **out, size_t *n, struct error *err);
MUST_CHECK int ledger_drop_request(struct state *s, int64_t id, struct error *err);
void load_requests_free(struct load_request *r, size_t n);

#endif
