/*
 * binlog_temporal.c - dates and times of row events
 *
 *	DATE		3 bytes little-endian: year << 9 | month << 5 | day
 *	since 5.6 (types 17, 18, 19), big-endian, then the fraction in (digits + 1) / 2 bytes, big-endian, of
 *	hundredths, ten-thousandths or millionths:
 *	TIMESTAMP2	4 bytes: seconds since 1970 UTC; 0 is '0000-00-00 00:00:00'
 *	DATETIME2	5 bytes: 0x8000000000 + ((year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second)
 *	TIME2		3 bytes: 0x800000 + (hour << 12 | minute << 6 | second); a negative time is the complement of the
 *			whole with its fraction, so that 1 is borrowed of the integer part where there is a fraction
 *	before (7, 11, 12), little-endian:
 *	TIMESTAMP	4 bytes: seconds
 *	TIME		3 bytes, signed: hhmmss in decimal
 *	DATETIME	8 bytes: YYYYMMDDhhmmss in decimal
 *	MariaDB's with a fraction and mysql56_temporal_format = OFF (the same codes), big-endian:
 *	TIMESTAMP	4 bytes: seconds; fraction in (digits + 1) / 2 bytes, counted in units of the last digit
 *	TIME		3 to 6 bytes: (seconds since -838:59:59 less one), in units of the last digit
 *	DATETIME	5 to 8 bytes: ((((year * 13 + month) * 32 + day) * 24 + hour) * 60 + minute) * 60 + second, in the same
 */
#include "binlog_cell.h"

#define SECOND_US   INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
#define DAY_US      (DAY_SECONDS * SECOND_US)
#define FRACTION    INT64_C(0x1000000) /* a packed value: integer part << 24 | microseconds */
#define TIME_ZERO   INT64_C(3020400)   /* 838:59:59 and one second */
#define TEXT_ROOM   32

