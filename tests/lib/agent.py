"""The agent under test: writes its configuration, runs it, watches it, kills it."""
import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from .pg import ROOT, free_port

PROGRAM = Path(os.environ.get("TAILRACE", ROOT / "build/tailrace"))


class AgentFailed(AssertionError):
    pass


def wait_for(condition, timeout=30, what="the condition", every=0.05):
    """The first true value of condition(); AgentFailed after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AgentFailed(f"waited {timeout} s for {what}")
        time.sleep(every)


def format_section(name, values):
    lines = [f"[{name}]"]
    for key, value in values.items():
        if value is not None:
            lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


class Agent:
    """
    folder    everything of this agent: configuration, state, logs, targets
    url       the source
    sinks     name -> settings; None: one sqlite ("copy") and one files ("lake") sink
    sections  section -> settings, over the defaults below; None as value leaves a key out
    """

    def __init__(self, folder, url, tables="*", sinks=None, name="erp", program=None, **sections):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.program = Path(program or PROGRAM)
        self.conf = self.folder / "tailrace.conf"
        self.state_dir = self.folder / "state"
        self.log_path = self.folder / "agent.log"
        self.process = None
        self.env = {}
        if sinks is None:
            sinks = {"copy": {"type": "sqlite", "path": self.folder / "copy.db"},
                     "lake": {"type": "files", "path": self.folder / "lake"}}
        self.sinks = sinks
        self.port = None
        self.sections = {
            "pipeline": {"name": name, "state_dir": self.state_dir},
            "source": {"type": "mysql" if url.startswith("mysql:") else "postgres", "url": url,
                       "tables": tables, "on_error": "stop"},
            "snapshot": {"mode": "never"},
            "http": {"listen": "off"},
        }
        for section, values in sections.items():
            self.sections.setdefault(section, {}).update(values)
        self.write_config()

    # --- configuration

    @property
    def slot(self):
        return self.sections["source"].get("slot", f"tailrace_{self.name.replace('-', '_')}")

    @property
    def copy(self):
        """The sqlite sink's database."""
        return self.sinks["copy"]["path"]

    @property
    def lake(self):
        """The files sink's folder."""
        return self.sinks["lake"]["path"]

    def write_config(self, extra=""):
        text = "".join(format_section(s, v) for s, v in self.sections.items())
        text += "".join(format_section(f"sink {n}", v) for n, v in self.sinks.items())
        self.conf.write_text(text + extra)
        self.conf.chmod(0o600)

    def set(self, section, **values):
        self.sections.setdefault(section, {}).update(values)
        self.write_config()
        return self

    def with_http(self):
        self.port = free_port()
        return self.set("http", listen=f"127.0.0.1:{self.port}")

    # --- running

    def command(self, *argv, timeout=60, check=True, env=None, stdin=None):
        """One command to its end; stdout and stderr apart. check: exit 0 or fail with what it said."""
        done = subprocess.run([str(self.program), *map(str, argv)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=stdin or subprocess.DEVNULL, text=True,
                              errors="replace", timeout=timeout, env={**os.environ, **self.env, **(env or {})})
        if check and done.returncode:
            raise AgentFailed(f"tailrace {' '.join(map(str, argv))}: exit {done.returncode}\n"
                              f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done

    def __call__(self, verb, *argv, **kw):
        return self.command(verb, "-c", self.conf, *argv, **kw)

    def until_idle(self, timeout=120, code=0, env=None):
        """run --until-idle to its end, which must be the exit code given; gives its log."""
        start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.start("--until-idle", env=env, wait=False)
        try:
            got = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AgentFailed(f"run --until-idle did not end in {timeout} s\n{self.log_tail()}") from None
        self.process = None
        log = self.log_path.read_bytes()[start:].decode(errors="replace")
        if got != code:
            raise AgentFailed(f"run --until-idle: exit {got}, expected {code}\n{log[-8000:]}")
        return log

    def start(self, *argv, env=None, wait=True, timeout=30, prefix=()):
        """The agent in the background, its log in agent.log."""
        assert self.process is None, "already running"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*map(str, prefix), str(self.program), "run", "-c", str(self.conf), *map(str, argv)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.env, **(env or {})})
        if wait:
            self.wait_streaming(timeout)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stopped(self):
        """Asleep by SIGSTOP."""
        self.must_run()
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def must_run(self):
        if not self.running():
            code = self.process.returncode if self.process else None
            raise AgentFailed(f"the agent ended with exit {code}\n{self.log_tail()}")

    def wait_streaming(self, timeout=30):
        def streaming():
            self.must_run()
            s = self.status(check=False)
            return s if s and s["state"] in ("streaming", "snapshot") else None
        try:
            return wait_for(streaming, timeout, "the agent to stream")
        except AgentFailed as e:
            raise AgentFailed(f"{e}\n{self.log_tail()}") from None

    def wait_log(self, text, timeout=30):
        try:
            wait_for(lambda: text in self.log(), timeout, f"{text!r} in the log")
        except AgentFailed as e:
            raise AgentFailed(f"{e}\n{self.log_tail()}") from None

    def wait_exit(self, timeout=60):
        """The exit code of an agent that ends by itself."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AgentFailed(f"the agent did not end in {timeout} s\n{self.log_tail()}") from None
        self.process = None
        return code

    def stop(self, timeout=60, code=0):
        """SIGTERM; the exit code must be `code` (None: any)."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        got = self.wait_exit(timeout)
        if code is not None and got != code:
            raise AgentFailed(f"after SIGTERM: exit {got}, expected {code}\n{self.log_tail()}")
        return got

    def kill(self, sig=signal.SIGKILL):
        """kill -9, wherever it is."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(sig)
            self.process.wait(30)
            self.process = None

    # --- looking

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def status(self, check=True):
        done = self("status", "--json", check=check, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def sink_status(self, name):
        return next(s for s in self.status()["sinks"] if s["name"] == name)

    def get(self, path):
        """(status code, body) over HTTP; with_http() first."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read().decode()
        finally:
            c.close()

    def events(self, *argv):
        """`tailrace events` of the spool, as a list."""
        out = self("events", *argv, "--format", "jsonl").stdout
        return [json.loads(line) for line in out.splitlines() if line]

    def rss(self):
        """Resident memory in bytes: (now, high-water mark)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        kb = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.startswith("Vm")}
        return int(kb["VmRSS"]) * 1024, int(kb["VmHWM"]) * 1024
