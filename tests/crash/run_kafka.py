#!/usr/bin/env python3
"""Kills the agent, the broker and takes over from sleeping agents under load, with a Kafka sink.

    run_kafka.py --kills 60 --broker-kills 10 --zombies 5 --kafka 3.9.1,4.3.1

Kills of the agent come at random and at each named step in turn; a zombie is an agent stopped
(SIGSTOP) until its transaction has timed out at the broker, while a second one of the same pipeline
with a state_dir of its own takes over: continued, it must end with exit code 4.  At the end a
read_committed consumer that is not librdkafka must see every transaction of the source once, whole,
in order within each partition.
"""
import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash")]

import run as crash                                         # noqa: E402
from common import program_with_failpoints                  # noqa: E402
from tests.lib import kafka, results                        # noqa: E402
from tests.lib.agent import Agent, AgentFailed              # noqa: E402
from tests.lib.workload import SCHEMA, TABLES, Workload, connector    # noqa: E402

STEPS = ("appended", "published", "written", "kafka_sent", "committed", "acknowledged")
crash.REACH["kafka_sent"] = 12
TRANSACTION_TIMEOUT = 6


class KafkaPipeline(crash.Pipeline):
    def __init__(self, args, version, folder):
        super().__init__(15, f"kafka {version}", args.kills, 0, args.program, args.seed, folder)
        self.broker_kills, self.zombies = args.broker_kills, args.zombies
        self.broker = kafka.Kafka(version).start()
        self.agents = 0

    def new_agent(self):
        self.agents += 1
        sink = {"type": "kafka", "brokers": self.broker.address, "partitions": 3,
                "transaction_timeout": f"{TRANSACTION_TIMEOUT}s"}
        return Agent(self.folder / f"agent{self.agents}", self.db.url(), tables="public.*", program=self.program,
                     sinks={"lake": sink}, **crash.SMALL)

    def steps(self):
        return STEPS

    def plan(self):
        plan = [STEPS[i % len(STEPS)] for i in range(self.kills * 2 // 3)]
        plan += ["random"] * (self.kills - len(plan))
        plan += ["broker"] * self.broker_kills + ["zombie"] * self.zombies
        self.random.shuffle(plan)
        return plan

    def one(self, victim):
        if victim == "broker":
            self.kill_broker()
        elif victim == "zombie":
            self.zombie()
        else:
            super().one(victim)

    def kill_broker(self):
        self.start()
        time.sleep(self.random.uniform(0.5, 3))
        self.broker.kill()
        if self.random.random() < 0.3:
            self.agent.kill()
            self.start()
        time.sleep(self.random.uniform(0, 2))
        self.broker.start()
        time.sleep(self.random.uniform(0, 2))
        self.agent.must_run()
        self.done["broker"] += 1

    def zombie(self):
        """The second may need the first's open transaction to time out: it waits for it, and so do we."""
        self.start()
        time.sleep(self.random.uniform(1, 3))
        old, self.agent = self.agent, None
        old.must_run()
        old.process.send_signal(signal.SIGSTOP)
        self.agent = self.new_agent()
        self.agent.start(timeout=60)
        time.sleep(TRANSACTION_TIMEOUT + self.random.uniform(1, 3))
        self.agent.must_run()
        old.process.send_signal(signal.SIGCONT)
        code = old.wait_exit(90)
        if code != 4:
            self.bad.append(f"a zombie ended with {code}\n{old.log_tail()}")
        self.done["zombie"] += 1

    def run(self):
        begun = time.monotonic()
        with self.server:
            self.db = self.server.database("erp", SCHEMA.replace("tags text[]", "tags text"))
            self.agent = self.new_agent()
            self.first_start()
            load = Workload(connector(self.db), writers=3, seed=self.random.random(), pause=0.02).start()
            big = crash.Big(connector(self.db))
            big.start()
            try:
                for victim in self.plan():
                    self.one(victim)
            finally:
                self.agent.kill()
                big.halt.set()
                load.stop()
                big.join()
            self.agent.until_idle(timeout=180)
            found, rows = kafka.judge_kafka(self.db.conn, self.broker, [f"public.{t}" for t in TABLES],
                                            transactions=True)
            self.bad += found
            self.db.close()
        for step in STEPS:
            if self.kills >= 4 * len(STEPS) and not self.done[step]:
                self.bad.append(f"step {step} was never reached")
        kills = sum(self.done.values()) - self.done["broker"] - self.done["zombie"]
        return {"kafka": self.broker.version, "kills": kills, "at_random": self.done["random"],
                "broker_kills": self.done["broker"], "zombies": self.done["zombie"],
                "transactions": load.transactions + big.transactions, "rows_compared": sum(rows.values()),
                "seconds": round(time.monotonic() - begun), "complaints": len(self.bad),
                "by_step": {s: self.done[s] for s in STEPS}, "what": self.bad[:20]}


def run_one(args, version, folder):
    pipeline = None
    try:
        pipeline = KafkaPipeline(args, version, folder)
        row = pipeline.run()
    except Exception:
        row = {"kafka": version, "complaints": 1, "what": [traceback.format_exc()[-6000:]]}
    finally:
        if pipeline is not None:
            if getattr(pipeline, "agent", None):
                pipeline.agent.kill()
            pipeline.server.destroy()
            pipeline.broker.destroy()
    row["result"] = "ok" if not row["complaints"] else "FAILED"
    for what in row["what"]:
        print(f"  {what}", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kafka", default=",".join(kafka.VERSIONS), help="versions of the broker")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--broker-kills", type=int, default=10)
    parser.add_argument("--zombies", type=int, default=5)
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)
    print(f"seed {args.seed}", flush=True)
    rows = []
    for version in args.kafka.split(","):
        folder = tempfile.mkdtemp(prefix="tailrace-crash-")
        rows.append(run_one(args, version, folder))
        if rows[-1]["result"] == "ok":
            subprocess.run(["rm", "-rf", folder], check=True)
        else:
            print(f"  left in {folder}")
    results.table(rows, ("kafka", "kills", "at_random", "broker_kills", "zombies", "transactions", "rows_compared",
                         "seconds", "result"))
    if not args.no_save:
        results.save("crash-kafka", {"seed": args.seed, "runs": rows})
    return 1 if any(r["result"] != "ok" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
