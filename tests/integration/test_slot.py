"""The slot: taken over from our own dead self, never from others; lost, replaced or invalidated it
ends with exit code 5, never with a gap in silence."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for
from tests.lib.pg import lsn_number, server_user

TABLE = "create table t (id int primary key, s text)"


@pytest.mark.versions(10, 18)
def test_missing_slot(pipeline, db):
    """EDGE 55: somebody dropped it."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1)")
    db.sql("select pg_drop_replication_slot('tailrace_erp')")
    db.sql("insert into t values (2)")
    log = p.agent.until_idle(code=5)
    assert "tailrace_erp" in log and "slot" in log
    assert db.slot("tailrace_erp") is None, "never made anew in silence"


@pytest.mark.versions(10, 18)
def test_recreated_slot(pipeline, db):
    """EDGE 55: somebody made it anew, later in the log: the gap is named with its size."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1)")
    db.sql("select pg_drop_replication_slot('tailrace_erp')")
    db.sql("insert into t values (2)")
    db.sql("select pg_create_logical_replication_slot('tailrace_erp', 'pgoutput')")
    db.sql("insert into t values (3)")
    log = p.agent.until_idle(code=5)
    assert "tailrace_erp" in log and re.search(r"\d+ ?(bytes|B|kB|MB)", log)
    assert p.sqlite("select id from t") == [(1,)]


def test_other_plugin(pipeline, db):
    """EDGE 55: a slot of that name with another output plugin."""
    db.script(TABLE)
    db.sql("select pg_create_logical_replication_slot('tailrace_erp', 'test_decoding')")
    p = pipeline(begin=False)
    log = p.agent.until_idle(code=1)
    assert "test_decoding" in log and "tailrace_erp" in log


def test_other_database(pipeline, db, server):
    """EDGE 55: a slot of that name in another database."""
    other = server.database("elsewhere")
    other.sql("select pg_create_logical_replication_slot('tailrace_erp', 'pgoutput')")
    db.script(TABLE)
    p = pipeline(begin=False)
    try:
        log = p.agent.until_idle(code=1)
        assert "elsewhere" in log
    finally:
        other.sql("select pg_drop_replication_slot('tailrace_erp')")
        other.close()


def test_physical_slot(pipeline, db):
    """EDGE 55: a physical slot of that name."""
    db.script(TABLE)
    db.sql("select pg_create_physical_replication_slot('tailrace_erp')")
    p = pipeline(begin=False)
    assert "physical" in p.agent.until_idle(code=1)


def test_other_server(own_server, make_agent, major):
    """EDGE 55, EDGE 57: the address leads to another cluster: its system identifier tells."""
    one = own_server().database("erp", TABLE)
    a = make_agent(one)
    a.until_idle()
    one.sql("insert into t values (1)")
    a.until_idle()
    two = own_server().database("erp", TABLE)
    two.sql("select pg_create_logical_replication_slot('tailrace_erp', 'pgoutput')")
    a.set("source", url=two.url())
    log = a.until_idle(code=5)
    system = two.one("select system_identifier::text from pg_control_system()")
    assert system in log or "system identifier" in log


def test_server_put_back_to_an_older_state(own_server, make_agent, major, tmp_path):
    """EDGE 57: a restored backup is behind what was delivered: said, not continued."""
    server = own_server()
    db = server.database("erp", TABLE)
    a = make_agent(db)
    a.until_idle()
    db.sql("insert into t values (1)")
    a.until_idle()
    server.stop("fast")
    shutil.copytree(server.data, tmp_path / "backup", symlinks=True)
    server.start()
    db.sql("insert into t select g from generate_series(2, 5000) g")
    a.until_idle()
    server.stop("fast")
    shutil.rmtree(server.data)
    shutil.copytree(tmp_path / "backup", server.data, symlinks=True)
    if server_user():
        subprocess.run(["chown", "-R", server_user(), server.data], check=True)
    server.data.chmod(0o700)
    server.start()
    db.sql("insert into t values (9999999)")
    log = a.until_idle(code=5)
    assert "restored from a backup" in log and "before" in log


@pytest.mark.since(13)
@pytest.mark.versions(13, 18)
def test_invalidated_slot(own_server, make_agent, major):
    """EDGE 56: the server has cut the log that we still needed."""
    server = own_server(max_slot_wal_keep_size="'1MB'", min_wal_size="'32MB'", max_wal_size="'32MB'",
                        wal_keep_size="0")
    db = server.database("erp", TABLE)
    a = make_agent(db)
    a.until_idle()
    db.sql("insert into t values (1, 'x')")
    a.until_idle()
    for i in range(8):
        db.sql(f"insert into t select g + {i} * 100000, repeat('x', 300) from generate_series(10, 50000) g")
        db.sql("checkpoint")
        db.sql("select pg_switch_wal()")
    db.sql("checkpoint")
    slot = db.slot("tailrace_erp")
    assert slot["wal_status"] == "lost", slot
    log = a.until_idle(code=5)
    assert "tailrace_erp" in log and ("lost" in log or "removed" in log or "invalid" in log)


@pytest.mark.versions(10, 18)
def test_taken_from_our_own_old_walsender(pipeline, db):
    """A stopped process of ours still holds the slot; the next one ends its walsender and goes on."""
    p = pipeline(TABLE)
    p.agent.start()
    old = p.agent.process
    old_pid = db.slot("tailrace_erp")["active_pid"]
    os.kill(old.pid, signal.SIGSTOP)        # as good as dead, with its connection open
    try:
        p.agent.process = None
        os.rename(p.agent.state_dir, p.agent.folder / "state-of-the-old-one")
        db.sql("insert into t values (1)")
        log = p.agent.until_idle()
        assert p.sqlite("select id from t") == [(1,)]
        assert str(old_pid) in log
    finally:
        old.kill()
        old.wait()


@pytest.mark.versions(10, 18)
def test_taken_from_a_walsender_that_cannot_write(own_server, make_agent, major):
    """The stopped process reads nothing more, and its walsender has more than the connection holds: told to
    end, it can stand still with its farewell."""
    db = own_server(wal_sender_timeout="0").database("erp", TABLE)
    old = make_agent(db, tables="public.*")
    old.until_idle()
    old.start()
    pid = db.slot("tailrace_erp")["active_pid"]
    old.process.send_signal(signal.SIGSTOP)
    db.sql("insert into t select g, repeat('x', 200) from generate_series(1, 100000) g")
    wait_for(lambda: db.one(f"select wait_event from pg_stat_activity where pid = {pid}") == "WalSenderWriteData",
             60, "the walsender to be stuck")
    young = make_agent(db, folder="young", tables="public.*", sinks=old.sinks)
    try:
        young.start(timeout=40)
    finally:
        old.process.send_signal(signal.SIGCONT)
    assert old.wait_exit(90) == 4
    young.stop()
    young.until_idle()
    assert len(judge.sqlite_rows(old.copy, "t", ["id"])) == 100000


@pytest.mark.versions(10, 18)
def test_held_by_somebody_else(pipeline, db):
    """EDGE 56: a stranger holds it: named by pid and application, waited for, never ended."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1)")
    server = db.server
    reader = subprocess.Popen(["/usr/lib/postgresql/15/bin/pg_recvlogical", "-d",
                               f"{server.url(db.name)}?application_name=stranger", "--slot", "tailrace_erp", "--start",
                               "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=tailrace_erp"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: db.slot("tailrace_erp")["active_pid"], 20, "the stranger to hold the slot")
        pid = db.slot("tailrace_erp")["active_pid"]
        p.agent.start(wait=False)
        p.agent.wait_log(str(pid))
        p.agent.wait_log("stranger")
        assert db.slot("tailrace_erp")["active_pid"] == pid
        s = p.agent.status()
        assert s["state"] == "waiting" and "tailrace_erp" in s["waiting_for"]
    finally:
        reader.terminate()
        reader.wait()
    db.sql("insert into t values (2)")
    wait_for(lambda: p.sqlite("select count(*) from t") == [(2,)], 40, "the agent to go on")
    p.agent.stop()


@pytest.mark.versions(10, 18)
def test_publication_dropped(pipeline, db):
    """EDGE 28: a clear end that says what to do, with the slot where it was."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1)")
    at = lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"])
    db.sql("drop publication tailrace_erp")
    db.sql("insert into t values (2)")
    log = p.agent.until_idle(code=1)
    assert "publication" in log and "tailrace_erp" in log
    assert lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"]) - at < 1000


def test_publication_dropped_while_streaming(pipeline, db):
    """EDGE 28: the same under way; no endless silent retry."""
    p = pipeline(TABLE)
    p.agent.start()
    db.sql("drop publication tailrace_erp")
    db.sql("insert into t values (2)")
    assert p.agent.wait_exit(90) == 1
    assert "publication" in p.agent.log_tail(10)


def test_publication_narrowed(pipeline, db):
    """EDGE 28: somebody set publish = 'insert': updates would be missing in silence."""
    p = pipeline(TABLE)
    p.carry("insert into t values (1)")
    db.sql("alter publication tailrace_erp set (publish = 'insert')")
    db.sql("update t set s = 'x'")
    log = p.agent.until_idle(code=1)
    assert "publish" in log and "update" in log.lower()
