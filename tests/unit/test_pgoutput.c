/*
 * test_pgoutput.c - messages made by hand, one rule a test; a real server's are in test_pg_recorded.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pg_fixture.h"

#define LSN_AT 0x16B3748u /* of the messages; "0/16B3748" in what is said of them */

enum { ORDERS = 16400, STOCK = 16401, OTHER = 16402 };

struct world {
	struct fixture_catalog catalog;
	struct pgoutput_config config;
	struct tables *tables;
	struct pgoutput *p;
	struct batch batch;
	struct arena messages;
	struct error err;
};

static const struct tables_config tables_config = {
	.pipeline = "erp",
	.connector = "postgresql",
	.database = "erp",
};

static void restart(struct world *w)
{
	pgoutput_free(w->p);
	batch_empty(&w->batch);
	w->config.catalog = fixture_catalog(&w->catalog);
	w->config.tables = w->tables;
	w->p = pgoutput_new(&w->config);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->config = (struct pgoutput_config){
		.max_row = 1 << 20, .epoch = 2, .system = 7, .timeline = 1
	};
	w->tables = tables_new(&tables_config);
	restart(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	pgoutput_free(w->p);
	tables_free(w->tables);
	batch_free(&w->batch);
	arena_free(&w->messages);
	free(w);
	return 0;
}

static void put_number(struct buf *out, uint64_t v, int bytes)
{
	while (bytes--)
		buf_addc(out, (char)(v >> 8 * bytes));
}

/*
 * A message: b h i q numbers of 1, 2, 4, 8 bytes; s a cstring; t x a column in text or binary form;
 * n u columns that are NULL or unchanged.
 */
static void put_message(struct buf *out, const char *format, va_list ap)
{
	for (; *format; format++) {
		const char *text;

		switch (*format) {
		case 'b':
			put_number(out, (uint64_t)va_arg(ap, int), 1);
			break;
		case 'h':
			put_number(out, (uint64_t)va_arg(ap, int), 2);
			break;
		case 'i':
			put_number(out, (uint64_t)va_arg(ap, int), 4);
			break;
		case 'q':
			put_number(out, (uint64_t)va_arg(ap, int), 8);
			break;
		case 's':
			text = va_arg(ap, const char *);
			buf_add(out, text, strlen(text) + 1);
			break;
		case 't':
		case 'x':
			text = va_arg(ap, const char *);
			buf_addc(out, *format == 't' ? 't' : 'b');
			put_number(out, strlen(text), 4);
			buf_adds(out, text);
			break;
		case 'n':
		case 'u':
			buf_addc(out, *format);
			break;
		default:
			break;
		}
	}
}

static int decode_bytes(struct world *w, struct str message)
{
	return pgoutput_decode(w->p, arena_copy(&w->messages, message), LSN_AT, &w->batch, &w->err);
}

static void send(struct world *w, const char *format, ...)
{
	AUTO(buf) struct buf out = { 0 };
	va_list ap;

	va_start(ap, format);
	put_message(&out, format, ap);
	va_end(ap);
	if (decode_bytes(w, (struct str){ out.p, out.n }))
		FAIL("%s", w->err.text);
}

/* Refused with a message that names the LSN and `part`; nothing is appended. */
static void refused(struct world *w, enum error_kind kind, const char *part, const char *format,
		    ...)
{
	AUTO(buf) struct buf out = { 0 };
	size_t before = w->batch.nchanges;
	bool open = pgoutput_in_transaction(w->p);
	va_list ap;

	va_start(ap, format);
	put_message(&out, format, ap);
	va_end(ap);
	if (decode_bytes(w, (struct str){ out.p, out.n }) == 0)
		FAIL("taken: %s", format);
	assert_int_equal(w->err.kind, kind);
	assert_contains(w->err.text, part);
	assert_contains(w->err.text, "0/16B3748");
	assert_int_equal(w->batch.nchanges, before);
	assert_int_equal(pgoutput_in_transaction(w->p), open);
}

static void send_begin(struct world *w, int lsn)
{
	send(w, "bqqi", 'B', lsn, 1000000, 77);
}

static void send_commit(struct world *w, int lsn)
{
	send(w, "bbqqq", 'C', 0, lsn, lsn + 0x30, 1000000);
}

/* orders(id integer, note text, amount numeric(12,2)), key id */
static void send_orders(struct world *w, int identity)
{
	int all = identity == 'f';

	send(w, "bissbhbsiibsiibsii", 'R', ORDERS, "public", "orders", identity, 3, 1, "id",
	     PG_INT4, -1, all, "note", PG_TEXT, -1, all, "amount", PG_NUMERIC, (12 << 16 | 2) + 4);
}

static const struct change *change_at(const struct world *w, size_t i, enum change_op op)
{
	if (i >= w->batch.nchanges)
		FAIL("%zu changes, wanted one more", w->batch.nchanges);
	assert_int_equal(w->batch.changes[i].op, op);
	return &w->batch.changes[i];
}

static void assert_position(const struct change *c, const char *want)
{
	char text[POSITION_TEXT];

	assert_string_equal(position_text(&c->pos, text), want);
}

static void test_transaction(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	assert_true(pgoutput_in_transaction(w->p));
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "first", "12.50");
	send(w, "bibhttt", 'U', ORDERS, 'N', 3, "1", "second", "0.01");
	send(w, "bibhtnn", 'D', ORDERS, 'K', 3, "1");
	send_commit(w, 0x1000);
	assert_false(pgoutput_in_transaction(w->p));
	assert_int_equal(pgoutput_last_end(w->p), 0x1030);
	assert_int_equal(w->batch.nchanges, 5);
	assert_position(change_at(w, 0, CHANGE_BEGIN), "2/0/1000/1");
	const struct change *c = change_at(w, 1, CHANGE_INSERT);

	assert_position(c, "2/0/1000/2");
	assert_int_equal(c->xid, 77);
	assert_int_equal(c->commit_us, INT64_C(946684801000000));
	assert_str(c->table->name, "orders");
	assert_int_equal(c->table->nkey, 1);
	assert_null(c->before);
	assert_int_equal(c->after[0].i, 1);
	assert_str(c->after[1].s, "first");
	assert_true(str_eq(c->after[2].s, STR("\004\342")));
	c = change_at(w, 2, CHANGE_UPDATE);
	assert_null(c->before);
	assert_str(c->after[1].s, "second");
	c = change_at(w, 4, CHANGE_COMMIT);
	assert_position(c, "2/0/1000/5");
	assert_str(c->resume, "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/1030\"}");
}

