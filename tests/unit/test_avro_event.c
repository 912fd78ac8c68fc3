/*
 * test_avro_event.c - the envelope and the flat form, member by member (bytes: test_avro_oracle.c)
 */
#include "avro_fixture.h"

#include <avro/basics.h>
#include <avro/generic.h>
#include <avro/io.h>
#include <avro/schema.h>
#include <avro/value.h>
#include <jansson.h>
#include <time.h>

static const struct avro_source source = { .connector = "postgresql",
					   .pipeline = "erp",
					   .database = "shop" };
static struct tables *tables;
static const struct table *table;
static struct error err;

static int setup(void **state)
{
	struct column c[] = { fixture_column("id", COL_INT64, 1), fixture_column("a", COL_TEXT, 0),
			      fixture_column("sp\xc3\xa4t", COL_DATE, 0) };
	struct table draft = fixture_draft("public", "t", c, 3);

	(void)state;
	tables = tables_new(&fixture_config);
	table = fixture_define(tables, &draft);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tables_free(tables);
	return 0;
}

/* What Apache Avro C reads, as JSON: of a union its branch's value under the branch's name. */
static json_t *read_json(const char *schema, const struct buf *bytes)
{
	avro_schema_t s;
	avro_value_t v;
	json_t *o;
	char *text;

	assert_int_equal(avro_schema_from_json_length(schema, strlen(schema), &s), 0);
	avro_value_iface_t *iface = avro_generic_class_from_schema(s);

	avro_generic_value_new(iface, &v);
	avro_reader_t r = avro_reader_memory(bytes->p, (int64_t)bytes->n);

	assert_int_equal(avro_value_read(r, &v), 0);
	assert_int_equal(avro_value_to_json(&v, 1, &text), 0);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	free(text);
	avro_reader_free(r);
	avro_value_decref(&v);
	avro_value_iface_decref(iface);
	avro_schema_decref(s);
	return o;
}

static json_t *envelope(const struct event *e, char op, int64_t total_order)
{
	AUTO(buf) struct buf b = { 0 };

	struct avro_source fresh = source;

	avro_put_envelope(&b, e, op, &fresh, total_order, 4);
	avro_source_release(&fresh);
	return read_json(table->schemas.envelope, &b);
}

static json_t *flat(const struct event *e, char op)
{
	AUTO(buf) struct buf b = { 0 };

	avro_put_flat(&b, e, op);
	return read_json(table->schemas.flat, &b);
}

/* A path like "source.ts_us.long" is what the text says. */
static void assert_at(const json_t *o, const char *path, const char *want)
{
	AUTO(free) char *copy = xstrdup(path);
	char *rest = copy, *name;

	while ((name = strsep(&rest, ".")) != NULL)
		o = json_object_get(o, name);
	char *text = o ? json_dumps(o, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	if (!text || strcmp(text, want) != 0)
		test_failed("%s is %s, not %s\n", path, text ? text : "not there", want);
	free(text);
}

static const struct event update = {
	.op = CHANGE_UPDATE,
	.pos = { 1, 0, 0x16B3748, 7 },
	.xid = 789,
	.commit_us = 1700000000123456,
	.key = STR("\4"),
	.old_key = STR("\2"),
	.before = STR("\2\2\0\0"),
	.absent_before = STR("\6"),
	.after = STR("\2\4\2\2x\0"),
	.unrepresentable = STR("\2\x08sp_t\x10infinity\0"),
};

static struct event the_update(void)
{
	struct event e = update;

	e.table = table;
	return e;
}

static void members(void **state)
{
	struct event e = the_update();
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	json_t *o = envelope(&e, 'u', 6);

	assert_at(o, "op", "\"u\"");
	assert_at(o, "source.version", "\"" TAILRACE_VERSION "\"");
	assert_at(o, "source.connector", "\"postgresql\"");
	assert_at(o, "source.name", "\"erp\"");
	assert_at(o, "source.db", "\"shop\"");
	assert_at(o, "source.schema", "\"public\"");
	assert_at(o, "source.table", "\"t\"");
	assert_at(o, "source.ts_ms", "1700000000123");
	assert_at(o, "source.ts_us.long", "1700000000123456");
	assert_at(o, "source.snapshot", "\"false\"");
	assert_at(o, "source.txId.long", "789");
	assert_at(o, "source.lsn.long", "23803720");
	assert_at(o, "source.row", "7");
	assert_at(o, "source.position", "\"1/0/16B3748/7\"");
	assert_at(o, "transaction",
		  "{\"block\":{\"id\":\"789:23803720\",\"total_order\":6,"
		  "\"data_collection_order\":4}}");
	const json_t *ts = json_object_get(json_object_get(o, "ts_us"), "long");
	json_int_t late =
		json_integer_value(ts) - ((json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);

	assert_true(late >= 0 && late < 60000000);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "ts_ms"), "long")),
			 json_integer_value(ts) / 1000);
	json_decref(o);
}

