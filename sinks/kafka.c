/*
 * kafka.c - the Kafka sink: data and position in one transaction
 *
 * What lies between two commits is one Kafka transaction, with the checkpoint record as its last
 * message.  Whatever goes wrong, the producer is destroyed and the sink starts over from what is
 * committed; the next producer's init_transactions ends what was open.  A commit whose outcome is
 * not known is never asked for again: librdkafka has no KIP-890, and the request could meet the
 * next transaction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "failpoint.h"
#include "kafka.h"
#include "log.h"

#define SLICE_MS  500
#define ABORT_MS  2000
#define SETTLE_US 5000

static const char *const checkpoints_config[] = { "cleanup.policy",
						  "compact",
						  "segment.bytes",
						  "16777216",
						  "segment.ms",
						  "600000",
						  "min.cleanable.dirty.ratio",
						  "0.1",
						  NULL };

/* --- transactions --- */

/*
 * A commit is answered before its markers are written, and a transaction that begins sooner is sent
 * away with CONCURRENT_TRANSACTIONS, after which librdkafka waits for 20 ms.
 */
static void settle(const struct kafka *k)
{
	int64_t wait = k->ended_us ? k->ended_us + SETTLE_US - kafka_now_us() : 0;

	if (wait > 0)
		usleep((useconds_t)wait);
}

static int begin(struct kafka *k, struct error *err)
{
	if (k->open)
		return 0;
	if (k->unanswered)
		return fail(
			err, ERR_RETRY,
			"kafka %s: a request of the last transaction was never answered and could "
			"meet the next one: starting over with a new producer",
			k->set->brokers);
	settle(k);
	rd_kafka_error_t *e = rd_kafka_begin_transaction(k->producer);

	if (e) {
		k->broken = true;
		return kafka_fail_error(k, err, e, "a transaction cannot begin");
	}
	k->open = true;
	k->since_us = kafka_now_us();
	return 0;
}

static int put_checkpoint(struct kafka *k, const struct checkpoint *upto, struct error *err)
{
	AUTO(buf) struct buf json = { 0 };

	kafka_checkpoint_format(k, upto, &json);
	if (rd_kafka_produce(k->checkpoints->handle, 0, RD_KAFKA_MSG_F_COPY, json.p, json.n, k->key,
			     strlen(k->key), NULL))
		return kafka_fail(k, err, rd_kafka_last_error(), "the checkpoint cannot be sent");
	return 0;
}

static int end_transaction(struct kafka *k, struct error *err)
{
	failpoint("kafka_sent");
	rd_kafka_error_t *e = rd_kafka_commit_transaction(k->producer, KAFKA_TRIES_MS);

	kafka_serve(k, 0);
	return e ? kafka_fail_error(k, err, e, "the transaction cannot be committed") : 0;
}

/*
 * The producer is lost, and what was open is not certain.  Was it taken by another instance?  Asked
 * at once, while the sink still counts as open: nobody is to take the slot back in its name.
 */
static int give_up(struct kafka *k, struct error *err)
{
	struct error fence;

	k->broken = true;
	switch (err->code) {
	case RD_KAFKA_RESP_ERR__FENCED:
	case RD_KAFKA_RESP_ERR__FATAL:
	case RD_KAFKA_RESP_ERR__STATE:
	case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
		if (kafka_fence_check(k, &fence) && fence.exit == EXIT_FENCED)
			*err = fence;
		break;
	default:
		break;
	}
	return -1;
}

static int kafka_commit(struct sink *sink, const struct checkpoint *upto, struct error *err)
{
	struct kafka *k = (struct kafka *)sink;

	if (begin(k, err) || kafka_send(k, err) || put_checkpoint(k, upto, err) ||
	    kafka_drain(k, k->producer, err) || end_transaction(k, err))
		return give_up(k, err);
	k->open = false;
	k->ended_us = kafka_now_us();
	k->reason[0] = '\0';
	if (upto != &k->committed)
		checkpoint_copy(&k->committed, upto);
	return 0;
}

/* A source transaction that would outlast the broker's patience. */
static int huge(struct kafka *k, const struct event *last, struct error *err)
{
	char pos[POSITION_TEXT];
	AUTO(checkpoint) struct checkpoint upto = { 0 };

	if (kafka_now_us() - k->since_us < k->set->transaction_timeout / 10 * 7)
		return 0;
	position_text(&last->pos, pos);
	if (k->set->on_huge == ON_HUGE_STOP)
		return fail(err, ERR_FATAL,
			    "a source transaction, or a table without a key that is loaded (it "
			    "is at %s), lasts longer than "
			    "transaction_timeout allows: raise it, and the broker's "
			    "transaction.max.timeout.ms, or set on_huge = split",
			    pos);
	log_warning("a source transaction is split: readers see its parts one after the other",
		    "sink", k->sink_config->name, "position", pos, "option", "on_huge = split",
		    NULL);
	checkpoint_copy(&upto, &k->committed);
	upto.pos = last->pos;
	return kafka_commit(&k->sink, &upto, err);
}

/* --- events --- */

