"""The throwaway MySQL and MariaDB servers give what the tests of the binlog source rely on."""
import re
import sqlite3
import subprocess
from collections import Counter

import pymysql
import pytest

from tests.lib import judge, judge_mysql, mysql, mysql_values, normal_mysql, workload_mysql
from tests.lib.agent import wait_for


def test_least_rights(mydb):
    """The agent's user reads tables, may ask for the binlog, and writes nothing."""
    mydb.script("create table t (id int primary key)", "insert into t values (1)")
    with mydb.connect(user="tailrace", password=mysql.PASSWORD) as c, c.cursor() as cur:
        cur.execute("select * from t")
        assert cur.fetchall() == ((1,),)
        cur.execute("show binary log status" if mydb.server.number >= (8, 2) and not mydb.server.is_mariadb
                    else "show master status")
        assert cur.fetchone()[0].startswith("binlog.")
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cur.execute("insert into t values (2)")


def test_binlog_is_of_rows_and_survives_kill(own_mysql):
    server = own_mysql(gtid=True)
    db = server.database("d", "create table t (id int primary key, v varchar(20))")
    before = server.gtid()
    db.tx("insert into t values (1, 'one')", "insert into t values (2, 'two')")
    assert server.gtid() != before
    server.kill()
    server.start()
    assert db.sql("select v from t order by id") == (("one",), ("two",))
    assert [p.name for p in server.binlogs()] == ["binlog.000001", "binlog.000002"]
    kinds = [row[2].lower() for row in server.sql("show binlog events in 'binlog.000001'")]
    assert sum(k.startswith("write_rows") for k in kinds) == 2
    assert kinds.count("xid") == 1


def transactions_of(server, path):
    """Row changes of each transaction in a binlog file, as the vendor's tool tells them: Counter of kind and
    table, and the key of its manifest row."""
    argv = [mysql.mysqlbinlog(server), "--no-defaults", "-vv", "--base64-output=decode-rows", path]
    text = subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout.decode(errors="replace")
    found, changes, lines = [], Counter(), iter(text.splitlines())
    for line in lines:
        if m := re.match(r"### (INSERT INTO|UPDATE|DELETE FROM) `\w+`\.`(\w+)`", line):
            changes[m[2]] += 1
            if m[2] == "tx_manifest":
                assert next(lines) == "### SET"
                key = tuple(int(re.match(r"###   @\d+=(\d+)", next(lines))[1]) for _ in range(4))
        elif line.startswith("COMMIT") and changes:
            found.append((key, changes))
            changes = Counter()
    return found


@pytest.mark.on_mysql("mariadb10.11")
def test_manifest_counts_what_the_binlog_has(own_mysql):
    """What judges take for the truth about the workload's transactions, checked against the log, across a
    kill of the server."""
    server = own_mysql(gtid=True)
    db = server.database("w")
    work = workload_mysql.start(db, writers=3, seed=11)
    wait_for(lambda: work.transactions > 150, 120, "the first transactions")
    server.kill()
    server.start()
    before = work.transactions
    wait_for(lambda: work.transactions > before + 150, 120, "more transactions")
    work.stop()
    server.flush_logs()
    found = [t for path in server.binlogs()[:-1] for t in transactions_of(server, path)]
    assert {key[:2] for key, _ in found} == set(db.sql("select writer, seq from tx_manifest"))
    assert len(found) == work.transactions
    for (writer, seq, changes, moves), counted in found:
        assert counted.pop("tx_manifest") == 1
        assert (sum(counted.values()), counted["stock_moves"]) == (changes, moves), (writer, seq)


def test_judge_sees_every_value(mydb, tmp_path):
    """A copy made by the book passes; one that differs in a single value, in any column, does not."""
    mysql_values.every_type(mydb)
    source = judge_mysql.Source(mydb)
    copy = sqlite3.connect(tmp_path / "copy.db")
    copy.execute("pragma synchronous = off")
    for table in source.tables():
        name = judge.target_name(table)
        cols = source.columns(table)
        copy.execute(f'create table "{name}" ({", ".join(f"{c.name}" for c in cols)})')
        rows = [[normal_mysql.sqlite_value(c, v) for c, v in zip(cols, row)] for row in source.rows_as_text(table)]
        copy.executemany(f'insert into "{name}" values ({", ".join("?" * len(cols))})', rows)
    copy.commit()
    bad, counts = judge_mysql.judge_sqlite(mydb, tmp_path / "copy.db")
    assert not bad and sum(counts.values()) > 100
    for table in source.tables():
        name = judge.target_name(table)
        for column in source.columns(table):
            where = f'from "{name}" where "{column.name}" is not null order by rowid limit 1'
            for rowid, value in copy.execute(f'select rowid, "{column.name}" {where}').fetchall():
                change = f'update "{name}" set "{column.name}" = ? where rowid = ?'
                copy.execute(change, (None, rowid))
                copy.commit()
                bad, _ = judge_mysql.judge_sqlite(mydb, tmp_path / "copy.db", [table])
                assert len(bad) == 2, (table, column.name)
                copy.execute(change, (value, rowid))
    copy.close()
