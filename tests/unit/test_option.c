/*
 * test_option.c - values, ranges, defaults, secrets, nearest names
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../sinks/settings.h"
#include "log.h"
#include "source.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

struct all {
	char *text, *secret;
	bool on;
	int64_t number, size, time;
	int choice;
	struct list list;
};

static const char *const choices[] = { "red", "green", "blue", NULL };

static const struct option table[] = {
	OPT_STRING(all, text, "text", "abc", 0, "."),
	OPT_STRING(all, secret, "secret", NULL, OPTION_SECRET, "."),
	OPT_BOOL(all, on, "on", "on", 0, "."),
	OPT_INT(all, number, "number", "7", "-5", "1000", 0, "."),
	OPT_SIZE(all, size, "size", "64MB", "1kB", "1TB", 0, "."),
	OPT_TIME(all, time, "time", "10s", "0", "7d", 0, "."),
	OPT_ENUM(all, choice, "choice", "green", choices, 0, "."),
	OPT_LIST(all, list, "list", "a, b", 0, "."),
	OPT_END,
};

static struct all values;
static struct arena arena;
static struct error err;

static int set(const char *name, const char *value)
{
	const struct option *o = option_find(table, str_z(name));

	assert_non_null(o);
	memset(&err, 0, sizeof err);
	return option_set(o, &values, str_z(value), &arena, &err);
}

static void refused(const char *name, const char *value, const char *why)
{
	assert_int_equal(set(name, value), -1);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	if (!strstr(err.text, why) || !strstr(err.text, name))
		fail_msg("'%s' names neither %s nor %s", err.text, name, why);
}

static int setup(void **state)
{
	(void)state;
	values = (struct all){ 0 };
	option_defaults(table, &values, &arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void defaults_are_set(void **state)
{
	(void)state;
	assert_string_equal(values.text, "abc");
	assert_null(values.secret);
	assert_true(values.on);
	assert_int_equal(values.number, 7);
	assert_int_equal(values.size, 64 << 20);
	assert_int_equal(values.time, 10000000);
	assert_int_equal(values.choice, 1);
	assert_int_equal(values.list.n, 2);
	assert_string_equal(values.list.items[1], "b");
	for (const struct option *o = table; o->name; o++)
		assert_true(option_is_default(o, &values));
	assert_null(option_find(table, STR("other")));
}

static void a_changed_value_is_not_the_default(void **state)
{
	static const char *const other[][2] = {
		{ "text", "abd" }, { "text", "" },     { "secret", "x" }, { "on", "off" },
		{ "number", "8" }, { "size", "1MB" },  { "time", "11s" }, { "choice", "red" },
		{ "list", "a" },   { "list", "a, c" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(other); i++) {
		assert_int_equal(set(other[i][0], other[i][1]), 0);
		assert_false(option_is_default(option_find(table, str_z(other[i][0])), &values));
		setup(NULL);
	}
	assert_int_equal(set("time", "10000ms"), 0);
	assert_true(option_is_default(option_find(table, STR("time")), &values));
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} good[] = {
		{ "4096", 4096 },
		{ "4096B", 4096 },
		{ "512kB", 512 << 10 },
		{ "512KB", 512 << 10 },
		{ "64 MB", 64 << 20 },
		{ "1GB", 1 << 30 },
		{ "1TB", INT64_C(1) << 40 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(set("size", good[i].text), 0);
		assert_int_equal(values.size, good[i].value);
	}
	refused("size", "1.5GB", "is not a size");
	refused("size", "64XB", "64XB");
	refused("size", "", "is not a size");
	refused("size", "MB", "is not a size");
	refused("size", "1023", "at least 1kB");
	refused("size", "-1MB", "at least 1kB");
	refused("size", "2TB", "at most 1TB");
	refused("size", "99999999999999999999", "is not a size");
	refused("size", "9223372036854775807TB", "is not a size");
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} good[] = {
		{ "0", 0 },
		{ "250us", 250 },
		{ "100ms", 100000 },
		{ "10s", 10000000 },
		{ "5m", 300000000 },
		{ "24h", INT64_C(86400000000) },
		{ "7d", INT64_C(604800000000) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(set("time", good[i].text), 0);
		assert_int_equal(values.time, good[i].value);
	}
	refused("time", "10", "with its unit");
	refused("time", "10 weeks", "with its unit");
	refused("time", "8d", "at most 7d");
}

static void numbers_and_words(void **state)
{
	(void)state;
	assert_int_equal(set("number", "-5"), 0);
	assert_int_equal(values.number, -5);
	refused("number", "-6", "at least -5");
	refused("number", "1001", "at most 1000");
	refused("number", "1k", "whole number");
	refused("number", "0x10", "whole number");
	assert_int_equal(set("on", "no"), 0);
	assert_false(values.on);
	assert_int_equal(set("on", "1"), 0);
	assert_true(values.on);
	refused("on", "maybe", "neither on nor off");
	assert_int_equal(set("choice", "\"blue\""), 0);
	assert_int_equal(values.choice, 2);
	refused("choice", "pink", "red, green, blue");
}

static void quotes(void **state)
{
	(void)state;
	assert_int_equal(set("text", "\" a \\\"b\\\" \\\\ ; c \""), 0);
	assert_string_equal(values.text, " a \"b\" \\ ; c ");
	assert_int_equal(set("text", "a\\b \"c\""), 0);
	assert_string_equal(values.text, "a\\b \"c\"");
	assert_int_equal(set("text", "\"\""), 0);
	assert_null(values.text);
	refused("text", "\"abc", "not closed");
	refused("text", "\"abc\\\"", "not closed");
	refused("text", "\"abc\" d", "after the closing");
	refused("text", "\"a\\nb\"", "backslash");
}

static void lists(void **state)
{
	(void)state;
	assert_int_equal(set("list", "public.*,  !public.*_tmp ,x"), 0);
	assert_int_equal(values.list.n, 3);
	assert_string_equal(values.list.items[1], "!public.*_tmp");
	assert_int_equal(set("list", "\"a, b\""), 0);
	assert_int_equal(values.list.n, 2);
	assert_int_equal(set("list", "\"a, b\", c, \"d \\\" \""), 0);
	assert_int_equal(values.list.n, 3);
	assert_string_equal(values.list.items[0], "a, b");
	assert_string_equal(values.list.items[2], "d \" ");
	assert_int_equal(set("list", ""), 0);
	assert_int_equal(values.list.n, 0);
	refused("list", "a,,b", "empty item");
	refused("list", "a,", "empty item");
	refused("list", "a, \"b\" c", "after the closing");
	refused("list", "\"a\\b\"", "backslash");
	AUTO(buf) struct buf many = { 0 };

	for (int i = 0; i < 200; i++)
		buf_addf(&many, "%st%d", i ? "," : "", i);
	assert_int_equal(set("list", buf_z(&many)), 0);
	assert_int_equal(values.list.n, 200);
	assert_string_equal(values.list.items[199], "t199");
}

static void secrets_come_from_the_environment(void **state)
{
	(void)state;
	setenv("TR_SECRET", "s3 cret", 1);
	unsetenv("TR_NONE");
	assert_int_equal(set("secret", "${TR_SECRET}"), 0);
	assert_string_equal(values.secret, "s3 cret");
	assert_int_equal(set("secret", "a${TR_SECRET}b${TR_SECRET}"), 0);
	assert_string_equal(values.secret, "as3 cretbs3 cret");
	assert_int_equal(set("secret", "a${ $b ${x ${}"), 0);
	assert_string_equal(values.secret, "a${ $b ${x ${}");
	refused("secret", "${TR_NONE}", "TR_NONE");
	assert_int_equal(set("text", "${TR_SECRET}"), 0); /* only secrets */
	assert_string_equal(values.text, "${TR_SECRET}");
}

