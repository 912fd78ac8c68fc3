"""MySQL and MariaDB end to end: starting, going on, and what ends the way.

Types and schema changes have files of their own; here tables are simple and the truth is the server's SELECT.
"""
import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql
import pytest

from tests.lib import judge, mysql
from tests.lib.agent import wait_for
from tests.lib.mysql_way import TABLE, Way, count, judge_load


# --- starting and going on

@pytest.mark.on_mysql_too("mariadb10.1", "mysql5.6", "mysql5.7", "mysql9.7")
def test_all_that_commits_after_the_first_start_arrives(way, mydb):
    mydb.script(TABLE, "insert into t values (1, 'before')")
    w = way()
    w.carry("insert into t values (2, 'b'), (3, 'c')", "update t set s = 'B' where id = 2", "delete from t where id = 3")
    assert w.copy("t") == [(2, "B")]
    assert w.ops("t") == "ccud"
    w.carry("insert into t values (4, 'd')")
    assert w.copy("t") == [(2, "B"), (4, "d")]
    first = w.records("t")[0]["source"]
    assert first["connector"] == ("mariadb" if mydb.server.is_mariadb else "mysql")
    assert (first["db"], first["table"]) == (mydb.name, "t")
    assert first["gtid"] and first["file"].startswith("binlog.")


@pytest.mark.on_mysql("mysql8.0", "mysql5.6")
def test_without_gtids(own_way):
    w = own_way(TABLE, gtid=False)
    w.carry("insert into t values (1, 'a')")
    w.db.server.flush_logs()
    w.carry("insert into t values (2, 'b')", "update t set s = 'B' where id = 2")
    w.same()
    assert w.ops("t") == "ccu"
    assert "gtid" not in w.checkpoint()[1]


@pytest.mark.mysql_usually("mariadb10.11")
def test_until_idle_with_nothing_to_do(way):
    w = way(TABLE)
    for _ in range(3):
        w.agent.until_idle(timeout=30)


def test_until_idle_ends_while_others_keep_writing(way, mydb):
    w = way(begin=False).begin_workload()
    load = w.load(pause=0)
    time.sleep(1)
    before = mydb.one("select count(*) from tx_manifest")
    w.agent.until_idle(timeout=60)
    load.stop()
    assert count(w) >= before > 0


def test_place_moves_while_only_others_are_written(way, mydb):
    """EDGE 44: the checkpoint follows the log though none of its changes are ours."""
    w = way(TABLE, "create table other (id int auto_increment primary key, s varchar(1000))", tables=f"{mydb.name}.t")
    w.carry("insert into t values (1, 'a')")
    before, _ = w.checkpoint()
    mydb.tx(*["insert into other (s) values (repeat('x', 1000))"] * 50)
    w.agent.until_idle()
    after, resume = w.checkpoint()
    assert after > before and after[2] > before[2] + 50000
    assert resume["file"] == mydb.server.position()[0]


def test_killed_again_and_again_under_load(way, mydb):
    """EDGE 110: kill -9 of the agent at any instant: every change once, every transaction whole."""
    w = way(begin=False).begin_workload()
    load = w.load(seed=2)
    pick = random.Random(3)
    try:
        for _ in range(6):
            w.agent.start(wait=False)
            time.sleep(pick.uniform(0.2, 1.5))
            w.agent.kill()
    finally:
        load.stop()
    w.agent.until_idle()
    judge_load(w)


@pytest.mark.mysql_usually("mariadb10.11")
def test_rotates_under_load(way, mydb):
    w = way(begin=False).begin_workload()
    w.agent.start()
    load = w.load(seed=4, pause=0)
    for _ in range(10):
        time.sleep(0.2)
        mydb.server.flush_logs()
    load.stop()
    w.agent.stop()
    w.agent.until_idle()
    judge_load(w)
    assert len({r["source"]["file"] for r in w.records("tx_manifest")}) > 5


@pytest.mark.mysql_usually("mariadb10.11")
def test_rows_larger_than_a_packet(own_way):
    """EDGE 75: events around and beyond 16 MiB, of which the protocol makes several packets, one of them empty."""
    w = own_way("create table t (id int primary key, b longblob)", settings={"max_allowed_packet": "128M"})
    whole = 2 ** 24 - 1
    head = 43 if w.db.server.is_mariadb else 45     # bytes around the value, the packet's first one included
    sizes = [whole - head + i for i in (-1, 0, 1)] + [whole + 1000, 2 * whole - head, 2 * whole + 5]
    w.carry(*[f"insert into t values ({i}, repeat('x', {n}))" for i, n in enumerate(sizes)])
    c = judge.sqlite_open(w.agent.copy)
    assert c.execute("select id, length(b) from t order by id").fetchall() == list(enumerate(sizes))
    c.close()


