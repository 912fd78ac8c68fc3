"""Every type of INTERFACE.md, through the binary and through the text protocol, on both sinks.

The truth is the server's own output function; the value that must be in SQLite and in the Avro
image follows from it (lib/normal.py).  Both protocol modes are compared with the same truth, hence
with each other.  A published table with a composite column forces text.
"""
import math

import pytest

from tests.lib import judge, normal

SCHEMA = """
create type mood as enum ('sad', 'it''s ok', 'gl\u00fccklich');
create domain positive as int check (value > 0);
create domain money_like as numeric(10,2);
create domain code as varchar(8);
create domain small_code as code check (value <> '');
create table t (
    id int primary key,
    b boolean, i2 smallint, i4 int, i8 bigint, o oid,
    n numeric, np numeric(12,3), n0 numeric(5,0), nbig numeric(38,10),
    f4 real, f8 double precision,
    c char(6), vc varchar(20), tx text, ch "char", nm name,
    j json, jb jsonb, u uuid, by bytea, bi bit(5), vb bit varying(12),
    d date, ti time, tiz timetz, ts timestamp, tsz timestamptz, iv interval,
    x xml, inet inet, cidr cidr, mac macaddr, mac8 macaddr8,
    mo money, pt point, ln line, bx box, pa path, po polygon, ci circle,
    i4r int4range, nr numrange, dr daterange, tsr tsrange,
    tv tsvector, tq tsquery, e mood, p positive, ml money_like, sc small_code,
    lsn pg_lsn, rc regclass)
"""

ROWS = [
    {},
    dict(b="true", i2="32767", i4="2147483647", i8="9223372036854775807", o="4294967295",
         n="123456789012345678901234567890.12345678901234567890", np="123456789.125", n0="99999",
         nbig="1234567890123456789012345678.0123456789", f4="3.14159274", f8="2.718281828459045",
         c="ab", vc="gr\u00fcn", tx="\u00e4\u20ac\U0001f600", ch="x", nm="a_name",
         j='{"a": 1e400, "a" :2,  "b":[1.50]}', jb='{"b": 1.50, "a": null}',
         u="a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", by="\\x00ff10", bi="10110", vb="101",
         d="2026-02-28", ti="13:14:15.678901", tiz="13:14:15.5+05:30", ts="2026-01-02 03:04:05.678901",
         tsz="2026-01-02 03:04:05.678901+02", iv="1 year 2 mons 3 days 04:05:06.789",
         x="<a>1</a>", inet="192.168.0.1/24", cidr="10.0.0.0/8", mac="08:00:2b:01:02:03",
         mac8="08:00:2b:01:02:03:04:05", mo="12.34", pt="(1.5,-2)", ln="{1,2,3}", bx="(2,2),(1,1)",
         pa="((0,0),(1,1))", po="((0,0),(1,1),(1,0))", ci="<(1,2),3>", i4r="[1,10)", nr="(,5.5]",
         dr="empty", tsr='["2026-01-01 00:00:00",)', tv="a:1 fat:2", tq="fat & !rat", e="gl\u00fccklich",
         p="7", ml="12.30", sc="abc", lsn="16/B374D848", rc="pg_class"),
    dict(b="false", i2="-32768", i4="-2147483648", i8="-9223372036854775808", o="0",
         n="-0.00000000000000000001", np="-0.001", n0="-99999", nbig="-0.0000000001", f4="1e-45", f8="5e-324",
         c="", vc="", tx="", by="", vb="", bi="00000", jb="[]", j="0", d="0001-01-01", ti="00:00:00",
         tiz="00:00:00+15:59:59", ts="0001-01-01 00:00:00", tsz="0001-01-02 00:00:00+00", iv="-1 mons +2 days -03:04:05.000001",
         mo="-0.01", i4r="empty", nr="(,)", dr="(,2026-01-01)", tv="", e="it's ok", p="1", ml="0.00",
         inet="::1", cidr="::/0"),
    dict(f4="NaN", f8="-Infinity", n="0", np="0", n0="0", d="9999-12-31", ti="23:59:59.999999",
         tiz="23:59:59.999999-15:59:59", ts="9999-12-31 23:59:59.999999", tsz="9999-12-31 23:59:59.999999+00",
         iv="0", c="abcdef", tx="line\nbreak\ttab\\ backslash 'quote' \"double\"", j="[1,  2]", mo="-92233720368547758.08"),
    dict(f4="-0", f8="-0", n="1e100", iv="178956970 years", tx="x" * 5000, i8="-1"),
]
# The value cannot be held by the column's Avro type: null in the image, its text in `unrepresentable`.
ODD = [
    dict(d="infinity", ts="infinity", tsz="-infinity", np="NaN", n="NaN", ti="24:00:00", tiz="24:00:00+00"),
    dict(d="0044-03-15 BC", ts="4714-11-24 00:00:00 BC", tsz="4714-11-24 00:00:00+00 BC", n0="NaN", nbig="NaN"),
    dict(d="5874897-12-31", ts="294276-12-31 23:59:59.999999", tsz="294276-12-31 23:59:59.999999+00"),
    dict(d="10000-01-01", ts="0001-12-31 23:59:59 BC"),
]

