/*
 * test_files.c - the files sink on a real folder: what is committed is there once and in order,
 * whatever is cut off between two steps
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "events_helper.h"
#include "../../agent/event_file.h"
#include "../../sinks/settings.h"
#include "check.h"
#include "log.h"
#include "ocf.h"

struct fixture {
	struct events h;
	struct config config;
	struct sink_config sinks[2];
	struct sink_type type;
	struct files_settings set, other;
	struct sink_context context;
	struct sink *sink;
	int64_t fence;
	char *folder, *answer;
	struct buf text;
	struct error err;
};

static char pipeline_name[] = "erp", sink_name[] = "lake", other_name[] = "pond";

static void open_sink(struct fixture *f)
{
	f->sink = files_sink.open(&f->context, &f->fence, &f->err);
	if (!f->sink)
		broken("open: %s", f->err.text);
}

static void close_sink(struct fixture *f)
{
	if (f->sink)
		files_sink.close(f->sink);
	f->sink = NULL;
}

static void reopen(struct fixture *f)
{
	close_sink(f);
	f->context.fenced = false;
	open_sink(f);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, "erp");
	events_init(&f->h);
	f->folder = folder_new();
	f->set = (struct files_settings){ .path = xasprintf("%s/a/lake", f->folder),
					  .roll_bytes = 1 << 20,
					  .roll_interval = 60000000 };
	f->type.ops = &files_sink;
	f->sinks[0] =
		(struct sink_config){ .name = sink_name, .type = &f->type, .settings = &f->set };
	f->config.pipeline.name = pipeline_name;
	f->config.sinks = f->sinks;
	f->config.nsinks = 1;
	f->context = (struct sink_context){ .config = &f->config,
					    .sink = &f->sinks[0],
					    .tables = f->h.tables };
	open_sink(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_sink(f);
	events_release(&f->h);
	folder_remove(f->folder);
	buf_free(&f->text);
	free(f->set.path);
	free(f->answer);
	free(f);
	return 0;
}

/* --- looking at the folder --- */

static const char *shell(struct fixture *f, const char *command)
{
	AUTO(buf) struct buf out = { 0 };
	char *all = xasprintf("cd '%s' && { %s; } | tr '\\n' ' '", f->set.path, command);

	shell_run(all, &out);
	free(all);
	while (out.n && out.p[out.n - 1] == ' ')
		out.n--;
	free(f->answer);
	f->answer = xstrdup(buf_z(&out));
	return f->answer;
}

/* Every file outside _tailrace, sorted. */
static const char *files(struct fixture *f)
{
	return shell(f, "find . -type f -not -path './_tailrace/*' | LC_ALL=C sort | cut -c3-");
}

static json_t *manifest(struct fixture *f)
{
	char *path = xasprintf("%s/_tailrace/erp-lake.json", f->set.path);
	json_t *m = json_load_file(path, 0, NULL);

	free(path);
	assert_non_null(m);
	return m;
}

/* op, row of the position, and of `before` and `after` what is there: "c2:-:{...} d3:..." */
static int add_event(const struct event *e, void *arg, struct error *err)
{
	struct fixture *f = arg;
	AUTO(buf) struct buf line = { 0 };

	if (event_json(&line, e, err))
		return -1;
	json_t *o = json_loads(buf_z(&line), 0, NULL);
	char *before = json_dumps(json_object_get(o, "before"), JSON_COMPACT | JSON_ENCODE_ANY);
	char *after = json_dumps(json_object_get(o, "after"), JSON_COMPACT | JSON_ENCODE_ANY);

	buf_addf(&f->text, "%s%s%llu:%s:%s", f->text.n ? " " : "",
		 json_string_value(json_object_get(o, "op")), (unsigned long long)e->pos.row,
		 before ? before : "-", after ? after : "-");
	free(before);
	free(after);
	json_decref(o);
	return 0;
}

