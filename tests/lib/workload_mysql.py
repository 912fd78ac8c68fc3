"""The workload of workload.py for MySQL and MariaDB: the same tables and invariants, the types that such a
database would have, each transaction with its row in tx_manifest.
"""
import contextlib

import pymysql

from . import workload
from .workload import LONG, TABLES, Workload  # noqa: F401


def schema(server):
    """CREATE TABLE statements, for mysql.Database.script()."""
    json = "json" if server.number >= ((10, 2, 7) if server.is_mariadb else (5, 7, 8)) else "longtext"
    return (
        "create table customers (id bigint primary key, code varchar(20) not null, name varchar(200) not null, email varchar(100),"
        " credit decimal(12,2) not null default 0, active boolean not null default true, since date not null, notes text,"
        f" attributes {json}) engine=innodb",
        "create table orders (id bigint primary key, customer_id bigint not null, status enum('new','picked','packed','shipped')"
        " not null, ordered_at timestamp(6) not null default current_timestamp(6), total decimal(14,2) not null,"
        " `lines` int not null default 0, remark text) engine=innodb",
        "create table order_lines (order_id bigint not null, line_no int not null, sku varchar(32) not null, qty decimal(14,3) not null,"
        " price decimal(18,4) not null, due date, tags set('rush','cold','fragile','übergroß'), primary key (order_id, line_no)) engine=innodb",
        "create table stock (warehouse int not null, sku varchar(32) not null, qty decimal(14,3) not null, counted_at datetime(6),"
        " ratio double, primary key (warehouse, sku)) engine=innodb",
        "create table stock_moves (id bigint unsigned auto_increment primary key, warehouse int not null, sku varchar(32) not null,"
        " qty decimal(14,3) not null, moved_at timestamp(6) not null default current_timestamp(6), doc binary(16), lot varbinary(24),"
        " weight float, at_time time(6), note varchar(100) character set latin1) engine=innodb",
        "create table tx_manifest (writer int not null, seq bigint not null, n_changes int not null, moves int not null,"
        " primary key (writer, seq)) engine=innodb")


class Writer(workload.Writer):
    # A deadlock is among them: it ends the transaction, and recover() looks where things are.
    LOST = (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.InternalError)
    MANIFEST = "insert into tx_manifest values (%s, %s, %s, %s)"

    def close(self):
        if self.conn is not None and self.conn.open:
            with contextlib.suppress(OSError):
                self.conn.close()

    def new_order(self, cur):
        n = self.random.randint(1, 6)
        order = self.fresh_id()
        remark = self.random.choice((None, "", "deliver to dock 4", "Grüße aus Köln ✓ 😀", LONG))
        cur.execute("insert into orders values (%s, %s, 'new', now(6), %s, %s, %s)",
                    (order, self.number, self.random.randint(0, 10**9) / 100, n, remark))
        for line in range(1, n + 1):
            cur.execute("insert into order_lines values (%s, %s, %s, %s, %s, current_date + interval %s day, %s)",
                        (order, line, self.sku(), self.random.randint(-10**6, 10**6) / 1000,
                         self.random.randint(0, 10**8) / 10**4, self.random.randint(0, 90),
                         self.random.choice((None, "", "rush", "cold,fragile", "übergroß"))))
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
        cur.execute("insert into order_lines (order_id, line_no, sku, qty, price) values (%s, %s, %s, 1, 2.5)",
                    (order[0], order[1], self.sku()))
        cur.execute("update orders set `lines` = `lines` + 1 where id = %s", (order[0],))
        order[1] += 1
        return n + 1 + cur.rowcount, 0

    def customer(self, cur):
        kind = self.random.random()
        if kind < 0.5 or self.next_id == 0:
            cur.execute("insert into customers values (%s, %s, %s, %s, %s, true, current_date, %s, %s)",
                        (self.fresh_id(), f"C{self.next_id}", "Müller & Söhne", None, 1000,
                         self.random.choice((None, "short", LONG)), '{"vat": "x", "n": [1, 2.50]}'))
            return cur.rowcount, 0
        # A table cannot be asked in its own UPDATE, and only our rows may be locked.
        most = kind < 0.9
        cur.execute(f"select {'max' if most else 'min'}(id) from customers where id %% 100 = %s", (self.number,))
        ours = cur.fetchone()[0]
        if most:
            cur.execute("update customers set credit = credit - 1, active = not active where id = %s", (ours,))
        else:
            cur.execute("delete from customers where id = %s", (ours,))
        return cur.rowcount, 0

    def move(self, cur, warehouse, sku, qty):
        cur.execute("insert into stock values (%s, %s, %s, now(6), %s) on duplicate key update qty = qty + %s, counted_at = now(6)",
                    (warehouse, sku, qty, self.random.random(), qty))
        cur.execute("insert into stock_moves (warehouse, sku, qty, doc, lot, weight, at_time, note)"
                    " values (%s, %s, %s, %s, %s, %s, current_time(6), %s)",
                    (warehouse, sku, qty, self.random.randbytes(16), self.random.randbytes(self.random.randint(0, 24)),
                     self.random.random(), self.random.choice((None, "scanner 7", "aisle 12", "Größe"))))

    def long_one(self, cur):
        """A thousand moves in one statement."""
        warehouse = self.number * 10 + 9
        cur.execute("insert into stock values (%s, 'BULK', 1000, now(6), 0) on duplicate key update qty = qty + 1000", (warehouse,))
        cur.execute("insert into stock_moves (warehouse, sku, qty, note) values "
                    + ", ".join(f"({warehouse}, 'BULK', 1, 'bulk {g}')" for g in range(1000)))
        return 1001, 1000


def connector(database):
    """connect() for Workload: one of mysql.Database.  READ COMMITTED, so that no writer waits for another's gaps."""
    def connect():
        return database.connect(autocommit=False, init_command="set session transaction isolation level read committed")
    return connect


def start(database, **kw):
    """The tables made if they are not there, the writers started."""
    if not database.sql("show tables like 'tx_manifest'"):
        database.script(*schema(database.server))
    return Workload(connector(database), kind=Writer, **kw).start()
