/*
 * agent.h - the running agent: what its threads share
 *
 * One reader, one writer, one thread a sink, and main.  Data goes forward as blocks; progress
 * comes back as one value per sink.  Each part guards its own state and says so in its file; the
 * fields here are set before the threads start, or atomic.
 */
#ifndef AGENT_H
#define AGENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "loading.h"
#include "metric.h"
#include "sink.h"
#include "source.h"
#include "spool.h"
#include "state.h"
#include "status.h"

struct reader;
struct writer;
struct deliver;
struct snapshot;

/* Who is waiting for a named thing; /healthz is content with any of them. */
enum wait_slot { WAIT_READER, WAIT_SPOOL, WAIT_SINK, WAIT_SLOTS };

/* Why sinks commit at once instead of grouping or rolling. */
enum hurry { HURRY_SPOOL_FULL = 1, HURRY_SERVER_STOPS = 2 };

struct agent {
	const struct config *config;
	struct state *state;
	struct tables *tables;
	struct spool *spool;
	struct reader *reader;
	struct writer *writer;
	struct deliver **sinks;
	size_t nsinks;
	struct snapshot *snapshot;
	bool until_idle;
	uint32_t stored_versions; /* table versions that state.db held at the start: ids 1.. */
	char instance[16]; /* this process, in application_name */
	char *database;	   /* the source's, as events name it */
	int64_t started_us; /* wall clock */
	int wake_fd;	   /* eventfd: main is to look */

	atomic_bool stopping; /* reader, writer and sinks end their work */
	atomic_uint hurry;    /* enum hurry: sinks commit at once */
	atomic_bool look_anew; /* SIGHUP: the reader connects again and takes up new tables */
	atomic_bool draining; /* --until-idle: sinks commit up to drain_position, then are done */
	struct position drain_position; /* set before draining */
	_Atomic int64_t progress_us;	/* CLOCK_MONOTONIC */
	_Atomic uint64_t source_commit_us;	/* commit time of the newest transaction read */

	pthread_mutex_t lock; /* guards what follows */
	bool failed;
	struct error error; /* the first fatal one */
	char *waiting[WAIT_SLOTS];
};

/* The first fatal error decides the exit code; everything stops.  Any thread. */
void agent_fail(struct agent *a, const struct error *err);
void agent_stop(struct agent *a);
void agent_progress(struct agent *a);
void agent_hurry(struct agent *a, enum hurry why, bool on);
/* text NULL: no longer.  Any thread. */
void agent_waiting(struct agent *a, enum wait_slot slot, const char *text);
/* Sleeps, but not past a stop. */
void agent_sleep(struct agent *a, int64_t us);

/* Exponential with full jitter: 0..min(cap, 100 ms * 2^tries). */
int64_t backoff_us(unsigned tries);

/* --- writer.c: the thread that writes and syncs the spool and state.db --- */

struct writer *writer_start(struct agent *a, size_t queue_bytes);
/* Hands a sealed block over; false after timeout_ms without room (the caller keeps it).  Reader thread. */
bool writer_push(struct writer *w, struct block *b, int timeout_ms);
void writer_rewind(struct writer *w); /* drop the unfinished transaction queued and spooled; waits until done */
bool writer_has_nothing(struct writer *w); /* queue empty */
bool writer_synced(struct writer *w);	   /* queue empty, everything synced */
void writer_stop(struct writer *w);	   /* writes what is queued, syncs, joins, frees */

/* --- deliver.c: one thread a sink --- */

struct deliver *deliver_new(struct agent *a, size_t index, struct error *err);
void deliver_start(struct deliver *d);
void deliver_join(struct deliver *d); /* after agent_stop(): joins and frees */
bool deliver_finished(struct deliver *d);

/* What the reader needs to know before it starts. */
struct deliver_view {
	const char *name;
	bool attempted; /* open and load were tried once */
	bool loaded;	/* its checkpoint is known for sure */
	bool known;	/* state.db knows the sink */
	bool detached;
	struct checkpoint floor; /* the oldest it may need again; resume NULL: none */
};
void deliver_view(struct deliver *d, struct deliver_view *out); /* out->floor is a copy: release it */
/* Where a sink without any checkpoint begins; then it may read the spool. */
MUST_CHECK int deliver_begin(struct deliver *d, const struct checkpoint *start, struct error *err);
/* What retention and acknowledgement must keep; false: detached, nothing. */
bool deliver_floor(struct deliver *d, struct checkpoint *out);
bool deliver_at_end(struct deliver *d);		  /* has everything that is published */
void deliver_verify(struct deliver *d);		  /* check the fence soon */
bool deliver_verified(struct deliver *d);	  /* done, or the sink is closed and will check when it opens */
bool deliver_fenced(struct deliver *d);		  /* done, and the sink is open: its fence is certain */
bool deliver_drained(struct deliver *d);	  /* draining: everything up to drain_position is committed */
bool deliver_has_stopped(struct deliver *d, char *text, size_t n); /* a table is stopped: which and why */
void deliver_detach(struct deliver *d);
void deliver_status(struct deliver *d, struct sink_status *out);
/* Adds the tables that this sink's checkpoint lists as being loaded: a lost ledger starts those again.  Once it is loaded. */
void deliver_loading(struct deliver *d, struct loading *out);
void deliver_table_status(struct deliver *d, struct agent_status *out);

/* --- progress.c --- */

/* On a terminal the line of --until-idle and of tables being loaded; elsewhere the latter in the log, every 10 s.  Main thread. */
void progress_show(struct agent *a);

/* --- reader.c --- */

struct reader *reader_start(struct agent *a);
void reader_join(struct reader *r);
void reader_status(struct reader *r, struct source_status *out);
bool reader_streaming(struct reader *r);

#endif
