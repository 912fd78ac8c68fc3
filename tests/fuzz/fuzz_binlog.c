/*
 * fuzz_binlog.c - the binary log of a server from anywhere
 *
 * Input: one byte of options (1: the server has GTIDs; 2: tables that need a definition have none; 4: a small
 * max_row; 8, 16: what is done with text that is not in its charset; 32: transactions are held until their end,
 * with little memory for it), then events as they stand in a file.  Checksums are put right, or nothing would
 * get past them.  Whatever comes: an event is refused and nothing appended, or its changes can be encoded for
 * the spool.  64: one value only, faster: its type, metadata (2), flags, collation (2), then its bytes; with
 * 128 diffs of a partial update after 2 bytes of length of a JSON document.
 */
#include <stdlib.h>
#include <zlib.h>

#include "avro.h"
#include "binlog.h"
#include "binlog_value.h"
#include "log.h"
#include "registry.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPTION_GTID = 1,
	OPTION_NO_DEFINITION = 2,
	OPTION_SHORT = 4,
	OPTION_INVALID = 24,
	OPTION_HOLD = 32,
	OPTION_VALUE = 64,
	OPTION_JSON = 128,
};

static uint8_t options;
static struct arena definitions;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "fuzz");
	return 0;
}

static int fuzz_selected(void *ctx, struct str db, struct str table)
{
	(void)ctx;
	(void)db;
	return table.n % 7 != 5;
}

/* A definition that could have written the map, as far as its types go. */
static const char *column_type(const struct binlog_map_column *c)
{
	switch (c->type) {
	case MYSQL_STRING:
		return c->meta == 16 ? "uuid" : c->meta == 4 ? "inet4" : "char(7)";
	case MYSQL_ENUM:
		return "enum('a','b''c')";
	case MYSQL_SET:
		return "set('x','y','z')";
	case MYSQL_NEWDECIMAL:
		return "decimal(10,2)";
	case MYSQL_VARCHAR:
		return "varchar(20)";
	case MYSQL_BLOB:
		return "text";
	default:
		return "int(10) unsigned";
	}
}

static int fuzz_definition(void *ctx, const struct position *at, const struct binlog_map *map,
			   const struct mysql_table **out, struct error *err)
{
	static const char *const charsets[] = { "utf8mb4", "latin1", "gbk", "ucs2", "", "sjis" };
	struct mysql_table *t = arena_zalloc(&definitions, sizeof *t);

	(void)ctx;
	(void)at;
	if (options & OPTION_NO_DEFINITION) {
		(void)fail(err, ERR_FATAL, "there is none");
		return map->id % 2 ? 0 : -1;
	}
	t->schema = arena_copy(&definitions, map->db);
	t->name = arena_copy(&definitions, map->name);
	t->engine = STR("InnoDB");
	t->transactional = map->id % 3 != 0;
	t->ncolumns = map->ncolumns;
	t->columns = arena_zalloc(&definitions, map->ncolumns * sizeof *t->columns);
	for (size_t i = 0; i < map->ncolumns; i++) {
		struct mysql_column *c = &t->columns[i];

		c->name = str_z(arena_printf(&definitions, "c%zu", i));
		if (map->has_names)
			c->name = arena_copy(&definitions, map->columns[i].name);
		c->column_type = str_z(column_type(&map->columns[i]));
		c->data_type = (struct str){ c->column_type.p, strcspn(c->column_type.p, "( ") };
		c->charset = str_z(charsets[(i + map->id) % COUNT(charsets)]);
		c->is_unsigned = i % 2 != 0;
		c->key = i == 0;
	}
	*out = t;
	return 1;
}

static int fuzz_changed(void *ctx, const struct position *at, const struct mysql_statement_info *s,
			struct error *err)
{
	size_t named = 0;

	(void)ctx;
	(void)at;
	(void)err;
	for (size_t i = 0; i < s->nitems; i++)
		named += s->items[i].db.n + s->items[i].table.n;
	return named > SIZE_MAX / 2 ? -1 : 0;
}

/* --- the stream --- */

struct stream {
	struct binlog *d;
	struct batch batch;
	struct avro_scratch scratch;
	bool checksum;
};

/* The next event of its own size on the heap, so that a read past its end is seen. */
static struct str take_event(struct stream *s, struct cursor *in)
{
	size_t left = cursor_left(in), n = left;
	struct str bytes;

	if (left >= BINLOG_HEADER) {
		struct cursor size = cursor_of((struct str){ (const char *)in->p + 9, 4 });

		n = get_u32le(&size);
	}
	bytes = get_bytes(in, n < BINLOG_HEADER || n > left ? left : n);
	char *copy = xmalloc(bytes.n);

	memcpy(copy, bytes.p, bytes.n);
	if (bytes.n >= BINLOG_HEADER + 4 && (s->checksum || copy[4] == BINLOG_FORMAT)) {
		uint32_t crc = htole32((uint32_t)crc32_z(0, (Bytef *)copy, bytes.n - 4));

		memcpy(copy + bytes.n - 4, &crc, sizeof crc);
	}
	return (struct str){ copy, bytes.n };
}

static void look_at_format(struct stream *s, struct str event)
{
	struct binlog_format format;
	struct binlog_event e;
	struct error err = { 0 };

	if (event.n > 4 && event.p[4] == BINLOG_FORMAT &&
	    !binlog_event_parse(NULL, event, &e, &err) && !binlog_format_parse(&e, &format, &err))
		s->checksum = format.checksum;
}

