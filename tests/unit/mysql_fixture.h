/*
 * mysql_fixture.h - definitions of MySQL tables and table maps, made by hand
 */
#ifndef MYSQL_FIXTURE_H
#define MYSQL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* ours, in error.h, fills an error */
#include "../../sources/mysql_table.h"

#define FAIL(...)                                                     \
	do {                                                          \
		print_error(__VA_ARGS__);                             \
		print_error("\n");                                    \
		_fail(__FILE__, __LINE__);                            \
	} while (0)

/* "int unsigned" -> "int" */
__attribute__((unused)) static struct str data_type_of(const char *column_type)
{
	return (struct str){ column_type, strcspn(column_type, "( ") };
}

__attribute__((unused)) static struct mysql_column column(const char *name, const char *type, const char *charset)
{
	return (struct mysql_column){ .name = str_z(name),
				      .data_type = data_type_of(type),
				      .column_type = str_z(type),
				      .charset = str_z(charset),
				      .is_unsigned = strstr(type, " unsigned") != NULL,
				      .nullable = true };
}

/* id int PRIMARY KEY, and the column given */
struct two_columns {
	struct mysql_column columns[2];
	struct mysql_table table;
};
__attribute__((unused)) static struct mysql_table *table_with(struct two_columns *t, const char *name, struct mysql_column c)
{
	t->columns[0] = column("id", "int(11)", "");
	t->columns[0].nullable = false;
	t->columns[0].key = 1;
	t->columns[1] = c;
	t->table = (struct mysql_table){ .schema = STR("shop"),
					 .name = str_z(name),
					 .engine = STR("InnoDB"),
					 .transactional = true,
					 .columns = t->columns,
					 .ncolumns = 2 };
	return &t->table;
}

/* Its map: id, and one column of this type */
struct two_mapped {
	struct binlog_map_column columns[2];
	struct binlog_map map;
};
__attribute__((unused)) static struct binlog_map *map_with(struct two_mapped *m, const char *name, uint8_t type, uint16_t meta)
{
	m->columns[0] = (struct binlog_map_column){ .type = MYSQL_LONG };
	m->columns[1] = (struct binlog_map_column){ .type = type, .meta = meta, .nullable = true };
	m->map = (struct binlog_map){ .db = STR("shop"),
				      .name = str_z(name),
				      .columns = m->columns,
				      .ncolumns = 2 };
	return &m->map;
}

#endif
