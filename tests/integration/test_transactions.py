"""Order, position and completeness of transactions."""
import threading

import pytest

from tests.lib import judge
from tests.lib.pg import lsn_number


def positions(records):
    return [judge.position(r["source"]["position"]) for r in records]


@pytest.mark.versions(10, 14, 18)
def test_empty_transactions(pipeline, db):
    """EDGE 43: nothing is carried, and the slot still moves."""
    p = pipeline("create table t (id int primary key); create table skipped (id int primary key)", tables="public.t")
    before = lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"])
    for i in range(20):
        db.sql(f"insert into skipped values ({i})")
    p.carry()
    assert p.lake.tables() == [] or not p.records("public.t")
    assert lsn_number(db.slot("tailrace_erp")["confirmed_flush_lsn"]) > before


@pytest.mark.versions(10, 18)
def test_many_events_with_one_lsn(pipeline, db):
    """EDGE 46: COPY and multi-row inserts; the ordinal in the transaction tells the events apart."""
    p = pipeline("create table t (id int primary key, s text)")
    with db.conn.cursor() as cur, cur.copy("copy t from stdin") as copy:
        for i in range(5000):
            copy.write_row((i, f"row {i}"))
    p.carry()
    recs = p.records("public.t")
    at = positions(recs)
    assert len(set(at)) == 5000 and at == sorted(at) and len({a[:3] for a in at}) == 1
    assert [r["after"]["id"] for r in recs] == list(range(5000))
    assert [a[3] for a in at] == list(range(2, 5002))
    p.same("t")


@pytest.mark.versions(10, 18)
def test_interleaved_transactions(pipeline, db):
    """EDGE 47: order is commit order, whatever the order of the changes in the log."""
    p = pipeline("create table t (id int primary key, who text)")
    one, two = db.connect(autocommit=False), db.connect(autocommit=False)
    one.execute("insert into t values (1, 'one')")
    two.execute("insert into t values (2, 'two')")
    one.execute("insert into t values (3, 'one')")
    two.execute("insert into t values (4, 'two')")
    two.commit()
    one.execute("insert into t values (5, 'one')")
    one.commit()
    one.close(), two.close()
    p.carry()
    recs = p.records("public.t")
    assert [r["after"]["id"] for r in recs] == [2, 4, 1, 3, 5]
    at = positions(recs)
    assert at == sorted(at) and at[0][:3] == at[1][:3] < at[2][:3] == at[4][:3]
    orders = [r["transaction"]["total_order"] for r in recs]
    assert orders[0] < orders[1] and orders[2] < orders[3] < orders[4]


@pytest.mark.versions(10, 18)
def test_savepoints(pipeline, db):
    """EDGE 50: what was rolled back to a savepoint is not there, the rest is."""
    p = pipeline("create table t (id int primary key)")
    with db.conn.transaction():
        db.sql("insert into t values (1)")
        db.sql("savepoint a")
        db.sql("insert into t values (2)")
        db.sql("savepoint b")
        db.sql("insert into t values (3)")
        db.sql("rollback to a")
        db.sql("insert into t values (4)")
    with db.conn.transaction(force_rollback=True):
        db.sql("insert into t values (5)")
    p.carry()
    assert [r["after"]["id"] for r in p.records("public.t")] == [1, 4]


@pytest.mark.versions(10, 18)
def test_larger_than_the_servers_memory(pipeline, own_server, make_agent, major):
    """EDGE 49: a transaction that the server spills arrives whole, with its aborted parts left out,
    and nothing of the one that rolls back meanwhile."""
    from tests.conftest import Pipeline
    settings = {"logical_decoding_work_mem": "'64kB'"} if major >= 13 else {}
    server = own_server(**settings)
    db = server.database("erp", "create table t (id int primary key, s text)")
    p = Pipeline(db, make_agent(db)).begin()
    other = db.connect(autocommit=False)
    other.execute("insert into t select g, 'never' from generate_series(1000001, 1020000) g")
    with db.conn.transaction():
        db.sql("insert into t select g, repeat('s', 100) from generate_series(1, 30000) g")
        db.sql("savepoint a")
        db.sql("insert into t select g, 'gone' from generate_series(30001, 60000) g")
        db.sql("rollback to a")
        db.sql("delete from t where id % 2 = 0")
    other.rollback()
    other.close()
    p.carry()
    p.same("t")
    p.same_files("public.t")
    assert p.ops("public.t").count("c") == 30000 and p.ops("public.t").count("d") == 15000


