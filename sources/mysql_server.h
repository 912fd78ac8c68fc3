/*
 * mysql_server.h - what a MySQL or MariaDB server is, where its binary log ends and begins, and whether it is the
 * log that was read so far
 *
 * One thread.
 */
#ifndef MYSQL_SERVER_H
#define MYSQL_SERVER_H

#include "binlog.h"
#include "binlog_client.h"

struct mysql_log_file { char *name; uint64_t size; };

struct mysql_server {
	bool		mariadb;
	int		version;	/* 80031, 101119 */
	char		text[96];	/* "10.11.19-MariaDB" */
	char		*identity;	/* server_uuid; MariaDB, which has none: its server_id */
	char		*account;	/* 'tailrace'@'%', as GRANT takes it */
	uint32_t	server_id;
	bool		log_bin;
	bool		gtids;		/* transactions have GTIDs, and a dump can begin by them */
	char		format[24];	/* binlog_format */
	int64_t		expire;		/* microseconds after which files are purged; 0: never */
	/* where the log ends, and what it has */
	char		*file;
	uint64_t	pos;
	char		*set;		/* GTIDs executed (MariaDB: the position of the end); NULL: no GTIDs */
	char		*purged;	/* of them, those whose log is gone; NULL: no GTIDs */
	struct mysql_log_file *files;	/* oldest first */
	size_t		nfiles;
};

MUST_CHECK int mysql_server_load(struct mysql_conn *c, struct mysql_server *out, struct error *err);
/* Can it be tailed at all?  ERR_FATAL with the SQL if not. */
MUST_CHECK int mysql_server_judge(const struct mysql_server *s, struct error *err);
void mysql_server_release(struct mysql_server *s);
void mysql_server_name(const struct mysql_server *s, struct mysql_conn *c, char out[128]);

/* SHOW BINARY LOGS as text for the control connection, and its answer; frees what there was. */
#define MYSQL_SHOW_FILES	"SHOW BINARY LOGS"
void mysql_server_take_files(struct mysql_server *s, const struct mysql_rows *r);
const struct mysql_log_file *mysql_server_file(const struct mysql_server *s, const char *name);	/* NULL: not there */
/* Bytes of log from there to the end; 0 where it is past it. */
int64_t mysql_server_behind(const struct mysql_server *s, const char *file, uint64_t pos);

/*
 * The place of a first start: what commits from now on comes after it, and what an ordinary SELECT does not show
 * yet does too.  MariaDB: leaves the connection in a transaction that shows what was before it.
 */
MUST_CHECK int mysql_server_start_place(struct mysql_conn *c, struct mysql_server *s, struct mysql_resume *out,
					struct error *err);
/*
 * Is what was read up to `known` part of this server's log?  *out is where to go on: known, or in the next epoch
 * where another server has all of its GTIDs.  ERR_FATAL EXIT_LOG_GONE says why not.
 */
MUST_CHECK int mysql_server_compare(const struct mysql_server *s, const char *known, struct mysql_resume *out,
				    struct error *err);
/* The oldest place that the server can give; `from`: where we want to go on. */
MUST_CHECK int mysql_server_oldest(const struct mysql_server *s, const struct mysql_resume *from,
				   struct mysql_resume *out, struct error *err);
/* source_ops.same_log. */
bool mysql_same_log(const char *a, const char *b);

/*
 * The server id that the agent reads under: as configured, or of the pipeline's name, the next one that no known
 * replica has; `spare`: another one, so that a process that may still be at work is left alone.
 */
MUST_CHECK int mysql_server_pick_id(struct mysql_conn *c, const struct mysql_server *s, const struct config *config,
				    bool spare, uint32_t *out, struct error *err);
/* The same for @slave_uuid: of the pipeline's name. */
void mysql_pipeline_uuid(const char *pipeline, bool spare, char out[37]);

/* Where the log ends now: s->file and s->pos, nothing else. */
MUST_CHECK int mysql_log_end(struct mysql_conn *c, struct mysql_server *s, struct error *err);
/* MariaDB, in a transaction WITH CONSISTENT SNAPSHOT: the place of the log that it shows; *file is replaced. */
MUST_CHECK int mysql_snapshot_place(struct mysql_conn *c, char **file, uint64_t *pos, struct error *err);
/* One value as text, without newlines; *out is replaced. */
MUST_CHECK int mysql_text(struct mysql_conn *c, const char *sql, char **out, struct error *err);

/* A statement that needs a right: its refusal names the GRANT. */
MUST_CHECK int mysql_ask(struct mysql_conn *c, const struct mysql_server *s, const char *right, const char *sql,
			 struct mysql_rows *out, struct error *err);
/* "REPLICATION CLIENT", as this server calls it. */
const char *mysql_right_monitor(const struct mysql_server *s);

#endif
