"""Snapshots of MySQL and MariaDB: what is read of tables that hold rows equals what the server says, by every kind of
key and in every way of knowing the read's place in the log, and is what the stream would have given."""
import contextlib
import itertools
import json
import threading

import pymysql
import pytest

from tests.lib import judge, judge_mysql, mysql_cases, mysql_values
from tests.lib.agent import wait_for
from tests.lib.mysql import quote
from tests.lib.mysql_way import count

INITIAL = {"mode": "initial", "chunk_rows": 20, "workers": 3}
NUMBERS = "create table numbers (g int primary key)"


@pytest.fixture
def load(way):
    """Tables that hold rows already, loaded by the first start."""
    def make(*script, **kw):
        kw["snapshot"] = {**INITIAL, **kw.get("snapshot", {})}
        return way(*script, **kw)
    return make


@pytest.fixture
def own_load(own_way):
    def make(*script, **kw):
        kw["snapshot"] = {**INITIAL, **kw.get("snapshot", {})}
        return own_way(*script, **kw)
    return make


@pytest.fixture
def lockable(mydb):
    """The right that reads under a lock need."""
    who = "'tailrace'@'127.0.0.1'"
    mydb.server.sql(f"grant lock tables on {mydb.name}.* to {who}")
    yield
    mydb.server.sql(f"revoke lock tables on {mydb.name}.* from {who}")


def same(w, *tables):
    bad, _ = judge_mysql.judge_sqlite(w.db, w.agent.copy, [f"{w.db.name}.{t}" for t in tables])
    assert not bad, "\n".join(bad)


def tables_of(db):
    return [r[0] for r in db.sql("select table_name from information_schema.tables where table_schema = %s"
                                 " and table_type = 'BASE TABLE'", (db.name,))]


def numbers(db, n):
    db.sql(NUMBERS)
    db.sql("insert into numbers values " + ", ".join(f"({g})" for g in range(1, n + 1)))


def findings(w, code=None):
    done = w.agent("check", "--json", check=False)
    assert code is None or done.returncode == code, done.stdout
    return json.loads(done.stdout)["findings"]


def versions(w):
    """How many versions of each table the pipeline knows."""
    out = w.agent("schema", "list").stdout
    return {t: sum(f"{w.db.name}.{t} " in f"{line} " for line in out.splitlines()) for t in tables_of(w.db)}


# --- values

def test_every_type(load, make_agent, mydb, lockable):
    """EDGE 59 to 68, 74, 76, 80, 81: loaded, equal to the server's own output; what the stream carried of the same
    rows is the same, byte by byte, and of the same version of the table."""
    mydb.sql("create table before_all (id int primary key)")
    streamed = make_agent(mydb.url(), folder="streamed", tables=f"{mydb.name}.*")
    streamed.until_idle()
    mysql_values.every_type(mydb)
    if not mydb.server.is_mariadb:
        mysql_cases.json_values(mydb)
    streamed.until_idle()
    w = load()
    tables = [t for t in tables_of(mydb) if t != "before_all"]
    same(w, *tables)
    v = mydb.server.number
    unlogged = ["computed"] if mydb.server.is_mariadb and (v < (10, 3) or v >= (11, 8)) else []
    for t in (t for t in tables if t not in unlogged):
        names = [r[0] for r in mydb.sql(f"show columns from {quote(t)}")]
        rows = [sorted(judge.sqlite_rows(a.copy, t, names), key=repr) for a in (w.agent, streamed)]
        assert rows[0] == rows[1] and rows[0], t
    assert {r["op"] for t in tables for r in w.records(t)} == {"r", "t"}    # without a key: emptied first
    w.carry(*(f"delete from {quote(t)} limit 1" for t in tables if mydb.one(f"select count(*) from {quote(t)}")))
    assert {t: n for t, n in versions(w).items() if n > 1} == {}
    same(w, *(t for t in tables if t not in unlogged))


