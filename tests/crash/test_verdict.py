"""The verdict of the crash runs can be "guilty": each kind of harm done to good copies is found."""
import shutil
import sqlite3

import pytest

from common import judge_all
from tests.lib.agent import Agent
from tests.lib.judge import Lake
from tests.lib.pg import Postgres
from tests.lib.workload import SCHEMA, Workload, connector


def sql(statement):
    def harm(agent):
        with sqlite3.connect(agent.copy) as c:
            assert c.execute(statement).rowcount > 0
        c.close()
    return harm


def lose_a_file(agent):
    Lake(agent.lake).files("public.stock_moves")[0].unlink()


def double_a_file(agent):
    first = Lake(agent.lake).files("public.stock_moves")[0]
    shutil.copy(first, first.with_name(first.name.replace("erp-01-", "erp-02-")))


def leave_a_file(agent):
    first = Lake(agent.lake).files("public.orders")[0]
    shutil.copy(first, f"{first}.tmp")


def swap_two_files(agent):
    a, b = Lake(agent.lake).files("public.tx_manifest")[:2]
    spare = a.with_suffix(".spare")
    a.rename(spare)
    b.rename(a)
    spare.rename(b)


HARM = {
    "lost row": sql("delete from customers where rowid = (select min(rowid) from customers)"),
    "changed value": sql("update orders set total = total + 1 where rowid = (select min(rowid) from orders)"),
    "row too many": sql("insert into stock_moves (id, warehouse, sku, qty) values (-1, 1, 'x', 0)"),
    "lost transaction": sql("delete from tx_manifest where seq = 7"),
    "NULL for a value": sql("update order_lines set due = null where due is not null"),
    "lost file": lose_a_file,
    "doubled file": double_a_file,
    "file left behind": leave_a_file,
    "files in another order": swap_two_files,
}


@pytest.fixture(scope="module")
def good(servers, tmp_path_factory):
    """(connection, folder, make): copies of a workload that was carried well."""
    folder = tmp_path_factory.mktemp("verdict")
    if 15 not in servers:
        servers[15] = Postgres(15).start()
    db = servers[15].database("verdict", SCHEMA)

    def make(name):
        return Agent(folder / name, db.url(), tables="public.*", name="erp", source={"slot": "verdict"})
    agent = make("good")
    agent.until_idle()
    for transactions in (40, 80):   # two commits, so that there are files to swap
        Workload(connector(db), writers=2, transactions=transactions).start().join()
        agent.until_idle()
    yield db.conn, folder, make
    db.sql("select pg_drop_replication_slot('verdict')")
    db.close()


def test_good_copies_are_acquitted(good):
    conn, _, make = good
    bad, rows = judge_all(conn, make("good"))
    assert not bad and rows > 500


@pytest.mark.parametrize("kind", HARM)
def test_harm_is_found(good, kind, tmp_path):
    conn, folder, make = good
    shutil.copytree(folder / "good", tmp_path / "agent")
    agent = make("good")
    agent.sinks["copy"]["path"] = tmp_path / "agent/copy.db"
    agent.sinks["lake"]["path"] = tmp_path / "agent/lake"
    HARM[kind](agent)
    assert judge_all(conn, agent)[0]
