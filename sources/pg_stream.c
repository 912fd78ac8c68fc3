/*
 * pg_stream.c - the replication stream of a logical slot
 *
 * Within the copy (all integers big-endian, times in microseconds since 2000-01-01):
 *	'w'  u64 start, u64 end, s64 time, payload	a message of the output plugin
 *	'k'  u64 end, s64 time, u8 reply asked for	keepalive: everything before `end` was sent
 *	'r'  u64 written, u64 flushed, u64 applied, s64 time, u8 reply asked for	ours
 *
 * A walsender sends each change by itself.  While the stream is busy we nap for 150 microseconds
 * before we look again: fewer wake-ups on both sides for the same bytes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "pg_stream.h"

#define MS              INT64_C(1000)
#define SECOND          INT64_C(1000000)
#define BATCH_BYTES     ((size_t)128 * 1024)
#define BATCH_CHANGES   ((size_t)2000)
#define NAP_US          150
#define NAP_BELOW       ((size_t)8 * 1024)
#define STATUS_EACH     (10 * SECOND) /* at least, less with a short wal_sender_timeout */
#define TELL_EACH       (250 * MS)    /* at most, when what is acknowledged moves */
#define ASK_EACH        (50 * MS)
#define BEAT_EACH       SECOND
#define HASTEN_EACH     (5 * MS)
#define PATIENCE_MIN    (60 * SECOND)
#define PATIENCE_MAX    (3600 * SECOND)
#define BEGGED_STOPPING 5
#define BEGGED_WITHIN   (200 * MS)
#define EPOCH_2000      (INT64_C(946684800) * SECOND)

/* --- feedback --- */

static void put_u64be(uint8_t *to, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		to[i] = (uint8_t)v;
}

static int lost(struct pg_stream *s, struct error *err)
{
	return pg_fail(NULL, s->conn, s->where, err);
}

/* Queues a status and pushes what the socket takes.  `reply`: the server answers with a keepalive. */
static int send_status(struct pg_stream *s, bool reply, int64_t now, struct error *err)
{
	uint8_t m[34] = { 'r' };

	put_u64be(m + 1, s->seen > s->acked ? s->seen : s->acked);
	put_u64be(m + 9, s->acked);
	put_u64be(m + 17, s->acked);
	put_u64be(m + 25, (uint64_t)(wall_clock_us() - EPOCH_2000));
	m[33] = reply;
	int rc = PQputCopyData(s->conn, (const char *)m, sizeof m);

	if (rc < 0 || PQflush(s->conn) < 0)
		return lost(s, err);
	if (rc == 0)
		return 0; /* no room: the next one says it */
	s->told = s->acked;
	s->told_at = now;
	if (reply)
		s->asked_at = now;
	return 0;
}

static int64_t status_interval(const struct pg_stream *s)
{
	int64_t third = s->server_timeout / 3;

	return third > 0 && third < STATUS_EACH ? third : STATUS_EACH;
}

static int send_due(struct pg_stream *s, int64_t now, struct error *err)
{
	int64_t since = now - s->told_at;
	bool moved = s->acked != s->told;

	if (since >= status_interval(s) || (moved && (since >= TELL_EACH || pg_stream_stopping(s))))
		return send_status(s, false, now, err);
	if (PQflush(s->conn) < 0)
		return lost(s, err);
	return 0;
}

/* --- messages --- */

/* Is the transaction's epoch older than the server's timeline? Then the decoder could not know. */
static void set_epochs(const struct pg_stream *s, struct batch *b, size_t first)
{
	if (s->log->nforks == 0)
		return;
	for (size_t i = first; i < b->nchanges; i++)
		b->changes[i].pos.epoch = pg_log_epoch(s->log, b->changes[i].pos.offset);
}

/*
 * The decoder gives a heartbeat for each transaction of which nothing is ours.  One a second is
 * enough: pg_stream_read() gives it.
 */
static void drop_heartbeat(struct pg_stream *s, struct batch *b, size_t first)
{
	if (b->nchanges == first + 1 && b->changes[first].op == CHANGE_HEARTBEAT)
		b->nchanges = first;
	else if (b->nchanges > first && b->changes[b->nchanges - 1].op == CHANGE_COMMIT)
		s->given = pgoutput_last_end(s->decoder);
}

static int take_data(struct pg_stream *s, struct cursor *c, struct batch *b, struct error *err)
{
	uint64_t start = get_u64be(c);
	size_t first = b->nchanges;

	(void)get_u64be(c);
	s->server_us = (int64_t)get_u64be(c) + EPOCH_2000;
	if (c->bad)
		return fail(err, ERR_FATAL, "%s: truncated message", s->where);
	struct str payload = { (const char *)c->p, cursor_left(c) };

	s->begged = 0;
	if (start)
		s->last_lsn = start;
	if (pgoutput_decode(s->decoder, payload, start, b, err))
		return error_prefix(err, "%s", s->where);
	if (!pgoutput_in_transaction(s->decoder) && pgoutput_last_end(s->decoder) > s->seen)
		s->seen = pgoutput_last_end(s->decoder);
	drop_heartbeat(s, b, first);
	set_epochs(s, b, first);
	return 0;
}

