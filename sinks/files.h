/*
 * files.h - the parts of the files sink (private to sinks/files*.c)
 *
 * files.c           ops; events to records
 * files_out.c       one unfinished file a table version: buffered, written, synced, renamed
 * files_manifest.c  the checkpoint, the fence and the list of files; recovery
 */
#ifndef SINK_FILES_H
#define SINK_FILES_H

#include "avro.h"
#include "ocf.h"
#include "settings.h"

#define FILES_LAST_WIDTH 60	/* of tailrace.last, blank padded */

/* Counts the events of one table in a transaction, whatever its versions. */
struct files_collection {
	struct files_collection *next;
	struct str	schema, name;	/* borrowed from the first version seen */
	struct position	transaction;
	int64_t		order;
	struct files_lane *last;	/* the lane of the record before; NULL */
};

/* A table version and its unfinished file. */
struct files_lane {
	const struct table *table;
	struct files_collection *collection;
	char		*folder;	/* relative to the sink's path: public.orders/v1 */
	struct files_lane *next;	/* of those with an unfinished file */
	bool		reserved;	/* the folder is not the table's */
	bool		retired;	/* not in `lanes` any more, freed with its file */
	bool		active, made;	/* has records; its .tmp is there */
	int		fd;		/* -1: closed to keep the number of open files bounded */
	char		*tmp, *name;	/* relative */
	uint8_t		sync[16];
	uint64_t	bytes, records, last_offset, used;
	uint64_t	given;		/* bytes that the disk was told to write */
	struct position	first, last;
	struct buf	pending;	/* records that are not yet a block */
	uint64_t	npending;
};

struct files {
	struct sink	sink;
	const struct config *config;
	const struct sink_config *sink_config;
	const struct files_settings *set;
	const char	*path;
	struct avro_source source;
	int64_t		fence;
	struct checkpoint committed;
	struct files_lane **lanes;	/* by table id; 0: messages */
	size_t		nlanes, nopen, room;	/* room: bytes of memory behind all pending buffers */
	struct files_collection *collections;
	struct files_lane *active;
	uint64_t	bytes, clock;	/* bytes: in unfinished files, buffers included */
	int64_t		since_us;	/* monotonic time of the first event after the last commit; 0: none */
	struct ocf_codec_state *codec;
	struct buf	block, image;
	struct table	*messages;	/* prefix and content, as a table */
};

/* --- files_out.c --- */

/* The lane's file takes records from `pos` on; nothing is on disk before the first flush. */
void files_begin(struct files *k, struct files_lane *lane, const struct position *pos);
/* After records were added to lane->pending: counts them, flushes what is due.  `room` is pending.room before. */
MUST_CHECK int files_added(struct files *k, struct files_lane *lane, const struct position *pos, unsigned records,
			   size_t room, size_t bytes, struct error *err);
/* Everything written, tailrace.last filled in, synced; folders too. */
MUST_CHECK int files_sync(struct files *k, struct error *err);
/* From here on a manifest may list the unfinished files: files_discard() leaves them to the next open. */
void files_keep(struct files *k);
/* To their final names, folders synced; the lanes are empty afterwards. */
MUST_CHECK int files_rename(struct files *k, struct error *err);
/* Throws away what is unfinished. */
void files_discard(struct files *k);

/* --- files_manifest.c --- */

/*
 * Takes the lock, finishes the renames that the manifest lists, removes other .tmp files of this pipeline, and
 * raises the fence (k->fence == 0) or compares it.
 */
MUST_CHECK int files_recover(struct files *k, bool fenced, struct error *err);
/* Is the manifest's fence still mine?  ERR_FATAL EXIT_FENCED. */
MUST_CHECK int files_fence_check(const struct files *k, struct error *err);
/* The commit: fence compared, manifest written, synced, renamed; then files_rename(), all under the lock. */
MUST_CHECK int files_publish(struct files *k, const struct checkpoint *upto, struct error *err);
char *files_path(const struct files *k, const char *relative);	/* malloced */

#endif
