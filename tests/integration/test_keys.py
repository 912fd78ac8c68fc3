"""Rows that change their key, and tables that have none."""
import pytest


@pytest.mark.versions(10, 18)
def test_key_change_is_delete_and_insert(pipeline, db):
    """EDGE 5: the old key goes, the new one comes: same transaction, same position, that order."""
    p = pipeline("create table t (id int primary key, s text)")
    p.carry("insert into t values (1, 'a')", "update t set id = 7, s = 'b'")
    insert, gone, come = p.records("public.t")
    assert (gone["op"], come["op"]) == ("d", "c")
    assert gone["before"]["id"] == 1 and come["after"] == {"id": 7, "s": "b"}
    assert gone["source"]["position"] == come["source"]["position"]
    assert gone["transaction"]["id"] == come["transaction"]["id"] != insert["transaction"]["id"]
    assert p.sqlite("select id, s from t") == [(7, "b")]


def test_keys_shifted_by_one_statement(pipeline, db):
    """EDGE 6: each row takes its neighbour's key; no transient collision, the end equals the source."""
    p = pipeline("create table t (id int primary key, s text); create table u (a int, s text,"
                 " unique (a) deferrable initially deferred); alter table u replica identity full")
    p.carry("insert into t select g, 'row ' || g from generate_series(50, 1, -1) g", "update t set id = id + 1",
            "insert into u select g, g::text from generate_series(1, 20) g", "update u set a = 21 - a")
    p.same("t", "u")
    assert p.ops("public.t") == "c" * 50 + "dc" * 50


def test_composite_and_text_keys(pipeline, db):
    """EDGE 5: part of a key changes; keys that differ only by case or blanks are different."""
    p = pipeline("create table t (a text, b char(4), c bytea, n int, primary key (a, b, c))")
    p.carry("insert into t values ('x', 'p', '\\x00', 1), ('X', 'p', '\\x00', 2), ('x ', 'p', '', 3)",
            "update t set c = '\\x01' where n = 1", "delete from t where n = 2")
    p.same("t")


@pytest.mark.versions(10, 18)
def test_full_identity_without_key_takes_one_of_equal_rows(pipeline, db):
    """EDGE 8: deleting one of several identical rows removes exactly one."""
    p = pipeline("create table t (a int, b text); alter table t replica identity full")
    p.carry("insert into t values (1, 'x'), (1, 'x'), (1, 'x'), (2, null), (2, null)",
            "delete from t where ctid = (select min(ctid) from t where a = 1)",
            "update t set b = 'y' where ctid = (select min(ctid) from t where a = 2)")
    p.same("t")
    assert p.sqlite("select count(*) from t where a = 1") == [(2,)]
    assert sorted(p.sqlite("select b from t where a = 2"), key=str) == [("y",), (None,)]


@pytest.mark.versions(10, 18)
def test_full_identity_with_values_that_have_no_equality(pipeline, db):
    """EDGE 9: NULL, NaN, -0, json and point in the identity of a row."""
    p = pipeline("create table t (f double precision, j json, pt point, s text, a int[], ts timestamptz, by bytea,"
                 " big text, n numeric, d date);"
                 " alter table t replica identity full")
    p.carry("insert into t values ('NaN', '{\"a\":1}', '(1,2)', null, '{1,NULL}', now(), '\\x00', repeat('z', 9000), 'NaN', 'infinity'),"
            " ('-0', '[1, 2]', null, '', null, null, null, null, 1.50, null),"
            " (null, null, null, null, null, null, null, null, null, null), ('Infinity', null, '(-0,0)', 'x', '{}', null, '', null, 0, null)",
            "update t set s = 'changed' where f = 'NaN'", "delete from t where s = ''",
            "update t set f = 0 where f is null", "delete from t where f = 'Infinity'")
    p.same("t")
    assert p.sqlite("select count(*) from t") == [(2,)]


def test_a_table_that_would_break_the_application_is_left_out(pipeline, db):
    """EDGE 7: publishing a table without identity would make its UPDATE fail: it is left out, loudly,
    with the SQL that admits it; a table that only gets inserts may be."""
    p = pipeline("create table good (id int primary key, n int); create table bare (a int, b int);"
                 " create table nothing (id int primary key, n int); alter table nothing replica identity nothing",
                 begin=False)
    log = p.agent.until_idle()
    assert "bare" in log and "nothing" in log and "REPLICA IDENTITY" in log.upper()
    p.carry("insert into bare values (1, 1)", "update bare set b = 2", "delete from bare",
            "insert into nothing values (1, 1)", "update nothing set n = 2", "delete from nothing",
            "insert into good values (1, 1)")
    p.same("good")
    tables = {r[0] for r in db.sql("select tablename from pg_publication_tables")}
    assert tables == {"good"}


def test_full_identity_admits_the_table(pipeline, db):
    """EDGE 7: what the message says to run does cure it."""
    p = pipeline("create table bare (a int, b int); create table good (id int primary key)")
    db.sql("alter table bare replica identity full")
    p.carry()
    p.carry("insert into bare values (1, 1), (1, 1)", "update bare set b = 2 where a = 1")
    p.same("bare")
