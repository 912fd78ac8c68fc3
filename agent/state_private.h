/*
 * state_private.h - state.db's handle, for the files that keep their own tables in it
 */
#ifndef STATE_PRIVATE_H
#define STATE_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "state.h"

struct state {
	pthread_mutex_t lock;	/* held over each call; guards what follows */
	char *path;
	sqlite3 *db;
	int lock_fd;
	int64_t data_version;	/* ledger_asked(): of the last look, 0: none yet */
};

/* "PATH: cannot WHAT: why", of the handle's last error; returns -1.  The caller holds the lock. */
int state_failed(struct state *s, const char *what, struct error *err);

#endif
