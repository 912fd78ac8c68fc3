/*
 * mysql_copy_rows.c - a table's rows: which SQL gives them, and their values as the binary log would give them
 *
 * Values go the way of the log's: what the server sends is put into the form of a cell, and binlog_value() reads it.
 *
 * A range over columns a, b: (a > 1 OR (a = 1 AND b > 2)), of which the optimizers make ranges of an index.  Bounds are
 * literals of the column's own character set, so that its collation compares them.  An ENUM is compared by its number,
 * which is its order; a SET through a CAST, as all its 64 bits count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "avro.h"
#include "binlog_cell.h"
#include "mysql_copy_rows.h"
#include "value_text.h"

#define DAY    INT64_C(86400)
#define US_DAY (DAY * 1000000)

static enum binlog_cell form(const struct mysql_shape *s, size_t i)
{
	return (enum binlog_cell)s->fields[i].how;
}

/* --- cells --- */

static void put_be(char **p, uint64_t v, unsigned n)
{
	for (unsigned i = n; i-- > 0;)
		*(*p)++ = (char)(v >> 8 * i);
}

static uint64_t fraction(unsigned us, unsigned bytes)
{
	static const unsigned units[] = { 1000000, 10000, 100, 1 };

	return us / units[bytes];
}

static uint64_t clock_bits(const struct mysql_moment *t)
{
	return (uint64_t)t->hour << 12 | (uint64_t)t->minute << 6 | t->second;
}

static void put_date(char **p, const struct mysql_moment *t)
{
	unsigned v = t->year << 9 | t->month << 5 | t->day;

	for (unsigned i = 0; i < 3; i++)
		*(*p)++ = (char)(v >> 8 * i);
}

static void put_datetime(char **p, const struct mysql_moment *t, unsigned bytes)
{
	uint64_t days = (uint64_t)(t->year * 13 + t->month) << 5 | t->day;

	put_be(p, UINT64_C(0x8000000000) + (days << 17 | clock_bits(t)), 5);
	put_be(p, fraction(t->us, bytes), bytes);
}

static void put_time(char **p, const struct mysql_moment *t, unsigned bytes)
{
	uint64_t v = clock_bits(t) << 8 * bytes | fraction(t->us, bytes);
	uint64_t zero = UINT64_C(0x800000) << 8 * bytes;

	put_be(p, t->negative ? zero - v : zero + v, 3 + bytes);
}

/* The session's zone is UTC. */
static void put_timestamp(char **p, const struct mysql_moment *t, unsigned bytes)
{
	int64_t seconds = 0;

	if (t->year)
		seconds = value_days(t->year, t->month, t->day) * DAY + t->hour * 3600 +
			  t->minute * 60 + t->second;
	put_be(p, (uint64_t)seconds, 4);
	put_be(p, fraction(t->us, bytes), bytes);
}

static int give_moment(const struct binlog_field *f, const struct mysql_moment *t, struct arena *a,
		       struct value *out, struct error *err)
{
	char cell[16], *p = cell;
	unsigned bytes = binlog_fraction_bytes(f->digits);
	struct binlog_field modern = *f;

	switch ((enum binlog_cell)f->how) {
	case CELL_DATE:
		put_date(&p, t);
		break;
	case CELL_TIME:
		put_time(&p, t, bytes);
		break;
	case CELL_DATETIME:
		put_datetime(&p, t, bytes);
		break;
	default:
		put_timestamp(&p, t, bytes);
	}
	struct cursor c = cursor_of((struct str){ cell, (size_t)(p - cell) });

	return binlog_value(&modern, &c, a, out, err);
}

static int give_number(const struct binlog_field *f, uint64_t v, struct arena *a, struct value *out,
		       struct error *err)
{
	uint64_t le = htole64(v);
	struct cursor c = cursor_of((struct str){ (const char *)&le, f->size });

	return binlog_value(f, &c, a, out, err);
}

/* Its length goes into the room before the bytes. */
static int give_bytes(const struct binlog_field *f, char *p, size_t n, struct arena *a,
		      struct value *out, struct error *err)
{
	uint32_t length = htole32((uint32_t)n);

