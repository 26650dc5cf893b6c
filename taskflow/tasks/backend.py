"""What a task needs of its app: who enqueues, and what is around it. Tasks are made from this, so they are `Any` here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..broker.commands.enqueue import NewTask
from ..errors import TaskFlowError
from .context import CurrentTask
from .result import AsyncResult

OnHandles = Callable[[Sequence[AsyncResult[Any] | TaskFlowError]], None]
"""Takes the handles and errors of some calls."""


class Goes(Protocol):
    """The middleware of an app, where it enqueues. It calls `Sender._make`, and the app, when it is through."""

    def send(self, sender: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> AsyncResult[Any]:
        """Enqueue a call, or raise."""

    def asend(
        self, sender: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Awaitable[AsyncResult[Any]]:
        """The same from a coroutine."""

    def prepare(self, sender: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NewTask:
        """Make a call that is sent with others."""


class Backend(Protocol):
    """What a task needs of its app: somebody who enqueues."""

    name: str
    _max_payload: int

    @property
    def _outgoing(self) -> Goes | None:
        """What calls go through before they are messages; None: nothing."""

    @property
    def _has_outbox(self) -> bool:
        """Whether it has somewhere to keep calls, or runs them here."""

    def _result(self, task_id: str, queue: str | None, task: Any) -> AsyncResult[Any]:
        """A handle on a call of a task, by its id."""

    def _enqueue(self, task: Any, new: NewTask, timeout: float) -> AsyncResult[Any]:
        """Enqueue one, or raise."""

    def _run_here(self, task: Any, new: NewTask, *, propagate: bool) -> AsyncResult[Any]:
        """Run one where it is called, as in eager mode."""

    def _aenqueue(self, task: Any, new: NewTask, timeout: float) -> Awaitable[AsyncResult[Any]]:
        """Enqueue one from a coroutine."""

    def _enqueue_many(self, task: Any, new: Iterable[NewTask], timeout: float, on_handles: OnHandles) -> None:
        """Enqueue many as they come; `on_handles` is told what became of them, in their order."""

    def _aenqueue_many(
        self, task: Any, new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> Awaitable[None]:
        """Enqueue many from a coroutine."""


class Surrounds(Protocol):
    """The middleware around a task, and what is injected."""

    def run(
        self,
        current: Callable[[], CurrentTask],
        kwargs: dict[str, Any],
        call: Callable[[dict[str, Any]], Any],
    ) -> Any:
        """Call a function with these arguments, and with what is injected."""

    async def arun(
        self,
        current: Callable[[], CurrentTask],
        kwargs: dict[str, Any],
        call: Callable[[dict[str, Any]], Any],
    ) -> Any:
        """The same with a coroutine function."""


class Injects(Protocol):
    """What adds arguments that are not in the payload, and closes them afterwards."""

    def run(self, kwargs: dict[str, Any], call: Callable[[dict[str, Any]], Any]) -> Any:
        """Call the function with more arguments."""

    async def arun(self, kwargs: dict[str, Any], call: Callable[[dict[str, Any]], Any]) -> Any:
        """As `run`, on an event loop; `call` gives what is to be awaited."""