/* 1: a message comes of it, 0: none, -1: not known. */
static int carries(const struct event *e)
{
	switch (e->op) {
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_DELETE:
	case CHANGE_TRUNCATE:
	case CHANGE_READ:
	case CHANGE_MESSAGE:
		return 1;
	case CHANGE_BEGIN:
	case CHANGE_SCHEMA:
	case CHANGE_HEARTBEAT:
	case CHANGE_GAP:
	case CHANGE_COMMIT:
		return 0;
	default:
		return -1;
	}
}

static int write_events(struct kafka *k, const struct event *e, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int carried = carries(&e[i]);

		if (e[i].op == CHANGE_BEGIN)
			avro_source_begin(&k->source, &e[i]);
		if (carried < 0)
			return fail(err, ERR_FATAL, "an event of kind %d cannot be written",
				    (int)e[i].op);
		if (carried && (begin(k, err) || kafka_put_event(k, &e[i], err))) {
			err->item = i;
			return -1;
		}
	}
	kafka_serve(
		k,
		0); /* what fills no batch yet waits for the commit: partitions join in one request */
	return kafka_delivered(k, err);
}

static bool ends_transaction(const struct event *e)
{
	return e->op == CHANGE_COMMIT || e->op == CHANGE_HEARTBEAT || e->op == CHANGE_GAP;
}

static int kafka_write(struct sink *sink, const struct event *e, size_t n, struct error *err)
{
	struct kafka *k = (struct kafka *)sink;

	if (write_events(k, e, n, err))
		return err->kind == ERR_REJECT ? -1 : give_up(k, err);
	if (!n || !k->open || ends_transaction(&e[n - 1]))
		return 0;
	return huge(k, &e[n - 1], err);
}

static int kafka_load(struct sink *sink, struct checkpoint *out, struct error *err)
{
	struct kafka *k = (struct kafka *)sink;

	if (!k->fresh && kafka_fence_check(k, err))
		return -1;
	k->fresh = false;
	checkpoint_copy(out, &k->committed);
	return 0;
}

/* --- open and close --- */

/* Nothing that is open is waited for, but readers are not left waiting for it either. */
static void end_producer(struct kafka *k)
{
	rd_kafka_error_t *e = NULL;

	if (k->producer && k->open && !k->broken)
		e = rd_kafka_abort_transaction(k->producer, ABORT_MS);
	if (e)
		rd_kafka_error_destroy(e);
	kafka_topics_free(k);
	if (k->checkpoints) {
		rd_kafka_topic_destroy(k->checkpoints->handle);
		free(k->checkpoints);
	}
	if (k->events)
		rd_kafka_queue_destroy(k->events);
	kafka_handle_close(k->producer);
}

static void kafka_close(struct sink *sink)
{
	struct kafka *k = (struct kafka *)sink;

	end_producer(k);
	kafka_handle_close(k->schemas);
	kafka_handle_close(k->side);
	for (size_t i = 0; i < k->nlanes; i++)
		free(k->lanes[i]);
	free(k->lanes);
	if (k->messages) {
		avro_schemas_free(&k->messages->schemas);
		free(k->messages->columns);
		free(k->messages);
	}
	avro_source_release(&k->source);
	checkpoint_release(&k->committed);
	pthread_mutex_destroy(&k->lock);
	buf_free(&k->image);
	free(k->known);
	free(k->key);
	free(k);
}

static struct kafka *kafka_new(const struct sink_context *c)
{
	const struct tables_config *names = c->tables ? tables_names(c->tables) : NULL;
	struct kafka *k = xcalloc(1, sizeof *k);

	k->sink.ops = &kafka_sink;
	k->config = c->config;
	k->sink_config = c->sink;
	k->set = c->sink->settings;
	k->sink.commit_us = k->set->commit_interval;
	k->sink.commit_rows = (size_t)k->set->commit_rows;
	k->sink.commit_bytes = (size_t)k->set->commit_bytes;
	k->stopping = c->stopping;
	k->fence = c->fenced ? c->fence : 0;
	k->key = xasprintf("%s/%s", c->config->pipeline.name, c->sink->name);
	k->source.tables = c->tables;
	k->source.connector = names && names->connector ? names->connector : "";
	k->source.database = names && names->database ? names->database : "";
	k->source.pipeline = c->config->pipeline.name;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static int checkpoints_open(struct kafka *k, struct error *err)
{
	struct kafka_facts facts;

	if (kafka_topic_ensure(k, KAFKA_CHECKPOINTS, 1, checkpoints_config, &facts, err))
		return -1;
	if (facts.partitions != 1)
		return fail(err, ERR_FATAL,
			    "kafka %s: topic " KAFKA_CHECKPOINTS
			    " has %d partitions, it must have one",
			    k->set->brokers, (int)facts.partitions);
	return kafka_topic_compacted(k, KAFKA_CHECKPOINTS, err);
}

/* Fences the old instance's producer and settles what it left open. */
static int producer_open(struct kafka *k, struct error *err)
{
	int64_t until = kafka_now_us() + (int64_t)KAFKA_TRIES_MS * 1000;
	rd_kafka_error_t *e;

	k->producer = kafka_handle(k, KAFKA_PRODUCER, err);
	if (!k->producer)
		return -1;
	k->events = rd_kafka_queue_get_main(k->producer);
	while ((e = rd_kafka_init_transactions(k->producer, SLICE_MS)) != NULL) {
		kafka_serve(k, 0);
		if (!rd_kafka_error_is_retriable(e) || k->trouble || kafka_now_us() > until ||
		    kafka_stopping(k))
			return kafka_fail_error(k, err, e, "the producer cannot start");
		rd_kafka_error_destroy(e);
	}
	k->checkpoints = xcalloc(1, sizeof *k->checkpoints);
	k->checkpoints->handle = kafka_topic_handle(k, k->producer, KAFKA_CHECKPOINTS, err);
	if (!k->checkpoints->handle) {
		free(k->checkpoints);
		k->checkpoints = NULL;
		return -1;
	}
	return 0;
}

static struct sink *kafka_open(const struct sink_context *c, int64_t *fence, struct error *err)
{
	struct kafka *k = kafka_new(c);