	memcpy(p - sizeof length, &length, sizeof length);
	struct cursor c = cursor_of((struct str){ p - sizeof length, n + sizeof length });

	return binlog_value(f, &c, a, out, err);
}

/* MySQL 5.7 breaks long base 64 inside of a JSON string with newlines that it does not escape. */
static int give_json(const struct binlog_field *f, const struct mysql_datum *d, struct arena *a,
		     struct value *out, struct error *err)
{
	size_t breaks = 0;

	for (size_t i = 0; i < d->n; i++)
		breaks += d->p[i] == '\n';
	if (!breaks)
		return give_bytes(f, d->p, d->n, a, out, err);
	char *text = (char *)arena_alloc(a, MYSQL_DATUM_ROOM + d->n + breaks) + MYSQL_DATUM_ROOM;
	char *to = text;

	for (size_t i = 0; i < d->n; i++) {
		if (d->p[i] == '\n')
			*to++ = '\\';
		*to++ = d->p[i] == '\n' ? 'n' : d->p[i];
	}
	return give_bytes(f, text, d->n + breaks, a, out, err);
}

static int give_decimal(const struct mysql_shape *s, size_t i, const struct mysql_datum *d,
			struct arena *a, struct value *out, struct error *err)
{
	const struct binlog_field *f = &s->fields[i];

	out->state = VALUE_SET;
	if (decimal_parse((struct str){ d->p, d->n }, f->precision, f->digits, a, &out->s))
		return 0;
	return fail(err, ERR_FATAL, "column %.*s: \"%.*s\" is not a %.*s", STR_FMT(f->name),
		    d->n > 80 ? 80 : (int)d->n, d->p, STR_FMT(f->native));
}

/* YEAR(2) gives two digits. */
static int64_t year(int64_t v)
{
	return v == 0 || v > 99 ? v : v + (v < 70 ? 2000 : 1900);
}

static int give(const struct mysql_shape *s, size_t i, const struct mysql_datum *d, struct arena *a,
		struct value *out, struct error *err)
{
	const struct binlog_field *f = &s->cells[i];

	switch (form(s, i)) {
	case CELL_DECIMAL:
		return give_decimal(s, i, d, a, out, err);
	case CELL_ENUM:
	case CELL_SET:
		return give_number(f, (uint64_t)d->i, a, out, err);
	case CELL_BIT:
	case CELL_BITS: {
		struct cursor c = cursor_of((struct str){ d->p, d->n });

		return binlog_value(f, &c, a, out, err);
	}
	case CELL_DATE:
	case CELL_TIME:
	case CELL_DATETIME:
	case CELL_TIMESTAMP:
		return give_moment(f, &d->when, a, out, err);
	case CELL_JSON:
		return give_json(f, d, a, out, err);
	default:
		return give_bytes(f, d->p, d->n, a, out, err);
	}
}

int mysql_copy_value(const struct mysql_shape *s, size_t i, const struct mysql_datum *d,
		     struct arena *a, struct value *out, struct error *err)
{
	if (d->null) {
		out->state = VALUE_NULL;
		return 0;
	}
	switch (form(s, i)) {
	case CELL_I8:
	case CELL_U8:
	case CELL_I16:
	case CELL_U16:
	case CELL_I24:
	case CELL_U24:
	case CELL_I32:
	case CELL_U32:
	case CELL_I64:
		out->state = VALUE_SET;
		out->i = d->i;
		return 0;
	case CELL_YEAR:
		out->state = VALUE_SET;
		out->i = year(d->i);
		return 0;
	case CELL_FLOAT:
	case CELL_DOUBLE:
		out->state = VALUE_SET;
		out->d = d->d;
		return 0;
	default:
		return give(s, i, d, a, out, err);
	}
}

/* --- literals --- */

static void put_hex(struct buf *out, struct str charset, const char *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	if (charset.n && !str_eqz(charset, "binary"))
		buf_addf(out, "_%.*s ", STR_FMT(charset));
	buf_adds(out, "X'");
	for (size_t i = 0; i < n; i++) {
		buf_addc(out, digits[(uint8_t)p[i] >> 4]);
		buf_addc(out, digits[p[i] & 15]);
	}
	buf_addc(out, '\'');
}

