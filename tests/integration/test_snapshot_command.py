"""`tailrace snapshot` beside an agent that is down, and what is refused."""
import json
import shutil
import sqlite3
import time

import pytest

from tests.lib.agent import Agent, wait_for


@pytest.fixture
def agent(tmp_path):
    return Agent(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", tables="*.*")


@pytest.fixture
def ledger(agent):
    """An agent that has run: a state.db with the snapshots that are put."""
    agent.state_dir.mkdir()
    agent.state_dir.chmod(0o700)
    db = sqlite3.connect(agent.state_dir / "state.db")
    db.executescript((agent_root() / "schemas/state.sql").read_text())

    def put(schema, name, state, rows=0, estimate=-1, begun=0, ended=0, reason=None, sink=None, where=None):
        db.execute("insert into load_table (schema, name, sink, condition, state, reason, by_name, rows, estimate,"
                   " asked_us, begun_us, ended_us, position) values (?, ?, ?, ?, ?, ?, 0, ?, ?, 1, ?, ?, '1/0/1/1')",
                   (schema, name, sink, where, state, reason, rows, estimate, begun, ended))
        db.commit()
    put.db = db
    yield put
    db.close()


def agent_root():
    from tests.lib.pg import ROOT
    return ROOT


def refused(agent, *argv, code=2):
    done = agent("snapshot", *argv, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


def test_words(agent):
    assert "start" in refused(agent)
    assert "start" in refused(agent, "strat")
    assert "--where" in refused(agent, "start", "--where", "a = 1")
    assert "belong to start" in refused(agent, "cancel", "public.t", "--where", "a = 1")
    assert "belong to start" in refused(agent, "pause", "--sink", "copy")
    assert "belong to list" in refused(agent, "start", "--json")
    assert "one after the other" in refused(agent, "start", "public.a,public.b")


def test_a_pipeline_that_never_ran(agent):
    assert "has not run yet" in refused(agent, "start", "public.t", code=1)
    assert "has not run yet" in refused(agent, "list", code=1)


def test_an_unknown_sink(agent, ledger):
    assert "no sink lak" in refused(agent, "start", "public.t", "--sink", "lak")


def test_requests_wait_for_the_next_start(agent, ledger):
    said = agent("snapshot", "start", "public.orders", "app.*", "--where", "year >= 2024", "--sink", "copy").stdout
    assert "next start" in said
    agent("snapshot", "pause")
    assert ledger.db.execute("select kind, tables, condition, sink from load_request order by id").fetchall() == [
        ("start", "public.orders, app.*", "year >= 2024", "copy"), ("pause", None, None, None)]
    listed = agent("snapshot", "list").stdout
    assert "start public.orders, app.*" in listed and "pause all tables" in listed and "next start" in listed
    listed = json.loads(agent("snapshot", "list", "--json").stdout)
    assert listed["running"] is False and listed["tables"] == []
    assert listed["requests"] == [
        {"kind": "start", "tables": "public.orders, app.*", "where": "year >= 2024", "sink": "copy"},
        {"kind": "pause", "tables": None, "where": None, "sink": None}]


def test_list(agent, ledger):
    assert "no table" in agent("snapshot", "list").stdout
    ledger("public", "orders", "done", rows=1500, estimate=1400, begun=1_000_000, ended=4_500_000)
    ledger("public", "stock", "running", rows=250, estimate=1000, begun=1_000_000)
    ledger("public", "log", "failed", reason="its key is a float")
    ledger("app", "new", "waiting", sink="lake", where="a > 'x'")
    lines = agent("snapshot", "list").stdout.splitlines()
    assert len(lines) == 4 and "\033" not in "".join(lines)
    by_name = {line.split()[0]: line for line in lines}
    assert "done" in by_name["public.orders"] and "1500 rows" in by_name["public.orders"]
    assert "in 3.5 s" in by_name["public.orders"]
    assert "running" in by_name["public.stock"] and "25%" in by_name["public.stock"]
    assert "of about 1000" in by_name["public.stock"]
    assert "its key is a float" in by_name["public.log"]
    assert "where a > 'x'" in by_name["app.new"] and "for sink lake" in by_name["app.new"]
    some = agent("snapshot", "list", "public.*", "!public.log").stdout.splitlines()
    assert [line.split()[0] for line in some] == ["public.orders", "public.stock"]
    assert "public.nothing matches no table" in refused(agent, "list", "public.nothing")

    tables = json.loads(agent("snapshot", "list", "--json").stdout)["tables"]
    assert [t["name"] for t in tables] == ["new", "log", "orders", "stock"]
    assert tables[2] == {"schema": "public", "name": "orders", "state": "done", "rows": 1500, "estimate": 1400,
                         "rate": None, "seconds_left": None, "rows_to_read_again": 0, "where": None, "sink": None,
                         "asked": "1970-01-01T00:00:00.000001Z", "begun": "1970-01-01T00:00:01.000000Z",
                         "ended": "1970-01-01T00:00:04.500000Z", "reason": None}
    assert tables[0]["estimate"] is None and tables[0]["begun"] is None and tables[0]["where"] == "a > 'x'"


# --- beside a running agent ---

ROWS = "create table t (id int primary key, s text); insert into t select i, 'held' from generate_series(1, 3000) i;" \
       "create table u (id int primary key, s text); insert into u select i, 'held' from generate_series(1, 10) i;" \
       "analyze t; analyze u"


def listed(p, table="t"):
    return {t["name"]: t for t in json.loads(p.agent("snapshot", "list", "--json").stdout)["tables"]}[table]


def settled(p, state, table="t"):
    wait_for(lambda: listed(p, table)["state"] == state, 40, f"{state}, it is {listed(p, table)}\n{p.agent.log_tail(20)}")
    return listed(p, table)


@pytest.fixture
def slow(pipeline, db):
    """Running, its tables not loaded; loads take about ten seconds."""
    p = pipeline(ROWS, tables="public.*", snapshot={"mode": "never", "chunk_rows": 50, "rate": 300, "workers": 1})
    p.agent.with_http()
    p.agent.start()
    return p


def test_start_pause_resume(slow, db):
    p = slow
    said = p.agent("snapshot", "start", "public.t").stdout
    assert "public.t" in said and "public.u" not in said
    wait_for(lambda: listed(p)["rows"] >= 100 and listed(p)["rate"] > 0, 20, "some rows")
    now = listed(p)
    assert now["state"] == "running" and now["begun"] and not now["ended"]
    s = p.agent.status()
    table = {t["name"]: t for t in s["tables"]}["t"]
    assert s["state"] == "snapshot" and table["state"] == "snapshot"
    assert table["snapshot"].keys() == {"state", "rows", "estimate", "rate", "seconds_left"}
    assert table["snapshot"]["state"] == "running"
    assert p.agent.get("/readyz")[0] == 200  # the stream goes on
    metrics = p.agent.get("/metrics")[1]
    assert 'tailrace_snapshot_rows_total{table="public.t"}' in metrics
    assert "%" in p.agent("snapshot", "list").stdout and "rows" in p.agent("status").stdout

    p.agent("snapshot", "pause", "public.t")
    settled(p, "paused")
    wait_for(lambda: listed(p)["rows"] == (time.sleep(1), listed(p)["rows"])[1], 20, "a pause that holds")
    assert 0 < listed(p)["rows"] < 3000
    db.sql("update t set s = 'changed' where id in (1, 3000)")
    p.agent.stop()
    p.agent.start()  # a pause outlasts the process
    assert listed(p)["state"] == "paused"
    p.agent.set("snapshot", rate=0)
    p.agent.stop()
    p.agent.start()
    p.agent("snapshot", "resume")
    done = settled(p, "done")
    assert done["rows"] >= 2998 and done["ended"] and listed(p, "u")["state"] == "cancelled"
    assert " in " in p.agent("snapshot", "list", "public.t").stdout
    p.agent.stop()
    p.agent.until_idle()
    p.same("t")


def test_cancel(slow):
    p = slow
    p.agent("snapshot", "start", "public.t")
    wait_for(lambda: listed(p)["rows"] >= 50, 20, "some rows")
    p.agent("snapshot", "cancel", "public.*")
    settled(p, "cancelled")
    # its copy is not complete, and the sink knows: a row that is not there is no fault
    assert p.sqlite("select snapshot from tailrace_checkpoint") == [('["public.t"]',)]
    # and from the beginning
    p.agent.set("snapshot", rate=0)
    p.agent.stop()
    p.agent.start()
    p.agent("snapshot", "start", "public.t", "public.u")
    settled(p, "done")
    settled(p, "done", "u")
    p.agent.stop()
    p.agent.until_idle()
    p.same("t", "u")
    assert p.sqlite("select snapshot from tailrace_checkpoint") == [(None,)]


def test_some_rows_for_one_sink(slow):
    p = slow
    p.agent("snapshot", "start", "public.t", "--where", "id % 100 = 0", "--sink", "lake")
    settled(p, "done")
    p.agent.stop()
    p.agent.until_idle()
    assert sorted(r["after"]["id"] for r in p.records("public.t")) == list(range(100, 3001, 100))
    assert set(p.ops("public.t")) == {"r"}
    assert not p.sqlite("select 1 from sqlite_master where name = 't'")


def test_what_cannot_be_loaded(slow, db):
    p = slow
    done = p.agent("snapshot", "start", "public.t", "--where", "no such column", check=False)
    assert done.returncode in (0, 1)
    assert "where" in settled(p, "failed")["reason"].lower() or "column" in listed(p)["reason"].lower()
    assert p.agent.running()
    done = p.agent("snapshot", "start", "public.missing", check=False)
    assert done.returncode == 2 and "public.missing matches no table" in done.stderr
    done = p.agent("snapshot", "pause", "public.missing", check=False)
    assert done.returncode == 2 and "public.missing matches no table" in done.stderr
    p.agent("snapshot", "start", "public.u")
    settled(p, "done", "u")
    table = {t["name"]: t for t in p.agent.status()["tables"]}["t"]
    assert table["state"] == "needs_reload" and table["reason"]
    p.agent.stop()


def test_asked_for_while_down(slow):
    p = slow
    p.agent.stop()
    assert "next start" in p.agent("snapshot", "start", "public.u").stdout
    p.agent.until_idle()
    assert listed(p, "u")["state"] == "done"
    p.same("u")


def test_mode_only(pipeline, db):
    p = pipeline(ROWS, begin=False, snapshot={"mode": "only"})
    p.agent.start(wait=False)
    assert p.agent.process.wait(60) == 0
    p.agent.process = None
    p.same("t", "u")
    assert listed(p)["state"] == "done"


# --- what a crash leaves ---

@pytest.fixture
def halfway(pipeline, db):
    """Killed in the middle of the first load of t; u is loaded."""
    p = pipeline(ROWS, begin=False, snapshot={"mode": "initial", "chunk_rows": 50, "rate": 400, "workers": 1})
    p.agent.start()
    wait_for(lambda: p.agent.copy.exists() and p.sqlite("select 1 from sqlite_master where name = 't'")
             and p.sqlite("select count(*) from t")[0][0] >= 200, 40, "some rows")
    p.agent.kill()
    assert p.sqlite("select count(*) from t")[0][0] < 3000
    db.sql("update t set s = 'changed' where id % 7 = 0")
    db.sql("delete from t where id % 11 = 0")
    p.agent.set("snapshot", rate=0)
    return p


def test_a_kill_costs_a_chunk(halfway):
    p = halfway
    before = listed(p)["rows"]
    p.agent.until_idle()
    done = listed(p)
    assert done["state"] == "done" and done["rows"] <= 3000 and before >= 150
    p.same("t", "u")
    read = [r["after"]["id"] for r in p.records("public.t") if r["op"] == "r"]
    assert len(read) - len(set(read)) <= 50 * 2  # what was in flight, no more


def test_a_lost_ledger(halfway):
    """state.db is gone: the sinks' checkpoints say which table was being loaded, and that alone is loaded again."""
    p = halfway
    for name in ("state.db", "state.db-journal"):
        (p.agent.state_dir / name).unlink(missing_ok=True)
    p.agent.until_idle()
    assert listed(p)["state"] == "done"
    p.same("t", "u")


def test_a_lost_state_folder(halfway):
    p = halfway
    shutil.rmtree(p.agent.state_dir)
    p.agent.until_idle()
    assert listed(p)["state"] == "done"
    p.same("t", "u")
