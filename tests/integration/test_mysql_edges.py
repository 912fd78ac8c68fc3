"""Numbered edge cases of MySQL and MariaDB that have no test elsewhere."""
import contextlib
import json
import threading
import time

import pytest

from tests.lib import judge, judge_mysql
from tests.lib.agent import wait_for
from tests.lib.mysql_way import TABLE

T = "create table t (id int primary key, a int default 7, s varchar(100)) engine=innodb"


def same(w, *tables):
    bad, _ = judge_mysql.judge_sqlite(w.db, w.agent.copy, tables or None)
    assert not bad, "\n".join(bad)


# --- values

def test_text_that_is_not_valid_stops(way, mydb):
    """EDGE 70: by default; the two other policies go on, one with the bytes, one without."""
    mydb.sql("create table t (id int primary key, c varchar(20) character set greek)")
    w = way()
    mydb.script("insert into t values (1, x'41d242')")     # no character of ISO 8859-7
    log = w.agent.until_idle(code=1)
    assert f"{mydb.name}.t, column c" in log and "source.invalid_bytes" in log
    w.agent.set("source", invalid_bytes="bytes").until_idle()
    after = w.records("t")[-1]
    assert after["after"]["c"] is None and after["unrepresentable"] == {"c": "\\x41d242"}


@pytest.mark.on_mysql("mariadb10.1", "mariadb10.2", "mariadb10.11", "mysql5.6", "mysql5.7", "mysql8.0")
def test_labels_that_the_server_does_not_tell(way, mydb, mysql_id):
    """EDGE 62: information_schema has ? for what is beyond the BMP; where the log has no labels they are not guessed."""
    w = way("create table t (id int primary key, e enum('a','\U0001F600x','?') character set utf8mb4,"
            " s set('p','\U0001F601') character set utf16, b enum('?') character set latin1, u binary(16))", begin=False)
    told = mysql_id in ("mariadb10.11", "mysql8.0")
    found = [f["object"] for f in json.loads(w.agent("check", "--json", check=False).stdout)["findings"] if f["id"] == "labels"]
    assert found == ([] if told else [f"{mydb.name}.t"] * 2)
    w.begin()
    w.carry("insert into t (id, e, s, b) values (1, 2, 2, 1), (2, 1, 1, 1), (3, 3, 3, 1), (4, 'a', '', 1)")
    got = [(r["after"]["e"], r["after"]["s"], r["after"]["b"], r["unrepresentable"]) for r in w.records("t")]
    assert got == ([("\U0001F600x", "\U0001F601", "?", None), ("a", "p", "?", None),
                    ("?", "p,\U0001F601", "?", None), ("a", "", "?", None)] if told else
                   [(None, None, "?", {"e": "2", "s": "2"}), ("a", "p", "?", None),
                    (None, None, "?", {"e": "3", "s": "3"}), ("a", "", "?", None)])


def test_minimal_inserts_are_not_made_up(own_way):
    """EDGE 77, EDGE 99: columns that the log leaves to their defaults are absent; the sqlite sink invents nothing."""
    w = own_way(T, settings={"binlog_row_image": "MINIMAL"})
    w.carry("insert into t values (1, 1, 'x')")
    w.db.script("update t set s = 'y'", "alter table t alter a set default 8", "insert into t (id) values (2)")
    log = w.agent.until_idle(code=1)
    assert "erp.t comes without all of its columns" in log
    del w.agent.sinks["copy"]
    w.agent.write_config()
    w.agent.until_idle()
    records = w.records("t")
    assert [(r["op"], r["after"]["id"], r["absent"]) for r in records] == [("c", 1, None), ("u", 1, ["a"]), ("c", 2, ["a", "s"])]


# --- statements instead of rows

@pytest.mark.parametrize("statement", ("insert into t (id, s) values (1, @u)", "insert into t (id, s) values (1, rand())",
                                       "insert into auto (s) values ('x')"))
