/*
 * events_helper.h - events for tests of sinks, made the way the agent makes them: typed changes,
 * encoded as spool records, read back in place
 */
#ifndef EVENTS_HELPER_H
#define EVENTS_HELPER_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "avro.h"
#include "sink.h"

#define broken(...)                                                                                \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

/* Values of a row. */
#define V_NULL    ((struct value){ .state = VALUE_NULL })
#define V_ABSENT  ((struct value){ .state = VALUE_ABSENT })
#define V_INT(n)  ((struct value){ .state = VALUE_SET, .i = (n) })
#define V_UINT(n) ((struct value){ .state = VALUE_SET, .u = (n) })
#define V_BOOL(x) ((struct value){ .state = VALUE_SET, .b = (x) })
#define V_REAL(x) ((struct value){ .state = VALUE_SET, .d = (x) })
#define V_TEXT(z) ((struct value){ .state = VALUE_SET, .s = STR(z) })
#define V_ODD(z)  ((struct value){ .state = VALUE_UNREPRESENTABLE, .s = STR(z) })
#define ROW(...)  ((const struct value[]){ __VA_ARGS__ })

/* Columns of a table. */
#define C_KEY(n, t, place)                                                                         \
	((struct column){ .name = STR(n), .type = (t), .key = (place), .native = STR("native") })
#define C(n, t)                                                                                    \
	((struct column){ .name = STR(n), .type = (t), .nullable = true, .native = STR("native") })

struct events {
	struct tables *tables;
	struct list everything;
	char *pattern;
	struct buf bytes;
	struct avro_scratch scratch;
	struct event *items;
	size_t n, room;
	struct position pos;
	struct arena arena;
};

__attribute__((unused)) static void events_init(struct events *h)
{
	static char all[] = "*";

	*h = (struct events){ .pattern = all, .pos = { .epoch = 1, .offset = 0x1000 } };
	h->everything = (struct list){ &h->pattern, 1 };
	h->tables = tables_new(&(struct tables_config){ .pipeline = "erp",
							.connector = "postgresql",
							.database = "erp",
							.sink_tables = &h->everything,
							.nsinks = 1 });
}

__attribute__((unused)) static void events_release(struct events *h)
{
	tables_free(h->tables);
	buf_free(&h->bytes);
	avro_scratch_free(&h->scratch);
	arena_free(&h->arena);
	free(h->items);
}

__attribute__((unused)) static const struct table *
events_table(struct events *h, const char *schema, const char *name, char replica_identity,
	     const struct column *columns, size_t n)
{
	struct table draft = { .schema = str_z(schema),
			       .name = str_z(name),
			       .ncolumns = n,
			       .replica_identity = replica_identity };
	uint16_t key[16];
	struct error err;

	draft.columns = xcalloc(n, sizeof *columns);
	memcpy(draft.columns, columns, n * sizeof *columns);
	draft.key = key;
	for (size_t i = 0; i < n; i++) {
		if (columns[i].key) {
			key[columns[i].key - 1] = (uint16_t)i;
			draft.nkey++;
		}
	}
	const struct table *t = tables_define(h->tables, &draft, &err);

	free(draft.columns);
	if (!t)
		broken("%s", err.text);
	return t;
}
#define TABLE(h, schema, name, identity, ...)                                                      \
	events_table(h, schema, name, identity, (const struct column[]){ __VA_ARGS__ },            \
		     sizeof((const struct column[]){ __VA_ARGS__ }) / sizeof(struct column))

/* The number that a decimal column keeps. */
__attribute__((unused)) static struct value v_decimal(struct events *h, const char *text,
						      int precision, int scale)
{
	struct value v = { .state = VALUE_SET };

	if (!decimal_parse(str_z(text), precision, scale, &h->arena, &v.s))
		broken("%s does not fit", text);
	return v;
}

__attribute__((unused)) static void events_put(struct events *h, enum change_op op,
					       const struct table *t, const struct value *before,
					       const struct value *after)
{
	struct change c = { .op = op,
			    .table = t,
			    .pos = h->pos,
			    .xid = 700,
			    .commit_us = INT64_C(1767323045678901),
			    .before = before,
			    .after = after };

	if (op == CHANGE_COMMIT || op == CHANGE_HEARTBEAT)
		c.resume = STR("{\"lsn\":\"0/16B3798\"}");
	c.pos.row = ++h->pos.row;
	if (op == CHANGE_HEARTBEAT)
		c.pos.row = POSITION_BETWEEN;
	spool_record_put(&h->bytes, &c, &h->scratch);
}

