/*
 * spool.c - the durable log: append, sync, rewind, retention
 *
 * Threads: one writer calls append, rewind, sync and forget; cursors and status run anywhere.  The
 * lock guards the segment list, the marks, the checkpoints and the ring of recent blocks; files
 * are written without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "spool_private.h"

#define PATIENCE_US 50000 /* longest wait for a sink, so that it need not read files */

struct spool *spool_open(const char *dir, const char *pipeline, const struct spool_config *c,
			 size_t recent, struct tables *tables, struct error *err)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		fail(err, ERR_FATAL, "cannot make spool folder %s: %s", dir, strerror(errno));
		return NULL;
	}
	struct spool *s = xcalloc(1, sizeof *s);
	pthread_condattr_t attr;

	s->dir = xstrdup(dir);
	s->pipeline = xstrdup(pipeline);
	s->config = c;
	s->tables = tables;
	s->recent_max = recent;
	s->fd = -1;
	s->next_seq = 1;
	s->codec = ocf_codec_new(OCF_ZSTANDARD,
				 c->compression_level > 1 ? (int)c->compression_level : OCF_QUICK);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->news, &attr);
	pthread_cond_init(&s->taken, &attr);
	pthread_condattr_destroy(&attr);
	if (spool_recover(s, err) < 0) {
		spool_close(s);
		return NULL;
	}
	return s;
}

static struct recent *ring_at(struct spool *s, size_t i)
{
	return &s->ring[(s->ring_start + i) & (s->ring_room - 1)];
}

static void ring_drop_oldest(struct spool *s)
{
	struct recent *r = ring_at(s, 0);

	s->ring_bytes -= block_weight(r->block);
	block_drop(r->block);
	s->ring_start = (s->ring_start + 1) & (s->ring_room - 1);
	s->nring--;
}

static void ring_drop_newest(struct spool *s)
{
	struct recent *r = ring_at(s, s->nring - 1);

	s->ring_bytes -= block_weight(r->block);
	block_drop(r->block);
	s->nring--;
}

static bool mark_before(const struct mark *a, const struct mark *b)
{
	return a->seq < b->seq || (a->seq == b->seq && a->offset < b->offset);
}

void spool_front(struct spool *s, const struct mark *m)
{
	if (!mark_before(&s->front, m))
		return;
	s->front = *m;
	if (s->waiting)
		pthread_cond_signal(&s->taken);
}

/* Is the oldest block what the furthest cursor takes next, or is taking? */
static bool oldest_is_next(struct spool *s)
{
	const struct recent *r = ring_at(s, 0);

	return !mark_before(&s->front, &r->before) && mark_before(&s->front, &r->end) &&
	       !mark_before(&s->published, &r->end);
}

/* How long the writer may wait now: a tenth of the time gone by is added. */
static int64_t patience(struct spool *s, int64_t now)
{
	s->patience_us += (now - s->patience_at) / 10;
	if (s->patience_us > PATIENCE_US)
		s->patience_us = PATIENCE_US;
	s->patience_at = now;
	return s->patience_us > 0 ? s->patience_us : 0;
}

/*
 * Makes room for a block.  A sink that falls behind what is in memory reads files from then on, which costs it more than
 * it costs us to wait: for the foremost one, and a tenth of the time at most.
 */
static void ring_make_room(struct spool *s, size_t weight)
{
	int64_t now = monotonic_us(), end = now + patience(s, now);
	struct timespec until = { .tv_sec = end / 1000000, .tv_nsec = end % 1000000 * 1000 };
	int waited = 0;

	s->waiting = true;
	while (s->nring && s->ring_bytes + weight > s->recent_max) {
		if (waited == 0 && oldest_is_next(s))
			waited = pthread_cond_timedwait(&s->taken, &s->lock, &until);
		else
			ring_drop_oldest(s);
	}
	s->waiting = false;
	s->patience_us -= monotonic_us() - now;
}

