/*
 * mysql_resume.c - the resume token of a binlog
 *
 *	{"server":"3e11fa47-...","epoch":1,"gtid":"3e11fa47-...:1-5","file":"mysql-bin.000003","pos":4711}
 *
 * "gtid" is left out where the server has none.  MariaDB has no server_uuid: its server_id stands there.
 * While an XA transaction waits, file and pos are where it begins, and "read_file" and "read_pos" how far reading was.
 */
#include <jansson.h>
#include <stdlib.h>

#include "binlog.h"

void mysql_resume_json(const struct mysql_resume *r, struct buf *out)
{
	buf_adds(out, "{\"server\":");
	buf_json(out, str_z(r->server ? r->server : ""));
	buf_adds(out, ",\"epoch\":");
	buf_addu(out, r->epoch);
	if (r->gtid) {
		buf_adds(out, ",\"gtid\":");
		buf_json(out, str_z(r->gtid));
	}
	buf_adds(out, ",\"file\":");
	buf_json(out, str_z(r->file ? r->file : ""));
	buf_adds(out, ",\"pos\":");
	buf_addu(out, r->pos);
	if (r->read_file) {
		buf_adds(out, ",\"read_file\":");
		buf_json(out, str_z(r->read_file));
		buf_adds(out, ",\"read_pos\":");
		buf_addu(out, r->read_pos);
	}
	buf_addc(out, '}');
}

static char *member_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? xstrdup(text) : NULL;
}

bool mysql_resume_parse(const char *json, struct mysql_resume *out)
{
	json_t *o = json_loads(json, 0, NULL);
	json_int_t epoch = json_integer_value(json_object_get(o, "epoch"));
	const json_t *pos = json_object_get(o, "pos");

	*out = (struct mysql_resume){
		.server = member_text(o, "server"),
		.gtid = member_text(o, "gtid"),
		.file = member_text(o, "file"),
		.epoch = (uint32_t)epoch,
		.pos = (uint64_t)json_integer_value(pos),
		.read_file = member_text(o, "read_file"),
		.read_pos = (uint64_t)json_integer_value(json_object_get(o, "read_pos")),
	};
	bool fine = out->server && out->file && json_is_integer(pos) && epoch > 0 &&
		    epoch <= INT32_MAX && json_integer_value(pos) >= 0;

	json_decref(o);
	if (!fine)
		mysql_resume_release(out);
	return fine;
}

void mysql_resume_release(struct mysql_resume *r)
{
	free(r->server);
	free(r->gtid);
	free(r->file);
	free(r->read_file);
	*r = (struct mysql_resume){ 0 };
}

void mysql_resume_cleanup(struct mysql_resume *r)
{
	mysql_resume_release(r);
}

uint32_t binlog_file_number(struct str file)
{
	uint64_t n = 0;
	size_t i = file.n;

	while (i > 0 && file.p[i - 1] >= '0' && file.p[i - 1] <= '9')
		i--;
	if (i == 0 || file.p[i - 1] != '.')
		return 0;
	for (; i < file.n && n <= INT32_MAX; i++)
		n = n * 10 + (uint64_t)(file.p[i] - '0');
	return n <= INT32_MAX ? (uint32_t)n : 0;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_places(const struct mysql_resume *a, const struct mysql_resume *b)
{
	int rc = cmp_u64(a->epoch, b->epoch);

	if (rc == 0)
		rc = cmp_u64(binlog_file_number(str_z(a->file)),
			     binlog_file_number(str_z(b->file)));
	return rc ? rc : cmp_u64(a->pos, b->pos);
}

/* Sets of two servers: one that lacks anything of the other's comes before it, or forked off. */
static int cmp_sets(const struct mysql_resume *a, const struct mysql_resume *b)
{
	struct error ignored;
	bool mariadb = !strchr(a->server, '-') && !strchr(b->server, '-'); /* no uuid */
	AUTO(gtid_set) struct gtid_set *x = gtid_set_parse(mariadb, a->gtid, &ignored);
	AUTO(gtid_set) struct gtid_set *y = gtid_set_parse(mariadb, b->gtid, &ignored);

	if (!x || !y)
		return cmp_places(a, b);
	bool within = gtid_set_contains(y, x), around = gtid_set_contains(x, y);

	if (within && around)
		return 0; /* places of two logs say nothing */
	return within ? -1 : 1;
}

bool mysql_resume_has(const char *resume, struct str gtid)
{
	AUTO(mysql_resume) struct mysql_resume r = { 0 };
	AUTO(free) char *one = xstrndup(gtid.p, gtid.n);
	bool mariadb = gtid.n > 0 && !memchr(gtid.p, ':', gtid.n);
	struct error ignored;

	if (!mysql_resume_parse(resume, &r) || !r.gtid)
		return false;
	AUTO(gtid_set) struct gtid_set *all = gtid_set_parse(mariadb, r.gtid, &ignored);
	AUTO(gtid_set) struct gtid_set *it = gtid_set_parse(mariadb, one, &ignored);

	return all && it && gtid_set_contains(all, it);
}

int mysql_resume_cmp(const char *a, const char *b)
{
	AUTO(mysql_resume) struct mysql_resume x = { 0 }, y = { 0 };

	if (!mysql_resume_parse(a, &x) || !mysql_resume_parse(b, &y))
		return strcmp(a, b);
	if (x.gtid && y.gtid && (x.epoch != y.epoch || strcmp(x.server, y.server) != 0))
		return cmp_sets(&x, &y);
	return cmp_places(&x, &y);
}
