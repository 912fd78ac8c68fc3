/*
 * gtid_set.c - sets of GTIDs: MySQL's intervals by source, MariaDB's last GTID of each domain
 *
 *	Previous_gtids (35), COM_BINLOG_DUMP_GTID
 *		u64 sources; for each: uuid, u64 intervals; for each: u64 first, u64 last + 1
 *		since 8.3, if tags are there: u64 sources << 8 | 1 << 56 | 1; after each uuid the tag:
 *		number of variable length (one byte, length << 1), bytes
 *	Gtid_list (163)	u32 number (its high four bits are flags); for each: u32 domain, u32 server, u64 sequence;
 *			of a domain the last is the one that was written last
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "binlog_gtid.h"
#include "binlog_private.h"

#define TAGGED     (UINT64_C(1) << 56 | 1)
#define TAG_MAX    32
#define NUMBER_END ((uint64_t)INT64_MAX) /* numbers are less */

struct interval {
	uint64_t from, to; /* to is not in it */
};

struct source {
	uint8_t uuid[16];
	char tag[TAG_MAX + 1];
	struct interval *intervals; /* ascending, none touches the next */
	size_t n, room;
};

struct gtid_set {
	bool mariadb;
	struct source *sources; /* MySQL: by uuid and tag, none is empty */
	struct gtid *domains;   /* MariaDB: by domain */
	size_t n, room;
};

struct gtid_set *gtid_set_new(bool mariadb)
{
	struct gtid_set *s = xcalloc(1, sizeof *s);

	s->mariadb = mariadb;
	return s;
}

void gtid_set_free(struct gtid_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; !s->mariadb && i < s->n; i++)
		free(s->sources[i].intervals);
	free(s->sources);
	free(s->domains);
	free(s);
}

void gtid_set_cleanup(struct gtid_set **s)
{
	gtid_set_free(*s);
}

/* An array of n elements with a hole at `at`, which is not filled. */
static void *make_hole(void *array, size_t size, size_t n, size_t *room, size_t at)
{
	if (n == *room) {
		*room = *room ? *room * 2 : 4;
		array = xrealloc(array, *room * size);
	}
	char *p = (char *)array + at * size;

	memmove(p + size, p, (n - at) * size);
	return array;
}

struct gtid_set *gtid_set_copy(const struct gtid_set *s)
{
	struct gtid_set *copy = gtid_set_new(s->mariadb);

	copy->n = copy->room = s->n;
	if (s->n == 0)
		return copy;
	if (s->mariadb) {
		copy->domains = xcalloc(s->n, sizeof *copy->domains);
		memcpy(copy->domains, s->domains, s->n * sizeof *s->domains);
		return copy;
	}
	copy->sources = xcalloc(s->n, sizeof *copy->sources);
	for (size_t i = 0; i < s->n; i++) {
		const struct source *from = &s->sources[i];
		struct source *to = &copy->sources[i];

		*to = *from;
		to->room = from->n;
		to->intervals = xcalloc(from->n, sizeof *to->intervals);
		memcpy(to->intervals, from->intervals, from->n * sizeof *to->intervals);
	}
	return copy;
}

bool gtid_set_empty(const struct gtid_set *s)
{
	return s->n == 0;
}

/* --- MySQL: sources and their intervals --- */

static int source_cmp(const uint8_t *uuid, const char *tag, const struct source *s)
{
	int r = memcmp(uuid, s->uuid, sizeof s->uuid);

	return r ? r : strcmp(tag, s->tag);
}

/* The place of a source, or where it would be. */
static bool find_source(const struct gtid_set *s, const uint8_t *uuid, const char *tag, size_t *at)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = source_cmp(uuid, tag, &s->sources[mid]);

		if (r == 0) {
			*at = mid;
			return true;
		}
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	*at = low;
	return false;
}

static struct source *need_source(struct gtid_set *s, const uint8_t *uuid, const char *tag)
{
	size_t at;

	if (find_source(s, uuid, tag, &at))
		return &s->sources[at];
	s->sources = make_hole(s->sources, sizeof *s->sources, s->n++, &s->room, at);
	struct source *new = &s->sources[at];

	*new = (struct source){ 0 };
	memcpy(new->uuid, uuid, sizeof new->uuid);
	memcpy(new->tag, tag, strnlen(tag, TAG_MAX));
	return new;
}

/* The first interval that ends at or after `number`. */
static size_t find_interval(const struct source *s, uint64_t number)
{
	size_t low = 0, high = s->n;

	if (s->n && s->intervals[s->n - 1].from <= number) /* nearly always */
		low = s->intervals[s->n - 1].to >= number ? s->n - 1 : s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->intervals[mid].to >= number)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* Joins what it touches. */
