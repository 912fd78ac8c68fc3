/*
 * binlog.c - a stream of binlog events as changes: where we are, groups, statements
 *
 * A group is what commits together, as the log has it:
 *	MySQL	GTID or ANONYMOUS_GTID (before 5.7 without GTIDs: nothing), QUERY "BEGIN", table maps and rows, XID or
 *		QUERY "COMMIT"; a statement that commits by itself stands alone; a payload has the group but its GTID
 *	MariaDB	MARIA_GTID, which is the BEGIN, table maps and rows, XID or QUERY "COMMIT"; flag: stands alone
 *	XA	... QUERY "XA START", rows, QUERY "XA END", XA_PREPARE; later a group of its own, QUERY "XA COMMIT"
 *
 * Rows are passed on as they come.  What the log takes back (ROLLBACK, ROLLBACK TO SAVEPOINT of a group in which
 * a non-transactional table was written) cannot be taken back then: the group is read again, held until its end,
 * as others for a while, and only what stays is passed on.  The rows of an XA transaction are held until XA COMMIT.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "binlog_group.h"
#include "log.h"
#include "mysql_charset.h"

#define QUERY_MAX ((size_t)64 << 20) /* a compressed statement that is longer is refused */
#define PIECE     ((size_t)4 << 20)  /* bytes of a batch at which the rest waits for the next */

struct binlog *binlog_new(const struct binlog_config *c)
{
	struct binlog *d = xcalloc(1, sizeof *d);

	d->config = *c;
	d->plans.config = &d->config;
	hold_init(&d->group.hold, c->side_dir, c->hold_memory);
	return d;
}

void binlog_free(struct binlog *d)
{
	if (!d)
		return;
	binlog_group_reset(d);
	binlog_temporary_clear(&d->temporary);
	binlog_plans_free(&d->plans);
	gtid_set_free(d->set);
	free(d->server);
	free(d->file);
	free(d);
}

int binlog_begin(struct binlog *d, bool mariadb, const struct mysql_resume *from,
		 const struct position *skip, struct error *err)
{
	binlog_group_reset(d);
	binlog_temporary_clear(&d->temporary);
	binlog_plans_forget(&d->plans, NULL, NULL); /* it may be another server */
	gtid_set_free(d->set);
	free(d->server);
	free(d->file);
	d->set = NULL;
	d->mariadb = mariadb;
	d->server = xstrdup(from->server ? from->server : "");
	d->file = xstrdup(from->file ? from->file : "");
	d->number = binlog_file_number(str_z(d->file));
	d->epoch = from->epoch;
	d->end = from->pos;
	d->skip = skip ? *skip : (struct position){ 0 };
	d->have_format = false;
	if (!from->gtid)
		return 0;
	d->set = gtid_set_parse(mariadb, from->gtid, err);
	return d->set ? 0 : -1;
}

bool binlog_in_transaction(const struct binlog *d)
{
	return d->group.open;
}

void binlog_place(const struct binlog *d, struct str *file, uint64_t *pos)
{
	*file = str_z(d->file);
	*pos = d->end;
}

/* --- statements --- */

/* Names in the statement's own character set, as information_schema and table maps have them. */
static struct str statement_text(const struct binlog_query *q, struct arena *a)
{
	const struct charset *c = charset_by_collation(q->charset);
	struct str text = q->sql;

	if (c)
		(void)charset_to_utf8(c, q->sql, a, &text);
	return text;
}

static bool captured(const struct binlog *d, struct str db, struct str table)
{
	const struct binlog_catalog *catalog = &d->config.catalog;

	return table.n && catalog->selected(catalog->ctx, db, table);
}

