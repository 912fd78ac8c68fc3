"""Our Avro, read and written again by fastavro: same values, same bytes, same fingerprints.

tests/unit/avro_samples.c writes files of random tables with what they hold as JSON.
"""
import base64
import datetime
import decimal
import io
import json
import math
import os
import struct
import subprocess
import uuid
from pathlib import Path

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    build = os.environ.get("TAILRACE_BUILD", "build")
    program = ROOT / build / "unit/avro_samples"
    subprocess.run(["make", "-s", f"BUILD={build}", str(Path(build) / "unit/avro_samples")], cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([program, folder], check=True)
    return folder


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def shown(value):
    """A value of fastavro's as `tailrace events` shows it."""
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [shown(v) for v in value]
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items()}
    return value


def same(got, want):
    """Equal; a float's text may be that of its single precision."""
    if isinstance(got, float) and isinstance(want, (int, float)) and not isinstance(want, bool):
        return got == want or struct.pack("<f", got) == struct.pack("<f", want)
    if isinstance(got, list) and isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(got, dict) and isinstance(want, dict):
        return list(got) == list(want) and all(same(got[k], want[k]) for k in got)
    return type(got) is type(want) and got == want


def check(got, want):
    assert same(got, want), f"{got!r} is not {want!r}"


def read(path):
    """The file's schema and records, by fastavro alone."""
    with open(path, "rb") as f:
        reader = fastavro.reader(f)
        return fastavro.parse_schema(reader.writer_schema), list(reader)


def written(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue().hex()


def numbers(folder, name):
    found = sorted(folder.glob(f"{name}-*.avro"))
    assert len(found) == 60
    return found


def test_schemas_and_fingerprints(samples):
    known = lines(samples / "schemas.jsonl")
    assert len(known) > 200
    for s in known:
        canonical = to_parsing_canonical_form(s["schema"])
        assert canonical == s["canonical"]
        little_endian = bytes.fromhex(s["fingerprint"])[::-1].hex()
        assert fingerprint(canonical, "CRC-64-AVRO") == little_endian


def test_row_images(samples):
    for path in numbers(samples, "rows"):
        schema, records = read(path)
        wanted = lines(path.with_suffix(".jsonl"))
        assert len(records) == len(wanted) == 25
        for record, want in zip(records, wanted):
            check(shown(record), want["values"])
            assert written(schema, record) == want["hex"]


def image(columns, absent):
    """An image without what was absent, as `events` leaves it out."""
    if columns is None:
        return None
    return {k: v for k, v in columns.items() if k not in (absent or [])}


def test_envelopes(samples):
    ops = set()
    for path in numbers(samples, "events"):
        schema, records = read(path)
        wanted = lines(path.with_suffix(".jsonl"))
        assert len(records) == len(wanted) == 25
        for i, (record, want) in enumerate(zip(records, wanted)):
            assert written(schema, record) == want["hex"]
            got, event = shown(record), want["event"]
            ops.add(event["op"])
            for member in "op", "absent", "absent_before", "unrepresentable", "unrepresentable_before":
                check(got[member], event[member])
            check(image(got["before"], got["absent_before"]), event["before"])
            check(image(got["after"], got["absent"]), event["after"])
            source = got["source"]
            assert source["position"] == event["position"]
            assert (source["schema"], source["table"]) == (event["schema"], event["table"])
            assert source["ts_us"] == event["ts_us"]
            assert source["snapshot"] == ("incremental" if event["snapshot"] else "false")
            assert got["transaction"]["total_order"] == i
    assert ops == set("cudrt")


def test_flat_events(samples):
    for path in numbers(samples, "flat"):
        schema, records = read(path)
        wanted = lines(path.with_suffix(".jsonl"))
        assert len(records) == len(wanted) == 25
        for record, want in zip(records, wanted):
            assert written(schema, record) == want["hex"]
            assert record["__deleted"] == ("true" if record["__op"] == "d" else "false")


def test_spool_records(samples):
    rows = {}
    for s in lines(samples / "schemas.jsonl"):
        if s["schema"]["name"] == "Value" and not s["schema"]["fields"][-1]["name"].startswith("__"):
            rows[s["id"]] = fastavro.parse_schema(s["schema"])
    schema, records = read(samples / "spool.avro")
    wanted = lines(samples / "spool.jsonl")
    assert len(records) == len(wanted) == 60 * 26
    known = set()
    for record, want in zip(records, wanted):
        assert written(schema, record) == want["hex"]
        if record["kind"] == "schema":
            definition = json.loads(record["content"])
            assert definition["id"] == record["table"]
            known.add(record["table"])
            continue
        assert record["table"] in known
        event = want["event"]
        assert event["op"] == record["op"]
        for name in "before", "after":
            if record[name] is None:
                assert event[name] is None
                continue
            row = fastavro.schemaless_reader(io.BytesIO(record[name]), rows[record["table"]])
            suffix = "_before" if name == "before" else ""
            bits = record[f"absent{suffix}"] or b""
            absent = [c for i, c in enumerate(row) if i // 8 < len(bits) and bits[i // 8] >> i % 8 & 1]
            check(image(shown(row), absent), event[name])
            assert (absent or None) == event[f"absent{suffix}"]
            assert record[f"unrepresentable{suffix}"] == event[f"unrepresentable{suffix}"]
