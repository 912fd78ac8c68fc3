/*
 * kafka_client.c - librdkafka's handles: properties, callbacks, and what an error means for us
 *
 * Each handle takes the user's librdkafka.* first and ours over them.  The log callback and the
 * interceptors run on librdkafka's threads (k->lock, k->unanswered); the others in our own calls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka.h"
#include "log.h"

#define PROGRESS_MS 200

/* Set by us, each for the promise's sake; aliases too. */
static const char *const refused[] = {
	"transactional.id",
	"enable.idempotence",
	"acks",
	"request.required.acks",
	"max.in.flight.requests.per.connection",
	"max.in.flight",
	"isolation.level",
	"transaction.timeout.ms",
	"partitioner",
	"enable.gapless.guarantee",
	"message.timeout.ms",
	"delivery.timeout.ms",
	"test.mock.num.brokers",
};

/* Ours by other settings. */
static const struct {
	const char *name, *instead;
} settled[] = {
	{ "bootstrap.servers", "brokers" },
	{ "metadata.broker.list", "brokers" },
	{ "queue.buffering.max.kbytes", "[pipeline] memory" },
};

int kafka_property_check(const char *name, const char *value, struct error *err)
{
	char why[256];
	int failed = 0;

	for (size_t i = 0; i < COUNT(refused); i++)
		if (strcmp(name, refused[i]) == 0)
			return fail_exit(err, EXIT_USAGE,
					 "librdkafka.%s is not to be set: exactly-once delivery "
					 "depends on the agent's own value",
					 name);
	for (size_t i = 0; i < COUNT(settled); i++)
		if (strcmp(name, settled[i].name) == 0)
			return fail_exit(err, EXIT_USAGE,
					 "librdkafka.%s is not to be set: the agent takes it from "
					 "%s",
					 name, settled[i].instead);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
		failed = fail_exit(err, EXIT_USAGE, "librdkafka.%s: %s", name, why);
	rd_kafka_conf_destroy(conf);
	return failed;
}

int64_t kafka_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

size_t kafka_queue_bytes(const struct kafka *k)
{
	return (size_t)k->config->pipeline.memory / 5;
}

bool kafka_stopping(const struct kafka *k)
{
	return k->stopping && *k->stopping;
}

/* --- callbacks --- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct kafka *k = opaque;

	if (code == RD_KAFKA_RESP_ERR__FATAL)
		code = rd_kafka_fatal_error(rk, k->reason, sizeof k->reason);
	else
		snprintf(k->reason, sizeof k->reason, "%s", reason);
	switch (code) {
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		k->trouble = (rd_kafka_resp_err_t)code;
		break;
	default:
		break;
	}
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka *k = opaque;

	(void)rk;
	if (!m->err || k->undelivered_code)
		return;
	k->undelivered_code = m->err;
	snprintf(k->undelivered, sizeof k->undelivered, "a message of %zu bytes to %s/%d", m->len,
		 m->rkt ? rd_kafka_topic_name(m->rkt) : "?", (int)m->partition);
}

/*
 * Reports come as events, not by a callback: rd_kafka_flush() looks every 10 ms only whether a
 * producer with a callback is done, and that would be most of a small transaction's time.
 */
void kafka_serve(struct kafka *k, int timeout_ms)
{
	rd_kafka_event_t *e;

	while ((e = rd_kafka_queue_poll(k->events, timeout_ms)) != NULL) {
		const rd_kafka_message_t *m;

		if (rd_kafka_event_type(e) == RD_KAFKA_EVENT_DR)
			while ((m = rd_kafka_event_message_next(e)) != NULL)
				on_delivery(k->producer, m, k);
		else if (rd_kafka_event_type(e) == RD_KAFKA_EVENT_ERROR)
			on_error(k->producer,
				 rd_kafka_event_error_is_fatal(e) ? RD_KAFKA_RESP_ERR__FATAL
								  : rd_kafka_event_error(e),
				 rd_kafka_event_error_string(e), k);
		rd_kafka_event_destroy(e);
		timeout_ms = 0;
	}
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	struct kafka *k = rd_kafka_opaque(rk);

	if (level <= 3 && k) {
		pthread_mutex_lock(&k->lock);
		snprintf(k->logged, sizeof k->logged, "%s", text);
		pthread_mutex_unlock(&k->lock);
	}
	log_debug("librdkafka", "facility", facility, "text", text, NULL);
}

/*
 * librdkafka sends AddPartitionsToTxn and EndTxn again by itself when a connection is lost or an
 * answer does not come, and the first one may still be on its way: it could end the next
 * transaction.  So such an end of a request is noted, and the producer makes no further
 * transaction.  (The interceptor is called for each request's end, in 2.0 twice.)
 */