/* The events of the file at `relative`, or of all files below it in the order of their names. */
static const char *records(struct fixture *f, const char *relative)
{
	char *command = xasprintf("find %s -name '*.avro' | LC_ALL=C sort", relative);
	char *names = xstrdup(shell(f, command)), *rest = names, *name;

	free(command);
	buf_clear(&f->text);
	while ((name = strsep(&rest, " ")) && *name) {
		char *path = xasprintf("%s/%s", f->set.path, name);

		if (event_file_read(path, false, f->h.tables, add_event, f, &f->err))
			broken("%s", f->err.text);
		free(path);
	}
	free(names);
	return buf_z(&f->text);
}

static struct ocf_file header(struct fixture *f, const char *relative)
{
	char *path = xasprintf("%s/%s", f->set.path, relative);
	struct ocf_file out;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	if (ocf_read_header(fd, &out, &f->err))
		broken("%s", f->err.text);
	close(fd);
	free(path);
	return out;
}

static const struct table *orders(struct fixture *f)
{
	return TABLE(&f->h, "public", "orders", 'd', C_KEY("id", COL_INT64, 1),
		     C("note", COL_TEXT));
}

static void put_order(struct fixture *f, const struct table *t, int64_t id)
{
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(id), V_TEXT("x"));
	put_commit(&f->h);
}

static void write_only(struct fixture *f)
{
	if (events_write(&f->h, f->sink, &f->err) != ERR_NONE)
		broken("%s", f->err.text);
}

#define ORDERS "public.orders/v1/erp-01-000000-0000000000001100-0000000000000002.avro"

/* --- records --- */

/* EDGE 5, 11, 21: one record for each change, two for a change of key; begin and commit are none. */
static void test_operations(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_TEXT("one"));
	put_read(&f->h, t, V_INT(2), V_NULL);
	put_update(&f->h, t, NULL, V_INT(1), V_ABSENT);
	put_update(&f->h, t, ROW(V_INT(1), V_ABSENT), V_INT(3), V_TEXT("moved"));
	put_delete(&f->h, t, V_INT(3), V_ABSENT);
	put_truncate(&f->h, t);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_string_equal(
		files(f), "public.orders/v1/erp-01-000000-0000000000001100-0000000000000002.avro");
	assert_string_equal(
		records(f, "public.orders"),
		"c2:null:{\"id\":1,\"note\":\"one\"} r3:null:{\"id\":2,\"note\":null} "
		"u4:null:{\"id\":1} d5:{\"id\":1}:null c5:null:{\"id\":3,\"note\":\"moved\"} "
		"d6:{\"id\":3}:null t7:null:null");
}

