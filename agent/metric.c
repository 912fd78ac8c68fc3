/*
 * metric.c - counters, gauges and histograms with Prometheus text output
 *
 * Any thread.  `lock` guards the registry (an array sorted by name and labels); the values are
 * atomics.  Metrics live until the process exits.
 */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "metric.h"

/* Upper bounds in seconds: from a commit into a local file to one that waits for a far target. */
static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
				 0.5,   1,      2.5,   5,    10,    30,   60 };
#define NBOUNDS COUNT(bounds)

struct metric {
	enum metric_type type;
	char *name, *labels, *help;
	atomic_uint_fast64_t count; /* counter; histogram: observations beyond the last bound */
	_Atomic double gauge;
	atomic_uint_fast64_t nanoseconds;     /* histogram: the sum */
	atomic_uint_fast64_t bucket[NBOUNDS]; /* not cumulative */
};

static struct {
	pthread_mutex_t lock;
	struct metric **items;
	size_t n, room;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int compare(const struct metric *m, const char *name, const char *labels)
{
	int order = strcmp(m->name, name);

	return order ? order : strcmp(m->labels, labels);
}

/* Where the metric is, or where it belongs. */
static size_t find(const char *name, const char *labels)
{
	size_t low = 0, high = registry.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(registry.items[middle], name, labels) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct metric *insert(size_t at, enum metric_type type, const char *name, const char *labels,
			     const char *help)
{
	struct metric *m = xcalloc(1, sizeof *m);

	m->type = type;
	m->name = xstrdup(name);
	m->labels = xstrdup(labels);
	m->help = xstrdup(help);
	atomic_store(&m->gauge, NAN);
	if (registry.n == registry.room) {
		registry.room = registry.room ? 2 * registry.room : 64;
		registry.items =
			xrealloc(registry.items, registry.room * sizeof(registry.items[0]));
	}
	memmove(registry.items + at + 1, registry.items + at,
		(registry.n - at) * sizeof(registry.items[0]));
	registry.items[at] = m;
	registry.n++;
	return m;
}

struct metric *metric_get(enum metric_type type, const char *name, const char *labels,
			  const char *help)
{
	pthread_mutex_lock(&registry.lock);
	size_t at = find(name, labels);
	struct metric *m = at < registry.n && compare(registry.items[at], name, labels) == 0
				   ? registry.items[at]
				   : insert(at, type, name, labels, help);

	pthread_mutex_unlock(&registry.lock);
	return m;
}

void metric_label(struct buf *out, const char *key, struct str value)
{
	if (out->n)
		buf_addc(out, ',');
	buf_adds(out, key);
	buf_adds(out, "=\"");
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\n') {
			buf_adds(out, "\\n");
			continue;
		}
		if (c == '"' || c == '\\')
			buf_addc(out, '\\');
		buf_addc(out, c);
	}
	buf_addc(out, '"');
}

void metric_add(struct metric *m, uint64_t n)
{
	atomic_fetch_add_explicit(&m->count, n, memory_order_relaxed);
}

void metric_set(struct metric *m, double v)
{
	atomic_store_explicit(&m->gauge, v, memory_order_relaxed);
}

void metric_observe(struct metric *m, double seconds)
{
	size_t i = 0;

	if (!(seconds > 0)) /* a target whose clock is ahead of the source's; NaN */
		seconds = 0;
	while (i < NBOUNDS && seconds > bounds[i])
		i++;
	atomic_fetch_add_explicit(i < NBOUNDS ? &m->bucket[i] : &m->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->nanoseconds, (uint64_t)(fmin(seconds, 1e9) * 1e9),
				  memory_order_relaxed);
}

double metric_value(const struct metric *m)
{
	if (m->type == METRIC_GAUGE)
		return atomic_load(&m->gauge);
	uint64_t count = atomic_load(&m->count);

	for (size_t i = 0; m->type == METRIC_HISTOGRAM && i < NBOUNDS; i++)
		count += atomic_load(&m->bucket[i]);
	return (double)count;
}

