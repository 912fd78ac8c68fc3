#!/usr/bin/env python3
"""Speed and memory, as ratios against the limit measured in the same session.

    run.py                      everything
    run.py --only files --scale 0.1
    run.py --program PATH --times 5

The limit is the server's own log reader: `pg_recvlogical -f /dev/null` on an identical slot.  The clock
runs from exec to exit.  Every run gets a copy of one slot, so that all read the same log.  Peak memory
is VmHWM, which starts at exec; CPU time is the process's own, as wait4() gives it.

    files        catch-up into Avro files beside the limit, in turn
    sqlite       catch-up into SQLite
    huge         one transaction of five million rows into files
    down         a sink that is down for the whole load, beside one that is not; then it catches up
    independent  rate and lag of a sink with and without another one that is stuck
    kafka        catch-up into Kafka beside the limit, in turn
    debezium     the peer: the same log by Debezium in Kafka Connect, exactly-once on
    latency      from the source's commit to a read_committed consumer, beside a bare producer and Debezium
    broker-down  files with and without a Kafka sink whose broker is down; then that one catches up
    postgres-target  catch-up into a second PostgreSQL beside the server's own subscription, in turn
    snapshot-pg, snapshot-mysql  ten million rows into Avro files beside COPY, beside mariadb-dump
    snapshot-oltp  pgbench with and without a load of a large table
    mysql-files  MariaDB into Avro files beside `mariadb-binlog -R --raw`; one transaction of 2 GB
    mysql-kafka  MySQL into Kafka beside Debezium and beside a bare transactional producer
"""
import argparse
import json
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import fastavro                                     # noqa: E402

from tests.bench.kafka import KafkaParts                  # noqa: E402
from tests.bench.measure import MB, Measured, records_in, row_of    # noqa: E402
from tests.bench.mysql import MysqlParts                  # noqa: E402
from tests.bench.snapshot import SnapshotParts              # noqa: E402
from tests.bench.targets import TargetParts               # noqa: E402
from tests.lib import results                             # noqa: E402
from tests.lib.agent import Agent, PROGRAM, wait_for      # noqa: E402
from tests.lib.judge import position                      # noqa: E402
from tests.lib.pg import Postgres, lsn_number             # noqa: E402

PARTS = ("files", "sqlite", "huge", "down", "independent", "kafka", "debezium", "latency", "broker-down",
         "postgres-target", "mysql-files", "mysql-kafka", "snapshot-pg", "snapshot-mysql", "snapshot-oltp")
SETTINGS = {"shared_buffers": "'512MB'", "max_wal_size": "'4GB'", "logical_decoding_work_mem": "'256MB'",
            "wal_sender_timeout": "0"}


