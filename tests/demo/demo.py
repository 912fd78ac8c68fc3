#!/usr/bin/env python3
"""make demo: an ERP-like database, a small workload, and the agent that carries it, compared row by row.

Starts a throwaway PostgreSQL 15 (--source mariadb: MariaDB 10.11), fills it, and starts writers; then the
agent with a SQLite and a files sink, which loads the rows that are there beside the changes that go on.
Shows a progress line, stops the writers, waits until everything has arrived, and compares.  --sink kafka adds a Kafka broker and a third sink.  --keep leaves
all of it running (the writers are gone) and says how to look at it.
"""
import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS_BEFORE = 30000
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lib import judge, judge_mysql, mysql, workload_mysql     # noqa: E402
from tests.lib.agent import Agent, AgentFailed, wait_for    # noqa: E402
from tests.lib.pg import Postgres                       # noqa: E402
from tests.lib.workload import SCHEMA, TABLES, Workload, Writer, connector  # noqa: E402


def say(text):
    print(text, flush=True)


def human(n):
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1024 or unit == "GB":
            return f"{n:.0f} {unit}"
        n /= 1024


def carried(agent):
    """Row changes seen by the agent so far, from its metrics."""
    total = 0
    for line in agent.get("/metrics")[1].splitlines():
        if line.startswith("tailrace_events_total"):
            total += float(line.rsplit(" ", 1)[1])
    return int(total)


def progress(agent, load, seconds):
    """One line, rewritten each second on a terminal, printed every five elsewhere."""
    terminal = sys.stdout.isatty()
    last, begun = carried(agent), time.monotonic()
    at = begun
    while time.monotonic() - begun < seconds:
        time.sleep(1 if terminal else 5)
        now, seen, s = time.monotonic(), carried(agent), agent.status()
        loads = [t["snapshot"] for t in s["tables"] if t["snapshot"]]
        copy = next(k for k in s["sinks"] if k["name"] == "copy")
        lag = copy["lag_seconds"] or 0
        line = (f"  {now - begun:4.0f} s   {load.transactions:6d} transactions written   {seen:7d} changes carried"
                f"   {(seen - last) / (now - at):6.0f}/s   lag {lag:4.1f} s   spool {human(s['spool']['bytes'])}"
                f"   loaded {sum(x['state'] == 'done' for x in loads)} of {len(loads)} tables")
        print(("\r" if terminal else "") + line, end="" if terminal else "\n", flush=True)
        last, at = seen, now
    if terminal:
        print()


class PostgresSource:
    """A throwaway server with the workload's tables, and what is told of it."""
    signal = "INT"

    def __init__(self):
        say("Starting a throwaway PostgreSQL 15 with an ERP-like database: " + ", ".join(TABLES))
        self.server = Postgres(15).start()
        self.db = self.server.database("erp", SCHEMA)
        self.judged, self.schema = self.db.conn, "public"
        self.connect, self.writer = connector(self.db), Writer
        self.shell = f'{self.server.bin}/psql "{self.db.url()}"'

    def fill(self, rows):
        self.db.sql("insert into stock values (990, 'OLD', 0, localtimestamp, 0)")
        self.db.sql("insert into stock_moves (warehouse, sku, qty, note) select 990, 'OLD', case when g %% 2 = 0 then 1 else -1 end,"
                    " 'from before ' || g from generate_series(1, %s) g", (rows,))
        self.db.sql("analyze")


class MariaDBSource:
    signal = "TERM"

    def __init__(self):
        say("Starting a throwaway MariaDB 10.11 with an ERP-like database: " + ", ".join(TABLES))
        self.server = mysql.MariaDB("10.11").start()
        self.db = self.server.database("erp", *workload_mysql.schema(self.server))
        self.judged, self.schema = judge_mysql.Source(self.db), "erp"
        self.connect, self.writer = workload_mysql.connector(self.db), workload_mysql.Writer
        self.shell = f"mariadb --host 127.0.0.1 --port {self.server.port} --user root erp"

    def fill(self, rows):
        self.db.sql("insert into stock values (990, 'OLD', 0, now(6), 0)")
        self.db.sql("insert into stock_moves (warehouse, sku, qty, note) select 990, 'OLD', if(seq % 2, -1, 1),"
                    f" concat('from before ', seq) from seq_1_to_{rows}")
        for table in TABLES:
            self.db.sql(f"analyze table {table}")


def loaded(agent):
    """Waits until every table is loaded, with the command that shows it."""
    def states():
        return {t["state"] for t in json.loads(agent("snapshot", "list", "--json").stdout)["tables"]}
    wait_for(lambda: states() == {"done"}, 120, "the tables to be loaded")
    say(f"{os.path.relpath(agent.program)} snapshot list:")
    for line in agent("snapshot", "list").stdout.splitlines():
        say("  " + line)


def drained(agent, db):
    """Whether the copy has every transaction of the manifest."""
    want = db.one("select count(*) from tx_manifest")
    have = len(judge.sqlite_rows(agent.copy, "tx_manifest", ["seq"]))
    return want == have


def filed(lake, source):
    """How many transactions of the manifest the files have.  One that was streamed may have been loaded, too."""
    return len({(r["after"]["writer"], r["after"]["seq"]) for r in lake.records(f"{source.schema}.tx_manifest")})


