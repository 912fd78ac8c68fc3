/*
 * cmd_status.c - `tailrace status`: asks the running agent and prints it for people
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "http.h"
#include "position.h"
#include "view.h"

/* A position for people: what stands between transactions (row 2^63) goes without its row. */
static const char *place_of(const json_t *object, const char *key, char out[POSITION_TEXT])
{
	struct position pos;

	if (position_parse(str_z(view_text(object, key)), &pos) != 0)
		return "-";
	position_text(&pos, out);
	if (pos.row >= POSITION_BETWEEN)
		*strrchr(out, '/') = '\0';
	return out;
}

/* Seconds since an RFC 3339 time of ours. */
static double age_of(const char *rfc3339)
{
	struct tm tm = { 0 };

	if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm))
		return NAN;
	return difftime(time(NULL), timegm(&tm));
}

static enum tone state_tone(const char *state)
{
	static const char *const good[] = { "ok", "streaming", "done" };
	static const char *const bad[] = { "stopped", "detached", "needs_reload", "excluded" };

	for (size_t i = 0; i < COUNT(good); i++)
		if (strcmp(state, good[i]) == 0)
			return TONE_GOOD;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (strcmp(state, bad[i]) == 0)
			return TONE_BAD;
	return TONE_WAIT;
}

static void view_head(struct view *v, const json_t *root)
{
	const char *state = view_text(root, "state"), *waiting = view_text(root, "waiting_for");
	char up[VIEW_SHORT];

	view_put(v, TONE_BOLD, "%s", view_text(root, "pipeline"));
	view_put(v, state_tone(state), "  %s", state);
	view_put(v, TONE_DIM, "  tailrace %s, pid %.0f, up %s\n", view_text(root, "version"),
		 view_number(root, "pid"), view_span(age_of(view_text(root, "started")), up));
	if (*waiting)
		view_put(v, TONE_WAIT, "  waiting for %s\n", waiting);
}

static void view_source(struct view *v, const json_t *s)
{
	bool connected = json_is_true(json_object_get(s, "connected"));
	const char *server = view_text(s, "server");
	double until = view_number(s, "seconds_until_lost");
	char a[VIEW_SHORT], b[VIEW_SHORT], place[POSITION_TEXT];

	view_put(v, TONE_BOLD, "\nsource  ");
	view_put(v, TONE_PLAIN, "%s  ", *server ? server : view_text(s, "type"));
	view_put(v, connected ? TONE_GOOD : TONE_BAD, "%s\n",
		 connected ? "connected" : "not connected");
	view_put(v, TONE_PLAIN, "        lag %s", view_span(view_number(s, "lag_seconds"), a));
	view_put(v, TONE_PLAIN, " (%s)", view_bytes(view_number(s, "lag_bytes"), b));
	view_put(v, TONE_PLAIN, "   keeps %s for us",
		 view_bytes(view_number(s, "retained_bytes"), a));
	if (isfinite(until))
		view_put(v, until < 86400 ? TONE_BAD : TONE_PLAIN, ", drops it in %s",
			 view_span(until, b));
	view_put(v, TONE_PLAIN, "   at %s\n", place_of(s, "position", place));
	if (*view_text(s, "error"))
		view_put(v, TONE_BAD, "        %s\n", view_text(s, "error"));
}

static void view_spool(struct view *v, const json_t *s)
{
	double until = view_number(s, "seconds_until_full");
	char a[VIEW_SHORT], b[VIEW_SHORT], place[POSITION_TEXT];

	view_put(v, TONE_BOLD, "spool   ");
	view_put(v, TONE_PLAIN, "%s of ", view_bytes(view_number(s, "bytes"), a));
	view_put(v, TONE_PLAIN, "%s", view_bytes(view_number(s, "max_bytes"), b));
	if (until < 30 * 86400)
		view_put(v, until < 3600 ? TONE_BAD : TONE_PLAIN, ", full in %s",
			 view_span(until, a));
	view_put(v, TONE_PLAIN, "   synced to %s\n", place_of(s, "synced", place));
}

static void view_sinks(struct view *v, const json_t *sinks)
{
	char lag[VIEW_SHORT], events[VIEW_SHORT], place[POSITION_TEXT];
	const json_t *k;
	size_t i;

	view_put(v, TONE_BOLD, "\n%-16s %-8s %-9s %10s %10s %9s %8s  %s\n", "sink", "type", "state",
		 "lag", "events", "commits", "retries", "position");
	json_array_foreach(sinks, i, k)
	{
		const char *state = view_text(k, "state");

		view_put(v, TONE_PLAIN, "%-16s %-8s ", view_text(k, "name"), view_text(k, "type"));
		view_put(v, state_tone(state), "%-9s ", state);
		view_put(v, TONE_PLAIN, "%10s %10s %9.0f %8.0f  %s\n",
			 view_span(view_number(k, "lag_seconds"), lag),
			 view_count(view_number(k, "lag_events"), events),
			 view_number(k, "commits"), view_number(k, "retries"),
			 place_of(k, "position", place));
		if (*view_text(k, "error"))
			view_put(v, TONE_BAD, "  %s\n", view_text(k, "error"));
	}
}