/* EDGE 11: the other columns of K are sent as null but are not */
static void test_delete_by_key(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhtnn", 'D', ORDERS, 'K', 3, "1");
	const struct change *c = change_at(w, 1, CHANGE_DELETE);

	assert_null(c->after);
	assert_int_equal(c->before[0].i, 1);
	assert_int_equal(c->before[1].state, VALUE_ABSENT);
	assert_int_equal(c->before[2].state, VALUE_ABSENT);
}

/* EDGE 1, EDGE 3 */
static void test_unchanged_toast(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'i');
	send(w, "bibhtut", 'U', ORDERS, 'N', 3, "1", "2.00");
	const struct change *c = change_at(w, 1, CHANGE_UPDATE);

	assert_int_equal(c->after[1].state, VALUE_ABSENT);
	assert_int_equal(c->after[2].state, VALUE_SET);
	assert_null(c->before);
}

/* EDGE 2 */
static void test_unchanged_toast_full(void **state)
{
	struct world *w = *state;

	w->catalog.primary_key = "id";
	send_begin(w, 0x1000);
	send_orders(w, 'f');
	send(w, "bibhttnbhtut", 'U', ORDERS, 'O', 3, "1", "long", 'N', 3, "1", "2.00");
	const struct change *c = change_at(w, 1, CHANGE_UPDATE);

	assert_str(c->after[1].s, "long");
	assert_str(c->before[1].s, "long");
	assert_int_equal(c->before[2].state, VALUE_NULL);
	assert_int_equal(c->table->nkey, 1);
	assert_int_equal(c->table->key[0], 0);
	assert_int_equal(c->table->columns[1].key, 0);
}

/* EDGE 4: K is there though the key is the same, and the new tuple leaves the key out */
static void test_toasted_key(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhtnnbhutt", 'U', ORDERS, 'K', 3, "1", 'N', 3, "note", "2.00");
	const struct change *c = change_at(w, 1, CHANGE_UPDATE);

	assert_int_equal(c->after[0].state, VALUE_SET);
	assert_int_equal(c->after[0].i, 1);
	assert_int_equal(c->before[0].i, 1);
	assert_int_equal(c->before[1].state, VALUE_ABSENT);
	/* An old minor version does not send K then: such a row has no key. */
	refused(w, ERR_FATAL, "key column id", "bibhutt", 'U', ORDERS, 'N', 3, "note", "2.00");
	refused(w, ERR_FATAL, "key column id", "bibhunn", 'D', ORDERS, 'K', 3);
}

