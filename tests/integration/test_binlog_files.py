"""`tailrace events` on binlog files that eleven versions of MySQL and MariaDB left: replayed, its events give
what the server's own SELECT gave.  No server runs."""
import base64
import json
import re
import struct
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from tests.lib import mysql_printed
from tests.lib.agent import PROGRAM
from tests.lib.normal_mysql import BYTES, GEOMETRIES, ewkb

DATA = Path(__file__).resolve().parents[1] / "data/binlog"
# What the log alone does not say, or says only as statements: refused, with these words.
SERVER_SAYS = "only its server could say"
REFUSED = {
    "_minimal": SERVER_SAYS, "_no_metadata": SERVER_SAYS, "old_": SERVER_SAYS, "crashed": SERVER_SAYS,
    "statements": "binlog_format", "load_data": "LOAD DATA", "xa_left_open.2": "in an earlier file",
    "partial_json": "updated in part",      # its last rows have minimal images
}
# MariaDB: BINARY(16) or UUID, and the engine where something was rolled back
MARIADB_REFUSED = {"types": SERVER_SAYS, "transactions": SERVER_SAYS, **REFUSED}
# Before the metadata that a file needs.
OLD = ("mysql5.6", "mysql5.7", "mysql8.0.15", "mariadb10.1", "mariadb10.2")
# Recorded with binlog_row_metadata = FULL where the server has it.
FULL = ("cascades", "charsets", "checksum_crc32", "checksum_none", "compressed", "ddl", "gtids", "images", "invalid_text",
        "json", "partial_json", "plain", "rows_query", "types", "xa", "xa_left_open")
# Rows whose values came by DDL, or by MariaDB's REPLACE with a minimal image, which does not log the defaults
# that it puts back: (table, key).
NOT_LOGGED = {("c2", "1"), ("i_minimal", "1"), ("i_noblob", "1")}
SEQUENCES = ("seq",)     # of MariaDB: not a table, though its rows are logged
UNKNOWN = object()      # a default that a minimal image does not carry


def cases():
    for folder in sorted(DATA.iterdir()):
        if folder.is_dir():
            for path in sorted(folder.glob("*.binlog.zst")):
                yield pytest.param(path, id=f"{folder.name}-{path.name.removesuffix('.binlog.zst')}")


def unpack(path):
    with open(path, "rb") as f:
        return zstandard.ZstdDecompressor().stream_reader(f).read()


def events(path):
    done = subprocess.run([PROGRAM, "events", path], capture_output=True, text=True, timeout=120)
    return done, [json.loads(line) for line in done.stdout.split("\n") if line]


class Copy:
    """Rows by key; without a key, a list."""

    def __init__(self, key):
        self.key, self.rows, self.moved = key, [], (None, {})

    def find(self, image, key):
        for i, row in enumerate(self.rows):
            if key is not None and all(row[k] == v for k, v in key.items()):
                return i
            if key is None and all(row.get(k) == v for k, v in image.items()):
                return i
        raise AssertionError(f"no row {key or image}")

    def apply(self, e):
        after = {**(e["after"] or {}), **{k: ("text", v) for k, v in (e["unrepresentable"] or {}).items()}}
        before = {**(e["before"] or {}), **{k: ("text", v) for k, v in (e["unrepresentable_before"] or {}).items()}}
        if e["op"] == "t":
            self.rows = []
        elif e["op"] == "c":    # a change of key is a delete and an insert at one position
            old = self.moved[1] if self.moved[0] == e["position"] else {}
            unknown = {name: old.get(name, UNKNOWN) for name in e["absent"] or []}
            self.rows.append({**unknown, **after})
        elif e["op"] == "d":
            self.moved = e["position"], self.rows.pop(self.find(before, e["key"]))
        else:
            i = self.find(before, e["key"])
            self.rows[i] = {**self.rows[i], **after}


def as_text(value, column):
    """A value of an event, as the expectation writes it."""
    kind = column["type"]
    if value is None or value is UNKNOWN:
        return value
    if isinstance(value, tuple):
        return value[1]
    if kind == "bit":
        return str(int(value) if isinstance(value, bool) else int.from_bytes(base64.b64decode(value), "big"))
    if kind in ("float", "double"):
        return float(value)
    if kind in ("datetime", "timestamp"):
        return datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None)
    if kind == "time":
        return datetime.fromisoformat("2000-01-01T" + value).time()
    if isinstance(value, (int, float)):
        return str(value)
    return value


def expected_value(text, column):
    kind = column["type"]
    if text is None:
        return None
    if kind == "float":
        return struct.unpack("f", struct.pack("f", float(text)))[0]
    if kind == "double":
        return float(text)
    if kind in GEOMETRIES:
        return ewkb(bytes.fromhex(text)).hex()
    try:
        if kind in ("datetime", "timestamp"):
            return datetime.fromisoformat(text)
        if kind == "time":
            return datetime.fromisoformat("2000-01-01T" + text).time()
    except ValueError:
        return text
    return text


def compare(got, want, column):
    kind = column["type"]
    if got is UNKNOWN:
        return True
    if kind == "float" and isinstance(got, float):
        got = struct.unpack("f", struct.pack("f", got))[0]
    if isinstance(got, str) and isinstance(want, str) and got != want:
        if got.startswith("\\x") and "?" in want:
            return True     # codes without a character: the server prints ?, we do not invent one
        try:
            return base64.b64decode(got, validate=True).hex().lower() == want.lower()
        except ValueError:
            return False
    return got == want


