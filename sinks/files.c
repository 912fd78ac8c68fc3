/*
 * files.c - the files sink: Avro container files, one a table version and commit
 *
 * Events become records in position order; a commit is the rename of the manifest
 * (files_manifest.c).  Commits happen when enough is written or enough time has passed, because each
 * makes a file for every table that changed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "check.h"
#include "clock.h"
#include "files.h"
#include "folder.h"

#define ZSTD_LEVEL 1

/* --- lanes --- */

static struct files_collection *collection_get(struct files *k, const struct table *t)
{
	struct files_collection *c = k->collections;

	while (c && !(str_eq(c->schema, t->schema) && str_eq(c->name, t->name)))
		c = c->next;
	if (c)
		return c;
	c = xcalloc(1, sizeof *c);
	c->schema = t->schema;
	c->name = t->name;
	c->next = k->collections;
	k->collections = c;
	return c;
}

/* <schema>.<table>/v<version>; a / in a name cannot stand there. */
static char *lane_folder(const struct files *k, const struct table *t)
{
	char *folder;

	if (t == k->messages)
		return xasprintf("%s.messages/v1", k->config->pipeline.name);
	folder = xasprintf("%.*s.%.*s/v%u", STR_FMT(t->schema), STR_FMT(t->name), t->version);
	for (size_t i = 0; i < t->schema.n + 1 + t->name.n; i++)
		if (folder[i] == '/')
			folder[i] = '_';
	return folder;
}

static struct files_lane *lane_get(struct files *k, const struct table *t)
{
	if (t->id >= k->nlanes) {
		size_t n = (size_t)t->id + 16;

		k->lanes = xrealloc(k->lanes, n * sizeof(struct files_lane *));
		memset(k->lanes + k->nlanes, 0, (n - k->nlanes) * sizeof(struct files_lane *));
		k->nlanes = n;
	}
	struct files_lane *lane = k->lanes[t->id];

	if (lane)
		return lane;
	lane = k->lanes[t->id] = xcalloc(1, sizeof *lane);
	lane->table = t;
	lane->collection = collection_get(k, t);
	lane->folder = lane_folder(k, t);
	lane->reserved = t != k->messages && str_eqz(t->name, "messages") &&
			 str_eqz(t->schema, k->config->pipeline.name);
	lane->fd = -1;
	return lane;
}

/*
 * A version that comes back after another one, in the same commit: its file is left as it is and another begun, so that
 * positions ascend over files sorted by name.
 */
static struct files_lane *lane_for(struct files *k, const struct table *t)
{
	struct files_lane *lane = lane_get(k, t);
	struct files_collection *c = lane->collection;

	if (lane->active && c->last && c->last != lane) {
		k->lanes[t->id] = NULL;
		lane->retired = true;
		lane = lane_get(k, t);
	}
	c->last = lane;
	return lane;
}

/* --- logical messages: a table of two columns --- */

static void messages_free(struct table *t)
{
	if (!t)
		return;
	avro_schemas_free(&t->schemas);
	free(t->columns);
	free(t);
}

static int messages_make(struct files *k, struct error *err)
{
	AUTO(free) char *topic = xasprintf("%s.messages", k->config->pipeline.name);
	struct avro_names names = { topic, k->source.connector, 0 };
	struct table *t = xcalloc(1, sizeof *t);

	t->version = 1;
	t->schema = STR("");
	t->name = STR("messages");
	t->ncolumns = 2;
	t->columns = xcalloc(2, sizeof *t->columns);
	t->columns[0] = (struct column){ .name = STR("prefix"), .type = COL_TEXT };
	t->columns[1] = (struct column){ .name = STR("content"), .type = COL_BYTES };
	if (avro_schemas_make(t, &names, &t->schemas, err)) {
		messages_free(t);
		return -1;
	}
	k->messages = t;
	return 0;
}

/* The message as a row of k->messages; its image lives in k->image. */
static void message_row(struct files *k, const struct event *e, struct event *out)
{
	struct value row[2] = { { .state = VALUE_SET, .s = e->prefix },
				{ .state = VALUE_SET, .s = e->content } };
	struct avro_extra extra = { 0 };

	buf_clear(&k->image);
	avro_put_row(&k->image, k->messages, row, &extra);
	buf_free(&extra.absent);
	buf_free(&extra.unrepresentable);
	*out = *e;
	out->table = k->messages;
	out->after = (struct str){ k->image.p, k->image.n };
}

/* --- events --- */

static void put_record(struct files *k, struct files_lane *lane, const struct event *e, char op)
{
	struct files_collection *c = lane->collection;
	bool in_transaction = e->pos.row < POSITION_BETWEEN;

	if (k->set->format == FORMAT_FLAT)
		avro_put_flat(&lane->pending, e, op);
	else
		avro_put_envelope(&lane->pending, e, op, &k->source,
				  in_transaction ? (int64_t)e->pos.row - 1 : -1, c->order);
}

/* A change of key is a delete and an insert at one position. */
static int write_event(struct files *k, const struct event *e, struct error *err)
{
	struct files_lane *lane = lane_for(k, e->table);
	struct files_collection *c = lane->collection;
	bool moved = e->op == CHANGE_UPDATE && e->old_key.p;
	size_t room = lane->pending.room, n = lane->pending.n;

	if (!position_same_transaction(&c->transaction, &e->pos)) {
		c->transaction = e->pos;
		c->order = 0;
	}
	c->order++;
	if (lane->reserved)
		return fail(
			err, ERR_REJECT,
			"the folder of %.*s.%.*s is the one of logical messages; leave it out of "
			"this sink with tables =",
			STR_FMT(e->table->schema), STR_FMT(e->table->name));
	if (!lane->active)
		files_begin(k, lane, &e->pos);
	if (moved)
		put_record(k, lane, e, 'd');
	put_record(k, lane, e, moved ? 'c' : event_op(e));
	return files_added(k, lane, &e->pos, moved ? 2 : 1, room, lane->pending.n - n, err);
}

