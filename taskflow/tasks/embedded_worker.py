"""A worker in the event loop of a program of one's own: what users see of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any

from .app_sending import AppSending


class EmbeddedWorker(AbstractAsyncContextManager["EmbeddedWorker"]):
    """A worker that is made by `app.worker()`: it runs while its `async with` block does.

    Attributes:
        is_running: whether it takes tasks, or would if it was not quiet.
        is_healthy: whether all is well with it; `complaints` says what is not.
        complaints: what is wrong, a sentence each.
        queues: weight by name, of all that it serves.
        active: how many tasks run now.
    """

    is_running: bool
    is_healthy: bool
    complaints: list[str]
    queues: Mapping[str, int]
    active: int

    @abstractmethod
    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""

    @abstractmethod
    def resume(self) -> None:
        """Take tasks again after `quiet`."""

    @abstractmethod
    async def wait(self) -> None:
        """Wait until it has ended: with `burst=True`, until the queues are empty; else for ever, which `stop` ends."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop before the block ends: take nothing more, wait for what runs, hand back what has not ended in the grace."""


class AppWorker(AppSending):
    """What an app does besides: run a worker."""

    def worker(
        self,
        queues: Mapping[str, int] | Collection[str] | None = None,
        *,
        concurrency: int = 20,
        grace: float = 30.0,
        burst: bool = False,
        strict: bool = False,
    ) -> EmbeddedWorker:
        """Make a worker that runs in this process, on the running event loop: for small services, and for tests.

        Coroutine tasks run on the loop that enters it, functions in threads. It installs no signal handlers, and starts and ends
        no process: a crash, or a call that holds the interpreter, is the program's, and a hard time limit cannot be kept.
        `taskflow worker` is for everything else.

        Args:
            queues: names, or weights by name; None: the queues that the app's tasks name.
            concurrency: how many tasks run at once.
            grace: seconds that running tasks get at the end of the block; after that they are cancelled, as far as that is
                possible, and go back to their queues.
            burst: end when the queues are empty; see `EmbeddedWorker.wait`.
            strict: serve queues strictly in the order of their weights.

        Raises:
            InvalidOption: a number that cannot be.
            InvalidQueueName: a name that cannot be a queue's.

        Example:
            >>> from taskflow import TaskFlow
            >>> app = TaskFlow("shop")
            >>> async def serve() -> None:
            ...     async with app.worker(queues=["mail"], concurrency=5) as worker:
            ...         assert worker.is_healthy
            ...         ...
        """
        # By name: it is made of what the app is below, and few programs need it.
        make: Any = import_module("taskflow.in_process").LoopWorker
        return make(  # type: ignore[no-any-return]
            self, queues=queues, concurrency=concurrency, grace=grace, burst=burst, strict=strict
        )
