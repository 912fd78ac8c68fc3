/*
 * pg_relation.c - the relations that a replication session has told of
 *
 * Relation message, after its 'R':
 *
 *	u32 OID, cstring schema ("" is pg_catalog), cstring name, u8 replica identity (d f i n),
 *	u16 columns, each: u8 flags (1: part of the replica identity), cstring name, u32 type OID,
 *	i32 type modifier
 *
 * With replica identity FULL every column is flagged, so the key is asked of the catalog.
 */
#include <stdlib.h>

#include "log.h"
#include "pg_relation.h"
#include "pg_values.h"

#define COLUMN_BYTES 10 /* the least that a column takes in the message */

struct type_name {
	uint32_t oid;
	char *text; /* schema.name */
};

struct pg_relations {
	struct pg_relation **slots; /* open addressing, `room` is a power of two */
	size_t n, room;
	struct pg_relation *last; /* rows of one table follow each other */
	struct type_name *types;
	size_t ntypes;
};

struct pg_relations *pg_relations_new(void)
{
	struct pg_relations *r = xcalloc(1, sizeof *r);

	r->room = 64;
	r->slots = xcalloc(r->room, sizeof *r->slots);
	return r;
}

void pg_relation_free(struct pg_relation *r)
{
	if (!r)
		return;
	arena_free(&r->arena);
	arena_free(&r->plan);
	free(r);
}

void pg_relations_free(struct pg_relations *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->room; i++)
		pg_relation_free(r->slots[i]);
	for (size_t i = 0; i < r->ntypes; i++)
		free(r->types[i].text);
	free(r->types);
	free(r->slots);
	free(r);
}

struct pg_relation *pg_relation_read(struct cursor *c)
{
	struct pg_relation *r = xcalloc(1, sizeof *r);

	r->oid = get_u32be(c);
	r->schema = get_cstr(c);
	r->name = arena_copy(&r->arena, get_cstr(c));
	r->schema = arena_copy(&r->arena, r->schema.n ? r->schema : STR("pg_catalog"));
	r->replica_identity = (char)get_u8(c);
	r->ncolumns = get_u16be(c);
	if (r->ncolumns > cursor_left(c) / COLUMN_BYTES)
		c->bad = true;
	if (c->bad || !strchr("dfin", r->replica_identity) || !r->replica_identity) {
		pg_relation_free(r);
		return NULL;
	}
	r->said = arena_zalloc(&r->arena, r->ncolumns * sizeof *r->said);
	for (size_t i = 0; i < r->ncolumns; i++) {
		struct pg_relation_column *column = &r->said[i];

		column->identity = get_u8(c) & 1;
		column->name = arena_copy(&r->arena, get_cstr(c));
		column->type = get_u32be(c);
		column->mod = (int32_t)get_u32be(c);
	}
	return r;
}

