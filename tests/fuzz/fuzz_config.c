/*
 * fuzz_config.c - any bytes as a configuration: taken whole, or refused with a message
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct error err = { 0 };

	if (memmem(data, size, "file:", 5))
		return 0; /* no input may choose which file is read */
	struct config *c = config_parse("fuzz.conf", text, &err);

	if (!c) {
		must(error_exit(&err) == EXIT_USAGE);
		must(strncmp(err.text, "fuzz.conf:", 10) == 0 && err.text[10]);
		return 0;
	}
	must(c->pipeline.name && strlen(c->pipeline.name) <= 40 && c->pipeline.state_dir);
	must(c->source.url && c->source.slot && c->source.publication && c->source.tables.n > 0);
	must(c->nsinks > 0);
	for (size_t i = 0; i < c->nsinks; i++)
		must(c->sinks[i].name && c->sinks[i].type->ops && c->sinks[i].settings);
	for (size_t i = 0; i < c->ntables; i++)
		must(c->tables[i].pattern && *c->tables[i].pattern);
	config_free(c);
	return 0;
}
