/*
 * test_config.c - whole configurations: what is taken, what is refused and with which words
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../sinks/settings.h"
#include "log.h"
#include "source.h"

#undef fail /* cmocka has its own */
#include <cmocka.h>

#define PIPELINE "[pipeline]\nname = erp\n"
#define SOURCE   "[source]\ntype = postgres\nurl = postgresql://u@h/d\ntables = public.*\n"
#define SINK     "[sink copy]\ntype = sqlite\npath = /tmp/x.db\n"
#define GOOD     PIPELINE SOURCE SINK

static struct error err;

static struct config *parse(const char *text)
{
	memset(&err, 0, sizeof err);
	return config_parse("a.conf", str_z(text), &err);
}

static struct config *must(const char *text)
{
	struct config *c = parse(text);

	if (!c)
		fail_msg("refused: %s", err.text);
	return c;
}

static void refused(const char *text, const char *message)
{
	struct config *c = parse(text);

	if (c)
		fail_msg("taken, not refused with: %s", message);
	assert_string_equal(err.text, message);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
}

static void refused_with(const char *text, const char *part)
{
	struct config *c = parse(text);

	if (c || !strstr(err.text, part))
		fail_msg("'%s' has no '%s'", c ? "taken" : err.text, part);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
}

static void defaults(void **state)
{
	struct config *c = must(GOOD);

	(void)state;
	assert_string_equal(c->path, "a.conf");
	assert_string_equal(c->pipeline.name, "erp");
	assert_string_equal(c->pipeline.state_dir, "/var/lib/tailrace/erp");
	assert_int_equal(c->pipeline.memory, 64 << 20);
	assert_int_equal(c->pipeline.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->pipeline.stop_timeout, 30000000);
	assert_string_equal(source_types[c->source.type].name, "postgres");
	assert_string_equal(c->source.slot, "tailrace_erp");
	assert_string_equal(c->source.publication, "tailrace_erp");
	assert_null(c->source.password);
	assert_int_equal(c->source.ack, ACK_SINK);
	assert_int_equal(c->source.on_error, ON_ERROR_STOP);
	assert_int_equal(c->source.retain_max, INT64_C(10) << 30);
	assert_int_equal(c->source.max_row, 256 << 20);
	assert_int_equal(c->snapshot.mode, SNAPSHOT_INITIAL);
	assert_int_equal(c->spool.sync, 100000);
	assert_int_equal(c->spool.sync_bytes, 8 << 20);
	assert_int_equal(c->spool.segment, 64 << 20);
	assert_int_equal(c->spool.keep, INT64_C(86400000000));
	assert_int_equal(c->spool.on_full, ON_FULL_HOLD);
	assert_string_equal(c->http.listen, "127.0.0.1:8917");
	assert_int_equal(c->nsinks, 1);
	assert_string_equal(c->sinks[0].name, "copy");
	assert_string_equal(c->sinks[0].type->name, "sqlite");
	assert_string_equal(c->sinks[0].tables.items[0], "*");
	const struct sqlite_settings *s = c->sinks[0].settings;

	assert_string_equal(s->path, "/tmp/x.db");
	assert_int_equal(s->evolve, EVOLVE_ADD);
	assert_int_equal(s->deletes, DELETES_APPLY);
	assert_string_equal(s->table, "{table}");
	config_free(c);
}

