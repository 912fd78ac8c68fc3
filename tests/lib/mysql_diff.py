"""The differential test of the source mysql: a case (mysql_cases.py) on a live server, carried by the agent, and the
copies against the server's own SELECT and the vendor's mysqlbinlog.

Whatever a copy differs in must have been said: the agent refused with a message, or named the table as one whose
rows changed without events.
"""
import contextlib
import itertools
import re
import subprocess
from dataclasses import dataclass, field

from . import judge, judge_mysql, mysql, mysql_printed

COUNTER = itertools.count(1)
SERVER_KNOWS = "which columns it had there is not known"
# Where the log has no rows, or not all of them: case -> words of the refusal.  MAY: on the way to a later state.
STOPS = {"statements": "binlog_format", "load_data": "LOAD DATA", "partial_json": "updated in part"}
MAY = {"ddl": SERVER_KNOWS, "compressed": SERVER_KNOWS, "ddl_minimal": SERVER_KNOWS, "old_fractions": "precision", "old_temporals": SERVER_KNOWS}
NAMED = re.compile(r'load the table again".*? table="?([^" ]+)"? reason="([^"]*)"')
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")       # others have another one in Avro
# Their inserts lack columns, which the sqlite sink refuses: into files only.
PARTIAL = ("images", "compressed")
# With bytes that are no characters: source.invalid_bytes = bytes.
ODD_TEXT = ("charsets", "charsets_minimal", "charsets_whole", "invalid_text")
# 9.7's tool, which reads all of MySQL's, has given that format up; MariaDB's crashes.
NOT_PRINTED = ("rows_v1", "old_fractions")
# MariaDB: what `check` says of a server or a table before.  REPLACE resets columns to defaults that such images do
# not have; a versioned table keeps its past.
FORETOLD = {"images": ("i_minimal", "i_noblob"), "ddl": ("versioned",), "ddl_minimal": ("versioned",)}
# Sequences of MariaDB are no tables, though their rows are logged.
SEQUENCES = ("seq",)
# Tables that a case alters so that they have to be loaded again.
RELOADED = {"compressed": ("c2",)}
IMAGE = "binlog_row_image"


@dataclass
class Variant:
    """Settings of the server for the time of a case."""
    name: str = ""
    settings: dict = field(default_factory=dict)
    mariadb: tuple = (0,)
    mysql: tuple = (0,)

    def fits(self, flavor, number):
        least = self.mariadb if flavor == "mariadb" else self.mysql
        return least is not None and number >= least

    @property
    def partial(self):
        """Whether inserts may come without the columns that they do not name."""
        return self.settings.get(IMAGE) in ("MINIMAL", "NOBLOB")


PLAIN = Variant()
VARIANTS = (
    Variant("image_minimal", {IMAGE: "MINIMAL"}),
    Variant("image_noblob", {IMAGE: "NOBLOB"}),
    Variant("image_full_nodup", {IMAGE: "FULL_NODUP"}, mariadb=(11, 4), mysql=None),
    Variant("compressed", {"log_bin_compress": "1", "log_bin_compress_min_len": "10"}, mariadb=(10, 2, 3), mysql=None),
    Variant("compressed", {"binlog_transaction_compression": "1"}, mariadb=None, mysql=(8, 0, 20)),
    Variant("checksum_none", {"binlog_checksum": "NONE"}),
    Variant("least", {"binlog_row_metadata": "NO_LOG", IMAGE: "MINIMAL", "binlog_checksum": "NONE", "log_bin_compress": "1"},
            mariadb=(10, 5), mysql=None),
    Variant("least", {"binlog_row_metadata": "MINIMAL", IMAGE: "MINIMAL", "binlog_checksum": "NONE",
                      "binlog_transaction_compression": "1"}, mariadb=None, mysql=(8, 0, 20)),
)


@dataclass
class Outcome:
    rows: int = 0               # values compared come by the row
    changes: int = 0            # compared with mysqlbinlog
    refused: str = ""           # what the agent said when it stopped
    named: dict = field(default_factory=dict)      # table -> why it is to be loaded again
    bad: list = field(default_factory=list)


@contextlib.contextmanager
def settings(server, case, variant):
    names = {**case.settings_on(server.flavor), **{k: f"'{v}'" if v.isalpha() else v for k, v in variant.settings.items()}}
    for name, value in names.items():
        server.sql(f"set global {name} = {value}")
    try:
        yield
    finally:
        for name in names:
            server.sql(f"set global {name} = default")


