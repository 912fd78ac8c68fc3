"""The postgres sink: a copy in another database that equals the source by value, exactly once.

The truth is the text of both servers' own output functions, row by row.
"""
import os
import signal
import time
from collections import Counter

import psycopg
import pytest

from tests.integration.test_types import ARRAYS, ODD, ROWS, SCHEMA, insert
from tests.lib import judge, mysql_cases, normal, workload
from tests.lib.agent import wait_for

SERIAL = iter(range(1, 1000))


class Copy:
    """A source database, a target database beside it, and an agent between them."""

    def __init__(self, db, agent, target):
        self.db, self.agent, self.target = db, agent, target

    def carry(self, *statements, code=0):
        for s in statements:
            self.db.sql(s)
        return self.agent.until_idle(code=code)

    def rows(self, table, columns="*"):
        """Sorted by the first column; none while there is no such table."""
        try:
            return sorted(self.target.sql(f"select {columns} from {table}"), key=lambda r: (r[0] is None, r[0]))
        except psycopg.errors.UndefinedTable:
            return []

    def same(self, *tables):
        for t in tables:
            names = [c.name for c in normal.columns(self.db.conn, t)]
            select = ", ".join(f'"{n}"' for n in names)
            want, have = (Counter(copy_rows(d.conn, select, t)) for d in (self.db, self.target))
            assert have == want, f"{t}: missing {list(want - have)[:3]}, only there {list(have - want)[:3]}"


def copy_rows(conn, select, table):
    with conn.transaction():
        for s in normal.PINNED:
            conn.execute(s.replace("set ", "set local ", 1))
        with conn.cursor().copy(f"copy (select {select} from {table}) to stdout") as copy:
            return [tuple(r) for r in copy.rows()]


@pytest.fixture
def copying(db, server, make_agent):
    """copying(script, sections=..., **settings of the sink): tables made, the first start done."""
    targets = []

    def make(script="", tables="public.*", begin=True, user="postgres", sections=None, target=None, **settings):
        db.script(script)
        if target is None:
            target = server.database(f"copy{os.getpid()}_{next(SERIAL)}")
            targets.append(target)
        sink = {"type": "postgres", "url": target.url(user=user), **settings}
        agent = make_agent(db, tables=tables, sinks={"copy": sink}, **(sections or {}))
        c = Copy(db, agent, target)
        if begin:
            agent.until_idle()
        return c
    yield make
    for t in targets:
        t.close()
        with server.connect() as c:
            c.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (t.name,))
            c.execute(f'drop database if exists "{t.name}"')


# --- values

def test_every_type_reads_back_the_same(copying, db, major):
    """EDGE 29, EDGE 31, EDGE 34, EDGE 38: also what Avro cannot hold: infinity, BC, NaN, 24:00:00."""
    c = copying(SCHEMA)
    for key, row in enumerate(ROWS + ODD):
        insert(db, "t", key, row)
    if major >= 14:
        db.sql("insert into t (id, n) values (100, 'Infinity'), (101, '-Infinity')")
    c.carry()
    c.same("t")
    types = dict(c.target.sql("select attname, format_type(atttypid, atttypmod) from pg_attribute"
                              " where attrelid = 't'::regclass and attnum > 0"))
    assert types["np"] == "numeric(12,3)" and types["tsz"] == "timestamp with time zone"
    assert types["u"] == "uuid" and types["jb"] == "jsonb" and types["i4r"] == "int4range"
    assert types["c"] == "character(6)" and types["e"] == "text" and types["sc"] == "character varying(8)"
    db.sql("update t set tx = 'again', ts = 'infinity', np = 'NaN' where id in (1, 2)")
    db.sql("delete from t where id = 3")
    c.carry()
    c.same("t")


