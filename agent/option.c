/*
 * option.c - reads one value by its row of an options table
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "option.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define SECRET_MAX (64 * 1024) /* a password file larger than this is a mistake */

/* Every error of a setting ends the process with the code for wrong configuration. */
#define bad(err, ...) fail_exit((err), EXIT_USAGE, __VA_ARGS__)

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "kB", INT64_C(1) << 10 },
	{ "MB", INT64_C(1) << 20 },
	{ "GB", INT64_C(1) << 30 },
	{ "TB", INT64_C(1) << 40 },
	{ 0 },
};

static const struct unit times[] = {
	{ "us", 1 },
	{ "ms", 1000 },
	{ "s", 1000000 },
	{ "m", 60 * INT64_C(1000000) },
	{ "h", 3600 * INT64_C(1000000) },
	{ "d", 86400 * INT64_C(1000000) },
	{ 0 },
};

static const struct unit plain[] = { { "", 1 }, { 0 } };

const struct option *option_find(const struct option *options, struct str name)
{
	for (const struct option *o = options; o && o->name; o++)
		if (str_eqz(name, o->name))
			return o;
	return NULL;
}

/* Levenshtein distance, given up at `limit`. */
static size_t distance(const char *a, const char *b, size_t limit)
{
	size_t row[65], n = strlen(b);

	if (n > 64 || strlen(a) > 64)
		return limit;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t up = row[j], best = corner + (a[i - 1] != b[j - 1]);

			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			corner = up;
		}
	}
	return row[n] < limit ? row[n] : limit;
}

const char *nearest_name(const char *wrong, const char *const *names, size_t n)
{
	size_t length = strlen(wrong), best = (length > 12 ? 12 : length) / 3 + 1;
	const char *near = NULL;

	if (best < 3)
		best = 3; /* two letters that changed places */
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(wrong, names[i], best);

		/* A cut-off or overlong name: compress for compression, and the reverse. */
		if (d >= best && length >= 3 &&
		    (strncasecmp(names[i], wrong, length) == 0 ||
		     strncasecmp(names[i], wrong, strlen(names[i])) == 0))
			d = best - 1;
		if (d < best) {
			best = d;
			near = names[i];
		}
	}
	return near;
}

/* Length of the text in double quotes at s.p, quotes included; 0 if the quote is not closed. */
static size_t quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\')
			i++;
	}
	return 0;
}

/* Takes quotes off; a value without them stands for itself.  A copy in `a`; NULL on error. */
static char *unquote(struct str s, struct arena *a, struct error *err)
{
	if (s.n == 0 || s.p[0] != '"')
		return arena_printf(a, "%.*s", (int)s.n, s.n ? s.p : "");
	size_t length = quoted_length(s), n = 0;
	char *p = arena_alloc(a, s.n + 1);

	if (length < s.n) {
		bad(err, length ? "there is text after the closing double quote"
				: "the double quote is not closed");
		return NULL;
	}
	for (size_t i = 1; i + 1 < length; i++) {
		if (s.p[i] == '\\' && s.p[++i] != '"' && s.p[i] != '\\') {
			bad(err, "in double quotes a backslash takes \" or \\ after it: write \\\\ "
				 "for one backslash");
			return NULL;
		}
		p[n++] = s.p[i];
	}
	p[n] = '\0';
	return p;
}

static struct str trim(struct str s)
{
	while (s.n && isspace((unsigned char)s.p[0]))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n && isspace((unsigned char)s.p[s.n - 1]))
		s.n--;
	return s;
}

/* A whole number and a unit of the list: 0 or -1. */
static int number_parse(struct str s, const struct unit *units, int64_t *out)
{
	uint64_t v = 0, most = INT64_MAX;
	bool minus = s.n > 0 && s.p[0] == '-';
	size_t i = minus, digits = 0;

	for (; i < s.n && isdigit((unsigned char)s.p[i]); i++, digits++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v) || v > most)
			return -1;
	if (!digits)
		return -1;
	struct str unit = trim((struct str){ s.p + i, s.n - i });

	if (v == 0 && unit.n == 0) { /* nothing of whatever unit */
		*out = 0;
		return 0;
	}
	for (const struct unit *u = units; u->name; u++) {
		if (strlen(u->name) != unit.n || strncasecmp(u->name, unit.p, unit.n) != 0)
			continue;
		if (__builtin_mul_overflow(v, (uint64_t)u->factor, &v) || v > most)
			return -1;
		*out = minus ? -(int64_t)v : (int64_t)v;
		return 0;
	}
	return -1;
}

