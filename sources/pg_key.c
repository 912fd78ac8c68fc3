/*
 * pg_key.c - keys of tables as SQL
 *
 * A row comparison is what an index of these columns serves at once: (a, b) > (5, 'x').  A bound may
 * hold the first columns only; then it stands behind all rows that have these values.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "avro.h"
#include "pg_key.h"
#include "value_text.h"

/* --- values --- */

static void print_hex(struct str s, const char *start, struct buf *out)
{
	buf_adds(out, start);
	for (size_t i = 0; i < s.n; i++)
		buf_addf(out, "%02x", (unsigned)(uint8_t)s.p[i]);
}

static void add(struct buf *out, struct str s)
{
	buf_add(out, s.p, s.n);
}

static void print_array(const struct column *c, const struct array *a, struct buf *out)
{
	struct column element = { .type = c->element,
				  .precision = c->precision,
				  .scale = c->scale };

	buf_addc(out, '{');
	for (size_t i = 0; i < a->n; i++) {
		AUTO(buf) struct buf text = { 0 };

		if (i)
			buf_addc(out, c->delimiter ? c->delimiter : ',');
		if (a->items[i].state == VALUE_NULL) {
			buf_adds(out, "NULL");
			continue;
		}
		pg_value_print(&element, &a->items[i], &text);
		buf_addc(out, '"');
		for (size_t k = 0; k < text.n; k++) {
			if (text.p[k] == '"' || text.p[k] == '\\')
				buf_addc(out, '\\');
			buf_addc(out, text.p[k]);
		}
		buf_addc(out, '"');
	}
	buf_addc(out, '}');
}

void pg_value_print(const struct column *c, const struct value *v, struct buf *out)
{
	char text[VALUE_TEXT];

	if (v->state == VALUE_UNREPRESENTABLE) {
		add(out, v->s);
		return;
	}
	switch (c->type) {
	case COL_BOOL:
		buf_addc(out, v->b ? 't' : 'f');
		break;
	case COL_INT32:
	case COL_INT64:
		buf_addf(out, "%" PRId64, v->i);
		break;
	case COL_UINT64:
		buf_addf(out, "%" PRIu64, v->u);
		break;
	case COL_FLOAT:
	case COL_DOUBLE:
		add(out, value_float(v->d, c->type == COL_FLOAT, text));
		break;
	case COL_DECIMAL:
		decimal_format(v->s, c->scale, out);
		break;
	case COL_BYTES:
		print_hex(v->s, "\\x", out);
		break;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		add(out, value_time(c->type, v->i, ' ', "+00", text));
		break;
	case COL_TEXT:
	case COL_UUID:
	case COL_JSON:
		add(out, v->s);
		break;
	case COL_ARRAY:
		print_array(c, v->a, out);
		break;
	}
}

void pg_quote(struct str text, struct buf *out)
{
	if (memchr(text.n ? text.p : "", '\\', text.n))
		buf_adds(out, " E");
	buf_addc(out, '\'');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\'' || text.p[i] == '\\')
			buf_addc(out, text.p[i]);
		buf_addc(out, text.p[i]);
	}
	buf_addc(out, '\'');
}

/* --- SQL --- */

static void ident(struct str name, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, name.p[i]);
	}
	buf_addc(out, '"');
}

void pg_key_column(const struct pg_key *k, size_t i, struct buf *out)
{
	const struct pg_key_column *c = &k->columns[i];

	ident(k->table, out);
	buf_addc(out, '.');
	ident(c->as.name, out);
	if (c->collate)
		buf_addf(out, " COLLATE %.*s", STR_FMT(c->collation));
}

void pg_key_order(const struct pg_key *k, struct buf *out)
{
	for (size_t i = 0; i < k->n; i++) {
		if (i)
			buf_adds(out, ", ");
		pg_key_column(k, i, out);
	}
}

static void add_operator(const struct pg_key_column *c, const char *operator, struct buf * out)
{
	if (!c->operators.p || str_eqz(c->operators, "pg_catalog"))
		buf_addf(out, " %s ", operator);
	else
		buf_addf(out, " OPERATOR(%.*s.%s) ", STR_FMT(c->operators), operator);
}

static void add_value(const struct pg_key_column *c, struct str text, struct buf *out)
{
	pg_quote(text, out);
	buf_addf(out, "::%.*s", STR_FMT(c->type));
}

static void compare_one(const struct pg_key *k, size_t i, struct str text, const char *operator,
			struct buf * out)
{
	pg_key_column(k, i, out);
	add_operator(&k->columns[i], operator, out);
	add_value(&k->columns[i], text, out);
}

static void compare_row(const struct pg_key *k, const struct str *texts, size_t n,
			const char *operator, struct buf * out)
{
	buf_addc(out, '(');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_adds(out, ", ");
		pg_key_column(k, i, out);
	}
	buf_addc(out, ')');
	add_operator(&k->columns[0], operator, out);
	buf_addc(out, '(');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_adds(out, ", ");
		add_value(&k->columns[i], texts[i], out);
	}
	buf_addc(out, ')');
}

