/*
 * settings.h - what a [sink NAME] section of each type holds
 *
 * sink_config.settings points to the struct of its type, filled from the options table in
 * sinks.c.  Strings are NULL where neither the file nor a default gives a value.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "sink.h"

/* The order of each enum is the order of the choices in sinks.c. */
enum sink_evolve { EVOLVE_NONE, EVOLVE_ADD, EVOLVE_FOLLOW };
enum sink_deletes { DELETES_APPLY, DELETES_SOFT, DELETES_IGNORE };
enum sink_truncates { TRUNCATES_APPLY, TRUNCATES_IGNORE };
enum sink_unrepresentable { UNREPRESENTABLE_NULL, UNREPRESENTABLE_TEXT, UNREPRESENTABLE_REJECT };
enum sink_on_reload { ON_RELOAD_STOP, ON_RELOAD_SNAPSHOT };
enum sink_format { FORMAT_ENVELOPE, FORMAT_FLAT };
enum sink_compression { COMPRESSION_ZSTANDARD, COMPRESSION_DEFLATE, COMPRESSION_NULL };
enum sink_on_huge { ON_HUGE_STOP, ON_HUGE_SPLIT };

struct sqlite_settings {
	char	*path;
	char	*schema;		/* NULL: SQLite has no schemas, others are refused */
	char	*table;			/* template, "{table}" */
	int	evolve, deletes, truncates, unrepresentable, on_reload;
	bool	history;
};

struct files_settings {
	char	*path;
	int	format;			/* enum sink_format */
	int64_t	roll_bytes;
	int64_t	roll_interval;		/* microseconds */
	int	compression;		/* enum sink_compression */
};

/* Sinks over a server's SQL: postgres and mysql. */
struct sql_settings {
	char	*url, *password;
	char	*schema, *table;
	int	evolve, deletes, truncates, unrepresentable, on_reload;
	bool	history;
};

struct kafka_settings {
	char	*brokers, *topic;
	int	format;			/* enum sink_format */
	int64_t	partitions, replication;	/* 0: the broker's default */
	int64_t	commit_interval, commit_rows, commit_bytes, transaction_timeout;
	int	on_huge;
};

extern const struct sink_ops kafka_sink, postgres_sink, sqlite_sink, files_sink;

/* May this property of librdkafka be set?  Not those that would break the promise. */
MUST_CHECK int kafka_property_check(const char *name, const char *value, struct error *err);

#endif
