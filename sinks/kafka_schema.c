/*
 * kafka_schema.c - schemas by fingerprint: topic <pipeline>.schemas and state_dir/schemas
 *
 * Key: 16 lower-case hex digits, most significant first; value: the schema's JSON.  A fingerprint's
 * schema is never overwritten.  They go out by a producer without transactions, and are awaited
 * before the first event that needs them, so that no reader meets an event before its schema.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "kafka.h"

#define HEX 16

static char *topic_of(const struct kafka *k)
{
	return xasprintf("%s.schemas", k->config->pipeline.name);
}

static struct kafka_schema *find(const struct kafka *k, uint64_t fingerprint)
{
	for (size_t i = 0; i < k->nknown; i++)
		if (k->known[i].fingerprint == fingerprint)
			return &k->known[i];
	return NULL;
}

static void remember(struct kafka *k, uint64_t fingerprint, uint64_t text)
{
	struct kafka_schema *s = find(k, fingerprint);

	if (!s) {
		if (k->nknown == k->room_known) {
			k->room_known = k->room_known * 2 + 64;
			k->known = xrealloc(k->known, k->room_known * sizeof *k->known);
		}
		s = &k->known[k->nknown++];
	}
	*s = (struct kafka_schema){ fingerprint, text };
}

static int take(void *arg, const rd_kafka_message_t *m, struct error *err)
{
	char key[HEX + 1], *end;

	(void)err;
	if (m->key_len != HEX || !m->payload)
		return 0;
	memcpy(key, m->key, HEX);
	key[HEX] = '\0';
	uint64_t fingerprint = strtoull(key, &end, 16);

	if (!*end)
		remember(arg, fingerprint, avro_crc64(m->payload, m->len));
	return 0;
}

int kafka_schemas_open(struct kafka *k, struct error *err)
{
	static const char *const config[] = { "cleanup.policy", "compact", NULL };
	AUTO(free) char *topic = topic_of(k);
	struct kafka_facts facts;

	if (kafka_topic_ensure(k, topic, 1, config, &facts, err) ||
	    kafka_topic_compacted(k, topic, err))
		return -1;
	for (int32_t p = 0; p < facts.partitions; p++) {
		struct kafka_span span = { .topic = topic,
					   .partition = p,
					   .from = RD_KAFKA_OFFSET_BEGINNING };
		int64_t reached;

		if (kafka_end(k, topic, p, &span.to, err) ||
		    kafka_read(k, k->side, &span, take, k, &reached, err))
			return -1;
		if (reached < span.to)
			return fail(err, ERR_RETRY, "kafka %s: topic %s ends before its end",
				    k->set->brokers, topic);
	}
	return 0;
}

/* --- publishing --- */

static int write_file(const char *path, const char *text, struct error *err)
{
	AUTO(free) char *tmp = xasprintf("%s.tmp", path);
	AUTO(fd) int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t n = strlen(text), at = 0;

	while (fd >= 0 && at < n) {
		ssize_t done = write(fd, text + at, n - at);

		if (done < 0 && errno != EINTR)
			break;
		at += done > 0 ? (size_t)done : 0;
	}
	if (fd < 0 || at < n || fsync(fd) || rename(tmp, path))
		return fail(err, ERR_FATAL, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

/* state_dir/schemas/<fingerprint>.avsc, once. */
static int keep_file(const struct kafka *k, const char *hex, const char *json, struct error *err)
{
	AUTO(free) char *folder = xasprintf("%s/schemas", k->config->pipeline.state_dir);
	AUTO(free) char *path = xasprintf("%s/%s.avsc", folder, hex);

	if (access(path, F_OK) == 0)
		return 0;
	return folder_make(folder, err) || write_file(path, json, err) ? -1 : 0;
}

static int send_schema(struct kafka *k, const char *hex, const char *json, struct error *err)
{
	AUTO(free) char *name = topic_of(k);
	struct kafka_facts facts;

	if (!k->schemas)
		k->schemas = kafka_handle(k, KAFKA_SCHEMAS, err);
	if (!k->schemas || kafka_topic_look(k, name, &facts, err))
		return -1;
	if (!facts.exists)
		return fail(err, ERR_RETRY, "kafka %s: topic %s is gone", k->set->brokers, name);
	rd_kafka_topic_t *topic = kafka_topic_handle(k, k->schemas, name, err);

	if (!topic)
		return -1;
	int32_t partition = kafka_partition((struct str){ hex, HEX }, facts.partitions);
	int failed = rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY,
				      (void *)(uintptr_t)json, strlen(json), hex, HEX, NULL);

	if (failed)
		failed = kafka_fail(k, err, rd_kafka_last_error(), "a schema cannot be sent to %s",
				    name);
	else
		failed = kafka_drain(k, k->schemas, err);
	rd_kafka_topic_destroy(topic);
	return failed;
}

int kafka_schema_publish(struct kafka *k, uint64_t fingerprint, const char *json, struct error *err)
{
	const struct kafka_schema *s = find(k, fingerprint);
	uint64_t text = avro_crc64(json, strlen(json));
	char hex[HEX + 1];

	snprintf(hex, sizeof hex, "%016" PRIx64, fingerprint);
	if (s && s->text != text)
		return fail(err, ERR_REJECT,
			    "kafka %s: topic %s.schemas has another schema under the fingerprint "
			    "%s, and a schema is never overwritten: give the pipeline a new name, "
			    "or the topic a new start",
			    k->set->brokers, k->config->pipeline.name, hex);
	if (!s && send_schema(k, hex, json, err))
		return -1;
	remember(k, fingerprint, text);
	return keep_file(k, hex, json, err);
}
