/*
 * test_event_file.c - the spool's segments and the files sink's files give the same events
 *
 * `events` is tested by what it prints: the command runs in a child whose output is read back.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "events_helper.h"

#include "../../agent/command.h"
#include "../../agent/event_file.h"
#include "ocf.h"

static const struct table *orders_of(struct events *h)
{
	return TABLE(h, "public", "orders", 'd', C_KEY("id", COL_INT32, 2),
		     C_KEY("shop", COL_TEXT, 1), C("paid", COL_BOOL), C("weight", COL_DOUBLE),
		     C("due", COL_DATE), C("note", COL_TEXT));
}

/* Two transactions with every kind of event. */
static void put_all(struct events *h)
{
	const struct table *t = orders_of(h);

	put_begin(h);
	put_insert(h, t, V_INT(1), V_TEXT("north"), V_BOOL(true), V_REAL(1.5), V_INT(20455),
		   V_TEXT("caf\xc3\xa9 \"x\"\n"));
	put_insert(h, t, V_INT(2), V_TEXT("south"), V_NULL, V_NULL, V_ODD("infinity"), V_ABSENT);
	put_update(h, t, NULL, V_INT(1), V_TEXT("north"), V_BOOL(false), V_REAL(2), V_INT(1),
		   V_ABSENT);
	put_commit(h);
	put_begin(h);
	put_update(h, t, ROW(V_INT(1), V_TEXT("north"), V_ABSENT, V_ABSENT, V_ABSENT, V_ABSENT),
		   V_INT(7), V_TEXT("north"), V_NULL, V_NULL, V_NULL, V_NULL);
	put_delete(h, t, V_INT(2), V_TEXT("south"), V_ABSENT, V_ABSENT, V_ABSENT, V_ABSENT);
	put_message(h, STR("app"), STR("hello\x01"));
	put_truncate(h, t);
	put_commit(h);
}

static void write_file(const char *path, const struct buf *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, bytes->p, bytes->n), bytes->n);
	close(fd);
}

/* A segment with the records put so far in one block, the schema records before them. */
static char *write_segment(struct events *h, const char *dir, struct position first)
{
	struct ocf_codec_state *codec = ocf_codec_new(OCF_ZSTANDARD, 1);
	const struct ocf_meta meta[] = { { "tailrace.format", STR("1") } };
	AUTO(buf) struct buf out = { 0 };
	AUTO(buf) struct buf records = { 0 };
	char name[POSITION_TEXT];
	char *path = xasprintf("%s/%s.avro", dir, position_filename(&first, name));
	uint8_t sync[16];
	struct error err;

	for (uint32_t id = 1; id <= tables_count(h->tables); id++)
		spool_record_put_schema(&records, tables_by_id(h->tables, id), &first);
	buf_add(&records, h->bytes.p, h->bytes.n);
	ocf_header(&out, avro_spool_schema, OCF_ZSTANDARD, meta, COUNT(meta), sync);
	assert_int_equal(ocf_block(&out, codec, sync, events_take(h) + tables_count(h->tables),
				   (struct str){ records.p, records.n }, &err),
			 0);
	ocf_codec_free(codec);
	write_file(path, &out);
	return path;
}

/* What a files sink writes of one table: envelopes or flat rows, a moved key as two. */
static char *write_sink_file(struct events *h, const char *dir, bool flat)
{
	struct avro_source source = { .connector = "postgresql",
				      .pipeline = "erp",
				      .database = "erp" };
	const struct table *t = tables_by_id(h->tables, 1);
	const struct ocf_meta meta[] = { { "tailrace.pipeline", STR("erp") },
					 { "tailrace.table", t->definition } };
	struct ocf_codec_state *codec = ocf_codec_new(OCF_DEFLATE, 1);
	AUTO(buf) struct buf out = { 0 };
	AUTO(buf) struct buf records = { 0 };
	char *path = xasprintf("%s/%s.avro", dir, flat ? "flat" : "envelope");
	uint64_t count = 0;
	uint8_t sync[16];
	struct error err;

	events_take(h);
	for (size_t i = 0; i < h->n; i++) {
		const struct event *e = &h->items[i];
		bool moved = e->op == CHANGE_UPDATE && e->old_key.p;

		for (int half = 0; e->table && half <= moved; half++, count++) {
			char op = !moved ? event_op(e) : half ? 'c' : 'd';

			if (flat)
				avro_put_flat(&records, e, op);
			else
				avro_put_envelope(&records, e, op, &source, 1, 1);
		}
	}
	ocf_header(&out, flat ? t->schemas.flat : t->schemas.envelope, OCF_DEFLATE, meta,
		   COUNT(meta), sync);
	assert_int_equal(ocf_block(&out, codec, sync, count, (struct str){ records.p, records.n },
				   &err),
			 0);
	avro_source_release(&source);
	ocf_codec_free(codec);
	write_file(path, &out);
	return path;
}

