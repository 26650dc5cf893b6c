"""A limit of time holds over everything that a call waits for: the name, the connection, TLS, the login, the reply."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain, same
from taskflow.broker.sync import Broker
from taskflow.connection import dialing
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.sync import SyncDriver
from taskflow.connection.waiting import LATE, AsyncListener, Listener, ListWatch
from taskflow.errors import BrokerUnavailable, ResultTimeout
from tests.servers import Server
from tests.silence import BlackHole, Mute, names

SLACK = 1.0
"""Seconds over a limit that are the machine's, which others use too; what kept no limit took 1.5 s more, or five and over."""

_numbers = itertools.count()


def delay(url: str, limit: float) -> float:
    """Seconds that a `.delay()` takes which cannot succeed."""
    app = TaskFlow("client", broker=url, enqueue_timeout=limit)
    task = app.task(name="t")(lambda: None)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        task.delay()
    took = time.monotonic() - began
    app.close()
    return took


def adelay(url: str, limit: float) -> float:
    """The same with `.adelay()`, and with the event loop's own end: it must not wait for a resolver either."""

    async def call() -> None:
        app = TaskFlow("client", broker=url, enqueue_timeout=limit)
        task = app.task(name="t")(lambda: None)
        with pytest.raises(BrokerUnavailable):
            await task.adelay()
        await app.aclose()

    began = time.monotonic()
    asyncio.run(call())
    return time.monotonic() - began


@pytest.fixture
def silent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """host:port of somebody who says nothing, by the parameter."""
    with ExitStack() as stack:
        match request.param:
            case "black hole":
                yield f"127.0.0.1:{stack.enter_context(BlackHole()).port}"
            case "mute":
                yield f"127.0.0.1:{stack.enter_context(Mute()).port}"
            case "slow resolver":
                name = f"slow{next(_numbers)}.test"
                stack.enter_context(names(monkeypatch, {name: ["127.0.0.1"]}, silent=True))
                yield f"{name}:1"


URLS = (
    "redis://{}",
    "redis://user:secret@{}/3",
    "rediss://{}",
    "redis+cluster://{}",
    "rediss+cluster://:secret@{}",
    "redis+sentinel://{}/main?sentinel_password=secret",
)


@pytest.mark.parametrize("silent", ["black hole", "mute", "slow resolver"], indirect=True)
def test_half_a_second_is_half_a_second_and_a_second_is_used(silent: str) -> None:
    """A limit of 0.5 s took 3.0 s with a host that drops SYNs, and 8 s with a resolver that needed so long: connecting and
    resolving had limits of their own, or none.
    """
    calls = [(call, url.format(silent), 0.5) for call in (delay, adelay) for url in URLS]
    calls += [(call, f"redis://{silent}", 1.0) for call in (delay, adelay)]
    with ThreadPoolExecutor(len(calls)) as pool:  # each by itself, only not one after the other
        took = list(pool.map(lambda one: one[0](*one[1:]), calls))
    for (call, url, limit), seconds in zip(calls, took, strict=True):
        assert seconds < limit * 1.1 + SLACK, (call.__name__, url)
        assert seconds > 0.5 or limit < 1, (call.__name__, url)


