/*
 * binlog_client.c - connections to MySQL and MariaDB, and the dump of their binary log
 *
 * The one file that knows which library it is: MariaDB Connector/C (LIBMARIADB is defined by its mysql.h), whose
 * public headers let a command be sent and a packet be read, or Oracle's libmysqlclient with its
 * mysql_binlog_*.  Events are parsed elsewhere, from the bytes in the library's buffer.
 *
 * Requests, as both servers read them:
 *	COM_BINLOG_DUMP		u32 position, u16 flags, u32 server id, file name
 *	COM_BINLOG_DUMP_GTID	u16 flags, u32 server id, u32 n, file name, u64 position, u32 n, encoded set
 * Each packet of the answer: a byte 0, then the event; 254: the end; 255: an error.
 *
 * Waiting.  poll() does not see what the library has buffered, so that is asked first: the Connector's own
 * buffer and OpenSSL's.  Where neither can be asked (Oracle's library, GnuTLS) the next packet is read without
 * knowing whether it is there, but for right after a heartbeat: a server that sends one had nothing else.
 */
#include <errno.h>
#include <errmsg.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "binlog_client_private.h"
#include "binlog_event.h"
#include "log.h"

#ifdef LIBMARIADB
/* What the Connector has buffered is seen only in these; they are not quite complete by themselves. */
typedef unsigned char uchar;
#define HAVE_TLS 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ma_pvio.h>
#pragma GCC diagnostic pop
#include <openssl/ssl.h>
#endif

#define ANSWER_S  25  /* longest wait for an answer, and for the rest of a packet that has begun */
#define FILE_MAX  512 /* longest name of a binlog file */
#define BLIND_MS  50  /* heartbeat where the library's buffers are not known */
#define NON_BLOCK 1   /* flag of a dump */
#define SLICE_MS  100 /* a stop is noticed in between */

