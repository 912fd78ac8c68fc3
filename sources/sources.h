/*
 * sources.h - the sources there are
 */
#ifndef SOURCES_H
#define SOURCES_H

#include "source.h"

extern const struct source_ops postgres_source, mysql_source;

#endif
