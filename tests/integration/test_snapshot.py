"""Snapshots from the first start to the last row: kills, lost folders, new sinks, and what the source sees of it."""
import contextlib
import shutil
import sqlite3
import threading
from collections import Counter

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for
from tests.lib.workload import SCHEMA, TABLES, Workload, connector

STILL = "create table still (id int primary key, s text); insert into still select g, md5(g::text)" \
        " from generate_series(1, 4000) g"
SLOW = {"mode": "initial", "chunk_rows": 100, "workers": 2, "rate": 1000}  # four seconds at least


def ledger(agent, query):
    path = agent.state_dir / "state.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as c:
        try:
            return c.execute(query).fetchall()
        except sqlite3.OperationalError:    # no tables yet
            return []


def loaded_rows(agent, table="still"):
    return sum(n for name, n in ledger(agent, "select name, rows from load_table") if name == table)


def states(agent):
    return dict(ledger(agent, "select name, state from load_table"))


def some_loaded(agent, rows=500):
    def there():
        agent.must_run()
        return loaded_rows(agent) >= rows
    wait_for(there, 60, f"{rows} rows of the load")
    assert states(agent)["still"] == "running"


def all_loaded(agent, timeout=90):
    def done():
        agent.must_run()
        return states(agent) and set(states(agent).values()) == {"done"}
    wait_for(done, timeout, f"all tables to be loaded: {states(agent)}")


@pytest.fixture
def slow(pipeline):
    """Rows are there before the first start; loading them takes seconds."""
    def make(script=STILL, **kw):
        kw.setdefault("snapshot", SLOW)
        return pipeline(script, begin=False, **kw)
    return make


def read_keys(p, table="public.still"):
    """How often each key stands in the files as a row that was read."""
    return Counter(r["after"]["id"] for r in p.records(table) if r["op"] == "r")


def test_killed_between_writers(slow, db):
    """Writers go on, the agent is killed twice: what was emitted is not read again, and the copies are equal."""
    p = slow(STILL + ";" + SCHEMA)
    Workload(connector(db), writers=2, seed=1, transactions=100).start().join()
    load = Workload(connector(db), writers=2, seed=2, pause=0.03).start()
    try:
        for rows in (300, 1500):
            p.agent.start(wait=False)
            some_loaded(p.agent, rows)
            p.agent.kill()
            assert states(p.agent)["still"] == "running"
        p.agent.set("snapshot", rate=0, chunk_rows=1000)     # faster than any writer
        p.agent.start()
        all_loaded(p.agent)
    finally:
        load.stop()
    p.agent.stop()
    p.agent.until_idle()
    assert read_keys(p) == Counter(range(1, 4001))      # nobody writes there: each row once, whatever the kills
    p.same("still", *TABLES)
    bad, _ = judge.judge_files(db.conn, p.agent.lake, [f"public.{t}" for t in TABLES])
    assert not bad, "\n".join(bad)
    bad = judge.judge_sqlite_invariants(p.agent.copy)
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("lost", ("state", "spool"))
def test_what_is_lost_while_loading(slow, db, lost):
    """EDGE 120: the folder of the spool, or state.db, goes in the middle: in the end every row is there."""
    p = slow()
    p.agent.start(wait=False)
    some_loaded(p.agent)
    db.sql("update still set s = 'changed' where id % 10 = 0")
    p.agent.kill()
    if lost == "state":
        for f in p.agent.state_dir.glob("state.db*"):
            f.unlink()
    else:
        shutil.rmtree(p.agent.state_dir / "spool")
    db.sql("delete from still where id % 100 = 7")
    p.agent.set("snapshot", rate=0)
    p.agent.until_idle()
    p.same("still")
    p.carry("insert into still values (0, 'later')")
    p.same("still")


def test_a_sink_that_is_added_gets_all_rows(slow, db):
    """Those of the others are left alone; what changes meanwhile comes once."""
    p = slow(snapshot={"mode": "initial"}, sinks={"copy": {"type": "sqlite", "path": "placeholder"}})
    p.agent.sinks["copy"]["path"] = p.agent.folder / "copy.db"
    p.agent.write_config()
    p.agent.until_idle()
    p.carry("update still set s = 'before' where id <= 100")
    p.agent.sinks["lake"] = {"type": "files", "path": p.agent.folder / "lake"}
    p.agent.write_config()
    db.sql("update still set s = 'between' where id between 50 and 150")
    p.agent.until_idle()
    p.carry("delete from still where id = 4000")
    p.same("still")
    assert read_keys(p) == Counter(range(1, 4001))
    p.same_files("public.still")


class Transactions(threading.Thread):
    """Looks at the agent's transactions all the time: how long was each seen, in seconds?"""

    def __init__(self, db):
        super().__init__(daemon=True)
        self.db, self.halt, self.seen = db, threading.Event(), {}

    def run(self):
        with self.db.connect() as c:
            while not self.halt.wait(0.002):
                for pid, start, age in c.execute(
                        "select pid, xact_start, extract(epoch from clock_timestamp() - xact_start)::float8"
                        " from pg_stat_activity where application_name like 'tailrace%%' and xact_start is not null"
                        " and backend_type = 'client backend' and datname = %s", (self.db.name,)):
                    self.seen[pid, start] = age

    def stop(self):
        self.halt.set()
        self.join()


def test_no_transaction_outlives_its_chunk(slow, db):
    """40 chunks in four seconds at least: none of the agent's transactions lasts longer than a few of them."""
    p = slow()
    watch = Transactions(db)
    watch.start()
    try:
        p.agent.start()
        all_loaded(p.agent)
    finally:
        watch.stop()
    begun, ended = ledger(p.agent, "select begun_us, ended_us from load_table")[0]
    assert watch.seen and max(watch.seen.values()) < (ended - begun) / 1e6 / 4
    p.agent.stop()
    p.same("still")


def test_a_transaction_elsewhere_does_not_hold_it_up(slow, db):
    """Begun after the tables were looked at, on another table, and open until all is loaded."""
    p = slow(STILL + "; create table other (id int primary key)", snapshot={**SLOW, "workers": 1})
    p.agent.start(wait=False)
    some_loaded(p.agent, 100)
    with db.connect(autocommit=False) as c:
        c.execute("insert into other values (1)")
        all_loaded(p.agent)
        db.sql("update still set s = 'after' where id = 1")
        c.commit()
    p.agent.stop()
    p.agent.until_idle()
    p.same("still", "other")
