/*
 * pgoutput.h - decoder of PostgreSQL's logical replication messages (protocol 1 to 4, no streaming)
 *
 * No I/O: bytes in, changes out.  What a message does not say (what a domain is made of, the
 * primary key of a table with REPLICA IDENTITY FULL) is asked of the catalog by callback, seldom.
 * One thread.
 */
#ifndef PGOUTPUT_H
#define PGOUTPUT_H

#include "change.h"
#include "config.h"

/* One type as the catalog knows it; domains and arrays resolved by following the ids. */
struct pg_type {
	uint32_t	oid;
	char		name[64];	/* "numeric", "public.mood" when not in pg_catalog */
	char		kind;		/* pg_type.typtype: b d e c r m p */
	uint32_t	base;		/* domain: the base type's OID; 0 */
	int32_t		base_mod;	/* domain: its typmod; -1 */
	uint32_t	element;	/* a true array (typcategory A): the element's OID; 0 */
	char		delimiter;	/* between array elements: ',' or ';' */
};

struct pgoutput_catalog {
	void	*ctx;
	/* 1 found, 0 no such type any more, -1 error (ERR_RETRY: the message is decoded again later). */
	int	(*type)(void *ctx, uint32_t oid, struct pg_type *out, struct error *err);
	/* Sets key[i] for the columns of the primary key (names[i], n of them): 1; 0: none or no such table; -1. */
	int	(*primary_key)(void *ctx, uint32_t relation, const struct str *names, size_t n, bool *key,
			       struct error *err);
	/* Is this relation captured?  1, 0 or -1. */
	int	(*selected)(void *ctx, uint32_t relation, struct str schema, struct str name, struct error *err);
};

struct pgoutput_config {
	struct tables			*tables;
	struct pgoutput_catalog		catalog;
	bool				raw_text;	/* client_encoding SQL_ASCII: text may not be UTF-8 */
	int				invalid_bytes;	/* enum invalid_bytes */
	size_t				max_row;	/* a longer message is refused; 0: none is */
	uint32_t			epoch;		/* of the positions */
	uint64_t			system;		/* for resume tokens */
	uint32_t			timeline;
};

struct pgoutput;
struct pgoutput *pgoutput_new(const struct pgoutput_config *c);	/* copies *c */
void		 pgoutput_free(struct pgoutput *p);

/*
 * Decodes one message (the payload of a 'w'), appends its changes to `b` (values may point into
 * `message`, which the caller keeps alive as long as the batch).  wal_start: the 'w' header's first LSN.
 * On error nothing was appended and the state is as before: after ERR_RETRY the same message may be
 * given again.  ERR_FATAL: unknown or truncated message, with LSN and what to do.
 *
 * A transaction of which nothing is captured gives one HEARTBEAT at its end instead of BEGIN and
 * COMMIT.  A non-transactional message is a transaction of its own at its LSN - 1: the LSN is the
 * end of its record, where a commit record may begin.  The log has no time for it: commit_us is
 * when it was decoded.  Messages with the prefix "tailrace" are our own heartbeat: counted only.
 */
MUST_CHECK int pgoutput_decode(struct pgoutput *p, struct str message, uint64_t wal_start, struct batch *b,
			       struct error *err);
bool	 pgoutput_in_transaction(const struct pgoutput *p);
uint64_t pgoutput_last_end(const struct pgoutput *p);	/* end LSN of the last transaction decoded, 0 */
/*
 * A value came in a binary form that we do not know (a column of such a type was added while the slot
 * was read in binary form).  pgoutput_decode() said ERR_RETRY; start again with binary off.
 */
bool	 pgoutput_wants_text(const struct pgoutput *p);

/* {"system":"7301...","timeline":1,"lsn":"0/16B3798"}: the resume token. */
struct str pg_resume_format(struct arena *a, uint64_t system, uint32_t timeline, uint64_t lsn);
/* false if it is none. */
bool pg_resume_parse(const char *resume, uint64_t *system, uint32_t *timeline, uint64_t *lsn);

/* --- values (pg_types.c) --- */

/* The Avro shape of a column; fills type, element, precision, scale, native, native_id, native_mod. */
MUST_CHECK int pg_column_type(const struct pgoutput_catalog *catalog, uint32_t oid, int32_t mod, struct str type_name,
			      struct arena *a, struct column *out, struct error *err);
/* native_id of a column of any enum type: their own OIDs are known only where they were made. */
#define PG_ANYENUM	3500u
/*
 * Is the binary form of this type understood?  Domains resolved, PG_ANYENUM for an enum.  If one
 * published column is not, the slot is read as text.
 */
bool pg_binary_known(uint32_t base_oid);
/*
 * One value in text or binary form; strings point into `wire` where they can.  Both give the same
 * for the same value.  ERR_FATAL: not what the type's output function prints under datestyle ISO,
 * intervalstyle iso_8601, timezone UTC, bytea_output hex, or a binary form that is not known.
 */
MUST_CHECK int pg_value_text(const struct column *c, struct str wire, struct arena *a, struct value *out,
			     struct error *err);
MUST_CHECK int pg_value_binary(const struct column *c, struct str wire, struct arena *a, struct value *out,
			       struct error *err);

/*
 * The same of a database without an encoding (SQL_ASCII), whose text may be anything: what is not UTF-8 is treated as
 * source.invalid_bytes says; ERR_FATAL for stop.  An array is judged as a whole.
 */
MUST_CHECK int pg_value_raw(const struct column *c, bool binary, struct str wire, int invalid_bytes, struct arena *a,
			    struct value *out, struct error *err);
struct str pg_raw_replaced(struct str s, struct arena *a);	/* invalid bytes: U+FFFD */
struct str pg_raw_hex(struct str s, struct arena *a);		/* \x0badcafe */
struct str pg_raw_unhex(struct str s, struct arena *a);		/* what pg_raw_hex() was given */

#endif
