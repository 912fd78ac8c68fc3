"""The Kafka sink when requests and answers of a transaction come late, or never."""
import signal
import time

import pytest

from kafka_proxy import ADD_PARTITIONS, END_TXN, PRODUCE, KafkaProxy
from tests.lib import kafka
from tests.lib.agent import wait_for
from tests.lib.workload import SCHEMA, TABLES, Workload, connector

QUALIFIED = [f"public.{t}" for t in TABLES]
ROUNDS = 5


@pytest.fixture(scope="session")
def linked():
    """A broker whose clients come through a proxy; our own reader does not."""
    port = kafka.free_port()
    with KafkaProxy(port) as proxy:
        b = kafka.Kafka(settings={
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTER:PLAINTEXT"},
            outer=(port, proxy.port)).start()
        b.proxy = proxy
        yield b
        b.destroy()


def sink_of(b, **settings):
    return {"lake": {"type": "kafka", "brokers": f"127.0.0.1:{b.proxy.port}", "partitions": 3,
                     "transaction_timeout": "20s", "librdkafka.socket.timeout.ms": "1500", **settings}}


def whole(p, b, name):
    bad, _ = kafka.judge_kafka(p.db.conn, b, QUALIFIED, name, transactions=True)
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("api", [END_TXN, ADD_PARTITIONS, PRODUCE], ids=["end", "add", "produce"])
@pytest.mark.parametrize("answer", [False, True], ids=["late_request", "lost_answer"])
def test_late_and_lost(pipeline, linked, api, answer):
    """A request reaches the broker in the middle of a later transaction; an answer never comes."""
    b, proxy = linked, linked.proxy
    name = f"x{api}{int(answer)}"
    p = pipeline(SCHEMA, sinks=sink_of(b), name=name)
    p.agent.start()
    load = Workload(connector(p.db), writers=2, pause=0.02).start()
    try:
        wait_for(lambda: p.agent.status()["sinks"][0]["commits"] > 3, 30, "commits")
        for _ in range(ROUNDS):
            before = p.agent.status()["sinks"][0]["commits"]
            held = proxy.hold(api, answer)
            held.wait()
            wait_for(lambda: p.agent.status()["sinks"][0]["commits"] > before + 3, 60, "commits after it")
            if not answer:
                proxy.release(held)
            proxy.drop(held)
        p.agent.must_run()
    finally:
        load.stop()
    p.agent.stop()
    p.agent.until_idle()
    whole(p, b, name)
    if api != PRODUCE:
        assert "starting over" in p.agent.log() or "trying again" in p.agent.log()


def test_cuts(pipeline, linked):
    b, proxy = linked, linked.proxy
    p = pipeline(SCHEMA, sinks=sink_of(b), name="cuts")
    p.agent.start()
    load = Workload(connector(p.db), writers=2, pause=0.02).start()
    try:
        for round in range(10):
            before = p.agent.status()["sinks"][0]["commits"]
            proxy.cut()
            wait_for(lambda: p.agent.status()["sinks"][0]["commits"] > before + 2, 60, "commits after a cut")
    finally:
        load.stop()
    p.agent.stop()
    p.agent.until_idle()
    whole(p, b, "cuts")


def test_half_open(pipeline, linked):
    """Connections stand and nothing comes through, as behind a firewall that forgot them; then all is well again."""
    b, proxy = linked, linked.proxy
    p = pipeline(SCHEMA, sinks=sink_of(b), name="half")
    p.agent.start()
    load = Workload(connector(p.db), writers=2, pause=0.02).start()
    try:
        wait_for(lambda: p.agent.status()["sinks"][0]["commits"] > 3, 60, "commits")
        proxy.dead = True
        try:
            wait_for(lambda: p.agent.status()["sinks"][0]["error"], 90, "the sink to say what it waits for")
            assert p.agent.status()["sinks"][0]["state"] == "waiting"
        finally:
            proxy.dead = False
        before = p.agent.status()["sinks"][0]["commits"]
        wait_for(lambda: p.agent.status()["sinks"][0]["commits"] > before + 1, 90, "commits after it")
    finally:
        load.stop()
    p.agent.stop()
    p.agent.until_idle()
    whole(p, b, "half")


def test_a_sleeper_that_cannot_ask_waits(pipeline, linked, make_agent):
    """Awake again, with its link dead, it cannot know that another took over: it leaves the slot alone, and does not
    call what the other has acknowledged a gap.  Once it can ask it ends with 4."""
    b, proxy = linked, linked.proxy
    p = pipeline("create table t(id int primary key);", sinks=sink_of(b), name="asleep")
    p.agent.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: p.agent.sink_status("lake")["commits"] > 0, 30, "the first row")
    p.agent.process.send_signal(signal.SIGSTOP)
    sinks = {"lake": {**p.agent.sinks["lake"], "brokers": b.address}}
    young = make_agent(p.db, folder="young", tables="public.*", sinks=sinks, name="asleep")
    young.start(timeout=60)
    for n in range(2, 5):
        p.db.sql(f"insert into t values ({n})")
        wait_for(lambda: young.sink_status("lake")["commits"] > 0, 30, "the row at the young one")
    proxy.dead = True
    try:
        p.agent.process.send_signal(signal.SIGCONT)
        p.agent.wait_log("sink is not available", 90)
        p.agent.wait_log("(an instance of this pipeline)", 90)
        time.sleep(12)      # for more tries of the source while the sink is closed
    finally:
        proxy.dead = False
    assert p.agent.wait_exit(120) == 4
    assert "ending the walsender" not in p.agent.log()
    assert "source is not available" not in young.log()
    young.stop()
    assert len(b.read("asleep.public.t")) == 4


