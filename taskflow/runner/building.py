"""Does, beside the tasks that run, what the worker process cannot: builds messages with the app's keys, and tidies its store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from ..message.message_crypto import NO_KEYS
from ..pipe.frames import Build, Built, Tidy
from ..tasks import reporter
from ..tasks.app import TaskFlow
from ..tasks.joining import build
from ..tasks.run import Pipeline
from ..telemetry.traces import kind_of, stand_in


class Builder:
    """Does one after the other in a thread of its own, so that neither the reader of the socket nor a task waits for it.

    The thread is there from the first of them on: most apps never have one.

    Args:
        app: which has the keys, and the store.
        pipeline: of the child.
        most: bytes that a message may have.
        answer: sends what was built.
    """

    def __init__(self, app: TaskFlow, pipeline: Pipeline, most: int, answer: Callable[[Built], None]) -> None:
        self._app = app
        self._pipeline = pipeline
        self._crypto = app._crypto or NO_KEYS
        self._most = most
        self._answer = answer
        self._work: SimpleQueue[Build | Tidy | None] = SimpleQueue()
        self._tidying: set[str] = set()
        """The queues whose look at the store is still to be done: the worker asks again while one takes its time."""
        self.thread: threading.Thread | None = None
        """What builds, from the first build on."""

    def submit(self, work: Build | Tidy) -> None:
        """Do this as soon as what came before is done; from the reader's thread only."""
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="taskflow-builder", daemon=True)
            self.thread.start()
        if isinstance(work, Tidy):
            if work.queue in self._tidying:
                return
            self._tidying.add(work.queue)
        self._work.put(work)

    def end(self) -> None:
        """Build nothing more than what was submitted."""
        self._work.put(None)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            if isinstance(work, Tidy):
                self._tidy(work)
            else:
                self._build(work)

    def _build(self, work: Build) -> None:
        try:
            built = build(self._pipeline, self._crypto, work, self._most)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the worker must hear of it, and the next is built
            reporter.unexpected(stand_in(error))  # its text may quote an argument
            built = Built(work.number, error=kind_of(error))
        self._answer(built)
        self._pipeline.reporter.tell()

    def _tidy(self, work: Tidy) -> None:
        # Only here: few apps have a store, and the broker's commands take their time to import.
        from ..tasks.tidying import tidy

        self._tidying.discard(work.queue)
        try:
            tidy(self._app, work.queue)
        except BaseException as error:  # noqa: BLE001 - the worker asks again while there is something to look at
            reporter.unexpected(stand_in(error))
