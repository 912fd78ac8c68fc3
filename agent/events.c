/*
 * events.c - `tailrace events`: what the spool or Avro files hold, as JSON
 *
 * Streams: one block and one event in memory.  Begin, commit, heartbeat and schema records are not
 * shown.  Of a spool that an agent is writing, the end may be a transaction that goes on.
 */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "avro.h"
#include "command.h"
#include "event_file.h"
#include "source.h"

#define ARCHIVE_MEMORY (INT64_C(64) << 20)

/* A position, or a commit time in microseconds. */
struct bound {
	bool set, is_time;
	struct position pos;
	int64_t us;
};

struct query {
	struct list tables; /* one pattern, or none */
	json_t *key;        /* NULL: any */
	struct bound from, to;
	bool array;  /* one JSON array, not a line an event */
	bool closed; /* nobody reads any more */
	uint64_t printed;
	struct buf line;
};

/* --- bounds --- */

/* RFC 3339; also a date alone, a blank for the T, and no zone for UTC. */
static bool parse_time(const char *text, int64_t *us)
{
	struct tm tm = { 0 };
	int64_t fraction = 0, scale = 100000, zone = 0;
	const char *p = strptime(text, "%Y-%m-%d", &tm);

	if (p && (*p == 'T' || *p == 't' || *p == ' '))
		p = strptime(p + 1, "%H:%M:%S", &tm);
	else if (p && *p)
		return false;
	if (p && *p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			fraction += (*p - '0') * scale;
	if (p && (*p == '+' || *p == '-')) {
		int hours, minutes, n = 0;

		if (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || n != 5)
			return false;
		zone = (*p == '-' ? -1 : 1) * (hours * 60 + minutes) * INT64_C(60);
		p += 6;
	} else if (p && (*p == 'Z' || *p == 'z')) {
		p++;
	}
	if (!p || *p)
		return false;
	*us = ((int64_t)timegm(&tm) - zone) * 1000000 + fraction;
	return true;
}

/* 0, or EXIT_USAGE after a message. */
static int parse_bound(const char *flag, const char *text, struct bound *out)
{
	if (!text)
		return 0;
	out->set = true;
	if (position_parse(str_z(text), &out->pos) == 0)
		return 0;
	out->is_time = true;
	if (parse_time(text, &out->us))
		return 0;
	return command_usage("events: --%s %s is neither a position (1/0/16B3748/7) nor a time "
			     "(2026-01-02T03:04:05Z)",
			     flag, text);
}

/* <0, 0, >0 as the event is before, at or after the bound. */
static int compare(const struct event *e, const struct bound *b)
{
	if (!b->is_time)
		return position_cmp(&e->pos, &b->pos);
	return e->commit_us < b->us ? -1 : e->commit_us > b->us;
}

/* --- which events --- */

static bool is_shown(const struct event *e)
{
	switch (e->op) {
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_DELETE:
	case CHANGE_READ:
	case CHANGE_TRUNCATE:
	case CHANGE_MESSAGE:
		return true;
	default:
		return false;
	}
}

/* 4711 and "4711" are the same key: decimals are printed as strings. */
static bool same_value(const json_t *a, const json_t *b)
{
	if (json_equal(a, b))
		return true;
	const json_t *text = json_is_string(a) ? a : b, *number = text == a ? b : a;

	if (!json_is_string(text) || !json_is_number(number))
		return false;
	AUTO(free) char *digits = json_dumps(number, JSON_ENCODE_ANY);

	return digits && strcmp(digits, json_string_value(text)) == 0;
}

/* Does the printed event have this key, as far as it is given? */
static bool key_matches(const struct query *q, const struct buf *line)
{
	json_t *event = json_loadb(line->p, line->n, JSON_ALLOW_NUL, NULL), *want;
	const json_t *key = json_object_get(event, "key");
	bool match = json_is_object(key);
	const char *name;

	json_object_foreach(q->key, name, want)
	{
		const json_t *have = json_object_get(key, name);

		match = match && have && same_value(have, want);
	}
	json_decref(event);
	return match;
}

static bool is_wanted(const struct query *q, const struct event *e)
{
	if (!is_shown(e) || (q->from.set && compare(e, &q->from) < 0) ||
	    (q->to.set && compare(e, &q->to) > 0))
		return false;
	return !q->tables.n ||
	       (e->table && patterns_match(&q->tables, e->table->schema, e->table->name));
}

/* Whoever read has seen enough (`| head`): that is no failure. */
static int unwritten(struct query *q, struct error *err)
{
	int code = errno;

	__fpurge(stdout);
	clearerr(stdout);
	q->closed = true;
	return code == EPIPE ? 1
			     : fail(err, ERR_FATAL, "cannot write to standard output: %s",
				    strerror(code));
}

static int print_line(struct query *q, const struct event *e, struct error *err)
{
	buf_clear(&q->line);
	if (event_json(&q->line, e, err) != 0)
		return -1;
	if (q->key && !key_matches(q, &q->line))
		return 0;
	if (q->array)
		fputs(q->printed ? ",\n" : "[\n", stdout);
	q->printed++;
	fwrite(q->line.p, 1, q->line.n, stdout);
	if (!q->array)
		putchar('\n');
	return ferror(stdout) ? unwritten(q, err) : 0;
}

/* A change of key is a delete of the old one and an insert of the new one, as in every output. */
static int print_moved(struct query *q, const struct event *e, struct error *err)
{
	const struct str none = { NULL, 0 };
	struct event removed = *e, added = *e;

	removed.op = CHANGE_DELETE;
	removed.key = e->old_key;
	removed.after = removed.absent = removed.unrepresentable = none;
	added.op = CHANGE_INSERT;
	added.before = added.absent_before = added.unrepresentable_before = none;
	int rc = print_line(q, &removed, err);

	return rc != 0 ? rc : print_line(q, &added, err);
}

/*
 * 1 once nothing that follows in the file can be wanted: in a file, the positions of changes only
 * grow.  (Those of schema records do not: they stand before the block that uses them.)
 */
static int print_event(const struct event *e, void *arg, struct error *err)
{
	struct query *q = arg;

	if (is_shown(e) && q->to.set && !q->to.is_time && compare(e, &q->to) > 0)
		return 1;
	if (!is_wanted(q, e))
		return 0;
	return e->op == CHANGE_UPDATE && e->old_key.p ? print_moved(q, e, err)
						      : print_line(q, e, err);
}

/* --- which files --- */

struct paths {
	char **items;
	size_t n;
};

static void add_path(struct paths *p, const char *path)
{
	if ((p->n & (p->n - 1)) == 0)
		p->items = xrealloc(p->items, (p->n ? 2 * p->n : 1) * sizeof(p->items[0]));
	p->items[p->n++] = xstrdup(path);
}

static void paths_free(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->items[i]);
	free(p->items);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_avro(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, ".avro") == 0;
}

