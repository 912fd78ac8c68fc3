/*
 * test_avro_schema.c - canonical form and fingerprints against known values; the schemas of a table
 */
#include "avro_fixture.h"

#include <jansson.h>

static struct error err;

/* Values of Avro's own tests (share/test/data/schema-tests.txt). */
static void known_fingerprints(void **state)
{
	static const struct {
		const char *schema, *canonical;
		int64_t fp;
	} known[] = {
		{ "\"null\"", "\"null\"", 7195948357588979594 },
		{ "{\"type\":\"null\"}", "\"null\"", 7195948357588979594 },
		{ "\"boolean\"", "\"boolean\"", -6970731678124411036 },
		{ " \"int\" ", "\"int\"", 8247732601305521295 },
		{ "\"long\"", "\"long\"", -3434872931120570953 },
		{ "\"float\"", "\"float\"", 5583340709985441680 },
		{ "\"double\"", "\"double\"", -8181574048448539266 },
		{ "\"bytes\"", "\"bytes\"", 5746618253357095269 },
		{ "\"string\"", "\"string\"", -8142146995180207161 },
		{ "[  ]", "[]", -1241056759729112623 },
		{ "[ \"int\"  ]", "[\"int\"]", -5232228896498058493 },
		{ "[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]",
		  5392556393470105090 },
		{ "{\"fields\":[], \"type\":\"record\", \"name\":\"foo\"}",
		  "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", -4824392279771201922 },
		{ "{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\"}",
		  "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", 5916914534497305771 },
		{ "{\"fields\":[], \"type\":\"record\", \"name\":\"a.b.foo\", "
		  "\"namespace\":\"x.y\"}",
		  "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}",
		  -4616218487480524110 },
		{ "{\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"}], \"type\":\"record\", "
		  "\"name\":\"foo\"}",
		  "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":"
		  "\"boolean\"}]}",
		  7843277075252814651 },
		{ "{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\"]}",
		  "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}",
		  -6342190197741309591 },
		{ "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
		  "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}", 1756455273707447556 },
		{ "{ \"items\":{\"type\":\"null\"}, \"type\":\"array\"}",
		  "{\"type\":\"array\",\"items\":\"null\"}", -589620603366471059 },
		{ "{ \"values\":\"string\", \"type\":\"map\"}",
		  "{\"type\":\"map\",\"values\":\"string\"}", -8732877298790414990 },
	};

	(void)state;
	assert_true(avro_crc64("", 0) == UINT64_C(0xc15d213aa4d7a795));
	for (size_t i = 0; i < COUNT(known); i++) {
		AUTO(free) char *canonical = avro_canonical(known[i].schema, &err);

		assert_non_null(canonical);
		assert_string_equal(canonical, known[i].canonical);
		assert_true((int64_t)avro_crc64(canonical, strlen(canonical)) == known[i].fp);
	}
}

static void names_of_a_nested_namespace(void **state)
{
	AUTO(free)
	char *canonical = avro_canonical(
		"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"doc\":\"x\","
		"\"fields\":["
		"{\"name\":\"e\",\"default\":null,\"type\":{\"type\":\"error\",\"name\":\"c.E\","
		"\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":"
		"2}}]}},"
		"{\"name\":\"again\",\"type\":[\"null\",\"R\",{\"type\":{\"type\":\"bytes\","
		"\"logicalType\":\"decimal\"}}]}]}",
		&err);

	(void)state;
	assert_string_equal(
		canonical,
		"{\"name\":\"a.b.R\",\"type\":\"record\",\"fields\":[{\"name\":\"e\","
		"\"type\":{\"name\":\"c.E\",\"type\":\"error\",\"fields\":[{\"name\":\"f\","
		"\"type\":{\"name\":\"c.F\",\"type\":\"fixed\",\"size\":2}}]}},{\"name\":"
		"\"again\",\"type\":[\"null\",\"a.b.R\",\"bytes\"]}]}");
}

static void no_schema(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"1",
		"{}",
		"[1]",
		"{\"type\":\"record\",\"name\":\"r\"}",
		"{\"type\":\"record\",\"fields\":[]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"type\":\"int\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\"}]}",
		"{\"type\":\"enum\",\"name\":\"r\",\"symbols\":[1]}",
		"{\"type\":\"fixed\",\"name\":\"r\"}",
		"{\"type\":\"array\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_null(avro_canonical(texts[i], &err));
		assert_int_equal(err.kind, ERR_FATAL);
	}
}

