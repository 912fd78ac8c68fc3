/*
 * mysql_copy_read.c - the rows of a range, in the order of the key, to whoever asked for them
 */
#include <stdlib.h>

#include "mysql_copier_private.h"

#define SPARE       8 /* one of so many rows more than were wanted is passed over */
#define SPARE_LEAST 16

struct reading {
	struct copier *c;
	struct mysql_fetch *fetch;
	int (*row)(void *arg, const struct value *values, struct error *err);
	void *arg;
	struct value *values;
	const struct mysql_datum *at;
	int64_t given;
};

static int fail_row(const struct copier *c, struct error *err)
{
	const struct mysql_shape *s = c->shape;

	if (err->kind == ERR_FATAL)
		err->kind = ERR_REJECT;
	return error_prefix(err, "table %.*s.%.*s", STR_FMT(s->draft.schema),
			    STR_FMT(s->draft.name));
}

static int give_row(struct reading *r, struct error *err)
{
	struct copier *c = r->c;
	const struct mysql_shape *s = c->shape;
	size_t bytes = 0, most = (size_t)c->config->source.max_row;

	arena_reset(&c->row);
	for (size_t i = 0; i < s->draft.ncolumns; i++) {
		const struct mysql_datum *d = &r->at[i];

		bytes += d->null ? 0 : d->n;
		if (mysql_copy_value(s, i, d, &c->row, &r->values[i], err))
			return fail_row(c, err);
	}
	if (most && bytes > most) {
		(void)fail(err, ERR_REJECT,
			   "a row of %zu bytes is longer than source.max_row (%zu); raise "
			   "source.max_row, and memory for it",
			   bytes, most);
		return fail_row(c, err);
	}
	r->given++;
	return r->row(r->arg, r->values, err);
}

/* 0: all of the statement's rows were given; 1: the caller wants no more; -1. */
static int each_row(struct reading *r, struct error *err)
{
	const struct mysql_datum *row;
	int rc;

	while ((rc = mysql_fetch_next(r->fetch, &row, err)) > 0) {
		r->at = row;
		rc = give_row(r, err);
		if (rc)
			return rc;
	}
	if (rc < 0 && err->kind == ERR_FATAL)
		return fail_row(r->c, err);
	return rc;
}

/*
 * No more rows than the caller will take: what is on its way when it stops can only be passed over, or the connection
 * cut.  Where it stopped the last time it may again.
 */
static int64_t limit_of(const struct copier *c, const struct copy_range *range, int64_t limit)
{
	if (range->key)
		return 1;
	if (!c->most || !c->shape->draft.nkey)
		return limit;
	return limit > 0 && limit < c->most ? limit : c->most;
}

/* What it wanted, and some more: rows differ. */
static void learn(struct copier *c, const struct reading *r, int64_t limit, bool stopped)
{
	if (stopped)
		c->most = r->given + r->given / SPARE + 1;
	else if (c->most && r->given == limit)
		c->most *= 2;
}

/* 0, 1 as each_row(). */
static int read_range(struct copier *c, const char *sql, struct reading *r, char **last,
		      struct error *err)
{
	const struct mysql_shape *s = c->shape;

	r->fetch = mysql_fetch_open(c->conn, sql, c->stopping, err);
	if (!r->fetch) {
		AUTO(free) char *schema = xstrndup(s->draft.schema.p, s->draft.schema.n);
		AUTO(free) char *name = xstrndup(s->draft.name.p, s->draft.name.n);

		return copier_judge(c, schema, name, err);
	}
	int rc = each_row(r, err);

	if (rc >= 0 && r->given && s->draft.nkey)
		*last = mysql_copy_key(s, r->at);
	if (!mysql_fetch_close(r->fetch, rc < 0 ? 0 : (size_t)(r->given / SPARE) + SPARE_LEAST))
		copier_disconnect(c);
	return rc;
}

int copier_rows(struct copier *c, const struct copy_range *range, int64_t limit,
		int (*row)(void *arg, const struct value *values, struct error *err), void *arg,
		char **last, bool *end, struct error *err)
{
	AUTO(buf) struct buf sql = { 0 };
	struct reading r = { .c = c, .row = row, .arg = arg };

	*last = NULL;
	*end = false;
	if (!c->reading || !c->conn)
		return fail(err, ERR_RETRY, "the connection that read the table is lost");
	limit = limit_of(c, range, limit);
	if (mysql_copy_sql(c->shape, c->where, range, limit, &sql, err))
		return -1;
	AUTO(free)
	struct value *values = xcalloc(c->shape->draft.ncolumns, sizeof *values);

	r.values = values;
	int rc = read_range(c, buf_z(&sql), &r, last, err);

	if (rc < 0) {
		if (err->kind == ERR_RETRY)
			copier_disconnect(c);
		return -1;
	}
	*end = rc == 0 && (limit <= 0 || r.given < limit);
	if (!range->key)
		learn(c, &r, limit, rc == 1);
	return 0;
}
