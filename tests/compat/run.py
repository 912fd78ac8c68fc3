#!/usr/bin/env python3
"""Every supported PostgreSQL, in the binary and in the text protocol: types, transactions and changing tables.

    run.py [--pg 10,18] [--program PATH]

Of each server the copies (SQLite and Avro files) must equal the source; where a server has both
protocols the copies made through them must be the same, byte for byte in SQLite; and files written
under one version of a table must be readable with the schema of any other.
"""
import argparse
import itertools
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import fastavro                                             # noqa: E402

from tests.integration import test_types as types           # noqa: E402
from tests.lib import judge, results                        # noqa: E402
from tests.lib.agent import Agent, PROGRAM                  # noqa: E402
from tests.lib.pg import Postgres                           # noqa: E402
from tests.lib.workload import SCHEMA, TABLES, Workload, connector      # noqa: E402

MAJORS = range(10, 19)

CHANGING = """
create table item (id int primary key, name text, price numeric(10,2), gone int);
create table bag (v int, note text);
alter table bag replica identity full;
create table emptied (id int primary key, v text);
"""

# Columns of the types' table whose binary form the agent does not read.
TEXT_ONLY = ("mo", "pt", "ln", "bx", "pa", "po", "ci", "i4r", "nr", "dr", "tsr", "tv", "tq", "lsn", "rc")

# Each entry is one transaction.
STEPS = [
    ["insert into item select g, 'item ' || g, g * 1.25, g from generate_series(1, 20) g"],
    ["insert into item values (21, 'before', 1, 1)",
     "alter table item add column stock bigint",
     "insert into item values (22, 'after', 2, 2, 9223372036854775807)",
     "update item set stock = id where id < 5"],
    ["alter table item drop column gone", "update item set price = price + 1 where id between 5 and 8"],
    ["alter table item add column tags jsonb", "update item set tags = '[\"a\", null, 1.50]' where id = 3",
     "update item set id = id + 1000 where id in (9, 10)", "delete from item where id in (11, 12)"],
    ["insert into bag values (1, 'same'), (1, 'same'), (1, 'same'), (2, null)"],
    ["update bag set note = 'other' where ctid = (select min(ctid) from bag)", "delete from bag where v = 2"],
    ["insert into emptied select g, 'x' from generate_series(1, 50) g"],
]


