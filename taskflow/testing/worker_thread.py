"""A worker in a thread of the test's process: what the test replaces, its tasks see."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from ..errors import TaskFlowError
from ..tasks.app import TaskFlow
from ..tasks.embedded_worker import EmbeddedWorker

GRACE = 5.0
"""Seconds that running tasks have at the end of a test; after that they are cancelled."""


class WorkerThread:
    """Runs `app.worker()` on an event loop in a thread of its own: coroutine tasks run there, functions in more threads.

    Used as a context manager; `sandbox.worker(app)` and the fixture `taskflow_worker` give one that runs.

    Args:
        app: whose tasks it runs.
        queues: as for `app.worker()`.
        concurrency: how many at once.
        grace: seconds that running tasks have at its end.

    Attributes:
        worker: the embedded worker (docs/pools.md), to be looked at.
    """

    worker: EmbeddedWorker

    def __init__(
        self,
        app: TaskFlow,
        queues: Mapping[str, int] | Sequence[str] | None = None,
        *,
        concurrency: int = 4,
        grace: float = GRACE,
    ) -> None:
        self.app = app
        self._queues = queues
        self._concurrency = concurrency
        self._grace = grace
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="taskflow-testing-worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it: it takes nothing more, and what still runs after the grace is cancelled and goes back to its queue."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except (TaskFlowError, OSError) as error:
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = asyncio.Event()
        async with self.app.worker(self._queues, concurrency=self._concurrency, grace=self._grace) as worker:
            self.worker = worker
            self._ready.set()
            await self._ends.wait()
        await self.app.aclose()
