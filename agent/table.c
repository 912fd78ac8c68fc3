/*
 * table.c - the registry of table versions, and patterns of table names
 *
 * Threads: versions are immutable and live as long as the registry; tables_by_id() and
 * tables_count() take no lock (slots are published with release order).  Defining and restoring
 * are under `lock`: the reader defines, any thread may restore from a schema record.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "table_definition.h"

#define CHUNK  1024 /* slots a chunk */
#define CHUNKS 1024 /* so ids are below 1048576 */

struct stored {
	struct table table; /* first: the rest of the program sees only this */
	struct arena arena; /* of its strings and columns */
	atomic_bool superseded;
	char *topic; /* sanitised: names that meet are found by it */
	struct table_names names;
};

struct chunk {
	_Atomic(struct stored *) slots[CHUNK];
};

struct note {
	struct note *next;
	enum table_note kind;
	char *schema, *name, *reason;
};

struct tables {
	struct tables_config config;
	pthread_mutex_t lock;
	struct note *notes;          /* under the lock */
	atomic_uint_least32_t count; /* the highest id */
	_Atomic(const char *) connector;
	_Atomic(struct chunk *) chunks[CHUNKS];
};

static struct stored *stored_by_id(const struct tables *t, uint32_t id)
{
	if (id >= CHUNK * CHUNKS)
		return NULL;
	struct chunk *c = atomic_load_explicit(&t->chunks[id / CHUNK], memory_order_acquire);

	return c ? atomic_load_explicit(&c->slots[id % CHUNK], memory_order_acquire) : NULL;
}

static void stored_free(struct stored *s)
{
	if (!s)
		return;
	avro_schemas_free(&s->table.schemas);
	arena_free(&s->arena);
	free(s->topic);
	free(s);
}

struct tables *tables_new(const struct tables_config *c)
{
	struct tables *t = xcalloc(1, sizeof *t);