/* What a call appended, or that it failed as it says. */
static int check(struct stream *s, int r, const struct error *err)
{
	AUTO(buf) struct buf record = { 0 };

	if (r && (s->batch.nchanges != 1 || (err->kind != ERR_FATAL && err->kind != ERR_RETRY) ||
		  !err->text[0]))
		abort();
	for (size_t i = 1; i < s->batch.nchanges; i++)
		spool_record_put(&record, &s->batch.changes[i], &s->scratch);
	batch_empty(&s->batch);
	batch_add(&s->batch, CHANGE_HEARTBEAT, NULL, (struct position){ 0 });
	return r;
}

/* 0: all of it was taken, otherwise the kind of error. */
static enum error_kind read_stream(struct stream *s, struct cursor in)
{
	const struct mysql_resume from = {
		.file = (char[]){ "mysql-bin.000001" },
		.epoch = 1,
		.pos = BINLOG_FIRST,
		.gtid = options & OPTION_GTID ? (char[]){ "" } : NULL,
	};
	struct error err = { 0 };

	if (binlog_begin(s->d, false, &from, NULL, &err))
		abort();
	s->checksum = false;
	while (cursor_left(&in)) {
		struct str event = take_event(s, &in);

		look_at_format(s, event);
		int r = check(s, binlog_decode(s->d, event, &s->batch, &err), &err);

		while (r == 0 && binlog_more(s->d))
			r = check(s, binlog_go_on(s->d, &s->batch, &err), &err);
		free((void *)(uintptr_t)event.p);
		if (r)
			return err.kind;
	}
	return ERR_NONE;
}

static void decode_stream(struct cursor in)
{
	const struct binlog_config config = {
		.tables = registry("mysql"),
		.catalog = { NULL, fuzz_selected, fuzz_definition, fuzz_changed },
		.invalid_bytes = (options & OPTION_INVALID) == 8    ? INVALID_BYTES_STOP
				 : (options & OPTION_INVALID) == 16 ? INVALID_BYTES_REPLACE
								    : INVALID_BYTES_BYTES,
		.max_row = options & OPTION_SHORT ? 64 : 1 << 20,
		.side_dir = "/tmp",
		.hold_memory = options & OPTION_HOLD ? 256 : 1 << 20,
		.hold_all = (options & OPTION_HOLD) != 0,
	};
	struct stream s = { .d = binlog_new(&config) };

	batch_add(&s.batch, CHANGE_HEARTBEAT, NULL, (struct position){ 0 });
	/* A group that was taken back is read again, held. */
	for (int i = 0; i < 3 && read_stream(&s, in) == ERR_RETRY; i++)
		;
	binlog_free(s.d);
	avro_scratch_free(&s.scratch);
	batch_free(&s.batch);
	arena_free(&definitions);
}

/* --- one value --- */

static volatile unsigned touched;

static void touch(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		touched += (uint8_t)s.p[i];
}

static bool is_text(enum column_type type)
{
	return type == COL_TEXT || type == COL_JSON || type == COL_UUID || type == COL_DECIMAL ||
	       type == COL_BYTES;
}

static void decode_value(struct cursor in)
{
	static struct str labels[] = { { "a", 1 }, { "\xe4", 1 }, { "", 0 } };
	struct binlog_map_column c = { .name = STR("x"), .nullable = true };
	struct binlog_map m = {
		.id = 1,
		.db = STR("d"),
		.name = STR("t"),
		.columns = &c,
		.ncolumns = 1,
		.has_signedness = true,
		.has_charset = true,
		.has_names = true,
		.has_labels = true,
		.has_label_charset = true,
		.has_key = true,
	};
	struct arena a = { 0 };
	struct column column = { 0 };
	struct binlog_field field = { 0 };
	struct value v = { 0 };
	struct error err = { 0 };

	c.type = get_u8(&in);
	c.meta = get_u16le(&in);
	c.is_unsigned = (get_u8(&in) & 1) != 0;
	c.collation = get_u16le(&in);
	if (c.type == MYSQL_ENUM || c.type == MYSQL_SET) {
		c.labels = labels;
		c.nlabels = COUNT(labels);
	}
	struct str bytes = get_bytes(&in, cursor_left(&in));
	int invalid = options & 8 ? INVALID_BYTES_STOP : INVALID_BYTES_BYTES;

	if (bytes.p && !binlog_field_make(&m, 0, NULL, invalid, &a, &column, &field, &err)) {
		char *copy = xmalloc(bytes.n);

		memcpy(copy, bytes.p, bytes.n);
		struct cursor cell = cursor_of((struct str){ copy, bytes.n });
		int r = binlog_value(&field, &cell, &a, &v, &err);

		if (r ? err.kind != ERR_FATAL : v.state == VALUE_ABSENT)
			abort();
		if (!r && (v.state == VALUE_UNREPRESENTABLE ||
			   (v.state == VALUE_SET && is_text(column.type))))
			touch(v.s);
		free(copy);
	}
	arena_free(&a);
}

static void decode_json(struct cursor in)
{
	struct arena a = { 0 };
	struct error err = { 0 };
	size_t n = get_u16le(&in);
	struct str document = get_bytes(&in, n < cursor_left(&in) ? n : cursor_left(&in));
	struct str diffs = get_bytes(&in, cursor_left(&in)), out, text;

	if (document.p && diffs.p && !binlog_json_apply(document, diffs, &a, &out, &err)) {
		touch(out);
		/* What was made of a document that can be read can be read. */
		if (!binlog_json_text(out, &a, &text, &err))
			touch(text);
	}
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = { data, data + size, false };

	options = get_u8(&in);
	if (!(options & OPTION_VALUE))
		decode_stream(in);
	else if (options & OPTION_JSON)
		decode_json(in);
	else
		decode_value(in);
	return 0;
}
