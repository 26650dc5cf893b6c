"""The corridor: how many of our own functions a `.delay()` goes through, and through which files.

Each call costs time, and each file is one more for whoever wants to know what happens. What is counted: the calls of functions
whose module is taskflow's, in the caller's thread, from the call of `.delay()` until its handle is there. What a dataclass has
written counts, and so does each time that a generator or coroutine goes on; Python before 3.12 counts comprehensions, too.
Calls of C do not count, nor of the standard library and redis-py, which are not on the way at all.

A file is entered when one of its functions is called from another file of ours.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

from taskflow import TaskFlow
from tests.servers import Server
from tests.workers import ROOT

PLAIN = [
    "tasks.sender",
    "message.signature",
    "message.ids",
    "broker.commands.enqueue",
    "tasks.app_broker",
    "client.client",
    "connection.sync",
    "connection.topology",
    "client.group_commit",
    "message.template",
    "connection.reply_reader",
    "tasks.result",
]
"""The files of a plain `.delay()`, in the order in which they are first entered."""

MOST_CALLS, MOST_FILES, MOST_TIMES = 40, 12, 3
WITH_MORE = 60
"""Calls, where there are keys, partitions, or options of the one call."""

OURS = "taskflow."


@dataclass
class Walk:
    """What one call went through."""

    calls: list[tuple[str, str]]
    entered: Counter[str]

    @property
    def files(self) -> list[str]:
        """The modules, in the order in which they were first entered."""
        return list(self.entered)


class Watch:
    """Counts, while it is `sys.setprofile`'s."""

    def __init__(self) -> None:
        self.walk = Walk([], Counter())

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or not (module := _ours(frame)):
            return
        self.walk.calls.append((module, frame.f_code.co_qualname))
        caller = frame.f_back
        while caller is not None and not _ours(caller):
            caller = caller.f_back
        if caller is None or _ours(caller) != module:
            self.walk.entered[module] += 1


def _ours(frame: FrameType) -> str:
    """The module of ours that a function belongs to, without `taskflow.`; "" for all others."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.removeprefix(OURS) if name.startswith(OURS) else ""


def walk(call: Callable[[], Any]) -> Walk:
    """The shortest of some calls, when all is warm: now and then a look at signal handlers comes in between.

    In a thread: the test's own may have such handlers, as that of pytest-timeout, and looks at the time in another way then.
    """
    walks: list[Walk] = []

    def run() -> None:
        for _ in range(10):
            call()
        for _ in range(10):
            watch = Watch()
            sys.setprofile(watch)
            try:
                call()
            finally:
                sys.setprofile(None)
            walks.append(watch.walk)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(walks) == 10, "a call has failed"
    return min(walks, key=lambda one: len(one.calls))


@pytest.fixture
def make(valkey: Server, queue: str) -> Iterator[Callable[..., Any]]:
    """Makes an app with a task of one number."""
    apps: list[TaskFlow] = []

    def make(**settings: Any) -> Any:
        app = TaskFlow("corridor", broker=valkey.url, queue=queue, **settings)
        apps.append(app)

        @app.task(name="corridor")
        def corridor(number: int = 0) -> None: ...

        return corridor

    yield make
    for app in apps:
        app.close()


def test_a_plain_delay_is_short_and_goes_straight_on(make: Callable[..., Any]) -> None:
    """It was 67 calls in 18 files, eleven of them entered more than once, while CONTRIBUTING said that none is."""
    task = make()

    found = walk(lambda: task.delay(7))

    assert len(found.calls) <= MOST_CALLS, found.calls
    assert found.files == PLAIN
    assert len(found.files) <= MOST_FILES
    assert max(found.entered.values()) <= MOST_TIMES, found.entered


def test_the_documentation_has_its_files_in_their_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    row = text[text.index("caller ") : text.index("worker ")]

    named = [word.replace("/", ".") for word in re.findall(r"[a-z_]+(?:/[a-z_]+)+", row)]

    assert named == PLAIN


MORE: dict[str, tuple[dict[str, Any], Callable[[Any], Callable[[], Any]]]] = {
    "signing keys": ({"signing_keys": ["a key of some bytes"]}, lambda task: lambda: task.delay(7)),
    "both kinds of keys": (
        {"signing_keys": ["a key of some bytes"], "encryption_keys": ["another of some bytes"]},
        lambda task: lambda: task.delay(7),
    ),
    "options": ({}, lambda task: lambda: task.options(delay=60, max_retries=3, retention=60).delay(7)),
    "Celery's options": ({}, lambda task: lambda: task.apply_async((7,), countdown=60)),
}


@pytest.mark.parametrize("more", MORE)
def test_with_keys_or_options_it_is_not_much_longer(make: Callable[..., Any], more: str) -> None:
    settings, call = MORE[more]

    found = walk(call(make(**settings)))

    assert len(found.calls) <= WITH_MORE, found.calls


def test_with_partitions_it_is_not_much_longer(make: Callable[..., Any], queue: str) -> None:
    task = make(queues={queue: {"partitions": 6}})

    found = walk(lambda: task.delay(7))

    assert len(found.calls) <= WITH_MORE, found.calls


def test_from_a_coroutine_it_is_not_much_longer(make: Callable[..., Any]) -> None:
    task = make()

    with asyncio.Runner() as runner:

        async def closed() -> None:
            await task._backend.aclose()

        async def call() -> None:
            watch = Watch()
            for _ in range(10):
                await task.adelay(7)
            sys.setprofile(watch)
            await task.adelay(7)
            sys.setprofile(None)
            assert len(watch.walk.calls) <= WITH_MORE, watch.walk.calls

        runner.run(call())
        runner.run(closed())
