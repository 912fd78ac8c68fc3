/*
 * splice.h - where rows read from a table belong in the stream of its changes
 *
 * A window opens before a chunk's rows are read, between two transactions of the stream.  From then
 * on the keys that transactions change are noted.  The rules:
 *
 *  EARLIER  The read counts only when it sees every transaction on the table streamed before the window opened.
 *  CHANGED  A row whose key was changed in the window by a transaction that the read could not see is left out.
 *  REACHED  The rows are emitted between transactions, once the stream has passed all that the read could see.
 *  SPOILED  TRUNCATE, or another version of the table, in the window by a transaction that the read could not
 *           see: the chunk is read again.
 *  REREAD   Where a change that did not carry every column made a row be left out, or moved a row to another
 *           key while the table is being loaded, that key is read again.
 *
 * No I/O, no lock, no thread of its own: all calls are made under one lock of the caller's (snapshot.c).
 */
#ifndef SPLICE_H
#define SPLICE_H

#include "chunk.h"
#include "copier.h"

enum splice_rule {
	RULE_EARLIER = 1, RULE_CHANGED = 2, RULE_REACHED = 4, RULE_SPOILED = 8, RULE_REREAD = 16,
	RULE_OLD_KEY = 32,	/* of CHANGED: both keys of a row that moves */
	RULE_OPEN = 64,		/* windows open between transactions only, and before the read */
	RULES = 127,
};

struct splice;
struct splice_table;
struct window;

/*
 * set_bytes: of keys that one window may note until its rows are there.  earlier_most: transactions kept that are not
 * known to be visible, before a new generation begins.  rules: RULES; the model test leaves one out.
 */
#define SPLICE_EARLIER 65536
struct splice *splice_new(const struct copier_ops *ops, size_t set_bytes, size_t earlier_most, unsigned rules);
void	       splice_free(struct splice *s);

/* A table from the start of its load to the end; NULL from splice_find: it is not being loaded. */
struct splice_table *splice_add(struct splice *s, struct str schema, struct str name);
struct splice_table *splice_find(const struct splice *s, struct str schema, struct str name);
void		     splice_remove(struct splice *s, struct splice_table *t);	/* its windows are spoiled: who has one closes it */

/* --- the stream, on the reader's thread --- */

/*
 * The stream ended, goes on at another place, or is told again after it was not: every window is spoiled, copiers
 * are to be opened anew.
 */
void splice_reset(struct splice *s);
/*
 * Copiers opened under another generation than this do not know what was streamed before: to be looked at where
 * a window is opened, too.
 */
uint64_t splice_generation(const struct splice *s);
void splice_begin(struct splice *s, const struct change *begin);
void splice_change(struct splice *s, const struct change *c);	/* a row or a truncate */
/* Between transactions, the stream at `resume`: windows that wait open, true if any did. */
bool splice_boundary(struct splice *s, const char *resume);
bool splice_full(const struct splice *s);	/* a window can note no more: the stream waits until its rows are there */

/*
 * Keys to read again that were found since the last call: give() is called for each, then they are forgotten.  Rows that
 * come find some, too: to be taken before rows are emitted, and before the table is said to be complete.  old: where the
 * row was before a change that did not carry all of it; once everything but such keys is emitted, only a row that comes from
 * one of them needs it.  p NULL: it needs it.
 */
void splice_take_rereads(struct splice_table *t, void (*give)(void *arg, struct str key, struct str old), void *arg);
bool splice_has_rereads(const struct splice_table *t);

/* --- a window, by the worker that reads --- */

/* Opens at once between transactions, at the next boundary otherwise. */
struct window *window_open(struct splice *s, struct splice_table *t);
bool window_is_open(const struct window *w);
/*
 * What the read sees (taken over).  false: it does not count, take another; the window stays.  Once: when rows cannot
 * be read after that, the window is closed and another opened.
 */
bool window_sees(struct window *w, struct visibility *seen);
/* The rows (taken over), indexed.  NULL: the first part of an exact read was emitted, the next is to come. */
void window_rows(struct window *w, struct chunk *rows);
const char *window_spoiled(const struct window *w);	/* why the rows are to be read again; NULL: they are not */
/* May the rows be emitted here?  Only at a boundary. */
bool window_ready(const struct window *w);
struct chunk *window_chunk(struct window *w);	/* NULL: not read yet */
const struct visibility *window_seen(const struct window *w);
void window_close(struct window *w);

#endif
