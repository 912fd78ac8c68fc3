/*
 * test_change.c - a batch keeps its room and forgets the rest
 */
#include "avro_fixture.h"

static void grows_and_empties(void **state)
{
	struct column c[] = { fixture_column("a", COL_INT32, 1), fixture_column("b", COL_TEXT, 0) };
	struct table t = fixture_draft("public", "t", c, 2);
	struct batch b = { 0 };

	(void)state;
	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 1000; i++) {
			struct change *added = batch_add(&b, CHANGE_INSERT, &t,
							 (struct position){ 1, 0, i, round });
			struct value *row = batch_row(&b, &t);

			assert_int_equal(row[0].state, VALUE_ABSENT);
			assert_int_equal(row[1].state, VALUE_ABSENT);
			row[0] = (struct value){ .state = VALUE_SET, .i = (int64_t)i };
			assert_null(added->before);
			assert_null(added->resume.p);
			added->after = row;
		}
		assert_int_equal(b.nchanges, 1000);
		for (uint64_t i = 0; i < 1000; i++) {
			assert_int_equal(b.changes[i].pos.offset, i);
			assert_int_equal(b.changes[i].after[0].i, i);
			assert_ptr_equal(b.changes[i].table, &t);
		}
		batch_empty(&b);
		assert_int_equal(b.nchanges, 0);
		assert_int_equal(b.arena.used, 0);
		assert_true(b.room >= 1000);
	}
	batch_free(&b);
	assert_int_equal(b.room, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_empties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
