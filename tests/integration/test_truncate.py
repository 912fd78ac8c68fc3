"""TRUNCATE of one and of several tables."""
import pytest


@pytest.mark.since(11)
@pytest.mark.versions(11, 18)
def test_truncate_in_transaction_order(pipeline, db):
    """EDGE 21: one event per table, at its place in the transaction; CASCADE and RESTART IDENTITY."""
    p = pipeline("create table parent (id serial primary key, n int); create table child (id int primary key,"
                 " parent int references parent); create table other (id int primary key)")
    p.carry("insert into parent (n) values (1), (2)", "insert into child values (1, 1), (2, 2)",
            "insert into other values (1)")
    with db.conn.transaction():
        db.sql("insert into other values (2)")
        db.sql("truncate parent, other restart identity cascade")
        db.sql("insert into parent (n) values (9)")
    p.carry()
    p.same("parent", "child", "other")
    assert p.ops("public.parent") == "cctc" and p.ops("public.child") == "cct" and p.ops("public.other") == "cct"
    t = [r for r in p.records("public.parent") if r["op"] == "t"][0]
    assert t["before"] is None and t["after"] is None


@pytest.mark.since(11)
def test_truncate_ignored_where_asked(pipeline, db, tmp_path):
    """EDGE 21: truncates = ignore keeps the rows in the copy."""
    p = pipeline("create table t (id int primary key)", sinks={
        "copy": {"type": "sqlite", "path": tmp_path / "c.db", "truncates": "ignore"}})
    p.carry("insert into t values (1), (2)", "truncate t", "insert into t values (3)")
    assert p.sqlite("select id from t order by id") == [(1,), (2,), (3,)]
