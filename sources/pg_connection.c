/*
 * pg_connection.c - asynchronous connections to PostgreSQL, pinned settings, error classes
 *
 * libpq has no SQLSTATE for a connection that failed.  With verbosity VERBOSE its text does:
 *	FATAL:  28P01: password authentication failed for user "erp"
 * whatever the server's language.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "clock.h"
#include "pg_connection.h"

/* Settings that change how values are printed, or that could end or change what we do. */
static const struct {
	const char *name, *value;
} pins[] = {
	{ "datestyle", "ISO" },        { "intervalstyle", "iso_8601" },
	{ "timezone", "UTC" },         { "bytea_output", "hex" },
	{ "extra_float_digits", "3" }, { "lc_monetary", "C" },
	{ "statement_timeout", "0" },  { "idle_in_transaction_session_timeout", "0" },
	{ "search_path", "" },         { "row_security", "off" },
};

/* "5432", or one for each host: "5432,5433". */
static bool ports_valid(const char *text)
{
	while (*text) {
		char *end;
		long port = strtol(text, &end, 10);

		if ((end != text && (port < 1 || port > 65535)) || (*end && *end != ','))
			return false;
		text = end + (*end == ',');
	}
	return true;
}

int pg_url_check(const char *url, struct error *err)
{
	AUTO(free) char *why = NULL;
	PQconninfoOption *all = PQconninfoParse(url, &why);
	bool valid = true;

	for (PQconninfoOption *o = all; o && o->keyword; o++)
		if (strcmp(o->keyword, "port") == 0 && o->val)
			valid = ports_valid(o->val);
	PQconninfoFree(all);
	if (all && valid)
		return 0;
	/* libpq may quote the whole URL, and with it the password */
	if (why)
		why[strcspn(why, "\"\n")] = '\0';
	return fail_exit(err, EXIT_USAGE,
			 "source.url is not a PostgreSQL URL: %s; write "
			 "postgresql://USER@HOST:PORT/DATABASE, with special characters as %%XX",
			 why ? why : "the port is no number from 1 to 65535");
}

static char *url_option(const char *url, const char *name)
{
	char *value = NULL;
	PQconninfoOption *all = PQconninfoParse(url, NULL);

	for (PQconninfoOption *o = all; o && o->keyword; o++)
		if (strcmp(o->keyword, name) == 0 && o->val)
			value = xstrdup(o->val);
	PQconninfoFree(all);
	return value;
}

/* The URL's own options first, ours after them: the last one wins. */
static void startup_options(const struct pg_params *p, struct buf *out)
{
	AUTO(free) char *own = url_option(p->url, "options");

	if (own)
		buf_addf(out, "%s ", own);
	for (size_t i = 0; i < COUNT(pins); i++)
		buf_addf(out, "-c %s=%s ", pins[i].name, pins[i].value);
	/* a walsender waits for transactions by taking their locks: it must not give up */
	buf_addf(out, "-c lock_timeout=%s", p->replication ? "0" : "5s");
}

static void on_notice(void *ctx, const char *text)
{
	char line[512];

	(void)ctx;
	snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
	log_debug("server notice", "text", line, NULL);
}

int pg_attempt_start(struct pg_attempt *a, const struct pg_params *p, struct error *err)
{
	AUTO(buf) struct buf options = { 0 };
	/* what stands before dbname gives way to the URL, what stands after it overrides it */
	const char *names[] = { "keepalives",
				"keepalives_idle",
				"keepalives_interval",
				"keepalives_count",
				"tcp_user_timeout",
				"dbname",
				"fallback_application_name",
				"application_name",
				"client_encoding",
				"options",
				"replication",
				"password",
				NULL };
	const char *values[] = { "1",
				 "15",
				 "5",
				 "3",
				 "30000",
				 p->url,
				 "tailrace",
				 p->application,
				 p->encoding ? p->encoding : "UTF8",
				 NULL,
				 p->replication ? "database" : NULL,
				 p->password && *p->password ? p->password : NULL,
				 NULL };

	startup_options(p, &options);
	values[9] = buf_z(&options);
	*a = (struct pg_attempt){ .conn = PQconnectStartParams(names, values, 1),
				  .want = PGRES_POLLING_WRITING,
				  .replication = p->replication };
	if (!a->conn)
		return fail(err, ERR_RETRY, "cannot connect: libpq has no memory");
	PQsetErrorVerbosity(a->conn, PQERRORS_VERBOSE);
	PQsetNoticeProcessor(a->conn, on_notice, NULL);
	return 0;
}

