#!/usr/bin/env python3
"""Makes pg_vectors.h: values of PostgreSQL's types in text and in binary form, from a real server.

    tests/unit/make_pg_vectors.py [BINDIR] > tests/unit/pg_vectors.h

Starts a throwaway server (as user postgres when run by root) with the settings that the agent
pins, lets it print each value with COPY in both formats, and stops it.  Each value carries what the
server itself says it is: days, microseconds, the unscaled decimal; "-" where Avro cannot hold it.
"""
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

PINNED = {
    "datestyle": "ISO", "intervalstyle": "iso_8601", "timezone": "UTC", "bytea_output": "hex",
    "extra_float_digits": "3", "lc_monetary": "C", "client_encoding": "UTF8",
}
DATES = ["1970-01-01", "2000-01-01", "1999-12-31", "2000-02-29", "1900-02-28", "1900-03-01",
         "2024-12-31", "0001-01-01", "9999-12-31", "10000-01-01", "0001-12-31 BC", "0044-03-15 BC",
         "0005-02-29 BC", "1969-07-20", "1582-10-04", "1582-10-15", "0100-03-01", "infinity",
         "-infinity"]
CLOCKS = ["00:00:00", "23:59:59.999999", "12:34:56.789", "00:00:00.000001", "12:00:00.5",
          "01:02:03.1", "09:08:07.000100"]
INTEGERS = ["0", "1", "-1", "7", "-128", "127", "128", "255", "256", "32767", "-32768"]
DECIMALS = ["0", "1", "-1", "0.01", "-0.01", "0.10", "1.27", "1.28", "-1.28", "-1.29", "12.34",
            "123456789.01", "-9999999999.99", "9999999999.99", "2.55", "2.56", "327.68", "-327.68",
            "-327.69", "10000", "100000000", "0.99", "NaN"]
NUMERICS = DECIMALS + ["0.000", "1.500", "1e20", "1e-20", "1e-30", "-1e-5", "123456789012345678901234567890",
                       "0.00010000", "10000.0001", "99999999.9999", "1e16383", "-1e-1000",
                       "12345678.00000000000000000001", "Infinity", "-Infinity", "1e400",
                       "3." + "1415926535" * 20, "9" * 1000, "1000000000000000000", "0.5000"]
FLOATS = ["0", "-0", "1", "-1", "0.1", "1.5", "1e-5", "0.0001", "123456", "1e15", "1e16", "1e20", "1e22",
          "3.14159265", "2.5e-8", "NaN", "Infinity", "-Infinity", "0.3", "100000", "1000000", "16777216",
          "16777217", "33554432.5", "0.07", "8388608.5", "1.1754944e-38", "3.4028235e38"]
TEXTS = ["", "a", "Grüße", "日本語", "emoji 😀", "tab\tand\nnewline", "back\\slash", "quote ' \"", " blanks ",
         "x" * 300, "NULL", "\\x00"]
JSONS = ["null", "1", "\"a\"", "{}", "[]", '{"a": 1, "a": 2}', '{"n": 1e400, "b" : [true, null]}', "-0.0",
         '{"text": "Gr\\u00fc\\u00dfe \\"q\\""}', " 12345678901234567890.1234567890 "]


def floats8():
    rng = random.Random(8)
    out = ["5e-324", "-5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "9007199254740993",
           "9007199254740992", "0.1234567890123456", "123456789.123456789", "4.35", "1e-7"]
    while len(out) < 60:
        v = struct.unpack(">d", rng.randbytes(8))[0]
        if v == v and abs(v) != float("inf"):
            out.append(repr(v))
    return FLOATS + out


def floats4():
    rng = random.Random(4)
    out = ["1e-45", "-1e-45", "1.17549435e-38", "16777218", "0.33333334"]
    while len(out) < 50:
        v = struct.unpack(">f", rng.randbytes(4))[0]
        if v == v and abs(v) != float("inf"):
            out.append("%.9g" % v)
    return FLOATS + out


def decimals():
    rng = random.Random(10)
    return DECIMALS + ["%.2f" % (rng.randrange(-10**rng.randrange(1, 12), 10**11) / 100) for _ in range(40)]