class Compat:
    def __init__(self, major, folder, program):
        self.major, self.folder, self.program = major, Path(folder), program
        self.bad = []

    def run(self):
        """One row of the table for each protocol."""
        rows = []
        with Postgres(self.major) as server:
            modes = ("text", "binary") if self.major >= 14 else ("text",)
            for mode in modes:
                begun, self.bad = time.monotonic(), []
                compared = self.one(server, mode)
                rows.append({"postgres": server_version(server), "protocol": mode, "rows_compared": compared,
                             "seconds": round(time.monotonic() - begun, 1), "what": self.bad})
            if len(modes) == 2:
                self.same_copies(rows[-1])
        return rows

    def one(self, server, mode):
        script = ";\n".join((SCHEMA.rstrip().rstrip(";"), types.SCHEMA.rstrip().rstrip(";"), CHANGING))
        left_out = ()
        if mode == "text":      # one column of a type that is not known in binary, and all is read as text
            script += "create type pair as (a int, b text); create table zz (id int primary key, v pair);"
        else:
            left_out = TEXT_ONLY
            script = script.replace("tags text[]", "tags text")
            script += "alter table t " + ", ".join(f"drop column {c}" for c in left_out)
        db = server.database(f"compat_{mode}", script)
        agent = Agent(self.folder / mode, db.url(), tables="public.*", program=self.program,
                      name=f"erp_{mode}")
        if f"format={mode}" not in agent.until_idle():
            self.bad.append(f"the agent does not read in {mode} format")
        for key, row in enumerate(types.ROWS + types.ODD):
            types.insert(db, "t", key, {c: v for c, v in row.items() if c not in left_out})
        agent.start()
        for statements in STEPS:
            db.tx(*statements)
        if self.major >= 11:
            db.tx("truncate emptied", "insert into emptied values (51, 'after')")
        load = Workload(connector(db), writers=2, seed=self.major, transactions=150).start().join()
        agent.stop()
        agent.until_idle()
        compared = self.judge(db, agent, load)
        self.judge_versions(agent)
        db.close()
        return compared

    def judge(self, db, agent, load):
        keyed = [*TABLES, "item", "emptied"]
        bad, rows = judge.judge_sqlite(db.conn, agent.copy, [*keyed, "t", "bag"])
        bad += judge.judge_sqlite_invariants(agent.copy)
        found, more = judge.judge_files(db.conn, agent.lake, [f"public.{t}" for t in TABLES])
        bad += found
        for table in ("item", "emptied"):
            records = judge.judge_file_order(judge.Lake(agent.lake), f"public.{table}", bad)
            more[table] = judge.judge_replay(db.conn, table, records, bad)
        try:
            types.judge_images(db, judge.Lake(agent.lake), "t")
        except AssertionError as e:
            bad.append(str(e))
        if load.transactions != 300:
            bad.append(f"only {load.transactions} transactions")
        self.bad += bad
        return sum(rows.values()) + sum(more.values())

    def judge_versions(self, agent):
        """Old events with new schemas and the reverse."""
        lake = judge.Lake(agent.lake)
        files = lake.files("public.item")
        if len({f.parent.name for f in files}) < 4:
            self.bad.append(f"item has versions {sorted({f.parent.name for f in files})}, expected four")
        for written, read in itertools.permutations(files, 2):
            schema = lake.schema(read)
            with open(written, "rb") as f:
                try:
                    n = sum(1 for _ in fastavro.reader(f, reader_schema=schema))
                except Exception as e:
                    self.bad.append(f"{written.parent.name} read as {read.parent.name}: {e!r}")
                    continue
            if n != len(lake.read(written)[1]):
                self.bad.append(f"{written.parent.name} read as {read.parent.name}: {n} records")

    def same_copies(self, row):
        """What came through both protocols is the same, types and all."""
        for table in ("t", "item", "emptied", "bag"):
            copies = [judge.sqlite_open(self.folder / mode / "copy.db") for mode in ("text", "binary")]
            names = [c[0] for c in copies[1].execute(f'select * from "{table}" limit 1').description]
            columns = ", ".join(f'"{n}"' for n in names)
            dumps = [sorted(map(repr, c.execute(f'select {columns} from "{table}"').fetchall())) for c in copies]
            for c in copies:
                c.close()
            for a, b in itertools.zip_longest(*dumps):
                if a != b:
                    row["what"].append(f"{table}: text {a}, binary {b}"[:600])
                    break


def server_version(server):
    with server.connect() as c:
        return c.execute("show server_version").fetchone()[0].split()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pg", help="only these majors, e.g. 10,18")
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--keep", action="store_true", help="leave the folders")
    args = parser.parse_args()
    majors = [int(m) for m in args.pg.split(",")] if args.pg else MAJORS
    rows = []
    for major in majors:
        folder = tempfile.mkdtemp(prefix=f"tailrace-compat-{major}-")
        try:
            found = Compat(major, folder, args.program).run()
        except Exception:
            found = [{"postgres": major, "what": [traceback.format_exc()[-6000:]]}]
        for row in found:
            row["result"] = "FAILED" if row["what"] else "ok"
            print(f"PostgreSQL {row['postgres']} {row.get('protocol', '')}: {row['result']}", flush=True)
            for what in row["what"][:20]:
                print(f"  {what}", flush=True)
        rows += found
        if args.keep:
            print(f"  left in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    results.table(rows, ("postgres", "protocol", "rows_compared", "seconds", "result"))
    if not args.pg:
        results.save("compat", {"runs": rows})
    failed = sum(r["result"] != "ok" for r in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
