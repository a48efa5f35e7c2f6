"""
Database servers of the tests' own: fixtures ``postgres`` and ``mariadb``, each an empty database per test.

A third one, ``mysql``, takes part where ``WTSCHAT_TEST_MYSQL`` names MySQL: the path of its ``mysqld``, or a running
server as ``mysql://root:password@127.0.0.1:3306``, in which each test makes a database.
"""

from __future__ import annotations

import getpass
import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest

HOST = "127.0.0.1"
MYSQL = os.environ.get("WTSCHAT_TEST_MYSQL", "")
"""The path of MySQL's ``mysqld``, or the URL of a running server; empty where MySQL is not tested."""
_STARTUP_S = 30.0


def _folder_for_all() -> str:
    """Where another user than root can come to what is given to it: the folder of all tests, or one of the system."""
    own = os.environ["PYTEST_DEBUG_TEMPROOT"]
    if os.geteuid() != 0:
        return own
    for folder in map(Path, (own, "/tmp", "/var/tmp")):
        if all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents)):
            return str(folder)
    pytest.fail(f"no database server of another user can come to its folder in {own}, /tmp or /var/tmp")


class Server(ABC):
    """
    A server on a free port of the loopback interface, with its data in a temporary directory.

    It ends with the process that started it. As root it runs as an unprivileged user, because servers refuse root.
    """

    user: str
    """The account of the system that its package makes."""
    zone = "UTC"
    """Its time zone."""

    def __init__(self, program: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wtschat-db-", dir=_folder_for_all()))
        self._numbers = count(1)
        self._as_user: list[str] = []
        # The temporary folder of the tests may be closed to the server's user.
        self._environment = {**os.environ, "TMPDIR": str(self._folder), "TZ": self.zone}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._as_user = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        with closing(socket.socket()) as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        self._log = (self._folder / "server.log").open("wb")
        command = ["setpriv", *self._as_user, "--pdeathsig", "KILL", str(program), *self.prepare()]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, cwd=self._folder, env=self._environment
        )
        self._wait()

    @abstractmethod
    def prepare(self) -> list[str]:
        """Make the data directory, and return the server's arguments."""

    @abstractmethod
    def query(self, sql: str) -> None:
        """Run a statement as the administrator."""

    @abstractmethod
    def connection(self, database: str) -> str:
        """Return a connection of Airflow to a database, as JSON."""

    def new_database(self) -> str:
        """Make an empty database and return a connection of Airflow to it, as JSON."""
        name = f"test{next(self._numbers)}"
        self.query(f"CREATE DATABASE {name}")
        return self.connection(name)

    def stop(self) -> None:
        """End the server and remove its data."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *command: str) -> None:
        """Run a program as the server's user."""
        done = subprocess.run(
            ["setpriv", *self._as_user, *command] if self._as_user else command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr or done.stdout)

    def _wait(self) -> None:
        deadline = time.monotonic() + _STARTUP_S
        while True:
            try:
                self.query("SELECT 1")
            except RuntimeError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    told = Path(self._log.name).read_text(errors="replace")[-2000:]
                    self.stop()
                    pytest.fail(f"{type(self).__name__} did not start: {error}\n{told}")
                time.sleep(0.05)
            else:
                return


def postgres_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs, of the newest version there is."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    candidates = [*reversed(folders), *([Path(found).resolve().parent] if found else [])]
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


