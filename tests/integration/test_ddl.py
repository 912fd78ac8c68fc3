"""Tables whose definition changes under the agent, also in the middle of a transaction."""
import pytest


@pytest.mark.versions(10, 18)
def test_columns_come_and_go_inside_a_transaction(pipeline, db):
    """EDGE 12: rows before the change keep the old schema, rows after it have the new one."""
    p = pipeline("create table t (id int primary key, a text)")
    with db.conn.transaction():
        db.sql("insert into t values (1, 'one')")
        db.sql("alter table t add column b int")
        db.sql("insert into t values (2, 'two', 2)")
        db.sql("alter table t drop column a")
        db.sql("insert into t values (3, 3)")
    p.carry()
    recs = p.records("public.t")
    assert [sorted(r["after"]) for r in recs] == [["a", "id"], ["a", "b", "id"], ["b", "id"]]
    assert len(p.lake.folders("public.t")) == 3
    assert p.sqlite("select id, a, b from t order by id") == [(1, "one", None), (2, "two", 2), (3, None, 3)]


@pytest.mark.versions(10, 18)
def test_dropped_and_added_again_with_another_type(pipeline, db):
    """EDGE 13: same name, other type, other place, in one transaction."""
    p = pipeline("create table t (id int primary key, v int, w text)")
    with db.conn.transaction():
        db.sql("insert into t values (1, 5, 'w')")
        db.sql("alter table t drop column v")
        db.sql("alter table t add column v text")
        db.sql("insert into t values (2, 'w2', 'text now')")
    p.carry()
    first, second = p.records("public.t")
    assert first["after"] == {"id": 1, "v": 5, "w": "w"}
    assert second["after"] == {"id": 2, "w": "w2", "v": "text now"}


@pytest.mark.versions(10, 18)
def test_added_with_a_default(pipeline, db):
    """EDGE 14: old rows give no events; an update shows the value."""
    p = pipeline("create table t (id int primary key, a int)")
    p.carry("insert into t values (1, 1), (2, 2)", "alter table t add column c text default 'dflt'",
            "update t set a = 10 where id = 1", "insert into t (id) values (3)")
    assert p.ops("public.t") == "ccuc"
    assert p.sqlite("select id, a, c from t order by id") == [(1, 10, "dflt"), (2, 2, None), (3, None, "dflt")]


def test_type_change_says_that_the_copy_is_stale(pipeline, db):
    """EDGE 15: a rewrite changes values without a single event: said loudly, never in silence."""
    p = pipeline("create table t (id int primary key, v int, x text)")
    p.carry("insert into t values (1, 41), (2, 42)")
    log = p.carry("alter table t alter v type text using 'v' || v", "insert into t values (3, 'new', 'x')")
    assert "needs a re-load" in log and "from=integer to=text" in log
    assert p.records("public.t")[-1]["after"]["v"] == "new"


@pytest.mark.versions(10, 18)
def test_renamed_column(pipeline, db):
    """EDGE 16: a renamed column is another column from there on."""
    p = pipeline("create table t (id int primary key, a int)")
    p.carry("insert into t values (1, 1)", "alter table t rename a to b", "insert into t values (2, 2)")
    assert [r["after"] for r in p.records("public.t")] == [{"id": 1, "a": 1}, {"id": 2, "b": 2}]


@pytest.mark.versions(10, 18)
def test_renamed_table(pipeline, db, tmp_path):
    """EDGE 16: the relation stays published under its new name; nothing is lost."""
    p = pipeline("create table t (id int primary key, a int); create schema other", tables="*",
                 sinks={"lake": {"type": "files", "path": tmp_path / "lake"}})
    p.carry("insert into t values (1, 1)")
    p.carry("alter table t rename to t2", "insert into t2 values (2, 2)", "alter table t2 set schema other",
            "insert into other.t2 values (3, 3)")
    got = [r["after"]["id"] for name in p.lake.tables() for r in p.records(name)]
    assert sorted(got) == [1, 2, 3]


@pytest.mark.versions(10, 18)
def test_dropped_and_created_with_the_same_name(pipeline, db):
    """EDGE 17: the new table's columns are used, not the old one's."""
    p = pipeline("create table t (id int primary key, a int)")
    p.carry("insert into t values (1, 1)")
    db.sql("drop table t")
    db.sql("create table t (name text, id bigint primary key, extra bytea)")
    p.carry()       # takes the new table up
    p.carry("insert into t values ('x', 5000000000, '\\x01')")
    assert p.records("public.t")[-1]["after"] == {"name": "x", "id": 5000000000, "extra": b"\x01"}


@pytest.mark.versions(10, 18)
def test_enum_and_composite_change_while_rows_come(pipeline, db):
    """EDGE 18: a label and a field that the agent has not seen before."""
    p = pipeline("create type mood as enum ('a', 'b'); create type pair as (x int);"
                 " create table t (id int primary key, m mood, ms mood[], p pair)")
    p.carry("insert into t values (1, 'a', '{a}', row(1))")
    db.sql("alter type mood add value 'brand new'")
    if db.server.major >= 10:
        db.sql("alter type mood rename value 'b' to 'B'")
    db.sql("alter type pair add attribute y text")
    p.carry("insert into t values (2, 'brand new', '{B,\"brand new\"}', row(2, 'two'))")
    last = p.records("public.t")[-1]["after"]
    assert (last["m"], last["ms"], last["p"]) == ("brand new", ["B", "brand new"], "(2,two)")


