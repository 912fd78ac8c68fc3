/*
 * log.h - one line an event on stderr: logfmt or JSON, with journald priorities
 *
 * Any thread; a line is one write().  Values are never secrets: options marked OPTION_SECRET
 * do not reach a format string.
 */
#ifndef LOG_H
#define LOG_H

#include "error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

void log_setup(enum log_level level, enum log_format format, const char *pipeline);
bool log_enabled(enum log_level level);

/*
 * log_info("slot created", "slot", name, "lsn", lsn, NULL): a fixed message, then pairs of
 * C strings that end with NULL.
 */
void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));
#define log_debug(...)	 do { if (log_enabled(LOG_LEVEL_DEBUG)) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); } while (0)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
