/*
 * pg_check.c - the preflight of the source `postgres`, with the SQL that cures and that takes back
 *
 * Read-only, on connections of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_check.h"
#include "pg_publication.h"
#include "pg_server.h"
#include "pg_slot.h"

#define CHECK_TIMEOUT INT64_C(60000000)

struct check {
	const struct config *config;
	const struct source_config *source;
	struct findings *out;
	PGconn *conn;
	int64_t deadline;
	struct pg_server server;
	struct pg_tables tables;
	struct pg_publication publication;
	struct pg_slot slot;
	const char *role; /* quoted */
};

static void add(struct check *c, const char *id, enum severity severity, const char *object,
		const char *message, const char *fix, const char *undo)
{
	findings_add(c->out, id, severity, object, message, fix && *fix ? fix : NULL,
		     undo && *undo ? undo : NULL);
}

static void check_wal_level(struct check *c)
{
	AUTO(buf) struct buf text = { 0 }, undo = { 0 };

	if (strcmp(c->server.wal_level, "logical") == 0)
		return;
	buf_addf(&text,
		 "wal_level is %s: the server writes no log that can be decoded (a change needs a "
		 "restart)",
		 c->server.wal_level);
	buf_addf(&undo, "ALTER SYSTEM SET wal_level = '%s';", c->server.wal_level);
	add(c, "wal_level", SEVERITY_ERROR, "server", buf_z(&text),
	    "ALTER SYSTEM SET wal_level = 'logical';", buf_z(&undo));
}

static void check_version(struct check *c)
{
	AUTO(buf) struct buf text = { 0 };

	if (c->server.standby && c->server.version < 160000)
		add(c, "standby", SEVERITY_ERROR, "server",
		    "the server is a standby, which can be decoded from version 16 on: connect to "
		    "the primary",
		    NULL, NULL);
	if (!pg_server_adds_unsafely(c->server.version))
		return;
	buf_addf(&text,
		 "PostgreSQL %s can lose changes that are under way while a table is added to a "
		 "publication; update the server (fixed in 13.21, 14.18, 15.13, 16.9, 17.5), or "
		 "add tables "
		 "while nothing writes to them",
		 c->server.version_text);
	add(c, "server_minor", SEVERITY_WARNING, "server", buf_z(&text), NULL, NULL);
}

/* Slots and walsenders: one more of each is needed, unless we are there already. */
static int check_room(struct check *c, struct error *err)
{
	static const char *const names[] = { "max_replication_slots", "max_wal_senders" };
	AUTO(PGresult)
	PGresult *r = pg_query(c->conn, c->deadline, "cannot count slots and walsenders",
			       "SELECT pg_catalog.current_setting('max_replication_slots')::int,"
			       " (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
			       " pg_catalog.current_setting('max_wal_senders')::int,"
			       " (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE "
			       "backend_type = 'walsender')",
			       err);

	if (!r)
		return -1;
	for (int i = 0; i < 2; i++) {
		uint64_t most = pg_get_u64(r, 0, i * 2), used = pg_get_u64(r, 0, i * 2 + 1);
		AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };

		if (used < most || (i == 0 ? c->slot.exists : c->slot.active))
			continue;
		buf_addf(&text,
			 "all %" PRIu64
			 " are in use: one more is needed (a change needs a restart)",
			 most);
		buf_addf(&fix, "ALTER SYSTEM SET %s = %" PRIu64 ";", names[i], most + 4);
		buf_addf(&undo, "ALTER SYSTEM SET %s = %" PRIu64 ";", names[i], most);
		add(c, names[i], SEVERITY_ERROR, "server", buf_z(&text), buf_z(&fix), buf_z(&undo));
	}
	return 0;
}

