"""Throwaway PostgreSQL servers, 10 to 18.

A server lives in a temporary folder on a free loopback port and is run by an unprivileged user
(PostgreSQL refuses root).  Durability is off unless asked for: the tests kill processes, not
machines, and what a process wrote stays with the kernel.
"""
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_connections": "100",
    "shared_buffers": "'64MB'",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "'2GB'",
    "autovacuum_naptime": "'10min'",
    "log_line_prefix": "'%m [%p] %a '",
    "log_statement": "none",
    "log_min_messages": "warning",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@functools.lru_cache(maxsize=None)
def binaries(major):
    """The folder of a major's programs; fetched if need be."""
    script = ROOT / "tests/servers/postgres.sh"
    return Path(subprocess.run([script, str(major)], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.strip())


@functools.lru_cache(maxsize=None)
def server_user():
    """None: as ourselves; otherwise whom root runs the servers as."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "tailrace-test"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            pass
    subprocess.run(["useradd", "--system", "--no-create-home", "tailrace-test"], check=True)
    return "tailrace-test"


def as_server_user(argv):
    user = server_user()
    return ["runuser", "-u", user, "--", *argv] if user else list(argv)


class Postgres:
    def __init__(self, major=15, settings=None, initdb=(), folder=None):
        self.major = major
        self.bin = binaries(major)
        self.folder = Path(folder or tempfile.mkdtemp(prefix=f"tailrace-pg{major}-"))
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.port = free_port()
        self.starts = 0
        self.settings = {**SETTINGS, "unix_socket_directories": f"'{self.folder}'", **(settings or {})}
        if server_user():
            shutil.chown(self.folder, server_user())
        self.folder.chmod(0o755)
        argv = [self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", *initdb]
        if not any(str(a).startswith(("-E", "--encoding")) for a in initdb):
            argv += ["-E", "UTF8", "--locale=C"]
        done = subprocess.run(as_server_user(map(str, argv)), cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"initdb of PostgreSQL {major} failed:\n{done.stdout}")
        # One role must give a password, so that wrong ones can be tried.
        hba = self.data / "pg_hba.conf"
        hba.write_text("host all secretive 127.0.0.1/32 md5\n"
                       "host replication secretive 127.0.0.1/32 md5\n"
                       "local all all trust\n"
                       "host all all 127.0.0.1/32 trust\n"
                       "host replication all 127.0.0.1/32 trust\n")

    # --- life

    def configure(self, **settings):
        """Settings for the next start (or reload)."""
        self.settings.update(settings)
        with open(self.data / "tailrace-test.conf", "w") as f:
            for name, value in self.settings.items():
                f.write(f"{name} = {value}\n")
            f.write(f"port = {self.port}\n")
        conf = self.data / "postgresql.conf"
        line = "include 'tailrace-test.conf'\n"
        if line not in conf.read_text():
            with open(conf, "a") as f:
                f.write(line)
        return self

    def _pg_ctl(self, *argv, check=True):
        argv = as_server_user([str(self.bin / "pg_ctl"), "-D", str(self.data), *argv])
        done = subprocess.run(argv, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)} failed:\n{self.log_tail()}")
        return done.returncode

    def start(self):
        self.configure()
        self.starts += 1
        for _ in range(5):  # somebody may take the port between the look and the start
            if self._pg_ctl("-l", str(self.log), "-w", "-t", "60", "start", check=False) == 0:
                return self
            if "could not bind" not in self.log_tail():
                break
            self.port = free_port()
            self.configure()
        raise RuntimeError(f"PostgreSQL {self.major} did not start:\n{self.log_tail()}")

    def stop(self, mode="fast", wait=True, timeout=60):
        return self._pg_ctl("-m", mode, "-w" if wait else "-W", "-t", str(timeout), "stop", check=False)

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def reload(self, **settings):
        self.configure(**settings)
        self._pg_ctl("reload")
        time.sleep(0.2)

    @property
    def pid(self):
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def kill(self):
        """kill -9 of the postmaster; its children follow by themselves."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            for _ in range(200):
                if not Path(f"/proc/{pid}").exists():
                    break
                time.sleep(0.05)

    def running(self):
        return self._pg_ctl("status", check=False) == 0

    def destroy(self):
        if self.stop("immediate") and self.running():
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.destroy()

    def log_tail(self, lines=30):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    # --- use

    def url(self, dbname="postgres", user="postgres", password=None, **params):
        auth = f"{user}:{password}" if password else user
        query = "&".join(f"{k}={v}" for k, v in params.items())
        return f"postgresql://{auth}@127.0.0.1:{self.port}/{dbname}" + (f"?{query}" if query else "")

    def connect(self, dbname="postgres", user="postgres", autocommit=True, **kw):
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname=dbname, user=user,
                               autocommit=autocommit, connect_timeout=10, **kw)

    def database(self, name, script=None, like=""):
        """A new database (dropped first), optionally filled by an SQL script."""
        with self.connect() as c:
            c.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
            c.execute(sql.SQL("create database {} template template0 ").format(sql.Identifier(name))
                      + sql.SQL(like))
        return Database(self, name).script(script or "")


class Standby(Postgres):
    """A physical standby of a running server, whose commits wait until it has applied them, `delay` after they
    were made: they are in the log, and streamed, long before anybody sees them."""

    def __init__(self, primary, name="slow", delay="100ms"):
        self.major, self.bin, self.starts = primary.major, primary.bin, 0
        self.folder = Path(tempfile.mkdtemp(prefix=f"tailrace-standby{self.major}-"))
        self.data, self.log = self.folder / "data", self.folder / "server.log"
        self.port = free_port()
        if server_user():
            shutil.chown(self.folder, server_user())
        argv = [self.bin / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast",
                "-d", f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"]
        done = subprocess.run(as_server_user(map(str, argv)), cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"pg_basebackup failed:\n{done.stdout}")
        self.settings = {**primary.settings, "unix_socket_directories": f"'{self.folder}'",
                         "recovery_min_apply_delay": f"'{delay}'", "hot_standby": "on"}
        self.settings.pop("synchronous_standby_names", None)


class Database:
    """One database of a server: short ways to talk to it."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self._conn = None
        self._starts = 0

    @property
    def conn(self):
        if self._conn is None or self._conn.closed or self._starts != self.server.starts:
            self._conn = self.server.connect(self.name)
            self._starts = self.server.starts
        return self._conn

    def close(self):
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def url(self, **kw):
        return self.server.url(self.name, **kw)

    def connect(self, **kw):
        return self.server.connect(self.name, **kw)

    def sql(self, query, params=None):
        """Rows of the last statement, or None where it gives none."""
        cur = self.conn.execute(query, params)
        return cur.fetchall() if cur.description else None

    def one(self, query, params=None):
        """The first column of the first row."""
        return self.sql(query, params)[0][0]

    def script(self, text):
        """Several statements, each committed by itself unless the text says BEGIN."""
        if text.strip():
            self.conn.execute(text)
        return self

    def tx(self, *statements):
        """All statements in one transaction; gives its xid."""
        with self.conn.transaction():
            for s in statements:
                if isinstance(s, tuple):
                    self.conn.execute(*s)
                else:
                    self.conn.execute(s)
            return self.conn.execute("select txid_current()").fetchone()[0]

    def lsn(self):
        return self.one("select pg_current_wal_insert_lsn()::text")

    def slot(self, name):
        """A replication slot as a dict, or None."""
        cur = self.conn.execute("select * from pg_replication_slots where slot_name = %s", (name,))
        row = cur.fetchone()
        return dict(zip((d.name for d in cur.description), row)) if row else None


def lsn_number(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