#define API_ADD_PARTITIONS 24
#define API_END            26

static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int fd, const char *broker, int32_t id,
				       int16_t api, int16_t version, int32_t correlation,
				       size_t size, int64_t rtt, rd_kafka_resp_err_t code,
				       void *opaque)
{
	struct kafka *k = opaque;

	(void)rk, (void)fd, (void)broker, (void)id, (void)version, (void)correlation, (void)size;
	(void)rtt;
	if (code && (api == API_ADD_PARTITIONS || api == API_END))
		k->unanswered = true;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
				  char *why, size_t n)
{
	(void)conf, (void)why, (void)n;
	return rd_kafka_interceptor_add_on_response_received(rk, "tailrace", on_response, opaque);
}

/* --- errors --- */

/* Waiting, or another producer, cures these. */
static bool passes_by_itself(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__RESOLVE:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
	case RD_KAFKA_RESP_ERR__WAIT_COORD:
	case RD_KAFKA_RESP_ERR__WAIT_CACHE:
	case RD_KAFKA_RESP_ERR__RETRY:
	case RD_KAFKA_RESP_ERR__STATE:
	case RD_KAFKA_RESP_ERR__FENCED:
	case RD_KAFKA_RESP_ERR__FATAL:
	case RD_KAFKA_RESP_ERR__BAD_MSG:
	case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
	case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
	case RD_KAFKA_RESP_ERR__DESTROY:
	case RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE:
	case RD_KAFKA_RESP_ERR__INCONSISTENT:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR__UNKNOWN_BROKER:
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
	case RD_KAFKA_RESP_ERR_UNKNOWN:
	case RD_KAFKA_RESP_ERR_INVALID_MSG:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
	case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
	case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
	case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
	case RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
	case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
	case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
	case RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED:
	case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
	case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
	case RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND:
	case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
	case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
	case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
		return true;
	default:
		return false;
	}
}

int kafka_fail(struct kafka *k, struct error *err, rd_kafka_resp_err_t code, const char *format,
	       ...)
{
	char what[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof what, format, ap);
	va_end(ap);
	if (k->trouble)
		code = k->trouble;
	pthread_mutex_lock(&k->lock);
	if (k->logged[0] && (code == RD_KAFKA_RESP_ERR__STATE || !k->reason[0]))
		memcpy(k->reason, k->logged, sizeof k->reason);
	pthread_mutex_unlock(&k->lock);
	fail(err, passes_by_itself(code) ? ERR_RETRY : ERR_FATAL, "kafka %s: %s: %s%s%s%s",
	     k->set->brokers, what, rd_kafka_err2str(code), k->reason[0] ? " (" : "", k->reason,
	     k->reason[0] ? ")" : "");
	err->code = code;
	return -1;
}

int kafka_fail_error(struct kafka *k, struct error *err, rd_kafka_error_t *e, const char *what)
{
	rd_kafka_resp_err_t code = rd_kafka_error_code(e);

	if (rd_kafka_error_is_fatal(e) && k->producer) {
		rd_kafka_resp_err_t first =
			rd_kafka_fatal_error(k->producer, k->reason, sizeof k->reason);

		code = first ? first : code;
	}
	kafka_fail(k, err, code, "%s: %s", what, rd_kafka_error_string(e));
	if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT)
		error_prefix(err, "transaction_timeout is above the broker's "
				  "transaction.max.timeout.ms: lower the one or raise the other");
	rd_kafka_error_destroy(e);
	return -1;
}

int kafka_delivered(struct kafka *k, struct error *err)
{
	rd_kafka_resp_err_t code = k->undelivered_code;

	return code ? kafka_fail(k, err, code, "%s was refused", k->undelivered) : 0;
}

int kafka_drain(struct kafka *k, rd_kafka_t *rk, struct error *err)
{
	int left = rd_kafka_outq_len(rk);
	int64_t moved = kafka_now_us();

	while (left > 0 && !k->undelivered_code) {
		rd_kafka_flush(rk, PROGRESS_MS);
		if (rk == k->producer)
			kafka_serve(k, 0);
		int now = rd_kafka_outq_len(rk);

		if (now < left)
			moved = kafka_now_us();
		left = now;
		if (kafka_now_us() - moved >= (int64_t)KAFKA_TRIES_MS * 1000)
			return kafka_fail(k, err, RD_KAFKA_RESP_ERR__TIMED_OUT,
					  "%d messages were not taken", left);
	}
	return kafka_delivered(k, err);
}

