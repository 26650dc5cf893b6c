"""The tasks: coroutines."""

import asyncio

from asgiref.sync import sync_to_async
from django.db import connection
from orders.models import Order

from taskflow import shared_task


@shared_task
async def count() -> int:
    """The async ORM."""
    return await Order.objects.acount()


@shared_task
async def backend() -> list[int]:
    """Which processes of the database's serve a coroutine: its ORM twice, and another thread."""
    own = sync_to_async(_backend)
    return [await own(), await own(), await asyncio.to_thread(_backend)]


@shared_task
async def sleep_in_the_database(seconds: float) -> None:
    """A slow query."""
    await sync_to_async(_sleep)(seconds)


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _sleep(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])
