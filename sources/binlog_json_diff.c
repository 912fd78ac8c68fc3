/*
 * binlog_json_diff.c - partial updates of JSON columns applied to the document before
 *
 * (binlog_row_value_options = PARTIAL_JSON.)  Differences, one after the other, each seen by the next:
 *
 *	u8 operation (0 replace, 1 insert, 2 remove), lenenc n, n bytes path,
 *	and unless it is remove: lenenc n, n bytes of binary JSON
 *
 *	path: $, then legs: .name  ."quoted name"  [index]  [last]  [last-index]
 *
 * Source: the server's json_diff.cc.  The result is written with large containers throughout, which any reader of the
 * format takes; its text is the server's.
 */
#include "binlog_cell.h"
#include "binlog_json.h"

enum operation { DIFF_REPLACE, DIFF_INSERT, DIFF_REMOVE };

struct node {
	struct json_value scalar; /* type says what the node is */
	bool container, object;
	uint32_t n, room;
	struct node **items;
	struct str *keys;
};

struct leg {
	struct str key; /* p NULL: an index */
	uint32_t index;
	bool from_end; /* counted from the last item */
};

struct patch {
	struct arena *a;
	size_t nodes_left; /* a damaged document may share items without end */
};

static bool read_node(struct patch *p, const struct json_value *v, unsigned depth,
		      struct node **out);

/* --- document to nodes --- */

static void grow(struct patch *p, struct node *n)
{
	uint32_t room = n->room ? 2 * n->room : 4;
	struct node **items = arena_alloc(p->a, room * sizeof(struct node *));
	struct str *keys = n->object ? arena_alloc(p->a, room * sizeof *keys) : NULL;

	if (n->n) {
		memcpy(items, n->items, n->n * sizeof(struct node *));
		if (keys)
			memcpy(keys, n->keys, n->n * sizeof *keys);
	}
	n->items = items;
	n->keys = keys;
	n->room = room;
}

static void insert_at(struct patch *p, struct node *n, uint32_t at, struct str key,
		      struct node *item)
{
	if (n->n == n->room)
		grow(p, n);
	memmove(n->items + at + 1, n->items + at, (n->n - at) * sizeof(struct node *));
	n->items[at] = item;
	if (n->object) {
		memmove(n->keys + at + 1, n->keys + at, (n->n - at) * sizeof *n->keys);
		n->keys[at] = key;
	}
	n->n++;
}

static void remove_at(struct node *n, uint32_t at)
{
	n->n--;
	memmove(n->items + at, n->items + at + 1, (n->n - at) * sizeof(struct node *));
	if (n->object)
		memmove(n->keys + at, n->keys + at + 1, (n->n - at) * sizeof *n->keys);
}

static bool read_items(struct patch *p, const struct json_value *v, unsigned depth, struct node *n)
{
	struct json_container c;

	if (depth > JSON_DEPTH || !json_open(v, &c))
		return false;
	n->container = true;
	n->object = c.object;
	n->room = c.count;
	n->items = arena_alloc(p->a, c.count * sizeof(struct node *));
	n->keys = c.object ? arena_alloc(p->a, c.count * sizeof *n->keys) : NULL;
	for (; n->n < c.count; n->n++) {
		struct json_value item;
		struct str key;

		if (!json_item(&c, n->n, &key, &item) ||
		    !read_node(p, &item, depth + 1, &n->items[n->n]))
			return false;
		if (n->keys)
			n->keys[n->n] = key;
	}
	return true;
}

static bool read_node(struct patch *p, const struct json_value *v, unsigned depth,
		      struct node **out)
{
	if (p->nodes_left == 0)
		return false;
	p->nodes_left--;
	*out = arena_zalloc(p->a, sizeof **out);
	(*out)->scalar = *v;
	return !json_is_container(v->type) || read_items(p, v, depth, *out);
}

static bool read_document(struct patch *p, struct str binary, struct node **out)
{
	struct json_value v;

	/* An item takes three bytes at the least. */
	p->nodes_left += binary.n / 3 + 1;
	return json_document(binary, &v) && read_node(p, &v, 1, out);
}

/* --- nodes to document --- */

static void put_le(char *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++, v >>= 8)
		p[i] = (char)v;
}

static void add_le(struct buf *b, uint64_t v, unsigned n)
{
	char bytes[8];

	put_le(bytes, v, n);
	buf_add(b, bytes, n);
}

