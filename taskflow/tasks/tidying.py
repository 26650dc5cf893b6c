"""Takes out of an app's store what belongs to tasks that are gone."""

from __future__ import annotations

from ..broker.commands.stored import (
    BATCH,
    NEXT_LOOK,
    Stored,
    forget_stored,
    has_task,
    note_stored,
    stored_due,
)
from ..message.offload import Offload
from ..telemetry.traces import stand_in
from . import reporter
from .app_broker import AppBroker


def tidy(app: AppBroker, queue: str) -> int:
    """Look at what is due of a queue, and delete what no task needs any more.

    Args:
        app: whose store it is.
        queue: the queue, or the partition of one.

    Returns:
        How many things were deleted.

    Raises:
        BrokerError: the queue's node does not answer.
    """
    offload = app._crypto.offload if app._crypto is not None else None
    if offload is None:
        return 0
    broker = app.client.broker
    deleted = 0
    while True:
        found = broker.run(stored_due(queue))
        if not found:
            return deleted
        needed = broker.run_many([has_task(queue, one.id) for one in found])
        # Where a node has not answered, `needed` has its error: that is no proof that the task is gone.
        gone = _deleted(
            offload, [one for one, is_there in zip(found, needed, strict=True) if is_there is False]
        )
        kept = [one for one in found if one not in gone]
        if kept:
            broker.run(note_stored(queue, kept, NEXT_LOOK))
        if gone:
            broker.run(forget_stored(queue, gone))
        deleted += len(gone)
        if len(found) < BATCH:
            return deleted


def _deleted(offload: Offload, entries: list[Stored]) -> list[Stored]:
    """Those that the store has no more. If it fails, it is said once, and the others wait for the next look."""
    done: list[Stored] = []
    for one in entries:
        try:
            offload.store.delete(one.key)
        except Exception as error:  # noqa: BLE001 - a store may raise anything
            reporter.unexpected(stand_in(error))
            break
        done.append(one)
    return done
