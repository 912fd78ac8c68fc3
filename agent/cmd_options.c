/*
 * cmd_options.c - tailrace options: every setting, from the tables
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

int cmd_options(int argc, char **argv)
{
	static const char *const names[] = { "text", "man", "markdown", "conf" };
	const char *format = "text";
	const struct flag flags[] = {
		FLAG_VALUE("format", "FORMAT", format, "text, man, markdown or conf"),
		FLAG_END,
	};
	AUTO(buf) struct buf out = { 0 };
	int first, rc = command_flags(argc, argv, flags, 0, &first);

	if (rc >= 0)
		return rc;
	for (size_t i = 0; i < COUNT(names); i++) {
		if (strcmp(format, names[i]) != 0)
			continue;
		options_print((enum option_format)i, &out);
		fwrite(out.p, 1, out.n, stdout);
		return EXIT_DONE;
	}
	return command_usage("options: --format %s is not known: it takes text, man, markdown or "
			     "conf",
			     format);
}
