/*
 * binlog_group.c - the group at hand: its rows, its end, and the place to go on from
 */
#include <inttypes.h>
#include <stdlib.h>

#include "binlog_group.h"
#include "clock.h"

#define EVENT_MORE ((size_t)1 << 20) /* of an event with one row, beyond its two images */
#define UNLIMITED  ((size_t)1 << 30) /* inflated, where max_row sets no limit */

static void savepoints_free(struct group *g)
{
	for (size_t i = 0; i < g->nsavepoints; i++)
		free(g->savepoints[i].name);
	free(g->savepoints);
	g->savepoints = NULL;
	g->nsavepoints = 0;
}

/* Ready for the next one. */
static void clear_group(struct binlog *d)
{
	struct group *g = &d->group;

	savepoints_free(g);
	free(g->xa);
	hold_release(&g->hold);
	*g = (struct group){ .hold = g->hold };
	d->nmaps = 0;
}

void binlog_group_reset(struct binlog *d)
{
	clear_group(d);
	binlog_pending_free(d);
	if (d->replaying)
		hold_release(&d->replay);
	d->replaying = false;
	buf_free(&d->replay_room);
	if (d->payload)
		binlog_payload_close(d->payload);
	d->payload = NULL;
	buf_free(&d->payload_bytes);
}

void binlog_group_open(struct binlog *d, const struct binlog_event *e, const struct binlog_gtid *g)
{
	struct group *group = &d->group;

	clear_group(d);
	group->open = true;
	group->pos = (struct position){ d->epoch, d->number, d->start, 1 };
	group->xid = d->start;
	group->commit_us = (int64_t)e->time * 1000000;
	if (g) {
		group->has_gtid = !g->anonymous;
		group->gtid = g->gtid;
		group->xid = g->anonymous ? d->start : g->gtid.number;
		group->standalone = g->standalone;
		group->unaltered = g->alter_start || g->alter_rollback;
		if (g->commit_us)
			group->commit_us = g->commit_us;
	}
	group->skip = d->skip.offset && position_cmp(&group->pos, &d->skip) <= 0;
	group->holding = d->config.hold_all || d->hold_next;
	if (g && (g->xa_prepared)) {
		AUTO(arena) struct arena a = { 0 };

		binlog_xa_start(d, mysql_xid_text(g->xid.format, g->xid.global, g->xid.branch, &a));
	}
}

/* --- rows --- */

int binlog_group_map(struct binlog *d, const struct binlog_event *e, struct error *err)
{
	bool last;
	uint64_t id = binlog_rows_table(e, &last);
	const struct binlog_plan *plan =
		binlog_plan_find(&d->plans, e, &d->format, &d->group.pos, d->mariadb, err);
	size_t i = 0;

	if (!plan)
		return -1;
	while (i < d->nmaps && d->maps[i].id != id)
		i++;
	if (i == STATEMENT_TABLES)
		return fail(err, ERR_FATAL, "a statement changes more than %d tables",
			    STATEMENT_TABLES);
	d->maps[i].id = id;
	d->maps[i].plan = plan;
	if (i == d->nmaps)
		d->nmaps++;
	return 0;
}

const struct binlog_plan *binlog_group_plan(const struct binlog *d, uint64_t table_id)
{
	for (size_t i = 0; i < d->nmaps; i++) {
		if (d->maps[i].id == table_id)
			return d->maps[i].plan;
	}
	return NULL;
}

/* Maps and rows begin alike: u48 table id, u16 flags. */
uint64_t binlog_rows_table(const struct binlog_event *e, bool *last)
{
	struct cursor c = cursor_of(e->body);
	uint64_t id = get_u32le(&c);

	id |= (uint64_t)get_u16le(&c) << 32;
	*last = get_u16le(&c) & BINLOG_STMT_END;
	return id;
}

size_t binlog_event_limit(const struct binlog *d)
{
	return d->config.max_row ? d->config.max_row * 2 + EVENT_MORE : UNLIMITED;
}

static int decode_rows(struct binlog *d, const struct binlog_plan *plan,
		       const struct binlog_event *e, struct batch *b, struct error *err)
{
	struct group *g = &d->group;
	struct binlog_event copy = *e;
	struct binlog_rows rows;

	copy.body = arena_copy(&b->arena, e->body); /* values point into it */
	if (binlog_rows_parse(&copy, &d->format, &b->arena, binlog_event_limit(d), &rows, err))
		return -1;
	binlog_group_begin_given(d, b);
	struct change like = { .pos = g->pos, .xid = g->xid, .commit_us = g->commit_us };

	return binlog_rows_decode(plan, &rows, d->config.max_row, &like, &g->pos.row, b, err);
}

