"""Throwaway Kafka brokers (KRaft), one or three, and a reader of topics that is not librdkafka.

A broker lives in a temporary folder on free loopback ports and is run by an unprivileged user.  The
reader is aiokafka at read_committed: what it sees is what counts.
"""
import asyncio
import functools
import io
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import aiokafka
import fastavro
import aiokafka.errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from . import judge
from .pg import ROOT, as_server_user, free_port, server_user

VERSIONS = ("3.9.1", "4.3.1")
CHECKPOINTS = "tailrace.checkpoints"

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "true",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.segment.bytes": "16777216",
}

logging.getLogger("aiokafka").setLevel(logging.ERROR)

Message = namedtuple("Message", "topic partition offset key value headers")


@functools.lru_cache(maxsize=None)
def jars(version):
    return subprocess.run([ROOT / "tests/servers/kafka.sh", version], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


async def close(consumer):
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        pass    # of a task of its own


class Reader:
    """What one can ask of a broker or a cluster: self.address is where."""

    def topics(self):
        """name -> number of partitions"""
        return asyncio.run(self._topics(None))

    async def _ends(self, parts):
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=self.address)
        await consumer.start()
        try:
            return await consumer.end_offsets(parts)
        finally:
            await close(consumer)

    async def _admin(self, what):
        """what(client), awaited."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            return await what(admin)
        finally:
            await admin.close()

    def delete_topic(self, name):
        asyncio.run(self._admin(lambda admin: admin.delete_topics([name])))

    def add_partitions(self, name, total):
        asyncio.run(self._admin(lambda admin: admin.create_partitions({name: NewPartitions(total)})))

    def settings(self, topic):
        """name -> value, as the topic has them"""
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        found = asyncio.run(self._admin(lambda admin: admin.describe_configs(asked)))
        return {entry[0]: entry[1] for r in found for entry in r.resources[0][4]}

    def set(self, topic, **settings):
        """Settings of a topic, all of them: what is not named gets its default."""
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, {k.replace("_", "."): v for k, v in settings.items()})]
        asyncio.run(self._admin(lambda admin: admin.alter_configs(wanted)))

    def replicas(self, topic):
        """How many copies there are of the topic's first partition."""
        found = asyncio.run(self._admin(lambda admin: admin.describe_topics(None)))
        return next(len(p["replicas"]) for t in found if t["topic"] == topic for p in t["partitions"])

    def leader(self, topic, partition=0):
        """The node that leads a partition; None: nobody."""
        found = asyncio.run(self._admin(lambda admin: admin.describe_topics(None)))     # by name it would be made
        nodes = [p["leader"] for t in found if t["topic"] == topic for p in t["partitions"] if p["partition"] == partition]
        return nodes[0] if nodes and nodes[0] > 0 else None

    async def _topics(self, names):
        found = await self._admin(lambda admin: admin.describe_topics(names))
        return {t["topic"]: len(t["partitions"]) for t in found}

    def read(self, topic, committed=True, timeout=30):
        """Every message of a topic up to its end as it is now, in order within each partition.  The
        end is the one for read_uncommitted: a commit's markers are written after its answer."""
        return asyncio.run(self._read(topic, committed, timeout))

    def peek(self, topic, seconds=1.0):
        """What a read_committed consumer sees now, whatever transaction is open."""
        return asyncio.run(self._read(topic, True, seconds, short=True))

    async def _read(self, topic, committed, timeout, short=False):
        level = "read_committed" if committed else "read_uncommitted"
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=self.address, isolation_level=level,
                                             auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        out, end = [], time.monotonic() + timeout
        try:
            count = (await self._topics([topic]))[topic]
            parts = [TopicPartition(topic, p) for p in range(count)]
            consumer.assign(parts)
            ends = await self._ends(parts)
            for p in parts:
                await consumer.seek_to_beginning(p)
            while any([await consumer.position(p) < ends[p] for p in parts]):
                for batch in (await consumer.getmany(*parts, timeout_ms=200)).values():
                    end = end if short else time.monotonic() + timeout      # it moves: that is enough
                    out += [Message(m.topic, m.partition, m.offset, m.key, m.value, m.headers) for m in batch]
                if time.monotonic() > end and short:
                    break
                if time.monotonic() > end:
                    raise AssertionError(f"{topic} cannot be read to its end {ends}: an open transaction?")
            return [m for m in out if m.offset < ends[TopicPartition(m.topic, m.partition)]]
        finally:
            await close(consumer)


