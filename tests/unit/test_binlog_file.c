/*
 * test_binlog_file.c - binary log files on disk (EDGE 113, 119)
 */
#include "binlog_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../sources/binlog_file.h"

struct scratch {
	char path[64];
	int fd;
};

static int setup(void **state)
{
	struct scratch *s = xcalloc(1, sizeof *s);

	snprintf(s->path, sizeof s->path, "/tmp/tailrace-binlog-XXXXXX");
	s->fd = mkstemp(s->path);
	assert_true(s->fd >= 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *s = *state;

	close(s->fd);
	unlink(s->path);
	free(s);
	return 0;
}

static void append(struct scratch *s, struct str bytes)
{
	assert_int_equal(write(s->fd, bytes.p, bytes.n), (ssize_t)bytes.n);
}

static void binlog_file_autoclose(struct binlog_file **f)
{
	binlog_file_cleanup(f);
}

/* A file with a format description and events of many sizes. */
static void events(void **state)
{
	struct scratch *s = *state;
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf file = { 0 }, content = { 0 };
	struct error err = { 0 };
	uint64_t offset, end = BINLOG_FIRST;
	struct str bytes;
	int r, n = 0;

	for (size_t i = 0; i < 600000; i++)
		add_u8(&content, (uint8_t)(i * 7));
	buf_adds(&file, BINLOG_MAGIC);
	add_str(&file, unhex(&a, MYSQL97_FORMAT));
	for (size_t i = 0; i < 2000; i++)
		add_event(&file, BINLOG_ROWS_QUERY, 0,
			  (struct str){ content.p, i % 400 ? i : 300 * i }, true, file.n);
	append(s, str_of(&file));

	struct binlog_file *f __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 0, &err);
	struct binlog_format format = { 0 };

	assert_non_null(f);
	while ((r = binlog_file_next(f, &bytes, &offset, &err)) > 0) {
		struct binlog_event e;

		assert_true(offset == end);
		assert_int_equal(binlog_event_parse(n ? &format : NULL, bytes, &e, &err), 0);
		assert_memory_equal(bytes.p, file.p + offset, bytes.n);
		if (n++ == 0)
			assert_int_equal(binlog_format_parse(&e, &format, &err), 0);
		end = offset + bytes.n;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, 2001);
	assert_true(end == file.n);
	/* The file grows: half an event, then all of it. */
	AUTO(buf) struct buf more = { 0 };

	add_event(&more, BINLOG_STOP, 0, STR("0123456789"), true, file.n);
	append(s, (struct str){ more.p, 10 });
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	append(s, (struct str){ more.p + 10, 15 });
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_non_null(strstr(err.text, s->path));
	assert_non_null(strstr(err.text, "ends within the event at offset"));
	append(s, (struct str){ more.p + 25, more.n - 25 });
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
	assert_true(offset == file.n && bytes.n == more.n);
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 0);
}

/* EDGE 111: a file with a hole, of more than 4 GiB. */
static void far(void **state)
{
	struct scratch *s = *state;
	AUTO(buf) struct buf file = { 0 }, tail = { 0 };
	struct error err = { 0 };
	uint64_t offset, end = BINLOG_FIRST;
	struct str bytes;
	struct binlog_event e;

	/* Eighty-six ignorable events of 50 MB each, nothing in them. */
	enum { EVENTS = 86, SIZE = 50000000 };
	buf_adds(&file, BINLOG_MAGIC);
	append(s, str_of(&file));
	for (size_t i = 0; i < EVENTS; i++) {
		AUTO(buf) struct buf head = { 0 };
		uint64_t at = BINLOG_FIRST + (uint64_t)i * SIZE;

		add_event(&head, BINLOG_IGNORABLE, 0, STR(""), false, at);
		head.p[9] = (char)(SIZE & 0xff);
		head.p[10] = (char)(SIZE >> 8 & 0xff);
		head.p[11] = (char)(SIZE >> 16 & 0xff);
		head.p[12] = (char)(SIZE >> 24);
		assert_int_equal(pwrite(s->fd, head.p, head.n, (off_t)at), (ssize_t)head.n);
	}
	uint64_t last = BINLOG_FIRST + (uint64_t)EVENTS * SIZE;

	assert_true(last > UINT32_MAX);
	add_event(&tail, BINLOG_STOP, 0, STR(""), false, last);
	assert_int_equal(pwrite(s->fd, tail.p, tail.n, (off_t)last), (ssize_t)tail.n);

	struct binlog_file *f __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 0, &err);

	for (size_t i = 0; i < EVENTS; i++) {
		assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
		assert_true(offset == end);
		end += SIZE;
	}
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
	assert_true(offset == last);
	assert_int_equal(binlog_event_parse(NULL, bytes, &e, &err), 0);
	assert_true(binlog_offset(last, e.log_pos) == last + bytes.n);
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 0);
}

