/*
 * sqlite_fixture.h - a sqlite sink on a file in a temporary folder
 */
#ifndef SQLITE_FIXTURE_H
#define SQLITE_FIXTURE_H

#include <sqlite3.h>

#include "events_helper.h"
#include "../../sinks/settings.h"
#include "check.h"
#include "loading.h"
#include "log.h"

struct fixture {
	struct events h;
	struct config config;
	struct sink_config sink_config;
	struct sqlite_settings set;
	struct sink_context context;
	struct loading loading; /* no table is complete, until a test says otherwise */
	struct sink *sink;
	int64_t fence;
	char *folder, *answer;
	struct error err;
};

static char pipeline_name[] = "erp", sink_name[] = "copy", template[] = "{table}";

__attribute__((unused)) static void fixture_open(struct fixture *f)
{
	f->sink = sqlite_sink.open(&f->context, &f->fence, &f->err);
	if (!f->sink)
		broken("open: %s", f->err.text);
}

__attribute__((unused)) static void fixture_close(struct fixture *f)
{
	if (f->sink)
		sqlite_sink.close(f->sink);
	f->sink = NULL;
}

__attribute__((unused)) static void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	f->context.fenced = false;
	fixture_open(f);
}

__attribute__((unused)) static int fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "erp");
	events_init(&f->h);
	f->folder = folder_new();
	f->set = (struct sqlite_settings){ .path = xasprintf("%s/new/copy.db", f->folder),
					   .table = template,
					   .evolve = EVOLVE_ADD };
	f->config.pipeline.name = pipeline_name;
	f->sink_config = (struct sink_config){ .name = sink_name, .settings = &f->set };
	f->loading.never = true;
	f->context = (struct sink_context){ .config = &f->config,
					    .loading = &f->loading,
					    .sink = &f->sink_config,
					    .tables = f->h.tables };
	fixture_open(f);
	*state = f;
	return 0;
}

__attribute__((unused)) static int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	events_release(&f->h);
	loading_release(&f->loading);
	folder_remove(f->folder);
	free(f->set.path);
	free(f->answer);
	free(f);
	return 0;
}

/* Rows as "a|b;c|d": NULL is null, text is as it is, on a connection of its own. */
__attribute__((unused)) static const char *query(struct fixture *f, const char *sql)
{
	struct buf out = { 0 };
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->set.path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		broken("%s: %s", sql, sqlite3_errmsg(db));
	for (int row = 0; sqlite3_step(stmt) == SQLITE_ROW; row++) {
		buf_adds(&out, row ? ";" : "");
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *text = (const char *)sqlite3_column_text(stmt, i);

			buf_addf(&out, "%s%s", i ? "|" : "", text ? text : "null");
		}
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(f->answer);
	f->answer = xstrdup(buf_z(&out));
	buf_free(&out);
	return f->answer;
}

#define assert_query(f, sql, want) assert_string_equal(query(f, sql), want)

/* SQL on the target by somebody else. */
__attribute__((unused)) static void meddle(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->set.path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		broken("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* What was put is refused at event `item`, and the text says so. */
#define assert_refused(f, want_kind, item_index, text_part)                                        \
	do {                                                                                       \
		assert_int_equal(events_write(&(f)->h, (f)->sink, &(f)->err), want_kind);          \
		if (!strstr((f)->err.text, text_part))                                             \
			broken("%s", (f)->err.text);                                               \
		if ((want_kind) == ERR_REJECT)                                                     \
			assert_int_equal((f)->err.item, item_index);                               \
	} while (0)

static inline const struct table *orders(struct fixture *f)
{
	return TABLE(&f->h, "public", "orders", 'd', C_KEY("id", COL_INT64, 1), C("note", COL_TEXT),
		     C("amount", COL_INT32));
}

static inline const struct table *readings(struct fixture *f, char identity)
{
	return TABLE(&f->h, "public", "readings", identity, C("a", COL_INT32), C("b", COL_DOUBLE),
		     C("j", COL_JSON));
}

static inline void put_story(struct fixture *f, const struct table *t)
{
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"), V_INT(10));
	put_insert(&f->h, t, V_INT(2), V_TEXT("two"), V_INT(20));
	put_delete(&f->h, t, V_INT(1), V_ABSENT, V_ABSENT);
	put_delete(&f->h, t, V_INT(2), V_ABSENT, V_ABSENT);
	put_insert(&f->h, t, V_INT(2), V_TEXT("back"), V_INT(21));
	put_commit(&f->h);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
