/*
 * pg_array.c - PostgreSQL's text form of an array to an array of typed values
 *
 *	{}		no elements
 *	{1,NULL,3}	NULL without quotes is null, "NULL" with quotes is text
 *	{"a b","\"\\"}	quotes where needed; \ before " and \ inside them
 *	{(1,1),(0,0);(3,3),(2,2)}	box: the delimiter is the element type's own
 *	{{1,2},{3,4}}	more than one dimension
 *	[0:1]={1,2}	lower bounds other than 1
 *
 * The last two are unrepresentable: Avro's array has neither.
 */
#include "pg_values.h"

struct element {
	const char *p; /* without the quotes */
	size_t n;
	bool quoted, escaped;
};

/*
 * Reads one element and what ends it: the delimiter (*more) or the closing brace.  False if the
 * text is not an array's.
 */
static bool next_element(const char **at, const char *end, char delimiter, struct element *e,
			 bool *more)
{
	const char *p = *at;

	*e = (struct element){ .quoted = p < end && *p == '"' };
	e->p = p += e->quoted;
	if (e->quoted) {
		for (; p < end && *p != '"'; p++) {
			if (*p != '\\' || end - p < 2)
				continue;
			e->escaped = true;
			p++;
		}
		if (p >= end)
			return false;
		e->n = (size_t)(p++ - e->p);
	} else {
		while (p < end && *p != delimiter && *p != '}' && *p != '{' && *p != '"')
			p++;
		e->n = (size_t)(p - e->p);
		if (e->n == 0)
			return false;
	}
	if (p >= end || (*p != delimiter && *p != '}'))
		return false;
	*more = *p == delimiter;
	*at = p + 1;
	return true;
}

static struct str unescape(const struct element *e, struct arena *a)
{
	if (!e->escaped)
		return (struct str){ e->p, e->n };
	char *to = arena_alloc(a, e->n);
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++) {
		if (e->p[i] == '\\')
			i++;
		to[n++] = e->p[i];
	}
	return (struct str){ to, n };
}

/* Number of elements of a one-dimensional array, SIZE_MAX if the text is none. */
static size_t count_elements(const char *p, const char *end, char delimiter)
{
	struct element e;
	bool more = true;
	size_t n = 0;

	for (; more; n++) {
		if (!next_element(&p, end, delimiter, &e, &more))
			return SIZE_MAX;
	}
	return p == end ? n : SIZE_MAX;
}

static int array_malformed(const struct column *c, struct str wire, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "column %.*s: %.*s%s is not an array as PostgreSQL prints one (type %.*s); "
		    "report this with the server's version and the extension that made the type",
		    STR_FMT(c->name), (int)(wire.n < 64 ? wire.n : 64), wire.p,
		    wire.n < 64 ? "" : "...", STR_FMT(c->native));
}

/* 0: decoded; 1: an element is unrepresentable, and so is the array; -1. */
static int read_elements(const struct column *c, struct str inner, size_t n, struct arena *a,
			 struct value *items, struct error *err)
{
	const char *p = inner.p, *end = inner.p + inner.n;
	char delimiter = c->delimiter ? c->delimiter : ',';
	const struct column element = {
		.name = c->name,
		.type = c->element,
		.precision = c->precision,
		.scale = c->scale,
		.native = c->native,
		.native_id = c->native_id == PG_CHAR_ARRAY ? PG_CHAR : 0,
	};
	struct element e;
	bool more;

	for (size_t i = 0; i < n; i++) {
		if (!next_element(&p, end, delimiter, &e, &more))
			return array_malformed(c, inner, err);
		if (!e.quoted && e.n == 4 && memcmp(e.p, "NULL", 4) == 0) {
			items[i].state = VALUE_NULL;
			continue;
		}
		if (pg_value_text(&element, unescape(&e, a), a, &items[i], err))
			return -1;
		if (items[i].state == VALUE_UNREPRESENTABLE)
			return 1;
	}
	return 0;
}

int pg_array_text(const struct column *c, struct str wire, struct arena *a, struct value *out,
		  struct error *err)
{
	char delimiter = c->delimiter ? c->delimiter : ',';

	out->state = VALUE_UNREPRESENTABLE;
	out->s = wire;
	if (wire.n >= 2 && wire.p[wire.n - 1] == '}' &&
	    (wire.p[0] == '[' || (wire.p[0] == '{' && wire.p[1] == '{')))
		return 0;
	if (wire.n < 2 || wire.p[0] != '{')
		return array_malformed(c, wire, err);
	struct str inner = { wire.p + 1, wire.n - 1 };
	size_t n = inner.n == 1 && inner.p[0] == '}'
			   ? 0
			   : count_elements(inner.p, inner.p + inner.n, delimiter);

	if (n == SIZE_MAX)
		return array_malformed(c, wire, err);
	struct array *array = arena_alloc(a, sizeof *array);
	struct value *items = arena_zalloc(a, n * sizeof *items);
	int r = read_elements(c, inner, n, a, items, err);

	if (r == 0) {
		*array = (struct array){ n, items };
		out->state = VALUE_SET;
		out->a = array;
	}
	return r < 0 ? -1 : 0;
}