def random_dates():
    rng = random.Random(1)
    return ["%04d-%02d-%02d" % (rng.randrange(1, 10000), rng.randrange(1, 13), rng.randrange(1, 29))
            for _ in range(40)]


def timestamps():
    days = [d for d in DATES + random_dates() if "infinity" not in d]
    out = ["infinity", "-infinity", "294276-12-31 23:59:59.999999", "4714-11-24 00:00:00 BC",
           "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "10000-01-01 00:00:00", "0001-12-31 23:59:59.999999 BC"]
    for i, day in enumerate(days):
        day, bc = (day[:-3], " BC") if day.endswith(" BC") else (day, "")
        out.append(f"{day} {CLOCKS[i % len(CLOCKS)]}{bc}")
    return out


INTERVALS = ["0", "1 year", "-1 year 2 mons", "1 mon -1 day", "1 day 02:03:04.5", "-1 day +02:03:04", "-00:00:01",
             "-00:00:00.5", "00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons +3 days -04:05:06",
             "100000 years", "-178000000 years", "2147483647 days", "-2147483648 days", "2562047788:00:54.775807",
             "-2562047788:00:54.775807", "23:59:59.999999", "25:00:00", "-25:01:00", "13 mons", "-13 mons",
             "59.5 seconds", "-59.000100 seconds", "11 mons", "-11 mons", "1 hour", "1 minute"]
INETS = ["127.0.0.1", "10.1.2.3/8", "0.0.0.0/0", "192.168.1.0/24", "255.255.255.255", "::1", "::", "2001:db8::1",
         "2001:db8::/32", "fe80::1/64", "::ffff:1.2.3.4", "::1.2.3.4", "1:0:0:2:0:0:0:3", "1:0:2:0:3:0:4:0",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:0:1.2.3.4", "0:1::", "1::/1", "::1:2/120", "::1:0"]
CIDRS = ["127.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "192.168.1.0/24", "::1", "::/0", "2001:db8::/32", "::ffff:1.2.3.0/120"]
UNIX_DAY = "CASE WHEN isfinite(x) AND x BETWEEN '0001-01-01' AND '9999-12-31' THEN (x - date '1970-01-01')::text ELSE '-' END"
UNIX_US = ("CASE WHEN isfinite(x) AND x >= '0001-01-01' AND x < '10000-01-01' "
           "THEN trunc(extract(epoch FROM x) * 1000000)::text ELSE '-' END")
CLOCK_US = "CASE WHEN x < '24:00:00' THEN trunc(extract(epoch FROM x) * 1000000)::text ELSE '-' END"
UNSCALED = "CASE WHEN x = 'NaN' THEN '-' ELSE trunc(x * %s)::text END"
AS_IS = "'='"

# (type, values, what the server says the value is)
TABLES = [
    ("boolean", ["t", "f"], AS_IS),
    ("smallint", INTEGERS, "x::text"),
    ("integer", INTEGERS + ["32768", "2147483647", "-2147483648"], "x::text"),
    ("bigint", INTEGERS + ["9223372036854775807", "-9223372036854775808", "4294967296"], "x::text"),
    ("oid", ["0", "1", "2147483648", "4294967295"], "x::bigint::text"),
    ("real", floats4(), AS_IS),
    ("double precision", floats8(), AS_IS),
    ("numeric(12,2)", decimals(), UNSCALED % "100"),
    ("numeric(18,4)", ["0", "0.0001", "-99999999999999.9999", "99999999999999.9999", "1.0000", "1234.5678", "NaN"],
     UNSCALED % "10000"),
    ("numeric(5,5)", ["0", "0.00001", "-0.99999", "0.5", "0.12345"], UNSCALED % "100000"),
    ("numeric(19,0)", ["0", "999999999999999999", "1000000000000000000", "9999999999999999999", "-9223372036854775808"],
     "x::text"),
    ("numeric(38,10)", ["0", "1234567890123456789012345678.0123456789", "-0.0000000001", "1", "-1.5", "NaN"],
     UNSCALED % "10000000000"),
    ("numeric(30,30)", ["0", "0.000000000000000000000000000001", "-0.999999999999999999999999999999", "0.5"],
     UNSCALED % "1000000000000000000000000000000"),
    ("numeric(1000,500)", ["0", "1", "-1." + "0" * 499 + "1", "9" * 500 + "." + "9" * 500], UNSCALED % ("1" + "0" * 500)),
    ("numeric", NUMERICS, AS_IS),
    ("numeric(3,-2)", ["12345", "-500", "0", "99900"], AS_IS),
    ("numeric(2,4)", ["0.0012", "-0.0099", "0"], AS_IS),
    ("text", TEXTS, AS_IS),
    ("character varying(300)", TEXTS, AS_IS),
    ("character varying", ["", "abc"], AS_IS),
    ("character(5)", ["", "a", "abcde", "ü"], AS_IS),
    ("bpchar", ["", "a ", "abcde"], AS_IS),
    ("name", ["", "a", "Grüße", "x" * 63], AS_IS),
    ('"char"', ["", "a", "\\"], AS_IS),
    ("json", JSONS, AS_IS),
    ("jsonb", JSONS[:6] + JSONS[7:], AS_IS),
    ("xml", ["<a/>", "<?xml version=\"1.0\"?><a>ü</a>", "text", "<?xml version=\"1.0\" standalone=\"yes\"?><b/>"], AS_IS),
    ("uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
              "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], AS_IS),
    ("bytea", ["\\x", "\\x00", "\\x0badcafe", "\\x5c785c78", "\\xff" + "00" * 50], AS_IS),
    ("bit(1)", ["0", "1"], AS_IS),
    ("bit(11)", ["00000000000", "11111111111", "10101010101"], AS_IS),
    ("bit varying", ["", "1", "01010101", "010101011"], AS_IS),
    ("bit varying(70)", ["", "1" * 70], AS_IS),
    ("date", DATES + random_dates() + ["4714-11-24 BC", "5874897-12-31"], UNIX_DAY),
    ("time without time zone", CLOCKS + ["24:00:00"], CLOCK_US),
    ("time(3) without time zone", CLOCKS, CLOCK_US),
    ("time with time zone", [c + z for c in CLOCKS[:4] for z in ("+00", "-08", "+05:30", "+15:59:59", "-15:59", "-00:00:01",
                                                                "+00:30")] + ["24:00:00-01"], AS_IS),
    ("timestamp without time zone", timestamps(), UNIX_US),
    ("timestamp(3) without time zone", timestamps()[:20], UNIX_US),
    ("timestamp with time zone", timestamps(), UNIX_US),
    ("timestamp(0) with time zone", timestamps()[:20], UNIX_US),
    ("interval", INTERVALS, AS_IS),
    ("interval(3)", INTERVALS[:6], AS_IS),
    ("interval day to second(2)", INTERVALS[4:6], AS_IS),
    ("interval year to month", ["1 year", "14 mons"], AS_IS),
    ("inet", INETS, AS_IS),
    ("cidr", CIDRS, AS_IS),
    ("macaddr", ["08:00:2b:01:02:03", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"], AS_IS),
    ("macaddr8", ["08:00:2b:01:02:03:04:05", "ff:ff:ff:fe:ff:ff:ff:ff"], AS_IS),
    ("public.mood", ["sad", "ok", "very happy", "Größe"], AS_IS),
    ("public.price", ["0", "12.34", "-0.01", "NaN"], UNSCALED % "100"),
]
SETUP = """CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy', 'Größe');
CREATE DOMAIN cost AS numeric(12,2); CREATE DOMAIN price AS cost;"""


def quote(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def copy_text(path):
    plain = {b"\\": b"\\", b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
    for line in path.read_bytes().split(b"\n")[:-1]:
        out, i = b"", 0
        while i < len(line):
            if line[i:i + 1] == b"\\":
                out += plain[line[i + 1:i + 2]]
                i += 2
            else:
                out += line[i:i + 1]
                i += 1
        yield out


def copy_binary(path):
    data = path.read_bytes()
    at = 19
    while struct.unpack_from(">h", data, at)[0] == 1:
        length = struct.unpack_from(">i", data, at + 2)[0]
        yield data[at + 6:at + 6 + length]
        at += 6 + length


class Server:
    def __init__(self, bindir, options=""):
        self.options = options
        self.bindir = pathlib.Path(bindir)
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pgv"))
        if self.user:
            shutil.chown(self.dir, "postgres")

    def run(self, *command, text=""):
        done = subprocess.run(self.user + [str(c) for c in command], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd="/", check=False)
        if done.returncode:
            sys.exit(f"{command[0]}: {done.stdout.decode()}")
        return done.stdout.decode()

    def __enter__(self):
        self.run(self.bindir / "initdb", "-D", self.dir / "data", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-U", "postgres")
        self.run(self.bindir / "pg_ctl", "-D", self.dir / "data", "-w", "-l", self.dir / "log", "-o",
                 f"-c listen_addresses='' -k {self.dir} -F {self.options}", "start")
        return self

    def __exit__(self, *_):
        self.run(self.bindir / "pg_ctl", "-D", self.dir / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.dir)

    def sql(self, text):
        pins = "".join(f"SET {k} = '{v}';" for k, v in PINNED.items())
        return self.run(self.bindir / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-U", "postgres",
                        "postgres", text=pins + text)


def c_bytes(data):
    """C string literals, at most a line each; octal escapes, so that a digit may follow."""
    lines, line = [], ""
    for b in data:
        line += chr(b) if 32 <= b < 127 and b not in (34, 92, 63) else "\\%03o" % b
        if len(line) > 80:
            lines.append(f'"{line}"')
            line = ""
    if line or not lines:
        lines.append(f'"{line}"')
    return "\n\t".join(lines)


def vectors(server, name, values, says):
    rows = ",".join(f"({i},{quote(v)})" for i, v in enumerate(values))
    server.sql(f"DROP TABLE IF EXISTS v; CREATE TABLE v(n int, x {name}); INSERT INTO v VALUES {rows};"
               f"COPY (SELECT x FROM v ORDER BY n) TO '{server.dir}/text';"
               f"COPY (SELECT x FROM v ORDER BY n) TO '{server.dir}/binary' (FORMAT binary);"
               f"COPY (SELECT {says} FROM v ORDER BY n) TO '{server.dir}/says';")
    oid, mod, native = server.sql(
        "SELECT atttypid, atttypmod, format_type(CASE typtype WHEN 'd' THEN 1700 ELSE atttypid END, "
        "CASE typtype WHEN 'd' THEN 786438 ELSE atttypmod END) FROM pg_attribute a, pg_type t "
        "WHERE attrelid = 'v'::regclass AND attname = 'x' AND t.oid = atttypid").strip().split("|")
    oid = {"public.mood": "VECTOR_MOOD", "public.price": "VECTOR_PRICE"}.get(name, oid)
    native = "public.mood" if native == "mood" else native
    texts, binaries, said = (list(f(server.dir / n)) for f, n in
                             ((copy_text, "text"), (copy_binary, "binary"), (copy_text, "says")))
    assert len(texts) == len(binaries) == len(said) == len(values), name
    for text, binary, value in zip(texts, binaries, said):
        yield (f"\t{{ {oid}, {mod}, {c_bytes(native.encode())},\n\t  {{ {c_bytes(text)}, {len(text)} }},\n"
               f"\t  {{ {c_bytes(binary)}, {len(binary)} }},\n\t  {c_bytes(value)} }},")


def main():
    bindir = sys.argv[1] if len(sys.argv) > 1 else "/usr/lib/postgresql/15/bin"
    print("/* Made by make_pg_vectors.py from a real server; do not edit. */\n/* clang-format off */\n"
          "static const struct {\n\tuint32_t oid;\n\tint32_t mod;\n\tconst char *native;\n"
          "\tstruct str text, binary;\n\tconst char *says; /* \"=\": the text itself; \"-\": unrepresentable */\n"
          "} vectors[] = {")
    with Server(bindir) as server:
        server.sql(SETUP)
        for name, values, says in TABLES:
            for line in vectors(server, name, values, says):
                print(line)
    print("};")


if __name__ == "__main__":
    main()