class Postgres(Server):
    user = "postgres"

    def __init__(self, folder: Path) -> None:
        self._programs = folder
        super().__init__(folder / "postgres")

    def prepare(self) -> list[str]:
        data = str(self._folder / "data")
        self.run(str(self._programs / "initdb"), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = (f"port={self.port}", f"listen_addresses={HOST}", f"unix_socket_directories={self._folder}",
                    "fsync=off", "full_page_writes=off", "dynamic_shared_memory_type=mmap")  # fmt: skip
        return ["-D", data, *(word for setting in settings for word in ("-c", setting))]

    def query(self, sql: str) -> None:
        self.run(
            str(self._programs / "psql"), "-h", str(self._folder), "-p", str(self.port), "-U", "tests",
            "-d", "postgres", "-qc", sql,
        )  # fmt: skip

    def connection(self, database: str) -> str:
        return json.dumps(
            {"conn_type": "postgres", "host": HOST, "port": self.port, "login": "tests", "schema": database}
        )


class MariaDb(Server):
    user = "mysql"
    zone = "America/New_York"

    def prepare(self) -> list[str]:
        data = f"--datadir={self._folder / 'data'}"
        self.run("mariadb-install-db", "--no-defaults", data, "--auth-root-authentication-method=normal",
                 "--skip-test-db")  # fmt: skip
        return ["--no-defaults", data, f"--port={self.port}", f"--bind-address={HOST}",
                f"--socket={self._folder / 'socket'}", f"--pid-file={self._folder / 'pid'}",
                f"--tmpdir={self._folder}",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]  # fmt: skip

    def query(self, sql: str) -> None:
        self.run("mariadb", "--no-defaults", f"--socket={self._folder / 'socket'}", "-u", "root", "-e", sql)

    def new_database(self) -> str:
        self.query(f"CREATE USER IF NOT EXISTS tests@'{HOST}'; GRANT ALL ON *.* TO tests@'{HOST}'")
        return super().new_database()

    def connection(self, database: str) -> str:
        # A driver without a build step, and a collation that both MySQL and MariaDB know.
        extra = {"client": "mysql-connector-python", "collation": "utf8mb4_general_ci"}
        where = {"host": HOST, "port": self.port, "login": "tests", "schema": database}
        return json.dumps({"conn_type": "mysql", **where, "extra": extra})


class RunningMySql:
    """
    A MySQL server that is there, in which tests make databases.

    Its login has a password, which MySQL takes as ``caching_sha2_password``, over TLS.

    :param url: where it is, with the administrator's login
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._administrator = {
            "host": parts.hostname or HOST, "port": parts.port or 3306, "user": unquote(parts.username or "root"),
            "password": unquote(parts.password or ""),
        }  # fmt: skip
        self._made: list[str] = []

    def query(self, sql: str) -> None:
        """Run statements as the administrator."""
        from mysql.connector import Error, connect

        try:
            with closing(connect(**self._administrator)) as connection, closing(connection.cursor()) as cursor:
                for statement in sql.split(";"):
                    cursor.execute(statement)
                    cursor.fetchall()
        except Error as error:
            raise RuntimeError(str(error)) from None

    def new_database(self) -> str:
        """Make an empty database and return a connection of Airflow to it, as JSON."""
        name = f"wtschat_test_{uuid4().hex[:12]}"
        self.query(
            f"CREATE USER IF NOT EXISTS {name}@'%' IDENTIFIED BY 'tests'; GRANT ALL ON *.* TO {name}@'%'; "
            f"CREATE DATABASE {name}"
        )
        self._made.append(name)
        where = {key: self._administrator[key] for key in ("host", "port")}
        described: dict[str, Any] = {"conn_type": "mysql", **where, "login": name, "password": "tests", "schema": name}
        return json.dumps({**described, "extra": {"client": "mysql-connector-python"}})

    def stop(self) -> None:
        """Remove what the tests made."""
        for name in self._made:
            self.query(f"DROP DATABASE {name}; DROP USER {name}@'%'")


class MySqlProgram(Server):
    """
    A MySQL server of the tests' own, of which :class:`RunningMySql` makes databases.

    :param program: its ``mysqld``
    """

    user = "mysql"
    zone = "America/New_York"

    def __init__(self, program: Path) -> None:
        self._program = program
        super().__init__(program)

    def prepare(self) -> list[str]:
        data = f"--datadir={self._folder / 'data'}"
        self.run(str(self._program), "--no-defaults", "--initialize-insecure", "--secure-file-priv=NULL", data)
        return ["--no-defaults", data, f"--port={self.port}", f"--bind-address={HOST}", "--mysqlx=OFF",
                f"--socket={self._folder / 'socket'}", f"--pid-file={self._folder / 'pid'}",
                f"--tmpdir={self._folder}", "--secure-file-priv=NULL", "--skip-log-bin",
                # As managed servers have it.
                "--sql-require-primary-key=ON",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]  # fmt: skip

    @property
    def url(self) -> str:
        """Where it is."""
        return f"mysql://root@{HOST}:{self.port}"

    def query(self, sql: str) -> None:
        RunningMySql(self.url).query(sql)

    def connection(self, database: str) -> str:
        raise NotImplementedError


def _need(provider: str, *programs: str) -> None:
    pytest.importorskip(f"airflow.providers.{provider}.hooks.{provider}")
    missing = [program for program in ("setpriv", *programs) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (or not on the PATH of {getpass.getuser()})")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server; skips where there is none."""
    _need("postgres")
    folder = postgres_folder()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(folder)
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: Postgres) -> str:
    """An Airflow connection, as JSON, to an empty database of the test's own in a real PostgreSQL."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """A MariaDB server; skips where there is none."""
    _need("mysql", "mariadb-install-db", "mariadb")
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("MariaDB is not installed")
    server = MariaDb(Path(program))
    yield server
    server.stop()


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> str:
    """An Airflow connection, as JSON, to an empty database of the test's own in a real MariaDB."""
    return mariadb_server.new_database()


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[RunningMySql]:
    """A MySQL server; skips where ``WTSCHAT_TEST_MYSQL`` names none."""
    if not MYSQL:
        pytest.skip("WTSCHAT_TEST_MYSQL names no MySQL: neither the path of its mysqld nor the URL of a running server")
    _need("mysql")
    if "://" in MYSQL:
        server = RunningMySql(MYSQL)
        yield server
        server.stop()
    else:
        own = MySqlProgram(Path(MYSQL))
        yield RunningMySql(own.url)
        own.stop()


@pytest.fixture
def mysql(mysql_server: RunningMySql) -> str:
    """An Airflow connection, as JSON, to an empty database of the test's own in a real MySQL."""
    return mysql_server.new_database()


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """An Airflow connection, as JSON, to an empty SQLite file."""
    return json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "database.db")})


@pytest.fixture
def duckdb(tmp_path: Path) -> str:
    """An Airflow connection, as JSON, to a DuckDB file that is not there yet."""
    pytest.importorskip("duckdb")
    return json.dumps({"conn_type": "duckdb", "host": str(tmp_path / "database.duckdb")})


SERVERS = ("postgres", "mariadb", *(["mysql"] if MYSQL else []))


@pytest.fixture(params=["sqlite", *SERVERS])
def database(request: pytest.FixtureRequest) -> str:
    """An Airflow connection, as JSON, to an empty database: the test runs on each kind."""
    connection: str = request.getfixturevalue(request.param)
    return connection
