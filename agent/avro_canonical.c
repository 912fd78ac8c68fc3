/*
 * avro_canonical.c - Parsing Canonical Form of an Avro schema, and its CRC-64-AVRO
 *
 * Avro 1.11 specification, "Transforming into Parsing Canonical Form": names become full names,
 * only type, name, fields, symbols, items, values and size stay, in the order name, type, fields,
 * symbols, items, values, size, without blanks.  Logical types, defaults and docs do not count.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "avro_private.h"

static bool canonical_type(const json_t *type, const char *space, struct buf *out);

static bool is_primitive(const char *name)
{
	static const char *const names[] = { "null",  "boolean", "int",   "long",
					     "float", "double",  "bytes", "string" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* A quoted string in UTF-8 as it is: only what JSON demands is escaped. */
static void put_string(struct buf *out, const char *text)
{
	buf_json(out, str_z(text));
}

static void put_full_name(struct buf *out, const char *name, const char *space)
{
	AUTO(free)
	char *full = strchr(name, '.') || !*space ? xstrdup(name) : xasprintf("%s.%s", space, name);

	put_string(out, full);
}

static const char *text_member(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static bool canonical_list(const json_t *list, const char *space, struct buf *out,
			   bool (*item)(const json_t *, const char *, struct buf *))
{
	bool ok = json_is_array(list);

	buf_addc(out, '[');
	for (size_t i = 0; ok && i < json_array_size(list); i++) {
		if (i)
			buf_addc(out, ',');
		ok = item(json_array_get(list, i), space, out);
	}
	buf_addc(out, ']');
	return ok;
}

static bool canonical_field(const json_t *f, const char *space, struct buf *out)
{
	const char *name = text_member(f, "name");

	if (!name)
		return false;
	buf_adds(out, "{\"name\":");
	put_string(out, name);
	buf_adds(out, ",\"type\":");
	bool ok = canonical_type(json_object_get(f, "type"), space, out);

	buf_addc(out, '}');
	return ok;
}

static bool canonical_symbol(const json_t *symbol, const char *space, struct buf *out)
{
	(void)space;
	if (!json_is_string(symbol))
		return false;
	put_string(out, json_string_value(symbol));
	return true;
}

/* record, error, enum, fixed */
static bool canonical_named(const json_t *o, const char *type, const char *space, struct buf *out)
{
	const char *name = text_member(o, "name"), *own = text_member(o, "namespace");
	const char *dot = name ? strrchr(name, '.') : NULL;
	bool ok = true;

	if (!name)
		return false;
	AUTO(free)
	char *inner = dot ? xstrndup(name, (size_t)(dot - name)) : xstrdup(own ? own : space);

	buf_adds(out, "{\"name\":");
	put_full_name(out, name, inner);
	buf_addf(out, ",\"type\":\"%s\"", type);
	if (strcmp(type, "enum") == 0) {
		buf_adds(out, ",\"symbols\":");
		ok = canonical_list(json_object_get(o, "symbols"), inner, out, canonical_symbol);
	} else if (strcmp(type, "fixed") == 0) {
		const json_t *size = json_object_get(o, "size");

		ok = json_is_integer(size);
		buf_addf(out, ",\"size\":%" JSON_INTEGER_FORMAT, json_integer_value(size));
	} else {
		buf_adds(out, ",\"fields\":");
		ok = canonical_list(json_object_get(o, "fields"), inner, out, canonical_field);
	}
	buf_addc(out, '}');
	return ok;
}

static bool canonical_object(const json_t *o, const char *space, struct buf *out)
{
	const char *type = text_member(o, "type");

	if (!type) /* {"type": {...}} or {"type": [...]}: what it says */
		return canonical_type(json_object_get(o, "type"), space, out);
	if (strcmp(type, "array") == 0 || strcmp(type, "map") == 0) {
		const char *of = *type == 'a' ? "items" : "values";

		buf_addf(out, "{\"type\":\"%s\",\"%s\":", type, of);
		bool ok = canonical_type(json_object_get(o, of), space, out);

		buf_addc(out, '}');
		return ok;
	}
	if (strcmp(type, "record") == 0 || strcmp(type, "error") == 0 ||
	    strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0)
		return canonical_named(o, type, space, out);
	return canonical_type(json_object_get(o, "type"), space, out);
}

static bool canonical_type(const json_t *type, const char *space, struct buf *out)
{
	const char *name = json_string_value(type);

	if (name) {
		put_full_name(out, name, is_primitive(name) ? "" : space);
		return true;
	}
	if (json_is_array(type))
		return canonical_list(type, space, out, canonical_type);
	return json_is_object(type) && canonical_object(type, space, out);
}

char *avro_canonical(const char *json, struct error *err)
{
	json_error_t why;
	json_t *o = json_loads(json, JSON_DECODE_ANY, &why);
	struct buf out = { 0 };
	bool ok = o && canonical_type(o, "", &out);

	json_decref(o);
	if (ok)
		return buf_z(&out);
	buf_free(&out);
	fail(err, ERR_FATAL, "not an Avro schema: %s", o ? "a part of it is missing" : why.text);
	return NULL;
}

uint64_t avro_crc64(const void *p, size_t n)
{
	const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
	const uint8_t *bytes = p;
	uint64_t fp = empty;

	/* Schemas are fingerprinted once each: a table of the 256 steps would not pay. */
	for (size_t i = 0; i < n; i++) {
		uint64_t step = (fp ^ bytes[i]) & 0xff;

		for (int bit = 0; bit < 8; bit++)
			step = step >> 1 ^ (empty & (0 - (step & 1)));
		fp = fp >> 8 ^ step;
	}
	return fp;
}