static int take_keepalive(struct pg_stream *s, struct cursor *c, int64_t now, struct error *err)
{
	uint64_t end = get_u64be(c);

	s->server_us = (int64_t)get_u64be(c) + EPOCH_2000;
	bool reply = get_u8(c) != 0;

	if (c->bad)
		return fail(err, ERR_FATAL, "%s: truncated keepalive", s->where);
	if (!pgoutput_in_transaction(s->decoder) && end > s->seen)
		s->seen = end;
	if (!reply)
		return 0;
	bool again = end == s->begged_end && now - s->begged_at < BEGGED_WITHIN;

	s->begged = again ? s->begged + 1 : 1;
	s->begged_at = now;
	s->begged_end = end;
	/* a server that shuts down asks again as soon as it is answered, until everything is flushed */
	if (pg_stream_stopping(s) && s->acked == s->told)
		(void)poll(NULL, 0, 5);
	return send_status(s, false, now, err);
}

/* One message.  Its bytes go to the batch if a change points into them. */
static int take(struct pg_stream *s, char *bytes, size_t n, struct batch *b, int64_t now,
		struct error *err)
{
	struct cursor c = cursor_of((struct str){ bytes, n });
	uint8_t kind = get_u8(&c);
	size_t before = b->nchanges;
	int rc;

	if (kind == 'w')
		rc = take_data(s, &c, b, err);
	else if (kind == 'k')
		rc = take_keepalive(s, &c, now, err);
	else
		rc = fail(err, ERR_FATAL,
			  "%s: unknown message '%c' (0x%02x) in the stream after %X/%X; this "
			  "server speaks a newer protocol: upgrade tailrace",
			  s->where, kind >= 32 && kind < 127 ? kind : '?', kind,
			  (unsigned)(s->last_lsn >> 32), (unsigned)s->last_lsn);
	if (b->nchanges > before)
		arena_adopt(&b->arena, bytes, n, PQfreemem);
	else
		PQfreemem(bytes);
	return rc;
}

/* Appends what to do to an error that waiting does not cure. */
static int remedy(struct error *err, int exit, const char *text)
{
	size_t n = strlen(err->text);

	err->kind = ERR_FATAL;
	err->exit = exit;
	snprintf(err->text + n, sizeof err->text - n, "; %s", text);
	return -1;
}

static const char publication_remedy[] = "it was dropped or renamed while it was streamed: put it "
					 "back under that name. What changed "
					 "while it was gone cannot be read: if it is back already, "
					 "drop the slot and load the tables anew";

/*
 * From 18 on a walsender that misses the publication says so in a warning and goes on without the
 * changes.  It comes before whatever it leaves out.
 */
static void on_stream_notice(void *ctx, const PGresult *r)
{
	struct pg_stream *s = ctx;
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (pg_error_is(r, "55000"))
		s->skipping = true;
	log_debug("server notice", "text", text ? text : "", NULL);
}

static int skipped(struct pg_stream *s, struct error *err)
{
	char at[PG_LSN_TEXT];

	(void)fail(err, ERR_FATAL, "%s: the server finds no publication for what follows %s",
		   s->where, pg_lsn_text(s->last_lsn, at));
	return remedy(err, EXIT_FAILED, publication_remedy);
}

/* The copy ended: what did the server say? */
static int ended(struct pg_stream *s, struct error *err)
{
	char at[PG_LSN_TEXT];
	int64_t deadline = monotonic_us() + SECOND;

	while (PQisBusy(s->conn) && pg_wait(s->conn, deadline) > 0)
		if (!PQconsumeInput(s->conn))
			break;
	AUTO(PGresult) PGresult *r = PQisBusy(s->conn) ? NULL : PQgetResult(s->conn);

	if (!r || PQresultStatus(r) != PGRES_FATAL_ERROR)
		return r ? fail(err, ERR_RETRY, "%s: the server ended the stream", s->where)
			 : lost(s, err);
	(void)pg_fail(r, s->conn, s->where, err);
	if (pg_error_is(r, "58P01"))
		return remedy(err, EXIT_LOG_GONE,
			      "the slot is of no more use: load the tables anew");
	if (pg_error_is(r, "42704"))
		return remedy(err, EXIT_FAILED, publication_remedy);
	if (pg_error_is(r, "22021") || pg_error_is(r, "22P05")) {
		char text[160];

		snprintf(
			text, sizeof text,
			"a row after %s in the log cannot be converted: exclude its table from the "
			"publication until the slot is past it",
			pg_lsn_text(s->last_lsn, at));
		return remedy(err, EXIT_FAILED, text);
	}
	return -1;
}

