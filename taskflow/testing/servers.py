"""The private servers of a test run: one server and one cluster for a process, started when they are first needed."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from .. import embedded
from ..broker.command import Plain
from ..broker.sync import Broker
from ..connection.sync import SyncDriver
from ..embedded import EmbeddedConfig
from ..embedded.locking import acquire, exclusive
from ..errors import TaskFlowError
from ..private_files import PrivateDirectory

Kind = Literal["server", "cluster"]

CLUSTER_NODES = 6

_PATIENCE = 60.0
"""Seconds to wait for another test run that is starting, and clears up behind one that was killed."""


class PrivateServers:
    """What the tests of one process (of one xdist worker) have for themselves, until `stop`.

    They are in a directory of their own below the temporary one. A run that was killed leaves its servers behind; the next one
    that starts any, of whatever project, ends them: it finds that nobody holds the lock of their directory.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._folder: Path | None = None
        self._lock: int | None = None
        self._brokers: dict[Kind, Broker] = {}
        self._urls: dict[Kind, str] = {}

    def broker(self, kind: Kind) -> Broker:
        """A server, or a cluster of six nodes, and our own connections to it.

        Raises:
            EmbeddedServerError: it does not start; ServerBinaryNotFound: there is no server program.
        """
        if kind not in self._brokers:
            url = self._urls[kind] = embedded.ensure(self._config(kind))
            self._brokers[kind] = Broker(SyncDriver(url))
            atexit.register(self.stop)
        return self._brokers[kind]

    def url(self, kind: Kind) -> str:
        """The broker's URL, with the password."""
        self.broker(kind)
        return self._urls[kind]

    def name(self, kind: Kind) -> str:
        """The same for command lines, which others can read: it names the directory, where the password is."""
        return f"embedded://{quote(str(self._config(kind).directory))}"

    def empty(self, kind: Kind) -> None:
        """Remove everything that is stored there; milliseconds."""
        broker = self.broker(kind)
        nodes = broker.driver.masters(_PATIENCE)
        for reply in broker.run_many([Plain(("FLUSHALL",), bytes, node=node) for node in nodes]):
            if isinstance(reply, TaskFlowError):
                raise reply

    def stop(self) -> None:
        """End the servers, and remove what they have written. They can be started again."""
        atexit.unregister(self.stop)
        if self._pid != os.getpid() or self._folder is None:
            return  # a fork of the tests' process has no servers of its own
        for broker in self._brokers.values():
            broker.close()
        self._brokers = {}
        folder, self._folder = self._folder, None
        with _base() as base:
            _remove(base / folder.name)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _config(self, kind: Kind) -> EmbeddedConfig:
        return EmbeddedConfig(self._own_folder() / kind, nodes=1 if kind == "server" else CLUSTER_NODES)

    def _own_folder(self) -> Path:
        if self._folder is None:
            with _base() as base:
                for left in base.glob("run-*"):
                    if not _is_in_use(left):
                        _remove(left)
                self._folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
                self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
                acquire(self._lock, 0.0)
        return self._folder


@contextmanager
def _base() -> Iterator[Path]:
    """The directory of all test runs of this user, while nobody else makes or removes one in it."""
    base = Path(tempfile.gettempdir()).resolve() / f"taskflow-tests-{os.geteuid()}"
    PrivateDirectory(base).close()  # made, if it is not there; refused, if it is somebody else's
    with exclusive(base / "lock", _PATIENCE):
        yield base


def _is_in_use(folder: Path) -> bool:
    """Whether the process that made it lives: it holds the lock, and the kernel lets go of it whatever ends the process."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not acquire(lock, 0.0)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    for kind in folder.glob("*/"):
        with contextlib.suppress(TaskFlowError):  # what cannot be ended is left for the next run
            embedded.stop(EmbeddedConfig(kind))
    shutil.rmtree(folder, ignore_errors=True)


servers = PrivateServers()
"""Those of this process."""