def test_statement_with_context(way, mydb, statement):
    """EDGE 89, EDGE 90: user variables, random numbers, automatic numbers: no rows, so no guess."""
    w = way(TABLE, "create table auto (id int auto_increment primary key, s varchar(100)) engine=innodb")
    with contextlib.closing(mydb.connect()) as c, c.cursor() as cur:
        for s in ("set session binlog_format = 'STATEMENT'", "set @u = 'variable'", statement):
            cur.execute(s)
    log = w.agent.until_idle(code=1)
    table = "auto" if "auto" in statement else "t"
    assert f"{mydb.name}.{table}" in log and "binlog_format was not ROW" in log
    assert w.records(table) == []


def test_replace_under_minimal_images_is_foretold(own_way):
    """EDGE 77, EDGE 88: what MariaDB does not log, check says before."""
    w = own_way(T, settings={"binlog_row_image": "MINIMAL"}, begin=False)
    found = w.agent("check", "--json", check=False).stdout
    assert ("REPLACE" in found) == w.db.server.is_mariadb


# --- tables that are changed under writers

class Writers:
    """Inserts, updates and deletes in t, by several connections, until the end."""

    def __init__(self, db, n=2):
        self.db, self.done, self.failed, self.count = db, False, [], 0
        self.threads = [threading.Thread(target=self.write, args=(i,), daemon=True) for i in range(n)]

    def write(self, who):
        with contextlib.closing(self.db.connect()) as c, c.cursor() as cur:
            k = who * 1000000
            while not self.done:
                k += 1
                try:
                    cur.execute("insert into t (id, a, s) values (%s, %s, 'new')", (k, k))
                    cur.execute("update t set s = concat(s, '+') where id = %s", (k - k % 3,))
                    if k % 5 == 0:
                        cur.execute("delete from t where id = %s", (k - 2,))
                except Exception as e:      # told at the end
                    self.failed.append(e)
                    return
                self.count += 1
                time.sleep(0.002)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def wait(self, more=20):
        end, until = time.monotonic() + 60, self.count + more
        while self.count < until and not self.failed and time.monotonic() < end:
            time.sleep(0.01)

    def __exit__(self, *exc):
        self.done = True
        for t in self.threads:
            t.join()
        assert not self.failed, self.failed


@pytest.mark.parametrize("other", (True, False), ids=("shadow_captured", "shadow_not_captured"))
def test_schema_change_online(way, mydb, other):
    """EDGE 96: as pt-online-schema-change does it, under writers: triggers, copying, one RENAME of two tables."""
    w = way(T, tables=f"{mydb.name}.*" if other else f"{mydb.name}.t")
    w.agent.start()
    with Writers(mydb) as load:
        load.wait()
        mydb.script("create table _t_new like t", "alter table _t_new modify a bigint default 7, add index (a)",
                    "create trigger t_d after delete on t for each row delete ignore from _t_new where id <=> old.id",
                    "create trigger t_u after update on t for each row replace into _t_new (id, a, s) values (new.id, new.a, new.s)",
                    "create trigger t_i after insert on t for each row replace into _t_new (id, a, s) values (new.id, new.a, new.s)")
        load.wait()
        mydb.sql("insert low_priority ignore into _t_new (id, a, s) select id, a, s from t lock in share mode")
        load.wait()
        mydb.script("rename table t to _t_old, _t_new to t")
        load.wait()
        mydb.script("drop trigger t_d", "drop trigger t_u", "drop trigger t_i", "drop table _t_old")
        load.wait()
    w.agent.stop()
    log = w.agent.until_idle() + w.agent.log()
    same(w, "t")
    assert not [line for line in log.splitlines() if "load the table again" in line and f"{mydb.name}.t " in line]


def test_column_with_a_default(way, mydb):
    """EDGE 98: the rows that are there get the value without an event: the copy has not, and the agent says so."""
    w = way(T)
    log = w.carry("insert into t values (1, 1, 'x')", "alter table t add n int", "insert into t values (2, 2, 'y', 2)")
    assert "load the table again" not in log
    same(w, "t")
    log = w.carry("alter table t add d varchar(10) not null default 'dflt'", "insert into t values (3, 3, 'z', 3, 'own')")
    assert "load the table again" in log and f"{mydb.name}.t" in log and "column was added with a value" in log
    assert w.copy("t", ("id", "d")) == [(1, None), (2, None), (3, "own")]


# --- transactions

