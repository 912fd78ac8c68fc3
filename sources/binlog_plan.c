/*
 * binlog_plan.c - how the rows of a table map are read, compiled once for each content of a map
 */
#include <stdlib.h>

#include "binlog_plan.h"

#define ROOM_FIRST 256

/* FNV-1a over words: maps are some hundred bytes and looked up once a statement. */
static uint64_t hash_of(struct str s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325), word;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		memcpy(&word, s.p + i, 8);
		h = (h ^ word) * UINT64_C(0x100000001b3);
		h ^= h >> 29;
	}
	for (; i < s.n; i++)
		h = (h ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void plan_free(struct binlog_plan *plan)
{
	arena_free(&plan->arena);
	free(plan);
}

void binlog_plans_free(struct binlog_plans *p)
{
	binlog_plans_forget(p, NULL, NULL);
	free(p->buckets);
	p->buckets = NULL;
	p->room = 0;
}

void binlog_plans_forget(struct binlog_plans *p, const struct str *db, const struct str *table)
{
	p->last = NULL;
	for (size_t i = 0; i < p->room; i++) {
		struct binlog_plan **at = &p->buckets[i];

		while (*at) {
			struct binlog_plan *plan = *at;

			if ((db && !str_eq(plan->db, *db)) ||
			    (table && !str_eq(plan->name, *table))) {
				at = &plan->next;
				continue;
			}
			*at = plan->next;
			p->n--;
			plan_free(plan);
		}
	}
}

static void grow(struct binlog_plans *p)
{
	size_t room = p->room ? p->room * 2 : ROOM_FIRST;
	struct binlog_plan **buckets = xcalloc(room, sizeof *buckets);

	for (size_t i = 0; i < p->room; i++) {
		struct binlog_plan *plan = p->buckets[i], *next;

		for (; plan; plan = next) {
			next = plan->next;
			plan->next = buckets[plan->hash % room];
			buckets[plan->hash % room] = plan;
		}
	}
	free(p->buckets);
	p->buckets = buckets;
	p->room = room;
}

/* Does the map leave open what a definition must say? */
static bool needs_definition(const struct binlog_map *m, bool mariadb)
{
	if (!m->has_names || !m->has_signedness)
		return true;
	for (size_t i = 0; i < m->ncolumns; i++) {
		if (binlog_field_ambiguous(m, i, mariadb))
			return true;
	}
	return false;
}

static int find_definition(struct binlog_plans *p, const struct binlog_map *m,
			   const struct position *at, bool mariadb, const struct mysql_table **out,
			   struct error *err)
{
	const struct binlog_catalog *catalog = &p->config->catalog;

	*out = NULL;
	if (!needs_definition(m, mariadb))
		return 0;
	int found = catalog->definition(catalog->ctx, at, m, out, err);

	if (found > 0)
		return 0;
	if (found == 0)
		err->kind = ERR_FATAL;
	return -1;
}

/* The definition's column for column i: by name where the map has names, otherwise by place. */
static const struct mysql_column *column_of(const struct mysql_table *def,
					    const struct binlog_map *m, size_t i)
{
	if (!def)
		return NULL;
	if (!m->has_names)
		return i < def->ncolumns ? &def->columns[i] : NULL;
	for (size_t j = 0; j < def->ncolumns; j++) {
		if (str_eq(def->columns[j].name, m->columns[i].name))
			return &def->columns[j];
	}
	return NULL;
}

/* The server's own column of a long UNIQUE index: in the log, in no table that anybody sees. */
static bool is_row_hash(const struct column *c)
{
	static const char prefix[] = "DB_ROW_HASH_";
	size_t n = sizeof prefix - 1;

	return c->name.n > n && memcmp(c->name.p, prefix, n) == 0;
}

/*
 * MySQL 8.0.13 to 8.0.17: what serves an index over an expression, named by an MD5, is in maps and never in rows.  (A
 * column of the user's with such a name is in rows: binlog_rows_decode() sees that.)
 */
static bool is_expression(const struct column *c, uint32_t version)
{
	size_t n = 0;

	if (version < 8000013 || version > 8000017 || c->name.n != 32)
		return false;
	while (n < 32 && memchr("0123456789abcdef", c->name.p[n], 16))
		n++;
	return n == 32;
}

void binlog_plan_draft(struct str db, struct str name, struct column *columns, size_t n,
		       bool mariadb, uint32_t version, uint16_t *place, struct arena *a,
		       struct table *out)
{
	uint16_t *key = arena_zalloc(a, n * sizeof *key);

	*out = (struct table){ .schema = db, .name = name, .columns = columns, .key = key };
	for (size_t i = 0; i < n; i++) {
		bool hidden =
			mariadb ? is_row_hash(&columns[i]) : is_expression(&columns[i], version);

		place[i] = hidden ? PLAN_HIDDEN : (uint16_t)out->ncolumns;
		if (!hidden)
			columns[out->ncolumns++] = columns[i];
	}
	for (size_t i = 0; i < out->ncolumns; i++) {
		if (columns[i].key > 0 && (size_t)columns[i].key <= out->ncolumns) {
			key[columns[i].key - 1] = (uint16_t)i;
			out->nkey++;
		}
	}
}

static int compile(struct binlog_plans *p, struct binlog_plan *plan, const struct binlog_map *m,
		   const struct position *at, const struct binlog_format *format, bool mariadb,
		   struct error *err)
{
	/* MySQL before 8.0 prints the double 1 of a document as 1. */
	bool old = !mariadb && format->server[0] == '5';
	const struct mysql_table *def;
	struct arena *a = &plan->arena;

	if (find_definition(p, m, at, mariadb, &def, err))
		return -1;
	struct column *columns = arena_zalloc(a, m->ncolumns * sizeof *columns);

	plan->ncolumns = m->ncolumns;
	plan->fields = arena_zalloc(a, m->ncolumns * sizeof *plan->fields);
	for (size_t i = 0; i < m->ncolumns; i++) {
		if (binlog_field_make(m, i, column_of(def, m, i), p->config->invalid_bytes, a,
				      &columns[i], &plan->fields[i], err))
			return -1;
		plan->fields[i].json_bare = old;
	}
	struct table draft;

	plan->place = arena_zalloc(a, m->ncolumns * sizeof *plan->place);
	binlog_plan_draft(m->db, m->name, columns, m->ncolumns, mariadb, format->version,
			  plan->place, a, &draft);
	plan->plain = draft.ncolumns == m->ncolumns;
	plan->expressions = !mariadb && !plan->plain;
	plan->table = tables_define(p->config->tables, &draft, err);
	return plan->table ? 0 : -1;
}

static struct binlog_plan *plan_make(struct binlog_plans *p, const struct binlog_event *e,
				     const struct binlog_format *format, const struct position *at,
				     bool mariadb, struct error *err)
{
	struct binlog_plan *plan = xcalloc(1, sizeof *plan);
	struct binlog_event copy = *e;
	struct binlog_map m;
	const struct binlog_catalog *catalog = &p->config->catalog;

	copy.body = arena_copy(&plan->arena, e->body);
	if (binlog_map_peek(&copy, format, &m, err)) {
		plan_free(plan);
		return NULL;
	}
	plan->content = m.content;
	plan->hash = hash_of(m.content);
	plan->db = m.db;
	plan->name = m.name;
	if (catalog->selected(catalog->ctx, m.db, m.name) &&
	    (binlog_map_parse(&copy, format, &plan->arena, &m, err) ||
	     compile(p, plan, &m, at, format, mariadb, err))) {
		plan_free(plan);
		return NULL;
	}
	if (p->n >= p->room)
		grow(p);
	plan->next = p->buckets[plan->hash % p->room];
	p->buckets[plan->hash % p->room] = plan;
	p->n++;
	return plan;
}

struct binlog_plan *binlog_plan_find(struct binlog_plans *p, const struct binlog_event *e,
				     const struct binlog_format *format, const struct position *at,
				     bool mariadb, struct error *err)
{
	struct binlog_map m;

	if (binlog_map_peek(e, format, &m, err))
		return NULL;
	if (p->last && str_eq(p->last->content, m.content))
		return p->last;
	uint64_t hash = hash_of(m.content);

	for (struct binlog_plan *plan = p->room ? p->buckets[hash % p->room] : NULL; plan;
	     plan = plan->next) {
		if (plan->hash == hash && str_eq(plan->content, m.content))
			return p->last = plan;
	}
	return p->last = plan_make(p, e, format, at, mariadb, err);
}
