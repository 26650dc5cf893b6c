"""A real PostgreSQL for tests: started as an ordinary user on a free port, ended by its process id, also when a test fails.

def test_a_row_is_written(postgres: Postgres) -> None:
    database = postgres.create()
    with psycopg.connect(database.url) as connection: ...
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers import free_port, wait_until

USER = "postgres"
"""Who may do everything in the server, by name alone: it listens on loopback, and its data is thrown away."""

ORDINARY = ("postgres", "nobody")
"""Users of the system as whom it runs when the tests are root's: as root it refuses to."""

_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "log_min_messages": "fatal",
}
"""Nothing of it has to survive the machine."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """A database that nobody else uses."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        """As psycopg and SQLAlchemy take it."""
        return f"postgresql://{USER}@127.0.0.1:{self.server.port}/{self.name}"

    def of_django(self, **more: Any) -> dict[str, Any]:
        """An entry of Django's `DATABASES`; `more` is added: CONN_MAX_AGE=None, OPTIONS={"pool": True}, ..."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "USER": USER,
            "HOST": "127.0.0.1",
            "PORT": str(self.server.port),
            **more,
        }

    def connections(self) -> int:
        """How many clients are connected to it."""
        return int(
            self.server.ask(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
                self.name,
            )
        )


@dataclass
class Postgres:
    """A running PostgreSQL."""

    port: int
    directory: Path
    programs: Path
    process: subprocess.Popen[bytes] | None = None
    databases: list[str] = field(default_factory=list)

    def create(self) -> Database:
        """Make a database that nobody else uses."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        self.databases.append(name)
        return Database(self, name)

    def ask(self, query: str, *values: object) -> Any:
        """The one value that a query gives."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            row = connection.execute(query, values).fetchone()
        assert row is not None, query
        return row[0]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in _QUICK.items()]
        options += ["-clisten_addresses=127.0.0.1", f"-cunix_socket_directories={self.directory}"]
        command = [str(self.programs / "postgres"), "-D", str(self.directory / "data"), f"-p{self.port}"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_ordinary_user(), *command, *options],
                env=_ENVIRONMENT,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(psycopg.OperationalError):
                return bool(self.ask("SELECT 1"))
            return False

        wait_until(answers, description="PostgreSQL answers", timeout=60)

    def stop(self) -> None:
        """End it at once: whoever is connected notices."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def restart(self) -> None:
        """End it under those who are connected, and start it on the same port with the same data."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.start()

    def log(self) -> str:
        """The end of its log."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}?connect_timeout=10"


_ENVIRONMENT: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
"""Without the mark of what the tests have started: a backend comes and goes with its connection, and is no leak."""


def programs() -> Path | None:
    """Where its programs are; None: it is not installed."""
    if found := shutil.which("initdb"):
        return Path(os.path.realpath(found)).parent
    versions = sorted(
        glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(Path(path).parent.name), reverse=True
    )
    return Path(versions[0]) if versions else None


def _as_ordinary_user() -> Sequence[str]:
    """What to put before a command, so that it does not run as root; and ends with us."""
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0:
        return [setpriv, "--pdeathsig=QUIT"] if setpriv else []
    user = _ordinary()
    assert setpriv is not None
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=QUIT"]


def _ordinary() -> pwd.struct_passwd:
    for name in ORDINARY:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise LookupError("no ordinary user")


def missing() -> str | None:
    """Why it cannot be started here; None: it can."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            return "PostgreSQL does not run as root, and there is no setpriv (util-linux)"
        try:
            _ordinary()
        except LookupError:
            return f"PostgreSQL does not run as root, and there is none of the users {', '.join(ORDINARY)}"
    return None


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A server; skipped, in CI failed, where there is none.

    Its folder is directly below that for temporary files: the name of a socket has 107 bytes at most, and pytest's own folders
    are closed to other users.
    """
    if (reason := missing()) is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    where = programs()
    assert where is not None
    directory = Path(tempfile.mkdtemp(prefix="tf-pg-"))
    server = Postgres(free_port(), directory, where)
    try:
        if os.getuid() == 0:
            user = _ordinary()
            os.chown(directory, user.pw_uid, user.pw_gid)
        initdb = [str(where / "initdb"), "-D", str(directory / "data"), "-U", USER, "--auth=trust"]
        made = subprocess.run(
            [
                *_as_ordinary_user(),
                *initdb,
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "--no-instructions",
            ],
            env=_ENVIRONMENT,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert made.returncode == 0, made.stderr[-2000:]
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
