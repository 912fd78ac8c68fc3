"""A process from exec to exit, and the median of several as a line of the table."""
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path

MB = 1 << 20


class Measured:
    """A process from exec to exit: wall and CPU seconds, peak resident memory."""

    def __init__(self, argv, log):
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
            time.sleep(0.02)

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
