"""What a worker was told, validated once."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import InvalidOption
from ..message.ids import check_queue_name
from ..partitions import check_own_queue
from ..pipe.frames import DEFAULT_MOST_MESSAGE, LARGEST_MOST_MESSAGE
from .timings import TIMINGS, Timings

Pool = Literal["threads", "processes", "solo"]

DEFAULT_CONCURRENCY = 20
DEFAULT_GRACE = 30.0
"""Seconds that running tasks get at a stop: what Kubernetes gives."""

MAX_SLOTS = 4000
"""Tasks that one child may run at once: it has to fit in the marks that it shares with the worker."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker runs.

    Args:
        app: `module[:attribute]`.
        queues: weight by queue name; None: the queues that the app's tasks name.
        doubtful: those of them that look like a weight (see `doubtful_queues`).
        strict: serve queues strictly in the order of their weights.
        concurrency: how many tasks run at once in one child (`threads`), or how many children (`processes`).
        pool: `threads`, `processes` or `solo`.
        processes: how many such sets of children.
        least_concurrency: how many are enough while no tasks wait, if less than `concurrency` may be.
        beside: tasks at once of those that ask for the other pool (`@app.task(pool=...)`); None: as many processes as there are
            cores, or threads as usual.
        max_tasks_per_child: so many tasks a child is given before it is replaced; 0: any number.
        max_memory_per_child: bytes; a child that has more takes no more tasks and is replaced; 0: it may have any.
        grace: seconds that running tasks get at a stop.
        burst: stop when the queues are empty.
        broker: instead of the app's broker.
        health_port: where to answer `GET /healthz`; None: nowhere.
        health_host: at which address.
        log_level: as in `telemetry.logs.LEVELS`.
        log_format: `text` or `json`.
        log_errors: log the texts of exceptions too.
        max_message: bytes; a message that is longer is archived unread, and so is a task whose result is.
        reload: folders; when Python code in them changes, the children are replaced.
        timings: how long its parts wait.
        preload: children are forked from a process that has imported the app once (`children.preloading`).
        embedded: it is a part of somebody's program, which asks it how it is; `taskflow worker --check` does not find it.
    """

    app: str
    queues: Mapping[str, int] | None = None
    doubtful: frozenset[str] = frozenset()
    strict: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    pool: Pool = "threads"
    processes: int = 1
    least_concurrency: int | None = None
    beside: int | None = None
    max_tasks_per_child: int = 0
    max_memory_per_child: int = 0
    grace: float = DEFAULT_GRACE
    burst: bool = False
    broker: str | None = None
    health_port: int | None = None
    health_host: str = "127.0.0.1"
    log_level: str = "info"
    log_format: str = "text"
    log_errors: bool = False
    max_message: int = DEFAULT_MOST_MESSAGE
    reload: tuple[str, ...] = ()
    timings: Timings = TIMINGS
    preload: bool = False
    embedded: bool = False

    def __post_init__(self) -> None:
        if not 1024 <= self.max_message <= LARGEST_MOST_MESSAGE:
            raise InvalidOption(
                f"max_message must be from 1,024 to {LARGEST_MOST_MESSAGE:,} bytes, not {self.max_message:,}"
            )
        if not 1 <= self.slots <= MAX_SLOTS:
            raise InvalidOption(f"concurrency must be from 1 to {MAX_SLOTS}, not {self.concurrency}")
        if not 1 <= self.least <= self.concurrency:
            raise InvalidOption(
                f"autoscale must be given as most,least with a least from 1 to {self.concurrency}, not {self.least}"
            )
        if self.beside is not None and not 1 <= self.beside <= MAX_SLOTS:
            raise InvalidOption(f"beside must be from 1 to {MAX_SLOTS}, not {self.beside}")
        if self.pool == "solo" and (self.recycles or self.least < self.concurrency):
            raise InvalidOption(
                "-P solo has no child that could be replaced, and one slot: leave autoscale and the limits of a child out"
            )
        if self.children < 1:
            raise InvalidOption(f"processes must be at least 1, not {self.processes}")
        if self.reload and self.pool == "solo":
            raise InvalidOption(
                "--reload replaces the processes that run your code, and with -P solo there are none: leave out one of the two"
            )
        if self.preload and (self.pool == "solo" or self.embedded):
            raise InvalidOption(
                "--preload is about child processes, and with -P solo or inside a program there are none: leave it out"
            )
        if self.grace < 0:
            raise InvalidOption("grace must not be negative")

    @property
    def least(self) -> int:
        """How many tasks run at once while no more are needed, where `concurrency` is the most."""
        return self.concurrency if self.least_concurrency is None else self.least_concurrency

    @property
    def slots(self) -> int:
        """Tasks at once in one child. In `solo` one: it is there to be stepped through."""
        return self.concurrency if self.pool == "threads" else 1

    @property
    def children(self) -> int:
        """How many children run at the start."""
        return self._children(self.least)

    @property
    def most_children(self) -> int:
        """How many children run at most."""
        return self._children(self.concurrency)

    def _children(self, concurrency: int) -> int:
        if self.pool == "solo":
            return 1
        return concurrency * self.processes if self.pool == "processes" else self.processes

    @property
    def total(self) -> int:
        """Tasks at once in all children, at most."""
        return self.slots * self.most_children

    @property
    def recycles(self) -> bool:
        """Whether children are replaced after a while."""
        return bool(self.max_tasks_per_child or self.max_memory_per_child)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this worker is: in its record, and as the owner of leases."""

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def owner(self) -> str:
        """The `owner` of the leases that it holds."""
        return f"{self.host}:{self.pid}:{self.server_id}"