@pytest.mark.parametrize("silent", ["black hole", "mute"], indirect=True)
def test_each_of_many_threads_keeps_its_own_limit(silent: str) -> None:
    """They go together; the one that goes first has a longer limit than those who wait for it."""
    app = TaskFlow("client", broker=f"redis://{silent}")
    task = app.task(name="t")(lambda: None)
    took: dict[int, float] = {}

    def call(number: int, limit: float) -> None:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            task.options(enqueue_timeout=limit).delay()
        took[number] = time.monotonic() - began - limit

    threads = [threading.Thread(target=call, args=(0, 2.0))]
    threads += [threading.Thread(target=call, args=(number, 0.5)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app.close()
    assert len(took) == 9
    assert max(took.values()) < SLACK + 0.2


def test_a_large_request_that_the_node_does_not_take_keeps_its_limit() -> None:
    """What does not fit into the socket's buffers waited for the socket's timeout, five seconds, whatever the limit was."""
    large = Plain(("ECHO", "x" * 16_000_000), same)
    with Mute(reads=False) as node:
        broker = Broker(SyncDriver(f"redis://127.0.0.1:{node.port}"))
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            broker.run(large, 0.5)
        assert time.monotonic() - began < 0.55 + SLACK
        broker.close()

        async def call() -> None:
            broker = AsyncBroker(AsyncDriver(f"redis://127.0.0.1:{node.port}"))
            with pytest.raises(BrokerUnavailable):
                await broker.run(large, 0.5)
            await broker.close()

        began = time.monotonic()
        asyncio.run(call())
        assert time.monotonic() - began < 0.55 + SLACK


@pytest.mark.parametrize("silent", ["black hole", "mute", "slow resolver"], indirect=True)
def test_whoever_waits_for_messages_or_lists_connects_within_the_given_time(silent: str) -> None:
    """A worker's waiting connections and `result.get()` have a time of their own too; subscribing took the socket's."""
    url = f"redis://{silent}"
    driver = SyncDriver(url)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        Listener(driver, 0, "channel", 0.5)
    assert time.monotonic() - began < 0.55 + SLACK

    async def wait() -> None:
        driver = AsyncDriver(url)
        calls: list[tuple[float, Callable[[], Any]]] = [
            (0.5, lambda: AsyncListener.open(driver, None, "channel", 0.5, sharded=False)),
            (0.5 + LATE, lambda: ListWatch(driver, 0, "list").wait(0.5)),
        ]
        for limit, call in calls:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable):
                await call()
            assert time.monotonic() - began < limit * 1.1 + SLACK

    asyncio.run(wait())
    driver.close()


def test_whoever_waits_for_a_result_waits_no_longer_than_he_said(own_server: Server) -> None:
    """`get(timeout=1)` waited 30 s for a server that had gone silent: a single look had all that time."""
    app = TaskFlow("client", broker=own_server.url, retention=60)
    handle = app.task(name="t")(lambda: None).delay()

    def silent() -> None:
        os.kill(own_server.process.pid, signal.SIGSTOP)

    threading.Timer(0.3, silent).start()
    began = time.monotonic()
    with pytest.raises((BrokerUnavailable, ResultTimeout)):
        handle.get(timeout=1)
    assert time.monotonic() - began < 1 + 0.5 + SLACK

    async def wait() -> None:
        with pytest.raises((BrokerUnavailable, ResultTimeout)):
            await handle.aget(timeout=1)
        await app.aclose()

    began = time.monotonic()
    asyncio.run(wait())
    assert time.monotonic() - began < 1 + 0.5 + SLACK
    app.close()


def ping(url: str) -> None:
    broker = Broker(SyncDriver(url))
    try:
        assert broker.run(Plain(("PING",), same), 2) == b"PONG"
    finally:
        broker.close()


def aping(url: str) -> None:
    async def call() -> None:
        broker = AsyncBroker(AsyncDriver(url))
        try:
            assert await broker.run(Plain(("PING",), same), 2) == b"PONG"
        finally:
            await broker.close()

    asyncio.run(call())


@pytest.mark.parametrize("first", ["black hole", "nobody", "::1"])
@pytest.mark.parametrize("call", [ping, aping])
def test_the_second_address_of_a_name_is_tried(
    first: str, call: Callable[[str], None], valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio took a name's first address only; `localhost` is `::1` first on many machines, and servers listen on 127.0.0.1."""
    monkeypatch.setattr(dialing, "_useless", {})
    name = f"two{next(_numbers)}.test"
    address = "::1" if first == "::1" else "127.0.0.2"
    with ExitStack() as stack:
        if first == "black hole":
            stack.enter_context(BlackHole(valkey.port, address))
        stack.enter_context(names(monkeypatch, {name: [address, "127.0.0.1"]}))
        call(f"redis://{name}:{valkey.port}")
        monkeypatch.setattr(dialing, "HEAD_START", 5.0)  # longer than a busy machine needs for all else
        began = time.monotonic()
        call(f"redis://{name}:{valkey.port}")
        assert time.monotonic() - began < 5.0, "what did not answer is tried last"


def test_a_resolver_that_is_slower_than_every_call_still_gets_to_answer(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thread for each lookup, and its answer thrown away with the call, a resolver of 8 s would never be of use."""
    name = f"slow{next(_numbers)}.test"
    with names(monkeypatch, {name: ["127.0.0.1"]}, silent=True) as resolver:
        app = TaskFlow("client", broker=f"redis://{name}:{valkey.port}", enqueue_timeout=0.3)
        task = app.task(name="t")(lambda: None)
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="not resolved in time"):
                task.delay()
        assert resolver.asked[name] == 1, "they waited for the same lookup"
        threading.Timer(0.1, resolver.answer).start()
        task.options(enqueue_timeout=5, queue=name).delay()
        app.client.close()
        app.close()


def test_a_resolver_that_has_gone_does_not_keep_us_from_where_we_were(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"gone{next(_numbers)}.test"
    url = f"redis://{name}:{valkey.port}"
    for call in (ping, aping):
        with names(monkeypatch, {name: ["127.0.0.1"]}):
            call(url)
        with names(monkeypatch, {name: []}, silent=True):
            call(url)