/* EDGE 5: a moved key is shown as one update, or as a delete and an insert of the same event. */
static void images_by_operation(void **state)
{
	static const char before[] = "{\"Value\":{\"id\":{\"long\":1},\"a\":null,\"sp_t\":null}}";
	static const char after[] = "{\"Value\":{\"id\":{\"long\":2},\"a\":{"
				    "\"string\":\"x\"},\"sp_t\":null}}";
	static const char absent[] = "{\"array\":[\"a\",\"sp_t\"]}";
	static const char unrep[] = "{\"map\":{\"sp_t\":\"infinity\"}}";
	static const struct {
		char op;
		const char *before, *after, *absent_before, *unrepresentable;
	} want[] = {
		{ 'u', before, after, absent, unrep },   { 'd', before, "null", absent, "null" },
		{ 'c', "null", after, "null", unrep },   { 'r', "null", after, "null", unrep },
		{ 't', "null", "null", "null", "null" },
	};
	struct event e = the_update();

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		json_t *o = envelope(&e, want[i].op, -1);

		assert_at(o, "before", want[i].before);
		assert_at(o, "after", want[i].after);
		assert_at(o, "absent", "null");
		assert_at(o, "absent_before", want[i].absent_before);
		assert_at(o, "unrepresentable", want[i].unrepresentable);
		assert_at(o, "unrepresentable_before", "null");
		assert_at(o, "transaction", "null");
		assert_at(o, "source.snapshot",
			  want[i].op == 'r' ? "\"incremental\"" : "\"false\"");
		json_decref(o);
	}
}

/* A chunk's row: an ordinal that a reader's long can hold, the position in full, no file of the log. */
static void a_row_of_a_chunk(void **state)
{
	struct event e = the_update();
	struct avro_source src = source;
	const struct event begin = { .op = CHANGE_BEGIN,
				     .pos = { 1, 0, 0x100, 1 },
				     .prefix = STR("0-1-2"),
				     .content = STR("binlog.000007") };
	const struct event chunk = { .op = CHANGE_BEGIN,
				     .pos = { 1, 0, 0x100, POSITION_BETWEEN + 1 },
				     .content = STR("{\"load\":\"rows\"}") };

	(void)state;
	src.tables = NULL;
	avro_source_begin(&src, &begin);
	assert_true(str_eqz(src.gtid, "0-1-2") && str_eqz(src.file, "binlog.000007"));
	avro_source_begin(&src, &chunk);
	assert_null(src.gtid.p);
	assert_null(src.file.p);
	avro_source_release(&src);

	e.pos.row = POSITION_BETWEEN + 12;
	json_t *o = envelope(&e, 'r', -1);

	assert_at(o, "op", "\"r\"");
	assert_at(o, "source.row", "12");
	assert_at(o, "source.position", "\"1/0/16B3748/9223372036854775820\"");
	assert_at(o, "source.lsn.long", "23803720");
	assert_at(o, "source.snapshot", "\"incremental\"");
	json_decref(o);
	o = flat(&e, 'r');
	assert_at(o, "__op.string", "\"r\"");
	assert_at(o, "__deleted.string", "\"false\"");
	assert_at(o, "__position.string", "\"1/0/16B3748/9223372036854775820\"");
	json_decref(o);
}

