"""Compares targets with the source and reports every lost, doubled, torn or misordered change.

Each judge gives a list of complaints; an empty list is a pass.  `judge_*` functions know only
INTERFACE.md and use independent readers: Python's sqlite3 and fastavro.
"""
import json
import re
import sqlite3
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import fastavro

from . import normal

MAX_COMPLAINTS = 20


class Complaints(list):
    def add(self, text):
        if len(self) < MAX_COMPLAINTS:
            self.append(text)
        elif len(self) == MAX_COMPLAINTS:
            self.append("... and more")


class PostgresSource:
    """What a judge asks of a source; judge_mysql.Source is the other."""
    norm = normal
    has_txid = True
    manifest = "public.tx_manifest"

    def __init__(self, conn):
        self.conn = conn

    def columns(self, table):
        return normal.columns(self.conn, table)

    def rows_as_text(self, table, where=""):
        return normal.rows_as_text(self.conn, table, where)

    def key_names(self, table):
        return key_names(self.conn, table)

    def query(self, text):
        return self.conn.execute(text).fetchall()


def source_of(conn):
    """A psycopg connection may be given for a source."""
    return conn if hasattr(conn, "rows_as_text") else PostgresSource(conn)


# --- SQLite

def sqlite_open(path):
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)


def sqlite_rows(path, table, names):
    c = sqlite_open(path)
    try:
        quoted = ", ".join('"' + n.replace('"', '""') + '"' for n in names)
        return c.execute(f'select {quoted} from "{table}"').fetchall()
    finally:
        c.close()


def target_name(table):
    """{table} of schema.table, without quotes."""
    return table.split(".")[-1].strip('"')


def freeze(value):
    return tuple(freeze(v) for v in value) if isinstance(value, (list, tuple)) else (type(value).__name__, value)


def judge_sqlite(conn, path, tables, where=""):
    """Row by row: source tables against the sqlite sink's copy."""
    bad, compared, source = Complaints(), {}, source_of(conn)
    norm = source.norm
    for table in tables:
        cols = source.columns(table)
        want = Counter(freeze([norm.sqlite_value(c, v) for c, v in zip(cols, row)])
                       for row in source.rows_as_text(table, where))
        try:
            rows = sqlite_rows(path, target_name(table), [c.name for c in cols])
        except sqlite3.OperationalError as e:
            if want or "no such table" not in str(e):
                bad.add(f"{table}: {e}")
            rows = []
        have = Counter(freeze([norm.sqlite_seen(c, v) for c, v in zip(cols, row)]) for row in rows)
        for row in want - have:
            bad.add(f"{table}: missing in the copy: {thaw(row)}")
        for row in have - want:
            bad.add(f"{table}: only in the copy: {thaw(row)}")
        compared[table] = sum(want.values())
    return bad, compared


def thaw(row):
    return str([v[1] if v and isinstance(v[0], str) else v for v in row])[:400]


def judge_sqlite_invariants(path, writers=None):
    """What must hold of the copy at any instant, whatever the source has gone on to do (workload.py)."""
    bad = Complaints()
    c = sqlite_open(path)
    try:
        c.execute("begin")
        have = {r[0] for r in c.execute("select name from sqlite_master where type = 'table'")}
        if "tx_manifest" not in have:
            return bad
        for writer, n, last in c.execute("select writer, count(*), max(seq) from tx_manifest group by writer"):
            if n != last:
                bad.add(f"writer {writer}: {n} transactions in the copy, the last has number {last}")
        if "stock_moves" in have:
            moves = c.execute("select coalesce(sum(moves), 0) from tx_manifest").fetchone()[0]
            rows = c.execute("select count(*) from stock_moves").fetchone()[0]
            if moves != rows:
                bad.add(f"manifest speaks of {moves} stock moves, the copy has {rows}: a torn transaction")
            sums = defaultdict(Decimal)
            for warehouse, sku, qty in c.execute("select warehouse, sku, qty from stock_moves"):
                sums[warehouse, sku] += Decimal(qty)
            for warehouse, sku, qty in c.execute("select warehouse, sku, qty from stock"):
                if sums[warehouse, sku] != Decimal(qty):
                    bad.add(f"stock of {warehouse}/{sku} is {qty}, its moves sum to {sums[warehouse, sku]}")
        if "orders" in have and "order_lines" in have:
            for order, lines, n in c.execute(
                    "select id, lines, (select count(*) from order_lines l where l.order_id = o.id) n"
                    " from orders o where lines <> n"):
                bad.add(f"order {order} says {lines} lines, the copy has {n}")
    finally:
        c.close()
    return bad


