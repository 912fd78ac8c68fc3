"""Tables of MySQL and MariaDB that are altered, renamed, emptied and made anew under the agent.

What depends on which columns a table had runs where the log names them (binlog_row_metadata = FULL) and where it
does not: NAMELESS, servers that cannot, and those that were told not to.
"""
import pymysql
import pytest

from tests.lib import judge
from tests.lib.agent import wait_for

NAMELESS = ("mariadb10.1", "mysql5.6", "mysql5.7")
LESS = {"mariadb10.11": {"binlog_row_metadata": "NO_LOG"}, "mysql8.0": {"binlog_row_metadata": "MINIMAL"},
        "mysql9.7": {"binlog_row_metadata": "MINIMAL"}}
T = "create table t (id int primary key, a int) engine=innodb"


def after(w, table="t"):
    """The images that inserts and updates left."""
    return [r["after"] for r in w.records(table) if r["op"] in "cu"]


def versions(w, table="t"):
    """The columns of each row as it was delivered."""
    return [",".join(r) for r in after(w, table)]


# --- columns

@pytest.mark.on_mysql_too(*NAMELESS)
def test_each_row_has_the_columns_of_its_time(way):
    """EDGE 79, 97: the agent is not behind when the table is altered."""
    w = way(T)
    w.carry("insert into t values (1, 10)")
    w.carry("alter table t add b varchar(10) first, add c int unsigned after id", "insert into t values ('x', 2, 4294967295, 20)")
    w.carry("alter table t change a renamed int", "insert into t values ('y', 3, 1, 30)")
    w.carry("alter table t drop b", "insert into t values (4, 2, 40)")
    assert versions(w) == ["id,a", "b,id,c,a", "b,id,c,renamed", "id,c,renamed"]
    assert after(w)[1:3] == [{"b": "x", "id": 2, "c": 4294967295, "a": 20}, {"b": "y", "id": 3, "c": 1, "renamed": 30}]
    assert after(w)[3] == {"id": 4, "c": 2, "renamed": 40}


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0", "mysql9.7")
def test_altered_many_times_while_the_agent_is_down(way):
    """EDGE 97: with names in the log, how far behind it is does not matter."""
    w = way(T)
    w.carry("insert into t values (1, 1)", "alter table t add b int", "insert into t values (2, 2, 2)",
            "alter table t drop a", "insert into t values (3, 3)", "alter table t change b c bigint unsigned",
            "insert into t values (4, 18446744073709551615)", "drop table t",
            "create table t (id int primary key, s varchar(5))", "insert into t values (5, 'five')")
    assert versions(w) == ["id,a", "id,a,b", "id,b", "id,c", "id,s"]
    assert after(w)[-1] == {"id": 5, "s": "five"}


@pytest.mark.on_mysql("mysql5.7", "mariadb10.1")
def test_altered_once_while_the_agent_is_down(way):
    """EDGE 79: rows before it by what was known, rows after it by what there is."""
    w = way(T)
    w.carry("insert into t values (1, 1)", "alter table t add b int first", "insert into t values (5, 2, 3)")
    assert after(w) == [{"id": 1, "a": 1}, {"b": 5, "id": 2, "a": 3}]


@pytest.mark.on_mysql(*NAMELESS)
def test_altered_twice_while_the_agent_is_down(way, mydb):
    """EDGE 79: rows in between that no definition fits end the agent with a question, not with a guess."""
    w = way(T)
    log = stop_with(w, "alter table t add b int", "insert into t values (2, 2, 2)", "alter table t add c int",
                    "insert into t values (3, 3, 3, 3)")
    assert f"{mydb.name}.t" in log and "which columns it had there is not known" in log
    assert "3 columns in the log, 4 in the definition" in log and "binlog_row_metadata = FULL" in log
    assert w.records("t") == []
    # leaving it out is the way on
    w.agent.set("source", tables=f"{mydb.name}.*, !{mydb.name}.t")
    w.carry("create table u (id int primary key)", "insert into u values (1)")
    assert w.ops("u") == "c"


