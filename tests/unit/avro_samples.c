/*
 * avro_samples.c - writes Avro files of random tables for an independent reader to check
 *
 * usage: avro_samples DIR
 *
 *	schemas.jsonl	{"id","schema","canonical","fingerprint"} of each schema made
 *	rows-ID.avro	row images of version ID;	rows-ID.jsonl	{"hex", "values": {...}} of each
 *	events-ID.avro	its changes as envelopes;	events-ID.jsonl	{"hex", "event": {...}} of each
 *	flat-ID.avro	the same in the flat form;	flat-ID.jsonl	{"hex"} of each
 *	spool.avro	all of it as the spool keeps it, with schema records
 *
 * tests/integration/test_fastavro_oracle.py reads them.
 */
#include "avro_fixture.h"

#include <inttypes.h>

#include "ocf.h"
#include "value_text.h"

#define TABLES 60
#define ROWS   25

static const char *dir;

/* An Avro file and its JSON lines; a block ends every few records. */
struct sample {
	FILE *avro, *lines;
	struct ocf_codec_state *codec;
	struct buf block;
	uint64_t count;
	uint8_t sync[16];
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "avro_samples: %s\n", what);
		exit(1);
	}
}

static FILE *create(const char *name, unsigned id, const char *end)
{
	AUTO(free)
	char *path = id ? xasprintf("%s/%s-%u.%s", dir, name, id, end)
			: xasprintf("%s/%s.%s", dir, name, end);
	FILE *f = fopen(path, "w");

	must(f != NULL, path);
	return f;
}

static struct sample *sample_open(const char *name, unsigned id, const char *schema)
{
	struct sample *s = xcalloc(1, sizeof *s);
	AUTO(buf) struct buf header = { 0 };
	enum ocf_codec codec = (enum ocf_codec)(id % 3);

	s->avro = create(name, id, "avro");
	s->lines = create(name, id, "jsonl");
	s->codec = ocf_codec_new(codec, 1);
	ocf_header(&header, schema, codec, NULL, 0, s->sync);
	fwrite(header.p, 1, header.n, s->avro);
	return s;
}

static void sample_flush(struct sample *s)
{
	AUTO(buf) struct buf out = { 0 };
	struct error err;

	if (!s->count)
		return;
	must(ocf_block(&out, s->codec, s->sync, s->count, (struct str){ s->block.p, s->block.n },
		       &err) == 0,
	     "block");
	fwrite(out.p, 1, out.n, s->avro);
	buf_clear(&s->block);
	s->count = 0;
}

static void sample_add(struct sample *s, const struct buf *record, const char *name,
		       const struct buf *json)
{
	buf_add(&s->block, record->p, record->n);
	fputs("{\"hex\":\"", s->lines);
	for (size_t i = 0; i < record->n; i++)
		fprintf(s->lines, "%02x", (uint8_t)record->p[i]);
	fputs("\"", s->lines);
	if (json)
		fprintf(s->lines, ",\"%s\":%.*s", name, (int)json->n, json->p);
	fputs("}\n", s->lines);
	if (++s->count == 7)
		sample_flush(s);
}

static void sample_close(struct sample *s)
{
	sample_flush(s);
	must(fclose(s->avro) == 0 && fclose(s->lines) == 0, "close");
	ocf_codec_free(s->codec);
	buf_free(&s->block);
	free(s);
}

static void put_schema(FILE *f, const struct table *t, const char *schema, uint64_t fp)
{
	struct error err;
	AUTO(free) char *canonical = schema ? avro_canonical(schema, &err) : NULL;
	AUTO(buf) struct buf quoted = { 0 };

	if (!schema)
		return;
	buf_json(&quoted, str_z(canonical));
	fprintf(f,
		"{\"id\":%u,\"schema\":%s,\"canonical\":%s,\"fingerprint\":\"%016" PRIx64 "\"}\n",
		t->id, schema, buf_z(&quoted), fp);
}

