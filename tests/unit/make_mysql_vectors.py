#!/usr/bin/env python3
"""Makes mysql_vectors.h: table maps and rows of real servers, with what their SELECT says of each value.

    build/venv/bin/python tests/unit/make_mysql_vectors.py [SERVER...]

For each type: a table with one column, rows inserted by one statement, its events taken from the binlog file, the
column's row of information_schema, and the values as the server prints them.  Types that a server does not have are
left out; what an earlier server of the family said already, byte for byte, is not repeated.  Then JSON documents changed under
binlog_row_value_options = PARTIAL_JSON.
"""
import contextlib
import datetime
import re
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import pymysql  # noqa: E402
from lib import mysql  # noqa: E402

OUT = Path(__file__).parent / "mysql_vectors.h"
SERVERS = ["mysql9.7", "mariadb11.8", "mysql8.0", "mysql8.0.15", "mysql5.7", "mysql5.6", "mariadb10.11", "mariadb10.1"]
TABLE_MAP, FORMAT, PARTIAL = 19, 15, 39
WRITE = (23, 30)


def integers(bits, unsigned):
    if unsigned:
        return [0, 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2 ** bits - 1, None]
    return [0, 1, -1, 2 ** (bits - 1) - 1, -2 ** (bits - 1), 100, -100]


def quoted(values):
    return ["'" + str(v).replace("\\", "\\\\").replace("'", "''") + "'" for v in values]


CLOCKS = ["00:00:00", "23:59:59.999999", "12:34:56.789", "01:02:03.1", "00:00:00.000001", "24:00:00", "100:00:00",
          "838:59:59", "-00:00:01", "-00:00:00.1", "-00:00:00.000001", "-12:34:56.789012", "-838:59:59", "-01:00:00.5"]
DATES = ["1970-01-01", "2000-02-29", "1900-02-28", "1900-03-01", "2024-12-31", "0001-01-01", "9999-12-31", "1000-01-01",
         "0000-00-00", "2024-00-15", "2024-02-00", "2024-02-30", "0003-00-00", "0000-01-01", "1969-12-31"]
MOMENTS = [f"{d} {t}" for d, t in zip(DATES, ["00:00:00", "23:59:59.999999", "12:34:56.789", "01:02:03.1"] * 4)] + [
    "0003-00-00 00:00:01", "0000-00-00 00:00:00.5"]
STAMPS = ["1970-01-01 00:00:01", "2038-01-19 03:14:07", "2024-06-30 12:34:56.789012", "0000-00-00 00:00:00",
          "2001-09-09 01:46:40.5", "1970-01-01 00:00:01.000001"]
DECIMALS = ["0", "1", "-1", "0.01", "-0.01", "0.1", "1.27", "1.28", "-1.28", "-1.29", "12.34", "327.68", "-327.69",
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "123456789.987654321", "-1000000000.000000001", "0.000000000000000000000000000001", "9e63", "-9e63"]
FLOATS = ["0", "-0.0", "1", "-1", "0.1", "1.5", "1e-5", "123456", "3.14159265", "1.1754944e-38", "3.4028235e38", "16777217"]
DOUBLES = FLOATS + ["1.7976931348623157e308", "1e22", "9007199254740993", "0.30000000000000004"]
BLOBS = ["''", "'a'", "x'00'", "x'0000ff00'", "x'80ff'", "'ends in blanks  '", "repeat('x', 255)", "repeat('y', 256)"]
SHAPES = ["st_geomfromtext('point(1 2)')", "st_geomfromtext('linestring(0 0, 1 1.5)')",
          "st_geomfromtext('polygon((0 0,0 1,1 1,0 0))')", "st_geomfromtext('geometrycollection(point(1 2))')",
          "st_geomfromtext('multipoint(1 2, 3 4)')", "st_geomfromtext('point(10 20)', 4326)", "null"]
