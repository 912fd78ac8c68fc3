#!/usr/bin/env python3
"""Kills agents and brokers, delays and loses ends of transactions, and takes over from sleeping agents under load.

    run_kafka.py --kafka 3.9.1,4.3.1 --cases one,link,three

one     one broker with its controller apart: kill -9 of the agent (at random and at each named step in turn) and of the broker, and
        zombies: an agent stopped (SIGSTOP) until its transaction has timed out at the broker, while a second
        one of the same pipeline with a state_dir of its own takes over; continued, it must end with exit code 4
link    one broker behind a link that holds an EndTxn and lets it go in the middle of a later transaction, or
        loses its answer; in every fourth round the agent is killed meanwhile
three   three brokers, of which one at a time is killed, most often a leader that counts

At the end of each a read_committed consumer that is not librdkafka must see every transaction of the source
once, whole, in order within each partition.
"""
import argparse
import concurrent.futures
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/crash"), str(ROOT / "tests/fault")]

import run as crash                                         # noqa: E402
from common import program_with_failpoints                  # noqa: E402
from kafka_proxy import END_TXN, KafkaProxy                 # noqa: E402
from tests.lib import kafka, results                        # noqa: E402
from tests.lib.agent import Agent, AgentFailed, wait_for    # noqa: E402
from tests.lib.workload import SCHEMA, TABLES, Workload, connector    # noqa: E402

STEPS = ("appended", "published", "written", "kafka_sent", "committed", "acknowledged")
crash.REACH["kafka_sent"] = 12
crash.Big.MOVES = 3000
FIGURES = ("kills", "broker_kills", "one_of_three_kills", "late_ends", "lost_answers", "zombies", "transactions",
           "rows_compared", "seconds", "complaints")


