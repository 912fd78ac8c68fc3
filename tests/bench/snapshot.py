"""The parts of the bench that load tables which hold rows already.

    snapshot-pg     10 million rows of PostgreSQL into Avro files beside `COPY ... TO STDOUT (FORMAT binary)`, in turn
    snapshot-mysql  the same rows of MariaDB 10.11 beside `mariadb-dump --quick`, in turn
    snapshot-oltp   pgbench at half of the machine with and without a load at workers = 1, five pairs of runs

The clock of a load runs from exec to exit (snapshot.mode = only): slot, publication and the last file's rename are in it.
"""
import json
import shutil
import statistics
import subprocess
import time

from tests.bench.measure import MB, Measured, records_in, row_of
from tests.bench.mysql import FILES, one_statement, workload
from tests.lib.agent import Agent, AgentFailed, wait_for
from tests.lib.pg import ROOT

ROWS = 10_000_000
PAIRS = 5
PGBENCH_SCALE = 10      # a million accounts
PGBENCH = ("accounts", "branches", "tellers")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class SnapshotParts:
    """Mixed into the bench."""

    def table_rows(self):
        return int(ROWS * self.scale)

    def load_agent(self, db, schema, name):
        folder = self.folder / name
        agent = Agent(folder, db.url(), tables=f"{schema}.stock_move", name=name, program=self.args.program,
                      sinks={"files": {"type": "files", "path": folder / "lake"}}, snapshot={"mode": "only"})
        self.agents.append(agent)
        return agent

    def load_run(self, agent, rows):
        run = Measured([agent.program, "run", "-c", agent.conf], agent.log_path, threads=True).wait()
        have = records_in(agent.sinks["files"]["path"])
        if have != rows:
            raise SystemExit(f"{agent.folder}: {have} records in the files, not {rows}\n{agent.log_tail()}")
        shutil.rmtree(agent.folder)
        return run

    def shell_limit(self, command):
        """To /dev/null by the shell, as anybody would."""
        return Measured(["sh", "-c", f"exec {command} > /dev/null"], self.folder / "limit.log").wait()

    def beside_dump(self, what, limit, run, rows):
        limits, runs = [], []
        for i in range(self.args.times):
            limits.append(limit())
            runs.append(run(i))
            print(f"{what} {i + 1}: limit {limits[-1].wall:.2f} s, tailrace {runs[-1].wall:.2f} s", flush=True)
        self.rows += [row_of(f"limit beside {what}", limits, rows), row_of(what, runs, rows)]
        self.rows[-1]["ratio"] = round(self.rows[-1]["seconds"] / self.rows[-2]["seconds"], 3)
        self.rows[-1]["threads"] = {n: round(statistics.median(r.threads.get(n, 0) for r in runs) / rows * 1e6, 2)
                                    for n in sorted({n for r in runs for n in r.threads})}
        self.check(f"{what} against the limit", self.rows[-1]["ratio"], 1.5, "x")
        self.check(f"peak memory, {what}", self.rows[-1]["peak_mb"], 64, "MB")

    # --- PostgreSQL and MariaDB

    def filled(self, name, rows):
        db = self.server.database(name, (ROOT / "tests/bench/workload.sql").read_text())
        begun = time.monotonic()
        for first in range(0, rows, 1_000_000):
            db.sql(f"insert into stock_move select * from moves({first}, {min(1_000_000, rows - first)})")
        db.sql("vacuum analyze stock_move")     # hint bits: what reads first shall not write for the others
        db.sql("checkpoint")
        print(f"{name}: {rows} rows in {time.monotonic() - begun:.0f} s", flush=True)
        return db

    def part_snapshot_pg(self):
        rows = self.table_rows()
        db = self.filled("stock", rows)
        copy = (f"{self.server.bin / 'psql'} -h 127.0.0.1 -p {self.server.port} -U postgres -d {db.name} -qc"
                ' "COPY stock_move TO STDOUT (FORMAT binary)"')

        def run(i):
            agent = self.load_agent(db, "public", f"stock_{i}")
            done = self.load_run(agent, rows)
            self.drop_slot(db, agent.slot)
            return done
        self.beside_dump(f"PostgreSQL, {rows} rows into files", lambda: self.shell_limit(copy), run, rows)
        self.unload(db)

    def part_snapshot_mysql(self):
        rows = self.table_rows()
        with self.binlog_server(FILES) as server:
            db = server.database("stock", workload(server)[0])
            begun = time.monotonic()
            for first in range(0, rows, 1_000_000):
                statement = one_statement(min(1_000_000, rows - first)).replace("seq", f"(seq + {first})")
                db.sql(statement.replace(f"(seq + {first})_0_to", "seq_0_to"))
            db.sql("analyze table stock_move")
            print(f"{db.name}: {rows} rows in {time.monotonic() - begun:.0f} s", flush=True)
            dump = f"mariadb-dump --quick -h 127.0.0.1 -P {server.port} -u root {db.name} stock_move"
            self.beside_dump(f"MariaDB 10.11, {rows} rows into files", lambda: self.shell_limit(dump),
                             lambda i: self.load_run(self.load_agent(db, db.name, f"stock_{i}"), rows), rows)

    # --- an application beside it

    def pgbench(self, db, *argv):
        done = subprocess.run([str(self.server.bin / "pgbench"), "-h", "127.0.0.1", "-p", str(self.server.port), "-U",
                               "postgres", *map(str, argv), db.name], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(f"pgbench: {done.stdout[-2000:]}")
        return done.stdout

    def oltp_run(self, db, rate, seconds):
        """99th percentile, in milliseconds, of what took from when a transaction was due to its end."""
        for old in self.folder.glob("oltp.*"):
            old.unlink()
        self.pgbench(db, "-c", 2, "-j", 1, "-n", "-T", seconds, "-R", rate, "-l", "--log-prefix=oltp")
        took = [int(line.split()[2]) / 1000 for path in self.folder.glob("oltp.*") for line in path.read_text().splitlines()]
        return percentile(took, 0.99)

    def table_state(self, agent):
        listed = json.loads(agent("snapshot", "list", "--json").stdout)["tables"]
        return {t["name"]: t for t in listed}["stock_move"]["state"]

    def loading(self, agent, on):
        """The load of the large table goes on while a run does."""
        if on:
            agent("snapshot", "start", "public.stock_move")
            try:
                wait_for(lambda: self.table_state(agent) == "running", 30, "the load to run")
            except AgentFailed as e:
                raise AgentFailed(f"{e}: {self.table_state(agent)}\n{agent.log_tail()}") from None
        elif self.table_state(agent) != "running":
            raise AgentFailed("the load ended before the run did: more rows are needed")
        else:
            agent("snapshot", "cancel", "public.stock_move")
            wait_for(lambda: self.table_state(agent) == "cancelled", 30, "the load to end")

    def part_snapshot_oltp(self):
        seconds = max(3, int(30 * self.scale))
        db = self.filled("oltp", self.table_rows())
        self.pgbench(db, "-i", "-q", "-s", max(1, int(PGBENCH_SCALE * self.scale)))
        top = self.pgbench(db, "-c", 2, "-j", 1, "-n", "-T", seconds)
        rate = float(next(line for line in top.splitlines() if line.startswith("tps")).split("=")[1].split()[0]) / 2
        folder = self.folder / "oltp-agent"
        agent = Agent(folder, db.url(), name="oltp", program=self.args.program,
                      tables=", ".join(["public.stock_move", *(f"public.pgbench_{t}" for t in PGBENCH)]),
                      sinks={"files": {"type": "files", "path": folder / "lake"}},
                      snapshot={"mode": "never", "workers": 1})
        self.agents.append(agent)
        agent.start()
        pairs = []
        for i in range(PAIRS):
            found = {}
            for on in (False, True) if i % 2 == 0 else (True, False):
                if on:
                    self.loading(agent, True)
                found[on] = self.oltp_run(db, rate, seconds)
                if on:
                    self.loading(agent, False)
            pairs.append((found[False], found[True]))
            print(f"snapshot-oltp {i + 1}: p99 {found[False]:.2f} ms without, {found[True]:.2f} ms with", flush=True)
        agent.stop()
        rise = statistics.median(b / a for a, b in pairs)
        self.rows += [{"what": f"pgbench at {rate:.0f} tx/s, no load", "p99_ms": round(statistics.median(a for a, _ in pairs), 2),
                       "all_ms": [round(a, 2) for a, _ in pairs]},
                      {"what": f"pgbench at {rate:.0f} tx/s beside a load, workers = 1", "ratio": round(rise, 3),
                       "p99_ms": round(statistics.median(b for _, b in pairs), 2), "all_ms": [round(b, 2) for _, b in pairs]}]
        self.check("99th percentile of pgbench beside a load against alone", rise, 1.15, "x")
        self.finish(db, agent)
        self.unload(db)
