"""`tailrace check` on MySQL and MariaDB: what it finds, and that its SQL cures it and takes it back."""
import json

import pymysql
import pytest

from tests.lib.agent import wait_for

T = "create table t (id int primary key, a int) engine=innodb"


def listed(agent, code=None):
    done = agent("check", "--json", check=False)
    assert done.returncode in ((0, 3) if code is None else (code,)), done.stderr
    return json.loads(done.stdout)["findings"]


def check(agent, code=None):
    return {(f["id"], f["object"]): f for f in listed(agent, code)}


def ids(found, severity=None):
    return {i for (i, _), f in found.items() if severity in (None, f["severity"])}


def run_sql(db, text):
    """SQL of findings, as the administrator would run it."""
    for statement in filter(None, (s.strip() for s in text.split(";\n"))):
        for one in filter(None, (s.strip() for s in statement.rstrip(";").split("; "))):
            db.sql(one)


def test_good_server(way, mydb):
    w = way(T, begin=False)
    found = check(w.agent, 0)
    assert not ids(found, "error")
    assert not ids(found, "warning")


@pytest.mark.on_mysql_too("mysql5.7")
def test_what_settings_are_wrong(own_way, mysql_id):
    """EDGE 72, 77, 79, 89: each finding has the SQL that cures it, and the SQL that takes that back."""
    mariadb, v = mysql_id.startswith("mariadb"), mysql_id
    settings = {"binlog_row_image": "MINIMAL"}
    if v != "mysql9.7":
        settings["binlog_format"] = "MIXED"
    if v in ("mariadb10.11", "mysql8.0", "mysql9.7"):
        settings["binlog_row_metadata"] = "NO_LOG" if mariadb else "MINIMAL"
    if v in ("mysql8.0", "mysql9.7"):
        settings["binlog_row_value_options"] = "PARTIAL_JSON"
        settings["binlog_expire_logs_seconds"] = 3600
        settings["gtid_mode"] = "OFF"
        settings["enforce_gtid_consistency"] = "OFF"
    w = own_way(T, gtid=False, settings=settings, begin=False)
    wanted = {"row_image"} | ({"binlog_format"} if v != "mysql9.7" else set()) | (set() if mariadb else {"gtid_mode"})
    if v in ("mariadb10.11", "mysql8.0", "mysql9.7"):
        wanted |= {"row_metadata"}
    if v in ("mysql8.0", "mysql9.7"):
        wanted |= {"row_value_options", "retention"}
    before = check(w.agent)
    assert {f["id"] for f in before.values() if f["severity"] != "info"} == wanted
    fixable = [f for f in before.values() if f["fix_sql"]]
    assert {f["id"] for f in fixable} == wanted - ({"gtid_mode"} if v == "mysql5.6" else set())
    for f in fixable:
        run_sql(w.db, f["fix_sql"])
    cured = check(w.agent)
    assert {f["id"] for f in cured.values() if f["severity"] != "info"} == wanted - {f["id"] for f in fixable}
    for f in fixable:
        run_sql(w.db, f["undo_sql"])
    assert check(w.agent).keys() == before.keys()


def test_rights(way, mydb, mysql_server):
    """Least rights: those that are missing are named, with the GRANT for this server."""
    user = f"u{mydb.name}"
    mydb.script(T, f"create user {user}@'127.0.0.1' identified by 'secret'", f"grant select on {mydb.name}.t to {user}@'127.0.0.1'")
    try:
        w = way(begin=False, url=mysql_server.url(mydb.name, user=user, password="secret"))
        found = check(w.agent, 3)
        monitor = "BINLOG MONITOR" if mysql_server.is_mariadb else "REPLICATION CLIENT"
        account = f"'{user}'@'127.0.0.1'"
        assert found["privilege", f"user {account}"]["severity"] == "error"
        assert {f["fix_sql"] for f in listed(w.agent) if f["id"] == "privilege"} == {
            f"GRANT REPLICATION SLAVE ON *.* TO {account};", f"GRANT {monitor} ON *.* TO {account};"}
        with mysql_server.connect() as c, c.cursor() as cur:
            cur.execute(f"grant replication slave on *.* to {account}")
            cur.execute(f"grant {monitor} on *.* to {account}")
        assert not ids(check(w.agent, 0), "error")
        w.begin()
        w.carry("insert into t values (1, 1)")
        assert w.ops("t") == "c"
    finally:
        mydb.sql(f"drop user {user}@'127.0.0.1'")


