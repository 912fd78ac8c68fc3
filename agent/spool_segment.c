/*
 * spool_segment.c - what is found on disk when a spool is opened
 *
 * A segment is an Avro container file named after the position of its first record.  Metadata:
 * tailrace.format, tailrace.pipeline, tailrace.after (the last transaction end before it).
 * The last segment may end in a torn block (unsynced pages persist in any order) and in an
 * unfinished transaction: both are cut, the source sends them again.  Damage anywhere else is
 * fatal when it is read.  Runs before any other thread knows the spool.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "spool_private.h"

struct segment *spool_segment_find(struct spool *s, uint64_t seq)
{
	for (size_t i = s->nsegments; i-- > 0;)
		if (s->segments[i].seq == seq)
			return &s->segments[i];
	return NULL;
}

struct segment *spool_segment_push(struct spool *s, const struct segment *g)
{
	if (s->nsegments == s->segments_room) {
		s->segments_room = s->segments_room ? s->segments_room * 2 : 16;
		s->segments = xrealloc(s->segments, s->segments_room * sizeof *s->segments);
	}
	s->segments[s->nsegments] = *g;
	s->segments[s->nsegments].seq = s->next_seq++;
	return &s->segments[s->nsegments++];
}

void spool_segment_drop(struct spool *s, size_t index)
{
	s->bytes -= (int64_t)s->segments[index].size;
	free(s->segments[index].path);
	s->nsegments--;
	memmove(s->segments + index, s->segments + index + 1,
		(s->nsegments - index) * sizeof *s->segments);
}

int spool_sync_dir(const char *dir, struct error *err)
{
	AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fail(err, ERR_FATAL, "cannot sync folder %s: %s", dir, strerror(errno));
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_segment(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".avro") == 0;
}

static bool parse_filename(const char *name, struct position *out)
{
	int end = 0;

	return sscanf(name, "%2" SCNx32 "-%6" SCNx32 "-%16" SCNx64 "-%16" SCNx64 ".avro%n",
		      &out->epoch, &out->file, &out->offset, &out->row, &end) == 4 &&
	       end > 0 && name[end] == '\0';
}

/* Opens a segment and checks that it is one of ours. */
static int open_segment(const struct spool *s, const char *path, int *fd, struct ocf_file *file,
			struct segment *g, struct error *err)
{
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return fail(err, ERR_FATAL, "cannot open spool segment %s: %s", path,
			    strerror(errno));
	if (ocf_read_header(*fd, file, err) < 0)
		return error_prefix(err, "spool segment %s", path);
	const struct ocf_meta *format = ocf_meta_find(file, "tailrace.format");
	const struct ocf_meta *pipeline = ocf_meta_find(file, "tailrace.pipeline");
	const struct ocf_meta *after = ocf_meta_find(file, "tailrace.after");
	const struct ocf_meta *inside = ocf_meta_find(file, "tailrace.inside");

	struct str unknown = STR("unknown");
	struct str wrote = format ? format->value : unknown,
		   owner = pipeline ? pipeline->value : unknown;

	if (!str_eqz(wrote, SPOOL_FORMAT))
		return fail(
			err, ERR_FATAL,
			"spool segment %s has format %.*s; this version reads format " SPOOL_FORMAT
			": run the version of tailrace that wrote it",
			path, STR_FMT(wrote));
	if (!str_eqz(owner, s->pipeline))
		return fail(err, ERR_FATAL, "spool segment %s belongs to pipeline %.*s, not to %s",
			    path, STR_FMT(owner), s->pipeline);
	if (!after || position_parse(after->value, &g->after) < 0)
		return fail(err, ERR_FATAL, "spool segment %s says not where it begins", path);
	/* Version 0.1.0 did not say it and knew no chunks. */
	g->inside = inside ? !str_eqz(inside->value, "0")
			   : g->first.row != 1 && g->first.row < POSITION_BETWEEN;
	return 0;
}

/* What a scan of one segment found. */
struct scan {
	uint64_t whole;    /* end of the last whole block */
	uint64_t boundary; /* end of the last block that ends a transaction; 0: none */
	struct position last;
	struct checkpoint newest;
	int64_t commit_us; /* of newest */
};

/* Reads every block; a damaged one ends the scan. */
static int scan_blocks(struct spool *s, int fd, const struct ocf_file *file, const char *path,
		       struct scan *out, struct error *err)
{
	AUTO(buf) struct buf records = { 0 };
	uint64_t offset = file->header_size, next, count;

	out->whole = offset;
	for (;;) {
		int got = ocf_read_block(fd, file, s->codec, offset, SPOOL_BLOCK_MAX, &records,
					 &count, &next, err);

		if (got == 0)
			return 0;
		if (got < 0 && err->code != EILSEQ)
			return error_prefix(err, "spool segment %s", path);
		if (got < 0) {
			log_warning("spool's torn end is cut", "segment", path, "reason", err->text,
				    NULL);
			return 0;
		}
		struct block *b = block_of(&records);

		if (block_index(b, s->tables, err) < 0) {
			block_drop(b);
			return error_prefix(err, "spool segment %s, block at %" PRIu64, path,
					    offset);
		}
		out->whole = offset = next;
		if (b->has_boundary) {
			const struct event *e = &b->events[b->nevents - 1];

			out->boundary = next;
			out->commit_us = e->commit_us;
			out->newest.pos = e->pos;
			free(out->newest.resume);
			out->newest.resume = xstrndup(e->resume.p, e->resume.n);
		}
		if (b->nevents)
			out->last = b->events[b->nevents - 1].pos;
		block_drop(b);
	}
}

