/*
 * check.c - `tailrace check`: the preflight of source and sinks, with the SQL that cures
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "command.h"
#include "sink.h"
#include "source.h"

static const char *const severities[] = { "info", "warning", "error" };

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

void findings_add(struct findings *f, const char *id, enum severity severity, const char *object,
		  const char *message, const char *fix_sql, const char *undo_sql)
{
	f->items = xrealloc(f->items, (f->n + 1) * sizeof(f->items[0]));
	f->items[f->n++] = (struct finding){
		.id = copy(id),
		.severity = severity,
		.object = copy(object),
		.message = copy(message),
		.fix_sql = copy(fix_sql),
		.undo_sql = copy(undo_sql),
	};
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct finding *item = &f->items[i];

		free(item->id);
		free(item->object);
		free(item->message);
		free(item->fix_sql);
		free(item->undo_sql);
	}
	free(f->items);
	*f = (struct findings){ 0 };
}

static size_t count(const struct findings *f, enum severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->items[i].severity == severity;
	return n;
}

/* --- output --- */

static void put_member(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, "%s\"%s\":", out->p[out->n - 1] == '{' ? "" : ",", name);
	if (text)
		buf_json(out, str_z(text));
	else
		buf_adds(out, "null");
}

static void put_json(struct buf *out, const struct findings *f)
{
	buf_adds(out, "{\"findings\":[");
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *item = &f->items[i];

		buf_adds(out, i ? ",{" : "{");
		put_member(out, "id", item->id);
		put_member(out, "severity", severities[item->severity]);
		put_member(out, "object", item->object);
		put_member(out, "message", item->message);
		put_member(out, "fix_sql", item->fix_sql);
		put_member(out, "undo_sql", item->undo_sql);
		buf_addc(out, '}');
	}
	buf_addf(out, "],\"errors\":%zu}\n", count(f, SEVERITY_ERROR));
}

/* Lines of text after `indent` blanks, those longer than `width` (0: any) broken at blanks. */
static void put_indented(struct buf *out, int indent, size_t width, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (width && n > width) {
			size_t blank = width;

			while (blank && text[blank] != ' ')
				blank--;
			n = blank ? blank : strcspn(text, " \n");
		}
		buf_addf(out, "%*s%.*s\n", indent, "", (int)n, text);
		text += n + (text[n] != '\0');
	}
}

static void put_finding(struct buf *out, const struct finding *item, bool colour)
{
	static const char *const codes[] = { "\033[2m", "\033[33m", "\033[31m" };

	buf_addf(out, "%s%-7s%s  %s%s%s\n", colour ? codes[item->severity] : "",
		 severities[item->severity], colour ? "\033[0m" : "", item->id,
		 item->object && *item->object ? "  " : "", item->object ? item->object : "");
	put_indented(out, 9, 91, item->message);
	if (item->fix_sql) {
		buf_adds(out, "         fix:\n");
		put_indented(out, 13, 0, item->fix_sql);
	}
	if (item->undo_sql) {
		buf_adds(out, "         undo:\n");
		put_indented(out, 13, 0, item->undo_sql);
	}
}

static void put_count(struct buf *out, const struct findings *f, enum severity severity,
		      const char *what, const char *after)
{
	size_t n = count(f, severity);

	buf_addf(out, "%zu %s%s%s", n, what, n == 1 ? "" : "s", after);
}

static void put_text(struct buf *out, const struct findings *f, bool colour)
{
	for (int severity = SEVERITY_ERROR; severity >= SEVERITY_INFO; severity--)
		for (size_t i = 0; i < f->n; i++)
			if ((int)f->items[i].severity == severity)
				put_finding(out, &f->items[i], colour);
	if (f->n)
		buf_addc(out, '\n');
	put_count(out, f, SEVERITY_ERROR, "error", ", ");
	put_count(out, f, SEVERITY_WARNING, "warning", ", ");
	put_count(out, f, SEVERITY_INFO, "hint", "\n");
}

/* SQL with the finding it cures as a comment; what is undone is undone in reverse order. */
static void put_sql(struct buf *out, const struct findings *f, bool undo)
{
	buf_addf(out, "-- %s what `tailrace check` asks for; read it before you run it\n",
		 undo ? "undoes" : "does");
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *item = &f->items[undo ? f->n - 1 - i : i];
		const char *sql = undo ? item->undo_sql : item->fix_sql;
		size_t n = sql ? strlen(sql) : 0;

		while (n && strchr("; \n", sql[n - 1]))
			n--;
		if (!n)
			continue;
		buf_addf(out, "\n-- %s %s: ", item->id, item->object ? item->object : "");
		for (const char *p = item->message; *p; p++) /* a comment ends with its line */
			buf_addc(out, *p == '\n' || *p == '\r' ? ' ' : *p);
		buf_addf(out, "\n%.*s;\n", (int)n, sql);
	}
}

static int write_file(const char *path, const struct buf *text, struct error *err)
{
	FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (!f || fwrite(text->p, 1, text->n, f) != text->n ||
	    (f == stdout ? fflush(f) : fclose(f)) != 0)
		return fail(err, ERR_FATAL, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

static int write_sql(const char *path, const struct findings *f, bool undo, struct error *err)
{
	AUTO(buf) struct buf out = { 0 };

	if (!path)
		return 0;
	put_sql(&out, f, undo);
	return write_file(path, &out, err);
}

/* --- the command --- */

/* What keeps a part from being checked at all is itself a finding. */
static void add_failure(struct findings *f, const char *id, const char *object,
			const struct error *err)
{
	findings_add(f, id, SEVERITY_ERROR, object, err->text, NULL, NULL);
}

static void check_all(const struct config *c, struct findings *f)
{
	const struct source_ops *source = source_types[c->source.type].ops;
	struct error err;

	if (source->check(c, f, &err) != 0)
		add_failure(f, "source", source->name, &err);
	for (size_t i = 0; i < c->nsinks; i++) {
		const struct sink_config *k = &c->sinks[i];
		const struct sink_context context = { .config = c, .sink = k, .index = i };

		if (k->type->ops->check(&context, f, &err) != 0)
			add_failure(f, "sink", k->name, &err);
	}
}

int cmd_check(int argc, char **argv)
{
	const char *path = CONFIG_FILE, *fix = NULL, *undo = NULL;
	AUTO(buf) struct buf out = { 0 };
	struct findings f = { 0 };
	bool json = false;
	struct error err;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_VALUE("fix-sql", "FILE", fix, "write the SQL that fixes what was found"),
		FLAG_VALUE("undo-sql", "FILE", undo, "write the SQL that undoes that again"),
		FLAG_SWITCH("json", json, "as JSON"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, 0, &first);

	if (rc >= 0)
		return rc;
	struct config *c = command_config(path);

	if (!c)
		return EXIT_USAGE;
	check_all(c, &f);
	if (json)
		put_json(&out, &f);
	else
		put_text(&out, &f, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	if (write_file("-", &out, &err) != 0 || write_sql(fix, &f, false, &err) != 0 ||
	    write_sql(undo, &f, true, &err) != 0)
		rc = command_failed(&err);
	else
		rc = count(&f, SEVERITY_ERROR) ? EXIT_FINDINGS : EXIT_DONE;
	findings_free(&f);
	config_free(c);
	return rc;
}
