/*
 * pgoutput.c - PostgreSQL's logical replication messages to changes
 *
 * Protocol versions 1 to 4 with streaming and two_phase off.  All numbers big-endian; times are
 * microseconds since 2000-01-01; cstring ends with a NUL.
 *
 *	B  begin	u64 LSN of the commit record, i64 commit time, u32 xid
 *	C  commit	u8 flags (0), u64 LSN of the commit record, u64 LSN of its end, i64 commit time
 *	O  origin	u64 LSN there, cstring name
 *	R  relation	pg_relation.c
 *	Y  type		u32 OID, cstring schema, cstring name
 *	I  insert	u32 relation, 'N' tuple
 *	U  update	u32 relation, ['K' tuple | 'O' tuple], 'N' tuple
 *	D  delete	u32 relation, 'K' tuple | 'O' tuple
 *	T  truncate	u32 number, u8 options (1 cascade, 2 restart identity), u32 relations
 *	M  message	u8 flags (1: transactional), u64 LSN, cstring prefix, u32 length, content
 *
 *	tuple		u16 columns, each: 'n' null | 'u' unchanged, not in the log |
 *			't' text or 'b' binary: u32 length, bytes
 *
 * K is the old replica identity, its other columns are sent as null but are not; O is the whole old
 * row.  K comes when the identity changed, and also when a column of it is stored out of line: then
 * the new tuple says 'u' for it.
 */
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "pg_relation.h"
#include "pg_values.h"

#define OUR_PREFIX      "tailrace" /* of the heartbeat messages that we write ourselves */
#define LSN(lsn)        (uint32_t)((lsn) >> 32), (uint32_t)(lsn) /* for %X/%X */
#define TRUNCATE_KNOWN  3
#define TABLE_FMT       "table %.*s.%.*s"
#define TABLE(relation) STR_FMT((relation)->schema), STR_FMT((relation)->name)

/* The transaction at hand. */
struct transaction {
	bool open;
	bool begun;      /* its BEGIN has been given */
	uint64_t commit; /* LSN of its commit record */
	uint64_t rows;   /* counted so far; BEGIN is the first */
	uint32_t xid;
	int64_t commit_us;
};

struct pgoutput {
	struct pgoutput_config config;
	struct pg_relations *relations;
	struct transaction tx;
	uint64_t last_end;
	bool wants_text;
};

/* One message on its way. */
struct message {
	struct pgoutput *p;
	struct cursor c;
	struct str all;
	uint64_t lsn;
	char type;
	bool unchanged; /* a tuple had a column that is not in the log */
	struct batch *b;
	struct error *err;
};

struct pgoutput *pgoutput_new(const struct pgoutput_config *c)
{
	struct pgoutput *p = xcalloc(1, sizeof *p);

	p->config = *c;
	p->relations = pg_relations_new();
	return p;
}

void pgoutput_free(struct pgoutput *p)
{
	if (!p)
		return;
	pg_relations_free(p->relations);
	free(p);
}

bool pgoutput_in_transaction(const struct pgoutput *p)
{
	return p->tx.open;
}

uint64_t pgoutput_last_end(const struct pgoutput *p)
{
	return p->last_end;
}

bool pgoutput_wants_text(const struct pgoutput *p)
{
	return p->wants_text;
}

/* --- errors --- */

static int malformed(struct message *m, const char *what)
{
	return fail(
		m->err, ERR_FATAL,
		"replication message '%c' of %zu bytes at LSN %X/%X %s: the stream is damaged or "
		"of a protocol that is not known; restart the agent, and if it comes again "
		"report it with this LSN and the server's version",
		m->type, m->all.n, LSN(m->lsn), what);
}

/* Every decoder ends with this: all of the message is used, and there was enough of it. */
static int message_end(struct message *m)
{
	if (m->c.bad)
		return malformed(m, "is truncated");
	if (m->c.p != m->c.end)
		return malformed(m, "has bytes after its end");
	return 0;
}

static int in_transaction(struct message *m)
{
	return m->p->tx.open ? 0 : malformed(m, "stands outside a transaction");
}

