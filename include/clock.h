/*
 * clock.h - the two clocks, in microseconds.  Any thread.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

int64_t monotonic_us(void);	/* for waits and durations */
int64_t wall_clock_us(void);	/* since 1970-01-01 UTC */

#endif
