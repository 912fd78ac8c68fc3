/*
 * mysql_identity.c - is it the log that was read so far, and under which names does the agent read it
 *
 * The same server: its log must reach at least as far as what was read; a reset one does not.  Another server:
 * only by GTIDs, when it has all that was read; its file names and positions mean something else, so the epoch
 * of the positions grows.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "mysql_server.h"

#define ID_LOW   UINT32_C(0x80000000) /* ids of agents: out of the way of what people number */
#define ID_TRIES 64

static int contains(const struct mysql_server *s, const char *big, const char *small, bool *out,
		    struct error *err)
{
	AUTO(gtid_set) struct gtid_set *x = gtid_set_parse(s->mariadb, big ? big : "", err);
	AUTO(gtid_set)
	struct gtid_set *y = x ? gtid_set_parse(s->mariadb, small ? small : "", err) : NULL;

	if (!x || !y)
		return -1;
	*out = gtid_set_contains(x, y);
	return 0;
}

/* "mysql-bin" of "mysql-bin.000003". */
static size_t base_length(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot ? (size_t)(dot - file) : strlen(file);
}

static bool same_base(const char *a, const char *b)
{
	size_t n = base_length(a);

	return n == base_length(b) && strncmp(a, b, n) == 0;
}

/* The same server, by its identity: does its log still reach as far as it did? */
static int compare_files(const struct mysql_server *s, const struct mysql_resume *known,
			 struct error *err)
{
	const struct mysql_log_file *f = mysql_server_file(s, known->file);
	uint32_t last = binlog_file_number(str_z(s->file));

	if (f ? f->size >= known->pos : binlog_file_number(str_z(known->file)) <= last)
		return 0;
	return fail_exit(err, EXIT_LOG_GONE,
			 "the binary log of the server was reset, or lost its end (RESET MASTER, a "
			 "restored backup, a crash without sync_binlog = 1): it was read up to %s "
			 "at %" PRIu64 " and now ends at %s at %" PRIu64
			 ". What changed between is not known: load the tables anew",
			 known->file, known->pos, s->file, s->pos);
}

static int compare_sets(const struct mysql_server *s, const struct mysql_resume *known,
			struct error *err)
{
	bool all;

	if (contains(s, s->set, known->gtid, &all, err))
		return fail_exit(err, EXIT_LOG_GONE,
				 "what was read so far is of another kind of server: GTIDs %.200s",
				 known->gtid);
	if (all)
		return 0;
	return fail_exit(err, EXIT_LOG_GONE,
			 "the server lacks transactions that were read already (RESET MASTER, a "
			 "restored backup, or a failover to a server that had not received them): "
			 "it has GTIDs %.300s, read were %.300s. Load the tables anew",
			 *s->set ? s->set : "none", known->gtid);
}

static int other_server(const struct mysql_server *s, const struct mysql_resume *known,
			struct error *err)
{
	return fail_exit(err, EXIT_LOG_GONE,
			 "another server answers: its %s is %s, the log was read from %s, and "
			 "without GTIDs (gtid_mode = ON) "
			 "it is not known where to go on. Load the tables anew",
			 s->mariadb ? "server_id" : "server_uuid", s->identity, known->server);
}

int mysql_server_compare(const struct mysql_server *s, const char *known, struct mysql_resume *out,
			 struct error *err)
{
	if (!mysql_resume_parse(known, out))
		return fail_exit(err, EXIT_LOG_GONE,
				 "what was read so far is not of a MySQL or MariaDB server: %.300s",
				 known);
	bool gtids = out->gtid && s->set;
	bool same = strcmp(out->server, s->identity) == 0;
	bool files = same && same_base(out->file, s->file);

	if (!files && !gtids)
		return other_server(s, out, err);
	if ((gtids && compare_sets(s, out, err)) || (files && compare_files(s, out, err)))
		return -1;
	if (out->gtid && !s->set) {
		free(out->gtid); /* GTIDs were switched off: by file and position from here on */
		out->gtid = NULL;
	}
	if (files)
		return 0;
	out->epoch++;
	log_warning("another binary log, which has all that was read so far: going on in it",
		    "server", s->identity, "before", out->server, NULL);
	free(out->server);
	out->server = xstrdup(s->identity);
	return 0;
}

