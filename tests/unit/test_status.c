/*
 * test_status.c - JSON by the contract, gauges, health
 */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "prometheus.h"
#include "../../agent/status.h"

static void fill(struct agent_status *s)
{
	status_init(s);
	status_set(&s->pipeline, "erp");
	s->started_us = INT64_C(1767323045678901);
	s->state = AGENT_STREAMING;
	status_set(&s->source.type, "postgres");
	status_set(&s->source.server, "PostgreSQL 15.18 at \"db\"\\1");
	s->source.connected = true;
	s->source.position = (struct position){ 1, 0, 0x16B3748, 7 };
	s->source.lag_seconds = 0.25;
	s->source.lag_bytes = 0;
	s->source.retained_bytes = 123456789012;
	s->spool.bytes = 1 << 20;
	s->spool.max_bytes = INT64_C(20000000000);
	s->spool.oldest = (struct position){ 1, 0, 1, 1 };
	s->spool.newest = s->spool.synced = s->source.position;

	struct sink_status *k = status_add_sink(s, "lake", "sqlite");
	k->connected = true;
	k->position = s->source.position;
	k->lag_seconds = 0;
	k->lag_events = 0;
	k->commits = 12;
	k = status_add_sink(s, "archive", "files");
	k->state = SINK_WAITING;
	status_set(&k->error, "disk is full");

	struct table_status *t = status_add_table(s, STR("public"), STR("orders"));
	t->version = 3;
	t = status_add_table(s, STR("public"), STR("stock"));
	t->version = 1;
	t->state = TABLE_STOPPED;
	status_set(&t->reason, "type changed");
	status_add_table(s, STR("public"), STR("fresh"))->state = TABLE_NEW;
}