@pytest.mark.versions(10, 18)
def test_two_phase_commit(pipeline, own_server, make_agent, major):
    """EDGE 51: rows of a prepared transaction come at COMMIT PREPARED, none at ROLLBACK PREPARED, also
    across a restart of the agent in between."""
    from tests.conftest import Pipeline
    server = own_server(max_prepared_transactions=5)
    db = server.database("erp", "create table t (id int primary key)")
    p = Pipeline(db, make_agent(db)).begin()
    for name, key in (("one", 1), ("two", 2)):
        db.sql("begin")
        db.sql(f"insert into t values ({key})")
        db.sql(f"prepare transaction '{name}'")
    p.carry("insert into t values (3)")
    assert [r["after"]["id"] for r in p.records("public.t")] == [3]
    p.carry("commit prepared 'one'", "rollback prepared 'two'", "insert into t values (4)")
    assert [r["after"]["id"] for r in p.records("public.t")] == [3, 1, 4]
    p.same("t")


@pytest.mark.versions(18)
def test_origins(pipeline, db):
    """EDGE 52: changes that came by replication carry on as any other; the next transaction is not taken
    for theirs."""
    p = pipeline("create table t (id int primary key)")
    db.sql("select pg_replication_origin_create('elsewhere')")
    try:
        db.sql("select pg_replication_origin_session_setup('elsewhere')")
        with db.conn.transaction():
            db.sql("select pg_replication_origin_xact_setup('0/1234', now())")
            db.sql("insert into t values (1)")
        db.sql("select pg_replication_origin_session_reset()")
        db.sql("insert into t values (2)")
        p.carry()
        assert [r["after"]["id"] for r in p.records("public.t")] == [1, 2]
        p.same("t")
    finally:
        db.sql("select pg_replication_origin_drop('elsewhere')")


@pytest.mark.since(14)
@pytest.mark.versions(18)
def test_logical_messages(pipeline, db):
    """EDGE 53: transactional ones stand in their transaction, the others by themselves, also when the
    transaction around them is rolled back; neighbours are neither skipped nor repeated."""
    p = pipeline("create table t (id int primary key)")
    with db.conn.transaction():
        db.sql("insert into t values (1)")
        db.sql("select pg_logical_emit_message(true, 'app', 'inside')")
        db.sql("insert into t values (2)")
    with db.conn.transaction(force_rollback=True):
        db.sql("insert into t values (3)")
        db.sql("select pg_logical_emit_message(false, 'app', 'survives')")
        db.sql("select pg_logical_emit_message(true, 'app', 'vanishes')")
    p.carry()
    p.carry("insert into t values (4)", "select pg_logical_emit_message(false, 'app', '\\x00ff'::bytea)",
            "insert into t values (5)")
    p.same("t")
    assert [r["after"]["id"] for r in p.records("public.t")] == [1, 2, 4, 5]
    messages = [e for e in p.agent.events() if e["op"] == "m"]
    assert len(messages) == 3
    text = str(messages)
    assert "app" in text and "vanishes" not in text


@pytest.mark.versions(10, 18)
def test_rows_written_by_the_server_itself(pipeline, db, major):
    """EDGE 58: triggers, cascades, ON CONFLICT, MERGE, replica role: one event per row change."""
    p = pipeline("""create table a (id int primary key, n int); create table audit (id serial primary key, what text);
        create table b (id int primary key, a int references a on delete cascade on update cascade);
        create function log() returns trigger language plpgsql as
        $$ begin insert into audit (what) values (tg_op || new.id); return new; end $$;
        create trigger t after insert on a for each row execute procedure log()""")
    p.carry("insert into a values (1, 1), (2, 2)", "insert into b values (10, 1), (11, 1), (12, 2)",
            "insert into a values (1, 9) on conflict (id) do update set n = excluded.n",
            "insert into a values (1, 9) on conflict do nothing", "update a set id = 20 where id = 2",
            "delete from a where id = 1")
    if major >= 15:
        p.carry("merge into a using (values (20, 7), (30, 8)) v(i, x) on a.id = v.i"
                " when matched then update set n = x when not matched then insert values (i, x)")
    db.sql("set session_replication_role = replica")
    p.carry("insert into a values (50, 5)")
    db.sql("reset session_replication_role")
    db.sql("select lo_from_bytea(0, 'x')")
    db.sql("select nextval('audit_id_seq')")
    p.carry()
    p.same("a", "b", "audit")
    p.same_files("public.a", "public.b", "public.audit")
    assert p.ops("public.b") == "cccudd" or sorted(p.ops("public.b")) == sorted("cccudd")


@pytest.mark.versions(18)
def test_concurrent_writers_keep_commit_order(pipeline, db):
    """EDGE 47: per-key order under concurrency: the last value written is the one in the copy."""
    p = pipeline("create table t (id int primary key, n int, who int)")
    db.sql("insert into t select g, 0, 0 from generate_series(1, 5) g")

    def write(who):
        with db.connect() as c:
            for i in range(150):
                c.execute("update t set n = n + 1, who = %s where id = %s", (who, i % 5 + 1))
    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    p.carry()
    p.same("t")
    p.same_files("public.t")
    assert p.ops("public.t").count("u") == 600
