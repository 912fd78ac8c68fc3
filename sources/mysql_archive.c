/*
 * mysql_archive.c - a binlog file on disk, as changes
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "binlog.h"
#include "binlog_file.h"
#include "mysql_archive.h"

bool mysql_archive_is(const char *path)
{
	char magic[4];
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
	       memcmp(magic, BINLOG_MAGIC, sizeof magic) == 0;
}

static int selected(void *ctx, struct str db, struct str table)
{
	static const char *const system[] = { "mysql", "sys", "performance_schema",
					      "information_schema" };

	(void)ctx;
	(void)table;
	for (size_t i = 0; i < COUNT(system); i++) {
		if (str_eqz(db, system[i]))
			return 0;
	}
	return 1;
}

static int definition(void *ctx, const struct position *at, const struct binlog_map *map,
		      const struct mysql_table **out, struct error *err)
{
	(void)ctx;
	(void)at;
	*out = NULL;
	(void)fail(err, ERR_FATAL,
		   "%s of table %.*s.%.*s is not in the log%s, and only its server could say",
		   map->has_names ? "a column's type or the engine" : "the definition",
		   STR_FMT(map->db), STR_FMT(map->name),
		   map->has_names ? "" : " (binlog_row_metadata was not FULL)");
	return 0;
}

static int changed(void *ctx, const struct position *at, const struct mysql_statement_info *s,
		   struct error *err)
{
	(void)ctx;
	(void)at;
	if (s->what != MYSQL_XA_COMMIT)
		return 0;
	return fail(err, ERR_FATAL, "XA COMMIT of %.*s, whose rows are in an earlier file",
		    STR_FMT(s->name));
}

struct archive {
	struct binlog *decoder;
	struct batch batch;
	int (*fn)(void *arg, const struct change *c, struct error *err);
	void *arg;
};

static int give(struct archive *x, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < x->batch.nchanges && rc == 0; i++)
		rc = x->fn(x->arg, &x->batch.changes[i], err);
	batch_empty(&x->batch);
	return rc;
}

static int one_event(struct archive *x, struct str event, struct error *err)
{
	int rc = binlog_decode(x->decoder, event, &x->batch, err) ? -1 : give(x, err);

	while (rc == 0 && binlog_more(x->decoder))
		rc = binlog_go_on(x->decoder, &x->batch, err) ? -1 : give(x, err);
	return rc;
}

static int each_event(struct archive *x, struct binlog_file *f, struct error *err)
{
	struct str event;
	uint64_t offset;
	int rc;

	while ((rc = binlog_file_next(f, &event, &offset, err)) > 0) {
		rc = one_event(x, event, err);
		if (rc)
			return rc > 0 ? 0 : rc;
	}
	return rc;
}

int mysql_archive_read(const char *path, struct tables *tables, int64_t memory,
		       int (*fn)(void *arg, const struct change *c, struct error *err), void *arg,
		       struct error *err)
{
	const char *name = strrchr(path, '/');
	AUTO(free) char *file = xstrdup(name ? name + 1 : path);
	const struct mysql_resume from = { .file = file, .epoch = 1, .pos = BINLOG_FIRST };
	const struct binlog_config config = {
		.tables = tables,
		.catalog = { NULL, selected, definition, changed, NULL },
		.invalid_bytes = INVALID_BYTES_BYTES,
		.side_dir = "/tmp",
		.hold_memory = (size_t)memory / 4,
		.hold_all = true, /* what is printed is printed */
	};
	struct archive x = { .decoder = binlog_new(&config), .fn = fn, .arg = arg };
	struct binlog_file *f = binlog_file_open(path, 0, err);
	int rc = f ? binlog_begin(x.decoder, false, &from, NULL, err) : -1;

	if (rc == 0)
		rc = each_event(&x, f, err);
	binlog_file_close(f);
	binlog_free(x.decoder);
	batch_free(&x.batch);
	return rc;
}