def test_arrays_read_back_the_same(copying, db):
    """EDGE 35: NULL and 'NULL', quotes, several dimensions, other bounds, box[]."""
    c = copying(ARRAYS)
    db.sql(r"""insert into t (id, i, tx, n, np, d, ts, by, e, bx, j) values
        (1, '{1,NULL,-3}', '{a,"NULL",NULL,"","x,y","q\"uote","back\\slash","{}"," sp "}', '{1.50,NaN,NULL}',
         '{1.50,-2}', '{2026-01-02,infinity}', '{"2026-01-02 03:04:05.6+00"}', '{"\\x00ff",""}', '{red,"dark blue"}',
         '{(2,2),(1,1);(4,4),(3,3)}', array['{"a": [1, 2]}'::jsonb, 'null'::jsonb]),
        (2, '{{1,2},{3,4}}', '{{a},{b}}', '{}', null, null, null, null, '{}', null, null),
        (3, '[2:4]={7,8,9}', null, null, null, null, null, null, null, null, null)""")
    c.carry()
    c.same("t")


def sqlite_shape(kind, text):
    """The text of a value at the PostgreSQL target as the sqlite sink stores the same value."""
    if text is None:
        return None
    if kind == "boolean":
        return int(text == "t")
    if kind in ("smallint", "integer", "bigint"):
        return int(text)
    if kind in ("real", "double precision"):
        return float(text) + 0.0
    if kind == "bytea":
        return bytes.fromhex(text[2:])
    if kind.startswith(("time", "timestamp")):
        bare = text.removesuffix("+00")
        return normal.fraction(bare) + ("+00:00" if bare != text else "")
    return text


def sqlite_plain(value):
    """SQLite stores -0.0 as 0; PostgreSQL's text holds no NUL, which becomes NULL."""
    if isinstance(value, str) and "\0" in value:
        return None
    return value + 0.0 if isinstance(value, float) else value


def test_types_of_mysql(mydb, server, major, make_agent):
    """EDGE 59, EDGE 61, EDGE 64, EDGE 66: what MySQL and MariaDB hold reads back as the sqlite copy has it."""
    target = server.database(f"copy{os.getpid()}_{next(SERIAL)}")
    agent = make_agent(mydb, tables=f"{mydb.name}.*", sinks={
        "copy": {"type": "sqlite", "path": mydb.name, "unrepresentable": "null"},
        "pg": {"type": "postgres", "url": target.url(), "schema": "erp"}})
    agent.sinks["copy"]["path"] = agent.folder / "copy.db"
    agent.write_config()
    mydb.script("create table first_one (id int primary key)")
    agent.until_idle()
    next(c for c in mysql_cases.CASES if c.name == "types").run(mydb)
    agent.until_idle()
    tables = [r[0] for r in target.sql("select relname from pg_class where relnamespace = 'erp'::regnamespace and"
                                       " relkind = 'r' and relname <> 'tailrace_checkpoint' order by 1")]
    compared = 0
    for t in tables:
        kinds = target.sql("select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass"
                           " and attnum > 0 order by attnum", (f'erp."{t}"',))
        names = [n for n, _ in kinds]
        have = Counter(tuple(map(repr, (sqlite_shape(k, v) for (_, k), v in zip(kinds, row))))
                       for row in copy_rows(target.conn, ", ".join(f'"{n}"' for n in names), f'erp."{t}"'))
        want = Counter(tuple(repr(sqlite_plain(v)) for v in row) for row in judge.sqlite_rows(agent.copy, t, names))
        compared += sum(want.values())
        assert have == want, f"{t}: missing {list(want - have)[:2]}, only there {list(have - want)[:2]}"
    assert compared > 5
    target.close()


