/*
 * pg_copy_rows.c - rows of a table by binary COPY, decoded as they come
 *
 *	signature	"PGCOPY\n\377\r\n\0", u32 flags, u32 length of an extension, which is skipped
 *	row		u16 columns, each: i32 length (-1: NULL), bytes
 *	end		u16 0xffff
 *
 * All big-endian.  Each message of the server's is one row; the signature comes with the first.  Columns
 * whose binary form is not known are printed by their type's output function, as the stream's text is.
 */
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "pg_copier.h"

#define COPY_END       0xffff
#define END_TIMEOUT    INT64_C(60000000)
#define HAS_EXTRA_OIDS 0x10000 /* a flag of servers before 12 */

static const char signature[11] = { 'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\377', '\r', '\n', '\0' };
static const char what[] = "cannot read rows";

struct reading {
	struct copier *c;
	const struct pg_copy_table *table;
	int (*row)(void *arg, const struct value *values, struct error *err);
	void *arg;
	struct arena arena; /* of one row's values */
	struct value *values;
	struct str *wires; /* point into `message` */
	char *message;     /* of the last row given */
	int64_t rows, since;
	bool begun, enough;
	bool single; /* one key: there is nothing to be cut short */
};

/* --- the statement --- */

static void add_column(const struct pg_copy_table *t, size_t i, struct buf *out)
{
	const struct pg_relation *rel = t->rel;
	AUTO(buf) struct buf column = { 0 };

	pg_ident(&column, rel->name.p);
	buf_addc(&column, '.');
	pg_ident(&column, rel->said[i].name.p);
	if (rel->binary[i])
		buf_adds(out, buf_z(&column));
	else /* a cast may be another function; (NULL, NULL) IS NULL, and yet is not null */
		buf_addf(out,
			 "CASE WHEN %s IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', %s) END",
			 buf_z(&column), buf_z(&column));
}

/* A key value of the log's as the server takes it; of a database without an encoding it may have been changed. */
static int key_text(const struct copier *c, const struct column *as, const struct value *v,
		    struct arena *a, struct str *out, struct error *err)
{
	AUTO(buf) struct buf text = { 0 };

	pg_value_print(as, v, &text);
	*out = arena_copy(a, (struct str){ text.n ? text.p : "", text.n });
	if (!c->server.raw)
		return 0;
	if (memmem(out->p, out->n, "\xef\xbf\xbd", 3))
		return fail(err, ERR_REJECT,
			    "column %.*s: a key that is not UTF-8 cannot be looked up with "
			    "source.invalid_bytes = replace",
			    STR_FMT(as->name));
	if (as->type == COL_TEXT && v->state == VALUE_UNREPRESENTABLE)
		*out = pg_raw_unhex(*out, a);
	return 0;
}

static int add_key(struct copier *c, const struct pg_copy_table *t, const struct value *key,
		   struct buf *out, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };

	if (t->nkey == 0)
		return fail(err, ERR_REJECT, "table %s.%s has lost its key", t->draft.schema.p,
			    t->draft.name.p);
	for (size_t i = 0; i < t->nkey; i++) {
		const struct pg_key_column *k = &t->key.columns[i];
		const struct pg_key one = { t->key.table, &t->key.columns[i], 1 };
		const struct value *v = &key[t->draft.columns[k->index].key - 1];
		struct str text;

		buf_adds(out, i ? " AND " : " WHERE ");
		if (v->state == VALUE_NULL) {
			pg_key_column(&one, 0, out);
			buf_adds(out, " IS NULL");
			continue;
		}
		if (key_text(c, &k->as, v, &a, &text, err))
			return -1;
		pg_key_compare(&one, &text, 1, "=", out);
	}
	return 0;
}

static int add_bound(const struct pg_copy_table *t, const char *bound, const char *operator,
		     const char ** between, struct buf *out, struct error *err)
{
	AUTO(arena) struct arena a = { 0 };
	AUTO(free) struct str *texts = xcalloc(t->key.n + 1, sizeof *texts);
	size_t n;

	if (!bound)
		return 0;
	if (pg_bound_read(bound, &t->key, &a, texts, &n, err))
		return error_prefix(err, "table %s.%s", t->draft.schema.p, t->draft.name.p);
	buf_adds(out, *between);
	pg_key_compare(&t->key, texts, n, operator, out);
	*between = " AND ";
	return 0;
}

static int copy_sql(struct copier *c, const struct copy_range *range, int64_t limit,
		    struct buf *out, struct error *err)
{
	const struct pg_copy_table *t = &c->reading.items[0];
	const char *between = " WHERE ";

