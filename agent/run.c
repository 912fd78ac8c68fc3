/*
 * run.c - `tailrace run`: starts the threads, minds signals, HTTP and systemd, ends in order
 *
 * Main thread.  a->lock guards the first error and the named waits; what other threads keep is
 * asked of them by value.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "command.h"
#include "http.h"
#include "log.h"
#include "snapshot.h"

#define SOCKET_NAME "tailrace.sock"

/* --- status --- */

static void collect_spool(struct agent *a, struct spool_view *out)
{
	static int64_t since_us, since_bytes; /* main thread only: the rate of growth */
	struct spool_status s;
	int64_t now = monotonic_us();

	spool_status(a->spool, &s);
	out->bytes = s.bytes;
	out->max_bytes = a->config->spool.max_bytes;
	out->oldest = s.oldest;
	out->newest = s.newest;
	out->synced = s.synced;
	out->seconds_until_full = -1;
	if (since_us && now > since_us && s.bytes > since_bytes)
		out->seconds_until_full =
			(out->max_bytes - s.bytes) /
			((s.bytes - since_bytes) * 1000000 / (now - since_us) + 1);
	if (!since_us || now - since_us > 60000000) {
		since_us = now;
		since_bytes = s.bytes;
	}
}

static void add_note(void *arg, enum table_note kind, struct str schema, struct str name,
		     const char *reason)
{
	struct table_status *row = status_find_table(arg, schema, name);

	row->state = kind == TABLE_NOTE_EXCLUDED ? TABLE_EXCLUDED : TABLE_NEEDS_RELOAD;
	status_set(&row->reason, reason);
}

static void collect_loads(struct snapshot *s, struct agent_status *out)
{
	struct load_progress *p;
	size_t n;

	snapshot_progress(s, &p, &n);
	for (size_t i = 0; i < n; i++) {
		struct table_status *row =
			status_find_table(out, str_z(p[i].schema), str_z(p[i].name));
		bool open = p[i].state == LOAD_WAITING || p[i].state == LOAD_RUNNING ||
			    p[i].state == LOAD_PAUSED;

		row->snapshot =
			(struct snapshot_status){ load_state_name(p[i].state), p[i].rows,
						  p[i].estimate, p[i].seconds_left, p[i].rate };
		if (open)
			row->state = TABLE_SNAPSHOT;
		else if (p[i].state == LOAD_FAILED)
			row->state = TABLE_NEEDS_RELOAD;
		if (p[i].reason)
			status_set(&row->reason, p[i].reason);
	}
	load_progress_free(p, n);
}

/* One row a table: its newest version. */
static void collect_tables(struct agent *a, struct agent_status *out)
{
	for (uint32_t id = 1; id <= tables_count(a->tables); id++) {
		const struct table *t = tables_by_id(a->tables, id);

		if (!t || tables_superseded(a->tables, id))
			continue;
		struct table_status *row = status_add_table(out, t->schema, t->name);

		row->version = t->version;
		row->state = TABLE_STREAMING;
	}
	tables_each_note(a->tables, add_note, out);
	if (a->snapshot)
		collect_loads(a->snapshot, out);
	for (size_t i = 0; i < a->nsinks; i++)
		deliver_table_status(a->sinks[i], out);
}

static void collect(struct agent_status *out, void *arg)
{
	struct agent *a = arg;

	status_set(&out->pipeline, a->config->pipeline.name);
	out->started_us = a->started_us;
	reader_status(a->reader, &out->source);
	collect_spool(a, &out->spool);
	bool waiting_sink = false;

	for (size_t i = 0; i < a->nsinks; i++) {
		const struct sink_config *c = &a->config->sinks[i];
		struct sink_status *s = status_add_sink(out, c->name, c->type->name);

		deliver_status(a->sinks[i], s);
		waiting_sink = waiting_sink || s->state == SINK_WAITING;
	}
	collect_tables(a, out);
	pthread_mutex_lock(&a->lock);
	for (int i = 0; i < WAIT_SLOTS; i++)
		if (a->waiting[i])
			status_set(&out->waiting_for, a->waiting[i]);
	pthread_mutex_unlock(&a->lock);
	for (size_t i = 0; i < out->nsinks && !out->waiting_for; i++) {
		AUTO(free) char *text = NULL;

		if (out->sinks[i].state != SINK_WAITING)
			continue;
		text = xasprintf("sink %s: %s", out->sinks[i].name,
				 out->sinks[i].error ? out->sinks[i].error : "opening");
		status_set(&out->waiting_for, text);
	}
	if (a->snapshot && !out->waiting_for)
		out->waiting_for = snapshot_waiting_for(a->snapshot);
	out->progress_us = a->progress_us;
	bool loading = a->snapshot && snapshot_busy(a->snapshot);

	out->state = a->stopping                   ? AGENT_STOPPING
		     : reader_streaming(a->reader) ? loading ? AGENT_SNAPSHOT : AGENT_STREAMING
		     : out->waiting_for            ? AGENT_WAITING
						   : AGENT_STARTING;
}

