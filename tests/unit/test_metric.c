/*
 * test_metric.c - the text is read back by a small parser of the Prometheus format
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "metric.h"
#include "prometheus.h"

static void test_counter_and_gauge(void **state)
{
	(void)state;
	struct metric *c = metric_get(METRIC_COUNTER, "t_total", "table=\"a\"", "Things.");
	struct metric *g = metric_get(METRIC_GAUGE, "t_level", "", "A level.");

	metric_add(c, 3);
	metric_add(c, 4);
	metric_set(g, 2.5);
	assert_ptr_equal(c, metric_get(METRIC_COUNTER, "t_total", "table=\"a\"", "Things."));
	assert_ptr_not_equal(c, metric_get(METRIC_COUNTER, "t_total", "table=\"b\"", "Things."));
	assert_true(metric_value(c) == 7);
	assert_true(metric_value(g) == 2.5);

	AUTO(buf) struct buf text = { 0 };
	metrics_render(&text);
	assert_true(prometheus_valid(buf_z(&text)));
	assert_true(prometheus_sample(text.p, "tailrace_t_total{table=\"a\"}") == 7);
	assert_true(prometheus_sample(text.p, "tailrace_t_total{table=\"b\"}") == 0);
	assert_true(prometheus_sample(text.p, "tailrace_t_level") == 2.5);
	assert_non_null(strstr(text.p, "# TYPE tailrace_t_total counter\n"));
}

static void test_unknown_gauge_is_left_out(void **state)
{
	(void)state;
	struct metric *g = metric_get(METRIC_GAUGE, "t_unknown", "", "Unknown at first.");
	AUTO(buf) struct buf text = { 0 };

	metrics_render(&text);
	assert_null(strstr(buf_z(&text), "t_unknown"));
	metric_set(g, 1);
	buf_clear(&text);
	metrics_render(&text);
	assert_true(prometheus_sample(buf_z(&text), "tailrace_t_unknown") == 1);
	metric_set(g, NAN);
	buf_clear(&text);
	metrics_render(&text);
	assert_null(strstr(buf_z(&text), "t_unknown"));
}

static void test_label_is_escaped(void **state)
{
	(void)state;
	AUTO(buf) struct buf labels = { 0 };

	metric_label(&labels, "table", STR("a\"b\\c\nd{}, x=1"));
	metric_label(&labels, "op", STR("c"));
	assert_string_equal(buf_z(&labels), "table=\"a\\\"b\\\\c\\nd{}, x=1\",op=\"c\"");
	metric_add(metric_get(METRIC_COUNTER, "t_escaped_total", labels.p, "Escapes."), 5);

	AUTO(buf) struct buf text = { 0 };
	metrics_render(&text);
	assert_true(prometheus_valid(buf_z(&text)));
	assert_true(prometheus_sample(text.p, "tailrace_t_escaped_total{table=\"a\\\"b\\\\c\\nd{}, "
					      "x=1\",op=\"c\"}") == 5);
}

static void test_histogram(void **state)
{
	(void)state;
	struct metric *h = metric_get(METRIC_HISTOGRAM, "t_seconds", "sink=\"lake\"", "Time.");
	static const double values[] = { 0.0005, 0.001, 0.0011, 0.2, 59, 61, -1, NAN };

	for (size_t i = 0; i < COUNT(values); i++)
		metric_observe(h, values[i]);
	assert_true(metric_value(h) == 8);

	AUTO(buf) struct buf text = { 0 };
	metrics_render(&text);
	assert_true(prometheus_valid(buf_z(&text)));
	static const struct {
		const char *name;
		double want;
	} samples[] = {
		{ "tailrace_t_seconds_bucket{sink=\"lake\",le=\"0.001\"}", 4 },
		{ "tailrace_t_seconds_bucket{sink=\"lake\",le=\"0.0025\"}", 5 },
		{ "tailrace_t_seconds_bucket{sink=\"lake\",le=\"0.25\"}", 6 },
		{ "tailrace_t_seconds_bucket{sink=\"lake\",le=\"60\"}", 7 },
		{ "tailrace_t_seconds_bucket{sink=\"lake\",le=\"+Inf\"}", 8 },
		{ "tailrace_t_seconds_count{sink=\"lake\"}", 8 },
	};
	for (size_t i = 0; i < COUNT(samples); i++)
		assert_true(prometheus_sample(text.p, samples[i].name) == samples[i].want);
	double sum = prometheus_sample(text.p, "tailrace_t_seconds_sum{sink=\"lake\"}");

	assert_true(fabs(sum - 120.2026) < 1e-6);
}

#define THREADS 4
#define ROUNDS  100000
static void *worker(void *arg)
{
	struct metric *c = metric_get(METRIC_COUNTER, "t_shared_total", "", "Shared.");
	struct metric *h = metric_get(METRIC_HISTOGRAM, "t_shared_seconds", "", "Shared.");

	for (int i = 0; i < ROUNDS; i++) {
		metric_add(c, 1);
		metric_observe(h, 0.01);
	}
	return arg;
}

static void test_threads_lose_nothing(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	AUTO(buf) struct buf text = { 0 };

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, NULL), 0);
	for (int i = 0; i < 20; i++) {
		buf_clear(&text);
		metrics_render(&text);
		assert_true(prometheus_valid(buf_z(&text)));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	buf_clear(&text);
	metrics_render(&text);
	buf_z(&text);
	assert_true(prometheus_sample(text.p, "tailrace_t_shared_total") == THREADS * ROUNDS);
	assert_true(prometheus_sample(text.p, "tailrace_t_shared_seconds_count") ==
		    THREADS * ROUNDS);
	double sum = prometheus_sample(text.p, "tailrace_t_shared_seconds_sum");

	assert_true(fabs(sum - THREADS * ROUNDS * 0.01) < 1e-3);
}

static void test_process(void **state)
{
	(void)state;
	AUTO(buf) struct buf text = { 0 };
	AUTO(fd) int extra = dup(0);

	metrics_render(&text);
	buf_z(&text);
	double resident = prometheus_sample(text.p, "process_resident_memory_bytes");
	double virtual = prometheus_sample(text.p, "process_virtual_memory_bytes");
	double fds = prometheus_sample(text.p, "process_open_fds");
	double started = prometheus_sample(text.p, "process_start_time_seconds");

	assert_true(resident > 500e3 && resident < virtual);
	assert_true(fds >= 3 && fds <= prometheus_sample(text.p, "process_max_fds"));
	assert_true(prometheus_sample(text.p, "process_cpu_seconds_total") > 0);
	assert_true(fabs((double)time(NULL) - started) < 600);

	int second = dup(0);
	buf_clear(&text);
	metrics_render(&text);
	assert_true(prometheus_sample(buf_z(&text), "process_open_fds") == fds + 1);
	close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter_and_gauge),
		cmocka_unit_test(test_unknown_gauge_is_left_out),
		cmocka_unit_test(test_label_is_escaped),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_threads_lose_nothing),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
