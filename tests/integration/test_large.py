"""Rows and transactions that are far larger than the agent's memory."""
import os

import pytest

from tests.lib.agent import wait_for

MB = 1 << 20


def test_a_row_of_200_mb_is_carried(pipeline, db):
    """EDGE 39: one value of 200 MB; the files and the copy hold all of it."""
    p = pipeline("create table t (id int primary key, doc bytea, s text)")
    db.sql("alter table t alter doc set storage external")
    db.sql("insert into t values (1, null, 'before')")
    db.sql("insert into t values (2, (select decode(repeat('00ff41', 70000000), 'hex')), 'large')")
    db.sql("insert into t values (3, null, 'after')")
    p.carry()
    assert p.sqlite("select id, length(doc), s from t order by id") == [
        (1, None, "before"), (2, 210000000, "large"), (3, None, "after")]
    assert p.sqlite("select hex(substr(doc, 209999998, 3)) from t where id = 2") == [("00FF41",)]
    record = p.records("public.t")[1]
    assert len(record["after"]["doc"]) == 210000000 and record["after"]["doc"].endswith(b"\x00\xff\x41")


def test_a_row_above_the_bound_is_refused(pipeline, db):
    """EDGE 39: with max_row lower, the agent stops at that row by name, position and remedy; with the bound
    raised it goes on from there."""
    p = pipeline("create table t (id int primary key, doc text)", source={"max_row": "1MB"})
    db.sql("insert into t values (1, 'before')")
    db.sql("insert into t values (2, repeat('x', 3000000))")
    db.sql("insert into t values (3, 'after')")
    log = p.agent.until_idle(code=1)
    assert "max_row" in log and "public.t" in log
    assert "/" in log
    p.agent.set("source", max_row="16MB")
    p.agent.until_idle()
    p.same("t")
    p.same_files("public.t")


def test_many_large_columns(pipeline, db):
    """EDGE 39: ten columns of 8 MB, compressible and not."""
    names = [f"c{i}" for i in range(10)]
    p = pipeline("create table t (id int primary key, " + ", ".join(f"{n} text" for n in names) + ")")
    db.sql("insert into t select 1, " + ", ".join(f"repeat('{n}é', 2000000)" for n in names))
    p.carry("update t set c3 = 'short'", "delete from t")
    assert p.ops("public.t") == "cud"


def test_one_transaction_of_many_rows_in_bounded_memory(pipeline, db):
    """A transaction much larger than the agent's memory goes through it; the peak is watched."""
    p = pipeline("create table t (id int primary key, s text, n numeric(12,2), at timestamptz)",
                 pipeline={"memory": "64MB"})
    db.sql("insert into t select g, 'row ' || md5(g::text), g / 100.0, now() from generate_series(1, 400000) g")
    a = p.agent.start()
    wait_for(lambda: p.sqlite("select count(*) from sqlite_master where name = 't'") == [(1,)]
             and p.sqlite("select count(*) from t") == [(400000,)], 120, "the rows")
    peak = a.rss()[1]
    a.stop()
    a.until_idle()
    p.same("t")
    assert p.ops("public.t") == "c" * 400000
    if "SANITIZED" not in os.environ:       # shadow memory counts as resident
        assert peak < 96 * MB, f"{peak / MB:.0f} MB"


@pytest.mark.versions(10)
def test_wide_text_of_every_size_around_the_blocks(pipeline, db):
    """Row sizes around the boundaries of the spool's blocks and of the protocol's buffers."""
    p = pipeline("create table t (id int primary key, s text)")
    sizes = [1, 63, 64, 65, 8191, 8192, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 3 << 20]
    for i, n in enumerate(sizes):
        db.sql(f"insert into t values ({i}, repeat('x', {n}))")
    p.carry()
    p.same("t")
    assert [len(r["after"]["s"]) for r in p.records("public.t")] == sizes
