"""Databases that are not in UTF-8."""
import pytest


@pytest.mark.versions(10, 18)
def test_latin1(pipeline, own_server, make_agent, major):
    """EDGE 41: the server converts; the copy is UTF-8."""
    server = own_server()
    db = server.database("latin", like="encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    assert db.one("show server_encoding") == "LATIN1"
    db.script("create table t (id int primary key, s text, \"gr\u00f6\u00dfe\" text, e text[])")
    a = make_agent(db)
    a.until_idle()
    db.sql("insert into t values (1, 'K\u00e4se \u00a3 \u00ff', '\u00dc', '{\u00e9,x}')")
    a.until_idle()
    from tests.lib import judge
    bad, n = judge.judge_sqlite(db.conn, a.copy, ["t"])
    assert not bad and n == {"t": 1}
    assert judge.Lake(a.lake).records("public.t")[0]["after"]["s"] == "K\u00e4se \u00a3 \u00ff"


@pytest.fixture
def ascii_db(own_server):
    server = own_server()
    db = server.database("anything", like="encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
    db.script("create table t (id int primary key, s text)")
    return db


def put(db, key, octets):
    db.conn.execute("set client_encoding = 'SQL_ASCII'")
    db.sql(f"insert into t values ({key}, convert_from('\\x{octets.hex()}', 'SQL_ASCII'))")


@pytest.mark.versions(10, 18)
def test_sql_ascii_is_found_by_check(ascii_db, make_agent, major):
    """EDGE 42: check says what may happen and how to choose."""
    a = make_agent(ascii_db)
    findings = __import__("json").loads(a("check", "--json", check=False).stdout)["findings"]
    assert any("SQL_ASCII" in f["message"] and "invalid_bytes" in f["message"] for f in findings), findings


def test_sql_ascii_stops_at_bytes_that_are_not_utf8(ascii_db, make_agent, major):
    """EDGE 42: by default the agent stops at the row, named with its position; nothing is skipped, and
    the change of the setting carries it."""
    from tests.lib import judge
    a = make_agent(ascii_db)
    a.until_idle()
    put(ascii_db, 1, "grün".encode())
    put(ascii_db, 2, b"gr\xfcn")
    put(ascii_db, 3, b"after")
    log = a.until_idle(code=1)
    assert "public.t" in log and "invalid_bytes" in log and "UTF-8" in log
    a.set("source", invalid_bytes="replace")
    a.until_idle()
    rows = judge.sqlite_rows(a.copy, "t", ["id", "s"])
    assert rows == [(1, "gr\u00fcn"), (2, "gr\ufffdn"), (3, "after")]


def test_sql_ascii_bytes_are_kept_where_asked(ascii_db, make_agent, major):
    """EDGE 42: invalid_bytes = bytes keeps what is there."""
    from tests.lib import judge
    a = make_agent(ascii_db, source={"invalid_bytes": "bytes"})
    a.until_idle()
    put(ascii_db, 1, b"gr\xfcn")
    put(ascii_db, 2, b"plain")
    a.until_idle()
    recs = judge.Lake(a.lake).records("public.t")
    assert len(recs) == 2
    first = recs[0]
    assert first["after"]["s"] == b"gr\xfcn" or "s" in (first["unrepresentable"] or {})
