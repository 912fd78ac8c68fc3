/*
 * binlog_rows.c - the rows of a rows event as changes
 *
 *	row	insert, delete: image; update: before, after
 *	image	NULL bitmap over the columns present, then the value of each that is present and not NULL
 *	partial	update whose after image begins with lenenc options; with bit 0: a bitmap, one bit for each JSON
 *		column of the table, present or not; where the bit is set the value is u32 length, diffs
 *
 * Which columns are present the event says once.  A column that only the before image has was not changed: its
 * value is the after image's as well.
 */
#include "binlog_plan.h"

#define PARTIAL_JSON 1 /* bit of the options */

struct image {
	const struct binlog_plan *plan;
	struct cursor *c;
	struct arena *arena;
	struct str present;
	const struct value *before; /* of the same row, or NULL */
	struct str
		*json_before; /* binary JSON of each column of the before image; NULL: not kept */
	struct str partial;   /* bitmap over JSON columns; n == 0: none is partial */
	struct error *err;
};

static inline bool bit(struct str bitmap, size_t i)
{
	return i / 8 < bitmap.n && ((uint8_t)bitmap.p[i / 8] >> (i % 8) & 1);
}

static size_t count_bits(struct str bitmap, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += bit(bitmap, i);
	return count;
}

static int truncated(const struct binlog_plan *plan, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "a row of table %.*s.%.*s is cut short: the log is damaged or the table's "
		    "definition is not the one that it was written with",
		    STR_FMT(plan->db), STR_FMT(plan->name));
}

static struct str name_of(const struct binlog_plan *plan, size_t i)
{
	return plan->place[i] == PLAN_HIDDEN ? STR("(hidden)")
					     : plan->table->columns[plan->place[i]].name;
}

/* The diffs of column i, applied to what it was before. */
static int partial_cell(struct image *m, size_t i, struct value *out)
{
	uint32_t n = get_u32le(m->c);
	struct str diffs = get_bytes(m->c, n), whole, *before = m->json_before;

	if (m->c->bad)
		return truncated(m->plan, m->err);
	if (!before || !before[i].p)
		return fail(m->err, ERR_FATAL,
			    "column %.*s of table %.*s.%.*s was updated in part "
			    "(binlog_row_value_options = "
			    "PARTIAL_JSON) and the log does not have the document before it: set "
			    "binlog_row_image = FULL, or no binlog_row_value_options, and load the "
			    "table anew",
			    STR_FMT(name_of(m->plan, i)), STR_FMT(m->plan->db),
			    STR_FMT(m->plan->name));
	if (binlog_json_apply(before[i], diffs, m->arena, &whole, m->err))
		return -1;
	out->state = VALUE_SET;
	return binlog_json_text(whole, m->arena, &out->s, m->err);
}

static int bad_cell(const struct image *m, size_t i)
{
	return error_prefix(m->err, "table %.*s.%.*s, column %.*s", STR_FMT(m->plan->db),
			    STR_FMT(m->plan->name), STR_FMT(name_of(m->plan, i)));
}

/* `partial`: it comes as diffs. */
static int cell(struct image *m, size_t i, bool partial, struct value *out)
{
	const struct binlog_field *f = &m->plan->fields[i];

	if (partial)
		return partial_cell(m, i, out);
	if (f->type == MYSQL_JSON && m->json_before && !m->before) {
		struct cursor copy = *m->c;

		if (binlog_json_cell(f, &copy, &m->json_before[i], m->err))
			return -1;
	}
	out->state = VALUE_SET;
	return binlog_value(f, m->c, m->arena, out, m->err) ? bad_cell(m, i) : 0;
}

/* An image that has all columns, of a table that shows all: as nearly every one is. */
static const struct value *whole_image(struct image *m, struct str nulls)
{
	const struct binlog_plan *plan = m->plan;
	struct value *values = arena_alloc(m->arena, plan->ncolumns * sizeof *values);
	size_t at = 0;

	if (!binlog_values(plan->fields, plan->ncolumns, nulls, m->c, m->arena, values, &at,
			   m->err))
		return values;
	(void)bad_cell(m, at);
	return NULL;
}

static const struct value *image(struct image *m, size_t npresent, struct batch *b)
{
	const struct binlog_plan *plan = m->plan;
	struct str nulls = get_bytes(m->c, (npresent + 7) / 8);

	if (nulls.p && npresent == plan->ncolumns && plan->plain && !m->partial.n &&
	    !m->json_before)
		return whole_image(m, nulls);
	struct value *values = batch_row(b, plan->table), hidden;
	size_t at = 0, json = 0;

	for (size_t i = 0; i < plan->ncolumns && !m->c->bad; i++) {
		uint16_t place = plan->place[i];
		struct value *v = place == PLAN_HIDDEN ? &hidden : &values[place];
		bool partial = m->partial.n && plan->fields[i].type == MYSQL_JSON &&
			       bit(m->partial, json++);

		if (!bit(m->present, i)) {
			if (m->before && place != PLAN_HIDDEN)
				*v = m->before[place];
		} else if (bit(nulls, at++)) {
			v->state = VALUE_NULL;
		} else if (cell(m, i, partial, v)) {
			return NULL;
		}
	}
	if (!m->c->bad)
		return values;
	(void)truncated(plan, m->err);
	return NULL;
}