__attribute__((unused)) static void put_begin(struct events *h)
{
	h->pos.offset += 0x100;
	h->pos.row = 0;
	events_put(h, CHANGE_BEGIN, NULL, NULL, NULL);
}

__attribute__((unused)) static void put_commit(struct events *h)
{
	events_put(h, CHANGE_COMMIT, NULL, NULL, NULL);
}

/* A snapshot's chunk right behind the last transaction: it has its offset. */
__attribute__((unused)) static void put_chunk(struct events *h, struct str note)
{
	if (h->pos.row < POSITION_BETWEEN)
		h->pos.row = POSITION_BETWEEN;

	struct change c = { .op = CHANGE_BEGIN,
			    .pos = h->pos,
			    .commit_us = INT64_C(1767323045678901),
			    .content = note };

	c.pos.row = ++h->pos.row;
	spool_record_put(&h->bytes, &c, &h->scratch);
}

#define put_insert(h, t, ...)      events_put(h, CHANGE_INSERT, t, NULL, ROW(__VA_ARGS__))
#define put_read(h, t, ...)        events_put(h, CHANGE_READ, t, NULL, ROW(__VA_ARGS__))
#define put_update(h, t, old, ...) events_put(h, CHANGE_UPDATE, t, old, ROW(__VA_ARGS__))
#define put_delete(h, t, ...)      events_put(h, CHANGE_DELETE, t, ROW(__VA_ARGS__), NULL)
#define put_truncate(h, t)         events_put(h, CHANGE_TRUNCATE, t, NULL, NULL)

__attribute__((unused)) static void put_message(struct events *h, struct str prefix,
						struct str content)
{
	struct change c = { .op = CHANGE_MESSAGE,
			    .pos = h->pos,
			    .commit_us = 1,
			    .prefix = prefix,
			    .content = content };

	c.pos.row = ++h->pos.row;
	spool_record_put(&h->bytes, &c, &h->scratch);
}

/* The events put so far; the next put begins anew. */
__attribute__((unused)) static size_t events_take(struct events *h)
{
	struct cursor c = cursor_of((struct str){ h->bytes.p, h->bytes.n });
	struct error err;

	h->n = 0;
	while (cursor_left(&c)) {
		if (h->n == h->room) {
			h->room = h->room ? 2 * h->room : 64;
			h->items = xrealloc(h->items, h->room * sizeof *h->items);
		}
		if (spool_record_get(&c, h->tables, &h->items[h->n], &err))
			broken("%s", err.text);
		h->n++;
	}
	return h->n;
}

/* Writes what was put; the error's kind, ERR_NONE when all went well. */
__attribute__((unused)) static enum error_kind events_write(struct events *h, struct sink *k,
							    struct error *err)
{
	size_t n = events_take(h);
	int rc = k->ops->write(k, h->items, n, err);

	buf_clear(&h->bytes);
	return rc ? err->kind : ERR_NONE;
}

/* What the last transaction's commit says; strings are borrowed. */
__attribute__((unused)) static struct checkpoint events_checkpoint(const struct events *h)
{
	static char resume[] = "{\"lsn\":\"0/16B3798\"}";

	return (struct checkpoint){ .pos = h->pos, .resume = resume };
}

/* Writes and commits what was put. */
__attribute__((unused)) static void events_deliver(struct events *h, struct sink *k)
{
	struct checkpoint upto;
	struct error err;

	if (events_write(h, k, &err) != ERR_NONE)
		broken("write: %s", err.text);
	upto = events_checkpoint(h);
	if (k->ops->commit(k, &upto, &err))
		broken("commit: %s", err.text);
}

/* What a shell command prints. */
__attribute__((unused)) static void shell_run(const char *command, struct buf *out)
{
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);

	pid_t pid = fork();

	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf_more(out, 4096), 4096)) > 0)
		out->n += (size_t)n;
	close(fds[0]);
	waitpid(pid, NULL, 0);
}

/* A new folder below $TMPDIR; removed by folder_remove(). */
__attribute__((unused)) static char *folder_new(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path = xasprintf("%s/tailrace-XXXXXX", tmp ? tmp : "/tmp");

	if (!mkdtemp(path))
		broken("mkdtemp %s", path);
	return path;
}

__attribute__((unused)) static void folder_remove(char *path)
{
	AUTO(buf) struct buf out = { 0 };
	char *command = xasprintf("rm -rf '%s'", path);

	shell_run(command, &out);
	free(command);
	free(path);
}

#endif
