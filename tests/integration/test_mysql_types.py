"""The differential test of MySQL and MariaDB: every case of tests/lib/mysql_cases.py on live servers, the copies against
the server's own SELECT, the order of the changes against mysqlbinlog (tests/lib/mysql_diff.py).

What takes long, and every variant of the settings on every server, is `make compat-mysql`.
"""
import pytest

from tests.lib import mysql, mysql_cases, mysql_diff

# Here they would take long, or stand in files of their own.
ELSEWHERE = ("charsets", "charsets_minimal", "types_no_metadata", "crashed", "ddl_minimal", "xa_anonymous")


@pytest.fixture(scope="module")
def servers():
    """(id, gtid) -> a server for this module, whose settings the cases change and put back."""
    running = {}
    yield running
    for s in running.values():
        s.destroy()


@pytest.fixture
def carry(servers, mysql_id, make_agent):
    """carry(case, variant): the outcome; without complaints, or the test fails."""
    def one(case, variant=mysql_diff.PLAIN, gtid=None):
        key = mysql_id, case.gtid if gtid is None else gtid
        if key not in servers:
            servers[key] = mysql.server(mysql_id, gtid=key[1]).start()
        out = mysql_diff.run(servers[key], case, lambda url, tables: make_agent(url, tables=tables), variant)
        bad = mysql_diff.verdict(case, variant, out)
        assert not bad, "\n".join(bad)
        return out
    return one


def fitting(mysql_id, items):
    flavor = "mariadb" if mysql_id.startswith("mariadb") else "mysql"
    number = mysql.number(mysql_id.removeprefix(flavor))
    return [i for i in items if i.fits(flavor, number)]


def fits(params):
    """Can this server do it?  Asked when the tests are collected."""
    wanted = [params["case"]] if "case" in params else [v for v in mysql_diff.VARIANTS if v.name == params["name"]]
    return bool(fitting(params["mysql_id"], wanted))


@pytest.mark.parametrize("case", [c for c in mysql_cases.CASES if c.name not in ELSEWHERE], ids=repr)
def test_case(carry, mysql_id, case):
    """EDGE 59, EDGE 60, EDGE 61, EDGE 62, EDGE 63, EDGE 64, EDGE 65, EDGE 66, EDGE 67, EDGE 68, EDGE 69, EDGE 71, EDGE 72, EDGE 73, EDGE 74, EDGE 75, EDGE 76,
    EDGE 77, EDGE 78, EDGE 80, EDGE 81, EDGE 82, EDGE 83, EDGE 84, EDGE 85, EDGE 86, EDGE 88, EDGE 89, EDGE 90, EDGE 93, EDGE 94, EDGE 97, EDGE 99,
    EDGE 104, EDGE 105, EDGE 106, EDGE 107, EDGE 108, EDGE 109, EDGE 113, EDGE 115, EDGE 116"""
    out = carry(case)
    assert out.refused or out.rows > 0


@pytest.mark.parametrize("name", ("least", "image_noblob", "compressed"))
def test_types_under_other_settings(carry, mysql_id, name):
    """EDGE 77, EDGE 78, EDGE 79: what the log leaves out is known from the catalog, or absent; GTIDs or none."""
    case = next(c for c in mysql_cases.CASES if c.name == "types")
    variant, = fitting(mysql_id, [v for v in mysql_diff.VARIANTS if v.name == name])
    assert carry(case, variant, gtid=name != "least").rows > 100
