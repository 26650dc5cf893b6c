"""What happens to tasks, to children and to a worker, as values; `telling` says who hears of them.

An event is made where the fact is known: mostly in the child, which has the function, its name and its exception. No event holds
an argument or a result. `taskflow.events` has those that users may listen to.
"""

from __future__ import annotations

from typing import ClassVar

from .telling import Event as Event
from .telling import attach as attach
from .telling import emit as emit

CLIENT, CHILD, WORKER = frozenset({"client"}), frozenset({"child"}), frozenset({"worker"})
EITHER = CHILD | WORKER


class TaskEvent(Event, frozen=True):
    """Something has happened to a task.

    `task` is its name, "" where its message cannot be read; `id` is the one under which it is stored; `queue` is the one from
    which it was taken, of one with partitions the partition; `retried` says how many attempts failed before.
    """

    task: str
    id: str
    queue: str
    retried: int


# --- in the process that enqueues -----------------------------------------------------------------------------------------


class Enqueued(TaskEvent, frozen=True):
    """A call was enqueued: its `.delay()` is about to return. `queue` is the one in which it is stored."""

    told_in: ClassVar[frozenset[str]] = CLIENT


# --- in a child, in this order ----------------------------------------------------------------------------------------


class Received(TaskEvent, frozen=True):
    """A child has it, and can run it."""

    told_in: ClassVar[frozenset[str]] = CHILD


class Started(TaskEvent, frozen=True):
    """Its arguments fit, and its function is called now, in the context in which this is told."""

    told_in: ClassVar[frozenset[str]] = CHILD


class TimedOut(TaskEvent, frozen=True):
    """A time limit has passed; what becomes of the task is told after this.

    `hard`: the limit that is watched from outside. Then the worker tells it, while the task runs, and `killed` says whether its
    process is ended for it (`-P solo` has none to end).
    """

    told_in: ClassVar[frozenset[str]] = EITHER

    hard: bool = False
    killed: bool = False


class Cancelled(TaskEvent, frozen=True):
    """The attempt ended since somebody asked for that; what becomes of the task is told after this.

    `by_worker`: there was no attempt that could end, or it was ended from outside, and the task is archived: the worker tells it.
    """

    told_in: ClassVar[frozenset[str]] = EITHER

    by_worker: bool = False


class Succeeded(TaskEvent, frozen=True):
    """It has returned, after so many seconds, and its verdict is on its way. So it is with all that end an attempt."""

    told_in: ClassVar[frozenset[str]] = CHILD

    seconds: float


class Retried(TaskEvent, frozen=True):
    """An attempt failed, and there will be another in `delay` seconds.

    `error` is the exception, with its traceback; with `TaskFlow(error_text=False)` one that stands for it and has no text.
    `source` is the file of the task's function; `expected`: the task declares this exception in `throws`.
    """

    told_in: ClassVar[frozenset[str]] = CHILD

    seconds: float
    error: BaseException
    delay: float
    source: str = ""
    expected: bool = False


class Snoozed(TaskEvent, frozen=True):
    """The task has asked to be run again in `delay` seconds, and this attempt has not failed."""

    told_in: ClassVar[frozenset[str]] = CHILD

    seconds: float
    delay: float


class Archived(TaskEvent, frozen=True):
    """There will be no other attempt, unless somebody asks for one. `error`, `source` and `expected` as in `Retried`."""

    told_in: ClassVar[frozenset[str]] = CHILD

    seconds: float = 0.0
    error: BaseException | None = None
    source: str = ""
    expected: bool = False


class ResultLost(Archived, frozen=True):
    """It has run, and what it returned cannot be kept."""

    told_in: ClassVar[frozenset[str]] = CHILD


class Expired(Archived, frozen=True):
    """It was to start by a certain time, and had not; `late_seconds` is how long ago that was, where it is known."""

    told_in: ClassVar[frozenset[str]] = EITHER

    late_seconds: float | None = None


class Unread(Archived, frozen=True):
    """Its message may not be read, or cannot: archived as it is.

    `kind` is a word for why, and `reason` says it in a sentence that holds nothing of the message. `count`: how many there were
    in this process, where they are counted.
    """

    told_in: ClassVar[frozenset[str]] = EITHER

    kind: str = ""
    reason: str = ""
    count: int = 0


class Poisonous(Archived, frozen=True):
    """So many processes have died while it ran, and there will be no more of them."""

    told_in: ClassVar[frozenset[str]] = WORKER

    crashes: int = 0


