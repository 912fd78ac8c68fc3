/*
 * config.c - from the text of a configuration file to checked values
 *
 * Three steps: the text is split (ini.c), every key is set by its options table, then what depends
 * on several keys is filled in and checked.  What parses but has no code yet is noted in the
 * second step and refused after it, so that a misspelt key is named first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "ini.h"
#include "log.h"

#define FILE_MAX  ((size_t)64 * 1024 * 1024)
#define NAMES_MAX 64 /* keys of one section, for the nearest name */

/* What config_load() gives: the arena holds every string. */
struct owned_config {
	struct config c;
	struct arena arena;
};

struct loader {
	struct config *c;
	struct arena *arena;
	struct ini ini;
	bool secret;          /* the file itself holds one */
	struct error refused; /* the first value without code, .kind ERR_NONE: none */
	struct error *err;
};

#define refuse_at(l, line, format, ...)                                                            \
	fail_exit((l)->err, EXIT_USAGE, "%s:%d: " format, (l)->c->path, line, ##__VA_ARGS__)
#define refuse_file(l, format, ...)                                                                \
	fail_exit((l)->err, EXIT_USAGE, "%s: " format, (l)->c->path, ##__VA_ARGS__)

/* "[sink lake]", in the loader's arena. */
static const char *title(struct loader *l, const struct ini_section *s)
{
	return arena_printf(l->arena, "[%.*s%s%.*s]", STR_FMT(s->kind), s->name.n ? " " : "",
			    STR_FMT(s->name));
}

static const struct ini_section *find_section(const struct loader *l, const char *kind)
{
	for (size_t i = 0; i < l->ini.n; i++)
		if (str_eqz(l->ini.sections[i].kind, kind))
			return &l->ini.sections[i];
	return NULL;
}

static const struct ini_entry *find_entry(const struct ini_section *s, const char *key)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (str_eqz(s->entries[i].key, key))
			return &s->entries[i];
	return NULL;
}

static int line_of(const struct ini_section *s, const char *key)
{
	const struct ini_entry *e = find_entry(s, key);

	return e ? e->line : s ? s->line : 0;
}

/* Does the file itself hold a secret here?  Not if it comes from elsewhere, or a URL has none. */
static bool holds_secret(const struct option *o, struct str value)
{
	AUTO(free) char *text = xstrndup(value.p, value.n);
	const char *p = text + (*text == '"');

	if (!(o->flags & OPTION_SECRET) || !*p || strncmp(p, "file:", 5) == 0 ||
	    strncmp(p, "${", 2) == 0)
		return false;
	if (strcmp(o->name, "url") != 0)
		return true;
	const char *in_query = strstr(p, "password="), *user = strstr(p, "://");

	if (in_query && strncmp(in_query + 9, "${", 2) != 0)
		return true;
	if (!user)
		return false;
	user += 3;
	const char *at = memchr(user, '@', strcspn(user, "/?"));
	const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;

	return colon && strncmp(colon + 1, "${", 2) != 0;
}

/* Notes a value that has no code yet. */
static void note_refusal(struct loader *l, const struct ini_section *s, const struct ini_entry *e,
			 const struct option *o, const void *base)
{
	AUTO(buf) struct buf rest = { 0 };
	bool refused = o->flags & OPTION_LATER;

	if (l->refused.kind != ERR_NONE || option_is_default(o, base))
		return;
	for (size_t i = 0; o->later && o->later[i]; i++)
		refused |= strcmp(o->choices[*(const int *)((const char *)base + o->offset)],
				  o->later[i]) == 0;
	if (!refused)
		return;
	for (size_t i = 0; o->later && o->choices[i]; i++) {
		bool later = false;

		for (size_t j = 0; o->later[j]; j++)
			later |= strcmp(o->later[j], o->choices[i]) == 0;
		if (!later)
			buf_addf(&rest, "%s%s", rest.n ? ", " : "; available: ", o->choices[i]);
	}
	if (!o->later && o->initial)
		buf_addf(&rest, "; available: %s", o->initial);
	fail_exit(&l->refused, EXIT_USAGE, "%s:%d: %s %s = %.*s is not available in this version%s",
		  l->c->path, e->line, title(l, s), o->name, STR_FMT(e->value),
		  rest.n ? buf_z(&rest) : "; leave it out");
}

static int unknown_key(struct loader *l, const struct ini_section *s, const struct ini_entry *e,
		       const struct option *const tables[2])
{
	AUTO(free) char *wrong = xstrndup(e->key.p, e->key.n);
	const char *names[NAMES_MAX], *near;
	size_t n = 0;

	for (int t = 0; t < 2; t++)
		for (const struct option *o = tables[t]; o && o->name && n < NAMES_MAX; o++)
			names[n++] = o->name;
	near = nearest_name(wrong, names, n);
	return refuse_at(l, e->line, "%s has no key %s%s%s; `tailrace options` lists them",
			 title(l, s), wrong, near ? ": the nearest is " : "", near ? near : "");
}

static bool passes(const struct sink_type *t, struct str key)
{
	return t->prefix && key.n > strlen(t->prefix) &&
	       memcmp(key.p, t->prefix, strlen(t->prefix)) == 0;
}

/* Keeps a key that passes through; what names a password is resolved like our own secrets. */
static int pass(struct loader *l, const struct ini_section *s, const struct ini_entry *e,
		struct sink_config *k)
{
	const char *name =
		arena_printf(l->arena, "%.*s", STR_FMT(e->key)) + strlen(k->type->prefix);
	bool secret = strstr(name, "password") || strstr(name, "secret");
	const struct option o = { .name = name,
				  .type = OPTION_STRING,
				  .flags = secret ? OPTION_SECRET : 0 };
	struct passed *p;

	if (!k->passed)
		k->passed = arena_zalloc(l->arena, s->n * sizeof *k->passed);
	p = &k->passed[k->npassed];
	*p = (struct passed){ .name = arena_printf(l->arena, "%s", name) };
	if (option_set(&o, &p->value, e->value, l->arena, l->err) < 0 ||
	    k->type->pass(name, p->value ? p->value : "", l->err) < 0)
		return error_prefix(l->err, "%s:%d: %s", l->c->path, e->line, title(l, s));
	if (!p->value)
		p->value = arena_printf(l->arena, "%s", "");
	k->npassed++;
	l->secret |= holds_secret(&o, e->value);
	return 0;
}

/*
 * Sets the keys of one section from tables[0] into bases[0] and tables[1] (or NULL) into bases[1].
 * Keys that begin with the prefix of k's type pass; k is NULL in other sections.
 */
static int fill(struct loader *l, const struct ini_section *s, const struct option *const tables[2],
		void *const bases[2], struct sink_config *k)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct ini_entry *e = &s->entries[i];
		int t = 0;
		const struct option *o = option_find(tables[0], e->key);

		if (!o && tables[1])
			o = option_find(tables[t = 1], e->key);
		if (!o && k && passes(k->type, e->key)) {
			if (pass(l, s, e, k) < 0)
				return -1;
			continue;
		}
		if (!o)
			return unknown_key(l, s, e, tables);
		if (option_set(o, bases[t], e->value, l->arena, l->err) < 0)
			return error_prefix(l->err, "%s:%d: %s", l->c->path, e->line, title(l, s));
		l->secret |= holds_secret(o, e->value);
		note_refusal(l, s, e, o, bases[t]);
	}
	return 0;
}

