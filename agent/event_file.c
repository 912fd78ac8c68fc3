/*
 * event_file.c - events out of one Avro container file
 *
 * A segment of the spool has tailrace.format in its metadata and holds spool records.  A file of a
 * files sink holds envelopes or flat rows; its metadata tailrace.table is the table version's
 * definition, so that the images are read by the same plan as those of the spool:
 *
 *	envelope	before, after (unions of null and the row image), source (a record: its members are
 *			read as the file's schema lists them), op, ts_ms, ts_us, transaction (id,
 *			total_order, data_collection_order), absent, absent_before, unrepresentable,
 *			unrepresentable_before
 *	flat		the row image's columns, __op, __deleted, __source_ts_ms, __position, __absent,
 *			__unrepresentable
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "avro_private.h"
#include "event_file.h"
#include "ocf.h"
#include "table_definition.h"

#define SPOOL_FORMAT "1"
#define BLOCK_MAX    ((size_t)INT32_MAX) /* a longer block is damage */

enum file_kind { FILE_SPOOL, FILE_ENVELOPE, FILE_FLAT };

/* A member of the envelope's source record. */
struct member {
	char *name;
	bool text, optional;
};

struct reader {
	const char *path;
	int fd;
	struct ocf_file head;
	enum file_kind kind;
	struct tables *tables; /* spool: the versions met so far */
	event_fn *each;
	void *arg;

	/* Of a files sink's file. */
	struct table table;
	bool messages; /* logical messages: no table of the source */
	struct arena arena;
	struct member *members;
	size_t nmembers;
	struct str *
		slices; /* of the row just read: a value each, without its union's branch; p NULL: null */
	struct buf key, absent, absent_before;
};

/* --- what kind of file --- */

static const char *const envelope_fields[] = {
	"before",
	"after",
	"source",
	"op",
	"ts_ms",
	"ts_us",
	"transaction",
	"absent",
	"absent_before",
	"unrepresentable",
	"unrepresentable_before",
};
static const char *const flat_fields[] = { AVRO_FLAT_FIELDS };

static const char *field_name(const json_t *fields, size_t i)
{
	return json_string_value(json_object_get(json_array_get(fields, i), "name"));
}

/* Do the fields from `first` on, to the end, have these names? */
static bool fields_are(const json_t *fields, size_t first, const char *const *names, size_t n)
{
	if (json_array_size(fields) != first + n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = field_name(fields, first + i);

		if (!name || strcmp(name, names[i]) != 0)
			return false;
	}
	return true;
}

/* "string", "long", or one of them in a union after null. */
static bool member_of(const json_t *field, struct member *out)
{
	const json_t *type = json_object_get(field, "type");
	const char *name = json_string_value(json_object_get(field, "name"));

	out->optional = json_is_array(type);
	const char *plain = json_string_value(out->optional ? json_array_get(type, 1) : type);

	if (!name || !plain || (strcmp(plain, "string") != 0 && strcmp(plain, "long") != 0))
		return false;
	out->name = xstrdup(name);
	out->text = strcmp(plain, "string") == 0;
	return true;
}

static bool read_members(struct reader *r, const json_t *fields)
{
	const json_t *source = json_object_get(json_array_get(fields, 2), "type");
	const json_t *list = json_object_get(source, "fields");
	size_t n = json_array_size(list);

	r->members = xcalloc(n, sizeof *r->members);
	for (size_t i = 0; i < n; i++, r->nmembers++)
		if (!member_of(json_array_get(list, i), &r->members[i]))
			return false;
	return n > 0;
}

/* Logical messages have no table: a row of prefix and content. */
static void message_table(struct table *t)
{
	static struct column columns[] = { { .name = { "prefix", 6 }, .type = COL_TEXT },
					   { .name = { "content", 7 }, .type = COL_BYTES } };

	*t = (struct table){ .name = STR("messages"), .columns = columns, .ncolumns = 2 };
}

static bool is_messages(const json_t *fields)
{
	static const char *const names[] = { "prefix", "content" };
	const json_t *row = json_array_get(json_object_get(json_array_get(fields, 0), "type"), 1);
	const json_t *list = row ? json_object_get(row, "fields") : fields;

	for (size_t i = 0; i < COUNT(names); i++) {
		const char *name = field_name(list, i);

		if (!name || strcmp(name, names[i]) != 0)
			return false;
	}
	return true;
}

