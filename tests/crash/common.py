"""What the kills and the power cuts share: the program with failpoints, and the verdict."""
import os
import subprocess
from pathlib import Path

from tests.lib import judge
from tests.lib.workload import TABLES

ROOT = Path(__file__).resolve().parents[2]


def judge_all(conn, agent):
    """What is wrong with the copies, and how many rows were compared."""
    conn.execute("set statement_timeout = '60s'")
    return judge_copies(conn, agent, "public")


def judge_copies(source, agent, schema):
    """The same for a source of either kind (judge.py) whose tables are in `schema`."""
    bad, rows = [], 0
    tables = [f"{schema}.{t}" for t in TABLES]
    if "copy" in agent.sinks:
        found, counts = judge.judge_sqlite(source, agent.copy, tables)
        bad += [f"sqlite: {b}" for b in found + judge.judge_sqlite_invariants(agent.copy)]
        rows += sum(counts.values())
    if "lake" in agent.sinks:
        found, counts = judge.judge_files(source, agent.lake, tables)
        bad += [f"files: {b}" for b in found]
        rows += sum(counts.values())
    return bad, rows


def program_with_failpoints(given):
    if given:
        return Path(given)
    subprocess.run(["make", "-s", "-C", ROOT, f"-j{os.cpu_count()}", "FAILPOINTS=1"], check=True)
    return ROOT / "build/variant-failpoints/tailrace"