def test_tables(way, mydb):
    """EDGE 80, 87, 106: engines, keys, cascades, versions: by table."""
    mariadb = mydb.server.is_mariadb
    w = way("create table parent (id int primary key) engine=innodb",
            "create table child (id int primary key, p int, foreign key (p) references parent (id) on delete cascade) engine=innodb",
            "create table plain (id int primary key, p int, foreign key (p) references parent (id)) engine=innodb",
            "create table isam (id int primary key) engine=myisam", "create table keyless (a int) engine=innodb",
            *(["create table past (id int primary key) with system versioning"] if mariadb else []), begin=False)
    d = mydb.name
    found = check(w.agent, 0)
    assert {k for k, f in found.items() if f["severity"] == "warning"} == {
        ("cascade", f"{d}.child"), ("engine", f"{d}.isam"), ("primary_key", f"{d}.keyless")}
    assert (("versioned", f"{d}.past") in found) == mariadb
    run_sql(mydb, found["engine", f"{d}.isam"]["fix_sql"])
    assert ("engine", f"{d}.isam") not in check(w.agent)
    run_sql(mydb, found["engine", f"{d}.isam"]["undo_sql"])
    assert ("engine", f"{d}.isam") in check(w.agent)


@pytest.mark.on_mysql("mysql9.7")
def test_cascades_that_are_logged(way):
    """EDGE 87: from 9.6 on the server logs what a foreign key does."""
    w = way("create table parent (id int primary key)",
            "create table child (id int primary key, p int, foreign key (p) references parent (id) on delete cascade)")
    assert "cascade" not in ids(check(w.agent))
    w.carry("insert into parent values (1)", "insert into child values (1, 1)", "delete from parent")
    assert w.ops("child") == "cd" and w.copy("child", ("id",)) == []


def test_patterns(way, mydb):
    w = way(T, tables=f"{mydb.name}.t, {mydb.name}.nothing", begin=False)
    found = check(w.agent, 3)
    assert f"{mydb.name}.nothing" in found["tables", "source.tables"]["message"]
    assert w.agent.until_idle(code=2)


def test_names_that_meet(way, mydb):
    """EDGE 40"""
    w = way("create table `a-b` (id int primary key)", "create table a_b (id int primary key)", begin=False)
    log = w.agent.until_idle(code=2)
    assert f"{mydb.name}.a-b" in log and f"{mydb.name}.a_b" in log


@pytest.mark.on_mysql("mariadb10.11", "mysql8.0")
def test_filters_and_replicas(own_mysql, make_agent, mysql_id):
    """EDGE 91, EDGE 118: what the log leaves out; a replica that does not log what it replicates; an id that is taken."""
    primary = own_mysql(gtid=True)
    server = own_mysql(gtid=False, server_id=7, binlog_do_db="other", log_slave_updates="OFF")
    db = server.database("erp", T)
    agent = make_agent(db.url(), tables="erp.*")
    agent.set("source", server_id=7)
    found = check(agent, 3)
    assert ("binlog_filter", "database erp") in found and ("server_id", "source.server_id") in found
    assert "log_replica_updates" not in ids(found, "error")
    server.sql(f"change master to master_host='127.0.0.1', master_port={primary.port}, master_user='root'")
    if mysql_id == "mariadb10.11":  # a replica that runs: our user may not see more
        server.sql("start slave")
        wait_for(lambda: server.sql("show global status like 'Slave_running'")[0][1] == "ON", what="the replica to run")
    found = check(agent, 3)
    assert "log_replica_updates" in ids(found, "error")
    agent.set("source", server_id="auto", tables="*.*")
    assert ("server_id", "source.server_id") not in check(agent, 3)


@pytest.mark.on_mysql("mariadb10.11")
def test_no_binary_log(own_mysql, make_agent):
    server = own_mysql(log_bin=None)
    db = server.database("erp", T)
    agent = make_agent(db.url(), tables="erp.*")
    found = check(agent, 3)
    assert "log_bin" in ids(found, "error") and "restart" in found["log_bin", "server"]["message"]


def test_changes_nothing(way, mydb):
    """A check writes nothing: the log's end and the sessions' settings are what they were."""
    w = way(T, begin=False)
    before = mydb.server.position()
    check(w.agent)
    assert mydb.server.position() == before
    with pytest.raises(pymysql.err.ProgrammingError):
        mydb.sql("select * from tailrace_checkpoint")
