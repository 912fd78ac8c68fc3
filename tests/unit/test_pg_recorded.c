/*
 * test_pg_recorded.c - what a real server sent for one short history (make_pg_recorded.py), in text and
 * in binary form: both decode to the same changes, and no prefix of any message is taken for one
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_fixture.h"
#include "avro.h"
#include "fixtures/pg_recorded.h"

static const struct tables_config tables_config = {
	.pipeline = "erp",
	.connector = "postgresql",
	.database = "erp",
};

/* The history's types: the server numbered them, the Type messages named the enum only. */
static int recorded_type(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	const uint32_t *first = ctx;

	(void)err;
	*out = (struct pg_type){ .oid = oid, .kind = 'b', .base_mod = -1, .delimiter = ',' };
	if (oid == *first) {
		out->kind = 'e';
		memcpy(out->name, "public.mood", sizeof "public.mood");
		return 1;
	}
	if (oid > *first && oid < *first + 10) { /* the domain price */
		out->kind = 'd';
		out->base = PG_NUMERIC;
		out->base_mod = (12 << 16 | 2) + 4;
		return 1;
	}
	return 0;
}

static int recorded_key(void *ctx, uint32_t relation, const struct str *names, size_t n, bool *key,
			struct error *err)
{
	(void)ctx;
	(void)relation;
	(void)err;
	for (size_t i = 0; i < n; i++)
		key[i] = str_eqz(names[i], "id");
	return 1;
}

static int recorded_selected(void *ctx, uint32_t relation, struct str schema, struct str name,
			     struct error *err)
{
	(void)ctx;
	(void)relation;
	(void)schema;
	(void)name;
	(void)err;
	return 1;
}

static uint32_t first_type;

static struct pgoutput *decoder(struct tables *tables)
{
	struct pgoutput_config config = {
		.tables = tables,
		.catalog = { &first_type, recorded_type, recorded_key, recorded_selected },
		.epoch = 1,
		.system = 7,
		.timeline = 1,
	};

	/* the second Type message is the enum's */
	first_type = (uint32_t)(uint8_t)recorded_text[2].bytes.p[3] << 8 |
		     (uint8_t)recorded_text[2].bytes.p[4];
	return pgoutput_new(&config);
}

static void print_value(struct buf *out, const struct column *c, const struct value *v)
{
	switch (v->state) {
	case VALUE_ABSENT:
		buf_addc(out, '-');
		return;
	case VALUE_NULL:
		buf_adds(out, "NULL");
		return;
	case VALUE_UNREPRESENTABLE:
		buf_addf(out, "(%.*s)", STR_FMT(v->s));
		return;
	case VALUE_SET:
		break;
	}
	if (c->type == COL_DECIMAL)
		decimal_format(v->s, c->scale, out);
	else if (c->type == COL_ARRAY)
		buf_addf(out, "[%zu]", v->a->n);
	else if (c->type != COL_TEXT)
		buf_addf(out, "%" PRId64, v->i);
	else if (v->s.n < 20)
		buf_addf(out, "'%.*s'", STR_FMT(v->s));
	else
		buf_addf(out, "'%.4s'*%zu", v->s.p, v->s.n);
}

static void print_row(struct buf *out, const struct table *t, const struct value *row)
{
	for (size_t i = 0; row && i < t->ncolumns; i++) {
		buf_addc(out, i ? ',' : '{');
		print_value(out, &t->columns[i], &row[i]);
	}
	buf_adds(out, row ? "}" : "{}");
}

static void print_change(struct buf *out, const struct change *c)
{
	static const char *const names[] = {
		[CHANGE_BEGIN] = "begin",         [CHANGE_INSERT] = "insert",
		[CHANGE_UPDATE] = "update",       [CHANGE_DELETE] = "delete",
		[CHANGE_TRUNCATE] = "truncate",   [CHANGE_MESSAGE] = "message",
		[CHANGE_HEARTBEAT] = "heartbeat", [CHANGE_COMMIT] = "commit",
	};

	buf_addf(out, "%s %" PRIu64, names[c->op], c->pos.row);
	if (c->op == CHANGE_MESSAGE)
		buf_addf(out, " %.*s %.*s", STR_FMT(c->prefix), STR_FMT(c->content));
	if (c->table) {
		buf_addf(out, " %.*s.%u ", STR_FMT(c->table->name), c->table->version);
		if (c->op != CHANGE_TRUNCATE) {
			print_row(out, c->table, c->before);
			buf_adds(out, " ");
			print_row(out, c->table, c->after);
		}
	}
	buf_addc(out, '\n');
}