def check_table(table, copy):
    columns = table["columns"]
    want = [[expected_value(v, c) for v, c in zip(row, columns)] for row in table["rows"]]
    got = [[as_text(row.get(c["name"]), c) for c in columns] for row in copy.rows]
    want, got = ([r for r in rows if (table["table"], r[0]) not in NOT_LOGGED] for rows in (want, got))
    wrong = []
    for w in want:
        for g in got:
            if all(compare(a, b, c) for a, b, c in zip(g, w, columns)):
                got.remove(g)
                break
        else:
            wrong.append(w)
    assert not wrong and not got, (f"{table['schema']}.{table['table']}: {[c['name'] for c in columns]}\n"
                                   f"missing: {wrong[:3]}\nextra: {got[:3]}")


@pytest.mark.parametrize("path", cases())
def test_replay(path, tmp_path):
    name, server = path.name.removesuffix(".binlog.zst"), path.parent.name
    log = tmp_path / "binlog.000001"
    log.write_bytes(unpack(path))
    done, found = events(log)
    refused = MARIADB_REFUSED if server.startswith("mariadb") else REFUSED
    words = [w for part, w in refused.items() if part in name]
    if words or server in OLD or name not in FULL:
        words.append(SERVER_SAYS)
    if words and done.returncode:
        assert done.returncode == 1 and any(w in done.stderr for w in words), done.stderr
        return
    assert done.returncode == 0, done.stderr
    expected = json.loads(unpack(path.with_name(f"{name}.json.zst")))
    if name == "ddl":
        return              # it is all read; rows move with RENAME, which is no event
    copies = {(t["schema"], t["table"]): Copy(t["key"]) for t in expected["tables"]}
    for e in found:
        copies.setdefault((e["schema"], e["table"]), Copy(None)).apply(e)
    for t in expected["tables"]:
        if "rows" in t and f"{t['schema']}.{t['table']}" not in expected["unlogged"] and \
                t["table"] not in expected["unlogged"]:
            check_table(t, copies[t["schema"], t["table"]])


# --- against the vendor's tool

def printed_cases():
    for p in cases():
        path = p.values[0]
        if path.with_name(path.name.replace(".binlog.", ".txt.")).exists():
            yield p


def engines_without_transactions(expected):
    return {t["table"] for t in expected["tables"] if re.search(r"ENGINE=(MyISAM|Aria|MEMORY)", t["create"])}


def sequence(found):
    """(op, db, table) of each change; a change of key is one, as in the log."""
    out, last = [], None
    for e in found:
        if e["op"] == "t":
            continue
        if e["op"] == "c" and last and last["op"] == "d" and last["position"] == e["position"]:
            out[-1] = [("u", e["schema"], e["table"]), last["before"], last["unrepresentable_before"], e["after"],
                       e["unrepresentable"]]
        else:
            out.append([(e["op"], e["schema"], e["table"]), e["before"], e["unrepresentable_before"], e["after"],
                        e["unrepresentable"]])
        last = e
    return out


def compare_images(change, got, octets):
    """How many values of the change could be compared; the first that differs is told."""
    n = 0
    for printed, image, odd in ((change.before, got[1], got[2]), (change.after, got[3], got[4])):
        values = {**(image or {}), **(odd or {})}
        if len(values) != len(printed) or odd:
            continue        # columns that are not the table's, or stand apart
        for (text, kind), (name, value) in zip(printed, values.items()):
            wanted = mysql_printed.readings(text, kind)
            if wanted is not mysql_printed.UNKNOWN and (change.table, name) not in octets:
                n += 1
                assert mysql_printed.as_printed(value, kind, wanted), (change.what, name, value, text, kind)
    return n


@pytest.mark.parametrize("path", printed_cases())
def test_as_the_vendors_tool_prints(path, tmp_path):
    """The changes, and their order, are those that mysqlbinlog -vv shows; values too where it prints them exactly."""
    name, server = path.name.removesuffix(".binlog.zst"), path.parent.name
    log = tmp_path / "binlog.000001"
    log.write_bytes(unpack(path))
    done, found = events(log)
    expected = json.loads(unpack(path.with_name(f"{name}.json.zst")))
    left_out = set(SEQUENCES)
    changes = mysql_printed.changes(unpack(path.with_name(f"{name}.txt.zst")), engines_without_transactions(expected),
                                    left_out)
    changes = [c for c in changes if c.table not in left_out]
    got = [g for g in sequence(found) if g[0][2] not in left_out]
    if done.returncode:     # test_replay has why: up to there it is all the same
        assert server in OLD or name not in FULL or MARIADB_REFUSED.keys() & {name}, done.stderr
        changes = changes[:len(got)]
    assert [g[0] for g in got] == [c.what for c in changes]
    octets = {(t["table"], c["name"]) for t in expected["tables"] for c in t["columns"] if c["type"] in BYTES}
    compared = sum(compare_images(c, g, octets) for c, g in zip(changes, got))
    assert compared >= len(got) or name not in ("plain", "transactions", "checksum_crc32"), (compared, len(got))
