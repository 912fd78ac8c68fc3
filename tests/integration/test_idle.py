"""A quiet database, a busy neighbour: the server's log is not kept for nothing."""
import time

import pytest

from tests.lib.agent import wait_for
from tests.lib.pg import lsn_number


def quick(agent):
    """Files commit a heartbeat at most every roll_interval."""
    agent.sinks["lake"]["roll_interval"] = "2s"
    agent.write_config()
    return agent


def confirmed(db):
    return lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"])


@pytest.mark.versions(10, 18)
def test_foreign_log_is_released(own_server, make_agent, major):
    """EDGE 44: another database writes; our slot moves past it within seconds."""
    server = own_server()
    db = server.database("erp", "create table t (id int primary key)")
    busy = server.database("busy", "create table x (s text)")
    a = quick(make_agent(db))
    a.until_idle()
    a.start()
    busy.sql("insert into x select repeat('x', 1000) from generate_series(1, 20000)")
    end = lsn_number(db.lsn())
    wait_for(lambda: confirmed(db) >= end, 40, "the slot to pass the foreign log")
    db.sql("checkpoint")
    busy.sql("insert into x values ('more')")
    a.stop()


def test_restart_lsn_moves_by_heartbeat(own_server, make_agent, major):
    """EDGE 44: restart_lsn, which holds the log files, moves too."""
    server = own_server()
    db = server.database("erp", "create table t (id int primary key)")
    busy = server.database("busy", "create table x (s text)")
    a = quick(make_agent(db, source={"heartbeat": "1s"}))
    a.until_idle()
    a.start()
    busy.sql("insert into x select repeat('x', 1000) from generate_series(1, 20000)")
    end = lsn_number(db.lsn())

    def moved():
        busy.sql("checkpoint")      # writes the running transactions that decoding restarts from
        return lsn_number(db.slot("tailrace_erp")["restart_lsn"]) >= end
    wait_for(moved, 60, "restart_lsn to pass the foreign log", every=1)
    a.stop()


def test_nothing_is_written_to_an_idle_database(own_server, make_agent, major):
    """EDGE 44: with nothing going on the agent does not write either."""
    db = own_server().database("erp", "create table t (id int primary key)")
    a = make_agent(db, source={"heartbeat": "1s"})
    a.until_idle()
    a.start()
    time.sleep(2)
    db.sql("checkpoint")
    at = lsn_number(db.lsn())
    time.sleep(8)
    assert lsn_number(db.lsn()) - at < 2000
    a.stop()


def test_acknowledged_only_what_sinks_have(pipeline, db):
    """EDGE 45: with a keepalive in hand and data not yet in the sinks, the slot stays."""
    import sqlite3
    p = pipeline("create table t (id int primary key)")
    p.carry("insert into t values (1)")
    p.agent.start()
    held = sqlite3.connect(p.agent.copy, isolation_level=None, timeout=30)
    held.execute("begin exclusive")
    db.sql("insert into t values (2)")
    after = lsn_number(db.lsn())
    db.sql("create table unrelated (id int)")
    time.sleep(5)
    assert confirmed(db) < after
    held.execute("rollback")
    held.close()
    wait_for(lambda: p.sqlite("select count(*) from t") == [(2,)], 30, "the copy")
    p.agent.stop()
    p.agent.until_idle()
    assert confirmed(db) >= after
