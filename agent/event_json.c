/*
 * event_json.c - an event as JSON, for people and scripts (INTERFACE.md, "JSON", events)
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "avro.h"
#include "value_text.h"

static void put_name(struct buf *out, const char *name)
{
	buf_addf(out, ",\"%s\":", name);
}

static void put_text(struct buf *out, struct str text)
{
	if (text.p)
		buf_json(out, text);
	else
		buf_adds(out, "null");
}

static int put_key(struct buf *out, const struct event *e, struct arena *arena, struct error *err)
{
	const struct table *t = e->table;

	if (!e->key.p) {
		buf_adds(out, "null");
		return 0;
	}
	struct value *key = arena_zalloc(arena, t->nkey * sizeof *key);

	if (avro_get_key(e->key, t, arena, key, err) < 0)
		return -1;
	for (size_t k = 0; k < t->nkey; k++) {
		const struct column *c = &t->columns[t->key[k]];

		buf_addc(out, k ? ',' : '{');
		buf_json(out, c->name);
		buf_addc(out, ':');
		value_json(out, c, &key[k]);
	}
	buf_addc(out, '}');
	return 0;
}

/* One image of an event and what does not fit into it. */
struct image {
	struct str row, absent, unrepresentable;
	struct value *values; /* NULL: no image */
};

static int get_image(struct image *m, const struct table *t, struct arena *arena, struct error *err)
{
	if (!m->row.p)
		return 0;
	m->values = arena_zalloc(arena, t->ncolumns * sizeof *m->values);
	return avro_get_row(m->row, t, m->absent, m->unrepresentable, arena, m->values, err);
}

static void put_image(struct buf *out, const struct image *m, const struct table *t)
{
	bool first = true;

	if (!m->values) {
		buf_adds(out, "null");
		return;
	}
	buf_addc(out, '{');
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (m->values[i].state == VALUE_ABSENT)
			continue;
		if (!first)
			buf_addc(out, ',');
		first = false;
		buf_json(out, t->columns[i].name);
		buf_addc(out, ':');
		value_json(out, &t->columns[i], &m->values[i]);
	}
	buf_addc(out, '}');
}

/* Columns in one state: an array of names, or with their texts an object; null if there is none. */
static void put_columns(struct buf *out, const struct image *m, const struct table *t,
			enum value_state state)
{
	bool texts = state == VALUE_UNREPRESENTABLE;
	size_t n = 0;

	for (size_t i = 0; m->values && i < t->ncolumns; i++) {
		if (m->values[i].state != state)
			continue;
		buf_addc(out, n++ ? ',' : texts ? '{' : '[');
		buf_json(out, t->columns[i].name);
		if (texts) {
			buf_addc(out, ':');
			buf_json(out, m->values[i].s);
		}
	}
	if (n)
		buf_addc(out, texts ? '}' : ']');
	else
		buf_adds(out, "null");
}

/* A message has no table: its prefix and content stand as its row. */
static void put_message(struct buf *out, const struct event *e)
{
	put_name(out, "key");
	buf_adds(out, "null");
	put_name(out, "before");
	buf_adds(out, "null");
	put_name(out, "after");
	buf_adds(out, "{\"prefix\":");
	buf_json(out, e->prefix);
	buf_adds(out, ",\"content\":\"");
	value_base64(out, e->content);
	buf_adds(out, "\"},\"absent\":null,\"absent_before\":null,\"unrepresentable\":null,"
		      "\"unrepresentable_before\":null");
}

static int put_row(struct buf *out, const struct event *e, struct arena *arena, struct error *err)
{
	const struct table *t = e->table;
	struct image before = { e->before, e->absent_before, e->unrepresentable_before, NULL };
	struct image after = { e->after, e->absent, e->unrepresentable, NULL };

	put_name(out, "key");
	if (put_key(out, e, arena, err) < 0 || get_image(&before, t, arena, err) < 0 ||
	    get_image(&after, t, arena, err) < 0)
		return -1;
	put_name(out, "before");
	put_image(out, &before, t);
	put_name(out, "after");
	put_image(out, &after, t);
	put_name(out, "absent");
	put_columns(out, &after, t, VALUE_ABSENT);
	put_name(out, "absent_before");
	put_columns(out, &before, t, VALUE_ABSENT);
	put_name(out, "unrepresentable");
	put_columns(out, &after, t, VALUE_UNREPRESENTABLE);
	put_name(out, "unrepresentable_before");
	put_columns(out, &before, t, VALUE_UNREPRESENTABLE);
	return 0;
}

int event_json(struct buf *out, const struct event *e, struct error *err)
{
	AUTO(arena) struct arena arena = { 0 };
	struct str none = { NULL, 0 };
	char op[2] = { event_op(e), 0 };
	size_t start = out->n;

	if (!op[0])
		return 0;
	buf_adds(out, "{\"position\":\"");
	position_format(&e->pos, out);
	buf_addf(out, "\",\"op\":\"%s\"", op);
	put_name(out, "schema");
	put_text(out, e->table ? e->table->schema : none);
	put_name(out, "table");
	put_text(out, e->table ? e->table->name : none);
	put_name(out, "version");
	if (e->table)
		buf_addf(out, "%u", e->table->version);
	else
		buf_adds(out, "null");
	buf_addf(out, ",\"txid\":%" PRIu64 ",\"ts_us\":%" PRId64 ",\"snapshot\":%s", e->xid,
		 e->commit_us, e->op == CHANGE_READ ? "true" : "false");
	if (!e->table) {
		put_message(out, e);
	} else if (put_row(out, e, &arena, err) < 0) {
		out->n = start;
		return -1;
	}
	buf_addc(out, '}');
	return 0;
}
