/*
 * test_pg_stream.c - reading and feedback, against a server that plays a script
 *
 * libpq is real.  A thread answers its startup and START_REPLICATION on a Unix socket; then the
 * test holds the server's end of that socket and says what the server says.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pg_fixture.h"

#include "../../sources/pg_stream.h"

#define SYSTEM 7301
#define START  UINT64_C(0x1000)

struct fixture {
	char dir[64];
	int listener, fd; /* fd: the server's end */
	struct tables *tables;
	struct pg_log log;
	struct pg_stream stream;
	struct batch batch;
	struct error err;
};

/* --- the server's side --- */

static void must_write(int fd, const void *p, size_t n)
{
	assert_int_equal(write(fd, p, n), n);
}

static void must_read(int fd, void *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t k = read(fd, (char *)p + got, n - got);

		assert_true(k > 0);
		got += (size_t)k;
	}
}

static void put_int(struct buf *b, uint64_t v, int bytes)
{
	while (bytes--)
		buf_addc(b, (char)(v >> 8 * bytes));
}

static void message(int fd, char type, const void *body, size_t n)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addc(&b, type);
	put_int(&b, n + 4, 4);
	buf_add(&b, body, n);
	must_write(fd, b.p, b.n);
}

static uint32_t get_u32(int fd)
{
	uint8_t b[4];

	must_read(fd, b, 4);
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void *greet(void *arg)
{
	struct fixture *f = arg;
	char skip[2048], type;

	f->fd = accept(f->listener, NULL, NULL);
	assert_true(f->fd >= 0);
	must_read(f->fd, skip, get_u32(f->fd) - 4);
	message(f->fd, 'R', "\0\0\0\0", 4);
	message(f->fd, 'S',
		"server_version\0"
		"15.0",
		20);
	message(f->fd, 'S',
		"client_encoding\0"
		"UTF8",
		21);
	message(f->fd, 'Z', "I", 1);
	must_read(f->fd, &type, 1);
	assert_int_equal(type, 'Q');
	must_read(f->fd, skip, get_u32(f->fd) - 4);
	message(f->fd, 'W', "\0\0\0", 3);
	return NULL;
}

static void keepalive(struct fixture *f, uint64_t end, bool reply)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addc(&b, 'k');
	put_int(&b, end, 8);
	put_int(&b, 1000000, 8);
	put_int(&b, reply, 1);
	message(f->fd, 'd', b.p, b.n);
}

static void data(struct fixture *f, uint64_t lsn, const struct buf *payload)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addc(&b, 'w');
	put_int(&b, lsn, 8);
	put_int(&b, lsn, 8);
	put_int(&b, 1000000, 8);
	buf_add(&b, payload->p, payload->n);
	message(f->fd, 'd', b.p, b.n);
}

static void begin(struct fixture *f, uint64_t commit)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addc(&b, 'B');
	put_int(&b, commit, 8);
	put_int(&b, 5, 8);
	put_int(&b, 77, 4);
	data(f, commit - 8, &b);
}

/* Relation public.t(id int4) and one row of it. */
static void insert(struct fixture *f, uint64_t lsn)
{
	static const char relation[] = "R\0\0\0\x2a"
				       "public\0"
				       "t\0"
				       "d\0\1"
				       "\1id\0"
				       "\0\0\0\x17"
				       "\xff\xff\xff\xff";
	static const char row[] = "I\0\0\0\x2a"
				  "N\0\1"
				  "t\0\0\0\1"
				  "5";
	AUTO(buf) struct buf b = { 0 };

	buf_add(&b, relation, sizeof relation - 1);
	data(f, 0, &b);
	buf_clear(&b);
	buf_add(&b, row, sizeof row - 1);
	data(f, lsn, &b);
}

static void commit(struct fixture *f, uint64_t lsn, uint64_t end)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addc(&b, 'C');
	put_int(&b, 0, 1);
	put_int(&b, lsn, 8);
	put_int(&b, end, 8);
	put_int(&b, 5, 8);
	data(f, end, &b);
}