static bool is_too_long(const struct message *m)
{
	return m->p->config.max_row && m->all.n > m->p->config.max_row;
}

static int too_long(struct message *m)
{
	return fail(m->err, ERR_FATAL,
		    "a change of %zu bytes at LSN %X/%X is longer than source.max_row (%zu); raise "
		    "source.max_row, and memory for it",
		    m->all.n, LSN(m->lsn), m->p->config.max_row);
}

/* --- transactions --- */

static struct position position_at(const struct pgoutput *p, uint64_t offset, uint64_t row)
{
	return (struct position){ .epoch = p->config.epoch, .offset = offset, .row = row };
}

static int64_t unix_time(uint64_t wire)
{
	return (int64_t)(wire + (uint64_t)(PG_EPOCH_DAYS * PG_DAY));
}

static struct change *add_change(struct message *m, enum change_op op, const struct table *t,
				 uint64_t row)
{
	const struct transaction *tx = &m->p->tx;
	struct change *c = batch_add(m->b, op, t, position_at(m->p, tx->commit, row));

	c->xid = tx->xid;
	c->commit_us = tx->commit_us;
	return c;
}

/* What is captured of a transaction; BEGIN is given before the first of it, so that an empty one has none. */
static struct change *capture(struct message *m, enum change_op op, const struct table *t)
{
	struct transaction *tx = &m->p->tx;

	if (!tx->begun)
		add_change(m, CHANGE_BEGIN, NULL, 1);
	tx->begun = true;
	return add_change(m, op, t, tx->rows);
}

/* COMMIT, or a HEARTBEAT if there was nothing in it; `end` is where the log goes on. */
static void end_transaction(struct message *m, uint64_t end)
{
	struct pgoutput *p = m->p;
	struct change *c;

	if (p->tx.begun) {
		c = add_change(m, CHANGE_COMMIT, NULL, p->tx.rows + 1);
	} else {
		c = add_change(m, CHANGE_HEARTBEAT, NULL, 0);
		c->pos = position_at(p, end - 1, POSITION_BETWEEN);
	}
	c->resume = pg_resume_format(&m->b->arena, p->config.system, p->config.timeline, end);
	p->tx = (struct transaction){ 0 };
	p->last_end = end;
}

static int decode_begin(struct message *m)
{
	struct transaction tx = { .open = true, .rows = 1 };

	if (m->p->tx.open)
		return malformed(m, "begins a transaction inside another");
	tx.commit = get_u64be(&m->c);
	tx.commit_us = unix_time(get_u64be(&m->c));
	tx.xid = get_u32be(&m->c);
	m->p->tx = tx;
	return message_end(m);
}

static int decode_commit(struct message *m)
{
	uint8_t flags = get_u8(&m->c);
	uint64_t commit = get_u64be(&m->c);
	uint64_t end = get_u64be(&m->c);

	get_u64be(&m->c); /* commit time, as in Begin */
	if (in_transaction(m) || message_end(m))
		return -1;
	if (flags)
		return malformed(m, "has flags that are not known");
	if (commit != m->p->tx.commit || end <= commit)
		return malformed(m, "does not end the transaction that was begun");
	end_transaction(m, end);
	return 0;
}

static int decode_origin(struct message *m)
{
	get_u64be(&m->c);
	get_cstr(&m->c);
	return in_transaction(m) ? -1 : message_end(m);
}

/* --- relations --- */

static int decode_relation(struct message *m)
{
	struct pg_relation *rel = pg_relation_read(&m->c);

	if (message_end(m)) {
		pg_relation_free(rel);
		return -1;
	}
	if (!rel)
		return malformed(m, "has a replica identity that is not known");
	pg_relations_put(m->p->relations, rel);
	return 0;
}

static int decode_type(struct message *m)
{
	uint32_t oid = get_u32be(&m->c);
	struct str schema = get_cstr(&m->c);
	struct str name = get_cstr(&m->c);

	if (message_end(m))
		return -1;
	pg_relations_put_type(m->p->relations, oid, schema, name);
	return 0;
}

