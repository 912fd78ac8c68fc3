/*
 * kafka_checkpoint.c - the checkpoint record in tailrace.checkpoints, and the fence in it
 *
 * Key pipeline/sink, value {"fence":7,"position":"1/0/16B3748/9","resume":{...},
 * "snapshot":["public.a"],"stopped":{},"time":"2026-01-02T03:04:05.678901Z"}; position and resume
 * are null until the first commit.  It is written in the transaction of the data.  What it holds is
 * certain only up to the high watermark taken after init_transactions: an end of the partition at
 * read_committed before that is somebody's open transaction, and behind it a record of ours may
 * stand.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka.h"
#include "log.h"

#define WAIT_MS 5000 /* for an open transaction, before the wait is reported and begun again */

/* --- the record --- */

static void put_time(struct buf *out)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(out, "\"%s.%06ldZ\"", text, now.tv_nsec / 1000);
}

void kafka_checkpoint_format(const struct kafka *k, const struct checkpoint *c, struct buf *out)
{
	buf_addf(out, "{\"fence\":%" PRId64 ",\"position\":", k->fence);
	if (c->resume) {
		buf_addc(out, '"');
		position_format(&c->pos, out);
		buf_addf(out, "\",\"resume\":%s", c->resume);
	} else {
		buf_adds(out, "null,\"resume\":null");
	}
	buf_addf(out, ",\"snapshot\":%s,\"stopped\":%s,\"time\":", c->snapshot ? c->snapshot : "[]",
		 c->stopped ? c->stopped : "{}");
	put_time(out);
	buf_addc(out, '}');
}

/* The text of a member that is not empty, malloced; NULL otherwise. */
static char *text_of(const json_t *value)
{
	bool empty = json_is_array(value) ? !json_array_size(value) : !json_object_size(value);

	return empty ? NULL : json_dumps(value, JSON_COMPACT);
}

int kafka_checkpoint_parse(struct str json, struct kafka_checkpoint *out, struct error *err)
{
	json_error_t why;
	json_t *root = json_loadb(json.p, json.n, 0, &why);
	const json_t *position = json_object_get(root, "position");
	const json_t *resume = json_object_get(root, "resume");
	int failed = 0;

	*out = (struct kafka_checkpoint){ .found = true };
	if (!json_is_integer(json_object_get(root, "fence")))
		failed = fail(err, ERR_FATAL,
			      "topic " KAFKA_CHECKPOINTS ": a checkpoint that cannot be read: %.*s",
			      (int)(json.n < 200 ? json.n : 200), json.p);
	out->fence = json_integer_value(json_object_get(root, "fence"));
	if (!failed && json_is_object(resume)) {
		if (!json_is_string(position) ||
		    position_parse(str_z(json_string_value(position)), &out->at.pos))
			failed = fail(err, ERR_FATAL,
				      "topic " KAFKA_CHECKPOINTS ": a checkpoint without a "
				      "position: %.*s",
				      (int)(json.n < 200 ? json.n : 200), json.p);
		out->at.resume = json_dumps(resume, JSON_COMPACT);
		out->at.snapshot = text_of(json_object_get(root, "snapshot"));
		out->at.stopped = text_of(json_object_get(root, "stopped"));
	}
	json_decref(root);
	return failed;
}

void kafka_checkpoint_release(struct kafka_checkpoint *c)
{
	checkpoint_release(&c->at);
	*c = (struct kafka_checkpoint){ 0 };
}

/* --- reading --- */

struct reading {
	const struct kafka *k;
	struct kafka_checkpoint last; /* of ours */
	struct buf others;            /* whose records stand there */
};

static struct str key_of(const rd_kafka_message_t *m)
{
	return (struct str){ m->key, m->key_len };
}

static int take_ours(void *arg, const rd_kafka_message_t *m, struct error *err)
{
	struct reading *r = arg;

	if (!m->key || !str_eqz(key_of(m), r->k->key))
		return 0;
	kafka_checkpoint_release(&r->last);
	if (!m->payload)
		return 0;
	return kafka_checkpoint_parse((struct str){ m->payload, m->len }, &r->last, err);
}

/* In what is not decided yet: the highest fence of ours, and who else. */
static int take_undecided(void *arg, const rd_kafka_message_t *m, struct error *err)
{
	struct reading *r = arg;
	struct kafka_checkpoint found;

	if (!m->key || !m->payload)
		return 0;
	if (!str_eqz(key_of(m), r->k->key)) {
		if (r->others.n < 200 && !(r->others.p && strstr(buf_z(&r->others), "...")))
			buf_addf(&r->others, "%s%.*s", r->others.n ? ", " : "",
				 (int)(m->key_len < 100 ? m->key_len : 100), (const char *)m->key);
		return 0;
	}
	int failed = kafka_checkpoint_parse((struct str){ m->payload, m->len }, &found, err);

	r->last.found = true;
	if (found.fence > r->last.fence)
		r->last.fence = found.fence;
	kafka_checkpoint_release(&found);
	return failed;
}

