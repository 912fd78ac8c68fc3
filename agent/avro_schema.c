/*
 * avro_schema.c - Avro schemas of a table version, as JSON text
 *
 * Key, row, envelope and flat form of INTERFACE.md's "Events".  Logical types are Avro's own; those
 * that Kafka Connect knows by name only carry connect.name and connect.parameters besides, so that
 * its converters give the same types as for Debezium's events.
 */
#include <avro/errors.h>
#include <avro/schema.h>
#include <jansson.h>
#include <stdlib.h>

#include "avro_private.h"

static json_t *primitive(const char *type)
{
	return json_string(type);
}

static json_t *logical(const char *type, const char *logical_type, const char *connect_name)
{
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string(type));
	if (logical_type)
		json_object_set_new(o, "logicalType", json_string(logical_type));
	if (connect_name) {
		json_object_set_new(o, "connect.version", json_integer(1));
		json_object_set_new(o, "connect.name", json_string(connect_name));
	}
	return o;
}

static json_t *decimal(int precision, int scale)
{
	json_t *o = logical("bytes", "decimal", "org.apache.kafka.connect.data.Decimal");
	char precision_text[16], scale_text[16];

	snprintf(precision_text, sizeof precision_text, "%d", precision);
	snprintf(scale_text, sizeof scale_text, "%d", scale);
	json_object_set_new(o, "precision", json_integer(precision));
	json_object_set_new(o, "scale", json_integer(scale));
	json_object_set_new(o, "connect.parameters",
			    json_pack("{ss ss}", "scale", scale_text, "connect.decimal.precision",
				      precision_text));
	return o;
}

static json_t *nullable(json_t *type)
{
	return json_pack("[so]", "null", type);
}

static json_t *array_of(json_t *items)
{
	return json_pack("{ssso}", "type", "array", "items", items);
}

static json_t *column_type(const struct column *c, enum column_type type)
{
	switch (type) {
	case COL_BOOL:
		return primitive("boolean");
	case COL_INT32:
		return primitive("int");
	case COL_INT64:
		return primitive("long");
	case COL_UINT64:
		return decimal(20, 0);
	case COL_FLOAT:
		return primitive("float");
	case COL_DOUBLE:
		return primitive("double");
	case COL_DECIMAL:
		return decimal(c->precision, c->scale);
	case COL_TEXT:
		return primitive("string");
	case COL_BYTES:
		return primitive("bytes");
	case COL_DATE:
		return logical("int", "date", "org.apache.kafka.connect.data.Date");
	case COL_TIME:
		return logical("long", "time-micros", "io.debezium.time.MicroTime");
	case COL_TIMESTAMP:
		return logical("long", "local-timestamp-micros", "io.debezium.time.MicroTimestamp");
	case COL_TIMESTAMPTZ:
		return logical("long", "timestamp-micros", "io.debezium.time.MicroTimestamp");
	case COL_UUID:
		return logical("string", "uuid", NULL);
	case COL_JSON:
		return logical("string", NULL, "io.debezium.data.Json");
	case COL_ARRAY:
		return array_of(nullable(column_type(c, c->element)));
	}
	return NULL;
}

static json_t *field(const char *name, json_t *type)
{
	return json_pack("{ssso}", "name", name, "type", type);
}

static json_t *optional(const char *name, json_t *type)
{
	json_t *f = field(name, nullable(type));

	json_object_set_new(f, "default", json_null());
	return f;
}

static json_t *column_field(const struct column *c, bool required)
{
	AUTO(buf) struct buf name = { 0 };

	avro_name(c->name, &name);
	json_t *type = column_type(c, c->type);
	json_t *f = required ? field(buf_z(&name), type) : optional(buf_z(&name), type);
	json_t *doc = c->native.n ? json_stringn(c->native.p, c->native.n) : NULL;

	if (doc)
		json_object_set_new(f, "doc", doc);
	return f;
}

static json_t *record(const char *space, const char *name, json_t *fields)
{
	json_t *o = json_pack("{ss ss ss so}", "type", "record", "name", name, "namespace", space,
			      "fields", fields);
	char *full = xasprintf("%s.%s", space, name);

	json_object_set_new(o, "connect.name", json_string(full));
	free(full);
	return o;
}

static json_t *row_fields(const struct table *t)
{
	json_t *fields = json_array();

	for (size_t i = 0; i < t->ncolumns; i++)
		json_array_append_new(fields, column_field(&t->columns[i], false));
	return fields;
}

static json_t *key_record(const struct table *t, const char *space)
{
	json_t *fields = json_array();

	for (size_t k = 0; k < t->nkey; k++)
		json_array_append_new(fields, column_field(&t->columns[t->key[k]], true));
	return record(space, "Key", fields);
}

static json_t *map_of_text(void)
{
	return json_pack("{ssss}", "type", "map", "values", "string");
}