static void secrets_come_from_files(void **state)
{
	char path[] = "/tmp/test_option.XXXXXX", value[64];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	snprintf(value, sizeof value, "file:%s", path);
	assert_int_equal(write(fd, "${NOT_EXPANDED} x\r\n", 19), 19);
	assert_int_equal(set("secret", value), 0);
	assert_string_equal(values.secret, "${NOT_EXPANDED} x");
	assert_int_equal(write(fd, "\0", 1), 1);
	refused("secret", value, "line of text");
	close(fd);
	unlink(path);
	refused("secret", value, "cannot open");
	refused("secret", "file:/tmp", "cannot read");
}

static void nearest_names(void **state)
{
	static const char *const names[] = { "tables", "type", "compression", "url", "retain_max" };

	(void)state;
	assert_string_equal(nearest_name("tabels", names, COUNT(names)), "tables");
	assert_string_equal(nearest_name("uri", names, COUNT(names)), "url");
	assert_string_equal(nearest_name("compress", names, COUNT(names)), "compression");
	assert_string_equal(nearest_name("retainmax", names, COUNT(names)), "retain_max");
	assert_null(nearest_name("something_else", names, COUNT(names)));
	char longer[200];

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_null(nearest_name(longer, names, COUNT(names)));
}

/* Every table of the program: defaults in range, help there, later values among the choices. */
static void check_table(const struct option *options)
{
	char base[1024] = { 0 };

	option_defaults(options, base, &arena);
	for (const struct option *o = options; o->name; o++) {
		assert_true(o->help && o->help[strlen(o->help) - 1] == '.');
		assert_true(o->type != OPTION_ENUM || o->choices);
		assert_true(!o->min == !o->max);
		for (size_t i = 0; o->later && o->later[i]; i++) {
			bool found = false;

			for (size_t k = 0; o->choices[k]; k++)
				found |= strcmp(o->choices[k], o->later[i]) == 0;
			assert_true(found);
			assert_true(!o->initial || strcmp(o->initial, o->later[i]) != 0);
		}
	}
}

