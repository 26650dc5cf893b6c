"""What running tasks say of themselves: written by their worker, read by whoever watches or inspects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ...message.report import Report
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import queue_keys
from .dequeue import Taken

BATCH = 100
"""Tasks of one script call at most."""

_build = builder("report", "channel_prefix")
_item = item_of("report")
_encode = msgspec.msgpack.Encoder().encode

Facts = list[tuple[int, str, list[tuple[int, str]]]]


def facts_of(reports: Sequence[Report]) -> Facts:
    """Reports as scripts take them."""
    return [(one.seq, one.progress, [(chunk.count, chunk.text) for chunk in one.chunks]) for one in reports]


def report(queue: str, items: Sequence[tuple[Taken, Sequence[Report]]]) -> Command[list[str]]:
    """Write what tasks of one queue say of themselves, as far as the worker still holds them.

    Args:
        queue: its name.
        items: tasks as they were taken, and their reports.

    Returns:
        The command; it gives the ids of tasks that it does not hold any more.
    """
    keys = queue_keys(queue)
    words: list[Any] = []
    for taken, reports in items:
        words += _item(id=taken.id, lease_token=taken.lease_token, reports=_encode(facts_of(reports)))
    names = [keys.task_prefix + taken.id for taken, _ in items]
    return _build(keys, _ids, names, words, channel_prefix=keys.reports_channel(""))


@dataclass(frozen=True, slots=True)
class Reported:
    """What is stored of what a task has said, without its lines.

    Args:
        state: of the task; None: the queue does not know it.
        token: the lease token of the attempt that runs it; "" where none does.
        progress: as it is stored; "": none.
        at: when the last report was written, in Unix seconds by the server's clock; 0: there was none.
        by: the lease token of the attempt that made it.
        first: the number of the first chunk of lines that is kept.
        after: the number that the next one will have.
    """

    state: str | None
    token: str = ""
    progress: str = ""
    at: float = 0.0
    by: str = ""
    first: int = 1
    after: int = 1

    @property
    def is_current(self) -> bool:
        """Whether it is the latest attempt that has said so: none has begun since."""
        return self.state != "active" or self.by == self.token


def read_reported(queue: str, task_id: str) -> Plain[Reported]:
    """What a task has said, without its lines."""
    keys = queue_keys(queue)
    words = ("HMGET", keys.task(task_id), "state", "receipt", "progress", "reported")
    return Plain(words, parse_reported, keys.slot)


def read_chunks(queue: str, task_id: str, first: int, after: int) -> Plain[list[str]]:
    """The chunks of lines with these numbers, as far as they are still kept."""
    keys = queue_keys(queue)
    names = [f"lines:{number}" for number in range(first, after)]
    return Plain(("HMGET", keys.task(task_id), *names), _chunks, keys.slot)


def parse_reported(reply: Sequence[bytes | None]) -> Reported:
    """The fields `state`, `receipt`, `progress` and `reported` of a task's hash."""
    state, token, progress, noted = (value.decode("utf-8", "replace") if value else "" for value in reply)
    try:
        at, by, _, first, after, _, _ = noted.split(" ")
        first_number, after_number = int(first), int(after)
        if not 0 < first_number <= after_number <= first_number + MOST_CHUNKS:
            raise ValueError
        return Reported(state or None, token, progress, float(at), by, first_number, after_number)
    except ValueError:  # there is none, or somebody else has written it
        return Reported(state or None, token, progress)


MOST_CHUNKS = 2000
"""Of one task; a number beyond that is nobody's of ours."""


def decode_last(text: bytes) -> list[tuple[str, list[str]]]:
    """What is published of the last reports of a task that is not kept: of each its progress and the texts of its chunks."""
    try:
        return [(progress, [chunk for _, chunk in chunks]) for _, progress, chunks in _last(text)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


_last = msgspec.msgpack.Decoder(Facts).decode


def _ids(reply: list[bytes]) -> list[str]:
    return [one.decode("utf-8", "surrogateescape") for one in reply]


def _chunks(reply: list[bytes | None]) -> list[str]:
    """Without the count of their lines, which stands in front."""
    return [value.decode("utf-8", "replace").partition(" ")[2] for value in reply if value]
