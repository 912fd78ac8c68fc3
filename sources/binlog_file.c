/*
 * binlog_file.c - binary log files on disk
 *
 *	plain		0xfe "bin", then events (binlog_event.c)
 *	encrypted	MySQL: 0xfd "bin"; MariaDB: as plain, and all after a Start_encryption event
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binlog_file.h"

#define MAGIC_ENCRYPTED                                                                            \
	"\xfd"                                                                                     \
	"bin"
#define STEP ((size_t)256 * 1024) /* read at a time */

struct binlog_file {
	char *path;
	int fd;
	size_t max;
	uint64_t offset;  /* of the next event */
	struct buf bytes; /* from `offset` - at on */
	size_t at;
	bool encrypted; /* what follows is */
};

static int encrypted(const struct binlog_file *f, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "%s is encrypted from offset %llu on, and only its server has the key: read it "
		    "through the server",
		    f->path, (unsigned long long)f->offset);
}

/* Reads until `want` bytes are there; 0 if the file has fewer now. */
static int want_bytes(struct binlog_file *f, size_t want, struct error *err)
{
	if (f->bytes.n - f->at >= want)
		return 1;
	if (f->at) {
		f->bytes.n -= f->at;
		memmove(f->bytes.p, f->bytes.p + f->at, f->bytes.n);
		f->at = 0;
	}
	while (f->bytes.n < want) {
		char *to = buf_more(&f->bytes, STEP);
		ssize_t n = pread(f->fd, to, STEP, (off_t)(f->offset + f->bytes.n));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err, ERR_FATAL, "cannot read %s at offset %llu: %s", f->path,
				    (unsigned long long)(f->offset + f->bytes.n), strerror(errno));
		if (n == 0)
			return 0;
		f->bytes.n += (size_t)n;
	}
	return 1;
}

static int check_magic(struct binlog_file *f, struct error *err)
{
	int r = want_bytes(f, BINLOG_FIRST, err);

	if (r < 0)
		return -1;
	if (r > 0 && memcmp(f->bytes.p, MAGIC_ENCRYPTED, BINLOG_FIRST) == 0)
		return encrypted(f, err);
	if (r == 0 || memcmp(f->bytes.p, BINLOG_MAGIC, BINLOG_FIRST) != 0)
		return fail(err, ERR_FATAL,
			    "%s is not a binary log: it does not begin with the bytes fe 62 69 6e",
			    f->path);
	f->at = f->offset = BINLOG_FIRST;
	return 0;
}

struct binlog_file *binlog_file_open(const char *path, size_t max_event, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fail(err, ERR_FATAL, "cannot open the binary log %s: %s", path, strerror(errno));
		return NULL;
	}
	struct binlog_file *f = xcalloc(1, sizeof *f);

	f->path = xstrdup(path);
	f->fd = fd;
	f->max = max_event;
	if (check_magic(f, err)) {
		binlog_file_close(f);
		return NULL;
	}
	return f;
}

void binlog_file_close(struct binlog_file *f)
{
	if (!f)
		return;
	close(f->fd);
	buf_free(&f->bytes);
	free(f->path);
	free(f);
}

void binlog_file_cleanup(struct binlog_file **f)
{
	binlog_file_close(*f);
}

/* Could an event of that size be here? */
static int check_size(const struct binlog_file *f, uint32_t size, struct error *err)
{
	if (size < BINLOG_HEADER)
		return fail(err, ERR_FATAL,
			    "%s is damaged at offset %llu: an event of %u bytes cannot be", f->path,
			    (unsigned long long)f->offset, size);
	if (f->max && size > f->max)
		return fail(
			err, ERR_FATAL,
			"%s has an event of %u bytes at offset %llu, longer than allowed (%zu): it "
			"is damaged, or raise source.max_row",
			f->path, size, (unsigned long long)f->offset, f->max);
	return 0;
}

static int cut_off(const struct binlog_file *f, struct error *err)
{
	return fail(
		err, ERR_RETRY,
		"%s ends within the event at offset %llu: it is still being written, or its server "
		"crashed",
		f->path, (unsigned long long)f->offset);
}

int binlog_file_next(struct binlog_file *f, struct str *event, uint64_t *offset, struct error *err)
{
	if (f->encrypted)
		return encrypted(f, err);
	int r = want_bytes(f, BINLOG_HEADER, err);

	if (r < 0)
		return -1;
	if (r == 0)
		return f->bytes.n == f->at ? 0 : cut_off(f, err);
	struct cursor c = cursor_of((struct str){ f->bytes.p + f->at + 9, 4 });
	uint8_t type = (uint8_t)f->bytes.p[f->at + 4];
	uint32_t size = get_u32le(&c);

	if (check_size(f, size, err))
		return -1;
	r = want_bytes(f, size, err);
	if (r <= 0)
		return r < 0 ? -1 : cut_off(f, err);
	*event = (struct str){ f->bytes.p + f->at, size };
	*offset = f->offset;
	f->at += size;
	f->offset += size;
	f->encrypted = type == BINLOG_START_ENCRYPTION;
	return 1;
}
