/*
 * binlog_client_private.h - a connection as the library has it; for binlog_client.c and mysql_fetch.c alone
 */
#ifndef BINLOG_CLIENT_PRIVATE_H
#define BINLOG_CLIENT_PRIVATE_H

#include <mysql.h>
#include <stdatomic.h>

#include "binlog_client.h"

#define MYSQL_PACKET_MAX (1024UL * 1024 * 1024)

struct mysql_conn {
	MYSQL	*mysql;
	int	fd;
	bool	loopback, blind, quiet;	/* quiet: the last packet was a heartbeat */
	bool	sent;			/* a statement that was sent is not answered yet */
	char	*where;
#ifndef LIBMARIADB
	MYSQL_RPL rpl;
	char	*file;			/* of rpl */
#endif
};

/* The error with that number of the server or the library. */
int mysql_conn_fail(struct mysql_conn *c, unsigned code, const char *text, const char *what, struct error *err);
/* Waits as long as it takes for something to read; ERR_RETRY when stopping is set. */
MUST_CHECK int mysql_conn_wait(struct mysql_conn *c, const atomic_bool *stopping, struct error *err);

#endif
