/*
 * folder.h - folders that survive a power cut, and what an errno means to a sink
 */
#ifndef FOLDER_H
#define FOLDER_H

#include "error.h"

/* ERR_RETRY where waiting may help (a full disk, a network file system), otherwise ERR_FATAL. */
enum error_kind errno_kind(int code);

/* Makes `path` and what is missing above it (0777 less umask); every new entry is synced in its parent. */
MUST_CHECK int folder_make(const char *path, struct error *err);
/* The same for the folder that is to hold the file `path`. */
MUST_CHECK int folder_make_for(const char *path, struct error *err);
/* Makes entries made, renamed or removed in `path` durable. */
MUST_CHECK int folder_sync(const char *path, struct error *err);
/* Could files be made in `path`, which need not exist yet?  Looks only. */
MUST_CHECK int folder_check(const char *path, struct error *err);

#endif
