"""Throwaway MySQL and MariaDB servers: MySQL 5.6, 5.7, 8.0.15, 8.0 (8.0.31), 9.7, MariaDB 10.1, 10.2,
10.5, 10.11, 11.4, 11.8.

As lib/pg.py: a temporary folder, a free loopback port, an unprivileged user.  What is committed is
written to the kernel but not synced: the tests kill processes, not machines.  To make a data folder
takes seconds, so one of each version is kept beside the downloads and copied.

Users: root without a password; `tailrace` with the password PASSWORD and the rights that the agent
asks for, no more.
"""
import contextlib
import fcntl
import functools
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

from .pg import ROOT, free_port, server_user

PASSWORD = "tail-race"
START_SECONDS = 120

SETTINGS = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": "ON",
    "secure_file_priv": "",
    "max_connections": "100",
    "performance_schema": "OFF",
    "log_bin": "binlog",
    "binlog_format": "ROW",
    "server_id": "1",
    "sync_binlog": "0",
    "innodb_flush_log_at_trx_commit": "2",
    "innodb_buffer_pool_size": "64M",
    "innodb_use_native_aio": "0",
}

# Oldest first.
MARIADB = ("10.1", "10.2", "10.5", "10.11", "11.4", "11.8")
MYSQL = ("5.6", "5.7", "8.0.15", "8.0", "9.7")
ALL = tuple(f"mariadb{v}" for v in MARIADB) + tuple(f"mysql{v}" for v in MYSQL)


class ServerFailed(RuntimeError):
    pass


# Which release a series stands for, at least: Debian's move on.
RELEASES = {"10.1": (10, 1, 23), "10.2": (10, 2, 11), "10.5": (10, 5, 23), "10.11": (10, 11, 14), "11.4": (11, 4, 5),
            "11.8": (11, 8, 3), "5.6": (5, 6, 24), "5.7": (5, 7, 22), "8.0.15": (8, 0, 15), "8.0": (8, 0, 31), "9.7": (9, 7, 4)}


def number(version):
    return RELEASES[version]