/* Behind a transaction, at its offset: no part of it, and in order with it and with the next chunk. */
static void test_a_chunk(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_order(f, t, 1);
	put_chunk(&f->h, STR("{}"));
	put_read(&f->h, t, V_INT(7), V_TEXT("seven"));
	put_commit(&f->h);
	put_chunk(&f->h, STR("{}"));
	put_read(&f->h, t, V_INT(8), V_TEXT("eight"));
	put_commit(&f->h);
	put_order(f, t, 2);
	events_deliver(&f->h, f->sink);
	assert_string_equal(files(f), ORDERS);
	assert_string_equal(records(f, "public.orders"),
			    "c2:null:{\"id\":1,\"note\":\"x\"} "
			    "r9223372036854775810:null:{\"id\":7,\"note\":\"seven\"} "
			    "r9223372036854775813:null:{\"id\":8,\"note\":\"eight\"} "
			    "c2:null:{\"id\":2,\"note\":\"x\"}");
	put_chunk(&f->h, STR("{}"));
	put_read(&f->h, t, V_INT(9), V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_string_equal(files(f),
			    ORDERS " public.orders/v1/"
				   "erp-01-000000-0000000000001200-8000000000000002.avro");
}

static void test_metadata_and_manifest(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	char print[32];
	struct str meta;

	put_order(f, t, 1);
	put_order(f, t, 2);
	events_deliver(&f->h, f->sink);

	struct ocf_file head = header(f, files(f));

	assert_string_equal(head.schema, t->schemas.envelope);
	assert_int_equal(head.codec, OCF_ZSTANDARD);
	assert_true(str_eqz(ocf_meta_find(&head, "tailrace.pipeline")->value, "erp"));
	assert_true(str_eqz(ocf_meta_find(&head, "tailrace.first")->value, "1/0/1100/2"));
	meta = ocf_meta_find(&head, "tailrace.last")->value;
	assert_int_equal(meta.n, 60);
	assert_memory_equal(meta.p, "1/0/1200/2 ", 11);
	assert_int_equal(strspn(meta.p + 10, " "), 50);
	ocf_file_release(&head);

	json_t *m = manifest(f);
	json_t *file = json_array_get(json_object_get(m, "files"), 0);
	char *size = xasprintf("stat -c %%s %s", json_string_value(json_object_get(file, "name")));

	assert_int_equal(json_integer_value(json_object_get(m, "fence")), 1);
	assert_string_equal(json_string_value(json_object_get(m, "position")), "1/0/1200/3");
	assert_string_equal(json_string_value(json_object_get(json_object_get(m, "resume"), "lsn")),
			    "0/16B3798");
	assert_int_equal(strlen(json_string_value(json_object_get(m, "time"))), 27);
	assert_int_equal(json_integer_value(json_object_get(file, "records")), 2);
	assert_int_equal(json_integer_value(json_object_get(file, "bytes")),
			 strtol(shell(f, size), NULL, 10));
	assert_string_equal(json_string_value(json_object_get(file, "first")), "1/0/1100/2");
	assert_string_equal(json_string_value(json_object_get(file, "last")), "1/0/1200/2");
	snprintf(print, sizeof print, "%016llx", (unsigned long long)t->schemas.fp_envelope);
	assert_string_equal(json_string_value(json_object_get(file, "fingerprint")), print);
	free(size);
	json_decref(m);
}

static void test_flat_format_and_codecs(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	f->set.format = FORMAT_FLAT;
	for (int codec = COMPRESSION_ZSTANDARD; codec <= COMPRESSION_NULL; codec++) {
		f->set.compression = codec;
		reopen(f);
		put_begin(&f->h);
		put_insert(&f->h, t, V_INT(codec), V_TEXT("x"));
		put_update(&f->h, t, ROW(V_INT(codec), V_ABSENT), V_INT(codec + 10), V_ABSENT);
		put_delete(&f->h, t, V_INT(codec + 10), V_ABSENT);
		put_commit(&f->h);
		events_deliver(&f->h, f->sink);
	}

	struct ocf_file head =
		header(f, "public.orders/v1/erp-01-000000-0000000000001200-0000000000000002.avro");

	assert_string_equal(head.schema, t->schemas.flat);
	assert_int_equal(head.codec, OCF_DEFLATE);
	ocf_file_release(&head);
	assert_string_equal(records(f, "*/v1/*1300-*"),
			    "c2:null:{\"id\":2,\"note\":\"x\"} d3:{\"id\":2}:null "
			    "c3:null:{\"id\":12} d4:{\"id\":12}:null");
}

/* EDGE 53 */
static void test_messages(void **state)
{
	struct fixture *f = *state;

	put_begin(&f->h);
	put_message(&f->h, STR("audit"), STR("\x01\x00\xff"));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_string_equal(files(f),
			    "erp.messages/v1/erp-01-000000-0000000000001100-0000000000000002.avro");
	assert_string_equal(records(f, "erp.messages"),
			    "m2:null:{\"prefix\":\"audit\",\"content\":\"AQD/\"}");
}

static void test_a_table_in_the_place_of_messages(void **state)
{
	struct fixture *f = *state;
	const struct table *t = TABLE(&f->h, "erp", "messages", 'd', C_KEY("id", COL_INT64, 1));

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1));
	assert_int_equal(events_write(&f->h, f->sink, &f->err), ERR_REJECT);
	assert_int_equal(f->err.item, 1);
}

