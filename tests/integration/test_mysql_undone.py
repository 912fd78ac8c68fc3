"""MySQL and MariaDB: what the log takes back, and what waits in it, while agents come and go."""
import contextlib
import shutil

import pytest

from tests.lib.agent import wait_for

TABLES = ("create table t (id int primary key, s varchar(100)) engine=innodb",
          "create table m (id int auto_increment primary key, s varchar(100)) engine=myisam")


def purge(db, name):
    """The server keeps a file that a connection of an agent that ended still reads, and says nothing."""
    def gone():
        db.sql(f"purge binary logs to '{name}'")
        return db.server.binlogs()[0].name == name
    wait_for(gone, 30, "files to be purged")


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0")
def test_a_backlog_of_rollbacks(own_way):
    """One transaction cannot be held at a time: reading goes on from before all of them."""
    w = own_way(*TABLES, gtid=False)
    for i in range(0, 120, 3):
        w.db.tx(("insert into t values (%s, 'kept')", (i,)), "savepoint s", ("insert into t values (%s, 'gone')", (i + 1,)),
                "insert into m (s) values ('stays')", "rollback to s", ("insert into t values (%s, 'kept')", (i + 2,)))
        w.db.script("begin", f"insert into t values ({i + 1}, 'gone')", "insert into m (s) values ('stays too')", "rollback")
    w.agent.until_idle(timeout=90)
    w.same("t")
    w.same("m")
    assert w.ops("t") == "c" * 80 and w.ops("m") == "c" * 80


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0")
@pytest.mark.parametrize("gtid", (False, True))
def test_the_place_of_what_is_prepared_is_kept(own_way, gtid):
    """The file that the checkpoint names is the oldest that is needed: all before it may be purged."""
    w = own_way(TABLES[0], gtid=gtid)
    w.db.script("insert into t values (1, 'before')")
    w.db.server.flush_logs()
    with contextlib.closing(w.db.connect()) as c, c.cursor() as cur:
        for s in ("xa start 'a'", "insert into t values (2, 'prepared')", "xa end 'a'", "xa prepare 'a'"):
            cur.execute(s)
        name, _ = w.db.server.position()
        for i in range(3, 6):
            w.carry(f"insert into t values ({i}, 'meanwhile')")
            w.db.server.flush_logs()
        w.carry("insert into t values (6, 'in another file')")
        assert w.checkpoint()[1]["file"] == name
        purge(w.db, name)
        cur.execute("xa commit 'a'")
    w.agent.until_idle()
    w.same("t")
    assert sorted(r["after"]["id"] for r in w.records("t")) == [1, 2, 3, 4, 5, 6]


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0")
def test_sinks_past_a_gap_know_what_was_prepared(own_way):
    """The spool lost its end, the server what came then; every sink is past an XA COMMIT whose rows are gone."""
    w = own_way(TABLES[0])
    w.carry("insert into t values (1, 'before')")
    shutil.copytree(w.agent.state_dir, w.agent.folder / "kept")
    w.carry("xa start 'a'", "insert into t values (2, 'prepared')", "xa end 'a'", "xa prepare 'a'")
    w.db.server.flush_logs()
    w.carry("xa commit 'a'", "insert into t values (3, 'after')")
    purge(w.db, w.db.server.position()[0])
    shutil.rmtree(w.agent.state_dir)
    shutil.copytree(w.agent.folder / "kept", w.agent.state_dir)
    log = w.carry("insert into t values (4, 'last')")
    assert "every sink is past it" in log
    w.same("t")
    assert sorted(r["after"]["id"] for r in w.records("t")) == [1, 2, 3, 4]
