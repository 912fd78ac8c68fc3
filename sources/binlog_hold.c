/*
 * binlog_hold.c - events of a transaction that is not to be passed on yet
 *
 * A record is the type and flags of an event, its length (u32, host order: it never leaves the process) and its
 * body.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "binlog_hold.h"

struct record {
	uint32_t length;
	uint32_t time;
	uint16_t flags;
	uint8_t type;
};

void hold_init(struct hold *h, const char *dir, size_t memory)
{
	*h = (struct hold){ .dir = dir, .memory = memory, .fd = -1 };
}

void hold_release(struct hold *h)
{
	buf_free(&h->bytes);
	if (h->fd >= 0)
		close(h->fd);
	hold_init(h, h->dir, h->memory);
}

static int file_error(const struct hold *h, const char *what, struct error *err)
{
	err->code = errno;
	return fail(err, ERR_FATAL, "cannot %s the file for held transactions in %s: %s", what,
		    h->dir, strerror(errno));
}

static int write_all(struct hold *h, const void *bytes, size_t n, uint64_t at, struct error *err)
{
	const char *p = bytes;

	while (n) {
		ssize_t done = pwrite(h->fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return file_error(h, "write", err);
		p += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* Nothing of it outlives the process: the source sends it again. */
static int move_to_file(struct hold *h, struct error *err)
{
	h->fd = open(h->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (h->fd < 0)
		return file_error(h, "make", err);
	if (write_all(h, h->bytes.p, h->bytes.n, 0, err))
		return -1;
	buf_free(&h->bytes);
	return 0;
}

int hold_add(struct hold *h, const struct binlog_event *e, struct error *err)
{
	struct record r = { (uint32_t)e->body.n, e->time, e->flags, e->type };
	size_t n = sizeof r + e->body.n;

	if (h->fd < 0 && h->bytes.n + n > h->memory && move_to_file(h, err))
		return -1;
	if (h->fd < 0) {
		buf_add(&h->bytes, &r, sizeof r);
		buf_add(&h->bytes, e->body.p, e->body.n);
	} else if (write_all(h, &r, sizeof r, h->end, err) ||
		   write_all(h, e->body.p, e->body.n, h->end + sizeof r, err)) {
		return -1;
	}
	h->end += n;
	return 0;
}

static int read_all(struct hold *h, void *bytes, size_t n, uint64_t at, struct error *err)
{
	char *p = bytes;

	if (h->fd < 0) {
		memcpy(bytes, h->bytes.p + at, n);
		return 0;
	}
	while (n) {
		ssize_t done = pread(h->fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return file_error(h, "read", err);
		p += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

int hold_next(struct hold *h, uint64_t *at, struct buf *room, struct binlog_event *out,
	      struct error *err)
{
	struct record r;

	if (*at >= h->end)
		return 0;
	if (read_all(h, &r, sizeof r, *at, err))
		return -1;
	buf_clear(room);
	char *body = buf_more(room, r.length);

	if (read_all(h, body, r.length, *at + sizeof r, err))
		return -1;
	*at += sizeof r + r.length;
	*out = (struct binlog_event){ .type = r.type,
				      .flags = r.flags,
				      .time = r.time,
				      .size = r.length + BINLOG_HEADER,
				      .body = { body, r.length } };
	return 1;
}

void hold_cut(struct hold *h, uint64_t end)
{
	if (h->fd < 0)
		h->bytes.n = (size_t)end;
	h->end = end;
}
