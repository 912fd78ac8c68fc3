/*
 * kafka_bare.c - the least that a transactional producer takes: the limit that latency is held against
 *
 * usage: kafka_bare BROKERS TOPIC ROWS PER_SECOND
 *
 * Rows fall due at an even pace.  Each time it wakes, what is due goes out in one transaction together
 * with a checkpoint record in another topic (TOPIC.checkpoints), and the next wake-up is when that is
 * committed and a row is due.  A row carries "@us=" and the instant at which it fell due.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROW_BYTES 230

static int64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
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

static void must(rd_kafka_error_t *e, const char *what)
{
	if (!e)
		return;
	fprintf(stderr, "%s: %s\n", what, rd_kafka_error_string(e));
	exit(1);
}

static void put_record(rd_kafka_t *rk, const char *topic, char *value, size_t n)
{
	rd_kafka_resp_err_t err =
		rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
				  RD_KAFKA_V_KEY("key", 3), RD_KAFKA_V_VALUE(value, n),
				  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

	if (err) {
		fprintf(stderr, "%s: %s\n", topic, rd_kafka_err2str(err));
		exit(1);
	}
}

static rd_kafka_t *producer(const char *brokers, const char *id)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];

	set(conf, "bootstrap.servers", brokers);
	set(conf, "transactional.id", id);
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", "0");

	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);

	if (!rk) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	must(rd_kafka_init_transactions(rk, 30000), "init_transactions");
	return rk;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: kafka_bare BROKERS TOPIC ROWS PER_SECOND\n");
		return 2;
	}
	long rows = strtol(argv[3], NULL, 10), step = 1000000 / strtol(argv[4], NULL, 10), n = 0;
	char value[ROW_BYTES], checkpoints[256];
	rd_kafka_t *rk = producer(argv[1], argv[2]);
	int64_t due = clock_us();

	memset(value, 'x', sizeof value);
	snprintf(checkpoints, sizeof checkpoints, "%s.checkpoints", argv[2]);
	for (long transactions = 0; n < rows; transactions++) {
		int64_t wait = due - clock_us();

		if (wait > 0)
			nanosleep(&(struct timespec){ 0, wait * 1000 }, NULL);
		must(rd_kafka_begin_transaction(rk), "begin");
		for (; n < rows && due <= clock_us(); n++, due += step) {
			int text = snprintf(value, sizeof value, "@us=%016" PRId64, due);

			value[text] = ' ';
			put_record(rk, argv[2], value, sizeof value);
		}
		put_record(rk, checkpoints, value, 60);
		must(rd_kafka_commit_transaction(rk, 30000), "commit");
		if (n == rows)
			printf("%ld\n", transactions + 1);
	}
	rd_kafka_destroy(rk);
	return 0;
}