/* EDGE 12, 40: each version and each table has its own folder; a / cannot stand in one. */
static void test_folders(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	const struct table *odd = TABLE(&f->h, "a/b", "../c d", 'd', C_KEY("id", COL_INT64, 1));

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL);

	const struct table *wider = TABLE(&f->h, "public", "orders", 'd', C_KEY("id", COL_INT64, 1),
					  C("note", COL_TEXT), C("x", COL_BOOL));

	put_insert(&f->h, wider, V_INT(2), V_NULL, V_BOOL(true));
	put_insert(&f->h, odd, V_INT(3));
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_string_equal(shell(f, "ls -d */v*; ls */v*/* | wc -l"),
			    "a_b..._c d/v1 public.orders/v1 public.orders/v2 3");
	assert_string_equal(records(f, "public.orders"),
			    "c2:null:{\"id\":1,\"note\":null} "
			    "c3:null:{\"id\":2,\"note\":null,\"x\":true}");
}

/* One event's transaction block, by the bytes of the record: order in the transaction and in the table. */
static void test_orders_in_transaction(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	const struct table *u = TABLE(&f->h, "public", "other", 'd', C_KEY("id", COL_INT64, 1));
	struct buf bytes = { 0 };
	struct ocf_codec_state *codec = ocf_codec_new(OCF_ZSTANDARD, 1);
	struct ocf_file head;
	uint64_t count, next;
	char *path;
	int fd;

	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL);
	put_insert(&f->h, u, V_INT(1));
	put_insert(&f->h, t, V_INT(2), V_NULL);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	head = header(f, ORDERS);
	path = xasprintf("%s/%s", f->set.path, ORDERS);
	fd = open(path, O_RDONLY);
	assert_int_equal(ocf_read_block(fd, &head, codec, head.header_size, 1 << 20, &bytes, &count,
					&next, &f->err),
			 1);
	assert_int_equal(count, 2);
	/* id "700:4352", total_order 3, data_collection_order 2, then four absent parts */
	static const char end[] = "\x02\x10"
				  "700:4352"
				  "\x06\x04\x00\x00\x00\x00";

	assert_memory_equal(bytes.p + bytes.n - (sizeof end - 1), end, sizeof end - 1);
	close(fd);
	free(path);
	buf_free(&bytes);
	ocf_codec_free(codec);
	ocf_file_release(&head);
}

/* --- commits --- */

static void test_nothing_shows_before_the_commit(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_order(f, t, 1);
	write_only(f);
	assert_string_equal(files(f), "");
	close_sink(f);
	assert_string_equal(files(f), "");
	open_sink(f);

	struct checkpoint at = { 0 };

	assert_int_equal(files_sink.load(f->sink, &at, &f->err), 0);
	assert_null(at.resume);
	put_order(f, t, 2);
	events_deliver(&f->h, f->sink);
	put_order(f, t, 3);
	write_only(f);
	reopen(f);
	assert_int_equal(f->fence, 3);
	assert_int_equal(files_sink.load(f->sink, &at, &f->err), 0);
	assert_int_equal(at.pos.offset, 0x1200);
	assert_string_equal(at.resume, "{\"lsn\":\"0/16B3798\"}");
	assert_string_equal(records(f, "."), "c2:null:{\"id\":2,\"note\":\"x\"}");
	checkpoint_release(&at);
}

static void test_checkpoint_lists(void **state)
{
	struct fixture *f = *state;
	struct checkpoint at = { 0 }, upto = events_checkpoint(&f->h);
	static char snapshot[] = "[\"public.a\"]", stopped[] = "{\"public.b\":\"1/0/1/2\"}";

	upto.snapshot = snapshot;
	upto.stopped = stopped;
	assert_int_equal(files_sink.commit(f->sink, &upto, &f->err), 0);
	reopen(f);
	assert_int_equal(files_sink.load(f->sink, &at, &f->err), 0);
	assert_string_equal(at.snapshot, snapshot);
	assert_string_equal(at.stopped, stopped);
	assert_string_equal(files(f), "");
	checkpoint_release(&at);
}