	buf_adds(out, "COPY (SELECT ");
	for (size_t i = 0; i < t->rel->ncolumns; i++) {
		if (i)
			buf_adds(out, ", ");
		add_column(t, i, out);
	}
	buf_adds(out, " FROM ");
	pg_copy_from(t, out);
	if (range->key) {
		if (add_key(c, t, range->key, out, err))
			return -1;
		between = " AND ";
	} else if (add_bound(t, range->after, ">", &between, out, err) ||
		   add_bound(t, range->upto, "<=", &between, out, err)) {
		return -1;
	}
	if (t->filter) {
		buf_addf(out, "%s(%s)", between, t->filter);
		between = " AND ";
	}
	if (c->where) /* it may end with a comment */
		buf_addf(out, "%s(%s\n)", between, c->where);
	if (!range->key && t->key.n) {
		buf_adds(out, " ORDER BY ");
		pg_key_order(&t->key, out);
	}
	if (limit > 0)
		buf_addf(out, " LIMIT %lld", (long long)limit);
	buf_adds(out, ") TO STDOUT (FORMAT binary)");
	return 0;
}

/* --- rows --- */

static int malformed(struct error *err)
{
	return fail(err, ERR_FATAL,
		    "%s: this is not what COPY sends in binary format; report this with the "
		    "server's version",
		    what);
}

static int take_signature(struct reading *r, struct cursor *c, struct error *err)
{
	struct str s = get_bytes(c, sizeof signature);
	uint32_t flags = get_u32be(c);

	get_bytes(c, get_u32be(c));
	r->begun = true;
	if (c->bad || memcmp(s.p, signature, sizeof signature) != 0 || (flags & HAS_EXTRA_OIDS))
		return malformed(err);
	return 0;
}

static int decode(const struct reading *r, size_t i, struct str wire, struct arena *a,
		  struct value *out, struct error *err)
{
	const struct pg_relation *rel = r->table->rel;
	const struct column *c = &rel->columns[i];

	if (r->c->server.raw)
		return pg_value_raw(c, rel->binary[i], wire, r->c->config->source.invalid_bytes, a,
				    out, err);
	return rel->binary[i] ? pg_value_binary(c, wire, a, out, err)
			      : pg_value_text(c, wire, a, out, err);
}

static int take_columns(struct reading *r, struct cursor *c, struct error *err)
{
	arena_reset(&r->arena);
	for (size_t i = 0; i < r->table->rel->ncolumns; i++) {
		int32_t length = (int32_t)get_u32be(c);

		r->wires[i] = (struct str){ NULL, 0 };
		r->values[i] = (struct value){ .state = VALUE_NULL };
		if (length == -1)
			continue;
		r->wires[i] = get_bytes(c, length < 0 ? SIZE_MAX : (size_t)length);
		if (!r->wires[i].p)
			return malformed(err);
		if (decode(r, i, r->wires[i], &r->arena, &r->values[i], err)) {
			err->kind = ERR_REJECT;
			return error_prefix(err, "table %s.%s", r->table->draft.schema.p,
					    r->table->draft.name.p);
		}
	}
	return c->p == c->end ? 0 : malformed(err);
}

static int take_row(struct reading *r, unsigned columns, struct cursor *c, size_t n,
		    struct error *err)
{
	size_t most = (size_t)r->c->config->source.max_row;

	if (c->bad || columns != r->table->rel->ncolumns)
		return malformed(err);
	if (most && n > most)
		return fail(err, ERR_REJECT,
			    "table %s.%s: a row of %zu bytes is longer than source.max_row (%zu); "
			    "raise source.max_row, and memory for it",
			    r->table->draft.schema.p, r->table->draft.name.p, n, most);
	if (take_columns(r, c, err))
		return -1;
	r->rows++;
	int rc = r->row(r->arg, r->values, err);

	r->enough = rc > 0;
	return rc < 0 ? -1 : 0;
}

/* Takes the message over: the last row's is kept. */
static int take_message(struct reading *r, char *message, size_t n, struct error *err)
{
	struct cursor c = cursor_of((struct str){ message, n });
	bool row = false;
	int rc = r->begun ? 0 : take_signature(r, &c, err);

	if (rc == 0 && cursor_left(&c)) {
		unsigned columns = get_u16be(&c);

		row = columns != COPY_END || c.bad;
		rc = row ? take_row(r, columns, &c, n, err) : 0;
	}
	PQfreemem(row ? r->message : message);
	if (row)
		r->message = message;
	return rc;
}

/* The rest of the copy, unread. */
static int drain(struct pg_ask *a, struct error *err)
{
	char *message = NULL;
	int n;

	while ((n = PQgetCopyData(a->conn, &message, 1)) >= 0) {
		PQfreemem(message);
		message = NULL;
		if (n == 0 && pg_ask_wait(a, what, err))
			return -1;
	}
	PGresult *r = pg_ask_await(a, END_TIMEOUT, what, err);

	PQclear(r);
	return r || err->code != ENOTCONN ? 0 : -1;
}