def state_value(w, table):
    """What state.db keeps of a table's definitions."""
    c = judge.sqlite_open(w.agent.state_dir / "state.db")
    try:
        row = c.execute("select value from value where name = ?", (f"mysql.table.`{w.db.name}`.`{table}`",)).fetchone()
        return row and row[0]
    finally:
        c.close()


def stop_with(w, *statements):
    w.db.script(*statements)
    return w.agent.until_idle(code=1)


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0", "mysql9.7")
def test_log_that_does_not_name_columns(own_way, mysql_id):
    """EDGE 79: and metadata that is switched on in the middle."""
    w = own_way(T, settings=LESS[mysql_id])
    w.carry("insert into t values (1, 10)", "alter table t change a b int", "insert into t values (2, 20)")
    w.db.sql("set global binlog_row_metadata = 'FULL'")
    w.carry("insert into t values (3, 30)", "alter table t change b c int", "insert into t values (4, 40)",
            "alter table t change c d int", "insert into t values (5, 50)")
    assert versions(w) == ["id,a", "id,b", "id,b", "id,c", "id,d"]


@pytest.mark.on_mysql("mysql5.7", "mariadb10.1")
def test_killed_between_an_alter_and_what_is_durable(way):
    """What was read again after a crash is read with the definitions of its place, though the server went on."""
    w = way(T)
    w.agent.set("spool", sync="10s").start()
    w.db.script("insert into t values (1, 1)", "alter table t change a b int", "insert into t values (2, 2)")
    wait_for(lambda: state_value(w, "t"), what="the definition to be read again")
    w.agent.kill()
    assert w.records("t") == []
    w.db.script("alter table t change b c int", "insert into t values (3, 3)")
    w.agent.set("spool", sync="100ms").until_idle()
    assert versions(w) == ["id,a", "id,b", "id,c"]


def test_hidden_and_generated_columns(way, mydb):
    """EDGE 80, 81: generated columns are in the log, what serves an index over an expression is not."""
    mariadb = mydb.server.is_mariadb
    w = way("create table t (id int primary key, a int, v int generated always as (a + 1) virtual, "
            "s int generated always as (a + 2) stored, w varchar(20)"
            + (", x text, unique (x)" if mariadb else ", index f ((upper(w)))") + ")")
    w.carry("insert into t (id, a, w) values (1, 10, 'x')", "update t set a = 20")
    rows = after(w)
    assert [(r["v"], r["s"], r["w"]) for r in rows] == [(11, 12, "x"), (21, 22, "x")]


@pytest.mark.on_mysql("mariadb10.11")
def test_versioned_table(own_way):
    """EDGE 103: row_start and row_end are in the log; a row of the past is a row of its own."""
    w = own_way("create table t (id int primary key, a int) with system versioning", "create table u (id int)",
                settings={"binlog_row_metadata": "NO_LOG"})
    w.carry("insert into t values (1, 10)", "update t set a = 11", "insert into u values (5)")
    assert w.ops("t") == "cuc" and w.ops("u") == "c"
    assert [sorted(r) for r in after(w)] == [["a", "id", "row_end", "row_start"]] * 3
    now = [r for r in after(w) if r["a"] == 11]
    assert len(now) == 1


# --- names

@pytest.mark.on_mysql_too("mariadb10.1", "mysql5.7")
def test_online_schema_change(way, mydb):
    """EDGE 96: gh-ost and pt-online-schema-change: no row lost, none of the shadow table's taken for the table's."""
    w = way("create table orders (id int primary key, n int) engine=innodb", tables=f"{mydb.name}.orders")
    d = mydb.name
    w.carry("insert into orders values (1, 1)", "create table _orders_gho like orders",
            "alter table _orders_gho add note varchar(10), add index (n)",
            "insert into _orders_gho select *, 'new' from orders", "insert into orders values (2, 2)",
            "insert into _orders_gho values (2, 2, 'new')",
            f"rename /* gh-ost */ table `{d}`.`orders` to `{d}`.`_orders_del`, `{d}`.`_orders_gho` to `{d}`.`orders`",
            "insert into orders values (3, 3, 'after')", "drop table _orders_del")
    assert after(w, "orders") == [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 3, "n": 3, "note": "after"}]
    assert w.copy("orders", ("id", "n", "note")) == [(1, 1, None), (2, 2, None), (3, 3, "after")]