/* Keeps the block for sinks that are caught up, as long as the memory allows. */
static void ring_push(struct spool *s, struct mark before, struct mark end, struct block *b)
{
	size_t weight = block_weight(b);

	if (weight > s->recent_max) {
		block_drop(b);
		return;
	}
	if (s->nring == s->ring_room) {
		size_t room = s->ring_room ? s->ring_room * 2 : 64;
		struct recent *ring = xcalloc(room, sizeof *ring);

		for (size_t i = 0; i < s->nring; i++)
			ring[i] = *ring_at(s, i);
		free(s->ring);
		s->ring = ring;
		s->ring_room = room;
		s->ring_start = 0;
	}
	s->nring++;
	*ring_at(s, s->nring - 1) = (struct recent){ before, end, b };
	s->ring_bytes += weight;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	while (s->nring)
		ring_drop_oldest(s);
	while (s->nsegments)
		spool_segment_drop(s, s->nsegments - 1);
	if (s->fd >= 0)
		close(s->fd);
	free(s->ring);
	free(s->segments);
	free(s->declared);
	buf_free(&s->out);
	buf_free(&s->schema_records);
	checkpoint_release(&s->newest);
	checkpoint_release(&s->synced);
	ocf_codec_free(s->codec);
	pthread_cond_destroy(&s->news);
	pthread_cond_destroy(&s->taken);
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s->pipeline);
	free(s);
}

void spool_begin(struct spool *s, const struct checkpoint *base)
{
	pthread_mutex_lock(&s->lock);
	if (s->nsegments == 0) {
		checkpoint_copy(&s->newest, base);
		checkpoint_copy(&s->synced, base);
	}
	pthread_mutex_unlock(&s->lock);
}

static int write_all(int fd, const char *p, size_t n, uint64_t offset)
{
	int failed = failpoint_errno("spool_write");

	if (failed) {
		errno = failed;
		return -1;
	}
	while (n) {
		ssize_t wrote = pwrite(fd, p, n, (off_t)offset);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return -1;
		p += wrote;
		n -= (size_t)wrote;
		offset += (uint64_t)wrote;
	}
	return 0;
}

/* After a failed write or sync nothing unsynced can be trusted: the segment is cut, the process ends. */
static int give_up(struct spool *s, const char *what, struct error *err)
{
	struct segment *g = &s->segments[s->nsegments - 1];
	int code = errno;

	if (ftruncate(s->fd, (off_t)s->synced_offset) < 0)
		log_warning("cannot cut the spool at its last synced offset", "segment", g->path,
			    "error", strerror(errno), NULL);
	fail(err, ERR_FATAL, "cannot %s spool segment %s: %s%s", what, g->path, strerror(code),
	     code == ENOSPC || code == EDQUOT ? ": make room on that disk, or lower "
						"spool.max_bytes, and start again; nothing is lost"
					      : "");
	err->code = code;
	return -1;
}

/* The last segment up to `size`. */
static int sync_file(struct spool *s, uint64_t size, struct error *err)
{
	int failed = failpoint_errno("spool_sync");

	if (failed)
		errno = failed;
	if (failed || fdatasync(s->fd) < 0)
		return give_up(s, "sync", err);
	s->synced_offset = size;
	return 0;
}

/* What is complete is durable: `newest`, which the writer alone changes. */
static void set_synced(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	checkpoint_copy(&s->synced, &s->newest);
	pthread_mutex_unlock(&s->lock);
	failpoint("synced");
}

int spool_sync(struct spool *s, struct error *err)
{
	if (s->fd < 0 || s->segments[s->nsegments - 1].size == s->synced_offset)
		return 0;
	if (sync_file(s, s->segments[s->nsegments - 1].size, err) < 0)
		return -1;
	set_synced(s);
	return 0;
}