static void values_reach_their_fields(void **state)
{
	struct config *c = must(
		"[pipeline]\nname = a-b\nstate_dir = /x\nlog_format = json\nowner = me\n"
		"[source]\ntype = postgres\nurl = postgres://h/d\ntables = a, !b\nack = spool\n"
		"invalid_bytes = replace\nheartbeat = 0\npassword = \"p\\\"w\" ; c\n"
		"[spool]\nmax_bytes = 1MB\non_full = detach\n"
		"[snapshot]\nmode = never\nchunk_rows = 5\n"
		"[http]\nlisten = unix:/run/x.sock\n"
		"[table public.*]\n"
		"[sink f]\ntype = files\npath = /lake\nformat = flat\nroll_bytes = 1MB\n"
		"roll_interval = 500ms\ncompression = null\ntables = a.b, c\n"
		"[sink s]\ntype = sqlite\npath = s.db\ndeletes = soft\nunrepresentable = text\n");

	(void)state;
	assert_string_equal(c->source.slot, "tailrace_a_b"); /* a slot's name has no - */
	assert_string_equal(c->source.publication, "tailrace_a-b");
	assert_string_equal(c->source.password, "p\"w");
	assert_int_equal(c->source.tables.n, 2);
	assert_int_equal(c->source.ack, ACK_SPOOL);
	assert_int_equal(c->source.invalid_bytes, INVALID_BYTES_REPLACE);
	assert_int_equal(c->source.heartbeat, 0);
	assert_int_equal(c->pipeline.log_format, LOG_FORMAT_JSON);
	assert_int_equal(c->spool.on_full, ON_FULL_DETACH);
	assert_int_equal(c->spool.segment, 256 << 10); /* a small spool has small segments */
	assert_int_equal(c->snapshot.mode, SNAPSHOT_NEVER);
	assert_int_equal(c->ntables, 1);
	assert_string_equal(c->tables[0].pattern, "public.*");
	const struct files_settings *f = c->sinks[0].settings;

	assert_string_equal(f->path, "/lake");
	assert_int_equal(f->format, FORMAT_FLAT);
	assert_int_equal(f->roll_bytes, 1 << 20);
	assert_int_equal(f->roll_interval, 500000);
	assert_int_equal(f->compression, COMPRESSION_NULL);
	assert_int_equal(c->sinks[0].tables.n, 2);
	const struct sqlite_settings *s = c->sinks[1].settings;

	assert_int_equal(s->deletes, DELETES_SOFT);
	assert_int_equal(s->unrepresentable, UNREPRESENTABLE_TEXT);
	config_free(c);
}

static void unknown_names_are_named_with_the_nearest(void **state)
{
	(void)state;
	refused(GOOD "[spol]\nsync = 1s\n",
		"a.conf:10: there is no section [spol]: the nearest is [spool]; `tailrace options` "
		"lists them");
	refused(GOOD "[spool]\nsegmnt = 1MB\n",
		"a.conf:11: [spool] has no key segmnt: the nearest is segment; `tailrace options` "
		"lists them");
	refused(GOOD "compresion = null\n",
		"a.conf:10: [sink copy] has no key compresion; `tailrace options` lists them");
	refused(GOOD "evolv = none\n", "a.conf:10: [sink copy] has no key evolv: the nearest is "
				       "evolve; `tailrace options` "
				       "lists them");
	refused(GOOD "[sink a]\ntype = file\n", "a.conf:11: [sink a] type = file is not known: the "
						"nearest is files; it takes kafka, "
						"postgres, mysql, sqlite, files");
	refused_with(GOOD "[zzzzzzzz]\n", "a.conf:10: there is no section [zzzzzzzz]; ");
}

