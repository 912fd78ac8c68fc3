/*
 * option_doc.c - `tailrace options`: the options tables as text, man page, Markdown and as a
 * commented configuration
 */
#include <string.h>

#include "command.h"

#define WIDTH 92

/* One section of the reference: up to two tables. */
struct chapter {
	const char *name; /* "sink copy" */
	const char *help;
	const struct option *tables[2];
	const char *type; /* of a sink, or NULL */
	bool available;
};

/* What the sample shows where there is no default. */
static const struct {
	const char *section, *key, *value;
} samples[] = {
	{ "pipeline", "name", "erp" },
	{ "pipeline", "state_dir", "/var/lib/tailrace/erp" },
	{ "pipeline", "hash_key", "file:/etc/tailrace/erp.hash" },
	{ "source", "type", "postgres" },
	{ "source", "url", "postgresql://tailrace@db1:5432/erp?sslmode=verify-full" },
	{ "source", "password", "file:/etc/tailrace/erp.password" },
	{ "source", "tables", "public.*, !public.*_tmp" },
	{ "source", "slot", "tailrace_erp" },
	{ "source", "publication", "tailrace_erp" },
	{ "table public.customer", "columns", "*, !notes" },
	{ "table public.customer", "hash", "email" },
	{ "table public.customer", "mask", "phone" },
	{ "table public.customer", "truncate", "remarks:100" },
	{ "table public.customer", "key", "id" },
	{ "registry", "url", "http://127.0.0.1:8081" },
	{ "sink lake", "brokers", "k1:9092,k2:9092" },
	{ "sink lake", "partitions", "6" },
	{ "sink lake", "replication", "3" },
	{ "sink warehouse", "url", "postgresql://tailrace@warehouse/erp" },
	{ "sink warehouse", "schema", "erp" },
	{ "sink reports", "url", "mysql://tailrace@reports/erp" },
	{ "sink copy", "path", "/var/lib/tailrace/erp/copy.db" },
	{ "sink archive", "path", "/srv/lake/erp" },
};

static const struct {
	const char *type, *section, *help;
} sinks[] = {
	{ "kafka", "sink lake", "Kafka: a topic for each table, transactions as in the source." },
	{ "postgres", "sink warehouse", "PostgreSQL as a target: upserts by key." },
	{ "mysql", "sink reports", "MySQL or MariaDB as a target: upserts by key." },
	{ "sqlite", "sink copy", "A copy in one SQLite database: upserts by key." },
	{ "files", "sink archive", "Avro container files, complete once they have their name." },
};

static const char *sample_of(const struct chapter *c, const struct option *o)
{
	if (o->initial)
		return o->initial;
	if (c->type && strcmp(o->name, "type") == 0)
		return c->type;
	for (size_t i = 0; i < COUNT(samples); i++)
		if (strcmp(samples[i].section, c->name) == 0 &&
		    strcmp(samples[i].key, o->name) == 0)
			return samples[i].value;
	return NULL;
}

static struct chapter sink_chapter(const struct sink_type *t)
{
	struct chapter c = { .name = t->name,
			     .tables = { sink_options, t->options },
			     .type = t->name,
			     .available = t->ops != NULL };

	for (size_t i = 0; i < COUNT(sinks); i++) {
		if (strcmp(sinks[i].type, t->name) == 0) {
			c.name = sinks[i].section;
			c.help = sinks[i].help;
		}
	}
	return c;
}

/* All chapters in the order of the reference; returns how many. */
static size_t chapters(struct chapter *out, size_t room)
{
	size_t n = 0;

	for (const struct section *s = sections; s->name && n < room; s++) {
		if (strcmp(s->name, "registry") == 0)
			out[n++] = (struct chapter){
				.name = "table public.customer",
				.help = "Tables that match the pattern; any number of sections.",
				.tables = { table_options },
				.available = true,
			};
		if (strcmp(s->name, "quarantine") == 0)
			for (const struct sink_type *t = sink_types; t->name && n < room; t++)
				out[n++] = sink_chapter(t);
		if (n < room)
			out[n++] = (struct chapter){
				.name = s->name,
				.help = s->help,
				.tables = { s->options },
				.available = true,
			};
	}
	return n;
}

