"""Tables that hold every column type of MySQL and MariaDB at its edges, each version as far as it goes.

Each function fills tables of one database (lib/mysql.Database) that is empty: rows are inserted, some
are changed and deleted, so that before and after images of all types are in the binlog.  What is in the
tables afterwards is the server's own business: ask it (normal_mysql.py).
"""
from .mysql import quote

NOTHING = "set sql_mode = ''"       # takes zero and partial dates, '' for an enum, cuts what is too long
PARTIAL = "set sql_mode = 'ALLOW_INVALID_DATES'"


def has(db, mariadb=None, mysql=None):
    """Whether the server is at least MariaDB or MySQL of the version; None: never."""
    least = mariadb if db.server.is_mariadb else mysql
    return least is not None and db.server.number >= least


def table(db, name, types, rows, options="", key="id int primary key"):
    """A table of a key and nullable columns of the types; one row of NULLs, then rows (tuples of SQL), then
    every second row is changed to its neighbour's values and back, the first is deleted."""
    names = [f"c{i}" for i in range(1, len(types) + 1)]
    defs = ", ".join(f"{n} {t}" for n, t in zip(names, types))
    db.sql(f"create table {quote(name)} ({key}, {defs}) {options}")
    values = [("NULL",) * len(types), *rows]
    db.sql(f"insert into {quote(name)} values " + ", ".join(
        f"({i}, {', '.join(row)})" for i, row in enumerate(values, 1)))
    for i in range(2, len(values), 2):
        for row in (values[i], values[i - 1]):
            db.sql(f"update {quote(name)} set " + ", ".join(f"{n} = {v}" for n, v in zip(names, row)) + f" where id = {i}")
    db.sql(f"delete from {quote(name)} where id = {len(values)}")
    db.sql(f"insert into {quote(name)} values ({len(values)}, {', '.join(values[-1])})")


def crossed(*columns):
    """Rows from the values of each column: the shorter ones end in NULL."""
    most = max(len(c) for c in columns)
    return [tuple(c[i] if i < len(c) else "NULL" for c in columns) for i in range(most)]