/* name{labels,le="..."} value */
static void put_sample(struct buf *out, const struct metric *m, const char *suffix, const char *le,
		       const char *value)
{
	const char *comma = *m->labels && *le ? "," : "";
	bool braces = *m->labels || *le;

	buf_addf(out, "tailrace_%s%s", m->name, suffix);
	if (braces)
		buf_addf(out, "{%s%s%s%s%s}", m->labels, comma, *le ? "le=\"" : "", le,
			 *le ? "\"" : "");
	buf_addf(out, " %s\n", value);
}

static void put_count(struct buf *out, const struct metric *m, const char *suffix, const char *le,
		      uint64_t count)
{
	char value[32];

	snprintf(value, sizeof value, "%" PRIu64, count);
	put_sample(out, m, suffix, le, value);
}

/* The buckets are read one after the other, so the count is their sum and never below a bucket. */
static void put_histogram(struct buf *out, const struct metric *m)
{
	uint64_t count = 0;
	char text[32];

	for (size_t i = 0; i < NBOUNDS; i++) {
		snprintf(text, sizeof text, "%g", bounds[i]);
		count += atomic_load(&m->bucket[i]);
		put_count(out, m, "_bucket", text, count);
	}
	count += atomic_load(&m->count);
	put_count(out, m, "_bucket", "+Inf", count);
	snprintf(text, sizeof text, "%.9f", (double)atomic_load(&m->nanoseconds) / 1e9);
	put_sample(out, m, "_sum", "", text);
	put_count(out, m, "_count", "", count);
}

static void put_metric(struct buf *out, const struct metric *m)
{
	char text[32];

	if (m->type == METRIC_HISTOGRAM) {
		put_histogram(out, m);
	} else if (m->type == METRIC_COUNTER) {
		put_count(out, m, "", "", atomic_load(&m->count));
	} else {
		snprintf(text, sizeof text, "%.15g", atomic_load(&m->gauge));
		put_sample(out, m, "", "", text);
	}
}

static void put_process(struct buf *out, const char *name, const char *type, const char *help,
			double value)
{
	buf_addf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", name, help,
		 name, type, name, value);
}

static double count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = -3; /* ".", ".." and the folder's own */

	if (!dir)
		return NAN;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Start time of the process: ticks since boot in field 22 of /proc/self/stat. */
static double start_time(void)
{
	struct timespec now, boot;
	char text[1024] = "";
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "re");

	if (!f)
		return NAN;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	char *p = strrchr(text, ')'); /* the command's name may hold anything */

	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return NAN;
	ticks = strtoull(p, NULL, 10);
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(now.tv_sec - boot.tv_sec) + (double)(now.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void put_processes(struct buf *out)
{
	static _Atomic double started = 0; /* computed once: a clock that is set does not move it */
	unsigned long virtual_pages = 0, resident_pages = 0;
	double page = (double)sysconf(_SC_PAGESIZE);
	struct rusage usage;
	struct rlimit files;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &virtual_pages, &resident_pages) == 2) {
		put_process(out, "virtual_memory_bytes", "gauge", "Virtual memory size.",
			    (double)virtual_pages * page);
		put_process(out, "resident_memory_bytes", "gauge", "Resident memory size.",
			    (double)resident_pages * page);
	}
	if (f)
		fclose(f);
	getrusage(RUSAGE_SELF, &usage);
	put_process(out, "cpu_seconds_total", "counter", "User and system CPU time spent.",
		    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	put_process(out, "open_fds", "gauge", "Open file descriptors.", count_fds());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		put_process(out, "max_fds", "gauge", "Most file descriptors allowed.",
			    (double)files.rlim_cur);
	if (atomic_load(&started) == 0)
		atomic_store(&started, start_time());
	put_process(out, "start_time_seconds", "gauge", "Start of the process, Unix time.",
		    atomic_load(&started));
}

void metrics_render(struct buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const char *family = "";

	pthread_mutex_lock(&registry.lock);
	for (size_t i = 0; i < registry.n; i++) {
		const struct metric *m = registry.items[i];

		if (m->type == METRIC_GAUGE && isnan(atomic_load(&m->gauge)))
			continue;
		if (strcmp(family, m->name) != 0)
			buf_addf(out, "# HELP tailrace_%s %s\n# TYPE tailrace_%s %s\n", m->name,
				 m->help, m->name, types[m->type]);
		family = m->name;
		put_metric(out, m);
	}
	pthread_mutex_unlock(&registry.lock);
	put_processes(out);
}