@pytest.mark.mysql_usually("mariadb10.11")
@pytest.mark.parametrize("end", ("stop", "kill"))
def test_server_restarts(own_way, end):
    w = own_way(begin=False).begin_workload()
    w.agent.start()
    load = w.load(seed=5)
    try:
        for _ in range(2):
            done = count(w)
            wait_for(lambda: count(w) > done + 20, 60, "transactions to arrive")
            getattr(w.db.server, end)()
            w.agent.must_run()
            time.sleep(0.5)
            w.db.server.start()
    finally:
        load.stop()
    wait_for(lambda: count(w) == w.db.one("select count(*) from tx_manifest"), 60, "the rest to arrive")
    w.agent.stop()
    judge_load(w)


# --- a log that is not the one

def renamed(server):
    """MySQL 8.4 knows the words master and slave no more."""
    return not server.is_mariadb and server.number >= (8, 4)


def reset_sql(server):
    return "reset binary logs and gtids" if renamed(server) else "reset master"


def rewrite_history(w, *statements):
    w.carry("insert into t values (1, 'a')", "insert into t values (2, 'b')")
    for s in statements:
        w.db.server.sql(s)


def purge(server):
    """All files but a new one are gone."""
    server.flush_logs()
    with contextlib.suppress(pymysql.err.MySQLError):   # of newer MariaDB: keeps the log for replicas
        server.sql("set global slave_connections_needed_for_purge = 0")
    for _ in range(50):     # a dump that has just ended still holds its file
        server.sql(f"purge binary logs to '{server.position()[0]}'")
        if len(server.binlogs()) == 1:
            return
        time.sleep(0.1)
    raise AssertionError(f"not purged: {server.binlogs()}")


@pytest.mark.mysql_usually("mariadb10.11")
def test_purged(own_way):
    """EDGE 119: exit 5: what was not read is not there any more."""
    w = own_way(TABLE)
    w.carry("insert into t values (1, 'a')")
    w.db.sql("insert into t values (2, 'lost')")
    purge(w.db.server)
    w.db.sql("insert into t values (3, 'c')")
    log = w.agent.until_idle(code=5)
    assert "no longer holds" in log and "load" in log


@pytest.mark.mysql_usually("mariadb10.11")
def test_purged_of_what_was_read(own_way):
    """Nothing is lost when all that was purged was carried before, whatever became of the file."""
    w = own_way(TABLE)
    w.carry("insert into t values (1, 'a')")
    purge(w.db.server)
    w.carry("insert into t values (2, 'b')")
    w.same()


@pytest.mark.on_mysql("mysql8.0")
def test_purged_without_gtids(own_way):
    w = own_way(TABLE, gtid=False)
    w.carry("insert into t values (1, 'a')")
    w.db.sql("insert into t values (2, 'lost')")
    purge(w.db.server)
    assert "no longer holds" in w.agent.until_idle(code=5)


@pytest.mark.mysql_usually("mariadb10.11")
def test_purged_under_a_running_agent(own_way):
    """The agent is held up by its full spool while the server purges: exit 5, by the server's own words."""
    w = own_way(TABLE)
    w.carry("insert into t values (1, 'a')")
    w.agent.start()
    w.agent.kill()
    w.db.sql("insert into t values (2, 'lost')")
    purge(w.db.server)
    w.agent.start(wait=False)
    assert w.agent.wait_exit(30) == 5


@pytest.mark.mysql_usually("mariadb10.11")
def test_reset(own_way):
    w = own_way(TABLE)
    rewrite_history(w, reset_sql(w.db.server))
    w.db.sql("insert into t values (3, 'c')")
    log = w.agent.until_idle(code=5)
    assert "RESET MASTER" in log


@pytest.mark.on_mysql("mysql8.0")
def test_reset_without_gtids(own_way):
    w = own_way(TABLE, gtid=False)
    w.db.server.flush_logs()
    rewrite_history(w, reset_sql(w.db.server))
    assert "RESET MASTER" in w.agent.until_idle(code=5)


