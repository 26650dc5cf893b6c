"""The apps of app.py on the real server, workers for them, and the stored bytes behind their back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.message.task_message import TaskMessage
from tests.security import app as module
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


def apps_of(
    module: ModuleType, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> Generator[ModuleType, None, None]:
    """A module with apps; what they enqueue goes to the real server."""
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url_as("producer"))
    every = [app for app in vars(module).values() if isinstance(app, TaskFlow)]
    for app in every:
        app._client = None
    yield module
    for app in every:
        app.close()
        app._client = None


@pytest.fixture
def apps(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with all apps."""
    yield from apps_of(module, valkey, monkeypatch)


@pytest.fixture
def worker(valkey: Server, queue: str) -> Callable[..., WorkerProcess]:
    """Starts a worker of one of the apps, for this test's queue."""

    def start(app: str, **options: Any) -> WorkerProcess:
        options = {"queues": {queue: 1}, "concurrency": 4, **options}
        return WorkerProcess(f"tests.security.app:{app}", broker=valkey.url_as("worker"), **options)

    return start


@dataclass(frozen=True)
class Stored:
    """What lies on the server in one queue, as somebody sees it who may read and write everything."""

    raw: redis.Redis
    queue: str

    def key(self, task_id: str | bytes) -> bytes:
        return f"asynq:{{{self.queue}}}:t:".encode() + (
            task_id.encode() if isinstance(task_id, str) else task_id
        )

    def push(self, message: TaskMessage | bytes, task_id: str | bytes = "", **fields: Any) -> None:
        """Put a message into the queue, as anybody can who has the server's password."""
        if isinstance(message, TaskMessage):
            task_id, message = task_id or message.id, message.encode()
        self.raw.hset(self.key(task_id), mapping={"msg": message, "state": "pending", **fields})
        self.raw.lpush(f"asynq:{{{self.queue}}}:pending", task_id)

    def task(self, task_id: str | bytes) -> dict[bytes, bytes]:
        return self.raw.hgetall(self.key(task_id))  # type: ignore[no-any-return]

    def message(self, task_id: str | bytes) -> TaskMessage:
        return TaskMessage.decode(self.task(task_id)[b"msg"])

    def state(self, task_id: str | bytes) -> str:
        return self.task(task_id).get(b"state", b"").decode()

    def count(self, state: str) -> int:
        key = f"asynq:{{{self.queue}}}:{state}"
        return int(self.raw.llen(key) if state in ("pending", "active") else self.raw.zcard(key))

    def wait_for(self, task_id: str | bytes, state: str) -> dict[bytes, bytes]:
        wait_until(lambda: self.state(task_id) == state, description=f"task {task_id!r} is {state}")
        return self.task(task_id)


@pytest.fixture
def stored(raw: redis.Redis, queue: str) -> Stored:
    return Stored(raw, queue)