/* The command in a child; its standard output; stderr goes into it as well when asked for. */
static int run_events(struct buf *out, bool with_stderr, ...)
{
	char *argv[16] = { (char[]){ "events" } };
	int argc = 1, pipes[2], status;
	va_list ap;

	va_start(ap, with_stderr);
	for (char *arg; (arg = va_arg(ap, char *));)
		argv[argc++] = arg;
	va_end(ap);
	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		if (with_stderr)
			dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(cmd_events(argc, argv));
	}
	close(pipes[1]);
	buf_clear(out);
	for (ssize_t n; (n = read(pipes[0], buf_more(out, 65536), 65536)) > 0;)
		out->n += (size_t)n;
	close(pipes[0]);
	waitpid(pid, &status, 0);
	buf_z(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static size_t lines_of(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->p[i] == '\n';
	return n;
}

struct folder {
	char *dir, *segment;
	struct events h;
};

static void folder_make(struct folder *f)
{
	events_init(&f->h);
	f->dir = folder_new();
	put_all(&f->h);
	f->segment = write_segment(&f->h, f->dir, (struct position){ 1, 0, 0x1100, 1 });
}

static void folder_end(struct folder *f)
{
	folder_remove(f->dir);
	free(f->segment);
	events_release(&f->h);
}

static const char *const lines[] = {
	"{\"position\":\"1/0/1100/2\",\"op\":\"c\",\"schema\":\"public\",\"table\":\"orders\","
	"\"version\":1,\"txid\":700,\"ts_us\":1767323045678901,\"snapshot\":false,"
	"\"key\":{\"shop\":\"north\",\"id\":1},\"before\":null,\"after\":{\"id\":1,"
	"\"shop\":\"north\",\"paid\":true,\"weight\":1.5,\"due\":\"2026-01-02\","
	"\"note\":\"caf\xc3\xa9 \\\"x\\\"\\u000a\"},\"absent\":null,\"absent_before\":null,"
	"\"unrepresentable\":null,\"unrepresentable_before\":null}\n",
	"\"absent\":[\"note\"],\"absent_before\":null,\"unrepresentable\":{\"due\":\"infinity\"}",
	"\"op\":\"m\",\"schema\":null,\"table\":null,",
	"\"op\":\"t\",\"schema\":\"public\",\"table\":\"orders\"",
};

static void test_spool(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	assert_int_equal(run_events(&out, true, f.segment, NULL), EXIT_DONE);
	assert_int_equal(lines_of(&out), 8);
	assert_memory_equal(out.p, lines[0], strlen(lines[0]));
	for (size_t i = 1; i < COUNT(lines); i++)
		if (!strstr(out.p, lines[i]))
			broken("%s is not in\n%s", lines[i], out.p);
	folder_end(&f);
}

/* The lines of one output whose text has `word`, without the part before "op". */
static char *line_with(const struct buf *b, const char *word)
{
	const char *at = strstr(b->p, word);

	if (!at)
		broken("%s is not in\n%s", word, b->p);
	while (at > b->p && at[-1] != '\n')
		at--;
	return xstrndup(at, strcspn(at, "\n"));
}

static void test_sink_files_give_what_the_spool_gives(void **state)
{
	(void)state;
	static const char *const same[] = { "1/0/1100/2\"",
					    "1/0/1100/3\"",
					    "1/0/1100/4\"",
					    "1/0/1200/2\",\"op\":\"d\"",
					    "1/0/1200/2\",\"op\":\"c\"",
					    "1/0/1200/3\"",
					    "1/0/1200/5\"" };
	AUTO(buf) struct buf spool = { 0 };
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	AUTO(free) char *envelope = write_sink_file(&f.h, f.dir, false);

	assert_int_equal(run_events(&spool, true, f.segment, NULL), EXIT_DONE);
	assert_int_equal(run_events(&out, true, envelope, NULL), EXIT_DONE);
	assert_int_equal(lines_of(&out), 7); /* no message, but the moved key is two */
	for (size_t i = 0; i < COUNT(same); i++) {
		AUTO(free) char *a = line_with(&spool, same[i]);
		AUTO(free) char *b = line_with(&out, same[i]);

		assert_string_equal(a, b);
	}
	AUTO(free) char *removed = line_with(&out, "1/0/1200/2\",\"op\":\"d\"");
	AUTO(free) char *added = line_with(&out, "1/0/1200/2\",\"op\":\"c\"");

	assert_non_null(strstr(removed, "\"key\":{\"shop\":\"north\",\"id\":1},\"before\":{"));
	assert_non_null(
		strstr(removed, "\"absent_before\":[\"paid\",\"weight\",\"due\",\"note\"]"));
	assert_non_null(strstr(added, "\"key\":{\"shop\":\"north\",\"id\":7},\"before\":null"));
	folder_end(&f);
}

static void test_flat_file(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	AUTO(free) char *flat = write_sink_file(&f.h, f.dir, true);

	assert_int_equal(run_events(&out, true, flat, NULL), EXIT_DONE);
	assert_int_equal(lines_of(&out), 7);
	AUTO(free) char *first = line_with(&out, "1/0/1100/2\"");

	assert_non_null(strstr(first, "\"ts_us\":1767323045678000,"));
	assert_non_null(strstr(first, "\"after\":{\"id\":1,\"shop\":\"north\",\"paid\":true,"));
	AUTO(free) char *gone = line_with(&out, "\"op\":\"t\"");

	assert_non_null(strstr(gone, "\"key\":null,\"before\":null,\"after\":null"));
	folder_end(&f);
}

static void test_filters(void **state)
{
	(void)state;
	static const struct {
		const char *flag, *value;
		size_t n;
	} cases[] = {
		{ "--table", "public.orders", 7 },
		{ "--table", "orders", 7 },
		{ "--table", "public.*", 7 },
		{ "--table", "public.order", 0 },
		{ "--key", "{\"id\":1}", 3 },
		{ "--key", "{\"id\":\"1\"}", 3 },
		{ "--key", "{\"shop\":\"north\"}", 4 },
		{ "--key", "{\"shop\":\"north\",\"id\":7}", 1 },
		{ "--key", "{\"nothing\":1}", 0 },
		{ "--from", "1/0/1100/3", 7 },
		{ "--from", "1/0/1200/5", 1 },
		{ "--from", "2/0/0/0", 0 },
		{ "--to", "1/0/1100/3", 2 },
		{ "--to", "1/0/1/0", 0 },
		{ "--to", "2026-01-02T03:04:05.678900Z",
		  1 }, /* the message: it has a time of its own */
		{ "--from", "2026-01-02T03:04:05.678901Z", 7 },
		{ "--from", "2026-01-02T05:04:05.678902+02:00", 0 },
		{ "--from", "2026-01-02 04:04:05+01:00", 7 },
		{ "--from", "2026-01-02", 7 },
	};
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(run_events(&out, true, f.dir, cases[i].flag, cases[i].value, NULL),
				 EXIT_DONE);
		if (lines_of(&out) != cases[i].n)
			broken("%s %s gave %zu", cases[i].flag, cases[i].value, lines_of(&out));
	}
	assert_int_equal(run_events(&out, true, f.dir, "--format", "json", NULL), EXIT_DONE);
	assert_memory_equal(out.p, "[\n{", 3);
	assert_string_equal(out.p + out.n - 4, "}\n]\n");
	assert_int_equal(run_events(&out, true, f.dir, "--format=json", "--table=x", NULL),
			 EXIT_DONE);
	assert_string_equal(out.p, "[]\n");
	folder_end(&f);
}

