"""What is wrong is said with its name, its place and the remedy; the exit code tells the kind."""
import json
import os

import pytest

TABLE = "create table t (id int primary key, s text)"


@pytest.fixture
def agent(db, make_agent):
    db.script(TABLE)
    return make_agent(db)


def test_unknown_option(agent):
    agent.set("source", tabels="x")
    log = agent.until_idle(code=2)
    assert "tabels" in log and "tables" in log and str(agent.conf) in log
    line = agent.conf.read_text().splitlines().index("tabels = x") + 1
    assert f":{line}" in log or f"line {line}" in log


def test_unknown_section(agent):
    agent.write_config("[souce]\nurl = x\n")
    log = agent.until_idle(code=2)
    assert "souce" in log and "source" in log


@pytest.mark.parametrize("section, key, value, says", [
    ("spool", "sync", "fast", "sync"), ("spool", "segment", "64", "segment"), ("source", "ack", "never", "sink"),
    ("pipeline", "memory", "lots", "memory"), ("pipeline", "name", "Big Name", "name"),
    ("spool", "compression_level", "99", "compression_level")])
def test_wrong_value(agent, section, key, value, says):
    agent.set(section, **{key: value})
    log = agent.until_idle(code=2)
    assert key in log and value in log and says in log


@pytest.mark.parametrize("section, values, says", [
    ("sink far", {"type": "mysql", "url": "mysql://127.0.0.1:1/d"}, "mysql"),
    ("source", {"on_error": "quarantine"}, "quarantine")])
def test_what_is_not_there_yet_is_refused_by_name(agent, section, values, says):
    agent.set(section, **values)
    assert says in agent.until_idle(code=2)


def test_pattern_without_a_match(agent):
    agent.set("source", tables="public.t, public.missing")
    assert "public.missing" in agent.until_idle(code=2)


def test_missing_settings(agent):
    agent.set("source", url=None)
    assert "url" in agent.until_idle(code=2)


def test_no_configuration_file(agent):
    done = agent.command("run", "-c", agent.folder / "none.conf", check=False)
    assert done.returncode == 2 and "none.conf" in done.stderr


def test_usage(agent):
    for argv in (["frobnicate"], ["run", "--nonsense"], [], ["snapshot", "-c", agent.conf, "dance"], ["snapshot"]):
        assert agent.command(*argv, check=False).returncode == 2, argv
    for verb in ("run", "check", "status", "snapshot", "events", "schema", "options"):
        done = agent.command(verb, "--help")
        assert "tailrace " + verb in done.stdout


def test_wrong_password(agent, db, server):
    db.sql("drop role if exists secretive")
    db.sql("create role secretive login superuser replication password 'right'")
    try:
        agent.set("source", url=db.url(user="secretive"), password="wrong-and-secret")
        log = agent.until_idle(code=1)
        assert "secretive" in log and "password" in log and "wrong-and-secret" not in log
        secret = agent.folder / "password"
        secret.write_text("right\n")
        secret.chmod(0o600)
        agent.set("source", password=f"file:{secret}")
        agent.until_idle()
        agent.set("source", password="${TR_TEST_PASSWORD}")
        agent.until_idle(env={"TR_TEST_PASSWORD": "right"})
    finally:
        db.sql("drop owned by secretive")
        db.sql("drop role secretive")


def test_wrong_database(agent, server):
    agent.set("source", url=server.url("nowhere"))
    assert "nowhere" in agent.until_idle(code=1)


@pytest.mark.versions(10, 18)
def test_missing_right(agent, db):
    role = f"poor_{db.name}"
    db.sql(f"create role {role} login")
    try:
        agent.set("source", url=db.url(user=role))
        log = agent.until_idle(code=1)
        assert "REPLICATION" in log
    finally:
        db.sql(f"drop role {role}")


@pytest.mark.versions(10, 18)
def test_least_rights_are_enough(agent, db):
    """No superuser: REPLICATION, SELECT, and a publication made by the owner."""
    role = f"least_{db.name}"
    db.sql(f"create role {role} login replication")
    db.sql(f"grant select on t to {role}")
    db.sql("create publication tailrace_erp for table t")
    try:
        agent.set("source", url=db.url(user=role))
        agent.until_idle()
        db.sql("insert into t values (1, 'x')")
        agent.until_idle()
        from tests.lib import judge
        assert judge.sqlite_rows(agent.copy, "t", ["id", "s"]) == [(1, "x")]
    finally:
        db.sql(f"select pg_drop_replication_slot('tailrace_erp')")
        db.sql(f"drop owned by {role}")
        db.sql(f"drop role {role}")


@pytest.mark.versions(10, 18)
def test_server_without_logical_wal(own_server, make_agent, major):
    db = own_server(wal_level="replica").database("erp", TABLE)
    a = make_agent(db)
    log = a.until_idle(code=1)
    assert "wal_level" in log and "logical" in log
    done = a("check", "--json", check=False)
    assert done.returncode == 3
    finding = next(f for f in json.loads(done.stdout)["findings"] if f["id"] == "wal_level")
    assert finding["severity"] == "error" and "wal_level" in finding["fix_sql"]


def test_no_slot_left(own_server, make_agent, major):
    db = own_server(max_replication_slots=1).database("erp", TABLE)
    db.sql("select pg_create_physical_replication_slot('other')")
    a = make_agent(db)
    assert "max_replication_slots" in a.until_idle(code=1)
    assert a("check", check=False).returncode == 3


def test_nobody_answers(agent):
    from tests.lib.pg import free_port
    port = free_port()
    agent.set("source", url=f"postgresql://postgres@127.0.0.1:{port}/erp", connect_timeout="3s")
    log = agent.until_idle(code=1)
    assert str(port) in log


def test_state_dir_in_use(agent):
    agent.until_idle()
    agent.start()
    done = agent("run", check=False)
    assert done.returncode == 1 and str(agent.process.pid) in done.stderr
    agent.stop()


def test_state_dir_of_another_pipeline_name(agent):
    done = agent.command("status", "-c", agent.conf, check=False)
    assert done.returncode == 1


def test_world_readable_secret_is_a_warning(agent, db):
    agent.set("source", password="secret-word")
    os.chmod(agent.conf, 0o644)
    log = agent.until_idle()
    assert "read" in log and "secret-word" not in log


def test_secrets_stay_out_of_logs(agent, db):
    agent.set("source", url=db.url(password="hush-hush"))
    agent.set("pipeline", log_level="debug")
    log = agent.until_idle()
    assert "hush-hush" not in log
    assert "hush-hush" not in agent("check", check=False).stdout