static void give_truncate(struct binlog *d, const struct mysql_ddl_item *i, struct batch *b)
{
	const struct table *t = tables_latest(d->config.tables, i->db, i->table);

	d->group.pos.row++;
	if (!t || d->group.skip)
		return; /* no row of it was ever passed on */
	binlog_group_begin_given(d, b);
	struct change *c = batch_add(b, CHANGE_TRUNCATE, t, d->group.pos);

	c->xid = d->group.xid;
	c->commit_us = d->group.commit_us;
}

static int on_ddl(struct binlog *d, const struct mysql_statement_info *s, struct batch *b,
		  struct error *err)
{
	const struct binlog_catalog *catalog = &d->config.catalog;

	for (size_t i = 0; i < s->nitems; i++) {
		const struct mysql_ddl_item *item = &s->items[i];

		if (item->kind == MYSQL_TRUNCATE && captured(d, item->db, item->table))
			give_truncate(d, item, b);
		if (item->kind == MYSQL_DROP_DATABASE || item->kind == MYSQL_ALTER_DATABASE)
			binlog_plans_forget(&d->plans, &item->db, NULL);
		else
			binlog_plans_forget(&d->plans, &item->db, &item->table);
		if (item->kind == MYSQL_RENAME)
			binlog_plans_forget(&d->plans, &item->to_db, &item->to);
	}
	if (s->what == MYSQL_UNKNOWN)
		binlog_plans_forget(&d->plans, NULL, NULL);
	return catalog->changed(catalog->ctx, &d->group.pos, s, err);
}

/* The rows that such a statement changed are not in the log. */
static int on_dml(struct binlog *d, const struct mysql_statement_info *s, struct error *err)
{
	const struct binlog_catalog *catalog = &d->config.catalog;

	for (size_t i = 0; i < s->nitems && !d->group.skip; i++) {
		const struct mysql_ddl_item *item = &s->items[i];

		if (captured(d, item->db, item->table))
			return fail(
				err, ERR_FATAL,
				"a statement that changes table %.*s.%.*s was logged as text "
				"(binlog_format was not ROW in that session): its rows are not in "
				"the "
				"log; set binlog_format = ROW on the server, leave the table out "
				"of "
				"source.tables until the log is past this place, then load it anew",
				STR_FMT(item->db), STR_FMT(item->table));
	}
	/* a routine or a view, which may stand for captured tables */
	return d->group.skip ? 0 : catalog->changed(catalog->ctx, &d->group.pos, s, err);
}

static int on_statement(struct binlog *d, const struct mysql_statement_info *s, struct batch *b,
			struct error *err)
{
	switch (s->what) {
	case MYSQL_BEGIN:
		d->group.begun = true;
		return 0;
	case MYSQL_COMMIT:
		binlog_group_end(d, b);
		return 0;
	case MYSQL_ROLLBACK:
		return binlog_group_rollback(d, b, err);
	case MYSQL_SAVEPOINT:
		binlog_savepoint(d, s->name);
		return 0;
	case MYSQL_ROLLBACK_TO:
		return binlog_rollback_to(d, s->name, err);
	case MYSQL_RELEASE:
	case MYSQL_XA_END:
	case MYSQL_XA_PREPARE: /* the event of that name follows */
		return 0;
	case MYSQL_XA_START:
		binlog_xa_start(d, s->name);
		return 0;
	case MYSQL_XA_COMMIT:
		if (!s->one_phase)
			return binlog_xa_commit(d, s->name, b, err);
		binlog_group_end(d, b);
		return 0;
	case MYSQL_XA_ROLLBACK:
		return binlog_xa_rollback(d, s->name, b, err);
	case MYSQL_DDL:
	case MYSQL_UNKNOWN:
		if (!d->group.unaltered && on_ddl(d, s, b, err))
			return -1;
		break;
	case MYSQL_DML:
		if (on_dml(d, s, err))
			return -1;
		break;
	case MYSQL_IGNORED:
		break;
	}
	if (d->mariadb ? d->group.standalone : !d->group.begun && !d->group.xa)
		binlog_group_end(d, b);
	return 0;
}

