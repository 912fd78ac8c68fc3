"""The link to the source is slow, cut, refused, or dead without a word."""
import random
import time

import pytest

from proxy import Proxy
from tests.lib import judge
from tests.lib.agent import wait_for
from tests.lib.workload import SCHEMA, TABLES, Workload, connector

FILES = [f"public.{t}" for t in TABLES]
FAST_ROLLS = {"roll_interval": "1s"}


def sinks(folder):
    return {"copy": {"type": "sqlite", "path": folder / "copy.db"},
            "lake": {"type": "files", "path": folder / "lake", **FAST_ROLLS}}


def compare(db, agent):
    bad, rows = judge.judge_sqlite(db.conn, agent.copy, TABLES)
    bad += judge.judge_sqlite_invariants(agent.copy)
    bad += judge.judge_files(db.conn, agent.lake, FILES)[0]
    assert not bad, "\n".join(bad)
    assert sum(rows.values()) > 0


def behind_proxy(db, make_agent, folder):
    """(database, proxy, agent behind it) with the workload's tables, the first start done."""
    db.script(SCHEMA)
    with Proxy(db.server.port) as proxy:
        agent = make_agent(proxy.url(db.name), tables="public.*", sinks=sinks(folder))
        agent.until_idle()
        yield db, proxy, agent
        agent.kill()


@pytest.fixture
def linked(db, make_agent, tmp_path):
    yield from behind_proxy(db, make_agent, tmp_path)


@pytest.fixture
def impatient(own_server, make_agent, tmp_path):
    """On a server whose wal_sender_timeout, by which the agent measures silence too, is short."""
    db = own_server(wal_sender_timeout="'15s'").database("erp")
    yield from behind_proxy(db, make_agent, tmp_path)
    db.close()


def test_cut_fifty_times_under_load(linked):
    """EDGE 46: resumes at transaction boundaries, nothing twice, nothing missing."""
    db, proxy, agent = linked
    pick = random.Random(50)
    agent.start()
    load = Workload(connector(db), writers=2, seed=50, pause=0.004).start()
    cuts = 0
    try:
        end = time.monotonic() + 180
        while cuts < 50:
            assert time.monotonic() < end, f"only {cuts} cuts: the agent takes too long to come back"
            time.sleep(pick.choice((0.02, 0.2, 0.6)) * pick.uniform(0.2, 2))
            cuts += proxy.cut() > 0
            agent.must_run()
    finally:
        load.stop()
    agent.stop()
    agent.until_idle()
    compare(db, agent)


def test_slow_link(linked):
    db, proxy, agent = linked
    proxy.delay = 0.03
    load = Workload(connector(db), writers=2, seed=51, transactions=200).start()
    agent.start()
    load.join()
    agent.stop()
    agent.until_idle()
    compare(db, agent)


def test_refused_for_a_while(linked):
    """The server's port answers with a reset: tried again until it works, the copy then completes."""
    db, proxy, agent = linked
    agent.start()
    proxy.refusing = True
    assert proxy.cut() > 0
    db.sql("insert into tx_manifest values (1, 1, 0, 0, txid_current())")
    tried = proxy.accepted
    wait_for(lambda: proxy.accepted >= tried + 3, 60, "three attempts to connect")
    agent.must_run()
    assert agent.status()["source"]["connected"] is False
    proxy.refusing = False
    wait_for(lambda: manifests(agent) == 1, 60, "the row to arrive")


def manifests(agent):
    """Transactions in the copy."""
    c = judge.sqlite_open(agent.copy)
    try:
        return c.execute("select count(*) from tx_manifest").fetchone()[0]
    except judge.sqlite3.OperationalError:
        return 0
    finally:
        c.close()


def test_halted_link_is_noticed(impatient):
    """The connection stays open but carries nothing, and nobody says so: the agent gives it up after
    twice the server's wal_sender_timeout, makes another, and nothing is missing or doubled."""
    db, proxy, agent = impatient
    agent.start()
    load = Workload(connector(db), writers=2, seed=52, pause=0.02).start()
    try:
        wait_for(lambda: manifests(agent) > 10, 30, "the first transactions to arrive")
        tried = proxy.accepted
        assert proxy.halt() > 0
        time.sleep(1)
        before = manifests(agent)
        wait_for(lambda: manifests(agent) > before, 90, "transactions over a new connection")
        assert proxy.accepted > tried
    finally:
        load.stop()
    agent.stop()
    agent.until_idle()
    compare(db, agent)