/* The last segment is complete: synced and closed. */
static int finish_segment(struct spool *s, struct error *err)
{
	if (s->fd < 0)
		return 0;
	if (spool_sync(s, err) < 0)
		return -1;
	close(s->fd);
	s->fd = -1;
	pthread_mutex_lock(&s->lock);
	s->segments[s->nsegments - 1].last = s->last_written;
	s->segments[s->nsegments - 1].closed_us = wall_clock_us();
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* A new segment's header and its directory entry are synced before its first block counts. */
static int start_segment(struct spool *s, const struct position *first, struct error *err)
{
	char name[POSITION_TEXT], after[POSITION_TEXT];
	bool inside =
		s->written.seq != s->published.seq || s->written.offset != s->published.offset;
	struct ocf_meta meta[] = {
		{ "tailrace.format", STR(SPOOL_FORMAT) },
		{ "tailrace.pipeline", str_z(s->pipeline) },
		{ "tailrace.after", str_z(position_text(&s->newest.pos, after)) },
		{ "tailrace.inside", inside ? STR("1") : STR("0") },
	};
	struct segment g = {
		.path = xasprintf("%s/%s.avro", s->dir, position_filename(first, name)),
		.first = *first,
		.after = s->newest.pos,
		.inside = inside,
	};

	buf_clear(&s->out);
	ocf_header(&s->out, avro_spool_schema, OCF_ZSTANDARD, meta, COUNT(meta), s->sync);
	g.size = s->out.n;
	s->fd = open(g.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->fd < 0) {
		fail(err, ERR_FATAL, "cannot make spool segment %s: %s", g.path, strerror(errno));
		free(g.path);
		return -1;
	}
	pthread_mutex_lock(&s->lock);
	spool_segment_push(s, &g);
	s->bytes += (int64_t)g.size;
	pthread_mutex_unlock(&s->lock);
	s->synced_offset = 0;
	if (write_all(s->fd, s->out.p, s->out.n, 0) < 0)
		return give_up(s, "write", err);
	if (fdatasync(s->fd) < 0)
		return give_up(s, "sync", err);
	if (s->declared_bytes)
		memset(s->declared, 0, s->declared_bytes);
	s->synced_offset = g.size;
	return spool_sync_dir(s->dir, err);
}

static bool declare(struct spool *s, uint32_t id)
{
	size_t byte = id / 8;
	uint8_t bit = (uint8_t)(1u << id % 8);

	if (byte >= s->declared_bytes) {
		size_t room = byte + 64;

		s->declared = xrealloc(s->declared, room);
		memset(s->declared + s->declared_bytes, 0, room - s->declared_bytes);
		s->declared_bytes = room;
	}
	if (s->declared[byte] & bit)
		return false;
	s->declared[byte] |= bit;
	return true;
}

/* In each segment a version's schema record precedes its first use. */
static int put_schemas(struct spool *s, const struct block *b, struct error *err)
{
	const struct table *last = NULL;
	uint64_t count = 0;

	buf_clear(&s->schema_records);
	for (size_t i = 0; i < b->nevents; i++) {
		const struct event *e = &b->events[i];

		if (e->table && e->table != last && declare(s, e->table->id)) {
			spool_record_put_schema(&s->schema_records, e->table, &e->pos);
			count++;
		}
		last = e->table ? e->table : last;
	}
	if (!count)
		return 0;
	struct str records = { s->schema_records.p, s->schema_records.n };

	return ocf_block(&s->out, s->codec, s->sync, count, records, err);
}

static uint64_t count_rows(const struct block *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b->nevents; i++)
		n += b->events[i].table || b->events[i].op == CHANGE_MESSAGE;
	return n;
}

/* Every second sample goes when there are too many: the older, the coarser. */
static void add_sample(struct spool *s, const struct event *last, int64_t commit_us)
{
	struct spool_sample *newest = s->nsamples ? &s->samples[s->nsamples - 1] : NULL;

	if (newest && commit_us - newest->commit_us < SPOOL_SAMPLE_US) {
		newest->pos = last->pos;
		return;
	}
	if (s->nsamples == SPOOL_SAMPLES) {
		for (size_t i = 0; i < SPOOL_SAMPLES / 2;
		     i++) /* the later place, the earlier time */
			s->samples[i] = (struct spool_sample){ s->samples[2 * i + 1].pos,
							       s->samples[2 * i].commit_us };
		s->nsamples = SPOOL_SAMPLES / 2;
	}
	s->samples[s->nsamples++] = (struct spool_sample){ last->pos, commit_us };
}

