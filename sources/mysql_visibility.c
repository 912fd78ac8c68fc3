/*
 * mysql_visibility.c - what a read of tables of MySQL or MariaDB could see of the binary log
 *
 * File names of two servers have nothing to do with each other: where the stream has gone over to another one, sets of
 * GTIDs are compared, and without them nothing was visible and nothing is reached.
 */
#include <stdlib.h>

#include "mysql_visibility.h"

void mysql_visibility_free(struct visibility *v)
{
	if (!v)
		return;
	gtid_set_free(v->seen);
	gtid_set_free(v->all);
	free(v->server);
	free(v);
}

static int place_cmp(uint32_t file, uint64_t pos, const struct visibility *v)
{
	if (file != v->file)
		return file < v->file ? -1 : 1;
	return pos < v->pos ? -1 : pos > v->pos;
}

bool mysql_sees(const struct visibility *v, const struct change *begin)
{
	if (!v->by_set)
		return place_cmp(begin->pos.file, begin->pos.offset, v) < 0;
	if (!begin->prefix.n)
		return false; /* anonymous */
	AUTO(free) char *text = xstrndup(begin->prefix.p, begin->prefix.n);
	struct error ignored;
	AUTO(gtid_set) struct gtid_set *one = gtid_set_parse(false, text, &ignored);

	return one && !gtid_set_empty(one) && gtid_set_contains(v->seen, one);
}

/* Is all that the token has read in the set? */
static bool within(const struct gtid_set *set, bool mariadb, const struct mysql_resume *r)
{
	struct error ignored;
	AUTO(gtid_set)
	struct gtid_set *read = set && r->gtid ? gtid_set_parse(mariadb, r->gtid, &ignored) : NULL;

	return read && gtid_set_contains(set, read);
}

/* Where the stream is: transactions that wait keep the place to begin from behind. */
static int stream_cmp(const struct mysql_resume *r, const struct visibility *v)
{
	return r->read_file ? place_cmp(binlog_file_number(str_z(r->read_file)), r->read_pos, v)
			    : place_cmp(binlog_file_number(str_z(r->file)), r->pos, v);
}

bool mysql_sees_all(const struct visibility *v, const char *resume)
{
	AUTO(mysql_resume) struct mysql_resume r = { 0 };

	if (!mysql_resume_parse(resume, &r))
		return false;
	if (v->by_set)
		return within(v->seen, false, &r);
	return strcmp(r.server, v->server) == 0 && stream_cmp(&r, v) <= 0;
}

bool mysql_reached(const struct visibility *v, const char *resume)
{
	AUTO(mysql_resume) struct mysql_resume r = { 0 };
	struct error ignored;

	if (!mysql_resume_parse(resume, &r))
		return false;
	if (strcmp(r.server, v->server) == 0)
		return stream_cmp(&r, v) >= 0;
	AUTO(gtid_set)
	struct gtid_set *read =
		v->by_set && v->all && r.gtid ? gtid_set_parse(false, r.gtid, &ignored) : NULL;

	return read && gtid_set_contains(read, v->all);
}