class Bench(KafkaParts, MysqlParts, SnapshotParts, TargetParts):
    root = ROOT

    def __init__(self, args, folder):
        super().__init__()
        self.args, self.folder = args, Path(folder)
        self.scale = args.scale
        self.server = Postgres(15, settings=SETTINGS)
        self.serial = 0
        self.rows, self.checks, self.agents = [], [], []

    def check(self, what, value, limit, unit=""):
        self.checks.append({"what": what, "value": round(value, 3), "limit": limit, "unit": unit,
                            "result": "ok" if value <= limit else "MISSED"})

    def load(self, name, statements):
        """A database with a slot and a publication from before the load."""
        db = self.server.database(name, (ROOT / "tests/bench/workload.sql").read_text())
        db.script(f"create publication {name} for table stock_move")
        db.sql(f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")
        begun = time.monotonic()
        for s in statements:
            db.sql(s)
        db.end = db.lsn()
        db.sql("checkpoint")
        print(f"{name}: loaded in {time.monotonic() - begun:.0f} s", flush=True)
        return db

    def unload(self, db):
        for (slot,) in db.sql("select slot_name from pg_replication_slots where database = %s", (db.name,)):
            self.drop_slot(db, slot)
        db.close()
        with self.server.connect() as c:
            c.execute(f"drop database {db.name}")

    def drop_slot(self, db, slot):
        wait_for(lambda: not db.slot(slot)["active"], 30, f"slot {slot} to be free")
        db.sql("select pg_drop_replication_slot(%s)", (slot,))

    def slot(self, db):
        self.serial += 1
        name = f"{db.name}_{self.serial}"
        db.sql("select pg_copy_logical_replication_slot(%s, %s)", (db.name, name))
        return name

    # --- one run each

    def limit(self, db):
        slot = self.slot(db)
        log = self.folder / "limit.log"
        run = Measured([self.server.bin / "pg_recvlogical", "-h", "127.0.0.1", "-p", self.server.port, "-U",
                        "postgres", "-d", db.name, "--slot", slot, "--start", "-f", "/dev/null", "-E", db.end,
                        "--no-loop", "-o", "proto_version=1", "-o", f"publication_names={db.name}"], log).wait()
        self.drop_slot(db, slot)
        return run

    def agent(self, db, sinks, more=None, **sections):
        slot = self.slot(db)
        folder = self.folder / slot
        settings = {"files": {"type": "files", "path": folder / "lake"},
                    "sqlite": {"type": "sqlite", "path": folder / "copy.db"},
                    "stuck": {"type": "sqlite", "path": folder / "stuck.db"}, **(more or {})}
        if "kafka" in sinks:
            settings["kafka"] = {"type": "kafka", "brokers": self.broker.address}
        sections.setdefault("source", {}).update(slot=slot, publication=db.name)
        self.agents.append(Agent(folder, db.url(), tables="public.stock_move", name=slot,
                                 program=self.args.program, sinks={s: dict(settings[s]) for s in sinks},
                                 **sections))
        return self.agents[-1]

    def catch_up(self, db, kind, changes):
        agent = self.agent(db, [kind])
        run = Measured([agent.program, "run", "-c", agent.conf, "--until-idle"], agent.log_path).wait()
        if kind == "files" and records_in(agent.sinks["files"]["path"]) != changes:
            raise SystemExit(f"{agent.folder}: the files do not hold {changes} records")
        if kind == "kafka":
            self.must_hold(f"{agent.name}.public.stock_move", changes)
        self.finish(db, agent)
        return run

    def finish(self, db, agent):
        agent.kill()
        self.drop_slot(db, agent.slot)
        shutil.rmtree(agent.folder)

    # --- parts

    def transactions(self):
        """(transactions for gen(), changes that follow from them)"""
        n = max(2, int(20000 * self.scale) // 2 * 2)
        return n, n * 25 + n // 2 * 25

    def small(self):
        """The ledger, at the end of the server's log: an agent reads on past it, through what other parts have written."""
        n, changes = self.transactions()
        db = getattr(self, "small_db", None)
        if db and lsn_number(db.lsn()) - lsn_number(db.end) > 16 * MB:
            self.unload(db)
            db = None
        if not db:
            self.small_db = self.load("ledger", [f"call gen({n}, 25)"])
        return self.small_db, changes

    def part_files(self):
        self.beside_limit("files", 1.15)

    def part_sqlite(self):
        self.beside_limit("sqlite", None)

    def beside_limit(self, kind, most):
        db, changes = self.small()
        limits, runs = [], []
        for i in range(self.args.times):
            limits.append(self.limit(db))
            runs.append(self.catch_up(db, kind, changes))
            print(f"{kind} {i + 1}: limit {limits[-1].wall:.2f} s, tailrace {runs[-1].wall:.2f} s", flush=True)
        self.rows += [row_of(f"pg_recvlogical (beside {kind})", limits, changes),
                      row_of(f"catch-up into {kind}", runs, changes)]
        ratio = self.rows[-1]["seconds"] / self.rows[-2]["seconds"]
        self.rows[-1]["ratio"] = round(ratio, 3)
        if most:
            self.check(f"catch-up into {kind} against the limit", ratio, most, "x")
            self.check(f"peak memory, catch-up into {kind}", self.rows[-1]["peak_mb"], 64, "MB")

    def part_huge(self):
        n = int(5_000_000 * self.scale)
        db = self.load("huge", [f"insert into stock_move select * from moves(0, {n})"])
        limit = self.limit(db)
        run = self.catch_up(db, "files", n)
        self.rows += [row_of(f"pg_recvlogical, one transaction of {n} rows", [limit], n),
                      row_of(f"one transaction of {n} rows into files", [run], n)]
        self.rows[-1]["ratio"] = round(run.wall / limit.wall, 3)
        self.check("peak memory, one huge transaction", self.rows[-1]["peak_mb"], 64, "MB")
        self.unload(db)

    def part_down(self):
        """The load runs while the agent does; SQLite's file is locked by somebody else all the time."""
        n, changes = self.transactions()
        db = self.load("down", [])
        agent = self.agent(db, ["files", "stuck"], http={"listen": "off"}).with_http()
        agent.sinks["files"]["roll_interval"] = "1s"
        agent.write_config()
        run = Measured([agent.program, "run", "-c", agent.conf], agent.log_path)
        agent.process = run.process
        agent.wait_streaming()
        lock = self.lock(agent)
        begun = time.monotonic()
        db.sql(f"call gen({n}, 25)")
        last = self.mark(db)
        self.reach(agent, "files", last)
        wall = time.monotonic() - begun
        peak = run.peak
        lock.close()
        released = time.monotonic()
        self.reach(agent, "stuck", last)
        behind = time.monotonic() - released
        agent.process = None
        run.process.terminate()
        run.wait()
        c = sqlite3.connect(agent.sinks["stuck"]["path"])
        have = c.execute("select count(*), sum(qty * 1000) from stock_move").fetchone()
        c.close()
        want = db.sql("select count(*), sum(qty * 1000)::float8 from stock_move")[0]
        if have[0] != want[0] or abs(have[1] - want[1]) > 1 or records_in(agent.sinks["files"]["path"]) != changes + 1:
            raise SystemExit(f"down: {have} in the copy, {want} in the source")
        self.rows += [{"what": "load with one sink down, until files had it", "seconds": round(wall, 2),
                       "changes_s": round(changes / wall), "peak_mb": round(peak / MB, 1)},
                      {"what": "the sink that was down catches up", "seconds": round(behind, 2),
                       "changes_s": round(changes / behind), "peak_mb": round(run.peak / MB, 1),
                       "cpu_us": round(run.cpu / changes * 1e6, 2)}]
        self.check("peak memory, a sink down for the whole load and its catch-up", run.peak / MB, 64, "MB")
        self.finish(db, agent)
        self.unload(db)

    def lock(self, agent):
        lock = sqlite3.connect(agent.sinks["stuck"]["path"], isolation_level=None, timeout=30,
                               check_same_thread=False)
        lock.execute("begin exclusive")
        return lock

    def mark(self, db):
        """One more transaction; gives a place in the log that lies just before its commit."""
        lsn = lsn_number(db.lsn())
        db.sql("insert into stock_move select * from moves(-1, 1)")
        return lsn

    def reach(self, agent, sink, lsn):
        """Waits until a sink has committed a transaction that ends after lsn."""
        def there():
            agent.must_run()
            code, body = agent.get("/status")
            at = next(s["position"] for s in json.loads(body)["sinks"] if s["name"] == sink)
            return at and position(at)[2] >= lsn
        wait_for(there, 600, f"sink {sink} to reach the end", every=0.02)

    def part_independent(self):
        pairs = [(self.one_rate(["files"]), self.one_rate(["files", "stuck"])) for _ in range(self.args.times)]
        alone, beside = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        _, changes = self.transactions()
        self.rows += [{"what": "backlog into files, alone", "seconds": round(alone, 2),
                       "changes_s": round(changes / alone), "all_seconds": [round(p[0], 2) for p in pairs]},
                      {"what": "backlog into files beside a stuck sink", "seconds": round(beside, 2),
                       "changes_s": round(changes / beside), "ratio": round(beside / alone, 3),
                       "all_seconds": [round(p[1], 2) for p in pairs]}]
        self.check("time beside a stuck sink against alone", beside / alone, 1.1, "x")
        alone, beside = self.one_lag(["files"]), self.one_lag(["files", "stuck"])
        self.rows += [{"what": "median lag into files at 200 tx/s, alone", "lag_ms": round(alone)},
                      {"what": "median lag into files at 200 tx/s beside a stuck sink", "lag_ms": round(beside)}]
        self.check("lag beside a stuck sink less lag alone", beside - alone, 200, "ms")

    def one_rate(self, sinks):
        """Seconds that a stopped agent takes for a backlog once it goes on."""
        n, _ = self.transactions()
        db = self.load("rate", [])
        agent = self.agent(db, sinks).with_http()
        agent.sinks["files"]["roll_interval"] = "200ms"
        agent.write_config()
        agent.start()
        lock = self.lock(agent) if "stuck" in sinks else None
        if "kafka" in sinks:
            self.broker.kill()
        agent.process.send_signal(signal.SIGSTOP)
        db.sql(f"call gen({n}, 25)")
        last = self.mark(db)
        begun = time.monotonic()
        agent.process.send_signal(signal.SIGCONT)
        self.reach(agent, "files", last)
        wall = time.monotonic() - begun
        if lock:
            lock.close()
        self.finish(db, agent)
        self.unload(db)
        if "kafka" in sinks:
            self.broker.start()
        return wall

    def one_lag(self, sinks, seconds=10):
        """Milliseconds from a transaction's commit to the final name of the file that holds it."""
        db = self.load("lag", [])
        agent = self.agent(db, sinks)
        agent.sinks["files"]["roll_interval"] = "100ms"
        agent.write_config()
        agent.start()
        lock = self.lock(agent) if "stuck" in sinks else None
        if "kafka" in sinks:
            self.broker.kill()
        end, i = time.monotonic() + max(2, seconds * self.scale), 0
        while time.monotonic() < end:
            db.sql(f"insert into stock_move select * from moves({i}, 1)")
            i += 1
            time.sleep(0.004)
        time.sleep(1.5)
        lags = []
        for path in Path(agent.sinks["files"]["path"]).glob("*/v*/*.avro"):
            renamed = path.stat().st_ctime * 1000
            with open(path, "rb") as f:
                lags += [renamed - r["source"]["ts_us"] / 1000 for r in fastavro.reader(f)]
        if lock:
            lock.close()
        self.finish(db, agent)
        self.unload(db)
        if "kafka" in sinks:
            self.broker.start()
        if len(lags) < i * 0.9:
            raise SystemExit(f"lag: {len(lags)} of {i} transactions arrived")
        return statistics.median(lags)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", help=f"comma separated: {', '.join(PARTS)}, limit")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full workload")
    parser.add_argument("--times", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    parts = args.only.split(",") if args.only else PARTS
    folder = tempfile.mkdtemp(prefix="tailrace-bench-")
    bench = Bench(args, folder)
    try:
        with bench.server:
            for part in parts:
                if part == "limit":
                    db, changes = bench.small()
                    bench.rows.append(row_of("pg_recvlogical", [bench.limit(db) for _ in range(args.times)],
                                             changes))
                else:
                    getattr(bench, f"part_{part.replace('-', '_')}")()
    finally:
        for agent in bench.agents:
            agent.kill()
        bench.end_kafka()
        shutil.rmtree(folder, ignore_errors=True)
    print()
    results.table(bench.rows, ("what", "seconds", "changes_s", "ratio", "cpu_us", "peak_mb", "lag_ms", "p50_ms", "p99_ms", "threads"))
    print()
    results.table(bench.checks, ("what", "value", "unit", "limit", "result"))
    if not args.no_save:
        alone = {p.split("-")[0] for p in parts}
        name = f"bench-{alone.pop()}" if alone in ({"mysql"}, {"snapshot"}) else "bench"
        results.save(name, {"scale": args.scale, "times": args.times, "parts": list(parts),
                               "rows": bench.rows, "checks": bench.checks})
    return 1 if any(c["result"] != "ok" for c in bench.checks) else 0


if __name__ == "__main__":
    sys.exit(main())