/* EDGE 5 */
static void test_key_change(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhtnnbhttt", 'U', ORDERS, 'K', 3, "1", 'N', 3, "2", "note", "2.00");
	send_commit(w, 0x1000);
	const struct change *c = change_at(w, 1, CHANGE_UPDATE);

	assert_int_equal(c->before[0].i, 1);
	assert_int_equal(c->after[0].i, 2);
	assert_position(change_at(w, 2, CHANGE_COMMIT), "2/0/1000/3");
}

/* EDGE 10: where the key comes from, and that it may change in the middle */
static void test_replica_identity(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'f');
	send(w, "bibhttt", 'D', ORDERS, 'O', 3, "1", "x", "2.00");
	send_orders(w, 'n');
	w->catalog.primary_key = "note";
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	const struct change *full = change_at(w, 1, CHANGE_DELETE);
	const struct change *nothing = change_at(w, 2, CHANGE_INSERT);
	const struct change *usual = change_at(w, 3, CHANGE_INSERT);

	assert_int_equal(full->table->nkey, 0);
	assert_str(full->before[1].s, "x");
	assert_int_equal(nothing->table->nkey, 1);
	assert_int_equal(nothing->table->key[0], 1);
	assert_int_equal(usual->table->key[0], 0);
	refused(w, ERR_FATAL, "replica identity", "bissbh", 'R', ORDERS, "public", "orders", 'x',
		0);
}

/* EDGE 12, EDGE 13: rows before a Relation keep the old version, rows after it have the new one */
static void test_ddl_inside_transaction(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	send(w, "bissbhbsiibsii", 'R', ORDERS, "public", "orders", 'd', 2, 1, "id", PG_INT4, -1, 0,
	     "amount", PG_NUMERIC, (12 << 16 | 2) + 4);
	send(w, "bibhtt", 'I', ORDERS, 'N', 2, "2", "3.00");
	send(w, "bissbhbsiibsiibsii", 'R', ORDERS, "public", "orders", 'd', 3, 1, "id", PG_INT4, -1,
	     0, "amount", PG_NUMERIC, (12 << 16 | 2) + 4, 0, "note", PG_DATE, -1);
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "3", "4.00", "1970-01-02");
	assert_int_equal(change_at(w, 1, CHANGE_INSERT)->table->version, 1);
	assert_int_equal(change_at(w, 2, CHANGE_INSERT)->table->version, 2);
	assert_int_equal(change_at(w, 2, CHANGE_INSERT)->table->ncolumns, 2);
	const struct change *c = change_at(w, 3, CHANGE_INSERT);

	assert_int_equal(c->table->version, 3);
	assert_int_equal(c->after[2].i, 1);
	assert_str(c->table->columns[2].name, "note");
}

/* Standard error as a string while `f` runs. */
static char *said_during(void (*f)(struct world *w), struct world *w)
{
	int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	char *text = xcalloc(1, 65536);

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	f(w);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	assert_true(fread(text, 1, 65535, file) < 65535);
	fclose(file);
	return text;
}

static void send_id_type(struct world *w, int relation, int type)
{
	send(w, "bissbhbsii", 'R', relation, "public", "stock", 'd', 1, 1, "id", type, -1);
	send(w, "bibht", 'I', relation, 'N', 1, "1");
}

static void narrow(struct world *w)
{
	send_id_type(w, STOCK, PG_INT8);
	send_id_type(w, STOCK, PG_INT4);
	send_id_type(w, STOCK, PG_TEXT);
}

static void widen(struct world *w)
{
	send_id_type(w, STOCK, PG_INT2);
	send_id_type(w, STOCK, PG_INT8);
}