/* --- handles --- */

/* Values of ours, set in this order after the user's. */
struct property {
	const char *name;
	const char *value;
};

static int set_all(rd_kafka_conf_t *conf, const struct property *p, size_t n, struct error *err)
{
	char why[256];

	for (size_t i = 0; i < n; i++)
		if (rd_kafka_conf_set(conf, p[i].name, p[i].value, why, sizeof why) !=
		    RD_KAFKA_CONF_OK)
			return fail_exit(err, EXIT_USAGE, "librdkafka.%s: %s", p[i].name, why);
	return 0;
}

/* What one may change, then what the user says. */
static int set_common(struct kafka *k, rd_kafka_conf_t *conf, struct error *err)
{
	const struct property defaults[] = {
		{ "client.id", "tailrace" },
		{ "compression.codec", "lz4" },
		{ "linger.ms", "500" }, /* we flush; once it is over, librdkafka spins */
		{ "reconnect.backoff.max.ms", "2000" },
	};
	const struct property ours[] = {
		{ "bootstrap.servers", k->set->brokers },
		{ "log.connection.close", "false" },
	};

	if (set_all(conf, defaults, COUNT(defaults), err))
		return -1;
	for (size_t i = 0; i < k->sink_config->npassed; i++) {
		const struct property p = { k->sink_config->passed[i].name,
					    k->sink_config->passed[i].value };

		if (set_all(conf, &p, 1, err))
			return -1;
	}
	return set_all(conf, ours, COUNT(ours), err);
}

/* message.max.bytes is checked by us against each topic's own limit. */
static int set_producer(struct kafka *k, rd_kafka_conf_t *conf, struct error *err)
{
	AUTO(free)
	char *id = xasprintf("tailrace.%s.%s", k->config->pipeline.name, k->sink_config->name);
	AUTO(free)
	char *timeout = xasprintf("%lld", (long long)(k->set->transaction_timeout / 1000));
	AUTO(free) char *queue = xasprintf("%lld", (long long)(kafka_queue_bytes(k) / 1024));
	const struct property ours[] = {
		{ "transactional.id", id },
		{ "transaction.timeout.ms", timeout },
		{ "enable.idempotence", "true" },
		{ "queue.buffering.max.kbytes", queue },
		{ "message.max.bytes", "1000000000" },
		{ "delivery.report.only.error", "true" },
	};

	return set_all(conf, ours, COUNT(ours), err);
}

static int set_role(struct kafka *k, enum kafka_role role, rd_kafka_conf_t *conf, struct error *err)
{
	static const struct property schemas[] = {
		{ "enable.idempotence", "true" },
		{ "queue.buffering.max.kbytes", "16384" },
		{ "message.timeout.ms", "30000" },
		{ "delivery.report.only.error", "true" },
	};
	const struct property reading[] = {
		{ "isolation.level", role == KAFKA_READER ? "read_committed" : "read_uncommitted" },
		{ "enable.partition.eof", "true" },
		{ "auto.offset.reset", "error" }, /* never a silent jump over records */
		{ "allow.auto.create.topics", "false" },
		{ "queued.max.messages.kbytes", "1024" },
		{ "fetch.max.bytes", "1048576" },
		{ "fetch.wait.max.ms", "50" },
	};

	if (set_common(k, conf, err))
		return -1;
	if (role == KAFKA_PRODUCER)
		return set_producer(k, conf, err);
	if (role == KAFKA_SCHEMAS)
		return set_all(conf, schemas, COUNT(schemas), err);
	return set_all(conf, reading, COUNT(reading), err);
}

rd_kafka_t *kafka_handle(struct kafka *k, enum kafka_role role, struct error *err)
{
	bool produces = role == KAFKA_PRODUCER || role == KAFKA_SCHEMAS;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[512];

	if (set_role(k, role, conf, err)) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	if (role == KAFKA_SCHEMAS)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	if (role == KAFKA_PRODUCER)
		rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
	if (role == KAFKA_PRODUCER)
		rd_kafka_conf_interceptor_add_on_new(conf, "tailrace", on_new, k);
	rd_kafka_t *rk = rd_kafka_new(produces ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why,
				      sizeof why);

	if (!rk) {
		rd_kafka_conf_destroy(conf);
		fail_exit(err, EXIT_USAGE, "sink %s: librdkafka: %s", k->sink_config->name, why);
	}
	return rk;
}

void kafka_handle_close(rd_kafka_t *rk)
{
	if (!rk)
		return;
	if (rd_kafka_type(rk) == RD_KAFKA_PRODUCER)
		rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy(rk);
}