static void server_error(struct fixture *f, const char *sqlstate, const char *text)
{
	AUTO(buf) struct buf b = { 0 };

	buf_addf(&b, "SERROR");
	buf_addc(&b, '\0');
	buf_addf(&b, "C%s", sqlstate);
	buf_addc(&b, '\0');
	buf_addf(&b, "M%s", text);
	buf_add(&b, "\0\0", 2);
	message(f->fd, 'E', b.p, b.n);
	message(f->fd, 'Z', "I", 1);
}

struct status {
	uint64_t written, flushed, applied;
	bool reply;
};

static bool waiting(struct fixture *f, int timeout)
{
	struct pollfd p = { f->fd, POLLIN, 0 };

	return poll(&p, 1, timeout) == 1;
}

static struct status next_status(struct fixture *f)
{
	char type, body[34];

	assert_true(waiting(f, 2000));
	must_read(f->fd, &type, 1);
	assert_int_equal(type, 'd');
	assert_int_equal(get_u32(f->fd), 38);
	must_read(f->fd, body, sizeof body);
	struct cursor c = cursor_of((struct str){ body, sizeof body });

	assert_int_equal(get_u8(&c), 'r');
	struct status s = { .written = get_u64be(&c) };

	s.flushed = get_u64be(&c);
	s.applied = get_u64be(&c);
	(void)get_u64be(&c);
	s.reply = get_u8(&c) != 0;
	return s;
}

/* --- our side --- */

static int type(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	(void)ctx;
	(void)err;
	*out = (struct pg_type){ .oid = oid, .name = "int4", .kind = 'b', .base_mod = -1 };
	return 1;
}

static int no_key(void *ctx, uint32_t oid, const struct str *names, size_t n, bool *key,
		  struct error *err)
{
	(void)ctx, (void)oid, (void)names, (void)n, (void)key, (void)err;
	return 0;
}

static int selected(void *ctx, uint32_t oid, struct str schema, struct str name, struct error *err)
{
	(void)ctx, (void)oid, (void)schema, (void)name, (void)err;
	return 1;
}