/* All of a few tables; of many only the count and those that need somebody. */
static void view_load(struct view *v, const json_t *load)
{
	double rows = view_number(load, "rows"), estimate = view_number(load, "estimate");
	double rate = view_number(load, "rate"), left = view_number(load, "seconds_left");
	char a[VIEW_SHORT], b[VIEW_SHORT];
	AUTO(buf) struct buf bar = { 0 };

	view_bar(&bar, rows < estimate ? rows / estimate : estimate >= 0 ? 1 : NAN, 20);
	view_put(v, TONE_PLAIN, "    %s %s rows", buf_z(&bar), view_rows(rows, a));
	if (isfinite(estimate))
		view_put(v, TONE_PLAIN, " of about %s", view_rows(estimate, b));
	view_put(v, TONE_PLAIN, "  %s", view_text(load, "state"));
	if (rate > 0)
		view_put(v, TONE_PLAIN, ", %s/s", view_rows(rate, a));
	if (isfinite(left) && left > 0)
		view_put(v, TONE_PLAIN, ", %s left", view_span(left, a));
	view_put(v, TONE_PLAIN, "\n");
}

static void view_tables(struct view *v, const json_t *tables)
{
	size_t i, n = json_array_size(tables), streaming = 0;
	const json_t *t;

	json_array_foreach(tables, i, t) streaming +=
		strcmp(view_text(t, "state"), "streaming") == 0;
	view_put(v, TONE_BOLD, n == 1 ? "\n%zu table" : "\n%zu tables", n);
	view_put(v, streaming == n ? TONE_GOOD : TONE_WAIT, ", %zu streaming\n", streaming);
	json_array_foreach(tables, i, t)
	{
		const char *state = view_text(t, "state");
		AUTO(free)
		char *name = xasprintf("%s.%s", view_text(t, "schema"), view_text(t, "name"));

		if (n > 20 && strcmp(state, "streaming") == 0)
			continue;
		view_put(v, TONE_PLAIN, "  %-40s ", name);
		view_put(v, state_tone(state), "%-12s", state);
		if (isfinite(view_number(t, "version")))
			view_put(v, TONE_DIM, " v%.0f", view_number(t, "version"));
		view_put(v, TONE_PLAIN, "  %s\n", view_text(t, "reason"));
		if (strcmp(state, "snapshot") == 0)
			view_load(v, json_object_get(t, "snapshot"));
	}
}

/* Draws the JSON of /status; -1 if it is none. */
static int draw(struct view *v, const char *json, struct error *err)
{
	json_error_t why;
	json_t *root = json_loads(json, 0, &why);

	if (!root)
		return fail(err, ERR_FATAL, "the agent's status is not JSON: %s", why.text);
	view_head(v, root);
	view_source(v, json_object_get(root, "source"));
	view_spool(v, json_object_get(root, "spool"));
	view_sinks(v, json_object_get(root, "sinks"));
	view_tables(v, json_object_get(root, "tables"));
	const json_t *q = json_object_get(root, "quarantine");

	if (view_number(q, "rows") > 0)
		view_put(v, TONE_BAD, "\nquarantine: %.0f rows of %.0f tables\n",
			 view_number(q, "rows"), view_number(q, "tables"));
	json_decref(root);
	return 0;
}

/* Prints one status; -1 after an error. */
static int print_once(const char *socket_path, bool json, bool clear, struct error *err)
{
	AUTO(buf) struct buf body = { 0 };
	struct view v = { .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	int status, rc = http_get(socket_path, "/status", &status, &body, err);

	if (rc == 0 && status != 200)
		rc = fail(err, ERR_FATAL, "the agent answered with HTTP status %d", status);
	if (rc == 0 && json)
		buf_add(&v.out, body.p, body.n);
	else if (rc == 0)
		rc = draw(&v, buf_z(&body), err);
	if (rc == 0) {
		if (clear)
			fputs("\033[H\033[J", stdout);
		fwrite(v.out.p, 1, v.out.n, stdout);
		if (fflush(stdout) != 0)
			rc = fail(err, ERR_FATAL, "cannot write the status");
	}
	buf_free(&v.out);
	return rc;
}

/* Each second; on a terminal also over a restart of the agent. */
static int watch(const char *socket_path, bool json, struct error *err)
{
	bool terminal = isatty(STDOUT_FILENO) && !json;

	for (;; sleep(1)) {
		if (print_once(socket_path, json, terminal, err) == 0)
			continue;
		if (!terminal || err->kind != ERR_RETRY)
			return -1;
		printf("\033[H\033[J%s\n", err->text);
		if (fflush(stdout) != 0)
			return -1;
	}
}

int cmd_status(int argc, char **argv)
{
	const char *path = CONFIG_FILE;
	bool json = false, again = false;
	struct error err;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_SWITCH("json", json, "as JSON"),
		FLAG_SWITCH("watch", again, "again each second, until interrupted"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, 0, &first);

	if (rc >= 0)
		return rc;
	struct config *c = command_config(path);

	if (!c)
		return EXIT_USAGE;
	AUTO(free) char *socket_path = xasprintf("%s/tailrace.sock", c->pipeline.state_dir);

	rc = again ? watch(socket_path, json, &err) : print_once(socket_path, json, false, &err);
	if (rc != 0 && err.kind == ERR_RETRY)
		error_prefix(&err, "pipeline %s", c->pipeline.name);
	config_free(c);
	return rc == 0 ? EXIT_DONE : command_failed(&err);
}