/* "size, 16MB to 64GB", "initial, never or only" */
static void add_kind(struct buf *b, const struct option *o)
{
	static const char *const kinds[] = {
		[OPTION_STRING] = "text", [OPTION_BOOL] = "on or off", [OPTION_INT] = "number",
		[OPTION_SIZE] = "size",   [OPTION_TIME] = "time",      [OPTION_LIST] = "list",
	};

	if (o->type != OPTION_ENUM)
		buf_adds(b, o->flags & OPTION_SECRET ? "secret" : kinds[o->type]);
	for (size_t i = 0; o->type == OPTION_ENUM && o->choices[i]; i++)
		buf_addf(b, "%s%s", i == 0 ? "" : o->choices[i + 1] ? ", " : " or ", o->choices[i]);
	if (o->min)
		buf_addf(b, ", %s to %s", o->min, o->max);
}

/* The help and what of it is not there yet. */
static void add_help(struct buf *b, const struct option *o)
{
	buf_adds(b, o->help);
	if (o->flags & OPTION_SECRET)
		buf_adds(b, " May be ${NAME} of the environment or file:PATH.");
	if (o->flags & OPTION_RELOAD)
		buf_adds(b, " Takes effect on SIGHUP.");
	if (o->flags & OPTION_LATER)
		buf_addf(b, " Not available in this version%s.",
			 o->initial ? " but for the default" : "");
	for (size_t i = 0; o->later && o->later[i]; i++)
		buf_addf(b, "%s%s%s", i == 0 ? " Not available in this version: " : ", ",
			 o->later[i], o->later[i + 1] ? "" : ".");
}

/* `text` in lines of WIDTH that each begin with `prefix`. */
static void wrap(struct buf *b, const char *prefix, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column == 0) {
			buf_adds(b, prefix);
			column = strlen(prefix);
		} else if (column + 1 + word > WIDTH) {
			buf_addf(b, "\n%s", prefix);
			column = strlen(prefix);
		} else {
			buf_addc(b, ' ');
			column++;
		}
		buf_add(b, text, word);
		column += word;
		text += word + strspn(text + word, " ");
	}
	buf_addc(b, '\n');
}

static const char *default_text(const struct option *o)
{
	return o->flags & OPTION_REQUIRED ? "required" : o->initial ? o->initial : "none";
}

static void text_option(struct buf *b, const struct chapter *c, const struct option *o)
{
	AUTO(buf) struct buf help = { 0 }, kind = { 0 };
	(void)c;

	add_kind(&kind, o);
	add_help(&help, o);
	buf_addf(b, "  %s", o->name);
	if (o->initial)
		buf_addf(b, " = %s", o->initial);
	buf_addf(b, "  (%s%s)\n", o->flags & OPTION_REQUIRED ? "required; " : "", buf_z(&kind));
	wrap(b, "      ", buf_z(&help));
}

static void text_chapter(struct buf *b, const struct chapter *c)
{
	buf_addf(b, "%s[%s]%s\n", b->n ? "\n" : "", c->name,
		 c->available ? "" : "  not available in this version");
	wrap(b, "  ", c->help);
}

static void markdown_option(struct buf *b, const struct chapter *c, const struct option *o)
{
	AUTO(buf) struct buf help = { 0 }, kind = { 0 };
	(void)c;

	add_kind(&kind, o);
	add_help(&help, o);
	buf_addf(b, "| `%s` | %s%s%s | %s | %s |\n", o->name, o->initial ? "`" : "",
		 default_text(o), o->initial ? "`" : "", buf_z(&kind), buf_z(&help));
}

static void markdown_chapter(struct buf *b, const struct chapter *c)
{
	buf_addf(b,
		 "\n## [%s]\n\n%s%s\n\n| key | default | takes | what it does |\n| --- | --- | "
		 "--- | --- |\n",
		 c->name, c->help, c->available ? "" : " Not available in this version.");
}

/* A line of roff: no character of it is a request. */
static void roff(struct buf *b, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_adds(b, "\\&");
	for (; *text; text++) {
		if (*text == '\\')
			buf_adds(b, "\\e");
		else if (*text == '-')
			buf_adds(b, "\\-");
		else
			buf_addc(b, *text);
	}
	buf_addc(b, '\n');
}

static void man_option(struct buf *b, const struct chapter *c, const struct option *o)
{
	AUTO(buf) struct buf help = { 0 }, head = { 0 };
	(void)c;

	buf_addf(&head, "%s (", o->name);
	add_kind(&head, o);
	buf_addf(&head, "; %s%s)", o->initial ? "default " : "", default_text(o));
	add_help(&help, o);
	buf_adds(b, ".TP\n.B ");
	roff(b, buf_z(&head));
	roff(b, buf_z(&help));
}

static void man_chapter(struct buf *b, const struct chapter *c)
{
	buf_adds(b, ".SS ");
	roff(b, c->name);
	roff(b, c->help);
	if (!c->available)
		roff(b, "Not available in this version.");
}

