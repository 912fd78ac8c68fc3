/*
 * http.c - /metrics /healthz /readyz /status and the page, by libmicrohttpd on the main thread
 *
 * Two listeners, each a daemon of its own, so that whoever uses up the connections of the one
 * cannot lock `tailrace status` out of the other.  Main thread only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "http.h"
#include "http_socket.h"
#include "log.h"

#define CONNECTIONS 32
#define REQUEST_MAX                                                                                \
	((size_t)16 * 1024) /* memory of a connection: request line, headers, their buffers */
#ifndef CONNECTION_LIFE     /* microseconds; the unit test has less patience */
#define CONNECTION_LIFE INT64_C(10000000)
#define LISTEN_AGAIN    INT64_C(10000000)
#endif
#define LONGEST_WAIT 1000
#define JSON_TYPE    "application/json"
#define TEXT_TYPE    "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PAGE_POLICY                                                                                \
	"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "              \
	"connect-src 'self'; frame-ancestors 'none'"

extern const char *const page_html; /* agent/page.html, compiled in */

struct connection {
	int fd;
	int64_t opened; /* CLOCK_MONOTONIC, microseconds; 0: the slot is free */
};

struct listener {
	struct http *http;
	struct MHD_Daemon *daemon; /* NULL: not listening */
	const char *token;         /* NULL: none is asked for */
	char *path;                /* of a Unix socket: removed at the end */
	struct connection connections[CONNECTIONS];
};

struct http {
	status_collect_fn *collect;
	void *arg;
	int epoll;
	struct listener local, configured;
	char *address; /* [http] listen while it is to be listened on; NULL: off */
	int64_t next_try;
};

/* --- answers --- */

/* Takes over body's memory. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
			      struct buf *body)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(body->n, body->p, MHD_RESPMEM_MUST_FREE);

	if (!r) {
		buf_free(body);
		return MHD_NO;
	}
	*body = (struct buf){ 0 };
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Content-Security-Policy", PAGE_POLICY);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(
			r, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
			"Basic realm=\"tailrace: any name, the token as password\"");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result rc = MHD_queue_response(c, status, r);

	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	struct buf body = { 0 };

	buf_adds(&body, text);
	return answer(c, status, TEXT_TYPE, &body);
}

static enum MHD_Result get_status(struct MHD_Connection *c, const struct agent_status *s)
{
	struct buf body = { 0 };

	status_json(&body, s);
	buf_addc(&body, '\n');
	return answer(c, MHD_HTTP_OK, JSON_TYPE, &body);
}

static enum MHD_Result get_metrics(struct MHD_Connection *c, const struct agent_status *s)
{
	struct buf body = { 0 };

	status_metrics(&body, s);
	return answer(c, MHD_HTTP_OK, METRICS_TYPE, &body);
}

static enum MHD_Result get_health(struct MHD_Connection *c, const struct agent_status *s)
{
	int64_t now = monotonic_us();

	if (status_healthy(s, now))
		return answer_text(c, MHD_HTTP_OK, "ok\n");
	struct buf body = { 0 };

	buf_addf(&body, "no progress for %lld s, and nothing is waited for\n",
		 (long long)((now - s->progress_us) / 1000000));
	return answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, TEXT_TYPE, &body);
}

static enum MHD_Result get_ready(struct MHD_Connection *c, const struct agent_status *s)
{
	AUTO(free) char *what = status_unready(s);
	struct buf body = { 0 };

	buf_adds(&body, "{\"waiting_for\":");
	if (what)
		buf_json(&body, str_z(what));
	else
		buf_adds(&body, "null");
	buf_adds(&body, "}\n");
	return answer(c, what ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK, JSON_TYPE, &body);
}

static const struct route {
	const char *path;
	enum MHD_Result (*get)(struct MHD_Connection *c, const struct agent_status *s);
} routes[] = {
	{ "/status", get_status },
	{ "/metrics", get_metrics },
	{ "/healthz", get_health },
	{ "/readyz", get_ready },
};

/* --- requests --- */

static bool equal_secret(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

/* "Authorization: Bearer TOKEN", or what browsers ask for: Basic, with the token as password. */
static bool authorized(struct MHD_Connection *c, const char *token)
{
	static const char scheme[] = "Bearer ";
	const char *header =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	char *password = NULL;

	if (!token)
		return true;
	if (!header)
		return false;
	if (strncasecmp(header, scheme, sizeof scheme - 1) == 0)
		return equal_secret(header + sizeof scheme - 1, token);
	char *user = MHD_basic_auth_get_username_password(c, &password);
	bool ok = password && equal_secret(password, token);

	MHD_free(user);
	MHD_free(password);
	return ok;
}

static bool has_body(struct MHD_Connection *c)
{
	const char *length =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
	       (length && strcmp(length, "0") != 0);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *nupload, void **state)
{
	struct listener *l = cls;
	struct http *h = l->http;

	(void)version, (void)upload, (void)nupload, (void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "read-only: GET\n");
	if (has_body(c))
		return answer_text(c, MHD_HTTP_BAD_REQUEST, "a request has no body here\n");
	if (!authorized(c, l->token))
		return answer_text(c, MHD_HTTP_UNAUTHORIZED,
				   "send \"Authorization: Bearer TOKEN\" with [http] token\n");
	if (strcmp(url, "/") == 0) {
		struct buf body = { 0 };

		buf_adds(&body, page_html);
		return answer(c, MHD_HTTP_OK, "text/html; charset=utf-8", &body);
	}
	for (size_t i = 0; i < COUNT(routes); i++) {
		if (strcmp(url, routes[i].path) != 0)
			continue;
		struct agent_status s;

		status_init(&s);
		h->collect(&s, h->arg);
		enum MHD_Result rc = routes[i].get(c, &s);

		status_free(&s);
		return rc;
	}
	return answer_text(c, MHD_HTTP_NOT_FOUND,
			   "not here; try /status /metrics /healthz /readyz /\n");
}

/* --- connections: each ends within CONNECTION_LIFE, however slowly the other side moves --- */

static void connection_event(void *cls, struct MHD_Connection *c, void **slot,
			     enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = cls;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*slot)
			((struct connection *)*slot)->opened = 0;
		return;
	}
	for (size_t i = 0; i < CONNECTIONS && info; i++) {
		if (l->connections[i].opened)
			continue;
		l->connections[i] = (struct connection){ info->connect_fd, monotonic_us() };
		*slot = &l->connections[i];
		return;
	}
}