static const uint32_t power10[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
static const uint8_t datetime_hires_bytes[] = { 5, 6, 6, 7, 7, 7, 8 };
static const uint8_t time_hires_bytes[] = { 3, 4, 4, 5, 5, 5, 6 };

struct moment {
	unsigned year, month, day, hour, minute, second, us;
	bool negative; /* a TIME */
};

/* --- printing --- */

static char *put_number(char *p, unsigned v, unsigned least)
{
	unsigned n = least;

	while (n < 6 && v >= power10[n])
		n++;
	for (unsigned i = n; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

static char *put_date(char *p, const struct moment *t)
{
	p = put_number(p, t->year, 4);
	*p++ = '-';
	p = put_number(p, t->month, 2);
	*p++ = '-';
	return put_number(p, t->day, 2);
}

static char *put_clock(char *p, const struct moment *t, unsigned digits)
{
	p = put_number(p, t->hour, 2);
	*p++ = ':';
	p = put_number(p, t->minute, 2);
	*p++ = ':';
	p = put_number(p, t->second, 2);
	if (!digits)
		return p;
	*p++ = '.';
	return put_number(p, t->us / power10[6 - digits], digits);
}

static struct str print_time(const struct moment *t, unsigned digits, struct arena *a)
{
	char *text = arena_alloc(a, TEXT_ROOM), *p = text;

	if (t->negative)
		*p++ = '-';
	p = put_clock(p, t, digits);
	return (struct str){ text, (size_t)(p - text) };
}

static struct str print_datetime(const struct moment *t, bool date_only, unsigned digits,
				 struct arena *a)
{
	char *text = arena_alloc(a, TEXT_ROOM), *p = put_date(text, t);

	if (!date_only) {
		*p++ = ' ';
		p = put_clock(p, t, digits);
	}
	return (struct str){ text, (size_t)(p - text) };
}

/* --- values --- */

/* A day of the calendar between the years 1 and 9999. */
static bool is_day(const struct moment *t)
{
	return t->year >= 1 && t->year <= 9999 && t->month >= 1 && t->month <= 12 && t->day >= 1 &&
	       t->day <= value_month_days(t->year, t->month);
}

static int64_t clock_us(const struct moment *t)
{
	return ((int64_t)t->hour * 3600 + t->minute * 60 + t->second) * SECOND_US + t->us;
}

static bool give_date(const struct moment *t, struct arena *a, struct value *out)
{
	if (is_day(t)) {
		out->i = value_days(t->year, t->month, t->day);
	} else {
		out->state = VALUE_UNREPRESENTABLE;
		out->s = print_datetime(t, true, 0, a);
	}
	return true;
}

/* False: no clock shows that, so these are not the bytes of a time. */
static bool is_clock(const struct moment *t, unsigned hours)
{
	return t->hour < hours && t->minute < 60 && t->second < 60 && t->us < SECOND_US;
}

static bool give_datetime(const struct moment *t, unsigned digits, struct arena *a,
			  struct value *out)
{
	if (!is_clock(t, 24) || t->year > 9999 || t->month > 12)
		return false;
	if (is_day(t)) {
		out->i = value_days(t->year, t->month, t->day) * DAY_US + clock_us(t);
	} else {
		out->state = VALUE_UNREPRESENTABLE;
		out->s = print_datetime(t, false, digits, a);
	}
	return true;
}

static bool give_time(const struct moment *t, unsigned digits, struct arena *a, struct value *out)
{
	if (!is_clock(t, 839))
		return false;
	if (!t->negative && t->hour < 24) {
		out->i = clock_us(t);
	} else {
		out->state = VALUE_UNREPRESENTABLE;
		out->s = print_time(t, digits, a);
	}
	return true;
}

static bool give_timestamp(uint32_t seconds, unsigned us, unsigned digits, struct arena *a,
			   struct value *out)
{
	static const struct moment zero;

	if (us >= SECOND_US)
		return false;
	if (seconds) {
		out->i = (int64_t)seconds * SECOND_US + us;
	} else {
		out->state = VALUE_UNREPRESENTABLE;
		out->s = print_datetime(&zero, false, digits, a);
	}
	return true;
}

/* --- formats --- */

static struct moment unpack_date(unsigned v)
{
	return (struct moment){ .year = v >> 9, .month = v >> 5 & 15, .day = v & 31 };
}

static uint64_t magnitude(int64_t packed)
{
	return packed < 0 ? 0 - (uint64_t)packed : (uint64_t)packed;
}

static struct moment unpack(int64_t packed)
{
	uint64_t v = magnitude(packed), whole = v / FRACTION;
	unsigned months = (unsigned)(whole >> 22);

	return (struct moment){
		.negative = packed < 0,
		.year = months / 13,
		.month = months % 13,
		.day = whole >> 17 & 31,
		.hour = whole >> 12 & 31,
		.minute = whole >> 6 & 63,
		.second = whole & 63,
		.us = (unsigned)(v % FRACTION),
	};
}

static struct moment unpack_time(int64_t packed)
{
	struct moment t = unpack(packed);

	t.hour = (unsigned)(magnitude(packed) / FRACTION >> 12 & 1023);
	t.year = t.month = t.day = 0;
	return t;
}

struct str binlog_print_datetime(int64_t packed, bool date_only, unsigned digits, struct arena *a)
{
	struct moment t = unpack(packed);

	return print_datetime(&t, date_only, digits, a);
}

struct str binlog_print_time(int64_t packed, unsigned digits, struct arena *a)
{
	struct moment t = unpack_time(packed);

	return print_time(&t, digits, a);
}

/* The fraction after the integer part, in microseconds. */
static unsigned fraction(const struct binlog_field *f, struct cursor *c)
{
	unsigned n = binlog_fraction_bytes(f->digits);

	return n ? (unsigned)cell_be(c, n) * power10[6 - 2 * n] : 0;
}

static bool read_datetime(const struct binlog_field *f, struct cursor *c, struct arena *a,
			  struct value *out)
{
	int64_t whole = (int64_t)cell_be(c, 5) - INT64_C(0x8000000000);
	struct moment t = unpack(whole * FRACTION);

	t.us = fraction(f, c);
	return whole >= 0 && give_datetime(&t, f->digits, a, out);
}

static bool read_time(const struct binlog_field *f, struct cursor *c, struct arena *a,
		      struct value *out)
{
	static const int64_t units[] = { 1, 0x100, 0x10000, 0x1000000 }; /* of the integer part */
	unsigned bytes = binlog_fraction_bytes(f->digits);
	int64_t unit = units[bytes], v = (int64_t)cell_be(c, 3 + bytes) - 0x800000 * unit;
	bool negative = v < 0;
	int64_t size = negative ? -v : v, whole = size / unit;
	unsigned part = (unsigned)(size % unit);
	struct moment t = unpack_time(whole * FRACTION);

	t.negative = negative;
	t.us = bytes ? part * power10[6 - 2 * bytes] : 0;
	return give_time(&t, f->digits, a, out);
}

static bool read_time_old(struct cursor *c, struct arena *a, struct value *out)
{
	int32_t v = (int32_t)(cell_le(c, 3) << 8) >> 8;
	unsigned size = (unsigned)(v < 0 ? -v : v);
	struct moment t = { .negative = v < 0,
			    .hour = size / 10000,
			    .minute = size / 100 % 100,
			    .second = size % 100 };

	return give_time(&t, 0, a, out);
}

static bool read_datetime_old(struct cursor *c, struct arena *a, struct value *out)
{
	uint64_t v = get_u64le(c);

	if (v > UINT64_C(99991231235959))
		return false;
	unsigned date = (unsigned)(v / 1000000), clock = (unsigned)(v % 1000000);
	struct moment t = { .year = date / 10000,
			    .month = date / 100 % 100,
			    .day = date % 100,
			    .hour = clock / 10000,
			    .minute = clock / 100 % 100,
			    .second = clock % 100 };

	return give_datetime(&t, 0, a, out);
}

static struct moment of_seconds(uint64_t seconds, uint64_t us)
{
	return (struct moment){ .hour = (unsigned)(seconds / 3600),
				.minute = (unsigned)(seconds / 60 % 60),
				.second = (unsigned)(seconds % 60),
				.us = (unsigned)us };
}

static bool read_time_hires(const struct binlog_field *f, struct cursor *c, struct arena *a,
			    struct value *out)
{
	int64_t unit = power10[f->digits];
	int64_t v = (int64_t)cell_be(c, time_hires_bytes[f->digits]) - TIME_ZERO * unit;
	uint64_t size = (uint64_t)(v < 0 ? -v : v), u = (uint64_t)unit;
	struct moment t = of_seconds(size / u, size % u * power10[6 - f->digits]);

	t.negative = v < 0;
	return give_time(&t, f->digits, a, out);
}

static bool read_datetime_hires(const struct binlog_field *f, struct cursor *c, struct arena *a,
				struct value *out)
{
	uint64_t v = cell_be(c, datetime_hires_bytes[f->digits]), unit = power10[f->digits];
	uint64_t seconds = v / unit, days = seconds / (uint64_t)DAY_SECONDS;
	struct moment t =
		of_seconds(seconds % (uint64_t)DAY_SECONDS, v % unit * power10[6 - f->digits]);

	t.day = (unsigned)(days % 32);
	t.month = (unsigned)(days / 32 % 13);
	t.year = days / 32 / 13 > 9999 ? 10000 : (unsigned)(days / 32 / 13);
	return give_datetime(&t, f->digits, a, out);
}

static bool read_timestamp_hires(const struct binlog_field *f, struct cursor *c, struct arena *a,
				 struct value *out)
{
	uint32_t seconds = get_u32be(c);
	unsigned part = (unsigned)cell_be(c, binlog_fraction_bytes(f->digits));

	return give_timestamp(seconds, part * power10[6 - f->digits], f->digits, a, out);
}

bool binlog_temporal(const struct binlog_field *f, struct cursor *c, struct arena *a,
		     struct value *out)
{
	struct moment t;
	uint32_t seconds;

	if (f->digits > 6)
		return false;
	switch ((enum binlog_cell)f->how) {
	case CELL_DATE:
		t = unpack_date((unsigned)cell_le(c, 3));
		return give_date(&t, a, out);
	case CELL_TIME:
		return read_time(f, c, a, out);
	case CELL_TIME_OLD:
		return read_time_old(c, a, out);
	case CELL_TIME_HIRES:
		return read_time_hires(f, c, a, out);
	case CELL_DATETIME:
		return read_datetime(f, c, a, out);
	case CELL_DATETIME_OLD:
		return read_datetime_old(c, a, out);
	case CELL_DATETIME_HIRES:
		return read_datetime_hires(f, c, a, out);
	case CELL_TIMESTAMP:
		seconds = get_u32be(c);
		return give_timestamp(seconds, fraction(f, c), f->digits, a, out);
	case CELL_TIMESTAMP_OLD:
		return give_timestamp(get_u32le(c), 0, 0, a, out);
	case CELL_TIMESTAMP_HIRES:
		return read_timestamp_hires(f, c, a, out);
	default:
		return false;
	}
}