class Kafka(Reader):
    """One broker.  outer: (port, advertised port) of a second listener, for clients that come through a
    proxy.  node: its number in a cluster, and the voters of all.  scram: name and password of a user."""

    def __init__(self, version="3.9.1", settings=None, outer=None, node=None, heap="256m", scram=None):
        self.version, self.heap = version, heap
        self.jars = jars(version)
        self.folder = Path(tempfile.mkdtemp(prefix="tailrace-kafka-"))
        self.number, controller, voters = node or (1, free_port(), None)
        self.port = free_port()
        self.process = None
        more, told = "", ""
        own = f",CONTROLLER://127.0.0.1:{controller}" if controller else ""
        if outer:
            more, told = f",OUTER://127.0.0.1:{outer[0]}", f",OUTER://127.0.0.1:{outer[1]}"
        values = {**SETTINGS, "node.id": str(self.number),
                  "controller.quorum.voters": voters or f"1@127.0.0.1:{controller}",
                  "listeners": f"PLAINTEXT://127.0.0.1:{self.port}{own}{more}",
                  "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}{told}",
                  "log.dirs": self.folder / "data", **(settings or {})}
        self.config = self.folder / "server.properties"
        self.config.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
        if server_user():
            shutil.chown(self.folder, server_user())
        users = ["--add-scram", f"SCRAM-SHA-256=[name={scram[0]},password={scram[1]}]"] if scram else []
        subprocess.run(self.java("-Xmx96m", "kafka.tools.StorageTool", "format", "-t",
                                 "MkU3OEVBNTcwNTJENDM2Qk", "-c", self.config, *users), check=True,
                       stdout=subprocess.DEVNULL)

    def java(self, heap, *argv):
        return as_server_user(["java", heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                               "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.jars}/*",
                               *map(str, argv)])

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def folders(self):
        return [self.folder]

    def launch(self):
        with open(self.folder / "out.log", "ab") as log:
            self.process = subprocess.Popen(self.java(f"-Xmx{self.heap}", "kafka.Kafka", self.config),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def wait_up(self, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "out.log").read_text()[-3000:]) from None
                time.sleep(0.3)

    def start(self, timeout=60):
        self.launch()
        self.wait_up(timeout)
        return self

    def signal(self, sig):
        os.killpg(self.process.pid, sig)

    def kill(self):
        """kill -9, as a crash."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait(30)
        self.process = None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.process.wait(60)
        self.process = None

    def destroy(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "controlled.shutdown.enable": "true",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "leader.imbalance.check.interval.seconds": "5",
    "replica.lag.time.max.ms": "6000",
}


class Pair(Reader):
    """A broker and its controller, each a process.  Only the broker is killed, and it is started again when the
    controller has noticed.  A broker of Kafka 4 that is its own controller (or comes back earlier) leaves
    transactions without their end now and then: it begins to end what was prepared, then sees the partitions
    without a leader, for an instant, and takes them for deleted (TransactionMarkerChannelManager: "likely
    deleted already and hence can be skipped")."""
    SESSION = 6.0

    def __init__(self, version="3.9.1"):
        self.version, port = version, free_port()
        voters = f"2@127.0.0.1:{port}"
        both = {"broker.session.timeout.ms": str(int(self.SESSION * 1000)), "broker.heartbeat.interval.ms": "500"}
        self.controller = Kafka(version, {**both, "process.roles": "controller",
                                          "listeners": f"CONTROLLER://127.0.0.1:{port}",
                                          "advertised.listeners": f"CONTROLLER://127.0.0.1:{port}"},
                                node=(2, port, voters), heap="96m")
        self.controller.port = port
        self.broker = Kafka(version, {**both, "process.roles": "broker"}, node=(1, None, voters))
        self.killed = None

    @property
    def address(self):
        return self.broker.address

    @property
    def folders(self):
        return [self.broker.folder, self.controller.folder]

    def start(self, timeout=60):
        if self.controller.process is None:
            self.controller.start(timeout)
        if self.killed is not None:
            time.sleep(max(0, self.killed + self.SESSION + 1 - time.monotonic()))
        self.broker.start(timeout)
        return self

    def kill(self):
        self.broker.kill()
        self.killed = time.monotonic()

    def destroy(self):
        self.broker.destroy()
        self.controller.destroy()


class Cluster(Reader):
    """Three brokers, each of them a controller too; whatever is written is on two at least."""

    def __init__(self, version="3.9.1", settings=None, size=3):
        self.version = version
        controllers = [free_port() for _ in range(size)]
        voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(controllers))
        self.nodes = [Kafka(version, {**REPLICATED, **(settings or {})}, node=(i + 1, port, voters), heap="192m")
                      for i, port in enumerate(controllers)]

    @property
    def address(self):
        return ",".join(n.address for n in self.nodes)

    @property
    def folders(self):
        return [n.folder for n in self.nodes]

    def start(self, timeout=120):
        """One alone has no quorum and does not answer."""
        for n in self.nodes:
            if n.process is None:
                n.launch()
        for n in self.nodes:
            n.wait_up(timeout)
        return self

    def node(self, number):
        return self.nodes[number - 1]

    def wait_replicated(self, timeout=90):
        """Until every replica of every partition is in sync again."""
        async def behind():
            found = await self._admin(lambda admin: admin.describe_topics(None))
            return [(t["topic"], p["partition"]) for t in found for p in t["partitions"]
                    if len(p["isr"]) < len(p["replicas"])]
        end = time.monotonic() + timeout
        while True:
            try:
                left = asyncio.run(behind())
            except aiokafka.errors.KafkaError as e:
                left = [str(e)]
            if not left:
                return
            if time.monotonic() > end:
                raise AssertionError(f"not in sync again: {left[:5]}")
            time.sleep(0.5)

    def destroy(self):
        for n in self.nodes:
            n.destroy()