/* Column by column: a >= 5 AND (a > 5 OR (a = 5 AND b > 'x')); the first part is for the index. */
static void compare_apart(const struct pg_key *k, const struct str *texts, size_t n,
			  const char *operator, struct buf * out)
{
	bool equal = strcmp(operator, "=") == 0, above = *operator== '>';

	buf_addc(out, '(');
	compare_one(k, 0, texts[0], equal ? "=" : above ? ">=" : "<=", out);
	for (size_t i = 0; i < n; i++) {
		if (equal) {
			buf_adds(out, " AND ");
			compare_one(k, i, texts[i], "=", out);
			continue;
		}
		buf_adds(out, " AND (");
		compare_one(k, i, texts[i], i + 1 == n ? operator : above ? ">" : "<", out);
		if (i + 1 < n) {
			buf_adds(out, " OR (");
			compare_one(k, i, texts[i], "=", out);
		}
	}
	for (size_t i = 0; i < n && !equal; i++)
		buf_adds(out, i + 1 < n ? "))" : ")");
	buf_addc(out, ')');
}

void pg_key_compare(const struct pg_key *k, const struct str *texts, size_t n, const char *operator,
		    struct buf * out)
{
	bool alike = true;

	for (size_t i = 1; i < n; i++)
		alike = alike && str_eq(k->columns[i].operators, k->columns[0].operators);
	if (alike)
		compare_row(k, texts, n, operator, out);
	else
		compare_apart(k, texts, n, operator, out);
}

/* --- bounds --- */

static void order_text(const struct pg_key *k, struct buf *out)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct pg_key_column *c = &k->columns[i];

		if (i)
			buf_adds(out, ", ");
		ident(c->as.name, out);
		buf_addf(out, " %.*s", STR_FMT(c->type));
		if (c->collation.p)
			buf_addf(out, " COLLATE %.*s", STR_FMT(c->collation));
	}
}

char *pg_bound_make(const struct pg_key *k, const struct str *texts, size_t n)
{
	AUTO(buf) struct buf out = { 0 }, order = { 0 };

	order_text(k, &order);
	buf_addc(&out, '[');
	buf_json(&out, str_z(buf_z(&order)));
	for (size_t i = 0; i < n; i++) {
		buf_addc(&out, ',');
		if (utf8_valid(texts[i])) {
			buf_json(&out, texts[i]);
			continue;
		}
		print_hex(texts[i], "{\"hex\":\"", &out);
		buf_adds(&out, "\"}");
	}
	buf_addc(&out, ']');
	return xstrdup(buf_z(&out));
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* p NULL: neither a string nor bytes. */
static struct str bound_value(json_t *from, struct arena *a)
{
	const char *hex = json_string_value(json_object_get(from, "hex"));

	if (json_is_string(from))
		return arena_copy(a, (struct str){ json_string_value(from),
						   json_string_length(from) });
	if (!hex || strlen(hex) % 2 || strspn(hex, "0123456789abcdef") != strlen(hex))
		return (struct str){ NULL, 0 };
	size_t n = strlen(hex) / 2;
	char *to = arena_alloc(a, n + 1);

	for (size_t i = 0; i < n; i++)
		to[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return (struct str){ to, n };
}

int pg_bound_read(const char *bound, const struct pg_key *k, struct arena *a, struct str *texts,
		  size_t *n, struct error *err)
{
	AUTO(buf) struct buf order = { 0 };
	json_t *all = json_loads(bound, 0, NULL);
	const char *of = json_string_value(json_array_get(all, 0));
	size_t found = json_array_size(all);
	int rc = 0;

	order_text(k, &order);
	if (!of || strcmp(of, buf_z(&order)) != 0)
		rc = fail(err, ERR_RETRY,
			  "its key was changed while it was read: %.200s, now %.200s",
			  of ? of : bound, buf_z(&order));
	else if (found < 2 || found - 1 > k->n)
		rc = fail(err, ERR_RETRY, "not a bound of its key: %.200s", bound);
	for (size_t i = 1; rc == 0 && i < found; i++) {
		texts[i - 1] = bound_value(json_array_get(all, i), a);
		if (!texts[i - 1].p)
			rc = fail(err, ERR_RETRY, "not a bound of its key: %.200s", bound);
	}
	*n = rc ? 0 : found - 1;
	if (rc)
		err->code = ESTALE;
	json_decref(all);
	return rc;
}

size_t pg_cut_integers(int64_t lowest, int64_t highest, size_t parts, int64_t *out)
{
	uint64_t width = (uint64_t)highest - (uint64_t)lowest;
	size_t n = 0;

	for (size_t i = 1; i < parts && lowest < highest; i++) {
		uint64_t step = width / parts * i + width % parts * i / parts;
		int64_t cut = (int64_t)((uint64_t)lowest + step);

		if (cut < highest && (n == 0 || cut > out[n - 1]))
			out[n++] = cut;
	}
	return n;
}
