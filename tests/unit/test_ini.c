/*
 * test_ini.c - sections, keys, comments, quotes, lengths, line numbers
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../agent/ini.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

static struct arena arena;
static struct ini ini;
static struct error err;

static int parse(struct str text)
{
	arena_free(&arena);
	memset(&err, 0, sizeof err);
	return ini_parse("a.conf", text, &arena, &ini, &err);
}

static void refused(const char *text, const char *message)
{
	assert_int_equal(parse(str_z(text)), -1);
	assert_string_equal(err.text, message);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
}

static void value_is(const char *line, const char *value)
{
	AUTO(buf) struct buf text = { 0 };

	buf_addf(&text, "[a]\n%s\n", line);
	assert_int_equal(parse((struct str){ text.p, text.n }), 0);
	assert_int_equal(ini.sections[0].n, 1);
	struct str got = ini.sections[0].entries[0].value;

	if (!str_eqz(got, value))
		fail_msg("%s gives '%.*s'", line, STR_FMT(got));
}

static void sections_and_keys(void **state)
{
	(void)state;
	assert_int_equal(parse(STR("\xef\xbb\xbf; c\n# c\n  ; c\n\n[pipeline] ; c\r\nname = erp\r\n"
				   " x=\n[ table   public.My Table ]\n[sink a-b]\nk = a=b")),
			 0);
	assert_int_equal(ini.n, 3);
	assert_true(str_eqz(ini.sections[0].kind, "pipeline"));
	assert_int_equal(ini.sections[0].name.n, 0);
	assert_int_equal(ini.sections[0].line, 5);
	assert_int_equal(ini.sections[0].n, 2);
	assert_int_equal(ini.sections[0].entries[1].line, 7);
	assert_int_equal(ini.sections[0].entries[1].value.n, 0);
	assert_true(str_eqz(ini.sections[1].kind, "table"));
	assert_true(str_eqz(ini.sections[1].name, "public.My Table"));
	assert_true(str_eqz(ini.sections[2].name, "a-b"));
	assert_true(str_eqz(ini.sections[2].entries[0].value, "a=b"));
	assert_int_equal(parse(STR("")), 0);
	assert_int_equal(ini.n, 0);
}

static void comments(void **state)
{
	(void)state;
	value_is("k = a ; c", "a");
	value_is("k = a;b ; c", "a;b");
	value_is("k = a # b", "a # b");
	value_is("k = ; c", "");
	value_is("k =; x", "; x");
	value_is("k = a\t; c", "a");
	value_is("k = \"a ; b\" ; c", "\"a ; b\"");
	value_is("k = \"a \\\" ; b\" ; c", "\"a \\\" ; b\"");
	value_is("k = x, \"a ; b\" ; c", "x, \"a ; b\"");
	value_is("k = 5\" disk ; c", "5\" disk");
	value_is("k = a\\ ; c", "a\\");
}

static void mistakes_name_the_line(void **state)
{
	(void)state;
	refused("a = b", "a.conf:1: a stands before the first [section]");
	refused("\n[a\n", "a.conf:2: a section ends with ]: [a");
	refused("[", "a.conf:1: a section ends with ]: [");
	refused("[a] b", "a.conf:1: a section ends with ]: [a] b");
	refused("[ ]", "a.conf:1: a section needs a name between [ and ]");
	refused("[a]\npassword: hunter2", "a.conf:2: neither [section] nor key = value: password");
	refused("[a]\n= 1", "a.conf:2: there is no key before the =");
	refused("[a]\nb = 1\n\nb = 2", "a.conf:4: b stands in line 2 already");
	refused("[a]\n[b]\n[a]", "a.conf:3: section [a] stands in line 1 already");
	refused("[sink x]\n[sink   x]", "a.conf:2: section [sink   x] stands in line 1 already");
	assert_int_equal(parse(STR("[a]\nb = 1\0\n")), -1);
	assert_string_equal(err.text, "a.conf:2: there is a NUL byte in this line");
}

/* No length limit below 1 MB for lines, section names and values. */
static void long_names_and_values(void **state)
{
	size_t n = 1 << 20;
	AUTO(buf) struct buf text = { 0 };
	AUTO(free) char *x = xmalloc(n + 1);

	(void)state;
	memset(x, 'x', n);
	x[n] = '\0';
	buf_addf(&text, "[table %s]\n%s = %s ; %s\n", x, x, x, x);
	assert_int_equal(parse((struct str){ text.p, text.n }), 0);
	assert_int_equal(ini.sections[0].name.n, n);
	assert_int_equal(ini.sections[0].entries[0].key.n, n);
	assert_int_equal(ini.sections[0].entries[0].value.n, n);
}

static void many_sections_and_keys(void **state)
{
	AUTO(buf) struct buf text = { 0 };

	(void)state;
	for (int i = 0; i < 300; i++)
		buf_addf(&text, "[table t%d]\nkey = k%d\n", i, i);
	for (int i = 0; i < 999; i++)
		buf_addf(&text, "k%d = %d\n", i, i);
	assert_int_equal(parse((struct str){ text.p, text.n }), 0);
	assert_int_equal(ini.n, 300);
	assert_true(str_eqz(ini.sections[17].name, "t17"));
	assert_true(str_eqz(ini.sections[299].entries[999].value, "998"));
	buf_adds(&text, "more = 1\n");
	assert_int_equal(parse((struct str){ text.p, text.n }), -1);
	buf_clear(&text);
	for (int i = 0; i < 10001; i++)
		buf_addf(&text, "[table t%d]\n", i);
	assert_int_equal(parse((struct str){ text.p, text.n }), -1);
	assert_string_equal(err.text, "a.conf:10001: more than 10000 sections");
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_and_keys),      cmocka_unit_test(comments),
		cmocka_unit_test(mistakes_name_the_line), cmocka_unit_test(long_names_and_values),
		cmocka_unit_test(many_sections_and_keys),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