static void test_due(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	assert_false(files_sink.due(f->sink));
	f->set.roll_bytes = 300;
	put_begin(&f->h);
	put_insert(&f->h, t, V_INT(1), V_NULL);
	put_commit(&f->h);
	write_only(f);
	assert_false(files_sink.due(f->sink));
	put_order(f, t, 2);
	put_order(f, t, 3);
	put_order(f, t, 4);
	write_only(f);
	assert_true(files_sink.due(f->sink));
	events_deliver(&f->h, f->sink);
	assert_false(files_sink.due(f->sink));

	/* A heartbeat alone moves the manifest once in roll_interval. */
	events_put(&f->h, CHANGE_HEARTBEAT, NULL, NULL, NULL);
	write_only(f);
	assert_false(files_sink.due(f->sink));
	f->set.roll_interval = 1;
	usleep(2000);
	assert_true(files_sink.due(f->sink));
	events_deliver(&f->h, f->sink);

	json_t *m = manifest(f);

	assert_int_equal(json_array_size(json_object_get(m, "files")), 0);
	json_decref(m);
}

/* More tables than files may be open, and more than the buffers hold: each gets all of its rows in order. */
static void test_many_tables(void **state)
{
	struct fixture *f = *state;
	enum { TABLES = 200, ROUNDS = 40 };
	const struct table *t[TABLES];
	char name[32], note[1000];
	long open_files;

	memset(note, 'n', sizeof note);
	for (int i = 0; i < TABLES; i++) {
		snprintf(name, sizeof name, "t%03d", i);
		t[i] = TABLE(&f->h, "public", name, 'd', C_KEY("id", COL_INT64, 1),
			     C("note", COL_TEXT));
	}
	put_begin(&f->h);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < TABLES; i++)
			put_insert(&f->h, t[i], V_INT(round),
				   ((struct value){ .state = VALUE_SET,
						    .s = { note, sizeof note } }));
	write_only(f);
	open_files = strtol(shell(f, "ls -l /proc/$PPID/fd | grep -c '\\.tmp$'"), NULL, 10);
	assert_in_range(open_files, 32, 64);
	put_commit(&f->h);
	events_deliver(&f->h, f->sink);
	assert_string_equal(
		shell(f, "ls public.*/v1/*.avro | wc -l; ls -l /proc/$PPID/fd | grep -c '\\.tmp$'"),
		"200 0");
	for (int i = 0; i < TABLES; i += 33) {
		unsigned want = 0;
		const char *p;

		snprintf(name, sizeof name, "public.t%03d", i);
		for (p = records(f, name); (p = strstr(p, "{\"id\":")); want++) {
			p += strlen("{\"id\":");
			assert_int_equal(strtol(p, NULL, 10), want);
		}
		assert_int_equal(want, ROUNDS);
	}
}

/* --- recovery --- */

/* Killed between the manifest's rename and the files' renames: the open finishes them. */
static void test_unfinished_renames(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	struct checkpoint at = { 0 };

	put_order(f, t, 1);
	events_deliver(&f->h, f->sink);
	close_sink(f);
	shell(f, "mv " ORDERS " " ORDERS ".1.tmp");
	open_sink(f);
	assert_string_equal(files(f), ORDERS);
	assert_string_equal(records(f, "."), "c2:null:{\"id\":1,\"note\":\"x\"}");
	assert_int_equal(files_sink.load(f->sink, &at, &f->err), 0);
	assert_int_equal(at.pos.offset, 0x1100);
	checkpoint_release(&at);
	put_order(f, t, 2);
	events_deliver(&f->h, f->sink);
	assert_string_equal(records(f, "."),
			    "c2:null:{\"id\":1,\"note\":\"x\"} c2:null:{\"id\":2,\"note\":\"x\"}");
}

/* A file that was taken away after its commit is nobody's business any more. */
static void test_files_that_were_taken_away(void **state)
{
	struct fixture *f = *state;

	put_order(f, orders(f), 1);
	events_deliver(&f->h, f->sink);
	shell(f, "rm " ORDERS);
	reopen(f);
	assert_string_equal(files(f), "");
}

