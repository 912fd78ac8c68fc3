/*
 * stopped.c - the tables that stopped at a sink, as they stand in its checkpoint
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "stopped.h"

static void push(struct stopped *s, char *name, const struct position *first, const char *reason)
{
	s->items = xrealloc(s->items, (s->n + 1) * sizeof *s->items);
	s->items[s->n++] =
		(struct stopped_table){ name, *first, reason ? xstrdup(reason) : NULL, -1 };
}

int stopped_parse(const char *json, struct stopped *out, struct error *err)
{
	json_error_t why;
	json_t *root = json ? json_loads(json, 0, &why) : NULL, *value;
	const char *name;
	int failed = 0;

	if (!json)
		return 0;
	if (!json_is_object(root)) {
		json_decref(root);
		return fail(err, ERR_FATAL,
			    "checkpoint's list of stopped tables is no JSON object: %s", json);
	}
	json_object_foreach(root, name, value)
	{
		struct position pos;

		if (failed)
			continue;
		if (!json_is_string(value) ||
		    position_parse(str_z(json_string_value(value)), &pos) < 0)
			failed =
				fail(err, ERR_FATAL,
				     "checkpoint's position of the stopped table %s is none", name);
		else
			push(out, xstrdup(name), &pos, NULL);
	}
	json_decref(root);
	return failed;
}

char *stopped_format(const struct stopped *s)
{
	struct buf out = { 0 };

	if (!s->n)
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		buf_addc(&out, i ? ',' : '{');
		buf_json(&out, str_z(s->items[i].name));
		buf_adds(&out, ":\"");
		position_format(&s->items[i].first, &out);
		buf_addc(&out, '"');
	}
	buf_addc(&out, '}');
	return buf_z(&out);
}

bool stopped_is(const struct stopped_table *s, const struct table *t)
{
	const char *name = s->name;

	return strncmp(name, t->schema.p, t->schema.n) == 0 && name[t->schema.n] == '.' &&
	       str_eqz(t->name, name + t->schema.n + 1);
}

const struct stopped_table *stopped_find(const struct stopped *s, const struct table *t)
{
	for (size_t i = 0; i < s->n; i++)
		if (stopped_is(&s->items[i], t))
			return &s->items[i];
	return NULL;
}

void stopped_add(struct stopped *s, const struct table *t, const struct position *first,
		 const char *reason)
{
	push(s, xasprintf("%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name)), first, reason);
}

void stopped_remove(struct stopped *s, size_t index)
{
	free(s->items[index].name);
	free(s->items[index].reason);
	s->n--;
	memmove(s->items + index, s->items + index + 1, (s->n - index) * sizeof *s->items);
}

void stopped_release(struct stopped *s)
{
	while (s->n)
		stopped_remove(s, s->n - 1);
	free(s->items);
	*s = (struct stopped){ 0 };
}