static bool full(const struct batch *b)
{
	return b->arena.used >= BATCH_BYTES || b->nchanges >= BATCH_CHANGES;
}

/* Takes what libpq has in memory.  Bytes taken, or -1. */
static ssize_t drain(struct pg_stream *s, struct batch *b, int64_t now, struct error *err)
{
	ssize_t bytes = 0;

	while (!full(b)) {
		char *m = NULL;
		int n = PQgetCopyData(s->conn, &m, 1);

		if (s->skipping) {
			PQfreemem(m);
			return skipped(s, err);
		}
		if (n == 0)
			break;
		if (n < 0)
			return ended(s, err);
		bytes += n;
		if (take(s, m, (size_t)n, b, now, err))
			return -1;
	}
	if (bytes) {
		s->data_at = now;
		s->quiet_since = 0;
		s->drained += (size_t)bytes;
	}
	return bytes;
}

/* --- reading --- */

/* The log moved and nothing is open: say so, seldom unless somebody waits for it. */
static void give_heartbeat(struct pg_stream *s, struct batch *b, int64_t now)
{
	bool waited_for = s->hastened || pg_stream_stopping(s) ||
			  (s->given < s->target && s->seen >= s->target);

	if (s->seen <= s->given || pgoutput_in_transaction(s->decoder) ||
	    (!waited_for && now - s->beat_at < BEAT_EACH))
		return;
	struct position pos = { pg_log_epoch(s->log, s->seen - 1), 0, s->seen - 1,
				POSITION_BETWEEN };
	struct change *c = batch_add(b, CHANGE_HEARTBEAT, NULL, pos);

	c->resume = pg_resume_format(&b->arena, s->log->system, s->log->timeline, s->seen);
	c->commit_us = s->server_us;
	s->given = s->seen;
	s->beat_at = now;
	s->hastened = false;
}

/* Nothing came: is anybody there? */
static int mind_silence(struct pg_stream *s, int64_t now, struct error *err)
{
	/* a question that is not answered yet is not repeated soon */
	bool eager = !pg_stream_caught_up(s) && s->data_at >= s->asked_at;
	int64_t each = eager ? ASK_EACH : STATUS_EACH;

	if (!s->quiet_since)
		s->quiet_since = now;
	if (now - s->quiet_since > s->patience) {
		int64_t seconds = s->patience / SECOND;

		/* one huge transaction that is not ours can keep an old server silent: wait longer next time */
		s->patience = s->patience * 2 > PATIENCE_MAX ? PATIENCE_MAX : s->patience * 2;
		return fail(err, ERR_RETRY, "%s: the server has not answered for %lld s", s->where,
			    (long long)seconds);
	}
	if (now - s->asked_at >= each && now - s->quiet_since >= each)
		return send_status(s, true, now, err);
	return 0;
}

/* Waits for bytes: 1 there are some, 0 not until the deadline, -1. */
static int wait_bytes(struct pg_stream *s, int64_t deadline, struct error *err)
{
	for (;;) {
		int64_t now = monotonic_us(), until = deadline;

		if (!pg_stream_caught_up(s) && until > now + ASK_EACH)
			until = now + ASK_EACH;
		if (until > now + 200 * MS)
			until = now + 200 * MS;
		int ready = pg_wait(s->conn, until);

		if (ready < 0)
			return lost(s, err);
		if (ready > 0)
			return 1;
		now = monotonic_us();
		if (mind_silence(s, now, err) || send_due(s, now, err))
			return -1;
		if (now >= deadline ||
		    (s->seen > s->given && (s->hastened || now - s->beat_at >= BEAT_EACH)))
			return 0;
	}
}

static ssize_t consume(struct pg_stream *s, struct batch *b, struct error *err)
{
	if (!PQconsumeInput(s->conn)) {
		/* what came before the end was still taken in */
		if (drain(s, b, monotonic_us(), err) < 0)
			return -1;
		return b->nchanges ? 1 : lost(s, err);
	}
	return drain(s, b, monotonic_us(), err);
}

