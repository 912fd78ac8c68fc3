/*
 * spool_cursor.c - reading the spool: a caught-up sink shares blocks in memory, others read files
 *
 * Threads: a cursor belongs to one sink thread, but for spool_at_end(); the spool's lock guards
 * what it shares with the writer.  Files are read without the lock: below the published mark
 * nothing changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spool_private.h"

struct spool_cursor {
	struct spool *spool;
	struct mark at; /* the end of the last block given; under the spool's lock */

	/* The file being read. */
	uint64_t seq; /* 0: none */
	int fd;
	char *path;
	struct ocf_file file;
	struct ocf_codec_state *codec;
	struct buf records;
	unsigned wakes;
};

static void close_file(struct spool_cursor *c)
{
	if (c->fd >= 0)
		close(c->fd);
	ocf_file_release(&c->file);
	free(c->path);
	c->path = NULL;
	c->fd = -1;
	c->seq = 0;
}

struct spool_cursor *spool_seek(struct spool *s, const struct position *from, struct error *err)
{
	struct spool_cursor *c = xcalloc(1, sizeof *c);
	char want[POSITION_TEXT], have[POSITION_TEXT];
	bool found = false;

	c->spool = s;
	c->fd = -1;
	pthread_mutex_lock(&s->lock);
	if (s->nsegments == 0 || position_cmp(from, &s->newest.pos) >= 0) {
		c->at = s->published; /* at the end, or ahead of it: what it has is skipped by position */
		found = true;
	}
	for (size_t i = s->nsegments; !found && i-- > 0;) {
		const struct segment *g = &s->segments[i];

		/* One that begins inside a transaction needs the one before, unless that is past. */
		bool whole = !g->inside || position_cmp(from, &g->first) >= 0;

		if (g->seq <= s->published.seq && position_cmp(&g->after, from) <= 0 && whole) {
			c->at = (struct mark){ g->seq, 0 };
			found = true;
		}
	}
	position_text(from, want);
	if (!found)
		position_text(&s->segments[0].after, have);
	c->wakes = s->wakes;
	if (found)
		spool_front(s, &c->at);
	pthread_mutex_unlock(&s->lock);
	if (!found) {
		fail_exit(err, EXIT_LOG_GONE,
			  "the spool %s begins after %s, the sink needs what follows %s: "
			  "its table copies have a gap and must be loaded again",
			  s->dir, have, want);
		spool_cursor_close(c);
		return NULL;
	}
	return c;
}

struct spool_cursor *spool_seek_oldest(struct spool *s)
{
	struct spool_cursor *c = xcalloc(1, sizeof *c);

	c->spool = s;
	c->fd = -1;
	pthread_mutex_lock(&s->lock);
	c->at = s->nsegments ? (struct mark){ s->segments[0].seq, 0 } : s->published;
	c->wakes = s->wakes;
	pthread_mutex_unlock(&s->lock);
	return c;
}

void spool_cursor_close(struct spool_cursor *c)
{
	if (!c)
		return;
	close_file(c);
	if (c->codec)
		ocf_codec_free(c->codec);
	buf_free(&c->records);
	free(c);
}

static bool at_end(const struct spool *s, const struct mark *m)
{
	return m->seq > s->published.seq ||
	       (m->seq == s->published.seq && m->offset >= s->published.offset);
}

bool spool_at_end(struct spool_cursor *c)
{
	pthread_mutex_lock(&c->spool->lock);
	bool end = at_end(c->spool, &c->at);

	pthread_mutex_unlock(&c->spool->lock);
	return end;
}

/* Under the lock: waits for something published; false after the time or a wake. */
static bool wait_news(struct spool_cursor *c, int timeout_ms)
{
	struct spool *s = c->spool;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (at_end(s, &c->at)) {
		if (c->wakes != s->wakes) {
			c->wakes = s->wakes;
			return false;
		}
		if (timeout_ms <= 0 ||
		    pthread_cond_timedwait(&s->news, &s->lock, &until) == ETIMEDOUT)
			return !at_end(s, &c->at);
	}
	return true;
}

/* Under the lock: the block after the cursor, if it is still in memory. */
static struct block *take_recent(struct spool_cursor *c)
{
	struct spool *s = c->spool;
	size_t low = 0, high = s->nring;