static bool is_set(const struct option *o, const struct ini_section *s, const void *base)
{
	const void *field = (const char *)base + o->offset;

	if (o->type == OPTION_STRING)
		return *(char *const *)field != NULL;
	if (o->type == OPTION_LIST)
		return ((const struct list *)field)->n > 0;
	return find_entry(s, o->name) != NULL;
}

static int check_required(struct loader *l, const struct ini_section *s, const struct option *o,
			  const void *base)
{
	for (; o->name; o++)
		if ((o->flags & OPTION_REQUIRED) && !is_set(o, s, base))
			return refuse_at(l, s->line, "%s needs %s: %s", title(l, s), o->name,
					 o->help);
	return 0;
}

static int unknown_section(struct loader *l, const struct ini_section *s)
{
	AUTO(free) char *wrong = xstrndup(s->kind.p, s->kind.n);
	const char *names[NAMES_MAX] = { "sink", "table" }, *near;
	size_t n = 2;

	for (const struct section *x = sections; x->name; x++)
		names[n++] = x->name;
	near = nearest_name(wrong, names, n);
	return refuse_at(l, s->line,
			 "there is no section [%s]%s%s%s; `tailrace options` lists them", wrong,
			 near ? ": the nearest is [" : "", near ? near : "", near ? "]" : "");
}