/* --- life --- */

static int open_parts(struct agent *a, struct error *err)
{
	const struct config *c = a->config;
	AUTO(free) char *dir = xasprintf("%s/spool", c->pipeline.state_dir);
	const struct source_ops *ops = source_types[c->source.type].ops;

	a->database = ops->database(&c->source);
	a->state = state_open(c->pipeline.state_dir, err);
	if (!a->state)
		return -1;

	struct list *sink_tables = xcalloc(c->nsinks, sizeof *sink_tables); /* a->tables keeps it */

	for (size_t i = 0; i < c->nsinks; i++)
		sink_tables[i] = c->sinks[i].tables;
	a->tables = tables_new(&(struct tables_config){
		.pipeline = c->pipeline.name,
		.connector = ops->connector,
		.database = a->database,
		.sink_tables = sink_tables,
		.nsinks = c->nsinks,
	});
	if (state_restore_tables(a->state, a->tables, err) < 0)
		return -1;
	a->stored_versions = (uint32_t)tables_count(a->tables);
	a->spool = spool_open(dir, c->pipeline.name, &c->spool, (size_t)c->pipeline.memory / 8,
			      a->tables, err);
	if (!a->spool)
		return -1;
	a->nsinks = c->nsinks;
	a->sinks = xcalloc(a->nsinks, sizeof(struct deliver *));
	for (size_t i = 0; i < a->nsinks; i++) {
		a->sinks[i] = deliver_new(a, i, err);
		if (!a->sinks[i])
			return -1;
	}
	return 0;
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* SIGHUP: what can be reloaded is (config_load applies it), what cannot is named. */
static void reload(struct agent *a)
{
	static const struct config *newest; /* main thread: what the last SIGHUP read */
	AUTO(buf) struct buf reloaded = { 0 };
	AUTO(buf) struct buf restart = { 0 };
	struct error err;
	const struct config *fresh = config_load(a->config->path, &err);

	if (!fresh) {
		log_error("configuration not reloaded, the old one stays", "error", err.text, NULL);
		return;
	}
	config_changes(newest ? newest : a->config, fresh, &reloaded, &restart);
	newest = fresh; /* the one before lives until exit: threads may hold its strings */
	config_take_tables(a->config, fresh);
	log_info("configuration reloaded", "changed", reloaded.n ? buf_z(&reloaded) : "nothing",
		 NULL);
	atomic_store(&a->look_anew, true);
	if (restart.n)
		log_warning("these settings take effect after a restart only", "settings",
			    buf_z(&restart), NULL);
}

static void handle_signals(struct agent *a, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP) {
			reload(a);
			continue;
		}
		log_info("stopping", "signal", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT",
			 NULL);
		agent_stop(a);
	}
}

static bool sinks_finished(struct agent *a)
{
	for (size_t i = 0; i < a->nsinks; i++)
		if (!deliver_finished(a->sinks[i]))
			return false;
	return true;
}

static void main_loop(struct agent *a, struct http *http, int signals)
{
	bool streaming = false;
	struct pollfd fds[] = { { signals, POLLIN, 0 },
				{ a->wake_fd, POLLIN, 0 },
				{ http_fd(http), POLLIN, 0 } };

	/* A source that does not answer is waited for: no reason for systemd to give up on us. */
	sd_notify(0, "READY=1\nSTATUS=waiting for the source");
	while (!a->stopping) {
		int timeout = http_timeout(http);

		if (poll(fds, COUNT(fds), timeout < 500 ? timeout : 500) < 0 && errno != EINTR)
			break;
		handle_signals(a, signals);
		http_run(http);
		progress_show(a);
		sd_notify(0, "WATCHDOG=1");
		if (reader_streaming(a->reader) != streaming) {
			streaming = !streaming;
			sd_notify(0,
				  streaming ? "STATUS=streaming" : "STATUS=waiting for the source");
		}
	}
}

