"""What was seen of a task, and what is new of it: for whoever watches it (no I/O)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..broker.commands.read import Snapshot, read_task
from ..broker.commands.report import Reported, decode_last, read_chunks, read_reported
from ..broker.said import Steps, unsealing
from ..errors import ResultMissing
from ..message.message_crypto import MessageCrypto
from ..message.report import LogLine, Progress, decode_lines, decode_progress
from ..states import State
from .result_info import state_of


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines that the task has said.

    Args:
        lines: in their order.
        missed: how many before them nobody could see any more: more than are kept came at once.
    """

    lines: tuple[LogLine, ...]
    missed: int = 0


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The task is in another state than before; the first is the one that it was found in.

    Args:
        state: where it is now.
        retried: failed attempts so far.
        last_error: the text of the last failure.
    """

    state: State
    retried: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended; nothing comes after it.

    Args:
        state: `COMPLETED` or `ARCHIVED`; None: it is gone without anybody having seen how: it succeeded and is not kept, or was
            deleted.
        error: the text of the failure of a task that is archived.
    """

    state: State | None
    error: str = ""

    @property
    def succeeded(self) -> bool | None:
        """Whether it did what it was to do; None: nobody has seen it."""
        return None if self.state is None else self.state is State.COMPLETED


WatchEvent = Progress | LogLines | StateChanged | Verdict

_ENDS = frozenset({State.COMPLETED, State.ARCHIVED})


class Watching:
    """One task, as it was seen so far.

    Args:
        queue: its queue; of one with partitions, the partition.
        task_id: its id.
        crypto: opens what it has said.
        coming: whether it may be on its way to its queue still, from the app's outbox.
    """

    def __init__(self, queue: str, task_id: str, crypto: MessageCrypto, *, coming: bool = False) -> None:
        self._queue = queue
        self._id = task_id
        self._unseal = unsealing(crypto, queue, task_id)
        self._state: State | None = None
        self._coming = coming
        self._progress = ""
        self._next_chunk = 1
        self._noted: tuple[str, float] = ("", 0.0)
        self._numbers: dict[int, int] = {}
        """Of each attempt the number of its last line that was seen."""
        self.ended = False
        self.is_gone = False
        """The queue does not know it any more; `gone` says what there is to say."""

    def look(self) -> Steps[list[WatchEvent]]:
        """Look once.

        Raises:
            ResultMissing: the queue does not know the task, and did not know it before.
        """
        found: Reported = yield read_reported(self._queue, self._id)
        state = state_of(found.state)
        if state is None:
            if self._state is None and self._coming:
                return []
            if self._state is None:
                raise ResultMissing(
                    f"queue {self._queue!r} does not know task {self._id}: it is done and not kept, was deleted, "
                    "or never existed",
                    task_id=self._id,
                )
            self.is_gone = True
            return []
        events: list[WatchEvent] = []
        changed: StateChanged | None = None
        error = ""
        if state is not self._state:
            snapshot: Snapshot = yield read_task(self._queue, self._id)
            message = snapshot.message
            error = (message.error_msg if message else "") or snapshot.error
            changed = StateChanged(state, message.retried if message else 0, error)
            if self._state is None or state is State.ACTIVE:
                events.append(changed)  # what an attempt says comes after its start, and before its end
                changed = None
            self._state = state
        self.ended = state in _ENDS
        first = max(found.first, self._next_chunk - 1)
        if self.ended or found.after < self._next_chunk:
            first = found.first  # to be sure; after a fail-over there may be others under the same numbers
        noted = found.by, found.at
        if found.at and (noted != self._noted or self.ended or first < self._next_chunk - 1):
            if first < found.after:
                events += self.lines((yield read_chunks(self._queue, self._id, first, found.after)))
            self._noted, self._next_chunk = noted, found.after
        if found.is_current:
            events += self.progress(found.progress)
        if changed is not None:
            events.append(changed)
        if self.ended:
            events.append(Verdict(state, error if state is State.ARCHIVED else ""))
        return events

    def look_back(self) -> None:
        """Something may have been missed: the next look is at everything that is kept."""
        self._next_chunk, self._noted = 1, ("", 0.0)

    def gone(self, heard: Iterable[bytes]) -> list[WatchEvent]:
        """What there is to say of a task that is gone.

        Args:
            heard: what was published on its channels since the last look: there a task that is not kept says its last words.
        """
        self.ended = True
        events: list[WatchEvent] = []
        last = [report for text in heard if text for report in decode_last(text)]
        for progress, chunks in last:
            events += self.lines(chunks)
            events += self.progress(progress)
        events.append(Verdict(State.COMPLETED if last else None))
        return events

    def progress(self, text: str) -> list[WatchEvent]:
        """The progress, if it is news."""
        if not text or text == self._progress:
            return []
        self._progress = text
        found = decode_progress(text, self._unseal)
        return [found] if found is not None else []

    def lines(self, chunks: Iterable[str]) -> list[WatchEvent]:
        """Those lines that are news."""
        new: list[LogLine] = []
        missed = 0
        for chunk in chunks:
            run, lines = decode_lines(chunk, self._unseal)
            for line in lines:
                last = self._numbers.get(run, 0)
                if line.number > last:
                    missed += line.number - last - 1
                    self._numbers[run] = line.number
                    new.append(line)
        return [LogLines(tuple(new), missed)] if new else []