/* Errors of the servers, by number (mysqld_error.h of both; the libraries' headers lack most). */
enum {
	E_TOO_MANY_CONNECTIONS = 1040,
	E_HANDSHAKE = 1043,
	E_DB_DENIED = 1044,
	E_DENIED = 1045,
	E_SHUTDOWN = 1053,
	E_NORMAL_SHUTDOWN = 1077,
	E_ABORTING = 1152,
	E_PACKET_TOO_LARGE = 1153,
	E_NET_READ = 1158,
	E_NET_WRITE_INTERRUPTED = 1161,
	E_TABLE_DENIED = 1142,
	E_COLUMN_DENIED = 1143,
	E_LOCK_WAIT = 1205,
	E_USER_LIMIT = 1203,
	E_DEADLOCK = 1213,
	E_LIMIT_REACHED = 1226,
	E_RIGHT_NEEDED = 1227,
	E_READING_BINLOG = 1236,
	E_INTERRUPTED = 1317,
	E_PROC_DENIED = 1370,
	E_KILLED = 1927,
	E_STATEMENT_TIMEOUT = 1969,
	E_QUERY_TIMEOUT = 3024,
	E_SERVER_ISOLATED = 3032,
	E_KILLED_BY_USER = 3169,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- errors --- */

static bool passing(unsigned code)
{
	static const unsigned codes[] = {
		E_TOO_MANY_CONNECTIONS,
		E_HANDSHAKE,
		E_SHUTDOWN,
		E_NORMAL_SHUTDOWN,
		E_LOCK_WAIT,
		E_USER_LIMIT,
		E_DEADLOCK,
		E_LIMIT_REACHED,
		E_INTERRUPTED,
		E_KILLED,
		E_STATEMENT_TIMEOUT,
		E_QUERY_TIMEOUT,
		E_SERVER_ISOLATED,
		E_KILLED_BY_USER,
		CR_CONNECTION_ERROR,
		CR_CONN_HOST_ERROR,
		CR_IPSOCK_ERROR,
		CR_UNKNOWN_HOST,
		CR_SERVER_GONE_ERROR,
		CR_SERVER_LOST,
		CR_SERVER_LOST_EXTENDED,
		CR_SERVER_HANDSHAKE_ERR,
	};

	for (size_t i = 0; i < COUNT(codes); i++)
		if (codes[i] == code)
			return true;
	return code == E_ABORTING || (code >= E_NET_READ && code <= E_NET_WRITE_INTERRUPTED);
}

/* A handshake that fails for what the two sides are, not because the link broke. */
static bool tls_is_refused(const char *text)
{
	static const char *const words[] = {
		"certificate", "verif",  "protocol",     "ertificat",
		"hostname",    "cipher", "No such file", "not trusted"
	};

	for (size_t i = 0; i < COUNT(words); i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

static enum error_kind kind_of(unsigned code, const char *text)
{
	if (code == CR_SSL_CONNECTION_ERROR)
		return tls_is_refused(text) ? ERR_FATAL : ERR_RETRY;
	return passing(code) ? ERR_RETRY : ERR_FATAL;
}

int mysql_conn_fail(struct mysql_conn *c, unsigned code, const char *text, const char *what,
		    struct error *err)
{
	(void)fail(err, kind_of(code, text), "%s: %s (%u, at %s)", what,
		   *text ? text : "the connection is lost", code, c->where);
	err->code = (int)code;
	return -1;
}

static int mysql_fail(struct mysql_conn *c, const char *what, struct error *err)
{
	return mysql_conn_fail(c, mysql_errno(c->mysql), mysql_error(c->mysql), what, err);
}

bool mysql_lacks_right(const struct error *err)
{
	return err->code == E_RIGHT_NEEDED || err->code == E_TABLE_DENIED ||
	       err->code == E_COLUMN_DENIED || err->code == E_DB_DENIED ||
	       err->code == E_PROC_DENIED || err->code == E_DENIED;
}

/* --- connecting --- */

static bool is_loopback(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof a;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;

	if (getpeername(fd, (struct sockaddr *)&a, &n))
		return false;
	if (a.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	if (a.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	return a.ss_family == AF_UNIX;
}

#ifdef LIBMARIADB

static int socket_of(MYSQL *m)
{
	return (int)mysql_get_socket(m);
}

/* The library goes on in plaintext when the server has no TLS: what was asked for is checked by us. */
static void set_tls(MYSQL *m, const struct mysql_url *u, int sslmode)
{
	my_bool enforce = sslmode >= MYSQL_SSL_PREFER, verify = sslmode == MYSQL_SSL_VERIFY_FULL;

	mysql_optionsv(m, MYSQL_OPT_SSL_ENFORCE, &enforce);
	mysql_optionsv(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (sslmode >= MYSQL_SSL_VERIFY_CA)
		mysql_optionsv(m, MYSQL_OPT_SSL_CA, u->sslrootcert);
}

/* A server that is not who it says must not be able to ask for the password in clear. */
static void set_authentication(MYSQL *m, int sslmode)
{
	if (sslmode < MYSQL_SSL_VERIFY_CA)
		mysql_optionsv(m, MARIADB_OPT_RESTRICTED_AUTH,
			       "mysql_native_password,caching_sha2_password,sha256_password,"
			       "client_ed25519,parsec,auth_gssapi_client");
}

/*
 * The Connector goes on in plaintext with a server that has no TLS, and may hand it the password as it is.  So its
 * first words are looked at as they are read, and such a connection is cut before anything was said.
 */
static _Thread_local struct {
	bool watching, first, cut;
} greeting;

extern int ma_pvio_register_callback(my_bool add, void (*fn)(int mode, MYSQL *mysql,
							     const unsigned char *p, size_t n));

/* u24 length, u8 number, u8 10, version NUL, u32 id, 8 bytes, NUL, u16 capabilities */
static bool offers_tls(struct str bytes)
{
	struct cursor c = cursor_of(bytes);

	(void)get_bytes(&c, 4);
	if (get_u8(&c) != 10)
		return true; /* an error: the library says which */
	(void)get_cstr(&c);
	(void)get_bytes(&c, 4 + 8 + 1);
	return (get_u16le(&c) & CLIENT_SSL) && !c.bad;
}

static void on_bytes(int mode, MYSQL *mysql, const unsigned char *p, size_t n)
{
	if (!greeting.watching || !greeting.first || mode != 0 || (ssize_t)n <= 0)
		return;
	greeting.first = false;
	greeting.cut = !offers_tls((struct str){ (const char *)p, n });
	if (greeting.cut)
		(void)shutdown((int)mysql_get_socket(mysql), SHUT_RDWR);
}

static void watch_greeting(bool on)
{
	greeting.watching = greeting.first = on;
	if (on)
		greeting.cut = false;
}

static bool server_lacks_tls(MYSQL *m)
{
	(void)m;
	return greeting.cut;
}

static void library_ready(void)
{
	ma_pvio_register_callback(1, on_bytes);
}

static bool buffers_unknown(MYSQL *m)
{
	const char *library = NULL;

	if (!mysql_get_ssl_cipher(m))
		return false;
	return mariadb_get_infov(m, MARIADB_TLS_LIBRARY, &library) || !library ||
	       strncmp(library, "OpenSSL", 7) != 0;
}

static bool has_buffered(const struct mysql_conn *c)
{
	const MARIADB_PVIO *io = c->mysql->net.pvio;

	if (!io)
		return true; /* it is closed: let the read say so */
	if (io->cache && io->cache + io->cache_size > io->cache_pos)
		return true;
	return io->ctls && !c->blind && SSL_pending((const SSL *)io->ctls->ssl) > 0;
}

#else

static int socket_of(MYSQL *m)
{
	return m->net.fd;
}

static void set_tls(MYSQL *m, const struct mysql_url *u, int sslmode)
{
	static const unsigned modes[] = { SSL_MODE_DISABLED, SSL_MODE_PREFERRED, SSL_MODE_REQUIRED,
					  SSL_MODE_VERIFY_CA, SSL_MODE_VERIFY_IDENTITY };

	mysql_options(m, MYSQL_OPT_SSL_MODE, &modes[sslmode]);
	if (sslmode >= MYSQL_SSL_VERIFY_CA)
		mysql_options(m, MYSQL_OPT_SSL_CA, u->sslrootcert);
}

static void set_authentication(MYSQL *m, int sslmode)
{
	bool fetch_key = true;

	(void)sslmode; /* it has mysql_clear_password switched off by default */
	mysql_options(m, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &fetch_key);
}

static void library_ready(void)
{
}

static void watch_greeting(bool on)
{
	(void)on; /* this library looks by itself */
}

static bool server_lacks_tls(MYSQL *m)
{
	return mysql_errno(m) == CR_SSL_CONNECTION_ERROR &&
	       strcasestr(mysql_error(m), "is required but");
}

static bool buffers_unknown(MYSQL *m)
{
	(void)m;
	return true;
}

static bool has_buffered(const struct mysql_conn *c)
{
	(void)c;
	return false;
}

#endif

static void init_library(void)
{
	if (mysql_library_init(0, NULL, NULL))
		log_error("the MySQL client library cannot be initialised", NULL);
	library_ready();
}

static void set_options(MYSQL *m, const struct mysql_url *u, int sslmode, const char *program,
			unsigned seconds)
{
	unsigned answer = ANSWER_S,
		 protocol = u->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	unsigned long most = MYSQL_PACKET_MAX;
	unsigned no_files = 0;

	mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &answer);
	mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &answer);
	mysql_options(m, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
	mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &no_files);
	mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options4(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", program);
	set_tls(m, u, sslmode);
	set_authentication(m, sslmode);
}

static int connect_once(struct mysql_conn *c, const struct mysql_url *u, int sslmode,
			const char *program, unsigned seconds)
{
	if (c->mysql)
		mysql_close(c->mysql);
	c->mysql = mysql_init(NULL);
	if (!c->mysql)
		abort(); /* no memory */
	set_options(c->mysql, u, sslmode, program, seconds);
	watch_greeting(sslmode != MYSQL_SSL_DISABLE);
	MYSQL *done = mysql_real_connect(c->mysql, u->socket ? NULL : u->host, u->user, u->password,
					 *u->database ? u->database : NULL, u->port, u->socket, 0);

	watch_greeting(false);
	return done ? 0 : -1;
}

static int refuse_plaintext(const struct mysql_conn *c, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "the server at %s has no TLS and source.url asks for it: set ssl_cert and "
		    "ssl_key on the server, or use sslmode=disable or prefer",
		    c->where);
}

/* prefer: without TLS where it cannot be had, as libpq does. */
static int connect_as_told(struct mysql_conn *c, const struct mysql_url *u, const char *program,
			   unsigned seconds, struct error *err)
{
	bool prefer = u->sslmode == MYSQL_SSL_PREFER;

	if (connect_once(c, u, u->sslmode, program, seconds) == 0)
		return 0;
	bool no_tls = server_lacks_tls(c->mysql);

	if (no_tls && !prefer)
		return refuse_plaintext(c, err);
	if (prefer && (no_tls || mysql_errno(c->mysql) == CR_SSL_CONNECTION_ERROR) &&
	    connect_once(c, u, MYSQL_SSL_DISABLE, program, seconds) == 0)
		return 0;
	return mysql_fail(c, "cannot connect", err);
}

static int check_tls(struct mysql_conn *c, const struct mysql_url *u, struct error *err)
{
	bool fine = u->sslmode < MYSQL_SSL_REQUIRE || mysql_conn_encrypted(c);

	return fine ? 0 : refuse_plaintext(c, err);
}

/* Settings that change what statements mean and give. */
static int pin(struct mysql_conn *c, struct error *err)
{
	static const char *const settings[] = {
		"SET NAMES utf8mb4",
		"SET SESSION sql_mode = '', time_zone = '+00:00', lock_wait_timeout = 5, "
		"autocommit = 1",
	};

	for (size_t i = 0; i < COUNT(settings); i++)
		if (mysql_command(c, settings[i], err))
			return -1;
	return 0;
}

struct mysql_conn *mysql_open(const struct mysql_url *u, const char *program, int timeout_ms,
			      struct error *err)
{
	struct mysql_conn *c = xcalloc(1, sizeof *c);

	pthread_once(&once, init_library);
	c->fd = -1;
	c->where = u->socket              ? xstrdup(u->socket)
		   : strchr(u->host, ':') ? xasprintf("[%s]:%u", u->host, u->port)
					  : xasprintf("%s:%u", u->host, u->port);
	if (connect_as_told(c, u, program, (unsigned)(timeout_ms + 999) / 1000, err) == 0) {
		c->fd = socket_of(c->mysql);
		c->loopback = is_loopback(c->fd);
		c->blind = buffers_unknown(c->mysql);
		if (check_tls(c, u, err) == 0 && pin(c, err) == 0)
			return c;
	}
	mysql_close_conn(c);
	return NULL;
}

/* COM_QUIT does not wait for anything; an unread stream is not drained. */
void mysql_close_conn(struct mysql_conn *c)
{
	if (!c)
		return;
#ifndef LIBMARIADB
	free(c->file);
#endif
	if (c->fd >= 0)
		(void)shutdown(c->fd, SHUT_RD);
	if (c->mysql)
		mysql_close(c->mysql);
	free(c->where);
	free(c);
}

bool mysql_conn_encrypted(const struct mysql_conn *c)
{
	return mysql_get_ssl_cipher(c->mysql) != NULL;
}

bool mysql_conn_loopback(const struct mysql_conn *c)
{
	return c->loopback;
}

const char *mysql_conn_where(const struct mysql_conn *c)
{
	return c->where;
}

const char *mysql_conn_server(const struct mysql_conn *c)
{
	const char *info = mysql_get_server_info(c->mysql);

	return info ? info : "";
}

/* --- statements --- */

static void rows_copy(struct mysql_rows *out, MYSQL_RES *r)
{
	size_t at = 0;

	*out = (struct mysql_rows){ .n = mysql_num_rows(r), .ncolumns = mysql_num_fields(r) };
	out->values = arena_zalloc(&out->arena, (out->n * out->ncolumns + 1) * sizeof(struct str));
	for (MYSQL_ROW row; (row = mysql_fetch_row(r)) != NULL;) {
		const unsigned long *lengths = mysql_fetch_lengths(r);

		for (size_t i = 0; i < out->ncolumns; i++, at++)
			if (row[i])
				out->values[at] =
					arena_copy(&out->arena, (struct str){ row[i], lengths[i] });
	}
}

/* The result of a statement whose first answer was read. */
static int take_result(struct mysql_conn *c, struct mysql_rows *out, struct error *err)
{
	MYSQL_RES *r = mysql_store_result(c->mysql);

	*out = (struct mysql_rows){ 0 };
	if (!r)
		return mysql_errno(c->mysql) ? mysql_fail(c, "cannot read an answer", err) : 0;
	rows_copy(out, r);
	mysql_free_result(r);
	return 0;
}

int mysql_query_rows(struct mysql_conn *c, const char *sql, struct mysql_rows *out,
		     struct error *err)
{
	*out = (struct mysql_rows){ 0 };
	while (c->sent) { /* the answer of another statement comes first */
		struct mysql_rows other;

		if (mysql_receive_rows(c, &other, err) < 0)
			return -1;
		if (c->sent && poll(&(struct pollfd){ c->fd, POLLIN, 0 }, 1, ANSWER_S * 1000) == 0)
			return fail(err, ERR_RETRY, "the server at %s does not answer", c->where);
		mysql_rows_free(&other);
	}
	if (mysql_real_query(c->mysql, sql, strlen(sql)))
		return mysql_fail(c, "the server refused a statement", err);
	return take_result(c, out, err);
}

int mysql_command(struct mysql_conn *c, const char *sql, struct error *err)
{
	struct mysql_rows r;

	if (mysql_query_rows(c, sql, &r, err))
		return -1;
	mysql_rows_free(&r);
	return 0;
}

int mysql_send_sql(struct mysql_conn *c, const char *sql, struct error *err)
{
	if (mysql_send_query(c->mysql, sql, strlen(sql)))
		return mysql_fail(c, "cannot send a statement", err);
	c->sent = true;
	return 0;
}

int mysql_receive_rows(struct mysql_conn *c, struct mysql_rows *out, struct error *err)
{
	*out = (struct mysql_rows){ 0 };
	if (!c->sent || poll(&(struct pollfd){ c->fd, POLLIN, 0 }, 1, 0) == 0)
		return 0;
	c->sent = false;
	if (mysql_read_query_result(c->mysql))
		return mysql_fail(c, "the server refused a statement", err);
	return take_result(c, out, err) ? -1 : 1;
}

bool mysql_pending(const struct mysql_conn *c)
{
	return c->sent;
}

void mysql_rows_free(struct mysql_rows *r)
{
	arena_free(&r->arena);
	*r = (struct mysql_rows){ 0 };
}

void mysql_rows_cleanup(struct mysql_rows *r)
{
	mysql_rows_free(r);
}

struct str mysql_cell(const struct mysql_rows *r, size_t row, size_t column)
{
	return row < r->n && column < r->ncolumns ? r->values[row * r->ncolumns + column]
						  : (struct str){ NULL, 0 };
}

void mysql_quote(struct mysql_conn *c, struct buf *out, const char *text)
{
	size_t n = strlen(text);

	buf_addc(out, '\'');
	char *to = buf_more(out, 2 * n + 1);

	if (to)
		out->n += mysql_real_escape_string(c->mysql, to, text, n);
	buf_addc(out, '\'');
}

void mysql_name(struct buf *out, const char *name)
{
	buf_addc(out, '`');
	for (const char *p = name; *p; p++) {
		if (*p == '`')
			buf_addc(out, '`');
		buf_addc(out, *p);
	}
	buf_addc(out, '`');
}

/* --- the dump --- */

/* Words of either server that say: what is asked for is not there any more, or never was in this log. */
static bool says_gone(const char *text)
{
	static const char *const words[] = {
		"purged",
		"could not find first log",
		"not in the master's binlog",
		"missing the gtid",
		"has more gtids than",
		"impossible position",
		"position > file size",
		"could not find gtid state",
		"could not find next log",
	};

	for (size_t i = 0; i < COUNT(words); i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

int binlog_dump_judge(unsigned code, const char *text, const char *where, struct error *err)
{
	if (code == E_READING_BINLOG && says_gone(text))
		(void)fail_exit(err, EXIT_LOG_GONE,
				"the binary log of the server at %s no longer holds what was not "
				"read yet: %s. The changes "
				"between are lost to this pipeline: load the tables anew",
				where, text);
	else if (code == E_READING_BINLOG && strcasestr(text, "same server_"))
		(void)fail(err, ERR_RETRY,
			   "another process reads the binary log of %s under our server id or "
			   "uuid: %s",
			   where, text);
	else if (code == E_RIGHT_NEEDED || code == E_DENIED)
		(void)fail(err, ERR_FATAL,
			   "the server at %s refuses its binary log: %s; run GRANT REPLICATION "
			   "SLAVE ON *.* TO the user of source.url",
			   where, text);
	else
		(void)fail(err, kind_of(code, text),
			   "the server at %s ended its binary log: %s (%u)", where,
			   *text ? text : "the connection is lost", code);
	err->code = (int)code;
	return -1;
}

static int dump_fail(struct mysql_conn *c, struct error *err)
{
	return binlog_dump_judge(mysql_errno(c->mysql), mysql_error(c->mysql), c->where, err);
}

static int set_heartbeat(struct mysql_conn *c, struct error *err)
{
	AUTO(free) char *sql = NULL;
	unsigned long long ns = (c->blind ? BLIND_MS : BINLOG_HEARTBEAT_MS) * 1000000ULL;

	sql = xasprintf("SET @master_heartbeat_period = %llu, @source_heartbeat_period = %llu", ns,
			ns);
	return mysql_command(c, sql, err);
}

static int check_dump(const struct binlog_dump *d, struct error *err)
{
	if (strlen(d->file) > FILE_MAX)
		return fail(err, ERR_FATAL, "the name of a binlog file is too long: %.80s...",
			    d->file);
	if (!d->gtid.p && d->pos > UINT32_MAX)
		return fail(err, ERR_FATAL,
			    "%s: a dump cannot begin past 4 GiB of a file by position", d->file);
	return 0;
}

#ifdef LIBMARIADB

static void put_le(struct buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> 8 * i));
}

int binlog_dump_start(struct mysql_conn *c, const struct binlog_dump *d, struct error *err)
{
	AUTO(buf) struct buf b = { 0 };
	uint16_t flags = d->non_blocking ? NON_BLOCK : 0;
	int command = COM_BINLOG_DUMP;
	size_t n = strlen(d->file);

	if (check_dump(d, err) || set_heartbeat(c, err))
		return -1;
	if (d->gtid.p) {
		command = 0x1e; /* COM_BINLOG_DUMP_GTID: Oracle's alone, the headers lack it */
		put_le(&b, flags, 2);
		put_le(&b, d->server_id, 4);
		put_le(&b, n, 4);
		buf_add(&b, d->file, n);
		put_le(&b, d->pos, 8);
		put_le(&b, d->gtid.n, 4);
		buf_add(&b, d->gtid.p, d->gtid.n);
	} else {
		put_le(&b, d->pos, 4);
		put_le(&b, flags, 2);
		put_le(&b, d->server_id, 4);
		buf_add(&b, d->file, n);
	}
	if (c->mysql->methods->db_command(c->mysql, (enum enum_server_command)command, b.p, b.n, 1,
					  NULL))
		return mysql_fail(c, "cannot ask for the binary log", err);
	return 0;
}

/* As binlog_dump_next(), waiting. */
static int fetch(struct mysql_conn *c, struct str *event, struct error *err)
{
	if (!c->mysql->net.pvio)
		return fail(err, ERR_RETRY, "the connection to %s is lost", c->where);
	unsigned long n = mysql_net_read_packet(c->mysql);

	if (n == (unsigned long)packet_error)
		return dump_fail(c, err);
	const char *p = (const char *)c->mysql->net.read_pos;

	if (n < 8 && n > 0 && (uint8_t)*p == 254)
		return 2;
	if (n < 1 + BINLOG_HEADER || *p != 0)
		return fail(err, ERR_FATAL, "the server at %s sent %lu bytes that are no event",
			    c->where, n);
	*event = (struct str){ p + 1, n - 1 };
	return 1;
}

#else

static void give_set(MYSQL_RPL *rpl, unsigned char *to)
{
	const struct str *set = rpl->gtid_set_arg;

	memcpy(to, set->p, set->n);
}

int binlog_dump_start(struct mysql_conn *c, const struct binlog_dump *d, struct error *err)
{
	struct str set = d->gtid;

	if (check_dump(d, err) || set_heartbeat(c, err))
		return -1;
	free(c->file);
	c->file = xstrdup(d->file);
	c->rpl = (MYSQL_RPL){
		.file_name_length = strlen(d->file),
		.file_name = c->file,
		.start_position = d->pos,
		.server_id = d->server_id,
		.flags = (d->gtid.p ? MYSQL_RPL_GTID : 0) | (d->non_blocking ? NON_BLOCK : 0),
		.gtid_set_encoded_size = set.p ? set.n : 0,
		.fix_gtid_set = set.p ? give_set : NULL,
		.gtid_set_arg = &set,
	};
	if (mysql_binlog_open(c->mysql, &c->rpl))
		return mysql_fail(c, "cannot ask for the binary log", err);
	return 0;
}

static int fetch(struct mysql_conn *c, struct str *event, struct error *err)
{
	if (mysql_binlog_fetch(c->mysql, &c->rpl))
		return dump_fail(c, err);
	if (c->rpl.size == 0)
		return 2;
	if (c->rpl.size < 1 + BINLOG_HEADER)
		return fail(err, ERR_FATAL, "the server at %s sent %lu bytes that are no event",
			    c->where, c->rpl.size);
	*event = (struct str){ (const char *)c->rpl.buffer + 1, c->rpl.size - 1 };
	return 1;
}

#endif

/* 1: something is there, or it is not known; 0: nothing came in time; -1. */
static int wait_packet(struct mysql_conn *c, int timeout_ms, struct error *err)
{
	if (has_buffered(c) || (c->blind && !c->quiet))
		return 1;
	int ready = poll(&(struct pollfd){ c->fd, POLLIN, 0 }, 1, timeout_ms);

	if (ready < 0 && errno != EINTR)
		return fail(err, ERR_RETRY, "cannot wait for %s: %s", c->where, strerror(errno));
	return ready > 0;
}

int mysql_conn_wait(struct mysql_conn *c, const atomic_bool *stopping, struct error *err)
{
	for (int ready = 0; !ready;) {
		if (atomic_load(stopping))
			return fail(err, ERR_RETRY, "stopping");
		ready = wait_packet(c, SLICE_MS, err);
		if (ready < 0)
			return -1;
	}
	return 0;
}

int binlog_dump_next(struct mysql_conn *c, int timeout_ms, struct str *event, struct error *err)
{
	int ready = wait_packet(c, timeout_ms, err);

	if (ready <= 0)
		return ready;
	int got = fetch(c, event, err);
	uint8_t type = got == 1 ? (uint8_t)event->p[4] : 0;

	c->quiet = type == BINLOG_HEARTBEAT || type == BINLOG_HEARTBEAT_V2;
	return got;
}

void binlog_dump_interrupt(struct mysql_conn *c)
{
	(void)shutdown(c->fd, SHUT_RDWR);
}
