/*
 * binlog_gtid.h - GTIDs and sets of them, of MySQL (uuid[:tag]:number) and of MariaDB (domain-server-sequence)
 *
 * A MariaDB "set" is a position: the last GTID of each domain.  One thread at a time.
 */
#ifndef BINLOG_GTID_H
#define BINLOG_GTID_H

#include "binlog_event.h"

struct gtid {
	bool		mariadb;
	uint8_t		uuid[16];	/* MySQL */
	char		tag[33];	/* MySQL 8.3 and later; "" */
	uint64_t	number;		/* gno, or MariaDB's sequence */
	uint32_t	domain, server;	/* MariaDB */
};
#define GTID_TEXT	96
const char *gtid_text(const struct gtid *g, char out[GTID_TEXT]);	/* returns out */

/* BINLOG_GTID, ANONYMOUS_GTID, GTID_TAGGED and MARIA_GTID. */
struct binlog_gtid {
	struct gtid	gtid;
	bool		anonymous;
	bool		standalone;	/* MariaDB: a statement of its own (DDL): no COMMIT follows */
	bool		ddl;		/* MariaDB */
	bool		xa_prepared, xa_completed;	/* MariaDB 10.5 and later */
	bool		alter_start, alter_commit, alter_rollback;	/* MariaDB 10.8 and later: binlog_alter_two_phase */
	struct binlog_xid xid;		/* MariaDB, with either of the two; points into the event */
	int64_t		commit_us;	/* original commit, microseconds since 1970; 0: not said (5.6, 5.7, MariaDB) */
	uint64_t	length;		/* of the transaction, this event included; 0: not said */
};
MUST_CHECK int binlog_gtid_parse(const struct binlog_event *e, struct binlog_gtid *out, struct error *err);

struct gtid_set;
struct gtid_set *gtid_set_new(bool mariadb);
struct gtid_set *gtid_set_parse(bool mariadb, const char *text, struct error *err);	/* as the servers print it; "" is empty */
struct gtid_set *gtid_set_copy(const struct gtid_set *s);
void gtid_set_free(struct gtid_set *s);			/* NULL is fine */
void gtid_set_cleanup(struct gtid_set **s);
void gtid_set_add(struct gtid_set *s, const struct gtid *g);	/* MariaDB: the domain's last is now g */
void gtid_set_remove(struct gtid_set *s, const struct gtid *g);	/* MySQL only: leaves a hole */
void gtid_set_subtract(struct gtid_set *s, const struct gtid_set *what);	/* MySQL only; a few */
bool gtid_set_has(const struct gtid_set *s, const struct gtid *g);	/* MariaDB: number <= the domain's last */
bool gtid_set_contains(const struct gtid_set *big, const struct gtid_set *small);
bool gtid_set_empty(const struct gtid_set *s);
/* Text as the server prints it, sorted, lower case, without blanks or newlines: equal sets give equal text. */
void gtid_set_format(const struct gtid_set *s, struct buf *out);
/* MySQL: the bytes of COM_BINLOG_DUMP_GTID and of Previous_gtids; tagged sets in the form that has tags. */
void gtid_set_encode(const struct gtid_set *s, struct buf *out);
/* Adds what BINLOG_PREVIOUS_GTIDS or MariaDB's BINLOG_GTID_LIST lists; on error the set is as it was. */
MUST_CHECK int gtid_set_add_event(struct gtid_set *s, const struct binlog_event *e, struct error *err);

#endif