/* The slot where the OID is or would go. */
static struct pg_relation **slot_of(struct pg_relation **slots, size_t room, uint32_t oid)
{
	size_t i = (oid * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (room - 1);

	while (slots[i] && slots[i]->oid != oid)
		i = (i + 1) & (room - 1);
	return &slots[i];
}

static void grow(struct pg_relations *r)
{
	size_t room = r->room * 2;
	struct pg_relation **slots = xcalloc(room, sizeof *slots);

	for (size_t i = 0; i < r->room; i++) {
		if (r->slots[i])
			*slot_of(slots, room, r->slots[i]->oid) = r->slots[i];
	}
	free(r->slots);
	r->slots = slots;
	r->room = room;
}

void pg_relations_put(struct pg_relations *r, struct pg_relation *rel)
{
	struct pg_relation **slot = slot_of(r->slots, r->room, rel->oid), *old = *slot;

	if (old) {
		rel->previous = old->table ? old->table : old->previous;
		rel->warned = old->warned;
		if (!str_eq(old->name, rel->name) || !str_eq(old->schema, rel->schema))
			log_info("table was renamed; rows go on under the new name", "from",
				 old->name.p, "to", rel->name.p, NULL);
	}
	r->n += !old;
	*slot = rel;
	r->last = NULL;
	pg_relation_free(old);
	if (r->n > r->room / 2)
		grow(r);
}

struct pg_relation *pg_relations_get(struct pg_relations *r, uint32_t oid)
{
	if (!r->last || r->last->oid != oid)
		r->last = *slot_of(r->slots, r->room, oid);
	return r->last;
}

void pg_relations_put_type(struct pg_relations *r, uint32_t oid, struct str schema, struct str name)
{
	size_t i = 0;

	while (i < r->ntypes && r->types[i].oid != oid)
		i++;
	if (i == r->ntypes) {
		r->types = xrealloc(r->types, (r->ntypes + 1) * sizeof *r->types);
		r->types[r->ntypes++] = (struct type_name){ .oid = oid };
	}
	struct type_name *t = &r->types[i];

	free(t->text);
	t->text = xasprintf("%.*s%s%.*s", STR_FMT(schema), schema.n ? "." : "", STR_FMT(name));
}

static struct str said_type_name(const struct pg_relations *r, uint32_t oid)
{
	for (size_t i = 0; r && i < r->ntypes; i++) {
		if (r->types[i].oid == oid)
			return str_z(r->types[i].text);
	}
	return STR("");
}

static int check_names(const struct pg_relation *rel, struct error *err)
{
	bool valid = utf8_valid(rel->schema) && utf8_valid(rel->name);

	for (size_t i = 0; valid && i < rel->ncolumns; i++)
		valid = utf8_valid(rel->said[i].name);
	if (valid)
		return 0;
	return fail(err, ERR_FATAL,
		    "the name of the table with OID %u or of one of its columns is not UTF-8 (the "
		    "database has no encoding, SQL_ASCII): rename it, or leave the table out of "
		    "source.tables",
		    rel->oid);
}

static int resolve_types(const struct pg_relations *r, struct pg_relation *rel,
			 const struct pgoutput_catalog *catalog, struct error *err)
{
	arena_reset(&rel->plan);
	rel->columns = arena_zalloc(&rel->plan, rel->ncolumns * sizeof *rel->columns);
	rel->binary = arena_zalloc(&rel->plan, rel->ncolumns * sizeof *rel->binary);
	for (size_t i = 0; i < rel->ncolumns; i++) {
		const struct pg_relation_column *said = &rel->said[i];
		struct column *c = &rel->columns[i];

		c->name = said->name;
		if (pg_column_type(catalog, said->type, said->mod, said_type_name(r, said->type),
				   &rel->plan, c, err))
			return error_prefix(err, "column %.*s", STR_FMT(said->name));
		rel->binary[i] = pg_binary_known(c->native_id);
	}
	return 0;
}

/*
 * The key: what the replica identity is, or where that is every column or none, the primary key.
 * Returns the number of its columns, -1 on error.
 */
static int resolve_key(struct pg_relation *rel, const struct pgoutput_catalog *catalog,
		       struct error *err)
{
	bool *key = arena_zalloc(&rel->plan, rel->ncolumns * sizeof *key);
	struct str *names = arena_alloc(&rel->plan, rel->ncolumns * sizeof *names);
	int n = 0;

