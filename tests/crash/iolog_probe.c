/*
 * iolog_probe.c - a program whose promises are known, to test iolog.so and disk.py with
 *
 *	iolog_probe files DIR		every kind of call that the shim follows
 *	iolog_probe sqlite DIR FULL|OFF	commits rows 1..200; says "n is durable" after each, in the form
 *					of a Postgres standby status message on a socket
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static void files(void)
{
	char page[10000], name[32];
	struct iovec parts[2] = { { page, 100 }, { page + 5000, 200 } };
	int fd, copy, folder;

	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (char)('a' + i % 26);
	must(mkdir("sub", 0755) == 0, "mkdir");
	fd = open("sub/a.tmp", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	must(fd >= 0, "open");
	must(write(fd, page, sizeof(page)) == sizeof(page), "write");
	must(pwrite(fd, "HELLO", 5, 4094) == 5, "pwrite");
	must(writev(fd, parts, 2) == 300, "writev");
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	must(copy >= 50 && write(copy, "copy", 4) == 4, "write to a copy of the descriptor");
	must(close(copy) == 0 && fsync(fd) == 0 && close(fd) == 0, "fsync");
	must(rename("sub/a.tmp", "sub/a") == 0, "rename");
	folder = open("sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(folder >= 0 && fsync(folder) == 0, "fsync of a folder");
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fd = openat(folder, name, O_CREAT | O_WRONLY | O_APPEND, 0644);
		must(fd >= 0 && write(fd, page, 600) == 600 && write(fd, page, 7) == 7, "append");
		must(ftruncate(fd, 300 + i) == 0 && close(fd) == 0, "ftruncate");
	}
	must(unlink("sub/n1") == 0 && unlinkat(folder, "n2", 0) == 0, "unlink");
	must(truncate("sub/n3", 5) == 0, "truncate");
	fd = open("sub/a", O_WRONLY | O_TRUNC);
	must(fd >= 0 && write(fd, "new", 3) == 3 && close(fd) == 0 && close(folder) == 0,
	     "rewrite");
	must(mkdir("gone", 0755) == 0 && rmdir("gone") == 0, "rmdir");
}

static void say_durable(int to, uint64_t n)
{
	uint8_t message[39] = { 'd', 0, 0, 0, 38, 'r' };

	for (int b = 0; b < 8; b++)
		message[14 + b] = (uint8_t)(n >> (56 - 8 * b));
	must(send(to, message, sizeof(message), MSG_NOSIGNAL) == sizeof(message), "send");
}

static void run(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, why);
		exit(1);
	}
}

static void sqlite(const char *synchronous)
{
	char sql[200];
	sqlite3 *db;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
	must(sqlite3_open("probe.db", &db) == SQLITE_OK, "sqlite3_open");
	run(db, "PRAGMA journal_mode=WAL");
	snprintf(sql, sizeof(sql), "PRAGMA synchronous=%s", synchronous);
	run(db, sql);
	run(db, "PRAGMA wal_autocheckpoint=20");
	run(db, "CREATE TABLE t(n INTEGER PRIMARY KEY, filler TEXT)");
	for (int i = 1; i <= 200; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO t VALUES(%d, hex(zeroblob(%d)))", i,
			 37 * i);
		run(db, sql);
		say_durable(pair[0], (uint64_t)i);
		must(recv(pair[1], sql, sizeof(sql), 0) == 39, "recv");
	}
	/* No close: it would remove the log file. */
}

int main(int argc, char **argv)
{
	if (argc < 3 || chdir(argv[2]) != 0)
		return 2;
	if (strcmp(argv[1], "files") == 0)
		files();
	else
		sqlite(argc > 3 ? argv[3] : "FULL");
	return 0;
}
