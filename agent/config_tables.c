/*
 * config_tables.c - every setting that does not belong to one type of sink
 *
 * The order of choices is the order of the enums in config.h, log.h and source_types.
 */
#include "config.h"
#include "log.h"

static const char *const log_levels[] = { "debug", "info", "warning", "error", NULL };
static const char *const log_formats[] = { "logfmt", "json", NULL };

static const struct option pipeline[] = {
	OPT_STRING(pipeline_config, name, "name", NULL, OPTION_REQUIRED,
		   "Names the slot, the checkpoint, the transactional.id and the topics: 1 to 40 "
		   "characters of a-z, 0-9, _ and -."),
	OPT_STRING(pipeline_config, state_dir, "state_dir", NULL, 0,
		   "Folder of spool/, state.db and the socket of the running agent; the default is "
		   "/var/lib/tailrace/NAME."),
	OPT_SIZE(pipeline_config, memory, "memory", "64MB", "16MB", "64GB", 0,
		 "Memory of everything together, apart from the largest single row."),
	OPT_ENUM(pipeline_config, log_level, "log_level", "info", log_levels, OPTION_RELOAD,
		 "The least important lines that are logged to standard error."),
	OPT_ENUM(pipeline_config, log_format, "log_format", "logfmt", log_formats, OPTION_RELOAD,
		 "Form of a log line; under journald each carries its priority."),
	OPT_TIME(pipeline_config, stop_timeout, "stop_timeout", "30s", "100ms", "1h", 0,
		 "Longest time a clean stop may take; past it the agent ends with exit code 1 and "
		 "the rest stays in the spool."),
	OPT_STRING(pipeline_config, hash_key, "hash_key", NULL, OPTION_SECRET,
		   "Key of the HMAC-SHA-256 for columns that are hashed."),
	OPT_STRING(pipeline_config, owner, "owner", NULL, 0, "Who answers for this pipeline."),
	OPT_STRING(pipeline_config, description, "description", NULL, 0,
		   "What this pipeline is for."),
	OPT_END,
};

static const char *const source_names[] = { "postgres", "mysql", NULL };
static const char *const acks[] = { "sink", "spool", NULL };
static const char *const on_errors[] = { "quarantine", "stop", NULL };
static const char *const on_errors_later[] = { "quarantine", NULL };
static const char *const invalid_bytes[] = { "stop", "replace", "bytes", NULL };

static const struct option source[] = {
	OPT_ENUM(source_config, type, "type", NULL, source_names, OPTION_REQUIRED,
		 "The kind of database (mysql is MariaDB too)."),
	OPT_STRING(source_config, url, "url", NULL, OPTION_REQUIRED | OPTION_SECRET,
		   "Address of the database: postgresql:// as libpq takes it, or mysql://."),
	OPT_STRING(source_config, password, "password", NULL, OPTION_SECRET,
		   "Password; goes before the one in the URL."),
	OPT_LIST(source_config, tables, "tables", NULL, OPTION_REQUIRED | OPTION_RELOAD,
		 "Patterns schema.table with * and ?; ! excludes, the last match wins; without a "
		 "dot: that table in any schema."),
	OPT_STRING(source_config, slot, "slot", NULL, 0,
		   "postgres: the replication slot; the default is tailrace_NAME, with _ for -."),
	OPT_STRING(source_config, publication, "publication", NULL, 0,
		   "postgres: the publication, made for exactly the selected tables; the default "
		   "is tailrace_NAME."),
	OPT_STRING(source_config, server_id, "server_id", "auto", 0,
		   "mysql: server id of the agent as a replica, or auto."),
	OPT_ENUM(source_config, ack, "ack", "sink", acks, 0,
		 "What the source may forget: what every sink has committed, or what the spool has "
		 "synced."),
	OPT_SIZE(source_config, retain_max, "retain_max", "10GB", "0", "1024TB", 0,
		 "With ack = sink: the most log that the source is to keep for a sink that is "
		 "behind; "
		 "from three quarters of it on, what the spool has synced is acknowledged."),
	OPT_TIME(source_config, heartbeat, "heartbeat", "10s", "0", "1d", 0,
		 "Written into the log of an idle database, only while keepalives do not move the "
		 "slot's restart_lsn; 0 is off."),
	OPT_ENUM_LATER(
		source_config, on_error, "on_error", "stop", on_errors, on_errors_later, 0,
		"A change that cannot be applied: keep this row or table aside, or stop (at a "
		"sink that table, its changes kept; at the reader the agent)."),
	OPT_SIZE(source_config, max_row, "max_row", "256MB", "64kB", "1GB", 0,
		 "A larger row is an error."),
	OPT_TIME(source_config, connect_timeout, "connect_timeout", "60s", "100ms", "1d", 0,
		 "Longest time of one attempt to connect; run --until-idle gives up after it."),
	OPT_ENUM(
		source_config, invalid_bytes, "invalid_bytes", "stop", invalid_bytes, 0,
		"Text that is not in the database's encoding: stop, replace it by U+FFFD, or carry "
		"the bytes."),
	OPT_END,
};

static const char *const snapshot_modes[] = { "initial", "never", "only", NULL };

