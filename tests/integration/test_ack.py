"""What the source may forget: source.ack, source.retain_max, and a full spool."""
import sqlite3
import time

import pytest

from tests.lib.agent import wait_for
from tests.lib.pg import lsn_number

TABLE = "create table t (id int primary key, s text)"


def confirmed(db):
    return lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"])


@pytest.fixture
def stuck(pipeline, db, tmp_path):
    """stuck(**sections): two sqlite sinks, of which `stuck` is locked by somebody else."""
    held = []

    def make(**sections):
        p = pipeline(TABLE, sinks={"copy": {"type": "sqlite", "path": tmp_path / "copy.db"},
                                   "stuck": {"type": "sqlite", "path": tmp_path / "stuck.db"}}, **sections)
        p.carry("insert into t values (0, 'both have this')")
        p.agent.start()
        c = sqlite3.connect(tmp_path / "stuck.db", isolation_level=None, timeout=30, check_same_thread=False)
        c.execute("begin immediate")
        held.append(c)
        p.release = lambda: c.in_transaction and c.execute("rollback")
        return p
    yield make
    for c in held:
        c.close()


def fill(db, first, rows=2000):
    """About 1 MB of rows, 0.5 MB when compressed."""
    db.sql("insert into t select g, (select string_agg(md5((g * 100 + x)::text), '') from generate_series(1, 15) x)"
           f" from generate_series({first}, {first + rows - 1}) g")
    return lsn_number(db.lsn())


def count(path_or_pipeline, path=None):
    c = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        return c.execute("select count(*) from t").fetchone()[0]
    finally:
        c.close()


def test_ack_sink_waits_for_every_sink(stuck, db, tmp_path):
    """A sink that is down holds the slot; the other goes on."""
    p = stuck()
    before = confirmed(db)
    end = fill(db, 1)
    wait_for(lambda: count(p, tmp_path / "copy.db") == 2001, 30, "the other sink")
    time.sleep(3)
    assert confirmed(db) < end and confirmed(db) - before < 200000
    p.release()
    wait_for(lambda: count(p, tmp_path / "stuck.db") == 2001, 60, "the sink that was stuck")
    wait_for(lambda: confirmed(db) >= end, 30, "the slot to move")
    p.agent.stop()
    p.same("t")


def test_ack_spool_does_not_wait(stuck, db, tmp_path):
    """What the spool has synced is acknowledged; the stuck sink gets it from the spool."""
    p = stuck(source={"ack": "spool"})
    end = fill(db, 1)
    wait_for(lambda: confirmed(db) >= end, 30, "the slot to move")
    assert count(p, tmp_path / "stuck.db") == 1
    p.agent.kill()
    p.release()
    p.agent.until_idle()
    assert count(p, tmp_path / "stuck.db") == 2001
    p.same("t")


def test_retain_max_escalates(stuck, db, tmp_path):
    """Beyond retain_max an outage of a sink cannot fill the production disk."""
    p = stuck(source={"retain_max": "4MB"})
    end = fill(db, 1, 1000)
    wait_for(lambda: count(p, tmp_path / "copy.db") == 1001, 30, "the other sink")
    time.sleep(3)
    assert confirmed(db) < end, "below retain_max the slot waits for the sink"
    first = end
    for i in range(6):
        end = fill(db, 10000 + i * 10000, 4000)
    wait_for(lambda: confirmed(db) > first and end - confirmed(db) < 4 << 20, 60, "the slot to move beyond retain_max")
    assert "acknowledged ahead of the sinks" in p.agent.log()
    p.release()
    p.agent.stop()
    p.agent.until_idle()
    assert count(p, tmp_path / "stuck.db") == 25001


def test_full_spool_holds(stuck, db, tmp_path):
    """on_full = hold: the reader stops, the source keeps its log, nothing is lost."""
    p = stuck(spool={"max_bytes": "4MB", "segment": "1MB", "keep": "0"}, source={"ack": "spool"})
    for i in range(12):
        end = fill(db, 1 + i * 10000, 4000)
    wait_for(lambda: "max_bytes" in p.agent.log() or "spool is full" in p.agent.log(), 60, "word of the full spool")
    time.sleep(3)
    p.agent.must_run()
    spool = sum(f.stat().st_size for f in (p.agent.state_dir / "spool").iterdir())
    assert spool < 8 << 20, f"{spool} bytes"
    assert confirmed(db) < end
    s = p.agent.status()
    assert s["waiting_for"] and "spool" in s["waiting_for"]
    p.release()
    wait_for(lambda: count(p, tmp_path / "stuck.db") == 48001, 120, "the sink that was stuck")
    p.agent.stop()
    p.agent.until_idle()
    p.same("t")


def test_full_spool_detaches(stuck, db, tmp_path):
    """on_full = detach: the sink furthest behind is given up, loudly; the rest goes on."""
    p = stuck(spool={"max_bytes": "4MB", "segment": "1MB", "keep": "0", "on_full": "detach"})
    for i in range(12):
        fill(db, 1 + i * 10000, 4000)
    wait_for(lambda: count(p, tmp_path / "copy.db") == 48001, 120, "the other sink")
    wait_for(lambda: p.agent.sink_status("stuck")["state"] == "detached", 30, "the state of the sink")
    assert "stuck" in p.agent.log() and "detach" in p.agent.log()
    p.release()
    p.agent.stop(code=None)
    p.same("t")
    assert count(p, tmp_path / "stuck.db") == 1, "a detached sink gets nothing more until it is loaded again"


def test_full_of_one_transaction(pipeline, db):
    """A single transaction larger than max_bytes may exceed it, loudly."""
    p = pipeline(TABLE, spool={"max_bytes": "2MB", "segment": "1MB", "keep": "0"})
    fill(db, 1, 40000)
    log = p.agent.until_idle()
    assert "max_bytes" in log
    p.same("t")


def test_spool_is_kept_for_inspection_and_then_goes(pipeline, db):
    """spool.keep holds segments that every sink is past; without it they go."""
    p = pipeline(TABLE, spool={"segment": "1MB", "keep": "24h"})
    for i in range(5):
        fill(db, 1 + i * 10000, 4000)
        p.carry()
    kept = sum(f.stat().st_size for f in (p.agent.state_dir / "spool").iterdir())
    p.agent.set("spool", keep="0")
    p.carry("insert into t values (999999, 'x')")
    left = sum(f.stat().st_size for f in (p.agent.state_dir / "spool").iterdir())
    assert left < kept / 2, (kept, left)
    p.carry("insert into t values (999998, 'x')")
    p.same("t")
