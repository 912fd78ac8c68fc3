/*
 * copier_probe.c - drives the copier of PostgreSQL as a snapshot worker does, and looks each row up by its key
 *
 *	copier_probe CONFIG CHUNK_ROWS PARTS
 *
 * For each table: in chunks, whole (the order is the database's, no key twice); by the ranges that
 * split() gives; each row by its key as it comes back from its Avro bytes.  Prints "schema.table rows
 * ranges"; ends with 1 and a message when two of these differ.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../agent/chunk.h"
#include "../../include/config.h"
#include "../../include/copier.h"
#include "../../sources/sources.h"

static const atomic_bool never;
static const struct copier_ops *ops;

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
	exit(1);
}

static int take(void *arg, const struct value *values, struct error *err)
{
	(void)err;
	chunk_add(arg, values);
	return 0;
}

/* All rows of after < key <= upto, in chunks of their own transactions. */
static void read_range(struct copier *c, const struct copy_table *t, struct tables *tables,
		       const char *after, const char *upto, int64_t limit, struct chunk **out)
{
	char *from = after ? strdup(after) : NULL;
	bool end = false;
	struct error err;

	while (!end) {
		const struct table *draft;
		struct visibility *seen;
		char *last;

		if (ops->begin(c, t->schema, t->name, NULL, t->keyless, &draft, &seen, &err))
			die("begin", &err);
		ops->visibility_free(seen);
		const struct table *version = tables_define(tables, draft, &err);

		if (!version)
			die("define", &err);
		if (!*out)
			*out = chunk_new(version);
		if ((*out)->table != version)
			die("another version", NULL);
		const struct copy_range range = { .after = from, .upto = upto };
		size_t had = (*out)->nrows;

		if (ops->rows(c, &range, t->keyless ? 0 : limit, take, *out, &last, &end, &err) ||
		    ops->end(c, &err))
			die("rows", &err);
		if (!last && (*out)->nrows > had && !t->keyless)
			die("no last key", NULL);
		free(from);
		from = last;
	}
	free(from);
}

static bool same_row(const struct chunk *a, size_t i, const struct chunk *b, size_t k)
{
	const struct chunk_row *x = &a->rows[i], *y = &b->rows[k];

	return str_eq(chunk_key(a, x), chunk_key(b, y)) &&
	       str_eq(chunk_image(a, x), chunk_image(b, y)) &&
	       str_eq(chunk_extra(a, x), chunk_extra(b, y));
}

static void look_up(struct copier *c, const struct copy_table *t, const struct chunk *all)
{
	const struct table *draft;
	struct visibility *seen;
	struct error err;

	if (ops->begin(c, t->schema, t->name, NULL, false, &draft, &seen, &err))
		die("begin", &err);
	ops->visibility_free(seen);
	for (size_t i = 0; i < all->nrows; i++) {
		if (!all->rows[i].keyed) /* its value has no place in an Avro key */
			continue;
		AUTO(arena) struct arena a = { 0 };
		struct value *key = arena_zalloc(&a, all->table->nkey * sizeof *key);
		const struct copy_range one = { .key = key };
		struct chunk *found = chunk_new(all->table);
		char *last;
		bool end;

		if (avro_get_key(chunk_key(all, &all->rows[i]), all->table, &a, key, &err) ||
		    ops->rows(c, &one, 0, take, found, &last, &end, &err))
			die("a row by its key", &err);
		if (found->nrows != 1 || !same_row(all, i, found, 0))
			die(found->nrows ? "another row by its key" : "no row by its key", NULL);
		chunk_free(found);
		free(last);
	}
	if (ops->end(c, &err))
		die("end", &err);
}

static void probe(struct copier *c, const struct copy_table *t, struct tables *tables,
		  int64_t limit, size_t parts)
{
	struct chunk *all = NULL, *split = NULL;
	char **bounds = NULL;
	size_t n = 0;
	struct error err;

	read_range(c, t, tables, NULL, NULL, limit, &all);
	if (!t->keyless) {
		if (ops->split(c, t->schema, t->name, parts, &bounds, &n, &err))
			die("split", &err);
		for (size_t i = 0; i <= n; i++)
			read_range(c, t, tables, i ? bounds[i - 1] : NULL, i < n ? bounds[i] : NULL,
				   limit, &split);
		if (split->nrows != all->nrows)
			die("the ranges have other rows than the whole", NULL);
		for (size_t i = 0; i < all->nrows; i++)
			if (!same_row(all, i, split, i))
				die("the ranges have another order than the whole", NULL);
		look_up(c, t, all);
	}
	printf("%s.%s %zu %zu\n", t->schema, t->name, all->nrows, n + 1);
	while (n)
		free(bounds[--n]);
	free(bounds);
	chunk_free(all);
	chunk_free(split);
}

int main(int argc, char **argv)
{
	struct error err;
	struct config *config = argc == 4 ? config_load(argv[1], &err) : NULL;

	if (!config)
		die("usage: copier_probe CONFIG CHUNK_ROWS PARTS", argc == 4 ? &err : NULL);
	const struct tables_config names = { .pipeline = "probe",
					     .connector = "postgresql",
					     .database = "erp" };
	struct tables *tables = tables_new(&names);
	struct copy_table *list;
	struct source_health health;
	size_t n;

	ops = postgres_source.copier;
	struct copier *c = ops->open(config, "probe", &never, &err);

	if (!c || ops->tables(c, &list, &n, &err) || ops->health(c, &health, &err))
		die("open", &err);
	if (health.active < 0 || health.connections < 0 || health.max_connections < 1)
		die("health", NULL);
	for (size_t i = 0; i < n; i++)
		probe(c, &list[i], tables, strtol(argv[2], NULL, 10),
		      (size_t)strtol(argv[3], NULL, 10));
	copy_tables_free(list, n);
	ops->close(c);
	tables_free(tables);
	config_free(config);
	return 0;
}
