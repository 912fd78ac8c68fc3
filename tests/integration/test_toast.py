"""A value that the log did not carry is absent: neither NULL nor empty, and a copy keeps what it has."""
import pytest

LONG = "select string_agg(md5(g::text), '') from generate_series(1, 400) g"    # 12800 characters


@pytest.mark.versions(10, 18)
def test_unchanged_toast_default_identity(pipeline, db):
    """EDGE 1: an update that leaves a TOAST value alone."""
    p = pipeline("create table t (id int primary key, big text, n int)")
    p.carry(f"insert into t values (1, ({LONG}), 0)", "update t set n = 1")
    p.same("t")
    update = p.records("public.t")[-1]
    assert update["op"] == "u" and update["absent"] == ["big"]
    assert update["after"] == {"id": 1, "big": None, "n": 1}
    p.carry("update t set big = null", "update t set n = 2")
    p.same("t")
    last = p.records("public.t")[-1]
    assert last["absent"] is None and last["after"]["big"] is None
    p.carry("update t set big = ''", "update t set n = 3")
    p.same("t")


def test_unchanged_toast_full_identity(pipeline, db):
    """EDGE 2: the complete old row fills the new one."""
    p = pipeline("create table t (id int primary key, big text, n int); alter table t replica identity full")
    p.carry(f"insert into t values (1, ({LONG}), 0)", "update t set n = 1")
    p.same("t")
    update = p.records("public.t")[-1]
    assert update["absent"] is None and update["absent_before"] is None
    assert update["after"]["big"] == update["before"]["big"] == db.one("select big from t")
    assert (update["before"]["n"], update["after"]["n"]) == (0, 1)


def test_unchanged_toast_index_identity(pipeline, db):
    """EDGE 3: an index as identity; the old key comes only when it changed."""
    p = pipeline("create table t (id int primary key, code text not null, big text, n int);"
                 " create unique index t_code on t (code); alter table t replica identity using index t_code")
    p.carry(f"insert into t values (1, 'a', ({LONG}), 0)", "update t set n = 1", "update t set code = 'b', n = 2",
            "delete from t")
    recs = p.records("public.t")
    assert recs[1]["op"] == "u" and recs[1]["absent"] == ["big"]
    assert [r["op"] for r in recs] == ["c", "u", "d", "c", "d"]
    assert recs[2]["before"]["code"] == "a" and recs[3]["after"]["code"] == "b"
    assert recs[4]["before"]["code"] == "b"
    p.same("t")


@pytest.mark.versions(10, 18)
def test_toasted_key_that_does_not_change(pipeline, db):
    """EDGE 4: the key itself is a TOAST value; the old key is sent although it is the same."""
    p = pipeline("create table t (code text primary key, n int); alter table t alter code set storage external")
    p.carry("insert into t values (repeat('k', 2500), 0)", "update t set n = 1", "update t set n = 2",
            "delete from t where n = 5")
    recs = p.records("public.t")
    assert [r["op"] for r in recs] == ["c", "u", "u"]
    for r in recs:
        assert r["after"]["code"] == "k" * 2500
        assert not r["absent"]
    p.same("t")


def test_absent_columns_of_a_key_change(pipeline, db):
    """EDGE 1, EDGE 5: the row moves to another key with a TOAST value that the log did not carry; the
    copy keeps the value."""
    p = pipeline("create table t (id int primary key, big text, n int)")
    p.carry(f"insert into t values (1, ({LONG}), 0)", "update t set id = 2, n = 1")
    recs = p.records("public.t")
    assert [r["op"] for r in recs] == ["c", "d", "c"] and recs[2]["absent"] == ["big"]
    p.same("t")


def test_delete_carries_the_key_only(pipeline, db):
    """EDGE 11: the other columns of a delete are unknown, not NULL."""
    p = pipeline("create table t (id int primary key, n int not null, s text)")
    p.carry("insert into t values (1, 5, 'x')", "delete from t")
    delete = p.records("public.t")[-1]
    assert delete["op"] == "d" and delete["after"] is None
    assert delete["before"]["id"] == 1 and sorted(delete["absent_before"]) == ["n", "s"]
    p.same("t")


@pytest.mark.versions(10, 18)
def test_replica_identity_changes_in_the_stream(pipeline, db):
    """EDGE 10: the new identity holds from exactly there on."""
    p = pipeline("create table t (id int primary key, n int, s text)")
    with db.conn.transaction():
        db.sql("insert into t values (1, 1, 'a')")
        db.sql("update t set n = 2")
        db.sql("alter table t replica identity full")
        db.sql("update t set n = 3")
        db.sql("alter table t replica identity default")
        db.sql("update t set n = 4")
    p.carry()
    before = [r["before"] for r in p.records("public.t")]
    assert before[0] is None and before[1] is None and before[3] is None
    assert before[2] == {"id": 1, "n": 2, "s": "a"}
    p.same("t")
