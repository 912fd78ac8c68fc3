"""Starting, stopping, and what is promised about both."""
import json
import signal
import time

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for

TABLE = "create table t (id int primary key, s text)"


@pytest.mark.versions(10, 18)
def test_all_that_commits_after_the_first_start_arrives(pipeline, db):
    """mode = never: what was there before stays out, what comes after the first run is carried."""
    db.script(TABLE + "; insert into t values (1, 'before')")
    p = pipeline()
    p.carry("insert into t values (2, 'after')")
    assert p.sqlite("select id from t") == [(2,)]


def test_initial_loads_what_is_there(pipeline, db):
    """mode = initial: the rows that tables hold at the first start come first, then what changes."""
    db.script(TABLE + "; insert into t values (1, 'there')")
    p = pipeline(snapshot={"mode": "initial"})
    assert p.sqlite("select id from t") == [(1,)]
    p.carry("insert into t values (2, 'x')", "update t set s = 'y' where id = 1")
    p.same("t")
    assert p.ops("public.t") == "rcu"


def test_initial_is_fine_where_tables_are_empty(pipeline, db):
    """There is nothing to load."""
    p = pipeline(TABLE, snapshot={"mode": "initial"})
    p.carry("insert into t values (1, 'x')")
    p.carry("insert into t values (2, 'y')")
    p.same("t")


def test_until_idle_with_nothing_to_do(pipeline, db):
    p = pipeline(TABLE)
    begun = time.monotonic()
    for _ in range(3):
        p.agent.until_idle()
    assert time.monotonic() - begun < 30


def test_until_idle_ends_while_others_keep_writing(pipeline, db):
    """It carries what was committed before its start, and does not chase the rest."""
    from tests.lib import workload
    p = pipeline(workload.SCHEMA)
    load = workload.Workload(workload.connector(db), writers=2).start()
    time.sleep(1)
    before = db.one("select count(*) from tx_manifest")
    p.agent.until_idle(timeout=60)
    assert len(judge.sqlite_rows(p.agent.copy, "tx_manifest", ["seq"])) >= before > 0
    load.stop()


def test_until_idle_rolls_files(pipeline, db):
    p = pipeline(TABLE)
    p.carry("insert into t values (1, 'x')")
    assert len(p.lake.files("public.t")) == 1 and not p.lake.leftovers()


@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGINT))
def test_clean_stop(pipeline, db, sig):
    """The signal commits what is at hand, rolls files and ends with 0."""
    p = pipeline(TABLE)
    p.agent.start()
    db.sql("insert into t values (1, 'x')")
    wait_for(lambda: p.agent.copy.exists() and p.sqlite("select count(*) from sqlite_master where name = 't'")[0][0]
             and p.sqlite("select count(*) from t") == [(1,)], 10, "the row")
    p.agent.process.send_signal(sig)
    assert p.agent.wait_exit(30) == 0
    assert len(p.records("public.t")) == 1 and not p.lake.leftovers()


def test_committed_rows_arrive_within_seconds(pipeline, db):
    """Commit at once when idle: no waiting for a batch to fill."""
    p = pipeline(TABLE)
    p.agent.start()
    db.sql("insert into t values (0, 'warm')")
    wait_for(lambda: p.sqlite("select count(*) from t where id = 0") == [(1,)] if p.agent.copy.exists() and
             p.sqlite("select count(*) from sqlite_master where name = 't'")[0][0] else False, 10, "the first row")
    slowest = 0.0
    for i in range(1, 15):
        begun = time.monotonic()
        db.sql(f"insert into t values ({i}, 'x')")
        wait_for(lambda: p.sqlite("select count(*) from t") == [(i + 1,)], 10, "the row", every=0.01)
        slowest = max(slowest, time.monotonic() - begun)
    p.agent.stop()
    assert slowest < 3


def test_files_roll_by_time(pipeline, db):
    p = pipeline(TABLE)
    p.agent.sinks["lake"]["roll_interval"] = "1s"
    p.agent.write_config()
    p.agent.start()
    db.sql("insert into t values (1, 'x')")
    wait_for(lambda: len(p.lake.files("public.t")) == 1, 15, "the first file")
    db.sql("insert into t values (2, 'x')")
    wait_for(lambda: len(p.lake.files("public.t")) == 2, 15, "the second file")
    p.agent.stop()
    p.same_files("public.t")


def test_files_roll_by_size(pipeline, db):
    p = pipeline(TABLE)
    p.agent.sinks["lake"].update(roll_bytes="1MB", compression="null")
    p.agent.write_config()
    db.sql("do $$ begin for i in 1..40 loop insert into t select i * 1000 + g, repeat(md5(g::text), 5)"
           " from generate_series(1, 500) g; commit; end loop; end $$" if db.server.major >= 11 else "select 1")
    p.carry()
    assert len(p.lake.files("public.t")) > 1
    p.same_files("public.t")


