/*
 * files_manifest.c - _tailrace/<pipeline>-<sink>.json: the checkpoint, the fence, the files of a commit
 *
 * Its rename is the commit point.  What it lists is synced under .tmp names before, and gets its
 * final names after; an open finishes that.  A lock file keeps the comparison of the fence and the
 * rename together: two instances on one host cannot pass it at once.
 *
 *	{"fence":7,"position":"1/0/16B3748/9","resume":{...},"snapshot":[...],"stopped":{...},
 *	 "time":"2026-01-02T03:04:05.678901Z","files":[{"tmp","name","records","bytes","first","last",
 *	 "fingerprint"}]}
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "failpoint.h"
#include "files.h"
#include "folder.h"
#include "log.h"

#define LOCK_TRIES   20
#define LOCK_WAIT_US 50000
#define MOST_BYTES   ((off_t)1 << 30)

static void json_cleanup(json_t **j)
{
	json_decref(*j);
}

char *files_path(const struct files *k, const char *relative)
{
	return xasprintf("%s/%s", k->path, relative);
}

static char *own_path(const struct files *k, const char *suffix)
{
	return xasprintf("%s/_tailrace/%s-%s%s", k->path, k->config->pipeline.name,
			 k->sink_config->name, suffix);
}

/* --- the lock --- */

/* An open descriptor that holds the lock; -1 when another process keeps it. */
static int lock(const struct files *k, struct error *err)
{
	AUTO(free) char *path = own_path(k, ".lock");
	AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	char pid[32] = "";

	if (fd < 0)
		return fail(err, errno_kind(errno), "cannot open %s: %s", path, strerror(errno));
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail(err, errno_kind(errno), "cannot lock %s: %s", path,
				    strerror(errno));
		if (i == LOCK_TRIES) {
			ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

			pid[n > 0 ? n : 0] = '\0';
			return fail(err, ERR_RETRY,
				    "%s is locked: another instance of the pipeline is inside a "
				    "commit (pid %s)",
				    path, n > 0 ? pid : "unknown");
		}
		usleep(LOCK_WAIT_US);
	}

	int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	int held = fd;

	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
		return fail(err, errno_kind(errno), "cannot write %s: %s", path, strerror(errno));
	fd = -1;
	return held;
}

/* --- reading and writing --- */

/* *out NULL: there is none. */
static int manifest_read(const struct files *k, json_t **out, struct error *err)
{
	AUTO(free) char *path = own_path(k, ".json");
	json_error_t why;
	struct stat st;

	*out = NULL;
	if (stat(path, &st)) {
		if (errno == ENOENT)
			return 0;
		return fail(err, errno_kind(errno), "cannot look at %s: %s", path, strerror(errno));
	}
	if (st.st_size > MOST_BYTES)
		return fail(err, ERR_FATAL, "%s has %lld bytes: it is no manifest", path,
			    (long long)st.st_size);
	*out = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!*out || !json_is_integer(json_object_get(*out, "fence")) ||
	    !json_is_array(json_object_get(*out, "files")))
		return fail(
			err, ERR_FATAL,
			"%s is damaged (%s); restore it from a backup of the folder: it holds the "
			"checkpoint",
			path, *out ? "fence or files is missing" : why.text);
	return 0;
}

static int write_file(const char *path, const char *text, struct error *err)
{
	AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	size_t n = strlen(text);

	if (fd < 0)
		return fail(err, errno_kind(errno), "cannot make %s: %s", path, strerror(errno));
	while (n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fail(err, errno_kind(errno), "cannot write to %s: %s", path,
				    strerror(errno));
		text += done;
		n -= (size_t)done;
	}
	if (fsync(fd))
		return fail(err, errno_kind(errno), "cannot sync %s: %s", path, strerror(errno));
	return 0;
}

/* Written, synced and renamed: when this returns 0 it is the manifest, whatever happens next. */
static int manifest_write(const struct files *k, const json_t *manifest, struct error *err)
{
	AUTO(free) char *path = own_path(k, ".json");
	AUTO(free) char *tmp = own_path(k, ".json.tmp");
	AUTO(free) char *folder = files_path(k, "_tailrace");
	AUTO(free) char *text = manifest ? json_dumps(manifest, JSON_INDENT(1)) : NULL;

	if (!text)
		return fail(err, ERR_FATAL, "%s cannot be made: the name of a table is not UTF-8",
			    path);
	if (write_file(tmp, text, err))
		return -1;
	if (rename(tmp, path))
		return fail(err, errno_kind(errno), "cannot rename %s: %s", tmp, strerror(errno));
	return folder_sync(folder, err);
}

static json_t *now(void)
{
	struct timespec ts;
	struct tm tm;
	char text[40], all[64];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(all, sizeof all, "%s.%06ldZ", text, ts.tv_nsec / 1000);
	return json_string(all);
}