static int on_rows(struct binlog *d, const struct binlog_event *e, struct batch *b,
		   struct error *err)
{
	bool last;
	uint64_t id = binlog_rows_table(e, &last);
	const struct binlog_plan *plan = binlog_group_plan(d, id);
	int rc = 0;

	if (id == BINLOG_DUMMY_TABLE && last)
		plan = NULL;
	else if (!plan)
		rc = fail(err, ERR_FATAL, "rows of table id %" PRIu64 " come without its map", id);
	else if (plan->table)
		rc = decode_rows(d, plan, e, b, err);
	else
		d->group.pos.row++; /* of no table of ours: one for all of them */
	if (last)
		d->nmaps = 0;
	return rc;
}

int binlog_group_rows(struct binlog *d, const struct binlog_event *e, struct batch *b,
		      struct error *err)
{
	struct group *g = &d->group;

	if (!g->open)
		return fail(err, ERR_FATAL, "rows outside of a transaction");
	if (g->holding)
		return hold_add(&g->hold, e, err);
	if (g->skip)
		return 0;
	return e->type == BINLOG_TABLE_MAP ? binlog_group_map(d, e, err) : on_rows(d, e, b, err);
}

/* --- the end --- */

void binlog_group_begin_given(struct binlog *d, struct batch *b)
{
	struct group *g = &d->group;
	struct position pos = g->pos;
	char text[GTID_TEXT];

	if (g->given)
		return;
	g->given = true;
	pos.row = 1;
	struct change *c = batch_add(b, CHANGE_BEGIN, NULL, pos);

	c->xid = g->xid;
	c->commit_us = g->commit_us;
	if (g->has_gtid)
		c->prefix = arena_copy(&b->arena, str_z(gtid_text(&g->gtid, text)));
	c->content = arena_copy(&b->arena, str_z(d->file));
}

/*
 * Where a start has to begin so that everything after here, and everything that is pending, comes.  MySQL's set
 * leaves the pending ones out; without such sets it begins before the oldest of them.
 */
static struct str resume_text(struct binlog *d, struct arena *a)
{
	AUTO(buf) struct buf set = { 0 }, json = { 0 };
	struct mysql_resume r = {
		.server = d->server, .epoch = d->epoch, .file = d->file, .pos = d->end
	};
	const struct pending *oldest = d->npending ? &d->pending[0] : NULL;

	if (d->set) {
		gtid_set_format(d->set, &set);
		r.gtid = buf_z(&set);
		if (oldest && oldest->before)
			r.gtid = oldest->before;
	}
	if (oldest) { /* with GTIDs too: it says which files are still needed */
		r.read_file = r.file;
		r.read_pos = r.pos;
		r.file = oldest->file;
		r.pos = oldest->start;
	}
	mysql_resume_json(&r, &json);
	return arena_copy(a, (struct str){ json.p, json.n });
}

void binlog_give_heartbeat(struct binlog *d, uint32_t time, struct batch *b)
{
	struct change *c = b->nchanges ? &b->changes[b->nchanges - 1] : NULL;
	struct position pos = { d->epoch, d->number, d->end ? d->end - 1 : 0, POSITION_BETWEEN };

	if (position_cmp(&pos, &d->skip) <= 0)
		return;
	if (!c || c->op != CHANGE_HEARTBEAT)
		c = batch_add(b, CHANGE_HEARTBEAT, NULL, pos);
	c->pos = pos;
	c->commit_us = time ? (int64_t)time * 1000000 : wall_clock_us();
	c->resume = resume_text(d, &b->arena);
}

void binlog_group_close(struct binlog *d, struct batch *b)
{
	struct group *g = &d->group;

	if (g->has_gtid && d->set)
		gtid_set_add(d->set, &g->gtid);
	if (d->hold_next && position_cmp(&g->pos, &d->hold_at) > 0)
		d->hold_next--;
	if (g->given) {
		g->pos.row++;
		struct change *c = batch_add(b, CHANGE_COMMIT, NULL, g->pos);

		c->xid = g->xid;
		c->commit_us = g->commit_us;
		c->resume = resume_text(d, &b->arena);
	} else if (!g->skip) {
		binlog_give_heartbeat(d, (uint32_t)(g->commit_us / 1000000), b);
	}
	clear_group(d);
}

void binlog_group_replay(struct binlog *d, struct hold *h)
{
	d->replay = *h;
	hold_init(h, h->dir, h->memory);
	d->replay_at = 0;
	d->replaying = true;
	d->group.holding = false;
	d->nmaps = 0;
}

void binlog_group_end(struct binlog *d, struct batch *b)
{
	struct group *g = &d->group;

	if (g->holding && !g->skip)
		binlog_group_replay(d, &g->hold);
	else
		binlog_group_close(d, b);
}