/* Where the change stands in its own log: Postgres an LSN, MySQL and MariaDB GTID, file and offset. */
static json_t *source_record(const char *connector)
{
	json_t *fields = json_array();
	json_t *snapshot = field("snapshot", primitive("string"));
	char *space = xasprintf("io.debezium.connector.%s", connector);

	json_array_append_new(fields, field("version", primitive("string")));
	json_array_append_new(fields, field("connector", primitive("string")));
	json_array_append_new(fields, field("name", primitive("string")));
	json_array_append_new(fields, field("ts_ms", primitive("long")));
	json_array_append_new(fields, optional("ts_us", primitive("long")));
	json_object_set_new(snapshot, "default", json_string("false"));
	json_array_append_new(fields, snapshot);
	json_array_append_new(fields, field("db", primitive("string")));
	json_array_append_new(fields, field("schema", primitive("string")));
	json_array_append_new(fields, field("table", primitive("string")));
	json_array_append_new(fields, optional("txId", primitive("long")));
	if (avro_source_has_lsn(connector))
		json_array_append_new(fields, optional("lsn", primitive("long")));
	if (avro_source_has_file(connector)) {
		json_array_append_new(fields, optional("gtid", primitive("string")));
		json_array_append_new(fields, optional("file", primitive("string")));
		json_array_append_new(fields, optional("pos", primitive("long")));
	}
	json_array_append_new(fields, field("row", primitive("long")));
	json_array_append_new(fields, field("position", primitive("string")));
	json_t *o = record(space, "Source", fields);

	free(space);
	return o;
}

static json_t *transaction_record(void)
{
	json_t *fields = json_array();

	json_array_append_new(fields, field("id", primitive("string")));
	json_array_append_new(fields, field("total_order", primitive("long")));
	json_array_append_new(fields, field("data_collection_order", primitive("long")));
	return record("event", "block", fields);
}

static json_t *envelope_record(const char *space, const char *connector, json_t *row)
{
	json_t *fields = json_array();
	char *row_name = xasprintf("%s.Value", space);

	json_array_append_new(fields, optional("before", json_incref(row)));
	json_array_append_new(fields, optional("after", json_string(row_name)));
	json_array_append_new(fields, field("source", source_record(connector)));
	json_array_append_new(fields, field("op", primitive("string")));
	json_array_append_new(fields, optional("ts_ms", primitive("long")));
	json_array_append_new(fields, optional("ts_us", primitive("long")));
	json_array_append_new(fields, optional("transaction", transaction_record()));
	json_array_append_new(fields, optional("absent", array_of(primitive("string"))));
	json_array_append_new(fields, optional("absent_before", array_of(primitive("string"))));
	json_array_append_new(fields, optional("unrepresentable", map_of_text()));
	json_array_append_new(fields, optional("unrepresentable_before", map_of_text()));
	free(row_name);
	return record(space, "Envelope", fields);
}

static json_t *flat_record(const struct table *t, const char *space)
{
	static const char *const names[] = { AVRO_FLAT_FIELDS };
	json_t *types[] = { primitive("string"), primitive("string"),           primitive("long"),
			    primitive("string"), array_of(primitive("string")), map_of_text() };
	json_t *fields = row_fields(t);

	_Static_assert(COUNT(names) == COUNT(types), "a type for each");
	for (size_t i = 0; i < COUNT(names); i++)
		json_array_append_new(fields, optional(names[i], types[i]));
	return record(space, "Value", fields);
}

/* Takes o over; its text, and the fingerprint of its canonical form. */
static int put_text(json_t *o, char **text, uint64_t *fp, struct error *err)
{
	*text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!*text)
		return fail(err, ERR_FATAL,
			    "an Avro schema cannot be written: a name is not UTF-8");
	AUTO(free) char *canonical = avro_canonical(*text, err);

	if (!canonical)
		return -1;
	*fp = avro_crc64(canonical, strlen(canonical));
	return 0;
}

int avro_schemas_make(const struct table *t, const struct avro_names *names,
		      struct table_schemas *out, struct error *err)
{
	AUTO(free)
	char *space = names->suffix ? xasprintf("%s.v%u", names->topic, names->suffix)
				    : xstrdup(names->topic);
	json_t *row = record(space, "Value", row_fields(t));
	json_t *envelope = envelope_record(space, names->connector, row);

	*out = (struct table_schemas){ 0 };
	/* Each text takes its object over, so all are made whatever happens to one. */
	int failed = put_text(row, &out->row, &out->fp_row, err);

	failed |= put_text(envelope, &out->envelope, &out->fp_envelope, err);
	failed |= put_text(flat_record(t, space), &out->flat, &out->fp_flat, err);
	if (t->nkey)
		failed |= put_text(key_record(t, space), &out->key, &out->fp_key, err);
	if (failed)
		avro_schemas_free(out);
	return failed;
}

void avro_schemas_free(struct table_schemas *s)
{
	free(s->key);
	free(s->row);
	free(s->envelope);
	free(s->flat);
	*s = (struct table_schemas){ 0 };
}

void avro_topic(const char *pipeline, struct str schema, struct str name, struct buf *out)
{
	struct str parts[] = { str_z(pipeline), schema, name };

	for (size_t i = 0; i < COUNT(parts); i++) {
		if (i)
			buf_addc(out, '.');
		/* A dot divides: what is on both sides of it is a name of its own. */
		for (size_t from = 0; from <= parts[i].n;) {
			const char *p = parts[i].p + from;
			const char *dot = memchr(p, '.', parts[i].n - from);
			size_t n = dot ? (size_t)(dot - p) : parts[i].n - from;

			if (from)
				buf_addc(out, '.');
			avro_name((struct str){ p, n }, out);
			from += n + 1;
		}
	}
}

int avro_schema_validate(const char *json, struct error *err)
{
	avro_schema_t schema;

	if (avro_schema_from_json_length(json, strlen(json), &schema) != 0)
		return fail(err, ERR_FATAL, "Apache Avro refuses the schema made for it: %s",
			    avro_strerror());
	avro_schema_decref(schema);
	return 0;
}
