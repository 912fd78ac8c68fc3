/*
 * iolog.c - LD_PRELOAD shim: records everything a process does to some directories
 *
 * powercut.py replays the record up to any instant and makes the states in which a loss of power at
 * that instant could have left the disk.
 *
 *	IOLOG_DIRS	directories to watch, absolute, separated by ':'; they exist at the start
 *	IOLOG_FILE	the record, appended to; outside of the watched directories
 *
 * The record is a sequence of { struct record, path bytes, data bytes } in host order:
 *	'R' root	a watched directory: ino, path
 *	'C' create	ino, path: a new file (and 'D' mkdir, ino, path)
 *	'O' open	ino, path: a file that existed
 *	'W' write	ino, offset, data
 *	'T' truncate	ino, offset = new length
 *	'B' sync begun	ino, aux = number of this sync
 *	'E' sync ended	ino, aux; only if it succeeded
 *	'M' rename	path = old NUL new
 *	'U' unlink	path (and 'X' rmdir)
 *	'A' acknowledge	offset = the LSN that a Postgres standby status message calls flushed
 *	'!' blind	path = what happened: something this shim cannot follow; the record is void
 *
 * Any thread.  `lock` is held over a change and its record, so that the record's order is the order
 * in which things happened.  It is not held while a sync runs; a sync covers what was recorded before
 * its 'B' and counts from its 'E'.  An 'A' is recorded before it is sent.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD   65536
#define MAX_DIRS 16

struct record {
	uint32_t magic; /* RECORD_MAGIC */
	uint8_t kind, unused[3];
	uint32_t path, data; /* lengths of what follows */
	uint64_t ino, offset, aux;
};
#define RECORD_MAGIC 0x676f4c49u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int record_fd = -1;
static char *dirs[MAX_DIRS];
static size_t ndirs;
static uint64_t syncs;
static bool watched[MAX_FD]; /* by descriptor; a word each, set and cleared by its owner */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

static void put_all(const struct iovec *v, int n, size_t total)
{
	if (syscall(SYS_writev, record_fd, v, n) != (ssize_t)total)
		abort(); /* a record with a hole proves nothing */
}

/* The caller holds the lock. */
static void put(char kind, uint64_t ino, uint64_t offset, uint64_t aux, const char *path,
		size_t path_n, const void *data, size_t data_n)
{
	struct record r = { .magic = RECORD_MAGIC,
			    .kind = (uint8_t)kind,
			    .path = (uint32_t)path_n,
			    .data = (uint32_t)data_n,
			    .ino = ino,
			    .offset = offset,
			    .aux = aux };
	struct iovec v[3] = { { &r, sizeof(r) },
			      { (void *)(uintptr_t)path, path_n },
			      { (void *)(uintptr_t)data, data_n } };

	put_all(v, 3, sizeof(r) + path_n + data_n);
}

static void put_path(char kind, uint64_t ino, const char *path)
{
	put(kind, ino, 0, 0, path, strlen(path), NULL, 0);
}

static void setup(void)
{
	const char *list = getenv("IOLOG_DIRS"), *file = getenv("IOLOG_FILE");
	char *copy, *save = NULL;
	struct stat st;
	int fd;

	if (!list || !file)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0600);
	if (fd < 0)
		abort();
	/* High, so that the process's own numbers stay what they would be. */
	record_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	syscall(SYS_close, fd);
	copy = strdup(list);
	for (char *d = strtok_r(copy, ":", &save); d && ndirs < MAX_DIRS;
	     d = strtok_r(NULL, ":", &save)) {
		if (record_fd < 0 || stat(d, &st) != 0)
			abort();
		dirs[ndirs++] = d;
		put_path('R', st.st_ino, d);
	}
}

static void enter(void)
{
	pthread_once(&once, setup);
	pthread_mutex_lock(&lock);
}

static void leave(void)
{
	int kept = errno;

	pthread_mutex_unlock(&lock);
	errno = kept;
}

static bool inside(const char *path)
{
	size_t n = strlen(path);

	if (n > 4 && strcmp(path + n - 4, "-shm") == 0)
		return false; /* SQLite's shared memory: worth nothing after a restart */
	for (size_t i = 0; i < ndirs; i++) {
		size_t d = strlen(dirs[i]);

		if (strncmp(path, dirs[i], d) == 0 && (path[d] == '/' || path[d] == '\0'))
			return true;
	}
	return false;
}