@pytest.mark.on_mysql_too("mysql5.7")
def test_names_change_places(way):
    """EDGE 96: definitions go with their tables, also when the agent hears of it late."""
    w = way("create table a (id int primary key, of_a int)", "create table b (id int primary key, of_b int)")
    w.carry("insert into a values (1, 1)", "insert into b values (1, 1)", "rename table a to x, b to a, x to b",
            "insert into a values (2, 2)", "insert into b values (2, 2)")
    assert versions(w, "a") == ["id,of_a", "id,of_b"]
    assert versions(w, "b") == ["id,of_b", "id,of_a"]


@pytest.mark.on_mysql_too("mysql5.7")
def test_another_table_under_the_name(way, mydb):
    """A table that is renamed to a captured one brings rows without events: said."""
    w = way(T, "create table staging (id int primary key, other int)", tables=f"{mydb.name}.t")
    log = w.carry("drop table t", "insert into staging values (7, 7)", "rename table staging to t",
                  "insert into t values (8, 8)")
    assert "another table was renamed to it" in log and "it was dropped" in log
    assert after(w) == [{"id": 8, "other": 8}]


@pytest.mark.on_mysql("mysql5.7", "mariadb10.11")
def test_server_that_keeps_names_in_lower_case(own_mysql, make_agent):
    """EDGE 101: the log of rows has lower case, statements have what was typed."""
    server = own_mysql(lower_case_table_names=1)
    db = server.database("erp", "create table Orders (id int primary key, a int)")
    agent = make_agent(db.url(), tables="ERP.Orders")
    agent.until_idle()
    db.script("insert into ORDERS values (1, 1)", "truncate table ORDERS", "insert into orders values (2, 2)",
              "alter table Orders change a b int", "insert into Orders values (3, 3)")
    agent.until_idle()
    records = judge.Lake(agent.lake).records("erp.orders")
    assert "".join(r["op"] for r in records) == "ctcc"
    assert [list(r["after"]) for r in records if r["op"] == "c"] == [["id", "a"], ["id", "a"], ["id", "b"]]
    assert sorted(judge.sqlite_rows(agent.copy, "orders", ("id", "b"))) == [(2, None), (3, 3)]


# --- rows without events

@pytest.mark.on_mysql_too("mysql5.7")
def test_truncate(way, mydb):
    """EDGE 92"""
    w = way(T, "create table u (id int primary key)")
    w.carry("insert into t values (1, 1)", "insert into u values (1)", "truncate t", "insert into t values (2, 2)",
            f"truncate table `{mydb.name}` . `u`")
    assert w.ops("t") == "ctc" and w.ops("u") == "ct"
    assert w.copy("t", ("id", "a")) == [(2, 2)] and w.copy("u", ("id",)) == []


def test_partitions(way, mydb):
    """EDGE 92: what leaves or comes with a partition has no events: said, by name."""
    w = way("create table t (id int primary key, a int) partition by range (id) "
            "(partition p0 values less than (10), partition p1 values less than (20), partition p2 values less than maxvalue)",
            "create table u (id int primary key, a int)")
    w.carry("insert into t values (1, 1), (11, 11), (21, 21)", "insert into u values (5, 5)")
    for statement, table in (("alter table t truncate partition p0", "t"), ("alter table t drop partition p1", "t"),
                             ("alter table t exchange partition p0 with table u", "u")):
        log = w.carry(statement)
        assert f"table={mydb.name}.{table} reason=\"partitions came, went or were emptied" in log, statement
    w.carry("alter table t add index (a)", "insert into t values (30, 30)")
    assert w.ops("t") == "cccc"


