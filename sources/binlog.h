/*
 * binlog.h - from a stream of binlog events to changes: transactions, tables, positions
 *
 * No I/O of its own: events in, changes out.  What the log does not say is asked of the catalog by callback,
 * seldom.  One thread.
 */
#ifndef BINLOG_H
#define BINLOG_H

#include "binlog_gtid.h"
#include "change.h"
#include "config.h"
#include "mysql_ddl.h"
#include "mysql_table.h"

/* {"server":"<server_uuid>","epoch":1,"gtid":"...","file":"mysql-bin.000003","pos":4711}: the resume token (mysql_resume.c). */
struct mysql_resume {
	char		*server;	/* server_uuid; MariaDB: server_id */
	uint32_t	epoch;
	char		*gtid;		/* set or MariaDB position; NULL: the server has none */
	char		*file;
	uint64_t	pos;
	char		*read_file;	/* where the stream was, beyond the place to begin from: XA transactions wait; NULL: there */
	uint64_t	read_pos;
};
void mysql_resume_json(const struct mysql_resume *r, struct buf *out);
bool mysql_resume_parse(const char *json, struct mysql_resume *out);	/* false if it is none; free with release */
void mysql_resume_release(struct mysql_resume *r);
void mysql_resume_cleanup(struct mysql_resume *r);
/* source_ops.resume_cmp: by file and position on one server and epoch, otherwise by GTID set. */
int  mysql_resume_cmp(const char *a, const char *b);
/* source_ops.resume_has: is this GTID in the token's set? */
bool mysql_resume_has(const char *resume, struct str gtid);
uint32_t binlog_file_number(struct str file);	/* "mysql-bin.000042": 42; 0: none */

struct binlog_catalog {
	void	*ctx;
	/* Is this table captured?  1, 0. */
	int	(*selected)(void *ctx, struct str db, struct str table);
	/*
	 * The definition that was in force at `at` and matches the map: 1; 0: there is none (with the reason in err);
	 * -1 error (ERR_RETRY: the same event is given again).  *out lives until the decoder is freed or the table is
	 * told to have changed.
	 */
	int	(*definition)(void *ctx, const struct position *at, const struct binlog_map *map,
			      const struct mysql_table **out, struct error *err);
	/*
	 * A statement that touches tables was passed at `at`; definitions read from now on count from there.  Also DML in
	 * statement format that names no captured table, and XA COMMIT of what was prepared before the stream began.
	 */
	int	(*changed)(void *ctx, const struct position *at, const struct mysql_statement_info *s, struct error *err);
	/* A name as the server keeps it, whatever case a statement writes it in; NULL: as it is written. */
	struct str (*kept)(void *ctx, struct str name, struct arena *a);
};

struct binlog_config {
	struct tables		*tables;
	struct binlog_catalog	catalog;
	int			invalid_bytes;	/* enum invalid_bytes */
	size_t			max_row;	/* bytes; a longer event is refused; 0: none is */
	const char		*side_dir;	/* folder for what a held transaction has no room for in memory */
	size_t			hold_memory;	/* bytes of one held transaction in memory */
	bool			hold_all;	/* every group until its end: what is given is never taken back */
};

struct binlog;
struct binlog *binlog_new(const struct binlog_config *c);	/* copies *c */
void	       binlog_free(struct binlog *d);

/*
 * A new connection (or file: mariadb is then what its format event says): the stream begins after `from`; `skip` (or NULL): transactions up to that position are known
 * already and are dropped.  What was held for XA is forgotten: the server sends it again.
 */
MUST_CHECK int binlog_begin(struct binlog *d, bool mariadb, const struct mysql_resume *from, const struct position *skip,
			    struct error *err);

/*
 * One event of the stream or of a file.  Its bytes are copied where they are needed longer than the call.
 * On error nothing was appended; after ERR_RETRY the stream is to be begun anew from what is durable (a rolled-back
 * group whose rows were passed on already: it will be held then).  ERR_FATAL names file, position, table.
 */
MUST_CHECK int binlog_decode(struct binlog *d, struct str event, struct batch *b, struct error *err);

/*
 * A held or compressed transaction is given in pieces, so that no batch grows without bounds: while more(), call
 * go_on() (with a batch emptied meanwhile) instead of decode().
 */
bool	       binlog_more(const struct binlog *d);
MUST_CHECK int binlog_go_on(struct binlog *d, struct batch *b, struct error *err);

bool binlog_in_transaction(const struct binlog *d);
/* Where the stream is: the end of the last event. */
void binlog_place(const struct binlog *d, struct str *file, uint64_t *pos);

#endif