static int choose_table(struct reader *r, const json_t *fields, struct error *err)
{
	const struct ocf_meta *definition = ocf_meta_find(&r->head, "tailrace.table");
	struct table_names names;

	if (!definition && is_messages(fields)) {
		message_table(&r->table);
		r->messages = true;
		return 0;
	}
	if (!definition)
		return fail(err, ERR_FATAL,
			    "%s was not written by tailrace: neither tailrace.format nor "
			    "tailrace.table is in its metadata",
			    r->path);
	if (table_definition_parse(definition->value, &r->arena, &r->table, &names, err) != 0 ||
	    table_key_make(&r->table, &r->arena, err) != 0)
		return error_prefix(err, "%s", r->path);
	return 0;
}

static bool choose_kind(struct reader *r, const json_t *fields)
{
	if (fields_are(fields, 0, envelope_fields, COUNT(envelope_fields))) {
		r->kind = FILE_ENVELOPE;
		return read_members(r, fields);
	}
	r->kind = FILE_FLAT;
	return fields_are(fields, r->table.ncolumns, flat_fields, COUNT(flat_fields));
}

static int sink_file(struct reader *r, struct error *err)
{
	json_error_t why;
	json_t *schema = json_loads(r->head.schema, 0, &why);
	const json_t *fields = json_object_get(schema, "fields");
	int rc = choose_table(r, fields, err);

	r->slices = xcalloc(r->table.ncolumns, sizeof *r->slices);
	if (rc == 0 && !choose_kind(r, fields))
		rc = fail(err, ERR_FATAL,
			  "%s has a schema that this version does not know: read it with the "
			  "version of tailrace that wrote it",
			  r->path);
	json_decref(schema);
	return rc;
}

static int open_file(struct reader *r, struct error *err)
{
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0) {
		int code = errno;

		fail(err, ERR_FATAL, "cannot open %s: %s", r->path, strerror(code));
		err->code = code;
		return -1;
	}
	if (ocf_read_header(r->fd, &r->head, err) != 0)
		return error_prefix(err, "%s", r->path);
	const struct ocf_meta *format = ocf_meta_find(&r->head, "tailrace.format");

	if (!format)
		return sink_file(r, err);
	if (!str_eqz(format->value, SPOOL_FORMAT))
		return fail(err, ERR_FATAL,
			    "spool segment %s has format %.*s; this version reads "
			    "format " SPOOL_FORMAT ": read it with the version that wrote it",
			    r->path, STR_FMT(format->value));
	r->kind = FILE_SPOOL;
	return 0;
}

/* --- row images --- */

static struct str since(const uint8_t *start, const struct cursor *c)
{
	return (struct str){ (const char *)start, (size_t)(c->p - start) };
}

static void skip_scalar(struct cursor *c, enum column_type type)
{
	switch (type) {
	case COL_BOOL:
		get_u8(c);
		break;
	case COL_INT32:
	case COL_INT64:
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		get_long(c);
		break;
	case COL_FLOAT:
		get_bytes(c, 4);
		break;
	case COL_DOUBLE:
		get_bytes(c, 8);
		break;
	default:
		get_str(c);
	}
}

static bool get_branch(struct cursor *c)
{
	uint8_t branch = get_u8(c);

	c->bad |= branch != 0 && branch != 2;
	return branch == 2;
}

/* The items of the next block of an array or map; 0 at its end. */
static uint64_t get_count(struct cursor *c)
{
	int64_t n = get_long(c);

	if (n < 0) {
		get_long(c); /* the block's size in bytes */
		n = n == INT64_MIN ? INT64_MAX : -n;
	}
	c->bad |= (uint64_t)n > cursor_left(c); /* an item is a byte at least */
	return c->bad ? 0 : (uint64_t)n;
}

static void skip_value(struct cursor *c, const struct column *col)
{
	uint64_t n;

	if (col->type != COL_ARRAY) {
		skip_scalar(c, col->type);
		return;
	}
	while ((n = get_count(c)))
		for (uint64_t i = 0; i < n && !c->bad; i++)
			if (get_branch(c))
				skip_scalar(c, col->element);
}

static struct str get_image(struct reader *r, struct cursor *c)
{
	const uint8_t *start = c->p;

	for (size_t i = 0; i < r->table.ncolumns && !c->bad; i++) {
		r->slices[i] = (struct str){ NULL, 0 };
		if (!get_branch(c))
			continue;
		const uint8_t *value = c->p;

		skip_value(c, &r->table.columns[i]);
		r->slices[i] = since(value, c);
	}
	return since(start, c);
}

static struct str get_optional_image(struct reader *r, struct cursor *c)
{
	return get_branch(c) ? get_image(r, c) : (struct str){ NULL, 0 };
}

/* The key of the row just read: its values one after the other. */
static struct str key_of_row(struct reader *r)
{
	struct str none = { NULL, 0 };

	buf_clear(&r->key);
	for (size_t k = 0; k < r->table.nkey; k++) {
		struct str value = r->slices[r->table.key[k]];

		if (!value.p)
			return none;
		buf_add(&r->key, value.p, value.n);
	}
	return r->table.nkey ? (struct str){ r->key.p, r->key.n } : none;
}

