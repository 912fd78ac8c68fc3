/*
 * registry.h - the table versions of a fuzz target of a decoder
 */
#ifndef FUZZ_REGISTRY_H
#define FUZZ_REGISTRY_H

#include "table.h"

/* Making schemas takes a hundred times longer than decoding, so versions are kept for a while. */
static struct tables *registry(const char *connector)
{
	const struct tables_config tables_config = {
		.pipeline = "fuzz",
		.connector = connector,
		.database = "fuzz",
	};
	static struct tables *tables;

	if (tables && tables_count(tables) > 300) {
		tables_free(tables);
		tables = NULL;
	}
	if (!tables)
		tables = tables_new(&tables_config);
	return tables;
}

#endif