def integers(db):
    """EDGE 59, 67"""
    types, values = [], []
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        half = 2 ** (bits - 1)
        types += [name, f"{name} unsigned", f"{name}(5) zerofill"]
        values += [[str(v) for v in (-half, -half + 1, -2, -1, 0, 1, half // 2, half - 1)],
                   [str(v) for v in (0, 1, half - 1, half, half + 1, 2 * half - 1)],
                   ["0", "42", str(2 * half - 1)]]
    types += ["tinyint(1)", "boolean", "year"]
    values += [["0", "1", "-128", "127"], ["true", "false", "7"], ["0", "1901", "2155", "2024", "'70'", "'69'"]]
    table(db, "integers", types, crossed(*values))


def floats(db):
    """EDGE 60"""
    single = ["0", "-0e0", "1.1", "-1.1", "0.1", "16777217", "3.40282e38", "-3.40282e38", "1.17549e-38", "1.4e-45",
              "0.3333333333", "123456789"]
    double = ["0", "-0e0", "0.1", "-1.7976931348623157e308", "1.7976931348623157e308", "2.2250738585072014e-308",
              "4.9e-324", "9007199254740993", "0.30000000000000004", "1e22", "123456789012345680"]
    db.sql(NOTHING)
    table(db, "floats", ["float", "double", "float unsigned", "double unsigned", "float(7,3)", "double(10,2)", "float(30)",
                         "real"],
          crossed(single, double, ["0", "1.5", "3.4e38"], ["0", "2.5"], ["1.2345", "-9999.999", "0.001"],
                  ["12345678.91", "-0.005", "99999999.99"], double[:5], double[-3:]))


def decimals(db):
    """EDGE 61"""
    shapes = [(65, 30), (65, 0), (30, 30), (10, 0), (5, 2), (9, 4), (18, 9), (1, 1), (38, 10), (19, 1), (27, 18)]
    values = []
    for p, s in shapes:
        most = "9" * (p - s) + ("." + "9" * s if s else "")
        least = "0." + "0" * (s - 1) + "1" if s else "1"
        some = ("123456789" * 8)[:p - s] + ("." + ("987654321" * 4)[:s] if s else "")
        values.append([most or "0", "-" + most, least, "-" + least, "0", some, "-" + some])
    types = [f"decimal({p},{s})" for p, s in shapes] + ["decimal(10,2) unsigned", "decimal(8,2) zerofill"]
    table(db, "decimals", types, crossed(*values, ["99999999.99", "0"], ["1.5", "0", "999999.99"]))


def bits(db):
    """EDGE 62"""
    widths = (1, 2, 7, 8, 9, 16, 31, 33, 63, 64)
    table(db, "bits", [f"bit({w})" for w in widths],
          crossed(*[[f"b'{'1' * w}'", "b'0'", "b'1'", f"b'1{'0' * (w - 1)}'", f"b'{('10' * w)[:w]}'"] for w in widths]))


def labels(db):
    """EDGE 62: more than 255 labels, index 0, labels of many bytes, quotes in labels"""
    long = [f"label-{i:03}" for i in range(300)]
    sets = [f"m{i}" for i in range(64)]
    few = ["a", "b b", "it''s", "Größe", "日本", "", "back\\\\slash", 'dou"ble']
    in_set = ["x", "y y", "it''s", "ü", "語", "z", "p", "q", "r"]
    quoted = [f"enum({', '.join(repr_sql(x) for x in values)})" for values in (long, few)]
    types = [*quoted, *(f"set({', '.join(repr_sql(x) for x in values)})" for values in (sets, in_set, in_set[:8])),
             "enum('one')", "set('only')"]
    db.sql(NOTHING)
    table(db, "labels", types, crossed(
        ["'label-000'", "'label-299'", "255", "256", "257", "'no such label'"],
        [repr_sql(x) for x in few] + ["'no such label'"],
        ["''", "'m0'", "'m63'", "'m0,m31,m32,m63'", "18446744073709551615", "9223372036854775808"],
        ["''", "'x,语'", "'x,語,r'", "'it''s,ü'", "511"], ["'x'", "255", "'q'"], ["'one'", "''"], ["'only'", "''"]),
        options="character set utf8mb4")


def repr_sql(value):
    """A string that is already escaped, in quotes."""
    return f"'{value}'"


def temporals(db, digits=range(7)):
    """EDGE 63 to 66: every precision, zero, partial and impossible dates, negative and huge times"""
    dates = ["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-15'", "'2024-01-00'", "'0000-05-00'", "'2024-02-29'",
             "'2024-02-31'", "'1969-12-31'", "'0001-01-01'", "'0000-01-01'"]
    times = ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'-00:00:00.000001'", "'-00:00:00.5'",
             "'23:59:59.999999'", "'24:00:00'", "'-01:00:00.25'", "'12:34:56.789012'", "'-838:59:58.999999'",
             "'-00:59:59.9'", "'00:00:00.01'"]
    stamps = ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'", "'0000-00-00 00:00:00'", "'2024-00-15 12:00:00'",
              "'0003-00-00 00:00:01'", "'2024-02-29 12:34:56.789012'", "'1969-12-31 23:59:59.5'",
              "'2024-02-31 01:02:03.000001'", "'0001-01-01 00:00:00'"]
    epochs = ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "'2024-06-30 23:59:59.123456'",
              "'2001-09-09 01:46:40.5'", "'1999-12-31 23:59:59.999999'"]
    if has(db, mariadb=(11, 5)):
        epochs.append("'2106-02-07 06:28:15'")
    db.sql(PARTIAL)
    db.sql("set time_zone = '+00:00'")
    types = ["date", *(f"time({n})" for n in digits), *(f"datetime({n})" for n in digits), *(f"timestamp({n}) null" for n in digits)]

    def cuts(values, n):        # rounding could leave the range
        whole = [v.strip("'").partition(".") for v in values]
        return [f"'{w}.{f[:n]}'" if f[:n] else f"'{w}'" for w, _, f in whole]
    table(db, "temporals", types, crossed(dates, *(cuts(v, n) for v in (times, stamps, epochs) for n in digits)))


def zones(db):
    """EDGE 64: what a session's zone makes of a TIMESTAMP, summer time included"""
    db.sql("create table zones (id int primary key auto_increment, ts timestamp null, dt datetime)")
    for zone in ("+00:00", "+05:30", "-11:00", "SYSTEM"):
        db.sql(f"set time_zone = '{zone}'")
        db.sql("insert into zones (ts, dt) values ('2024-03-31 02:30:00', '2024-03-31 02:30:00'),"
               " ('2024-10-27 02:30:00', '2024-10-27 02:30:00'), (null, null)")
    db.sql("set time_zone = '+00:00'")


