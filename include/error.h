/*
 * error.h - one error, said once, with the one thing the caller must decide
 */
#ifndef ERROR_H
#define ERROR_H

#include <stddef.h>
#include "memory.h"

#define MUST_CHECK	__attribute__((warn_unused_result))

enum error_kind {
	ERR_NONE,
	ERR_RETRY,	/* passing trouble: close, wait, open, go on from what is durable */
	ERR_REJECT,	/* this change cannot be applied: its table stops, or by policy */
	ERR_FATAL,	/* a human is needed: wrong config, fenced, log gone; also the unclassified */
};

/* Exit codes of every command: a contract (INTERFACE.md, "Exit codes"). */
enum exit_code {
	EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_FINDINGS = 3, EXIT_FENCED = 4,
	EXIT_LOG_GONE = 5, EXIT_DIFFERENT = 6,
};

struct error {
	enum error_kind	kind;
	int		exit;		/* what the process ends with if this ends it; 0 means EXIT_FAILED */
	int		code;		/* errno or a library's code; 0 if none */
	size_t		item;		/* ERR_REJECT: index of the change */
	const char	*file;
	int		line;
	char		text[1024];
};

/* Fills *err and returns -1:  return fail(err, ERR_RETRY, "cannot connect to %s: %s", host, why); */
#define fail(err, kind, ...)	error_set((err), (kind), 0, __FILE__, __LINE__, __VA_ARGS__)
/* The same for an error that ends the process with its own exit code. */
#define fail_exit(err, exit, ...) error_set((err), ERR_FATAL, (exit), __FILE__, __LINE__, __VA_ARGS__)

int error_set(struct error *err, enum error_kind kind, int exit, const char *file, int line,
	      const char *format, ...) PRINTF(6, 7);
int error_prefix(struct error *err, const char *format, ...) PRINTF(2, 3);	/* "slot erp: ..."; returns -1 */
int error_exit(const struct error *err);	/* the process's exit code for it */

#endif
