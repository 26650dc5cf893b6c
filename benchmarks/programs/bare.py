"""What the programs without a framework share: connections, the tasks, and threads that take them.

Nothing of taskflow is in here: `limit_app` is not to become faster or slower with it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

import side
from redis.connection import Connection

WAIT_SECONDS = 2
PENDING = f"asynq:{{{side.QUEUE}}}:pending"

TASKS = {
    "benchmark:noop": lambda: None,
    "benchmark:sleep": side.sleep,
    "benchmark:cpu": side.cpu,
    "benchmark:mark": side.mark,
}


def connect() -> Connection:
    connection = Connection(host="127.0.0.1", port=side.PORT, protocol=2, driver_info=None, socket_timeout=30)
    connection.connect()
    return connection


def send(connection: Connection, words: Iterable[Any]) -> None:
    connection.send_packed_command(connection.pack_command(*words), check_health=False)


def call(connection: Connection, *words: Any) -> Any:
    send(connection, words)
    return connection.read_response(disable_decoding=True)


def load(connection: Connection, *scripts: str) -> None:
    """Make the server know these scripts."""
    for script in scripts:
        call(connection, "SCRIPT", "LOAD", script)


def wait(connection: Connection) -> None:
    """Until a task waits, for some seconds at most."""
    call(connection, "BLMOVE", PENDING, PENDING, "RIGHT", "RIGHT", WAIT_SECONDS)


def run(message: Any) -> None:
    """Run the task of a message, as protobuf has it."""
    TASKS[message.type](**(json.loads(message.payload) if message.payload else {}))


def in_threads(work: Callable[[], None]) -> None:
    """Do this in as many threads as a worker has, for ever."""
    for _ in range(side.CONCURRENCY - 1):
        threading.Thread(target=work, daemon=True).start()
    work()


class Connections:
    """A connection for each thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def connection(self) -> Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = connect()
        return self._local.connection