def test_maintenance_gives_no_events(pipeline, db):
    """EDGE 20: CLUSTER, VACUUM FULL, REINDEX, materialized views, temporary and unlogged tables."""
    p = pipeline("create table t (id int primary key, a int); create materialized view mv as select * from t")
    db.sql("insert into t values (1, 1), (2, 2)")
    for s in ("cluster t using t_pkey", "vacuum full t", "reindex table concurrently t" if db.server.major >= 12 else "reindex table t",
              "refresh materialized view mv", "create temp table tmp (id int primary key)",
              "insert into tmp values (1)", "analyze t"):
        db.sql(s)
    p.carry("insert into t values (3, 3)")
    assert p.ops("public.t") == "ccc"
    p.same("t")
    assert p.lake.tables() == ["public.t"]


def test_unlogged_tables_are_named(pipeline, db):
    """EDGE 20: an unlogged table cannot be published; it is left out by name and the rest goes on."""
    p = pipeline("create table t (id int primary key); create unlogged table u (id int primary key)", begin=False)
    log = p.agent.until_idle()
    assert "public.u" in log and "unlogged" in log.lower()
    p.carry("insert into u values (1)", "insert into t values (1)")
    p.same("t")


@pytest.mark.versions(10, 18)
def test_new_table_is_taken_up_at_start(pipeline, db):
    """EDGE 19: a table that matches and came later is taken up at the next start, from then on."""
    p = pipeline("create table t (id int primary key)")
    db.sql("create table later (id int primary key, s text)")
    p.carry("insert into t values (1)")
    p.carry("insert into later values (1, 'x')", "update later set s = 'y'")
    p.same("t", "later")


def test_new_table_is_taken_up_on_sighup(pipeline, db):
    """EDGE 19: and on SIGHUP, without a restart."""
    import signal

    from tests.lib.agent import wait_for
    p = pipeline("create table t (id int primary key)")
    p.agent.start()
    db.sql("create table later (id int primary key, s text)")
    p.agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: db.sql("select 1 from pg_publication_tables where tablename = 'later'"),
             20, "the new table in the publication")
    db.sql("insert into later values (1, 'x')")
    p.agent.stop()
    p.agent.until_idle()
    p.same("later")


def test_ddl_in_a_rolled_back_transaction_leaves_no_trace(pipeline, db):
    """EDGE 50: a definition of an aborted subtransaction is not used for what follows."""
    p = pipeline("create table t (id int primary key, a int)")
    with db.conn.transaction():
        db.sql("insert into t values (1, 1)")
        db.sql("savepoint s")
        db.sql("alter table t add column gone text")
        db.sql("insert into t values (2, 2, 'gone')")
        db.sql("rollback to savepoint s")
        db.sql("insert into t values (3, 3)")
    p.carry()
    assert [r["after"] for r in p.records("public.t")] == [{"id": 1, "a": 1}, {"id": 3, "a": 3}]
    p.same("t")


def test_sixteen_hundred_columns(pipeline, db):
    """EDGE 40: the widest table there can be."""
    names = ", ".join(f"c{i} int" for i in range(1, 1600))
    p = pipeline(f"create table t (id int primary key, {names})")
    p.carry("insert into t (id, c1, c1599) values (1, 11, 1599)", "update t set c800 = 800")
    p.same("t")
    after = p.records("public.t")[-1]["after"]
    assert len(after) == 1600 and (after["c1"], after["c800"], after["c1599"]) == (11, 800, 1599)


def test_names_that_must_be_quoted(pipeline, db):
    """EDGE 40: upper case, blanks, quotes, dots, emoji, 63 bytes, SQL words."""
    long = "x" * 63
    p = pipeline('create table "Order" (id int primary key, "select" int, "a.b" text, "q""uote" text, "Ünï ✓" text);'
                 f' create table {long} ({long} int primary key); create schema "My Schema";'
                 ' create table "My Schema"."T-1" ("ID" int primary key, "it\'s" int)', tables="*.*")
    p.carry('insert into "Order" values (1, 2, \'ab\', \'q\', \'u\')', f"insert into {long} values (5)",
            'insert into "My Schema"."T-1" values (1, 2)', 'update "My Schema"."T-1" set "it\'s" = 3')
    assert p.sqlite('select id, "select", "a.b", "q""uote", "Ünï ✓" from "Order"') == [(1, 2, "ab", "q", "u")]
    assert p.sqlite(f"select * from {long}") == [(5,)]
    assert p.sqlite('select "ID", "it\'s" from "T-1"') == [(1, 3)]
    assert len(p.lake.tables()) == 3


def test_columns_whose_names_would_meet(pipeline, db):
    """EDGE 40: two names that become one in Avro are an error at the start, by name."""
    p = pipeline('create table t (id int primary key, "a-b" int, "a_b" int)', begin=False)
    log = p.agent.until_idle(code=2)
    assert "a-b" in log and "a_b" in log
