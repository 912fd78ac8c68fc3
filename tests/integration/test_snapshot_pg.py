"""Snapshots of PostgreSQL: what is read of tables that hold rows equals what the server says, by every kind of
key, and is what the stream would have given."""
import os
import subprocess
import threading
import time

import pytest

from tests.lib import judge
from tests.lib.agent import wait_for
from tests.lib.pg import ROOT
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


LIBRARIES = "libpq libmariadb libzstd zlib jansson avro-c sqlite3 libmicrohttpd libsystemd libssl libcrypto rdkafka".split()


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    """copier_probe, built against the library of the program."""
    def flags(*what):
        return subprocess.run(["pkg-config", *what, *LIBRARIES], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    out = tmp_path_factory.mktemp("probe") / "copier_probe"
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O1", f"-I{ROOT}/include", f"-I{ROOT}/agent",
                    *flags("--cflags"), "-o", out, ROOT / "tests/integration/copier_probe.c", ROOT / "build/libtailrace.a",
                    *flags("--libs"), "-lm", "-pthread"], check=True)
    return out


@pytest.mark.versions(10, 18)
@pytest.mark.parametrize("analyzed", (False, True))
def test_every_row_is_found_by_its_key(pipeline, probe, db, major, analyzed):
    """Each row looked up by its key as the log's Avro bytes have it; ranges and chunks give the whole in its order."""
    db.script(MAKE_TYPES + "; create extension if not exists citext")
    kinds = {**KEYS, "citext": "chr(97 + g % 26 - g % 2 * 32) || g",
             "public.citext, k2 int": "chr(97 + g % 5 - g % 2 * 32), g", "int, k2 public.citext": "g % 3, chr(97 + g % 26 - g % 2 * 32) || g", "numeric(9,0)": "g * 1000",
             "date, k2 timestamptz": "case g when 1 then 'infinity' when 2 then '0044-03-15 BC' else date '9998-01-01' + g end, now()",
             "text, k2 date, k3 uuid": "'it''s ' || g % 5, date '2026-01-01' + g, md5(g::text)::uuid"}
    for i, (kind, value) in enumerate(kinds.items()):
        keys = ", ".join(["k"] + [f"k{n + 2}" for n in range(kind.count(", k"))])
        db.sql(f"create table t{i} (n int, k {kind}, primary key ({keys}))")
        db.sql(f"insert into t{i} ({keys}, n) select {value}, g from generate_series(1, 100) g")
        if analyzed:
            db.sql(f"analyze t{i}")
    p = pipeline()
    done = subprocess.run([probe, p.agent.conf, "7", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == len(kinds) and all(rows == "100" for _, rows, _ in lines), done.stdout
    cut = sum(ranges != "1" for _, _, ranges in lines)
    assert cut >= (len(kinds) - 8 if analyzed else 4), done.stdout


def test_rows_are_read_again_by_their_keys(load, db):
    """Every row is updated while it is read, without its column that is stored out of line."""
    db.script(MAKE_TYPES)
    names = []
    for i, (kind, value) in enumerate(list(KEYS.items())[::3]):
        keys = ", ".join(["k"] + [f"k{n + 2}" for n in range(kind.count(", k"))])
        db.script(f"create table t{i} (n int, big text, k {kind}, primary key ({keys})); alter table t{i} alter big set storage external")
        db.sql(f"insert into t{i} ({keys}, n, big) select {value}, 0, repeat(md5(g::text), 100) from generate_series(1, 60) g")
        names.append(f"t{i}")
    p = load(begin=False, snapshot={"chunk_rows": 10, "workers": 2, "rate": 300})
    p.agent.start(wait=False)
    stop = threading.Event()
    writers = [keep_writing(db, f"update {t} set n = {{i}}", stop) for t in names[::3]]
    try:
        for _ in range(3):
            for t in names:
                db.sql(f"update {t} set n = n + 1")
            time.sleep(0.5)
    finally:
        stop.set()
        for w in writers:
            w.join()
    loaded(p, *names, timeout=60)
    wait_for(lambda: p.agent("snapshot", "list").stdout.count("done") == len(names), 30, "all to be loaded")
    p.same(*names)
    p.agent.stop()


@pytest.mark.versions(11, 18)
@pytest.mark.since(11)
def test_order_and_equality_are_the_index_s(load, db, major):
    """Another order of columns than the table's, other collations than the column's, operators of patterns, DESC."""
    icu = major >= 12
    db.script("create table a (s text, x int, y int, primary key (y, x));"
              " insert into a select 's', g % 10, g / 10 from generate_series(0, 199) g;"
              " create table b (v text not null, n int); create unique index b_key on b (v collate \"C\" desc) include (n);"
              " alter table b replica identity using index b_key;"
              " insert into b select case g % 2 when 0 then 'a' else 'A' end || g / 2, g from generate_series(0, 199) g;"
              " create table c (v varchar(30) not null); create unique index c_key on c (v varchar_pattern_ops);"
              " alter table c replica identity using index c_key;"
              " insert into c select chr(60 + g % 60) || g from generate_series(0, 199) g;"
              " create table d (x int not null, y int not null); create unique index d_key on d (x desc, y);"
              " alter table d replica identity using index d_key;"
              " insert into d select g % 10, g / 10 from generate_series(0, 199) g;"
              " create table f (s text, id int primary key); alter table f replica identity full;"
              " insert into f select 'x', g from generate_series(0, 199) g;"
              " create table h (id int, primary key (id) include (s), s text);"
              " insert into h select g, 'x' || g % 3 from generate_series(0, 199) g")
    tables = ["a", "b", "c", "d", "f", "h"]
    if icu:
        db.script("create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
                  " create table n (v text collate nocase primary key);"
                  " insert into n select case g % 2 when 0 then 'Stra\u00dfe' else 'strasse' end || g from generate_series(0, 199) g;"
                  " create table m (v text collate nocase not null); create unique index m_key on m (v collate \"C\");"
                  " alter table m replica identity using index m_key;"
                  " insert into m select case g % 2 when 0 then 'a' else 'A' end || g / 2 from generate_series(0, 199) g")
        tables += ["n", "m"]
    p = load()
    p.same(*tables)
    for t in tables:
        assert p.ops(f"public.{t}") == "r" * 200, t


PARTS = """
create table sale (id int, region text, amount numeric(8,2), primary key (id, region)) partition by list (region);
create table sale_north partition of sale for values in ('north');
create table sale_south (amount numeric(8,2), gone int, region text not null, id int not null);
alter table sale_south drop column gone;
alter table sale attach partition sale_south for values in ('south');
create table sale_rest partition of sale default partition by range (id);
create table sale_low partition of sale_rest for values from (minvalue) to (100);
create table sale_high partition of sale_rest for values from (100) to (maxvalue);
insert into sale select g, (array['north', 'south', 'east', 'west'])[g % 4 + 1], g / 3.0 from generate_series(1, 300) g;
"""


@pytest.mark.versions(13, 18)
@pytest.mark.since(13)
def test_partitioned_root(load, db):
    """Under its root's name, whatever a leaf's order of columns."""
    db.script(PARTS)
    p = load(tables="public.sale")
    p.same("sale")
    assert p.lake.tables() == ["public.sale"] and p.ops("public.sale") == "r" * 300
    p.carry("update sale set amount = 1, region = 'north' where id < 20", "delete from sale where id > 290")
    p.same("sale")


@pytest.mark.versions(11, 18)
@pytest.mark.since(11)
def test_partitions_by_themselves(load, db, major):
    """Under their own names where the publication says so."""
    db.script(PARTS)
    leaves = ["sale_north", "sale_south", "sale_low", "sale_high"]
    if major >= 13:
        db.sql("create publication tailrace_erp for table sale")
    p = load(tables="public.sale*")
    p.same(*leaves)
    assert sorted(p.lake.tables()) == sorted(f"public.{t}" for t in leaves)
    p.carry("update sale set amount = 1, region = 'north' where id < 20")
    p.same(*leaves)


def test_inheritance(load, db):
    """A child's rows are its own, not its parent's."""
    db.script("create table p (id int primary key, s text); create table c (extra int, primary key (id)) inherits (p);"
              " insert into p select g, 'p' from generate_series(1, 50) g; insert into c select g, 'c', g from generate_series(1, 50) g")
    p = load()
    assert p.ops("public.p") == "r" * 50 and p.ops("public.c") == "r" * 50
    assert p.sqlite("select distinct s from p") == [("p",)]
    p.same("c")


@pytest.mark.versions(18)
@pytest.mark.since(15)
def test_column_list_and_row_filter(load, db):
    """EDGE 26, EDGE 27: what the publication leaves out is left out of the load too."""
    db.script("create type mood as enum ('good', 'bad');"
              " create table t (secret text, id int, year int, e mood, note text, primary key (year, id));"
              " insert into t select 's' || g, g, 2000 + g % 30, (array['good','bad'])[g % 2 + 1]::mood, 'n' from generate_series(1, 300) g;"
              " create table u (id int primary key, n int); insert into u select g, g from generate_series(1, 100) g;"
              " create publication tailrace_erp for table t (id, year, e) where (year >= 2010 and id % 7 > 0), table u")
    want = "select id, year, e::text from t where year >= 2010 and id % 7 > 0 order by id"
    p = load()
    assert p.sqlite("select * from t order by id") == db.sql(want)
    p.same("u")
    p.carry("update t set year = 2020 where id between 1 and 40", "update t set year = 1999 where id > 250")
    assert p.sqlite("select * from t order by id") == db.sql(want)
    assert p.agent("schema", "list").stdout.count("public.t") == 1


@pytest.mark.versions(12, 18)
@pytest.mark.since(12)
def test_generated_columns(load, db, major):
    """In the load exactly where they are in the stream: one version of the table."""
    db.script("create table t (id int primary key, n int, twice int generated always as (n * 2) stored, s text);"
              " insert into t (id, n, s) select g, g, 'x' from generate_series(1, 100) g")
    if major >= 18:
        db.script("create table g (id int primary key, n int, twice int generated always as (n * 2) stored,"
                  " thrice int generated always as (n * 3) virtual);"
                  " insert into g (id, n) select g, g from generate_series(1, 100) g;"
                  " create publication tailrace_erp for table t, g with (publish_generated_columns = stored)")
    p = load()
    p.carry("update t set n = 7 where id = 7")
    if major >= 18:
        p.carry("update g set n = 8 where id = 7")
        assert p.sqlite("select id, n, twice from g order by id") == db.sql("select id, n, twice from g order by id")
        p.same("t")
    else:
        assert p.sqlite("select id, n, s from t order by id") == db.sql("select id, n, s from t order by id")
    out = p.agent("schema", "list").stdout
    assert out.count("public.t") == 1 and out.count("public.g") <= 1, out


def keep_writing(db, statement, stop):
    def run():
        with db.server.connect(db.name) as c:
            i = 0
            while not stop.is_set():
                c.execute(statement.format(i=i))
                i += 1
    t = threading.Thread(target=run)
    t.start()
    return t


def test_a_table_without_a_key(load, db):
    """Read at one place of the log: nothing twice, nothing lost, equal rows counted."""
    db.script("create table t (a int, b text); alter table t replica identity full;"
              " insert into t select g % 50, 'there' from generate_series(1, 500) g;"
              " create table nn (k int unique, s text); alter table nn replica identity full;"
              " insert into nn select nullif(g, 3), 'x' from generate_series(1, 100) g")
    p = load()
    assert p.ops("public.t") == "t" + "r" * 500 and p.ops("public.nn") == "t" + "r" * 100
    p.carry("update t set b = 'later' where a = 3", "delete from nn where k = 5")
    p.same("t", "nn")
    assert db.one("select count(*) from pg_replication_slots where temporary") == 0


def test_a_large_table_without_a_key(load, db):
    """Not unless it is asked for by name: check says so, the load fails and says so; then it is loaded."""
    db.script("create table t (a int); alter table t replica identity full; insert into t select generate_series(1, 1000)")
    p = load(begin=False, snapshot={"keyless_max": "8kB"})
    findings = __import__("json").loads(p.agent("check", "--json", check=False).stdout)["findings"]
    assert [f["object"] for f in findings if f["id"] == "snapshot_keyless"] == ["public.t"]
    assert "keyless_max" in p.agent.until_idle(code=1)
    p.agent("snapshot", "start", "public.t")
    p.carry("insert into t values (0)")
    p.same("t")


@pytest.mark.versions(10, 18)
def test_a_table_without_a_key_between_writers(load, db):
    """EDGE 54: what is written before the place of the read is in the read, and not twice in the copy."""
    db.script("create table t (a int, b text); alter table t replica identity full;"
              " insert into t select g % 50, 'there' from generate_series(1, 500) g")
    stop = threading.Event()
    writer = keep_writing(db, "insert into t values ({i} % 7, 'while')", stop)
    try:
        p = load()
    finally:
        stop.set()
        writer.join()
    p.carry()
    p.same("t")


def test_a_float_key_is_refused(load, db):
    """By name, with why; what changes from then on is carried, and the others are loaded."""
    db.script("create table t (f float8 primary key, n int); insert into t values (1, 1);"
              " create table u (id int primary key); insert into u values (1)")
    p = load(begin=False)
    findings = __import__("json").loads(p.agent("check", "--json", check=False).stdout)["findings"]
    assert [f["object"] for f in findings if f["id"] == "snapshot_key"] == ["public.t"]
    log = p.agent.until_idle(code=1)
    assert "public.t" in log and "floating-point" in log
    p.same("u")


def streaming(p, **snapshot):
    p.agent.set("snapshot", **snapshot)
    return p.agent.start()


def waits_for(agent, *texts):
    """What the agent says that it waits for names all of these."""
    def said():
        agent.must_run()
        text = agent.command("status", "-c", agent.conf, check=False).stdout
        return text if all(t in text for t in texts) else None
    return wait_for(said, 20, f"status to name {texts}")


def loaded(p, *tables, timeout=30):
    def all_there():
        p.agent.must_run()
        bad, _ = judge.judge_sqlite(p.db.conn, p.agent.copy, tables)
        return not bad
    wait_for(all_there, timeout, f"{tables} to equal the source", every=0.2)


def test_an_open_transaction_is_waited_for(load, db):
    """EDGE 19: open when the agent looks at the tables: it may have changes that are not streamed. It is named."""
    db.script("create table t (id int primary key, s text); insert into t select g, 'x' from generate_series(1, 100) g;"
              " create table other (id int primary key)")
    p = load(begin=False)
    p.agent.start()
    loaded(p, "t")
    p.agent.stop()
    with db.server.connect(db.name, autocommit=False) as c:
        c.execute("insert into t values (1000, 'open')")
        db.sql("create table late (id int primary key, s text)")
        db.sql("insert into late select g, 'x' from generate_series(1, 50) g")
        c.execute("insert into late values (2000, 'open before it was published')")
        p.agent.start(wait=False)
        waits_for(p.agent, f"pid {c.info.backend_pid}")
        c.execute("insert into late values (2001, 'open after it was published')")
        c.commit()
    loaded(p, "t", "late")
    p.agent.stop()


def test_a_locked_table_is_waited_for(load, db):
    """Two seconds at most, never in line: whoever holds it is named, and others read it meanwhile no worse."""
    db.script("create table t (id int primary key, s text); insert into t select g, 'x' from generate_series(1, 100) g;"
              " create table u (id int primary key, s text); insert into u select g, 'x' from generate_series(1, 100) g")
    p = load()
    p.agent.start()
    with db.server.connect(db.name, autocommit=False) as c:
        c.execute("lock table t in access exclusive mode")
        p.agent("snapshot", "start", "public.t")
        waits_for(p.agent, f"pid {c.info.backend_pid}")
        c.execute("truncate t; insert into t select g, 'y' from generate_series(1, 120) g")
        c.commit()
    loaded(p, "t", "u")
    wait_for(lambda: p.agent("snapshot", "list").stdout.count("done") == 2, 20, "both to be loaded")
    p.agent.stop()


def test_without_the_right_to_read(load, db, server):
    """The table's load fails with the GRANT; what changes is carried. check says it before."""
    with server.connect() as c:
        c.execute("drop role if exists reader")
        c.execute("create role reader login replication")
    db.script("create table t (id int primary key, s text); insert into t values (1, 'x');"
              " create table u (id int primary key, s text); insert into u values (1, 'x');"
              " create table r (id int primary key, s text); insert into r values (1, 'x');"
              " alter table r enable row level security; grant select on u, r to reader;"
              " create publication tailrace_erp for table t, u, r")
    p = load(begin=False)
    p.agent.set("source", url=db.url(user="reader"))
    findings = __import__("json").loads(p.agent("check", "--json", check=False).stdout)["findings"]
    assert [f["object"] for f in findings if f["id"] == "select_privilege"] == ["public.t"]
    assert [f["object"] for f in findings if f["id"] == "row_security"] == ["public.r"]
    log = p.agent.until_idle(code=1)
    assert 'GRANT SELECT ON' in log and "BYPASSRLS" in log
    p.same("u")
    db.sql('grant select on t to reader')
    with server.connect() as c:
        c.execute("alter role reader bypassrls")


def test_rows_longer_than_a_chunk_may_be(load, db):
    """A chunk ends at so many bytes: the copy is cut short, and goes on behind the last row."""
    db.script("create table t (id int primary key, s text, b bytea);"
              " insert into t select g, repeat(md5(g::text), 3000), decode(repeat(md5(g::text), 1000), 'hex') from generate_series(1, 400) g")
    p = load(snapshot={"chunk_rows": 10000}, pipeline={"memory": "64MB"})
    p.same("t")
    assert p.ops("public.t") == "r" * 400


@pytest.mark.parametrize("keep", ("replace", "bytes"))
def test_sql_ascii(own_server, make_agent, major, keep):
    """Keys and text that are not UTF-8, as source.invalid_bytes says; chunks go on behind any bytes."""
    db = own_server().database("anything", like="encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
    db.conn.execute("set client_encoding = 'SQL_ASCII'")
    octets = "decode(md5(g::text) || lpad(to_hex(g), 4, '0'), 'hex')"
    key = "k" if keep == "replace" else "n"  # what cannot be represented is no key of a target
    db.script(f"create table t (k text not null, n int not null, primary key ({key}));"
              f" insert into t select convert_from({octets}, 'SQL_ASCII'), g from generate_series(257, 700) g"
              f" where position('\\x00'::bytea in {octets}) = 0")
    a = make_agent(db, source={"invalid_bytes": keep}, snapshot=INITIAL)
    a.until_idle()
    n = db.one("select count(*) from t")
    rows = judge.Lake(a.lake).records("public.t")
    assert sorted(r["after"]["n"] for r in rows) == [r[0] for r in db.sql("select n from t order by n")] and len(rows) == n


def fits(params):
    """PostgreSQL 10 does not publish TRUNCATE; without statistics one version is enough."""
    if params["major"] != 15 and params.get("analyzed") is False:
        return False
    return params.get("case") != "truncated" or params["major"] > 10


SLOW = {"chunk_rows": 20, "workers": 2, "rate": 300}
FILLED = "create table t (id int primary key, n int, s text); insert into t select g, g, 'x' from generate_series(1, 800) g"


def in_the_middle(p, db, table="t"):
    """The agent runs and has loaded some of the rows, not all."""
    p.agent.start(wait=False)
    wait_for(lambda: judge.sqlite_rows(p.agent.copy, table, ["id"]) if p.agent.copy.exists() and p.sqlite(
        "select 1 from sqlite_master where name = ?", table) else None, 20, "the first rows")
    assert len(judge.sqlite_rows(p.agent.copy, table, ["id"])) < db.one(f"select count(*) from {table}")


CHANGED = {
    "truncated": "truncate t; insert into t select g, g, 'new' from generate_series(300, 350) g",
    "rewritten": "alter table t alter n type bigint using n * 10, alter id type bigint",
    "wider": "alter table t add more int default 7, drop s",
    "vacuumed": "vacuum full t",
    "full": "alter table t replica identity full; update t set s = 'y' where id > 400",
    "keys_moved": "update t set id = id + 395 where id > 405",
    "keys_turned": "update t set id = -id",
}


@pytest.mark.parametrize("case", CHANGED)
def test_changed_in_the_middle(load, db, case):
    """EDGE 15: the copy equals the source in the end, whatever was read before is thrown away or brought up to date."""
    db.script(FILLED)
    p = load(begin=False, snapshot=SLOW)
    in_the_middle(p, db)
    for statement in [CHANGED[case]] if case == "vacuumed" else CHANGED[case].split("; "):
        db.sql(statement)
    loaded(p, "t")
    p.agent.stop()
    p.carry("update t set n = n + 1 where id > 0")
    p.same("t")


def test_another_key_in_the_middle(load, db):
    """All of it is read again by the new key; a target that was made with the old one says so."""
    db.script(FILLED)
    p = load(begin=False, snapshot=SLOW)
    in_the_middle(p, db)
    db.sql("alter table t drop constraint t_pkey, add primary key (n, id)")
    p.agent.wait_log("the key of public.t (version 2) is not the PRIMARY KEY")
    wait_for(lambda: "done" in p.agent("snapshot", "list").stdout, 20, "the load to end")
    p.agent.stop(code=None)
    assert {r["after"]["id"] for r in p.records("public.t")} == set(range(1, 801))


@pytest.mark.parametrize("statement, says", (("drop table t", "dropped"), ("alter table t rename to other", "renamed")))
def test_gone_in_the_middle(load, db, statement, says):
    """Its load fails and says why; the others go on."""
    db.script(FILLED + "; create table u (id int primary key); insert into u select g from generate_series(1, 700) g")
    p = load(begin=False, snapshot=SLOW)
    in_the_middle(p, db)
    db.sql(statement)
    p.agent.wait_log(says)
    loaded(p, "u")
    p.agent.stop(code=None)


def test_values_that_the_log_does_not_carry(load, db):
    """A row is updated in the window, its stored-out-of-line columns are not in the log: it is read again."""
    db.script("create table t (id int primary key, n int, big text); alter table t alter big set storage external;"
              " insert into t select g, 0, repeat(md5(g::text), 200) from generate_series(1, 800) g")
    stop = threading.Event()
    writer = keep_writing(db, "update t set n = n + 1 where id = {i} % 800 + 1", stop)
    try:
        p = load(begin=False, snapshot={**SLOW, "rate": 2000})
        in_the_middle(p, db)
        db.sql("update t set id = id + 10000 where id % 40 = 0")
        time.sleep(2)
    finally:
        stop.set()
        writer.join()
    loaded(p, "t")
    p.agent.stop()


@pytest.mark.versions(18)
def test_half_a_page_of_log_on_a_quiet_server(load, db):
    """What an open transaction wrote is not on the disk, and the log's end that a read sees is behind it: nothing
    would be streamed up to there for long. A heartbeat brings it there."""
    db.script("create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 4000) g;"
              " create table w (id int primary key)")
    p = load(begin=False, snapshot={**SLOW, "rate": 2000})
    in_the_middle(p, db)
    with db.server.connect(db.name, autocommit=False) as c:
        c.execute("insert into w values (1)")
        loaded(p, "t")  # 200 chunks: a second's wait for each would be too long
        c.rollback()
    p.agent.stop()


def test_prepared_transactions(own_server, pipeline, make_agent):
    """One that was prepared before the tables were looked at is waited for, by name; later ones are not seen."""
    server = own_server(max_prepared_transactions="5")
    db = server.database("erp")
    db.script("create table t (id int primary key, s text); create publication tailrace_erp for table t")
    db.sql("select pg_create_logical_replication_slot('tailrace_erp', 'pgoutput')")
    db.sql("insert into t select g, 'x' from generate_series(1, 100) g")
    with db.server.connect(db.name) as c:
        c.execute("begin; insert into t values (1000, 'prepared'); prepare transaction 'held'")
        a = make_agent(db, snapshot=INITIAL)
        a.start(wait=False)
        waits_for(a, "held")
        c.execute("commit prepared 'held'")
    wait_for(lambda: "done" in a("snapshot", "list").stdout, 20, "the load to end")
    a.stop()
    bad, _ = judge.judge_sqlite(db.conn, a.copy, ["t"])
    assert not bad, bad