static void write_rows(const struct table *t, struct rng *r, struct arena *a)
{
	struct sample *s = sample_open("rows", t->id, t->schemas.row);
	struct avro_extra extra = { { 0 }, { 0 } };
	AUTO(buf) struct buf row = { 0 }, json = { 0 };

	for (int i = 0; i < ROWS; i++) {
		struct value *values = fixture_row(r, a, t, i % 2);

		buf_clear(&row);
		buf_clear(&json);
		avro_put_row(&row, t, values, &extra);
		for (size_t c = 0; c < t->ncolumns; c++) {
			buf_addc(&json, c ? ',' : '{');
			buf_json(&json, t->columns[c].name);
			buf_addc(&json, ':');
			value_json(&json, &t->columns[c], &values[c]);
		}
		buf_addc(&json, '}');
		sample_add(s, &row, "values", &json);
	}
	sample_close(s);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
}

static struct change random_change(struct rng *r, struct arena *a, const struct table *t,
				   uint64_t row)
{
	static const enum change_op ops[] = { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE,
					      CHANGE_READ, CHANGE_TRUNCATE };
	struct change c = { .op = ops[rng_below(r, COUNT(ops))],
			    .table = t,
			    .pos = { 1, 0, 1000 + t->id, row },
			    .xid = 100 + t->id,
			    .commit_us = 1700000000000000 + t->id };

	if (c.op == CHANGE_UPDATE || c.op == CHANGE_DELETE)
		c.before = fixture_row(r, a, t, rng_below(r, 2));
	if (c.op == CHANGE_INSERT || c.op == CHANGE_UPDATE || c.op == CHANGE_READ)
		c.after = fixture_row(r, a, t, rng_below(r, 2));
	return c;
}

static void write_events(struct tables *tables, const struct table *t, struct rng *r,
			 struct arena *a, struct sample *spool)
{
	struct avro_source source = { .connector = "postgresql",
				      .pipeline = "erp",
				      .database = "shop" };
	struct sample *events = sample_open("events", t->id, t->schemas.envelope);
	struct sample *flat = sample_open("flat", t->id, t->schemas.flat);
	struct avro_scratch scratch = { 0 };
	AUTO(buf) struct buf record = { 0 }, out = { 0 }, json = { 0 };
	struct position first = { 1, 0, 1000 + t->id, 2 };
	struct error err;

	spool_record_put_schema(&record, t, &first);
	sample_add(spool, &record, NULL, NULL);
	for (uint64_t i = 0; i < ROWS; i++) {
		struct change c = random_change(r, a, t, 2 + i);
		struct event e;

		buf_clear(&record);
		spool_record_put(&record, &c, &scratch);
		struct cursor cursor = cursor_of((struct str){ record.p, record.n });

		must(spool_record_get(&cursor, tables, &e, &err) == 0, "record");
		buf_clear(&json);
		must(event_json(&json, &e, &err) == 0, "json");
		sample_add(spool, &record, "event", &json);
		buf_clear(&out);
		avro_put_envelope(&out, &e, event_op(&e), &source, (int64_t)i, (int64_t)i + 1);
		sample_add(events, &out, "event", &json);
		buf_clear(&out);
		avro_put_flat(&out, &e, event_op(&e));
		sample_add(flat, &out, NULL, NULL);
	}
	sample_close(events);
	sample_close(flat);
	avro_source_release(&source);
	avro_scratch_free(&scratch);
}

int main(int argc, char **argv)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables *tables = tables_new(&fixture_config);
	struct rng r = { 20260102 };

	must(argc == 2, "usage: avro_samples DIR");
	dir = argv[1];
	FILE *schemas = create("schemas", 0, "jsonl");
	struct sample *spool = sample_open("spool", 0, avro_spool_schema);

	for (unsigned i = 0; i < TABLES; i++) {
		const struct table *t = fixture_random_table(tables, &r, &arena, i);

		put_schema(schemas, t, t->schemas.row, t->schemas.fp_row);
		put_schema(schemas, t, t->schemas.key, t->schemas.fp_key);
		put_schema(schemas, t, t->schemas.envelope, t->schemas.fp_envelope);
		put_schema(schemas, t, t->schemas.flat, t->schemas.fp_flat);
		write_rows(t, &r, &arena);
		write_events(tables, t, &r, &arena, spool);
	}
	sample_close(spool);
	must(fclose(schemas) == 0, "close");
	tables_free(tables);
	return 0;
}