MODES = ("binary", "text")


def insert(db, table, key, row):
    names = [n for n in row if row[n] is not None]
    cols = ", ".join(["id", *names])
    values = ", ".join(["%s", *["%s"] * len(names)])
    db.sql(f"insert into {table} ({cols}) values ({values})", (key, *(row[n] for n in names)))


def judge_images(db, lake, table):
    """Every image of every record against the source's text, with `unrepresentable`."""
    cols = normal.columns(db.conn, table)
    want = {int(r[0]): dict(zip((c.name for c in cols), r)) for r in normal.rows_as_text(db.conn, table)}
    seen = {}
    for rec in lake.records(f"public.{table}"):
        seen[rec["after"]["id"]] = rec
    assert seen.keys() == want.keys()
    bad = []
    for key, rec in seen.items():
        odd = rec["unrepresentable"] or {}
        for c in cols:
            text = want[key][c.name]
            value = normal.avro_value(c, text)
            if not normal.same(value, rec["after"][c.name]):
                bad.append(f"{c.name} of {key}: {rec['after'][c.name]!r}, not {value!r}")
            if (c.name in odd) != (not normal.representable(c, text)):
                bad.append(f"{c.name} of {key}: {text!r} and unrepresentable = {odd}")
            elif c.name in odd and odd[c.name] != text:
                bad.append(f"{c.name} of {key}: unrepresentable says {odd[c.name]!r}, not {text!r}")
    assert not bad, "\n".join(bad)


def make(pipeline, db, mode, script):
    if mode == "text":
        script += "; create type pair as (a int, b text); create table zz_composite (id int primary key, v pair);"
    return pipeline(script)


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("mode", MODES)
def test_every_type(pipeline, db, major, mode):
    """EDGE 29, EDGE 30, EDGE 31, EDGE 33, EDGE 34, EDGE 36, EDGE 37, EDGE 38: the value equals the
    server's own output."""
    p = make(pipeline, db, mode, SCHEMA)
    for key, row in enumerate(ROWS + ODD):
        insert(db, "t", key, row)
    if major >= 14:
        db.sql("insert into t (id, n) values (100, 'Infinity'), (101, '-Infinity')")
    p.carry()
    p.same("t")
    judge_images(db, p.lake, "t")


@pytest.mark.since(14)
@pytest.mark.parametrize("mode", MODES)
def test_multiranges(pipeline, db, mode):
    """EDGE 36: multiranges, empty and unbounded."""
    p = make(pipeline, db, mode, "create table t (id int primary key, m int4multirange, n nummultirange, d datemultirange)")
    db.sql("insert into t values (1, '{}', '{(,)}', '{[2026-01-01,2026-02-01),[2027-01-01,)}'),"
           " (2, '{[1,2),[5,9)}', '{(1.5,2.5]}', null)")
    p.carry()
    p.same("t")
    judge_images(db, p.lake, "t")


