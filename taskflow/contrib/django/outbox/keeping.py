"""Where calls become rows: in the transaction that is open where the call is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from taskflow import ReadyTask, TaskFlow, UnsentCall

from .setting import NAME, outbox_settings

CHANNEL = "taskflow_outbox"
"""On which PostgreSQL tells of rows that are committed."""

_named: ContextVar[str | None] = ContextVar("taskflow_outbox_using", default=None)
"""The database that the call names."""


def attach(app: TaskFlow) -> None:
    """Keep the app's calls while the setting says so."""
    app.use_outbox(Rows(), always=lambda: outbox_settings().always)


class Rows:
    """The outbox of the app: a table in the database, or in several."""

    def put(self, tasks: Sequence[ReadyTask]) -> None:
        """Keep calls; with the caller's transaction they are committed or rolled back."""
        settings = outbox_settings()
        if not settings.is_on:
            raise ImproperlyConfigured(f"a call says outbox=True, and {NAME} is not set")
        using = _named.get() or database(settings.databases)
        _close_dead(using)
        row = apps.get_model("taskflow", "OutboxRow")  # this module is imported before there are models
        rows = [row(name=task.name, queue=task.queue, task_id=task.id, ready=task.pack()) for task in tasks]
        if len(rows) == 1:
            rows[0].save(using=using, force_insert=True)
        else:
            row.objects.using(using).bulk_create(rows)
        if settings.notify:
            _wake(using)

    async def aput(self, tasks: Sequence[ReadyTask]) -> None:
        """From a coroutine: in the thread of its synchronous parts, whose transaction is meant."""
        await _aput(self, tasks)


_aput = sync_to_async(Rows.put)


def put_in(using: str, unsent: UnsentCall) -> None:
    """Keep a call in this database, whichever have a transaction."""
    token = _named.set(using)
    try:
        unsent.send()
    finally:
        _named.reset(token)


def database(databases: Sequence[str]) -> str:
    """In which database a call is kept: the first of these with an open transaction in this thread, or the first."""
    for alias in databases:
        if connections[alias].in_atomic_block:
            return alias
    return databases[0]


def _close_dead(using: str) -> None:
    """Outside of requests and tasks nobody else does so: a connection that has died would fail each call from then on.

    One that works stays open, whatever `CONN_MAX_AGE` says: the caller may be in the midst of reading rows from it.
    """
    connection: Any = connections[using]
    if connection.connection is None or connection.in_atomic_block or not connection.autocommit:
        return
    if connection.errors_occurred:
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()


def _wake(using: str) -> None:
    """Have the relays told after the commit, once for a transaction. They look by themselves, too, if less often."""
    connection: Any = connections[using]
    if connection.vendor != "postgresql":
        return
    tell = _teller(using)
    if not any(function is tell for _, function, *_ in connection.run_on_commit):
        # Not in the transaction: there a NOTIFY has all commits of the server wait for each other.
        transaction.on_commit(tell, using=using, robust=True)


@lru_cache(maxsize=16)
def _teller(using: str) -> Callable[[], None]:
    return partial(_tell, using)


def _tell(using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
