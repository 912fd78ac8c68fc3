/*
 * kafka_reader.c - a read_committed consumer that counts, and tells how old what it gets is
 *
 * usage: kafka_reader BROKERS TOPIC COUNT IDLE_MS
 *
 * Reads partition 0 of a topic that exists, from its beginning, until COUNT messages were seen or none
 * came for IDLE_MS.  Says "ready" once it reads; at the end one line: messages, the monotonic second
 * of the last one.  Then, for each message whose value carries "@us=" and 16 digits, which are
 * microseconds since 1970, the instant and its age in microseconds at the moment it was handed out.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARK   "@us="
#define DIGITS 16

struct age {
	int64_t at, us;
};

static int64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
		fprintf(stderr, "%s: %s\n", name, why);
		exit(1);
	}
}

static rd_kafka_t *consumer(const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];

	set(conf, "bootstrap.servers", brokers);
	set(conf, "isolation.level", "read_committed");
	set(conf, "fetch.wait.max.ms", "5");
	set(conf, "fetch.error.backoff.ms", "1");
	set(conf, "queued.max.messages.kbytes", "16384");
	set(conf, "check.crcs", "false");

	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);

	if (!rk) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	return rk;
}

/* The instant in a value; 0: none. */
static int64_t instant(const rd_kafka_message_t *m)
{
	const char *found = memmem(m->payload, m->len, MARK, strlen(MARK));
	char digits[DIGITS + 1] = { 0 };

	if (!found || (size_t)((const char *)m->payload + m->len - found) < strlen(MARK) + DIGITS)
		return 0;
	memcpy(digits, found + strlen(MARK), DIGITS);
	return strtoll(digits, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: kafka_reader BROKERS TOPIC COUNT IDLE_MS\n");
		return 2;
	}
	long count = strtol(argv[3], NULL, 10), n = 0, nages = 0;
	int64_t idle = strtol(argv[4], NULL, 10) * 1000, last = clock_us(CLOCK_MONOTONIC);
	struct age *ages = calloc((size_t)count, sizeof *ages);
	rd_kafka_t *rk = consumer(argv[1]);
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[2], NULL);

	if (!ages || rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING)) {
		fprintf(stderr, "%s cannot be read\n", argv[2]);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (n < count && clock_us(CLOCK_MONOTONIC) - last < idle) {
		rd_kafka_message_t *m = rd_kafka_consume(topic, 0, 100);

		if (m && !m->err) {
			int64_t now = clock_us(CLOCK_REALTIME), at = instant(m);

			last = clock_us(CLOCK_MONOTONIC);
			n++;
			if (at)
				ages[nages++] = (struct age){ at, now - at };
		}
		if (m)
			rd_kafka_message_destroy(m);
		rd_kafka_poll(rk, 0);
	}
	printf("%ld %.6f\n", n, (double)last / 1e6);
	for (long i = 0; i < nages; i++)
		printf("%" PRId64 " %" PRId64 "\n", ages[i].at, ages[i].us);
	rd_kafka_consume_stop(topic, 0);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	free(ages);
	return 0;
}
