/*
 * binlog_crc.h - the CRC-32 of binlog events (ISO 3309, reflected polynomial 0xedb88320), as zlib's crc32()
 *
 * Any thread.
 */
#ifndef BINLOG_CRC_H
#define BINLOG_CRC_H

#include "memory.h"

/* The CRC of what `crc` is of (0: nothing), followed by these bytes. */
uint32_t binlog_crc(uint32_t crc, const void *p, size_t n);

#endif