static void extremes(void **state)
{
	struct event e = { .op = CHANGE_TRUNCATE,
			   .table = table,
			   .pos = { UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX },
			   .commit_us = -1,
			   .xid = UINT64_MAX };

	(void)state;
	json_t *o = envelope(&e, 't', INT64_MAX);

	assert_at(o, "source.position",
		  "\"4294967295/4294967295/FFFFFFFFFFFFFFFF/18446744073709551615\"");
	assert_at(o, "source.ts_ms", "-1");
	assert_at(o, "source.row", "9223372036854775807");
	assert_at(o, "source.txId.long", "-1");
	json_decref(o);
	e.xid = 0;
	o = envelope(&e, 't', -1);
	assert_at(o, "source.txId", "null");
	json_decref(o);
}

static void flat_form(void **state)
{
	struct event e = the_update();

	(void)state;
	json_t *o = flat(&e, 'u');

	assert_at(o, "id.long", "2");
	assert_at(o, "__op.string", "\"u\"");
	assert_at(o, "__deleted.string", "\"false\"");
	assert_at(o, "__source_ts_ms.long", "1700000000123");
	assert_at(o, "__position.string", "\"1/0/16B3748/7\"");
	assert_at(o, "__absent", "null");
	assert_at(o, "__unrepresentable", "{\"map\":{\"sp_t\":\"infinity\"}}");
	json_decref(o);
	o = flat(&e, 'd');
	assert_at(o, "id.long", "1");
	assert_at(o, "__deleted.string", "\"true\"");
	assert_at(o, "__absent", "{\"array\":[\"a\",\"sp_t\"]}");
	assert_at(o, "__unrepresentable", "null");
	json_decref(o);
	o = flat(&e, 't');
	assert_at(o, "id", "null");
	assert_at(o, "__op.string", "\"t\"");
	json_decref(o);
}

static json_t *as_json(const struct event *e)
{
	AUTO(buf) struct buf b = { 0 };
	json_error_t why;

	if (event_json(&b, e, &err) < 0)
		test_failed("%s\n", err.text);
	assert_null(strchr(buf_z(&b), '\n'));
	json_t *o = json_loads(buf_z(&b), JSON_REJECT_DUPLICATES, &why);

	if (!o)
		test_failed("%s: %s\n", why.text, buf_z(&b));
	return o;
}

/* INTERFACE.md, "JSON": these members, absent columns left out. */
static void events_json(void **state)
{
	static const char *const members_of[] = { "position",
						  "op",
						  "schema",
						  "table",
						  "version",
						  "txid",
						  "ts_us",
						  "snapshot",
						  "key",
						  "before",
						  "after",
						  "absent",
						  "absent_before",
						  "unrepresentable",
						  "unrepresentable_before" };
	struct value before[] = { { .state = VALUE_SET, .i = 1 },
				  { .state = VALUE_ABSENT },
				  { .state = VALUE_ABSENT } };
	struct value after[] = { { .state = VALUE_SET, .i = 2 },
				 { .state = VALUE_SET, .s = STR("x\"\n") },
				 { .state = VALUE_UNREPRESENTABLE, .s = STR("infinity") } };
	struct change c = { .op = CHANGE_UPDATE,
			    .table = table,
			    .pos = { 1, 0, 0x16B3748, 7 },
			    .xid = 789,
			    .commit_us = 1700000000123456,
			    .before = before,
			    .after = after };
	struct avro_scratch scratch = { 0 };
	AUTO(buf) struct buf record = { 0 };
	struct event e;
	const char *name;
	json_t *value;
	size_t i = 0;

	(void)state;
	spool_record_put(&record, &c, &scratch);
	struct cursor cursor = cursor_of((struct str){ record.p, record.n });

	assert_int_equal(spool_record_get(&cursor, tables, &e, &err), 0);
	json_t *o = as_json(&e);

	json_object_foreach(o, name, value) assert_string_equal(name, members_of[i++]);
	assert_int_equal(i, COUNT(members_of));
	assert_at(o, "position", "\"1/0/16B3748/7\"");
	assert_at(o, "op", "\"u\"");
	assert_at(o, "version", "1");
	assert_at(o, "txid", "789");
	assert_at(o, "ts_us", "1700000000123456");
	assert_at(o, "snapshot", "false");
	assert_at(o, "key", "{\"id\":2}");
	assert_at(o, "before", "{\"id\":1}");
	assert_at(o, "after", "{\"id\":2,\"a\":\"x\\\"\\n\",\"sp\xc3\xa4t\":null}");
	assert_at(o, "absent", "null");
	assert_at(o, "absent_before", "[\"a\",\"sp\xc3\xa4t\"]");
	assert_at(o, "unrepresentable", "{\"sp\xc3\xa4t\":\"infinity\"}");
	assert_at(o, "unrepresentable_before", "null");
	json_decref(o);
	avro_scratch_free(&scratch);
}