static void create_anew(struct world *w)
{
	send_id_type(w, STOCK, PG_INT8);
	send_id_type(w, OTHER, PG_TEXT);
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

/* EDGE 14, EDGE 15, EDGE 17 */
static void test_rewrite_is_told_once(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	AUTO(free) char *widened = said_during(widen, w);
	AUTO(free) char *narrowed = said_during(narrow, w);

	assert_null(strstr(widened, "re-load"));
	assert_int_equal(count(narrowed, "re-load"), 1);
	assert_contains(narrowed, "bigint");
}

static void test_rewrite_not_of_another_table(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	AUTO(free) char *text = said_during(create_anew, w);

	assert_null(strstr(text, "re-load"));
	/* ... and rows come under the new OID's columns */
	assert_str(w->batch.changes[w->batch.nchanges - 1].after[0].s, "1");
}

/* EDGE 15: what was altered while the agent was away */
static void test_rewrite_while_away(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_id_type(w, STOCK, PG_NUMERIC);
	restart(w);
	send_begin(w, 0x2000);
	AUTO(free) char *text = said_during(narrow, w);

	assert_int_equal(count(text, "re-load"), 1);
}

/* EDGE 16 */
static void test_rename(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	send(w, "bissbhbsii", 'R', ORDERS, "sales", "orders2", 'd', 1, 1, "id", PG_INT4, -1);
	send(w, "bibht", 'I', ORDERS, 'N', 1, "2");
	assert_str(change_at(w, 1, CHANGE_INSERT)->table->schema, "public");
	assert_str(change_at(w, 2, CHANGE_INSERT)->table->schema, "sales");
	assert_str(change_at(w, 2, CHANGE_INSERT)->table->name, "orders2");
}

/* EDGE 21 */
static void test_truncate(void **state)
{
	struct world *w = *state;

	w->catalog.not_selected = OTHER;
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bissbhbsii", 'R', STOCK, "public", "stock", 'd', 1, 1, "id", PG_INT4, -1);
	send(w, "bissbhbsii", 'R', OTHER, "public", "other", 'd', 1, 1, "id", PG_INT4, -1);
	send(w, "bibiii", 'T', 3, 3, STOCK, OTHER, ORDERS);
	send_commit(w, 0x1000);
	assert_int_equal(w->batch.nchanges, 4);
	assert_str(change_at(w, 1, CHANGE_TRUNCATE)->table->name, "stock");
	assert_position(change_at(w, 1, CHANGE_TRUNCATE), "2/0/1000/2");
	assert_str(change_at(w, 2, CHANGE_TRUNCATE)->table->name, "orders");
	assert_position(change_at(w, 2, CHANGE_TRUNCATE), "2/0/1000/4");
	assert_position(change_at(w, 3, CHANGE_COMMIT), "2/0/1000/5");
	send_begin(w, 0x2000);
	refused(w, ERR_FATAL, "options", "bibi", 'T', 1, 4, STOCK);
	refused(w, ERR_FATAL, "longer", "bibii", 'T', 1, 0, STOCK, STOCK);
	refused(w, ERR_FATAL, "truncated", "bibi", 'T', 0x40000001, 0, STOCK);
	refused(w, ERR_FATAL, "no message described", "bibii", 'T', 2, 0, STOCK, 99);
}

/* Rows are counted before what is captured is chosen, so that a change of the choice moves no position. */
static void test_not_selected(void **state)
{
	struct world *w = *state;

	w->catalog.not_selected = OTHER;
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bissbhbsii", 'R', OTHER, "public", "other", 'd', 1, 1, "id", T_GONE, -1);
	send(w, "bibht", 'I', OTHER, 'N', 1, "1");
	send(w, "bibhtbhx", 'U', OTHER, 'K', 1, "1", 'N', 1, "\001\002");
	send(w, "bibht", 'D', OTHER, 'K', 1, "2");
	assert_int_equal(w->batch.nchanges, 0);
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	assert_position(change_at(w, 0, CHANGE_BEGIN), "2/0/1000/1");
	assert_position(change_at(w, 1, CHANGE_INSERT), "2/0/1000/5");
	refused(w, ERR_FATAL, "columns", "bibhtt", 'I', OTHER, 'N', 2, "1", "2");
	assert_int_equal(tables_count(w->tables), 1);
}

/* EDGE 43 */
static void test_empty_transaction(void **state)
{
	struct world *w = *state;

	w->catalog.not_selected = ORDERS;
	send_begin(w, 0x1000);
	send_commit(w, 0x1000);
	assert_int_equal(w->batch.nchanges, 1);
	assert_position(change_at(w, 0, CHANGE_HEARTBEAT), "2/0/102F/9223372036854775808");
	assert_str(change_at(w, 0, CHANGE_HEARTBEAT)->resume,
		   "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/1030\"}");
	send_begin(w, 0x2000);
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	send_commit(w, 0x2000);
	assert_int_equal(w->batch.nchanges, 2);
	change_at(w, 1, CHANGE_HEARTBEAT);
}

/* EDGE 52 */
static void test_origin(void **state)
{
	struct world *w = *state;

	refused(w, ERR_FATAL, "outside", "bqs", 'O', 5, "node");
	send_begin(w, 0x1000);
	send(w, "bqs", 'O', 5, "node");
	send_orders(w, 'd');
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	assert_position(change_at(w, 1, CHANGE_INSERT), "2/0/1000/2");
}

/* EDGE 53 */
static void test_logical_messages(void **state)
{
	struct world *w = *state;
	const struct change *c;

	send_begin(w, 0x1000);
	send(w, "bbqsib", 'M', 1, 0x900, "app", 1, 'x');
	send(w, "bbqsi", 'M', 1, 0x910, "", 0);
	refused(w, ERR_FATAL, "inside a transaction", "bbqsi", 'M', 0, 0x920, "app", 0);
	send_commit(w, 0x1000);
	c = change_at(w, 1, CHANGE_MESSAGE);
	assert_position(c, "2/0/1000/2");
	assert_str(c->prefix, "app");
	assert_str(c->content, "x");
	assert_str(change_at(w, 2, CHANGE_MESSAGE)->content, "");
	assert_position(change_at(w, 3, CHANGE_COMMIT), "2/0/1000/4");
	refused(w, ERR_FATAL, "outside a transaction", "bbqsi", 'M', 1, 0x920, "app", 0);
	refused(w, ERR_FATAL, "flags", "bbqsi", 'M', 2, 0x920, "app", 0);
	refused(w, ERR_FATAL, "no LSN", "bbqsi", 'M', 0, 0, "app", 0);
}

/*
 * EDGE 53: the record of a message of no transaction ends where a commit record begins, and both
 * have their own offset; the token is that place, from which the server sends the commit.
 */
static void test_message_next_to_a_commit(void **state)
{
	struct world *w = *state;

	send(w, "bbqsib", 'M', 0, 0x1000, "app", 1, 'x');
	assert_false(pgoutput_in_transaction(w->p));
	assert_int_equal(pgoutput_last_end(w->p), 0x1000);
	send_begin(w, 0x1000);
	send(w, "bbqsib", 'M', 1, 0x900, "app", 1, 'y');
	send_commit(w, 0x1000);
	assert_position(change_at(w, 0, CHANGE_BEGIN), "2/0/FFF/1");
	assert_position(change_at(w, 1, CHANGE_MESSAGE), "2/0/FFF/2");
	assert_int_equal(w->batch.changes[1].xid, 0);
	assert_position(change_at(w, 2, CHANGE_COMMIT), "2/0/FFF/3");
	assert_str(w->batch.changes[2].resume,
		   "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/1000\"}");
	assert_position(change_at(w, 3, CHANGE_BEGIN), "2/0/1000/1");
	assert_int_equal(w->batch.nchanges, 6);
}

/* EDGE 44: our own heartbeat counts, and moves the position without a change */
static void test_own_heartbeat(void **state)
{
	struct world *w = *state;

	send(w, "bbqsib", 'M', 0, 0x1000, "tailrace", 1, 'x');
	assert_int_equal(w->batch.nchanges, 1);
	assert_position(change_at(w, 0, CHANGE_HEARTBEAT), "2/0/FFF/9223372036854775808");
	assert_str(w->batch.changes[0].resume,
		   "{\"system\":\"7\",\"timeline\":1,\"lsn\":\"0/1000\"}");
	send_begin(w, 0x2000);
	send(w, "bbqsib", 'M', 1, 0x1900, "tailrace", 1, 'x');
	send(w, "bbqsib", 'M', 1, 0x1910, "tailrace2", 1, 'x');
	assert_position(change_at(w, 2, CHANGE_MESSAGE), "2/0/2000/3");
}

/* EDGE 34: a type that is gone keeps the name that the log told */
static void test_type_message(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send(w, "biss", 'Y', T_GONE, "public", "first");
	send(w, "biss", 'Y', T_GONE, "public", "mood");
	send(w, "bissbhbsii", 'R', STOCK, "public", "stock", 'd', 1, 0, "m", T_GONE, -1);
	send(w, "bibht", 'I', STOCK, 'N', 1, "happy");
	assert_str(change_at(w, 1, CHANGE_INSERT)->table->columns[0].native, "public.mood");
	assert_str(change_at(w, 1, CHANGE_INSERT)->after[0].s, "happy");
}

static void test_binary_row(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhxxn", 'I', ORDERS, 'N', 3, "\001\001\001\001", "text");
	assert_int_equal(change_at(w, 1, CHANGE_INSERT)->after[0].i, 0x01010101);
	refused(w, ERR_FATAL, "column id", "bibhxxn", 'I', ORDERS, 'N', 3, "\001\001\001", "text");
	assert_contains(w->err.text, "public.orders");
	/* A column added later, of a type without a known binary form: the slot is read as text. */
	send(w, "bissbhbsii", 'R', STOCK, "public", "stock", 'd', 1, 0, "p", T_POINT, -1);
	assert_false(pgoutput_wants_text(w->p));
	refused(w, ERR_RETRY, "public.pair", "bibhx", 'I', STOCK, 'N', 1, "\001");
	assert_true(pgoutput_wants_text(w->p));
}

/* EDGE 42 */
static void test_invalid_bytes(void **state)
{
	struct world *w = *state;
	const struct change *c;

	w->config.raw_text = true;
	w->config.invalid_bytes = INVALID_BYTES_STOP;
	restart(w);
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttn", 'I', ORDERS, 'N', 3, "1",
	     "Gr\xc3\xbc\xc3\x9f"
	     "e");
	refused(w, ERR_FATAL, "source.invalid_bytes", "bibhttn", 'I', ORDERS, 'N', 3, "1",
		"Gr\xfc\xdf"
		"e");
	assert_contains(w->err.text, "public.orders");
	assert_contains(w->err.text, "column note");
	refused(w, ERR_FATAL, "source.invalid_bytes", "bibhtxn", 'I', ORDERS, 'N', 3, "1", "\xff");
	w->config.invalid_bytes = INVALID_BYTES_REPLACE;
	restart(w);
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttn", 'I', ORDERS, 'N', 3, "1",
	     "Gr\xfc\xdf"
	     "e");
	assert_str(change_at(w, 1, CHANGE_INSERT)->after[1].s, "Gr\xef\xbf\xbd\xef\xbf\xbd"
							       "e");
	w->config.invalid_bytes = INVALID_BYTES_BYTES;
	restart(w);
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttn", 'I', ORDERS, 'N', 3, "1",
	     "Gr\xfc\xdf"
	     "e");
	c = change_at(w, 1, CHANGE_INSERT);
	assert_int_equal(c->after[1].state, VALUE_UNREPRESENTABLE);
	assert_str(c->after[1].s, "\\x4772fcdf65");
}

