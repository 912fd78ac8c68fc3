/*
 * pg_print.c - dates, times and intervals as PostgreSQL prints them
 *
 * Under datestyle ISO, intervalstyle iso_8601 and timezone UTC, which the source pins: what
 * EncodeDateTime() and EncodeInterval() of the server's datetime.c do.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_values.h"

#define PRINTED 96 /* longest: an interval with seven signed parts */

const int64_t pg_pow10[19] = {
	1,
	10,
	100,
	1000,
	10000,
	100000,
	1000000,
	10000000,
	100000000,
	1000000000,
	10000000000,
	100000000000,
	1000000000000,
	10000000000000,
	100000000000000,
	1000000000000000,
	10000000000000000,
	100000000000000000,
	1000000000000000000,
};

/* Years are counted from March, as in value_days(), so that the leap day is a year's last. */
static void calendar_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = years + era * 400 + (*month <= 2);
}

static struct str printed(struct arena *a, const char *text, int n)
{
	return arena_copy(a, (struct str){ text, (size_t)n });
}

/* "2024-01-31"; true if it is before Christ, which the caller says at the end. */
static bool print_day(char *out, int *n, int64_t days)
{
	int64_t year;
	unsigned month, day;

	calendar_date(days, &year, &month, &day);
	*n += snprintf(out + *n, (size_t)(PRINTED - *n), "%04" PRId64 "-%02u-%02u",
		       year > 0 ? year : 1 - year, month, day);
	return year <= 0;
}

/* Seconds with up to six digits after the point and no zeros at their end. */
static void print_fraction(char *out, int *n, int64_t us)
{
	if (us == 0)
		return;
	*n += snprintf(out + *n, (size_t)(PRINTED - *n), ".%06" PRId64, us);
	while (out[*n - 1] == '0')
		--*n;
}

static void print_clock(char *out, int *n, int64_t us)
{
	int64_t s = us / PG_SECOND;

	*n += snprintf(out + *n, (size_t)(PRINTED - *n), "%02" PRId64 ":%02" PRId64 ":%02" PRId64,
		       s / 3600, s / 60 % 60, s % 60);
	print_fraction(out, n, us % PG_SECOND);
}

struct str pg_print_date(struct arena *a, int64_t days)
{
	char text[PRINTED];
	int n = 0;

	if (print_day(text, &n, days))
		n += snprintf(text + n, (size_t)(PRINTED - n), " BC");
	return printed(a, text, n);
}

struct str pg_print_timestamp(struct arena *a, int64_t us, bool zone)
{
	int64_t days = us / PG_DAY - (us % PG_DAY < 0);
	char text[PRINTED];
	int n = 0;
	bool bc = print_day(text, &n, days + PG_EPOCH_DAYS);

	text[n++] = ' ';
	print_clock(text, &n, us % PG_DAY + (us % PG_DAY < 0 ? PG_DAY : 0));
	n += snprintf(text + n, (size_t)(PRINTED - n), "%s%s", zone ? "+00" : "", bc ? " BC" : "");
	return printed(a, text, n);
}

struct str pg_print_timetz(struct arena *a, int64_t us, int32_t west)
{
	int64_t zone = west > 0 ? west : -(int64_t)west;
	char text[PRINTED];
	int n = 0;

	print_clock(text, &n, us);
	n += snprintf(text + n, (size_t)(PRINTED - n), "%c%02" PRId64, west > 0 ? '-' : '+',
		      zone / 3600);
	if (zone % 3600)
		n += snprintf(text + n, (size_t)(PRINTED - n), ":%02" PRId64, zone / 60 % 60);
	if (zone % 60)
		n += snprintf(text + n, (size_t)(PRINTED - n), ":%02" PRId64, zone % 60);
	return printed(a, text, n);
}

static void print_part(char *out, int *n, int64_t v, char unit)
{
	if (v)
		*n += snprintf(out + *n, (size_t)(PRINTED - *n), "%" PRId64 "%c", v, unit);
}

struct str pg_print_interval(struct arena *a, int64_t us, int32_t days, int32_t months)
{
	int64_t seconds = us / PG_SECOND % 60, fraction = us % PG_SECOND;
	char text[PRINTED];
	int n = 0;

	/* From PostgreSQL 17 on the extremes of all three parts are infinity. */
	if (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX)
		return STR("infinity");
	if (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN)
		return STR("-infinity");
	if (us == 0 && days == 0 && months == 0)
		return STR("PT0S");
	text[n++] = 'P';
	print_part(text, &n, months / 12, 'Y');
	print_part(text, &n, months % 12, 'M');
	print_part(text, &n, days, 'D');
	if (us)
		text[n++] = 'T';
	print_part(text, &n, us / (3600 * PG_SECOND), 'H');
	print_part(text, &n, us / (60 * PG_SECOND) % 60, 'M');
	if (seconds || fraction) {
		n += snprintf(text + n, (size_t)(PRINTED - n), "%s%" PRId64,
			      seconds < 0 || fraction < 0 ? "-" : "",
			      seconds < 0 ? -seconds : seconds);
		print_fraction(text, &n, fraction < 0 ? -fraction : fraction);
		text[n++] = 'S';
	}
	return printed(a, text, n);
}
