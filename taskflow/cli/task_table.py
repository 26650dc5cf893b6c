"""Tasks as tables and as lines: what `taskflow task ls` and `taskflow task inspect` show (pure)."""

from __future__ import annotations

from collections.abc import Callable

from ..inspector import Problem, TaskInfo
from ..inspector.views import as_text
from ..states import State
from .output import number, since, span_of, stamp, until

Cell = Callable[[TaskInfo], str]


def _type(found: TaskInfo) -> str:
    return f"({found.problem.value})" if found.problem is not Problem.NONE else found.type


def _payload(found: TaskInfo) -> str:
    """The arguments of a task as they are stored, if they are text."""
    return _shown(found.message.payload if found.message else None)


def _headers(found: TaskInfo) -> str:
    headers = found.message.headers if found.message else {}
    return ", ".join(f"{name}={value}" for name, value in sorted(headers.items()))


def _result(found: TaskInfo) -> str:
    """The result as it is stored, and why it is not to be believed."""
    problem = f"not trusted ({found.result_problem})" if found.result_problem else ""
    return " ".join(filter(None, (problem, _shown(found.result))))


def _shown(data: bytes | None) -> str:
    if not data:
        return ""
    text = as_text(data)
    return text if text is not None else f"({len(data):,} bytes that are no text)"


def _retried(found: TaskInfo) -> str:
    return f"{found.message.retried}/{found.message.max_retries}" if found.message else ""


_ID: tuple[str, Cell] = ("ID", lambda found: found.id)
_TYPE: tuple[str, Cell] = ("Type", _type)
_ERROR: tuple[str, Cell] = ("Last Error", lambda found: found.last_error)
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


CONTENTS: list[tuple[str, Cell]] = [("Payload", _payload), ("Headers", _headers), ("Result", _result)]
"""What a listing shows besides if it is asked for: each column if there is anything in it."""


def fields(found: TaskInfo, *, payload: bool) -> list[tuple[str, str]]:
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
        ("Lease until", stamp(found.lease_until)),
        ("Worker", found.owner),
        ("Archived at", stamp(found.archived_at)),
        ("Completed at", stamp(found.completed_at)),
        ("Kept until", stamp(found.expires_at)),
        ("Last failed at", stamp(found.last_failed_at)),
        ("Last error", found.last_error),
        ("Crashes", number(found.crashes) if found.crashes else ""),
        ("Recoveries", number(found.recoveries) if found.recoveries else ""),
    ]
    if message:
        shown += [
            ("Timeout", span_of(message.timeout)),
            ("Deadline", stamp(found.deadline)),
            ("Retention", span_of(message.retention)),
            ("Unique key", message.unique_key),
        ]
    if payload:
        shown += [(f"Header {name}", value) for name, value in (message.headers.items() if message else ())]
        shown += [("Payload", _payload(found)), ("Result", _result(found))]
    return shown


def _when(found: TaskInfo) -> str:
    if found.state is State.PENDING:
        return "now"
    return f"{stamp(found.next_process_at)}, {until(found.next_process_at)}" if found.next_process_at else ""