static void put_bits(struct buf *out, const char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | (uint8_t)p[i];
	buf_addf(out, "%" PRIu64, v);
}

static void put_moment(struct buf *out, const struct binlog_field *f, const struct mysql_moment *t)
{
	bool time = f->how == CELL_TIME;
	char us[8];

	buf_adds(out, t->negative ? "'-" : "'");
	if (!time)
		buf_addf(out, "%04u-%02u-%02u", t->year, t->month, t->day);
	if (f->how != CELL_DATE)
		buf_addf(out, "%s%02u:%02u:%02u", time ? "" : " ", t->hour, t->minute, t->second);
	if (f->digits) {
		snprintf(us, sizeof us, "%06u", t->us % 1000000);
		buf_addf(out, ".%.*s", f->digits, us);
	}
	buf_addc(out, '\'');
}

static void put_integer(struct buf *out, bool is_unsigned, int64_t v)
{
	if (is_unsigned)
		buf_addf(out, "%" PRIu64, (uint64_t)v);
	else
		buf_addf(out, "%" PRId64, v);
}

static void literal(const struct mysql_shape *s, size_t i, const struct mysql_datum *d,
		    struct buf *out)
{
	const struct binlog_field *f = &s->fields[i];

	if (d->null) {
		buf_adds(out, "NULL");
		return;
	}
	switch (form(s, i)) {
	case CELL_ENUM:
	case CELL_SET:
		put_integer(out, true, d->i);
		return;
	case CELL_I8:
	case CELL_U8:
	case CELL_I16:
	case CELL_U16:
	case CELL_I24:
	case CELL_U24:
	case CELL_I32:
	case CELL_U32:
	case CELL_I64:
		put_integer(out, f->is_unsigned, d->i);
		return;
	case CELL_YEAR:
		put_integer(out, false, year(d->i));
		return;
	case CELL_DECIMAL:
		buf_add(out, d->p, d->n);
		return;
	case CELL_BIT:
	case CELL_BITS:
		put_bits(out, d->p, d->n);
		return;
	case CELL_DATE:
	case CELL_TIME:
	case CELL_DATETIME:
	case CELL_TIMESTAMP:
		put_moment(out, f, &d->when);
		return;
	case CELL_UUID:
	case CELL_INET4:
	case CELL_INET6:
		buf_addf(out, "'%.*s'", (int)d->n, d->p);
		return;
	default:
		put_hex(out, s->charsets[i], d->p, d->n);
	}
}

char *mysql_copy_key(const struct mysql_shape *s, const struct mysql_datum *row)
{
	AUTO(buf) struct buf b = { 0 };

	buf_adds(&b, s->sign);
	for (size_t k = 0; k < s->draft.nkey; k++) {
		buf_addc(&b, k ? ',' : ':');
		literal(s, s->draft.key[k], &row[s->draft.key[k]], &b);
	}
	return xstrdup(buf_z(&b));
}

char *mysql_copy_bound(const struct mysql_shape *s, const char *text)
{
	return xasprintf("%s:%s", s->sign, text);
}

/* --- literals of values --- */

/* Only what a number, a date or an address is made of: it goes into SQL as it is. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!strchr("0123456789abcdefABCDEF:-. ", s.p[i]) || !s.p[i])
			return false;
	return true;
}

static void put_plain(struct buf *out, struct str s)
{
	if (is_plain(s))
		buf_addf(out, "'%.*s'", STR_FMT(s));
	else
		put_hex(out, STR("utf8mb4"), s.p, s.n);
}

static void put_label(struct buf *out, const struct binlog_field *f, struct str s)
{
	for (size_t i = 0; i < f->nlabels; i++) {
		if (str_eq(f->labels[i], s)) {
			buf_addf(out, "%zu", i + 1);
			return;
		}
	}
	buf_adds(out, s.n ? "NULL" : "0"); /* a label that is there no more */
}