static struct pg_relation *find_relation(struct message *m, uint32_t oid)
{
	struct pg_relation *rel = pg_relations_get(m->p->relations, oid);

	if (!rel) {
		malformed(m, "names a relation that no message described");
		return NULL;
	}
	if (rel->state == RELATION_UNRESOLVED &&
	    pg_relation_resolve(m->p->relations, rel, &m->p->config, m->err)) {
		error_prefix(m->err, TABLE_FMT " at LSN %X/%X", TABLE(rel), LSN(m->lsn));
		return NULL;
	}
	return rel;
}

/* --- values --- */

static int decode_form(struct message *m, const struct column *c, bool binary, struct str wire,
		       struct value *v)
{
	struct arena *a = &m->b->arena;

	if (m->p->config.raw_text)
		return pg_value_raw(c, binary, wire, m->p->config.invalid_bytes, a, v, m->err);
	return binary ? pg_value_binary(c, wire, a, v, m->err)
		      : pg_value_text(c, wire, a, v, m->err);
}

static int unknown_binary(struct message *m, const struct column *c)
{
	m->p->wants_text = true;
	return fail(
		m->err, ERR_RETRY,
		"column %.*s: a value came in the binary form of type %.*s, which is not known; "
		"the slot is read in text form instead",
		STR_FMT(c->name), STR_FMT(c->native));
}

static int decode_value(struct message *m, const struct pg_relation *rel, size_t i, bool binary,
			struct str wire, struct value *v)
{
	const struct column *c = &rel->columns[i];
	int r;

	if (binary && !rel->binary[i])
		r = unknown_binary(m, c);
	else
		r = decode_form(m, c, binary, wire, v);
	return r ? error_prefix(m->err, TABLE_FMT " at LSN %X/%X", TABLE(rel), LSN(m->lsn)) : 0;
}

/* --- rows --- */

static int wrong_columns(struct message *m, const struct pg_relation *rel, unsigned n)
{
	if (m->c.bad)
		return message_end(m);
	return fail(m->err, ERR_FATAL,
		    TABLE_FMT
		    ": a row at LSN %X/%X has %u columns where its Relation message told of "
		    "%zu; restart the agent, and if it comes again report it with this LSN and the "
		    "server's version",
		    TABLE(rel), LSN(m->lsn), n, rel->ncolumns);
}

/*
 * One tuple into `out` (all ABSENT before), or only over it when that is NULL.  Of a K tuple the
 * columns outside the replica identity stay ABSENT.
 */
static int read_tuple(struct message *m, const struct pg_relation *rel, bool identity,
		      struct value *out)
{
	struct cursor *c = &m->c;
	unsigned n = get_u16be(c);

	if (n != rel->ncolumns)
		return wrong_columns(m, rel, n);
	for (size_t i = 0; i < n; i++) {
		bool wanted = out && (!identity || rel->said[i].identity);
		uint8_t form = get_u8(c);

		if (form == 't' || form == 'b') {
			struct str wire = get_bytes(c, get_u32be(c));

			if (!wire.p)
				return message_end(m);
			if (wanted && decode_value(m, rel, i, form == 'b', wire, &out[i]))
				return -1;
		} else if (form == 'n') {
			if (wanted)
				out[i].state = VALUE_NULL;
		} else if (form == 'u') {
			m->unchanged = true;
		} else {
			return c->bad ? message_end(m)
				      : malformed(m, "has a column form that is not known");
		}
	}
	return 0;
}

/* The old and the new tuple of a row's message; NULL: not there, or not captured. */
static int read_tuples(struct message *m, const struct pg_relation *rel, struct value **before,
		       struct value **after)
{
	bool captured = rel->state == RELATION_CAPTURED;
	uint8_t part = get_u8(&m->c);

