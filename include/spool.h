/*
 * spool.h - the durable log between the source and the sinks
 *
 * A directory of Avro container files (schemas/spool_record.avsc, zstandard), oldest first.  The
 * writer thread appends and syncs; one cursor per sink thread.
 * Locking: the spool's own mutex guards the list of segments and the ring of recent blocks;
 * blocks are immutable.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "config.h"
#include "event.h"

struct spool;
struct spool_cursor;

/*
 * Opens or creates dir: cuts a torn tail and an unfinished transaction, syncs what survives and the
 * directory.  Restores table versions that `tables` does not know from schema records.
 * ERR_FATAL names file and offset where any other segment is damaged or has an unknown format.
 */
struct spool *spool_open(const char *dir, const char *pipeline, const struct spool_config *c, size_t recent,
			 struct tables *tables, struct error *err);	/* recent: bytes of blocks kept in memory */
void	      spool_close(struct spool *s);

/* Says where an empty spool begins: everything after `base` will be in it.  No effect when it holds something. */
void spool_begin(struct spool *s, const struct checkpoint *base);

/* Writer thread: write one sealed block; its transactions become visible to cursors when complete.
 * Takes over the caller's reference. */
MUST_CHECK int spool_append(struct spool *s, struct block *b, struct error *err);
/* Writer thread: drop an unfinished transaction at the end (the source will send it again). */
MUST_CHECK int spool_rewind(struct spool *s, struct error *err);
/* Writer thread: fsync what was appended.  After an error the process must end. */
MUST_CHECK int spool_sync(struct spool *s, struct error *err);
/* Writer thread: remove segments whose last position is at or before `upto` and that are older than spool.keep
 * (or as the size limit demands). */
MUST_CHECK int spool_forget(struct spool *s, const struct position *upto, struct error *err);
/* Writer thread: room for n more bytes under spool.max_bytes? */
bool spool_has_room(struct spool *s, size_t n);

struct spool_status {
	int64_t		bytes, unfinished;	/* on disk; of them an unfinished transaction's */
	int64_t		segments;
	uint64_t	events;			/* row events published since the process began */
	struct position	oldest, newest, synced;	/* zero: empty */
};
/* Any thread. */
void spool_status(struct spool *s, struct spool_status *out);
/* Commit time (microseconds since 1970, coarse to 100 ms) of the oldest rows published after `pos`; 0: there are none. */
int64_t spool_oldest_after(struct spool *s, const struct position *pos);
void spool_newest(struct spool *s, struct checkpoint *out);	/* last complete transaction written, or the base; resume NULL: neither */
void spool_synced(struct spool *s, struct checkpoint *out);	/* the last that is durable */

/* The first event after `from` (zero: the very first).  ERR_FATAL EXIT_LOG_GONE if that is older than the spool keeps. */
struct spool_cursor *spool_seek(struct spool *s, const struct position *from, struct error *err);
/* The first event that is there: it may stand inside a transaction. */
struct spool_cursor *spool_seek_oldest(struct spool *s);
/* Nothing is published that this cursor has not given.  Any thread. */
bool spool_at_end(struct spool_cursor *c);
/* The next block of complete transactions, from memory or disk: 1 and *out (the caller drops it), 0 after
 * timeout_ms with nothing new, or -1. */
MUST_CHECK int spool_next(struct spool_cursor *c, int timeout_ms, struct block **out, struct error *err);
void spool_cursor_close(struct spool_cursor *c);
void spool_wake(struct spool *s);	/* makes waiting cursors return */

#endif
