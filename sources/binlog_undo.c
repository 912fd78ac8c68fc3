/*
 * binlog_undo.c - what the log takes back, and XA transactions that wait for their end
 *
 * A group in which a non-transactional table was written is logged even when it is rolled back, whole (ROLLBACK) or
 * to a savepoint: the rows of transactional tables count for nothing then, those of the others stay.
 */
#include <stdlib.h>
#include <strings.h>

#include "binlog_group.h"
#include "log.h"

#define HOLD_NEXT 1000

/* --- rollbacks --- */

/* Does a rollback leave this table's rows?  1, 0; -1: it cannot be known. */
static int stays(struct binlog *d, const struct binlog_plan *plan, const struct binlog_event *map,
		 struct error *err)
{
	const struct binlog_catalog *catalog = &d->config.catalog;
	const struct mysql_table *def;
	AUTO(arena) struct arena a = { 0 };
	struct binlog_map m;

	if (!plan->table)
		return 0;
	if (binlog_map_parse(map, &d->format, &a, &m, err))
		return -1;
	int found = catalog->definition(catalog->ctx, &d->group.pos, &m, &def, err);

	if (found > 0)
		return !def->transactional;
	if (found == 0)
		err->kind = ERR_FATAL;
	return error_prefix(err, "is the engine of %.*s.%.*s transactional (a rollback was logged)",
			    STR_FMT(plan->db), STR_FMT(plan->name));
}

struct filter {
	struct binlog *d;
	struct hold kept;
	struct {
		uint64_t id;
		bool stays;
	} tables[STATEMENT_TABLES];
	size_t ntables;
};

static int filter_map(struct filter *f, const struct binlog_event *e, struct error *err)
{
	bool last;
	uint64_t id = binlog_rows_table(e, &last);
	size_t i = 0;

	if (binlog_group_map(f->d, e, err))
		return -1;
	int rc = stays(f->d, binlog_group_plan(f->d, id), e, err);

	if (rc < 0)
		return -1;
	while (i < f->ntables && f->tables[i].id != id)
		i++;
	f->tables[i].id = id; /* binlog_group_map() has bounded them */
	f->tables[i].stays = rc;
	if (i == f->ntables)
		f->ntables++;
	return rc ? hold_add(&f->kept, e, err) : 0;
}

static int filter_event(struct filter *f, const struct binlog_event *e, struct error *err)
{
	bool last, keep = false;

	if (e->type == BINLOG_TABLE_MAP)
		return filter_map(f, e, err);
	uint64_t id = binlog_rows_table(e, &last);

	for (size_t i = 0; i < f->ntables; i++)
		keep = keep || (f->tables[i].id == id && f->tables[i].stays);
	if (last)
		f->ntables = f->d->nmaps = 0;
	return keep ? hold_add(&f->kept, e, err) : 0;
}

static void keep_holding(struct binlog *d)
{
	d->hold_next = HOLD_NEXT;
	if (position_cmp(&d->group.pos, &d->hold_at) > 0)
		d->hold_at = d->group.pos;
}

/* Takes out of what is held, from `mark` on, the rows of transactional tables. */
static int take_back(struct binlog *d, uint64_t mark, struct error *err)
{
	struct hold *h = &d->group.hold;
	struct filter f = { .d = d };
	AUTO(buf) struct buf room = { 0 };
	struct binlog_event e;
	uint64_t at = mark;
	int rc;

	keep_holding(d);
	hold_init(&f.kept, h->dir, h->memory);
	while ((rc = hold_next(h, &at, &room, &e, err)) > 0 &&
	       (rc = filter_event(&f, &e, err)) == 0)
		;
	if (rc == 0) {
		hold_cut(h, mark);
		at = 0;
		while ((rc = hold_next(&f.kept, &at, &room, &e, err)) > 0 &&
		       (rc = hold_add(h, &e, err)) == 0)
			;
	}
	hold_release(&f.kept);
	d->nmaps = 0;
	return rc;
}

/*
 * Rows of it went out already: it is read again, and held.  So are all before it and many after it: where one is,
 * others are, and what is read between two of them is lost with the batch each time.
 */
static int read_again(struct binlog *d, struct error *err)
{
	keep_holding(d);
	return fail(
		err, ERR_RETRY,
		"the log takes back rows of the transaction at %llu: it is read again as a whole",
		(unsigned long long)d->group.pos.offset);
}

int binlog_group_rollback(struct binlog *d, struct batch *b, struct error *err)
{
	struct group *g = &d->group;

	if (g->holding && !g->skip && take_back(d, 0, err))
		return -1;
	if (!g->holding && g->given)
		return read_again(d, err);
	binlog_group_end(d, b);
	return 0;
}

