#!/usr/bin/env python3
"""Loads tables that hold rows already while writers go on at full speed, with and without kills of the agent.

    run_snapshot.py             PostgreSQL 15: 50 loads and 50 with kills; some with a synchronous standby that
                                applies late; MariaDB 10.11 and MySQL 8.0
    run_snapshot.py --short     four of each on PostgreSQL 15, in a minute

Each load begins with nothing: no state, no slot, an empty target.  The sizes of chunks and the number of workers are
random.  Writers insert, update (also without the TOASTed columns), delete and move keys.  A kill comes at a random
instant or at a named step; how many of them came before the load was complete is counted.  When the load is complete
the writers pause, and the copies are compared with the source.
"""
import argparse
import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash")]

import run as crash                                             # noqa: E402
from common import program_with_failpoints                      # noqa: E402
from tests.lib import judge, mysql, pg, results                 # noqa: E402
from tests.lib import workload as workload_pg, workload_mysql   # noqa: E402
from tests.lib.agent import Agent, AgentFailed                  # noqa: E402
from tests.lib.judge_mysql import Source                        # noqa: E402

STEPS = {"chunk_begun": 12, "chunk_read": 12, "chunk_emitted": 12, "appended": 40, "synced": 12, "published": 40,
         "written": 40, "committed": 8}   # and how many passings a kill may come after
DOCS = 3000
TABLES = (*workload_pg.TABLES, "docs")
ROUNDS_OF_A_DATABASE = 10
# (server, loads, loads with kills, standby)
LONG = (("postgres15", 50, 50, None), ("postgres15", 8, 8, "80ms"), ("mariadb10.11", 15, 15, None),
        ("mysql8.0", 15, 15, None))
SHORT = (("postgres15", 2, 2, None), ("postgres15", 1, 1, "80ms"))
FIGURES = ("server", "standby", "loads", "with_kills", "kills", "in_the_middle", "transactions", "rows_loaded",
           "rows_compared", "seconds", "result")


class Docs(crash.Other):
    """Changes any row of one table at any time: most without the long column, some to another key."""
    PAUSE = 0

    def __init__(self, connect, number, seed, lost, pause):
        super().__init__(connect)
        self.LOST, self.PAUSE = lost, pause
        self.number, self.random, self.fresh = number, random.Random(f"{seed}/{number}"), 0

    def one(self, c):
        cur = c.cursor()
        while not self.halt.is_set():
            for _ in range(self.random.randint(1, 4)):
                cur.execute(*self.statement())
            if self.random.random() < 0.05:
                c.rollback()
            else:
                c.commit()
                self.transactions += 1
            self.halt.wait(self.PAUSE)

    def statement(self):
        r = self.random.random()
        key = self.random.randint(1, DOCS) * 10 + self.random.randint(0, 1) * self.number
        if r < 0.5:
            return "update docs set n = n + 1 where id = %s", (key,)
        if r < 0.6:
            return "update docs set n = n + 1, body = %s where id = %s", (self.body(), key)
        if r < 0.8:
            other = self.random.randint(1, DOCS) * 10 + self.random.randint(0, 1) * self.number
            return self.move(key, other)
        if r < 0.9:
            return "delete from docs where id = %s", (key,)
        return self.insert(key)

    def move(self, key, other):
        return ("update docs set id = %s where id = %s and not exists (select 1 from (select id from docs) d where d.id = %s)",
                (other, key, other))

    def insert(self, key):
        return "insert into docs values (%s, 0, %s) on conflict do nothing", (key, self.body())

    def body(self):
        return f"{self.random.getrandbits(64):x} {workload_pg.LONG[:self.random.choice((10, 10, 2500))]}"


class MysqlDocs(Docs):
    def move(self, key, other):
        return "update ignore docs set id = %s where id = %s", (other, key)

    def insert(self, key):
        return "insert ignore into docs values (%s, 0, %s)", (key, self.body())


