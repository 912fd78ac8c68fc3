"""An agent on MySQL or MariaDB in tests: the usual way through one, a workload, and what must be true after it."""
import json
import random
import threading
import time

import pymysql

from . import judge

TABLE = "create table t (id int primary key, s varchar(100)) engine=innodb"


class Way:
    """A database, an agent with a sqlite and a files sink, and the usual way through a test."""

    def __init__(self, db, agent):
        self.db, self.agent = db, agent

    def begin(self):
        self.agent.until_idle()
        return self

    def carry(self, *statements):
        self.db.script(*statements)
        return self.agent.until_idle()

    def copy(self, table, columns=("id", "s")):
        return sorted(judge.sqlite_rows(self.agent.copy, table, columns))

    def records(self, table):
        return judge.Lake(self.agent.lake).records(f"{self.db.name}.{table}")

    def ops(self, table):
        return "".join(r["op"] for r in self.records(table))

    def same(self, table="t", columns=("id", "s")):
        want = sorted(tuple(r) for r in self.db.sql(f"select {', '.join(columns)} from {table}"))
        assert self.copy(table, columns) == want

    def checkpoint(self):
        c = judge.sqlite_open(self.agent.copy)
        try:
            position, resume = c.execute("select position, resume from tailrace_checkpoint").fetchone()
        finally:
            c.close()
        return judge.position(position), json.loads(resume)


class Load(threading.Thread):
    """Transactions of one to five rows and a manifest line each, until it is told to stop; some are rolled back."""

    SCHEMA = ("create table manifest (seq int primary key, n int) engine=innodb",
              "create table t (id int primary key, s varchar(100)) engine=innodb")

    def __init__(self, db, seed=1, pause=0.002):
        super().__init__(daemon=True)
        self.db, self.pause, self.pick = db, pause, random.Random(seed)
        self.stopping, self.seq, self.failed = False, 0, None

    def transaction(self, c, rows):
        with c.cursor() as cur:
            cur.execute("begin")
            for i in range(rows):
                cur.execute("insert into t values (%s, %s)", (self.seq * 10 + i, f"row {i} of {self.seq}"))
            cur.execute("update t set s = concat(s, '+') where id = %s", (self.seq * 10,))
            cur.execute("insert into manifest values (%s, %s)", (self.seq, rows))
            cur.execute("rollback" if self.pick.random() < 0.1 else "commit")

    def run(self):
        c = None
        while not self.stopping:
            try:
                c = c or self.db.connect(autocommit=False)
                self.seq += 1
                self.transaction(c, self.pick.randint(1, 5))
            except (pymysql.err.MySQLError, OSError):
                c = None    # the test restarts the server
                time.sleep(0.1)
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        self.join()


def judge_load(w):
    """Copy and source are equal; the files have each row once and whole transactions in order."""
    w.same("t")
    w.same("manifest", ("seq", "n"))
    inserts = [r["after"]["id"] for r in w.records("t") if r["op"] == "c"]
    assert len(inserts) == len(set(inserts)) == w.db.one("select count(*) from t")
    seqs = [r["after"]["seq"] for r in w.records("manifest")]
    assert seqs == sorted(seqs) and len(seqs) == w.db.one("select count(*) from manifest") > 0
    positions = [judge.position(r["source"]["position"]) for r in w.records("t")]
    assert positions == sorted(set(positions))


def count(w, table="manifest"):
    c = judge.sqlite_open(w.agent.copy)
    try:
        return c.execute(f"select count(*) from {table}").fetchone()[0]
    except judge.sqlite3.OperationalError:
        return 0
    finally:
        c.close()
