/*
 * test_loading.c - the list of tables being loaded: in a checkpoint, and by table
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef fail /* cmocka's; error.h has its own */
#include "loading.h"

static struct error err;

static void adding_and_removing(void **state)
{
	struct loading l = { 0 };
	const struct table orders = { .schema = STR("public"), .name = STR("orders") };
	const struct table dotted = { .schema = STR("public.a"), .name = STR("b") };
	const struct table shorter = { .schema = STR("public"), .name = STR("order") };

	(void)state;
	assert_false(loading_has(NULL, &orders));
	assert_false(loading_has(&l, &orders));
	loading_add(&l, STR("public"), STR("orders"));
	loading_add(&l, STR("public"), STR("orders"));
	loading_add(&l, STR("public.a"), STR("b"));
	loading_add(&l, STR("app"), STR("x"));
	assert_int_equal(l.n, 3);
	assert_true(loading_has(&l, &orders));
	assert_true(loading_has(&l, &dotted));
	assert_false(loading_has(&l, &shorter));
	loading_remove(&l, STR("public"), STR("order"));
	assert_int_equal(l.n, 3);
	loading_remove(&l, STR("public"), STR("orders"));
	assert_false(loading_has(&l, &orders));
	assert_true(loading_has(&l, &dotted));
	assert_int_equal(l.n, 2);
	loading_release(&l);
	l.never = true;
	assert_true(loading_has(&l, &orders));
	loading_release(&l);
	assert_true(l.never);
}

static void in_a_checkpoint(void **state)
{
	struct loading l = { 0 }, back = { 0 };

	(void)state;
	assert_null(loading_format(&l));
	assert_int_equal(loading_parse(NULL, &back, &err), 0);
	assert_int_equal(loading_parse("[]", &back, &err), 0);
	assert_int_equal(back.n, 0);
	loading_add(&l, STR("public"), STR("or\"ders"));
	loading_add(&l, STR("app"), STR("\xc3\xa4"));
	char *json = loading_format(&l);

	assert_string_equal(json, "[\"public.or\\\"ders\",\"app.\xc3\xa4\"]");
	assert_int_equal(loading_parse(json, &back, &err), 0);
	assert_int_equal(back.n, 2);
	assert_string_equal(back.names[0], "public.or\"ders");
	assert_string_equal(back.names[1], "app.\xc3\xa4");
	free(json);
	loading_release(&l);
	loading_release(&back);
}

static void what_is_no_list(void **state)
{
	static const char *const bad[] = { "", "{}", "null", "[1]", "[\"a.b\",null]", "[" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct loading l = { 0 };

		err = (struct error){ 0 };
		assert_int_equal(loading_parse(bad[i], &l, &err), -1);
		assert_int_equal(err.kind, ERR_FATAL);
		assert_int_equal(l.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_and_removing),
		cmocka_unit_test(in_a_checkpoint),
		cmocka_unit_test(what_is_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
