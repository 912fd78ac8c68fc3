/*
 * schema_cmd.c - `tailrace schema list|show`: table versions and their Avro schemas, from state.db
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "state.h"
#include "table.h"

static void put_names(struct buf *out, const struct table *t)
{
	buf_adds(out, "{\"schema\":");
	buf_json(out, t->schema);
	buf_adds(out, ",\"table\":");
	buf_json(out, t->name);
	buf_addf(out, ",\"version\":%u,\"fingerprint\":\"%016" PRIx64 "\"", t->version,
		 t->schemas.fp_row);
}

static void list_json(struct buf *out, const struct table *t)
{
	buf_adds(out, out->n ? ",\n" : "[\n");
	put_names(out, t);
	buf_addc(out, '}');
}

static void list_text(struct buf *out, const struct table *t)
{
	AUTO(free) char *name = xasprintf("%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));

	buf_addf(out, "%-40s v%-4u %016" PRIx64 "  %zu columns, key ", name, t->version,
		 t->schemas.fp_row, t->ncolumns);
	for (size_t k = 0; k < t->nkey; k++)
		buf_addf(out, "%s%.*s", k ? ", " : "", STR_FMT(t->columns[t->key[k]].name));
	buf_adds(out, t->nkey ? "\n" : "none\n");
}

static void show_json(struct buf *out, const struct table *t)
{
	put_names(out, t);
	buf_addf(out, ",\"row\":%s,\"key\":%s}\n", t->schemas.row,
		 t->schemas.key ? t->schemas.key : "null");
}

/* The same, indented. */
static void show_text(struct buf *out, const struct table *t)
{
	AUTO(buf) struct buf line = { 0 };

	show_json(&line, t);
	json_t *o = json_loadb(line.p, line.n, 0, NULL);
	AUTO(free) char *text = json_dumps(o, JSON_INDENT(2));

	buf_addf(out, "%s\n", text ? text : buf_z(&line));
	json_decref(o);
}

struct request {
	bool show, json;
	const struct list *tables; /* one pattern; empty: all */
	unsigned version;          /* 0: list every one, show the latest */
};

static bool is_wanted(const struct request *r, const struct tables *tables, const struct table *t)
{
	if (!t || (r->tables->n && !patterns_match(r->tables, t->schema, t->name)))
		return false;
	if (r->version)
		return t->version == r->version;
	return !r->show || tables_latest(tables, t->schema, t->name) == t;
}

static int print(const struct request *r, const struct tables *tables, struct error *err)
{
	void (*put)(struct buf *, const struct table *) =
		r->show ? (r->json ? show_json : show_text) : (r->json ? list_json : list_text);
	AUTO(buf) struct buf out = { 0 };

	for (uint32_t id = 1; id <= tables_count(tables); id++) {
		const struct table *t = tables_by_id(tables, id);

		if (is_wanted(r, tables, t))
			put(&out, t);
	}
	if (!out.n && (r->tables->n || r->version))
		return fail(err, ERR_FATAL,
			    "no version of %s is known here; `tailrace schema list` names those "
			    "that are",
			    r->tables->n ? r->tables->items[0] : "that number");
	if (r->json && !r->show)
		buf_adds(&out, out.n ? "\n]\n" : "[]\n");
	fwrite(out.p, 1, out.n, stdout);
	return fflush(stdout) == 0 ? 0 : fail(err, ERR_FATAL, "cannot write to standard output");
}

static int run(const struct request *r, const struct config *c, struct error *err)
{
	const struct tables_config names = { .pipeline = c->pipeline.name };
	AUTO(free) char *file = xasprintf("%s/state.db", c->pipeline.state_dir);

	if (access(file, F_OK) != 0)
		return fail(err, ERR_FATAL,
			    "%s is not there: the agent of pipeline %s has not run yet", file,
			    c->pipeline.name);
	struct state *state = state_open_shared(c->pipeline.state_dir, err);

	if (!state)
		return -1;
	struct tables *tables = tables_new(&names);
	int rc = state_restore_tables(state, tables, err);

	if (rc == 0)
		rc = print(r, tables, err);
	tables_free(tables);
	state_close(state);
	return rc;
}

/* 0, or EXIT_USAGE after a message. */
static int parse_operands(int n, char **operands, const char *version, struct request *r)
{
	char *end = NULL;

	if (n < 1 || (strcmp(operands[0], "list") != 0 && strcmp(operands[0], "show") != 0))
		return command_usage("schema: say `list` or `show`%s%s", n < 1 ? "" : ", not ",
				     n < 1 ? "" : operands[0]);
	r->show = strcmp(operands[0], "show") == 0;
	if (!version)
		return 0;
	unsigned long v = strtoul(version, &end, 10);

	if (*end || v == 0 || v > UINT32_MAX)
		return command_usage("schema: --version %s is no version number", version);
	r->version = (unsigned)v;
	return 0;
}

int cmd_schema(int argc, char **argv)
{
	const char *path = CONFIG_FILE, *version = NULL;
	struct list tables = { 0 };
	struct request r = { .tables = &tables };
	struct error err;
	const struct flag flags[] = {
		FLAG_CONFIG(path),
		FLAG_SWITCH("json", r.json, "as JSON"),
		FLAG_VALUE("version", "N", version,
			   "this version; default: list all, show the latest"),
		FLAG_END,
	};
	int first, rc = command_flags(argc, argv, flags, 2, &first);

	if (rc >= 0)
		return rc;
	rc = parse_operands(argc - first, argv + first, version, &r);
	if (rc)
		return rc;
	tables.items = argv + first + 1;
	tables.n = argc - first > 1;
	struct config *c = command_config(path);

	if (!c)
		return EXIT_USAGE;
	rc = run(&r, c, &err) == 0 ? EXIT_DONE : command_failed(&err);
	config_free(c);
	return rc;
}