static json_t *parsed(const char *json)
{
	json_t *j = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;

	return j ? j : json_null();
}

static json_t *file_entry(const struct files *k, const struct files_lane *lane)
{
	const struct table_schemas *s = &lane->table->schemas;
	uint64_t fp = k->set->format == FORMAT_FLAT ? s->fp_flat : s->fp_envelope;
	char first[POSITION_TEXT], last[POSITION_TEXT], print[17];

	snprintf(print, sizeof print, "%016" PRIx64, fp);
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "tmp", lane->tmp, "name",
			 lane->name, "records", (json_int_t)lane->records, "bytes",
			 (json_int_t)lane->bytes, "first", position_text(&lane->first, first),
			 "last", position_text(&lane->last, last), "fingerprint", print);
}

static json_t *manifest_make(const struct files *k, const struct checkpoint *upto)
{
	json_t *files = json_array();
	char position[POSITION_TEXT];

	for (const struct files_lane *lane = k->active; lane; lane = lane->next) {
		if (json_array_append_new(files, file_entry(k, lane))) {
			json_decref(files); /* a name that is not UTF-8 */
			return NULL;
		}
	}
	return json_pack("{s:I, s:s?, s:o, s:o, s:o, s:o, s:o}", "fence", (json_int_t)k->fence,
			 "position", upto->resume ? position_text(&upto->pos, position) : NULL,
			 "resume", parsed(upto->resume), "snapshot", parsed(upto->snapshot),
			 "stopped", parsed(upto->stopped), "time", now(), "files", files);
}

/* --- the fence --- */

static int fence_compare(const struct files *k, const json_t *manifest, struct error *err)
{
	json_int_t fence = manifest ? json_integer_value(json_object_get(manifest, "fence")) : 0;
	AUTO(free) char *path = own_path(k, ".json");

	if (fence > k->fence)
		return fail_exit(
			err, EXIT_FENCED,
			"%s: fenced by another instance of pipeline %s (fence %lld, mine is "
			"%lld)",
			path, k->config->pipeline.name, (long long)fence, (long long)k->fence);
	if (fence < k->fence)
		return fail(err, ERR_FATAL,
			    "%s is gone or older than this process: the folder was replaced or "
			    "restored; restart to go on from what it holds",
			    path);
	return 0;
}

int files_fence_check(const struct files *k, struct error *err)
{
	AUTO(json) json_t *manifest = NULL;

	return manifest_read(k, &manifest, err) ? -1 : fence_compare(k, manifest, err);
}

int files_publish(struct files *k, const struct checkpoint *upto, struct error *err)
{
	AUTO(fd) int held = lock(k, err);
	__attribute__((cleanup(json_cleanup))) json_t *old = NULL;
	__attribute__((cleanup(json_cleanup))) json_t *manifest = NULL;

	if (held < 0 || manifest_read(k, &old, err) || fence_compare(k, old, err))
		return -1;
	manifest = manifest_make(k, upto);
	files_keep(k);
	if (manifest_write(k, manifest, err))
		return -1;
	failpoint("committed");
	return files_rename(k, err);
}

/* --- recovery --- */

/* A rename that the manifest lists and that was not done; what is no longer there was done. */
static int finish_rename(const struct files *k, const char *tmp, const char *name,
			 struct error *err)
{
	AUTO(free) char *from = files_path(k, tmp);
	AUTO(free) char *to = files_path(k, name);
	AUTO(free) char *folder = xstrndup(to, (size_t)(strrchr(to, '/') - to));

	if (rename(from, to)) {
		if (errno == ENOENT)
			return 0;
		return fail(err, errno_kind(errno), "cannot rename %s: %s", from, strerror(errno));
	}
	log_info("file of the last commit finished", "sink", k->sink_config->name, "file", to,
		 NULL);
	return folder_sync(folder, err);
}

static bool is_relative(const char *path)
{
	return path && *path && *path != '/' && !strstr(path, "../");
}

static int finish_renames(const struct files *k, const json_t *manifest, struct error *err)
{
	const json_t *files = json_object_get(manifest, "files"), *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		const char *tmp = json_string_value(json_object_get(file, "tmp"));
		const char *name = json_string_value(json_object_get(file, "name"));

		if (!is_relative(tmp) || !is_relative(name))
			return fail(err, ERR_FATAL,
				    "%s/_tailrace/%s-%s.json lists a file without tmp or name",
				    k->path, k->config->pipeline.name, k->sink_config->name);
		if (finish_rename(k, tmp, name, err))
			return -1;
	}
	return 0;
}

static const char *skip_hex(const char *p, size_t least, size_t most)
{
	size_t n = strspn(p, "0123456789abcdef");

	return n >= least && n <= most ? p + n : NULL;
}