/* --- what else an event has --- */

/* A union of null and an array of column names, as a bitmap. */
static struct str get_names(struct reader *r, struct cursor *c, struct buf *bitmap)
{
	size_t bytes = (r->table.ncolumns + 7) / 8;
	uint64_t n;

	buf_clear(bitmap);
	if (!get_branch(c))
		return (struct str){ NULL, 0 };
	memset(buf_more(bitmap, bytes + 1), 0, bytes);
	bitmap->n = bytes;
	while ((n = get_count(c))) {
		for (uint64_t k = 0; k < n && !c->bad; k++) {
			struct str name = get_str(c);
			size_t i = 0;

			while (i < r->table.ncolumns &&
			       !avro_field_is(r->table.columns[i].name, name))
				i++;
			if (i == r->table.ncolumns)
				c->bad = true;
			else
				bitmap->p[i / 8] = (char)(bitmap->p[i / 8] | 1 << i % 8);
		}
	}
	return (struct str){ bitmap->p, bitmap->n };
}

static struct str get_optional_map(struct cursor *c)
{
	return get_branch(c) ? avro_get_map(c) : (struct str){ NULL, 0 };
}

static int64_t get_optional_long(struct cursor *c)
{
	return get_branch(c) ? get_long(c) : 0;
}

static bool op_of(struct str letter, enum change_op *out)
{
	static const struct {
		char letter;
		enum change_op op;
	} ops[] = { { 'c', CHANGE_INSERT }, { 'u', CHANGE_UPDATE },   { 'd', CHANGE_DELETE },
		    { 'r', CHANGE_READ },   { 't', CHANGE_TRUNCATE }, { 'm', CHANGE_MESSAGE } };

	for (size_t i = 0; i < COUNT(ops); i++) {
		if (letter.n == 1 && letter.p[0] == ops[i].letter) {
			*out = ops[i].op;
			return true;
		}
	}
	return false;
}

static void get_source(struct reader *r, struct cursor *c, struct event *e)
{
	bool placed = false;

	for (size_t i = 0; i < r->nmembers && !c->bad; i++) {
		const struct member *m = &r->members[i];
		bool there = !m->optional || get_branch(c);

		if (!there)
			continue;
		struct str text = m->text ? get_str(c) : (struct str){ NULL, 0 };
		int64_t v = m->text ? 0 : get_long(c);

		if (strcmp(m->name, "position") == 0)
			placed = m->text && !c->bad && position_parse(text, &e->pos) == 0;
		else if (strcmp(m->name, "txId") == 0)
			e->xid = (uint64_t)v;
		else if (strcmp(m->name, "ts_us") == 0)
			e->commit_us = v;
	}
	c->bad |= !placed;
}

static void skip_transaction(struct cursor *c)
{
	if (!get_branch(c))
		return;
	get_str(c);
	get_long(c);
	get_long(c);
}

/* A message is a row of prefix and content; false where one should be and is not, or the reverse. */
static bool message_of_row(struct reader *r, struct event *e)
{
	bool is_row = e->after.p && r->slices[0].p;

	if (e->op != CHANGE_MESSAGE)
		return !r->messages;
	if (!r->messages || !is_row || !r->slices[1].p)
		return false;
	struct cursor prefix = cursor_of(r->slices[0]), content = cursor_of(r->slices[1]);

	e->prefix = get_str(&prefix);
	e->content = get_str(&content);
	e->table = NULL;
	e->after = e->key = (struct str){ NULL, 0 };
	return true;
}

static bool get_envelope(struct reader *r, struct cursor *c, struct event *e)
{
	*e = (struct event){ .table = &r->table };
	e->before = get_optional_image(r, c);
	if (e->before.p)
		e->key = key_of_row(r);
	e->after = get_optional_image(r, c);
	if (e->after.p)
		e->key = key_of_row(r);
	get_source(r, c, e);
	struct str op = get_str(c);

	get_optional_long(c); /* ts_ms */
	get_optional_long(c); /* ts_us: of the writing */
	skip_transaction(c);
	e->absent = get_names(r, c, &r->absent);
	e->absent_before = get_names(r, c, &r->absent_before);
	e->unrepresentable = get_optional_map(c);
	e->unrepresentable_before = get_optional_map(c);
	return !c->bad && op_of(op, &e->op) && message_of_row(r, e);
}

