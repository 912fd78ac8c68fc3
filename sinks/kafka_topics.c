/*
 * kafka_topics.c - topics: looked at, made, their settings; reading a partition
 *
 * All of it goes through consumers without a group, so that a look never makes a topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka.h"
#include "log.h"

#define REQUEST_MS 10000
#define POLL_MS    100

/* --- looking --- */

int kafka_topic_look(struct kafka *k, const char *name, struct kafka_facts *out, struct error *err)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(k->side, name, NULL);
	const struct rd_kafka_metadata *all = NULL;
	rd_kafka_resp_err_t code;

	*out = (struct kafka_facts){ 0 };
	if (!topic)
		return kafka_fail(k, err, rd_kafka_last_error(), "topic %s", name);
	code = rd_kafka_metadata(k->side, 0, topic, &all, REQUEST_MS);
	rd_kafka_topic_destroy(topic);
	rd_kafka_poll(k->side, 0);
	if (code)
		return kafka_fail(k, err, code, "the brokers do not answer");
	const struct rd_kafka_metadata_topic *t = all->topic_cnt == 1 ? &all->topics[0] : NULL;

	code = t ? t->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (t && !code) {
		out->exists = true;
		out->partitions = t->partition_cnt;
		for (int i = 0; i < t->partition_cnt; i++) {
			if (t->partitions[i].leader < 0)
				code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
			out->replicas = t->partitions[i].replica_cnt;
		}
	}
	rd_kafka_metadata_destroy(all);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return 0;
	return code ? kafka_fail(k, err, code, "topic %s", name) : 0;
}

/* --- admin requests --- */

/* The one event that answers a request; NULL and an error otherwise. */
static rd_kafka_event_t *answer(struct kafka *k, rd_kafka_queue_t *queue, const char *what,
				struct error *err)
{
	rd_kafka_event_t *e = rd_kafka_queue_poll(queue, REQUEST_MS + 2000);

	rd_kafka_poll(k->side, 0);
	if (!e) {
		kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT, "%s", what);
		return NULL;
	}
	if (rd_kafka_event_error(e)) {
		kafka_fail(k, err, rd_kafka_event_error(e), "%s: %s", what,
			   rd_kafka_event_error_string(e));
		rd_kafka_event_destroy(e);
		return NULL;
	}
	return e;
}

static rd_kafka_AdminOptions_t *options(struct kafka *k, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(k->side, op);
	char why[128];

	rd_kafka_AdminOptions_set_request_timeout(o, REQUEST_MS, why, sizeof why);
	return o;
}

static int created(struct kafka *k, const char *name, rd_kafka_event_t *e, struct error *err)
{
	size_t n;
	const rd_kafka_topic_result_t **results =
		rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(e), &n);
	rd_kafka_resp_err_t code = n == 1 ? rd_kafka_topic_result_error(results[0]) : 0;

	if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return 0;
	return kafka_fail(k, err, code, "topic %s cannot be made: %s", name,
			  rd_kafka_topic_result_error_string(results[0]));
}

static int create(struct kafka *k, const char *name, int partitions, const char *const *config,
		  struct error *err)
{
	char why[256];
	int replicas = k->set->replication ? (int)k->set->replication : -1, failed;
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(name, partitions, replicas, why, sizeof why);

	if (!topic)
		return fail(err, ERR_FATAL, "topic %s: %s", name, why);
	for (size_t i = 0; config && config[i]; i += 2)
		rd_kafka_NewTopic_set_config(topic, config[i], config[i + 1]);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(k->side);
	rd_kafka_AdminOptions_t *o = options(k, RD_KAFKA_ADMIN_OP_CREATETOPICS);

	rd_kafka_CreateTopics(k->side, &topic, 1, o, queue);
	rd_kafka_event_t *e = answer(k, queue, "a topic cannot be made", err);

	failed = e ? created(k, name, e, err) : -1;
	if (e)
		rd_kafka_event_destroy(e);
	rd_kafka_AdminOptions_destroy(o);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	if (!failed)
		log_info("topic made", "sink", k->sink_config->name, "topic", name, NULL);
	return failed;
}

