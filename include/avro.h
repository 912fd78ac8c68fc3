/*
 * avro.h - our Avro: schema text, fingerprints, row encoder and decoder, spool records
 *
 * The encoder and decoder walk the table's columns; they allocate nothing but in the caller's
 * buffer or arena and run on any thread.  Apache Avro C is called in avro_schema_validate() only
 * (Debian's build keeps its error text in a static: reader thread, or single-threaded commands).
 * Source of the format: Apache Avro 1.11 specification.
 */
#ifndef AVRO_H
#define AVRO_H

#include "event.h"

/* --- schema text (jansson) --- */

/* Avro name from any text: characters outside [A-Za-z0-9_] become _, a leading digit gets _ before it. */
void avro_name(struct str text, struct buf *out);

/* "erp.public.customer": each part an Avro name (a dot in a table's name stays one). */
void avro_topic(const char *pipeline, struct str schema, struct str name, struct buf *out);

/* The members that the flat form adds to a row. */
#define AVRO_FLAT_FIELDS \
	"__op", "__deleted", "__source_ts_ms", "__position", "__absent", "__unrepresentable"

struct avro_names {
	const char	*topic;		/* of avro_topic() */
	const char	*connector;	/* postgresql, mysql, mariadb */
	unsigned	suffix;		/* 0, or the namespace gets ".v<suffix>" (fingerprint clash) */
};
/* Key, row, envelope and flat schema of one version; out's strings are malloced. */
MUST_CHECK int avro_schemas_make(const struct table *t, const struct avro_names *names, struct table_schemas *out,
				 struct error *err);
void avro_schemas_free(struct table_schemas *s);
/* Parsed by Apache Avro C: ERR_FATAL if it refuses. */
MUST_CHECK int avro_schema_validate(const char *json, struct error *err);
/* Parsing Canonical Form of a schema; malloced.  NULL and an error if it is no schema. */
char	*avro_canonical(const char *json, struct error *err);
uint64_t avro_crc64(const void *p, size_t n);	/* CRC-64-AVRO; of "" 0xc15d213aa4d7a795 */

/* --- primitives --- */

void avro_put_long(struct buf *b, int64_t v);		/* zig-zag varint; int is the same */
void avro_put_bytes(struct buf *b, struct str s);	/* length, then bytes */
void avro_put_double(struct buf *b, double v);
void avro_put_float(struct buf *b, float v);
int64_t	   avro_get_long(struct cursor *c);		/* bad on overlong input */
struct str avro_get_bytes(struct cursor *c);		/* in place; bad when the length is negative or too large */

/* --- row images --- */

/* What does not fit into the image; bitmaps and maps as in struct event.  Cleared by the encoder. */
struct avro_extra { struct buf absent, unrepresentable; };

void avro_put_row(struct buf *out, const struct table *t, const struct value *row, struct avro_extra *extra);
/* The key columns in key order.  false if one of them is not SET: the row has no key. */
bool avro_put_key(struct buf *out, const struct table *t, const struct value *row);
/*
 * Typed values of an image, in place (strings point into it); absent and unrepresentable columns
 * get their state back when the event's fields are given ({ NULL, 0 }: none).
 */
MUST_CHECK int avro_get_row(struct str image, const struct table *t, struct str absent, struct str unrepresentable,
			    struct arena *arena, struct value *out, struct error *err);
MUST_CHECK int avro_get_key(struct str key, const struct table *t, struct arena *arena, struct value *out,
			    struct error *err);	/* nkey values */

/* --- decimals: `s` of COL_DECIMAL --- */

/* "-12.345" to the unscaled two's complement of `scale`; false if it does not fit precision and scale exactly. */
bool decimal_parse(struct str text, int precision, int scale, struct arena *arena, struct str *out);
void decimal_format(struct str unscaled, int scale, struct buf *out);	/* exactly `scale` digits after the point */

/* --- spool records (schemas/spool_record.avsc) --- */

extern const char *const avro_spool_schema;	/* JSON text, compiled in from schemas/spool_record.avsc */

/*
 * Appends the records of one change (a schema record is made by the spool).  A row's images are
 * encoded here; `scratch` is reused between calls.  Nothing for a change that needs no record.
 */
struct avro_scratch { struct buf key, old_key, before, after; struct avro_extra before_extra, after_extra; };
void avro_scratch_free(struct avro_scratch *s);
void spool_record_put(struct buf *out, const struct change *c, struct avro_scratch *scratch);
/* A row whose key, after and unrepresentable are encoded already. */
void spool_record_put_encoded(struct buf *out, const struct event *e);
void spool_record_put_schema(struct buf *out, const struct table *t, const struct position *pos);
/*
 * Reads the next record in place.  e->table from `tables` by id; a schema record restores its version there
 * first.  ERR_FATAL on anything unknown.
 */
MUST_CHECK int spool_record_get(struct cursor *c, struct tables *tables, struct event *e, struct error *err);

/* --- output events, put together by copying --- */

struct avro_source {		/* what the source block says beyond the event */
	const struct tables *tables;	/* whose connector it is; NULL: as given here */
	const char	*connector, *pipeline, *database;
	struct str	gtid, file;	/* MySQL, MariaDB: of the transaction at hand; p NULL: not known */
	struct buf	keep;		/* owns those two */
	int64_t		now_us;		/* what events say of when they were handled; 0: the clock, at each */
	struct avro_source_head {	/* avro_event.c's: what the source blocks of a table's rows have in common */
		const struct table	*table;
		struct position		pos;
		uint64_t		xid;
		int64_t			commit_us;
		bool			snapshot;
		size_t			place, transaction;	/* where those parts begin */
		struct buf		bytes;			/* n == 0: none */
	}		head;
};
/* The transaction at hand is the one that this BEGIN opens. */
void avro_source_begin(struct avro_source *src, const struct event *begin);
void avro_source_release(struct avro_source *src);
/*
 * `op` decides which images are shown: c r after, u both, d before, t none; the two halves of a moved key are 'd'
 * and 'c' of the same event.  total_order < 0: no transaction block.
 */
void avro_put_envelope(struct buf *out, const struct event *e, char op, struct avro_source *src,
		       int64_t total_order, int64_t collection_order);
void avro_put_flat(struct buf *out, const struct event *e, char op);	/* not for messages */
char event_op(const struct event *e);	/* c u d r t m; 0: no change of data */

/*
 * One event as a JSON object without a newline (INTERFACE.md, events): decimals as strings, bytes base64, times
 * RFC 3339.  Nothing for an event without an op.
 */
MUST_CHECK int event_json(struct buf *out, const struct event *e, struct error *err);

#endif