/* Committed records to *out; what stands between *reached and *end is undecided. */
static int read_committed(struct kafka *k, struct kafka_checkpoint *out, int wait_ms,
			  int64_t *reached, int64_t *end, struct error *err)
{
	struct reading r = { .k = k };

	*reached = *end = 0;
	if (kafka_end(k, KAFKA_CHECKPOINTS, 0, end, err))
		return -1;
	rd_kafka_t *reader = kafka_handle(k, KAFKA_READER, err);

	if (!reader)
		return -1;
	const struct kafka_span span = { KAFKA_CHECKPOINTS, 0, RD_KAFKA_OFFSET_BEGINNING, *end,
					 wait_ms };
	int failed = kafka_read(k, reader, &span, take_ours, &r, reached, err);

	kafka_handle_close(reader);
	if (failed)
		kafka_checkpoint_release(&r.last);
	*out = r.last;
	return failed;
}

static int read_undecided(struct kafka *k, int64_t from, int64_t to, struct reading *r,
			  struct error *err)
{
	const struct kafka_span span = { KAFKA_CHECKPOINTS, 0, from, to, 0 };
	int64_t reached;

	*r = (struct reading){ .k = k };
	return kafka_read(k, k->side, &span, take_undecided, r, &reached, err);
}

static int fail_fenced(const struct kafka *k, int64_t fence, struct error *err)
{
	return fail_exit(err, EXIT_FENCED,
			 "kafka %s: fenced by another instance of pipeline %s (fence %" PRId64
			 ", mine is %" PRId64 ")",
			 k->set->brokers, k->config->pipeline.name, fence, k->fence);
}

static int fail_replaced(const struct kafka *k, struct error *err)
{
	return fail(err, ERR_FATAL,
		    "kafka %s: the checkpoint of this pipeline in topic " KAFKA_CHECKPOINTS
		    " is gone or older than this process: the topic was replaced or restored; "
		    "restart to go on from what it holds",
		    k->set->brokers);
}

int kafka_fence_check(struct kafka *k, struct error *err)
{
	struct kafka_checkpoint found;
	struct reading tail = { 0 };
	int64_t reached, end;

	if (read_committed(k, &found, 0, &reached, &end, err))
		return -1;
	int64_t fence = found.fence;

	kafka_checkpoint_release(&found);
	if (fence > k->fence)
		return fail_fenced(k, fence, err);
	if (reached < end && read_undecided(k, reached, end, &tail, err))
		return -1;
	buf_free(&tail.others);
	if (tail.last.fence > k->fence)
		return fail(err, ERR_RETRY,
			    "kafka %s: another instance of pipeline %s is taking over (fence "
			    "%" PRId64 ", mine is %" PRId64 ")",
			    k->set->brokers, k->config->pipeline.name, tail.last.fence, k->fence);
	return fence == k->fence || tail.last.fence == k->fence ? 0 : fail_replaced(k, err);
}

/* Somebody's transaction is open in front of the end: wait for it, by name. */
static int fail_undecided(struct kafka *k, int64_t reached, int64_t end, struct error *err)
{
	struct reading tail = { 0 };

	if (read_undecided(k, reached, end, &tail, err))
		return -1;
	if (tail.last.found) /* init_transactions should have ended it */
		buf_addf(&tail.others, "%s%s itself", tail.others.n ? ", " : "", k->key);
	fail(err, ERR_RETRY,
	     "kafka %s: topic " KAFKA_CHECKPOINTS " has an open transaction at offset %" PRId64
	     ", of one of: %s; waiting for its end, at the latest its transaction time-out; one "
	     "that stays beyond the broker's transaction.max.timeout.ms hangs: see "
	     "kafka-transactions.sh find-hanging, and abort",
	     k->set->brokers, reached, tail.others.n ? buf_z(&tail.others) : "an unknown producer");
	buf_free(&tail.others);
	return -1;
}

/* The first commit of this process: the checkpoint that was found, under the next fence. */
static int raise_fence(struct kafka *k, int64_t last, struct error *err)
{
	k->fence = last + 1;
	return k->sink.ops->commit(&k->sink, &k->committed, err);
}

int kafka_checkpoint_load(struct kafka *k, struct error *err)
{
	struct kafka_checkpoint found;
	int64_t reached, end;

	if (read_committed(k, &found, WAIT_MS, &reached, &end, err))
		return -1;
	int failed = reached < end ? fail_undecided(k, reached, end, err) : 0;

	if (!failed && k->fence && found.fence > k->fence)
		failed = fail_fenced(k, found.fence, err);
	if (!failed && k->fence && found.fence < k->fence)
		failed = fail_replaced(k, err);
	if (!failed)
		checkpoint_copy(&k->committed, &found.at);
	int64_t last = found.fence;

	kafka_checkpoint_release(&found);
	if (!failed && !k->fence) {
		failed = raise_fence(k, last, err);
		if (failed)
			k->fence = 0;
	}
	k->fresh = !failed;
	return failed;
}
