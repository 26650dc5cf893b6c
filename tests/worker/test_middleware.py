"""Middleware around tasks: in which order, in which context, and what becomes of a task of which one raises."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from taskflow import CurrentTask, Reject, TaskFlow, current_task
from taskflow.errors import ConfigurationError
from taskflow.events import Succeeded
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from taskflow.telemetry import telling
from taskflow.telemetry.flood import Flood
from tests.servers import wait_until
from tests.worker.attempts import Attempts, attempts, error_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

KINDS = ["works", "aworks", "wrapped"]
"""A function, a coroutine function, and a function that returns a coroutine."""

span: ContextVar[str] = ContextVar("span", default="none")


class Place:
    """An app, and what its tasks and middleware leave behind."""

    def __init__(self) -> None:
        self.app = TaskFlow("middleware", broker="redis://127.0.0.1:1")
        self.told: list[str] = []
        self.error: BaseException | None = None
        app = self.app

        @app.task(name="works")
        def works(number: int = 0) -> str:
            return self.note(f"task {span.get()}")

        @app.task(name="aworks")
        async def aworks(number: int = 0) -> str:
            await asyncio.sleep(0)
            return self.note(f"task {span.get()}")

        def logged(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return function(*args, **kwargs)

            return wrapper

        @app.task(name="wrapped")
        @logged
        async def wrapped(number: int = 0) -> str:
            await asyncio.sleep(0)
            return self.note(f"task {span.get()}")

    def note(self, text: str) -> str:
        self.told.append(text)
        if text.startswith("task") and self.error is not None:
            raise self.error
        return "done"

    def pools(self, slots: int = 1) -> Any:
        return attempts(self.app, slots, audience=self.app._audience)


@pytest.fixture
def place() -> Place:
    return Place()


def test_the_first_that_is_registered_is_the_outermost(place: Place) -> None:
    """Of all kinds, mixed, around all kinds of tasks. Around a function that returns a coroutine it is given what comes of that,
    and not the coroutine.
    """

    class Outer:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            place.note(f"outer {task.name}")
            value = next()
            return place.note(f"after {value}")

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            place.note(f"outer {task.name}")
            value = await next()
            return place.note(f"after {value}")

    def middle(task: CurrentTask) -> Iterator[None]:
        place.note("middle")
        yield
        place.note("after middle")

    place.app.middleware(Outer)
    place.app.middleware(middle)

    @place.app.middleware
    @contextmanager
    def inner(task: CurrentTask) -> Iterator[None]:
        place.note("inner")
        yield
        place.note("after inner")

    with place.pools() as pools:
        for name in KINDS:
            place.told.clear()
            assert pools.run(name, b"{}").verb == Verb.DONE
            assert place.told == [
                f"outer {name}",
                "middle",
                "inner",
                "task none",
                "after inner",
                "after middle",
                "after done",
            ]


def test_asynchronous_ones_are_around_coroutines_only_where_that_is_said(place: Place) -> None:
    @place.app.middleware(around="coroutines")
    async def outer(task: CurrentTask, next: Callable[[], Any]) -> Any:
        place.note("outer")
        return await next()

    @place.app.middleware(around="coroutines")
    async def inner(task: CurrentTask) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        yield
        place.note("after inner")

    @place.app.middleware(around="functions")
    def of_functions(task: CurrentTask, next: Callable[[], Any]) -> Any:
        place.note("of functions")
        return next()

    with place.pools() as pools:
        pools.run("aworks", b"{}")
        assert place.told == ["outer", "task none", "after inner"]
        place.told.clear()
        pools.run("works", b"{}")
        assert place.told == ["of functions", "task none"]


@pytest.mark.parametrize("name", KINDS)
def test_one_is_in_the_context_of_its_task_and_of_the_events_of_its_end(place: Place, name: str) -> None:
    """A tracer opens a span; the task, whatever it calls, and who hears of its end are in it, and the next task is not."""
    heard: list[str] = []

    @place.app.middleware
    def traced(task: CurrentTask) -> Iterator[None]:
        assert current_task() is task
        assert span.get() == "none"
        span.set(task.id)
        yield

    @place.app.on(Succeeded)
    def hear(event: Succeeded) -> None:
        heard.append(span.get())

    with place.pools() as pools:
        for count in (1, 2):
            pools.run(name, b"{}")
            wait_until(lambda count=count: len(heard) == count, description="its end")  # type: ignore[misc]
    assert place.told == ["task t1", "task t2"]
    assert heard == ["t1", "t2"]


@pytest.mark.parametrize("name", KINDS)
def test_one_may_replace_what_a_task_returns(place: Place, name: str) -> None:
    class Replaces:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            return next() + " twice"

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            return await next() + " twice"

    place.app.middleware(Replaces())
    with place.pools() as pools:
        assert pools.run(name, b"{}", retention=60).result == b'"done twice"'


@pytest.mark.parametrize("name", KINDS)
def test_one_may_swallow_what_a_task_raises_or_raise_something_else(place: Place, name: str) -> None:
    place.error = ValueError("no")
    swallows = True

    @place.app.middleware
    def handles(task: CurrentTask) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            if not swallows:
                raise Reject("it is hopeless") from error

    with place.pools() as pools:
        assert pools.run(name, b"{}").verb == Verb.DONE
        swallows = False
        outcome = pools.run(name, b"{}", max_retries=5)
        assert (outcome.verb, error_of(outcome)) == (Verb.ARCHIVE, "it is hopeless")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_one_raises_is_the_failure_of_the_attempt(place: Place, name: str, when: str) -> None:
    """Also when the function has returned: a transaction whose commit fails has not done its work, so to call it done would lose
    it. The verdict is that of the task's own policy, there always is one, and the slot is free again.
    """

    @place.app.middleware
    def transaction(task: CurrentTask) -> Iterator[None]:
        if when == "before":
            raise OSError("no connection")
        yield
        raise OSError("cannot commit")

    with place.pools() as pools:
        outcome = pools.run(name, b"{}", max_retries=5)
        assert outcome.verb == Verb.RETRY
        assert error_of(outcome) == {"before": "no connection", "after": "cannot commit"}[when]
        assert pools.run(name, b"{}", max_retries=0).verb == Verb.ARCHIVE
        wait_until(lambda: pools.slots._free.qsize() == 1, description="the slot is free")
    assert place.told == ([] if when == "before" else ["task none", "task none"])


@pytest.mark.parametrize("name", ["works", "aworks"])
@pytest.mark.parametrize("error", [RuntimeError("secret"), Reject("secret")])
@pytest.mark.parametrize("when", ["before", "after", "instead"])
def test_an_observer_changes_no_verdict_whatever_it_raises(
    place: Place,
    name: str,
    error: Exception,
    when: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telling, "_flood", Flood())

    class Counts:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            if when == "before":
                raise error
            try:
                next()
            finally:
                if when == "after":
                    raise error
            return "something else"

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            if when == "before":
                raise error
            try:
                await next()
            finally:
                if when == "after":
                    raise error
            return "something else"

    place.app.middleware(Counts(), observer=True)
    with place.pools() as pools, caplog.at_level(logging.ERROR, "taskflow.events"):
        assert pools.run(name, b"{}", retention=60).result == b'"done"'
        place.error = ValueError("the task's own")
        assert error_of(pools.run(name, b"{}")) == "the task's own"
    lines = [record.getMessage() for record in caplog.records if record.name == "taskflow.events"]
    assert len(lines) == (0 if when == "instead" else 2)
    assert not [line for line in lines if "secret" in line or "Counts failed at a task" not in line]


@pytest.mark.parametrize("observer", [False, True])
def test_the_limit_of_a_task_holds_in_its_middleware(place: Place, observer: bool) -> None:
    class Sleeps:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                time.sleep(0.001)
            return next()

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            await asyncio.sleep(20)
            return await next()

    place.app.middleware(Sleeps(), observer=observer)
    with place.pools() as pools:
        for name in ("works", "aworks"):
            outcome = pools.run(name, b"{}", timeout=1, max_retries=0)
            assert "time limit of 1 s" in error_of(outcome)
    assert place.told == []


@pytest.mark.parametrize("name", ["works", "aworks", "wrapped"])
def test_the_limit_of_a_task_holds_after_it_has_returned(place: Place, name: str) -> None:
    """A function that returns a coroutine leaves its thread in between, where it has another limit."""

    class Sleeps:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            next()
            until = time.monotonic() + 20
            while time.monotonic() < until:
                time.sleep(0.001)

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            await next()
            await asyncio.sleep(20)

    place.app.middleware(Sleeps())
    with place.pools() as pools:
        outcome = pools.run(name, b"{}", timeout=1, max_retries=0)
        assert "time limit of 1 s" in error_of(outcome)
        assert pools.run.__self__ is pools
    assert place.told == ["task none"]


def cancelled(pools: Attempts, place: Place, name: str) -> TaskMessage:
    number = pools.start(name, b"{}")
    wait_until(lambda: "runs" in place.told, description="it runs")
    pools.cancel(number)
    return TaskMessage.decode(pools.outcome(number).message)


@pytest.mark.parametrize("name", ["works", "aworks"])
def test_one_sees_a_cancel_and_may_clean_up(place: Place, name: str) -> None:
    class Cleans:
        def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            try:
                place.note("runs")
                until = time.monotonic() + 20
                while time.monotonic() < until:
                    time.sleep(0.001)
            finally:
                place.note("cleaned up")

        async def arun(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
            try:
                place.note("runs")
                await asyncio.sleep(20)
            finally:
                await asyncio.sleep(0)
                place.note("cleaned up")

    place.app.middleware(Cleans)
    with place.pools() as pools:
        assert cancelled(pools, place, name).error_msg == "cancelled"
    assert place.told == ["runs", "cleaned up"]


def test_it_is_around_tasks_that_are_declared_later_too(place: Place) -> None:
    @place.app.middleware
    def noted(task: CurrentTask) -> Iterator[None]:
        place.note(task.name)
        yield

    @place.app.task(name="later")
    def later() -> None: ...

    with place.pools() as pools:
        pools.run("later", b"{}")
    assert place.told == ["later"]


def test_eager_mode_has_it_too() -> None:
    app, told = TaskFlow("eager", eager=True, retention=60), []

    @app.middleware
    def noted(task: CurrentTask) -> Iterator[None]:
        told.append(task.name)
        yield
        told.append("after")

    @app.task(name="works")
    def works() -> int:
        return 1

    @app.task(name="aworks")
    async def aworks() -> int:
        return 1

    assert works.delay().get() + aworks.delay().get() == 2
    assert told == ["works", "after", "aworks", "after"]


# --- what is refused where it is written ------------------------------------------------------------------------------


class Nothing:
    def on_task(self) -> None: ...


class Dramatiqs:
    def before_process_message(self, broker: Any, message: Any) -> None: ...


class NeedsArguments:
    def __init__(self, url: str) -> None: ...

    def run(self, task: Any, next: Any) -> Any: ...


class AsyncNamedRun:
    async def run(self, task: Any, next: Any) -> Any: ...


class SyncNamedArun:
    def arun(self, task: Any, next: Any) -> Any: ...


class TooFew:
    def run(self, task: Any) -> Any: ...


class OnlyAenqueue:
    async def aenqueue(self, call: Any, next: Any) -> Any: ...


class AsyncEnqueue:
    async def enqueue(self, call: Any, next: Any) -> Any: ...


def two(task: Any, other: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Nothing, "Nothing has none of the methods enqueue, aenqueue, run and arun"),
        (Dramatiqs, r"in place of `before_process_message` write `def run\(self, task, next\)`"),
        (NeedsArguments, r"register an object of it, app.middleware\(NeedsArguments\(...\)\)"),
        (AsyncNamedRun, "`run` of middleware .*AsyncNamedRun is a coroutine function: call it `arun`"),
        (SyncNamedArun, "`arun` of middleware .*SyncNamedArun is to be a coroutine function"),
        (TooFew, r"TooFew takes \(task, next\), or is a generator function"),
        (OnlyAenqueue, "OnlyAenqueue has `aenqueue` only"),
        (AsyncEnqueue, "`enqueue` of middleware .*AsyncEnqueue is a coroutine function: call it `aenqueue`"),
        (two, r"two takes \(task\)"),
        (7, "none of the methods"),
    ],
)
def test_what_is_no_middleware_is_refused_where_it_is_written(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        TaskFlow("refuses").middleware(given)


class OnlyRun:
    def run(self, task: Any, next: Callable[[], Any]) -> Any:
        return next()


async def only_arun(task: Any, next: Callable[[], Any]) -> Any:
    return await next()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (OnlyRun, 'has `run` only, and task .*aworks.* is a coroutine: give it `arun`.*around="functions"'),
        (only_arun, 'has `arun` only, and task .*works.* is a function: give it `run`.*around="coroutines"'),
    ],
)
def test_one_that_cannot_be_around_a_task_is_refused_with_what_to_do(
    place: Place, given: Any, words: str
) -> None:
    """A function cannot wait for a coroutine without holding up the event loop, so one of the twins does not do for the other.
    It is said where the second of both is written, and never in a worker.
    """
    with pytest.raises(ConfigurationError, match=words):
        place.app.middleware(given)
    assert place.app._middleware == ()

    app = TaskFlow("declared-later")
    app.middleware(given)
    functions = [place.app.tasks[name].function for name in ("works", "aworks")]
    with pytest.raises(ConfigurationError, match="register it for"):
        app.task(functions[0 if given is only_arun else 1])
    app.task(functions[1 if given is only_arun else 0])


def test_the_side_of_a_middleware_that_is_misspelt_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='is "all", "functions" or "coroutines"'):
        TaskFlow("refuses").middleware(around="async")(OnlyRun)  # type: ignore[call-overload]
