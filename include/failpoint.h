/*
 * failpoint.h - named instants at which a test kills the process or makes a call fail
 *
 * Compiled in with `make FAILPOINTS=1` only.  TAILRACE_FAILPOINT="published:3" ends the process by
 * SIGKILL at the third passing of "published"; "kafka_sent=STOP" puts it to sleep there by SIGSTOP;
 * "spool_write=ENOSPC:2" makes the second call fail so.
 * Steps: appended synced published written committed acknowledged renamed segment_removed;
 * kafka_sent: everything is at the brokers but the end of the transaction; sql_chunk: some of an SQL target's
 * transaction is sent; sql_saved: all but COMMIT; chunk_begun, chunk_read, chunk_emitted: of a chunk of a snapshot.
 */
#ifndef FAILPOINT_H
#define FAILPOINT_H

#ifdef FAILPOINTS
void failpoint(const char *name);
int  failpoint_errno(const char *name);		/* 0, or the errno that the call is to fail with */
#else
static inline void failpoint(const char *name) { (void)name; }
static inline int failpoint_errno(const char *name) { (void)name; return 0; }
#endif

#endif
