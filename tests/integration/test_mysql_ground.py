"""The throwaway MySQL and MariaDB servers give what the tests of the binlog source rely on."""
import pymysql
import pytest

from tests.lib import mysql


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
