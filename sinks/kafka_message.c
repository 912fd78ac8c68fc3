/*
 * kafka_message.c - events to messages: topic, key, partition, framing
 *
 * Key and value are Avro single-object encoding: C3 01, the schema's CRC-64-AVRO fingerprint
 * little-endian, the body.  The partition is murmur2 over the key's body, as Kafka's own clients
 * compute it; what has no key goes to partition 0, a truncate to every partition.
 * Messages gather by topic and are handed over in batches: only the order within a partition counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka.h"
#include "log.h"

#define BATCH_MESSAGES 500
#define BATCH_BYTES    ((size_t)256 * 1024)
#define TOPIC_MAX      249
#define TOPIC_CHARS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define OVERHEAD       256     /* of one message in a batch of its own */
#define LIMIT          1048588 /* the broker's default, where we may not look */
#define ROOM_MS        2

/* --- partition --- */

uint32_t kafka_murmur2(struct str key)
{
	const uint32_t m = 0x5bd1e995;
	struct cursor c = cursor_of(key);
	uint32_t h = 0x9747b28c ^ (uint32_t)key.n, rest = 0;

	while (cursor_left(&c) >= 4) {
		uint32_t v = get_u32le(&c) * m;

		v ^= v >> 24;
		h = h * m ^ v * m;
	}
	size_t left = cursor_left(&c);

	for (unsigned i = 0; i < left; i++)
		rest |= (uint32_t)get_u8(&c) << 8 * i;
	if (left)
		h = (h ^ rest) * m;
	h = (h ^ h >> 13) * m;
	return h ^ h >> 15;
}

int32_t kafka_partition(struct str key, int32_t partitions)
{
	return (int32_t)(kafka_murmur2(key) & 0x7fffffff) % partitions;
}

/* --- topic --- */

/* One character of a name that a topic cannot have becomes _. */
static void put_name(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n;) {
		char c = text.p[i];
		size_t n = utf8_length((const uint8_t *)text.p + i, text.n - i);

		buf_addc(out, c && strchr(TOPIC_CHARS, c) ? c : '_');
		i += n ? n : 1;
	}
}

static const char *const placeholders[] = { "{pipeline}", "{schema}", "{table}" };

/* The placeholder that p begins with; COUNT(placeholders): none. */
static size_t placeholder_at(const char *p)
{
	size_t i = 0;

	while (i < COUNT(placeholders) && strncmp(p, placeholders[i], strlen(placeholders[i])) != 0)
		i++;
	return i;
}

static bool template_is_good(const char *p)
{
	while (*p) {
		size_t i = placeholder_at(p);

		if (i == COUNT(placeholders) && !strchr(TOPIC_CHARS, *p))
			return false;
		p += i < COUNT(placeholders) ? strlen(placeholders[i]) : 1;
	}
	return true;
}

bool kafka_topic_name(const char *template, const char *pipeline, struct str schema,
		      struct str table, struct buf *out, const char **why)
{
	const struct str values[] = { str_z(pipeline), schema, table };
	AUTO(free) char *schemas = xasprintf("%s.schemas", pipeline);
	AUTO(free) char *messages = xasprintf("%s.messages", pipeline);

	for (const char *p = template; *p;) {
		size_t i = placeholder_at(p);

		put_name(i < COUNT(placeholders) ? values[i] : (struct str){ p, 1 }, out);
		p += i < COUNT(placeholders) ? strlen(placeholders[i]) : 1;
	}
	const char *name = buf_z(out);

	*why = NULL;
	if (out->n > TOPIC_MAX)
		*why = "is longer than the 249 characters of a topic's name";
	else if (strcmp(name, schemas) == 0 || strcmp(name, messages) == 0 ||
		 strncmp(name, "tailrace.", 9) == 0)
		*why = "is reserved";
	else if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		*why = "is no name for a topic";
	return !*why;
}

int kafka_template_check(const struct kafka_settings *set, struct error *err)
{
	AUTO(buf) struct buf name = { 0 };
	const char *why;

	if (!set->topic || !strstr(set->topic, "{table}"))
		return fail_exit(err, EXIT_USAGE,
				 "topic = %s gives every table the same topic: it must contain "
				 "{table}",
				 set->topic ? set->topic : "");
	if (!template_is_good(set->topic))
		return fail_exit(err, EXIT_USAGE,
				 "topic = %s: it takes letters, digits, '.', '_', '-' and "
				 "{pipeline}, {schema}, {table}",
				 set->topic);
	if (!kafka_topic_name(set->topic, "p", STR("s"), STR("t"), &name, &why))
		return fail_exit(err, EXIT_USAGE, "topic = %s: %s", set->topic, why);
	return 0;
}