@pytest.mark.parametrize("policy", ("null", "text", "reject"))
def test_dates_that_no_calendar_has(mydb, server, major, make_agent, policy):
    """EDGE 65: MySQL's zero dates by policy."""
    target = server.database(f"copy{os.getpid()}_{next(SERIAL)}")
    mydb.script("create table t (id int primary key, d datetime, s varchar(20))")
    agent = make_agent(mydb, tables=f"{mydb.name}.*", sinks={
        "pg": {"type": "postgres", "url": target.url(), "schema": "erp", "unrepresentable": policy}})
    agent.until_idle()
    mydb.script("set sql_mode = ''", "insert into t values (1, '2026-01-02 03:04:05', 'a'), (2, '0000-00-00', 'b')",
                "update t set s = 'c'", "insert into t values (3, null, 'd')")
    log = agent.until_idle(code=policy == "reject")
    if policy == "reject":
        assert "unrepresentable" in log
    else:
        more = ", d_text" if policy == "text" else ""
        rows = target.sql(f"select id, d::text, s{more} from erp.t order by id")
        text = ((None,), ("0000-00-00 00:00:00",), (None,)) if more else ((), (), ())
        assert rows == [(1, "2026-01-02 03:04:05", "c", *text[0]), (2, None, "c", *text[1]), (3, None, "d", *text[2])]
    target.close()


def test_numbers_of_many_digits(copying, db):
    """EDGE 29: decimals beyond 64 bits, and every place of the point among the groups of four."""
    c = copying("create table t (id serial primary key, a numeric(1000,500), b numeric(38,0), c numeric(20,7), n numeric)")
    c.carry("insert into t (a, b, c, n) values (('1' || repeat('0', 498) || '.' || repeat('7', 500))::numeric, repeat('9', 38)::numeric,"
            " -1234567890123.1234567, repeat('9', 5000)::numeric), (-0.5, -1, 0.0000001, 1e-100), (0, 0, 0, 0)",
            "insert into t (c, a, b) select s * 10.0::numeric ^ e, s * 10.0::numeric ^ e, s * 10.0::numeric ^ (e + 7)"
            " from generate_series(-7, 12) e, (values (1), (-1), (9), (1.5)) v(s)")
    c.same("t")


# --- changes

def test_changes_to_one_key_and_moved_keys(copying, db):
    """EDGE 5: inserts, updates, deletes and moves of a key in one batch leave what the source has."""
    c = copying("create table t (id int primary key, s text, n numeric(9,2))")
    c.carry("insert into t select g, 'row ' || g, g from generate_series(1, 200) g",
            "update t set s = 'twice', n = n + 1 where id % 3 = 0", "delete from t where id % 7 = 0",
            "insert into t values (7, 'again', 7)", "update t set id = id + 1000 where id between 20 and 40",
            "update t set id = 25 where id = 1025", "update t set id = 2025, s = 'moved on' where id = 25",
            "delete from t where id = 1030")
    c.same("t")
    c.carry("update t set n = -id", "delete from t where id = 7; insert into t values (7, 'third', 0)",
            "begin; update t set id = -1 where id = 1; update t set id = 1 where id = 2;"
            " update t set id = 2 where id = -1; commit")
    c.same("t")


def test_keys_that_need_not_hold_at_all_times(copying, db):
    """EDGE 6: a deferrable key is shifted and swapped; small and larger than what is sent at once."""
    c = copying("create table t (id int primary key deferrable initially deferred, s text);"
                "alter table t replica identity full;"
                "create table big (id int primary key deferrable, s text, pad text);"
                "alter table big replica identity full")
    c.carry("insert into t select g, 's' || g from generate_series(1, 50) g",
            "insert into big select g, 's' || g, repeat('x', 100) from generate_series(1, 6000) g")
    c.carry("update t set id = id + 1", "update big set id = id + 1",
            "begin; update t set id = 3 where s = 's5'; update t set id = 6 where s = 's2'; commit")
    c.same("t", "big")