@pytest.mark.since(17)
@pytest.mark.parametrize("mode", MODES)
def test_infinite_interval(pipeline, db, mode):
    """EDGE 33: an infinite interval (PostgreSQL 17)."""
    p = make(pipeline, db, mode, "create table t (id int primary key, v interval)")
    db.sql("insert into t values (1, 'infinity'), (2, '-infinity')")
    p.carry()
    p.same("t")
    assert [r[0] for r in p.sqlite("select v from t order by id")] == ["infinity", "-infinity"]


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("mode", MODES)
def test_numeric_extremes(pipeline, db, major, mode):
    """EDGE 29: 131072 digits, 16383 decimals, negative scale, scale above precision."""
    odd = ", neg numeric(3,-2), small numeric(3,5)" if major >= 15 else ""
    p = make(pipeline, db, mode, f"create table t (id int primary key, n numeric, np numeric(1000,500){odd})")
    db.sql("insert into t (id, n, np) values (1, repeat('9', 131072)::numeric, null),"
           " (2, ('-0.' || repeat('1', 16383))::numeric, ('1' || repeat('0', 498) || '.' || repeat('7', 500))::numeric),"
           " (3, 0.000, -0.5), (4, 10000, 100000000), (5, 1e-7, 0), (6, 99999999.9999, 0.0001)")
    if odd:
        db.sql("update t set neg = 12345, small = 0.00123")
    p.carry()
    p.same("t")
    for rec in p.records("public.t"):
        want = db.sql("select n::text, np::text from t where id = %s", (rec["after"]["id"],))[0]
        assert rec["after"]["n"] == want[0]
        if odd and rec["op"] == "u":
            assert (rec["after"]["neg"], rec["after"]["small"]) == ("12300", "0.00123")


ARRAYS = """
create type color as enum ('red', 'dark blue');
create table t (id int primary key, i int[], b bigint[], bo boolean[], tx text[], n numeric[], np numeric(8,2)[],
    f double precision[], d date[], ts timestamptz[], u uuid[], by bytea[], e color[], bx box[], vc varchar(5)[], j jsonb[]);
"""


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("mode", MODES)
def test_arrays(pipeline, db, mode):
    """EDGE 35: NULL and 'NULL', quotes, empty, bounds, dimensions, the delimiter of box[]."""
    p = make(pipeline, db, mode, ARRAYS)
    db.sql("""insert into t values
        (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
        (2, '{1,NULL,-3}', '{9223372036854775807}', '{t,f,NULL}', '{a,"NULL",NULL,"","x,y","q\\"uote","back\\\\slash","{}"," sp "}',
            '{1.50,NaN,NULL}', '{1.50,-2}', '{1.5,-0,1e300}', '{2026-01-02}', '{"2026-01-02 03:04:05.6+00"}',
            '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"\\\\x00ff",""}', '{red,"dark blue"}', '{(2,2),(1,1);(4,4),(3,3)}',
            '{ab,NULL}', array['{"a": [1, 2]}'::jsonb, 'null'::jsonb]),
        (3, '{{1,2},{3,4}}', null, null, null, null, null, null, null, null, null, null, null, null, null, null),
        (4, '[2:4]={7,8,9}', null, null, '{{a},{b}}', null, null, null, null, null, null, null, null, null, null, null)""")
    p.carry()
    recs = {r["after"]["id"]: r for r in p.records("public.t")}
    assert recs[1]["after"]["i"] == [] and recs[1]["after"]["tx"] == []
    two = recs[2]["after"]
    assert two["i"] == [1, None, -3] and two["bo"] == [True, False, None]
    assert two["tx"] == ["a", "NULL", None, "", "x,y", 'q"uote', "back\\slash", "{}", " sp "]
    assert two["n"] == ["1.50", "NaN", None] and [str(v) for v in two["np"]] == ["1.50", "-2.00"]
    assert two["f"][0] == 1.5 and math.copysign(1, two["f"][1]) == -1 and two["f"][2] == 1e300
    assert two["by"] == [b"\x00\xff", b""] and two["e"] == ["red", "dark blue"]
    assert two["bx"] == ["(2,2),(1,1)", "(4,4),(3,3)"] and two["vc"] == ["ab", None]
    assert two["j"] == ['{"a": [1, 2]}', "null"]
    assert str(two["ts"][0]) == "2026-01-02 03:04:05.600000+00:00" and str(two["d"][0]) == "2026-01-02"
    assert recs[3]["after"]["i"] is None and recs[3]["unrepresentable"] == {"i": "{{1,2},{3,4}}"}
    assert recs[4]["after"]["i"] is None
    assert recs[4]["unrepresentable"] == {"i": "[2:4]={7,8,9}", "tx": "{{a},{b}}"}
    assert p.sqlite("select i, tx from t where id = 1") == [("[]", "[]")]