void pg_attempt_drop(struct pg_attempt *a)
{
	PQfinish(a->conn);
	a->conn = NULL;
}

/* Is there a SQLSTATE at p: five digits or upper-case letters and a colon? */
static bool is_state(const char *p)
{
	for (int i = 0; i < 5; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z')))
			return false;
	return p[5] == ':';
}

enum error_kind pg_state_kind(const char *state)
{
	static const struct {
		const char *prefix;
		enum error_kind kind;
	} kinds[] = {
		{ "57P04", ERR_FATAL }, /* database dropped */
		{ "57", ERR_RETRY },    /* shutdown, crash, starting up, cancelled */
		{ "08", ERR_RETRY },    /* connection */
		{ "53400", ERR_FATAL }, /* all replication slots are in use */
		{ "53", ERR_RETRY },    /* too many clients, disk full, out of memory */
		{ "40", ERR_RETRY },    /* deadlock */
		{ "55P03", ERR_RETRY }, /* lock timeout */
		{ "55006", ERR_RETRY }, /* slot in use */
		{ "58030", ERR_RETRY }, /* I/O error */
	};

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strncmp(state, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return ERR_FATAL;
}

/* Errors of libpq itself that do not pass by waiting (it speaks English: no setlocale). */
static bool is_local_fatal(const char *text)
{
	static const char *const never[] = {
		"certificate",
		"does not support SSL",
		"authentication method",
		"channel binding",
		"invalid port",
		"invalid sslmode",
		"invalid connection option",
		"no password supplied",
	};

	for (size_t i = 0; i < COUNT(never); i++)
		if (strstr(text, never[i]))
			return true;
	return false;
}

enum error_kind pg_connect_kind(const char *text, char state[6])
{
	bool retry = false;

	state[0] = '\0';
	for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
		if (!is_state(p + 3))
			continue;
		char found[6] = { 0 };

		memcpy(found, p + 3, 5);
		if (!*state)
			memcpy(state, found, sizeof found);
		/* with several hosts one that may come back is enough to go on trying */
		retry = retry || pg_state_kind(found) == ERR_RETRY;
	}
	if (*state)
		return retry ? ERR_RETRY : ERR_FATAL;
	return is_local_fatal(text) ? ERR_FATAL : ERR_RETRY;
}

static const char *connect_remedy(const char *state, enum error_kind kind, bool replication)
{
	if (kind == ERR_RETRY)
		return "";
	if (strcmp(state, "28P01") == 0)
		return "; set [source] password (or the URL's) to the role's password";
	if (strcmp(state, "28000") == 0)
		return "; see to the role's LOGIN right and to an entry in pg_hba.conf that admits "
		       "it";
	if (strcmp(state, "3D000") == 0)
		return "; name an existing database in source.url";
	if (strcmp(state, "42501") == 0 && replication)
		return "; run ALTER ROLE ... REPLICATION (on RDS: GRANT rds_replication TO ...)";
	if (!*state)
		return "; see to source.url, its sslmode and certificates, and [source] password";
	return "";
}

/* Lines joined, without libpq's LOCATION. */
static void one_line(const char *text, struct buf *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n && strncmp(text, "LOCATION:", 9) != 0) {
			if (out->n)
				buf_adds(out, "; ");
			while (n && (*text == ' ' || *text == '\t'))
				text++, n--;
			buf_add(out, text, n);
		}
		text += n + (text[n] == '\n');
	}
}

static int attempt_fail(struct pg_attempt *a, struct error *err)
{
	AUTO(buf) struct buf text = { 0 };
	char where[192], state[6];
	enum error_kind kind = pg_connect_kind(PQerrorMessage(a->conn), state);

	if (PQconnectionNeedsPassword(a->conn))
		kind = ERR_FATAL;
	one_line(PQerrorMessage(a->conn), &text);
	(void)fail(err, kind, "cannot connect to PostgreSQL at %s: %.700s%s",
		   pg_where(a->conn, where), buf_z(&text),
		   connect_remedy(state, kind, a->replication));
	pg_attempt_drop(a);
	return -1;
}

