#!/usr/bin/env python3
"""Kills the agent and its MySQL or MariaDB server under load, with a sqlite and a Kafka sink (run.py is the one of PostgreSQL).

    run_mysql.py                MariaDB 10.11 and MySQL 9.7 with GTIDs, MySQL 8.0 without
    run_mysql.py --short        MariaDB 10.11 alone, sqlite and files, in a minute

The agent gets `kill -9` at random instants and at each named step in turn, its first start included; disks fail
under it; its server is stopped and killed; its link to the server carries nothing any more without a word; binlog files
end every few seconds and are purged as soon as the sinks' checkpoints are past them.  Besides the workload there are
transactions larger than what the agent writes at once, XA transactions that stay prepared for a while, over
kills and restarts, some of which are rolled back in the end, and, where the server lets one transaction write both, ROLLBACK and ROLLBACK TO
SAVEPOINT of what was written to InnoDB beside a MyISAM table.
"""
import argparse
import contextlib
import json
import random
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash"), str(ROOT / "tests/fault")]

import run as crash                                             # noqa: E402
from common import judge_copies, program_with_failpoints        # noqa: E402
from proxy import Proxy                                         # noqa: E402
from tests.lib import judge, kafka, mysql, results              # noqa: E402
from tests.lib import workload_mysql as workload                # noqa: E402
from tests.lib.agent import Agent, wait_for                     # noqa: E402
from tests.lib.judge_mysql import Source                        # noqa: E402

crash.REACH["kafka_sent"] = 12
AUDIT = ("create table audit (id int auto_increment primary key, writer int not null, note varchar(100) not null)"
         " engine=myisam")
# (server, GTIDs, kills of the agent, of the server, halts of the link)
LONG = (("mariadb10.11", True, 36, 5, 2), ("mysql9.7", True, 36, 4, 2), ("mysql8.0", False, 36, 4, 2))
SHORT = (("mariadb10.11", True, 9, 2, 1),)
FIGURES = ("server", "gtid", "sinks", "kills", "at_random", "server_kills", "halts", "io_errors", "binlogs", "purged",
           "xa", "audited", "transactions", "rows_compared", "seconds", "result")


class Big(crash.Big):
    LOST = workload.Writer.LOST

    def __init__(self, connect, seed):
        super().__init__(connect)
        self.random = random.Random(f"{seed}/{self.NUMBER}")

    def one(self, c):
        cur = c.cursor()
        seq = self.next(cur)
        cur.execute("insert into stock values (%s, 'BIG', %s, now(6), 0) on duplicate key update qty = qty + %s",
                    (self.NUMBER * 10, self.MOVES, self.MOVES))
        cur.executemany("insert into stock_moves (warehouse, sku, qty, note) values (%s, 'BIG', 1, %s)",
                        [(self.NUMBER * 10, f"{self.random.getrandbits(128):032x}") for _ in range(self.MOVES)])
        self.manifest(cur, seq, self.MOVES + 1, self.MOVES)
        c.commit()
        self.transactions = seq

    def manifest(self, cur, seq, changes, moves):
        cur.execute(workload.Writer.MANIFEST, (self.NUMBER, seq, changes, moves))

    def moves(self, cur, n, note):
        cur.executemany("insert into stock_moves (warehouse, sku, qty, note) values (%s, 'ODD', 1, %s)",
                        [(self.NUMBER * 10, note)] * n)


class Whole(Big):
    """Its statements are left alone when the server ends: what becomes of a MyISAM table or of an XA PREPARE that
    was being written then is not said alike by the table and by the binlog."""

    def __init__(self, connect, seed, quiet):
        super().__init__(connect, seed)
        self.quiet = quiet


class Xa(Whole):
    """Prepared transactions that wait; a few are rolled back, or left to another connection."""
    PAUSE = 0.2

    def __init__(self, connect, seed, quiet, number):
        self.NUMBER = number
        super().__init__(connect, seed, quiet)
        self.ended = 0

    def one(self, c):
        c.autocommit(True)      # without, MariaDB takes every XA COMMIT of another session's for one within a transaction
        cur = c.cursor()
        with self.quiet:
            self.end_prepared(cur)
            seq = self.next(cur)
            xid = f"'{self.NUMBER}-{seq}'"
            cur.execute(f"xa start {xid}")
            n = self.random.choice((1, 3, 400))
            self.moves(cur, n, "in two phases")
            self.manifest(cur, seq, n, n)
            cur.execute(f"xa end {xid}")
            if self.random.random() < 0.1:
                cur.execute(f"xa commit {xid} one phase")
                self.transactions = seq
                return
            cur.execute(f"xa prepare {xid}")
        self.halt.wait(self.random.choice((0, 0.5, 3)) * self.random.random())
        if self.random.random() < 0.7:
            with self.quiet:
                self.end(cur, xid)
        self.transactions = seq

    def end(self, cur, xid):
        cur.execute(f"xa {'rollback' if self.random.random() < 0.2 else 'commit'} {xid}")
        self.ended += 1

    def end_prepared(self, cur):
        """What a connection of ours left prepared; it may take a moment to go."""
        cur.execute("xa recover")
        for xid in [row[3] for row in cur.fetchall()]:
            name = xid.decode() if isinstance(xid, bytes) else xid
            if name.startswith(f"{self.NUMBER}-"):
                self.end(cur, f"'{name}'")

    def stop(self):
        """Nothing stays prepared."""
        super().stop()
        end = time.monotonic() + 30
        while True:
            try:
                with contextlib.closing(self.connect()) as c:
                    c.autocommit(True)
                    return self.end_prepared(c.cursor())
            except self.LOST:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


