"""Writes what running tasks say of themselves: one call for all tasks of a queue that have said something."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from ...broker.aio import AsyncBroker
from ...broker.commands.report import BATCH, report
from ...errors import BrokerError
from ...message.outcome import Outcome
from ...message.report import MOST_LINE_BYTES, Chunk, Report
from ..service import Service
from .held_tasks import Held

GATHER_SECONDS = 0.05
"""What other tasks say within so many seconds goes in the same call."""

TIMEOUT = 2.0
"""Seconds of one try. There is always another, or the outcome has what is not written."""

MOST_BYTES = 256 << 10
"""Of the reports in one call, about: a script is to be short."""


@dataclass(slots=True)
class _Unwritten:
    """What a task has said and nobody has confirmed yet."""

    sent: tuple[Report, ...] = ()
    """It is on its way, or its call had no answer: it may be written, so it is sent again as it is."""
    fresh: Report | None = None
    """What has come since, merged."""

    @property
    def all(self) -> tuple[Report, ...]:
        return self.sent if self.fresh is None else (*self.sent, self.fresh)


@dataclass(slots=True)
class _Call:
    """One call: some tasks of one queue."""

    queue: str
    items: list[tuple[Held, _Unwritten]] = field(default_factory=list)
    size: int = 0


class ReportWriter(Service):
    """Writes reports, in the order in which each task has made them.

    A report whose task has its outcome goes with that, whatever has become of its own call: the script writes each once.

    Args:
        broker: where to.
    """

    name = "reports"

    def __init__(self, broker: AsyncBroker) -> None:
        super().__init__()
        self._broker = broker
        self.unwritten: dict[Held, _Unwritten] = {}
        self._filled = asyncio.Event()

    def add(self, items: list[tuple[Held, Report]]) -> None:
        """Tasks that run have said something."""
        for held, one in items:
            known = self.unwritten.setdefault(held, _Unwritten())
            known.fresh = one if known.fresh is None else merged(known.fresh, one)
        self._filled.set()

    def complete(self, items: list[tuple[Held, Outcome]]) -> list[tuple[Held, Outcome]]:
        """Outcomes, each with what its task has said that is not written for certain."""
        return [(held, self._completed(held, outcome)) for held, outcome in items]

    def _completed(self, held: Held, outcome: Outcome) -> Outcome:
        left = self.unwritten.pop(held, None)
        if left is None:
            return outcome
        return msgspec.structs.replace(outcome, said=(*left.all, *outcome.said))

    async def tick(self) -> float:
        """Write what has come."""
        if not self.unwritten:
            self._filled.clear()
            with self.resting():
                await self._filled.wait()
        await asyncio.sleep(GATHER_SECONDS)
        calls = list(self._calls())
        for call in calls:
            for _, known in call.items:
                if not known.sent and known.fresh is not None:
                    known.sent, known.fresh = (known.fresh,), None
        commands = [
            report(call.queue, [(held.taken, known.sent) for held, known in call.items]) for call in calls
        ]
        replies = await self._broker.run_many(commands, TIMEOUT)
        failed: BrokerError | None = None
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, BrokerError):
                failed = reply
            else:
                self._confirm(call, set(reply))
        if failed is not None:
            raise failed
        return 0.0

    def _calls(self) -> Iterator[_Call]:
        queues: defaultdict[str, list[tuple[Held, _Unwritten]]] = defaultdict(list)
        for held, known in list(self.unwritten.items()):
            if held.lost:
                del self.unwritten[held]
            else:
                queues[held.queue].append((held, known))
        for queue, items in queues.items():
            call = _Call(queue)
            for held, known in items:
                size = sum(map(_size, known.all))
                if call.items and (len(call.items) >= BATCH or call.size + size > MOST_BYTES):
                    yield call
                    call = _Call(queue)
                call.items.append((held, known))
                call.size += size
            yield call

    def _confirm(self, call: _Call, lost: set[str]) -> None:
        for held, known in call.items:
            known.sent = ()
            if self.unwritten.get(held) is known and (known.fresh is None or held.id in lost):
                del self.unwritten[held]


def merged(earlier: Report, later: Report) -> Report:
    """Two reports of one attempt that nobody has sent yet as one; of their lines the latest."""
    chunks: list[Chunk] = []
    size = 0
    for chunk in reversed((*earlier.chunks, *later.chunks)):
        size += len(chunk.text)
        if chunks and size > MOST_LINE_BYTES:
            break
        chunks.append(chunk)
    return Report(later.number, later.seq, later.progress or earlier.progress, tuple(reversed(chunks)))


def _size(one: Report) -> int:
    return len(one.progress) + sum(len(chunk.text) for chunk in one.chunks)