static int look_limit(struct kafka *k, struct kafka_topic *t, struct error *err)
{
	static const char *const settings[] = { "max.message.bytes" };
	char *value;

	if (kafka_describe(k, KAFKA_TOPIC, t->name, settings, &value, 1, err))
		return -1;
	long long limit = value ? strtoll(value, NULL, 10) : LIMIT;

	t->limit = limit > OVERHEAD ? (size_t)limit - OVERHEAD : 0;
	if (t->limit > kafka_queue_bytes(k)) /* librdkafka would wait for room for ever */
		t->limit = kafka_queue_bytes(k);
	free(value);
	return 0;
}

/* What exists is used as it is; the partition of each key depends on it, so it is said. */
static void compare(const struct kafka *k, const char *name, const struct kafka_facts *facts)
{
	bool same = (!k->set->partitions || k->set->partitions == facts->partitions) &&
		    (!k->set->replication || k->set->replication == facts->replicas);
	char partitions[16], replicas[16], wanted[64];

	if (same)
		return;
	snprintf(partitions, sizeof partitions, "%d", (int)facts->partitions);
	snprintf(replicas, sizeof replicas, "%d", facts->replicas);
	snprintf(wanted, sizeof wanted, "partitions = %lld, replication = %lld",
		 (long long)k->set->partitions, (long long)k->set->replication);
	log_warning("a topic is not as configured, and is used as it is", "sink",
		    k->sink_config->name, "topic", name, "partitions", partitions, "replicas",
		    replicas, "configured", wanted, NULL);
}

static struct kafka_topic *topic_get(struct kafka *k, const char *name, const struct table *table,
				     struct error *err)
{
	struct kafka_topic *t = k->topics;
	struct kafka_facts facts;

	while (t && strcmp(t->name, name) != 0)
		t = t->next;
	if (t && str_eq(t->schema, table->schema) && str_eq(t->table, table->name))
		return t;
	if (t) {
		fail(err, ERR_REJECT,
		     "topic %s is the one of %.*s.%.*s already; leave one of them out of this sink "
		     "with tables =, or put {schema} into topic =",
		     name, STR_FMT(t->schema), STR_FMT(t->table));
		return NULL;
	}
	int partitions = k->set->partitions ? (int)k->set->partitions : -1;

	if (kafka_topic_ensure(k, name, partitions, NULL, &facts, err))
		return NULL;
	compare(k, name, &facts);
	t = xcalloc(1, sizeof *t);
	t->next = k->topics;
	k->topics = t;
	t->name = xstrdup(name);
	t->schema = table->schema;
	t->table = table->name;
	t->partitions = facts.partitions;
	t->pending = xcalloc(BATCH_MESSAGES, sizeof *t->pending);
	t->handle = kafka_topic_handle(k, k->producer, name, err);
	return t->handle && look_limit(k, t, err) == 0 ? t : NULL;
}

void kafka_topics_free(struct kafka *k)
{
	while (k->topics) {
		struct kafka_topic *t = k->topics;

		k->topics = t->next;
		if (t->handle)
			rd_kafka_topic_destroy(t->handle);
		buf_free(&t->bytes);
		free(t->pending);
		free(t->name);
		free(t);
	}
}

/* --- lanes --- */

void kafka_frame(uint64_t fingerprint, char out[KAFKA_FRAME])
{
	uint64_t little = htole64(fingerprint);

	memcpy(out, "\xc3\x01", 2);
	memcpy(out + 2, &little, sizeof little);
}

static struct kafka_topic *topic_of(struct kafka *k, const struct table *t, struct error *err)
{
	AUTO(buf) struct buf name = { 0 };
	const char *why;

	if (t == k->messages) {
		buf_addf(&name, "%s.messages", k->config->pipeline.name);
	} else if (!kafka_topic_name(k->set->topic, k->config->pipeline.name, t->schema, t->name,
				     &name, &why)) {
		fail(err, ERR_REJECT,
		     "topic %s of %.*s.%.*s %s; leave the table out of this sink with tables =, or "
		     "change topic =",
		     buf_z(&name), STR_FMT(t->schema), STR_FMT(t->name), why);
		return NULL;
	}
	return topic_get(k, buf_z(&name), t, err);
}

static struct kafka_lane *lane_get(struct kafka *k, const struct table *t, struct error *err)
{
	const struct table_schemas *s = &t->schemas;
	bool flat = k->set->format == FORMAT_FLAT;
	uint64_t fp_value = flat ? s->fp_flat : s->fp_envelope;