static void add_interval(struct source *s, uint64_t from, uint64_t to)
{
	size_t first = find_interval(s, from);
	size_t after = first;

	while (after < s->n && s->intervals[after].from <= to)
		after++;
	if (after == first) {
		s->intervals =
			make_hole(s->intervals, sizeof *s->intervals, s->n++, &s->room, first);
		s->intervals[first] = (struct interval){ from, to };
		return;
	}
	struct interval *i = &s->intervals[first];

	if (from < i->from)
		i->from = from;
	i->to = s->intervals[after - 1].to > to ? s->intervals[after - 1].to : to;
	memmove(i + 1, s->intervals + after, (s->n - after) * sizeof *i);
	s->n -= after - first - 1;
}

/* The interval that holds all of from..to - 1; NULL: none does. */
static struct interval *holding(const struct source *s, uint64_t from, uint64_t to)
{
	size_t i = find_interval(s, from + 1);

	if (i == s->n || s->intervals[i].from > from || s->intervals[i].to < to)
		return NULL;
	return &s->intervals[i];
}

/* --- MariaDB: domains --- */

static bool find_domain(const struct gtid_set *s, uint32_t domain, size_t *at)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->domains[mid].domain < domain)
			low = mid + 1;
		else
			high = mid;
	}
	*at = low;
	return low < s->n && s->domains[low].domain == domain;
}

static void set_domain(struct gtid_set *s, const struct gtid *g)
{
	size_t at;

	if (!find_domain(s, g->domain, &at))
		s->domains = make_hole(s->domains, sizeof *s->domains, s->n++, &s->room, at);
	s->domains[at] = *g;
}

/* --- both --- */

void gtid_set_add(struct gtid_set *s, const struct gtid *g)
{
	if (s->mariadb)
		set_domain(s, g);
	else
		add_interval(need_source(s, g->uuid, g->tag), g->number, g->number + 1);
}

void gtid_set_remove(struct gtid_set *s, const struct gtid *g)
{
	size_t at;

	if (s->mariadb || !find_source(s, g->uuid, g->tag, &at))
		return;
	struct source *source = &s->sources[at];
	struct interval *i = holding(source, g->number, g->number + 1);

	if (!i)
		return;
	struct interval rest = { g->number + 1, i->to };

	i->to = g->number;
	if (rest.from < rest.to)
		add_interval(source, rest.from, rest.to);
	i = &source->intervals[find_interval(source, g->number)];
	if (i->from == i->to) {
		source->n--;
		memmove(i, i + 1, (size_t)(source->intervals + source->n - i) * sizeof *i);
	}
	if (source->n == 0) {
		free(source->intervals);
		s->n--;
		memmove(source, source + 1, (s->n - at) * sizeof *source);
	}
}

void gtid_set_subtract(struct gtid_set *s, const struct gtid_set *what)
{
	for (size_t i = 0; !what->mariadb && i < what->n; i++) {
		const struct source *source = &what->sources[i];
		struct gtid g = { 0 };

		memcpy(g.uuid, source->uuid, sizeof g.uuid);
		memcpy(g.tag, source->tag, sizeof g.tag);
		for (size_t k = 0; k < source->n; k++)
			for (g.number = source->intervals[k].from;
			     g.number < source->intervals[k].to; g.number++)
				gtid_set_remove(s, &g);
	}
}

bool gtid_set_has(const struct gtid_set *s, const struct gtid *g)
{
	size_t at;

	if (s->mariadb)
		return find_domain(s, g->domain, &at) && s->domains[at].number >= g->number;
	return find_source(s, g->uuid, g->tag, &at) &&
	       holding(&s->sources[at], g->number, g->number + 1);
}

static bool holds_source(const struct gtid_set *big, const struct source *small)
{
	size_t at;

	if (!find_source(big, small->uuid, small->tag, &at))
		return false;
	for (size_t i = 0; i < small->n; i++)
		if (!holding(&big->sources[at], small->intervals[i].from, small->intervals[i].to))
			return false;
	return true;
}

bool gtid_set_contains(const struct gtid_set *big, const struct gtid_set *small)
{
	for (size_t i = 0; i < small->n; i++)
		if (small->mariadb ? !gtid_set_has(big, &small->domains[i])
				   : !holds_source(big, &small->sources[i]))
			return false;
	return true;
}

/* --- as text --- */

static void format_uuid(const uint8_t *uuid, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			buf_addc(out, '-');
		buf_addc(out, digits[uuid[i] >> 4]);
		buf_addc(out, digits[uuid[i] & 15]);
	}
}