static void mistakes_name_the_line(void **state)
{
	(void)state;
	refused(GOOD "[spool]\nsync = 5\n", "a.conf:11: [spool]: sync = 5 is not a time with its "
					    "unit, such as 10s (us, ms, s, m, "
					    "h, d)");
	refused(GOOD "[spool]\ncompression_level = 20\n",
		"a.conf:11: [spool]: compression_level = 20 is too large: at most 19");
	refused(GOOD "deletes = hide\n", "a.conf:10: [sink copy]: deletes = hide is not known: it "
					 "takes apply, soft, ignore");
	refused(GOOD "[sink copy]\n", "a.conf:10: section [sink copy] stands in line 7 already");
	refused_with(GOOD "[sink]\ntype = files\n", "a.conf:10: a sink has a name");
	refused_with(GOOD "[sink A]\ntype = files\n", "[sink copy], not [sink A]");
	refused_with(GOOD "[sink a]\n", "a.conf:10: [sink a] needs type");
	refused_with(GOOD "[sink a]\ntype = files\n", "a.conf:10: [sink a] needs path");
	refused_with(GOOD "[table]\n", "a.conf:10: [table] needs a pattern");
	refused_with(GOOD "[spool x]\n", "a.conf:10: section [spool] takes no name");
	refused_with("[pipeline]\nname = Erp\n" SOURCE SINK, "a.conf:2: [pipeline] name = Erp");
	refused_with("[pipeline]\nname = a123456789b123456789c123456789d1234567890\n" SOURCE SINK,
		     "1 to 40");
	refused_with("[pipeline]\n" SOURCE SINK, "a.conf:1: [pipeline] needs name");
	refused_with("[pipeline]\nname =\n" SOURCE SINK, "a.conf:1: [pipeline] needs name");
	refused_with(SOURCE SINK, "a.conf: there is no section [pipeline]");
	refused_with(PIPELINE SINK, "a.conf: there is no section [source]");
	refused_with(PIPELINE SOURCE, "a.conf: there is no sink");
	refused_with("", "a.conf: there is no section [pipeline]");
	refused_with(PIPELINE "[source]\ntype = postgres\ntables = x\n" SINK,
		     "a.conf:3: [source] needs url");
	refused_with(PIPELINE "[source]\ntype = postgres\nurl = postgresql://h\n" SINK,
		     "[source] needs tables");
	refused_with(PIPELINE "[source]\nurl = postgresql://h\ntables = x\n" SINK,
		     "[source] needs type");
	refused_with(GOOD "[sink b]\ntype = sqlite\npath = /tmp/x.db\n", "same path /tmp/x.db");
	refused_with(GOOD "[sink b]\ntype = \"files\n", "a.conf:11: [sink b]: type: the double");
	refused_with("[pipeline]\nname = erp\nmemory = 1\n", "a.conf:3: [pipeline]: memory = 1");
	refused_with(PIPELINE "[source]\ntype = postgres\nurl = db1\ntables = x\n" SINK,
		     "a.conf:5: [source] url does not begin with");
	refused_with(PIPELINE SOURCE
		     "publication = a123456789b123456789c123456789d123456789e12345678"
		     "9f123456789g123\n" SINK,
		     "a.conf:7: [source] publication is longer");
	refused_with(PIPELINE SOURCE "slot = Abc\n" SINK, "a.conf:7: [source] slot = Abc");
}

static void a_secret_is_never_printed(void **state)
{
	(void)state;
	refused_with(PIPELINE
		     "[source]\ntype = postgres\nurl = http://u:hunter2@h\ntables = x\n" SINK,
		     "a.conf:5: [source] url does not begin with postgresql://");
	assert_null(strstr(err.text, "hunter2"));
	refused_with(GOOD "[http]\ntoken = \"hunter2\n", "not closed");
	assert_null(strstr(err.text, "hunter2"));
}

static void what_passes_through(void **state)
{
	static const char lake[] = GOOD "[sink lake]\ntype = kafka\nbrokers = k1:9092\n";
	AUTO(free)
	char *good = xasprintf("%slibrdkafka.linger.ms = 7\n"
			       "librdkafka.sasl.password = \"a ; b\"\n",
			       lake);
	AUTO(free) char *refused_one = xasprintf("%slibrdkafka.acks = 1\n", lake);
	AUTO(free) char *unknown = xasprintf("%slibrdkafka.x.y = z\n", lake);
	AUTO(free) char *other = xasprintf("%slibrdkafka.linger.ms = 8\n", lake);
	AUTO(buf) struct buf reloaded = { 0 }, restart = { 0 };
	struct config *c = must(good), *d = must(other);

	(void)state;
	assert_int_equal(c->sinks[1].npassed, 2);
	assert_string_equal(c->sinks[1].passed[0].name, "linger.ms");
	assert_string_equal(c->sinks[1].passed[0].value, "7");
	assert_string_equal(c->sinks[1].passed[1].value, "a ; b");
	config_changes(c, d, &reloaded, &restart);
	assert_string_equal(buf_z(&restart), "[sink lake] librdkafka.");
	config_free(c);
	config_free(d);
	refused_with(refused_one, "a.conf:13: [sink lake]: librdkafka.acks is not to be set");
	refused_with(unknown, "a.conf:13: [sink lake]: librdkafka.x.y: No such configuration");
}