	if (t->id >= k->nlanes) {
		size_t n = (size_t)t->id + 16;

		k->lanes = xrealloc(k->lanes, n * sizeof(struct kafka_lane *));
		memset(k->lanes + k->nlanes, 0, (n - k->nlanes) * sizeof(struct kafka_lane *));
		k->nlanes = n;
	}
	if (k->lanes[t->id])
		return k->lanes[t->id];
	struct kafka_topic *topic = topic_of(k, t, err);

	if (!topic || (s->key && kafka_schema_publish(k, s->fp_key, s->key, err)) ||
	    kafka_schema_publish(k, fp_value, flat ? s->flat : s->envelope, err))
		return NULL;
	struct kafka_lane *lane = k->lanes[t->id] = xcalloc(1, sizeof *lane);

	lane->topic = topic;
	kafka_frame(s->fp_key, lane->key_frame);
	kafka_frame(fp_value, lane->value_frame);
	return lane;
}

/* --- logical messages: a table of two columns --- */

int kafka_messages_make(struct kafka *k, struct error *err)
{
	AUTO(buf) struct buf topic = { 0 };
	struct table *t = xcalloc(1, sizeof *t);

	avro_name(str_z(k->config->pipeline.name), &topic);
	buf_adds(&topic, ".messages");
	k->messages = t;
	t->version = 1;
	t->schema = STR("");
	t->name = STR("messages");
	t->ncolumns = 2;
	t->columns = xcalloc(2, sizeof *t->columns);
	t->columns[0] = (struct column){ .name = STR("prefix"), .type = COL_TEXT };
	t->columns[1] = (struct column){ .name = STR("content"), .type = COL_BYTES };

	struct avro_names names = { buf_z(&topic), k->source.connector, 0 };

	return avro_schemas_make(t, &names, &t->schemas, err);
}

static struct event message_row(struct kafka *k, const struct event *e)
{
	struct value row[2] = { { .state = VALUE_SET, .s = e->prefix },
				{ .state = VALUE_SET, .s = e->content } };
	struct avro_extra extra = { 0 };
	struct event out = *e;

	buf_clear(&k->image);
	avro_put_row(&k->image, k->messages, row, &extra);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
	out.table = k->messages;
	out.after = (struct str){ k->image.p, k->image.n };
	return out;
}

/* --- batches --- */

/* Hands over messages[0..n); -1 and an error, or how many were taken before the queue was full. */
static int hand_over(struct kafka *k, struct kafka_topic *t, rd_kafka_message_t *messages, int n,
		     struct error *err)
{
	int done =
		rd_kafka_produce_batch(t->handle, 0, RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION,
				       messages, n);

	for (int i = done; i < n; i++)
		if (messages[i].err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return kafka_fail(k, err, messages[i].err, "topic %s", t->name);
	for (int i = 0; i < done; i++)
		if (messages[i].err)
			return kafka_fail(k, err, messages[i].err, "topic %s", t->name);
	return done;
}

/*
 * librdkafka's thread spins while it has messages that it may not send yet, and what waits there is
 * in nobody's account of memory: so it gets little more than five requests hold, which may be on
 * their way at once.
 */
static size_t queued_bytes(const struct kafka *k)
{
	return (size_t)rd_kafka_outq_len(k->producer) * k->mean;
}

/* Waits until half of `most` bytes are left.  What stands still is sent without waiting for company. */
static int wait_room(struct kafka *k, size_t most, struct error *err)
{
	int queued = rd_kafka_outq_len(k->producer);
	int64_t moved = kafka_now_us();

	do {
		kafka_serve(k, ROOM_MS);
		int now = rd_kafka_outq_len(k->producer);

		if (now < queued)
			moved = kafka_now_us();
		else
			rd_kafka_flush(k->producer, ROOM_MS);
		queued = now;
		if (kafka_now_us() - moved >= (int64_t)KAFKA_TRIES_MS * 1000)
			return kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT,
					  "%d messages were not taken", now);
		if (kafka_delivered(k, err))
			return -1;
	} while (queued && queued_bytes(k) > most / 2);
	return 0;
}

