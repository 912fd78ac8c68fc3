"""The Kafka sink against real brokers, seen by a read_committed consumer that is not librdkafka.

Everything runs on Kafka 3.9; the way from end to end on 4.3 too.  KAFKA_VERSIONS=4.3.1 in the
environment runs all of it on that.
"""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.lib import kafka
from tests.lib.agent import wait_for
from tests.lib.workload import SCHEMA, TABLES, Workload, connector

VERSIONS = [v for v in os.environ.get("KAFKA_VERSIONS", "").split(",") if v]
QUALIFIED = [f"public.{t}" for t in TABLES]
T = "create table t(id int primary key, v text, n numeric(10,2));"


def pytest_generate_tests(metafunc):
    if "version" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both")
        metafunc.parametrize("version", VERSIONS or (kafka.VERSIONS if both else kafka.VERSIONS[:1]), scope="session")


@pytest.fixture(scope="session")
def brokers():
    running = {}
    yield running
    for b in running.values():
        b.destroy()


@pytest.fixture
def broker(brokers, version):
    if version not in brokers:
        for old in list(brokers):       # one at a time: a broker takes its memory
            brokers.pop(old).destroy()
        brokers[version] = kafka.Kafka(version).start()
    return brokers[version]


@pytest.fixture
def own_broker(version):
    made = []

    def make(**settings):
        made.append(kafka.Kafka(version, {k.replace("_", "."): v for k, v in settings.items()}).start())
        return made[-1]
    yield make
    for b in made:
        b.destroy()


@pytest.fixture
def name(request):
    """A pipeline's name of its own: brokers are shared."""
    return f"p{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def stream(pipeline, broker, name):
    """stream(sql, **settings of the sink): the tables made, the first start done."""
    def make(script="", begin=True, at=None, folder="agent", **settings):
        sink = {"type": "kafka", "brokers": (at or broker).address, "partitions": 3, **settings}
        return pipeline(script, begin=begin, sinks={"lake": sink}, name=name, folder=folder)
    return make


def seen(broker, topic, pipeline):
    """[(partition, key, value)] of a topic, decoded."""
    decode = kafka.Decoder(broker, pipeline)
    return [(m.partition, decode(m.key), decode(m.value)) for m in broker.read(topic)]


@pytest.mark.both
def test_end_to_end(stream, broker, name):
    """Every kind of change by many transactions; the copy is the source, each transaction whole."""
    p = stream(SCHEMA)
    load = Workload(connector(p.db), writers=3, transactions=120).start().join()
    p.agent.until_idle()
    bad, counts = kafka.judge_kafka(p.db.conn, broker, QUALIFIED, name, transactions=True)
    assert not bad, "\n".join(bad)
    assert load.transactions == 360 and sum(counts.values()) > 360


@pytest.mark.both
def test_while_running(stream, broker, name):
    p = stream(SCHEMA)
    p.agent.start()
    Workload(connector(p.db), writers=3, transactions=60).start().join()
    wait_for(lambda: len(broker.read(f"{name}.public.tx_manifest")) == 180
             if f"{name}.public.tx_manifest" in broker.topics() else None, 30, "all of it to be delivered")
    p.agent.stop()
    bad, _ = kafka.judge_kafka(p.db.conn, broker, QUALIFIED, name, transactions=True)
    assert not bad, "\n".join(bad)
    assert "trying again" not in p.agent.log()      # one producer for all of it


def test_rows_that_were_there(stream, broker, name):
    """A snapshot beside writers: rows with op r, keyed and partitioned as the changes of the same row are."""
    p = stream(SCHEMA, begin=False)
    load = Workload(connector(p.db), writers=3, transactions=100).start()
    time.sleep(1)
    p.agent.set("snapshot", mode="initial", chunk_rows=50)
    p.agent.start()
    load.join()
    wait_for(lambda: {t["state"] for t in json.loads(p.agent("snapshot", "list", "--json").stdout)["tables"]} == {"done"}, 60,
             "the tables to be loaded")
    p.agent.stop()
    p.agent.until_idle()
    bad, counts = kafka.judge_kafka(p.db.conn, broker, QUALIFIED, name, transactions=True)
    assert not bad, "\n".join(bad)
    got = seen(broker, f"{name}.public.tx_manifest", name)
    read = [v for _, _, v in got if v["op"] == "r"]
    assert read and {v["source"]["snapshot"] for v in read} == {"incremental"} and all(v["transaction"] is None for v in read)
    places = {}
    for partition, key, _ in got:
        places.setdefault((key["writer"], key["seq"]), set()).add(partition)
    assert all(len(x) == 1 for x in places.values())
    assert kafka.checkpoints(broker, f"{name}/lake")[-1]["snapshot"] == []