def prepare(agent, case, variant):
    """What the case needs of the agent."""
    if case.name in ODD_TEXT:
        agent.set("source", invalid_bytes="bytes")
    if variant.partial or case.name in PARTIAL:
        del agent.sinks["copy"]
        agent.write_config()
    return agent


def run(server, case, make_agent, variant=PLAIN, live=False):
    """make_agent(url, tables): an Agent with a sqlite and a files sink.  live: it runs while the case does."""
    name = f"d{next(COUNTER)}_{case.name}"
    with settings(server, case, variant):
        db = server.database(name, "create table before_all (id int primary key)")
        try:
            without = "".join(f", !{name}.{t}" for t in refused_tables(server))
            agent = prepare(make_agent(db.url(), f"{name}*.*{without}"), case, variant)
            agent.until_idle()
            place, out = server.position(), Outcome()
            if live:
                agent.start()
            case.run(db)
            if case.then and not go_on(agent, out, live):
                return out
            if case.then:
                case.then(db)
            if go_on(agent, out, live):
                compare(db, case, variant, agent, place, out)
            return out
        finally:
            db.close()
            for schema in (name, f"{name}_other"):
                server.sql(f"drop database if exists {mysql.quote(schema)}")


def refused_tables(server):
    """MySQL 8.0.13 to 8.0.17: the log has the hidden columns of functional indexes, which nothing names."""
    return ("functional",) if not server.is_mariadb and (8, 0, 13) <= server.number < (8, 0, 18) else ()


def go_on(agent, out, live):
    """Until all is carried; False: it was refused."""
    if live and agent.running():
        agent.stop(code=None)
    agent.kill()
    agent.start("--until-idle", wait=False)
    code = agent.wait_exit(180)
    log = agent.log()
    out.named.update(NAMED.findall(log))
    if code:
        out.refused = next((line for line in reversed(log.splitlines()) if "level=error" in line), log[-500:])
    return code == 0


# --- comparing

def compare(db, case, variant, agent, place, out):
    source = judge_mysql.Source(db)
    schemas = [db.name, f"{db.name}_other"]
    tables = [f"{s}.{t}" for s in schemas for t in judge_mysql.normal_mysql.tables(db.conn, s)]
    left_out = {*case.unlogged, *(FORETOLD.get(case.name, ()) if db.server.is_mariadb else ())}
    left_out.update(refused_tables(db.server))
    if generated_unlogged(db.server, variant):
        left_out.add("computed")
    quiet = {t for t in tables if t not in out.named and t.partition(".")[2] not in left_out}
    for table in sorted(quiet):
        bad = compare_table(source, agent, table, case, variant, out)
        out.bad += bad
    if case.name not in NOT_PRINTED:
        compare_printed(db, agent, place, out)


def generated_unlogged(server, variant):
    """MariaDB: NULL for virtual columns at first, no generated ones with an UPDATE of late; check says so."""
    v = server.number
    return server.is_mariadb and (v < (10, 3) or v >= (11, 8) or variant.settings.get(IMAGE) == "FULL_NODUP")


def compare_table(source, agent, table, case, variant, out):
    """Both copies of one table."""
    bad, view = judge.Complaints(), source
    if case.name in ODD_TEXT:
        return compare_text(source, agent, table, out)
    if "copy" in agent.sinks:
        bad, counts = judge.judge_sqlite(view, agent.copy, [table])
        out.rows += sum(counts.values())
    else:
        view = Narrow(source, table, defaulted(source, table))
    records = judge.judge_file_order(judge.Lake(agent.lake), table, bad)
    if source.key_names(table) and all(NAME.match(c.name) for c in source.columns(table)):
        n = judge.judge_replay(view, table, records, bad)
        out.rows += n if "copy" not in agent.sinks else 0
    return bad