def strings(db):
    """EDGE 68, 75: lengths at the borders of the length bytes, blanks and zeros at the end"""
    db.sql(NOTHING)
    types = ["char(0)", "char(10)", "char(255)", "varchar(10)", "varchar(63)", "varchar(64)", "varchar(255)", "varchar(256)",
             "varchar(1000)", "tinytext", "text", "mediumtext", "longtext", "char(85)", "char(86)"]
    utf8 = ["''", "'a'", "'  both  '", "'Grüße'", "'日本語😀'", "'nul\\0inside'", "'back\\\\slash'", "'quote''s'",
            "'tab\\tnewline\\n'"]
    table(db, "strings", types,
          crossed(["''"], utf8, [*utf8[:3], "repeat('😀', 255)", "repeat('x', 255)"], utf8,
                  ["repeat('ü', 63)"], ["repeat('ü', 64)"], ["repeat('x', 255)", "repeat('日', 255)", "''"],
                  ["repeat('x', 256)", "'short'"], ["repeat('日', 1000)", "''"], ["repeat('x', 255)", "''"],
                  ["repeat('text ', 900)", "''", "repeat('x', 256)"], ["repeat('0123456789', 7000)", "''"],
                  ["repeat('long ', 300)", "''", "'x'"], ["repeat('日', 85)"], ["repeat('日', 86)"]),
          options="character set utf8mb4")


def octets(db):
    """EDGE 68: BINARY(n) is padded, VARBINARY is not"""
    values = ["x''", "x'00'", "x'610000'", "x'00ff00'", "x'ff'", "x'c328'", "x'612020'"]
    types = ["binary(0)", "binary(1)", "binary(3)", "binary(16)", "binary(255)", "varbinary(3)", "varbinary(255)",
             "varbinary(256)", "tinyblob", "blob", "mediumblob", "longblob"]
    db.sql(NOTHING)
    table(db, "octets", types, crossed(["x''"], ["x'00'", "x'ff'", "x''"], values, values, values, values, values,
                                       [*values, "repeat(x'00', 256)"], values, [*values, "repeat(x'fe62696e', 200)"],
                                       [*values, "repeat(x'00ff', 35000)"], values))


def nulls(db):
    """EDGE 76: bitmaps of more than one byte"""
    n = 27
    db.sql(f"create table nulls (id int primary key, {', '.join(f'c{i} int' for i in range(n))})")
    for i in range(n):
        db.sql(f"insert into nulls (id, c{i}) values ({i}, {i})")
        db.sql(f"update nulls set c{i} = null, c{(i + 8) % n} = {i} where id = {i}")
    db.sql("delete from nulls where id in (3, 4, 5)")


def generated(db):
    """EDGE 80, 81: generated, invisible and hidden columns"""
    if has(db, mariadb=(10, 1), mysql=(5, 7)):
        stored = "persistent" if db.server.is_mariadb else "stored"
        db.sql(f"create table computed (id int primary key, a int, v int as (a * 2) virtual, s int as (a * 3) {stored},"
               f" t varchar(20) as (concat('t', a)) {stored}, b int)")
        db.sql("insert into computed (id, a, b) values (1, 10, 1), (2, null, 2), (3, -5, 3)")
        db.sql("update computed set a = a + 1, b = null")
        db.sql("delete from computed where id = 3")
    if has(db, mariadb=(10, 3), mysql=(8, 0, 23)):
        db.sql("create table invisible (id int primary key, a int, hidden varchar(10) default 'dflt' invisible, b int)")
        db.sql("insert into invisible values (1, 1, 1), (2, 2, 2)")
        db.sql("insert into invisible (id, hidden, b) values (3, 'seen', 3)")
        db.sql("update invisible set hidden = 'new' where id = 2")
    if has(db, mysql=(8, 0, 13)):
        db.sql("create table functional (id int primary key, name varchar(20), j json, n int,"
               " index f1 ((upper(name))), index f2 ((n + 1), name))")
        db.sql("insert into functional values (1, 'abc', '{\"a\": 1}', 5), (2, null, null, null)")
        db.sql("update functional set name = 'xyz', n = 6 where id = 1")
        db.sql("delete from functional where id = 2")
    if has(db, mysql=(8, 0, 30)):
        db.sql("set sql_generate_invisible_primary_key = on")
        db.sql("create table hidden_key (a int, b varchar(10))")
        db.sql("set sql_generate_invisible_primary_key = off")
        db.sql("insert into hidden_key values (1, 'x'), (1, 'x'), (2, 'y')")
        db.sql("update hidden_key set b = 'z' where a = 2")
        db.sql("delete from hidden_key where a = 1 limit 1")


