"""The parts of the bench that need a broker."""
import asyncio
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.measure import MB
from tests.lib.agent import wait_for
from tests.lib.kafka import Kafka
from tests.lib.pg import ROOT, as_server_user, free_port, lsn_number, server_user

DEBEZIUM = ("3.9.1", "3.3.1.Final")
PER_SECOND = 200
WARM_UP = 5         # seconds of a latency run that do not count

# As a broker runs elsewhere: its own segments and compiler, unlike the tests'.
BROKER = {"log.segment.bytes": "1073741824", "num.partitions": "1"}


class Broker(Kafka):
    def java(self, heap, *argv):
        server = "kafka.Kafka" in argv
        plain = super().java("-Xmx512m" if server else heap, *argv)
        return [a for a in plain if not (server and a.startswith(("-XX:Tiered", "-XX:+UseSerial")))]

    def create(self, *topics):
        async def create():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
            await admin.start()
            try:
                await admin.create_topics([NewTopic(t, 1, 1) for t in topics])
            finally:
                await admin.close()
        asyncio.run(create())


class Connect:
    """A distributed worker of Kafka Connect, exactly-once on, with Debezium's connectors."""

    def __init__(self, broker):
        home = Path(subprocess.run([ROOT / "tests/servers/connect.sh", *DEBEZIUM], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.strip())
        self.folder = Path(tempfile.mkdtemp(prefix="tailrace-connect-"))
        self.port = free_port()
        topics = {f"{kind}.storage.{what}": value for kind in ("config", "offset", "status")
                  for what, value in (("topic", f"connect-{kind}"), ("replication.factor", 1))}
        values = {"bootstrap.servers": broker.address, "group.id": "connect", **topics,
                  "offset.storage.partitions": 1, "status.storage.partitions": 1,
                  "exactly.once.source.support": "enabled", "plugin.path": home / "plugins",
                  "key.converter": "org.apache.kafka.connect.json.JsonConverter",
                  "value.converter": "org.apache.kafka.connect.json.JsonConverter",
                  "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
                  "listeners": f"http://127.0.0.1:{self.port}", "rest.advertised.host.name": "127.0.0.1"}
        config = self.folder / "worker.properties"
        config.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
        if server_user():
            shutil.chown(self.folder, server_user())
        self.log = self.folder / "out.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                as_server_user(["java", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
                                f"{home}/libs/*", "org.apache.kafka.connect.cli.ConnectDistributed",
                                str(config)]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: self.ask("GET", "/connectors", may_fail=True) is not None, 180, "Kafka Connect")

    def ask(self, method, path, body=None, may_fail=False):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            c.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            answer = c.getresponse()
            text = answer.read().decode()
            if answer.status < 300:
                return json.loads(text) if text else {}
            if may_fail:
                return None
            raise SystemExit(f"Kafka Connect: {method} {path}: {answer.status} {text}")
        except (OSError, http.client.HTTPException):
            if may_fail:
                return None
            raise
        finally:
            c.close()

    def running(self, name):
        status = self.ask("GET", f"/connectors/{name}/status", may_fail=True)
        states = [t["state"] for t in status["tasks"]] if status else []
        if "FAILED" in states:
            raise SystemExit(f"Debezium: {status}\n{self.log.read_text()[-3000:]}")
        return states == ["RUNNING"]

    def post(self, name, config):
        """A connector with Debezium's defaults, but for what exactly-once asks for."""
        self.ask("POST", "/connectors", {"name": name, "config": {
            "tasks.max": "1", "topic.prefix": name, "exactly.once.support": "required", **config}})

    def submit(self, name, db, slot):
        self.post(name, {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1", "database.port": str(db.server.port),
            "database.user": "postgres", "database.password": "none", "database.dbname": db.name,
            "table.include.list": "public.stock_move", "plugin.name": "pgoutput",
            "slot.name": slot, "publication.name": db.name, "publication.autocreate.mode": "disabled",
            "snapshot.mode": "no_data"})

    def peak(self):
        """Peak resident memory of the JVM, in bytes."""
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if f"{self.folder}/worker.properties" in (status.parent / "cmdline").read_text() \
                        and status.read_text().startswith("Name:\tjava"):
                    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines()
                                if line.startswith("VmHWM"))
            except OSError:
                pass
        return 0

    def destroy(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


class Retained:
    """Watches how much log a slot makes the server keep: its place now less what was confirmed."""

    def __init__(self, db, slot):
        self.db, self.slot, self.most, self.over = db, slot, 0, False
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        with self.db.connect() as c:
            while not self.over:
                n = c.execute("select pg_current_wal_lsn() - confirmed_flush_lsn from pg_replication_slots"
                              " where slot_name = %s", (self.slot,)).fetchone()[0]
                self.most = max(self.most, int(n))
                time.sleep(0.1)

    def stop(self):
        self.over = True
        self.thread.join()
        return self.most


class KafkaParts:
    """Mixed into the bench: one broker for all parts, started by the first."""

    def __init__(self):
        self._broker = self._connect = None
        self._built = {}

    @property
    def broker(self):
        if self._broker is None:
            self._broker = Broker(settings=BROKER).start()
        return self._broker

    @property
    def connect(self):
        if self._connect is None:
            self._connect = Connect(self.broker)
        return self._connect

    def end_connect(self):
        if self._connect:
            self._connect.destroy()
        self._connect = None

    def end_kafka(self):
        self.end_connect()
        if self._broker:
            self._broker.destroy()

    def built(self, name):
        """One of the C programs beside this file."""
        if name not in self._built:
            self._built[name] = self.folder / name
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", self._built[name],
                            ROOT / f"tests/bench/{name}.c", "-lrdkafka"], check=True)
        return self._built[name]

    def tool(self, name, *argv):
        """It, running."""
        return subprocess.Popen([self.built(name), *map(str, argv)], stdout=subprocess.PIPE, text=True)

    def reader(self, topic, count, idle=5):
        """A read_committed consumer; read() ends it."""
        process = self.tool("kafka_reader", self.broker.address, topic, count, int(idle * 1000))
        assert process.stdout.readline() == "ready\n"
        return process

    def read(self, reader):
        """(messages, monotonic second of the last, [(instant, age)], both in microseconds)"""
        lines = reader.communicate()[0].splitlines()
        if reader.returncode:
            raise SystemExit("kafka_reader failed")
        count, last = lines[0].split()
        return int(count), float(last), [tuple(map(int, line.split())) for line in lines[1:]]

    def must_hold(self, topic, changes):
        """And away with it."""
        count = self.read(self.reader(topic, changes + 1, 1))[0]
        if count != changes:
            raise SystemExit(f"{topic}: {count} messages, not {changes}")
        self.broker.delete_topic(topic)

    # --- catch-up

    def part_kafka(self):
        db, changes = self.small()
        self.broker
        self.catch_up(db, "kafka", changes)     # a broker's code is compiled while it runs
        self.beside_limit("kafka", 1.35)

    def part_debezium(self):
        """Counted from the connector's submission; the start of the worker's JVM does not count."""
        db, changes = self.small()
        ours, theirs = [], []
        for i in range(self.args.times):
            ours.append(self.catch_up(db, "kafka", changes).wall)
            theirs.append(self.one_debezium(db, changes))
            print(f"debezium {i + 1}: tailrace {ours[-1]:.2f} s, Debezium {theirs[-1]:.2f} s", flush=True)
        peak = self.connect.peak()
        us, them = statistics.median(ours), statistics.median(theirs)
        self.rows += [{"what": "catch-up into kafka (beside Debezium)", "seconds": round(us, 2),
                       "changes_s": round(changes / us), "all_seconds": [round(x, 2) for x in ours]},
                      {"what": "Debezium, exactly-once, until all could be read", "seconds": round(them, 2),
                       "changes_s": round(changes / them), "ratio": round(them / us, 2),
                       "peak_mb": round(peak / MB, 1), "all_seconds": [round(x, 2) for x in theirs]}]
        self.check("our time against Debezium's", us / them, 0.333, "x")

    def one_debezium(self, db, changes):
        slot = self.slot(db)
        topic = f"{slot}.public.stock_move"
        connect = self.connect
        self.broker.create(topic)
        reader = self.reader(topic, changes, 120)
        begun = time.monotonic()
        connect.submit(slot, db, slot)
        count, last, _ = self.read(reader)
        if count != changes:
            raise SystemExit(f"Debezium: {count} of {changes} messages\n{connect.log.read_text()[-3000:]}")
        self.end_connector(db, slot, topic)
        return last - begun

    def end_connector(self, db, slot, topic):
        self.connect.ask("DELETE", f"/connectors/{slot}")
        self.drop_slot(db, slot)
        self.broker.delete_topic(topic)

    # --- latency

    def part_latency(self):
        seconds = max(5, round(30 * self.scale))
        for what, run in (("a bare producer", self.bare_ages), ("tailrace", self.agent_ages),
                          ("Debezium", self.debezium_ages)):
            count = (seconds + WARM_UP) * PER_SECOND
            ages = run(count)
            if len(ages) != count:
                raise SystemExit(f"latency of {what}: {len(ages)} of {count} rows arrived")
            begun = min(at for at, _ in ages)
            late = sorted(us / 1000 for at, us in ages if at >= begun + WARM_UP * 1000000)
            p50, p95, p99 = (late[int(len(late) * p)] for p in (0.5, 0.95, 0.99))
            self.rows.append({"what": f"latency at {PER_SECOND} tx/s, {what}", "p50_ms": round(p50, 1),
                              "p95_ms": round(p95, 1), "p99_ms": round(p99, 1), "max_ms": round(late[-1], 1)})
            print(f"latency of {what}: p50 {p50:.1f} p95 {p95:.1f} p99 {p99:.1f} ms", flush=True)
            if what == "tailrace":
                self.check("latency to a read_committed consumer, p50", p50, 30, "ms")
                self.check("latency to a read_committed consumer, p99", p99, 80, "ms")
        self.end_connect()

    def bare_ages(self, count):
        self.broker.create("bare", "bare.checkpoints")
        reader = self.reader("bare", count, 10)
        producer = self.tool("kafka_bare", self.broker.address, "bare", count, PER_SECOND)
        ages = self.read(reader)[2]
        if producer.wait():
            raise SystemExit("kafka_bare failed")
        producer.stdout.close()
        return ages

    def tick(self, db, topic, count):
        reader = self.reader(topic, count, 10)
        db.sql(f"call ticks({count}, {PER_SECOND})")
        return self.read(reader)[2]

    def agent_ages(self, count):
        db = self.load("late", [])
        agent = self.agent(db, ["kafka"])
        topic = f"{agent.name}.public.stock_move"
        self.broker.create(topic)
        agent.start()
        ages = self.tick(db, topic, count)
        agent.stop()
        self.finish(db, agent)
        self.unload(db)
        return ages

    def debezium_ages(self, count):
        db = self.load("late", [])
        slot = self.slot(db)
        topic = f"{slot}.public.stock_move"
        self.broker.create(topic)
        self.connect.submit(slot, db, slot)
        wait_for(lambda: self.connect.running(slot) and db.slot(slot)["active"], 60, "Debezium to run")
        ages = self.tick(db, topic, count)
        self.end_connector(db, slot, topic)
        self.unload(db)
        return ages

    # --- the broker down

    def part_broker_down(self):
        pairs = [(self.one_rate(["files"]), self.one_rate(["files", "kafka"])) for _ in range(self.args.times)]
        alone, beside = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        _, changes = self.transactions()
        self.rows += [{"what": "backlog into files, no Kafka", "seconds": round(alone, 2),
                       "changes_s": round(changes / alone), "all_seconds": [round(p[0], 2) for p in pairs]},
                      {"what": "backlog into files, Kafka's broker down", "seconds": round(beside, 2),
                       "changes_s": round(changes / beside), "ratio": round(beside / alone, 3),
                       "all_seconds": [round(p[1], 2) for p in pairs]}]
        self.check("time with the broker down against no Kafka", beside / alone, 1.1, "x")
        alone, beside = self.one_lag(["files"]), self.one_lag(["files", "kafka"])
        self.rows += [{"what": "median lag into files at 200 tx/s, no Kafka", "lag_ms": round(alone)},
                      {"what": "median lag into files at 200 tx/s, Kafka's broker down", "lag_ms": round(beside)}]
        self.check("lag with the broker down less lag with no Kafka", beside - alone, 200, "ms")
        self.one_outage()

    def works(self, agent, sink):
        agent.must_run()
        sinks = json.loads(agent.get("/status")[1])["sinks"]
        return next(s["state"] for s in sinks if s["name"] == sink) == "ok"

    def one_outage(self, keep=64 * MB):
        """The load runs while the agent does and the broker does not; then the broker comes back."""
        n, changes = self.transactions()
        small, _ = self.small()
        self.broker
        full = [self.catch_up(small, "kafka", changes).wall for _ in range(2)][-1]
        db = self.load("outage", [])
        agent = self.agent(db, ["files", "kafka"], source={"retain_max": f"{keep // MB}MB"}).with_http()
        agent.start()
        self.broker.kill()
        watch = Retained(db, agent.slot)
        begun = lsn_number(db.lsn())
        db.sql(f"call gen({n}, 25)")
        last = self.mark(db)
        written = last - begun
        self.reach(agent, "files", last)
        retained = watch.stop()
        wait_for(lambda: not self.works(agent, "kafka"), 120, "the sink to miss its broker")
        self.broker.start()
        back = time.monotonic()
        wait_for(lambda: self.works(agent, "kafka"), 120, "the sink to have its broker again", every=0.02)
        again = time.monotonic()
        self.reach(agent, "kafka", last)
        behind = time.monotonic() - again
        agent.stop()
        self.must_hold(f"{agent.name}.public.stock_move", changes + 1)
        self.finish(db, agent)
        self.unload(db)
        self.rows += [{"what": "until the sink had its broker again", "seconds": round(again - back, 2)},
                      {"what": f"log retained of {written // MB} MB while the broker was down",
                       "peak_mb": round(retained / MB, 1)},
                      {"what": "catch-up into kafka (before the outage)", "seconds": round(full, 2),
                       "changes_s": round(changes / full)},
                      {"what": "Kafka catches up from there", "seconds": round(behind, 2),
                       "changes_s": round(changes / behind), "ratio": round(behind / full, 2)}]
        self.check("log retained while the broker was down", retained / MB, keep / MB, "MB")
        self.check("catch-up after the outage against full speed", behind / full, 2, "x")