	k->broken = true; /* until the producer is there */
	if (kafka_template_check(k->set, err) || kafka_messages_make(k, err) ||
	    !(k->side = kafka_handle(k, KAFKA_SIDE, err)) || checkpoints_open(k, err) ||
	    (k->fence && kafka_fence_check(k, err)) || producer_open(k, err)) {
		kafka_close(&k->sink);
		return NULL;
	}
	k->broken = false;
	/* The fence last: raised and then forgotten, this process would raise it against its successor. */
	if (kafka_schemas_open(k, err) || kafka_checkpoint_load(k, err)) {
		kafka_close(&k->sink);
		return NULL;
	}
	k->reason[0] = '\0';
	*fence = k->fence;
	return &k->sink;
}

/* --- check --- */

static void find_topic(struct kafka *k, const char *name, int32_t partitions, struct findings *out)
{
	struct kafka_facts facts;
	struct error found;

	if (kafka_topic_look(k, name, &facts, &found)) {
		findings_add(out, "kafka_topic", SEVERITY_ERROR, name, found.text, NULL, NULL);
		return;
	}
	if (!facts.exists)
		return;
	if (partitions && facts.partitions != partitions)
		findings_add(out, "kafka_partitions", SEVERITY_ERROR, name,
			     "the checkpoint topic must have one partition", NULL, NULL);
	if (facts.replicas == 1)
		findings_add(out, "kafka_replication", SEVERITY_WARNING, name,
			     "one replica only: when its broker crashes, Kafka 4 may leave "
			     "transactions without an end, and then readers and this sink stand "
			     "still; let it have two at least, and the tables' topics too",
			     NULL, NULL);
	if (kafka_topic_compacted(k, name, &found))
		findings_add(out, "kafka_cleanup", SEVERITY_ERROR, name, found.text, NULL, NULL);
}

static void find_timeout(struct kafka *k, struct findings *out)
{
	static const char *const settings[] = { "transaction.max.timeout.ms" };
	int32_t controller = rd_kafka_controllerid(k->side, SLICE_MS * 10);
	AUTO(free) char *id = xasprintf("%d", (int)controller);
	char *value = NULL;
	struct error found;

	if (controller < 0 || kafka_describe(k, KAFKA_BROKER, id, settings, &value, 1, &found))
		return;
	if (value && strtoll(value, NULL, 10) < k->set->transaction_timeout / 1000) {
		AUTO(free)
		char *text =
			xasprintf("transaction_timeout is above the broker's "
				  "transaction.max.timeout.ms = %s: lower the one or raise the "
				  "other",
				  value);

		findings_add(out, "kafka_transaction_timeout", SEVERITY_ERROR, k->sink_config->name,
			     text, NULL, NULL);
	}
	free(value);
}

static int kafka_check(const struct sink_context *c, struct findings *out, struct error *err)
{
	struct kafka *k = kafka_new(c);
	AUTO(free) char *schemas = xasprintf("%s.schemas", c->config->pipeline.name);
	struct kafka_facts facts;
	struct error found;
	int failed =
		kafka_template_check(k->set, err) || !(k->side = kafka_handle(k, KAFKA_SIDE, err));

	if (!failed && kafka_topic_look(k, KAFKA_CHECKPOINTS, &facts, &found)) {
		findings_add(out, "sink_unreachable", SEVERITY_ERROR, c->sink->name, found.text,
			     NULL, NULL);
	} else if (!failed) {
		find_topic(k, KAFKA_CHECKPOINTS, 1, out);
		find_topic(k, schemas, 0, out);
		find_timeout(k, out);
	}
	kafka_close(&k->sink);
	return failed ? -1 : 0;
}

const struct sink_ops kafka_sink = {
	.name = "kafka",
	.summary = "Kafka topics, data and position in one transaction",
	.check = kafka_check,
	.open = kafka_open,
	.load = kafka_load,
	.write = kafka_write,
	.commit = kafka_commit,
	.close = kafka_close,
};
