"""An ERP-like database and writers whose transactions can be told apart afterwards.

Every transaction ends with a row in tx_manifest: which writer, its running number, how many row
changes the transaction makes besides this row, and how many stock moves.  So a judge that sees only
the copy can tell a lost, doubled, torn or misordered transaction (judge.py).

Invariants that hold in every committed state:
  stock.qty of each place = sum of stock_moves.qty of it    (a transfer writes two moves, two places)
  orders.lines = number of its order_lines
  writers number their transactions 1, 2, 3 ... without a gap
"""
import random
import threading
import time

import psycopg

SCHEMA = """
create table customers (
    id bigint primary key, code varchar(20) not null, name text not null, email text,
    credit numeric(12,2) not null default 0, active boolean not null default true,
    since date not null default current_date, notes text, attributes jsonb);
create table orders (
    id bigint primary key, customer_id bigint not null, status varchar(12) not null,
    ordered_at timestamptz not null, total numeric(14,2) not null, lines int not null default 0,
    remark text);
create table order_lines (
    order_id bigint not null, line_no int not null, sku varchar(32) not null,
    qty numeric(14,3) not null, price numeric(18,4) not null, due date, tags text[],
    primary key (order_id, line_no));
create table stock (
    warehouse int not null, sku varchar(32) not null, qty numeric(14,3) not null,
    counted_at timestamp, ratio double precision, primary key (warehouse, sku));
create table stock_moves (
    id bigserial primary key, warehouse int not null, sku varchar(32) not null,
    qty numeric(14,3) not null, moved_at timestamptz not null default clock_timestamp(),
    doc uuid, lot bytea, weight real, at_time time, note text);
create table tx_manifest (
    writer int not null, seq bigint not null, n_changes int not null, moves int not null,
    txid bigint not null, primary key (writer, seq));
"""
TABLES = ("customers", "orders", "order_lines", "stock", "stock_moves", "tx_manifest")
# TOAST stores what stays large after compression; random text does.
LONG = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))