int kafka_topic_ensure(struct kafka *k, const char *name, int partitions, const char *const *config,
		       struct kafka_facts *out, struct error *err)
{
	int64_t until = kafka_now_us() + (int64_t)KAFKA_TRIES_MS * 1000;

	if (kafka_topic_look(k, name, out, err) == 0) {
		if (out->exists)
			return 0;
		if (create(k, name, partitions, config, err))
			return -1;
	} else if (err->code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
		return -1;
	}
	for (;;) {
		int failed = kafka_topic_look(k, name, out, err);

		if (!failed && out->exists)
			return 0;
		if (failed && err->kind != ERR_RETRY)
			return -1;
		if (kafka_now_us() > until || kafka_stopping(k))
			return failed ? -1
				      : kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT,
						   "topic %s was made and is not there yet", name);
		rd_kafka_poll(k->side, POLL_MS);
	}
}

static void take_values(const rd_kafka_ConfigResource_t *r, const char *const *settings,
			char **values, size_t n)
{
	size_t entries;
	const rd_kafka_ConfigEntry_t **e = rd_kafka_ConfigResource_configs(r, &entries);

	for (size_t i = 0; i < entries; i++)
		for (size_t j = 0; j < n; j++)
			if (strcmp(rd_kafka_ConfigEntry_name(e[i]), settings[j]) == 0 &&
			    rd_kafka_ConfigEntry_value(e[i]) && !values[j])
				values[j] = xstrdup(rd_kafka_ConfigEntry_value(e[i]));
}

int kafka_describe(struct kafka *k, enum kafka_resource type, const char *name,
		   const char *const *settings, char **values, size_t n, struct error *err)
{
	rd_kafka_ConfigResource_t *r =
		rd_kafka_ConfigResource_new(type == KAFKA_TOPIC ? RD_KAFKA_RESOURCE_TOPIC
								: RD_KAFKA_RESOURCE_BROKER,
					    name);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(k->side);
	rd_kafka_AdminOptions_t *o = options(k, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	size_t count = 0;

	memset(values, 0, n * sizeof *values);
	rd_kafka_DescribeConfigs(k->side, &r, 1, o, queue);
	rd_kafka_event_t *e = answer(k, queue, "settings cannot be read", err);
	int failed = e ? 0 : -1;

	if (e) {
		const rd_kafka_ConfigResource_t **got = rd_kafka_DescribeConfigs_result_resources(
			rd_kafka_event_DescribeConfigs_result(e), &count);
		rd_kafka_resp_err_t code = count == 1 ? rd_kafka_ConfigResource_error(got[0]) : 0;

		if (count == 1 && !code)
			take_values(got[0], settings, values, n);
		else if (code && code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED &&
			 code != RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
			failed = kafka_fail(k, err, code, "settings of %s", name);
		rd_kafka_event_destroy(e);
	}
	rd_kafka_AdminOptions_destroy(o);
	rd_kafka_queue_destroy(queue);
	rd_kafka_ConfigResource_destroy(r);
	return failed;
}

int kafka_topic_compacted(struct kafka *k, const char *name, struct error *err)
{
	static const char *const settings[] = { "cleanup.policy" };
	char *value;
	int failed = 0;

	if (kafka_describe(k, KAFKA_TOPIC, name, settings, &value, 1, err))
		return -1;
	if (!value)
		log_warning("the settings of a topic may not be read: it must have cleanup.policy "
			    "= compact",
			    "sink", k->sink_config->name, "topic", name, NULL);
	else if (strcmp(value, "compact") != 0)
		failed =
			fail(err, ERR_FATAL,
			     "kafka %s: topic %s has cleanup.policy = %s, so that records that are "
			     "needed would be removed: set it to compact",
			     k->set->brokers, name, value);
	free(value);
	return failed;
}

rd_kafka_topic_t *kafka_topic_handle(struct kafka *k, rd_kafka_t *rk, const char *name,
				     struct error *err)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	const struct rd_kafka_metadata *all = NULL;
	rd_kafka_resp_err_t code =
		topic ? rd_kafka_metadata(rk, 0, topic, &all, REQUEST_MS) : rd_kafka_last_error();

	if (all && all->topic_cnt == 1)
		code = all->topics[0].err;
	if (all)
		rd_kafka_metadata_destroy(all);
	if (topic && !code)
		return topic;
	kafka_fail(k, err, code, "topic %s", name);
	if (topic)
		rd_kafka_topic_destroy(topic);
	return NULL;
}

/* --- reading --- */

/* 1 to go on, 0 at the end of what can be read, -1. */
static int take(struct kafka *k, const struct kafka_span *s, const rd_kafka_message_t *m,
		kafka_read_fn *fn, void *arg, int64_t *reached, struct error *err)
{
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		*reached = m->offset;
		return m->offset < s->to && s->wait_ms > 0;
	}
	if (m->err)
		return kafka_fail(k, err, m->err, "topic %s cannot be read", s->topic);
	if (m->offset >= s->to) {
		*reached = s->to;
		return 0;
	}
	*reached = m->offset + 1;
	return fn(arg, m, err) ? -1 : 1;
}