def keyless(db):
    """EDGE 80: no key, the same row twice; unique keys that are and are not good for a key"""
    db.sql("create table keyless (a int, b varchar(10), c double)")
    db.sql("insert into keyless values (1, 'x', 1.5), (1, 'x', 1.5), (1, null, null), (null, null, null), (null, null, null)")
    db.sql("delete from keyless where a = 1 and b = 'x' limit 1")
    db.sql("update keyless set c = 9 where a is null limit 1")
    db.sql("create table unique_only (a int not null, b varchar(10) not null, c int, unique u (b, a))")
    db.sql("insert into unique_only values (1, 'x', 1), (2, 'y', 2)")
    db.sql("update unique_only set b = 'z' where a = 1")
    db.sql("create table two_part (b varchar(10) not null, c int, a int not null, primary key (a, b))")
    db.sql("insert into two_part values ('x', 1, 1), ('y', 2, 1)")
    db.sql("update two_part set a = a + 1 order by a desc")
    db.sql("create table prefixed (t text not null, n int, primary key (t(10)))")
    db.sql("insert into prefixed values ('abcdefghij-1', 1), ('bcdefghijk-1', 2)")
    db.sql("update prefixed set n = n + 1")
    db.sql("create table shifted (id int primary key, v varchar(5))")
    db.sql("insert into shifted values (1, 'a'), (2, 'b'), (3, 'c')")
    db.sql("update shifted set id = id + 1 order by id desc")


def spatial(db):
    """EDGE 74"""
    st = "ST_GeomFromText" if has(db, mysql=(5, 7)) else "GeomFromText"
    shapes = {"point": ["POINT(1 2)", "POINT(-1.5 1e10)"], "linestring": ["LINESTRING(0 0,1 1,2 0)"],
              "polygon": ["POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))"], "multipoint": ["MULTIPOINT(0 0,1 1)"],
              "multilinestring": ["MULTILINESTRING((0 0,1 1),(2 2,3 3))"],
              "multipolygon": ["MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))"],
              "geometrycollection": ["GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"],
              "geometry": ["POINT(3 4)", "POLYGON((0 0,1 0,1 1,0 0))"]}
    if has(db, mariadb=(10, 5), mysql=(5, 7)):
        shapes["geometrycollection"].append("GEOMETRYCOLLECTION EMPTY" if db.server.is_mariadb else "GEOMETRYCOLLECTION()")
    values = [[f"{st}('{w}')" for w in v] for v in shapes.values()]
    values[-1].append(f"{st}('POINT(5 6)', 4326)")
    table(db, "spatial", list(shapes), crossed(*values))
    if has(db, mysql=(8, 0)):
        table(db, "srid", ["point srid 4326", "geometry srid 0"],
              crossed(["ST_GeomFromText('POINT(10 20)', 4326)"], ["ST_GeomFromText('POINT(10 20)')"]))


def family(db):
    """EDGE 73: what only one family, or only the newer versions, have"""
    if has(db, mariadb=(10, 3)):
        table(db, "compressed", ["varchar(300) compressed", "text compressed", "varbinary(300) compressed",
                                 "blob compressed", "longtext compressed"],
              crossed(["''", "'x'", "repeat('abc', 100)"], ["''", "'short'", "repeat('long text ', 100)"],
                      ["x''", "x'00ff'", "repeat(x'00', 300)"], ["x''", "x'ff00'", "repeat(x'0102', 200)"],
                      ["''", "repeat('日本', 500)"]), options="character set utf8mb4")
    if has(db, mariadb=(10, 5)):
        table(db, "inet6", ["inet6"], crossed(["'::'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'",
                                               "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'fe80::1'"]))
    if has(db, mariadb=(10, 10)):
        table(db, "uuids", ["uuid", "inet4"], crossed(
            ["'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'",
             "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'018e4f5c-7a10-7cde-8f01-23456789abcd'"],
            ["'0.0.0.0'", "'192.0.2.255'", "'255.255.255.255'"]))
        db.sql("create table uuid_key (id uuid primary key, v inet4)")
        db.sql("insert into uuid_key values ('123e4567-e89b-12d3-a456-426655440000', '10.0.0.1')")
        db.sql("update uuid_key set v = '10.0.0.2'")
    if has(db, mariadb=(11, 7)):
        db.sql("create table vectors (id int primary key, v vector(3) not null, vector index (v))")
        db.sql("insert into vectors values (1, vec_fromtext('[1,2.5,-3]')), (2, vec_fromtext('[0,0,1e-10]'))")
        db.sql("update vectors set v = vec_fromtext('[3.4e38,1,1]') where id = 2")
    if has(db, mysql=(9, 0)):
        table(db, "vectors", ["vector(3)", "vector"],
              crossed(["to_vector('[1,2.5,-3]')", "to_vector('[0,0,1e-10]')"], ["to_vector('[1]')", "to_vector('[1,2,3,4,5]')"]))
    if has(db, mariadb=(10, 2, 7)):
        table(db, "mariadb_json", ["json"], crossed(["'{\"b\": 1,  \"a\": [1.50, null]}'", "'\"x\"'", "'[]'", "'null'"]))


ALL = (integers, floats, decimals, bits, labels, temporals, zones, strings, octets, nulls, generated, keyless, spatial, family)


def every_type(db):
    for fill in ALL:
        fill(db)
