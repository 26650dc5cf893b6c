"""The servers under test: one, perhaps behind the proxy, or a real cluster of six. Looked at with redis-py alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskflow import embedded
from taskflow.broker.keys import queue_keys
from taskflow.errors import TaskFlowError
from taskflow.message.task_message import TaskMessage
from tests.servers import Server, free_port, start_server, wait_until

from .policy import Policy
from .proxy import Proxy

T = TypeVar("T")

STATES = ("pending", "active", "scheduled", "retry", "lease")
"""What must be empty at the end."""

ANSWER = 2.0


def client(port: int) -> redis.Redis:
    """A connection to one server that tries nothing twice."""
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        socket_timeout=ANSWER,
        socket_connect_timeout=ANSWER,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )


def ask(port: int | None, *words: Any) -> Any:
    """One command to one server, the reply as it comes.

    Raises:
        redis.RedisError: refused, or not answered.
    """
    assert port is not None, "the server listens on a socket"
    with contextlib.closing(client(port)) as connection:
        connection.response_callbacks.clear()
        return command(connection, *words)


def command(connection: redis.Redis, *words: Any) -> Any:
    """One command on a connection."""
    send: Callable[..., Any] = connection.execute_command
    return send(*words)


class Target(ABC):
    """Where the tested queues live.

    Attributes:
        url: what producers and workers are given.
    """

    url: str

    @abstractmethod
    def masters(self) -> dict[int, int]:
        """Port by process id, of the servers that own slots, as far as they run."""

    @abstractmethod
    def port_of(self, queue: str) -> int:
        """The port of the server that owns a queue now."""

    @abstractmethod
    def heal(self) -> None:
        """Make everything run and answer again, and no server stopped."""

    @abstractmethod
    def close(self) -> None:
        """End all processes."""

    def ask_owner(self, queue: str, *words: Any, timeout: float = 30) -> Any:
        """One command to the owner of a queue, whoever that is by then."""
        return patiently(lambda: ask(self.port_of(queue), *words), timeout)

    def depth(self, queue: str) -> dict[str, int]:
        """How many tasks a queue has in each state that must be empty at the end."""
        keys = queue_keys(queue)
        counts = {}
        for state in STATES:
            key = keys.lease if state == "lease" else keys.state(state)
            words = ("LLEN", key) if state in ("pending", "active") else ("ZCARD", key)
            counts[state] = self.ask_owner(queue, *words)
        return counts

    def trace_of(self, queue: str, task_id: str) -> str:
        """Everything that a queue's server knows of a task, in words; empty: nothing."""
        keys = queue_keys(queue)
        found = self.ask_owner(queue, "HGETALL", keys.task(task_id))
        fields = {name.decode(): value for name, value in zip(found[::2], found[1::2], strict=True)}
        fields.pop("msg", None)
        words = [f"{name}={value.decode(errors='replace')}" for name, value in sorted(fields.items())]
        for state in ("pending", "active"):
            if self.ask_owner(queue, "LPOS", keys.state(state), task_id) is not None:
                words.append(f"in {state}")
        for key in (keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed, keys.orphans):
            score = self.ask_owner(queue, "ZSCORE", key, task_id)
            if score is not None:
                words.append(f"in {key.rpartition(':')[2]} at {score.decode()}")
        return " ".join(words)

    def archived(self, queue: str) -> Iterator[TaskMessage]:
        """The messages of the archived tasks of a queue."""
        keys = queue_keys(queue)
        for task_id in self.ask_owner(queue, "ZRANGE", keys.archived, 0, -1):
            message = self.ask_owner(queue, "HGET", keys.task(task_id.decode()), "msg")
            if message:
                yield TaskMessage.decode(message)


class SingleTarget(Target):
    """One server. It writes its log before it answers, so `kill -9` and a restart lose nothing acknowledged.

    Args:
        directory: for its files.
        policy: with one, clients are given the address of a proxy.
        rng: the proxy's.
    """

    def __init__(
        self, directory: Path, policy: Policy | None = None, rng: random.Random | None = None
    ) -> None:
        self._directory = directory
        self._port = free_port()
        self._server = self._start()
        self.proxy: Proxy | None = None
        if policy is not None:
            self.proxy = Proxy(self._port, policy, rng or random.Random(0))
            self.proxy.start()
        self.url = f"redis://127.0.0.1:{self.proxy.port if self.proxy else self._port}"

    def _start(self) -> Server:
        return start_server(
            self._directory, "--appendonly", "yes", "--appendfsync", "always", port=self._port
        )

    def masters(self) -> dict[int, int]:
        return {self._server.process.pid: self._port} if self._server.process.poll() is None else {}

    def port_of(self, queue: str) -> int:
        return self._port

    def heal(self) -> None:
        if self._server.process.poll() is None:
            self._server.process.send_signal(signal.SIGCONT)
        else:
            self._server = self._start()
        wait_until(lambda: _answers(self._port), description="the server answers")

    def close(self) -> None:
        if self.proxy is not None:
            self.proxy.stop()
        self._server.stop()


class ClusterTarget(Target):
    """Six nodes: three masters with a replica each, as `embedded://…?nodes=6` makes them."""

    def __init__(self, directory: Path) -> None:
        self.config = embedded.parse_url(f"embedded://{directory}?nodes=6&password=no")
        self.url = embedded.ensure(self.config)
        self.pids: set[int] = set()
        self.nodes()

    def nodes(self) -> Sequence[embedded.NodeStatus]:
        """Every node as it is now."""
        nodes = embedded.status(self.config).nodes
        self.pids |= {node.pid for node in nodes if node.pid is not None}
        return nodes

    def masters(self) -> dict[int, int]:
        return {
            node.pid: node.port
            for node in self.nodes()
            if node.pid is not None and node.port is not None and node.role == "master" and node.slots
        }

    def port_of(self, queue: str) -> int:
        slot = queue_keys(queue).slot
        for _, port in sorted(self.masters().items()):
            with contextlib.suppress(redis.RedisError):
                for first, last, master, *_ in ask(port, "CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return int(master[1])
        raise redis.ConnectionError(f"no master of queue {queue} is known")

    def owner(self, queue: str) -> embedded.NodeStatus:
        """The node that owns a queue now."""
        port = patiently(lambda: self.port_of(queue), 30)
        return next(node for node in self.nodes() if node.port == port)

    def replicas(self, master: embedded.NodeStatus) -> list[embedded.NodeStatus]:
        """The living replicas of a node."""
        return [node for node in self.nodes() if node.master_id == master.node_id and node.alive]

    def heal(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                if _is_server(pid):
                    os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 90
        while True:
            try:
                embedded.ensure(self.config)
                break
            except TaskFlowError:
                # A node that was just killed lets go of its files a moment later.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self.nodes()

    def close(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                if _is_server(pid):
                    os.kill(pid, signal.SIGCONT)
        embedded.stop(self.config)


def _answers(port: int) -> bool:
    try:
        return bool(ask(port, "PING"))
    except redis.RedisError:
        return False


def _is_server(pid: int) -> bool:
    """Whether the process is still a server: its number may long be somebody else's."""
    try:
        return b"valkey-server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def patiently(work: Callable[[], T], timeout: float) -> T:
    """Try again until it works, or for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return work()
        except (redis.RedisError, StopIteration):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