class PostgresSide:
    schema_name, source = "public", staticmethod(lambda db: judge.PostgresSource(db.conn))

    def __init__(self, name, standby):
        self.server = pg.Postgres(int(name.removeprefix("postgres")), settings={"synchronous_commit": "on"}).start()
        self.standby = None
        if standby:
            self.standby = pg.Standby(self.server, delay=standby).start()

    def database(self, name, seed):
        self.hold(False)
        db = self.server.database(name, workload_pg.SCHEMA + "create table docs (id bigint primary key, n int, body text);"
                                  " alter table docs alter body set storage external;")
        workload_pg.Workload(workload_pg.connector(db), writers=3, seed=seed, transactions=150).start().join()
        db.script("insert into docs select g * 10, 0, repeat(md5(g::text), 1 + g % 2 * 80) from generate_series"
                  f"(1, {DOCS}) g; insert into customers (id, code, name) select g * 100 + 50, 'F' || g, 'filled'"
                  " from generate_series(1, 6000) g; analyze")
        self.hold(True)
        return db

    def hold(self, on):
        """Commits wait for the standby."""
        if self.standby:
            self.server.reload(synchronous_standby_names="'slow'" if on else "''",
                               synchronous_commit="remote_apply" if on else "on")

    def writers(self, db, seed):
        n = 4 if self.standby else 1    # of each kind; those that are delayed by the standby wait most of the time
        connect = workload_pg.connector(db)
        return [workload_pg.Workload(connect, writers=n, seed=seed),
                *(Docs(connect, i, seed, crash.Other.LOST, 0) for i in range(1, n + 1))]

    def forget(self, db):
        """The slot and the publication of the last load."""
        for _ in range(100):
            slot = db.slot("tailrace_erp")
            if not slot or not slot["active"]:
                break
            time.sleep(0.1)
        if slot:
            db.sql("select pg_drop_replication_slot('tailrace_erp')")
        db.sql("drop publication if exists tailrace_erp")

    def close(self):
        if self.standby:
            self.standby.destroy()
        self.server.destroy()


class MysqlSide:
    schema_name, source, standby = "erp", staticmethod(Source), None

    def __init__(self, name, _):
        self.server = mysql.server(name, gtid=True).start()

    def database(self, _, seed):
        with contextlib.closing(self.server.connect()) as c:
            c.cursor().execute("drop database if exists erp")
        db = self.server.database("erp", *workload_mysql.schema(self.server),
                                  "create table docs (id bigint primary key, n int, body mediumtext) engine=innodb")
        workload_mysql.Workload(workload_mysql.connector(db), writers=3, seed=seed, transactions=100,
                                kind=workload_mysql.Writer).start().join()
        with contextlib.closing(db.connect()) as c:
            cur = c.cursor()
            cur.executemany("insert into docs values (%s, 0, %s)",
                            [(g * 10, f"{g:08x}" * (1 + g % 2 * 300)) for g in range(1, DOCS + 1)])
            cur.executemany("insert into customers (id, code, name, since) values (%s, %s, 'filled', '2026-01-01')",
                            [(g * 100 + 50, f"F{g}") for g in range(1, 6001)])
            c.commit()
        return db

    def writers(self, db, seed):
        connect = workload_mysql.connector(db)
        return [workload_mysql.Workload(connect, writers=1, seed=seed, kind=workload_mysql.Writer),
                MysqlDocs(connect, 1, seed, workload_mysql.Writer.LOST, 0)]

    def forget(self, db):
        pass

    def close(self):
        self.server.destroy()


