/*
 * loading.c - the tables that a sink is getting loaded, as they stand in its checkpoint
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "loading.h"

int loading_parse(const char *json, struct loading *out, struct error *err)
{
	json_error_t why;
	json_t *root = json ? json_loads(json, 0, &why) : NULL, *value;
	int failed = 0;
	size_t i;

	if (!json)
		return 0;
	if (!json_is_array(root))
		failed =
			fail(err, ERR_FATAL,
			     "checkpoint's list of tables being loaded is no JSON array: %s", json);
	json_array_foreach(root, i, value)
	{
		if (!json_is_string(value)) {
			failed = fail(err, ERR_FATAL,
				      "checkpoint's list of tables being loaded holds what is no "
				      "name: %s",
				      json);
			break;
		}
		loading_add_name(out, str_z(json_string_value(value)));
	}
	json_decref(root);
	if (failed)
		loading_release(out);
	return failed;
}

char *loading_format(const struct loading *l)
{
	struct buf out = { 0 };

	if (!l->n)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		buf_addc(&out, i ? ',' : '[');
		buf_json(&out, str_z(l->names[i]));
	}
	buf_addc(&out, ']');
	return buf_z(&out);
}

static bool names(const char *text, const struct table *t)
{
	struct str s = str_z(text);

	return s.n == t->schema.n + 1 + t->name.n && memcmp(s.p, t->schema.p, t->schema.n) == 0 &&
	       s.p[t->schema.n] == '.' && memcmp(s.p + t->schema.n + 1, t->name.p, t->name.n) == 0;
}

bool loading_has(const struct loading *l, const struct table *t)
{
	bool found = l && l->never;

	for (size_t i = 0; l && !found && i < l->n; i++)
		found = names(l->names[i], t);
	return found;
}

void loading_add_name(struct loading *l, struct str name)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eqz(name, l->names[i]))
			return;
	l->names = xrealloc(l->names, (l->n + 1) * sizeof *l->names);
	l->names[l->n++] = xstrndup(name.p, name.n);
}

void loading_add(struct loading *l, struct str schema, struct str name)
{
	AUTO(free) char *text = xasprintf("%.*s.%.*s", STR_FMT(schema), STR_FMT(name));

	loading_add_name(l, str_z(text));
}

void loading_remove_name(struct loading *l, struct str name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!str_eqz(name, l->names[i]))
			continue;
		free(l->names[i]);
		l->n--;
		memmove(l->names + i, l->names + i + 1, (l->n - i) * sizeof *l->names);
		return;
	}
}

void loading_remove(struct loading *l, struct str schema, struct str name)
{
	AUTO(free) char *text = xasprintf("%.*s.%.*s", STR_FMT(schema), STR_FMT(name));

	loading_remove_name(l, str_z(text));
}

void loading_release(struct loading *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	l->names = NULL;
	l->n = 0;
}
