/*
 * command.h - the commands of `tailrace`, and what they share
 *
 * A command gets argv from its own name on (argv[0] = "status") and returns the exit code.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "config.h"

#define CONFIG_FILE	"/etc/tailrace/tailrace.conf"

struct command {
	const char	*name;
	const char	*usage;		/* what follows the name: "-c FILE [--until-idle]" */
	const char	*summary;	/* one line */
	const char	*example;	/* a whole command line, and what it is for */
	int		(*run)(int argc, char **argv);
};
extern const struct command commands[];		/* command.c; ends with a NULL name */
const struct command *command_find(const char *name);

/* One flag of a command: with an argument it fills *value, otherwise it sets *on. */
struct flag {
	const char	*name;		/* "until-idle" */
	char		letter;		/* 'c' for -c, 0: none */
	const char	*argument;	/* "FILE"; NULL: a switch */
	const char	**value;
	bool		*on;
	const char	*help;
};
#define FLAG_VALUE(name, argument, var, help)	{ name, 0, argument, &(var), NULL, help }
#define FLAG_SWITCH(name, var, help)		{ name, 0, NULL, NULL, &(var), help }
#define FLAG_CONFIG(var)	{ "config", 'c', "FILE", &(var), NULL, "configuration file (default " CONFIG_FILE ")" }
#define FLAG_END		{ 0 }

/*
 * Reads the flags.  Returns -1 to go on, with *operands = index of the first operand in argv (flags
 * and operands may be mixed, argv is reordered); otherwise the exit code: 0 after --help,
 * EXIT_USAGE after a message, also for more than `most` operands.
 *
 *	const char *path = CONFIG_FILE;
 *	bool json = false;
 *	const struct flag flags[] = { FLAG_CONFIG(path), FLAG_SWITCH("json", json, "as JSON"), FLAG_END };
 *	int first, rc = command_flags(argc, argv, flags, 0, &first);
 *
 *	if (rc >= 0)
 *		return rc;
 */
int command_flags(int argc, char **argv, const struct flag *flags, int most, int *operands);

/* config_load(); NULL after the message was printed: return EXIT_USAGE. */
struct config *command_config(const char *path);

/* Prints "tailrace: TEXT" on stderr; returns the exit code of the error. */
int command_failed(const struct error *err);
/* The same for a mistake on the command line; returns EXIT_USAGE. */
int command_usage(const char *format, ...) PRINTF(1, 2);

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_options(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