static void test_mistakes(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "--key", "[1]" },        { "--key", "{" },
		{ "--from", "yesterday" }, { "--to", "2026-13-01" },
		{ "--format", "xml" },     { "--from", "2026-01-02T03:04:05+2" },
	};
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(run_events(&out, true, f.dir, cases[i][0], cases[i][1], NULL),
				 EXIT_USAGE);
	assert_int_equal(run_events(&out, true, "/nowhere/at/all", NULL), EXIT_FAILED);
	assert_int_equal(run_events(&out, true, "/etc/passwd", NULL), EXIT_FAILED);
	assert_non_null(strstr(out.p, "/etc/passwd: not an Avro"));
	folder_end(&f);
}

/* A torn end of the last segment is the agent writing; anything else is damage. */
static void test_torn_and_damaged(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct folder f;
	struct stat st;

	folder_make(&f);
	assert_int_equal(stat(f.segment, &st), 0);
	assert_int_equal(truncate(f.segment, st.st_size - 5), 0);
	assert_int_equal(run_events(&out, true, f.dir, NULL), EXIT_DONE);
	assert_int_equal(out.n, 0);

	AUTO(free) char *next = write_segment(&f.h, f.dir, (struct position){ 1, 0, 0x1300, 1 });
	assert_int_equal(run_events(&out, true, f.dir, NULL), EXIT_FAILED);
	assert_non_null(strstr(out.p, f.segment));
	assert_non_null(strstr(out.p, "offset "));

	assert_int_equal(unlink(f.segment), 0);
	int fd = open(next, O_RDWR);
	char byte;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &byte, 1, st.st_size - 40), 1);
	byte = (char)(byte ^ 1);
	assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 40), 1);
	close(fd);
	assert_int_equal(run_events(&out, true, f.dir, NULL), EXIT_FAILED);
	assert_non_null(strstr(out.p, next));
	folder_end(&f);
}