/* EDGE 42: arrays as a whole, prefixes of messages, names */
static void test_invalid_bytes_elsewhere(void **state)
{
	struct world *w = *state;

	w->config.raw_text = true;
	w->config.invalid_bytes = INVALID_BYTES_BYTES;
	restart(w);
	send_begin(w, 0x1000);
	send(w, "bissbhbsii", 'R', STOCK, "public", "stock", 'd', 1, 0, "tags", 1009, -1);
	send(w, "bibht", 'I', STOCK, 'N', 1, "{a,\xff}");
	assert_int_equal(change_at(w, 1, CHANGE_INSERT)->after[0].state, VALUE_UNREPRESENTABLE);
	assert_str(w->batch.changes[1].after[0].s, "\\x7b612cff7d");
	send(w, "bbqsi", 'M', 1, 0x900, "\xff", 0);
	assert_str(change_at(w, 2, CHANGE_MESSAGE)->prefix, "\\xff");
	send(w, "bissbhbsii", 'R', STOCK, "public",
	     "st\xf6"
	     "ck",
	     'd', 1, 0, "tags", 1009, -1);
	refused(w, ERR_FATAL, "UTF-8", "bibht", 'I', STOCK, 'N', 1, "{a}");
	w->config.invalid_bytes = INVALID_BYTES_REPLACE;
	restart(w);
	send_begin(w, 0x1000);
	send(w, "bissbhbsii", 'R', STOCK, "public", "stock", 'd', 1, 0, "tags", 1009, -1);
	send(w, "bibht", 'I', STOCK, 'N', 1, "{a,\xff}");
	assert_str(change_at(w, 1, CHANGE_INSERT)->after[0].a->items[1].s, "\xef\xbf\xbd");
	send(w, "bbqsi", 'M', 1, 0x900, "\xff", 0);
	assert_str(change_at(w, 2, CHANGE_MESSAGE)->prefix, "\xef\xbf\xbd");
	w->config.invalid_bytes = INVALID_BYTES_STOP;
	restart(w);
	send_begin(w, 0x1000);
	refused(w, ERR_FATAL, "prefix", "bbqsi", 'M', 1, 0x900, "\xff", 0);
}

