/*
 * fuzz_pgoutput.c - replication messages from anywhere
 *
 * Input: one byte of options (1, 2: what is done with invalid bytes of a database without an encoding,
 * 0 UTF-8; 4: a small max_row; 8: half of the tables are not captured), then messages, each with two
 * bytes of length.  Whatever comes: a message is refused and nothing appended, or its changes can be
 * encoded for the spool.  16: one value only, faster: its type's OID and modifier, then its text form,
 * or with 1 its binary form.
 */
#include <stdlib.h>

#include "avro.h"
#include "log.h"
#include "pgoutput.h"
#include "registry.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTION_RAW = 3, OPTION_SHORT = 4, OPTION_HALF = 8, OPTION_VALUE = 16 };

static uint8_t options;

/* A catalog of all kinds of types: which one depends on the OID. */
static int fuzz_type(void *ctx, uint32_t oid, struct pg_type *out, struct error *err)
{
	static const char kinds[] = "bdecrmp";

	(void)ctx;
	if (oid % 13 == 0)
		return fail(err, ERR_RETRY, "not now");
	if (oid % 11 == 0)
		return 0;
	*out = (struct pg_type){ .oid = oid, .name = "public.t", .base_mod = -1, .delimiter = ',' };
	out->kind = kinds[oid % 7];
	if (out->kind == 'd') {
		out->base = oid % 2 ? 1700 : oid / 2;
		out->base_mod = oid % 3 ? (int32_t)oid : -1;
	}
	if (out->kind == 'b' && oid % 3 == 0) {
		out->element = oid % 2 ? 25 : oid / 3;
		out->delimiter = oid % 5 ? ',' : ';';
	}
	return 1;
}

static int fuzz_primary_key(void *ctx, uint32_t relation, const struct str *names, size_t n,
			    bool *key, struct error *err)
{
	(void)ctx;
	(void)names;
	(void)err;
	for (size_t i = 0; i < n; i++)
		key[i] = (relation >> i % 32 & 1) != 0;
	return relation % 3 != 0;
}

static int fuzz_selected(void *ctx, uint32_t relation, struct str schema, struct str name,
			 struct error *err)
{
	(void)ctx;
	(void)schema;
	(void)name;
	(void)err;
	return !(options & OPTION_HALF) || relation % 2;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "fuzz");
	return 0;
}

/* One message of its own size on the heap, so that a read past its end is seen. */
static void decode(struct pgoutput *p, struct cursor *in, struct batch *b,
		   struct avro_scratch *scratch)
{
	size_t length = get_u16be(in);
	struct str part = get_bytes(in, length < cursor_left(in) ? length : cursor_left(in));
	char *message = xmalloc(part.n);
	struct error err = { 0 };
	AUTO(buf) struct buf record = { 0 };

	if (part.n)
		memcpy(message, part.p, part.n);
	batch_empty(b);
	batch_add(b, CHANGE_HEARTBEAT, NULL, (struct position){ 0 });
	if (pgoutput_decode(p, (struct str){ message, part.n }, 0x1000, b, &err)) {
		if (b->nchanges != 1 || (err.kind != ERR_FATAL && err.kind != ERR_RETRY) ||
		    !err.text[0])
			abort();
	}
	for (size_t i = 1; i < b->nchanges; i++)
		spool_record_put(&record, &b->changes[i], scratch);
	free(message);
}

/* Every byte of a value is read, so that one that points nowhere is seen. */
static unsigned touch(const struct column *c, const struct value *v)
{
	unsigned sum = 0;

	if (v->state == VALUE_SET && c->type == COL_ARRAY) {
		const struct column element = { .type = c->element };

		for (size_t i = 0; i < v->a->n; i++)
			sum += touch(&element, &v->a->items[i]);
		return sum;
	}
	bool is_text = v->state == VALUE_UNREPRESENTABLE ||
		       (v->state == VALUE_SET &&
			(c->type == COL_TEXT || c->type == COL_JSON || c->type == COL_UUID ||
			 c->type == COL_DECIMAL || c->type == COL_BYTES));

	for (size_t i = 0; is_text && i < v->s.n; i++)
		sum += (uint8_t)v->s.p[i];
	return sum;
}

static volatile unsigned touched;

static void decode_value(struct cursor in)
{
	const struct pgoutput_catalog catalog = { NULL, fuzz_type, fuzz_primary_key,
						  fuzz_selected };
	struct arena a = { 0 };
	struct column c = { .name = STR("x") };
	struct value v = { 0 };
	struct error err = { 0 };
	uint32_t oid = get_u16be(&in);
	int32_t mod = (int32_t)get_u32be(&in);
	struct str wire = get_bytes(&in, cursor_left(&in));

	if (wire.p && !pg_column_type(&catalog, oid, mod, STR(""), &a, &c, &err)) {
		int r = options & 1 ? pg_value_binary(&c, wire, &a, &v, &err)
				    : pg_value_text(&c, wire, &a, &v, &err);

		if (r ? err.kind != ERR_FATAL || v.state == VALUE_SET : v.state == VALUE_ABSENT)
			abort();
		touched += touch(&c, &v);
	}
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = { data, data + size, false };
	struct batch b = { 0 };
	struct avro_scratch scratch = { 0 };

	options = get_u8(&in);
	if (options & OPTION_VALUE) {
		decode_value(in);
		return 0;
	}
	struct pgoutput_config config = {
		.tables = registry("postgresql"),
		.catalog = { NULL, fuzz_type, fuzz_primary_key, fuzz_selected },
		.raw_text = (options & OPTION_RAW) != 0,
		.invalid_bytes = (options & OPTION_RAW) == 1   ? INVALID_BYTES_STOP
				 : (options & OPTION_RAW) == 2 ? INVALID_BYTES_REPLACE
							       : INVALID_BYTES_BYTES,
		.max_row = options & OPTION_SHORT ? 64 : 0,
		.epoch = 1,
	};
	struct pgoutput *p = pgoutput_new(&config);

	while (cursor_left(&in))
		decode(p, &in, &b, &scratch);
	pgoutput_free(p);
	avro_scratch_free(&scratch);
	batch_free(&b);
	return 0;
}