/*
 * Is it all about temporary tables?  Then it is nothing of ours.  The flag alone does not say so: in a routine it stays
 * set for the statements that follow.
 */
static bool is_temporary(struct binlog *d, const struct binlog_event *e, uint32_t thread,
			 const struct mysql_statement_info *s)
{
	if (s->temporary)
		binlog_temporary_note(&d->temporary, thread, s);
	if (s->temporary || !(e->flags & BINLOG_FLAG_THREAD) || !s->nitems ||
	    (s->what != MYSQL_DDL && s->what != MYSQL_DML))
		return false;
	for (size_t i = 0; i < s->nitems; i++)
		if (!binlog_temporary_has(&d->temporary, thread, s->items[i].db, s->items[i].table))
			return false;
	binlog_temporary_altered(&d->temporary, thread, s);
	return true;
}

static void fold_names(const struct binlog *d, struct mysql_statement_info *s, struct arena *a)
{
	const struct binlog_catalog *catalog = &d->config.catalog;

	for (size_t i = 0; catalog->kept && i < s->nitems; i++) {
		struct mysql_ddl_item *item = &s->items[i];
		struct str *const names[] = { &item->db, &item->table, &item->to_db, &item->to };

		for (size_t k = 0; k < COUNT(names); k++)
			*names[k] = catalog->kept(catalog->ctx, *names[k], a);
	}
}

static int on_query(struct binlog *d, const struct binlog_event *e, struct batch *b,
		    struct error *err)
{
	struct mysql_statement_info s = { 0 };
	struct binlog_query q;

	if (binlog_query_parse(e, &b->arena, QUERY_MAX, &q, err))
		return -1;
	if (!d->group.open)
		binlog_group_open(d, e, NULL);
	if (str_eqz(q.sql, "BEGIN"))
		s.what = MYSQL_BEGIN;
	else if (str_eqz(q.sql, "COMMIT"))
		s.what = MYSQL_COMMIT;
	else
		mysql_statement_read(statement_text(&q, &b->arena), q.db, q.sql_mode, &b->arena,
				     &s);
	fold_names(d, &s, &b->arena);
	if (is_temporary(d, e, q.thread, &s))
		s.what = MYSQL_IGNORED;
	return on_statement(d, &s, b, err);
}

/* --- events --- */

static int on_gtid(struct binlog *d, const struct binlog_event *e, struct error *err)
{
	struct binlog_gtid g;

	if (binlog_gtid_parse(e, &g, err))
		return -1;
	if (d->group.open)
		return fail(err, ERR_FATAL,
			    "a transaction begins before the one at %" PRIu64
			    " has ended: the log is damaged, or of a form that is not known",
			    d->group.pos.offset);
	binlog_group_open(d, e, &g);
	return 0;
}

static int on_incident(const struct binlog_event *e, struct error *err)
{
	struct str message;
	uint16_t number;

	if (binlog_incident_parse(e, &number, &message, err))
		return -1;
	return fail(err, ERR_FATAL,
		    "the server logged an incident (%u %.*s): changes may be missing from its log; "
		    "load "
		    "the tables anew",
		    number, STR_FMT(message));
}

static int on_payload(struct binlog *d, const struct binlog_event *e, struct error *err)
{
	struct binlog_event copy = *e;

	if (d->payload)
		return fail(err, ERR_FATAL, "a payload inside a payload");
	buf_clear(&d->payload_bytes);
	buf_add(&d->payload_bytes, e->body.p, e->body.n);
	copy.body = (struct str){ d->payload_bytes.p, d->payload_bytes.n };
	d->payload = binlog_payload_open(&copy, binlog_event_limit(d), err);
	return d->payload ? 0 : -1;
}

static int unknown(const struct binlog_event *e, struct error *err)
{
	if (e->flags & BINLOG_FLAG_IGNORABLE)
		return 0;
	return fail(err, ERR_FATAL,
		    "an event of type %u (%s) is not known: this server's log is newer than this "
		    "version",
		    e->type, binlog_type_name(e->type));
}

