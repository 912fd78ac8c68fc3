/*
 * fuzz_mysql_statement.c - statements of the log; the first byte chooses the sql_mode
 */
#include <stdlib.h>

#include "mysql_ddl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names are borrowed or copied: each is a readable piece of memory. */
static void touch(struct str s)
{
	volatile char sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (char)(sum ^ s.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena a = { 0 };
	struct mysql_statement_info s;

	if (size == 0)
		return -1;
	uint64_t mode = (data[0] & 1 ? MYSQL_MODE_ANSI_QUOTES : 0) |
			(data[0] & 2 ? MYSQL_MODE_NO_BACKSLASH_ESCAPES : 0);

	mysql_statement_read((struct str){ (const char *)data + 1, size - 1 }, STR("db"), mode, &a,
			     &s);
	touch(s.name);
	for (size_t i = 0; i < s.nitems; i++) {
		touch(s.items[i].db);
		touch(s.items[i].table);
		touch(s.items[i].to_db);
		touch(s.items[i].to);
		if (s.items[i].kind == MYSQL_RENAME && !s.items[i].to.n)
			abort();
	}
	return 0;
}