@pytest.mark.on_mysql("mysql8.0")
@pytest.mark.parametrize("gtid", (True, False))
def test_other_server_uuid(own_way, gtid):
    """EDGE 119: with GTIDs the log goes on, in a new epoch; without them nobody knows where."""
    w = own_way(TABLE, gtid=gtid)
    w.carry("insert into t values (1, 'a')")
    w.db.server.stop()
    (w.db.server.data / "auto.cnf").unlink()
    w.db.server.start()
    w.db.sql("insert into t values (2, 'b')")
    if not gtid:
        log = w.agent.until_idle(code=5)
        assert "another server" in log and "GTID" in log
        return
    w.agent.until_idle()
    w.same()
    assert [judge.position(r["source"]["position"])[0] for r in w.records("t")] == [1, 2]
    w.carry("insert into t values (3, 'c')")
    assert w.checkpoint()[0][0] == 2 and w.ops("t") == "ccc"


def replicate(primary, replica):
    """The replica follows the primary from the beginning of its log."""
    how = "master_use_gtid = slave_pos, master_ssl_verify_server_cert = 0" if primary.is_mariadb else "master_auto_position = 1"
    change = (f"change master to master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'root',"
              f" master_password = '', {how}")
    if renamed(primary):
        change = change.replace("change master", "change replication source").replace("master_", "source_")
    replica.sql(change)
    replica.sql("start replica" if renamed(primary) else "start slave")


def test_failover_to_a_replica(own_mysql, make_agent):
    """The replica has every transaction under its GTID, in files of its own: nothing twice, nothing missing."""
    primary, replica = own_mysql(server_id=1), own_mysql(server_id=2)
    for s in (primary, replica):
        s.sql(reset_sql(s))
    replicate(primary, replica)
    db = primary.database("erp")
    w = Way(db, make_agent(db.url(), tables="erp.*")).begin_workload()
    load = w.load(seed=6)
    w.agent.start()
    wait_for(lambda: count(w) > 20, 30, "transactions to arrive")
    w.agent.kill()
    time.sleep(0.5)
    load.stop()
    wait_for(lambda: replica.gtid() == primary.gtid(), 60, "the replica to have it all")
    primary.kill()
    replica.sql("stop replica" if renamed(replica) else "stop slave")
    replica.flush_logs()
    w.db = mysql.Database(replica, "erp")
    w.agent.set("source", url=w.db.url())
    w.agent.start()
    before = w.db.one("select count(*) from tx_manifest")
    load = w.load(seed=7)
    wait_for(lambda: count(w) > before + 20, 60, "transactions of the new server")
    load.stop()
    w.agent.stop()
    w.agent.until_idle()
    judge_load(w)
    assert w.checkpoint()[0][0] == 2


@pytest.mark.mysql_usually("mariadb10.11")
def test_failover_to_a_server_that_lacks_transactions(own_mysql, make_agent):
    primary, other = own_mysql(server_id=1), own_mysql(server_id=2)
    for s in (primary, other):
        s.sql(reset_sql(s))
        s.database("erp", TABLE)
    w = Way(primary.database("erp", TABLE), make_agent(primary.url("erp"), tables="erp.*")).begin()
    w.carry(*[f"insert into t values ({i}, 'x')" for i in range(10)])
    w.agent.set("source", url=other.url("erp"))
    assert "lacks transactions" in w.agent.until_idle(code=5)


# --- what is refused

def test_wrong_password(way, mydb):
    w = way(TABLE, begin=False, url=mydb.url(password="wrong-and-secret"))
    log = w.agent.until_idle(code=1)
    assert "tailrace" in log and "denied" in log and "wrong-and-secret" not in log
    secret = w.agent.folder / "password"
    secret.write_text(mysql.PASSWORD + "\n")
    secret.chmod(0o600)
    w.agent.set("source", password=f"file:{secret}")
    w.begin()


@pytest.mark.parametrize("has, lacks", [(("select",), "{monitor}"), (("select", "client"), "REPLICATION SLAVE")])
def test_missing_right(way, mydb, has, lacks):
    """The message has the GRANT."""
    server = mydb.server
    monitor = "binlog monitor" if server.is_mariadb and server.number >= (10, 5) else "replication client"
    mydb.script(TABLE)
    with contextlib.suppress(pymysql.err.MySQLError):
        server.sql("drop user 'poor'@'127.0.0.1'")
    server.sql("create user 'poor'@'127.0.0.1' identified by 'poor-password'")
    try:
        for right in has:
            server.sql(f"grant {monitor if right == 'client' else right} on *.* to 'poor'@'127.0.0.1'")
        w = way(begin=False, url=mydb.url(user="poor", password="poor-password"))
        log = w.agent.until_idle(code=1)
        assert f"GRANT {lacks.format(monitor=monitor.upper())} ON *.* TO 'poor'@'127.0.0.1'" in log
    finally:
        server.sql("drop user 'poor'@'127.0.0.1'")


