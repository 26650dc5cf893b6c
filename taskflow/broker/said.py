"""What a task has said, as readers see it. How it is written: `commands/report`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from ..errors import MessageError
from ..message.message_crypto import MessageCrypto
from ..message.report import LogLine, Progress, Report, Seal, decode_lines, decode_progress
from .command import Plain
from .commands.report import Reported, read_chunks, read_reported

T = TypeVar("T")

Steps = Generator[Plain[Any], Any, T]
"""Yields what is to be read, is sent what was read, and ends with what it means; `connection.coroutines.carry_out` runs it."""

UNREADABLE = "(encrypted)"
"""Stands for a note that this app has no key for. Lines that it has no key for are not shown."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a task has said.

    Args:
        progress: how far it is; None: it has not said, or another attempt runs that has not said yet.
        lines: its lines, as far as they are kept.
        at: when it has last said anything, a heartbeat included (UTC, by the server's clock).
    """

    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()
    at: datetime | None = None


def read_said(queue: str, task_id: str, crypto: MessageCrypto) -> Steps[Said]:
    """Read what a task has said."""
    found: Reported = yield read_reported(queue, task_id)
    if not found.at:
        return Said()
    chunks: list[str] = []
    if found.first < found.after:
        chunks = yield read_chunks(queue, task_id, found.first, found.after)
    return said_of(found, chunks, crypto, queue, task_id)


def said_of(found: Reported, chunks: list[str], crypto: MessageCrypto, queue: str, task_id: str) -> Said:
    """What is stored, as readers see it."""
    progress = found.progress if found.is_current else ""
    return _said(progress, chunks, found.at, unsealing(crypto, queue, task_id))


def said_in(reports: Sequence[Report], at: float, crypto: MessageCrypto, queue: str, task_id: str) -> Said:
    """What reports say that were never stored: those of eager mode; `at` is when the last was made, in Unix seconds."""
    if not reports:
        return Said()
    progress = next((one.progress for one in reversed(reports) if one.progress), "")
    chunks = [chunk.text for one in reports for chunk in one.chunks]
    return _said(progress, chunks, at, unsealing(crypto, queue, task_id))


def _said(progress: str, chunks: Iterable[str], at: float, unseal: Seal) -> Said:
    lines = [line for chunk in chunks for line in decode_lines(chunk, unseal)[1]]
    return Said(
        decode_progress(progress, unseal) if progress else None,
        tuple(lines),
        datetime.fromtimestamp(at, UTC),
    )


def unsealing(crypto: MessageCrypto, queue: str, task_id: str) -> Seal:
    """What opens the texts of a task; what it cannot open stands as `UNREADABLE`."""
    return partial(_opened, crypto, queue, task_id.encode("utf-8", "surrogateescape"))


def _opened(crypto: MessageCrypto, queue: str, task_id: bytes, text: str) -> str:
    try:
        return crypto.open_text(queue, task_id, text)
    except MessageError:
        return UNREADABLE