int kafka_read(struct kafka *k, rd_kafka_t *rk, const struct kafka_span *s, kafka_read_fn *fn,
	       void *arg, int64_t *reached, struct error *err)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, s->topic, NULL);
	int64_t began = kafka_now_us(), heard = began;
	int rc = 1;

	*reached = s->from;
	if (!topic || rd_kafka_consume_start(topic, s->partition, s->from)) {
		rc = kafka_fail(k, err, rd_kafka_last_error(), "topic %s cannot be read", s->topic);
		if (topic)
			rd_kafka_topic_destroy(topic);
		return rc;
	}
	bool waits = false;

	while (rc > 0 && *reached < s->to) {
		rd_kafka_message_t *m = rd_kafka_consume(topic, s->partition, POLL_MS);
		int64_t now = kafka_now_us();

		rd_kafka_poll(rk, 0);
		if (m) {
			waits = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
			rc = take(k, s, m, fn, arg, reached, err);
			rd_kafka_message_destroy(m);
			heard = now;
		}
		if (waits && (now - began >= (int64_t)s->wait_ms * 1000 || kafka_stopping(k)))
			break;
		if (!waits && now - heard >= (int64_t)KAFKA_TRIES_MS * 1000)
			rc = kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT,
					"topic %s cannot be read", s->topic);
	}
	rd_kafka_consume_stop(topic, s->partition);
	rd_kafka_topic_destroy(topic);
	return rc < 0 ? -1 : 0;
}

/*
 * Not rd_kafka_query_watermark_offsets(): its request stays with the broker that led when it was
 * sent, for minutes when that one is dead, whatever time-out it is given.  A consumer follows the
 * leader.
 */
int kafka_end(struct kafka *k, const char *name, int32_t partition, int64_t *end, struct error *err)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(k->side, name, NULL);
	int64_t until = kafka_now_us() + (int64_t)REQUEST_MS * 1000;
	int rc = 1;

	if (!topic || rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_END)) {
		rc = kafka_fail(k, err, rd_kafka_last_error(), "end of topic %s", name);
		if (topic)
			rd_kafka_topic_destroy(topic);
		return rc;
	}
	while (rc > 0) {
		rd_kafka_message_t *m = rd_kafka_consume(topic, partition, POLL_MS);

		rd_kafka_poll(k->side, 0);
		if (m && (!m->err || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)) {
			*end = m->offset; /* of a message: one that came since */
			rc = 0;
		} else if (m) {
			rc = kafka_fail(k, err, m->err, "end of topic %s", name);
		} else if (kafka_now_us() >= until || kafka_stopping(k)) {
			rc = kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT, "end of topic %s",
					name);
		}
		if (m)
			rd_kafka_message_destroy(m);
	}
	rd_kafka_consume_stop(topic, partition);
	rd_kafka_topic_destroy(topic);
	return rc;
}
