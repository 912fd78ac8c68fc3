"""One sink that is down never slows another; a stopped one is named; fences keep two instances apart."""
import os
import shutil
import sqlite3
import time

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for

TABLE = "create table t (id int primary key, s text)"


def rows(path):
    try:
        return len(judge.sqlite_rows(path, "t", ["id"]))
    except sqlite3.OperationalError:
        return 0


def test_locked_sqlite_does_not_slow_the_files(pipeline, db):
    p = pipeline(TABLE)
    p.agent.sinks["lake"]["roll_interval"] = "1s"
    p.agent.write_config()
    p.carry("insert into t values (0, 'x')")
    p.agent.start()
    held = sqlite3.connect(p.agent.copy, isolation_level=None)
    held.execute("begin exclusive")
    db.sql("insert into t select g, 'x' from generate_series(1, 1000) g")
    wait_for(lambda: len(p.records("public.t")) == 1001, 20, "the files")
    s = p.agent.sink_status("copy")
    assert s["state"] in ("waiting", "ok") and p.agent.sink_status("lake")["state"] == "ok"
    wait_for(lambda: (p.agent.sink_status("copy")["error"] or "").find("copy.db") >= 0
             or p.agent.sink_status("copy")["retries"] > 0, 40, "word of the locked database")
    held.execute("rollback")
    held.close()
    wait_for(lambda: rows(p.agent.copy) == 1001, 60, "the copy")
    p.agent.stop()
    p.same("t")


def test_folder_that_cannot_be_written(pipeline, db, tmp_path):
    """A files sink without a place to write: named; cured, it goes on with nothing lost."""
    p = pipeline(TABLE)
    p.carry("insert into t values (0, 'x')")
    shutil.rmtree(p.agent.lake / "public.t")
    (p.agent.lake / "public.t").write_text("in the way")
    db.sql("insert into t values (1, 'x')")
    log = p.agent.until_idle(code=1)
    assert "sink lake" in log and str(p.agent.lake / "public.t") in log
    os.unlink(p.agent.lake / "public.t")
    p.agent.until_idle()
    assert rows(p.agent.copy) == 2
    assert [r["after"]["id"] for r in p.records("public.t")] == [1]


def test_row_that_the_target_refuses_stops_the_table(pipeline, db):
    """on_error = stop: the table stops at that change, is named with its position, loses nothing, and goes
    on from there when cured; other tables go on."""
    p = pipeline(TABLE + "; create table u (id int primary key)")
    p.carry("insert into t values (1, 'x')")
    c = sqlite3.connect(p.agent.copy)
    c.execute("create trigger no before insert on t when new.id = 13 begin select raise(abort, 'thirteen'); end")
    c.commit()
    c.close()
    for i in (12, 13, 14):
        db.sql(f"insert into t values ({i}, 'x')")
    db.sql("insert into u values (1)")
    log = p.agent.until_idle(code=1)
    assert "public.t" in log and "thirteen" in log
    assert p.sqlite("select id from u") == [(1,)]
    assert sorted(p.sqlite("select id from t")) == [(1,), (12,)]
    c = sqlite3.connect(p.agent.copy)
    c.execute("drop trigger no")
    c.commit()
    c.close()
    p.agent.until_idle()
    p.same("t", "u")


def test_absent_values_are_never_invented(pipeline, db):
    """An update with absent columns of a row that the copy never had: skipped and counted under
    mode = never, as the row was there before the pipeline."""
    db.script(TABLE)
    db.sql("insert into t values (1, (select string_agg(md5(g::text), '') from generate_series(1, 400) g))")
    db.sql("alter table t add column n int")
    p = pipeline()
    p.carry("update t set n = 1", "insert into t (id, n) values (2, 2)")
    assert p.sqlite("select id, n from t") == [(2, 2)]


def test_the_older_of_two_instances_is_fenced(pipeline, db, make_agent):
    """The younger takes over; the older, when it wakes, ends with exit code 4 and writes nothing more."""
    p = pipeline(TABLE)
    old = p.agent
    old.start()
    db.sql("insert into t values (1, 'old')")
    wait_for(lambda: rows(old.copy) == 1, 20, "the first row")
    old.process.send_signal(19)     # SIGSTOP: asleep, not dead
    young = make_agent(db, folder="young", tables="public.*", sinks=old.sinks)
    shutil.copytree(old.state_dir, young.state_dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock", "*lock*"))
    young.start(timeout=60)
    db.sql("insert into t values (2, 'young')")
    wait_for(lambda: rows(old.copy) == 2, 40, "the younger to write")
    old.process.send_signal(18)     # SIGCONT
    assert old.wait_exit(90) == 4
    assert "fence" in old.log_tail(10)
    db.sql("insert into t values (3, 'young')")
    wait_for(lambda: rows(old.copy) == 3, 40, "the younger to go on")
    young.stop()
    young.until_idle()
    p.same("t")
    assert sorted(r["after"]["id"] for r in p.records("public.t")) == [1, 2, 3]


def test_state_lost_but_targets_know(pipeline, db):
    """state.db and the spool are gone: the checkpoints in the targets are enough."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1, 'x')")
    shutil.rmtree(p.agent.state_dir)
    p.carry("insert into t values (2, 'y')")
    p.same("t")
    assert [r["after"]["id"] for r in p.records("public.t")] == [1, 2]


def test_copy_lost(pipeline, db):
    """The target was deleted: its checkpoint is gone with it; what the spool still has cannot make it whole,
    and nothing is started "from now" in silence."""
    p = pipeline(TABLE, spool={"keep": "0"})
    p.carry("insert into t values (1, 'x')")
    os.unlink(p.agent.copy)
    db.sql("insert into t values (2, 'y')")
    begun = time.monotonic()
    p.agent.start("--until-idle", wait=False)
    code = p.agent.wait_exit(60)
    log = p.agent.log_tail(30)
    assert time.monotonic() - begun < 60
    if code == 0:
        assert sorted(p.sqlite("select id from t")) == [(1,), (2,)]
    else:
        assert code in (1, 5) and "copy" in log


def test_damaged_spool_names_file_and_offset(pipeline, db):
    """Damage in an old segment is fatal and says where; the last segment is cut and read again."""
    p = pipeline(TABLE, spool={"segment": "1MB"})
    for i in range(4):
        db.sql("insert into t select g, (select string_agg(md5((g * 100 + x)::text), '') from generate_series(1, 15) x)"
               f" from generate_series({i * 10000 + 1}, {i * 10000 + 6000}) g")
    held = p.agent.copy
    p.carry()
    segments = sorted((p.agent.state_dir / "spool").glob("*.avro"))
    assert len(segments) >= 2
    data = bytearray(segments[-1].read_bytes())
    data[len(data) // 2] ^= 0xFF
    segments[-1].write_bytes(data)
    p.carry("insert into t values (999999, 'after')")
    assert rows(held) == 24001
    p.same("t")
    p.same_files("public.t")
