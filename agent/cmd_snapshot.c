/*
 * cmd_snapshot.c - `tailrace snapshot`: asks for tables to be loaded, and shows how far they are
 *
 * What is asked goes into state.db, where the agent finds it: at once when it runs, at its next start
 * otherwise.  What became of it is read there too; rates come from the running agent.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "http.h"
#include "ledger.h"
#include "table.h"
#include "view.h"

#define POLL_US  100000
#define TAKEN_US 15000000 /* for the running agent to take the request */
#define BEGUN_US 3000000  /* and for a table that cannot be loaded to say so */

struct ask {
	const struct config *config;
	struct state *state;
	char *socket;
	const char *verb, *where, *sink;
	struct list patterns; /* borrowed; none: all tables */
	bool json, again;
};

static bool asked_for(const struct ask *a, const struct ledger_table *t)
{
	return !a->patterns.n || patterns_match(&a->patterns, str_z(t->schema), str_z(t->name));
}

/* A pattern that names nothing there is a mistake.  since_us: only what was asked for from then on. */
static int check_patterns(const struct ask *a, const struct ledger_table *t, size_t n,
			  int64_t since_us, const char *what, struct error *err)
{
	for (size_t i = 0; i < a->patterns.n; i++) {
		struct list one = { &a->patterns.items[i], 1 };
		bool found = *a->patterns.items[i] == '!';

		for (size_t k = 0; k < n && !found; k++)
			found = t[k].asked_us >= since_us &&
				patterns_match(&one, str_z(t[k].schema), str_z(t[k].name));
		if (!found)
			return fail_exit(err, EXIT_USAGE, "%s matches no table %s",
					 a->patterns.items[i], what);
	}
	return 0;
}

/* The running agent's /status; NULL: none answers. */
static json_t *live_status(const struct ask *a)
{
	AUTO(buf) struct buf body = { 0 };
	struct error unheard;
	int status;

	if (http_get(a->socket, "/status", &status, &body, &unheard) < 0 || status != 200)
		return NULL;
	return json_loadb(body.p, body.n, 0, NULL);
}

/* --- list --- */

/* What the running agent says of the table's snapshot; NULL: nothing. */
static const json_t *live_load(const json_t *root, const struct ledger_table *t)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(root, "tables"), i, row)
	{
		const json_t *load = json_object_get(row, "snapshot");

		if (json_is_object(load) && strcmp(view_text(row, "schema"), t->schema) == 0 &&
		    strcmp(view_text(row, "name"), t->name) == 0)
			return load;
	}
	return NULL;
}

/* A table's line: the ledger's facts, and the agent's where it is ahead of them. */
struct line {
	const struct ledger_table *table;
	const char *state;
	double rows, estimate, rate, left;
};

static struct line line_of(const struct ledger_table *t, const json_t *root)
{
	const json_t *load = live_load(root, t);
	struct line l = { .table = t,
			  .state = load_state_name(t->state),
			  .rows = (double)t->rows,
			  .estimate = t->estimate < 0 ? NAN : (double)t->estimate,
			  .rate = NAN,
			  .left = NAN };

	if (t->state != LOAD_RUNNING || !load)
		return l;
	if (view_number(load, "rows") > l.rows)
		l.rows = view_number(load, "rows");
	l.rate = view_number(load, "rate");
	l.left = view_number(load, "seconds_left");
	return l;
}

static double seconds_of(const struct ledger_table *t)
{
	return t->begun_us && t->ended_us ? (double)(t->ended_us - t->begun_us) / 1e6 : NAN;
}

static enum tone state_tone(enum snapshot_state state)
{
	return state == LOAD_DONE ? TONE_GOOD : state == LOAD_FAILED ? TONE_BAD : TONE_WAIT;
}