static int fill_table(struct loader *l, const struct ini_section *s)
{
	struct table_config *t = &l->c->tables[l->c->ntables++];

	if (s->name.n == 0)
		return refuse_at(l, s->line, "[table] needs a pattern: [table public.customer]");
	t->pattern = arena_printf(l->arena, "%.*s", STR_FMT(s->name));
	option_defaults(table_options, t, l->arena);
	return fill(l, s, (const struct option *const[2]){ table_options }, (void *[2]){ t }, NULL);
}

static bool name_is_good(const char *name, size_t most, const char *characters)
{
	size_t n = strlen(name);

	return n >= 1 && n <= most && strspn(name, characters) == n;
}

#define SLOT_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_"
#define NAME_CHARS SLOT_CHARS "-"

static const struct sink_type *type_of(struct loader *l, const struct ini_section *s,
				       const char *name)
{
	const char *names[NAMES_MAX], *near;
	const struct ini_entry *e = find_entry(s, "type");
	AUTO(buf) struct buf all = { 0 }, available = { 0 };
	size_t n = 0;

	if (!name) {
		refuse_at(l, s->line, "%s needs type: %s", title(l, s), sink_options[0].help);
		return NULL;
	}
	for (const struct sink_type *t = sink_types; t->name; t++) {
		buf_addf(&all, "%s%s", n ? ", " : "", t->name);
		names[n++] = t->name;
		if (t->ops)
			buf_addf(&available, "%s%s", available.n ? ", " : "", t->name);
	}
	for (const struct sink_type *t = sink_types; t->name; t++) {
		if (strcmp(t->name, name) != 0)
			continue;
		if (!t->ops && l->refused.kind == ERR_NONE)
			fail_exit(&l->refused, EXIT_USAGE,
				  "%s:%d: %s type = %s is not available in this version; "
				  "available: %s",
				  l->c->path, e->line, title(l, s), name, buf_z(&available));
		return t;
	}
	near = nearest_name(name, names, n);
	refuse_at(l, e->line, "%s type = %s is not known%s%s; it takes %s", title(l, s), name,
		  near ? ": the nearest is " : "", near ? near : "", buf_z(&all));
	return NULL;
}

static int fill_sink(struct loader *l, const struct ini_section *s)
{
	struct sink_config *k = &l->c->sinks[l->c->nsinks++];
	struct sink_head head = { 0 };
	const struct ini_entry *type = find_entry(s, "type");

	k->name = arena_printf(l->arena, "%.*s", STR_FMT(s->name));
	if (!name_is_good(k->name, 40, NAME_CHARS))
		return refuse_at(l, s->line,
				 "a sink has a name of 1 to 40 characters of a-z, 0-9, _ and -: "
				 "[sink copy], not %s",
				 title(l, s));
	if (type && option_set(&sink_options[0], &head, type->value, l->arena, l->err) < 0)
		return error_prefix(l->err, "%s:%d: %s", l->c->path, type->line, title(l, s));
	k->type = type_of(l, s, head.type);
	if (!k->type)
		return -1;
	k->settings = arena_zalloc(l->arena, k->type->size);
	option_defaults(sink_options, &head, l->arena);
	option_defaults(k->type->options, k->settings, l->arena);
	if (fill(l, s, (const struct option *const[2]){ sink_options, k->type->options },
		 (void *[2]){ &head, k->settings }, k) < 0)
		return -1;
	k->tables = head.tables;
	return 0;
}