static bool get_flat(struct reader *r, struct cursor *c, struct event *e)
{
	*e = (struct event){ .table = &r->table };
	struct str image = get_image(r, c);

	e->key = key_of_row(r);
	struct str op = get_branch(c) ? get_str(c) : (struct str){ NULL, 0 };

	if (get_branch(c))
		get_str(c); /* __deleted */
	e->commit_us = get_optional_long(c) * 1000;
	struct str position = get_branch(c) ? get_str(c) : (struct str){ NULL, 0 };
	struct str absent = get_names(r, c, &r->absent);
	struct str unrepresentable = get_optional_map(c);

	if (c->bad || !op_of(op, &e->op) || !position.p || position_parse(position, &e->pos) != 0)
		return false;
	if (e->op == CHANGE_TRUNCATE) {
		e->key = (struct str){ NULL, 0 };
	} else if (e->op == CHANGE_DELETE) {
		e->before = image;
		e->absent_before = absent;
		e->unrepresentable_before = unrepresentable;
	} else {
		e->after = image;
		e->absent = absent;
		e->unrepresentable = unrepresentable;
	}
	return message_of_row(r, e);
}

/* --- blocks --- */

static int damaged(struct reader *r, uint64_t offset, struct error *err)
{
	return fail(err, ERR_FATAL, "%s is damaged in the block at offset %" PRIu64, r->path,
		    offset);
}

static int read_records(struct reader *r, struct str records, uint64_t count, uint64_t offset,
			struct error *err)
{
	struct cursor c = cursor_of(records);
	struct event e;
	int rc = 0;

	for (uint64_t i = 0; i < count && rc == 0; i++) {
		if (r->kind == FILE_SPOOL) {
			if (spool_record_get(&c, r->tables, &e, err) != 0)
				return error_prefix(err, "%s, block at offset %" PRIu64, r->path,
						    offset);
		} else if (!(r->kind == FILE_FLAT ? get_flat : get_envelope)(r, &c, &e)) {
			return damaged(r, offset, err);
		}
		rc = r->each(&e, r->arg, err);
	}
	if (rc == 0 && c.p != c.end)
		return damaged(r, offset, err);
	return rc;
}

/* Does a block end somewhere after offset?  Then what stands there is damaged, not torn. */
static bool block_ends_after(const struct reader *r, uint64_t offset)
{
	AUTO(free) char *bytes = xmalloc(1 << 20);
	size_t kept = 0; /* of a marker that straddles two reads */

	for (ssize_t n; (n = pread(r->fd, bytes + kept, (1 << 20) - kept, (off_t)offset)) > 0;) {
		size_t have = kept + (size_t)n;

		if (memmem(bytes, have, r->head.sync, sizeof r->head.sync))
			return true;
		offset += (uint64_t)n;
		kept = have < sizeof r->head.sync - 1 ? have : sizeof r->head.sync - 1;
		memmove(bytes, bytes + have - kept, kept);
	}
	return false;
}

static int read_blocks(struct reader *r, bool last, struct error *err)
{
	struct ocf_codec_state *codec = ocf_codec_new(r->head.codec, 1);
	AUTO(buf) struct buf records = { 0 };
	uint64_t offset = r->head.header_size, next, count;
	int rc = 0, got;

	while (rc == 0 && (got = ocf_read_block(r->fd, &r->head, codec, offset, BLOCK_MAX, &records,
						&count, &next, err)) != 0) {
		if (got < 0 && err->code == EILSEQ && last && r->kind == FILE_SPOOL &&
		    !block_ends_after(r, offset))
			break;
		if (got < 0)
			rc = error_prefix(err, "%s", r->path);
		else
			rc = read_records(r, (struct str){ records.p, records.n }, count, offset,
					  err);
		offset = next;
	}
	ocf_codec_free(codec);
	return rc;
}

static void close_file(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	ocf_file_release(&r->head);
	for (size_t i = 0; i < r->nmembers; i++)
		free(r->members[i].name);
	free(r->members);
	free(r->slices);
	arena_free(&r->arena);
	buf_free(&r->key);
	buf_free(&r->absent);
	buf_free(&r->absent_before);
}

bool event_file_first(const char *path, struct position *first)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int end = 0;

	return sscanf(name, "%" SCNx32 "-%6" SCNx32 "-%16" SCNx64 "-%16" SCNx64 ".avro%n",
		      &first->epoch, &first->file, &first->offset, &first->row, &end) == 4 &&
	       end > 0 && name[end] == '\0';
}

int event_file_read(const char *path, bool last, struct tables *tables, event_fn *each, void *arg,
		    struct error *err)
{
	struct reader r = { .path = path, .fd = -1, .tables = tables, .each = each, .arg = arg };
	struct position first;
	int rc = open_file(&r, err);

	if (rc == 0)
		rc = read_blocks(&r, last, err);
	else if (last && err->code == EILSEQ && event_file_first(path, &first))
		rc = 0; /* a segment whose header is just being written */
	close_file(&r);
	return rc;
}
