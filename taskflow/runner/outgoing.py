"""What a child has to say to its worker: collected from all threads, sent by one, in batches."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ..message.outcome import MOST_FOLLOWER_BYTES, Outcome, is_plain
from ..message.report import MOST_LINE_BYTES, Report
from ..pipe import frames
from ..tasks import reporter
from ..tasks.outcome import unreadable
from ..telemetry.counts import TaskCount
from ..telemetry.traces import stand_in

OUTCOMES_PER_FRAME = 500
REPORTS_PER_FRAME = 500


class Outgoing:
    """Collects frames' contents from all threads; one thread sends them.

    While tasks keep the interpreter busy, the sender gets its turn every few milliseconds and finds a batch;
    when nothing else runs, it sends at once.

    Args:
        connection: to the worker.
        counts: what was counted of the tasks since it was last asked.
    """

    def __init__(self, connection: socket.socket, counts: Callable[[], list[TaskCount]]) -> None:
        self._connection = connection
        self._counts = counts
        self._outcomes: deque[Outcome] = deque()
        self._reports: deque[Report] = deque()
        self._returned: deque[int] = deque()
        self._built: deque[frames.Built] = deque()
        self._pong = False
        self._stacks = ""
        self._filled = threading.Event()
        self._ended = False
        self.thread = threading.Thread(target=self._run, name="taskflow-outgoing", daemon=True)
        """What sends."""
        self._told = False
        """Whether an outcome has set it since the sender looked last."""

    def start(self) -> None:
        """Start sending."""
        self.thread.start()

    def end(self) -> None:
        """Send nothing more: nobody would hear it."""
        self._ended = True
        self._filled.set()

    def outcome(self, outcome: Outcome) -> None:
        """An attempt has ended."""
        self._outcomes.append(outcome)
        if not self._told:  # a look at an event costs more, and this is on the way of every task
            self._told = True
            self._filled.set()

    def report(self, report: Report) -> None:
        """An attempt that goes on has said something."""
        self._reports.append(report)
        self._filled.set()

    def returned(self, number: int) -> None:
        """A job was recalled when it was about to start."""
        self._returned.append(number)
        self._filled.set()

    def built(self, built: frames.Built) -> None:
        """A message was built for the worker."""
        self._built.append(built)
        self._filled.set()

    def pong(self) -> None:
        """The worker has asked for a sign of life."""
        self._pong = True
        self._filled.set()

    def stacks(self, text: str) -> None:
        """The worker has asked where everything stands."""
        self._stacks = text
        self._filled.set()

    def send(self, value: Any) -> None:
        """Send a frame now; only before `start`."""
        self._connection.sendall(frames.frame(value))

    def _run(self) -> None:
        try:
            while not self._ended:
                self._filled.wait()
                self._filled.clear()
                self._told = False  # and then look: who adds something from here on sets the event again
                while self._outcomes:
                    self._send_outcomes()
                if self._reports:
                    self._send_reports()
                if self._returned:
                    numbers = [self._returned.popleft() for _ in range(len(self._returned))]
                    self._connection.sendall(frames.frame(frames.Returned(numbers)))
                while self._built:
                    self._connection.sendall(frames.frame(self._built.popleft()))
                if self._pong:
                    self._pong = False
                    self._connection.sendall(frames.frame(frames.Pong()))
                if self._stacks:
                    text, self._stacks = self._stacks, ""
                    self._connection.sendall(frames.frame(frames.Stacks(text)))
        except OSError:
            # The worker has closed the socket: nothing here can be told to anybody. The reader sees it too, and ends.
            return

    def _send_outcomes(self) -> None:
        outcomes = self._outcomes
        ended = [outcomes.popleft() for _ in range(min(len(outcomes), OUTCOMES_PER_FRAME))]
        items = [outcome for outcome in ended if not is_plain(outcome)]
        sizes = [
            len(outcome.message)
            + len(outcome.result)
            + (MOST_FOLLOWER_BYTES if outcome.then else 0)
            + (MOST_LINE_BYTES if outcome.said else 0)
            for outcome in items
        ]
        if self._reports:
            self._send_reports()  # taken after them, sent before them: the worker knows the jobs of these still
        # After the outcomes were taken: what these have added is in it.
        counts = self._counts()
        head = frames.frame(frames.Events(counts)) if counts else b""
        if len(items) < len(ended):
            plain = [outcome for outcome in ended if is_plain(outcome)] if items else ended
            seconds = sum([outcome.seconds for outcome in plain])
            numbers = [outcome.number for outcome in plain]
            self._connection.sendall(head + frames.frame(frames.Outcomes([], numbers, seconds)))
            head = b""
        for batch in frames.batches(items, sizes, OUTCOMES_PER_FRAME):
            self._connection.sendall(head + _frame(list(batch)))
            head = b""

    def _send_reports(self) -> None:
        reports = self._reports
        items = [reports.popleft() for _ in range(len(reports))]
        sizes = [len(one.progress) + sum(len(chunk.text) for chunk in one.chunks) for one in items]
        for batch in frames.batches(items, sizes, REPORTS_PER_FRAME):
            self._connection.sendall(frames.frame(frames.Reports(list(batch))))


def _frame(items: list[Outcome]) -> bytes:
    """A frame of these outcomes; if one cannot be written, its task is archived, and the others have theirs."""
    try:
        return frames.frame(frames.Outcomes(items))
    except Exception as error:  # noqa: BLE001 - whatever it is, the tasks of a batch do not share it
        reporter.unexpected(stand_in(error))  # it quotes what cannot be written
        if len(items) > 1:
            return b"".join([_frame([item]) for item in items])
        reason = f"its outcome cannot be written ({type(error).__name__})"
        return frames.frame(frames.Outcomes([unreadable(items[0].number, reason)]))