/* What the server was told to do, checked by eye.  - is absent, (text) unrepresentable, 'nnnn'*2100 long. */
static const char *const expected =
	"begin 1\n"
	"insert 2 orders.1 {} {1,'first',12.50,'ok',1706702400000000}\n"
	"insert 3 orders.1 {} {2,NULL,(NaN),NULL,(infinity)}\n"
	"update 4 orders.1 {} {1,'changed',12.50,'ok',1706702400000000}\n"
	"update 5 orders.1 {2,-,-,-,-} {12,NULL,(NaN),NULL,(infinity)}\n"
	"delete 6 orders.1 {1,-,-,-,-} {}\n"
	"commit 7\n"
	"begin 1\n"
	"insert 2 docs.1 {} {1,'long'*5000,1}\n"
	"commit 3\n"
	"begin 1\n"
	"update 2 docs.1 {} {1,-,2}\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 full_docs.1 {} {1,'long'*5000,1}\n"
	"commit 3\n"
	"begin 1\n"
	"update 2 full_docs.1 {1,'long'*5000,1} {1,'long'*5000,2}\n"
	"commit 3\n"
	"begin 1\n"
	"delete 2 full_docs.1 {1,'long'*5000,2} {}\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 named.1 {} {'nnnn'*2100,1}\n"
	"commit 3\n"
	"begin 1\n"
	"update 2 named.1 {'nnnn'*2100,-} {'nnnn'*2100,2}\n"
	"commit 3\n"
	"begin 1\n"
	"update 2 named.1 {'nnnn'*2100,-} {'short',2}\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 log.1 {} {1,'x'}\n"
	"insert 3 log.1 {} {1,'x'}\n"
	"commit 4\n"
	"begin 1\n"
	"delete 2 log.1 {1,'x'} {}\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 orders.1 {} {3,NULL,NULL,NULL,NULL}\n"
	"insert 3 orders.2 {} {4,NULL,NULL,NULL,NULL,7}\n"
	"insert 4 orders.3 {} {5,NULL,NULL,NULL,7}\n"
	"commit 5\n"
	"begin 1\n"
	"insert 2 orders.3 {} {7,NULL,NULL,NULL,7}\n"
	"commit 3\n"
	"begin 1\n"
	"message 2 app outside\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 docs.1 {} {2,'b',2}\n"
	"message 3 app inside\n"
	"commit 4\n"
	"begin 1\n"
	"message 2 app survives\n"
	"commit 3\n"
	"begin 1\n"
	"insert 2 parts_1.1 {} {1,'one'}\n"
	"delete 3 parts_1.1 {1,-} {}\n"
	"insert 4 parts_2.1 {} {11,'one'}\n"
	"commit 5\n"
	"begin 1\n"
	"truncate 2 orders.3 \n"
	"truncate 3 docs.1 \n"
	"commit 4\n"
	"begin 1\n"
	"insert 2 docs.1 {} {9,'o',9}\n"
	"commit 3\n";

static void check_history(const struct recorded *messages, size_t n)
{
	AUTO(buf) struct buf out = { 0 };
	struct tables *tables = tables_new(&tables_config);
	struct pgoutput *p = decoder(tables);
	struct batch b = { 0 };
	struct error err = { 0 };
	struct position last = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (pgoutput_decode(p, messages[i].bytes, messages[i].lsn, &b, &err))
			FAIL("%s", err.text);
	}
	for (size_t i = 0; i < b.nchanges; i++) {
		assert_true(position_cmp(&last, &b.changes[i].pos) < 0); /* EDGE 46, EDGE 47 */
		last = b.changes[i].pos;
		print_change(&out, &b.changes[i]);
	}
	if (strcmp(buf_z(&out), expected) != 0)
		FAIL("differs from what was done; got\n%.900s", out.p);
	batch_free(&b);
	pgoutput_free(p);
	tables_free(tables);
}

/*
 * EDGE 1, EDGE 2, EDGE 4, EDGE 5, EDGE 8, EDGE 11, EDGE 12, EDGE 14, EDGE 21,
 * EDGE 22, EDGE 34, EDGE 43, EDGE 46, EDGE 50, EDGE 52, EDGE 53
 */
static void test_history_in_text(void **state)
{
	(void)state;
	check_history(recorded_text, COUNT(recorded_text));
}

static void test_history_in_binary(void **state)
{
	(void)state;
	check_history(recorded_binary, COUNT(recorded_binary));
}

/* Each message cut at every byte: refused, nothing appended, and the whole is taken afterwards. */
static void check_truncated(const struct recorded *messages, size_t n)
{
	struct tables *tables = tables_new(&tables_config);
	struct pgoutput *p = decoder(tables);
	struct batch b = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < n; i++) {
		size_t size = messages[i].bytes.n, before = b.nchanges;

		for (size_t cut = 0; cut<size; cut += cut> 200 && cut + 200 < size ? 97 : 1) {
			/* on the heap and of that size, so that a read past the end is seen */
			char *part = xmalloc(cut);

			memcpy(part, messages[i].bytes.p, cut);
			if (pgoutput_decode(p, (struct str){ part, cut }, messages[i].lsn, &b,
					    &err) == 0)
				FAIL("message %zu cut to %zu of %zu bytes is taken", i, cut, size);
			free(part);
			assert_int_equal(err.kind, ERR_FATAL);
			assert_int_equal(b.nchanges, before);
		}
		assert_int_equal(pgoutput_decode(p, messages[i].bytes, messages[i].lsn, &b, &err),
				 0);
	}
	batch_free(&b);
	pgoutput_free(p);
	tables_free(tables);
}

static void test_truncated(void **state)
{
	(void)state;
	check_truncated(recorded_text, COUNT(recorded_text));
	check_truncated(recorded_binary, COUNT(recorded_binary));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history_in_text),
		cmocka_unit_test(test_history_in_binary),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
