/*
 * sinks.c - the types of sinks and what each takes
 *
 * A type whose ops are NULL parses, so that configurations can be written for it, and is refused
 * by name.  Choices stand in the order of the enums in settings.h.
 */
#include "settings.h"

static const char *const evolves[] = { "none", "add", "follow", NULL };
static const char *const evolves_later[] = { "follow", NULL };
static const char *const deletes[] = { "apply", "soft", "ignore", NULL };
static const char *const truncates[] = { "apply", "ignore", NULL };
static const char *const unrepresentables[] = { "null", "text", "reject", NULL };
static const char *const on_reloads[] = { "stop", "snapshot", NULL };
static const char *const on_reloads_later[] = { "snapshot", NULL };
static const char *const formats[] = { "envelope", "flat", NULL };
static const char *const compressions[] = { "zstandard", "deflate", "null", NULL };
static const char *const on_huges[] = { "stop", "split", NULL };

/* The help of what all SQL targets share. */
#define EVOLVE_HELP                                                                                \
	"What follows the source's schema: nothing, new columns, or also drops and type changes."
#define DELETES_HELP   "Deletes: applied, marked in the column _deleted_at, or ignored."
#define TRUNCATES_HELP "Truncates: applied or ignored."
#define HISTORY_HELP   "Append every version of a row, with _valid_from and _valid_to."
#define TABLE_HELP     "Name of a table in the target; {pipeline}, {schema} and {table} are filled in."
#define UNREPRESENTABLE_HELP                                                                       \
	"A value that the type cannot hold: NULL, NULL with its text in the column NAME_text, or " \
	"an error."
#define ON_RELOAD_HELP "A table that must be loaded again: stop it, or load it."

static const struct option sqlite_options[] = {
	OPT_STRING(sqlite_settings, path, "path", NULL, OPTION_REQUIRED,
		   "The database file; made when it is missing."),
	OPT_STRING(sqlite_settings, schema, "schema", NULL, OPTION_LATER,
		   "Where the tables go; SQLite has no schemas."),
	OPT_STRING(sqlite_settings, table, "table", "{table}", 0, TABLE_HELP),
	OPT_ENUM_LATER(sqlite_settings, evolve, "evolve", "add", evolves, evolves_later, 0,
		       EVOLVE_HELP),
	OPT_ENUM(sqlite_settings, deletes, "deletes", "apply", deletes, 0, DELETES_HELP),
	OPT_ENUM(sqlite_settings, truncates, "truncates", "apply", truncates, 0, TRUNCATES_HELP),
	OPT_BOOL(sqlite_settings, history, "history", "off", OPTION_LATER, HISTORY_HELP),
	OPT_ENUM(sqlite_settings, unrepresentable, "unrepresentable", "null", unrepresentables, 0,
		 UNREPRESENTABLE_HELP),
	OPT_ENUM_LATER(sqlite_settings, on_reload, "on_reload", "stop", on_reloads,
		       on_reloads_later, 0, ON_RELOAD_HELP),
	OPT_END,
};

static const struct option files_options[] = {
	OPT_STRING(files_settings, path, "path", NULL, OPTION_REQUIRED,
		   "The folder; made when it is missing."),
	OPT_ENUM(files_settings, format, "format", "envelope", formats, 0,
		 "One record a change with before and after, or the row with a few columns more."),
	OPT_SIZE(files_settings, roll_bytes, "roll_bytes", "128MB", "1kB", "1TB", 0,
		 "Files are finished, and the sink commits, at this size ..."),
	OPT_TIME(files_settings, roll_interval, "roll_interval", "60s", "10ms", "7d", 0,
		 "... or after this time, whichever is first."),
	OPT_ENUM(files_settings, compression, "compression", "zstandard", compressions, 0,
		 "Codec of the Avro container files."),
	OPT_END,
};

static const struct option sql_options[] = {
	OPT_STRING(sql_settings, url, "url", NULL, OPTION_REQUIRED | OPTION_SECRET,
		   "Address of the target: postgresql:// or mysql://."),
	OPT_STRING(sql_settings, password, "password", NULL, OPTION_SECRET,
		   "Password; goes before the one in the URL."),
	OPT_STRING(sql_settings, schema, "schema", NULL, 0,
		   "Where the tables go; the default is the source's schema, mysql: the URL's "
		   "database."),
	OPT_STRING(sql_settings, table, "table", "{table}", 0, TABLE_HELP),
	OPT_ENUM(sql_settings, evolve, "evolve", "add", evolves, 0, EVOLVE_HELP),
	OPT_ENUM(sql_settings, deletes, "deletes", "apply", deletes, 0, DELETES_HELP),
	OPT_ENUM(sql_settings, truncates, "truncates", "apply", truncates, 0, TRUNCATES_HELP),
	OPT_BOOL(sql_settings, history, "history", "off", 0, HISTORY_HELP),
	OPT_ENUM(sql_settings, unrepresentable, "unrepresentable", "null", unrepresentables, 0,
		 UNREPRESENTABLE_HELP),
	OPT_ENUM_LATER(sql_settings, on_reload, "on_reload", "stop", on_reloads, on_reloads_later,
		       0, ON_RELOAD_HELP),
	OPT_END,
};

static const struct option kafka_options[] = {
	OPT_STRING(kafka_settings, brokers, "brokers", NULL, OPTION_REQUIRED,
		   "Addresses of brokers: host:port, comma separated."),
	OPT_STRING(kafka_settings, topic, "topic", "{pipeline}.{schema}.{table}", 0,
		   "Name of a table's topic."),
	OPT_ENUM(kafka_settings, format, "format", "envelope", formats, 0,
		 "One message a change with before and after, or the row with a few columns more."),
	OPT_INT(kafka_settings, partitions, "partitions", NULL, "1", "100000", 0,
		"Partitions of topics that are made; the default is the broker's."),
	OPT_INT(kafka_settings, replication, "replication", NULL, "1", "100", 0,
		"Replication of topics that are made; the default is the broker's."),
	OPT_TIME(kafka_settings, commit_interval, "commit_interval", "200ms", "1ms", "10m", 0,
		 "Longest time of one transaction ..."),
	OPT_INT(kafka_settings, commit_rows, "commit_rows", "200000", "1", "100000000", 0,
		"... most rows of it ..."),
	OPT_SIZE(kafka_settings, commit_bytes, "commit_bytes", "64MB", "1kB", "16GB", 0,
		 "... and most bytes."),
	OPT_TIME(kafka_settings, transaction_timeout, "transaction_timeout", "5m", "1s", "1h", 0,
		 "The broker ends a transaction that lasts longer."),
	OPT_ENUM(kafka_settings, on_huge, "on_huge", "stop", on_huges, 0,
		 "A source transaction that outlasts the broker's time-out: stop, or split it."),
	OPT_END,
};

const struct sink_type sink_types[] = {
	{ "kafka", kafka_options, sizeof(struct kafka_settings), &kafka_sink, "librdkafka.",
	  kafka_property_check },
	{ "postgres", sql_options, sizeof(struct sql_settings), &postgres_sink, NULL, NULL },
	{ "mysql", sql_options, sizeof(struct sql_settings), NULL, NULL, NULL },
	{ "sqlite", sqlite_options, sizeof(struct sqlite_settings), &sqlite_sink, NULL, NULL },
	{ "files", files_options, sizeof(struct files_settings), &files_sink, NULL, NULL },
	{ 0 },
};
