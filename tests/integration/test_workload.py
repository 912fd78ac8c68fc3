"""The whole path: an ERP-like workload through the spool into SQLite and files, judged row by row."""
import time

import pytest

from tests.lib import judge, workload

QUALIFIED = [f"public.{t}" for t in workload.TABLES]


@pytest.mark.versions(10, 18)
def test_a_workload_arrives_whole_and_in_order(pipeline, db):
    p = pipeline(workload.SCHEMA)
    p.agent.start()
    load = workload.Workload(workload.connector(db), writers=4, pause=0.002).start()
    time.sleep(5)
    assert not judge.judge_sqlite_invariants(p.agent.copy)
    load.stop()
    p.agent.stop()
    p.agent.until_idle()
    assert load.transactions > 100
    p.same(*QUALIFIED)
    p.same_files(*QUALIFIED, transactions=True)


def test_a_backlog_is_caught_up(pipeline, db):
    """What was committed while the agent was away arrives at its next start, in the same order."""
    p = pipeline(workload.SCHEMA)
    workload.Workload(workload.connector(db), writers=3, transactions=400).start().join()
    p.agent.until_idle()
    p.same(*QUALIFIED)
    p.same_files(*QUALIFIED, transactions=True)


def test_killed_at_random_and_started_again(pipeline, db):
    """EDGE 45: whatever the instant of the kill, nothing lost and nothing twice."""
    p = pipeline(workload.SCHEMA, sinks=None, spool={"sync": "10ms"})
    load = workload.Workload(workload.connector(db), writers=3, pause=0.002).start()
    for n in range(6):
        p.agent.start(wait=n % 2 == 0)
        time.sleep(0.3 + 0.2 * n)
        p.agent.kill()
        if p.agent.copy.exists():
            assert not judge.judge_sqlite_invariants(p.agent.copy)
    load.stop()
    p.agent.until_idle()
    p.same(*QUALIFIED)
    p.same_files(*QUALIFIED, transactions=True)


def test_the_server_goes_down_and_comes_back(own_server, make_agent, major):
    """The source is lost in the middle of a load; the agent goes on by itself."""
    server = own_server()
    db = server.database("erp", workload.SCHEMA)
    a = make_agent(db, tables="public.*")
    a.until_idle()
    a.start()
    load = workload.Workload(workload.connector(db), writers=3, pause=0.002).start()
    for mode in ("fast", "immediate"):
        time.sleep(1.5)
        server.restart(mode)
    time.sleep(1.5)
    load.stop()
    a.must_run()
    a.stop()
    a.until_idle()
    bad, _ = judge.judge_sqlite(db.conn, a.copy, QUALIFIED)
    assert not bad, "\n".join(bad)
    bad, _ = judge.judge_files(db.conn, a.lake, QUALIFIED)
    assert not bad, "\n".join(bad)