/* The file itself, or every finished Avro file below a folder, by name. */
static int find_files(const char *path, struct paths *out, struct error *err)
{
	AUTO(free) char *root = xstrdup(path);
	char *const roots[] = { root, NULL };
	FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	const FTSENT *entry;
	int rc = walk ? 0 : fail(err, ERR_FATAL, "cannot read %s: %s", path, strerror(errno));

	while (rc == 0 && (entry = fts_read(walk))) {
		bool given = entry->fts_level == FTS_ROOTLEVEL;

		switch (entry->fts_info) {
		case FTS_F:
			if (given || is_avro(entry->fts_name))
				add_path(out, entry->fts_path);
			break;
		case FTS_DNR:
		case FTS_ERR:
		case FTS_NS:
			if (given || entry->fts_errno != ENOENT) /* renamed or removed meanwhile */
				rc = fail(err, ERR_FATAL, "cannot read %s: %s", entry->fts_path,
					  strerror(entry->fts_errno));
			break;
		}
	}
	if (walk)
		fts_close(walk);
	return rc;
}

static bool same_folder(const char *a, const char *b)
{
	const char *x = strrchr(a, '/'), *y = strrchr(b, '/');

	return x && y && x - a == y - b && strncmp(a, b, (size_t)(x - a)) == 0;
}

/* A segment that ends before `from`, known by its successor's name, or begins after `to`. */
static bool out_of_range(const struct query *q, const char *path, const char *next)
{
	struct position first;

	if (!event_file_first(path, &first))
		return false;
	if (q->to.set && !q->to.is_time && position_cmp(&first, &q->to.pos) > 0)
		return true;
	return q->from.set && !q->from.is_time && next && event_file_first(next, &first) &&
	       position_cmp(&first, &q->from.pos) <= 0;
}

/* --- archives: files of a source's log --- */

struct archive {
	struct query *query;
	struct tables *tables;
	struct buf record;
	struct avro_scratch scratch;
};

static int print_change(void *arg, const struct change *c, struct error *err)
{
	struct archive *a = arg;
	struct event e;

	if (c->op == CHANGE_SCHEMA)
		return 0;
	buf_clear(&a->record);
	spool_record_put(&a->record, c, &a->scratch);
	struct cursor in = cursor_of((struct str){ a->record.p, a->record.n });

	return spool_record_get(&in, a->tables, &e, err) < 0 ? -1 : print_event(&e, a->query, err);
}