class Decoder:
    """Single-object encoding by the schemas of <pipeline>.schemas."""

    def __init__(self, broker, pipeline="erp"):
        self.text = {m.key.decode(): m.value.decode() for m in broker.read(f"{pipeline}.schemas")}
        self.parsed = {fp: fastavro.parse_schema(json.loads(text)) for fp, text in self.text.items()}

    def __call__(self, data):
        if data is None:
            return None
        assert data[:2] == b"\xc3\x01", data[:10]
        fingerprint = f"{struct.unpack('<Q', data[2:10])[0]:016x}"
        return fastavro.schemaless_reader(io.BytesIO(data[10:]), self.parsed[fingerprint])


BATCH = struct.Struct(">qiibIhiqqqhii")     # offset, bytes, epoch of the leader, magic, CRC, attributes, last ...
MARKERS = {0: "abort", 1: "commit"}


def batches(data):
    """What a partition's log file holds: (offset, producer, epoch, what) by batch; record batches of format 2.
    https://kafka.apache.org/documentation/#recordbatch"""
    at = 0
    while at + BATCH.size <= len(data):
        offset, size, _, magic, _, attributes, _, _, _, producer, epoch, _, count = BATCH.unpack_from(data, at)
        if magic != 2 or size <= 0:     # what is not written yet is zero
            return
        if attributes & 0x20:           # a marker: one record of length, attributes, two deltas, key (version, type)
            what = MARKERS.get(struct.unpack_from(">h", data, at + BATCH.size + 7)[0], "another marker")
        else:
            what = f"{count} records" + (" in a transaction" if attributes & 0x10 else "")
        yield offset, producer, epoch, what
        at += 12 + size


def tail(broker, topic, partition=0, count=30):
    """The end of a partition as it lies on disk, decided or not, one line a batch."""
    lines = []
    for folder in broker.folders:
        found = []
        for path in sorted(folder.glob(f"data/{topic}-{partition}/*.log")):
            found += batches(path.read_bytes())
        lines += [f"{folder.name} {topic}-{partition}@{offset}: producer {producer} epoch {epoch}: {what}"
                  for offset, producer, epoch, what in found[-count:]]
    return lines


