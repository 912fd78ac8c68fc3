"""events, schema, check, options, version."""
import io
import json
import subprocess

import fastavro
import pytest

from tests.lib import judge
from tests.lib.pg import ROOT

TABLE = "create table t (id int primary key, n numeric(8,2), by bytea, at timestamptz, f real, big text)"


@pytest.fixture
def filled(pipeline, db):
    p = pipeline(TABLE + "; create table u (id int primary key)")
    p.carry("insert into t values (1, 1.50, '\\x00ff', '2026-01-02 03:04:05.678901+00', 'NaN', repeat(md5('x'), 300)), (2, null, null, null, null, null)",
            "update t set n = 2 where id = 1", "insert into u values (7)", "delete from t where id = 2")
    return p


KEYS = {"position", "op", "schema", "table", "version", "txid", "ts_us", "snapshot", "key", "before", "after", "absent",
        "absent_before", "unrepresentable", "unrepresentable_before"}


def test_events_of_the_spool(filled):
    events = [e for e in filled.agent.events() if e["op"] in "cud"]
    assert [(e["op"], e["table"]) for e in events] == [("c", "t"), ("c", "t"), ("u", "t"), ("c", "u"), ("d", "t")]
    for e in events:
        assert e.keys() == KEYS
    first = events[0]
    assert first["key"] == {"id": 1} and first["schema"] == "public"
    after = first["after"]
    assert after["n"] == "1.50" and after["by"] == "AP8=" and after["f"] == "NaN"
    assert after["at"] == "2026-01-02T03:04:05.678901Z"


def test_events_of_files_are_the_same(filled):
    """The same lines whether read from the spool or from the files."""
    spool = [e for e in filled.agent.events("--table", "public.t") if e["op"] in "cud"]
    paths = filled.lake.files("public.t")
    out = filled.agent.command("events", *paths, "--format", "jsonl").stdout
    files = [json.loads(line) for line in out.splitlines()]
    assert [(e["position"], e["op"], e["key"]) for e in files] == [(e["position"], e["op"], e["key"]) for e in spool]
    for a, b in zip(files, spool):
        assert a["after"] == b["after"] and a["before"] == b["before"]


def test_events_filters(filled):
    every = filled.agent.events()
    assert filled.agent.events("--table", "public.u")[0]["after"] == {"id": 7}
    mine = filled.agent.events("--table", "public.t", "--key", '{"id": 2}')
    assert [e["op"] for e in mine] == ["c", "d"]
    rows = [e for e in every if e["op"] in "cud"]
    later = [e for e in filled.agent.events("--from", rows[2]["position"]) if e["op"] in "cud"]
    assert [e["position"] for e in later] == [e["position"] for e in rows[2:]]
    earlier = [e for e in filled.agent.events("--to", rows[1]["position"]) if e["op"] in "cud"]
    assert [e["position"] for e in earlier] == [e["position"] for e in rows[:2]]
    array = json.loads(filled.agent("events", "--format", "json").stdout)
    assert isinstance(array, list) and len(array) == len(every)
    none = filled.agent("events", "--from", "2999-01-01T00:00:00Z").stdout
    assert none.strip() == ""


def test_absent_columns_are_left_out(pipeline, db):
    p = pipeline("create table t (id int primary key, big text, n int)")
    p.carry("insert into t values (1, (select string_agg(md5(g::text), '') from generate_series(1, 400) g), 0)",
            "update t set n = 1")
    update = [e for e in p.agent.events() if e["op"] == "u"][0]
    assert update["after"] == {"id": 1, "n": 1} and update["absent"] == ["big"]


def test_schema(filled):
    out = filled.agent("schema", "list", "--json").stdout
    listed = json.loads(out)
    assert {(v["schema"], v["table"]) for v in listed} >= {("public", "t"), ("public", "u")}
    assert "public.t" in filled.agent("schema", "list").stdout
    shown = json.loads(filled.agent("schema", "show", "public.t").stdout)
    assert shown.keys() >= {"schema", "table", "version", "fingerprint", "row", "key"}
    row = fastavro.parse_schema(shown["row"])
    assert [f["name"] for f in row["fields"]] == ["id", "n", "by", "at", "f", "big"]
    assert fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(shown["row"]), "CRC-64-AVRO")
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(shown["key"]), {"id": 1})


