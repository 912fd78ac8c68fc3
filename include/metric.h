/*
 * metric.h - counters, gauges and histograms with Prometheus text output
 *
 * metric_get() registers on first use (mutex inside; not for hot paths: keep the pointer).
 * Adding, setting and observing are lock-free from any thread.
 */
#ifndef METRIC_H
#define METRIC_H

#include "memory.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric;

/*
 * name without the prefix tailrace_ ("events_total"); labels as in the text format without braces
 * (table="public.a",op="c"; values escaped by metric_label) or "".  The same name and labels give the same metric.
 */
struct metric *metric_get(enum metric_type type, const char *name, const char *labels, const char *help);
void metric_label(struct buf *out, const char *key, struct str value);	/* key="escaped"; a comma before if out has text */
void metric_add(struct metric *m, uint64_t n);
void metric_set(struct metric *m, double v);	/* NaN: unknown, not printed */
void metric_observe(struct metric *m, double seconds);
double metric_value(const struct metric *m);	/* a counter's count, a gauge's value */
void metrics_render(struct buf *out);		/* Prometheus text format, process_* included */

#endif
