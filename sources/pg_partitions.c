/*
 * pg_partitions.c - partitions whose rows came or went without an event
 *
 * A table that was made as a partition has its row in pg_inherits from the transaction that made
 * its row type; one that was attached later has not.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_partitions.h"

const char pg_partitions_sql[] =
	"WITH RECURSIVE tree(oid, root, made) AS ("
	"SELECT i.inhrelid, i.inhparent, i.xmin::text FROM pg_catalog.pg_inherits i"
	" WHERE i.inhparent = ANY ($1::pg_catalog.oid[])"
	" UNION ALL SELECT i.inhrelid, tree.root, i.xmin::text FROM pg_catalog.pg_inherits i"
	" JOIN tree ON i.inhparent = tree.oid)"
	" SELECT tree.oid, coalesce(pg_catalog.pg_relation_filenode(tree.oid), 0),"
	" n.nspname, c.relname, rn.nspname, rc.relname, tree.made <> t.xmin::text"
	" FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" JOIN pg_catalog.pg_class rc ON rc.oid = tree.root"
	" JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace"
	" JOIN pg_catalog.pg_type t ON t.oid = c.reltype ORDER BY 1";

static void say(const struct pg_partitions *p, const struct pg_partition *x, const char *what)
{
	AUTO(free) char *name = xasprintf("%s.%s", x->schema, x->name);
	AUTO(free) char *root = xasprintf("%s.%s", x->root_schema, x->root);
	AUTO(free) char *reason = xasprintf("partition %s %s", name, what);

	log_warning("rows of a partition came or went without an event: load the table anew",
		    "table", root, "reason", reason, NULL);
	tables_note(p->tables, TABLE_NOTE_RELOAD, str_z(p->via_root ? x->root_schema : x->schema),
		    str_z(p->via_root ? x->root : x->name), reason);
}

static void came(const struct pg_partitions *p, const struct pg_partition *is, bool attached)
{
	if (attached) /* what was made as a partition began empty */
		say(p, is, "was attached: the rows that it held before are not in the stream");
}

static void went(const struct pg_partitions *p, const struct pg_partition *was)
{
	say(p, was, "was detached or dropped: that its rows are gone is not in the stream");
}

static bool stayed(const struct pg_partitions *p, const struct pg_partition *was,
		   const struct pg_partition *is)
{
	if (was->file == is->file)
		return true;
	if (p->via_root)
		say(p, is,
		    "was truncated or rewritten: a TRUNCATE of one partition is not in the stream");
	return false;
}

static void free_items(struct pg_partition *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(items[i].schema);
		free(items[i].name);
		free(items[i].root_schema);
		free(items[i].root);
	}
	free(items);
}

static void row(const PGresult *r, int i, struct pg_partition *out)
{
	out->oid = (uint32_t)pg_get_u64(r, i, 0);
	out->file = pg_get_u64(r, i, 1);
	out->schema = xstrdup(PQgetvalue(r, i, 2));
	out->name = xstrdup(PQgetvalue(r, i, 3));
	out->root_schema = xstrdup(PQgetvalue(r, i, 4));
	out->root = xstrdup(PQgetvalue(r, i, 5));
}

/* Both lists are in order of the OID.  Is anything different? */
static bool differ(const struct pg_partitions *p, const struct pg_partition *now, const PGresult *r)
{
	size_t old = 0, n = (size_t)PQntuples(r);
	bool same = true;

	for (size_t i = 0; i < n; i++) {
		for (; old < p->n && p->items[old].oid < now[i].oid; old++, same = false)
			went(p, &p->items[old]);
		if (old < p->n && p->items[old].oid == now[i].oid) {
			same = stayed(p, &p->items[old++], &now[i]) && same;
		} else {
			came(p, &now[i], pg_get_bool(r, (int)i, 6));
			same = false;
		}
	}
	for (; old < p->n; old++, same = false)
		went(p, &p->items[old]);
	return !same;
}

/* {"roots":"{1,2}","partitions":[[oid, file, schema, name, root's schema, root], ...]} */
static int save(const struct pg_partitions *p, struct error *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n; i++) {
		const struct pg_partition *x = &p->items[i];

		json_array_append_new(list,
				      json_pack("[IIssss]", (json_int_t)x->oid, (json_int_t)x->file,
						x->schema, x->name, x->root_schema, x->root));
	}
	json_t *all = json_pack("{ssso}", "roots", p->roots, "partitions", list);
	AUTO(free) char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;

	json_decref(all);
	/* names that are not UTF-8 are not kept: then only this process compares */
	return text && p->state ? state_put(p->state, "partitions", text, err) : 0;
}

static bool take_item(json_t *from, struct pg_partition *out)
{
	json_int_t oid, file;
	const char *schema, *name, *root_schema, *root;

	if (json_unpack(from, "[IIssss]", &oid, &file, &schema, &name, &root_schema, &root))
		return false;
	*out = (struct pg_partition){ .oid = (uint32_t)oid,
				      .file = (uint64_t)file,
				      .schema = xstrdup(schema),
				      .name = xstrdup(name),
				      .root_schema = xstrdup(root_schema),
				      .root = xstrdup(root) };
	return true;
}

static void take(struct pg_partitions *p, json_t *all)
{
	json_t *list = json_object_get(all, "partitions");
	const char *roots = json_string_value(json_object_get(all, "roots"));

	if (!roots || strcmp(roots, p->roots) != 0)
		return;
	free_items(p->items, p->n);
	p->items = xcalloc(json_array_size(list), sizeof *p->items);
	for (p->n = 0; p->n < json_array_size(list); p->n++)
		if (!take_item(json_array_get(list, p->n), &p->items[p->n]))
			return; /* not known: nothing is compared */
	p->known = true;
}

static int restore(struct pg_partitions *p, struct error *err)
{
	AUTO(free) char *text = NULL;

	if (!p->state || p->known)
		return 0;
	if (state_get(p->state, "partitions", &text, err))
		return -1;
	json_t *all = text ? json_loads(text, 0, NULL) : NULL;

	take(p, all);
	json_decref(all);
	return 0;
}

int pg_partitions_compare(struct pg_partitions *p, const PGresult *r, struct error *err)
{
	size_t n = (size_t)PQntuples(r);
	struct pg_partition *now = xcalloc(n, sizeof *now);

	for (size_t i = 0; i < n; i++)
		row(r, (int)i, &now[i]);
	bool changed = !p->known || differ(p, now, r);

	free_items(p->items, p->n);
	p->items = now;
	p->n = n;
	p->known = true;
	return changed ? save(p, err) : 0;
}

int pg_partitions_load(struct pg_partitions *p, char *roots, PGconn *conn, int64_t deadline,
		       struct error *err)
{
	p->known = p->known && roots && strcmp(p->roots, roots) == 0;
	free(p->roots);
	p->roots = roots;
	if (!roots)
		return 0;
	const char *const value = roots;
	AUTO(PGresult)
	PGresult *r = pg_query_params(conn, deadline, "cannot read the partitions",
				      pg_partitions_sql, 1, &value, err);

	return r && restore(p, err) == 0 ? pg_partitions_compare(p, r, err) : -1;
}

void pg_partitions_release(struct pg_partitions *p)
{
	free_items(p->items, p->n);
	free(p->roots);
	*p = (struct pg_partitions){ 0 };
}