static const struct option snapshot[] = {
	OPT_ENUM(snapshot_config, mode, "mode", "initial", snapshot_modes, 0,
		 "initial: what the tables hold at the first start is loaded, and what a table "
		 "holds "
		 "that is added later; never: only changes are delivered, until `tailrace snapshot "
		 "start` asks for a table; only: as initial, and the run ends once all is loaded."),
	OPT_INT(snapshot_config, chunk_rows, "chunk_rows", "20000", "1", "10000000", 0,
		"Most rows that one transaction reads at the source; memory sets another "
		"limit."),
	OPT_INT(snapshot_config, workers, "workers", "2", "1", "64", 0,
		"Connections that read tables at the same time, also parts of one large table; "
		"fewer do while the source is busy."),
	OPT_INT(snapshot_config, rate, "rate", "0", "0", "1000000000", 0,
		"Most rows per second of all workers; 0 is no limit."),
	OPT_SIZE(snapshot_config, keyless_max, "keyless_max", "1GB", "0", "1024TB", 0,
		 "A table without a key is read as a whole, while the stream waits for it: larger "
		 "ones are refused unless asked for by name."),
	OPT_END,
};

static const char *const on_fulls[] = { "hold", "detach", NULL };

static const struct option spool[] = {
	OPT_TIME(spool_config, sync, "sync", "100ms", "0", "1m", 0,
		 "Longest time until what was written is synced to disk."),
	OPT_SIZE(spool_config, sync_bytes, "sync_bytes", "8MB", "1kB", "4GB", 0,
		 "Synced at once when this much was written."),
	OPT_SIZE(spool_config, segment, "segment", "64MB", "4kB", "16GB", 0,
		 "Size of one file of the spool."),
	OPT_SIZE(spool_config, max_bytes, "max_bytes", "20GB", "64kB", "1024TB", 0,
		 "Size of the whole spool; on_full says what happens then."),
	OPT_TIME(spool_config, keep, "keep", "24h", "0", "3650d", 0,
		 "Changes that every sink has are kept this long, for replay and inspection."),
	OPT_ENUM(
		spool_config, on_full, "on_full", "hold", on_fulls, 0,
		"A full spool: stop reading, so that the source keeps its log, or give up the sink "
		"that is furthest behind."),
	OPT_INT(spool_config, compression_level, "compression_level", "1", "1", "19", 0,
		"Level of zstandard."),
	OPT_END,
};

const struct option table_options[] = {
	OPT_LIST(table_config, columns, "columns", NULL, OPTION_LATER,
		 "Columns to keep, or with ! to drop."),
	OPT_LIST(table_config, hash, "hash", NULL, OPTION_LATER,
		 "Columns replaced by their HMAC-SHA-256 with [pipeline] hash_key."),
	OPT_LIST(table_config, mask, "mask", NULL, OPTION_LATER,
		 "Columns replaced by a fixed text."),
	OPT_LIST(table_config, truncate, "truncate", NULL, OPTION_LATER,
		 "Columns cut to a number of characters: remarks:100."),
	OPT_LIST(table_config, key, "key", NULL, OPTION_LATER,
		 "Key columns, when the table has no usable key of its own."),
	OPT_STRING(table_config, name, "name", NULL, OPTION_LATER, "Another name in the targets."),
	OPT_LIST(table_config, rename, "rename", NULL, OPTION_LATER,
		 "Other names of columns: old:new."),
	OPT_LIST(table_config, classify, "classify", NULL, OPTION_LATER,
		 "Tags of columns, kept in the schema: column:tag."),
	OPT_END,
};

static const char *const compatibilities[] = {
	"BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE",
	"FULL",     "FULL_TRANSITIVE",     "NONE",    NULL,
};

static const struct option registry[] = {
	OPT_STRING(registry_config, url, "url", NULL, OPTION_LATER,
		   "Address of a Confluent-compatible schema registry."),
	OPT_ENUM(registry_config, compatibility, "compatibility", "BACKWARD", compatibilities, 0,
		 "Compatibility level set for new subjects."),
	OPT_END,
};

static const struct option quarantine[] = {
	OPT_STRING(quarantine_config, topic, "topic", NULL, OPTION_LATER,
		   "Topic that rows which cannot be applied are written to as well."),
	OPT_SIZE(quarantine_config, max_bytes, "max_bytes", "1GB", "0", "1024TB", OPTION_LATER,
		 "Size of the store; beyond it the table stops."),
	OPT_END,
};

static const struct option http[] = {
	OPT_STRING(
		http_config, listen, "listen", "127.0.0.1:8917", 0,
		"host:port, unix:/path/of/socket, or off; an address other than loopback needs a "
		"token."),
	OPT_STRING(http_config, token, "token", NULL, OPTION_SECRET,
		   "Asked for as Authorization: Bearer."),
	OPT_END,
};

const struct option sink_options[] = {
	OPT_STRING(sink_head, type, "type", NULL, OPTION_REQUIRED,
		   "kafka, postgres, mysql, sqlite or files."),
	OPT_LIST(sink_head, tables, "tables", "*", 0, "Patterns; a subset of the source's tables."),
	OPT_END,
};

const struct section sections[] = {
	{ "pipeline", pipeline, "One agent: one source, one spool, any number of sinks.",
	  offsetof(struct config, pipeline) },
	{ "source", source, "The database that is tailed.", offsetof(struct config, source) },
	{ "snapshot", snapshot, "Loading what the tables hold already.",
	  offsetof(struct config, snapshot) },
	{ "spool", spool, "The agent's own log of changes on disk.",
	  offsetof(struct config, spool) },
	{ "registry", registry, "Schema registry, optional.", offsetof(struct config, registry) },
	{ "quarantine", quarantine, "Changes that cannot be applied.",
	  offsetof(struct config, quarantine) },
	{ "http", http, "Metrics, health and status; read-only.", offsetof(struct config, http) },
	{ 0 },
};