static void refuse_open(struct scratch *s, struct str content, const char *why)
{
	struct error err = { 0 };

	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(pwrite(s->fd, content.p, content.n, 0), (ssize_t)content.n);
	assert_null(binlog_file_open(s->path, 0, &err));
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, why));
}

static void not_one(void **state)
{
	struct scratch *s = *state;
	struct error err = { 0 };

	refuse_open(s, STR("#!/bin/sh\n"), "is not a binary log");
	refuse_open(s,
		    STR("\xfe"
			"bi"),
		    "is not a binary log");
	refuse_open(s, STR(""), "is not a binary log");
	refuse_open(s,
		    STR("\xfd"
			"bin"
			"\001"),
		    "is encrypted");
	assert_null(binlog_file_open("/nonexistent/mysql-bin.000001", 0, &err));
	assert_non_null(
		strstr(err.text, "cannot open the binary log /nonexistent/mysql-bin.000001"));
	assert_null(binlog_file_open("/tmp", 0, &err));
	assert_non_null(strstr(err.text, "cannot read /tmp at offset 0"));
	binlog_file_close(NULL);
}

static void encrypted(void **state)
{
	struct scratch *s = *state;
	AUTO(arena) struct arena a = { 0 };
	AUTO(buf) struct buf file = { 0 };
	struct error err = { 0 };
	uint64_t offset;
	struct str bytes;

	buf_adds(&file, BINLOG_MAGIC);
	add_str(&file, unhex(&a, MARIA_FORMAT));
	add_event(&file, BINLOG_START_ENCRYPTION, 0, STR("01234567890123456"), true, file.n);
	buf_adds(&file, "noise, noise, noise, noise, noise");
	append(s, str_of(&file));
	struct binlog_file *f __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 0, &err);

	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
	for (int i = 0; i < 2; i++)
		assert_fatal(binlog_file_next(f, &bytes, &offset, &err), &err,
			     "is encrypted from offset 296");
}

static void damaged(void **state)
{
	struct scratch *s = *state;
	AUTO(buf) struct buf file = { 0 };
	struct error err = { 0 };
	uint64_t offset;
	struct str bytes;

	buf_adds(&file, BINLOG_MAGIC);
	add_event(&file, BINLOG_STOP, 0, STR("0123456789"), false, 4);
	append(s, str_of(&file));
	struct binlog_file *f __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 29, &err);

	assert_int_equal(binlog_file_next(f, &bytes, &offset, &err), 1);
	file.n = BINLOG_FIRST;
	add_event(&file, BINLOG_STOP, 0, STR("0123456789x"), false, 4);
	append(s, (struct str){ file.p + 4, file.n - 4 });
	assert_fatal(binlog_file_next(f, &bytes, &offset, &err), &err,
		     "an event of 30 bytes at offset 33");

	struct binlog_file *g __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 0, &err);

	assert_int_equal(binlog_file_next(g, &bytes, &offset, &err), 1);
	assert_int_equal(binlog_file_next(g, &bytes, &offset, &err), 1);
	append(s, STR("0123456789abcdefghijklmnopq"));
	/* It claims 0x63626139 bytes: what is there is read, no more room is taken. */
	assert_int_equal(binlog_file_next(g, &bytes, &offset, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_int_equal(pwrite(s->fd, "\022\000\000\000", 4, 63 + 9), 4);
	struct binlog_file *h __attribute__((cleanup(binlog_file_autoclose))) =
		binlog_file_open(s->path, 0, &err);

	assert_int_equal(binlog_file_next(h, &bytes, &offset, &err), 1);
	assert_int_equal(binlog_file_next(h, &bytes, &offset, &err), 1);
	assert_fatal(binlog_file_next(h, &bytes, &offset, &err), &err, "damaged at offset 63");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events, setup, teardown),
		cmocka_unit_test_setup_teardown(far, setup, teardown),
		cmocka_unit_test_setup_teardown(not_one, setup, teardown),
		cmocka_unit_test_setup_teardown(encrypted, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
