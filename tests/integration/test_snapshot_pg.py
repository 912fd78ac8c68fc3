"""Snapshots of PostgreSQL: what is read of tables that hold rows equals what the server says, by every kind of
key, and is what the stream would have given."""
import pytest

from tests.integration.test_types import ODD, ROWS, SCHEMA, insert, judge_images

INITIAL = {"mode": "initial", "chunk_rows": 100}


def load(pipeline, script, **kw):
    """Tables that hold rows already, loaded by the first start."""
    kw.setdefault("snapshot", INITIAL)
    return pipeline(script, **kw)


@pytest.mark.versions(10, 18)
def test_every_type(pipeline, db, major):
    """Loaded by binary COPY, then all rows once more by the stream: both equal the server's own output."""
    db.script(SCHEMA)
    for key, row in enumerate(ROWS + ODD):
        insert(db, "t", key, row)
    if major >= 14:
        db.sql("insert into t (id, n) values (100, 'Infinity'), (101, '-Infinity')")
    p = load(pipeline, "")
    p.same("t")
    judge_images(db, p.lake, "t")
    assert set(p.ops("public.t")) == {"r"}
    p.carry("update t set id = id + 1000")
    p.same("t")
