/*
 * table_definition.c - a table version as JSON and back
 *
 *	{"format":1,"id":7,"version":2,"suffix":0,"pipeline":"erp","connector":"postgresql",
 *	 "database":"erp","schema":"public","table":"customer","columns":[{"name":"id","type":"int64",
 *	 "native":"bigint","native_id":20,"native_mod":-1,"nullable":false,"key":1}, ...]}
 *
 * "precision" and "scale" stand at decimals, "element" at arrays.  `format` also numbers the way in
 * which Avro schemas are made of a definition: changing either is a new number.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "table_definition.h"

#define FORMAT 1

static const char *const type_names[] = {
	[COL_BOOL] = "bool",
	[COL_INT32] = "int32",
	[COL_INT64] = "int64",
	[COL_UINT64] = "uint64",
	[COL_FLOAT] = "float",
	[COL_DOUBLE] = "double",
	[COL_DECIMAL] = "decimal",
	[COL_TEXT] = "text",
	[COL_BYTES] = "bytes",
	[COL_DATE] = "date",
	[COL_TIME] = "time",
	[COL_TIMESTAMP] = "timestamp",
	[COL_TIMESTAMPTZ] = "timestamptz",
	[COL_UUID] = "uuid",
	[COL_JSON] = "json",
	[COL_ARRAY] = "array",
};

static json_t *column_json(const struct column *c)
{
	json_t *o = json_object();
	bool decimal =
		c->type == COL_DECIMAL || (c->type == COL_ARRAY && c->element == COL_DECIMAL);

	json_object_set_new(o, "name", json_stringn(c->name.p, c->name.n));
	json_object_set_new(o, "type", json_string(type_names[c->type]));
	if (c->type == COL_ARRAY)
		json_object_set_new(o, "element", json_string(type_names[c->element]));
	if (decimal) {
		json_object_set_new(o, "precision", json_integer(c->precision));
		json_object_set_new(o, "scale", json_integer(c->scale));
	}
	json_object_set_new(o, "native", json_stringn(c->native.n ? c->native.p : "", c->native.n));
	json_object_set_new(o, "native_id", json_integer(c->native_id));
	json_object_set_new(o, "native_mod", json_integer(c->native_mod));
	json_object_set_new(o, "nullable", json_boolean(c->nullable));
	json_object_set_new(o, "key", json_integer(c->key));
	/* A string that is not UTF-8 was refused by jansson: then the object lacks it. */
	if (!json_object_get(o, "name") || !json_object_get(o, "native")) {
		json_decref(o);
		return NULL;
	}
	return o;
}

struct str table_definition_make(const struct table *t, const struct table_names *names,
				 struct arena *arena, struct error *err)
{
	json_t *columns = json_array();
	json_t *o = json_pack("{si si si si ss ss ss}", "format", FORMAT, "id", (int)t->id,
			      "version", (int)t->version, "suffix", (int)names->suffix, "pipeline",
			      names->pipeline ? names->pipeline : "", "connector",
			      names->connector ? names->connector : "", "database",
			      names->database ? names->database : "");
	bool valid = o != NULL;

	json_object_set_new(o, "schema", json_stringn(t->schema.n ? t->schema.p : "", t->schema.n));
	json_object_set_new(o, "table", json_stringn(t->name.n ? t->name.p : "", t->name.n));
	valid = valid && json_object_get(o, "schema") && json_object_get(o, "table");
	for (size_t i = 0; valid && i < t->ncolumns; i++)
		valid = json_array_append_new(columns, column_json(&t->columns[i])) == 0;
	json_object_set_new(o, "columns", columns);
	char *text = valid ? json_dumps(o, JSON_COMPACT) : NULL;
	struct str copy = arena_copy(arena, str_z(text));

	free(text);
	json_decref(o);
	if (!copy.p)
		fail(err, ERR_FATAL,
		     "the definition of table %.*s.%.*s holds a name that is not UTF-8: rename it, "
		     "or "
		     "leave the table out of [source] tables",
		     STR_FMT(t->schema), STR_FMT(t->name));
	return copy;
}

/* Members of untrusted JSON: what is missing or out of range clears *ok. */

static int64_t member_int(const json_t *o, const char *name, int64_t min, int64_t max, bool *ok)
{
	const json_t *v = json_object_get(o, name);
	int64_t i = json_integer_value(v);

	if (!json_is_integer(v) || i < min || i > max) {
		*ok = false;
		return min;
	}
	return i;
}

static struct str member_str(const json_t *o, const char *name, struct arena *arena, bool *ok)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_string(v)) {
		*ok = false;
		return STR("");
	}
	return arena_copy(arena, (struct str){ json_string_value(v), json_string_length(v) });
}