/* EDGE 39 */
static void test_max_row(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = xcalloc(1, 201);

	memset(text, 'x', 200);
	w->config.max_row = 200;
	w->catalog.not_selected = OTHER;
	restart(w);
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttn", 'I', ORDERS, 'N', 3, "1", "short");
	refused(w, ERR_FATAL, "source.max_row", "bibhttn", 'I', ORDERS, 'N', 3, "1", text);
	assert_contains(w->err.text, "public.orders");
	refused(w, ERR_FATAL, "source.max_row", "bbqsiq", 'M', 1, 0x900, text, 8, 1);
	send(w, "bissbhbsii", 'R', OTHER, "public", "other", 'd', 1, 1, "id", PG_TEXT, -1);
	send(w, "bibht", 'I', OTHER, 'N', 1, text); /* not ours: counted only */
	w->config.max_row = 0;
	restart(w);
	send_begin(w, 0x1000);
	send_orders(w, 'd');
	send(w, "bibhttn", 'I', ORDERS, 'N', 3, "1", text);
}

/* EDGE 49, EDGE 51 */
static void test_not_asked_for(void **state)
{
	struct world *w = *state;

	refused(w, ERR_FATAL, "unexpected Stream Start", "bib", 'S', 1, 1);
	refused(w, ERR_FATAL, "unexpected Stream Stop", "b", 'E');
	refused(w, ERR_FATAL, "unexpected Stream Commit", "b", 'c');
	refused(w, ERR_FATAL, "unexpected Stream Abort", "b", 'A');
	refused(w, ERR_FATAL, "unexpected Begin Prepare", "b", 'b');
	refused(w, ERR_FATAL, "unexpected Prepare", "b", 'P');
	refused(w, ERR_FATAL, "unexpected Commit Prepared", "b", 'K');
	refused(w, ERR_FATAL, "unexpected Rollback Prepared", "b", 'r');
	refused(w, ERR_FATAL, "unexpected Stream Prepare", "b", 'p');
	refused(w, ERR_FATAL, "unknown replication message 0x7a", "b", 'z');
	refused(w, ERR_FATAL, "empty", "");
}

