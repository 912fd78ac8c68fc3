"""`tailrace snapshot` beside an agent that is down, and what is refused."""
import json
import sqlite3

import pytest

from tests.lib.agent import Agent


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
