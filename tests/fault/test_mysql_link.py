"""The link to a MySQL or MariaDB source is cut, or dead without a word."""
import random
import time

import pytest

from proxy import Proxy
from tests.lib import mysql
from tests.lib.agent import wait_for
from tests.lib.mysql_way import count, judge_load


def behind(db, proxy, **params):
    return f"mysql://tailrace:{mysql.PASSWORD}@127.0.0.1:{proxy.port}/{db.name}" + (
        "?" + "&".join(f"{k}={v}" for k, v in params.items()) if params else "")


@pytest.mark.mysql_usually("mariadb10.11")
def test_cut_under_load(way, mydb):
    with Proxy(mydb.server.port) as proxy:
        w = way(begin=False, url=behind(mydb, proxy)).begin_workload()
        w.agent.start()
        load = w.load(seed=9)
        pick, cuts = random.Random(10), 0
        end = time.monotonic() + 120
        while cuts < 15:
            assert time.monotonic() < end, f"only {cuts} cuts"
            time.sleep(pick.uniform(0.02, 0.6))
            cuts += proxy.cut() > 0
            w.agent.must_run()
        load.stop()
        w.agent.stop()
        w.agent.until_idle()
    judge_load(w)


@pytest.mark.mysql_usually("mariadb10.11")
def test_halted_link_is_noticed(way, mydb):
    """EDGE 117: the connection carries nothing any more and nobody says so: another is made, nothing is missing."""
    with Proxy(mydb.server.port) as proxy:
        w = way(begin=False, url=behind(mydb, proxy)).begin_workload()
        w.agent.start()
        load = w.load(seed=11, pause=0.02)
        try:
            wait_for(lambda: count(w) > 10, 30, "the first transactions")
            assert proxy.halt() > 0
            time.sleep(1)
            before = count(w)
            wait_for(lambda: count(w) > before, 90, "transactions over a new connection")
        finally:
            load.stop()
        w.agent.stop()
        w.agent.until_idle()
        judge_load(w)
