"""Text in every character set that a server has (EDGE 69, 70)."""
import contextlib

from .mysql import quote
from .mysql_values import repr_sql

CHUNK = 300     # characters in a row
WIDE = {"ucs2": 2, "utf16": 2, "utf16le": 2, "utf32": 4}
# Code points of the Unicode encodings: borders of their lengths, controls, combining, beyond the BMP.
POINTS = [*range(0x20, 0x7F), 0xA0, 0xE4, 0x7FF, 0x800, 0x3B1, 0x416, 0x5D0, 0x301, 0x20AC, 0x65E5, 0xD7FF, 0xE000, 0xFFFD,
          0xFFFF, 0x10000, 0x1F600, 0x10FFFF]


def candidates(charset, most):
    """Byte strings that may be one character of the set."""
    if charset in WIDE or charset.startswith("utf8"):
        codec = {"ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}.get(charset, "utf-8")
        small = charset in ("ucs2", "utf8", "utf8mb3")
        return [chr(p).encode(codec) for p in POINTS if p < 0x10000 or not small]
    out = [bytes([b]) for b in range(1, 256)]
    if most >= 2:
        out += [bytes([a, b]) for a in range(0x81, 0xFF) for b in range(0x30, 0xFF)]
    if most >= 3 and charset in ("ujis", "eucjpms"):
        out += [bytes([0x8F, a, b]) for a in range(0xA1, 0xFF) for b in range(0xA1, 0xFF)]
    if charset == "gb18030":
        out += [bytes([a, b, c, d]) for a in (0x81, 0x82, 0x90, 0x95, 0xE3) for b in range(0x30, 0x3A)
                for c in (0x81, 0xA0, 0xFE) for d in (0x30, 0x39)]
    return out


def known(db, charset, codes):
    """{bytes: text} of those that the server can convert: one character each."""
    keep = {}
    with contextlib.closing(db.server.connect()) as c, c.cursor() as cur:
        # From a column, as 9.7 refuses constants that are not valid; beside the binlog.
        for s in ("set sql_mode = ''", "set sql_log_bin = 0", "create temporary table mysql.codes (i int, b varbinary(4))"):
            cur.execute(s)
        cur.execute("insert into mysql.codes values " + ", ".join(f"({i}, x'{s.hex()}')" for i, s in enumerate(codes)))
        cur.execute(f"select i, char_length(x), hex(convert(x using utf8mb4)) from"
                    f" (select i, convert(b using {charset}) x from mysql.codes) c order by i")
        # A code that is not valid comes back as NULL, as nothing, as ? or with another length.
        keep.update((codes[i], bytes.fromhex(text).decode()) for i, length, text in cur.fetchall()
                    if length == 1 and text and (text != "3F" or codes[i].strip(b"\0") == b"?"))
        cur.execute("drop temporary table mysql.codes")
    return keep


def names(db):
    """[(name, longest character)] but the one without characters."""
    return [(r[0], int(r[3])) for r in db.sql("show character set") if r[0] != "binary"]


def fill(db, every=1, only=None):
    """A table for each character set; of the larger sets each `every`th character, and its borders."""
    db.sql("set sql_mode = ''")
    for charset, most in names(db):
        if only and charset not in only:
            continue
        text = known(db, charset, candidates(charset, most))
        codes = list(text)
        if len(codes) > 400:
            singles = [c for c in codes if len(c) == 1]
            longer = [c for c in codes if len(c) > 1]
            codes = singles + longer[:1] + longer[1:-1:every] + longer[-1:]
        table(db, charset, codes, [text[c] for c in codes])


def table(db, charset, codes, texts):
    labels = [t for t in texts if t.isalpha()][-40::8]
    listed = ", ".join(f"'{t}'" for t in labels)
    text = f"character set {charset}"
    name = quote(f"cs_{charset}")
    db.sql(f"create table {name} (id int primary key, c char(60) {text}, v varchar({CHUNK}) {text}, t text {text},"
           f" e enum({listed}) {text}, s set({listed}) {text})")
    rows = []
    for at in range(0, len(codes), CHUNK):
        some = b"".join(codes[at:at + CHUNK]).hex()
        few = b"".join(codes[at:at + 50]).hex()
        n = at // CHUNK
        rows.append(f"({n + 1}, x'{few}', x'{some}', x'{some}', {n % len(labels) + 1}, {2 ** (n % len(labels)) | 1})")
    db.sql(f"insert into {name} values {', '.join(rows)}")
    db.sql(f"insert into {name} values ({len(rows) + 1}, '', '', '', '', ''), ({len(rows) + 2}, null, null, null, null, null)")
    db.sql(f"update {name} set c = v, t = null, e = {len(labels)}, s = 3 where id = 1")


def undefined(db):
    """EDGE 70: bytes that are no characters of the set, as an application that lies about its character
    set leaves them: written as bytes, then the type is changed to one of text."""
    db.sql("set sql_mode = ''")
    broken = {"ascii": "41c3a442", "cp1257": "41a142", "greek": "41d242", "utf8": "41c328", "utf8mb4": "41ff42",
              "gbk": "4181", "sjis": "41a0ff", "ucs2": "0041d800", "hebrew": "41bf42"}
    for charset, bad in broken.items():
        name = quote(f"bad_{charset}")
        db.sql(f"create table {name} (id int primary key, c varchar(20) character set {charset})")
        # The server refuses or cuts most of it: what it then holds is its own affair.
        db.sql(f"insert into {name} values (1, x'{bad}'), (2, {repr_sql('fine')})")