/* The absolute path, or NULL where it is not watched.  The folder is resolved, the last name is not. */
static const char *full_path(int dirfd, const char *path, char out[PATH_MAX])
{
	char joined[PATH_MAX], folder[PATH_MAX], name[PATH_MAX], link[64];
	const char *slash;
	ssize_t n;

	pthread_once(&once, setup);
	if (ndirs == 0 || !path)
		return NULL;
	if (path[0] == '/') {
		snprintf(joined, sizeof(joined), "%s", path);
	} else if (dirfd == AT_FDCWD) {
		if (!getcwd(folder, sizeof(folder)))
			return NULL;
		snprintf(joined, sizeof(joined), "%.2000s/%.2000s", folder, path);
	} else {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, folder, sizeof(folder) - 1);
		if (n < 0)
			return NULL;
		folder[n] = '\0';
		snprintf(joined, sizeof(joined), "%.2000s/%.2000s", folder, path);
	}
	for (size_t end = strlen(joined); end > 1 && joined[end - 1] == '/'; end--)
		joined[end - 1] = '\0';
	slash = strrchr(joined, '/');
	snprintf(name, sizeof(name), "%s", slash + 1);
	joined[slash == joined ? 1 : slash - joined] = '\0';
	if (!realpath(joined, folder))
		return NULL;
	snprintf(out, PATH_MAX, "%.2000s/%.2000s", strcmp(folder, "/") == 0 ? "" : folder, name);
	return inside(out) ? out : NULL;
}

static uint64_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static bool is_watched(int fd)
{
	return fd >= 0 && fd < MAX_FD && __atomic_load_n(&watched[fd], __ATOMIC_ACQUIRE);
}

static void watch(int fd, bool on)
{
	if (fd >= 0 && fd < MAX_FD)
		__atomic_store_n(&watched[fd], on, __ATOMIC_RELEASE);
}

static void blind(const char *what)
{
	put_path('!', 0, what);
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	char full[PATH_MAX];
	const char *p = full_path(dirfd, path, full);
	struct stat st;
	bool existed;
	int fd;

	if (!p)
		return (int)syscall(SYS_openat, dirfd, path, flags, mode);
	enter();
	existed = lstat(p, &st) == 0;
	fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	if (fd >= 0) {
		watch(fd, true);
		if ((flags & O_TMPFILE) == O_TMPFILE)
			blind("O_TMPFILE");
		put_path(existed ? 'O' : 'C', ino_of(fd), p);
		if (existed && (flags & O_TRUNC))
			put('T', ino_of(fd), 0, 0, NULL, 0, NULL, 0);
	}
	leave();
	return fd;
}

#define OPEN_MODE(last)                                                                            \
	mode_t mode = 0;                                                                           \
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                      \
		va_list args;                                                                      \
		va_start(args, last);                                                              \
		mode = (mode_t)va_arg(args, int);                                                  \
		va_end(args);                                                                      \
	}

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(dirfd, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(dirfd, path, flags, mode);
}

/* What _FORTIFY_SOURCE makes of open() without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}
int __openat_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}
int __openat64_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static int made_temporary(int fd, const char *path)
{
	char full[PATH_MAX];
	const char *p = fd < 0 ? NULL : full_path(AT_FDCWD, path, full);

	if (p) {
		enter();
		watch(fd, true);
		put_path('C', ino_of(fd), p);
		leave();
	}
	return fd;
}

int mkstemp(char *path)
{
	return made_temporary(REAL(mkstemp)(path), path);
}

int mkostemp(char *path, int flags)
{
	return made_temporary(REAL(mkostemp)(path, flags), path);
}

/* stdio and mappings write behind our back. */
static void check_stream(const char *path, const char *mode)
{
	char full[PATH_MAX];

	if (strpbrk(mode, "wa+") && full_path(AT_FDCWD, path, full)) {
		enter();
		blind("fopen for writing");
		leave();
	}
}