int binlog_group_event(struct binlog *d, const struct binlog_event *e, struct batch *b,
		       struct error *err)
{
	switch (e->type) {
	case BINLOG_QUERY:
	case BINLOG_QUERY_COMPRESSED:
		return on_query(d, e, b, err);
	case BINLOG_GTID:
	case BINLOG_ANONYMOUS_GTID:
	case BINLOG_GTID_TAGGED:
	case BINLOG_MARIA_GTID:
		return on_gtid(d, e, err);
	case BINLOG_XID:
		if (!d->group.open)
			return fail(err, ERR_FATAL, "a commit without its transaction");
		binlog_group_end(d, b);
		return 0;
	case BINLOG_TABLE_MAP:
	case BINLOG_WRITE_V1:
	case BINLOG_UPDATE_V1:
	case BINLOG_DELETE_V1:
	case BINLOG_WRITE:
	case BINLOG_UPDATE:
	case BINLOG_DELETE:
	case BINLOG_PARTIAL_UPDATE:
	case BINLOG_WRITE_COMPRESSED_V1:
	case BINLOG_UPDATE_COMPRESSED_V1:
	case BINLOG_DELETE_COMPRESSED_V1:
	case BINLOG_WRITE_COMPRESSED:
	case BINLOG_UPDATE_COMPRESSED:
	case BINLOG_DELETE_COMPRESSED:
		return binlog_group_rows(d, e, b, err);
	case BINLOG_XA_PREPARE:
		return binlog_xa_prepare(d, e, b, err);
	case BINLOG_PAYLOAD:
		return on_payload(d, e, err);
	case BINLOG_INCIDENT:
		return on_incident(e, err);
	case BINLOG_EXECUTE_LOAD:
		return d->group.skip ? 0
				     : fail(err, ERR_FATAL,
					    "LOAD DATA was logged as a statement (binlog_format "
					    "was not ROW in "
					    "that session): its rows are not in the log; set "
					    "binlog_format = "
					    "ROW on the server and load the tables anew");
	/* What follows says nothing of rows: parts of logged statements, hints, comments. */
	case BINLOG_INTVAR:
	case BINLOG_RAND:
	case BINLOG_USER_VAR:
	case BINLOG_BEGIN_LOAD:
	case BINLOG_STOP:
	case BINLOG_ROWS_QUERY:
	case BINLOG_ANNOTATE:
	case BINLOG_IGNORABLE:
	case BINLOG_TRANSACTION_CONTEXT:
	case BINLOG_VIEW_CHANGE:
	case BINLOG_PREVIOUS_GTIDS:
	case BINLOG_GTID_LIST:
	case BINLOG_CHECKPOINT:
	case BINLOG_START_ENCRYPTION: /* the server has decrypted what it sends */
		return 0;
	default:
		return unknown(e, err);
	}
}

/* --- the stream --- */

static void new_file(struct binlog *d, struct str file, uint64_t pos)
{
	if (!str_eqz(file, d->file)) {
		free(d->file);
		d->file = xstrndup(file.p, file.n);
		d->number = binlog_file_number(file);
	}
	d->end = pos;
}

static int on_rotate(struct binlog *d, const struct binlog_event *e, struct error *err)
{
	struct binlog_rotate r;

	if (binlog_rotate_parse(e, &r, err))
		return -1;
	if (d->group.open)
		return fail(err, ERR_FATAL,
			    "the log goes on in %.*s in the middle of a transaction",
			    STR_FMT(r.file));
	new_file(d, r.file, r.pos);
	return 0;
}

static int on_format(struct binlog *d, const struct binlog_event *e, struct error *err)
{
	if (binlog_format_parse(e, &d->format, err))
		return -1;
	d->have_format = true;
	if (d->format.started)
		binlog_temporary_clear(&d->temporary);
	d->mariadb = d->format.mariadb;
	if (e->log_pos && d->end == BINLOG_FIRST)
		d->end = e->log_pos;
	return 0;
}

