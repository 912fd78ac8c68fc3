/*
 * fuzz_spool.c - the spool's reader over any bytes
 *
 * Input that begins with "Obj" is a container file: its header and blocks are read as a segment's
 * are.  Anything else is the records of a block that passed its checksum.  What is accepted is
 * decoded, encoded again and shown, as sinks and `tailrace events` do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "avro.h"
#include "ocf.h"

#define BOUND       ((size_t)1 << 20)
#define COLUMNS_MAX 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tables_config config = { "erp", "postgresql", "shop", NULL, 0 };

static char *make_definition(void)
{
	static const enum column_type types[] = { COL_INT64, COL_TEXT,   COL_DECIMAL, COL_DATE,
						  COL_ARRAY, COL_UINT64, COL_BYTES,   COL_DOUBLE };
	static char names[COUNT(types)][2];
	struct column columns[COUNT(types)];
	struct error err;

	for (size_t i = 0; i < COUNT(types); i++) {
		names[i][0] = (char)('a' + i);
		columns[i] = (struct column){ .name = { names[i], 1 },
					      .type = types[i],
					      .element = COL_DECIMAL,
					      .precision = 30,
					      .scale = 5,
					      .key = i == 0 ? 1 : 0 };
	}
	struct table draft = { .schema = STR("public"),
			       .name = STR("t"),
			       .columns = columns,
			       .ncolumns = COUNT(types) };
	struct tables *tables = tables_new(&config);

	const struct table *t = tables_define(tables, &draft, &err);

	if (!t)
		abort();
	char *definition = xstrndup(t->definition.p, t->definition.n);

	tables_free(tables);
	return definition;
}

/* Made anew after an input whose schema records went into it. */
static struct tables *make_tables(void)
{
	static char *definition; /* made once: Apache Avro C's validation takes its time */
	struct tables *tables = tables_new(&config);
	struct error err;

	if (!definition)
		definition = make_definition();
	if (!tables_restore(tables, str_z(definition), &err))
		abort();
	return tables;
}

/* A decoded image that is encoded again has the same values: it decodes to the same bytes again. */
static void check_image(struct str image, const struct table *t, struct str absent, struct str map)
{
	AUTO(arena) struct arena arena = { 0 };
	AUTO(buf) struct buf once = { 0 }, twice = { 0 };
	struct avro_extra extra = { { 0 }, { 0 } };
	struct error err;

	if (!image.p || t->ncolumns > COLUMNS_MAX)
		return;
	struct value *row = arena_zalloc(&arena, (t->ncolumns + 1) * sizeof *row);

	if (avro_get_row(image, t, absent, map, &arena, row, &err) == 0) {
		avro_put_row(&once, t, row, &extra);
		struct str again = { once.p, once.n };
		struct str bits = { extra.absent.p, extra.absent.n };
		struct str texts = { extra.unrepresentable.p, extra.unrepresentable.n };

		if (avro_get_row(again, t, bits, texts, &arena, row, &err) < 0)
			abort();
		struct avro_extra other = { { 0 }, { 0 } };

		avro_put_row(&twice, t, row, &other);
		if (!str_eq(again, (struct str){ twice.p, twice.n }) ||
		    !str_eq(bits, (struct str){ other.absent.p, other.absent.n }) ||
		    !str_eq(texts,
			    (struct str){ other.unrepresentable.p, other.unrepresentable.n }))
			abort();
		buf_free(&other.absent);
		buf_free(&other.unrepresentable);
	}
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
}

static void check_event(const struct event *e)
{
	struct avro_source source = { .connector = "postgresql",
				      .pipeline = "erp",
				      .database = "shop" };
	AUTO(buf) struct buf out = { 0 };
	struct error err;
	char op = event_op(e);

	if (e->table && e->table->ncolumns && op && op != 'm') {
		check_image(e->before, e->table, e->absent_before, e->unrepresentable_before);
		check_image(e->after, e->table, e->absent, e->unrepresentable);
		avro_put_envelope(&out, e, op, &source, 1, 1);
		avro_put_flat(&out, e, op);
	}
	avro_source_release(&source);
	buf_clear(&out);
	if (event_json(&out, e, &err) == 0 && op && out.n == 0)
		abort();
}

static void read_records(struct str bytes, struct tables *tables)
{
	struct cursor c = cursor_of(bytes);
	struct error err;
	struct event e;

	while (cursor_left(&c)) {
		if (spool_record_get(&c, tables, &e, &err) < 0)
			return;
		check_event(&e);
	}
}

static void read_file(const uint8_t *data, size_t size, struct tables *tables)
{
	struct ocf_codec_state *codec = ocf_codec_new(OCF_NULL, 1);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	AUTO(buf) struct buf records = { 0 };
	struct ocf_file file;
	struct error err;
	uint64_t count, next;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (ocf_read_header(fd, &file, &err) == 0) {
		uint64_t offset = file.header_size;

		while (ocf_read_block(fd, &file, codec, offset, BOUND, &records, &count, &next,
				      &err) == 1) {
			if (next <= offset || records.n > BOUND)
				abort();
			offset = next;
			if (records.n)
				read_records((struct str){ records.p, records.n }, tables);
		}
		ocf_file_release(&file);
	}
	close(fd);
	ocf_codec_free(codec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tables *tables;

	if (!tables)
		tables = make_tables();
	if (size >= 3 && memcmp(data, "Obj", 3) == 0)
		read_file(data, size, tables);
	else if (size)
		read_records((struct str){ (const char *)data, size }, tables);
	if (tables_count(tables) > 1) {
		tables_free(tables);
		tables = NULL;
	}
	return 0;
}