def keys(server):
    """A type, and an expression of g that gives distinct keys."""
    mariadb, v = server.is_mariadb, server.number
    labels = ", ".join(f"'m{g * 7919 % 1000:03}'" for g in range(1, 301))
    out = {
        "int": "g * 7 - 900",
        "bigint": "(g - 150) * 61489146912365172",
        "bigint unsigned": "18446744073709551615 - cast(g as unsigned) * 61489146912365172",
        "mediumint unsigned zerofill": "g * 55000",
        "year, k2 int": "if(g % 50 = 0, 0, 1901 + g % 200), g",
        "decimal(30,10)": "(g - 100) / 7 * 1e15 + g",
        "varchar(40)": "concat(char(65 + g % 26), repeat('ß', g % 3), '\\\\\\'\\\"', g)",
        "varchar(40) character set latin1 collate latin1_swedish_ci": "concat(if(g % 2, 'Ä', 'b'), g)",
        "varchar(40) character set utf16": "concat('日', g * 7919 % 1000)",
        "varchar(40) collate utf8mb4_bin": "md5(g)",
        "char(12) character set ucs2": "concat(char(97 + g % 7), g)",
        "binary(6)": "unhex(concat(lpad(hex(g * 7919 % 1000), 6, '0'), '0000'))",
        "varbinary(20)": "concat(unhex(md5(g)), char(0), char(g % 3))",
        "date": "'1969-10-01' + interval g * 13 day",
        "datetime(6)": "'1969-12-01' + interval g * 25200500001 microsecond",
        "timestamp(3)": "'2024-03-30 20:00:00' + interval g * 1717001000 microsecond",
        "time(2)": "sec_to_time(g * 250.25)",
        "bit(64)": "cast(g as unsigned) * 61489146912365172",
        "bit(1), k2 int": "g % 2, g",
        f"enum({labels})": "g",
        "enum('b','a','c'), k2 enum('x','B','y','A'), k3 int": "g % 4, g % 5, g",
        "set('d','c','b','a'), k2 int": "g % 16, g",
        "varchar(10), k2 decimal(10,2), k3 date": "concat('a', g % 3), g / 2, '2026-01-01' + interval g % 2 day",
        "int, k2 varchar(20) character set latin1, k3 bigint unsigned": "g % 2, if(g % 3, 'É', 'e'), g",
        "varchar(30), primary key (k(4)), k2 int": None,
    }
    if not mariadb and v >= (8, 0, 11):
        out["int, k2 int, primary key (k desc, k2)"] = "g % 5, g"
    if mariadb and v >= (10, 10):
        out["uuid"] = "concat_ws('-', substr(md5(g), 1, 8), substr(md5(g), 9, 4), concat(4, substr(md5(g), 14, 3)), concat('a', substr(md5(g), 18, 3)), substr(md5(g), 21))"
        out["inet6"] = "concat('2001:db8::', hex(g))"
        out["inet4"] = "concat('10.', g % 3, '.0.', g % 250)"
    return out


def make_keys(db):
    numbers(db, 300)
    db.sql("set sql_mode = '', time_zone = '+00:00'")
    for i, (kind, value) in enumerate(keys(db.server).items()):
        names = ", ".join(["k"] + [f"k{n}" for n in (2, 3) if f", k{n} " in kind])
        own = "primary key" in kind
        db.sql(f"create table t{i} (s text, k {kind}{'' if own else f', primary key ({names})'}) character set utf8mb4")
        if value is None:
            db.sql(f"insert into t{i} (s, k, k2) select 's', concat(lpad(g, 4, '0'), 'rest', g), g from numbers")
        else:
            db.sql(f"insert into t{i} ({names}, s) select {value}, concat('row ', g) from numbers")
    return [f"t{i}" for i in range(len(keys(db.server)))]


def test_every_kind_of_key(load, mydb):
    """Chunks of 20 rows in the database's own order: no row is left out, none comes twice."""
    tables = make_keys(mydb)
    w = load()
    for t in tables:
        assert w.ops(t) == "r" * mydb.one(f"select count(*) from {t}"), mydb.sql(f"show create table {t}")[0][1]
    same(w, *tables)


def test_case_and_accents(load, mydb):
    """Keys that the collation holds for near each other; NULLs beside a UNIQUE that is the key."""
    numbers(mydb, 200)
    w = load("create table a (k varchar(20) primary key) character set utf8mb4 collate utf8mb4_general_ci",
             "insert into a select concat(elt(g % 4 + 1, 'a', 'Ä', 'b', 'B'), g) from numbers",
             "create table u (n int, a int not null, b varchar(5) not null, unique later (n, a), unique first_one (b, a))",
             "insert into u select if(g % 2, null, g), g, char(65 + g % 5) from numbers")
    same(w, "a", "u")
    assert w.ops("a") == "r" * 200 and w.ops("u").count("r") == 200


