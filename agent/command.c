/*
 * command.c - the table of commands, their flags and --help
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

#define MAX_FLAGS 16

const struct command commands[] = {
	{ "check", "[-c FILE] [--fix-sql FILE] [--undo-sql FILE] [--json]",
	  "look at source and sinks before the first run; exact SQL to fix each finding",
	  "tailrace check -c /etc/tailrace/erp.conf --fix-sql fix.sql", cmd_check },
	{ "run", "[-c FILE] [--until-idle]",
	  "the agent; --until-idle: end once all that was committed is in every sink",
	  "tailrace run -c /etc/tailrace/erp.conf", cmd_run },
	{ "status", "[-c FILE] [--json] [--watch]",
	  "lag, positions, retention, sinks and tables of the running agent",
	  "tailrace status -c /etc/tailrace/erp.conf --watch", cmd_status },
	{ "snapshot",
	  "[-c FILE] start|pause|resume|cancel|list [TABLE...] [--where SQL] [--sink NAME] "
	  "[--json] [--watch]",
	  "load tables (again), hold that up or end it, and show how far it is",
	  "tailrace snapshot -c /etc/tailrace/erp.conf start public.orders --where \"year >= "
	  "2024\"",
	  cmd_snapshot },
	{ "events",
	  "[-c FILE | PATH...] [--table T] [--key JSON] [--from POS|TIME] [--to POS|TIME] "
	  "[--format json|jsonl]",
	  "read the spool, or Avro files and folders of them, as JSON lines",
	  "tailrace events -c /etc/tailrace/erp.conf --table public.orders --key '{\"id\":4711}'",
	  cmd_events },
	{ "schema", "[-c FILE] list|show [TABLE] [--version N] [--json]",
	  "table versions and their Avro schemas", "tailrace schema show public.orders",
	  cmd_schema },
	{ "options", "[--format text|man|markdown|conf]",
	  "every setting, generated from the options tables",
	  "tailrace options --format conf > tailrace.conf", cmd_options },
	{ "version", "", "version of the program and of its libraries", "tailrace version",
	  cmd_version },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

int command_failed(const struct error *err)
{
	fprintf(stderr, "tailrace: %s\n", err->text);
	return error_exit(err);
}

int command_usage(const char *format, ...)
{
	struct error err = { .exit = EXIT_USAGE };
	va_list ap;

	va_start(ap, format);
	vsnprintf(err.text, sizeof err.text, format, ap);
	va_end(ap);
	return command_failed(&err);
}

struct config *command_config(const char *path)
{
	struct error err;
	struct config *c = config_load(path, &err);

	if (!c)
		command_failed(&err);
	return c;
}

static void print_help(const char *name, const struct flag *flags)
{
	const struct command *c = command_find(name);

	if (c)
		printf("usage: tailrace %s%s%s\n\n%s\n\n", name, *c->usage ? " " : "", c->usage,
		       c->summary);
	for (const struct flag *f = flags; f->name; f++) {
		char left[64], letter[8] = "";

		if (f->letter)
			snprintf(letter, sizeof letter, "-%c, ", f->letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->argument ? " " : "",
			 f->argument ? f->argument : "");
		printf("  %-24s  %s\n", left, f->help);
	}
	printf("  %-24s  this text\n", "-h, --help");
	if (c)
		printf("\nExample:\n  %s\n", c->example);
}

/* The flag that `text` (behind its dashes) names, or NULL; *value is what follows "=" or the letter. */
static const struct flag *find_flag(const struct flag *flags, const char *text, bool is_long,
				    const char **value)
{
	size_t n = is_long ? strcspn(text, "=") : 1;

	*value = !is_long && text[1] ? text + 1 : is_long && text[n] ? text + n + 1 : NULL;
	for (const struct flag *f = flags; f->name; f++)
		if (is_long ? strlen(f->name) == n && memcmp(f->name, text, n) == 0
			    : f->letter && f->letter == *text)
			return f;
	return NULL;
}

static int unknown_flag(const char *command, const struct flag *flags, const char *text)
{
	const char *names[MAX_FLAGS + 1], *near;
	size_t n = 0;

	for (const struct flag *f = flags; f->name && n < MAX_FLAGS; f++)
		names[n++] = f->name;
	near = nearest_name(text + strspn(text, "-"), names, n);
	if (near)
		return command_usage("%s: unknown option %s; the nearest is --%s", command, text,
				     near);
	return command_usage("%s: unknown option %s; see `tailrace %s --help`", command, text,
			     command);
}

/* Reads the flag at argv[*i], and its argument, which may be argv[*i + 1]; -1 to go on. */
static int take_flag(int argc, char **argv, int *i, const struct flag *flags)
{
	const char *text = argv[*i], *value;
	bool is_long = text[1] == '-';

	if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
		print_help(argv[0], flags);
		return EXIT_DONE;
	}
	const struct flag *f = find_flag(flags, text + (is_long ? 2 : 1), is_long, &value);

	if (!f)
		return unknown_flag(argv[0], flags, text);
	if (!f->argument) {
		if (value)
			return command_usage("%s: --%s takes no argument", argv[0], f->name);
		*f->on = true;
		return -1;
	}
	if (!value && *i + 1 < argc)
		value = argv[++*i];
	if (!value)
		return command_usage("%s: --%s needs an argument: %s", argv[0], f->name,
				     f->argument);
	*f->value = value;
	return -1;
}

int command_flags(int argc, char **argv, const struct flag *flags, int most, int *operands)
{
	int kept = 0; /* operands seen so far: moved to argv[1..kept], then to the end */
	int i;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[++kept] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0)
			break;
		int rc = take_flag(argc, argv, &i, flags);

		if (rc >= 0)
			return rc;
	}
	for (i++; i < argc; i++) /* behind "--" */
		argv[++kept] = argv[i];
	if (kept > most)
		return command_usage("%s: unexpected argument '%s'; see `tailrace %s --help`",
				     argv[0], argv[most + 1], argv[0]);
	for (i = kept; i >= 1; i--)
		argv[argc - 1 - (kept - i)] = argv[i];
	*operands = argc - kept;
	return -1;
}
