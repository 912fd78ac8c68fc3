/*
 * test_option_doc.c - the reference is complete, valid, and what the repository holds is current
 *
 * Run from the root of the repository, as `make check` does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

static void every_key_is_in_every_format(void **state)
{
	(void)state;
	for (int format = OPTIONS_TEXT; format <= OPTIONS_CONF; format++) {
		AUTO(buf) struct buf out = { 0 };

		options_print((enum option_format)format, &out);
		buf_z(&out);
		for (const struct section *s = sections; s->name; s++)
			for (const struct option *o = s->options; o->name; o++)
				if (!strstr(out.p, o->name))
					fail_msg("format %d has no %s", format, o->name);
		for (const struct sink_type *t = sink_types; t->name; t++)
			for (const struct option *o = t->options; o->name; o++)
				if (!strstr(out.p, o->name))
					fail_msg("format %d has no %s", format, o->name);
	}
}

/* The sample is a configuration, and still one when its defaults are put in. */
static void the_sample_parses(void **state)
{
	AUTO(buf) struct buf out = { 0 };
	struct error err;

	(void)state;
	options_print(OPTIONS_CONF, &out);
	struct config *c = config_parse("sample", (struct str){ out.p, out.n }, &err);

	if (!c)
		fail_msg("%s", err.text);
	assert_string_equal(c->pipeline.name, "erp");
	assert_int_equal(c->nsinks, 4);
	config_free(c);
}

/* No line of the man page is taken for a request by accident. */
static void the_man_page_escapes(void **state)
{
	static const char *const requests[] = { ".TH", ".SH", ".SS", ".TP", ".B", ".I" };
	AUTO(buf) struct buf out = { 0 };
	char *rest;

	(void)state;
	options_print(OPTIONS_MAN, &out);
	for (char *line = strtok_r(buf_z(&out), "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		bool known = *line != '.' && *line != '\'';

		for (size_t i = 0; i < COUNT(requests); i++)
			known |= strncmp(line, requests[i], strlen(requests[i])) == 0;
		if (!known)
			fail_msg("a request by accident: %s", line);
	}
}

static void is_current(enum option_format format, const char *path)
{
	AUTO(buf) struct buf out = { 0 }, held = { 0 };
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		fail_msg("cannot open %s: run in the root of the repository", path);
	do {
		n = fread(buf_more(&held, 4096), 1, 4096, f);
		held.n += n;
	} while (n > 0);
	fclose(f);
	options_print(format, &out);
	if (strcmp(buf_z(&out), buf_z(&held)) != 0)
		fail_msg("%s is not current: run make docs", path);
}

static void what_is_kept_is_current(void **state)
{
	(void)state;
	is_current(OPTIONS_MARKDOWN, "docs/options.md");
	is_current(OPTIONS_MAN, "docs/tailrace.1");
	is_current(OPTIONS_CONF, "deploy/tailrace.conf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_in_every_format),
		cmocka_unit_test(the_sample_parses),
		cmocka_unit_test(the_man_page_escapes),
		cmocka_unit_test(what_is_kept_is_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
