/*
 * snapshot_private.h - what the coordinator, the workers and the reader's part of snapshots share
 *
 * Everything here is guarded by snapshot.lock unless said otherwise; `changed` is signalled when
 * somebody may go on.  The lock is never held over a statement to the source or a write to state.db
 * (but for the reader's own: keys to read again are in the ledger before their change is in the spool).
 */
#ifndef SNAPSHOT_PRIVATE_H
#define SNAPSHOT_PRIVATE_H

#include "snapshot.h"
#include "splice.h"

#define RANGE_REREAD (-1)
#define REREAD_KEYS  100 /* read again in one chunk */
#define REREAD_TRIES 10	 /* after so many the stream waits while the key is read */

enum job_state {
	JOB_READING, /* a worker has it */
	JOB_READ,    /* its rows wait for their place */
	JOB_EMITTING, /* the reader has it */
};

/* A chunk from its window to its emission. */
struct job {
	struct job *next; /* of the range, in the order of the keys */
	struct load *load;
	struct range *range;
	struct window *window;
	enum job_state state;
	bool dead;  /* the load began anew, or failed: whoever has the job lets go of it */
	bool exact; /* read at one place of the log, in pieces */
	bool begun; /* exact: its first piece was emitted */
	bool end;   /* the range holds no more */
	bool keys;  /* it has the load's keys to read again, until they are settled */
	char *after, *last;
};

struct range {
	struct load *load;
	int64_t id;
	char *after, *upto; /* what is to be read next */
	bool reading, at_end, done;
	struct job *jobs;
};

enum phase {
	PHASE_KNOWN,   /* begun in an earlier process, until the tables were looked at */
	PHASE_FRESH,   /* to be put into the ledger as not begun */
	PHASE_BEGIN,   /* its first note waits for a boundary */
	PHASE_BEGUN,   /* until that note is in the ledger */
	PHASE_WAITING, /* for a worker that looks how to read it */
	PHASE_PREPARING,
	PHASE_READING,
	PHASE_END, /* its last note waits for a boundary */
	PHASE_ENDED,
};

struct load {
	struct load *next;
	unsigned refs; /* tasks, jobs and emissions that point here */
	bool rewritten; /* rows changed without events since it began */
	bool retired;  /* begun anew: freed when nobody points here */
	bool put;      /* `state` and `reason` are to be put into the ledger */
	char *schema, *name, *where, *sink;
	enum snapshot_state state;
	enum phase phase;
	bool by_name, keyless, given_up;
	bool reload; /* its copies are complete while it is loaded again */
	char *refusal, *reason;
	int64_t bytes, estimate;
	int64_t rows, rows_said; /* emitted */
	double rate;
	int64_t begun_us;
	struct position last; /* of the newest note emitted */
	struct splice_table *splice; /* from PHASE_BEGIN on */
	const struct table *version;
	struct range *ranges;
	size_t nranges;
	struct range reread;
	struct ledger_key *keys; /* read again at the moment, until that is in the ledger */
	size_t nkeys;
	bool maybe_rereads; /* the ledger may hold keys to read again */
};

struct settled { /* emitted, for the ledger */
	char *note;
	struct position pos;
	struct load *load;
	bool begin, reread; /* its first note; keys that were read again */
};

struct snapshot {
	struct agent *agent;
	const struct source_ops *ops;
	const struct copier_ops *copy;
	const struct config *config;
	pthread_t coordinator;
	struct worker *workers;
	size_t nworkers;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct splice *splice;
	struct load *loads;
	struct settled *settled;
	size_t nsettled, settled_room;
	bool streaming;	 /* the reader reads; windows may open */
	bool planned;	 /* the plan was made in this process */
	bool plan_wanted; /* tables may have come: the stream halts until that is known */
	bool first;	  /* something begins here: the stream halts however long that takes */
	int64_t streams_us; /* since when it streams */
	bool requests_seen;
	bool past_sinks; /* the reader is past every sink's checkpoint */
	char *waiting;	 /* what is waited for; NULL */
	char *held;	 /* why workers hold: the source's health */
	int64_t next_read_us; /* snapshot.rate */
	int64_t health_us;
	int64_t active;	 /* sessions at work on the source */

	bool halt;	   /* an exact read wants the stream to halt at a boundary */
	bool halted;
	bool broken; /* an exact read broke off after its first piece was emitted */
	struct job *exact; /* whose place the stream goes on to */

	atomic_bool busy; /* loads go on */
	atomic_bool told; /* the splice is told of the stream: the reader asks */
	atomic_bool behind; /* the reader is more than 10 s behind */
};

struct worker {
	struct snapshot *snapshot;
	pthread_t thread;
	struct copier *copier;
	uint64_t generation; /* of the splice when the copier was opened */
	size_t index;
};

/* All with the lock held. */
void snapshot_wait(struct snapshot *s, int ms);
void snapshot_say_waiting(struct snapshot *s, const char *text); /* NULL: no longer */
/* Everything read of a table is thrown away: it is to begin anew, or ends with `state`. */
struct load *load_restart(struct snapshot *s, struct load *l, const char *why);
void load_end(struct snapshot *s, struct load *l, enum snapshot_state state, const char *reason);
struct load *load_new(const char *schema, const char *name, const char *where, const char *sink);
struct load *load_find(struct snapshot *s, const char *schema, const char *name); /* the one not retired; NULL */
bool load_ranges_done(const struct load *l); /* all that is not to be read again is emitted */
void load_drop_jobs(struct snapshot *s, struct load *l);
void load_free_keys(struct load *l);
void job_drop(struct snapshot *s, struct job *j); /* and the later ones of its range: read again from there */
void job_free(struct job *j);

void *snapshot_worker(void *arg);

/* snapshot_plan.c, the coordinator's, without the lock. */
MUST_CHECK int snapshot_plan(struct snapshot *s, struct error *err);	 /* if one is wanted */
MUST_CHECK int snapshot_requests(struct snapshot *s, struct error *err); /* if there are any */
MUST_CHECK int snapshot_take_up_begun(struct snapshot *s, struct error *err); /* before the stream goes on */

#endif
