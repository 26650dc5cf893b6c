"""`TaskFlow(eager=True)`: tasks run where they are enqueued, and still go through JSON."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow import CurrentTask, Snooze, State, TaskFlow, current_task
from taskflow.errors import (
    InvalidArguments,
    NotInTask,
    ResultMissing,
    ResultNotKept,
    ResultTimeout,
    TaskFailed,
    TaskTimeout,
)
from taskflow.tasks import eager, eager_result
from tests.servers import wait_until


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
    @app.task(max_retries=1)
    def fail() -> None:
        raise ZeroDivisionError("no such luck")

    @app.task(max_retries=1)
    async def fail_async() -> None:
        raise ZeroDivisionError("no such luck")

    for result in (fail.delay(), fail_async.delay()):
        assert result.state is State.ARCHIVED
        assert result.info().last_error == "no such luck"
        with pytest.raises(TaskFailed, match="no such luck") as caught:
            result.get()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert caught.value.task_id == result.id


def test_a_failure_is_raised_where_it_was_enqueued_if_the_app_says_so() -> None:
    """When no retry is left: what `.get()` would raise as the cause."""
    app = TaskFlow("shop", eager=True, eager_propagates=True)
    calls: list[int] = []

    @app.task(max_retries=2)
    def fail() -> None:
        calls.append(current_task().retried)
        raise ZeroDivisionError

    @app.task(max_retries=0)
    async def fail_async() -> None:
        raise ZeroDivisionError

    @app.task
    def lucky() -> None:
        if current_task().retried == 0:
            raise ZeroDivisionError

    async def inside() -> None:
        with pytest.raises(ZeroDivisionError):
            fail_async.delay()
        with pytest.raises(ZeroDivisionError):
            await fail_async.adelay()

    with pytest.raises(ZeroDivisionError):
        fail.delay()
    assert calls == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        fail_async.delay()
    asyncio.run(inside())
    lucky.delay()
    with pytest.raises(TaskFailed, match="expired"):
        lucky.options(expires=datetime(2020, 1, 1, tzinfo=UTC)).delay()


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


@pytest.mark.filterwarnings("ignore::taskflow.errors.WaitsInTask")
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


# --- verdicts that are not those of one attempt -------------------------------------------------------------


def test_a_task_that_is_retried_for_ever_does_not_hang_its_test(
    app: TaskFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eager, "MOST_ATTEMPTS", 5)
    calls: list[int] = []

    @app.task(max_retries=2**31 - 1)
    def poll() -> None:
        calls.append(current_task().retried)
        current_task().retry("not there yet", delay=60)

    result = poll.delay()

    assert calls == [0, 1, 2, 3, 4]
    assert result.state is State.RETRY
    with pytest.raises(ResultTimeout, match="in state retry"):
        result.get()


def test_delays_are_not_slept(app: TaskFlow) -> None:
    @app.task(max_retries=25)
    def fail() -> None:
        raise ValueError

    began = time.monotonic()
    assert fail.options(delay=3600).delay().info().retried == 25
    assert time.monotonic() - began < 30


class Ending(BaseException):
    """As `pytest.fail()` raises it."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Ending])
def test_what_ends_a_test_or_a_program_is_not_a_failure_of_the_task(
    app: TaskFlow, error: type[BaseException]
) -> None:
    """A task caught the `pytest.fail()` of its own test, and was run another 25 times."""
    calls: list[str] = []

    @app.task
    def ends() -> None:
        calls.append("ends")
        raise error

    @app.task
    async def aends() -> None:
        calls.append("aends")
        raise error

    async def inside() -> None:
        await aends.adelay()

    for call in (ends.delay, aends.delay, lambda: asyncio.run(inside())):
        with pytest.raises(error):
            call()
    assert calls == ["ends", "aends", "aends"]


def test_who_is_cancelled_while_a_task_runs_is_cancelled(app: TaskFlow) -> None:
    """The cancellation was the task's: it was retried, and `wait_for` waited for all of that."""
    calls: list[object] = []

    @app.task
    async def slow() -> None:
        calls.append("began")
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            calls.append(type(error).__name__)
            raise

    async def inside() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow.options(id="slow").adelay(), 0.05)

    asyncio.run(inside())

    assert calls == ["began", "TaskCancelled"]


# --- app.result ---------------------------------------------------------------------------------------------


