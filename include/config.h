/*
 * config.h - the configuration file as values
 *
 * config_load() reads an INI file as of PgBouncer and pgBackRest (INTERFACE.md, "Configuration").
 * The result is immutable but for config_tables(), and shared by all threads; it lives until exit.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdatomic.h>

#include "option.h"

struct sink_ops;

struct pipeline_config {
	char	*name, *state_dir;
	int64_t	memory;			/* bytes */
	int	log_level, log_format;	/* enum log_level, enum log_format */
	int64_t	stop_timeout;		/* all times in microseconds */
	char	*hash_key, *owner, *description;
};

enum source_ack { ACK_SINK, ACK_SPOOL };
enum on_error { ON_ERROR_QUARANTINE, ON_ERROR_STOP };
enum invalid_bytes { INVALID_BYTES_STOP, INVALID_BYTES_REPLACE, INVALID_BYTES_BYTES };
struct source_config {
	int		type;		/* index into source_types */
	char		*url, *password;
	struct list	tables;
	char		*slot, *publication;
	char		*server_id;
	int		ack, on_error, invalid_bytes;
	int64_t		retain_max, heartbeat, max_row, connect_timeout;
};

enum snapshot_mode { SNAPSHOT_INITIAL, SNAPSHOT_NEVER, SNAPSHOT_ONLY };
struct snapshot_config { int mode; int64_t chunk_rows, workers, rate, keyless_max; };

enum on_full { ON_FULL_HOLD, ON_FULL_DETACH };
struct spool_config { int64_t sync, sync_bytes, segment, max_bytes, keep; int on_full; int64_t compression_level; };

struct table_config {		/* [table PATTERN] */
	char		*pattern;
	struct list	columns, hash, mask, truncate, key, rename, classify;
	char		*name;
};

struct registry_config { char *url; int compatibility; };
struct quarantine_config { char *topic; int64_t max_bytes; };
struct http_config { char *listen, *token; };

/* A key that passes through to a library, without its prefix. */
struct passed { char *name, *value; };

struct sink_config {		/* [sink NAME] */
	char			*name;
	const struct sink_type	*type;
	struct list		tables;		/* a subset of the source's; default * */
	void			*settings;	/* type->size bytes, filled from type->options */
	struct passed		*passed;	/* in the order of the file; values may be secrets */
	size_t			npassed;
};

struct sink_head { char *type; struct list tables; };	/* of every [sink], whatever its type */

/* What a [sink] of one type may say; ops is NULL while its code is not there. */
struct sink_type {
	const char		*name;
	const struct option	*options;
	size_t			size;
	const struct sink_ops	*ops;
	const char		*prefix;	/* keys that pass through ("librdkafka."), or NULL */
	/* May this key pass, with this value?  ERR_FATAL EXIT_USAGE names it. */
	MUST_CHECK int (*pass)(const char *name, const char *value, struct error *err);
};
extern const struct sink_type sink_types[];	/* sinks/sinks.c; ends with a NULL name */

struct config_now {		/* what SIGHUP has changed since */
	_Atomic(const struct list *)	tables;	/* NULL: as the file was read first */
};

struct config {
	char				*path;
	struct pipeline_config		pipeline;
	struct source_config		source;
	struct snapshot_config		snapshot;
	struct spool_config		spool;
	struct registry_config		registry;
	struct quarantine_config	quarantine;
	struct http_config		http;
	struct table_config		*tables;
	size_t				ntables;
	struct sink_config		*sinks;
	size_t				nsinks;
	struct config_now		*now;	/* NULL: nothing can change */
};

/*
 * source.tables as it stands now: the list itself lives until exit, so whoever wants one answer throughout keeps
 * the pointer.  Any thread.
 */
const struct list *config_tables(const struct config *c);
/* SIGHUP: `running` goes by the tables of `fresh` from here on; `fresh` must live until exit. */
void config_take_tables(const struct config *running, const struct config *fresh);

/*
 * NULL and an error with EXIT_USAGE that names file and line.  Sets the log up as [pipeline] says;
 * warnings are logged.
 */
struct config *config_load(const char *path, struct error *err);
/* The same for a text, and leaves the log alone; `path` only names it in messages. */
struct config *config_parse(const char *path, struct str text, struct error *err);
void	       config_free(struct config *c);

/*
 * SIGHUP: adds the names of the settings that differ to `reloaded` (config_load() of the new one
 * and the readers of these settings see to them) or to `restart`: "[spool] keep, [sink copy] path".
 */
void config_changes(const struct config *running, const struct config *fresh, struct buf *reloaded,
		    struct buf *restart);

/* The sections that stand once, in the order of the reference. */
struct section {
	const char		*name;		/* "pipeline" */
	const struct option	*options;
	const char		*help;
	size_t			offset;		/* of its struct in struct config */
};
extern const struct section sections[];		/* config_tables.c; ends with a NULL name */
extern const struct option table_options[];	/* [table PATTERN] */
extern const struct option sink_options[];	/* of struct sink_head */

#endif
