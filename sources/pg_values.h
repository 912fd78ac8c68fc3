/*
 * pg_values.h - what the text and the binary decoder of PostgreSQL's values share
 */
#ifndef PG_VALUES_H
#define PG_VALUES_H

#include "pgoutput.h"

/* OIDs of PostgreSQL's catalog/pg_type.dat that the decoders name; they never change. */
enum pg_oid {
	PG_BOOL = 16, PG_BYTEA = 17, PG_CHAR = 18, PG_NAME = 19, PG_INT8 = 20, PG_INT2 = 21,
	PG_INT2VECTOR = 22, PG_INT4 = 23, PG_TEXT = 25, PG_OID = 26, PG_OIDVECTOR = 30, PG_JSON = 114,
	PG_XML = 142, PG_BOX = 603, PG_CIDR = 650, PG_FLOAT4 = 700, PG_FLOAT8 = 701, PG_MACADDR8 = 774,
	PG_MONEY = 790, PG_MACADDR = 829, PG_INET = 869, PG_CHAR_ARRAY = 1002, PG_BPCHAR = 1042,
	PG_VARCHAR = 1043, PG_DATE = 1082, PG_TIME = 1083, PG_TIMESTAMP = 1114, PG_TIMESTAMPTZ = 1184,
	PG_INTERVAL = 1186, PG_TIMETZ = 1266, PG_BIT = 1560, PG_VARBIT = 1562, PG_NUMERIC = 1700,
	PG_UUID = 2950, PG_JSONB = 3802,
};

#define PG_SECOND	INT64_C(1000000)	/* in microseconds */
#define PG_DAY		(86400 * PG_SECOND)
#define PG_EPOCH_DAYS	10957			/* 2000-01-01 in days since 1970-01-01 */
#define PG_FIRST_DAY	(-719162)		/* 0001-01-01 */
#define PG_LAST_DAY	2932896			/* 9999-12-31 */

/* Powers of ten, 10^0 to 10^18. */
extern const int64_t pg_pow10[19];

/* The value as the server prints it, for what its Avro type cannot hold and for types kept as text. */
struct str pg_print_date(struct arena *a, int64_t days);		/* since 1970-01-01 */
struct str pg_print_timestamp(struct arena *a, int64_t us, bool zone);	/* since 2000-01-01 */
struct str pg_print_timetz(struct arena *a, int64_t us, int32_t west);	/* zone in seconds west of UTC */
struct str pg_print_interval(struct arena *a, int64_t us, int32_t days, int32_t months);

/* "{1,NULL,\"a b\"}"; elements are decoded by pg_value_text(). */
MUST_CHECK int pg_array_text(const struct column *c, struct str wire, struct arena *a, struct value *out,
			     struct error *err);

/* Do a column's values stay what they are when its type becomes `to`?  false: rows may have been rewritten. */
bool pg_type_widens(const struct column *from, const struct column *to);

#endif
