"""The client's side of a measurement; runs in the contender's own environment, so it needs the standard library only.

    python side.py MODULE ACTION COUNT [KIND | INTERVAL]

MODULE has a class `Client` with these methods, all functions or all coroutine functions; what it lacks, the contender lacks:

    one(kind)          enqueue a task of this kind
    many(kind, count)  enqueue so many by its API for many
    ping(sent)         enqueue a task of the kind `mark`
    value()            enqueue a no-op and wait for its result
    open(), close()    optional

A client of functions may have `aone(kind)`, a coroutine function, besides. The loops around them are here, so that they are
the same for all.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

WARM_UP = 50
CALLERS = 100
CPU_NANOSECONDS = 1_000_000
ROUND_TRIP_SECONDS = 15.0

PORT = int(os.environ.get("BENCH_PORT", "6379"))
URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379")
QUEUE = os.environ.get("BENCH_QUEUE", "bench")
SETTING = os.environ.get("BENCH_SETTING", "")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "20"))
RESULTS = os.environ.get("BENCH_RESULTS", "")
"""Not empty where results are asked for: some libraries would else keep those of every no-op."""

COROUTINES = {"noop": "noop", "anoop": "noop", "sleep": "sleep", "cpu": "cpu"}
"""The names of the tasks of a library that runs coroutines only."""

_WITHOUT = {
    "many": "no API for many tasks at once",
    "aone": "no client for asyncio",
    "value": "no results",
}

T = TypeVar("T")


class Lacks(Exception):
    """The contender has no such thing."""


def pick(kinds: dict[str, T], kind: str) -> T:
    """The task of this kind."""
    try:
        return kinds[kind]
    except KeyError:
        raise Lacks("no tasks that are coroutines" if kind == "anoop" else f"no task {kind!r}") from None


def setting_number() -> int:
    """The number in the contender's setting, such as `100 coroutines`; without one the concurrency of the run."""
    return next((int(word) for word in SETTING.split() if word.isdigit()), CONCURRENCY)


# --- what tasks do ---------------------------------------------------------------------------------------------------


def mark(sent: int) -> None:
    """Note when a task was enqueued and when it has started. Many processes may write: each line is one write."""
    now = time.time_ns()
    descriptor = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d %d\n" % (sent, now))
    os.close(descriptor)


def sleep() -> None:
    """Wait for 1 ms."""
    time.sleep(0.001)


async def asleep() -> None:
    """Wait for 1 ms in a coroutine."""
    await asyncio.sleep(0.001)


def cpu() -> None:
    """Use 1 ms of processor time."""
    end = time.thread_time_ns() + CPU_NANOSECONDS
    while time.thread_time_ns() < end:
        pass


# --- what clients do -------------------------------------------------------------------------------------------------


def main() -> None:
    """Do one action and print what came of it as JSON."""
    name, action, count, *rest = sys.argv[1:]
    client = importlib.import_module(name).Client()
    try:
        if inspect.iscoroutinefunction(client.one):
            answer = asyncio.run(_with_async(client, action, int(count), rest))
        else:
            answer = _with_functions(client, action, int(count), rest)
    except Lacks as error:
        answer = {"lacks": str(error)}
    print(json.dumps(answer), flush=True)
    # Some libraries keep threads for a while; nothing is lost by ending now.
    os._exit(0)


def _with_functions(client: Any, action: str, count: int, rest: list[str]) -> dict[str, Any]:
    _call(client, "open")
    if action == "pings":
        for pause in _pauses(count, float(rest[0])):
            time.sleep(pause)
            client.ping(time.time_ns())
        answer: dict[str, Any] = {}
    elif action == "round_trips":
        _need(client, "value")
        end = time.monotonic() + ROUND_TRIP_SECONDS
        answer = {"seconds": [_timed(client.value) for _ in range(count) if time.monotonic() < end]}
    elif action == "asyncio":
        _need(client, "aone")
        answer = {"seconds": asyncio.run(_crowd(client.aone, rest[0], count))}
    else:
        answer = {"seconds": _enqueue(client, action, count, rest[0])}
    _call(client, "close")
    return answer


