"""Whether anybody works: queues with tasks that no running worker serves, and tasks that no worker can run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...broker.commands.inspect import Page, QueueCounts, Row, count_queue, list_tasks
from ...broker.keys import day_of
from ...errors import BrokerError, DecodeError
from ...message.task_message import TaskMessage
from ...partitions import split_queue
from ...states import State
from ..both import AnyBroker
from ..servers import all_servers
from .values import Finding, Severity

_TOGETHER = 200
"""Queues that are looked at by one pipeline per node."""

_SAMPLE = 100
"""Tasks of a state that are looked at in one queue."""

_PUT_BACK = 2
"""How often a task has been put back before it is said that nobody can run it: the first time another worker may come for it."""

_MOST_EXAMPLES = 5
_WHERE = "workers"


async def examine_serving(broker: AnyBroker, queues: Sequence[str]) -> list[Finding]:
    """What nobody works on. What cannot be read is named elsewhere, and left out here."""
    try:
        served = {split_queue(name)[0] for server in await all_servers(broker) for name in server.queues}
    except BrokerError:
        return []
    waiting: list[str] = []
    later: list[str] = []
    unknown: Counter[str] = Counter()
    for start in range(0, len(queues), _TOGETHER):
        some = queues[start : start + _TOGETHER]
        counted = dict(
            zip(some, await broker.run_many([count_queue(name, day_of(0)) for name in some]), strict=True)
        )
        busy = []
        for name, counts in counted.items():
            if not isinstance(counts, QueueCounts):
                continue
            numbers = counts.numbers
            if numbers["pending"] or numbers["scheduled"]:
                busy.append(name)
            if split_queue(name)[0] in served:
                continue
            if numbers["pending"]:
                waiting.append(name)
            elif numbers["scheduled"] or numbers["retry"] or numbers["groups"]:
                later.append(name)
        unknown.update(await _unknown(broker, busy))
    return [*_unserved(waiting, later), *_not_known(unknown)]


async def _unknown(broker: AnyBroker, queues: Sequence[str]) -> list[str]:
    """The names of tasks that were put back again and again, each with its queue; of the first that wait in each."""
    states = (State.PENDING, State.SCHEDULED)
    asked = [(name, state) for name in queues for state in states]
    pages = await broker.run_many([list_tasks(name, state, 0, _SAMPLE) for name, state in asked])
    return [
        f"{_type(row)} in queue {name!r}"
        for (name, _), page in zip(asked, pages, strict=True)
        if isinstance(page, Page)
        for row in page.rows
        if row.unknown >= _PUT_BACK
    ]


def _type(row: Row) -> str:
    try:
        return repr(TaskMessage.decode(row.message or b"").type)
    except DecodeError:
        return "(unreadable)"


def _unserved(waiting: Sequence[str], later: Sequence[str]) -> Iterator[Finding]:
    remedy = "start a worker for them (`taskflow worker -A … -Q NAME`); `taskflow queue rm --force` removes what nobody needs"
    for severity, what, queues in (
        (Severity.ERROR, "queues hold tasks that wait, and no running worker serves them", waiting),
        (Severity.WARNING, "queues hold tasks for later, and no running worker serves them", later),
    ):
        if queues:
            examples = tuple(queues[:_MOST_EXAMPLES])
            yield Finding(severity, "unserved-queue", what, _WHERE, remedy, len(queues), examples)


def _not_known(unknown: Counter[str]) -> Iterator[Finding]:
    if unknown:
        yield Finding(
            Severity.ERROR,
            "unknown-task",
            "tasks were put back again and again, since no worker of their queue knows their name or can read them",
            _WHERE,
            "start a worker whose app has them, or let the app that they belong to serve the queue; or `taskflow task delete`",
            unknown.total(),
            tuple(name for name, _ in unknown.most_common(_MOST_EXAMPLES)),
        )
