/*
 * kafka.h - the parts of the Kafka sink (private to sinks/kafka*.c)
 *
 * kafka.c             ops: one Kafka transaction between two commits
 * kafka_client.c      librdkafka's handles: properties, callbacks, what an error means
 * kafka_checkpoint.c  the checkpoint record and the fence
 * kafka_topics.c      topics: looked at, made, their settings; reading a partition
 * kafka_schema.c      schemas by fingerprint: their topic, and state_dir/schemas
 * kafka_message.c     events to messages: topic, key, partition, framing
 *
 * Everything runs on the sink's thread; librdkafka calls back there too, but for its log, whose last
 * error is guarded by k->lock, and for `unanswered`, which is atomic.
 */
#ifndef SINK_KAFKA_H
#define SINK_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "avro.h"
#include "settings.h"

#define KAFKA_FRAME	  10	/* C3 01 and the fingerprint: single-object encoding */
#define KAFKA_CHECKPOINTS "tailrace.checkpoints"
#define KAFKA_TRIES_MS	  30000 /* what the broker is given before the sink starts over */

/* A message that waits for its batch: places in the topic's bytes. */
struct kafka_pending {
	size_t	key, nkey, value, nvalue;
	int32_t partition;
	bool	has_key, has_value;
};

struct kafka_topic {
	struct kafka_topic *next;
	char		*name;
	struct str	schema, table;	/* whose it is; borrowed from its first version */
	rd_kafka_topic_t *handle;	/* of the transactional producer */
	int32_t		partitions;
	size_t		limit;		/* the largest message the broker takes */
	struct position transaction;	/* counts the events of a transaction, whatever their versions */
	int64_t		order;
	struct kafka_pending *pending;
	size_t		npending;
	struct buf	bytes;
};

/* A table version. */
struct kafka_lane {
	struct kafka_topic *topic;
	char		key_frame[KAFKA_FRAME], value_frame[KAFKA_FRAME];
};

struct kafka_schema { uint64_t fingerprint, text; };	/* text: CRC of the schema's JSON */

struct kafka_checkpoint {
	bool		found;
	int64_t		fence;
	struct checkpoint at;
};

struct kafka {
	struct sink	sink;
	const struct config *config;
	const struct sink_config *sink_config;
	const struct kafka_settings *set;
	const atomic_bool *stopping;
	struct avro_source source;

	rd_kafka_t	*side;		/* looks and makes: admin, metadata, reading at read_uncommitted */
	rd_kafka_t	*producer;	/* transactional */
	rd_kafka_queue_t *events;	/* the producer's */
	rd_kafka_t	*schemas;	/* idempotent; made when there is a schema to send */
	char		reason[512];	/* what librdkafka complained of last */
	pthread_mutex_t	lock;		/* guards `logged` */
	char		logged[512];	/* the last error in librdkafka's log */
	atomic_bool	unanswered;	/* an AddPartitionsToTxn or EndTxn of this producer had no answer */
	char		undelivered[512];	/* the first message that a broker refused */
	rd_kafka_resp_err_t undelivered_code;
	rd_kafka_resp_err_t trouble;	/* the last error that no retry cures */

	int64_t		fence;
	char		*key;		/* of the checkpoint record: pipeline/sink */
	struct checkpoint committed;
	bool		fresh;		/* the checkpoint was read just now */
	bool		open;		/* a transaction is open */
	bool		broken;		/* its outcome is unknown: nothing more is asked of this producer */
	int64_t		since_us;	/* since when; monotonic */
	int64_t		ended_us;	/* when the last one was committed */
	size_t		mean;		/* bytes of a message, lately */
	struct kafka_topic *checkpoints;
	struct kafka_topic *topics;
	struct kafka_lane **lanes;	/* by table id; 0: messages */
	size_t		nlanes;
	struct table	*messages;	/* prefix and content, as a table */
	struct kafka_schema *known;	/* what <pipeline>.schemas holds */
	size_t		nknown, room_known;
	struct buf	image;
};

/* --- kafka_client.c --- */

enum kafka_role {
	KAFKA_PRODUCER,		/* transactional */
	KAFKA_SCHEMAS,		/* idempotent, without transactions */
	KAFKA_SIDE,		/* a consumer without a group at read_uncommitted */
	KAFKA_READER,		/* the same at read_committed */
};
rd_kafka_t *kafka_handle(struct kafka *k, enum kafka_role role, struct error *err);
/* Ends a handle without waiting for what it still holds; NULL is none. */
void kafka_handle_close(rd_kafka_t *rk);
/* What the library's code means for us, with the broker's own words. */
int kafka_fail(struct kafka *k, struct error *err, rd_kafka_resp_err_t code, const char *format, ...) PRINTF(4, 5);
/* The same for an error object, which is freed. */
int kafka_fail_error(struct kafka *k, struct error *err, rd_kafka_error_t *e, const char *what);
/* Takes what the producer has to report; waits for it at most so long. */
void kafka_serve(struct kafka *k, int timeout_ms);
/* Sends what is queued: -1 when nothing moved for KAFKA_TRIES_MS, or a message was refused. */
MUST_CHECK int kafka_drain(struct kafka *k, rd_kafka_t *rk, struct error *err);
/* Was a message refused?  -1 says which and why. */
MUST_CHECK int kafka_delivered(struct kafka *k, struct error *err);
size_t kafka_queue_bytes(const struct kafka *k);	/* the most that librdkafka takes of them */
bool kafka_stopping(const struct kafka *k);
int64_t kafka_now_us(void);