/* Leftovers of a killed process go; those of another pipeline in the same folder stay. */
static void test_leftovers(void **state)
{
	struct fixture *f = *state;

	put_order(f, orders(f), 1);
	events_deliver(&f->h, f->sink);
	shell(f, "cd public.orders/v1; for n in erp erp-x erp-00; do for s in .7.tmp .tmp; do "
		 "touch $n-01-000000-0000000000009900-0000000000000002.avro$s; done; done; "
		 "touch erp-notes.tmp ../erp-01-000000-0000000000009900-0000000000000002.avro.tmp");
	reopen(f);
	assert_string_equal(shell(f, "ls public.orders/v1 | grep -v '^erp-01.*avro$'"),
			    "erp-00-01-000000-0000000000009900-0000000000000002.avro.7.tmp "
			    "erp-00-01-000000-0000000000009900-0000000000000002.avro.tmp "
			    "erp-notes.tmp "
			    "erp-x-01-000000-0000000000009900-0000000000000002.avro.7.tmp "
			    "erp-x-01-000000-0000000000009900-0000000000000002.avro.tmp");
}

static void test_damaged_manifest(void **state)
{
	struct fixture *f = *state;

	put_order(f, orders(f), 1);
	events_deliver(&f->h, f->sink);
	close_sink(f);
	shell(f, "echo '{\"fence\":1,' > _tailrace/erp-lake.json");
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
	assert_non_null(strstr(f->err.text, "erp-lake.json is damaged"));
	shell(f, "echo '{\"fence\":1,\"files\":[{\"tmp\":\"/etc/x\",\"name\":\"../../y\"}]}' "
		 "> _tailrace/erp-lake.json");
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
	shell(f, "echo '{\"fence\":1,\"position\":\"1/0\",\"resume\":{},\"files\":[]}' "
		 "> _tailrace/erp-lake.json");
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
}

/* --- fence --- */

static void test_two_instances(void **state)
{
	struct fixture *f = *state;
	struct sink_context second = f->context;
	const struct table *t = orders(f);
	struct checkpoint upto;
	int64_t fence = 0;

	put_order(f, t, 1);
	events_deliver(&f->h, f->sink);
	put_order(f, t, 2);
	write_only(f);

	struct sink *other = files_sink.open(&second, &fence, &f->err);

	assert_non_null(other);
	assert_int_equal(fence, 2);
	upto = events_checkpoint(&f->h);

	/* Both write the same events; only the younger one's count. */
	assert_int_equal(files_sink.write(other, f->h.items, f->h.n, &f->err), 0);
	assert_int_equal(files_sink.commit(f->sink, &upto, &f->err), -1);
	assert_int_equal(error_exit(&f->err), EXIT_FENCED);
	close_sink(f);
	f->context.fenced = true;
	f->context.fence = 1;
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_FENCED);
	assert_int_equal(files_sink.commit(other, &upto, &f->err), 0);
	files_sink.close(other);
	assert_string_equal(records(f, "."),
			    "c2:null:{\"id\":1,\"note\":\"x\"} c2:null:{\"id\":2,\"note\":\"x\"}");
	second.fenced = true;
	second.fence = 2;
	other = files_sink.open(&second, &fence, &f->err);
	assert_non_null(other);
	assert_int_equal(fence, 2);
	files_sink.close(other);
	shell(f, "rm _tailrace/erp-lake.json");
	assert_null(files_sink.open(&second, &fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
}

/* Somebody is inside a commit: waited for, with its pid. */
static void test_lock(void **state)
{
	struct fixture *f = *state;
	char *path = xasprintf("%s/_tailrace/erp-lake.lock", f->set.path), pid[32];
	struct checkpoint upto = events_checkpoint(&f->h);
	int fd = open(path, O_RDWR);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(files_sink.commit(f->sink, &upto, &f->err), -1);
	assert_int_equal(f->err.kind, ERR_RETRY);
	snprintf(pid, sizeof pid, "pid %d", (int)getpid());
	assert_non_null(strstr(f->err.text, pid));
	close(fd);
	free(path);
	assert_int_equal(files_sink.commit(f->sink, &upto, &f->err), 0);
}

/* --- trouble --- */

static void test_one_folder_for_two_sinks(void **state)
{
	struct fixture *f = *state;

	f->other = f->set;
	f->sinks[1] =
		(struct sink_config){ .name = other_name, .type = &f->type, .settings = &f->other };
	f->config.nsinks = 2;
	close_sink(f);
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(error_exit(&f->err), EXIT_USAGE);
	assert_non_null(strstr(f->err.text, "pond"));
}

/* The file system takes no more after so many bytes of a file: nothing shows, and all of it does after that. */
static void test_writes_that_fail_anywhere(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);
	struct rlimit all, some;
	unsigned failures = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	f->set.compression = COMPRESSION_NULL;
	reopen(f);
	for (rlim_t limit = 0; limit < 4096; limit += 128) {
		struct checkpoint upto, at = { 0 };
		char *before;
		int rc;

		before = xstrdup(records(f, "."));
		put_order(f, t, (int64_t)limit);
		write_only(f);
		upto = events_checkpoint(&f->h);
		some = (struct rlimit){ .rlim_cur = limit, .rlim_max = all.rlim_max };
		setrlimit(RLIMIT_FSIZE, &some);
		rc = files_sink.commit(f->sink, &upto, &f->err);
		setrlimit(RLIMIT_FSIZE, &all);
		failures += rc != 0;
		reopen(f);
		assert_int_equal(files_sink.load(f->sink, &at, &f->err), 0);
		assert_int_equal(at.resume && position_cmp(&at.pos, &upto.pos) == 0, rc == 0);
		if (rc)
			assert_string_equal(records(f, "."), before);
		else
			assert_true(strlen(records(f, ".")) > strlen(before));
		checkpoint_release(&at);
		free(before);
	}
	assert_in_range(failures, 5, 31);
}