static int setup(void **state)
{
	static const struct tables_config config = { "erp", "postgresql", "erp", NULL, 0 };
	struct fixture *f = xcalloc(1, sizeof *f);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pthread_t thread;
	char conninfo[160];

	snprintf(f->dir, sizeof(f->dir), "/tmp/tailrace-stream-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(a.sun_path, sizeof a.sun_path, "%s/.s.PGSQL.5432", f->dir);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(f->listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, greet, f), 0);
	snprintf(conninfo, sizeof conninfo,
		 "host=%s port=5432 user=u dbname=d sslmode=disable gssencmode=disable", f->dir);
	f->log = (struct pg_log){ .system = SYSTEM, .timeline = 1 };
	f->tables = tables_new(&config);
	f->stream.log = &f->log;
	f->stream.conn = PQconnectdb(conninfo);
	assert_int_equal(PQstatus(f->stream.conn), CONNECTION_OK);
	PQsetnonblocking(f->stream.conn, 1);
	struct pgoutput_config decoder = { .tables = f->tables,
					   .catalog = { NULL, type, no_key, selected },
					   .epoch = 1,
					   .system = SYSTEM,
					   .timeline = 1 };
	struct pg_stream_options o = { "s", "p", START, 150000, false };

	assert_int_equal(pg_stream_start(&f->stream, &o, &decoder, monotonic_us() + 5000000,
					 &f->err),
			 0);
	pthread_join(thread, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[128];

	pg_stream_release(&f->stream);
	batch_free(&f->batch);
	tables_free(f->tables);
	close(f->fd);
	close(f->listener);
	snprintf(path, sizeof path, "%s/.s.PGSQL.5432", f->dir);
	unlink(path);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* Reads until something came, or for 200 ms. */
static int read_some(struct fixture *f)
{
	batch_empty(&f->batch);
	return pg_stream_read(&f->stream, &f->batch, monotonic_us() + 200000, &f->err);
}

/* EDGE 45: what is reported as flushed is what was acknowledged, never what was merely read. */
static void test_feedback(void **state)
{
	struct fixture *f = *state;

	keepalive(f, 0x2000, true);
	assert_int_equal(read_some(f), 0);
	struct status s = next_status(f);

	assert_true(s.written == 0x2000 && s.flushed == 0 && s.applied == 0 && !s.reply);
	assert_int_equal(f->batch.nchanges, 1);
	assert_int_equal(f->batch.changes[0].op, CHANGE_HEARTBEAT);
	assert_true(f->batch.changes[0].pos.offset == 0x1fff);
	assert_true(f->batch.changes[0].pos.row == POSITION_BETWEEN);
	assert_string_equal(f->batch.changes[0].resume.p,
			    "{\"system\":\"7301\",\"timeline\":1,\"lsn\":\"0/2000\"}");
	/* never beyond what was given, never backwards */
	assert_int_equal(pg_stream_ack(&f->stream, 0x9000, &f->err), 0);
	assert_int_equal(pg_stream_ack(&f->stream, 0x1800, &f->err), 0);
	keepalive(f, 0x2000, true);
	assert_int_equal(read_some(f), 0);
	do
		s = next_status(f);
	while (s.flushed == 0);
	assert_true(s.flushed == 0x2000 && s.applied == 0x2000);
	assert_int_equal(f->batch.nchanges, 0); /* it did not move */
}

/* EDGE 45: a keepalive while a transaction is open moves nothing. */
static void test_open_transaction(void **state)
{
	struct fixture *f = *state;

	f->stream.target = 0x2000;
	begin(f, 0x2100);
	insert(f, 0x2050);
	keepalive(f, 0x2090, false);
	assert_int_equal(read_some(f), 0);
	assert_int_equal(f->batch.nchanges, 2);
	assert_int_equal(f->batch.changes[1].op, CHANGE_INSERT);
	assert_false(pg_stream_caught_up(&f->stream));
	assert_int_equal(pg_stream_ack(&f->stream, 0x2090, &f->err), 0);
	assert_true(f->stream.acked == START);
	commit(f, 0x2100, 0x2130);
	assert_int_equal(read_some(f), 0);
	assert_int_equal(f->batch.nchanges, 1);
	assert_int_equal(f->batch.changes[0].op, CHANGE_COMMIT);
	assert_true(pg_stream_caught_up(&f->stream));
	assert_int_equal(pg_stream_ack(&f->stream, 0x2130, &f->err), 0);
	assert_true(f->stream.acked == 0x2130);
}

/* EDGE 43: transactions of which nothing is ours move the position, at most once a second. */
static void test_empty_transactions(void **state)
{
	struct fixture *f = *state;
	size_t beats = 0;

	for (uint64_t lsn = 0x2000; lsn < 0x4000; lsn += 0x100) {
		begin(f, lsn);
		commit(f, lsn, lsn + 0x30);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(read_some(f), 0);
		beats += f->batch.nchanges;
	}
	assert_int_equal(beats, 1);
	assert_true(f->stream.seen == 0x3f30);
}

/* EDGE 48: while nothing is read the server still hears from us. */
static void test_held_back(void **state)
{
	struct fixture *f = *state;

	f->stream.server_timeout = 300000;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pg_stream_ack(&f->stream, 0, &f->err), 0);
		assert_false(waiting(f, 0));
		usleep(110000);
		assert_int_equal(pg_stream_ack(&f->stream, 0, &f->err), 0);
		struct status s = next_status(f);

		assert_true(s.flushed == 0 && !s.reply);
	}
}

/* EDGE 48: a server that shuts down asks again as soon as it is answered. */
static void test_stopping(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++) {
		assert_int_equal(pg_stream_stopping(&f->stream), i > 4);
		keepalive(f, 0x2000, true);
		assert_int_equal(read_some(f), 0);
		(void)next_status(f);
	}
	assert_int_equal(pg_stream_ack(&f->stream, 0x2000, &f->err), 0);
	assert_true(next_status(f).flushed == 0x2000); /* at once */
}

/* Before the target is seen the server is asked where it is. */
static void test_asks(void **state)
{
	struct fixture *f = *state;

	f->stream.target = 0x2000;
	assert_int_equal(read_some(f), 0);
	assert_true(next_status(f).reply);
	keepalive(f, 0x2000, false);
	assert_int_equal(read_some(f), 0);
	assert_true(pg_stream_caught_up(&f->stream));
	assert_int_equal(f->batch.nchanges, 1); /* the heartbeat that says so */
}

