"""What a value of MySQL or MariaDB must look like in a target, by the tables of INTERFACE.md.

The truth is the server's own SELECT under pinned settings (rows_as_text): text as
CONVERT(... USING utf8mb4), FLOAT as the DOUBLE it is, TIMESTAMP in UTC, bytes in hex.  From that text
and the column's type follow the value that SQLite must hold and the one that fastavro must read.
"""
import contextlib
import datetime
import decimal
import re
import struct
import uuid

from .mysql import quote
from .normal import float32, fraction

PINNED = ("set time_zone = '+00:00'", "set sql_mode = ''", "set names utf8mb4")

INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
FLOATS = ("float", "double")
TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
GEOMETRIES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
              "multipolygon", "geometrycollection", "geomcollection")
ADDRESSES = ("uuid", "inet4", "inet6")


class Column:
    def __init__(self, name, type_name, full, charset, collation, nullable, extra, key, precision, scale):
        self.name = name
        self.type = type_name.lower()           # int, varchar ...
        self.full = full                        # int(10) unsigned, enum('a','b') ...
        self.charset, self.collation = charset, collation
        self.nullable, self.extra, self.key = nullable, extra, key
        self.precision, self.scale = precision, scale
        self.unsigned = "unsigned" in full.lower().split("(")[-1] if self.type in (*INTEGERS, *FLOATS, "decimal") else False

    @property
    def bits(self):
        return int(re.search(r"\((\d+)\)", self.full)[1])


COLUMNS = """
select column_name, data_type, column_type, character_set_name, collation_name, is_nullable, extra, column_key,
       numeric_precision, numeric_scale
from information_schema.columns where table_schema = %s and table_name = %s order by ordinal_position"""


def columns(conn, schema, table):
    with conn.cursor() as cur:
        cur.execute(COLUMNS, (schema, table))
        return [Column(r[0], text(r[1]), text(r[2]), r[3], r[4], r[5] == "YES", r[6], r[7], r[8], r[9])
                for r in cur.fetchall()]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def key_names(conn, schema, table):
    with conn.cursor() as cur:
        cur.execute("select column_name from information_schema.statistics where table_schema = %s and"
                    " table_name = %s and index_name = 'PRIMARY' order by seq_in_index", (schema, table))
        return [r[0] for r in cur.fetchall()]


def expression(column):
    """What is selected for the column: never anything that depends on the session."""
    name = quote(column.name)
    if column.type in TEXTS:
        return f"hex(convert({name} using utf8mb4))"
    if column.type in ADDRESSES:
        return f"hex(convert(cast({name} as char) using utf8mb4))"
    if column.type in FLOATS:
        return f"{name} * 1e0"
    if column.type == "bit":
        return f"{name} + 0"
    if column.type in (*BYTES, *GEOMETRIES, "vector"):
        return f"hex({name})"
    return name


@contextlib.contextmanager
def pinned(server):
    """A connection whose answers are text as the server sent it."""
    with contextlib.closing(server.connect(conv={})) as c, c.cursor() as cur:
        for s in PINNED:
            cur.execute(s)
        yield cur


def rows_as_text(server, schema, table, where="", cols=None):
    """Rows of a table as tuples of text: strings in UTF-8, bytes (geometry: SRID and WKB) in hex, FLOAT
    and DOUBLE as the shortest text of the double, BIT as its number; NULL is None."""
    if cols is None:
        with contextlib.closing(server.connect()) as c:
            cols = columns(c, schema, table)
    with pinned(server) as cur:
        what = ", ".join(expression(c) for c in cols)
        cur.execute(f"select {what} from {quote(schema)}.{quote(table)} {where}")
        return [tuple(printed(c, v) for c, v in zip(cols, row)) for row in cur.fetchall()]


def printed(column, value):
    if value is None:
        return None
    value = text(value)
    if column.type in (*TEXTS, *ADDRESSES):
        return bytes.fromhex(value).decode(errors="replace")     # halves of characters that UCS-2 may hold
    if column.type in FLOATS:
        return repr(float(value))
    if column.type in (*INTEGERS, "year"):
        return str(int(value))              # without what ZEROFILL adds
    if column.type == "decimal":
        return plain_decimal(value)
    return value


def plain_decimal(value):
    """Without the zeros that ZEROFILL puts in front."""
    sign, digits = ("-", value[1:]) if value.startswith("-") else ("", value)
    whole, dot, part = digits.partition(".")
    return sign + (whole.lstrip("0") or "0") + dot + part


# --- targets

DATE = re.compile(r"^(\d{4})-(\d\d)-(\d\d)")
TIME = re.compile(r"^(\d\d):\d\d:\d\d")


def representable(column, value):
    """Whether the column's Avro type can hold the value exactly."""
    if value is None:
        return True
    if column.type in ("date", "datetime", "timestamp"):
        m = DATE.match(value)
        try:
            datetime.date(int(m[1]), int(m[2]), int(m[3]))  # no zero, partial or impossible date, no year 0
        except ValueError:
            return False
    if column.type == "time":
        m = TIME.match(value)
        return bool(m) and int(m[1]) < 24
    return True


def ewkb(stored):
    """INTERFACE.md: what the server stores is SRID, WKB.  An SRID that is not 0 goes into the WKB, as PostGIS has it."""
    srid, wkb = stored[:4], stored[4:]
    if srid == b"\0\0\0\0":
        return wkb
    order = "<I" if wkb[0] else ">I"
    kind, number = struct.unpack(order, wkb[1:5])[0], struct.unpack("<I", srid)[0]
    return wkb[:1] + struct.pack(order, kind | 0x20000000) + struct.pack(order, number) + wkb[5:]


def octets(column, value):
    """The bytes of a value that is printed in hex."""
    raw = bytes.fromhex(value)
    return ewkb(raw) if column.type in GEOMETRIES else raw


def sqlite_value(column, value):
    """What the sqlite sink must store."""
    if value is None or not representable(column, value):
        return None
    t = column.type
    if t == "bigint" and column.unsigned:
        return value
    if t in (*INTEGERS, "year"):
        return int(value)
    if t in FLOATS:
        return float(value)
    if t == "bit":
        return int(value) if column.bits == 1 else int(value).to_bytes((column.bits + 7) // 8, "big")
    if t in (*BYTES, *GEOMETRIES, "vector"):
        return octets(column, value)
    if t in ("time", "datetime"):
        return fraction(value)
    if t == "timestamp":
        return fraction(value) + "+00:00"
    return value


def sqlite_seen(column, value):
    """A value read from SQLite in the shape of sqlite_value()."""
    return float32(value) if column.type == "float" and isinstance(value, float) else value


def avro_value(column, value):
    """What fastavro must read from the image."""
    if value is None or not representable(column, value):
        return None
    t = column.type
    if t == "bigint" and column.unsigned or t == "decimal":
        return decimal.Decimal(value)
    if t == "bit" and column.bits == 1:
        return value == "1"
    if t == "uuid":
        return uuid.UUID(value)
    if t == "date":
        return datetime.date.fromisoformat(value)
    if t == "time":
        return datetime.time.fromisoformat(fraction(value))
    if t == "datetime":
        return datetime.datetime.fromisoformat(fraction(value))
    if t == "timestamp":
        return datetime.datetime.fromisoformat(fraction(value) + "+00:00")
    return sqlite_value(column, value)


def tables(conn, schema):
    """The base tables of a database, by name."""
    with conn.cursor() as cur:
        cur.execute("select table_name from information_schema.tables where table_schema = %s and"
                    " table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name", (schema,))
        return [r[0] for r in cur.fetchall()]