# --- ways to know the place

@pytest.mark.on_mysql("mysql8.0", "mysql5.6")
def test_without_gtids(own_load, mysql_id):
    """Under LOCK TABLES, for which check asks; without the right the load says the GRANT."""
    w = own_load("create table t (id int primary key, s varchar(10))", "insert into t values (1, 'there'), (2, 'x')", gtid=False, begin=False)
    lacks, = [f for f in findings(w, 3) if f["id"] == "lock_privilege"]
    assert lacks["object"] == "erp.t" and lacks["severity"] == "error"
    assert lacks["fix_sql"].rstrip(";") in w.agent.until_idle(code=1)
    w.db.server.sql(lacks["fix_sql"].rstrip(";"))
    assert not [f for f in findings(w) if f["id"] == "lock_privilege"]
    w.agent("snapshot", "start", "erp.t")
    w.agent.until_idle()
    w.same()
    assert w.ops("t") == "rr"
    w.carry("update t set s = 'y' where id = 2")
    w.same()


def test_without_transactions(load, mydb, lockable):
    """MyISAM is read under a lock that stays until the chunk is read."""
    numbers(mydb, 100)
    w = load("create table t (id int primary key, s varchar(10)) engine=myisam", "insert into t select g, 'x' from numbers",
             "create table k (a int, s varchar(10)) engine=myisam", "insert into k select g % 10, 'x' from numbers")
    same(w, "t", "k")
    w.carry("update t set s = 'y' where id < 10", "delete from k where a = 3 limit 2")
    same(w, "t", "k")


@contextlib.contextmanager
def writing(db, *statements):
    """Statements with {i}, one after the other, on a connection of their own; a new one after a deadlock."""
    stop = threading.Event()

    def run():
        for i in itertools.count():
            with contextlib.suppress(pymysql.err.MySQLError), contextlib.closing(db.connect()) as c, c.cursor() as cur:
                while not stop.is_set():
                    for s in statements:
                        cur.execute(s.format(i=i))
                    i += 1
            if stop.is_set():
                return
    t = threading.Thread(target=run)
    t.start()
    try:
        yield
    finally:
        stop.set()
        t.join()


def loaded(w, *tables, start=True):
    """Until all tables are loaded, beside writers; then all of it is carried."""
    def done():
        w.agent.must_run()
        listed = json.loads(w.agent("snapshot", "list", "--json").stdout)["tables"]
        return len(listed) >= len(tables) and all(t["state"] == "done" for t in listed)
    if start:
        w.agent.start()
    wait_for(done, 60, "all tables to be loaded", every=0.2)


def test_a_table_without_a_key_between_writers(load, mydb, lockable):
    """Read at one place of the log: nothing twice, nothing lost, equal rows counted."""
    numbers(mydb, 500)
    mydb.script("create table t (a int, b text)", "insert into t select g % 50, 'there' from numbers")
    w = load(begin=False)
    with writing(mydb, "insert into t values ({i} % 7, 'while')", "update t set b = 'changed' where a = {i} % 50 limit 1"):
        loaded(w, "t", "numbers")
    w.agent.stop()
    w.carry()
    same(w, "t")


def test_between_writers_and_xa(load, mydb, lockable):
    """Rows are moved, changed and deleted while they are read, some of it by XA COMMIT, which MariaDB shows late."""
    numbers(mydb, 3000)
    mydb.script("create table t (id int primary key, s varchar(20))", "insert into t select g, 'there' from numbers")
    moves = ["update ignore t set id = id + 10000 where id = {i} * 17 % 3000", "delete from t where id = {i} * 31 % 3000",
             "insert ignore into t values ({i} * 7 % 3000, 'again')", "update t set s = 'x{i}' where id > {i} * 13 % 3000 limit 5"]
    xa = ["xa start 'x{i}'", "update t set s = 'xa{i}' where id < 10000 order by id limit 3", "xa end 'x{i}'", "xa prepare 'x{i}'", "xa commit 'x{i}'"]
    w = load(snapshot={"chunk_rows": 100}, begin=False)
    with writing(mydb, *moves), writing(mydb, *xa):
        loaded(w, "t", "numbers")
    w.agent.stop()
    w.carry()
    w.same()