static void test_errors(void **state)
{
	static const struct {
		const char *sqlstate;
		enum error_kind kind;
		int exit;
		const char *says;
	} cases[] = {
		/* EDGE 28 */
		{ "42704", ERR_FATAL, EXIT_FAILED, "put it back" },
		/* EDGE 56 */
		{ "58P01", ERR_FATAL, EXIT_LOG_GONE, "load the tables anew" },
		/* EDGE 41, EDGE 42 */
		{ "22021", ERR_FATAL, EXIT_FAILED, "cannot be converted" },
		{ "57P01", ERR_RETRY, EXIT_FAILED, "what the server said" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture *own;

		assert_int_equal(setup((void **)&own), 0);
		server_error(own, cases[i].sqlstate, "what the server said");
		assert_int_equal(read_some(own), -1);
		assert_int_equal(own->err.kind, cases[i].kind);
		assert_int_equal(error_exit(&own->err), cases[i].exit);
		assert_non_null(strstr(own->err.text, cases[i].says));
		assert_non_null(strstr(own->err.text, "slot \"s\": what the server said"));
		(void)teardown((void **)&own);
	}
}

static void test_unknown_message(void **state)
{
	struct fixture *f = *state;

	message(f->fd, 'd', "z123", 4);
	assert_int_equal(read_some(f), -1);
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_non_null(strstr(f->err.text, "0x7a"));
}

static void test_truncated_message(void **state)
{
	struct fixture *f = *state;

	message(f->fd, 'd', "k\0\0\0", 4);
	assert_int_equal(read_some(f), -1);
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_non_null(strstr(f->err.text, "truncated"));
}

/* What came before the connection broke is given first. */
static void test_cut(void **state)
{
	struct fixture *f = *state;

	begin(f, 0x2100);
	insert(f, 0x2050);
	commit(f, 0x2100, 0x2130);
	shutdown(f->fd, SHUT_RDWR);
	assert_int_equal(read_some(f), 0);
	assert_int_equal(f->batch.nchanges, 3);
	assert_int_equal(read_some(f), -1);
	assert_int_equal(f->err.kind, ERR_RETRY);
}

/* EDGE 57: a commit before the fork keeps the old epoch. */
static void test_epoch(void **state)
{
	struct fixture *f = *state;
	struct pg_fork fork = { 1, 0x3000 };

	f->log.timeline = 2;
	f->log.forks = &fork;
	f->log.nforks = 1;
	for (uint64_t lsn = 0x2fff; lsn <= 0x3000; lsn++) {
		begin(f, lsn);
		insert(f, lsn);
		commit(f, lsn, lsn + 1);
	}
	assert_int_equal(read_some(f), 0);
	assert_int_equal(f->batch.nchanges, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(f->batch.changes[i].pos.epoch, i < 3 ? 1 : 2);
}

static void test_start_text(void **state)
{
	static const struct {
		struct pg_stream_options o;
		const char *text;
	} cases[] = {
		{ { "s", "p", 0x16B3748, 100023, true },
		  "START_REPLICATION SLOT \"s\" LOGICAL 0/16B3748 (proto_version '1', "
		  "publication_names "
		  "'\"p\"')" },
		{ { "s", "it's \"p\"", 0, 140000, false },
		  "START_REPLICATION SLOT \"s\" LOGICAL 0/0 (proto_version '1', publication_names "
		  "'\"it''s \"\"p\"\"\"', messages 'true')" },
		{ { "s", "p", 0, 180000, true },
		  "START_REPLICATION SLOT \"s\" LOGICAL 0/0 (proto_version '1', publication_names "
		  "'\"p\"', binary 'true', messages 'true')" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(buf) struct buf sql = { 0 };

		pg_stream_sql(&cases[i].o, &sql);
		assert_string_equal(buf_z(&sql), cases[i].text);
	}
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_feedback),
		WITH_SERVER(test_open_transaction),
		WITH_SERVER(test_empty_transactions),
		WITH_SERVER(test_held_back),
		WITH_SERVER(test_stopping),
		WITH_SERVER(test_asks),
		cmocka_unit_test(test_errors),
		WITH_SERVER(test_unknown_message),
		WITH_SERVER(test_truncated_message),
		WITH_SERVER(test_cut),
		WITH_SERVER(test_epoch),
		cmocka_unit_test(test_start_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