int pg_stream_read(struct pg_stream *s, struct batch *b, int64_t deadline, struct error *err)
{
	int64_t now = monotonic_us();
	bool busy = s->drained && s->drained < NAP_BELOW && now - s->data_at < MS;
	ssize_t got;

	if (now - s->read_at > 2 * SECOND)
		s->quiet_since = 0; /* we did not listen */
	s->read_at = now;
	s->drained = 0;
	if (send_due(s, now, err) || (got = drain(s, b, now, err)) < 0)
		return -1;
	if (busy && !full(b) && usleep(NAP_US) == 0 && consume(s, b, err) < 0)
		return -1;
	while (!full(b) && s->drained == 0 && b->nchanges == 0) {
		int ready = wait_bytes(s, deadline, err);

		if (ready < 0 || (ready > 0 && consume(s, b, err) < 0))
			return -1;
		if (ready == 0 || monotonic_us() >= deadline)
			break;
	}
	give_heartbeat(s, b, monotonic_us());
	return 0;
}

int pg_stream_ack(struct pg_stream *s, uint64_t lsn, struct error *err)
{
	uint64_t most = s->given > s->from ? s->given : s->from;

	if (lsn > most)
		lsn = most;
	if (lsn > s->acked)
		s->acked = lsn;
	return send_due(s, monotonic_us(), err);
}

void pg_stream_hasten(struct pg_stream *s)
{
	struct error ignored; /* the next read has the same trouble, and says so */
	int64_t now = monotonic_us();

	s->hastened = true;
	if (now - s->hastened_at < HASTEN_EACH)
		return;
	s->hastened_at = now;
	(void)!send_status(s, true, now, &ignored);
}

bool pg_stream_caught_up(const struct pg_stream *s)
{
	return s->seen >= s->target && s->given >= s->target;
}

bool pg_stream_stopping(const struct pg_stream *s)
{
	return s->begged >= BEGGED_STOPPING;
}

/* --- start and stop --- */

void pg_stream_sql(const struct pg_stream_options *o, struct buf *out)
{
	AUTO(buf) struct buf name = { 0 };
	char lsn[PG_LSN_TEXT];

	buf_adds(out, "START_REPLICATION SLOT ");
	pg_ident(out, o->slot);
	buf_addf(out, " LOGICAL %s (proto_version '1', publication_names ",
		 pg_lsn_text(o->lsn, lsn));
	pg_ident(&name, o->publication); /* a list of identifiers, within a literal */
	pg_literal(out, buf_z(&name));
	/* an unknown option is an error; protocol 2 and up only add what we do not ask for */
	if (o->version >= 140000)
		buf_addf(out, "%s, messages 'true'", o->binary ? ", binary 'true'" : "");
	buf_addc(out, ')');
}

int pg_stream_start(struct pg_stream *s, const struct pg_stream_options *o,
		    const struct pgoutput_config *decoder, int64_t deadline, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	int64_t now = monotonic_us();

	pgoutput_free(s->decoder);
	s->decoder = pgoutput_new(decoder);
	free(s->where);
	s->where = xasprintf("slot \"%s\"", o->slot);
	pg_stream_sql(o, &sql);
	s->skipping = false;
	PQsetNoticeReceiver(s->conn, on_stream_notice, s);
	if (!PQsendQuery(s->conn, buf_z(&sql)))
		return pg_fail(NULL, s->conn, "cannot start replication", err);
	AUTO(PGresult) PGresult *r = pg_await(s->conn, deadline, "cannot start replication", err);

	if (!r)
		return -1;
	if (PQresultStatus(r) != PGRES_COPY_BOTH)
		return fail(err, ERR_FATAL, "cannot start replication: no stream but %s",
			    PQresStatus(PQresultStatus(r)));
	int64_t patience = s->server_timeout ? 2 * s->server_timeout : 300 * SECOND;

	if (s->patience < patience)
		s->patience = patience;
	if (s->patience < PATIENCE_MIN)
		s->patience = PATIENCE_MIN;
	s->from = s->given = s->seen = s->last_lsn = o->lsn;
	s->begged = 0;
	s->told = 0;
	s->told_at = s->data_at = s->read_at = now;
	s->asked_at = s->quiet_since = s->beat_at = 0;
	s->drained = 0;
	s->hastened = false;
	return 0;
}

void pg_stream_stop(struct pg_stream *s)
{
	struct error ignored;
	int64_t deadline = monotonic_us() + SECOND;

	if (s->conn && s->decoder && PQstatus(s->conn) == CONNECTION_OK) {
		int left =
			s->told != s->acked ? send_status(s, false, monotonic_us(), &ignored) : 0;

		if (left == 0 && PQputCopyEnd(s->conn, NULL) > 0)
			while (PQflush(s->conn) > 0 && monotonic_us() < deadline)
				(void)poll(&(struct pollfd){ PQsocket(s->conn), POLLOUT, 0 }, 1,
					   50);
	}
	PQfinish(s->conn);
	s->conn = NULL;
	pgoutput_free(s->decoder);
	s->decoder = NULL;
}

void pg_stream_release(struct pg_stream *s)
{
	pg_stream_stop(s);
	free(s->where);
	s->where = NULL;
}