static void assert_keys(json_t *object, const char *const *keys, size_t n)
{
	size_t i = 0;
	const char *key;
	json_t *value;

	assert_int_equal(json_object_size(object), n);
	json_object_foreach(object, key, value) assert_string_equal(key, keys[i++]);
}
#define ASSERT_KEYS(object, ...)                                                                   \
	do {                                                                                       \
		static const char *const keys[] = { __VA_ARGS__ };                                 \
		assert_keys(object, keys, COUNT(keys));                                            \
	} while (0)

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_t *parsed(const struct agent_status *s)
{
	AUTO(buf) struct buf out = { 0 };

	status_json(&out, s);
	assert_null(strchr(buf_z(&out), '\n'));
	json_t *root = json_loads(out.p, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(root);
	return root;
}

static void test_json(void **state)
{
	(void)state;
	struct agent_status s;

	fill(&s);
	json_t *root = parsed(&s), *source = json_object_get(root, "source");
	json_t *sinks = json_object_get(root, "sinks"), *tables = json_object_get(root, "tables");

	ASSERT_KEYS(root, "pipeline", "version", "pid", "started", "state", "waiting_for", "source",
		    "spool", "sinks", "tables", "quarantine");
	assert_string_equal(text_of(root, "pipeline"), "erp");
	assert_string_equal(text_of(root, "version"), TAILRACE_VERSION);
	assert_int_equal(json_integer_value(json_object_get(root, "pid")), getpid());
	assert_string_equal(text_of(root, "started"), "2026-01-02T03:04:05.678901Z");
	assert_string_equal(text_of(root, "state"), "streaming");
	assert_true(json_is_null(json_object_get(root, "waiting_for")));
	ASSERT_KEYS(source, "type", "server", "connected", "position", "lag_seconds", "lag_bytes",
		    "retained_bytes", "seconds_until_lost", "error");
	assert_string_equal(text_of(source, "server"), "PostgreSQL 15.18 at \"db\"\\1");
	assert_string_equal(text_of(source, "position"), "1/0/16B3748/7");
	assert_true(json_real_value(json_object_get(source, "lag_seconds")) == 0.25);
	assert_true(json_is_integer(json_object_get(source, "lag_bytes")));
	assert_int_equal(json_integer_value(json_object_get(source, "retained_bytes")),
			 123456789012);
	ASSERT_KEYS(json_object_get(root, "spool"), "bytes", "max_bytes", "oldest", "newest",
		    "synced", "seconds_until_full");
	assert_int_equal(json_array_size(sinks), 2);
	ASSERT_KEYS(json_array_get(sinks, 0), "name", "type", "state", "position", "lag_seconds",
		    "lag_events", "commits", "retries", "error");
	assert_string_equal(text_of(json_array_get(sinks, 1), "state"), "waiting");
	assert_string_equal(text_of(json_array_get(sinks, 1), "error"), "disk is full");
	assert_int_equal(json_array_size(tables), 3);
	ASSERT_KEYS(json_array_get(tables, 0), "schema", "name", "version", "state", "reason",
		    "snapshot");
	assert_string_equal(text_of(json_array_get(tables, 1), "state"), "stopped");
	ASSERT_KEYS(json_object_get(root, "quarantine"), "rows", "tables");
	json_decref(root);
	status_free(&s);
}

static void test_tables_being_loaded(void **state)
{
	(void)state;
	struct agent_status s;
	AUTO(buf) struct buf out = { 0 };

	fill(&s);
	s.state = AGENT_SNAPSHOT;
	status_set(&s.waiting_for, "a transaction to end");
	for (size_t i = 0; i < 3; i++)
		status_find_table(&s, STR("public"), STR("orders"))->snapshot =
			(struct snapshot_status){ "running", 1200, 5000, 11, 340.5 };
	status_find_table(&s, STR("app"), STR("x"))->snapshot =
		(struct snapshot_status){ "waiting", 0, -1, -1, 0 };
	assert_int_equal(s.ntables, 4);
	json_t *root = parsed(&s), *tables = json_object_get(root, "tables");
	json_t *load = json_object_get(json_array_get(tables, 0), "snapshot");

	assert_string_equal(text_of(root, "state"), "snapshot");
	ASSERT_KEYS(load, "state", "rows", "estimate", "rate", "seconds_left");
	assert_string_equal(text_of(load, "state"), "running");
	assert_int_equal(json_integer_value(json_object_get(load, "rows")), 1200);
	assert_true(json_real_value(json_object_get(load, "rate")) == 340.5);
	load = json_object_get(json_array_get(tables, 3), "snapshot");
	assert_true(json_is_null(json_object_get(load, "estimate")));
	assert_true(json_is_null(json_object_get(load, "seconds_left")));
	assert_true(json_is_null(json_object_get(json_array_get(tables, 1), "snapshot")));
	json_decref(root);

	/* The stream goes on meanwhile: ready, but for the sink that is not. */
	AUTO(free) char *unready = status_unready(&s);

	assert_non_null(strstr(unready, "archive"));
	s.sinks[1].connected = true;
	assert_null(status_unready(&s));

	static const char sample[] = "tailrace_snapshot_rows_total{table=\"public.orders\"}";

	status_metrics(&out, &s);
	assert_true(prometheus_sample(buf_z(&out), sample) == 1200);
	assert_true(prometheus_sample(buf_z(&out),
				      "tailrace_snapshot_rows_estimate{table=\"public.orders\"}") ==
		    5000);
	assert_null(strstr(buf_z(&out), "snapshot_rows_estimate{table=\"app.x\"}"));
	s.tables[0].snapshot.rows = 1500;
	buf_clear(&out);
	status_metrics(&out, &s);
	assert_true(prometheus_sample(buf_z(&out), sample) == 1500);
	s.tables[0].snapshot.rows = 100; /* begun anew */
	buf_clear(&out);
	status_metrics(&out, &s);
	assert_true(prometheus_sample(buf_z(&out), sample) == 1600);
	status_free(&s);
}

static void test_unknown_is_null(void **state)
{
	(void)state;
	struct agent_status s;

	status_init(&s);
	status_add_sink(&s, "lake", "sqlite");
	status_add_table(&s, STR("public"), STR("t"));
	json_t *root = parsed(&s), *source = json_object_get(root, "source");
	json_t *spool = json_object_get(root, "spool");
	json_t *sink = json_array_get(json_object_get(root, "sinks"), 0);
	json_t *table = json_array_get(json_object_get(root, "tables"), 0);
	static const char *const in_source[] = { "position",           "lag_seconds",
						 "lag_bytes",          "retained_bytes",
						 "seconds_until_lost", "error" };
	static const char *const in_spool[] = { "bytes", "oldest", "synced", "seconds_until_full" };
	static const char *const in_sink[] = { "position", "lag_seconds", "lag_events", "error" };

	for (size_t i = 0; i < COUNT(in_source); i++)
		assert_true(json_is_null(json_object_get(source, in_source[i])));
	for (size_t i = 0; i < COUNT(in_spool); i++)
		assert_true(json_is_null(json_object_get(spool, in_spool[i])));
	for (size_t i = 0; i < COUNT(in_sink); i++)
		assert_true(json_is_null(json_object_get(sink, in_sink[i])));
	assert_true(json_is_null(json_object_get(root, "started")));
	assert_true(json_is_null(json_object_get(table, "version")));
	assert_int_equal(json_integer_value(json_object_get(sink, "commits")), 0);
	json_decref(root);
	status_free(&s);
}

static void test_metrics(void **state)
{
	(void)state;
	struct agent_status s;
	AUTO(buf) struct buf out = { 0 };

	fill(&s);
	status_metrics(&out, &s);
	const char *text = buf_z(&out);
	static const struct {
		const char *name;
		double want;
	} samples[] = {
		{ "tailrace_build_info{version=\"" TAILRACE_VERSION "\"}", 1 },
		{ "tailrace_source_connected", 1 },
		{ "tailrace_source_lag_seconds", 0.25 },
		{ "tailrace_source_lag_bytes", 0 },
		{ "tailrace_source_retained_bytes", 123456789012 },
		{ "tailrace_spool_bytes", 1 << 20 },
		{ "tailrace_spool_synced_position_info{position=\"1/0/16B3748/7\"}", 1 },
		{ "tailrace_sink_connected{sink=\"lake\"}", 1 },
		{ "tailrace_sink_connected{sink=\"archive\"}", 0 },
		{ "tailrace_sink_lag_seconds{sink=\"lake\"}", 0 },
		{ "tailrace_sink_lag_events{sink=\"lake\"}", 0 },
		{ "tailrace_tables_stopped", 1 },
		{ "tailrace_schema_versions_total{table=\"public.orders\"}", 3 },
	};

	assert_true(prometheus_valid(text));
	for (size_t i = 0; i < COUNT(samples); i++)
		if (prometheus_sample(text, samples[i].name) != samples[i].want)
			fail_msg("%s is %g", samples[i].name,
				 prometheus_sample(text, samples[i].name));
	assert_null(strstr(text, "tailrace_source_seconds_until_lost"));
	assert_null(strstr(text, "tailrace_sink_lag_seconds{sink=\"archive\"}"));

	s.spool.synced.row = 9; /* the label moves: one sample, not two */
	s.source.lag_seconds = NAN;
	s.tables[0].version = 4;
	buf_clear(&out);
	status_metrics(&out, &s);
	text = buf_z(&out);
	assert_true(prometheus_valid(text));
	assert_true(isnan(prometheus_sample(
		text, "tailrace_spool_synced_position_info{position=\"1/0/16B3748/7\"}")));
	assert_true(
		prometheus_sample(
			text, "tailrace_spool_synced_position_info{position=\"1/0/16B3748/9\"}") ==
		1);
	assert_null(strstr(text, "tailrace_source_lag_seconds"));
	assert_true(prometheus_sample(text,
				      "tailrace_schema_versions_total{table=\"public.orders\"}") ==
		    4);
	status_free(&s);
}

static void test_health(void **state)
{
	(void)state;
	struct agent_status s;

	fill(&s);
	s.progress_us = 1000000;
	assert_true(status_healthy(&s, 61000000));
	assert_false(status_healthy(&s, 61000001));
	status_set(&s.waiting_for, "the slot, held by pid 12");
	assert_true(status_healthy(&s, 1000000000));
	status_free(&s);
}

static void assert_waits_for(const struct agent_status *s, const char *want)
{
	AUTO(free) char *what = status_unready(s);

	assert_non_null(what);
	assert_string_equal(what, want);
}

static void test_ready(void **state)
{
	(void)state;
	struct agent_status s;

	fill(&s);
	assert_waits_for(&s, "sink archive: disk is full");
	status_set(&s.sinks[1].error, NULL);
	assert_waits_for(&s, "sink archive to load its checkpoint");
	s.sinks[1].state = SINK_DETACHED; /* given up: a human decides, the rest goes on */
	assert_null(status_unready(&s));
	s.state = AGENT_STOPPING;
	assert_waits_for(&s, "the agent is stopping");
	s.source.connected = false;
	assert_waits_for(&s, "the source to be connected");
	status_set(&s.source.error, "no route to host");
	assert_waits_for(&s, "the source: no route to host");
	status_set(&s.waiting_for, "the slot");
	assert_waits_for(&s, "the slot");
	status_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_tables_being_loaded),
		cmocka_unit_test(test_unknown_is_null),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