def compare(agent, source):
    """Prints the verdict; gives whether all is equal."""
    names = [f"{source.schema}.{t}" for t in TABLES]
    bad, rows = judge.judge_sqlite(source.judged, agent.copy, names)
    bad_files, _ = judge.judge_files(source.judged, agent.lake, names)
    lake = judge.Lake(agent.lake)
    say("")
    say(f"  {'table':14} {'source':>8} {'sqlite':>8} {'changes in files':>17}")
    for name in names:
        table = name.split(".")[1]
        copied = len(judge.sqlite_rows(agent.copy, table, ["rowid"]))
        say(f"  {table:14} {rows[name]:8} {copied:8} {len(lake.records(name)):17}")
    say("")
    for complaint in bad + bad_files:
        say(f"  DIFFERENT: {complaint}")
    total = sum(rows.values())
    if not bad:
        say(f"Source and copy are equal: {total} rows in {len(names)} tables, compared row by row.")
    if not bad_files:
        say("The Avro files, replayed, give the same rows: every change once, every transaction whole.")
    return not bad and not bad_files


def compare_kafka(broker, source):
    """The same for what a read_committed consumer sees, with a client that is not ours."""
    from tests.lib import kafka
    names = [f"{source.schema}.{t}" for t in TABLES]
    bad, _ = kafka.judge_kafka(source.judged, broker, names, transactions=True)
    for complaint in bad:
        say(f"  DIFFERENT: {complaint}")
    topics = broker.topics()
    say("Kafka topics: " + ", ".join(f"{t} ({topics[t]})" for t in sorted(topics) if not t.startswith("__")))
    if not bad:
        say("The topics, read at read_committed, give the same rows: every change once, in order, every transaction whole.")
    return not bad


def start_kafka(agent, partitions=3):
    from tests.lib import kafka
    say("Starting a throwaway Kafka 3.9 broker (it is fetched from Maven Central once)")
    broker = kafka.Kafka().start()
    agent.sinks["bus"] = {"type": "kafka", "brokers": broker.address, "partitions": partitions}
    agent.write_config()
    return broker


def keep(agent, source, broker):
    server = source.server
    conf, program = shlex.quote(str(agent.conf)), os.path.relpath(agent.program)
    say(f"""
It goes on running. To look at it:
  {program} status -c {conf}
  {program} events -c {conf} --table {source.schema}.orders | head
  curl -s http://127.0.0.1:{agent.port}/metrics | grep ^tailrace      (or the page / in a browser)
  {source.shell}      write there, and see it arrive:
  python3 -c "import sqlite3; print(sqlite3.connect('{agent.copy}').execute('select * from orders limit 3').fetchall())"
  ls -R {agent.lake}
To stop it and remove everything:
  kill {agent.process.pid}; kill -{source.signal} {server.pid}; sleep 2; rm -rf {agent.folder.parent} {server.folder}""")
    if broker:
        say(f"and the broker at {broker.address}:\n  kill -9 -- -{broker.process.pid}; rm -rf {broker.folder}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--keep", action="store_true", help="leave database and agent running")
    p.add_argument("--source", choices=("postgres", "mariadb"), default="postgres", help="the database")
    p.add_argument("--sink", choices=("kafka",), help="one more sink, with its server")
    p.add_argument("--seconds", type=float, default=20, help="how long the workload writes")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="tailrace-demo-"))
    source = agent = broker = load = None
    kept = ok = False
    try:
        source = MariaDBSource() if a.source == "mariadb" else PostgresSource()
        db = source.db
        agent = Agent(folder / "agent", db.url(), tables=f"{source.schema}.*", snapshot={"mode": "initial"})
        agent.sinks["lake"]["roll_interval"] = "5s"
        if a.sink:
            broker = start_kafka(agent)
        agent.with_http()
        say(f"Filling it: {ROWS_BEFORE} stock moves; and four clients begin to write: whole and rolled-back transactions,"
            " key changes, large values")
        source.fill(ROWS_BEFORE)
        load = Workload(source.connect, writers=4, pause=0.004, kind=source.writer).start()
        time.sleep(3)
        say(f"{load.transactions} transactions are there already: they are loaded, while the clients go on")
        say(f"Starting the agent: {os.path.relpath(agent.program)} run -c {agent.conf}")
        agent.start(prefix=("setsid",) if a.keep else ())
        progress(agent, load, a.seconds)
        loaded(agent)
        load.stop()
        say(f"Writers stopped: {load.transactions} transactions. Waiting for the last of them ...")
        begun = time.monotonic()
        wait_for(lambda: drained(agent, db), 60, "the copy to be complete")
        say(f"Arrived after {time.monotonic() - begun:.1f} s. Rolling the files ...")
        want = db.one("select count(*) from tx_manifest")
        lake = judge.Lake(agent.lake)
        wait_for(lambda: not lake.leftovers() and filed(lake, source) == want, 60, "the files to be complete", every=0.5)
        ok = compare(agent, source)
        if broker:
            wait_for(lambda: agent.sink_status("bus")["lag_events"] == 0, 60, "Kafka to be complete")
            ok &= compare_kafka(broker, source)
        if a.keep:
            keep(agent, source, broker)
            kept = True
        else:
            agent.stop()
    except (AgentFailed, RuntimeError, subprocess.CalledProcessError) as e:
        say(f"demo failed: {e}")
        if agent:
            say(agent.log_tail())
    finally:
        if load:
            for writer in load.writers:
                writer.halt.set()
        if not kept:
            if agent:
                agent.kill()
            if source:
                source.server.destroy()
            if broker:
                broker.destroy()
            subprocess.run(["rm", "-rf", str(folder)], check=False)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
