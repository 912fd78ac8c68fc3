/*
 * test_table.c - versions of tables: equal, next, restored, refused; patterns of names
 */
#include "avro_fixture.h"

#include <jansson.h>
#include <pthread.h>

static struct tables *tables;
static struct error err;

static int setup(void **state)
{
	(void)state;
	tables = tables_new(&fixture_config);
	err = (struct error){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tables_free(tables);
	return 0;
}

static const struct table *define(const char *schema, const char *name, struct column *columns,
				  size_t n)
{
	struct table draft = fixture_draft(schema, name, columns, n);

	return tables_define(tables, &draft, &err);
}

static bool matches(const char *const *patterns, size_t n, const char *schema, const char *name)
{
	char *items[8];

	for (size_t i = 0; i < n; i++)
		items[i] = xstrdup(patterns[i]);
	struct list list = { items, n };
	bool match = patterns_match(&list, str_z(schema), str_z(name));

	for (size_t i = 0; i < n; i++)
		free(items[i]);
	return match;
}

static void patterns(void **state)
{
	static const char *const all[] = { "*" }, *const some[] = { "public.*", "! public.*_tmp" },
				 *const back[] = { "!public.a", "public.*", "!public.a?",
						   "public.ab" },
				 *const bare[] = { "orders" }, *const deep[] = { "*.a*c.?" },
				 *const star[] = { "public.a**b*" };

	(void)state;
	assert_true(matches(all, 1, "any", "thing"));
	assert_true(matches(some, 2, "public", "orders"));
	assert_false(matches(some, 2, "public", "orders_tmp"));
	assert_false(matches(some, 2, "sales", "orders"));
	assert_true(matches(back, 4, "public", "a"));
	assert_false(matches(back, 4, "public", "ac"));
	assert_true(matches(back, 4, "public", "ab"));
	assert_true(matches(bare, 1, "x", "orders"));
	assert_false(matches(bare, 1, "x", "orders2"));
	assert_false(matches(bare, 1, "orders", "x"));
	assert_true(matches(deep, 1, "s", "abcc.\xc3\xa4")); /* ? is a character, not a byte */
	assert_false(matches(deep, 1, "s", "abcc.xy"));
	assert_true(matches(star, 1, "public", "axxbxb"));
	assert_false(matches(star, 1, "public", "axxc"));
	assert_false(patterns_match(NULL, STR("public"), STR("a")));
	assert_false(patterns_match(&(struct list){ NULL, 0 }, STR("public"), STR("a")));
}

/* The same definition is the same version; another one is the next; an old one comes back. */
static void versions(void **state)
{
	struct column one[] = { fixture_column("id", COL_INT64, 1),
				fixture_column("a", COL_TEXT, 0) };
	struct column two[] = { fixture_column("id", COL_INT64, 1),
				fixture_column("a", COL_TEXT, 0),
				fixture_column("b", COL_INT32, 0) };

	(void)state;
	const struct table *v1 = define("public", "t", one, 2);

	assert_non_null(v1);
	assert_int_equal(v1->id, 1);
	assert_int_equal(v1->version, 1);
	assert_int_equal(v1->nkey, 1);
	assert_int_equal(v1->key[0], 0);
	one[1].nullable = false; /* a hint of the catalog */
	assert_ptr_equal(define("public", "t", one, 2), v1);

	const struct table *v2 = define("public", "t", two, 3);

	assert_int_equal(v2->id, 2);
	assert_int_equal(v2->version, 2);
	assert_ptr_equal(tables_latest(tables, STR("public"), STR("t")), v2);
	assert_ptr_equal(define("public", "t", one, 2), v1);

	const struct table *other = define("sales", "t", one, 2);

	assert_int_equal(other->id, 3);
	assert_int_equal(other->version, 1);
	assert_int_equal(tables_count(tables), 3);
	assert_ptr_equal(tables_by_id(tables, 2), v2);
	assert_null(tables_by_id(tables, 0));
	assert_null(tables_by_id(tables, 4));
	assert_null(tables_by_id(tables, UINT32_MAX));
	assert_null(tables_latest(tables, STR("public"), STR("u")));
}

static void every_part_of_a_column_counts(void **state)
{
	struct column base = fixture_column("a", COL_DECIMAL, 0);

	(void)state;
	base.precision = 10;
	base.scale = 2;
	struct column c[7] = { base, base, base, base, base, base, base };

	c[1].name = STR("b");
	c[2].type = COL_TEXT;
	c[3].precision = 12;
	c[4].scale = 4;
	c[5].native = STR("another type");
	c[6].key = 1;
	for (unsigned i = 0; i < COUNT(c); i++)
		assert_int_equal(define("public", "t", &c[i], 1)->version, i + 1);
}

static void keys_are_in_key_order(void **state)
{
	struct column c[] = { fixture_column("a", COL_INT32, 2), fixture_column("b", COL_INT32, 0),
			      fixture_column("c", COL_INT32, 1) };

	(void)state;
	const struct table *t = define("public", "t", c, 3);

	assert_int_equal(t->nkey, 2);
	assert_int_equal(t->key[0], 2);
	assert_int_equal(t->key[1], 0);
	c[0].key = 3;
	assert_null(define("public", "u", c, 3));
	assert_non_null(strstr(err.text, "not numbered"));
}

static void equal_fingerprints_get_another_namespace(void **state)
{
	struct column c = fixture_column("amount", COL_DECIMAL, 0);
	struct column two[2] = { fixture_column("id", COL_INT32, 1), c };

	(void)state;
	two[1].precision = 10;
	two[1].scale = 2;
	const struct table *v1 = define("public", "t", two, 2);

	two[1].precision = 12;
	two[1].scale = 4;
	const struct table *v2 = define("public", "t", two, 2);

	assert_null(strstr(v1->schemas.row, "erp.public.t.v"));
	assert_non_null(strstr(v2->schemas.row, "\"namespace\":\"erp.public.t.v2\""));
	assert_non_null(strstr(v2->schemas.key, "\"namespace\":\"erp.public.t.v2\""));
	assert_non_null(strstr(v2->schemas.envelope, "\"erp.public.t.v2.Value\""));
	assert_true(v1->schemas.fp_row != v2->schemas.fp_row);
	assert_true(v1->schemas.fp_key != v2->schemas.fp_key);
	assert_true(v1->schemas.fp_envelope != v2->schemas.fp_envelope);
	assert_true(v1->schemas.fp_flat != v2->schemas.fp_flat);
}

static void the_key_schema_lives_on(void **state)
{
	struct column c[] = { fixture_column("id", COL_INT32, 1),
			      fixture_column("a", COL_TEXT, 0) };

	(void)state;
	const struct table *v1 = define("public", "t", c, 1);
	const struct table *v2 = define("public", "t", c, 2);

	assert_string_equal(v1->schemas.key, v2->schemas.key);
	assert_true(v1->schemas.fp_key == v2->schemas.fp_key);
}

static void assert_refused(const struct table *t, const char *a, const char *b)
{
	assert_null(t);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_int_equal(error_exit(&err), EXIT_USAGE);
	assert_non_null(strstr(err.text, a));
	assert_non_null(strstr(err.text, b));
}

/* EDGE 40: names that meet after sanitising are refused, both named. */
static void names_that_meet(void **state)
{
	struct column c = fixture_column("id", COL_INT32, 1);
	struct column pair[] = { fixture_column("a-b", COL_INT32, 0),
				 fixture_column("a_b", COL_INT32, 0) };
	struct column flat = fixture_column("__op", COL_TEXT, 0);

	(void)state;
	assert_non_null(define("public", "a-b", &c, 1));
	assert_refused(define("public", "a_b", &c, 1), "public.a-b", "public.a_b");
	assert_non_null(define("a.b", "c", &c, 1));
	assert_refused(define("a", "b.c", &c, 1), "a.b.c", "a.b.c");
	assert_refused(define("public", "t", pair, 2), "a-b", "a_b");
	assert_refused(define("public", "t", &flat, 1), "__op", "reserved");
	assert_int_equal(tables_count(tables), 2);
}

/* EDGE 40: a table as wide and names as odd as Postgres allows. */
static void wide_and_odd(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct column *c = arena_zalloc(&arena, 1600 * sizeof *c);

	(void)state;
	for (size_t i = 0; i < 1600; i++)
		c[i] = fixture_column(arena_printf(&arena, "Spalte \"%zu\" \xf0\x9f\x90\x98", i),
				      COL_TEXT, i == 0);
	const struct table *t = define("Mein.Schema", "It's \xf0\x9f\x90\x98", c, 1600);

	assert_non_null(t);
	assert_non_null(strstr(t->schemas.row, "\"namespace\":\"erp.Mein.Schema.It_s__\""));
	assert_non_null(strstr(t->schemas.row, "\"name\":\"Spalte__7___\""));
}

static void names_that_are_not_text(void **state)
{
	struct column c = fixture_column("id\xff", COL_INT32, 1);

	(void)state;
	assert_null(define("public", "t", &c, 1));
	assert_non_null(strstr(err.text, "UTF-8"));
}

static void sinks_by_pattern(void **state)
{
	char *a[] = { (char[]){ "public.a*" } },
	     *b[] = { (char[]){ "*" }, (char[]){ "!public.ab" } };
	struct list lists[] = { { a, 1 }, { NULL, 0 }, { b, 2 } };
	struct tables_config config = { "erp", "postgresql", "shop", lists, 3 };
	struct tables *routed = tables_new(&config);
	struct column c = fixture_column("id", COL_INT32, 1);
	struct table draft = fixture_draft("public", "ab", &c, 1);

	(void)state;
	assert_int_equal(tables_define(routed, &draft, &err)->sinks, 3);
	draft.name = STR("b");
	assert_int_equal(tables_define(routed, &draft, &err)->sinks, 6);
	tables_free(routed);
}

/* Everything comes back from the definitions, in any order and any number of times. */
static void restored(void **state)
{
	AUTO(arena) struct arena arena = { 0 };
	struct tables_config other = { "other", "mysql", "", NULL, 0 };
	struct tables *again = tables_new(&other);
	struct rng r = { 3 };

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		fixture_random_table(tables, &r, &arena, i / 4);
	for (uint32_t i = 0; i < 80; i++) {
		uint32_t id = 40 - i % 40;
		const struct table *was = tables_by_id(tables, id);
		const struct table *is = tables_restore(again, was->definition, &err);

		if (!is)
			test_failed("%s\n", err.text);
		assert_ptr_equal(is, tables_by_id(again, id));
		assert_int_equal(is->version, was->version);
		assert_string_equal(is->schemas.row, was->schemas.row);
		assert_string_equal(is->schemas.envelope, was->schemas.envelope);
		assert_true(is->schemas.fp_flat == was->schemas.fp_flat);
		assert_int_equal(is->nkey, was->nkey);
		assert_true(str_eq(is->definition, was->definition));
	}
	assert_int_equal(tables_count(again), 40);
	tables_free(again);
}

static void the_suffix_is_restored(void **state)
{
	struct tables *again = tables_new(&fixture_config);
	struct column c = fixture_column("a", COL_DECIMAL, 0);

	(void)state;
	c.precision = 5;
	define("public", "t", &c, 1);
	c.precision = 6;
	const struct table *v2 = define("public", "t", &c, 1);
	const struct table *is = tables_restore(again, v2->definition, &err);

	assert_string_equal(is->schemas.row, v2->schemas.row);
	assert_int_equal(tables_count(again), 2); /* version 1 is not known here */
	assert_null(tables_by_id(again, 1));
	struct table draft = fixture_draft("public", "t", &c, 1);

	assert_ptr_equal(tables_define(again, &draft, &err), is);
	c.precision = 7;
	assert_int_equal(tables_define(again, &draft, &err)->id, 3);
	assert_int_equal(tables_latest(again, STR("public"), STR("t"))->version, 3);
	tables_free(again);
}

static void conflicting_definitions(void **state)
{
	struct tables *other = tables_new(&fixture_config);
	struct column a = fixture_column("a", COL_INT32, 1), b = fixture_column("b", COL_INT32, 1);
	struct table draft = fixture_draft("public", "t", &a, 1);

	(void)state;
	const struct table *theirs = fixture_define(other, &draft);

	define("public", "t", &b, 1);
	assert_null(tables_restore(tables, theirs->definition, &err));
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, "not of one pipeline"));
	tables_free(other);
}