def test_least_rights_are_enough(way, mydb):
    """tailrace has what tests/lib/mysql.py grants: REPLICATION SLAVE, the right to ask for the log, SELECT."""
    w = way(TABLE)
    w.carry("insert into t values (1, 'a')")
    w.same()


@pytest.mark.on_mysql("mariadb10.11")
@pytest.mark.parametrize("settings, says", [
    ({"log_bin": None, "skip_log_bin": "ON"}, "log_bin"), ({"binlog_format": "MIXED"}, "binlog_format")])
def test_server_that_cannot_be_tailed(own_way, settings, says):
    w = own_way(TABLE, settings=settings, begin=False)
    log = w.agent.until_idle(code=1)
    assert says in log


@pytest.mark.on_mysql("mysql8.0")
def test_server_without_an_id(own_way):
    w = own_way(TABLE, settings={"server_id": "0"}, begin=False)
    assert "server_id" in w.agent.until_idle(code=1)


@pytest.mark.mysql_usually("mariadb10.11")
def test_wrong_database(way, mydb):
    w = way(TABLE, begin=False, url=mydb.server.url("nowhere"))
    assert "nowhere" in w.agent.until_idle(code=1)


def test_pattern_without_a_match(way, mydb):
    w = way(TABLE, begin=False, tables=f"{mydb.name}.t, {mydb.name}.missing")
    assert f"{mydb.name}.missing" in w.agent.until_idle(code=2)


@pytest.mark.on_mysql("mariadb10.11")
def test_nobody_answers(way, mydb):
    from tests.lib.pg import free_port
    port = free_port()
    w = way(TABLE, begin=False, url=f"mysql://tailrace@127.0.0.1:{port}/x", source={"connect_timeout": "3s"})
    assert str(port) in w.agent.until_idle(code=1)


@pytest.mark.on_mysql("mariadb10.11")
@pytest.mark.parametrize("url, says", [
    ("mysql://u@127.0.0.1/d?sslmode=sometimes", "sslmode"), ("mysql://u:hush%4@127.0.0.1/d", "percent"),
    ("mysql://u:hush@127.0.0.1:port/d", "port"), ("mysql://u:hush@127.0.0.1/d?colour=red", "colour"),
    ("mysql://127.0.0.1/d", "user"), ("mysql://u@127.0.0.1/d?sslmode=verify-ca", "sslrootcert")])
def test_bad_url(way, url, says):
    w = way(TABLE, begin=False, url=url)
    log = w.agent.until_idle(code=2)
    assert says.replace("percent", "%") in log and "hush" not in log


# --- TLS