static int fill_section(struct loader *l, const struct ini_section *s)
{
	if (str_eqz(s->kind, "sink"))
		return fill_sink(l, s);
	if (str_eqz(s->kind, "table"))
		return fill_table(l, s);
	for (const struct section *x = sections; x->name; x++) {
		if (!str_eqz(s->kind, x->name))
			continue;
		if (s->name.n)
			return refuse_at(l, s->line, "section [%s] takes no name: %s", x->name,
					 title(l, s));
		return fill(l, s, (const struct option *const[2]){ x->options },
			    (void *[2]){ (char *)l->c + x->offset }, NULL);
	}
	return unknown_section(l, s);
}

static int check_pipeline(struct loader *l)
{
	const struct ini_section *s = find_section(l, "pipeline");
	struct pipeline_config *p = &l->c->pipeline;

	if (!name_is_good(p->name, 40, NAME_CHARS))
		return refuse_at(l, line_of(s, "name"),
				 "[pipeline] name = %s: 1 to 40 characters of a-z, 0-9, _ and -",
				 p->name);
	if (!p->state_dir)
		p->state_dir = arena_printf(l->arena, "/var/lib/tailrace/%s", p->name);
	return 0;
}

static int check_source(struct loader *l)
{
	static const char *const schemes[][2] = {
		{ "postgresql://", "postgres://" },
		{ "mysql://", "mariadb://" },
	};
	const struct ini_section *s = find_section(l, "source");
	struct source_config *c = &l->c->source;
	const char *const *scheme = schemes[c->type];

	if (strncmp(c->url, scheme[0], strlen(scheme[0])) != 0 &&
	    strncmp(c->url, scheme[1], strlen(scheme[1])) != 0)
		return refuse_at(l, line_of(s, "url"), "[source] url does not begin with %s",
				 scheme[0]);
	if (!c->slot) {
		c->slot = arena_printf(l->arena, "tailrace_%s", l->c->pipeline.name);
		for (char *p = c->slot; *p; p++)
			*p = *p == '-' ? '_' : *p; /* not allowed in the name of a slot */
	}
	if (!name_is_good(c->slot, 63, SLOT_CHARS))
		return refuse_at(l, line_of(s, "slot"),
				 "[source] slot = %s: 1 to 63 characters of a-z, 0-9 and _",
				 c->slot);
	if (!c->publication)
		c->publication = arena_printf(l->arena, "tailrace_%s", l->c->pipeline.name);
	if (strlen(c->publication) > 63)
		return refuse_at(l, line_of(s, "publication"),
				 "[source] publication is longer than 63 characters");
	return 0;
}

static bool is_loopback(const char *host, size_t n)
{
	AUTO(free) char *h = xstrndup(host, n);

	return strcmp(h, "localhost") == 0 || strcmp(h, "[::1]") == 0 ||
	       (strncmp(h, "127.", 4) == 0 && strspn(h, "0123456789.") == n);
}

static int check_http(struct loader *l)
{
	const struct ini_section *s = find_section(l, "http");
	const char *listen = l->c->http.listen ? l->c->http.listen : "";
	int line = line_of(s, "listen");

	if (strcmp(listen, "off") == 0)
		return 0;
	if (strncmp(listen, "unix:", 5) == 0 && listen[5] == '/')
		return 0;
	const char *colon = strrchr(listen, ':'), *port = colon ? colon + 1 : "";
	size_t digits = strspn(port, "0123456789");

	if (!colon || colon == listen || strncmp(listen, "unix:", 5) == 0 || digits == 0 ||
	    digits > 5 || port[digits] || strtol(port, NULL, 10) > 65535)
		return refuse_at(l, line,
				 "[http] listen = %s is not host:port, unix:/path of a socket or "
				 "off",
				 listen);
	if (!is_loopback(listen, (size_t)(colon - listen)) && !l->c->http.token)
		return refuse_at(l, line,
				 "[http] listen = %s can be reached from other machines: set a "
				 "token in [http], or listen on 127.0.0.1 or unix:/path",
				 listen);
	return 0;
}