static uint8_t written_type(const struct node *n)
{
	if (!n->container)
		return n->scalar.type;
	return n->object ? JSON_LARGE_OBJECT : JSON_LARGE_ARRAY;
}

static bool is_inlined(uint8_t type)
{
	return type >= JSON_LITERAL && type <= JSON_UINT32;
}

static void write_scalar(struct buf *b, const struct json_value *v)
{
	if (v->type == JSON_OPAQUE)
		add_le(b, v->field_type, 1);
	if (v->type == JSON_OPAQUE || v->type == JSON_STRING) {
		size_t n = v->data.n;

		for (; n >= 0x80; n >>= 7)
			add_le(b, (n & 0x7f) | 0x80, 1);
		add_le(b, n, 1);
	}
	buf_add(b, v->data.p, v->data.n);
}

static void write_node(struct buf *b, const struct node *n)
{
	if (!n->container) {
		write_scalar(b, &n->scalar);
		return;
	}
	size_t start = b->n, keys = start + 8, values = keys + (n->object ? 6 * (size_t)n->n : 0);

	/* What is not known yet is filled in below. */
	for (size_t i = 0; i < values - start + 5 * (size_t)n->n; i++)
		buf_addc(b, 0);
	put_le(b->p + start, n->n, 4);
	for (uint32_t i = 0; n->object && i < n->n; i++) {
		put_le(b->p + keys + 6 * i, b->n - start, 4);
		put_le(b->p + keys + 6 * i + 4, n->keys[i].n, 2);
		buf_add(b, n->keys[i].p, n->keys[i].n);
	}
	for (uint32_t i = 0; i < n->n; i++) {
		const struct node *item = n->items[i];
		uint8_t type = written_type(item);
		size_t entry = values + 5 * (size_t)i;

		b->p[entry] = (char)type;
		if (is_inlined(type)) {
			memcpy(b->p + entry + 1, item->scalar.data.p, item->scalar.data.n);
			continue;
		}
		put_le(b->p + entry + 1, b->n - start, 4);
		write_node(b, item);
	}
	put_le(b->p + start + 4, b->n - start, 4);
}

/* --- paths --- */

static uint32_t read_index(struct cursor *c)
{
	uint32_t v = 0;

	if (c->p == c->end || *c->p < '0' || *c->p > '9')
		c->bad = true;
	while (!c->bad && c->p < c->end && *c->p >= '0' && *c->p <= '9') {
		uint8_t digit = get_u8(c);

		c->bad |= v > (UINT32_MAX - 9) / 10;
		v = v * 10 + digit - '0';
	}
	return v;
}

static bool skip_text(struct cursor *c, const char *z)
{
	size_t n = strlen(z);

	if (cursor_left(c) < n || memcmp(c->p, z, n) != 0)
		return false;
	c->p += n;
	return true;
}

static unsigned hex_value(struct cursor *c)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t d = get_u8(c);
		unsigned lower = d | 0x20u;

		if (d >= '0' && d <= '9')
			v = v << 4 | (d - '0');
		else if (lower >= 'a' && lower <= 'f')
			v = v << 4 | (lower - 'a' + 10);
		else
			c->bad = true;
	}
	return v;
}

/* What follows a backslash.  The server writes \u for control characters only. */
static char *unescape(struct cursor *c, char *to)
{
	uint8_t e = get_u8(c);
	const char *pair = e ? memchr("b\bt\tn\nf\fr\r", e, 10) : NULL;
	unsigned v;

	switch (e) {
	case '"':
	case '\\':
	case '/':
		*to++ = (char)e;
		break;
	case 'u':
		v = hex_value(c);
		c->bad |= v > 0x7f;
		*to++ = (char)v;
		break;
	default:
		c->bad |= !pair || e < 'a';
		*to++ = pair ? pair[1] : 0;
	}
	return to;
}

static struct str read_quoted(struct cursor *c, struct arena *a)
{
	char *text = arena_alloc(a, cursor_left(c) + 1), *to = text;

	for (;;) {
		uint8_t b = get_u8(c);

		if (c->bad || b == '"')
			return (struct str){ text, (size_t)(to - text) };
		if (b == '\\')
			to = unescape(c, to);
		else
			*to++ = (char)b;
	}
}

static struct str read_name(struct cursor *c, struct arena *a)
{
	const uint8_t *from = c->p;

	if (skip_text(c, "\""))
		return read_quoted(c, a);
	while (c->p < c->end && *c->p != '.' && *c->p != '[')
		c->p++;
	c->bad |= c->p == from;
	return (struct str){ (const char *)from, (size_t)(c->p - from) };
}