def test_flat_has_tombstones(stream, broker, name):
    p = stream(T, format="flat")
    p.carry("insert into t values (1, 'a', 1.5), (2, 'b', null)", "update t set id = 3 where id = 1",
            "delete from t where id = 2")
    got = seen(broker, f"{name}.public.t", name)
    for partition, key, value in got:
        assert (value is None) or value["__op"] in "cd"
    by_key = {}
    for _, key, value in got:
        by_key.setdefault(key["id"], []).append(value and value["__op"])
    assert by_key == {1: ["c", "d", None], 2: ["c", "d", None], 3: ["c"]}
    row = next(v for _, k, v in got if v and k["id"] == 3)
    assert (row["v"], str(row["n"]), row["__deleted"], row["__absent"]) == ("a", "1.50", "false", None)
    deleted = next(v for _, k, v in got if v and k["id"] == 2 and v["__op"] == "d")
    assert deleted["__deleted"] == "true" and sorted(deleted["__absent"]) == ["n", "v"]


def test_change_of_key_is_delete_and_insert(stream, broker, name):
    """EDGE 19"""
    p = stream(T)
    p.carry("insert into t values (1, 'a', 1)", "update t set id = 7, v = 'z' where id = 1")
    got = sorted((v["source"]["position"], v["op"] != "d", k["id"], v["op"]) for _, k, v in
                 seen(broker, f"{name}.public.t", name))
    assert [(k, op) for _, _, k, op in got] == [(1, "c"), (1, "d"), (7, "c")]
    assert got[1][0] == got[2][0]


def test_truncate_goes_to_every_partition(stream, broker, name):
    p = stream(T)
    p.carry("insert into t select g from generate_series(1, 20) g", "truncate t")
    got = seen(broker, f"{name}.public.t", name)
    assert sorted((part, k) for part, k, v in got if v["op"] == "t") == [(0, None), (1, None), (2, None)]
    assert {part for part, _, v in got if v["op"] == "c"} == {0, 1, 2}


def test_messages(stream, broker, name):
    p = stream(T)
    p.carry("begin; select pg_logical_emit_message(true, 'note', 'inside'); insert into t values (1); commit",
            "select pg_logical_emit_message(false, 'note', 'alone')")
    got = seen(broker, f"{name}.messages", name)
    assert [(k, v["after"]["prefix"], v["after"]["content"], v["op"]) for _, k, v in got] == \
        [(None, "note", b"inside", "m"), (None, "note", b"alone", "m")]


def test_table_without_a_key(stream, broker, name):
    p = stream("create table k(a int, b text); alter table k replica identity full;")
    p.carry("insert into k select g, 'x' from generate_series(1, 9) g", "update k set b = 'y' where a = 3",
            "delete from k where a = 4")
    got = seen(broker, f"{name}.public.k", name)
    assert {(part, key) for part, key, _ in got} == {(0, None)}
    assert "".join(v["op"] for *_, v in got) == "c" * 9 + "ud"
    assert got[-1][2]["before"] == {"a": 4, "b": "x"}


def test_checkpoint_record(stream, broker, name):
    p = stream(T)
    first = kafka.checkpoints(broker, f"{name}/lake")
    assert first[-1]["fence"] == 1 and first[-1]["position"] is None and first[-1]["resume"] is None
    p.carry("insert into t values (1)")
    last = kafka.checkpoints(broker, f"{name}/lake")[-1]
    assert list(last) == ["fence", "position", "resume", "snapshot", "stopped", "time"]
    assert last["fence"] == 2 and last["snapshot"] == [] and last["stopped"] == {}
    at = [v["source"]["position"] for *_, v in seen(broker, f"{name}.public.t", name)]
    assert kafka.judge.position(last["position"]) > kafka.judge.position(at[-1])
    assert last["resume"]["system"] and last["time"].endswith("Z")
    assert broker.topics()[kafka.CHECKPOINTS] == 1


