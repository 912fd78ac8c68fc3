"""The parts of the bench that need a broker."""
import asyncio
import statistics
import subprocess
import time

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.lib.kafka import Kafka
from tests.lib.pg import ROOT

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


class KafkaParts:
    """Mixed into the bench: one broker for all parts, started by the first."""

    def __init__(self):
        self._broker = None
        self._built = {}

    @property
    def broker(self):
        if self._broker is None:
            self._broker = Broker(settings=BROKER).start()
        return self._broker

    def end_kafka(self):
        if self._broker:
            self._broker.destroy()

    def tool(self, name, *argv):
        """One of the C programs beside this file, running."""
        if name not in self._built:
            self._built[name] = self.folder / name
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", self._built[name],
                            ROOT / f"tests/bench/{name}.c", "-lrdkafka"], check=True)
        return subprocess.Popen([self._built[name], *map(str, argv)], stdout=subprocess.PIPE, text=True)

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

    def must_hold(self, agent, changes):
        topic = f"{agent.name}.public.stock_move"
        count = self.read(self.reader(topic, changes + 1, 1))[0]
        if count != changes:
            raise SystemExit(f"{topic}: {count} messages, not {changes}")
        self.broker.delete_topic(topic)

    # --- parts

    def part_kafka(self):
        self.broker
        self.beside_limit("kafka", 1.35)
