/*
 * mysql_history.c - which definition a table had at which place of the log
 *
 * A table's value in state.db: [{"from":"1/3/4D2/0","read":null,"definition":{...}}, ...], oldest first; `read` as
 * in struct mysql_version; a definition that is not known is null.  The value of the first start:
 * {"from":"...","tables":[{...}, ...]}.
 */
#include <jansson.h>
#include <stdlib.h>

#include "mysql_history.h"

#define BUCKETS 1024
#define START   "mysql.tables"

struct version {
	struct mysql_version v;
	struct mysql_table definition;
	struct arena arena;
};

struct past {
	struct past *next;
	char *db, *table;
	struct version **versions; /* by their places, ascending */
	size_t n;
	bool loaded;  /* what state.db has is here */
	bool started; /* it was there at the first start */
};

struct mysql_history {
	struct state *state;
	struct past *buckets[BUCKETS];
};

struct mysql_history *mysql_history_new(void)
{
	return xcalloc(1, sizeof(struct mysql_history));
}

static void version_free(struct version *v)
{
	arena_free(&v->arena);
	free(v);
}

void mysql_history_free(struct mysql_history *h)
{
	for (size_t i = 0; h && i < BUCKETS; i++) {
		while (h->buckets[i]) {
			struct past *p = h->buckets[i];

			h->buckets[i] = p->next;
			for (size_t k = 0; k < p->n; k++)
				version_free(p->versions[k]);
			free(p->versions);
			free(p->db);
			free(p->table);
			free(p);
		}
	}
	free(h);
}

/* --- in memory --- */

static struct past *past_of(struct mysql_history *h, struct str db, struct str table)
{
	uint32_t hash = 5381;

	for (size_t i = 0; i < db.n + table.n; i++)
		hash = hash * 33 + (uint8_t)(i < db.n ? db.p[i] : table.p[i - db.n]);
	struct past **at = &h->buckets[hash % BUCKETS];

	for (; *at; at = &(*at)->next)
		if (str_eqz(db, (*at)->db) && str_eqz(table, (*at)->table))
			return *at;
	*at = xcalloc(1, sizeof **at);
	(*at)->db = xstrndup(db.n ? db.p : "", db.n);
	(*at)->table = xstrndup(table.n ? table.p : "", table.n);
	return *at;
}

static void insert(struct past *p, struct version *v)
{
	size_t i = p->n;

	while (i > 0 && position_cmp(&p->versions[i - 1]->v.from, &v->v.from) > 0)
		i--;
	if (i > 0 && position_cmp(&p->versions[i - 1]->v.from, &v->v.from) == 0) {
		version_free(p->versions[i - 1]);
		p->versions[i - 1] = v;
		return;
	}
	p->versions = xrealloc(p->versions, (p->n + 1) * sizeof(struct version *));
	memmove(p->versions + i + 1, p->versions + i, (p->n - i) * sizeof(struct version *));
	p->versions[i] = v;
	p->n++;
}

static struct version *version_of(const struct mysql_version *v, struct error *err)
{
	struct version *out = xcalloc(1, sizeof *out);
	AUTO(buf) struct buf json = { 0 };

	out->v = *v;
	if (!v->definition)
		return out;
	mysql_table_json(v->definition, &json);
	out->v.definition = &out->definition;
	if (mysql_table_parse((struct str){ json.p, json.n }, &out->arena, &out->definition, err)) {
		version_free(out);
		return NULL;
	}
	return out;
}

/* --- in state.db --- */

static int fail_damaged(const char *name, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "the definitions kept in state.db as %s are damaged, or of another version",
		    name);
}

/* Names are quoted: a dot may be part of one. */
static char *key_of(const struct past *p)
{
	AUTO(buf) struct buf key = { 0 };
	const char *names[] = { p->db, p->table };

	buf_adds(&key, "mysql.table");
	for (size_t i = 0; i < 2; i++) {
		buf_adds(&key, ".`");
		for (const char *c = names[i]; *c; c++) {
			if (*c == '`')
				buf_addc(&key, '`');
			buf_addc(&key, *c);
		}
		buf_addc(&key, '`');
	}
	return xstrdup(buf_z(&key));
}

static bool place_of(json_t *from, struct position *out)
{
	return json_is_string(from) &&
	       position_parse((struct str){ json_string_value(from), json_string_length(from) },
			      out) == 0;
}

/* A definition's JSON, `from` there; NULL: damaged. */
static struct version *take_version(json_t *definition, struct error *err)
{
	struct version *out = xcalloc(1, sizeof *out);

	if (json_is_null(definition))
		return out;
	AUTO(free) char *text = json_dumps(definition, JSON_COMPACT);

	out->v.definition = &out->definition;
	if (text && mysql_table_parse(str_z(text), &out->arena, &out->definition, err) == 0)
		return out;
	version_free(out);
	return NULL;
}

static int take_versions(struct past *p, json_t *all, const char *name, struct error *err)
{
	if (!json_is_array(all))
		return fail_damaged(name, err);
	for (size_t i = 0; i < json_array_size(all); i++) {
		json_t *one = json_array_get(all, i), *read = json_object_get(one, "read");
		struct version *v = take_version(json_object_get(one, "definition"), err);

		if (!v)
			return error_prefix(err, "%s", name);
		if (!place_of(json_object_get(one, "from"), &v->v.from) ||
		    (!json_is_null(read) && !place_of(read, &v->v.read))) {
			version_free(v);
			return fail_damaged(name, err);
		}
		insert(p, v);
	}
	return 0;
}

