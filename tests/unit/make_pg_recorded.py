#!/usr/bin/env python3
"""Makes fixtures/pg_recorded.h: what a real server's pgoutput sends for one short history.

    tests/unit/make_pg_recorded.py [BINDIR] > tests/unit/fixtures/pg_recorded.h

The same history in text and in binary form; test_pg_recorded.c says what it must decode to.  With
--corpus DIR it writes the messages as seeds of the fuzz target instead.
"""
import pathlib
import struct
import sys

from make_pg_vectors import TABLES, Server, c_bytes, quote

HISTORY = [
    """CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy', 'Größe');
    CREATE DOMAIN price AS numeric(12,2);
    CREATE TABLE orders (id int PRIMARY KEY, note text, amount price, m mood, at timestamptz);
    CREATE TABLE docs (id int PRIMARY KEY, body text, n int);
    CREATE TABLE full_docs (id int PRIMARY KEY, body text, n int);
    CREATE TABLE named (name text PRIMARY KEY, n int);
    CREATE TABLE log (a int, b text);
    CREATE TABLE parts (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
    ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
    ALTER TABLE full_docs ALTER body SET STORAGE EXTERNAL;
    ALTER TABLE named ALTER name SET STORAGE EXTERNAL;
    ALTER TABLE full_docs REPLICA IDENTITY FULL;
    ALTER TABLE log REPLICA IDENTITY FULL;
    CREATE PUBLICATION p FOR TABLE orders, docs, full_docs, named, log, parts;
    SELECT pg_create_logical_replication_slot('s', 'pgoutput');""",
    """BEGIN; INSERT INTO orders VALUES (1, 'first', 12.50, 'ok', '2024-01-31 12:00:00+00');
    INSERT INTO orders VALUES (2, NULL, 'NaN', NULL, 'infinity');
    UPDATE orders SET note = 'changed' WHERE id = 1;
    UPDATE orders SET id = id + 10 WHERE id = 2; DELETE FROM orders WHERE id = 1; COMMIT;""",
    """INSERT INTO docs VALUES (1, repeat('long ', 1000), 1); UPDATE docs SET n = 2;""",
    """INSERT INTO full_docs VALUES (1, repeat('long ', 1000), 1); UPDATE full_docs SET n = 2; DELETE FROM full_docs;""",
    """INSERT INTO named VALUES (repeat('n', 2100), 1); UPDATE named SET n = 2; UPDATE named SET name = 'short';""",
    """INSERT INTO log VALUES (1, 'x'), (1, 'x'); DELETE FROM log WHERE ctid = '(0,1)';""",
    """BEGIN; INSERT INTO orders VALUES (3); ALTER TABLE orders ADD extra int DEFAULT 7; INSERT INTO orders (id) VALUES (4);
    ALTER TABLE orders DROP note; INSERT INTO orders (id) VALUES (5); COMMIT;""",
    """BEGIN; SAVEPOINT a; ALTER TABLE orders ADD gone int; INSERT INTO orders (id) VALUES (6); ROLLBACK TO a;
    INSERT INTO orders (id) VALUES (7); COMMIT;""",
    """BEGIN; INSERT INTO docs VALUES (2, 'b', 2); SELECT pg_logical_emit_message(true, 'app', 'inside');
    SELECT pg_logical_emit_message(false, 'app', 'outside'); COMMIT;""",
    """BEGIN; INSERT INTO docs VALUES (3, 'c', 3); SELECT pg_logical_emit_message(false, 'app', 'survives'); ROLLBACK;""",
    """BEGIN; UPDATE parts SET id = id; INSERT INTO parts VALUES (1, 'one'); UPDATE parts SET id = 11; COMMIT;""",
    """TRUNCATE orders, docs;""",
    """SELECT pg_replication_origin_create('node'); SELECT pg_replication_origin_session_setup('node');
    BEGIN; SELECT pg_replication_origin_xact_setup('0/99', '2024-01-31'); INSERT INTO docs VALUES (9, 'o', 9); COMMIT;""",
]
PEEK = ("SELECT lsn, encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL, 'proto_version', '1', "
        "'publication_names', 'p', 'messages', 'true', 'binary', '%s')")


