"""A worker on the real server, and the ledger that its tasks write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle import app as module
from tests.lifecycle import hurt_app
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


class Ledger:
    """What tasks wrote: lines of event, tag, process id, time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]

    def count(self, event: str, tag: str) -> int:
        return sum(line[:2] == [event, tag] for line in self.lines())

    def pids(self, tag: str) -> list[int]:
        return [int(line[2]) for line in self.lines() if line[:2] == ["start", tag]]

    def release(self, tag: str) -> None:
        """Let a task end that has `HELD` for its seconds."""
        with self.path.with_name(f"{self.path.name}.{tag}").open("ab"):
            pass

    def wait_for(self, event: str, *tags: str, timeout: float = 20) -> None:
        wait_until(
            lambda: all(self.count(event, tag) for tag in tags),
            description=f"{event} of {', '.join(tags)}",
            timeout=timeout,
        )


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger(tmp_path / "ledger")
    monkeypatch.setenv("TASKFLOW_TEST_LEDGER", str(ledger.path))
    return ledger


@contextmanager
def tasks_of(module: Any, valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module's tasks, sent to this test's queue on the real server."""
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url_as("producer"))
    module.app._client = None

    class Tasks:
        app = module.app

        def __getattr__(self, name: str) -> Any:
            return getattr(module, name).options(queue=queue)

    yield Tasks()
    module.app.close()
    module.app._client = None


@pytest.fixture
def tasks(valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The tasks of `app`."""
    with tasks_of(module, valkey, queue, monkeypatch) as found:
        yield found


@pytest.fixture
def worker(valkey: Server, queue: str, ledger: Ledger) -> Callable[..., WorkerProcess]:
    """Starts workers of this test's queue."""

    def start(**options: Any) -> WorkerProcess:
        options.setdefault("queues", {queue: 1})
        return WorkerProcess("tests.lifecycle.app", broker=valkey.url_as("worker"), **options)

    return start


@pytest.fixture
def hurt(valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The tasks of `hurt_app`."""
    with tasks_of(hurt_app, valkey, queue, monkeypatch) as found:
        yield found


@pytest.fixture
def hurt_worker(valkey: Server, queue: str, ledger: Ledger) -> Callable[..., WorkerProcess]:
    """Starts workers of this test's queue with the tasks of `hurt_app`."""

    def start(**options: Any) -> WorkerProcess:
        return WorkerProcess(
            "tests.lifecycle.hurt_app", broker=valkey.url_as("worker"), queues={queue: 1}, **options
        )

    return start