void gtid_set_format(const struct gtid_set *s, struct buf *out)
{
	char text[GTID_TEXT];

	for (size_t i = 0; s->mariadb && i < s->n; i++) {
		buf_adds(out, i ? "," : "");
		buf_adds(out, gtid_text(&s->domains[i], text));
	}
	for (size_t i = 0; !s->mariadb && i < s->n; i++) {
		const struct source *source = &s->sources[i];

		if (i == 0 || memcmp(source->uuid, source[-1].uuid, sizeof source->uuid) != 0) {
			buf_adds(out, i ? "," : "");
			format_uuid(source->uuid, out);
		}
		if (source->tag[0])
			buf_addf(out, ":%s", source->tag);
		for (size_t k = 0; k < source->n; k++) {
			struct interval v = source->intervals[k];

			buf_addc(out, ':');
			buf_addu(out, v.from);
			if (v.to - 1 > v.from) {
				buf_addc(out, '-');
				buf_addu(out, v.to - 1);
			}
		}
	}
}

/* A text on its way. */
struct text {
	const char *p, *all;
	struct error *err;
};

static int bad_text(const struct text *t)
{
	return fail(t->err, ERR_FATAL,
		    "\"%.200s\" is not a set of GTIDs: it goes wrong at \"%.40s\"", t->all, t->p);
}

static void skip_blanks(struct text *t)
{
	while (*t->p == ' ' || *t->p == '\n' || *t->p == '\r' || *t->p == '\t')
		t->p++;
}

/* Past the character, and blanks, if it is next. */
static bool take(struct text *t, char c)
{
	skip_blanks(t);
	if (*t->p != c)
		return false;
	t->p++;
	skip_blanks(t);
	return true;
}

/* Digits, less than `end`. */
static bool take_number(struct text *t, uint64_t end, uint64_t *out)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*t->p))
		return false;
	for (; isdigit((unsigned char)*t->p); t->p++) {
		uint64_t digit = (uint64_t)(*t->p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return v < end;
}

static int hex(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_dash(struct text *t)
{
	if (*t->p != '-')
		return false;
	t->p++;
	return true;
}

static bool take_uuid(struct text *t, uint8_t *uuid)
{
	for (size_t i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && !take_dash(t))
			return false;
		int high = hex(t->p[0]);
		int low = high < 0 ? -1 : hex(t->p[1]);

		if (low < 0)
			return false;
		uuid[i] = (uint8_t)(high << 4 | low);
		t->p += 2;
	}
	return true;
}

static bool take_tag(struct text *t, char *tag)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*t->p) && *t->p != '_')
		return false;
	for (; isalnum((unsigned char)*t->p) || *t->p == '_'; t->p++) {
		if (n == TAG_MAX)
			return false;
		tag[n++] = (char)tolower((unsigned char)*t->p);
	}
	tag[n] = '\0';
	return true;
}

/* uuid[:tag]:1-3:5[:tag:1] */
static int parse_source(struct gtid_set *s, struct text *t)
{
	uint8_t uuid[16];
	char tag[TAG_MAX + 1] = "";
	bool wants = true; /* an interval */

	if (!take_uuid(t, uuid))
		return bad_text(t);
	while (take(t, ':')) {
		uint64_t from, to;

		if (!isdigit((unsigned char)*t->p)) {
			if ((wants && tag[0]) || !take_tag(t, tag))
				return bad_text(t);
			wants = true;
			continue;
		}
		if (!take_number(t, NUMBER_END, &from) || from == 0)
			return bad_text(t);
		to = from;
		if (take(t, '-') && (!take_number(t, NUMBER_END, &to) || to < from))
			return bad_text(t);
		add_interval(need_source(s, uuid, tag), from, to + 1);
		wants = false;
	}
	return wants ? bad_text(t) : 0;
}

static int parse_domain(struct gtid_set *s, struct text *t)
{
	struct gtid g = { .mariadb = true };
	uint64_t domain, server;
	size_t at;

	if (!take_number(t, UINT64_C(1) << 32, &domain) || !take_dash(t) ||
	    !take_number(t, UINT64_C(1) << 32, &server) || !take_dash(t) ||
	    !take_number(t, UINT64_MAX, &g.number))
		return bad_text(t);
	g.domain = (uint32_t)domain;
	g.server = (uint32_t)server;
	if (find_domain(s, g.domain, &at)) /* a position has one */
		return bad_text(t);
	set_domain(s, &g);
	return 0;
}

struct gtid_set *gtid_set_parse(bool mariadb, const char *text, struct error *err)
{
	struct gtid_set *s = gtid_set_new(mariadb);
	struct text t = { text, text, err };

	skip_blanks(&t);
	while (*t.p) {
		if (mariadb ? parse_domain(s, &t) : parse_source(s, &t)) {
			gtid_set_free(s);
			return NULL;
		}
		bool more = take(&t, ',');

		if (*t.p && !more) {
			bad_text(&t);
			gtid_set_free(s);
			return NULL;
		}
	}
	return s;
}

