"""The clock of a test: delays, retries, leases, retention and locks run in milliseconds, since what is stored is set back.

The server has its own clock, which nobody can change. So the times that stand in its storage are moved instead, of every queue
there: `passing.lua` has all of them in one place. What has come due then is moved at once, as the loops of a worker would do it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from importlib.resources import files

from ..broker.command import Plain
from ..broker.commands.maintenance import forward
from ..broker.keys import queue_keys
from ..broker.sync import Broker
from ..connection.coroutines import complete
from ..errors import InvalidOption
from ..inspector.both import ThreadBroker
from ..inspector.doctor.reading import Keyspace, scan_node
from .current import Here, here
from .living import is_living
from .upkeep import keep_up, queue_names

WHOLE = ("archived", "completed", "aggregation_sets", "orphans", "outbox_at", "stored")
"""The sorted sets whose scores are times, besides those that the script treats one by one. What schedules bring is added here,
and what a worker then does for it to `upkeep.keep_up`.
"""

LEFT_ALONE = ("taken:", "answer:", "guard:", "due", "partitions")
"""Our keys that end by themselves, and say nothing of a task: they are for repetitions of calls and among workers."""


class Clock:
    """What `freeze()` gives.

    Attributes:
        advanced_seconds: by how much the time of this test has been advanced.
    """

    def __init__(self, of: Here) -> None:
        self._of = of

    @property
    def advanced_seconds(self) -> float:
        """See above."""
        return self._of.advanced_seconds

    def advance(self, seconds: float | timedelta) -> None:
        """As the function `advance`."""
        advance(seconds)


def advance(seconds: float | timedelta) -> None:
    """Let so many seconds pass for everything that is stored on the test's server.

    What comes due (delays, retries) waits for a worker afterwards, and a worker that runs takes it at once. Leases end, of
    workers that are gone; so do retention, `expires`, unique locks, and the markers of followers. A task that runs does not
    notice: neither its time limit nor `time.time()` is changed, nor is a `deadline`, which is part of the task's message.

    Args:
        seconds: how many, or a timedelta.

    Raises:
        ConfigurationError: there is no sandbox; only a private server is changed so.
        InvalidOption: less than 0; or eager mode, in which nothing waits.

    Example:
        >>> remind.options(delay=86400).delay("ann")                # doctest: +SKIP
        >>> advance(86400)                                          # doctest: +SKIP
        >>> drain().names                                           # doctest: +SKIP
        ['shop.tasks.remind']
    """
    passed = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if not 0 <= passed < float("inf"):
        raise InvalidOption(
            f"advance() takes seconds from 0, not {passed:g}: nothing that has happened can be undone"
        )
    at = here()
    broker = at.broker
    hold()
    at.advanced_seconds += passed
    _pass(broker, passed)
    for queue in queue_names(broker):
        keep_up(broker, queue)


@contextmanager
def freeze() -> Iterator[Clock]:
    """Let no time pass but by `advance`: a delay of a second is not over because a test is slow.

    It holds for `drain()` and `advance()`, which take back what has passed since. A worker that runs beside the test looks at the
    server's clock by itself.

    Raises:
        ConfigurationError: there is no sandbox.
        InvalidOption: eager mode; or time stands still already.

    Example:
        >>> with freeze() as clock:                                 # doctest: +SKIP
        ...     remind.options(delay=3600).delay("ann")
        ...     assert not drain()
        ...     clock.advance(3600)
        ...     assert drain()
    """
    at = here()
    assert at.broker is not None  # raises where there is none
    if at.frozen_at is not None:
        raise InvalidOption("time stands still already: freeze() is not nested")
    at.frozen_at = time.monotonic()
    try:
        yield Clock(at)
    finally:
        at.frozen_at = None


def hold() -> None:
    """Where time stands still: take back what has passed since it was looked at last."""
    at = here()
    if at.frozen_at is None:
        return
    now = time.monotonic()
    passed, at.frozen_at = now - at.frozen_at, now
    _pass(at.broker, -passed)


def to_next(queues: Collection[str] | None) -> bool:
    """Advance to when the next task of these queues is due; False: none waits for its time."""
    broker = here().broker
    looks = [broker.run(forward(queue)) for queue in (queue_names(broker) if queues is None else queues)]
    left = [one.next_due_at - one.server_time for one in looks if one.next_due_at is not None]
    if not left:
        return False
    # A little more: what is stored of it has six digits.
    advance(max(min(left), 0.0) + 0.00001)
    return True


def _pass(broker: Broker, seconds: float) -> None:
    noted = here().noted
    now = time.time()
    due_at = {one: now + put_off.delay if seconds < 0 else put_off.at for one, put_off in noted.items()}
    noted.clear()
    found = Keyspace()
    asked = ThreadBroker(broker)
    known = set(queue_names(broker))
    if seconds >= 0:
        for node in complete(asked.masters()):
            complete(scan_node(asked, node, known, found))
    for queue in known | found.queues.keys():
        keys = queue_keys(queue)
        names = found.queues.get(queue)
        ending = [] if names is None else names.locks + [key for key in names.own if _ends(key, keys.own)]
        gone = _gone_owners(broker, queue) if seconds >= 0 else []
        places = (keys.scheduled, keys.retry, keys.due, keys.pending, keys.active, keys.lease, keys.groups)
        all_keys = [*places, *(getattr(keys, name) for name in WHOLE), *ending]
        arguments = (
            f"{seconds:.6f}",
            "hold" if seconds < 0 else "",
            keys.task_prefix,
            keys.group_prefix,
            len(WHOLE),
            len(gone),
            *gone,
            *(word for one, at in due_at.items() for word in (one, f"{at:.6f}")),
        )
        broker.run(Plain(("EVAL", _script(), len(all_keys), *all_keys, *arguments), int, keys.slot), 30.0)


def _ends(key: str, prefix: str) -> bool:
    return not key.removeprefix(prefix).startswith(LEFT_ALONE)


def _gone_owners(broker: Broker, queue: str) -> list[str]:
    """The workers that have tasks of the queue and do not live any more."""
    keys = queue_keys(queue)
    ids: list[bytes] = broker.run(Plain(("LRANGE", keys.active, 0, -1), list, keys.slot))
    looks = [
        Plain(("HGET", keys.task_prefix.encode() + one, "owner"), lambda reply: reply, keys.slot)
        for one in ids
    ]
    owners = {
        owner.decode("utf-8", "replace") for owner in broker.run_many(looks) if isinstance(owner, bytes)
    }
    return sorted(owner for owner in owners if not is_living(owner))


@lru_cache(maxsize=1)
def _script() -> str:
    return (files(__package__) / "passing.lua").read_text(encoding="utf-8")
