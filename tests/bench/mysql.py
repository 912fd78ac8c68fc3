"""The parts of the bench that read a binary log.

    mysql-files  MariaDB 10.11 into Avro files beside `mariadb-binlog -R --raw`, in turn; then one transaction of 2 GB
    mysql-kafka  MySQL 9.7 into Kafka, exactly once, beside Debezium and a bare transactional producer, in turn

There is no slot to copy: agents and Debezium's connector make their first start before the load, and go on after it.
"""
import contextlib
import re
import shutil
import statistics
import struct
import time

from tests.bench.measure import MB, Measured, records_in, row_of
from tests.lib import mysql
from tests.lib.agent import Agent, wait_for
from tests.lib.pg import ROOT

FILES, KAFKA = "mariadb10.11", "mysql9.7"
SETTINGS = {"innodb_flush_log_at_trx_commit": "0", "innodb_buffer_pool_size": "512M", "max_binlog_size": "1G"}
HUGE_ROWS = 20_500_000      # of about 104 bytes each
SAMPLE = 20000


def script():
    """CREATE TABLE and CREATE PROCEDURE, as the client reads them."""
    return re.split(r"DELIMITER \S+\n", (ROOT / "tests/bench/workload_mariadb.sql").read_text())[:2]


def workload(server):
    """CREATE TABLE and CREATE PROCEDURE gen(transactions, rows)."""
    table, procedure = script()
    if not server.is_mariadb:   # no sequences; MySQL 9 has no md5()
        procedure = procedure.replace("FROM seq_0_to_24", "FROM (WITH RECURSIVE s(seq) AS (SELECT 0 UNION ALL"
                                      " SELECT seq+1 FROM s WHERE seq<24) SELECT seq FROM s) s")
        procedure = procedure.replace("md5(b+seq)", "left(sha2(b+seq,256),32)")
    return table.strip().rstrip(";"), procedure.strip().removesuffix("//")


def one_statement(rows):
    """The workload's rows in one transaction; MariaDB."""
    insert = re.search(r"INSERT INTO stock_move SELECT .*?FROM seq_0_to_24", script()[1], re.S)[0]
    return insert.replace("b+seq", "seq").replace("seq_0_to_24", f"seq_0_to_{rows - 1}")


def by_thread(runs, changes):
    """CPU microseconds of each thread for a change; medians."""
    names = sorted({name for r in runs for name in r.threads})
    return {n: round(statistics.median(r.threads.get(n, 0) for r in runs) / changes * 1e6, 2) for n in names}


class Peer:
    """Debezium's MySQL connector.  Its offsets are taken before the load; each run begins at them again."""

    def __init__(self, bench, db):
        self.bench, self.connect, self.name = bench, bench.connect, f"{db.name}_peer"
        self.topic = f"{self.name}.{db.name}.stock_move"
        bench.broker.create(self.topic)
        self.connect.post(self.name, {
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "database.hostname": "127.0.0.1", "database.port": str(db.server.port), "database.user": "root",
            "database.password": "", "database.server.id": "5400", "database.include.list": db.name,
            "table.include.list": f"{db.name}.stock_move", "snapshot.mode": "no_data",
            "schema.history.internal.kafka.bootstrap.servers": bench.broker.address,
            "schema.history.internal.kafka.topic": f"{self.name}.history"})
        wait_for(lambda: self.connect.running(self.name), 180, "Debezium to run")
        self.offsets = self.begin(db)
        self.stop()

    def begin(self, db):
        """Offsets are kept once there is a message: rows are written until one arrives, then all of them has to."""
        first = self.bench.reader(self.topic, 1, 180)
        for i in range(180):
            db.sql("insert into stock_move (id, sku, warehouse_id, qty, moved_at, is_return)"
                   " values (%s, 'x', 1, 1, now(6), 0)", (-1 - i,))
            time.sleep(1)
            if first.poll() is not None:
                break
        if self.bench.read(first)[0] != 1:
            raise SystemExit(f"Debezium does not read {db.server}\n{self.connect.log.read_text()[-3000:]}")
        before = None
        while True:
            now = self.connect.ask("GET", self.path("offsets"))["offsets"]
            if now and now == before:
                return now
            before = now
            time.sleep(5)

    def path(self, what):
        return f"/connectors/{self.name}/{what}"

    def stop(self):
        self.connect.ask("PUT", self.path("stop"))
        wait_for(lambda: self.connect.ask("GET", self.path("status"))["connector"]["state"] == "STOPPED", 60,
                 "Debezium to stop")

    def run(self, changes):
        """Seconds from the order to go on until a read_committed consumer has all."""
        self.bench.broker.delete_topic(self.topic)
        wait_for(lambda: self.topic not in self.bench.broker.topics(), 60, f"topic {self.topic} to go")
        self.bench.broker.create(self.topic)
        wait_for(lambda: self.connect.ask("PATCH", self.path("offsets"), {"offsets": self.offsets}, may_fail=True) is not None,
                 60, "Debezium's offsets to be set")
        reader = self.bench.reader(self.topic, changes, 120)
        begun = time.monotonic()
        self.connect.ask("PUT", self.path("resume"))
        count, last, _ = self.bench.read(reader)
        if count != changes:
            raise SystemExit(f"Debezium: {count} of {changes} messages\n{self.connect.log.read_text()[-3000:]}")
        self.stop()
        return last - begun


