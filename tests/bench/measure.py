"""A process from exec to exit, and the median of several as a line of the table."""
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path

import fastavro

MB = 1 << 20


def records_in(lake):
    """Records of all final files, counted by their blocks' headers."""
    n = 0
    for path in Path(lake).glob("*/v*/*.avro"):
        with open(path, "rb") as f:
            n += sum(block.num_records for block in fastavro.block_reader(f))
    return n


class Measured:
    """A process from exec to exit: wall and CPU seconds, peak resident memory; threads: also the CPU seconds of
    each, by name, up to its last look at them."""

    def __init__(self, argv, log, threads=False):
        self.threads = {} if threads else None
        with open(log, "ab") as out:
            self.begun = time.monotonic()
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out)
        self.peak, self.code, self.log = 0, None, log
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        status = Path(f"/proc/{self.process.pid}/status")
        while self.code is None:
            try:
                for line in status.read_text().splitlines():
                    if line.startswith("VmHWM"):
                        self.peak = max(self.peak, int(line.split()[1]) * 1024)
            except OSError:
                return
            if self.threads is not None:
                self.look()
            time.sleep(0.02)

    def look(self):
        seen = {}
        for task in Path(f"/proc/{self.process.pid}/task").glob("*"):
            try:
                name = (task / "comm").read_text().strip()
                seen[name] = seen.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:     # it ended meanwhile
                pass
        for name, seconds in seen.items():
            self.threads[name] = max(seconds, self.threads.get(name, 0))

    def wait(self):
        _, status, usage = os.wait4(self.process.pid, 0)
        self.wall = time.monotonic() - self.begun
        self.cpu = usage.ru_utime + usage.ru_stime
        self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.watcher.join()
        if self.code:
            tail = Path(self.log).read_text(errors="replace").splitlines()[-20:]
            raise SystemExit("\n".join([f"{self.process.args[:2]}: exit {self.code}", *tail]))
        return self


def row_of(what, runs, changes):
    """The median run as a line of the table."""
    wall = statistics.median(r.wall for r in runs)
    cpu = statistics.median(r.cpu for r in runs)
    return {"what": what, "seconds": round(wall, 2), "changes_s": round(changes / wall),
            "cpu_us": round(cpu / changes * 1e6, 2), "peak_mb": round(max(r.peak for r in runs) / MB, 1),
            "all_seconds": [round(r.wall, 2) for r in runs]}