/* What the partial after image says before its row: which JSON columns come as diffs. */
static int read_partial(struct image *m)
{
	uint64_t options = binlog_lenenc(m->c);
	size_t json = 0;

	if (!(options & PARTIAL_JSON))
		return m->c->bad ? truncated(m->plan, m->err) : 0;
	for (size_t i = 0; i < m->plan->ncolumns; i++)
		json += m->plan->fields[i].type == MYSQL_JSON;
	m->partial = get_bytes(m->c, (json + 7) / 8);
	return m->c->bad ? truncated(m->plan, m->err) : 0;
}

struct shape {
	size_t before, after; /* columns present */
	bool keep_json;
};

static int one_row(const struct binlog_plan *plan, const struct binlog_rows *rows,
		   const struct shape *shape, struct cursor *c, struct change *out, struct batch *b,
		   struct error *err)
{
	struct image m = {
		.plan = plan, .c = c, .arena = &b->arena, .present = rows->present, .err = err
	};

	if (shape->keep_json)
		m.json_before = arena_zalloc(&b->arena, plan->ncolumns * sizeof *m.json_before);
	const struct value *first = image(&m, shape->before, b);

	if (!first)
		return -1;
	switch (rows->kind) {
	case BINLOG_ROWS_INSERT:
		out->after = first;
		return 0;
	case BINLOG_ROWS_DELETE:
		out->before = first;
		return 0;
	case BINLOG_ROWS_UPDATE:
	case BINLOG_ROWS_PARTIAL:
		break;
	}
	m.before = first;
	m.present = rows->present_after;
	if (rows->kind == BINLOG_ROWS_PARTIAL && read_partial(&m))
		return -1;
	out->before = first;
	out->after = image(&m, shape->after, b);
	return out->after ? 0 : -1;
}

static enum change_op op_of(enum binlog_rows_kind kind)
{
	switch (kind) {
	case BINLOG_ROWS_INSERT:
		return CHANGE_INSERT;
	case BINLOG_ROWS_DELETE:
		return CHANGE_DELETE;
	case BINLOG_ROWS_UPDATE:
	case BINLOG_ROWS_PARTIAL:
		break;
	}
	return CHANGE_UPDATE;
}

/* A column that was taken for one that no row has. */
static int check_hidden(const struct binlog_plan *plan, const struct binlog_rows *rows,
			struct error *err)
{
	for (size_t i = 0; plan->expressions && i < plan->ncolumns; i++)
		if (plan->place[i] == PLAN_HIDDEN &&
		    (bit(rows->present, i) || bit(rows->present_after, i)))
			return fail(
				err, ERR_FATAL,
				"column %.*s of table %.*s.%.*s has the name of what MySQL 8.0.13 "
				"to "
				"8.0.17 make for an index over an expression: give it another, and "
				"load the table anew",
				STR_FMT(plan->fields[i].name), STR_FMT(plan->db),
				STR_FMT(plan->name));
	return 0;
}

int binlog_rows_decode(const struct binlog_plan *plan, const struct binlog_rows *rows,
		       size_t max_row, const struct change *like, uint64_t *count, struct batch *b,
		       struct error *err)
{
	struct cursor c = cursor_of(rows->rows);
	struct shape shape = { .before = count_bits(rows->present, plan->ncolumns),
			       .after = count_bits(rows->present_after, plan->ncolumns),
			       .keep_json = rows->kind == BINLOG_ROWS_PARTIAL };
	struct position pos = like->pos;

	if (rows->ncolumns != plan->ncolumns)
		return fail(err, ERR_FATAL,
			    "rows of table %.*s.%.*s have %llu columns, its map has %zu: the log "
			    "is damaged",
			    STR_FMT(plan->db), STR_FMT(plan->name),
			    (unsigned long long)rows->ncolumns, plan->ncolumns);
	if (check_hidden(plan, rows, err))
		return -1;
	while (c.p < c.end) {
		const uint8_t *begin = c.p;

		pos.row = ++*count;
		struct change row = *like;

		row.op = op_of(rows->kind);
		row.table = plan->table;
		row.pos = pos;
		if (one_row(plan, rows, &shape, &c, &row, b, err))
			return -1;
		if (max_row && (size_t)(c.p - begin) > max_row)
			return fail(err, ERR_FATAL,
				    "a row of table %.*s.%.*s of %zu bytes is longer than "
				    "source.max_row (%zu); "
				    "raise source.max_row, and memory for it",
				    STR_FMT(plan->db), STR_FMT(plan->name), (size_t)(c.p - begin),
				    max_row);
		if (c.p == begin)
			return truncated(plan, err);
		*batch_add(b, row.op, row.table, pos) = row;
	}
	return 0;
}
