-- The benches' workload: a stock ledger of a warehouse.
-- call gen(20000, 25) makes 20,000 transactions of 25 inserts, each second one followed by a
-- transaction that updates its 25 rows: 750,000 changes, 500,000 rows, 167 MB of WAL.
create table stock_move (
    id           bigint primary key,
    sku          varchar(32) not null,
    warehouse_id int not null,
    qty          numeric(14,3) not null,
    unit_cost    numeric(18,4),
    currency     char(3),
    status       smallint,
    moved_at     timestamptz not null,
    doc_date     date,
    note         text,
    lot          uuid,
    is_return    boolean not null
);

create function moves(first bigint, n int) returns setof stock_move language sql as $$
    select i, 'SKU-' || lpad((i % 50000)::text, 8, '0'), (i % 40)::int, (i % 1000) * 1.125,
           (i % 9000) * 0.5037, 'EUR', (i % 7)::smallint,
           timestamptz '2026-01-01 00:00:00.123456+00' + (i || ' s')::interval,
           date '2026-01-01' + (i % 365)::int,
           'moved by scanner ' || (i % 100) || ' aisle ' || (i % 77),
           md5(i::text)::uuid, i % 11 = 0
    from generate_series(first, first + n - 1) i
$$;

create procedure gen(transactions int, per int) language plpgsql as $$
declare
    first bigint;
begin
    for t in 0 .. transactions - 1 loop
        first := t::bigint * per;
        insert into stock_move select * from moves(first, per);
        commit;
        if t % 2 = 0 then
            update stock_move set qty = qty + 1, status = 9 where id between first and first + per - 1;
            commit;
        end if;
    end loop;
end $$;

-- call ticks(6000, 200) makes 6,000 transactions of one row at an even pace of 200 a second.  The note
-- says when: "@us=" and the microseconds since 1970, taken as the row is made, just before its commit.
create procedure ticks(n int, per_second int) language plpgsql as $$
declare
    due timestamptz := clock_timestamp();
begin
    set synchronous_commit = on;     -- or the log is written out, and sent, only every wal_writer_delay
    for i in 1 .. n loop
        insert into stock_move
        select -i, sku, warehouse_id, qty, unit_cost, currency, status, moved_at, doc_date,
               '@us=' || (extract(epoch from clock_timestamp()) * 1000000)::bigint, lot, is_return
        from moves(i, 1);
        commit;
        due := due + interval '1 second' / per_second;
        perform pg_sleep(extract(epoch from due - clock_timestamp()));
    end loop;
end $$;