/* The next leg of a path; false: malformed. */
static bool read_leg(struct cursor *c, struct arena *a, struct leg *out)
{
	uint8_t first = get_u8(c);

	*out = (struct leg){ 0 };
	if (first == '.') {
		out->key = read_name(c, a);
		return !c->bad;
	}
	if (first != '[')
		return false;
	out->from_end = skip_text(c, "last");
	if (!out->from_end || skip_text(c, "-"))
		out->index = read_index(c);
	return get_u8(c) == ']' && !c->bad;
}

/* --- applying --- */

/* The server keeps members in order of length, then of bytes. */
static int compare_keys(struct str a, struct str b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

/* Where a leg leads in a container: true if it is there, false where it would be put. */
static bool find_item(const struct node *n, const struct leg *l, uint32_t *at)
{
	if (l->key.p) {
		uint32_t low = 0, high = n->n;

		while (low < high) {
			uint32_t middle = low + (high - low) / 2;

			if (compare_keys(n->keys[middle], l->key) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		*at = low;
		return low < n->n && compare_keys(n->keys[low], l->key) == 0;
	}
	if (l->from_end)
		*at = l->index < n->n ? n->n - 1 - l->index : 0;
	else
		*at = l->index < n->n ? l->index : n->n;
	return l->index < n->n;
}

/* What is not an array stands for an array of itself. */
static bool is_itself(const struct node *n, const struct leg *l)
{
	return !l->key.p && l->index == 0 && (!n->container || n->object);
}

static bool fits(const struct node *n, const struct leg *l)
{
	return n->container && n->object == (l->key.p != NULL);
}

static bool change_item(struct patch *p, struct node *parent, const struct leg *l,
			enum operation what, struct node *value)
{
	uint32_t at;

	if (!fits(parent, l))
		return false;
	bool found = find_item(parent, l, &at);

	switch (what) {
	case DIFF_REPLACE:
		if (found)
			parent->items[at] = value;
		return found;
	case DIFF_INSERT:
		if (found && parent->object)
			return false;
		insert_at(p, parent, at, l->key, value);
		return true;
	case DIFF_REMOVE:
		if (found)
			remove_at(parent, at);
		return found;
	}
	return false;
}

static bool apply_at(struct patch *p, struct node **root, struct str path, enum operation what,
		     struct node *value)
{
	struct cursor c = cursor_of(path);
	struct node **here = root, *parent = NULL;
	struct leg leg = { 0 };

	if (get_u8(&c) != '$')
		return false;
	while (c.p < c.end) {
		if (parent) { /* the leg before this one leads to it */
			uint32_t at;

			if (!fits(parent, &leg) || !find_item(parent, &leg, &at))
				return false;
			here = &parent->items[at];
			parent = NULL;
		}
		if (!*here || !read_leg(&c, p->a, &leg))
			return false;
		if (!is_itself(*here, &leg) || (what == DIFF_INSERT && c.p == c.end))
			parent = *here;
	}
	if (parent)
		return change_item(p, parent, &leg, what, value);
	if (what == DIFF_REPLACE)
		*here = value;
	return what == DIFF_REPLACE;
}

static bool apply(struct patch *p, struct node **root, struct cursor *c)
{
	uint8_t what = get_u8(c);
	struct str path = get_bytes(c, binlog_lenenc(c));
	struct node *value = NULL;

	if (c->bad || what > DIFF_REMOVE)
		return false;
	if (what != DIFF_REMOVE) {
		struct str binary = get_bytes(c, binlog_lenenc(c));

		if (c->bad || !read_document(p, binary, &value))
			return false;
	}
	return apply_at(p, root, path, (enum operation)what, value);
}

int binlog_json_apply(struct str binary, struct str diffs, struct arena *a, struct str *out,
		      struct error *err)
{
	struct patch p = { .a = a };
	struct cursor c = cursor_of(diffs);
	struct node *root;
	AUTO(buf) struct buf b = { 0 };
	bool good = read_document(&p, binary, &root);

	while (good && c.p < c.end)
		good = apply(&p, &root, &c);
	if (!good)
		return fail(err, ERR_FATAL,
			    "a partial update of a JSON column does not fit the document before "
			    "it; the "
			    "log is damaged, or of a server version that is not known");
	buf_addc(&b, (char)written_type(root));
	write_node(&b, root);
	*out = arena_copy(a, (struct str){ b.p, b.n });
	return 0;
}