static int check_role(struct check *c, struct error *err)
{
	AUTO(buf) struct buf object = { 0 }, fix = { 0 }, undo = { 0 };
	AUTO(PGresult)
	PGresult *r = pg_query(
		c->conn, c->deadline, "cannot read the role's rights",
		"SELECT r.rolsuper, r.rolreplication OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles m"
		" WHERE m.rolname = 'rds_replication' AND pg_catalog.pg_has_role(r.oid, m.oid, "
		"'MEMBER'))"
		" FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER",
		err);

	if (!r)
		return -1;
	buf_addf(&object, "role %s", PQuser(c->conn));
	if (pg_get_bool(r, 0, 0)) {
		add(c, "superuser", SEVERITY_INFO, buf_z(&object),
		    "the role is a superuser, which is not needed: REPLICATION and ownership of "
		    "the published "
		    "tables, or a publication made by their owner, are enough",
		    NULL, NULL);
	} else if (!pg_get_bool(r, 0, 1)) {
		buf_addf(&fix, "ALTER ROLE %s REPLICATION;", c->role);
		buf_addf(&undo, "ALTER ROLE %s NOREPLICATION;", c->role);
		add(c, "replication_role", SEVERITY_ERROR, buf_z(&object),
		    "the role may not replicate (on RDS: GRANT rds_replication)", buf_z(&fix),
		    buf_z(&undo));
		return 0;
	}
	struct pg_params p = { .url = c->source->url,
			       .password = c->source->password,
			       .application = "tailrace check",
			       .replication = true };
	struct error why;
	AUTO(PGconn) PGconn *replication = pg_connect(&p, c->deadline, &why);

	if (!replication)
		add(c, "replication_connection", SEVERITY_ERROR, buf_z(&object), why.text, NULL,
		    NULL);
	return 0;
}

static void check_encoding(struct check *c)
{
	AUTO(buf) struct buf object = { 0 };

	buf_addf(&object, "database %s", c->server.database);
	if (c->server.raw)
		add(c, "sql_ascii", SEVERITY_WARNING, buf_z(&object),
		    "the database's encoding is SQL_ASCII: the server does not know what its bytes "
		    "mean. Text "
		    "that is not UTF-8 is treated as source.invalid_bytes says (stop, replace or "
		    "bytes)",
		    NULL, NULL);
	if (!pg_is_loopback(c->conn) && !PQsslInUse(c->conn))
		add(c, "plaintext", SEVERITY_WARNING, "connection",
		    "the connection leaves this host and is not encrypted: use sslmode=verify-full "
		    "in "
		    "source.url",
		    NULL, NULL);
}

/* A setting, or "" where this version has none of that name. */
static int setting(struct check *c, const char *name, char out[64], struct error *err)
{
	AUTO(PGresult)
	PGresult *r = pg_query_params(c->conn, c->deadline, "cannot read a setting",
				      "SELECT pg_catalog.current_setting($1, true)", 1, &name, err);

	if (!r)
		return -1;
	snprintf(out, 64, "%s", pg_get(r, 0, 0) ? pg_get(r, 0, 0) : "");
	return 0;
}

static int check_retention(struct check *c, struct error *err)
{
	char keep[64], idle[64], sync[64];

	if (setting(c, "max_slot_wal_keep_size", keep, err) ||
	    setting(c, "idle_replication_slot_timeout", idle, err) ||
	    setting(c, "synchronous_standby_names", sync, err))
		return -1;
	if (!*keep)
		add(c, "wal_keep_limit", SEVERITY_WARNING, "server",
		    "this version has no limit for the log that a slot keeps "
		    "(max_slot_wal_keep_size came with 13): "
		    "while tailrace "
		    "is stopped the server's disk fills up; drop the slot if it is to stay stopped",
		    NULL, NULL);
	else if (strcmp(keep, "-1") == 0)
		add(c, "wal_keep_limit", SEVERITY_WARNING, "server",
		    "max_slot_wal_keep_size is -1: while tailrace is stopped the log that the slot "
		    "keeps can fill "
		    "the server's disk; with a limit the slot is lost instead, and the tables must "
		    "be loaded anew",
		    "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();",
		    "ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf();");
	if (*idle && *idle != '0') {
		AUTO(buf) struct buf text = { 0 }, undo = { 0 };

		buf_addf(&text,
			 "idle_replication_slot_timeout is %s: a slot that is not read for that "
			 "long is lost",
			 idle);
		buf_addf(&undo,
			 "ALTER SYSTEM SET idle_replication_slot_timeout = '%s'; SELECT "
			 "pg_reload_conf();",
			 idle);
		add(c, "idle_slot_timeout", SEVERITY_WARNING, "server", buf_z(&text),
		    "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
		    buf_z(&undo));
	}
	if (strchr(sync, '*'))
		add(c, "synchronous_standby", SEVERITY_WARNING, "server",
		    "synchronous_standby_names contains *: commits may wait for tailrace as for a "
		    "standby; name "
		    "the standbys",
		    NULL, NULL);
	return 0;
}

