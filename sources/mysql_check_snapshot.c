/*
 * mysql_check_snapshot.c - the preflight of loading rows that tables hold already
 *
 * Where a read needs a lock to know its place in the log: mysql_copy_begin.c.
 */
#include <stdlib.h>

#include "mysql_check.h"
#include "mysql_shape.h"

struct checking {
	struct mysql_checking *c;
	struct mysql_rows grants;
	bool gtids, full, xa; /* xa: XA transactions were committed since the server started */
};

/* A database as GRANT has it, `shop\_%`: % and _ stand for others. */
static bool pattern_fits(struct str p, struct str db)
{
	size_t i = 0, k = 0, star = SIZE_MAX, from = 0;

	while (k < db.n) {
		bool escaped = i + 1 < p.n && p.p[i] == '\\';

		if (i < p.n && p.p[i] == '%') {
			star = i++;
			from = k;
		} else if (i < p.n && (p.p[i + escaped] == db.p[k] || p.p[i] == '_')) {
			i += 1 + escaped;
			k++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			k = ++from;
		} else {
			return false;
		}
	}
	while (i < p.n && p.p[i] == '%')
		i++;
	return i == p.n;
}

static bool has(struct str s, const char *what)
{
	return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* "GRANT SELECT, LOCK TABLES ON `shop`.* TO ..." */
static bool may_lock(const struct checking *x, struct str db, bool *roles)
{
	static const char on[] = " ON ", end[] = "`.*";

	*roles = false;
	for (size_t i = 0; i < x->grants.n; i++) {
		struct str g = mysql_cell(&x->grants, i, 0);
		const char *at = g.n ? memmem(g.p, g.n, on, sizeof on - 1) : NULL;

		if (!at) { /* GRANT role TO user */
			*roles = true;
			continue;
		}
		struct str rights = { g.p, (size_t)(at - g.p) };
		struct str rest = { at + sizeof on - 1,
				    (size_t)(g.p + g.n - at) - (sizeof on - 1) };

		if (!has(rights, "LOCK TABLES") && !has(rights, "GRANT ALL PRIVILEGES"))
			continue;
		if (rest.n > 3 && memcmp(rest.p, "*.*", 3) == 0)
			return true;
		const char *stop = memmem(rest.p, rest.n, end, sizeof end - 1);

		if (rest.n && *rest.p == '`' && stop &&
		    pattern_fits((struct str){ rest.p + 1, (size_t)(stop - rest.p) - 1 }, db))
			return true;
	}
	return false;
}

static void need_lock(const struct checking *x, const struct mysql_table *t, const char *object,
		      const char *why, enum severity severity)
{
	struct mysql_checking *c = x->c;
	AUTO(free) char *db = xstrndup(t->schema.p, t->schema.n);
	AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };
	bool roles;

	if (may_lock(x, t->schema, &roles))
		return;
	buf_addf(&text,
		 "%s: its rows are read under a short LOCK TABLES ... READ, which the user may not "
		 "take%s",
		 why, roles ? " (unless one of its roles may, which was not looked into)" : "");
	buf_adds(&fix, "GRANT LOCK TABLES ON ");
	mysql_name(&fix, db);
	buf_addf(&fix, ".* TO %s;", c->server.account);
	buf_adds(&undo, "REVOKE LOCK TABLES ON ");
	mysql_name(&undo, db);
	buf_addf(&undo, ".* FROM %s;", c->server.account);
	mysql_finding(c, "lock_privilege", roles ? SEVERITY_WARNING : severity, object,
		      buf_z(&text), buf_z(&fix), buf_z(&undo));
}

static void check_lock(const struct checking *x, const struct mysql_table *t, bool keyless,
		       const char *object)
{
	bool mariadb = x->c->server.mariadb;

	if (!mysql_shape_in_snapshot(t->engine))
		need_lock(x, t, object, "its engine has no snapshots", SEVERITY_ERROR);
	else if (!mariadb && !x->gtids)
		need_lock(x, t, object, "gtid_mode is not ON", SEVERITY_ERROR);
	else if (!mariadb && keyless)
		need_lock(x, t, object, "it has no key", SEVERITY_ERROR);
	else if (mariadb && x->xa)
		need_lock(x, t, object,
			  "while XA transactions are being committed (there were some) a snapshot "
			  "does not know its place in the log",
			  SEVERITY_WARNING);
}