class KafkaPipeline(crash.Pipeline):
    """One source, one agent with a Kafka sink, one workload.  A case adds its brokers and its victims."""
    case, kills, at_steps, transaction_timeout = "", 0, True, 6
    # what the plan holds besides kills of the agent -> how often
    victims = {}

    def __init__(self, args, version, folder):
        super().__init__(15, f"kafka {version} {self.case}", self.kills_of(args), 0, args.program, args.seed, folder)
        self.version, self.made, self.proxy = version, [], None
        self.victims = self.victims_of(args)

    def sink(self):
        return {"type": "kafka", "brokers": self.broker.address, "partitions": 3,
                "transaction_timeout": f"{self.transaction_timeout}s"}

    def new_agent(self):
        self.made.append(Agent(self.folder / f"agent{len(self.made) + 1}", self.db.url(), tables="public.*",
                               program=self.program, sinks={"lake": self.sink()}, **crash.SMALL))
        return self.made[-1]

    def steps(self):
        return STEPS

    def plan(self):
        plan = [STEPS[i % len(STEPS)] for i in range(self.kills * 2 // 3)]
        plan += ["random"] * (self.kills - len(plan))
        for victim, count in self.victims.items():
            plan += [victim] * count
        self.random.shuffle(plan)
        return plan

    def one(self, victim):
        if victim in self.victims:
            getattr(self, victim)()
            self.done[victim] += 1
        else:
            super().one(victim)

    def commits(self):
        status = self.agent.status(check=False)
        return status["sinks"][0]["commits"] if status else 0

    def wait_commits(self, more, timeout=90):
        """So many commits beyond those that there are now."""
        before = self.commits()

        def there():
            self.agent.must_run()
            return self.commits() >= before + more
        try:
            wait_for(there, timeout, f"{more} commits")
        except AgentFailed as e:
            raise AgentFailed(f"{e}\n{self.agent.log_tail()}") from None

    def zombies(self):
        """Stopped at some time, or with everything sent but the end of its transaction.  The second may need
        the first's open transaction to time out: it waits for it, and so do we."""
        if self.random.random() < 0.5:
            self.agent.kill()
            self.start({"TAILRACE_FAILPOINT": f"kafka_sent=STOP:{self.random.randint(2, 12)}"})
            wait_for(self.agent.stopped, 60, "the agent to stop at the end of a transaction")
        else:
            self.start()
            self.wait_commits(1)        # one that never had the sink would be the younger
            time.sleep(self.random.uniform(0, 2))
            self.agent.must_run()
            self.agent.process.send_signal(signal.SIGSTOP)
        old, self.agent = self.agent, self.new_agent()
        try:
            self.agent.start(timeout=60)
            time.sleep(self.transaction_timeout + self.random.uniform(1, 3))
            self.agent.must_run()
        finally:
            old.process.send_signal(signal.SIGCONT)
        code = old.wait_exit(90)
        if code != 4:
            self.bad.append(f"a zombie ended with {code}\n{old.log_tail()}")

    def run(self):
        begun = time.monotonic()
        self.open_brokers()
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
        others = {v: self.done[v] for v in self.victims}
        return {"kills": sum(self.done.values()) - sum(others.values()), "at_random": self.done["random"], **others,
                "transactions": load.transactions + big.transactions, "rows_compared": sum(rows.values()),
                "seconds": round(time.monotonic() - begun), "complaints": len(self.bad),
                "by_step": {s: self.done[s] for s in STEPS}, "what": self.bad[:20]}

    def close(self):
        for agent in self.made:
            agent.kill()
        self.server.destroy()
        if getattr(self, "broker", None):
            self.broker.destroy()


class One(KafkaPipeline):
    case = "one"

    def kills_of(self, args):
        return args.kills

    def victims_of(self, args):
        return {"broker_kills": args.broker_kills, "zombies": args.zombies}

    def open_brokers(self):
        self.broker = kafka.Pair(self.version).start()

    def broker_kills(self):
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


class Link(KafkaPipeline):
    case, transaction_timeout = "link", 20

    def kills_of(self, args):
        return 0

    def victims_of(self, args):
        return {"late_ends": args.late, "lost_answers": args.lost}

    def open_brokers(self):
        port = kafka.free_port()
        self.proxy = KafkaProxy(port).__enter__()
        self.broker = kafka.Kafka(self.version, outer=(port, self.proxy.port), settings={
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTER:PLAINTEXT"}).start()

    def sink(self):
        return {**super().sink(), "brokers": f"127.0.0.1:{self.proxy.port}", "librdkafka.socket.timeout.ms": "1500"}

    def hold(self, answer):
        """An EndTxn or its answer stays away, and what is done about it has ended: more is committed.  In every
        fourth round it is another agent that does."""
        if self.agent.process is None:
            self.agent.start()
        self.wait_commits(1)
        held = self.proxy.hold(END_TXN, answer)
        held.wait(60)
        if self.random.random() < 0.25:
            self.agent.kill()
            self.agent.start()
            self.done["killed meanwhile"] += 1
        self.wait_commits(self.random.randint(1, 4))
        time.sleep(self.random.uniform(0, 0.3))
        return held

    def late_ends(self):
        held = self.hold(False)
        self.proxy.release(held)
        self.proxy.drop(held)

    def lost_answers(self):
        self.proxy.drop(self.hold(True))

    def close(self):
        super().close()
        if self.proxy:
            self.proxy.__exit__()


class Three(KafkaPipeline):
    case, transaction_timeout = "three", 60     # topics are made within transactions

    def kills_of(self, args):
        return args.kills // 4

    def victims_of(self, args):
        return {"one_of_three_kills": args.broker_kills}

    def open_brokers(self):
        self.broker = kafka.Cluster(self.version).start()

    def one_of_three_kills(self):
        """The others go on without it, and so does the agent."""
        self.start()
        self.wait_commits(3)
        topic, partition = self.random.choice(((kafka.CHECKPOINTS, 0), ("erp.public.stock_moves", 0),
                                               ("erp.public.stock_moves", 1), ("__transaction_state", 0)))
        node = self.broker.node(self.broker.leader(topic, partition) or self.random.randint(1, 3))
        node.kill()
        if self.random.random() < 0.2:
            self.agent.kill()
        self.start()
        self.wait_commits(3)
        node.start(120)
        self.broker.wait_replicated()
        self.agent.must_run()


CASES = {c.case: c for c in (One, Link, Three)}


def what_stands(pipeline):
    """For a run that failed: the end of the checkpoint topic as it lies on disk, transactions without an end, and
    what the brokers said last."""
    if not getattr(pipeline, "broker", None):
        return []
    said = [line for folder in pipeline.broker.folders
            for line in (folder / "out.log").read_text(errors="replace").splitlines()[-30:]]
    return ["\n".join(kafka.tail(pipeline.broker, kafka.CHECKPOINTS)), "\n".join(kafka.hanging(pipeline.broker)[:60]),
            "\n".join(said)]


def run_one(args, version, case):
    folder, begun, pipeline = tempfile.mkdtemp(prefix="tailrace-crash-"), time.monotonic(), None
    try:
        pipeline = CASES[case](args, version, folder)
        row = pipeline.run()
        if row["complaints"]:
            row["what"] += what_stands(pipeline)
    except Exception:
        row = {"seconds": round(time.monotonic() - begun), "complaints": 1,
               "what": [traceback.format_exc()[-6000:], *what_stands(pipeline)]}
    finally:
        if pipeline is not None:
            pipeline.close()
    row = {"kafka": version, "case": case, **row, "result": "ok" if not row["complaints"] else "FAILED"}
    print(f"Kafka {version}, {case}: {row['seconds']} s, {row['result']}", flush=True)
    for what in row["what"]:
        print(f"  {what}", flush=True)
    if row["result"] == "ok":
        subprocess.run(["rm", "-rf", folder], check=True)
    else:
        print(f"  left in {folder}", flush=True)
    return row


def totals(rows):
    """One line a version: what was done to it in all cases."""
    out = []
    for version in dict.fromkeys(r["kafka"] for r in rows):
        mine = [r for r in rows if r["kafka"] == version]
        out.append({"kafka": version, **{f: sum(r.get(f, 0) for r in mine) for f in FIGURES},
                    "result": "ok" if all(r["result"] == "ok" for r in mine) else "FAILED"})
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kafka", default=",".join(kafka.VERSIONS), help="versions of the broker")
    parser.add_argument("--cases", default=",".join(CASES), help="one, link, three")
    parser.add_argument("--kills", type=int, default=64, help="of the agent; a quarter of them more with three brokers")
    parser.add_argument("--broker-kills", type=int, default=10)
    parser.add_argument("--zombies", type=int, default=5)
    parser.add_argument("--late", type=int, default=20, help="EndTxn that come late")
    parser.add_argument("--lost", type=int, default=20, help="answers to EndTxn that never come")
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time")
    parser.add_argument("--program", help="an agent built with FAILPOINTS=1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    args.program = program_with_failpoints(args.program)
    print(f"seed {args.seed}", flush=True)
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        rows = [f.result() for f in [pool.submit(run_one, args, version, case)
                                     for case in args.cases.split(",") for version in args.kafka.split(",")]]
    rows.sort(key=lambda r: r["kafka"])
    versions = totals(rows)
    for table in rows, versions:
        results.table(table, ("kafka", "case", *FIGURES, "result"))
    if not args.no_save:
        results.save("crash-kafka", {"seed": args.seed, "versions": versions, "runs": rows})
    return 1 if any(r["result"] != "ok" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
