/*
 * copier.c - what all copiers share
 */
#include <stdlib.h>

#include "copier.h"

void copy_tables_free(struct copy_table *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].schema);
		free(t[i].name);
		free(t[i].refusal);
	}
	free(t);
}
