/*
 * main.c - finds the command
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

static void print_usage(FILE *to)
{
	fprintf(to, "usage: tailrace COMMAND [OPTIONS]\n\n"
		    "Carries every committed change of a database into other systems, in order and "
		    "once.\n\n");
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-10s  %s\n", c->name, c->summary);
	fprintf(to,
		"\n`tailrace COMMAND --help` shows the options of a command and an example.\n"
		"Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 check found problems,\n"
		"4 fenced by another instance, 5 the source's log is gone, 6 differences found.\n");
}

static int unknown_command(const char *name)
{
	const char *names[32], *near;
	size_t n = 0;

	for (const struct command *c = commands; c->name && n < COUNT(names); c++)
		names[n++] = c->name;
	near = nearest_name(name, names, n);
	if (near)
		return command_usage("unknown command '%s'; the nearest is '%s'", name, near);
	return command_usage("unknown command '%s'; `tailrace --help` lists them", name);
}

/* A full disk behind standard output must not look like success. */
static int finish(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	fprintf(stderr, "tailrace: cannot write to standard output\n");
	return rc == EXIT_DONE ? EXIT_FAILED : rc;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	setlocale(LC_ALL, "C");
	if (!name) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return finish(EXIT_DONE);
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return finish(cmd_version(1, (char *[]){ argv[0], NULL }));
	const struct command *c = command_find(name);

	return c ? finish(c->run(argc - 1, argv + 1)) : unknown_command(name);
}