def test_schemas_in_topic_and_folder(stream, broker, name):
    """Two decimals share a fingerprint: their schemas do not.  EDGE 76"""
    p = stream(T)
    p.carry("insert into t values (1, 'a', 1.25)", "alter table t alter n type numeric(12,4)",
            "insert into t values (2, 'b', 1.2345)", "alter table t add extra int", "insert into t values (3)")
    decode = kafka.Decoder(broker, name)
    for fingerprint, text in decode.text.items():
        kept = p.agent.state_dir / "schemas" / f"{fingerprint}.avsc"
        assert kept.read_text() == text and len(fingerprint) == 16
        json.loads(text)
    rows = {k["id"]: v["after"] for _, k, v in seen(broker, f"{name}.public.t", name)}
    assert (str(rows[1]["n"]), str(rows[2]["n"]), rows[3]["extra"]) == ("1.25", "1.2345", None)
    envelopes = [t for t in decode.text.values() if json.loads(t)["name"] == "Envelope"]
    assert len(envelopes) == 3 and len(set(envelopes)) == 3
    spaces = sorted(json.loads(t)["namespace"] for t in envelopes)
    assert spaces == [f"{name}.public.t", f"{name}.public.t", f"{name}.public.t.v2"]


def test_a_wider_key_stays_in_its_partition(stream, broker, name):
    """int and long are encoded alike, and the key's schema does not count."""
    p = stream("create table t(id int primary key, v text);")
    p.carry("insert into t select g from generate_series(-6, 6) g", "alter table t alter id type bigint",
            "update t set v = 'x'")
    at = {}
    for partition, key, value in seen(broker, f"{name}.public.t", name):
        at.setdefault(key["id"], []).append((partition, value["op"]))
    assert len(at) == 13 and {p for found in at.values() for p, _ in found} == {0, 1, 2}
    for found in at.values():
        assert [op for _, op in found] == ["c", "u"] and found[0][0] == found[1][0]


def test_topics_are_made_as_written(stream, broker, name):
    p = stream(T)
    p.carry("insert into t values (1)")
    log = broker.settings(kafka.CHECKPOINTS)
    assert (log["cleanup.policy"], log["segment.bytes"], log["segment.ms"], log["min.cleanable.dirty.ratio"]) == \
        ("compact", "16777216", "600000", "0.1")
    assert broker.settings(f"{name}.schemas")["cleanup.policy"] == "compact"
    assert broker.settings(f"{name}.public.t")["cleanup.policy"] == "delete"
    assert broker.topics()[f"{name}.public.t"] == 3
    assert [m.headers for m in broker.read(f"{name}.public.t")] == [()]


def test_partitions_are_added(stream, broker, name):
    """What runs keeps to those that it knows; the next start takes all.  Either way nothing is lost."""
    p = stream(T)
    p.agent.start()
    topic = f"{name}.public.t"
    p.db.sql("insert into t select g from generate_series(1, 40) g")
    wait_for(lambda: topic in broker.topics() and len(broker.read(topic)) == 40, 30, "the rows")
    broker.add_partitions(topic, 5)
    p.db.sql("insert into t select g from generate_series(41, 80) g")
    wait_for(lambda: len(broker.read(topic)) == 80, 60, "the rows after it")
    assert {m.partition for m in broker.read(topic)} == {0, 1, 2}
    p.agent.stop()
    p.carry("insert into t select g from generate_series(81, 160) g")
    assert f"topic={topic} partitions=5" in p.agent.log() and "not as configured" in p.agent.log()
    got = seen(broker, topic, name)
    assert sorted(k["id"] for _, k, _ in got) == list(range(1, 161))
    assert {part for part, *_ in got} == {0, 1, 2, 3, 4}


def test_restart_goes_on(stream, broker, name):
    p = stream(SCHEMA)
    for n in range(4):
        Workload(connector(p.db), writers=1, transactions=10, seed=n).writers[0]
        p.db.sql(f"insert into tx_manifest values (1, {n + 1}, 0, 0, txid_current())")
        p.agent.until_idle()
    bad, _ = kafka.judge_kafka(p.db.conn, broker, ["public.tx_manifest"], name, transactions=True)
    assert not bad, "\n".join(bad)
    assert kafka.checkpoints(broker, f"{name}/lake")[-1]["fence"] == 5


