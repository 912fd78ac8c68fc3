/*
 * test_avro_oracle.c - our Avro against Apache Avro C, byte for byte
 *
 * Apache Avro C reads logical types as the type below them, which is what its bytes are.
 */
#include "avro_fixture.h"

#include <avro/basics.h>
#include <avro/errors.h>
#include <avro/generic.h>
#include <avro/io.h>
#include <avro/schema.h>
#include <avro/value.h>

#define BYTES_MAX ((size_t)1 << 20)

struct oracle {
	avro_schema_t schema;
	avro_value_iface_t *iface;
	avro_value_t value;
	char *bytes;
};

static void oracle_open(struct oracle *o, const char *json)
{
	if (avro_schema_from_json_length(json, strlen(json), &o->schema))
		test_failed("%s\n", avro_strerror());
	o->iface = avro_generic_class_from_schema(o->schema);
	assert_int_equal(avro_generic_value_new(o->iface, &o->value), 0);
	o->bytes = xmalloc(BYTES_MAX);
}

static void oracle_close(struct oracle *o)
{
	avro_value_decref(&o->value);
	avro_value_iface_decref(o->iface);
	avro_schema_decref(o->schema);
	free(o->bytes);
}

/* What Apache Avro writes for its value. */
static struct str oracle_write(struct oracle *o)
{
	avro_writer_t w = avro_writer_memory(o->bytes, (int64_t)BYTES_MAX);

	assert_int_equal(avro_value_write(w, &o->value), 0);
	struct str s = { o->bytes, (size_t)avro_writer_tell(w) };

	avro_writer_free(w);
	return s;
}

static void assert_same(struct buf *ours, struct str theirs)
{
	assert_int_equal(ours->n, theirs.n);
	assert_memory_equal(ours->p, theirs.p, theirs.n);
}

/* Apache Avro reads what we wrote, to its last byte, and writes the same. */
static void assert_round_trip(struct oracle *o, struct buf *ours)
{
	avro_reader_t r = avro_reader_memory(ours->p, (int64_t)ours->n);

	avro_value_reset(&o->value);
	if (avro_value_read(r, &o->value))
		test_failed("%s\n", avro_strerror());
	avro_reader_free(r);
	assert_same(ours, oracle_write(o));
}

static void set_uint64(avro_value_t *to, uint64_t u)
{
	char bytes[9] = { 0 };
	size_t from = 0;

	for (int i = 8; i > 0; i--, u >>= 8)
		bytes[i] = (char)u;
	while (from < 8 && bytes[from] == 0 && !(bytes[from + 1] & (char)0x80))
		from++;
	avro_value_set_bytes(to, bytes + from, sizeof bytes - from);
}

static void set_scalar(avro_value_t *to, enum column_type type, const struct value *v)
{
	switch (type) {
	case COL_BOOL:
		avro_value_set_boolean(to, v->b);
		break;
	case COL_INT32:
	case COL_DATE:
		avro_value_set_int(to, (int32_t)v->i);
		break;
	case COL_INT64:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		avro_value_set_long(to, v->i);
		break;
	case COL_UINT64:
		set_uint64(to, v->u);
		break;
	case COL_FLOAT:
		avro_value_set_float(to, (float)v->d);
		break;
	case COL_DOUBLE:
		avro_value_set_double(to, v->d);
		break;
	case COL_DECIMAL:
	case COL_BYTES:
		avro_value_set_bytes(to, (void *)(uintptr_t)v->s.p, v->s.n);
		break;
	default:
		avro_value_set_string_len(to, v->s.p, v->s.n + 1);
	}
}

static void set_value(avro_value_t *to, const struct column *c, const struct value *v)
{
	if (c->type != COL_ARRAY) {
		set_scalar(to, c->type, v);
		return;
	}
	for (size_t i = 0; i < v->a->n; i++) {
		avro_value_t item, branch;

		avro_value_append(to, &item, NULL);
		avro_value_set_branch(&item, v->a->items[i].state == VALUE_SET, &branch);
		if (v->a->items[i].state == VALUE_SET)
			set_scalar(&branch, c->element, &v->a->items[i]);
		else
			avro_value_set_null(&branch);
	}
}

static void set_row(avro_value_t *to, const struct table *t, const struct value *row)
{
	avro_value_reset(to);
	for (size_t i = 0; i < t->ncolumns; i++) {
		avro_value_t field, branch;

		assert_int_equal(avro_value_get_by_index(to, i, &field, NULL), 0);
		assert_int_equal(avro_value_set_branch(&field, row[i].state == VALUE_SET, &branch),
				 0);
		if (row[i].state == VALUE_SET)
			set_value(&branch, &t->columns[i], &row[i]);
		else
			avro_value_set_null(&branch);
	}
}

static void set_key(avro_value_t *to, const struct table *t, const struct value *row)
{
	avro_value_reset(to);
	for (size_t k = 0; k < t->nkey; k++) {
		avro_value_t field;

		assert_int_equal(avro_value_get_by_index(to, k, &field, NULL), 0);
		set_value(&field, &t->columns[t->key[k]], &row[t->key[k]]);
	}
}

