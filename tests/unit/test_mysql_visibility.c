/*
 * test_mysql_visibility.c - what a read of tables could see of the binary log, by place and by set
 */
#include "mysql_fixture.h"

#include "../../sources/mysql_visibility.h"

#define SERVER "3e11fa47-0000-0000-0000-000000000001"
#define OTHER  "3e11fa47-0000-0000-0000-000000000002"

static struct change begin_at(uint32_t file, uint64_t offset, const char *gtid)
{
	return (struct change){ .op = CHANGE_BEGIN,
				.pos = { 1, file, offset, 1 },
				.prefix = str_z(gtid) };
}

static const char *token(const char *server, const char *gtid, const char *file, uint64_t pos)
{
	static struct buf b;
	const struct mysql_resume r = { .server = (char *)(uintptr_t)server,
					.epoch = 1,
					.gtid = (char *)(uintptr_t)gtid,
					.file = (char *)(uintptr_t)file,
					.pos = pos };

	buf_clear(&b);
	mysql_resume_json(&r, &b);
	return buf_z(&b);
}

static struct visibility *by_place(void)
{
	struct visibility *v = xcalloc(1, sizeof *v);

	v->server = xstrdup(SERVER);
	v->file = 9;
	v->pos = 5000000000; /* beyond 4 GiB */
	return v;
}

static struct visibility *by_set(const char *seen, const char *all)
{
	struct visibility *v = by_place();
	struct error err;

	v->by_set = true;
	v->seen = gtid_set_parse(false, seen, &err);
	v->all = gtid_set_parse(false, all, &err);
	assert_non_null(v->seen);
	assert_non_null(v->all);
	return v;
}

static void a_place(void **state)
{
	(void)state;
	struct visibility *v = by_place();
	const struct {
		uint32_t file;
		uint64_t offset;
		bool seen;
	} cases[] = { { 8, 6000000000, true },
		      { 9, 4, true },
		      { 9, 4999999999, true },
		      { 9, 5000000000, false },
		      { 10, 4, false } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct change b = begin_at(cases[i].file, cases[i].offset, "0-1-7");

		assert_int_equal(mysql_sees(v, &b), cases[i].seen);
	}
	/* up to a place that is the read's own, all is visible, and all that is visible was passed */
	assert_true(mysql_sees_all(v, token(SERVER, "0-1-7", "binlog.000009", 5000000000)));
	assert_true(mysql_reached(v, token(SERVER, "0-1-7", "binlog.000009", 5000000000)));
	assert_true(mysql_sees_all(v, token(SERVER, NULL, "binlog.000008", 5000000001)));
	assert_false(mysql_reached(v, token(SERVER, NULL, "binlog.000008", 5000000001)));
	assert_false(mysql_sees_all(v, token(SERVER, NULL, "binlog.000010", 4)));
	assert_true(mysql_reached(v, token(SERVER, NULL, "binlog.000010", 4)));
	/* the log of another server: its places say nothing */
	assert_false(mysql_sees_all(v, token(OTHER, "0-1-7", "binlog.000001", 4)));
	assert_false(mysql_reached(v, token(OTHER, "0-1-7", "binlog.000010", 4)));
	assert_false(mysql_reached(v, "no token"));
	mysql_visibility_free(v);
}

static void a_set(void **state)
{
	(void)state;
	struct visibility *v = by_set(SERVER ":1-10", SERVER ":1-12");
	const struct change seen = begin_at(9, 77, SERVER ":10"),
			    late = begin_at(1, 4, SERVER ":11"), anonymous = begin_at(1, 4, ""),
			    other = begin_at(1, 4, OTHER ":1");

	assert_true(mysql_sees(v, &seen));
	assert_false(mysql_sees(v, &late)); /* wherever it stands */
	assert_false(mysql_sees(v, &anonymous));
	assert_false(mysql_sees(v, &other));
	assert_true(mysql_sees_all(v, token(SERVER, SERVER ":1-10", "binlog.000009", 1)));
	assert_false(mysql_sees_all(v, token(SERVER, SERVER ":1-11", "binlog.000001", 1)));
	assert_false(mysql_sees_all(v, token(SERVER, NULL, "binlog.000001", 1)));
	/* reached: by place on the same server, by the set of all on another */
	assert_false(mysql_reached(v, token(SERVER, SERVER ":1-12", "binlog.000009", 1)));
	assert_true(mysql_reached(v, token(SERVER, SERVER ":1-10", "binlog.000009", 5000000000)));
	assert_false(mysql_reached(v, token(OTHER, SERVER ":1-11", "binlog.000090", 1)));
	assert_true(mysql_reached(v, token(OTHER, SERVER ":1-12", "binlog.000001", 1)));
	mysql_visibility_free(v);
}

/* While an XA transaction waits, the place to begin from stays behind, and the place of reading goes on. */
static void a_token_that_waits(void **state)
{
	(void)state;
	struct visibility *v = by_place();
	char json[] = "{\"server\":\"" SERVER "\",\"epoch\":1,\"file\":\"binlog.000002\",\"pos\":4,"
		      "\"read_file\":\"binlog.000009\",\"read_pos\":5000000000}";
	struct mysql_resume r;
	AUTO(buf) struct buf again = { 0 };

	assert_true(mysql_reached(v, json));
	assert_true(mysql_sees_all(v, json));
	assert_true(mysql_resume_parse(json, &r));
	mysql_resume_json(&r, &again);
	assert_string_equal(buf_z(&again), json);
	mysql_resume_release(&r);
	mysql_visibility_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place),
		cmocka_unit_test(a_set),
		cmocka_unit_test(a_token_that_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
