/*
 * http_socket.c - listening on and connecting to the addresses of the HTTP server
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "http.h"
#include "http_socket.h"

#define BACKLOG    16
#define ANSWER_MAX ((size_t)256 * 1024 * 1024)

/* A path too long for sun_path (108 bytes) is reached through its folder's descriptor. */
int unix_address(const char *path, struct sockaddr_un *out, int *dir, struct error *err)
{
	const char *slash = strrchr(path, '/');

	*dir = -1;
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) < sizeof out->sun_path) {
		memcpy(out->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (!slash || slash == path)
		return fail(err, ERR_FATAL, "the name of the socket %s is too long", path);
	AUTO(free) char *folder = xstrndup(path, (size_t)(slash - path));

	*dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return fail(err, ERR_FATAL, "cannot open the folder %s: %s", folder,
			    strerror(errno));
	int n = snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d%s", *dir, slash);

	if (n < 0 || (size_t)n >= sizeof out->sun_path)
		return fail(err, ERR_FATAL, "the name of the socket %s is too long", path);
	return 0;
}

/* errno of connecting to the socket; 0: somebody listens. */
static int try_connect(const struct sockaddr_un *a)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof *a) == 0)
		return 0;
	return errno == EAGAIN ? 0 : errno; /* EAGAIN: its backlog is full */
}

int http_listen_unix(const char *path, mode_t mode, struct error *err)
{
	AUTO(fd) int dir = -1;
	AUTO(fd) int fd = -1;
	struct sockaddr_un a;

	if (unix_address(path, &a, &dir, err) != 0)
		return -1;
	switch (try_connect(&a)) {
	case 0:
		return fail(err, ERR_RETRY, "another process listens on %s", path);
	case ECONNREFUSED: /* left by a process that was killed */
		unlink(path);
		break;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux makes the file with the mode of the unbound socket: no instant with another one. */
	if (fd < 0 || fchmod(fd, mode) != 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
	    chmod(a.sun_path, mode) != 0 || listen(fd, BACKLOG) != 0)
		return fail(err, ERR_FATAL, "cannot listen on %s: %s", path, strerror(errno));
	int listening = fd;

	fd = -1;
	return listening;
}

/* "[::1]:8917", "127.0.0.1:8917", ":8917" (every address). */
static int split_address(const char *address, char **host, const char **port, struct error *err)
{
	const char *colon = strrchr(address, ':');
	const char *begin = address;

	if (!colon || !colon[1])
		goto bad;
	size_t n = (size_t)(colon - begin);

	if (n >= 2 && begin[0] == '[' && begin[n - 1] == ']') {
		begin++;
		n -= 2;
	} else if (memchr(begin, ':', n)) {
		goto bad;
	}
	*host = n ? xstrndup(begin, n) : NULL;
	*port = colon + 1;
	return 0;
bad:
	return fail_exit(err, EXIT_USAGE,
			 "[http] listen = %s: give HOST:PORT, [IPV6]:PORT, unix:PATH or off",
			 address);
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

	return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

static int listen_on(const struct addrinfo *a, const char *address, struct error *err)
{
	AUTO(fd)
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		bool passing = errno == EADDRINUSE || errno == EADDRNOTAVAIL;

		return fail(
			err, passing ? ERR_RETRY : ERR_FATAL,
			"cannot listen on %s: %s; set [http] listen to a free address or to off",
			address, strerror(errno));
	}
	int listening = fd;

	fd = -1;
	return listening;
}

int http_listen_tcp(const char *address, bool any_host, struct error *err)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	AUTO(free) char *host = NULL;
	const char *port = NULL;

	if (split_address(address, &host, &port, err) != 0)
		return -1;
	int rc = getaddrinfo(host, port, &hints, &found);

	if (rc != 0)
		return fail_exit(err, EXIT_USAGE, "[http] listen = %s: %s", address,
				 gai_strerror(rc));
	int fd = any_host || is_loopback(found->ai_addr)
			 ? listen_on(found, address, err)
			 : fail_exit(err, EXIT_USAGE,
				     "[http] listen = %s is reachable from other hosts: set [http] "
				     "token, or listen on 127.0.0.1",
				     address);

	freeaddrinfo(found);
	return fd;
}

/* --- the client --- */

static int client_connect(const char *path, struct error *err)
{
	const struct timeval patience = { .tv_sec = 10 };
	AUTO(fd) int dir = -1;
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;

	if (unix_address(path, &a, &dir, err) != 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
		err->code = errno;
		if (errno == ENOENT || errno == ECONNREFUSED)
			return fail(err, ERR_RETRY, "no agent runs here: nobody listens on %s",
				    path);
		return fail(err, ERR_FATAL, "cannot reach the agent at %s: %s%s", path,
			    strerror(errno),
			    errno == EACCES ? "; run this as the agent's user" : "");
	}
	int connected = fd;

	fd = -1;
	return connected;
}

static int read_all(int fd, struct buf *in)
{
	char *to;

	while ((to = buf_more(in, 65536))) {
		ssize_t n = read(fd, to, 65536);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		in->n += (size_t)n;
	}
	errno = EMSGSIZE;
	return -1;
}

int http_get(const char *socket_path, const char *target, int *status, struct buf *body,
	     struct error *err)
{
	AUTO(free) char *request = xasprintf("GET %s HTTP/1.0\r\n\r\n", target);
	AUTO(buf) struct buf in = { .max = ANSWER_MAX };
	AUTO(fd) int fd = client_connect(socket_path, err);
	size_t n = strlen(request);

	if (fd < 0)
		return -1;
	if (send(fd, request, n, MSG_NOSIGNAL) != (ssize_t)n || read_all(fd, &in) != 0)
		return fail(err, ERR_FATAL, "the agent at %s does not answer: %s", socket_path,
			    strerror(errno));
	const char *head = buf_z(&in), *end = strstr(head, "\r\n\r\n");

	if (!end || sscanf(head, "HTTP/1.%*c %d", status) != 1)
		return fail(err, ERR_FATAL, "the answer of the agent at %s is not HTTP",
			    socket_path);
	buf_add(body, end + 4, in.n - (size_t)(end + 4 - head));
	return 0;
}