def test_schema_of_a_new_version(filled, db):
    db.sql("alter table t add column extra int")
    filled.carry("insert into t (id, extra) values (50, 1)")
    versions = [v for v in json.loads(filled.agent("schema", "list", "--json").stdout) if v["table"] == "t"]
    assert len(versions) == 2


def test_check_of_a_good_setup(pipeline, db):
    p = pipeline(TABLE)
    done = p.agent("check", "--json")
    found = json.loads(done.stdout)
    assert found["errors"] == 0
    for f in found["findings"]:
        assert f.keys() == {"id", "severity", "object", "message", "fix_sql", "undo_sql"}
        assert f["severity"] in ("error", "warning", "info")
    assert any("max_slot_wal_keep_size" in f["message"] for f in found["findings"])


@pytest.mark.versions(10, 18)
def test_check_names_the_cure(pipeline, db, tmp_path):
    """EDGE 7: the SQL that check prints is right: run it, and the finding is gone; run the undo, and it is back."""
    db.script("create table bare (a int); create table good (id int primary key)")
    p = pipeline(begin=False)
    fix, undo = tmp_path / "fix.sql", tmp_path / "undo.sql"
    done = p.agent("check", "--json", "--fix-sql", fix, "--undo-sql", undo, check=False)
    found = [f for f in json.loads(done.stdout)["findings"] if f["object"] == "public.bare"]
    assert found and found[0]["fix_sql"] and found[0]["undo_sql"]

    def bare():
        return [f for f in json.loads(p.agent("check", "--json", check=False).stdout)["findings"]
                if f["object"] == "public.bare" and f["severity"] != "info"]
    db.sql(found[0]["fix_sql"])
    assert not bare()
    db.sql(found[0]["undo_sql"])
    assert bare()
    assert "bare" in fix.read_text() and "bare" in undo.read_text()


def test_check_finds_a_sink_that_cannot_be_written(pipeline, db, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    p = pipeline(TABLE, begin=False, sinks={"lake": {"type": "files", "path": tmp_path / "file" / "below"}})
    done = p.agent("check", "--json", check=False)
    assert done.returncode == 3
    assert any("lake" in (f["object"] + f["message"]) and f["severity"] == "error" for f in json.loads(done.stdout)["findings"])


def test_check_changes_nothing(pipeline, db):
    p = pipeline(TABLE, begin=False)
    p.agent("check", check=False)
    assert db.slot("tailrace_erp") is None
    assert not db.sql("select 1 from pg_publication where pubname like 'tailrace%%'")


def test_options(make_agent, db, tmp_path):
    a = make_agent(db)
    text = a.command("options").stdout
    for key in ("retain_max", "on_full", "roll_interval", "max_row"):
        assert key in text
    for form in ("man", "markdown", "conf"):
        assert "retain_max" in a.command("options", "--format", form).stdout
    assert a.command("options", "--format", "nonsense", check=False).returncode == 2
    # The commented sample is itself a configuration that parses once its needed values are given.
    conf = a.command("options", "--format", "conf").stdout
    assert "[spool]" in conf and "[source]" in conf


def test_version(make_agent, db):
    out = make_agent(db).command("version").stdout
    assert out.startswith("tailrace ") or "0.1.0" in out


def test_spool_is_plain_avro(filled):
    """Any Avro tool reads the spool: fastavro here."""
    records = []
    for path in sorted((filled.agent.state_dir / "spool").glob("*.avro")):
        with open(path, "rb") as f:
            reader = fastavro.reader(f)
            assert reader.codec == "zstandard"
            records += list(reader)
    kinds = {r["kind"] for r in records}
    assert {"begin", "row", "commit", "schema"} <= kinds
    assert sum(r["kind"] == "row" for r in records) == 5


def test_avro_tools_reads_spool_and_files(filled):
    """The reference implementation for Java reads the same rows."""
    jar = subprocess.run([ROOT / "tests/servers/avro-tools.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    paths = [*sorted((filled.agent.state_dir / "spool").glob("*.avro")), *filled.lake.files("public.t")]
    for path in paths:
        with open(path, "rb") as f:
            want = len(list(fastavro.reader(f)))
        done = subprocess.run(["java", "-jar", jar, "tojson", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        assert len(done.stdout.splitlines()) == want
    assert judge.Lake(filled.agent.lake).files("public.u")
