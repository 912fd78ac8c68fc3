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

/* What a view is drawn with: colours only on a terminal. */
struct view {
	struct buf out;
	bool colour;
};

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WAIT, TONE_BAD, TONE_DIM, TONE_BOLD };

static void put(struct view *v, enum tone tone, const char *format, ...) PRINTF(3, 4);
static void put(struct view *v, enum tone tone, const char *format, ...)
{
	static const char *const codes[] = { "",         "\033[32m", "\033[33m",
					     "\033[31m", "\033[2m",  "\033[1m" };
	AUTO(free) char *text = NULL;
	va_list ap;

	va_start(ap, format);
	int n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		abort();
	if (v->colour)
		buf_adds(&v->out, codes[tone]);
	for (const char *p = text; *p;
	     p++) /* what a server calls itself does not steer the terminal */
		buf_addc(&v->out, (unsigned char)*p < 0x20 && *p != '\n' ? '?' : *p);
	if (v->colour && *codes[tone])
		buf_adds(&v->out, "\033[0m");
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* NAN where the agent said null. */
static double number_of(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

#define SHORT 24

/* "12 kB", "3.4 GB"; "?" when unknown. */
static const char *bytes_text(double v, char out[SHORT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	size_t i = 0;

	if (!isfinite(v))
		return "?";
	while (v >= 1024 && i < COUNT(units) - 1) {
		v /= 1024;
		i++;
	}
	snprintf(out, SHORT, i && v < 10 ? "%.1f %s" : "%.0f %s", v, units[i]);
	return out;
}

/* "0.2 s", "3 min", "4 h 10 min", "12 days"; "?" when unknown. */
static const char *span_text(double s, char out[SHORT])
{
	if (!isfinite(s))
		return "?";
	if (s < 10)
		snprintf(out, SHORT, "%.1f s", s);
	else if (s < 120)
		snprintf(out, SHORT, "%.0f s", s);
	else if (s < 7200)
		snprintf(out, SHORT, "%.0f min", s / 60);
	else if (s < 172800)
		snprintf(out, SHORT, "%d h %d min", (int)(s / 3600), (int)s % 3600 / 60);
	else
		snprintf(out, SHORT, "%.0f days", s / 86400);
	return out;
}

static const char *count_text(double v, char out[SHORT])
{
	if (!isfinite(v))
		return "?";
	snprintf(out, SHORT, "%.0f", v);
	return out;
}

/* A position for people: what stands between transactions (row 2^63) goes without its row. */
static const char *place_of(const json_t *object, const char *key, char out[POSITION_TEXT])
{
	struct position pos;

	if (position_parse(str_z(text_of(object, key)), &pos) != 0)
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
	static const char *const good[] = { "ok", "streaming" };
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
	const char *state = text_of(root, "state"), *waiting = text_of(root, "waiting_for");
	char up[SHORT];

	put(v, TONE_BOLD, "%s", text_of(root, "pipeline"));
	put(v, state_tone(state), "  %s", state);
	put(v, TONE_DIM, "  tailrace %s, pid %.0f, up %s\n", text_of(root, "version"),
	    number_of(root, "pid"), span_text(age_of(text_of(root, "started")), up));
	if (*waiting)
		put(v, TONE_WAIT, "  waiting for %s\n", waiting);
}

static void view_source(struct view *v, const json_t *s)
{
	bool connected = json_is_true(json_object_get(s, "connected"));
	const char *server = text_of(s, "server");
	double until = number_of(s, "seconds_until_lost");
	char a[SHORT], b[SHORT], place[POSITION_TEXT];

	put(v, TONE_BOLD, "\nsource  ");
	put(v, TONE_PLAIN, "%s  ", *server ? server : text_of(s, "type"));
	put(v, connected ? TONE_GOOD : TONE_BAD, "%s\n", connected ? "connected" : "not connected");
	put(v, TONE_PLAIN, "        lag %s", span_text(number_of(s, "lag_seconds"), a));
	put(v, TONE_PLAIN, " (%s)", bytes_text(number_of(s, "lag_bytes"), b));
	put(v, TONE_PLAIN, "   keeps %s for us", bytes_text(number_of(s, "retained_bytes"), a));
	if (isfinite(until))
		put(v, until < 86400 ? TONE_BAD : TONE_PLAIN, ", drops it in %s",
		    span_text(until, b));
	put(v, TONE_PLAIN, "   at %s\n", place_of(s, "position", place));
	if (*text_of(s, "error"))
		put(v, TONE_BAD, "        %s\n", text_of(s, "error"));
}

static void view_spool(struct view *v, const json_t *s)
{
	double until = number_of(s, "seconds_until_full");
	char a[SHORT], b[SHORT], place[POSITION_TEXT];

	put(v, TONE_BOLD, "spool   ");
	put(v, TONE_PLAIN, "%s of ", bytes_text(number_of(s, "bytes"), a));
	put(v, TONE_PLAIN, "%s", bytes_text(number_of(s, "max_bytes"), b));
	if (until < 30 * 86400)
		put(v, until < 3600 ? TONE_BAD : TONE_PLAIN, ", full in %s", span_text(until, a));
	put(v, TONE_PLAIN, "   synced to %s\n", place_of(s, "synced", place));
}

static void view_sinks(struct view *v, const json_t *sinks)
{
	char lag[SHORT], events[SHORT], place[POSITION_TEXT];
	const json_t *k;
	size_t i;

	put(v, TONE_BOLD, "\n%-16s %-8s %-9s %10s %10s %9s %8s  %s\n", "sink", "type", "state",
	    "lag", "events", "commits", "retries", "position");
	json_array_foreach(sinks, i, k)
	{
		const char *state = text_of(k, "state");

		put(v, TONE_PLAIN, "%-16s %-8s ", text_of(k, "name"), text_of(k, "type"));
		put(v, state_tone(state), "%-9s ", state);
		put(v, TONE_PLAIN, "%10s %10s %9.0f %8.0f  %s\n",
		    span_text(number_of(k, "lag_seconds"), lag),
		    count_text(number_of(k, "lag_events"), events), number_of(k, "commits"),
		    number_of(k, "retries"), place_of(k, "position", place));
		if (*text_of(k, "error"))
			put(v, TONE_BAD, "  %s\n", text_of(k, "error"));
	}
}

/* All of a few tables; of many only the count and those that need somebody. */
static void view_tables(struct view *v, const json_t *tables)
{
	size_t i, n = json_array_size(tables), streaming = 0;
	const json_t *t;

	json_array_foreach(tables, i, t) streaming += strcmp(text_of(t, "state"), "streaming") == 0;
	put(v, TONE_BOLD, n == 1 ? "\n%zu table" : "\n%zu tables", n);
	put(v, streaming == n ? TONE_GOOD : TONE_WAIT, ", %zu streaming\n", streaming);
	json_array_foreach(tables, i, t)
	{
		const char *state = text_of(t, "state");
		AUTO(free)
		char *name = xasprintf("%s.%s", text_of(t, "schema"), text_of(t, "name"));

		if (n > 20 && strcmp(state, "streaming") == 0)
			continue;
		put(v, TONE_PLAIN, "  %-40s ", name);
		put(v, state_tone(state), "%-12s", state);
		if (isfinite(number_of(t, "version")))
			put(v, TONE_DIM, " v%.0f", number_of(t, "version"));
		put(v, TONE_PLAIN, "  %s\n", text_of(t, "reason"));
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

	if (number_of(q, "rows") > 0)
		put(v, TONE_BAD, "\nquarantine: %.0f rows of %.0f tables\n", number_of(q, "rows"),
		    number_of(q, "tables"));
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
