/*
 * sql.c - what SQL sinks share: quoting, table names, the shape of tables, the checkpoint table
 */
#include <string.h>
#include <strings.h>

#include "sql.h"

#define MINE " WHERE pipeline = ? AND sink = ?"

/* One text for every dialect: the types are known to SQLite, PostgreSQL and MySQL alike. */
const char sql_checkpoint_create[] =
	"CREATE TABLE IF NOT EXISTS tailrace_checkpoint ("
	"pipeline varchar(40) NOT NULL, sink varchar(200) NOT NULL, fence bigint NOT NULL, "
	"position varchar(64), resume text, snapshot text, stopped text, updated_at varchar(40), "
	"PRIMARY KEY (pipeline, sink))";
const char sql_checkpoint_fence[] = "SELECT fence FROM tailrace_checkpoint" MINE;
const char sql_checkpoint_insert[] =
	"INSERT INTO tailrace_checkpoint (pipeline, sink, fence, updated_at) VALUES (?, ?, ?, ?)";
const char sql_checkpoint_raise[] = "UPDATE tailrace_checkpoint SET fence = ?, updated_at = ?" MINE;
const char sql_checkpoint_raise_from[] =
	"UPDATE tailrace_checkpoint SET fence = ?, updated_at = ?" MINE " AND fence = ?";
const char sql_checkpoint_lock[] =
	"SELECT fence FROM tailrace_checkpoint" MINE " AND fence = ? FOR UPDATE";
const char sql_checkpoint_hold[] =
	"UPDATE tailrace_checkpoint SET fence = fence" MINE " AND fence = ?";
const char sql_checkpoint_save[] =
	"UPDATE tailrace_checkpoint SET position = ?, resume = ?, snapshot = ?, stopped = ?, "
	"updated_at = ?" MINE " AND fence = ?";
const char sql_checkpoint_load[] =
	"SELECT position, resume, snapshot, stopped FROM tailrace_checkpoint" MINE;

void sql_ident(struct buf *out, struct str name, char quote)
{
	buf_addc(out, quote);
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == quote)
			buf_addc(out, quote);
		buf_addc(out, name.p[i]);
	}
	buf_addc(out, quote);
}

void sql_key_list(struct buf *out, const struct table *t, char quote)
{
	for (size_t i = 0; i < t->nkey; i++) {
		buf_adds(out, i ? ", " : "");
		sql_ident(out, t->columns[t->key[i]].name, quote);
	}
}

bool sql_same_name(struct str a, struct str b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

int sql_table_name(const char *template, const char *pipeline, const struct table *t,
		   struct buf *out, struct error *err)
{
	buf_clear(out);
	for (const char *p = template; *p;) {
		if (*p != '{') {
			buf_addc(out, *p++);
			continue;
		}
		const char *end = strchr(p, '}');
		struct str name = { p + 1, end ? (size_t)(end - p - 1) : 0 };

		if (!end)
			end = p;
		if (str_eqz(name, "table"))
			buf_add(out, t->name.p, t->name.n);
		else if (str_eqz(name, "schema"))
			buf_add(out, t->schema.p, t->schema.n);
		else if (str_eqz(name, "pipeline"))
			buf_adds(out, pipeline);
		else
			return fail_exit(
				err, EXIT_USAGE,
				"table = %s: only {table}, {schema} and {pipeline} can stand "
				"in braces",
				template);
		p = end + 1;
	}
	return 0;
}

int sql_table_alone(const struct sink_context *c, const char *template, const struct table *t,
		    struct error *err)
{
	AUTO(buf) struct buf mine = { 0 };
	AUTO(buf) struct buf other = { 0 };
	const char *pipeline = c->config->pipeline.name;

	if (sql_table_name(template, pipeline, t, &mine, err))
		return -1;
	for (uint32_t id = 1; id <= tables_count(c->tables); id++) {
		const struct table *o = tables_by_id(c->tables, id);

		if (!o || !(o->sinks >> c->index & 1) ||
		    (str_eq(o->schema, t->schema) && str_eq(o->name, t->name)))
			continue;
		if (sql_table_name(template, pipeline, o, &other, err))
			return -1;
		if (sql_same_name((struct str){ mine.p, mine.n }, (struct str){ other.p, other.n }))
			return fail_exit(
				err, EXIT_USAGE,
				"%.*s.%.*s and %.*s.%.*s would both be written to table %s; "
				"set table = {schema}_{table}, or leave one of them out with "
				"tables =",
				STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(o->schema),
				STR_FMT(o->name), buf_z(&mine));
	}
	return 0;
}

int sql_columns_distinct(const struct table *t, bool soft, struct error *err)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		struct str name = t->columns[i].name;

		if (soft && sql_same_name(name, STR(SQL_DELETED_AT)))
			return fail(
				err, ERR_REJECT,
				"%.*s.%.*s has a column %.*s itself, which deletes = soft needs; "
				"set deletes = apply or ignore",
				STR_FMT(t->schema), STR_FMT(t->name), STR_FMT(name));
		for (size_t j = 0; j < i; j++)
			if (sql_same_name(name, t->columns[j].name))
				return fail(
					err, ERR_REJECT,
					"columns %.*s and %.*s of %.*s.%.*s differ only in case, "
					"which the target cannot tell apart; leave the table out "
					"of this sink with tables =",
					STR_FMT(t->columns[j].name), STR_FMT(name),
					STR_FMT(t->schema), STR_FMT(t->name));
	}
	return 0;
}

void sql_create_table(struct buf *out, struct str name, const struct table *t, bool soft,
		      sql_type_name *type, char quote)
{
	buf_adds(out, "CREATE TABLE ");
	sql_ident(out, name, quote);
	buf_adds(out, " (");
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		buf_adds(out, i ? ", " : "");
		sql_ident(out, c->name, quote);
		buf_addf(out, " %s%s", type(c), c->key ? " NOT NULL" : "");
	}
	if (soft)
		buf_addf(out, "%s%c" SQL_DELETED_AT "%c %s", t->ncolumns ? ", " : "", quote, quote,
			 type(&(struct column){ .type = COL_TIMESTAMPTZ }));
	if (t->nkey) {
		buf_adds(out, ", PRIMARY KEY (");
		sql_key_list(out, t, quote);
		buf_addc(out, ')');
	}
	buf_addc(out, ')');
}

void sql_add_column(struct buf *out, struct str table, struct str column, const char *type,
		    char quote)
{
	buf_adds(out, "ALTER TABLE ");
	sql_ident(out, table, quote);
	buf_adds(out, " ADD COLUMN ");
	sql_ident(out, column, quote);
	buf_addf(out, " %s", type);
}
