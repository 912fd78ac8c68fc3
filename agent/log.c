/*
 * log.c - log lines on stderr
 *
 * Any thread.  Level, format and journal are atomics; `lock` guards the pipeline's name, and keeps
 * a line that needs several writes whole.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static atomic_int least = LOG_LEVEL_INFO;
static atomic_int form = LOG_FORMAT_LOGFMT;
static atomic_bool journal;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char pipeline_name[64];

static const struct {
	const char *name;
	int priority; /* of syslog */
} levels[] = {
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_ERROR] = { "error", 3 },
};

/* systemd sets JOURNAL_STREAM=device:inode; the variable alone may be inherited by accident. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format, const char *pipeline)
{
	atomic_store(&least, level);
	atomic_store(&form, format);
	atomic_store(&journal, stderr_is_journal());
	pthread_mutex_lock(&lock);
	snprintf(pipeline_name, sizeof pipeline_name, "%s", pipeline ? pipeline : "");
	pthread_mutex_unlock(&lock);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&least, memory_order_relaxed);
}

static void add_pair(struct buf *b, enum log_format format, const char *key, const char *value)
{
	if (format == LOG_FORMAT_JSON) {
		buf_addc(b, ',');
		buf_json(b, str_z(key));
		buf_addc(b, ':');
		buf_json(b, str_z(value));
		return;
	}
	buf_addf(b, " %s=", key);
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"=\\", *p)) {
			buf_json(b, str_z(value));
			return;
		}
	}
	buf_adds(b, *value ? value : "\"\"");
}

/* The first pair. */
static void add_time(struct buf *b, enum log_format format)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(b, format == LOG_FORMAT_JSON ? "{\"ts\":\"%s.%03ldZ\"" : "ts=%s.%03ldZ", date,
		 now.tv_nsec / 1000000);
}

/* Under the lock. */
static void write_line(struct str line)
{
	while (line.n) {
		ssize_t n = write(STDERR_FILENO, line.p, line.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break; /* nobody is left to tell */
		line = (struct str){ line.p + n, line.n - (size_t)n };
	}
}

void log_line(enum log_level level, const char *message, ...)
{
	enum log_format format = (enum log_format)atomic_load(&form);
	const char *key, *value;
	AUTO(buf) struct buf b = { 0 };
	int error = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	if (atomic_load(&journal))
		buf_addf(&b, "<%d>", levels[level].priority);
	add_time(&b, format);
	add_pair(&b, format, "level", levels[level].name);
	add_pair(&b, format, "msg", message);
	va_start(ap, message);
	while ((key = va_arg(ap, const char *)) && (value = va_arg(ap, const char *)))
		add_pair(&b, format, key, value);
	va_end(ap);
	pthread_mutex_lock(&lock);
	if (*pipeline_name)
		add_pair(&b, format, "pipeline", pipeline_name);
	buf_adds(&b, format == LOG_FORMAT_JSON ? "}\n" : "\n");
	write_line((struct str){ b.p, b.n });
	pthread_mutex_unlock(&lock);
	errno = error;
}