@pytest.mark.since(11)
@pytest.mark.parametrize("user", ("postgres", "plain"))
def test_foreign_keys_and_unique_columns_of_the_target(copying, db, server, user):
    """Constraints that somebody made at the target hold: with the right to, they are not looked at; otherwise the order is kept."""
    script = ("create table p (id int primary key, u int unique deferrable);"
              "create table k (id int primary key, p int)")
    with server.connect() as s:
        if user == "plain" and not s.execute("select 1 from pg_roles where rolname = 'plain'").fetchone():
            s.execute("create role plain login")
    c = copying(script, begin=False, user=user)
    c.target.script("create table p (id int primary key, u int unique);"
                    "create table k (id int primary key, p int references p)")
    if user == "plain":
        c.target.script("grant all on schema public to plain; alter table p owner to plain; alter table k owner to plain")
    c.agent.until_idle()
    for i in range(1, 40):
        db.sql(f"insert into p values ({i}, {i}); insert into k values ({i}, {i})")
    db.sql("begin; update p set u = 100 where id = 1; update p set u = 1 where id = 2; update p set u = 2 where id = 1; commit")
    db.sql("delete from k where id = 5; delete from p where id = 5; insert into p values (5, 500); insert into k values (5, 5)")
    c.carry("truncate k, p", "insert into p values (1, 1); insert into k values (1, 1)")
    c.same("p", "k")


def test_absent_columns_are_left_alone(copying, db):
    """EDGE 1: unchanged TOAST is never overwritten, also where the row was written in the same batch or moves."""
    c = copying("create table t (id int primary key, big text, n int)")
    db.sql("insert into t values (1, %s, 1), (2, %s, 2), (3, %s, 3)", (workload.LONG, workload.LONG + "2", workload.LONG + "3"))
    c.carry("update t set n = 10 where id = 1")
    c.carry("update t set n = n + 1", "update t set n = n + 1 where id = 2", "update t set id = 30 where id = 3",
            "update t set n = 7 where id = 30")
    c.same("t")
    c.target.sql("delete from t where id = 2")
    log = c.carry("update t set n = 99 where id = 2")     # mode = never: nobody says that the row must be there
    assert "updates without all columns skipped" in log
    assert c.rows("t", "id") == [(1,), (30,)]


def test_tables_without_a_key(copying, db):
    """EDGE 8, EDGE 9: one row for each event, whatever its types; NULL meets NULL, 0 is not -0."""
    c = copying("create table t (a int, j json, f float8, n numeric, p point); alter table t replica identity full")
    c.carry("insert into t values (1, '{\"a\":1}', 0, 1.0, '(1,2)'), (1, '{\"a\":1}', 0, 1.0, '(1,2)'),"
            " (1, '{\"a\": 1}', '-0', 1.00, '(1,2)'), (null, null, null, null, null), (null, null, 'NaN', null, null)")
    c.carry("delete from t where ctid = (select min(ctid) from t where a = 1)", "update t set n = 5 where n::text = '1.00'",
            "update t set a = 2 where a is null and f is null", "delete from t where f = 'NaN'", "insert into t values (3)")
    c.same("t")


def test_tables_without_a_key_in_partitions(copying, db):
    """A target that somebody partitioned: a row's place there is not unique."""
    c = copying("create table t (a int, s text); alter table t replica identity full", begin=False)
    c.target.script("create table t (a int, s text) partition by list (a);"
                    "create table t1 partition of t for values in (1); create table t2 partition of t for values in (2)")
    c.agent.until_idle()
    c.carry("insert into t values (1, 'x'), (2, 'y'), (2, 'z')", "delete from t where s = 'x'", "update t set s = 'Y' where s = 'y'")
    c.same("t")


def test_rows_that_are_there_already(copying, db):
    """New rows of the source meet rows of the same keys: overwritten, at once or among many."""
    c = copying("create table t (id int primary key, s text)")
    c.carry("insert into t select g, 'old' from generate_series(1, 500) g")
    c.target.sql("update t set s = 'changed', id = id + 500")
    c.carry("insert into t select g, 'new' from generate_series(501, 1500) g", "insert into t values (0, 'new')")
    assert c.target.sql("select s, count(*) from t group by s") == [("new", 1001)]