static void end_old_connections(struct listener *l, int64_t now)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		const struct connection *c = &l->connections[i];

		if (c->opened && now - c->opened > CONNECTION_LIFE)
			shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes */
	}
}

/* --- listeners --- */

/* Takes over fd. */
static int listener_start(struct listener *l, int fd, struct error *err)
{
	l->daemon =
		MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, l, MHD_OPTION_LISTEN_SOCKET,
				 fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
				 MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned)(CONNECTION_LIFE / 1000000),
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MAX,
				 MHD_OPTION_NOTIFY_CONNECTION, connection_event, l, MHD_OPTION_END);
	if (!l->daemon) {
		close(fd);
		return fail(err, ERR_FATAL, "cannot start the HTTP server: %s", strerror(errno));
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(l->http->epoll, EPOLL_CTL_ADD, info->epoll_fd, &event) != 0)
		return fail(err, ERR_FATAL, "cannot watch the HTTP server: %s", strerror(errno));
	return 0;
}

static int64_t listener_timeout(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!l->daemon || MHD_get_timeout(l->daemon, &ms) != MHD_YES || ms > LONGEST_WAIT)
		return LONGEST_WAIT;
	return (int64_t)ms;
}

static void listener_run(struct listener *l, int64_t now)
{
	if (!l->daemon)
		return;
	end_old_connections(l, now);
	MHD_run(l->daemon);
}

static void listener_stop(struct listener *l)
{
	if (l->daemon)
		MHD_stop_daemon(l->daemon);
	if (l->path)
		unlink(l->path);
	free(l->path);
}

static int start_local(struct http *h, const char *path, struct error *err)
{
	int fd = http_listen_unix(path, 0600, err);

	if (fd < 0)
		return -1;
	h->local.path = xstrdup(path);
	return listener_start(&h->local, fd, err);
}

/* ERR_RETRY while somebody else has the address. */
static int start_configured(struct http *h, struct error *err)
{
	static const char prefix[] = "unix:";
	bool is_path = strncmp(h->address, prefix, sizeof prefix - 1) == 0;
	const char *path = h->address + sizeof prefix - 1;
	int fd = is_path ? http_listen_unix(path, 0660, err)
			 : http_listen_tcp(h->address, h->configured.token != NULL, err);

	if (fd < 0)
		return -1;
	if (is_path && !h->configured.path)
		h->configured.path = xstrdup(path);
	if (listener_start(&h->configured, fd, err) != 0)
		return -1;
	char port[16];

	snprintf(port, sizeof port, "%d", http_port(h));
	log_info("listening for HTTP", "address", h->address, "port", port, NULL);
	return 0;
}

struct http *http_open(const struct http_config *c, const char *socket_path,
		       status_collect_fn *collect, void *arg, struct error *err)
{
	struct http *h = xcalloc(1, sizeof *h);

	h->collect = collect;
	h->arg = arg;
	h->local.http = h->configured.http = h;
	h->configured.token = c->token && *c->token ? c->token : NULL;
	h->address = c->listen && strcmp(c->listen, "off") != 0 ? xstrdup(c->listen) : NULL;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (start_local(h, socket_path, err) != 0) {
		http_close(h);
		return NULL;
	}
	if (h->address && start_configured(h, err) != 0) {
		if (err->kind != ERR_RETRY) {
			http_close(h);
			return NULL;
		}
		log_warning("HTTP address is in use: trying again every 10 s", "error", err->text,
			    NULL);
		h->next_try = monotonic_us() + LISTEN_AGAIN;
	}
	return h;
}

int http_fd(const struct http *h)
{
	return h->epoll;
}

int http_timeout(struct http *h)
{
	int64_t local = listener_timeout(&h->local), configured = listener_timeout(&h->configured);

	return (int)(local < configured ? local : configured);
}

void http_run(struct http *h)
{
	int64_t now = monotonic_us();
	struct error err;

	if (h->address && !h->configured.daemon && now >= h->next_try) {
		h->next_try = now + LISTEN_AGAIN;
		if (start_configured(h, &err) != 0)
			log_debug("HTTP address is still not free", "error", err.text, NULL);
	}
	listener_run(&h->local, now);
	listener_run(&h->configured, now);
}

int http_port(const struct http *h)
{
	struct sockaddr_in6 a = { 0 }; /* the port is where that of IPv4 is */
	socklen_t n = sizeof a;

	if (!h->configured.daemon || h->configured.path)
		return 0;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->configured.daemon, MHD_DAEMON_INFO_LISTEN_FD);

	if (getsockname(info->listen_fd, (struct sockaddr *)&a, &n) != 0)
		return 0;
	return ntohs(a.sin6_port);
}

void http_close(struct http *h)
{
	if (!h)
		return;
	listener_stop(&h->local);
	listener_stop(&h->configured);
	if (h->epoll >= 0)
		close(h->epoll);
	free(h->address);
	free(h);
}
