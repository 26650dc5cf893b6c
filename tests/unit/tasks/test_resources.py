"""Resources and hooks: what is made once for a process, and what is refused where it is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskflow import Depends, TaskFlow
from taskflow.errors import ConfigurationError

told: list[str] = []


@pytest.fixture(autouse=True)
def _silence() -> None:
    told.clear()


@pytest.fixture
def app() -> Iterator[TaskFlow]:
    app = TaskFlow("resources", eager=True, retention=60, max_retries=0)
    yield app
    app.close()


def test_it_is_made_when_it_is_first_needed_and_once_for_a_process(app: TaskFlow) -> None:
    @app.resource
    def engine() -> Iterator[list[int]]:
        told.append("engine")
        yield []
        told.append("engine closed")

    @app.resource
    @contextmanager
    def sessions(engine: list[int] = Depends(engine)) -> Iterator[list[int]]:
        told.append("sessions")
        yield engine
        told.append("sessions closed")

    @app.resource
    def plain(engine: list[int] = Depends(engine)) -> int:
        return len(engine)

    @app.task
    def works(number: int, sessions: list[int] = Depends(sessions)) -> int:
        sessions.append(number)
        return len(sessions)

    assert told == []
    assert [works.delay(7).get(), works.delay(8).get()] == [1, 2]
    assert engine.value == engine() == sessions.value == [7, 8]
    assert plain.value == 2
    assert told == ["engine", "sessions"]
    app.close()
    assert told == ["engine", "sessions", "sessions closed", "engine closed"]
    assert works.delay(9).get() == 1, "the app can be used again"


def test_one_that_needs_a_loop_is_made_for_each_task_in_eager_mode(app: TaskFlow) -> None:
    """The event loop of one task ends with it, and what is bound to it does not work on that of the next."""

    @app.resource
    async def pool() -> AsyncIterator[asyncio.AbstractEventLoop]:
        told.append("pool")
        yield asyncio.get_running_loop()
        await asyncio.sleep(0)
        told.append("pool closed")

    @app.resource
    async def repository(pool: Any = Depends(pool)) -> Any:
        return pool

    @app.task
    async def works(one: Any = Depends(pool), other: Any = Depends(repository)) -> bool:
        return one is other is asyncio.get_running_loop()

    assert [works.delay().get(), works.delay().get()] == [True, True]
    assert told == ["pool", "pool closed"] * 2


def test_one_that_fails_is_tried_again_by_the_next_task(app: TaskFlow) -> None:
    @app.resource
    def engine() -> int:
        told.append("try")
        if len(told) == 1:
            raise ConnectionError
        return 7

    @app.task(max_retries=1)
    def works(engine: int = Depends(engine)) -> int:
        return engine

    assert works.delay().get() == 7
    assert told == ["try", "try"]


def test_it_is_overridden_as_any_dependency(app: TaskFlow) -> None:
    @app.resource
    def engine() -> str:
        raise AssertionError("not in a test")

    @app.task
    def works(engine: str = Depends(engine)) -> str:
        return engine

    with app.dependency_overrides.using({engine: lambda: "fake"}):
        assert works.delay().get() == "fake"


def test_a_close_that_fails_costs_a_line_and_the_others_are_closed(
    app: TaskFlow, caplog: pytest.LogCaptureFixture
) -> None:
    @app.resource
    def first() -> Iterator[int]:
        yield 1
        told.append("first closed")

    @app.resource
    def second() -> Iterator[int]:
        yield 2
        raise OSError("secret")

    assert first.value + second.value == 3
    with caplog.at_level(logging.ERROR, "taskflow.events"):
        app.close()
    assert told == ["first closed"]
    [line] = [record.getMessage() for record in caplog.records]
    assert "second> failed at the end of the process: OSError" in line
    assert "secret" not in line


def needs_an_argument(number: int) -> int:
    return number


def session() -> Iterator[int]:
    yield 1


def test_what_cannot_live_as_long_as_a_process_is_refused_where_it_is_written(app: TaskFlow) -> None:
    with pytest.raises(
        ConfigurationError, match="`number` of resource needs_an_argument is filled by nobody"
    ):
        app.resource(needs_an_argument)

    mark: Any = Depends(session)

    def repository(session: int = mark) -> int:
        return session

    with pytest.raises(
        ConfigurationError, match=r"depends on session, which ends with a task.*@app.resource"
    ):
        app.resource(repository)

    @app.resource
    async def pool() -> int:
        return 1

    mark = Depends(pool)

    def works(pool: int = mark) -> None: ...

    with pytest.raises(ConfigurationError, match="needs an event loop: make the task a coroutine function"):
        app.task(works)
    with pytest.raises(ConfigurationError, match="is made on an event loop"):
        pool.value  # noqa: B018


def takes_one(number: int) -> None: ...


def generator() -> Iterator[None]:
    yield


@pytest.mark.parametrize("name", ["on_child_start", "on_child_stop", "on_worker_start", "on_worker_stop"])
def test_a_hook_is_a_function_without_arguments(app: TaskFlow, name: str) -> None:
    register = getattr(app, name)
    for given, words in (
        (takes_one, f"takes_one is called without arguments by @app.{name}"),
        (generator, r"generator is a generator function.*@app.resource\(start=True\)"),
        (None, "stands above a function, without parentheses"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            register(given)
    assert register(print) is print