class MysqlParts:
    """Mixed into the bench."""

    @contextlib.contextmanager
    def binlog_server(self, name):
        server = mysql.server(name, settings=SETTINGS, gtid=True)
        try:
            yield server.start()
        finally:
            server.destroy()

    def binlog_agent(self, db, kind):
        """Its first start is done."""
        self.serial += 1
        name = f"{db.name}_{self.serial}"
        folder = self.folder / name
        sink = {"files": {"type": "files", "path": folder / "lake"},
                "kafka": {"type": "kafka", "brokers": kind == "kafka" and self.broker.address}}[kind]
        agent = Agent(folder, db.url(), tables=f"{db.name}.stock_move", name=name, program=self.args.program,
                      sinks={kind: sink})
        self.agents.append(agent)
        agent.until_idle()
        return agent

    def binlog_load(self, db, statement):
        """Gives the file in which the load begins."""
        db.server.flush_logs()
        first = db.server.position()[0]
        begun = time.monotonic()
        db.sql(statement)
        size = sum(p.stat().st_size for p in db.server.binlogs() if p.name >= first)
        print(f"{db.name}: {size / MB:.0f} MB of binlog in {time.monotonic() - begun:.0f} s", flush=True)
        return first, size

    def binlog_limit(self, server, first):
        folder = self.folder / "raw"
        folder.mkdir()
        try:
            return Measured([mysql.mysqlbinlog(server), "--read-from-remote-server", "--raw", "--host=127.0.0.1",
                             f"--port={server.port}", "--user=root", "--to-last-log", f"--result-file={folder}/", first],
                            self.folder / "limit.log").wait()
        finally:
            shutil.rmtree(folder)

    def binlog_run(self, agent):
        return Measured([agent.program, "run", "-c", agent.conf, "--until-idle"], agent.log_path, threads=True).wait()

    def binlog_files(self, agent, changes):
        run = self.binlog_run(agent)
        have = records_in(agent.sinks["files"]["path"])
        if have != changes:
            raise SystemExit(f"{agent.folder}: {have} records in the files, not {changes}")
        shutil.rmtree(agent.folder)
        return run

    # --- files

    def part_mysql_files(self):
        n, changes = self.transactions()
        with self.binlog_server(FILES) as server:
            db = server.database("ledger", *workload(server))
            agents = [self.binlog_agent(db, "files") for _ in range(self.args.times)]
            first, _ = self.binlog_load(db, f"call gen({n}, 25)")
            limits, runs = [], []
            for i, agent in enumerate(agents):
                limits.append(self.binlog_limit(server, first))
                runs.append(self.binlog_files(agent, changes))
                print(f"mysql-files {i + 1}: limit {limits[-1].wall:.2f} s, tailrace {runs[-1].wall:.2f} s", flush=True)
            self.rows += [row_of("mariadb-binlog -R --raw (beside files)", limits, changes),
                          {**row_of("MariaDB 10.11 into files", runs, changes), "threads": by_thread(runs, changes)}]
            us, limit = self.rows[-1], self.rows[-2]
            us["ratio"] = round(us["seconds"] / limit["seconds"], 3)
            self.check("MariaDB into files against mariadb-binlog", us["ratio"], 3.5, "x")
            self.check("CPU for a change, MariaDB into files", us["cpu_us"], 1.7, "us")
            self.check("peak memory, MariaDB into files", us["peak_mb"], 64, "MB")
            db.sql("drop table stock_move")
            self.huge_binlog(server)

    def huge_binlog(self, server):
        rows = int(HUGE_ROWS * self.scale)
        db = server.database("huge", workload(server)[0])
        agent = self.binlog_agent(db, "files")
        first, size = self.binlog_load(db, one_statement(rows))
        limit = self.binlog_limit(server, first)
        run = self.binlog_files(agent, rows)
        self.rows += [row_of("mariadb-binlog -R --raw, one transaction", [limit], rows),
                      {**row_of(f"one transaction of {size // MB} MB into files", [run], rows),
                       "ratio": round(run.wall / limit.wall, 3), "threads": by_thread([run], rows)}]
        self.check(f"peak memory, one transaction of {size // MB} MB", self.rows[-1]["peak_mb"], 64, "MB")

    # --- Kafka

    def part_mysql_kafka(self):
        n, changes = self.transactions()
        with self.binlog_server(KAFKA) as server:
            db = server.database("ledger", *workload(server))
            peer = Peer(self, db)
            agents = [self.binlog_agent(db, "kafka") for _ in range(self.args.times + 1)]
            self.binlog_load(db, f"call gen({n}, 25)")
            self.binlog_kafka(agents[0], changes, sample=True)      # a broker's code is compiled while it runs
            ours, bare, theirs = [], [], []
            for i, agent in enumerate(agents[1:]):
                ours.append(self.binlog_kafka(agent, changes))
                bare.append(self.bare_rate(changes))
                theirs.append(peer.run(changes))
                print(f"mysql-kafka {i + 1}: tailrace {ours[-1].wall:.2f} s, a bare producer {bare[-1].wall:.2f} s,"
                      f" Debezium {theirs[-1]:.2f} s", flush=True)
            peak = self.connect.peak()
            self.end_connect()
        us, them = statistics.median(r.wall for r in ours), statistics.median(theirs)
        self.rows += [row_of("a bare transactional producer of such messages", bare, changes),
                      {**row_of("MySQL 9.7 into kafka", ours, changes), "threads": by_thread(ours, changes)},
                      {"what": "Debezium (MySQL), exactly-once, until all could be read", "seconds": round(them, 2),
                       "changes_s": round(changes / them), "ratio": round(them / us, 2), "peak_mb": round(peak / MB, 1),
                       "all_seconds": [round(x, 2) for x in theirs]}]
        self.rows[-2]["ratio"] = round(us / statistics.median(r.wall for r in bare), 3)
        self.check("MySQL into kafka: our time against Debezium's", us / them, 0.1, "x")
        self.check("MySQL into kafka: our time against a bare producer's", self.rows[-2]["ratio"], 1 / 0.6, "x")
        self.check("peak memory, MySQL into kafka", self.rows[-2]["peak_mb"], 64, "MB")

    def binlog_kafka(self, agent, changes, sample=False):
        run = self.binlog_run(agent)
        topic = f"{agent.name}.ledger.stock_move"
        if sample:
            self.keep_sample(topic)
        self.must_hold(topic, changes)
        shutil.rmtree(agent.folder)
        return run

    @property
    def sample(self):
        return self.folder / "sample"

    def keep_sample(self, topic):
        """What a bare producer sends: messages as ours, in size and in what can be compressed."""
        messages = self.broker.peek(topic, 3)[:SAMPLE]
        if not messages:
            raise SystemExit(f"{topic}: no messages to take a sample of")
        with open(self.sample, "wb") as f:
            for m in messages:
                f.write(struct.pack("<II", len(m.key), len(m.value)) + m.key + m.value)

    def bare_rate(self, changes):
        """A bare producer at its own speed; the topic holds as many messages as the agent's."""
        self.broker.create("full", "full.checkpoints")
        run = Measured([self.built("kafka_bare"), self.broker.address, "full", changes, 0, self.sample],
                       self.folder / "bare.log").wait()
        self.must_hold("full", changes)
        self.broker.delete_topic("full.checkpoints")
        wait_for(lambda: not {"full", "full.checkpoints"} & set(self.broker.topics()), 60, "topics to go")
        return run