static void damaged_definitions(void **state)
{
	static const char *const texts[] = {
		"", "[]", "{}", "{\"format\":2}", "{\"format\":1}", "{\"format\":1,\"columns\":[]}",
	};
	struct column c[] = { fixture_column("a", COL_ARRAY, 1),
			      fixture_column("b", COL_INT32, 0) };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_null(tables_restore(tables, str_z(texts[i]), &err));
		assert_int_equal(err.kind, ERR_FATAL);
	}
	const struct table *t = define("public", "t", c, 2);
	struct tables *again = tables_new(&fixture_config);

	for (size_t n = 0; n < t->definition.n; n++)
		assert_null(tables_restore(again, (struct str){ t->definition.p, n }, &err));

	/* Each member in turn is missing, or of another type. */
	json_t *whole = json_loadb(t->definition.p, t->definition.n, 0, NULL);
	const char *name;
	json_t *value;

	json_object_foreach(whole, name, value)
	{
		json_t *less = json_copy(whole);

		json_object_set_new(less, name, json_real(0.5));
		char *text = json_dumps(less, 0);

		assert_null(tables_restore(again, str_z(text), &err));
		free(text);
		json_decref(less);
	}
	json_decref(whole);
	assert_int_equal(tables_count(again), 0);
	tables_free(again);
}