static int send_topic(struct kafka *k, struct kafka_topic *t, struct error *err)
{
	rd_kafka_message_t messages[BATCH_MESSAGES];
	int n = (int)t->npending, done = 0;
	size_t most = kafka_queue_bytes(k) / 4;

	k->mean = (3 * k->mean + t->bytes.n / t->npending) / 4 + 1;
	if (queued_bytes(k) > most && wait_room(k, most, err))
		return -1;
	memset(messages, 0, (size_t)n * sizeof *messages);
	for (int i = 0; i < n; i++) {
		const struct kafka_pending *p = &t->pending[i];

		messages[i].partition = p->partition;
		messages[i].key = p->has_key ? t->bytes.p + p->key : NULL;
		messages[i].key_len = p->nkey;
		messages[i].payload = p->has_value ? t->bytes.p + p->value : NULL;
		messages[i].len = p->nvalue;
	}
	t->npending = 0;
	while (done < n) {
		int taken = hand_over(k, t, messages + done, n - done, err);

		if (taken < 0)
			return -1;
		done += taken;
		if (done < n && wait_room(k, most, err))
			return -1;
	}
	buf_clear(&t->bytes);
	return 0;
}

int kafka_send(struct kafka *k, struct error *err)
{
	for (struct kafka_topic *t = k->topics; t; t = t->next)
		if (t->npending && send_topic(k, t, err))
			return -1;
	return 0;
}

/* --- events --- */

/* What an event's message says: key { NULL, 0 } is a null key; op 0 a tombstone. */
struct wording {
	struct str key;
	char op;
	int32_t partition;
};

static int put_message(struct kafka *k, struct kafka_lane *lane, const struct event *e,
		       const struct wording *w, struct error *err)
{
	struct kafka_topic *t = lane->topic;
	struct kafka_pending p = { .partition = w->partition, .has_key = w->key.p != NULL };

	if ((t->npending == BATCH_MESSAGES || t->bytes.n >= BATCH_BYTES) && send_topic(k, t, err))
		return -1;
	p.key = t->bytes.n;
	if (p.has_key) {
		buf_add(&t->bytes, lane->key_frame, KAFKA_FRAME);
		buf_add(&t->bytes, w->key.p, w->key.n);
	}
	p.nkey = t->bytes.n - p.key;
	p.value = t->bytes.n;
	if (w->op) {
		bool in_transaction = e->pos.row < POSITION_BETWEEN;

		p.has_value = true;
		buf_add(&t->bytes, lane->value_frame, KAFKA_FRAME);
		if (k->set->format == FORMAT_FLAT)
			avro_put_flat(&t->bytes, e, w->op);
		else
			avro_put_envelope(&t->bytes, e, w->op, &k->source,
					  in_transaction ? (int64_t)e->pos.row - 1 : -1, t->order);
	}
	p.nvalue = t->bytes.n - p.value;
	if (p.nkey + p.nvalue > t->limit)
		return fail(err, ERR_REJECT,
			    "a message of %zu bytes is larger than the %zu that topic %s takes: "
			    "raise its max.message.bytes, or [pipeline] memory, a fifth of which "
			    "is for messages on their way",
			    p.nkey + p.nvalue, t->limit, t->name);
	t->pending[t->npending++] = p;
	return 0;
}

/* A message with the key's partition, and its tombstone where the form has one. */
static int put_keyed(struct kafka *k, struct kafka_lane *lane, const struct event *e,
		     struct str key, char op, struct error *err)
{
	struct wording w = { key, op, key.p ? kafka_partition(key, lane->topic->partitions) : 0 };

	if (put_message(k, lane, e, &w, err))
		return -1;
	if (op != 'd' || k->set->format != FORMAT_FLAT || !key.p)
		return 0;
	w.op = 0;
	return put_message(k, lane, e, &w, err);
}

static int put_truncate(struct kafka *k, struct kafka_lane *lane, const struct event *e,
			struct error *err)
{
	for (int32_t i = 0; i < lane->topic->partitions; i++) {
		const struct wording w = { { NULL, 0 }, 't', i };

		if (put_message(k, lane, e, &w, err))
			return -1;
	}
	return 0;
}

int kafka_put_event(struct kafka *k, const struct event *event, struct error *err)
{
	const struct event e = event->op == CHANGE_MESSAGE ? message_row(k, event) : *event;
	struct kafka_lane *lane = lane_get(k, e.table, err);

	if (!lane)
		return -1;
	if (!position_same_transaction(&lane->topic->transaction, &e.pos)) {
		lane->topic->transaction = e.pos;
		lane->topic->order = 0;
	}
	lane->topic->order++;
	if (e.op == CHANGE_TRUNCATE)
		return put_truncate(k, lane, &e, err);
	if (e.op != CHANGE_UPDATE || !e.old_key.p)
		return put_keyed(k, lane, &e, e.key, event_op(&e), err);
	if (put_keyed(k, lane, &e, e.old_key, 'd', err))
		return -1;
	return put_keyed(k, lane, &e, e.key, 'c', err);
}