def test_lost_state_goes_on_from_the_topic(stream, broker, name):
    """state.db and spool are gone: the checkpoint in Kafka is what counts."""
    p = stream(T)
    p.carry("insert into t values (1)")
    shutil.rmtree(p.agent.state_dir)
    p.carry("insert into t values (2)")
    assert sorted(k["id"] for _, k, _ in seen(broker, f"{name}.public.t", name)) == [1, 2]


def test_an_emptied_checkpoint_topic_is_no_new_start(stream, own_broker, name):
    b = own_broker()
    p = stream(T, at=b)
    p.carry("insert into t values (1)")
    p.agent.set("sink lake", type="kafka")      # the same sink, another and empty broker
    other = own_broker()
    p.agent.sinks["lake"]["brokers"] = other.address
    del p.agent.sections["sink lake"]
    p.agent.write_config()
    assert "no checkpoint" in p.agent.until_idle(code=1)


def test_a_checkpoint_topic_deleted_under_us(stream, own_broker, name):
    """It is made anew, but what stood in it is missed: no new start in silence, now or after a restart."""
    b = own_broker()
    p = stream(T, at=b)
    p.agent.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: f"{name}.public.t" in b.topics() and b.read(f"{name}.public.t"), 30, "the row")
    b.delete_topic(kafka.CHECKPOINTS)
    p.db.sql("insert into t values (2)")
    assert p.agent.wait_exit(120) == 1
    assert "is gone or older" in p.agent.log()
    assert "no checkpoint" in p.agent.until_idle(code=1)
    assert [k["id"] for _, k, _ in seen(b, f"{name}.public.t", name)] == [1]


def test_an_open_transaction_in_the_checkpoints_is_waited_for(stream, broker, name):
    """What stands behind it could be our own checkpoint: nothing begins before it has ended."""
    p = stream(T)
    p.carry("insert into t values (1)")
    other = kafka.OpenTransaction(broker, kafka.CHECKPOINTS, b"other/lake", b'{"fence":1}', f"other-{name}")
    try:
        p.db.sql("insert into t values (2)")
        p.agent.start(wait=False)
        p.agent.wait_log("open transaction", 40)
        assert "other/lake" in p.agent.log()
        assert len(broker.read(f"{name}.public.t")) == 1
    finally:
        other.end()
    wait_for(lambda: len(broker.read(f"{name}.public.t")) == 2, 40, "the row")
    p.agent.stop()


def test_the_older_of_two_is_fenced(stream, broker, name, make_agent):
    """Asleep beyond the other's start: what it wakes to send is not seen, and it ends with 4."""
    p = stream(T)
    p.agent.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: f"{name}.public.t" in broker.topics() and broker.read(f"{name}.public.t"), 30, "the row")
    p.agent.process.send_signal(signal.SIGSTOP)
    p.db.sql("insert into t values (2)")
    new = make_agent(p.db, folder="second", tables="public.*", sinks=p.agent.sinks, name=name)
    new.start(timeout=60)
    wait_for(lambda: len(broker.read(f"{name}.public.t")) == 2, 30, "the row at the new one")
    p.agent.process.send_signal(signal.SIGCONT)
    assert p.agent.wait_exit(90) == 4
    p.db.sql("insert into t values (3)")
    wait_for(lambda: len(broker.read(f"{name}.public.t")) >= 3, 30, "the row after")
    new.stop()
    assert sorted(k["id"] for _, k, _ in seen(broker, f"{name}.public.t", name)) == [1, 2, 3]


@pytest.fixture
def pair(version):
    p = kafka.Pair(version).start()
    yield p
    p.destroy()


def test_broker_killed_and_back(stream, pair, name):
    b = pair
    p = stream(SCHEMA, at=b)
    p.agent.start()
    load = Workload(connector(p.db), writers=2, pause=0.01).start()
    for _ in range(3):
        time.sleep(2)
        b.kill()
        time.sleep(1)
        b.start()
        p.agent.must_run()
    load.stop()
    p.agent.stop()
    p.agent.until_idle()
    bad, _ = kafka.judge_kafka(p.db.conn, b, QUALIFIED, name, transactions=True)
    assert not bad, "\n".join(bad)


