/*
 * ini.c - splits the text of a configuration file into sections and keys
 */
#include <string.h>

#include "ini.h"

/* Bounds the search for duplicates; lines, names and values have no limit. */
#define MOST_SECTIONS 10000
#define MOST_KEYS     1000

struct reader {
	const char *path;
	int line;
	struct arena *arena;
	struct ini *ini;
	struct error *err;
};

#define refuse(r, format, ...)                                                                     \
	fail_exit((r)->err, EXIT_USAGE, "%s:%d: " format, (r)->path, (r)->line, ##__VA_ARGS__)

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
	while (s.n && blank(s.p[0]))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Length of the double-quoted text at s.p[i]; 1 if the quote is never closed and means itself. */
static size_t quoted(struct str s, size_t i)
{
	for (size_t k = i + 1; k < s.n; k++) {
		if (s.p[k] == '"')
			return k + 1 - i;
		if (s.p[k] == '\\')
			k++;
	}
	return 1;
}

/* Cuts a comment: ";" behind a blank, outside double quotes. */
static struct str uncomment(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			i += quoted(s, i) - 1;
		else if (s.p[i] == ';' && i > 0 && blank(s.p[i - 1]))
			return (struct str){ s.p, i };
	}
	return s;
}

/* An array grows by doubling at each power of two. */
static void *grow(struct arena *a, void *old, size_t n, size_t size)
{
	if (n & (n - 1))
		return old;
	void *p = arena_alloc(a, (n ? 2 * n : 1) * size);

	if (n)
		memcpy(p, old, n * size);
	return p;
}

static int add_section(struct reader *r, struct str line)
{
	struct ini *ini = r->ini;

	line = trim(uncomment(line));
	if (line.p[line.n - 1] != ']')
		return refuse(r, "a section ends with ]: %.*s", STR_FMT(line));
	struct str kind = trim((struct str){ line.p + 1, line.n - 2 }), name = { NULL, 0 };

	for (size_t i = 0; i < kind.n; i++) {
		if (blank(kind.p[i])) {
			name = trim((struct str){ kind.p + i, kind.n - i });
			kind.n = i;
		}
	}
	if (kind.n == 0)
		return refuse(r, "a section needs a name between [ and ]");
	for (size_t i = 0; i < ini->n; i++)
		if (str_eq(ini->sections[i].kind, kind) && str_eq(ini->sections[i].name, name))
			return refuse(r, "section %.*s stands in line %d already", STR_FMT(line),
				      ini->sections[i].line);
	if (ini->n == MOST_SECTIONS)
		return refuse(r, "more than %d sections", MOST_SECTIONS);
	ini->sections = grow(r->arena, ini->sections, ini->n, sizeof *ini->sections);
	ini->sections[ini->n++] =
		(struct ini_section){ .kind = kind, .name = name, .line = r->line };
	return 0;
}

static int add_entry(struct reader *r, struct str line)
{
	const char *equals = memchr(line.p, '=', line.n);

	if (!equals) { /* what follows the first word might be a secret */
		size_t word = 0;

		while (word < line.n && !blank(line.p[word]) && line.p[word] != ':')
			word++;
		return refuse(r, "neither [section] nor key = value: %.*s", (int)word, line.p);
	}
	struct str key = trim((struct str){ line.p, (size_t)(equals - line.p) });
	struct str value = { equals, line.n - (size_t)(equals - line.p) };

	value = uncomment((struct str){ value.p + 1, value.n - 1 });
	if (key.n == 0)
		return refuse(r, "there is no key before the =");
	if (r->ini->n == 0)
		return refuse(r, "%.*s stands before the first [section]", STR_FMT(key));
	struct ini_section *s = &r->ini->sections[r->ini->n - 1];

	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->entries[i].key, key))
			return refuse(r, "%.*s stands in line %d already", STR_FMT(key),
				      s->entries[i].line);
	if (s->n == MOST_KEYS)
		return refuse(r, "more than %d keys in one section", MOST_KEYS);
	s->entries = grow(r->arena, s->entries, s->n, sizeof *s->entries);
	s->entries[s->n++] = (struct ini_entry){ key, trim(value), r->line };
	return 0;
}

int ini_parse(const char *path, struct str text, struct arena *a, struct ini *out,
	      struct error *err)
{
	struct reader r = { path, 0, a, out, err };
	const char *p = text.p, *end = text.p + text.n;

	*out = (struct ini){ 0 };
	if (text.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3; /* a byte order mark */
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct str line = { p, (size_t)((eol ? eol : end) - p) };

		r.line++;
		p = eol ? eol + 1 : end;
		line = trim(line);
		if (line.n == 0 || line.p[0] == ';' || line.p[0] == '#')
			continue;
		if (memchr(line.p, '\0', line.n))
			return refuse(&r, "there is a NUL byte in this line");
		if ((line.p[0] == '[' ? add_section : add_entry)(&r, line) < 0)
			return -1;
	}
	return 0;
}
