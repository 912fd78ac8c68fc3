"""A sink or the spool's disk does not move: production must not notice."""
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.lib.agent import wait_for

HERE = Path(__file__).parent
TABLE = "create table t (id int primary key, filler text)"


def walsender(db, slot):
    return db.one("select active_pid from pg_replication_slots where slot_name = %s", (slot,))


def lock(agent):
    held = sqlite3.connect(agent.copy, isolation_level=None, timeout=30)
    held.execute("begin exclusive")
    return held


def copied(agent):
    c = sqlite3.connect(f"file:{agent.copy}?mode=ro", uri=True)
    try:
        return c.execute("select count(*), sum(length(filler)) from t").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        c.close()


@pytest.fixture
def stuck(own_server, make_agent, tmp_path):
    """(database, agent) on a server that expects to hear from its receivers every few seconds."""
    server = own_server(wal_sender_timeout="'8s'")
    db = server.database("erp", TABLE)
    agent = make_agent(db, tables="public.t", sinks={"copy": {"type": "sqlite", "path": tmp_path / "copy.db"}})
    agent.until_idle()
    yield db, agent
    agent.kill()
    db.close()


def test_server_stops_while_a_sink_is_stuck(stuck):
    """EDGE 48: a shutdown waits for its walsenders; ours lets go though a sink cannot commit."""
    db, agent = stuck
    agent.start()
    db.sql("insert into t values (0, 'first')")
    wait_for(lambda: copied(agent) == (1, 5), 30, "the first row to arrive")
    held = lock(agent)
    db.sql("insert into t select g, repeat('x', 500) from generate_series(1, 20000) g")
    time.sleep(1)
    db.close()
    begun = time.monotonic()
    assert db.server.stop("fast", timeout=30) == 0, "the server did not stop"
    assert time.monotonic() - begun < 15
    agent.must_run()
    db.server.start()
    held.close()
    wait_for(lambda: copied(agent) == (20001, 20000 * 500 + 5), 60, "the copy to complete")


def test_feedback_while_a_sink_is_stuck(stuck):
    """EDGE 48: the server asks for replies, and gets them, though a sink commits nothing for longer than
    its patience; nothing is acknowledged that the sink does not have."""
    db, agent = stuck
    agent.start()
    held = lock(agent)
    pid = walsender(db, agent.slot)
    db.sql("insert into t select g, repeat('x', 100) from generate_series(1, 1000) g")
    at = db.slot(agent.slot)["confirmed_flush_lsn"]
    time.sleep(20)
    assert walsender(db, agent.slot) == pid
    assert db.slot(agent.slot)["confirmed_flush_lsn"] == at
    held.close()
    wait_for(lambda: copied(agent) == (1000, 100000), 60, "the copy to complete")
    wait_for(lambda: db.slot(agent.slot)["confirmed_flush_lsn"] != at, 30, "the acknowledgement")


def test_feedback_while_the_spools_disk_stalls(stuck, tmp_path):
    """EDGE 48: no fsync of the spool returns for 60 s; the server keeps its connection, and nothing is
    acknowledged meanwhile."""
    db, agent = stuck
    shim, flag = tmp_path / "stall.so", tmp_path / "stalled"
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", shim,
                    HERE / "stall.c"], check=True)
    agent.start(env={"LD_PRELOAD": str(shim), "STALL_DIR": str(agent.state_dir / "spool"),
                     "STALL_FILE": str(flag)})
    pid = walsender(db, agent.slot)
    flag.touch()
    before = db.lsn()
    db.sql("insert into t select g, repeat('x', 500) from generate_series(1, 40000) g")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(2)
        assert walsender(db, agent.slot) == pid, db.server.log_tail()
    assert db.one("select confirmed_flush_lsn <= %s::pg_lsn from pg_replication_slots where slot_name = %s",
                  (before, agent.slot))
    assert "timeout" not in db.server.log_tail(100)
    flag.unlink()
    wait_for(lambda: copied(agent) == (40000, 40000 * 500), 60, "the copy to complete")
    assert walsender(db, agent.slot) == pid