static const struct source_ops *archive_of(const char *path)
{
	for (const struct source_type *t = source_types; t->name; t++) {
		if (t->ops && t->ops->archive_is && t->ops->archive_is(path))
			return t->ops;
	}
	return NULL;
}

static int read_archive(struct query *q, const struct source_ops *ops, const char *path,
			struct tables *tables, struct error *err)
{
	struct archive a = { .query = q, .tables = tables };
	int rc = ops->archive_read(path, tables, ARCHIVE_MEMORY, print_change, &a, err);

	buf_free(&a.record);
	avro_scratch_free(&a.scratch);
	return rc;
}

static int read_files(struct query *q, const struct paths *p, struct tables *tables,
		      struct error *err)
{
	bool started = false;

	for (size_t i = 0; i < p->n && !q->closed; i++) {
		const char *path = p->items[i];
		const char *next =
			i + 1 < p->n && same_folder(path, p->items[i + 1]) ? p->items[i + 1] : NULL;

		if (out_of_range(q, path, next))
			continue;
		const struct source_ops *log = archive_of(path);
		int rc = log ? read_archive(q, log, path, tables, err)
			     : event_file_read(path, !next, tables, print_event, q, err);

		if (rc < 0 && err->code == ENOENT && !started)
			continue; /* retention removes the oldest first */
		if (rc < 0)
			return -1;
		started = true;
	}
	return 0;
}

/* --- the command --- */

static int parse_key(const char *text, json_t **out)
{
	json_error_t why;

	if (!text)
		return 0;
	*out = json_loads(text, 0, &why);
	if (!json_is_object(*out))
		return command_usage("events: --key %s is no JSON object such as {\"id\":4711}",
				     text);
	return 0;
}

/* The files that were named, or those of the spool; gives what the registry is made with. */
static int choose_files(int n, char **named, const char *config_path, struct config **config,
			struct paths *out, struct error *err)
{
	for (int i = 0; i < n; i++)
		if (find_files(named[i], out, err) != 0)
			return command_failed(err);
	if (n)
		return 0;
	*config = command_config(config_path);
	if (!*config)
		return EXIT_USAGE;
	AUTO(free) char *dir = xasprintf("%s/spool", (*config)->pipeline.state_dir);

	if (access(dir, F_OK) != 0) {
		fail(err, ERR_FATAL, "%s is not there: the agent of pipeline %s has not run yet",
		     dir, (*config)->pipeline.name);
		return command_failed(err);
	}
	if (find_files(dir, out, err) != 0)
		return command_failed(err);
	return 0;
}

static int run_query(struct query *q, const struct paths *files, const struct config *c)
{
	const struct tables_config names = { .pipeline = c ? c->pipeline.name : "" };
	struct tables *tables = tables_new(&names);
	struct error err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	int rc = read_files(q, files, tables, &err);

	if (q->array && !q->closed)
		fputs(q->printed ? "\n]\n" : "[]\n", stdout);
	if (rc == 0 && fflush(stdout) != 0)
		rc = unwritten(q, &err);
	tables_free(tables);
	return rc < 0 ? command_failed(&err) : EXIT_DONE;
}

int cmd_events(int argc, char **argv)
{
	const char *path = CONFIG_FILE, *table = NULL, *key = NULL, *from = NULL, *to = NULL;
	const char *format = "jsonl";
	struct config *config = NULL;
	struct paths files = { 0 };
	struct query q = { 0 };
	struct error err;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_VALUE("table", "TABLE", table, "schema.table, with * and ?"),
		FLAG_VALUE("key", "JSON", key, "events of this key: {\"id\":4711}"),
		FLAG_VALUE("from", "POS|TIME", from, "from this position or commit time on"),
		FLAG_VALUE("to", "POS|TIME", to, "up to and with this position or commit time"),
		FLAG_VALUE("format", "FORMAT", format, "jsonl: an object a line; json: one array"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, argc, &first);

	if (rc >= 0)
		return rc;
	AUTO(free) char *pattern = table ? xstrdup(table) : NULL;

	q.tables = (struct list){ &pattern, table != NULL };
	q.array = strcmp(format, "json") == 0;
	if (!q.array && strcmp(format, "jsonl") != 0)
		rc = command_usage("events: --format %s is not known: json or jsonl", format);
	else if ((rc = parse_bound("from", from, &q.from)) == 0 &&
		 (rc = parse_bound("to", to, &q.to)) == 0 && (rc = parse_key(key, &q.key)) == 0 &&
		 (rc = choose_files(argc - first, argv + first, path, &config, &files, &err)) == 0)
		rc = run_query(&q, &files, config);
	json_decref(q.key);
	buf_free(&q.line);
	paths_free(&files);
	config_free(config);
	return rc;
}