static void validated_by_apache_avro(void **state)
{
	(void)state;
	assert_int_equal(avro_schema_validate("\"int\"", &err), 0);
	assert_int_equal(avro_schema_validate(avro_spool_schema, &err), 0);
	assert_int_equal(avro_schema_validate("\"in\"", &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_int_equal(
		avro_schema_validate("{\"type\":\"record\",\"name\":\"r-r\",\"fields\":[]}", &err),
		-1);
}

static void assert_name(const char *text, const char *name)
{
	AUTO(buf) struct buf b = { 0 };

	avro_name(str_z(text), &b);
	assert_string_equal(buf_z(&b), name);
}

/* EDGE 40 */
static void names(void **state)
{
	AUTO(buf) struct buf b = { 0 };

	(void)state;
	assert_name("plain_Name9", "plain_Name9");
	assert_name("9lives", "_9lives");
	assert_name("", "_");
	assert_name("a b\"c'd", "a_b_c_d");
	assert_name("Gr\xc3\xb6\xc3\x9f"
		    "e",
		    "Gr__e");
	assert_name("\xf0\x9f\x90\x98", "_");
	assert_name("\x80x", "_x");
	avro_topic("erp-1", STR("9.my schema"), STR(".t."), &b);
	assert_string_equal(buf_z(&b), "erp_1._9.my_schema._.t._");
}

static json_t *field_of(json_t *record, const char *name)
{
	json_t *fields = json_object_get(record, "fields");

	for (size_t i = 0; i < json_array_size(fields); i++) {
		json_t *f = json_array_get(fields, i);

		if (strcmp(json_string_value(json_object_get(f, "name")), name) == 0)
			return f;
	}
	return NULL;
}

/* The type beside null, as text. */
static void assert_type(json_t *row, const char *column, const char *type)
{
	json_t *f = field_of(row, column), *want = json_loads(type, JSON_DECODE_ANY, NULL);

	assert_non_null(want);
	assert_string_equal(json_string_value(json_array_get(json_object_get(f, "type"), 0)),
			    "null");
	if (!json_equal(json_array_get(json_object_get(f, "type"), 1), want))
		test_failed("%s is not %s\n", column, type);
	assert_true(json_is_null(json_object_get(f, "default")));
	assert_string_equal(json_string_value(json_object_get(f, "doc")), "some type");
	json_decref(want);
}

#define CONNECT ",\"connect.version\":1,\"connect.name\":"

/* INTERFACE.md's table of types. */
static void types(void **state)
{
	static const struct {
		const char *name;
		enum column_type type;
		const char *json;
	} want[] = {
		{ "bool", COL_BOOL, "\"boolean\"" },
		{ "int32", COL_INT32, "\"int\"" },
		{ "int64", COL_INT64, "\"long\"" },
		{ "uint64", COL_UINT64,
		  "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":20,\"scale\":0,"
		  "\"connect.parameters\":{\"scale\":\"0\",\"connect.decimal.precision\":"
		  "\"20\"}" CONNECT "\"org.apache.kafka.connect.data.Decimal\"}" },
		{ "float", COL_FLOAT, "\"float\"" },
		{ "double", COL_DOUBLE, "\"double\"" },
		{ "decimal", COL_DECIMAL,
		  "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2,"
		  "\"connect.parameters\":{\"scale\":\"2\",\"connect.decimal.precision\":"
		  "\"12\"}" CONNECT "\"org.apache.kafka.connect.data.Decimal\"}" },
		{ "text", COL_TEXT, "\"string\"" },
		{ "bytes", COL_BYTES, "\"bytes\"" },
		{ "date", COL_DATE,
		  "{\"type\":\"int\",\"logicalType\":\"date\"" CONNECT
		  "\"org.apache.kafka.connect.data.Date\"}" },
		{ "time", COL_TIME,
		  "{\"type\":\"long\",\"logicalType\":\"time-micros\"" CONNECT
		  "\"io.debezium.time.MicroTime\"}" },
		{ "timestamp", COL_TIMESTAMP,
		  "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"" CONNECT
		  "\"io.debezium.time.MicroTimestamp\"}" },
		{ "timestamptz", COL_TIMESTAMPTZ,
		  "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"" CONNECT
		  "\"io.debezium.time.MicroTimestamp\"}" },
		{ "uuid", COL_UUID, "{\"type\":\"string\",\"logicalType\":\"uuid\"}" },
		{ "json", COL_JSON, "{\"type\":\"string\"" CONNECT "\"io.debezium.data.Json\"}" },
		{ "array", COL_ARRAY,
		  "{\"type\":\"array\",\"items\":[\"null\",{\"type\":\"string\",\"logicalType\":"
		  "\"uuid\"}]}" },
	};
	struct tables *tables = tables_new(&fixture_config);
	struct column columns[COUNT(want)];

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		columns[i] = fixture_column(want[i].name, want[i].type, 0);
		columns[i].precision = 12;
		columns[i].scale = 2;
		columns[i].element = COL_UUID;
	}
	struct table draft = fixture_draft("public", "t", columns, COUNT(columns));
	json_t *row = json_loads(fixture_define(tables, &draft)->schemas.row, 0, NULL);

	assert_string_equal(json_string_value(json_object_get(row, "connect.name")),
			    "erp.public.t.Value");
	for (size_t i = 0; i < COUNT(want); i++)
		assert_type(row, want[i].name, want[i].json);
	json_decref(row);
	tables_free(tables);
}

static void assert_fields(const json_t *record, const char *const *names, size_t n)
{
	const json_t *fields = json_object_get(record, "fields");

	assert_int_equal(json_array_size(fields), n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(json_string_value(
					    json_object_get(json_array_get(fields, i), "name")),
				    names[i]);
}

/* Members and their order are the contract. */
static void envelope_key_and_flat(void **state)
{
	static const char *const envelope[] = { "before",
						"after",
						"source",
						"op",
						"ts_ms",
						"ts_us",
						"transaction",
						"absent",
						"absent_before",
						"unrepresentable",
						"unrepresentable_before" };
	static const char *const source[] = { "version",  "connector", "name",    "ts_ms", "ts_us",
					      "snapshot", "db",        "schema",  "table", "txId",
					      "lsn",      "row",       "position" };
	static const char *const transaction[] = { "id", "total_order", "data_collection_order" };
	static const char *const flat[] = { "id", "a", "b", AVRO_FLAT_FIELDS };
	static const char *const key[] = { "b", "id" };
	struct column c[] = { fixture_column("id", COL_INT32, 2), fixture_column("a", COL_TEXT, 0),
			      fixture_column("b", COL_UUID, 1) };
	struct tables *tables = tables_new(&fixture_config);
	struct table draft = fixture_draft("public", "t", c, 3);
	const struct table_schemas *s = &fixture_define(tables, &draft)->schemas;
	json_t *e = json_loads(s->envelope, 0, NULL), *f = json_loads(s->flat, 0, NULL),
	       *k = json_loads(s->key, 0, NULL);

	(void)state;
	assert_fields(e, envelope, COUNT(envelope));
	assert_fields(json_object_get(field_of(e, "source"), "type"), source, COUNT(source));
	assert_fields(json_array_get(json_object_get(field_of(e, "transaction"), "type"), 1),
		      transaction, COUNT(transaction));
	assert_fields(f, flat, COUNT(flat));
	assert_fields(k, key, COUNT(key));
	assert_string_equal(json_string_value(json_object_get(field_of(k, "id"), "type")), "int");
	assert_string_equal(json_string_value(json_object_get(e, "connect.name")),
			    "erp.public.t.Envelope");
	json_decref(e);
	json_decref(f);
	json_decref(k);
	tables_free(tables);
}

static void another_connector_has_no_lsn(void **state)
{
	struct tables_config config = { "erp", "mariadb", "shop", NULL, 0 };
	struct tables *tables = tables_new(&config);
	struct column c = fixture_column("id", COL_INT32, 0);
	struct table draft = fixture_draft("shop", "t", &c, 1);
	const struct table_schemas *s = &fixture_define(tables, &draft)->schemas;

	(void)state;
	assert_null(strstr(s->envelope, "\"lsn\""));
	assert_non_null(strstr(s->envelope, "io.debezium.connector.mariadb"));
	assert_null(s->key);
	tables_free(tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_fingerprints),
		cmocka_unit_test(names_of_a_nested_namespace),
		cmocka_unit_test(no_schema),
		cmocka_unit_test(validated_by_apache_avro),
		cmocka_unit_test(names),
		cmocka_unit_test(types),
		cmocka_unit_test(envelope_key_and_flat),
		cmocka_unit_test(another_connector_has_no_lsn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