/* The server has nothing for us up to there. */
static int on_heartbeat(struct binlog *d, const struct binlog_event *e, struct batch *b,
			struct error *err)
{
	struct binlog_heartbeat h;

	if (binlog_heartbeat_parse(e, &h, err))
		return -1;
	if (d->group.open)
		return 0;
	if (!str_eqz(h.file, d->file))
		new_file(d, h.file, h.pos);
	else if (h.pos)
		d->end = h.wide ? h.pos : binlog_offset(d->end, (uint32_t)h.pos);
	binlog_give_heartbeat(d, e->time, b);
	return 0;
}

static int one_event(struct binlog *d, const struct binlog_event *e, struct batch *b,
		     struct error *err)
{
	switch (e->type) {
	case BINLOG_ROTATE:
		return on_rotate(d, e, err);
	case BINLOG_FORMAT:
		return on_format(d, e, err);
	case BINLOG_HEARTBEAT:
	case BINLOG_HEARTBEAT_V2:
		return on_heartbeat(d, e, b, err);
	default:
		break;
	}
	if (!d->have_format)
		return fail(err, ERR_FATAL, "the log does not begin with its format");
	if (e->log_pos && !(e->flags & BINLOG_FLAG_ARTIFICIAL)) {
		d->end = binlog_offset(d->end, e->log_pos);
		d->start = d->end > e->size ? d->end - e->size : 0;
	}
	return binlog_group_event(d, e, b, err);
}

/* --- pieces --- */

bool binlog_more(const struct binlog *d)
{
	return d->replaying || d->payload;
}

static int replay_one(struct binlog *d, struct batch *b, struct error *err)
{
	struct binlog_event e;
	int rc = hold_next(&d->replay, &d->replay_at, &d->replay_room, &e, err);

	if (rc < 0)
		return -1;
	if (rc > 0)
		return binlog_group_event(d, &e, b, err);
	hold_release(&d->replay);
	buf_free(&d->replay_room);
	d->replaying = false;
	binlog_group_close(d, b);
	return 0;
}

static int payload_one(struct binlog *d, struct batch *b, struct error *err)
{
	struct binlog_event e;
	int rc = binlog_payload_next(d->payload, &e, err);

	if (rc > 0)
		return binlog_group_event(d, &e, b, err);
	binlog_payload_close(d->payload);
	d->payload = NULL;
	buf_free(&d->payload_bytes);
	return rc;
}

static int place_error(const struct binlog *d, struct error *err)
{
	return error_prefix(err, "binlog %s:%" PRIu64, d->file ? d->file : "",
			    d->start ? d->start : d->end);
}

int binlog_go_on(struct binlog *d, struct batch *b, struct error *err)
{
	size_t before = b->nchanges;

	while (binlog_more(d) && b->arena.used < PIECE) {
		if ((d->replaying ? replay_one(d, b, err) : payload_one(d, b, err)) == 0)
			continue;
		b->nchanges = before;
		return place_error(d, err);
	}
	return 0;
}

int binlog_decode(struct binlog *d, struct str bytes, struct batch *b, struct error *err)
{
	struct binlog_event e;
	size_t before = b->nchanges;

	if (d->config.max_row && bytes.n > binlog_event_limit(d))
		(void)fail(
			err, ERR_FATAL,
			"an event of %zu bytes holds a row longer than source.max_row (%zu); raise "
			"source.max_row, and memory for it",
			bytes.n, d->config.max_row);
	else if (binlog_event_parse(d->have_format ? &d->format : NULL, bytes, &e, err) == 0 &&
		 one_event(d, &e, b, err) == 0)
		return binlog_go_on(d, b, err);
	b->nchanges = before;
	return place_error(d, err);
}
