"""Finding whoever took over from a host that says nothing any more. (A real cluster's: `tests/cluster/test_silent_host.py`.)"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from taskflow import TaskFlow, errors
from tests.clusters import lone_node
from tests.sentinels import Sentinels, sentinels
from tests.servers import Server, free_port, wait_until
from tests.silence import BlackHole, names
from tests.workers import WorkerProcess

AT_ONCE = 3.0
"""Seconds of a call after the first: a second, and what is the machine's; what still asks the silent one takes five."""

_numbers = itertools.count()


class Producers:
    """Two of one broker, in threads and in coroutines, which have enqueued before."""

    def __init__(self, url: str, queue: str, *, limit: float = 5.0) -> None:
        self._runner = asyncio.Runner()
        self._apps = [TaskFlow("client", broker=url, queue=queue, enqueue_timeout=limit) for _ in range(2)]
        threads, coroutines = (app.task(name="t")(lambda: None) for app in self._apps)
        self._calls: dict[str, Callable[[], object]] = {
            "threads": threads.delay,
            "coroutines": lambda: self._runner.run(_awaited(coroutines.adelay)),
        }
        for call in self._calls.values():
            call()

    def check(self, *, failures: int = 1, first: float) -> None:
        """Each enqueues four times: how many of its calls may fail, and how long the first may take."""
        for name, call in self._calls.items():
            failed, took = 0, []
            for _ in range(4):
                began = time.monotonic()
                try:
                    call()
                except errors.BrokerUnavailable:
                    failed += 1
                took.append(time.monotonic() - began)
            assert failed <= failures, name
            assert took[0] < first, (name, took)
            assert max(took[1:]) < AT_ONCE, (name, took)

    def __enter__(self) -> Producers:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._apps[1].aclose())
        self._runner.close()
        for app in self._apps:
            app.close()


async def _awaited(call: Callable[[], Awaitable[object]]) -> object:
    return await call()


def pending(server: Server, queue: str, host: str = "127.0.0.1") -> int:
    with redis.Redis(host=host, port=server.port) as client:
        return int(client.llen(f"asynq:{{{queue}}}:pending"))


@contextlib.contextmanager
def gone(server: Server) -> Iterator[None]:
    """A host that vanishes without a word: what is connected stays so, nothing is answered, no new connection is taken."""
    os.kill(server.process.pid, signal.SIGSTOP)
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            assert filler.connect_ex(("127.0.0.1", server.port)) in (0, errno.EINPROGRESS)
            fillers.append(filler)
        yield
    finally:
        for filler in fillers:
            filler.close()
        os.kill(server.process.pid, signal.SIGCONT)


def test_a_host_that_vanishes_with_our_connections_costs_one_call(tmp_path: Path, queue: str) -> None:
    """The first call waits for its reply on a connection that looks well. Every later one has to find the successor."""
    with (
        lone_node(tmp_path / "old", epoch=3, settings=("--tcp-backlog", "1")) as old,
        lone_node(tmp_path / "new", epoch=4) as new,
        Producers(
            f"redis+cluster://127.0.0.1:{old.port},127.0.0.1:{new.port}", queue, limit=1.5
        ) as producers,
        gone(old),
    ):
        producers.check(first=1.65 + 0.4)
        assert pending(new, queue) >= 6


def test_all_addresses_behind_the_one_name_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    """A new set of pods behind one name of a service: the nodes that were known are asked, and silent, for ever; the name was
    never looked up again in time.
    """
    port, name = free_port(), f"cluster{next(_numbers)}.test"
    with ExitStack() as stack:
        old = stack.enter_context(lone_node(tmp_path / "old", epoch=3, host="127.0.0.2", port=port))
        new = stack.enter_context(lone_node(tmp_path / "new", epoch=4, host="127.0.0.3", port=port))
        resolver = stack.enter_context(names(monkeypatch, {name: ["127.0.0.2"]}))
        producers = stack.enter_context(Producers(f"redis+cluster://{name}:{port}", queue))
        old.stop()
        stack.enter_context(BlackHole(port, "127.0.0.2"))
        resolver.hosts[name] = ["127.0.0.3"]
        producers.check(first=5.5 + 0.4)
        assert pending(new, queue, "127.0.0.3") >= 6


def test_one_server_behind_a_name_that_moves_is_found(
    valkey: Server, monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    name = f"server{next(_numbers)}.test"
    with (
        names(monkeypatch, {name: ["127.0.0.1"]}) as resolver,
        Producers(f"redis://{name}:{valkey.port}", queue) as producers,
        BlackHole(valkey.port, "127.0.0.2"),
        redis.Redis(port=valkey.port) as client,
    ):
        resolver.hosts[name] = ["127.0.0.2", "127.0.0.1"]
        client.client_kill_filter(_type="normal", skipme=True)
        producers.check(failures=0, first=AT_ONCE)


# --- Sentinel -------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Sentinels]:
    """A master with a replica, and three Sentinels that know each other."""
    with sentinels(tmp_path, count=3, replicas=1) as running:
        for one in running.sentinels:
            with redis.Redis(port=one.port) as client:

                def knows(client: redis.Redis = client) -> bool:
                    facts = client.sentinel_master("main")
                    return (facts["num-slaves"], facts["num-other-sentinels"]) == (1, 2)

                wait_until(knows, description="the Sentinels know each other and the replica")
        yield running


def test_master_and_first_sentinel_are_silent(watched: Sentinels, queue: str, tmp_path: Path) -> None:
    """The first Sentinel was asked first each time, and had three seconds to answer; so every call failed, and the worker took
    nothing.
    """
    (tmp_path / "app.py").write_text(
        "from taskflow import TaskFlow\n"
        "app = TaskFlow('app', retention=60)\n"
        "@app.task(name='t')\n"
        "def t() -> int:\n"
        "    return 1\n"
    )
    url = watched.url()
    old, new = watched.servers
    app = TaskFlow("client", broker=url, queue=queue, retention=60, enqueue_timeout=10)
    task = app.task(name="t")(lambda: 1)
    with (
        ExitStack() as stack,
        Producers(url, f"{queue}-more") as producers,
        WorkerProcess("app", directory=tmp_path, broker=url, queues={queue: 1}),
    ):
        assert task.delay().get(20) == 1
        with redis.Redis(port=watched.sentinels[1].port) as client:
            client.execute_command("SENTINEL", "FAILOVER", "main")
            wait_until(
                lambda: client.sentinel_get_master_addr_by_name("main")[1] == new.port,
                description="the replica is master",
            )
        for server in (old, watched.sentinels[0]):
            server.stop()
            stack.enter_context(BlackHole(server.port))
        handle = task.delay()
        enqueued = time.monotonic()
        assert handle.get(20) == 1
        assert time.monotonic() - enqueued < 5, "3 s, and what is the machine's"
        producers.check(first=5.5)
        assert pending(new, f"{queue}-more") >= 6
    app.close()
