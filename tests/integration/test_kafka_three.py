"""The Kafka sink on three brokers: leaders move, brokers go and come back."""
import pytest

from tests.lib import kafka
from tests.lib.agent import wait_for
from tests.lib.workload import SCHEMA, TABLES, Workload, connector


@pytest.fixture(scope="module")
def cluster():
    c = kafka.Cluster().start()
    yield c
    c.destroy()


def test_leaders_move(pipeline, cluster):
    """By a clean stop of the leader of the checkpoints, by a kill of the one of a table, and with too few
    replicas left; the load goes on all the while."""
    p = pipeline(SCHEMA, sinks={"lake": {"type": "kafka", "brokers": cluster.address, "partitions": 4,
                                         "replication": 3}}, name="moved")

    def more(n=3):
        before = p.agent.sink_status("lake")["commits"]
        wait_for(lambda: p.agent.sink_status("lake")["commits"] >= before + n, 90, "commits")
    p.agent.start()
    load = Workload(connector(p.db), writers=2, pause=0.05).start()
    try:
        more()
        node = cluster.node(cluster.leader(kafka.CHECKPOINTS))
        node.stop()
        more()
        cluster.start()
        cluster.wait_replicated()
        node = cluster.node(cluster.leader("moved.public.stock_moves", 1))
        node.kill()
        more()
        cluster.start()
        cluster.wait_replicated()
        for n in cluster.nodes[:2]:
            n.kill()
        wait_for(lambda: p.agent.sink_status("lake")["error"], 90, "the sink to say what it waits for")
        cluster.start()
        more()
    finally:
        load.stop()
    p.agent.stop()
    p.agent.until_idle()
    bad, _ = kafka.judge_kafka(p.db.conn, cluster, [f"public.{t}" for t in TABLES], "moved", transactions=True)
    assert not bad, "\n".join(bad)
    assert cluster.topics()["moved.public.stock_moves"] == 4
    assert {cluster.replicas(t) for t in (kafka.CHECKPOINTS, "moved.schemas", "moved.public.stock_moves")} == {3}