def test_no_broker_is_named_while_waiting(stream, own_broker, name):
    b = own_broker()
    p = stream(T, at=b)
    p.agent.with_http()
    b.stop()
    p.agent.start(wait=False)
    p.agent.wait_log("not available", 60)
    status = wait_for(lambda: p.agent.status(check=False), 20, "a status")
    sink = status["sinks"][0]
    assert sink["state"] == "waiting" and b.address in sink["error"] and "refused" in sink["error"]
    assert "refused" in p.agent.log()
    code, ready = p.agent.get("/readyz")
    assert code == 503 and "lake" in json.loads(ready)["waiting_for"] and p.agent.get("/healthz")[0] == 200
    metrics = p.agent.get("/metrics")[1]
    assert 'tailrace_sink_connected{sink="lake"} 0' in metrics
    assert 'tailrace_sink_retries_total{sink="lake"} 0' not in metrics
    b.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: f"{name}.public.t" in b.topics() and b.read(f"{name}.public.t"), 60, "the row")
    p.agent.stop()


def test_too_large_a_record_stops_its_table(stream, broker, name):
    p = stream("create table t(id int primary key, v text); create table u(id int primary key);")
    p.db.sql("insert into t values (1, repeat(md5(random()::text), 60000))")
    p.db.sql("insert into u values (1)")
    log = p.agent.until_idle(code=1)
    assert "larger than" in log and "max.message.bytes" in log and f"{name}.public.t" in log
    assert len(broker.read(f"{name}.public.u")) == 1
    assert kafka.checkpoints(broker, f"{name}/lake")[-1]["stopped"].keys() == {"public.t"}


def test_a_limit_lowered_under_us(stream, broker, name):
    """The broker refuses what the topic took when we looked; cured, it goes on from there."""
    p = stream("create table t(id int primary key, v text);", **{"librdkafka.compression.codec": "none"})
    topic = f"{name}.public.t"
    p.agent.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: topic in broker.topics() and broker.read(topic), 30, "the row")
    broker.set(topic, max_message_bytes=2000)
    p.db.sql("insert into t values (2, repeat('x', 5000))")
    p.agent.wait_log("table stopped", 60)
    assert "too large" in p.agent.log() and "max.message.bytes" in p.agent.log()
    p.db.sql("insert into t values (3)")
    p.agent.stop()
    broker.set(topic, max_message_bytes=1000000)
    p.agent.until_idle()
    assert [k["id"] for _, k, _ in sorted(seen(broker, topic, name), key=lambda m: m[2]["source"]["position"])] == [1, 2, 3]


def test_a_topic_deleted_under_us(stream, broker, name):
    p = stream(T)
    p.agent.start()
    p.db.sql("insert into t values (1)")
    wait_for(lambda: f"{name}.public.t" in broker.topics() and broker.read(f"{name}.public.t"), 30, "the row")
    broker.delete_topic(f"{name}.public.t")
    p.db.sql("insert into t values (2)")
    wait_for(lambda: f"{name}.public.t" in broker.topics() and
             2 in [k["id"] for _, k, _ in seen(broker, f"{name}.public.t", name)], 90, "the row after")
    assert "trying again" in p.agent.log()
    p.agent.stop()


@pytest.mark.parametrize("setting, value", [
    ("transactional.id", "x"), ("enable.idempotence", "false"), ("acks", "1"), ("request.required.acks", "1"),
    ("max.in.flight.requests.per.connection", "9"), ("isolation.level", "read_uncommitted"),
    ("transaction.timeout.ms", "9000"), ("partitioner", "random"), ("enable.gapless.guarantee", "false"),
    ("message.timeout.ms", "5"), ("bootstrap.servers", "x:1"), ("no.such.property", "1"), ("linger.ms", "soon")])
def test_refused_properties(make_agent, setting, value):
    a = make_agent("postgresql://127.0.0.1:1/none", sinks={
        "lake": {"type": "kafka", "brokers": "127.0.0.1:1", f"librdkafka.{setting}": value}})
    assert setting in a.until_idle(code=2)


def test_wrong_template(make_agent):
    a = make_agent("postgresql://127.0.0.1:1/none", sinks={
        "lake": {"type": "kafka", "brokers": "127.0.0.1:1", "topic": "all"}})
    assert "{table}" in a.until_idle(code=2)


