/*
 * load_note.c - what the BEGIN record of a snapshot's chunk says, as JSON
 *
 *	{"load":"rows","schema":"public","name":"orders","range":0,"rows":20000,"last":"(1,7)"}
 *
 * `sink`, `given_up`, `last` and `done` stand only where they say something.  A `last` that is no UTF-8
 * is `last_hex`.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

static const char *const kinds[] = { "begin", "rows", "end" };

static void add_last(struct buf *out, struct str last)
{
	if (!last.p)
		return;
	if (utf8_valid(last) && !memchr(last.p, 0, last.n)) {
		buf_adds(out, ",\"last\":");
		buf_json(out, last);
		return;
	}
	buf_adds(out, ",\"last_hex\":\"");
	for (size_t i = 0; i < last.n; i++)
		buf_addf(out, "%02x", (unsigned char)last.p[i]);
	buf_addc(out, '"');
}

char *load_note_format(const struct load_note *n)
{
	struct buf out = { 0 };

	buf_addf(&out, "{\"load\":\"%s\",\"schema\":", kinds[n->kind]);
	buf_json(&out, n->schema);
	buf_adds(&out, ",\"name\":");
	buf_json(&out, n->name);
	if (n->sink.p) {
		buf_adds(&out, ",\"sink\":");
		buf_json(&out, n->sink);
	}
	if (n->given_up)
		buf_adds(&out, ",\"given_up\":true");
	if (n->partial)
		buf_adds(&out, ",\"partial\":true");
	if (n->reload)
		buf_adds(&out, ",\"reload\":true");
	if (n->kind == NOTE_ROWS) {
		buf_addf(&out, ",\"range\":%lld,\"rows\":%lld", (long long)n->range,
			 (long long)n->rows);
		if (n->version)
			buf_addf(&out, ",\"version\":%u", n->version);
		add_last(&out, n->last);
		if (n->done)
			buf_adds(&out, ",\"done\":true");
	}
	buf_addc(&out, '}');
	return buf_z(&out);
}

static struct str member(json_t *root, const char *name, struct arena *a)
{
	json_t *v = json_object_get(root, name);

	if (!json_is_string(v))
		return (struct str){ NULL, 0 };
	return arena_copy(a, (struct str){ json_string_value(v), json_string_length(v) });
}

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* `last` from its hexadecimal form: false where it is none. */
static bool unhex(struct str hex, struct arena *a, struct str *out)
{
	char *p = arena_alloc(a, hex.n / 2 + 1);

	for (size_t i = 0; i + 1 < hex.n; i += 2) {
		int high = digit(hex.p[i]), low = digit(hex.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		p[i / 2] = (char)(high << 4 | low);
	}
	p[hex.n / 2] = '\0';
	*out = (struct str){ p, hex.n / 2 };
	return hex.n % 2 == 0;
}

static bool read_note(json_t *root, struct arena *a, struct load_note *out)
{
	struct str kind = member(root, "load", a), hex = member(root, "last_hex", a);
	json_t *range = json_object_get(root, "range"), *rows = json_object_get(root, "rows");
	size_t k = 0;

	while (k < COUNT(kinds) && !str_eqz(kind, kinds[k]))
		k++;
	*out = (struct load_note){
		.kind = (enum note_kind)k,
		.schema = member(root, "schema", a),
		.name = member(root, "name", a),
		.sink = member(root, "sink", a),
		.given_up = json_is_true(json_object_get(root, "given_up")),
		.partial = json_is_true(json_object_get(root, "partial")),
		.reload = json_is_true(json_object_get(root, "reload")),
		.range = json_integer_value(range),
		.rows = json_integer_value(rows),
		.version = (uint32_t)json_integer_value(json_object_get(root, "version")),
		.last = member(root, "last", a),
		.done = json_is_true(json_object_get(root, "done")),
	};
	if (hex.p && !unhex(hex, a, &out->last))
		return false;
	return k < COUNT(kinds) && out->schema.p && out->name.p &&
	       (out->kind != NOTE_ROWS || (json_is_integer(range) && json_is_integer(rows)));
}

int load_note_parse(struct str json, struct arena *a, struct load_note *out, struct error *err)
{
	json_error_t why;
	json_t *root = json_loadb(json.p, json.n, 0, &why);
	bool valid = json_is_object(root) && read_note(root, a, out);

	json_decref(root);
	if (!valid)
		return fail(err, ERR_FATAL, "a snapshot chunk's note cannot be understood: %.*s",
			    STR_FMT(json));
	return 0;
}
