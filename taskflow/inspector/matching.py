"""Tasks of a state that fit a filter: found, counted, and told to do something, page by page however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial

from ..broker.commands.admin import BATCH
from ..broker.commands.inspect import PAGE, list_aggregating, list_tasks
from ..broker.words import Moved
from ..partitions import split_queue
from ..states import State
from .both import AnyBroker
from .filters import TaskFilter, since
from .moving import Order, allowed
from .partitions import parts_of
from .queues import all_names, check_placed, is_placed, require
from .tasks import Listing, sources, task_of
from .values import TaskInfo, known_state

FEW = 5
"""Pending tasks that one call takes out of their list: it is looked through for each of them."""


async def places(broker: AnyBroker, queues: Sequence[str] | None) -> list[str]:
    """The names under which queues are stored, with all their partitions; None: all that are listed.

    Raises:
        QueueNotFound: there is nothing of one that was named.
    """
    if queues is None:
        return [name for name in await all_names(broker) if is_placed(broker, name)]
    found: list[str] = []
    for queue in dict.fromkeys(queues):
        check_placed(broker, queue)
        parts = await parts_of(broker, queue)
        if len(parts) == 1:
            await require(broker, parts[0])
        found += parts
    return found


async def matching(
    broker: AnyBroker, state: State, where: TaskFilter, queues: Sequence[str] | None
) -> AsyncIterator[TaskInfo]:
    """The tasks that fit, in the order in which they come up, queue by queue."""
    state = known_state(state)
    where.check(state)
    for place in await places(broker, queues):
        for listing in await _listings(broker, place, state):
            offset = 0
            while True:
                page = await broker.run(listing(offset, PAGE))
                for row in page.rows:
                    task = task_of(place, row, state, page.server_time)
                    if where.fits(task, state, page.server_time):
                        yield task
                offset += len(page.rows)
                if not page.rows or offset >= page.total:
                    break


async def count(
    broker: AnyBroker, state: State, where: TaskFilter, queues: Sequence[str] | None
) -> dict[str, int]:
    """How many fit, by queue; those without any are left out."""
    found: Counter[str] = Counter()
    async for task in matching(broker, state, where, queues):
        found[split_queue(task.queue)[0]] += 1
    return dict(sorted(found.items()))


async def order(
    broker: AnyBroker, what: Order, state: State, where: TaskFilter, queues: Sequence[str] | None
) -> int:
    """Carry out an order for the tasks that fit; for how many it was.

    It is for those that were in the state at its beginning: what comes meanwhile, such as a task that was run and failed again,
    is left, and so is one that has moved on between the look at it and the order.
    """
    state = allowed(what, state)
    where.check(state)
    moved = 0
    for place in await places(broker, queues):
        for listing in await _listings(broker, place, state):
            moved += await _order(broker, what, place, state, where, listing)
    return moved


async def _order(
    broker: AnyBroker, what: Order, place: str, state: State, where: TaskFilter, listing: Listing
) -> int:
    step = FEW if state is State.PENDING else BATCH
    page = await broker.run(listing(0, step))
    began, left = page.server_time, page.total
    offset = moved = 0
    while page.rows and left > 0:
        tasks = [task_of(place, row, state, page.server_time) for row in page.rows]
        chosen = [
            task.id for task in tasks if where.fits(task, state, began) and _was_there(task, state, began)
        ]
        done = 0
        if chosen:
            done = (await broker.run(what.by_id(place, chosen, state.value))).count(Moved.MOVED)
        moved += done
        left -= len(tasks)
        offset, expected = offset + len(tasks) - done, page.total - done
        for _ in range(_MOST_LOOKS):
            page = await broker.run(listing(offset, max(min(step, left), 1)))
            gone = expected - page.total
            if gone <= 0:
                break
            # Somebody else has taken some away, perhaps before this place: then as many that nobody has looked at are there.
            offset, left, expected = max(offset - gone, 0), left + gone, page.total
    return moved


_MOST_LOOKS = 10
"""At one place, while others take tasks away all the time."""


def _was_there(task: TaskInfo, state: State, began: int) -> bool:
    moment = since(task, state)
    return moment is None or moment.timestamp() < began + 1


async def _listings(broker: AnyBroker, place: str, state: State) -> list[Listing]:
    if state is not State.AGGREGATING:
        return [partial(list_tasks, place, state)]
    found = [key async for key, _ in sources(broker, place, None)]
    return [partial(list_aggregating, place, key) for key in found]