static void test_segments_out_of_range_are_not_read(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct folder f;

	folder_make(&f);
	AUTO(free) char *next = write_segment(&f.h, f.dir, (struct position){ 1, 0, 0x1300, 1 });
	assert_int_equal(truncate(f.segment, 30), 0); /* would be damage */
	assert_int_equal(run_events(&out, true, f.dir, "--from", "1/0/1300/1", NULL), EXIT_DONE);
	assert_int_equal(run_events(&out, true, f.dir, "--from", "1/0/1200/1", NULL), EXIT_FAILED);
	folder_end(&f);
}

static int stop_at_once(const struct event *e, void *arg, struct error *err)
{
	(void)e, (void)err;
	++*(int *)arg;
	return 1;
}

static void test_callback_stops(void **state)
{
	(void)state;
	struct folder f;
	struct error err;
	int calls = 0;

	folder_make(&f);
	struct tables *tables = tables_new(&(struct tables_config){ .pipeline = "erp" });

	assert_int_equal(event_file_read(f.segment, true, tables, stop_at_once, &calls, &err), 1);
	assert_int_equal(calls, 1);
	tables_free(tables);
	folder_end(&f);
}

static void test_name_of_segment(void **state)
{
	(void)state;
	struct position p;

	assert_true(event_file_first("/x/01-000000-00000000016b3748-8000000000000000.avro", &p));
	assert_int_equal(p.offset, 0x16B3748);
	assert_true(p.row == POSITION_BETWEEN);
	assert_false(
		event_file_first("/x/erp-01-000000-00000000016b3748-0000000000000001.avro", &p));
	assert_false(
		event_file_first("/x/01-000000-00000000016b3748-0000000000000001.avro.tmp", &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_sink_files_give_what_the_spool_gives),
		cmocka_unit_test(test_flat_file),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_torn_and_damaged),
		cmocka_unit_test(test_segments_out_of_range_are_not_read),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_name_of_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