def test_a_task_is_found_by_its_id(app: TaskFlow) -> None:
    @app.task(queue="images", max_retries=0)
    def half(number: int) -> int:
        return 12 // number

    half.options(id="good").delay(2)
    half.options(id="bad").delay(0)
    half.options(id="gone", retention=0).delay(2)

    assert app.result("good", queue="images").get() == 6
    assert app.result("good", queue="images").info().name == half.name
    bad = app.result("bad", queue="images")
    assert (bad.state, bad.info().last_error) == (State.ARCHIVED, "integer division or modulo by zero")
    with pytest.raises(TaskFailed, match="by zero"):
        asyncio.run(bad.aget())
    assert app.result("good").get() == half.result("good").get() == 6
    found = app.result("good")
    assert (found.queue, found.successful(), found.queue) == ("", True, "images")
    for unknown in (app.result("gone", queue="images"), app.result("good", queue="mail"), app.result("none")):
        assert unknown.state is None
        with pytest.raises(ResultMissing):
            unknown.get()


def test_a_result_is_forgotten_when_its_retention_is_over(app: TaskFlow) -> None:
    @app.task
    def one() -> int:
        return 1

    handle = one.options(id="short", retention=1).delay()

    assert app.result("short").get() == 1
    wait_until(lambda: app.result("short").state is None, description="it is forgotten")
    assert handle.get() == 1


def test_what_is_kept_does_not_grow_without_end(app: TaskFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager_result, "MOST_KEPT", 3)

    @app.task
    def one(number: int) -> int:
        return number

    for number in range(5):
        one.options(id=f"n{number}").delay(number)

    states = [app.result(f"n{number}").state for number in range(5)]
    assert states == [None, None, *[State.COMPLETED] * 3]


def test_keys_are_used_as_with_a_broker() -> None:
    app = TaskFlow("shop", eager=True, retention=60, encryption_keys=["sixteen bytes and more"])
    seen: list[object] = []

    @app.task(max_retries=0)
    def double(number: int) -> int:
        seen.append(sorted(current_task().headers))
        return 2 * number

    assert double.options(id="one").delay(21).get() == app.result("one").get() == 42
    assert seen == [["taskflow-content-type"]]


def test_the_text_of_an_error_is_kept_back_if_the_app_says_so() -> None:
    app = TaskFlow("shop", eager=True, error_text=False)

    @app.task(max_retries=0)
    def fail() -> None:
        raise ValueError("4111 1111 1111 1111")

    assert fail.delay().info().last_error == "ValueError"


# --- soft limits --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::taskflow.errors.WaitsInTask")
def test_a_task_is_not_told_that_the_one_around_it_is_late(app: TaskFlow) -> None:
    """One runs inside the other, in the same thread: `TaskTimeout` was raised in the inner, and was its failure."""
    seen: list[str] = []

    @app.task(max_retries=0)
    def inner() -> str:
        end = time.monotonic() + 1.3
        while time.monotonic() < end:
            time.sleep(0.01)
        return "done"

    @app.task(max_retries=0, timeout=1)
    def outer() -> None:
        seen.append(inner.delay().get())
        try:
            while True:
                time.sleep(0.01)
        except TaskTimeout:
            seen.append(inner.options(id="after").delay().get())
            raise

    result = outer.delay()

    assert seen == ["done", "done"]
    assert result.info().last_error == "time limit of 1 s exceeded"
    assert not [one.name for one in threading.enumerate() if "taskflow" in one.name]


def test_a_task_that_snoozes_is_run_again_at_once_and_has_not_failed(app: TaskFlow) -> None:
    """A test that waited for its hours would be of no use; and a task with no retry left may snooze all the same."""
    calls: list[int] = []

    @app.task(max_retries=0)
    def poll() -> list[int]:
        calls.append(current_task().retried)
        if len(calls) < 3:
            raise Snooze(delay=3600)
        return calls

    assert poll.delay().get() == [0, 0, 0]


def test_a_task_that_snoozes_for_ever_stays_scheduled(app: TaskFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "MOST_ATTEMPTS", 5)

    @app.task
    def poll() -> None:
        raise Snooze(delay=1)

    handle = poll.delay()
    assert handle.state is State.SCHEDULED
    with pytest.raises(ResultTimeout):
        handle.get()