/* --- as bytes --- */

static void add_u64le(struct buf *out, uint64_t v)
{
	v = htole64(v);
	buf_add(out, &v, sizeof v);
}

void gtid_set_encode(const struct gtid_set *s, struct buf *out)
{
	size_t n = s->mariadb ? 0 : s->n;
	bool tagged = false;

	for (size_t i = 0; i < n; i++)
		tagged = tagged || s->sources[i].tag[0];
	add_u64le(out, tagged ? TAGGED | (uint64_t)n << 8 : n);
	for (size_t i = 0; i < n; i++) {
		const struct source *source = &s->sources[i];
		size_t length = strlen(source->tag);

		buf_add(out, source->uuid, sizeof source->uuid);
		if (tagged) {
			buf_addc(out, (char)(length << 1));
			buf_add(out, source->tag, length);
		}
		add_u64le(out, source->n);
		for (size_t k = 0; k < source->n; k++) {
			add_u64le(out, source->intervals[k].from);
			add_u64le(out, source->intervals[k].to);
		}
	}
}

/* Into *tag, which has TAG_MAX + 1 bytes. */
static bool get_tag(struct cursor *c, char *tag)
{
	uint8_t length = get_u8(c);
	struct str bytes = get_bytes(c, length >> 1);
	struct text t = { tag, tag, NULL };
	char lower[TAG_MAX + 1];

	memset(tag, 0, TAG_MAX + 1);
	if ((length & 1) || length >> 1 > TAG_MAX || c->bad)
		return false;
	if (bytes.n == 0)
		return true;
	memcpy(tag, bytes.p, bytes.n);
	return take_tag(&t, lower) && *t.p == '\0' && strcmp(lower, tag) == 0;
}

/* One source of an event: its intervals ascend, as servers write them. */
static bool add_source(struct gtid_set *s, struct cursor *c, bool tagged)
{
	char tag[TAG_MAX + 1] = "";
	struct str uuid = get_bytes(c, 16);
	uint64_t end = 0;

	if (!uuid.p || (tagged && !get_tag(c, tag)))
		return false;
	uint64_t n = get_u64le(c);

	if (c->bad || n == 0 || n > cursor_left(c) / (2 * sizeof(uint64_t)))
		return false;
	struct source *source = need_source(s, (const uint8_t *)uuid.p, tag);

	while (n--) {
		uint64_t from = get_u64le(c);
		uint64_t to = get_u64le(c);

		if (from <= end || to <= from || to > NUMBER_END)
			return false;
		add_interval(source, from, to);
		end = to;
	}
	return true;
}

static int add_previous(struct gtid_set *s, const struct binlog_event *e, struct error *err)
{
	struct cursor c = cursor_of(e->body);
	uint64_t n = get_u64le(&c);
	bool tagged = n >> 56 == 1;

	if (tagged)
		n = n >> 8 & ((UINT64_C(1) << 48) - 1);
	if (n > cursor_left(&c) / 24)
		return binlog_bad(e, err, "lists more sources than it has bytes for");
	while (n--)
		if (!add_source(s, &c, tagged))
			return binlog_bad(e, err, "has a damaged source");
	if (!c.bad && c.p != c.end)
		return binlog_bad(e, err, "has bytes after its end");
	return binlog_end(e, &c, err);
}

static int add_list(struct gtid_set *s, const struct binlog_event *e, struct error *err)
{
	struct cursor c = cursor_of(e->body);
	uint32_t n = get_u32le(&c) & 0x0fffffff;

	if (n > cursor_left(&c) / 16)
		return binlog_bad(e, err, "lists more GTIDs than it has bytes for");
	while (n--) {
		struct gtid g = { .mariadb = true };

		g.domain = get_u32le(&c);
		g.server = get_u32le(&c);
		g.number = get_u64le(&c);
		set_domain(s, &g);
	}
	return binlog_end(e, &c, err);
}

int gtid_set_add_event(struct gtid_set *s, const struct binlog_event *e, struct error *err)
{
	bool list = e->type == BINLOG_GTID_LIST && s->mariadb;
	bool previous = e->type == BINLOG_PREVIOUS_GTIDS && !s->mariadb;

	if (!list && !previous)
		return binlog_bad(e, err, "lists no GTIDs of that family");
	/* On a copy: a set is not left half changed. */
	struct gtid_set *copy = gtid_set_copy(s);
	int r = list ? add_list(copy, e, err) : add_previous(copy, e, err);
	struct gtid_set old = *s;

	if (r == 0) {
		*s = *copy;
		*copy = old;
	}
	gtid_set_free(copy);
	return r;
}