static int bytes_of(const struct checking *x, const struct mysql_table *t, int64_t *out,
		    struct error *err)
{
	AUTO(free) char *schema = xstrndup(t->schema.p, t->schema.n);
	AUTO(free) char *name = xstrndup(t->name.p, t->name.n);
	AUTO(mysql_rows) struct mysql_rows r = { 0 };
	AUTO(buf) struct buf sql = { 0 };

	buf_adds(&sql, "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = ");
	mysql_quote(x->c->conn, &sql, schema);
	buf_adds(&sql, " AND TABLE_NAME = ");
	mysql_quote(x->c->conn, &sql, name);
	if (mysql_query_rows(x->c->conn, buf_z(&sql), &r, err))
		return -1;
	*out = mysql_cell(&r, 0, 0).n ? strtoll(mysql_cell(&r, 0, 0).p, NULL, 10) : 0;
	return 0;
}

static int check_one(const struct checking *x, struct mysql_table *t, struct error *err)
{
	AUTO(free) char *index = NULL;
	AUTO(buf) struct buf object = { 0 }, text = { 0 };
	int64_t most = x->c->config->snapshot.keyless_max, bytes = 0;

	if (mysql_shape_key(x->c->conn, x->full, t, &index, err))
		return mysql_lacks_right(err) ? 0 : -1; /* it was said */
	AUTO(free) char *refusal = mysql_shape_refusal(t);

	buf_addf(&object, "%.*s.%.*s", STR_FMT(t->schema), STR_FMT(t->name));
	if (refusal) {
		buf_addf(&text,
			 "%s: the rows that it holds cannot be loaded, only what changes is "
			 "carried",
			 refusal);
		mysql_finding(x->c, "snapshot_key", SEVERITY_WARNING, buf_z(&object), buf_z(&text),
			      NULL, NULL);
		return 0;
	}
	check_lock(x, t, !index, buf_z(&object));
	if (!index && bytes_of(x, t, &bytes, err))
		return -1;
	if (bytes <= most)
		return 0;
	buf_addf(
		&text,
		"it has no key to read it by and %.1f GB, more than snapshot.keyless_max: it would "
		"be read in one transaction, and is loaded only when it is asked for by name "
		"(tailrace snapshot start %s)",
		(double)bytes / 1e9, buf_z(&object));
	mysql_finding(x->c, "snapshot_keyless", SEVERITY_WARNING, buf_z(&object), buf_z(&text),
		      NULL, NULL);
	return 0;
}

static bool is_none(struct str count)
{
	return !count.n || str_eqz(count, "0");
}

int mysql_check_snapshot(struct mysql_checking *c, struct mysql_table *tables, const bool *wanted,
			 size_t n, struct error *err)
{
	AUTO(mysql_rows) struct mysql_rows xa = { 0 };
	struct checking x = { .c = c };
	int rc = 0;

	if (c->config->snapshot.mode == SNAPSHOT_NEVER)
		return 0;
	x.gtids = str_eqz(mysql_variable(c, "gtid_mode"), "ON");
	x.full = str_eqz(mysql_variable(c, "binlog_row_metadata"), "FULL");
	if (mysql_query_rows(c->conn, "SHOW GLOBAL STATUS LIKE 'Com_xa_commit'", &xa, err) ||
	    mysql_query_rows(c->conn, "SHOW GRANTS", &x.grants, err))
		return -1;
	x.xa = !is_none(mysql_cell(&xa, 0, 1));
	for (size_t i = 0; i < n && !rc; i++)
		if (wanted[i] && tables[i].columns)
			rc = check_one(&x, &tables[i], err);
	mysql_rows_free(&x.grants);
	return rc;
}
