#!/usr/bin/env python3
"""The differential test of MySQL and MariaDB on every server there is, case by case, under other settings too.

    run_mysql.py [--servers mariadb10.1,mysql9.7] [--cases types,xa] [--keep] [--program PATH]

Of each case the copies (SQLite and Avro files) must equal the server's own SELECT and the order of the changes
mysqlbinlog's, or the agent must have refused for the reason that the case has (tests/lib/mysql_diff.py).
"""
import argparse
import contextlib
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lib import mysql, mysql_cases, mysql_diff, results      # noqa: E402
from tests.lib.agent import Agent, PROGRAM                                         # noqa: E402

# Restarts of the server have tests of their own (tests/fault, tests/crash).
LEFT_OUT = ("crashed",)
TYPES = next(c for c in mysql_cases.CASES if c.name == "types")
WHOLE = mysql_cases.Case(mysql_cases.charsets_whole)


def plan(flavor, number, only):
    """[(case, variant, GTIDs)] by whether the server has them."""
    cases = [c for c in mysql_cases.cases(flavor, number) if c.name not in LEFT_OUT]
    cases = [WHOLE if c.name == "charsets" else c for c in cases]
    out = [(c, mysql_diff.PLAIN, c.gtid) for c in cases]
    out += [(TYPES, v, True) for v in mysql_diff.VARIANTS if v.fits(flavor, number)]
    if flavor == "mysql":
        out.append((TYPES, mysql_diff.Variant("no_gtids"), False))
    return sorted((p for p in out if not only or p[0].name in only), key=lambda p: not p[2])


def one(server, case, variant, program):
    """A row of the table."""
    folder, begun = Path(tempfile.mkdtemp(prefix="tailrace-compat-mysql-")), time.monotonic()
    made = []

    def agent(url, tables):
        made.append(Agent(folder / "agent", url, tables=tables, program=program))
        return made[-1]
    try:
        out = mysql_diff.run(server, case, agent, variant)
        bad = mysql_diff.verdict(case, variant, out)
    except Exception:
        out, bad = mysql_diff.Outcome(), [traceback.format_exc()[-3000:]]
    finally:
        for a in made:
            a.kill()
        shutil.rmtree(folder, ignore_errors=True)
    row = {"server": server.id, "case": case.name, "settings": variant.name, "rows": out.rows, "changes": out.changes,
           "refused": out.refused.partition(" error=")[2] or out.refused.partition(" msg=")[2],
           "reload": sorted(t.partition(".")[2] for t in out.named),
           "seconds": round(time.monotonic() - begun, 1), "result": "FAILED" if bad else "refused" if out.refused else "equal"}
    if bad:
        row["what"] = [b[:1000] for b in bad]
    print(f"{server.id} {case.name} {variant.name}: {row['result']}, {out.rows} rows, {out.changes} changes, {row['seconds']} s", flush=True)
    for b in bad[:10]:
        print(f"  {b[:1500]}", flush=True)
    return row


def whole_server(name, only, program):
    flavor = "mariadb" if name.startswith("mariadb") else "mysql"
    rows, running = [], {}
    with contextlib.ExitStack() as stack:
        for case, variant, gtid in plan(flavor, mysql.number(name.removeprefix(flavor)), only):
            if gtid not in running:
                running[gtid] = stack.enter_context(mysql.server(name, gtid=gtid))
            rows.append(one(running[gtid], case, variant, program))
    return rows


def merged(kept, rows):
    def what(r):
        return r["server"], r["case"], r["settings"]
    new = {what(r): r for r in rows}
    return [new.pop(what(r), r) for r in kept] + list(new.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--servers", help="only these, e.g. mariadb10.1,mysql9.7")
    parser.add_argument("--cases", help="only these")
    parser.add_argument("--keep", action="store_true", help="put what was run in the place of the same in the kept result")
    parser.add_argument("--program", default=PROGRAM)
    args = parser.parse_args()
    rows = []
    for name in args.servers.split(",") if args.servers else mysql.ALL:
        rows += whole_server(name, args.cases.split(",") if args.cases else None, args.program)
    if args.keep:
        rows = merged(results.load("compat-mysql").get("runs", []), rows)
    totals = []
    for name in dict.fromkeys(r["server"] for r in rows):
        of = [r for r in rows if r["server"] == name]
        totals.append({"server": name, "cases": len(of), **{k: sum(r["result"] == k for r in of) for k in ("equal", "refused", "FAILED")},
                       "rows": sum(r["rows"] for r in of), "changes": sum(r["changes"] for r in of)})
    results.table(totals, ("server", "cases", "equal", "refused", "FAILED", "rows", "changes"))
    if args.keep or not args.servers and not args.cases:
        results.save("compat-mysql", {"servers": totals, "runs": rows})
    return 1 if any(r["result"] == "FAILED" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
