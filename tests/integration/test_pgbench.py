"""pgbench, as a database that was not made for these tests: its own tables, COPY, TRUNCATE, contention."""
import subprocess

import pytest

from tests.lib.pg import binaries

TABLES = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")


def pgbench(db, *argv):
    done = subprocess.run([binaries(15) / "pgbench", "-h", "127.0.0.1", "-p", str(db.server.port), "-U", "postgres",
                           *argv, db.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.versions(10, 18)
def test_pgbench(pipeline, db):
    """Filled and run while the agent works; history has no key and goes row by row."""
    pgbench(db, "-i", "-I", "dtpf", "-s", "1")
    db.sql("alter table pgbench_history replica identity full")
    p = pipeline()
    p.agent.start()
    pgbench(db, "-i", "-I", "g", "-s", "1")     # TRUNCATE and COPY of 100,000 rows
    pgbench(db, "-n", "-c", "4", "-t", "300")
    pgbench(db, "-n", "-c", "2", "-t", "100", "-b", "simple-update", "-M", "prepared")
    p.agent.stop()
    p.agent.until_idle()
    p.same(*TABLES)
    assert p.sqlite("select count(*) from pgbench_history") == [(1400,)]
    assert p.sqlite("select sum(abalance) from pgbench_accounts") == p.sqlite("select sum(delta) from pgbench_history")


def test_definitions_change_under_load(pipeline, db):
    """Columns are added and dropped while rows pour in: every row has the definition it was written under."""
    import threading
    p = pipeline("create table t (id serial primary key, a int, b text)")
    p.agent.start()
    stop = threading.Event()
    failed = []

    def write():
        with db.connect() as c:
            while not stop.is_set():
                try:
                    c.execute("insert into t (a, b) select g, 'x' from generate_series(1, 5) g")
                    c.execute("update t set a = a + 1 where id = (select max(id) from t)")
                except Exception as e:
                    failed.append(e)
                    return
    writers = [threading.Thread(target=write) for _ in range(3)]
    for w in writers:
        w.start()
    for i in range(12):
        db.sql(f"alter table t add column c{i} int default {i}")
        db.sql(f"update t set c{i} = 100 where id % 50 = 0")
        if i % 3 == 2:
            db.sql(f"alter table t drop column c{i - 1}")
    stop.set()
    for w in writers:
        w.join()
    assert not failed
    p.agent.stop()
    p.agent.until_idle()
    n = db.one("select count(*) from t")
    rows = p.sqlite("select count(*) from t")
    assert rows == [(n,)]
    assert sum(r["op"] == "c" for r in p.records("public.t")) == n
    ids = [r[0] for r in p.sqlite("select id from t order by id")]
    assert ids == [r[0] for r in db.sql("select id from t order by id")]
    assert p.sqlite("select id, a, c11 from t where c11 = 100 order by id") == db.sql(
        "select id, a, c11 from t where c11 = 100 order by id")