/* 1: the copy has ended, or was ended; 0: go on. */
static int take_next(struct reading *r, struct error *err)
{
	struct pg_ask *a = &r->c->ask;
	char *message = NULL;
	int n = PQgetCopyData(a->conn, &message, 1);

	if (n == 0)
		return pg_ask_wait(a, what, err);
	if (n == -1) {
		PGresult *end = pg_ask_await(a, END_TIMEOUT, what, err);

		PQclear(end);
		return end ? 1 : -1;
	}
	if (n < 0)
		return pg_ask_fail(a, NULL, what, err);
	struct error why, ignored;
	int rc = take_message(r, message, (size_t)n, &why);

	if (rc == 0 && (!r->enough || r->single))
		return 0;
	pg_ask_cancel(a);
	if (rc == 0)
		return drain(a, err) ? -1 : 1;
	*err = why;
	if (drain(a, &ignored) && err->kind == ERR_RETRY)
		err->code = ENOTCONN;
	a->state[0] = '\0'; /* the error is not the statement's */
	return -1;
}

static int copy(struct reading *r, const char *sql, struct error *err)
{
	struct pg_ask *a = &r->c->ask;
	int rc;

	/* one statement, whatever `where` says */
	if (!PQsendQueryParams(a->conn, sql, 0, NULL, NULL, NULL, NULL, 0))
		return pg_ask_fail(a, NULL, what, err);
	/* the answer comes with the first rows, which may be far from each other */
	AUTO(PGresult) PGresult *started = pg_ask_await(a, 0, what, err);

	if (!started)
		return -1;
	if (PQresultStatus(started) != PGRES_COPY_OUT)
		return malformed(err);
	do
		rc = take_next(r, err);
	while (rc == 0);
	return rc < 0 ? -1 : 0;
}

/* --- the last key --- */

/* From the wire: values of a database without an encoding may have been changed on their way. */
static char *last_key(struct reading *r, struct error *err)
{
	const struct pg_key *k = &r->table->key;
	AUTO(arena) struct arena a = { 0 };
	struct str *texts = arena_alloc(&a, k->n * sizeof *texts);

	for (size_t i = 0; i < k->n; i++) {
		const struct pg_key_column *c = &k->columns[i];
		AUTO(buf) struct buf text = { 0 };
		struct value v = { .state = VALUE_ABSENT };

		texts[i] = r->wires[c->index];
		if (!texts[i].p) {
			(void)fail(err, ERR_REJECT, "table %s.%s: column %.*s of its key is NULL",
				   r->table->draft.schema.p, r->table->draft.name.p,
				   STR_FMT(c->as.name));
			return NULL;
		}
		if (!r->table->rel->binary[c->index])
			continue;
		if (pg_value_binary(&c->as, texts[i], &a, &v, err))
			return NULL;
		pg_value_print(&c->as, &v, &text);
		texts[i] = arena_copy(&a, (struct str){ text.n ? text.p : "", text.n });
	}
	return pg_bound_make(k, texts, k->n);
}

static int judge_rows(struct copier *c, int64_t since, struct error *err)
{
	const struct table *t = &c->reading.items[0].draft;
	const char *state = c->ask.state;
	struct error why = *err;

	if (strcmp(state, "57014") == 0 && monotonic_us() - since >= PG_CHUNK_TIMEOUT)
		return fail(err, ERR_REJECT,
			    "table %s.%s: the rows of one chunk were not found within an hour; an "
			    "index that serves its key (and the condition) is needed",
			    t->schema.p, t->name.p);
	if (err->kind == ERR_FATAL && c->where && strcmp(state, "42501") != 0 && *state)
		return fail(err, ERR_REJECT, "table %s.%s where %.300s: %.600s", t->schema.p,
			    t->name.p, c->where, why.text);
	if (strcmp(state, "42703") == 0)
		return fail(err, ERR_RETRY, "table %s.%s was altered just when it was to be read",
			    t->schema.p, t->name.p);
	return pg_copier_judge(c, t->schema.p, t->name.p, err);
}

int pg_copy_rows(struct copier *c, const struct copy_range *range, int64_t limit,
		 int (*row)(void *arg, const struct value *values, struct error *err), void *arg,
		 char **last, bool *end, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	struct reading r = { .c = c,
			     .table = &c->reading.items[0],
			     .row = row,
			     .arg = arg,
			     .single = range->key != NULL,
			     .since = monotonic_us() };

	*last = NULL;
	*end = false;
	c->ask.state[0] = '\0';
	if (!c->begun || c->reading.n != 1)
		return fail(err, ERR_FATAL, "%s: no read was begun", what);
	if (copy_sql(c, range, limit, &sql, err))
		return -1;
	r.values = xcalloc(r.table->rel->ncolumns + 1, sizeof *r.values);
	r.wires = xcalloc(r.table->rel->ncolumns + 1, sizeof *r.wires);
	int rc = copy(&r, buf_z(&sql), err);

	if (rc)
		rc = judge_rows(c, r.since, err);
	else if (r.rows && r.table->key.n && !(*last = last_key(&r, err)))
		rc = -1;
	*end = rc == 0 && !r.enough && (limit <= 0 || r.rows < limit);
	PQfreemem(r.message);
	arena_free(&r.arena);
	free(r.values);
	free(r.wires);
	return rc;
}