	t->config = *c;
	atomic_init(&t->connector, c->connector);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void tables_free(struct tables *t)
{
	if (!t)
		return;
	for (uint32_t id = 1; id <= tables_count(t); id++)
		stored_free(stored_by_id(t, id));
	for (size_t i = 0; i < CHUNKS; i++)
		free(atomic_load(&t->chunks[i]));
	while (t->notes) {
		struct note *n = t->notes;

		t->notes = n->next;
		free(n->schema);
		free(n->name);
		free(n->reason);
		free(n);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const char *tables_connector(const struct tables *t)
{
	const char *connector = atomic_load(&t->connector);

	return connector ? connector : "";
}

void tables_set_connector(struct tables *t, const char *connector)
{
	atomic_store(&t->connector, connector);
}

/* What was stored knows more than the source before it has connected. */
static void adopt_connector(struct tables *t, const char *stored)
{
	static const char *const connectors[] = { "postgresql", "mysql", "mariadb" };

	for (size_t i = 0; i < COUNT(connectors); i++)
		if (strcmp(stored, connectors[i]) == 0)
			tables_set_connector(t, connectors[i]);
}

const struct tables_config *tables_names(const struct tables *t)
{
	return &t->config;
}

void tables_note(struct tables *t, enum table_note kind, struct str schema, struct str name,
		 const char *reason)
{
	struct note *n;

	pthread_mutex_lock(&t->lock);
	for (n = t->notes; n; n = n->next)
		if (n->kind == kind && str_eqz(schema, n->schema) && str_eqz(name, n->name))
			break;
	if (!n) {
		n = xcalloc(1, sizeof *n);
		n->kind = kind;
		n->schema = xstrndup(schema.p, schema.n);
		n->name = xstrndup(name.p, name.n);
		n->next = t->notes;
		t->notes = n;
	}
	free(n->reason);
	n->reason = xstrdup(reason);
	pthread_mutex_unlock(&t->lock);
}

void tables_forget_note(struct tables *t, enum table_note kind, struct str schema, struct str name)
{
	pthread_mutex_lock(&t->lock);
	for (struct note **p = &t->notes; *p; p = &(*p)->next) {
		struct note *n = *p;

		if (n->kind != kind || !str_eqz(schema, n->schema) || !str_eqz(name, n->name))
			continue;
		*p = n->next;
		free(n->schema);
		free(n->name);
		free(n->reason);
		free(n);
		break;
	}
	pthread_mutex_unlock(&t->lock);
}

void tables_each_note(struct tables *t,
		      void (*fn)(void *arg, enum table_note kind, struct str schema,
				 struct str name, const char *reason),
		      void *arg)
{
	pthread_mutex_lock(&t->lock);
	for (const struct note *n = t->notes; n; n = n->next)
		fn(arg, n->kind, str_z(n->schema), str_z(n->name), n->reason);
	pthread_mutex_unlock(&t->lock);
}

bool tables_superseded(const struct tables *t, uint32_t id)
{
	const struct stored *s = stored_by_id(t, id);

	return s && atomic_load(&s->superseded);
}

const struct table *tables_by_id(const struct tables *t, uint32_t id)
{
	const struct stored *s = stored_by_id(t, id);

	return s ? &s->table : NULL;
}

size_t tables_count(const struct tables *t)
{
	return atomic_load_explicit(&t->count, memory_order_acquire);
}

const struct table *tables_latest(const struct tables *t, struct str schema, struct str name)
{
	const struct table *latest = NULL;

	for (uint32_t id = 1; id <= tables_count(t); id++) {
		const struct table *v = tables_by_id(t, id);

		if (v && str_eq(v->schema, schema) && str_eq(v->name, name) &&
		    (!latest || v->version > latest->version))
			latest = v;
	}
	return latest;
}

static bool same_columns(const struct table *a, const struct table *b)
{
	if (a->ncolumns != b->ncolumns)
		return false;
	for (size_t i = 0; i < a->ncolumns; i++) {
		const struct column *x = &a->columns[i], *y = &b->columns[i];

		if (x->type != y->type || x->key != y->key || !str_eq(x->name, y->name) ||
		    !str_eq(x->native, y->native) ||
		    (x->type == COL_ARRAY && x->element != y->element) ||
		    x->precision != y->precision || x->scale != y->scale)
			return false;
	}
	return true;
}

static bool same_name(const struct table *a, const struct table *b)
{
	return str_eq(a->schema, b->schema) && str_eq(a->name, b->name);
}

/* Bit i: sink i wants it. */
static uint64_t route(const struct tables_config *c, const struct table *v)
{
	uint64_t sinks = 0;

	for (size_t i = 0; i < c->nsinks && i < 64; i++) {
		const struct list *patterns = c->sink_tables ? &c->sink_tables[i] : NULL;

		if (!patterns || patterns->n == 0 || patterns_match(patterns, v->schema, v->name))
			sinks |= UINT64_C(1) << i;
	}
	return sinks;
}

/* A stored copy of the draft's name and columns; id, version, schemas and definition are to come. */
static struct stored *stored_of(const struct table *draft)
{
	struct stored *s = xcalloc(1, sizeof *s);
	struct table *v = &s->table;

	v->schema = arena_copy(&s->arena, draft->schema);
	v->name = arena_copy(&s->arena, draft->name);
	v->ncolumns = draft->ncolumns;
	v->columns = arena_zalloc(&s->arena, v->ncolumns * sizeof *v->columns);
	for (size_t i = 0; i < v->ncolumns; i++) {
		struct column *c = &v->columns[i];

		*c = draft->columns[i];
		c->name = arena_copy(&s->arena, c->name);
		c->native = arena_copy(&s->arena, c->native);
	}
	return s;
}

/* Field names must stay apart after sanitising, also from the members of the flat form. */
static int check_columns(const struct table *v, struct error *err)
{
	static const char *const flat[] = { AVRO_FLAT_FIELDS };
	AUTO(buf) struct buf names = { 0 };
	size_t *at = xmalloc((v->ncolumns + 1) * sizeof *at);
	int failed = 0;

	for (size_t i = 0; i < v->ncolumns; i++) {
		at[i] = names.n;
		avro_name(v->columns[i].name, &names);
	}
	at[v->ncolumns] = names.n;
	for (size_t i = 0; i < v->ncolumns && !failed; i++) {
		struct str name = { names.p + at[i], at[i + 1] - at[i] };

		for (size_t k = 0; k < COUNT(flat) && !failed; k++)
			if (str_eqz(name, flat[k]))
				failed =
					fail_exit(err, EXIT_USAGE,
						  "column %.*s of table %.*s.%.*s has the reserved "
						  "name %s: rename it",
						  STR_FMT(v->columns[i].name), STR_FMT(v->schema),
						  STR_FMT(v->name), flat[k]);
		for (size_t k = 0; k < i && !failed; k++)
			if (str_eq(name, (struct str){ names.p + at[k], at[k + 1] - at[k] }))
				failed = fail_exit(
					err, EXIT_USAGE,
					"columns %.*s and %.*s of table %.*s.%.*s are both %.*s in "
					"Avro: rename one of them",
					STR_FMT(v->columns[k].name), STR_FMT(v->columns[i].name),
					STR_FMT(v->schema), STR_FMT(v->name), STR_FMT(name));
	}
	free(at);
	return failed;
}

static int fail_meeting(const struct table *a, const struct table *b, const char *topic,
			struct error *err)
{
	return fail_exit(err, EXIT_USAGE,
			 "tables %.*s.%.*s and %.*s.%.*s are both %s as a topic: leave one of them "
			 "out of [source] tables",
			 STR_FMT(a->schema), STR_FMT(a->name), STR_FMT(b->schema), STR_FMT(b->name),
			 topic);
}

static int check_topic(const struct tables *t, const struct stored *s, struct error *err)
{
	for (uint32_t id = 1; id <= tables_count(t); id++) {
		const struct stored *o = stored_by_id(t, id);

		if (o && strcmp(o->topic, s->topic) == 0 && !same_name(&o->table, &s->table))
			return fail_meeting(&o->table, &s->table, s->topic, err);
	}
	return 0;
}

static int by_topic(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return strcmp(x->topic, y->topic);
}

static int check_topics(struct stored *named, size_t n, struct error *err)
{
	qsort(named, n, sizeof *named, by_topic);
	for (size_t i = 1; i < n; i++) {
		const struct table *a = &named[i - 1].table, *b = &named[i].table;

		if (by_topic(&named[i - 1], &named[i]) == 0 && !same_name(a, b))
			return fail_meeting(a, b, named[i].topic, err);
	}
	return 0;
}

int tables_check_names(const struct tables *t, const struct table *drafts, size_t n,
		       struct error *err)
{
	struct stored *named = xcalloc(n, sizeof *named);
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		AUTO(buf) struct buf topic = { 0 };

		avro_topic(t->config.pipeline, drafts[i].schema, drafts[i].name, &topic);
		named[i].table = drafts[i];
		named[i].topic = xstrdup(buf_z(&topic));
		if (!failed)
			failed = check_columns(&drafts[i], err);
	}
	if (!failed)
		failed = check_topics(named, n, err);
	for (size_t i = 0; i < n; i++)
		free(named[i].topic);
	free(named);
	return failed;
}

static bool clash(uint64_t fp, const char *json, uint64_t other_fp, const char *other)
{
	return json && other && fp == other_fp && strcmp(json, other) != 0;
}

/* Has another version a schema with one of these fingerprints but other text? */
static bool schemas_clash(const struct tables *t, const struct table_schemas *a)
{
	for (uint32_t id = 1; id <= tables_count(t); id++) {
		const struct table *v = tables_by_id(t, id);
		const struct table_schemas *b = v ? &v->schemas : NULL;

		if (b && (clash(a->fp_key, a->key, b->fp_key, b->key) ||
			  clash(a->fp_row, a->row, b->fp_row, b->row) ||
			  clash(a->fp_envelope, a->envelope, b->fp_envelope, b->envelope) ||
			  clash(a->fp_flat, a->flat, b->fp_flat, b->flat)))
			return true;
	}
	return false;
}

static int make_schemas(struct stored *s, struct error *err)
{
	AUTO(buf) struct buf topic = { 0 };
	const struct table *v = &s->table;

	avro_topic(s->names.pipeline, v->schema, v->name, &topic);
	if (!s->topic)
		s->topic = xstrdup(buf_z(&topic));
	avro_schemas_free(&s->table.schemas);
	struct avro_names names = { s->topic, s->names.connector, s->names.suffix };

	return avro_schemas_make(v, &names, &s->table.schemas, err);
}

static int validate(const struct table_schemas *a, struct error *err)
{
	if ((a->key && avro_schema_validate(a->key, err) < 0) ||
	    avro_schema_validate(a->row, err) < 0 || avro_schema_validate(a->envelope, err) < 0 ||
	    avro_schema_validate(a->flat, err) < 0)
		return -1;
	return 0;
}

/* Of two versions of one table the lower is superseded. */
static void supersede(struct tables *t, struct stored *s)
{
	for (uint32_t id = 1; id <= tables_count(t); id++) {
		struct stored *o = stored_by_id(t, id);

		if (!o || o == s || !same_name(&o->table, &s->table))
			continue;
		atomic_store(o->table.version < s->table.version ? &o->superseded : &s->superseded,
			     true);
	}
}

static void publish(struct tables *t, struct stored *s)
{
	uint32_t id = s->table.id;

	supersede(t, s);
	struct chunk *c = atomic_load(&t->chunks[id / CHUNK]);

	if (!c) {
		c = xcalloc(1, sizeof *c);
		atomic_store_explicit(&t->chunks[id / CHUNK], c, memory_order_release);
	}
	atomic_store_explicit(&c->slots[id % CHUNK], s, memory_order_release);
	if (id > atomic_load(&t->count))
		atomic_store_explicit(&t->count, id, memory_order_release);
}

/* Everything that a new version needs beyond its columns. */
static int complete(struct tables *t, struct stored *s, struct error *err)
{
	struct table *v = &s->table;

	if (v->ncolumns > TABLE_COLUMNS_MAX || v->id >= CHUNK * CHUNKS)
		return fail(err, ERR_FATAL, "table %.*s.%.*s cannot get a version: %s",
			    STR_FMT(v->schema), STR_FMT(v->name),
			    v->ncolumns > TABLE_COLUMNS_MAX ? "too many columns"
							    : "too many versions");
	s->names.pipeline = t->config.pipeline ? t->config.pipeline : "";
	s->names.connector = tables_connector(t);
	s->names.database = t->config.database ? t->config.database : "";
	if (table_key_make(v, &s->arena, err) < 0 || check_columns(v, err) < 0 ||
	    make_schemas(s, err) < 0 || check_topic(t, s, err) < 0)
		return -1;
	if (schemas_clash(t, &v->schemas)) {
		s->names.suffix = v->version;
		if (make_schemas(s, err) < 0)
			return -1;
		if (schemas_clash(t, &v->schemas))
			return fail(
				err, ERR_FATAL,
				"version %u of table %.*s.%.*s has the Avro fingerprint of another "
				"table's schema: leave one of them out of [source] tables",
				v->version, STR_FMT(v->schema), STR_FMT(v->name));
	}
	if (validate(&v->schemas, err) < 0)
		return error_prefix(err, "table %.*s.%.*s", STR_FMT(v->schema), STR_FMT(v->name));
	v->definition = table_definition_make(v, &s->names, &s->arena, err);
	if (!v->definition.p)
		return -1;
	v->sinks = route(&t->config, v);
	return 0;
}

static const struct table *define(struct tables *t, const struct table *draft, struct error *err)
{
	unsigned version = 0;

	for (uint32_t id = 1; id <= tables_count(t); id++) {
		const struct table *v = tables_by_id(t, id);

		if (!v || !same_name(v, draft))
			continue;
		if (same_columns(v, draft))
			return v;
		version = v->version > version ? v->version : version;
	}
	struct stored *s = stored_of(draft);

	s->table.id = (uint32_t)tables_count(t) + 1;
	s->table.version = version + 1;
	if (complete(t, s, err) < 0) {
		stored_free(s);
		return NULL;
	}
	publish(t, s);
	return &s->table;
}

const struct table *tables_define(struct tables *t, const struct table *draft, struct error *err)
{
	pthread_mutex_lock(&t->lock);
	const struct table *v = define(t, draft, err);

	pthread_mutex_unlock(&t->lock);
	return v;
}

/* The version that is there already under s's id or under its name and number, if it is equal. */
static int find_restored(struct tables *t, const struct table *v, const struct table **found,
			 struct error *err)
{
	const struct table *old = tables_by_id(t, v->id);

	for (uint32_t id = 1; !old && id <= tables_count(t); id++) {
		const struct table *o = tables_by_id(t, id);

		if (o && o->version == v->version && same_name(o, v))
			old = o;
	}
	*found = old;
	if (old && (old->id != v->id || old->version != v->version || !same_name(old, v) ||
		    !same_columns(old, v)))
		return fail(err, ERR_FATAL,
			    "table version %" PRIu32
			    " is version %u of %.*s.%.*s here and version %u of "
			    "%.*s.%.*s there: state.db and the spool are not of one pipeline",
			    v->id, old->version, STR_FMT(old->schema), STR_FMT(old->name),
			    v->version, STR_FMT(v->schema), STR_FMT(v->name));
	return 0;
}

static int restore(struct tables *t, struct stored *s, struct str definition,
		   const struct table **found, struct error *err)
{
	struct table *v = &s->table;

	if (table_definition_parse(definition, &s->arena, v, &s->names, err) < 0 ||
	    find_restored(t, v, found, err) < 0)
		return -1;
	if (*found)
		return 0;
	if (v->id >= CHUNK * CHUNKS)
		return fail(err, ERR_FATAL, "table version %" PRIu32 " is out of range", v->id);
	if (check_columns(v, err) < 0 || make_schemas(s, err) < 0 || check_topic(t, s, err) < 0)
		return -1;
	v->definition = arena_copy(&s->arena, definition);
	v->sinks = route(&t->config, v);
	return 0;
}

const struct table *tables_restore(struct tables *t, struct str definition, struct error *err)
{
	struct stored *s = xcalloc(1, sizeof *s);
	const struct table *found = NULL;

	pthread_mutex_lock(&t->lock);
	if (restore(t, s, definition, &found, err) < 0) {
		stored_free(s);
		s = NULL;
	} else if (found) {
		stored_free(s);
	} else {
		publish(t, s);
		adopt_connector(t, s->names.connector);
		found = &s->table;
	}
	pthread_mutex_unlock(&t->lock);
	return s ? found : NULL;
}

/* Length of the character at p: a `?` stands for a whole one. */
static size_t char_length(const char *p, const char *end)
{
	size_t n = 1;

	while (p + n < end && ((uint8_t)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Does the glob (`*`, `?`) match all of the text?  Goes back to the last star only. */
static bool glob_match(struct str glob, struct str text)
{
	const char *g = glob.p, *gend = g + glob.n, *p = text.p, *end = p + text.n;
	const char *star = NULL, *mark = NULL;

	while (p < end) {
		if (g < gend && *g == '*') {
			star = ++g;
			mark = p;
		} else if (g < gend && *g == '?') {
			g++;
			p += char_length(p, end);
		} else if (g < gend && *g == *p) {
			g++;
			p++;
		} else if (star) {
			g = star;
			p = ++mark;
		} else {
			return false;
		}
	}
	while (g < gend && *g == '*')
		g++;
	return g == gend;
}

bool patterns_match(const struct list *patterns, struct str schema, struct str name)
{
	AUTO(buf) struct buf full = { 0 };
	bool match = false;

	buf_add(&full, schema.p, schema.n);
	buf_addc(&full, '.');
	buf_add(&full, name.p, name.n);
	for (size_t i = 0; patterns && i < patterns->n; i++) {
		const char *p = patterns->items[i];
		bool leave_out = *p == '!';

		p += leave_out;
		while (*p == ' ')
			p++;
		if (glob_match(str_z(p), strchr(p, '.') ? (struct str){ full.p, full.n } : name))
			match = !leave_out;
	}
	return match;
}
