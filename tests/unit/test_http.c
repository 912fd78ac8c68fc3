/*
 * test_http.c - the HTTP server through real sockets
 *
 * The server runs on a thread here, as it does on the agent's main thread: poll, then http_run.
 * Its text is included, with times that are shorter than the agent's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTION_LIFE INT64_C(2000000)
#define LISTEN_AGAIN    INT64_C(500000)
#include "../../agent/http.c"
#include "prometheus.h"

#undef fail /* cmocka has one of its own */
#include <cmocka.h>

struct server {
	struct http *http;
	pthread_t thread;
	atomic_bool stop;
	atomic_int stall; /* seconds since the last progress */
	atomic_bool waits;
	int port; /* as it was before the thread began */
	char *token, dir[64], path[160];
};

static void collect(struct agent_status *out, void *arg)
{
	struct server *v = arg;

	status_set(&out->pipeline, "erp");
	out->state = AGENT_STREAMING;
	out->source.connected = true;
	out->progress_us = monotonic_us() - v->stall * INT64_C(1000000);
	if (v->waits)
		status_set(&out->waiting_for, "the slot");
}

static void *serve(void *arg)
{
	struct server *v = arg;

	while (!v->stop) {
		struct pollfd p = { .fd = http_fd(v->http), .events = POLLIN };
		int timeout = http_timeout(v->http);

		assert_in_range(timeout, 0, 1000);
		poll(&p, 1, timeout < 20 ? timeout : 20);
		http_run(v->http);
	}
	return NULL;
}

static void server_folder(struct server *v)
{
	snprintf(v->dir, sizeof v->dir, "/tmp/test_http.XXXXXX");
	assert_non_null(mkdtemp(v->dir));
	snprintf(v->path, sizeof v->path, "%s/tailrace.sock", v->dir);
}

static void server_start(struct server *v, const char *address, const char *token)
{
	AUTO(free) char *l = address ? xstrdup(address) : NULL;
	struct error err;

	*v = (struct server){ .token = token ? xstrdup(token) : NULL };
	struct http_config c = { l, v->token };

	server_folder(v);
	v->http = http_open(&c, v->path, collect, v, &err);
	if (!v->http)
		fail_msg("%s", err.text);
	v->port = http_port(v->http);
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
}

static void server_stop(struct server *v)
{
	v->stop = true;
	pthread_join(v->thread, NULL);
	http_close(v->http);
	free(v->token);
	assert_int_equal(access(v->path, F_OK), -1);
	assert_int_equal(rmdir(v->dir), 0);
}