/* Labels of a SET hold no commas. */
static void put_labels(struct buf *out, const struct binlog_field *f, struct str s)
{
	uint64_t bits = 0;

	for (size_t from = 0; from < s.n;) {
		const char *comma = memchr(s.p + from, ',', s.n - from);
		size_t to = comma ? (size_t)(comma - s.p) : s.n;

		for (size_t i = 0; i < f->nlabels && i < 64; i++)
			if (str_eq(f->labels[i], (struct str){ s.p + from, to - from }))
				bits |= UINT64_C(1) << i;
		from = to + 1;
	}
	buf_addf(out, "%" PRIu64, bits);
}

/* The bytes of "\xc3a4", which is what invalid_bytes = bytes makes of text. */
static bool put_invalid(struct buf *out, struct str charset, struct str s)
{
	if (s.n < 2 || s.p[0] != '\\' || s.p[1] != 'x' || s.n % 2)
		return false;
	if (!is_plain((struct str){ s.p + 2, s.n - 2 }))
		return false;
	if (charset.n)
		buf_addf(out, "_%.*s ", STR_FMT(charset));
	buf_addf(out, "X'%.*s'", (int)s.n - 2, s.p + 2);
	return true;
}

static void put_text(const struct mysql_shape *s, size_t i, const struct value *v, struct buf *out)
{
	const struct binlog_field *f = &s->fields[i];

	if (v->state == VALUE_UNREPRESENTABLE && put_invalid(out, s->charsets[i], v->s))
		return;
	if (form(s, i) == CELL_ENUM)
		put_label(out, f, v->s);
	else if (form(s, i) == CELL_SET)
		put_labels(out, f, v->s);
	else if (form(s, i) == CELL_INET4 || form(s, i) == CELL_INET6)
		put_plain(out, v->s);
	else
		put_hex(out, STR("utf8mb4"), v->s.p, v->s.n);
}

static void put_value(const struct mysql_shape *s, size_t i, const struct value *v, struct buf *out)
{
	const struct column *c = &s->draft.columns[i];
	char text[VALUE_TEXT];

	switch (c->type) {
	case COL_BOOL:
		buf_adds(out, v->b ? "1" : "0");
		return;
	case COL_UINT64:
		put_integer(out, true, v->i);
		return;
	case COL_INT32:
	case COL_INT64:
		put_integer(out, false, v->i);
		return;
	case COL_DECIMAL:
		decimal_format(v->s, c->scale, out);
		return;
	case COL_BYTES:
		if (form(s, i) == CELL_BITS)
			put_bits(out, v->s.p, v->s.n);
		else
			put_hex(out, STR(""), v->s.p, v->s.n);
		return;
	case COL_DATE:
	case COL_TIME:
	case COL_TIMESTAMP:
	case COL_TIMESTAMPTZ:
		put_plain(out, value_time(c->type, v->i, ' ', "", text));
		return;
	case COL_UUID:
		put_plain(out, v->s);
		return;
	default:
		put_text(s, i, v, out);
	}
}

static void value_literal(const struct mysql_shape *s, size_t i, const struct value *v,
			  struct buf *out)
{
	enum column_type type = s->draft.columns[i].type;
	bool text = type == COL_TEXT || type == COL_JSON;

	if (v->state == VALUE_SET || (v->state == VALUE_UNREPRESENTABLE && text))
		put_value(s, i, v, out);
	else if (v->state == VALUE_UNREPRESENTABLE)
		put_plain(out, v->s); /* a date as the server prints it */
	else
		buf_adds(out, "NULL");
}

/* --- ranges --- */

struct key {
	struct str *parts;
	size_t n;
};

static int fail_key(const struct mysql_shape *s, struct error *err)
{
	(void)fail(err, ERR_RETRY, "the key of table %.*s.%.*s was altered while it was loaded",
		   STR_FMT(s->draft.schema), STR_FMT(s->draft.name));
	err->code = ESTALE;
	return -1;
}

static int parse_key(const struct mysql_shape *s, const char *text, struct arena *a,
		     struct key *out, struct error *err)
{
	size_t n = strlen(s->sign);

