#!/usr/bin/env python3
"""Kills the agent and PostgreSQL under load, then asks whether anything was lost, doubled, torn or misordered.

    run.py --short      a few minutes: PostgreSQL 10, 15 and 18, both sinks attached, and ten power cuts
    run.py --long       every sink alone and together, many more kills, and a hundred power cuts

The agent is built with failpoints (build/variant-failpoints/tailrace).  Each pipeline gets `kill -9` at
random instants and at each named step in turn, its first start included; disks fail under it; and its
server is stopped by `-m immediate` and by `kill -9`.  When the writers have stopped the agent runs to the end of the log, and the copies are
compared with the source's own SELECT and with the manifest row of every transaction.
"""
import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash")]

import psycopg                                       # noqa: E402

from common import judge_all, program_with_failpoints  # noqa: E402
import powercut                                      # noqa: E402
from tests.lib import judge, results                       # noqa: E402
from tests.lib.agent import Agent, AgentFailed            # noqa: E402
from tests.lib.pg import Postgres                         # noqa: E402
from tests.lib.workload import SCHEMA, Workload, connector    # noqa: E402

STEPS = ("appended", "synced", "published", "written", "committed", "acknowledged", "renamed",
         "segment_removed")
# How many passings of a step fit in about two seconds of load: a kill comes at 1 to this many.
REACH = {"appended": 40, "synced": 12, "published": 40, "written": 40, "committed": 12, "acknowledged": 3,
         "renamed": 5, "segment_removed": 1}
# A disk that is full or broken, at the nth call.
BROKEN = ("spool_write=ENOSPC", "spool_sync=EIO", "files_write=ENOSPC", "files_sync=EIO")
# Small, so that every step happens often: segments end, files roll, old segments go.
SMALL = {"spool": {"segment": "1MB", "sync": "20ms", "keep": "0", "max_bytes": "1GB"}}


def sinks_of(kind, folder):
    every = {"copy": {"type": "sqlite", "path": folder / "copy.db"},
             "lake": {"type": "files", "path": folder / "lake", "roll_interval": "1s", "roll_bytes": "1MB"}}
    wanted = {"sqlite": ("copy",), "files": ("lake",), "both": ("copy", "lake")}[kind]
    return {name: every[name] for name in wanted}


class Other(threading.Thread):
    """A writer besides the workload's, with one number of the manifest's: one() makes a transaction now and then."""
    NUMBER, PAUSE = 90, 5
    LOST = (psycopg.OperationalError,)
    NEXT = "select coalesce(max(seq), 0) + 1 from tx_manifest where writer = %s"

    def __init__(self, connect):
        super().__init__(daemon=True)
        self.connect, self.halt, self.transactions, self.error = connect, threading.Event(), 0, None

    def run(self):
        try:
            while not self.halt.is_set():
                try:
                    with contextlib.closing(self.connect()) as c:
                        self.one(c)
                except self.LOST:
                    pass
                self.halt.wait(self.PAUSE)
        except BaseException as e:  # seen by stop()
            self.error = e

    def next(self, cur):
        """The manifest says which number is next, as the answer to a commit may have been lost."""
        cur.execute(self.NEXT, (self.NUMBER,))
        return cur.fetchone()[0]

    def stop(self):
        self.halt.set()
        self.join()
        if self.error is not None:
            raise RuntimeError(f"{type(self).__name__} failed: {self.error!r}") from self.error


class Big(Other):
    """Its transactions are larger than what the agent writes at once."""
    MOVES = 6000

    def one(self, c):
        cur = c.cursor()
        seq = self.next(cur)
        cur.execute("insert into stock values (%s, 'BIG', %s, localtimestamp, 0) on conflict (warehouse, sku)"
                    " do update set qty = stock.qty + excluded.qty", (self.NUMBER * 10, self.MOVES))
        cur.execute("insert into stock_moves (warehouse, sku, qty, note) select %s, 'BIG', 1, md5(g::text)"
                    " from generate_series(1, %s) g", (self.NUMBER * 10, self.MOVES))
        cur.execute("insert into tx_manifest values (%s, %s, %s, %s, txid_current())",
                    (self.NUMBER, seq, self.MOVES + 1, self.MOVES))
        c.commit()
        self.transactions = seq


