"""Fixtures: servers shared by the tests of one worker, a fresh database for each test, agents that
are gone at its end.

Tests run on PostgreSQL 15; those marked versions(...) on the others too.  POSTGRES_VERSIONS=10,11
in the environment runs everything on just these.

Those of MySQL and MariaDB take `mysql_id` (mysql_server, mydb): MariaDB 10.11 and MySQL 8.0, with
on_mysql_too(...) others as well, with on_mysql(...) just those named, with mysql_usually(...) those unless others are
selected.  MYSQL_VERSIONS=mariadb10.1,mysql9.7
selects others; all: every one there is.
"""
import itertools
import os

import pytest

from tests.lib import agent as agents
from tests.lib import judge, mysql, pg
from tests.lib.mysql_way import Way

MYSQL_DEFAULT = ("mariadb10.11", "mysql8.0")
MYSQL_VERSIONS = [v for v in os.environ.get("MYSQL_VERSIONS", "").replace("all", ",".join(mysql.ALL)).split(",") if v]
VERSIONS = [int(v) for v in os.environ.get("POSTGRES_VERSIONS", "").split(",") if v]
COUNTER = itertools.count(1)


def pytest_generate_tests(metafunc):
    if "major" in metafunc.fixturenames:
        since = metafunc.definition.get_closest_marker("since")
        also = metafunc.definition.get_closest_marker("versions")
        majors = VERSIONS or sorted({15, *(also.args if also else ())})
        first = since.args[0] if since else 10
        if not VERSIONS and first > 15:
            majors = [18]
        metafunc.parametrize("major", [m for m in majors if m >= first], scope="session",
                             ids=lambda m: f"pg{m}")
    if "mysql_id" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("on_mysql")
        also = metafunc.definition.get_closest_marker("on_mysql_too")
        usual = metafunc.definition.get_closest_marker("mysql_usually")
        chosen = (only or usual).args if only or usual else (*MYSQL_DEFAULT, *(also.args if also else ()))
        if MYSQL_VERSIONS:
            chosen = [v for v in MYSQL_VERSIONS if not only or v in chosen]
        metafunc.parametrize("mysql_id", [v for v in mysql.ALL if v in chosen], scope="session")


def pytest_collection_modifyitems(config, items):
    """What a server cannot do is no test of it: a module's fits(params) says so."""
    def wanted(item):
        fits = getattr(item.module, "fits", None)
        return fits is None or not hasattr(item, "callspec") or fits(item.callspec.params)

    gone = [i for i in items if not wanted(i)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [i for i in items if wanted(i)]


@pytest.fixture(scope="session")
def servers():
    """major -> a running server that tests share; never stop or reconfigure one of these."""
    running = {}
    yield running
    for s in running.values():
        s.destroy()


@pytest.fixture
def server(servers, major):
    if major not in servers:
        servers[major] = pg.Postgres(major).start()
    return servers[major]


@pytest.fixture
def own_server(major):
    """A server of the test's own: own_server(initdb=..., **settings)."""
    made = []

    def make(initdb=(), **settings):
        made.append(pg.Postgres(major, settings=settings, initdb=initdb).start())
        return made[-1]
    yield make
    for s in made:
        s.destroy()


def forget_slots(server):
    with server.connect() as c:
        for name, pid in c.execute("select slot_name, active_pid from pg_replication_slots").fetchall():
            if pid:
                c.execute("select pg_terminate_backend(%s)", (pid,))
        for _ in range(100):
            if not c.execute("select 1 from pg_replication_slots where active").fetchone():
                break
            c.execute("select pg_sleep(0.05)")
        c.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


@pytest.fixture
def db(server):
    """A fresh database on the shared server."""
    database = server.database(f"t{os.getpid()}_{next(COUNTER)}")
    yield database
    database.close()
    forget_slots(server)
    with server.connect() as c:
        c.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (database.name,))
        c.execute(f'drop database if exists "{database.name}"')


@pytest.fixture(scope="session")
def mysql_servers():
    """id -> a running server that tests share; never stop or reconfigure one of these."""
    running = {}
    yield running
    for s in running.values():
        s.destroy()