static void check_slot(struct check *c)
{
	AUTO(buf) struct buf fix = { 0 }, text = { 0 };
	struct error why;

	if (!c->slot.exists)
		return;
	if (pg_slot_judge(&c->slot, c->source->slot, c->server.database, &why)) {
		if (*c->slot.lost) {
			buf_adds(&fix, "SELECT pg_drop_replication_slot(");
			pg_literal(&fix, c->source->slot);
			buf_adds(&fix, ");");
		}
		add(c, "slot", SEVERITY_ERROR, c->source->slot, why.text, buf_z(&fix), NULL);
		return;
	}
	AUTO(free) char *ours = xasprintf("tailrace/%s/", c->config->pipeline.name);

	if (!c->slot.active || strncmp(c->slot.application, ours, strlen(ours)) == 0)
		return;
	buf_addf(
		&text,
		"in use by pid %d, application \"%s\", user \"%s\", address %s: tailrace will wait",
		c->slot.pid, c->slot.application, c->slot.user, c->slot.address);
	add(c, "slot", SEVERITY_WARNING, c->source->slot, buf_z(&text), NULL, NULL);
}

static void check_table(struct check *c, const struct pg_table *t)
{
	AUTO(buf) struct buf name = { 0 }, text = { 0 }, fix = { 0 }, undo = { 0 };

	buf_addf(&name, "%s.%s", t->schema, t->name);
	if (t->problem != PG_FINE) {
		pg_problem_text(t, &text);
		buf_adds(&text, "; the table is left out");
		pg_problem_sql(t, &fix, &undo);
		add(c, t->problem == PG_UNLOGGED ? "unlogged" : "replica_identity",
		    t->problem == PG_UNLOGGED ? SEVERITY_WARNING : SEVERITY_ERROR, buf_z(&name),
		    buf_z(&text), buf_z(&fix), buf_z(&undo));
		return;
	}
	if (t->kind == 'p' && c->server.version < 130000)
		add(c, "partitioned", SEVERITY_INFO, buf_z(&name),
		    "this version publishes partitions one by one: changes carry the partition's "
		    "name, and a new "
		    "partition is taken up when tailrace is started again",
		    NULL, NULL);
	if (t->kind == 'p' && t->identity == 'f' && !t->key_usable)
		add(c, "partition_identity", SEVERITY_WARNING, buf_z(&name),
		    "a partitioned table without a primary key: each partition made later needs "
		    "REPLICA IDENTITY "
		    "FULL of its own, or the application's UPDATE and DELETE fail there",
		    NULL, NULL);
}

static int check_tables(struct check *c, struct error *err)
{
	const struct pg_check_context context = { .config = c->config,
						  .out = c->out,
						  .conn = c->conn,
						  .deadline = c->deadline,
						  .version = c->server.version,
						  .role = c->role };
	struct error why;

	if (pg_tables_load(c->conn, c->deadline, &c->tables, err))
		return -1;
	if (pg_tables_choose(&c->tables, &c->source->tables, c->server.version, true, &why))
		add(c, "tables", SEVERITY_ERROR, "source.tables", why.text, NULL, NULL);
	for (size_t i = 0; i < c->tables.n; i++)
		if (c->tables.items[i].wanted)
			check_table(c, &c->tables.items[i]);
	return pg_check_snapshot(&context, &c->tables, err);
}