@pytest.mark.since(12)
def test_columns_that_the_target_makes_itself(copying, db):
    """EDGE 25: generated and identity columns of the target; generated ones are never written to."""
    c = copying("create table t (id int primary key, a int, g int generated always as (a * 2) stored)", begin=False)
    c.target.script("create table t (id int generated always as identity primary key, a int, g int generated always as (a * 3) stored,"
                    " h int generated always as (a) stored)")
    c.agent.until_idle()
    c.carry("insert into t values (7, 1)", "update t set a = 2", "insert into t values (8, 5)")
    assert c.rows("t") == [(7, 2, 6, 2), (8, 5, 15, 5)]


@pytest.mark.since(11)
def test_truncate(copying, db):
    """EDGE 21: in its place among the changes; ignored where that is asked for."""
    c = copying("create table t (id int primary key); create table u (id int primary key)")
    c.carry("insert into t values (1), (2)", "insert into u values (1)", "truncate t, u", "insert into t values (2), (3)")
    c.same("t", "u")


def test_truncates_ignored(copying, db):
    c = copying("create table t (id int primary key)", truncates="ignore")
    c.carry("insert into t values (1)", "truncate t", "insert into t values (2)")
    assert c.rows("t") == [(1,), (2,)]


@pytest.mark.since(11)
def test_soft_deletes(copying, db):
    c = copying("create table t (id int primary key, s text); create table n (a int); alter table n replica identity full",
                deletes="soft")
    c.carry("insert into t values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')", "delete from t where id = 4", "insert into n values (1), (1)")
    c.carry("delete from t where id in (1, 2)", "insert into t values (2, 'back')", "delete from n where ctid = '(0,1)'")
    assert c.rows("t", "id, s, _deleted_at is null") == [(1, "a", False), (2, "back", True), (3, "c", True), (4, "d", False)]
    assert c.rows("n", "_deleted_at is null, a") == [(False, 1), (True, 1)]
    c.carry("truncate t")
    assert c.target.sql("select count(*) from t where _deleted_at is null") == [(0,)]


def test_deletes_ignored(copying, db):
    c = copying("create table t (id int primary key, s text)", deletes="ignore")
    c.carry("insert into t values (1, 'a'), (2, 'b')", "delete from t", "insert into t values (2, 'c')")
    assert c.rows("t") == [(1, "a"), (2, "c")]


def test_history(copying, db):
    """Every version of a row with the time from which, and until which, it was so."""
    c = copying("create table t (id int primary key, s text, big text)", history="on")
    db.sql("insert into t values (1, 'a', %s)", (workload.LONG,))
    c.carry("update t set s = 'b' where id = 1", "insert into t values (2, 'x', null)", "update t set s = 'y' where id = 2")
    c.carry("update t set s = 'c' where id = 1", "delete from t where id = 2", "update t set id = 3 where id = 1")
    rows = c.target.sql("select id, s, big is not null, _valid_from, _valid_to from t order by _valid_from, id")
    assert [r[:3] for r in rows] == [(1, "a", True), (1, "b", True), (2, "x", False), (2, "y", False), (1, "c", True), (3, "c", True)]
    by_key = {}
    for key, *_, since, until in rows:
        by_key.setdefault(key, []).append((since, until))
    for versions in by_key.values():
        for (_, until), (since, _) in zip(versions, versions[1:]):
            assert until == since
    assert by_key[3][-1][1] is None and by_key[1][-1][1] is not None and by_key[2][-1][1] is not None


# --- the table changes

def test_columns_are_added_while_streaming(copying, db):
    """EDGE 12: old and new rows of one transaction; what the source drops stays."""
    c = copying("create table t (id int primary key, a text)")
    with db.conn.transaction():
        db.sql("insert into t values (1, 'one')")
        db.sql("alter table t add column b int, add column c timestamptz")
        db.sql("insert into t values (2, 'two', 2, now())")
        db.sql("alter table t drop column a")
        db.sql("insert into t values (3, 3, null)")
    c.carry()
    assert c.rows("t", "id, a, b") == [(1, "one", None), (2, "two", 2), (3, None, 3)]