# --- Avro files

POSITION = re.compile(r"^(\d+)/(\d+)/([0-9A-F]+)/(\d+)$")


def position(text):
    m = POSITION.match(text)
    if not m:
        raise ValueError(f"not a position: {text!r}")
    return int(m[1]), int(m[2]), int(m[3], 16), int(m[4])


class Lake:
    """The final files of one files sink."""

    def __init__(self, path):
        self.path = Path(path)

    def manifest(self):
        found = list((self.path / "_tailrace").glob("*.json"))
        return json.loads(found[0].read_text()) if found else None

    def folders(self, table):
        return sorted((self.path / table).glob("v*"), key=lambda p: int(p.name[1:]))

    def files(self, table=None):
        """Final files, per table in the order of their names whatever the version."""
        pattern = f"{table or '*'}/v*/*.avro"
        return sorted(self.path.glob(pattern), key=lambda p: (p.parent.parent.name, p.name))

    def leftovers(self):
        return list(self.path.rglob("*.tmp"))

    def schema(self, path):
        with open(path, "rb") as f:
            return json.loads(fastavro.reader(f).metadata["avro.schema"])

    def read(self, path):
        """(metadata, records) of one file."""
        with open(path, "rb") as f:
            r = fastavro.reader(f)
            return r.metadata, list(r)

    def records(self, table):
        """All records of schema.table in file order."""
        return [rec for path in self.files(table) for rec in self.read(path)[1]]

    def tables(self):
        return sorted(p.name for p in self.path.iterdir() if p.is_dir() and p.name != "_tailrace")


def key_of(image, names):
    return tuple(freeze(image[n]) for n in names)


def key_names(conn, table):
    return [r[0] for r in conn.execute(
        "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
        " where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)",
        (table,)).fetchall()]


def judge_file_order(lake, table, bad):
    """Positions within a table's files; a change of key is the one that stands twice (d, then c)."""
    last, last_op, out = (0, 0, 0, 0), None, []
    for path in lake.files(table):
        meta, records = lake.read(path)
        if not records:
            bad.add(f"{path.name}: no records")
            continue
        first = records[0]["source"]["position"]
        if meta.get("tailrace.first", "").strip() != first:
            bad.add(f"{path.name}: tailrace.first is {meta.get('tailrace.first')!r}, its first record is at {first}")
        if meta.get("tailrace.last", "").strip() != records[-1]["source"]["position"]:
            bad.add(f"{path.name}: tailrace.last is {meta.get('tailrace.last')!r},"
                    f" its last record is at {records[-1]['source']['position']}")
        e, f, o, r = position(first)
        if not path.stem.endswith(f"-{e:02x}-{f:06x}-{o:016x}-{r:016x}"):
            bad.add(f"{path.name}: does not carry its first position {first}")
        for rec in records:
            at = position(rec["source"]["position"])
            if at < last or (at == last and not (last_op == "d" and rec["op"] == "c")):
                bad.add(f"{path.name}: {rec['op']} at {rec['source']['position']} stands after {last_op} at {last}")
            last, last_op = at, rec["op"]
            out.append((at, rec))
    return out


def judge_replay(conn, table, records, bad):
    """Apply the records in order to an empty table: every insert must find no row, every update and
    delete one; the result must be the source's.  Until the last row of a snapshot has come, updates and deletes
    may meet rows that are not loaded yet, and rows may be loaded that stand there already."""
    source = source_of(conn)
    cols, names = source.columns(table), source.key_names(table)
    rows, moved_at, moved = {}, None, {}
    loaded = max((i for i, (_, rec) in enumerate(records) if rec["op"] == "r"), default=-1)
    for i, (at, rec) in enumerate(records):
        loading = i <= loaded
        op, after = rec["op"], rec["after"]
        if op == "t":
            rows.clear()
            continue
        if op == "d":
            moved_at, moved = at, rows.pop(key_of(rec["before"], names), None)
            if moved is None and not loading:
                bad.add(f"{table}: delete at {at} of a row that is not there")
            continue
        key = key_of(after, names)
        if op == "c" and key in rows:
            bad.add(f"{table}: insert at {at} of a row that is there already")
        if op == "u" and key not in rows and not loading:
            bad.add(f"{table}: update at {at} of a row that is not there")
        old = rows.get(key) or (moved if at == moved_at else None) or {}
        rows[key] = {**after, **{n: old.get(n) for n in rec["absent"] or ()}}
    want = {}
    for row in source.rows_as_text(table):
        values = {c.name: source.norm.avro_value(c, v) for c, v in zip(cols, row)}
        want[key_of(values, names)] = values
    for key in want.keys() - rows.keys():
        bad.add(f"{table}: lost: {key}")
    for key in rows.keys() - want.keys():
        bad.add(f"{table}: should be gone: {key}")
    for key in want.keys() & rows.keys():
        for c in cols:
            if not normal.same(want[key][c.name], rows[key].get(c.name)):
                bad.add(f"{table} {key}: {c.name} is {rows[key].get(c.name)!r} in the files,"
                        f" {want[key][c.name]!r} in the source")
    return len(want)