/* In order: reader, then the spool is written out, then each sink ends its transaction and commits. */
static void stop_threads(struct agent *a)
{
	int64_t until = monotonic_us() + a->config->pipeline.stop_timeout;

	sd_notify(0, "STOPPING=1");
	reader_join(a->reader);
	snapshot_join(a->snapshot);
	writer_stop(a->writer);
	spool_wake(a->spool);
	while (!sinks_finished(a) && monotonic_us() < until) {
		struct timespec t = { 0, 10000000 };

		nanosleep(&t, NULL);
	}
	if (!sinks_finished(a)) {
		log_error("a sink did not end in time; nothing is lost, it goes on from its "
			  "checkpoint",
			  "option", "pipeline.stop_timeout", NULL);
		_exit(EXIT_FAILED);
	}
	for (size_t i = 0; i < a->nsinks; i++)
		deliver_join(a->sinks[i]);
}

/* What the run ends with; a stopped table at the end of --until-idle is a failure. */
static int outcome(struct agent *a, const char *stopped)
{
	if (a->failed) {
		char code[16];

		snprintf(code, sizeof code, "%d", error_exit(&a->error));
		log_error(a->error.text, "exit", code, NULL);
		return error_exit(&a->error);
	}
	if (a->until_idle && *stopped) {
		log_error(stopped, NULL);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int run(struct agent *a, struct error *err)
{
	const struct config *c = a->config;
	char stopped[1024] = "";
	AUTO(free) char *socket = xasprintf("%s/" SOCKET_NAME, c->pipeline.state_dir);
	int signals = block_signals();

	if (open_parts(a, err) < 0)
		return -1;
	struct http *http = http_open(&c->http, socket, collect, a, err);

	if (!http)
		return -1;
	log_info("tailrace starts", "version", TAILRACE_VERSION, "instance", a->instance, "config",
		 c->path, NULL);
	for (size_t i = 0; i < a->nsinks; i++)
		deliver_start(a->sinks[i]);
	a->writer = writer_start(a, (size_t)c->pipeline.memory / 10);
	a->snapshot = snapshot_start(a, err);
	if (!a->snapshot)
		agent_fail(a, err);
	else
		a->reader = reader_start(a);
	if (a->reader)
		main_loop(a, http, signals);
	for (size_t i = 0; i < a->nsinks && !*stopped; i++)
		deliver_has_stopped(a->sinks[i], stopped, sizeof stopped);
	if (a->snapshot && !*stopped)
		snapshot_failed(a->snapshot, stopped, sizeof stopped);
	http_close(http);
	stop_threads(a);
	if (a->until_idle && isatty(STDERR_FILENO))
		fputs("\n", stderr);
	int code = outcome(a, stopped);

	spool_close(a->spool);
	state_close(a->state);
	log_info("tailrace ends", NULL);
	close(signals);
	return code;
}

int cmd_run(int argc, char **argv)
{
	const char *path = CONFIG_FILE;
	static struct agent a;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_SWITCH(
			"until-idle", a.until_idle,
			"stop once everything committed before the start is durable in every sink"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, 0, &first);
	struct error err;
	uint32_t random = 0;

	if (rc >= 0)
		return rc;
	a.config = command_config(path);
	if (!a.config)
		return EXIT_USAGE;
	setrlimit(RLIMIT_CORE,
		  &(struct rlimit){ 0, 0 }); /* a core dump would hold secrets and rows */
	mallopt(M_ARENA_MAX, 2);             /* memory is bounded for the process, not by thread */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 4 << 20);
	if (geteuid() == 0)
		log_warning("running as root: a user of its own is enough", NULL);
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint32_t)getpid();
	snprintf(a.instance, sizeof a.instance, "%08x", random);
	a.until_idle = a.until_idle || a.config->snapshot.mode == SNAPSHOT_ONLY;
	a.progress_us = monotonic_us();
	a.started_us = wall_clock_us();
	a.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&a.lock, NULL);
	rc = run(&a, &err);
	return rc < 0 ? command_failed(&err) : rc;
}
