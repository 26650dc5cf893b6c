"""Tasks of which each is there twice, as a function and as a coroutine function, for `test_one_pipeline`."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenacity import stop_after_attempt, stop_after_delay, wait_fixed

from taskflow import Cancel, Reject, Retry, Snooze, Task, TaskFlow, current_task
from taskflow.errors import TaskCancelled, TaskTimeout

KEY = "correct-horse-battery"

variable: ContextVar[str] = ContextVar("variable", default="fresh")


@dataclass
class Order:
    number: int
    price: Decimal


def add(first: int, second: int = 2) -> int:
    return first + second


def order(number: int) -> Order:
    return Order(number, Decimal("1.50"))


def tuples() -> tuple[int, ...]:
    return (1, 2)


def unfit() -> Any:
    return object()


def lazy() -> Any:
    return (number for number in ())


def fails() -> None:
    raise ValueError("no such luck")


def third_time(kind: str) -> int:
    if current_task().retried < 2:
        raise {"error": ValueError("not yet"), "retry": Retry("later", delay=3600)}[kind]
    return current_task().retried


def asks_for_a_retry() -> None:
    current_task().retry("again", delay=0)


def verdict(kind: str) -> None:
    raise {
        "reject": Reject("not wanted"),
        "cancelled": TaskCancelled("enough"),
        "timeout": TaskTimeout("too slow"),
        "exit": SystemExit(3),
        "os": OSError("of the system"),
        "inside": asyncio.CancelledError(),
        "group": ExceptionGroup("several", [ValueError("x"), Reject("in a group")]),
        "cancel": Cancel("the order was withdrawn"),
        "cancel in a group": ExceptionGroup("several", [Reject("no"), Cancel("withdrawn")]),
        "snooze and failure": ExceptionGroup("several", [Snooze(60), ValueError("in a group")]),
        "textless": ValueError(),
    }[kind]


def broken_policy(state: object) -> bool:
    raise RuntimeError("the policy itself")


def leaks() -> str:
    found = variable.get()
    variable.set("left by another task")
    return found


def who() -> list[Any]:
    task = current_task()
    return [task.id, task.queue, task.retried, task.max_retries]


def overruns() -> None:
    while True:
        time.sleep(0.01)


async def aoverruns() -> None:
    await asyncio.sleep(60)


def celerys_retry(most: int | None = None) -> None:
    current_task().retry(exc=OSError("no route"), countdown=0, max_retries=most)


def retry_unthrown() -> int:
    if current_task().retried < 2:
        current_task().retry("not yet", delay=0, throw=False)
    return current_task().retried


class Doubling(Task):  # type: ignore[type-arg]
    """A class of the user's: what it has before and around a call counts, what it does afterwards does not."""

    max_retries = 1
    begun = ""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.begun = task_id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        assert self.begun == current_task().id
        return self.run(*args, **{name: 2 * value for name, value in kwargs.items()})

    def after_return(self, *what: Any) -> None:
        raise SystemExit("a hook")

    on_retry = on_failure = on_success = after_return


def as_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same as a coroutine function."""

    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return coroutine


aadd = as_coroutine(add)


def declare(app: TaskFlow) -> None:
    """Give an app the tasks."""

    def both(
        function: Callable[..., Any],
        coroutine: Callable[..., Any] | None = None,
        name: str = "",
        **options: Any,
    ) -> None:
        name = name or function.__name__
        app.task(name=name, **options)(function)
        app.task(name=f"a{name}", **options)(coroutine or as_coroutine(function))

    for function in (add, order, tuples, unfit, lazy, third_time, verdict, leaks, who):
        both(function, max_retries=2)
    both(fails, max_retries=3)
    both(asks_for_a_retry, max_retries=3)
    both(fails, name="stops", stop=stop_after_attempt(2))
    both(fails, name="gives_up", wait=wait_fixed(600), stop=stop_after_delay(3500))
    both(verdict, name="choosy", autoretry_for=(KeyError,))
    both(fails, name="broken", retry=broken_policy)
    both(celerys_retry)
    both(retry_unthrown)
    both(add, name="doubles", base=Doubling)
    both(verdict, name="doubles_verdict", base=Doubling)
    both(overruns, aoverruns, max_retries=0, timeout=1)


app = TaskFlow("pipeline", broker="redis://127.0.0.1:1", signing_keys=[KEY], retention=60)
declare(app)