/* What follows rows and bar. */
static void put_rest(struct view *v, const struct line *l)
{
	const struct ledger_table *t = l->table;
	char text[VIEW_SHORT];

	if (t->state == LOAD_DONE && isfinite(seconds_of(t)))
		view_put(v, TONE_PLAIN, "  in %s", view_span(seconds_of(t), text));
	if (l->rate > 0)
		view_put(v, TONE_PLAIN, "  %s/s", view_rows(l->rate, text));
	if (l->left > 0)
		view_put(v, TONE_PLAIN, "  %s left", view_span(l->left, text));
	if (t->where)
		view_put(v, TONE_DIM, "  where %s", t->where);
	if (t->sink)
		view_put(v, TONE_DIM, "  for sink %s", t->sink);
	if (t->nrereads && t->state == LOAD_RUNNING)
		view_put(v, TONE_DIM, "  %zu rows to read again", t->nrereads);
	if (t->reason)
		view_put(v, t->state == LOAD_FAILED ? TONE_BAD : TONE_DIM, "  %s", t->reason);
	view_put(v, TONE_PLAIN, "\n");
}

static void put_line(struct view *v, const struct line *l, int name_width, size_t bar_width)
{
	const struct ledger_table *t = l->table;
	bool ended = t->state == LOAD_DONE || t->state == LOAD_FAILED || t->state == LOAD_CANCELLED;
	double share = ended ? NAN : l->rows / fmax(l->estimate, fmax(l->rows, 1));
	AUTO(free) char *name = xasprintf("%s.%s", t->schema, t->name);
	AUTO(buf) struct buf bar = { 0 };
	char text[VIEW_SHORT];

	if (!isfinite(l->estimate))
		share = NAN;
	view_put(v, TONE_PLAIN, "%-*s ", name_width, name);
	view_put(v, state_tone(t->state), "%-9s ", l->state);
	if (bar_width) {
		view_bar(&bar, t->state == LOAD_DONE ? 1 : share, bar_width);
		view_put(v, TONE_PLAIN, "%s ", buf_z(&bar));
	}
	if (isfinite(share))
		view_put(v, TONE_PLAIN, "%3.0f%% ", share * 100);
	else
		view_put(v, TONE_PLAIN, "%4s ", t->state == LOAD_DONE ? "100%" : "");
	view_put(v, TONE_PLAIN, "%8s rows", view_rows(l->rows, text));
	if (!ended && isfinite(l->estimate))
		view_put(v, TONE_PLAIN, " of about %s", view_rows(l->estimate, text));
	put_rest(v, l);
}

static void put_request(struct view *v, const struct load_request *r, bool running)
{
	view_put(v, TONE_WAIT, "asked for: %s %s", request_kind_name(r->kind),
		 r->tables ? r->tables : "all tables");
	view_put(v, TONE_DIM, running ? "\n" : "  (no agent is running: at its next start)\n");
}

static void json_member(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text)
		buf_json(out, str_z(text));
	else
		buf_adds(out, "null");
}

static void json_count(struct buf *out, const char *name, double v, int digits)
{
	buf_addf(out, ",\"%s\":", name);
	if (isfinite(v) && v >= 0)
		buf_addf(out, "%.*f", digits, v);
	else
		buf_adds(out, "null");
}

static void json_time(struct buf *out, const char *name, int64_t us)
{
	char text[64];
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	if (!us || !gmtime_r(&seconds, &tm)) {
		json_member(out, name, NULL);
		return;
	}
	size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);

	snprintf(text + n, sizeof text - n, ".%06dZ", (int)(us % 1000000));
	json_member(out, name, text);
}