int64_t spool_oldest_after(struct spool *s, const struct position *pos)
{
	int64_t found = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nsamples && !found; i++)
		if (position_cmp(&s->samples[i].pos, pos) > 0)
			found = s->samples[i].commit_us;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* The block is written: cursors may have it once its transactions are complete. */
static void publish(struct spool *s, struct block *b)
{
	const struct event *last = &b->events[b->nevents - 1];
	struct segment *g = &s->segments[s->nsegments - 1];
	struct mark before = s->written;
	bool boundary = b->has_boundary;

	pthread_mutex_lock(&s->lock);
	ring_make_room(s, block_weight(b)); /* before anything is changed: it waits */
	g->size += s->out.n;
	s->bytes += (int64_t)s->out.n;
	s->written = (struct mark){ g->seq, g->size };
	s->last_written = last->pos;
	s->pending += count_rows(b);
	if (boundary) {
		if (s->pending)
			add_sample(s, last, last->commit_us);
		s->events += s->pending;
		s->pending = 0;
		s->newest.pos = last->pos;
		free(s->newest.resume);
		s->newest.resume = xstrndup(last->resume.p, last->resume.n);
		s->published = s->written;
	}
	ring_push(s, before, s->written, b);
	if (boundary)
		pthread_cond_broadcast(&s->news);
	pthread_mutex_unlock(&s->lock);
}

int spool_append(struct spool *s, struct block *b, struct error *err)
{
	if (block_index(b, s->tables, err) < 0)
		goto failed;
	if (b->nevents == 0) {
		block_drop(b);
		return 0;
	}
	struct segment *g = s->nsegments ? &s->segments[s->nsegments - 1] : NULL;

	if (g && s->fd >= 0 && g->size >= (uint64_t)s->config->segment &&
	    finish_segment(s, err) < 0)
		goto failed;
	if (s->fd < 0 && start_segment(s, &b->events[0].pos, err) < 0)
		goto failed;
	buf_clear(&s->out);
	struct str records = { b->bytes, b->nbytes };

	if (put_schemas(s, b, err) < 0 ||
	    ocf_block(&s->out, s->codec, s->sync, b->nevents, records, err) < 0)
		goto failed;
	if (write_all(s->fd, s->out.p, s->out.n, s->segments[s->nsegments - 1].size) < 0) {
		give_up(s, "write", err);
		goto failed;
	}
	failpoint("appended");
	bool boundary = b->has_boundary, only_copy = b->only_copy;

	/* The log cannot give it again: no sink may see it before it is durable. */
	if (only_copy && sync_file(s, s->segments[s->nsegments - 1].size + s->out.n, err) < 0)
		goto failed;
	publish(s, b);
	if (only_copy)
		set_synced(s);
	if (boundary)
		failpoint("published");
	if (s->out.room > 4 * BLOCK_TARGET)
		buf_free(&s->out); /* one large row must not be paid for ever */
	return 0;
failed:
	block_drop(b);
	return -1;
}