# --- asked for

def test_with_a_condition(load, mydb):
    """Only rows of the condition; one that is no SQL fails with the server's words, and nothing else does."""
    numbers(mydb, 100)
    w = load("create table t (id int primary key, year int)", "insert into t select g, 2000 + g % 30 from numbers", snapshot={"mode": "never"})
    assert w.ops("t") == ""
    w.agent("snapshot", "start", f"{mydb.name}.t", "--where", "year >= 2024 -- of late")
    w.agent.until_idle()
    assert sorted(r["after"]["id"] for r in w.records("t")) == [r[0] for r in mydb.sql("select id from t where year >= 2024")]
    for bad, words in (("year >=", "syntax"), ("yaer > 1", "yaer"), ("exists (select 1", "syntax")):
        w.agent("snapshot", "start", f"{mydb.name}.t", "--where", bad)
        assert words in w.agent.until_idle(code=1)
        assert "failed" in w.agent("snapshot", "list").stdout
    w.carry("update t set year = 1")
    assert w.ops("t").count("u") == 100


def test_rows_longer_than_a_chunk_may_be(load, mydb):
    """A chunk ends at so many bytes: the statement is given up, and the next goes on behind the last row."""
    numbers(mydb, 400)
    w = load("create table t (id int primary key, s mediumtext, b mediumblob)",
             "insert into t select g, repeat(md5(g), 3000), unhex(repeat(md5(g), 1000)) from numbers",
             snapshot={"chunk_rows": 10000}, pipeline={"memory": "64MB"})
    same(w, "t")
    assert w.ops("t") == "r" * 400


# --- what may happen meanwhile

def test_altered_while_it_is_loaded(load, mydb):
    """EDGE 97, 98: rows of chunks read before and after are of their own versions; rewritten ones are read again."""
    numbers(mydb, 2000)
    w = load("create table t (id int primary key, s varchar(20), e enum('a', 'b'))", "insert into t select g, 'there', g % 2 + 1 from numbers",
             "create table u (id int primary key)", "insert into u select g from numbers", begin=False)
    w.agent.set("snapshot", rate=2000).start()
    wait_for(lambda: count(w, "t"), 30, "the first chunk")
    mydb.script("alter table t add column more int not null default 7 after id", "update t set s = 'later' where id % 100 = 0",
                "alter table t modify e enum('b', 'a', 'c')", "alter table t drop column s", "insert into t values (5000, 1, 'c')")
    loaded(w, "t", "u", "numbers", start=False)
    w.agent.stop()
    w.carry()
    same(w, "u")
    got = w.copy("t", ("id", "e", "more"))
    assert got == [tuple(r) for r in mydb.sql("select id, e, more from t order by id")]


def test_dropped_and_not_readable(load, mydb, mysql_server):
    """Each ends in a state with the reason; the other tables are loaded."""
    user = f"u{mydb.name}"
    monitor = "binlog monitor" if mysql_server.is_mariadb else "replication client"
    mydb.script(f"create user {user}@'127.0.0.1' identified by 'secret'",
                f"grant replication slave, {monitor} on *.* to {user}@'127.0.0.1'",
                "create table t (id int primary key)", "insert into t values (1)", "create table f (x float primary key)",
                "insert into f values (1.5)", f"grant select on {mydb.name}.* to {user}@'127.0.0.1'")
    try:
        w = load(url=mysql_server.url(mydb.name, user=user, password="secret"), begin=False)
        assert [f["object"] for f in findings(w) if f["id"] == "snapshot_key"] == [f"{mydb.name}.f"]
        log = w.agent.until_idle(code=1)
        assert f"{mydb.name}.f" in log and "float" in log
        same(w, "t")
        mydb.script("create table gone (id int primary key)", "insert into gone values (1)")
        w.agent("snapshot", "start", f"{mydb.name}.gone")
        mydb.sql("drop table gone")
        w.agent.until_idle()
        w.carry("insert into t values (2)")
        same(w, "t")
    finally:
        mydb.sql(f"drop user {user}@'127.0.0.1'")