static void check_rows(const struct table *t, struct rng *r)
{
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf out = { 0 };
	struct avro_extra extra = { { 0 }, { 0 } };
	struct oracle row, key = { 0 };

	oracle_open(&row, t->schemas.row);
	if (t->nkey)
		oracle_open(&key, t->schemas.key);
	for (int i = 0; i < 40; i++) {
		struct value *values = fixture_row(r, &arena, t, i % 2);

		buf_clear(&out);
		avro_put_row(&out, t, values, &extra);
		set_row(&row.value, t, values);
		assert_same(&out, oracle_write(&row));
		buf_clear(&out);
		if (avro_put_key(&out, t, values)) {
			set_key(&key.value, t, values);
			assert_same(&out, oracle_write(&key));
		} else {
			assert_true(t->nkey == 0 || i % 2 == 0);
		}
		arena_reset(&arena);
	}
	oracle_close(&row);
	if (t->nkey)
		oracle_close(&key);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
}

static void rows_and_keys(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables *tables = tables_new(&fixture_config);
	struct rng r = { 1 };

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		check_rows(fixture_random_table(tables, &r, &arena, i), &r);
	tables_free(tables);
}

/* A random change of the table, with its images in the arena. */
static struct change random_change(struct rng *r, struct arena *a, const struct table *t)
{
	static const enum change_op ops[] = { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE,
					      CHANGE_READ, CHANGE_TRUNCATE };
	struct change c = { .op = ops[rng_below(r, COUNT(ops))],
			    .table = t,
			    .pos = { 1, 0, rng_next(r), rng_next(r) },
			    .xid = rng_below(r, UINT32_MAX),
			    .commit_us = fixture_int(r, 0, INT64_MAX / 4) };

	if (c.op == CHANGE_UPDATE || c.op == CHANGE_DELETE)
		c.before = fixture_row(r, a, t, rng_below(r, 2));
	if (c.op == CHANGE_INSERT || c.op == CHANGE_UPDATE || c.op == CHANGE_READ)
		c.after = fixture_row(r, a, t, rng_below(r, 2));
	return c;
}

static void check_events(struct tables *tables, const struct table *t, struct rng *r)
{
	struct avro_source source = { .connector = "postgresql",
				      .pipeline = "erp",
				      .database = "shop" };
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf record = { 0 }, out = { 0 };
	struct avro_scratch scratch = { 0 };
	struct oracle spool, envelope, flat;
	struct error err;

	oracle_open(&spool, avro_spool_schema);
	oracle_open(&envelope, t->schemas.envelope);
	oracle_open(&flat, t->schemas.flat);
	for (int i = 0; i < 30; i++) {
		struct change c = random_change(r, &arena, t);
		struct event e;

		buf_clear(&record);
		spool_record_put(&record, &c, &scratch);
		assert_round_trip(&spool, &record);
		struct cursor cursor = cursor_of((struct str){ record.p, record.n });

		assert_int_equal(spool_record_get(&cursor, tables, &e, &err), 0);
		buf_clear(&out);
		avro_put_envelope(&out, &e, event_op(&e), &source, i % 2 ? -1 : i, i);
		assert_round_trip(&envelope, &out);
		buf_clear(&out);
		avro_put_flat(&out, &e, event_op(&e));
		assert_round_trip(&flat, &out);
		arena_reset(&arena);
	}
	avro_source_release(&source);
	oracle_close(&spool);
	oracle_close(&envelope);
	oracle_close(&flat);
	avro_scratch_free(&scratch);
}

static void records_envelopes_and_flat_events(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables *tables = tables_new(&fixture_config);
	struct rng r = { 2 };

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		check_events(tables, fixture_random_table(tables, &r, &arena, i), &r);
	tables_free(tables);
}

/* Records without a row. */
static void control_records(void **state)
{
	static const enum change_op ops[] = { CHANGE_BEGIN, CHANGE_COMMIT,    CHANGE_ABORT,
					      CHANGE_GAP,   CHANGE_HEARTBEAT, CHANGE_MESSAGE };
	struct avro_scratch scratch = { 0 };
	AUTO(buf) struct buf out = { 0 };
	struct oracle spool;

	(void)state;
	oracle_open(&spool, avro_spool_schema);
	for (size_t i = 0; i < COUNT(ops); i++) {
		struct change c = { .op = ops[i],
				    .pos = { 3, 0, UINT64_MAX, POSITION_BETWEEN },
				    .xid = UINT64_MAX,
				    .commit_us = -1,
				    .prefix = STR("p"),
				    .content = STR("\0\1"),
				    .resume = STR("{}") };

		buf_clear(&out);
		spool_record_put(&out, &c, &scratch);
		assert_round_trip(&spool, &out);
	}
	oracle_close(&spool);
	avro_scratch_free(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_and_keys),
		cmocka_unit_test(records_envelopes_and_flat_events),
		cmocka_unit_test(control_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