TEXTS = ["''", "'a'", "'blanks  '", "'quote \\\\ '''", "'line\\nbreak'"]
WORDS = {  # for each set something that only its own table gets right
    "utf8mb4": "Grüße 日本語 😀 Ελλάς", "utf8mb3": "Grüße 日本語 Ελλάς", "latin1": "Grüße € Œuvre", "latin2": "Łódź čřž",
    "ascii": "plain", "cp1250": "Łódź čřž €", "cp1251": "Привет №", "koi8r": "Привет ёЁ", "koi8u": "Привіт ґ",
    "cp866": "Привет", "greek": "Ελλάς", "hebrew": "שלום", "cp1256": "سلام", "cp1257": "Ąžuolas", "latin5": "İstanbul ş",
    "latin7": "Ąžuolas", "tis620": "สวัสดี", "armscii8": "Հայ", "geostd8": "გამა", "macroman": "Grüße ∞", "macce": "Łódź",
    "cp850": "Grüße ╬", "cp852": "Łódź", "dec8": "Grüße", "hp8": "Grüße", "swe7": "åäö ÅÄÖ", "keybcs2": "čřž",
    "big5": "中文字", "gbk": "中文字 €", "gb2312": "中文字", "gb18030": "中文字 😀 ḿ", "sjis": "日本語 ｱｲｳ 表", "cp932": "日本語 ｱｲｳ ①髙",
    "ujis": "日本語 ｱｲｳ 丂", "eucjpms": "日本語 ①髙", "euckr": "한국어 뷁", "ucs2": "Grüße 日本語", "utf16": "日本語 😀",
    "utf16le": "日本語 😀", "utf32": "日本語 😀",
}
JSONS = ["null", "true", "false", "0", "-1", "32767", "-32768", "32768", "65535", "65536", "2147483647", "-2147483649",
         "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1.0", "-0.0", "0.1", "1e20", "1e15",
         "123456789012345.6", "1e14", "1.5e-7", "1e-14", "1e-15", "1e-16", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "1e100", "123.456e-20", "5.334411546303884e241", "-1089634240258607.9", "1e23", "9.5367431640625e-7",
         "3.141592653589793", "1e16", "100000000000000000000.5", '""', '"a\\"b\\\\c/d\\b\\t\\n\\f\\r\\u0001\\u001f\\u007f"',
         '"Grüße 日本語 😀"', "[]", "{}", "[[], {}, [1, [2, [3]]]]", '{"b": 1, "a": 2, "aa": 3, "": 4, "B": {"x": null}}',
         "[1, -2, 3.5, true, null, \"x\", 70000, 5000000000]", '"' + "x" * 130 + '"', '{"ключ": "значение"}',
         '{"a": {"a": {"a": {"a": [{"a": 1}]}}}}', "[" + ", ".join(str(i) for i in range(40)) + "]"]
OPAQUES = ["cast(cast('12.345' as decimal(10,3)) as json)", "cast(cast('-0.5' as decimal(3,3)) as json)",
           "cast(cast('0' as decimal(5,0)) as json)", "cast(cast('2024-02-29' as date) as json)",
           "cast(cast('12:34:56.789' as time(3)) as json)", "cast(cast('-838:59:59' as time) as json)",
           "cast(cast('2024-02-29 12:34:56.000001' as datetime(6)) as json)",
           "cast(cast('2024-02-29 12:34:56' as datetime) as json)",
           "json_array(x'00ff', b'101', cast('abc' as binary))", "cast(x'00112233445566778899' as json)",
           "cast(repeat('x', 100) as json)", "json_array(cast(repeat('z', 100) as binary))",
           "cast(timestamp('2024-02-29 12:34:56.5') as json)", "cast(cast(2024 as year) as json)",
           "json_array(st_geomfromtext('point(1 2)'), 99999999999999999999.5, 1e0, 0.10)"]

# (column type, SQL of the values, how it is printed)
TYPES = []
for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
    for sign in ("", " unsigned"):
        TYPES.append((name + sign, ["null" if v is None else str(v) for v in integers(bits, sign)], "text"))
