/*
 * test_position.c - order and text of positions, copies of checkpoints
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "position.h"

static void positions_are_ordered_by_field(void **state)
{
	static const struct position in_order[] = {
		{ 0, 0, 0, 0 },
		{ 0, 0, 0, 1 },
		{ 0, 0, 1, 0 },
		{ 0, 0, 1, POSITION_BETWEEN },
		{ 0, 0, UINT64_MAX, 0 },
		{ 0, 1, 0, 0 },
		{ 0, UINT32_MAX, 0, 0 },
		{ 1, 0, 0, 0 },
		{ UINT32_MAX, 0, 0, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(in_order); i++) {
		for (size_t k = 0; k < COUNT(in_order); k++) {
			int want = i < k ? -1 : i > k;

			assert_int_equal(position_cmp(&in_order[i], &in_order[k]), want);
		}
	}
}

static void a_transaction_is_all_but_the_row(void **state)
{
	struct position a = { 1, 2, 3, 4 }, row = { 1, 2, 3, 9 }, offset = { 1, 2, 4, 4 },
			file = { 1, 3, 3, 4 }, epoch = { 2, 2, 3, 4 };

	(void)state;
	assert_true(position_same_transaction(&a, &row));
	assert_false(position_same_transaction(&a, &offset));
	assert_false(position_same_transaction(&a, &file));
	assert_false(position_same_transaction(&a, &epoch));

	/* A heartbeat or a chunk right behind it has its offset. */
	struct position beat = { 1, 2, 3, POSITION_BETWEEN },
			chunk = { 1, 2, 3, POSITION_BETWEEN + 7 };

	assert_false(position_same_transaction(&a, &beat));
	assert_false(position_same_transaction(&chunk, &a));
	assert_true(position_same_transaction(&beat, &chunk));
}

static void text_and_back(void **state)
{
	static const struct {
		struct position pos;
		const char *text, *file;
	} cases[] = {
		{ { 1, 0, 0x16B3748, 7 },
		  "1/0/16B3748/7",
		  "01-000000-00000000016b3748-0000000000000007" },
		{ { 0, 0, 0, 0 }, "0/0/0/0", "00-000000-0000000000000000-0000000000000000" },
		{ { UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX },
		  "4294967295/4294967295/FFFFFFFFFFFFFFFF/18446744073709551615",
		  "ffffffff-ffffffff-ffffffffffffffff-ffffffffffffffff" },
		{ { 2, 17, 0xABCDEF, POSITION_BETWEEN },
		  "2/17/ABCDEF/9223372036854775808",
		  "02-000011-0000000000abcdef-8000000000000000" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[POSITION_TEXT];
		struct position back;
		AUTO(buf) struct buf b = { 0 };

		assert_string_equal(position_text(&cases[i].pos, text), cases[i].text);
		assert_int_equal(position_parse(str_z(text), &back), 0);
		assert_int_equal(position_cmp(&back, &cases[i].pos), 0);
		position_format(&cases[i].pos, &b);
		assert_string_equal(buf_z(&b), cases[i].text);
		assert_string_equal(position_filename(&cases[i].pos, text), cases[i].file);
	}
}

static void what_is_not_a_position(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"1/0",
		"1/0/16B3748",
		"1/0/16B3748/",
		"/0/1/2",
		"1//1/2",
		"1/0//2",
		"1/0/1/2/3",
		" 1/0/1/2",
		"1/0/1/2 ",
		"-1/0/1/2",
		"1/0/1G/2",
		"1/0/1/A",
		"A/0/1/2",
		"0x1/0/1/2",
		"1/0/1/+2",
		"4294967296/0/0/0",
		"0/4294967296/0/0",
		"0/0/10000000000000000/0",
		"0/0/0/18446744073709551616",
	};
	struct position pos = { 9, 9, 9, 9 };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (position_parse(str_z(bad[i]), &pos) != -1)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(pos.epoch, 9);
	}
	assert_int_equal(position_parse(STR("1/0/1/2\0 x"), &pos), -1);
	assert_int_equal(position_parse((struct str){ "1/0/1/23", 7 }, &pos), 0);
	assert_int_equal(pos.row, 2);
	assert_int_equal(position_parse(STR("1/0/ab/2"), &pos), 0); /* small hex digits are taken */
	assert_int_equal(pos.offset, 0xab);
}

static void a_checkpoint_is_a_value(void **state)
{
	char resume[] = "{\"lsn\":1}", stopped[] = "{}";
	struct checkpoint from = { { 1, 0, 2, 3 }, resume, NULL, stopped };
	AUTO(checkpoint) struct checkpoint to = { 0 };

	(void)state;
	checkpoint_copy(&to, &from);
	resume[0] = 'x';
	assert_string_equal(to.resume, "{\"lsn\":1}");
	assert_null(to.snapshot);
	assert_string_equal(to.stopped, "{}");
	assert_int_equal(to.pos.offset, 2);
	from = (struct checkpoint){ .snapshot = resume };
	checkpoint_copy(&to, &from);
	assert_null(to.resume);
	assert_string_equal(to.snapshot, resume);
	checkpoint_copy(&to, &to); /* of itself */
	assert_string_equal(to.snapshot, resume);
	checkpoint_release(&to);
	assert_null(to.snapshot);
	assert_int_equal(to.pos.offset, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_are_ordered_by_field),
		cmocka_unit_test(a_transaction_is_all_but_the_row),
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(what_is_not_a_position),
		cmocka_unit_test(a_checkpoint_is_a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