@pytest.mark.on_mysql_too("mysql5.7")
def test_modified_columns(way, mydb):
    """EDGE 98: later rows are read with the new list and charset; what may have changed in old ones is said."""
    w = way("create table t (id int primary key, e enum('a','b'), s varchar(10) character set latin1)")
    w.carry("insert into t values (1, 'b', 'é')")
    log = w.carry("alter table t modify e enum('c','b','a')", "insert into t values (2, 'b', 'é')")
    log += w.carry("alter table t convert to character set utf8mb4", "insert into t values (3, 'c', '€')")
    assert "load the table again" not in log
    log = w.carry("delete from t where id = 3", "alter table t modify e enum('b','a') not null",
                  "insert into t values (4, 'a', 'x')")
    assert "load the table again" in log and "column e was enum('c','b','a')" in log
    assert [(r["e"], r["s"]) for r in after(w)] == [("b", "é"), ("b", "é"), ("c", "€"), ("a", "x")]


@pytest.mark.on_mysql("mariadb10.1", "mariadb10.11", "mysql8.0", "mysql9.7")    # others refuse it with GTIDs
def test_create_as_select(way):
    """EDGE 93: the new table's rows are in the log, in the group of the statement."""
    w = way(T)
    w.carry("insert into t values (1, 10), (2, 20)")
    w.carry("create table u as select id, a as b from t")
    assert w.ops("u") == "cc"


@pytest.mark.on_mysql_too("mariadb10.1", "mysql5.7")
def test_temporary_tables(way):
    """EDGE 95: of the same name as a captured one: none of their changes, nothing of the table's forgotten."""
    w = way(T)
    w.carry("insert into t values (1, 1)")
    with w.db.connect() as c, c.cursor() as cur:
        for s in ("create temporary table t (x varchar(5), y int, z int)", "insert into t values ('a', 1, 2)",
                  "alter table t drop z", "truncate table t", "drop temporary table t", "insert into t values (2, 2)"):
            cur.execute(s)
    w.carry("insert into t values (3, 3)")
    assert after(w) == [{"id": i, "a": i} for i in (1, 2, 3)] and w.ops("t") == "ccc"


@pytest.mark.on_mysql("mariadb10.1", "mariadb10.11", "mysql5.7")
def test_temporary_tables_in_the_log(way):
    """EDGE 95: MIXED logs what their thread does with them, under the base table's name; a routine's TRUNCATE of that one counts."""
    w = way(T, "create table u (id int primary key, a int)")
    w.carry("insert into t values (1, 1)", "insert into u values (1, 1)",
            "create procedure p() begin create temporary table x (i int); insert into x values (1); truncate u; drop temporary table x; end")
    with w.db.connect() as c, c.cursor() as cur:
        for s in ("set session binlog_format = 'MIXED'", "create temporary table t (x varchar(5), y int, z int)",
                  "insert into t values ('a', 1, 2)", "alter table t drop z", "alter table t rename to s", "truncate table s",
                  "alter table s rename to t", "truncate table t", "update t set y = 1"):
            cur.execute(s)
        w.agent.until_idle()
        for s in ("drop temporary table t", "set session binlog_format = 'ROW'", "insert into t values (2, 2)",
                  "call p()"):
            cur.execute(s)
    w.carry("insert into t values (3, 3)", "insert into u values (3, 3)")
    assert w.ops("t") == "ccc" and w.ops("u") == "ctc"


@pytest.mark.on_mysql("mariadb10.5", "mariadb10.11", "mariadb11.8")
def test_sequences(way, mydb):
    """EDGE 103: NEXTVAL writes a row of the sequence; it is no table of ours."""
    w = way(T, "create sequence s1")
    w.carry("select nextval(s1)", "create sequence s2", "select nextval(s2)", "rename table s2 to s3",
            "select nextval(s3)", "drop sequence s1", "create table s1 (id int primary key, c int)",
            "insert into s1 values (1, 1)", "insert into t values (1, nextval(s3))")
    assert w.ops("t") == "c" and after(w, "s1") == [{"id": 1, "c": 1}]
    assert {p.name for p in w.agent.lake.iterdir()} == {f"{mydb.name}.t", f"{mydb.name}.s1", "_tailrace"}


