/*
 * cmd_version.c - tailrace version
 */
#include <stdio.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <microhttpd.h>
#include <mysql.h>
#include <sqlite3.h>
#include <zstd.h>

#include "command.h"

#ifdef LIBMARIADB /* its mysql.h says so */
#define MYSQL_LIBRARY "MariaDB Connector/C"
#else
#define MYSQL_LIBRARY "libmysqlclient"
#endif

int cmd_version(int argc, char **argv)
{
	int first, rc = command_flags(argc, argv, (const struct flag[]){ FLAG_END }, 0, &first);
	int pq = PQlibVersion();

	if (rc >= 0)
		return rc;
	printf("tailrace %s\n", TAILRACE_VERSION);
	printf("libpq %d.%d, " MYSQL_LIBRARY
	       " %s, SQLite %s, zstd %s, jansson %s, libmicrohttpd %s\n",
	       pq / 10000, pq % 10000, mysql_get_client_info(), sqlite3_libversion(),
	       ZSTD_versionString(), jansson_version_str(), MHD_get_version());
	return EXIT_DONE;
}
