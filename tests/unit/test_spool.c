/*
 * test_spool.c - the spool on a real folder: what is written is read back, whole transactions only,
 * whatever was cut off
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "../../agent/block.h"
#include "log.h"
#include "spool.h"

#define SYSTEM "{\"system\":\"1\",\"timeline\":1,\"lsn\":\"0/%llX\"}"

struct world {
	char dir[64];
	struct spool_config config;
	struct tables *tables;
	const struct table *table;
	struct spool *spool;
	struct block_builder builder;
	struct batch batch;
};

/* In place of the C library's. */
static bool sync_fails;

int fdatasync(int fd)
{
	if (sync_fails) {
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

static const struct tables_config tables_config = { .pipeline = "t",
						    .connector = "postgresql",
						    .database = "d" };

static void broken(const struct error *err)
{
	print_error("%s\n", err->text);
	assert_true(false);
}

static const struct table *define(struct tables *tables, const char *name)
{
	struct column columns[] = {
		{ .name = STR("id"),
		  .type = COL_INT64,
		  .key = 1,
		  .native = STR("bigint"),
		  .native_mod = -1 },
		{ .name = STR("note"), .type = COL_TEXT, .native = STR("text"), .native_mod = -1 },
	};
	struct table draft = {
		.schema = STR("public"), .name = str_z(name), .columns = columns, .ncolumns = 2
	};
	struct error err;
	const struct table *t = tables_define(tables, &draft, &err);

	if (!t)
		broken(&err);
	return t;
}

static void reopen(struct world *w)
{
	struct error err;

	spool_close(w->spool);
	tables_free(w->tables);
	w->tables = tables_new(&tables_config);
	w->table = define(w->tables, "orders");
	w->spool = spool_open(w->dir, "t", &w->config, 1 << 20, w->tables, &err);
	if (!w->spool)
		broken(&err);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	snprintf(w->dir, sizeof(w->dir), "/tmp/tailrace-spool-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->config = (struct spool_config){ .sync = 100000,
					   .segment = 1 << 20,
					   .max_bytes = 1 << 30,
					   .keep = 0,
					   .compression_level = 1 };
	reopen(w);
	*state = w;
	return 0;
}

static int each_file(const char *dir, char *last, size_t n, bool remove)
{
	DIR *d = opendir(dir);
	int count = 0;

	*last = '\0';
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[400];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (strcmp(path, last) > 0)
			snprintf(last, n, "%s", path);
		if (remove)
			unlink(path);
		count++;
	}
	closedir(d);
	return count;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char last[400];

	spool_close(w->spool);
	tables_free(w->tables);
	block_builder_release(&w->builder);
	batch_free(&w->batch);
	each_file(w->dir, last, sizeof last, true);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* --- writing --- */

static void put(struct world *w, enum change_op op, uint64_t lsn, uint64_t row, const char *note)
{
	struct position pos = { 1, 0, lsn, row };
	struct change *c = batch_add(&w->batch, op, op == CHANGE_INSERT ? w->table : NULL, pos);
	char resume[96];

	c->xid = lsn;
	c->commit_us = (int64_t)lsn;
	snprintf(resume, sizeof resume, SYSTEM, (unsigned long long)lsn + 8);
	if (op == CHANGE_COMMIT || op == CHANGE_HEARTBEAT || op == CHANGE_GAP)
		c->resume = arena_copy(&w->batch.arena, str_z(resume));
	if (op == CHANGE_INSERT) {
		struct value *v = batch_row(&w->batch, w->table);

		v[0] = (struct value){ .state = VALUE_SET, .i = (int64_t)(lsn * 1000 + row) };
		v[1] = (struct value){ .state = VALUE_SET, .s = str_z(note) };
		c->after = v;
	}
	block_builder_add(&w->builder, c);
	batch_empty(&w->batch);
}

static void append(struct world *w)
{
	struct error err;
	struct block *b = block_seal(&w->builder);

	if (b && spool_append(w->spool, b, &err) < 0)
		broken(&err);
}

static void transaction(struct world *w, uint64_t lsn, int rows, const char *note)
{
	put(w, CHANGE_BEGIN, lsn, 1, NULL);
	for (int i = 0; i < rows; i++)
		put(w, CHANGE_INSERT, lsn, 2 + (uint64_t)i, note);
	put(w, CHANGE_COMMIT, lsn, 2 + (uint64_t)rows, NULL);
	append(w);
}

/* Begins a transaction of `parts` blocks and does not end it. */
static void unfinished(struct world *w, uint64_t lsn, int parts)
{
	for (int i = 0; i < parts; i++) {
		if (i == 0)
			put(w, CHANGE_BEGIN, lsn, 1, NULL);
		put(w, CHANGE_INSERT, lsn, 2 + (uint64_t)i, "part");
		append(w);
	}
}

static void sync_ok(struct world *w)
{
	struct error err;

	assert_int_equal(spool_sync(w->spool, &err), 0);
}

/* --- reading --- */

/* Transactions after `from`, as text: "100:3 200:1 " is LSN and rows; a heartbeat is "300:h ". */
static const char *read_all(struct world *w, struct position from)
{
	static char text[65536];
	struct error err;
	struct spool_cursor *c = spool_seek(w->spool, &from, &err);
	size_t used = 0, rows = 0;
	uint64_t begun = 0;
	int got;

	if (!c)
		broken(&err);
	text[0] = '\0';
	for (struct block *b; (got = spool_next(c, 0, &b, &err)) > 0; block_drop(b)) {
		for (size_t i = 0; i < b->nevents; i++) {
			const struct event *e = &b->events[i];

			if (position_cmp(&e->pos, &from) <= 0)
				continue;
			if (e->op == CHANGE_BEGIN) {
				assert_int_equal(begun, 0);
				begun = e->pos.offset;
				rows = 0;
			} else if (e->op == CHANGE_INSERT) {
				assert_int_equal(begun, e->pos.offset);
				assert_ptr_equal(e->table, tables_by_id(w->tables, e->table->id));
				rows++;
			} else if (e->op == CHANGE_COMMIT) {
				assert_int_equal(begun, e->pos.offset);
				used += (size_t)snprintf(text + used, sizeof text - used,
							 "%llu:%zu ", (unsigned long long)begun,
							 rows);
				begun = 0;
			} else if (e->op == CHANGE_HEARTBEAT || e->op == CHANGE_GAP) {
				used += (size_t)snprintf(text + used, sizeof text - used, "%llu:h ",
							 (unsigned long long)e->pos.offset);
			}
		}
	}
	if (got < 0)
		broken(&err);
	assert_int_equal(begun, 0);
	spool_cursor_close(c);
	return text;
}

static struct position after(uint64_t lsn)
{
	return (struct position){ 1, 0, lsn, UINT64_MAX };
}

/* --- tests --- */

static void test_memory_and_disk_give_the_same(void **state)
{
	struct world *w = *state;

	transaction(w, 100, 3, "a");
	transaction(w, 200, 1, "b");
	put(w, CHANGE_HEARTBEAT, 299, POSITION_BETWEEN, NULL);
	append(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:3 200:1 299:h ");
	assert_string_equal(read_all(w, after(100)), "200:1 299:h ");
	reopen(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:3 200:1 299:h ");
	transaction(w, 400, 2, "c");
	assert_string_equal(read_all(w, after(200)), "299:h 400:2 ");
	assert_string_equal(read_all(w, after(400)), "");
}

static void test_unfinished_is_not_published(void **state)
{
	struct world *w = *state;

	transaction(w, 100, 1, "a");
	unfinished(w, 200, 3);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 ");
	put(w, CHANGE_COMMIT, 200, 5, NULL);
	append(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:3 ");
}

static void test_reopen_cuts_unfinished(void **state)
{
	struct world *w = *state;
	struct checkpoint newest = { 0 };

	transaction(w, 100, 1, "a");
	unfinished(w, 200, 2);
	reopen(w);
	spool_newest(w->spool, &newest);
	assert_int_equal(newest.pos.offset, 100);
	assert_string_equal(newest.resume, "{\"system\":\"1\",\"timeline\":1,\"lsn\":\"0/6C\"}");
	checkpoint_release(&newest);
	transaction(w, 200, 2, "again");
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:2 ");
	reopen(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:2 ");
}

static void test_rewind(void **state)
{
	struct world *w = *state;
	struct error err;

	transaction(w, 100, 1, "a");
	unfinished(w, 200, 4);
	assert_int_equal(spool_rewind(w->spool, &err), 0);
	transaction(w, 200, 4, "again");
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:4 ");
	assert_int_equal(spool_rewind(w->spool, &err), 0);
	transaction(w, 300, 1, "b");
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:4 300:1 ");
	reopen(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:4 300:1 ");
}

/* The very first transaction is cut: a cursor that waits at the start of the empty spool gets the next one. */
static void test_rewind_to_nothing(void **state)
{
	struct world *w = *state;
	struct position none = { 0 };
	struct error err;
	struct spool_cursor *c = spool_seek(w->spool, &none, &err);
	struct block *b = NULL;

	unfinished(w, 100, 2);
	assert_int_equal(spool_next(c, 0, &b, &err), 0);
	assert_int_equal(spool_rewind(w->spool, &err), 0);
	transaction(w, 100, 2, "again");
	assert_int_equal(spool_next(c, 0, &b, &err), 1);
	assert_int_equal(b->nevents, 4);
	block_drop(b);
	spool_cursor_close(c);
	assert_string_equal(read_all(w, none), "100:2 ");
}

static char *noise(size_t n)
{
	char *p = xmalloc(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + rand() % 26);
	p[n] = '\0';
	return p;
}

/* Segments roll inside a large transaction too; versions are declared in each; sinks behind read from disk. */
static void test_segments_roll(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = noise(100000);
	char last[400];

	w->config.segment = 100000;
	for (uint64_t lsn = 100; lsn < 110; lsn++)
		transaction(w, lsn, 2, text);
	put(w, CHANGE_BEGIN, 200, 1, NULL);
	for (int i = 0; i < 20; i++) {
		put(w, CHANGE_INSERT, 200, 2 + (uint64_t)i, text);
		append(w);
	}
	put(w, CHANGE_COMMIT, 200, 22, NULL);
	append(w);
	assert_true(each_file(w->dir, last, sizeof last, false) > 8);
	const char *all = "100:2 101:2 102:2 103:2 104:2 105:2 106:2 107:2 108:2 109:2 200:20 ";

	assert_string_equal(read_all(w, (struct position){ 0 }), all);
	reopen(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), all);
	assert_string_equal(read_all(w, after(107)), "108:2 109:2 200:20 ");
	assert_string_equal(read_all(w, after(109)), "200:20 ");
	assert_string_equal(read_all(w, after(200)), "");
	transaction(w, 300, 1, "b");
	assert_string_equal(read_all(w, after(200)), "300:1 ");
}

/* The end of the last segment may be torn at any byte: what is left is whole transactions. */
static void test_torn_at_every_byte(void **state)
{
	struct world *w = *state;
	char last[400];
	struct stat before, end;

	transaction(w, 100, 1, "first");
	sync_ok(w);
	each_file(w->dir, last, sizeof last, false);
	assert_int_equal(stat(last, &before), 0);
	transaction(w, 200, 2, "second");
	assert_int_equal(stat(last, &end), 0);
	AUTO(free) char *bytes = xmalloc((size_t)end.st_size);
	int fd = open(last, O_RDONLY);

	assert_int_equal(read(fd, bytes, (size_t)end.st_size), end.st_size);
	close(fd);
	for (off_t cut = end.st_size; cut >= before.st_size; cut--) {
		fd = open(last, O_WRONLY | O_TRUNC);
		assert_int_equal(write(fd, bytes, (size_t)cut), cut);
		close(fd);
		reopen(w);
		assert_string_equal(read_all(w, (struct position){ 0 }),
				    cut == end.st_size ? "100:1 200:2 " : "100:1 ");
	}
	for (off_t flip = before.st_size; flip < end.st_size; flip++) {
		bytes[flip] ^= 0x55;
		fd = open(last, O_WRONLY | O_TRUNC);
		assert_int_equal(write(fd, bytes, (size_t)end.st_size), end.st_size);
		close(fd);
		bytes[flip] ^= 0x55;
		reopen(w);
		assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 ");
	}
}

/* A segment whose header never reached the disk is dropped when it is the last. */
static void test_torn_header(void **state)
{
	struct world *w = *state;
	char path[400];

	transaction(w, 100, 1, "a");
	snprintf(path, sizeof path, "%s/01-000000-00000000000000c8-0000000000000001.avro", w->dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "Obj", 3), 3);
	close(fd);
	reopen(w);
	assert_int_not_equal(access(path, F_OK), 0);
	transaction(w, 200, 1, "b");
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:1 ");
}

static void test_damage_in_the_middle_is_fatal(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = noise(100000);
	struct error err;
	struct position none = { 0 };
	struct block *b;
	char last[400], first[400] = "";

	w->config.segment = 100000;
	transaction(w, 100, 2, text);
	each_file(w->dir, first, sizeof first, false);
	transaction(w, 200, 2, text);
	transaction(w, 300, 2, text);
	each_file(w->dir, last, sizeof last, false);
	assert_string_not_equal(first, last);
	int fd = open(first, O_WRONLY);

	assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 20000), 4);
	close(fd);
	reopen(w);
	struct spool_cursor *c = spool_seek(w->spool, &none, &err);

	assert_int_equal(spool_next(c, 0, &b, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, first));
	assert_non_null(strstr(err.text, "damaged"));
	spool_cursor_close(c);
}

static void test_unknown_format_and_other_pipeline(void **state)
{
	struct world *w = *state;
	struct error err;

	transaction(w, 100, 1, "a");
	spool_close(w->spool);
	w->spool = spool_open(w->dir, "other", &w->config, 1 << 20, w->tables, &err);
	assert_null(w->spool);
	assert_non_null(strstr(err.text, "belongs to pipeline t"));
	char last[400];

	each_file(w->dir, last, sizeof last, false);
	AUTO(free) char *bytes = xcalloc(1, 8192);
	int fd = open(last, O_RDWR);
	ssize_t n = read(fd, bytes, 8191);
	char *format = memmem(bytes, (size_t)n, "tailrace.format\x02", 16);

	assert_non_null(format);
	assert_int_equal(pwrite(fd, "9", 1, format - bytes + 16), 1);
	close(fd);
	w->spool = spool_open(w->dir, "t", &w->config, 1 << 20, w->tables, &err);
	assert_null(w->spool);
	assert_non_null(strstr(err.text, "format 9"));
}

/* Retention: only what every sink is past goes; a cursor before it is told of the gap. */
static void test_forget(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = noise(100000);
	struct error err;
	struct position upto = after(101), none = { 0 };
	struct spool_status s;
	char last[400];

	w->config.segment = 50000;
	for (uint64_t lsn = 100; lsn < 105; lsn++)
		transaction(w, lsn, 2, text);
	assert_int_equal(each_file(w->dir, last, sizeof last, false), 5);
	assert_int_equal(spool_forget(w->spool, &none, &err), 0);
	assert_int_equal(each_file(w->dir, last, sizeof last, false), 5);
	assert_int_equal(spool_forget(w->spool, &upto, &err), 0);
	assert_int_equal(each_file(w->dir, last, sizeof last, false), 3);
	assert_string_equal(read_all(w, after(101)), "102:2 103:2 104:2 ");
	assert_null(spool_seek(w->spool, &none, &err));
	assert_int_equal(error_exit(&err), EXIT_LOG_GONE);
	upto = after(1000);
	assert_int_equal(spool_forget(w->spool, &upto, &err), 0);
	spool_status(w->spool, &s);
	assert_int_equal(s.segments, 1); /* the one being written stays: it knows the position */
	reopen(w);
	assert_string_equal(read_all(w, after(103)), "104:2 ");
	w->config.keep = 3600ll * 1000000;
	transaction(w, 200, 2, text);
	transaction(w, 201, 2, text);
	assert_int_equal(spool_forget(w->spool, &upto, &err), 0);
	spool_status(w->spool, &s);
	assert_int_equal(s.segments, 3); /* too young */
	w->config.max_bytes = 1;
	assert_int_equal(spool_forget(w->spool, &upto, &err), 0);
	spool_status(w->spool, &s);
	assert_int_equal(s.segments, 1); /* the room is needed */
}

/* Nothing counts as durable before it is synced. */
static void test_synced_follows_sync(void **state)
{
	struct world *w = *state;
	struct checkpoint synced = { 0 };

	transaction(w, 100, 1, "a");
	spool_synced(w->spool, &synced);
	assert_null(synced.resume);
	sync_ok(w);
	spool_synced(w->spool, &synced);
	assert_int_equal(synced.pos.offset, 100);
	unfinished(w, 200, 1);
	sync_ok(w);
	spool_synced(w->spool, &synced);
	assert_int_equal(synced.pos.offset, 100);
	checkpoint_release(&synced);
}

/* --- snapshots: chunks between transactions --- */

/* At the offset of the last transaction, `first` rows behind its heartbeat's place; a block a row. */
static void chunk(struct world *w, uint64_t lsn, uint64_t first, int rows, const char *note)
{
	uint64_t row = POSITION_BETWEEN + first;

	put(w, CHANGE_BEGIN, lsn, row++, NULL);
	for (int i = 0; i < rows; i++) {
		put(w, CHANGE_INSERT, lsn, row++, note);
		append(w);
	}
	put(w, CHANGE_COMMIT, lsn, row, NULL);
	append(w);
}

/* The log cannot give a chunk again: no sink sees it before it is synced. */
static void test_a_chunk_is_synced_first(void **state)
{
	struct world *w = *state;
	struct checkpoint synced = { 0 };
	struct error err;

	transaction(w, 100, 1, "a");
	spool_synced(w->spool, &synced);
	assert_null(synced.resume);
	chunk(w, 100, 1, 2, "r");
	spool_synced(w->spool, &synced);
	assert_int_equal(synced.pos.row, POSITION_BETWEEN + 4);
	assert_string_equal(synced.resume, "{\"system\":\"1\",\"timeline\":1,\"lsn\":\"0/6C\"}");

	/* The disk fails: what was not synced is not seen, and not there at the next start. */
	transaction(w, 200, 1, "b");
	put(w, CHANGE_BEGIN, 200, POSITION_BETWEEN + 1, NULL);
	put(w, CHANGE_COMMIT, 200, POSITION_BETWEEN + 2, NULL);
	sync_fails = true;
	assert_int_equal(spool_append(w->spool, block_seal(&w->builder), &err), -1);
	sync_fails = false;
	assert_non_null(strstr(err.text, "cannot sync"));
	assert_string_equal(read_all(w, (struct position){ 1, 0, 100, POSITION_BETWEEN + 4 }),
			    "200:1 ");
	reopen(w);
	spool_newest(w->spool, &synced);
	assert_int_equal(synced.pos.row, POSITION_BETWEEN + 4);
	checkpoint_release(&synced);
}

static void test_a_gap_is_synced_first(void **state)
{
	struct world *w = *state;
	struct checkpoint synced = { 0 };

	put(w, CHANGE_GAP, 100, POSITION_BETWEEN, NULL);
	append(w);
	spool_synced(w->spool, &synced);
	assert_int_equal(synced.pos.offset, 100);
	checkpoint_release(&synced);
}

/* A segment that begins inside a chunk is not where a sink before the chunk begins to read. */
static void test_a_chunk_over_segments(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = noise(100000);

	w->config.segment = 100000;
	transaction(w, 100, 1, "a");
	chunk(w, 100, 1, 6, text);
	chunk(w, 100, 9, 1, "small");
	chunk(w, 100, 12, 4, text);
	for (int again = 0; again < 2; again++) {
		assert_string_equal(read_all(w, (struct position){ 1, 0, 100, 3 }),
				    "100:6 100:1 100:4 ");
		assert_string_equal(read_all(w,
					     (struct position){ 1, 0, 100, POSITION_BETWEEN + 8 }),
				    "100:1 100:4 ");
		assert_string_equal(read_all(w,
					     (struct position){ 1, 0, 100, POSITION_BETWEEN + 11 }),
				    "100:4 ");
		reopen(w);
	}
	transaction(w, 200, 1, "b");
	assert_string_equal(read_all(w, (struct position){ 1, 0, 100, POSITION_BETWEEN + 17 }),
			    "200:1 ");
}

/* What is left when the oldest segments are gone. */
static void test_seek_oldest(void **state)
{
	struct world *w = *state;
	AUTO(free) char *text = noise(100000);
	struct position upto = { 1, 0, 100, UINT64_MAX };
	struct block *b;
	struct error err;
	struct spool_cursor *c = spool_seek_oldest(w->spool);

	assert_int_equal(spool_next(c, 0, &b, &err), 0);
	spool_cursor_close(c);
	w->config.segment = 1000;
	transaction(w, 100, 1, text);
	transaction(w, 200, 1, text);
	assert_int_equal(spool_forget(w->spool, &upto, &err), 0);
	assert_null(spool_seek(w->spool, &(struct position){ 0 }, &err));
	c = spool_seek_oldest(w->spool);
	assert_int_equal(spool_next(c, 0, &b, &err), 1);
	assert_int_equal(b->events[0].pos.offset, 200);
	block_drop(b);
	spool_cursor_close(c);
}

/* A lost state.db: versions come back from the schema records, and keep their ids. */
static void test_versions_come_back(void **state)
{
	struct world *w = *state;
	struct error err;

	w->table = define(w->tables, "stock");
	transaction(w, 100, 1, "a");
	uint32_t id = w->table->id;

	spool_close(w->spool);
	tables_free(w->tables);
	w->tables = tables_new(&tables_config);
	w->spool = spool_open(w->dir, "t", &w->config, 1 << 20, w->tables, &err);
	assert_non_null(w->spool);
	assert_non_null(tables_by_id(w->tables, id));
	assert_true(str_eqz(tables_by_id(w->tables, id)->name, "stock"));
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 ");
}

/* A block too large for memory is read back from disk; a mixed builder publishes the finished part. */
static void test_large_and_mixed_blocks(void **state)
{
	struct world *w = *state;
	AUTO(free) char *large = noise(3 << 20);

	transaction(w, 100, 1, large);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 ");
	put(w, CHANGE_BEGIN, 200, 1, NULL);
	put(w, CHANGE_INSERT, 200, 2, "whole");
	put(w, CHANGE_COMMIT, 200, 3, NULL);
	put(w, CHANGE_BEGIN, 300, 1, NULL);
	put(w, CHANGE_INSERT, 300, 2, "half");
	append(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:1 ");
	put(w, CHANGE_COMMIT, 300, 3, NULL);
	append(w);
	assert_string_equal(read_all(w, (struct position){ 0 }), "100:1 200:1 300:1 ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_memory_and_disk_give_the_same),
		T(test_unfinished_is_not_published),
		T(test_reopen_cuts_unfinished),
		T(test_rewind),
		T(test_rewind_to_nothing),
		T(test_segments_roll),
		T(test_torn_at_every_byte),
		T(test_torn_header),
		T(test_damage_in_the_middle_is_fatal),
		T(test_unknown_format_and_other_pipeline),
		T(test_forget),
		T(test_synced_follows_sync),
		T(test_a_chunk_is_synced_first),
		T(test_a_gap_is_synced_first),
		T(test_a_chunk_over_segments),
		T(test_seek_oldest),
		T(test_versions_come_back),
		T(test_large_and_mixed_blocks),
	};

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "t");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