@pytest.mark.on_mysql("mariadb10.11", "mariadb11.8")
def test_two_phase_alter(own_way):
    """EDGE 103: the log has the statement twice; the first time nothing has changed yet, nor where it was rolled back."""
    w = own_way(T, settings={"binlog_alter_two_phase": "ON", "binlog_row_metadata": "NO_LOG"})
    w.carry("insert into t values (1, 1)", "alter table t add b int", "insert into t values (2, 2, 2)")
    with pytest.raises(pymysql.err.IntegrityError):
        w.db.sql("insert into t values (3, 1, 1)") or w.db.sql("alter table t add d int, add unique (a)")
    w.carry("insert into t values (4, 4, 4)", "alter table t change b c bigint", "insert into t values (5, 5, 5)")
    assert versions(w) == ["id,a", "id,a,b", "id,a,b", "id,a,b", "id,a,c"]


# --- text

@pytest.mark.on_mysql_too("mysql5.7")
def test_how_statements_are_written(way, mydb):
    """EDGE 100: comments, quotes, modes, blanks in names, character sets."""
    w = way(T)
    d = mydb.name
    with mydb.connect(charset="latin1") as c, c.cursor() as cur:
        for s in ("insert into t values (1, 1)", f"/* alter */ alter /*!50000 table */ `{d}` . t -- x\n add `größe` int",
                  "insert into t values (2, 2, 2)", "set session sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
                  "alter table \"t\" add \"it's\" int comment 'ends in \\' first", "insert into t values (9, 3, 3, 3)",
                  "create table `a``b -- c` (id int primary key)", "insert into `a``b -- c` values (1)",
                  "alter table `a``b -- c` add `d``e` int", "insert into `a``b -- c` values (2, 2)"):
            cur.execute(s)
            if s.startswith("insert"):
                w.agent.until_idle()
    assert [list(r.values()) for r in after(w)] == [[1, 1], [2, 2, 2], [9, 3, 3, 3]]
    newest = [r for r in judge.sqlite_rows(w.agent.copy, "t", ("it's", "id", "a", "größe")) if r[1] == 3]
    assert newest == [(9, 3, 3, 3)]
    rows = sorted(judge.sqlite_rows(w.agent.copy, "a`b -- c", ("id", "d`e")))
    assert rows == [(1, None), (2, 2)]


@pytest.mark.on_mysql_too("mysql9.7")
def test_what_is_not_ours_passes(way, mysql_id):
    """EDGE 102: users, routines, views, maintenance; no password reaches the log."""
    w = way(T)
    user = f"u{w.db.name}"
    log = w.carry(f"create user {user} identified by 'very-secret-1'", f"grant select on *.* to {user}",
                  f"drop user {user}", "create view v as select * from t", "create procedure p() select 1",
                  "create trigger tr before insert on t for each row set new.a = new.a + 1",
                  "create event ev on schedule every 1 year do delete from t", "analyze table t", "optimize table t",
                  "flush tables", "drop event ev", "drop view v", "insert into t values (1, 1)")
    assert after(w) == [{"id": 1, "a": 2}] and "secret" not in log and "not understood" not in log


@pytest.mark.on_mysql_too("mysql5.7")
def test_statement_format(way, mydb):
    """EDGE 89: rows that are not in the log stop the agent; of other tables they do not."""
    w = way(T, "create table other (id int primary key)", tables=f"{mydb.name}.t")
    with mydb.server.connect(mydb.name) as c, c.cursor() as cur:
        cur.execute("set session binlog_format = 'STATEMENT'")
        cur.execute("insert into other values (1)")
        w.carry("insert into t values (1, 1)")
        cur.execute("update t join other using (id) set a = 5")
    log = w.agent.until_idle(code=1)
    assert f"{mydb.name}.t was logged as text" in log and "binlog_format" in log


def test_routine_in_statement_format(way, mydb):
    """EDGE 89: which tables it wrote to is not said: all are to be loaded again."""
    if not mydb.server.is_mariadb:
        mydb.server.sql("set global log_bin_trust_function_creators = 1")
    w = way(T, "create function f() returns int deterministic modifies sql data "
            "begin insert into t values (9, 9); return 1; end")
    with mydb.server.connect(mydb.name) as c, c.cursor() as cur:
        cur.execute("set session binlog_format = 'STATEMENT'")
        cur.execute("select f()")
    log = w.agent.until_idle()
    assert f"table={mydb.name}.t reason=\"a routine or view was written to in statement format" in log
