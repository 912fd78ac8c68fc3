"""Which columns and rows a publication lets through."""
import pytest


@pytest.mark.since(12)
@pytest.mark.versions(12, 18)
def test_generated_columns(pipeline, db):
    """EDGE 25: stored generated columns are taken as the log carries them, not from the catalog."""
    virtual = ", v int generated always as (a * 3) virtual" if db.server.major >= 18 else ""
    p = pipeline(f"create table t (id int primary key, a int, g int generated always as (a * 2) stored, z text{virtual})")
    p.carry("insert into t (id, a, z) values (1, 5, 'z')", "update t set a = 6")
    after = p.records("public.t")[-1]["after"]
    assert (after["id"], after["a"], after["z"]) == (1, 6, "z")
    assert "v" not in after
    assert p.sqlite("select id, a, z from t") == [(1, 6, "z")]


@pytest.mark.since(15)
@pytest.mark.versions(18)
def test_column_list(pipeline, db):
    """EDGE 26: only the listed columns."""
    db.script("create table t (id int primary key, a int, secret text);"
              "create publication tailrace_erp for table t (id, a)")
    p = pipeline()
    p.carry("insert into t values (1, 1, 'hidden')", "update t set secret = 'still'", "delete from t")
    assert p.ops("public.t") == "cud"
    assert p.records("public.t")[0]["after"] == {"id": 1, "a": 1}
    assert [c[1] for c in p.sqlite("pragma table_info(t)")] == ["id", "a"]


@pytest.mark.since(15)
@pytest.mark.versions(18)
def test_row_filter(pipeline, db):
    """EDGE 27: an update that crosses the filter arrives as an insert or a delete."""
    db.script("create table t (id int primary key, a int); alter table t replica identity full;"
              "create publication tailrace_erp for table t where (a > 10)")
    p = pipeline()
    p.carry("insert into t values (1, 1), (2, 20)", "update t set a = 30 where id = 1", "update t set a = 2 where id = 2")
    assert p.ops("public.t") == "ccd"
    assert p.sqlite("select id, a from t") == [(1, 30)]
