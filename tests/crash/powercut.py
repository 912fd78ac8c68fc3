#!/usr/bin/env python3
"""Cuts the power of the agent's machine, many times, and starts it again on what the disk still has.

The agent runs once under load with iolog.so, which records every write and sync to its state folder and
to its targets, and what it tells the server.  Afterwards, for many instants of that run, disk.py makes
one of the states that the disk may have come back with; the server's slot is put where the server had
been told at that instant; the agent runs to the end of the log; and the copies must equal the source.
A promise made to the server too early shows as exit 5 or as a lost row.

Half of the cuts are made with `ack = spool`, where the server forgets what only the spool has.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash")]

from common import judge_all, program_with_failpoints  # noqa: E402
from disk import Disk, Record, cuts                 # noqa: E402
from tests.lib.agent import Agent                         # noqa: E402
from tests.lib.pg import Postgres                         # noqa: E402
from tests.lib.workload import SCHEMA, TABLES, Workload, connector    # noqa: E402


class PowerCut:
    def __init__(self, folder, program, seed, ack, seconds=6):
        self.folder = Path(folder).resolve()
        self.random = random.Random(f"{seed}/{ack}")
        self.ack = ack
        self.program, self.seconds = program, seconds
        self.roots = [self.folder / "state", self.folder / "copy", self.folder / "lake"]
        self.record_path = self.folder / "record"
        self.server = Postgres(15)
        self.bad = []

    def prepare(self):
        self.db = self.server.database("erp", SCHEMA)
        self.db.script("create publication tailrace_erp for table " + ", ".join(TABLES))
        self.db.sql("select pg_create_logical_replication_slot('tailrace_erp', 'pgoutput')")
        self.db.sql("select pg_copy_logical_replication_slot('tailrace_erp', 'keeper')")
        for root in self.roots:
            root.mkdir()
        shim = self.folder / "iolog.so"
        subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", shim,
                        ROOT / "tests/crash/iolog.c", "-ldl", "-pthread"], check=True)
        self.shim = {"LD_PRELOAD": str(shim), "IOLOG_FILE": str(self.record_path),
                     "IOLOG_DIRS": ":".join(map(str, self.roots))}
        self.agent = Agent(
            self.folder / "agent", self.db.url(), tables="public.*", program=self.program,
            pipeline={"state_dir": self.roots[0]}, source={"ack": self.ack},
            spool={"segment": "1MB", "sync": "20ms", "keep": "0", "max_bytes": "1GB"},
            sinks={"copy": {"type": "sqlite", "path": self.roots[1] / "copy.db"},
                   "lake": {"type": "files", "path": self.roots[2], "roll_interval": "1s",
                            "roll_bytes": "256kB"}})

    def record(self):
        """Two runs under load, so that starts and clean stops are among the instants as well."""
        load = Workload(connector(self.db), writers=2, seed=self.random.random(), pause=0.004).start()
        try:
            for _ in range(2):
                self.agent.start(env=self.shim, wait=False)
                time.sleep(self.seconds / 2)
                self.agent.stop()
        finally:
            self.agent.kill()
            load.stop()
        return Record(self.record_path)

    def set_slot(self, acknowledged):
        """The server's slot as it was when the power went."""
        for _ in range(100):
            if not self.db.slot("tailrace_erp")["active"]:
                break
            time.sleep(0.05)
        self.db.sql("select pg_drop_replication_slot('tailrace_erp')")
        self.db.sql("select pg_copy_logical_replication_slot('keeper', 'tailrace_erp')")
        self.db.sql("select pg_replication_slot_advance('tailrace_erp', greatest(%s::pg_lsn,"
                    " confirmed_flush_lsn)) from pg_replication_slots where slot_name = 'tailrace_erp'",
                    (f"{acknowledged >> 32:X}/{acknowledged & 0xFFFFFFFF:X}",))

    def cut(self, disk, at):
        disk.advance(at)
        mode = self.random.choice((None, None, None, "nothing", "all", "prefix", "subset"))
        spared = str(self.random.choice(self.roots)) if self.random.random() < 0.3 else None
        disk.materialise(self.random, mode, spared)
        self.set_slot(disk.acknowledged)
        self.agent.log_path.unlink(missing_ok=True)
        try:
            self.agent.until_idle(timeout=120)
            found, rows = judge_all(self.db.conn, self.agent)
        except Exception as e:
            self.agent.kill()
            found, rows = [f"{e}"[-3000:]], 0
        if found:
            self.bad.append(f"cut after operation {at} of {len(disk.record)} ({mode}, spared {spared}): {found[0]}")
        return rows


def run_one(count, program, seed, keep, ack):
    """(cuts made, operations recorded, rows compared, complaints)"""
    folder = tempfile.mkdtemp(prefix="tailrace-powercut-")
    power = PowerCut(folder, program, seed, ack)
    done = rows = operations = 0
    try:
        with power.server:
            power.prepare()
            record = power.record()
            operations = len(record)
            disk = Disk(record)
            for at in cuts(record, power.random, count):
                rows += power.cut(disk, at)
                done += 1
                if keep and power.bad:
                    break
            power.db.close()
        if done < min(count, operations) and not power.bad:
            power.bad.append(f"only {done} cuts of {count}")
    except Exception:
        power.bad.append(traceback.format_exc()[-6000:])
    finally:
        if getattr(power, "agent", None):
            power.agent.kill()
        power.server.destroy()
        if keep and power.bad:
            print(f"  left in {folder}")
        else:
            shutil.rmtree(folder)
    return done, operations, rows, power.bad


def run(count, program, seed, keep=False):
    out = []
    for ack in ("sink", "spool"):
        begun = time.monotonic()
        done, operations, rows, bad = run_one(count // 2, program, seed, keep, ack)
        out.append({"postgres": 15, "sinks": f"both, ack={ack}", "cuts": done, "operations": operations,
                    "rows_compared": rows, "seconds": round(time.monotonic() - begun), "complaints": len(bad),
                    "result": "FAILED" if bad else "ok", "what": bad[:20]})
        print(f"power cut, ack={ack}: {done} cuts, {out[-1]['seconds']} s, {out[-1]['result']}", flush=True)
        for what in out[-1]["what"]:
            print(f"  {what}", flush=True)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--program")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", action="store_true", help="stop at the first failure and leave its folder")
    args = parser.parse_args()
    print(f"seed {args.seed}")
    rows = run(args.cuts, program_with_failpoints(args.program), args.seed, args.keep)
    return 1 if any(r["complaints"] for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