static int try_tcp(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static int tcp(int port)
{
	int fd = try_tcp(port);

	assert_int_not_equal(fd, -1);
	return fd;
}

static bool listens(int port)
{
	int fd = try_tcp(port);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Sends a request and reads to the end; returns the status, the whole answer is in `out`. */
static int ask(int fd, const char *request, struct buf *out)
{
	ssize_t n;
	int status = 0;

	buf_clear(out);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((n = read(fd, buf_more(out, 65536), 65536)) > 0)
		out->n += (size_t)n;
	close(fd);
	sscanf(buf_z(out), "HTTP/1.%*c %d", &status);
	return status;
}

static void test_unix_socket(void **state)
{
	(void)state;
	static const struct {
		const char *target;
		int status;
		const char *text;
	} cases[] = {
		{ "/status", 200, "{\"pipeline\":\"erp\"" },
		{ "/status?x=1", 200, "{\"pipeline\":\"erp\"" },
		{ "/metrics", 200, "tailrace_build_info{" },
		{ "/healthz", 200, "ok" },
		{ "/readyz", 200, "{\"waiting_for\":null}" },
		{ "/", 200, "<!doctype html>" },
		{ "/nowhere", 404, "/status" },
		{ "/../etc/passwd", 404, "/status" },
	};
	struct server v;
	struct error err;
	struct stat st;

	server_start(&v, "off", "a token that the socket does not ask for");
	assert_int_equal(stat(v.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(buf) struct buf body = { 0 };
		int status = 0;

		assert_int_equal(http_get(v.path, cases[i].target, &status, &body, &err), 0);
		assert_int_equal(status, cases[i].status);
		assert_non_null(strstr(buf_z(&body), cases[i].text));
		if (strcmp(cases[i].target, "/metrics") == 0)
			assert_true(prometheus_valid(body.p));
	}
	server_stop(&v);
}

static void test_tcp(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct server v;

	server_start(&v, "127.0.0.1:0", NULL);
	int port = v.port;

	assert_true(port > 0);
	assert_int_equal(ask(tcp(port), "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", &out), 200);
	assert_non_null(strstr(out.p, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(out.p, "no-store"));
	assert_int_equal(ask(tcp(port), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &out), 200);
	assert_non_null(
		strstr(out.p, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_int_equal(ask(tcp(port), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", &out), 200);
	assert_null(strstr(out.p, "doctype"));
	server_stop(&v);
}

static void test_refused_requests(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	AUTO(free) char *huge = xmalloc(100000);
	struct server v;

	server_start(&v, "127.0.0.1:0", NULL);
	int port = v.port;

	assert_int_equal(ask(tcp(port),
			     "POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
			     &out),
			 405);
	assert_non_null(strstr(out.p, "Allow: GET"));
	assert_int_equal(ask(tcp(port), "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", &out), 405);
	assert_int_equal(ask(tcp(port),
			     "GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
			     &out),
			 400);
	snprintf(huge, 100000, "GET /%099000d HTTP/1.1\r\n\r\n", 1);
	int fd = tcp(port);

	(void)!send(fd, huge, strlen(huge), MSG_NOSIGNAL);
	ssize_t n = read(fd, huge, 100); /* refused with 4xx, or cut off */
	assert_true(n <= 0 || strncmp(huge, "HTTP/1.1 4", 10) == 0);
	close(fd);
	assert_int_equal(ask(tcp(port), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &out), 200);
	server_stop(&v);
}

static void test_token(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		int status;
	} cases[] = {
		{ "", 401 },
		{ "Authorization: Bearer s3cret\r\n", 200 },
		{ "Authorization: bearer s3cret\r\n", 200 },
		{ "Authorization: Bearer s3cre\r\n", 401 },
		{ "Authorization: Bearer s3cretx\r\n", 401 },
		{ "Authorization: Bearer \r\n", 401 },
		{ "Authorization: Basic YnJvd3NlcjpzM2NyZXQ=\r\n", 200 }, /* browser:s3cret */
		{ "Authorization: Basic YnJvd3NlcjpzM2NyZXg=\r\n", 401 },
		{ "Authorization: s3cret\r\n", 401 },
	};
	static const char *const targets[] = { "/", "/status", "/metrics", "/healthz", "/readyz" };
	struct server v;

	server_start(&v, "127.0.0.1:0", "s3cret");
	for (size_t i = 0; i < COUNT(cases) * COUNT(targets); i++) {
		const char *target = targets[i % COUNT(targets)];
		AUTO(buf) struct buf out = { 0 };
		AUTO(free)
		char *request = xasprintf("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target,
					  cases[i / COUNT(targets)].header);

		int status = ask(tcp(v.port), request, &out);

		if (status != cases[i / COUNT(targets)].status)
			fail_msg("%d for %s", status, request);
		assert_null(strstr(out.p, "s3cret"));
	}
	server_stop(&v);
}

static void test_health_and_readiness(void **state)
{
	(void)state;
	AUTO(buf) struct buf body = { 0 };
	struct server v;
	struct error err;
	int status;

	server_start(&v, "off", NULL);
	v.stall = 70;
	assert_int_equal(http_get(v.path, "/healthz", &status, &body, &err), 0);
	assert_int_equal(status, 503);
	assert_non_null(strstr(buf_z(&body), "no progress for 70 s"));
	v.waits = true;
	assert_int_equal(http_get(v.path, "/healthz", &status, &body, &err), 0);
	assert_int_equal(status, 200);
	buf_clear(&body);
	assert_int_equal(http_get(v.path, "/readyz", &status, &body, &err), 0);
	assert_int_equal(status, 503);
	assert_string_equal(buf_z(&body), "{\"waiting_for\":\"the slot\"}\n");
	server_stop(&v);
}

/* Connections that never finish a request neither block the server nor stay for ever. */
static void test_slow_clients(void **state)
{
	(void)state;
	int fds[64];
	struct server v;
	struct error err;
	char c;

	server_start(&v, "127.0.0.1:0", NULL);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = tcp(v.port);
		(void)!send(fds[i], "GET /st", 7, MSG_NOSIGNAL);
	}
	AUTO(buf) struct buf body = { 0 };
	int status = 0;

	assert_int_equal(http_get(v.path, "/status", &status, &body, &err), 0);
	assert_int_equal(status, 200);
	/* They keep dripping, so that no time-out for silence would end them. */
	for (int i = 0; i < 6; i++) {
		for (size_t k = 0; k < COUNT(fds); k++)
			(void)!send(fds[k], "x", 1, MSG_NOSIGNAL);
		usleep(500000);
	}
	for (size_t i = 0; i < COUNT(fds); i++) {
		assert_true(recv(fds[i], &c, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET ||
			    i >= 32);
		close(fds[i]);
	}
	buf_clear(&body);
	assert_int_equal(ask(tcp(v.port), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &body), 200);
	server_stop(&v);
}

static int bound_unix(const char *path)
{
	struct sockaddr_un a;
	struct error err;
	int dir, fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(unix_address(path, &a, &dir, &err), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	if (dir >= 0)
		close(dir);
	return fd;
}

static void test_socket_of_the_dead(void **state)
{
	(void)state;
	struct http_config c = { 0 };
	struct server v = { 0 };
	struct error err;

	server_folder(&v);
	int fd = bound_unix(v.path);

	close(fd); /* the file stays, as after kill -9 */
	assert_int_equal(access(v.path, F_OK), 0);
	v.http = http_open(&c, v.path, collect, &v, &err);
	assert_non_null(v.http);

	assert_null(http_open(&c, v.path, collect, &v, &err)); /* this one is alive */
	assert_non_null(strstr(err.text, v.path));
	assert_int_equal(access(v.path, F_OK), 0);
	http_close(v.http);
	assert_int_equal(access(v.path, F_OK), -1);
	rmdir(v.dir);
}

static void test_no_agent(void **state)
{
	(void)state;
	AUTO(buf) struct buf body = { 0 };
	struct server v = { 0 };
	struct error err;
	int status;

	server_folder(&v);
	assert_int_equal(http_get(v.path, "/status", &status, &body, &err), -1);
	assert_non_null(strstr(err.text, "no agent runs"));
	int fd = bound_unix(v.path);

	close(fd);
	assert_int_equal(http_get(v.path, "/status", &status, &body, &err), -1);
	assert_non_null(strstr(err.text, "no agent runs"));
	unlink(v.path);
	rmdir(v.dir);
}

static void test_long_socket_path(void **state)
{
	(void)state;
	struct http_config c = { 0 };
	struct server v = { 0 };
	struct error err;
	char dir[256], path[300];

	server_folder(&v);
	snprintf(dir, sizeof dir, "%s/%0150d", v.dir, 1);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof path, "%s/tailrace.sock", dir);
	v.http = http_open(&c, path, collect, &v, &err);
	if (!v.http)
		fail_msg("%s", err.text);
	assert_int_equal(pthread_create(&v.thread, NULL, serve, &v), 0);
	AUTO(buf) struct buf body = { 0 };
	int status;

	assert_int_equal(http_get(path, "/healthz", &status, &body, &err), 0);
	assert_int_equal(status, 200);
	v.stop = true;
	pthread_join(v.thread, NULL);
	http_close(v.http);
	assert_int_equal(access(path, F_OK), -1);
	rmdir(dir);
	rmdir(v.dir);
}

static void test_configured_unix_socket(void **state)
{
	(void)state;
	struct server v;
	struct stat st;
	char path[64], address[80];
	AUTO(buf) struct buf body = { 0 };
	struct error err;
	int status;

	snprintf(path, sizeof path, "/tmp/test_http_%d.sock", getpid());
	snprintf(address, sizeof address, "unix:%s", path);
	server_start(&v, address, NULL);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(http_get(path, "/status", &status, &body, &err), 0);
	assert_int_equal(status, 200);
	assert_int_equal(v.port, 0);
	server_stop(&v);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_addresses_refused(void **state)
{
	(void)state;
	static const struct {
		const char *address, *text;
	} cases[] = {
		{ "8917", "HOST:PORT" },         { "127.0.0.1:", "HOST:PORT" },
		{ "::1:8917", "HOST:PORT" },     { "127.0.0.1:nonsense", "127.0.0.1:nonsense" },
		{ "0.0.0.0:0", "[http] token" }, { ":0", "[http] token" },
		{ "[::]:0", "[http] token" },
	};
	struct server v = { 0 };
	struct error err;

	server_folder(&v);
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(free) char *address = xstrdup(cases[i].address);
		struct http_config c = { .listen = address };

		assert_null(http_open(&c, v.path, collect, &v, &err));
		assert_int_equal(err.exit, EXIT_USAGE);
		assert_non_null(strstr(err.text, cases[i].text));
	}
	rmdir(v.dir);

	server_start(&v, "0.0.0.0:0", "s3cret"); /* with a token it may */
	AUTO(buf) struct buf out = { 0 };

	assert_int_equal(ask(tcp(v.port), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &out), 401);
	server_stop(&v);
}

/* An address in use does not keep the agent from its work; it is taken when it becomes free. */
static void test_address_in_use(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct server first, second;
	char address[32];
	struct error err;
	int status;

	server_start(&first, "127.0.0.1:0", NULL);
	int port = first.port;

	snprintf(address, sizeof address, "127.0.0.1:%d", port);
	server_start(&second, address, NULL);
	assert_int_equal(second.port, 0);
	assert_int_equal(http_get(second.path, "/healthz", &status, &out, &err), 0);
	server_stop(&first);
	while (!listens(port))
		usleep(100000);
	assert_int_equal(ask(tcp(port), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &out), 200);
	server_stop(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_health_and_readiness),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_socket_of_the_dead),
		cmocka_unit_test(test_no_agent),
		cmocka_unit_test(test_long_socket_path),
		cmocka_unit_test(test_configured_unix_socket),
		cmocka_unit_test(test_addresses_refused),
		cmocka_unit_test(test_address_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
