/*
 * pg_slot.h - the replication slot: looked up, judged, taken over, created
 */
#ifndef PG_SLOT_H
#define PG_SLOT_H

#include "pg_connection.h"

struct pg_slot {
	bool		exists, temporary, active, synced;
	char		plugin[64], type[16], database[64];
	int		pid;			/* of the walsender that holds it; 0 */
	uint64_t	restart, confirmed;	/* LSNs; 0: none */
	char		lost[64];		/* why it is invalid: "wal_removed", "lost", ...; "" */
	int64_t		safe_bytes;		/* -1: no limit, or not known */
	char		application[64], address[64], user[64];	/* of the holder, as far as we may see */
};

MUST_CHECK int pg_slot_load(PGconn *conn, int64_t deadline, const char *name, int version, struct pg_slot *out,
			    struct error *err);
/*
 * Can we read from it?  ERR_FATAL names another plugin, kind or database; with EXIT_LOG_GONE when it
 * was invalidated.
 */
MUST_CHECK int pg_slot_judge(const struct pg_slot *s, const char *name, const char *database, struct error *err);
/*
 * Waits until the slot is free.  A holder whose application_name begins with `ours`
 * ("tailrace/erp/") is ended if may_take; ERR_RETRY names any other, or the one that does not end in time.
 */
MUST_CHECK int pg_slot_take(PGconn *conn, int64_t deadline, const char *name, int version, const char *ours,
			    bool may_take, struct pg_slot *s, struct error *err);

/* Sends CREATE_REPLICATION_SLOT on the replication connection; pg_await() has the result in the end. */
MUST_CHECK int pg_slot_create(PGconn *replication, const char *name, struct error *err);
/* What a creation waits for, for a message: "transaction of pid 71 (psql), open for 12 s", or "". */
void pg_slot_awaited(PGconn *conn, int64_t deadline, int walsender, char out[160]);
/* Moves a free slot forward to `lsn` without decoding (11 and later). */
MUST_CHECK int pg_slot_advance(PGconn *conn, int64_t deadline, const char *name, uint64_t lsn, struct error *err);
MUST_CHECK int pg_slot_drop(PGconn *conn, int64_t deadline, const char *name, struct error *err);

#endif