static void test_folder_removed_while_running(void **state)
{
	struct fixture *f = *state;
	const struct table *t = orders(f);

	put_order(f, t, 1);
	write_only(f);
	shell(f, "rm -rf ../lake");

	struct checkpoint upto = events_checkpoint(&f->h);

	assert_int_equal(files_sink.commit(f->sink, &upto, &f->err), -1);
	assert_int_not_equal(f->err.kind, ERR_NONE);
}

static void test_check(void **state)
{
	struct fixture *f = *state;
	static char file[] = "/proc/version", below[] = "/proc/version/x",
		    gone[] = "/tmp/not/yet/there";
	struct findings found = { 0 };
	char *path = f->set.path;

	assert_int_equal(files_sink.check(&f->context, &found, &f->err), 0);
	f->set.path = gone;
	assert_int_equal(files_sink.check(&f->context, &found, &f->err), 0);
	assert_int_equal(found.n, 0);
	f->set.path = file;
	assert_int_equal(files_sink.check(&f->context, &found, &f->err), 0);
	f->set.path = below;
	assert_int_equal(files_sink.check(&f->context, &found, &f->err), 0);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.items[1].object, "lake");
	assert_int_equal(found.items[1].severity, SEVERITY_ERROR);
	close_sink(f);
	assert_null(files_sink.open(&f->context, &f->fence, &f->err));
	assert_int_equal(f->err.kind, ERR_FATAL);
	findings_free(&found);
	f->set.path = path;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_operations),
		T(test_a_chunk),
		T(test_metadata_and_manifest),
		T(test_flat_format_and_codecs),
		T(test_messages),
		T(test_a_table_in_the_place_of_messages),
		T(test_folders),
		T(test_writes_that_fail_anywhere),
		T(test_orders_in_transaction),
		T(test_nothing_shows_before_the_commit),
		T(test_checkpoint_lists),
		T(test_due),
		T(test_many_tables),
		T(test_unfinished_renames),
		T(test_files_that_were_taken_away),
		T(test_leftovers),
		T(test_damaged_manifest),
		T(test_two_instances),
		T(test_lock),
		T(test_one_folder_for_two_sinks),
		T(test_folder_removed_while_running),
		T(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