class Unwritable(Archived, frozen=True):
    """Its verdict could not be written, so it has this one: it may have done its work."""

    told_in: ClassVar[frozenset[str]] = WORKER

    reason: str = ""


class PutBack(TaskEvent, frozen=True):
    """Nobody here can run it (`reason`): it waits for `delay` seconds, for a worker that can."""

    told_in: ClassVar[frozenset[str]] = EITHER

    reason: str
    delay: float


class PolicyRaised(Event, frozen=True):
    """The retry policy of a task raised, in the place of a decision."""

    told_in: ClassVar[frozenset[str]] = CHILD

    task: str
    error: BaseException


class HookRaised(Event, frozen=True):
    """A hook of a task's class (`hook` is its name) raised after the verdict, which stays as it is."""

    told_in: ClassVar[frozenset[str]] = CHILD

    task: str
    hook: str
    error: BaseException


class LeftBehind(Event, frozen=True):
    """What a task has left behind on the event loop failed, or the loop complains of it (`text`)."""

    told_in: ClassVar[frozenset[str]] = CHILD

    error: BaseException | None = None
    text: str = ""


class Unexpected(Event, frozen=True):
    """What runs tasks failed in a way that nobody has thought of, and goes on."""

    told_in: ClassVar[frozenset[str]] = CHILD

    error: BaseException


# --- in the worker ----------------------------------------------------------------------------------------------------


class Requeued(TaskEvent, frozen=True):
    """It is in its queue again, and this is no verdict on it. `crashed`: its process died while it ran, which is counted."""

    told_in: ClassVar[frozenset[str]] = WORKER

    crashed: bool = False


class GivenUp(TaskEvent, frozen=True):
    """No verdict on it can be written: it is about to be requeued."""

    told_in: ClassVar[frozenset[str]] = WORKER


class LeaseLost(TaskEvent, frozen=True):
    """Somebody else has it now; the verdict on what runs here will be refused."""

    told_in: ClassVar[frozenset[str]] = WORKER


class VerdictRefused(TaskEvent, frozen=True):
    """A verdict came too late: the task was somebody else's by then."""

    told_in: ClassVar[frozenset[str]] = WORKER


class Quarantined(Event, frozen=True):
    """Tasks that were running when a process died run apart from the others: their ids, queues and crashes."""

    told_in: ClassVar[frozenset[str]] = WORKER

    tasks: tuple[tuple[str, str, int], ...]


class Recovered(Event, frozen=True):
    """So many tasks of a queue, whose workers are gone, are in it again."""

    told_in: ClassVar[frozenset[str]] = WORKER

    queue: str
    count: int


class ChildStarted(Event, frozen=True):
    """A child has imported the app and can be given tasks."""

    told_in: ClassVar[frozenset[str]] = WORKER

    pid: int


class ChildReplaced(Event, frozen=True):
    """A child does not get on (`reason`): it gets nothing more, and another takes its place."""

    told_in: ClassVar[frozenset[str]] = WORKER

    pid: int
    reason: str


class ChildRecycled(Event, frozen=True):
    """A child has run its tasks, or is over its memory (`reason`): its successor has its place, and it ends with what it has."""

    told_in: ClassVar[frozenset[str]] = WORKER

    pid: int
    reason: str


class ChildStopped(Event, frozen=True):
    """A child has ended; `code` in words. `wanted`: it was told to, and held nothing any more.

    `running` tasks had started, `waiting` ones had not; all go back.
    """

    told_in: ClassVar[frozenset[str]] = WORKER

    pid: int
    code: str
    wanted: bool
    running: int
    waiting: int


class WorkerStarted(Event, frozen=True):
    """It is about to take tasks; `summary` says of what, in several lines."""

    told_in: ClassVar[frozenset[str]] = WORKER

    app: str
    broker: str
    queues: tuple[str, ...]
    summary: str


class WorkerStopping(Event, frozen=True):
    """It takes nothing more, and what runs has `grace` seconds. `again`: that was said before, with more of them."""

    told_in: ClassVar[frozenset[str]] = WORKER

    grace: float
    again: bool = False


class WorkerStopped(Event, frozen=True):
    """It holds nothing any more. The stop took so many seconds; `attempts` at tasks ended while it ran, `failures` badly."""

    told_in: ClassVar[frozenset[str]] = WORKER

    seconds: float
    attempts: int
    failures: int
