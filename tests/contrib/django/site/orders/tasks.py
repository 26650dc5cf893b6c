"""The tasks: functions."""

import asyncio
import os

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from taskflow import current_task, shared_task

from . import models


@shared_task
def price(order: int) -> int:
    """Read the row and write it."""
    with transaction.atomic():
        row = models.Order.objects.select_for_update().get(pk=order)
        row.total = 3 * row.quantity
        row.save(update_fields=["total"])
    return row.total


@shared_task
def backend() -> int:
    """Which process of the database's serves the connection of this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@shared_task
def backend_in_a_loop_of_its_own() -> int:
    """The async ORM from a function."""

    async def count() -> int:
        await models.Order.objects.acount()
        return await sync_to_async(backend.run)()

    return asyncio.run(count())


@shared_task
def fail() -> None:
    """Fail for good."""
    raise ValueError("as it is told")


@shared_task
def processes() -> list[int]:
    """The child and its worker."""
    return [os.getpid(), os.getppid()]


@shared_task
def which() -> str:
    """Its own id, by an app that nobody here has made."""
    return current_task().id