static int set_number(const struct option *o, int64_t *field, struct str s,
		      const struct unit *units, const char *takes, struct error *err)
{
	int64_t v, limit;

	if (number_parse(s, units, &v) < 0)
		return bad(err, "%s = %.*s is not %s", o->name, STR_FMT(s), takes);
	if (o->min && number_parse(str_z(o->min), units, &limit) == 0 && v < limit)
		return bad(err, "%s = %.*s is too small: at least %s", o->name, STR_FMT(s), o->min);
	if (o->max && number_parse(str_z(o->max), units, &limit) == 0 && v > limit)
		return bad(err, "%s = %.*s is too large: at most %s", o->name, STR_FMT(s), o->max);
	*field = v;
	return 0;
}

static int set_bool(const struct option *o, bool *field, struct str s, struct error *err)
{
	static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };

	for (size_t i = 0; i < COUNT(words); i++) {
		if (str_eqz(s, words[i])) {
			*field = i & 1;
			return 0;
		}
	}
	return bad(err, "%s = %.*s is neither on nor off", o->name, STR_FMT(s));
}

static int set_enum(const struct option *o, int *field, struct str s, struct error *err)
{
	AUTO(buf) struct buf all = { 0 };

	for (int i = 0; o->choices[i]; i++) {
		if (str_eqz(s, o->choices[i])) {
			*field = i;
			return 0;
		}
		buf_addf(&all, "%s%s", i ? ", " : "", o->choices[i]);
	}
	return bad(err, "%s = %.*s is not known: it takes %s", o->name, STR_FMT(s), buf_z(&all));
}

static int add_item(const struct option *o, struct list *list, struct str item, struct arena *a,
		    struct error *err)
{
	if (item.n == 0)
		return bad(err, "%s has an empty item: there is a comma too many", o->name);
	char *text = unquote(item, a, err);

	if (!text)
		return error_prefix(err, "%s", o->name);
	if (list->n % 64 == 0) {
		char **more = arena_alloc(a, (list->n + 64) * sizeof *more);

		if (list->n)
			memcpy(more, list->items, list->n * sizeof *more);
		list->items = more;
	}
	list->items[list->n++] = text;
	return 0;
}

/* Items may be quoted, or the whole list. */
static int set_list(const struct option *o, struct list *field, struct str s, struct arena *a,
		    struct error *err)
{
	struct list list = { 0 };

	if (s.n && s.p[0] == '"' && quoted_length(s) == s.n) {
		char *text = unquote(s, a, err);

		if (!text)
			return error_prefix(err, "%s", o->name);
		s = trim(str_z(text));
	}
	for (size_t from = 0, i = 0; s.n && i <= s.n; i++) {
		if (i < s.n && s.p[i] == '"') {
			size_t quoted = quoted_length((struct str){ s.p + i, s.n - i });

			i += quoted ? quoted - 1 : 0;
		} else if (i == s.n || s.p[i] == ',') {
			if (add_item(o, &list, trim((struct str){ s.p + from, i - from }), a, err) <
			    0)
				return -1;
			from = i + 1;
		}
	}
	*field = list;
	return 0;
}