TYPES += [
    ("tinyint(1)", ["0", "1", "-128", "127"], "text"), ("int(5) zerofill", ["0", "7", "4294967295"], "number"),
    ("boolean", ["true", "false", "null"], "text"), ("year", ["1901", "2155", "0", "2024", "1970"], "text"),
    ("float", FLOATS, "double"), ("double", DOUBLES, "double"), ("float(7,3)", ["1234.567", "-0.001"], "double"),
    ("float unsigned", ["1.5", "3.4028235e38"], "double"), ("double(10,2) unsigned", ["12345678.91"], "double"),
    ("bit(1)", ["0", "1", "null"], "number"),
    *[(f"bit({n})", ["0", "1", f"{2 ** n - 1}", f"{2 ** (n - 1)}"], "bits") for n in (2, 7, 8, 9, 16, 17, 33, 63, 64)],
    *[(f"decimal({p},{s})", quoted(DECIMALS), "text") for p, s in
      ((5, 2), (10, 0), (9, 9), (18, 0), (18, 9), (18, 4), (19, 10), (38, 10), (65, 0), (65, 30), (30, 30), (1, 0), (4, 4))],
    ("decimal(10,2) unsigned", ["0", "99999999.99", "0.05"], "text"),
    *[(t if n is None else f"{t}({n})", quoted(v), "text") for t, v in
      (("time", CLOCKS), ("datetime", MOMENTS), ("timestamp null", STAMPS)) for n in (None,)],
    *[(f"{t}({n}){after}", quoted(v), "text") for n in range(1, 7)
      for t, after, v in (("time", "", CLOCKS), ("datetime", "", MOMENTS), ("timestamp", " null", STAMPS))],
    ("date", quoted(DATES), "text"),
    ("enum('a','b','it''s','')", ["'a'", "'it''s'", "''", "3", "'nothing'", "null"], "text"),
    ("enum('grün','日本') character set utf8", ["'grün'", "'日本'"], "text"),
    ("enum('grün','€') character set latin1", ["1", "2"], "text"),
    ("enum('Привет','нет') character set cp1251", ["1", "2"], "text"),
    ("enum('表','日本') character set sjis", ["1", "2"], "text"),
    ("enum('中','文') character set gbk", ["1", "2"], "text"),
    ("enum('a','b') character set binary", ["1", "2"], "text"),
    ("enum(" + ",".join(f"'v{i}'" for i in range(300)) + ")", ["1", "255", "256", "300"], "text"),
    ("set('a','b','c')", ["''", "'a'", "'a,c'", "'a,b,c'", "null"], "text"),
    ("set('grün','€','ö') character set latin1", ["7", "2"], "text"),
    ("set(" + ",".join(f"'m{i}'" for i in range(9)) + ")", ["511", "256", "0"], "text"),
    ("set(" + ",".join(f"'m{i}'" for i in range(64)) + ")", ["18446744073709551615", "9223372036854775808", "1"], "text"),
    ("varbinary(16)", BLOBS[:6], "hex"), ("varbinary(255)", BLOBS[:7], "hex"), ("varbinary(256)", BLOBS, "hex"),
    ("binary(4)", ["''", "'a'", "x'00000000'", "x'01000000'", "x'00000001'", "'abcd'", "'a  '"], "hex"),
    ("binary(16)", ["x'00112233445566778899aabbccddee00'", "''"], "hex"), ("binary(255)", ["''", "repeat('x', 255)"], "hex"),
    *[(t, BLOBS, "hex") for t in ("blob", "mediumblob", "longblob")], ("tinyblob", BLOBS[:7], "hex"),
    *[(f"{t} character set utf8mb4", TEXTS + ["repeat('x', 300)"], "text") for t in ("text", "mediumtext", "longtext")],
    ("tinytext character set utf8mb4", TEXTS, "text"), ("text character set latin1", TEXTS, "text"),
    ("text character set utf16", TEXTS, "text"), ("longtext character set gbk", TEXTS, "text"),
    ("char(10) character set utf8mb4", TEXTS + ["repeat('日', 10)", "repeat('😀', 10)"], "text"),
    ("char(63) character set utf8mb4", ["repeat('😀', 63)", "'a'"], "text"),
    ("char(64) character set utf8mb4", ["repeat('😀', 64)", "'a'"], "text"),
    ("char(255) character set utf8mb4", ["repeat('😀', 255)", "'a'"], "text"),
    ("char(255) character set latin1", ["repeat('ü', 255)", "'a'"], "text"),
    ("char(255) character set utf8", ["repeat('ü', 255)", "'a'"], "text"),
    ("varchar(63) character set utf8mb4", ["repeat('😀', 63)", "'a'"], "text"),
    ("varchar(64) character set utf8mb4", ["repeat('😀', 64)", "'a'"], "text"),
    ("varchar(300) character set latin1", ["repeat('ü', 300)", "''"], "text"),
    *[(f"varchar(20) character set {cs}", [f"'{word}'", "''"], "text") for cs, word in WORDS.items()],
    *[(f"char(20) character set {cs}", [f"'{WORDS[cs]}'", "''"], "text")
      for cs in ("ucs2", "utf16", "utf32", "gbk", "sjis", "ujis", "latin1", "swe7")],
    ("varchar(20) collate utf8mb4_0900_ai_ci", ["'Grüße'"], "text"), ("varchar(20) collate utf8mb4_uca1400_ai_ci", ["'Grüße'"], "text"),
    ("varchar(20) collate latin1_swedish_nopad_ci", ["'Grüße'"], "text"),
    ("json", quoted(JSONS) + OPAQUES, "text"),
    *[(t, SHAPES, "hex") for t in ("geometry",)], ("point", SHAPES[:1], "hex"), ("geometrycollection", SHAPES[3:4], "hex"),
    ("multipolygon", ["st_geomfromtext('multipolygon(((0 0,0 1,1 1,0 0)))')"], "hex"),
    ("uuid", quoted(["123e4567-e89b-12d3-a456-426655440000", "00000000-0000-0000-0000-000000000000",
                     "ffffffff-ffff-ffff-ffff-ffffffffffff", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                     "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-61d4-0716-446655440000",
                     "00000000-0000-4000-8000-000000000000", "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
                     "320c3d4d-cc00-875b-8ec9-32d5f69181c0", "ffffffff-ffff-0fff-ffff-ffffffffffff",
                     "11111111-2222-5333-e444-555555555500"]), "text"),
    ("inet4", quoted(["0.0.0.0", "127.0.0.1", "255.255.255.255", "10.1.2.0"]), "text"),
    ("inet6", quoted(["::", "::1", "2001:db8::ff00:42:8329", "::ffff:192.0.2.128", "fe80::", "1:0:0:2::", "::192.0.2.1",
                      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1:2:3:4:5:6:7:0", "0:1::", "::2:0:0:0"]), "text"),
    ("vector(3)", ["{vector}('[1,2,3]')", "{vector}('[0,-1.5,3e10]')"], "hex"),
    ("varchar(200) compressed character set utf8mb4", ["repeat('ab', 90)", "'short ü'", "''", "repeat('日', 60)"], "text"),
    ("varchar(300) compressed character set latin1", ["repeat('abü', 90)", "'ü'"], "text"),
    ("varbinary(200) compressed", ["repeat('ab', 90)", "x'00'", "''"], "hex"),
    ("text compressed character set utf8mb4", ["repeat('abc', 3000)", "'short'", "''"], "text"),
    ("tinyblob compressed", ["repeat('a', 200)", "x'00ff'"], "hex"), ("longblob compressed", ["repeat('a', 400)", "x'00ff'"], "hex"),
]

DOCUMENT = ('{"a": 1, "name": "some text that is long enough for a partial update to pay", "list": [1, 2, 3, {"x": 5}], '
            '"nested": {"deep": {"deeper": [true, null]}}, "a b": 1.5, "q\\"uote": "x", "pad": "' + "p" * 200 + '"}')
CHANGES = ["json_set(j, '$.a', 2)", "json_replace(j, '$.name', 'short')", "json_remove(j, '$.list[1]')",
           "json_set(j, '$.list[3].x', json_object('k', 1))", "json_set(j, '$.new', 'value')", "json_set(j, '$.list[9]', 'end')",
           "json_remove(j, '$.nested.deep')", "json_set(j, '$.\"a b\"', 'blank')", "json_set(j, '$.\"q\\\\\"uote\"', 7)",
           "json_array_insert(j, '$.list[0]', 'first')", "json_array_append(j, '$.list', 4)", "json_set(j, '$.list[last]', 9)",
           "json_set(json_remove(j, '$.a'), '$.b', 1, '$.list[0]', 100)", "json_set(j, '$.nested.deep.deeper[1]', '2')",
           "json_replace(j, '$.a', cast('12.50' as decimal(5,2)), '$.name', cast('2024-01-01' as date))",
           "json_set(j, '$.x', json_array(json_object(), json_array(), null, 70000, -5, 1e300))",
           "json_set(j, '$.\"tab\\\\tkey\"', 1)", "json_set(j, '$.\"ключ\"', 'значение')"]


class Log:
    """The events of a server's binlog files."""

    def __init__(self, server):
        self.server = server
        self.events = []

    def read(self):
        self.events = []
        for path in self.server.binlogs():
            data, at = path.read_bytes(), 4
            while at < len(data):
                kind, size = data[at + 4], struct.unpack_from("<I", data, at + 9)[0]
                self.events.append((kind, data[at + 19:at + size]))
                at += size
        return self

    def format(self):
        return next(body[:-4] for kind, body in self.events if kind == FORMAT)  # has a checksum always

    def of_table(self, name, kinds):
        """(map, rows, event type) of each rows event of the table."""
        last = None
        for kind, body in self.events:
            if kind == TABLE_MAP:
                at = 8
                at += 2 + body[at]
                table = body[at + 1:at + 1 + body[at]].decode()
                # The number differs from run to run.
                last = (table, b"\1\0\0\0\0\0" + body[6:])
            elif kind in kinds and last and last[0] == name:
                yield last[1], b"\1\0\0\0\0\0" + body[6:], kind


def printed(how):
    return {"text": "hex(convert(c using utf8mb4))", "hex": "hex(c)", "number": "hex(convert(c + 0 using utf8mb4))", "bits": "hex(cast(c as binary))",
            "double": "hex(convert(c + 0e0 using utf8mb4))"}[how]


def representable(data_type, text):
    """Whether Avro holds what the server prints."""
    if data_type == "time":
        return bool(re.match(r"(0\d|1\d|2[0-3]):", text))
    if data_type in ("date", "datetime", "timestamp"):
        try:
            datetime.date.fromisoformat(text[:10])
        except ValueError:
            return False
    return True


def fill(cursor, server, table, spec):
    """Makes and fills the table of one type; its name, or None where the server lacks the type."""
    column, values, _ = spec
    vector = "vec_fromtext" if server.is_mariadb else "to_vector"
    good = []
    try:
        cursor.execute(f"create table {table} (c {column})")
    except pymysql.err.MySQLError:
        return None
    for v in values:
        v = v.replace("{vector}", vector)
        try:
            cursor.execute("begin")
            cursor.execute(f"insert into {table} values ({v})")
            good.append(v)
        except pymysql.err.MySQLError:
            pass
        cursor.execute("rollback")
    if good:
        cursor.execute(f"insert into {table} values " + ", ".join(f"({v})" for v in good))
    return table if good else None


def record(server, out, old=False):
    """The vectors of one server.  old: MariaDB's own forms of times only."""
    with contextlib.closing(server.connect("v")) as c, c.cursor() as cursor:
        cursor.execute("set sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00', names utf8mb4")
        tables = {}
        for i, spec in enumerate(TYPES):
            if old and spec[0].split("(")[0].split()[0] not in ("time", "datetime", "timestamp"):
                continue
            name = fill(cursor, server, f"{'old' if old else 't'}{i}", spec)
            if name:
                tables[name] = spec
        log = Log(server).read()
        cursor.execute("select table_name, data_type, column_type, character_set_name from information_schema.columns"
                       " where table_schema = 'v'")
        definitions = {r[0]: r[1:] for r in cursor.fetchall()}
        for name, (column, _, how) in tables.items():
            cursor.execute(f"select {printed(how)} from {name}")
            texts = [None if t is None else bytes.fromhex(t) for t, in cursor.fetchall()]
            data_type, column_type, charset = definitions[name]
            events = list(log.of_table(name, WRITE))
            if len({m for m, _, _ in events}) != 1:
                sys.exit(f"{server.id}: {column} has several table maps or none")
            marks = ["n" if t is None else "=" if representable(data_type, t.decode("latin1")) else "-" for t in texts]
            out.append((server, column, data_type, column_type, charset or "", log.format(),
                        events[0][0], [r for _, r, _ in events], list(zip(marks, [t or b"" for t in texts])),
                        events[0][2]))
            cursor.execute(f"drop table {name}")


def lenenc(data, at):
    n = data[at]
    if n < 251:
        return n, at + 1
    size = {252: 2, 253: 3, 254: 8}[n]
    return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size


def partial(server, out):
    """(document before, differences, text after) of each change that the server wrote as one."""
    with contextlib.closing(server.connect("v")) as c, c.cursor() as cursor:
        cursor.execute("set binlog_row_value_options = PARTIAL_JSON, names utf8mb4")
        cursor.execute("create table p (id int primary key, j json)")
        for i, change in enumerate(CHANGES):
            cursor.execute("insert into p values (%s, %s)", (i, DOCUMENT))
            cursor.execute(f"update p set j = {change} where id = {i}")
        cursor.execute("select id, hex(convert(j using utf8mb4)) from p")
        texts = dict(cursor.fetchall())
        for _, rows, _ in Log(server).read().of_table("p", (PARTIAL,)):
            at = 8 + struct.unpack_from("<H", rows, 8)[0] + 3  # number of columns, both bitmaps
            ident = struct.unpack_from("<I", rows, at + 1)[0]
            n = struct.unpack_from("<I", rows, at + 5)[0]
            before = rows[at + 9:at + 9 + n]
            at += 9 + n
            options, at = lenenc(rows, at)
            if not options & 1 or not rows[at] & 1:
                print(f"{server.id}: {CHANGES[ident]} was written whole", file=sys.stderr)
                continue
            n = struct.unpack_from("<I", rows, at + 6)[0]
            if any(p[2] == before and p[3] == rows[at + 10:at + 10 + n] for p in out):
                continue
            out.append((server.id, CHANGES[ident], before, rows[at + 10:at + 10 + n], bytes.fromhex(texts[ident])))


def c_str(data):
    """{ "bytes", n } of C."""
    text, octal = [], False
    for b in data:
        plain = 0x20 <= b < 0x7f and chr(b) not in '"\\?' and not (octal and chr(b).isdigit())
        text.append(chr(b) if plain else f"\\{b:03o}")
        octal = not plain
    return f'{{ "{"".join(text)}", {len(data)} }}'


def form(table_map):
    """The type and its metadata."""
    at = 8
    for _ in range(2):  # database, table
        at += 2 + table_map[at]
    return table_map[at + 1:at + 3 + table_map[at + 2]]


def cells(kind):
    """Where the rows begin in an event of one column."""
    return 12 if kind == 30 else 10


def write(vectors, partials):
    lines = ["/* Made by make_mysql_vectors.py from real servers; do not edit. */", "/* clang-format off */"]
    formats, seen, kept = {}, set(), []
    for v in vectors:
        server, key = v[0], (v[0].flavor, v[1:5], form(v[6]), tuple(r[cells(v[9]):] for r in v[7]), tuple(v[8]))
        if key not in seen:
            seen.add(key)
            formats.setdefault(server.id, v[5])
            kept.append(v)
    lines.append("static const struct { const char *server; struct str format; } formats[] = {")
    lines += [f'\t{{ "{name}", {c_str(body)} }},' for name, body in formats.items()]
    lines += ["};", "static const struct expected { char what; /* n: NULL, =: the text, -: unrepresentable */ struct str text; }"]
    for i, v in enumerate(kept):
        items = ", ".join(f"{{ '{w}', {c_str(t)} }}" for w, t in v[8])
        lines.append(f"\texpected_{i}[] = {{ {items} }}" + ("," if i < len(kept) - 1 else ";"))
    for i, v in enumerate(kept):
        lines.append(f"static const struct str rows_{i}[] = {{ {', '.join(c_str(r) for r in v[7])} }};")
    lines += ["static const struct {", "\tsize_t format; /* of formats */",
              "\tconst char *column, *data_type, *column_type, *charset;", "\tstruct str map;",
              "\tint kind; /* event type of the rows */", "\tsize_t nrows;", "\tconst struct str *rows; /* events */", "\tsize_t n;", "\tconst struct expected *expected;",
              "} vectors[] = {"]
    order = list(formats)
    for i, v in enumerate(kept):
        names = ", ".join(c_str(str(t).encode())[2:].rsplit(",", 1)[0] for t in v[1:5])
        lines.append(f"\t{{ {order.index(v[0].id)}, {names},\n\t  {c_str(v[6])}, {v[9]}, COUNT(rows_{i}), rows_{i}, "
                     f"COUNT(expected_{i}), expected_{i} }},")
    lines += ["};", "static const struct { const char *server, *change; struct str before, diffs, after; } partials[] = {"]
    for server, change, before, diffs, after in partials:
        lines.append(f"\t{{ \"{server}\", {c_str(change.encode())[2:].rsplit(',', 1)[0]}, {c_str(before)},\n"
                     f"\t  {c_str(diffs)},\n\t  {c_str(after)} }},")
    lines += ["};", ""]
    OUT.write_text("\n".join(lines))


def main():
    vectors, partials = [], []
    for name in sys.argv[1:] or SERVERS:
        extra = {"binlog_checksum": "NONE"}
        with mysql.server(name, settings=extra) as s:
            s.sql("create database v character set utf8")
            record(s, vectors)
            if s.is_mariadb:
                s.sql("set global mysql56_temporal_format = off")
                record(s, vectors, old=True)
            elif s.number >= (8, 0):
                partial(s, partials)
        print(name, len(vectors), len(partials), file=sys.stderr)
    write(vectors, partials)


if __name__ == "__main__":
    main()
