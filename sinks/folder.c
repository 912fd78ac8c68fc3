/*
 * folder.c - folders that survive a power cut, and what an errno means to a sink
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"

enum error_kind errno_kind(int code)
{
	switch (code) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case ENOENT: /* somebody removed it: the next open makes it again */
	case ESTALE:
	case ETIMEDOUT:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
	case EINTR:
	case EBUSY:
	case ENODEV:
		return ERR_RETRY;
	default:
		return ERR_FATAL;
	}
}

/* The folder above `path`: "." for a bare name; malloced. */
static char *parent_of(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n ? xstrndup(path, n) : xstrdup(".");
}

int folder_sync(const char *path, struct error *err)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(err, errno_kind(errno), "cannot open folder %s: %s", path,
			    strerror(errno));
	if (fsync(fd))
		return fail(err, errno_kind(errno), "cannot sync folder %s: %s", path,
			    strerror(errno));
	return 0;
}

int folder_make(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return fail(err, ERR_FATAL, "%s is not a folder", path);
		return 0;
	}
	if (errno != ENOENT)
		return fail(err, errno_kind(errno), "cannot look at folder %s: %s", path,
			    strerror(errno));

	AUTO(free) char *parent = parent_of(path);

	if (folder_make(parent, err))
		return -1;
	if (mkdir(path, 0777) && errno != EEXIST)
		return fail(err, errno_kind(errno), "cannot make folder %s: %s", path,
			    strerror(errno));
	return folder_sync(parent, err);
}

int folder_make_for(const char *path, struct error *err)
{
	AUTO(free) char *parent = parent_of(path);

	return folder_make(parent, err);
}

int folder_check(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return fail(err, ERR_FATAL, "%s is not a folder", path);
		if (access(path, W_OK | X_OK))
			return fail(err, ERR_FATAL, "cannot write to folder %s: %s", path,
				    strerror(errno));
		return 0;
	}
	if (errno != ENOENT)
		return fail(err, ERR_FATAL, "cannot look at folder %s: %s", path, strerror(errno));

	AUTO(free) char *parent = parent_of(path);

	return folder_check(parent, err);
}