	if (m->type != 'I' && (part == 'K' || part == 'O')) {
		*before = captured ? batch_row(m->b, rel->table) : NULL;
		if (read_tuple(m, rel, part == 'K', *before))
			return -1;
		if (m->type == 'D')
			return message_end(m);
		part = get_u8(&m->c);
	}
	if (m->type == 'D' || part != 'N')
		return m->c.bad ? message_end(m) : malformed(m, "has a tuple that is not known");
	*after = captured ? batch_row(m->b, rel->table) : NULL;
	return read_tuple(m, rel, false, *after) ? -1 : message_end(m);
}

/*
 * What the new tuple left out is as it was: taken from the old one where that has it (FULL: every
 * column; a key column stored out of line comes in K).  A row without its key cannot be applied.
 */
static int complete_row(struct message *m, const struct pg_relation *rel,
			const struct value *before, struct value *after)
{
	for (size_t i = 0; after && before && i < rel->ncolumns; i++) {
		if (after[i].state == VALUE_ABSENT)
			after[i] = before[i];
	}
	const struct value *row = after ? after : before;

	for (size_t i = 0; row && i < rel->table->nkey; i++) {
		const struct column *c = &rel->columns[rel->table->key[i]];

		if (row[rel->table->key[i]].state != VALUE_ABSENT)
			continue;
		return fail(m->err, ERR_FATAL,
			    TABLE_FMT
			    ": the log at LSN %X/%X does not carry the key column %.*s, "
			    "which is stored out of line; the server's fix is in 10.20, 11.15, "
			    "12.10, 13.6 and 14.2: update it, or ALTER TABLE ... REPLICA IDENTITY "
			    "FULL, and load the table again",
			    TABLE(rel), LSN(m->lsn), STR_FMT(c->name));
	}
	return 0;
}

static int decode_row(struct message *m)
{
	const enum change_op op = m->type == 'I'   ? CHANGE_INSERT
				  : m->type == 'U' ? CHANGE_UPDATE
						   : CHANGE_DELETE;
	struct value *before = NULL, *after = NULL;
	uint32_t oid = get_u32be(&m->c);

	if (m->c.bad)
		return message_end(m);
	if (in_transaction(m))
		return -1;
	const struct pg_relation *rel = find_relation(m, oid);

	if (!rel)
		return -1;
	bool captured = rel->state == RELATION_CAPTURED;

	if (captured && is_too_long(m)) {
		too_long(m);
		return error_prefix(m->err, TABLE_FMT, TABLE(rel));
	}
	if (read_tuples(m, rel, &before, &after))
		return -1;
	m->p->tx.rows++;
	if (!captured)
		return 0;
	if (m->unchanged && complete_row(m, rel, before, after))
		return -1;
	struct change *c = capture(m, op, rel->table);

	c->before = before;
	c->after = after;
	return 0;
}

static int decode_truncate(struct message *m)
{
	uint32_t n = get_u32be(&m->c);
	uint8_t options = get_u8(&m->c);

	if (in_transaction(m))
		return -1;
	if (m->c.bad || n != cursor_left(&m->c) / 4)
		return malformed(m, "is truncated, or longer than it says");
	if (options & ~TRUNCATE_KNOWN)
		return malformed(m, "has options that are not known");
	for (uint32_t i = 0; i < n; i++) {
		const struct pg_relation *rel = find_relation(m, get_u32be(&m->c));

		if (!rel)
			return -1;
		m->p->tx.rows++;
		if (rel->state == RELATION_CAPTURED)
			capture(m, CHANGE_TRUNCATE, rel->table);
	}
	return message_end(m);
}

/* --- logical messages --- */

/* The prefix goes out as text. */
static int check_prefix(struct message *m, struct str *prefix)
{
	if (!m->p->config.raw_text || utf8_valid(*prefix))
		return 0;
	if (m->p->config.invalid_bytes == INVALID_BYTES_STOP)
		return fail(m->err, ERR_FATAL,
			    "the prefix of the logical message at LSN %X/%X is not UTF-8; set "
			    "source.invalid_bytes to replace or bytes",
			    LSN(m->lsn));
	*prefix = m->p->config.invalid_bytes == INVALID_BYTES_REPLACE
			  ? pg_raw_replaced(*prefix, &m->b->arena)
			  : pg_raw_hex(*prefix, &m->b->arena);
	return 0;
}