	for (size_t i = 0; i < rel->ncolumns; i++) {
		names[i] = rel->said[i].name;
		key[i] = rel->said[i].identity;
	}
	if (rel->replica_identity == 'f' || rel->replica_identity == 'n') {
		memset(key, 0, rel->ncolumns * sizeof *key);
		int found = catalog->primary_key(catalog->ctx, rel->oid, names, rel->ncolumns, key,
						 err);

		if (found < 0)
			return -1;
		if (!found)
			memset(key, 0, rel->ncolumns * sizeof *key);
	}
	for (size_t i = 0; i < rel->ncolumns; i++) {
		rel->columns[i].key = key[i] ? ++n : 0;
		rel->columns[i].nullable = !key[i];
	}
	return n;
}

static void make_draft(struct pg_relation *rel, size_t nkey, struct table *draft)
{
	uint16_t *key = arena_alloc(&rel->plan, nkey * sizeof *key);

	*draft = (struct table){
		.schema = rel->schema,
		.name = rel->name,
		.columns = rel->columns,
		.ncolumns = rel->ncolumns,
		.key = key,
		.nkey = nkey,
		.replica_identity = rel->replica_identity,
	};
	for (size_t i = 0; i < rel->ncolumns; i++) {
		if (rel->columns[i].key)
			key[rel->columns[i].key - 1] = (uint16_t)i;
	}
}

static int describe(const struct pg_relations *r, struct pg_relation *rel,
		    const struct pgoutput_catalog *catalog, struct table *draft, struct error *err)
{
	if (resolve_types(r, rel, catalog, err))
		return -1;
	int nkey = resolve_key(rel, catalog, err);

	if (nkey < 0)
		return -1;
	make_draft(rel, (size_t)nkey, draft);
	return 0;
}

int pg_relation_describe(struct pg_relation *rel, const struct pgoutput_catalog *catalog,
			 bool raw_text, struct table *draft, struct error *err)
{
	if (raw_text && check_names(rel, err))
		return -1;
	return describe(NULL, rel, catalog, draft, err);
}

/* Has this session seen another table under the name?  Then this one was created after it. */
static bool created_anew(const struct pg_relations *r, const struct pg_relation *rel)
{
	for (size_t i = 0; i < r->room; i++) {
		const struct pg_relation *other = r->slots[i];

		if (other && other->oid != rel->oid && str_eq(other->name, rel->name) &&
		    str_eq(other->schema, rel->schema))
			return true;
	}
	return false;
}

/* EDGE 15: ALTER TYPE writes the whole table anew, and the log has no event for any row of it. */
static void warn_of_rewrite(struct pg_relation *rel, const struct table *before,
			    struct tables *tables)
{
	for (size_t i = 0; i < before->ncolumns; i++) {
		const struct column *from = &before->columns[i];

		for (size_t j = 0; j < rel->ncolumns; j++) {
			const struct column *to = &rel->columns[j];

			if (!str_eq(from->name, to->name) || pg_type_widens(from, to))
				continue;
			log_warning("existing rows of the table may have been rewritten without "
				    "row events; the copy needs a re-load",
				    "schema", rel->schema.p, "table", rel->name.p, "column",
				    to->name.p, "from", from->native.p, "to", to->native.p, NULL);
			AUTO(free)
			char *reason = xasprintf(
				"column %.*s was changed from %.*s to %.*s: rows that existed may "
				"have been rewritten, and the log has no event for them",
				STR_FMT(to->name), STR_FMT(from->native), STR_FMT(to->native));

			tables_note(tables, TABLE_NOTE_RELOAD, rel->schema, rel->name, reason);
			rel->warned = true;
			return;
		}
	}
}

int pg_relation_resolve(struct pg_relations *r, struct pg_relation *rel,
			const struct pgoutput_config *config, struct error *err)
{
	const struct pgoutput_catalog *catalog = &config->catalog;

	if (rel->state != RELATION_UNRESOLVED)
		return 0;
	if (config->raw_text && check_names(rel, err))
		return -1;
	int selected = catalog->selected(catalog->ctx, rel->oid, rel->schema, rel->name, err);

	if (selected < 0)
		return -1;
	if (!selected) {
		rel->state = RELATION_NOT_CAPTURED;
		return 0;
	}
	struct table draft;

	if (describe(r, rel, catalog, &draft, err))
		return -1;
	const struct table *before = rel->previous;

	if (!before && !created_anew(r, rel))
		before = tables_latest(config->tables, rel->schema, rel->name);
	const struct table *table = tables_define(config->tables, &draft, err);

	if (!table)
		return -1;
	if (before && before != table && !rel->warned)
		warn_of_rewrite(rel, before, config->tables);
	rel->table = table;
	rel->state = RELATION_CAPTURED;
	return 0;
}