class Writer(threading.Thread):
    """One sequential client.  Survives restarts of the server: after a lost connection it looks at
    the manifest to learn what became of its last transaction."""
    LOST = psycopg.OperationalError
    MANIFEST = "insert into tx_manifest values (%s, %s, %s, %s, txid_current())"

    def __init__(self, connect, number, seed=0, pause=0.0, transactions=None):
        super().__init__(name=f"writer-{number}", daemon=True)
        self.connect = connect
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.pause = pause
        self.transactions = transactions
        self.halt = threading.Event()
        self.seq = 0            # committed so far
        self.changes = 0        # row changes committed so far
        self.rolled_back = 0
        self.error = None
        self.conn = None
        self.orders = []        # [id, next line]; ours only, as learnt after each commit
        self.next_id = 0

    def run(self):
        try:
            while not self.halt.is_set():
                if self.transactions is not None and self.seq >= self.transactions:
                    break
                try:
                    self.one()
                except self.LOST:
                    self.recover()
                if self.pause:
                    self.halt.wait(self.random.uniform(0, 2 * self.pause))
        except BaseException as e:  # seen by Workload.stop()
            self.error = e
        finally:
            self.close()

    def close(self):
        if self.conn is not None:
            self.conn.close()

    def recover(self):
        """The server went away: wait for it, then read back what was committed."""
        while not self.halt.is_set():
            try:
                self.close()
                self.conn = self.connect()
                with self.conn.cursor() as cur:
                    cur.execute("select coalesce(max(seq), 0) from tx_manifest where writer = %s",
                                (self.number,))
                    self.seq = cur.fetchone()[0]
                    cur.execute("select id, (select coalesce(max(line_no), 0) + 1 from order_lines"
                                " where order_id = o.id) from orders o where id %% 100 = %s", (self.number,))
                    self.orders = [list(r) for r in cur.fetchall()]
                    cur.execute("select coalesce(max(id) / 100, 0) from (select id from orders where"
                                " id %% 100 = %s union all select id from customers where id %% 100 = %s) x",
                                (self.number, self.number))
                    self.next_id = max(self.next_id, int(cur.fetchone()[0]))
                self.conn.commit()
                return
            except self.LOST:
                self.conn = None
                self.halt.wait(0.2)

    def one(self):
        if self.conn is None:
            self.recover()
            if self.conn is None:
                return
        orders = [list(o) for o in self.orders]
        with self.conn.cursor() as cur:
            changes, moves = self.body(cur)
            if self.random.random() < 0.03:     # the application changes its mind
                self.conn.rollback()
                self.orders = orders
                self.rolled_back += 1
                return
            cur.execute(self.MANIFEST, (self.number, self.seq + 1, changes, moves))
            self.conn.commit()
        self.seq += 1
        self.changes += changes + 1

    def body(self, cur):
        """One to three things an ERP does, some inside a savepoint that may be rolled back."""
        changes = moves = 0
        for _ in range(self.random.randint(1, 3)):
            step = self.random.choices(
                (self.new_order, self.change_order, self.transfer, self.customer, self.move_key,
                 self.drop_order, self.long_one),
                (30, 20, 30, 12, 4, 6, 0.3))[0]
            if self.random.random() < 0.15:
                orders = [list(o) for o in self.orders]
                cur.execute("savepoint s")
                step(cur)
                cur.execute("rollback to savepoint s")
                self.orders = orders
            elif self.random.random() < 0.15:
                cur.execute("savepoint s")
                n, m = step(cur)
                cur.execute("release savepoint s")
                changes, moves = changes + n, moves + m
            else:
                n, m = step(cur)
                changes, moves = changes + n, moves + m
        return changes, moves

    def fresh_id(self):
        self.next_id += 1
        return self.next_id * 100 + self.number

    def sku(self):
        return f"SKU-{self.random.randint(1, 60):05d}"

    def new_order(self, cur):
        n = self.random.randint(1, 6)
        order = self.fresh_id()
        remark = self.random.choice((None, "", "deliver to dock 4", "Grüße aus Köln ✓", LONG))
        cur.execute("insert into orders values (%s, %s, 'new', clock_timestamp(), %s, %s, %s)",
                    (order, self.number, self.random.randint(0, 10**9) / 100, n, remark))
        for line in range(1, n + 1):
            cur.execute("insert into order_lines values (%s, %s, %s, %s, %s, current_date + %s, %s)",
                        (order, line, self.sku(), self.random.randint(-10**6, 10**6) / 1000,
                         self.random.randint(0, 10**8) / 10**4, self.random.randint(0, 90),
                         self.random.choice((None, [], ["rush"], ["a,b", 'c"d', None, "NULL"]))))
        self.orders.append([order, n + 1])
        return n + 1, 0

    def change_order(self, cur):
        if not self.orders:
            return self.new_order(cur)
        order = self.random.choice(self.orders)
        cur.execute("update orders set status = %s, total = total + 1 where id = %s",
                    (self.random.choice(("picked", "packed", "shipped")), order[0]))
        n = cur.rowcount
        cur.execute("update order_lines set qty = qty + 0.5 where order_id = %s", (order[0],))
        n += cur.rowcount
        cur.execute("insert into order_lines values (%s, %s, %s, 1, 2.5)", (order[0], order[1], self.sku()))
        cur.execute("update orders set lines = lines + 1 where id = %s", (order[0],))
        order[1] += 1
        return n + 1 + cur.rowcount, 0

    def drop_order(self, cur):
        if len(self.orders) < 20:
            return self.new_order(cur)
        order = self.orders.pop(self.random.randrange(len(self.orders)))
        cur.execute("delete from order_lines where order_id = %s", (order[0],))
        n = cur.rowcount
        cur.execute("delete from orders where id = %s", (order[0],))
        return n + cur.rowcount, 0

    def move_key(self, cur):
        """The order gets another number: key changes of a parent and its children."""
        if not self.orders:
            return self.new_order(cur)
        order = self.random.choice(self.orders)
        new = self.fresh_id()
        cur.execute("update orders set id = %s where id = %s", (new, order[0]))
        n = cur.rowcount
        cur.execute("update order_lines set order_id = %s where order_id = %s", (new, order[0]))
        order[0] = new
        return n + cur.rowcount, 0

    def customer(self, cur):
        kind = self.random.random()
        if kind < 0.5 or self.next_id == 0:
            cur.execute("insert into customers values (%s, %s, %s, %s, %s, true, current_date, %s, %s)",
                        (self.fresh_id(), f"C{self.next_id}", "Müller & Söhne", None, 1000,
                         self.random.choice((None, "short", LONG)), '{"vat": "x", "n": [1, 2.50]}'))
        elif kind < 0.9:        # notes may be an unchanged TOAST value here
            cur.execute("update customers set credit = credit - 1, active = not active where id ="
                        " (select id from customers where id %% 100 = %s order by id desc limit 1)",
                        (self.number,))
        else:
            cur.execute("delete from customers where id ="
                        " (select min(id) from customers where id %% 100 = %s)", (self.number,))
        return cur.rowcount, 0

    def move(self, cur, warehouse, sku, qty):
        """One stock move and the stock it changes.  The stock row is locked first, as its total
        must agree with the moves at every commit."""
        cur.execute("insert into stock values (%s, %s, %s, localtimestamp, %s)"
                    " on conflict (warehouse, sku) do update set qty = stock.qty + excluded.qty,"
                    " counted_at = localtimestamp",
                    (warehouse, sku, qty, self.random.random()))
        cur.execute("insert into stock_moves (warehouse, sku, qty, doc, lot, weight, at_time, note)"
                    " values (%s, %s, %s, %s::uuid, %s, %s, localtime, %s)",
                    (warehouse, sku, qty,
                     f"{self.random.getrandbits(128):032x}", self.random.randbytes(self.random.randint(0, 24)),
                     self.random.random(), self.random.choice((None, "scanner 7", "aisle 12"))))

    def transfer(self, cur):
        """Between two places; always in the same order, so that two writers cannot deadlock.  Each
        writer has warehouses of its own: one transaction may transfer several times."""
        sku = self.sku()
        qty = self.random.randint(1, 10**5) / 1000
        self.move(cur, self.number * 10 + self.random.randint(0, 1), sku, -qty)
        self.move(cur, self.number * 10 + self.random.randint(2, 4), sku, qty)
        return 4, 2

    def long_one(self, cur):
        """A thousand moves in one statement."""
        warehouse = self.number * 10 + 9
        cur.execute("insert into stock values (%s, 'BULK', 1000, localtimestamp, 0) on conflict (warehouse,"
                    " sku) do update set qty = stock.qty + 1000", (warehouse,))
        cur.execute("insert into stock_moves (warehouse, sku, qty, note)"
                    " select %s, 'BULK', 1, 'bulk ' || g from generate_series(1, 1000) g", (warehouse,))
        return 1001, 1000


class Workload:
    """Several writers on one database."""

    def __init__(self, connect, writers=4, seed=0, pause=0.0, transactions=None, kind=Writer):
        self.writers = [kind(connect, i + 1, seed, pause, transactions) for i in range(writers)]

    def start(self):
        self.started = time.monotonic()
        for w in self.writers:
            w.start()
        return self

    def stop(self):
        """Ends the writers after the transaction at hand; raises what any of them met."""
        for w in self.writers:
            w.halt.set()
        return self.join()

    def join(self, timeout=120):
        for w in self.writers:
            w.join(timeout)
            if w.is_alive():
                raise RuntimeError(f"{w.name} hangs")
            if w.error is not None:
                raise RuntimeError(f"{w.name} failed: {w.error!r}") from w.error
        return self

    @property
    def transactions(self):
        return sum(w.seq for w in self.writers)

    @property
    def changes(self):
        return sum(w.changes for w in self.writers)


def connector(database):
    """connect() for Workload: one of pg.Database."""
    return lambda: database.connect(autocommit=False)