static int files_write(struct sink *sink, const struct event *e, size_t n, struct error *err)
{
	struct files *k = (struct files *)sink;
	struct event message;

	if (n && !k->since_us)
		k->since_us = monotonic_us();
	k->source.now_us = wall_clock_us();
	for (size_t i = 0; i < n; i++) {
		const struct event *record = &e[i];

		switch (e[i].op) {
		case CHANGE_MESSAGE:
			message_row(k, &e[i], &message);
			record = &message;
			break;
		case CHANGE_INSERT:
		case CHANGE_UPDATE:
		case CHANGE_DELETE:
		case CHANGE_TRUNCATE:
		case CHANGE_READ:
			break;
		case CHANGE_BEGIN:
			avro_source_begin(&k->source, &e[i]);
			continue;
		case CHANGE_SCHEMA:
		case CHANGE_HEARTBEAT:
		case CHANGE_GAP:
		case CHANGE_COMMIT:
			continue;
		default:
			return fail(err, ERR_FATAL, "an event of kind %d cannot be written",
				    (int)e[i].op);
		}
		if (write_event(k, record, err)) {
			err->item = i;
			return -1;
		}
	}
	return 0;
}

static int files_commit(struct sink *sink, const struct checkpoint *upto, struct error *err)
{
	struct files *k = (struct files *)sink;

	if (files_sync(k, err) || files_publish(k, upto, err))
		return -1;
	checkpoint_copy(&k->committed, upto);
	k->since_us = 0;
	return 0;
}

static bool files_due(struct sink *sink)
{
	const struct files *k = (const struct files *)sink;

	return k->since_us && (k->bytes >= (uint64_t)k->set->roll_bytes ||
			       monotonic_us() - k->since_us >= k->set->roll_interval);
}

static int files_load(struct sink *sink, struct checkpoint *out, struct error *err)
{
	const struct files *k = (const struct files *)sink;

	if (files_fence_check(k, err))
		return -1;
	checkpoint_copy(out, &k->committed);
	return 0;
}

/* --- open, close, check --- */

static void files_close(struct sink *sink)
{
	struct files *k = (struct files *)sink;

	files_discard(k);
	for (size_t i = 0; i < k->nlanes; i++) {
		if (!k->lanes[i])
			continue;
		free(k->lanes[i]->folder);
		free(k->lanes[i]);
	}
	free(k->lanes);
	while (k->collections) {
		struct files_collection *c = k->collections;

		k->collections = c->next;
		free(c);
	}
	messages_free(k->messages);
	avro_source_release(&k->source);
	checkpoint_release(&k->committed);
	ocf_codec_free(k->codec);
	buf_free(&k->block);
	buf_free(&k->image);
	free(k);
}

/* Two files sinks of a pipeline would give their files the same names. */
static int check_alone(const struct sink_context *c, struct error *err)
{
	const struct files_settings *mine = c->sink->settings;
	struct stat a, b;

	for (size_t i = 0; i < c->config->nsinks; i++) {
		const struct sink_config *o = &c->config->sinks[i];
		const struct files_settings *other = o->settings;

		if (!o->type || o->type->ops != &files_sink || o->settings == c->sink->settings ||
		    stat(mine->path, &a) || stat(other->path, &b) || a.st_dev != b.st_dev ||
		    a.st_ino != b.st_ino)
			continue;
		return fail_exit(
			err, EXIT_USAGE,
			"sinks %s and %s of the pipeline write to the same folder %s; give "
			"each its own path",
			c->sink->name, o->name, mine->path);
	}
	return 0;
}

static struct files *files_new(const struct sink_context *c)
{
	const struct tables_config *names = tables_names(c->tables);
	struct files *k = xcalloc(1, sizeof *k);

	k->sink.ops = &files_sink;
	k->config = c->config;
	k->sink_config = c->sink;
	k->set = c->sink->settings;
	k->path = k->set->path;
	k->fence = c->fence;
	k->source.tables = c->tables;
	k->source.connector = names->connector ? names->connector : "";
	k->source.pipeline = c->config->pipeline.name;
	k->source.database = names->database ? names->database : "";
	k->codec = ocf_codec_new((enum ocf_codec)k->set->compression, ZSTD_LEVEL);
	return k;
}

static struct sink *files_open(const struct sink_context *c, int64_t *fence, struct error *err)
{
	struct files *k = files_new(c);

	if (messages_make(k, err) || folder_make(k->path, err) || check_alone(c, err) ||
	    files_recover(k, c->fenced, err)) {
		files_close(&k->sink);
		return NULL;
	}
	*fence = k->fence;
	return &k->sink;
}

static int files_check(const struct sink_context *c, struct findings *out, struct error *err)
{
	const struct files_settings *set = c->sink->settings;
	AUTO(free) char *manifests = xasprintf("%s/_tailrace", set->path);
	struct error found;

	if (check_alone(c, err))
		return -1;
	if (folder_check(set->path, &found) || folder_check(manifests, &found))
		findings_add(out, "sink_unreachable", SEVERITY_ERROR, c->sink->name, found.text,
			     NULL, NULL);
	return 0;
}

const struct sink_ops files_sink = {
	.name = "files",
	.summary = "Avro container files with atomic names",
	.flags = SINK_COMMITS_ON_ROLL,
	.check = files_check,
	.open = files_open,
	.load = files_load,
	.write = files_write,
	.commit = files_commit,
	.due = files_due,
	.close = files_close,
};
