"""A worker in the event loop of a program of one's own: `async with app.worker():`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self

from .errors import InvalidOption
from .message.ids import check_queue_name
from .partitions import check_own_queue
from .pipe.shared_marks import SharedMarks
from .runner.in_loop import LoopChild
from .tasks.app import TaskFlow
from .tasks.embedded_worker import EmbeddedWorker
from .telemetry.lines import lines
from .worker.config import WorkerConfig
from .worker.worker import Worker

logger = logging.getLogger("taskflow.worker")

INTERRUPT_SECONDS = 2.0
"""That tasks have to end in once they were interrupted, at the end of the grace."""


class _LoopProcess:
    """What the worker takes for its child's process."""

    separate = False

    def __init__(self, child: LoopChild) -> None:
        self._child = child
        self.pid = os.getpid()

    async def wait(self) -> int:
        """Never: it ends with its socket."""
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await never

    async def leave(self) -> None:
        """Wait until what it runs has ended: only then it goes back."""
        if not await self._child.ended(INTERRUPT_SECONDS):
            logger.error(
                "Tasks in threads of this process go on although they were told to end; they are handed back, so they may run "
                "elsewhere at the same time"
            )

    def kill(self) -> None:
        """Cannot be done: it is the program's own process."""

    def is_stopped(self) -> bool:
        """Then nobody could ask."""
        return False


class LoopWorker(EmbeddedWorker):
    """See `EmbeddedWorker`, and `TaskFlow.worker` for the arguments."""

    def __init__(
        self,
        app: TaskFlow,
        *,
        queues: Mapping[str, int] | Collection[str] | None,
        concurrency: int,
        grace: float,
        burst: bool,
        strict: bool,
    ) -> None:
        self._app = app
        self._config = WorkerConfig(
            app=app.name,
            queues=_weights(queues),
            concurrency=concurrency,
            grace=grace,
            burst=burst,
            strict=strict,
            embedded=True,
        )
        self._worker: Worker | None = None
        self._run: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._run is not None:
            raise InvalidOption("a worker runs once: make another one with app.worker()")
        lines.begin()
        self._worker = worker = Worker(self._config, self._start)
        self._run = run = asyncio.create_task(worker.run(), name="taskflow-worker")
        run.add_done_callback(lambda _: lines.end())
        started = asyncio.create_task(worker.started.wait())
        try:
            await asyncio.wait({run, started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            worker.stop_at_once()
            await asyncio.wait({run})
            raise
        finally:
            started.cancel()
        if run.done() and (error := run.exception()) is not None:
            raise error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """See `EmbeddedWorker`."""
        if self._worker is None or self._run is None:
            return
        if self.is_running:
            self._worker.stop()
        try:
            await asyncio.shield(self._run)
        except asyncio.CancelledError:
            # Whoever waits is in a hurry: nothing is left behind all the same.
            self._worker.stop_at_once()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._run)
            raise

    async def wait(self) -> None:
        """See `EmbeddedWorker`."""
        assert self._run is not None, "it has not been entered"
        await asyncio.wait({self._run})

    def quiet(self) -> None:
        """See `EmbeddedWorker`."""
        if self._worker is not None:
            self._worker.quiet()

    def resume(self) -> None:
        """See `EmbeddedWorker`."""
        if self._worker is not None:
            self._worker.resume()

    @property
    def is_running(self) -> bool:  # type: ignore[override]
        """See `EmbeddedWorker`."""
        return (
            self._run is not None and not self._run.done() and self._worker is not None and self._worker.runs
        )

    @property
    def is_healthy(self) -> bool:  # type: ignore[override]
        """See `EmbeddedWorker`."""
        return self.is_running and not self.complaints

    @property
    def complaints(self) -> list[str]:  # type: ignore[override]
        """See `EmbeddedWorker`."""
        return [] if self._worker is None else self._worker.complaints()

    @property
    def queues(self) -> Mapping[str, int]:  # type: ignore[override]
        """See `EmbeddedWorker`."""
        return {} if self._worker is None else self._worker.queues

    @property
    def active(self) -> int:  # type: ignore[override]
        """See `EmbeddedWorker`."""
        return 0 if self._worker is None else self._worker.active

    async def _start(self, connection: int, memory: int) -> _LoopProcess:
        config, loop = self._config, asyncio.get_running_loop()
        marks = SharedMarks(memory, config.slots)
        child = LoopChild(
            self._app, socket.socket(fileno=connection), marks, config.slots, config.max_message, loop
        )
        child.start()
        return _LoopProcess(child)


def _weights(queues: Mapping[str, int] | Collection[str] | None) -> dict[str, int] | None:
    if queues is None:
        return None
    if isinstance(queues, str):
        raise InvalidOption(f"queues must be a list of names, or weights by name: [{queues!r}]")
    weights = dict(queues) if isinstance(queues, Mapping) else dict.fromkeys(queues, 1)
    for name, weight in weights.items():
        check_own_queue(check_queue_name(name))
        if not isinstance(weight, int) or weight < 1:
            raise InvalidOption(f"queue {name!r} has weight {weight!r}; a weight is a whole number from 1")
    return weights
