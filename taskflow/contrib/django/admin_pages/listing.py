"""Which tasks stand on a page: read from where the page before has ended, however many there are, and never more than so many.

A listing goes through blocks, each a state of a queue, one after the other. How many tasks a block holds the server says without
looking at them, so a page without a filter begins in the middle of the right block. With a filter the tasks are looked at,
`MOST_LOOKS` at a time: where that was not enough to fill the page, the next one goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from taskflow import State
from taskflow.errors import BrokerError, QueueNotFound
from taskflow.inspector import Inspector, QueueInfo, TaskFilter, TaskInfo

STATES = (
    State.ACTIVE,
    State.PENDING,
    State.RETRY,
    State.ARCHIVED,
    State.SCHEDULED,
    State.AGGREGATING,
    State.COMPLETED,
)
"""In the order in which they are listed."""

PAGE = 100
"""Tasks on a page."""

MOST_LOOKS = 5000
"""Tasks that are looked at for one page."""

EVERY = TaskFilter()


@dataclass(frozen=True, slots=True)
class Block:
    """The tasks in a state of a queue.

    Args:
        queue: its name.
        state: the state.
        size: how many there were when the queue was counted.
        partition: the name of the only partition that is meant; None: the whole queue.
    """

    queue: str
    state: State
    size: int
    partition: str | None = None


@dataclass(slots=True)
class Page:
    """A page of tasks.

    Args:
        tasks: they.
        start: before which of all tasks of the blocks it begins, from 0.
        total: how many these are.
        end: where the next page begins; None: there is no more.
        looked: how many were looked at.
        missing: what could not be read, and why.
    """

    tasks: list[TaskInfo]
    start: int
    total: int
    end: int | None = None
    looked: int = 0
    missing: list[str] = field(default_factory=list)


def blocks_of(queues: Iterable[QueueInfo], states: Sequence[State]) -> list[Block]:
    """What there is to be listed; of a queue that is partly unavailable, the partitions that answer."""
    counted = list(queues)
    return [
        block for state in states for queue in counted for block in _blocks(queue, state) if block.size > 0
    ]


def _blocks(queue: QueueInfo, state: State) -> Iterator[Block]:
    if not queue.problem:
        yield Block(queue.name, state, queue.count(state))
        return
    for part in queue.parts:
        if not part.problem:
            yield Block(queue.name, state, part.count(state), part.name)


def read_page(
    inspector: Inspector, blocks: Sequence[Block], where: TaskFilter, start: int, size: int = PAGE
) -> Page:
    """Read a page.

    Args:
        inspector: who reads.
        blocks: what there is, in its order.
        where: which tasks are meant.
        start: how many of all are skipped.
        size: tasks on a page.
    """
    page = Page([], start, sum(block.size for block in blocks))
    position = 0
    away: set[str] = set()
    for block in blocks:
        offset = max(start - position, 0)
        if offset < block.size and block.queue not in away:
            try:
                offset = _read_block(inspector, block, where, offset, size, page)
            except (BrokerError, QueueNotFound) as error:
                # It has answered when it was counted. The others are read all the same, if they do.
                away.add(block.queue)
                page.missing.append(f"queue {block.queue!r}: {error}")
                offset = block.size
            if offset < block.size or _is_full(page, size):
                page.end = position + offset
                break
        position += block.size
    if page.end is not None and page.end >= page.total:
        page.end = None
    return page


def _is_full(page: Page, size: int) -> bool:
    return len(page.tasks) >= size or page.looked >= MOST_LOOKS


def _read_block(
    inspector: Inspector, block: Block, where: TaskFilter, offset: int, size: int, page: Page
) -> int:
    """Put the tasks of a block from an offset on into the page; the offset of the first that was not looked at."""
    while offset < block.size and not _is_full(page, size):
        number, skipped = divmod(offset, PAGE)
        found = inspector.tasks(
            block.queue, block.state, page=number + 1, size=PAGE, partition=block.partition
        ).tasks[skipped:]
        if not found:
            return block.size
        now = time.time()
        for task in found:
            if _is_full(page, size):
                return offset
            offset += 1
            page.looked += 1
            if where.fits(task, block.state, now):
                page.tasks.append(task)
    return offset
