"""The power cut simulation itself: sees all that a process does, and tells a durable promise from a false one."""

import os
import random
import sqlite3
import subprocess

import pytest

from disk import Disk, Record, cuts

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    out = tmp_path_factory.mktemp("tools")
    cc = os.environ.get("CC", "cc")
    subprocess.run([cc, "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", out / "iolog.so",
                    f"{HERE}/iolog.c", "-ldl", "-pthread"], check=True)
    subprocess.run([cc, "-D_GNU_SOURCE", "-O2", "-D_FORTIFY_SOURCE=2", "-o", out / "probe",
                    f"{HERE}/iolog_probe.c", "-lsqlite3"], check=True)
    return out


def probe(tools, tmp_path, *args):
    disk = tmp_path / "disk"
    disk.mkdir()
    record = tmp_path / "record"
    env = dict(os.environ, LD_PRELOAD=str(tools / "iolog.so"), IOLOG_DIRS=str(disk),
               IOLOG_FILE=str(record))
    subprocess.run([tools / "probe", args[0], disk, *args[1:]], check=True, env=env)
    return disk, Record(record)


def tree(path):
    found = {}
    for folder, _, names in os.walk(path):
        found[os.path.relpath(folder, path)] = None
        for name in names:
            if not name.endswith("-shm"):
                full = os.path.join(folder, name)
                with open(full, "rb") as f:
                    found[os.path.relpath(full, path)] = f.read()
    return found


@pytest.mark.parametrize("what", [("files",), ("sqlite", "FULL")])
def test_replay_of_everything_equals_the_real_files(tools, tmp_path, what):
    path, record = probe(tools, tmp_path, *what)
    real = tree(path)
    disk = Disk(record)
    disk.advance(len(record))
    disk.materialise(random.Random(1), "all")
    assert tree(path) == real
    assert len(real) > 2


def test_only_synced_data_and_names_are_kept(tools, tmp_path):
    path, record = probe(tools, tmp_path, "files")
    disk = Disk(record)
    first_rename = next(i for i in range(len(record)) if record.kind(i) == "M")
    disk.advance(first_rename + 1)
    disk.materialise(random.Random(1), "nothing")
    assert tree(path) == {".": None}    # the folder's own name was never synced
    disk.advance(len(record))
    disk.materialise(random.Random(1), "nothing")
    assert tree(path) == {".": None}


def committed_rows(path):
    """The rows that SQLite gives after the cut, or None where the file is damaged."""
    try:
        db = sqlite3.connect(path / "probe.db")
        rows = [n for (n,) in db.execute("SELECT n FROM t ORDER BY n")]
        sound = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        return rows if sound else None
    except sqlite3.OperationalError as e:
        return [] if "no such table" in str(e) else None
    except sqlite3.DatabaseError:
        return None


def broken_promises(path, record, seed):
    rng = random.Random(seed)
    disk = Disk(record)
    broken = 0
    for at in cuts(record, rng, 150):
        disk.advance(at)
        disk.materialise(rng)
        rows = committed_rows(path)
        whole = rows is not None and rows == list(range(1, len(rows) + 1))
        if not whole or len(rows) < disk.acknowledged:
            broken += 1
    return broken


def test_sqlite_with_full_sync_keeps_its_promises(tools, tmp_path):
    path, record = probe(tools, tmp_path, "sqlite", "FULL")
    assert broken_promises(path, record, 7) == 0


def test_sqlite_without_syncs_is_found_out(tools, tmp_path):
    path, record = probe(tools, tmp_path, "sqlite", "OFF")
    assert broken_promises(path, record, 7) > 20