/* Is this an unfinished file of ours?  <pipeline>-<position>.avro[.<fence>].tmp */
static bool is_own_tmp(const struct files *k, const char *file)
{
	const char *pipeline = k->config->pipeline.name, *p = file;
	static const size_t least[] = { 2, 6, 16, 16 }, most[] = { 8, 8, 16, 16 };

	if (strncmp(p, pipeline, strlen(pipeline)) != 0)
		return false;
	p += strlen(pipeline);
	for (size_t i = 0; i < COUNT(least); i++)
		if (*p++ != '-' || !(p = skip_hex(p, least[i], most[i])))
			return false;
	if (strncmp(p, ".avro.", 6) != 0)
		return false;
	p += 6;
	p += strspn(p, "0123456789");
	return strcmp(*p == '.' ? p + 1 : p, "tmp") == 0;
}

static void dir_cleanup(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define AUTO_DIR __attribute__((cleanup(dir_cleanup))) DIR *

static int remove_in(const struct files *k, const char *folder, struct error *err)
{
	AUTO_DIR d = opendir(folder);

	if (!d)
		return errno == ENOTDIR || errno == ENOENT
			       ? 0
			       : fail(err, errno_kind(errno), "cannot read folder %s: %s", folder,
				      strerror(errno));
	for (struct dirent *e; (e = readdir(d));) {
		if (!is_own_tmp(k, e->d_name))
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) && errno != ENOENT)
			return fail(err, errno_kind(errno), "cannot remove %s/%s: %s", folder,
				    e->d_name, strerror(errno));
		log_info("unfinished file removed", "sink", k->sink_config->name, "file", e->d_name,
			 NULL);
	}
	return 0;
}

static int remove_below(const struct files *k, const char *folder, struct error *err)
{
	AUTO_DIR d = opendir(folder);

	if (!d)
		return errno == ENOTDIR || errno == ENOENT
			       ? 0
			       : fail(err, errno_kind(errno), "cannot read folder %s: %s", folder,
				      strerror(errno));
	for (struct dirent *e; (e = readdir(d));) {
		AUTO(free) char *below = xasprintf("%s/%s", folder, e->d_name);

		if (e->d_name[0] == 'v' && remove_in(k, below, err))
			return -1;
	}
	return 0;
}

static int remove_unfinished(const struct files *k, struct error *err)
{
	AUTO_DIR d = opendir(k->path);

	if (!d)
		return fail(err, errno_kind(errno), "cannot read folder %s: %s", k->path,
			    strerror(errno));
	for (struct dirent *e; (e = readdir(d));) {
		AUTO(free) char *below = files_path(k, e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, "_tailrace") == 0)
			continue;
		if (remove_below(k, below, err))
			return -1;
	}
	return 0;
}

/* The checkpoint of the manifest into k->committed. */
static int take_checkpoint(struct files *k, const json_t *manifest, struct error *err)
{
	const char *position = json_string_value(json_object_get(manifest, "position"));
	const json_t *resume = json_object_get(manifest, "resume");
	const json_t *snapshot = json_object_get(manifest, "snapshot");
	const json_t *stopped = json_object_get(manifest, "stopped");

	if (!position)
		return 0;
	if (position_parse(str_z(position), &k->committed.pos) || !json_is_object(resume))
		return fail(err, ERR_FATAL,
			    "%s/_tailrace/%s-%s.json holds a position that is none: %s", k->path,
			    k->config->pipeline.name, k->sink_config->name, position);
	k->committed.resume = json_dumps(resume, JSON_COMPACT);
	if (json_is_array(snapshot))
		k->committed.snapshot = json_dumps(snapshot, JSON_COMPACT);
	if (json_is_object(stopped))
		k->committed.stopped = json_dumps(stopped, JSON_COMPACT);
	return 0;
}

/* Before anything is removed: an older instance must not commit files that are gone. */
static int fence_raise(struct files *k, json_t *manifest, struct error *err)
{
	json_int_t fence = json_integer_value(json_object_get(manifest, "fence"));

	k->fence = fence + 1;
	json_object_set_new(manifest, "fence", json_integer(k->fence));
	json_object_set_new(manifest, "time", now());
	return manifest_write(k, manifest, err);
}

int files_recover(struct files *k, bool fenced, struct error *err)
{
	AUTO(free) char *folder = files_path(k, "_tailrace");
	__attribute__((cleanup(json_cleanup))) json_t *manifest = NULL;

	if (folder_make(folder, err))
		return -1;

	AUTO(fd) int held = lock(k, err);

	if (held < 0 || manifest_read(k, &manifest, err))
		return -1;
	if (fenced && fence_compare(k, manifest, err))
		return -1;
	if (!manifest)
		manifest = manifest_make(k, &(struct checkpoint){ 0 });
	if (take_checkpoint(k, manifest, err) || (!fenced && fence_raise(k, manifest, err)) ||
	    finish_renames(k, manifest, err))
		return -1;
	return remove_unfinished(k, err);
}