/* --- kafka_checkpoint.c --- */

void kafka_checkpoint_format(const struct kafka *k, const struct checkpoint *c, struct buf *out);
MUST_CHECK int kafka_checkpoint_parse(struct str json, struct kafka_checkpoint *out, struct error *err);
void kafka_checkpoint_release(struct kafka_checkpoint *c);
/* Before a producer is made anew, and when the source was lost: is the fence still mine? */
MUST_CHECK int kafka_fence_check(struct kafka *k, struct error *err);
/* After init_transactions: the last checkpoint, certain; k->fence is compared, or raised when it is 0. */
MUST_CHECK int kafka_checkpoint_load(struct kafka *k, struct error *err);

/* --- kafka_topics.c --- */

struct kafka_facts { bool exists; int32_t partitions; int replicas; };
MUST_CHECK int kafka_topic_look(struct kafka *k, const char *name, struct kafka_facts *out, struct error *err);
/* Looks, makes it when it is missing, waits until it has leaders.  config: names and values in turn, ends with NULL. */
MUST_CHECK int kafka_topic_ensure(struct kafka *k, const char *name, int partitions, const char *const *config,
				  struct kafka_facts *out, struct error *err);
enum kafka_resource { KAFKA_TOPIC, KAFKA_BROKER };
/* The values of settings, malloced; all NULL where we may not look. */
MUST_CHECK int kafka_describe(struct kafka *k, enum kafka_resource type, const char *name, const char *const *settings,
			      char **values, size_t n, struct error *err);
/* Is it compacted, and nothing else?  Where it is not, records would get lost. */
MUST_CHECK int kafka_topic_compacted(struct kafka *k, const char *name, struct error *err);
/* A producer's view of a topic that exists. */
rd_kafka_topic_t *kafka_topic_handle(struct kafka *k, rd_kafka_t *rk, const char *name, struct error *err);

/*
 * Reads one partition from `from` (an offset, or RD_KAFKA_OFFSET_BEGINNING) up to the offset `to`, each message to
 * fn (0, or -1 and an error).  *reached is
 * where reading ended: before `to` where a transaction is open and wait_ms have passed.
 */
struct kafka_span { const char *topic; int32_t partition; int64_t from, to; int wait_ms; };
typedef int kafka_read_fn(void *arg, const rd_kafka_message_t *m, struct error *err);
MUST_CHECK int kafka_read(struct kafka *k, rd_kafka_t *rk, const struct kafka_span *span, kafka_read_fn *fn, void *arg,
			  int64_t *reached, struct error *err);
/* Last offset + 1, transactions that are open included. */
MUST_CHECK int kafka_end(struct kafka *k, const char *topic, int32_t partition, int64_t *end, struct error *err);

/* --- kafka_schema.c --- */

/* Makes the topic and reads what it holds. */
MUST_CHECK int kafka_schemas_open(struct kafka *k, struct error *err);
/* In the topic and on disk when it returns.  ERR_REJECT where the fingerprint is another schema's. */
MUST_CHECK int kafka_schema_publish(struct kafka *k, uint64_t fingerprint, const char *json, struct error *err);

/* --- kafka_message.c --- */

uint32_t kafka_murmur2(struct str key);		/* as Kafka's own clients */
int32_t	 kafka_partition(struct str key, int32_t partitions);
/* The topic of a table; false if it would be too long or is reserved: *why says so. */
bool kafka_topic_name(const char *template, const char *pipeline, struct str schema, struct str table,
		      struct buf *out, const char **why);
/* Does the template give each table a name of its own?  ERR_FATAL EXIT_USAGE. */
MUST_CHECK int kafka_template_check(const struct kafka_settings *set, struct error *err);
void kafka_frame(uint64_t fingerprint, char out[KAFKA_FRAME]);
MUST_CHECK int kafka_put_event(struct kafka *k, const struct event *e, struct error *err);
/* Hands over what waits in the batches. */
MUST_CHECK int kafka_send(struct kafka *k, struct error *err);
MUST_CHECK int kafka_messages_make(struct kafka *k, struct error *err);
void kafka_topics_free(struct kafka *k);

#endif
