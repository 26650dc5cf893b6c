"""What running tasks say of themselves, on its way out: merged for each attempt, and handed on at most twice a second.

Saying something costs a task a lock and an assignment, however often it does. One thread, which is there from the first report
on, hands on what has gathered. What is left at the end goes with the outcome, in the step that writes it down: so it is never
lost, and never written for a task that somebody else has by then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from ..message.message_crypto import MessageCrypto
from ..message.outcome import Outcome
from ..message.report import (
    LONGEST_LINE,
    LONGEST_NOTE,
    MOST_LINE_BYTES,
    MOST_LINES,
    Line,
    Report,
    Seal,
    cut,
    encode_lines,
    encode_progress,
)
from ..telemetry.events import Unexpected, emit
from .cancels import note

FIRST_SECONDS = 0.1
"""From what an attempt says first until it is handed on: what ends sooner says it with its outcome."""

INTERVAL = 0.625
"""Seconds between two reports of one attempt: fewer than a hundred in a minute."""


class Attempted(Protocol):
    """What is to be known of an attempt."""

    started_at: float

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    @property
    def where(self) -> tuple[int, str, bytes, int]:
        """The job's number, its queue, the task's id, and how often it was retried."""


class TaskReports:
    """What one attempt says. From any thread; after its end nothing is heard any more.

    Args:
        desk: hands on what gathers here.
        attempt: whose it is.
    """

    def __init__(self, desk: ReportDesk, attempt: Attempted) -> None:
        self._desk = desk
        self._number, queue, task_id, retried = attempt.where
        self._attempt = retried + 1
        self._run = time.time_ns() // 1000
        self._seal = desk.seal(queue, task_id)
        self._lock = threading.RLock()  # a signal handler may say something while its thread does
        self._progress: tuple[float, float | None, str, float] | None = None
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._said = 0
        self._seq = 0
        self._waits = False
        self._ended = False
        self.spoke = False
        """Whether it has said anything, be it but that it lives."""
        self.due_at = time.monotonic() + FIRST_SECONDS
        """When it may be handed on (monotonic seconds)."""

    def progress(self, done: float, total: float | None, note: str) -> None:
        """The task is so far."""
        with self._lock:
            self._progress = (done, total, note, time.time())
            self._heard()

    def line(self, text: str, level: str, at: float) -> None:
        """The task says a line."""
        text = cut(text, LONGEST_LINE)
        with self._lock:
            if self._ended:
                return
            self._said += 1
            self._bytes += len(text.encode())
            self._lines.append((round(at, 3), level, text))
            while len(self._lines) > MOST_LINES or (self._bytes > MOST_LINE_BYTES and len(self._lines) > 1):
                self._bytes -= len(self._lines.popleft()[2].encode())
            self._heard()

    def beat(self) -> None:
        """The task lives."""
        with self._lock:
            self._heard()

    def _heard(self) -> None:
        """Something is new; with the lock."""
        self.spoke = True
        if not (self._waits or self._ended):
            self._waits = True
            self._desk.due(self)

    def hand_on(self, send: Callable[[Report], None]) -> None:
        """Give what has gathered to `send`, unless the attempt has ended; under the lock, so that its outcome comes later."""
        with self._lock:
            if not self._ended:
                self._waits = False
                self.due_at = time.monotonic() + INTERVAL
                send(self._report())

    def end(self) -> Report:
        """Hear nothing more; what is left, which may be nothing but that the attempt has said something before."""
        with self._lock:
            self._ended = True
            return self._report()

    def _report(self) -> Report:
        self._seq += 1
        progress, self._progress = self._progress, None
        lines, self._lines, self._bytes = self._lines, deque(), 0
        said = ""
        if progress is not None:
            done, total, note, at = progress
            note = cut(note, LONGEST_NOTE)
            said = encode_progress(done, total, note, at, self._attempt, self._seal)
        first = self._said - len(lines) + 1
        chunks = encode_lines(list(lines), first, self._attempt, self._run, self._seal) if lines else ()
        return Report(self._number, self._seq, said, chunks)


class ReportDesk:
    """Collects what the attempts of one pipeline say.

    Args:
        crypto: the app's keys; None: it has none.
        send: takes each report of an attempt that goes on; None: nobody wants any before the end.
    """

    def __init__(
        self, crypto: MessageCrypto | None = None, send: Callable[[Report], None] | None = None
    ) -> None:
        self._crypto = crypto
        self._send = send
        self._lock = threading.RLock()
        self._due: SimpleQueue[TaskReports | None] = SimpleQueue()
        self.thread: threading.Thread | None = None
        """What hands on, from the first report on."""
        self.cancelled: set[int] = set()
        """The numbers of jobs that somebody has cancelled: empty nearly always."""
        self.live: dict[Attempted, TaskReports] = {}
        """Of the attempts that run and have been asked for what they report to."""

    def of(self, attempt: Attempted) -> TaskReports:
        """What this attempt reports to; the same from all of its threads. After its end it hears nothing."""
        with self._lock:
            found = self.live.get(attempt)
            if found is None:
                found = self.live[attempt] = TaskReports(self, attempt)
                # Looked at afterwards: whoever ends it says so first and then looks who is here.
                if attempt.is_over:
                    del self.live[attempt]
                    found.end()
            return found

    def ended(self, attempt: Attempted, outcome: Outcome) -> Outcome:
        """The outcome of an attempt, with what it has said last."""
        with self._lock:
            found = self.live.pop(attempt, None)
        if found is None:
            return outcome
        try:
            report = found.end()
            return msgspec.structs.replace(outcome, said=(report,)) if found.spoke else outcome
        except Exception as error:  # noqa: BLE001 - what a task says of itself never costs its verdict
            emit(Unexpected(error))
            return outcome

    def cancel(self, number: int) -> None:
        """Somebody wants the job of this number cancelled."""
        note(self.cancelled, number)

    def is_cancelled(self, attempt: Attempted) -> bool:
        """Whether somebody has wanted that."""
        return attempt.where[0] in self.cancelled

    def seal(self, queue: str, task_id: bytes) -> Seal | None:
        """What seals the texts of a task; None: the app has no keys for it."""
        crypto = self._crypto
        if crypto is None or not crypto.encrypts:
            return None
        return lambda text: crypto.close_text(queue, task_id, text)

    def close(self) -> None:
        """Hand nothing on any more, and end the thread: where the process goes on without its worker."""
        with self._lock:
            self._send = None
        self._due.put(None)

    # --- the thread -----------------------------------------------------------------------------------------

    def due(self, reports: TaskReports) -> None:
        """Something is to be handed on."""
        if self._send is None:
            return
        self._due.put(reports)
        if self.thread is None:
            with self._lock:
                send = self._send
                if self.thread is None and send is not None:
                    self.thread = threading.Thread(
                        target=self._run, args=(send,), name="taskflow-reports", daemon=True
                    )
                    self.thread.start()

    def _run(self, send: Callable[[Report], None]) -> None:
        waiting: list[TaskReports] = []
        while True:
            pause = None
            if waiting:
                pause = max(min(one.due_at for one in waiting) - time.monotonic(), 0.001)
            try:
                one = self._due.get(timeout=pause)
                while one is not None:
                    waiting.append(one)
                    one = self._due.get_nowait()
                return
            except Empty:
                pass
            now = time.monotonic()
            for one in [one for one in waiting if one.due_at <= now]:
                waiting.remove(one)
                try:
                    one.hand_on(send)
                except Exception as error:  # noqa: BLE001 - the others are handed on
                    emit(Unexpected(error))