def all_types():
    """A table with a column of every type, and some rows."""
    columns = ",".join(f"c{i} {name}" for i, (name, _, _) in enumerate(TABLES))
    rows = ",".join("(" + ",".join(quote(values[row % len(values)]) for _, values, _ in TABLES) + ")" for row in range(9))
    return [f"CREATE TABLE every ({columns}); ALTER TABLE every REPLICA IDENTITY FULL; ALTER PUBLICATION p ADD TABLE every;",
            f"INSERT INTO every VALUES {rows}; DELETE FROM every WHERE c1 <> '0';",
            "CREATE TABLE lists (a int[], b text[], c box[], d date[], e mood[], f price[]);"
            "ALTER TABLE lists REPLICA IDENTITY FULL; ALTER PUBLICATION p ADD TABLE lists;",
            "INSERT INTO lists VALUES ('{}', '{a,NULL,\"NULL\",\"x y\"}', '{(1,1),(0,0);(2,2),(1,1)}', '{2024-01-31,infinity}',"
            "'{ok,sad}', '{1.50,-0.01}'), ('{{1,2},{3,4}}', '[2:3]={a,b}', NULL, '{2000-01-01}', '{}', '{NULL}');"]


def values_of(rows):
    """OID, modifier and bytes of a value of each type in the table of all types."""
    seen, types = set(), {}
    for _, data in rows:
        if data[:1] == b"R":
            at = data.index(b"\0", data.index(b"\0", 5) + 1) + 2
            count, at = struct.unpack_from(">H", data, at)[0], at + 2
            types[data[1:5]] = []
            for _ in range(count):
                at = data.index(b"\0", at + 1) + 1
                types[data[1:5]].append(struct.unpack_from(">Ii", data, at))
                at += 8
        if data[:1] != b"I":
            continue
        at = 8
        for oid, mod in types[data[1:5]]:
            length = struct.unpack_from(">I", data, at + 1)[0] if data[at:at + 1] in b"tb" else 0
            if length and oid < 65536 and oid not in seen:
                seen.add(oid)
                yield struct.pack(">Hi", oid, mod) + data[at + 5:at + 5 + length]
            at += 5 + length if data[at:at + 1] in b"tb" else 1


def record(bindir, more=()):
    with Server(bindir, "-c wal_level=logical") as server:
        for sql in [*HISTORY, *more]:
            server.sql(sql)
        for binary in ("false", "true"):
            rows = []
            for line in server.sql(PEEK % binary).splitlines():
                lsn, data = line.split("|")
                high, low = lsn.split("/")
                rows.append((int(high, 16) << 32 | int(low, 16), bytes.fromhex(data)))
            yield rows


def main():
    arguments = sys.argv[1:]
    corpus = pathlib.Path(arguments[1]) if arguments[:1] == ["--corpus"] else None
    bindir = "/usr/lib/postgresql/15/bin" if corpus or not arguments else arguments[0]
    if corpus:
        for name, rows in zip(("text", "binary"), record(bindir, all_types())):
            messages = [struct.pack(">H", len(data)) + data for _, data in rows if len(data) < 4000]
            for number, value in enumerate(values_of(rows)):
                (corpus / f"value-{name}-{number}").write_bytes(bytes([16 + (name == "binary")]) + value)
            for flags in (0, 3, 12):
                (corpus / f"recorded-{name}-{flags}").write_bytes(bytes([flags]) + b"".join(messages))
        return
    print("/* Made by make_pg_recorded.py from a real server; do not edit. */\n/* clang-format off */\n"
          "struct recorded {\n\tuint64_t lsn;\n\tstruct str bytes;\n};\n")
    for name, rows in zip(("text", "binary"), record(bindir)):
        print(f"static const struct recorded recorded_{name}[] = {{")
        for lsn, data in rows:
            print(f"\t{{ {lsn:#x}, {{ {c_bytes(data)}, {len(data)} }} }},")
        print("};\n")


if __name__ == "__main__":
    main()