@pytest.fixture
def mysql_server(mysql_servers, mysql_id):
    if mysql_id not in mysql_servers:
        mysql_servers[mysql_id] = mysql.server(mysql_id, gtid=True).start()
    return mysql_servers[mysql_id]


@pytest.fixture
def own_mysql(mysql_id):
    """A server of the test's own: own_mysql(gtid=..., **settings)."""
    made = []

    def make(gtid=True, **settings):
        made.append(mysql.server(mysql_id, gtid=gtid, settings=settings).start())
        return made[-1]
    yield make
    for s in made:
        s.destroy()


@pytest.fixture
def mydb(mysql_server):
    """A fresh database on the shared server."""
    database = mysql_server.database(f"t{os.getpid()}_{next(COUNTER)}")
    yield database
    database.close()
    mysql_server.sql(f"drop database if exists {mysql.quote(database.name)}")


@pytest.fixture
def make_agent(tmp_path, request):
    """make_agent(db, ...) as agent.Agent; several get folders of their own by `folder`."""
    made = []

    def make(database, folder="agent", **kw):
        url = database if isinstance(database, str) else database.url()
        made.append(agents.Agent(tmp_path / folder, url, **kw))
        return made[-1]
    yield make
    for a in made:
        a.kill()
        if request.node.stash.get(FAILED, False):
            request.node.add_report_section("teardown", f"log of {a.folder.name}", a.log_tail(60))


FAILED = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


class Pipeline:
    """A database, an agent with a sqlite and a files sink, and the usual way through a test."""

    def __init__(self, database, agent):
        self.db, self.agent = database, agent

    def begin(self):
        """The first start: slot and publication are made, nothing is carried."""
        self.agent.until_idle()
        return self

    def carry(self, *statements):
        """Statements (each its own transaction unless it says begin), then all of it is carried."""
        for s in statements:
            self.db.sql(s)
        return self.agent.until_idle()

    def sqlite(self, query, *params):
        c = judge.sqlite_open(self.agent.copy)
        try:
            return c.execute(query, params).fetchall()
        finally:
            c.close()

    @property
    def lake(self):
        return judge.Lake(self.agent.lake)

    def records(self, table):
        """All records of schema.table in the files."""
        return self.lake.records(table)

    def ops(self, table):
        return "".join(r["op"] for r in self.records(table))

    def same(self, *tables):
        """Source and sqlite copy are equal, row by row."""
        bad, _ = judge.judge_sqlite(self.db.conn, self.agent.copy, tables)
        assert not bad, "\n".join(bad)

    def same_files(self, *tables, transactions=False):
        """The files, replayed, give the source; tables were empty when the pipeline began."""
        bad, _ = judge.judge_files(self.db.conn, self.agent.lake, tables, transactions)
        assert not bad, "\n".join(bad)


@pytest.fixture
def pipeline(db, make_agent):
    """pipeline(sql, tables="*", ...) : the tables made, the first start done."""
    def make(script="", begin=True, tables="public.*", **kw):
        db.script(script)
        p = Pipeline(db, make_agent(db, tables=tables, **kw))
        return p.begin() if begin else p
    return make


@pytest.fixture
def way(mydb, make_agent):
    """way(*script, begin=True, ...): the tables made, the first start done."""
    def make(*script, begin=True, db=mydb, url=None, **kw):
        db.script(*script)
        w = Way(db, make_agent(url or db.url(), tables=kw.pop("tables", f"{db.name}.*"), **kw))
        return w.begin() if begin else w
    return make


@pytest.fixture
def own_way(own_mysql, make_agent):
    """The same on a server of its own: own_way(*script, gtid=True, settings={}, ...)."""
    def make(*script, gtid=True, settings=None, begin=True, **kw):
        server = own_mysql(gtid=gtid, **(settings or {}))
        db = server.database("erp", *script)
        w = Way(db, make_agent(db.url(), tables="erp.*", **kw))
        return w.begin() if begin else w
    return make