static void *look_up(void *arg)
{
	size_t *seen = arg;
	size_t count;

	while ((count = tables_count(tables)) < 300) {
		const struct table *t = count ? tables_by_id(tables, (uint32_t)count) : NULL;

		*seen += count && t && t->id == count && t->schemas.row;
	}
	return NULL;
}

static void looked_up_while_defining(void **state)
{
	struct column c = fixture_column("a", COL_INT32, 1);
	AUTO(arena) struct arena arena = { 0 };
	size_t seen = 0;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, look_up, &seen);
	for (unsigned i = 0; i < 300; i++)
		define("public", arena_printf(&arena, "t%u", i), &c, 1);
	pthread_join(thread, NULL);
	assert_int_equal(tables_count(tables), 300);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(patterns),
		TEST(versions),
		TEST(every_part_of_a_column_counts),
		TEST(keys_are_in_key_order),
		TEST(equal_fingerprints_get_another_namespace),
		TEST(the_key_schema_lives_on),
		TEST(names_that_meet),
		TEST(wide_and_odd),
		TEST(names_that_are_not_text),
		TEST(sinks_by_pattern),
		TEST(restored),
		TEST(the_suffix_is_restored),
		TEST(conflicting_definitions),
		TEST(damaged_definitions),
		TEST(looked_up_while_defining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
