"""EDGE 19, 26: tables are added to source.tables and removed from it while the agent runs (SIGHUP)."""
import signal

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for

TABLES = "create table kept (id int primary key, s text)", "create table gone (id int primary key, s text)", \
    "create table later (id int primary key, s text)"


def reload(agent, tables):
    agent.set("source", tables=tables)
    agent.process.send_signal(signal.SIGHUP)


def states(agent):
    return {t["name"]: t["state"] for t in agent.status()["tables"]}


def copied(p, table):
    """The ids in the copy; None: the copy has no such table."""
    if not p.agent.copy.exists():
        return None
    c = judge.sqlite_open(p.agent.copy)
    try:
        if not c.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone():
            return None
        return [r[0] for r in c.execute(f"select id from {table} order by id")]
    finally:
        c.close()


def arrives(p, table, ids):
    wait_for(lambda: copied(p, table) == ids, 30, f"{ids} in {table}, which has {copied(p, table)}\n{p.agent.log_tail(30)}")


def published(db):
    return sorted(r[0] for r in db.sql("select tablename::text from pg_publication_tables"))


@pytest.fixture(params=["never", "initial"])
def mode(request):
    return request.param


@pytest.mark.versions(10, 18)
def test_added_and_removed(pipeline, db, mode):
    p = pipeline(";".join(TABLES), tables="public.kept, public.gone", snapshot={"mode": mode})
    db.sql("insert into later values (1, 'held before')")
    p.agent.start()
    pid = p.agent.process.pid
    db.sql("insert into kept values (1)")
    db.sql("insert into gone values (1)")
    arrives(p, "gone", [1])

    reload(p.agent, "public.kept, public.later")
    wait_for(lambda: published(db) == ["kept", "later"], 20, "the publication to follow")
    wait_for(lambda: states(p.agent).get("gone") == "excluded", 20, "the removed table to be said")
    db.sql("insert into gone values (2)")
    db.sql("insert into later values (2)")
    db.sql("insert into kept values (2)")
    arrives(p, "kept", [1, 2])
    arrives(p, "later", [1, 2] if mode == "initial" else [2])
    assert copied(p, "gone") == [1]
    log = p.agent.log_path.read_text()
    assert "no longer selected" in log and "public.gone" in log

    reload(p.agent, "public.*")  # and back: what it missed comes with its rows
    wait_for(lambda: published(db) == ["gone", "kept", "later"], 20, "the publication to follow")
    wait_for(lambda: states(p.agent).get("gone") in ("streaming", "snapshot"), 20, "the table to be taken up")
    db.sql("insert into gone values (3)")
    arrives(p, "gone", [1, 2, 3] if mode == "initial" else [1, 3])
    assert p.agent.process.pid == pid and p.agent.running()
    p.agent.stop()
    p.agent.until_idle()
    p.same("kept")
    if mode == "initial":
        p.same("gone", "later")


def test_a_pattern_without_a_match_is_said(pipeline, db):
    p = pipeline(";".join(TABLES), tables="public.kept")
    p.agent.start()
    reload(p.agent, "public.kept, public.missing")
    wait_for(lambda: "public.missing" in p.agent.log_path.read_text(), 20, "the pattern in the log")
    db.sql("insert into kept values (1)")
    arrives(p, "kept", [1])
    p.agent.stop()


def test_a_broken_configuration_changes_nothing(pipeline, db):
    p = pipeline(";".join(TABLES), tables="public.kept")
    p.agent.start()
    good = p.agent.conf.read_text()
    p.agent.conf.write_text(good.replace("public.kept", "public.later") + "[nonsense]\n")
    p.agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in p.agent.log_path.read_text(), 20, "the refusal in the log")
    db.sql("insert into kept values (1)")
    arrives(p, "kept", [1])
    assert published(db) == ["kept"]
    p.agent.stop()


def test_a_table_that_may_not_be_added(pipeline, db, server, make_agent):
    """Somebody else's table: said, with the SQL; the others go on."""
    db.sql("drop role if exists limited")
    db.sql("create role limited login replication password 'x'")
    try:
        db.script(";".join(TABLES))
        db.sql(f'grant create on database "{db.name}" to limited')
        db.sql("grant all on schema public to limited")
        db.sql("alter table kept owner to limited")
        db.sql("grant select on all tables in schema public to limited")
        p = pipeline("", begin=False, tables="public.kept")
        p.agent.set("source", url=db.url(user="limited"), password="x")
        p.begin()
        p.agent.start()
        reload(p.agent, "public.kept, public.later")
        wait_for(lambda: "NOT PUBLISHED" in p.agent.log_path.read_text(), 20, "the refusal in the log")
        assert "ADD TABLE" in p.agent.log_path.read_text()
        db.sql("insert into kept values (1)")
        arrives(p, "kept", [1])
        assert published(db) == ["kept"]
        p.agent.stop()
    finally:
        p.agent.kill()
        with server.connect() as c:
            c.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'limited'")
        db.sql("reassign owned by limited to current_user")
        db.sql("drop owned by limited")
        db.sql("drop role limited")


def test_added_and_removed_in_mysql(way, mydb, mode):
    d = mydb.name
    w = way(*TABLES, tables=f"{d}.kept, {d}.gone", snapshot={"mode": mode})
    mydb.sql("insert into later values (1, 'held before')")
    w.agent.start()
    mydb.sql("insert into kept values (1, null)")
    mydb.sql("insert into gone values (1, null)")
    arrives(w, "gone", [1])
    reload(w.agent, f"{d}.kept, {d}.later")
    wait_for(lambda: states(w.agent).get("gone") == "excluded", 20, "the removed table to be said")
    mydb.sql("insert into gone values (2, null)")
    mydb.sql("insert into later values (2, null)")
    mydb.sql("insert into kept values (2, null)")
    arrives(w, "kept", [1, 2])
    arrives(w, "later", [1, 2] if mode == "initial" else [2])
    assert copied(w, "gone") == [1]
    reload(w.agent, f"{d}.*")
    wait_for(lambda: states(w.agent).get("gone") in ("streaming", "snapshot"), 20, "the table to be taken up")
    mydb.sql("insert into gone values (3, null)")
    arrives(w, "gone", [1, 2, 3] if mode == "initial" else [1, 3])
    w.agent.stop()
    w.agent.until_idle()
    w.same("kept")
    if mode == "initial":
        w.same("gone")
        w.same("later")
