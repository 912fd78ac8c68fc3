"""Partitioned tables, published by leaf and by root."""
import pytest

SCHEMA = """
create table sale (id int, region text, amount numeric(8,2), primary key (id, region)) partition by list (region);
create table sale_north partition of sale for values in ('north');
create table sale_south (amount numeric(8,2), region text not null, id int not null);
alter table sale attach partition sale_south for values in ('south');
alter table sale_south add primary key (id, region);
"""
ROOT_SCHEMA = SCHEMA.replace("alter table sale_south add primary key (id, region);", "")
CHANGES = ("insert into sale values (1, 'north', 1.5), (2, 'south', 2.5)", "update sale set amount = 9 where id = 2",
           "update sale set region = 'south' where id = 1", "delete from sale where id = 2")


@pytest.mark.versions(11, 12, 18)
@pytest.mark.since(11)
def test_leaves(pipeline, db):
    """EDGE 22: leaf names; a row that crosses is a delete on one leaf and an insert on the other."""
    p = pipeline(ROOT_SCHEMA, tables="public.sale_*")
    p.carry(*CHANGES)
    p.same("sale_north", "sale_south")
    assert p.ops("public.sale_north") == "cd" and p.ops("public.sale_south") == "cucd"
    gone, come = p.records("public.sale_north")[1], p.records("public.sale_south")[2]
    assert gone["transaction"]["id"] == come["transaction"]["id"]
    assert p.records("public.sale_south")[0]["after"]["id"] == 2


@pytest.mark.versions(13, 18)
@pytest.mark.since(13)
def test_via_root(pipeline, db):
    """EDGE 23: the root's name throughout, columns by name whatever a leaf's order."""
    db.script(ROOT_SCHEMA + "create publication tailrace_erp for table sale with (publish_via_partition_root = true)")
    p = pipeline(tables="public.sale")
    p.carry(*CHANGES)
    p.same("sale")
    assert p.lake.tables() == ["public.sale"]
    assert p.ops("public.sale") == "ccudcd"
    assert p.sqlite("select id, region, amount from sale") == [(1, "south", "1.50")]


@pytest.mark.since(13)
def test_root_selected_without_a_publication(pipeline, db):
    """EDGE 23: a pattern that selects the root carries every change of its leaves."""
    p = pipeline(ROOT_SCHEMA, tables="public.sale")
    p.carry(*CHANGES)
    rows = [r for t in p.lake.tables() for r in p.records(t)]
    assert len(rows) == 6


@pytest.mark.since(13)
def test_detached_and_attached(pipeline, db):
    """EDGE 24: rows appear and vanish without events when a partition is detached or attached."""
    db.script(ROOT_SCHEMA + "create publication tailrace_erp for table sale with (publish_via_partition_root = true)")
    p = pipeline(tables="public.sale")
    p.carry("insert into sale values (1, 'north', 1), (2, 'south', 2)")
    log = p.carry("alter table sale detach partition sale_north", "insert into sale values (3, 'south', 3)")
    assert p.sqlite("select id from sale order by id") == [(1,), (2,), (3,)]
    assert "sale" in log