static int socket_ready(PGconn *conn, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd fd = { PQsocket(conn), events, 0 };
		int64_t left = deadline - monotonic_us();
		int timeout = left <= 0           ? 0
			      : left > 3600000000 ? 3600000
						  : (int)((left + 999) / 1000);
		int n = fd.fd < 0 ? -1 : poll(&fd, 1, timeout);

		if (n >= 0 || fd.fd < 0 || errno != EINTR)
			return n;
		if (left <= 0)
			return 0;
	}
}

int pg_attempt_step(struct pg_attempt *a, struct error *err)
{
	if (PQstatus(a->conn) == CONNECTION_BAD)
		return attempt_fail(a, err);
	while (a->want == PGRES_POLLING_READING || a->want == PGRES_POLLING_WRITING) {
		short events = a->want == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (socket_ready(a->conn, events, 0) == 0)
			return 0;
		a->want = PQconnectPoll(a->conn);
	}
	if (a->want != PGRES_POLLING_OK)
		return attempt_fail(a, err);
	PQsetErrorVerbosity(a->conn, PQERRORS_DEFAULT);
	PQsetnonblocking(a->conn, 1);
	return 1;
}

int pg_attempt_run(struct pg_attempt *a, int64_t deadline, struct error *err)
{
	int rc;

	while ((rc = pg_attempt_step(a, err)) == 0 && monotonic_us() < deadline)
		(void)socket_ready(a->conn, a->want == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				   deadline);
	return rc;
}

PGconn *pg_connect(const struct pg_params *p, int64_t deadline, struct error *err)
{
	struct pg_attempt a;
	char where[192];

	if (pg_attempt_start(&a, p, err))
		return NULL;
	int rc = pg_attempt_run(&a, deadline, err);

	if (rc < 0)
		return NULL;
	if (rc == 0) {
		(void)fail(err, ERR_RETRY, "cannot connect to PostgreSQL at %s: no answer in time",
			   pg_where(a.conn, where));
		err->code = ETIMEDOUT;
	}
	if (rc == 0 || pg_pins_check(a.conn, deadline, err)) {
		pg_attempt_drop(&a);
		return NULL;
	}
	return a.conn;
}

int pg_pins_check(PGconn *conn, int64_t deadline, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	for (size_t i = 0; i < COUNT(pins); i++)
		buf_addf(&sql, "%s pg_catalog.current_setting('%s')", i ? "," : "SELECT",
			 pins[i].name);
	AUTO(PGresult)
	PGresult *r =
		pg_query(conn, deadline, "cannot read the session's settings", buf_z(&sql), err);

	if (!r)
		return -1;
	for (size_t i = 0; i < COUNT(pins); i++) {
		const char *is = PQgetvalue(r, 0, (int)i);
		size_t n = i == 0 ? strlen(pins[i].value) : strlen(is) + 1; /* "ISO, MDY" */

		if (strncmp(is, pins[i].value, n) != 0 && strcmp(is, "\"\"") != 0)
			return fail(err, ERR_FATAL,
				    "the session's %s is \"%s\" although \"%s\" was asked for at "
				    "connect; connect to the server directly, without a pooler",
				    pins[i].name, is, pins[i].value);
	}
	return 0;
}

int pg_wait(PGconn *conn, int64_t deadline)
{
	int pending = PQflush(conn);

	if (pending < 0)
		return -1;
	return socket_ready(conn, (short)(POLLIN | (pending ? POLLOUT : 0)), deadline);
}

static int timed_out(PGconn *conn, const char *what, struct error *err)
{
	char where[192];

	(void)fail(err, ERR_RETRY, "%s: no answer from %s in time", what, pg_where(conn, where));
	err->code = ETIMEDOUT;
	return -1;
}

PGresult *pg_await(PGconn *conn, int64_t deadline, const char *what, struct error *err)
{
	PGresult *last = NULL, *r;

	for (;;) {
		while (PQisBusy(conn)) {
			int ready = pg_wait(conn, deadline);

			if (ready == 0) {
				PQclear(last);
				(void)timed_out(conn, what, err);
				return NULL;
			}
			if (ready < 0 || !PQconsumeInput(conn)) {
				PQclear(last);
				(void)pg_fail(NULL, conn, what, err);
				return NULL;
			}
		}
		if (!(r = PQgetResult(conn)))
			break;
		PQclear(last);
		last = r;
		if (PQresultStatus(r) == PGRES_COPY_BOTH)
			break;
	}
	ExecStatusType status = PQresultStatus(last);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_BOTH)
		return last;
	(void)pg_fail(last, conn, what, err);
	PQclear(last);
	return NULL;
}

