/*
 * config_selected.c - the one setting that changes in a running agent for all its threads: source.tables
 */
#include "config.h"

const struct list *config_tables(const struct config *c)
{
	const struct list *now = c->now ? atomic_load(&c->now->tables) : NULL;

	return now ? now : &c->source.tables;
}

void config_take_tables(const struct config *running, const struct config *fresh)
{
	atomic_store(&running->now->tables, &fresh->source.tables);
}