class Pipeline:
    """One server, one agent, one workload, and everything that is done to them."""
    SERVER_ENDS = ("immediate", "kill -9")
    PATIENCE = 8        # seconds for a step to be reached, or a broken disk to be noticed
    IDLE = 180          # and for the rest of the log

    def __init__(self, major, kind, kills, server_kills, program, seed, folder):
        self.major, self.kind, self.kills, self.server_kills = major, kind, kills, server_kills
        self.random = random.Random(f"{seed}/{major}/{kind}")
        self.folder = Path(folder)
        self.program = program
        self.server = self.new_server()
        self.done = Counter()       # what killed it -> how often
        self.server_done = Counter()
        self.broken = 0
        self.bad = []

    def new_server(self):
        return Postgres(self.major, settings={"synchronous_commit": "on", "max_wal_size": "'256MB'"})

    def prepare(self):
        self.db = self.server.database("erp", self.schema())
        self.agent = Agent(self.folder / "agent", self.db.url(), tables="public.*", program=self.program,
                           sinks=sinks_of(self.kind, self.folder / "agent"), **SMALL)

    def writers(self):
        """Each is started and stopped, and says how many transactions it made."""
        connect = connector(self.db)
        return [Workload(connect, writers=3, seed=self.random.random(), pause=0.004), Big(connect)]

    def verdict(self):
        return judge_all(self.db.conn, self.agent)

    def title(self):
        return {"postgres": self.major, "sinks": self.kind}

    def run(self):
        begun = time.monotonic()
        self.server.start()
        self.prepare()
        self.first_start()
        writers = self.writers()
        for w in writers:
            w.start()
        try:
            for number, victim in enumerate(self.plan()):
                self.one(victim)
                if number % 10 == 9 and "copy" in self.agent.sinks:
                    self.bad += judge.judge_sqlite_invariants(self.agent.copy)
        finally:
            self.agent.kill()
            for w in reversed(writers):
                w.stop()
        self.agent.until_idle(timeout=self.IDLE)
        found, rows = self.verdict()
        self.bad += found
        self.db.close()
        for step in self.steps():
            if self.kills >= 2 * len(STEPS) and not self.done[step]:
                self.bad.append(f"step {step} was never reached")
        return {**self.title(), "kills": sum(self.done.values()),
                "at_random": self.done["random"], "server_kills": sum(self.server_done.values()),
                "io_errors": self.broken, "transactions": sum(w.transactions for w in writers), "rows_compared": rows,
                "seconds": round(time.monotonic() - begun), "complaints": len(self.bad),
                "by_step": {s: self.done[s] for s in self.steps()}, "what": self.bad[:20]}

    def schema(self):
        """With an array among the columns all is read as text; without it in binary, where there is that."""
        binary = self.major >= 16 or self.kind != "both"
        return SCHEMA.replace("tags text[]", "tags text") if binary else SCHEMA

    def steps(self):
        return [s for s in STEPS if s != "renamed" or "lake" in self.agent.sinks]

    def plan(self):
        """Two thirds of the kills at the steps in turn, the others at random; the server's in between."""
        steps = self.steps()
        plan = [steps[i % len(steps)] for i in range(self.kills * 2 // 3)]
        plan += ["random"] * (self.kills - len(plan))
        self.random.shuffle(plan)
        for i in range(self.server_kills):
            at = (i + 1) * len(plan) // (self.server_kills + 1)
            plan.insert(at, self.SERVER_ENDS[i % 2])
        faults = [f for f in BROKEN if "lake" in self.agent.sinks or f.startswith("spool")]
        for i in range(self.server_kills):
            plan.insert(self.random.randint(0, len(plan)), faults[i % len(faults)])
        return plan

    def one(self, victim):
        if victim in self.SERVER_ENDS:
            self.kill_server(victim)
        elif victim in BROKEN:
            self.break_disk(victim)
        elif victim == "random":
            self.kill_at_random()
        else:
            self.kill_at_step(victim)

    def close(self):
        """Nothing of it goes on, whatever happened."""
        if getattr(self, "agent", None):
            self.agent.kill()
        self.server.destroy()

    def first_start(self):
        """Killed before, while and after publication, slot and state are made."""
        for _ in range(min(4, self.kills)):
            self.start()
            time.sleep(self.random.uniform(0, 0.25))
            self.agent.kill()
            self.done["first start"] += 1
        self.agent.until_idle()

    def break_disk(self, fault):
        """The spool's trouble ends the agent, naming the segment; a sink's may be tried again."""
        self.agent.kill()
        self.start({"TAILRACE_FAILPOINT": f"{fault}:{self.random.randint(1, 8)}"})
        self.broken += 1
        try:
            code = self.agent.process.wait(self.PATIENCE)
        except subprocess.TimeoutExpired:
            if fault.startswith("spool"):
                raise AgentFailed(f"{fault}: the agent went on\n{self.agent.log_tail()}") from None
            self.agent.kill()
            return
        self.agent.process = None
        if code != 1 or "spool segment" not in self.agent.log_tail(5) and fault.startswith("spool"):
            raise AgentFailed(f"{fault}: exit {code}\n{self.agent.log_tail()}")

    def start(self, env=None):
        if self.agent.process is None:
            self.agent.start(env=env, wait=False)

    def kill_at_random(self):
        self.start()
        time.sleep(self.random.choice((0.05, 0.3, 1.0)) * self.random.uniform(0, 2))
        self.agent.must_run()
        self.agent.kill()
        self.done["random"] += 1

    def kill_at_step(self, step):
        self.agent.kill()
        count = self.random.randint(1, REACH[step])
        self.start({"TAILRACE_FAILPOINT": f"{step}:{count}"})
        try:
            code = self.agent.process.wait(self.PATIENCE)
        except subprocess.TimeoutExpired:
            self.agent.kill()
            self.done["random"] += 1
            return
        if code != -9:
            raise AgentFailed(f"at {step}:{count}: exit {code}\n{self.agent.log_tail()}")
        self.agent.process = None
        self.done[step] += 1

    def kill_server(self, how):
        """The agent has to find its way back by itself."""
        self.start()
        time.sleep(self.random.uniform(0.2, 1.5))
        self.end_server(how)
        time.sleep(self.random.uniform(0, 0.5))
        if self.random.random() < 0.3:      # and the agent has to start without it
            self.agent.kill()
            self.start()
        self.begin_server()
        self.server_done[how] += 1
        time.sleep(self.random.uniform(0, 2))
        self.agent.must_run()

    def end_server(self, how):
        if how == "immediate":
            self.server.stop("immediate")
        else:
            self.server.kill()

    def begin_server(self):
        for attempt in range(20):
            try:
                self.server.start()     # children of a killed postmaster need a moment to go
                break
            except RuntimeError:
                if attempt == 19:
                    raise
                time.sleep(0.5)


def plans(long):
    """(major, sinks, kills of the agent, kills of the server)"""
    if not long:
        return [(10, "both", 22, 4), (15, "both", 24, 4), (18, "both", 22, 4)]
    return [(major, "both", 64, 10) for major in (10, 15, 18)] + [(15, "sqlite", 64, 10), (15, "files", 64, 10)]


def run_one(make, title, keep):
    """A row of the table, whatever happens.  make(folder): the pipeline."""
    begun, folder, pipeline = time.monotonic(), tempfile.mkdtemp(prefix="tailrace-crash-"), None
    try:
        pipeline = make(folder)
        row = pipeline.run()
    except Exception:
        row = {**title, "complaints": 1, "what": [traceback.format_exc()[-6000:]],
               "seconds": round(time.monotonic() - begun)}
        if pipeline is not None:
            row["what"].append(f"the server said last:\n{pipeline.server.log_tail()}")
    finally:
        if pipeline is not None:
            pipeline.close()
    row["result"] = "ok" if not row["complaints"] else "FAILED"
    print(f"{', '.join(f'{k} {v}' for k, v in title.items())}: {row.get('kills')} kills, {row['seconds']} s, {row['result']}",
          flush=True)
    for what in row["what"]:
        print(f"  {what}", flush=True)
    if row["result"] == "ok" or not keep:
        subprocess.run(["rm", "-rf", folder], check=True)
    else:
        print(f"  left in {folder}")
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", dest="long", action="store_false", help="a few minutes")
    form.add_argument("--long", dest="long", action="store_true", default=True, help="the default")
    parser.add_argument("--pg", help="only these majors, e.g. 10,15")
    parser.add_argument("--sinks", choices=("sqlite", "files", "both"), help="only this combination")
    parser.add_argument("--kills", type=int, help="kills of the agent in each pipeline")
    parser.add_argument("--cuts", type=int, help="power cuts; 0: none")
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folders of failed pipelines")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)

    wanted = [(m, s, args.kills if args.kills is not None else k, w) for m, s, k, w in plans(args.long)
              if (not args.pg or str(m) in args.pg.split(",")) and (not args.sinks or s == args.sinks)]
    rows = []
    print(f"seed {args.seed}", flush=True)
    for plan in wanted:
        rows.append(run_one(lambda folder: Pipeline(*plan, args.program, args.seed, folder),
                            {"postgres": plan[0], "sinks": plan[1]}, args.keep))
    count = args.cuts if args.cuts is not None else 100 if args.long else 10
    if count:
        rows += powercut.run(count, args.program, args.seed, args.keep)

    results.table(rows, ("postgres", "sinks", "kills", "at_random", "server_kills", "io_errors", "cuts", "transactions",
                         "rows_compared", "seconds", "result"))
    failed = sum(r["result"] != "ok" for r in rows)
    if not args.no_save:
        results.save("crash" if args.long else "crash-short", {"seed": args.seed, "runs": rows})
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