static void json_line(struct buf *out, const struct line *l)
{
	const struct ledger_table *t = l->table;

	buf_adds(out, "{\"schema\":");
	buf_json(out, str_z(t->schema));
	json_member(out, "name", t->name);
	json_member(out, "state", l->state);
	json_count(out, "rows", l->rows, 0);
	json_count(out, "estimate", l->estimate, 0);
	json_count(out, "rate", l->rate, 3);
	json_count(out, "seconds_left", l->left, 0);
	json_count(out, "rows_to_read_again", (double)t->nrereads, 0);
	json_member(out, "where", t->where);
	json_member(out, "sink", t->sink);
	json_time(out, "asked", t->asked_us);
	json_time(out, "begun", t->begun_us);
	json_time(out, "ended", t->ended_us);
	json_member(out, "reason", t->reason);
	buf_addc(out, '}');
}

static void json_request(struct buf *out, const struct load_request *r)
{
	buf_adds(out, "{\"kind\":");
	buf_json(out, str_z(request_kind_name(r->kind)));
	json_member(out, "tables", r->tables);
	json_member(out, "where", r->where);
	json_member(out, "sink", r->sink);
	buf_addc(out, '}');
}

/* What is listed: the tables asked for, and requests that nobody has taken. */
struct listing {
	struct ledger_table *tables;
	struct load_request *requests;
	json_t *status; /* NULL: no agent answers */
	size_t ntables, nrequests;
};

static void listing_release(struct listing *l)
{
	ledger_tables_free(l->tables, l->ntables);
	load_requests_free(l->requests, l->nrequests);
	json_decref(l->status);
	*l = (struct listing){ 0 };
}

static void draw_json(struct buf *out, const struct ask *a, const struct listing *l)
{
	bool first = true;

	buf_adds(out, "{\"pipeline\":");
	buf_json(out, str_z(a->config->pipeline.name));
	buf_addf(out, ",\"running\":%s,\"tables\":[", l->status ? "true" : "false");
	for (size_t i = 0; i < l->ntables; i++) {
		const struct line line = line_of(&l->tables[i], l->status);

		if (!asked_for(a, &l->tables[i]))
			continue;
		buf_adds(out, first ? "" : ",");
		json_line(out, &line);
		first = false;
	}
	buf_adds(out, "],\"requests\":[");
	for (size_t i = 0; i < l->nrequests; i++) {
		buf_adds(out, i ? "," : "");
		json_request(out, &l->requests[i]);
	}
	buf_adds(out, "]}\n");
}

static void draw(struct view *v, const struct ask *a, const struct listing *l, bool terminal)
{
	size_t width = 0, shown = 0, columns = view_width(STDOUT_FILENO);

	for (size_t i = 0; i < l->ntables; i++) {
		const struct ledger_table *t = &l->tables[i];

		if (asked_for(a, t)) {
			size_t n = strlen(t->schema) + 1 + strlen(t->name);

			width = n > width ? n : width;
			shown++;
		}
	}
	width = width > 48 ? 48 : width;
	/* Beside the bar: state, share, rows of rows, rate, time left. */
	size_t room = columns > width + 75 ? columns - width - 75 : 0;
	size_t bar = !terminal ? 0 : room < 10 ? 10 : room > 40 ? 40 : room;

	for (size_t i = 0; i < l->nrequests; i++)
		put_request(v, &l->requests[i], l->status != NULL);
	for (size_t i = 0; i < l->ntables; i++) {
		const struct line line = line_of(&l->tables[i], l->status);

		if (asked_for(a, &l->tables[i]))
			put_line(v, &line, (int)width, bar);
	}
	if (!shown && !l->nrequests)
		view_put(v, TONE_PLAIN, "no table has a snapshot\n");
}

static int list_once(const struct ask *a, bool clear, struct error *err)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct view v = { .colour = terminal && !getenv("NO_COLOR") };
	struct listing l = { 0 };
	int failed = ledger_load(a->state, &l.tables, &l.ntables, err) < 0 ||
		     ledger_get_requests(a->state, &l.requests, &l.nrequests, err) < 0 ||
		     check_patterns(a, l.tables, l.ntables, 0, "that has a snapshot", err) < 0;

	if (!failed) {
		l.status = live_status(a);
		if (a->json)
			draw_json(&v.out, a, &l);
		else
			draw(&v, a, &l, terminal);
		if (clear)
			fputs("\033[H\033[J", stdout);
		fwrite(v.out.p, 1, v.out.n, stdout);
		if (fflush(stdout) != 0)
			failed = fail(err, ERR_FATAL, "cannot write the list");
	}
	listing_release(&l);
	buf_free(&v.out);
	return failed ? -1 : 0;
}