/* Two sinks of type files would write the same names into one folder. */
static int check_sinks(struct loader *l)
{
	struct config *c = l->c;

	if (c->nsinks == 0)
		return refuse_file(l, "there is no sink: add a section [sink NAME]");
	for (size_t i = 0; i < c->nsinks; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct option *path =
				option_find(c->sinks[i].type->options, STR("path"));

			if (c->sinks[i].type != c->sinks[k].type || !path)
				continue;
			const char *mine = *(char **)((char *)c->sinks[i].settings + path->offset);
			const char *other = *(char **)((char *)c->sinks[k].settings + path->offset);

			if (strcmp(mine, other) == 0)
				return refuse_file(l,
						   "[sink %s] and [sink %s] have the same path %s: "
						   "each needs its own",
						   c->sinks[k].name, c->sinks[i].name, mine);
		}
	}
	return 0;
}

/* A spool that holds less than a few segments could not let go of one. */
static void fit_segment(struct spool_config *s)
{
	if (s->segment > s->max_bytes / 4)
		s->segment = s->max_bytes / 4;
}

static int check_all(struct loader *l)
{
	struct config *c = l->c;
	size_t sink = 0;

	if (l->refused.kind != ERR_NONE) {
		*l->err = l->refused;
		return -1;
	}
	for (const struct section *x = sections; x->name; x++) {
		const struct ini_section *s = find_section(l, x->name);

		if (s && check_required(l, s, x->options, (char *)c + x->offset) < 0)
			return -1;
	}
	if (!find_section(l, "pipeline"))
		return refuse_file(l, "there is no section [pipeline]: it holds the name");
	if (!find_section(l, "source"))
		return refuse_file(l, "there is no section [source]: it names the database");
	for (size_t i = 0; i < l->ini.n; i++) {
		const struct ini_section *s = &l->ini.sections[i];

		if (!str_eqz(s->kind, "sink"))
			continue;
		const struct sink_config *k = &c->sinks[sink++];

		if (check_required(l, s, k->type->options, k->settings) < 0)
			return -1;
	}
	fit_segment(&c->spool);
	return check_pipeline(l) < 0 || check_source(l) < 0 || check_http(l) < 0 ||
			       check_sinks(l) < 0
		       ? -1
		       : 0;
}

/* [pipeline] is read first: it says how warnings about the rest are logged. */
static int fill_all(struct loader *l, bool set_log)
{
	const struct ini_section *first = find_section(l, "pipeline");
	const struct pipeline_config *p = &l->c->pipeline;

	l->c->now = arena_zalloc(l->arena, sizeof *l->c->now);
	l->c->tables = arena_zalloc(l->arena, (l->ini.n + 1) * sizeof *l->c->tables);
	l->c->sinks = arena_zalloc(l->arena, (l->ini.n + 1) * sizeof *l->c->sinks);
	for (const struct section *x = sections; x->name; x++)
		option_defaults(x->options, (char *)l->c + x->offset, l->arena);
	if (first && fill_section(l, first) < 0)
		return -1;
	if (set_log)
		log_setup((enum log_level)p->log_level, (enum log_format)p->log_format, p->name);
	for (size_t i = 0; i < l->ini.n; i++)
		if (&l->ini.sections[i] != first && fill_section(l, &l->ini.sections[i]) < 0)
			return -1;
	return check_all(l);
}

/* `st`: of the file that the text comes from, or NULL, which leaves the log alone. */
static struct config *parse(const char *path, struct str text, const struct stat *st,
			    struct error *err)
{
	struct owned_config *o = xcalloc(1, sizeof *o);
	struct loader l = { .c = &o->c, .arena = &o->arena, .err = err };

	o->c.path = arena_printf(&o->arena, "%s", path);
	if (ini_parse(path, text, &o->arena, &l.ini, err) < 0 || fill_all(&l, st != NULL) < 0) {
		config_free(&o->c);
		return NULL;
	}
	if (l.secret && st && S_ISREG(st->st_mode) && (st->st_mode & S_IROTH))
		log_warning("a file with a secret can be read by others: chmod 600 it", "file",
			    path, NULL);
	return &o->c;
}