static void what_has_no_code_is_refused_by_name(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "[sink w]\ntype = mysql\nurl = mysql://h\n",
		  "a.conf:11: [sink w] type = mysql is not available in this version; available: "
		  "kafka, postgres, sqlite, files" },
		{ "evolve = follow\n", "a.conf:10: [sink copy] evolve = follow is not available in "
				       "this version; available: none, add" },
		{ "history = on\n", "a.conf:10: [sink copy] history = on is not available in this "
				    "version; available: off" },
		{ "schema = s\n", "a.conf:10: [sink copy] schema = s is not available in this "
				  "version; leave it out" },
		{ "on_reload = snapshot\n", "a.conf:10: [sink copy] on_reload = snapshot is not "
					    "available in this version; available: stop" },
		{ "[registry]\nurl = http://r:8081\n", "a.conf:11: [registry] url = http://r:8081 "
						       "is not available in this version; leave "
						       "it out" },
		{ "[quarantine]\ntopic = q\n", "a.conf:11: [quarantine] topic = q is not available "
					       "in this version; leave it out" },
		{ "[quarantine]\nmax_bytes = 2GB\n",
		  "a.conf:11: [quarantine] max_bytes = 2GB is not available in this version; "
		  "available: 1GB" },
	};
	static const char *const table_keys[] = { "columns", "hash", "mask",   "truncate",
						  "key",     "name", "rename", "classify" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(free) char *text = xasprintf("%s%s", GOOD, cases[i].text);

		refused(text, cases[i].message);
	}
	for (size_t i = 0; i < COUNT(table_keys); i++) {
		AUTO(free) char *text = xasprintf("%s[table a.b]\n%s = x\n", GOOD, table_keys[i]);
		AUTO(free)
		char *message =
			xasprintf("a.conf:11: [table a.b] %s = x is not available in this version; "
				  "leave it out",
				  table_keys[i]);

		refused(text, message);
	}
	refused(PIPELINE SOURCE "on_error = \"quarantine\"\n" SINK,
		"a.conf:7: [source] on_error = \"quarantine\" is not available in this version; "
		"available: stop");
	refused(PIPELINE "[source]\ntype = mysql\nurl = postgresql://h\ntables = x\n" SINK,
		"a.conf:5: [source] url does not begin with mysql://");
	/* A misspelt key is named before what has no code. */
	refused_with(PIPELINE SOURCE SINK "history = on\n[snapshot]\nworker = 2\n",
		     "no key worker");
}

/* Every key with a default, set to it: nothing is refused. */
static void defaults_are_never_refused(void **state)
{
	AUTO(buf) struct buf text = { 0 };

	(void)state;
	for (const struct section *s = sections; s->name; s++) {
		buf_addf(&text, "[%s]\n", s->name);
		if (strcmp(s->name, "pipeline") == 0)
			buf_adds(&text, "name = erp\n");
		if (strcmp(s->name, "source") == 0)
			buf_adds(&text, "type = postgres\nurl = postgresql://h/d\ntables = x\n");
		for (const struct option *o = s->options; o->name; o++)
			if (!(o->flags & OPTION_REQUIRED))
				buf_addf(&text, "%s = %s\n", o->name, o->initial ? o->initial : "");
	}
	for (const struct sink_type *t = sink_types; t->name; t++) {
		if (!t->ops)
			continue;
		buf_addf(&text, "[sink %s]\ntype = %s\ntables = *\n", t->name, t->name);
		for (const struct option *o = t->options; o->name; o++)
			if (o->flags & OPTION_REQUIRED)
				buf_addf(&text, "%s = /%s\n", o->name, t->name);
			else if (o->initial || o->type == OPTION_STRING || o->type == OPTION_LIST)
				buf_addf(&text, "%s = %s\n", o->name, o->initial ? o->initial : "");
	}
	buf_adds(&text, "[table a.b]\n");
	for (const struct option *o = table_options; o->name; o++)
		buf_addf(&text, "%s =\n", o->name);
	config_free(must(buf_z(&text)));
}