PGresult *pg_query(PGconn *conn, int64_t deadline, const char *what, const char *sql,
		   struct error *err)
{
	if (!PQsendQuery(conn, sql)) {
		(void)pg_fail(NULL, conn, what, err);
		return NULL;
	}
	return pg_await(conn, deadline, what, err);
}

PGresult *pg_query_params(PGconn *conn, int64_t deadline, const char *what, const char *sql, int n,
			  const char *const *values, struct error *err)
{
	if (!PQsendQueryParams(conn, sql, n, NULL, values, NULL, NULL, 0)) {
		(void)pg_fail(NULL, conn, what, err);
		return NULL;
	}
	return pg_await(conn, deadline, what, err);
}

int pg_command(PGconn *conn, int64_t deadline, const char *what, const char *sql, struct error *err)
{
	PGresult *r = pg_query(conn, deadline, what, sql, err);

	PQclear(r);
	return r ? 0 : -1;
}

int pg_fail(const PGresult *r, PGconn *conn, const char *what, struct error *err)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

	if (!state) {
		AUTO(buf) struct buf text = { 0 };

		one_line(PQerrorMessage(conn), &text);
		return fail(err, ERR_RETRY, "%s: %s", what,
			    text.n ? buf_z(&text) : "connection lost");
	}
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);

	return fail(err, pg_state_kind(state), "%s: %s (%s)%s%.200s%s%.200s", what,
		    message ? message : "?", state, detail ? "; " : "", detail ? detail : "",
		    hint ? "; " : "", hint ? hint : "");
}

bool pg_error_is(const PGresult *r, const char *sqlstate)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	return state && strcmp(state, sqlstate) == 0;
}

bool pg_is_loopback(PGconn *conn)
{
	const char *host = PQhost(conn), *address = PQhostaddr(conn);

	if (!host || *host == '/' || *host == '@' || *host == '\0')
		return true;
	return address && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0);
}

const char *pg_where(PGconn *conn, char out[192])
{
	const char *host = PQhost(conn), *port = PQport(conn), *db = PQdb(conn);

	snprintf(out, 192, "%s:%s/%s", host ? host : "?", port ? port : "?", db ? db : "?");
	return out;
}

static void quoted(struct buf *out, const char *text, char quote)
{
	buf_addc(out, quote);
	for (; *text; text++) {
		if (*text == quote)
			buf_addc(out, quote);
		buf_addc(out, *text);
	}
	buf_addc(out, quote);
}

void pg_ident(struct buf *out, const char *name)
{
	quoted(out, name, '"');
}

void pg_name(struct buf *out, const char *schema, const char *name)
{
	pg_ident(out, schema);
	buf_addc(out, '.');
	pg_ident(out, name);
}

void pg_literal(struct buf *out, const char *text)
{
	quoted(out, text, '\'');
}

bool pg_lsn_parse(const char *text, uint64_t *lsn)
{
	unsigned high, low;
	int n = 0;

	if (!text || sscanf(text, "%8X/%8X%n", &high, &low, &n) != 2 || text[n])
		return false;
	*lsn = (uint64_t)high << 32 | low;
	return true;
}

const char *pg_lsn_text(uint64_t lsn, char out[PG_LSN_TEXT])
{
	snprintf(out, PG_LSN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
	return out;
}

uint64_t pg_lsn_page_start(uint64_t lsn, uint64_t block, uint64_t segment)
{
	uint64_t behind = block ? lsn % block : 0;

	if (behind == 24 || (behind == 40 && segment && lsn % segment == 40))
		return lsn - behind;
	return lsn;
}

uint64_t pg_get_u64(const PGresult *r, int row, int column)
{
	const char *text = pg_get(r, row, column);

	return text ? strtoull(text, NULL, 10) : 0;
}

uint64_t pg_get_lsn(const PGresult *r, int row, int column)
{
	uint64_t lsn = 0;

	return pg_lsn_parse(pg_get(r, row, column), &lsn) ? lsn : 0;
}
