/*
 * prometheus.h - a reader of Prometheus' text format 0.0.4, for tests
 *
 * prometheus_valid() holds a page against the rules of the format: every line a comment or a
 * sample, one TYPE per family and before its samples, the family's samples together, no sample
 * twice, names and labels well formed, values numbers.
 */
#ifndef PROMETHEUS_H
#define PROMETHEUS_H

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline size_t prometheus_name(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':')
		n++;
	return n && !isdigit((unsigned char)p[0]) ? n : 0;
}

/* The end of {a="b",...} at p, or NULL. */
static inline const char *prometheus_labels(const char *p)
{
	for (p++; *p != '}';) {
		size_t n = prometheus_name(p);

		if (!n || strncmp(p + n, "=\"", 2) != 0)
			return NULL;
		for (p += n + 2; *p != '"'; p++) {
			if (*p == '\0' || *p == '\n')
				return NULL;
			if (*p == '\\' && !strchr("\\\"n", *++p))
				return NULL;
		}
		p++;
		if (*p == ',')
			p++;
		else if (*p != '}')
			return NULL;
	}
	return p + 1;
}

/* A sample line: its end (after \n), and where the value begins; NULL if it is none. */
static inline const char *prometheus_line(const char *p, size_t *name, const char **value)
{
	const char *q = p + (*name = prometheus_name(p));
	char *end;

	if (!*name || (*q == '{' && !(q = prometheus_labels(q))) || *q != ' ')
		return NULL;
	*value = q + 1;
	(void)strtod(*value, &end);
	return end != *value && *end == '\n' ? end + 1 : NULL;
}

static inline bool prometheus_once(const char *text, const char *line, size_t n)
{
	size_t found = 0;

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		found += strncmp(p, line, n) == 0;
	return found == 1;
}

static inline bool prometheus_valid(const char *text)
{
	char family[256] = "", type[32] = "";
	size_t name;

	for (const char *p = text, *next, *value; *p; p = next) {
		if (strncmp(p, "# HELP ", 7) == 0) {
			next = strchr(p, '\n') + 1;
			continue;
		}
		if (strncmp(p, "# TYPE ", 7) == 0) {
			if (sscanf(p, "# TYPE %255s %31s\n", family, type) != 2 ||
			    !prometheus_once(text, p, 7 + strlen(family) + 1))
				return false;
			next = strchr(p, '\n') + 1;
			continue;
		}
		next = prometheus_line(p, &name, &value);
		size_t n = strlen(family);
		bool histogram = strcmp(type, "histogram") == 0;

		if (!next || name < n || strncmp(p, family, n) != 0 || (!histogram && name != n) ||
		    !prometheus_once(text, p, (size_t)(value - p))) {
			fprintf(stderr, "not valid: %.*s\n", (int)strcspn(p, "\n"), p);
			return false;
		}
	}
	return true;
}

/* The value of the sample with exactly this name and labels; NAN if there is none. */
static inline double prometheus_sample(const char *text, const char *sample)
{
	size_t n = strlen(sample);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, sample, n) == 0 && p[n] == ' ')
			return strtod(p + n + 1, NULL);
	return NAN;
}

#endif
