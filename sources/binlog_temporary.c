/*
 * binlog_temporary.c - temporary tables that the log speaks of, by the thread that made them
 */
#include <stdlib.h>

#include "binlog_temporary.h"

#define MOST 10000 /* their end is not always logged: the oldest goes */

struct temporary_table {
	uint32_t thread;
	char *db, *name;
};

static void forget(struct binlog_temporary *t, size_t i)
{
	free(t->items[i].db);
	free(t->items[i].name);
	t->n--;
	memmove(t->items + i, t->items + i + 1, (t->n - i) * sizeof *t->items);
}

void binlog_temporary_clear(struct binlog_temporary *t)
{
	while (t->n)
		forget(t, t->n - 1);
	free(t->items);
	*t = (struct binlog_temporary){ 0 };
}

/* Its place; t->n: none. */
static size_t find(const struct binlog_temporary *t, uint32_t thread, struct str db,
		   struct str table)
{
	size_t i = 0;

	while (i < t->n && !(t->items[i].thread == thread && str_eqz(table, t->items[i].name) &&
			     str_eqz(db, t->items[i].db)))
		i++;
	return i;
}

static void add(struct binlog_temporary *t, uint32_t thread, struct str db, struct str table)
{
	if (find(t, thread, db, table) < t->n)
		return;
	if (t->n == MOST)
		forget(t, 0);
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 16;
		t->items = xrealloc(t->items, t->room * sizeof *t->items);
	}
	t->items[t->n++] = (struct temporary_table){ thread, xstrndup(db.p, db.n),
						     xstrndup(table.p, table.n) };
}

void binlog_temporary_note(struct binlog_temporary *t, uint32_t thread,
			   const struct mysql_statement_info *s)
{
	for (size_t i = 0; i < s->nitems; i++) {
		const struct mysql_ddl_item *item = &s->items[i];
		size_t at = find(t, thread, item->db, item->table);

		if (item->kind == MYSQL_CREATE)
			add(t, thread, item->db, item->table);
		else if (item->kind == MYSQL_DROP && at < t->n)
			forget(t, at);
	}
}

bool binlog_temporary_has(const struct binlog_temporary *t, uint32_t thread, struct str db,
			  struct str table)
{
	return t->n && find(t, thread, db, table) < t->n;
}

void binlog_temporary_altered(struct binlog_temporary *t, uint32_t thread,
			      const struct mysql_statement_info *s)
{
	for (size_t i = 0; i < s->nitems; i++) {
		const struct mysql_ddl_item *item = &s->items[i];
		size_t at = find(t, thread, item->db, item->table);

		if (item->kind != MYSQL_RENAME || at == t->n)
			continue;
		forget(t, at);
		add(t, thread, item->to_db, item->to);
	}
}
