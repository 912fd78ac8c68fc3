/*
 * stall.c - LD_PRELOAD shim: fsync() and fdatasync() below STALL_DIR wait while STALL_FILE exists
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int stalled(int fd, long call)
{
	const char *dir = getenv("STALL_DIR"), *file = getenv("STALL_FILE");
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n > 0 && dir && file) {
		path[n] = '\0';
		if (strncmp(path, dir, strlen(dir)) == 0)
			while (access(file, F_OK) == 0)
				usleep(20000);
	}
	return (int)syscall(call, fd);
}

int fsync(int fd)
{
	return stalled(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return stalled(fd, SYS_fdatasync);
}