def _enqueue(client: Any, action: str, count: int, kind: str) -> float:
    if action == "preload":
        action = "bulk" if hasattr(client, "many") else "single"
    if action == "bulk":
        _need(client, "many")
        client.many(kind, WARM_UP)
        return _timed(lambda: client.many(kind, count - WARM_UP)) * count / max(count - WARM_UP, 1)
    if action == "threads":
        return _threads(client, count, kind)
    for _ in range(WARM_UP):
        client.one(kind)

    def loop() -> None:
        one = client.one
        for _ in range(count - WARM_UP):
            one(kind)

    return _timed(loop) * count / max(count - WARM_UP, 1)


def _threads(client: Any, count: int, kind: str) -> float:
    """Many threads, each with its share; the clock starts when every one has connected."""
    each = max(count // CALLERS, 1)
    start, done = threading.Barrier(CALLERS + 1), threading.Barrier(CALLERS + 1)

    def caller() -> None:
        client.one(kind)
        start.wait()
        for _ in range(each - 1):
            client.one(kind)
        done.wait()

    for _ in range(CALLERS):
        threading.Thread(target=caller, daemon=True).start()
    start.wait()
    seconds = _timed(done.wait)
    return seconds * count / max((each - 1) * CALLERS, 1)


async def _with_async(client: Any, action: str, count: int, rest: list[str]) -> dict[str, Any]:
    if hasattr(client, "open"):
        await client.open()
    if action == "pings":
        for pause in _pauses(count, float(rest[0])):
            await asyncio.sleep(pause)
            await client.ping(time.time_ns())
        answer: dict[str, Any] = {}
    elif action == "round_trips":
        _need(client, "value")
        end = time.monotonic() + ROUND_TRIP_SECONDS
        answer = {"seconds": [await _atimed(client.value()) for _ in range(count) if time.monotonic() < end]}
    elif action == "asyncio":
        answer = {"seconds": await _crowd(client.one, rest[0], count)}
    elif action == "threads":
        raise Lacks("a client for asyncio only")
    else:
        answer = {"seconds": await _aenqueue(client, action, count, rest[0])}
    if hasattr(client, "close"):
        await client.close()
    return answer


async def _aenqueue(client: Any, action: str, count: int, kind: str) -> float:
    if action == "preload":
        if not hasattr(client, "many"):
            return await _crowd(client.one, kind, count)
        action = "bulk"
    if action == "bulk":
        _need(client, "many")
        await client.many(kind, WARM_UP)
        seconds = await _atimed(client.many(kind, count - WARM_UP))
        return seconds * count / max(count - WARM_UP, 1)
    for _ in range(WARM_UP):
        await client.one(kind)

    async def loop() -> None:
        one = client.one
        for _ in range(count - WARM_UP):
            await one(kind)

    return await _atimed(loop()) * count / max(count - WARM_UP, 1)


async def _crowd(one: Callable[[str], Coroutine[Any, Any, Any]], kind: str, count: int) -> float:
    """Many coroutines, each with its share. Exactly `count` tasks come of it."""
    each, more = divmod(count - WARM_UP, CALLERS)
    for _ in range(WARM_UP):
        await one(kind)

    async def caller(number: int) -> None:
        for _ in range(number):
            await one(kind)

    callers = [caller(each + (index < more)) for index in range(CALLERS)]
    return await _atimed(asyncio.gather(*callers)) * count / max(count - WARM_UP, 1)


def _pauses(count: int, interval: float) -> list[float]:
    """Pauses that keep no step with anybody's polling."""
    dice = random.Random(7)
    return [interval * dice.uniform(0.85, 1.15) for _ in range(count)]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


async def _atimed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _need(client: Any, method: str) -> None:
    if not hasattr(client, method):
        raise Lacks(_WITHOUT[method])


def _call(client: Any, method: str) -> None:
    if hasattr(client, method):
        getattr(client, method)()


if __name__ == "__main__":
    # Under its own name, so that the programs share this very module.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module("side").main()
