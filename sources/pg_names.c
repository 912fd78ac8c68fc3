/*
 * pg_names.c - do the names of what is published stay apart outside the database?
 *
 * Names in topics, Avro and files have fewer characters than in Postgres.  Two that become one are
 * an error at the start, not at the first row of the second (EDGE 40).
 */
#include <stdlib.h>

#include "pg_names.h"

static const char names_sql[] =
	"SELECT p.schemaname, p.tablename, a.attname "
	"FROM pg_catalog.pg_publication_tables p "
	"JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname "
	"JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename "
	"JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
	"a.attisdropped "
	"WHERE p.pubname = $1 ORDER BY 1, 2, a.attnum";

static struct str field(const PGresult *r, int row, int column)
{
	return (struct str){ PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column) };
}

/* The rows are in order of their tables: each run of one name is a draft. */
static size_t drafts_of(const PGresult *r, struct column *columns, struct table *drafts)
{
	size_t n = 0;

	for (int i = 0; i < PQntuples(r); i++) {
		struct str schema = field(r, i, 0), name = field(r, i, 1);
		struct table *last = n ? &drafts[n - 1] : NULL;

		columns[i].name = field(r, i, 2);
		if (!last || !str_eq(last->schema, schema) || !str_eq(last->name, name)) {
			last = &drafts[n++];
			*last = (struct table){ .schema = schema,
						.name = name,
						.columns = &columns[i] };
		}
		last->ncolumns++;
	}
	return n;
}

int pg_names_check(PGconn *conn, int64_t deadline, const char *publication,
		   const struct tables *tables, struct error *err)
{
	AUTO(PGresult)
	PGresult *r =
		pg_query_params(conn, deadline, "cannot read the names of the published columns",
				names_sql, 1, &publication, err);

	if (!r)
		return -1;
	size_t rows = (size_t)PQntuples(r);
	AUTO(free) struct column *columns = xcalloc(rows, sizeof *columns);
	AUTO(free) struct table *drafts = xcalloc(rows, sizeof *drafts);

	return tables_check_names(tables, drafts, drafts_of(r, columns, drafts), err);
}
