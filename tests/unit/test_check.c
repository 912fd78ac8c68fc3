/*
 * test_check.c - findings as text, JSON and SQL; the module's own text is included
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "../../agent/check.c"

#undef fail /* cmocka has one of its own */
#include <cmocka.h>

static void fill(struct findings *f)
{
	findings_add(f, "superuser", SEVERITY_INFO, "role x", "not needed", NULL, NULL);
	findings_add(f, "wal_level", SEVERITY_ERROR, "server", "wal_level is\nreplica",
		     "ALTER SYSTEM SET wal_level = logical", "ALTER SYSTEM RESET wal_level; ");
	findings_add(f, "identity", SEVERITY_WARNING, "public.\"a\"", "no key",
		     "ALTER TABLE \"public\".\"a\" REPLICA IDENTITY FULL;\n",
		     "ALTER TABLE \"public\".\"a\" REPLICA IDENTITY DEFAULT;");
}

static void test_json(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	struct findings f = { 0 };

	fill(&f);
	put_json(&out, &f);
	json_t *root = json_loads(buf_z(&out), 0, NULL);
	json_t *list = json_object_get(root, "findings");
	json_t *second = json_array_get(list, 1);

	assert_int_equal(json_integer_value(json_object_get(root, "errors")), 1);
	assert_int_equal(json_array_size(list), 3);
	assert_true(json_is_null(json_object_get(json_array_get(list, 0), "fix_sql")));
	assert_string_equal(json_string_value(json_object_get(second, "id")), "wal_level");
	assert_string_equal(json_string_value(json_object_get(second, "severity")), "error");
	assert_string_equal(json_string_value(json_object_get(second, "message")),
			    "wal_level is\nreplica");
	assert_string_equal(json_string_value(json_object_get(second, "fix_sql")),
			    "ALTER SYSTEM SET wal_level = logical");
	json_decref(root);
	findings_free(&f);
	assert_int_equal(f.n, 0);
	buf_clear(&out);
	put_json(&out, &f);
	assert_string_equal(buf_z(&out), "{\"findings\":[],\"errors\":0}\n");
}

/* Every statement ends with one semicolon; no message can end its comment; undone backwards. */
static void test_sql(void **state)
{
	(void)state;
	AUTO(buf) struct buf fix = { 0 };
	AUTO(buf) struct buf undo = { 0 };
	struct findings f = { 0 };

	fill(&f);
	put_sql(&fix, &f, false);
	assert_string_equal(buf_z(&fix),
			    "-- does what `tailrace check` asks for; read it before you run it\n\n"
			    "-- wal_level server: wal_level is replica\n"
			    "ALTER SYSTEM SET wal_level = logical;\n\n"
			    "-- identity public.\"a\": no key\n"
			    "ALTER TABLE \"public\".\"a\" REPLICA IDENTITY FULL;\n");
	put_sql(&undo, &f, true);
	const char *first = strstr(buf_z(&undo), "REPLICA IDENTITY DEFAULT;\n");
	const char *second = strstr(undo.p, "ALTER SYSTEM RESET wal_level;\n");

	assert_true(first && second && first < second);
	findings_free(&f);
}

static void test_text(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = { 0 };
	AUTO(buf) struct buf words = { 0 };
	struct findings f = { 0 };

	for (int i = 0; i < 100; i++)
		buf_adds(&words, "word ");
	fill(&f);
	findings_add(&f, "long", SEVERITY_WARNING, "", buf_z(&words), NULL, NULL);
	put_text(&out, &f, false);
	const char *error =
		strstr(buf_z(&out), "error    wal_level  server\n         wal_level is\n"
				    "         replica\n         fix:\n             ALTER");

	assert_ptr_equal(error, out.p); /* what is worst comes first */
	assert_non_null(strstr(out.p, "\n1 error, 2 warnings, 1 hint\n"));
	assert_null(strchr(out.p, '\033'));
	for (const char *p = out.p; *p; p += strcspn(p, "\n") + 1)
		assert_true(strcspn(p, "\n") <= 100);
	buf_clear(&out);
	put_text(&out, &f, true);
	assert_non_null(strstr(buf_z(&out), "\033[31merror"));
	findings_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_sql),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