static void http_listen(void **state)
{
	static const char *const good[] = { "off",         "localhost:80", "127.0.0.2:0",
					    "[::1]:65535", "unix:/x y",    "127.0.0.1:8917" };
	static const char *const bad[] = { "8917",   ":80",          "h:65536",    "h:x",
					   "unix:x", "127.0.0.1:8x", "127.0.0.1:", "\"\"" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		AUTO(free) char *text = xasprintf("%s[http]\nlisten = %s\n", GOOD, good[i]);

		config_free(must(text));
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		AUTO(free) char *text = xasprintf("%s[http]\nlisten = %s\n", GOOD, bad[i]);

		refused_with(text, "is not host:port");
	}
	refused_with(GOOD "[http]\nlisten = 0.0.0.0:80\n", "set a token");
	refused_with(GOOD "[http]\nlisten = 127.0.0.1.example.org:80\n", "set a token");
	config_free(must(GOOD "[http]\nlisten = 0.0.0.0:80\ntoken = t\n"));
}

/* What config_load() writes to stderr for a file with this text and mode; "" is nothing. */
static char *load(const char *text, mode_t mode, struct config **c)
{
	char path[] = "/tmp/test_config.XXXXXX", log[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path), out = mkstemp(log), keep = dup(STDERR_FILENO);
	static char got[4096];
	ssize_t n = (ssize_t)strlen(text);

	assert_true(fd >= 0 && out >= 0 && keep >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	dup2(out, STDERR_FILENO);
	memset(&err, 0, sizeof err);
	*c = config_load(path, &err);
	dup2(keep, STDERR_FILENO);
	n = pread(out, got, sizeof got - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	close(fd);
	close(out);
	close(keep);
	unlink(path);
	unlink(log);
	return got;
}

static void a_readable_secret_is_a_warning(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		bool warns;
	} cases[] = {
		{ PIPELINE SOURCE "password = x\n" SINK, 0644, true },
		{ PIPELINE SOURCE "password = x\n" SINK, 0640, false },
		{ PIPELINE SOURCE "password = ${HOME}\n" SINK, 0644, false },
		{ PIPELINE SOURCE "password = file:/dev/null\n" SINK, 0644, false },
		{ GOOD, 0644, false },
		{ GOOD "[http]\ntoken = \"x\"\n", 0644, true },
		{ PIPELINE "hash_key = k\n" SOURCE SINK, 0604, true },
		{ PIPELINE
		  "[source]\ntype = postgres\ntables = x\nurl = postgresql://u:p@h/d\n" SINK,
		  0644, true },
		{ PIPELINE "[source]\ntype = postgres\ntables = x\nurl = "
			   "postgresql://u:${HOME}@h/d\n" SINK,
		  0644, false },
		{ PIPELINE "[source]\ntype = postgres\ntables = x\nurl = "
			   "postgresql://u@h:5432/d?password=p\n" SINK,
		  0644, true },
		{ PIPELINE "[source]\ntype = postgres\ntables = x\nurl = "
			   "postgresql://h:5432/d@x\n" SINK,
		  0644, false },
	};

	(void)state;
	setenv("HOME", "/", 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *c;
		const char *log = load(cases[i].text, cases[i].mode, &c);

		if (!c)
			fail_msg("%s", err.text);
		if ((strstr(log, "level=warning") != NULL) != cases[i].warns)
			fail_msg("%zu: %s", i, log);
		config_free(c);
	}
}

/* The file that holds the secret counts as well. */
static void a_readable_password_file_is_a_warning(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	AUTO(free) char *text = xasprintf("%s[http]\ntoken = file:%s\n", GOOD, path);
	struct config *c;

	(void)state;
	assert_int_equal(write(fd, "t\n", 2), 2);
	assert_null(strstr(load(text, 0644, &c), "level="));
	assert_string_equal(c->http.token, "t");
	config_free(c);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_non_null(strstr(load(text, 0644, &c), "level=warning"));
	config_free(c);
	close(fd);
	unlink(path);
}

static void a_huge_file_is_refused(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)65 << 20), 0);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, "is larger than 64 MB"));
	close(fd);
	unlink(path);
}