static int remove_segment(struct spool *s, size_t index, struct error *err)
{
	if (unlink(s->segments[index].path) < 0 && errno != ENOENT)
		return fail(err, ERR_FATAL, "cannot remove spool segment %s: %s",
			    s->segments[index].path, strerror(errno));
	spool_segment_drop(s, index);
	return 0;
}

/* Cuts the last segment at its last transaction end; 1: the segment held none and is gone. */
static int recover_last(struct spool *s, bool newest_file, struct error *err)
{
	struct segment *g = &s->segments[s->nsegments - 1];
	AUTO(fd) int fd = -1;
	struct ocf_file file = { 0 };
	struct scan found = { 0 };
	int failed = open_segment(s, g->path, &fd, &file, g, err);

	if (failed && newest_file && fd >= 0 && err->code == EILSEQ) {
		/* Made just before the crash: its header never reached the disk, so nothing after it counts. */
		ocf_file_release(&file);
		return remove_segment(s, s->nsegments - 1, err) < 0 ? -1 : 1;
	}
	if (!failed)
		failed = scan_blocks(s, fd, &file, g->path, &found, err);
	ocf_file_release(&file);
	if (failed) {
		checkpoint_release(&found.newest);
		return -1;
	}
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(err, ERR_FATAL, "cannot stat %s: %s", g->path, strerror(errno));
	if (!newest_file && (uint64_t)st.st_size != found.whole)
		return fail(err, ERR_FATAL, "spool segment %s is damaged at offset %" PRIu64,
			    g->path, found.whole);
	if (!found.boundary)
		return remove_segment(s, s->nsegments - 1, err) < 0 ? -1 : 1;
	if ((uint64_t)st.st_size != found.boundary && ftruncate(fd, (off_t)found.boundary) < 0)
		return fail(err, ERR_FATAL, "cannot cut %s: %s", g->path, strerror(errno));
	if (fsync(fd) < 0)
		return fail(err, ERR_FATAL, "cannot sync %s: %s", g->path, strerror(errno));
	g->size = found.boundary;
	g->last = found.newest.pos;
	checkpoint_release(&s->newest);
	s->newest = found.newest;
	s->samples[0] = (struct spool_sample){ found.newest.pos, found.commit_us };
	s->nsamples = 1;
	return 0;
}

/* The facts about a segment that is not the last; its blocks are checked when they are read. */
static int recover_earlier(struct spool *s, size_t i, struct error *err)
{
	struct segment *g = &s->segments[i];
	const struct segment *next = g + 1;

	g->last = next->inside ? next->first : next->after;
	if (i > 0 || tables_count(s->tables) > 0)
		return 0;
	log_debug("state.db knows no table versions: looking for them in the whole spool", NULL);
	for (size_t k = 0; k < s->nsegments - 1; k++) {
		AUTO(fd) int fd = -1;
		struct ocf_file file = { 0 };
		struct segment known = s->segments[k];
		struct scan found = { 0 };
		int failed = open_segment(s, known.path, &fd, &file, &known, err) < 0 ||
			     scan_blocks(s, fd, &file, s->segments[k].path, &found, err) < 0;

		ocf_file_release(&file);
		checkpoint_release(&found.newest);
		if (failed)
			return -1;
	}
	return 0;
}

static int list_segments(struct spool *s, struct error *err)
{
	struct dirent **names;
	int n = scandir(s->dir, &names, is_segment, by_name);
	int failed = 0;

	if (n < 0)
		return fail(err, ERR_FATAL, "cannot read spool folder %s: %s", s->dir,
			    strerror(errno));
	for (int i = 0; i < n; i++) {
		struct segment g = { .path = xasprintf("%s/%s", s->dir, names[i]->d_name) };
		struct stat st = { 0 };

		if (!failed && !parse_filename(names[i]->d_name, &g.first))
			failed = fail(err, ERR_FATAL, "%s is no spool segment: move it away",
				      g.path);
		if (!failed && stat(g.path, &st) < 0)
			failed =
				fail(err, ERR_FATAL, "cannot stat %s: %s", g.path, strerror(errno));
		g.size = (uint64_t)st.st_size;
		g.closed_us = (int64_t)st.st_mtime * 1000000;
		spool_segment_push(s, &g);
		free(names[i]);
	}
	free(names);
	return failed;
}

static int read_after(struct spool *s, size_t i, struct error *err)
{
	AUTO(fd) int fd = -1;
	struct ocf_file file = { 0 };
	int failed = open_segment(s, s->segments[i].path, &fd, &file, &s->segments[i], err);

	ocf_file_release(&file);
	return failed;
}

int spool_recover(struct spool *s, struct error *err)
{
	bool newest_file = true;

	if (list_segments(s, err) < 0)
		return -1;
	for (int gone = 1; s->nsegments && gone; newest_file = false) {
		gone = recover_last(s, newest_file, err);
		if (gone < 0)
			return -1;
	}
	if (spool_sync_dir(s->dir, err) < 0)
		return -1;
	for (size_t i = 0; i + 1 < s->nsegments; i++)
		if (read_after(s, i, err) < 0)
			return -1;
	for (size_t i = 0; i + 1 < s->nsegments; i++)
		if (recover_earlier(s, i, err) < 0)
			return -1;
	s->bytes = 0;
	for (size_t i = 0; i < s->nsegments; i++)
		s->bytes += (int64_t)s->segments[i].size;
	if (s->nsegments) {
		const struct segment *g = &s->segments[s->nsegments - 1];

		s->written = s->published = (struct mark){ g->seq, g->size };
		s->last_written = s->newest.pos;
		checkpoint_copy(&s->synced, &s->newest);
		s->next_seq = g->seq + 1; /* cursors expect no hole where a segment was cut */
	} else {
		s->written = s->published = (struct mark){ s->next_seq - 1, 0 };
	}
	return 0;
}