class Mixed(Whole):
    """Writes MyISAM in transactions that are rolled back, whole or to a savepoint."""
    NUMBER, PAUSE = 93, 0.3

    def __init__(self, connect, seed, quiet):
        super().__init__(connect, seed, quiet)
        self.audited = 0

    def audit(self, cur, note):
        cur.execute("insert into audit (writer, note) values (%s, %s)", (self.NUMBER, note))
        self.audited += 1

    def one(self, c):
        cur = c.cursor()
        with self.quiet:
            seq = self.next(cur)
            c.commit()
            if self.random.random() < 0.3:
                self.moves(cur, self.random.choice((1, 50)), "rolled back")
                self.audit(cur, "stays")
                c.rollback()
                cur.execute("delete from audit order by id limit 1" if self.random.random() < 0.3 else
                            "update audit set note = concat(note, '!') order by id desc limit 2")
                c.commit()
                return
            kept, gone = self.random.choice((1, 3, 300)), self.random.choice((1, 5, 300))
            self.moves(cur, kept, "kept")
            cur.execute("savepoint `a b`")
            self.moves(cur, gone, "rolled back to a savepoint")
            self.audit(cur, "stays beside a savepoint")
            cur.execute("rollback to `a b`")
            self.moves(cur, 1, "after it")
            self.manifest(cur, seq, kept + 1, kept + 1)
            c.commit()
        self.transactions = seq


class Rotation(crash.Other):
    """Ends binlog files, and purges those that every sink is past: one alone may be ahead of a spool whose disk failed."""
    LOST, PAUSE = workload.Writer.LOST, 2

    def __init__(self, connect, checkpoints):
        super().__init__(connect)
        self.checkpoints = checkpoints

    def one(self, c):
        cur = c.cursor()
        cur.execute("flush binary logs")
        tokens = [found and found["resume"] for found in self.checkpoints()]
        if all(tokens):
            cur.execute(f"purge binary logs to '{min(t['file'] for t in tokens)}'")