void binlog_savepoint(struct binlog *d, struct str name)
{
	struct group *g = &d->group;

	g->savepoints = xrealloc(g->savepoints, (g->nsavepoints + 1) * sizeof *g->savepoints);
	g->savepoints[g->nsavepoints++] =
		(struct savepoint){ xstrndup(name.p ? name.p : "", name.n), g->hold.end };
}

int binlog_rollback_to(struct binlog *d, struct str name, struct error *err)
{
	struct group *g = &d->group;

	if (!g->holding)
		return g->given ? read_again(d, err) : 0;
	for (size_t i = g->nsavepoints; i-- > 0;) {
		const char *known = g->savepoints[i].name;

		if (strlen(known) != name.n || strncasecmp(known, name.p, name.n) != 0)
			continue;
		return g->skip ? 0 : take_back(d, g->savepoints[i].mark, err);
	}
	return fail(err, ERR_FATAL, "the log rolls back to savepoint %.*s, which it did not set",
		    STR_FMT(name));
}

/* --- XA --- */

static void pending_release(struct pending *p)
{
	hold_release(&p->hold);
	free(p->before);
	free(p->file);
	free(p->xa);
}

void binlog_pending_free(struct binlog *d)
{
	for (size_t i = 0; i < d->npending; i++)
		pending_release(&d->pending[i]);
	free(d->pending);
	d->pending = NULL;
	d->npending = 0;
}

void binlog_xa_start(struct binlog *d, struct str xid)
{
	struct group *g = &d->group;

	free(g->xa);
	g->xa = xstrndup(xid.p ? xid.p : "", xid.n);
	g->holding = true; /* also of a group that is known: its COMMIT may not be */
}

static struct pending *find_pending(struct binlog *d, struct str xid)
{
	for (size_t i = 0; i < d->npending; i++) {
		if (str_eqz(xid, d->pending[i].xa))
			return &d->pending[i];
	}
	return NULL;
}

static void forget_pending(struct binlog *d, struct pending *p)
{
	size_t i = (size_t)(p - d->pending);

	if (p->has_gtid && d->set && !d->mariadb)
		gtid_set_add(d->set, &p->gtid);
	pending_release(p);
	d->npending--;
	memmove(p, p + 1, (d->npending - i) * sizeof *p);
}

static void add_pending(struct binlog *d, struct str xid)
{
	struct group *g = &d->group;
	struct pending *old = find_pending(d, xid);
	AUTO(buf) struct buf set = { 0 };

	if (old)
		forget_pending(d, old);
	d->pending = xrealloc(d->pending, (d->npending + 1) * sizeof *d->pending);
	struct pending *p = &d->pending[d->npending++];

	*p = (struct pending){
		.xa = xstrndup(xid.p, xid.n),
		.has_gtid = g->has_gtid,
		.gtid = g->gtid,
		.file = xstrdup(d->file),
		.start = g->pos.offset,
		.hold = g->hold,
	};
	hold_init(&g->hold, p->hold.dir, p->hold.memory);
	if (!d->mariadb || !d->set)
		return;
	gtid_set_format(d->set, &set);
	p->before = xstrdup(buf_z(&set));
}

int binlog_xa_prepare(struct binlog *d, const struct binlog_event *e, struct batch *b,
		      struct error *err)
{
	struct group *g = &d->group;
	struct binlog_xid x;

	if (binlog_xa_prepare_parse(e, &x, err))
		return -1;
	if (!g->open)
		return fail(err, ERR_FATAL, "XA PREPARE outside of a transaction");
	if (x.one_phase) {
		binlog_group_end(d, b);
		return 0;
	}
	if (!g->xa)
		return fail(err, ERR_FATAL, "XA PREPARE of a transaction that is none of XA");
	add_pending(d, mysql_xid_text(x.format, x.global, x.branch, &b->arena));
	if (!d->mariadb)
		g->has_gtid = false; /* stays out of the set, so that the server sends it again */
	binlog_group_close(d, b);
	return 0;
}

int binlog_xa_commit(struct binlog *d, struct str xid, struct batch *b, struct error *err)
{
	struct group *g = &d->group;
	struct pending *p = find_pending(d, xid);

	if (!p && !g->skip) { /* its rows came before the place where reading began */
		const struct binlog_catalog *catalog = &d->config.catalog;
		const struct mysql_statement_info s = { .what = MYSQL_XA_COMMIT, .name = xid };

		if (catalog->changed(catalog->ctx, &g->pos, &s, err))
			return -1;
	}
	if (p && !g->skip)
		binlog_group_replay(d, &p->hold);
	if (p)
		forget_pending(d, p);
	if (!d->replaying)
		binlog_group_close(d, b);
	return 0;
}

int binlog_xa_rollback(struct binlog *d, struct str xid, struct batch *b, struct error *err)
{
	struct pending *p = find_pending(d, xid);

	(void)err;
	if (p)
		forget_pending(d, p);
	binlog_group_close(d, b);
	return 0;
}
