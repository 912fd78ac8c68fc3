#!/usr/bin/env python3
"""Kills the agent and the target under load, then asks whether anything was lost, doubled, torn or misordered.

    run_sql.py --short      PostgreSQL 15 as the target of PostgreSQL 15
    run_sql.py --long       18 too, many more kills

Zombies too: an agent asleep (SIGSTOP), half of them with all but COMMIT sent, while a second one of the same pipeline
with a state_dir of its own takes over; awake again, it must end with exit code 4.

As run.py, with a database as the target: `kill -9` of the agent at every named step, also between the statements
of a transaction and between its last statement and COMMIT; the target stopped by `-m immediate` and by `kill -9`.
Meanwhile what the target holds is asked for: a state that the source once had, and a position that fits it.
"""
import argparse
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash")]

import psycopg                                       # noqa: E402
import run                                           # noqa: E402

from common import program_with_failpoints           # noqa: E402
from tests.lib import normal, results                # noqa: E402
from tests.lib.agent import Agent, wait_for          # noqa: E402
from tests.lib.pg import Postgres                    # noqa: E402
from tests.lib.workload import TABLES                # noqa: E402

run.REACH.update({"sql_chunk": 40, "sql_saved": 12})
STEPS = ("appended", "synced", "published", "written", "committed", "acknowledged", "segment_removed",
         "sql_chunk", "sql_saved")
# What holds in every state that the source once had (workload.py).
INVARIANTS = {
    "stock is the sum of its moves": "select s.warehouse, s.sku from stock s left join"
    " (select warehouse, sku, sum(qty) as n from stock_moves group by 1, 2) m using (warehouse, sku)"
    " where s.qty <> coalesce(m.n, 0)",
    "orders know their lines": "select o.id from orders o left join"
    " (select order_id, count(*) as n from order_lines group by 1) l on l.order_id = o.id where o.lines <> coalesce(l.n, 0)",
    "transactions have no gap": "select writer from tx_manifest group by writer having count(*) <> max(seq)",
    "every move is of a transaction": "select 1 where (select count(*) from stock_moves) <> (select sum(moves) from tx_manifest)",
}


class PostgresTarget:
    ends = ("immediate", "kill -9")

    def __init__(self, major):
        self.server = Postgres(major, settings={"synchronous_commit": "on", "fsync": "off"})

    def start(self):
        self.server.start()
        self.db = self.server.database("copy")

    def sink(self):
        return {"type": "postgres", "url": self.db.url()}

    def end(self, how):
        if how == "immediate":
            self.server.stop("immediate")
        else:
            self.server.kill()

    def invariants(self):
        bad = []
        with self.db.connect(autocommit=False) as c:
            c.execute("set transaction isolation level repeatable read")
            if c.execute("select to_regclass('tx_manifest') is null or to_regclass('orders') is null").fetchone()[0]:
                return []
            for what, sql in INVARIANTS.items():
                try:
                    with c.transaction():
                        rows = c.execute(sql).fetchmany(3)
                except psycopg.errors.UndefinedTable:
                    continue
                bad += [f"target: not so: {what}: {rows}"] if rows else []
        return bad

    def rows(self, table):
        return sorted(normal.rows_as_text(self.db.conn, f"{table}"), key=repr)

    def close(self):
        self.server.destroy()


class SqlPipeline(run.Pipeline):
    def __init__(self, major, target, kills, server_kills, zombies, program, seed, folder):
        super().__init__(major, "target", kills, server_kills, program, seed, folder)
        self.target, self.zombies, self.made = target, zombies, []

    def prepare(self):
        self.target.start()
        self.db = self.server.database("erp", self.schema())
        self.agent = self.new_agent()

    def new_agent(self):
        self.made.append(Agent(self.folder / f"agent{len(self.made) + 1}", self.db.url(), tables="public.*",
                               program=self.program, sinks={"target": self.target.sink()}, **run.SMALL))
        return self.made[-1]

    def plan(self):
        plan = super().plan()
        for _ in range(self.zombies):
            plan.insert(self.random.randint(0, len(plan)), "zombie")
        return plan

    def steps(self):
        return STEPS

    def schema(self):
        return run.SCHEMA

    def title(self):
        return {"postgres": self.major, "target": self.target.server.major}

    def one(self, victim):
        if victim == "zombie":
            self.zombie()
        else:
            super().one(victim)
        if self.agent.process is None:
            self.bad += self.target.invariants()

    def zombie(self):
        if self.random.random() < 0.5:
            self.agent.kill()
            self.start({"TAILRACE_FAILPOINT": f"sql_saved=STOP:{self.random.randint(2, 12)}"})
            wait_for(self.agent.stopped, 60, "the agent to stop at the end of a transaction")
        else:
            self.start()
            self.agent.wait_streaming()     # one that never had the sink would be the younger
            time.sleep(self.random.uniform(0, 2))
            self.agent.must_run()
            self.agent.process.send_signal(signal.SIGSTOP)
        old, self.agent = self.agent, self.new_agent()
        try:
            self.agent.start(timeout=60)
            time.sleep(self.random.uniform(0, 2))
            self.agent.must_run()
        finally:
            old.process.send_signal(signal.SIGCONT)
        code = old.wait_exit(90)
        self.done["zombie"] += 1
        if code != 4:
            self.bad.append(f"a zombie ended with {code}\n{old.log_tail()}")

    def run(self):
        row = super().run()
        row["zombies"] = self.done["zombie"]
        row["kills"] -= self.done["zombie"]
        return row

    def end_server(self, how):
        self.target.end(how)

    def begin_server(self):
        self.server, kept = self.target.server, self.server
        try:
            super().begin_server()
        finally:
            self.server = kept

    def verdict(self):
        bad, compared = self.target.invariants(), 0
        for table in TABLES:
            want, have = sorted(normal.rows_as_text(self.db.conn, table), key=repr), self.target.rows(table)
            compared += len(want)
            if want != have:
                lost, more = [r for r in want if r not in have][:3], [r for r in have if r not in want][:3]
                bad.append(f"{table}: {len(want)} rows in the source, {len(have)} in the target; lost {lost}, more {more}")
        return bad, compared

    def close(self):
        for agent in self.made:
            agent.kill()
        super().close()
        self.target.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", dest="long", action="store_false", help="a few minutes")
    form.add_argument("--long", dest="long", action="store_true", default=True, help="the default")
    parser.add_argument("--kills", type=int, help="kills of the agent in each pipeline")
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folders of failed pipelines")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)

    plans = [(15, 15, 60, 30, 8), (15, 18, 40, 20, 4), (18, 15, 40, 20, 4)] if args.long else [(15, 15, 27, 8, 2)]
    print(f"seed {args.seed}", flush=True)
    rows = [run.run_one(lambda folder: SqlPipeline(source, PostgresTarget(target), args.kills or kills, ends, zombies,
                                                   args.program, args.seed, folder),
                        {"postgres": source, "target": target}, args.keep)
            for source, target, kills, ends, zombies in plans]
    results.table(rows, ("postgres", "target", "kills", "at_random", "server_kills", "zombies", "io_errors", "transactions",
                         "rows_compared", "seconds", "result"))
    failed = sum(r["result"] != "ok" for r in rows)
    if not args.no_save:
        results.save("crash-sql" if args.long else "crash-sql-short", {"seed": args.seed, "runs": rows})
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