def test_columns_are_followed(copying, db):
    """EDGE 16: dropped columns go, types widen, a renamed column keeps its values."""
    c = copying("create table t (id int primary key, a varchar(5), gone int, n numeric(6,2), z int)", evolve="follow")
    c.carry("insert into t values (1, 'one', 1, 1.50, 1)", "alter table t drop column gone", "insert into t values (2, 'two', 2.50, 2)",
            "alter table t rename a to b", "alter table t alter b type varchar(20), alter n type numeric(12,4), alter id type bigint",
            "insert into t values (3000000000, 'a long one', 3.1234, 3)")
    c.same("t")
    assert c.target.sql("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'gone'") == [(0,)]


@pytest.mark.parametrize("evolve,change,cure", (
    ("none", "alter table t add column b int", 'ALTER TABLE "public"."t" ADD COLUMN "b" integer'),
    ("add", "alter table t alter a type bigint", 'ALTER TABLE "public"."t" ALTER COLUMN "a" TYPE bigint USING "a"::bigint'),
    ("add", "alter table t rename a to b", 'ALTER TABLE "public"."t" RENAME COLUMN "a" TO "b"')))
def test_a_change_that_is_not_followed_stops_the_table_alone(copying, db, evolve, change, cure):
    """The message has the SQL that cures it; then it goes on with nothing lost."""
    c = copying("create table t (id int primary key, a int, z int); create table u (id int primary key)", evolve=evolve)
    log = c.carry("insert into t values (1, 1)", change, "insert into t values (2, 2)", "insert into u values (1)", code=1)
    assert cure.replace('"', '\\"') in log or cure in log
    assert c.rows("u") == [(1,)] and len(c.rows("t")) == 1
    c.target.sql(cure)
    c.carry()
    c.same("t", "u")


def test_a_column_dropped_at_the_target_comes_back(copying, db):
    c = copying("create table t (id int primary key, a int)")
    c.carry("insert into t values (1, 1)")
    c.agent.start()
    db.sql("insert into t values (2, 2)")
    wait_for(lambda: len(c.rows("t")) == 2, 30, "the second row")
    c.target.sql("alter table t drop column a")
    db.sql("insert into t values (3, 3)")
    wait_for(lambda: c.rows("t", "id, to_jsonb(t)->>'a'")[-1:] == [(3, "3")], 30, "the third row")
    c.agent.stop()


# --- what the target refuses

def test_a_refused_row_stops_its_table(copying, db):
    """on_error = stop: everything before it is there, other tables go on; cured, it goes on from there."""
    c = copying("create table t (id int primary key, n int); create table u (id int primary key)")
    c.carry("insert into t values (0, 0)")
    c.target.sql("alter table t add constraint small check (n < 100)")
    db.sql("begin; insert into t select g, g from generate_series(1, 50) g; insert into u values (1); commit")
    for n in (60, 600, 61):
        db.sql(f"insert into t values ({n}, {n})")
    log = c.carry("insert into u values (2)", code=1)
    assert "small" in log and "public.t" in log
    assert len(c.rows("t")) == 52 and c.rows("u") == [(1,), (2,)]
    c.target.sql("alter table t drop constraint small")
    c.carry()
    c.same("t", "u")