@pytest.mark.parametrize("codec", ("zstandard", "deflate", "null"))
def test_codecs(pipeline, db, codec):
    p = pipeline(TABLE)
    p.agent.sinks["lake"]["compression"] = codec
    p.agent.write_config()
    p.carry("insert into t select g, 'row ' || g from generate_series(1, 5000) g")
    meta, records = p.lake.read(p.lake.files("public.t")[0])
    assert meta["avro.codec"] == codec and len(records) == 5000
    p.same_files("public.t")


def test_flat_files(pipeline, db):
    p = pipeline(TABLE + "; alter table t replica identity full")
    p.agent.sinks["lake"]["format"] = "flat"
    p.agent.write_config()
    p.carry("insert into t values (1, 'x')", "update t set s = 'y'", "delete from t")
    recs = p.records("public.t")
    assert [r["__op"] for r in recs] == ["c", "u", "d"]
    assert (recs[0]["id"], recs[0]["s"], recs[0]["__deleted"]) == (1, "x", "false")
    assert recs[2]["__deleted"] == "true" and recs[2]["id"] == 1
    judge.position(recs[0]["__position"])


def test_sink_added_later(pipeline, db, tmp_path):
    """A new sink starts at the spool's end as of then, or where the operator is told it does; others go on."""
    p = pipeline(TABLE, sinks={"copy": {"type": "sqlite", "path": tmp_path / "a.db"}})
    p.carry("insert into t values (1, 'before')")
    p.agent.sinks["late"] = {"type": "sqlite", "path": tmp_path / "b.db"}
    p.agent.write_config()
    p.carry("insert into t values (2, 'after')")
    p.carry("insert into t values (3, 'after')")
    assert p.sqlite("select id from t order by id") == [(1,), (2,), (3,)]
    late = [r[0] for r in judge.sqlite_rows(tmp_path / "b.db", "t", ["id"])]
    assert 3 in late and late in ([2, 3], [3], [1, 2, 3])


def test_sink_removed(pipeline, db, tmp_path):
    """A sink that is no longer configured holds nothing back."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1, 'x')")
    del p.agent.sinks["lake"]
    p.agent.write_config()
    p.carry("insert into t values (2, 'y')")
    p.same("t")


def test_subset_of_tables_per_sink(pipeline, db, tmp_path):
    p = pipeline(TABLE + "; create table u (id int primary key)", sinks={
        "copy": {"type": "sqlite", "path": tmp_path / "all.db"},
        "some": {"type": "sqlite", "path": tmp_path / "some.db", "tables": "public.u"}})
    p.carry("insert into t values (1, 'x')", "insert into u values (2)")
    p.same("t", "u")
    assert judge.sqlite_rows(tmp_path / "some.db", "u", ["id"]) == [(2,)]
    c = judge.sqlite_open(tmp_path / "some.db")
    assert [r[0] for r in c.execute("select name from sqlite_master where name in ('t', 'u')")] == ["u"]


def test_soft_and_ignored_deletes(pipeline, db, tmp_path):
    p = pipeline(TABLE, sinks={
        "soft": {"type": "sqlite", "path": tmp_path / "soft.db", "deletes": "soft"},
        "none": {"type": "sqlite", "path": tmp_path / "none.db", "deletes": "ignore"}})
    p.carry("insert into t values (1, 'x'), (2, 'y')", "delete from t where id = 1")
    rows = judge.sqlite_rows(tmp_path / "soft.db", "t", ["id", "s", "_deleted_at"])
    assert sorted(r[:2] for r in rows) == [(1, "x"), (2, "y")]
    assert [r[2] is not None for r in sorted(rows)] == [True, False]
    assert sorted(judge.sqlite_rows(tmp_path / "none.db", "t", ["id"])) == [(1,), (2,)]


@pytest.mark.parametrize("evolve, outcome", (("none", "stops"), ("add", "adds")))
def test_evolve(pipeline, db, tmp_path, evolve, outcome):
    p = pipeline(TABLE, sinks={"copy": {"type": "sqlite", "path": tmp_path / "c.db", "evolve": evolve}})
    p.carry("insert into t values (1, 'x')")
    db.sql("alter table t add column extra int")
    db.sql("insert into t values (2, 'y', 22)")
    if outcome == "stops":
        log = p.agent.until_idle(code=1)
        assert "extra" in log and "evolve" in log
        p.agent.sinks["copy"]["evolve"] = "add"
        p.agent.write_config()
    p.agent.until_idle()
    assert p.sqlite("select id, s, extra from t order by id") == [(1, "x", None), (2, "y", 22)]


def test_checkpoint_row(pipeline, db):
    """The checkpoint stands in the target, in the transaction of the data."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1, 'x')")
    rows = p.sqlite("select pipeline, sink, fence, position, resume, updated_at from tailrace_checkpoint")
    assert len(rows) == 1
    pipeline_name, sink, fence, position, resume, at = rows[0]
    assert (pipeline_name, sink) == ("erp", "copy") and fence >= 2 and at
    judge.position(position)
    assert isinstance(json.loads(resume), dict)
    manifest = p.lake.manifest()
    assert {"position", "resume", "fence", "time", "files"} <= manifest.keys()
    judge.position(manifest["position"])
