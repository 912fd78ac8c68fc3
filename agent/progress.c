/*
 * progress.c - what `run` shows of long work: a line on a terminal, elsewhere the log
 */
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "snapshot.h"
#include "view.h"

#define LINE_US 500000
#define LOG_US  10000000
#define BAR     20

/* Of all tables that are being loaded. */
struct sum {
	size_t tables, done;
	double rows, estimate, rate;
};

static void add_up(struct snapshot *s, struct sum *out)
{
	struct load_progress *p;
	size_t n;

	snapshot_progress(s, &p, &n);
	for (size_t i = 0; i < n; i++) {
		int64_t most = p[i].estimate > p[i].rows && p[i].state != LOAD_DONE ? p[i].estimate
										    : p[i].rows;

		if (p[i].state == LOAD_CANCELLED || p[i].state == LOAD_FAILED)
			continue;
		out->tables++;
		out->done += p[i].state == LOAD_DONE;
		out->rows += (double)p[i].rows;
		out->estimate += (double)most;
		out->rate += p[i].rate;
	}
	load_progress_free(p, n);
}

static double seconds_left(const struct sum *s)
{
	return s->rate >= 1 ? (s->estimate - s->rows) / s->rate : -1;
}

static void line_of_loads(struct snapshot *s, struct buf *out)
{
	struct sum sum = { 0 };
	char rows[VIEW_SHORT], all[VIEW_SHORT], rate[VIEW_SHORT], left[VIEW_SHORT];

	add_up(s, &sum);
	buf_addf(out, "loading, %zu of %zu tables done  ", sum.done, sum.tables);
	view_bar(out, sum.estimate > 0 ? sum.rows / sum.estimate : 0, BAR);
	buf_addf(out, " %s of about %s rows, %s/s", view_rows(sum.rows, rows),
		 view_rows(sum.estimate, all), view_rows(sum.rate, rate));
	if (seconds_left(&sum) >= 0)
		buf_addf(out, ", %s left", view_span(seconds_left(&sum), left));
}

static void log_loads(struct snapshot *s)
{
	struct sum sum = { 0 };
	char tables[64], rows[32], estimate[32], rate[32], left[32];

	add_up(s, &sum);
	snprintf(tables, sizeof tables, "%zu of %zu", sum.done, sum.tables);
	snprintf(rows, sizeof rows, "%.0f", sum.rows);
	snprintf(estimate, sizeof estimate, "%.0f", sum.estimate);
	snprintf(rate, sizeof rate, "%.0f", sum.rate);
	snprintf(left, sizeof left, "%.0f", seconds_left(&sum));
	log_info("loading tables", "done", tables, "rows", rows, "of_about", estimate,
		 "rows_per_second", rate, seconds_left(&sum) >= 0 ? "seconds_left" : NULL, left,
		 NULL);
}

static void line_of_changes(struct agent *a, int64_t passed_us, struct buf *out)
{
	static uint64_t last; /* main thread */
	struct spool_status s;

	spool_status(a->spool, &s);
	buf_addf(out, "%llu changes, %.0f/s, spool %.1f MB", (unsigned long long)s.events,
		 passed_us ? (double)(s.events - last) * 1e6 / (double)passed_us : 0.0,
		 (double)s.bytes / 1e6);
	last = s.events;
}

void progress_show(struct agent *a)
{
	static int64_t last; /* main thread */
	AUTO(buf) struct buf line = { 0 };
	bool loading = a->snapshot && reader_streaming(a->reader) && snapshot_busy(a->snapshot);
	bool terminal = isatty(STDERR_FILENO);
	int64_t now = monotonic_us(), passed = last ? now - last : 0;

	if ((!loading && !(a->until_idle && terminal)) ||
	    (last && passed < (terminal ? LINE_US : LOG_US)))
		return;
	last = now;
	if (!terminal) {
		if (passed) /* what is over in ten seconds needs no line */
			log_loads(a->snapshot);
		return;
	}
	if (loading)
		line_of_loads(a->snapshot, &line);
	else
		line_of_changes(a, passed, &line);
	fprintf(stderr, "\r%s\033[K", buf_z(&line));
}
