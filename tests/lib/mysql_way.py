"""An agent on MySQL or MariaDB in tests: the usual way through one, and what must be true after a workload."""
import json

from . import judge, judge_mysql, workload_mysql

TABLE = "create table t (id int primary key, s varchar(100)) engine=innodb"


class Way:
    """A database, an agent with a sqlite and a files sink, and the usual way through a test."""

    def __init__(self, db, agent):
        self.db, self.agent = db, agent

    def begin(self):
        self.agent.until_idle()
        return self

    def begin_workload(self):
        """The first start with the tables of workload_mysql."""
        self.db.script(*workload_mysql.schema(self.db.server))
        return self.begin()

    def load(self, seed=0, pause=0.004):
        return workload_mysql.start(self.db, writers=2, seed=seed, pause=pause)

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


def judge_load(w):
    """Copy and files equal the source: each change once, each transaction whole and in order."""
    bad, rows = judge_mysql.judge_sqlite(w.db, w.agent.copy, workload_mysql.TABLES)
    bad += judge.judge_sqlite_invariants(w.agent.copy)
    bad += judge_mysql.judge_files(w.db, w.agent.lake, workload_mysql.TABLES)[0]
    assert not bad, "\n".join(bad)
    assert sum(rows.values()) > 0


def count(w, table="tx_manifest"):
    """Rows of the copy; 0 while it has no such table."""
    c = judge.sqlite_open(w.agent.copy)
    try:
        return c.execute(f"select count(*) from {table}").fetchone()[0]
    except judge.sqlite3.OperationalError:
        return 0
    finally:
        c.close()