def test_a_late_end_never_ends_the_next_transaction(pipeline, linked):
    """The first EndTxn reaches the broker when the next transaction is half there: a producer that had
    only sent it again would have that half committed (KAFKA-17754)."""
    b, proxy = linked, linked.proxy
    p = pipeline("create table t(id int primary key, v text);", name="late",
                 sinks=sink_of(b, **{"librdkafka.socket.timeout.ms": "4000"}))
    p.agent.start()
    p.db.sql("insert into t select g, 'x' from generate_series(1, 10) g")
    wait_for(lambda: p.agent.status()["sinks"][0]["commits"] == 1, 30, "the first commit")
    for n in range(1, 4):
        late = proxy.hold(END_TXN)
        p.db.sql(f"insert into t values ({-n}, 'late')")
        late.wait()
        wait_for(lambda: p.agent.status()["sinks"][0]["commits"] == 2 * n, 60, "the commit, by a second request")
        seen = len(b.peek("late.public.t"))
        data = proxy.hold(PRODUCE)
        p.db.sql(f"insert into t select {n * 1000} + g, 'y' from generate_series(1, 60) g")
        data.wait()
        time.sleep(0.5)     # the other partitions' rows reach the broker
        proxy.release(late)
        for _ in range(2):
            assert len(b.peek("late.public.t")) in (seen, seen + 60)
        proxy.drop(data)
        wait_for(lambda: p.agent.status()["sinks"][0]["commits"] == 2 * n + 1, 60, "the commit after it")
    p.agent.stop()
    keys = [m.key for m in b.read("late.public.t")]
    assert len(keys) == 10 + 3 * 61 and len(set(keys)) == len(keys)


HUGE = "insert into t select g, repeat(md5(g::text), 20) from generate_series(1, 40000) g"


@pytest.fixture
def slow(pipeline, linked, request):
    """A pipeline over a link that takes its time for each request: however fast the machine is, a
    transaction of many requests lasts longer than its time-out."""
    def make(**settings):
        p = pipeline("create table t(id int primary key, v text);", name=request.node.originalname[5:], begin=False,
                     sinks=sink_of(linked, transaction_timeout="5s", **{"librdkafka.batch.size": "200000"}, **settings))
        p.agent.set("pipeline", memory="16MB")
        p.begin()
        p.db.sql(HUGE)
        linked.proxy.delay = 0.25
        return p
    yield make
    linked.proxy.delay = 0


def test_huge_stops_the_sink(slow, linked):
    """Longer than the broker waits for a transaction: named, and nothing of it is seen."""
    p = slow()
    log = p.agent.until_idle(code=1)
    assert "on_huge" in log and "transaction_timeout" in log
    topic = f"{p.agent.name}.public.t"
    assert topic not in linked.topics() or not linked.read(topic)
    linked.proxy.delay = 0
    p.agent.sinks["lake"]["transaction_timeout"] = "5m"
    p.agent.write_config()
    p.agent.until_idle()
    assert len(linked.read(topic, timeout=90)) == 40000


def test_huge_is_split(slow, linked):
    """Its parts follow each other, each row once, also when the agent is killed between them."""
    p = slow(on_huge="split")
    p.agent.start(wait=False)
    p.agent.wait_log("is split", 60)
    p.agent.kill()
    linked.proxy.delay = 0
    p.agent.until_idle()
    got = linked.read(f"{p.agent.name}.public.t", timeout=90)
    assert len(got) == 40000 and len({m.key for m in got}) == 40000
    assert kafka.checkpoints(linked, f"{p.agent.name}/lake")[-1]["fence"] == 3
