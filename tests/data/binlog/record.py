#!/usr/bin/env python3
"""Record the binlogs that unit tests and fuzzing read, from real servers.

usage: record.py [SERVER[:CASE]]...      SERVER as mariadb10.11, mysql9.7; default: all there are

For each server a folder; for each case of tests/lib/mysql_cases.py that the version can do

  CASE.binlog.zst  the binlog file as the server left it; the database and its tables are made in it
  CASE.json.zst    what the tables hold at its end, and what they are: see expected()
  CASE.txt.zst     what the vendor's mysqlbinlog -vv --base64-output=decode-rows makes of it

Where a case goes on in the next file, that is CASE.2.  Values in CASE.json are strings, null for NULL:

  text, enum, set, json, uuid, inet   as UTF-8, whatever the column's character set
  bytes, vector, geometry             hex; geometry as the server stores it: 4 bytes of SRID, then WKB
  float, double                       the shortest text of the double that it is
  bit                                 its number
  integers, decimal                   without what ZEROFILL adds
  date, time, datetime, timestamp     as the server prints it; timestamp in UTC

`unlogged` names tables whose rows do not follow from the row events alone: foreign keys, partitions that
were dropped, statements instead of rows.

Tables bad_* have bytes that are not of the column's character set: instead of `rows` they have `raw`, all
in hex as it is stored.  Some cases have no CASE.txt: it would say what another's says already, or be large.
"""
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import zstandard

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from tests.lib import mysql, mysql_cases, normal_mysql  # noqa: E402

WITHOUT_TEXT = ("_minimal", "_no_metadata", "old_fractions", "rows_v1")


def write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zstandard.ZstdCompressor(level=19).compress(data))


def described(column):
    return {"name": column.name, "type": column.type, "full": column.full, "charset": column.charset,
            "collation": column.collation, "nullable": column.nullable, "extra": column.extra}


def expected_table(server, conn, schema, table):
    columns = normal_mysql.columns(conn, schema, table)
    with conn.cursor() as cur:
        cur.execute(f"show create table {mysql.quote(schema)}.{mysql.quote(table)}")
        create = cur.fetchone()[1]
    out = {"schema": schema, "table": table, "create": create, "columns": [described(c) for c in columns],
           "key": normal_mysql.key_names(conn, schema, table)}
    if table.startswith("bad_"):
        with normal_mysql.pinned(server) as cur:
            cur.execute(f"select {', '.join(f'hex({mysql.quote(c.name)})' for c in columns)} from"
                        f" {mysql.quote(schema)}.{mysql.quote(table)}")
            out["raw"] = sorted(cur.fetchall(), key=repr)
    else:
        out["rows"] = sorted(normal_mysql.rows_as_text(server, schema, table, cols=columns), key=repr)
    return out


def expected(server, case):
    """What must come of the binlogs of the case so far."""
    with contextlib.closing(server.connect()) as conn, conn.cursor() as cur:
        cur.execute("select version()")
        version = cur.fetchone()[0]
        cur.execute("select schema_name from information_schema.schemata where schema_name in (%s, %s)",
                    (case.name, f"{case.name}_other"))
        tables = [expected_table(server, conn, schema, table) for (schema,) in cur.fetchall()
                  for table in normal_mysql.tables(conn, schema)]
    return {"server": server.id, "version": version, "case": case.name, "settings": case.settings_on(server.flavor),
            "unlogged": case.unlogged,
            "gtid_mode": server.settings.get("gtid_mode"), "gtid": server.gtid(), "tables": tables}


def printed(server, path):
    """The vendor's own words for a binlog file."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([mysql.mysqlbinlog(server), "--no-defaults", "-vv", "--base64-output=decode-rows",
                               f"--local-load={folder}", path], check=True, stdout=subprocess.PIPE).stdout


def keep(server, case, name, path):
    folder = HERE / server.id
    write(folder / f"{name}.binlog.zst", path.read_bytes())
    if not name.startswith("charsets") and not name.endswith(WITHOUT_TEXT):
        write(folder / f"{name}.txt.zst", printed(server, path))
    write(folder / f"{name}.json.zst", json.dumps(expected(server, case), ensure_ascii=False, indent=1).encode())


def record(server, case):
    for name, value in case.settings_on(server.flavor).items():
        server.sql(f"set global {name} = {value}")
    server.sql("flush binary logs")
    server.sql(f"create database {mysql.quote(case.name)} character set utf8mb4")
    db = mysql.Database(server, case.name)
    case.run(db)
    db.close()
    if case.crash:
        server.kill()
        path = server.binlogs()[-1]
        data = path.read_bytes()
        server.start()
        path.write_bytes(data)      # the server has marked it as closed
        keep(server, case, case.name, path)
        return
    keep(server, case, case.name, server.flush_logs())
    if case.then:
        case.then(db)
        db.close()
        keep(server, case, f"{case.name}.2", server.flush_logs())
    for name in case.settings_on(server.flavor):
        server.sql(f"set global {name} = default")


def main(argv):
    wanted = {}
    for a in argv or mysql.ALL:
        name, _, case = a.partition(":")
        wanted.setdefault(name, []).append(case)
    for name, only in wanted.items():
        for gtid in (True, False):
            with mysql.server(name, gtid=gtid) as server:
                for case in mysql_cases.cases(server.flavor, server.number):
                    if case.gtid == gtid and (only == [""] or case.name in only):
                        print(name, case, flush=True)
                        record(server, case)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