	if (strncmp(text, s->sign, n) != 0 || text[n] != ':')
		return fail_key(s, err);
	out->parts = arena_alloc(a, (s->draft.nkey + 1) * sizeof *out->parts);
	out->n = 0;
	for (const char *p = text + n; *p; out->n++) {
		size_t length = strcspn(++p, ",");

		if (out->n == s->draft.nkey || !length)
			return fail_key(s, err);
		out->parts[out->n] = (struct str){ p, length };
		p += length;
	}
	return out->n ? 0 : fail_key(s, err);
}

/* What is compared with a literal.  A YEAR would take 0 for 2000, and a SET be compared as a double. */
static void put_column(const struct mysql_shape *s, size_t k, struct str with, struct buf *out)
{
	size_t i = s->draft.key[k];
	bool number = form(s, i) == CELL_SET || (form(s, i) == CELL_YEAR && str_eqz(with, "0"));
	AUTO(free) char *name = xstrndup(s->draft.columns[i].name.p, s->draft.columns[i].name.n);

	buf_adds(out, number ? "CAST(" : "");
	mysql_name(out, name);
	buf_adds(out, number ? " AS UNSIGNED)" : "");
}

/* (a > 1 OR (a = 1 AND (b > 2))); upto: < but for the last, <=. */
static void put_bound(const struct mysql_shape *s, const struct key *key, bool upto,
		      struct buf *out)
{
	for (size_t k = 0; k < key->n; k++) {
		bool last = k + 1 == key->n;

		buf_adds(out, k ? " AND (" : "(");
		put_column(s, k, key->parts[k], out);
		buf_addf(out, " %s %.*s", !upto ? ">" : last ? "<=" : "<", STR_FMT(key->parts[k]));
		if (last)
			break;
		buf_adds(out, " OR (");
		put_column(s, k, key->parts[k], out);
		buf_addf(out, " = %.*s", STR_FMT(key->parts[k]));
	}
	for (size_t k = 0; k < key->n; k++)
		buf_adds(out, k ? "))" : ")");
}

static int put_range(const struct mysql_shape *s, const struct copy_range *r, const char **join,
		     struct buf *out, struct error *err)
{
	const char *texts[] = { r->after, r->upto };
	AUTO(arena) struct arena a = { 0 };
	struct key key = { 0 };

	for (size_t i = 0; i < COUNT(texts); i++) {
		if (!texts[i])
			continue;
		if (parse_key(s, texts[i], &a, &key, err))
			return -1;
		buf_adds(out, *join);
		*join = " AND ";
		put_bound(s, &key, i == 1, out);
	}
	for (size_t k = 0; r->key && k < s->draft.nkey; k++) {
		buf_adds(out, *join);
		*join = " AND ";
		AUTO(buf) struct buf with = { 0 };

		value_literal(s, s->draft.key[k], &r->key[k], &with);
		put_column(s, k, (struct str){ with.p, with.n }, out);
		buf_addf(out, " = %s", buf_z(&with));
	}
	return 0;
}

int mysql_copy_sql(const struct mysql_shape *s, const char *where, const struct copy_range *range,
		   int64_t limit, struct buf *out, struct error *err)
{
	const char *join = " WHERE ";

	buf_addf(out, "SELECT %s FROM %s", s->select, s->table);
	if (s->index) {
		buf_adds(out, " FORCE INDEX (");
		mysql_name(out, s->index);
		buf_addc(out, ')');
	}
	if (where) { /* on a line of its own: it may end in a comment */
		buf_addf(out, "%s(%s\n)", join, where);
		join = " AND ";
	}
	if (put_range(s, range, &join, out, err))
		return -1;
	for (size_t k = 0; k < s->draft.nkey; k++) {
		AUTO(free)
		char *name = xstrndup(s->draft.columns[s->draft.key[k]].name.p,
				      s->draft.columns[s->draft.key[k]].name.n);

		buf_adds(out, k ? ", " : " ORDER BY ");
		mysql_name(out, name);
	}
	if (limit > 0)
		buf_addf(out, " LIMIT %" PRId64, limit);
	return 0;
}