int mysql_server_oldest(const struct mysql_server *s, const struct mysql_resume *from,
			struct mysql_resume *out, struct error *err)
{
	bool has_all = false;

	*out = (struct mysql_resume){ .epoch = from->epoch };
	if (from->gtid && contains(s, from->gtid, s->purged, &has_all, err))
		return -1;
	out->server = xstrdup(s->identity);
	/* By GTIDs nothing that is wanted was purged, whatever became of the file. */
	if (has_all) {
		out->gtid = xstrdup(from->gtid);
		out->file = xstrdup(from->file);
		out->pos = from->pos;
		return 0;
	}
	out->gtid = from->gtid ? xstrdup(s->purged) : NULL;
	out->file = xstrdup(s->files[0].name);
	out->pos = BINLOG_FIRST;
	return 0;
}

bool mysql_same_log(const char *a, const char *b)
{
	AUTO(mysql_resume) struct mysql_resume x = { 0 };
	AUTO(mysql_resume) struct mysql_resume y = { 0 };

	if (!mysql_resume_parse(a, &x) || !mysql_resume_parse(b, &y))
		return false;
	return strcmp(x.server, y.server) == 0 || (x.gtid && y.gtid);
}

/* --- under which names --- */

static void digest(const char *pipeline, uint8_t out[32])
{
	AUTO(free) char *text = xasprintf("tailrace/%s", pipeline);

	if (EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL) != 1)
		memset(out, 0, 32);
}

void mysql_pipeline_uuid(const char *pipeline, bool spare, char out[37])
{
	uint8_t d[32];

	digest(pipeline, d);
	d[15] = (uint8_t)(d[15] + spare);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-8%x%02x-%x%x%02x-%02x%02x%02x%02x%02x%02x",
		 d[0], d[1], d[2], d[3], d[4], d[5], d[6] & 15, d[7], 8 + (d[8] & 3), d[8] >> 4,
		 d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
}

/* Replicas that have registered; to see them is a right that the agent need not have. */
static void load_replicas(struct mysql_conn *c, const struct mysql_server *s,
			  struct mysql_rows *out)
{
	struct error ignored;
	const char *sql = !s->mariadb && s->version >= 80022 ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS";

	if (mysql_query_rows(c, sql, out, &ignored))
		*out = (struct mysql_rows){ 0 };
}

static bool taken(const struct mysql_server *s, const struct mysql_rows *replicas, uint32_t id)
{
	char text[16];

	snprintf(text, sizeof text, "%" PRIu32, id);
	for (size_t i = 0; i < replicas->n; i++)
		if (str_eqz(mysql_cell(replicas, i, 0), text))
			return true;
	return id == s->server_id;
}

static int configured_id(const struct mysql_server *s, const char *text, uint32_t *out,
			 struct error *err)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n == 0 || n > UINT32_MAX)
		return fail_exit(err, EXIT_USAGE,
				 "source.server_id = %.40s is neither auto nor a number from 1 to "
				 "4294967295",
				 text);
	*out = (uint32_t)n;
	if (*out == s->server_id)
		return fail_exit(err, EXIT_USAGE,
				 "source.server_id = %" PRIu32
				 " is the server's own: choose another, or auto",
				 *out);
	return 0;
}

int mysql_server_pick_id(struct mysql_conn *c, const struct mysql_server *s,
			 const struct config *config, bool spare, uint32_t *out, struct error *err)
{
	const char *text = config->source.server_id;
	AUTO(mysql_rows) struct mysql_rows replicas = { 0 };
	uint8_t d[32];
	uint32_t id;

	if (text && strcmp(text, "auto") != 0)
		return configured_id(s, text, out, err);
	load_replicas(c, s, &replicas);
	digest(config->pipeline.name, d);
	memcpy(&id, d, sizeof id);
	id = (id | ID_LOW) + spare;
	for (int i = 0; i < ID_TRIES && taken(s, &replicas, id); i++)
		id = (id + 2) | ID_LOW;
	*out = id;
	return 0;
}
