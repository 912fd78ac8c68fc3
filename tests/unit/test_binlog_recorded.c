/*
 * test_binlog_recorded.c - whole binlog files of real servers (tests/data/binlog): every event is what the vendor's
 * tool saw, GTIDs add up to what the server said it had, table maps say what information_schema says
 * (EDGE 59, 69, 79, 80, 107, 108, 109, 113, 115, 116)
 */
#include "binlog_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "../../sources/binlog_file.h"
#include "../../sources/binlog_gtid.h"
#include "../../sources/binlog_map.h"
#include "../../sources/mysql_charset.h"

#define FOLDER "tests/data/binlog"

/* A file on its way. */
struct recorded {
	const char *name;
	struct binlog_format format;
	struct gtid_set *set;
	json_t *truth;
	char *printed; /* what the vendor's tool says; NULL: was not kept */
	size_t events, maps;
	struct arena arena;
};

static size_t all_events, all_maps, all_columns, all_sets, all_printed;

/* NULL: there is no such file. */
static char *read_zst(const char *path, size_t *n)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	AUTO(free) char *packed = xmalloc((size_t)st.st_size);

	assert_int_equal(read(fd, packed, (size_t)st.st_size), st.st_size);
	unsigned long long size = ZSTD_getFrameContentSize(packed, (size_t)st.st_size);

	assert_true(size < 1u << 30);
	char *p = xmalloc(size + 1);

	*n = ZSTD_decompress(p, size, packed, (size_t)st.st_size);
	assert_int_equal(*n, size);
	p[size] = '\0';
	return p;
}

#define MUST(call)                                                                                 \
	do {                                                                                       \
		if (call)                                                                          \
			FAIL("%s: %s", r->name, err.text);                                         \
	} while (0)

/* --- table maps against information_schema --- */

static json_t *truth_of(const struct recorded *r, const struct binlog_map *m)
{
	json_t *t;
	size_t i;

	json_array_foreach(json_object_get(r->truth, "tables"), i, t)
	{
		json_t *columns = json_object_get(t, "columns"), *c;
		size_t k;

		if (!str_eqz(m->name, json_string_value(json_object_get(t, "table"))) ||
		    !str_eqz(m->db, json_string_value(json_object_get(t, "schema"))) ||
		    json_array_size(columns) != m->ncolumns)
			continue;
		json_array_foreach(columns, k, c)
		{
			if (!str_eqz(m->columns[k].name,
				     json_string_value(json_object_get(c, "name"))))
				return NULL; /* it was altered later */
		}
		return t;
	}
	return NULL;
}

static bool is_number(uint8_t type)
{
	return type == MYSQL_TINY || type == MYSQL_SHORT || type == MYSQL_INT24 ||
	       type == MYSQL_LONG || type == MYSQL_LONGLONG || type == MYSQL_NEWDECIMAL ||
	       type == MYSQL_FLOAT || type == MYSQL_DOUBLE;
}

/* 'a','it''s' of the type's text, against labels in the column's character set. */
static void check_labels(const struct recorded *r, const struct binlog_map_column *c,
			 const char *full)
{
	AUTO(buf) struct buf text = { 0 };
	struct arena a = { 0 };

	for (size_t i = 0; i < c->nlabels; i++) {
		struct str label = c->labels[i];

		if (c->collation != 63)
			charset_to_utf8(charset_by_collation(c->collation), c->labels[i], &a,
					&label);
		buf_adds(&text, i ? "','" : "('");
		for (size_t k = 0; k < label.n; k++) {
			if (label.p[k] == '\'' || label.p[k] == '\\')
				buf_addc(&text, label.p[k]);
			buf_addc(&text, label.p[k]);
		}
	}
	buf_adds(&text, "')");
	if (!strstr(full, buf_z(&text)))
		FAIL("%s: %.*s: %s, not %s", r->name, STR_FMT(c->name), buf_z(&text), full);
	arena_free(&a);
}

static void check_column(const struct recorded *r, const struct binlog_map *m, size_t i,
			 json_t *truth)
{
	const struct binlog_map_column *c = &m->columns[i];
	const char *full = json_string_value(json_object_get(truth, "full"));
	const char *charset = json_string_value(json_object_get(truth, "charset"));
	const char *type = json_string_value(json_object_get(truth, "type"));

	if (c->nullable != json_is_true(json_object_get(truth, "nullable")))
		FAIL("%s: %.*s.%.*s nullable %d", r->name, STR_FMT(m->name), STR_FMT(c->name),
		     c->nullable);
	if (m->has_signedness && is_number(c->type) &&
	    c->is_unsigned !=
		    (strstr(full, "unsigned") != NULL || strstr(full, "zerofill") != NULL))
		FAIL("%s: %.*s.%.*s unsigned %d, %s", r->name, STR_FMT(m->name), STR_FMT(c->name),
		     c->is_unsigned, full);
	bool labelled = c->type == MYSQL_ENUM || c->type == MYSQL_SET;

	if (charset && strcmp(type, "json") != 0 &&
	    (labelled ? m->has_label_charset : m->has_charset)) {
		const struct charset *known = charset_by_collation(c->collation);
		const char *name = strcmp(charset, "utf8") == 0 ? "utf8mb3" : charset;

		if (strcmp(name, "binary") == 0 ? c->collation != 63
						: !known || strcmp(charset_name(known), name) != 0)
			FAIL("%s: %.*s.%.*s collation %u, not %s", r->name, STR_FMT(m->name),
			     STR_FMT(c->name), c->collation, charset);
	}
	if (labelled && m->has_labels && m->has_label_charset)
		check_labels(r, c, full);
	if (m->has_visibility &&
	    c->invisible != (strstr(json_string_value(json_object_get(truth, "extra")),
				    "INVISIBLE") != NULL))
		FAIL("%s: %.*s.%.*s invisible %d", r->name, STR_FMT(m->name), STR_FMT(c->name),
		     c->invisible);
	all_columns++;
}

