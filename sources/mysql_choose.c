/*
 * mysql_choose.c - which tables the patterns of source.tables ask for
 */
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>
#include <wctype.h>

#include "mysql_catalog.h"
#include "mysql_schema.h"

/* Code point of the sequence of n bytes at p, which is valid. */
static wchar_t code_point(const uint8_t *p, size_t n)
{
	static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t v = p[0] & first[n];

	for (size_t i = 1; i < n; i++)
		v = v << 6 | (p[i] & 0x3f);
	return (wchar_t)v;
}

static void put_code_point(struct buf *out, uint32_t v)
{
	if (v < 0x80) {
		buf_addc(out, (char)v);
	} else if (v < 0x800) {
		buf_addc(out, (char)(0xc0 | v >> 6));
		buf_addc(out, (char)(0x80 | (v & 0x3f)));
	} else if (v < 0x10000) {
		buf_addc(out, (char)(0xe0 | v >> 12));
		buf_addc(out, (char)(0x80 | (v >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (v & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | v >> 18));
		buf_addc(out, (char)(0x80 | (v >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (v >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (v & 0x3f)));
	}
}

struct str mysql_lower(struct str s, struct arena *a)
{
	AUTO(buf) struct buf out = { 0 };
	locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);

	for (size_t i = 0; i < s.n;) {
		const uint8_t *p = (const uint8_t *)s.p + i;
		size_t n = utf8_length(p, s.n - i);

		if (n > 1 && unicode)
			put_code_point(&out,
				       (uint32_t)towlower_l((wint_t)code_point(p, n), unicode));
		else if (n == 1 && *p >= 'A' && *p <= 'Z')
			buf_addc(&out, (char)(*p + ('a' - 'A')));
		else
			buf_add(&out, p, n ? n : 1);
		i += n ? n : 1;
	}
	if (unicode)
		freelocale(unicode);
	return arena_copy(a, (struct str){ out.p ? out.p : "", out.n });
}

static bool own(struct str name)
{
	return name.n >= 9 && memcmp(name.p, "tailrace_", 9) == 0;
}

bool mysql_captured(const struct list *patterns, int names, struct str db, struct str table)
{
	AUTO(arena) struct arena a = { 0 };

	if (names) {
		db = mysql_lower(db, &a);
		table = mysql_lower(table, &a);
	}
	if (mysql_schema_system(db) || own(db) || own(table))
		return false;
	if (!names)
		return patterns_match(patterns, db, table);
	AUTO(free) char **items = xcalloc(patterns->n, sizeof *items);
	struct list folded = { items, patterns->n };

	for (size_t i = 0; i < patterns->n; i++) {
		struct str pattern = mysql_lower(str_z(patterns->items[i]), &a);

		items[i] = arena_alloc(&a, pattern.n + 1);
		memcpy(items[i], pattern.p, pattern.n);
		items[i][pattern.n] = '\0';
	}
	return patterns_match(&folded, db, table);
}

int mysql_choose(const struct list *patterns, int names, const struct mysql_table *tables, size_t n,
		 bool *wanted, struct error *err)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		wanted[i] = !tables[i].sequence &&
			    mysql_captured(patterns, names, tables[i].schema, tables[i].name);
		any |= wanted[i];
	}
	for (size_t p = 0; p < patterns->n; p++) {
		struct list one = { &patterns->items[p], 1 };
		bool found = patterns->items[p][0] == '!';

		for (size_t i = 0; i < n && !found; i++)
			found = !tables[i].sequence &&
				mysql_captured(&one, names, tables[i].schema, tables[i].name);
		if (!found)
			return fail_exit(
				err, EXIT_USAGE,
				"source.tables: \"%s\" matches no table of this server that "
				"this user may read; correct the pattern (database.table, "
				"with * and ?), create the table, or GRANT SELECT on it",
				patterns->items[p]);
	}
	return any ? 0
		   : fail_exit(err, EXIT_USAGE,
			       "source.tables selects no table of this server: all are excluded");
}

int mysql_names_rule(struct mysql_conn *c, int *names, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows r = { 0 };

	if (mysql_query_rows(c, "SELECT @@lower_case_table_names", &r, err))
		return -1;
	struct str value = mysql_cell(&r, 0, 0);

	*names = value.n ? value.p[0] - '0' : 0;
	return 0;
}
