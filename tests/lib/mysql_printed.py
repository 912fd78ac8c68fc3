"""What the vendor's mysqlbinlog -vv --base64-output=decode-rows says of a binlog: the changes of its row events.

changes(text) gives them in the order in which they take effect: an XA transaction where it is committed, nothing
of what a ROLLBACK, ROLLBACK TO or XA ROLLBACK takes back, except in tables without transactions.
"""
import re
from dataclasses import dataclass, field

ROWS = re.compile(r"^### (INSERT INTO|UPDATE|DELETE FROM) `(.+?)`\.`(.+)`$")
VALUE = re.compile(r"^###   @\d+=(.*?)(?: /\* (.*) \*/)?$")
SAVEPOINT = re.compile(r"^(SAVEPOINT|ROLLBACK TO) `?(.+?)`?$")
XA = re.compile(r"^XA (START|END|PREPARE|COMMIT|ROLLBACK) (\S+)( ONE PHASE)?(?:/\*!\*/;)?$")
OPS = {"INSERT INTO": "c", "UPDATE": "u", "DELETE FROM": "d"}
UNKNOWN = object()      # a value that both sides print in ways that are not compared


@dataclass
class Change:
    op: str
    db: str
    table: str
    before: list = field(default_factory=list)     # (text, type) of the columns that are there
    after: list = field(default_factory=list)

    @property
    def what(self):
        return self.op, self.db, self.table


class Reader:
    def __init__(self, plain):
        self.plain = plain                          # tables without transactions
        self.out, self.group, self.saved, self.prepared, self.xid = [], [], [], {}, None

    def row(self, m):
        self.group.append(Change(OPS[m[1]], *(n.replace("``", "`") for n in m.groups()[1:])))

    def end(self, keep=True):
        self.out += [c for c in self.group if keep or c.table in self.plain]
        self.group, self.saved = [], []

    def savepoint(self, kind, name):
        if kind == "SAVEPOINT":
            self.saved.append((name.lower(), len(self.group)))
            return
        while self.saved[-1][0] != name.lower():
            self.saved.pop()
        at = self.saved[-1][1]
        self.group = self.group[:at] + [c for c in self.group[at:] if c.table in self.plain]

    def xa(self, verb, xid, one_phase):
        if verb == "PREPARE":
            self.prepared[xid], self.group, self.saved = self.group, [], []
        elif verb == "COMMIT":
            self.out += self.group if one_phase else self.prepared.pop(xid, [])
            self.group, self.saved = [], []
        elif verb == "ROLLBACK":
            self.prepared.pop(xid, None)

    def line(self, line):
        if m := XA.match(line):
            self.xa(m[1], m[2], m[3])
        elif m := SAVEPOINT.match(line):
            self.savepoint(m[1], m[2])
        elif line in ("COMMIT", "COMMIT/*!*/;"):
            self.end()
        elif line == "ROLLBACK":
            self.end(keep=False)


def changes(text, plain=(), unread=None):
    """text: bytes, as the tool printed them.  plain: tables whose engine has no transactions.  unread: a set, gets
    the names of tables whose rows the tool gives up on."""
    r, image = Reader(plain), None
    for raw in text.split(b"\n"):
        line = raw.decode("utf-8", "replace")
        if not line.startswith("###"):
            r.line(line)
        elif m := ROWS.match(line):
            r.row(m)
        elif line in ("### SET", "### WHERE"):
            image = r.group[-1].after if line == "### SET" else r.group[-1].before
        elif m := VALUE.match(line):
            image.append((m[1], (m[2] or "").split(" ")[0].split("(")[0]))
            if unread is not None and "Don't know how to handle" in line:
                unread.add(r.group[-1].table)
    return r.out


# --- values

INTEGER = re.compile(r"^(-?\d+)(?: \((\d+)\))?$")
TEXT = re.compile(r"^'([ !#-&(-\[\]-~]*)'$")         # ASCII without quotes and backslashes


def readings(text, kind):
    """What a printed value may be in an event; UNKNOWN where the tool does not say it exactly."""
    if text == "NULL":
        return (None,)
    if kind == "YEAR" and text == "1900":
        return (0,)         # how the tools print 0000
    if kind in ("TINYINT", "SHORTINT", "MEDIUMINT", "INT", "LONGINT", "YEAR"):
        m = INTEGER.match(text)
        return tuple(int(v) for v in m.groups() if v) if m else UNKNOWN
    if kind == "DECIMAL":
        return (text,)
    if kind in ("VARSTRING", "STRING", "BLOB/TEXT") and (m := TEXT.match(text)):
        return (m[1],)
    if kind in ("DATETIME", "DATE", "TIME") and (m := TEXT.match(text)):
        return (m[1].replace(":", "-") if kind == "DATE" else m[1],)
    return UNKNOWN


def whole_fraction(text):
    seconds, _, part = text.partition(".")
    return f"{seconds}.{part:0<6}"


def as_printed(value, kind, wanted):
    """Whether an event's value is one of what the tool's text may mean."""
    if kind in ("DATETIME", "TIME") and isinstance(value, str):
        return whole_fraction(value.replace("T", " ")) in [w and whole_fraction(w) for w in wanted]
    if isinstance(value, str) and any(isinstance(w, int) for w in wanted):
        return value in [str(w) for w in wanted]     # BIGINT UNSIGNED is text
    return value in wanted