@pytest.fixture(scope="session")
def certificates():
    """Two CAs; of the first one, certificates of 127.0.0.1 (server) and of another host (elsewhere)."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-tls-"))

    def openssl(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-days", "30", "-subj", f"/CN=test {name}")
    for name, host in (("server", "IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={host.split(':')[1]}")
        (folder / "ext").write_text(f"subjectAltName = {host}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "30", "-extfile", "ext")
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def with_tls(own_mysql, certificates, name="server"):
    return own_mysql(ssl_ca=certificates / "ca.pem", ssl_cert=certificates / f"{name}.pem",
                     ssl_key=certificates / f"{name}.key")


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0")
def test_tls(own_mysql, make_agent, certificates):
    server = with_tls(own_mysql, certificates)
    db = server.database("erp", TABLE)
    ca, other = certificates / "ca.pem", certificates / "other.pem"
    modes = {"disable": {}, "prefer": {}, "require": {}, "verify-ca": {"sslrootcert": ca},
             "verify-full": {"sslrootcert": ca}}
    for i, (mode, more) in enumerate(modes.items()):
        w = Way(db, make_agent(db.url(sslmode=mode, **more), folder=mode, tables="erp.*")).begin()
        w.carry(f"insert into t values ({i}, '{mode}')")
        assert (mode,) in judge.sqlite_rows(w.agent.copy, "t", ["s"])
    for mode in ("verify-ca", "verify-full"):
        w = Way(db, make_agent(db.url(sslmode=mode, sslrootcert=other), folder=f"other-{mode}", tables="erp.*"))
        log = w.agent.until_idle(code=1)
        assert "ertificate" in log or "verif" in log, log
    # Encrypted, and no less right under load: what TLS has buffered is not forgotten.
    w = Way(db, make_agent(db.url(sslmode="require"), folder="load", tables="erp.*"))
    db.script("drop table t")
    w.begin_workload()
    w.agent.start()
    load = w.load(seed=8, pause=0)
    time.sleep(2)
    load.stop()
    wait_for(lambda: count(w) == db.one("select count(*) from tx_manifest"), 10, "the last transaction")
    w.agent.stop()
    judge_load(w)


@pytest.mark.on_mysql("mariadb10.11")
def test_host_name_must_match(own_mysql, make_agent, certificates):
    db = with_tls(own_mysql, certificates, "elsewhere").database("erp", TABLE)
    for mode, code in (("verify-full", 1), ("verify-ca", 0)):
        a = make_agent(db.url(sslmode=mode, sslrootcert=certificates / "ca.pem"), folder=mode, tables="erp.*")
        log = a.until_idle(code=code)
        assert code == 0 or "127.0.0.1" in log


@pytest.mark.on_mysql("mysql8.0")
def test_server_without_tls(own_mysql, make_agent):
    """EDGE: the library would go on in plaintext without a word."""
    server = own_mysql(ssl="0")
    db = server.database("erp", TABLE)
    for mode in ("require", "verify-ca", "verify-full"):
        more = {"sslrootcert": "/etc/ssl/certs/ca-certificates.crt"} if mode.startswith("verify") else {}
        a = make_agent(db.url(sslmode=mode, **more), folder=mode, tables="erp.*")
        assert "TLS" in a.until_idle(code=1)
    Way(db, make_agent(db.url(sslmode="prefer"), folder="prefer", tables="erp.*")).begin()


# --- other readers, and what is told

@pytest.mark.mysql_usually("mariadb10.11")
def test_two_pipelines_on_one_server(way, mydb, make_agent):
    """Each has ids of its own: neither ends the other's dump."""
    w = way(TABLE)
    other = Way(mydb, make_agent(mydb.url(), folder="other", name="other", tables=f"{mydb.name}.*")).begin()
    for x in (w, other):
        x.agent.start()
    mydb.sql("insert into t values (1, 'a')")
    for x in (w, other):
        wait_for(lambda: count(x, "t") == 1, 20, "the row")
    time.sleep(1)
    for x in (w, other):
        assert "trying again" not in x.agent.log()
        x.agent.stop()


@pytest.mark.mysql_usually("mariadb10.11")
def test_own_dead_dump_is_replaced(way, mydb):
    """A killed agent's dump is ended by the next one's, which has the same ids."""
    w = way(TABLE)
    for _ in range(3):
        w.agent.start()
        w.agent.kill()
    w.agent.start()
    mydb.sql("insert into t values (1, 'a')")
    wait_for(lambda: count(w, "t") == 1, 20, "the row")
    dumps = [r for r in mydb.server.sql("show full processlist") if r[4].startswith("Binlog Dump")]
    assert len(dumps) == 1


@pytest.mark.parametrize("server_id, code", (("4711", 0), ("none", 2), ("1", 2)))
def test_server_id(way, mydb, server_id, code):
    """1 is the server's own."""
    w = way(TABLE, begin=False, source={"server_id": server_id})
    log = w.agent.until_idle(code=code)
    assert server_id in log and (code == 0 or "server_id" in log)


def test_status(way, mydb):
    w = way(TABLE).agent.with_http()
    w.sinks["lake"]["roll_interval"] = "1s"     # what it has not committed is retained
    w.write_config()
    w.start()
    mydb.sql("insert into t values (1, 'a')")
    s = wait_for(lambda: w.status()["source"] if w.status()["source"]["lag_bytes"] == 0 else None, 30, "no lag")
    assert s["type"] == "mysql" and s["connected"] and s["retained_bytes"] is not None
    assert ("MariaDB" if mydb.server.is_mariadb else "MySQL") in s["server"]
    wait_for(lambda: w.status()["source"]["retained_bytes"] == 0, 30, "everything to be acknowledged")
    w.stop()