def compare_text(source, agent, table, out):
    """Text in UTF-8 where the server has characters for it; where it has not, NULL in the copy and its bytes with the
    event, as \\x..."""
    bad, cols = judge.Complaints(), source.columns(table)
    if len(cols) == 1:
        return bad
    names = [c.name for c in cols]
    raw = {r[0]: r[1:] for r in source.query(f"select id, {', '.join(f'hex({n})' for n in names[1:])} from {bare(table)}")}
    have = {r[0]: r for r in judge.sqlite_rows(agent.copy, judge.target_name(table), names)}
    odd = {r["after"]["id"]: r["unrepresentable"] or {} for r in judge.Lake(agent.lake).records(table) if r["op"] in "cu"}
    if have.keys() != raw.keys():
        bad.add(f"{table}: rows {sorted(have)}, not {sorted(raw)}")
        return bad
    for row in source.rows_as_text(table):
        key = int(row[0])
        for c, want, octets, got in zip(cols[1:], row[1:], raw[key], have[key][1:]):
            bare_bytes = got is None and octets is not None and odd[key].get(c.name, "").lower() == f"\\x{octets.lower()}"
            broken = broken_set(source.database.server, c)
            if got != want and not broken and not (bare_bytes and (table.partition(".")[2].startswith("bad_") or "?" in want)):
                bad.add(f"{table} {key}.{c.name}: {got!r:.200}, not {want!r:.200} (bytes {octets:.200})")
    out.rows += len(raw)
    return bad


def broken_set(server, column):
    """Old servers keep one byte of each label where a character has more: no text comes of it."""
    return server.number < ((10, 5) if server.is_mariadb else (5, 7)) and column.type == "set" and column.charset.startswith(("utf16", "utf32", "ucs2"))


def bare(table):
    schema, _, name = table.partition(".")
    return f"{mysql.quote(schema)}.{mysql.quote(name)}"


def defaulted(source, table):
    """Columns that an insert may leave to their default, which a minimal image does not have."""
    with contextlib.closing(source.database.connect()) as c, c.cursor() as cur:
        cur.execute("select column_name from information_schema.columns where table_schema = %s and table_name = %s"
                    " and (column_default is not null and column_default <> 'NULL' or extra like '%%GENERATED%%'"
                    " or extra like '%%VIRTUAL%%' or extra like '%%PERSISTENT%%')", source.split(table))
        return {r[0] for r in cur.fetchall()}


class Narrow(judge_mysql.Source):
    """A source as the judges see it, without some columns of one table."""

    def __init__(self, source, table, skip):
        super().__init__(source.database)
        self.skip = {table: skip}

    def columns(self, table):
        return [c for c in super().columns(table) if c.name not in self.skip.get(table, ())]

    def rows_as_text(self, table, where=""):
        schema, name = self.split(table)
        return self.norm.rows_as_text(self.database.server, schema, name, where, self.columns(table))


def printed(server, place):
    """What mysqlbinlog says of the log from (file, offset) on."""
    files = [p for p in server.binlogs() if p.name >= place[0]]
    return subprocess.run([mysql.mysqlbinlog(server), "--no-defaults", "-vv", "--base64-output=decode-rows",
                           f"--start-position={place[1]}", *files], check=True, stdout=subprocess.PIPE).stdout


def compare_printed(db, agent, place, out):
    """Operation, table and order of all changes."""
    plain = {r[0] for r in db.sql("select table_name from information_schema.tables where engine in ('MyISAM', 'Aria')"
                                  " and table_schema = %s", (db.name,))}
    unread = {*SEQUENCES, *refused_tables(db.server)}
    want = mysql_printed.changes(printed(db.server, place), plain, unread)
    want = [c.what for c in want if c.db in (db.name, f"{db.name}_other") and c.table not in unread]
    got = [w for w in delivered(agent) if w[2] not in unread]
    out.changes = len(want)
    for i, (w, g) in enumerate(itertools.zip_longest(want, got)):
        if w != g:
            out.bad.append(f"change {i} of {len(want)} is {w} in mysqlbinlog, {g} in the files")
            break


def delivered(agent):
    """(op, db, table) of all records in the files, in the order of the log; a change of key is one."""
    lake, found = judge.Lake(agent.lake), []
    for table in lake.tables():
        db, _, name = table.partition(".")
        last = None
        for at, r in judge.judge_file_order(lake, table, judge.Complaints()):
            if r["op"] == "c" and last == (at, "d"):
                found[-1] = (at, ("u", db, name))
            elif r["op"] != "t":
                found.append((at, (r["op"], db, name)))
            last = at, r["op"]
    return [what for _, what in sorted(found)]


# --- the verdict

def verdict(case, variant, out):
    """Complaints: an outcome that is neither right nor a refusal that had to be."""
    must, may = STOPS.get(case.name), MAY.get(case.name)
    if out.refused:
        return [] if any(w and w in out.refused for w in (must, may)) else [f"stopped: {out.refused}"]
    if must:
        return ["was not refused", *out.bad]
    named = [f"{t} is to be loaded again: {why}" for t, why in out.named.items()
             if not case.name.startswith("ddl") and t.partition(".")[2] not in RELOADED.get(case.name, ())]
    return out.bad + named