static void tables_are_sound(void **state)
{
	(void)state;
	for (const struct section *s = sections; s->name; s++)
		check_table(s->options);
	for (const struct sink_type *t = sink_types; t->name; t++)
		check_table(t->options);
	check_table(table_options);
	check_table(sink_options);
}

/* The enums of the headers are indices into the choices. */
static void enums_are_in_the_order_of_the_choices(void **state)
{
	const struct option *source = NULL, *sqlite = NULL, *files = NULL;

	(void)state;
	for (const struct section *s = sections; s->name; s++)
		if (strcmp(s->name, "source") == 0)
			source = s->options;
	for (const struct sink_type *t = sink_types; t->name; t++) {
		sqlite = strcmp(t->name, "sqlite") == 0 ? t->options : sqlite;
		files = strcmp(t->name, "files") == 0 ? t->options : files;
	}
	const struct option *type = option_find(source, STR("type"));

	for (size_t i = 0; source_types[i].name; i++) {
		assert_string_equal(type->choices[i], source_types[i].name);
		assert_true(source_types[i].ops ||
			    strcmp(type->later[0], source_types[i].name) == 0);
	}
#define CHOICE(table, key, value, text)                                                            \
	assert_string_equal(option_find(table, STR(key))->choices[value], text)
	CHOICE(source, "ack", ACK_SPOOL, "spool");
	CHOICE(source, "on_error", ON_ERROR_STOP, "stop");
	CHOICE(source, "invalid_bytes", INVALID_BYTES_BYTES, "bytes");
	CHOICE(sqlite, "evolve", EVOLVE_ADD, "add");
	CHOICE(sqlite, "deletes", DELETES_SOFT, "soft");
	CHOICE(sqlite, "truncates", TRUNCATES_IGNORE, "ignore");
	CHOICE(sqlite, "unrepresentable", UNREPRESENTABLE_TEXT, "text");
	CHOICE(sqlite, "on_reload", ON_RELOAD_SNAPSHOT, "snapshot");
	CHOICE(files, "format", FORMAT_FLAT, "flat");
	CHOICE(files, "compression", COMPRESSION_DEFLATE, "deflate");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_set),
		TEST(a_changed_value_is_not_the_default),
		TEST(sizes),
		TEST(times),
		TEST(numbers_and_words),
		TEST(quotes),
		TEST(lists),
		TEST(secrets_come_from_the_environment),
		TEST(secrets_come_from_files),
		TEST(nearest_names),
		TEST(tables_are_sound),
		TEST(enums_are_in_the_order_of_the_choices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