static enum column_type member_type(const json_t *o, const char *name, bool *ok)
{
	const char *text = json_string_value(json_object_get(o, name));

	for (size_t i = 0; text && i < COUNT(type_names); i++)
		if (strcmp(text, type_names[i]) == 0)
			return (enum column_type)i;
	*ok = false;
	return COL_TEXT;
}

static bool parse_column(const json_t *o, struct arena *arena, size_t ncolumns, struct column *c)
{
	bool ok = json_is_object(o);

	c->name = member_str(o, "name", arena, &ok);
	c->type = member_type(o, "type", &ok);
	if (c->type == COL_ARRAY)
		c->element = member_type(o, "element", &ok);
	if (c->type == COL_ARRAY && c->element == COL_ARRAY)
		ok = false;
	if (c->type == COL_DECIMAL || (c->type == COL_ARRAY && c->element == COL_DECIMAL)) {
		c->precision = (int)member_int(o, "precision", 1, 100000, &ok);
		c->scale = (int)member_int(o, "scale", 0, c->precision, &ok);
	}
	c->native = member_str(o, "native", arena, &ok);
	c->native_id = (uint32_t)member_int(o, "native_id", 0, UINT32_MAX, &ok);
	c->native_mod = (int32_t)member_int(o, "native_mod", INT32_MIN, INT32_MAX, &ok);
	c->nullable = json_is_true(json_object_get(o, "nullable"));
	c->key = (int)member_int(o, "key", 0, (int64_t)ncolumns, &ok);
	return ok;
}

int table_key_make(struct table *t, struct arena *arena, struct error *err)
{
	t->nkey = 0;
	for (size_t i = 0; i < t->ncolumns; i++)
		t->nkey += t->columns[i].key > 0;
	t->key = arena_zalloc(arena, t->nkey * sizeof *t->key);
	for (size_t k = 0; k < t->nkey; k++) {
		size_t i = 0;

		while (i < t->ncolumns && t->columns[i].key != (int)k + 1)
			i++;
		if (i == t->ncolumns)
			return fail(
				err, ERR_FATAL,
				"the key columns of table %.*s.%.*s are not numbered from 1 to %zu",
				STR_FMT(t->schema), STR_FMT(t->name), t->nkey);
		t->key[k] = (uint16_t)i;
	}
	return 0;
}

static bool parse_table(const json_t *o, struct arena *arena, struct table *t,
			struct table_names *names)
{
	const json_t *columns = json_object_get(o, "columns");
	bool ok = json_is_array(columns) && json_array_size(columns) <= TABLE_COLUMNS_MAX;

	t->id = (uint32_t)member_int(o, "id", 1, UINT32_MAX, &ok);
	t->version = (unsigned)member_int(o, "version", 1, INT32_MAX, &ok);
	names->suffix = (unsigned)member_int(o, "suffix", 0, INT32_MAX, &ok);
	names->pipeline = member_str(o, "pipeline", arena, &ok).p;
	names->connector = member_str(o, "connector", arena, &ok).p;
	names->database = member_str(o, "database", arena, &ok).p;
	t->schema = member_str(o, "schema", arena, &ok);
	t->name = member_str(o, "table", arena, &ok);
	if (!ok)
		return false;
	t->ncolumns = json_array_size(columns);
	t->columns = arena_zalloc(arena, t->ncolumns * sizeof *t->columns);
	for (size_t i = 0; ok && i < t->ncolumns; i++)
		ok = parse_column(json_array_get(columns, i), arena, t->ncolumns, &t->columns[i]);
	return ok;
}

int table_definition_parse(struct str json, struct arena *arena, struct table *t,
			   struct table_names *names, struct error *err)
{
	json_error_t why;
	json_t *o = json_loadb(json.n ? json.p : "", json.n, 0, &why);
	int64_t format = json_integer_value(json_object_get(o, "format"));
	bool ok = o && format == FORMAT && parse_table(o, arena, t, names);

	json_decref(o);
	if (!o)
		return fail(err, ERR_FATAL, "a table definition is not JSON: %s", why.text);
	if (format != FORMAT)
		return fail(
			err, ERR_FATAL,
			"a table definition has format %lld; this version reads format %d: run the "
			"version of tailrace that wrote it",
			(long long)format, FORMAT);
	if (!ok)
		return fail(err, ERR_FATAL, "a table definition is damaged: %.*s",
			    json.n < 200 ? (int)json.n : 200, json.p);
	return table_key_make(t, arena, err);
}
