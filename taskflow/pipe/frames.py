"""The frames on the socket between a worker and a child: a length, then one msgpack value.

Frames are batches: under load nothing is sent one by one, and when idle nothing waits for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from ..message.outcome import Outcome
from ..message.report import Report
from ..telemetry.counts import TaskCount

T = TypeVar("T")

LENGTH = 4
"""Bytes of the length in front of a frame, big-endian."""

BROKER_VARIABLE = "TASKFLOW_WORKER_BROKER"
"""The environment variable by which a child learns that the worker was given another broker than the app's."""

MOST_BYTES = 0x1FFF_FFFF
"""The most bytes of one frame. Text that the user's code wrote into the socket would be read as a longer length, and is found by
it.
"""

FULL_BYTES = 8 << 20
"""A frame of so many bytes takes no more items: a batch of messages of a megabyte each could be longer than a frame may be."""

DEFAULT_MOST_MESSAGE = 64 << 20
LARGEST_MOST_MESSAGE = 192 << 20
"""Bytes of a message, and of a result: two of them fit in a frame."""


class Job(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A task on its way to a child.

    `number` counts the jobs of one child from 1. `failure` is set when the task is not to be run but judged:
    what ended its last attempt from outside (a hard time limit), after `ran_seconds`. `first_failed_at` is in Unix seconds; 0: it
    has not failed before. `expires_at_ms`: if it has not started by then, it is not to be run (milliseconds on the monotonic
    clock, which the processes of a machine share; 0: no matter when).
    """

    number: int
    queue: str
    id: bytes
    message: bytes
    failure: str = ""
    first_failed_at: int = 0
    expires_at_ms: int = 0
    ran_seconds: float = 0.0


class TaskFacts(msgspec.Struct, array_like=True, frozen=True):
    """What the worker needs to know of a task's declaration."""

    name: str
    queue: str
    pool: str = ""


class Aggregation(msgspec.Struct, array_like=True, frozen=True):
    """What becomes of a queue's aggregation groups. `template` is the message of the task that takes their place, without
    arguments; times are whole seconds, 0 switches `max_delay` and `max_size` off. `closed`: the app has keys, so that only a
    child can read the tasks of a group and write the one in their place.
    """

    queue: str
    template: bytes
    grace: int
    max_delay: int
    max_size: int
    closed: bool = False


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """A child's first frame: what the app is. `stores`: it has a store for large arguments and results."""

    app: str
    broker: str
    tasks: list[TaskFacts]
    pid: int
    aggregations: list[Aggregation] = []
    partitions: dict[str, int] = {}
    project: str = ""
    """The folder of the project whose development server the broker is; "": a broker was given."""
    stores: bool = False
    hears: list[str] = []
    """Events of the worker that the app wants to be told of, by name."""
    queues: list[str] = []
    """Those that it has besides the ones that its tasks name."""


class ImportFailed(msgspec.Struct, tag="failed", frozen=True):
    """Instead of `Hello`: the app could not be loaded.

    `usage` marks a mistake in `-A` rather than in the app's code.
    """

    error: str
    traceback: str = ""


class Outcomes(msgspec.Struct, tag="outcomes", frozen=True):
    """How attempts ended.

    Args:
        items: those of which something is to be written down.
        done: the numbers of the others, whose tasks are simply done: most are, and a number is all that is to be said of one.
        seconds: how long the attempts at these took, all together.
    """

    items: list[Outcome]
    done: list[int] = []
    seconds: float = 0.0


class Events(msgspec.Struct, tag="events", frozen=True):
    """What the worker is to know of what has happened in the child: one count for each name of which attempts have ended."""

    counts: list[TaskCount]


class Reports(msgspec.Struct, tag="reports", frozen=True):
    """What running tasks say of themselves: at most two reports a second of each."""

    items: list[Report]


class Returned(msgspec.Struct, tag="returned", frozen=True):
    """Jobs that the child gives back because it saw the recall after it had marked their start."""

    numbers: list[int]


class Pong(msgspec.Struct, tag="pong", frozen=True):
    """The answer to a `Ping`: the child reads its socket, so it can be given work."""


class Stacks(msgspec.Struct, tag="texts", frozen=True):
    """The answer to `DumpStacks`: one text, so that the blocks of several children do not mix."""

    text: str


class Refusal(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A member of a group that is not joined.

    Args:
        outcome: what becomes of it, by its number.
        reason: why, in a sentence that holds nothing of the message.
        kind: a word for why; empty: it is put back.
        task: its name; empty: it cannot be read.
        retried: how many attempts at it failed before.
    """

    outcome: Outcome
    reason: str
    kind: str = ""
    task: str = ""
    retried: int = 0


class Built(msgspec.Struct, tag="built", frozen=True):
    """The answer to a `Build`.

    Args:
        number: of the question.
        message: what was built, closed with the app's keys; empty: nothing.
        refused: the members that are not in it. The worker tells of them when it is written.
        size: bytes of what would have been built and is over the worker's limit; 0: it was not.
        error: the type of what went wrong; empty: nothing.
    """

    number: int
    message: bytes = b""
    refused: list[Refusal] = []
    size: int = 0
    error: str = ""


class Jobs(msgspec.Struct, tag="jobs", frozen=True):
    """Work for the child."""

    items: list[Job]


class Build(msgspec.Struct, tag="build", frozen=True):
    """Make a message that only the app can make, since it has the keys: one task in the place of a group's tasks.

    Args:
        number: counts the questions of one worker.
        template: the message of the task that takes groups, without arguments.
        queue: where the message will be stored, and its members are.
        id: under which id it will be stored.
        group: the name of the group.
        members: its tasks, numbered from 1. They are not run.
    """

    number: int
    template: bytes
    queue: str
    id: str
    group: bytes
    members: list[Job]


class Tidy(msgspec.Struct, tag="tidy", frozen=True):
    """Look at what is due of the queue's things in the app's store, and delete what belongs to tasks that are gone."""

    queue: str


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """Cancel the job of this number: raise `TaskCancelled` in it if it runs, or do not start it."""

    number: int


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """A question to a child that has work and says nothing: do its parts get on? The answers are marks in the shared marks.

    One that did not start its jobs in time gets no more until it has answered.
    """

    number: int = 0


class DumpStacks(msgspec.Struct, tag="stacks", frozen=True):
    """Say where all threads and coroutines stand."""


class Told(msgspec.Struct, tag="told", frozen=True):
    """What has happened in the worker, for those who listen in the child: names of events, and their fields."""

    items: list[tuple[str, dict[str, Any]]]


class End(msgspec.Struct, tag="end", frozen=True):
    """The last frame to a child: the worker closes the socket now. If it closes without this, the worker has died."""


FromChild = Hello | ImportFailed | Outcomes | Events | Reports | Returned | Built | Pong | Stacks
FromWorker = Jobs | Build | Tidy | Cancel | Ping | DumpStacks | Told | End


class BadFrame(ValueError):
    """The bytes are no frame, so nothing that comes after them can be understood either: the socket is of no more use."""


_encoder = msgspec.msgpack.Encoder()
_from_child: Callable[[bytes], FromChild] = msgspec.msgpack.Decoder(FromChild).decode
_from_worker: Callable[[bytes], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode


def decode_from_child(body: bytes) -> FromChild:
    """Read a child's frame; raises BadFrame."""
    try:
        return _from_child(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(type(error).__name__) from None


def decode_from_worker(body: bytes) -> FromWorker:
    """Read the worker's frame; raises BadFrame."""
    try:
        return _from_worker(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(type(error).__name__) from None


def batches(items: Sequence[T], sizes: Sequence[int], most: int) -> Iterator[Sequence[T]]:
    """Cut what is to be sent into what fits in one frame each.

    Args:
        items: what is to be sent.
        sizes: about how many bytes each of them takes.
        most: items of one frame.
    """
    if len(items) <= most and sum(sizes) <= FULL_BYTES:  # as nearly all are: nothing is done for each item
        if items:
            yield items
        return
    begin = bytes_ = 0
    for at, more in enumerate(sizes):
        if at > begin and (bytes_ + more > FULL_BYTES or at - begin >= most):
            yield items[begin:at]
            begin, bytes_ = at, 0
        bytes_ += more
    yield items[begin:]


def body_size(header: bytes) -> int:
    """The length of the frame that follows.

    Raises:
        BadFrame: no frame is so long.
    """
    size = int.from_bytes(header, "big")
    if size > MOST_BYTES:
        raise BadFrame(f"a frame of {size:,} bytes")
    return size


def frame(value: Any) -> bytes:
    """A value as it goes on the socket."""
    body = _encoder.encode(value)
    return len(body).to_bytes(LENGTH, "big") + body
