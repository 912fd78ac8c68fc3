/*
 * test_kafka.c - what the Kafka sink computes by itself: partitions, names, framing, the checkpoint
 */
#include "events_helper.h"
#include "../../sinks/kafka.h"

/* From Kafka's own tests of its murmur2 (UtilsTest). */
static void test_murmur2(void **state)
{
	static const struct {
		const char *key;
		int32_t hash;
	} cases[] = {
		{ "21", -973932308 },
		{ "foobar", -790332482 },
		{ "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal((int32_t)kafka_murmur2(str_z(cases[i].key)), cases[i].hash);
	assert_int_equal(kafka_partition(STR("21"), 6), (int32_t)((-973932308 & 0x7fffffff) % 6));
	for (size_t n = 1; n < 40; n++)
		assert_in_range(
			kafka_partition((struct str){ "0123456789012345678901234567890123456789",
						      n },
					7),
			0, 6);
}

static char *topic(const char *template, const char *schema, const char *table, const char **why)
{
	struct buf out = { 0 };

	kafka_topic_name(template, "erp", str_z(schema), str_z(table), &out, why);
	return out.p;
}

#define assert_topic(template, schema, table, expected)                                            \
	do {                                                                                       \
		const char *why_;                                                                  \
		AUTO(free) char *name_ = topic(template, schema, table, &why_);                    \
		assert_null(why_);                                                                 \
		assert_string_equal(name_, expected);                                              \
	} while (0)

/* EDGE 40: whatever stands in a name, the topic has a legal one. */
static void test_topic_names(void **state)
{
	static const char standard[] = "{pipeline}.{schema}.{table}";
	char longest[260];
	const char *why;

	(void)state;
	assert_topic(standard, "public", "orders", "erp.public.orders");
	assert_topic(standard, "public", "Kunden Nr.7", "erp.public.Kunden_Nr.7");
	assert_topic(standard, "sch\xc3\xb6n", "a/b", "erp.sch_n.a_b");
	assert_topic(standard, "p", "{schema}", "erp.p._schema_");
	assert_topic("cdc-{table}", "p", "t", "cdc-t");

	AUTO(free) char *reserved = topic("{schema}.{table}", "erp", "messages", &why);

	assert_string_equal(why, "is reserved");
	AUTO(free) char *ours = topic("{schema}.{table}", "tailrace", "checkpoints", &why);

	assert_string_equal(why, "is reserved");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	AUTO(free) char *too_long = topic(standard, "p", longest, &why);

	assert_non_null(strstr(why, "249"));
}

static void test_templates(void **state)
{
	static const char *const bad[] = { "all", "{pipeline}.{schema}", "{table}{tabel}",
					   "a b{table}", "{table}/x" };
	struct kafka_settings set = { .topic = xstrdup("{pipeline}.{table}") };
	struct error err;

	(void)state;
	assert_int_equal(kafka_template_check(&set, &err), 0);
	free(set.topic);
	for (size_t i = 0; i < COUNT(bad); i++) {
		set.topic = xstrdup(bad[i]);
		assert_int_equal(kafka_template_check(&set, &err), -1);
		assert_int_equal(err.exit, EXIT_USAGE);
		free(set.topic);
	}
}

static void test_frame(void **state)
{
	char frame[KAFKA_FRAME];

	(void)state;
	kafka_frame(UINT64_C(0x0102030405060708), frame);
	assert_memory_equal(frame, "\xc3\x01\x08\x07\x06\x05\x04\x03\x02\x01", KAFKA_FRAME);
}

static void test_properties(void **state)
{
	static const char *const refused[] = {
		"transactional.id",
		"enable.idempotence",
		"acks",
		"isolation.level",
		"max.in.flight.requests.per.connection",
		"partitioner",
		"transaction.timeout.ms",
		"message.timeout.ms",
		"max.in.flight",
		"enable.gapless.guarantee",
		"delivery.timeout.ms",
		"bootstrap.servers",
		"queue.buffering.max.kbytes",
		"request.required.acks",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		assert_int_equal(kafka_property_check(refused[i], "1", &err), -1);
		assert_int_equal(err.exit, EXIT_USAGE);
		assert_non_null(strstr(err.text, refused[i]));
		assert_non_null(strstr(err.text, "is not to be set"));
	}
	assert_int_equal(kafka_property_check("linger.ms", "3", &err), 0);
	assert_int_equal(kafka_property_check("compression.codec", "zstd", &err), 0);
	assert_int_equal(kafka_property_check("compression.codec", "tar", &err), -1);
	assert_int_equal(kafka_property_check("no.such.thing", "1", &err), -1);
}

static void test_checkpoint(void **state)
{
	const struct kafka k = { .fence = 7 };
	struct checkpoint at = { .pos = { 1, 0, 0x16b3748, 9 },
				 .resume = xstrdup("{\"lsn\":\"0/1\"}"),
				 .stopped = xstrdup("{\"public.a\":\"1/0/1/2\"}") };
	AUTO(buf) struct buf json = { 0 };
	struct kafka_checkpoint back;
	struct error err;

	(void)state;
	kafka_checkpoint_format(&k, &at, &json);
	assert_ptr_equal(
		strstr(buf_z(&json),
		       "{\"fence\":7,\"position\":\"1/0/16B3748/9\",\"resume\":{\"lsn\":\"0/1\"},"
		       "\"snapshot\":[],\"stopped\":{\"public.a\":\"1/0/1/2\"},\"time\":\""),
		json.p);
	assert_int_equal(kafka_checkpoint_parse((struct str){ json.p, json.n }, &back, &err), 0);
	assert_true(back.found);
	assert_int_equal(back.fence, 7);
	assert_int_equal(position_cmp(&back.at.pos, &at.pos), 0);
	assert_string_equal(back.at.resume, at.resume);
	assert_string_equal(back.at.stopped, at.stopped);
	assert_null(back.at.snapshot);
	kafka_checkpoint_release(&back);
	checkpoint_release(&at);

	/* A fence that was raised before anything was committed. */
	buf_clear(&json);
	kafka_checkpoint_format(&k, &at, &json);
	assert_int_equal(kafka_checkpoint_parse((struct str){ json.p, json.n }, &back, &err), 0);
	assert_int_equal(back.fence, 7);
	assert_null(back.at.resume);
	kafka_checkpoint_release(&back);
}

static void test_damaged_checkpoint(void **state)
{
	static const char *const bad[] = { "",
					   "x",
					   "[]",
					   "{}",
					   "{\"fence\":\"1\"}",
					   "{\"fence\":1,\"position\":\"1/0\",\"resume\":{}}",
					   "{\"fence\":1,\"position\":null,\"resume\":{}}" };
	struct kafka_checkpoint out;
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(kafka_checkpoint_parse(str_z(bad[i]), &out, &err), -1);
		assert_int_equal(err.kind, ERR_FATAL);
		kafka_checkpoint_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_murmur2),
		cmocka_unit_test(test_topic_names),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_checkpoint),
		cmocka_unit_test(test_damaged_checkpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
