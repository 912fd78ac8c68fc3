/*
 * failpoint.c - named instants at which a test kills the process or makes a call fail
 *
 * TAILRACE_FAILPOINT is a comma separated list, read once:
 *	NAME[:N]	SIGKILL at the Nth passing (first, if N is left out)
 *	NAME=STOP[:N]	SIGSTOP there: a process that sleeps until it gets SIGCONT
 *	NAME=ERRNO[:N]	the Nth call fails with that errno ("ENOSPC"); "N+": that one and all later ones
 * A list that cannot be read aborts: a test whose failpoint never fires would pass for nothing.
 *
 * Any thread.  The list is immutable after pthread_once(); the counters are atomic.
 */
#include "failpoint.h"

#ifdef FAILPOINTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

#define STOP (-1)

struct point {
	char *name;
	int error; /* 0: kill; STOP */
	unsigned long at;
	bool onwards;
	atomic_ulong passed;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct point *points;
static size_t npoints;

static void refuse(const char *item)
{
	fprintf(stderr, "TAILRACE_FAILPOINT: cannot read \"%s\"\n", item);
	abort();
}

static int errno_by_name(const char *name)
{
	for (int e = 1; e < 256; e++) {
		const char *known = strerrorname_np(e);

		if (known && strcmp(known, name) == 0)
			return e;
	}
	return 0;
}

/* Splits "name=ERRNO:2+" in place. */
static void point_parse(char *item, struct point *out)
{
	char *count = strchr(item, ':'), *error = strchr(item, '='), *end;

	*out = (struct point){ .name = item, .at = 1 };
	if (count) {
		*count++ = '\0';
		out->at = strtoul(count, &end, 10);
		out->onwards = error && strcmp(end, "+") == 0;
		if (out->at == 0 || (*end && !out->onwards))
			refuse(count);
	}
	if (error) {
		*error++ = '\0';
		out->error = strcmp(error, "STOP") == 0 ? STOP : errno_by_name(error);
		if (out->error == 0)
			refuse(error);
	}
	if (*item == '\0')
		refuse(item);
}

static void points_load(void)
{
	const char *env = getenv("TAILRACE_FAILPOINT");
	char *list, *save = NULL;

	if (!env || !*env)
		return;
	list = xstrdup(env); /* lives until exit: the names point into it */
	for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		points = xrealloc(points, (npoints + 1) * sizeof(*points));
		point_parse(item, &points[npoints++]);
	}
}

/* Counts this passing; NULL unless it is one that was asked for. */
static const struct point *point_pass(const char *name, bool signals)
{
	const struct point *hit = NULL;

	pthread_once(&once, points_load);
	for (size_t i = 0; i < npoints; i++) {
		struct point *p = &points[i];
		unsigned long n;

		if ((p->error <= 0) != signals || strcmp(p->name, name) != 0)
			continue;
		n = atomic_fetch_add(&p->passed, 1) + 1;
		if (n == p->at || (p->onwards && n > p->at))
			hit = p;
	}
	return hit;
}

void failpoint(const char *name)
{
	const struct point *p = point_pass(name, true);

	if (!p)
		return;
	kill(getpid(), p->error == STOP ? SIGSTOP : SIGKILL);
	if (p->error != STOP)
		pause(); /* SIGKILL is delivered before this returns */
}

int failpoint_errno(const char *name)
{
	const struct point *p = point_pass(name, false);

	return p ? p->error : 0;
}

#endif
