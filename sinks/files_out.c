/*
 * files_out.c - unfinished Avro container files: one a table version, from its first record to its
 * final name
 *
 * Records gather in memory and go out as compressed blocks; what all buffers hold together and how
 * many files are open is bounded.  The name of a .tmp carries the fence: a stopped instance that
 * wakes never writes into a file of the one that took over.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failpoint.h"
#include "files.h"
#include "folder.h"

#define BLOCK_BYTES ((size_t)128 << 10)
#define MOST_ROOM   ((size_t)6 << 20)
#define KEEP_ROOM   ((size_t)1 << 20)
#define MOST_OPEN   64
#define LAST_KEY    "tailrace.last"
#define WRITE_BACK  ((uint64_t)4 << 20) /* the disk is given so much at a time */

static int fail_file(struct error *err, const struct files *k, const char *what,
		     const char *relative, int code)
{
	fail(err, errno_kind(code), "cannot %s %s/%s: %s", what, k->path, relative, strerror(code));
	err->code = code;
	return -1;
}

void files_begin(struct files *k, struct files_lane *lane, const struct position *pos)
{
	char first[POSITION_TEXT];

	lane->active = true;
	lane->next = k->active;
	k->active = lane;
	lane->first = lane->last = *pos;
	lane->name = xasprintf("%s/%s-%s.avro", lane->folder, k->config->pipeline.name,
			       position_filename(pos, first));
	lane->tmp = xasprintf("%s.%" PRId64 ".tmp", lane->name, k->fence);
}

/* --- writing --- */