FILE *fopen(const char *path, const char *mode)
{
	check_stream(path, mode);
	return REAL(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	check_stream(path, mode);
	return REAL(fopen64)(path, mode);
}

FILE *fdopen(int fd, const char *mode)
{
	if (is_watched(fd) && strpbrk(mode, "wa+")) {
		enter();
		blind("fdopen for writing");
		leave();
	}
	return REAL(fdopen)(fd, mode);
}

static void check_mapping(int fd, int prot, int flags)
{
	if (is_watched(fd) && (prot & PROT_WRITE) && (flags & MAP_SHARED)) {
		enter();
		blind("shared writable mapping");
		leave();
	}
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	check_mapping(fd, prot, flags);
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
	check_mapping(fd, prot, flags);
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

int close(int fd)
{
	watch(fd, false);
	return (int)syscall(SYS_close, fd);
}

int dup(int fd)
{
	int to = (int)syscall(SYS_dup, fd);

	watch(to, is_watched(fd));
	return to;
}

int dup2(int fd, int to)
{
	int got = REAL(dup2)(fd, to);

	watch(got, is_watched(fd));
	return got;
}

static int do_fcntl(int fd, int command, void *arg)
{
	int got = (int)syscall(SYS_fcntl, fd, command, arg);

	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		watch(got, is_watched(fd));
	return got;
}

#define FCNTL_BODY                                                                                 \
	va_list args;                                                                              \
	void *arg;                                                                                 \
	va_start(args, command);                                                                   \
	arg = va_arg(args, void *);                                                                \
	va_end(args);                                                                              \
	return do_fcntl(fd, command, arg);

int fcntl(int fd, int command, ...)
{
	FCNTL_BODY
}

int fcntl64(int fd, int command, ...)
{
	FCNTL_BODY
}

/* After a write of n bytes at `at`, or (at < 0) at the descriptor's own place. */
static void wrote(int fd, const struct iovec *v, int count, off_t at, ssize_t n)
{
	uint64_t ino = ino_of(fd);
	size_t left = n > 0 ? (size_t)n : 0;
	off_t to = at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - (off_t)left;

	for (int i = 0; i < count && left > 0; i++) {
		size_t part = v[i].iov_len < left ? v[i].iov_len : left;

		put('W', ino, (uint64_t)to, 0, NULL, 0, v[i].iov_base, part);
		to += (off_t)part;
		left -= part;
	}
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = { (void *)(uintptr_t)p, n };
	ssize_t got;

	if (!is_watched(fd))
		return syscall(SYS_write, fd, p, n);
	enter();
	got = syscall(SYS_write, fd, p, n);
	wrote(fd, &v, 1, -1, got);
	leave();
	return got;
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	ssize_t got;

	if (!is_watched(fd))
		return syscall(SYS_writev, fd, v, count);
	enter();
	got = syscall(SYS_writev, fd, v, count);
	wrote(fd, v, count, -1, got);
	leave();
	return got;
}

static ssize_t do_pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = { (void *)(uintptr_t)p, n };
	ssize_t got;

	if (!is_watched(fd))
		return syscall(SYS_pwrite64, fd, p, n, at);
	enter();
	got = syscall(SYS_pwrite64, fd, p, n, at);
	wrote(fd, &v, 1, at, got);
	leave();
	return got;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return do_pwrite(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return do_pwrite(fd, p, n, at);
}

static ssize_t do_pwritev(int fd, const struct iovec *v, int count, off_t at)
{
	ssize_t got;

	enter();
	got = syscall(SYS_pwritev, fd, v, count, at, 0);
	if (is_watched(fd))
		wrote(fd, v, count, at, got);
	leave();
	return got;
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
	return do_pwritev(fd, v, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t at)
{
	return do_pwritev(fd, v, count, at);
}

static int do_ftruncate(int fd, off_t length)
{
	int rc;

	if (!is_watched(fd))
		return (int)syscall(SYS_ftruncate, fd, length);
	enter();
	rc = (int)syscall(SYS_ftruncate, fd, length);
	if (rc == 0)
		put('T', ino_of(fd), (uint64_t)length, 0, NULL, 0, NULL, 0);
	leave();
	return rc;
}

int ftruncate(int fd, off_t length)
{
	return do_ftruncate(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
	return do_ftruncate(fd, length);
}

int truncate(const char *path, off_t length)
{
	int fd = do_open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0), rc;

	if (fd < 0)
		return -1;
	rc = do_ftruncate(fd, length);
	close(fd);
	return rc;
}

/* Reserved room reads as zeros: a truncate to a greater length, where it makes the file longer. */
static int do_allocate(int fd, int mode, off_t offset, off_t n)
{
	struct stat st;
	int rc;

	if (!is_watched(fd))
		return (int)syscall(SYS_fallocate, fd, mode, offset, n);
	enter();
	if (mode != 0)
		blind("fallocate with a mode");
	rc = (int)syscall(SYS_fallocate, fd, mode, offset, n);
	if (rc == 0 && fstat(fd, &st) == 0)
		put('T', st.st_ino, (uint64_t)st.st_size, 0, NULL, 0, NULL, 0);
	leave();
	return rc;
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
	return do_allocate(fd, mode, offset, n);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t n)
{
	return do_allocate(fd, mode, offset, n);
}

int posix_fallocate(int fd, off_t offset, off_t n)
{
	return do_allocate(fd, 0, offset, n) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off64_t offset, off64_t n)
{
	return do_allocate(fd, 0, offset, n) == 0 ? 0 : errno;
}

static int do_sync(int fd, long call)
{
	uint64_t ino, number;
	int rc;

	if (!is_watched(fd))
		return (int)syscall(call, fd);
	enter();
	ino = ino_of(fd);
	number = ++syncs;
	put('B', ino, 0, number, NULL, 0, NULL, 0);
	leave();
	rc = (int)syscall(call, fd);
	enter();
	if (rc == 0)
		put('E', ino, 0, number, NULL, 0, NULL, 0);
	leave();
	return rc;
}

int fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

static int do_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	char a[PATH_MAX], b[PATH_MAX], both[2 * PATH_MAX];
	const char *old = full_path(from_dir, from, a), *new = full_path(to_dir, to, b);
	int rc;

	enter();
	rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	if (rc == 0 && old && new) {
		size_t n = strlen(old) + 1 + strlen(new);

		snprintf(both, sizeof(both), "%s%c%s", old, 0, new);
		put('M', 0, 0, 0, both, n, NULL, 0);
	}
	if (rc == 0 && (!old != !new || ((flags & RENAME_EXCHANGE) && old)))
		blind("rename across the border, or exchange");
	leave();
	return rc;
}

int rename(const char *from, const char *to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return do_rename(from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return do_rename(from_dir, from, to_dir, to, flags);
}

static int do_unlink(int dirfd, const char *path, int flags)
{
	char full[PATH_MAX];
	const char *p = full_path(dirfd, path, full);
	int rc;

	if (!p)
		return (int)syscall(SYS_unlinkat, dirfd, path, flags);
	enter();
	rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	if (rc == 0)
		put_path(flags & AT_REMOVEDIR ? 'X' : 'U', 0, p);
	leave();
	return rc;
}

int unlink(const char *path)
{
	return do_unlink(AT_FDCWD, path, 0);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	return do_unlink(dirfd, path, flags);
}

int rmdir(const char *path)
{
	return do_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	struct stat st;
	bool folder = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);

	return do_unlink(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}

static int do_mkdir(int dirfd, const char *path, mode_t mode)
{
	char full[PATH_MAX];
	const char *p = full_path(dirfd, path, full);
	struct stat st;
	int rc;

	if (!p)
		return (int)syscall(SYS_mkdirat, dirfd, path, mode);
	enter();
	rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	if (rc == 0 && lstat(p, &st) == 0)
		put_path('D', st.st_ino, p);
	leave();
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return do_mkdir(AT_FDCWD, path, mode);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return do_mkdir(dirfd, path, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	char full[PATH_MAX];

	if (full_path(to_dir, to, full)) {
		enter();
		blind("link");
		leave();
	}
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
	if (is_watched(out)) {
		enter();
		blind("copy_file_range");
		leave();
	}
	return syscall(SYS_copy_file_range, in, in_at, out, out_at, n, flags);
}

/* CopyData ('d', length 38) with a standby status update ('r'): the second of its LSNs is "flushed". */
static void look_for_acknowledgement(const uint8_t *p, size_t n)
{
	static const uint8_t head[] = { 'd', 0, 0, 0, 38, 'r' };

	for (size_t i = 0; i + 39 <= n; i++) {
		uint64_t lsn = 0;

		if (memcmp(p + i, head, sizeof(head)) != 0)
			continue;
		for (size_t b = 0; b < 8; b++)
			lsn = lsn << 8 | p[i + sizeof(head) + 8 + b];
		put('A', 0, lsn, 0, NULL, 0, NULL, 0);
		i += 38;
	}
}

static void sending(const void *p, size_t n)
{
	enter();
	if (ndirs > 0)
		look_for_acknowledgement(p, n);
	leave();
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	sending(p, n);
	return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to,
	       socklen_t to_n)
{
	sending(p, n);
	return syscall(SYS_sendto, fd, p, n, flags, to, to_n);
}