class Loads:
    """One server, and load after load."""
    LOAD, IDLE = 180, 240

    def __init__(self, plan, program, seed, folder):
        self.name, self.plain, self.killed, standby = plan
        self.random = random.Random(f"{seed}/{plan}")
        self.program, self.folder, self.agent = program, Path(folder), None
        self.kills, self.middle, self.counts = Counter(), 0, Counter()
        self.bad = []
        self.side = (PostgresSide if self.name.startswith("postgres") else MysqlSide)(self.name, standby)
        self.server, self.standby = self.side.server, standby

    def title(self):
        return title(self.name, self.standby)

    def run(self):
        begun, db = time.monotonic(), None
        kinds = [False] * self.plain + [True] * self.killed
        self.random.shuffle(kinds)
        for number, kill in enumerate(kinds):
            if number % ROUNDS_OF_A_DATABASE == 0:
                if db is not None:
                    db.close()
                db = self.side.database(f"erp{number}", self.random.random())
            self.load(db, number, kill)
            if self.bad:
                break
        seconds = round(time.monotonic() - begun)
        return {**self.title(), "loads": self.plain, "with_kills": self.killed, "kills": sum(self.kills.values()),
                "in_the_middle": self.middle, "by_step": dict(self.kills), **self.counts, "seconds": seconds,
                "complaints": len(self.bad), "what": self.bad[:20]}

    # --- one load

    def load(self, db, number, kill):
        chunk, workers = self.random.choice((100, 300, 1000, 5000, 20000)), self.random.randint(1, 4)
        if kill:
            chunk = min(chunk, 1000)
        if self.standby:
            chunk = max(chunk, 1000)
        folder = self.folder / f"load{number}"
        tables = f"{self.side.schema_name}.*"
        self.agent = Agent(folder, db.url(), tables=tables, program=self.program, sinks=crash.sinks_of("both", folder),
                           snapshot={"mode": "initial", "chunk_rows": chunk, "workers": workers}, **crash.SMALL)
        writers = self.side.writers(db, self.random.random())
        for w in writers:
            w.start()
        try:
            done = self.kill_in_the_middle() if kill else False
            if not done:
                self.start()
                self.wait_loaded()
            time.sleep(self.random.uniform(0, 0.3))
        except AgentFailed as e:
            self.bad.append(f"load {number} (chunks of {chunk}, {workers} workers): {e}")
        finally:
            for w in reversed(writers):
                w.stop()
        self.agent.kill()
        self.counts["transactions"] += sum(w.transactions for w in writers)
        if not self.bad:
            self.agent.until_idle(timeout=self.IDLE)
            self.judge(db, f"load {number} (chunks of {chunk}, {workers} workers, {'' if kill else 'not '}killed)")
        if not self.bad:
            self.side.forget(db)
            shutil.rmtree(folder)

    def judge(self, db, what):
        source, names = self.side.source(db), [f"{self.side.schema_name}.{t}" for t in TABLES]
        bad, rows = judge.judge_sqlite(source, self.agent.copy, names)
        bad += judge.judge_sqlite_invariants(self.agent.copy)
        self.bad += [f"{what}: sqlite: {b}" for b in bad]
        bad, _ = judge.judge_files(source, self.agent.lake, names[:-1])
        bad += judge.judge_files(source, self.agent.lake, names[-1:], transactions=False)[0]
        self.bad += [f"{what}: files: {b}" for b in bad]
        self.counts["rows_loaded"] += self.rows_loaded()
        self.counts["rows_compared"] += sum(rows.values())
        waiting = {t: s for t, s in self.states().items() if s != "done"}
        if waiting:
            self.bad.append(f"{what}: not done: {waiting}")

    def start(self, env=None):
        if self.agent.process is None:
            self.agent.start(env=env, wait=False)

    def ledger(self, query):
        path = self.agent.state_dir / "state.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as c:
            try:
                return c.execute(query).fetchall()
            except sqlite3.OperationalError:    # not yet made
                return []

    def states(self):
        return dict(self.ledger("select name, state from load_table"))

    def rows_loaded(self):
        return self.ledger("select coalesce(sum(rows), 0) from load_table")[0][0]

    def loaded(self):
        states = self.states()
        return len(states) >= len(TABLES) and all(s == "done" for s in states.values())

    def wait_loaded(self):
        end = time.monotonic() + self.LOAD
        while not self.loaded():
            self.agent.must_run()
            if time.monotonic() > end:
                raise AgentFailed(f"not loaded in {self.LOAD} s: {self.states()}\n{self.agent.log_tail(60)}")
            time.sleep(0.05)

    def kill_in_the_middle(self):
        """One to three kills; true: the load was complete before."""
        for _ in range(self.random.randint(1, 3)):
            step = self.random.choice((*STEPS, "random", "random", "random"))
            if step == "random":
                self.kill_at_random()
            else:
                self.kill_at(step)
            self.kills[step] += 1
            if self.loaded():
                return True
            self.middle += 1
        return False

    def kill_at_random(self):
        self.start()
        time.sleep(self.random.choice((0.1, 0.5, 2)) * self.random.uniform(0, 1.5))
        self.agent.must_run()
        self.agent.kill()

    def kill_at(self, step):
        self.agent.kill()
        self.start({"TAILRACE_FAILPOINT": f"{step}:{self.random.randint(1, STEPS[step])}"})
        try:
            code = self.agent.process.wait(6)
        except subprocess.TimeoutExpired:
            self.agent.kill()
            return
        if code != -9:
            raise AgentFailed(f"at {step}: exit {code}\n{self.agent.log_tail()}")
        self.agent.process = None

    def close(self):
        if self.agent is not None:
            self.agent.kill()
        self.side.close()


def title(server, standby):
    return {"server": server, "standby": standby or "no"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--short", action="store_true", help="a minute")
    parser.add_argument("--servers", help="only these, e.g. postgres15,mysql8.0")
    parser.add_argument("--loads", type=int, help="of each kind")
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folders of what failed")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)
    print(f"seed {args.seed}", flush=True)
    rows = []
    for plan in SHORT if args.short else LONG:
        if args.servers and plan[0] not in args.servers.split(","):
            continue
        if args.loads is not None:
            plan = (plan[0], args.loads, args.loads, plan[3])
        rows.append(crash.run_one(lambda folder: Loads(plan, args.program, args.seed, folder), title(plan[0], plan[3]),
                                  args.keep))
        if not args.no_save:
            results.save("crash-snapshot-short" if args.short else "crash-snapshot", {"seed": args.seed, "runs": rows})
    results.table(rows, FIGURES)
    return 1 if any(r["result"] != "ok" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