static void test_out_of_place(void **state)
{
	struct world *w = *state;

	send_orders(w, 'd');
	refused(w, ERR_FATAL, "outside", "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	refused(w, ERR_FATAL, "outside", "bibi", 'T', 1, 0, ORDERS);
	refused(w, ERR_FATAL, "outside", "bbqqq", 'C', 0, 0x1000, 0x1030, 0);
	send_begin(w, 0x1000);
	refused(w, ERR_FATAL, "inside another", "bqqi", 'B', 0x2000, 0, 1);
	refused(w, ERR_FATAL, "does not end", "bbqqq", 'C', 0, 0x2000, 0x2030, 0);
	refused(w, ERR_FATAL, "does not end", "bbqqq", 'C', 0, 0x1000, 0x1000, 0);
	refused(w, ERR_FATAL, "flags", "bbqqq", 'C', 1, 0x1000, 0x1030, 0);
	refused(w, ERR_FATAL, "no message described", "bibht", 'I', 99, 'N', 1, "1");
	refused(w, ERR_FATAL, "columns", "bibhtt", 'I', ORDERS, 'N', 2, "1", "x");
	refused(w, ERR_FATAL, "tuple", "bibhttt", 'I', ORDERS, 'K', 3, "1", "x", "2.00");
	refused(w, ERR_FATAL, "tuple", "bibhttt", 'D', ORDERS, 'N', 3, "1", "x", "2.00");
	refused(w, ERR_FATAL, "tuple", "bibhtnnbhttt", 'U', ORDERS, 'K', 3, "1", 'O', 3, "1", "x",
		"2.00");
	refused(w, ERR_FATAL, "column form", "bibhttb", 'I', ORDERS, 'N', 3, "1", "x", 'z');
	refused(w, ERR_FATAL, "after its end", "bibhtttb", 'I', ORDERS, 'N', 3, "1", "x", "2.00",
		0);
	refused(w, ERR_FATAL, "numeric(12,2)", "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "two");
	assert_contains(w->err.text, "table public.orders");
	/* and the good one is taken after all that, at the same place */
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	assert_position(change_at(w, 1, CHANGE_INSERT), "2/0/1000/2");
}

/* The catalog cannot be asked just now: the same message is given again later. */
static void test_retry(void **state)
{
	struct world *w = *state;

	send_begin(w, 0x1000);
	send_orders(w, 'f');
	w->catalog.down = true;
	refused(w, ERR_RETRY, "catalog down", "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	refused(w, ERR_RETRY, "catalog down", "bibi", 'T', 1, 0, ORDERS);
	w->catalog.down = false;
	send(w, "bibhttt", 'I', ORDERS, 'N', 3, "1", "x", "2.00");
	assert_position(change_at(w, 1, CHANGE_INSERT), "2/0/1000/2");
}

/* Many relations, so that the cache grows. */
static void test_many_relations(void **state)
{
	struct world *w = *state;
	char name[16];

	send_begin(w, 0x1000);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		send(w, "bissbhbsii", 'R', 20000 + i * 64, "public", name, 'd', 1, 1, "id", PG_INT4,
		     -1);
	}
	for (int i = 0; i < 300; i += 50) {
		snprintf(name, sizeof name, "t%d", i);
		send(w, "bibht", 'I', 20000 + i * 64, 'N', 1, "5");
		assert_str(w->batch.changes[w->batch.nchanges - 1].table->name, name);
	}
}

/* EDGE 40: 1600 columns */
static void test_many_columns(void **state)
{
	struct world *w = *state;
	AUTO(buf) struct buf relation = { 0 };
	AUTO(buf) struct buf row = { 0 };

	buf_addc(&relation, 'R');
	put_number(&relation, ORDERS, 4);
	buf_add(&relation, "public\0wide\0d", 13);
	put_number(&relation, 1600, 2);
	buf_addc(&row, 'I');
	put_number(&row, ORDERS, 4);
	buf_addc(&row, 'N');
	put_number(&row, 1600, 2);
	for (int i = 0; i < 1600; i++) {
		put_number(&relation, i == 0, 1);
		buf_addf(&relation, "c%d", i);
		put_number(&relation, 0, 1);
		put_number(&relation, PG_INT4, 4);
		put_number(&relation, UINT32_MAX, 4);
		buf_addc(&row, 't');
		put_number(&row, 4, 4);
		buf_addf(&row, "%04d", i);
	}
	send_begin(w, 0x1000);
	assert_int_equal(decode_bytes(w, (struct str){ relation.p, relation.n }), 0);
	assert_int_equal(decode_bytes(w, (struct str){ row.p, row.n }), 0);
	assert_int_equal(change_at(w, 1, CHANGE_INSERT)->after[1599].i, 1599);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_transaction),
		TEST(test_delete_by_key),
		TEST(test_unchanged_toast),
		TEST(test_unchanged_toast_full),
		TEST(test_toasted_key),
		TEST(test_key_change),
		TEST(test_replica_identity),
		TEST(test_ddl_inside_transaction),
		TEST(test_rewrite_is_told_once),
		TEST(test_rewrite_not_of_another_table),
		TEST(test_rewrite_while_away),
		TEST(test_rename),
		TEST(test_truncate),
		TEST(test_not_selected),
		TEST(test_empty_transaction),
		TEST(test_origin),
		TEST(test_logical_messages),
		TEST(test_message_next_to_a_commit),
		TEST(test_own_heartbeat),
		TEST(test_type_message),
		TEST(test_binary_row),
		TEST(test_invalid_bytes),
		TEST(test_invalid_bytes_elsewhere),
		TEST(test_max_row),
		TEST(test_not_asked_for),
		TEST(test_out_of_place),
		TEST(test_retry),
		TEST(test_many_relations),
		TEST(test_many_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
