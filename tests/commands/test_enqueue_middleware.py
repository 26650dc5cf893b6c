"""Middleware where calls are enqueued: each goes through it once, whichever way it is made, before its message is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import AsyncResult, EnqueueCall, TaskFlow
from taskflow.broker.commands.read import read_task
from taskflow.errors import ConfigurationError, EnqueueError, InvalidOption
from taskflow.events import Enqueued
from taskflow.states import State
from tests.servers import Server


class Refused(EnqueueError):
    """What a middleware raises that refuses a call."""


class Seen:
    """Notes the calls that it sees, and gives each a header with their number."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult[Any]]) -> AsyncResult[Any]:
        self.told.append(f"{self.name} {call.task} {call.args or call.kwargs}")
        call.headers[self.name] = str(len(self.told))
        handle = next()
        self.told.append(f"{self.name} {handle.id[:0]}done")
        return handle


class Twins(Seen):
    async def aenqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> AsyncResult[Any]:
        self.told.append(f"{self.name} {call.task} {call.args or call.kwargs}")
        call.headers[self.name] = str(len(self.told))
        handle: AsyncResult[Any] = await next()
        self.told.append(f"{self.name} done")
        return handle


@pytest.fixture
def app(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("middleware", broker=valkey.url, queue=queue)

    @app.task(name="works", headers={"own": "1"})
    def works(number: int = 0) -> None: ...

    yield app
    app.close()


def stored(app: TaskFlow, handle: AsyncResult[Any]) -> Any:
    """The message of a task, as it is in its queue."""
    return app.client.broker.run(read_task(handle.queue, handle.id), 5).message


def test_every_way_to_enqueue_goes_through_it_once(app: TaskFlow) -> None:
    told: list[str] = []
    app.middleware(Seen("first", told))
    app.middleware(Seen("second", told))
    works: Any = app.tasks["works"]

    def through(handle: AsyncResult[Any], given: str) -> None:
        assert told == [f"first works {given}", f"second works {given}", "second done", "first done"]
        assert stored(app, handle).headers == {"own": "1", "first": "1", "second": "2"}
        told.clear()

    for _ in range(3):  # from the second on, calls with the same options share what is the same
        through(works.delay(1), "(1,)")
    through(works.apply_async((2,), {}, countdown=60), "(2,)")
    through(works.options(retention=60).delay(number=3), "{'number': 3}")
    through(app.send("works", number=4), "{'number': 4}")
    [only] = works.map([(5,)]).results
    through(only, "(5,)")
    with app.batch() as batch:
        works.delay(6)
    [only] = batch.outcomes.results
    through(only, "(6,)")


async def from_coroutines(app: TaskFlow, told: list[str], order: list[str]) -> None:
    works: Any = app.tasks["works"]

    async def through(handle: AsyncResult[Any]) -> None:
        assert [line.split()[0] for line in told if "works" in line] == order
        assert [line.split()[0] for line in told if "done" in line] == order[::-1]
        headers = (await app.client.async_broker.run(read_task(handle.queue, handle.id), 5)).message.headers
        assert headers == {"own": "1", order[0]: "1", order[1]: "2"}
        told.clear()

    await through(await works.adelay(1))
    await through(await works.aapply_async((2,), countdown=60))
    await app.aclose()


def test_from_a_coroutine_those_with_a_twin_are_around_the_sending(app: TaskFlow) -> None:
    """One without cannot wait for the server: it is innermost, around the making of the message, and next() gives it the handle
    of a call that is sent right after.
    """
    told: list[str] = []
    app.middleware(Seen("function", told))
    app.middleware(Twins("twins", told))
    asyncio.run(from_coroutines(app, told, ["twins", "function"]))


def test_one_may_change_the_options_of_a_call(app: TaskFlow) -> None:
    class Slow:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> Any:
            assert call.queue == app.tasks["works"].queue
            call.options(max_retries=3, headers={"more": "2"})
            del call.headers["own"]
            return next()

    app.middleware(Slow)
    message = stored(app, app.tasks["works"].delay())
    assert (message.max_retries, message.headers) == (3, {"more": "2"})


def test_what_it_puts_there_is_checked_as_options_are(app: TaskFlow) -> None:
    @app.middleware
    class Wrong:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> Any:
            call.headers["number"] = 7  # type: ignore[assignment]
            return next()

    with pytest.raises(InvalidOption, match="header 'number' must be a str"):
        app.tasks["works"].delay()


def test_one_that_raises_refuses_the_call(app: TaskFlow) -> None:
    """In a map it refuses that one, if it raises an `EnqueueError`."""

    @app.middleware
    class Refuses:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> Any:
            if call.args == (7,):
                raise Refused("not today")
            return next()

    works: Any = app.tasks["works"]
    with pytest.raises(Refused):
        works.delay(7)
    outcomes = works.map([(6,), (7,), (8,)])
    assert [item.ok for item in outcomes] == [True, False, True]


def test_one_that_forgets_to_return_the_handle_does_not_take_it_from_the_caller(app: TaskFlow) -> None:
    """The call is enqueued: whoever got None would enqueue it again."""

    @app.middleware
    class Forgets:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> None:
            next()

    assert stored(app, app.tasks["works"].delay()) is not None


def test_one_that_does_not_go_on_is_an_error_of_the_call(app: TaskFlow) -> None:
    @app.middleware
    class Drops:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"did not call next\(\), so the call of task 'works' was not enqueued"
    ):
        app.tasks["works"].delay()


def test_it_shows_no_arguments_in_a_log() -> None:
    class Prints:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> Any:
            assert repr(call) == "<call of works>"
            return next()

    app = TaskFlow("eager", eager=True)
    app.middleware(Prints)

    @app.task(name="works")
    def works(secret: str) -> None: ...

    works.delay("the secret")


def test_eager_mode_and_functions_by_value_go_through_it_too() -> None:
    told: list[str] = []
    app = TaskFlow("eager", eager=True, retention=60, signing_keys=["a key of some bytes"])
    app.middleware(Twins("twins", told))

    @app.task(name="works")
    def works(number: int) -> int:
        return number

    assert [item.get() for item in (works.delay(1), *works.map([(2,)]).results)] == [1, 2]
    assert len(told) == 4
    assert app.submit(len, [1, 2, 3]).get() == 3
    assert len(told) == 6


def test_with_partitions_each_call_is_where_its_handle_and_its_event_say(valkey: Server, queue: str) -> None:
    """A middleware is given a handle before a call of a map or a batch is sent, so its id settles its partition."""
    given: list[AsyncResult[Any]] = []
    told: list[tuple[str, str]] = []
    app = TaskFlow("partitions", broker=valkey.url, queue=queue, queues={queue: {"partitions": 3}})

    @app.middleware
    class Keeps:
        def enqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> Any:
            given.append(next())
            return given[-1]

    @app.on(Enqueued)
    def hear(event: Enqueued) -> None:
        told.append((event.id, event.queue))

    @app.task(name="works")
    def works(number: int) -> None: ...

    try:
        handles = [works.delay(0), *works.map([(number,) for number in range(1, 10)]).results]
        with app.batch() as batch:
            works.delay(10)
        handles += batch.outcomes.results
        assert [one.id for one in given] == [one.id for one in handles]
        assert told == [(one.id, one.queue) for one in handles]
        assert all(stored(app, one) is not None for one in handles)
        assert all(one.state is State.PENDING for one in given)
    finally:
        app.close()