static int list(const struct ask *a, struct error *err)
{
	if (!a->again)
		return list_once(a, false, err);
	for (;; sleep(1))
		if (list_once(a, isatty(STDOUT_FILENO) && !a->json, err) < 0)
			return -1;
}

/* --- requests --- */

/* Is the request still there?  -1: cannot say. */
static int pending(const struct ask *a, int64_t id, struct error *err)
{
	struct load_request *all;
	size_t n;
	int found = 0;

	if (ledger_get_requests(a->state, &all, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		found |= all[i].id == id;
	load_requests_free(all, n);
	return found;
}

/* 1: the agent has it, 0: it has not taken it in time, -1. */
static int wait_taken(const struct ask *a, int64_t id, struct error *err)
{
	int64_t until = monotonic_us() + TAKEN_US;
	int there = pending(a, id, err);

	while (there > 0 && monotonic_us() < until) {
		usleep(POLL_US);
		there = pending(a, id, err);
	}
	return there < 0 ? -1 : !there;
}

static bool any_waiting(const struct ask *a, const struct ledger_table *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (asked_for(a, &t[i]) && t[i].state == LOAD_WAITING)
			return true;
	return false;
}

/* What became of the tables; for a start those that cannot be loaded get the time to say so. */
static int outcome(const struct ask *a, int64_t asked_us, struct error *err)
{
	bool starts = strcmp(a->verb, "start") == 0;
	int64_t until = monotonic_us() + (starts ? BEGUN_US : 0);
	struct listing l = { 0 };
	int failed;

	for (;;) {
		failed = ledger_load(a->state, &l.tables, &l.ntables, err);
		if (failed || !starts || !any_waiting(a, l.tables, l.ntables) ||
		    monotonic_us() >= until)
			break;
		listing_release(&l);
		usleep(POLL_US);
	}
	if (!failed)
		failed = check_patterns(a, l.tables, l.ntables, starts ? asked_us : 0,
					starts ? "that the source carries" : "that has a snapshot",
					err);
	if (!failed) {
		struct view v = { .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };

		draw(&v, a, &l, false);
		fwrite(v.out.p, 1, v.out.n, stdout);
		buf_free(&v.out);
	}
	for (size_t i = 0; !failed && starts && i < l.ntables; i++)
		if (asked_for(a, &l.tables[i]) && l.tables[i].state == LOAD_FAILED &&
		    l.tables[i].asked_us >= asked_us)
			failed = fail(err, ERR_FATAL, "table %s.%s cannot be loaded: %s",
				      l.tables[i].schema, l.tables[i].name,
				      l.tables[i].reason ? l.tables[i].reason : "see the log");
	listing_release(&l);
	return failed;
}

static int request(const struct ask *a, enum request_kind kind, struct error *err)
{
	AUTO(buf) struct buf tables = { 0 };
	int64_t asked_us = wall_clock_us();
	json_t *status = live_status(a);
	bool running = status != NULL;

	json_decref(status);
	for (size_t i = 0; i < a->patterns.n; i++)
		buf_addf(&tables, "%s%s", i ? ", " : "", a->patterns.items[i]);

	struct load_request r = { .kind = kind,
				  .tables = a->patterns.n ? buf_z(&tables) : NULL,
				  .where = (char *)(uintptr_t)a->where,
				  .sink = (char *)(uintptr_t)a->sink };

	if (ledger_put_request(a->state, &r, err) < 0)
		return -1;
	if (!running) {
		printf("no agent is running: this is taken up at its next start\n");
		return 0;
	}
	int taken = wait_taken(a, r.id, err);

	if (taken < 0)
		return -1;
	if (!taken) {
		printf("asked for; the agent has not taken it up yet (see `tailrace status`)\n");
		return 0;
	}
	return outcome(a, asked_us, err);
}

/* --- the command --- */

static const char *const verbs[] = { "start", "pause", "resume", "cancel", "list" };
#define LIST REQUEST_CANCEL + 1

/* -1 to go on. */
static int check_usage(const struct ask *a, size_t verb)
{
	bool starts = verb == REQUEST_START;

	if (verb == COUNT(verbs)) {
		const char *near = a->verb ? nearest_name(a->verb, verbs, COUNT(verbs)) : NULL;

		return command_usage("snapshot: %s%s%s%s",
				     a->verb ? "unknown word " : "what to do?",
				     a->verb ? a->verb : "",
				     near ? "; the nearest is "
					  : " start, pause, resume, cancel or list",
				     near ? near : "");
	}
	if ((a->where || a->sink) && !starts)
		return command_usage("snapshot: --where and --sink belong to start");
	if (a->where && !a->patterns.n)
		return command_usage("snapshot: --where needs the tables that it is meant for");
	if ((a->json || a->again) && verb != LIST)
		return command_usage("snapshot: --json and --watch belong to list");
	for (size_t i = 0; i < a->patterns.n; i++)
		if (!*a->patterns.items[i] || strchr(a->patterns.items[i], ','))
			return command_usage("snapshot: '%s' is no table or pattern; several are "
					     "written one after the other",
					     a->patterns.items[i]);
	return -1;
}

static int check_sink(const struct ask *a, struct error *err)
{
	for (size_t i = 0; a->sink && i < a->config->nsinks; i++)
		if (strcmp(a->config->sinks[i].name, a->sink) == 0)
			return 0;
	return a->sink ? fail_exit(err, EXIT_USAGE, "there is no sink %s in %s", a->sink,
				   a->config->path)
		       : 0;
}

static int carry_out(struct ask *a, size_t verb, struct error *err)
{
	a->socket = xasprintf("%s/tailrace.sock", a->config->pipeline.state_dir);
	if (check_sink(a, err) < 0)
		return -1;
	a->state = state_open_shared(a->config->pipeline.state_dir, err);
	if (!a->state)
		return error_prefix(err,
				    "pipeline %s has not run yet: its first start loads every "
				    "table (snapshot.mode = initial)",
				    a->config->pipeline.name);
	return verb == LIST ? list(a, err) : request(a, (enum request_kind)verb, err);
}

int cmd_snapshot(int argc, char **argv)
{
	const char *path = CONFIG_FILE;
	struct ask a = { 0 };
	struct error err;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_VALUE("where", "SQL", a.where, "start: only the rows for which this holds"),
		FLAG_VALUE("sink", "NAME", a.sink, "start: for this sink only"),
		FLAG_SWITCH("json", a.json, "list: as JSON"),
		FLAG_SWITCH("watch", a.again, "list: again each second, until interrupted"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, argc, &first);
	size_t verb = 0;

	if (rc >= 0)
		return rc;
	a.verb = first < argc ? argv[first] : NULL;
	while (verb < COUNT(verbs) && !(a.verb && strcmp(a.verb, verbs[verb]) == 0))
		verb++;
	if (first + 1 < argc)
		a.patterns = (struct list){ argv + first + 1, (size_t)(argc - first - 1) };
	rc = check_usage(&a, verb);
	if (rc >= 0)
		return rc;
	struct config *c = command_config(path);

	if (!c)
		return EXIT_USAGE;
	a.config = c;
	rc = carry_out(&a, verb, &err);
	state_close(a.state);
	free(a.socket);
	config_free(c);
	return rc == 0 ? EXIT_DONE : command_failed(&err);
}