/*
 * A message of no transaction is one of its own.  `lsn` is the end of its record: the next commit
 * record may begin there, so its offset is one less; the server's rule for sending (a record that
 * begins at or after the place asked for) makes `lsn` the token that neither repeats nor skips.
 */
static int decode_message(struct message *m)
{
	struct pgoutput *p = m->p;
	uint8_t flags = get_u8(&m->c);
	uint64_t lsn = get_u64be(&m->c);
	struct str prefix = get_cstr(&m->c);
	struct str content = get_bytes(&m->c, get_u32be(&m->c));

	if (message_end(m))
		return -1;
	if (flags > 1)
		return malformed(m, "has flags that are not known");
	if (p->tx.open != flags)
		return malformed(m, flags ? "stands outside a transaction"
					  : "stands inside a transaction that it is no part of");
	if (!flags && lsn == 0)
		return malformed(m, "has no LSN");
	if (is_too_long(m)) {
		too_long(m);
		return error_prefix(m->err, "logical message with prefix %.*s", STR_FMT(prefix));
	}
	if (check_prefix(m, &prefix))
		return -1;
	if (!flags)
		p->tx = (struct transaction){ true, false, lsn - 1, 1, 0, wall_clock_us() };
	p->tx.rows++;
	if (!str_eqz(prefix, OUR_PREFIX)) {
		struct change *c = capture(m, CHANGE_MESSAGE, NULL);

		c->prefix = prefix;
		c->content = content;
	}
	if (!flags)
		end_transaction(m, lsn);
	return 0;
}

/* --- one message --- */

static int unexpected(struct message *m)
{
	static const struct {
		char type;
		const char *name;
	} later[] = {
		{ 'S', "Stream Start" },    { 'E', "Stream Stop" },       { 'c', "Stream Commit" },
		{ 'A', "Stream Abort" },    { 'b', "Begin Prepare" },     { 'P', "Prepare" },
		{ 'K', "Commit Prepared" }, { 'r', "Rollback Prepared" }, { 'p', "Stream Prepare" },
	};

	for (size_t i = 0; i < COUNT(later); i++) {
		if (later[i].type == m->type)
			return fail(m->err, ERR_FATAL,
				    "unexpected %s message at LSN %X/%X: streaming and two_phase "
				    "were not asked for; was the slot made with TWO_PHASE?",
				    later[i].name, LSN(m->lsn));
	}
	return fail(
		m->err, ERR_FATAL,
		"unknown replication message 0x%02x of %zu bytes at LSN %X/%X: this server speaks "
		"a protocol that is not known; report it with the server's version",
		(unsigned)(uint8_t)m->type, m->all.n, LSN(m->lsn));
}

static int decode(struct message *m)
{
	switch (m->type) {
	case 'I':
	case 'U':
	case 'D':
		return decode_row(m);
	case 'B':
		return decode_begin(m);
	case 'C':
		return decode_commit(m);
	case 'R':
		return decode_relation(m);
	case 'T':
		return decode_truncate(m);
	case 'M':
		return decode_message(m);
	case 'O':
		return decode_origin(m);
	case 'Y':
		return decode_type(m);
	default:
		return unexpected(m);
	}
}

int pgoutput_decode(struct pgoutput *p, struct str message, uint64_t wal_start, struct batch *b,
		    struct error *err)
{
	const struct transaction tx = p->tx;
	const uint64_t last_end = p->last_end;
	const size_t nchanges = b->nchanges;
	struct message m = {
		.p = p,
		.c = cursor_of(message),
		.all = message,
		.lsn = wal_start,
		.b = b,
		.err = err,
	};

	if (message.n == 0)
		return fail(err, ERR_FATAL, "empty replication message at LSN %X/%X",
			    LSN(wal_start));
	m.type = (char)get_u8(&m.c);
	if (!decode(&m))
		return 0;
	p->tx = tx;
	p->last_end = last_end;
	b->nchanges = nchanges;
	return -1;
}