def test_existing_tables_with_other_types(copying, db):
    """A table that somebody made takes what fits, cast as it needs; what it cannot hold is refused, never cut."""
    c = copying("create table t (id int primary key, n numeric(8,2), d date, s text, j jsonb, b boolean)", begin=False)
    c.target.script("create table t (b text, id bigint primary key, s text, n numeric, extra int default 7, d text, j text)")
    c.agent.until_idle()
    c.carry("insert into t values (1, 1.50, '2026-01-02', 'x', '{\"a\": 1}', true)", "insert into t values (2, null, 'infinity', null, null, null)")
    assert c.rows("t", "id, n::text, d, j, b, extra") == [(1, "1.50", "2026-01-02", '{"a": 1}', "t", 7), (2, None, "infinity", None, None, 7)]
    c.target.sql("drop table t")
    c.target.sql("create table t (id bigint primary key, n numeric(8,1))")
    log = c.carry("insert into t values (3, 1.25, null, null, null, null)", code=1)
    assert "too narrow for numeric(8,2)" in log


def test_wrong_password_and_read_only(copying, db, server):
    c = copying("create table t (id int primary key)")
    with server.connect() as s:
        s.execute("do $$ begin create role nobody_here login; exception when duplicate_object then end $$")
        s.execute(f"revoke all on database {c.target.name} from public")
    c.target.sql("revoke all on schema public from public")
    c.agent.sinks["copy"]["url"] = c.target.url(user="nobody_here")
    c.agent.write_config()
    assert "permission denied" in c.carry("insert into t values (1)", code=1)
    done = c.agent("check", check=False)
    assert "sink_" in done.stdout
    c.agent.sinks["copy"]["url"] = c.target.url()
    c.agent.write_config()
    c.carry()
    c.same("t")


# --- rows that are there already

def test_loading_under_load(copying, db):
    """The first load and a second one, while rows change and keys move: upserts, absent columns, nothing left over."""
    db.script(workload.SCHEMA + "; alter table stock replica identity full")
    before = workload.Workload(workload.connector(db), writers=3, transactions=150).start()
    before.join()
    c = copying(begin=False, sections={"snapshot": {"mode": "initial", "chunk_rows": "100"}})
    load = workload.Workload(workload.connector(db), writers=3, seed=2, pause=0.002).start()
    c.agent.start()
    time.sleep(2)
    c.agent("snapshot", "start", "public.orders", "public.stock_moves")
    time.sleep(2)
    load.stop()
    c.agent.stop()
    c.agent.until_idle()
    c.same(*workload.TABLES)


# --- crashes and fences

def test_workload_with_kills(copying, db):
    """kill -9 of the agent at random under load: the copy equals the source."""
    c = copying(workload.SCHEMA)
    load = workload.Workload(workload.connector(db), writers=3, pause=0.002).start()
    for n in range(5):
        c.agent.start(wait=n % 2 == 0)
        time.sleep(0.3 + 0.2 * n)
        c.agent.kill()
    load.stop()
    c.agent.until_idle()
    c.same(*workload.TABLES)


def test_target_goes_away_and_comes_back(copying, db, own_server):
    server = own_server()
    c = copying("create table t (id int primary key)", target=server.database("copy"))
    c.agent.start()
    db.sql("insert into t values (1)")
    wait_for(lambda: c.rows("t") == [(1,)], 30, "the first row")
    server.kill()
    db.sql("insert into t values (2)")
    time.sleep(0.5)
    server.start()
    wait_for(lambda: c.rows("t") == [(1,), (2,)], 60, "the second row")
    c.agent.stop()


def test_fence_keeps_a_zombie_out(copying, db, make_agent):
    """A stopped instance that wakes after another took over cannot write, and ends with exit code 4."""
    c = copying("create table t (id int primary key)")
    c.agent.start()
    db.sql("insert into t values (1)")
    wait_for(lambda: c.rows("t") == [(1,)], 30, "the first row")
    c.agent.process.send_signal(signal.SIGSTOP)
    other = make_agent(db, folder="other", tables="public.*", sinks=c.agent.sinks)
    other.start()
    db.sql("insert into t values (2)")
    wait_for(lambda: c.rows("t") == [(1,), (2,)], 60, "the second row")
    c.agent.process.send_signal(signal.SIGCONT)
    assert c.agent.wait_exit() == 4
    other.stop()
    assert c.target.one("select fence from tailrace_checkpoint") == 3