/* A publication that is still to be made: may we? */
static int check_creation(struct check *c, struct error *err)
{
	AUTO(buf) struct buf text = { 0 }, fix = { 0 }, undo = { 0 };
	const struct pg_table *foreign = NULL;
	size_t listed = 0;

	for (size_t i = 0; i < c->tables.n; i++) {
		if (!c->tables.items[i].listed)
			continue;
		listed++;
		if (!c->tables.items[i].owned && !foreign)
			foreign = &c->tables.items[i];
	}
	AUTO(PGresult)
	PGresult *r =
		pg_query(c->conn, c->deadline, "cannot read the role's rights",
			 "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(),"
			 " 'CREATE') AND NOT pg_catalog.pg_is_in_recovery()",
			 err);

	if (!r)
		return -1;
	if (!listed || (!foreign && pg_get_bool(r, 0, 0)))
		return 0;
	if (foreign)
		buf_addf(&text,
			 "does not exist, and the role cannot make it: %s.%s belongs to \"%s\"",
			 foreign->schema, foreign->name, foreign->owner);
	else
		buf_addf(&text, "does not exist, and the role may not CREATE in database \"%s\"",
			 c->server.database);
	pg_publication_create_sql(c->source->publication, &c->tables, c->server.version, &fix);
	buf_addc(&fix, ';');
	buf_adds(&undo, "DROP PUBLICATION ");
	pg_ident(&undo, c->source->publication);
	buf_addc(&undo, ';');
	add(c, "publication", SEVERITY_ERROR, c->source->publication, buf_z(&text), buf_z(&fix),
	    buf_z(&undo));
	return 0;
}

static int check_publication(struct check *c, struct error *err)
{
	AUTO(buf) struct buf fix = { 0 }, name = { 0 };
	const struct pg_publication *p = &c->publication;

	if (!p->oid)
		return check_creation(c, err);
	pg_ident(&name, c->source->publication);
	if (!p->complete || !p->truncates) {
		buf_addf(&fix, "ALTER PUBLICATION %s SET (publish = 'insert, update, delete%s');",
			 buf_z(&name), c->server.version >= 110000 ? ", truncate" : "");
		add(c, "publication", p->complete ? SEVERITY_WARNING : SEVERITY_ERROR,
		    c->source->publication,
		    "does not publish all of insert, update, delete and truncate", buf_z(&fix),
		    NULL);
	}
	buf_clear(&fix);
	if (pg_publication_add_sql(c->source->publication, p, &c->tables, &fix) == 0)
		return 0;
	buf_addc(&fix, ';');
	if (p->owned)
		add(c, "publication_tables", SEVERITY_INFO, c->source->publication,
		    "selected tables that are not published yet will be added", buf_z(&fix), NULL);
	else
		add(c, "publication_tables", SEVERITY_WARNING, c->source->publication,
		    "selected tables are not published, and the publication is not ours to alter",
		    buf_z(&fix), NULL);
	return 0;
}

static int check_all(struct check *c, struct error *err)
{
	if (pg_server_load(c->conn, c->deadline, &c->server, err) ||
	    pg_slot_load(c->conn, c->deadline, c->source->slot, c->server.version, &c->slot, err))
		return -1;
	check_wal_level(c);
	check_version(c);
	check_encoding(c);
	check_slot(c);
	if (check_room(c, err) || check_role(c, err) || check_retention(c, err) ||
	    check_tables(c, err) ||
	    pg_publication_load(c->conn, c->deadline, c->source->publication, c->server.version,
				&c->publication, err))
		return -1;
	return check_publication(c, err);
}

int pg_check(const struct config *config, struct findings *out, struct error *err)
{
	AUTO(buf) struct buf role = { 0 };
	struct pg_params p = { .url = config->source.url,
			       .password = config->source.password,
			       .application = "tailrace check" };
	int64_t timeout = config->source.connect_timeout;
	struct check c = { .config = config,
			   .source = &config->source,
			   .out = out,
			   .deadline = monotonic_us() + (timeout > 0 ? timeout : CHECK_TIMEOUT) };

	if (pg_url_check(p.url, err))
		return -1;
	c.conn = pg_connect(&p, c.deadline, err);
	if (!c.conn)
		return -1;
	pg_ident(&role, PQuser(c.conn));
	c.role = buf_z(&role);
	c.deadline = monotonic_us() + CHECK_TIMEOUT;
	int rc = check_all(&c, err);

	pg_tables_free(&c.tables);
	pg_publication_release(&c.publication);
	PQfinish(c.conn);
	return rc;
}
