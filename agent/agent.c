/*
 * agent.c - what the agent's threads call: stop, fail, progress, named waits, clocks
 *
 * Any thread; a->lock guards the first error and the named waits.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "log.h"

void agent_stop(struct agent *a)
{
	uint64_t one = 1;

	a->stopping = true;
	if (a->spool)
		spool_wake(a->spool);
	if (write(a->wake_fd, &one, sizeof one) < 0)
		log_warning("cannot wake the main thread", "error", strerror(errno), NULL);
}

void agent_fail(struct agent *a, const struct error *err)
{
	pthread_mutex_lock(&a->lock);
	if (!a->failed)
		a->error = *err;
	a->failed = true;
	pthread_mutex_unlock(&a->lock);
	agent_stop(a);
}

void agent_progress(struct agent *a)
{
	a->progress_us = monotonic_us();
}

void agent_hurry(struct agent *a, enum hurry why, bool on)
{
	unsigned before =
		on ? atomic_fetch_or(&a->hurry, why) : atomic_fetch_and(&a->hurry, ~(unsigned)why);

	if (on && !(before & why))
		spool_wake(a->spool);
}

void agent_waiting(struct agent *a, enum wait_slot slot, const char *text)
{
	pthread_mutex_lock(&a->lock);
	status_set(&a->waiting[slot], text);
	pthread_mutex_unlock(&a->lock);
}

void agent_sleep(struct agent *a, int64_t us)
{
	int64_t until = monotonic_us() + us;

	for (int64_t left = us; left > 0 && !a->stopping; left = until - monotonic_us()) {
		int64_t slice = left < 20000 ? left : 20000;
		struct timespec t = { 0, slice * 1000 };

		nanosleep(&t, NULL);
	}
}

int64_t backoff_us(unsigned tries)
{
	int64_t most = tries < 9 ? (int64_t)100000 << tries : 30000000;
	uint32_t random = 0;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		random = UINT32_MAX;
	return 10000 + (most < 30000000 ? most : 30000000) * random / UINT32_MAX;
}
