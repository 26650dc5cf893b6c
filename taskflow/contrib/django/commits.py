"""Calls that wait for the commit: those of `delay_on_commit()`, and with `ENQUEUE_ON_COMMIT` all that are made in a transaction.

The handle is there before the commit, so that its id can be kept in the same transaction; the call is sent after it. What a
savepoint took back is not sent, and nothing is where the transaction was rolled back. With the outbox a call is a row of the
transaction, if that is in one of the outbox's databases; else it waits, and becomes a row after the commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from taskflow import AsyncResult, EnqueueCall, TaskFlow, UnsentCall
from taskflow.errors import InvalidOption

from . import making
from .capturing import is_capturing, send
from .outbox.keeping import database, put_in
from .outbox.setting import outbox_settings

Taker = Callable[[UnsentCall], None]


def attach(app: TaskFlow) -> None:
    """Have calls wait that are to."""
    app.middleware(AfterCommit())


class AfterCommit:
    """Looks at each call, and at the transactions that are open in its thread."""

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult[Any]]) -> AsyncResult[Any]:
        """From a thread."""
        using, call.on_commit = call.on_commit, False
        if _may_wait(call, using) and (taker := _taker(call, using)) is not None:
            call.hand_to(taker)
        return next()

    async def aenqueue(
        self, call: EnqueueCall, next: Callable[[], Awaitable[AsyncResult[Any]]]
    ) -> AsyncResult[Any]:
        """From a coroutine, whose transactions are in the thread of its synchronous parts."""
        using, call.on_commit = call.on_commit, False
        if _may_wait(call, using) and (taker := await _ataker(call, using)) is not None:
            call.hand_to(sync_to_async(taker))
        return await next()


def _may_wait(call: EnqueueCall, using: bool | str) -> bool:
    """Whether transactions are to be looked at."""
    return bool(using) or making.current_settings().enqueue_on_commit or (is_capturing() and _is_row(call))


def _is_row(call: EnqueueCall) -> bool:
    """Whether a call goes to the outbox."""
    outbox = outbox_settings()
    return outbox.is_on and (outbox.always if call.outbox is None else call.outbox)


def _taker(call: EnqueueCall, using: bool | str) -> Taker | None:
    """What is given a call that is not simply sent, or kept in the outbox, now.

    Args:
        call: the call.
        using: the database whose commit it was said to wait for; True: any; False: nothing was said.

    Raises:
        InvalidOption: there is no such database.
    """
    waits = bool(using) or making.current_settings().enqueue_on_commit
    if not _is_row(call):
        meant = open_transaction(using or True) if waits else None
        return None if meant is None else partial(register, meant, call)
    databases = outbox_settings().databases
    usual = database(databases)
    is_open = connections[usual].in_atomic_block
    if using or (waits and not is_open):
        meant = open_transaction(using or True)
    else:
        meant = usual if is_open else None
    row_in = next((str(one) for one in (using, meant) if one in databases), usual)
    if meant in (None, row_in) and not is_capturing():
        # Its row is part of the transaction.
        return None if row_in == usual else partial(put_in, row_in)
    return None if meant is None else partial(register, meant, call)


def open_transaction(using: bool | str) -> str | None:
    """The database with an open transaction to wait for; None: there is none.

    Args:
        using: which it is; True: the default one, or else the first that has one.

    Raises:
        InvalidOption: there is no such database.
    """
    if isinstance(using, str):
        if using not in connections:
            raise InvalidOption(
                f"using={using!r} is not in DATABASES, which has {', '.join(map(repr, connections))}"
            )
        return using if connections[using].in_atomic_block else None
    opened = [one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block]
    return ("default" if "default" in opened else opened[0]) if opened else None


def register(using: str, call: EnqueueCall, unsent: UnsentCall) -> None:
    """Send it when the transaction is committed."""

    def send_it() -> None:
        send(unsent, call)

    # With `robust` Django's log says by this what has failed.
    send_it.__qualname__ = f"{call.task}.delay"
    transaction.on_commit(send_it, using=using, robust=making.current_settings().on_commit_robust)


_ataker = sync_to_async(_taker)