static void events_without_a_row(void **state)
{
	struct event message = { .op = CHANGE_MESSAGE,
				 .pos = { 1, 0, 2, 3 },
				 .prefix = STR("p"),
				 .content = STR("\xff") };
	struct event truncate = { .op = CHANGE_TRUNCATE, .table = table };
	struct event commit = { .op = CHANGE_COMMIT, .resume = STR("{}") };
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	json_t *o = as_json(&message);

	assert_at(o, "op", "\"m\"");
	assert_at(o, "table", "null");
	assert_at(o, "version", "null");
	assert_at(o, "after", "{\"prefix\":\"p\",\"content\":\"/w==\"}");
	json_decref(o);
	o = as_json(&truncate);
	assert_at(o, "op", "\"t\"");
	assert_at(o, "key", "null");
	assert_at(o, "after", "null");
	json_decref(o);
	assert_int_equal(event_json(&b, &commit, &err), 0);
	assert_int_equal(b.n, 0);
}

static void damaged_events(void **state)
{
	struct event e = the_update();
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	buf_adds(&b, "before");
	e.after = STR("\2");
	assert_int_equal(event_json(&b, &e, &err), -1);
	e = the_update();
	e.key = STR("");
	assert_int_equal(event_json(&b, &e, &err), -1);
	assert_string_equal(buf_z(&b), "before");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What events have in common is kept from one to the next: each says what a source of its own says of it. */
static void shared_source(void **state)
{
	struct column c[] = { fixture_column("id", COL_INT64, 1) };
	struct table draft = fixture_draft("public", "other", c, 1);
	const struct table *other = fixture_define(tables, &draft);
	const struct event begins[] = {
		{ .op = CHANGE_BEGIN, .prefix = STR("0-1-7"), .content = STR("binlog.000002") },
		{ .op = CHANGE_BEGIN, .content = STR("binlog.000003") },
	};
	static const char *const connectors[] = { "postgresql", "mariadb" };

	(void)state;
	for (size_t k = 0; k < COUNT(connectors); k++) {
		struct avro_source shared = { .connector = connectors[k],
					      .pipeline = "erp",
					      .database = "shop",
					      .now_us = 1 };

		for (unsigned i = 0; i < 1 << 9; i++) {
			AUTO(buf) struct buf got = { 0 }, want = { 0 };
			struct avro_source own = { .connector = connectors[k],
						   .pipeline = "erp",
						   .database = "shop",
						   .now_us = 1 };
			unsigned bits = i ^ i >> 1; /* one thing changes from event to event */
			struct event e = { .op = CHANGE_INSERT,
					   .table = bits & 1 ? table : other,
					   .pos = { 1 + (bits >> 1 & 1), bits >> 2 & 1,
						    0xfffe + (bits >> 3 & 1), 9 + i },
					   .xid = bits >> 4 & 1,
					   .commit_us = bits >> 5 & 1,
					   .after = STR("\2\4\2\2x\0") };
			char op = bits >> 6 & 1 ? 'r' : 'c';

			if ((i & 127) == 0)
				avro_source_begin(&shared, &begins[i >> 7 & 1]);
			avro_source_begin(&own, &begins[i >> 7 & 1]);
			avro_put_envelope(&got, &e, op, &shared, i, 1);
			avro_put_envelope(&want, &e, op, &own, i, 1);
			assert_int_equal(got.n, want.n);
			assert_memory_equal(got.p, want.p, want.n);
			avro_source_release(&own);
		}
		avro_source_release(&shared);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(members),
		TEST(images_by_operation),
		TEST(extremes),
		TEST(a_row_of_a_chunk),
		TEST(flat_form),
		TEST(events_json),
		TEST(events_without_a_row),
		TEST(damaged_events),
		TEST(shared_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