	while (low < high) { /* the ring is in order of `before` */
		size_t mid = (low + high) / 2;
		const struct recent *r = &s->ring[(s->ring_start + mid) & (s->ring_room - 1)];

		if (r->before.seq < c->at.seq ||
		    (r->before.seq == c->at.seq && r->before.offset < c->at.offset))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == s->nring)
		return NULL;
	struct recent *r = &s->ring[(s->ring_start + low) & (s->ring_room - 1)];

	if (r->before.seq != c->at.seq || r->before.offset != c->at.offset)
		return NULL;
	c->at = r->end;
	spool_front(s, &c->at);
	block_hold(r->block);
	return r->block;
}

/* Under the lock: the segment that holds the next block; the cursor moves to it.  NULL: removed. */
static const struct segment *next_segment(struct spool_cursor *c)
{
	struct spool *s = c->spool;
	const struct segment *g = spool_segment_find(s, c->at.seq);

	if (g && c->at.offset < g->size)
		return g;
	for (size_t i = 0; i < s->nsegments; i++) {
		if (s->segments[i].seq > c->at.seq) {
			if (s->segments[i].seq != c->at.seq + 1)
				return NULL;
			c->at = (struct mark){ s->segments[i].seq, 0 };
			return &s->segments[i];
		}
	}
	return NULL;
}

static int open_file(struct spool_cursor *c, uint64_t seq, const char *path, struct error *err)
{
	if (c->seq == seq)
		return 0;
	close_file(c);
	c->path = xstrdup(path);
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->fd < 0)
		return fail(err, ERR_FATAL, "cannot open spool segment %s: %s", path,
			    strerror(errno));
	c->seq = seq;
	return ocf_read_header(c->fd, &c->file, err);
}

/* Reads the block at c->at from its file: 1 and *out; 0: it held schema records only. */
static int read_block(struct spool_cursor *c, struct block **out, struct error *err)
{
	uint64_t count, next, offset = c->at.offset ? c->at.offset : c->file.header_size;

	if (!c->codec)
		c->codec = ocf_codec_new(OCF_ZSTANDARD, 1);
	int got = ocf_read_block(c->fd, &c->file, c->codec, offset, SPOOL_BLOCK_MAX, &c->records,
				 &count, &next, err);

	if (got == 0)
		return fail(err, ERR_FATAL,
			    "spool segment %s ends at offset %" PRIu64
			    ", sooner than it was written",
			    c->path, offset);
	if (got < 0)
		return error_prefix(err, "spool segment %s is damaged", c->path);
	struct block *b = block_of(&c->records);

	if (block_index(b, c->spool->tables, err) < 0) {
		block_drop(b);
		return error_prefix(err, "spool segment %s, block at %" PRIu64, c->path, offset);
	}
	pthread_mutex_lock(&c->spool->lock);
	c->at.offset = next;
	spool_front(c->spool, &c->at);
	pthread_mutex_unlock(&c->spool->lock);
	if (b->nevents == 0 || b->events[b->nevents - 1].op == CHANGE_SCHEMA) {
		block_drop(b);
		return 0;
	}
	*out = b;
	return 1;
}

int spool_next(struct spool_cursor *c, int timeout_ms, struct block **out, struct error *err)
{
	struct spool *s = c->spool;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		bool any = wait_news(c, timeout_ms);
		struct block *b = any ? take_recent(c) : NULL;
		const struct segment *g = any && !b ? next_segment(c) : NULL;
		uint64_t seq = g ? g->seq : 0;
		AUTO(free) char *path = g ? xstrdup(g->path) : NULL;

		pthread_mutex_unlock(&s->lock);
		if (!any)
			return 0;
		if (b) {
			*out = b;
			return 1;
		}
		if (!path)
			return fail_exit(err, EXIT_LOG_GONE,
					 "the spool %s no longer holds what the sink needs: "
					 "its table copies have a gap and must be loaded again",
					 s->dir);
		if (open_file(c, seq, path, err) < 0)
			return -1;
		int got = read_block(c, out, err);

		if (got != 0)
			return got;
	}
}