static int write_at(const struct files *k, const struct files_lane *lane, const char *p, size_t n,
		    uint64_t offset, struct error *err)
{
	while (n) {
		int code = failpoint_errno("files_write");
		ssize_t done = code ? -1 : pwrite(lane->fd, p, n, (off_t)offset);

		if (done < 0) {
			code = code ? code : errno;
			if (code == EINTR)
				continue;
			return fail_file(err, k, "write to", lane->tmp, code);
		}
		p += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

static int close_lane(struct files *k, struct files_lane *lane, struct error *err)
{
	int fd = lane->fd;

	lane->fd = -1;
	if (fd < 0)
		return 0;
	k->nopen--;
	if (close(fd) && errno != EINTR)
		return fail_file(err, k, "close", lane->tmp, errno);
	return 0;
}

/* Makes room among the open files: the one written to longest ago is appended to again when needed. */
static int close_oldest(struct files *k, struct error *err)
{
	struct files_lane *oldest = NULL;

	if (k->nopen < MOST_OPEN)
		return 0;
	for (struct files_lane *lane = k->active; lane; lane = lane->next)
		if (lane->fd >= 0 && (!oldest || lane->used < oldest->used))
			oldest = lane;
	return oldest ? close_lane(k, oldest, err) : 0;
}

/* The file's header, with the place where tailrace.last is filled in at the end. */
static int put_header(const struct files *k, struct files_lane *lane, struct buf *out,
		      struct error *err)
{
	const struct table_schemas *s = &lane->table->schemas;
	char first[POSITION_TEXT], blank[FILES_LAST_WIDTH];
	const struct ocf_meta meta[] = {
		{ "tailrace.pipeline", str_z(k->config->pipeline.name) },
		{ "tailrace.first", str_z(position_text(&lane->first, first)) },
		{ LAST_KEY, { blank, sizeof blank } },
		/* What `tailrace events` reads the rows by; a message's table has none. */
		{ "tailrace.table", lane->table->definition },
	};
	size_t nmeta = lane->table->definition.n ? COUNT(meta) : COUNT(meta) - 1;
	AUTO(buf) struct buf mark = { 0 };

	memset(blank, ' ', sizeof blank);
	buf_clear(out);
	ocf_header(out, k->set->format == FORMAT_FLAT ? s->flat : s->envelope,
		   (enum ocf_codec)k->set->compression, meta, nmeta, lane->sync);
	avro_put_bytes(&mark, STR(LAST_KEY));
	avro_put_bytes(&mark, (struct str){ blank, sizeof blank });

	const char *at = memmem(out->p, out->n, mark.p, mark.n);

	if (!at)
		return fail(err, ERR_FATAL, "the header of %s/%s has no " LAST_KEY, k->path,
			    lane->tmp);
	lane->last_offset = (uint64_t)(at - out->p) + mark.n - sizeof blank;
	return 0;
}

static int open_lane(struct files *k, struct files_lane *lane, struct error *err)
{
	AUTO(free) char *path = files_path(k, lane->tmp);
	AUTO(free) char *folder = files_path(k, lane->folder);
	int flags = O_WRONLY | O_CLOEXEC | (lane->made ? 0 : O_CREAT | O_EXCL);

	if (lane->fd >= 0)
		return 0;
	if (close_oldest(k, err) || (!lane->made && folder_make(folder, err)))
		return -1;
	lane->fd = open(path, flags, 0666);
	if (lane->fd < 0)
		return fail_file(err, k, lane->made ? "open" : "make", lane->tmp, errno);
	k->nopen++;
	if (lane->made)
		return 0;
	lane->made = true;
	if (put_header(k, lane, &k->block, err) ||
	    write_at(k, lane, k->block.p, k->block.n, 0, err))
		return -1;
	lane->bytes = k->block.n;
	k->bytes += k->block.n;
	return 0;
}

static void free_pending(struct files *k, struct files_lane *lane)
{
	k->room -= lane->pending.room;
	buf_free(&lane->pending);
}

/* What the disk has begun to write, the sync at the end need not wait for.  A hint: that sync reports what fails. */
static void write_back(struct files_lane *lane)
{
	if (lane->bytes - lane->given < WRITE_BACK)
		return;
	(void)sync_file_range(lane->fd, (off_t)lane->given, (off_t)(lane->bytes - lane->given),
			      SYNC_FILE_RANGE_WRITE);
	lane->given = lane->bytes;
}

static int flush(struct files *k, struct files_lane *lane, struct error *err)
{
	struct str records = { lane->pending.p, lane->pending.n };

	if (!lane->npending)
		return 0;
	if (open_lane(k, lane, err))
		return -1;
	buf_clear(&k->block);
	if (ocf_block(&k->block, k->codec, lane->sync, lane->npending, records, err))
		return error_prefix(err, "%s/%s", k->path, lane->tmp);
	if (write_at(k, lane, k->block.p, k->block.n, lane->bytes, err))
		return -1;
	lane->bytes += k->block.n;
	k->bytes += k->block.n;
	k->bytes -= records.n;
	write_back(lane);
	lane->used = ++k->clock;
	lane->npending = 0;
	buf_clear(&lane->pending);
	if (lane->pending.room > KEEP_ROOM)
		free_pending(k, lane);
	if (k->block.room > KEEP_ROOM)
		buf_free(&k->block);
	return 0;
}

static int flush_largest(struct files *k, struct error *err)
{
	struct files_lane *largest = k->active;

	for (struct files_lane *lane = k->active; lane; lane = lane->next)
		if (lane->pending.room > largest->pending.room)
			largest = lane;
	if (flush(k, largest, err))
		return -1;
	free_pending(k, largest);
	return 0;
}

int files_added(struct files *k, struct files_lane *lane, const struct position *pos,
		unsigned records, size_t room, size_t bytes, struct error *err)
{
	lane->last = *pos;
	lane->records += records;
	lane->npending += records;
	k->bytes += bytes;
	k->room += lane->pending.room - room;
	if (lane->pending.n >= BLOCK_BYTES && flush(k, lane, err))
		return -1;
	while (k->active && k->room > MOST_ROOM)
		if (flush_largest(k, err))
			return -1;
	return 0;
}

/* --- finishing --- */

static int finish_lane(struct files *k, struct files_lane *lane, struct error *err)
{
	char text[POSITION_TEXT], last[FILES_LAST_WIDTH + 1];
	AUTO(free) char *folder = files_path(k, lane->folder);
	int code;

	if (flush(k, lane, err) || open_lane(k, lane, err))
		return -1;
	free_pending(k, lane);
	snprintf(last, sizeof last, "%-*s", FILES_LAST_WIDTH, position_text(&lane->last, text));
	if (write_at(k, lane, last, FILES_LAST_WIDTH, lane->last_offset, err))
		return -1;
	code = failpoint_errno("files_sync");
	if (code || fsync(lane->fd))
		return fail_file(err, k, "sync", lane->tmp, code ? code : errno);
	return close_lane(k, lane, err) ? -1 : folder_sync(folder, err);
}

int files_sync(struct files *k, struct error *err)
{
	for (struct files_lane *lane = k->active; lane; lane = lane->next)
		if (finish_lane(k, lane, err))
			return -1;
	return 0;
}

static void lane_clear(struct files *k, struct files_lane *lane)
{
	free_pending(k, lane);
	free(lane->tmp);
	free(lane->name);
	if (lane->retired) {
		free(lane->folder);
		free(lane);
		return;
	}
	*lane = (struct files_lane){ .table = lane->table,
				     .collection = lane->collection,
				     .folder = lane->folder,
				     .reserved = lane->reserved,
				     .fd = -1 };
}

void files_keep(struct files *k)
{
	for (struct files_lane *lane = k->active; lane; lane = lane->next)
		lane->made = false;
}

int files_rename(struct files *k, struct error *err)
{
	for (struct files_lane *lane = k->active; lane; lane = lane->next) {
		AUTO(free) char *tmp = files_path(k, lane->tmp);
		AUTO(free) char *name = files_path(k, lane->name);

		if (rename(tmp, name))
			return fail_file(err, k, "rename", lane->tmp, errno);
		failpoint("renamed");
	}
	for (struct files_lane *lane = k->active; lane; lane = lane->next) {
		AUTO(free) char *folder = files_path(k, lane->folder);

		if (folder_sync(folder, err))
			return -1;
	}
	while (k->active) {
		struct files_lane *lane = k->active;

		k->active = lane->next;
		lane_clear(k, lane);
	}
	k->bytes = 0;
	return 0;
}

void files_discard(struct files *k)
{
	while (k->active) {
		struct files_lane *lane = k->active;
		AUTO(free) char *tmp = files_path(k, lane->tmp);

		k->active = lane->next;
		if (lane->fd >= 0)
			close(lane->fd);
		if (lane->made)
			unlink(tmp); /* what stays is removed by the next open */
		lane_clear(k, lane);
	}
	k->bytes = 0;
	k->nopen = 0;
}