/* Without a primary key the servers take the first UNIQUE index whose columns are all NOT NULL. */
static void check_key(const struct recorded *r, const struct binlog_map *m, json_t *key)
{
	size_t n = 0;

	for (size_t i = 0; i < m->ncolumns; i++) {
		const struct binlog_map_column *c = &m->columns[i];
		json_t *name = json_array_get(key, (size_t)c->key - 1);

		n += c->key != 0;
		if (c->key && (c->nullable || (name && !str_eqz(c->name, json_string_value(name)))))
			FAIL("%s: key of %.*s: %.*s", r->name, STR_FMT(m->name), STR_FMT(c->name));
	}
	if (json_array_size(key) && n != json_array_size(key))
		FAIL("%s: key of %.*s has %zu columns", r->name, STR_FMT(m->name), n);
}

static void check_map(struct recorded *r, const struct binlog_event *e)
{
	struct binlog_map m, peek;
	struct error err = { 0 };
	json_t *c;
	size_t i;

	MUST(binlog_map_parse(e, &r->format, &r->arena, &m, &err));
	MUST(binlog_map_peek(e, &r->format, &peek, &err));
	assert_true(str_eq(m.content, peek.content) && m.id == peek.id);
	r->maps++;
	json_t *truth = m.has_names ? truth_of(r, &m) : NULL;

	if (!truth)
		return;
	json_array_foreach(json_object_get(truth, "columns"), i, c)
	{
		check_column(r, &m, i, c);
	}
	if (m.has_key)
		check_key(r, &m, json_object_get(truth, "key"));
}

/* --- every event --- */

static void check_event(struct recorded *r, const struct binlog_event *e);

static void check_payload(struct recorded *r, const struct binlog_event *e)
{
	struct error err = { 0 };
	struct binlog_payload *p = binlog_payload_open(e, 1 << 24, &err);
	struct binlog_event inner;
	int more;

	MUST(!p);
	while ((more = binlog_payload_next(p, &inner, &err)) > 0)
		check_event(r, &inner);
	MUST(more);
	binlog_payload_close(p);
}

static void check_gtid(struct recorded *r, const struct binlog_event *e)
{
	struct binlog_gtid g;
	struct error err = { 0 };

	MUST(binlog_gtid_parse(e, &g, &err));
	if (!g.anonymous)
		gtid_set_add(r->set, &g.gtid);
}

static void check_rows(struct recorded *r, const struct binlog_event *e)
{
	struct binlog_rows rows;
	struct error err = { 0 };

	MUST(binlog_rows_parse(e, &r->format, &r->arena, 1 << 24, &rows, &err));
	assert_true(rows.ncolumns > 0 && rows.rows.n > 0);
}

static void check_event(struct recorded *r, const struct binlog_event *e)
{
	struct binlog_query q;
	struct binlog_rotate rotate;
	struct binlog_xid xid;
	struct str text;
	struct error err = { 0 };

	r->events++;
	switch (e->type) {
	case BINLOG_FORMAT:
		MUST(binlog_format_parse(e, &r->format, &err));
		break;
	case BINLOG_QUERY:
	case BINLOG_QUERY_COMPRESSED:
		MUST(binlog_query_parse(e, &r->arena, 1 << 24, &q, &err));
		assert_true(q.has_sql_mode && q.charset && q.sql.n);
		break;
	case BINLOG_TABLE_MAP:
		check_map(r, e);
		break;
	case BINLOG_GTID:
	case BINLOG_ANONYMOUS_GTID:
	case BINLOG_GTID_TAGGED:
	case BINLOG_MARIA_GTID:
		check_gtid(r, e);
		break;
	case BINLOG_PREVIOUS_GTIDS:
	case BINLOG_GTID_LIST:
		MUST(gtid_set_add_event(r->set, e, &err));
		break;
	case BINLOG_ROTATE:
		MUST(binlog_rotate_parse(e, &rotate, &err));
		break;
	case BINLOG_ROWS_QUERY:
	case BINLOG_ANNOTATE:
		MUST(binlog_rows_query_parse(e, &text, &err));
		break;
	case BINLOG_XA_PREPARE:
		MUST(binlog_xa_prepare_parse(e, &xid, &err));
		break;
	case BINLOG_PAYLOAD:
		check_payload(r, e);
		break;
	case BINLOG_XID:
		assert_int_equal(e->body.n, 8);
		break;
	case BINLOG_STOP:
	case BINLOG_INTVAR:
	case BINLOG_RAND:
	case BINLOG_USER_VAR:
	case BINLOG_BEGIN_LOAD:
	case BINLOG_EXECUTE_LOAD:
	case BINLOG_CHECKPOINT:
		break;
	default:
		check_rows(r, e);
	}
}