def test_transaction_larger_than_memory(own_way):
    """EDGE 112: one transaction and one statement of many times what the agent holds."""
    w = own_way("create table t (id int primary key, s varchar(1000)) engine=innodb")
    w.db.sql("insert into t values (0, repeat('x', 1000))")
    w.agent.start()
    for n in range(14):
        w.db.sql(f"insert into t select id + {2 ** n}, s from t")
    w.db.tx("update t set s = repeat('y', 1000)", "update t set s = repeat('z', 1000)", "delete from t where id % 2 = 0")
    most = []

    def carried():
        most.append(w.agent.rss()[1])
        return len(w.copy("t", ("id",))) == 8192 and not [r for r in w.copy("t", ("id",)) if r[0] % 2 == 0]
    wait_for(carried, 120, "the transaction in the copy", every=0.2)
    w.agent.stop()
    w.same()
    assert max(most) < 96 << 20     # the transaction is of 64 MB


@pytest.mark.on_mysql("mariadb10.1", "mariadb10.11", "mariadb11.8")
def test_generated_columns_that_are_not_logged(way, mydb, mysql_id):
    """EDGE 81: old MariaDB logs NULL for virtual columns, the newest none of them with an UPDATE; check names them."""
    w = way("create table t (id int primary key, a int, v int as (a * 2) virtual, p int as (a * 3) persistent)", begin=False)
    found = [f for f in json.loads(w.agent("check", "--json", check=False).stdout)["findings"] if f["id"] == "generated_column"]
    assert [f["object"] for f in found] == [f"{mydb.name}.t"] * {"mariadb10.1": 1, "mariadb10.11": 0, "mariadb11.8": 2}[mysql_id]
    w.begin()
    w.carry("insert into t (id, a) values (1, 5)", "update t set a = 6")
    assert w.copy("t", ("id", "a", "v", "p")) == [{"mariadb10.1": (1, 6, None, 18), "mariadb10.11": (1, 6, 12, 18),
                                                  "mariadb11.8": (1, 6, 10, 15)}[mysql_id]]
    if mysql_id == "mariadb11.8":
        assert w.records("t")[-1]["absent"] == ["v", "p"]


def test_version_that_comes_back(way, mydb):
    """A table that is what it was before: the order of its records is that of its files, sorted by name."""
    w = way(T)
    w.carry("insert into t values (1, 1, 'x')", "alter table t add c int", "insert into t values (2, 2, 'y', 2)",
            "alter table t drop c", "insert into t values (3, 3, 'z')", "alter table t add c int", "insert into t values (4, 4, '', 4)")
    bad = judge.Complaints()
    judge.judge_file_order(judge.Lake(w.agent.lake), f"{mydb.name}.t", bad)
    assert not bad, "\n".join(bad)
    assert [r["after"]["id"] for r in w.records("t")] == [1, 2, 3, 4]
    assert len({r["source"]["position"] for r in w.records("t")}) == 4


HIDDEN = "create table t (id int primary key, s varchar(10), index f ((upper(s))), g int as (id * 2), index h ((id + 5)))"


@pytest.mark.on_mysql("mysql8.0.15")
def test_hidden_columns_in_the_log(way, mydb):
    """EDGE 81: the maps of early 8.0 have what serves an index over an expression; rows do not."""
    w = way(HIDDEN)
    w.carry("insert into t (id, s) values (1, 'x'), (2, null)", "update t set s = 'y'", "alter table t add z int",
            "insert into t (id, s, z) values (3, 'x', 3)", "delete from t where id = 2")
    same(w, "t")
    assert sorted(w.records("t")[-2]["after"]) == ["g", "id", "s", "z"]
    mydb.sql(f"alter table t add `{'0123456789abcdef' * 2}` int")     # a name that cannot be told from theirs
    mydb.sql("insert into t (id, s) values (4, 'x')")
    assert "give it another" in w.agent.until_idle(code=1)


@pytest.mark.on_mysql("mysql8.0.15")
def test_hidden_columns_without_names(own_way):
    """EDGE 81: without names in the log nothing tells them apart: it is said why."""
    w = own_way(HIDDEN, settings={"binlog_row_metadata": "MINIMAL"})
    w.db.sql("insert into t (id, s) values (1, 'x')")
    log = w.agent.until_idle(code=1)
    assert "the log has 5 columns, the table 3" in log and "index over an expression" in log
