"""`TaskFlow(eager=True)`: tasks run where they are enqueued, and still go through JSON."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow import CurrentTask, State, TaskFlow, current_task
from taskflow.errors import InvalidArguments, NotInTask, ResultNotKept, TaskFailed


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", eager=True, retention=60)


@dataclass
class Order:
    number: int
    placed: datetime


def test_a_function_has_run_when_delay_returns(app: TaskFlow) -> None:
    calls: list[int] = []

    @app.task
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    result = double.delay(21)

    assert calls == [21]
    assert result.get() == 42
    assert result.state is State.COMPLETED
    assert result.info().name == double.name


def test_a_coroutine_function_too_with_or_without_an_event_loop(app: TaskFlow) -> None:
    @app.task
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def inside() -> list[int]:
        return [
            double.delay(21).get(),  # a thread of its own: this loop is running
            await (await double.adelay(22)).aget(),
            await double(23),
        ]

    assert double.delay(20).get() == 40
    assert asyncio.run(inside()) == [42, 44, 46]


def test_a_function_is_run_from_a_coroutine_as_well(app: TaskFlow) -> None:
    @app.task
    def double(number: int) -> int:
        return 2 * number

    async def inside() -> tuple[int, list[int]]:
        many = await double.amap([(1,), (2,)])
        return await (await double.adelay(21)), [result.get() for result in many.results]

    assert asyncio.run(inside()) == (42, [2, 4])


def test_arguments_and_results_go_through_json(app: TaskFlow) -> None:
    """A test that passes values which would not survive the wire would prove nothing."""
    seen: list[Any] = []

    @app.task
    def take(order: Order, pair: list[int], anything: Any) -> tuple[int, int]:
        seen.extend([order, pair, anything])
        return (1, 2)

    result = take.delay(Order(1, datetime(2026, 1, 1, tzinfo=UTC)), [1], (1, 2))

    assert seen == [Order(1, datetime(2026, 1, 1, tzinfo=UTC)), [1], [1, 2]]
    assert result.get() == (1, 2)


def test_wrong_arguments_fail_as_with_a_broker(app: TaskFlow) -> None:
    @app.task
    def take(number: int) -> None: ...

    with pytest.raises(InvalidArguments):
        take.delay("one")  # type: ignore[arg-type]


def test_a_failure_is_in_the_handle(app: TaskFlow) -> None:
    @app.task
    def fail() -> None:
        raise ZeroDivisionError("no such luck")

    @app.task
    async def fail_async() -> None:
        raise ZeroDivisionError("no such luck")

    for result in (fail.delay(), fail_async.delay()):
        assert result.state is State.ARCHIVED
        assert result.info().last_error == "no such luck"
        with pytest.raises(TaskFailed, match="no such luck") as caught:
            result.get()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert caught.value.task_id == result.id


def test_a_failure_is_raised_at_once_if_the_app_says_so() -> None:
    app = TaskFlow("shop", eager=True, eager_propagates=True)

    @app.task
    def fail() -> None:
        raise ZeroDivisionError

    @app.task
    async def fail_async() -> None:
        raise ZeroDivisionError

    async def inside() -> None:
        with pytest.raises(ZeroDivisionError):
            fail_async.delay()
        with pytest.raises(ZeroDivisionError):
            await fail_async.adelay()

    with pytest.raises(ZeroDivisionError):
        fail.delay()
    with pytest.raises(ZeroDivisionError):
        fail_async.delay()
    asyncio.run(inside())


def test_a_result_that_is_not_json_is_a_failure(app: TaskFlow) -> None:
    @app.task
    def give() -> object:
        return object()

    with pytest.raises(TaskFailed, match="cannot be kept as a result"):
        give.delay().get()


def test_without_retention_there_is_no_result() -> None:
    app = TaskFlow("shop", eager=True)

    @app.task
    def task() -> int:
        return 1

    result = task.delay()

    assert result.state is None
    with pytest.raises(ResultNotKept, match="retention="):
        result.get()
    assert task.options(retention=1).delay().get() == 1


def test_the_running_task_is_known_inside_and_nowhere_else(app: TaskFlow) -> None:
    @app.task(bind=True, queue="images", max_retries=3)
    def bound(self: CurrentTask) -> list[Any]:
        assert current_task() == self
        return [self.id, self.queue, self.retried, self.max_retries]

    @app.task
    async def outer() -> list[Any]:
        inner = bound.delay().get()
        return [current_task().id, inner[0]]

    result = bound.options(id="order-1").delay()

    assert result.get() == ["order-1", "images", 0, 3]
    first, second = outer.delay().get()
    assert first != second
    with pytest.raises(NotInTask):
        current_task()


def test_nobody_needs_a_server(app: TaskFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the embedded one, which the default broker would start."""
    monkeypatch.setenv("TASKFLOW_BROKER", "redis://127.0.0.1:1")

    @app.task
    def task() -> int:
        return 1

    assert task.options(delay=60, unique=60, queue="slow").delay().get() == 1
