/*
 * state.h - state.db: what the pipeline remembers locally (SQLite, schemas/state.sql)
 *
 * Table versions, each sink's starting position and last known checkpoint, the intent to create a
 * slot.  Every put is durable when it returns (synchronous = FULL).  Any thread: one mutex inside.
 * state_open takes the lock on state_dir: a second process is told the first one's pid.
 */
#ifndef STATE_H
#define STATE_H

#include "position.h"
#include "table.h"

struct state;

struct state *state_open(const char *dir, struct error *err);	/* makes dir (0700) and state.db */
/* Without the lock, for commands that read beside a running agent.  NULL and an error where no state.db is. */
struct state *state_open_shared(const char *dir, struct error *err);
void	      state_close(struct state *s);

MUST_CHECK int state_put_table(struct state *s, const struct table *t, struct error *err);	/* idempotent */
MUST_CHECK int state_restore_tables(struct state *s, struct tables *t, struct error *err);

struct state_sink {
	bool			known, detached;
	struct checkpoint	start;		/* where it began, when it was first configured */
	struct checkpoint	last;		/* the last checkpoint known here; resume NULL: none */
};
MUST_CHECK int state_get_sink(struct state *s, const char *name, struct state_sink *out, struct error *err);
MUST_CHECK int state_put_sink_start(struct state *s, const char *name, const struct checkpoint *start,
				    struct error *err);
MUST_CHECK int state_put_sink_last(struct state *s, const char *name, const struct checkpoint *last,
				   struct error *err);
MUST_CHECK int state_put_sink_detached(struct state *s, const char *name, struct error *err);
void state_sink_release(struct state_sink *s);

/* Small values by name: "slot_intent".  *out is malloced, NULL if there is none; value NULL removes. */
MUST_CHECK int state_get(struct state *s, const char *name, char **out, struct error *err);
MUST_CHECK int state_put(struct state *s, const char *name, const char *value, struct error *err);

#endif
