/*
 * http_socket.h - the sockets of the HTTP server and of its client
 */
#ifndef HTTP_SOCKET_H
#define HTTP_SOCKET_H

#include <sys/types.h>

#include "error.h"

/*
 * Listening, non-blocking sockets, or -1.  ERR_RETRY while the address is in use; a Unix socket that nobody
 * listens on any more is removed first.
 */
int http_listen_unix(const char *path, mode_t mode, struct error *err);
int http_listen_tcp(const char *address, bool any_host, struct error *err);	/* any_host: else loopback only */

#endif
