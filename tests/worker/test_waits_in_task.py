"""A task that waits for another is warned, wherever it runs: all slots may wait for tasks that need one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import AsyncResult, TaskFlow
from taskflow.errors import WaitsInTask


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("waits", eager=True, retention=60)


@pytest.fixture
def number(app: TaskFlow) -> Any:
    @app.task
    def number() -> int:
        return 5

    return number


WAYS: dict[str, Callable[[AsyncResult[int]], int]] = {
    "get": lambda handle: handle.get(),
    "wait": lambda handle: handle.wait(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_waits_is_warned_where_it_does(app: TaskFlow, number: Any, way: str) -> None:
    @app.task
    def waits() -> int:
        return WAYS[way](number.delay())

    with pytest.warns(WaitsInTask, match="both wait for ever") as caught:
        assert waits.delay().get() == 5
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("way", ["aget", "await"])
def test_a_coroutine_keeps_its_slot_too(app: TaskFlow, number: Any, way: str) -> None:
    @app.task
    async def waits() -> int:
        handle: AsyncResult[int] = await number.adelay()
        return await handle.aget() if way == "aget" else await handle

    with pytest.warns(WaitsInTask) as caught:
        assert waits.delay().get() == 5
    assert [warning.filename for warning in caught] == [__file__]


def test_it_is_said_once_for_each_place(app: TaskFlow, number: Any) -> None:
    """By Python's own rule for warnings: a task that runs a million times must not fill the log."""

    @app.task
    def waits() -> int:
        return sum(number.delay().get() for _ in range(3))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            waits.delay()
    assert len(caught) == 1


def test_elsewhere_nobody_is_warned_nor_for_what_does_not_wait(app: TaskFlow, number: Any) -> None:
    @app.task
    def looks() -> bool:
        return number.delay().ready()

    assert number.delay().get() == 5
    assert looks.delay().get() is True
