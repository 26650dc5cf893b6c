"""Reading tasks: a page of a state, or one by its id. What cannot be read is shown as such."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial

from ..broker.command import Command
from ..broker.commands.inspect import (
    Page,
    Row,
    count_set,
    list_aggregating,
    list_sets,
    list_tasks,
    read_row,
    text,
)
from ..broker.keys import queue_keys
from ..errors import DecodeError, InvalidOption, MessageError, TaskNotFound
from ..message.kept import ARCHIVE_SECONDS, archived_at
from ..message.message_crypto import MessageCrypto
from ..message.task_message import TaskMessage
from ..states import State
from .both import AnyBroker
from .queues import groups, require
from .values import Problem, TaskInfo, TaskPage, known_state, moment

Listing = Callable[[int, int], Command[Page]]
"""From an offset and a limit to the command that lists."""

_STATES = {state.value: state for state in State}

_STARTS = (State.PENDING, State.SCHEDULED, State.AGGREGATING)
"""Where a task that has yet to start is."""


async def page_of_tasks(
    broker: AnyBroker, parts: Sequence[str], state: State, page: int, size: int, group: str | None = None
) -> TaskPage:
    """A page of the tasks in a state, in the order in which they come up in a queue, or in each of its partitions."""
    state = known_state(state)
    if page < 1 or size < 1:
        raise InvalidOption(
            f"pages are numbered from 1 and hold at least one task, not page={page}, size={size}"
        )
    # No queue is longer than the numbers that a script can count with.
    offset = min((page - 1) * size, 2**52)
    total = 0
    tasks: list[TaskInfo] = []
    for part in parts:
        # When the page is full, one more is read: how many there are comes with it.
        missing = max(size - len(tasks), 1)
        held, found = await _tasks_from(broker, part, state, max(offset - total, 0), missing, group)
        tasks += found[: size - len(tasks)]
        total += held
    return TaskPage(total, page, size, tuple(tasks))


async def _tasks_from(
    broker: AnyBroker, queue: str, state: State, offset: int, size: int, group: str | None
) -> tuple[int, list[TaskInfo]]:
    if state is State.AGGREGATING:
        return await _aggregating(broker, queue, offset, size, group)
    return await _read(broker, queue, state, offset, size, partial(list_tasks, queue, state))


async def one_task(broker: AnyBroker, queue: str, task_id: str) -> TaskInfo:
    """One task; raises QueueNotFound or TaskNotFound."""
    await require(broker, queue)
    found = await broker.run(read_row(queue, task_id))
    (row,) = found.rows
    if not row.exists:
        raise TaskNotFound(task_id, queue)
    return task_of(queue, row, None, found.server_time)


def judged(found: TaskInfo, crypto: MessageCrypto | None) -> TaskInfo:
    """The task, with what is wrong with its result by an app's keys; None: nobody has any."""
    if crypto is None or found.state is not State.COMPLETED:
        return found
    try:
        crypto.open_result(
            found.message, found.queue, found.id.encode("utf-8", "surrogateescape"), found.result
        )
    except MessageError as error:
        return replace(found, result_problem=str(error))
    return found


async def _read(
    broker: AnyBroker, queue: str, state: State, offset: int, size: int, listing: Listing
) -> tuple[int, list[TaskInfo]]:
    """Ask until the page is full: one call stops early where the messages are large."""
    tasks: list[TaskInfo] = []
    while True:
        found = await broker.run(listing(offset + len(tasks), size - len(tasks)))
        tasks += [task_of(queue, row, state, found.server_time) for row in found.rows]
        if not found.rows or len(tasks) >= size or offset + len(tasks) >= found.total:
            return found.total, tasks


async def _aggregating(
    broker: AnyBroker, queue: str, offset: int, size: int, group: str | None
) -> tuple[int, list[TaskInfo]]:
    """A page over groups, one after the other, then over what is being aggregated right now."""
    total = 0
    tasks: list[TaskInfo] = []
    for key, length in [source async for source in sources(broker, queue, group)]:
        start = max(offset - total, 0)
        if start < length and len(tasks) < size:
            listing: Listing = partial(list_aggregating, queue, key)
            tasks += (await _read(broker, queue, State.AGGREGATING, start, size - len(tasks), listing))[1]
        total += length
    return total, tasks


async def sources(broker: AnyBroker, queue: str, group: str | None) -> AsyncIterator[tuple[str, int]]:
    """The keys of aggregation groups, and of what is being aggregated right now, each with its length."""
    keys = queue_keys(queue)
    if group is None:
        for found in await groups(broker, queue):
            yield keys.group(found.name), found.size
    else:
        yield keys.group(group), await broker.run(count_set(queue, keys.group(group)))
    prefix = keys.group("" if group is None else f"{group}:")
    for name in [text(key) for key in await broker.run(list_sets(queue))]:
        # A set is named after its group and a UUID. A registration may be any text, also another key's name.
        if name.startswith(prefix) and (group is None or ":" not in name.removeprefix(prefix)):
            yield name, await broker.run(count_set(queue, name))


def task_of(queue: str, row: Row, listed_as: State | None, now: int) -> TaskInfo:
    """A task as it was read, in the state in which it was listed; `now` is the server's time in Unix seconds."""
    state = _STATES.get(row.state, listed_as)
    message, problem = _message(row)
    return TaskInfo(
        id=row.id,
        queue=queue,
        state=state,
        problem=problem,
        message=message,
        result=row.result,
        next_process_at=moment(row.score) if state in (State.SCHEDULED, State.RETRY) else None,
        pending_since=moment(float(row.pending_since) / 1e9) if row.pending_since.isdecimal() else None,
        archived_at=moment(_archived_at(row.score, message)) if state is State.ARCHIVED else None,
        expires_at=moment(_expires_at(row.score, state)),
        lease_until=moment(row.lease_until),
        start_until=moment(row.start_until) if state in _STARTS else None,
        is_orphaned=state is State.ACTIVE and (row.lease_until is None or row.lease_until <= now),
        group=row.group or (message.group_key if message else ""),
        owner=row.owner,
        error=row.error,
        crashes=row.crashes,
        recoveries=row.recoveries,
        snoozes=row.snoozes,
        is_cancelled=row.is_cancelled,
        attempts=row.attempts,
        failed_with=row.error_type,
    )


def _archived_at(score: float | None, message: TaskMessage | None) -> float | None:
    return archived_at(score, message.headers, message.last_failed_at) if score and message else score


def _expires_at(score: float | None, state: State | None) -> float | None:
    if state is State.ARCHIVED:
        return score and score + ARCHIVE_SECONDS
    return score if state is State.COMPLETED else None


def _message(row: Row) -> tuple[TaskMessage | None, Problem]:
    if not row.exists:
        return None, Problem.MISSING
    if row.message is None:
        return None, Problem.UNREADABLE
    try:
        return TaskMessage.decode(row.message), Problem.NONE
    except DecodeError:
        return None, Problem.UNREADABLE