static int load(struct mysql_history *h, struct past *p, struct error *err)
{
	AUTO(free) char *key = key_of(p);
	AUTO(free) char *text = NULL;

	if (p->loaded)
		return 0;
	if (h->state && state_get(h->state, key, &text, err))
		return -1;
	if (text) {
		json_t *all = json_loads(text, 0, NULL);
		int rc = take_versions(p, all, key, err);

		json_decref(all);
		if (rc)
			return -1;
	}
	p->loaded = true;
	return 0;
}

static void version_json(const struct mysql_version *v, struct buf *out)
{
	char text[POSITION_TEXT];

	buf_addf(out, "{\"from\":\"%s\",\"read\":", position_text(&v->from, text));
	if (v->read.file)
		buf_addf(out, "\"%s\"", position_text(&v->read, text));
	else
		buf_adds(out, "null");
	buf_adds(out, ",\"definition\":");
	if (v->definition)
		mysql_table_json(v->definition, out);
	else
		buf_adds(out, "null");
	buf_addc(out, '}');
}

/* That nothing is known need not be kept, where it ends nothing that was. */
static int store(struct mysql_history *h, const struct past *p, struct error *err)
{
	AUTO(free) char *key = key_of(p);
	AUTO(buf) struct buf json = { 0 };
	bool nothing =
		*p->table && !p->started && p->n <= 1 && (!p->n || !p->versions[0]->v.definition);

	if (!h->state)
		return 0;
	buf_addc(&json, '[');
	for (size_t i = 0; i < p->n; i++) {
		if (i)
			buf_addc(&json, ',');
		version_json(&p->versions[i]->v, &json);
	}
	buf_addc(&json, ']');
	return state_put(h->state, key, nothing ? NULL : buf_z(&json), err);
}

/* --- the first start --- */

static int take_start(struct mysql_history *h, json_t *all, struct error *err)
{
	json_t *tables = json_object_get(all, "tables");
	struct position from;

	if (!place_of(json_object_get(all, "from"), &from) || !json_is_array(tables))
		return fail_damaged(START, err);
	for (size_t i = 0; i < json_array_size(tables); i++) {
		struct version *v = take_version(json_array_get(tables, i), err);

		if (!v || !v->v.definition) {
			if (v)
				version_free(v);
			return fail_damaged(START, err);
		}
		v->v.from = from;
		struct past *p = past_of(h, v->definition.schema, v->definition.name);

		p->started = true;
		insert(p, v);
	}
	return 0;
}

int mysql_history_open(struct mysql_history *h, struct state *state, struct error *err)
{
	AUTO(free) char *text = NULL;

	h->state = state;
	if (!state)
		return 0;
	if (state_get(state, START, &text, err))
		return -1;
	if (!text)
		return 0;
	json_t *all = json_loads(text, 0, NULL);
	int rc = take_start(h, all, err);

	json_decref(all);
	return rc;
}

int mysql_history_start(struct mysql_history *h, const struct position *from,
			const struct mysql_table *tables, const bool *wanted, size_t n,
			struct error *err)
{
	AUTO(buf) struct buf json = { 0 };
	char text[POSITION_TEXT];
	const char *comma = "";

	buf_addf(&json, "{\"from\":\"%s\",\"tables\":[", position_text(from, text));
	for (size_t i = 0; i < n; i++) {
		if (!wanted[i] || (!tables[i].columns && !tables[i].sequence))
			continue;
		struct mysql_version like = { .from = *from, .definition = &tables[i] };
		struct version *v = version_of(&like, err);

		if (!v)
			return -1;
		struct past *p = past_of(h, tables[i].schema, tables[i].name);

		p->started = true;
		insert(p, v);
		buf_adds(&json, comma);
		mysql_table_json(&tables[i], &json);
		comma = ",";
	}
	buf_adds(&json, "]}");
	return h->state ? state_put(h->state, START, buf_z(&json), err) : 0;
}

/* --- use --- */

static struct version *find(const struct past *p, const struct position *at)
{
	for (size_t i = p->n; i > 0; i--)
		if (position_cmp(&p->versions[i - 1]->v.from, at) <= 0)
			return p->versions[i - 1];
	return NULL;
}

int mysql_history_at(struct mysql_history *h, struct str db, struct str table,
		     const struct position *at, struct mysql_version *out, struct error *err)
{
	struct past *p = past_of(h, db, table);

	if (load(h, p, err))
		return -1;
	const struct version *v = find(p, at);

	if (v)
		*out = v->v;
	return v != NULL;
}

void mysql_history_used(struct mysql_history *h, struct str db, struct str table,
			const struct position *at)
{
	struct version *v = find(past_of(h, db, table), at);

	if (v)
		v->v.used = true;
}

int mysql_history_put(struct mysql_history *h, struct str db, struct str table,
		      const struct mysql_version *v, struct error *err)
{
	struct past *p = past_of(h, db, table);

	if (load(h, p, err))
		return -1;
	struct version *copy = version_of(v, err);

	if (!copy)
		return -1;
	insert(p, copy);
	return store(h, p, err);
}

static int prune(struct mysql_history *h, struct past *p, const struct position *upto,
		 struct error *err)
{
	size_t keep = p->n;

	while (keep > 0 && position_cmp(&p->versions[keep - 1]->v.from, upto) > 0)
		keep--;
	if (keep <= 1)
		return 0;
	keep--;
	for (size_t i = 0; i < keep; i++)
		version_free(p->versions[i]);
	p->n -= keep;
	memmove(p->versions, p->versions + keep, p->n * sizeof(struct version *));
	return store(h, p, err);
}

int mysql_history_prune(struct mysql_history *h, const struct position *upto, struct error *err)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct past *p = h->buckets[i]; p; p = p->next)
			if (p->n > 1 && (load(h, p, err) || prune(h, p, upto, err)))
				return -1;
	return 0;
}
