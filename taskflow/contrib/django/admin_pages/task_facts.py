"""What is shown of a task (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskflow import State
from taskflow.inspector import TaskInfo, error_text


@dataclass(frozen=True, slots=True)
class Moment:
    """What is to be known first of when a task does something.

    Args:
        before: the word before it.
        at: when.
        is_past: whether it has been.
    """

    before: str
    at: datetime | None
    is_past: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A task in the list.

    Args:
        task: it.
        place: where it is.
        url: of its page.
        queue_url: of its queue's page; empty: there is none for this user.
        moment: since when, or when.
        error: its last failure.
    """

    task: TaskInfo
    place: str
    url: str
    queue_url: str
    moment: Moment
    error: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is known of a task.

    Args:
        label: what it is.
        text: in words.
        at: a moment.
        length: a length of time.
    """

    label: str
    text: str = ""
    at: datetime | None = None
    length: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed.

    Args:
        number: counts those that are kept, from 1.
        at: when it began.
        how: how long it ran.
        worker: whose it was.
        what: its error.
        traceback: where; empty: as in the next one.
        is_as_next: whether its traceback is the next one's.
    """

    number: int
    at: datetime | None
    how: str
    worker: str
    what: str
    traceback: str
    is_as_next: bool


def moment_of(task: TaskInfo) -> Moment:
    """What is to be known first of when a task does something."""
    match task.state:
        case State.PENDING:
            return Moment("waits since", task.pending_since)
        case State.ACTIVE:
            return (
                Moment("its worker is gone since", task.lease_until) if task.is_orphaned else Moment("", None)
            )
        case State.SCHEDULED:
            return Moment("runs", task.next_process_at, is_past=False)
        case State.RETRY:
            return Moment("again", task.next_process_at, is_past=False)
        case State.ARCHIVED:
            return Moment("", task.archived_at)
        case State.COMPLETED:
            return Moment("", task.completed_at)
        case _:
            return Moment("", None)


def facts_of(task: TaskInfo, started: datetime | None) -> list[Fact]:
    """What is known of a task, without what is not.

    Args:
        task: it.
        started: since when it runs, as its worker says.
    """
    return [fact for fact in _facts(task, started) if fact.text or fact.at or fact.length]


def _facts(task: TaskInfo, started: datetime | None) -> Iterator[Fact]:
    message = task.message
    yield Fact("Problem", f"what is stored is {task.problem.value}" if task.problem.value else "")
    yield Fact("Last error", error_text(task))
    yield Fact("Retried", f"{message.retried} of {message.max_retries} times" if message else "")
    yield Fact("Group", task.group)
    yield Fact("Pending since", at=task.pending_since)
    yield Fact("Next attempt" if task.state is State.RETRY else "Runs", at=task.next_process_at)
    yield Fact("To start by", at=task.start_until)
    yield Fact("Started", at=started)
    yield Fact("Lease until", at=task.lease_until)
    yield Fact("Taken by", task.owner)
    yield Fact("Archived", at=task.archived_at)
    yield Fact("Completed", at=task.completed_at)
    yield Fact("Kept until", at=task.expires_at)
    yield Fact("Last failed", at=task.last_failed_at)
    yield Fact("Crashes", f"{task.crashes:,} processes died of it" if task.crashes else "")
    yield Fact("Recoveries", f"{task.recoveries:,}" if task.recoveries else "")
    yield Fact("Snoozes", f"{task.snoozes:,}" if task.snoozes else "")
    if message:
        yield Fact("Timeout", length=_seconds(message.timeout))
        yield Fact("Deadline", at=task.deadline)
        yield Fact("Retention", length=_seconds(message.retention))
        yield Fact("Unique key", message.unique_key)


def attempts_of(task: TaskInfo) -> list[Attempt]:
    """The attempts that are kept, the newest first; a traceback that several share stands with the newest."""
    found = []
    for number, attempt in enumerate(task.attempts, start=1):
        later = task.attempts[number] if number < len(task.attempts) else None
        is_as_next = bool(attempt.traceback) and later is not None and later.traceback == attempt.traceback
        if attempt.seconds is not None:
            how = f"failed after {attempt.seconds:.3f} s"
        else:
            how = "no verdict" if attempt.worker else "was not run"
        found.append(
            Attempt(
                number=number,
                at=attempt.at,
                how=how,
                worker=attempt.worker,
                what=f"{attempt.kind}: {attempt.text}" if attempt.text else attempt.kind,
                traceback="" if is_as_next else attempt.traceback,
                is_as_next=is_as_next,
            )
        )
    return found[::-1]


def _seconds(number: int) -> timedelta | None:
    return timedelta(seconds=number) if 0 < number < 1e9 else None
