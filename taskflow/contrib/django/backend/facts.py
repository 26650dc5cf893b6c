"""What travels with a call of one of Django's tasks, beside its arguments: a header, and how its result is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

HEADER = "django-task"
"""JSON: the alias of the backend, the queue as Django names it, when it was enqueued, and from when on it may run."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the header says.

    Args:
        backend: the alias of the backend that it was enqueued with.
        queue: the name of its queue; in storage it may be one of several partitions.
        enqueued_at: when that was, by the clock of whoever enqueued it.
        run_after: from when on it may run.
    """

    backend: str
    queue: str
    enqueued_at: datetime | None
    run_after: datetime | None

    def header(self) -> dict[str, str]:
        """It, as a header."""
        said = {
            "backend": self.backend,
            "queue": self.queue,
            "enqueued_at": _written(self.enqueued_at),
            "run_after": _written(self.run_after),
        }
        return {HEADER: json.dumps({name: value for name, value in said.items() if value is not None})}


def read(headers: Mapping[str, str]) -> Facts | None:
    """What a header says; None: the task was not enqueued with this backend."""
    try:
        said = json.loads(headers[HEADER])
        return Facts(
            str(said["backend"]),
            str(said["queue"]),
            moment(said.get("enqueued_at")),
            moment(said.get("run_after")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Ended:
    """What is kept of an attempt that ended well.

    Args:
        return_value: what the function returned, as JSON.
        started_at: when it began, by the clock of the worker's machine.
        finished_at: when it ended, likewise.
        worker: the process that it ran in: its machine and its number.
    """

    return_value: Any
    started_at: datetime | None
    finished_at: datetime | None
    worker: str

    def kept(self) -> dict[str, Any]:
        """It, as the result of the task."""
        return {
            "return_value": self.return_value,
            "started_at": _written(self.started_at),
            "finished_at": _written(self.finished_at),
            "worker": self.worker,
        }


def ended(result: Any) -> Ended:
    """What is kept, out of a task's result. If somebody else has written that, as a worker in Go, it is the value itself."""
    if isinstance(result, dict) and result.keys() == {"return_value", "started_at", "finished_at", "worker"}:
        return Ended(
            result["return_value"],
            moment(result["started_at"]),
            moment(result["finished_at"]),
            str(result["worker"]),
        )
    return Ended(result, None, None, "")


def moment(text: Any) -> datetime | None:
    """A moment as it was written, in the way in which Django's settings have them; None for what is none."""
    try:
        return as_django_has_it(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return None


def as_django_has_it(at: datetime | None) -> datetime | None:
    """An aware moment in UTC with `USE_TZ`, else a naive one in the process's time zone, as `timezone.now()` gives it."""
    if at is None:
        return None
    return at.astimezone(UTC) if settings.USE_TZ else at.astimezone().replace(tzinfo=None)


def aware(at: datetime) -> datetime:
    """A moment as it travels. A naive one is in the process's time zone, which Django has made that of its settings."""
    return at.astimezone(UTC)


def _written(at: datetime | None) -> str | None:
    return None if at is None else aware(at).isoformat()
