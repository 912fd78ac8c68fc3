/*
 * pg_resume.c - the resume token of a PostgreSQL source: which log, and from where
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "pgoutput.h"

struct str pg_resume_format(struct arena *a, uint64_t system, uint32_t timeline, uint64_t lsn)
{
	char text[128];
	int n = snprintf(text, sizeof text,
			 "{\"system\":\"%" PRIu64 "\",\"timeline\":%" PRIu32 ",\"lsn\":\"%" PRIX32
			 "/%" PRIX32 "\"}",
			 system, timeline, (uint32_t)(lsn >> 32), (uint32_t)lsn);

	return arena_copy(a, (struct str){ text, (size_t)n });
}

static bool parse_system(const char *text, uint64_t *out)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static bool parse_lsn(const char *text, uint64_t *out)
{
	uint32_t high, low;
	int n = 0;

	if (!text || strspn(text, "0123456789ABCDEFabcdef/") != strlen(text) || strlen(text) > 17 ||
	    sscanf(text, "%8" SCNx32 "/%8" SCNx32 "%n", &high, &low, &n) != 2 || text[n] != '\0')
		return false;
	*out = (uint64_t)high << 32 | low;
	return true;
}

bool pg_resume_parse(const char *resume, uint64_t *system, uint32_t *timeline, uint64_t *lsn)
{
	json_t *root = resume ? json_loads(resume, 0, NULL) : NULL;
	const json_t *line = json_object_get(root, "timeline");
	json_int_t number = json_integer_value(line);
	bool good = json_is_integer(line) && number >= 0 && number <= UINT32_MAX &&
		    parse_system(json_string_value(json_object_get(root, "system")), system) &&
		    parse_lsn(json_string_value(json_object_get(root, "lsn")), lsn);

	if (good)
		*timeline = (uint32_t)number;
	json_decref(root);
	return good;
}
