/*
 * error.c - fills and extends an error
 */
#include <stdio.h>
#include <string.h>

#include "error.h"

int error_set(struct error *err, enum error_kind kind, int exit, const char *file, int line,
	      const char *format, ...)
{
	va_list ap;

	*err = (struct error){ .kind = kind, .exit = exit, .file = file, .line = line };
	va_start(ap, format);
	vsnprintf(err->text, sizeof err->text, format, ap);
	va_end(ap);
	return -1;
}

int error_prefix(struct error *err, const char *format, ...)
{
	char text[sizeof err->text];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	if ((size_t)n > sizeof text / 2) { /* both the place and what happened are needed */
		n = sizeof text / 2;
		memcpy(text + n - 3, "...", 3);
	}
	snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n - 3),
		 err->text);
	memcpy(err->text, text, sizeof text);
	return -1;
}

int error_exit(const struct error *err)
{
	return err->exit ? err->exit : EXIT_FAILED;
}