def hanging(broker):
    """Transactions that have records and no end, in the partitions as they lie on disk."""
    lines = []
    for folder in broker.folders:
        for partition in sorted(folder.glob("data/*-*/")):
            begun = {}
            for path in sorted(partition.glob("*.log")) if not partition.name.startswith("__") else ():
                for offset, producer, epoch, what in batches(path.read_bytes()):
                    if what.endswith("in a transaction"):
                        begun.setdefault(producer, (offset, epoch))
                    else:
                        begun.pop(producer, None)
            lines += [f"{folder.name} {partition.name}@{offset}: producer {producer} epoch {epoch} has no end"
                      for producer, (offset, epoch) in begun.items()]
    return lines


def murmur2(data):
    """Kafka's hash of a key, written from its Java client's description."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    for i in range(0, len(data) - 3, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[len(data) & ~3:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


# --- the judge

def records_of(broker, topic, decode, bad):
    """[(position, record)] of a table's topic in the source's order; the order within each partition,
    keys and partitions are judged here.  Envelopes only."""
    out, truncates = [], {}
    partitions = broker.topics().get(topic)
    if partitions is None:
        return []
    last = {}
    for m in broker.read(topic):
        rec, key = decode(m.value), decode(m.key)
        at, op = judge.position(rec["source"]["position"]), rec["op"]
        before, before_op = last.get(m.partition, ((0, 0, 0, 0), None))
        if at < before or (at == before and (before_op, op) != ("d", "c")):
            bad.add(f"{topic}/{m.partition}@{m.offset}: {op} at {at} stands after {before_op} at {before}")
        last[m.partition] = at, op
        if op == "t":
            truncates.setdefault(at, []).append((m.partition, rec))
            continue
        image = rec["before" if op == "d" else "after"]
        if key is not None:
            if any(image[name] != value for name, value in key.items()):
                bad.add(f"{topic}@{at}: key {key} of row {image}")
            if m.partition != (murmur2(m.key[10:]) & 0x7FFFFFFF) % partitions:
                bad.add(f"{topic}@{at}: key {key} stands in partition {m.partition}")
        elif m.partition != 0:
            bad.add(f"{topic}@{at}: no key, but partition {m.partition}")
        out.append((at, op != "d", rec))
    for at, found in truncates.items():
        if sorted(p for p, _ in found) != list(range(partitions)):
            bad.add(f"{topic}@{at}: a truncate in partitions {sorted(p for p, _ in found)} of {partitions}")
        out.append((at, True, found[0][1]))
    out.sort(key=lambda r: r[:2])
    return [(at, rec) for at, _, rec in out]


def judge_kafka(conn, broker, tables, pipeline="erp", transactions=False):
    """What a read_committed consumer sees against the source, for tables (schema.table) that were
    empty when the pipeline began.  `transactions`: the workload's manifest is among them."""
    bad, counts, decode = judge.Complaints(), {}, Decoder(broker, pipeline)
    by_table = {t: records_of(broker, f"{pipeline}.{t}", decode, bad) for t in tables}
    for table, records in by_table.items():
        counts[table] = judge.judge_replay(conn, table, records, bad)
    if transactions:
        judge.judge_transactions(conn, by_table, bad)
    return bad, counts


def checkpoints(broker, key="erp/lake"):
    return [json.loads(m.value) for m in broker.read(CHECKPOINTS) if m.key.decode() == key]


class OpenTransaction:
    """A transaction of another producer that stays open in a topic until end() is called."""

    def __init__(self, broker, topic, key, value, transactional_id="other"):
        self.loop = asyncio.new_event_loop()
        self.producer = self.run(self._begin(broker, topic, key, value, transactional_id))

    def run(self, what):
        return self.loop.run_until_complete(asyncio.wait_for(what, 60))

    async def _begin(self, broker, topic, key, value, transactional_id):
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id=transactional_id,
                                             transaction_timeout_ms=60000)
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait(topic, value, key=key, partition=0)
        return producer

    def end(self, commit=True):
        self.run(self.producer.commit_transaction() if commit else self.producer.abort_transaction())
        self.run(self.producer.stop())
        self.loop.close()