def parse_queues(values: tuple[str, ...]) -> dict[str, int] | None:
    """Read `-Q images=6,webhooks=3,low`, which may be repeated. A name with a comma stands in double quotes (`"a,b"=2`), and
    so may any other; a quote in it is written twice.

    Returns:
        Weight by name (1 where none is given), in their order; None when nothing was given.

    Raises:
        InvalidQueueName: a name cannot be a queue's.
        InvalidOption: a weight is not a whole number from 1, or a queue is named twice.
    """
    queues: dict[str, int] = {}
    for name, weight in _written(values):
        check_own_queue(check_queue_name(name))
        if not (weight.isascii() and weight.isdigit() and 1 <= int(weight) <= 1_000_000):
            raise InvalidOption(
                f"queue {name!r} has weight {weight!r}; a weight is a whole number from 1, as in {name}=3"
            )
        if name in queues:
            raise InvalidOption(f"queue {name!r} is named twice")
        queues[name] = int(weight)
    return queues or None


_PART = re.compile(
    r"""\s*(?: "(?P<quoted>(?:[^"]|"")*)" \s* (?:=(?P<weight>[^,]*))? | (?P<plain>[^,]*) ) (?:,|$)""",
    re.VERBOSE,
)
"""One queue of `-Q`, with the comma after it."""

_WEIGHED = re.compile(r"(.+):(\d+)|\d+")


def doubtful_queues(values: tuple[str, ...]) -> frozenset[str]:
    """The names in `-Q` that were written as other tools write weights: `images:6`, or a number after a name."""
    # Who puts a name in quotes means it.
    parts = (match["plain"].strip() for match in _parts(values) if match["plain"] is not None)
    return frozenset(part for part in parts if _WEIGHED.fullmatch(part))


def _parts(values: tuple[str, ...]) -> Iterator[re.Match[str]]:
    for value in values:
        at = 0
        while at < len(value) and (match := _PART.match(value, at)) is not None:
            at = match.end()
            yield match


def _written(values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each name with its weight, as it is written."""
    for match in _parts(values):
        if match["plain"] is None:
            yield (
                match["quoted"].replace('""', '"'),
                "1" if match["weight"] is None else match["weight"].strip(),
            )
            continue
        part = match["plain"].strip()
        name, equals, weight = part.rpartition("=")
        if part:
            yield (name, weight) if equals else (part, "1")


def check_doubtful(config: WorkerConfig, declared: Collection[str]) -> None:
    """Refuse queues that are most likely weights: nobody would ever put a task into them.

    Args:
        config: what the worker was told.
        declared: the queues that the app's tasks name.

    Raises:
        InvalidOption: with the form that was meant.
    """
    for name in sorted(config.doubtful - set(declared)):
        match = _WEIGHED.fullmatch(name)
        meant = f"{match[1]}={match[2]}" if match is not None and match[1] else "images=6,default=3"
        raise InvalidOption(
            f"-Q {name}: the app has no queue of this name, and it looks like a weight; write weights as {meant} "
            f"(or, if a queue is named so, {name}=1)"
        )