static void the_file_must_be_there(void **state)
{
	(void)state;
	assert_null(config_load("/nonexistent/tailrace.conf", &err));
	assert_string_equal(err.text,
			    "cannot open the configuration /nonexistent/tailrace.conf: No "
			    "such file or directory");
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_null(config_load("/", &err));
	assert_non_null(strstr(err.text, "cannot read the configuration /"));
	config_free(NULL);
}

static void values_of_a_megabyte(void **state)
{
	size_t n = 1 << 20;
	AUTO(free) char *x = xmalloc(n + 1);

	(void)state;
	memset(x, 'x', n);
	x[n] = '\0';
	AUTO(free) char *text = xasprintf("%s[table %s]\n[http]\ntoken = \"%s\"\n", GOOD, x, x);
	struct config *c = must(text);

	assert_int_equal(strlen(c->http.token), n);
	assert_int_equal(strlen(c->tables[0].pattern), n);
	config_free(c);
	AUTO(free) char *key = xasprintf("%s%s = 1\n", GOOD, x);

	refused_with(key, "a.conf:10: [sink copy] has no key xxx");
}

static void changes_are_named(void **state)
{
	static const struct {
		const char *text, *reloaded, *restart;
	} cases[] = {
		{ GOOD "[spool]\nkeep = 24h\n", "", "" },
		{ PIPELINE "log_level = debug\nlog_format = json\n" SOURCE SINK,
		  "[pipeline] log_level, [pipeline] log_format", "" },
		{ PIPELINE "owner = x\n" SOURCE "password = p\n" SINK "tables = a, b\n"
			   "deletes = ignore\n[spool]\nkeep = 1h\n",
		  "",
		  "[pipeline] owner, [source] password, [spool] keep, [sink copy] tables, "
		  "[sink copy] deletes" },
		{ GOOD "[sink more]\ntype = files\npath = /x\n", "", "[sink more]" },
		{ PIPELINE SOURCE "[sink copy]\ntype = files\npath = /x\n", "", "[sink copy]" },
		{ PIPELINE SOURCE "[sink b]\ntype = sqlite\npath = /tmp/x.db\n", "",
		  "[sink copy], [sink b]" },
	};
	struct config *running = must(GOOD);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *fresh = must(cases[i].text);
		AUTO(buf) struct buf reloaded = { 0 }, restart = { 0 };

		config_changes(running, fresh, &reloaded, &restart);
		assert_string_equal(buf_z(&reloaded), cases[i].reloaded);
		assert_string_equal(buf_z(&restart), cases[i].restart);
		config_free(fresh);
	}
	config_free(running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values_reach_their_fields),
		cmocka_unit_test(unknown_names_are_named_with_the_nearest),
		cmocka_unit_test(mistakes_name_the_line),
		cmocka_unit_test(a_secret_is_never_printed),
		cmocka_unit_test(what_passes_through),
		cmocka_unit_test(what_has_no_code_is_refused_by_name),
		cmocka_unit_test(defaults_are_never_refused),
		cmocka_unit_test(http_listen),
		cmocka_unit_test(a_readable_secret_is_a_warning),
		cmocka_unit_test(a_readable_password_file_is_a_warning),
		cmocka_unit_test(a_huge_file_is_refused),
		cmocka_unit_test(the_file_must_be_there),
		cmocka_unit_test(values_of_a_megabyte),
		cmocka_unit_test(changes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
