"""Parts of the bench with a database as the target, beside that database's own replication."""
import time

from tests.bench.measure import Measured, row_of
from tests.lib.agent import wait_for
from tests.lib.pg import Postgres

SUM = "select count(*), sum(qty), sum(status), sum(unit_cost), max(moved_at) from stock_move"


class Waited:
    """A run that was timed from outside."""

    def __init__(self, wall, cpu=0.0, peak=0):
        self.wall, self.cpu, self.peak = wall, cpu, peak


class TargetParts:
    """Mixed into Bench: needs self.server, self.args, self.rows, self.check."""

    def part_postgres_target(self):
        db, changes = self.small()
        want = db.sql(SUM)[0]
        owns, runs = [], []
        with Postgres(15, settings={"shared_buffers": "'512MB'", "max_wal_size": "'4GB'"}) as target:
            for i in range(self.args.times):
                owns.append(self.subscription(db, target, want))
                runs.append(self.copy_into(db, target, want))
                print(f"postgres-target {i + 1}: subscription {owns[-1].wall:.2f} s,"
                      f" tailrace {runs[-1].wall:.2f} s", flush=True)
        self.rows += [row_of("Postgres' own subscription", owns, changes),
                      row_of("catch-up into PostgreSQL", runs, changes)]
        ratio = self.rows[-1]["seconds"] / self.rows[-2]["seconds"]
        self.rows[-1]["ratio"] = round(ratio, 3)
        self.check("catch-up into PostgreSQL against its own subscription", ratio, 1.2, "x")
        self.check("peak memory, catch-up into PostgreSQL", self.rows[-1]["peak_mb"], 64, "MB")

    def must_equal(self, copy, want):
        have = copy.sql(SUM)[0]
        if have != want:
            raise SystemExit(f"postgres-target: {have} in the copy, {want} in the source")

    def subscription(self, db, target, want):
        """From ALTER SUBSCRIPTION ... ENABLE until the last transaction's last row is there."""
        slot = self.slot(db)
        copy = target.database("own", (self.root / "tests/bench/workload.sql").read_text())
        last = db.one("select max(id) from stock_move")
        copy.sql(f"create subscription s connection '{db.url()}' publication {db.name} with"
                 f" (copy_data = false, create_slot = false, enabled = false, slot_name = '{slot}')")
        begun = time.monotonic()
        copy.sql("alter subscription s enable")
        wait_for(lambda: copy.sql("select 1 from stock_move where id = %s", (last,)), 600, "the subscription", every=0.01)
        wall = time.monotonic() - begun
        self.must_equal(copy, want)
        copy.sql("alter subscription s disable")
        copy.sql("alter subscription s set (slot_name = none)")
        copy.sql("drop subscription s")
        copy.close()
        self.drop_slot(db, slot)
        return Waited(wall)

    def copy_into(self, db, target, want):
        copy = target.database("ours")
        agent = self.agent(db, ["postgres"], more={"postgres": {"type": "postgres", "url": copy.url()}})
        run = Measured([agent.program, "run", "-c", agent.conf, "--until-idle"], agent.log_path).wait()
        self.must_equal(copy, want)
        copy.close()
        self.finish(db, agent)
        return run
