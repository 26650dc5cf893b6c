"""Calls that a test keeps instead of sending: nothing of them reaches a broker, and none is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from taskflow import AsyncResult, EnqueueCall, TaskFlow, UnsentCall

from . import making


def attach(app: TaskFlow) -> None:
    """Look whether a test wants the app's calls."""
    app.middleware(Capturing())


@dataclass(frozen=True, slots=True)
class CapturedCall:
    """A call that a test has kept.

    Args:
        task: the task's name.
        args: its positional arguments.
        kwargs: its arguments by name.
        queue: where it would have gone.
        id: its id.
        headers: what would have travelled beside the arguments.
    """

    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str
    id: str
    headers: dict[str, str] = field(default_factory=dict)

    def run(self) -> AsyncResult[Any]:
        """Run it here, by what runs tasks in eager mode; `.get()` of what it gives has what it returned, or raises."""
        return making.current_app().get_task(self.task).apply(self.args, self.kwargs)


class CapturedCalls(list[CapturedCall]):
    """The calls of a block, in the order in which they would have been sent."""

    def of(self, task: Any) -> list[CapturedCall]:
        """Those of one task, or of one name."""
        name = task if isinstance(task, str) else task.name
        return [one for one in self if one.task == name]

    def run(self) -> list[AsyncResult[Any]]:
        """Run all of them here; those that they enqueue are sent, unless a block captures them, too."""
        return [one.run() for one in list(self)]


_capturing: list[CapturedCalls] = []
"""The blocks that are open, the innermost last; of all threads, since a test may run a server in another one."""


@contextmanager
def captured_calls() -> Iterator[CapturedCalls]:
    """Keep the calls of a block."""
    calls = CapturedCalls()
    _capturing.append(calls)
    try:
        yield calls
    finally:
        _capturing.remove(calls)


def is_capturing() -> bool:
    """Whether a block is open."""
    return bool(_capturing)


def send(unsent: UnsentCall, call: EnqueueCall) -> None:
    """Send a call whose time has come, unless a block captures it."""
    if _capturing:
        _keep(call, unsent)
    else:
        unsent.send()


class Capturing:
    """Keeps calls while a block is open. What makes calls wait for a commit comes after it: those are kept when they are sent,
    and so are rows of the outbox, which a rollback takes back.
    """

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult[Any]]) -> AsyncResult[Any]:
        """Of threads and coroutines alike."""
        if _capturing:
            call.hand_to(partial(_keep, call))
        return next()

    async def aenqueue(self, call: EnqueueCall, next: Callable[[], Any]) -> AsyncResult[Any]:
        """It is outside there, too."""
        if _capturing:
            call.hand_to(partial(_keep, call))
        handle: AsyncResult[Any] = await next()
        return handle


def _keep(call: EnqueueCall, unsent: UnsentCall) -> None:
    _capturing[-1].append(
        CapturedCall(call.task, call.args, call.kwargs, call.queue, unsent.handle.id, dict(call.headers))
    )
