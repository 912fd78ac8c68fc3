#!/usr/bin/env python3
"""Write sources/mysql_charset_*.c and tests/unit/charset_vectors.h: what the servers say of their character sets.

    build/venv/bin/python tests/make_charsets.py [SERVER...]

Asks each server (default: all that the tests know) for the character of every one-, two- and three-byte
code and every four-byte code of the basic plane of GB18030, and for the character set of every collation.
All must agree, where they know a set.  The tables are text: neighbouring codes stand next to each other.
"""
import contextlib
import sys
import unicodedata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import mysql  # noqa: E402

SOURCES = Path(__file__).parents[1] / "sources"
ALGORITHMIC = {"ascii", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32"}
MULTI = ["big5", "gb2312", "gbk", "gb18030", "sjis", "cp932", "ujis", "eucjpms", "euckr"]
BASE = {"gb18030": "gbk", "cp932": "sjis", "eucjpms": "ujis"}  # only what differs is written
FILES = {
    "single": None,
    "chinese": ["big5", "gb2312", "gbk", "gb18030"],
    "japanese": ["sjis", "cp932", "ujis", "eucjpms", "euckr"],
}
WIDTH = 94  # characters of one line of text
NOPAD = 1024  # MariaDB: a collation's twin that counts trailing blanks


def ask(cursor, charset, codes):
    """{code: character}; what the server has no character for is left out."""
    cursor.execute("delete from k.c")
    codes = list(codes)
    for i in range(0, len(codes), 4000):
        cursor.execute("insert into k.c values " + ",".join(f"(x'{c.hex()}')" for c in codes[i:i + 4000]))
    cursor.execute(f"select hex(b), hex(convert(convert(b using {charset}) using utf32)) from k.c")
    found = {}
    for code, text in cursor.fetchall():
        # More than one character, or the question mark that stands for none, is no answer.
        if text and len(text) == 8 and (text != "0000003F" or code == "3F"):
            found[int(code, 16)] = int(text, 16)
    return found


def two_bytes():
    return (bytes([a, b]) for a in range(0x80, 0x100) for b in range(0x100))


def three_bytes():
    return (bytes([0x8f, a, b]) for a in range(0xa0, 0x100) for b in range(0xa0, 0x100))


def four_bytes():
    return (bytes([0x81 + i // 12600, 0x30 + i // 1260 % 10, 0x81 + i // 10 % 126, 0x30 + i % 10])
            for i in range(39420))


def read(server):
    """The maps and the collations of one server."""
    with server as s, contextlib.closing(s.connect()) as c, c.cursor() as cursor:
        cursor.execute("set sql_log_bin = 0, sql_mode = ''")
        cursor.execute("select character_set_name, maxlen from information_schema.character_sets")
        sets = {"utf8mb3" if n == "utf8" else n: m for n, m in cursor.fetchall()}
        table = "collation_character_set_applicability" if s.is_mariadb and s.number >= (10, 10) else "collations"
        cursor.execute(f"select id, character_set_name from information_schema.{table} where id is not null")
        collations = {i: "utf8mb3" if n == "utf8" else n for i, n in cursor.fetchall()}
        cursor.execute("create database k")
        cursor.execute("create table k.c (b varbinary(4) primary key)")
        maps = {}
        for n in sets.keys() - ALGORITHMIC - {"binary"}:
            maps[n] = ask(cursor, n, (bytes([i]) for i in range(256)))
            if n in MULTI:
                maps[n] |= ask(cursor, n, two_bytes())
            if n in ("ujis", "eucjpms"):
                maps[n] |= ask(cursor, n, three_bytes())
            if n == "gb18030":
                maps[n] |= ask(cursor, n, four_bytes())
    return sets, maps, collations


def agree(all_, new, what, server):
    for k, v in new.items():
        if all_.setdefault(k, v) != v:
            sys.exit(f"{server.id}: {what} {k} is {v}, elsewhere {all_[k]}")


def escaped(code):
    """A character inside a C string; what an editor or a terminal would bend is written as octal bytes."""
    c = chr(code)
    if c in '"\\':
        return "\\" + c
    if unicodedata.category(c)[0] in "LNPS" and unicodedata.normalize("NFC", c) == c and not 0xd800 <= code < 0xe000:
        return c
    return "".join(f"\\{b:03o}" for b in c.encode())


def linear(code):
    """The place of a four-byte code of GB18030 among them."""
    a, b, c, d = code.to_bytes(4, "big")
    return (a - 0x81) * 12600 + (b - 0x30) * 1260 + (c - 0x81) * 10 + d - 0x30


def runs(chars):
    """(first code, [characters, 0 for a gap]) of codes that differ in the last byte only."""
    out = []
    for code in sorted(chars):
        if out and code >> 8 == out[-1][0] >> 8:
            gap = code - out[-1][0] - len(out[-1][1])
            if gap <= 8 and len(out[-1][1]) + gap < WIDTH:
                out[-1][1].extend([0] * gap + [chars[code]])
                continue
        out.append((code, [chars[code]]))
    return out


def spans(chars):
    """(first code, first character, number) of stretches where both count up."""
    out = []
    for code in sorted(chars):
        if out and code == out[-1][0] + out[-1][2] and chars[code] == out[-1][1] + out[-1][2]:
            out[-1][2] += 1
        else:
            out.append([code, chars[code], 1])
    return out


def text_of(chars):
    return "".join(" " if c == 0 else escaped(c) for c in chars)


def members(name, maps):
    """What is to be written of one set: its map without what its base has, and without ASCII as such."""
    base = maps.get(BASE.get(name), {})
    lost = [hex(c) for c in base if c not in maps[name]]
    if lost:
        sys.exit(f"{name} lacks {lost[:5]} of {BASE[name]}")
    if any(c == 0x20 for k, c in maps[name].items() if k != 0x20) or max(maps[name].values()) > 0xffff:
        sys.exit(f"{name} has what the tables cannot say")
    return {k: c for k, c in maps[name].items() if base.get(k) != c and not (k < 0x80 and k == c)}


def write_set(out, name, maps):
    chars = members(name, maps)
    four = {linear(k): c for k, c in chars.items() if k > 0xffffff}
    chars = {k: c for k, c in chars.items() if k <= 0xffffff}
    # Private use and the like: thousands of codes that simply count.
    counted = [s for s in spans(chars) if s[2] >= 16]
    for first, _, n in counted:
        for k in range(first, first + n):
            del chars[k]
    out.append(f"\nstatic const struct charset_run {name}_runs[] = {{")
    for code, text in runs(chars):
        out.append(f'\t{{ {code:#x}, "{text_of(text)}" }},')
    out += ["\t{ 0, NULL },", "};"]
    fields = f".runs = {name}_runs"
    for suffix, found in (("spans", counted), ("four", spans(four))):
        if not found:
            continue
        fields += f", .{suffix} = {name}_{suffix}"
        out.append(f"static const struct charset_span {name}_{suffix}[] = {{")
        line = "\t"
        for first, char, n in found:
            item = f"{{ {first:#x}, {char:#x}, {n} }}, "
            if len(line) + len(item) > 94:
                out.append(line.rstrip())
                line = "\t"
            line += item
        out += [line + "{ 0, 0, 0 },", "};"]
    return fields


def lower(name, maps):
    """Lower half: ASCII as it is, but for what the set has in its place or lacks (swe7)."""
    return [k for k in range(0x80) if maps[name].get(k) != k and k not in maps[name]]


HEAD = """/*
 * mysql_charset_{file}.c - {what}
 *
 * Made by tests/make_charsets.py from servers of both families ({servers}); not to be edited.
 */
// clang-format off
#include "mysql_charset_table.h"
"""[:-1]


def write_file(file, what, names, maps, sets, servers):
    out = [HEAD.format(file=file, what=what, servers=servers)]
    fields = {n: write_set(out, n, maps) for n in names}
    out.append(f"\nstruct charset charset_{file}[] = {{")
    for n in names:
        base = f'.base = "{BASE[n]}", ' if n in BASE else ""
        gaps = lower(n, maps)
        if len(gaps) > 1:
            sys.exit(f"{n} lacks {gaps}")
        lacks = f".lacks = {gaps[0]:#x}, " if gaps else ""
        out.append(f'\t{{ .name = "{n}", .max = {sets[n]}, {base}{lacks}{fields[n]} }},')
    out.append("\t{ .name = NULL },\n};")
    (SOURCES / f"mysql_charset_{file}.c").write_text("\n".join(out) + "\n")


def write_collations(collations, servers):
    """Ranges; a twin is left out: it is found at its id less NOPAD."""
    out = [HEAD.format(file="ids", what="which character set a collation belongs to", servers=servers)]
    out.append("\nconst struct charset_id charset_ids[] = {")
    ranges = []
    for i in sorted(collations):
        if NOPAD < i < 2 * NOPAD:
            if collations.get(i - NOPAD) != collations[i]:
                sys.exit(f"collation {i} is not the twin of {i - NOPAD}")
        elif ranges and ranges[-1][1] == i - 1 and ranges[-1][2] == collations[i]:
            ranges[-1][1] = i
        else:
            ranges.append([i, i, collations[i]])
    line = "\t"
    for first, last, name in ranges:
        item = f'{{ {first}, {last}, "{name}" }}, '
        if len(line) + len(item) > 94:
            out.append(line.rstrip())
            line = "\t"
        line += item
    out += [line.rstrip(), "\t{ 0, 0, NULL },", "};"]
    (SOURCES / "mysql_charset_ids.c").write_text("\n".join(out) + "\n")


def fnv(data, h=0xcbf29ce484222325):
    for b in data:
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return h


def write_vectors(maps, collations):
    """For the unit test: a hash of every code and its character in UTF-8, in order, and every collation."""
    out = ["/* Made by tests/make_charsets.py; not to be edited. */", "/* clang-format off */",
           "static const struct { const char *name; unsigned codes; uint64_t hash; } charset_hashes[] = {"]
    for name in sorted(maps):
        h = 0xcbf29ce484222325
        for code, character in sorted(maps[name].items()):
            h = fnv(code.to_bytes(4, "big") + chr(character).encode(), h)
        out.append(f'\t{{ "{name}", {len(maps[name])}, UINT64_C({h:#x}) }},')
    out += ["};", "static const struct { uint16_t id; const char *name; } collations[] = {"]
    items = [f'{{ {i}, "{n}" }},' for i, n in sorted(collations.items())]
    out += ["\t" + " ".join(items[i:i + 5]) for i in range(0, len(items), 5)] + ["};", ""]
    (SOURCES.parent / "tests/unit/charset_vectors.h").write_text("\n".join(out))


def main():
    names = sys.argv[1:] or mysql.ALL
    sets, maps, collations = {}, {}, {}
    for server in map(mysql.server, names):
        s, m, c = read(server)
        agree(sets, s, "bytes of a character of", server)
        agree(collations, c, "the character set of collation", server)
        for n, chars in m.items():
            known = maps.setdefault(n, chars)
            # MariaDB takes half-width kana and a broken byte for the kana alone; MySQL for two characters.
            if {k: v for k, v in known.items() if k in chars} != {k: v for k, v in chars.items() if k in known}:
                sys.exit(f"{server.id}: another {n}")
            maps[n] = {k: v for k, v in known.items() if k in chars}
    servers = f"{names[0]} to {names[-1]}"
    single = sorted(n for n in maps if n not in MULTI)
    for file, what, members_ in (
            ("single", "character sets of one byte", single),
            ("chinese", "Chinese character sets", FILES["chinese"]),
            ("japanese", "Japanese and Korean character sets", FILES["japanese"])):
        write_file(file, what, members_, maps, sets, servers)
    write_collations(collations, servers)
    write_vectors(maps, collations)


if __name__ == "__main__":
    main()