int spool_rewind(struct spool *s, struct error *err)
{
	if (s->written.seq == s->published.seq && s->written.offset == s->published.offset)
		return 0;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1; /* the next block starts a segment: schema records cut here are written again */
	pthread_mutex_lock(&s->lock);
	while (s->nring && ring_at(s, s->nring - 1)->end.seq >= s->published.seq &&
	       !(ring_at(s, s->nring - 1)->end.seq == s->published.seq &&
		 ring_at(s, s->nring - 1)->end.offset <= s->published.offset))
		ring_drop_newest(s);
	int failed = 0;

	while (!failed && s->nsegments && s->segments[s->nsegments - 1].seq > s->published.seq) {
		failed = unlink(s->segments[s->nsegments - 1].path);
		if (!failed)
			spool_segment_drop(s, s->nsegments - 1);
	}
	struct segment *g = s->nsegments ? &s->segments[s->nsegments - 1] : NULL;

	if (!failed && g && g->size > s->published.offset) {
		failed = truncate(g->path, (off_t)s->published.offset);
		s->bytes -= (int64_t)(g->size - s->published.offset);
		g->size = s->published.offset;
	}
	if (g) {
		g->last = s->newest.pos;
		g->closed_us = wall_clock_us();
	}
	s->next_seq = g ? g->seq + 1 : s->published.seq + 1; /* cursors expect no hole */
	s->written = s->published;
	s->last_written = s->newest.pos;
	s->pending = 0;
	pthread_mutex_unlock(&s->lock);
	if (failed)
		return fail(err, ERR_FATAL,
			    "cannot cut an unfinished transaction from the spool %s: %s", s->dir,
			    strerror(errno));
	AUTO(fd) int fd = g ? open(g->path, O_RDWR | O_CLOEXEC) : -1;

	if (g && (fd < 0 || fsync(fd) < 0))
		return fail(err, ERR_FATAL, "cannot sync spool segment %s: %s", g->path,
			    strerror(errno));
	pthread_mutex_lock(&s->lock);
	checkpoint_copy(&s->synced, &s->newest);
	pthread_mutex_unlock(&s->lock);
	return spool_sync_dir(s->dir, err);
}

/* Every sink is past it, and it is old enough or the room is needed. */
static bool may_remove(const struct spool *s, const struct segment *g, const struct position *upto)
{
	if (g->seq >= s->published.seq || position_cmp(&g->last, upto) > 0)
		return false;
	return wall_clock_us() - g->closed_us >= s->config->keep ||
	       s->bytes + s->config->segment > s->config->max_bytes;
}

int spool_forget(struct spool *s, const struct position *upto, struct error *err)
{
	bool removed = false;

	for (;;) {
		char *path = NULL;

		pthread_mutex_lock(&s->lock);
		if (s->nsegments > 1 && may_remove(s, &s->segments[0], upto)) {
			path = xstrdup(s->segments[0].path);
			spool_segment_drop(s, 0);
		}
		pthread_mutex_unlock(&s->lock);
		if (!path)
			break;
		int failed = unlink(path);

		if (failed)
			fail(err, ERR_FATAL, "cannot remove spool segment %s: %s", path,
			     strerror(errno));
		free(path);
		if (failed)
			return -1;
		removed = true;
		failpoint("segment_removed");
	}
	return removed ? spool_sync_dir(s->dir, err) : 0;
}

bool spool_has_room(struct spool *s, size_t n)
{
	return s->bytes + (int64_t)n <= s->config->max_bytes; /* the writer alone changes it */
}

void spool_status(struct spool *s, struct spool_status *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct spool_status){
		.bytes = s->bytes,
		.segments = (int64_t)s->nsegments,
		.events = s->events,
		.newest = s->newest.pos,
		.synced = s->synced.pos,
	};
	if (s->nsegments)
		out->oldest = s->segments[0].first;
	for (size_t i = 0; i < s->nsegments; i++) {
		const struct segment *g = &s->segments[i];

		if (g->seq > s->published.seq)
			out->unfinished += (int64_t)g->size;
		else if (g->seq == s->published.seq)
			out->unfinished += (int64_t)(g->size - s->published.offset);
	}
	pthread_mutex_unlock(&s->lock);
}

void spool_newest(struct spool *s, struct checkpoint *out)
{
	pthread_mutex_lock(&s->lock);
	checkpoint_copy(out, &s->newest);
	pthread_mutex_unlock(&s->lock);
}

void spool_synced(struct spool *s, struct checkpoint *out)
{
	pthread_mutex_lock(&s->lock);
	checkpoint_copy(out, &s->synced);
	pthread_mutex_unlock(&s->lock);
}

void spool_wake(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	s->wakes++;
	pthread_cond_broadcast(&s->news);
	pthread_mutex_unlock(&s->lock);
}
