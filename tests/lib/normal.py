"""What a source value must look like in a target, by the tables of INTERFACE.md.

The truth is the text of the source's own output functions under pinned settings (rows_as_text).
From it and the column's type follow the value that SQLite must hold and the one that fastavro must
read.
"""
import base64
import datetime
import decimal
import json
import math
import re
import struct
import uuid

from psycopg import sql

PINNED = ("set datestyle = 'ISO, MDY'", "set intervalstyle = 'iso_8601'", "set timezone = 'UTC'",
          "set extra_float_digits = 3", "set bytea_output = 'hex'", "set lc_monetary = 'C'")


class Column:
    def __init__(self, name, type_name, typmod, kind, element, base):
        self.name, self.type, self.typmod = name, type_name, typmod
        self.kind = kind            # pg_type.typtype of the base type
        self.element = element      # element type of an array, or None
        self.base = base            # whether `type` was reached through domains

    @property
    def precision(self):
        """(precision, scale) of numeric(p,s), or None."""
        if self.type != "numeric" or self.typmod < 0:
            return None
        precision, scale = (self.typmod - 4) >> 16 & 0xFFFF, (self.typmod - 4) & 0x7FF
        scale = (scale ^ 1024) - 1024
        return (precision, scale) if 0 <= scale <= precision else None


COLUMNS = """
with recursive c as (
    select a.attnum, a.attname, a.atttypid as typ, a.atttypmod as typmod, false as base
    from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
    union all
    select c.attnum, c.attname, t.typbasetype, case when c.typmod = -1 then t.typtypmod else c.typmod end, true
    from c join pg_type t on t.oid = c.typ where t.typtype = 'd')
select c.attname, t.typname, c.typmod, t.typtype, e.typname, c.base
from c join pg_type t on t.oid = c.typ
left join pg_type e on e.oid = t.typelem and t.typlen = -1 and t.typcategory = 'A'
where t.typtype <> 'd' order by c.attnum"""


def columns(conn, table):
    return [Column(*row) for row in conn.execute(COLUMNS, (table,)).fetchall()]


def rows_as_text(conn, table, where=""):
    """Rows of a table as tuples of the output functions' text."""
    with conn.transaction():
        for s in PINNED:
            conn.execute(s.replace("set ", "set local ", 1))
        with conn.cursor() as cur:
            with cur.copy(sql.SQL("copy (select * from {} {}) to stdout").format(
                    sql.SQL(table), sql.SQL(where))) as copy:
                return [tuple(None if v is None else v for v in row) for row in copy.rows()]


YEAR = re.compile(r"^(\d{4})-\d\d-\d\d")


def representable(column, text):
    """Whether the column's Avro type can hold the value exactly."""
    if text is None:
        return True
    t = column.type
    if column.element:
        return array_flat(text)
    if t in ("date", "timestamp", "timestamptz"):
        return bool(YEAR.match(text)) and not text.endswith("BC") and not text.startswith("0000")
    if t == "time":
        return text != "24:00:00"
    if t == "numeric" and column.precision:
        return text not in ("NaN", "Infinity", "-Infinity")
    return True


def array_flat(text):
    return text.startswith("{") and not re.match(r'^\{\s*\{', text)


def fraction(text):
    """HH:MM:SS[.f] with six digits."""
    whole, _, part = text.partition(".")
    return f"{whole}.{part:0<6}"


def array_elements(text, delimiter=","):
    """The elements of a one-dimensional array's text; None for NULL."""
    out, i, inner = [], 1, text[1:-1]
    if inner == "":
        return out
    while i <= len(text) - 1:
        if text[i] == '"':
            value, i = [], i + 1
            while text[i] != '"':
                if text[i] == "\\":
                    i += 1
                value.append(text[i])
                i += 1
            out.append("".join(value))
            i += 2
        else:
            end = i
            while end < len(text) - 1 and text[end] != delimiter:
                end += 1
            word = text[i:end]
            out.append(None if word == "NULL" else word)
            i = end + 1
    return out


INTEGERS = ("int2", "int4", "int8", "oid")


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def element_column(column):
    return Column(column.name, column.element, column.typmod, "b", None, False)


def sqlite_value(column, text):
    """What the sqlite sink must store."""
    if text is None or not representable(column, text):
        return None
    t = column.type
    if column.element:
        return [in_json(sqlite_value(element_column(column), e)) for e in array_elements(text)]
    if t == "bool":
        return int(text == "t")
    if t in INTEGERS:
        return int(text)
    if t in ("float4", "float8"):
        value = float(text)
        if not math.isfinite(value):
            return text
        return float32(value) if t == "float4" else value
    if t == "bytea":
        return bytes.fromhex(text[2:])
    if t == "time":
        return fraction(text)
    if t == "timestamp":
        return fraction(text)
    if t == "timestamptz":
        return fraction(text.removesuffix("+00")) + "+00:00"
    return text


def in_json(value):
    """Bytes stand in JSON as base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def sqlite_seen(column, value):
    """A value read from SQLite in the shape of sqlite_value()."""
    if column.element and value is not None:
        return [scalar_from_json(column.element, v) for v in json.loads(value)]
    if column.type == "float4" and isinstance(value, float):
        return float32(value)
    return value


def scalar_from_json(element, value):
    if value is None:
        return None
    if element == "bool":
        return int(value)
    if element in ("float4", "float8") and isinstance(value, (int, float)):
        return float32(float(value)) if element == "float4" else float(value)
    return value


EPOCH = datetime.datetime(1970, 1, 1)


def avro_value(column, text):
    """What fastavro must read from the image."""
    if text is None or not representable(column, text):
        return None
    t = column.type
    if column.element:
        return [avro_value(element_column(column), e) for e in array_elements(text)]
    if t == "bool":
        return text == "t"
    if t in INTEGERS:
        return int(text)
    if t in ("float4", "float8"):
        value = float(text)
        return float32(value) if t == "float4" else value
    if t == "bytea":
        return bytes.fromhex(text[2:])
    if t == "numeric":
        return decimal.Decimal(text) if column.precision else text
    if t == "uuid":
        return uuid.UUID(text)
    if t == "date":
        return datetime.date.fromisoformat(text)
    if t == "time":
        return datetime.time.fromisoformat(fraction(text))
    if t == "timestamp":
        return datetime.datetime.fromisoformat(fraction(text))
    if t == "timestamptz":
        return datetime.datetime.fromisoformat(fraction(text.removesuffix("+00")) + "+00:00")
    return text


def same(a, b):
    """Equality under which NaN equals itself and types count."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return type(a) is type(b) and a == b
