/*
 * pg_timeline.c - system identifier, timelines and their forks
 *
 * A history file has a line for each timeline that was left, oldest first:
 *	1<TAB>0/3000060<TAB>no recovery target specified
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pg_timeline.h"
#include "pgoutput.h"

int pg_log_parse_history(const char *text, struct pg_log *out, struct error *err)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		unsigned timeline, high, low;
		size_t blank = strspn(text, " \t");

		if (blank < n && text[blank] != '#') {
			if (sscanf(text, "%u %8X/%8X", &timeline, &high, &low) != 3)
				return fail(err, ERR_FATAL,
					    "timeline history: cannot read the line \"%.*s\"",
					    n > 100 ? 100 : (int)n, text);
			out->forks = xrealloc(out->forks, (out->nforks + 1) * sizeof *out->forks);
			out->forks[out->nforks++] =
				(struct pg_fork){ timeline, (uint64_t)high << 32 | low };
		}
		text += n + (text[n] == '\n');
	}
	return 0;
}

int pg_log_identify(PGconn *replication, int64_t deadline, struct pg_log *out, struct error *err)
{
	char sql[48];

	pg_log_release(out);
	AUTO(PGresult)
	PGresult *r = pg_query(replication, deadline, "cannot identify the server",
			       "IDENTIFY_SYSTEM", err);

	if (!r)
		return -1;
	out->system = pg_get_u64(r, 0, 0);
	out->timeline = (uint32_t)pg_get_u64(r, 0, 1);
	if (!out->system || !out->timeline)
		return fail(err, ERR_FATAL, "IDENTIFY_SYSTEM: no system identifier");
	if (out->timeline == 1)
		return 0;
	snprintf(sql, sizeof sql, "TIMELINE_HISTORY %u", out->timeline);
	AUTO(PGresult)
	PGresult *h =
		pg_query(replication, deadline, "cannot read the timeline's history", sql, err);

	if (h)
		return pg_log_parse_history(PQgetvalue(h, 0, 1), out, err);
	if (err->kind == ERR_RETRY)
		return -1;
	log_warning("the history of the server's timeline cannot be read", "reason", err->text,
		    NULL);
	return 0;
}

static int other_timeline(const struct pg_log *log, uint32_t timeline, uint64_t lsn,
			  struct error *err)
{
	char text[PG_LSN_TEXT], end[PG_LSN_TEXT];

	for (size_t i = 0; i < log->nforks && timeline < log->timeline; i++) {
		const struct pg_fork *f = &log->forks[i];

		if (f->timeline != timeline)
			continue;
		if (lsn <= f->end)
			return 0;
		return fail_exit(
			err, EXIT_LOG_GONE,
			"the promoted server lacks what was delivered: timeline %u was left at %s, "
			"delivered is up to %s; bring back the old primary, or load the tables "
			"anew",
			timeline, pg_lsn_text(f->end, end), pg_lsn_text(lsn, text));
	}
	return fail_exit(
		err, EXIT_LOG_GONE,
		"the server is on timeline %u, which does not descend from timeline %u, of which "
		"changes up to %s were delivered; connect to the server they came from, or load "
		"the "
		"tables anew",
		log->timeline, timeline, pg_lsn_text(lsn, text));
}

int pg_log_compare(const struct pg_log *log, const char *known, uint64_t end, bool standby,
		   struct error *err)
{
	char text[PG_LSN_TEXT], at[PG_LSN_TEXT];
	uint64_t system, lsn;
	uint32_t timeline;

	if (!pg_resume_parse(known, &system, &timeline, &lsn))
		return fail(err, ERR_FATAL, "not a resume token of a PostgreSQL source: %.200s",
			    known);
	if (system != log->system)
		return fail_exit(err, EXIT_LOG_GONE,
				 "this is another server: its system identifier is %" PRIu64
				 ", changes were delivered from %" PRIu64
				 "; correct source.url, or begin anew with another pipeline.name",
				 log->system, system);
	if (timeline != log->timeline && other_timeline(log, timeline, lsn, err))
		return -1;
	if (lsn <= end)
		return 0;
	if (standby)
		return fail(err, ERR_RETRY,
			    "the standby has replayed up to %s, delivered is up to %s",
			    pg_lsn_text(end, at), pg_lsn_text(lsn, text));
	return fail_exit(err, EXIT_LOG_GONE,
			 "the server's log ends at %s, before %s, up to which changes were "
			 "delivered: it was "
			 "restored from a backup or reset; load the tables anew",
			 pg_lsn_text(end, at), pg_lsn_text(lsn, text));
}

uint32_t pg_log_epoch(const struct pg_log *log, uint64_t commit_lsn)
{
	for (size_t i = 0; i < log->nforks; i++)
		if (commit_lsn < log->forks[i].end)
			return log->forks[i].timeline;
	return log->timeline;
}

void pg_log_release(struct pg_log *log)
{
	free(log->forks);
	*log = (struct pg_log){ 0 };
}