def test_templates_that_meet_stop_a_table(stream, broker, name):
    p = stream("create schema other; create table t(id int primary key); create table other.t(id int primary key);",
               topic="{pipeline}.only.{table}", begin=False)
    p.agent.set("source", tables="*.t")
    p.begin()
    p.db.sql("insert into t values (1)")
    p.db.sql("insert into other.t values (2)")
    assert "is the one of" in p.agent.until_idle(code=1)
    assert [k["id"] for _, k, _ in seen(broker, f"{name}.only.t", name)] == [1]


def test_check_finds_what_is_wrong(stream, own_broker, name):
    b = own_broker(transaction_max_timeout_ms="60000")
    p = stream(T, at=b, begin=False)
    findings = json.loads(p.agent("check", "--json", check=False).stdout)["findings"]
    assert "kafka_transaction_timeout" in [f["id"] for f in findings]
    assert "transaction.max.timeout.ms" in p.agent.until_idle(code=1)
    findings = json.loads(p.agent("check", "--json", check=False).stdout)["findings"]   # the topic is there now
    assert [f["severity"] for f in findings if f["id"] == "kafka_replication"] == ["warning"]
    b.stop()
    done = p.agent("check", "--json", check=False)
    assert "sink_unreachable" in [f["id"] for f in json.loads(done.stdout)["findings"]] and done.returncode == 3


@pytest.fixture(scope="session")
def secured(tmp_path_factory, version):
    """A broker whose outer listener speaks TLS and asks who is there; (broker, port, CA file)."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", folder / "key.pem", "-out",
                    folder / "ca.pem"], check=True, capture_output=True)
    key = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", folder / "key.pem"], check=True,
                         capture_output=True, text=True).stdout
    port = kafka.free_port()
    common = "org.apache.kafka.common.security"
    b = kafka.Kafka(version, outer=(port, port), scram=("erp", "right"), settings={
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTER:SASL_SSL",
        "listener.name.outer.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER",
        "listener.name.outer.plain.sasl.jaas.config":
            f"{common}.plain.PlainLoginModule required user_erp=\"right\";",
        "listener.name.outer.scram-sha-256.sasl.jaas.config": f"{common}.scram.ScramLoginModule required;",
        "listener.name.outer.oauthbearer.sasl.jaas.config":
            f"{common}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";",
        "listener.name.outer.ssl.keystore.type": "PEM",
        "listener.name.outer.ssl.keystore.certificate.chain": (folder / "ca.pem").read_text().replace("\n", "\\n"),
        "listener.name.outer.ssl.keystore.key": key.replace("\n", "\\n")}).start()
    yield b, port, folder / "ca.pem"
    b.destroy()


@pytest.fixture
def secure(stream, secured, name):
    """secure(**properties of librdkafka): a pipeline over TLS, its first start done."""
    def make(**properties):
        b, port, ca = secured
        settings = {"librdkafka." + k.replace("_", "."): v for k, v in
                    {"security_protocol": "SASL_SSL", "ssl_ca_location": ca, **properties}.items()}
        p = stream(T, at=b, begin=False, **settings)
        p.agent.sinks["lake"]["brokers"] = f"127.0.0.1:{port}"
        p.agent.write_config()
        p.begin()
        return p
    return make


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_tls_and_password(secure, secured, tmp_path, name, mechanism):
    secret = tmp_path / "password"
    secret.write_text("right\n")
    p = secure(sasl_mechanism=mechanism, sasl_username="erp", sasl_password=f"file:{secret}")
    p.carry("insert into t values (1)")
    assert [k["id"] for _, k, _ in seen(secured[0], f"{name}.public.t", name)] == [1]
    secret.write_text("wrong-one\n")
    log = p.agent.until_idle(code=1)
    assert "uthentication" in log and "wrong-one" not in log


def test_tls_and_token(secure, secured, name):
    """librdkafka asks for a token by a callback, which must come while the sink waits in a call."""
    p = secure(sasl_mechanism="OAUTHBEARER", sasl_oauthbearer_config="principal=erp",
               enable_sasl_oauthbearer_unsecure_jwt="true")
    p.carry("insert into t values (1)")
    assert [k["id"] for _, k, _ in seen(secured[0], f"{name}.public.t", name)] == [1]