@pytest.mark.versions(10, 18)
def test_composites_and_unknown_types(pipeline, db):
    """EDGE 36, EDGE 34: composites with NULL fields and quotes, a domain over an array, as the
    server prints them."""
    p = pipeline("""create type address as (street text, no int, since date);
        create type person as (name text, home address);
        create domain tags as text[] check (array_length(value, 1) < 9);
        create table t (id int primary key, a address, who person, g tags, many address[])""")
    db.sql("""insert into t values (1, row('a "quoted", street', null, '2026-01-02'), row('x', row(null, 1, null)),
        '{a,"b c"}', array[row('s', 1, null)::address]), (2, null, row(null, null), '{}', null)""")
    p.carry()
    p.same("t")
    assert p.records("public.t")[0]["after"]["a"] == '("a ""quoted"", street",,2026-01-02)'


def test_schema_of_every_type(pipeline, db):
    """The Avro type of each column, and what Kafka Connect needs to know it by."""
    p = pipeline(SCHEMA + "; create table a (id bigint primary key, l int[])")
    insert(db, "t", 1, ROWS[1])
    p.carry("insert into a values (1, '{1}')")
    lake = p.lake
    envelope = lake.schema(lake.files("public.t")[0])
    after = next(f for f in envelope["fields"] if f["name"] == "after")["type"]
    image = next(t for t in envelope["fields"][0]["type"] if isinstance(t, dict)) if isinstance(
        envelope["fields"][0]["type"], list) else None
    assert image is not None and after[0] == "null"
    assert image["name"].split(".")[-1] == "Value" and envelope["name"].split(".")[-1] == "Envelope"
    types = {}
    for f in image["fields"]:
        assert f["type"][0] == "null" and len(f["type"]) == 2 and f["default"] is None
        types[f["name"]] = f["type"][1]

    def simple(name):
        t = types[name]
        return t if isinstance(t, str) else (t["type"], t.get("logicalType"))
    want = {"b": "boolean", "i2": "int", "i4": "int", "i8": "long", "o": "long", "n": "string",
            "np": ("bytes", "decimal"), "f4": "float", "f8": "double", "c": "string", "tx": "string",
            "u": ("string", "uuid"), "by": "bytes", "bi": "string", "d": ("int", "date"),
            "ti": ("long", "time-micros"), "ts": ("long", "local-timestamp-micros"),
            "tsz": ("long", "timestamp-micros"), "iv": "string", "e": "string", "p": "int",
            "ml": ("bytes", "decimal"), "mo": "string", "i4r": "string"}
    assert {n: simple(n) for n in want} == want
    assert (types["np"]["precision"], types["np"]["scale"]) == (12, 3)
    assert types["j"]["connect.name"] == types["jb"]["connect.name"] == "io.debezium.data.Json"
    for name in ("d", "ti", "ts", "tsz", "np"):
        assert types[name].get("connect.name"), name


def test_text_and_binary_agree_about_special_floats(pipeline, db):
    """EDGE 30: NaN and infinities are floats in Avro, text in SQLite."""
    p = pipeline("create table t (id int primary key, a real, b double precision)")
    p.carry("insert into t values (1, 'NaN', 'Infinity'), (2, '-Infinity', 'NaN')")
    a = [r["after"] for r in p.records("public.t")]
    assert math.isnan(a[0]["a"]) and a[0]["b"] == math.inf and a[1]["a"] == -math.inf
    assert p.sqlite("select a, b from t order by id") == [("NaN", "Infinity"), ("-Infinity", "NaN")]
    p.same("t")


@pytest.mark.parametrize("typ", ("hstore", "citext", "ltree", "cube"))
def test_extension_types(pipeline, db, typ, server):
    """EDGE 38, EDGE 34: types of extensions have no fixed OID; their text is what the server prints."""
    have = db.sql("select 1 from pg_available_extensions where name = %s", (typ,))
    assert have, f"the server's packages bring {typ}"
    value = {"hstore": '"a"=>"1", "b"=>NULL', "citext": "MiXed", "ltree": "Top.Science", "cube": "(1, 2)"}[typ]
    p = pipeline(f"create extension {typ}; create table t (id int primary key, v {typ}, w int)")
    p.carry(f"insert into t values (1, '{value}', 5)", "update t set w = 6")
    p.same("t")
    assert p.records("public.t")[-1]["after"]["v"] == db.one("select v::text from t")