class MysqlPipeline(crash.Pipeline):
    SERVER_ENDS = ("stop", "kill -9")
    PATIENCE, IDLE = 25, 400

    def __init__(self, plan, kind, program, seed, folder):
        name, self.gtid, kills, server_kills, self.halts = plan
        self.quiet, self.broker, self.halted = threading.Lock(), None, 0
        super().__init__(name, kind, kills, server_kills, program, seed, folder)
        self.proxy = Proxy(self.server.port).__enter__()
        if "kafka" in kind:
            self.broker = kafka.Kafka().start()

    def new_server(self):
        return mysql.server(self.major, gtid=self.gtid, settings={"myisam_recover_options": "FORCE"})

    def title(self):
        return title(self.major, self.gtid, self.kind)

    def steps(self):
        return [*super().steps(), "kafka_sent"] if self.broker else super().steps()

    def plan(self):
        plan = super().plan()
        for i in range(self.halts):
            plan.insert(self.random.randint(0, len(plan)), "halt")
        return plan

    def one(self, victim):
        if victim == "halt":
            self.halt_link()
        else:
            super().one(victim)

    # --- what there is

    @property
    def mixed(self):
        """With enforced GTID consistency one transaction cannot write both."""
        return self.server.is_mariadb or not self.gtid

    def prepare(self):
        self.proxy.target = self.server.port
        self.db = self.server.database("erp", *workload.schema(self.server), AUDIT)
        url = self.db.url().replace(f":{self.server.port}/", f":{self.proxy.port}/")
        sinks = crash.sinks_of("sqlite" if self.broker else "both", self.folder / "agent")
        if self.broker:
            sinks["topics"] = {"type": "kafka", "brokers": self.broker.address, "partitions": 3}
        self.agent = Agent(self.folder / "agent", url, tables="erp.*", program=self.program, sinks=sinks, **crash.SMALL)

    def writers(self):
        connect, seed = workload.connector(self.db), self.random.random()
        self.xa = [Xa(connect, seed, self.quiet, number) for number in (91, 92)]
        self.rollbacks = [Mixed(connect, seed, self.quiet)] if self.mixed else []
        load = workload.Workload(connect, writers=3, seed=seed, pause=0.03, kind=workload.Writer)
        return [load, Big(connect, seed), *self.xa, *self.rollbacks, Rotation(connect, self.checkpoints)]

    def checkpoints(self):
        """What each sink has in its target, or None."""
        return [self.of_sqlite(), self.of_kafka() if self.broker else self.of_files()]

    def of_sqlite(self):
        try:
            with contextlib.closing(judge.sqlite_open(self.agent.copy)) as c:
                row = c.execute("select resume from tailrace_checkpoint where resume is not null").fetchone()
        except judge.sqlite3.OperationalError:      # no table yet
            return None
        return row and {"resume": json.loads(row[0])}

    def of_files(self):
        return judge.Lake(self.agent.lake).manifest()

    def of_kafka(self):
        if kafka.CHECKPOINTS not in self.broker.topics():
            return None
        found = [m.value for m in self.broker.peek(kafka.CHECKPOINTS) if m.key == b"erp/topics"]
        return json.loads(found[-1]) if found else None

    def verdict(self):
        source = Source(self.db)
        self.binlogs = [int(path.suffix[1:]) for path in self.server.binlogs()]
        bad, rows = judge_copies(source, self.agent, "erp")
        found, counts = judge.judge_sqlite(source, self.agent.copy, ["erp.audit"])
        bad += [f"sqlite: {b}" for b in found]
        rows += sum(counts.values())
        if self.broker:
            found, counts = kafka.judge_kafka(source, self.broker, [f"erp.{t}" for t in workload.TABLES], transactions=True)
            more, audit = kafka.judge_kafka(source, self.broker, ["erp.audit"])
            bad += [f"kafka: {b}" for b in found + more]
            rows += sum({**counts, **audit}.values())
        return bad, rows

    def run(self):
        row = super().run()
        row.update(halts=self.halted, binlogs=self.binlogs[-1], purged=self.binlogs[0] - 1, xa=sum(x.ended for x in self.xa),
                   audited=sum(m.audited for m in self.rollbacks))
        if self.kills >= 30 and (row["purged"] < 1 or row["xa"] < 1 or self.rollbacks and row["audited"] < 1):
            row["complaints"] += 1
            row["what"].append(f"not all was done: {row}")
        return row

    # --- what is done to it

    def end_server(self, how):
        with self.quiet:
            if how == "stop":
                self.server.stop()
            else:
                self.server.kill()

    def begin_server(self):
        self.server.start()
        self.proxy.target = self.server.port

    def position(self):
        status = self.agent.status(check=False)
        return status and min(judge.position(s["position"]) if s["position"] else () for s in status["sinks"])

    def moves_on(self, seconds):
        """The copies get further than they are."""
        before = wait_for(self.position, seconds, "a position")

        def further():
            self.agent.must_run()
            now = self.position()
            return now and now > before
        wait_for(further, seconds, f"a position after {before}\n{self.agent.log_tail()}", every=0.5)

    def halt_link(self):
        """It stays open and carries nothing; the agent has to notice."""
        self.start()
        self.moves_on(120)
        wait_for(self.proxy.halt, 60, "a connection to halt")
        self.halted += 1
        time.sleep(1)
        self.moves_on(180)
        self.proxy.cut()

    def close(self):
        super().close()
        self.proxy.__exit__()
        if self.broker:
            self.broker.destroy()


def title(server, gtid, kind):
    return {"server": server, "gtid": "yes" if gtid else "no", "sinks": kind}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--short", action="store_true", help="a minute")
    parser.add_argument("--servers", help="only these, e.g. mariadb10.11,mysql9.7")
    parser.add_argument("--kills", type=int, help="kills of the agent in each pipeline")
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folders of failed pipelines")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)
    kind = "sqlite and files" if args.short else "sqlite and kafka"
    print(f"seed {args.seed}", flush=True)
    rows = []
    for plan in SHORT if args.short else LONG:
        if args.servers and plan[0] not in args.servers.split(","):
            continue
        if args.kills is not None:
            plan = (*plan[:2], args.kills, *plan[3:])
        rows.append(crash.run_one(lambda folder: MysqlPipeline(plan, kind, args.program, args.seed, folder),
                                  title(plan[0], plan[1], kind), args.keep))
    results.table(rows, FIGURES)
    if not args.no_save:
        results.save("crash-mysql-short" if args.short else "crash-mysql", {"seed": args.seed, "runs": rows})
    return 1 if any(r["result"] != "ok" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