def judge_transactions(conn, by_table, bad):
    """The workload's manifest against the files: each transaction once, whole, in its writer's order.  Those that
    committed before the first start are rows of the snapshot: they have no transaction to be judged."""
    positions, rows_of = defaultdict(set), {}
    for table, records in by_table.items():
        for at, rec in records:
            if at in rows_of and rows_of[at] != table:
                bad.add(f"{at} stands for {table} and {rows_of[at]}")
            rows_of[at] = table
            if rec["op"] != "r":
                positions[at[:3]].add(at[3])
    source = source_of(conn)
    read = {(rec["after"]["writer"], rec["after"]["seq"]) for _, rec in by_table[source.manifest] if rec["op"] == "r"}
    seen, last = {}, defaultdict(int)
    for at, rec in by_table[source.manifest]:       # what streamed follows what was there
        if rec["op"] != "r" and rec["after"]["writer"] not in last:
            last[rec["after"]["writer"]] = rec["after"]["seq"] - 1
    for writer in last:
        for seq in range(1, last[writer] + 1):
            if (writer, seq) not in read:
                bad.add(f"writer {writer}: transaction {seq} is neither loaded nor streamed")
    per_transaction = Counter()
    for at, rec in by_table[source.manifest]:
        row = rec["after"]
        if rec["op"] == "r":
            continue
        per_transaction[at[:3]] += 1
        if row["seq"] != last[row["writer"]] + 1:
            bad.add(f"writer {row['writer']}: transaction {row['seq']} stands after {last[row['writer']]}")
        last[row["writer"]] = row["seq"]
        if (row["writer"], row["seq"]) in seen:
            bad.add(f"writer {row['writer']}: transaction {row['seq']} stands twice")
        seen[row["writer"], row["seq"]] = True
        have = len(positions[at[:3]]) - 1
        if have != row["n_changes"]:
            bad.add(f"writer {row['writer']} transaction {row['seq']}: {have} of {row['n_changes']} changes")
        if source.has_txid and rec["source"]["txId"] != row["txid"] % 2**32:
            bad.add(f"writer {row['writer']} transaction {row['seq']}: txId {rec['source']['txId']}, not {row['txid']}")
    for transaction, n in per_transaction.items():
        if n != 1:
            bad.add(f"transaction at {transaction} has {n} manifest rows")
    for transaction in positions.keys() - per_transaction.keys():
        bad.add(f"transaction at {transaction} has no manifest row")
    want = {tuple(r) for r in source.query("select writer, seq from tx_manifest")}
    for writer, seq in want - seen.keys() - read:
        bad.add(f"writer {writer}: transaction {seq} is lost")
    for writer, seq in (seen.keys() | read) - want:
        bad.add(f"writer {writer}: transaction {seq} was never committed")
    return len(seen)


def judge_files(conn, path, tables, transactions=True):
    """A files sink's lake against the source, for tables (schema.table) that were empty when the
    pipeline began.  `transactions`: the workload's manifest is among them."""
    bad, lake, counts = Complaints(), Lake(path), {}
    by_table = {t: judge_file_order(lake, t, bad) for t in tables}
    for table, records in by_table.items():
        counts[table] = judge_replay(conn, table, records, bad)
    if transactions:
        judge_transactions(conn, by_table, bad)
    for left in lake.leftovers():
        bad.add(f"left behind: {left}")
    m = lake.manifest()
    if m is None:
        bad.add("no manifest")
    elif any(not (lake.path / f["name"]).exists() for f in m["files"]):
        bad.add("the manifest lists files that are not there")
    return bad, counts
