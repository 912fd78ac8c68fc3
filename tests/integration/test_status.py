"""What a running agent says of itself: status, metrics, health."""
import json
import re
import sqlite3
import time

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for

TABLE = "create table t (id int primary key, s text); create table bare (a int)"


@pytest.fixture
def running(pipeline, db):
    p = pipeline(TABLE)
    p.agent.with_http()
    p.agent.start()
    db.sql("insert into t values (1, 'x'), (2, 'y')")
    db.sql("update t set s = 'z'")
    db.sql("delete from t where id = 2")
    wait_for(lambda: p.agent.copy.exists() and p.sqlite("select count(*) from sqlite_master where name = 't'")[0][0]
             and p.sqlite("select id, s from t") == [(1, "z")], 20, "the rows")
    return p


def test_status_json(running, db):
    s = running.agent.status()
    assert s.keys() >= {"pipeline", "version", "pid", "started", "state", "waiting_for", "source", "spool", "sinks",
                        "tables", "quarantine"}
    assert s["pipeline"] == "erp" and s["pid"] == running.agent.process.pid and s["state"] == "streaming"
    assert s["waiting_for"] is None
    assert s["source"].keys() >= {"type", "server", "connected", "position", "lag_seconds", "lag_bytes",
                                  "retained_bytes", "seconds_until_lost", "error"}
    assert s["source"]["connected"] is True and s["source"]["error"] is None
    judge.position(s["source"]["position"])
    assert s["spool"].keys() >= {"bytes", "max_bytes", "oldest", "newest", "synced", "seconds_until_full"}
    assert {x["name"] for x in s["sinks"]} == {"copy", "lake"}
    for sink in s["sinks"]:
        assert sink.keys() >= {"name", "type", "state", "position", "lag_seconds", "lag_events", "commits", "retries", "error"}
        assert sink["state"] == "ok"
    tables = {(t["schema"], t["name"]): t for t in s["tables"]}
    assert tables["public", "t"]["state"] == "streaming"
    assert tables["public", "bare"]["state"] == "excluded" and "primary key" in tables["public", "bare"]["reason"]
    code, body = running.agent.get("/status")
    assert code == 200 and json.loads(body).keys() == s.keys()


def test_status_for_people(running):
    out = running.agent("status").stdout
    for word in ("erp", "copy", "lake", "streaming"):
        assert word in out


def test_status_without_an_agent(pipeline):
    p = pipeline(TABLE)
    done = p.agent("status", "--json", check=False)
    assert done.returncode == 1 and done.stderr


def test_health_and_readiness(running):
    assert running.agent.get("/healthz")[0] == 200
    assert running.agent.get("/readyz")[0] == 200
    code, body = running.agent.get("/")
    assert code == 200 and "<html" in body.lower() and "status" in body
    assert running.agent.get("/nothing-here")[0] == 404


def test_not_ready_while_the_source_is_away(own_server, make_agent, major):
    server = own_server()
    db = server.database("erp", TABLE)
    a = make_agent(db, tables="public.t").with_http()
    a.until_idle()
    a.start()
    assert a.get("/readyz")[0] == 200
    server.stop("immediate")
    wait_for(lambda: a.get("/readyz")[0] == 503, 20, "readyz to say no")
    assert json.loads(a.get("/readyz")[1])["waiting_for"]
    assert a.get("/healthz")[0] == 200
    server.start()
    wait_for(lambda: a.get("/readyz")[0] == 200, 60, "readyz to say yes")
    a.stop()


METRICS = ("build_info", "source_connected", "source_lag_seconds", "source_lag_bytes", "source_retained_bytes",
           "events_total", "transactions_total", "spool_bytes", "spool_synced_position_info", "sink_connected",
           "sink_lag_seconds", "sink_lag_events", "sink_commits_total", "sink_commit_seconds_bucket",
           "sink_retries_total", "end_to_end_seconds_bucket", "tables_stopped", "schema_versions_total")


def metrics(agent):
    code, body = agent.get("/metrics")
    assert code == 200
    out = {}
    for line in body.splitlines():
        if line and not line.startswith("#"):
            m = re.match(r"^([a-z_]+)(\{.*\})? (\S+)$", line)
            assert m, line
            out[m[1], m[2] or ""] = float(m[3])
    return out


def test_metrics(running, db):
    wait_for(lambda: ("tailrace_source_lag_seconds", "") in metrics(running.agent), 10, "the first measurement")
    m = metrics(running.agent)
    names = {n for n, _ in m}
    for name in METRICS:
        assert f"tailrace_{name}" in names, name
    assert any(n.startswith("process_") for n in names)
    assert m["tailrace_source_connected", ""] == 1
    events = {labels: v for (n, labels), v in m.items() if n == "tailrace_events_total"}
    assert sum(v for labels, v in events.items() if 'op="c"' in labels) == 2
    assert sum(v for labels, v in events.items() if 'op="u"' in labels) == 2
    assert sum(v for labels, v in events.items() if 'op="d"' in labels) == 1
    db.sql("insert into t values (9, 'x')")
    wait_for(lambda: metrics(running.agent)["tailrace_transactions_total", ""] > m["tailrace_transactions_total", ""],
             10, "the counter")


def test_lag_is_true_when_idle(running, db):
    """Lag is measured against the source's current position, not against the last row seen."""
    time.sleep(3)
    s = running.agent.status()
    assert s["source"]["lag_seconds"] is not None and s["source"]["lag_seconds"] < 3
    for sink in s["sinks"]:
        if sink["name"] == "copy":
            assert sink["lag_seconds"] < 3 and sink["lag_events"] == 0


def test_lag_grows_while_a_sink_is_stuck(running, db):
    held = sqlite3.connect(running.agent.copy, isolation_level=None, timeout=30)
    held.execute("begin exclusive")
    db.sql("insert into t select g, 'x' from generate_series(100, 199) g")
    wait_for(lambda: running.agent.sink_status("copy")["lag_events"] >= 100, 20, "the lag in events")
    wait_for(lambda: running.agent.sink_status("copy")["lag_seconds"] >= 3, 20, "the lag in seconds")
    held.execute("rollback")
    held.close()
    wait_for(lambda: running.agent.sink_status("copy")["lag_events"] == 0, 60, "the lag to go")


def test_application_name(running, db):
    names = [r[0] for r in db.sql("select application_name from pg_stat_activity where datname = current_database()")]
    assert any(n.startswith("tailrace/erp/") for n in names), names


def test_address_beyond_loopback_needs_a_token(pipeline):
    p = pipeline(TABLE)
    p.agent.set("http", listen="0.0.0.0:18917")
    assert "token" in p.agent.until_idle(code=2)
