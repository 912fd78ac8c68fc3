/*
 * kafka_bare.c - the least that a transactional producer takes: the limit that latency is held against
 *
 * usage: kafka_bare BROKERS TOPIC ROWS PER_SECOND
 *        kafka_bare BROKERS TOPIC ROWS 0 SAMPLE
 *
 * Rows fall due at an even pace.  Each time it wakes, what is due goes out in one transaction together
 * with a checkpoint record in another topic (TOPIC.checkpoints), and the next wake-up is when that is
 * committed and a row is due.  A row carries "@us=" and the instant at which it fell due.
 *
 * With 0 it is as fast as it can: the messages of the file SAMPLE again and again (u32 bytes of the key, u32 bytes of the
 * value, little-endian, both), BULK in a transaction.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROW_BYTES 230
#define BULK      20000

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

static void put_message(rd_kafka_t *rk, const char *topic, char *key, size_t key_n, char *value,
			size_t n)
{
	rd_kafka_resp_err_t err;

	while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
					RD_KAFKA_V_KEY(key, key_n), RD_KAFKA_V_VALUE(value, n),
					RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(rk, 10);
	if (err) {
		fprintf(stderr, "%s: %s\n", topic, rd_kafka_err2str(err));
		exit(1);
	}
}

static void put_record(rd_kafka_t *rk, const char *topic, char *value, size_t n)
{
	put_message(rk, topic, "key", 3, value, n);
}

static rd_kafka_t *producer(const char *brokers, const char *id, const char *linger)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];

	set(conf, "bootstrap.servers", brokers);
	set(conf, "transactional.id", id);
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", linger);

	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);

	if (!rk) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	must(rd_kafka_init_transactions(rk, 30000), "init_transactions");
	return rk;
}

/* All of a file; a bench's sample, small. */
static char *read_all(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *bytes = NULL;
	size_t room = 0, got;

	*n = 0;
	do {
		bytes = realloc(bytes, room += 1 << 20);
		got = f && bytes ? fread(bytes + *n, 1, room - *n, f) : 0;
		*n += got;
	} while (got && *n == room);
	if (!f || ferror(f) || *n < 8) {
		fprintf(stderr, "%s: no sample\n", path);
		exit(1);
	}
	fclose(f);
	return bytes;
}

static void at_full_speed(rd_kafka_t *rk, const char *topic, const char *checkpoints, long rows,
			  const char *path)
{
	size_t size, at = 0;
	char *sample = read_all(path, &size), checkpoint[60] = { 0 };

	for (long n = 0; n < rows;) {
		long end = rows - n > BULK ? n + BULK : rows;

		must(rd_kafka_begin_transaction(rk), "begin");
		for (; n < end; n++) {
			uint32_t length[2];

			if (at >= size)
				at = 0;
			memcpy(length, sample + at, sizeof length);
			at += sizeof length;
			put_message(rk, topic, sample + at, length[0], sample + at + length[0],
				    length[1]);
			at += length[0] + length[1];
		}
		put_record(rk, checkpoints, checkpoint, sizeof checkpoint);
		must(rd_kafka_commit_transaction(rk, 60000), "commit");
	}
	free(sample);
}

static void at_a_pace(rd_kafka_t *rk, const char *topic, const char *checkpoints, long rows,
		      long step)
{
	char value[ROW_BYTES];
	long n = 0;
	int64_t due = clock_us();

	memset(value, 'x', sizeof value);
	for (long transactions = 0; n < rows; transactions++) {
		int64_t wait = due - clock_us();

		if (wait > 0)
			nanosleep(&(struct timespec){ 0, wait * 1000 }, NULL);
		must(rd_kafka_begin_transaction(rk), "begin");
		for (; n < rows && due <= clock_us(); n++, due += step) {
			int text = snprintf(value, sizeof value, "@us=%016" PRId64, due);

			value[text] = ' ';
			put_record(rk, topic, value, sizeof value);
		}
		put_record(rk, checkpoints, value, 60);
		must(rd_kafka_commit_transaction(rk, 30000), "commit");
		if (n == rows)
			printf("%ld\n", transactions + 1);
	}
}

int main(int argc, char **argv)
{
	long pace = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
	char checkpoints[256];

	if (argc != (pace ? 5 : 6)) {
		fprintf(stderr, "usage: kafka_bare BROKERS TOPIC ROWS PER_SECOND\n"
				"       kafka_bare BROKERS TOPIC ROWS 0 SAMPLE\n");
		return 2;
	}
	rd_kafka_t *rk = producer(argv[1], argv[2], pace ? "0" : "500");
	long rows = strtol(argv[3], NULL, 10);

	snprintf(checkpoints, sizeof checkpoints, "%s.checkpoints", argv[2]);
	if (pace)
		at_a_pace(rk, argv[2], checkpoints, rows, 1000000 / pace);
	else
		at_full_speed(rk, argv[2], checkpoints, rows, argv[5]);
	rd_kafka_destroy(rk);
	return 0;
}
