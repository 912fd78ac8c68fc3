"""Snapshots of PostgreSQL: what is read of tables that hold rows equals what the server says, by every kind of
key, and is what the stream would have given."""
import pytest

from tests.integration.test_types import ODD, ROWS, SCHEMA, insert, judge_images

INITIAL = {"mode": "initial", "chunk_rows": 20, "workers": 3}


@pytest.fixture
def load(pipeline):
    """Tables that hold rows already, loaded by the first start."""
    def make(**kw):
        kw["snapshot"] = {**INITIAL, **kw.get("snapshot", {})}
        return pipeline(**kw)
    return make


@pytest.mark.versions(10, 18)
def test_every_type(load, db, major):
    """Loaded by binary COPY, then all rows once more by the stream: both equal the server's own output."""
    db.script(SCHEMA)
    for key, row in enumerate(ROWS + ODD):
        insert(db, "t", key, row)
    if major >= 14:
        db.sql("insert into t (id, n) values (100, 'Infinity'), (101, '-Infinity')")
    p = load()
    p.same("t")
    judge_images(db, p.lake, "t")
    assert set(p.ops("public.t")) == {"r"}
    p.carry("update t set id = id + 1000")
    p.same("t")


@pytest.mark.versions(10, 18)
def test_types_without_a_binary_form(load, db, major):
    """Printed by the type's own output function, whatever its cast to text says."""
    db.script("create type pair as (a int, b text); create type mood as enum ('sad', 'glad');"
              " create function shout(pair) returns text language sql as 'select ''cast''::text';"
              " create cast (pair as text) with function shout(pair);"
              " create table t (id int primary key, p pair, q pair[], m mood[], r int4range, d text[], x point, z money);"
              " insert into t values (1, row(1, 'a,\"b'), array[row(2, null)::pair, null], '{glad,NULL}', '[1,5)',"
              " '{NULL,\"NULL\",\"a\\\\b\"}', '(1,2)', 12.5), (2, row(null, null), '{}', null, 'empty', null, null, null),"
              " (3, null, null, '{}', null, '{{a,b},{c,d}}', null, -1)")
    p = load()
    p.same("t")


KEYS = {  # a type, and an expression of g that gives distinct keys
    "int": "g * 7 - 900",
    "bigint": "(g - 150) * 61489146912365172",
    "smallint": "g - 150",
    "oid": "(g::bigint * 14316557)::oid",
    "text": "chr(32 + g % 90) || repeat(chr(9731), g % 3) || E'\\'\\\\\"\\n' || g",
    "text collate \"C\"": "md5(g::text)",
    "varchar(40)": "upper(md5(g::text))",
    "char(12)": "to_hex(g) || repeat('x', g % 5)",
    "name": "'n' || g",
    "uuid": "md5(g::text)::uuid",
    "numeric": "(g - 100) / (g % 7 + 1)::numeric * 1e20 + g",
    "numeric(14,3)": "(g - 100) * 123456.789",
    "timestamptz": "timestamptz '2026-01-01 12:00+02' + g * interval '17 hours 0.000001 seconds'",
    "timestamp": "timestamp '1969-12-01' + g * interval '7 hours 0.5 seconds'",
    "date": "date '1969-10-01' + g",
    "time": "time '00:00' + g * interval '200.25 seconds'",
    "timetz": "timetz '10:00+00' + g * interval '100 seconds'",
    "interval": "g * interval '1 day 3 hours 0.25 seconds' - interval '1 year 2 mons'",
    "bytea": "decode(md5(g::text), 'hex') || '\\x00ff5c'",
    "bit varying(20)": "g::bit(20)::varbit",
    "inet": "inet '10.0.0.0/16' + g * 257",
    "macaddr": "('08:00:2b:' || substr(md5(g::text), 1, 2) || ':' || lpad(to_hex(g / 256), 2, '0') || ':'"
               " || lpad(to_hex(g % 256), 2, '0'))::macaddr",
    "jsonb": "jsonb_build_object('k', g, 's', 'q''\"\\')",
    "int[]": "array[g % 5, g, null]",
    "text[]": "array['a\"b', '{' || g || '}', null, '\\', 'NULL']",
    "int4range": "int4range(g, g + 5)",
    "pair": "row(g % 4, 'a,(\"b' || g)::pair",
    "mood": "(enum_range(null::mood))[g]",
    "code": "('c' || g)::code",
    "nested": "g",
    "boolean, k2 int": "g % 2 = 0, g",
    "text, k2 numeric, k3 date": "'a' || g % 3, g / 2.0, date '2026-01-01' + g % 2",
}
MAKE_TYPES = ("create type pair as (a int, b text); create domain code as varchar(8) check (value <> '');"
              " create domain whole as int check (value > 0); create domain nested as whole;"
              " do $$ begin execute (select 'create type mood as enum (' || string_agg(quote_literal('m' || (g * 7919 % 1000)), ',' order by g)"
              " || ')' from generate_series(1, 300) g); end $$")


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("analyzed", (False, True))
def test_every_kind_of_key(load, db, major, analyzed):
    """Chunks of 20 rows in the database's own order, in ranges: by the histogram where there is one."""
    db.script(MAKE_TYPES)
    for i, (kind, value) in enumerate(KEYS.items()):
        names = ", ".join(["k"] + [f"k{n + 2}" for n in range(kind.count(", k"))])
        db.sql(f"create table t{i} (s text, k {kind}, primary key ({names}))")
        db.sql(f"insert into t{i} ({names}, s) select {value}, 'row ' || g from generate_series(1, 300) g")
        if analyzed:
            db.sql(f"analyze t{i}")
    p = load(pipeline={"log_level": "debug"})
    assert "no use of a column's statistics" not in p.agent.log()
    p.same(*(f"t{i}" for i in range(len(KEYS))))
    for i in range(len(KEYS)):
        assert p.ops(f"public.t{i}") == "r" * 300
