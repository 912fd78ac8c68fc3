/*
 * mysql_stream.c - the binary log as it comes from the server, decoded
 *
 * A dump begins by GTIDs where the server has them, which is right whatever files it has; otherwise by file and
 * position.  The session tells the server what we can take, in user variables, as a replica does:
 *	@master_binlog_checksum, @source_binlog_checksum	events come with their checksum
 *	@slave_uuid, @replica_uuid	a dump under the same one is ended: our own dead one
 *	MariaDB: @mariadb_slave_capability (4: GTIDs), @slave_connect_state (where to begin), @slave_gtid_strict_mode
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "mysql_stream.h"

#define MS            INT64_C(1000)
#define SECOND        INT64_C(1000000)
#define PATIENCE      (20 * SECOND) /* an idle server is heard of twice a second */
#define BATCH_BYTES   ((size_t)512 * 1024)
#define BATCH_CHANGES ((size_t)4000)

static int set_session(struct mysql_conn *c, const struct mysql_stream_options *o,
		       struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };

	buf_addf(&sql,
		 "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', "
		 "@slave_uuid = '%s', @replica_uuid = '%s'",
		 o->uuid, o->uuid);
	if (o->server->mariadb) {
		buf_adds(&sql, ", @mariadb_slave_capability = 4");
		if (o->from->gtid) {
			buf_adds(
				&sql,
				", @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0, "
				"@slave_connect_state = ");
			mysql_quote(c, &sql, o->from->gtid);
		}
	}
	return mysql_command(c, buf_z(&sql), err);
}

/* What the dump is asked for; `set` owns the encoded set. */
static int make_dump(const struct mysql_stream_options *o, struct binlog_dump *out, struct buf *set,
		     struct error *err)
{
	const struct mysql_resume *from = o->from;

	*out = (struct binlog_dump){ .server_id = o->server_id,
				     .file = from->file,
				     .pos = from->pos };
	/* The protocol has 32 bits for it: what comes before our place then is skipped by us. */
	if (out->pos > UINT32_MAX)
		out->pos = BINLOG_FIRST;
	if (!from->gtid)
		return 0;
	out->file = "";
	out->pos = BINLOG_FIRST;
	if (o->server->mariadb)
		return 0;
	AUTO(gtid_set) struct gtid_set *s = gtid_set_parse(false, from->gtid, err);

	if (!s)
		return -1;
	gtid_set_encode(s, set);
	out->gtid = (struct str){ buf_z(set), set->n };
	return 0;
}

int mysql_stream_start(struct mysql_stream *s, struct mysql_conn *conn,
		       const struct mysql_stream_options *o, struct error *err)
{
	AUTO(buf) struct buf set = { 0 };
	struct binlog_dump dump;

	mysql_stream_stop(s);
	s->conn = conn;
	free(s->file);
	s->file = xstrdup(o->server->file);
	s->pos = o->server->pos;
	s->begun = false;
	s->heard = s->read_at = monotonic_us();
	if (binlog_begin(s->decoder, o->server->mariadb, o->from, o->skip, err) ||
	    set_session(conn, o, err) || make_dump(o, &dump, &set, err))
		return -1;
	return binlog_dump_start(conn, &dump, err);
}

static bool full(const struct batch *b)
{
	return b->arena.used >= BATCH_BYTES || b->nchanges >= BATCH_CHANGES;
}

static int check_silence(struct mysql_stream *s, int64_t now, struct error *err)
{
	if (now - s->heard < PATIENCE)
		return 0;
	return fail(err, ERR_RETRY, "nothing was heard of the server at %s for %d s",
		    mysql_conn_where(s->conn), (int)((now - s->heard) / SECOND));
}

static int wait_ms(const struct batch *b, int64_t now, int64_t deadline)
{
	return b->nchanges || now >= deadline ? 0 : (int)((deadline - now + MS - 1) / MS);
}

int mysql_stream_read(struct mysql_stream *s, struct batch *b, int64_t deadline, struct error *err)
{
	int64_t now = monotonic_us();

	if (now - s->read_at > 2 * SECOND)
		s->heard = now; /* we did not listen */
	s->read_at = now;
	if (binlog_more(s->decoder))
		return binlog_go_on(s->decoder, b, err);
	do {
		struct str event;
		int wait = wait_ms(b, now, deadline);
		int got = binlog_dump_next(s->conn, wait, &event, err);

		now = monotonic_us();
		if (got < 0)
			return -1;
		if (got == 2)
			return fail(err, ERR_RETRY, "the server at %s ended its binary log",
				    mysql_conn_where(s->conn));
		if (got == 0)
			return check_silence(s, now, err);
		s->heard = now;
		s->begun = true;
		if (binlog_decode(s->decoder, event, b, err))
			return -1;
	} while (!full(b) && !binlog_more(s->decoder) && now < deadline);
	return 0;
}

bool mysql_stream_caught_up(const struct mysql_stream *s)
{
	struct str file;
	uint64_t pos;

	if (!s->conn || !s->begun || binlog_in_transaction(s->decoder) || binlog_more(s->decoder))
		return false;
	binlog_place(s->decoder, &file, &pos);
	uint32_t have = binlog_file_number(file), want = binlog_file_number(str_z(s->file));

	return have > want || (have == want && pos >= s->pos);
}

void mysql_stream_stop(struct mysql_stream *s)
{
	mysql_close_conn(s->conn);
	s->conn = NULL;
}

void mysql_stream_release(struct mysql_stream *s)
{
	mysql_stream_stop(s);
	binlog_free(s->decoder);
	s->decoder = NULL;
	free(s->file);
	s->file = NULL;
}
