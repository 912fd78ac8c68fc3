/*
 * view.c - what commands draw for people: colours on a terminal, plain text elsewhere
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "view.h"

void view_put(struct view *v, enum tone tone, const char *format, ...)
{
	static const char *const codes[] = { "",         "\033[32m", "\033[33m",
					     "\033[31m", "\033[2m",  "\033[1m" };
	AUTO(free) char *text = NULL;
	va_list ap;

	va_start(ap, format);
	int n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		abort();
	if (v->colour)
		buf_adds(&v->out, codes[tone]);
	for (const char *p = text; *p;
	     p++) /* what a server calls itself does not steer the terminal */
		buf_addc(&v->out, (unsigned char)*p < 0x20 && *p != '\n' ? '?' : *p);
	if (v->colour && *codes[tone])
		buf_adds(&v->out, "\033[0m");
}

const char *view_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double view_number(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

const char *view_bytes(double v, char out[VIEW_SHORT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	size_t i = 0;

	if (!isfinite(v))
		return "?";
	while (v >= 1024 && i < COUNT(units) - 1) {
		v /= 1024;
		i++;
	}
	snprintf(out, VIEW_SHORT, i && v < 10 ? "%.1f %s" : "%.0f %s", v, units[i]);
	return out;
}

const char *view_span(double s, char out[VIEW_SHORT])
{
	if (!isfinite(s))
		return "?";
	if (s < 10)
		snprintf(out, VIEW_SHORT, "%.1f s", s);
	else if (s < 120)
		snprintf(out, VIEW_SHORT, "%.0f s", s);
	else if (s < 7200)
		snprintf(out, VIEW_SHORT, "%.0f min", s / 60);
	else if (s < 172800)
		snprintf(out, VIEW_SHORT, "%d h %d min", (int)(s / 3600), (int)s % 3600 / 60);
	else
		snprintf(out, VIEW_SHORT, "%.0f days", s / 86400);
	return out;
}

const char *view_count(double v, char out[VIEW_SHORT])
{
	if (!isfinite(v))
		return "?";
	snprintf(out, VIEW_SHORT, "%.0f", v);
	return out;
}

/* --- progress --- */

size_t view_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	long n = columns ? strtol(columns, NULL, 10) : 0;
	struct winsize w;

	if (n > 0 && n < 10000)
		return (size_t)n;
	return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

/* Whether the terminal's user has said that it shows more than ASCII. */
static bool is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < COUNT(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

void view_bar(struct buf *out, double share, size_t width)
{
	bool utf8 = is_utf8();
	size_t full;

	if (!isfinite(share))
		share = 0;
	share = share < 0 ? 0 : share > 1 ? 1 : share;
	full = (size_t)(share * (double)width);
	for (size_t i = 0; i < width; i++)
		buf_adds(out, i < full ? utf8 ? "\xe2\x96\x88" : "#" : utf8 ? "\xe2\x96\x91" : "-");
}

const char *view_rows(double v, char out[VIEW_SHORT])
{
	static const char *const units[] = { "", " k", " M", " G" };
	size_t i = 0;

	if (!isfinite(v))
		return "?";
	while (v >= 10000 && i < COUNT(units) - 1) {
		v /= 1000;
		i++;
	}
	snprintf(out, VIEW_SHORT, i && v < 100 ? "%.1f%s" : "%.0f%s", v, units[i]);
	return out;
}