/* Everything that has a default, or is not there yet, stands as a comment. */
static void conf_option(struct buf *b, const struct chapter *c, const struct option *o)
{
	AUTO(buf) struct buf help = { 0 };
	const char *sample = sample_of(c, o);
	bool live = c->available && (o->flags & OPTION_REQUIRED);

	add_help(&help, o);
	wrap(b, "; ", buf_z(&help));
	buf_addf(b, "%s%s =%s%s\n", live ? "" : ";", o->name, sample ? " " : "",
		 sample ? sample : "");
}

static void conf_chapter(struct buf *b, const struct chapter *c)
{
	buf_addc(b, '\n');
	wrap(b, "; ", c->help);
	if (!c->available)
		buf_adds(b, "; Not available in this version.\n");
	buf_addf(b, "%s[%s]\n", c->available ? "" : ";", c->name);
}

static void man_head(struct buf *b)
{
	buf_adds(b, ".TH TAILRACE 1 \"\" \"tailrace " TAILRACE_VERSION "\"\n"
		    ".SH NAME\ntailrace \\- change data capture from a database's log\n"
		    ".SH SYNOPSIS\n.B tailrace\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n"
		    "Carries every committed change of a database through a spool on disk into "
		    "other systems,\nin order and once.\n.SH COMMANDS\n");
	for (const struct command *c = commands; c->name; c++) {
		AUTO(buf) struct buf head = { 0 };

		buf_addf(&head, "%s %s", c->name, c->usage);
		buf_adds(b, ".TP\n.B ");
		roff(b, buf_z(&head));
		buf_clear(&head);
		buf_addf(&head, "%s. Example: %s", c->summary, c->example);
		roff(b, buf_z(&head));
	}
	buf_adds(b, ".SH CONFIGURATION\nThe file is " CONFIG_FILE " unless \\fB\\-c\\fR names "
		    "another.\n");
}

static void man_tail(struct buf *b)
{
	buf_adds(b, ".SH EXIT STATUS\n"
		    ".TP\n.B 0\ndone\n.TP\n.B 1\nfailed; the message says what and what to do\n"
		    ".TP\n.B 2\nusage or configuration\n.TP\n.B 3\ncheck found problems\n"
		    ".TP\n.B 4\nfenced by another instance\n"
		    ".TP\n.B 5\nthe source's log no longer holds what is needed\n"
		    ".TP\n.B 6\nverify found differences\n"
		    ".SH SIGNALS\nSIGTERM and SIGINT stop cleanly; SIGHUP reloads the "
		    "configuration.\n.SH FILES\n" CONFIG_FILE "\n");
}

static void markdown_head(struct buf *b)
{
	buf_adds(b,
		 "# Options\n\nGenerated by `tailrace options --format markdown`; edit the tables "
		 "in `agent/config_tables.c` and `sinks/sinks.c` instead.\n\nA comment begins with "
		 "`;` or `#` at the start of a line, or with ` ;` after a value. Sizes are "
		 "`64MB`, times `100ms`, `10s`, `24h`, lists have commas; a value in double quotes "
		 "takes `\\\"` and `\\\\`. What is not available in this version parses and is "
		 "refused by name, unless it is the default.\n");
}

static void conf_head(struct buf *b)
{
	buf_adds(b, "; Configuration of tailrace; generated by `tailrace options --format conf`.\n"
		    "; What stands behind a ; is the default, or an example.\n");
}

void options_print(enum option_format format, struct buf *out)
{
	static const struct {
		void (*head)(struct buf *);
		void (*chapter)(struct buf *, const struct chapter *);
		void (*option)(struct buf *, const struct chapter *, const struct option *);
		void (*tail)(struct buf *);
	} formats[] = {
		[OPTIONS_TEXT] = { NULL, text_chapter, text_option, NULL },
		[OPTIONS_MAN] = { man_head, man_chapter, man_option, man_tail },
		[OPTIONS_MARKDOWN] = { markdown_head, markdown_chapter, markdown_option, NULL },
		[OPTIONS_CONF] = { conf_head, conf_chapter, conf_option, NULL },
	};
	struct chapter all[32];
	size_t n = chapters(all, COUNT(all));

	if (formats[format].head)
		formats[format].head(out);
	for (size_t i = 0; i < n; i++) {
		formats[format].chapter(out, &all[i]);
		for (int t = 0; t < 2; t++)
			for (const struct option *o = all[i].tables[t]; o && o->name; o++)
				formats[format].option(out, &all[i], o);
	}
	if (formats[format].tail)
		formats[format].tail(out);
}