@functools.lru_cache(maxsize=None)
def home(flavor, version):
    """The folder of a version's programs (tests/servers/*.sh); fetched if need be."""
    script = ROOT / "tests/servers" / f"{flavor}.sh"
    return Path(subprocess.run([script, version], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def mysqlbinlog(server):
    """The vendor's tool: the server's own, or the newest of the family, which reads all the family's files."""
    own = server.home / "mysqlbinlog"
    return own if own.exists() else home(server.flavor, "11.8" if server.is_mariadb else "9.7") / "mysqlbinlog"


def as_user():
    """Arguments of Popen that run a program as whom the servers run as."""
    name = server_user()
    if name is None:
        return {}
    user = pwd.getpwnam(name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def own(path):
    if server_user():
        shutil.chown(path, server_user(), pwd.getpwnam(server_user()).pw_gid)


def settings_of(flavor, version):
    """What the version needs besides SETTINGS, or has under another name."""
    v, extra = number(version), {}
    if flavor == "mariadb":
        extra["innodb_log_file_size"] = "48M"
        if v >= (10, 5):
            extra["binlog_row_metadata"] = "FULL"
        if v >= (11, 4):    # otherwise each start makes an RSA key of 4096 bits: up to half a minute
            extra["ssl"] = "OFF"
        return extra
    extra["innodb_redo_log_capacity" if v >= (8, 0, 30) else "innodb_log_file_size"] = "48M"
    extra["gtid_mode"] = extra["enforce_gtid_consistency"] = "OFF"
    if v < (5, 7):
        extra["explicit_defaults_for_timestamp"] = "ON"
    if v >= (8, 0):
        extra["mysqlx"] = "OFF"
        extra["binlog_row_metadata"] = "FULL"
    return extra


def gtid_settings(flavor, version):
    """MySQL 9.7 has them by default, the others not."""
    if flavor == "mariadb":
        return {"gtid_strict_mode": "ON", "log_slave_updates": "ON"}
    extra = {"gtid_mode": "ON", "enforce_gtid_consistency": "ON"}
    return extra if number(version) >= (8, 0) else {**extra, "log_slave_updates": "ON"}


def users(flavor, version):
    """SQL that makes the two users.  The server has root of localhost already."""
    if flavor == "mariadb":
        client = "binlog monitor" if number(version) >= (10, 5) else "replication client"
    else:
        client = "replication client"
    return [
        "create user 'root'@'127.0.0.1'",
        "grant all privileges on *.* to 'root'@'127.0.0.1' with grant option",
        f"create user 'tailrace'@'127.0.0.1' identified by '{PASSWORD}'",
        f"grant replication slave, {client}, select on *.* to 'tailrace'@'127.0.0.1'",
    ]


class Server:
    """One server.  settings: as in my.cnf, None takes a default away; gtid: MySQL's gtid_mode,
    MariaDB's strict mode (it always has GTIDs)."""

    def __init__(self, flavor, version, settings=None, gtid=False, folder=None, template=True):
        self.flavor, self.version = flavor, version
        self.id = f"{flavor}{version}"
        self.home = home(flavor, version)
        self.folder = Path(folder or tempfile.mkdtemp(prefix=f"tailrace-{self.id}-"))
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.socket = self.folder / "s"
        self.port = free_port()
        self.process = None
        self.starts = 0
        self.settings = {**SETTINGS, **settings_of(flavor, version),
                         **(gtid_settings(flavor, version) if gtid else {}), **(settings or {})}
        self.folder.chmod(0o755)
        (self.folder / "tmp").mkdir()
        own(self.folder)
        own(self.folder / "tmp")
        if template:
            subprocess.run(["cp", "-a", "--sparse=always", template_of(flavor, version), self.data], check=True)

    def __repr__(self):
        return f"<{self.id} at {self.port}>"

    @property
    def number(self):
        return number(self.version)

    @property
    def is_mariadb(self):
        return self.flavor == "mariadb"

    # --- life

    def configure(self, **settings):
        """Settings for the next start."""
        self.settings.update(settings)
        fixed = {
            "basedir": self.home, "lc_messages_dir": f"{self.home}/share/",
            "character_sets_dir": f"{self.home}/share/charsets/", "plugin_dir": f"{self.home}/plugin/",
            "datadir": self.data, "tmpdir": self.folder / "tmp", "socket": self.socket,
            "pid_file": self.folder / "pid", "port": self.port, "log_error": self.log,
        }
        lines = [f"{k} = {v}" for k, v in {**fixed, **self.settings}.items() if v is not None]
        (self.folder / "my.cnf").write_text("\n".join(["[mysqld]", *lines, ""]))
        return self

    def _popen(self, *argv, **kw):
        argv = [str(self.home / "mysqld"), f"--defaults-file={self.folder}/my.cnf", *argv]
        # Its error log has what it says; before that is open it says why it is not.
        with open(self.folder / "output", "ab") as out:
            return subprocess.Popen(argv, cwd=self.folder, stdout=out, stderr=out, start_new_session=True,
                                    **{"stdin": subprocess.DEVNULL, **as_user(), **kw})

    def start(self):
        for _ in range(5):  # somebody may take the port between the look and the start
            self.configure()
            self.starts += 1
            self.process = self._popen()
            if self._wait():
                return self
            if "address already in use" not in self.log_tail().lower():
                break
            self.port = free_port()
        raise ServerFailed(f"{self.id} did not start:\n{self.log_tail()}")

    def _wait(self):
        """Whether it answers, before it ends."""
        end = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            with contextlib.suppress(pymysql.err.MySQLError):
                self.connect().close()
                return True
            if time.monotonic() > end:
                self.kill()
                raise ServerFailed(f"{self.id} does not answer after {START_SECONDS} s:\n{self.log_tail()}")
            time.sleep(0.02)
        return False

    def initialise(self):
        """Fill an empty data folder: done once for each version, for its template."""
        self.configure(log_bin=None, binlog_format=None, binlog_row_metadata=None,
                       skip_log_bin="ON", skip_networking="ON")
        if self.is_mariadb:
            self.data.mkdir()
            own(self.data)
            with open(self.home / "boot.sql") as f:
                done = self._popen("--bootstrap", stdin=f).wait(300)
        elif (self.home / "data").exists():
            subprocess.run(["cp", "-r", f"{self.home / 'data'}/.", self.data], check=True)
            for path in [self.data, *self.data.rglob("*")]:
                own(path)
            done = 0
        else:
            done = self._popen("--initialize-insecure").wait(300)
        if done:
            raise ServerFailed(f"{self.id} was not initialised:\n{self.log_tail()}")

    def stop(self, timeout=60):
        """A clean shutdown."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                return 1
        return 0

    def kill(self):
        """kill -9"""
        if self.running():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def restart(self, **settings):
        self.stop()
        self.configure(**settings)
        return self.start()

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid if self.running() else None

    def destroy(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.destroy()

    def log_tail(self, lines=30):
        text = ""
        for path in (self.folder / "output", self.log):
            with contextlib.suppress(FileNotFoundError):
                text += path.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    # --- use

    def url(self, dbname="", user="tailrace", password=PASSWORD, **params):
        auth = f"{user}:{password}" if password else user
        query = "&".join(f"{k}={v}" for k, v in params.items())
        return f"mysql://{auth}@127.0.0.1:{self.port}/{dbname}" + (f"?{query}" if query else "")

    def connect(self, dbname=None, user="root", password="", autocommit=True, **kw):
        where = {"unix_socket": str(self.socket)} if self.settings.get("skip_networking") else {
            "host": "127.0.0.1", "port": self.port}
        return pymysql.connect(**where, database=dbname, user=user, password=password, connect_timeout=10,
                               autocommit=autocommit, **{"charset": "utf8mb4", **kw})

    def sql(self, query, params=None):
        """Rows of one statement, on a connection of its own."""
        with contextlib.closing(self.connect()) as c, c.cursor() as cur:
            cur.execute(query, params)
            return cur.fetchall()

    def database(self, name, *statements, like="character set utf8mb4"):
        """A new database (dropped first), optionally filled."""
        self.sql(f"drop database if exists {quote(name)}")
        self.sql(f"create database {quote(name)} {like}")
        return Database(self, name).script(*statements)

    @property
    def binlog_dir(self):
        return self.data

    def binlogs(self):
        """The binlog files of the moment, in order."""
        index = self.data / "binlog.index"
        return [self.data / Path(line).name for line in index.read_text().split()]

    def flush_logs(self):
        """Ends the current binlog file; gives its path."""
        last = self.binlogs()[-1]
        self.sql("flush binary logs")
        return last

    def position(self):
        """(file name, offset) of the end of the binlog."""
        show = "show binary log status" if not self.is_mariadb and self.number >= (8, 2) else "show master status"
        return self.sql(show)[0][:2]

    def gtid(self):
        """The set of GTIDs that were committed, as text."""
        return self.sql("select @@global.gtid_binlog_pos" if self.is_mariadb else
                        "select @@global.gtid_executed")[0][0].replace("\n", "")


class MariaDB(Server):
    def __init__(self, version="10.11", **kw):
        super().__init__("mariadb", version, **kw)


class MySQL(Server):
    def __init__(self, version="9.7", **kw):
        super().__init__("mysql", version, **kw)


def server(name, **kw):
    """A server by its id: mariadb10.11, mysql8.0 ..."""
    for flavor, versions in (("mariadb", MARIADB), ("mysql", MYSQL)):
        if name.startswith(flavor) and name[len(flavor):] in versions:
            return Server(flavor, name[len(flavor):], **kw)
    raise ValueError(f"no server {name!r}; there are {' '.join(ALL)}")


def quote(name):
    return "`" + name.replace("`", "``") + "`"


@functools.lru_cache(maxsize=None)
def template_of(flavor, version):
    """A data folder with both users, made once and kept with the downloads.  It has no auto.cnf: each
    copy gets a server_uuid of its own."""
    recipe = repr((settings_of(flavor, version), SETTINGS, users(flavor, version), os.getuid(), server_user()))
    name = f"data-{flavor}-{version}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    kept = home(flavor, version).parent / name
    with open(f"{kept}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            s = Server(flavor, version, template=False)
            try:
                s.initialise()
                s.start()
                with contextlib.closing(s.connect()) as c, c.cursor() as cur:
                    # Old versions come with root of this and that host, and with a nameless user.
                    cur.execute("select user, host from mysql.user where user = '' or user = 'root' and host <> 'localhost'")
                    for who in cur.fetchall():
                        cur.execute("drop user %s@%s", who)
                    for statement in users(flavor, version):
                        cur.execute(statement)
                if s.stop():
                    raise ServerFailed(f"{s.id} did not stop:\n{s.log_tail()}")
                (s.data / "auto.cnf").unlink(missing_ok=True)
                shutil.rmtree(f"{kept}.new", ignore_errors=True)
                subprocess.run(["cp", "-a", "--sparse=always", s.data, f"{kept}.new"], check=True)
                os.rename(f"{kept}.new", kept)
            finally:
                s.destroy()
    return kept


class Database:
    """One database of a server: short ways to talk to it."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self._conn = None
        self._starts = 0

    @property
    def conn(self):
        if self._conn is None or not self._conn.open or self._starts != self.server.starts:
            self._conn = self.server.connect(self.name)
            self._starts = self.server.starts
        return self._conn

    def close(self):
        if self._conn is not None and self._conn.open:
            self._conn.close()
        self._conn = None

    def url(self, **kw):
        return self.server.url(self.name, **kw)

    def connect(self, **kw):
        return self.server.connect(self.name, **kw)

    def sql(self, query, params=None):
        """Rows of the statement, or None where it gives none."""
        with self.conn.cursor() as cur:
            cur.execute(query, params)
            return cur.fetchall() if cur.description else None

    def one(self, query, params=None):
        """The first column of the first row."""
        return self.sql(query, params)[0][0]

    def script(self, *statements):
        """Statements, each committed by itself."""
        for s in statements:
            self.sql(s)
        return self

    def tx(self, *statements):
        """All statements in one transaction."""
        with self.conn.cursor() as cur:
            cur.execute("begin")
            try:
                for s in statements:
                    cur.execute(*s) if isinstance(s, tuple) else cur.execute(s)
            except BaseException:
                cur.execute("rollback")
                raise
            cur.execute("commit")
        return self