struct config *config_parse(const char *path, struct str text, struct error *err)
{
	return parse(path, text, NULL, err);
}

/* The whole file; its size is bounded before it is read. */
static int read_file(const char *path, struct buf *out, struct stat *st, struct error *err)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;

	if (fd < 0 || fstat(fd, st) < 0)
		return fail_exit(err, EXIT_USAGE, "cannot open the configuration %s: %s", path,
				 strerror(errno));
	while (got > 0) {
		char *p = buf_more(out, 65536);

		if (!p)
			return fail_exit(err, EXIT_USAGE,
					 "the configuration %s is larger than %zu MB", path,
					 FILE_MAX >> 20);
		got = read(fd, p, 65536);
		out->n += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		return fail_exit(err, EXIT_USAGE, "cannot read the configuration %s: %s", path,
				 strerror(errno));
	return 0;
}

struct config *config_load(const char *path, struct error *err)
{
	AUTO(buf) struct buf text = { .max = FILE_MAX };
	struct stat st = { 0 };

	if (read_file(path, &text, &st, err) < 0)
		return NULL;
	return parse(path, (struct str){ text.p, text.n }, &st, err);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	struct owned_config *o = (struct owned_config *)c;
	struct arena arena = o->arena;

	free(o);
	arena_free(&arena);
}

/* --- SIGHUP --- */

struct changes {
	struct buf *reloaded, *restart;
};

static void note_change(const struct changes *x, const char *section, const char *name,
			const char *key, unsigned flags)
{
	struct buf *b = flags & OPTION_RELOAD ? x->reloaded : x->restart;

	buf_addf(b, "%s[%s%s%s]%s%s", b->n ? ", " : "", section, name ? " " : "", name ? name : "",
		 key ? " " : "", key ? key : "");
}

static void note_changes(const struct changes *x, const char *section, const char *name,
			 const struct option *options, const void *a, const void *b)
{
	for (const struct option *o = options; o->name; o++)
		if (!option_same(o, a, b))
			note_change(x, section, name, o->name, o->flags);
}

static const struct sink_config *find_sink(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nsinks; i++)
		if (strcmp(c->sinks[i].name, name) == 0)
			return &c->sinks[i];
	return NULL;
}

static bool same_passed(const struct sink_config *a, const struct sink_config *b)
{
	bool same = a->npassed == b->npassed;

	for (size_t i = 0; same && i < a->npassed; i++)
		same = strcmp(a->passed[i].name, b->passed[i].name) == 0 &&
		       strcmp(a->passed[i].value, b->passed[i].value) == 0;
	return same;
}

void config_changes(const struct config *running, const struct config *fresh, struct buf *reloaded,
		    struct buf *restart)
{
	const struct changes x = { reloaded, restart };

	for (const struct section *s = sections; s->name; s++)
		note_changes(&x, s->name, NULL, s->options, (const char *)running + s->offset,
			     (const char *)fresh + s->offset);
	for (size_t i = 0; i < running->nsinks; i++) {
		const struct sink_config *a = &running->sinks[i], *b = find_sink(fresh, a->name);
		struct sink_head heads[2] = { { NULL, a->tables } };

		if (!b || a->type != b->type) {
			note_change(&x, "sink", a->name, NULL, 0);
			continue;
		}
		heads[1].tables = b->tables;
		note_changes(&x, "sink", a->name, sink_options, &heads[0], &heads[1]);
		note_changes(&x, "sink", a->name, a->type->options, a->settings, b->settings);
		if (!same_passed(a, b))
			note_change(&x, "sink", a->name, a->type->prefix, 0);
	}
	for (size_t i = 0; i < fresh->nsinks; i++)
		if (!find_sink(running, fresh->sinks[i].name))
			note_change(&x, "sink", fresh->sinks[i].name, NULL, 0);
}