/* --- whole files --- */

/* "# at N" of the vendor's tool. */
static void check_place(const struct recorded *r, const struct binlog_event *e, uint64_t offset)
{
	char line[40];

	assert_true(!e->log_pos || e->log_pos == offset + e->size);
	if (!r->printed)
		return;
	snprintf(line, sizeof line, "\n# at %llu\n", (unsigned long long)offset);
	if (!strstr(r->printed, line))
		FAIL("%s: nothing begins at %llu", r->name, (unsigned long long)offset);
	all_printed++;
}

static void check_set(struct recorded *r)
{
	const char *want = json_string_value(json_object_get(r->truth, "gtid"));
	const char *mode = json_string_value(json_object_get(r->truth, "gtid_mode"));
	AUTO(buf) struct buf got = { 0 };

	if (!r->format.mariadb && (!mode || strcmp(mode, "ON") != 0))
		return;
	gtid_set_format(r->set, &got);
	if (strcmp(buf_z(&got), want) != 0)
		FAIL("%s: GTIDs %s, not %s", r->name, buf_z(&got), want);
	all_sets++;
}

static void each_event(struct recorded *r, const char *binlog)
{
	struct error err = { 0 };
	struct binlog_file *f = binlog_file_open(binlog, 1 << 24, &err);
	struct str bytes;
	uint64_t offset;
	int more;

	MUST(!f);
	while ((more = binlog_file_next(f, &bytes, &offset, &err)) > 0) {
		struct binlog_event e;

		MUST(binlog_event_parse(r->events ? &r->format : NULL, bytes, &e, &err));
		if (r->events == 0)
			r->set = gtid_set_new(strstr(bytes.p + BINLOG_HEADER + 2, "MariaDB") !=
					      NULL);
		check_event(r, &e);
		check_place(r, &e, offset);
		arena_reset(&r->arena);
	}
	/* A crash may have cut the last event off. */
	if (more < 0 && (err.kind != ERR_RETRY || !strstr(r->name, "crashed")))
		FAIL("%s: %s", r->name, err.text);
	binlog_file_close(f);
	assert_true(r->events > 3);
}

static void check_file(const char *folder, const char *name)
{
	AUTO(free)
	char *base = xasprintf("%s/%s/%.*s", FOLDER, folder, (int)(strlen(name) - 11), name);
	AUTO(free) char *binlog_path = xasprintf("%s.binlog.zst", base);
	AUTO(free) char *truth_path = xasprintf("%s.json.zst", base);
	AUTO(free) char *printed_path = xasprintf("%s.txt.zst", base);
	char path[] = "/tmp/tailrace-binlog-XXXXXX";
	size_t n, truth_n, printed_n;
	AUTO(free) char *binlog = read_zst(binlog_path, &n);
	AUTO(free) char *truth = read_zst(truth_path, &truth_n);
	AUTO(free) char *printed = read_zst(printed_path, &printed_n);
	struct recorded r = { .name = base + sizeof FOLDER, .printed = printed };
	AUTO(fd) int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, binlog, n), (ssize_t)n);
	r.truth = json_loads(truth, JSON_ALLOW_NUL, NULL);
	assert_non_null(r.truth);
	each_event(&r, path);
	unlink(path);
	check_set(&r);
	all_events += r.events;
	all_maps += r.maps;
	json_decref(r.truth);
	gtid_set_free(r.set);
	arena_free(&r.arena);
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static void every_file(void **state)
{
	DIR *servers = opendir(FOLDER);
	struct dirent *server, *file;
	size_t folders = 0, files = 0;

	(void)state;
	assert_non_null(servers);
	while ((server = readdir(servers))) {
		if (strncmp(server->d_name, "my", 2) != 0 &&
		    strncmp(server->d_name, "maria", 5) != 0)
			continue;
		AUTO(free) char *path = xasprintf("%s/%s", FOLDER, server->d_name);
		DIR *folder = opendir(path);

		assert_non_null(folder);
		folders++;
		while ((file = readdir(folder))) {
			if (!ends_with(file->d_name, ".binlog.zst"))
				continue;
			check_file(server->d_name, file->d_name);
			files++;
		}
		closedir(folder);
	}
	closedir(servers);
	print_message("%zu files, %zu events, %zu maps, %zu columns, %zu sets, %zu places\n", files,
		      all_events, all_maps, all_columns, all_sets, all_printed);
	assert_true(folders >= 11 && files >= 200);
	assert_true(all_events > 10000 && all_columns > 5000 && all_sets > 100 &&
		    all_printed > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