/* The whole of a password file without the end of its last line. */
static int read_secret(const struct option *o, const char *path, struct arena *a, char **out,
		       struct error *err)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *p = arena_alloc(a, SECRET_MAX + 1);
	size_t n = 0;
	ssize_t got = 1;
	struct stat st;

	if (fd < 0)
		return bad(err, "%s: cannot open the file %s: %s", o->name, path, strerror(errno));
	while (n < SECRET_MAX && (got = read(fd, p + n, SECRET_MAX - n)) > 0)
		n += (size_t)got;
	if (got < 0)
		return bad(err, "%s: cannot read the file %s: %s", o->name, path, strerror(errno));
	if (n == SECRET_MAX || memchr(p, '\0', n))
		return bad(err, "%s: the file %s does not hold a line of text", o->name, path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
		log_warning("a file with a secret can be read by others: chmod 600 it", "file",
			    path, NULL);
	if (n && p[n - 1] == '\n')
		n--;
	if (n && p[n - 1] == '\r')
		n--;
	p[n] = '\0';
	*out = p;
	return 0;
}

/* Puts the environment's values in for ${NAME}; what does not look like one stays. */
static int expand_secret(const struct option *o, const char *p, struct arena *a, char **out,
			 struct error *err)
{
	AUTO(buf) struct buf text = { 0 };

	while (*p) {
		size_t n = strncmp(p, "${", 2) == 0 ? strspn(p + 2, NAME_CHARS) : 0;

		if (n == 0 || p[2 + n] != '}') {
			buf_addc(&text, *p++);
			continue;
		}
		AUTO(free) char *name = xstrndup(p + 2, n);
		const char *value = getenv(name);

		if (!value)
			return bad(err, "%s: the environment has no variable %s", o->name, name);
		buf_adds(&text, value);
		p += n + 3;
	}
	*out = arena_printf(a, "%s", buf_z(&text));
	return 0;
}

static int set_string(const struct option *o, char **field, char *text, struct arena *a,
		      struct error *err)
{
	bool secret = o->flags & OPTION_SECRET;

	if (secret && strncmp(text, "file:", 5) == 0) {
		if (read_secret(o, text + 5, a, &text, err) < 0)
			return -1;
	} else if (secret && expand_secret(o, text, a, &text, err) < 0) {
		return -1;
	}
	*field = *text ? text : NULL;
	return 0;
}

int option_set(const struct option *o, void *base, struct str value, struct arena *a,
	       struct error *err)
{
	void *field = (char *)base + o->offset;

	if (o->type == OPTION_LIST)
		return set_list(o, field, value, a, err);
	char *text = unquote(value, a, err);

	if (!text)
		return error_prefix(err, "%s", o->name);
	struct str s = str_z(text);

	switch (o->type) {
	case OPTION_STRING:
		return set_string(o, field, text, a, err);
	case OPTION_BOOL:
		return set_bool(o, field, s, err);
	case OPTION_ENUM:
		return set_enum(o, field, s, err);
	case OPTION_SIZE:
		return set_number(o, field, s, sizes, "a size, such as 64MB (B, kB, MB, GB, TB)",
				  err);
	case OPTION_TIME:
		return set_number(o, field, s, times,
				  "a time with its unit, such as 10s (us, ms, s, m, h, d)", err);
	default:
		return set_number(o, field, s, plain, "a whole number", err);
	}
}

void option_defaults(const struct option *options, void *base, struct arena *a)
{
	struct error err;

	for (const struct option *o = options; o->name; o++) {
		if (o->initial && option_set(o, base, str_z(o->initial), a, &err) < 0) {
			fprintf(stderr, "tailrace: the default of %s: %s\n", o->name, err.text);
			abort();
		}
	}
}

static bool same_list(const struct list *a, const struct list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

bool option_same(const struct option *o, const void *a, const void *b)
{
	const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

	switch (o->type) {
	case OPTION_STRING: {
		const char *p = *(char *const *)x, *q = *(char *const *)y;

		return p && q ? strcmp(p, q) == 0 : p == q;
	}
	case OPTION_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case OPTION_ENUM:
		return *(const int *)x == *(const int *)y;
	case OPTION_LIST:
		return same_list(x, y);
	default:
		return *(const int64_t *)x == *(const int64_t *)y;
	}
}

bool option_is_default(const struct option *o, const void *base)
{
	AUTO(arena) struct arena a = { 0 };
	char *initial = arena_zalloc(&a, o->offset + sizeof(struct list));

	option_defaults((struct option[]){ *o, { 0 } }, initial, &a);
	return option_same(o, base, initial);
}
