/*
 * mysql_tokens.c - the tokens of a statement of MySQL or MariaDB
 *
 * Blanks and comments separate: "-- x", "# x", "/+ x +/" (with stars).  An executable comment, which begins with
 * "/+!", "/+!80023", "/+M!" or "/+M!100100", is read as if its marks were not there: a server that did not
 * execute one has blanked its "!" in the log.
 */
#include <strings.h>

#include "mysql_ddl.h"
#include "mysql_tokens.h"

struct mysql_tokens mysql_tokens_of(struct str sql, uint64_t sql_mode)
{
	return (struct mysql_tokens){ sql.p, sql.n ? sql.p + sql.n : sql.p, sql_mode, 0, false };
}

static size_t left(const struct mysql_tokens *t)
{
	return (size_t)(t->end - t->p);
}

static bool ahead(const struct mysql_tokens *t, const char *what, size_t n)
{
	return left(t) >= n && memcmp(t->p, what, n) == 0;
}

static bool blank(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool wordly(char c)
{
	return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '$' || (unsigned char)c >= 0x80;
}

static void skip_line(struct mysql_tokens *t)
{
	const char *nl = memchr(t->p, '\n', left(t));

	t->p = nl ? nl + 1 : t->end;
}

static void skip_comment(struct mysql_tokens *t)
{
	const char *close = left(t) > 2 ? memmem(t->p + 2, left(t) - 2, "*/", 2) : NULL;

	if (!close)
		t->broken = true;
	t->p = close ? close + 2 : t->end;
}

/* The marks of an executable comment's beginning; its number has five or six digits. */
static bool skip_executable(struct mysql_tokens *t)
{
	size_t marks = ahead(t, "/*!", 3) ? 3 : ahead(t, "/*M!", 4) ? 4 : 0;

	if (!marks)
		return false;
	t->p += marks;
	for (int i = 0; i < 6 && t->p < t->end && digit(*t->p); i++)
		t->p++;
	t->executable++;
	return true;
}

/* One run of blanks or one comment; false: a token begins here. */
static bool skip_once(struct mysql_tokens *t)
{
	if (t->p == t->end)
		return false;
	if (blank(*t->p)) {
		while (t->p < t->end && blank(*t->p))
			t->p++;
		return true;
	}
	if (*t->p == '#' || (ahead(t, "--", 2) && (left(t) == 2 || blank(t->p[2])))) {
		skip_line(t);
		return true;
	}
	if (t->executable && ahead(t, "*/", 2)) {
		t->executable--;
		t->p += 2;
		return true;
	}
	if (skip_executable(t))
		return true;
	if (!ahead(t, "/*", 2))
		return false;
	skip_comment(t);
	return true;
}

static bool backslashes(char quote, enum mysql_token_kind kind, uint64_t sql_mode)
{
	return quote != '`' && kind == MYSQL_TOKEN_STRING &&
	       !(sql_mode & MYSQL_MODE_NO_BACKSLASH_ESCAPES);
}

static void read_quoted(struct mysql_tokens *t, struct mysql_token *out)
{
	char quote = *t->p++;
	bool name = quote == '`' || (quote == '"' && (t->sql_mode & MYSQL_MODE_ANSI_QUOTES));

	out->kind = name ? MYSQL_TOKEN_NAME : MYSQL_TOKEN_STRING;
	out->quote = quote;
	out->raw.p = t->p;
	bool escapes = backslashes(quote, out->kind, t->sql_mode);

	while (t->p < t->end) {
		if (*t->p == '\\' && escapes && left(t) > 1) {
			t->p += 2;
		} else if (*t->p != quote) {
			t->p++;
		} else if (left(t) > 1 && t->p[1] == quote) {
			t->p += 2;
		} else {
			out->raw.n = (size_t)(t->p++ - out->raw.p);
			return;
		}
	}
	out->raw.n = (size_t)(t->p - out->raw.p);
	t->broken = true;
}

struct mysql_token mysql_token_next(struct mysql_tokens *t)
{
	struct mysql_token out = { MYSQL_TOKEN_END, { t->p, 0 }, 0, false };

	while (skip_once(t))
		out.spaced = true;
	if (t->p == t->end) {
		t->broken |= t->executable > 0;
		return out;
	}
	out.raw = (struct str){ t->p, 1 };
	if (*t->p == '\'' || *t->p == '"' || *t->p == '`') {
		read_quoted(t, &out);
	} else if (wordly(*t->p)) {
		out.kind = MYSQL_TOKEN_WORD;
		while (t->p < t->end && wordly(*t->p))
			t->p++;
		out.raw.n = (size_t)(t->p - out.raw.p);
	} else {
		out.kind = MYSQL_TOKEN_MARK;
		t->p++;
	}
	return out;
}

bool mysql_token_is(const struct mysql_token *t, const char *word)
{
	return t->kind == MYSQL_TOKEN_WORD && t->raw.n == strlen(word) &&
	       strncasecmp(t->raw.p, word, t->raw.n) == 0;
}

bool mysql_token_mark(const struct mysql_token *t, char mark)
{
	return t->kind == MYSQL_TOKEN_MARK && *t->raw.p == mark;
}

bool mysql_token_named(const struct mysql_token *t)
{
	return t->kind == MYSQL_TOKEN_WORD || t->kind == MYSQL_TOKEN_NAME;
}

static char unescaped(char c)
{
	switch (c) {
	case '0':
		return '\0';
	case 'b':
		return '\b';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'Z':
		return '\x1a';
	default:
		return c;
	}
}

struct str mysql_token_text(const struct mysql_token *t, uint64_t sql_mode, struct arena *a)
{
	struct str s = t->raw;
	bool escapes = backslashes(t->quote, t->kind, sql_mode);

	if (!t->quote || !s.n ||
	    (!memchr(s.p, t->quote, s.n) && !(escapes && memchr(s.p, '\\', s.n))))
		return s;
	char *to = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && escapes && i + 1 < s.n)
			to[n++] = unescaped(s.p[++i]);
		else if (s.p[i] == t->quote && i + 1 < s.n)
			to[n++] = s.p[++i]; /* doubled */
		else
			to[n++] = s.p[i];
	}
	return (struct str){ to, n };
}
