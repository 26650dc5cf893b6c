"""What waits in the outbox, for whoever watches a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Now

from .setting import outbox_settings


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """What lies in the outbox of one database.

    Attributes:
        database: its name in `DATABASES`.
        waiting: how many calls wait to be delivered.
        retrying: how many of them could not be delivered while others could.
        given_up: how many were given up, and are kept to be looked at.
        oldest_seconds: for how long the oldest that waits has lain there; 0: none waits.
    """

    database: str
    waiting: int
    retrying: int
    given_up: int
    oldest_seconds: float


def outbox_status() -> list[OutboxStatus]:
    """What lies in the outbox of each database, by one query each; nothing where there is no outbox.

    Example:
        >>> max(one.oldest_seconds for one in outbox_status()) < 60          # doctest: +SKIP
        True
    """
    settings = outbox_settings()
    return [_status(alias) for alias in settings.databases] if settings.is_on else []


def _status(alias: str) -> OutboxStatus:
    waits = Q(failed_at=None)
    found: dict[str, Any] = (
        apps.get_model("taskflow", "OutboxRow")  # so that this can be imported before there are models
        .objects.using(alias)
        .annotate(now=Now())
        .aggregate(
            waiting=Count("id", filter=waits),
            retrying=Count("id", filter=waits & Q(retry_at__isnull=False)),
            given_up=Count("id", filter=~waits),
            oldest=Min("created_at", filter=waits),
            at=Max("now"),
        )
    )
    oldest = (found["at"] - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    return OutboxStatus(alias, found["waiting"], found["retrying"], found["given_up"], max(oldest, 0.0))
