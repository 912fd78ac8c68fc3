/*
 * pg_visibility.c - which transactions of the log a snapshot of PostgreSQL sees
 */
#include <stdlib.h>

#include "pg_visibility.h"
#include "pgoutput.h"

struct visibility {
	uint64_t place; /* a stream that is here has passed everything visible */
	bool exact;
	uint64_t xmin, xmax;
	uint64_t *open; /* in progress, xmin <= id < xmax, ascending */
	size_t nopen;
};

static bool number(const char **p, char end, uint64_t *out)
{
	char *behind;

	if (**p < '0' || **p > '9')
		return false;
	*out = strtoull(*p, &behind, 10);
	*p = behind + (*behind == end && end);
	return *behind == end;
}

bool pg_snapshot_parse(const char *text, struct pg_snapshot *out)
{
	const char *p = text;

	if (!p || !number(&p, ':', &out->xmin) || !number(&p, ':', &out->xmax) ||
	    out->xmin > out->xmax)
		return false;
	out->open = p;
	return true;
}

static int by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool take_open(struct visibility *v, const char *list)
{
	size_t room = 1;

	for (const char *p = list; *p; p++)
		room += *p == ',';
	v->open = xcalloc(room, sizeof *v->open);
	for (const char *p = list; *p; v->nopen++)
		if (v->nopen == room ||
		    !number(&p, strchr(p, ',') ? ',' : '\0', &v->open[v->nopen]))
			return false;
	qsort(v->open, v->nopen, sizeof *v->open, by_id);
	return true;
}

struct visibility *pg_visibility_new(const char *snapshot, bool standby, uint64_t end)
{
	struct visibility *v = xcalloc(1, sizeof *v);
	struct pg_snapshot s;

	if (!pg_snapshot_parse(snapshot, &s) || !take_open(v, s.open)) {
		pg_visibility_free(v);
		return NULL;
	}
	v->place = end;
	v->xmin = s.xmin;
	v->xmax = standby ? s.xmin : s.xmax;
	return v;
}

struct visibility *pg_visibility_exact(uint64_t consistent_point)
{
	struct visibility *v = xcalloc(1, sizeof *v);

	v->exact = true;
	v->place = consistent_point;
	return v;
}

uint64_t pg_xid_widen(uint32_t xid, uint64_t near)
{
	return near + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)near);
}

uint64_t pg_snapshot_horizon(const struct pg_snapshot *s, const char *locks)
{
	uint64_t horizon = s->xmax, xid;

	while (locks && *locks && number(&locks, strchr(locks, ',') ? ',' : '\0', &xid)) {
		xid = pg_xid_widen((uint32_t)xid, s->xmax) + 1;
		if (xid > horizon)
			horizon = xid;
	}
	return horizon;
}

bool pg_visibility_sees(const struct visibility *v, const struct change *begin)
{
	if (v->exact)
		return begin->pos.offset < v->place;
	if ((uint32_t)begin->xid == 0) /* a message of no transaction */
		return false;
	uint64_t id = pg_xid_widen((uint32_t)begin->xid, v->xmax);

	if (id < v->xmin)
		return true;
	return id < v->xmax && !(v->nopen && bsearch(&id, v->open, v->nopen, sizeof id, by_id));
}

bool pg_visibility_reached(const struct visibility *v, const char *resume)
{
	uint64_t system, lsn;
	uint32_t timeline;

	return pg_resume_parse(resume, &system, &timeline, &lsn) && lsn >= v->place;
}

void pg_visibility_free(struct visibility *v)
{
	if (!v)
		return;
	free(v->open);
	free(v);
}
