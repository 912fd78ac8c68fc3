/*
 * http.h - /metrics /healthz /readyz /status and the page, on the main thread
 *
 * libmicrohttpd without threads of its own: the main loop polls http_fd() for input, at most
 * http_timeout() ms, and calls http_run() after every wait.  Nothing here blocks: a request is
 * answered from memory, requests and answers are bounded, a connection lives at most ten seconds.
 */
#ifndef HTTP_H
#define HTTP_H

#include "config.h"
#include "status.h"

struct http;

/*
 * Listens on [http] listen (HOST:PORT, [V6]:PORT, unix:PATH, off) and always on the Unix socket
 * socket_path, mode 0600, which asks for no token.  An address in use is no error: it is said,
 * and tried again every ten seconds.  ERR_FATAL, EXIT_USAGE for an address that cannot be
 * understood or that is beyond loopback without a token.  The token is borrowed from *c.
 */
struct http *http_open(const struct http_config *c, const char *socket_path,
		       status_collect_fn *collect, void *arg, struct error *err);
int	     http_fd(const struct http *h);
int	     http_timeout(struct http *h);	/* milliseconds, never negative, at most 1000 */
void	     http_run(struct http *h);
int	     http_port(const struct http *h);	/* the TCP port in use (for port 0); 0: none */
void	     http_close(struct http *h);	/* removes the sockets; NULL is fine */

/* The address of a Unix socket; a path too long for it goes through *dir, which the caller closes. */
struct sockaddr_un;
MUST_CHECK int unix_address(const char *path, struct sockaddr_un *out, int *dir, struct error *err);

/* GET over a Unix socket: the body, whatever the status.  ERR_RETRY when nobody listens. */
MUST_CHECK int http_get(const char *socket_path, const char *target, int *status, struct buf *body,
			struct error *err);

#endif
