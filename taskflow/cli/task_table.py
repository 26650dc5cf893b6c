"""Tasks as tables and as lines: what `taskflow task ls` and `taskflow task inspect` show (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from ..inspector import Problem, TaskInfo
from ..inspector.texts import arguments_text, error_text, headers_text, result_text
from ..states import State
from .output import number, since, span_of, stamp, until
from .said import said_fields

Cell = Callable[[TaskInfo], str]


def _type(found: TaskInfo) -> str:
    return f"({found.problem.value})" if found.problem is not Problem.NONE else found.type


def _result(found: TaskInfo) -> str:
    """The result as it is stored, and why it is not to be believed."""
    problem = f"not trusted ({found.result_problem})" if found.result_problem else ""
    return " ".join(filter(None, (problem, result_text(found))))


def _retried(found: TaskInfo) -> str:
    return f"{found.message.retried}/{found.message.max_retries}" if found.message else ""


_ID: tuple[str, Cell] = ("ID", lambda found: found.id)
QUEUE: tuple[str, Cell] = ("Queue", lambda found: found.queue)
_TYPE: tuple[str, Cell] = ("Type", _type)
_ERROR: tuple[str, Cell] = ("Last Error", error_text)
_RETRIED: tuple[str, Cell] = ("Retried", _retried)

COLUMNS: dict[State, list[tuple[str, Cell]]] = {
    State.PENDING: [_ID, _TYPE, ("Pending Since", lambda found: since(found.pending_since))],
    State.ACTIVE: [
        _ID,
        _TYPE,
        ("Lease", lambda found: "ended" if found.is_orphaned else until(found.lease_until)),
    ],
    State.SCHEDULED: [_ID, _TYPE, ("Process In", lambda found: until(found.next_process_at))],
    State.RETRY: [
        _ID,
        _TYPE,
        ("Next Retry", lambda found: until(found.next_process_at)),
        ("Last Failed", lambda found: since(found.last_failed_at)),
        _RETRIED,
        _ERROR,
    ],
    State.ARCHIVED: [_ID, _TYPE, ("Archived", lambda found: since(found.archived_at)), _RETRIED, _ERROR],
    State.COMPLETED: [
        _ID,
        _TYPE,
        ("Completed", lambda found: since(found.completed_at)),
        ("Deleted", lambda found: until(found.expires_at)),
    ],
    State.AGGREGATING: [_ID, _TYPE, ("Group", lambda found: found.group)],
}
"""For each state the columns of its listing, each with what it shows of a task."""


CONTENTS: list[tuple[str, Cell]] = [
    ("Payload", arguments_text),
    ("Headers", headers_text),
    ("Result", _result),
]
"""What a listing shows besides if it is asked for: each column if there is anything in it."""


def started_column(begun: Mapping[tuple[str, str], datetime]) -> tuple[str, Cell]:
    """Since when each task runs, by its queue and id."""
    return "Started", lambda found: since(begun.get((found.queue, found.id)))


def fields(found: TaskInfo, *, payload: bool, started: datetime | None = None) -> list[tuple[str, str]]:
    """What is known of a task, as names and values; a value that is empty is not there."""
    message = found.message
    shown = [
        ("Queue", found.queue),
        ("ID", found.id),
        ("Type", _type(found)),
        (
            "State",
            (found.state.value if found.state else "unknown") + (", orphaned" if found.is_orphaned else ""),
        ),
        ("Retried", _retried(found)),
        ("Group", found.group),
        ("Pending since", stamp(found.pending_since)),
        ("Next process time", _when(found)),
        ("To start by", stamp(found.start_until)),
        ("Started at", f"{stamp(started)}, {since(started)}" if started else ""),
        ("Lease until", stamp(found.lease_until)),
        ("Worker", found.owner),
        ("Archived at", stamp(found.archived_at)),
        ("Completed at", stamp(found.completed_at)),
        ("Kept until", stamp(found.expires_at)),
        ("Last failed at", stamp(found.last_failed_at)),
        ("Last error", error_text(found)),
        ("Crashes", number(found.crashes) if found.crashes else ""),
        ("Recoveries", number(found.recoveries) if found.recoveries else ""),
        ("Snoozes", number(found.snoozes) if found.snoozes else ""),
        ("Cancelled", "yes, it has not ended yet" if found.is_cancelled else ""),
    ]
    shown += said_fields(found)
    if message:
        shown += [
            ("Timeout", span_of(message.timeout)),
            ("Deadline", stamp(found.deadline)),
            ("Retention", span_of(message.retention)),
            ("Unique key", message.unique_key),
        ]
    if payload:
        shown += [(f"Header {name}", value) for name, value in (message.headers.items() if message else ())]
        shown += [("Payload", arguments_text(found)), ("Result", _result(found))]
    return shown


def _when(found: TaskInfo) -> str:
    if found.state is State.PENDING:
        return "now"
    return f"{stamp(found.next_process_at)}, {until(found.next_process_at)}" if found.next_process_at else ""
