"""Builds messages for the worker, which has no keys, beside the tasks that run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..pipe.frames import Build, Built
from ..tasks import reporter
from ..tasks.joining import build
from ..tasks.run import Pipeline
from ..telemetry.traces import kind_of, stand_in


class Builder:
    """Does one build after the other in a thread of its own, so that neither the reader of the socket nor a task waits for it.

    The thread is there from the first build on: most apps never have one.

    Args:
        pipeline: of the child.
        crypto: the app's keys.
        most: bytes that a message may have.
        answer: sends what was built.
    """

    def __init__(
        self, pipeline: Pipeline, crypto: MessageCrypto | None, most: int, answer: Callable[[Built], None]
    ) -> None:
        self._pipeline = pipeline
        self._crypto = crypto or NO_KEYS
        self._most = most
        self._answer = answer
        self._work: SimpleQueue[Build] = SimpleQueue()
        self._started = False

    def submit(self, work: Build) -> None:
        """Build this as soon as what came before is built; from the reader's thread only."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="taskflow-builder", daemon=True).start()
        self._work.put(work)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                built = build(self._pipeline, self._crypto, work, self._most)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the worker must hear of it, and the next is built
                reporter.unexpected(stand_in(error))  # its text may quote an argument
                built = Built(work.number, error=kind_of(error))
            self._answer(built)
            self._pipeline.reporter.tell()
